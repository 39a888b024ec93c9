"""Observed minus expected: what the coached did against their own history drawn towards all, and the team's trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import Any

import numpy as np

from salescoach.metrics.compare import ENOUGH
from salescoach.metrics.estimate import Z95
from salescoach.models.coaching_power import LEVEL, can_be_seen, smallest_visible
from salescoach.models.rates import shrink_rates

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
NEVER = np.iinfo(np.int64).max
BIN_DAYS = 30  # the team's trend is taken month by month
TRIALS = 2000
SEED = 20240607
FEWEST_OTHERS = 3
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Windows:
    """Which days count, seen from the day of the coaching.

    history     days before it that say what is expected
    settle      days after it that are left out
    follow      days after it up to which what was reached counts
    selection   days before it from which the coached may have been chosen; the second opinion leaves them out
    """

    history: int = 365
    settle: int = 14
    follow: int = 365
    selection: int = 91


@dataclass(frozen=True)
class Records:
    """Records of one yardstick as arrays of equal length, and when each rep was first coached.

    rep     position of the rep
    day     a number of days
    good    1 or 0
    coached per rep: the day of the first session, NEVER for who had none
    last    the last day of the data
    """

    rep: Whole
    day: Whole
    good: Floats
    coached: Whole
    last: int

    def __len__(self) -> int:
        return len(self.rep)

    @cached_property
    def reps(self) -> int:
        return len(self.coached)


@dataclass(frozen=True)
class Change:
    """What a group of coached reps did against what was expected; shares, NaN where unknown.

    reps, n               coached reps that could be judged, and their records afterwards
    observed, expected    share that went well, and the share expected of the same reps in the same months
    trend                 of the team in these months: how much the others did better than their own history
    change, low, high     observed - expected with its 95 % interval
    p                     of a change so large, if whom to coach had been drawn by lot
    smallest              smallest rise that so many records could have shown (80 % power, 5 %)
    clear                 change is beyond chance: by the interval and by the lot, and of a size that could be seen
    """

    reps: int
    n: int
    observed: float
    expected: float
    trend: float
    change: float
    low: float
    high: float
    p: float
    smallest: float
    clear: bool


@dataclass(frozen=True)
class Choice:
    """How the coached had been doing in the period from which they were chosen, and what came of the others like them.

    earlier               share of the coached before that period (NaN: no history so long)
    before, after         share of the coached in that period, and after the coaching
    others_before         share of the uncoached in that period
    worst_before, worst_after   the same of the uncoached that did worst then, as many as were coached
    n, worst_n            records of the coached, and of these, in that period
    p                     of a lag so large behind the others by chance (one-sided)
    """

    earlier: float
    before: float
    after: float
    others_before: float
    worst_before: float
    worst_after: float
    n: int
    worst_n: int
    p: float

    @property
    def were_worst(self) -> bool:
        """Whether the coached lagged behind in that period, so that their rates rise by themselves."""
        return self.p <= LEVEL


@dataclass(frozen=True)
class Cohort:
    """The reps not coached before a day, with their counts before and after it.

    who              reps that are compared: enough history, and at least one record afterwards
    now              per rep of who: coached on this day
    history, gone    per rep: records in the history, and how many went well
    n, good          per rep and month afterwards; those of reps coached later end with their own coaching
    """

    day: int
    who: Whole
    now: Flags
    history: Floats
    gone: Floats
    n: Floats
    good: Floats


def cohorts_of(records: Records, windows: Windows, without: int = 0) -> list[Cohort]:
    """One cohort per day on which somebody was coached for the first time.

    without   days before the coaching that do not count as history

    Months afterwards in which nobody uncoached has a record are left out; so are cohorts without anybody coached who
    can be compared, or with fewer than three others.
    """
    days = np.unique(records.coached[records.coached != NEVER])
    found = (_cohort(records, windows, int(day), without) for day in days)
    return [cohort for cohort in found if cohort is not None]


@dataclass(frozen=True)
class _Rows:
    """The records of one cohort: before and after mark them, month tells how many months afterwards."""

    before: Flags
    after: Flags
    month: Whole
    months: int


def _rows_of(records: Records, windows: Windows, day: int, without: int) -> _Rows:
    rep, at = records.rep, records.day
    free = (records.coached >= day)[rep]
    start, end = day + windows.settle, min(day + windows.follow, records.last)
    until = np.where(records.coached == day, NEVER, records.coached)[rep]
    before = free & (at < day - without) & (at >= day - windows.history)
    after = free & (at >= start) & (at <= end) & (at < until)
    return _Rows(before, after, (at - start) // BIN_DAYS, max(-(-(end - start + 1) // BIN_DAYS), 0))


def _cohort(records: Records, windows: Windows, day: int, without: int) -> Cohort | None:
    rows, reps = _rows_of(records, windows, day, without), records.reps
    history, gone = (_count(records.rep[rows.before], reps, w) for w in (None, records.good[rows.before]))
    cell = records.rep[rows.after] * rows.months + rows.month[rows.after]
    counts = (_count(cell, reps * rows.months, w) for w in (None, records.good[rows.after]))
    n, good = (table.reshape(reps, rows.months) for table in counts)
    enough = (records.coached >= day) & (history >= ENOUGH)
    compared = n[enough & (records.coached != day)].sum(axis=0) > 0
    n, good = n * compared, good * compared
    who = np.flatnonzero(enough & (n.sum(axis=1) > 0))
    now = records.coached[who] == day
    if not now.any() or (~now).sum() < FEWEST_OTHERS:
        return None
    return Cohort(day, who, now, history[who], gone[who], n[who], good[who])


def _count(place: Whole, size: int, weight: Floats | None = None) -> Floats:
    return np.bincount(place, weight, size).astype(float)


@dataclass(frozen=True)
class _Expected:
    """What each rep of a cohort was to reach, before the team's trend.

    rate     per rep
    own      how much of it is the rep's own history; the rest is that of all
    spread   variance of true rates between reps
    """

    rate: Floats
    own: Floats
    spread: float


def _shrunk(cohort: Cohort) -> _Expected:
    found = shrink_rates(cohort.gone, cohort.history)
    spread = found.spread**2 + ((found.spread_high - found.spread_low) / (2 * Z95)) ** 2
    worth = max(found.mu * (1 - found.mu) / spread - 1, 0.0)
    return _Expected(found.mean, cohort.history / (cohort.history + worth), spread)


def _raw(cohort: Cohort) -> _Expected:
    return _Expected(cohort.gone / cohort.history, np.ones(len(cohort.who)), 0.0)


@dataclass
class Comparison:
    """Cohorts with what was expected of each rep: asked for the change of any of the coached.

    raw   expected is the rep's own history alone: a difference in differences
    """

    records: Records
    windows: Windows = field(default_factory=Windows)
    raw: bool = False

    @cached_property
    def cohorts(self) -> list[Cohort]:
        return cohorts_of(self.records, self.windows, self.windows.selection if self.raw else 0)

    @cached_property
    def expected(self) -> list[_Expected]:
        return [_raw(cohort) if self.raw else _shrunk(cohort) for cohort in self.cohorts]

    @cached_property
    def judged(self) -> Whole:
        """The coached reps that can be compared, in the order of their positions."""
        found = [cohort.who[cohort.now] for cohort in self.cohorts]
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    @cached_property
    def drift(self) -> float:
        """How much more the uncoached departed from what was expected than chance allows: variance ratio, at least 1.

        Mean squared residual over its variance (as phi of a binomial regression by Pearson's chi-square).
        """
        square = free = 0.0
        for cohort, expected in zip(self.cohorts, self.expected, strict=True):
            others = ~cohort.now
            residual, variance = _residuals(cohort, expected, others)
            square += float((residual[others] ** 2 / variance[others]).sum())
            free += others.sum() - 1
        return max(square / free, 1.0) if free else 1.0

    def change(self, of: Sequence[int] | Whole | None = None, trials: int = TRIALS) -> Change | None:
        """What these coached reps did against what was expected (nothing: all of them); None where none is judged."""
        chosen = self.judged if of is None else np.intersect1d(self.judged, np.asarray(of, dtype=np.int64))
        if not len(chosen):
            return None
        sums = _Sums(self.records, self.windows, self.windows.selection if self.raw else 0)
        for cohort, expected in zip(self.cohorts, self.expected, strict=True):
            sums.add(cohort, expected, cohort.now & np.isin(cohort.who, chosen))
        n, rate = sums.n, float(np.clip(sums.base / sums.n, 0.0, 1.0))
        change = (sums.good - sums.base) / n
        variance = sums.variance() * self.drift
        half = Z95 * float(np.sqrt(variance))
        p, ways = self._by_lot(chosen, trials) if trials else (UNKNOWN, 0)
        # what the expectation is worth in records: the interval's variance less that of the coached's own records
        even = max(rate * (1 - rate), 1e-9)
        own = n / self.drift
        rest = variance - even / own
        smallest = smallest_visible(own, rate, even / rest if rest > 1e-12 else None)
        beyond = abs(change) > half and p <= LEVEL and ways * LEVEL >= 1 and can_be_seen(rate, smallest)
        trend = sums.trend / n
        return Change(
            len(chosen),
            round(n),
            sums.good / n,
            rate,
            trend,
            change,
            change - half,
            change + half,
            p,
            smallest,
            beyond,
        )

    def _by_lot(self, chosen: Whole, trials: int) -> tuple[float, int]:
        """How often a lot drawn among the reps of each cohort gives a change so large; in how many ways it can fall.

        Residuals are against the trend of all reps of the cohort, so that they do not depend on who was coached.
        """
        generator = np.random.default_rng(SEED)
        seen, seen_n = 0.0, 0.0
        drawn, drawn_n = np.zeros(trials), np.zeros(trials)
        ways = 1
        for cohort, expected in zip(self.cohorts, self.expected, strict=True):
            group = cohort.now & np.isin(cohort.who, chosen)
            places = np.flatnonzero(group | ~cohort.now)
            size = int(group.sum())
            if not size:
                continue
            residual = _residuals(cohort, expected, np.ones(len(cohort.who), dtype=bool))[0][places]
            n = cohort.n.sum(axis=1)[places]
            lots = np.argpartition(generator.random((trials, len(places))), size - 1, axis=1)[:, :size]
            seen += _against_rest(residual, n, np.flatnonzero(group[places])[None, :])[0]
            seen_n += n[group[places]].sum()
            drawn += _against_rest(residual, n, lots)
            drawn_n += n[lots].sum(axis=1)
            ways *= comb(len(places), size)
        as_large = np.abs(drawn / drawn_n) >= abs(seen / seen_n) - 1e-12
        return float((1 + as_large.sum()) / (1 + trials)), ways

    def choice(self, of: Sequence[int] | Whole | None = None) -> Choice | None:
        """How the coached stood in the period before the coaching; None where too little is known of it."""
        chosen = self.judged if of is None else np.intersect1d(self.judged, np.asarray(of, dtype=np.int64))
        sums = np.zeros((4, 2))  # coached earlier, coached before, others before, worst before
        after = np.zeros((2, 2))  # coached, worst
        for cohort in self.cohorts:
            self._compare_choice(cohort, cohort.now & np.isin(cohort.who, chosen), sums, after)
        (earlier, before, others, worst), (coached, like) = _shares(sums), _shares(after)
        if not sums[1:, 1].all():
            return None
        rate = sums[1:3, 0].sum() / sums[1:3, 1].sum()
        spread = np.sqrt(max(rate * (1 - rate), 1e-9) * (1 / sums[1, 1] + 1 / sums[2, 1]))
        p = _lower_tail((before - others) / spread)
        n, worst_n = round(sums[1, 1]), round(sums[3, 1])
        return Choice(earlier, before, coached, others, worst, like, n, worst_n, p)

    def _compare_choice(self, cohort: Cohort, group: Flags, sums: Floats, after: Floats) -> None:
        """Adds good and n of one cohort."""
        records = self.records
        last = (records.day < cohort.day) & (records.day >= cohort.day - self.windows.selection)
        long = (records.day < cohort.day - self.windows.selection) & (records.day >= cohort.day - self.windows.history)
        n, good = (_count(records.rep[last], records.reps, w)[cohort.who] for w in (None, records.good[last]))
        old_n, old = (_count(records.rep[long], records.reps, w)[cohort.who] for w in (None, records.good[long]))
        others = ~cohort.now
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = np.where(others & (n >= FEW), good / n, np.inf)
        places = np.argsort(rates, kind="stable")[: group.sum()]
        worst = np.zeros(len(n), dtype=bool)
        worst[places[np.isfinite(rates[places])]] = True
        for row, (which, values) in enumerate(
            [(group, (old, old_n)), (group, (good, n)), (others, (good, n)), (worst, (good, n))]
        ):
            sums[row] += [v[which].sum() for v in values]
        for row, which in enumerate([group, worst]):
            after[row] += [cohort.good[which].sum(), cohort.n[which].sum()]


FEW = 4  # records in the period before, under which nobody counts among the worst


def _shares(sums: Floats) -> list[float]:
    return [float(good / n) if n else UNKNOWN for good, n in sums]


def _lower_tail(z: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(z))


def _residuals(cohort: Cohort, expected: _Expected, reference: Flags) -> tuple[Floats, Floats]:
    """Per rep observed - expected with the trend of the reps of reference, and its variance by chance and skill."""
    n = cohort.n.sum(axis=1)
    trend = _trend(cohort, expected, reference)
    rest = cohort.good.sum(axis=1) - n * expected.rate - cohort.n @ trend
    chance = _chance(expected.rate)
    unsure = expected.spread * (1 - expected.own) if expected.spread else chance / cohort.history
    return rest, n * chance + n**2 * unsure


def _trend(cohort: Cohort, expected: _Expected, reference: Flags) -> Floats:
    """Per month: how much better the reps of reference did than their history."""
    n = cohort.n[reference].sum(axis=0)
    gained = (cohort.good[reference] - cohort.n[reference] * expected.rate[reference, None]).sum(axis=0)
    trend: Floats = np.divide(gained, n, out=np.zeros_like(gained), where=n > 0)
    return trend


def _against_rest(residual: Floats, n: Floats, lots: Whole) -> Floats:
    """For each lot: its residuals, less those that the others had on as many records."""
    inside, inside_n = residual[lots].sum(axis=1), n[lots].sum(axis=1)
    rest = np.maximum(n.sum() - inside_n, 1.0)
    gap: Floats = inside - inside_n * (residual.sum() - inside) / rest
    return gap


@dataclass(frozen=True)
class _Weights:
    """With which weight the records of a cohort enter the sum of what was observed minus expected.

    before, after   of each record of a rep: in the history, and in each month afterwards
    skill           of what a rep is better than reps of equal history, which no record tells
    """

    before: Floats
    after: Floats
    skill: Floats


def _weights(cohort: Cohort, expected: _Expected, group: Flags) -> _Weights:
    """The coached count with 1, the others with minus their share of the coached's records in the same month; the
    histories with what they add to the expectation, of which a part is that of all reps together."""
    others = ~cohort.now
    asked, whole = cohort.n[group].sum(axis=0), cohort.n[others].sum(axis=0)
    share = np.divide(asked, whole, out=np.zeros_like(asked), where=whole > 0)
    after = group[:, None] - others[:, None] * share
    side = (after * cohort.n).sum(axis=1)  # what each rep's true rate weighs
    left = side * (1 - expected.own)
    common = left.sum() / cohort.history.sum()
    return _Weights(-side * expected.own / cohort.history - common, after, left - common * cohort.history)


class _Sums:
    """Adds cohorts up, and what makes their sum uncertain.

    A record may serve in several cohorts, so the weights of each are added before they are squared.
    """

    def __init__(self, records: Records, windows: Windows, without: int) -> None:
        self.records, self.windows, self.without = records, windows, without
        self.n = self.good = self.base = self.trend = 0.0
        self._parts: list[tuple[Cohort, _Expected, _Weights]] = []

    def add(self, cohort: Cohort, expected: _Expected, group: Flags) -> None:
        if not group.any():
            return
        n = cohort.n[group]
        gained = float(n.sum(axis=0) @ _trend(cohort, expected, ~cohort.now))
        self.n += n.sum()
        self.good += cohort.good[group].sum()
        self.base += float(n.sum(axis=1) @ expected.rate[group]) + gained
        self.trend += gained
        self._parts.append((cohort, expected, _weights(cohort, expected, group)))

    def variance(self) -> float:
        """Of the change: by chance in the records, and by how much reps of equal history still differ."""
        chance, skill = self._of_one() if len(self._parts) == 1 else self._of_several()
        spread = np.mean([expected.spread for _, expected, _ in self._parts])
        return float(chance + spread * (skill**2).sum()) / self.n**2

    def _of_one(self) -> tuple[float, Floats]:
        """Records of equal weight taken together."""
        cohort, expected, weights = self._parts[0]
        squares = cohort.history * weights.before**2 + (cohort.n * weights.after**2).sum(axis=1)
        return float(squares @ _chance(expected.rate)), weights.skill

    def _of_several(self) -> tuple[float, Floats]:
        records = self.records
        weight, skill = np.zeros(len(records)), np.zeros(records.reps)
        rate, times = np.zeros(records.reps), np.zeros(records.reps)
        for cohort, expected, weights in self._parts:
            place = np.full(records.reps, -1)
            place[cohort.who] = np.arange(len(cohort.who))
            at = place[records.rep]
            rows = _rows_of(records, self.windows, cohort.day, self.without)
            old, new = rows.before & (at >= 0), rows.after & (at >= 0)
            weight[old] += weights.before[at[old]]
            counted = cohort.n[at[new], rows.month[new]] > 0
            weight[new] += weights.after[at[new], rows.month[new]] * counted
            skill[cohort.who] += weights.skill
            rate[cohort.who] += expected.rate
            times[cohort.who] += 1
        chance = _chance(rate / np.maximum(times, 1))
        return float((weight**2 * chance[records.rep]).sum()), skill


def _chance(rate: Floats) -> Floats:
    """Variance of one record; never that of a rate of exactly 0 or 1, which nobody has."""
    rate = np.clip(rate, 0.02, 0.98)
    variance: Floats = rate * (1 - rate)
    return variance
