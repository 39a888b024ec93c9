"""A run that is killed, or finds no room on the disk, at every single step of writing: nothing is lost, half or mixed.

The pages are made by a plain function here, so that many hundred runs fit; each durable step of the real writer,
journal and publisher is interrupted in turn. Kernels that are really killed are in test_run and test_template.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from salescoach.batch import Order, PlanFile, durable, run, run_batch, verify
from salescoach.batch.job import Outcome, Task
from salescoach.batch.journal import Journal
from salescoach.errors import InputError, StorageError

STEPS = ("open", "write", "fsync", "replace", "rename", "link", "symlink", "mkdir", "ftruncate")
KINDS = ("kill", "torn", "full", "broken")
PEOPLE = 20


class Killed(BaseException):
    """The process is gone: whatever it would still do does not happen."""


class Disk:
    """`os` for the writer, with a fault at one step."""

    def __init__(self, fault_at: int = -1, kind: str = "kill") -> None:
        self.step, self.fault_at, self.kind, self.dead = -1, fault_at, kind, False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if not callable(real) or name in ("fspath",):
            return real

        def call(*args: Any, **more: Any) -> Any:
            if self.dead and name != "close":  # descriptors of a dead process are closed, and its lock with them
                raise Killed
            if name not in STEPS:
                return real(*args, **more)
            self.step += 1
            if self.step == self.fault_at:
                self._fail(name, args)
            return None if name == "fsync" else real(*args, **more)  # no power is lost here

        return call

    def _fail(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "write" and self.kind in ("torn", "full"):
            os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
        if self.kind in ("kill", "torn"):
            self.dead = True
            raise Killed
        number = errno.ENOSPC if self.kind == "full" else errno.EIO
        raise OSError(number, os.strerror(number))


def page_of(task: Task, version: str) -> bytes:
    return f"<html>{task.file} {task.parameters} {version}</html>".encode() * 20


def stub(version: str) -> Callable[..., Iterator[Outcome]]:
    def outcomes(tasks: list[Task], *_: Any) -> Iterator[Outcome]:
        for task in tasks:
            content = page_of(task, version)
            try:
                durable.write_file(Path(task.target), content)
            except OSError as error:
                yield Outcome(task.file, "failed", 0.0, error=str(error))
            else:
                yield Outcome(task.file, "done", 0.0, hashlib.sha256(content).hexdigest(), len(content))

    return outcomes


@pytest.fixture(scope="module")
def books(demo_book: Any) -> tuple[Any, Any]:
    """The book of last week and that of this week."""
    return replace(demo_book, currency="EUR"), demo_book


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, books: Any) -> None:
    """No slices, no peers; jobs and hashes of the books known beforehand."""
    jobs = run.make_jobs(books[0], plan_for(books[0]))  # the same people and notebook in both books
    asked = run.make_jobs
    monkeypatch.setattr(run, "make_jobs", lambda b, plan: jobs if plan == plan_for(b) else asked(b, plan))
    monkeypatch.setattr(run, "_slice", lambda *_: Path("slice"))
    monkeypatch.setattr(run, "tables_of_others", lambda *_: {})
    monkeypatch.setattr(type(books[0]), "content_hash", property(lambda book: f"hash of {book.currency}"))


PLAN = PlanFile(reports=(Order(notebook="rep_review", per="rep"),))


def plan_for(book: Any) -> PlanFile:
    names = tuple(book.people["rep_id"].iloc[:PEOPLE])
    return PlanFile(reports=(Order(notebook="rep_review", per="rep", only=names),))


def make(book: Any, out: Path, monkeypatch: pytest.MonkeyPatch, disk: Any, version: str) -> Any:
    monkeypatch.setattr(durable, "os", disk)
    monkeypatch.setattr(run, "made", stub(version))
    try:
        return run_batch(book, plan_for(book), out)
    finally:
        monkeypatch.setattr(durable, "os", os)


def pages(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.html") if f.name != "index.html"}


def state(out: Path) -> dict[str, tuple[int, int]]:
    """Every file with its time of change and its number."""
    return {str(f): (f.stat().st_mtime_ns, f.stat().st_ino) for f in sorted(out.rglob("*")) if not f.is_dir()}


def check_readers_see_one_whole_run(out: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Current is the old run, or the new one; in the new one a page is new, or the old one and marked."""
    assert verify(out) == []
    there = pages(out / "current")
    if there == old:
        return
    reports = json.loads((out / "current" / "manifest.json").read_text(encoding="utf-8"))["reports"]
    assert len(reports) == PEOPLE
    for report in reports:
        content = there[report["file"]]
        assert content == (old if report["stale"] else new)[report["file"]]
        assert (report["status"] == "done") == (report["stale"] is None)


