"""What a forecast is: amounts with ranges that add up, every open deal's chance, and how right it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from salescoach.models.fit import Advice, Fit
from salescoach.models.forecast.spread import Spread
from salescoach.process import Period
from salescoach.wording import N_

LEVELS = ("company", "team", "rep")
# every method that may stand in a scoreboard, in the order in which they are shown
METHODS: dict[str, str] = {
    "combined": N_("Forecast (combined)"),
    "crm": N_("CRM stage weights"),
    "rep_call": N_("Reps' own calls"),
    "manager_call": N_("Managers' calls"),
    "last_period": N_("Last period again"),
    "run_rate": N_("Run-rate"),
    "seasonal": N_("Same time last quarter or year"),
    "seasonal_share": N_("Season of the company × share of the rep"),
    "landmark": N_("Deals of the same stage and age"),
    "hazard": N_("Pace through stages"),
    "features": N_("Traits of the deals"),
}


@dataclass(frozen=True, repr=False)
class Forecast(Fit):
    """How much will be won in a period, by company, team and rep; amounts in `currency`; `n` open deals.

    table        one row per group at every level; reps add up to their teams, teams to the company
        level (company, team, rep), team (null for the company), rep_id, rep (null but for reps), first_day,
        last_day (of the period), value (expected amount won in the period, with what is won in it already) =
        won (up to as_of) + open (from deals open now) + new (from deals that are not there yet, and what past
        rates say beyond open deals), low_50, high_50 (50 % range), low, high (80 % range), variance, wins (how
        many wins are still expected: with the variance for `chance_to_reach`), n (open deals), open_amount
        (their full amounts), method (keys of `METHODS` that are combined, with " + " between them), rep_call,
        manager_call (the latest of their own forecasts of exactly this period; null: none). Ranges do not add
        up: that of a sum is narrower than the sum of ranges.
    deals        one row per deal open now, the largest `expected` first
        deal_id, rep_id, rep, team, pipeline, stage, age_days (in this stage, or since its creation where stages
        are not recorded; null: its creation is not dated), amount (its own, or its list price times the usual
        discount; null: unknown, `expected` rests on the typical one), chance (to be won within the period; null
        where age_days is), expected (amount x chance x how such sums came out before; adds up to `open` of its
        rep), low, high (80 % range of the chance), similar_n (deals at this stage and about this age in earlier
        weeks whose window has passed; a deal counts once each week), similar_won (of these, won within as many
        days)
    scoreboard   how each method fared on the book's own past; one row per lead (days ahead), level and method
        lead, level, method (a key of `METHODS`), n_origins (past days on which a forecast was made whose time
        has passed), n (forecasts: groups x origins), wape (sum of absolute errors / sum of actual), bias (sum
        of errors / sum of actual; above 0: too high), crps (of the predicted distribution, / actual; null for
        CRM weights, which have no range), skill (1 - crps / crps of the run-rate), gain (1 - wape / wape of the
        run-rate), both with _low, _high (90 %, block bootstrap of origins), covered_50, covered_80 (share of
        actual values inside the ranges), chosen (takes part in the combination now), as_good (only in the row
        of the best simple method, run_rate, last_period or seasonal: it is as good as the combination here)
    past         what was forecast on past days, for fans
        lead, level, team, rep_id, rep, origin (first day of the window), last_day, method (combined, run_rate),
        value, low_50, high_50, low, high, actual
    deal_scores  chances of deals on past days against what came; one row per lead and method (combined: those in use;
        hazard, landmark, features, crm, base_rate) lead, method, n (deals x origins), won, log_loss, brier,
        skill (of the Brier score, against the base rate known at the time), slope, slope_low, slope_high
        (calibration; 1 is perfect), auc, chosen
    calibration  the chances in use, in tenths of the deals by chance: lead, bin, n, expected (mean chance), value
        (share won), low, high (95 % Wilson), won
    calls        reps' and managers' own calls beside ours of the same day for the same period: called_by (rep,
        manager), level, method (call, combined, run_rate), n (calls), wape, bias; no rows without calls
    period, first_day   the period asked for; the first day not yet known (the day after as_of)
    lead         days from `first_day` to the end of the period: the rows of the scoreboard that judge this forecast
    origins      past days from which this lead could be judged
    headline     what must be said first: run-rate is as good here, too little past to judge, or how far it was off
    """

    deals: pd.DataFrame = field(default_factory=pd.DataFrame)
    scoreboard: pd.DataFrame = field(default_factory=pd.DataFrame)
    past: pd.DataFrame = field(default_factory=pd.DataFrame)
    deal_scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    calls: pd.DataFrame = field(default_factory=pd.DataFrame)
    period: Period | None = None
    first_day: pd.Timestamp | None = None
    lead: int = 0
    origins: int = 0
    currency: str = ""
    headline: Advice | None = None

    def of(self, level: str, name: str | None = None) -> pd.DataFrame:
        """Rows of `table`: of the company, of all teams or reps, or of one team or rep_id."""
        rows = self.table[self.table["level"] == level]
        return rows if name is None else rows[rows["rep_id" if level == "rep" else "team"] == name]


def chance_to_reach(row: Mapping[str, Any] | pd.Series, target: float) -> float:
    """The chance that a row of `Forecast.table` ends at `target` or above (0..1)."""
    return float(_spread(row).reaches(target - float(row["won"])))


def amount_at(row: Mapping[str, Any] | pd.Series, share: float) -> float:
    """The amount below which a row of `Forecast.table` ends with this chance: .5 gives the median, .1 the low end."""
    return float(row["won"]) + float(_spread(row).at(share))


def _spread(row: Mapping[str, Any] | pd.Series) -> Spread:
    """Of what is still to come."""
    return Spread(float(row["value"]) - float(row["won"]), float(row["variance"]), float(row["wins"]))
