"""A valid export of 200 deals with one thing wrong at a time: never silently wrong.

A judge that knows only the clean rows compares won money per rep, won money per month of close, and the number of
deals. `exact` is the same totals with nothing set aside; `accounted` is totals that miss exactly the deals that
stand in the quarantine; `noted` is a difference that the load names in a note; `refused` is a typed error. Anything
else is silent, and there must be none. What no reader can tell from valid data (an amount of 200 instead of 100) is
no mutation.

    python tests/sources/test_mutations.py 5      # table of verdicts over 5 seeds, beside two ways of using pandas
"""

from __future__ import annotations

import gzip
import io
import random
import re
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import openpyxl
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import InputError
from salescoach.sources import load_book

HEADER = ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "name"]
ID, REP, STAGE, CREATED, CLOSED, AMOUNT, NAME = range(7)
REPS = ["Ann", "Bob Lee", "李娜", "Eve", "O'Neil", "José", "Cy", "Dee"]
SOURCE = "[deals]\n[deals.columns]\n" + "".join(f'{c} = "{c}"\n' for c in HEADER)
ROWS, SEEDS = 200, 5
LAST_DAY = "2026-06-30"
Row = list[str]
Totals = Counter[tuple[str, str]]


def clean_rows(seed: int) -> list[Row]:
    """200 deals that nothing is wrong with; the name repeats the id, so that a row is known by any part of it."""
    chance = random.Random(seed)
    rows = []
    for i in range(ROWS):
        created = date(2025, 1, 1) + timedelta(days=chance.randrange(365))
        closed = created + timedelta(days=chance.randrange(1, 120))
        stage = chance.choice(["Won", "Won", "Lost", "Quote"])
        amount = f"{chance.randrange(100, 99_000)}.{chance.choice(['00', '50', '25', '99'])}"
        day = "" if stage == "Quote" else closed.isoformat()
        rows.append([f"D{i:03}", chance.choice(REPS), stage, created.isoformat(), day, amount, f"Customer D{i:03}"])
    return rows


# --- the judge -------------------------------------------------------------------------------------


def totals(deals: list[tuple[str, str, str, str, int]]) -> Totals:
    """Won minor units per rep and per month, and how many deals, of (id, rep, outcome, month, amount)."""
    found: Totals = Counter({("deals", ""): len(deals)})
    for _, rep, won, month, amount in deals:
        if won == "won":
            found["rep", rep] += amount
            found["month", month] += amount
    return +found


def truth(rows: list[Row]) -> list[tuple[str, str, str, str, int]]:
    return [(r[ID], r[REP], r[STAGE].casefold(), r[CLOSED][:7], round(float(r[AMOUNT]) * 100)) for r in rows]


def judge(rows: list[Row], book: Book, may_note: str) -> str:
    """exact, accounted, noted or silent."""
    deals = book.deals
    months = book.local_days(deals["closed_at"]).dt.strftime("%Y-%m").fillna("").tolist()
    amounts = [0 if pd.isna(a) else int(a) for a in deals["amount_minor"]]
    reps = deals["rep_id"].fillna("").tolist()
    used = list(zip(deals["deal_id"].tolist(), reps, deals["outcome"].tolist(), months, amounts, strict=True))
    clean = {deal[0]: deal for deal in truth(rows)}
    set_aside = {i for raw in book.quarantine["raw"] for i in re.findall(r"D\d{3}", raw)}
    missing = clean.keys() - {deal[0] for deal in used}
    if missing <= set_aside and totals(used) + totals([clean[i] for i in missing]) == totals(list(clean.values())):
        return "accounted" if len(book.quarantine) else "exact"
    return "noted" if may_note in {n["check"] for n in book.quality["notes"]} else "silent"


# --- ways of going wrong ---------------------------------------------------------------------------


class Mutator(NamedTuple):
    """One cause. `verdict` is what must come of it, `name` the file, `note` the check that names a difference."""

    change: Callable[[list[Row], random.Random], str | bytes]
    verdict: str
    name: str = "deals.csv"
    note: str = "none"