def interrupt(books: Any, out: Path, monkeypatch: pytest.MonkeyPatch, at: int, kind: str, want: Any) -> None:
    old, new = want
    disk = Disk(at, kind)
    try:
        make(books[1], out, monkeypatch, disk, "new")
    except Killed:
        assert kind in ("kill", "torn")
    except (OSError, StorageError):
        assert kind in ("full", "broken")
    assert disk.step >= at
    check_readers_see_one_whole_run(out, old, new)
    again = make(books[1], out, monkeypatch, Disk(), "new")
    assert again.exit_code == 0
    assert pages(out / "current") == new and verify(out) == []
    left = [f for f in out.rglob(".*") if f.name != ".lock"]
    assert left == []
    if at % 10:
        return
    before = state(out)
    assert make(books[1], out, monkeypatch, Disk(), "not made").made == 0
    assert state(out) == before


@pytest.fixture
def ground(books: Any, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(old pages, new pages, steps of a run on top of the old one, a maker of folders with the old run)."""
    number = itertools.count()
    make(books[0], tmp_path / "old", monkeypatch, os, "old")

    def fresh() -> Path:
        return Path(shutil.copytree(tmp_path / "old", tmp_path / str(next(number)), symlinks=True))

    out, counted = fresh(), Disk()
    old = pages(out / "current")
    make(books[1], out, monkeypatch, counted, "new")
    new = pages(out / "current")
    assert len(old) == len(new) == PEOPLE and old.keys() == new.keys() and old != new
    return old, new, counted.step + 1, fresh


def every_point(steps: int, count: int) -> list[tuple[int, str]]:
    """So many of all pairs of step and kind of fault, evenly."""
    everything = list(itertools.product(range(steps), KINDS))
    return everything[:: max(1, len(everything) // count)]


@pytest.mark.parametrize("count", [500, pytest.param(1_000_000, marks=pytest.mark.nightly)])
def test_a_fault_at_any_step(ground: Any, books: Any, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    old, new, steps, fresh = ground
    points = every_point(steps, count)
    assert len(points) >= min(count, 500)
    for at, kind in points:
        out = fresh()
        interrupt(books, out, monkeypatch, at, kind, (old, new))
        shutil.rmtree(out)


@pytest.mark.parametrize("count", [40, pytest.param(9_500, marks=pytest.mark.nightly)])
def test_a_second_fault_while_it_goes_on(ground: Any, books: Any, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The run that resumes is interrupted too, at any of its own steps: two faults for each of so many."""
    old, new, steps, fresh = ground
    rng = np.random.default_rng(21)
    for _ in range(count):
        out = fresh()
        for at in (int(rng.integers(steps)), int(rng.integers(steps))):
            with suppress(Killed, OSError, StorageError):
                make(books[1], out, monkeypatch, Disk(at, str(rng.choice(KINDS))), "new")
            check_readers_see_one_whole_run(out, old, new)
        assert make(books[1], out, monkeypatch, Disk(), "new").exit_code == 0
        assert pages(out / "current") == new and verify(out) == []
        shutil.rmtree(out)


def test_a_notebook_that_changes_meanwhile_publishes_nothing(
    demo_book: Any, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages from two versions of a notebook never stand in one run."""
    notebook = tmp_path / "mine.ipynb"
    story = nbformat.v4.new_code_cell('book = ""\nrep = ""\nperiod = ""\nlanguage = ""')
    story.metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Which?"), story]), notebook)

    def editing(tasks: list[Task], *rest: Any) -> Iterator[Outcome]:
        yield from stub("new")(tasks, *rest)
        notebook.write_text(notebook.read_text(encoding="utf-8").replace("Which", "What"), encoding="utf-8")

    monkeypatch.setattr(run, "made", editing)
    plan = PlanFile(reports=(Order(notebook=str(notebook), per="rep", only=("R01", "R02")),))
    with pytest.raises(InputError, match="changed while the run was going on"):
        run_batch(demo_book, plan, tmp_path / "out")
    assert not (tmp_path / "out" / "current").exists()
    monkeypatch.setattr(run, "made", stub("new"))
    assert run_batch(demo_book, plan, tmp_path / "out").made == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may make a small disk")
def test_a_disk_that_is_really_full(books: Any, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last week's run stays whole on a disk of 400 kB; when there is room, the same command ends the run."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        make(books[0], place, monkeypatch, os, "old")
        old = pages(place / "current")
        (place / "ballast").write_bytes(b"x" * (shutil.disk_usage(place).free - 40_000))
        try:
            second = make(books[1], place, monkeypatch, os, "new")
        except OSError as error:
            assert error.errno == errno.ENOSPC
        else:
            assert second.exit_code == 3
        assert verify(place) == []
        assert pages(place / "current").keys() == old.keys()
        (place / "ballast").unlink()
        assert make(books[1], place, monkeypatch, os, "new").exit_code == 0 and verify(place) == []
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_run_killed_again_and_again_comes_to_its_end(
    ground: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt gets a little further, since what was made is not made again."""
    _, new, _, fresh = ground
    out, attempts = fresh(), 0
    while pages(out / "current") != new:
        attempts += 1
        try:
            make(books[1], out, monkeypatch, Disk(40), "new")
        except Killed:
            continue
    assert 3 <= attempts <= PEOPLE


def test_what_was_made_before_the_kill_is_not_made_again(
    ground: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, new, steps, fresh = ground
    out = fresh()
    with pytest.raises(Killed):
        make(books[1], out, monkeypatch, Disk(steps // 2), "new")
    [unfinished] = [f for f in (out / "runs").iterdir() if f.name.startswith(".")]
    kept = len(Journal(unfinished / "journal.jsonl").made())
    assert 5 <= kept < PEOPLE
    resumed = make(books[1], out, monkeypatch, os, "new")
    assert resumed.made == PEOPLE - kept and pages(out / "current") == new


def test_a_page_changed_by_hand_is_found_and_made_again(
    ground: Any, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, _, fresh = ground
    out = fresh()
    page = next(f for f in (out / "current").rglob("rep_review.html"))
    page.write_bytes(b"<html>better figures</html>")
    name = page.relative_to(out / "current").as_posix()
    assert verify(out) == [f"{name} was changed after the run."]
    (out / "current" / "extra.html").touch()
    assert len(verify(out)) == 2
    again = make(books[0], out, monkeypatch, os, "old")
    assert again.made == 1 and verify(out) == []


def test_a_failed_report_keeps_its_page_marked_stale(books: Any, quick: None, tmp_path: Path, monkeypatch: Any) -> None:
    first = make(books[0], tmp_path, monkeypatch, os, "old")
    poor = first.outcomes[3].file
    old = pages(tmp_path / "current")[poor]

    def failing(tasks: list[Task], *rest: Any) -> Iterator[Outcome]:
        for outcome in stub("new")(tasks, *rest):
            yield Outcome(outcome.file, "failed", 0.0, error="no memory") if outcome.file == poor else outcome

    monkeypatch.setattr(durable, "os", os)
    monkeypatch.setattr(run, "made", failing)
    for _ in range(2):  # it stays stale, as of the day of its own data
        second = run_batch(books[1], plan_for(books[1]), tmp_path)
        assert second.exit_code == 3 and second.stale == (poor,)
        assert (second.folder / poor).read_bytes() == old
        assert "stale, as of" in second.index.read_text(encoding="utf-8")
        assert verify(tmp_path) == []
    healed = make(books[1], tmp_path, monkeypatch, os, "new")
    assert healed.made == 1 and healed.exit_code == 0 and "stale" not in healed.index.read_text(encoding="utf-8")


def test_two_runs_at_once(books: Any, quick: None, tmp_path: Path, monkeypatch: Any) -> None:
    """The second one is turned away while the first is at work, and the first comes to its end."""
    refused = []

    def meanwhile(tasks: list[Task], *rest: Any) -> Iterator[Outcome]:
        with pytest.raises(durable.Locked) as caught:
            run_batch(books[1], plan_for(books[1]), tmp_path)
        refused.append(caught.value)
        yield from stub("new")(tasks, *rest)

    monkeypatch.setattr(run, "made", meanwhile)
    assert run_batch(books[1], plan_for(books[1]), tmp_path).exit_code == 0
    [error] = refused
    assert error.exit_code == 11 and str(tmp_path) in str(error)


def test_a_link_laid_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "page.html").symlink_to(victim)
    durable.write_file(tmp_path / "page.html", b"ours")
    assert victim.read_bytes() == b"mine" and (tmp_path / "page.html").read_bytes() == b"ours"
    assert not (tmp_path / "page.html").is_symlink()


def test_what_is_published_is_for_its_owner_only(books: Any, quick: None, tmp_path: Path, monkeypatch: Any) -> None:
    old_mask = os.umask(0)
    try:
        made = make(books[1], tmp_path / "out", monkeypatch, os, "new")
    finally:
        os.umask(old_mask)
    for path in [made.folder.resolve(), *made.folder.resolve().rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_older_runs_are_removed_beyond_those_to_keep(books: Any, quick: None, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(run, "made", stub("x"))
    for n in range(4):
        book = replace(books[1], currency=f"C{n}")
        last = run_batch(book, plan_for(book), tmp_path, keep=2)
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2 and runs[-1] == last.folder.resolve() and verify(tmp_path) == []


def test_a_journal_with_a_torn_or_forged_line_counts_up_to_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for n in range(3):
        journal.add({"key": f"k{n}", "file": f"f{n}"})
    lines = journal.file.read_bytes().splitlines(keepends=True)
    journal.file.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert list(Journal(journal.file).made()) == ["k0", "k1"]
    journal.file.write_bytes(lines[0] + lines[1].replace(b"f1", b"f9") + lines[2])
    healed = Journal(journal.file)
    assert list(healed.made()) == ["k0"]
    healed.add({"key": "k4", "file": "f4"})
    assert list(Journal(journal.file).made()) == ["k0", "k4"]
