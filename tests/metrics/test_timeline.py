"""A deal's timeline: what happened, on which day since its first entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.timeline import days_within, spans, stays_of, timeline, timelines

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def did(deal: str, at: str, kind: str = "call") -> dict[str, Any]:
    return {"activity_id": f"{deal}{at}{kind}", "rep_id": "R1", "at": at, "activity_type": kind, "deal_id": deal}


def move(deal: str, at: str, field: str, old: str, new: str) -> dict[str, str]:
    return {"deal_id": deal, "at": at, "field": field, "old": old, "new": new}


def test_a_deal_from_its_first_entry_to_its_close(book_of: Build) -> None:
    log = {"A": "prospect 2026-01-01, qualified 2026-01-11, quote 2026-01-15, lost 2026-02-01"}
    said = [
        did("A", "2025-12-31"),  # before the deal began
        did("A", "2026-01-03"),  # day 2
        did("A", "2026-01-16", "quote"),  # day 15
        did("A", "2026-02-02"),  # after the close
    ]
    quotes = [
        {"quote_id": "Q1", "deal_id": "A", "at": "2026-01-16"},
        {"quote_id": "Q2", "deal_id": "A", "at": "2026-01-20"},
    ]
    changes = [
        move("A", "2026-01-05", "expected_close_on", "2026-02-01", "2026-02-05"),  # in its first week: no push
        move("A", "2026-01-18", "expected_close_on", "2026-02-05", "2026-03-01"),  # day 17, 24 days later
        move("A", "2026-01-19", "expected_close_on", "2026-03-01", "2026-02-01"),  # earlier: no push
        move("A", "2026-01-21", "amount", "100", "80"),  # day 20
    ]
    book = book_of([{"deal_id": "A", "amount": 80.0}], log, activities=said, quotes=quotes, changes=changes)
    rows = timeline(book, "A")
    assert list(zip(rows["day"], rows["what"], strict=True)) == [
        (0, "stage"),
        (2, "contact"),
        (10, "stage"),
        (14, "stage"),
        (15, "quote"),  # recorded twice, as an activity and in `quotes`: one quote
        (17, "push"),
        (19, "quote"),
        (20, "amount"),
        (31, "close"),
    ]
    assert rows.loc[rows["what"] == "push", "value"].tolist() == [24]
    assert rows.loc[rows["what"] == "amount", "value"].tolist() == [80]
    assert rows.loc[rows["what"] == "close", ["stage", "detail"]].to_numpy().tolist() == [["lost", "lost"]]
    assert rows.loc[rows["what"] == "stage", "stage"].tolist() == ["prospect", "qualified", "quote"]


def test_stays_end_with_the_next_entry_the_close_or_the_day_of_the_data(book_of: Build) -> None:
    log = {
        "A": "prospect 2026-06-01, quote 2026-06-11, prospect 2026-06-15",
        "B": "prospect 2026-06-01, won 2026-06-04",
    }
    rows = stays_of(book_of([], log), np.array([1, 0]))
    assert rows[["deal_id", "stage", "from_day", "to_day"]].to_numpy().tolist() == [
        ["B", "prospect", 0, 3],
        ["A", "prospect", 0, 10],
        ["A", "quote", 10, 14],
        ["A", "prospect", 14, 29],
    ]


def test_a_deal_without_entries_begins_with_its_creation(book_of: Build) -> None:
    deals = [{"deal_id": "A", "created_at": "2026-06-01", "stage": "prospect"}]
    book = book_of(deals, {"B": "prospect 2026-06-02"})
    assert spans(book)["days"].tolist() == [29, 28]


def test_an_unknown_deal_names_the_nearest_and_without_history_there_is_no_timeline(book_of: Build) -> None:
    book = book_of([], {"D100": "prospect 2026-06-01"})
    with pytest.raises(UsageError, match=r"no deal 'D10'.*Did you mean 'D100'"):
        timeline(book, "D10")
    with pytest.raises(Unavailable, match="no stage history"):
        timeline(book_of([{"deal_id": "A"}]), "A")


def test_a_day_counts_in_each_window_of_its_deal_that_it_lies_in() -> None:
    day = pd.to_datetime
    each = pd.DataFrame({"deal": [1, 1, 1, 2], "on": day(["2026-01-05", "2026-01-10", "2026-02-01", "2026-01-05"])})
    windows = pd.DataFrame({"deal": [1, 1], "order": [0, 1]}, index=[7, 8])
    windows["from"] = day(["2026-01-01", "2026-01-10"])
    windows["until"] = day(["2026-01-10", "2026-01-20"])
    found = days_within(each, windows)
    assert sorted(zip(found["on"].dt.day, found["window"], strict=True)) == [(5, 7), (10, 7), (10, 8)]


@pytest.mark.parametrize("seed", range(3))
def test_timelines_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 120)
    today, expected = book.as_of_on.date(), Counter[tuple[str, int, str]]()
    entries: dict[str, list[Any]] = {}
    for row in plain(book, "stage_history"):
        entries.setdefault(row["deal_id"], []).append(row)
    life = {}
    for deal in plain(book, "deals"):
        first = min((e["entered_at"] for e in entries.get(deal["deal_id"], [])), default=deal["created_at"])
        last = today if deal["outcome"] == "open" else deal["closed_at"].date()
        life[deal["deal_id"]] = (first.date(), last)
        if deal["outcome"] != "open":
            expected[deal["deal_id"], (last - first.date()).days, "close"] += 1
    for deal_id, rows in entries.items():
        for row in rows:
            if row["stage"] not in ("won", "lost", "void"):
                begun, last = life[deal_id]
                if begun <= row["entered_at"].date() <= last:
                    expected[deal_id, (row["entered_at"].date() - begun).days, "stage"] += 1
    quotes = set()
    for row in plain(book, "activities"):
        kind, due = row["activity_type"].lower(), row["due_on"]
        waits = row["done"] is False or (row["done"] is None and due is not None and due.date() > today)
        if not row["deal_id"] or waits or kind == "note":
            continue
        begun, last = life[row["deal_id"]]
        if begun <= row["at"].date() <= last:
            if kind == "quote":
                quotes.add((row["deal_id"], (row["at"].date() - begun).days))
            else:
                expected[row["deal_id"], (row["at"].date() - begun).days, "contact"] += 1
    for row in plain(book, "quotes"):
        begun, last = life[row["deal_id"]]
        if begun <= row["at"].date() <= last:
            quotes.add((row["deal_id"], (row["at"].date() - begun).days))
    for deal_id, day in quotes:
        expected[deal_id, day, "quote"] += 1
    rows = timelines(book, np.arange(len(book.deals)))
    rows = rows[rows["what"].isin(["stage", "contact", "quote", "close"])]
    assert Counter(zip(rows["deal_id"], rows["day"], rows["what"], strict=True)) == expected
