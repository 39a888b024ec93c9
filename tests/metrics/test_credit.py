"""Who is credited with a deal: the owner at the close, or those who share it, to the last cent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salescoach.book import Book, open_slice, save_book
from salescoach.book.splits import parts_of
from salescoach.errors import InputError, Unavailable
from salescoach.metrics import measure, quota_attainment
from salescoach.metrics.credit import credited_deals
from salescoach.sources import load_book

Build = Callable[..., Book]
SHOWN = ["deal_id", "rep_id", "share", "amount_minor", "overlay"]


def win(key: str, rep: str | None, amount: float | None, on: str = "2026-02-10", **more: Any) -> dict[str, Any]:
    return {"deal_id": key, "rep_id": rep, "outcome": "won", "closed_at": on, "amount": amount, **more}


def share(deal: str, rep: str, part: float, kind: str | None = None) -> dict[str, Any]:
    return {"deal_id": deal, "rep_id": rep, "share": part, "split_type": kind}


def goal(rep: str | None, value: float, **more: Any) -> dict[str, Any]:
    return {
        "rep_id": rep, "metric": "won_amount", "start_on": "2026-01-01", "end_on": "2026-03-31", "value": value, **more
    }  # fmt: skip


@pytest.fixture
def shared(book_of: Build) -> Book:
    """Five deals: one shared by two, one by three who each have 0.3333, one with an overlay, one whole, one lost."""
    return book_of(
        [
            win("1", "R1", 100.01),
            win("2", "R2", 50.0),
            win("3", "R3", 30.0),
            win("4", "R1", 7.0),
            {**win("5", "R2", 9.0), "outcome": "lost"},
        ],
        splits=[
            share("1", "R1", 0.5),
            share("1", "R2", 0.5, "revenue"),
            share("2", "R1", 0.3333),
            share("2", "R2", 0.3333),
            share("2", "R3", 0.3333),
            share("3", "R1", 1.0, "Overlay"),
            share("5", "R3", 0.25),
            share("5", "R2", 0.75),
        ],
        targets=[goal("R1", 100.0), goal("R2", 100.0)],
    )


def test_the_parts_of_each_deal(shared: Book) -> None:
    # 100.01 halved leaves a cent: the first in the order of ids gets it. 50.00 in three parts: 16.67 + 16.67 + 16.66.
    rows = credited_deals(shared)[SHOWN].sort_values(["deal_id", "overlay", "rep_id"]).to_numpy().tolist()
    third = pytest.approx(1 / 3)
    assert rows == [
        ["1", "R1", 0.5, 5001, False],
        ["1", "R2", 0.5, 5000, False],
        ["2", "R1", third, 1667, False],
        ["2", "R2", third, 1667, False],
        ["2", "R3", third, 1666, False],
        ["3", "R3", 1.0, 3000, False],
        ["3", "R1", 1.0, 3000, True],
        ["4", "R1", 1.0, 700, False],
        ["5", "R2", 0.75, 675, False],
        ["5", "R3", 0.25, 225, False],
    ]


def test_attainment_counts_parts_and_no_overlay(shared: Book) -> None:
    # R1: 50.01 + 16.67 + 7.00 = 73.68 of 100; the overlay of 30.00 is shown apart. R3: 16.66 + 30.00.
    table = quota_attainment(shared, "rep").set_index("rep_id")
    assert table["won_amount"].to_dict() == pytest.approx({"R1": 73.68, "R2": 66.67, "R3": 46.66})
    assert table["value"].dropna().to_dict() == pytest.approx({"R1": 0.7368, "R2": 0.6667})
    assert table["overlay_amount"].to_dict() == {"R1": 30.0, "R2": 0.0, "R3": 0.0}
    whole = quota_attainment(shared, "")
    assert whole["won_amount"].tolist() == pytest.approx([187.01]) and "overlay_amount" not in whole


def test_won_deals_count_with_their_share(shared: Book) -> None:
    targets = shared.table("targets").assign(metric="won", value=2.0)
    table = quota_attainment(replace(shared, tables={**shared.tables, "targets": targets}), "rep", of="won")
    # R1: a half, a third and a whole deal
    assert table.set_index("rep_id")["won"].to_dict() == pytest.approx({"R1": 11 / 6, "R2": 5 / 6, "R3": 4 / 3})
    assert table["won"].sum() == pytest.approx(4.0) and table["n"].sum() == 7


def test_without_splits_the_owner_at_the_close_is_credited_whole(generated: Build) -> None:
    from salescoach.metrics.outcomes import decided_deals

    book = generated(3)
    found, plain = credited_deals(book), decided_deals(book).reset_index(drop=True)
    pd.testing.assert_frame_equal(found[list(plain.columns)], plain)
    assert found["share"].eq(1).all() and not found["overlay"].any()


def test_shares_that_do_not_add_up_are_no_credit(book_of: Build) -> None:
    book = book_of(
        [win("1", "R1", 10.0)], splits=[share("1", "R1", 0.5), share("1", "R2", 0.4)], targets=[goal("R1", 1)]
    )
    with pytest.raises(Unavailable, match="the shares of these deals do not add up to 1: 1"):
        credited_deals(book)
    answer = measure(book, "quota_attainment")
    assert answer.because == "the shares of these deals do not add up to 1: 1"


def test_shares_within_a_hundredth_are_taken_as_whole(book_of: Build) -> None:
    book = book_of([win("1", "R1", 10.0)], splits=[share("1", "R1", 0.5), share("1", "R2", 0.51)])
    assert credited_deals(book)["amount_minor"].tolist() == [495, 505]


def test_a_share_of_nothing_is_no_credit_and_no_amount_stays_unknown(book_of: Build) -> None:
    book = book_of([win("1", "R1", None)], splits=[share("1", "R1", 0.0), share("1", "R2", 1.0)])
    rows = credited_deals(book)
    assert rows["rep_id"].tolist() == ["R2"] and rows["amount_minor"].isna().all()


# --- the arithmetic -------------------------------------------------------------------------------


def slow_parts(amount: int, shares: list[Fraction]) -> list[int]:
    """Hamilton's method with fractions: rounded down, what is left goes to the largest remainders, first come first."""
    exact = [amount * s / sum(shares) for s in shares]
    parts = [e.__floor__() for e in exact]
    order = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: amount - sum(parts)]:
        parts[i] += 1
    return parts


