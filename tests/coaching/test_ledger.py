"""The coaching ledger in SQLite and in a real PostgreSQL: nothing changed, nothing lost, nobody else's shown."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from runpy import run_path

import pytest
from sqlalchemy import create_engine, text

from salescoach.coaching.ledger import SUFFIX, Ledger, ledger_of, open_ledger
from salescoach.errors import StorageError, UsageError

ROOT = Path(__file__).resolve().parents[2]
postgres = run_path(str(ROOT / "tests" / "sources" / "test_database.py"))["postgres"]  # the fixture
WRITER = """
import sys
from salescoach.coaching.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
for i in range(int(sys.argv[3])):
    entry = ledger.add_promise(sys.argv[2], "rep", f"{sys.argv[2]} {i} " + "x" * 500, on="2026-10-01")
    print(entry, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "coaching.sqlite")
        return
    url = f"postgresql+psycopg://ann@{request.getfixturevalue('postgres')}"
    yield url
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE entries, ledger"))
    engine.dispose()


@pytest.fixture
def ledger(where: str) -> Ledger:
    return open_ledger(where)


def two_sides(ledger: Ledger) -> tuple[str, str]:
    own = ledger.add_promise("R1", "rep", "send quotes within two days", "2026-09-01", "Ann", measure="missed_quotes",
                             stage="quote", deals=("D1", "D2"), due_on="2026-10-01", before=0.3)  # fmt: skip
    theirs = ledger.add_promise("R1", "manager", "join two demos", "2026-09-01", "Ann")
    return own, theirs


def test_what_was_agreed_comes_back_with_what_became_of_it(ledger: Ledger) -> None:
    own, theirs = two_sides(ledger)
    ledger.add_promise("R2", "rep", "something else", "2026-09-02")
    ledger.review(own, "not kept", "2026-10-02", "two were late")
    ledger.review(own, "kept", "2026-10-09", "found in the other system")
    table = ledger.promises_table().set_index("promise_id")
    assert table.loc[own, ["status", "review", "reviewed_on"]].tolist() == [
        "kept",
        "found in the other system",
        "2026-10-09",
    ]
    assert (table.loc[theirs, "status"], table.loc[own, "deals"]) == ("open", ["D1", "D2"])
    agreed = ledger.agreed_with("R1")
    assert [(p.by, p.what, p.status) for p in agreed.promises] == [
        ("manager", "join two demos", "open"),
        ("rep", "send quotes within two days", "kept"),
    ]
    assert agreed.promises[1].before == 0.3 and agreed.promises[0].before is None


def test_a_session_holds_the_reps_corner(ledger: Ledger) -> None:
    ledger.add_session("R1", "2026-08-03", "Ann", stage="quote", minutes=30, win="closed Hazel", blocker="no prices")
    ledger.add_session("R1", "2026-09-01", "Ann")
    table = ledger.sessions_table()
    assert table["rep_id"].tolist() == ["R1", "R1"] and table["stage"].tolist() == ["quote", None]
    assert str(table["on"].dtype).startswith("datetime64")
    agreed = ledger.agreed_with("R1")
    assert [s.on for s in agreed.sessions] == ["2026-09-01", "2026-08-03"]
    assert (agreed.sessions[1].win, agreed.sessions[1].blocker) == ("closed Hazel", "no prices")


def test_a_disputed_number_waits_for_its_answer(ledger: Ledger) -> None:
    asked = ledger.dispute("R1", "win_rate 2026Q3", "two deals are not mine", "2026-10-01", value="31 %")
    assert ledger.disputes_table()["answer"].isna().all()
    ledger.answer(asked[:8], "they were moved: now 34 %", "2026-10-02", "Ann")
    assert ledger.disputes_table()["answer"].tolist() == ["they were moved: now 34 %"]


def test_a_managers_note_never_reaches_the_rep(ledger: Ledger) -> None:
    two_sides(ledger)
    ledger.add_note("R1", "thinks of leaving", "2026-09-01", "Ann")
    assert "leaving" not in repr(ledger.agreed_with("R1"))
    assert any(e.get("said") == "thinks of leaving" for e in ledger.export("R1")["entries"])


def test_nothing_is_changed_and_every_entry_holds_the_one_before(ledger: Ledger) -> None:
    own, _ = two_sides(ledger)
    before = ledger.entries()
    ledger.review(own, "kept", "2026-10-02")
    after = ledger.entries()
    assert after.iloc[: len(before)].equals(before) and len(after) == len(before) + 1
    assert ledger.verify() == [] and after["previous"].tolist()[1:] == after["hash"].tolist()[:-1]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE entries SET content = replace(content, 'two demos', 'a demo') WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM entries WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE entries SET rep_id = 'R2' WHERE seq = 1", "entry 1 was changed"),
    ],
)
def test_what_somebody_changes_by_hand_is_seen(ledger: Ledger, change: str, found: str) -> None:
    two_sides(ledger)
    ledger.add_note("R1", "a note", "2026-09-01")
    with ledger.engine.begin() as connection:
        connection.execute(text(change))
    assert any(problem.startswith(found) for problem in ledger.verify())


