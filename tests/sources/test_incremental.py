"""A load from a cache reads only what changed and gives the book of a full read; one of a past day, that day's book."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from salescoach.book import Book, open_book, save_book
from salescoach.errors import InputError, StorageError, UsageError
from salescoach.sources import load_book, since

postgres = run_path(str(Path(__file__).with_name("test_database.py")))["postgres"]  # the fixture

CANARY = "c4n4ryhunter2"
OPEN = ["Prospect", "Qualify", "Quote", "Contract"]
COLUMNS = {
    "deals": ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "updated_at"],
    "stage_history": ["deal_id", "entered_at", "stage"],
    "changes": ["deal_id", "at", "field", "old", "new"],
    "reps": ["rep_id", "name", "team"],
}
STAMPS = {"created_at", "closed_at", "updated_at", "entered_at", "at"}
REPS = ["Ann", "Bob", "Cy"]


class Crm:
    """A CRM that people work in: deals come, move, change and go, and `updated_at` says so.

    run   runs one statement on the database
    day   whether its stamps have only days
    """

    def __init__(self, run: Callable[[str], None], seed: int, schema: str = "", kind: str = "text") -> None:
        self.run, self.random, self.schema, self.kind = run, random.Random(seed), schema, kind
        self.now = pd.Timestamp("2025-01-06 09:00:00")
        self.deals: dict[str, str | None] = {}  # deal -> the day it was closed on
        self.made = 0
        for table, columns in COLUMNS.items():
            kinds = {c: kind if c in STAMPS else "varchar(40)" for c in columns} | {"amount": "numeric(12, 2)"}
            run(f"CREATE TABLE {schema}{table} ({', '.join(f'{c!r} {kinds[c]}' for c in columns)})".replace("'", '"'))
        for rep in REPS:
            self.insert("reps", rep, f"{rep} Li", "North")

    def insert(self, table: str, *values: object) -> None:
        words = ", ".join("NULL" if v is None else f"'{v}'" for v in values)
        self.run(f"INSERT INTO {self.schema}{table} VALUES ({words})")

    def touch(self, deal: str, **changed: object) -> None:
        sets = ", ".join(f"{k} = " + ("NULL" if v is None else f"'{v}'") for k, v in changed.items())
        self.run(
            f"UPDATE {self.schema}deals SET {sets + ', ' if sets else ''}updated_at = '{self.now}' {self.of(deal)}"
        )

    @staticmethod
    def of(deal: str) -> str:
        return f"WHERE deal_id = '{deal}'"

    def log(self, deal: str, stage: str) -> None:
        self.insert("stage_history", deal, self.now, stage)

    def add(self, updated_at: object = "now") -> str:
        self.made += 1
        deal = f"D{self.made:04d}"
        at = self.now if updated_at == "now" else updated_at
        amount = self.random.randint(100, 99_999) / 100
        self.insert("deals", deal, self.random.choice(REPS), "Prospect", self.now, None, amount, at)
        self.log(deal, "Prospect")
        self.deals[deal] = None
        return deal

    def move(self, deal: str) -> None:
        stage = self.random.choice([*OPEN, "Won", "Lost"])
        closed = self.now if stage in ("Won", "Lost") else None
        self.touch(deal, stage=stage, closed_at=closed)
        self.log(deal, stage)

    def delete(self, deal: str, with_logs: bool = True) -> None:
        for table in ("deals", *(("stage_history", "changes") if with_logs else ())):
            self.run(f"DELETE FROM {self.schema}{table} {self.of(deal)}")
        del self.deals[deal]

    def change_owner(self, deal: str) -> None:
        self.touch(deal, rep_id=self.random.choice(REPS))
        self.insert("changes", deal, self.now, "rep_id", "Ann", "Bob")

    def clean_up(self, deal: str) -> None:
        """Somebody deletes the log of a deal."""
        self.run(f"DELETE FROM {self.schema}stage_history {self.of(deal)}")
        self.touch(deal)

    def amend(self, deal: str) -> None:
        self.run(f"UPDATE {self.schema}stage_history SET stage = 'Quote' {self.of(deal)}")
        self.touch(deal)

    def work(self, acts: int) -> set[str]:
        """Some hours of work. Returns the deals that were deleted."""
        before = set(self.deals)
        for _ in range(acts):
            self.now += pd.Timedelta(minutes=self.random.randint(1, 240))
            deal = self.random.choice(sorted(self.deals))
            act = self.random.choices(
                [self.add, self.move, self.change_owner, self.clean_up, self.amend, self.delete],
                weights=[4, 6, 2, 1, 1, 2],
            )[0]
            if act == self.add:
                self.add()
            else:
                act(deal)
        self.now += pd.Timedelta(hours=self.random.randint(0, 60))
        return before - set(self.deals)

    def instant(self) -> pd.Timestamp:
        return self.now.tz_localize("Asia/Shanghai").tz_convert("UTC")


def source_file(folder: Path, head: str = "", schema: str = "", without: str = "") -> str:
    lines = [head]
    for table, columns in COLUMNS.items():
        lines += [f"[{table}]", f'from = "{schema}{table}"', f"[{table}.columns]"]
        lines += [f'{c} = "{c}"' for c in columns if c != without]
    file = folder / "crm.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


def told(book: Book) -> tuple[Any, ...]:
    """All that a book says of its data, but for the order in which rows came and what the cache adds."""
    notes = [n for n in book.quality["notes"] if n["check"] != "vanished-row"]
    quarantine = book.quarantine.drop(columns=["record", "line"])
    rows = sorted(map(str, quarantine.to_dict("records")))
    files = sorted((f["table"], f["sha256"]) for f in book.origin["files"])
    return book.content_hash, files, {**book.quality, "notes": notes}, rows


def vanished(book: Book) -> tuple[int, list[str]]:
    notes = [n for n in book.quality["notes"] if n["check"] == "vanished-row"]
    return (notes[0]["count"], notes[0]["examples"]) if notes else (0, [])


class Fetched:
    """Counts the rows of every statement of an engine, table by table."""

    def __init__(self, engine: sa.Engine, file: Path) -> None:
        self.rows: dict[str, int] = {}
        self.cells = 0
        sa.event.listen(engine, "after_cursor_execute", self.note)
        self.file = file

    def note(self, _connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "sqlite_master" in statement or "PRAGMA" in statement:
            return
        beside = sqlite3.connect(self.file)
        n = beside.execute(f"SELECT count(*) FROM ({statement})", parameters).fetchone()[0]
        beside.close()
        table = statement.partition("FROM")[2].split()[0]
        self.rows[table] = self.rows.get(table, 0) + n
        self.cells += n * len(cursor.description)

    def take(self) -> tuple[dict[str, int], int]:
        taken = self.rows, self.cells
        self.rows, self.cells = {}, 0
        return taken


@pytest.fixture
def sqlite_crm(tmp_path: Path) -> Iterator[Crm]:
    connection = sqlite3.connect(tmp_path / "crm.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    yield Crm(connection.execute, seed=1)
    connection.close()


@pytest.fixture
def load(sqlite_crm: Crm, tmp_path: Path) -> Callable[..., Book]:
    """Load the SQLite database, from the cache unless `cache=None`."""
    source = source_file(tmp_path, 'connection = { url = "sqlite:///crm.db" }')

    def load_it(**options: Any) -> Book:
        given = {"source": source, "now": sqlite_crm.instant(), "cache": tmp_path / "cache", **options}
        return load_book(**{k: v for k, v in given.items() if v is not None})

    return load_it


# --- the same book ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reps", "rounds"),
    [(("Ann", "Bob"), 15), pytest.param((), 50, marks=pytest.mark.nightly)],
    ids=["two reps", "everybody"],
)
def test_fifty_loads_from_the_cache_are_the_books_of_full_reads(
    sqlite_crm: Crm, load: Callable[..., Book], reps: tuple[str, ...], rounds: int
) -> None:
    for _ in range(30):
        sqlite_crm.add()
    load(reps=reps)
    changed = 0
    for _ in range(rounds):
        gone = sqlite_crm.work(sqlite_crm.random.randint(0, 6))
        book = load(reps=reps)
        assert told(book) == told(load(reps=reps, cache=None))
        read = book.origin["read"]
        changed += "changed since" in read["deals"] and "deals that changed" in read["stage_history"]
        assert vanished(book)[0] == len(gone) if not reps else vanished(book)[0] <= len(gone)
    assert changed == rounds  # never once read whole


def test_what_nobody_expects_of_a_crm_is_noticed_and_read_whole(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    """Backdated rows, logs that grow in silence, deals deleted without their logs, a database that was put back."""
    crm, run = sqlite_crm, sqlite_crm.run
    for _ in range(9):
        crm.add()
    load()
    crm.now += pd.Timedelta(days=40)
    crm.add()
    load()
    old = "2025-01-07 10:00:00"
    surprises: dict[str, tuple[Callable[[], Any], str, str]] = {
        "a deal from an import": (lambda: crm.add(old), "deals", "with an older `updated_at` (1)"),
        "a change put back": (
            lambda: run(f"UPDATE deals SET amount = 7, updated_at = '{old}' WHERE deal_id = 'D0003'"),
            "deals",
            "deals came, went or changed with an older `updated_at` (1)",
        ),
        "an entry in silence": (lambda: crm.log("D0004", "Quote"), "stage_history", "rows came or went without"),
        "a log left behind": (lambda: crm.delete("D0005", with_logs=False), "stage_history", "rows came or went"),
    }
    for what, (act, table, reason) in surprises.items():
        act()
        book = load()
        assert reason in book.origin["read"][table], what
        assert told(book) == told(load(cache=None)), what
        assert "whole" not in load().origin["read"]["deals"] + load().origin["read"]["stage_history"], what


def test_queries_are_read_like_tables(sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path) -> None:
    for _ in range(9):
        sqlite_crm.add()
    source = Path(source_file(tmp_path, 'connection = { url = "sqlite:///crm.db" }'))
    text = source.read_text(encoding="utf-8")
    for table in ("deals", "stage_history"):
        text = text.replace(f'from = "{table}"', f"from = \"SELECT * FROM {table} WHERE deal_id <> 'D0001' -- all\"")
    source.write_text(text, encoding="utf-8")
    load(reps=["Ann", "Bob"])
    sqlite_crm.now += pd.Timedelta(days=40)
    sqlite_crm.move("D0001")
    sqlite_crm.move("D0002")
    for reps in ((), ("Ann", "Bob")):
        load(reps=reps)
        gone = sqlite_crm.work(9)
        book = load(reps=reps)
        assert "whole" not in book.origin["read"]["deals"] + book.origin["read"]["stage_history"]
        assert told(book) == told(load(reps=reps, cache=None))
        assert set(vanished(book)[1]) <= gone


def test_deals_without_updated_at_are_always_read(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    for _ in range(3):
        sqlite_crm.add()
    sqlite_crm.add(None)
    load()
    sqlite_crm.now += pd.Timedelta(days=40)
    sqlite_crm.add()
    load()
    sqlite_crm.run("UPDATE deals SET amount = 5 WHERE deal_id = 'D0004'")
    sqlite_crm.log("D0004", "Quote")
    book = load()
    assert book.origin["read"] == {
        "deals": "2 rows changed since 2025-02-14",  # D0004, and D0005 of 15 February, within the margin
        "stage_history": "3 rows of deals that changed",
        "changes": "whole, because it has no rows",
    }
    assert told(book) == told(load(cache=None))


def test_stamps_with_days_only_and_a_year_in_the_future(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    crm = sqlite_crm
    for _ in range(5):
        crm.add(str(crm.now.date()))
    crm.add("2099-01-01")  # a typing error: were it the latest stamp seen, no change would ever be read again
    load()
    crm.run(f"UPDATE deals SET amount = 5, updated_at = '{crm.now.date()}' WHERE deal_id = 'D0002'")
    book = load()
    assert book.deals.set_index("deal_id")["amount"]["D0002"] == 5
    assert told(book) == told(load(cache=None))
    assert "changed since 2025-01-05" in book.origin["read"]["deals"]


def test_duckdb_loads_from_the_cache_are_the_books_of_full_reads(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    file = tmp_path / "crm.duckdb"

    def run(statement: str) -> None:
        opened.execute(statement)

    opened = duckdb.connect(str(file))
    crm = Crm(run, seed=2, kind="timestamp")
    source = source_file(tmp_path, 'connection = { url = "duckdb:///crm.duckdb" }')
    for _ in range(30):
        crm.add()
    for round_ in range(8):
        gone = crm.work(5)
        opened.close()
        book = load_book(source=source, now=crm.instant(), cache=tmp_path / "cache")
        assert told(book) == told(load_book(source=source, now=crm.instant()))
        assert ("changed since" in book.origin["read"]["deals"]) == bool(round_)
        assert vanished(book)[0] == (len(gone) if round_ else 0)
        opened = duckdb.connect(str(file))
    opened.close()


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_postgresql_loads_from_the_cache_are_the_books_of_full_reads(
    postgres: str, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the password is in the cache."""
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setenv("CRM_DATABASE_URL", f"{driver}://ann:{CANARY}@{postgres}")
    schema = driver.replace("+", "_")
    with psycopg.connect(f"postgresql://ann@{postgres}", autocommit=True) as opened:
        opened.execute(f"CREATE SCHEMA {schema}")
        opened.execute("SET TIME ZONE 'Asia/Shanghai'")
        crm = Crm(opened.execute, seed=3, schema=f"{schema}.", kind="timestamptz")
        source = source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }', f"{schema}.")
        for _ in range(30):
            crm.add()
        for round_ in range(8):
            gone = crm.work(5)
            book = load_book(source=source, now=crm.instant(), cache=tmp_path / "cache")
            assert told(book) == told(load_book(source=source, now=crm.instant()))
            assert ("changed since" in book.origin["read"]["deals"]) == bool(round_)
            assert vanished(book)[0] == (len(gone) if round_ else 0)
    written = b"".join(f.read_bytes() for f in (tmp_path / "cache").iterdir())
    for secret in (CANARY, "ann@", hashlib.sha256(CANARY.encode()).hexdigest()):
        assert secret.encode() not in written
    assert CANARY not in str(book.origin)


