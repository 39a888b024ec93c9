"""Tables of a database as text: only the mapped columns, reps and days are asked for, and no credential is ever shown.

Columns come as the driver gives them, not through `pandas.read_sql`, which takes the same connections: it would turn
decimals, and whole numbers beside a null, into floats.
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd

from salescoach.errors import InputError, Sentence, SourceError, UsageError, listed
from salescoach.sources import parse
from salescoach.sources.detect import match_columns
from salescoach.sources.layout import SECRET, Connection, Source, TableSource, check_no_secret
from salescoach.sources.parquet import column_texts, value_text
from salescoach.sources.quarantine import Rejects
from salescoach.sources.read import RawTable, raw_table
from salescoach.sources.records import Records

IS_QUERY = re.compile(r"^\s*(select|with)\b", re.IGNORECASE)
PATH = re.compile(r'"(?:[^"]|"")+"|[^.]+')
YEAR_FIRST = "____-__-__%"
BORN = {  # the instant from which on a row is known
    "deals": ("created_at", "snapshot_at"),
    "stage_history": ("entered_at",),
    "changes": ("at",),
    "leads": ("created_at",),
    "activities": ("at",),
    "accounts": ("created_at",),
}
OF_A_REP = ("deals", "leads", "activities")
OF_A_DEAL = ("stage_history", "changes")
FETCHED = 10_000
DIALECTS = {  # first part of a driver's module name -> dialect of SQLAlchemy
    "sqlite3": "sqlite",
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "pg8000": "postgresql",
    "pymysql": "mysql",
    "MySQLdb": "mysql",
    "mysql": "mysql",
    "pymssql": "mssql",
    "oracledb": "oracle",
}
DRIVERS = {"psycopg": '"salescoach[sql]"', "pymysql": "pymysql", "pyodbc": "pyodbc", "oracledb": "oracledb"}
TWO_DAYS = dt.timedelta(days=2)
QUOTED = re.compile(r"(://[^\s:/@]*:)[^\s@]+@|((?:password|passwd|pwd|token)\s*=\s*)[^\s&;]+", re.IGNORECASE)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Selection:
    """Which rows are asked for.

    reps           rep_id of the owners, exactly as the database holds them; none means everybody
    until          the last instant of the as_of day, in UTC; rows that came later are not read
    changed_since  rows whose mapped `updated_at` is earlier are not read; a few of that day may be
    """

    reps: tuple[str, ...] = ()
    until: pd.Timestamp | None = None
    changed_since: pd.Timestamp | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, repr=False)
class Database:
    """A connection that was given, or the address of one. It prints neither."""

    source: Source
    given: object | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def name(self) -> str:
        return f"{Path(self.source.origin).stem} (SQL)"

    def read(self, selection: Selection | None = None) -> tuple[dict[str, RawTable], list[str]]:
        """Every table of the source that the database has, as text, and the names of those without a row.

        A preset's tables need not be there; the tables of a source file of one's own must.
        Raises SourceError where a table or column is missing, InputError where the database refuses.
        """
        with self.open() as engine:
            return Reading(self.source, self.name, engine, selection or Selection()).tables()

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """The database, for as long as it is read; a connection that was given stays open after it."""
        given = self.given
        if isinstance(given, str):
            check_no_secret("connection", given)
            given = Connection(url=given)
        if given is None:
            given = self.source.connection
        if isinstance(given, Connection):
            address = _Address.of(given, self.source.origin, self.folder)
            engine = said(lambda: _connect(address), self.name, address)
            engine.address = address
        else:
            engine = _engine_of(given)
        try:
            yield engine
        finally:
            engine.close()


# --- the address -----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class _Address:
    """A URL that prints without what is secret in it."""

    url: Any

    @classmethod
    def of(cls, connection: Connection, origin: str, folder: Path | None) -> _Address:
        url = _url(connection, origin)
        if url is None:
            where = connection.env or "/".join(connection.keyring or ()) or "connection"
            raise SourceError(
                "{origin}: {where} holds no database URL. Write it as dialect://user:password@host/database, "
                "such as postgresql://ann@db.example.com/crm or duckdb:///crm.duckdb.",
                origin=origin,
                where=where,
            )
        return cls(_beside(url, origin, folder))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return str(self.url.set(query={}).render_as_string(hide_password=True))

    def plain(self, scheme: str | None = None) -> str:
        url = self.url if scheme is None else self.url.set(drivername=scheme)
        return str(url.render_as_string(hide_password=False))

    def redact(self, text: str) -> str:
        """The text without the address, the password and the settings of the URL."""
        settings = ((k, (vs,) if isinstance(vs, str) else vs) for k, vs in self.url.query.items())
        secrets = {str(self.url.password or ""), *(v for k, vs in settings for v in vs if SECRET.search(k))}
        spellings = {s for v in secrets if v for s in (v, quote(v, safe=""), quote_plus(v))}
        for spelling in sorted({self.plain(), *spellings}, key=len, reverse=True):
            text = text.replace(spelling, "***")
        return text


def _url(connection: Connection, origin: str) -> Any:
    """The URL, or None where what is kept is none."""
    import sqlalchemy as sa

    try:
        return sa.make_url(connection.url or _kept_secret(connection, origin))
    except (sa.exc.ArgumentError, ValueError):
        return None


def _kept_secret(connection: Connection, origin: str) -> str:
    """The URL that the environment or the keyring holds."""
    if connection.env is not None:
        found = os.environ.get(connection.env, "").strip()
        if not found:
            raise SourceError(
                "{origin}: the environment variable {env} is not set. Set it to the URL of the database, such "
                "as postgresql://ann:…@db.example.com/crm.",
                origin=origin,
                env=connection.env,
            )
        return found
    service, user = connection.keyring or ("", "")
    keyring = _extra("keyring", Sentence("{origin} names a keyring entry", origin=origin))
    problem = ""
    secret: str | None = None
    try:
        secret = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        problem = f" ({type(error).__name__})"
    if not secret:
        raise SourceError(
            "{origin}: the keyring has no entry {service!r} for {user!r}{problem}. Put the URL of the database "
            "there: `keyring set {service} {user}`.",
            origin=origin,
            service=service,
            user=user,
            problem=problem,
        )
    return str(secret)


def _beside(url: Any, origin: str, folder: Path | None) -> Any:
    """A file database relative to the folder of the source file. Raises SourceError where the file is not there."""
    if url.get_backend_name() not in ("sqlite", "duckdb") or url.database in (None, "", ":memory:"):
        return url
    if str(url.database).startswith("file:"):
        return url
    file = (folder or Path()) / url.database
    if not file.is_file():
        raise SourceError(
            "{origin}: the database {file} does not exist. Correct the connection.", origin=origin, file=file
        )
    return url.set(database=str(file))


def _extra(module: str, why: str, extra: str = "sql") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        pass
    raise UsageError(
        '{why}, and {module} is not installed: pip install "salescoach[{extra}]"', why=why, module=module, extra=extra
    )


def said(act: Callable[[], Answer], name: str, address: _Address | None = None) -> Answer:
    """Do it; what a driver says becomes an InputError that shows no credential.

    The driver's own error is not kept behind it: it may quote the URL, and its traceback keeps the driver's variables.
    """
    try:
        return act()
    except (SourceError, UsageError):
        raise
    except Exception as error:  # every driver raises kinds of its own
        problem = _problem(error, address)
    where = Sentence(" at {address}", address=str(address)) if address else ""
    raise InputError("{name}: the database{where} answers {problem}", name=name, where=where, problem=problem)


def _problem(error: Exception, address: _Address | None) -> str:
    if isinstance(error, ModuleNotFoundError):
        driver = str(error.name)
        return Sentence(
            "nothing, its driver {driver} is not installed: pip install {package}",
            driver=driver,
            package=DRIVERS.get(driver, driver),
        )
    origin = getattr(error, "orig", None) or error
    text = " ".join(str(origin).split())
    text = QUOTED.sub(lambda m: f"{m[1] or m[2]}***{'@' if m[1] else ''}", address.redact(text) if address else text)
    return f"{type(origin).__name__}: {text}"


# --- engines: how a statement is run ---------------------------------------------------------------


class Engine(ABC):
    """Runs statements that SQLAlchemy builds, and gives columns as the driver holds them."""

    dialect: Any
    address: _Address | None = None

    @abstractmethod
    def header(self, statement: Any) -> list[str]:
        """The names of the columns of a statement that selects no row."""

    @abstractmethod
    def columns(self, statement: Any) -> list[Sequence[Any]]:
        """The values of each column: a list, or a column of an Arrow table."""

    def names(self) -> set[str]:
        """The tables and views of the database, in lower case."""
        import sqlalchemy as sa

        listed_in: sa.Select[Any]
        if self.dialect.name == "sqlite":
            listed_in = sa.select(sa.column("name")).select_from(sa.table("sqlite_master"))
        else:
            listed_in = sa.select(sa.column("table_name")).select_from(sa.table("tables", schema="information_schema"))
        return {str(v).casefold() for v in _listed(self.columns(listed_in)[0])}

    def close(self) -> None:  # noqa: B027
        """Close what was opened here."""

    def compiled(self, statement: Any) -> tuple[str, Any]:
        """SQL in the words of the driver, with its parameters."""
        done = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        values = done.params
        return str(done), [values[k] for k in done.positiontup] if done.positional else values


class _Alchemy(Engine):
    def __init__(self, connection: Any, close: Callable[[], None] | None, address: _Address) -> None:
        self.connection, self.dialect, self.address = connection, connection.dialect, address
        self._close = close

    def header(self, statement: Any) -> list[str]:
        with self.connection.execute(statement) as result:
            return [str(c[0]) for c in result.cursor.description]

    def columns(self, statement: Any) -> list[Sequence[Any]]:
        with self.connection.execute(statement) as result:
            width = len(result.keys())
            return _columns_of(iter(lambda: result.fetchmany(FETCHED), []), width)

    def names(self) -> set[str]:
        import sqlalchemy as sa

        found = sa.inspect(self.connection)
        return {n.casefold() for n in (*found.get_table_names(), *found.get_view_names())}

    def close(self) -> None:
        if self._close is not None:
            self._close()


class _Plain(Engine):
    """A connection of a driver, by the rules of DB-API."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        module = type(connection).__module__.partition(".")[0]
        style = str(getattr(sys.modules.get(module), "paramstyle", "qmark"))
        self.dialect = _dialect(DIALECTS.get(module, ""), style)

    def header(self, statement: Any) -> list[str]:
        cursor = self._run(statement)
        names = [str(c[0]) for c in cursor.description]
        cursor.close()
        return names

    def columns(self, statement: Any) -> list[Sequence[Any]]:
        cursor = self._run(statement)
        found = _columns_of(iter(lambda: list(cursor.fetchmany(FETCHED)), []), len(cursor.description))
        cursor.close()
        return found

    def _run(self, statement: Any) -> Any:
        sql, values = self.compiled(statement)
        cursor = self.connection.cursor()
        doubled = self.dialect.paramstyle in (
            "format",
            "pyformat",
        )  # a percent sign, which only values make single again
        cursor.execute(*((sql, values) if values or doubled else (sql,)))
        return cursor


