"""Attacks on the others' figures: whoever knows more than they should still learns no more than by guessing.

Each attack is given what a curious reader could have at best: the shown figures, the own numbers or those of two who
tell each other, and even everybody's number of deals, which no report shows. Its hits, a colleague's figure within
5 %, are held against those of a guess that needs no attack: that everybody is like the figure shown. All are made on
every kind of figure that stands in a table of the others, rounded as it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.metrics.peers import (
    LARGEST_SHARE,
    OTHERS,
    Rounding,
    hidden_together,
    in_digits,
    in_points,
    in_small_points,
    in_steps,
    may_be_shown,
    shown,
)

CLOSE = 0.05
WEEKS = 13
COHORTS = pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.nightly)])


@dataclass(frozen=True)
class Figures:
    """A kind of figure of the others, and how it is rounded: a share of records, or a mean of them."""

    rounding: Rounding
    share: bool
    typical: float

    def of_reps(self, rng: np.random.Generator, n: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not self.share:
            return self.typical * rng.lognormal(0, 0.5, len(n))
        values = rng.beta(8 * self.typical, 8 * (1 - self.typical), len(n))
        return rng.binomial(n.astype(int), values) / n


FIGURES = {
    "shares": Figures(in_points, True, 0.375),  # peers, path, habits; conversions of a gap
    "days": Figures(in_steps, False, 35.0),  # peers, path
    "numbers": Figures(in_digits, False, 27.0),  # begun deals and days of a gap; arriving deals of a forecast
    "amounts": Figures(in_digits, False, 43_000.0),  # of a gap and a forecast
    "chances": Figures(in_small_points, True, 0.1),  # of a forecast
}
KINDS = pytest.mark.parametrize("kind", FIGURES)


class Cohort:
    """Reps with their counts and values; what is shown of all of them, or of some. The second rep is the victim, and
    of all the others the one with the most records; the first one asks, and the third one helps.
    """

    def __init__(self, rng: np.random.Generator, kind: str, reps: int | None = None) -> None:
        k = reps or int(rng.integers(2, 26))
        self.figures, self.rng = FIGURES[kind], rng
        self.n = rng.integers(3, 60, k).astype(float)
        if rng.random() < 0.15:
            self.n[int(rng.integers(k))] *= 20  # somebody who outweighs the rest
        largest = 1 + int(np.argmax(self.n[1:]))
        self.n[[1, largest]] = self.n[[largest, 1]]
        self.values = self.figures.of_reps(rng, self.n)

    def shown(self, n: Any = None, values: Any = None) -> float:
        n, values = self.n if n is None else n, self.values if values is None else values
        if not n.sum():
            return float("nan")
        return shown(float((n * values).sum() / n.sum()), n, self.figures.rounding).value

    def possible(self, value: float, n: float) -> float:
        """What somebody with so few records, not all of them lost, can have: both who attacks and who guesses knows."""
        return float(np.clip(round(value * n), 1, n)) / n if self.figures.share else value


def hit(guess: float, truth: float) -> bool:
    return bool(abs(guess - truth) <= CLOSE * abs(truth))


Found = tuple[float, float, float] | None  # what the attack says, what a guess says, what is true


def subtract_oneself(c: Cohort) -> Found:
    """What is left when one's own part is taken out is all others; of two, it would be the other one."""
    whole = c.shown()
    rest = (whole * c.n.sum() - c.values[0] * c.n[0]) / c.n[1:].sum()
    return None if np.isnan(whole) else (rest, whole, c.values[1])


def two_tell_each_other(c: Cohort) -> Found:
    """The one who asks and the helper take both their parts out."""
    whole = c.shown()
    if np.isnan(whole):
        return None
    out = [0, 2]
    rest = (whole * c.n.sum() - (c.values[out] * c.n[out]).sum()) / (c.n.sum() - c.n[out].sum())
    return rest, whole, c.values[1]


