"""Bytes in, rows of text out: every record with its file and line, nothing converted and nothing lost."""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salescoach.errors import FileRejected
from salescoach.sources.quarantine import Rejects

MAX_FIELD = 1_000_000
MAX_COLUMNS = 1_000
MAX_XLSX_RATIO = 100
MAX_XLSX_BYTES = 200_000_000
DELIMITERS = ",;\t|"
csv.field_size_limit(MAX_FIELD)


@dataclass(frozen=True)
class RawTable:
    """The records of one file as text.

    frame    one text column per header; blank is ""
    lines    first physical line (CSV) or row (Excel, Parquet: counted from 2, below the header) of each record
    blank    records that were empty and count as structure
    """

    file: str
    sha256: str
    frame: pd.DataFrame
    lines: np.ndarray[Any, np.dtype[np.int64]]
    blank: int
    rejects: Rejects
    encoding: str

    @property
    def columns(self) -> list[str]:
        return [str(c) for c in self.frame.columns]

    @property
    def records(self) -> int:
        return len(self.frame) + self.blank + len(self.rejects)


def read_raw(path: Path, table: str = "", skip: int = 0, skip_footer: int = 0, sheet: str | None = None,
             delimiter: str | None = None, encoding: str | None = None) -> RawTable:
    """Read one CSV, Excel or Parquet file as text.

    Raises FileRejected if the file is missing, empty, or not what its name says.
    """
    if not path.is_file():
        raise FileRejected(f"{path} does not exist. Check the path.")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not content.strip():
        raise FileRejected(f"{path.name} is empty. Export it again.")
    suffix = path.suffix.casefold()
    _check_is_what_it_says(path.name, suffix, content)
    rejects = Rejects(table, path.name)
    if suffix in (".xlsx", ".xlsm"):
        header, rows, lines, blank = _read_excel(path, content, rejects, sheet, skip)
        used = "xlsx"
    elif suffix in (".parquet", ".pq"):
        header, rows, lines, blank = _read_parquet(path, content)
        used = "parquet"
    else:
        text, used = decode(path.name, content, encoding)
        header, rows, lines, blank = _read_csv(path.name, text, rejects, skip, delimiter)
    header, rows = _tidy_header(path.name, header, rows)
    if skip_footer:
        for record, line in zip(rows[-skip_footer:], lines[-skip_footer:], strict=True):
            rejects.add_record(line, "footer", "declared footer row", header, record)
        rows, lines = rows[:-skip_footer], lines[:-skip_footer]
    if not rows and not len(rejects):
        raise FileRejected(f"{path.name} has a header and no rows. Export it again, or leave the file out.")
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in header]
    frame = pd.DataFrame({name: pd.array(list(values), dtype="str") for name, values in zip(header, columns, strict=True)})
    return RawTable(path.name, digest, frame, np.asarray(lines, dtype=np.int64), blank, rejects, used)


def read_header(path: Path) -> list[str]:
    """Only the column names of a file, for detection."""
    suffix = path.suffix.casefold()
    if suffix in (".parquet", ".pq"):
        import pyarrow.parquet as pq

        return [str(n) for n in pq.read_schema(path).names]
    if suffix in (".xlsx", ".xlsm"):
        return read_raw(path).columns
    with path.open("rb") as handle:
        content = handle.read(200_000)
    if not content.strip():
        raise FileRejected(f"{path.name} is empty. Export it again.")
    _check_is_what_it_says(path.name, suffix, content)
    complete = content if len(content) < 200_000 else content[: content.rfind(b"\n") + 1]
    text, _ = decode(path.name, complete, None)
    text, separator, _ = _separator(text, None)
    record = next((r for r in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(r)), [])
    return _tidy_header(path.name, record, [])[0]


