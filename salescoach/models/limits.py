"""How far a rate may lie from the team's by chance alone: the lines of a funnel plot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaincinv

from salescoach.models.rates import Floats

INNER = (0.025, 0.975)  # 95 %: one rep in twenty lies outside by chance
OUTER = (0.001, 0.999)  # 99.8 %: one in five hundred
TRIMMED = 0.10


def share_limit(n: Any, target: float, probability: float) -> Floats:
    """The share below which a group of n units with the true rate `target` lies with this probability.

    Exact binomial, interpolated between whole numbers (Spiegelhalter 2005, Statistics in Medicine 24, appendix):
    r = the smallest count with P(X ≤ r) ≥ probability; limit = (r - (P(X ≤ r) - probability) / P(X = r)) / n.
    """
    from scipy.stats import binom

    n = np.asarray(n, float)
    r = binom.ppf(probability, n, target)
    part = (binom.cdf(r, n, target) - probability) / binom.pmf(r, n, target)
    limit: Floats = np.clip((r - part) / n, 0.0, 1.0)
    return limit


def count_limits(expected: Any, probability: float) -> tuple[Floats, Floats]:
    """The counts between which a true mean of `expected` lies with probability 1 - 2 × `probability` (exact Poisson).

    low = ½ χ²(p; 2E), high = ½ χ²(1 - p; 2E + 2), as funnel plots of observed / expected have them.
    """
    expected = np.asarray(expected, float)
    return gammaincinv(expected, probability), gammaincinv(expected + 1, 1 - probability)


def overdispersion(z: Any, variance: Any) -> tuple[float, float]:
    """By how much groups differ more than chance: (phi, tau2).

    z          of each group, without outliers' help: a tenth is left out at either end
    variance   of each group's value by chance

    phi = mean of z²; tau2, the variance between groups that remains = max(0, (k phi - (k - 1)) / (Σw - Σw² / Σw)) with
    w = 1 / variance (DerSimonian & Laird; Spiegelhalter 2005). phi below 1 is what chance alone gives.
    """
    z, variance = np.asarray(z, float), np.asarray(variance, float)
    low, high = np.quantile(z, (TRIMMED, 1 - TRIMMED))
    kept = (z >= low) & (z <= high)
    weight, k = 1 / variance[kept], int(kept.sum())
    phi = float((z[kept] ** 2).mean())
    room = weight.sum() - (weight**2).sum() / weight.sum()
    return phi, float(max(0.0, (k * phi - (k - 1)) / room)) if room > 0 else 0.0


def _widened(limit: Floats, target: float, n: Any, tau2: float) -> Floats:
    """A limit moved away from the target by what groups differ beyond chance (additive, variance + tau2)."""
    chance = target * (1 - target) / np.asarray(n, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(1 + np.where(chance > 0, tau2 / chance, 0.0))
    moved: Floats = np.clip(target + (limit - target) * factor, 0.0, 1.0)
    return moved


def funnel_limits(n: Any, target: float, tau2: float = 0.0) -> pd.DataFrame:
    """Between which rates groups of n units with the true rate `target` lie by chance: the lines of a funnel plot.

    Returns n, lower_95, upper_95, lower_998, upper_998: exact binomial, widened by tau2 (variance between groups).
    """
    n = np.asarray(n, float)
    found = {"n": n}
    for name, ends in (("95", INNER), ("998", OUTER)):
        for side, share in zip(("lower", "upper"), ends, strict=True):
            found[f"{side}_{name}"] = _widened(share_limit(n, target, share), target, n, tau2)
    return pd.DataFrame(found)
