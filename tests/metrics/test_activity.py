"""Activity quality: worked by hand, and against plain loops."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from statistics import mean, median
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import activity_quality, measure
from salescoach.metrics.activity import active_deals

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def did(deal: str, at: str, kind: str, side: str | None = "out", **more: Any) -> dict[str, Any]:
    known = {"rep_id": "R1", "at": at, "activity_type": kind, "deal_id": deal, "direction": side}
    return {"activity_id": f"{deal}{at}{kind}", **known, **more}


def test_what_three_deals_got(book_of: Build) -> None:
    # A: a meeting, a demo, an email from the customer and one to them: 3 two-way contacts; B: a call out: 0;
    # C: nothing. Two-way per active deal: 3 / 3 = 1, a meeting and a demo a third each.
    # Gaps: A's contacts on the 2nd, 4th, 8th and 9th: 2, 4, 1 -> median 2.
    log = dict.fromkeys("ABC", "prospect 2026-06-01") | {"V": "prospect 2026-06-01, void 2026-06-10"}
    said = [
        did("A", "2026-06-02", "Meeting"),
        did("A", "2026-06-04", "demo"),
        did("A", "2026-06-08", "email", "in"),
        did("A", "2026-06-09", "email"),
        did("A", "2026-06-10", "note"),
        did("B", "2026-06-05", "call"),
        did("V", "2026-06-05", "meeting"),
    ]
    row = activity_quality(book_of([], log, activities=said), "").iloc[0]
    assert row[["n", "value", "without_contact", "median_gap_days", "n_open"]].tolist() == [3, 1, 1, 2, 3]
    assert row["meetings"] == row["demos"] == pytest.approx(1 / 3)
    assert row["detail_contacts"] == 5 and row["next_step_share"] != row["next_step_share"]


def test_active_means_open_at_some_time_in_the_period(book_of: Build) -> None:
    log = {
        "before": "prospect 2026-01-01, lost 2026-03-31",
        "first day": "prospect 2026-01-01, lost 2026-04-01",
        "within": "prospect 2026-05-01, won 2026-05-02",
        "last day": "prospect 2026-06-30",
        "through": "prospect 2025-01-01",
    }
    book = book_of([], log, as_of="2026-07-31")
    assert set(active_deals(book, "2026Q2")["deal_id"]) == {"first day", "within", "last day", "through"}


def test_a_handed_over_deal_counts_for_the_owner_at_the_end_of_the_period(book_of: Build) -> None:
    deals = [{"deal_id": "A", "rep_id": "R2"}]
    moved = [{"deal_id": "A", "at": "2026-07-10", "field": "rep_id", "old": "R1", "new": "R2"}]
    book = book_of(deals, {"A": "prospect 2026-05-01"}, as_of="2026-09-30", changes=moved)
    assert active_deals(book, "2026Q2")["rep_id"].tolist() == ["R1"]
    assert active_deals(book, "2026Q3")["rep_id"].tolist() == ["R2"]


def test_where_no_contact_says_its_side_there_is_no_figure(book_of: Build) -> None:
    book = book_of([], {"A": "prospect 2026-06-01"}, activities=[did("A", "2026-06-02", "meeting", None)])
    row = activity_quality(book, "").iloc[0]
    assert row["meetings"] == 1 and row[["value", "low", "high"]].isna().all()


def test_next_steps_are_those_of_the_open_deals(book_of: Build) -> None:
    log = {"A": "prospect 2026-06-01", "B": "prospect 2026-06-01", "C": "prospect 2026-06-01, won 2026-06-09"}
    said = [did("A", "2026-06-02", "call", due_on="2026-07-09", done=False), did("C", "2026-06-02", "call", done=True)]
    row = activity_quality(book_of([], log, activities=said), "").iloc[0]
    assert row["n_open"] == 2 and row["next_step_share"] == 0.5


def test_a_deal_is_in_no_single_month(demo: Book) -> None:
    with pytest.raises(Unavailable, match="open in more than one month"):
        activity_quality(demo, "month")
    assert not measure(demo, "slips", "rep,quarter").available


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("quarter", [(date(2025, 7, 1), date(2025, 9, 30), "2025Q3"), (None, date(2026, 6, 30), None)])
def test_against_loops(busy: Build, plain: Plain, seed: int, quarter: tuple[date | None, date, str | None]) -> None:
    book, (start, end, period) = busy(seed, 120), quarter
    today = book.as_of_on.date()
    said: dict[str, list[tuple[datetime, str, bool]]] = defaultdict(list)
    for a in plain(book, "activities"):
        kind = a["activity_type"].lower()
        waiting = a["done"] is False or (a["done"] is None and a["due_on"] and a["due_on"].date() > today)
        if a["deal_id"] and kind != "note" and not waiting:
            two_way = kind in ("meeting", "demo") or a["direction"] == "in"
            said[a["deal_id"]].append((a["at"], kind, two_way))
    moves: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for m in plain(book, "changes"):
        if m["field"] == "rep_id":
            moves[m["deal_id"]].append((m["at"], m["old"]))
    got: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    gaps: dict[str, list[int]] = defaultdict(list)
    for d in plain(book, "deals"):
        closed = d["closed_at"] if d["outcome"] != "open" else None
        if d["outcome"] == "void" or d["created_at"].date() > end or (start and closed and closed.date() < start):
            continue
        last = (
            closed
            if closed and closed.date() <= end
            else None
            if end == today
            else datetime(end.year, end.month, end.day, 23, 59, 59)
        )
        later = [old for at, old in sorted(moves[d["deal_id"]]) if last and at >= last]
        owner = later[0] if later else d["rep_id"] or "(unassigned)"
        inside = [c for c in said[d["deal_id"]] if c[0].date() <= end and not (start and c[0].date() < start)]
        kinds = [c[1] for c in inside]
        got[owner].append((sum(c[2] for c in inside), kinds.count("meeting"), kinds.count("demo"), len(inside)))
        for before, after in itertools.pairwise(sorted(c[0].date() for c in said[d["deal_id"]])):
            if after <= end and not (start and after < start):
                gaps[owner].append((after - before).days)
    table = activity_quality(book, "rep", period).set_index("rep_id")
    assert set(table.index[table["n"] > 0]) == set(got)
    for rep, rows in got.items():
        row = table.loc[rep]
        assert row["n"] == len(rows)
        for column, place in (("value", 0), ("meetings", 1), ("demos", 2)):
            assert row[column] == pytest.approx(mean(r[place] for r in rows)), (rep, column)
        assert row["without_contact"] == sum(r[3] == 0 for r in rows) and row["detail_contacts"] == sum(
            r[3] for r in rows
        )
        if gaps[rep]:
            assert row["median_gap_days"] == median(gaps[rep])
