"""From records to a design matrix: each driver becomes columns, equal records become one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from salescoach.errors import UsageError, commas, suggestion
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import Floats
from salescoach.metrics.groups import NONE
from salescoach.wording import N_

OTHER = N_("(all others)")
RARE = 20  # records a level needs to stand for itself
MOST_LEVELS = 12
FEW_VALUES = 12  # a whole number with so many different values counts by ones
WIDE = 8.0  # a positive number whose 95th percentile is so many times its 5th counts by doublings
SURELY = 0.99
SAME = 1e-9
Step = Literal["doubling", "one", "quartiles"]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Levels:
    """A driver with named levels, the reference first; its codes are their places."""

    name: str
    levels: tuple[str, ...]
    pooled: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.levels[1:]

    def code(self, values: pd.Series) -> Floats:
        """The place of each value; what was not met before counts as "(all others)", else as the reference."""
        places = {level: float(i) for i, level in enumerate(self.levels)}
        codes, known = pd.factorize(as_text(values))
        unknown = places.get(OTHER, 0.0)
        found = np.array([places.get(str(k), unknown) for k in known], dtype=float)
        return found[codes] if len(found) else np.zeros(len(values))

    def matrix(self, codes: Floats) -> Floats:
        flags: Floats = (codes[:, None] == np.arange(1, len(self.levels))).astype(float)
        return flags


@dataclass(frozen=True)
class Number:
    """A driver measured in steps from its middle; its codes are steps, null where it is not known.

    start, end   the values between which a step from quartile to quartile goes
    gaps         whether what is not known has a column of its own; else it counts as the middle
    """

    name: str
    step: Step
    centre: float
    unit: float
    start: float
    end: float
    gaps: bool
    grid: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return ("", NONE) if self.gaps else ("",)

    def code(self, values: pd.Series) -> Floats:
        steps = (self._scaled(values.to_numpy(float, na_value=np.nan)) - self.centre) / self.unit
        return steps if self.grid is None else np.round(steps / self.grid) * self.grid

    def _scaled(self, values: Floats) -> Floats:
        if self.step != "doubling":
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.log2(values), np.nan)

    def matrix(self, codes: Floats) -> Floats:
        gap = np.isnan(codes)
        known = np.where(gap, 0.0, codes)[:, None]
        return np.hstack([known, gap[:, None].astype(float)]) if self.gaps else known


Driver: TypeAlias = Levels | Number


@dataclass(frozen=True)
class Design:
    """Drivers and pairs of them whose products are columns too; the first column is the intercept."""

    drivers: tuple[Driver, ...]
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[tuple[str, str]]:
        """(driver, level) of each column; "" where there is no level."""
        found = [("", "")] + [(d.name, c) for d in self.drivers for c in d.columns]
        by_name = {d.name: d for d in self.drivers}
        for one, two in self.pairs:
            found += [(f"{one} × {two}", f"{a} × {b}") for a in by_name[one].columns for b in by_name[two].columns]
        return found

    def code(self, units: pd.DataFrame) -> pd.DataFrame:
        """The codes of each record, one column per driver."""
        return pd.DataFrame({d.name: d.code(units[d.name]) for d in self.drivers}, index=units.index)

    def matrix(self, coded: pd.DataFrame) -> Floats:
        parts = {d.name: d.matrix(coded[d.name].to_numpy(float)) for d in self.drivers}
        columns = [np.ones((len(coded), 1)), *parts.values()]
        for one, two in self.pairs:
            columns.append((parts[one][:, :, None] * parts[two][:, None, :]).reshape(len(coded), -1))
        return np.hstack(columns)


def as_text(values: pd.Series) -> pd.Series:
    """Levels as text: a flag as yes and no, a blank as "(none)"."""
    if values.dtype == "bool" or values.dtype == "boolean":
        return values.map({True: "yes", False: "no"}).astype("str").fillna(NONE)
    if pd.api.types.is_numeric_dtype(values):
        return values.map(lambda v: f"{v:g}", na_action="ignore").astype("str").fillna(NONE)
    return values.astype("str").fillna(NONE)


def is_number(values: pd.Series) -> bool:
    """Whether a column is measured rather than named; two different numbers are names."""
    named = values.dtype == "bool" or values.dtype == "boolean" or not pd.api.types.is_numeric_dtype(values)
    return not named and values.nunique() > 2


def read_driver(
    values: pd.Series,
    weights: Floats,
    step: Step | None = None,
    grid: float | None = None,
    reference: str = "",
    gaps: bool = True,
    most_levels: int = MOST_LEVELS,
) -> Driver:
    """How a column enters a fit: by its levels, or as a number in steps.

    Levels with fewer than 20 records, and those beyond the `most_levels` largest, are put together as "(all others)".
    The reference is the largest level, of yes and no always no. A number counts by ones where it is whole with few
    values, by doublings where it spreads widely, else from quartile to quartile. `grid` lays it on steps of that part
    of a unit; `gaps` gives what is not known a column of its own.
    """
    if step is not None and step not in STEPS:
        raise UsageError(
            "step={step!r} is unknown.{hint} Steps: {steps}.",
            step=step,
            hint=suggestion(step, STEPS),
            steps=commas(STEPS),
        )
    name = str(values.name)
    if not is_number(values):
        return _levels(name, values, weights, reference, most_levels)
    numbers = values.to_numpy(float, na_value=np.nan)
    found = step or _natural_step(numbers, weights)
    known = (numbers > 0) if found == "doubling" else ~np.isnan(numbers)
    low, middle, high = quantiles(numbers[known], weights[known], (0.25, 0.5, 0.75))
    gaps = gaps and not bool(known.all())
    if found == "doubling":
        return Number(name, found, float(np.log2(middle)), 1.0, low, high, gaps, grid)
    unit = high - low if found == "quartiles" and high > low else 1.0
    return Number(name, found, middle, unit, low, high, gaps, grid)


def _levels(name: str, values: pd.Series, weights: Floats, reference: str, most: int) -> Levels:
    codes, known = pd.factorize(as_text(values))
    sizes = pd.Series(np.bincount(codes, weights, len(known)), [str(k) for k in known]).sort_index()
    sizes = sizes.sort_values(ascending=False, kind="stable")
    kept = sizes[sizes >= RARE].head(most)
    kept = sizes.head(2) if len(kept) < 2 else kept
    rest = sizes.drop(kept.index)
    named = [level for level in kept.index if level != OTHER]
    reference = reference or ("no" if set(named) == {"yes", "no"} else "")
    if reference in named:
        named = [reference, *(level for level in named if level != reference)]
    return Levels(name, (*named, OTHER) if len(rest) or OTHER in kept.index else tuple(named), tuple(rest.index))


def _natural_step(numbers: Floats, weights: Floats) -> Step:
    known = ~np.isnan(numbers)
    values = np.unique(numbers[known])
    if len(values) <= FEW_VALUES and bool((values == np.round(values)).all()):
        return "one"
    positive = known & (numbers > 0)
    if weights[positive].sum() > SURELY * weights[known].sum() and values[-1] > 1:  # no shares
        low, high = quantiles(numbers[positive], weights[positive], (0.05, 0.95))
        if high >= WIDE * low:
            return "doubling"
    return "quartiles"


def quantiles(numbers: Floats, weights: Floats, shares: Sequence[float]) -> list[float]:
    """The smallest value up to which this share of the records lies."""
    order = np.argsort(numbers, kind="stable")
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, np.asarray(shares) * total[-1] - SAME)
    return [float(v) for v in numbers[order][np.minimum(places, len(order) - 1)]]


def equal_records(units: pd.DataFrame, drivers: Sequence[str], outcome: str, n: str | None) -> pd.DataFrame:
    """One row per different combination of the drivers' values: the drivers, n and won."""
    values = {d: units[d] if pd.api.types.is_float_dtype(units[d]) else _plain(units[d]) for d in drivers}
    size = pd.Series(1, units.index) if n is None else units[n]
    counted = count_table(pd.DataFrame(values), drivers, sums={"_n": size, "_won": units[outcome]})
    return counted.drop(columns="n").rename(columns={"_n": "n", "_won": "won"})


