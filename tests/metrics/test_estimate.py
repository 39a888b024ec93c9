"""Intervals and curves against published values and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.duration.survfunc import SurvfuncRight

from salescoach.metrics import Curve, count_interval, kaplan_meier, mean_interval, sum_interval, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_values_newcombe_published(k: int, n: int, low: float, high: float) -> None:
    value, lower, upper = wilson(k, n)
    assert (float(value), round(float(lower), 4), round(float(upper), 4)) == (k / n, low, high)


def test_a_share_of_nothing_is_null_not_zero() -> None:
    assert all(np.isnan(part) for part in wilson(0, 0))


def test_wilson_stays_within_0_and_1() -> None:
    for n in (1, 2, 7, 1000):
        _, low, high = wilson(np.arange(n + 1), n)
        assert (low >= 0).all() and (high <= 1).all() and (low < high).all()


def test_byar_is_near_the_exact_poisson_interval() -> None:
    n = np.arange(1, 400)
    low, high = count_interval(n)
    exact_low, exact_high = chi2.ppf(0.025, 2 * n) / 2, chi2.ppf(0.975, 2 * n + 2) / 2
    assert (np.abs(high / exact_high - 1) < 0.01).all()
    # The lower limit of very few events is tiny itself (0.025 for one event): there the difference counts.
    assert (np.abs(low - exact_low) < 0.013 * np.maximum(n, 1)).all()
    assert (np.abs(low / exact_low - 1)[n >= 5] < 0.01).all()


def test_byar_of_no_event_begins_at_zero() -> None:
    low, high = count_interval(0)
    assert float(low) == 0 and float(high) == pytest.approx(3.69, rel=0.01)


def test_mean_interval_of_one_value_has_no_width_to_tell() -> None:
    mean, low, high = mean_interval(5.0, 25.0, 1)
    assert float(mean) == 5 and np.isnan(low) and np.isnan(high)


def test_mean_interval_by_hand() -> None:
    # 2, 4, 6: mean 4, sample variance 4, standard error 2 / sqrt(3) = 1.1547, half width 2.2632
    mean, low, high = mean_interval(12.0, 56.0, 3)
    assert (float(mean), float(low), float(high)) == pytest.approx((4.0, 4 - 2.26317, 4 + 2.26317), abs=1e-4)


def test_sum_interval_by_hand() -> None:
    # Two deals of 3 and 4: sum 7, root of the sum of squares 5, half width 9.8; a sum of wins is not below zero.
    low, high = sum_interval(7.0, 25.0)
    assert (float(low), float(high)) == pytest.approx((0.0, 16.79982), abs=1e-4)


# --- Kaplan-Meier ---------------------------------------------------------------------------------

SIX_MP = [
    (6, 1),
    (6, 1),
    (6, 1),
    (6, 0),
    (7, 1),
    (9, 0),
    (10, 1),
    (10, 0),
    (11, 0),
    (13, 1),
    (16, 1),
    (17, 0),
    (19, 0),
    (20, 0),
    (22, 1),
    (23, 1),
    (25, 0),
    (32, 0),
    (32, 0),
    (34, 0),
    (35, 0),
]


def counted(time: np.ndarray, status: np.ndarray, entry: np.ndarray | None = None) -> Curve:
    ages = np.unique(time)
    events = np.array([((time == t) & (status == 1)).sum() for t in ages])
    censored = np.array([((time == t) & (status == 0)).sum() for t in ages])
    late = () if entry is None else entry
    return kaplan_meier(ages, events, censored, late, np.ones(len(late)))


def test_gehans_6_mp_patients() -> None:
    time, status = (np.array(column) for column in zip(*SIX_MP, strict=True))
    curve = counted(time, status)
    assert curve.survival == pytest.approx(
        [0.857143, 0.806723, 0.752941, 0.690196, 0.627451, 0.537815, 0.448179], abs=1e-6
    )
    assert curve.se[[0, -1]] == pytest.approx([0.076360, 0.134592], abs=1e-6)
    assert curve.quantile(0.5)[:2] == (23.0, 13.0)  # log-log, as in statsmodels; R's plain log gives 16
    assert np.isnan(curve.quantile(0.5)[2])


@pytest.mark.parametrize("seed", range(25))
def test_kaplan_meier_equals_statsmodels(seed: int) -> None:
    chance = np.random.default_rng(seed)
    n = int(chance.integers(8, 300))
    time = chance.integers(0, 1 + n // 3, n).astype(float)
    status = (chance.random(n) < 0.7).astype(int)
    status[np.argmin(time)] = 1
    ours, theirs = counted(time, status), SurvfuncRight(time, status)
    keep = np.isin(theirs.surv_times, ours.time)
    np.testing.assert_allclose(ours.survival, theirs.surv_prob[keep], atol=1e-12)
    np.testing.assert_allclose(ours.at_risk, theirs.n_risk[keep])
    inside = ours.survival > 0
    np.testing.assert_allclose(ours.se[inside], theirs.surv_prob_se[keep][inside], atol=1e-12)
    for p in (0.25, 0.5, 0.75):
        value, low, high = ours.quantile(p)
        with np.errstate(all="ignore"):
            expected, ends = theirs.quantile(p + 1e-12), theirs.quantile_ci(p)
        np.testing.assert_equal(value, expected)
        if not np.isnan(ends[0]):
            np.testing.assert_equal((low, high), (ends[0], np.nan if np.isinf(ends[1]) else ends[1]))


@pytest.mark.parametrize("seed", range(10))
def test_late_entries_equal_statsmodels(seed: int) -> None:
    chance = np.random.default_rng(seed)
    n = 200
    entry = chance.integers(0, 10, n).astype(float)
    time = entry + 1 + chance.integers(0, 20, n)
    status = (chance.random(n) < 0.6).astype(int)
    ours, theirs = counted(time, status, entry - 0.0), SurvfuncRight(time, status, entry=entry)
    keep = np.isin(theirs.surv_times, ours.time)
    late = ours.time >= 12
    np.testing.assert_allclose(ours.survival[late], theirs.surv_prob[keep][late], atol=1e-12)
    np.testing.assert_allclose(ours.at_risk, theirs.n_risk[keep])


def test_a_median_that_nobody_reached_is_null() -> None:
    curve = kaplan_meier([1, 2, 3], [1, 0, 0], [0, 4, 5])
    assert np.isnan(curve.quantile(0.5)[0])


def test_an_interval_narrower_than_one_step_is_that_step() -> None:
    # 4,000 deals, half of them over after 11 days and nearly nobody before or after: the curve jumps the whole band.
    curve = kaplan_meier([10, 11, 12], [1000, 2000, 1000], [0, 0, 0])
    assert curve.quantile(0.5) == (11.0, 11.0, 11.0)


def test_one_deal_has_a_median_and_no_interval() -> None:
    value, low, high = kaplan_meier([5], [1], [0]).quantile(0.5)
    assert value == 5 and np.isnan(low) and np.isnan(high)


def test_the_interval_of_a_mean_amount_does_not_go_below_zero():
    # 1, 1, 10: mean 4, standard error 3, half width 5.88
    mean, low, high = mean_interval(12, 102, 3)
    assert (float(mean), float(low)) == (4.0, 0.0)
    assert float(high) == pytest.approx(9.88, abs=0.01)
