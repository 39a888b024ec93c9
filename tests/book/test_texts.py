"""Texts compared as numbers and moved by codes give what pandas gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salescoach.book.store import ROWS_PER_GROUP, _sizes_of_groups
from salescoach.book.texts import SAMPLE, arrow, is_in, numbered, places_in, rows_at, smallest, taken

CHANCE = np.random.default_rng(3)
KINDS = {
    "of one length": [f"D{i:07}" for i in range(3_000)],
    "of all lengths": [str(i) for i in range(3_000)],
    "Chinese": [f"客户{i}" for i in range(3_000)],
    "longer than any number": [f"{i:08x}-{i * 7919 % 2**32:08x}-{i * 104729 % 2**32:08x}" for i in range(3_000)],
    "few": ["won", "lost", ""],
    "with a zero letter": ["a", "a\0", "b\0c", *(f"x{i}" for i in range(2_000))],
}


def _texts(kind: str, rows: int = 5_000) -> pd.Series:
    return pd.Series(CHANCE.choice(np.array(KINDS[kind], dtype=object), rows), dtype="str")


def test_numbers_are_equal_and_in_order_where_the_texts_are() -> None:
    for kind in ("of one length", "of all lengths", "Chinese"):
        texts = _texts(kind)
        counted = numbered(texts)
        assert counted is not None
        (numbers,), span = counted
        assert numbers.min() >= 0
        assert numbers.max() < span
        by_number = texts.iloc[np.argsort(numbers, kind="stable")].tolist()
        assert by_number == sorted(texts.tolist())
        assert len(np.unique(numbers)) == texts.nunique()


@pytest.mark.parametrize("texts", [["a", None], [], ["", ""], KINDS["longer than any number"], ["a", "a\0"]])
def test_no_numbers_where_they_would_be_too_large_or_not_tell_texts_apart(texts: list[str | None]) -> None:
    assert numbered(pd.Series(texts, dtype="str")) is None


def test_columns_are_numbered_alike() -> None:
    counted = numbered(pd.Series(["b", "aa"], dtype="str"), pd.Series(["aa", "c"], dtype="str"))
    assert counted is not None
    (one, other), _ = counted
    assert one[1] == other[0]
    assert sorted([*one, *other]) == [one[1], other[0], one[0], other[1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_null", [False, True])
def test_places_membership_and_rows_are_those_of_pandas(kind: str, with_null: bool) -> None:
    texts = _texts(kind)
    if with_null:
        texts = texts.where(CHANCE.random(len(texts)) > 0.1)
    for known in (texts.iloc[: SAMPLE + 500], texts.drop_duplicates().iloc[::2], texts.iloc[:3]):
        known = known.dropna()
        first = {text: place for place, text in reversed(list(enumerate(known)))}
        assert places_in(texts, known).tolist() == [first.get(t, -1) for t in texts.where(texts.notna(), None)]
        assert is_in(texts, known).tolist() == texts.isin(known).tolist()
    places = CHANCE.integers(0, len(texts), 700)
    assert arrow(taken(texts, places)).equals(arrow(texts.take(places)))
    frame = pd.DataFrame({"text": texts, "number": np.arange(len(texts)), "at": pd.Timestamp("2026-09-30", tz="UTC")})
    pd.testing.assert_frame_equal(rows_at(frame, places), frame.take(places).reset_index(drop=True))


def test_rows_of_an_empty_table() -> None:
    frame = pd.DataFrame({"text": pd.Series(dtype="str"), "number": pd.Series(dtype="int64")})
    pd.testing.assert_frame_equal(rows_at(frame, np.array([], dtype=np.int64)), frame)


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["b", "a", "c"], ["a", "b"]),
        (["a", "a", "a", "b"], ["a", "b"]),
        (["a", "a"], ["a"]),
        ([None, "b"], ["b"]),
        ([], []),
        (["é", "z", "中"], ["z", "é"]),
    ],
)
def test_the_smallest_texts(texts: list[str | None], first: list[str]) -> None:
    assert smallest(pd.Series(texts, dtype="str"), 2) == first


def test_groups_of_rows_end_with_an_owner() -> None:
    """Two small owners share a group, one who fits into none has three of his own, and the next begins anew."""
    sizes = {"A": 5_000, "B": 15_000, "C": 2 * ROWS_PER_GROUP + 1, "D": 10, "E": ROWS_PER_GROUP}
    owner = pd.Series([name for name, rows in sizes.items() for _ in range(rows)], dtype="str")
    groups = _sizes_of_groups(owner)
    assert groups == [20_000, 13_333, 13_334, 13_334, 10, 20_000]
    assert _sizes_of_groups(owner.where(owner != "E"))[-1] == 20_000  # rows of nobody are a group too
    assert _sizes_of_groups(owner.iloc[:0]) == []
