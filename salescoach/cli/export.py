"""Tables as CSV and Excel files that a spreadsheet opens without running anything."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from salescoach.errors import UsageError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\x00")


def as_text(value: object) -> object:
    """A text that starts like a formula gets a quotation mark in front; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table without a text that is a formula."""
    result = table.rename(columns=as_text)
    for column in result:
        if result[column].dtype == "str" or result[column].dtype == object:
            result[column] = result[column].map(as_text)
    return result


def write_csv(tables: dict[str, pd.DataFrame], file: Path) -> None:
    if len(tables) != 1:
        raise UsageError("A CSV file holds one table: give one NAME, or use --xlsx.")
    [table] = tables.values()
    plain(table).to_csv(file, index=False, encoding="utf-8-sig", lineterminator="\n")


def write_xlsx(tables: dict[str, pd.DataFrame], file: Path) -> None:
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in tables.items():
            plain(table).to_excel(book, sheet_name=name[:31], index=False)