MUTATORS: dict[str, Mutator] = {}


def must_be(verdict: str, name: str = "deals.csv", note: str = "none") -> Callable[[Any], Any]:
    def add(change: Callable[[list[Row], random.Random], str | bytes]) -> Any:
        MUTATORS[change.__name__] = Mutator(change, verdict, name, note)
        return change

    return add


def written(rows: list[Row], separator: str = ",", end: str = "\n", header: list[str] = HEADER) -> str:
    return "".join(separator.join(r) + end for r in [header, *rows])


def with_cell(rows: list[Row], at: int, column: int, value: str) -> str:
    return written([[*r[:column], value, *r[column + 1 :]] if i == at else r for i, r in enumerate(rows)])


def with_column(rows: list[Row], column: int, value: Callable[[str], str]) -> str:
    return written([[*r[:column], value(r[column]), *r[column + 1 :]] for r in rows])


def any_row(chance: random.Random) -> int:
    return chance.randrange(ROWS)


def won_row(rows: list[Row], chance: random.Random) -> int:
    return chance.choice([i for i, r in enumerate(rows) if r[STAGE] == "Won"])


def one_cell(name: str, verdict: str, column: int, value: Callable[[str], str], note: str = "none") -> None:
    """A mutator that changes one value of a won deal."""

    def change(rows: list[Row], chance: random.Random) -> str:
        at = won_row(rows, chance)
        return with_cell(rows, at, column, value(rows[at][column]))

    MUTATORS[name] = Mutator(change, verdict, note=note)


def whole_column(name: str, verdict: str, columns: tuple[int, ...], value: Callable[[str], str]) -> None:
    """A mutator that writes whole columns in another way."""

    def change(rows: list[Row], chance: random.Random) -> str:
        return written([[value(v) if i in columns and v else v for i, v in enumerate(r)] for r in rows])

    MUTATORS[name] = Mutator(change, verdict)


def parts(day: str) -> tuple[str, str, str]:
    year, month, on = day.split("-")
    return year, month, on


def serial(day: str) -> str:
    return str((date.fromisoformat(day) - date(1899, 12, 30)).days)


# files


@must_be("exact")
def byte_order_mark(rows: list[Row], chance: random.Random) -> bytes:
    return written(rows).encode("utf-8-sig")


@must_be("exact")
def utf16_with_tabs(rows: list[Row], chance: random.Random) -> bytes:
    return written(rows, "\t").encode("utf-16")


@must_be("exact")
def gb18030(rows: list[Row], chance: random.Random) -> bytes:
    return written(rows).replace("José", "Jo").encode("gb18030").replace(b"Jo,", "José,".encode("gb18030"))


@must_be("refused")
def latin1(rows: list[Row], chance: random.Random) -> bytes:
    return written(rows).replace("李娜", "Renée").encode("latin-1")


@must_be("refused")
def half_utf8_half_gb18030(rows: list[Row], chance: random.Random) -> bytes:
    return written(rows[:100]).encode() + written(rows[100:], header=rows[99]).encode("gb18030")


@must_be("exact")
def cr_lf(rows: list[Row], chance: random.Random) -> str:
    return written(rows, end="\r\n")


@must_be("exact")
def cr_only(rows: list[Row], chance: random.Random) -> str:
    return written(rows, end="\r")


@must_be("exact")
def semicolons(rows: list[Row], chance: random.Random) -> str:
    return written(rows, ";")


@must_be("exact")
def separator_line(rows: list[Row], chance: random.Random) -> str:
    return "sep=;\r\n" + written(rows, ";", "\r\n")


@must_be("refused")
def lines_above_the_header(rows: list[Row], chance: random.Random) -> str:
    return "Deals by quarter\n\n" + written(rows)


