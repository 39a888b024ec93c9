"""The catalogue of bad files: what must come of each, and the very words the person at the desk reads.

Each `catalogue/*.toml` holds cases. A case is the file of five deals of conftest with something changed:

text, lines, more, header, cells, columns   the whole text; lines by number; lines added; one value; whole columns
replace, encoding, cut, bytes               texts replaced everywhere; how it is written; bytes cut off; bytes in hex
workbook, sheets, parquet, build            cells of a workbook; further sheets; columns of a Parquet file; a builder
file, beside, head, format, tail            its name; other files beside it; lines of the source file
columns_of, detect, as_of                   columns that the source maps; without a source file; the end of the data

and one verdict: `refuse` = the exact message, `quarantine` = the exact [line, column, value, reason, hint] of each row,
`note` = the exact [check, column, count], or none, where the file is sound. Deals are used as they are in conftest
but for those in `used`, and not those that are `gone`. `trust` names the rows of the threat table it stands for.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import InputError
from salescoach.sources import load_book
from salescoach.wording import words

HERE = Path(__file__).parent
HEADER = ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "name"]
LINES = [
    "D1,Ann,Won,2025-01-01,2025-01-11,100.00,Alpha",
    "D2,Ann,Lost,2025-01-02,2025-01-12,200.00,Beta",
    "D3,Bob,Quote,2025-01-03,,300.00,Gamma",
    "D4,Bob,Won,2025-01-04,2025-01-14,400.00,Delta",
    "D5,Cy,Contract,2025-01-05,,500.00,Epsilon",
]
USED = {
    "D1": ["Ann", "won", "2025-01-01", 100_00],
    "D2": ["Ann", "lost", "2025-01-02", 200_00],
    "D3": ["Bob", "quote", "2025-01-03", 300_00],
    "D4": ["Bob", "won", "2025-01-04", 400_00],
    "D5": ["Cy", "contract", "2025-01-05", 500_00],
}
Case = dict[str, Any]
VERDICTS = ("refuse", "quarantine", "note")


# --- the file of a case ----------------------------------------------------------------------------


def content(case: Case) -> bytes:
    """The bytes of the file that the case describes."""
    if "build" in case:
        return BUILDERS[case["build"]]()
    if "bytes" in case:
        return bytes.fromhex(case["bytes"])
    if "parquet" in case:
        return parquet(case["parquet"])
    if "workbook" in case:
        made = workbook(case["workbook"], case.get("sheets", {}))
    else:
        made = text(case).encode(case.get("encoding", "utf-8"))
    return made[: len(made) - case.get("cut", 0)]


def text(case: Case) -> str:
    """The text of the file before it is encoded."""
    header, rows = list(HEADER), [line.split(",") for line in LINES]
    for name, values in case.get("columns", {}).items():
        if name not in header:
            header.append(name)
            rows = [[*r, ""] for r in rows]
        for row, value in zip(rows, values, strict=True):
            row[header.index(name)] = value
    for place, value in case.get("cells", {}).items():
        line, name = place.split(" ", 1)
        rows[int(line) - 2][header.index(name)] = value
    body = [",".join(r) for r in rows]
    for line, changed in case.get("lines", {}).items():
        body[int(line) - 2] = changed
    written = "\n".join([case.get("header", ",".join(header)), *body, *case.get("more", [])]) + "\n"
    written = case.get("text", written)
    for old, new in case.get("replace", []):
        written = written.replace(old, new)
    return written


def workbook(cells: dict[str, Any], sheets: dict[str, list[Any]]) -> bytes:
    """The five deals as a workbook with some cells set; a value that begins with "'" is text whatever it looks like."""
    book = openpyxl.Workbook()
    page = book.active
    for line in [",".join(HEADER), *LINES]:
        page.append([float(v) if v.endswith(".00") else v for v in line.split(",")])
    for place, value in cells.items():
        page[place] = value[1:] if str(value).startswith("'") else value
        if str(value).startswith("'"):
            page[place].data_type = "s"
    for name, row in sheets.items():
        book.create_sheet(name).append(row)
    return saved(book)


def saved(book: Any) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def parquet(columns: dict[str, list[Any]]) -> bytes:
    frame = pd.DataFrame([line.split(",") for line in LINES], columns=HEADER).assign(**columns)
    target = io.BytesIO()
    frame.to_parquet(target)
    return target.getvalue()


def zipped(**parts: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return target.getvalue()


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook of five deals with one of its parts changed."""
    source = zipfile.ZipFile(io.BytesIO(workbook({}, {})))
    return zipped(**{n: change(source.read(n)) if n == name else source.read(n) for n in source.namelist()})


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
STRANGER = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def behind_declaration(part: bytes, inserted: bytes) -> bytes:
    return part.replace(b"<worksheet", inserted + b"<worksheet", 1)


