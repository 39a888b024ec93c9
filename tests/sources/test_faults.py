"""What one file in the catalogue cannot show: limits, exact sums, and all that a quarantined row says of itself."""

from __future__ import annotations

import hashlib
import json
import random
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import FileRejected
from salescoach.sources import text_file, workbook

LoadBook = Callable[..., Book]
CATALOGUE = Path(__file__).parent / "catalogue"
HEADER = "deal_id,rep_id,stage,created_at,closed_at,amount,name"
BAD_DATE = f'{HEADER}\n\nD1,Ann,Won,2025-01-01,2025-01-11,1.00,"two\nlines"\nD2, Ann ,Won,soon,2025-01-12,2.00,Beta\n'


def test_every_row_of_the_threat_table_has_its_cases() -> None:
    rows = {n for f in CATALOGUE.glob("*.toml") for c in tomllib.loads(f.read_text("utf-8"))["case"] for n in trust(c)}
    assert rows == set(range(1, 41))


def trust(case: dict[str, list[int]]) -> list[int]:
    return case.get("trust", [])


# --- what a quarantined row says -------------------------------------------------------------------


def test_a_quarantined_row_says_where_it_stands_and_what_to_do(load: LoadBook) -> None:
    # line 1 header, 2 blank (record 1), 3 and 4 the first deal (record 2), 5 the second deal (record 3)
    row = load(BAD_DATE).quarantine.iloc[0]
    assert row.drop("raw").to_dict() == {
        "table": "deals",
        "file": "deals.csv",
        "record": 3,
        "line": 5,
        "column": "created_at",
        "value": "soon",
        "reason": "bad-date",
        "hint": "not a date between 1980 and 2100 in this column's spelling: correct it",
        "rep_id": "Ann",
        "sha256": hashlib.sha256(BAD_DATE.encode()).hexdigest(),
    }


def test_a_quarantined_row_keeps_what_stood_in_it(load: LoadBook) -> None:
    raw = json.loads(load(BAD_DATE).quarantine["raw"].iloc[0])
    fields = ["D2", " Ann ", "Won", "soon", "2025-01-12", "2.00", "Beta"]
    assert raw == dict(zip(HEADER.split(","), fields, strict=True))


def test_rows_of_two_files_say_which(load: LoadBook, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(BAD_DATE.replace("D1", "E1").replace("D2", "E2").replace("soon", "later"))
    (tmp_path / "deals.csv").write_text(BAD_DATE)
    from salescoach.sources import load_book

    out = load_book([tmp_path / "deals.csv", tmp_path / "other.csv"], as_of="2025-06-30").quarantine
    digests = [hashlib.sha256((tmp_path / f).read_bytes()).hexdigest() for f in ("deals.csv", "other.csv")]
    assert out[["file", "value"]].to_numpy().tolist() == [["deals.csv", "soon"], ["other.csv", "later"]]
    assert out["sha256"].tolist() == digests


# --- trust-15: limits before anything is unpacked --------------------------------------------------


def test_trust_15_a_workbook_that_unpacks_to_too_much_is_refused(
    load: LoadBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_BYTES", 1_000)
    with pytest.raises(
        FileRejected, match=r"deals\.xlsx unpacks to [\d,]+ bytes from [\d,]+: too large for a workbook"
    ):
        load(pd.DataFrame({"deal_id": ["D1"], "stage": ["Won"]}), "deals.xlsx")


def test_trust_15_a_sheet_of_too_many_cells_is_refused(load: LoadBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_CELLS", 10)
    frame = pd.DataFrame({"deal_id": [f"D{i}" for i in range(9)], "stage": ["Won"] * 9})
    with pytest.raises(FileRejected, match=r"deals\.xlsx has more than 10 cells in a sheet\. Export it as CSV\."):
        load(frame, "deals.xlsx")


def test_trust_15_a_sheet_that_is_large_and_full_is_read(load: LoadBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "SPREAD_CELLS", 10)
    frame = pd.DataFrame({"deal_id": [f"D{i}" for i in range(99)], "stage": ["Won"] * 99})
    assert len(load(frame, "deals.xlsx").deals) == 99


def test_trust_16_xml_is_read_by_a_parser_that_refuses_entities() -> None:
    import openpyxl

    assert openpyxl.DEFUSEDXML is True


# --- trust-29: money is exact ----------------------------------------------------------------------


def test_trust_29_the_sum_of_many_amounts_is_exact_in_any_order(load: LoadBook) -> None:
    # 20,000 amounts of 0.01 to 999,999.99 and as many of -0.10: floats differ in the last digits by order
    chance = random.Random(29)
    cents = [chance.randrange(1, 100_000_000) for _ in range(20_000)]
    lines = [f"D{i},Won,{c // 100}.{c % 100:02}" for i, c in enumerate(cents)]
    lines += [f"E{i},Won,-0.10" for i in range(20_000)]
    chance.shuffle(lines)
    minor = load("deal_id,stage,amount\n" + "\n".join(lines) + "\n").deals["amount_minor"]
    assert (int(minor.sum()), str(minor.dtype)) == (sum(cents) - 20_000 * 10, "Int64")


def test_trust_29_the_largest_amount_is_exact(load: LoadBook) -> None:
    # 2**53 cents and one more: a float cannot tell them apart
    minor = load("deal_id,stage,amount\nA,Won,90071992547409.92\nB,Won,90071992547409.93\n").deals["amount_minor"]
    assert minor.tolist() == [9_007_199_254_740_992, 9_007_199_254_740_993]


# --- the two ways of reading text agree ------------------------------------------------------------


def test_the_quick_way_and_the_thorough_way_read_the_same(load: LoadBook, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "deal_id,stage,amount,name\nA,Won,1.00,中文 ¥\nB,Lost,,\nC,Quote,3.00, x \n"
    quick = load(text)
    monkeypatch.setattr(text_file, "_read_regular", lambda *given: None)
    assert load(text).content_hash == quick.content_hash


def test_what_the_quick_way_cannot_account_for_is_read_thoroughly(
    load: LoadBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a reader that loses a blank at the end of a line no longer holds every byte of the file
    honest = text_file.pacsv.read_csv

    def lossy(source: object, *options: object) -> object:
        table = honest(source, *options)
        last = text_file.pc.utf8_rtrim_whitespace(table.column(table.num_columns - 1))
        return table.set_column(table.num_columns - 1, table.schema.names[-1], last)

    monkeypatch.setattr(text_file.pacsv, "read_csv", lossy)
    records = text_file.read_text("deals.csv", "deal_id,name\nA,x \n", text_file.Rejects("deals", "deals.csv"))
    assert records.columns == [("A",), ("x ",)]