@must_be("exact")
def blank_lines(rows: list[Row], chance: random.Random) -> str:
    lines = written(rows).splitlines(keepends=True)
    lines.insert(1 + any_row(chance), chance.choice(["\n", ",,,,,,\n"]))
    return "".join(lines)


@must_be("exact")
def no_final_newline(rows: list[Row], chance: random.Random) -> str:
    return written(rows).rstrip("\n")


@must_be("accounted")
def cut_inside_a_record(rows: list[Row], chance: random.Random) -> str:
    text = written(rows)
    return text[: text.rindex(f"\n{rows[-1][ID]}") + chance.randrange(6, 14)]


@must_be("noted", note="no-final-newline")
def cut_inside_the_last_amount(rows: list[Row], chance: random.Random) -> str:
    order = [ID, REP, STAGE, CREATED, CLOSED, NAME, AMOUNT]
    last = [*rows[-1][:STAGE], "Won", rows[-1][CREATED], rows[-1][CREATED], *rows[-1][AMOUNT:]]
    rows[-1] = last
    return written([[r[i] for i in order] for r in rows], header=[HEADER[i] for i in order])[:-5]


@must_be("refused")
def cut_inside_a_character(rows: list[Row], chance: random.Random) -> bytes:
    text = written([*rows[:-1], [*rows[-1][:NAME], "上海正大"]]).encode()
    return text[:-2]


@must_be("refused")
def empty(rows: list[Row], chance: random.Random) -> str:
    return ""


@must_be("refused")
def header_only(rows: list[Row], chance: random.Random) -> str:
    return written([])


@must_be("refused")
def login_page(rows: list[Row], chance: random.Random) -> str:
    return "<!DOCTYPE html>\n<html><body>Session expired, please log in</body></html>\n"


@must_be("refused")
def gzip_under_a_wrong_name(rows: list[Row], chance: random.Random) -> bytes:
    return gzip.compress(written(rows).encode())


@must_be("refused")
def workbook_under_a_wrong_name(rows: list[Row], chance: random.Random) -> bytes:
    return workbook([HEADER, *rows])


@must_be("accounted")
def zeros_behind_the_end(rows: list[Row], chance: random.Random) -> str:
    return written(rows) + "\x00" * chance.randrange(1, 600)


@must_be("accounted")
def second_part_with_its_own_mark(rows: list[Row], chance: random.Random) -> bytes:
    half = chance.randrange(20, 180)
    return written(rows[:half]).encode("utf-8-sig") + written(rows[half:]).encode("utf-8-sig")


# rows


@must_be("accounted")
def unquoted_comma_in_one_row(rows: list[Row], chance: random.Random) -> str:
    return with_cell(rows, any_row(chance), NAME, "Customer, Ltd")


@must_be("refused")
def unquoted_comma_in_every_row(rows: list[Row], chance: random.Random) -> str:
    return with_column(rows, NAME, lambda v: f"{v}, Ltd")


@must_be("accounted")
def too_few_fields(rows: list[Row], chance: random.Random) -> str:
    at = any_row(chance)
    rows[at] = rows[at][: chance.randrange(1, 7)]
    return written(rows)


@must_be("accounted")
def shifted_to_the_left(rows: list[Row], chance: random.Random) -> str:
    at = any_row(chance)
    rows[at] = [*rows[at][1:], ""]
    return written(rows)


@must_be("accounted")
def shifted_to_the_right(rows: list[Row], chance: random.Random) -> str:
    at = any_row(chance)
    rows[at] = ["", *rows[at][:-1]]
    return written(rows)


@must_be("accounted")
def broken_by_a_line_end(rows: list[Row], chance: random.Random) -> str:
    at, column = any_row(chance), chance.randrange(1, 6)
    rows[at] = [*rows[at][:column], "\n" + rows[at][column], *rows[at][column + 1 :]]
    return written(rows)


@must_be("accounted")
def two_rows_run_together(rows: list[Row], chance: random.Random) -> str:
    lines = written(rows).splitlines(keepends=True)
    at = chance.randrange(1, ROWS)
    return "".join([*lines[:at], lines[at].rstrip("\n"), *lines[at + 1 :]])


