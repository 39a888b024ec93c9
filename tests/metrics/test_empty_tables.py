"""A table may be there and hold nothing, as in the slice of a rep without a lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from salescoach.book import Book
from salescoach.metrics import METRICS, measure

BusyBook = Callable[..., Book]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_a_metric_answers_or_says_why_it_cannot(busy: BusyBook, metric: str) -> None:
    book = busy(11)
    for name in sorted(set(book.tables) - {"deals"}):
        emptied = replace(book, tables={**book.tables, name: book.table(name).iloc[:0]})
        answer = measure(emptied, metric)
        assert answer.available or answer.because, name
    hollow = {name: table if name == "deals" else table.iloc[:0] for name, table in book.tables.items()}
    answer = measure(replace(book, tables=hollow), metric)
    assert answer.available or answer.because
