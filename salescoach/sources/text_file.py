"""Text files: bytes to text, text to records. A record that is no row is set aside with its line."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

from salescoach.errors import FileRejected
from salescoach.sources.quarantine import Rejects
from salescoach.sources.records import Records, is_blank

MAX_FIELD = 1_000_000
DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8-sig", "gb18030")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DECLARE_ENCODING = 'Export it as UTF-8, or declare `encoding = "…"` under [deals.format] in the source file.'
COMMON_CHINESE_SHARE = 0.5

HINTS = {
    "open-quote": "a quotation mark opens here and never closes: remove it or close it",
    "stray-quote": "a quotation mark stands inside a quoted field: double it or remove it",
    "swallowed-rows": "a stray quotation mark joined several rows into one field: repair the quotes",
    "control-char": "a control character stands inside a value: remove it",
    "field-too-long": f"a field is longer than {MAX_FIELD:,} characters: shorten it",
}


# --- bytes to text ---------------------------------------------------------------------------------


def decode(name: str, content: bytes, encoding: str | None, complete: bool = True) -> tuple[str, str]:
    """Text and its encoding: declared, else by byte order mark, else UTF-8, else GB18030. Never with replacement.

    complete   False where `content` is only the start of the file and may end inside a character
    """
    if encoding is not None:
        try:
            return _decoded(content, encoding, complete), encoding
        except (UnicodeDecodeError, LookupError) as error:
            raise FileRejected(f"{name} is not {encoding}: {error}. Correct `encoding` in the source file.") from error
    candidates = ("utf-16",) if content.startswith(UTF16_MARKS) else ENCODINGS
    for candidate in candidates:
        try:
            text = _decoded(content, candidate, complete)
        except UnicodeDecodeError:
            continue
        if "\x00" in text and text.count("\x00", 0, 2000) * 4 > min(len(text), 2000):
            raise FileRejected(f"{name} looks like UTF-16 without a byte order mark. {DECLARE_ENCODING}")
        if candidate == "gb18030" and not _reads_as_chinese(text):
            continue
        return text, candidate
    raise FileRejected(f"{name} is neither UTF-8 nor GB18030 text. {DECLARE_ENCODING}")


def _decoded(content: bytes, encoding: str, complete: bool) -> str:
    return codecs.getincrementaldecoder(encoding)().decode(content, final=complete)


def _reads_as_chinese(text: str) -> bool:
    """Western text in Latin-1 often decodes as GB18030 too, but into rare characters."""
    foreign = {c for c in text if ord(c) > 127}
    common = sum(1 for c in foreign if _in_gb2312(c))
    return common >= COMMON_CHINESE_SHARE * len(foreign)


def _in_gb2312(character: str) -> bool:
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


# --- text to records -------------------------------------------------------------------------------


def read_text(name: str, text: str, rejects: Rejects, skip: int = 0, delimiter: str | None = None) -> Records:
    """The records of delimited text; `skip` lines are left out before the header."""
    text, separator, taken = find_separator(text, delimiter, skip)
    regular = _read_regular(text, separator, 2 + taken) if skip == 0 else None
    if regular is not None:
        return regular
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    blank = width = 0
    for line, record, fault in _records(_lines(text).readlines(), separator, skip):
        if fault:
            rejects.add_record(line + taken, fault, HINTS[fault], ["(line)"], record)
        elif is_blank(record):
            blank += 1
        elif header is None:
            header, width = record, len(record)
        elif len(record) == width:
            rows.append(record)
            lines.append(line + taken)
        else:
            hint = f"{len(record)} fields, the header has {width}: quote a field that holds a {separator!r}"
            rejects.add_record(line + taken, "field-count", hint, header, record)
    if header is None:
        raise FileRejected(f"{name} has no header row. The first row must name the columns.")
    return Records.from_rows(header, rows, lines, blank)


def first_record(text: str, skip: int = 0, delimiter: str | None = None) -> list[str]:
    """The header of delimited text, or nothing."""
    text, separator, _ = find_separator(text, delimiter, skip)
    lines = itertools.islice(_lines(text), skip, None)
    try:
        return next((r for r in csv.reader(lines, delimiter=separator) if not is_blank(r)), [])
    except csv.Error:
        return []


def find_separator(text: str, declared: str | None, skip: int = 0) -> tuple[str, str, int]:
    """The text without a `sep=` line, its delimiter, and how many lines were taken off."""
    first, _, rest = text.partition("\n")
    first = first.rstrip("\r")
    if first.casefold().startswith("sep=") and len(first) == 5:
        return rest, first[4], 1
    if declared:
        return text, declared, 0
    source = _lines(text)
    head = next((line for number, line in enumerate(source) if number >= skip and line.strip()), "")
    unquoted = "".join(part for i, part in enumerate(head.split('"')) if i % 2 == 0)
    best, n = Counter({d: unquoted.count(d) for d in DELIMITERS}).most_common(1)[0]
    return text, best if n else ",", 0


def _lines(text: str) -> io.StringIO:
    """Physical lines. A lone CR ends a line only where the file knows no other line end."""
    return io.StringIO(text, newline="\n" if "\n" in text else "")


def _read_regular(text: str, separator: str, first_line: int) -> Records | None:
    """The usual file, read quickly: no quotes, no lone CR, no blank record, every record as wide as the header."""
    width = text.partition("\n")[0].count(separator) + 1
    if (
        '"' in text
        or _longest_line(text) > MAX_FIELD
        or text.count("\r") != text.count("\r\n")
        or len(separator.encode()) > 1
    ):
        return None
    names = [f"f{i}" for i in range(width)]
    try:
        table = pacsv.read_csv(
            io.BytesIO(text.encode()),
            pacsv.ReadOptions(column_names=names),
            pacsv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    header = [column[0].as_py() for column in table.columns]
    columns = [column.to_pandas() for column in table.slice(1).columns]
    if not header[0] or (columns[0] == "").any():
        return None
    return Records(header, columns, list(range(first_line, first_line + len(columns[0]))), 0)


def _longest_line(text: str) -> int:
    return len(text) if len(text) <= MAX_FIELD else max(map(len, text.split("\n")))


def _records(lines: list[str], separator: str, start: int) -> Iterator[tuple[int, list[str], str]]:
    """Each record with its first line and its fault, "" where it is sound.

    Records may span lines. Where quotes are wrong, each line concerned is a fault of its own.
    """
    csv.field_size_limit(MAX_FIELD)
    width = 0
    reader = csv.reader(lines[start:], delimiter=separator, strict=True)
    while True:
        first = start + reader.line_num
        fault, record = "", list[str]()
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _quote_fault(str(error), start + reader.line_num - first)
        width = width or len(record)
        end = start + reader.line_num
        if fault == "open-quote":
            yield first + 1, [lines[first].rstrip("\r\n")], fault
            start = first + 1
            reader = csv.reader(lines[start:], delimiter=separator, strict=True)
            continue
        if not fault and end > first + 1 and _swallows_rows(record, width, separator):
            fault = "swallowed-rows"
        if fault:
            yield from ((n + 1, [lines[n].rstrip("\r\n")], fault) for n in range(first, end))
        else:
            yield first + 1, record, ""


def _quote_fault(message: str, spanned: int) -> str:
    if "unexpected end" in message:
        return "open-quote"
    if "field limit" in message:
        return "open-quote" if spanned > 1 else "field-too-long"
    return "control-char" if "new-line" in message else "stray-quote"


def _swallows_rows(record: list[str], width: int, separator: str) -> bool:
    """Whether a field's lines complete one row, hold whole rows, and begin another: rows that lost their ends."""
    if len(record) != width:
        return True
    for position, value in enumerate(record):
        if "\n" in value:
            first, *between, last = (line.count(separator) for line in value.split("\n"))
            if (first, last) == (width - 1 - position, position) and all(n == width - 1 for n in between):
                return True
    return False
