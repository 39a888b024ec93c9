"""Reasons of lost and won deals: by stage, the most frequent first, the unrecorded ones among them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import counted_rows, loss_reasons, measure
from salescoach.metrics.losses import NOT_RECORDED, reasoned_deals

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]
REASONS = ["price", "timing", "competitor", None]

DEALS = [
    {"deal_id": "1", "rep_id": "R1", "lost_reason": "price", "amount": 100.0},
    {"deal_id": "2", "rep_id": "R1", "lost_reason": "price", "amount": None},
    {"deal_id": "3", "rep_id": "R2", "lost_reason": None, "amount": 40.0},
    {"deal_id": "4", "rep_id": "R2", "lost_reason": "timing", "amount": 7.0},
    {"deal_id": "5", "rep_id": "R1", "won_reason": "speed", "amount": 9.0},
    {"deal_id": "6", "rep_id": "R1", "lost_reason": "price", "amount": 5.0},
]
LOG = {
    "1": "prospect 2026-01-01, quote 2026-01-05, lost 2026-01-15",
    "2": "prospect 2026-01-01, quote 2026-01-05, lost 2026-01-25",
    "3": "prospect 2026-01-01, quote 2026-02-01, prospect 2026-02-03, lost 2026-02-11",
    "4": "prospect 2026-01-01, lost 2026-02-01",
    "5": "prospect 2026-01-01, contract 2026-01-08, won 2026-01-12",
    "6": "prospect 2026-01-01, void 2026-01-02",
}


@pytest.fixture
def six(book_of: Build) -> Book:
    return book_of(DEALS, LOG)


def random_reasons(book: Book, seed: int) -> Book:
    chance = np.random.default_rng(seed)
    given = {c: pd.Series(chance.choice(REASONS, len(book.deals)), dtype="str") for c in ("lost_reason", "won_reason")}
    return replace(book, tables={**book.tables, "deals": book.deals.assign(**given)})


# --- the arithmetic --------------------------------------------------------------------------------


def test_reasons_are_counted_in_the_deepest_stage_of_each_deal(six: Book) -> None:
    table = loss_reasons(six)
    # Lost are 1 to 4. In quote, the deepest stage even of 3, which went back: 1 and 2 for price, 3 for nothing known.
    # In prospect: 4. The void 6 counts nowhere.
    assert table[["stage", "reason", "n", "deals"]].to_numpy().tolist() == [
        ["prospect", "timing", 1, 1],
        ["quote", "price", 2, 3],
        ["quote", NOT_RECORDED, 1, 3],
    ]
    np.testing.assert_allclose(table["value"], [1, 2 / 3, 1 / 3])
    # Price in quote: 10 and 20 days since the first entry; of 3 the days since 1 February, 10.
    assert table["median_days"].tolist() == [31.0, 15.0, 10.0]
    assert table["n_timed"].tolist() == [1, 2, 1]
    assert table["amount"].tolist() == [7.0, 100.0, 40.0] and table["without_amount"].tolist() == [0, 1, 0]


def test_wins_are_counted_in_the_same_way(six: Book) -> None:
    table = loss_reasons(six, of="won")
    assert table[["stage", "reason", "n", "deals", "median_days"]].to_numpy().tolist() == [
        ["contract", "speed", 1, 1, 4.0]
    ]


def test_other_groups_need_no_stage(six: Book) -> None:
    table = loss_reasons(six, by="rep")
    assert table[["rep_id", "reason", "n", "deals"]].to_numpy().tolist() == [
        ["R1", "price", 2, 2],
        ["R2", "timing", 1, 2],
        ["R2", NOT_RECORDED, 1, 2],
    ]
    assert "median_days" not in table
    whole = loss_reasons(six, by="")
    assert whole[["reason", "n", "deals"]].to_numpy().tolist() == [
        ["price", 2, 4],
        ["timing", 1, 4],
        [NOT_RECORDED, 1, 4],
    ]


def test_the_period_is_that_of_the_close(six: Book) -> None:
    assert loss_reasons(six, "", "2026-01")["n"].tolist() == [2]
    assert loss_reasons(six, "", "2026-02")["reason"].tolist() == ["timing", NOT_RECORDED]
    assert loss_reasons(six, "", "2026-03").empty


def test_sums_never_cross_currencies(book_of: Build) -> None:
    deals = [{**d, "currency": "EUR" if d["deal_id"] == "1" else "CNY"} for d in DEALS]
    table = loss_reasons(book_of(deals, LOG), by="")
    assert table[["currency", "reason", "n", "deals"]].to_numpy().tolist() == [
        ["CNY", "price", 1, 3],
        ["CNY", "timing", 1, 3],
        ["CNY", NOT_RECORDED, 1, 3],
        ["EUR", "price", 1, 1],
    ]


# --- what cannot be known --------------------------------------------------------------------------


def test_without_any_reason_it_is_unavailable(six: Book) -> None:
    book = replace(six, tables={**six.tables, "deals": six.deals.drop(columns="lost_reason")})
    because = "`lost_reason` is missing or empty in `deals`"
    assert measure(book, "loss_reasons").because == because
    with pytest.raises(Unavailable, match="lost_reason"):
        counted_rows(book, "loss_reasons")
    assert measure(book, "loss_reasons", of="won").available


def test_by_stage_it_is_unavailable_where_stages_are_unknown(six: Book) -> None:
    tables = {n: t for n, t in six.tables.items() if n != "stage_history"}
    book = replace(six, tables=tables)
    assert "the stage from which a deal was lost is unknown" in str(measure(book, "loss_reasons").because)
    assert loss_reasons(book, by="")["n"].sum() == 4


def test_an_unknown_outcome_is_refused(six: Book) -> None:
    with pytest.raises(UsageError, match=r"of='wonn' is unknown. Did you mean 'won'\? Outcomes: lost, won"):
        loss_reasons(six, of="wonn")  # type: ignore[arg-type]


# --- a second, plain implementation ----------------------------------------------------------------


def plainly(
    book: Book, of: str, plain: Callable[[Book, str], list[dict[str, Any]]]
) -> dict[tuple[str, str], list[Any]]:
    """(stage, reason) -> the days of its deals, by loops."""
    order = [s.key for s in next(iter(book.process.pipelines.values())).working]
    entries: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in plain(book, "stage_history"):
        if row["stage"] in order:
            first = entries[row["deal_id"]].get(row["stage"])
            at = row["entered_at"]
            entries[row["deal_id"]][row["stage"]] = at if first is None else min(first, at)
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for deal in plain(book, "deals"):
        if deal["outcome"] != of:
            continue
        reached = [s for s in order if s in entries[deal["deal_id"]]]
        stage = reached[-1] if reached else "(none)"
        start = entries[deal["deal_id"]].get(stage)
        days = None if start is None or deal["closed_at"] is None else (deal["closed_at"].date() - start.date()).days
        found[stage, deal[f"{of}_reason"] or NOT_RECORDED].append(days)
    return found


@pytest.mark.parametrize("of", ["lost", "won"])
@pytest.mark.parametrize("seed", [3, 7, 104])
def test_plain_loops_find_the_same(seed: int, of: Any, generated: Build, plain: Plain) -> None:
    book = random_reasons(generated(seed), seed)
    table = loss_reasons(book, of=of).set_index(["stage", "reason"])
    expected = plainly(book, of, plain)
    assert {k: len(v) for k, v in expected.items()} == table["n"].to_dict()
    totals = Counter[str]()
    for (stage, _), days in expected.items():
        totals[stage] += len(days)
    for (stage, reason), days in expected.items():
        row = table.loc[(stage, reason)]
        assert row["value"] == pytest.approx(len(days) / totals[stage])
        known = [d for d in days if d is not None]
        # below two days the ladder counts minutes and hours
        if known and median(known) >= 3 and len(known) == row["n_timed"]:
            assert row["median_days"] == pytest.approx(median(known), abs=1)


# --- what must hold of any book --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_reasons_of_a_group_add_up_to_all_of_it(seed: int, generated: Build) -> None:
    book = random_reasons(generated(seed), seed)
    for of, by in (("lost", "stage"), ("won", "stage"), ("lost", "rep"), ("lost", "lead_source"), ("lost", "")):
        table = loss_reasons(book, by=by, of=of)  # type: ignore[arg-type]
        keys = {"stage": ["stage"], "rep": ["rep_id"], "lead_source": ["lead_source"], "": ["deals"]}[by]
        shares = table.groupby(keys)["value"].sum()
        np.testing.assert_allclose(shares, 1)
        assert table["value"].between(table["low"] - 1e-9, table["high"] + 1e-9).all()
        assert table["n"].sum() == (book.deals["outcome"] == of).sum()


def test_lost_deals_by_stage_are_those_of_the_stage_flow(demo: Book) -> None:
    lost = measure(demo, "stage_flow", ()).table
    reasons = loss_reasons(demo).groupby("stage")["n"].sum()
    assert lost is not None
    assert reasons.to_dict() == lost.set_index("stage")["lost"].to_dict()


def test_the_book_is_left_as_it_was(six: Book) -> None:
    before = six.deals.copy()
    reasoned_deals(six)
    loss_reasons(six)
    pd.testing.assert_frame_equal(six.deals, before)
