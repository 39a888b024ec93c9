"""A trial export of won deals only: no win rate, but every deal under its person."""

from __future__ import annotations

import duckdb
import pytest

from salescoach.book import Book
from salescoach.metrics import decisions, measure, sales
from salescoach.sources import load_book

SOURCE = """
currency = "BRL"
[deals]
from = "olist_closed_deals_dataset.csv"
[deals.columns]
deal_id = "mql_id"
account_id = "seller_id"
rep_id = "sr_id"
closed_at = "won_date"
segment = "business_segment"
lead_source = "lead_type"
[deals.fixed]
stage = "won"
"""


@pytest.fixture(scope="module")
def book(trial, tmp_path_factory) -> Book:  # type: ignore[no-untyped-def]
    source = tmp_path_factory.mktemp("olist") / "source.toml"
    source.write_text(SOURCE, encoding="utf-8")
    return load_book(trial("olist_closed") / "olist_closed_deals_dataset.csv", source=str(source))


def test_all_842_wins_of_22_people_are_there(book: Book) -> None:
    assert (len(book.deals), book.deals["rep_id"].nunique(), len(book.quarantine)) == (842, 22, 0)


def test_a_win_rate_is_unavailable_and_says_why(book: Book) -> None:
    assert "not one deal in the data is lost" in str(measure(book, "win_rate").because)


@pytest.mark.parametrize(("ours", "theirs"), [("rep", "sr_id"), ("segment", "business_segment"), ("month", "month")])
def test_wins_by_group(ours: str, theirs: str, book: Book, trial) -> None:  # type: ignore[no-untyped-def]
    file = trial("olist_closed") / "olist_closed_deals_dataset.csv"
    rows = duckdb.sql(
        f"""select coalesce({theirs}, '(none)') as key, count(*) as n
            from (select *, strftime(won_date::timestamp, '%Y-%m') as month from '{file}') group by all"""
    ).fetchall()
    table = decisions(book, [ours])
    assert dict(zip(table["rep_id" if ours == "rep" else ours], table["n"], strict=True)) == dict(rows)


def test_without_amounts_sales_are_not_zero(book: Book) -> None:
    answer = measure(book, "sales")
    assert not answer.available and "`amount` is missing or empty in `deals`" in str(answer.because)
    assert sales(book, "")["value"].isna().all()
