"""Shares of a gap: published decompositions, what must hold of any, and the fast way against the plain one."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from salescoach.models.shapley import shapley, shapley_of_product

# The examples of Das Gupta (1993), "Standardization and Decomposition of Rates: A User's Manual", as the R package
# DasGuptR prints their effects.
PUBLISHED = {
    "2.1": ([10930, 0.717892], [16591, 0.825974], [4369.913, 1487.262]),
    "2.2": ([51.78746, 0.45919, 0.52638], [84.90502, 0.75756, 0.51065], [10.4340333, 10.5608476, -0.6670084]),
    "2.3": (
        [25.3, 0.214, 0.279, 0.949],
        [32.7, 0.290, 0.473, 0.986],
        [0.6889411, 0.8125381, 1.3829055, 0.1047547],
    ),
    "2.4": (
        [0.58, 0.76, 0.84, 0.66, 16.573],
        [0.72, 0.97, 0.97, 0.56, 16.158],
        [1.0909785, 1.2298438, 0.7278399, -0.8398707, -0.1290187],
    ),
}


def product(*factors: Any) -> Any:
    return np.prod(np.broadcast_arrays(*factors), axis=0)


@pytest.mark.parametrize("example", PUBLISHED)
def test_published_decompositions(example: str) -> None:
    before, after, effects = PUBLISHED[example]
    parts = shapley(product, before, after)
    np.testing.assert_allclose(np.array(parts), effects, rtol=0, atol=6e-4 if example == "2.1" else 6e-8)
    np.testing.assert_allclose(shapley_of_product(np.array(before), np.array(after)), parts, rtol=1e-12)


def test_a_published_decomposition_with_vectors_for_factors() -> None:
    """Example 4.3: births per married woman, share married and share of the population, each by age."""
    births = [[393, 407, 369, 274, 184, 90, 16], [488, 452, 338, 156, 63, 22, 3]]
    married = [[0.122, 0.622, 0.903, 0.930, 0.916, 0.873, 0.800], [0.082, 0.527, 0.866, 0.941, 0.942, 0.923, 0.876]]
    women = [[0.043, 0.041, 0.036, 0.032, 0.026, 0.020, 0.018], [0.058, 0.038, 0.032, 0.030, 0.026, 0.023, 0.019]]
    before, after = ([np.array(factor[year]) for factor in (births, married, women)] for year in (0, 1))
    parts = shapley(lambda b, m, w: (b * m * w).sum(), before, after)
    np.testing.assert_allclose(np.array(parts), [-7.285632, -2.720633, -1.565181], rtol=0, atol=6e-7)


def test_shares_and_rates_give_kitagawas_midpoint_formula() -> None:
    chance = np.random.default_rng(1)
    mix, rate = chance.dirichlet(np.ones(5), 2), chance.random((2, 5))
    of_mix, of_rate = shapley(lambda m, r: (m * r).sum(), [mix[0], rate[0]], [mix[1], rate[1]])
    assert of_mix == pytest.approx(((mix[1] - mix[0]) * (rate[0] + rate[1]) / 2).sum(), rel=1e-12)
    assert of_rate == pytest.approx(((rate[1] - rate[0]) * (mix[0] + mix[1]) / 2).sum(), rel=1e-12)


def over_all_orders(before: Any, after: Any) -> Any:
    """The definition word by word: change one factor after the other, in every order."""
    count = len(before)
    parts, orders = np.zeros(count), list(permutations(range(count)))
    for order in orders:
        now = list(before)
        for place in order:
            was = np.prod(now)
            now[place] = after[place]
            parts[place] += (np.prod(now) - was) / len(orders)
    return parts


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_both_ways_are_the_mean_over_all_orders(count: int) -> None:
    chance = np.random.default_rng(count)
    for _ in range(5):
        before, after = chance.uniform(-1, 3, (2, count))
        slow = over_all_orders(before, after)
        np.testing.assert_allclose(np.array(shapley(product, before, after)), slow, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(shapley_of_product(before, after), slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", range(1, 10))
def test_parts_add_up_for_groups_and_draws_at_once_also_where_a_factor_is_zero(count: int) -> None:
    chance = np.random.default_rng(count)
    before, after = chance.lognormal(0, 1, (count, 1, 50)), chance.lognormal(0, 1, (count, 7, 50))
    after[chance.random(after.shape) < 0.05] = 0.0
    parts = shapley_of_product(before, after)
    gap = after.prod(axis=0) - before.prod(axis=0)
    scale = np.abs(parts).sum(axis=0)
    assert parts.shape == (count, 7, 50)
    assert (np.abs(parts.sum(axis=0) - gap) <= 1e-9 * scale).all()


def test_what_does_not_change_has_no_part_and_turning_the_comparison_round_turns_the_signs() -> None:
    before, after = np.array([3.0, 0.4, 7.0]), np.array([5.0, 0.4, 2.0])
    parts = shapley_of_product(before, after)
    assert parts[1] == 0.0
    np.testing.assert_allclose(shapley_of_product(after, before), -parts, rtol=1e-12)
