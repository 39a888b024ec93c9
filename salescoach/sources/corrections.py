"""A corrected quarantine.csv, fed back in: the rows that a person repaired take the place of those in the files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import quarantine_as_loaded
from salescoach.book.texts import as_texts
from salescoach.errors import Sentence, SourceError, commas
from salescoach.sources.read import CONTROL, RawTable, read_raw
from salescoach.wording import VISIBLE

NEEDED = ("table", "file", "record", "line", "column", "value", "raw", "sha256")


def read_corrections(file: str | Path) -> pd.DataFrame:
    """The rows of a quarantine.csv. Raises SourceError if it is none.

    A person corrects `value`, or `raw` where several fields are wrong, and may delete rows; a row that is left as it
    was is judged again as it stands.
    """
    path = Path(file)
    read = read_raw(path, "quarantine")
    missing = [c for c in NEEDED if c not in read.frame]
    if missing:
        raise SourceError(
            "{path} is no quarantine.csv: it lacks {missing}. Keep its columns.",
            path=path.name,
            missing=commas(missing),
        )
    if len(read.rejects):
        raise SourceError(
            "{path}, line {line}: this row does not have the header's fields.",
            path=path.name,
            line=read.rejects.lines[0],
        )
    rows = quarantine_as_loaded(read.frame).assign(place=_places(path.name, read.lines))
    unread = rows[rows["record"].isna()]
    if len(unread):
        raise SourceError("{place}: `record` is no number. Leave it as it was.", place=unread["place"].iloc[0])
    return rows


def _places(file: str, lines: Iterable[int]) -> pd.Series:
    return pd.Series([Sentence("{file}, line {line}", file=file, line=int(n)) for n in lines], dtype="object")


def corrected(raw: RawTable, table: str, corrections: pd.DataFrame) -> RawTable:
    """The records of a file with the corrected ones in place. Raises SourceError for a correction that cannot be used.

    A record that was no row, such as one with too many fields, becomes one where its `raw` was changed and now has the
    header's fields; else it stays set aside.
    """
    ours = corrections[(corrections["table"] == table) & (corrections["file"] == raw.file)]
    if ours.empty:
        return raw
    stale = ours[ours["sha256"] != raw.sha256]
    if len(stale):
        raise SourceError(
            "{place}: {file} has changed since this row was set aside. Load the file without --corrections, "
            "and correct the quarantine.csv of that book.",
            place=stale["place"].iloc[0],
            file=raw.file,
        )
    frame = as_texts(raw.frame).copy()
    row_of = {int(n): i for i, n in enumerate(raw.numbers)}
    rejected = raw.rejects.raw_by_record
    fresh: list[tuple[int, int, dict[str, Any]]] = []
    for row in ours.to_dict("records"):
        number, fields = int(row["record"]), _fields(row)
        unknown = [k for k in fields if k not in frame.columns]
        if number in row_of:
            if unknown:
                raise SourceError(
                    "{place}: `raw` has {unknown!r}, which is no column of {file}.",
                    place=row["place"],
                    unknown=unknown[0],
                    file=raw.file,
                )
            frame.loc[row_of[number]] = [fields.get(c, "") for c in frame.columns]
        elif (
            not unknown and fields != json.loads(rejected.get(number, "{}")) and _is_a_row(row["reason"], fields, frame)
        ):
            fresh.append((number, int(row["line"]), fields))
    return _with_rows(replace(raw, frame=frame), fresh)


def _fields(row: dict[Any, Any]) -> dict[str, Any]:
    """The record's fields as corrected: `raw`, and `value` where a person changed it."""
    try:
        fields = json.loads(row["raw"])
    except (TypeError, json.JSONDecodeError) as error:
        raise SourceError(
            "{place}: `raw` is no JSON object: {error}. Correct it, or delete the row.", place=row["place"], error=error
        ) from error
    column, value = row["column"], row["value"]
    if isinstance(column, str) and column:
        before = str(fields.get(column, "")).translate(VISIBLE)
        now = value if isinstance(value, str) else ""
        if now != before:
            fields[column] = now
    return {str(k): v for k, v in fields.items()}


def _is_a_row(reason: str, fields: dict[str, Any], frame: pd.DataFrame) -> bool:
    """Whether corrected fields make a row: all of them where the count was wrong, and no control character left."""
    whole = reason != "field-count" or set(fields) == set(frame.columns)
    return whole and not any(re.search(CONTROL, v) for v in fields.values())


def _with_rows(raw: RawTable, fresh: Sequence[tuple[int, int, dict[str, Any]]]) -> RawTable:
    """The table with records that had been rejected while reading, in the order of the file."""
    if not fresh:
        return raw
    numbers = np.array([*raw.numbers, *(n for n, _, _ in fresh)], dtype=np.int32)
    lines = np.array([*raw.lines, *(n for _, n, _ in fresh)], dtype=np.int32)
    more = pd.DataFrame([{c: f.get(c, "") for c in raw.frame.columns} for _, _, f in fresh], dtype="str")
    order = np.argsort(numbers, kind="stable")
    frame = pd.concat([raw.frame, more], ignore_index=True).iloc[order].reset_index(drop=True)
    rejects = raw.rejects.without({n for n, _, _ in fresh})
    return replace(raw, frame=frame, lines=lines[order], numbers=numbers[order], rejects=rejects)
