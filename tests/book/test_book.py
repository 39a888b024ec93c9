"""The book itself: people, order of rows, and its content hash."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError


def test_two_people_of_one_name_are_told_apart(book: Book) -> None:
    assert book.people["rep"].tolist() == ["Ann Reed", "Bob Stone", "李娜", "Sam Hill (R4)", "Sam Hill (R5)"]


def test_a_rep_without_deals_is_among_the_people(book: Book) -> None:
    assert "R5" in set(book.people["rep_id"])


@pytest.mark.parametrize("name", ["R4", "Sam Hill (R4)"])
def test_a_rep_is_found_by_id_and_by_display_name(book: Book, name: str) -> None:
    assert book.find_rep(name) == "R4"


def test_an_unknown_rep_suggests_the_nearest(book: Book) -> None:
    with pytest.raises(UsageError, match=r"no rep 'Anne Reed' in this book\. Did you mean 'Ann Reed'\?"):
        book.find_rep("Anne Reed")


def test_an_unknown_team_lists_the_teams(book: Book) -> None:
    with pytest.raises(UsageError, match=r"no team 'Nord' in this book\. Did you mean 'North'\? Teams: North, South"):
        book.find_team("Nord")


def test_a_missing_table_is_unavailable(book: Book) -> None:
    with pytest.raises(Unavailable, match="the book has no table `products`"):
        book.table("products")


def test_the_order_of_rows_does_not_change_the_hash(book: Book) -> None:
    shuffled = {n: f.sample(frac=1, random_state=1) for n, f in book.tables.items()}
    assert replace(book, tables=shuffled).content_hash == book.content_hash


@pytest.mark.parametrize("column", ["amount_minor", "stage", "created_at", "rep_id"])
def test_any_changed_value_changes_the_hash(book: Book, column: str) -> None:
    deals = book.deals
    deals[column] = deals[column].where(deals["deal_id"] != "D1", deals[column].iloc[2])
    assert replace(book, tables={**book.tables, "deals": deals}).content_hash != book.content_hash


def test_a_table_taken_from_the_book_is_a_copy(book: Book) -> None:
    deals = book.deals
    deals["stage"] = "lost"
    assert set(book.deals["stage"]) == {"won", "lost", "quote", "contract"}


def test_entries_of_one_instant_stay_in_the_order_of_the_log(book: Book) -> None:
    at = pd.Timestamp("2025-01-01", tz="UTC").as_unit("us")
    log = pd.DataFrame({"deal_id": ["D1", "D1"], "entered_at": [at, at], "stage": ["prospect", "lost"]})
    told = replace(book, tables={**book.tables, "stage_history": log}).table("stage_history")
    assert told["stage"].tolist() == ["prospect", "lost"]
