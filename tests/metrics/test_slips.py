"""Pushed deals: worked by hand, and against plain loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import slips
from salescoach.metrics.slips import close_moves, pushes

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def moved(deal: str, at: str, old: str | None, new: str | None) -> dict[str, Any]:
    return {"deal_id": deal, "at": at, "field": "expected_close_on", "old": old, "new": new}


def test_what_counts_as_a_push(book_of: Build) -> None:
    log = {
        "A": "prospect 2026-01-01",
        "B": "prospect 2026-01-01",
        "C": "prospect 2026-01-01, lost 2026-03-01",
        "D": "prospect 2026-01-01",
    }
    deals = [{"deal_id": k, "expected_close_on": "2026-04-30"} for k in "ABC"] + [{"deal_id": "D"}]
    changes = [
        moved("A", "2026-01-07", "2026-02-01", "2026-03-20"),  # day 6: settling
        moved("A", "2026-01-08", "2026-03-20", "2026-03-30"),  # day 7: a push by 10 days, within the quarter
        moved("A", "2026-03-01", "2026-03-30", "2026-04-30"),  # a push by 31 days into the next quarter
        moved("B", "2026-02-01", "2026-05-30", "2026-04-30"),  # earlier: no push
        moved("B", "2026-02-02", None, "2026-04-30"),  # the first date: no push
        moved("C", "2026-03-02", "2026-03-30", "2026-04-30"),  # after the close
    ]
    row = slips(book_of(deals, log, changes=changes), "").iloc[0]
    # three deals have a date, one of them was pushed twice: 1/3, 2/3 pushes a deal, median of 10 and 31
    assert row[["n", "pushed", "pushes", "median_days", "slipped", "undated"]].tolist() == [3, 1, 2, 20.5, 1, 1]
    assert row["value"] == row["slipped_share"] == pytest.approx(1 / 3)
    assert row["mean_pushes"] == pytest.approx(2 / 3)


def test_only_the_pushes_of_the_period_count(book_of: Build) -> None:
    deals = [{"deal_id": "A", "expected_close_on": "2026-04-30"}]
    changes = [
        moved("A", "2026-03-31", "2026-03-30", "2026-04-10"),
        moved("A", "2026-04-01", "2026-04-10", "2026-04-30"),
    ]
    book = book_of(deals, {"A": "prospect 2026-01-01"}, changes=changes)
    assert slips(book, "", "2026Q1")["median_days"].tolist() == [11] and slips(book, "", "2026Q2")[
        "slipped"
    ].tolist() == [0]


def test_quarters_are_those_of_the_fiscal_year(book_of: Build) -> None:
    from salescoach.process import process_from_dict, process_to_dict

    deals = [{"deal_id": "A", "expected_close_on": "2026-02-10"}]
    changes = [moved("A", "2026-01-20", "2026-01-25", "2026-02-10")]
    book = book_of(deals, {"A": "prospect 2026-01-01"}, changes=changes)
    values = process_to_dict(book.process)
    values["calendar"]["fiscal_year"] = {"start_month": 2, "label": "end"}
    fiscal = book_of(deals, {"A": "prospect 2026-01-01"}, changes=changes, process=process_from_dict(values))
    assert not pushes(book)["crossed"].any() and pushes(fiscal)["crossed"].all()


def test_without_recorded_changes_nobody_knows(book_of: Build) -> None:
    book = book_of([{"deal_id": "A", "expected_close_on": "2026-02-10"}], {"A": "prospect 2026-01-01"})
    with pytest.raises(Unavailable, match="no change of the expected close is recorded"):
        slips(book, "")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("period", ["2025Q3", None])
def test_against_loops(busy: Build, plain: Plain, seed: int, period: str | None) -> None:
    book = busy(seed, 120)
    start, end = (date(2025, 7, 1), date(2025, 9, 30)) if period else (date.min, date(2026, 6, 30))
    moves: dict[str, list[tuple[Any, date, date]]] = defaultdict(list)
    for m in plain(book, "changes"):
        if m["field"] == "expected_close_on" and m["old"] and m["new"] and m["old"] != m["new"]:
            moves[m["deal_id"]].append((m["at"], date.fromisoformat(m["old"]), date.fromisoformat(m["new"])))
    n = pushed = slipped = undated = 0
    days: list[int] = []
    for d in plain(book, "deals"):
        closed = d["closed_at"] if d["outcome"] != "open" else None
        if d["outcome"] == "void" or d["created_at"].date() > end or (closed and closed.date() < start):
            continue
        own = [m for m in moves[d["deal_id"]] if not (closed and m[0] > closed)]
        if d["expected_close_on"] is None and not own:
            undated += 1
            continue
        n += 1
        late = [
            (old, new)
            for at, old, new in own
            if new > old and start <= at.date() <= end and (at.date() - d["created_at"].date()).days >= 7
        ]
        days += [(new - old).days for old, new in late]
        pushed += bool(late)
        slipped += any((old.year, (old.month - 1) // 3) != (new.year, (new.month - 1) // 3) for old, new in late)
    row = slips(book, "", period).iloc[0]
    assert row[["n", "pushed", "slipped", "undated", "pushes"]].tolist() == [n, pushed, slipped, undated, len(days)]
    assert not days or row["median_days"] == median(days)
    assert (close_moves(book)["days"] != 0).all()