@must_be("accounted")
def stray_quotes_swallow_three_deals(rows: list[Row], chance: random.Random) -> str:
    at, column = chance.randrange(ROWS - 3), chance.choice([REP, NAME])
    rows[at][column] = '"' + rows[at][column]
    rows[at + 2][column] += '"'
    return written(rows)


@must_be("accounted")
def quote_that_never_closes(rows: list[Row], chance: random.Random) -> str:
    return with_cell(rows, any_row(chance), NAME, '"Customer')


@must_be("accounted")
def backslashes_before_quotes(rows: list[Row], chance: random.Random) -> str:
    return with_cell(rows, any_row(chance), NAME, r'"Customer \"X\" Ltd"')


@must_be("exact")
def legal_line_break_in_a_field(rows: list[Row], chance: random.Random) -> str:
    return with_cell(rows, any_row(chance), NAME, '"Customer\nof Ghent, Belgium"')


@must_be("accounted")
def total_at_the_end(rows: list[Row], chance: random.Random) -> str:
    money = sum(float(r[AMOUNT]) for r in rows)
    return written([*rows, [chance.choice(["Total", "合计", ""]), "Total", "", "", "", f"{money:.2f}", ""]])


@must_be("accounted")
def subtotals_per_rep(rows: list[Row], chance: random.Random) -> str:
    ordered = sorted(rows, key=lambda r: r[REP])
    out: list[Row] = []
    for i, row in enumerate(ordered):
        out.append(row)
        if i + 1 == ROWS or ordered[i + 1][REP] != row[REP]:
            money = sum(float(r[AMOUNT]) for r in rows if r[REP] == row[REP])
            out.append(["Total", row[REP], "", "", "", f"{money:.2f}", ""])
    return written(out)


@must_be("accounted")
def copyright_at_the_end(rows: list[Row], chance: random.Random) -> str:
    return written(rows) + '\n"Confidential Information - Do Not Distribute"\n"Copyright (c) 2026 CRM, Inc."\n'


@must_be("accounted")
def page_exported_twice(rows: list[Row], chance: random.Random) -> str:
    at = chance.randrange(150)
    return written([*rows, *rows[at : at + 50]])


@must_be("accounted")
def row_twice_with_other_blanks(rows: list[Row], chance: random.Random) -> str:
    row = rows[any_row(chance)]
    return written([*rows, [*row[:STAGE], f" {row[STAGE]} ", *row[CREATED:]]])


@must_be("accounted")
def one_id_two_amounts(rows: list[Row], chance: random.Random) -> str:
    row = rows[any_row(chance)]
    return written([*rows, [*row[:AMOUNT], f"{float(row[AMOUNT]) * 2:.2f}", row[NAME]]])


@must_be("accounted")
def one_id_two_stages(rows: list[Row], chance: random.Random) -> str:
    row = rows[won_row(rows, chance)]
    return written([*rows, [*row[:STAGE], "Lost", *row[CREATED:]]])


@must_be("accounted")
def header_in_the_middle(rows: list[Row], chance: random.Random) -> str:
    at = any_row(chance)
    return written([*rows[:at], HEADER, *rows[at:]])


@must_be("refused")
def header_twice_in_the_header(rows: list[Row], chance: random.Random) -> str:
    header = list(HEADER)
    header[NAME] = chance.choice(["amount", "Amount", "AMOUNT "])
    return written(rows, header=header)


@must_be("refused")
def renamed_header(rows: list[Row], chance: random.Random) -> str:
    column = chance.choice([ID, STAGE, CLOSED, AMOUNT])
    return written(rows, header=[f"{h} (new)" if i == column else h for i, h in enumerate(HEADER)])


@must_be("refused")
def headers_in_another_order_than_the_columns(rows: list[Row], chance: random.Random) -> str:
    return written(rows, header=[*HEADER[1:], HEADER[0]])


