"""The ledger killed at every step of a write, opened by many at once, and on a disk that is full."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from salescoach.coaching.ledger import Ledger, open_ledger
from salescoach.errors import StorageError, UsageError

ROOT = Path(__file__).resolve().parents[2]
postgres = run_path(str(ROOT / "tests" / "sources" / "test_database.py"))["postgres"]  # the fixture

# Every act is done again and again by children of one process, each killed one step later than the one before: at the
# beginning and end of a transaction, before and after every statement, before and after every commit.
STEPS = """
import json, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from salescoach.coaching.ledger import open_ledger

where = sys.argv[1]

def prepared():
    ledger = open_ledger(where)
    own = ledger.add_promise("R1", "rep", "send quotes", "2026-09-01")
    ledger.add_note("R2", "another person's", "2026-09-01")
    return own

ACTS = {
    "open": lambda own: open_ledger(where),
    "add": lambda own: open_ledger(where).add_promise("R1", "rep", "x" * 9000, "2026-09-02"),
    "review": lambda own: open_ledger(where).review(own, "kept", "2026-10-02"),
    "purge": lambda own: open_ledger(where).purge("R1"),
}

def clear():
    for name in (where, where + "-wal", where + "-shm"):
        if "://" not in where and os.path.exists(name):
            os.remove(name)
    if "://" in where:
        with open_ledger(where).engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE entries, ledger")

def dies_at(step, act, own):
    count = -1
    def pass_by(*_):
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
    for name in ("begin", "before_cursor_execute", "after_cursor_execute", "commit", "checkin", "checkout"):
        event.listen(Engine, name, pass_by) if name not in ("checkin", "checkout") else None
    act(own)
    pass_by()  # after the commit

results = []
for name, act in ACTS.items():
    step = 0
    while True:
        own = None if name == "open" else prepared()
        child = os.fork()
        if not child:
            try:
                dies_at(step, act, own)
            finally:
                os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        after = open_ledger(where)
        rows = after.entries()
        later = after.add_note("R3", "still writes", "2026-10-03")
        results.append({
            "act": name, "step": step, "killed": killed, "rows": json.loads(rows.to_json(orient="records")),
            "own": own, "problems": after.verify(), "later": later in set(after.entries()["entry_id"]),
        })
        clear()
        step += 1
        if not killed:
            break
print(json.dumps(results))
"""
OPENERS = """
import os, sys, time
from salescoach.coaching.ledger import open_ledger
where, at = sys.argv[1], float(sys.argv[2])
children = []
for i in range(8):
    child = os.fork()
    if not child:
        code = 1
        try:
            time.sleep(max(0.0, at - time.time()))
            open_ledger(where).add_note(f"R{i}", "first", "2026-01-01")
            code = 0
        finally:
            os._exit(code)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""
ONE_WRITE = """
import os, sys
from salescoach.coaching.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
os.write(1, b"ready\\n")
for i in range(3):
    os.write(1, (ledger.add_note("R1", "note " * 50, "2026-01-01") + "\\n").encode())
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "coaching.sqlite")
        return
    url = f"postgresql+psycopg://ann@{request.getfixturevalue('postgres')}"
    yield url
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS entries, ledger"))
    engine.dispose()


def python(script: str, *words: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


# --- killed at every step --------------------------------------------------------------------------


def whole(row: dict[str, Any]) -> bool:
    return row["content"] is not None and row["rep_id"] is not None and bool(json.loads(row["content"]))


def test_killed_at_every_step_of_every_act(where: str) -> None:
    done = python(STEPS, where)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    for result in results:
        at = (result["act"], result["step"])
        assert result["problems"] == [] and result["later"], at
        rows = {row["entry_id"]: row for row in result["rows"]}
        if result["act"] == "open":
            assert not rows, at
        elif result["act"] == "purge":  # all of it or nothing of it, and never anybody else's
            assert [row["content"] for row in rows.values() if row["rep_id"] == "R2"], at
            purged = any(row["thing"] == "purge" for row in rows.values())
            assert whole(rows[result["own"]]) is not purged, at
            assert purged or result["killed"], at
        else:  # what was there is there; the new one is whole, or not there
            assert len(rows) in (2, 3) and all(whole(row) for row in rows.values()), at
            assert len(rows) == 3 or result["killed"], at
    steps = {act: sum(r["killed"] for r in results if r["act"] == act) for act in ("open", "add", "review", "purge")}
    assert min(steps.values()) >= 8, steps
    # among the moments are some at which it was written already and some at which it was not
    for act in ("add", "review"):
        assert {len(r["rows"]) for r in results if r["act"] == act and r["killed"]} == {2, 3}


def traced(tmp_path: Path, *rules: str) -> tuple[str, ...]:
    """strace before a command; skips where it is not installed or may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return ("strace", "-f", "-y", "-o", str(tmp_path / "calls.txt"), *rules)


