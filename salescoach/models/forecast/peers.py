"""What a rep's page knows of the company's forecast: aggregated figures, and the rep's forecast made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.lexis import ALL_STAGES
from salescoach.metrics.money import single_currency
from salescoach.metrics.peers import Held, Rounding, in_digits, in_points, in_small_points, shown
from salescoach.models.fit import Advice
from salescoach.models.forecast.calls import with_calls
from salescoach.models.forecast.combine import FAMILIES, Judged
from salescoach.models.forecast.fit import (
    FEWEST_WINS,
    ORIGINS,
    judge_past,
    period_ahead,
    window_of,
    won_so_far,
)
from salescoach.models.forecast.methods import SIZE_WINS, Arrivals
from salescoach.models.forecast.past import YEAR, Floats, Open, Past, Unit
from salescoach.models.forecast.result import Forecast
from salescoach.models.forecast.scores import score, scored
from salescoach.models.forecast.spread import Spread
from salescoach.models.forecast.today import DEALS, TABLE
from salescoach.process import Period
from salescoach.wording import N_

COLUMNS = ["figure", "method", "pipeline", "stage", "age_from", "value", "step", "reps", "hidden"]
KINDS: dict[str, str] = dict.fromkeys(("figure", "method", "pipeline", "stage"), "str")
KINDS |= {"age_from": "Int64", "value": "float64", "step": "float64", "reps": "int64", "hidden": "bool"}
COMBINED = (*FAMILIES, "last_period", "seasonal")
TOO_FEW_REPS = N_("there are too few other reps for their past to stand behind a forecast")
NOT_MADE = N_("the batch made no forecast of the company: it says why on the manager's page")
OF_THE_REPS = N_(
    "On {n} past days forecasts for {lead} days ahead were off by {ours} for a rep, the run-rate by {naive}; the 80 % "
    "range held {held} of the time."
)


def forecast_peers(book: Book, period: str | Period | None = None, unit: Unit = "amount") -> pd.DataFrame:
    """What a rep's forecast is made of besides the rep's own deals: one table for all, so that none can be compared.

    The rules are those of `peer_table`: behind each figure stand at least six reps, none of whom holds more than half
    of it, or of what is left when two others take out their own part; shares and chances are rounded to 5 points,
    chances below a tenth to one point, everything else to two significant digits; counts are left out. What only says
    how the forecast is made (weight, history, lead, origins) is no figure of people and is not rounded.

    Returns figure, method, pipeline, stage, age_from (days), value (null where hidden), step (the rounding), reps (at
    least so many; 0 where hidden), hidden. Figures, all for the days from as_of to the end of the period:
        chance     of a deal at a stage from an age on
        arriving   wins that one new deal a day brings
        weight     of each method in the combination
        season     the company's same time before over its run-rate
        history    days behind the run-rate
        right      what sums of open and of new deals (`method`) are multiplied with
        error      of the model, relative, for a rep
        amount     of a win (`method` mean), and the mean of its square (square)
        lead, origins, wape (by method), held (share of actual values in the 80 % range), for reps
    No rows where nothing can be forecast.
    """
    try:
        past = Past(book, unit)
        span = period_ahead(book, period)
    except Unavailable:
        return pd.DataFrame(columns=COLUMNS).astype(KINDS)
    if len(past.wins) < FEWEST_WINS:
        return pd.DataFrame(columns=COLUMNS).astype(KINDS)
    own = judge_past(past, span, (), ORIGINS)[0]
    rows = [*_chances(past, own), *_of_all(past, own)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(KINDS)


def _row(figure: str, value: float, n: Held, rounding: Rounding = in_digits, **place: Any) -> list[Any]:
    """A figure, rounded; hidden where too few stand behind it. `n`: by rep."""
    return [figure, *(place.get(c) for c in ("method", "pipeline", "stage", "age_from")), *shown(value, n, rounding)]


def _as_it_is(value: float) -> tuple[float, float]:
    return value, 0.0


def _chances(past: Past, own: Judged) -> list[list[Any]]:
    """Chances by stage and age."""
    ages, s = past.lexis.ages, past.stays
    band = np.searchsorted(ages, np.arange(ages[-1] + 1), side="right") - 1
    chance = own.views.chances["hazard" if own.source[-1] == "features" else own.source[-1]][-1]
    reached = np.searchsorted(ages, s.exited - s.entered, side="right") - 1
    rep, reps = past.owner[s.deal], len(past.reps) - 1  # deals of nobody stand for nobody
    rows = []
    for state, (pipeline, stage) in enumerate(s.states):
        place: dict[str, Any] = {"pipeline": pipeline, "stage": stage}
        here = (s.state == state) & (rep < reps)
        everybody = np.bincount(rep[here], minlength=reps).astype(float)
        rows.append(_row("arriving", float(own.views.arriving[-1][state]), everybody, **place))
        for b, age in enumerate(ages):
            there = np.bincount(rep[here & (reached >= b)], minlength=reps).astype(float)
            mean = float(chance[state, band == b].mean())
            rows.append(_row("chance", mean, there, in_small_points, age_from=int(age), **place))
    return rows


def _of_all(past: Past, own: Judged) -> list[list[Any]]:
    low, high = np.searchsorted(past.win_day, [past.today - YEAR, past.today])
    value, reps = past.win_value[low:high], len(past.reps) - 1
    n, held, squares = (
        np.bincount(past.win_rep[low:high], what, minlength=reps + 1)[:reps]
        for what in (np.ones(len(value)), value.clip(min=0), value**2)
    )
    rate, season = (float(own.mean[m][-1].sum()) for m in ("run_rate", "seasonal"))
    source = own.source[-1] if own.source[-1] in own.right else "hazard"
    share = 1 / len(own.members[-1])
    found = [_row("weight", share * (m in own.members[-1]), n, _as_it_is, method=m) for m in COMBINED]
    found.append(_row("season", season / rate if rate > 0 else 1.0, n))
    found.append(_row("history", float(past.today - past.rate_since(past.today)), n, _as_it_is))
    found += [_row("right", float(own.right[source][-1][k]), n, method=m) for k, m in enumerate(("open", "new"))]
    found.append(_row("error", float(np.sqrt(own.error["combined", "rep"][-1])), n))
    found.append(_row("amount", float(value.mean()), held, method="mean"))
    found.append(_row("amount", float((value**2).mean()), squares, method="square"))
    rows = scored(own, past.today, ORIGINS)
    found += [_row("lead", own.views.window.lead, n, _as_it_is), _row("origins", len(rows), n, _as_it_is)]
    for row in score(own, rows) if len(rows) else []:
        if row["level"] == "rep" and row["method"] in ("combined", "run_rate"):
            found.append(_row("wape", row["wape"], n, in_points, method=row["method"]))
            if row["method"] == "combined":
                found.append(_row("held", row["covered_80"], n, in_points))
    return found


@dataclass(frozen=True)
class Company:
    """The table of `forecast_peers`, looked up."""

    table: pd.DataFrame

    def figure(self, name: str, method: str | None = None) -> float:
        """Null where there is none."""
        rows = self.table[self.table["figure"] == name]
        rows = rows if method is None else rows[rows["method"] == method]
        return float(rows["value"].iloc[0]) if len(rows) else float("nan")

    @property
    def square(self) -> float:
        """The mean square of a win; where it would show one rep's largest wins, that of exponential amounts."""
        known = self.figure("amount", "square")
        return 2 * self.figure("amount", "mean") ** 2 if np.isnan(known) else known

    def chances(self, past: Past, here: Open) -> Floats:
        """Of each open deal; that of the next younger age where too few reps stand behind that of its own."""
        rows = self.table[(self.table["figure"] == "chance") & ~self.table["hidden"]]
        found = np.full(len(here.deal), np.nan)
        band = past.lexis.ages_of(here.age)
        for state, (pipeline, stage) in enumerate(past.stays.states):
            own = rows[(rows["pipeline"] == pipeline) & (rows["stage"] == stage)].sort_values("age_from")
            if own.empty:
                continue
            at = np.flatnonzero(here.state == state)
            known = np.searchsorted(own["age_from"].to_numpy("int64"), band[at], side="right") - 1
            found[at] = np.where(known >= 0, own["value"].to_numpy()[known], np.nan)
        return found

    def arriving(self, past: Past) -> Floats:
        rows = self.table[(self.table["figure"] == "arriving") & ~self.table["hidden"]]
        known = {(r["pipeline"], r["stage"]): r["value"] for r in rows.to_dict("records")}
        return np.array([known.get(state, 0.0) for state in past.stays.states])


