"""Money of several currencies at dated rates: exact, one rounding per amount, and never a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book, in_currency
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import measure, quota_attainment, win_rate
from salescoach.sources import load_book

Build = Callable[..., Book]


def rate(currency: str, start: str, value: float, base: str | None = None) -> dict[str, Any]:
    return {"currency": currency, "start_on": start, "rate": value, "base_currency": base}


def deal(
    key: str, amount: float | None, currency: str | None, closed: str | None = None, **more: Any
) -> dict[str, Any]:
    won = {"outcome": "won", "closed_at": closed} if closed else {}
    return {"deal_id": key, "rep_id": "R1", "amount": amount, "currency": currency, **won, **more}


@pytest.fixture
def book(book_of: Build) -> Book:
    """Five deals; one EUR is 7.80 until 31 January, 8.00 from 1 February, 7.9055 from 1 June; as of 30 June."""
    return book_of(
        [
            deal("1", 100.0, "EUR", "2026-01-31"),
            deal("2", 100.0, "EUR", "2026-02-01"),
            deal("3", 0.01, "EUR", list_price=0.03),
            deal("4", 50.0, "CNY", "2026-03-01"),
            deal("5", 1000.0, "JPY", "2026-03-01"),
        ],
        rates=[
            rate("EUR", "2026-01-01", 7.8),
            rate("EUR", "2026-02-01", 8.0, "CNY"),
            rate("EUR", "2026-06-01", 7.9055),
            rate("JPY", "2026-01-01", 0.05),
        ],
    )


def amounts(book: Book) -> dict[str, int]:
    deals = book.deals
    return dict(zip(deals["deal_id"], deals["amount_minor"], strict=True))


def test_each_deal_at_the_rate_of_its_day(book: Book) -> None:
    # 100 EUR: 780.00 on 31 January, 800.00 on 1 February. The open deal at the rate of as_of: 0.01 * 7.9055 = 0.08.
    # The yen are left out here: books built in tests give every currency two decimals.
    found = in_currency(book, "CNY")
    assert {k: v for k, v in amounts(found).items() if k != "5"} == {"1": 78_000, "2": 80_000, "3": 8, "4": 5_000}
    assert found.deals["list_price_minor"].dropna().tolist() == [24]  # 0.03 * 7.9055 = 0.237
    assert found.deals["amount"].tolist()[:4] == [780.0, 800.0, 0.08, 50.0]
    assert found.currency == "CNY" and set(found.deals["currency"]) == {"CNY"}


def test_currencies_without_decimals(tmp_path: Path) -> None:
    # 1,000 yen at 0.05 are 50.00 yuan; 50.30 yuan are 1,006 yen
    (tmp_path / "deals.csv").write_text(
        "deal_id,rep_id,stage,closed_at,amount,currency\nD1,R1,Won,2026-02-01,1000,JPY\nD2,R1,Won,2026-02-01,50.30,CNY\n"
    )
    (tmp_path / "rates.csv").write_text("currency,start_on,rate\nJPY,2026-01-01,0.05\n")
    book = load_book(tmp_path)
    assert amounts(in_currency(book, "CNY")) == {"D1": 5_000, "D2": 5_030}
    assert amounts(in_currency(book, "JPY")) == {"D1": 1_000, "D2": 1_006}
    assert in_currency(book, "JPY").deals["amount"].tolist() == [1000.0, 1006.0]


def test_a_book_that_is_in_that_currency_stays_as_it_is(book: Book) -> None:
    once = in_currency(book, "CNY")
    assert in_currency(once, "CNY").content_hash == once.content_hash


def test_metrics_of_a_converted_book_are_one_row_and_one_sum(book: Book) -> None:
    assert set(win_rate(book, "")["currency"]) == {"CNY", "EUR", "JPY"}
    found = win_rate(in_currency(replace(book, tables=without(book, "5")), "CNY"), "")
    assert "currency" not in found and found["won_amount"].tolist() == [1_630.0]


def without(book: Book, key: str) -> dict[str, pd.DataFrame]:
    return {**book.tables, "deals": book.deals[book.deals["deal_id"] != key]}


def test_attainment_over_several_currencies(book: Book) -> None:
    targets = pd.DataFrame(
        {
            "rep_id": ["R1", "R1"],
            "metric": ["won_amount", "won"],
            "start_on": pd.to_datetime(["2026-01-01"] * 2),
            "end_on": pd.to_datetime(["2026-06-30"] * 2),
            "value": [200.0, 10.0],
            "currency": ["EUR", "EUR"],
        }
    ).astype({"rep_id": "str", "metric": "str", "currency": "str"})
    mixed = replace(book, tables={**without(book, "5"), "targets": targets})
    assert "several currencies" in str(measure(mixed, "quota_attainment").because)
    # the target at the rate of its first day: 200 * 7.8 = 1,560; a number of deals is no money
    found = in_currency(mixed, "CNY")
    assert found.table("targets").set_index("metric")["value"].to_dict() == {"won_amount": 1_560.0, "won": 10.0}
    assert quota_attainment(found, "")["value"].tolist() == pytest.approx([1_630 / 1_560])


def test_a_missing_rate_names_currency_and_day(book: Book) -> None:
    early = replace(book, tables={**book.tables, "rates": book.table("rates")[lambda r: r["start_on"] > "2026-01-31"]})
    with pytest.raises(Unavailable) as caught:
        in_currency(early, "CNY")
    assert str(caught.value) == (
        "there is no rate from EUR to CNY for 2026-01-31: add one to `rates` with a `start_on` of that day or before"
    )


def test_without_rates_nothing_is_converted(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="amounts in EUR cannot be turned into CNY: the book has no table `rates`"):
        in_currency(book_of([deal("1", 5.0, "EUR", "2026-01-31")]), "CNY")
    plain = book_of([deal("1", 5.0, None, "2026-01-31")])
    assert amounts(in_currency(plain, "CNY")) == {"1": 500}


def test_a_rate_of_nothing_and_a_currency_that_does_not_exist_are_refused(book_of: Build) -> None:
    book = book_of([deal("1", 5.0, "EUR", "2026-01-31")], rates=[rate("EUR", "2026-01-01", 0.0)])
    with pytest.raises(Unavailable, match="the rate of EUR from 2026-01-01 on is not above 0"):
        in_currency(book, "CNY")
    with pytest.raises(UsageError, match="'RMB' is no currency"):
        in_currency(book, "RMB")


def test_the_opposite_rate_and_a_third_currency_are_used(book_of: Build) -> None:
    # 1 CNY is 0.125 EUR, so 1 EUR is 8 CNY; 1 GBP is 1.2 EUR, so 9.60 CNY
    book = book_of(
        [deal("1", 10.0, "EUR", "2026-02-01"), deal("2", 10.0, "GBP", "2026-02-01")],
        rates=[rate("CNY", "2026-01-01", 0.125, "EUR"), rate("GBP", "2026-01-01", 1.2, "EUR")],
    )
    assert amounts(in_currency(book, "CNY")) == {"1": 8_000, "2": 9_600}


def test_other_tables_follow(book_of: Build) -> None:
    book = book_of(
        [deal("1", 10.0, "EUR", "2026-02-01", account_id="A")],
        log={"1": "prospect 2026-01-01, won 2026-02-01"},
        changes=[{"deal_id": "1", "at": "2026-01-10", "field": "amount", "old": "5.00", "new": "10.00"}],
        quotes=[{"quote_id": "Q", "deal_id": "1", "at": "2026-01-20", "amount": 10.0, "currency": "EUR"}],
        revenue=[{"account_id": "A", "booked_on": "2026-03-05", "amount": 10.0, "margin": -1.0, "currency": "EUR"}],
        products=[{"product": "P", "list_price": 1.0, "currency": "EUR"}],
        rates=[rate("EUR", "2026-01-01", 7.0), rate("EUR", "2026-02-01", 8.0), rate("EUR", "2026-03-01", 9.0)],
    )
    found = in_currency(book, "CNY")
    assert found.table("quotes")["amount"].tolist() == [70.0]  # at its own day
    assert found.table("revenue")[["amount", "margin"]].to_numpy().tolist() == [[90.0, -9.0]]
    assert found.table("products")["list_price"].tolist() == [9.0]  # as of today
    assert found.table("changes")[["old", "new"]].to_numpy().tolist() == [["40.00", "80.00"]]  # as the deal
    assert found.at("2026-01-05").deals["amount"].tolist() == [40.0]
    assert book.table("quotes")["amount"].tolist() == [10.0]  # the book itself is unchanged


@pytest.mark.parametrize("seed", range(6))
def test_converted_amounts_equal_the_slow_way(seed: int, generated: Build) -> None:
    """Decimal arithmetic, row by row, on a generated book whose deals are in three currencies."""
    chance = np.random.default_rng(seed)
    book = generated(seed)
    deals = book.deals.assign(currency=pd.Series(chance.choice(["EUR", "CNY", "USD"], len(book.deals)), dtype="str"))
    days = pd.date_range("2024-12-01", "2026-06-30", freq="17D")
    table = [
        {"currency": code, "start_on": day, "rate": round(float(chance.uniform(5, 9)), 4)}
        for day in days
        for code in ("EUR", "USD")
    ]
    rates = pd.DataFrame(table).astype({"currency": "str", "start_on": "datetime64[us]"})
    mixed = replace(book, tables={**book.tables, "deals": deals, "rates": rates})
    found = in_currency(mixed, "CNY").deals.set_index("deal_id")
    for row in mixed.deals.to_dict("records"):
        if pd.isna(row["amount_minor"]):
            assert pd.isna(found.loc[row["deal_id"], "amount_minor"])
            continue
        closed = row["outcome"] != "open" and row["closed_at"] is not pd.NaT
        day = row["closed_at"].tz_convert(mixed.timezone).date() if closed else mixed.as_of_on.date()
        factor = Decimal(1)
        if row["currency"] != "CNY":
            known = [r for r in table if r["currency"] == row["currency"] and r["start_on"].date() <= day]
            factor = Decimal(str(known[-1]["rate"]))
        exact = (int(row["amount_minor"]) * factor).quantize(Decimal(1), ROUND_HALF_EVEN)
        assert found.loc[row["deal_id"], "amount_minor"] == int(exact)
    whole = win_rate(in_currency(mixed, "CNY"), "")["won_amount"].iloc[0]
    parts = win_rate(in_currency(mixed, "CNY"), "rep,month")["won_amount"].sum()
    assert whole == pytest.approx(parts, abs=1e-6)
