"""Survival curves, competing ends and hazards: the published values, and statsmodels row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from salescoach.metrics.estimate import aalen_johansen
from salescoach.models import competing, log_rank, proportional_hazards, survival
from salescoach.models.incidence import ends_of, followed

Trial = Callable[[str], Path]
# Freireich et al. 1963 (used by Gehan 1965): weeks of remission with 6-MP (a minus: still in remission) and without
TREATED = [6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def remission() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weeks = np.array([*TREATED, *PLACEBO])
    return np.abs(weeks), weeks > 0, np.repeat([0.0, 1.0], 21)


def test_gehan_s_6mp_curve() -> None:
    time, ended, placebo = remission()
    curve = survival(time[placebo == 0], ended[placebo == 0])
    expected = [0.857143, 0.806723, 0.752941, 0.690196, 0.627451, 0.537815, 0.448179]
    assert curve.survival == pytest.approx(expected, abs=5e-7)
    assert (curve.se[0], curve.se[-1]) == pytest.approx((0.076360, 0.134592), abs=1e-6)
    # log-log interval (R's default, log, has 16 as its lower end); the upper end is not reached
    value, low, high = curve.quantile(0.5)
    assert (value, low) == (23, 13) and np.isnan(high)


def test_gehan_s_log_rank_and_cox() -> None:
    time, ended, placebo = remission()
    chi2, free, p = log_rank(time, ended, placebo)
    assert chi2 == pytest.approx(16.7929, abs=5e-5) and free == 1 and p < 1e-4
    fit = proportional_hazards(time, ended, placebo[:, None])
    assert (fit.params[0], fit.bse[0]) == pytest.approx((1.572125, 0.412397), abs=5e-7)


def test_veteran_cox(trial: Trial) -> None:
    rows = pd.read_csv(trial("reference") / "veteran.csv")
    fit = proportional_hazards(rows["time"], rows["status"] == 1, rows[["karno", "age", "trt"]].to_numpy(float))
    assert fit.params == pytest.approx([-0.0344439, -0.0038644, 0.1895464], abs=5e-7)


@pytest.fixture(scope="module")
def channing(trial: Trial) -> pd.DataFrame:
    return pd.read_csv(trial("reference") / "channing.csv")


def test_channing_men_collapse_unless_the_curve_begins_where_somebody_is_watched(channing: pd.DataFrame) -> None:
    men = channing[channing["sex"] == "Male"]
    died = men["cens"] == 1
    curve = survival(men["exit"], died, men["entry"])
    assert curve.at(840)[0] == 0  # a risk set of one or two
    later = survival(men["exit"], died, men["entry"], since=820)
    found = [later.at(month)[0] for month in (900, 960, 1020, 1080)]
    assert found == pytest.approx([0.8045, 0.6378, 0.4544, 0.2227], abs=5e-5)


def test_channing_s_curve_as_statsmodels(channing: pd.DataFrame) -> None:
    rows = channing[channing["entry"] < channing["exit"]]
    rows = rows[rows["sex"] == "Female"]
    theirs = SurvfuncRight(rows["exit"], rows["cens"], entry=rows["entry"])
    ours = survival(rows["exit"], rows["cens"] == 1, rows["entry"])
    assert ours.time.tolist() == theirs.surv_times.tolist()
    assert ours.survival == pytest.approx(theirs.surv_prob, abs=1e-14)
    assert ours.at_risk.tolist() == list(theirs.n_risk)


def test_channing_s_cox_with_late_entries(channing: pd.DataFrame) -> None:
    men = (channing["sex"] == "Male").to_numpy(float)[:, None]
    fit = proportional_hazards(channing["exit"], channing["cens"] == 1, men, channing["entry"])
    assert fit.params[0] == pytest.approx(0.3219036, abs=5e-7)


@pytest.fixture(scope="module")
def mgus(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Months and end: a tumour (1), death (2), or neither yet (0)."""
    rows = pd.read_csv(trial("reference") / "mgus2.csv")
    time = np.where(rows["pstat"] == 0, rows["futime"], rows["ptime"])
    return time, np.where(rows["pstat"] == 1, 1, np.where(rows["death"] == 1, 2, 0))


def test_mgus_shares_and_errors(mgus: tuple[np.ndarray, np.ndarray]) -> None:
    found = competing(*mgus)
    published = {
        60: (0.034104, 0.320367),
        120: (0.063722, 0.531818),
        240: (0.099814, 0.724028),
        360: (0.134042, 0.784208),
    }
    for month, shares in published.items():
        at = np.searchsorted(found.time, month, side="right") - 1
        assert (found.won[at], found.lost[at]) == pytest.approx(shares, abs=5e-7)
    at = np.searchsorted(found.time, 240, side="right") - 1
    assert (found.won_se[at], found.lost_se[at]) == pytest.approx((0.0097848, 0.0156063), abs=5e-8)
    assert (found.won_se[at], found.lost_se[at]) == pytest.approx((0.009806, 0.015649), rel=0.01)  # R's cuminc


# --- generated lives ------------------------------------------------------------------------------


