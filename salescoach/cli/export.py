"""Tables as CSV and Excel files that a spreadsheet opens without running anything."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\x00")


def as_text(value: object) -> object:
    """A text that starts like a formula gets a quotation mark in front; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Instants as ISO text, and no text that is a formula."""
    result = table.copy()
    for column in result:
        if isinstance(result[column].dtype, pd.DatetimeTZDtype):
            result[column] = result[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        if result[column].dtype == "str" or result[column].dtype == object:
            result[column] = result[column].map(as_text)
    return result


def write_csv(table: pd.DataFrame, file: Path) -> None:
    plain(table).to_csv(file, index=False, encoding="utf-8-sig", lineterminator="\n")


def write_xlsx(tables: dict[str, pd.DataFrame], file: Path) -> None:
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in tables.items():
            plain(table).to_excel(book, sheet_name=name[:31], index=False)
