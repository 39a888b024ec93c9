"""What goes with deciding sooner or later: log-rank tests and proportional hazards, late entries included."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.compare import FALSE_DISCOVERY
from salescoach.metrics.cycle import started_deals
from salescoach.metrics.estimate import Z95
from salescoach.metrics.ladder import ladder_days
from salescoach.models import guard
from salescoach.models.design import Design, Driver, Levels, as_text, independent, is_number, read_driver
from salescoach.models.fit import Advice, Fit
from salescoach.models.rates import Floats
from salescoach.models.time import NO_DEALS, entry_days
from salescoach.models.units import INDUSTRY
from salescoach.process import Period
from salescoach.wording import N_

TRAITS = ("pipeline", "deal_type", "segment", "product", "lead_source", INDUSTRY)
PER_COLUMN = 10  # ends for each column of the fit
FADES = 0.01  # p of the test that an effect is the same early and late
HALF_DAY = 0.5  # the regression would count a deal that comes under observation on the day of an end as at risk
NOT_STEADY = N_(
    "What goes with {driver} is not the same early and late in a deal's life; the ratio is a mean over both."
)
Until = Literal["decided", "won", "lost"]


@dataclass(frozen=True)
class PaceFit(Fit):
    """Ratios of pace, and the fields that were asked for or known but not used, with why (`refused`).

    ends   deals that came to the end in question
    """

    ends: int = 0
    refused: pd.DataFrame | None = None


def proportional_hazards(time: Any, ended: Any, matrix: Floats, entry: Any = None) -> Any:
    """statsmodels' PHReg with Efron's treatment of ties, fitted: params, bse, cov_params().

    time, entry   days; an entry after the start is moved by half a day, because PHReg counts who enters on the day of
                  an end as at risk in it, unlike R and Kaplan-Meier. Who ended before the entry is left out.
    """
    from statsmodels.duration.hazard_regression import PHReg

    time, ended = np.asarray(time, float), np.asarray(ended, bool)
    entry = np.zeros(len(time)) if entry is None else np.asarray(entry, float)
    seen = (entry <= 0) | (entry < time)
    start = np.where(entry > 0, entry + HALF_DAY, 0.0)
    late = start[seen] if (entry[seen] > 0).any() else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be told apart was left out before
        return PHReg(time[seen], matrix[seen], ended[seen].astype(int), entry=late, ties="efron").fit(disp=False)


def log_rank(time: Any, ended: Any, groups: Any, entry: Any = None) -> tuple[float, int, float]:
    """Whether groups end at the same pace: χ², degrees of freedom, p (Mantel 1966)."""
    from statsmodels.duration.survfunc import survdiff

    groups = np.asarray(groups)
    late = None if entry is None or not (np.asarray(entry) > 0).any() else np.asarray(entry, float)
    chi2, p = survdiff(np.asarray(time, float), np.asarray(ended, int), groups, entry=late)
    return float(chi2), len(np.unique(groups)) - 1, float(p)


def time_regression(
    book: Book,
    period: str | Period | None = None,
    drivers: Sequence[str] | None = None,
    until: Until = "decided",
) -> PaceFit:
    """What goes with coming sooner to a decision, a win or a loss: Cox's proportional hazards, everything else equal.

    Deals whose first contact lies in the period, followed as in `fit_time_to_decision`; with until="won" a loss ends
    the watching, and the other way round.

    drivers   columns of the deals known when they are created; nothing: those of pipeline, deal_type, segment, product,
              lead_source and the account's industry that the data have. Columns that know the outcome are refused

    Returns a PaceFit with driver, level (null for numbers), reference, n, value (ratio of the pace: 2 = twice as soon),
    low, high (95 %), p, q (Benjamini-Hochberg over all rows), signal (sooner, later, none). Raises Unavailable where
    fewer than ten deals for each column came to the end; UsageError for a column that there is not.
    """
    if until not in get_args(Until):
        raise UsageError("until={until!r} is unknown.{hint}", until=until, hint=suggestion(until, get_args(Until)))
    deals = with_industry(book, started_deals(book, period)).reset_index(drop=True)
    if deals.empty:
        raise Unavailable(NO_DEALS)
    entry, _ = entry_days(book, deals)
    days = ladder_days(deals["age"].to_numpy())
    ended = (deals["ended"] & (deals["won"] if until == "won" else ~deals["won"] | (until == "decided"))).to_numpy(bool)
    asked, refused = _asked(book, deals, drivers)
    chosen = _affordable(deals, asked, int(ended.sum()))
    design = Design(tuple(chosen))
    matrix = design.matrix(design.code(deals))
    kept = [c for c in independent(matrix, np.ones(len(deals))) if c > 0]
    fit = proportional_hazards(days, ended, matrix[:, kept], entry)
    table = _rows(deals, design, kept, fit)
    table["q"] = _q(table["p"])
    named = table["q"] <= FALSE_DISCOVERY
    words = np.select([named & (table["value"] > 1), named], ["sooner", "later"], "none")
    table["signal"] = pd.Series(words, table.index, dtype="str")
    out = pd.DataFrame(list(refused.items()), columns=["field", "why"])
    return PaceFit(
        table,
        len(deals),
        _unsteady(days, ended, entry, matrix[:, kept], [design.names[c][0] for c in kept], fit.params),
        int(ended.sum()),
        out,
    )


def with_industry(book: Book, deals: pd.DataFrame) -> pd.DataFrame:
    """The deals with their accounts' industry, where the data have it."""
    if INDUSTRY in deals or not book.has("accounts", "account_id", INDUSTRY) or "account_id" not in deals:
        return deals
    known = book.table("accounts").drop_duplicates("account_id").set_index("account_id")[INDUSTRY]
    return deals.assign(**{INDUSTRY: deals["account_id"].map(known).astype("str")})


