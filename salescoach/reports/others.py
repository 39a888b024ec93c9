"""What a page may know of the others: every aggregated table of a run, made once from the whole book."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import pandas as pd

from salescoach.book import Book
from salescoach.coaching.habits import habits_of_others
from salescoach.errors import Unavailable
from salescoach.metrics.peers import OTHERS, all_hidden, deals_outside, may_be_shown, peer_table, settled
from salescoach.metrics.registry import as_period
from salescoach.metrics.typical_path import path_of_others
from salescoach.models import gap_peers
from salescoach.models.forecast import fit_forecast, forecast_peers, period_ahead
from salescoach.models.forecast.share import FACTS, PREFIX, TABLES, no_team_tables, team_tables
from salescoach.process import Period

TEAM_TABLES = (FACTS, *(f"{PREFIX}{name}" for name in TABLES))


class Tables(Mapping[str, pd.DataFrame]):
    """Tables by name, each made when it is first asked for: a page that does not forecast need not wait for it."""

    def __init__(self, makers: Mapping[str, Callable[[], pd.DataFrame]]) -> None:
        self._makers, self._made = makers, dict[str, pd.DataFrame]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def tables_of_others(book: Book, period: str | Period | None = None) -> Tables:
    """The tables about everybody that each rep of a run may see, by name: the same ones for all of them.

    peers     usual figures (`peer_table`)
    path      the typical path of won deals (`path_of_others`)
    gap       what a gap in won amounts is held against (`gap_peers`)
    habits    how often the process is kept to (`habits_of_others`)
    forecast  what a forecast is made of besides one's own deals (`forecast_peers`), of the period `forecast_span` gives

    Newcomers' deals are in none of them (`settled`).
    """
    whole = cache(lambda: settled(book, period))
    return Tables(
        {
            "peers": lambda: peer_table(whole(), period),
            "path": lambda: path_of_others(whole(), period),
            "gap": lambda: gap_peers(whole(), period),
            "habits": lambda: habits_of_others(whole(), period),
            "forecast": lambda: forecast_peers(whole(), forecast_span(book, period)),
        }
    )


def beside_a_team(tables: Tables, book: Book, team: str, period: str | Period | None = None) -> Tables:
    """The tables about everybody as a team's manager may see them: with the team's own figures at hand, they would
    tell of the rest; where that is fewer than five people, or mostly one of them, they tell nothing.
    """
    if may_be_shown(deals_outside(book, team, period), OTHERS - 1):  # the manager is none of them
        return tables
    return Tables({name: partial(_hidden, tables, name) for name in tables})


def _hidden(tables: Tables, name: str) -> pd.DataFrame:
    return all_hidden(tables[name])


def tables_of_a_team(book: Book, team: str, period: str | Period | None = None) -> Tables:
    """What a page about one team is made of besides the team's own deals."""
    made: dict[str, pd.DataFrame] = {}

    def part(name: str) -> pd.DataFrame:
        if not made:
            made.update(tables_of_teams(book, [team], period)[team])
        return made.get(name, pd.DataFrame())

    parts = {name: partial(part, name) for name in TEAM_TABLES}
    shown = beside_a_team(tables_of_others(book, period), book, team, period)
    return Tables({"gap": lambda: shown["gap"], **parts})


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
