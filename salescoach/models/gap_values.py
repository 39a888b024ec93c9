"""Sizes and prices of groups: ratios of sums with their variance, drawn towards that of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
BELIEVED = 20.0  # units that what is usual about the spread of sizes weighs as much as
SPREADS = np.linspace(0.0, 1.0, 25) ** 2 + 1e-3  # of logarithms: sizes differ by a few percent or by half
SPREAD_PRIOR = 0.5


@dataclass(frozen=True)
class Ratio:
    """A ratio per group, its relative variance (0: nothing is known, or nothing varies), and that of all together."""

    value: Floats
    variance: Floats
    pooled: float

    def times(self, other: Ratio, over: float = 1.0) -> Ratio:
        """The product of two ratios, divided by a number."""
        value, pooled = self.value * other.value / over, self.pooled * other.pooled / over
        return Ratio(value, self.variance + other.variance, pooled)


def shrink_values(value: Floats, variance: Floats, centre: float) -> tuple[Floats, Floats, float]:
    """Values of groups, each drawn towards that of all: the less, the smaller its variance and the more they differ.

    Normal-normal: true values are normal about the pooled value `centre` with a standard deviation that is integrated
    out on a grid, as in `shrink_rates`. An infinite variance stands for a group of which nothing is known.

    Returns mean and standard deviation per group, and the likely spread of the true values.
    """
    spread2 = SPREADS[:, None] ** 2
    precision = 1 / (spread2 + variance)
    off, seen = value - centre, np.isfinite(variance)
    log = 0.5 * (np.log(precision[:, seen]) - precision[:, seen] * off[seen] ** 2).sum(axis=1)
    log = log - 0.5 * (SPREADS / SPREAD_PRIOR) ** 2 + np.log(np.gradient(SPREADS))  # the grid's steps are not alike
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    kept = spread2 * precision  # what a group keeps of its own difference
    mean = weight @ (kept * off)
    variances = weight @ ((1 - kept) * spread2 + (kept * off - mean) ** 2)
    return centre + mean, np.sqrt(variances), float(weight @ SPREADS)


def relative(
    over: Floats, under: Floats, over2: Floats, cross: Floats, under2: Floats, n: Floats, standard: float
) -> Ratio:
    """A ratio of two sums Σy / Σx per group with its variance, from Σy, Σx, Σy², Σxy, Σx² over n units.

    The variance is that of linearisation (Cochran 1977, §6.4); as few units say little about their spread, it is drawn
    towards that of all groups together. A group without units has the ratio `standard` and the variance 0.
    """
    seen = (under > 0) & (n > 0)
    value = np.where(seen, over / np.where(seen, under, 1.0), standard)
    squares = np.maximum(over2 - 2 * value * cross + value**2 * under2, 0.0)
    pooled = float(over.sum() / under.sum()) if under.sum() > 0 else standard
    # held against what all have: one large deal would raise a group's own mean, and hide how wide its sizes spread
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(seen & (pooled > 0), squares / (pooled * under / np.maximum(n, 1)) ** 2, 0.0)
    freedom = np.maximum(n - 1, 0)
    usual = apart.sum() / max(freedom.sum(), 1.0)
    spread = (apart + BELIEVED * usual) / (freedom + BELIEVED)
    return Ratio(value, np.where(seen, spread / np.maximum(n, 1), 0.0), pooled)
