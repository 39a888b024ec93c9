"""`append_snapshot` day by day, and the book that the snapshots make."""

from __future__ import annotations

from pathlib import Path

import pytest

from salescoach.errors import StorageError
from salescoach.sources import append_snapshot, load_book

HEADER = "deal_id,rep_id,stage,created_at,amount,expected_close_on\n"
DAYS = {
    "2025-03-01": "A,Ann,Qualified,2025-03-01,100,2025-05-01\nB,Bob,Quote,2025-02-01,50.25,2025-04-01\n",
    "2025-03-02": "A,Ann,Quote,2025-03-01,100,2025-05-01\nB,Bob,Quote,2025-02-01,60.75,2025-04-01\n",
    "2025-03-03": "A,Cy,Won,2025-03-01,100,2025-05-01\n",
}


def snapshot(folder: Path, day: str, rows: str) -> Path:
    (folder / "deals.csv").write_text(HEADER + rows)
    return append_snapshot(load_book(folder / "deals.csv", as_of=day), folder / "store")


def test_three_nights_make_a_history(tmp_path: Path) -> None:
    files = [snapshot(tmp_path, day, rows).name for day, rows in DAYS.items()]
    assert files == [f"deals-{day}.parquet" for day in DAYS]
    book = load_book(tmp_path / "store")
    assert (book.origin["source"], str(book.as_of_on.date())) == ("snapshots", "2025-03-03")
    history = book.table("stage_history")
    assert history[["deal_id", "stage", "evidence"]].to_numpy().tolist() == [
        ["B", "quote", "inferred"],  # Bob's deals before Cy's
        ["A", "qualified", "inferred"],
        ["A", "quote", "observed"],
        ["A", "won", "observed"],
    ]
    assert str(book.local_days(history["entered_at"]).iloc[3].date()) == "2025-03-03"
    changes = book.table("changes")[["deal_id", "field", "old", "new"]].to_numpy().tolist()
    assert changes == [["A", "rep_id", "Ann", "Cy"], ["B", "amount", "50.25", "60.75"]]
    assert dict(zip(book.deals["deal_id"], book.deals["amount_minor"], strict=True)) == {"A": 10000, "B": 6075}
    assert [n["examples"] for n in book.quality["notes"] if n["check"] == "vanished-deal"] == [["B"]]


def test_the_same_day_twice_is_one_snapshot(tmp_path: Path) -> None:
    for _ in range(2):
        snapshot(tmp_path, "2025-03-01", DAYS["2025-03-01"])
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_another_snapshot_of_the_same_day_is_refused(tmp_path: Path) -> None:
    snapshot(tmp_path, "2025-03-01", DAYS["2025-03-01"])
    with pytest.raises(StorageError, match=r"deals-2025-03-01\.parquet exists and holds other deals"):
        snapshot(tmp_path, "2025-03-01", DAYS["2025-03-03"])


def test_a_column_that_begins_later_is_blank_before(tmp_path: Path) -> None:
    snapshot(tmp_path, "2025-03-01", DAYS["2025-03-01"])
    (tmp_path / "deals.csv").write_text("deal_id,stage,region\nA,Quote,north\n")
    append_snapshot(load_book(tmp_path / "deals.csv", as_of="2025-03-02"), tmp_path / "store")
    deals = load_book(tmp_path / "store").deals.set_index("deal_id")
    assert deals["region"].fillna("").to_dict() == {"A": "north", "B": ""}
