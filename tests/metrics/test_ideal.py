"""Ideal customer: each kind beside what is expected like for like; no signal where the data cannot tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import win_rate
from salescoach.metrics.ideal import ideal_customer

Build = Callable[..., Book]


def deals(*groups: tuple[int, int, dict[str, str]]) -> list[dict[str, object]]:
    """(decided, won, columns) of each kind -> deals."""
    rows: list[dict[str, object]] = []
    for n, won, columns in groups:
        for i in range(n):
            outcome = "won" if i < won else "lost"
            rows.append(
                {"stage": outcome, "created_at": "2026-01-01", "closed_at": "2026-02-01", "amount": 100.0, **columns}
            )
    return [{"deal_id": f"D{i:04}", "rep_id": "R1", **row} for i, row in enumerate(rows)]


def random_kinds(book: Book, seed: int) -> Book:
    chance = np.random.default_rng(seed)
    kinds = {
        "segment": chance.choice(["SMB", "Mid", "Large"], len(book.deals)),
        "region": chance.choice(["North", "South"], len(book.deals)),
        "deal_type": chance.choice(["new", "renewal"], len(book.deals)),
    }
    given = {c: pd.Series(v, dtype="str") for c, v in kinds.items()}
    return replace(book, tables={**book.tables, "deals": book.deals.assign(**given)})


def test_a_kind_is_compared_with_its_like(book_of: Build) -> None:
    # New: 200 decided, 50 won (25 %). Renewals: 100 decided, 80 won (80 %). North has 50 of each with
    # expected 50 · 0.25 + 50 · 0.8 = 52.5 of its 100: 20 + 45 = 65 won.
    book = book_of(
        deals(
            (50, 20, {"region": "North", "deal_type": "new"}),
            (150, 30, {"region": "South", "deal_type": "new"}),
            (50, 45, {"region": "North", "deal_type": "renewal"}),
            (50, 35, {"region": "South", "deal_type": "renewal"}),
        )
    )
    table = ideal_customer(book).set_index("group")
    assert table["trait"].tolist() == ["region", "region"]
    north = table.loc["North"]
    assert (north["n"], north["won"], north["expected"]) == (100, 65, pytest.approx(52.5))
    assert north["usual"] == pytest.approx(0.525)
    # V = Σ n · p · (1 - p) · (N - n) / (N - 1) = 50·¼·¾·150/199 + 50·0.8·0.2·50/99
    spread = 50 * 0.25 * 0.75 * 150 / 199 + 50 * 0.8 * 0.2 * 50 / 99
    assert north["z"] == pytest.approx((65 - 52.5 - 0.5) / sqrt(spread))
    assert table["signal"].to_dict() == {"North": "above", "South": "below"}
    assert north["mean_amount"] == 100.0 and north["median_days"] == 31.0


def test_no_signal_where_the_mix_explains_it(book_of: Build) -> None:
    # North wins 70 % and South 35 %, because North has the renewals: within each type they are alike.
    book = book_of(
        deals(
            (20, 5, {"region": "North", "deal_type": "new"}),
            (80, 64, {"region": "North", "deal_type": "renewal"}),
            (80, 20, {"region": "South", "deal_type": "new"}),
            (20, 16, {"region": "South", "deal_type": "renewal"}),
        )
    )
    assert ideal_customer(book)["signal"].tolist() == ["none", "none"]


def test_few_deals_are_not_judged(book_of: Build) -> None:
    book = book_of(deals((9, 9, {"region": "North"}), (60, 6, {"region": "South"})))
    assert ideal_customer(book).set_index("group")["signal"]["North"] == "few"


def test_chance_alone_gives_hardly_any_signal(book_of: Build) -> None:
    chance, found = np.random.default_rng(5), 0
    for _ in range(20):
        groups = [(60, int(chance.binomial(60, 0.3)), {"region": f"G{i}"}) for i in range(6)]
        found += bool(ideal_customer(book_of(deals(*groups)))["signal"].isin(["above", "below"]).any())
    assert found <= 5  # at most one book in ten is expected to name any


def test_traits_of_accounts_stand_in(book_of: Build) -> None:
    rows = deals((30, 10, {"account_id": "A"}), (30, 20, {"account_id": "B"}))
    accounts = [
        {"account_id": "A", "industry": "food", "size": "small"},
        {"account_id": "B", "industry": "media", "size": "large"},
    ]
    table = ideal_customer(book_of(rows, accounts=accounts))
    assert table[["trait", "group"]].to_numpy().tolist() == [
        ["industry", "food"],
        ["industry", "media"],
        ["size", "large"],
        ["size", "small"],
    ]
    segmented = [{**row, "segment": row["account_id"]} for row in rows]
    assert set(ideal_customer(book_of(segmented, accounts=accounts))["trait"]) == {"segment", "industry"}


def test_deals_without_the_trait_are_a_group_of_their_own(book_of: Build) -> None:
    rows = deals((30, 10, {"region": "North"}), (30, 10, {"region": "South"}), (30, 2, {}))
    table = ideal_customer(book_of(rows))
    assert table["group"].tolist() == ["North", "South", "(none)"] and table["n"].sum() == 90


def test_without_traits_it_is_unavailable(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="neither deals nor accounts tell kinds of customers apart: segment, region"):
        ideal_customer(book_of(deals((30, 10, {}))))
    with pytest.raises(Unavailable, match="won deals only"):
        ideal_customer(book_of(deals((30, 30, {"region": "North"}))))


def test_a_name_is_no_kind(book_of: Build) -> None:
    rows = deals(*[(2, 1, {"region": f"Place {i}", "product": f"P{i % 2}"}) for i in range(21)])
    assert set(ideal_customer(book_of(rows))["trait"]) == {"product"}


def test_amounts_of_several_currencies_are_left_out(book_of: Build) -> None:
    rows = deals((20, 10, {"region": "North", "currency": "EUR"}), (20, 10, {"region": "South", "currency": "CNY"}))
    table = ideal_customer(book_of(rows))
    assert table["mean_amount"].isna().all() and table["median_days"].notna().all()


@pytest.mark.parametrize("seed", [3, 7, 104])
def test_plain_loops_expect_the_same(seed: int, generated: Build) -> None:
    book = random_kinds(generated(seed), seed)
    table = ideal_customer(book)
    decided = [d for d in book.deals.to_dict("records") if d["outcome"] in ("won", "lost")]
    for trait, mix in (("segment", ("deal_type", "lead_source")), ("region", ("deal_type", "lead_source", "segment"))):
        cells: dict[tuple[str, ...], list[bool]] = defaultdict(list)
        for deal in decided:
            cells[tuple(str(deal[c]) for c in mix)].append(deal["outcome"] == "won")
        expected: dict[str, float] = defaultdict(float)
        for deal in decided:
            like = cells[tuple(str(deal[c]) for c in mix)]
            expected[deal[trait]] += sum(like) / len(like)
        found = table[table["trait"] == trait].set_index("group")["expected"]
        assert found.to_dict() == pytest.approx(dict(expected))


@pytest.mark.parametrize("seed", range(4))
def test_kinds_add_up_and_agree_with_the_win_rate(seed: int, generated: Build) -> None:
    book = random_kinds(generated(seed), seed)
    table = ideal_customer(book)
    for trait, part in table.groupby("trait"):
        rates = win_rate(book, by=str(trait)).set_index(str(trait))
        assert part["expected"].sum() == pytest.approx(part["won"].sum())
        for row in part.itertuples():
            assert (row.n, row.won) == (rates.loc[row.group, "n"], rates.loc[row.group, "won"])