deals = st.lists(
    st.tuples(st.integers(-(10**15), 10**15), st.lists(st.integers(1, 997), min_size=1, max_size=6)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=150)
@given(deals)
def test_parts_add_up_and_are_those_of_exact_arithmetic(written: list[tuple[int, list[int]]]) -> None:
    rows, amounts, expected = [], [], []
    for number, (amount, weights) in enumerate(written):
        shares = [Fraction(round(w / sum(weights) * 10**9), 10**9) for w in weights]
        rows += [{"deal_id": str(number), "share": float(s)} for s in shares]
        amounts += [amount] * len(shares)
        expected += slow_parts(amount, shares)
    found = parts_of(pd.Series(amounts, dtype="Int64"), pd.DataFrame(rows))
    assert found.tolist() == expected
    sums = found.groupby(pd.DataFrame(rows)["deal_id"]).sum()
    assert [sums[str(n)] for n in range(len(written))] == [amount for amount, _ in written]


def test_an_overlay_is_its_own_share_rounded_half_to_even() -> None:
    splits = pd.DataFrame({"deal_id": ["1", "1", "2"], "share": [0.5, 0.5, 0.1], "split_type": ["overlay"] * 3})
    amounts = pd.Series([5, 7, -25], dtype="Int64")
    assert parts_of(amounts, splits).tolist() == [2, 4, int(Decimal(-25).scaleb(-1).quantize(Decimal(1)))]


# --- a slow second way, on many books -------------------------------------------------------------


def with_splits(book: Book, seed: int) -> Book:
    chance = np.random.default_rng(seed)
    rows = []
    for key in book.deals["deal_id"]:
        if chance.random() < 0.4:
            people = sorted(chance.choice(["R1", "R2", "R3", "R4", "R9"], int(chance.integers(1, 4)), replace=False))
            cut = np.diff([0, *sorted(chance.integers(1, 100, len(people) - 1)), 100]) / 100
            rows += [share(key, rep, float(part)) for rep, part in zip(people, cut, strict=True)]
        if chance.random() < 0.1:
            rows.append(share(key, "R2", 0.5, "overlay"))
    splits = pd.DataFrame(rows).astype({"deal_id": "str", "rep_id": "str", "split_type": "str"})
    return replace(book, tables={**book.tables, "splits": splits})


@pytest.mark.parametrize("seed", range(8))
def test_credited_amounts_equal_the_slow_way(seed: int, generated: Build) -> None:
    from salescoach.metrics.outcomes import decided_deals

    book = with_splits(generated(seed), seed)
    owners = decided_deals(book).set_index("deal_id")
    expected: dict[tuple[str, str, bool], int] = {}
    splits = book.table("splits").to_dict("records")
    for key, deal in owners.iterrows():
        own = [s for s in splits if s["deal_id"] == key and s["split_type"] != "overlay" and s["share"] > 0]
        amount = None if deal["amount_minor"] is pd.NA else int(deal["amount_minor"])
        if not own:
            expected[(key, str(deal["rep_id"]), False)] = amount
        elif amount is None:
            expected |= {(key, s["rep_id"], False): None for s in own}
        else:
            parts = slow_parts(amount, [Fraction(round(s["share"] * 100), 100) for s in own])
            expected |= {(key, s["rep_id"], False): p for s, p in zip(own, parts, strict=True)}
        for s in splits:
            if s["deal_id"] == key and s["split_type"] == "overlay":
                expected[(key, s["rep_id"], True)] = None if amount is None else round(Fraction(amount, 2))
    rows = credited_deals(book)
    found = {
        (d, str(r), bool(o)): None if a is pd.NA else int(a)
        for d, r, o, a in zip(rows["deal_id"], rows["rep_id"], rows["overlay"], rows["amount_minor"], strict=True)
    }
    assert found == expected and len(rows) == len(expected)
    won = rows[(rows["outcome"] == "won") & ~rows["overlay"]]
    assert won["amount_minor"].sum() == owners.loc[owners["outcome"] == "won", "amount_minor"].sum()
    assert won["share"].sum() == pytest.approx((owners["outcome"] == "won").sum())


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 2))])
def test_what_a_rep_is_credited_is_the_same_in_the_own_slice(seed: int, generated: Build, tmp_path: Path) -> None:
    book = with_splits(generated(seed), seed)
    whole = quota_attainment(book, "rep", "2025").set_index("rep_id")
    folder = save_book(book, tmp_path / "book")
    for rep in ("R1", "R2", "R3"):
        for part in (book.for_rep(rep), open_slice(folder, rep)):
            own = quota_attainment(part, "rep", "2025")
            own = own[own["rep_id"] == rep].iloc[0]
            assert (
                own[["n", "won_amount", "target"]].to_dict() == whole.loc[rep, ["n", "won_amount", "target"]].to_dict()
            )
            assert quota_attainment(part, "", "2025")["won_amount"].tolist() == [own["won_amount"]]


