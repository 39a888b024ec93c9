"""The catalogue of faulty inputs: each is used rightly, quarantined with place and reason, or refused. None passes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openpyxl
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import InputError

HEADER = "deal_id,rep_id,stage,created_at,closed_at,amount,name"
LINES = [
    "D1,Ann,Won,2025-01-01,2025-01-11,100.00,Alpha",
    "D2,Ann,Lost,2025-01-02,2025-01-12,200.00,Beta",
    "D3,Bob,Quote,2025-01-03,,300.00,Gamma",
    "D4,Bob,Won,2025-01-04,2025-01-14,400.00,Delta",
    "D5,Cy,Contract,2025-01-05,,500.00,Epsilon",
]
TRUTH = {
    "D1": ("Ann", "won", "2025-01-01", 100_00),
    "D2": ("Ann", "lost", "2025-01-02", 200_00),
    "D3": ("Bob", "quote", "2025-01-03", 300_00),
    "D4": ("Bob", "won", "2025-01-04", 400_00),
    "D5": ("Cy", "contract", "2025-01-05", 500_00),
}
NAMES = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon"]


@dataclass
class Case:
    """One faulty input and what must come of it.

    out       line -> (reason, column, value) of each quarantined record
    refused   parts of the message, where the whole input is refused
    declared  whether a source file that maps the columns goes with it; `head` and `format` are written into it
    new       deals that are used beside or instead of those of TRUTH
    gone      deals of TRUTH that are not used
    """

    id: str
    content: Any
    out: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    new: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    name: str = "deals.csv"
    declared: bool = False
    format: str = ""
    head: str = ""


def lines(*changed: tuple[int, str], more: tuple[str, ...] = (), header: str = HEADER) -> str:
    """The file with some of its lines (2 is the first deal) replaced and others added."""
    body = list(LINES)
    for number, text in changed:
        body[number - 2] = text
    return "\n".join([header, *body, *more]) + "\n"


CLEAN = lines()


def cell(line: int, column: str, value: str) -> str:
    """The file with one value replaced."""
    fields = LINES[line - 2].split(",")
    fields[HEADER.split(",").index(column)] = value
    return lines((line, ",".join(fields)))


def with_column(column: str, values: list[str]) -> str:
    """The file with one more column."""
    body = [f"{text},{value}" for text, value in zip(LINES, values, strict=True)]
    return "\n".join([f"{HEADER},{column}", *body]) + "\n"


def column_of(column: str, values: list[str]) -> str:
    """The file with one column replaced."""
    index = HEADER.split(",").index(column)
    body = []
    for text, value in zip(LINES, values, strict=True):
        fields = text.split(",")
        fields[index] = value
        body.append(",".join(fields))
    return "\n".join([HEADER, *body]) + "\n"


def workbook(change: Callable[[Any], None] = lambda book: None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for text in [HEADER, *LINES]:
        sheet.append([float(v) if v.endswith(".00") else v for v in text.split(",")])
    change(book)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def set_cell(place: str, value: object) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        book.active[place] = value

    return change


def parquet(**columns: list[object]) -> bytes:
    frame = pd.DataFrame([t.split(",") for t in LINES], columns=HEADER.split(",")).assign(**columns)
    target = io.BytesIO()
    frame.to_parquet(target)
    return target.getvalue()


def truth(deal: str, **changed: object) -> tuple[Any, ...]:
    names = ("rep", "stage", "created", "amount")
    return tuple(changed.get(n, v) for n, v in zip(names, TRUTH[deal], strict=True))


def sparse_workbook() -> bytes:
    return workbook(set_cell("XFD20000", "far away"))


def bomb() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 30_000_000)
    return target.getvalue()


CHINESE = CLEAN.replace("Alpha", "上海正大").replace("Ann", "李娜")
CHINESE_NEW = {d: truth(d, rep="李娜") for d in ("D1", "D2")}
SEPARATED = CLEAN.replace(",", ";")

FILES = [
    Case("clean", CLEAN),
    Case("UTF-8 with byte order mark", CLEAN.encode("utf-8-sig")),
    Case("GB18030", CHINESE.encode("gb18030"), new=CHINESE_NEW),
    Case("GB18030, a character of four bytes", CHINESE.replace("正大", "𠮷野").encode("gb18030"), new=CHINESE_NEW),
    Case("UTF-16, tabs", CHINESE.replace(",", "\t").encode("utf-16"), new=CHINESE_NEW),
    Case("UTF-16 big-endian", CLEAN.encode("utf-16-be"), refused=("deals.csv", "UTF-16", "encoding =")),
    Case("UTF-16 cut in half a character", CLEAN.encode("utf-16")[:-1], refused=("deals.csv", "neither UTF-8")),
    Case(
        "Latin-1 read as Chinese",
        CLEAN.replace("Ann", "Andréa").encode("latin-1"),
        refused=("deals.csv", "neither UTF-8 nor GB18030", 'encoding = "…"'),
    ),
    Case(
        "Latin-1 declared",
        CLEAN.replace("Ann", "Andréa").encode("latin-1"),
        new={d: truth(d, rep="Andréa") for d in ("D1", "D2")},
        format='encoding = "latin-1"',
    ),
    Case(
        "declared encoding does not fit",
        CHINESE.encode("gb18030"),
        refused=("is not utf-8", "Correct `encoding`"),
        format='encoding = "utf-8"',
    ),
    Case("CR LF", CLEAN.replace("\n", "\r\n")),
    Case("CR only", CLEAN.replace("\n", "\r")),
    Case("semicolons", SEPARATED),
    Case("sep= line", "sep=;\n" + SEPARATED),
    Case("sep= line with a tab", "sep=\t\n" + CLEAN.replace(",", "\t")),
    Case(
        "a line after sep= is counted as in the file",
        "sep=,\n" + cell(3, "amount", "abc"),
        gone=("D2",),
        out={4: ("bad-number", "amount", "abc")},
    ),
    Case("no final newline", CLEAN.rstrip("\n")),
    Case("blank lines and rows of commas only", CLEAN.replace("D3,", "\n,,,,,,\nD3,")),
    Case("empty", b"", refused=("deals.csv is empty", "Export it again")),
    Case("a byte order mark only", b"\xef\xbb\xbf\r\n", refused=("deals.csv is empty",)),
    Case("header only", HEADER + "\n", refused=("deals.csv has a header and no rows", "Export it again")),
    Case(
        "login page as csv", "<!DOCTYPE html><html><body>Session expired", refused=("deals.csv is a web page", "Log in")
    ),
    Case("xlsx renamed csv", workbook(), refused=("deals.csv is an Excel workbook", "Rename it to .xlsx")),
    Case(
        "csv renamed xlsx", CLEAN, name="deals.xlsx", refused=("deals.xlsx is not an Excel workbook", "Export it again")
    ),
    Case("csv renamed parquet", CLEAN, name="deals.parquet", refused=("deals.parquet is not a Parquet file",)),
    Case("old Excel as csv", b"\xd0\xcf\x11\xe0" * 9, refused=("deals.csv is a binary file", "CSV or .xlsx")),
    Case("damaged workbook", workbook()[:-400], name="deals.xlsx", refused=("deals.xlsx is a damaged Excel workbook",)),
    Case("damaged Parquet", parquet()[:-20], name="deals.parquet", refused=("deals.parquet is a damaged Parquet",)),
    Case("zip bomb", bomb(), name="deals.xlsx", refused=("deals.xlsx unpacks to 30,000,000 bytes", "too large")),
    Case("a cell far away", sparse_workbook(), name="deals.xlsx", out={20000: ("field-count", "", "")}),
    Case(
        "lines above the header",
        "Deals of 2025\n\n" + CLEAN,
        declared=True,
        refused=("deals.csv", "`deal_id`", "line 3", "`skip = 2` under [deals.format]"),
    ),
    Case("declared lines above the header", "Deals of 2025\n\n" + CLEAN, format="skip = 2"),
    Case(
        "wide line above the header",
        "Deals,of,2025,by,the,whole,team\n" + CLEAN,
        declared=True,
        refused=("line 2", "`skip = 1`"),
    ),
]

STRUCTURE = [
    Case("total at the end", lines(more=("Total,,,,,1500.00,",)), out={7: ("summary-row", "deal_id", "Total")}),
    Case("total without id", lines(more=(",Total,,,,1500.00,",)), out={7: ("summary-row", "deal_id", "")}),
    Case("total in Chinese", lines(more=("合计,,,,,1500.00,",)), out={7: ("summary-row", "deal_id", "合计")}),
    Case("copyright line", lines(more=('"Copyright (c) 2025 CRM, Inc."',)), out={7: ("field-count", "", "")}),
    Case(
        "declared footer",
        lines(more=("Total,,,,,1500.00,", "Copyright")),
        format="skip_footer = 2",
        out={7: ("footer", "", ""), 8: ("field-count", "", "")},
    ),
    Case(
        "page exported twice",
        lines(more=(LINES[0], LINES[1])),
        out={7: ("duplicate", "deal_id", "D1"), 8: ("duplicate", "deal_id", "D2")},
    ),
    Case(
        "same record, other blanks",
        lines(more=(LINES[0].replace("Won", "Won "),)),
        out={7: ("duplicate", "deal_id", "D1")},
    ),
    Case(
        "header again in the middle",
        lines((4, HEADER)),
        gone=("D3",),
        out={4: ("repeated-header", "deal_id", "deal_id")},
    ),
    Case(
        "one id, two amounts",
        lines(more=(LINES[0].replace("100", "900"),)),
        gone=("D1",),
        out={2: ("conflicting-id", "deal_id", "D1"), 7: ("conflicting-id", "deal_id", "D1")},
    ),
    Case("unquoted comma in one row", cell(3, "name", "Beta, Inc"), gone=("D2",), out={3: ("field-count", "", "")}),
    Case(
        "unquoted comma in all rows",
        CLEAN.replace(",Ann,", ",Lee, Ann,").replace(",Bob,", ",Lee, Bob,").replace(",Cy,", ",Lee, Cy,"),
        refused=("None of the 5 deals", "field-count in 5", "deals.csv, line 2", "quote a field"),
    ),
    Case("too few fields", lines((6, "D5,Cy,Contract")), gone=("D5",), out={6: ("field-count", "", "")}),
    Case(
        "stray quotes around three rows",
        lines((2, LINES[0].replace("Alpha", '"Alpha')), (4, LINES[2].replace("Gamma", 'Gamma"'))),
        gone=("D1", "D2", "D3"),
        out=dict.fromkeys((2, 3, 4), ("swallowed-rows", "", "")),
    ),
    Case(
        "stray quotes before other columns",
        lines((2, LINES[0].replace("Ann", '"Ann')), (3, LINES[1].replace("Ann", 'Ann"'))),
        gone=("D1", "D2"),
        out=dict.fromkeys((2, 3), ("swallowed-rows", "", "")),
    ),
    Case("open quote to the end", cell(4, "name", '"Gamma'), gone=("D3",), out={4: ("open-quote", "", "")}),
    Case("quote inside quotes", cell(4, "name", '"Gamma "G" Ltd"'), gone=("D3",), out={4: ("stray-quote", "", "")}),
    Case("backslash escape", cell(4, "name", r'"Gamma \"G\" Ltd"'), gone=("D3",), out={4: ("stray-quote", "", "")}),
    Case("legal: line break in a field", cell(4, "name", '"Gamma\nof Ghent, Belgium"')),
    Case("legal: line breaks and many commas", cell(4, "name", '"a, b, c, d, e, f,\ng, h, i, j"')),
    Case("legal: doubled quote", cell(4, "name", '"Gamma ""G"" Ltd"')),
    Case("legal: inch sign in a plain field", cell(4, "name", 'Gamma 5" disk')),
    Case(
        "a line break shifts the lines below",
        cell(4, "name", '"Gamma\nGent"').replace("400.00", "abc"),
        gone=("D4",),
        out={6: ("bad-number", "amount", "abc")},
    ),
    Case(
        "NUL inside a number",
        cell(3, "amount", "20\x000"),
        gone=("D2",),
        out={3: ("control-char", "amount", r"20\u00000")},
    ),
    Case(
        "Ctrl-Z before an id",
        cell(3, "deal_id", "\x1aD2"),
        gone=("D2",),
        out={3: ("control-char", "deal_id", r"\u001aD2")},
    ),
    Case("lone CR in a plain field", cell(3, "amount", "20\r0"), gone=("D2",), out={3: ("control-char", "", "")}),
    Case(
        "lone CR in a quoted field",
        cell(3, "name", '"Be\rta"'),
        gone=("D2",),
        out={3: ("control-char", "name", r"Be\u000dta")},
    ),
    Case(
        "zero-width blank in an id",
        cell(3, "deal_id", "D2\u200b"),
        gone=("D2",),
        out={3: ("control-char", "deal_id", "D2\u200b")},
    ),
    Case(
        "field of a million characters",
        cell(3, "name", "x" * 1_000_001),
        gone=("D2",),
        out={3: ("field-too-long", "", "")},
    ),
    Case(
        "1,001 columns",
        lines(header=",".join(f"c{i}" for i in range(1001))),
        declared=True,
        refused=("deals.csv has 1,001 columns", "1,000", "Export fewer"),
    ),
    Case(
        "the same header twice",
        lines(header=HEADER.replace("name", "Amount")),
        refused=("deals.csv has the column 'amount' 2 times", "Rename or remove one"),
    ),
    Case(
        "values without a header",
        lines(header=HEADER.replace(",name", ",")),
        refused=("deals.csv: column 7", "no name"),
    ),
    Case("no-break blank and star in a header", lines(header=HEADER.replace("amount", "Amount\u00a0*"))),
    Case(
        "renamed column",
        lines(header=HEADER.replace("stage", "stages")),
        declared=True,
        refused=(
            "deals.csv has no column for `stage`",
            "Nearest: 'stages'",
            '`stage = "stages"` under [deals.columns]',
        ),
    ),
    Case("permuted columns", "\n".join(",".join(reversed(t.split(","))) for t in [HEADER, *LINES]) + "\n"),
]

VALUES = [
    Case("rep NA", cell(2, "rep_id", "NA"), new={"D1": truth("D1", rep="NA")}),
    Case("rep None", cell(2, "rep_id", "None"), new={"D1": truth("D1", rep="None")}),
    Case("rep nan", cell(2, "rep_id", "nan"), new={"D1": truth("D1", rep="nan")}),
    Case("rep null", cell(2, "rep_id", "null"), new={"D1": truth("D1", rep="null")}),
    Case("no rep", cell(2, "rep_id", ""), new={"D1": truth("D1", rep=None)}),
    Case("id with zeros in front", cell(2, "deal_id", "000123"), gone=("D1",), new={"000123": truth("D1")}),
    Case(
        "ids of 18 digits that differ in the last",
        lines((2, LINES[0].replace("D1", "900719925474099301")), (3, LINES[1].replace("D2", "900719925474099302"))),
        gone=("D1", "D2"),
        new={"900719925474099301": truth("D1"), "900719925474099302": truth("D2")},
    ),
    Case(
        "ids 1E5 and 10E4 are two",
        lines((2, LINES[0].replace("D1", "1E5")), (3, LINES[1].replace("D2", "10E4"))),
        gone=("D1", "D2"),
        new={"1E5": truth("D1"), "10E4": truth("D2")},
    ),
    Case(
        "id rounded by Excel",
        cell(2, "deal_id", "1.23457E+17"),
        gone=("D1",),
        out={2: ("excel-damaged-id", "deal_id", "1.23457E+17")},
    ),
    Case("no id", cell(2, "deal_id", " "), gone=("D1",), out={2: ("missing-id", "deal_id", " ")}),
    Case("no stage", cell(2, "stage", ""), gone=("D1",), out={2: ("missing-stage", "stage", "")}),
    Case("stage with a blank behind", cell(2, "stage", "Won ")),
    Case("stage in another case and full width", cell(2, "stage", "ＷＯＮ")),
    Case(
        "unknown stage",
        cell(2, "stage", "Pilot"),
        gone=("D1",),
        out={2: ("unknown-stage", "stage", "Pilot")},
        declared=True,
        head="tolerate = { unknown_stage = 0.5 }\n",
    ),
    Case(
        "too many unknown stages",
        cell(2, "stage", "Pilot"),
        refused=("deals.csv, column 'stage'", "1 deals (20.0%)", "'Pilot' in 1 rows", "Ready to paste", "[stages]"),
    ),
    Case(
        "amounts with thousands",
        column_of("amount", ['"1,234.50"', "200.00", "300.00", "400.00", "500.00"]),
        new={"D1": truth("D1", amount=1_234_50)},
    ),
    Case("yuan signs, half and full width", column_of("amount", ["¥100.00", "￥200", "300元", "CNY 400", "500"])),
    Case("full-width digits", cell(2, "amount", "１００.００")),
    Case("amount in brackets is negative", cell(2, "amount", "(100)"), new={"D1": truth("D1", amount=-100_00)}),
    Case(
        "dollars in a book of yuan",
        column_of("amount", ["$1", "$2", "$3", "$4", "$5"]),
        refused=("deals.csv, column 'amount'", "'$1' is not written in CNY", 'currency = "USD"'),
    ),
    Case("one amount in dollars", cell(2, "amount", "$100"), gone=("D1",), out={2: ("bad-number", "amount", "$100")}),
    Case(
        "one amount in words of ten thousand",
        cell(2, "amount", "3.5万"),
        gone=("D1",),
        out={2: ("bad-number", "amount", "3.5万")},
    ),
    Case("inf", cell(2, "amount", "inf"), gone=("D1",), out={2: ("bad-number", "amount", "inf")}),
    Case("1e400", cell(2, "amount", "1e400"), gone=("D1",), out={2: ("bad-number", "amount", "1e400")}),
    Case("thirty digits", cell(2, "amount", "9" * 30), gone=("D1",), out={2: ("bad-number", "amount", "9" * 30)}),
    Case(
        "12.345 may be 12345",
        column_of("amount", ["12.345", "1.250", "3.000", "7.125", "2.500"]),
        refused=(
            "deals.csv, column 'amount'",
            "ambiguous-number",
            "'12.345'",
            'decimal = "."',
            "[deals.format.amount]",
        ),
    ),
    Case(
        "12,345 may be 12.345",
        column_of("amount", ['"12,345"', '"1,250"', "3", "7", "2"]),
        refused=("ambiguous-number", "'12,345'", 'decimal = "."'),
    ),
    Case(
        "decimal comma not declared",
        column_of("amount", ['"1,5"', '"2,5"', '"3,5"', "4", "5"]),
        refused=("3 of 5 values are no number", "'1,5'", 'decimal = ","'),
    ),
    Case(
        "decimal comma declared",
        column_of("amount", ['"1.234,50"', "200", "300", "400", "500"]),
        new={"D1": truth("D1", amount=1_234_50)},
        format='decimal = ","',
    ),
    Case(
        "amounts in units of ten thousand",
        column_of("amount", ["0.01", "0.02", "0.03", "0.04", "0.05"]),
        format="amount = { unit = 10000 }",
    ),
    Case(
        "words for nothing",
        cell(2, "amount", "Select"),
        new={"D1": truth("D1", amount=None)},
        format='null = ["Select"]',
    ),
    Case(
        "d/m or m/d",
        column_of("created_at", ["03/04/2024", "05/06/2024", "07/08/2024", "01/02/2024", "09/10/2024"]),
        refused=("deals.csv, column 'created_at'", "ambiguous-date", "'03/04/2024'", 'date = "%d/%m/%Y"'),
    ),
    Case(
        "d/m declared",
        column_of("created_at", ["01/01/2025", "02/01/2025", "03/01/2025", "04/01/2025", "05/01/2025"]),
        format='created_at = { date = "%d/%m/%Y" }',
    ),
    Case(
        "d/m decided by one value",
        column_of("created_at", ["01/01/2025", "02/01/2025", "03/01/2025", "04/01/2025", "25/12/2024"]),
        new={"D5": truth("D5", created="2024-12-25")},
    ),
    Case(
        "m/d decided by one value",
        column_of("created_at", ["01/01/2025", "01/02/2025", "01/03/2025", "01/04/2025", "12/25/2024"]),
        new={"D5": truth("D5", created="2024-12-25")},
    ),
    Case(
        "d/m and m/d mixed",
        column_of("created_at", ["13/01/2025", "01/13/2025", "01/01/2025", "01/01/2025", "1/1/2025"]),
        refused=("mixes day-first and month-first", "'13/01/2025'", "'01/13/2025'", "one spelling"),
    ),
    Case(
        "one undecidable date among clear ones",
        cell(2, "created_at", "03/04/2024"),
        gone=("D1",),
        out={2: ("bad-date", "created_at", "03/04/2024")},
    ),
    Case(
        "two-digit years",
        column_of("created_at", ["01-02-25", "02-02-25", "03-02-25", "04-02-25", "05-02-25"]),
        refused=("two-digit year", "'01-02-25'", 'date = "%d-%m-%y"'),
    ),
    Case(
        "30 February",
        cell(2, "created_at", "2025-02-30"),
        gone=("D1",),
        out={2: ("bad-date", "created_at", "2025-02-30")},
    ),
    Case(
        "0000-00-00",
        cell(2, "created_at", "0000-00-00"),
        gone=("D1",),
        out={2: ("bad-date", "created_at", "0000-00-00")},
    ),
    Case(
        "9999-12-31",
        cell(2, "created_at", "9999-12-31"),
        gone=("D1",),
        out={2: ("bad-date", "created_at", "9999-12-31")},
    ),
    Case(
        "dates in Chinese",
        column_of("created_at", ["2025年1月1日", "2025年01月02日", "2025/1/3", "2025.1.4", "2025-1-5"]),
    ),
    Case(
        "Excel serials not declared",
        column_of("created_at", ["45658", "45659", "45660", "45661", "45662"]),
        refused=("no date", "'45658'", 'date = "excel_serial"'),
    ),
    Case(
        "Excel serials declared",
        column_of("created_at", ["45658", "45659", "45660", "45661", "45662"]),
        format='created_at = { date = "excel_serial" }',
    ),
    Case("another zone", cell(2, "created_at", "2024-12-31T16:30Z")),
    Case(
        "zone declared",
        column_of("created_at", [f"2025-01-0{n} 00:30 +0800" for n in range(1, 6)]),
        format='created_at = { date = "%Y-%m-%d %H:%M %z" }',
    ),
    Case(
        "a stamp after the data end",
        cell(5, "created_at", "2025-07-01"),
        gone=("D4",),
        out={5: ("future-stamp", "created_at", "2025-07-01")},
    ),
    Case(
        "closed before created",
        cell(5, "closed_at", "2025-01-03"),
        gone=("D4",),
        out={5: ("closed-before-created", "closed_at", "2025-01-03")},
    ),
    Case(
        "percent not declared",
        with_column("probability", ["100", "0", "40", "100", "60"]),
        refused=("column 'probability'", "'100' is above 1", "percent = true"),
    ),
    Case("percent signs", with_column("probability", ["100%", "0%", "40%", "100％", "60 %"])),
    Case("shares of three digits", with_column("probability", ["0.125", "0.250", "0.375", "0.500", "0.625"])),
    Case(
        "share above 100 %",
        with_column("probability", ["100%", "0%", "140%", "100%", "60%"]),
        gone=("D3",),
        out={4: ("bad-number", "probability", "140%")},
    ),
    Case(
        "outcome of our own words only",
        with_column("outcome", ["won", "lost", "open", "won", "maybe"]),
        gone=("D5",),
        out={6: ("bad-outcome", "outcome", "maybe")},
    ),
    Case(
        "currency that does not exist",
        with_column("currency", ["CNY", "CNY", "CNY", "RMB", "Taler"]),
        gone=("D5",),
        out={6: ("bad-currency", "currency", "Taler")},
    ),
    Case(
        "cell that Excel could not compute",
        cell(2, "rep_id", "#N/A"),
        gone=("D1",),
        out={2: ("excel-error", "rep_id", "#N/A")},
    ),
]

BINARY = [
    Case("workbook", workbook(), name="deals.xlsx"),
    Case(
        "formula without a saved result",
        workbook(set_cell("F3", "=SUM(F4:F5)")),
        name="deals.xlsx",
        gone=("D2",),
        out={3: ("formula-without-value", "amount", "=SUM(F4:F5)")},
    ),
    Case(
        "text that begins with =",
        workbook(lambda b: setattr(b.active["G3"], "data_type", "s") or None),
        name="deals.xlsx",
    ),
    Case("blank rows in a workbook", workbook(lambda b: b.active.insert_rows(4, 2)), name="deals.xlsx"),
    Case(
        "value right of the header",
        workbook(set_cell("J4", "a remark")),
        name="deals.xlsx",
        gone=("D3",),
        out={4: ("field-count", "", "")},
    ),
    Case(
        "id of 18 digits as a number",
        workbook(set_cell("A2", 9.00719925474099e17)),
        name="deals.xlsx",
        gone=("D1",),
        out={2: ("excel-damaged-id", "deal_id", "9.0071992547409894e+17")},
    ),
    Case(
        "two sheets with rows",
        workbook(lambda b: b.create_sheet("Notes").append(["x"])),
        name="deals.xlsx",
        refused=("deals.xlsx has 2 sheets: Sheet, Notes", '`sheet = "Sheet"` under [deals.format]'),
    ),
    Case(
        "declared sheet",
        workbook(lambda b: b.create_sheet("Notes").append(["x"])),
        name="deals.xlsx",
        format='sheet = "Sheet"',
    ),
    Case(
        "declared sheet is missing",
        workbook(),
        name="deals.xlsx",
        format='sheet = "Deals"',
        refused=("deals.xlsx has no sheet 'Deals'", "Sheets: Sheet"),
    ),
    Case("dates as dates", workbook(set_cell("D2", pd.Timestamp("2025-01-01").to_pydatetime())), name="deals.xlsx"),
    Case("Parquet", parquet(), name="deals.parquet"),
    Case(
        "Parquet with zones",
        parquet(created_at=list(pd.date_range("2024-12-31 16:30", periods=5, tz="UTC"))),
        name="deals.parquet",
    ),
    Case(
        "Parquet with floats and nulls",
        parquet(amount=[100.0, 200.0, 300.0, 400.0, None]),
        name="deals.parquet",
        new={"D5": truth("D5", amount=None)},
    ),
    Case(
        "NUL in Parquet",
        parquet(name=["a", "b\x00", "c", "d", "e"]),
        name="deals.parquet",
        gone=("D2",),
        out={3: ("control-char", "name", r"b\u0000")},
    ),
]


def source_of(case: Case) -> str | None:
    if not (case.format or case.declared):
        return None
    columns = "\n".join(f'{c} = "{c}"' for c in HEADER.split(","))
    return f"{case.head}[deals]\n[deals.columns]\n{columns}\n[deals.format]\n{case.format}\n"


CASES = [pytest.param(c, id=c.id) for c in [*FILES, *STRUCTURE, *VALUES, *BINARY]]


@pytest.mark.parametrize("case", CASES)
def test_every_fault_is_used_rightly_or_quarantined_or_refused(case: Case, load: Callable[..., Book]) -> None:
    if case.refused:
        with pytest.raises(InputError) as raised:
            load(case.content, case.name, source_of(case))
        missing = [part for part in case.refused if part not in str(raised.value)]
        assert (missing, raised.value.exit_code) == ([], 5), str(raised.value)
        return
    book = load(case.content, case.name, source_of(case))
    rows = book.quarantine.fillna("").itertuples()
    out = {r.line: (r.reason, r.column, r.value) for r in rows}
    expected = {d: v for d, v in {**TRUTH, **case.new}.items() if d not in case.gone}
    assert (used(book), out) == (expected, case.out)


def used(book: Book) -> dict[str, tuple[Any, ...]]:
    deals = book.deals
    days = book.local_days(deals["created_at"]).dt.strftime("%Y-%m-%d")
    amounts = [None if pd.isna(a) else int(a) for a in deals["amount_minor"]]
    reps = [None if pd.isna(r) else r for r in deals["rep_id"]]
    return dict(zip(deals["deal_id"], zip(reps, deals["stage"], days, amounts, strict=True), strict=True))


def test_a_quarantined_row_keeps_what_stood_in_it(load: Callable[..., Book]) -> None:
    raw = json.loads(load(cell(3, "amount", "abc")).quarantine["raw"].iloc[0])
    assert raw == dict(zip(HEADER.split(","), [*LINES[1].split(",")[:5], "abc", "Beta"], strict=True))


def test_a_quarantined_row_says_file_owner_and_next_step(load: Callable[..., Book]) -> None:
    row = load(cell(3, "created_at", "soon")).quarantine.iloc[0]
    hint = "not a date between 1980 and 2100 in this column's spelling: correct it"
    assert (row["table"], row["file"], row["rep_id"], row["hint"]) == ("deals", "deals.csv", "Ann", hint)