def forecast_of_rep(
    book: Book, peers: pd.DataFrame, period: str | Period | None = None, unit: Unit = "amount"
) -> Forecast:
    """A rep's own forecast, from the rep's slice and the company's figures (`forecast_peers`, of the same period).

    `table` has one row, `deals` the rep's open deals with their chances (similar_n and similar_won are null: counts of
    others are not shown); the back-test is told as a sentence, `headline`. Raises Unavailable where the company's
    figures are hidden or missing.
    """
    if peers.empty:
        raise Unavailable(NOT_MADE)
    company = Company(peers)
    if np.isnan(company.figure("error")) or (unit == "amount" and np.isnan(company.figure("amount", "mean"))):
        raise Unavailable(TOO_FEW_REPS)
    by_stage = not (peers["stage"] == ALL_STAGES).any()
    past, span = Past(book, unit, by_stage), period_ahead(book, period)
    here = past.open_at(past.today)
    typical = company.figure("amount", "mean") if unit == "amount" else 1.0
    value = np.where(here.value > 0, here.value, typical)
    chance = company.chances(past, here)
    told = np.nan_to_num(chance)
    expected = told * value * company.figure("right", "open")
    rate = _rate(past, span, company)
    arrivals = Arrivals(past, past.today)
    new, new_noise = (float(x.sum()) for x in arrivals.of(company.arriving(past)))
    new, new_noise = (x * company.figure("right", "new") for x in (new, new_noise))
    means = {"run_rate": rate, "seasonal_share": rate * company.figure("season"), "pipeline": expected.sum() + new}
    means |= {"seasonal": means["seasonal_share"], "last_period": _last_period(past, span)}
    noise = {m: v * _kappa(past, company) for m, v in means.items()}
    noise["pipeline"] = float((told * (1 - told) * value**2).sum()) + new_noise
    weights = {m: company.figure("weight", m) for m in COMBINED}
    rest, chance_noise = (sum(w * x[m] for m, w in weights.items()) for x in (means, noise))
    expected = expected * min(1.0, rest / expected.sum()) if expected.sum() > 0 else expected
    variance = chance_noise + (company.figure("error") * rest) ** 2
    won = float(won_so_far(past, span).sum())
    wins = rest / _size(past, company)
    row: dict[str, Any] = {"level": "rep", "value": won + rest, "won": won, "open": expected.sum()}
    row |= {"new": rest - expected.sum(), "variance": variance, "wins": wins, "n": len(here.deal)}
    row |= {name: won + float(end) for name, end in Spread(rest, variance, wins).ranges().items()}
    row |= {"open_amount": value.sum(), "method": " + ".join(m for m, w in weights.items() if w > 0)}
    row |= {"first_day": span.start_on, "last_day": span.end_on}
    people = book.people
    named = people[people["rep_id"].isin([r for r in past.reps if r != UNASSIGNED])].head(1)
    row |= {c: named[c].iloc[0] if len(named) else None for c in ("team", "rep_id", "rep")}
    table = with_calls(past, pd.DataFrame([row]), span).reindex(columns=TABLE)
    days = {"first_day": "datetime64[us]", "last_day": "datetime64[us]"}
    table = table.astype(dict.fromkeys(("level", "team", "rep_id", "rep", "method"), "str") | days)
    return Forecast(
        table,
        len(here.deal),
        deals=_deals(past, here, chance, expected, named),
        period=span,
        first_day=pd.Timestamp(np.datetime64(past.today, "D")),
        lead=int(company.figure("lead")),
        origins=int(np.nan_to_num(company.figure("origins"))),
        currency="" if unit == "deals" else single_currency(book),
        headline=_headline(company),
    )