def blank_rows() -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(workbook({}, {})))
    book.active.insert_rows(4, 2)
    return saved(book)


def hidden_sheet() -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(workbook({}, {"Lists": ["Won", "Lost"]})))
    book["Lists"].sheet_state = "hidden"
    return saved(book)


def title_above() -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(workbook({}, {})))
    book.active.insert_rows(1, 2)
    book.active["A1"] = "Deals of 2025"
    book.active.merge_cells("A1:G1")
    return saved(book)


def wide_rows() -> bytes:
    """Rows of one value at the far right: few bytes, and billions of cells."""
    book = openpyxl.Workbook()
    for row in range(1, 301):
        book.active.cell(row, 16_384, "x")
    return saved(book)


def ten_thousand_columns() -> bytes:
    book = openpyxl.Workbook()
    book.active.append([f"c{i}" for i in range(10_000)])
    book.active.append(["x"] * 10_000)
    return saved(book)


def rows_of(book: Any, rows: list[list[Any]]) -> bytes:
    for row in rows:
        book.active.append(row)
    return saved(book)


def no_header_only() -> bytes:
    return rows_of(openpyxl.Workbook(), [HEADER])


def parquet_of_no_utf8() -> bytes:
    frame = pd.DataFrame([line.split(",") for line in LINES], columns=HEADER)
    target = io.BytesIO()
    frame.to_parquet(target, compression=None)
    return target.getvalue().replace(b"Alpha", b"Al\xd7ha")


def empty_parquet() -> bytes:
    target = io.BytesIO()
    pd.DataFrame(columns=HEADER, dtype="str").to_parquet(target)
    return target.getvalue()


