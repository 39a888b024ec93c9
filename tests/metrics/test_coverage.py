"""Coverage: worked by hand, and the required coverage against plain loops over past days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import coverage, measure, wilson
from salescoach.metrics.coverage import past_due_deals, past_points
from salescoach.metrics.registry import as_period

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def target(start: str, end: str, value: float, rep: str | None = "R1") -> dict[str, Any]:
    return {"rep_id": rep, "metric": "won_amount", "start_on": start, "end_on": end, "value": value}


def moved(deal: str, at: str, old: str, new: str) -> dict[str, Any]:
    return {"deal_id": deal, "at": at, "field": "expected_close_on", "old": old, "new": new}


def small(book_of: Build, **more: Any) -> Book:
    """As of 15 May 2026, half through Q2. Half through Q1, on 14 February, four deals were open and due in Q1: one was
    won in March, one lost, one won in April, and one is open still."""
    deals = [
        {"deal_id": "A", "rep_id": "R1", "expected_close_on": "2026-03-10", "amount": 10.0},
        {"deal_id": "B", "rep_id": "R1", "expected_close_on": "2026-03-10", "amount": 30.0},
        {"deal_id": "C", "rep_id": "R1", "expected_close_on": "2026-04-20", "amount": 40.0},
        {"deal_id": "D", "rep_id": "R1", "expected_close_on": "2026-06-20", "amount": 150.0},
        {"deal_id": "E", "rep_id": "R1", "expected_close_on": "2026-06-20", "amount": 50.0},
        {"deal_id": "F", "rep_id": "R1", "expected_close_on": "2026-08-20", "amount": 999.0},
        {"deal_id": "G", "rep_id": "R1", "expected_close_on": "2026-06-20"},
    ]
    log = {
        "A": "prospect 2026-01-05, won 2026-03-20",
        "B": "prospect 2026-01-05, lost 2026-03-20",
        "C": "prospect 2026-01-05, won 2026-04-20",
        "D": "prospect 2026-01-05",
        "E": "prospect 2026-05-01",
        "F": "prospect 2026-05-01",
        "G": "prospect 2026-05-01",
    }
    changes = [
        moved("C", "2026-03-30", "2026-03-20", "2026-04-20"),
        moved("D", "2026-03-30", "2026-03-20", "2026-06-20"),
    ]
    given: dict[str, Any] = {"changes": changes, "targets": [target("2026-04-01", "2026-06-30", 140.0)], **more}
    return book_of(deals, log, as_of="2026-05-15", **given)


def test_half_through_the_quarter(book_of: Build) -> None:
    # due: D, E and G (no amount) = 200; target 140 - won 40 = 100 -> 2.0. Then: 1 of 4 was won in time -> required 4
    row = coverage(small(book_of), "", "2026Q2").iloc[0]
    shown = ["n", "due_amount", "won_amount", "target", "remaining", "value", "past_n", "past_won", "past_periods"]
    assert row[shown].tolist() == [3, 200, 40, 140, 100, 2, 4, 1, 1]
    assert row["required"] == 4 and row["without_amount"] == 1
    _, low, high = (float(v) for v in wilson(1, 4))
    assert (row["required_low"], row["required_high"]) == (pytest.approx(1 / high), pytest.approx(1 / low))
    assert row["past_by_amount"] == pytest.approx(10 / 230)


def test_the_point_is_at_the_same_share_of_the_days(book_of: Build) -> None:
    book = small(book_of)
    # 45 of 91 days had passed on 15 May; 45/91 of Q1's 90 days are 44.505, that is 45 days: 14 February
    points = [(span.label, str(day.date())) for span, day in past_points(book, as_period(book, "2026Q2"))]
    assert points == [("2026Q1", "2026-02-14")]


def test_a_reached_target_needs_no_coverage(book_of: Build) -> None:
    book = small(book_of, targets=[target("2026-04-01", "2026-06-30", 40.0)])
    row = coverage(book, "", "2026Q2").iloc[0]
    assert row["remaining"] == 0 and np.isnan(row["value"]) and row["required"] == 4


def test_where_moves_are_not_recorded_the_required_coverage_is_unknown(book_of: Build) -> None:
    owner = [{"deal_id": "A", "at": "2026-01-06", "field": "amount", "old": "1", "new": "10"}]
    row = coverage(small(book_of, changes=owner), "", "2026Q2").iloc[0]
    assert row["value"] == 2 and row["past_n"] == 0 and row[["required", "required_low", "required_high"]].isna().all()


def test_reps_without_target_or_deals_have_their_row(book_of: Build) -> None:
    book = small(book_of, reps=[{"rep_id": "R1", "team": "T"}, {"rep_id": "R2", "team": "T"}])
    table = coverage(book, "rep", "2026Q2").set_index("rep_id")
    assert table["n"].to_dict() == {"R1": 3, "R2": 0} and np.isnan(table.loc["R2", "value"])
    assert coverage(book, "team", "2026Q2")["value"].tolist() == [2]


def test_what_it_needs(book_of: Build) -> None:
    book = small(book_of)
    assert "needs a period" in str(measure(book, "coverage").because)
    with pytest.raises(Unavailable, match="not set by segment"):
        coverage(book, "segment", "2026Q2")
    euros = book.deals.assign(currency=["CNY"] * 6 + ["EUR"])
    from dataclasses import replace

    mixed = replace(book, tables={**book.tables, "deals": euros.assign(currency=euros["currency"].astype("str"))})
    assert "several currencies" in str(measure(mixed, "coverage", "", "2026Q2").because)


@pytest.mark.parametrize("seed", range(6))
def test_the_record_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    now = {d["deal_id"]: d for d in plain(book, "deals")}
    points = list(past_points(book, as_period(book, "2026Q2")))
    assert [span.label for span, _ in points] == ["2026Q1", "2025Q4", "2025Q3", "2025Q2", "2025Q1"]
    n = won = 0
    for span, day in points:
        assert day.date() == span.end_on, "the data end with the period"
        assert isinstance(span.start_on, date)
        for d in plain(book.at(str(day.date())), "deals"):
            due = d["expected_close_on"] and span.start_on <= d["expected_close_on"].date() <= span.end_on
            if d["outcome"] == "open" and due:
                n += 1
                came = now[d["deal_id"]]
                won += came["outcome"] == "won" and came["closed_at"].date() <= span.end_on
    rows = past_due_deals(book, "2026Q2")
    assert (len(rows), int(rows["won_in_time"].sum())) == (n, won) and n > 10


def test_the_demos_required_coverage_follows_its_own_record(demo: Book) -> None:
    book = demo.at("2026-08-15")
    row = coverage(book, "", "2026Q3").iloc[0]
    assert row["past_periods"] == 7 and row["past_n"] > 500
    assert row["required_low"] < row["required"] < row["required_high"] and row["required"] > 4
