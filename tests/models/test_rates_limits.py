"""The lines of a funnel plot: the published medpar example, and binomial sums done by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM

from salescoach.models import count_limits, funnel_limits, overdispersion, share_limit

Trial = Callable[[str], Path]


@pytest.fixture(scope="module")
def hospitals(trial: Trial) -> tuple[pd.DataFrame, float]:
    """Days in hospital observed and expected by hospital, and the dispersion of the fit (COUNT's medpar)."""
    stays = pd.read_csv(trial("reference") / "medpar.csv")
    columns = [np.ones(len(stays)), stays["hmo"], stays["died"], stays["age80"], stays["type"] == 2, stays["type"] == 3]
    fit = GLM(stays["los"], np.column_stack(columns).astype(float), family=Poisson()).fit()
    sums = stays.assign(expected=fit.mu).groupby("provnum").agg(observed=("los", "sum"), expected=("expected", "sum"))
    return sums, float(fit.pearson_chi2 / fit.df_resid)


def test_exact_poisson_limits_as_funnelplotr(hospitals: tuple[pd.DataFrame, float]) -> None:
    sums, dispersion = hospitals
    assert dispersion == pytest.approx(6.2405, abs=5e-5)
    low, high = count_limits(sums["expected"], 0.001)
    assert len(sums) == 54
    assert ((sums["observed"] < low) | (sums["observed"] > high)).sum() == 25


def test_overdispersion_as_funnelplotr(hospitals: tuple[pd.DataFrame, float]) -> None:
    sums, _ = hospitals
    log_ratio, variance = np.log(sums["observed"] / sums["expected"]), 1 / sums["expected"]
    phi, tau2 = overdispersion(log_ratio / np.sqrt(variance), variance)
    assert phi == pytest.approx(7.8784, abs=5e-5) and tau2 == pytest.approx(0.027320, abs=5e-7)
    assert (np.abs(log_ratio) > 3.0902 * np.sqrt(variance + tau2)).sum() == 9


def test_overdispersion_of_chance_alone_is_none() -> None:
    z = np.random.default_rng(1).standard_normal(200)
    phi, tau2 = overdispersion(z, np.full(200, 0.01))
    assert phi < 1 and tau2 == 0.0


def by_hand(n: int, target: float, probability: float) -> float:
    """Spiegelhalter's interpolated limit with whole-number sums."""
    mass = [comb(n, k) * target**k * (1 - target) ** (n - k) for k in range(n + 1)]
    reached = 0.0
    for r, part in enumerate(mass):
        reached += part
        if reached >= probability:
            return min(max((r - (reached - probability) / part) / n, 0.0), 1.0)
    return 1.0


@pytest.mark.parametrize("target", [0.03, 0.2, 0.63])
def test_share_limits_by_hand(target: float) -> None:
    n = np.array([1, 2, 7, 30, 88, 151])
    for probability in (0.001, 0.025, 0.975, 0.999):
        expected = [by_hand(int(k), target, probability) for k in n]
        assert share_limit(n, target, probability) == pytest.approx(expected, abs=1e-9)


def test_four_tosses_of_a_coin() -> None:
    # P(X ≤ 0) = 1/16 = .0625 ≥ .025, so r = 0; (0 - (.0625 - .025) / .0625) / 4 = -.15, which ends at 0.
    assert share_limit(4, 0.5, 0.025) == 0.0
    # P(X ≤ 1) = 5/16; at .2: r = 1, (1 - (.3125 - .2) / .25) / 4 = .1375
    assert share_limit(4, 0.5, 0.2) == pytest.approx(0.1375)


def test_lines_close_in_on_the_rate_and_hold_each_other() -> None:
    lines = funnel_limits(np.array([20, 50, 250, 1000]), 0.4)
    columns = ["lower_998", "lower_95", "upper_95", "upper_998"]
    assert (lines[columns].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    width = lines["upper_95"] - lines["lower_95"]
    assert width.is_monotonic_decreasing and ((lines["lower_95"] < 0.4) & (lines["upper_95"] > 0.4)).all()
    wider = funnel_limits(np.array([20, 50, 250, 1000]), 0.4, tau2=0.002)
    assert ((wider["upper_95"] > lines["upper_95"]) & (wider["lower_95"] < lines["lower_95"])).all()
    # For many deals the widened limit is normal: .4 ± 1.96 √(.24 / 1000 + .002).
    assert wider["upper_95"].iloc[-1] == pytest.approx(0.4 + 1.96 * np.sqrt(0.24 / 1000 + 0.002), abs=0.002)


def test_chance_leaves_one_in_twenty_outside() -> None:
    n, won = 150, np.random.default_rng(5).binomial(150, 0.3, 40_000)
    lines = funnel_limits(np.array([n]), 0.3).iloc[0]
    outside = ((won / n < lines["lower_95"]) | (won / n > lines["upper_95"])).mean()
    assert 0.035 < outside < 0.065