def lives(seed: int, late: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    size = int(chance.integers(30, 300))
    time = np.ceil(chance.exponential(20, size))
    end = chance.choice([0, 1, 2], size, p=[0.3, 0.3, 0.4])
    entry = np.where(chance.random(size) < 0.4, chance.integers(0, 15, size), 0) if late else np.zeros(size)
    return time, end, entry.astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_without_late_entries_as_statsmodels_and_as_the_counts(seed: int) -> None:
    time, end, _ = lives(seed, late=False)
    found = competing(time, end)
    with np.errstate(divide="ignore", invalid="ignore"):  # theirs knows no error where the last ones end together
        theirs = CumIncidenceRight(time, end)
    at = np.searchsorted(theirs.times, found.time)
    for ours, se, k in ((found.won, found.won_se, 0), (found.lost, found.lost_se, 1)):
        assert ours == pytest.approx(np.asarray(theirs.cinc[k])[at], abs=1e-12)
        errors = np.asarray(theirs.cinc_se[k])[at]
        known = np.isfinite(errors)
        assert known.sum() >= len(at) - 1 and se[known] == pytest.approx(errors[known], abs=1e-10)
    times = np.unique(time)
    counts = [np.array([((time == t) & (end == k)).sum() for t in times]) for k in (1, 2, 0)]
    curve = aalen_johansen(times, *counts)
    table = found.table().set_index("day")
    for day in found.time[:: max(len(found.time) // 6, 1)]:
        assert table.loc[day, ["won", "won_low", "won_high"]].tolist() == pytest.approx(curve.within(day), abs=1e-9)


def slowly(time: np.ndarray, end: np.ndarray, entry: np.ndarray) -> list[tuple[float, float, float, int]]:
    """(day, won, lost, at risk) one deal after the other."""
    rows, survived, won, lost = [], 1.0, 0.0, 0.0
    for day in sorted(set(time[end != 0])):
        watched = [i for i in range(len(time)) if (entry[i] < day or entry[i] == 0) and time[i] >= day]
        here = [i for i in watched if time[i] == day]
        if not watched or not any(end[i] for i in here):
            continue
        won += survived * sum(end[i] == 1 for i in here) / len(watched)
        lost += survived * sum(end[i] == 2 for i in here) / len(watched)
        survived *= 1 - sum(end[i] > 0 for i in here) / len(watched)
        rows.append((day, won, lost, len(watched)))
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_late_entries_as_counted_deal_by_deal(seed: int) -> None:
    time, end, entry = lives(seed + 50, late=True)
    found = competing(time, end, entry)
    expected = slowly(time, end, entry)
    assert found.time.tolist() == [day for day, *_ in expected]
    assert found.at_risk.tolist() == [n for *_, n in expected]
    assert found.won == pytest.approx([won for _, won, *_ in expected], abs=1e-12)
    assert found.lost == pytest.approx([lost for _, _, lost, _ in expected], abs=1e-12)
    # both ends together are what Kaplan-Meier says to have ended
    curve = survival(time, end > 0, entry)
    assert found.won + found.lost == pytest.approx(1 - curve.survival, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_errors_with_late_entries_by_a_resample(seed: int) -> None:
    time, end, entry = lives(seed + 90, late=True)
    found = competing(time, end, entry)
    chance, day = np.random.default_rng(seed), 20.0
    again = []
    for _ in range(400):
        rows = chance.integers(0, len(time), len(time))
        drawn = competing(time[rows], end[rows], entry[rows])
        at = np.searchsorted(drawn.time, day, side="right") - 1
        again.append(drawn.won[at] if at >= 0 else 0.0)
    at = np.searchsorted(found.time, day, side="right") - 1
    assert found.won_se[at] == pytest.approx(np.std(again), rel=0.25)


def test_four_deals_one_of_them_late() -> None:
    # day 2: four... D4 comes only on day 3, so 3 are watched: one won, 1/3; survived 2/3
    # day 5: D2, D3 and D4 are watched: one lost, 2/3 · 1/3 = 2/9
    time, end, entry = [2, 5, 7, 9], [1, 2, 0, 0], [0, 0, 0, 3]
    found = competing(time, end, entry)
    assert found.won.tolist() == pytest.approx([1 / 3, 1 / 3]) and found.lost.tolist() == pytest.approx([0, 2 / 9])
    table = found.table()
    assert table["day"].tolist() == [0, 2, 5] and table["open"].tolist() == pytest.approx([1, 2 / 3, 4 / 9])
    assert found.at_risk.tolist() == [3, 3]


def test_who_ended_before_being_watched_counts_nowhere() -> None:
    found = competing([2, 5], [1, 1], [4, 0])
    assert found.time.tolist() == [5] and found.at_risk.tolist() == [1]


def test_an_end_on_the_first_day_counts() -> None:
    found = competing([0, 3], [1, 0])
    assert found.won.tolist() == [0.5] and found.table()["day"].tolist() == [0]


@pytest.mark.parametrize(
    ("at_risk", "kept"),
    [([30, 20, 9, 4], slice(0, 2)), ([3, 12, 15, 9, 20], slice(1, 3)), ([5, 4], slice(0, 0)), ([10], slice(0, 1))],
)
def test_the_curve_stops_below_ten(at_risk: list[int], kept: slice) -> None:
    assert followed(np.array(at_risk)) == kept


def test_ends_are_told_apart() -> None:
    codes: Any = ends_of([True, True, False], [True, False, False])
    assert codes.tolist() == [1, 2, 0]