class _Arrow(Engine):
    """A connection that hands over whole columns as an Arrow table."""

    def __init__(self, connection: Any, close: bool) -> None:
        self.connection, self._closes = connection, close

    def header(self, statement: Any) -> list[str]:
        return [str(n) for n in self._table(statement).column_names]

    def columns(self, statement: Any) -> list[Sequence[Any]]:
        table = self._table(statement)
        return [table.column(i) for i in range(table.num_columns)]

    @abstractmethod
    def _table(self, statement: Any) -> Any: ...

    def close(self) -> None:
        if self._closes:
            self.connection.close()


class _Adbc(_Arrow):
    """A connection of the Arrow database standard, which hands over whole columns."""

    def __init__(self, connection: Any, close: bool = False) -> None:
        super().__init__(connection, close)
        vendor = str(connection.adbc_get_info().get("vendor_name", "")).casefold()
        known = next((d for d in ("postgresql", "sqlite", "mysql", "mssql") if d in vendor), "")
        self.dialect = _dialect(known, "numeric_dollar" if known == "postgresql" else "qmark")

    def _table(self, statement: Any) -> Any:
        sql, values = self.compiled(statement)
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters=tuple(values) if values else None)
            return cursor.fetch_arrow_table()


class _Duck(_Arrow):
    def __init__(self, connection: Any, close: bool = False) -> None:
        super().__init__(connection, close)
        self.dialect = _dialect("", "qmark")

    def _table(self, statement: Any) -> Any:
        sql, values = self.compiled(statement)
        return self.connection.sql(sql, params=list(values)).to_arrow_table()


