"""Time to the decision and through the stages: how long, and to which end, counting what is still open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.cycle import started_deals
from salescoach.metrics.flow import need_stages, timed_passages
from salescoach.metrics.ladder import ladder_days
from salescoach.metrics.registry import in_period
from salescoach.metrics.visits import deals_of
from salescoach.models.fit import Advice, Fit
from salescoach.models.incidence import Shares, competing, ends_of, followed, survival
from salescoach.models.rates import Floats
from salescoach.process import Period
from salescoach.wording import N_

MISSED = 10.0  # decisions that should have been recorded before the first one: chance leaves out so many never
NEARLY_ALL = 0.995
STEP, LONGEST = 10.0, 365.0  # days: where the shares are read off
STAGE_DAYS = 28
CUT_OFF = N_(
    "No decision is recorded before {day}, although {n} deals were under way: they are counted only from that day on, "
    "because those that ended before are not in the data."
)
LATE_START = N_("Too few deals were watched in their first {days} days; the curve holds for deals still open then.")
NO_DEALS = N_("no deal with a known start lies in the period")


@dataclass(frozen=True)
class TimeToDecision(Fit):
    """How long deals take, and how they end.

    won, lost, open_now             deals that have ended by as_of, and those that have not
    median, median_low, _high       days by which half are decided, with its 95 % interval; null: not reached
    naive                           median of the decided deals alone, which leaves out everything slow (days)
    horizon                         the day at which shares are read off: when 99.5 % of the decisions that were seen
                                    had been made, rounded up to tens, at most 365; null where nobody was followed
    late                            deals that came under observation after their start
    """

    won: int = 0
    lost: int = 0
    open_now: int = 0
    median: float = np.nan
    median_low: float = np.nan
    median_high: float = np.nan
    naive: float = np.nan
    horizon: float = np.nan
    late: int = 0

    def at(self, day: float) -> pd.Series:
        """The row of the table that holds on a day. Raises Unavailable where fewer than ten were followed so long."""
        if not self.table["day"].iloc[0] <= day <= max(self.horizon, self.table["day"].iloc[-1]):
            raise Unavailable("fewer than ten deals were followed for {days} days", days=int(day))
        return self.table[self.table["day"] <= day].iloc[-1]


def fit_time_to_decision(book: Book, period: str | Period | None = None) -> TimeToDecision:
    """Shares of deals won, lost and still open by each day since their first contact (Aalen-Johansen).

    Deals whose first contact lies in the period, as in the metric `sales_cycle`, whose median it shares where no deal
    came late. Where decisions begin in the data long after deals do, deals that ended before are missing; those begun
    before then count only from that day on (left truncation), and `warnings` says so. The curve stops where fewer than
    ten deals were followed; a median that is not reached before is null.

    Returns a TimeToDecision with day, at_risk, won, won_low, won_high, lost, lost_low, lost_high (95 %), open. Raises
    Unavailable where no deal with a known start lies in the period.
    """
    deals = started_deals(book, period)
    if deals.empty:
        raise Unavailable(NO_DEALS)
    days, ended = ladder_days(deals["age"].to_numpy()), deals["ended"].to_numpy(bool)
    entry, first_close = entry_days(book, deals)
    shares = competing(days, ends_of(ended, deals["won"]), entry)
    part = followed(shares.at_risk)
    since = float(shares.time[part.start - 1]) if part.start else 0.0
    if since:
        shares = competing(days, ends_of(ended, deals["won"]), np.maximum(entry, since))
        part = followed(shares.at_risk)
    table = _cut(shares, part).table()
    table = table.assign(day=np.maximum(table["day"], since)) if since else table
    median = _median(days, ended, entry, since, table)
    seen = (entry <= 0) | (entry < days)
    advice = [Advice(CUT_OFF, {"day": first_close, "n": int((entry > 0).sum())})] if (entry > 0).any() else []
    advice += [Advice(LATE_START, {"days": int(since)})] if since else []
    over, won = ended[seen], deals["won"].to_numpy(bool)[seen]
    return TimeToDecision(
        table,
        int(seen.sum()),
        tuple(advice),
        int(won.sum()),
        int((over & ~won).sum()),
        int((~over).sum()),
        *median,
        float(np.median(days[seen][over])) if over.any() else np.nan,
        _horizon(table, days[seen]),
        int((seen & (entry > 0)).sum()),
    )


def entry_days(book: Book, deals: pd.DataFrame) -> tuple[Floats, object]:
    """How old each deal was when decisions began to be recorded (0: they were from its start), and that day.

    Decisions were not recorded before the first one of the book if, by the pace seen later, at least ten of the deals
    under way should have come to one. The first day itself is watched, so the age is that at its beginning.
    """
    every = deals_of(book)
    closed = every.loc[every["outcome"].isin(["won", "lost"]), "closed_on"]
    first = closed.min()
    if pd.isna(first):
        return np.zeros(len(deals)), None
    entry = np.maximum((first - deals["started_on"]).dt.days.to_numpy(float) - 0.5, 0.0)
    days = ladder_days(deals["age"].to_numpy())
    curve = survival(days, deals["ended"], entry)
    if not len(curve.time):
        return np.zeros(len(deals)), None
    pace = np.r_[0.0, np.cumsum(curve.events / curve.at_risk)]
    # from the deal's creation on: as a lead it could not come to a decision
    created = (deals["created_on"] - deals["started_on"]).dt.days.fillna(0).to_numpy(float) - 0.5
    until, since = (pace[np.searchsorted(curve.time, age, side="right")] for age in (entry, np.minimum(created, entry)))
    expected = (until - since).sum()
    return (entry if expected >= MISSED else np.zeros(len(deals))), first.date()


def _cut(shares: Shares, part: slice) -> Shares:
    return Shares(
        shares.time[part],
        shares.at_risk[part],
        shares.won[part],
        shares.lost[part],
        shares.won_se[part],
        shares.lost_se[part],
    )


def _median(
    days: Floats, ended: Floats, entry: Floats, since: float, table: pd.DataFrame
) -> tuple[float, float, float]:
    """The Kaplan-Meier median; what lies beyond the followed stretch is not reached."""
    curve = survival(days, ended, entry, since)
    last = float(table["day"].iloc[-1]) if len(table) else 0.0
    value, low, high = (end if end <= last else np.nan for end in curve.quantile(0.5))
    return value, low, high


def _horizon(table: pd.DataFrame, days: Floats) -> float:
    """When nearly all decisions had been made, rounded up to tens, as far as somebody was followed."""
    if len(table) < 2:
        return np.nan
    decided = 1 - table["open"]
    late = float(table.loc[decided >= NEARLY_ALL * decided.iloc[-1], "day"].iloc[0])
    return min(float(np.ceil(late / STEP) * STEP), LONGEST, float(days.max()))


def fit_stage_times(book: Book, period: str | Period | None = None) -> Fit:
    """How long deals stay in each stage and how they leave it, those still there counted.

    Passages through a stage that began in the period, as in the metric `stage_flow`. By the stage's expected days (28
    where the process names none): the share that has gone deeper, with lost deals as the competing end.

    Returns a Fit with pipeline, stage, order, n, still (there at as_of), median_days, median_low, median_high, p75_days
    (Kaplan-Meier, to any end; null: not reached while ten deals were followed), within_days, went_on, went_on_low,
    went_on_high, lost, waiting (shares by then; null: fewer than ten were followed so long). Raises Unavailable where
    the stages of lost deals are unknown or no passage began in the period.
    """
    need_stages(book)
    rows = timed_passages(book)
    rows = rows[in_period(book, period, rows["entered_on"])]
    if rows.empty:
        raise Unavailable("no deal entered a stage in the period")
    expected = {(p, s.key): s.expect_days for p, line in book.process.pipelines.items() for s in line.working}
    found = [
        {
            **dict(zip(_PLACE, place, strict=True)),
            **_stage_times(part, expected.get((str(place[0]), str(place[1]))) or STAGE_DAYS),
        }
        for place, part in rows.groupby(_PLACE, sort=False)
    ]
    table = pd.DataFrame(found).sort_values(["pipeline", "order"], kind="stable", ignore_index=True)
    return Fit(table, len(rows))


_PLACE = ["pipeline", "stage", "order"]


def _stage_times(rows: pd.DataFrame, within: float) -> dict[str, float]:
    days, ended = rows["days"].to_numpy(float), rows["ended"].to_numpy(bool)
    shares = competing(days, ends_of(ended, rows["fate"] == "deeper"))
    part = followed(shares.at_risk)
    last = float(shares.time[part][-1]) if part.stop else 0.0
    curve = survival(days, ended)
    times = [t if t <= last else np.nan for t in (*curve.quantile(0.5), curve.quantile(0.75)[0])]
    found = dict(zip(("median_days", "median_low", "median_high", "p75_days"), times, strict=True))
    known = bool((days >= within).sum() >= 10 or (ended.all() and len(rows) >= 10))
    table = _cut(shares, part).table()
    row = table[table["day"] <= within].iloc[-1] if known else pd.Series(np.nan, table.columns)
    names = {"went_on": "won", "went_on_low": "won_low", "went_on_high": "won_high", "lost": "lost", "waiting": "open"}
    counts = {"n": len(rows), "still": int((~ended).sum())}
    return {**counts, **found, "within_days": float(within), **{ours: float(row[c]) for ours, c in names.items()}}
