"""How right the forecasts of past days were: of sums by method and level, and of deals by their chances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from salescoach.metrics.estimate import Z95, wilson
from salescoach.models.forecast.combine import BASELINES, EDGE, LEVELS, WORSE, Judged, log_loss
from salescoach.models.forecast.methods import SEEN, Cells
from salescoach.models.forecast.past import Floats, Whole

STEP = 7  # days between two origins
DRAWS, SEED = 1000, 11
SURE = (0.05, 0.95)
NO_RANGE = ("crm",)
SHOWN = ("combined", "hazard", "landmark", "features", "run_rate", "last_period", "seasonal", "seasonal_share", "crm")
TENTHS = 10
SCORES = ["lead", "level", "method", "n_origins", "n", "wape", "bias", "crps", "skill", "skill_low", "skill_high"]
SCORES += ["gain", "gain_low", "gain_high", "covered_50", "covered_80", "chosen", "as_good"]
DEAL_SCORES = ["lead", "method", "n", "won", "log_loss", "brier", "skill", "slope", "slope_low", "slope_high", "auc"]
DEAL_SCORES += ["chosen"]
CALIBRATION = ["lead", "bin", "n", "expected", "value", "low", "high", "won"]


def scored(found: Judged, today: int, most: int) -> Whole:
    """The latest origins whose window has passed and that had a past as long as what they foretold."""
    views = found.views
    lead = views.window.lead
    known = (views.origins + lead <= today) & (views.origins >= views.since + max(SEEN, lead))
    return np.flatnonzero(known)[-most:]


def score(found: Judged, rows: Whole) -> list[dict[str, Any]]:
    """Rows of the scoreboard of one window; `rows`: the origins that count."""
    views, lead, table = found.views, found.views.window.lead, []
    blocks = _blocks(len(rows), -(-lead // STEP))
    chosen = {*found.members[-1], found.source[-1]} if "pipeline" in found.members[-1] else {*found.members[-1]}
    for level in LEVELS:
        actual = found.groups.sums(views.actual[rows], level)
        whole = max(float(actual.sum()), EDGE)
        missed, off = {}, {}
        for name in (m for m in SHOWN if m in found.mean):
            mean = found.groups.sums(found.mean[name][rows], level)
            missed[name] = np.abs(mean - actual).sum(1)
            row = {"lead": lead, "level": level, "method": name, "n_origins": len(rows), "n": actual.size}
            row |= {"wape": missed[name].sum() / whole, "bias": (mean - actual).sum() / whole}
            row |= {"chosen": name == "combined" or name in chosen}
            if name not in NO_RANGE:
                spread = found.spread(name, level, rows)
                off[name] = spread.crps(actual).sum(1)
                row["crps"] = off[name].sum() / whole
                ends = spread.ranges()
                row["covered_50"] = _inside(actual, ends["low_50"], ends["high_50"])
                row["covered_80"] = _inside(actual, ends["low"], ends["high"])
            table.append(row)
        best = min((m for m in BASELINES), key=lambda m: float(missed[m].sum()))
        for row in table[-len(missed) :]:
            name = str(row["method"])
            gain = _gain(missed[name], missed["run_rate"], blocks)
            row |= dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
            if name in off:
                skill = _gain(off[name], off["run_rate"], blocks)
                row |= dict(zip(("skill", "skill_low", "skill_high"), skill, strict=True))
            if name == best:
                against = _gain(missed["combined"], missed[best], blocks)
                worse = missed["combined"].sum() > WORSE * missed[best].sum()
                row["as_good"] = bool(worse or not against[1] > 0)
    return table


def _inside(actual: Floats, low: Floats, high: Floats) -> float:
    return float(((actual >= low) & (actual <= high)).mean())


def _blocks(n: int, length: int) -> Whole:
    """Draws of origins in blocks as long as their windows overlap: `[draw, origin]`."""
    if not n:
        return np.empty((0, 0), dtype=np.int64)
    length = min(length, n)
    starts = np.random.default_rng(SEED).integers(0, n, (DRAWS, -(-n // length)))
    found: Whole = ((starts[:, :, None] + np.arange(length)) % n).reshape(DRAWS, -1)[:, :n]
    return found


def _gain(ours: Floats, theirs: Floats, blocks: Whole) -> tuple[float, float, float]:
    """1 - ours / theirs with its 90 % interval over blocks of origins."""
    if not len(ours) or theirs.sum() <= 0:
        return np.nan, np.nan, np.nan
    drawn = 1 - ours[blocks].sum(1) / np.maximum(theirs[blocks].sum(1), EDGE)
    low, high = np.quantile(drawn, SURE)
    return float(1 - ours.sum() / theirs.sum()), float(low), float(high)


def deal_scores(found: Judged, rows: Whole) -> list[dict[str, Any]]:
    """How well chances of deals were told, one row per method."""
    table, base = [], _brier(found.cells("base_rate"), rows)
    for name in [*found.views.parts, "crm", "base_rate", "pipeline"]:
        cells = found.cells(name)
        n, won = float(cells.n[rows].sum()), float(cells.won[rows].sum())
        if not n:
            continue
        brier = _brier(cells, rows)
        row = {"lead": found.views.window.lead, "method": "combined" if name == "pipeline" else name, "n": int(n)}
        row |= {"won": int(won), "log_loss": float(log_loss(cells)[rows].sum()) / n, "brier": brier / n}
        row |= {"skill": 1 - brier / base if base > 0 else np.nan, "chosen": name in ("pipeline", found.source[-1])}
        row |= dict(zip(("slope", "slope_low", "slope_high"), _slope(cells, rows), strict=True))
        table.append(row | {"auc": _auc(cells, rows)})
    return table


def _brier(cells: Cells, rows: Whole) -> float:
    chance, n, won = cells.chance[rows], cells.n[rows], cells.won[rows]
    return float((won * (1 - chance) ** 2 + (n - won) * chance**2).sum())


def _flat(cells: Cells, rows: Whole) -> tuple[Floats, Floats, Floats]:
    """Cells with deals, in the order of their chances."""
    chance, n, won = cells.chance[rows].ravel(), cells.n[rows].ravel(), cells.won[rows].ravel()
    there = np.flatnonzero(n > 0)
    there = there[np.argsort(chance[there], kind="stable")]
    return chance[there], n[there], won[there]


def _slope(cells: Cells, rows: Whole) -> tuple[float, float, float]:
    """Of the outcome on the logit of the chance, with the 95 % interval; null where chances are all the same."""
    chance, n, won = _flat(cells, rows)
    logit = np.log(np.clip(chance, EDGE, 1 - EDGE) / (1 - np.clip(chance, EDGE, 1 - EDGE)))
    if not len(chance) or np.ptp(logit) < EDGE or not 0 < won.sum() < n.sum():
        return np.nan, np.nan, np.nan
    x = np.column_stack([np.ones(len(n)), logit])
    result: Any = GLM(won / n, x, family=Binomial(), var_weights=n).fit()
    value, se = float(result.params[1]), float(result.bse[1])
    return value, value - Z95 * se, value + Z95 * se


def _auc(cells: Cells, rows: Whole) -> float:
    """Share of pairs of a won deal and another in which the won one had the higher chance; ties count half."""
    chance, n, won = _flat(cells, rows)
    if not len(chance) or not 0 < won.sum() < n.sum():
        return np.nan
    starts = np.flatnonzero(np.append(True, chance[1:] != chance[:-1]))
    won, rest = np.add.reduceat(won, starts), np.add.reduceat(n - won, starts)
    below = np.append(0.0, np.cumsum(rest)[:-1])
    return float((won * (below + rest / 2)).sum() / (won.sum() * rest.sum()))


def calibration(found: Judged, rows: Whole) -> pd.DataFrame:
    """The chances in use against what came, in tenths of the deals by chance."""
    chance, n, won = _flat(found.cells("pipeline"), rows)
    if not len(n):
        return pd.DataFrame(columns=CALIBRATION)
    tenth = np.minimum((np.cumsum(n) - n / 2) * TENTHS // n.sum(), TENTHS - 1).astype(np.int64)
    sums = pd.DataFrame({"bin": tenth, "n": n, "won": won, "expected": chance * n}).groupby("bin").sum().reset_index()
    sums["expected"] = sums["expected"] / sums["n"]
    sums[["n", "won"]] = sums[["n", "won"]].astype("int64")
    sums["value"], sums["low"], sums["high"] = wilson(sums["won"], sums["n"])
    return sums.assign(lead=found.views.window.lead)[CALIBRATION]