CLEAN = "\n".join([",".join(HEADER), *LINES]) + "\n"
BUILDERS: dict[str, Callable[[], bytes]] = {
    "workbook": lambda: workbook({}, {}),
    "damaged workbook": lambda: workbook({}, {})[:-400],
    "damaged Parquet": lambda: parquet({})[:-20],
    "empty Parquet": empty_parquet,
    "Parquet of no UTF-8": parquet_of_no_utf8,
    "workbook with a header only": no_header_only,
    "empty workbook": lambda: saved(openpyxl.Workbook()),
    "blank rows": blank_rows,
    "hidden sheet": hidden_sheet,
    "title above": title_above,
    "wide rows": wide_rows,
    "10,000 columns": ten_thousand_columns,
    "zip bomb": lambda: zipped(**{SHEET: b"0" * 30_000_000}),
    "archive of documents": lambda: zipped(**{"word/document.xml": b"<document/>" * 9}),
    "billion laughs": lambda: with_part(SHEET, lambda p: behind_declaration(p, LAUGHS).replace(b"Ann", b"&b;")),
    "foreign entity": lambda: with_part(SHEET, lambda p: behind_declaration(p, STRANGER)),
    "broken sheet": lambda: with_part(SHEET, lambda p: p[: len(p) // 2]),
    "sheet of no sense": lambda: with_part(SHEET, lambda p: p.replace(b"<v>100</v>", b"<v>a hundred</v>")),
    "gzip": lambda: gzip.compress(CLEAN.encode(), mtime=0),
    "gzip bomb": lambda: gzip.compress(b"D1,Ann,Won\n" * 500_000, mtime=0),
    "10,000 columns as text": lambda: (",".join(f"c{i}" for i in range(10_000)) + "\n").encode() * 2,
    "a field of a million": lambda: CLEAN.replace("Beta", "x" * 1_000_001).encode(),
    "a field of twenty million": lambda: CLEAN.replace("Beta", '"' + "x" * 20_000_000 + '"').encode(),
    "UTF-16 cut in half a character": lambda: CLEAN.encode("utf-16")[:-1],
    "UTF-8 cut in half a character": lambda: CLEAN.replace("Epsilon", "上海").encode()[:-2],
    "UTF-8 and GB18030 in one file": lambda: (
        CLEAN.replace("Ann", "李娜").encode() + "D6,张三,Won,2025-01-06,,600.00,上海\n".encode("gb18030")
    ),
    "UTF-8 and Latin-1 in one file": lambda: (
        CLEAN.encode() + "D6,André,Won,2025-01-06,,600.00,Zeta\n".encode("latin-1")
    ),
    "two exports in one, with marks": lambda: CLEAN.encode("utf-8-sig") + CLEAN.encode("utf-8-sig").replace(b"D", b"E"),
}


# --- loading a case --------------------------------------------------------------------------------


def cases() -> list[Case]:
    found = [{"theme": f.stem, **c} for f in sorted((HERE / "catalogue").glob("*.toml")) for c in load_cases(f)]
    assert len({c["id"] for c in found}) == len(found), "two cases have one id"
    return found


def load_cases(file: Path) -> list[Case]:
    found: list[Case] = tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    return found


def source_of(case: Case) -> str:
    names = case.get("columns_of", [*HEADER, *(c for c in case.get("columns", {}) if c not in HEADER)])
    columns = "\n".join(f'{c} = "{c}"' for c in names)
    of_deals = 'from = "deals.csv"\n' if "tail" in case else ""
    return (
        f"{case.get('head', '')}\n[deals]\n{of_deals}[deals.columns]\n{columns}\n"
        f"[deals.format]\n{case.get('format', '')}\n{case.get('tail', '')}\n"
    )


def load(case: Case, folder: Path) -> Book:
    file = file_of(case, folder)
    folder.mkdir()
    file.write_bytes(content(case))
    for name, beside in case.get("beside", {}).items():
        (folder / name).write_text(beside, encoding="utf-8")
    (folder / "my.toml").write_text(source_of(case), encoding="utf-8")
    source = None if case.get("detect") else str(folder / "my.toml")
    return load_book(folder if "beside" in case else file, source=source, as_of=case.get("as_of", "2025-06-30"))


def file_of(case: Case, folder: Path) -> Path:
    return folder / str(case.get("file", "deals.csv"))


def used(book: Book) -> dict[str, list[Any]]:
    deals = book.deals
    days = book.local_days(deals["created_at"]).dt.strftime("%Y-%m-%d").fillna("").tolist()
    amounts = ["" if pd.isna(a) else int(a) for a in deals["amount_minor"]]
    reps = deals["rep_id"].fillna("").tolist()
    return {d: list(v) for d, *v in zip(deals["deal_id"], reps, deals["stage"], days, amounts, strict=True)}


def rows_out(book: Book) -> list[list[Any]]:
    columns = ["line", "column", "value", "reason", "hint"]
    return [list(r) for r in book.quarantine[columns].fillna("").itertuples(index=False, name=None)]


def notes(book: Book) -> list[list[Any]]:
    return [[n["check"], n["column"], n["count"]] for n in book.quality["notes"]]


CASES = cases()
# in Chinese, what is quoted, what a library said in brackets and what is pasted stay as they are
VALUES = re.compile(
    r"`[^`]*`|'[^']*'|\"[^\"]*\"|（[^（）]*）|\bdeal[-_.\w]*|(?<=：)[\w\", ]+$|names = .*", re.MULTILINE
)
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}|\b(?:the|is|not|are|has|no)\b")


def those(chosen: Callable[[Case], bool]) -> list[Any]:
    """The chosen cases as parameters; one that waits for a mend elsewhere must fail until then."""
    waits = {c["id"]: [pytest.mark.xfail(strict=True, reason=c["waits_for"])] for c in CASES if "waits_for" in c}
    return [pytest.param(c, id=name_of(c), marks=waits.get(c["id"], [])) for c in CASES if chosen(c)]


def name_of(case: Case) -> str:
    rows = "".join(f"trust-{n} " for n in case.get("trust", []))
    return f"{rows}{case['id']}"


# --- the tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", those(lambda c: "refuse" in c))
def test_a_file_that_cannot_be_used_is_refused_in_these_words(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load(case, tmp_path / "exports")
    assert (str(raised.value).replace(str(tmp_path), "…"), raised.value.exit_code) == (case["refuse"], 5)
    chinese = words("zh")(raised.value.said).replace(str(tmp_path), "…")
    assert re.search("[一-鿿]", chinese) and not ENGLISH.search(VALUES.sub(" ", chinese)), chinese


@pytest.mark.parametrize("case", those(lambda c: "refuse" not in c))
def test_what_is_used_and_what_is_set_aside(case: Case, tmp_path: Path) -> None:
    book = load(case, tmp_path / "exports")
    expected = {d: v for d, v in {**USED, **case.get("used", {})}.items() if d not in case.get("gone", [])}
    assert (used(book), rows_out(book)) == (expected, case.get("quarantine", []))
    assert [n for n in case.get("note", []) if n not in notes(book)] == [], notes(book)
    of_deals = book.quarantine[book.quarantine["table"] == "deals"]
    assert set(of_deals["sha256"]) <= {hashlib.sha256(file_of(case, tmp_path / "exports").read_bytes()).hexdigest()}
    for row in book.quarantine.itertuples():
        assert (bool(row.file), row.record > 0, isinstance(json.loads(row.raw), dict)) == (True, True, True)


def test_the_catalogue_holds_at_least_150_bad_files() -> None:
    assert sum(any(v in c for v in VERDICTS) for c in CASES) >= 150


def test_no_two_cases_are_the_same_file() -> None:
    seen: dict[Any, str] = {}
    for case in CASES:
        key = (content(case), case.get("file"), source_of(case), str(case.get("beside")), case.get("detect"))
        assert key not in seen, f"{case['id']} and {seen[key]} are one"
        seen[key] = case["id"]