def test_another_password_is_the_same_database(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint holds no password, not even as a hash: with another one it would not be the same."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(f"postgresql://ann@{postgres}", autocommit=True) as opened:
        opened.execute("CREATE SCHEMA rotated")
        crm = Crm(opened.execute, seed=4, schema="rotated.", kind="timestamptz")
        crm.add()
    source = source_file(tmp_path, 'connection = { env = "CRM_DATABASE_URL" }', "rotated.")
    prints = []
    for password in (CANARY, "another"):
        monkeypatch.setenv("CRM_DATABASE_URL", f"postgresql://ann:{password}@{postgres}")
        load_book(source=source, now=crm.instant(), cache=tmp_path / "cache")
        prints.append(json.loads((tmp_path / "cache" / "state.json").read_text())["fingerprint"])
    assert prints[0] == prints[1]


# --- only what changed -----------------------------------------------------------------------------


def test_only_rows_of_changed_deals_come_over_the_wire(sqlite_crm: Crm, tmp_path: Path) -> None:
    """400 deals of two months; then D0010 moves, D0011 loses an entry, D0401 is new and D0012 is gone."""
    crm = sqlite_crm
    crm.run("BEGIN")
    for _ in range(400):
        crm.now += pd.Timedelta(hours=3)
        crm.add()
        crm.log(f"D{crm.made:04d}", "Quote")
    crm.run("COMMIT")
    crm.now += pd.Timedelta(days=9)
    crm.touch("D0001")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}", poolclass=sa.NullPool)
    fetched = Fetched(engine, tmp_path / "crm.db")
    source = source_file(tmp_path)

    def load() -> Book:
        return load_book(source=source, connection=engine, now=crm.instant(), cache=tmp_path / "cache")

    load()
    rows, whole = fetched.take()
    assert rows == {"deals": 400 + 0, "stage_history": 800, "changes": 0, "reps": 3}
    crm.now += pd.Timedelta(days=3)
    crm.move("D0010")
    crm.clean_up("D0011")
    crm.add()
    crm.delete("D0012")
    book = load()
    rows, cells = fetched.take()
    # deals: one value to know the kind of updated_at, 400 ids, then D0001 (within the margin), D0010, D0011 and D0401
    # stage_history: D0001 2, D0010 3, D0401 1; a count; one id of each log and of the deals to know their kinds
    assert rows == {"deals": 1 + 400 + 4 + 2, "stage_history": 6 + 1 + 1, "changes": 0, "reps": 3}
    assert book.origin["read"]["deals"] == "4 rows changed since 2025-03-05"
    assert vanished(book) == (1, ["D0012"])
    assert cells < whole * 0.18
    load()
    assert vanished(load()) == (0, [])  # told once


