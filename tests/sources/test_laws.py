"""What must hold for any input: nothing is lost, and neither order nor spelling of a file changes its content."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salescoach.book import Book
from salescoach.errors import LawBroken
from salescoach.sources import load_book, parse
from salescoach.sources.draft import Draft
from salescoach.sources.quarantine import Rejects

HEADER = ["deal_id", "rep_id", "stage", "created_at", "amount", "name"]
STAGES = ["Prospecting", "Quote", "Won", "Lost", "赢单"]
SOURCE = (
    "tolerate = { unknown_stage = 1.0, quarantined = 1.0 }\n[deals]\n[deals.columns]\n"
    + "".join(f'{c} = "{c}"\n' for c in HEADER)
    + '[deals.format]\ndecimal = "."\ndate = "%Y-%m-%d"\n'
)
Row = list[str]
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
        ]
    ),
    max_size=5,
    unique_by=lambda r: r[0],
)


def csv_text(rows: list[Row], separator: str = ",", end: str = "\n") -> str:
    target = io.StringIO()
    csv.writer(target, delimiter=separator, lineterminator=end).writerows([HEADER, *rows])
    return target.getvalue()


def load_files(**files: bytes) -> Book:
    with TemporaryDirectory() as folder:
        (Path(folder) / "my.toml").write_text(SOURCE)
        for name, content in files.items():
            (Path(folder) / name.replace("_", ".")).write_bytes(content)
        paths = [Path(folder) / name.replace("_", ".") for name in files]
        return load_book(paths, source=str(Path(folder) / "my.toml"), as_of="2025-06-30")


def load(rows: list[Row]) -> Book:
    return load_files(deals_csv=csv_text(rows).encode())


def written_in(rows: list[Row], kind: str) -> dict[str, bytes]:
    """The same rows in another spelling of a file."""
    target = io.BytesIO()
    frame = pd.DataFrame(rows, columns=HEADER)
    match kind:
        case "byte order mark":
            return {"deals_csv": csv_text(rows).encode("utf-8-sig")}
        case "CR LF":
            return {"deals_csv": csv_text(rows, end="\r\n").encode()}
        case ";":
            return {"deals_csv": csv_text(rows, ";").encode()}
        case "tabs in UTF-16":
            return {"deals_csv": csv_text(rows, "\t").encode("utf-16")}
        case "GB18030":
            return {"deals_csv": csv_text(rows).encode("gb18030")}
        case "xlsx":
            return {"deals_xlsx": as_workbook([HEADER, *rows])}
        case "parquet":
            frame.to_parquet(target)
            return {"deals_parquet": target.getvalue()}
        case _:
            half = len(rows) // 2
            parts = [rows[:half], rows[half:]] if half else [rows]
            return {f"part{i}_csv": csv_text(part).encode() for i, part in enumerate(parts)}


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


KINDS = ["byte order mark", "CR LF", ";", "tabs in UTF-16", "GB18030", "xlsx", "parquet", "two files"]


def broken_laws(rows: list[Row], book: Book) -> list[str]:
    """The laws that a load broke, judged from the rows alone."""
    money = [r[4] for r in rows if len(r) == len(HEADER) and r[4]]
    cents_in = Counter(money)
    used = Counter(book.deals["deal_id"])
    set_aside = [json.loads(raw) for raw in book.quarantine["raw"]]
    paid = sum(round(float(v) * 100) * n for v, n in cents_in.items() if v.replace(".", "").isdigit())
    out = sum(round(float(r["amount"]) * 100) for r in set_aside if r.get("amount", "").replace(".", "").isdigit())
    kept = book.deals["amount_minor"].fillna(0)
    ids = used + Counter(r.get("deal_id", "") for r in set_aside)
    by_rep = kept.groupby(book.deals["rep_id"], dropna=False).sum()
    owners = {r[1] or None for r in rows if used[r[0]]}
    laws = {
        "rows": len(rows) == len(book.deals) + len(book.quarantine),
        "money": paid == int(kept.sum()) + out,
        "ids": Counter(r[0] for r in rows) == ids,
        "parts": int(by_rep.sum()) == int(kept.sum()),
        "owners": {None if pd.isna(r) else r for r in book.deals["rep_id"]} == owners,
        "created": not book.deals["created_at"].isna().any(),
    }
    return [name for name, holds in laws.items() if not holds]


@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_rows_money_and_ids_in_are_used_or_set_aside(rows: list[Row], bad: list[Row], random: Any) -> None:
    mixed = [*rows, *bad]
    random.shuffle(mixed)
    assert broken_laws(mixed, load(mixed)) == []


@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_bad_rows_leave_the_used_ones_as_they_are(rows: list[Row], bad: list[Row], random: Any) -> None:
    mixed = [*rows, *bad]
    random.shuffle(mixed)
    book = load(mixed)
    assert (book.content_hash, len(book.quarantine)) == (load(rows).content_hash, len(bad))


@given(sound_rows(), st.randoms())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    permuted = list(rows)
    random.shuffle(permuted)
    assert load(permuted).content_hash == load(rows).content_hash


@pytest.mark.parametrize("kind", KINDS)
@given(rows=sound_rows())
@settings(max_examples=6, deadline=None, derandomize=True)
def test_the_spelling_of_the_file_does_not_matter(kind: str, rows: list[Row]) -> None:
    rows = [*rows, ["D999", "李娜", "赢单", "2025-01-01", "1.00", "上海正大农业有限公司"]]
    assert load_files(**written_in(rows, kind)).content_hash == load(rows).content_hash


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
@given(rows=sound_rows())
@settings(max_examples=500, deadline=None)
def test_the_spelling_of_the_file_never_matters(kind: str, rows: list[Row]) -> None:
    rows = [*rows, ["D999", "李娜", "赢单", "2025-01-01", "1.00", "上海正大农业有限公司"]]
    assert load_files(**written_in(rows, kind)).content_hash == load(rows).content_hash


@pytest.mark.nightly
@given(sound_rows(), bad_rows, st.randoms())
@settings(max_examples=5_000, deadline=None)
def test_no_row_and_no_cent_is_ever_lost(rows: list[Row], bad: list[Row], random: Any) -> None:
    mixed = [*rows, *bad]
    random.shuffle(mixed)
    assert broken_laws(mixed, load(mixed)) == []


# --- loaders with a fault: each must be caught -----------------------------------------------------


def drop_rows_without_rep(patch: pytest.MonkeyPatch) -> None:
    honest = Draft.used.fget
    assert honest is not None
    patch.setattr(Draft, "used", property(lambda self: honest(self).dropna(subset=["rep_id"])))


def read_na_as_nothing(patch: pytest.MonkeyPatch) -> None:
    honest = parse.blank_to_null
    patch.setattr(parse, "blank_to_null", lambda values, nulls=(): honest(values, (*nulls, "NA", "nan")))


def coerce_dates(patch: pytest.MonkeyPatch) -> None:
    honest = parse.parse_instants

    def coerced(*given: Any) -> parse.Parsed:
        parsed = honest(*given)
        parsed.bad = parsed.bad & False
        return parsed

    patch.setattr(parse, "parse_instants", coerced)


def drop_silently(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Draft, bad: pd.Series, column: str, reason: str, hint: str) -> None:
        self.alive &= ~bad

    patch.setattr(Draft, "reject", forget)


def lose_one_of_the_quarantine(patch: pytest.MonkeyPatch) -> None:
    honest = Rejects.frame
    patch.setattr(Rejects, "frame", lambda self: honest(self).iloc[1:])


def count_money_in_floats(patch: pytest.MonkeyPatch) -> None:
    honest = parse._to_minor

    def floats(plain: pd.Series, places: int, unit: int) -> tuple[pd.Series, int]:
        exact, cut = honest(plain, places, unit)
        return (exact.astype("float32") / 100 * 100).astype("int64").astype("Int64"), cut

    patch.setattr(parse, "_to_minor", floats)


def skip_bad_lines(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rejects, "add_record", lambda self, *rest: None)


MUTANTS = [
    drop_rows_without_rep,
    read_na_as_nothing,
    coerce_dates,
    drop_silently,
    lose_one_of_the_quarantine,
    count_money_in_floats,
    skip_bad_lines,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_a_loader_with_a_fault_is_caught(mutant: Callable[[pytest.MonkeyPatch], None]) -> None:
    rows = [
        ["D1", "NA", "Won", "2025-01-01", "16777217.01", "a"],
        ["D2", "", "Won", "2025-01-02", "2.00", "b"],
        ["D3", "Ann", "Won", "2025-02-30", "4.00", "c"],
        ["D4", "Ann", "Won"],
        ["D1", "NA", "Won", "2025-01-01", "16777217.01", "a"],
    ]
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        try:
            caught = broken_laws(rows, load(rows))
        except LawBroken:
            caught = ["law of the load"]
    assert (bool(caught), broken_laws(rows, load(rows))) == (True, [])


def test_a_broken_law_says_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    drop_silently(monkeypatch)
    with pytest.raises(
        LawBroken, match=r"deals: 2 records read, but 1 used \+ 0 quarantined \+ 0 blank.*fault of salescoach"
    ) as raised:
        load([["D1", "Ann", "Won", "2025-01-01", "1.00", "a"], ["", "Ann", "Won", "2025-01-01", "1.00", "a"]])
    assert raised.value.exit_code == 70
