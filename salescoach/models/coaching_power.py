"""The smallest change that so many records could have shown, and whether that is small enough to look for at all."""

from __future__ import annotations

from functools import cache
from math import asin, isfinite, pi, sin, sqrt

POWER = 0.80
LEVEL = 0.05
LARGEST_LIKELY = 0.28  # Cohen's h: from 43 % to 57 %; where only more could be seen, what is seen is mostly luck


def smallest_visible(n: float, rate: float, others: float | None = None) -> float:
    """The smallest rise of a share that would be seen with 80 % power at the 5 % level (two-sided); NaN: none.

    n        records after the change
    rate     the share that is expected without it
    others   records that the expectation itself is worth; nothing: it is known exactly

    The effect size is Cohen's h = 2 asin √p1 - 2 asin √p0, solved for by statsmodels' NormalIndPower.
    """
    if not n > 0 or not 0 <= rate <= 1:
        return float("nan")
    size = _effect_size() / sqrt(n) * sqrt(1 + (n / others if others else 0.0))
    angle = asin(sqrt(rate)) + size / 2
    return float("nan") if angle > pi / 2 else sin(angle) ** 2 - rate


def can_be_seen(rate: float, smallest: float) -> bool:
    """Whether the smallest visible rise is one that can happen."""
    if not isfinite(smallest):
        return False
    return 2 * (asin(sqrt(min(rate + smallest, 1.0))) - asin(sqrt(rate))) <= LARGEST_LIKELY


@cache
def _effect_size() -> float:
    """Cohen's h that one record on each side of a known rate would show: scales with 1 / √n."""
    from statsmodels.stats.power import NormalIndPower

    found = NormalIndPower(ddof=0).solve_power(nobs1=100, alpha=LEVEL, power=POWER, ratio=0)
    return float(found) * sqrt(100)
