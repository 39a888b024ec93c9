"""What a second load says of the first."""

from __future__ import annotations

from pathlib import Path

from salescoach.book import Book, open_book, save_book
from salescoach.sources import load_book, since

HEADER = "deal_id,rep_id,stage,created_at,amount,colour\n"
FIRST = """\
A,Ann,Quote,2025-01-01,1,red
B,Bob,Quote,2025-01-02,2,red
C,Cy,Quote,2025-01-03,3,red
D,Di,Quote,2025-01-04,4,
"""
SECOND = """\
A,Ann,Quote,2025-01-01,1,red
B,Bob,Won,2025-01-02,2,red
D,Di,Quote,2025-01-32,4,
E,Ed,Quote,2025-01-05,5,red
"""


def load(folder: Path, rows: str) -> Book:
    (folder / "deals.csv").write_text(HEADER + rows)
    return load_book(folder / "deals.csv", as_of="2025-06-30")


def test_new_changed_and_vanished_deals_are_told(tmp_path: Path) -> None:
    save_book(load(tmp_path, FIRST), tmp_path / "book")
    fresh = since(open_book(tmp_path / "book"), load(tmp_path, SECOND))
    assert fresh.quality["since"] == {"as_of": "2025-06-30", "new": 1, "changed": 1, "same": 1, "vanished": 1}
    assert [n["examples"] for n in fresh.quality["notes"] if n["check"] == "vanished-since"] == [["C"]]


def test_the_same_data_again_are_the_same(tmp_path: Path) -> None:
    save_book(load(tmp_path, FIRST), tmp_path / "book")
    fresh = since(open_book(tmp_path / "book"), load(tmp_path, FIRST))
    assert fresh.quality["since"] == {"as_of": "2025-06-30", "new": 0, "changed": 0, "same": 4, "vanished": 0}


def test_a_change_in_a_column_of_the_sources_own_counts(tmp_path: Path) -> None:
    before = load(tmp_path, FIRST)
    assert since(before, load(tmp_path, FIRST.replace("1,red", "1,blue"))).quality["since"]["changed"] == 1
