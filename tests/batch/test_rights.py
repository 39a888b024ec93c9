"""A person's rights to what was published: all of it found, all of it taken out, and the runs still as they say."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salescoach.batch import (
    Order,
    PlanFile,
    durable,
    own_pages,
    purge_pages,
    read_manifest,
    run,
    run_batch,
    safe_slug,
    verify,
)
from salescoach.batch.job import Outcome, Task
from salescoach.batch.journal import JOURNAL, Journal
from salescoach.batch.mail import SENT
from salescoach.errors import StorageError

_FILE = Path(__file__).parents[1] / "privacy" / "scanner.py"
_SPEC = importlib.util.spec_from_file_location("scanner_of_rights", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
scanner = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scanner)

REP, NAME, OTHER = "R06", "Daniel Novak", "R07"
SLUG = safe_slug("Sofia Rossi", OTHER)
PLAN = PlanFile(
    reports=(
        Order(notebook="rep_review", per="rep", only=(REP, OTHER)),
        Order(notebook="manager_sheet", per="rep", only=(NAME, OTHER)),
        Order(notebook="team_roster", per="team"),
        Order(notebook="funnel", per="company"),
    )
)


def pages(version: str) -> Callable[..., Iterator[Outcome]]:
    """Pages made by a plain function: a team's names its people, the company's names nobody."""

    def outcomes(tasks: list[Task], *_: Any) -> Iterator[Outcome]:
        for task in tasks:
            who = task.title if "reps/" in task.file or "managers/" in task.file else ""
            named = NAME if task.parameters.get("team") == "Harbour" else ""
            content = f"<html>{version} {who} <p>{named.replace(' ', '&#32;')}</p></html>".encode()
            durable.write_file(Path(task.target), content)
            yield Outcome(task.file, "done", 0.0, hashlib.sha256(content).hexdigest(), len(content))

    return outcomes


@pytest.fixture
def out(demo_book: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, and a letter to each rep."""
    team = demo_book.people.set_index("rep_id").loc[REP, "team"]
    assert demo_book.people.set_index("rep_id").loc[REP, "rep"] == NAME
    monkeypatch.setattr(run, "_slice", lambda *_: Path("slice"))
    monkeypatch.setattr(run, "tables_of_others", lambda *_: {})
    monkeypatch.setattr(type(demo_book), "content_hash", property(lambda _: "hash"))
    place = tmp_path / "out"
    for version in ("one", "two"):
        monkeypatch.setattr(run, "made", pages(version))
        run_batch(demo_book, PLAN.model_copy(update={"language": "en" if version == "one" else "zh"}), place)
    letters = Journal(place / SENT)
    for report in read_manifest(place)["reports"]:
        if report["per"] == "rep":
            letters.add({"key": report["key"], "file": report["file"]})
    assert team == "Harbour"
    return place


def runs(out: Path) -> list[Path]:
    return sorted((out / "runs").iterdir())


def test_every_page_about_a_person_is_found(out: Path) -> None:
    found = own_pages(out, NAME)
    assert found == own_pages(out, REP) and all(page.is_file() for page in found.values())
    kinds = sorted(name.split("/")[1] + "/" + name.split("/")[-1] for name in found)
    assert kinds == ["managers/manager_sheet.html"] * 2 + ["reps/rep_review.html"] * 2


def test_a_purge_leaves_nothing_of_them_and_everything_of_the_others(out: Path) -> None:
    others = {f: f.read_bytes() for f in out.rglob("*.html") if f.name == "funnel.html" or f"/{SLUG}/" in str(f)}
    marks = [REP, NAME, NAME.lower().replace(" ", "-")]
    assert len(others) >= 6 and scanner.scan(out, marks)
    gone = purge_pages(out, REP)
    assert (gone.pages, gone.naming) == (4, 2)
    assert scanner.scan(out, marks) == {}
    assert not [f for f in out.rglob("*") if "novak" in f.name.lower()]
    assert all(f.read_bytes() == content for f, content in others.items())
    assert [e["file"].split("/")[0] for e in Journal(out / SENT).entries] == ["reps", "managers"]
    assert own_pages(out, REP) == {} and len(own_pages(out, OTHER)) == 4


def test_the_runs_still_verify_and_say_what_was_purged(out: Path) -> None:
    purge_pages(out, NAME)
    assert verify(out) == []
    for folder in runs(out):
        entries = Journal(folder / JOURNAL).entries
        assert len(entries) == len((folder / JOURNAL).read_text().splitlines())  # the whole chain holds
        assert [e["purged"] for e in entries if "purged" in e] == [3]
    manifest = read_manifest(out)
    assert [p["pages"] for p in manifest["purged"]] == [3] and manifest["done"] == len(manifest["reports"])
    assert "清除了 3 个页面" in (out / "current" / "index.html").read_text(encoding="utf-8")
    file = out / "current" / "manifest.json"
    file.write_text(json.dumps({**manifest, "purged": []}))
    assert "do not agree" in verify(out)[0]


def test_a_second_person_is_counted_beside_the_first_and_nobody_twice(out: Path) -> None:
    purge_pages(out, REP)
    assert purge_pages(out, REP).pages == 0
    assert purge_pages(out, OTHER).pages == 4
    assert verify(out) == [] and [p["pages"] for p in read_manifest(out)["purged"]] == [3, 2]


class Stopped(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 8, 12])
def test_a_purge_that_was_interrupted_is_finished_by_the_next(
    out: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from salescoach.batch import rights

    left = step

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            nonlocal left
            if left == 0:
                raise Stopped
            left -= 1
            real(*args)

        return call

    with monkeypatch.context() as patch:
        for name in ("remove_file", "write_file"):
            patch.setattr(rights, name, counted(getattr(durable, name)))
        with pytest.raises(Stopped):
            purge_pages(out, REP)
    purge_pages(out, REP)
    assert verify(out) == [] and scanner.scan(out, [REP, NAME]) == {}
    assert [p["pages"] for p in read_manifest(out)["purged"]] == [3]


def test_the_next_run_goes_on_from_a_purged_one(out: Path, demo_book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    purge_pages(out, REP)
    left = PLAN.model_copy(update={"reports": (Order(notebook="rep_review", per="rep", only=(OTHER,)),)})
    made = run_batch(demo_book, left, out)
    assert made.failed == () and verify(out) == []


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no run"):
        purge_pages(tmp_path, REP)
    with pytest.raises(StorageError, match="holds no run"):
        own_pages(tmp_path, REP)


def test_old_runs_go_when_their_days_are_over(out: Path, demo_book: Any) -> None:
    """The plan says for how many days; the current run stays however old it is, and nothing new is made for it."""
    first, second = runs(out)
    old = first.rename(first.with_name(f"20200101T000000.000000-{first.name[-8:]}"))
    kept = PLAN.model_copy(update={"language": "zh", "keep_days": 30})
    run_batch(demo_book, kept, out)
    assert not old.exists() and second.exists()
    durable.remove_folder(second)
    newest = (out / "current").resolve()
    aged = newest.rename(newest.with_name(f"20200102T000000.000000-{newest.name[-8:]}"))
    durable.point_to(out / "current", aged)
    run_batch(demo_book, kept, out)
    assert (out / "current").resolve() == aged and aged.exists()
    with pytest.raises(ValueError, match="keep_days"):
        PlanFile.model_validate({**PLAN.model_dump(), "keep_days": 0})
