"""Columns of text, compared and searched many at a time, in the memory that Arrow keeps them in."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book.cores import side_by_side

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Codes = np.ndarray[Any, np.dtype[np.int64]]
Places = np.ndarray[Any, np.dtype[np.int32]]  # of rows in a table
BLANK, DELETE, FOREIGN = 0x20, 0x7F, 0x80  # of bytes: the blank and what stands below it; del; no ASCII from here on
LARGEST = 2**62  # of numbers that texts are counted by
WIDEST = 64
LONG = 2**16  # rows of a table whose columns are worked on side by side
PIECE = 2**16
SAMPLE, FEW = 1_000, 100  # texts looked at first, and how many different ones among them are few
MANY = 2**15  # different texts of a column are too many for categories
POOLS = {"jemalloc": pa.jemalloc_memory_pool, "mimalloc": pa.mimalloc_memory_pool, "system": pa.system_memory_pool}
ROOM = 4  # a table of all numbers is used where it has at most that many times the numbers looked up in it


def give_back() -> None:
    """Return to the system what Arrow took for its work and keeps for the next: as much again as the columns."""
    for backend in pa.supported_memory_backends():
        POOLS[backend]().release_unused()


def arrow(texts: Iterable[str | None]) -> pa.LargeStringArray:
    """The texts as one Arrow array; a column of text is not copied, categories are written out."""
    if isinstance(texts, pa.LargeStringArray):
        return texts
    if is_of_few(texts):
        codes = texts.cat.codes.to_numpy()  # type: ignore[attr-defined]
        return _words(texts).take(pa.array(codes, mask=codes < 0))
    found = pa.array(texts, type=pa.large_string(), from_pandas=True)
    if isinstance(found, pa.ChunkedArray):
        return found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()
    return found


def is_of_few(texts: Iterable[str | None]) -> bool:
    """Whether the texts are a column of categories: few different ones, which are all there."""
    return isinstance(texts, pd.Series) and isinstance(texts.dtype, pd.CategoricalDtype)


def _words(texts: Iterable[str | None]) -> pa.LargeStringArray:
    """The texts; of categories, each only once."""
    return arrow(texts.cat.categories) if is_of_few(texts) else arrow(texts)  # type: ignore[attr-defined]


def of_few(values: pa.ChunkedArray) -> pd.Series:
    """Arrow texts as categories, where few of them differ; else as a column."""
    if len(values[:SAMPLE].unique()) <= FEW:
        found = values.dictionary_encode().combine_chunks()
        if len(found.dictionary) <= MANY:
            return coded(pc.fill_null(found.indices, -1).to_numpy(), found.dictionary.to_pylist())
    return column(values.combine_chunks())


def column(values: pa.Array | pa.ChunkedArray) -> pd.Series[str]:
    """Arrow texts as a column; null is null."""
    return pd.Series(pd.array(values.cast(pa.large_string()), dtype="str"))


def places_in(texts: pd.Series, known: pd.Series | pd.Index) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The first place of each text among the known ones; -1 where it is not there."""
    by_number = _places_by_number(texts, known)
    if by_number is not None:
        return by_number
    found = pc.index_in(arrow(texts), value_set=arrow(known))
    places: np.ndarray[Any, np.dtype[np.intp]] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.intp)
    return places


def _places_by_number(
    texts: Iterable[str | None], known: Iterable[str | None]
) -> np.ndarray[Any, np.dtype[np.intp]] | None:
    counted = numbered(texts, known)
    if counted is None:
        return None
    (asked, there), span = counted
    if span <= ROOM * len(there):
        table = np.full(span, -1, dtype=np.intp)
        table[there[::-1]] = np.arange(len(there) - 1, -1, -1)
        return table[asked]
    index = pd.Index(there)
    return index.get_indexer(pd.Index(asked)) if index.is_unique else None


def places_of_runs(texts: pd.Series, known: pd.Series) -> Places:
    """As `places_in`, quicker where equal texts stand together: each run of them is looked up once.

    Where the runs are the known texts in their order, as in a saved book, nothing is looked up.
    """
    values = arrow(texts)
    if not len(values):
        return np.empty(0, dtype=np.int32)
    new = np.append(True, pc.fill_null(pc.not_equal(values[1:], values[:-1]), True).to_numpy(zero_copy_only=False))
    runs, run = values.filter(pa.array(new)), np.cumsum(new.view(np.int8), dtype=np.int32) - 1
    if len(runs) == len(known) and runs.equals(arrow(known)):
        return run
    places: Places = places_in(column(runs), known).astype(np.int32)[run]
    return places


