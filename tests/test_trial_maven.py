"""A stranger's export, from the files to the pages: thirty-five people, five of them without a deal."""

from __future__ import annotations

import re

import pytest

from salescoach.batch import Order, PlanFile, run_batch
from salescoach.sources import load_book


@pytest.fixture(scope="module")
def book(trial):
    return load_book(trial("maven"))


@pytest.fixture(scope="module")
def run(book, tmp_path_factory):
    plan = PlanFile(reports=(Order(notebook="rep_review", per="rep"),))
    return book, run_batch(book, plan, tmp_path_factory.mktemp("maven"))


@pytest.fixture(scope="module")
def some(book, tmp_path_factory):
    """The five people without a deal, and six who have some."""
    everybody, busy = set(book.people["rep_id"]), sorted(set(book.deals["rep_id"]))
    only = (*sorted(everybody - set(busy)), *busy[:6])
    plan = PlanFile(reports=(Order(notebook="rep_review", per="rep", only=only),))
    return book, run_batch(book, plan, tmp_path_factory.mktemp("maven"))


@pytest.mark.nightly
def test_one_readable_page_for_each_of_35_people(run):
    _, result = run
    assert [o.error for o in result.failed] == []
    assert len(result.outcomes) == 35
    for job, outcome in zip(result.jobs, result.outcomes, strict=True):
        page = (result.folder / outcome.file).read_text(encoding="utf-8")
        assert job.name in page and "Where do we stand?" in page


def test_the_pages_of_the_five_people_without_a_deal_say_so(some):
    book, result = some
    idle = set(book.people["rep_id"]) - set(book.deals["rep_id"])
    assert len(idle) == 5 and len(result.jobs) == 11
    for job, outcome in zip(result.jobs, result.outcomes, strict=True):
        page = (result.folder / outcome.file).read_text(encoding="utf-8")
        assert ("There is no deal of" in page) == (job.subject in idle), job.name


def test_stage_conversion_is_unavailable_with_its_reason_on_every_page(some):
    book, result = some
    for job, outcome in zip(result.jobs, result.outcomes, strict=True):
        page = (result.folder / outcome.file).read_text(encoding="utf-8")
        told = re.search(r"Stage flow: unavailable, because the stage from which a deal was lost is unknown", page)
        assert told or job.subject not in set(book.deals["rep_id"]), job.name


@pytest.mark.parametrize("made", ["some", pytest.param("run", marks=pytest.mark.nightly)])
def test_each_page_has_the_numbers_of_its_rep(made, request, trial):
    import json

    truth = json.loads((trial("maven") / "truth.json").read_text(encoding="utf-8"))["by_rep"]
    _, result = request.getfixturevalue(made)
    for job, outcome in zip(result.jobs, result.outcomes, strict=True):
        if job.name in truth:
            page = (result.folder / outcome.file).read_text(encoding="utf-8")
            assert f"n = {truth[job.name]['closed']}" in page, job.name
