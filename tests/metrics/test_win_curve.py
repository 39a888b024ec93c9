"""Shares won within a number of days, with losses competing and open deals censored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import (
    Incidence,
    aalen_johansen,
    counted_rows,
    kaplan_meier,
    measure,
    sales_cycle,
    wilson,
    win_curve,
)

Build = Callable[..., Book]
Z = 1.959963984540054

# Counted from 2026-01-01; the data end on 2026-06-30.
FIVE = {
    "won 10": "prospect 2026-01-01, won 2026-01-11",
    "lost 20": "prospect 2026-01-01, lost 2026-01-21",
    "open 25": "prospect 2026-06-05",
    "won 40": "prospect 2026-01-01, won 2026-02-10",
    "open 100": "prospect 2026-03-22",
}


def counted(time: np.ndarray, state: np.ndarray) -> Incidence:
    """From one row per unit: its time, and 1 won, 2 lost, 0 last seen."""
    ages = np.unique(time)
    return aalen_johansen(ages, *[[((time == t) & (state == s)).sum() for t in ages] for s in (1, 2, 0)])


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    n = int(chance.integers(5, 200))
    return chance.integers(0, 2 + n // 4, n).astype(float), chance.choice([0, 1, 2], n, p=[0.35, 0.3, 0.35])


# --- the estimator --------------------------------------------------------------------------------


def test_five_deals_by_hand() -> None:
    # Day 10: 1 of 5 won, .2; 4/5 go on. Day 20: 1 of 4 lost; 3/5 go on. Day 25: one last seen.
    # Day 40: 1 of 2 won: .2 + 3/5 · 1/2 = .5; 3/10 go on and are last seen on day 100.
    curve = counted(np.array([10, 20, 25, 40, 100.0]), np.array([1, 2, 0, 1, 0]))
    assert [curve.within(t)[0] for t in (9, 10, 30, 40, 90, 100)] == pytest.approx([0, 0.2, 0.2, 0.5, 0.5, 0.5])
    assert np.isnan(curve.within(101)).all()  # nobody was followed so long, and some are still under way
    assert [curve.known(t) for t in (25, 30, 100)] == [5, 4, 4]


def test_where_all_have_ended_the_share_stays_known() -> None:
    curve = counted(np.array([5.0, 7.0]), np.array([1, 2]))
    assert curve.within(365)[0] == 0.5


def test_without_open_deals_it_is_the_plain_share_with_its_variance() -> None:
    # 30 of 100 won by day 8: variance .3 · .7 / 100; log(-log): .3 ^ exp(± z · se / (.3 · |ln .3|))
    time = np.r_[np.arange(30) % 9, np.full(40, 4.0), np.full(30, 60.0)]
    curve = counted(time, np.r_[np.full(30, 1), np.full(70, 2)])
    power = math.exp(Z * math.sqrt(0.3 * 0.7 / 100) / (0.3 * -math.log(0.3)))
    assert curve.within(8) == pytest.approx((0.3, 0.3**power, 0.3 ** (1 / power)))


def test_no_win_yet_has_wilsons_interval_of_those_known() -> None:
    # 8 lost by day 30, 12 followed to day 90, 5 last seen before: nothing of 20.
    curve = aalen_johansen([10, 20, 90], [0, 0, 0], [8, 0, 0], [0, 5, 12])
    assert curve.within(90) == pytest.approx(tuple(float(v) for v in wilson(0, 20)))


def test_without_losses_it_is_one_minus_kaplan_meier() -> None:
    time, state = drawn(1)
    state = np.minimum(state, 1)
    ages = np.unique(time)
    won, seen = ([((time == t) & (state == s)).sum() for t in ages] for s in (1, 0))
    ours, theirs = counted(time, state), kaplan_meier(ages, won, seen)
    for t in theirs.time:
        assert ours.within(t)[0] == pytest.approx(1 - theirs.at(t)[0], abs=1e-12)


@pytest.mark.parametrize("seed", range(25))
def test_aalen_johansen_equals_statsmodels(seed: int) -> None:
    time, state = drawn(seed)
    state[:2] = (1, 2)
    ours = counted(time, state)
    with np.errstate(all="ignore"):
        theirs = CumIncidenceRight(time, state)
    for t, share, se in zip(theirs.times, theirs.cinc[0], theirs.cinc_se[0], strict=True):
        value, low, high = ours.within(t)
        assert value == pytest.approx(share, abs=1e-12)
        if np.isfinite(se) and 0 < share < 1:  # statsmodels has none where nobody remains
            power = math.exp(Z * se / (share * -math.log(share)))
            assert (low, high) == pytest.approx((share**power, share ** (1 / power)), abs=1e-9)


def redistributed(time: np.ndarray, state: np.ndarray, days: float) -> float | None:
    """Another way to the same share: who was last seen hands its weight to all that were followed longer."""
    weight = [Fraction(1, len(time))] * len(time)
    for t in sorted({t for t, s in zip(time, state, strict=True) if s == 0}):
        leaving = [i for i in range(len(time)) if time[i] == t and state[i] == 0]
        heirs = [i for i in range(len(time)) if time[i] > t]
        if not heirs:
            continue
        for i in leaving:
            for heir in heirs:
                weight[heir] += weight[i] / len(heirs)
            weight[i] = Fraction(0)
    if days > max(time) and any(w and s == 0 for w, s in zip(weight, state, strict=True)):
        return None
    return float(sum(w for w, t, s in zip(weight, time, state, strict=True) if s == 1 and t <= days))


@pytest.mark.parametrize("seed", range(40, 52))
def test_aalen_johansen_equals_handing_on_the_weight(seed: int) -> None:
    time, state = drawn(seed)
    for days in (0, 1, 4, 9, 15, 30, 80):
        expected, (value, low, high) = redistributed(time, state, days), counted(time, state).within(days)
        assert value == pytest.approx(np.nan if expected is None else expected, abs=1e-12, nan_ok=True)
        assert np.isnan(value) or 0 <= low <= value <= high <= 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 200 books of 80 deals, 40 % of them won in the end, half of those within 30 days; deals are last seen at random.
    chance, inside = np.random.default_rng(4), 0
    for _ in range(200):
        won = chance.random(80) < 0.4
        end, seen = chance.uniform(0, 60, 80), chance.uniform(0, 90, 80)
        state = np.where(seen < end, 0, np.where(won, 1, 2))
        _, low, high = counted(np.minimum(end, seen), state).within(30)
        inside += low <= 0.2 <= high
    assert 180 <= inside <= 198


# --- the metric -----------------------------------------------------------------------------------


def test_win_curve_of_five_deals(book_of: Build) -> None:
    table = win_curve(book_of(log=FIVE))
    assert table["within_days"].tolist() == [30, 90, 180, 365] and set(table["n"]) == {5}
    assert table["value"].tolist()[:2] == pytest.approx([0.2, 0.5]) and table["value"].isna().tolist()[2:] == [True] * 2
    counts = table[["won", "lost", "undecided", "too_young"]].to_numpy().tolist()
    assert counts == [[1, 1, 2, 1], [2, 1, 1, 1], [2, 1, 0, 2], [2, 1, 0, 2]]


def test_zombies_stay_in_the_denominator(book_of: Build) -> None:
    # The win rate of 1 won and 1 lost is 50 %; with the two that nobody closes 1 of 4 was won within 90 days.
    log = {
        "1": "prospect 2026-01-01, won 2026-01-11",
        "2": "prospect 2026-01-01, lost 2026-01-11",
        "3": "prospect 2026-01-01",
        "4": "prospect 2026-01-01",
    }
    assert win_curve(book_of(log=log), within=(90,))["value"].tolist() == [0.25]


def test_void_deals_are_left_out(book_of: Build) -> None:
    assert set(win_curve(book_of(log={**FIVE, "6": "prospect 2026-01-01, void 2026-01-05"}))["n"]) == {5}


def test_from_a_stage_deals_count_from_their_first_entry(book_of: Build) -> None:
    # 1 entered quote on 1 March, 31 days before the win, and again later; 2 skipped it; 3 is there for 40 days.
    log = {
        "1": "prospect 2026-01-01, quote 2026-03-01, prospect 2026-03-05, quote 2026-03-09, won 2026-04-01",
        "2": "prospect 2026-01-01, contract 2026-03-01, won 2026-03-02",
        "3": "prospect 2026-01-01, quote 2026-05-21",
    }
    table = win_curve(book_of(log=log), stage="quote", within=(30, 31))
    assert table[["n", "won", "value"]].to_numpy().tolist() == [[2, 0, 0.0], [2, 1, 0.5]]


def test_an_entry_that_nobody_recorded_starts_nothing(book_of: Build) -> None:
    book = book_of(log={"1": "quote 2026-01-01, won 2026-01-05", "2": "quote 2026-01-01, won 2026-01-05"})
    history = book.table("stage_history")
    history["evidence"] = history["evidence"].mask(
        (history["deal_id"] == "1") & (history["stage"] == "quote"), "inferred"
    )
    book = replace(book, tables={**book.tables, "stage_history": history})
    assert set(win_curve(book, stage="quote")["n"]) == {1}


def test_an_unknown_stage_is_named_with_the_nearest(book_of: Build) -> None:
    with pytest.raises(UsageError, match="Did you mean 'quote'"):
        win_curve(book_of(log=FIVE), stage="qoute")


def test_why_there_is_no_curve(book_of: Build) -> None:
    book = book_of(log=FIVE)
    assert measure(book, "win_curve", "", "1999").because == "no deal with a known start lies in the period"
    assert "entry into the stage quote" in str(measure(book, "win_curve", "", stage="quote").because)


def test_reps_without_deals_have_their_rows_and_no_share(book_of: Build) -> None:
    reps = [{"rep_id": "R1", "name": "Li"}]
    table = win_curve(book_of(log=FIVE, reps=reps), "rep")
    assert table["within_days"].tolist() == [30, 90, 180, 365] * 2
    idle = table[table["rep_id"] == "R1"]
    assert (idle["n"] == 0).all() and idle["value"].isna().all() and (idle["too_young"] == 0).all()


def test_types_of_deals_stand_apart(book_of: Build) -> None:
    deals = [{"deal_id": "won 10", "deal_type": "renewal"}, {"deal_id": "lost 20", "deal_type": "new"}]
    table = win_curve(book_of(deals, log=FIVE), "deal_type", within=(30,))
    assert table[["deal_type", "n", "won", "lost"]].to_numpy().tolist() == [
        ["new", 1, 0, 1],
        ["renewal", 1, 1, 0],
        ["(none)", 3, 0, 0],
    ]


def test_the_sales_cycle_has_the_same_shares(generated: Build) -> None:
    for seed in range(6):
        book = generated(seed)
        curve = win_curve(book, "team", within=(90, 180, 365)).set_index(["team", "within_days"])
        cycle = sales_cycle(book, "team").set_index("team")
        for team, days in curve.index:
            for end in ("", "_low", "_high"):
                found = cycle.loc[team, f"won_within_{days}{end}"]
                assert found == pytest.approx(curve.loc[(team, days), end.strip("_") or "value"], nan_ok=True)


# --- against loops over rows ----------------------------------------------------------------------


def slow_units(book: Book, stage: str) -> dict[str, list[tuple[float, int]]]:
    """Per source: days from the first entry into a stage, and 1 won, 2 lost, 0 still open."""
    first: dict[str, pd.Timestamp] = {}
    for row in book.table("stage_history").itertuples():
        if row.stage == stage:
            first.setdefault(row.deal_id, row.entered_at)
    units: dict[str, list[tuple[float, int]]] = {}
    for deal in book.deals.itertuples():
        if deal.deal_id not in first or deal.outcome == "void":
            continue
        start, state = first[deal.deal_id], {"won": 1, "lost": 2, "open": 0}[deal.outcome]
        end = deal.closed_at if state else book.as_of
        gap = end - start
        days = (end.tz_convert(book.timezone).date() - start.tz_convert(book.timezone).date()).days
        minutes = gap // pd.Timedelta(minutes=1)
        age = minutes / 1440 if minutes < 120 else minutes // 60 / 24 if minutes < 2880 else max(days, 2)
        source = "(none)" if deal.lead_source != deal.lead_source else deal.lead_source
        units.setdefault(source, []).append((age, state))
    return units


@pytest.mark.parametrize("stage", ["prospect", "qualified", "quote"])
def test_win_curve_equals_the_slow_way(stage: str, generated: Build) -> None:
    for seed in range(6):
        book = generated(seed)
        table = measure(book, "win_curve", "lead_source", stage=stage).table
        assert table is not None
        expected = slow_units(book, stage)
        assert set(table["lead_source"]) == set(expected)
        for row in table.to_dict("records"):
            time, state = (np.array(part) for part in zip(*expected[row["lead_source"]], strict=True))
            days = row["within_days"]
            share = redistributed(time, state, days)
            assert row["value"] == pytest.approx(np.nan if share is None else share, nan_ok=True)
            assert row["n"] == len(time) == row["won"] + row["lost"] + row["undecided"] + row["too_young"]
            assert row["won"] == ((state == 1) & (time <= days)).sum()
            assert row["too_young"] == ((state == 0) & (time < days)).sum()
        assert len(counted_rows(book, "win_curve", stage=stage)) == table["n"].sum() / 4


def test_the_curve_never_falls(generated: Build) -> None:
    for seed in range(6):
        table = win_curve(generated(seed), "team", within=(1, 10, 30, 90, 200))
        assert (table.groupby("team")["value"].diff().dropna() >= -1e-12).all()
