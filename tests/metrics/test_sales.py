"""Sales per rep: won amount, wins and mean deal size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import counted_rows, measure, sales

Build = Callable[..., Book]
Z = 1.959963984540054


def win(name: str, amount: float | None, rep: str | None = "R1", on: str = "2026-03-10", **more: Any) -> dict[str, Any]:
    return {"deal_id": name, "rep_id": rep, "outcome": "won", "amount": amount, "closed_at": on, **more}


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


def test_sales_of_five_deals(book_of: Build) -> None:
    # Won: 20 + 40 + 60 = 120, one more without an amount; a lost deal of 500 sells nothing.
    # Sum ± z √(400 + 1600 + 3600); mean 40 ± z · 20 / √3
    lost = {"deal_id": "5", "rep_id": "R1", "outcome": "lost", "amount": 500.0, "closed_at": "2026-03-10"}
    row = only(sales(book_of([win("1", 20.0), win("2", 40.0), win("3", 60.0), win("4", None), lost])))
    assert (row["n"], row["wins"], row["value"], row["without_amount"]) == (4, 4.0, 120.0, 1)
    half = Z * math.sqrt(5600)
    assert (row["low"], row["high"]) == pytest.approx((max(120 - half, 0), 120 + half))
    half = Z * 20 / math.sqrt(3)
    assert (row["mean_amount"], row["mean_low"], row["mean_high"]) == pytest.approx((40, 40 - half, 40 + half))


def test_sales_belong_to_the_day_of_the_win(book_of: Build) -> None:
    book = book_of([win("1", 5.0, on="2026-03-31", created_at="2025-12-01"), win("2", 7.0, on="2026-04-01")])
    assert sales(book, "month")[["month", "value"]].to_numpy().tolist() == [["2026-03", 5.0], ["2026-04", 7.0]]
    assert only(sales(book, "", "2026Q1"))["value"] == 5.0


def test_no_win_is_zero_and_an_unknown_amount_is_not(book_of: Build) -> None:
    book = book_of([win("1", None), win("2", 3.0, "R2")], reps=[{"rep_id": "R3", "name": "Ana"}])
    table = sales(book).set_index("rep_id")
    assert table["n"].to_dict() == {"R1": 1, "R2": 1, "R3": 0}
    assert pd.isna(table.loc["R1", "value"]) and table.loc["R3", "value"] == 0.0
    assert table.loc[["R1", "R3"], ["low", "high", "mean_amount"]].isna().all(axis=None)
    assert pd.isna(table.loc["R2", "mean_low"])  # one deal has no spread to tell


def test_each_currency_has_its_row(book_of: Build) -> None:
    book = book_of([win("1", 5.0, currency="CNY"), win("2", 7.0, currency="USD"), win("3", 8.0, currency="USD")])
    assert sales(book, "")[["currency", "n", "value"]].to_numpy().tolist() == [["CNY", 1, 5.0], ["USD", 2, 15.0]]


def test_a_refund_is_counted_as_it_is(book_of: Build) -> None:
    row = only(sales(book_of([win("1", -30.0), win("2", 10.0)]), ""))
    assert row["value"] == -20.0 and row["low"] < -20.0 < row["high"]
    assert row["mean_amount"] == -10.0 and row["mean_low"] < -10.0 < row["mean_high"]


def test_types_of_deals_stand_apart(book_of: Build) -> None:
    deals = [win("1", 5.0, deal_type="renewal"), win("2", 7.0, deal_type="new"), win("3", 9.0, deal_type=None)]
    assert sales(book_of(deals), "deal_type")[["deal_type", "n", "value"]].to_numpy().tolist() == [
        ["new", 1, 7.0],
        ["renewal", 1, 5.0],
        ["(none)", 1, 9.0],
    ]


def test_a_shared_deal_counts_with_its_parts(book_of: Build) -> None:
    # 100 shared 70 : 30, with 50 % on top for a specialist, which is no sale; R2 has another deal of 40.
    # R2: 30 + 40 over 0.3 + 1 deals = 53.85 a deal; all: 140 over 2 deals.
    splits = [
        {"deal_id": "1", "rep_id": "R1", "share": 0.7, "split_type": "revenue"},
        {"deal_id": "1", "rep_id": "R2", "share": 0.3, "split_type": "revenue"},
        {"deal_id": "1", "rep_id": "R3", "share": 0.5, "split_type": "overlay"},
    ]
    book = book_of([win("1", 100.0), win("2", 40.0, "R2")], splits=splits)
    table = sales(book).set_index("rep_id")
    assert table["value"].to_dict() == {"R1": 70.0, "R2": 70.0, "R3": 0.0}
    assert table["wins"].to_dict() == pytest.approx({"R1": 0.7, "R2": 1.3, "R3": 0.0})
    assert table["mean_amount"].dropna().to_dict() == pytest.approx({"R1": 100.0, "R2": 70 / 1.3})
    whole = only(sales(book, ""))
    assert (whole["value"], whole["mean_amount"]) == pytest.approx((140.0, 70.0)) and whole["n"] == 3


def test_sales_without_amounts_are_unavailable(book_of: Build) -> None:
    assert measure(book_of([win("1", None)]), "sales").because == "`amount` is missing or empty in `deals`"


# --- against loops over rows ----------------------------------------------------------------------


def slow_owner(book: Book, deal: dict[str, Any]) -> str:
    moves = book.table("changes").to_dict("records") if "changes" in book.tables else []
    later = [
        m for m in moves if m["deal_id"] == deal["deal_id"] and m["field"] == "rep_id" and m["at"] >= deal["closed_at"]
    ]
    owner = min(later, key=lambda m: m["at"])["old"] if later else deal["rep_id"]
    return owner if isinstance(owner, str) else "(unassigned)"


@pytest.mark.parametrize("period", [None, "2025Q4"])
def test_sales_equal_the_slow_way(period: str | None, generated: Build) -> None:
    for seed in range(8):
        book = generated(seed)
        groups: dict[str, list[float]] = defaultdict(list)
        for deal in book.deals.to_dict("records"):
            if deal["outcome"] != "won":
                continue
            day = deal["closed_at"].tz_convert(book.timezone)
            if period is None or (day.year, day.quarter) == (2025, 4):
                groups[slow_owner(book, deal)].append(deal["amount"])
        table = sales(book, "rep", period).set_index("rep_id")
        assert set(groups) <= set(table.index) and table["n"].sum() == sum(map(len, groups.values()))
        for rep, row in table.to_dict("index").items():
            amounts = [a for a in groups.get(rep, []) if not np.isnan(a)]
            assert row["n"] == len(groups.get(rep, [])) and row["without_amount"] == row["n"] - len(amounts)
            if amounts:
                assert row["value"] == pytest.approx(sum(amounts)) and row["mean_amount"] == pytest.approx(
                    mean(amounts)
                )
            if len(amounts) > 1:
                half = Z * stdev(amounts) / math.sqrt(len(amounts))
                assert row["mean_high"] == pytest.approx(mean(amounts) + half)
                assert row["high"] == pytest.approx(sum(amounts) + Z * math.sqrt(sum(a * a for a in amounts)))
        assert len(counted_rows(book, "sales", period)) == table["n"].sum()
