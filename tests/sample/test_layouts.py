"""The ways in which CRMs tell a stage history, on one deal that went to a stage and back."""

from __future__ import annotations

import pandas as pd
import pytest

from salescoach.kit import kit_path
from salescoach.process import read_process
from salescoach.sample import simulate
from salescoach.sample.layout_history import as_pairs, as_snapshots, with_edits
from salescoach.sample.layouts import QUIRKS, without_voids, write_in_layout
from salescoach.sources.layout import presets


def instants(*days: str) -> pd.Series:
    return pd.Series(pd.to_datetime([f"2026-01-{d}T04:00Z" for d in days])).astype("datetime64[us, UTC]")


@pytest.fixture
def history() -> pd.DataFrame:
    stages = ["prospect", "quote", "prospect", "won"]
    return pd.DataFrame({"deal_id": "D1", "entered_at": instants("05", "07", "08", "10"), "stage": stages})


def test_pairs_have_a_row_for_each_move(history: pd.DataFrame) -> None:
    pairs = as_pairs(history, with_first=False)
    assert [*zip(pairs["from_stage"], pairs["stage"], strict=True)] == [
        ("prospect", "quote"),
        ("quote", "prospect"),
        ("prospect", "won"),
    ]


def test_pairs_with_the_first_entry_have_no_old_stage_there(history: pd.DataFrame) -> None:
    assert as_pairs(history, with_first=True)["from_stage"].isna().tolist() == [True, False, False, False]


def test_an_edit_repeats_the_stage_before_the_next_one(history: pd.DataFrame) -> None:
    # of four entries the first and the fourth are edited; nothing follows the fourth
    assert with_edits(history)["stage"].tolist() == ["prospect", "prospect", "quote", "prospect", "won"]


def test_snapshots_show_stage_and_owner_of_their_day(history: pd.DataFrame) -> None:
    deal = {"deal_id": ["D1"], "rep_id": ["Ann"], "amount": [500], "stage": ["won"], "outcome": ["won"]}
    deals = pd.DataFrame(deal | {"created_at": instants("05"), "closed_at": instants("10")})
    deals = deals.assign(expected_close_on=pd.Timestamp("2026-01-31"), lost_stage=None)
    deals = deals.assign(stage_changed_at=deals["created_at"], updated_at=deals["created_at"])
    changes = pd.DataFrame(
        {"deal_id": ["D1"], "at": instants("08"), "field": ["rep_id"], "old": ["Bob"], "new": ["Ann"]}
    )
    days = as_snapshots(deals, history, changes)
    told = [*zip(days["stage"], days["rep_id"], days["closed_at"].notna(), strict=True)]
    assert told == [
        ("prospect", "Bob", False),
        ("prospect", "Bob", False),
        ("quote", "Bob", False),
        ("prospect", "Ann", False),
        ("prospect", "Ann", False),
        ("won", "Ann", True),
    ]


def test_quirks_are_of_presets_that_exist() -> None:
    assert set(QUIRKS) <= set(presets())


def test_writing_leaves_its_input_as_it_is(tmp_path) -> None:
    tables = simulate(n_deals=40, n_reps=6, n_teams=2, months=6).tables
    before = {n: t.copy() for n, t in tables.items()}
    process = read_process(kit_path("templates/process") / "standard.toml")
    write_in_layout(tables, presets()["pipedrive"], process, tmp_path)
    without_voids(tables, process)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, before[name])