def decode(name: str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """Text and the encoding it was read in: declared, else by BOM, else UTF-8, else GB18030. Never with replacement."""
    if encoding is not None:
        try:
            return content.decode(encoding), encoding
        except (UnicodeDecodeError, LookupError) as error:
            raise FileRejected(f"{name} is not {encoding}: {error}. Correct `encoding` in the source file.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "utf-16"
    for candidate in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(candidate), candidate
        except UnicodeDecodeError:
            continue
    raise FileRejected(f"{name} is neither UTF-8 nor GB18030 text. Export it as UTF-8, or declare "
                       '`encoding = "…"` under [deals.format] in the source file.')


def _check_is_what_it_says(name: str, suffix: str, content: bytes) -> None:
    start = content[:2000].lstrip(b"\xef\xbb\xbf").lstrip().lower()
    zipped = content.startswith(b"PK\x03\x04")
    if suffix in (".xlsx", ".xlsm") and not zipped:
        raise FileRejected(f"{name} is not an Excel workbook although its name says so"
                           f"{' (it is a web page)' if start.startswith((b'<html', b'<!doctype html')) else ''}. Export it again.")
    if suffix in (".parquet", ".pq"):
        if not content.startswith(b"PAR1"):
            raise FileRejected(f"{name} is not a Parquet file although its name says so. Export it again.")
        return
    if suffix in (".xlsx", ".xlsm"):
        return
    if zipped:
        raise FileRejected(f"{name} is an Excel workbook or zip archive, not text. Rename it to .xlsx, or export it as CSV.")
    if content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"PAR1", b"\x1f\x8b")):
        raise FileRejected(f"{name} is a binary file, not text. Export it as CSV or .xlsx.")
    if start.startswith((b"<html", b"<!doctype html")):
        raise FileRejected(f"{name} is a web page, not data: the download probably met a login page. Log in and export it again.")


