"""Databases: the same five deals out of SQLite, DuckDB and PostgreSQL, by every kind of connection, are the same book.

PostgreSQL is started by the tests where its programs are installed.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from salescoach.book import Book, save_book
from salescoach.errors import ColumnError, InputError, SalescoachError, SourceError, UsageError
from salescoach.sources import database as databases
from salescoach.sources import find_source, load_book
from salescoach.sources.database import Database, Selection

CANARY = "c4n4ry/hunter2"
URL_CANARY = "c4n4ry%2Fhunter2"
AS_OF = "2025-06-30"

# (name, text, type in PostgreSQL and DuckDB); SQLite holds each as text but the amount
DEALS = [
    ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "name"],
    ["D1", "Ann", "Won", "2025-01-01", "2025-01-11", "100.10", "Alpha"],
    ["D2", "Ann", "Lost", "2025-01-02", "2025-01-12", "200.00", "Beta"],
    ["D3", "Bob", "Quote", "2025-01-03", "", "300.00", "Gamma: 50 % off at 10:30"],
    ["D4", "Bob", "Won", "2025-06-01", "2025-06-14", "900719925474099.07", "Delta"],
    ["D5", "Cy", "Contract", "2025-06-05", "", "0.00", "丹尼"],
]
HISTORY = [
    ["deal_id", "entered_at", "stage"],
    ["D1", "2025-01-01 09:00:00+08:00", "Prospect"],
    ["D1", "2025-01-11 17:30:00.250000+08:00", "Won"],
    ["D4", "2025-06-01 08:00:00+08:00", "Prospect"],
    ["D4", "2025-06-14 08:00:00+08:00", "Won"],
]
REPS = [["rep_id", "name", "team"], ["Ann", "Ann Li", "North"], ["Bob", "Bob Wu", "South"], ["Cy", "Cy Xu", "South"]]
TABLES = {"deals": DEALS, "stage_history": HISTORY, "reps": REPS}
TYPES = {"created_at": "date", "closed_at": "date", "amount": "numeric(18, 2)", "entered_at": "timestamptz"}
UNMAPPED = "private_note"


def statements(types: dict[str, str]) -> Iterator[str]:
    """SQL that makes the tables, each with a column that no source maps."""
    for table, (header, *rows) in TABLES.items():
        columns = ", ".join(f"{c} {types.get(c, 'varchar(60)')}" for c in [*header, UNMAPPED])
        yield f"CREATE TABLE {table} ({columns})"
        for row in rows:
            values = ", ".join(f"'{v}'" if v else "NULL" for v in [*row, "for no one"])
            yield f"INSERT INTO {table} VALUES ({values})"


@pytest.fixture(scope="module")
def from_csv(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Book]:
    """The same tables as CSV files."""
    folder = tmp_path_factory.mktemp("csv")
    for table, rows in TABLES.items():
        (folder / f"{table}.csv").write_text("".join(",".join(r) + "\n" for r in rows), encoding="utf-8")
    return lambda **options: load_book(folder, **{"as_of": AS_OF, **options})


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "crm.db"
    connection = sqlite3.connect(file)
    for statement in statements({}):
        connection.execute(statement)
    connection.commit()
    connection.close()
    return file


@pytest.fixture(scope="module")
def duckdb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    duckdb = pytest.importorskip("duckdb")
    file = tmp_path_factory.mktemp("duckdb") / "crm.duckdb"
    with duckdb.connect(str(file)) as connection:
        for statement in statements(TYPES):
            connection.execute(statement)
    return file


def postgres_programs() -> Path | None:
    found = shutil.which("initdb")
    homes = [Path(found).resolve().parent] if found else []
    homes += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((h for h in homes if (h / "initdb").is_file() and (h / "pg_ctl").is_file()), None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Host part and name of a database in a PostgreSQL of our own; it listens on a socket in a folder only."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    if root and (shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode):
        pytest.skip("PostgreSQL cannot be started by root without a user postgres")
    folder = Path(tempfile.mkdtemp(prefix="sc-pg-", dir="/tmp"))  # the path of a socket must be short
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", *command] if root else command,
            check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip

    if root:
        shutil.chown(folder, "postgres")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-N", "-U", "ann", "--encoding=UTF8")
        run(str(programs / "pg_ctl"), "-D", str(data), "-o", settings, "-w", "-l", str(folder / "log"), "start")
        host = f"/postgres?host={folder}"
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(f"postgresql://ann@{host}") as connection:
            for statement in statements(TYPES):
                connection.execute(statement)
        yield host
    finally:
        if (data / "postmaster.pid").is_file():
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def source_file(folder: Path, head: str = "", deals: str = "deals", **changed: str) -> str:
    """A source file that maps every column of the tables but the private one."""
    lines = [head]
    for table, (header, *_) in TABLES.items():
        lines += [f"[{table}]", f"from = '''{deals if table == 'deals' else table}'''", f"[{table}.columns]"]
        lines += [f'{c} = "{changed.get(c, c)}"' for c in header]
    file = folder / "crm.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


# --- every way in gives the same book --------------------------------------------------------------

WAYS = ["sqlite url", "sqlite3", "sqlite engine", "sqlite connection", "sqlite adbc", "duckdb url", "duckdb connection",
        "postgresql by adbc", "postgresql by sqlalchemy", "psycopg", "postgresql adbc connection"]  # fmt: skip


@pytest.fixture
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What `load_book` is given for one way in."""
    kind = request.param

    def address(url: str) -> dict[str, Any]:
        monkeypatch.setenv("CRM_DATABASE_URL", url)
        return {"source": source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }')}

    def given(connection: object) -> dict[str, Any]:
        return {"source": source_file(tmp_path), "connection": connection}

    host = request.getfixturevalue("postgres") if kind.startswith(("postgresql", "psycopg")) else ""
    file = request.getfixturevalue(f"{kind.split()[0].rstrip('3')}_file") if not host else Path()
    opened: Any = None
    match kind:
        case "sqlite url" | "duckdb url":
            yield {"source": source_file(tmp_path, f'connection = {{ url = "{kind.split()[0]}:///{file}" }}')}
        case "sqlite3":
            opened = sqlite3.connect(file)
            yield given(opened)
        case "sqlite engine":
            engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
            yield given(engine)
        case "sqlite connection":
            opened = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool).connect()
            yield given(opened)
        case "sqlite adbc":
            opened = pytest.importorskip("adbc_driver_sqlite.dbapi").connect(str(file))
            yield given(opened)
        case "duckdb connection":
            opened = pytest.importorskip("duckdb").connect(str(file), read_only=True)
            yield given(opened)
        case "postgresql by adbc":
            pytest.importorskip("adbc_driver_postgresql")
            yield address(f"postgresql://ann@{host}")
        case "postgresql by sqlalchemy":
            yield address(f"postgresql+psycopg://ann@{host}")
        case "psycopg":
            opened = pytest.importorskip("psycopg").connect(f"postgresql://ann@{host}")
            yield given(opened)
        case "postgresql adbc connection":
            opened = pytest.importorskip("adbc_driver_postgresql.dbapi").connect(f"postgresql://ann@{host}")
            yield given(opened)
    if opened is not None:
        opened.close()


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[str], int]]:
    """Columns and number of rows that came over the wire, for each table."""
    seen: dict[str, tuple[list[str], int]] = {}
    real = databases.Reading._raw

    def record(self: Any, asked: Any, frame: pd.DataFrame) -> Any:
        seen[asked.name] = (asked.wanted, len(frame))
        return real(self, asked, frame)

    monkeypatch.setattr(databases.Reading, "_raw", record)
    return seen


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_every_connection_gives_the_book_of_the_csv_files(
    way: dict[str, Any], from_csv: Callable[..., Book], fetched: dict[str, tuple[list[str], int]]
) -> None:
    book = load_book(as_of=AS_OF, **way)
    assert book.content_hash == from_csv().content_hash
    assert fetched == {name: (rows[0], len(rows) - 1) for name, rows in TABLES.items()}  # the private column never
    # 900719925474099.07 is no float: the nearest is 900719925474099.1
    assert book.deals.set_index("deal_id")["amount_minor"]["D4"] == 90_071_992_547_409_907
    assert book.quality["rows"]["deals"] == from_csv().quality["rows"]["deals"]


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_rows_after_the_as_of_of_a_source_file_are_not_read(
    way: dict[str, Any], fetched: dict[str, tuple[list[str], int]], request: pytest.FixtureRequest
) -> None:
    # as of 31 May: D4 and D5 are of June, and so are two of the four entries
    source = Path(way["source"])
    source.write_text(f"as_of = 2025-05-31\n{source.read_text(encoding='utf-8')}", encoding="utf-8")
    book = load_book(**way)
    assert book.deals["deal_id"].tolist() == ["D1", "D2", "D3"]
    assert (len(book.quarantine), len(book.table("stage_history"))) == (0, 2 + 3)  # D2 and D3 have no entries of theirs
    # SQLite holds dates as text, which is compared with two days to spare: what is of 1 June comes, and is left out
    text = int("sqlite" in str(request.node.callspec.params["way"]))
    counts = {n: rows for n, (_, rows) in fetched.items()}
    assert counts == {"deals": 3 + text, "stage_history": 2 + text, "reps": 3}


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_only_the_reps_asked_for_are_read(way: dict[str, Any], fetched: dict[str, tuple[list[str], int]]) -> None:
    book = load_book(as_of=AS_OF, reps=["Ann", "Nobody"], **way)
    assert book.deals["deal_id"].tolist() == ["D1", "D2"]
    assert len(book.quarantine) == 0
    # the stage history has no owner: it is read by the deals of the reps
    assert {n: rows for n, (_, rows) in fetched.items()} == {"deals": 2, "stage_history": 2, "reps": 3}


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_a_query_is_read_like_a_table(
    way: dict[str, Any], from_csv: Callable[..., Book], tmp_path: Path, fetched: dict[str, tuple[list[str], int]]
) -> None:
    query = (
        "WITH d AS (SELECT * FROM deals WHERE name <> 'off at :night' AND name NOT LIKE 'x%:30') "
        "SELECT deal_id, rep_id, stage, created_at, closed_at, amount, name AS name, private_note FROM d -- all"
    )
    head = Path(way["source"]).read_text(encoding="utf-8").split("[deals]")[0]
    way["source"] = source_file(tmp_path, head, query)
    assert load_book(as_of=AS_OF, **way).content_hash == from_csv().content_hash
    assert fetched["deals"] == (DEALS[0], 5)
    assert load_book(as_of=AS_OF, reps=["Cy"], **way).deals["deal_id"].tolist() == ["D5"]


