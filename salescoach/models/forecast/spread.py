"""Ranges without draws: what a sum of won amounts may come to, from its mean, its variance and how few wins make it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincinv, gammaln

Floats = np.ndarray[Any, np.dtype[np.float64]]
TINY = 1e-9
LEAST_SPREAD = 0.05  # of the mean: the spread of what is won, if anything is
RANGES = {"low_50": 0.25, "high_50": 0.75, "low": 0.1, "high": 0.9}


class Spread:
    """Nothing with the chance `none`, else a Gamma distribution: together of the given mean and variance.

    A rep with two wins a month has months without any; a Gamma distribution alone knows of none. Where wins are many
    it is what remains.
    """

    def __init__(self, mean: Any, variance: Any, wins: Any) -> None:
        """`wins`: how many are expected to make the mean."""
        self.mean = np.maximum(np.asarray(mean, float), 0.0)
        self.none = np.where(self.mean > TINY, np.exp(-np.maximum(np.asarray(wins, float), 0.0)), 1.0)
        self.none = np.minimum(self.none, np.where(self.mean > TINY, 1 - TINY, 1.0))
        some = np.maximum(1 - self.none, TINY)
        level = np.maximum(self.mean / some, TINY)
        spread = (np.asarray(variance, float) + self.mean**2) / some - level**2
        spread = np.maximum(spread, (LEAST_SPREAD * level) ** 2)
        self.shape, self.scale = level**2 / spread, spread / level

    def at(self, share: float) -> Floats:
        """The amount below which it ends with this chance."""
        inside = np.clip((share - self.none) / np.maximum(1 - self.none, TINY), 0.0, 1.0)
        found: Floats = np.where(share <= self.none, 0.0, gammaincinv(self.shape, inside) * self.scale)
        return found

    def reaches(self, target: Any) -> Floats:
        """The chance to end at the target or above it."""
        target = np.asarray(target, float)
        above = (1 - self.none) * (1 - gammainc(self.shape, np.maximum(target, 0.0) / self.scale))
        found: Floats = np.where(target <= 0, 1.0, above)
        return found

    def crps(self, actual: Any) -> Floats:
        """Continuous ranked probability score of what came (for the Gamma: Scheuerer & Möller 2015); less is better."""
        y, k, size = np.asarray(actual, float), self.shape, self.scale
        off = y * (2 * gammainc(k, y / size) - 1) - k * size * (2 * gammainc(k + 1, y / size) - 1)
        apart = size * np.exp(gammaln(k + 0.5) - gammaln(k)) / np.sqrt(np.pi)  # half of the mean difference of two
        none, some = self.none, 1 - self.none
        found: Floats = none * y + some * off - none * some * k * size - some**2 * apart
        return found

    def ranges(self) -> dict[str, Floats]:
        """The ends of the 50 % and the 80 % range."""
        return {name: self.at(share) for name, share in RANGES.items()}
