"""Rates on small numbers: each group's rate drawn towards that of all, as far as its number calls for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import betaincinv, betaln, expit, logit

from salescoach.errors import Unavailable

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]
TAIL = 0.025
SPREAD_PRIOR = 0.10  # half-normal: teams differ by a few points, seldom by more than twenty
SPREADS = np.linspace(0.0, 1.0, 25) ** 2 * 0.249 + 0.001  # 0.1 to 25 points, closer together where they are small
_EDGES = np.r_[SPREADS[0], (SPREADS[1:] + SPREADS[:-1]) / 2, SPREADS[-1]]
MEANS = np.linspace(-4.0, 4.0, 15)  # in standard errors of the mean, for each spread its own
WIDEST = 2.0  # of such a standard error, on the logit scale


@dataclass(frozen=True)
class Shrunk:
    """Rates of groups that have something in common, each with what the others tell of it.

    mean, sd                          per group: most likely rate and how uncertain it is
    low, high                         per group: 95 % interval (the beta distribution of that mean and sd)
    mu, mu_low, mu_high               mean of the groups' true rates, with its 95 % interval
    spread, spread_low, spread_high   standard deviation of the true rates between groups, with its 95 % interval
    """

    mean: Floats
    sd: Floats
    low: Floats
    high: Floats
    mu: float
    mu_low: float
    mu_high: float
    spread: float
    spread_low: float
    spread_high: float
    _won: Floats = field(repr=False)
    _lost: Floats = field(repr=False)
    _grid: _Grid = field(repr=False)

    def draw(self, generator: np.random.Generator, draws: int) -> Floats:
        """Rates that are possible after what was seen, one row per draw and one column per group.

        Groups of one row share the draw of what they have in common, so differences between them are right too.
        """
        grid = self._grid
        node = generator.choice(len(grid.weight), draws, p=grid.weight)
        return generator.beta(grid.a[node, None] + self._won, grid.b[node, None] + self._lost)


@dataclass(frozen=True)
class _Grid:
    """Possible pairs of mean and spread between groups: their beta distribution (a, b) and how likely each pair is.

    row   which of SPREADS each pair has
    """

    mu: Floats
    row: Whole
    a: Floats
    b: Floats
    weight: Floats

    @property
    def spread(self) -> Floats:
        return SPREADS[self.row]

    def mu_at(self, share: float) -> float:
        """The mean below which it lies with this probability."""
        order = np.argsort(self.mu, kind="stable")
        reached = np.cumsum(self.weight[order]) - self.weight[order] / 2
        return float(np.interp(share, reached, self.mu[order]))

    def spread_at(self, share: float) -> float:
        """The spread below which it lies with this probability."""
        reached = np.cumsum(np.bincount(self.row, self.weight, len(SPREADS)))
        return float(np.interp(share, np.r_[0.0, reached], _EDGES))


def shrink_rates(won: Sequence[float] | Floats, n: Sequence[float] | Floats) -> Shrunk:
    """Rates won / n of groups, each drawn towards the rate of all: the less, the larger its n and the more they differ.

    Beta-binomial: true rates are beta distributed with mean mu and standard deviation spread. Both are integrated out
    on a grid, with a flat prior on mu and a half-normal one of 10 points on spread; no single "best" spread is put in,
    which makes intervals too short (Gelman et al., Bayesian Data Analysis, ch. 5). A group with n = 0 gets what is
    known of groups in general.

    Raises Unavailable where no group has any unit.
    """
    won, n = np.asarray(won, float), np.asarray(n, float)
    if not n.sum():
        raise Unavailable("there is no unit of which a rate could be taken")
    grid = _posterior(won, n)
    a, b = grid.a[:, None] + won, grid.b[:, None] + (n - won)
    means = a / (a + b)
    mean = grid.weight @ means
    variance = grid.weight @ (means * (1 - means) / (a + b + 1) + (means - mean) ** 2)
    size = mean * (1 - mean) / variance - 1
    low, high = (betaincinv(mean * size, (1 - mean) * size, share) for share in (TAIL, 1 - TAIL))
    team = float(grid.weight @ grid.mu), grid.mu_at(TAIL), grid.mu_at(1 - TAIL)
    spread = float(grid.weight @ grid.spread), grid.spread_at(TAIL), grid.spread_at(1 - TAIL)
    return Shrunk(mean, np.sqrt(variance), low, high, *team, *spread, won, n - won, grid)


def _posterior(won: Floats, n: Floats) -> _Grid:
    """How likely each pair of mean and spread is after what was seen."""
    centre, width = _centres(won, n)
    place = logit(centre)[:, None] + width[:, None] * MEANS
    mu = expit(place)
    size = mu * (1 - mu) / SPREADS[:, None] ** 2 - 1
    # A step of the grid stands for a stretch of mu times one of spread; flat in mu is not flat in its logit.
    stretch = np.log(mu * (1 - mu) * width[:, None] * np.diff(_EDGES)[:, None])
    row, _ = possible = np.nonzero(size > 0)
    mu, size = mu[possible], size[possible]
    a, b = mu * size, (1 - mu) * size
    groups, times = np.unique(np.stack([won, n - won]), axis=1, return_counts=True)
    seen = (betaln(a[:, None] + groups[0], b[:, None] + groups[1]) - betaln(a, b)[:, None]) @ times
    log = seen + stretch[possible] - 0.5 * (SPREADS[row] / SPREAD_PRIOR) ** 2
    weight = np.exp(log - log.max())
    return _Grid(mu, row, a, b, weight / weight.sum())


def _centres(won: Floats, n: Floats) -> tuple[Floats, Floats]:
    """For each spread where the mean lies about, and its standard error on the logit scale: where the grid is laid."""
    pooled = (won.sum() + 0.5) / (n.sum() + 1)
    some = n > 0
    precision = 1 / (SPREADS[:, None] ** 2 + pooled * (1 - pooled) / n[some])
    centre = (precision @ (won[some] / n[some])) / precision.sum(axis=1)
    edge = 0.5 / (n.sum() + 1)
    centre = np.clip(centre, edge, 1 - edge)
    width = 1 / np.sqrt(precision.sum(axis=1)) / (centre * (1 - centre))
    return centre, np.minimum(width, WIDEST)