def test_the_statement_asks_for_columns_reps_and_days(sqlite_file: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{sqlite_file}", poolclass=sa.NullPool)
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((" ".join(statement.split()), parameters))

    source = source_file(tmp_path, "as_of = 2025-05-31")
    load_book(source=source, connection=engine, reps=["Ann' OR 1=1 --", "Ann"])
    sql, parameters = next((s, p) for s, p in asked if s.startswith('SELECT deals."deal_id"') and '"name"' in s)
    assert sql.startswith(
        'SELECT deals."deal_id", deals."rep_id", deals."stage", deals."created_at", deals."closed_at", '
        'deals."amount", deals."name" FROM deals WHERE deals."rep_id" IN (?, ?) AND'
    )
    assert parameters[:2] == ("Ann' OR 1=1 --", "Ann")  # as parameters, never as SQL
    assert parameters[2] == "2025-06-03"
    assert not any("private_note" in s for s, _ in asked)


def test_numbers_as_ids_are_asked_for_as_numbers(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE deals (deal_id INTEGER, stage TEXT, rep_id INTEGER)")
    connection.executemany("INSERT INTO deals VALUES (?, 'Won', ?)", [(9007199254740993, 7), (2, 8), (3, None)])
    book = load_book(connection=connection, as_of=AS_OF, reps=["7", "Ann"])
    assert book.deals["deal_id"].tolist() == ["9007199254740993"]  # beside a null it stays exact
    connection.close()


def test_rows_changed_since_an_instant(duckdb_file: Path, sqlite_file: Path, tmp_path: Path) -> None:
    """`updated_at` is mapped to the close date: D4 closed on 14 June, and two deals have none."""
    since = pd.Timestamp("2025-06-10", tz="Asia/Shanghai")
    for kind, file in (("duckdb", duckdb_file), ("sqlite", sqlite_file)):
        text = f'connection = {{ url = "{kind}:///{file}" }}\n[deals]\n[deals.columns]\ndeal_id = "deal_id"\n'
        toml = tmp_path / "crm.toml"
        toml.write_text(text + 'stage = "stage"\nupdated_at = "closed_at"\n')
        source, folder = find_source(str(toml))
        found, empty = Database(source, folder=folder).read(Selection(changed_since=since, timezone="Asia/Shanghai"))
        assert (found["deals"].frame["deal_id"].tolist(), empty) == (["D3", "D4", "D5"], [])


# --- what stands in the book -----------------------------------------------------------------------


def test_origin_and_quarantine_name_the_table_and_no_address(sqlite_file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "bad.db")) as connection, connection:
        for statement in statements({}):
            connection.execute(statement)
        connection.execute("UPDATE deals SET created_at = '2025-02-30' WHERE deal_id = 'D2'")
    connection.close()
    book = load_book(source=source_file(tmp_path, 'connection = { url = "sqlite:///bad.db" }'), as_of=AS_OF)
    row = book.quarantine.iloc[0]
    assert (row["file"], row["line"], row["reason"]) == ("crm (SQL): deals", 2, "bad-date")
    assert book.origin["files"][0]["file"] == "crm (SQL): deals"
    assert {f["encoding"] for f in book.origin["files"]} == {"sql"}
    assert str(tmp_path) not in str(book.origin)


def test_the_hash_of_a_table_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    hashes = []
    for order in ("ASC", "DESC"):
        connection = sqlite3.connect(":memory:")
        for statement in statements({}):
            connection.execute(statement)
        source = source_file(tmp_path, deals=f"SELECT * FROM deals ORDER BY deal_id {order}")
        book = load_book(source=source, connection=connection, as_of=AS_OF)
        hashes.append((book.origin["files"][0]["sha256"], book.content_hash))
        connection.close()
    assert hashes[0] == hashes[1]


def test_tables_of_our_own_names_need_no_source_file(sqlite_file: Path, from_csv: Callable[..., Book]) -> None:
    connection = sqlite3.connect(sqlite_file)
    assert load_book(connection=connection, as_of=AS_OF).content_hash == from_csv().content_hash
    connection.close()
    by_url = load_book(connection=f"sqlite:///{sqlite_file}", as_of=AS_OF)
    assert (by_url.content_hash, by_url.origin["source"]) == (from_csv().content_hash, "generic")


def test_a_folder_with_a_source_file_may_name_a_database(sqlite_file: Path, tmp_path: Path) -> None:
    Path(source_file(tmp_path, f'connection = {{ url = "sqlite:///{sqlite_file}" }}')).rename(tmp_path / "source.toml")
    assert len(load_book(tmp_path, as_of=AS_OF).deals) == 5


def test_a_table_without_rows_is_named(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    for statement in statements({}):
        connection.execute(statement)
    connection.execute("DELETE FROM reps")
    book = load_book(source=source_file(tmp_path), connection=connection, as_of=AS_OF)
    assert (book.quality["files_ignored"], book.has("reps")) == (["crm (SQL): reps (no rows)"], False)
    connection.execute("DELETE FROM deals")
    with pytest.raises(InputError, match=r"crm \(SQL\): deals has no row to read\. Check the table"):
        load_book(source=source_file(tmp_path), connection=connection, as_of=AS_OF)
    connection.close()


def test_the_callers_connection_stays_open(sqlite_file: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(sqlite_file)
    load_book(source=source_file(tmp_path), connection=connection, as_of=AS_OF)
    assert connection.execute("SELECT count(*) FROM deals").fetchone() == (5,)
    connection.close()


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (
            'connection = { env = "NOT_SET_HERE" }',
            ["environment variable NOT_SET_HERE is not set", "Set it to the URL"],
        ),
        ('connection = { url = "sqlite:///gone.db" }', ["gone.db does not exist", "Correct the connection"]),
        (
            f'connection = {{ url = "postgresql://ann:{CANARY}@h/db" }}',
            ["has a password in it", "env = ", "keyring = "],
        ),
        (f'connection = {{ url = "snowflake://h/db?token={CANARY}" }}', ["has a password in it"]),
        (f'connection = "postgresql://ann:{CANARY}@h/db"', ["write connection = {", "one of them"]),
        (f'connection = {{ password = "{CANARY}" }}', ["write connection = {"]),
        (f'connection = {{ env = ["{CANARY}"] }}', ["write connection = {"]),
        (
            'connection = { url = "crm.db" }',
            ["connection holds no database URL", "dialect://user:password@host/database"],
        ),
    ],
)
def test_a_wrong_connection_says_what_to_write_and_repeats_no_secret(
    tmp_path: Path, head: str, parts: list[str]
) -> None:
    with pytest.raises(SourceError) as raised:
        load_book(source=source_file(tmp_path, head), as_of=AS_OF)
    assert [p for p in ["crm.toml", *parts] if p not in str(raised.value)] == []
    assert "c4n4ry" not in "".join(traceback.format_exception(raised.value))


def test_files_and_a_connection_do_not_mix(sqlite_file: Path, tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("deal_id,stage\n1,Won\n")
    with pytest.raises(UsageError, match="Give files or a connection, not both"):
        load_book(tmp_path / "deals.csv", connection=f"sqlite:///{sqlite_file}")
    with pytest.raises(UsageError, match=r"`reps` chooses rows of a database.*for_rep"):
        load_book(tmp_path / "deals.csv", reps=["Ann"])
    with pytest.raises(UsageError, match="A dict is no connection"):
        load_book(connection={})


def test_missing_tables_and_columns_are_named(sqlite_file: Path, tmp_path: Path) -> None:
    head = f'connection = {{ url = "sqlite:///{sqlite_file}" }}'
    with pytest.raises(
        InputError, match=r"crm \(SQL\): deals: the database at sqlite:.* answers .*no such table: dealz"
    ):
        load_book(source=source_file(tmp_path, head, "dealz"), as_of=AS_OF)
    with pytest.raises(ColumnError, match=r"crm \(SQL\): deals has no column for `amount` \(looked for 'amnt'\)"):
        load_book(source=source_file(tmp_path, head, amount="amnt"), as_of=AS_OF)
    empty = sqlite3.connect(":memory:")
    with pytest.raises(SourceError, match=r"has no table `deals`\. Name its tables in a source file"):
        load_book(connection=empty)
    empty.execute("CREATE TABLE deals (a TEXT, b TEXT)")
    with pytest.raises(
        SourceError, match=r"deals has none of the columns named under \[deals\.columns\]. It has: a, b"
    ):
        load_book(connection=empty)
    empty.execute("ALTER TABLE deals RENAME COLUMN a TO deal_id")
    with pytest.raises(UsageError, match="deals has no column for `rep_id`, so it cannot be read by rep"):
        load_book(connection=empty, reps=["Ann"])
    empty.close()


@pytest.mark.parametrize(
    ("module", "head"),
    [("duckdb", 'connection = { url = "duckdb://" }'), ("keyring", 'connection = { keyring = ["crm", "ann"] }')],
)
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, head: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf'{module} is not installed: pip install "salescoach\[sql\]"'):
        load_book(source=source_file(tmp_path, head), as_of=AS_OF)


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("CRM_DATABASE_URL", f"postgresql+psycopg://ann:{URL_CANARY}@localhost/db")
    with pytest.raises(InputError, match=r'driver psycopg is not installed: pip install "salescoach\[sql\]"') as raised:
        load_book(source=source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }'), as_of=AS_OF)
    assert "c4n4ry" not in shown_by(raised.value)


# --- credentials -----------------------------------------------------------------------------------


def shown_by(error: BaseException) -> str:
    """All that an error can print: its chain, and the variables of every function of ours and of libraries in it."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = [str(error), repr(error), *traceback.format_exception(error)]
    while told is not None:
        for frame in told.stack:
            if Path(frame.filename) != Path(__file__):
                texts += [f"{k}={v}" for k, v in (frame.locals or {}).items() if k != "head"]
        told = told.__cause__ or told.__context__  # type: ignore[assignment]
    return "\n".join(texts)


class FakeKeyring:
    """A keyring that holds one URL."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keyring = pytest.importorskip("keyring")
        monkeypatch.setattr(keyring, "get_password", lambda service, user: self.url)


BROKEN = [
    "postgresql://ann:{p}@localhost:1/db",
    "postgresql+psycopg://ann:{p}@localhost:1/db?application_name=coach",
    "postgresql+psycopg://ann@localhost:1/db?password={p}",
    "postgresql://ann:{p}@localhost:notaport/db",
    "postgresql+psycopg://ann:{p}@localhost:1/db?nonsense={p}",
    "nosuchdialect://ann:{p}@localhost/db",
    "ann:{p}@localhost",
    "sqlite:///gone-{p}.db?password={p}",
]


@pytest.mark.parametrize("where", ["env", "keyring"])
@pytest.mark.parametrize("url", BROKEN)
def test_a_failing_connection_shows_no_credential(
    url: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    url = url.format(p="c4n4ryhunter2" if "sqlite" in url else URL_CANARY)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRM_DATABASE_URL", url)
    FakeKeyring(url).install(monkeypatch)
    head = 'env = "CRM_DATABASE_URL"' if where == "env" else 'keyring = ["crm", "ann"]'
    with pytest.raises(SalescoachError) as raised:
        load_book(source=source_file(tmp_path, f"connection = {{ {head} }}"), as_of=AS_OF)
    if "sqlite" not in url:  # a file's name is no secret
        assert "c4n4ry" not in shown_by(raised.value)
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    assert "c4n4ry" not in caplog.text + "".join(capfd.readouterr())


def test_an_empty_keyring_says_how_to_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKeyring(None).install(monkeypatch)
    with pytest.raises(SourceError, match=r"keyring has no entry 'crm' for 'ann'.*`keyring set crm ann`"):
        load_book(source=source_file(tmp_path, 'connection = { keyring = ["crm", "ann"] }'), as_of=AS_OF)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_a_book_from_a_database_holds_no_credential(
    postgres: str, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_csv: Callable[..., Book],
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRM_DATABASE_URL", f"{driver}://ann:{URL_CANARY}@{postgres}")
    source = source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }')
    book = load_book(source=source, as_of=AS_OF)
    assert book.content_hash == from_csv().content_hash
    save_book(book, tmp_path / "book")
    written = b"".join(f.read_bytes() for f in (tmp_path / "book").rglob("*") if f.is_file())
    assert b"c4n4ry" not in written and b"sc-pg-" not in written
    assert "c4n4ry" not in repr(book) + str(book.origin) + str(book.quality) + caplog.text
    assert "c4n4ry" not in "".join(capfd.readouterr())
    with pytest.raises(
        InputError, match=rf"the database at {driver.replace('+', '.')}://ann:\*\*\*@/postgres"
    ) as raised:
        load_book(source=source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }', "dealz"), as_of=AS_OF)
    assert "c4n4ry" not in shown_by(raised.value)


def test_a_database_and_its_address_print_no_credential() -> None:
    url = sa.make_url(f"postgresql://ann:{URL_CANARY}@h/db?sslpassword={URL_CANARY}")
    source, _ = find_source("generic")
    address = databases._Address(url)
    texts = [
        repr(address),
        str(address),
        repr(Database(source, url)),
        address.redact(f"no {CANARY} or {URL_CANARY} {url}"),
    ]
    assert "c4n4ry" not in "".join(texts)
    assert databases._problem(ValueError("see mysql://ann:hunter2@h, password=hunter2"), None) == (
        "ValueError: see mysql://ann:***@h, password=***"
    )
