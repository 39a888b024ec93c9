"""What a rep's own mix of deals lets expect: won deals beside the wins that like deals bring on average."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.metrics.counts import count_table
from salescoach.metrics.support import two_sided
from salescoach.models.design import Design, Levels, independent, read_driver
from salescoach.models.rates import Floats, Whole

FEW_REPS = 8  # below so many each rep's own deals weigh too much in what is expected of that rep
NOTHING_LEFT = 1e-6  # of variance per deal: the mix says all there is to say about the rep
PER_COLUMN = 10  # won and lost deals, the fewer of both, for each column of the fit


def against_mix(deals: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Each rep's wins beside those expected from the rep's own mix of deals.

    deals    one row per decided deal: rep_id, won (true or false) and the fields, all known when a deal is created

    A binomial regression of won on the fields over all deals gives each deal its chance; expected is the sum of the
    chances of a rep's deals. With fewer than 8 reps the chances come from the others' deals. variance is that of
    won - expected if the rep is like the others, what the regression itself does not know included (score test of one
    more column for the rep); null where the rep cannot be told from the rep's mix. z = (|won - expected| - ½, at least
    0, with its sign) / √variance: the half makes the normal p right for whole numbers.

    Returns rep_id, n, won, expected, variance, ratio (won / expected), z, p (two-sided).
    """
    cells = _cells(deals, fields)
    sums = _apart(cells) if len(cells.reps) < FEW_REPS else _together(cells)
    table = pd.DataFrame({"rep_id": cells.reps, "n": cells.n.sum(axis=1), "won": cells.won.sum(axis=1), **sums})
    table[["n", "won"]] = table[["n", "won"]].astype("int64")
    table["variance"] = table["variance"].where(table["variance"] > NOTHING_LEFT * table["n"])
    off = table["won"] - table["expected"]
    table["ratio"] = table["won"] / table["expected"].where(table["expected"] > 0)
    table["z"] = (off.abs() - 0.5).clip(lower=0) * np.sign(off) / np.sqrt(table["variance"])
    table["p"] = two_sided(table["z"].to_numpy(float))
    return table


def affordable(deals: pd.DataFrame, fields: Sequence[str]) -> tuple[str, ...]:
    """Of these fields the first ones that tell deals apart and for whose levels there are enough decided deals."""
    room = min(deals["won"].sum(), (~deals["won"]).sum()) / PER_COLUMN
    kept = []
    for name in fields:
        columns = len(_levels(deals[name]).columns)
        if 0 < columns <= room:
            kept.append(name)
            room -= columns
    return tuple(kept)


def _levels(values: pd.Series) -> Levels:
    driver = read_driver(values.astype("str"), np.ones(len(values)))
    assert isinstance(driver, Levels)
    return driver


@dataclass(frozen=True)
class _Cells:
    """Decided deals by rep (rows) and kind of deal (columns): n and won; and the kinds' design matrix."""

    reps: list[str]
    n: Floats
    won: Floats
    matrix: Floats


def _cells(deals: pd.DataFrame, fields: Sequence[str]) -> _Cells:
    design = Design(tuple(_levels(deals[name]) for name in fields))
    texts = deals[list(fields)].astype("str")
    counts = count_table(
        design.code(texts).assign(rep_id=deals["rep_id"]), ["rep_id", *fields], sums={"won": deals["won"]}
    )
    reps, names = pd.factorize(counts["rep_id"])
    coded, kinds = _numbered(counts[list(fields)])
    n, won = (np.zeros((len(names), len(coded))) for _ in range(2))
    n[reps, kinds], won[reps, kinds] = counts["n"], counts["won"]
    return _Cells([str(name) for name in names], n, won, design.matrix(coded))


def _numbered(codes: pd.DataFrame) -> tuple[pd.DataFrame, Whole]:
    """The different rows, and which of them each row is."""
    if codes.shape[1] == 0:
        return pd.DataFrame(index=[0]), np.zeros(len(codes), dtype=np.int64)
    kinds: Whole = np.asarray(codes.groupby(list(codes.columns), sort=True).ngroup(), np.int64)
    first = np.unique(kinds, return_index=True)[1]
    return codes.iloc[first].reset_index(drop=True), kinds


def _together(cells: _Cells) -> dict[str, Floats]:
    """Chances from everybody's deals."""
    share, covariance = _fit(cells.matrix, cells.n.sum(axis=0), cells.won.sum(axis=0))
    spread = cells.n * (share * (1 - share))
    leaning = spread @ cells.matrix
    known = np.einsum("rj,jk,rk->r", leaning, covariance, leaning)
    return {"expected": cells.n @ share, "variance": spread.sum(axis=1) - known}


def _apart(cells: _Cells) -> dict[str, Floats]:
    """Chances of each rep's deals from the deals of the others."""
    expected, variance = np.full(len(cells.reps), np.nan), np.full(len(cells.reps), np.nan)
    for rep in range(len(cells.reps)):
        others = np.arange(len(cells.reps)) != rep
        if not others.any():
            continue
        share, covariance = _fit(cells.matrix, cells.n[others].sum(axis=0), cells.won[others].sum(axis=0))
        spread = cells.n[rep] * (share * (1 - share))
        leaning = spread @ cells.matrix
        expected[rep] = cells.n[rep] @ share
        variance[rep] = spread.sum() + leaning @ covariance @ leaning
    return {"expected": expected, "variance": variance}


def _fit(matrix: Floats, n: Floats, won: Floats) -> tuple[Floats, Floats]:
    """The chance of each kind of deal, and the covariance of the coefficients (0 where a column says nothing)."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    columns = independent(matrix, n)
    some = n > 0
    if not 0 < won.sum() < n.sum():
        return np.full(len(n), won.sum() / n.sum()), np.zeros((matrix.shape[1],) * 2)
    with warnings.catch_warnings():
        # A kind of deal that was never lost is no harm: only its chance is used, not its coefficient.
        warnings.simplefilter("ignore")
        part = matrix[some][:, columns]
        fit = GLM(won[some] / n[some], part, family=Binomial(), var_weights=n[some]).fit()
    covariance = np.zeros((matrix.shape[1],) * 2)
    covariance[np.ix_(columns, columns)] = fit.cov_params()
    share: Floats = 1 / (1 + np.exp(-np.clip(matrix[:, columns] @ fit.params, -30, 30)))
    return share, covariance
