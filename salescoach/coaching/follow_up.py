"""What happened to the measure of a commitment since it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from math import hypot

import pandas as pd

from salescoach.book import Book
from salescoach.coaching.agreed import Promise
from salescoach.coaching.habits import HABITS, habits
from salescoach.errors import Unavailable, joined
from salescoach.metrics import METRICS, currency_of, measure
from salescoach.metrics.compare import ENOUGH
from salescoach.metrics.registry import as_period
from salescoach.process import Period
from salescoach.process.periods import parse_day
from salescoach.wording import N_, Words, is_known

LOOK_BACK_DAYS = 90  # a week has passed since, but a week before has too few records to compare with
STAGE_FINDINGS = ("worse", "lowest")  # findings about one stage, whose measure is its conversion
WITH_STAGE = "stage_flow"

# which way is better; of other measures that is for the two to say
HIGHER = ("stage_flow", "win_rate", "lead_conversion", "quota_attainment", "win_curve", "new_customers", "sales")
LOWER = ("missed_quotes", "forgotten_followups", "overdue_next_steps", "stalled", "zombies", "slips", "conformance")

SENTENCE = N_("{then} of {n_then} before, {now} of {n_now} since.")
AMOUNTS = N_("{then} before (n = {n_then}), {now} since (n = {n_now}).")
VERDICTS = {
    "better": N_("Better by {low} to {high}; after a poor period a better one often follows by itself."),
    "worse": N_("Worse by {low} to {high}."),
    "higher": N_("Higher by {low} to {high}."),
    "lower": N_("Lower by {low} to {high}."),
    "not told": N_("A change cannot be told from chance."),
    "thin": N_("Too few records to tell yet."),
}
ONLY_SINCE = N_("{now} since (n = {n_now}); before: {because}.")
BECAUSE = N_("unavailable, because {because}")


@dataclass(frozen=True)
class Reading:
    """A measure over some days: n records, value, and its 95 % range. `start_on` is None for the state of a day."""

    n: int
    value: float
    low: float
    high: float
    start_on: date | None
    end_on: date


@dataclass(frozen=True)
class FollowUp:
    """What happened to a measure: before the promise, and since.

    unit      of the readings: share, days, hours, money, count or ratio
    change    now - then, low, high: intervals of both combined (Zou & Donner 2008); None where one is not known
    verdict   "better" or "worse", "higher" or "lower" where nobody says which is better, "not told" where the range of
              the change holds 0, "thin" under 10 records on a side; "" where unavailable
    reason    why there is nothing to compare; `now` may be there all the same
    """

    promise: Promise
    unit: str = ""
    then: Reading | None = None
    now: Reading | None = None
    change: tuple[float, float, float] | None = None
    verdict: str = ""
    reason: Unavailable | None = None

    @property
    def available(self) -> bool:
        return self.reason is None

    def said(self, say: Words, currency: str = "") -> str:
        """One or two sentences for the page."""
        if self.then is None or self.now is None or self.change is None:
            reason = self.reason or Unavailable("nothing is on record")
            because = say(BECAUSE, because=say(reason.said))
            if self.now is None:
                return because
            now = _shown(self.now.value, self.unit, say, currency)
            return say(ONLY_SINCE, now=now, n_now=say.number(self.now.n), because=because)
        n_then, n_now = say.number(self.then.n), say.number(self.now.n)
        then, now = (_shown(reading.value, self.unit, say, currency) for reading in (self.then, self.now))
        first = say(SENTENCE if self.unit == "share" else AMOUNTS, then=then, now=now, n_then=n_then, n_now=n_now)
        low, high = sorted(abs(end) for end in self.change[1:])
        points = {"low": _shown(low, self.unit, say, currency), "high": _shown(high, self.unit, say, currency)}
        if self.unit == "share":
            points = {name: say("{n} points", n=say.number(end * 100)) for name, end in (("low", low), ("high", high))}
        return say(joined([first, say(VERDICTS[self.verdict], **points)], " "))


def _shown(value: float, unit: str, say: Words, currency: str) -> str:
    if unit == "share":
        return say.percent(value)
    if unit == "money":
        return say.money(value, currency)
    if unit == "days":
        return say("{n} days", n=say.number(value, 1))
    if unit == "hours":
        return say("{n} hours", n=say.number(value, 1))
    return say.number(value, 0 if unit == "count" else 2)


def measured(name: str, stage: str, book: Book) -> Reading:
    """A measure as it is when something is promised, as `follow_up` reads it: of the last 90 days, or of the day of the
    data. Raises Unavailable.
    """
    name = _known(name)
    today = book.as_of_on.date()
    days = as_period(book, None) if _is_state(name) else _days(today - timedelta(days=LOOK_BACK_DAYS - 1), today)
    return _read(book, name, stage, days)[1]


def follow_up(promise: Promise, book: Book) -> FollowUp:
    """The measure of a promise before it was made and since, in the slice of the rep it is about.

    Since: from the day after the promise to as_of. Before: as many days up to the day of the promise, at least 90, in
    the book as it was on that day, so that both are equally complete. Of measures that describe a day (open deals,
    overdue next steps) both days are compared. A measure is the name of a habit (`HABITS`) or else of a metric; of one
    that is told by stage, that of the promise's stage.
    """
    return _followed(promise, book, book.at)


def _followed(promise: Promise, book: Book, past: Callable[[str], Book]) -> FollowUp:
    unit, now = "", None
    try:
        name = _known(promise.measure)
        before, then_days, now_days = _sides(promise, name, book, past)
        unit, now = _read(book, name, promise.stage, now_days)
        _, then = _read(before, name, promise.stage, then_days)
    except Unavailable as reason:
        return FollowUp(promise, unit, now=now, reason=reason)
    change = _change(then, now)
    return FollowUp(promise, unit, then, now, change, _verdict(name, then, now, change))


def follow_ups(promises: Iterable[Promise], book: Book, say: Words) -> pd.DataFrame:
    """What happened to each promise, in the order given: by, what, measure, stage, on, due_on, status, before (as noted
    when it was made; null: not noted), n_then, then, n_now, now, change, low, high (of the change), verdict, said.
    """
    currency, past = currency_of(book), cache(book.at)  # most promises are of the same few days
    rows = []
    for promise in promises:
        found = _followed(promise, book, past)
        row = {name: getattr(promise, name) for name in ("by", "what", "measure", "stage", "on", "due_on", "status")}
        row |= {"before": promise.before}
        row |= {"n_then": found.then.n if found.then else None, "then": found.then.value if found.then else None}
        row |= {"n_now": found.now.n if found.now else None, "now": found.now.value if found.now else None}
        row |= dict(zip(("change", "low", "high"), found.change or (None, None, None), strict=True))
        rows.append({**row, "verdict": found.verdict, "said": found.said(say, currency)})
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))


NUMBERS = ["before", "n_then", "then", "n_now", "now", "change", "low", "high"]
COLUMNS = ["by", "what", "measure", "stage", "on", "due_on", "status", *NUMBERS, "verdict", "said"]


def _known(written: str) -> str:
    """The habit or metric that a measure names. Raises Unavailable where it is free text."""
    name = written.strip()
    if not name:
        raise Unavailable("no measure was agreed")
    if name in STAGE_FINDINGS:
        return WITH_STAGE
    if name not in HABITS and name not in METRICS:
        raise Unavailable("`{measure}` is no figure of ours: look at it together", measure=name)
    return name


def _is_state(name: str) -> bool:
    """Whether a measure describes a day and not what happened in a period."""
    return name in METRICS and METRICS[name].stock


def _sides(promise: Promise, name: str, book: Book, past: Callable[[str], Book]) -> tuple[Book, Period, Period]:
    """The book of the day of the promise, the days before, and the days since."""
    today = book.as_of_on.date()
    agreed_on = parse_day(promise.on, "on")
    if agreed_on >= today:
        raise Unavailable("the data end on {day}: no day has passed since", day=today)
    before = past(str(agreed_on))
    if _is_state(name):
        return before, as_period(before, None), as_period(book, None)
    since = _days(agreed_on + timedelta(days=1), today)
    back = max(since.days or 0, LOOK_BACK_DAYS)
    return before, _days(agreed_on - timedelta(days=back - 1), agreed_on), since


def _days(start: date, end: date) -> Period:
    return Period(f"{start}..{end}", start, end)


def _read(book: Book, name: str, stage: str, period: Period) -> tuple[str, Reading]:
    unit, table = _figures(book, name, period)
    if stage and "stage" in table:
        table = table[table["stage"] == stage]
    table = table[table["n"] > 0]
    if len(table) > 1:
        raise Unavailable("`{measure}` has several figures: name the stage that is meant", measure=name)
    if table.empty or not all(is_known(table[c].iloc[0]) for c in ("value", "low", "high")):
        told = {"start": period.start_on, "end": period.end_on}
        raise (
            Unavailable("nothing is on record from {start} to {end}", **told)
            if period.start_on
            else Unavailable("nothing is on record on {end}", **told)
        )
    row = table.iloc[0]
    value, low, high = (float(row[c]) for c in ("value", "low", "high"))
    return unit, Reading(int(row["n"]), value, low, high, period.start_on, period.end_on)


def _figures(book: Book, name: str, period: Period) -> tuple[str, pd.DataFrame]:
    if name in HABITS:
        table = habits(book, period)
        return "share", table[table["habit"] == name]
    found = measure(book, name, (), period)
    if found.table is None:
        raise found.reason or Unavailable("nothing is on record")
    return found.metric.unit, found.table


def _change(then: Reading, now: Reading) -> tuple[float, float, float]:
    """now - then, with the range that two independent intervals give it (Zou & Donner 2008; shares: Newcombe 1998)."""
    change = now.value - then.value
    return (
        change,
        change - hypot(now.value - now.low, then.high - then.value),
        change + hypot(now.high - now.value, then.value - then.low),
    )


def _verdict(name: str, then: Reading, now: Reading, change: tuple[float, float, float]) -> str:
    _, low, high = change
    if min(then.n, now.n) < ENOUGH:
        return "thin"
    if low <= 0 <= high:
        return "not told"
    if name in HABITS:
        return "better" if (low > 0) == HABITS[name].good else "worse"
    if name in HIGHER or name in LOWER:
        return "better" if (low > 0) == (name in HIGHER) else "worse"
    return "higher" if low > 0 else "lower"
