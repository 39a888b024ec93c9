"""What a team's page knows of the company's forecast: the team's part of it, finished, so that the parts add up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from salescoach.errors import Unavailable
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.peers import OTHERS
from salescoach.models.fit import Advice
from salescoach.models.forecast.fit import TOO_SHORT, UNJUDGED
from salescoach.models.forecast.peers import OF_THE_REPS
from salescoach.models.forecast.result import METHODS, Forecast
from salescoach.process import Period
from salescoach.wording import N_

TABLES = ("table", "deals", "scoreboard", "past", "deal_scores", "calibration")
PREFIX, FACTS = "forecast_", "forecast_facts"
SIMPLE = tuple(name for name in METHODS if name in ("last_period", "run_rate", "seasonal"))
OF_THE_TEAMS = N_(
    "On {n} past days forecasts for {lead} days ahead were off by {ours} for a team, the run-rate by {naive}; the 80 % "
    "range held {held} of the time."
)
OF_THE_TEAMS_AS_GOOD = N_(
    "On {n} past days forecasts for {lead} days ahead were off by {ours} for a team; a simple method was as good, off "
    "by {naive}. The 80 % range held {held} of the time."
)
OF_THE_REPS_AS_GOOD = N_(
    "On {n} past days forecasts for {lead} days ahead were off by {ours} for a rep; a simple method was as good, off "
    "by {naive}. The 80 % range held {held} of the time."
)
SAID = {"team": (OF_THE_TEAMS, OF_THE_TEAMS_AS_GOOD), "rep": (OF_THE_REPS, OF_THE_REPS_AS_GOOD)}


def team_tables(forecast: Forecast, team: str) -> dict[str, pd.DataFrame]:
    """The part of the company's forecast that a team's manager may see, as tables for the team's slice.

    Of the team alone: its row and those of its reps, their deals and their past. Of all: how right forecasts of teams
    and reps were, and the chances of deals. The counts behind a deal's chance are left out where fewer than five people
    stand outside the team. People's own calls are left out: who made them could be seen.
    """
    table = forecast.table
    reps = table[(table["level"] == "rep") & (table["rep_id"] != UNASSIGNED)]
    deals = forecast.deals[forecast.deals["team"] == team]
    if (reps["team"] != team).sum() < OTHERS:
        deals = deals.assign(similar_n=np.nan, similar_won=np.nan)
    board, past = forecast.scoreboard, forecast.past
    own = {
        "table": table[table["team"] == team],
        "deals": deals,
        "scoreboard": board[board["level"].isin(["team", "rep"])],
        "past": past[past["team"] == team],
        "deal_scores": forecast.deal_scores,
        "calibration": forecast.calibration,
    }
    span = forecast.period
    facts: dict[str, Any] = {
        "period": None if span is None else [span.label, _text(span.start_on), _text(span.end_on)],
        "first_day": _text(forecast.first_day),
        "lead": forecast.lead,
        "origins": forecast.origins,
        "currency": forecast.currency,
        "headline": _told(headline_of(forecast, "team")),
        "warnings": [_told(w) for w in forecast.warnings],
    }
    named = {f"{PREFIX}{name}": frame.reset_index(drop=True) for name, frame in own.items()}
    return {**named, FACTS: _written(facts)}


def no_team_tables(reason: Unavailable) -> dict[str, pd.DataFrame]:
    """In place of `team_tables`, where there is no forecast: why."""
    return {FACTS: _written({"because": _told(Advice(reason.said.text, reason.said.values))})}


def forecast_of_team(peers: Mapping[str, pd.DataFrame]) -> Forecast:
    """The company's forecast as far as it is about one team, from the tables of `team_tables`.

    As `Forecast`; of levels there are team (one row) and rep. Raises Unavailable where the company has no forecast, or
    where these tables are missing.
    """
    if FACTS not in peers:
        raise Unavailable("the company's forecast is not at hand. Make this page with `salescoach batch`")
    facts = json.loads(peers[FACTS]["json"].iloc[0])
    if "because" in facts:
        text, values = facts["because"]
        raise Unavailable(text, **values)
    tables = {name: peers[f"{PREFIX}{name}"] for name in TABLES}
    told = facts["period"]
    span = None if told is None else Period(told[0], _date(told[1]), date.fromisoformat(told[2]))
    return Forecast(
        tables.pop("table"),
        int(tables["deals"]["chance"].notna().sum()),
        tuple(Advice(text, values) for text, values in facts["warnings"]),
        **tables,
        period=span,
        first_day=None if facts["first_day"] is None else pd.Timestamp(facts["first_day"]),
        lead=facts["lead"],
        origins=facts["origins"],
        currency=facts["currency"],
        headline=None if facts["headline"] is None else Advice(*facts["headline"]),
    )


def headline_of(forecast: Forecast, level: str) -> Advice | None:
    """How far forecasts of teams or reps were off; where the past is too short to know, what was said of the company.

    level   "company", "team" or "rep"
    """
    said, board = forecast.headline, forecast.scoreboard
    rows = board[(board["lead"] == forecast.lead) & (board["level"] == level)].set_index("method")
    if said is None or level not in SAID or said.text in (TOO_SHORT, UNJUDGED) or rows.empty:
        return said
    good = [name for name in SIMPLE if bool(rows.loc[name, "as_good"])]
    off, held = rows["wape"].astype("float64"), rows["covered_80"].astype("float64")
    shares = {"ours": off["combined"], "naive": off[good[0] if good else "run_rate"], "held": held["combined"]}
    values = {name: f"{share:.0%}" for name, share in shares.items()}
    return Advice(SAID[level][bool(good)], {"n": forecast.origins, "lead": forecast.lead, **values})


def _written(facts: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"json": [json.dumps(facts, ensure_ascii=False, default=str)]}).astype("str")


def _told(advice: Advice | None) -> list[Any] | None:
    return None if advice is None else [advice.text, dict(advice.values)]


def _text(day: Any) -> str | None:
    return None if day is None else str(day)[:10]


def _date(day: str | None) -> date | None:
    return None if day is None else date.fromisoformat(day)
