"""Observed minus expected: by hand, against a slow recomputation, and on teams whose true rates are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.leading import Yardstick, yardstick_units, yardsticks
from salescoach.models import coaching_impact, shrink_rates, smallest_visible
from salescoach.models.coaching_change import BIN_DAYS, NEVER, Comparison, Records, Windows, cohorts_of
from salescoach.models.coaching_power import can_be_seen

REPS, DEALS, BASE, SPREAD, QUARTER = 30, 45, 0.40, 0.04, 91
QUARTERS_BEFORE = 4
WHOLE = Windows(history=364, settle=0, follow=364, selection=QUARTER)


# --- teams whose true rates are known (30 reps, 45 deals a quarter, 40 %, standard deviation 4 points) ---


def team(seed: int, effect: float, coached: int = 5, quarters_after: int = 1) -> Records:
    """Four quarters, then the worst of the last one are coached."""
    chance = np.random.default_rng(seed)
    true = np.clip(chance.normal(BASE, SPREAD, REPS), 0.02, 0.98)
    quarters = QUARTERS_BEFORE + quarters_after
    rep = np.tile(np.repeat(np.arange(REPS), DEALS), quarters)
    quarter = np.repeat(np.arange(quarters), REPS * DEALS)
    day = quarter * QUARTER + chance.integers(0, QUARTER, len(rep))
    good = (chance.random(len(rep)) < true[rep]).astype(float)
    last = quarter == QUARTERS_BEFORE - 1
    worst = np.argsort(np.bincount(rep[last], good[last], REPS), kind="stable")[:coached]
    when = np.full(REPS, NEVER)
    when[worst] = QUARTERS_BEFORE * QUARTER
    lifted = (quarter >= QUARTERS_BEFORE) & np.isin(rep, worst)
    good[lifted] = chance.random(lifted.sum()) < np.clip(true[rep[lifted]] + effect, 0, 1)
    return Records(rep, day, good, when, quarters * QUARTER - 1)


def judged(runs: int, effect: float, coached: int = 5, quarters_after: int = 1) -> pd.Series:
    """Means over simulated teams."""
    rows = []
    for seed in range(runs):
        records = team(seed, effect, coached, quarters_after)
        comparison = Comparison(records, WHOLE)
        found, choice = comparison.change(trials=400), comparison.choice()
        second = Comparison(records, WHOLE, raw=True).change(trials=0)
        assert found is not None and choice is not None and second is not None
        rate = (choice.before * choice.n + choice.after * found.n) / (choice.n + found.n)
        z = (choice.after - choice.before) / np.sqrt(rate * (1 - rate) * (1 / choice.n + 1 / found.n))
        rows.append(
            {
                "change": found.change,
                "rejects": found.p <= 0.05,
                "clear": found.clear,
                "covers": found.low <= effect <= found.high,
                "second": second.change,
                "second_covers": second.low <= effect <= second.high,
                "naive": choice.after - choice.before,
                "naive_rejects": abs(z) > 1.96,
                "were_worst": choice.were_worst,
                "others_rose": choice.worst_after - choice.worst_before,
            }
        )
    means = pd.DataFrame(rows).mean()
    print(
        f"{runs} teams, effect {effect:+.2f}, {coached} coached, {quarters_after} quarters:", means.round(3).to_dict()
    )
    return means


@pytest.mark.parametrize("effect", [0.0, 0.10])
def test_what_was_planted_is_found_and_nothing_else(effect: float) -> None:
    found = judged(60, effect)
    assert abs(found["change"] - effect) <= 0.015
    assert found["covers"] >= 0.88
    assert found["rejects"] <= 0.12 if effect == 0 else found["rejects"] >= 0.5
    assert found["naive"] >= effect + 0.06  # the trap is armed: the worst of a quarter rise by themselves
    assert found["were_worst"] == 1 and found["others_rose"] > 0.03


@pytest.mark.nightly
def test_the_table_of_the_methods_is_reproduced() -> None:
    """300 teams a row: no effect, +5 and +10 points; two quarters; one rep."""
    none, five, ten = (judged(300, effect) for effect in (0.0, 0.05, 0.10))
    assert abs(none["change"]) <= 0.01 and none["rejects"] <= 0.08 and none["clear"] <= 0.08
    assert none["naive"] >= 0.07 and none["naive_rejects"] >= 0.4
    assert abs(none["second"]) <= 0.01
    assert abs(five["change"] - 0.05) <= 0.01 and 0.15 <= five["rejects"] <= 0.40
    assert abs(ten["change"] - 0.10) <= 0.01 and 0.60 <= ten["rejects"] <= 0.85
    for found in (none, five, ten):
        assert found["covers"] >= 0.93 and found["second_covers"] >= 0.93
    longer, longer_ten = judged(300, 0.05, quarters_after=2), judged(300, 0.10, quarters_after=2)
    assert 0.30 <= longer["rejects"] <= 0.55 and longer_ten["rejects"] >= 0.88
    one = judged(300, 0.10, coached=1)
    assert abs(one["change"] - 0.10) <= 0.02 and one["clear"] == 0  # from 45 deals nothing is ever named


# --- the smallest visible change ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "per_side", "against_known"),
    [(30, 34.9, 25.3), (45, 29.0, 20.7), (60, 25.3, 18.0), (120, 18.0, 12.7), (240, 12.7, 9.0), (480, 9.0, 6.3)],
)
def test_the_smallest_visible_change(n: int, per_side: float, against_known: float) -> None:
    """Base 40 %, 80 % power, 5 %, by statsmodels' NormalIndPower."""
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    found = smallest_visible(n, 0.4, n)
    assert (round(100 * found, 1), round(100 * smallest_visible(n, 0.4), 1)) == (per_side, against_known)
    power = NormalIndPower().power(proportion_effectsize(0.4 + found, 0.4), n, 0.05, 1.0)
    assert power == pytest.approx(0.80, abs=1e-5)


