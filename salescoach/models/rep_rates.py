"""Reps' win rates like for like: what each one's number of deals and mix allow to say, and whom to name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.compare import ENOUGH, FALSE_DISCOVERY
from salescoach.metrics.estimate import wilson
from salescoach.metrics.support import REPS_NEEDED, SPREAD
from salescoach.metrics.visits import owner_changes
from salescoach.models import guard
from salescoach.models.fit import Advice, Fit
from salescoach.models.limits import funnel_limits, overdispersion
from salescoach.models.mix import FEW_REPS, affordable, against_mix
from salescoach.models.rates import Floats, Shrunk, shrink_rates
from salescoach.models.units import INDUSTRY, QUARTER_END, won_units
from salescoach.process import Period
from salescoach.wording import N_

MIX = (QUARTER_END, "pipeline", "deal_type", "segment", "product", "lead_source", INDUSTRY)
COLUMNS = ["rep_id", "rep", "n", "won", "value", "low", "high", "expected", "ratio", "like_for_like", "shrunk"]
COLUMNS += ["shrunk_low", "shrunk_high", "z", "p", "q", "outside", "signal"]
HANDED_OVER = N_("{n} decided deals that changed hands are left out: they are not one person's work.")
NO_OWNER = N_("{n} decided deals without a rep are left out.")
APART = N_("There are fewer than eight reps, so each one is held against what the deals of the others let expect.")
WIDER = N_(
    "The reps differ more than chance and the mix of their deals explain. The limits are widened by that, so that only "
    "those are named who stand out among reps who differ."
)


@dataclass(frozen=True)
class RepRates(Fit):
    """Win rates of reps, like for like.

    rate                              won / n over all reps
    mu, mu_low, mu_high               mean of the reps' true rates, with its 95 % interval
    spread, spread_low, spread_high   standard deviation of the true rates between reps, with its 95 % interval
    mix                               the fields by which deals are like each other
    phi, tau2                         overdispersion: mean z², and the variance by which the limits are widened
    shrunk                            the fit of the rates itself, groups in the order of the table, for draws
    """

    rate: float = np.nan
    mu: float = np.nan
    mu_low: float = np.nan
    mu_high: float = np.nan
    spread: float = np.nan
    spread_low: float = np.nan
    spread_high: float = np.nan
    mix: tuple[str, ...] = ()
    phi: float = np.nan
    tau2: float = 0.0
    shrunk: Shrunk | None = None

    def limits(self, n: Floats) -> pd.DataFrame:
        """Between which rates reps with so many decided deals lie if they are like the others.

        Columns of `funnel_limits`.
        """
        return funnel_limits(n, self.rate, self.tau2)


def rated_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals behind `rep_rates`: decided in the period, by one rep from beginning to end; `won` says how."""
    return _rated(book, won_units(book, period))


def _rated(book: Book, units: pd.DataFrame) -> pd.DataFrame:
    kept = units[_own(book, units) & units["rep_id"].notna()]
    return kept.assign(won=kept["outcome"] == 1)


def _own(book: Book, units: pd.DataFrame) -> pd.Series:
    moved = owner_changes(book)
    return ~units["deal"].isin(moved.loc[moved["old"].notna(), "deal"])