def last_week_against_this(c: Cohort) -> Found:
    """Everybody goes on a little; the difference of the two weeks is what was done in the second one."""
    more = np.minimum(c.rng.poisson(c.n / WEEKS), c.n - 1).astype(float)
    fresh = c.figures.of_reps(c.rng, np.maximum(more, 1))
    both = c.n + more
    later = (c.values * c.n + fresh * more) / both
    before, after = c.shown(), c.shown(both, later)
    if np.isnan(before) or np.isnan(after) or not more[1]:
        return None
    said = (after * both.sum() - before * c.n.sum() - fresh[0] * more[0]) / max(more[1:].sum(), 1)
    return c.possible(said, more[1]), c.possible(after, more[1]), fresh[1]


def team_against_company(c: Cohort) -> Found:
    """A manager takes out the own team, as large as may be, if what is left may be shown to a manager."""
    team = np.arange(len(c.n)) >= OTHERS + 1  # the rest: the first six, the victim and the one who asks among them
    rest = c.n * ~team
    whole = c.shown()
    if np.isnan(whole) or not team.any() or not may_be_shown(rest, OTHERS - 1):
        return None
    return (whole * c.n.sum() - (c.values * c.n * team).sum()) / rest.sum(), whole, c.values[1]


def one_month_from_the_others(c: Cohort) -> Found:
    """A quarter and its first two months are shown: the difference is the third one."""
    parts = np.array([c.rng.multinomial(int(n), [1 / 3] * 3) for n in c.n], dtype=float).T
    values = np.array([c.figures.of_reps(c.rng, np.maximum(n, 1)) for n in parts])
    n, two = parts.sum(0), parts[:2].sum(0)
    whole = c.shown(n, (values * parts).sum(0) / n)
    first = c.shown(two, (values * parts)[:2].sum(0) / np.maximum(two, 1))
    if np.isnan(whole) or np.isnan(first) or not parts[2, 1]:
        return None
    return (whole * n.sum() - first * two.sum()) / parts[2].sum(), whole, values[2, 1]


def one_kind_from_the_others(c: Cohort) -> Found:
    """All kinds of deals and each of them are shown, but for those that are hidden: what is left is the hidden ones."""
    of_kind = c.rng.random((3, len(c.n))) < 0.5
    of_kind[2] = c.rng.random(len(c.n)) < 0.15
    of_kind[2, 1] = True  # the victim has the rare kind, often alone
    of_kind[0] |= ~of_kind.any(0)
    parts = np.array([c.rng.multinomial(int(n), here / here.sum()) for n, here in zip(c.n, of_kind.T, strict=True)])
    parts = parts.astype(float).T
    values = np.array([c.figures.of_reps(c.rng, np.maximum(n, 1)) for n in parts])
    n = parts.sum(0)
    whole = c.shown(n, (values * parts).sum(0) / n)
    hidden = np.array(hidden_together([pd.Series(part) for part in parts]))
    if np.isnan(whole) or not hidden[2] or hidden.all() or not parts[2, 1]:
        return None
    known = sum(c.shown(parts[k], values[k]) * parts[k].sum() for k in np.flatnonzero(~hidden))
    return (whole * n.sum() - known) / parts[hidden].sum(), whole, values[2, 1]


ATTACKS = [
    subtract_oneself,
    two_tell_each_other,
    last_week_against_this,
    team_against_company,
    one_month_from_the_others,
    one_kind_from_the_others,
]


@COHORTS
@KINDS
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_no_better_than_a_guess(attack: Callable[[Cohort], Found], kind: str, count: int) -> None:
    rng = np.random.default_rng(11)
    tries = hits = guessed = 0
    while tries < count // 3:
        found = attack(Cohort(rng, kind))
        if found is None or not found[2]:
            continue
        said, guess, truth = found
        tries += 1
        hits += hit(said, truth)
        guessed += hit(guess, truth)
    chance = guessed / tries
    assert hits / tries <= chance + 3 * sqrt(max(chance, 0.02) * (1 - chance) / tries)


