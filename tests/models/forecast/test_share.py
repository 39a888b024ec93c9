"""A team's part of the company's forecast: the same numbers, nobody else's, and it survives the slice's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book, open_book, write_folder
from salescoach.errors import Unavailable
from salescoach.models.fit import Advice
from salescoach.models.forecast import Forecast, amount_at, fit_forecast
from salescoach.models.forecast.fit import UNJUDGED
from salescoach.models.forecast.share import (
    OF_THE_TEAMS,
    OF_THE_TEAMS_AS_GOOD,
    forecast_of_team,
    no_team_tables,
    team_tables,
)

TEAM = "Harbour"


@pytest.fixture(scope="module")
def whole(demo: Book) -> Forecast:
    return fit_forecast(demo, leads=(30,))


@pytest.fixture(scope="module")
def found(demo: Book, whole: Forecast, tmp_path_factory: pytest.TempPathFactory) -> Forecast:
    """As the team's page opens it: from a folder with the slice and the tables."""
    folder: Path = tmp_path_factory.mktemp("team") / "slice"
    folder.mkdir()
    write_folder(replace(demo.for_team(TEAM), peers=team_tables(whole, TEAM)), folder)
    return forecast_of_team(open_book(folder).peers)


def test_a_team_has_on_its_own_page_what_the_companys_gives_it(found: Forecast, whole: Forecast) -> None:
    for level in ("team", "rep"):
        theirs = whole.of(level)
        theirs = theirs[theirs["team"] == TEAM].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.of(level).reset_index(drop=True), theirs, check_dtype=False)
    row = found.of("team", TEAM).iloc[0]
    assert found.of("rep")["value"].sum() == pytest.approx(row["value"])
    assert amount_at(row, 0.1) == pytest.approx(row["low"])  # what the chance to reach a target needs is there
    assert found.n == row["n"] == len(found.deals.dropna(subset="chance"))
    theirs = whole.deals[whole.deals["team"] == TEAM].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.deals, theirs, check_dtype=False)


def test_days_lead_and_warnings_are_those_of_the_company(found: Forecast, whole: Forecast) -> None:
    for name in ("period", "first_day", "lead", "origins", "currency"):
        assert getattr(found, name) == getattr(whole, name)
    assert [str(w) for w in found.warnings] == [str(w) for w in whole.warnings]
    assert len(found.calibration) == len(whole.calibration) > 0 and len(found.past) > 50


def test_it_names_nobody_else(found: Forecast, demo: Book) -> None:
    tables = (found.table, found.deals, found.past, found.scoreboard, found.deal_scores, found.calibration)
    words = {str(v) for t in tables for c in t.select_dtypes("str") for v in t[c].dropna()}
    mine = set(demo.people.loc[demo.people["team"] == TEAM, "rep_id"])
    assert not words & ({*demo.people["rep_id"]} - mine) and not words & ({*demo.people["team"].dropna()} - {TEAM})
    assert not words & set(demo.deals.loc[~demo.deals["rep_id"].isin(list(mine)), "deal_id"])
    assert found.calls.empty and not (found.scoreboard["level"] == "company").any()


def test_the_first_sentence_is_about_teams(found: Forecast, whole: Forecast) -> None:
    assert found.headline is not None and found.headline.text in (OF_THE_TEAMS, OF_THE_TEAMS_AS_GOOD)
    board = whole.scoreboard
    rows = board[(board["lead"] == whole.lead) & (board["level"] == "team")].set_index("method")
    assert found.headline.values["ours"] == f"{rows.loc['combined', 'wape']:.0%}"
    assert f"{rows.loc['combined', 'covered_80']:.0%}" in str(found.headline)


def test_a_past_too_short_is_said_as_of_the_company(whole: Forecast) -> None:
    thin = replace(whole, headline=Advice(UNJUDGED, {"lead": 92, "n": 2, "least": 6}))
    assert forecast_of_team(team_tables(thin, TEAM)).headline == thin.headline


def test_of_few_others_the_counts_are_left_out(whole: Forecast) -> None:
    few = replace(whole, table=whole.table[(whole.table["level"] != "rep") | (whole.table["team"] == TEAM)])
    found = forecast_of_team(team_tables(few, TEAM))
    assert found.deals[["similar_n", "similar_won"]].isna().all().all() and found.deals["chance"].notna().any()
    assert np.isfinite(forecast_of_team(team_tables(whole, TEAM)).deals["similar_n"]).all()


def test_where_there_is_no_forecast_it_says_why() -> None:
    with pytest.raises(Unavailable, match="only 3 deals have been won"):
        forecast_of_team(no_team_tables(Unavailable("only {n} deals have been won so far", n=3)))
    with pytest.raises(Unavailable, match="salescoach batch"):
        forecast_of_team({})
