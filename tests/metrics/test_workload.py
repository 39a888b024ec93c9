"""Workload: worked by hand, against plain loops, and silent where nothing supports a flag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import workload
from salescoach.metrics.stalled import watched_deals
from salescoach.metrics.workload import carried_deals, weekly_contacts

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]
TOUCH = {"prospect": 5, "qualified": 7, "quote": 4, "contract": 3}


def called(rep: str, deal: str | None, at: pd.Timestamp, n: int = 0) -> dict[str, Any]:
    return {
        "activity_id": f"{rep}{deal}{at}{n}",
        "rep_id": rep,
        "at": at.isoformat(),
        "activity_type": "call",
        "deal_id": deal,
    }


def test_touches_asked_for_and_made(book_of: Build) -> None:
    # prospect asks for 7/5 = 1.4 touches a week, contract for 7/3: together 3.7333. 8 calls in the last 8 weeks: 1 a
    # week; nothing in the 4 weeks before but one call: 9 calls in 12 weeks
    deals = [{"deal_id": "A", "rep_id": "R1", "amount": 5.0}, {"deal_id": "B", "rep_id": "R1"}]
    end = pd.Timestamp("2026-06-30 10:00")
    said = [called("R1", "A", end - pd.Timedelta(weeks=w)) for w in range(8)]
    said += [called("R1", None, end - pd.Timedelta(weeks=12))]
    book = book_of(deals, {"A": "prospect 2026-06-01", "B": "contract 2026-06-20"}, activities=said)
    row = workload(book).iloc[0]
    assert row["asked_per_week"] == pytest.approx(1.4 + 7 / 3) and row["contacts_per_week"] == 1
    assert row["value"] == pytest.approx(1.4 + 7 / 3) and row["amount"] == 5
    weeks = weekly_contacts(book)
    assert weeks["n"].tolist() == [1] * 8 + [0] * 4, "the first week may be a part of one and is left out"
    # A was called today, B never since it was created 10 days ago: contract allows 3
    assert row[["deals_told", "neglected"]].tolist() == [2, 1] and row["signal"] == "few"
    assert np.isnan(row["without_next_step"])


def test_a_zombie_asks_for_a_decision_not_for_calls(book_of: Build) -> None:
    deals = [{"deal_id": "A", "rep_id": "R1", "expected_close_on": "2026-01-31"}]
    book = book_of(deals, {"A": "prospect 2026-01-01"}, activities=[called("R1", "A", pd.Timestamp("2026-02-01"))])
    row = workload(book).iloc[0]
    assert row[["n", "zombies", "asked_per_week", "deals_told"]].tolist() == [1, 1, 0, 0]


def loaded(book_of: Build, heavy: int, waiting: int) -> Book:
    """Six reps with 20 weeks of 20 calls a week; R0 has `heavy` deals of which `waiting` wait, the others 12 with 1."""
    deals: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    end = pd.Timestamp("2026-06-30 10:00")
    for r in range(6):
        rep, many, late = f"R{r}", heavy if r == 0 else 12, waiting if r == 0 else 1
        for i in range(many):
            deals.append({"deal_id": f"{rep}-{i}", "rep_id": rep})
            said.append(called(rep, f"{rep}-{i}", end - pd.Timedelta(days=6 if i < late else 1)))
        said += [called(rep, None, end - pd.Timedelta(days=7 * w + 3), k) for w in range(21) for k in range(20)]
    return book_of(deals, {d["deal_id"]: "prospect 2026-06-20" for d in deals}, activities=said)


def test_too_much_needs_both_more_than_sustained_and_more_left_waiting(book_of: Build) -> None:
    # 40 deals ask for 56 touches a week; about 60 calls in the last week, 20 in each before: 20 sustained
    assert workload(loaded(book_of, 40, 25)).set_index("rep_id")["signal"].to_dict() == {
        "R0": "too much",
        **{f"R{r}": "none" for r in range(1, 6)},
    }
    # as many deals, but no more wait than elsewhere: the person copes
    assert set(workload(loaded(book_of, 40, 3))["signal"]) == {"none"}
    # more wait, but 13 deals ask for 18.2 a week, which was done before: not the load is the reason
    assert set(workload(loaded(book_of, 13, 12))["signal"]) == {"none"}


def test_flags_are_rare_among_equals() -> None:
    """Reps who are all alike: at most the nominal tenth of books has any flag (here by the z alone, load ignored)."""
    from salescoach.metrics.workload import _signals

    chance = np.random.default_rng(5)
    books = 300
    flagged = 0
    for _ in range(books):
        told = chance.integers(10, 40, 12)
        table = pd.DataFrame(
            {
                "rep_id": [f"R{i}" for i in range(12)],
                "deals_told": told,
                "neglected": chance.binomial(told, 0.3),
                "weeks": 50,
                "asked_per_week": 50.0,
                "sustained_per_week": 10.0,
            }
        )
        flagged += bool((_signals(table) == "too much").any())
    assert flagged <= 0.1 * books


def test_only_people_carry_deals(demo: Book) -> None:
    with pytest.raises(Unavailable, match="cannot be split by segment"):
        workload(demo, "segment")
    assert workload(demo, "team")["signal"].isna().all()


@pytest.mark.parametrize("seed", range(4))
def test_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today = book.as_of_on.date()
    zombie = set(watched_deals(book).query("zombie")["deal_id"])
    last: dict[str, Any] = {}
    weeks: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for a in plain(book, "activities"):
        waiting = a["done"] is False or (a["done"] is None and a["due_on"] and a["due_on"].date() > today)
        if waiting or a["activity_type"].lower() == "note":
            continue
        weeks[a["rep_id"]][(today - a["at"].date()).days // 7] += 1
        if a["deal_id"]:
            last[a["deal_id"]] = max(a["at"], last.get(a["deal_id"], a["at"]))
    asked: dict[str, float] = defaultdict(float)
    neglected: dict[str, int] = defaultdict(int)
    for d in plain(book, "deals"):
        if d["outcome"] == "open" and d["deal_id"] not in zombie:
            rep = d["rep_id"] or "(unassigned)"
            asked[rep] += 7 / TOUCH[d["stage"]]
            quiet = today - last.get(d["deal_id"], d["created_at"]).date()
            neglected[rep] += quiet > timedelta(days=TOUCH[d["stage"]])
    for row in workload(book).to_dict("records"):
        rep = row["rep_id"]
        assert row["asked_per_week"] == pytest.approx(asked[rep]) and row["neglected"] == neglected[rep]
        if rep in weeks:
            counts = [weeks[rep][w] for w in range(max(1, max(weeks[rep])))]
            assert row["contacts_per_week"] == pytest.approx(np.mean(counts[:8]))
            assert row["sustained_per_week"] == pytest.approx(np.quantile(counts, 0.9))
    assert len(carried_deals(book)) == sum(d["outcome"] == "open" for d in plain(book, "deals"))
