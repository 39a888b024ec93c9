"""Bytes in, rows of text out: every record with its file and line, nothing converted and nothing lost."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book.texts import BLANK, Places, give_back, is_of_few, lowest_byte
from salescoach.errors import FileRejected, Sentence
from salescoach.sources.parquet import parquet_header, read_parquet
from salescoach.sources.place import PARQUET, Place, name_of, partitions, read_bytes
from salescoach.sources.quarantine import Rejects
from salescoach.sources.records import Records, Texts
from salescoach.sources.text_file import ENCODINGS, HINTS, decode, first_record, read_plain, read_text
from salescoach.sources.workbook import first_row, read_workbook

EXCEL = (".xlsx", ".xlsm")
MAX_COLUMNS = 1_000
HEAD_BYTES = 200_000
JSON = re.compile(rb'\{\s*"|\[\s*[\[{]')
FILLED = re.compile(rb"[^ \t\r\n\xef\xbb\xbf]")
CONTROL = r"[\x00\x1a]|\r([^\n]|$)"
INVISIBLE = {ord(c): None for c in "\u200b\ufeff\u2060\u00ad"}


@dataclass(frozen=True)
class RawTable:
    """The records of one file as text.

    frame    one text column per header, categories where few texts differ; blank is ""
    lines    first physical line (CSV) or row (Excel, Parquet: counted from 2, below the header) of each record
    numbers  place of each record among all below the header, blank and rejected ones counted
    blank    records that were empty and count as structure
    cut      whether the last line has no end, as after a broken download
    """

    file: str
    sha256: str
    frame: pd.DataFrame
    lines: Places
    numbers: Places
    blank: int
    rejects: Rejects
    encoding: str
    cut: bool = False

    @property
    def columns(self) -> list[str]:
        return [str(c) for c in self.frame.columns]

    @property
    def records(self) -> int:
        return len(self.frame) + self.blank + len(self.rejects)


def read_raw(
    path: Place,
    table: str = "",
    skip: int = 0,
    skip_footer: int = 0,
    sheet: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> RawTable:
    """Read one CSV, Excel or Parquet file as text.

    Raises FileRejected if the file is missing, empty, or not what its name says.
    """
    content = _content(path)
    name, suffix = name_of(path), path.suffix.casefold()
    digest = hashlib.sha256(content).hexdigest()
    rejects = Rejects(table, name, digest)
    if suffix in EXCEL:
        records, used = read_workbook(name, content, rejects, sheet, skip), "xlsx"
    elif suffix in PARQUET:
        records, used = read_parquet(name, content, partitions(path)), "parquet"
    else:
        records, used = _text_records(name, content, rejects, skip, delimiter, encoding)
    del content
    give_back()
    if not records.lines and not len(rejects):
        raise FileRejected("{name} has a header and no rows. Export it again, or leave the file out.", name=name)
    return raw_table(records, rejects, used, skip_footer)


def _text_records(
    name: str, content: bytes, rejects: Rejects, skip: int, delimiter: str | None, encoding: str | None
) -> tuple[Records, str]:
    """The records of a text file, and its encoding."""
    if encoding is None and skip == 0:
        plain = read_plain(name, content, delimiter)
        if plain is not None:
            return plain, ENCODINGS[0]
    text, used = decode(name, content, encoding)
    return read_text(name, text, rejects, skip, delimiter), used


def raw_table(records: Records, rejects: Rejects, used: str, skip_footer: int = 0) -> RawTable:
    """Records with a tidy header, without declared footer and without rows that hold control characters."""
    name = rejects.file
    header = tidy_header(name, records.header, records.columns)
    frame = pd.DataFrame({h: _as_column(v) for h, v in zip(header, records.columns, strict=True) if h})
    lines, numbers = _counted(records.lines), _counted(records.numbers)
    keep = _without_footer(frame, numbers, lines, rejects, skip_footer)
    if not records.plain:
        keep &= _without_control_characters(frame, numbers, lines, rejects, keep)
    if not keep.all():
        frame, lines, numbers = frame[keep].reset_index(drop=True), lines[keep], numbers[keep]
    return RawTable(name, rejects.sha256, frame, lines, numbers, records.blank, rejects, used, records.cut)


def _as_column(texts: Texts) -> pd.Series:
    return texts if isinstance(texts, pd.Series) and is_of_few(texts) else pd.Series(texts, dtype="str")


def _counted(numbers: Sequence[int]) -> Places:
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int32)
    return np.asarray(numbers, dtype=np.int32)


def read_header(
    path: Place, skip: int = 0, sheet: str | None = None, delimiter: str | None = None, encoding: str | None = None
) -> list[str]:
    """Only the column names of a file, for detection."""
    name, suffix = name_of(path), path.suffix.casefold()
    binary = suffix in EXCEL or suffix in PARQUET
    content = _content(path, None if binary else HEAD_BYTES)
    if suffix in PARQUET:
        header = parquet_header(name, content, partitions(path))
    elif suffix in EXCEL:
        header = first_row(name, content, sheet, skip)
    else:
        text, _ = decode(name, content, encoding, complete=len(content) < HEAD_BYTES)
        header = first_record(text, skip, delimiter)
    return [_tidy(h) for h in header if _tidy(h)]


def _content(path: Place, size: int | None = None) -> bytes:
    content = read_bytes(path, size)
    if not FILLED.search(content):
        raise FileRejected("{name} is empty. Export it again.", name=name_of(path))
    _check_is_what_it_says(name_of(path), path.suffix.casefold(), content)
    return content


def _check_is_what_it_says(name: str, suffix: str, content: bytes) -> None:
    start = content[:2000].lstrip(b"\xef\xbb\xbf").lstrip().lower()
    page = start.startswith((b"<html", b"<!doctype html", b"<head", b"<body"))
    zipped = content.startswith(b"PK\x03\x04")
    if suffix in EXCEL:
        if not zipped:
            what = Sentence(" (it is a web page)") if page else ""
            raise FileRejected(
                "{name} is not an Excel workbook although its name says so{what}. Export it again, without a password.",
                name=name,
                what=what,
            )
    elif suffix in PARQUET:
        if not content.startswith(b"PAR1"):
            raise FileRejected("{name} is not a Parquet file although its name says so. Export it again.", name=name)
    elif zipped:
        raise FileRejected(
            "{name} is an Excel workbook or zip archive, not text. Rename it to .xlsx, or export it as CSV.", name=name
        )
    elif content.startswith(b"\x1f\x8b"):
        raise FileRejected("{name} is compressed. Unpack it first.", name=name)
    elif start.startswith(b"<?xml") or JSON.match(start):
        kind = "XML" if start.startswith(b"<") else "JSON"
        raise FileRejected(
            "{name} is {kind}, not a table, as an API or an error page sends it. Export it as CSV or .xlsx.",
            name=name,
            kind=kind,
        )
    elif content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"PAR1")):
        raise FileRejected("{name} is a binary file, not text. Export it as CSV or .xlsx.", name=name)
    elif page:
        raise FileRejected(
            "{name} is a web page, not data: the download probably met a login page. Log in and export it again.",
            name=name,
        )


def tidy_header(name: str, header: Sequence[str], columns: Sequence[Texts]) -> list[str]:
    """Header names normalised; "" for an unnamed column that holds nothing, which is left out."""
    names = [_tidy(h) for h in header]
    if len(names) > MAX_COLUMNS:
        raise FileRejected(
            "{name} has {n:,} columns; at most {max_columns:,} are read. Export fewer.",
            name=name,
            n=len(names),
            max_columns=MAX_COLUMNS,
        )
    for i, column in enumerate(names):
        if not column and any(v.strip() for v in columns[i]):
            raise FileRejected(
                "{name}: column {number} holds values and has no name. Name it in the header row.",
                name=name,
                number=i + 1,
            )
    counts = Counter(n.casefold() for n in names if n)
    twice = next((n for n in names if counts[n.casefold()] > 1), None)
    if twice is not None:
        raise FileRejected(
            "{name} has the column {twice!r} {n} times. Rename or remove one.",
            name=name,
            twice=twice,
            n=counts[twice.casefold()],
        )
    return names


def _tidy(header: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", header).translate(INVISIBLE).split())


def _without_footer(
    frame: pd.DataFrame,
    numbers: Places,
    lines: Places,
    rejects: Rejects,
    skip_footer: int,
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows stand above the declared footer; rejected records count among its rows."""
    if not skip_footer:
        return np.ones(len(frame), dtype=bool)
    last = sorted([*lines.tolist(), *rejects.lines])[-skip_footer:]
    footer = np.isin(lines, last)
    nothing = [""] * int(footer.sum())
    rejects.add(frame[footer], numbers[footer], lines[footer], "", nothing, "footer", "declared footer row")
    return ~footer


def _without_control_characters(
    frame: pd.DataFrame,
    numbers: Places,
    lines: Places,
    rejects: Rejects,
    keep: np.ndarray[Any, np.dtype[np.bool_]],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    sound = np.ones(len(frame), dtype=bool)
    for column in (c for c in frame.columns if lowest_byte(frame[c]) < BLANK):
        found = pc.match_substring_regex(pa.array(frame[column], type=pa.string()), CONTROL)
        bad = found.to_numpy(zero_copy_only=False).astype(bool) & sound & keep
        if bad.any():
            values, hint = frame[column][bad], HINTS["control-char"]
            rejects.add(frame[bad], numbers[bad], lines[bad], column, values, "control-char", hint)
            sound &= ~bad
    return sound


__all__ = ["RawTable", "Records", "read_header", "read_raw"]
