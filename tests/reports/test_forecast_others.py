"""What a rep's forecast page may know of the others: figures of all reps together, of the days the page speaks of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book, open_book, write_folder
from salescoach.errors import Unavailable
from salescoach.metrics.peers import settled
from salescoach.metrics.registry import as_period
from salescoach.models.forecast import fit_forecast, forecast_of_rep, forecast_peers
from salescoach.models.forecast.share import forecast_of_team
from salescoach.reports.others import forecast_span, tables_of_others, tables_of_teams
from salescoach.sources import sample_book


@pytest.fixture(scope="module")
def book() -> Book:
    return sample_book()


@pytest.mark.parametrize(
    ("period", "label"),
    [
        (None, "2026Q4"),
        ("", "2026Q4"),
        ("2026Q2", "2026Q4"),  # over: the quarter to come
        ("last 365 days", "2026Q4"),
        ("2026-10", "2026-10"),
        ("2026Q3..2026Q4", "2026Q3..2026Q4"),  # begun, not over
        ("2027Q1", "2027Q1"),
    ],
)
def test_the_period_of_a_page_on_any_period(book: Book, period: str | None, label: str) -> None:
    assert forecast_span(book, period).label == label
    assert forecast_span(book, as_period(book, period)).label == label


@pytest.mark.parametrize("period", [None, "2026-10"])
def test_the_tables_of_a_run_hold_the_forecast_of_that_period(book: Book, period: str | None) -> None:
    found = tables_of_others(book, period)["forecast"]
    pd.testing.assert_frame_equal(found, forecast_peers(settled(book, period), forecast_span(book, period)))
    lead = found.loc[found["figure"] == "lead", "value"].iloc[0]
    assert lead == (forecast_span(book, period).end_on - book.as_of_on.date()).days == fit_forecast(book, period).lead


def test_they_name_nobody_and_no_deal(book: Book) -> None:
    found = tables_of_others(book)["forecast"]
    words = {str(v) for c in found.select_dtypes("str") for v in found[c].dropna()}
    people = {*book.people["rep_id"], *book.people["rep"], *book.people["team"].dropna()}
    assert not words & people and not words & set(book.deals["deal_id"])
    assert not {"n", "rep_id", "rep", "team"} & set(found.columns)
    shown = found[~found["hidden"]]
    assert (shown["reps"] >= 6).all() and found.loc[found["hidden"], "value"].isna().all()


def test_a_slice_on_disk_is_enough_for_a_reps_forecast(book: Book, tmp_path: Path) -> None:
    part = replace(book.for_rep("R02"), peers=tables_of_others(book))
    folder = tmp_path / "slice"
    folder.mkdir()
    write_folder(part, folder)
    alone = open_book(folder)
    found = forecast_of_rep(alone, alone.peers["forecast"], forecast_span(alone))
    assert found.period is not None and found.period.label == "2026Q4"
    assert set(found.deals["rep_id"]) == {"R02"} == set(found.table["rep_id"])
    within = fit_forecast(book, leads=()).of("rep", "R02").iloc[0]
    assert found.table["value"].iloc[0] == pytest.approx(within["value"], rel=0.1)  # but for the rounding
    assert found.table["n"].iloc[0] == within["n"]


def test_too_few_reps_make_a_table_that_says_nothing(book: Book) -> None:
    one = tables_of_others(book.for_team("Harbour").for_rep("R02"))["forecast"]
    assert one.empty or one["hidden"].all()


def test_each_team_gets_its_own_part_and_they_add_up(book: Book) -> None:
    teams = sorted(book.people["team"].dropna().unique())
    found = {team: forecast_of_team(tables) for team, tables in tables_of_teams(book, teams, "2026-10").items()}
    company = fit_forecast(book, "2026-10")
    parts = sum(f.of("team")["value"].iloc[0] for f in found.values())
    nobody = company.of("team", "(unassigned)")["value"].sum()
    assert parts + nobody == pytest.approx(company.of("company")["value"].iloc[0])
    assert {f.period.label for f in found.values() if f.period} == {"2026-10"} and len(found) == len(teams) > 2


def test_a_book_without_a_forecast_tells_its_teams_why(book: Book) -> None:
    early = book.at("2024-02-01")
    tables = tables_of_teams(early, ["Harbour"])["Harbour"]
    with pytest.raises(Unavailable):
        forecast_of_team(tables)
