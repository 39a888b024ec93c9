"""Text files: bytes to text, text to records. A record that is no row is set aside with its line.

Every character of the text belongs to one record, the header or the lines above it: both ways of reading prove it.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from salescoach.book.texts import all_filled, count_byte, of_few
from salescoach.errors import FileRejected, LawBroken, Sentence
from salescoach.sources.hints import sentence_of
from salescoach.sources.quarantine import Rejects
from salescoach.sources.records import Records, is_blank

MAX_FIELD = 1_000_000
BLOCK = 2**22
DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8-sig", "gb18030")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
DECLARE_ENCODING = Sentence('Export it as UTF-8, or declare `encoding = "…"` under [deals.format] in the source file.')
COMMON_CHINESE_SHARE = 0.5
CUT = ("unexpected end of data", "truncated data", "incomplete multibyte sequence")

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
        except LookupError as error:
            raise FileRejected(
                "{name}: there is no encoding {encoding!r}. Correct `encoding` in the source file, for example "
                'to "utf-8", "gb18030" or "latin-1".',
                name=name,
                encoding=encoding,
            ) from error
        except UnicodeDecodeError as error:
            raise FileRejected(
                "{name} is not {encoding}: {place} cannot be read. Correct `encoding` in the source file, or "
                "export it again.",
                name=name,
                encoding=encoding,
                place=_place(error),
            ) from error
    if content.startswith(UTF32_MARKS):
        raise FileRejected(
            "{name} is UTF-32 text, which no CRM writes. {step}",
            name=name,
            step=DECLARE_ENCODING,
        )
    if not content.strip(b"\x00"):
        raise FileRejected(
            "{name} holds zero bytes only, as after a broken disk or download. Export it again.", name=name
        )
    candidates = ("utf-16",) if content.startswith(UTF16_MARKS) else ENCODINGS
    first: UnicodeDecodeError | None = None
    for candidate in candidates:
        try:
            text = _decoded(content, candidate, complete)
        except UnicodeDecodeError as error:
            first = first or error
            if _breaks_off(error):
                raise FileRejected(
                    "{name} breaks off in the middle of a character, as after a broken download. Export it again.",
                    name=name,
                ) from error
            continue
        if "\x00" in text and text.count("\x00", 0, 2000) * 4 > min(len(text), 2000):
            raise FileRejected(
                "{name} looks like UTF-16 without a byte order mark. {step}",
                name=name,
                step=DECLARE_ENCODING,
            )
        if candidate == "gb18030":
            _refuse_mixed(name, content)
            if not _reads_as_chinese(text):
                continue
        return text, candidate
    where = Sentence(": {place} cannot be read", place=_place(first)) if first is not None else ""
    raise FileRejected(
        "{name} is neither UTF-8 nor GB18030 text{where}. {step}",
        name=name,
        where=where,
        step=DECLARE_ENCODING,
    )


def _decoded(content: bytes, encoding: str, complete: bool) -> str:
    return codecs.getincrementaldecoder(encoding)().decode(content, final=complete)


def _place(error: UnicodeDecodeError) -> str:
    line = error.object.count(b"\n", 0, error.start) + 1
    return Sentence("byte 0x{byte:02x} in line {line:,}", byte=error.object[error.start], line=line)


def _breaks_off(error: UnicodeDecodeError) -> bool:
    """Whether only the end of the last character is missing, in a file that had such characters before."""
    return error.end == len(error.object) and error.reason in CUT and not error.object[: error.start].isascii()


def _refuse_mixed(name: str, content: bytes) -> None:
    """Raise FileRejected where some lines are Chinese in UTF-8 and others are not UTF-8: parts of two exports."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.isascii() and _is_chinese_utf8(line):
            raise FileRejected(
                "{name} mixes encodings: line {number:,} is UTF-8 and others are not, as when two exports are "
                "joined. Export it again in one piece, as UTF-8.",
                name=name,
                number=number,
            )