DURABLE = "pwrite64,fsync,fdatasync,ftruncate,unlink"


def test_nothing_is_acknowledged_before_it_is_on_disk(tmp_path: Path) -> None:
    """Between the last write to the log of the database and the acknowledgement stands a flush of that log."""
    trace = traced(tmp_path, "-e", f"trace={DURABLE},write")
    done = python(ONE_WRITE, tmp_path / "l.sqlite", before=trace)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls.txt").read_text(errors="replace").splitlines()
    ready = next(i for i, call in enumerate(calls) if '"ready' in call)
    waiting, acknowledged = False, 0
    for call in calls[ready + 1 :]:
        if "pwrite64(" in call and "-wal>" in call:
            waiting = True
        elif re.search(r"f(data)?sync\(\d+<[^>]*-wal>", call):
            waiting = False
        elif re.search(r"write\(1<", call):
            acknowledged += 1
            assert not waiting, "acknowledged before the flush"
    assert acknowledged == 3


@pytest.mark.nightly
def test_killed_at_every_call_that_changes_the_file(tmp_path: Path) -> None:
    """The process is killed at its first, second, third … call that writes, flushes, cuts or removes a file."""
    kills = 0
    for number in range(1, 400):
        file = tmp_path / f"l{number}.sqlite"
        inject = f"inject={DURABLE}:signal=SIGKILL:when={number}"
        done = python(ONE_WRITE, file, before=traced(tmp_path, "-e", f"trace={DURABLE}", "-e", inject))
        acknowledged = [line for line in done.stdout.splitlines() if len(line) == 32]
        ledger = open_ledger(file)
        assert set(acknowledged) <= set(ledger.entries()["entry_id"]) and ledger.verify() == [], number
        assert len(ledger.entries()) <= len(acknowledged) + 1
        if done.returncode == 0:
            break
        kills += 1
    assert kills >= 10 and len(acknowledged) == 3


# --- many at once, and little room -----------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.nightly)])
def test_eight_who_open_a_new_ledger_at_once(where: str, rounds: int) -> None:
    for _ in range(rounds):
        done = python(OPENERS, where, time.time() + 2)
        assert done.returncode == 0, done.stderr
        ledger = open_ledger(where)
        assert sorted(ledger.entries()["rep_id"]) == [f"R{i}" for i in range(8)] and ledger.verify() == []
        with ledger.engine.connect() as connection:
            assert connection.execute(text("SELECT version FROM ledger")).scalars().all() == [1]
        if "://" in where:
            with ledger.engine.begin() as connection:
                connection.execute(text("DROP TABLE entries, ledger"))
        else:
            for file in Path(where).parent.glob("coaching.sqlite*"):
                file.unlink()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l.sqlite")
    kept = ledger.add_note("R1", "kept", "2026-01-01")

    @event.listens_for(ledger.engine, "connect")
    def little_room(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count=8")

    with pytest.raises(StorageError, match=r"The ledger sqlite:///.*l.sqlite cannot be used: database or disk is full"):
        ledger.add_note("R1", "x" * 100_000, "2026-01-02")
    after = open_ledger(tmp_path / "l.sqlite")
    assert after.entries()["entry_id"].tolist() == [kept] and after.verify() == []


# --- purging ---------------------------------------------------------------------------------------


def test_a_purge_beside_a_reader(tmp_path: Path) -> None:
    """Somebody who is reading holds up the sweeping, not the purge; the text is overwritten all the same."""
    file = tmp_path / "l.sqlite"
    ledger = open_ledger(file)
    ledger.add_note("R1", "Cunégonde is her sister", "2026-09-01")
    ledger.add_note("R2", "stays", "2026-09-01")
    reader = sqlite3.connect(file)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    assert ledger.purge("R1") == 1 and ledger.export("R1")["entries"] == []
    reader.rollback()
    reader.close()
    open_ledger(file).add_note("R3", "later", "2026-09-02")
    assert not any("Cunégonde".encode() in found.read_bytes() for found in tmp_path.iterdir())


def test_what_is_purged_is_overwritten_before_any_sweeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "_sweep", lambda self: None)
    ledger = open_ledger(tmp_path / "l.sqlite")
    for number in range(20):
        ledger.add_note("R1", f"Cunégonde is her sister {number} " * 30, "2026-09-01")
        ledger.add_note("R2", "stays", "2026-09-01")
    assert ledger.purge("R1") == 20
    assert not any("Cunégonde".encode() in found.read_bytes() for found in tmp_path.iterdir())


