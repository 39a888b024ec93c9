"""Tables as CSV and Excel files that a spreadsheet opens without running anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from salescoach.errors import UsageError
from salescoach.wording import VISIBLE

SHEET_NAME = 31
# at the start of a cell, or where a reader that divides cells elsewhere would see one start; blanks may stand before it
FORMULA = re.compile(r"^(?=[\t\n])|(?:^|(?<=[;\t\n]))(?=(?:[^\S\n]|[\u200b\u2060\ufeff])*[=+\-@＝＋－＠])")


def as_text(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers.

    Control characters are spelt out: a spreadsheet cannot hold them, and drops them before it reads what follows.
    """
    if not isinstance(value, str):
        return value
    return FORMULA.sub("'", value.replace("\r\n", "\n").translate(VISIBLE))


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table without a text that is a formula."""
    result = table.rename(columns=as_text)
    for column in result:
        dtype = result[column].dtype
        if dtype in ("str", "object") or isinstance(dtype, pd.CategoricalDtype):
            result[column] = result[column].astype(object).map(as_text)
    return result


def write_csv(tables: dict[str, pd.DataFrame], place: Path) -> list[Path]:
    """One table as the file; several as NAME.csv each in a folder, which is made. Returns what was written."""
    if place.suffix and not place.is_dir():
        if len(tables) != 1:
            raise UsageError(
                "A CSV file holds one table: give one NAME, name a folder instead of a file, or use --xlsx."
            )
        files = [place]
    else:
        _make_folder(place)
        files = [place / f"{name}.csv" for name in tables]
    for file, table in zip(files, tables.values(), strict=True):
        plain(table).to_csv(file, index=False, encoding="utf-8-sig", lineterminator="\n")
    return files


def _make_folder(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise UsageError("{place} is a file. Name a folder, or a file that ends in .csv for one table.", place=place)
    place.mkdir(exist_ok=True)


def write_xlsx(tables: dict[str, pd.DataFrame], file: Path) -> list[Path]:
    """A workbook with a sheet per table, named after it (a sheet's name has 31 characters at most)."""
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in zip(_sheet_names(list(tables)), tables.values(), strict=True):
            plain(table).to_excel(book, sheet_name=name, index=False)
            _force_text(book.sheets[name])
    return [file]


def _force_text(sheet: Any) -> None:
    """A text is text, whatever it looks like: #N/A is a name."""
    for row in sheet.iter_rows():
        for cell in row:
            if isinstance(cell.value, str):
                cell.data_type = "s"


def _sheet_names(names: list[str]) -> list[str]:
    """Names cut to what a sheet may have; two that would be one get a number."""
    cut = [n[:SHEET_NAME] for n in names]
    return [n if cut.count(n) == 1 else f"{n[: SHEET_NAME - 3]}~{i}" for i, n in enumerate(cut, start=1)]
