"""Quarterly targets, made from what was won so that attainment is plausible."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from salescoach.sample import names
from salescoach.sample.clock import DAY, Numbers, dates, iso_date, local_seconds, stream
from salescoach.sample.staff import Staff
from salescoach.sample.truth import ZONE

ROUNDING_CNY = 5_000


def targets_table(deals: pd.DataFrame, staff: Staff, first: int, months: int, seed: int) -> pd.DataFrame:
    """The canonical `targets` table: won CNY per quarter, for each rep and, with a blank rep, each team."""
    chance = stream(seed, "targets")
    quarters = _quarters(first, months)
    won = _won(deals, staff, quarters)
    reps = range(len(won))
    active = np.array([[_active_share(staff, rep, *quarter) for quarter in quarters] for rep in reps])
    values = _values(won, active, staff, chance)
    rows = [
        _row(staff.rep_id[rep], int(staff.team[rep]), quarter, values[rep, place])
        for rep in reps
        for place, quarter in enumerate(quarters)
        if values[rep, place] > 0
    ]
    rows += [
        _row(None, int(team), quarter, values[staff.team == team, place].sum())
        for team in np.unique(staff.team)
        for place, quarter in enumerate(quarters)
    ]
    return pd.DataFrame(rows)


def _quarters(first: int, months: int) -> list[tuple[int, int]]:
    """First and last midnight of each whole quarter of the book."""
    start = pd.Timestamp(iso_date(first))
    edges = [start + pd.DateOffset(months=month) for month in range(0, months + 1, 3)]
    stamps = [local_seconds(str(edge.date())) for edge in edges]
    return [(begin, end - DAY) for begin, end in pairwise(stamps)]


def _won(deals: pd.DataFrame, staff: Staff, quarters: list[tuple[int, int]]) -> Numbers:
    """Won amount per rep (row) and quarter (column), in CNY."""
    closed = deals[deals["stage"] == "won"]
    local = closed["closed_at"].dt.tz_convert(ZONE).dt.tz_localize(None).dt.as_unit("s").astype("int64")
    place = np.searchsorted([begin for begin, _ in quarters], local.to_numpy(), side="right") - 1
    rep = np.array([staff.rep_id.index(rep_id) for rep_id in closed["rep_id"]], dtype=np.int64)
    won = np.zeros((len(staff.rep_id), len(quarters)))
    np.add.at(won, (rep, place), closed["amount"].to_numpy())
    return won


def _active_share(staff: Staff, rep: int, begin: int, end: int) -> float:
    """Share of a quarter in which a rep has a book of deals, 0..1."""
    if rep == staff.newcomer:
        return 0.0
    days = min(int(staff.end[rep]), end) - max(int(staff.start[rep]), begin) + DAY
    return float(np.clip(days / (end - begin + DAY), 0.0, 1.0))


def _values(won: Numbers, active: Numbers, staff: Staff, chance: np.random.Generator) -> Numbers:
    """Half shared out evenly, half by each rep's own sales; each team ends between 85 and 110 %."""
    shape = 0.5 + 0.5 * won.sum(axis=0) / max(won.sum(axis=0).mean(), 1.0)
    values = np.zeros_like(won)
    for team in np.unique(staff.team):
        here = staff.team == team
        own = won[here].sum(axis=1) / np.maximum(active[here].sum(axis=1), 0.5)
        pace = 0.5 * own.mean() + 0.5 * own
        plan = pace[:, None] * active[here] * shape[None, :]
        attainment = chance.uniform(0.85, 1.10)
        values[here] = plan * won[here].sum() / max(plan.sum(), 1.0) / attainment
    return np.ceil(values / ROUNDING_CNY) * ROUNDING_CNY


def _row(rep_id: str | None, team: int, quarter: tuple[int, int], value: float) -> dict[str, object]:
    start_on, end_on = dates(np.array(quarter))
    return {
        "rep_id": rep_id,
        "team": names.cycle(names.TEAMS, team, "Team"),
        "metric": "won_amount",
        "start_on": start_on,
        "end_on": end_on,
        "value": float(value),
        "currency": "CNY",
    }