def _connect(address: _Address) -> Engine:
    """A connection of our own, read in one transaction where the database can."""
    backend, url = address.url.get_backend_name(), address.url
    if backend == "duckdb":
        duckdb = _extra("duckdb", Sentence("The connection is a DuckDB file"))
        file = url.database or ":memory:"
        settings = {"python_enable_replacements": False}  # else a name that is no table is looked up in our variables
        connection = duckdb.connect(file, read_only=file != ":memory:", config=settings)
        connection.execute("SET enable_progress_bar = false")  # it would be printed among a program's answers
        return _Duck(connection, close=True)
    if url.drivername == "postgresql" and importlib.util.find_spec("adbc_driver_postgresql") is not None:
        adbc = importlib.import_module("adbc_driver_postgresql.dbapi")
        opened = adbc.connect(address.plain())
        with opened.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _Adbc(opened, close=True)
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
    connection = engine.connect()
    if backend == "postgresql":
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return _Alchemy(connection, connection.close, address)


def _engine_of(given: Any) -> Engine:
    """The engine for a connection that the caller opened, and closes."""
    import sqlalchemy as sa

    kinds = {f"{k.__module__}.{k.__qualname__}" for k in type(given).__mro__}
    if isinstance(given, sa.Engine):
        address = _Address(given.url)
        opened = said(given.connect, "connection", address)
        return _Alchemy(opened, opened.close, address)
    if isinstance(given, sa.Connection):
        return _Alchemy(given, None, _Address(given.engine.url))
    if "adbc_driver_manager.dbapi.Connection" in kinds:
        return _Adbc(given)
    if "DuckDBPyConnection" in {k.rpartition(".")[2] for k in kinds}:
        return _Duck(given)
    if hasattr(given, "cursor"):
        return _Plain(given)
    raise UsageError(
        "A {kind} is no connection. Give an SQLAlchemy engine or connection, an ADBC or DB-API connection, or "
        "a URL without a password.",
        kind=type(given).__name__,
    )