def _is_chinese_utf8(line: bytes) -> bool:
    try:
        return any("\u3000" <= c <= "\uffef" for c in line.decode("utf-8"))
    except UnicodeDecodeError:
        return False


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
    if delimiter:
        _refuse_other_separator(name, text, separator, skip)
    regular = _read_regular(text.encode(), separator, 2 + taken) if skip == 0 else None
    if regular is not None:
        return regular
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    numbers: list[int] = []
    read = blank = width = number = 0
    physical = _lines(text).readlines()
    tiles = Tiles(name, physical, skip)
    for first, end, record, fault in _records(physical, separator, skip):
        tiles.add(first, end, record, fault)
        read += 1
        line = first + 1 + taken
        if header is None and fault:
            raise FileRejected(
                "{name}, line {line}, the header: {fault}. If the header stands further down, say so with "
                "`skip` in the source file.",
                name=name,
                line=line,
                fault=sentence_of(HINTS[fault]),
            )
        if header is None and not is_blank(record):
            header, width = record, len(record)
            continue
        number += header is not None
        if fault:
            rejects.add_record(number, line, fault, HINTS[fault], ["(line)"], record)
        elif is_blank(record):
            blank += 1
        elif header is not None and len(record) == width:
            rows.append(record)
            lines.append(line)
            numbers.append(number)
        else:
            hint = _count_hint(record, width, separator)
            rejects.add_record(number, line, "field-count", hint, header or [], record)
    if header is None:
        below = Sentence(" below the {skip:,} lines that `skip` leaves out", skip=skip) if skip else ""
        raise FileRejected(
            "{name} has no header row{below}. The first row must name the columns.", name=name, below=below
        )
    tiles.check()
    kept = 1 + len(rows) + blank + len(rejects)
    if read != kept:
        raise LawBroken(_broken(name, Sentence("{read:,} records read, but {kept:,} kept", read=read, kept=kept)))
    plain = not any(c in text for c in "\x00\x1a") and text.count("\r") == text.count("\r\n")
    return Records.from_rows(header, rows, lines, blank, numbers, plain, cut=not text.endswith(("\n", "\r")))


def _count_hint(record: Sequence[str], width: int, separator: str) -> str:
    if len(record) < width:
        hint = f"{len(record)} of {width} fields: the row was cut, or a line end stands inside it"
    elif is_blank(record[width:]):
        hint = f"{len(record)} fields, the header has {width}: remove the {separator!r} at the end of the row"
    else:
        hint = f"{len(record)} fields, the header has {width}: quote a field that holds a {separator!r}"
    return hint


class Tiles:
    """The law of bytes: the physical lines of the records tile the file, and each record holds all of its lines.

    Counted without quotation marks, which a reader takes off or halves.
    """

    def __init__(self, name: str, lines: list[str], start: int) -> None:
        self._name = name
        self._lines = lines
        self._at = min(start, len(lines))

    def add(self, first: int, end: int, record: list[str], fault: str) -> None:
        """One record: its first line and the line behind its last, both counted from 0."""
        if first != self._at or end <= first:
            raise LawBroken(
                _broken(
                    self._name,
                    Sentence("a record begins in line {first}, not in line {at}", first=first + 1, at=self._at + 1),
                )
            )
        self._at = end
        if not fault:
            held = _letters("".join(record)) + max(len(record) - 1, 0)
            stood = sum(_letters(line) for line in self._lines[first:end])
            last = self._lines[end - 1]
            stood -= len(last) - len(last.rstrip("\r\n"))
            if held != stood:
                text = Sentence(
                    "{stood:,} characters stand in line {first}, but {held:,} were read",
                    stood=stood,
                    first=first + 1,
                    held=held,
                )
                raise LawBroken(_broken(self._name, text))

    def check(self) -> None:
        """Raise LawBroken where lines are left over behind the last record."""
        if self._at != len(self._lines):
            raise LawBroken(
                _broken(
                    self._name,
                    Sentence("{n:,} lines, but the last record ends in {at:,}", n=len(self._lines), at=self._at),
                )
            )


def _letters(text: str) -> int:
    return len(text) - text.count('"')


def _broken(name: str, what: str) -> str:
    return Sentence(
        "{name}: {what}. This is a fault of salescoach; please report it with this line.", name=name, what=what
    )


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
    if text[:4].casefold() == "sep=":
        first, _, rest = text.partition("\n")
        if len(first.rstrip("\r")) == 5:
            return rest, first[4], 1
    if declared:
        return text, declared, 0
    best, n = _separators(text, skip).most_common(1)[0]
    return text, best if n else ",", 0