@KINDS
def test_whoever_comes_alone_would_be_known_without_rounding(kind: str) -> None:
    """The attack works where nothing is done against it: this is why nobody enters a figure alone."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        c = Cohort(rng, kind, reps=12)
        both = [float((c.n[w] * c.values[w]).sum() / c.n[w].sum()) for w in (np.arange(12) != 1, np.arange(12) > -1)]
        said = (both[1] * c.n.sum() - both[0] * (c.n.sum() - c.n[1])) / c.n[1]
        assert said == pytest.approx(c.values[1], rel=CLOSE, abs=1e-9)


def test_without_hiding_a_second_kind_the_first_would_be_known() -> None:
    """Of ten reps one alone has a kind, half of all deals: it is hidden, and so is another one."""
    own = pd.Series({"victim": 40.0})
    usual = pd.Series({f"R{k}": 5.0 for k in range(10)})
    rare = pd.Series({f"R{k}": 4.0 for k in range(10)})
    assert hidden_together([own, usual, rare]) == [True, True, True]
    assert hidden_together([own / 10, usual, rare]) == [True, False, True]  # the smallest, with which it may be shown
    assert hidden_together([usual, rare]) == [False, False]


@COHORTS
@KINDS
def test_nothing_is_shown_of_too_few_or_of_one_who_outweighs_the_rest(kind: str, count: int) -> None:
    rng = np.random.default_rng(5)
    seen = gone = 0
    for _ in range(count):
        cohort = Cohort(rng, kind)
        row = shown(0.5, cohort.n, in_points)
        n = np.sort(cohort.n)
        few = len(n) < OTHERS + 1 or n[-1] > LARGEST_SHARE * (n.sum() - n[-3:-1].sum())
        assert row.hidden == few and (row.reps == 0) == few
        assert np.isnan(row.value) == few
        seen, gone = seen + (not few), gone + few
    assert min(seen, gone) > count / 10


@COHORTS
@KINDS
def test_no_figure_is_that_of_one_of_them(kind: str, count: int) -> None:
    """Means are never equal to anybody's; a rounded share is so as often as it is to a stranger's."""
    rng = np.random.default_rng(7)
    own = strangers = tries = 0
    while tries < count // 3:
        cohort, other = Cohort(rng, kind), Cohort(rng, kind)
        value = cohort.shown()
        if np.isnan(value) or len(other.n) < len(cohort.n):
            continue
        tries += 1
        own += bool(np.isclose(cohort.values, value, rtol=1e-9).any())
        strangers += bool(np.isclose(other.values[: len(cohort.n)], value, rtol=1e-9).any())
    if FIGURES[kind].share:
        chance = strangers / tries
        assert own / tries <= 1.5 * chance + 3 * sqrt(chance * (1 - chance) / tries)  # its own are nearer to it
    else:
        assert own == 0


@KINDS
def test_one_who_asks_every_week_gets_no_second_digit_more(kind: str) -> None:
    """The same data give the same figure, and small changes none: no averaging over many weeks sharpens it."""
    rng = np.random.default_rng(9)
    cohort = Cohort(rng, kind, reps=15)
    weeks = set()
    for _ in range(40):
        cohort.values = cohort.values * (1 + rng.normal(0, 1e-4, 15))
        weeks.add(cohort.shown())
    assert len(weeks) <= 2


@KINDS
def test_the_true_figure_is_within_half_a_step(kind: str) -> None:
    rng = np.random.default_rng(17)
    figures = FIGURES[kind]
    for value in figures.typical * np.exp(rng.normal(0, 1, 500)).clip(
        0, 1 / figures.typical if figures.share else None
    ):
        rounded, step = figures.rounding(float(value))
        assert abs(rounded - value) <= step / 2 * (1 + 1e-9)


def test_two_who_know_all_but_one_still_lack_the_rest() -> None:
    """Knowing all but one, rounding alone stands between: the step of 5 points, times all deals over theirs."""
    rng = np.random.default_rng(13)
    wide = []
    for _ in range(500):
        cohort = Cohort(rng, "shares", reps=int(rng.integers(6, 20)))
        if not np.isnan(cohort.shown()):
            wide.append(0.05 * cohort.n.sum() / cohort.n[1])
    assert np.median(wide) > 0.25  # the range in which the victim's share may lie
