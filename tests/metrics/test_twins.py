"""Twins: the nearest win by hand and by plain loops, and where a pair first differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.twins import NEAR, SLACK, first_differences, twins, worth_a_look

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]
LIKE = {"segment": "SMB", "deal_type": "new", "product": "A", "lead_source": "web"}


def deal(deal_id: str, amount: float | None, **more: Any) -> dict[str, Any]:
    return {"deal_id": deal_id, "rep_id": "R1", "amount": amount, **LIKE, **more}


# --- the nearest win -------------------------------------------------------------------------------


def test_the_distance_of_five_wins(book_of: Build) -> None:
    deals = [
        deal("LOST", 100),
        deal("W1", 200),  # size ln 2 / ln 8 = 1/3: (2/3) / 6 = 0.111
        deal("W2", 100, product="B"),  # product: 1 / 6 = 0.167
        deal("W3", 100, product="B", lead_source="fair"),  # both: 2 / 6 = 0.333, just near enough
        deal("W4", 100, segment="Mid"),  # of another segment: never a twin
        deal("W5", 100, deal_type="renewal"),
    ]
    log_of = dict.fromkeys(["W1", "W2", "W3", "W4", "W5"], "prospect 2026-01-01, quote 2026-01-11, won 2026-02-01")
    log_of = {"LOST": "prospect 2026-03-01, quote 2026-03-11, lost 2026-04-01", **log_of}
    steps = [("W1", 1 / 9), ("W2", 1 / 6), ("W3", 1 / 3)]
    left = deals
    for name, distance in steps:
        kept = {d["deal_id"]: log_of[d["deal_id"]] for d in left}
        found = twins(book_of(left, kept)).iloc[0]
        assert (found["twin_id"], found["distance"]) == (name, pytest.approx(distance))
        left = [d for d in left if d["deal_id"] != name]
    row = twins(book_of(left, {d["deal_id"]: log_of[d["deal_id"]] for d in left})).iloc[0]
    assert row["twin"] == -1 and pd.isna(row["twin_id"]) and pd.isna(row["distance"])


def test_stages_passed_over_set_deals_apart_up_to_the_stage_that_was_reached(book_of: Build) -> None:
    # the lost deal stayed in prospect and quote and passed qualified over: three stages
    # W1 stayed in all three: one of three apart, 2 · 1/3 / 6 = 0.111; what comes after quote is of no matter
    # W2 is like it, and its amount 1.26 times as large: 2 · ln 1.26 / ln 8 / 6 = 0.037
    ways = {
        "LOST": "prospect 2026-03-01, quote 2026-03-11, lost 2026-04-01",
        "W1": "prospect 2026-01-01, qualified 2026-01-05, quote 2026-01-11, contract 2026-01-20, won 2026-02-01",
        "W2": "prospect 2026-01-01, quote 2026-01-11, won 2026-02-01",
    }
    book = book_of([deal("LOST", 100), deal("W1", 100), deal("W2", 126)], ways)
    row = twins(book).iloc[0]
    assert (row["twin_id"], row["path_apart"]) == ("W2", 0)
    assert row["distance"] == pytest.approx(2 * log(1.26) / log(8) / 6) and row["amount_ratio"] == pytest.approx(1.26)
    only = book_of([deal("LOST", 100), deal("W1", 100)], {k: v for k, v in ways.items() if k != "W2"})
    row = twins(only).iloc[0]
    assert (row["twin_id"], row["path_apart"], row["distance"]) == ("W1", 1, pytest.approx(1 / 9))


def test_of_wins_equally_near_the_latest_is_taken_then_the_first_by_id(book_of: Build) -> None:
    ways = {
        "LOST": "prospect 2026-03-01, lost 2026-04-01",
        "W3": "prospect 2026-01-01, won 2026-02-02",
        "W2": "prospect 2026-01-01, won 2026-02-02",
        "W1": "prospect 2026-01-01, won 2026-02-01",
    }
    amounts = {"LOST": 200, "W3": 100, "W2": 400, "W1": 400}  # half as much is as far as twice as much
    book = book_of([deal(k, v) for k, v in amounts.items()], ways)
    assert twins(book)["twin_id"].tolist() == ["W2"]


def test_what_is_not_known_of_the_deal_is_left_out_and_of_the_win_counts_as_different(book_of: Build) -> None:
    ways = {"LOST": "prospect 2026-03-01, lost 2026-04-01", "W": "prospect 2026-01-01, won 2026-02-02"}
    unknown = book_of([deal("LOST", None, product=None), deal("W", 100)], ways)
    row = twins(unknown).iloc[0]
    assert row["distance"] == 0 and pd.isna(row["product_differs"]) and pd.isna(row["amount_ratio"])
    blank_win = book_of([deal("LOST", 100), deal("W", 100, product=None)], ways)
    assert twins(blank_win)["distance"].tolist() == [pytest.approx(1 / 6)]
    without_amount = book_of([deal("LOST", 100), deal("W", None)], ways)
    assert twins(without_amount)["twin"].tolist() == [-1]


def test_open_deals_have_twins_too(book_of: Build) -> None:
    ways = {
        "O": "prospect 2026-03-01",
        "W": "prospect 2026-01-01, won 2026-02-02",
        "L": "prospect 2026-01-01, lost 2026-02-02",
    }
    book = book_of([deal("O", 100), deal("W", 100), deal("L", 100)], ways)
    assert twins(book, of="open")["deal_id"].tolist() == ["O"]
    assert twins(book, "2026-03")["deal_id"].tolist() == []
    with pytest.raises(UsageError, match="of='won' is unknown"):
        twins(book, of="won")  # type: ignore[arg-type]


def test_without_a_win_or_without_stages_there_is_no_twin(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="nothing was won"):
        twins(book_of([deal("L", 1)], {"L": "prospect 2026-01-01, lost 2026-02-02"}))
    with pytest.raises(Unavailable, match="unknown for 100% of lost deals"):
        twins(book_of([{"deal_id": "L", "outcome": "lost", "closed_at": "2026-01-01"}]))


def test_large_deals_with_a_close_twin_come_first() -> None:
    table = pd.DataFrame(
        {
            "deal_id": ["A", "B", "C", "D", "E"],
            "twin": [1, 2, 3, -1, 4],
            "amount_minor": pd.array([100, 200, 90, 999, None], dtype="Int64"),
            "distance": [0.0, 0.3, 0.0, np.nan, 0.0],
        }
    )
    assert worth_a_look(table, 9)["deal_id"].tolist() == ["A", "C", "B", "E"]  # 100, 90, 20, unknown
    assert worth_a_look(table, 2)["deal_id"].tolist() == ["A", "C"]


def rich(book: Book, seed: int) -> Book:
    """A random book with deal types and products, some blank, and amounts that repeat."""
    chance = np.random.default_rng(seed)
    deals = book.deals
    n = len(deals)
    product = pd.Series(chance.choice(["A", "B", "C"], n), dtype="str").mask(chance.random(n) < 0.15)
    kinds = pd.Series(chance.choice(["new", "renewal"], n), dtype="str").mask(chance.random(n) < 0.1)
    minor = pd.Series(chance.choice([10_000, 20_000, 40_000, 55_000], n), dtype="Int64").mask(chance.random(n) < 0.1)
    amount = minor.astype("float64") / 100
    deals = deals.assign(product=product, deal_type=kinds, amount_minor=minor, amount=amount)
    return replace(book, tables={**book.tables, "deals": deals})


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(s, marks=pytest.mark.nightly) for s in range(3, 20))])
def test_the_nearest_win_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = rich(busy(seed, 200), seed)
    order = {"prospect": 0, "qualified": 1, "quote": 2, "contract": 3}
    seen: dict[str, set[int]] = {}
    for row in plain(book, "stage_history"):
        if row["stage"] in order:
            seen.setdefault(row["deal_id"], set()).add(order[row["stage"]])
    deals = [d for d in plain(book, "deals") if d["deal_id"] in seen]
    # the latest win first, then by id
    wins = sorted((d for d in deals if d["outcome"] == "won"), key=lambda d: d["deal_id"])
    wins.sort(key=lambda d: d["closed_at"], reverse=True)
    expected: dict[str, tuple[str | None, float | None]] = {}
    for own in (d for d in deals if d["outcome"] == "lost"):
        reach, best = max(seen[own["deal_id"]]), (None, None)
        for win in wins:
            if any(own[c] is not None and own[c] != win[c] for c in ("segment", "deal_type")):
                continue
            apart, total = 0.0, 2.0
            for place in range(reach + 1):
                apart += 2 / (reach + 1) * ((place in seen[own["deal_id"]]) != (place in seen[win["deal_id"]]))
            for column in ("product", "lead_source"):
                if own[column] is not None:
                    apart, total = apart + (own[column] != win[column]), total + 1
            if own["amount"] is not None:
                if win["amount"] is None:
                    continue
                apart, total = apart + 2 * abs(log(own["amount"] / win["amount"])) / log(8), total + 2
            distance = apart / total
            if distance <= NEAR + SLACK and (best[1] is None or distance < best[1] - 1e-9):
                best = (win["deal_id"], distance)
        expected[own["deal_id"]] = best
    found = twins(book)
    assert len(found) == len(expected) > 30
    for row in found.to_dict("records"):
        name, distance = expected[row["deal_id"]]
        assert (row["twin_id"] if row["twin"] >= 0 else None) == name, row["deal_id"]
        assert distance is None or row["distance"] == pytest.approx(distance)


def test_a_reps_twins_are_the_reps_own(demo: Book) -> None:
    own = demo.for_rep("R03")
    found = twins(own)
    pairs = found[found["twin"] >= 0]
    assert len(pairs) and set(own.deals["rep_id"]) == {"R03"}
    assert set(pairs["twin_id"]) <= set(own.deals["deal_id"])


# --- the first difference --------------------------------------------------------------------------


def part(book_of: Build, lost: str, won: str, **tables: Any) -> dict[str, Any]:
    book = book_of([], {"L": lost, "W": won}, **tables)
    pairs = pd.DataFrame({"deal": [0], "twin": [1]})
    return dict(first_differences(book, pairs).iloc[0])


WON = "prospect 2026-01-01, quote 2026-01-11, won 2026-02-01"


def did(deal: str, *days: str, kind: str = "call") -> list[dict[str, Any]]:
    row = {"rep_id": "R1", "activity_type": kind, "deal_id": deal}
    return [{"activity_id": f"{deal}{kind}{day}", "at": day, **row} for day in days]


def test_a_stage_that_took_too_long(book_of: Build) -> None:
    # 10 days in prospect are still like 20 (twice as many; 7 more would be 17), 21 are not
    mark = part(book_of, "prospect 2026-01-01, quote 2026-01-22, lost 2026-02-01", WON)
    assert (mark["kind"], mark["stage"], mark["day"], mark["own"], mark["twins"]) == ("stage", "prospect", 20, 21, 10)
    assert (mark["shared_stage"], mark["shared_own"], mark["shared_twin"]) == ("prospect", 0, 0)
    mark = part(book_of, "prospect 2026-01-01, quote 2026-01-21, lost 2026-02-01", WON)
    assert (mark["kind"], mark["day"]) == ("none", 31)
    assert (mark["shared_stage"], mark["shared_own"], mark["shared_twin"]) == ("quote", 20, 10)


def test_seven_days_count_where_stays_are_short(book_of: Build) -> None:
    short = "prospect 2026-01-01, quote 2026-01-03, won 2026-01-05"  # 2 days: 9 are still like them
    assert part(book_of, "prospect 2026-01-01, quote 2026-01-10, lost 2026-01-11", short)["kind"] == "none"
    mark = part(book_of, "prospect 2026-01-01, quote 2026-01-11, lost 2026-01-12", short)
    assert (mark["kind"], mark["day"]) == ("stage", 9)


def test_a_stage_that_was_passed_over(book_of: Build) -> None:
    mark = part(
        book_of,
        "prospect 2026-01-01, contract 2026-01-11, lost 2026-01-20",
        WON.replace("won", "contract 2026-01-20, won"),
    )
    assert (mark["kind"], mark["stage"], mark["day"], mark["twins"]) == ("skipped", "quote", 10, 9)


def test_a_quote_that_never_came_or_came_late(book_of: Build) -> None:
    lost = "prospect 2026-01-01, quote 2026-01-13, lost 2026-02-10"
    won = "prospect 2026-01-01, quote 2026-01-13, won 2026-02-10"
    sent = did("W", "2026-01-15", kind="quote")  # 2 days after the entry
    mark = part(book_of, lost, won, activities=sent)
    assert (mark["kind"], mark["stage"], mark["day"], mark["twins"]) == ("quote", "quote", 12 + 2 + 7, 14)
    assert np.isnan(mark["own"]) and (mark["shared_stage"], mark["shared_own"]) == ("quote", 12)
    late = part(book_of, lost, won, activities=[*sent, *did("L", "2026-01-25", kind="quote")])
    assert (late["kind"], late["own"]) == ("quote", 24)
    early = part(book_of, lost, won, activities=[*sent, *did("L", "2026-01-22", kind="quote")])
    assert early["kind"] == "none"  # 7 days later than the twin's is still like it


def test_a_deal_lost_before_the_quote_was_due_does_not_miss_it(book_of: Build) -> None:
    sent = did("W", "2026-01-15", kind="quote")
    mark = part(book_of, "prospect 2026-01-01, quote 2026-01-13, lost 2026-01-20", WON, activities=sent)
    assert (mark["kind"], mark["day"]) == ("none", 19)


def test_a_silence(book_of: Build) -> None:
    # the won deal was never silent for more than 10 days: 20 are still like that, 21 are not
    weekly = did("W", "2026-01-01", "2026-01-11", "2026-01-21", "2026-01-31")
    lost = "prospect 2026-01-01, quote 2026-01-11, lost 2026-02-08"
    mark = part(book_of, lost, WON, activities=[*weekly, *did("L", "2026-01-10", "2026-01-31", "2026-02-05")])
    assert (mark["kind"], mark["day"], mark["own"], mark["twins"]) == ("silence", 9 + 20, 21, 10)
    kept = part(book_of, lost, WON, activities=[*weekly, *did("L", "2026-01-10", "2026-01-30", "2026-02-05")])
    assert kept["kind"] == "none"
    unrecorded = part(book_of, lost, WON, activities=did("L", "2026-01-01"))
    assert unrecorded["kind"] == "none"  # of the won deal no contact is on record


def test_a_silence_before_contacts_were_recorded_is_none(book_of: Build) -> None:
    said = did("W", "2026-01-09", "2026-01-12", "2026-01-20", "2026-01-30")
    mark = part(book_of, "prospect 2026-01-01, quote 2026-01-11, lost 2026-02-28", WON, activities=said)
    assert mark["kind"] == "stage"  # quote: 48 days against 21; no silence is spoken of, both began before the records


def test_an_expected_close_that_was_put_off(book_of: Build) -> None:
    def move(deal: str, at: str, old: str, new: str) -> dict[str, str]:
        return {"deal_id": deal, "at": at, "field": "expected_close_on", "old": old, "new": new}

    lost = "prospect 2026-01-01, quote 2026-01-11, lost 2026-02-01"
    changes = [move("L", "2026-01-20", "2026-02-01", "2026-03-01")]
    mark = part(book_of, lost, WON, changes=changes)
    assert (mark["kind"], mark["day"], mark["own"], mark["twins"]) == ("push", 19, 1, 0)
    changes.append(move("W", "2026-01-25", "2026-02-01", "2026-02-05"))
    assert part(book_of, lost, WON, changes=changes)["kind"] == "none"
    changes.append(move("L", "2026-01-22", "2026-03-01", "2026-04-01"))
    mark = part(book_of, lost, WON, changes=changes)
    assert (mark["kind"], mark["day"], mark["own"], mark["twins"]) == ("push", 21, 2, 1)


def test_the_first_of_several_differences_is_told(book_of: Build) -> None:
    # a silence from day 9 on is seen on day 29, a stay in prospect that is too long on day 20
    said = [*did("W", "2026-01-01", "2026-01-11", "2026-01-21", "2026-01-31"), *did("L", "2026-01-10")]
    mark = part(book_of, "prospect 2026-01-01, lost 2026-02-28", WON, activities=said)
    assert (mark["kind"], mark["day"]) == ("stage", 20)


@pytest.mark.parametrize("seed", range(2))
def test_pairs_are_told_one_by_one_as_together(busy: Build, seed: int) -> None:
    book = rich(busy(seed, 200), seed)
    found = twins(book)
    pairs = found[found["twin"] >= 0]
    together = first_differences(book, pairs)
    assert together.index.equals(pairs.index) and together["kind"].nunique() >= 4
    for row in list(pairs.index)[:25]:
        pd.testing.assert_series_equal(first_differences(book, pairs.loc[[row]]).iloc[0], together.loc[row])


@pytest.mark.parametrize("seed", range(2))
def test_no_deal_differs_from_itself(busy: Build, seed: int) -> None:
    book = busy(seed, 150)
    own = np.flatnonzero((book.deals["outcome"] == "won").to_numpy())
    same = first_differences(book, pd.DataFrame({"deal": own, "twin": own}))
    assert set(same["kind"]) == {"none"}
