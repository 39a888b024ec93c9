"""The pace of deals through their stages: rates by stage, age and month of the quarter, and where they lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from salescoach.metrics.lexis import Lexis

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]
MONTHS = 3  # of a quarter
HALF_LIFE = 60.0  # days after which what was seen counts half
PSEUDO = 5.0  # events with which a cell is drawn towards the product of its age and its month
ROUNDS = 60
CLOSE = 1e-9
RAREST = 1e-7  # a rate below this is never given: what has not been seen yet may come


def rates_before(counts: Lexis, origins: Whole, months: Whole) -> Floats:
    """The daily rates known at each origin; by month of the quarter where that has told the weeks so far better.

    Judged by the Poisson likelihood of what came between each origin and the next, under the rates known at the first.

    months   month of the quarter (0..2) of each day of `counts`
    """
    exposure, exits = weighted(counts, origins, months)
    ever = weighted(counts, origins, months, np.inf)
    monthly = fit_rates(exposure, exits, fit_rates(*ever))
    whole = [x.sum(-1, keepdims=True) for x in (exposure, exits, *ever)]
    steady = np.broadcast_to(fit_rates(whole[0], whole[1], fit_rates(whole[2], whole[3])), monthly.shape)
    gain = _told(counts, origins, months, monthly) - _told(counts, origins, months, steady)
    ahead = np.append(0.0, np.cumsum(gain))[: len(origins)] > 0  # what came after an origin is known at the next one
    found: Floats = np.where(ahead[:, None, None, None, None], monthly, steady)
    return found


def weighted(counts: Lexis, origins: Whole, months: Whole, half_life: float = HALF_LIFE) -> tuple[Floats, Floats]:
    """Exposure `[origin, state, age, month]` and exits `[origin, state, to, age, month]` before each origin."""
    days = counts.first_day + np.arange(counts.at_risk.shape[1])
    back = origins[:, None] - days[None, :]
    weight = np.where(back > 0, 0.5 ** (np.maximum(back, 0) / half_life), 0.0)
    return _by_month(counts, weight, months)


def _by_month(counts: Lexis, weight: Floats, months: Whole) -> tuple[Floats, Floats]:
    """Exposure and exits of the days, weighted `[origin, day]`, apart by month."""
    weights = np.stack([weight * (months == m) for m in range(MONTHS)], axis=1).reshape(len(weight) * MONTHS, -1)
    exposure = np.tensordot(weights, counts.at_risk.astype(float), ([1], [1]))
    left = np.tensordot(weights, counts.exits.astype(float), ([1], [2]))
    exposure = exposure.reshape(len(weight), MONTHS, *exposure.shape[1:])
    left = left.reshape(len(weight), MONTHS, *left.shape[1:])
    return np.moveaxis(exposure, 1, -1), np.moveaxis(left, 1, -1)


def _told(counts: Lexis, origins: Whole, months: Whole, rates: Floats) -> Floats:
    """Log-likelihood of the exits between each origin and the next."""
    days = counts.first_day + np.arange(counts.at_risk.shape[1])
    until = np.append(origins[1:], origins[-1])
    between = (days[None, :] >= origins[:, None]) & (days[None, :] < until[:, None])
    risk, left = _by_month(counts, between.astype(float), months)
    rates = np.clip(rates, RAREST, 1 - RAREST)
    stayed = risk[:, :, None] * rates
    told: Floats = np.where(left > 0, left * np.log(rates), 0.0) - stayed
    found: Floats = told.sum(axis=(1, 2, 3, 4))
    return found


def fit_rates(exposure: Floats, exits: Floats, usual: Floats | None = None) -> Floats:
    """Daily rates `[origin, state, to, age, month]` of a Poisson regression on age and month with exposure.

    The fit of the two main effects is found by proportional fitting, all states and origins at once; it is that of a
    GLM. Each cell is then drawn to it with `PSEUDO` events, so that a month which differs at one age only shows where
    it was seen often. An age nobody has reached has the rate of the age before it.

    usual   rates to which the main effects are drawn in the same way: those of the whole past, where the latest is thin
    """
    risk = exposure[:, :, None]
    by_age, by_month = exits.sum(-1), exits.sum(-2)
    months = np.ones(by_month.shape)
    ages = np.zeros(by_age.shape)
    for _ in range(ROUNDS if exits.shape[-1] > 1 else 1):
        before = ages
        ages = _over(by_age, (risk * months[..., None, :]).sum(-1))
        months = _over(by_month, (risk * ages[..., None]).sum(-2), empty=1.0)
        if np.abs(ages - before).max(initial=0.0) < CLOSE:
            break
    ages = _carried(_over(by_age, (risk * months[..., None, :]).sum(-1)), exposure.sum(-1)[:, :, None] > 0)
    main = ages[..., None] * months[..., None, :]
    if usual is not None:
        pull = _over(np.full(main.shape, PSEUDO), usual, empty=0.0)
        main = np.where(usual > 0, _over(main * risk + PSEUDO, risk + pull), main)
    if exits.shape[-1] == 1:
        return main
    drawn = _over(exits + PSEUDO, risk + _over(np.full(main.shape, PSEUDO), main, empty=np.inf))
    rates: Floats = np.where(main > 0, drawn, 0.0)
    return rates


def _over(part: Floats, whole: Floats, empty: float = 0.0) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(whole > 0, part / whole, empty)
    return found


def _carried(rates: Floats, seen: Any) -> Floats:
    """Rates by age, where nobody was seen those of the age before."""
    ages = np.arange(rates.shape[-1])
    last = np.maximum.accumulate(np.where(np.broadcast_to(seen, rates.shape), ages, 0), axis=-1)
    return np.take_along_axis(rates, last, axis=-1)


@dataclass(frozen=True)
class Chances:
    """Chances to be won in a window, by where a deal stands at its origin.

    open      `[origin, state, age in days]`
    arriving  `[origin, state]`: wins of one deal a day that begins there from the origin to the end of the window
    """

    open: Floats
    arriving: Floats


def walk(rates: Floats, ages: tuple[int, ...], months: Whole, gap: int) -> Chances:
    """Every deal walked on day by day, backwards from the end of the window (Chapman-Kolmogorov).

    rates    daily rates `[origin, state, to, age, month]`
    months   month of the quarter `[origin, day]` of each day from the origin to the end of the window
    gap      days from the origin to the first day of the window: a win before it does not count

    On each of its days a deal may move on, at once from the first day of its next stage, or grow a day older.
    """
    origins, states = rates.shape[:2]
    oldest = ages[-1]
    band = np.searchsorted(ages, np.arange(oldest + 1), side="right") - 1
    value = np.zeros((origins, states, oldest + 1))
    arriving = np.zeros((origins, states))
    each = np.arange(origins)
    for day in range(months.shape[1] - 1, -1, -1):
        daily = rates[each, ..., months[:, day]]  # [origin, state, to, age band]
        total = daily.sum(axis=2, keepdims=True)
        daily = daily / np.maximum(total, 1.0)
        stay = 1 - np.minimum(total[:, :, 0], 1.0)
        older = np.concatenate([value[:, :, 1:], value[:, :, -1:]], axis=2)
        won = daily[:, :, states] if day >= gap else np.zeros(daily[:, :, 0].shape)
        moved = daily[:, :, :states]
        # those who enter a stage today stand at its first age: solve for them together, for they may pass several
        first = won[:, :, 0] + stay[:, :, 0] * older[:, :, 0]
        fresh = np.linalg.solve(np.eye(states) - moved[..., 0], first[..., None])[..., 0] if states > 1 else first
        onward = won + np.einsum("osja,oj->osa", moved, fresh)
        value = onward[..., band] + stay[..., band] * older
        arriving += value[:, :, 0]
    return Chances(value, arriving)
