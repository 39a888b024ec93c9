"""The chance to reach the target of the running quarter, now and with what a change would bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import measure
from salescoach.models.forecast import Forecast, chance_to_reach
from salescoach.wording import N_, Words

QUARTER_DAYS = 365.25 / 4
CHANCE = N_("The chance to reach the target of {period} would go from {now} to {then}.")


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

    def words(self, gain: float, say: Words) -> str:
        now, then = (say.percent(self.chance(more)) for more in (0.0, gain))
        return say(CHANCE, period=self.period, now=now, then=then)


def target_of(book: Book, forecast: Forecast, rep_id: str, team: str) -> Target | None:
    """The target of a rep, a team or everybody in the period of the forecast; nothing where there is none."""
    level, name = ("rep", rep_id) if rep_id else ("team", team) if team else ("company", None)
    rows = forecast.of(level, name)
    if rows.empty or forecast.period is None:
        return None
    try:
        asked = measure(book, "quota_attainment", "" if level == "company" else level, forecast.period).table
    except Unavailable:
        return None
    if asked is None:
        return None
    mine = asked if name is None else asked[asked["rep_id" if level == "rep" else "team"] == name]
    if len(mine) != 1 or mine["target"].isna().iloc[0]:
        return None
    share = min(forecast.lead / QUARTER_DAYS, 1.0)
    return Target(rows.iloc[0].to_dict(), float(mine["target"].iloc[0]), share, forecast.period.label)
