"""Whatever is worked on in stretches comes out as if it were worked on at once."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.book.cores import side_by_side
from salescoach.metrics import measure, passages, stretches, visits

from .conftest import busy_book

QUESTIONS = [("stage_flow", by, period) for by in ("rep", "team", "rep,lead_source") for period in (None, "2026Q1")]


def tables(book: Book) -> list[pd.DataFrame]:
    answers = [measure(book, name, by, period).table for name, by, period in QUESTIONS]
    assert all(answer is not None for answer in answers)
    return [visits(book), passages(book), *(answer for answer in answers if answer is not None)]


@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.nightly), 7, 50])
def test_short_stretches_give_the_same_tables(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tables(replace(busy_book(3)))  # a book of its own, for which nothing is built yet
    assert {"handed_off", "back"} <= set(whole[0]["exit"]) and whole[1]["skipped"].any()
    monkeypatch.setattr(stretches, "ROWS", rows)
    for found, at_once in zip(tables(replace(busy_book(3))), whole, strict=True):
        pd.testing.assert_frame_equal(found, at_once, check_exact=True)


def test_no_stretch_cuts_a_deal_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    deal = pd.Series([0, 0, 0, 1, 2, 2, 5, 5]).to_numpy()
    monkeypatch.setattr(stretches, "ROWS", 2)
    assert [(s.start, s.stop) for s in stretches.stretches(8, deal)] == [(0, 3), (3, 4), (4, 6), (6, 8)]
    assert [(s.start, s.stop) for s in stretches.stretches(3)] == [(0, 2), (2, 3)]
    assert [(s.start, s.stop) for s in stretches.stretches(0, deal[:0])] == [(0, 0)]


def test_a_fault_in_one_stretch_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_behind(part: slice) -> int:
        if part.start >= 4:
            raise ValueError("here")
        return part.start

    monkeypatch.setattr(stretches, "ROWS", 2)
    with pytest.raises(ValueError, match="here"):
        list(side_by_side(fails_behind, stretches.stretches(9)))
