"""Excel workbooks to records: cells as the text that a CSV export would hold."""

from __future__ import annotations

import datetime as dt
import io
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from salescoach.errors import FileRejected
from salescoach.sources.quarantine import Rejects
from salescoach.sources.records import Records, is_blank

MAX_RATIO = 100
MAX_BYTES = 400_000_000
EXACT_INTEGER = 2**53


def read_workbook(name: str, content: bytes, rejects: Rejects, sheet: str | None = None, skip: int = 0) -> Records:
    """The records of one sheet: the declared one, or the only one that holds anything."""
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    blank = 0
    page = _open_page(name, content, sheet)
    formulas = _formulas(name, content, page)
    for number, cells in _rows(page):
        record = [cell_text(c.value) for c in cells]
        empty = [i for i, c in enumerate(cells) if (number, i) in formulas and c.value is None and c.data_type != "s"]
        if number <= skip:
            continue
        if empty and header is not None:
            record[empty[0]] = formulas[number, empty[0]]
            named = header[empty[0]] if empty[0] < len(header) else ""
            hint = "the formula was saved without its result: open the workbook in Excel and save it"
            rejects.add_record(number, "formula-without-value", hint, header, record, named, record[empty[0]])
        elif is_blank(record):
            blank += 1
        elif header is None:
            header = record
        elif any(record[len(header) :]):
            hint = f"the header has {len(header)} columns: name the column, or clear the cells right of it"
            rejects.add_record(number, "field-count", hint, header, record)
        else:
            rows.append((record + [""] * len(header))[: len(header)])
            lines.append(number)
    page.parent.close()
    if header is None:
        raise FileRejected(f"{name} has no header row. The first row must name the columns.")
    return Records.from_rows(header, rows, lines, blank)


def first_row(name: str, content: bytes, sheet: str | None = None, skip: int = 0) -> list[str]:
    """The header of a workbook, without reading the rows below it."""
    page = _open_page(name, content, sheet)
    records = ([cell_text(c.value) for c in cells] for number, cells in _rows(page) if number > skip)
    return next((r for r in records if not is_blank(r)), [])


def cell_text(value: object) -> str:
    """A value as the text a CSV export would hold."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)) if abs(value) < EXACT_INTEGER else f"{value:.16e}"
        return repr(value)
    if isinstance(value, dt.datetime):
        midnight = value.tzinfo is None and value.time() == dt.time()
        return value.strftime("%Y-%m-%d") if midnight else value.isoformat(" ")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _open_page(name: str, content: bytes, sheet: str | None) -> Any:
    import openpyxl

    _check_zip(name, content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises many kinds for a damaged workbook
        raise FileRejected(
            f"{name} cannot be opened as an Excel workbook ({error}). Save it again as .xlsx."
        ) from error
    for page in book.worksheets:
        page.reset_dimensions()  # a declared size can be a thousand times the real one
    if sheet is not None and sheet not in book.sheetnames:
        raise FileRejected(f"{name} has no sheet {sheet!r}. Sheets: {', '.join(book.sheetnames)}.")
    if sheet is not None:
        return book[sheet]
    filled = [p for p in book.worksheets if p.sheet_state == "visible" and any(c for _, c in _rows(p))]
    if len(filled) > 1:
        names = ", ".join(p.title for p in filled)
        raise FileRejected(
            f"{name} has {len(filled)} sheets: {names}. Say which one: "
            f'`sheet = "{filled[0].title}"` under [deals.format] in the source file.'
        )
    if not filled:
        raise FileRejected(f"{name} is empty. Export it again.")
    return filled[0]


def _rows(page: Any) -> Iterator[tuple[int, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a date Excel cannot show becomes #VALUE!, which is quarantined
        yield from enumerate(page.iter_rows(), start=1)


def _formulas(name: str, content: bytes, page: Any) -> dict[tuple[int, int], str]:
    """(row, column from 0) -> text of every formula of the sheet."""
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read(page._worksheet_path)
    if b"<f>" not in sheet and b"<f " not in sheet and b"<f/" not in sheet:
        return {}
    written = openpyxl.load_workbook(io.BytesIO(content), read_only=True)[page.title]
    written.reset_dimensions()
    return {
        (number, i): str(getattr(c.value, "text", c.value))
        for number, cells in _rows(written)
        for i, c in enumerate(cells)
        if c.data_type == "f"
    }


def _check_zip(name: str, content: bytes) -> None:
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except zipfile.BadZipFile as error:
        raise FileRejected(f"{name} is a damaged Excel workbook ({error}). Export it again.") from error
    size = sum(p.file_size for p in parts)
    if size > MAX_BYTES or size > MAX_RATIO * len(content):
        raise FileRejected(
            f"{name} unpacks to {size:,} bytes from {len(content):,}: too large for a workbook. Export it as CSV."
        )