def numbered(*columns: Iterable[str | None]) -> tuple[list[Codes], int] | None:
    """A number from 0 for each text of the columns, the same for equal texts and in their order, and how many may be.

    A text is read like a number whose digits are its letters. None where these are too many, or a text is null.
    """
    texts = [arrow(c) for c in columns]
    lengths = [(pc.max(n).as_py() or 0, pc.min(n).as_py() or 0) for n in (pc.binary_length(t) for t in texts)]
    width, narrow = max(n for n, _ in lengths), min(n for _, n in lengths)
    if not width or width > WIDEST or any(t.null_count for t in texts) or any(not len(t) for t in texts):
        return None
    if narrow < width and any(not _letters(t)[0].all() for t in texts):
        return None  # a zero in a text would look like its end
    if _read_as_numbers([_as_letters(t[:SAMPLE], width, narrow) for t in texts]) is None:
        return None
    return _read_as_numbers([_as_letters(t, width, narrow) for t in texts])


def _as_letters(texts: pa.LargeStringArray, width: int, narrow: int) -> Bytes:
    """One row of bytes for each text; a shorter text ends with zeros."""
    letters, _ = _letters(texts if narrow == width else pc.ascii_rpad(texts, width, "\0"))
    return letters.reshape(len(texts), width)


def _read_as_numbers(texts: list[Bytes]) -> tuple[list[Codes], int] | None:
    numbers = [np.zeros(len(t), dtype=np.int64) for t in texts]
    span = 1
    for place in range(texts[0].shape[1]):
        letters = [t[:, place] for t in texts]
        low, high = min(int(n.min()) for n in letters), max(int(n.max()) for n in letters)
        span *= high - low + 1
        if span > LARGEST:
            return None
        if low < high:
            for number, digit in zip(numbers, letters, strict=True):
                number *= high - low + 1
                number += digit
                number -= low
    return numbers, span


def taken(texts: pd.Series, places: Codes) -> pd.Series[str]:
    """The texts that stand at these places. As `take`, quicker where few differ or all are as long."""
    if is_of_few(texts):
        return texts.take(places).reset_index(drop=True)
    values = arrow(texts)
    if len(values[:SAMPLE].unique()) <= FEW:
        found = values.dictionary_encode()
        return column(found.dictionary.take(found.indices.take(pa.array(places))))
    letters, ends = _letters(values)
    width = _width(ends)
    if not width or values.null_count:
        return column(values.take(pa.array(places)))
    rows = letters.view(f"V{width}")[places]
    borders = np.arange(len(rows) + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(borders), pa.py_buffer(rows)]
    return column(pa.Array.from_buffers(pa.large_string(), len(rows), buffers))


def _width(ends: Codes) -> int:
    """How long each of some texts is, of which these are the borders; 0 where they differ."""
    width = int(ends[1] - ends[0])
    return width if bool((ends[1:] - ends[:-1] == width).all()) else 0


def rows_at(frame: pd.DataFrame, places: Codes) -> pd.DataFrame:
    """The rows that stand at these places, counted from 0."""
    index = pd.RangeIndex(len(places))

    def moved(name: Hashable) -> pd.Series:
        values = frame[name]
        return (taken(values, places) if values.dtype == "str" else values.take(places)).set_axis(index)

    columns = side_by_side(moved, list(frame)) if len(places) > LONG else map(moved, frame)
    return pd.DataFrame(dict(zip(frame, columns, strict=True)), index=index)


def smallest(texts: pd.Series, most: int) -> list[str]:
    """The first of the different texts in their order, at most so many; null is none."""
    values = arrow(texts).drop_null()
    first = values.take(pc.select_k_unstable(values, k=min(most, len(values)), sort_keys=[("", "ascending")]))
    if len(first.unique()) < len(first) < len(values):
        values = values.unique()
        first = values.take(pc.array_sort_indices(values)[:most])
    found: list[str] = sorted(first.unique().to_pylist())
    return found


def is_in(texts: pd.Series, known: Iterable[str | None]) -> pd.Series:
    """Which texts are among the known ones; null is not. As `isin`, in a tenth of its time for many."""
    wanted = arrow(known).drop_null()
    places = _places_by_number(texts, wanted) if len(wanted) > SAMPLE else None
    if places is not None:
        return pd.Series(places >= 0, texts.index)
    found = pc.is_in(arrow(texts), value_set=wanted)
    return pd.Series(found.to_numpy(zero_copy_only=False), texts.index)


def looked_up(keys: pd.Series, values: pd.Series) -> pd.Series:
    """The instant that stands under each key in `values`; null where there is none.

    `Series.map` would do, were it not for an empty `values`, as of a rep who has no lead.
    """
    return values.reindex(keys).set_axis(keys.index)


