"""Observed value of accounts, by when they were won."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import METRICS, counted_rows, customer_value, measure

Build = Callable[..., Book]


def win(name: str, account: str | None, amount: float | None, on: str | None, **more: Any) -> dict[str, Any]:
    deal = {"deal_id": name, "rep_id": "R1", "outcome": "won", "account_id": account, "amount": amount}
    return {**deal, "closed_at": on, **more}


def booking(account: str, on: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"account_id": account, "booked_on": on, "amount": amount, **more}


# A: 10 + 50, first on 10 January; B: 20 in February; C: 100 in April. As of 30 June 2026.
WINS = [
    win("1", "A", 10.0, "2026-01-10", deal_type="new"),
    win("2", "A", 50.0, "2026-05-10", deal_type="expansion"),
    win("3", "B", 20.0, "2026-02-10", deal_type="new"),
    win("4", "C", 100.0, "2026-04-01", deal_type=None),
    {"deal_id": "5", "outcome": "lost", "account_id": "C", "amount": 900.0, "closed_at": "2026-03-01"},
]


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


def test_customer_value_of_three_accounts(book_of: Build) -> None:
    # 2026Q1: A 60 and B 20: mean 40, standard error 20, observed 171 and 140 days; A bought again. 2026Q2: C alone.
    table = customer_value(book_of(WINS)).set_index("quarter")
    first, second = table.loc["2026Q1"], table.loc["2026Q2"]
    assert (first["n"], first["value"], first["total"], first["repeat"], first["repeat_share"]) == (
        2,
        40.0,
        80.0,
        1,
        0.5,
    )
    assert first["high"] == pytest.approx(40 + 1.959964 * 20) and first["low"] == pytest.approx(40 - 1.959964 * 20)
    assert first["months_observed"] == pytest.approx((171 + 140) / 2 / 30.436875)
    assert (second["n"], second["value"], second["repeat"]) == (1, 100.0, 0) and pd.isna(second["low"])
    assert set(table["measured"]) == {"won"}


def test_an_account_stays_in_the_cohort_of_its_first_order(book_of: Build) -> None:
    book = book_of(WINS)
    assert only(customer_value(book, "", "2026Q1"))["total"] == 80.0  # A's second order came in the second quarter
    assert set(counted_rows(book, "customer_value", "2026Q1")["account_id"]) == {"A", "B"}


def test_groups_are_those_of_the_first_deal(book_of: Build) -> None:
    table = customer_value(book_of(WINS), "deal_type")
    assert table[["deal_type", "n", "total"]].to_numpy().tolist() == [["new", 2, 80.0], ["(none)", 1, 100.0]]


def test_booked_revenue_comes_before_won_amounts_and_margin_before_revenue(book_of: Build) -> None:
    # A is acquired by its first booking, in 2025Q4; D was booked without any deal; E after the day of the data.
    rows = [booking("A", "2025-12-01", 7.0, margin=2.0), booking("A", "2026-03-01", 8.0, margin=-1.0)]
    rows += [booking("D", "2026-01-02", 5.0, margin=3.0), booking("E", "2026-07-01", 9.0, margin=9.0)]
    rows += [booking("D", "2026-07-01", 50.0, margin=30.0)]  # planned, not observed
    book = book_of(WINS, revenue=rows)
    assert customer_value(book)[["quarter", "n", "total"]].to_numpy().tolist() == [
        ["2025Q4", 1, 1.0],
        ["2026Q1", 1, 3.0],
    ]
    assert customer_value(book, of="revenue")["total"].tolist() == [15.0, 5.0]
    assert customer_value(book, of="won")["total"].tolist() == [80.0, 100.0]
    assert customer_value(book)["measured"].unique().tolist() == ["margin"]
    assert customer_value(book, "rep")[["rep", "n"]].to_numpy().tolist() == [["R1", 1], ["(unassigned)", 1]]
    row = only(customer_value(book, ""))
    assert (row["n"], row["repeat"], row["repeat_share"]) == (2, 1, 1.0)  # of D nobody knows how often it bought


def test_revenue_where_a_margin_is_missing(book_of: Build) -> None:
    book = book_of(WINS, revenue=[booking("A", "2026-01-01", 7.0, margin=2.0), booking("B", "2026-01-01", 7.0)])
    assert customer_value(book, "")["measured"].tolist() == ["revenue"]
    assert measure(book, "customer_value", of="margin").because == "1 of 2 bookings have no margin"


def test_what_is_not_recorded_is_unavailable(book_of: Build) -> None:
    assert measure(book_of(WINS), "customer_value", of="revenue").because == "the book has no table `revenue`"
    with pytest.raises(UsageError, match="Did you mean 'margin'"):
        customer_value(book_of(WINS), of="margins")  # type: ignore[arg-type]


def test_an_account_without_a_known_amount_is_counted_apart(book_of: Build) -> None:
    book = book_of(
        [win("1", "A", None, "2026-01-10"), win("2", "B", 30.0, "2026-01-10"), win("3", None, 5.0, "2026-01-10")]
    )
    row = only(customer_value(book, ""))
    assert (row["n"], row["without_amount"], row["value"], row["total"]) == (2, 1, 30.0, 30.0)


def test_an_undated_win_belongs_to_no_quarter_but_to_the_whole(book_of: Build) -> None:
    book = book_of([win("1", "A", 3.0, None), win("2", "B", 30.0, "2026-01-10")])
    assert customer_value(book)["quarter"].tolist() == ["2026Q1", "(undated)"]
    assert only(customer_value(book, ""))["total"] == 33.0


def test_a_loss_on_an_account_is_below_zero(book_of: Build) -> None:
    book = book_of(WINS, revenue=[booking(a, "2026-01-01", 7.0, margin=-m) for a, m in (("A", 4.0), ("B", 2.0))])
    row = only(customer_value(book, ""))
    assert row["value"] == -3.0 and row["low"] < -3.0 < row["high"]


def test_each_currency_has_its_row(book_of: Build) -> None:
    deals = [win("1", "A", 3.0, "2026-01-10", currency="CNY"), win("2", "A", 4.0, "2026-05-10", currency="USD")]
    table = customer_value(book_of(deals))
    assert table[["quarter", "currency", "n", "total"]].to_numpy().tolist() == [
        ["2026Q1", "CNY", 1, 3.0],
        ["2026Q1", "USD", 1, 4.0],
    ]


def test_it_is_called_observed() -> None:
    found = METRICS["customer_value"]
    assert found.definition.startswith("Observed") and "nothing is extrapolated" in found.caveat


def test_without_a_choice_it_is_split_by_cohort(book_of: Build) -> None:
    assert measure(book_of(WINS), "customer_value").by == ("quarter",)


def test_customer_value_equals_the_slow_way(generated: Build) -> None:
    for seed in range(8):
        book = generated(seed)
        accounts: dict[str, list[dict[str, Any]]] = {}
        for deal in book.deals.to_dict("records"):
            if deal["outcome"] == "won" and isinstance(deal["account_id"], str):
                accounts.setdefault(deal["account_id"], []).append(deal)
        cohorts: dict[str, list[list[dict[str, Any]]]] = {}
        for deals in accounts.values():
            first = min(d["closed_at"] for d in deals).tz_convert(book.timezone)
            cohorts.setdefault(f"{first.year}Q{first.quarter}", []).append(deals)
        table = customer_value(book)
        assert set(table["quarter"]) == set(cohorts)
        for row in table.to_dict("records"):
            sums = [[d["amount"] for d in deals if d["amount"] == d["amount"]] for deals in cohorts[row["quarter"]]]
            known = [sum(amounts) for amounts in sums if amounts]
            assert row["n"] == len(sums) and row["without_amount"] == len(sums) - len(known)
            assert row["repeat"] == sum(len(deals) > 1 for deals in cohorts[row["quarter"]])
            if known:
                assert row["value"] == pytest.approx(mean(known)) and row["total"] == pytest.approx(sum(known))
        assert len(counted_rows(book, "customer_value")) == len(accounts)
