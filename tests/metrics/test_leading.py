"""Yardsticks of coaching: each record once, on its day, with whether it went well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from salescoach.errors import Unavailable
from salescoach.metrics import missed_quotes, stage_flow, win_rate
from salescoach.metrics.leading import Yardstick, yardstick_units, yardsticks
from salescoach.metrics.leads import answered_leads


def test_by_hand(book_of) -> None:
    """D1 was won, D2 lost, D3 is void, D4 open, D5 was lost after it changed hands: two records, one of them good."""
    deals = [{"deal_id": f"D{i}", "rep_id": "R1"} for i in range(1, 6)]
    log = {
        "D1": "prospect 2026-01-01, qualified 2026-01-05, won 2026-01-20",
        "D2": "prospect 2026-01-01, lost 2026-02-01",
        "D3": "prospect 2026-01-01, void 2026-01-02",
        "D4": "prospect 2026-06-29",
        "D5": "prospect 2026-01-01, lost 2026-03-01",
    }
    changes = [{"deal_id": "D5", "at": "2026-02-01", "field": "rep_id", "old": "R2", "new": "R1"}]
    book = book_of(deals, log, changes=changes)
    won = yardstick_units(book, Yardstick("win_rate"))
    assert won["on"].dt.strftime("%m-%d").tolist() == ["01-20", "02-01"] and won["good"].tolist() == [True, False]
    flow = yardstick_units(book, Yardstick("stage_flow", "new", "prospect"))
    assert sorted(flow["good"]) == [False, True]  # D1 went on, D2 was lost; D4 is too young, D5 changed hands
    # prospect is expected to last 8 days, qualified 10: D1 left both in time (4 and 15 days: only the first),
    # D2 stayed for 31
    stays = yardstick_units(book, Yardstick("stage_time")).sort_values("on")
    assert stays["on"].dt.strftime("%m-%d").tolist() == ["01-09", "01-09", "01-15"]
    assert sorted(stays["good"][:2]) == [False, True] and not stays["good"].iloc[-1]


@pytest.mark.parametrize("seed", range(4))
def test_the_records_are_those_of_the_metrics(busy, seed: int) -> None:
    """Where no deal changes hands, sums agree with the metric of the same name."""
    book = busy(seed)
    changes = book.tables["changes"]
    book = replace(book, tables={**book.tables, "changes": changes[changes["field"] != "rep_id"]})

    def sums(yardstick: Yardstick) -> tuple[int, int]:
        units = yardstick_units(book, yardstick)
        return len(units), int(units["good"].sum())

    won, quotes, flow = (
        t[t["rep_id"] != "(unassigned)"] for t in (win_rate(book), missed_quotes(book), stage_flow(book, by="rep"))
    )
    assert sums(Yardstick("win_rate")) == (won["n"].sum(), won["won"].sum())
    assert sums(Yardstick("missed_quotes")) == (quotes["n"].sum(), quotes["n"].sum() - quotes["missed"].sum())
    for stage, rows in flow.groupby("stage"):
        assert sums(Yardstick("stage_flow", "new", str(stage))) == (rows["n"].sum(), rows["deeper"].sum())
    due = answered_leads(book)
    due = due[due["due"] & due["rep_id"].notna()]
    assert sums(Yardstick("response_time")) == (len(due), due["within"].sum())


def test_of_the_demo_every_yardstick_is_known_and_nothing_is_void(demo) -> None:
    found = dict(yardsticks(demo))
    assert [y.measure for y in found][:4] == ["win_rate", "response_time", "stage_time", "missed_quotes"]
    assert [y.stage for y in found][4:] == ["prospect", "qualified", "quote", "contract"]
    for units in found.values():
        assert units.columns.tolist() == ["rep_id", "on", "good"]
        assert units.notna().all(axis=None) and units["on"].max() <= demo.as_of_on
        assert units["good"].dtype == bool and units["good"].nunique() == 2


def test_what_the_data_cannot_tell_is_left_out(book_of) -> None:
    book = book_of([{"deal_id": "D1", "outcome": "won", "stage": "won", "rep_id": "R1", "closed_at": "2026-01-01"}])
    assert [y.measure for y, _ in yardsticks(book)] == ["win_rate"]
    with pytest.raises(Unavailable):
        yardstick_units(book, Yardstick("missed_quotes"))
