"""People's own forecasts: read from a file, wound back to a past day, cut for a rep and a team."""

from __future__ import annotations

from pathlib import Path

from salescoach.sources import load_book

DEALS = """deal_id,rep_id,stage,created_at,closed_at,amount
D1,R1,Won,2026-01-01,2026-02-10,100
D2,R2,Quote,2026-01-05,,250
"""
REPS = "rep_id,name,team\nR1,Ann,North\nR2,Bob,South\n"
CALLS = """at,rep_id,team,called_by,start_on,end_on,amount
2026-01-10,R1,,rep,2026-01-01,2026-03-31,1000.50
2026-02-20,R1,,rep,2026-01-01,2026-03-31,900
2026-02-20,,South,manager,2026-01-01,2026-03-31,4000
2026-02-30,R2,,rep,2026-01-01,2026-03-31,5
"""


def test_calls_are_read_wound_back_and_cut(tmp_path: Path) -> None:
    for name, text in (("deals", DEALS), ("reps", REPS), ("forecast_calls", CALLS)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    book = load_book(tmp_path, source="generic", as_of="2026-03-01")
    calls = book.table("forecast_calls")
    assert sorted(calls["amount_minor"]) == [90_000, 100_050, 400_000]  # 30 February is no day
    assert len(book.quarantine) == 1
    assert book.at("2026-01-31").table("forecast_calls")["amount"].tolist() == [1000.50]
    assert book.for_rep("R1").table("forecast_calls")["amount"].sum() == 1900.50
    assert book.for_team("South").table("forecast_calls")["amount"].tolist() == [4000.0]
