"""Pipeline created: deals begun in the period, with the amounts they began with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import counted_rows, measure, pipeline_created

Build = Callable[..., Book]
Z = 1.959963984540054


def begun(name: str, amount: float | None, on: str | None = "2026-03-10", **more: Any) -> dict[str, Any]:
    return {"deal_id": name, "rep_id": "R1", "created_at": on, "amount": amount, "lead_source": "web", **more}


def change(deal: str, at: str, old: str | None, new: str, field: str = "amount") -> dict[str, Any]:
    return {"deal_id": deal, "at": at, "field": field, "old": old, "new": new}


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


def test_five_deals_of_march(book_of: Build) -> None:
    # March: 30 and 40 open or lost, one without an amount; one void, one of April. Sum 70 ± z √(900 + 1600).
    deals = [begun("1", 30.0), begun("2", 40.0, outcome="lost"), begun("3", None), begun("4", 9.0, outcome="void")]
    row = only(pipeline_created(book_of([*deals, begun("5", 5.0, "2026-04-01")]), period="2026-03"))
    assert (row["lead_source"], row["n"], row["value"], row["without_amount"]) == ("web", 3, 70.0, 1)
    assert (row["low"], row["high"]) == pytest.approx((max(70 - Z * 50, 0), 70 + Z * 50))
    assert (row["amounts"], row["amount_now"]) == ("today", 70.0)


def test_amounts_are_those_of_the_day_of_creation_where_changes_are_recorded(book_of: Build) -> None:
    # 1 began with 100, was 60 on the next day and is 50 now. 2 was entered empty and got its 40 on the same day.
    # 3 began without an amount. 4 never changed.
    changes = [
        change("1", "2026-03-11", "100.0", "60"),
        change("1", "2026-04-11", "60", "50"),
        change("2", "2026-03-10T18:00", None, "40"),
        change("3", "2026-05-01", None, "7"),
    ]
    book = book_of([begun("1", 50.0), begun("2", 40.0), begun("3", 7.0), begun("4", 5.0)], changes=changes)
    row = only(pipeline_created(book, ""))
    assert (row["n"], row["value"], row["without_amount"]) == (4, 145.0, 1)
    assert (row["amounts"], row["amount_now"]) == ("creation", 102.0)


def test_amounts_of_the_stage_history(book_of: Build) -> None:
    book = book_of(
        [begun("1", 50.0)],
        stage_history=[
            {"deal_id": "1", "entered_at": "2026-03-10", "stage": "prospect", "amount": 80.0},
            {"deal_id": "1", "entered_at": "2026-03-20", "stage": "qualified", "amount": 50.0},
        ],
    )
    row = only(pipeline_created(book, ""))
    assert (row["value"], row["amount_now"], row["amounts"]) == (80.0, 50.0, "creation")


def test_an_amount_that_cannot_be_read_is_unknown(book_of: Build) -> None:
    book = book_of([begun("1", 50.0)], changes=[change("1", "2026-04-11", "fifty", "50")])
    row = only(pipeline_created(book, ""))
    assert pd.isna(row["value"]) and row["without_amount"] == 1 and row["amount_now"] == 50.0


def test_credit_goes_to_who_had_the_deal_at_the_end_of_its_first_day(book_of: Build) -> None:
    # 1 was assigned on its first day and handed over in May; 2 was always R1's.
    changes = [
        change("1", "2026-03-10T09:00", None, "R2", "rep_id"),
        change("1", "2026-05-01", "R2", "R1", "rep_id"),
    ]
    table = pipeline_created(book_of([begun("1", 3.0), begun("2", 4.0)], changes=changes), "rep")
    assert table[["rep", "value"]].to_numpy().tolist() == [["R1", 4.0], ["R2", 3.0]]


def test_a_deal_without_a_day_of_creation_is_undated(book_of: Build) -> None:
    table = pipeline_created(book_of([begun("1", 3.0), begun("2", 4.0, None)]), "month")
    assert table[["month", "value"]].to_numpy().tolist() == [["2026-03", 3.0], ["(undated)", 4.0]]


def test_types_and_currencies_stand_apart(book_of: Build) -> None:
    deals = [begun("1", 3.0, deal_type="renewal", currency="CNY"), begun("2", 4.0, currency="USD")]
    found = pipeline_created(book_of(deals), "deal_type")[["deal_type", "currency", "value"]].to_numpy().tolist()
    assert found == [["renewal", "CNY", 3.0], ["(none)", "USD", 4.0]]


def test_no_amount_at_all_is_null_not_0(book_of: Build) -> None:
    row = only(pipeline_created(book_of([begun("1", None)]), ""))
    assert row["n"] == 1 and pd.isna(row["value"]) and pd.isna(row["low"])
    empty = only(pipeline_created(book_of([begun("1", None)]), "", "1999"))
    assert (empty["n"], empty["value"]) == (0, 0.0)


def test_pipeline_created_equals_the_slow_way(generated: Build) -> None:
    for seed in range(8):
        book = generated(seed)
        moves = book.table("changes").to_dict("records")
        groups: dict[str, list[float]] = {}
        for deal in book.deals.to_dict("records"):
            if deal["outcome"] == "void":
                continue
            day = deal["created_at"].tz_convert(book.timezone).date()
            owner = deal["rep_id"]
            for move in sorted(
                (m for m in moves if m["deal_id"] == deal["deal_id"]), key=lambda m: m["at"], reverse=True
            ):
                if move["field"] == "rep_id" and move["at"].tz_convert(book.timezone).date() > day:
                    owner = move["old"]
            groups.setdefault(owner if isinstance(owner, str) else "(unassigned)", []).append(deal["amount"])
        table = pipeline_created(book, "rep").set_index("rep_id")
        for rep, row in table.to_dict("index").items():
            amounts = [a for a in groups.get(rep, []) if a == a]
            assert row["n"] == len(groups.get(rep, [])) and row["value"] == pytest.approx(sum(amounts))
            if amounts:
                assert row["high"] == pytest.approx(sum(amounts) + Z * math.sqrt(sum(a * a for a in amounts)))
        assert set(groups) <= set(table.index) and len(counted_rows(book, "pipeline_created")) == table["n"].sum()


def test_amounts_at_creation_of_the_demo_are_those_of_the_book_of_that_day(demo: Book) -> None:
    # The book wound back to the evening of each day of creation knows the same amounts.
    deals = counted_rows(demo, "pipeline_created", "2026-03")
    for day, created in list(deals.groupby(deals["created_on"]))[:6]:
        then = demo.at(str(day.date())).deals.set_index("deal_id")["amount_minor"]
        pd.testing.assert_series_equal(
            created.set_index("deal_id")["first_minor"].astype("Int64"),
            then.loc[created["deal_id"]].astype("Int64"),
            check_names=False,
        )


def test_it_needs_days_of_creation(book_of: Build) -> None:
    assert measure(book_of([begun("1", 3.0, None)]), "pipeline_created").because == (
        "`created_at` is missing or empty in `deals`"
    )