def _plain(values: pd.Series) -> pd.Series:
    """Whole numbers and texts as they are; flags and anything else as text."""
    return values if values.dtype == "str" or values.dtype.kind in "iu" else as_text(values)


def cells_of(coded: pd.DataFrame, n: Floats, won: Floats) -> pd.DataFrame:
    """One row per different combination of codes: the codes, n and won. A fit to it is exact (equal likelihood)."""
    whole = {"records": pd.Series(n.astype(np.int64)), "won": pd.Series(won.astype(np.int64))}
    cells = count_table(coded.reset_index(drop=True), list(coded.columns), sums=whole)
    return cells.drop(columns="n").rename(columns={"records": "n"})


def independent(matrix: Floats, n: Floats) -> list[int]:
    """The columns that say something which those left of them do not."""
    gram = (matrix * n[:, None]).T @ matrix
    scale = np.sqrt(np.diag(gram))
    kept: list[int] = []
    for column in range(matrix.shape[1]):
        if scale[column] == 0:
            continue
        trial = [*kept, column]
        part: Any = gram[np.ix_(trial, trial)] / np.outer(scale[trial], scale[trial])
        if np.linalg.eigvalsh(part)[0] > SAME * len(trial):
            kept = trial
    return kept


def pairs_of(pairs: Sequence[tuple[str, str]], known: Mapping[str, Driver]) -> list[tuple[str, str]]:
    """The declared pairs whose drivers are both in the fit."""
    return [(one, two) for one, two in pairs if one in known and two in known]
