"""The typical path of won deals, and what a rep may know of the others' one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.typical_path import path_of_others, typical_path

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def did(deal: str, at: str, kind: str = "call") -> dict[str, Any]:
    return {"activity_id": f"{deal}{at}{kind}", "rep_id": "R1", "at": at, "activity_type": kind, "deal_id": deal}


LOG = {
    "A": "prospect 2026-01-01, quote 2026-01-06, won 2026-01-10",  # 5 days, 4 days
    "B": "prospect 2026-01-01, quote 2026-01-08, won 2026-01-20",  # 7, 12
    "C": "prospect 2026-01-01, quote 2026-01-20, won 2026-01-28",  # 19, 8
    "D": "prospect 2026-01-01, lost 2026-01-31",
    "E": "prospect 2026-06-01",
}


def test_days_contacts_and_quotes_of_won_deals(book_of: Build) -> None:
    said = [
        did("A", "2026-01-02"),
        did("A", "2026-01-06"),  # on the day of the change: of the next stage
        did("B", "2026-01-02"),
        did("B", "2026-01-03"),
        did("B", "2026-01-09", "quote"),  # a quote is a contact too
        did("C", "2025-12-30"),  # before the deal
        did("D", "2026-01-02"),
    ]
    table = typical_path(book_of([], LOG, activities=said)).set_index("stage")
    assert table.index.tolist() == ["prospect", "quote"] and table["n"].tolist() == [3, 3]
    assert table["value"].tolist() == [7, 8]
    assert table["contacts"].tolist() == pytest.approx([3 / 3, 2 / 3])
    assert table["several"].tolist() == pytest.approx([1 / 3, 0])  # B in prospect
    assert table["quoted"].tolist() == pytest.approx([0, 1 / 3])  # B in quote


def test_what_is_not_recorded_is_not_zero(book_of: Build) -> None:
    table = typical_path(book_of([], LOG))
    assert table["value"].notna().all()
    assert table[["contacts", "several", "quoted"]].isna().all(axis=None)


def test_lost_deals_have_a_path_of_their_own_and_nothing_decided_has_none(book_of: Build) -> None:
    book = book_of([], LOG)
    lost = typical_path(book, of="lost")
    assert lost[["stage", "n", "value"]].to_numpy().tolist() == [["prospect", 1, 30]]
    with pytest.raises(Unavailable, match="decided so in the period"):
        typical_path(book, "2026-03")


def crowd(book_of: Build, reps: int, most: int = 1) -> Book:
    """Each rep wins a deal after 7 days, the first one `most` of them."""
    log, deals = {}, []
    for rep in range(reps):
        for i in range(most if rep == 0 else 1):
            key = f"D{rep}-{i}"
            deals.append({"deal_id": key, "rep_id": f"R{rep}"})
            log[key] = "prospect 2026-01-01, won 2026-01-08"
    return book_of(deals, log)


def test_the_others_path_is_hidden_among_few_or_where_one_holds_most_of_it(book_of: Build) -> None:
    assert path_of_others(crowd(book_of, 5))["hidden"].all()
    assert path_of_others(crowd(book_of, 8)).set_index("metric").loc["path_days", "hidden"]  # a median of eight
    assert path_of_others(crowd(book_of, 9, most=7))["hidden"].all()  # two of the others away: 7 of 13 are one's own
    shown = path_of_others(crowd(book_of, 9, most=6)).set_index("metric")
    assert not shown.loc["path_days", "hidden"] and shown.loc["path_days", "value"] == 8  # the step next to 7
    assert np.isnan(shown.loc["path_contacts", "value"])
    assert set(shown) == {"pipeline", "stage", "value", "reps", "hidden"} and shown.loc["path_days", "reps"] == 9


def test_the_others_shares_are_rounded_and_a_book_without_history_has_no_path(demo: Book, book_of: Build) -> None:
    table = path_of_others(demo)
    shares = table.loc[table["metric"].isin(["path_several", "path_quoted"]), "value"]
    assert len(shares) == 8 and (shares * 20).round(9).mod(1).eq(0).all()
    assert path_of_others(book_of([{"deal_id": "A"}])).empty


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 2))])
def test_contacts_in_stages_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    """From the first entry to the day before the first deeper one; to the close with its day."""
    book = busy(seed, 150)
    order = ["prospect", "qualified", "quote", "contract"]
    entries: dict[str, list[tuple[str, Any]]] = {}
    for row in plain(book, "stage_history"):
        entries.setdefault(row["deal_id"], []).append((row["stage"], row["entered_at"]))
    today = book.as_of_on.date()
    expected: dict[str, list[int]] = {}
    for deal in plain(book, "deals"):
        if deal["outcome"] != "lost":
            continue
        steps = entries[deal["deal_id"]]
        first: dict[int, Any] = {}
        for stage, at in steps:
            if stage in order:
                first.setdefault(order.index(stage), at)
        for place, at in first.items():
            deeper = [t for s, t in steps if s in order and order.index(s) > place and t >= at]
            end = min(deeper) if deeper else deal["closed_at"]
            if end < at:
                continue
            n = 0
            for row in plain(book, "activities"):
                kind, due = row["activity_type"].lower(), row["due_on"]
                waits = row["done"] is False or (row["done"] is None and due is not None and due.date() > today)
                if row["deal_id"] != deal["deal_id"] or waits or kind == "note":
                    continue
                on = row["at"].date()
                inside = on < end.date() if deeper else on <= end.date()
                n += at.date() <= on and inside
            expected.setdefault(order[place], []).append(n)
    table = typical_path(book, of="lost").set_index("stage")
    for stage, numbers in expected.items():
        assert table.loc[stage, "n"] == len(numbers)
        assert table.loc[stage, "contacts"] == pytest.approx(np.mean(numbers))
        assert table.loc[stage, "several"] == pytest.approx(np.mean([n >= 2 for n in numbers]))
