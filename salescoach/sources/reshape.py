"""The records of a file become the rows of a table: filters, fixed values, and months that stand side by side."""

from __future__ import annotations

import calendar
from dataclasses import dataclass

import pandas as pd

from salescoach.book.texts import as_texts
from salescoach.errors import ColumnError, commas, suggestion
from salescoach.sources.detect import fold_header, match_columns
from salescoach.sources.layout import TableSource, Unpivot


@dataclass(frozen=True)
class Rows:
    """Rows as text.

    text     one column per header
    kept     for each row, the number of the record it comes from
    headers  our columns -> columns of `text`
    other    how many records belong elsewhere
    blank    how many records have no filled month
    made     how many rows there are beyond one a record
    """

    text: pd.DataFrame
    kept: pd.Series
    headers: dict[str, str]
    other: int
    blank: int
    made: int


def as_rows(table: str, source: TableSource, text: pd.DataFrame, file: str, promised: bool) -> Rows:
    """Apply `where`, `fixed` and `unpivot` of a source. Raises ColumnError where a header they name is missing.

    Without `promised`, as in a preset, a header of `where` may be missing: then every row is of this table.
    """
    headers = match_columns(source, list(text.columns))
    keep = pd.Series(True, text.index)
    there = {fold_header(str(c)) for c in text.columns}
    for header, values in source.where.items():
        if not promised and fold_header(header) not in there:
            continue
        wanted = {v.casefold() for v in values}
        keep &= text[_header(table, header, text, file)].str.strip().str.casefold().isin(wanted)
    other = int((~keep).sum())
    text = text[keep] if other else text
    before = len(text)
    if source.unpivot is not None:
        text = _months_as_rows(table, source.unpivot, as_texts(text), file)
        headers |= {ours: _made(ours) for ours in Unpivot.makes}
    kept = pd.Series(text.index, dtype="int64")
    records = kept.nunique() if source.unpivot is not None else before
    text = text.reset_index(drop=True)
    for ours, value in source.fixed.items():
        text[_made(ours)] = pd.Series(value, text.index, dtype="str")
        headers[ours] = _made(ours)
    return Rows(text, kept, headers, other, blank=before - records, made=len(text) - records)


def _months_as_rows(table: str, wide: Unpivot, text: pd.DataFrame, file: str) -> pd.DataFrame:
    """One row for each filled month, indexed by the record it comes from."""
    columns = [_header(table, m, text, file) for m in wide.months]
    year = text[_header(table, wide.year, text, file)].str.strip()
    rest = text.drop(columns=columns)
    parts = []
    for month, column in enumerate(columns, start=1):
        last = year.map({y: _last_day(y, month) for y in year.unique()})
        made = {"value": text[column], "start_on": year + f"-{month:02d}-01", "end_on": year + f"-{month:02d}-" + last}
        parts.append(rest.assign(**{_made(k): v for k, v in made.items()})[text[column].str.strip() != ""])
    return pd.concat(parts).sort_index(kind="stable")


def _last_day(year: str, month: int) -> str:
    readable = year.isascii() and year.isdigit() and len(year) == 4 and year != "0000"
    return str(calendar.monthrange(int(year) if readable else 1, month)[1])


def _made(ours: str) -> str:
    return f"{ours} (made)"


def _header(table: str, wanted: str, text: pd.DataFrame, file: str) -> str:
    folded = {fold_header(c): str(c) for c in text.columns}
    if fold_header(wanted) not in folded:
        raise ColumnError(
            "{file} has no column {wanted!r}, which the source names for {table}.{hint} Its columns: {columns}.",
            file=file,
            wanted=wanted,
            table=table,
            hint=suggestion(wanted, text.columns),
            columns=commas(map(str, text.columns)),
        )
    return folded[fold_header(wanted)]
