"""Attacks on the others' figures: whoever knows more than they should still learns no more than by guessing.

Each attack is given what a curious reader could have at best: the shown figures, the own numbers or those of two who
tell each other, and even everybody's number of deals, which no report shows. Its hits, a colleague's figure within
5 %, are held against those of a guess that needs no attack: that everybody is like the figure shown.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.metrics.peers import LARGEST_SHARE, OTHERS, shown_figure

CLOSE = 0.05
COHORTS = pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.nightly)])
KINDS = pytest.mark.parametrize("share", [True, False], ids=["shares", "days"])


class Cohort:
    """Reps with their counts and values; what is shown of all of them, or of some."""

    def __init__(self, rng: np.random.Generator, share: bool, reps: int | None = None) -> None:
        k = reps or int(rng.integers(2, 26))
        self.share = share
        self.n = rng.integers(3, 60, k).astype(float)
        if rng.random() < 0.15:
            self.n[int(rng.integers(k))] *= 20  # somebody who outweighs the rest
        self.values = rng.beta(3, 5, k) if share else rng.lognormal(3.6, 0.5, k)
        if share:
            self.values = np.maximum(1, (self.values * self.n).round()) / self.n

    def shown(self, who: Any = slice(None)) -> float:
        n, values = self.n[who], self.values[who]
        mean = float((n * values).sum() / n.sum())
        return float(shown_figure("m", None, mean, pd.Series(n), self.share)["value"])


def hit(guess: float, truth: float) -> bool:
    return bool(abs(guess - truth) <= CLOSE * abs(truth))


def subtract_oneself(c: Cohort) -> tuple[float, float] | None:
    """What is left when one's own part is taken out is all others; of two, it would be the other one."""
    shown = c.shown()
    rest = (shown * c.n.sum() - c.values[0] * c.n[0]) / c.n[1:].sum()
    return None if np.isnan(shown) else (rest, shown)


def two_tell_each_other(c: Cohort) -> tuple[float, float] | None:
    shown = c.shown()
    if np.isnan(shown) or len(c.n) < 4:
        return None
    known = (c.values[2:] * c.n[2:]).sum()  # all but the victim and the one who asks
    return (shown * c.n.sum() - known - c.values[0] * c.n[0]) / c.n[1], shown


def last_week_against_this(c: Cohort) -> tuple[float, float] | None:
    """The second rep is new: the difference of the two weeks is theirs."""
    before, after = c.shown(np.arange(len(c.n)) != 1), c.shown()
    if np.isnan(before) or np.isnan(after):
        return None
    return (after * c.n.sum() - before * (c.n.sum() - c.n[1])) / c.n[1], after


def team_against_company(c: Cohort) -> tuple[float, float] | None:
    """If a team without one of its people were shown beside it, the difference would be that one."""
    return last_week_against_this(c)


ATTACKS = [subtract_oneself, last_week_against_this, team_against_company]


@COHORTS
@KINDS
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_no_better_than_a_guess(attack: Callable[[Cohort], Any], share: bool, count: int) -> None:
    rng = np.random.default_rng(11)
    tries = hits = guessed = 0
    while tries < count // 3:
        cohort = Cohort(rng, share)
        found = attack(cohort)
        if found is None:
            continue
        tries += 1
        hits += hit(found[0], cohort.values[1])
        guessed += hit(found[1], cohort.values[1])
    chance = guessed / tries
    assert hits / tries <= chance + 3 * sqrt(max(chance, 0.02) * (1 - chance) / tries)


@KINDS
def test_without_rounding_the_newcomer_would_be_known(share: bool) -> None:
    """The attack works, where nothing is done against it."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        c = Cohort(rng, share, reps=12)
        both = [float((c.n[w] * c.values[w]).sum() / c.n[w].sum()) for w in (np.arange(12) != 1, np.arange(12) > -1)]
        assert hit((both[1] * c.n.sum() - both[0] * (c.n.sum() - c.n[1])) / c.n[1], c.values[1])


@COHORTS
@KINDS
def test_nothing_is_shown_of_too_few_or_of_one_who_outweighs_the_rest(share: bool, count: int) -> None:
    rng = np.random.default_rng(5)
    shown = hidden = 0
    for _ in range(count):
        cohort = Cohort(rng, share)
        row = shown_figure("m", None, 0.5, pd.Series(cohort.n), share)
        few = len(cohort.n) < OTHERS + 1 or cohort.n.max() > LARGEST_SHARE * cohort.n.sum()
        assert row["hidden"] == few and (row["reps"] == 0) == few
        assert np.isnan(row["value"]) == few
        shown, hidden = shown + (not few), hidden + few
    assert min(shown, hidden) > count / 10


@KINDS
def test_one_who_asks_every_week_gets_no_second_digit_more(share: bool) -> None:
    """The same data give the same figure, and small changes none: no averaging over many weeks sharpens it."""
    rng = np.random.default_rng(9)
    cohort = Cohort(rng, share, reps=15)
    weeks = set()
    for _ in range(40):
        cohort.values = cohort.values * (1 + rng.normal(0, 1e-4, 15))
        weeks.add(cohort.shown())
    assert len(weeks) <= 2


def test_two_who_tell_each_other_their_numbers_still_lack_the_rest() -> None:
    """Knowing all but one, rounding alone stands between: the step of 5 points, times all deals over theirs."""
    rng = np.random.default_rng(13)
    wide = []
    for _ in range(500):
        cohort = Cohort(rng, True, reps=int(rng.integers(6, 20)))
        found = two_tell_each_other(cohort)
        if found is not None:
            wide.append(0.05 * cohort.n.sum() / cohort.n[1])
    assert np.median(wide) > 0.25  # the range in which the victim's share may lie
