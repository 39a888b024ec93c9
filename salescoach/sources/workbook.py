"""Excel workbooks to records: cells as the text that a CSV export would hold."""

from __future__ import annotations

import datetime as dt
import io
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from salescoach.errors import FileRejected, commas
from salescoach.sources.quarantine import Rejects
from salescoach.sources.records import Records, is_blank

MAX_RATIO = 100
MAX_BYTES = 200_000_000
MAX_CELLS = 20_000_000
SPREAD_CELLS, MAX_SPREAD = 2_000_000, 100  # how large an area may be before it must not be a hundred times its values
EXACT_INTEGER = 2**53


def read_workbook(name: str, content: bytes, rejects: Rejects, sheet: str | None = None, skip: int = 0) -> Records:
    """The records of one sheet: the declared one, or the only one that holds anything."""
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    numbers: list[int] = []
    blank = number = 0
    page = _open_page(name, content, sheet)
    formulas = _formulas(name, content, page)
    for line, cells in _rows(name, page):
        if line <= skip:
            continue
        record = [cell_text(c.value) for c in cells]
        if header is None:
            header = None if is_blank(record) else record
            blank += header is None
            continue
        number += 1
        empty = [i for i, c in enumerate(cells) if (line, i) in formulas and c.value is None and c.data_type != "s"]
        if empty:
            record[empty[0]] = formulas[line, empty[0]]
            named = header[empty[0]] if empty[0] < len(header) else ""
            hint = "the formula was saved without its result: open the workbook in Excel and save it"
            rejects.add_record(number, line, "formula-without-value", hint, header, record, named, record[empty[0]])
        elif is_blank(record):
            blank += 1
        elif any(record[len(header) :]):
            while not record[-1]:
                record.pop()
            hint = f"the header has {len(header)} columns: name the column, or clear the cells right of it"
            rejects.add_record(number, line, "field-count", hint, header, record)
        else:
            rows.append((record + [""] * len(header))[: len(header)])
            lines.append(line)
            numbers.append(number)
    page.parent.close()
    if header is None:
        raise FileRejected("{name} has no header row. The first row must name the columns.", name=name)
    return Records.from_rows(header, rows, lines, blank, numbers)


def first_row(name: str, content: bytes, sheet: str | None = None, skip: int = 0) -> list[str]:
    """The header of a workbook, without reading the rows below it."""
    page = _open_page(name, content, sheet)
    records = ([cell_text(c.value) for c in cells] for number, cells in _rows(name, page) if number > skip)
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
        raise _damaged(name, error) from error
    titles = [page.title for page in book.worksheets]
    for page in book.worksheets:
        page.reset_dimensions()  # a declared size can be a thousand times the real one
    if sheet is not None and sheet not in titles:
        raise FileRejected(
            "{name} has no sheet {sheet!r}. Sheets: {titles}. Correct `sheet` under [deals.format] in the source file.",
            name=name,
            sheet=sheet,
            titles=commas(titles),
        )
    if sheet is not None:
        return book[sheet]
    filled = [p for p in book.worksheets if p.sheet_state == "visible" and any(c for _, c in _rows(name, p))]
    if len(filled) > 1:
        names = commas(p.title for p in filled)
        raise FileRejected(
            '{name} has {n} sheets: {names}. Say which one: `sheet = "{title}"` under [deals.format] in the '
            "source file.",
            name=name,
            n=len(filled),
            names=names,
            title=filled[0].title,
        )
    if not filled:
        raise FileRejected("{name} is empty. Export it again.", name=name)
    return filled[0]


def _rows(name: str, page: Any) -> Iterator[tuple[int, Any]]:
    """Each row with its number, as long as the sheet is no larger than a table can be."""
    width = seen = filled = 0
    for number, cells in enumerate(_cells(name, page), start=1):
        here = [i for i, cell in enumerate(cells) if cell.value is not None]
        seen += len(cells)
        filled += len(here)
        width = max(width, here[-1] + 1) if here else width
        if here and number * width > max(SPREAD_CELLS, MAX_SPREAD * filled):
            raise FileRejected(
                "{name}: {cell} holds a value far from the others ({filled:,} of {all:,} cells are "
                "filled). Clear it in the workbook, or export the table as CSV.",
                name=name,
                cell=cells[here[-1]].coordinate,
                filled=filled,
                all=number * width,
            )
        if seen > MAX_CELLS:
            raise FileRejected(
                "{name} has more than {max_cells:,} cells in a sheet. Export it as CSV.", name=name, max_cells=MAX_CELLS
            )
        yield number, cells


def _cells(name: str, page: Any) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a date Excel cannot show becomes #VALUE!, which is quarantined
        try:
            yield from page.iter_rows()
        except Exception as error:  # openpyxl raises many kinds for a damaged workbook
            raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> FileRejected:
    from defusedxml import DefusedXmlException

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DefusedXmlException):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return FileRejected(
            "{name} defines XML entities, which no export does and attacks do. Do not open it; export it again.",
            name=name,
        )
    what = next(iter(str(error).splitlines()), type(error).__name__)
    return FileRejected(
        "{name} cannot be opened as an Excel workbook ({what}). Save it again as .xlsx.", name=name, what=what
    )


def _formulas(name: str, content: bytes, page: Any) -> dict[tuple[int, int], str]:
    """(row, column from 0) -> text of every formula of the sheet."""
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sheet = archive.read(page._worksheet_path)
    except Exception as error:  # a damaged part: zipfile and zlib raise many kinds
        raise _damaged(name, error) from error
    if b"<f>" not in sheet and b"<f " not in sheet and b"<f/" not in sheet:
        return {}
    written = openpyxl.load_workbook(io.BytesIO(content), read_only=True)[page.title]
    written.reset_dimensions()
    return {
        (number, i): str(getattr(c.value, "text", c.value))
        for number, cells in _rows(name, written)
        for i, c in enumerate(cells)
        if c.data_type == "f"
    }


def _check_zip(name: str, content: bytes) -> None:
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except zipfile.BadZipFile as error:
        raise FileRejected(
            "{name} is a damaged Excel workbook ({error}). Export it again.", name=name, error=error
        ) from error
    if not any(p.filename.startswith("xl/") for p in parts):
        raise FileRejected(
            "{name} is a zip archive without a workbook in it. Export it again as .xlsx or CSV.", name=name
        )
    size = sum(p.file_size for p in parts)
    if size > MAX_BYTES or size > MAX_RATIO * len(content):
        raise FileRejected(
            "{name} unpacks to {size:,} bytes from {n:,}: too large for a workbook. Export it as CSV.",
            name=name,
            size=size,
            n=len(content),
        )
