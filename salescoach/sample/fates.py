"""Who gets further: shares that hold in the margin, effects that hold for each deal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from salescoach.sample.arrivals import Deals
from salescoach.sample.clock import DAY, NEVER, Flags, Numbers, Positions, Seconds, iso_date, month_of_year
from salescoach.sample.staff import Staff
from salescoach.sample.truth import STAGES, Truth

FEWEST_QUOTES_TO_JUDGE = 4


@dataclass(frozen=True)
class Coaching:
    """One session: whom, when (local seconds), and its effect in logit."""

    rep: int
    at: int
    logit: float


@dataclass(frozen=True)
class Fates:
    """Which entrants of one stage get further, the intercept used, and any coaching on the way."""

    advance: Flags
    intercept: float
    coaching: tuple[Coaching, ...] = ()


def logistic(logit: Numbers) -> Numbers:
    """Probability of a logit."""
    probability: Numbers = 1 / (1 + np.exp(-logit))
    return probability


def intercept_for(share: float, leaning: Numbers) -> float:
    """The intercept at which the mean probability is `share`, by Newton's steps."""
    intercept = float(np.log(share / (1 - share)))
    for _ in range(8 if len(leaning) else 0):
        chance = logistic(intercept + leaning)
        intercept -= float((chance.mean() - share) / (chance * (1 - chance)).mean())
    return intercept


def draw(chances: Numbers, exact: bool, chance: np.random.Generator) -> Flags:
    """True with each deal's own probability; `exact` also fixes the total to the sum of them.

    Systematic sampling in random order: one start, then a step of one along the
    running sum. Singles keep their probabilities, the total loses its luck.
    """
    if not exact:
        return chance.random(len(chances)) < chances
    order = chance.permutation(len(chances))
    steps = np.floor(np.cumsum(chances[order]) + chance.random())
    drawn = np.zeros(len(chances), dtype=bool)
    drawn[order] = np.diff(steps, prepend=0.0) > 0
    return drawn


def leaning(stage: int, deals: Deals, owner: Positions, at: Seconds, staff: Staff, truth: Truth) -> Numbers:
    """Logit of each deal's skill and drivers in a stage, each driver centred."""
    logit: Numbers = staff.skill[owner, stage].copy()
    if STAGES[stage] == "prospect":
        logit += truth.response_logit * deals.response_doublings
        logit += truth.season_logit * np.cos(2 * np.pi * (month_of_year(at) - 2) / 12)
    if STAGES[stage] == "quote":
        logit += truth.contacts_logit * _centred(deals.contacts >= 2)
    if STAGES[stage] == "contract":
        logit += truth.competitor_logit * _centred(deals.competitor >= 0)
    if STAGES[stage] in ("quote", "contract"):
        logit += truth.amount_logit * _centred(np.log(deals.amount))
    return logit


def _centred(values: Numbers | Flags) -> Numbers:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers - numbers.mean() if len(numbers) else numbers


def take(deals: Deals, chosen: Positions | Flags) -> Deals:
    """The deals at these positions."""
    return replace(deals, **{name: values[chosen] for name, values in vars(deals).items()})


def fates_without_coaching(share: float, logit: Numbers, truth: Truth, chance: np.random.Generator) -> Fates:
    """Fates in a stage where nobody is coached."""
    intercept = intercept_for(share, logit)
    return Fates(draw(logistic(intercept + logit), truth.exact_shares, chance), intercept)


def fates_with_coaching(
    share: float,
    logit: Numbers,
    at: Seconds,
    owner: Positions,
    staff: Staff,
    truth: Truth,
    waves: Sequence[int],
    seed_of_draws: int,
) -> Fates:
    """Fates in quote, where the worst of each last quarter are coached as the book goes on.

    Whom to coach follows from fates and fates from coaching, so the intercept is
    found by running the whole course again until the margin holds.
    """
    intercept = intercept_for(share, logit)
    for _ in range(8):
        chance = np.random.Generator(np.random.PCG64(seed_of_draws))
        advance, chances, coaching = _course(intercept, logit, at, owner, staff, truth, waves, chance)
        miss = share - float(chances.mean())
        if abs(miss) < 0.0005:
            break
        intercept += miss / (share * (1 - share))
    return Fates(advance, intercept, coaching)


def _course(
    intercept: float,
    logit: Numbers,
    at: Seconds,
    owner: Positions,
    staff: Staff,
    truth: Truth,
    waves: Sequence[int],
    chance: np.random.Generator,
) -> tuple[Flags, Numbers, tuple[Coaching, ...]]:
    advance = np.zeros(len(logit), dtype=bool)
    chances = np.zeros(len(logit))
    effective_from = np.full(len(staff.rep_id), NEVER, dtype=np.int64)
    candidates = staff.plain()
    coaching: list[Coaching] = []
    edges = [-NEVER, *waves, NEVER]
    for wave, (begin, end) in enumerate(pairwise(edges)):
        if wave:
            for session in _sessions(begin, advance, at, owner, candidates, truth):
                candidates[session.rep] = False
                coaching.append(session)
                if session.logit:
                    effective_from[session.rep] = session.at + truth.coaching_delay_days * DAY
        now = (at >= begin) & (at < end)
        lift = truth.coaching_logit * (at[now] >= effective_from[owner[now]])
        chances[now] = logistic(intercept + logit[now] + lift)
        advance[now] = draw(chances[now], truth.exact_shares, chance)
    return advance, chances, tuple(coaching)


def _sessions(
    wave: int, advance: Flags, at: Seconds, owner: Positions, candidates: Flags, truth: Truth
) -> list[Coaching]:
    """Sessions of one wave: the worst of the last quarter, every third of them without effect."""
    last_quarter = (at >= wave - 91 * DAY) & (at < wave - 7 * DAY)
    entered = np.bincount(owner[last_quarter], minlength=len(candidates))
    advanced = np.bincount(owner[last_quarter & advance], minlength=len(candidates))
    judged = np.flatnonzero(candidates & (entered >= FEWEST_QUOTES_TO_JUDGE))
    worst_first = judged[np.argsort(advanced[judged] / entered[judged], kind="stable")]
    wanted = truth.coached_per_wave + truth.placebo_per_wave
    # The second worst gets the placebo, so that both groups were chosen alike.
    placebo = set(range(1, 1 + 2 * truth.placebo_per_wave, 2))
    return [
        Coaching(int(rep), wave + 10 * 3_600, 0.0 if place in placebo else truth.coaching_logit)
        for place, rep in enumerate(worst_first[:wanted])
    ]


def coaching_record(coaching: Sequence[Coaching], staff: Staff, truth: Truth) -> list[dict[str, object]]:
    """The sessions, ready for JSON."""
    return [
        {
            "rep_id": staff.rep_id[session.rep],
            "on": iso_date(session.at),
            "stage": "quote",
            "effect_logit": session.logit,
            "effective_from": iso_date(session.at + truth.coaching_delay_days * DAY),
        }
        for session in coaching
    ]
