"""Ranges: mean and variance as asked, scores as numerical integration has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from salescoach.models.forecast.spread import Spread

CASES = [(100.0, 400.0, 50.0), (10.0, 200.0, 0.7), (5.0, 300.0, 0.2)]


def draws(spread: Spread, n: int = 400_000) -> np.ndarray:
    chance = np.random.default_rng(2)
    return np.where(chance.random(n) < spread.none, 0.0, chance.gamma(spread.shape, spread.scale, n))


@pytest.mark.parametrize(("mean", "variance", "wins"), CASES)
def test_mean_and_variance_are_as_asked(mean: float, variance: float, wins: float) -> None:
    spread = Spread(mean, variance, wins)
    some = 1 - spread.none
    assert some * spread.shape * spread.scale == pytest.approx(mean)
    square = some * (spread.shape * spread.scale**2 + (spread.shape * spread.scale) ** 2)
    assert square - mean**2 == pytest.approx(variance)


@pytest.mark.parametrize(("mean", "variance", "wins"), CASES)
@pytest.mark.parametrize("actual", [0.0, 7.0, 120.0])
def test_crps_equals_its_integral(mean: float, variance: float, wins: float, actual: float) -> None:
    spread = Spread(mean, variance, wins)

    def below(x: float) -> float:
        return float(spread.none + (1 - spread.none) * gamma.cdf(x, spread.shape, scale=spread.scale))

    first = quad(lambda x: below(x) ** 2, 0, actual, limit=200)[0]
    rest = quad(lambda x: (1 - below(x)) ** 2, actual, actual + 3000, limit=400)[0]
    assert float(spread.crps(actual)) == pytest.approx(first + rest, rel=1e-4)


def test_quantiles_and_chances_are_each_others_inverse() -> None:
    spread = Spread(100.0, 900.0, 30.0)
    for share in (0.1, 0.25, 0.5, 0.9):
        assert float(spread.reaches(spread.at(share))) == pytest.approx(1 - share)
    assert np.quantile(draws(spread), 0.9) == pytest.approx(float(spread.at(0.9)), rel=0.01)


def test_who_wins_once_in_a_while_may_win_nothing() -> None:
    # a win in two months: nothing with exp(-.5) = .61, so the lower half of the 50 % range is 0
    spread = Spread(50.0, 5000.0, 0.5)
    assert float(spread.none) == pytest.approx(np.exp(-0.5))
    assert float(spread.at(0.25)) == 0 and float(spread.at(0.5)) == 0 < float(spread.at(0.9))
    assert float(spread.reaches(0.0)) == 1 and float(spread.reaches(1.0)) < 0.4


def test_nothing_to_expect_is_nothing() -> None:
    spread = Spread(0.0, 0.0, 0.0)
    assert {name: float(v) for name, v in spread.ranges().items()} == dict.fromkeys(spread.ranges(), 0.0)
    assert float(spread.crps(3.0)) == pytest.approx(3.0)
