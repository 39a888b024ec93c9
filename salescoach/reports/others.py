"""What a page may know of the others: every aggregated table of a run, made once from the whole book."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.coaching.habits import habits_of_others
from salescoach.errors import Unavailable
from salescoach.metrics.peers import peer_table
from salescoach.metrics.registry import as_period
from salescoach.metrics.typical_path import path_of_others
from salescoach.models import gap_peers
from salescoach.models.forecast import fit_forecast, forecast_peers, period_ahead
from salescoach.models.forecast.share import no_team_tables, team_tables
from salescoach.process import Period


def tables_of_others(book: Book, period: str | Period | None = None) -> dict[str, pd.DataFrame]:
    """The tables about everybody that each rep of a run may see, by name: the same ones for all of them.

    peers     usual figures (`peer_table`)
    path      the typical path of won deals (`path_of_others`)
    gap       what a gap in won amounts is held against (`gap_peers`)
    habits    how often the process is kept to (`habits_of_others`)
    forecast  what a forecast is made of besides one's own deals (`forecast_peers`), of the period `forecast_span` gives
    """
    return {
        "peers": peer_table(book, period),
        "path": path_of_others(book, period),
        "gap": gap_peers(book, period),
        "habits": habits_of_others(book, period),
        "forecast": forecast_peers(book, forecast_span(book, period)),
    }


def tables_of_teams(
    book: Book, teams: Sequence[str], period: str | Period | None = None
) -> dict[str, dict[str, pd.DataFrame]]:
    """For each team its part of the company's forecast (`team_tables`), which only that team's manager may see.

    The forecast is made once. Where there is none, the tables say why.
    """
    try:
        found = fit_forecast(book, forecast_span(book, period))
    except Unavailable as reason:
        return {team: no_team_tables(reason) for team in teams}
    return {team: team_tables(found, team) for team in teams}


def forecast_span(book: Book, period: str | Period | None = None) -> Period:
    """What a page on this period forecasts: the period itself where it is not over, else the quarter to come.

    The figures of the others and the page that is made of them ask here, so that both speak of the same days.
    """
    asked = as_period(book, period)
    ahead = asked.start_on is not None and asked.end_on > book.as_of_on.date()
    return asked if ahead else period_ahead(book, None)