def test_of_a_purged_entry_nothing_can_be_tried(where: str) -> None:
    """The salt that its hash was made with is gone, and every entry has another one."""
    ledger = open_ledger(where)
    for _ in range(2):
        ledger.add_note("R1", "same", "2026-09-01", "Ann")
    assert ledger.entries()["salt"].nunique() == 2
    ledger.purge("R1", "Bo")
    rows = ledger.entries()
    assert rows.loc[rows["thing"] == "note", ["rep_id", "written_by", "content", "salt"]].isna().all().all()


def test_an_entry_emptied_by_hand_is_seen(where: str) -> None:
    ledger = open_ledger(where)
    ledger.add_note("R1", "one", "2026-09-01")
    ledger.add_note("R2", "two", "2026-09-01")
    ledger.purge("R1")
    assert ledger.verify() == []
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE entries SET rep_id = NULL, written_by = NULL, content = NULL, salt = NULL "
                                "WHERE seq = 2"))  # fmt: skip
    assert ledger.verify() == ["2 entries are empty, but 1 were purged"]


def test_nobody_comes_back_by_a_review_of_what_was_purged(where: str) -> None:
    ledger = open_ledger(where)
    own = ledger.add_promise("R1", "rep", "x", "2026-09-01")
    ledger.purge("R1")
    with pytest.raises(UsageError, match="There is no commitment"):
        ledger.review(own, "kept", "2026-09-02")


# --- what may be written, and where ----------------------------------------------------------------


@pytest.mark.parametrize("said", ["half \ud83d a sign", "a \0 sign"])
def test_a_sign_that_cannot_be_stored(where: str, said: str) -> None:
    ledger = open_ledger(where)
    with pytest.raises(UsageError, match="a sign that cannot be stored"):
        ledger.add_session(said, "2026-09-01")
    if "\0" not in said:
        with pytest.raises(UsageError, match="a sign that cannot be stored"):
            ledger.add_note("R1", said, "2026-09-01")
    assert ledger.entries().empty


@pytest.mark.parametrize("before", [float("nan"), float("inf"), None])
def test_a_measure_that_is_not_known_is_null(where: str, before: float | None) -> None:
    ledger = open_ledger(where)
    ledger.add_promise("R1", "rep", "x", "2026-09-01", before=before)
    assert ledger.agreed_with("R1").promises[0].before is None
    assert json.loads(json.dumps(ledger.export("R1"), allow_nan=False))["entries"][0]["before"] is None


def test_any_text_comes_back_as_it_was(where: str) -> None:
    said = "目标 “quoted” 'x'; DROP TABLE entries; -- \U0001f600 \n\t\\ %s {0} :name"
    ledger = open_ledger(where)
    ledger.add_session(said, "2026-09-01", said, win=said)
    assert ledger.sessions_table().loc[0, ["rep_id", "written_by", "win"]].tolist() == [said] * 3
    assert ledger.agreed_with(said).sessions[0].win == said and ledger.verify() == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/db?user=ann&password=s3cret",
        "postgresql://ann:s3cret@h:port/db",
        "postgresql+psycopg://h/db?sslpassword=s3cret",
        "postgresql+s3cret://h/db",
    ],
)
def test_no_spelling_of_a_password_is_taken_or_printed(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_ledger(url)
    assert "s3cret" not in str(refused.value) or "+s3cret" in url


def test_reading_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    ledger: Ledger = open_ledger(tmp_path / "l.sqlite")
    ledger.add_note("R1", "x", "2026-01-01")
    writer = sqlite3.connect(tmp_path / "l.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert len(ledger.entries()) == 1
    writer.rollback()
    writer.close()
