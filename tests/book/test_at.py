"""The book as of a past day, replayed from its logs."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError


def deal(book: Book, deal_id: str) -> pd.Series:
    return book.deals.set_index("deal_id").loc[deal_id]


@pytest.mark.parametrize(
    ("on", "deal_id", "stage", "outcome"),
    [
        ("2025-02-09", "D1", "quote", "open"),
        ("2025-02-10", "D1", "won", "won"),
        ("2025-01-19", "D1", "prospect", "open"),
        ("2025-02-28", "D3", "prospect", "open"),
        ("2025-03-01", "D3", "lost", "lost"),
    ],
)
def test_stage_and_outcome_are_those_of_the_day(book: Book, on: str, deal_id: str, stage: str, outcome: str) -> None:
    then = deal(book.at(on), deal_id)
    assert (then["stage"], then["outcome"]) == (stage, outcome)


def test_a_deal_won_later_has_no_close_yet(book: Book) -> None:
    assert pd.isna(deal(book.at("2025-02-09"), "D1")["closed_at"])


def test_a_close_before_the_day_stays(book: Book) -> None:
    assert deal(book.at("2025-02-10"), "D1")["closed_at"] == deal(book, "D1")["closed_at"]


def test_deals_that_came_later_are_not_there(book: Book) -> None:
    assert sorted(book.at("2025-01-09").deals["deal_id"]) == ["D1", "D2"]


@pytest.mark.parametrize(("on", "owner"), [("2025-01-14", "R2"), ("2025-01-15", "R1")])
def test_a_change_of_owner_after_the_day_is_undone(book: Book, on: str, owner: str) -> None:
    assert deal(book.at(on), "D1")["rep_id"] == owner


def test_a_deal_that_had_no_owner_then_has_none(book: Book) -> None:
    assert pd.isna(deal(book.at("2025-02-09"), "D4")["rep_id"])


@pytest.mark.parametrize(("on", "minor", "amount"), [("2025-02-14", 200_00, 200.0), ("2025-02-15", 250_00, 250.0)])
def test_a_change_of_amount_after_the_day_is_undone(book: Book, on: str, minor: int, amount: float) -> None:
    then = deal(book.at(on), "D2")
    assert (then["amount_minor"], then["amount"]) == (minor, amount)


@pytest.mark.parametrize(("on", "expected"), [("2025-03-19", "2025-04-01"), ("2025-03-20", "2025-05-01")])
def test_a_change_of_the_expected_close_after_the_day_is_undone(book: Book, on: str, expected: str) -> None:
    assert deal(book.at(on), "D2")["expected_close_on"] == pd.Timestamp(expected)


def test_a_probability_of_today_is_unknown_for_a_deal_that_moved_since(book: Book) -> None:
    # D3 was lost on 1 March, D5 is in contract since 20 February
    then = book.at("2025-02-25").deals.set_index("deal_id")["probability"]
    assert (pd.isna(then["D3"]), then["D5"]) == (True, 0.8)


def test_a_lead_converted_later_is_not_converted_yet(book: Book) -> None:
    lead = book.at("2025-01-31").table("leads").set_index("lead_id").loc["L1"]
    assert pd.isna(lead["converted_at"]) and pd.isna(lead["deal_id"]) and pd.isna(lead["status"])


def test_events_after_the_day_are_not_there(book: Book) -> None:
    then = book.at("2025-02-10")
    latest = [then.table("stage_history")["entered_at"].max(), then.table("changes")["at"].max()]
    assert max(latest) <= then.as_of


def test_the_last_day_is_the_book_itself(book: Book) -> None:
    assert book.at("2025-04-01").content_hash == book.content_hash


def test_a_day_after_the_data_is_refused(book: Book) -> None:
    with pytest.raises(UsageError, match=r"as-of 2025-04-02 is later than the data, which end on 2025-04-01"):
        book.at("2025-04-02")


def test_without_a_log_a_deal_closed_later_is_open_in_the_first_stage(book: Book) -> None:
    tables = {n: f for n, f in book.tables.items() if n not in ("stage_history", "changes")}
    then = deal(replace(book, tables=tables).at("2025-02-09"), "D1")
    assert (then["stage"], then["outcome"], pd.isna(then["closed_at"])) == ("prospect", "open", True)


def test_a_deal_without_creation_counts_from_its_first_entry(book: Book) -> None:
    undated = book.deals.assign(created_at=book.deals["created_at"].where(book.deals["deal_id"] != "D5"))
    then = replace(book, tables={**book.tables, "deals": undated}).at("2025-02-04")
    assert "D5" not in set(then.deals["deal_id"])


def test_what_was_known_is_a_book_that_can_be_replayed_again(book: Book) -> None:
    assert book.at("2025-03-01").at("2025-02-09").content_hash == book.at("2025-02-09").content_hash