def _rate(past: Past, span: Period, company: Company) -> float:
    """The rep's run-rate over the days that the company's rests on."""
    history = int(company.figure("history"))
    return float(past.won_between(past.today - history, past.today).sum()) / history * window_of(past, span).days


def _last_period(past: Past, span: Period) -> float:
    return float(past.won_between(past.today - window_of(past, span).days, past.today).sum())


def _own_wins(past: Past) -> Floats:
    low, high = np.searchsorted(past.win_day, [past.today - YEAR, past.today])
    return past.win_value[low:high]


def _size(past: Past, company: Company) -> float:
    own = _own_wins(past)
    return (float(own.sum()) + SIZE_WINS * company.figure("amount", "mean")) / (len(own) + SIZE_WINS)


def _kappa(past: Past, company: Company) -> float:
    own = _own_wins(past)
    square = float((own**2).sum()) + SIZE_WINS * company.square
    return square / (float(own.sum()) + SIZE_WINS * company.figure("amount", "mean"))


def _deals(past: Past, here: Open, chance: Floats, expected: Floats, named: pd.DataFrame) -> pd.DataFrame:
    deals = past.book.deals.iloc[here.deal]
    table = pd.DataFrame({c: deals[c].to_numpy() for c in ("deal_id", "rep_id", "pipeline", "stage")})
    table = table.assign(age_days=here.age.astype(float), amount=np.where(here.known, here.value, np.nan))
    table = table.assign(
        chance=chance, expected=expected, low=np.nan, high=np.nan, similar_n=np.nan, similar_won=np.nan
    )
    for name in ("rep", "team"):
        table[name] = pd.Series(named[name].iloc[0] if len(named) else None, table.index, dtype="str")
    return table[DEALS].sort_values(["expected", "deal_id"], ascending=[False, True], ignore_index=True)


def _headline(company: Company) -> Advice | None:
    ours, naive, held = company.figure("wape", "combined"), company.figure("wape", "run_rate"), company.figure("held")
    if np.isnan(ours):
        return None
    n, lead = int(company.figure("origins")), int(company.figure("lead"))
    return Advice(
        OF_THE_REPS, {"n": n, "lead": lead, "ours": f"{ours:.0%}", "naive": f"{naive:.0%}", "held": f"{held:.0%}"}
    )