# --- at the load ----------------------------------------------------------------------------------

DEALS = """deal_id,rep_id,stage,created_at,closed_at,amount
D1,R1,Won,2026-01-01,2026-02-10,100.01
D2,R2,Won,2026-01-01,2026-02-11,50
"""


def loaded(folder: Path, splits: str) -> Book:
    (folder / "deals.csv").write_text(DEALS, encoding="utf-8")
    (folder / "splits.csv").write_text(splits, encoding="utf-8")
    return load_book(folder)


def test_a_load_names_the_deals_whose_shares_do_not_add_up(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, "deal_id,rep_id,share\nD1,R1,0.5\nD2,R2,1\nD1,R2,0.6\n")
    assert str(caught.value) == (
        "The shares of 1 deal do not add up to 1: D1 (1.1: splits.csv, line 2; splits.csv, line 4). Correct them; a "
        "share on top of the deal has the split_type overlay."
    )


def test_a_share_of_a_deal_that_nobody_knows_is_reported(tmp_path: Path) -> None:
    book = loaded(tmp_path, "deal_id,rep_id,share\nD9,R1,1\n")
    note = {"check": "unmatched-key", "table": "splits", "column": "deal_id", "count": 1, "examples": ["D9"]}
    assert note in book.quality["notes"] and credited_deals(book)["share"].tolist() == [1.0, 1.0]
