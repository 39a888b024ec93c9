"""Typed tables as a CRM would export them: text, local times, the CRM's own stage names."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from salescoach.sample.truth import ZONE

CRM_STAGES = {
    "prospect": "Prospecting",
    "qualified": "Qualification",
    "quote": "Proposal",
    "contract": "Negotiation",
    "won": "Closed Won",
    "lost": "Closed Lost",
    "void": "无效",
}


@dataclass(frozen=True)
class TextTable:
    """A CSV before it is written; rows may be longer than the header, where a file is broken that way."""

    header: list[str]
    rows: list[list[str]]
    byte_order_mark: bool = False


def to_text(table: pd.DataFrame) -> pd.DataFrame:
    """Every cell as text: blanks empty, stages by the CRM's name, dates `YYYY-MM-DD`, instants local."""
    return pd.DataFrame({column: _cells(table[column]) for column in table}, dtype=object)


def _cells(column: pd.Series) -> list[str]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return list(column.dt.tz_convert(ZONE).dt.strftime("%Y-%m-%d %H:%M:%S").fillna(""))
    if pd.api.types.is_datetime64_any_dtype(column):
        return list(column.dt.strftime("%Y-%m-%d").fillna(""))
    if pd.api.types.is_numeric_dtype(column):
        return [_number(value) for value in column.tolist()]
    if column.name == "stage":
        column = column.map(CRM_STAGES)
    return ["" if pd.isna(value) else str(value) for value in column.tolist()]


def _number(value: float) -> str:
    if value != value:
        return ""
    return str(int(value)) if value == int(value) else str(value)


def text_table(table: pd.DataFrame) -> TextTable:
    """A table of text with its header."""
    return TextTable(list(table.columns), table.to_numpy(dtype=object).tolist())
