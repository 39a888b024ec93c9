"""A stage history kept as numbers is the one that was given, whichever way it comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salescoach.book import Book, open_book, save_book
from salescoach.book import texts as few_texts
from salescoach.book.held import DEAL, LOG, Tables, as_numbers, written_out
from salescoach.kit import kit_path
from salescoach.metrics import stage_flow
from salescoach.sources import load_book, sample_book

WORDS = st.one_of(st.none(), st.sampled_from(["prospect", "quote", "won", "", "报价"]))
ENTRIES = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 10**6), WORDS, WORDS), max_size=30)


def _log(entries: list[tuple[int, int, str | None, str | None]]) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Four deals, a stage history that also names deals that are not among them, and the rows of its deals."""
    deals = pd.DataFrame({"deal_id": ["D1", "D22", "D3", "丁"]}, dtype="str")
    deal = np.array([d for d, *_ in entries], dtype=np.int32)
    ids = [deals["deal_id"][d] if d >= 0 else f"gone {i}" for i, (d, *_) in enumerate(entries)]
    log = pd.DataFrame({
        "entered_at": pd.Series([at for _, at, *_ in entries], dtype="int64").astype("datetime64[us, UTC]"),
        "deal_id": pd.Series(ids, dtype="str"),
        "stage": pd.Series([s for *_, s, _ in entries], dtype="str"),
        "deal": pd.Series([e for *_, e in entries], dtype="str"),  # a column of the source's own
        "evidence": pd.Series([e for *_, e in entries], dtype="str"),
    })  # fmt: skip
    return deals, log, deal


@settings(max_examples=200, deadline=None)
@given(ENTRIES)
def test_numbers_written_out_are_the_table_again(entries: list[tuple[int, int, str | None, str | None]]) -> None:
    deals, log, deal = _log(entries)
    pd.testing.assert_frame_equal(written_out(as_numbers(log, deal), deals), log)


@settings(max_examples=100, deadline=None)
@given(ENTRIES, st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_entries_of_some_deals_are_those_of_the_table(
    entries: list[tuple[int, int, str | None, str | None]], marks: list[bool]
) -> None:
    deals, log, _ = _log(entries)
    tables, marked = Tables.ordered({"deals": deals, LOG: log}), pd.Series(marks)
    wanted = tables[LOG][tables[LOG]["deal_id"].isin(tables["deals"]["deal_id"][marked])].reset_index(drop=True)
    by_numbers = Tables(["deals", LOG], {"deals": tables["deals"]}, tables.log)
    for found in (tables.entries_of(marked), by_numbers.entries_of(marked)):
        pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted)


def test_a_book_on_disk_and_one_in_memory_answer_alike(tmp_path: Path) -> None:
    book = sample_book()
    again = open_book(save_book(book, tmp_path / "book"))
    held = again.tables
    assert isinstance(held, Tables)
    assert LOG not in held._tables  # nobody has asked for its texts
    pd.testing.assert_frame_equal(stage_flow(again, "rep"), stage_flow(book, "rep"))
    assert LOG not in held._tables
    pd.testing.assert_frame_equal(again.table(LOG), book.table(LOG))


def test_an_entry_without_a_deal_keeps_its_id_on_disk(tmp_path: Path) -> None:
    book = sample_book()
    stray = book.table(LOG).iloc[:2].assign(deal_id=pd.Series(["elsewhere", "nowhere"], dtype="str"))
    odd = replace(book, tables={**book.tables, LOG: pd.concat([book.table(LOG), stray], ignore_index=True)})
    assert (odd.log[DEAL] < 0).sum() == 2
    again = open_book(save_book(odd, tmp_path / "book"))
    pd.testing.assert_frame_equal(again.table(LOG), odd.table(LOG))
    assert again.table(LOG)["deal_id"].tail(2).tolist() == ["elsewhere", "nowhere"]


@pytest.mark.parametrize("few", [0, 3, 10**6])
def test_what_a_load_finds_does_not_depend_on_which_columns_are_of_few_texts(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded() -> Book:
        return load_book(kit_path("data/demo"), now=pd.Timestamp("2026-11-01", tz="UTC"))

    usual = loaded()
    monkeypatch.setattr(few_texts, "FEW", few)
    again = loaded()
    assert again.content_hash == usual.content_hash
    assert again.quality == usual.quality
    pd.testing.assert_frame_equal(again.quarantine, usual.quarantine)
