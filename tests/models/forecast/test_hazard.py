"""Rates are those of a Poisson regression, and deals walk as the chain of days says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM

from salescoach.models.forecast import hazard


@pytest.mark.parametrize("seed", range(3))
def test_main_effects_are_those_of_a_poisson_regression_with_exposure(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(seed)
    exposure = chance.uniform(50, 500, (1, 1, 6, 3))
    exits = chance.poisson(exposure[:, :, None] * chance.uniform(0.01, 0.2, (1, 1, 2, 6, 3))).astype(float)
    monkeypatch.setattr(hazard, "PSEUDO", 1e12)  # drawn wholly to the main effects
    ours = hazard.fit_rates(exposure, exits)
    age, month = np.repeat(np.arange(6), 3), np.tile(np.arange(3), 6)
    x = np.column_stack([np.ones(18), *(age == a for a in range(1, 6)), *(month == m for m in (1, 2))]).astype(float)
    for to in range(2):
        fit: Any = GLM(exits[0, 0, to].ravel(), x, family=Poisson(), offset=np.log(exposure[0, 0].ravel())).fit(
            tol=1e-14
        )
        assert ours[0, 0, to].ravel() == pytest.approx(fit.fittedvalues / exposure[0, 0].ravel(), rel=1e-7)


def test_a_cell_is_drawn_to_its_age_and_month_by_five_events() -> None:
    exposure, exits = np.full((1, 1, 2, 3), 100.0), np.zeros((1, 1, 1, 2, 3))
    exits[0, 0, 0] = [[10, 10, 40], [10, 10, 40]]  # main effects fit exactly: .1 .1 .4
    assert hazard.fit_rates(exposure, exits)[0, 0, 0] == pytest.approx(np.array([[0.1, 0.1, 0.4]] * 2))
    exits[0, 0, 0] = [[20, 10, 30], [0, 10, 50]]
    main = 60 * np.array([20, 20, 80]) / 120 / 100  # ages are alike: 60 exits each; months 20, 20, 80 of 120
    drawn = (exits[0, 0, 0] + 5) / (100 + 5 / main)
    assert hazard.fit_rates(exposure, exits)[0, 0, 0] == pytest.approx(drawn)


def test_an_age_that_nobody_reached_has_the_rate_of_the_age_before() -> None:
    exposure, exits = np.zeros((1, 1, 3, 1)), np.zeros((1, 1, 1, 3, 1))
    exposure[0, 0, :, 0], exits[0, 0, 0, :, 0] = [100, 50, 0], [10, 10, 0]
    assert hazard.fit_rates(exposure, exits)[0, 0, 0, :, 0] == pytest.approx([0.1, 0.2, 0.2])


def forward(rates: Any, ages: tuple[int, ...], months: Any, gap: int, state: int, age: int) -> float:
    """Won within the window, by following one deal forward: every state and age with its probability."""
    states, won = rates.shape[0], 0.0
    here = {(state, age): 1.0}
    for day, month in enumerate(months):
        after: dict[tuple[int, int], float] = {}
        while sum(here.values()) > 1e-14:  # a deal that moves may move again on the same day
            moved: dict[tuple[int, int], float] = {}
            for (s, a), p in here.items():
                left = rates[s, :, max(k for k, low in enumerate(ages) if low <= a), month]
                for to in range(states):
                    moved[to, 0] = moved.get((to, 0), 0.0) + p * left[to]
                won += p * left[states] if day >= gap else 0.0
                older = (s, min(a + 1, ages[-1]))
                after[older] = after.get(older, 0.0) + p * (1 - left.sum())
            here = moved
        here = after
    return won


@pytest.mark.parametrize("gap", [0, 2])
def test_walking_backwards_equals_following_each_deal_forwards(gap: int) -> None:
    chance, ages = np.random.default_rng(5), (0, 1, 3, 6)
    rates = chance.uniform(0, 0.12, (3, 6, 4, 3))  # 3 states; to 3 states, won, lost, void
    months = np.array([0, 0, 1, 1, 2])
    found = hazard.walk(rates[None], ages, months[None], gap)
    for state in range(3):
        for age in (0, 2, 6):
            expected = forward(rates, ages, months, gap, state, age)
            assert found.open[0, state, age] == pytest.approx(expected, rel=1e-9)
        arriving = sum(forward(rates, ages, months[k:], max(gap - k, 0), state, 0) for k in range(5))
        assert found.arriving[0, state] == pytest.approx(arriving, rel=1e-9)


def test_one_stage_by_hand() -> None:
    # a tenth wins each day, a tenth is lost: in two days .1 + .8 x .1 = .18
    rates = np.zeros((1, 1, 4, 1, 3))
    rates[0, 0, 1], rates[0, 0, 2] = 0.1, 0.1
    found = hazard.walk(rates, (0,), np.zeros((1, 2), dtype=int), 0)
    assert found.open[0, 0, 0] == pytest.approx(0.18)
    assert found.arriving[0, 0] == pytest.approx(0.18 + 0.1)
