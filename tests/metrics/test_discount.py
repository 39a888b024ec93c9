"""Discount on the list price of won deals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import counted_rows, discount, measure, ratio_interval

Build = Callable[..., Book]
Z = 1.959963984540054


def win(name: str, amount: float | None, listed: float | None, **more: Any) -> dict[str, Any]:
    deal = {"deal_id": name, "rep_id": "R1", "outcome": "won", "closed_at": "2026-03-10"}
    return {**deal, "amount": amount, "list_price": listed, **more}


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


def test_discount_of_five_deals(book_of: Build) -> None:
    # 90 of 100, 300 of 400, 110 of 100 (above list): 500 of 600 = 16.7 % given away, 100 in all; the mean of the three
    # discounts would be 8.3 %. One win has no list price, one no amount.
    deals = [win("1", 90, 100), win("2", 300, 400), win("3", 110, 100), win("4", 70, None), win("5", None, 50)]
    row = only(discount(book_of(deals), ""))
    assert row["n"] == 3 and row["value"] == pytest.approx(1 / 6)
    assert (row["list_amount"], row["won_amount"], row["given_away"]) == (600.0, 500.0, 100.0)
    assert (row["above_list"], row["without_list_price"], row["without_amount"]) == (1, 1, 1)
    # Residuals of amount - 5/6 · list: 6.667, -33.333, 26.667; their squares 1866.67 · 3/2 = 2800; / 600² -> se .0882
    half = Z * math.sqrt(2800) / 600
    assert (row["low"], row["high"]) == pytest.approx((1 / 6 - half, 1 / 6 + half))


def test_all_sold_above_list_is_a_negative_discount(book_of: Build) -> None:
    row = only(discount(book_of([win("1", 120, 100), win("2", 240, 200)]), ""))
    assert row["value"] == pytest.approx(-0.2) and row["given_away"] == -60.0 and row["above_list"] == 2


def test_one_deal_has_a_discount_and_no_interval(book_of: Build) -> None:
    row = only(discount(book_of([win("1", 90, 100)]), ""))
    assert row["value"] == pytest.approx(0.1) and np.isnan(row["low"]) and np.isnan(row["high"])


def test_a_list_price_of_0_is_none(book_of: Build) -> None:
    row = only(discount(book_of([win("1", 90, 0), win("2", 90, 100)]), ""))
    assert (row["n"], row["without_list_price"]) == (1, 1)


def test_lost_deals_and_void_ones_give_nothing_away(book_of: Build) -> None:
    deals = [win("1", 90, 100), win("2", 10, 100, outcome="lost"), win("3", 10, 100, outcome="void")]
    assert only(discount(book_of(deals), ""))["value"] == pytest.approx(0.1)


def test_a_group_without_list_prices_is_null_not_0(book_of: Build) -> None:
    deals = [win("1", 90, 100, competitor="Bluepeak"), win("2", 90, None, competitor=None)]
    table = discount(book_of(deals), "competitor").set_index("competitor")
    assert table.loc["Bluepeak", "n"] == 1 and table.loc["(none)", "n"] == 0
    assert table.loc["(none)", ["value", "low", "given_away", "list_amount"]].isna().all()


def test_by_product_type_and_currency(book_of: Build) -> None:
    deals = [
        win("1", 90, 100, product="Pro", deal_type="new", currency="CNY"),
        win("2", 60, 100, product="Pro", deal_type="renewal", currency="USD"),
        win("3", 50, 100, product=None, deal_type=None, currency="USD"),
    ]
    book = book_of(deals)
    found = discount(book, "product")[["product", "currency", "given_away"]].to_numpy().tolist()
    assert found == [["Pro", "CNY", 10.0], ["Pro", "USD", 40.0], ["(none)", "USD", 50.0]]
    assert discount(book, "deal_type")["deal_type"].tolist() == ["new", "renewal", "(none)"]


def test_without_list_prices_it_is_unavailable(book_of: Build) -> None:
    assert measure(book_of([win("1", 5.0, None)]), "discount").because == (
        "`list_price` is missing or empty in `deals`"
    )


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance, inside = np.random.default_rng(1), 0
    for _ in range(400):
        listed = chance.lognormal(3, 0.6, 60)
        sold = listed * (1 - chance.beta(2, 18, 60))  # 10 % on average, whatever the size
        sums = sold.sum(), listed.sum(), (sold**2).sum(), (sold * listed).sum(), (listed**2).sum()
        _, low, high = ratio_interval(*sums, 60)
        inside += bool(low <= 0.9 <= high)
    assert 360 <= inside <= 396


def test_discount_equals_the_slow_way(generated: Build) -> None:
    for seed in range(8):
        book = generated(seed)
        chance = np.random.default_rng(seed)
        deals = book.deals
        listed = (deals["amount_minor"].fillna(5000) * chance.uniform(0.8, 1.6, len(deals))).astype("float64").round()
        listed = listed.mask(chance.random(len(deals)) < 0.2).astype("Int64")
        book = replace(book, tables={**book.tables, "deals": deals.assign(list_price_minor=listed)})
        groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for deal in book.deals.to_dict("records"):
            if deal["outcome"] == "won" and not pd.isna(deal["amount_minor"]) and not pd.isna(deal["list_price_minor"]):
                source = deal["lead_source"] if isinstance(deal["lead_source"], str) else "(none)"
                groups[source].append((deal["amount_minor"], deal["list_price_minor"]))
        table = discount(book, "lead_source")
        assert table["n"].sum() == sum(map(len, groups.values())) == len(counted_rows(book, "discount"))
        for row in table.to_dict("records"):
            pairs = groups[row["lead_source"]]
            if not pairs:
                assert np.isnan(row["value"])
                continue
            sold, asked = (sum(p[i] for p in pairs) for i in (0, 1))
            assert row["value"] == pytest.approx(1 - sold / asked)
            assert row["given_away"] == pytest.approx((asked - sold) / 100)
            assert row["above_list"] == sum(a > b for a, b in pairs)
            if len(pairs) > 1:
                spread = sum((a - sold / asked * b) ** 2 for a, b in pairs) * len(pairs) / (len(pairs) - 1)
                assert row["high"] - row["value"] == pytest.approx(Z * math.sqrt(spread) / asked, rel=1e-6)