# --- what the cache holds, and when it is not used -------------------------------------------------


def test_the_cache_is_for_its_owner_only(sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path) -> None:
    sqlite_crm.add()
    load()
    files = sorted((tmp_path / "cache").iterdir())
    assert [f.name for f in files] == ["changes.parquet", "deals.parquet", "stage_history.parquet", "state.json"]
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
        assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    state = (tmp_path / "cache" / "state.json").read_text()
    assert sorted(json.loads(state)) == ["fingerprint", "kind", "seen", "tables", "version"]
    assert "crm.db" not in state and str(tmp_path) not in state


def damage(file: str, act: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(act((folder / file).read_bytes())) and None  # type: ignore[return-value]


def in_state(**changed: object) -> Callable[[Path], None]:
    return damage("state.json", lambda b: json.dumps({**json.loads(b), **changed}).encode())


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (damage("deals.parquet", lambda b: b[:-20]), "the cache is damaged"),
        (damage("stage_history.parquet", lambda b: b.replace(b"D0001", b"D0009")), "the cache is damaged"),
        (lambda folder: (folder / "changes.parquet").unlink(), "the cache is damaged"),
        (in_state(seen="yesterday"), "the cache is damaged"),
        (in_state(seen="NaT"), "the cache is damaged"),
        (in_state(tables=None), "the cache is damaged"),
        (in_state(version=0), "the cache is of another version"),
        (in_state(fingerprint="0"), "the cache is of another source, database or choice of reps"),
        (in_state(tables={}), "the cache holds other columns"),
    ],
)
def test_a_damaged_cache_is_read_whole_and_mended(
    sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path, act: Callable[[Path], None], reason: str
) -> None:
    for _ in range(3):
        sqlite_crm.add()
    load()
    act(tmp_path / "cache")
    book = load()
    assert book.origin["read"]["deals"] == f"whole, because {reason}"
    assert book.origin["read"]["stage_history"] == "whole, because deals are"
    assert told(book) == told(load(cache=None))
    assert "changed since" in load().origin["read"]["deals"]


