"""An answer that is kept with its book is the same answer, and nobody can change what others get."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from salescoach.metrics.kept import MOST, per_book

asked: list[Any] = []


@per_book
def doubled(book: Any, number: int = 1, by: Any = ()) -> pd.DataFrame:
    asked.append((number, by))
    return pd.DataFrame({"value": [2 * number], "of": [len(book.deals)]})


def test_a_question_is_answered_once_however_it_is_put(demo_book: Any) -> None:
    book = replace(demo_book)
    asked.clear()
    for answer in (doubled(book, 3), doubled(book, number=3), doubled(book, 3, ()), doubled(book, 3, by=[])):
        assert answer["value"].tolist() == [6]
    assert asked == [(3, ())]
    assert doubled(book)["value"].tolist() == [2] and doubled(book, 4)["value"].tolist() == [8]
    assert doubled(replace(book))["value"].tolist() == [2]  # of another book nothing is known
    assert [number for number, _ in asked] == [3, 1, 4, 1]


def test_what_one_reader_changes_no_other_sees(demo_book: Any) -> None:
    book = replace(demo_book)
    mine = doubled(book, 5)
    mine.loc[0, "value"] = -1
    mine["more"] = 0
    assert doubled(book, 5).to_dict("list") == {"value": [10], "of": [len(book.deals)]}


def test_the_oldest_answer_goes_when_there_are_many(demo_book: Any) -> None:
    book = replace(demo_book)
    asked.clear()
    for number in range(MOST + 1):
        doubled(book, number)
    doubled(book, MOST)
    doubled(book, 0)
    assert [number for number, _ in asked] == [*range(MOST + 1), 0]
