"""The chance to reach a target, now and with what a change would bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import measure
from salescoach.models.forecast.result import Forecast, amount_at, chance_to_reach

QUARTER_DAYS = 365.25 / 4


@dataclass(frozen=True)
class Target:
    """A row of `Forecast.table`, the target that it is held against, and how much of a quarter is still to come."""

    row: Mapping[Any, Any]
    amount: float
    share: float
    period: str

    def chance(self, gain: float = 0.0) -> float:
        """The chance to end at the target or above, with `gain` more per quarter from now on."""
        row = dict(self.row)
        ahead = max(float(row["value"]) - float(row["won"]), 0.0)
        more = max(ahead + gain * self.share, 0.0)
        if ahead > 0:  # as uncertain for its size as what is expected now
            row["variance"] = float(row["variance"]) * more / ahead
            row["wins"] = float(row["wins"]) * more / ahead
        row["value"] = float(row["won"]) + more
        return chance_to_reach(row, self.amount)

    @property
    def missing(self) -> float:
        """How much more must be expected until the target is as likely reached as not; 0 where it is."""
        return max(self.amount - amount_at(self.row, 0.5), 0.0)


def targets_of(book: Book, forecast: Forecast, level: str) -> dict[str, Target]:
    """The targets in the period of a forecast, by rep_id or team ("" of the company); those without one are missing.

    level   "company", "team" or "rep"
    """
    if forecast.period is None:
        return {}
    key = {"rep": "rep_id", "team": "team"}.get(level, "")
    try:
        asked = measure(book, "quota_attainment", "" if level == "company" else level, forecast.period).table
    except Unavailable:
        return {}
    if asked is None:
        return {}
    rows = {str(row[key]) if key else "": row for row in forecast.of(level).to_dict("records")}
    share = min(forecast.lead / QUARTER_DAYS, 1.0)
    amounts = {str(row[key]) if key else "": row["target"] for row in asked.to_dict("records")}
    return {
        name: Target(rows[name], float(amount), share, forecast.period.label)
        for name, amount in amounts.items()
        if name in rows and amount == amount
    }
