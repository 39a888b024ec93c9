"""What a grouped regression says: average effects in points, their tests, and the signals that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests

from salescoach.metrics.compare import FALSE_DISCOVERY
from salescoach.metrics.estimate import Z95, Floats
from salescoach.models.design import RARE, Design, Levels, Number
from salescoach.models.solve import Solved, probability

COLUMNS = ["driver", "level", "reference", "step", "n", "won", "effect", "low", "high", "p", "q", "signal"]
COLUMNS += ["coefficient", "se"]


def coefficients_of(design: Design, solved: Solved, scale: float) -> pd.DataFrame:
    """Left-out columns have no coefficient."""
    table = pd.DataFrame(design.names, columns=["driver", "level"])
    table["coefficient"] = table["se"] = np.nan
    table.loc[solved.kept, "coefficient"] = solved.params
    table.loc[solved.kept, "se"] = np.sqrt(scale * np.diag(solved.covariance))
    return table


def effects_of(design: Design, cells: pd.DataFrame, solved: Solved, scale: float) -> pd.DataFrame:
    """The table of `fit_grouped`: each driver's levels, or its step, with average effect, test and signal."""
    params, covariance = solved.full(len(design.names))
    whole = _Whole(design.matrix(cells), cells["n"].to_numpy(float), params, covariance * scale)
    rows: list[dict[str, Any]] = []
    at = 1
    for driver in design.drivers:
        own = slice(at, at + len(driver.columns))
        if isinstance(driver, Levels):
            found = _level_rows(driver, cells, whole, own)
            tested = [at + r["column"] for r in found if r["reference"] and r["n"] >= RARE]
        else:
            found, tested = [_number_row(driver, cells, whole, own)], [at]
        p = _wald(params, whole.covariance, [c for c in tested if c in solved.kept])
        rows += [_finished(row, driver.name, p, at, solved, whole) for row in found]
        at += len(driver.columns)
    return with_signals(pd.DataFrame(rows))[COLUMNS]


def _finished(row: dict[str, Any], name: str, p: float, at: int, solved: Solved, whole: _Whole) -> dict[str, Any]:
    """The row with its coefficient; without an effect where its column was left out, or its records are few."""
    place = at + row.pop("column")
    is_reference, known = row["reference"] == "", at <= place and place in solved.kept
    if not is_reference and (not known or row["n"] < RARE):
        row |= {"effect": np.nan, "low": np.nan, "high": np.nan}
    row["coefficient"] = whole.params[place] if known else (0.0 if is_reference else np.nan)
    row["se"] = float(np.sqrt(whole.covariance[place, place])) if known else np.nan
    return {**row, "driver": name, "p": p}


def with_signals(table: pd.DataFrame) -> pd.DataFrame:
    """The table with q by Benjamini-Hochberg over the drivers (and stages), and the signal that follows from it."""
    tests = [c for c in ("pipeline", "stage", "driver") if c in table]
    each = table[[*tests, "p"]].drop_duplicates(tests)
    q = np.full(len(each), np.nan)
    known = each["p"].notna().to_numpy()
    if known.any():
        q[known] = multipletests(each.loc[known, "p"], method="fdr_bh")[1]
    table = table.drop(columns=["q", "signal"], errors="ignore")
    table = table.merge(each[tests].assign(q=q), on=tests, how="left", validate="m:1")
    found = table["q"] <= FALSE_DISCOVERY
    signals = [table["reference"] == "", table["n"] < RARE, found & (table["low"] > 0), found & (table["high"] < 0)]
    table["signal"] = pd.Series(np.select(signals, ["reference", "few", "more", "less"], "none"), dtype="str")
    return table


def _wald(params: Floats, covariance: Floats, columns: list[int]) -> float:
    """p of the hypothesis that all these coefficients are zero."""
    if not columns:
        return float("nan")
    own = params[columns]
    return float(chi2.sf(own @ np.linalg.solve(covariance[np.ix_(columns, columns)], own), len(columns)))


@dataclass(frozen=True)
class _Whole:
    """All cells with their design, and what was found."""

    matrix: Floats
    n: Floats
    params: Floats
    covariance: Floats

    def difference(self, own: slice, one: Floats, two: Floats, rows: Floats | None = None) -> tuple[float, float]:
        """Mean probability with a driver's columns as `one` less that as `two`, and its delta-method standard error.

        one, two   what stands in the columns `own`: one row for everybody, or one per cell
        rows       records of each cell that count; default: all
        """
        n = self.n if rows is None else rows
        rest = self.matrix @ self.params - self.matrix[:, own] @ self.params[own]
        (mean, slope), (other, against) = (self._mean(own, put, rest, n) for put in (one, two))
        slope = slope - against
        return mean - other, float(np.sqrt(slope @ self.covariance @ slope))

    def _mean(self, own: slice, put: Floats, rest: Floats, n: Floats) -> tuple[float, Floats]:
        share = probability(rest + put @ self.params[own])
        weight = n * share * (1 - share) / n.sum()
        slope = weight @ self.matrix
        slope[own] = weight @ put if put.ndim == 2 else weight.sum() * put
        return float(n @ share / n.sum()), slope


def _level_rows(driver: Levels, cells: pd.DataFrame, whole: _Whole, own: slice) -> list[dict[str, Any]]:
    """The reference, then each level against it."""
    base, codes = driver.levels[0], cells[driver.name].to_numpy(int)
    sizes = np.bincount(codes, cells["n"], len(driver.levels)).astype(int)
    wins = np.bincount(codes, cells["won"], len(driver.levels)).astype(int)
    each = np.vstack([np.zeros(len(driver.columns)), np.eye(len(driver.columns))])
    rows = []
    for place, level in enumerate(driver.levels):
        row: dict[str, Any] = {"level": level, "step": "", "n": sizes[place], "won": wins[place], "column": place - 1}
        if place == 0:
            row |= {"reference": "", "effect": 0.0, "low": np.nan, "high": np.nan}
        else:
            effect, se = whole.difference(own, each[place], each[0])
            row |= {"reference": base, "effect": effect, "low": effect - Z95 * se, "high": effect + Z95 * se}
        rows.append(row)
    return rows


def _number_row(driver: Number, cells: pd.DataFrame, whole: _Whole, own: slice) -> dict[str, Any]:
    """One step up, over the records whose number is known."""
    here = cells[driver.name]
    upper, lower = here + 1, here
    level, reference = ("×2", "×1") if driver.step == "doubling" else ("+1", "+0")
    if driver.step == "quartiles":
        ends = [(v - driver.centre) / driver.unit for v in (driver.start, driver.end)]
        lower, upper = (pd.Series(end, cells.index) for end in ends)
        level, reference = f"{driver.end:g}", f"{driver.start:g}"
    known = here.notna().to_numpy()
    one, two = (driver.matrix(codes.fillna(0).to_numpy(float)) for codes in (upper, lower))
    effect, se = whole.difference(own, one, two, whole.n * known)
    sums = {c: int(cells.loc[known, c].sum()) for c in ("n", "won")}
    row = {"level": level, "reference": reference, "step": driver.step, "column": 0, **sums}
    return row | {"effect": effect, "low": effect - Z95 * se, "high": effect + Z95 * se}
