"""What must hold for any input: nothing is lost, and neither order nor spelling of a file changes its content."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salescoach.book import Book
from salescoach.errors import FileRejected
from salescoach.sources.quarantine import Rejects
from salescoach.sources.text_file import read_text

laws: Any = SimpleNamespace(**run_path(str(Path(__file__).with_name("laws.py"))))
load, load_files, csv_text, broken_laws, HEADER = (
    laws.load,
    laws.load_files,
    laws.csv_text,
    laws.broken_laws,
    laws.HEADER,
)
Row = list[str]
STAGES = ["Prospecting", "Quote", "Won", "Lost", "赢单"]
LAST = ["D999", "李娜", "赢单", "2025-01-01", "1.00", "上海正大农业有限公司"]  # enough Chinese to tell GB18030
text = st.text(st.characters(codec="gb2312", exclude_categories=["C", "Z"]), min_size=1, max_size=6)
plain_name = st.one_of(st.sampled_from(["Alpha", "𠮷野家", 'Inch 5"', "a, b; c", "两行\n上海", "=1+1", "NA"]), text)


@st.composite
def sound_rows(draw: st.DrawFn) -> list[Row]:
    """Up to eight deals that nothing is wrong with."""
    count = draw(st.integers(1, 8))
    reps = st.sampled_from(["Ann", "NA", "nan", "李娜", "José", ""])
    return [
        [
            f"D{i:03}",
            draw(reps),
            draw(st.sampled_from(STAGES)),
            f"2025-0{draw(st.integers(1, 5))}-1{draw(st.integers(0, 9))}",
            draw(st.one_of(st.just(""), st.decimals(0, 10**6, places=2).map(str))),
            draw(plain_name.filter(lambda v: v.strip() == v and not v.startswith("#"))),
        ]
        for i in range(count)
    ]


bad_rows = st.lists(
    st.sampled_from(
        [
            ["", "Ann", "Won", "2025-01-01", "7.00", "no id"],
            ["B1", "Ann", "Pilot", "2025-01-01", "7.00", "unknown stage"],
            ["B2", "Ann", "Won", "2025-02-30", "7.00", "no such day"],
            ["B3", "Ann", "Won", "2025-01-01", "7.O0", "no number"],
            ["B4", "Ann", "Won", "2025-01-01"],
            ["B5", "Ann", "Won", "2026-01-01", "7.00", "after the data end"],
            ["B6", "Ann", "Won", "2025-01-01", "7.00", "too", "many"],
            ["B7", "Ann\u200b", "Won", "2025-01-01", "7.00", "an invisible character"],
            ["B8", "#REF!", "Won", "2025-01-01", "7.00", "an error of Excel"],
            ["1.2E+17", "Ann", "Won", "2025-01-01", "7.00", "an id that Excel rounded"],
        ]
    ),
    max_size=6,
    unique_by=lambda r: r[0],
)


def shuffled(rows: list[Row], random: Any) -> list[Row]:
    mixed = list(rows)
    random.shuffle(mixed)
    return mixed


# --- L0: lines and characters ----------------------------------------------------------------------

scraps = st.sampled_from(
    ["a", "Won", ",", ",", ";", "\n", "\n", "\r\n", "\r", '"', '""', "\x00", "中", " ", "sep=;", "1"]
)
any_text = st.lists(scraps, max_size=60).map("".join)


def lost_records(content: str) -> list[int]:
    """Numbers of records that are neither kept, nor rejected, nor blank, or are so twice."""
    rejects = Rejects("deals", "deals.csv")
    try:
        records = read_text("deals.csv", content, rejects)  # LawBroken is not caught: the lines must tile the file
    except FileRejected:
        return []
    told = [*records.numbers, *rejects.frame()["record"]]
    untold = len(told) + records.blank - max([0, *told])
    lines = [*records.lines, *rejects.lines]
    return [] if len(set(told)) == len(told) and len(set(lines)) == len(lines) and untold >= 0 else sorted(told)


@given(any_text)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_the_records_of_any_text_tile_it(content: str) -> None:
    assert lost_records(content) == []


@pytest.mark.nightly
@given(any_text)
@settings(max_examples=50_000, deadline=None)
def test_the_records_of_any_text_always_tile_it(content: str) -> None:
    assert lost_records(content) == []


@given(sound_rows(), st.lists(st.integers(0, 8), max_size=3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_record_names_its_own_first_line(rows: list[Row], blanks: list[int]) -> None:
    """Blank lines between records move the ones below, and count as records."""
    places = [p for p in sorted(blanks, reverse=True) if p <= len(rows)]
    mixed: list[Row] = list(rows)
    for place in places:
        mixed.insert(place, [])
    kept = [i for i, row in enumerate(mixed) if row]
    records = read_text("deals.csv", csv_text(mixed), Rejects("deals", "deals.csv"))
    lines = laws.first_lines(mixed)
    assert [*zip(records.numbers, records.lines, strict=True)] == [(i + 1, lines[i]) for i in kept]
    assert records.blank == len(places)


# --- L1 to L3: rows, money, parts ------------------------------------------------------------------


@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_rows_money_and_ids_in_are_used_or_set_aside(rows: list[Row], bad: list[Row], random: Any) -> None:
    mixed = shuffled([*rows, *bad], random)
    assert broken_laws(mixed, load(mixed)) == []


@pytest.mark.nightly
@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=5_000, deadline=None)
def test_no_row_and_no_cent_is_ever_lost(rows: list[Row], bad: list[Row], random: Any) -> None:
    mixed = shuffled([*rows, *bad], random)
    assert broken_laws(mixed, load(mixed)) == []


@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_bad_rows_leave_the_used_ones_as_they_are(rows: list[Row], bad: list[Row], random: Any) -> None:
    book = load(shuffled([*rows, *bad], random))
    assert (book.content_hash, len(book.quarantine)) == (load(rows).content_hash, len(bad))


# --- L4: a table beside the deals ------------------------------------------------------------------


@given(sound_rows(), st.lists(st.sampled_from(["Ann", "NA", "李娜", "Zoe", ""]), max_size=6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_table_of_reps_adds_and_takes_no_deal(rows: list[Row], people: list[str]) -> None:
    """Whoever stands in it, once, twice or not at all."""
    source = laws.SOURCE.replace("[deals]\n", '[deals]\nfrom = "deals.csv"\n')
    source += '[reps]\nfrom = "reps.csv"\n[reps.columns]\nrep_id = "rep"\nteam = "team"\n'
    listed = "rep,team\nBob,North\n" + "".join(f"{p},Team {i}\n" for i, p in enumerate(people))
    book = load_files({"deals.csv": csv_text(rows).encode(), "reps.csv": listed.encode()}, source)
    alone = load(rows)
    pd.testing.assert_frame_equal(book.deals, alone.deals)
    assert len(book.tables["reps"]) + len(book.quarantine) == len(people) + 1


# --- the same content, written in other ways -------------------------------------------------------


@given(sound_rows(), st.randoms())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    assert load(shuffled(rows, random)).content_hash == load(rows).content_hash


@given(sound_rows(), st.lists(st.integers(1, 8), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_file_may_come_in_any_number_of_parts(rows: list[Row], cuts: list[int]) -> None:
    places = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    parts = [rows[a:b] for a, b in itertools.pairwise(places)]
    files = {f"part{i}.csv": csv_text(part).encode() for i, part in enumerate(parts)}
    assert load_files(files).content_hash == load(rows).content_hash


def as_workbook(rows: list[Row]) -> bytes:
    """Every value as text, so that "=1+1" stays what it is."""
    book = openpyxl.Workbook()
    sheet = book.active
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(number, column, value or None)
            cell.data_type = "s" if value else "n"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def as_parquet(rows: list[Row]) -> bytes:
    target = io.BytesIO()
    pd.DataFrame(rows, columns=HEADER).to_parquet(target)
    return target.getvalue()


SPELLINGS: dict[str, Any] = {
    "byte order mark": lambda rows: {"deals.csv": csv_text(rows).encode("utf-8-sig")},
    "CR LF": lambda rows: {"deals.csv": csv_text(rows, end="\r\n").encode()},
    ";": lambda rows: {"deals.csv": csv_text(rows, ";").encode()},
    "|": lambda rows: {"deals.csv": csv_text(rows, "|").encode()},
    "tabs in UTF-16": lambda rows: {"deals.csv": csv_text(rows, "\t").encode("utf-16")},
    "sep= line": lambda rows: {"deals.csv": ("sep=;\n" + csv_text(rows, ";")).encode()},
    "no final newline": lambda rows: {"deals.csv": csv_text(rows).rstrip("\n").encode()},
    "GB18030": lambda rows: {"deals.csv": csv_text(rows).encode("gb18030")},
    "xlsx": lambda rows: {"deals.xlsx": as_workbook([HEADER, *rows])},
    "parquet": lambda rows: {"deals.parquet": as_parquet(rows)},
}


def hash_of(kind: str, rows: list[Row]) -> str:
    book: Book = load_files(SPELLINGS[kind](rows))
    return book.content_hash


@pytest.mark.parametrize("kind", SPELLINGS)
@given(rows=sound_rows())
@settings(max_examples=5, deadline=None, derandomize=True)
def test_the_spelling_of_the_file_does_not_matter(kind: str, rows: list[Row]) -> None:
    assert hash_of(kind, [*rows, LAST]) == load([*rows, LAST]).content_hash


@pytest.mark.nightly
@pytest.mark.parametrize("kind", SPELLINGS)
@given(rows=sound_rows())
@settings(max_examples=500, deadline=None)
def test_the_spelling_of_the_file_never_matters(kind: str, rows: list[Row]) -> None:
    assert hash_of(kind, [*rows, LAST]) == load([*rows, LAST]).content_hash