def test_near_one_hundred_percent_no_rise_can_be_seen() -> None:
    assert np.isnan(smallest_visible(20, 0.95)) and np.isnan(smallest_visible(0, 0.4))
    assert not can_be_seen(0.95, float("nan"))


def test_only_what_coaching_may_bring_is_worth_looking_for() -> None:
    # 45 deals a side: only rises above 29 points; 480: above 9
    assert not can_be_seen(0.4, smallest_visible(45, 0.4, 45)) and can_be_seen(0.4, smallest_visible(480, 0.4, 480))


# --- by hand, and by a slow recomputation -------------------------------------------------------------


def plain(rows: list[tuple[int, int, int, int]], coached: dict[int, int], last: int) -> Records:
    """Records from (rep, day, how many, how many of them good)."""
    rep = np.concatenate([np.full(n, r) for r, _, n, _ in rows])
    day = np.concatenate([np.full(n, d) for _, d, n, _ in rows])
    good = np.concatenate([np.r_[np.ones(k), np.zeros(n - k)] for _, _, n, k in rows])
    when = np.array([coached.get(r, NEVER) for r in range(rep.max() + 1)])
    return Records(rep, day, good, when, last)


def test_by_hand() -> None:
    """Raw histories: rep 0 had 4 of 10 and is coached on day 100; reps 1, 2, 3 had 5 of 10 each.

    Afterwards rep 0 has 7 of 10, the others 18 of 30: a trend of 0.6 - 0.5 = +0.1. Expected 0.4 + 0.1 = 0.5,
    observed 0.7: +20 points.
    """
    before = [(0, 10, 10, 4), (1, 10, 10, 5), (2, 10, 10, 5), (3, 10, 10, 5)]
    after = [(0, 120, 10, 7), (1, 120, 10, 6), (2, 120, 10, 6), (3, 120, 10, 6)]
    records = plain(before + after, {0: 100}, 200)
    found = Comparison(records, Windows(selection=0), raw=True).change()
    assert found is not None
    assert (found.observed, found.n, found.reps) == (0.7, 10, 1)
    assert found.trend == pytest.approx(0.1) and found.expected == pytest.approx(0.5)
    assert found.change == pytest.approx(0.2)
    # four reps, one of them coached: a lot has four outcomes, so nothing can ever be rarer than one in four
    assert found.p >= 0.2 and not found.clear


def test_days_settling_and_later_ones_do_not_count() -> None:
    rows = [(rep, 10, 10, 5) for rep in range(4)] + [(rep, 120, 10, 5) for rep in range(4)]
    noise = [(0, 113, 10, 0), (0, 466, 10, 0), (0, 99 - 365, 10, 0)]
    quiet, loud = (plain(r, {0: 100}, 500) for r in (rows, rows + noise))
    assert Comparison(quiet).change() == Comparison(loud).change()
    assert Comparison(plain([*rows, (0, 114, 10, 0)], {0: 100}, 500)).change() != Comparison(quiet).change()


