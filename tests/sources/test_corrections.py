"""A quarantine.csv that a person corrected is fed back in."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from salescoach.book import Book, save_book
from salescoach.errors import SourceError
from salescoach.sources import load_book

ROWS = (
    "deal_id,rep_id,stage,created_at,amount\nD1,Ann,Quote,2025-01-01,100\nD2,Bob,Quote,2025-02-30,200\n"
    "D3,Cy,Quote,2025-01-03,300,EUR\nD4,Di,Quote,2025-01-04,4x\nD5,Ed,Quote,2025-01-05,500\nD6,Flo,Quote,2025-01-06,6\n"
)


def loaded(folder: Path, corrections: Path | None = None) -> Book:
    return load_book(folder / "deals.csv", as_of="2025-06-30", corrections=corrections)


@pytest.fixture
def quarantine(tmp_path: Path) -> list[dict[str, str]]:
    (tmp_path / "deals.csv").write_text(ROWS)
    save_book(loaded(tmp_path), tmp_path / "book")
    with (tmp_path / "book" / "quarantine.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def written(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "fixed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "fixed.csv"


def test_corrected_values_are_used_and_the_rest_stays_set_aside(
    tmp_path: Path, quarantine: list[dict[str, str]]
) -> None:
    by_record = {row["record"]: row for row in quarantine}
    assert sorted(by_record) == ["2", "3", "4"]
    by_record["2"]["value"] = "2025-02-28"
    by_record["3"]["raw"] = (
        '{"deal_id": "D3", "rep_id": "Cy", "stage": "Quote", "created_at": "2025-01-03", "amount": "300"}'
    )
    book = loaded(tmp_path, written(tmp_path, quarantine))
    amounts = dict(zip(book.deals["deal_id"], book.deals["amount"], strict=True))
    assert amounts == {"D1": 100.0, "D2": 200.0, "D3": 300.0, "D5": 500.0, "D6": 6.0}
    assert list(book.quarantine["value"]) == ["4x"]
    assert book.quality["rows"]["deals"]["read"] == 6


def test_an_untouched_quarantine_changes_nothing(tmp_path: Path, quarantine: list[dict[str, str]]) -> None:
    before = loaded(tmp_path)
    after = loaded(tmp_path, written(tmp_path, quarantine))
    assert (after.content_hash, len(after.quarantine)) == (before.content_hash, 3)


def test_corrections_of_an_older_file_are_refused(tmp_path: Path, quarantine: list[dict[str, str]]) -> None:
    fixed = written(tmp_path, quarantine)
    (tmp_path / "deals.csv").write_text(ROWS + "D7,Gus,Quote,2025-01-07,7\n")
    with pytest.raises(SourceError, match=r"fixed\.csv, line 2: deals\.csv has changed since this row was set aside"):
        loaded(tmp_path, fixed)


def test_a_raw_that_is_no_json_is_named(tmp_path: Path, quarantine: list[dict[str, str]]) -> None:
    quarantine[0]["raw"] = "D2,Bob"
    with pytest.raises(SourceError, match=r"fixed\.csv, line 2: `raw` is no JSON object"):
        loaded(tmp_path, written(tmp_path, quarantine))


def test_a_file_that_is_no_quarantine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(ROWS)
    with pytest.raises(SourceError, match=r"deals\.csv is no quarantine\.csv: it lacks table, file, record"):
        loaded(tmp_path, tmp_path / "deals.csv")
