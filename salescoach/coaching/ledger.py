"""The coaching ledger: what was agreed, append-only, in a file or a database, beside the book and never in it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from salescoach.coaching.agreed import MANAGER, REP, Agreed, Promise, Session
from salescoach.errors import Sentence, StorageError, UsageError, commas, suggestion
from salescoach.sources.layout import SECRET

VERSION = 1
THINGS = ("session", "promise", "review", "note", "dispute", "answer", "purge")
STATUSES = ("kept", "not kept", "dropped")
SIDES = (REP, MANAGER)
FROM_ENVIRONMENT = "env:"
SUFFIX = ".ledger.sqlite"
WAIT_SECONDS = 60
LOCK = 7_305_218_043  # any number: writers of one PostgreSQL wait for each other under it
START = "0" * 64

_metadata = MetaData()
_about = Table("ledger", _metadata, Column("version", Integer, nullable=False))
_entries = Table(
    "entries",
    _metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("entry_id", String(32), nullable=False, unique=True),
    Column("thing", String(16), nullable=False),
    Column("about", String(32)),  # the promise of a review, the dispute of an answer
    Column("rep_id", Text, index=True),
    Column("written_at", String(32), nullable=False),
    Column("written_by", Text),
    Column("content", Text),
    Column("salt", String(32)),  # without it, what was emptied could be guessed and tried against the hash
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
_EMPTIED = ("rep_id", "written_by", "content", "salt")  # by a purge
_HASHED = ("seq", "entry_id", "thing", "about", "rep_id", "written_at", "written_by", "content", "salt", "previous")


def ledger_of(book: str | Path) -> Path:
    """Where the ledger of a book is kept unless something else is said: beside its folder."""
    folder = Path(book)
    return folder.with_name(folder.name + SUFFIX)


def open_ledger(where: str | Path) -> Ledger:
    """Open a ledger; a file that is not there yet is made.

    where   a file (SQLite), the URL of a database without a password, or env:NAME for one that an environment variable
            holds. SQLite and PostgreSQL are supported

    Raises UsageError for an address that cannot be understood, StorageError where it cannot be opened or was written by
    a newer version.
    """
    engine = _engine(str(where))
    try:
        with engine.begin() as connection:
            _wait_for_turn(connection)
            if not inspect(connection).has_table(_about.name):
                _metadata.create_all(connection)
                connection.execute(insert(_about).values(version=VERSION))
            version = max(connection.execute(select(_about.c.version)).scalars())
    except SQLAlchemyError as error:
        raise _unusable(engine, error) from error
    if version > VERSION:
        raise StorageError(
            "The ledger was written by a newer salescoach (version {version}). Update salescoach.", version=version
        )
    return Ledger(engine)


def _wait_for_turn(connection: Connection) -> None:
    """One writer at a time: SQLite locks its file with BEGIN IMMEDIATE, PostgreSQL has a lock for it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def _engine(where: str) -> Engine:
    from_environment = where.startswith(FROM_ENVIRONMENT)
    if from_environment:
        name = where.removeprefix(FROM_ENVIRONMENT)
        where = os.environ.get(name, "").strip()
        if not where:
            raise UsageError(
                "The environment variable {name} is not set. Put the ledger's file or URL there.", name=name
            )
    if "://" not in where:
        return _sqlite(Path(where).resolve())
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):  # the message of either may hold the password
        raise UsageError("The ledger is a file, or a URL such as postgresql+psycopg://host/database.") from None
    if not from_environment and (url.password or any(SECRET.search(key) for key in url.query)):
        raise UsageError("The ledger's URL holds a password. Put it into an environment variable and give env:NAME.")
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(url.database or ""))
    if url.get_backend_name() != "postgresql":
        raise UsageError(
            "A ledger is kept in SQLite or PostgreSQL, not in {kind}.",
            kind=url.get_backend_name(),
        )
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, poolclass=NullPool)
    except (ImportError, SQLAlchemyError) as error:
        raise UsageError(
            "PostgreSQL cannot be reached by {driver}: install salescoach[sql], and write the URL as "
            "postgresql://host/database.",
            driver=url.drivername,
        ) from error


