"""The records behind a figure are as many as its n: every metric, split, period, option and slice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import METRICS, Metric, counted_rows, measure

Build = Callable[..., Book]
SPLITS = (None, "", "rep", "team", "month", "lead_source,quarter")
FEW = ("", "rep", "lead_source,month")
PERIODS = (None, "2025Q3", "2026Q2", "2026-03..2026-06", "1999")
OTHER_VALUES = {"mature_days": 30, "horizon_days": 30}


def variants(metric: Metric) -> Iterator[dict[str, Any]]:
    """Every choice of each option, one option at a time; of whole numbers another value than the usual."""
    yield {}
    for option in metric.options.values():
        values = option.choices or ([OTHER_VALUES[option.name]] if option.name in OTHER_VALUES else [])
        if option.kind is bool:
            values = (not option.default,)
        yield from ({option.name: value} for value in values)


def disagreements(
    book: Book, name: str, periods: tuple[str | None, ...] = PERIODS, splits: tuple[str | None, ...] = SPLITS
) -> list[str]:
    found = []
    for options, period in itertools.product(variants(METRICS[name]), periods):
        try:
            rows = len(counted_rows(book, name, period, **options))
        except Unavailable:
            rows = None
        for by in splits:
            answer = measure(book, name, by, period, **options)
            if answer.table is None:
                continue
            n = METRICS[name].counted(answer.table)
            if rows != n:
                found.append(f"{name} by={by!r} period={period} {options}: n={n}, {rows} rows")
    return found


@pytest.fixture(scope="module")
def parts(demo: Book) -> list[Book]:
    """A rep, a team, and a rep on a past day; by default the rep alone."""
    return [demo.for_rep("R05"), demo.for_team("Harbour"), demo.at("2026-03-31").for_rep("R11")]


@pytest.mark.parametrize("seed", [3, pytest.param(104, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_rows_are_as_many_as_the_number_counts(name: str, seed: int, generated: Build) -> None:
    assert disagreements(generated(seed), name) == []


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_rows_of_the_demo_are_as_many_as_the_number_counts(name: str, demo: Book) -> None:
    assert disagreements(demo, name, ("2026Q2",), FEW) == []


@pytest.mark.parametrize("first", [1, pytest.param(3, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_rows_of_a_rep_and_of_a_team_are_as_many_as_their_number_counts(
    name: str, first: int, parts: list[Book]
) -> None:
    for part in parts[:first]:
        assert disagreements(part, name, (None, "2026Q1"), FEW) == []


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_counts_something_somewhere(name: str, demo: Book, generated: Build) -> None:
    """Else the tests above compare nothing with nothing."""
    reachable = [(b, p) for b in (demo, generated(3), generated(104)) for p in ("2026Q2", "2025Q3", None)]
    answers = [measure(b, name, (), p) for b, p in reachable]
    counts = [METRICS[name].counted(a.table) for a in answers if a.table is not None]
    assert not counts or max(counts) > 0


def test_a_metric_that_repeats_its_records_counts_them_once(book_of: Build) -> None:
    # three deals, five rows (four stages and won), each with n = 3
    log = {
        "1": "prospect 2026-01-01, won 2026-01-05",
        "2": "prospect 2026-01-01, lost 2026-01-04",
        "3": "quote 2026-01-01",
    }
    book = book_of(log=log)
    table = measure(book, "funnel", "").table
    assert table is not None and table["n"].tolist() == [3] * 5
    assert METRICS["funnel"].counted(table) == 3 == len(counted_rows(book, "funnel"))


def test_a_metric_counted_without_its_repeats_would_be_found(demo: Book) -> None:
    table = measure(demo, "funnel", "").table
    assert table is not None
    assert table["n"].sum() > len(counted_rows(demo, "funnel"))


def test_options_that_rows_do_not_take_do_not_stop_them(demo: Book) -> None:
    usual, strict = (counted_rows(demo, "stage_flow", **o) for o in ({}, {"rule": "strict"}))
    assert len(strict) < len(usual)
    pd.testing.assert_frame_equal(usual, counted_rows(demo, "stage_flow", rule="reached"))
