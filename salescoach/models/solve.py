"""Solving the grouped regression: maximum likelihood, steadied by a prior where it has no finite answer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit, xlogy
from scipy.stats import chi2
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.multitest import multipletests

from salescoach.errors import commas
from salescoach.metrics.compare import FALSE_DISCOVERY
from salescoach.metrics.estimate import Floats
from salescoach.models.design import RARE, Design, Levels, independent
from salescoach.models.fit import Advice
from salescoach.wording import N_

Prior = Literal["auto", "always", "never"]
Scale = Literal["auto", "X2", "one"]
FULL_CELLS = 3.0  # records per cell from which their spread can be judged
STEPS = 40
TOLERANCE = 1e-9
FAR = 12.0  # a coefficient no finite effect has: odds of 160,000 to 1


@dataclass(frozen=True)
class Solved:
    """Parameters of the kept columns with their covariance, and the fit's quality."""

    kept: list[int]
    params: Floats
    covariance: Floats
    deviance: float
    pearson: float
    df: int
    settled: bool

    def full(self, columns: int) -> tuple[Floats, Floats]:
        """Parameters and covariance with the columns that were left out as zeros."""
        params, covariance = np.zeros(columns), np.zeros((columns, columns))
        params[self.kept] = self.params
        covariance[np.ix_(self.kept, self.kept)] = self.covariance
        return params, covariance


def solve_steadily(design: Design, cells: pd.DataFrame, prior: Prior) -> tuple[Solved, list[Advice], bool]:
    """The plain fit, or the one with the prior where the plain one has no finite answer."""
    matrix, n, won = design.matrix(cells), cells["n"].to_numpy(float), cells["won"].to_numpy(float)
    lopsided = _lopsided(design, matrix, n, won)
    steadied = prior == "always" or (prior == "auto" and bool(lopsided))
    solved = _solve(matrix, n, won, steadied)
    if prior == "auto" and not steadied and not (solved.settled and np.abs(solved.params).max() < FAR):
        solved, steadied = _solve(matrix, n, won, True), True
    advice = []
    told = [f"{driver} = {level}" for driver, level, size in lopsided if size >= RARE]
    if steadied and told:
        text = N_("all deals of {names} ended alike; their effect is drawn towards none, and is uncertain")
        advice.append(Advice(text, {"names": commas(told)}))
    names = design.names
    dropped = sorted({names[i][0] for i in range(len(names)) if i not in solved.kept})
    if dropped:
        text = N_("{names}: some of it follows from other drivers and is left out")
        advice.append(Advice(text, {"names": commas(dropped)}))
    return solved, advice, steadied


def _lopsided(design: Design, matrix: Floats, n: Floats, won: Floats) -> list[tuple[str, str, int]]:
    """Levels all of whose records ended alike: driver, level, records."""
    found: list[tuple[str, str, int]] = []
    column = 1
    for driver in design.drivers:
        flags = matrix[:, column : column + len(driver.columns)]
        column += len(driver.columns)
        if isinstance(driver, Levels):
            flags = np.column_stack([flags.sum(axis=1) == 0, flags])
            sizes, wins = n @ flags, won @ flags
            found += [
                (driver.name, level, int(s))
                for level, s, w in zip(driver.levels, sizes, wins, strict=True)
                if w in (0, s)
            ]
    return found


def _solve(matrix: Floats, n: Floats, won: Floats, steadied: bool) -> Solved:
    """Maximum likelihood; steadied by one pseudo-record per coefficient, half won and half lost (log-F(1,1))."""
    kept = independent(matrix, n)
    x, size, wins = matrix[:, kept], n, won
    if steadied:
        pseudo = np.eye(len(kept))[1:]
        x = np.vstack([x, pseudo])
        size, wins = np.r_[n, np.ones(len(pseudo))], np.r_[won, np.full(len(pseudo), 0.5)]
    start = np.zeros(len(kept))
    start[0] = np.log(wins.sum() / (size - wins).sum())
    model = GLM(wins / size, x, family=Binomial(), var_weights=size)
    with warnings.catch_warnings():  # that there is no finite answer is told by `settled` and by the sizes
        warnings.simplefilter("ignore")
        fit = model.fit(start_params=start, maxiter=STEPS, tol=TOLERANCE, tol_criterion="params", scale=1.0)
    params, covariance = np.asarray(fit.params, float), np.asarray(fit.normalized_cov_params, float)
    settled = bool(fit.converged) and bool(np.isfinite(params).all() and np.isfinite(covariance).all())
    fitted = np.clip(probability(x[: len(n)] @ params), 1e-12, 1 - 1e-12)
    pearson = float((n * (won / n - fitted) ** 2 / (fitted * (1 - fitted))).sum())
    own = _log_likelihood(x[: len(n)] @ params, n, won)
    return Solved(
        kept, params, covariance, 2 * (_log_likelihood_of_shares(n, won) - own), pearson, len(n) - len(kept), settled
    )


def _log_likelihood(logit: Floats, n: Floats, won: Floats) -> float:
    return float(won @ logit - n @ np.logaddexp(0, logit))


def _log_likelihood_of_shares(n: Floats, won: Floats) -> float:
    """The likelihood of a fit that meets each cell's own share."""
    return float((xlogy(won, won / n) + xlogy(n - won, (n - won) / n)).sum())


def probability(logit: Floats) -> Floats:
    """The probability of a logit, without overflow."""
    found: Floats = expit(logit)
    return found


def scale_of(solved: Solved, cells: pd.DataFrame, scale: Scale) -> float:
    if scale == "one" or solved.df <= 0:
        return 1.0
    if scale == "X2":
        return solved.pearson / solved.df
    full = cells["n"].sum() / len(cells) >= FULL_CELLS  # cells of one record have no spread to be seen
    beyond = chi2.sf(solved.pearson, solved.df) < 0.05
    return max(1.0, solved.pearson / solved.df) if full and beyond else 1.0


def interactions_of(design: Design, pairs: Sequence[tuple[str, str]], cells: pd.DataFrame) -> pd.DataFrame:
    """Each declared pair by the likelihood ratio against the plain fit without it.

    The spread between cells is that which is left with the pair: what it explains is no spread.
    """
    if not pairs:
        return pd.DataFrame(columns=["pair", "df", "chi2", "p", "q", "signal"])
    n, won = cells["n"].to_numpy(float), cells["won"].to_numpy(float)
    without = _solve(design.matrix(cells), n, won, False)
    rows = []
    for pair in pairs:
        more = _solve(Design(design.drivers, (pair,)).matrix(cells), n, won, False)
        df = len(more.kept) - len(without.kept)
        ratio = max(0.0, without.deviance - more.deviance) / scale_of(more, cells, "auto")
        p = float(chi2.sf(ratio, df)) if df else float("nan")
        rows.append({"pair": " × ".join(pair), "df": df, "chi2": ratio, "p": p})
    table = pd.DataFrame(rows, columns=["pair", "df", "chi2", "p"])
    known = table["p"].notna()
    table["q"] = np.nan
    if known.any():
        table.loc[known, "q"] = multipletests(table.loc[known, "p"], method="fdr_bh")[1]
    table["signal"] = np.where(table["q"] <= FALSE_DISCOVERY, "yes", "none")
    return table