@must_be("exact")
def columns_in_another_order(rows: list[Row], chance: random.Random) -> str:
    order = chance.sample(range(7), 7)
    return written([[r[i] for i in order] for r in rows], header=[HEADER[i] for i in order])


@must_be("refused")
def column_without_a_header(rows: list[Row], chance: random.Random) -> str:
    return written([[*r, "x"] for r in rows], header=[*HEADER, ""])


@must_be("refused")
def separator_behind_every_row(rows: list[Row], chance: random.Random) -> str:
    return written([[*r, ""] for r in rows])


# people, ids and stages

one_cell("rep_with_a_blank_behind", "exact", REP, lambda v: f"{v}  ")
one_cell("zero_width_blank_in_a_rep", "accounted", REP, lambda v: f"{v}\u200b")
one_cell("zero_width_blank_in_an_id", "accounted", ID, lambda v: f"{v}\u200b")
one_cell("control_character_in_an_id", "accounted", ID, lambda v: f"\x1a{v}")
one_cell("id_rounded_by_excel", "accounted", ID, lambda v: f"1.{v[1:]}E+17")
one_cell("no_id", "accounted", ID, lambda v: "")
one_cell("stage_with_a_blank_behind", "exact", STAGE, lambda v: f"{v} ")
one_cell("stage_in_small_letters", "exact", STAGE, lambda v: v.lower())
one_cell("stage_misspelt", "accounted", STAGE, lambda v: "Wonn")
one_cell("no_stage", "accounted", STAGE, lambda v: "")
one_cell("error_of_excel_in_a_rep", "accounted", REP, lambda v: "#N/A")


@must_be("exact")
def reps_called_none(rows: list[Row], chance: random.Random) -> str:
    word = chance.choice(["NA", "None", "nan", "null", "N/A"])
    for row in rows:
        row[REP] = word if row[REP] == "Cy" else row[REP]
    return written(rows)


@must_be("noted", note="alike-ids")
def one_rep_in_two_cases(rows: list[Row], chance: random.Random) -> str:
    at = chance.choice([i for i, r in enumerate(rows) if r[STAGE] == "Won" and r[REP] == "Ann"])
    return with_cell(rows, at, REP, "ANN")


@must_be("noted", note="alike-ids")
def one_rep_composed_in_two_ways(rows: list[Row], chance: random.Random) -> str:
    at = chance.choice([i for i, r in enumerate(rows) if r[STAGE] == "Won" and r[REP] == "José"])
    return with_cell(rows, at, REP, unicodedata.normalize("NFD", "José"))


@must_be("refused")
def many_unknown_stages(rows: list[Row], chance: random.Random) -> str:
    return with_column(rows, STAGE, lambda v: "Pilot" if v == "Quote" else v)


# amounts

