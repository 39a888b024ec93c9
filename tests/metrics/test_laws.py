"""The laws of the numbers hold for the demo, and a metric that loses or doubles something breaks them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import LawBroken
from salescoach.metrics import check_numbers, laws
from salescoach.metrics.registry import measure
from salescoach.sources import sample_book


@pytest.fixture(scope="module")
def book() -> Book:
    return sample_book()


def test_the_numbers_of_the_demo_add_up(book: Book) -> None:
    check_numbers(book)


def broken(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    def changed(book: Book, name: str, by: Any = None, period: Any = None) -> Any:
        found = measure(book, name, by, period)
        if found.table is not None:
            object.__setattr__(found, "table", change(name, by, found.table))
        return found

    monkeypatch.setattr(laws, "measure", changed)


def test_a_lost_rep_breaks_the_law(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda name, by, table: table[table["rep"] != table["rep"].iloc[-1]] if "rep" in by else table)
    with pytest.raises(LawBroken, match="win_rate over all by rep: n is"):
        check_numbers(book)


def test_a_month_counted_twice_breaks_the_law(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda name, by, table: pd.concat([table, table.tail(1)]) if "month" in by else table)
    with pytest.raises(LawBroken, match="by month"):
        check_numbers(book)


def test_a_rate_that_is_not_its_counts_breaks_the_law(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda name, by, table: table.assign(value=0.5) if name == "win_rate" else table)
    with pytest.raises(LawBroken, match="win_rate is not won over n"):
        check_numbers(book)
