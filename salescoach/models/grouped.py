"""Grouped binomial regression: which traits of a deal go with its being won or going on, in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import pandas as pd

from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.estimate import Floats
from salescoach.models import guard
from salescoach.models.calibrate import COIN, Calibration
from salescoach.models.design import MOST_LEVELS, Design, Levels, Step, cells_of, equal_records, pairs_of, read_driver
from salescoach.models.effects import coefficients_of, effects_of
from salescoach.models.fit import Fit
from salescoach.models.solve import Prior, Scale, interactions_of, probability, scale_of, solve_steadily

FEWEST = 10  # of either outcome, below which nothing is fitted
PER_COLUMN = 5  # of the rarer outcome, for each column of the design


@dataclass(frozen=True)
class DriverFit(Fit):
    """What goes with being won, or with going on.

    table          see `fit_grouped`
    won            records that were won or went on
    cells          different records the fit was made of
    scale          by how much the spread between cells exceeds that of chance, at least 1
    steadied       whether the log-F(1,1) prior was needed
    coefficients   one row per column of the design: driver, level, coefficient, se (logit)
    interactions   declared pairs: pair, df, chi2, p, q, signal (likelihood ratio against the fit without them)
    refused        columns that may not be drivers: field, why
    calibration    how the same fit does on a later period; None where there is none
    missing        records that are still missing before anything may be concluded; 0: enough
    """

    won: int = 0
    cells: int = 0
    scale: float = 1.0
    steadied: bool = False
    coefficients: pd.DataFrame = field(default_factory=pd.DataFrame)
    interactions: pd.DataFrame = field(default_factory=pd.DataFrame)
    refused: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: Calibration | None = None
    missing: int = 0
    design: Design = field(default_factory=lambda: Design(()))

    @property
    def usable(self) -> bool:
        """Whether the drivers told a later period's outcomes apart by enough, and by more than chance.

        Chance is ruled out by a driver that is a discovery, or else by the later period itself.
        """
        if self.missing or self.calibration is None:
            return False
        named = bool(self.table["signal"].isin(["more", "less"]).any())
        return self.calibration.tells and (named or self.calibration.auc_low > COIN)

    @property
    def pooled(self) -> pd.DataFrame:
        """Rare levels that were put together: driver, level."""
        rows = [(d.name, level) for d in self.design.drivers if isinstance(d, Levels) for level in d.pooled]
        return pd.DataFrame(rows, columns=["driver", "level"])

    def predict(self, units: pd.DataFrame) -> Floats:
        """The probability of each record with these drivers."""
        matrix = self.design.matrix(self.design.code(units))
        return probability(matrix @ self.coefficients["coefficient"].fillna(0).to_numpy(float))


def fit_grouped(
    units: pd.DataFrame,
    outcome: str,
    drivers: Sequence[str],
    *,
    n: str | None = None,
    interactions: Sequence[tuple[str, str]] = (),
    steps: Mapping[str, Step] | None = None,
    references: Mapping[str, str] | None = None,
    prior: Prior = "auto",
    scale: Scale = "auto",
    grid: float | None = None,
    most_levels: int = MOST_LEVELS,
) -> DriverFit:
    """Logistic regression on records, or on cells of equal records.

    Records are put together to cells of equal drivers, which changes nothing: the likelihood is the same. Effects are
    average ones by g-computation: everybody set to the level against everybody set to the reference, the rest as it
    is, with a delta-method 95 % interval. p is a Wald test of all levels of a driver; q is p by Benjamini-Hochberg
    over the drivers. Standard errors grow by the spread between cells where that exceeds chance (Pearson's X²).

    outcome        column: 1 for what was won or went on, else 0; with `n` how many of them
    n              column with the records of each row, where rows are cells already
    interactions   declared pairs of drivers, each tested by the likelihood ratio
    steps          driver -> "doubling", "one" or "quartiles", for numbers; else by the values (`read_driver`)
    references     driver -> its reference level; else the most frequent one
    prior          log-F(1,1) on every coefficient but the intercept (Greenland & Mansournia 2015): "auto" where a level
                   has one outcome only or the fit does not settle; numbers are in steps from their middle
    scale          "auto" inflates standard errors only; "X2" always takes X² / df; "one" never
    grid           numbers are rounded to that part of a step, so that more records are alike
    most_levels    further ones are put together as "(all others)", as are those with fewer than 20 records

    The table has one row per level (and one per number): driver, level, reference, step ("" for levels), n, won,
    effect, low, high (share; the reference has 0 and no interval), p, q, signal ("more", "less", "none", "reference",
    or "few": under 20 records, and no effect), coefficient and se (logit). Raises Unavailable where no driver is left
    or fewer than 10 records have either outcome; UsageError for a column that is not there.
    """
    _check_columns(units, [outcome, *drivers, *([n] if n else [])])
    names = list(dict.fromkeys(drivers))
    equal = equal_records(units, names, outcome, n)
    size, won = equal.pop("n").to_numpy(float), equal.pop("won").to_numpy(float)
    _need_both(size, won)
    steps, references = steps or {}, references or {}
    refused = {name: why for name in names if (why := guard.refused_by_values(equal[name], size, won))}
    kept = [name for name in names if name not in refused]
    refused |= guard.repeated(equal, kept, size)
    read = [
        read_driver(
            equal[name],
            size,
            steps.get(name),
            grid,
            references.get(name, ""),
            gaps=not guard.pure_gaps(equal[name], size, won),
            most_levels=most_levels,
        )
        for name in kept
        if name not in refused
    ]
    if not read:
        raise Unavailable("none of the columns can be used as a driver")
    design = Design(tuple(read))
    cells = cells_of(design.code(equal), size, won)
    solved, advice, steadied = solve_steadily(design, cells, prior)
    found = scale_of(solved, cells, scale)
    table = effects_of(design, cells, solved, found)
    pairs = pairs_of(interactions, {d.name: d for d in read})
    return DriverFit(
        table,
        int(size.sum()),
        tuple(advice),
        won=int(won.sum()),
        cells=len(cells),
        scale=found,
        steadied=steadied,
        coefficients=coefficients_of(design, solved, found),
        interactions=interactions_of(design, pairs, cells),
        refused=pd.DataFrame(list(refused.items()), columns=["field", "why"]),
        missing=_missing(size.sum(), won.sum(), len(solved.kept)),
        design=design,
    )


def _check_columns(units: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in units:
            raise UsageError(
                "There is no column {name!r} to fit.{hint}", name=name, hint=suggestion(name, units.columns)
            )


def _need_both(n: Floats, won: Floats) -> None:
    fewest = min(won.sum(), n.sum() - won.sum())
    if fewest < FEWEST:
        raise Unavailable(
            "of {n} deals {few} had one of the two outcomes; at least {least} with each are needed",
            n=int(n.sum()),
            few=int(fewest),
            least=FEWEST,
        )


def _missing(n: float, won: float, columns: int) -> int:
    """How many more records until the rarer outcome has five for each column."""
    rarer = min(won, n - won)
    wanted = PER_COLUMN * columns
    return max(0, ceil((wanted - rarer) * n / rarer))