def _sqlite(file: Path) -> Engine:
    """A file that only its owner can read, in which nothing acknowledged is lost when the machine stops."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            "The ledger {file} cannot be opened: {problem}. Choose another place.", file=file, problem=error.strerror
        ) from error
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": WAIT_SECONDS}, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we begin our transactions ourselves
        lines = (f"busy_timeout={WAIT_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
        for line in lines:
            connection.execute(f"PRAGMA {line}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _unusable(engine: Engine, error: SQLAlchemyError) -> StorageError:
    shown = engine.url.set(query={}).render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return StorageError("The ledger {shown} cannot be used: {reason}", shown=shown, reason=reason)


@dataclass(frozen=True)
class Ledger:
    """Sessions, promises, reviews, notes and disputes, one entry after the other.

    Nothing is changed: a review is an entry about a promise, an answer one about a dispute. Every entry holds the hash
    of the one before, so `verify` sees what somebody changed by hand. Only `purge` empties entries, and says so.
    """

    engine: Engine

    # --- writing ------------------------------------------------------------------------------

    def add_session(
        self,
        rep_id: str,
        on: str,
        written_by: str = "",
        stage: str = "",
        minutes: int | None = None,
        win: str = "",
        discuss: str = "",
        blocker: str = "",
        definitions: str = "",
    ) -> str:
        """One conversation and what the rep brought to it: a win, what to discuss, a blocker. Returns its entry_id."""
        content = {"on": _day(on, "on"), "stage": stage, "minutes": minutes, "win": win, "discuss": discuss}
        content |= {"blocker": blocker, "definitions": definitions}
        return self._append("session", rep_id, written_by, content)

    def add_promise(
        self,
        rep_id: str,
        by: str,
        what: str,
        on: str,
        written_by: str = "",
        measure: str = "",
        stage: str = "",
        deals: tuple[str, ...] = (),
        due_on: str = "",
        before: float | None = None,
    ) -> str:
        """One commitment of the rep or of the manager (`by`). Returns its entry_id.

        what      the behaviour, in words
        measure   what it is to be seen by: the name of a metric, or words; before: its value now
        """
        if by not in SIDES:
            raise UsageError(
                "A commitment is by {sides}, not by {by!r}.{hint}",
                sides=" / ".join(SIDES),
                by=by,
                hint=suggestion(by, SIDES),
            )
        if not what.strip():
            raise UsageError("A commitment says what will be done. Give it in words.")
        content: dict[str, Any] = {
            "by": by,
            "what": what.strip(),
            "measure": measure,
            "stage": stage,
            "deals": list(deals),
        }
        content |= {"on": _day(on, "on"), "due_on": _day(due_on, "due_on") if due_on else ""}
        content["before"] = before if before is not None and isfinite(before) else None
        return self._append("promise", rep_id, written_by, content)

    def review(self, promise_id: str, status: str, on: str, said: str = "", written_by: str = "") -> str:
        """What became of a commitment: kept, not kept or dropped, as the two agreed. Returns the review's entry_id."""
        if status not in STATUSES:
            raise UsageError(
                "A commitment is {statuses}, not {status!r}.{hint}",
                statuses=commas(STATUSES),
                status=status,
                hint=suggestion(status, STATUSES),
            )
        content = {"status": status, "on": _day(on, "on"), "said": said}
        return self._append_about(promise_id, "promise", "review", written_by, content)

    def add_note(self, rep_id: str, said: str, on: str, written_by: str = "") -> str:
        """A note for the manager only: it never reaches a page of the rep's."""
        return self._append("note", rep_id, written_by, {"on": _day(on, "on"), "said": said})

    def dispute(self, rep_id: str, number: str, said: str, on: str, value: str = "", written_by: str = "") -> str:
        """A number that the rep does not accept, and why. Returns the dispute's entry_id."""
        content = {"number": number, "value": value, "said": said, "on": _day(on, "on")}
        return self._append("dispute", rep_id, written_by, content)

    def answer(self, dispute_id: str, said: str, on: str, written_by: str = "") -> str:
        """What was found about a disputed number."""
        content = {"said": said, "on": _day(on, "on")}
        return self._append_about(dispute_id, "dispute", "answer", written_by, content)

    def _append(self, thing: str, rep_id: str, written_by: str, content: Mapping[str, Any]) -> str:
        """Write one entry. When this returns, it is on disk."""
        if not rep_id.strip():
            raise UsageError("An entry is about a rep. Give the rep's id.")
        with self._writing() as connection:
            return _write(connection, thing, rep_id, written_by, content, None)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One writer at a time."""
        try:
            with self.engine.begin() as connection:
                _wait_for_turn(connection)
                yield connection
        except SQLAlchemyError as error:
            raise _unusable(self.engine, error) from error

    def _append_about(self, entry_id: str, kind: str, thing: str, written_by: str, content: Mapping[str, Any]) -> str:
        """Write an entry about another one, of whose id the beginning will do. Raises UsageError if there is none."""
        query = select(_entries.c.entry_id, _entries.c.rep_id).where(_entries.c.thing == kind)
        query = query.where(_entries.c.rep_id.is_not(None), _entries.c.entry_id.startswith(entry_id, autoescape=True))
        with self._writing() as connection:  # in the same turn, so that no purge comes in between
            found = connection.execute(query.limit(2)).all() if entry_id else []
            if len(found) != 1:
                name = {"promise": "commitment"}.get(kind, kind)
                raise UsageError(
                    "There is no {name} {entry_id!r}. `salescoach log list` shows them with their ids.",
                    name=name,
                    entry_id=entry_id,
                )
            return _write(connection, thing, found[0].rep_id, written_by, content, found[0].entry_id)

    # --- reading ------------------------------------------------------------------------------

    def entries(self, rep_id: str | None = None) -> pd.DataFrame:
        """All entries in their order, or those about one rep: seq, entry_id, thing, about, rep_id, written_at,
        written_by, content (as text), salt, previous, hash; what was purged is null.
        """
        query = select(_entries).order_by(_entries.c.seq)
        if rep_id is not None:
            query = query.where(_entries.c.rep_id == rep_id)
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                rows = connection.execute(query).mappings().all()
        except SQLAlchemyError as error:
            raise _unusable(self.engine, error) from error
        table = pd.DataFrame(rows, columns=[c.name for c in _entries.columns], dtype="object")
        return table.astype({"seq": "int64"})

    def sessions_table(self) -> pd.DataFrame:
        """Conversations by their day: session_id, rep_id, on (a day), stage (null: none), minutes, win, discuss,
        blocker, definitions, written_by.
        """
        columns = ["on", "stage", "minutes", "win", "discuss", "blocker", "definitions"]
        table = self._contents("session", columns).rename(columns={"entry_id": "session_id"})
        table["stage"] = table["stage"].where(table["stage"].astype("bool"), None)
        return table.assign(on=pd.to_datetime(table["on"])).sort_values("on", kind="stable", ignore_index=True)

    def promises_table(self) -> pd.DataFrame:
        """Commitments with what became of them: promise_id, rep_id, by, what, measure, stage, deals, on, due_on,
        before, status (open, kept, not kept, dropped), review, reviewed_on, written_by.
        """
        columns = ["by", "what", "measure", "stage", "deals", "on", "due_on", "before"]
        table = self._contents("promise", columns).rename(columns={"entry_id": "promise_id"})
        reviews = self._contents("review", ["status", "said", "on"], "about").drop_duplicates("about", keep="last")
        reviews = reviews.set_index("about")
        found = reviews.reindex(table["promise_id"])
        told = {"status": ("status", "open"), "review": ("said", ""), "reviewed_on": ("on", None)}
        for name, (column, blank) in told.items():
            table[name] = found[column].where(found[column].notna(), blank).to_numpy()
        return table

    def disputes_table(self) -> pd.DataFrame:
        """Disputed numbers: dispute_id, rep_id, number, value, said, on, answer (null: none yet), written_by."""
        table = self._contents("dispute", ["number", "value", "said", "on"]).rename(columns={"entry_id": "dispute_id"})
        answers = self._contents("answer", ["said"], "about").drop_duplicates("about", keep="last").set_index("about")
        return table.assign(answer=answers["said"].reindex(table["dispute_id"]).to_numpy())

    def _contents(self, thing: str, columns: list[str], key: str = "entry_id") -> pd.DataFrame:
        rows = self.entries()
        rows = rows[(rows["thing"] == thing) & rows["content"].notna()]
        contents = [json.loads(content) for content in rows["content"]]
        front = {key: rows[key].to_list(), "rep_id": rows["rep_id"].to_list()}
        told = {column: [content.get(column) for content in contents] for column in columns}
        return pd.DataFrame({**front, **told, "written_by": rows["written_by"].to_list()}, dtype="object")

    def agreed_with(self, rep_id: str) -> Agreed:
        """What the rep's own page may show: commitments and sessions, the latest first; never the manager's notes."""
        promises = self.promises_table()
        promises = promises[promises["rep_id"] == rep_id].iloc[::-1].sort_values("on", ascending=False, kind="stable")
        sessions = self.sessions_table()
        sessions = sessions[sessions["rep_id"] == rep_id].iloc[::-1]
        return Agreed(
            tuple(_promise(row) for row in promises.to_dict("records")),
            tuple(_session(row) for row in sessions.to_dict("records")),
        )

    # --- rights -------------------------------------------------------------------------------

    def export(self, rep_id: str) -> dict[str, Any]:
        """Everything that the ledger holds about a rep, the manager's notes too: a person's right of access."""
        rows = self.entries(rep_id)
        kept = ["entry_id", "thing", "about", "written_at", "written_by"]
        found = [
            {**{name: row[name] for name in kept}, **json.loads(row["content"])}
            for row in rows.to_dict("records")
            if row["content"] is not None
        ]
        return {"rep_id": rep_id, "exported_at": _now(), "entries": found}

    def purge(self, rep_id: str, written_by: str = "") -> int:
        """Empty every entry about a rep for good; what stays says that, when and how many, and of nobody.

        What the database keeps elsewhere (backups, its log for replication) is for who looks after it. Returns how many
        entries were emptied. Raises UsageError where there is none.
        """
        with self._writing() as connection:
            here = connection.execute(select(_entries.c.seq).where(_entries.c.rep_id == rep_id)).scalars().all()
            if not here:
                raise UsageError("The ledger holds nothing about {rep_id!r}.", rep_id=rep_id)
            emptied = dict.fromkeys(_EMPTIED)
            connection.execute(update(_entries).where(_entries.c.rep_id == rep_id).values(**emptied))
            _write(connection, "purge", None, written_by, {"entries": len(here)}, None)
        self._sweep()
        return len(here)

    def _sweep(self) -> None:
        """Have the database let go of what was emptied; where somebody is reading, it does so later by itself."""
        engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        if engine.dialect.name == "postgresql":
            with suppress(SQLAlchemyError), engine.connect() as connection:
                connection.execute(text(f"VACUUM {_entries.name}"))
            return
        raw: Any = self.engine.raw_connection()
        with closing(raw), suppress(sqlite3.Error):
            for line in ("PRAGMA busy_timeout=2000", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                raw.driver_connection.execute(line).fetchall()

    def verify(self) -> list[str]:
        """What is wrong with the chain of entries: a gap, or one that was changed, put in, taken out or emptied."""
        problems: list[str] = []
        before, last = START, 0
        emptied, purged = 0, 0
        for row in self.entries().to_dict("records"):
            if row["seq"] != last + 1:
                problems.append(Sentence("entry {last} is missing", last=last + 1))
            if row["previous"] != before:
                problems.append(Sentence("entry {seq} does not follow the one before it", seq=row["seq"]))
            if all(row[name] is None for name in _EMPTIED):
                emptied += 1
            elif row["hash"] != _hash(row):
                problems.append(Sentence("entry {seq} was changed after it was written", seq=row["seq"]))
            elif row["thing"] == "purge":
                purged += json.loads(row["content"])["entries"]
            before, last = row["hash"], row["seq"]
        if emptied != purged:
            problems.append(
                Sentence("{emptied} entries are empty, but {purged} were purged", emptied=emptied, purged=purged)
            )
        return problems


def _write(
    connection: Connection,
    thing: str,
    rep_id: str | None,
    written_by: str,
    content: Mapping[str, Any],
    about: str | None,
) -> str:
    told = json.dumps(content, ensure_ascii=False, sort_keys=True)
    for part in (rep_id or "", written_by, told):
        if "\0" in part or any("\ud800" <= sign <= "\udfff" for sign in part):
            raise UsageError("The text holds a sign that cannot be stored. Write it again without pasting.")
    last = connection.execute(select(_entries.c.seq, _entries.c.hash).order_by(_entries.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, START)
    row: dict[str, Any] = {"seq": seq, "entry_id": uuid4().hex, "thing": thing, "about": about, "rep_id": rep_id}
    row |= {"written_at": _now(), "written_by": written_by, "content": told, "salt": secrets.token_hex(16)}
    row["previous"] = previous
    row["hash"] = _hash(row)
    connection.execute(insert(_entries).values(**row))
    return str(row["entry_id"])


def _hash(row: Mapping[Any, Any]) -> str:
    text_ = json.dumps([row[name] for name in _HASHED], ensure_ascii=False)
    return hashlib.sha256(text_.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _day(value: str, name: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError("{name}: {value!r} is no day. Write it as 2026-10-31.", name=name, value=value) from None


def _promise(row: Mapping[Any, Any]) -> Promise:
    before = row["before"]
    return Promise(
        row["by"],
        row["what"],
        row["measure"] or "",
        row["stage"] or "",
        tuple(row["deals"] or ()),
        row["on"],
        row["due_on"] or "",
        None if before is None or before != before else float(before),
        row["status"],
        row["review"],
    )


def _session(row: Mapping[Any, Any]) -> Session:
    texts = {name: row[name] or "" for name in ("win", "discuss", "blocker", "definitions")}
    return Session(row["on"].date().isoformat(), **texts)