def rep_rates(book: Book, period: str | Period | None = None, mix: Sequence[str] | None = None) -> RepRates:
    """The win rate of each rep beside what chance and the rep's mix of deals allow.

    Decided deals of one rep from beginning to end, credited to that rep. expected: what the rep's own mix lets expect,
    by a binomial regression on fields known when a deal is created and on whether the decision came in the last month
    of a quarter (`against_mix`). like_for_like = rate + (won - expected) / n. Rates are drawn together by
    `shrink_rates` on the like-for-like ones. A name is given by Benjamini-Hochberg at a false-discovery rate of 10 %,
    and only to who lies outside the limits of 95 % too; nobody is judged on fewer than ten decided deals.

    mix   the fields to be used; nothing: those of quarter_end, pipeline, deal_type, segment, product, lead_source and
          industry that the data have, that do not know the outcome or the rep, and that there are enough deals for

    Returns a RepRates whose table has, in the order of names: rep_id, rep, n, won, value, low, high (95 % Wilson),
    expected, ratio (won / expected), like_for_like, shrunk, shrunk_low, shrunk_high, z, p, q, outside (0, 95 or 99.8:
    the limits that the like-for-like rate is beyond), signal (above, below, none, few).

    Raises Unavailable where fewer than three reps have ten decided deals, UsageError for a field that there is not.
    """
    units = won_units(book, period)
    deals = _rated(book, units)
    if (deals["rep_id"].value_counts() >= ENOUGH).sum() < REPS_NEEDED:
        raise Unavailable("fewer than {n} reps have {deals} decided deals of their own", n=REPS_NEEDED, deals=ENOUGH)
    fields = affordable(deals, _fields(book, deals, mix))
    table = against_mix(deals, fields)
    names = book.people.set_index("rep_id")["rep"]
    table["rep"] = table["rep_id"].map(names).astype("str").fillna(table["rep_id"])
    table = table.sort_values(["rep", "rep_id"], kind="stable", ignore_index=True)
    n, rate = table["n"].to_numpy(float), float(deals["won"].mean())
    table["value"], table["low"], table["high"] = wilson(table["won"], n)
    table["like_for_like"] = rate + (table["won"] - table["expected"]) / n
    shrunk = shrink_rates(np.clip(table["like_for_like"].to_numpy(float), 0, 1) * n, n)
    table["shrunk"], table["shrunk_low"], table["shrunk_high"] = shrunk.mean, shrunk.low, shrunk.high
    judged = ((table["n"] >= ENOUGH) & (table["variance"] >= SPREAD)).to_numpy()
    phi, tau2 = _overdispersed(table[judged], rate)
    table["q"] = _q(table["p"].to_numpy(float), judged)
    table["outside"] = _outside(table["like_for_like"], funnel_limits(n, rate, tau2))
    named = judged & (table["q"] <= FALSE_DISCOVERY) & (table["outside"] > 0)
    words = np.select([~judged, named & (table["z"] > 0), named], ["few", "above", "below"], "none")
    table["signal"] = pd.Series(words, table.index, dtype="str")
    advice = _advice(units, book, len(table), tau2)
    team = (shrunk.mu, shrunk.mu_low, shrunk.mu_high, shrunk.spread, shrunk.spread_low, shrunk.spread_high)
    return RepRates(table[COLUMNS], len(deals), advice, rate, *team, fields, phi, tau2, shrunk)


def _fields(book: Book, deals: pd.DataFrame, asked: Sequence[str] | None) -> list[str]:
    """The fields that may say which deals are alike."""
    if asked is not None:
        for name in asked:
            if name not in deals:
                raise UsageError("There is no column {name!r}.{hint}", name=name, hint=suggestion(name, deals.columns))
        return list(asked)
    refused, _ = guard.judge_columns(book)
    known = [c for c in MIX if c in deals and c not in refused]
    n, won = np.ones(len(deals)), deals["outcome"].to_numpy(float)
    known = [c for c in known if guard.refused_by_values(deals[c], n, won) is None]
    return [c for c in known if not guard.follows_people(deals, c)]


def _overdispersed(table: pd.DataFrame, rate: float) -> tuple[float, float]:
    if table.empty or not 0 < rate < 1:
        return np.nan, 0.0
    z = (table["won"] - table["expected"]) / np.sqrt(table["variance"])
    return overdispersion(z, rate * (1 - rate) / table["n"])


def _q(p: Floats, judged: np.ndarray) -> Floats:  # type: ignore[type-arg]
    from statsmodels.stats.multitest import multipletests

    q = np.full(len(p), np.nan)
    if judged.any():
        q[judged] = multipletests(p[judged], method="fdr_bh")[1]
    return q


def _outside(rate: pd.Series, limits: pd.DataFrame) -> Floats:
    """The widest limits that each rate is beyond: 0, 95 or 99.8."""
    beyond = [(rate < limits[f"lower_{name}"]) | (rate > limits[f"upper_{name}"]) for name in ("998", "95")]
    return np.select(beyond, [99.8, 95.0], 0.0)


def _advice(units: pd.DataFrame, book: Book, reps: int, tau2: float) -> tuple[Advice, ...]:
    own = _own(book, units)
    found = [
        (int((~own).sum()), HANDED_OVER),
        (int((own & units["rep_id"].isna()).sum()), NO_OWNER),
    ]
    advice = [Advice(text, {"n": n}) for n, text in found if n]
    advice += [Advice(APART)] if reps < FEW_REPS else []
    return (*advice, Advice(WIDER)) if tau2 > 0 else tuple(advice)