def test_purge_leaves_nothing_of_a_person(where: str, ledger: Ledger) -> None:
    two_sides(ledger)
    ledger.add_note("R1", "Cunégonde is her sister", "2026-09-01", "Ann")
    ledger.add_promise("R2", "rep", "stays", "2026-09-02")
    assert ledger.purge("R1", "Bo") == 3
    assert ledger.entries("R1").empty and ledger.export("R1")["entries"] == []
    assert ledger.promises_table()["what"].tolist() == ["stays"] and ledger.verify() == []
    assert ledger.entries()["thing"].tolist()[-1] == "purge" and "R1" not in str(ledger.entries().iloc[-1].to_dict())
    with pytest.raises(UsageError, match="holds nothing about 'R1'"):
        ledger.purge("R1")
    if "://" not in where:
        ledger.engine.dispose()
        for file in Path(where).parent.iterdir():
            assert b"Cun\xc3\xa9gonde" not in file.read_bytes() and b"two demos" not in file.read_bytes()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda book: book.add_promise("R1", "boss", "x", "2026-01-01"), "by rep / manager, not by 'boss'"),
        (lambda book: book.add_promise("R1", "rep", " ", "2026-01-01"), "says what will be done"),
        (lambda book: book.add_promise("R1", "rep", "x", "1.10.2026"), "on: '1.10.2026' is no day. Write it as 2026"),
        (lambda book: book.add_note(" ", "x", "2026-01-01"), "is about a rep"),
        (lambda book: book.review("nothing", "kept", "2026-01-01"), "no commitment 'nothing'"),
        (lambda book: book.review("nothing", "keptt", "2026-01-01"), "Did you mean 'kept'"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(tmp_path: Path, call, message: str) -> None:
    ledger = open_ledger(tmp_path / "l.sqlite")
    with pytest.raises(UsageError, match=message):
        call(ledger)
    assert ledger.entries().empty


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = ledger_of(tmp_path / "my-book")
    assert file == tmp_path / f"my-book{SUFFIX}"
    open_ledger(file).add_note("R1", "x", "2026-01-01")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "l.sqlite"
    open_ledger(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE ledger SET version = 99")
    with pytest.raises(StorageError, match=r"newer salescoach .version 99."):
        open_ledger(file)


def test_a_password_stands_in_no_command_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="environment variable and give env:NAME") as refused:
        open_ledger("postgresql://ann:s3cret@nowhere/db")
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("COACHING_URL", "postgresql+psycopg://ann:s3cret@127.0.0.1:1/db?connect_timeout=2")
    with pytest.raises(StorageError, match="cannot be used") as unreachable:
        open_ledger("env:COACHING_URL")
    assert "s3cret" not in str(unreachable.value)
    with pytest.raises(UsageError, match="NOT_SET is not set"):
        open_ledger("env:NOT_SET")
    with pytest.raises(UsageError, match="SQLite or PostgreSQL, not in mysql"):
        open_ledger("mysql://nowhere/db")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        open_ledger("/dev/null/coaching.sqlite")


# --- many writers, and sudden ends -----------------------------------------------------------------


def writer(where: str, rep: str, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, where, rep, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.nightly
def test_writers_at_once_lose_nothing(where: str, ledger: Ledger) -> None:
    writers = [writer(where, f"R{i}", 15) for i in range(4)]
    acknowledged = [line.strip() for process in writers for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in writers] == [0] * 4 and len(acknowledged) == 60
    entries = ledger.entries()
    assert set(entries["entry_id"]) == set(acknowledged) and entries["seq"].tolist() == list(range(1, 61))
    assert ledger.verify() == []


KILLS = pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.nightly)])


@KILLS
def test_what_was_acknowledged_survives_a_kill(where: str, ledger: Ledger, kills: int) -> None:
    chance, acknowledged = random.Random(7), []
    for number in range(kills):
        process = writer(where, "R1", 100_000)
        assert process.stdout is not None
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(chance.uniform(0, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        told = [line.strip() for line in process.stdout.read().splitlines()]
        acknowledged += [entry for entry in told if len(entry) == 32]
        process.stdout.close()
        process.wait()
        entries = open_ledger(where).entries()
        assert set(acknowledged) <= set(entries["entry_id"]), f"lost after kill {number + 1}"
        assert all(json.loads(content)["what"].endswith("x" * 500) for content in entries["content"])
        assert open_ledger(where).verify() == []


def test_a_write_that_fails_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from salescoach.coaching import ledger as module

    ledger = open_ledger(tmp_path / "l.sqlite")
    two_sides(ledger)
    monkeypatch.setattr(module, "_hash", lambda row: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ledger.add_note("R1", "never", "2026-01-01")
    monkeypatch.undo()
    assert len(open_ledger(tmp_path / "l.sqlite").entries()) == 2 and ledger.verify() == []