def test_other_reps_columns_and_databases_are_read_whole(
    sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path
) -> None:
    for _ in range(9):
        sqlite_crm.add()
    load()
    other = "whole, because the cache is of another source, database or choice of reps"
    assert load(reps=["Ann"]).origin["read"]["deals"] == other
    assert load().origin["read"]["deals"] == other
    (tmp_path / "crm.db").rename(tmp_path / "moved.db")
    source = source_file(tmp_path, 'connection = { url = "sqlite:///moved.db" }')
    assert load(source=source).origin["read"]["deals"] == other
    source = source_file(tmp_path, 'connection = { url = "sqlite:///moved.db" }', without="updated_at")
    assert load(source=source).origin["read"]["deals"] == "whole, because deals has no column for `updated_at`"
    fresh = tmp_path / "never made"
    load(source=source, cache=fresh)
    assert not fresh.exists()  # nothing is kept that cannot be used


def test_a_deal_that_went_to_another_rep_has_not_vanished(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    for _ in range(20):
        sqlite_crm.add()
    mine = load(reps=["Ann"]).deals["deal_id"].tolist()
    sqlite_crm.touch(mine[0], rep_id="Bob")
    sqlite_crm.delete(mine[1])
    book = load(reps=["Ann"])
    assert (book.deals["deal_id"].tolist(), vanished(book)) == (mine[2:], (1, [mine[1]]))


def test_a_folder_that_is_no_cache_is_refused_and_left_alone(
    sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_crm.add()
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "deals.parquet").write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"papers is not empty and is no cache of salescoach\. Name another folder"):
        load(cache=folder)
    (folder / "state.json").write_text('{"kind": "of another program"}')
    with pytest.raises(StorageError, match="is no cache of salescoach"):
        load(cache=folder)
    (folder / "state.json").write_text("{")
    with pytest.raises(StorageError, match=r"cannot be read \(state\.json is damaged\)\. Delete it, or name another"):
        load(cache=folder)
    assert (folder / "deals.parquet").read_bytes() == b"mine"
    with pytest.raises(StorageError, match=r"crm\.db cannot be read \(Not a directory\)"):
        load(cache=tmp_path / "crm.db")
    with pytest.raises(StorageError, match=r"cannot be written \(.*\)\. Make room, name another folder"):
        load(cache=Path("/proc/no such place"))
    if hasattr(os, "getuid"):
        load()
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        with pytest.raises(StorageError, match="belongs to another user, who could change your numbers"):
            load()