def _separator(text: str, declared: str | None) -> tuple[str, str, int]:
    """The text without a `sep=` line, its delimiter, and how many lines were taken off."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        return rest, first.strip()[4], 1
    if declared:
        return text, declared, 0
    head = next((line for line in text.splitlines() if line.strip()), "")
    plain = "".join(part for i, part in enumerate(head.split('"')) if i % 2 == 0)
    counts = Counter({d: plain.count(d) for d in DELIMITERS})
    best, n = counts.most_common(1)[0]
    return text, best if n else ",", 0


def _read_csv(name: str, text: str, rejects: Rejects, skip: int, declared: str | None
              ) -> tuple[list[str], list[list[str]], list[int], int]:
    text, separator, taken = _separator(text, declared)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    blank = width = 0
    before = 0
    suspicious = any(c in text for c in "\x00\x1a") or "\r" in text.replace("\r\n", "")
    try:
        for record in reader:
            line, before = before + 1, reader.line_num
            if line <= skip:
                continue
            if not record or (not any(record) and (len(record) == 1 or header is None)):
                blank += 1
            elif header is None:
                header, width = record, len(record)
            elif len(record) == width and before == line and not suspicious:
                rows.append(record)
                lines.append(line + taken)
            else:
                reason = _fault(record, width, separator, suspicious)
                if reason is None:
                    rows.append(record)
                    lines.append(line + taken)
                else:
                    rejects.add_record(line + taken, *reason, header, record)
    except csv.Error as error:
        raise FileRejected(f"{name}, line {reader.line_num + taken}: {error}. "
                           f"A field may be longer than {MAX_FIELD:,} characters or a quotation mark left open.") from error
    if header is None:
        raise FileRejected(f"{name} has no header row. The first row must name the columns.")
    return header, rows, lines, blank


def _fault(record: list[str], width: int, separator: str, suspicious: bool) -> tuple[str, str] | None:
    """Why a record cannot be used: (reason, hint), or None."""
    if len(record) != width:
        return "field-count", f"{len(record)} fields, the header has {width}: quote a field that holds a {separator!r}"
    for value in record:
        if "\n" in value and value.count(separator) >= width - 1:
            return "swallowed-rows", "a stray quotation mark joined several rows into one field: repair the quotes"
        if suspicious and any(c in value for c in "\x00\x1a") or suspicious and "\r" in value.replace("\r\n", ""):
            return "control-char", "a control character stands inside a value: remove it"
    return None


def _read_excel(path: Path, content: bytes, rejects: Rejects, sheet: str | None, skip: int
                ) -> tuple[list[str], list[list[str]], list[int], int]:
    import openpyxl

    _check_zip(path.name, content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises many kinds for a damaged workbook
        raise FileRejected(f"{path.name} cannot be opened as an Excel workbook ({error}). Save it again as .xlsx.") from error
    if sheet is not None and sheet not in book.sheetnames:
        raise FileRejected(f"{path.name} has no sheet {sheet!r}. Sheets: {', '.join(book.sheetnames)}.")
    page = book[sheet] if sheet is not None else book.worksheets[0]
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    blank = 0
    for number, cells in enumerate(page.iter_rows(values_only=True), start=1):
        record = [_cell_text(c) for c in cells]
        if number <= skip:
            continue
        if not any(record):
            blank += 1
        elif header is None:
            header = record
        elif any(record[len(header):]):
            hint = f"the header has {len(header)} columns: name the column, or clear the cells right of it"
            rejects.add_record(number, "field-count", hint, header, record)
        else:
            rows.append((record + [""] * len(header))[: len(header)])
            lines.append(number)
    book.close()
    if header is None:
        raise FileRejected(f"{path.name} has no header row. The first row must name the columns.")
    return header, rows, lines, blank


def _check_zip(name: str, content: bytes) -> None:
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except zipfile.BadZipFile as error:
        raise FileRejected(f"{name} is a damaged Excel workbook ({error}). Export it again.") from error
    size = sum(p.file_size for p in parts)
    if size > MAX_XLSX_BYTES or size > MAX_XLSX_RATIO * max(len(content), 1):
        raise FileRejected(f"{name} unpacks to {size:,} bytes from {len(content):,}: too large for a workbook. Export it as CSV.")


def _cell_text(value: object) -> str:
    """A cell as the text a CSV export would hold."""
    import datetime as dt

    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        midnight = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)


def _read_parquet(path: Path, content: bytes) -> tuple[list[str], list[list[str]], list[int], int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid as error:
        raise FileRejected(f"{path.name} is a damaged Parquet file ({error}). Write it again.") from error
    columns = [_arrow_text(table.column(i)) for i in range(table.num_columns)]
    rows = [list(r) for r in zip(*columns, strict=True)]
    return [str(n) for n in table.column_names], rows, list(range(2, len(rows) + 2)), 0


def _arrow_text(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_floating(column.type) or pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type):
        return [_cell_text(v) if not (isinstance(v, float) and v != v) else "" for v in column.to_pylist()]
    return ["" if v is None else str(v) for v in column.to_pylist()]


def _tidy_header(name: str, header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Header names normalised; unnamed columns that hold nothing are left out."""
    names = [" ".join(unicodedata.normalize("NFKC", h).replace("\u200b", "").replace("\ufeff", "").split()) for h in header]
    if len(names) > MAX_COLUMNS:
        raise FileRejected(f"{name} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.")
    unnamed = [i for i, n in enumerate(names) if not n and not any(r[i].strip() for r in rows)]
    if unnamed:
        keep = [i for i in range(len(names)) if i not in unnamed]
        names, rows = [names[i] for i in keep], [[r[i] for i in keep] for r in rows]
    for i, n in enumerate(names):
        if not n:
            raise FileRejected(f"{name}: column {i + 1} holds values and has no name. Name it in the header row.")
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        raise FileRejected(f"{name} has the column {twice[0]!r} {Counter(names)[twice[0]]} times. Rename or remove one.")
    return names, rows