def _dialect(name: str, style: Any) -> Any:
    from sqlalchemy.engine.default import DefaultDialect

    if not name:
        return DefaultDialect(paramstyle=style)
    if name == "postgresql":  # the general one: those of drivers add casts that only they need
        module = importlib.import_module("sqlalchemy.dialects.postgresql.base")
        return module.PGDialect(paramstyle=style)
    return importlib.import_module(f"sqlalchemy.dialects.{name}").dialect(paramstyle=style)


def _columns_of(chunks: Iterator[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    columns: list[list[Any]] = [[] for _ in range(width)]
    for chunk in chunks:
        for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
            column.extend(values)
    return [*columns]


def _listed(column: Any) -> list[Any]:
    return column if isinstance(column, list) else list(column.to_pylist())


# --- one reading -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One table as it is asked for.

    headers     ours -> theirs; `wanted` are all columns of theirs that are read
    rows        the table or query, for statements
    conditions  which of its rows, as far as the database can leave out the others
    """

    name: str
    table: TableSource
    headers: dict[str, str]
    wanted: list[str]
    rows: Any
    conditions: tuple[Any, ...]

    def select(self, columns: Sequence[str], everything: bool = False) -> Any:
        """A statement for some columns; `everything` asks for all rows."""
        import sqlalchemy as sa

        return sa.select(*(self.rows.c[h] for h in columns)).where(*(() if everything else self.conditions))

    def count(self) -> Any:
        """A statement for the number of rows."""
        import sqlalchemy as sa

        return sa.select(sa.func.count()).select_from(self.rows).where(*self.conditions)


@dataclass
class Reading:
    """The tables of a source out of one open database."""

    source: Source
    name: str
    engine: Engine
    selection: Selection
    deals: set[str] = field(default_factory=set)
    asked: dict[str, Asked] = field(default_factory=dict)

    def tables(self) -> tuple[dict[str, RawTable], list[str]]:
        promised = self.source.preset is None
        there = None if promised else self._do(self.engine.names, "its tables")
        found: dict[str, RawTable] = {}
        empty: list[str] = []
        for name in sorted(self.source.tables, key=lambda n: n != "deals"):
            declared = self.source.tables[name].from_ or name
            if there is not None and not IS_QUERY.match(declared) and _path(declared)[-1].casefold() not in there:
                continue
            raw = self._table(name, self.source.tables[name], declared)
            if raw is not None:
                found[name] = raw
            else:
                empty.append(f"{self.name}: {name} (no rows)")
            if name == "deals" and raw is None:
                raise InputError(
                    "{name}: deals has no row to read. Check the table, the reps and the day.", name=self.name
                )
        if "deals" not in found:
            raise SourceError(
                "{name}: the database has no table `deals`. Name its tables in a source file.", name=self.name
            )
        return found, empty

    def _table(self, name: str, table: TableSource, declared: str) -> RawTable | None:
        there = self._do(lambda: self.engine.header(_all_of(declared)), name)
        headers = match_columns(table, there)
        if self.selection.reps and name == "deals" and "rep_id" not in headers:
            raise UsageError("{name}: deals has no column for `rep_id`, so it cannot be read by rep.", name=self.name)
        wanted = [h for h in there if h in _needed(table, headers, there)]
        if not wanted:
            raise SourceError(
                "{name}: {table} has none of the columns named under [{table}.columns]. It has: {there}.",
                name=self.name,
                table=name,
                there=listed(there),
            )
        rows = _from(declared, there)
        conditions = tuple(self._conditions(name, table, rows, headers))
        self.asked[name] = Asked(name, table, headers, wanted, rows, conditions)
        return self._raw(self.asked[name], self._rows(self.asked[name]))

    def _rows(self, asked: Asked) -> pd.DataFrame:
        """The rows asked for as text; a few more may be among them."""
        return self._frame(asked.select(asked.wanted), asked.wanted, asked.name)

    def _frame(self, statement: Any, names: Sequence[str], table: str) -> pd.DataFrame:
        columns = self._do(lambda: self.engine.columns(statement), table)
        texts = [column_texts(c) if hasattr(c, "type") else [value_text(v) for v in c] for c in columns]
        return pd.DataFrame({h: pd.Series(v, dtype="str") for h, v in zip(names, texts, strict=True)})

    def _raw(self, asked: Asked, frame: pd.DataFrame) -> RawTable | None:
        name, headers, wanted = asked.name, asked.headers, asked.wanted
        frame = frame[self._kept(name, asked.table, headers, frame)]
        if name == "deals" and "deal_id" in headers:
            self.deals = set(frame[headers["deal_id"]].str.strip())
        if frame.empty:
            return None
        content = [list(frame[h]) for h in wanted]
        digest = hashlib.sha256("\x1f".join(wanted).encode())
        for row in sorted("\x1f".join(r) for r in zip(*content, strict=True)):
            digest.update(row.encode("utf-8", "surrogatepass") + b"\n")
        lines = list(range(1, len(frame) + 1))
        rejects = Rejects(name, f"{self.name}: {name}", digest.hexdigest())
        return raw_table(Records(wanted, [*content], lines, 0), rejects, "sql")

    def _do(self, act: Callable[[], Answer], name: str) -> Answer:
        return said(act, f"{self.name}: {name}", self.engine.address)

    # --- which rows ---------------------------------------------------------------------------

    def _conditions(self, name: str, table: TableSource, rows: Any, headers: dict[str, str]) -> Iterator[Any]:
        """What the database itself can leave out: at least what `_kept` would drop, never more."""
        chosen = self.selection
        if chosen.reps and name in OF_A_REP and "rep_id" in headers:
            yield self._is_one_of(rows, headers["rep_id"], chosen.reps)
        deals = self.asked.get("deals")
        if chosen.reps and name in OF_A_DEAL and "deal_id" in headers and deals and "deal_id" in deals.headers:
            yield rows.c[headers["deal_id"]].in_(deals.select([deals.headers["deal_id"]]))
        stamped = []
        if chosen.until is not None:
            after = chosen.until + pd.Timedelta("1us")
            born = [c for c in BORN.get(name, ()) if c in headers]
            stamped += [self._stamped(table, c, rows, headers[c], after, before=True) for c in born]
        if chosen.changed_since is not None and "updated_at" in headers:
            there = headers["updated_at"]
            stamped.append(self._stamped(table, "updated_at", rows, there, chosen.changed_since, before=False))
        yield from (condition for condition in stamped if condition is not None)

    def _is_one_of(self, rows: Any, header: str, reps: Sequence[str]) -> Any:
        import sqlalchemy as sa

        column, sample = rows.c[header], self._sample(rows, header)
        if isinstance(sample, str):
            return column.in_(reps)
        kinds: dict[type, Callable[[str], Any]] = {int: int, decimal.Decimal: decimal.Decimal, uuid.UUID: uuid.UUID}
        if type(sample) in kinds:
            return column.in_([v for r in reps if (v := _as_kind(kinds[type(sample)], r)) is not None])
        return sa.cast(column, sa.String(255)).in_(reps)

    def _stamped(self, table: TableSource, ours: str, rows: Any, header: str, at: pd.Timestamp, before: bool) -> Any:
        """Rows without a stamp, or with one before an instant, or from one on; None where that cannot be asked."""
        import sqlalchemy as sa

        column, sample = rows.c[header], self._sample(rows, header)
        bound = self._bound(table, ours, sample, at, before)
        if bound is None:
            return None
        unread = (~column.like(YEAR_FIRST),) if isinstance(sample, str) else ()
        return sa.or_(column.is_(None), column < bound if before else column >= bound, *unread)

    def _sample(self, rows: Any, header: str) -> Any:
        """One value of a column, to know what kind it holds. SQLite has no stamps: what it gives as one is text."""
        import sqlalchemy as sa

        column = rows.c[header]
        statement = sa.select(column).where(column.is_not(None)).limit(1)
        found = _listed(self._do(lambda: self.engine.columns(statement), header)[0])
        value = found[0] if found else None
        return str(value) if self.engine.dialect.name == "sqlite" and isinstance(value, dt.date) else value

    def _bound(self, table: TableSource, ours: str, sample: Any, instant: pd.Timestamp, before: bool) -> Any:
        """An instant as a value of the column's kind, or None where the database cannot compare them.

        Stamps as text may be in any zone: they are compared with days of margin, and only where the year stands first.
        """
        import sqlalchemy as sa

        written = table.format.for_column(ours)
        zones = {self.selection.timezone, written.timezone or self.selection.timezone}
        local = (max if before else min)(instant.tz_convert(z).tz_localize(None) for z in zones)
        if isinstance(sample, dt.datetime) and sample.tzinfo is not None:
            return sa.bindparam(None, instant.to_pydatetime(), type_=sa.DateTime(timezone=True))
        if isinstance(sample, dt.datetime):
            return sa.bindparam(None, local.to_pydatetime(), type_=sa.DateTime())
        if isinstance(sample, dt.date):
            return sa.bindparam(None, (local.date() if not before else _day_after(local)), type_=sa.Date())
        year_first = isinstance(sample, str) and re.match(r"\d{4}-\d{2}-\d{2}", sample)
        if year_first and all(w.startswith("%Y-%m-%d") for w in written.date or ()):
            return (local.date() + (TWO_DAYS if before else -TWO_DAYS)).isoformat()
        return None

    def _kept(
        self, name: str, table: TableSource, headers: dict[str, str], frame: pd.DataFrame
    ) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The rows of these reps and this day exactly, whatever the database could leave out."""
        chosen, keep = self.selection, np.ones(len(frame), dtype=bool)
        if chosen.reps and name in OF_A_REP and "rep_id" in headers:
            keep &= frame[headers["rep_id"]].str.strip().isin(chosen.reps).to_numpy()
        if chosen.reps and name in OF_A_DEAL and "deal_id" in headers:
            keep &= frame[headers["deal_id"]].str.strip().isin(self.deals).to_numpy()
        if chosen.until is not None:
            for ours in (c for c in BORN.get(name, ()) if c in headers):
                instants = self._instants(name, table, ours, frame[headers[ours]])
                keep &= ~(instants > chosen.until).to_numpy()
        return keep

    def _instants(self, name: str, table: TableSource, ours: str, text: pd.Series) -> pd.Series:
        written = table.format.for_column(ours)
        place = parse.Place(f"{self.name}: {name}", name, ours, str(text.name))
        nulls = written.null or ()
        return parse.parse_instants(parse.blank_to_null(text, nulls), place, written, self.selection.timezone).values


def _day_after(local: pd.Timestamp) -> dt.date:
    """The first day that is not before an instant."""
    return (local - pd.Timedelta("1us")).date() + dt.timedelta(days=1)


def _as_kind(kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except (ValueError, decimal.InvalidOperation):
        return None


def _needed(table: TableSource, headers: dict[str, str], there: Sequence[str]) -> set[str]:
    """The columns that the source file speaks of: mapped, filtered by, made into rows, or a stage's date."""
    further = [*table.where, *((table.unpivot.year, *table.unpivot.months) if table.unpivot else ())]
    spoken = match_columns(table.model_copy(update={"columns": {h: (h,) for h in further}}), there)
    return {*headers.values(), *spoken.values(), *(h for h in there if table.stage_entered(h) is not None)}


def _path(declared: str) -> list[str]:
    """`sales."My Deals"` -> sales, My Deals"""
    return [p[1:-1].replace('""', '"') if p.startswith('"') else p for p in PATH.findall(declared.strip())]


def _all_of(declared: str) -> Any:
    """A statement that gives the columns of a table or query, and no row."""
    import sqlalchemy as sa

    if IS_QUERY.match(declared):
        inner = sa.text(escaped(declared)).columns(sa.column("x")).subquery("source")
    else:
        inner = _named(declared)
    return sa.select(sa.literal_column("*")).select_from(inner).where(sa.literal_column("1") == sa.literal_column("0"))


def _from(declared: str, headers: Sequence[str]) -> Any:
    import sqlalchemy as sa
    from sqlalchemy.sql import quoted_name

    columns: list[sa.ColumnClause[Any]] = [sa.column(quoted_name(h, quote=True)) for h in headers]
    if IS_QUERY.match(declared):
        return sa.text(escaped(declared)).columns(*columns).subquery("source")
    return _named(declared, *columns)


def _named(declared: str, *columns: Any) -> Any:
    import sqlalchemy as sa

    *schema, name = _path(declared)
    return sa.table(name, *columns, schema=".".join(schema) or None)


def escaped(query: str) -> str:
    """A query that SQLAlchemy takes literally: a colon in it makes no parameter, and a comment at its end does end."""
    query = re.sub(r"(\\:\w*)(?![:\w])", r"\\\1", query.strip().rstrip(";"))
    return re.sub(r"(?<![:\w\\]):(\w+)(?![:\w])", r"\\:\1", query) + "\n"


__all__ = ["Asked", "Database", "Engine", "Reading", "Selection", "escaped", "said"]
