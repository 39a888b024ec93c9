"""Activities that are still to be done: their days lie ahead, and that is no fault."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from salescoach.sources import load_book

DEALS = "deal_id,stage,rep_id,created_at\nA,Quote,Ann,2025-01-02\n"
ACTIVITIES = """activity_id,rep_id,at,activity_type,deal_id,due_on,done
1,Ann,2025-01-10 09:00:00,call,A,,true
2,Ann,2025-02-20 09:00:00,meeting,A,,false
3,Ann,2025-02-21 09:00:00,meeting,A,2025-03-01,false
4,Ann,2025-02-22 09:00:00,call,A,,true
"""


def test_a_plan_for_a_day_ahead_is_kept_and_due_on_that_day(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(DEALS)
    (tmp_path / "activities.csv").write_text(ACTIVITIES)
    book = load_book(tmp_path, as_of="2025-01-31")
    kept = book.table("activities").set_index("activity_id")["due_on"]
    assert {k: None if pd.isna(v) else str(v.date()) for k, v in kept.items()} == {
        "1": None,
        "2": "2025-02-20",
        "3": "2025-03-01",
    }
    assert book.quarantine[["record", "reason"]].to_numpy().tolist() == [[4, "future-stamp"]]  # done, in the future


def test_a_plan_does_not_date_the_data(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(DEALS)
    (tmp_path / "activities.csv").write_text(ACTIVITIES.replace("4,Ann,2025-02-22", "4,Ann,2025-01-12"))
    book = load_book(tmp_path, now=pd.Timestamp("2025-06-01", tz="UTC"))
    assert str(book.as_of_on.date()) == "2025-01-12"