def encoded(texts: Iterable[str | None]) -> tuple[Places, pd.Series[str]]:
    """A code for each text (-1 for null), and the different texts; of a column in the order they first stand in."""
    if is_of_few(texts):
        categories = texts.cat  # type: ignore[attr-defined]
        return categories.codes.to_numpy(np.int32), column(arrow(categories.categories))
    found = arrow(texts).dictionary_encode()
    codes: Places = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False)
    return codes, column(found.dictionary)


def decoded(codes: Codes | Places, words: Iterable[str | None], index: pd.Index | None = None) -> pd.Series[str]:
    """The text that each code stands for; null for -1."""
    found = column(arrow(words).take(pa.array(codes, mask=codes < 0)))
    return found if index is None else found.set_axis(index)


def coded(codes: np.ndarray[Any, Any], words: Iterable[str], index: pd.Index | None = None) -> pd.Series:
    """A column of categories: the text that each code stands for; null for -1."""
    kind = pd.CategoricalDtype(pd.Series(list(words), dtype="str"))
    small = codes.astype(np.min_scalar_type(-len(kind.categories) - 1), copy=False)
    return pd.Series(pd.Categorical.from_codes(small, dtype=kind), index, copy=False)


def repeated(word: str | None, index: pd.Index) -> pd.Series[str]:
    """One text, or null, for every row."""
    return column(pa.repeat(pa.scalar(word, pa.large_string()), len(index))).set_axis(index)


def all_filled(texts: pd.Series) -> bool:
    """Whether no text is empty; null does not count."""
    return not pc.any(pc.equal(pc.binary_length(_words(texts)), 0)).as_py()


def holds_byte(texts: pd.Series, character: str) -> bool:
    """Whether an ASCII character stands anywhere in the texts."""
    return bool(count_byte(_letters(_words(texts))[0], character))


def count_byte(letters: Bytes, character: str) -> int:
    """How often an ASCII character stands there; looked for piece by piece, as the cache is quick."""
    pieces = range(0, len(letters), PIECE)
    return sum(int(np.count_nonzero(letters[start : start + PIECE] == ord(character))) for start in pieces)


def lowest_byte(texts: pd.Series) -> int:
    """The lowest byte of all letters; 255 where there is none."""
    return int(_letters(_words(texts))[0].min(initial=0xFF))


def may_hold_unprintable(texts: pd.Series) -> bool:
    """Whether a character that is not printed may stand in the texts: no printable ASCII only."""
    letters, _ = _letters(_words(texts))
    return bool(len(letters) and (letters.min() < BLANK or letters.max() >= DELETE))


def may_have_blanks_around(texts: pd.Series) -> bool:
    """Whether a text may begin or end with a blank: with one of ASCII or with a letter beyond."""
    letters, ends = _letters(_words(texts))
    if not len(letters) or (letters.min() > BLANK and letters.max() < FOREIGN):
        return False
    width = _width(ends)
    if width:
        square = letters.reshape(-1, width)
        edges = [square[:, 0], square[:, -1]]
    else:
        full = ends[1:] > ends[:-1]
        edges = [letters[ends[:-1][full] - ends[0]], letters[ends[1:][full] - 1 - ends[0]]]
    return any(bool(edge.min() <= BLANK or edge.max() >= FOREIGN) for edge in edges)


def may_begin_with(texts: pd.Series, words: Iterable[str]) -> bool:
    """Whether any text begins with the first letter of one of the words, whatever its case."""
    letters, ends = _letters(_words(texts))
    starts = {form.encode()[0] for word in words for form in (word[0].lower(), word[0].upper())}
    begun = letters[ends[:-1][ends[1:] > ends[:-1]] - ends[0]]
    return bool(np.isin(begun, np.array(sorted(starts), dtype=np.uint8)).any())


def without_blanks(texts: pd.Series) -> pd.Series:
    """The texts, with null in place of empty ones."""
    if is_of_few(texts):
        return texts.cat.remove_categories([w for w in texts.cat.categories if not w])
    values = arrow(texts)
    empty = pc.equal(pc.binary_length(values), 0)
    if not pc.any(empty).as_py():
        return texts
    return column(pc.if_else(empty, None, values)).set_axis(texts.index)


def as_texts(frame: pd.DataFrame, but: Iterable[str] = ()) -> pd.DataFrame:
    """The same, with texts in place of categories; `but` in these columns."""
    few = [name for name in map(str, frame) if is_of_few(frame[name]) and name not in but]
    return frame.assign(**{n: column(arrow(frame[n])).set_axis(frame.index) for n in few}) if few else frame


def _letters(values: pa.LargeStringArray) -> tuple[Bytes, Codes]:
    """All letters of the texts as bytes, one after another, and where each text begins (and the last one ends)."""
    _, places, letters = values.buffers()
    ends = np.frombuffer(places, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    if letters is None or not len(values):
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    return np.frombuffer(letters, dtype=np.uint8)[ends[0] : ends[-1]], ends