def _asked(book: Book, deals: pd.DataFrame, drivers: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The columns to be fitted, and the refused ones with why."""
    for name in drivers or ():
        if name not in deals:
            raise UsageError("There is no column {name!r}.{hint}", name=name, hint=suggestion(name, deals.columns))
    asked = [c for c in (TRAITS if drivers is None else drivers) if c in deals and deals[c].notna().any()]
    refused, _ = guard.judge_columns(book)
    ended = deals["ended"].to_numpy(float)
    for name in asked:
        # a value that only open deals have, or only closed ones, is written at the close
        why = guard.refused_by_values(deals[name], np.ones(len(deals)), ended)
        if why is not None:
            refused.setdefault(name, why)
    return [c for c in asked if c not in refused], {c: refused[c] for c in asked if c in refused}


def _affordable(deals: pd.DataFrame, names: Sequence[str], ends: int) -> list[Driver]:
    """The first of these for whose columns enough deals came to the end."""
    room, chosen = ends / PER_COLUMN, []
    for name in names:
        values = deals[name] if is_number(deals[name]) else as_text(deals[name])
        driver = read_driver(values.rename(name), np.ones(len(deals)))
        if 0 < len(driver.columns) <= room:
            chosen.append(driver)
            room -= len(driver.columns)
    if not chosen:
        raise Unavailable("too few deals came to an end, or nothing is known of them that could go with their pace")
    return chosen


def _rows(deals: pd.DataFrame, design: Design, kept: list[int], fit: Any) -> pd.DataFrame:
    by_name = {d.name: d for d in design.drivers}
    found = []
    for column, log, se in zip(kept, fit.params, fit.bse, strict=True):
        name, level = design.names[column]
        driver = by_name[name]
        named = isinstance(driver, Levels)
        here = (
            driver.code(deals[name]) == driver.levels.index(level)
            if isinstance(driver, Levels)
            else deals[name].notna()
        )
        ends = np.exp([log, log - Z95 * se, log + Z95 * se])
        first = driver.levels[0] if isinstance(driver, Levels) else None
        found.append([name, level if named or level else None, first, int(np.sum(here)), *ends, log / se])
    table = pd.DataFrame(found, columns=["driver", "level", "reference", "n", "value", "low", "high", "z"])
    from scipy.special import ndtr

    table["p"] = 2 * ndtr(-table["z"].abs().to_numpy(float))
    return table.drop(columns="z").astype({"level": "str", "reference": "str"})


def _q(p: pd.Series) -> Floats:
    from statsmodels.stats.multitest import multipletests

    q: Floats = multipletests(p.to_numpy(float), method="fdr_bh")[1]
    return q


def _unsteady(
    time: Floats, ended: Any, entry: Floats, matrix: Floats, names: Sequence[str], log: Any
) -> tuple[Advice, ...]:
    """Drivers whose ratio changes with a deal's age: Schoenfeld residuals that go with the order of the
    ends (Grambsch & Therneau 1994)."""
    from scipy.stats import pearsonr, rankdata

    seen = (entry <= 0) | (entry < time)
    time, ended, entry, matrix = time[seen], np.asarray(ended)[seen], entry[seen], matrix[seen]
    weight = np.exp(matrix @ log)[:, None] * np.hstack([np.ones((len(time), 1)), matrix])
    ends = time[ended]
    at_risk = _sum_from(time, weight, ends) - _sum_from(entry, weight, ends)
    residuals = matrix[ended] - at_risk[:, 1:] / at_risk[:, :1]
    unsteady = [
        name
        for name, residual in zip(names, residuals.T, strict=True)
        if np.ptp(residual) > 0 and pearsonr(rankdata(ends), residual).pvalue < FADES / len(names)
    ]
    return tuple(Advice(NOT_STEADY, {"driver": name}) for name in dict.fromkeys(unsteady))


def _sum_from(time: Floats, weight: Floats, start: Floats) -> Floats:
    """The sum of the weights of those whose time is not before each start."""
    order = np.argsort(time, kind="stable")
    below = np.vstack([np.zeros((1, weight.shape[1])), np.cumsum(weight[order], axis=0)])
    found: Floats = below[-1] - below[np.searchsorted(time[order], start)]
    return found
