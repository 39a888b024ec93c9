"""A regression on what is known of a deal from its start, on top of its stage and age: a candidate that must win."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, logit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from salescoach.book import TABLES
from salescoach.book.texts import encoded
from salescoach.models.forecast.past import Floats, Open, Past, Whole, by_rep
from salescoach.models.guard import NO_TRAITS, judge_columns

TRAITS = ("product", "segment", "region", "lead_source", "deal_type")
MADE = ("stage_raw",)  # by the load, of the stage of today
MOST_TRAITS, MOST_LEVELS = 6, 12
FREQUENT = 0.02  # of the deals: rarer levels are one
ROWS = 500  # of one origin: the regression looks at a sample of this size
LOOK_BACK = 26  # windows
REFIT = 4  # origins for which one regression stands
FEWEST = 25  # deals of either outcome in the sample
GRID = 0.25  # of a logit: chances so near are one cell
BINS = np.linspace(-12, 12, 193)
EDGE = 1e-5
LARGEST = 5.0  # effect, in logit


@dataclass
class Traits:
    """Which level of which trait each deal has, and the regressions on them so far.

    levels   `[deal, trait]` codes into the columns of the design; a column per level but the most frequent one
    rows     per origin: the sample of its deals, their chances' logits, and which of them were won
    """

    levels: Whole
    columns: int
    rows: dict[int, tuple[Whole, Floats, Any]] = field(default_factory=dict)
    fits: dict[int, Floats] = field(default_factory=dict)
    told: dict[int, tuple[Floats, Floats, Floats]] = field(default_factory=dict)
    last: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, past: Past) -> Traits | None:
        """The traits that may be used; None where there is none. A column that knows the outcome is not one."""
        kept = past.__dict__.get("_trait_levels")
        if kept is None:
            kept = past.__dict__["_trait_levels"] = _levels(past)
        levels, columns = kept
        return cls(levels, columns) if columns else None

    def tell(self, i: int, here: Open, chance: Floats, elapsed: Whole, won: Any) -> Floats:
        """The chances of the deals of the i-th origin, by what was learnt of traits in elapsed windows."""
        base = logit(np.clip(chance, EDGE, 1 - EDGE))
        step = np.linspace(0, len(base) - 1, min(len(base), ROWS)).astype(np.int64)
        self.rows[i] = (here.deal[step], base[step], won[step])
        known = int(elapsed[-1]) // REFIT if len(elapsed) else -1
        if known >= 0 and known not in self.fits:
            self.fits[known] = self._fit(elapsed[-LOOK_BACK:])
        found = chance
        if known >= 0:
            found = expit(base + self._shift(self.fits[known], here.deal))
        at = np.digitize(logit(np.clip(found, EDGE, 1 - EDGE)), BINS)
        n, sums, wins = (by_rep(at, w, len(BINS) + 1) for w in (np.ones(len(at)), found, won.astype(float)))
        self.last = found
        self.told[i] = (np.divide(sums, n, out=np.full(len(n), 0.5), where=n > 0), n, wins)
        return found

    def cells(self, origins: int) -> tuple[Floats, Floats, Floats]:
        """Chance, n and won of every origin by bins of the chance."""
        return tuple(np.stack([self.told[i][k] for i in range(origins)]) for k in range(3))  # type: ignore[return-value]

    def _shift(self, effects: Floats, deal: Whole) -> Floats:
        """What the traits of each deal add to its logit: `effects` begins with the intercept."""
        own = np.append(effects[1:], 0.0)  # the last code is that of no column
        found: Floats = effects[0] + own[self.levels[deal]].sum(axis=1)
        return found

    def _fit(self, elapsed: Whole) -> Floats:
        """A logistic regression with the chance by stage and age as its offset, each effect drawn to none.

        Rows alike in traits and chance are one cell. Pseudo-rows, log-F(1,1), keep effects finite, as for drivers.
        """
        deal, base, won = (np.concatenate([self.rows[int(j)][k] for j in elapsed]) for k in range(3))
        grid = np.round(base / GRID).astype(np.int64)
        key = grid - grid.min()
        for trait in range(self.levels.shape[1]):
            key = key * (self.columns + 1) + self.levels[deal, trait]
        _, first, cell = np.unique(key, return_index=True, return_inverse=True)
        n = np.bincount(cell).astype(float)
        wins = np.bincount(cell, won.astype(float), len(n))
        if min(wins.sum(), n.sum() - wins.sum()) < FEWEST:
            return np.zeros(self.columns + 1)
        x = np.zeros((len(n) + self.columns + 1, self.columns + 1))
        x[: len(n), 0] = 1.0
        for trait in range(self.levels.shape[1]):
            code = self.levels[deal[first], trait]
            there = np.flatnonzero(code < self.columns)
            x[there, code[there] + 1] = 1.0
        x[len(n) :] = np.eye(self.columns + 1)
        y = np.append(wins / n, np.full(self.columns + 1, 0.5))
        weights = np.append(n, np.ones(self.columns + 1))
        offset = np.append(grid[first] * GRID, np.zeros(self.columns + 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that goes astray loses against the pace, and is not used
            result: Any = GLM(y, x, family=Binomial(), offset=offset, var_weights=weights).fit()
        found: Floats = np.nan_to_num(np.clip(np.asarray(result.params, dtype=float), -LARGEST, LARGEST))
        return found


def _levels(past: Past) -> tuple[Whole, int]:
    deals = past.book.tables["deals"]
    refused, _ = judge_columns(past.book)
    own = [c for c in deals.columns if c not in TABLES["deals"].columns and c not in (*NO_TRAITS, *MADE)]
    codes: list[Whole] = []
    columns = 0
    for name in [*TRAITS, *own]:
        if name not in deals or name in refused or deals[name].dtype != "str" or len(codes) == MOST_TRAITS:
            continue
        code, words = encoded(deals[name])
        n = np.bincount(code + 1, minlength=len(words) + 1)
        frequent = np.flatnonzero(n[1:] >= FREQUENT * len(deals))
        if not 2 <= len(frequent) <= MOST_LEVELS or (n[0] > 0 and name not in TRAITS):
            continue
        place = np.full(len(words) + 1, -1)
        usual = frequent[n[1:][frequent].argmax()]
        rest = frequent[frequent != usual]
        place[rest] = columns + np.arange(len(rest))
        codes.append(place[code])
        columns += len(rest)
    if not codes:
        return np.empty((len(deals), 0), dtype=np.int64), 0
    levels = np.column_stack(codes)
    return np.where(levels < 0, columns, levels), columns
