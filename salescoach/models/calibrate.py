"""How probabilities from an earlier period fare on a later one: calibration, discrimination, skill."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from salescoach.metrics.estimate import Z95, Floats, wilson

COIN = 0.5
OF_USE = 0.55  # an area under the curve below this tells next to nothing of a single deal
FEWEST = 20  # of either outcome in the later period
BANDS = 5
EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """A later period told by a fit on the earlier one.

    split_on                         the first day of the later period
    n_fit, n, won                    records before and from then on; of the latter, how many were won or went on
    intercept, slope (…_low, _high)  of the outcome on the logit of the probability; 0 and 1 are perfect
    auc (…_low, _high)               share of (won, lost) pairs whose won deal had the higher probability (DeLong)
    skill                            1 - Brier score / Brier score of the earlier period's plain share
    bands                            fifths by probability: predicted, n, won, value, low, high (95 % Wilson)
    """

    split_on: pd.Timestamp
    n_fit: int
    n: int
    won: int
    intercept: float
    intercept_low: float
    intercept_high: float
    slope: float
    slope_low: float
    slope_high: float
    auc: float
    auc_low: float
    auc_high: float
    skill: float
    bands: pd.DataFrame

    @property
    def tells(self) -> bool:
        """Whether it told outcomes apart by enough to be of use."""
        return self.auc >= OF_USE


def calibrate(chances: Floats, outcome: Floats, usual: float, split_on: pd.Timestamp, n_fit: int) -> Calibration | None:
    """Probabilities against what came of them; None where fewer than 20 of either outcome are there to judge by.

    chances   probability of each record of the later period, told by the earlier
    outcome   1 or 0 for each
    usual     the earlier period's share, the plain forecast to be beaten
    """
    won = float(outcome.sum())
    if min(won, len(outcome) - won) < FEWEST:
        return None
    chances = np.clip(chances, EDGE, 1 - EDGE)
    area, se = auc_with_error(chances, outcome)
    ends = _slope(chances, outcome)
    plain = float(np.mean((usual - outcome) ** 2))
    skill = 1 - float(np.mean((chances - outcome) ** 2)) / plain
    area_ends = (max(0.0, area - Z95 * se), min(1.0, area + Z95 * se))
    return Calibration(
        split_on, n_fit, len(outcome), int(won), *ends, area, *area_ends, skill, _bands(chances, outcome)
    )


def _slope(chances: Floats, outcome: Floats) -> tuple[float, float, float, float, float, float]:
    """Intercept and slope with their 95 % intervals; unknown where all probabilities are the same."""
    logit = np.log(chances / (1 - chances))
    if np.ptp(logit) < EDGE:
        return (np.nan,) * 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # perfectly told apart: the interval is wide enough a warning
        result: Any = GLM(outcome, np.column_stack([np.ones(len(logit)), logit]), family=Binomial()).fit()
    found: list[float] = []
    for value, se in zip(result.params, result.bse, strict=True):
        found += [float(value), float(value - Z95 * se), float(value + Z95 * se)]
    return found[0], found[1], found[2], found[3], found[4], found[5]


def auc_with_error(chances: Floats, outcome: Floats) -> tuple[float, float]:
    """Area under the curve with its standard error (DeLong, DeLong & Clarke-Pearson 1988), by ranks."""
    won = outcome > 0
    yes, no = chances[won], chances[~won]
    both, of_yes, of_no = rankdata(np.r_[yes, no]), rankdata(yes), rankdata(no)
    beaten = (both[: len(yes)] - of_yes) / len(no)
    beating = 1 - (both[len(yes) :] - of_no) / len(yes)
    error = np.sqrt(beaten.var(ddof=1) / len(yes) + beating.var(ddof=1) / len(no))
    return float(beaten.mean()), float(error)


def _bands(chances: Floats, outcome: Floats) -> pd.DataFrame:
    band = np.minimum((rankdata(chances, method="average") - 0.5) * BANDS // len(chances), BANDS - 1)
    records = pd.DataFrame({"band": band, "predicted": chances, "won": outcome})
    sums = {"predicted": ("predicted", "mean"), "n": ("won", "size"), "won": ("won", "sum")}
    table = records.groupby("band", as_index=False).agg(**sums).drop(columns="band")  # type: ignore[call-overload]
    table["won"] = table["won"].astype("int64")
    table["value"], table["low"], table["high"] = wilson(table["won"], table["n"])
    return table