def test_who_is_coached_later_serves_until_then() -> None:
    rows = [(rep, day, 10, 5) for day in (10, 150, 180) for rep in range(5)]
    [cohort] = cohorts_of(plain(rows, {0: 100}, 300), Windows())
    first, second = cohorts_of(plain(rows, {0: 100, 4: 155}, 300), Windows())
    assert cohort.n.sum() == 100 and first.n.sum() == 90  # the last ten of rep 4 came after the coaching
    assert second.day == 155 and second.n.sum() == 40 and 0 not in second.who


def slow_change(records: Records, windows: Windows) -> tuple[float, float, float]:
    """Observed, expected and trend of all coached, by loops over single records."""
    good = n = base = trend_sum = 0.0
    for day in sorted({int(d) for d in records.coached if d != NEVER}):
        reps = [r for r in range(records.reps) if records.coached[r] >= day]
        history = {r: [0.0, 0.0] for r in reps}
        after: dict[tuple[int, int], list[float]] = {}
        for r, d, g in zip(records.rep, records.day, records.good, strict=True):
            if r not in history:
                continue
            if day - windows.history <= d < day:
                history[r][0] += g
                history[r][1] += 1
            start, end = day + windows.settle, min(day + windows.follow, records.last)
            if start <= d <= end and (records.coached[r] == day or d < records.coached[r]):
                cell = after.setdefault((r, (int(d) - start) // BIN_DAYS), [0.0, 0.0])
                cell[0] += g
                cell[1] += 1
        kept = [r for r in reps if history[r][1] >= 10]
        others = [r for r in kept if records.coached[r] != day]
        months = {m for r, m in after if r in others}
        kept = [r for r in kept if any((r, m) in after for m in months)]
        others = [r for r in others if r in kept]
        coached = [r for r in kept if records.coached[r] == day]
        if not coached or len(others) < 3:
            continue
        rates = shrink_rates([history[r][0] for r in kept], [history[r][1] for r in kept]).mean
        rate = dict(zip(kept, rates, strict=True))
        for m in months:
            cells = [(r, *after[r, m]) for r in others if (r, m) in after]
            trend = sum(k - many * rate[r] for r, k, many in cells) / sum(many for _, _, many in cells)
            for r in coached:
                k, many = after.get((r, m), (0.0, 0.0))
                good, n, base = good + k, n + many, base + many * (rate[r] + trend)
                trend_sum += many * trend
    return good / n, base / n, trend_sum / n


@pytest.mark.parametrize("seed", range(6))
def test_a_slow_recomputation_says_the_same(seed: int) -> None:
    chance = np.random.default_rng(seed)
    reps, size = 12, 1500
    rep, day = chance.integers(0, reps, size), chance.integers(0, 700, size)
    good = (chance.random(size) < 0.4).astype(float)
    when = np.full(reps, NEVER)
    when[[0, 1, 2, 3]] = [300, 300, 420, 690]
    records = Records(rep, day, good, when, 699)
    windows = Windows(history=200, settle=10, follow=150)
    found = Comparison(records, windows).change()
    assert found is not None
    assert (found.observed, found.expected, found.trend) == pytest.approx(slow_change(records, windows), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_range_is_as_wide_as_the_change_scatters(seed: int) -> None:
    """Same skills, same design, new luck: the standard deviation of the change is that of the interval (raw)."""
    chance = np.random.default_rng(seed)
    reps, size = 14, 4000
    rep, day = chance.integers(0, reps, size), chance.integers(0, 700, size)
    true = chance.uniform(0.3, 0.5, reps)
    when = np.full(reps, NEVER)
    when[[0, 1, 2, 3, 4]] = [300, 300, 400, 500, 500]
    changes, halves = [], []
    for _ in range(150):
        records = Records(rep, day, (chance.random(size) < true[rep]).astype(float), when, 699)
        comparison = Comparison(records, Windows(selection=0), raw=True)
        comparison.__dict__["drift"] = 1.0
        found = comparison.change(trials=0)
        assert found is not None
        changes.append(found.change)
        halves.append((found.high - found.low) / 2)
    assert np.std(changes) == pytest.approx(np.mean(halves) / 1.96, rel=0.15)


def test_a_shared_drift_of_skills_widens_the_range() -> None:
    """Where the uncoached depart from their own history more than chance allows, so may the coached."""
    chance = np.random.default_rng(5)
    records = team(5, 0.0)
    moved = np.clip(0.4 + chance.normal(0, 0.2, REPS), 0.05, 0.95)
    late = records.day >= QUARTERS_BEFORE * QUARTER
    good = records.good.copy()
    good[late] = chance.random(late.sum()) < moved[records.rep[late]]
    calm, wild = (Comparison(r, WHOLE) for r in (records, replace(records, good=good)))
    assert wild.drift > 3 > calm.drift >= 1
    ranges = [c.change(trials=0) for c in (calm, wild)]
    assert ranges[1].high - ranges[1].low > 1.5 * (ranges[0].high - ranges[0].low)  # type: ignore[union-attr]


# --- of a book ----------------------------------------------------------------------------------------


def sessions_of(**days: str) -> pd.DataFrame:
    return pd.DataFrame({"rep_id": list(days), "on": pd.to_datetime(list(days.values()))})


def twelve_coached(demo) -> pd.DataFrame:
    from salescoach.coaching.sessions import read_sessions

    return read_sessions("demo")


def test_the_demo_names_nothing_it_cannot_see(demo) -> None:
    fit = coaching_impact(demo, twelve_coached(demo))
    first = fit.table.iloc[0]
    assert first["measure"] == "win_rate" and first["reps"] == 12 and fit.n == first["n"]
    assert first["verdict"] == "none" and first["low"] < 0 < first["high"]
    assert set(fit.table["verdict"]) <= {"none", "unknowable"}
    assert fit.table.loc[fit.table["aimed"], "stage"].tolist() == ["quote"]
    choice = fit.choice.set_index(["measure", "stage"])
    quote = choice.loc[("stage_flow", "quote")]
    assert bool(quote["were_worst"]) and quote["after"] - quote["before"] > 0.15  # what before and after would claim
    won = fit.people[fit.people["measure"] == "win_rate"]
    assert won["rep"].is_monotonic_increasing and (won["expected_low"] < won["expected"]).all()


def test_people_and_groups_add_up_to_the_whole(demo) -> None:
    sessions = twelve_coached(demo)
    sessions["kind"] = np.where(sessions["rep_id"] < "R09", "a", "b")
    fit = coaching_impact(demo, sessions, by="kind")
    for row in fit.table.to_dict("records"):
        for part in (fit.people, fit.groups):
            of = part[part["measure"] == row["measure"]]
            of = of[of["stage"] == row["stage"]] if row["measure"] == "stage_flow" else of
            assert of["n"].sum() == row["n"]
            for column in ("observed", "expected", "change"):
                assert (of[column] * of["n"]).sum() / row["n"] == pytest.approx(row[column], abs=1e-9)


def test_a_period_asks_of_those_first_coached_in_it(demo) -> None:
    fit = coaching_impact(demo, twelve_coached(demo), period="2025Q4")
    assert set(fit.people["rep_id"]) == {"R02", "R07", "R13"}
    with pytest.raises(Unavailable, match="no coaching session of these people is recorded in the period"):
        coaching_impact(demo, twelve_coached(demo), period="2024Q4")


def test_only_the_first_session_counts_and_strangers_are_said(demo) -> None:
    sessions = twelve_coached(demo)
    again = pd.concat(
        [sessions, sessions.assign(on=sessions["on"] + pd.Timedelta(days=60)), sessions_of(R99="2026-01-01")]
    )
    once, twice = coaching_impact(demo, sessions), coaching_impact(demo, again)
    pd.testing.assert_frame_equal(once.table, twice.table)
    assert [str(a) for a in twice.warnings] == [
        "1 sessions are of people whom the data do not know; they are left out."
    ]


def test_it_says_why_it_cannot_tell(demo) -> None:
    everybody = pd.DataFrame({"rep_id": demo.people["rep_id"], "on": pd.Timestamp("2026-01-01")})
    with pytest.raises(Unavailable, match="fewer than 3 reps have not been coached"):
        coaching_impact(demo, everybody)
    with pytest.raises(Unavailable, match="every session is younger than 14 days"):
        coaching_impact(demo, sessions_of(R01="2026-09-25"))
    with pytest.raises(Unavailable, match="nobody coached has 10 records of the year before"):
        coaching_impact(demo, sessions_of(R24="2026-01-01"))
    with pytest.raises(UsageError, match="The table of sessions has no column 'on'"):
        coaching_impact(demo, pd.DataFrame({"rep_id": ["R01"]}))


def test_the_input_is_not_changed_and_the_result_is_always_the_same(demo) -> None:
    sessions = twelve_coached(demo)
    before = sessions.copy()
    one, two = coaching_impact(demo, sessions), coaching_impact(demo, sessions.iloc[::-1])
    pd.testing.assert_frame_equal(sessions, before)
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.people, two.people)


def test_a_yardstick_nobody_knows_is_refused(demo) -> None:
    with pytest.raises(UsageError, match="There is no yardstick 'win_rat'"):
        yardstick_units(demo, Yardstick("win_rat"))
    assert next(iter(yardsticks(demo)))[0] == Yardstick("win_rate")