def _separators(text: str, skip: int) -> Counter[str]:
    """How often each separator stands in the header, outside quotes."""
    head = next((line for number, line in enumerate(_lines(text)) if number >= skip and line.strip()), "")
    unquoted = "".join(part for i, part in enumerate(head.split('"')) if i % 2 == 0)
    return Counter({d: unquoted.count(d) for d in DELIMITERS})


def _refuse_other_separator(name: str, text: str, declared: str, skip: int) -> None:
    counts = _separators(text, skip)
    best, n = counts.most_common(1)[0]
    if n and declared in DELIMITERS and not counts[declared]:
        raise FileRejected(
            "{name} has no {declared!r} in its header, as `delimiter` in the source file says, but {n:,} "
            "{best!r}. Correct `delimiter`, or delete the line.",
            name=name,
            declared=declared,
            n=n,
            best=best,
        )


def _lines(text: str) -> io.StringIO:
    """Physical lines. A lone CR ends a line only where the file knows no other line end."""
    return io.StringIO(text, newline="\n" if "\n" in text else "")


def _read_regular(content: bytes, separator: str, first_line: int) -> Records | None:
    """The usual file, read quickly: no quotes, no control character, no blank record, each as wide as the header.

    None where it is another, also where it is no UTF-8.
    """
    if (
        any(c in content for c in (b'"', b"\x00", b"\x1a"))
        or (b"\r" in content and content.count(b"\r") != content.count(b"\r\n"))
        or len(separator.encode()) > 1
    ):
        return None
    width = content.count(separator.encode(), 0, content.find(b"\n") % (len(content) + 1)) + 1
    names = [f"f{i}" for i in range(width)]
    mark = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    letters = pa.py_buffer(content).slice(mark)
    try:
        table = pacsv.read_csv(
            pa.BufferReader(letters),
            pacsv.ReadOptions(column_names=names, block_size=BLOCK),
            pacsv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    if not _tiles(table, content, mark):
        return None
    columns: list[pd.Series] = []
    header: list[str] = []
    for name in names:
        values = table.column(name)
        header.append(values[0].as_py())
        columns.append(of_few(values.slice(1)))
        table = table.drop_columns(name)  # so that no more than one column is held twice
    if not header[0] or not all_filled(columns[0]):
        return None
    lines = range(first_line, first_line + len(columns[0]))
    return Records(header, columns, lines, 0, plain=True, cut=not content.endswith((b"\n", b"\r")))


def _tiles(table: pa.Table, content: bytes, mark: int) -> bool:
    """Whether fields, separators and line ends are all that stands in the file behind its mark, to the byte."""
    lengths = [pc.binary_length(column) for column in table.columns]
    if any((pc.max(n).as_py() or 0) > MAX_FIELD for n in lengths):
        return False
    fields = sum(pc.sum(n).as_py() or 0 for n in lengths)
    breaks = count_byte(np.frombuffer(content, dtype=np.uint8), "\n")
    lines = breaks + (not content.endswith(b"\n"))
    returns = content.count(b"\r") if b"\r" in content else 0
    stood = mark + fields + lines * (table.num_columns - 1) + breaks + returns
    return bool(table.num_rows == lines and stood == len(content))


def read_plain(name: str, content: bytes, delimiter: str | None = None) -> Records | None:
    """A file of the usual kind straight from its bytes, where it is UTF-8; None where it must be decoded first."""
    first = content[: content.find(b"\n") % (len(content) + 1)].removeprefix(codecs.BOM_UTF8)
    try:
        head = first.decode()
    except UnicodeDecodeError:
        return None
    if not head.strip() or head[:4].casefold() == "sep=":
        return None
    _, separator, _ = find_separator(head, delimiter)
    if delimiter:
        _refuse_other_separator(name, head, separator, 0)
    return _read_regular(content, separator, 2)


def _records(lines: list[str], separator: str, start: int) -> Iterator[tuple[int, int, list[str], str]]:
    """Each record with its first line, the line behind its last (from 0), and its fault, "" where it is sound.

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
            yield first, first + 1, [lines[first].rstrip("\r\n")], fault
            start = first + 1
            reader = csv.reader(lines[start:], delimiter=separator, strict=True)
            continue
        if not fault and end > first + 1 and _swallows_rows(record, width, separator):
            fault = "swallowed-rows"
        if fault:
            yield from ((n, n + 1, [lines[n].rstrip("\r\n")], fault) for n in range(first, end))
        else:
            yield first, end, record, ""


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
