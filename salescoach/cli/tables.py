"""Tables as a reader wants them: the total on top, the columns of the data dictionary, times of the local clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.cli.columns import ALL
from salescoach.metrics.groups import group_columns, name_reps

# what a metric finds out about a record, beside the record's own columns
FINDINGS = ("entered_on", "ended_on", "fate", "days", "age_days", "converted", "within", "returning")


def under_total(table: pd.DataFrame, total: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The groups below their total, which reads (all) where they have their names."""
    groups = [c for c in group_columns(by) if c not in total] if by else [""]
    if not groups:
        return table
    first = total.assign(**dict.fromkeys(groups, ALL))[[*groups, *total.columns]]
    return pd.concat([first, table], ignore_index=True) if by else first


def for_reader(book: Book, records: pd.DataFrame) -> pd.DataFrame:
    """Canonical columns and findings, with the rep's name; instants as clock time where the company is."""
    own = max((t.columns for t in TABLES.values()), key=lambda columns: sum(c in columns for c in records))
    shown = records[[c for c in (*own, *FINDINGS) if c in records]].copy()
    for column in shown.select_dtypes("datetimetz"):
        shown[column] = shown[column].dt.tz_convert(book.timezone).dt.tz_localize(None).dt.floor("s")
    return name_reps(book, shown)


def written_out(records: pd.DataFrame) -> pd.DataFrame:
    """Dates and times as text: 2026-09-30, or 2026-09-30 14:05:00."""
    return records.astype(dict.fromkeys(records.select_dtypes("datetime"), "str"))


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for JSON; what is not known is null."""
    texts = written_out(table)
    rows: list[dict[str, Any]] = json.loads(texts.to_json(orient="records", force_ascii=False, double_precision=15))
    return rows