def test_a_load_that_dies_leaves_the_old_cache_or_one_that_is_not_used(
    sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from salescoach.sources.cache import Cache

    for _ in range(5):
        sqlite_crm.add()
    load()
    real = Cache._write
    for dies_at in ("deals.parquet", "stage_history.parquet", "changes.parquet", "state.json"):
        sqlite_crm.move("D0002")

        def write(self: Cache, name: str, content: bytes, dies_at: str = dies_at) -> str:
            if name == dies_at:
                raise KeyboardInterrupt
            return real(self, name, content)

        with monkeypatch.context() as patch:
            patch.setattr(Cache, "_write", write)
            with pytest.raises(KeyboardInterrupt):
                load()
        assert told(load()) == told(load(cache=None))
    assert len(list((tmp_path / "cache").iterdir())) == 4  # no temporary file is left


def test_what_vanished_is_told_even_if_the_load_before_failed(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    for _ in range(5):
        sqlite_crm.add()
    load()
    sqlite_crm.delete("D0002")
    sqlite_crm.run("UPDATE deals SET stage = 'Nirvana', updated_at = '2025-01-07'")
    with pytest.raises(InputError, match="Nirvana"):
        load()
    sqlite_crm.run("UPDATE deals SET stage = 'Quote', updated_at = '2025-01-07'")
    assert vanished(load()) == (1, ["D0002"])


def test_the_cache_and_since_agree(sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path) -> None:
    for _ in range(6):
        sqlite_crm.add()
    save_book(load(), tmp_path / "book")
    sqlite_crm.touch("D0001", amount=1)
    sqlite_crm.add()
    sqlite_crm.delete("D0003")
    book = since(open_book(tmp_path / "book"), load())
    counts = {k: book.quality["since"][k] for k in ("new", "changed", "same", "vanished")}
    assert counts == {"new": 1, "changed": 1, "same": 4, "vanished": 1}
    assert vanished(book) == (1, ["D0003"])


def test_files_and_unnamed_connections_have_no_cache(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("deal_id,stage,created_at\n1,Quote,2025-01-01\n")
    with pytest.raises(UsageError, match="`cache` keeps what was read of a database"):
        load_book(tmp_path / "deals.csv", cache=tmp_path / "cache")
    connection = sqlite3.connect(":memory:")
    with pytest.raises(UsageError, match="`cache` must know which database it is of, and this connection does not say"):
        load_book(connection=connection, cache=tmp_path / "cache")
    connection.close()


# --- a past day of a database that goes on ---------------------------------------------------------


def test_a_past_day_of_a_live_database_is_replayed(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    """On 10 January A stands in Quote and B is won; A is won on the 20th, and C comes on the 15th."""
    crm = sqlite_crm
    for deal in "AB":
        crm.insert("deals", deal, "Ann", "Won", "2025-01-06", "2025-01-09", 100, "2025-01-20")
        crm.insert("stage_history", deal, "2025-01-06", "Prospect")
    crm.insert("deals", "C", "Bob", "Quote", "2025-01-15", None, 300, "2025-01-15")
    crm.insert("stage_history", "A", "2025-01-08", "Quote")
    crm.insert("stage_history", "A", "2025-01-20", "Won")
    crm.insert("stage_history", "B", "2025-01-09", "Won")
    crm.touch("A", closed_at="2025-01-20", rep_id="Bob")
    crm.insert("changes", "A", "2025-01-18", "rep_id", "Ann", "Bob")
    crm.now = pd.Timestamp("2025-02-01")
    book = load(as_of="2025-01-10", cache=None)
    then = book.deals.set_index("deal_id")[["rep_id", "stage", "outcome"]]
    assert then.to_dict("index") == {
        "A": {"rep_id": "Ann", "stage": "quote", "outcome": "open"},
        "B": {"rep_id": "Ann", "stage": "won", "outcome": "won"},
    }
    assert (len(book.quarantine), book.as_of_on.date().isoformat()) == (0, "2025-01-10")
    assert book.content_hash == load(cache=None).at("2025-01-10").content_hash
    with pytest.raises(InputError, match=r"No deal was there on 2025-01-01\. Give a later day with --as-of"):
        load(as_of="2025-01-01", cache=None)


def test_any_past_day_comes_out_of_one_cache(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    for _ in range(10):
        sqlite_crm.add()
    sqlite_crm.work(80)
    load()
    now = load(cache=None)
    for days in (30, 9, 4, 1):
        day = str((now.as_of_on - pd.Timedelta(days=days)).date())
        if days > (now.as_of_on - pd.Timestamp("2025-01-06")).days:
            continue
        book = load(as_of=day)
        assert "changed since" in book.origin["read"]["deals"]
        assert book.content_hash == now.at(day).content_hash


def test_a_day_after_all_data_is_the_end_of_the_book(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    sqlite_crm.add()
    book = load(as_of="2025-06-30", cache=None)
    assert (len(book.deals), str(book.as_of_on.date())) == (1, "2025-06-30")


def test_a_stamp_in_the_future_of_the_load_is_still_no_fact(sqlite_crm: Crm, load: Callable[..., Book]) -> None:
    for _ in range(3):
        sqlite_crm.add()
    sqlite_crm.touch("D0002", stage="Won", closed_at="2052-01-08")
    sqlite_crm.now += pd.Timedelta(days=5)
    book = load(as_of="2025-01-07", cache=None)
    assert book.quarantine.query("table == 'deals'")["reason"].tolist() == ["future-stamp"]
    assert "the day after this load" in book.quarantine["hint"].iloc[0]
    assert book.deals["deal_id"].tolist().count("D0002") == 0


def test_the_as_of_of_a_source_file_ends_the_data(sqlite_crm: Crm, load: Callable[..., Book], tmp_path: Path) -> None:
    """It says that nothing later is there, as in a database that was filled once: then a later close is a fault."""
    for _ in range(3):
        sqlite_crm.add()
    sqlite_crm.now += pd.Timedelta(days=20)
    sqlite_crm.move("D0001")
    sqlite_crm.touch("D0001", stage="Won", closed_at=sqlite_crm.now)
    source = source_file(tmp_path, 'as_of = 2025-01-10\nconnection = { url = "sqlite:///crm.db" }')
    for _ in range(2):
        book = load(source=source)
        assert book.quarantine.query("table == 'deals'")["reason"].tolist() == ["future-stamp"]
    assert "changed since" in book.origin["read"]["deals"]