one_cell("thousands_with_a_comma", "exact", AMOUNT, lambda v: f'"{float(v):,.2f}"')
one_cell("yuan_sign", "exact", AMOUNT, lambda v: f"¥{v}")
one_cell("full_width_digits", "exact", AMOUNT, lambda v: v.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789."}))
one_cell("words_of_ten_thousand", "accounted", AMOUNT, lambda v: f"{float(v) / 10_000:.2f}万")
one_cell("dollar_sign", "accounted", AMOUNT, lambda v: f"${v}")
one_cell("decimal_comma_in_one_row", "accounted", AMOUNT, lambda v: '"' + v.replace(".", ",") + '"')
one_cell("both_marks_the_other_way", "accounted", AMOUNT, lambda v: f'"1.{v.replace(".", ",")}"')
one_cell("nul_inside_an_amount", "accounted", AMOUNT, lambda v: f"{v[0]}\x00{v[1:]}")
one_cell("lone_cr_inside_an_amount", "accounted", AMOUNT, lambda v: f"{v[0]}\r{v[1:]}")
one_cell("letter_for_a_zero", "accounted", AMOUNT, lambda v: f"{v}O")
one_cell("infinity", "accounted", AMOUNT, lambda v: "inf")
one_cell("exponent", "accounted", AMOUNT, lambda v: "1e400")
one_cell("error_of_excel_in_an_amount", "accounted", AMOUNT, lambda v: "#REF!")
one_cell("amount_in_words", "accounted", AMOUNT, lambda v: "TBD")
one_cell("noise_of_a_float", "exact", AMOUNT, lambda v: f"{v}00000000001")
one_cell("three_digits_behind_the_point", "noted", AMOUNT, lambda v: "12.345", note="amount-rounded")
whole_column("decimal_commas_everywhere", "refused", (AMOUNT,), lambda v: '"' + v.replace(".", ",") + '"')
whole_column("points_between_thousands_everywhere", "refused", (AMOUNT,), lambda v: f"{int(float(v)) % 900 + 1}.345")
whole_column("commas_between_thousands_only", "refused", (AMOUNT,), lambda v: f'"{int(float(v)) % 900 + 1},345"')
whole_column("ten_thousands_everywhere", "refused", (AMOUNT,), lambda v: f"{float(v) / 10_000:.2f}万")
whole_column("dollars_everywhere", "refused", (AMOUNT,), lambda v: f"${v}")

# dates

one_cell("thirtieth_of_february", "accounted", CLOSED, lambda v: "2025-02-30")
one_cell("zeros_for_a_date", "accounted", CLOSED, lambda v: "0000-00-00")
one_cell("end_of_time", "accounted", CLOSED, lambda v: "9999-12-31")
one_cell("epoch_for_nothing", "accounted", CREATED, lambda v: "1970-01-01")
one_cell("day_after_the_data_end", "accounted", CLOSED, lambda v: "2026-12-31")
one_cell("closed_before_created", "accounted", CLOSED, lambda v: "2024-12-31")
one_cell("serial_of_excel_in_one_row", "accounted", CLOSED, serial)
one_cell(
    "slashes_in_one_row",
    "accounted",
    CLOSED,
    lambda v: "{1}/{2}/{0}".format(*parts(v[:8] + ("04" if "-03-" in v else "03"))),
)
one_cell("two_digit_year_in_one_row", "accounted", CLOSED, lambda v: "03-04-25")
one_cell("month_in_words_in_one_row", "accounted", CLOSED, lambda v: "3 Mar 2025")
DAYS = (CREATED, CLOSED)
whole_column("year_first_with_slashes", "exact", DAYS, lambda v: v.replace("-", "/"))
whole_column("dates_in_chinese", "exact", DAYS, lambda v: "{}年{}月{}日".format(*map(int, parts(v))))
whole_column("midnight_behind_every_date", "exact", DAYS, lambda v: f"{v} 00:00:00")
whole_column("day_first", "exact", DAYS, lambda v: "{2}/{1}/{0}".format(*parts(v)))
whole_column("month_first", "exact", DAYS, lambda v: "{1}/{2}/{0}".format(*parts(v)))
whole_column("serials_of_excel_everywhere", "refused", DAYS, serial)
whole_column("two_digit_years_everywhere", "refused", DAYS, lambda v: "{1}-{2}-{0}".format(*parts(v[2:])))
whole_column("months_in_words_everywhere", "refused", DAYS, lambda v: date.fromisoformat(v).strftime("%d %b %Y"))
whole_column(
    "instants_in_utc",
    "exact",
    DAYS,
    lambda v: f"{(date.fromisoformat(v) - timedelta(days=1)).isoformat()}T16:00:00Z",
)


@must_be("refused")
def day_or_month_first(rows: list[Row], chance: random.Random) -> str:
    """No day above 12: nothing in the file says which is the month."""
    for row in rows:
        year, month, day = parts(row[CLOSED] or row[CREATED])
        row[CLOSED] = row[CLOSED] and f"{int(day) % 12 + 1:02}/{month}/{year}"
    return written(rows)


@must_be("refused")
def day_first_and_month_first_mixed(rows: list[Row], chance: random.Random) -> str:
    for i, row in enumerate(rows):
        order = "{2}/{1}/{0}" if i % 2 else "{1}/{2}/{0}"
        row[CLOSED] = row[CLOSED] and order.format(*parts(row[CLOSED]))
    return written(rows)


# workbooks and Parquet


def workbook(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append([None if v == "" else v for v in row])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def typed(row: Row) -> list[Any]:
    days = [date.fromisoformat(d) if d else None for d in (row[CREATED], row[CLOSED])]
    return [row[ID], row[REP], row[STAGE], *days, float(row[AMOUNT]), row[NAME]]


@must_be("exact", "deals.xlsx")
def workbook_of_texts(rows: list[Row], chance: random.Random) -> bytes:
    return workbook([HEADER, *rows])


@must_be("exact", "deals.xlsx")
def workbook_of_numbers_and_dates(rows: list[Row], chance: random.Random) -> bytes:
    return workbook([HEADER, *map(typed, rows)])


@must_be("accounted", "deals.xlsx")
def formula_without_its_result(rows: list[Row], chance: random.Random) -> bytes:
    cells = [HEADER, *map(typed, rows)]
    cells[1 + won_row(rows, chance)][AMOUNT] = "=SUM(A1:A2)"
    return workbook(cells)


@must_be("accounted", "deals.xlsx")
def total_in_a_workbook(rows: list[Row], chance: random.Random) -> bytes:
    money = sum(float(r[AMOUNT]) for r in rows)
    return workbook([HEADER, *map(typed, rows), ["Total", None, None, None, None, money, None]])


@must_be("accounted", "deals.xlsx")
def ids_as_large_numbers_in_a_workbook(rows: list[Row], chance: random.Random) -> bytes:
    cells = [HEADER, *map(typed, rows)]
    cells[1 + won_row(rows, chance)][ID] = 9.00719925474099301e17
    return workbook(cells)


@must_be("exact", "deals.parquet")
def parquet(rows: list[Row], chance: random.Random) -> bytes:
    target = io.BytesIO()
    pd.DataFrame(map(typed, rows), columns=HEADER).to_parquet(target)
    return target.getvalue()


# --- ours ------------------------------------------------------------------------------------------


def mutated(name: str, seed: int) -> tuple[list[Row], bytes]:
    """The clean rows and the file made of them."""
    rows = clean_rows(seed)
    made = MUTATORS[name].change(rows, random.Random(f"{name} {seed}"))
    clean = rows if name in ("cut_inside_the_last_amount", "reps_called_none") else clean_rows(seed)
    return clean, made.encode() if isinstance(made, str) else made


def verdict(name: str, seed: int, folder: Path) -> str:
    """What comes of one mutation of the export with this seed."""
    clean, content = mutated(name, seed)
    file = folder / MUTATORS[name].name
    file.write_bytes(content)
    (folder / "my.toml").write_text(SOURCE, encoding="utf-8")
    try:
        book = load_book(file, source=str(folder / "my.toml"), as_of=LAST_DAY)
    except InputError:
        return "refused"
    return judge(clean, book, MUTATORS[name].note)


@pytest.mark.parametrize("name", MUTATORS)
def test_no_mutation_is_silently_wrong(name: str, tmp_path: Path) -> None:
    found = {verdict(name, seed, tmp_path) for seed in range(SEEDS)}
    assert found == {MUTATORS[name].verdict}


@pytest.mark.nightly
@pytest.mark.parametrize("name", MUTATORS)
def test_no_mutation_is_ever_silently_wrong(name: str, tmp_path: Path) -> None:
    assert {verdict(name, seed, tmp_path) for seed in range(SEEDS, 200)} == {MUTATORS[name].verdict}


def test_there_are_at_least_fifty_mutators() -> None:
    assert len(MUTATORS) >= 50


def test_the_clean_export_is_exact(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(written(clean_rows(1)), encoding="utf-8")
    (tmp_path / "my.toml").write_text(SOURCE, encoding="utf-8")
    book = load_book(tmp_path / "deals.csv", source=str(tmp_path / "my.toml"), as_of=LAST_DAY)
    assert judge(clean_rows(1), book, "none") == "exact"


# --- pandas ----------------------------------------------------------------------------------------


def plain(file: Path) -> pd.DataFrame:
    """What most scripts do."""
    read = {".xlsx": pd.read_excel, ".parquet": pd.read_parquet}.get(file.suffix, pd.read_csv)
    frame = read(file)
    frame["closed_at"] = pd.to_datetime(frame["closed_at"])
    return frame


def careful(file: Path) -> pd.DataFrame:
    """The recipe of many guides: skip bad lines, and coerce what does not convert."""
    if file.suffix != ".csv":
        return plain(file)
    frame = pd.read_csv(file, encoding="utf-8-sig", on_bad_lines="skip")
    frame["closed_at"] = pd.to_datetime(frame["closed_at"], errors="coerce")
    frame["amount"] = pd.to_numeric(frame["amount"], errors="coerce")
    return frame


def verdict_of_pandas(read: Callable[[Path], pd.DataFrame], name: str, seed: int, folder: Path) -> str:
    """The same judge; an error is loud, and there is no quarantine that could account for a row."""
    clean, content = mutated(name, seed)
    file = folder / MUTATORS[name].name
    file.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = read(file)
            won = frame[frame["stage"] == "Won"]
            months = won["closed_at"].dt.strftime("%Y-%m")
            by_rep = won.groupby("rep_id")["amount"].sum()
            by_month = won.groupby(months)["amount"].sum()
            found: Totals = Counter({("deals", ""): len(frame)})
            for what, sums in (("rep", by_rep), ("month", by_month)):
                found.update({(what, str(k)): round(v * 100) if isfinite(v) else -1 for k, v in sums.items()})
    except Exception:  # whatever it is, somebody sees it
        return "loud"
    return "exact" if +found == totals(truth(clean)) else "silent"


def test_the_judge_sees_that_plain_pandas_is_silently_wrong(tmp_path: Path) -> None:
    # a rep called NA is gone from every sum, although nothing is wrong with the file; an amount is coerced to nothing
    assert verdict_of_pandas(plain, "reps_called_none", 1, tmp_path) == "silent"
    assert verdict_of_pandas(plain, "year_first_with_slashes", 1, tmp_path) == "exact"
    assert verdict_of_pandas(careful, "dollar_sign", 1, tmp_path) == "silent"


def table(seeds: int) -> str:
    """Markdown: what came of each mutation, ours and pandas."""
    readers: dict[str, Callable[[str, int, Path], str]] = {
        "salescoach": verdict,
        "pandas": lambda *given: verdict_of_pandas(plain, *given),
        "pandas, coerce and skip": lambda *given: verdict_of_pandas(careful, *given),
    }
    sums: dict[str, Counter[str]] = {r: Counter() for r in readers}
    lines = [f"| mutation | {' | '.join(readers)} |", "|---|" + "---|" * len(readers)]
    with TemporaryDirectory() as folder:
        for name in MUTATORS:
            counts = {r: Counter(f(name, seed, Path(folder)) for seed in range(seeds)) for r, f in readers.items()}
            for reader, found in counts.items():
                sums[reader] += found
            shown = [", ".join(f"{k} {n}" if n < seeds else k for k, n in c.items()) for c in counts.values()]
            lines.append(f"| {name.replace('_', ' ')} | {' | '.join(shown)} |")
    share = [f"{s['silent'] / (seeds * len(MUTATORS)):.0%} silent: {dict(s)}" for s in sums.values()]
    return "\n".join([*lines, f"| **all {len(MUTATORS)} × {seeds}** | {' | '.join(share)} |"])


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS))
