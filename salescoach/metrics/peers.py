"""What a rep may know of the others: aggregated, rounded, and only from at least five other people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.registry import as_period, measure
from salescoach.process import Period

OTHERS = 5  # whoever reads the table, at least this many others stand behind a figure
OTHERS_OF_A_MEDIAN = 8  # a median of few people is nearly one person's own
QUARTER = timedelta(days=92)
COLLUDING = 2  # so many may tell each other their own part and take it out
LARGEST_SHARE = 0.5  # no figure, and nothing that is left of it then, is mostly one person's
RATE_STEP = 0.05
POINT = 0.01
DIGITS = 2
TIME_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # a finer figure of two weeks would give away a newcomer
SHARES = ("win_rate", "lead_conversion")
TIMES = ("sales_cycle", "response_time")
COLUMNS = ["metric", "stage", "value", "reps", "hidden"]
FIGURES = ("value", "step", "spread")  # what a table of the others tells


def newcomers(book: Book, period: str | Period | None = None) -> set[str]:
    """Reps who are not yet part of what the others are shown: whose first deal came after the period before began.

    So the people behind a figure are the same all through a period, and nobody enters them alone between two weeks,
    where the difference of two figures would be theirs. Who already had a deal in the first quarter of the book counts
    as having been there before it. Without a start, the quarter of as_of is the period.
    """
    first = _first_days(book)
    if first.empty:
        return set()
    span = as_period(book, period)
    start = span.start_on or _quarter_of(book.as_of_on.date())
    known_by = max(pd.Timestamp(start - _length(span)), first.min() + QUARTER)
    return set(first.index[first >= known_by])


def _first_days(book: Book) -> pd.Series:
    """The day of each rep's first deal."""
    deals = book.deals
    if not {"rep_id", "created_at"} <= set(deals):
        return pd.Series(dtype="datetime64[us]")
    return book.local_days(deals.groupby("rep_id")["created_at"].min().dropna())


def _length(span: Period) -> timedelta:
    return timedelta(days=span.days) if span.days else QUARTER


def _quarter_of(day: date) -> date:
    return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


def settled(book: Book, period: str | Period | None = None) -> Book:
    """The book that every table of the others is made from.

    Without what newcomers own; and of who came later than the book's first quarter, without what they began in their
    own first two periods. A period that moves on with every week would else take all of it in at once, in the week in
    which its owner is a newcomer no more, and the difference of two weeks would be theirs.
    """
    first = _first_days(book)
    if first.empty:
        return book
    since = first[first >= first.min() + QUARTER] + 2 * _length(as_period(book, period))
    return book.without_reps(newcomers(book, period)).begun_since(since)


def deals_outside(book: Book, team: str, period: str | Period | None = None) -> pd.Series:
    """How many deals each of the settled people has who are not of the team, by rep."""
    if "rep_id" not in book.deals:
        return pd.Series(dtype="int64")
    people = book.people
    gone = newcomers(book, period) | set(people.loc[people["team"] == team, "rep_id"])
    n = book.deals["rep_id"].dropna().value_counts()
    return n[~n.index.isin(list(gone))]


def all_hidden(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows of a table of the others, with no figure."""
    blank = {name: np.nan for name in FIGURES if name in table}
    return table.assign(**blank, reps=0, hidden=True).astype(dict(table.dtypes))


class Shown(NamedTuple):
    """A figure of the others as it may be shown.

    value    rounded; null where hidden
    step     the rounding: the true figure is within half of it; null where hidden
    reps     at least so many stand behind it; 0 where hidden
    """

    value: float
    step: float
    reps: int
    hidden: bool


Held = pd.Series | np.ndarray[Any, Any]  # by rep
Rounding = Callable[[float], tuple[float, float]]  # of a figure: as it is shown, and the step


def in_points(value: float) -> tuple[float, float]:
    """Shares: to 5 points."""
    return round(round(value / RATE_STEP) * RATE_STEP, 2), RATE_STEP


def in_small_points(value: float) -> tuple[float, float]:
    """Chances: to 5 points, below a tenth to one point; there are many of small ones, and 0 is none of them."""
    return in_points(value) if value >= 2 * RATE_STEP else (round(value, 2), POINT)


def in_digits(value: float) -> tuple[float, float]:
    """Amounts and numbers: to two significant digits."""
    if not value:
        return 0.0, 1.0
    step = 10.0 ** (np.floor(np.log10(abs(value))) + 1 - DIGITS)
    return round(round(value / step) * step, 10), step


def in_steps(value: float) -> tuple[float, float]:
    """Times: to the nearest of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, …, by their ratio."""
    if value <= 0:
        return 0.0, 1.0
    ladder = np.outer(10.0 ** (np.floor(np.log10(value)) + np.array([-1, 0, 1])), TIME_STEPS[:-1]).ravel()
    at = int(np.argmin(abs(np.log(ladder / value))))
    low, high = np.sqrt(ladder[at] * ladder[at + np.array([-1, 1])])
    return float(f"{ladder[at]:.2g}"), 2 * max(high - ladder[at], ladder[at] - low)


def in_steps_of_points(value: float) -> tuple[float, float]:
    """How far people's shares lie apart: to a point, from 5 points on in the steps of times."""
    return in_steps(value) if value >= RATE_STEP else (round(value, 2), POINT)


def may_be_shown(n: Held, others: int = OTHERS) -> bool:
    """Whether a figure over these people may be shown to each of them.

    At least so many others stand behind it, and if the reader and one more take out their own parts, nobody holds more
    than half of what is left. `n`: what each holds of the figure.
    """
    held = np.asarray(n, dtype=float)
    held = np.sort(held[held > 0])[::-1]
    if len(held) < others + 1:
        return False
    return bool(held[0] <= LARGEST_SHARE * (held.sum() - held[1 : 1 + COLLUDING].sum()))


def shown(value: float, n: Held, rounding: Rounding, others: int = OTHERS) -> Shown:
    """A figure of which each rep holds `n`, rounded; hidden where these do not allow it, or where it is not known."""
    if value != value or not may_be_shown(n, others):
        return Shown(np.nan, np.nan, 0, True)
    return Shown(*rounding(value), others + 1, False)


def hidden_together(parts: Sequence[pd.Series], others: int = OTHERS) -> list[bool]:
    """Which parts of a whole that is shown are hidden: those that may not be shown, and the smallest of the others,
    until nobody can take the shown ones from the whole and be left with what may not be shown.

    parts   what each rep holds, by rep, of each part
    """
    hidden = [not may_be_shown(n, others) for n in parts]
    for number in sorted(range(len(parts)), key=lambda k: float(parts[k].sum())):
        rest = [n for n, gone in zip(parts, hidden, strict=True) if gone]
        if not rest or may_be_shown(pd.concat(rest).groupby(level=0).sum(), others):
            break
        hidden[number] = True
    return hidden


def peer_table(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Company-wide figures that every rep of a run may see: one table for all, so that tables cannot be compared.

    Behind each figure stand at least six reps (five others for each reader), behind a median nine; none of them holds
    more than half of it, nor of what is left when two others take out their own part (`may_be_shown`). Shares are
    rounded to 5 points, times to steps of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8; counts are left out. A stage that alone
    is hidden takes another one with it: the win rate would tell it. The book is to be that without newcomers
    (`settled`).

    Returns metric, stage (null except for stage_flow), value (null where hidden), reps (at least so many; 0 where
    hidden), hidden (true where too few).
    """
    rows = [row for name in (*SHARES, *TIMES) for row in _figure(book, name, period)] + _stages(book, period)
    kinds = {"metric": "str", "stage": "str", "value": "float64", "reps": "int64", "hidden": "bool"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)


def _figure(book: Book, name: str, period: str | Period | None) -> list[dict[str, object]]:
    by_rep, whole = (measure(book, name, by=by, period=period).table for by in ("rep", ()))
    if by_rep is None or whole is None:
        return []
    n = by_rep.loc[by_rep["rep_id"] != UNASSIGNED, "n"]
    return [shown_figure(name, None, float(whole["value"].iloc[0]), n, name in SHARES, name in TIMES)]


def _stages(book: Book, period: str | Period | None) -> list[dict[str, object]]:
    by_rep, whole = (measure(book, "stage_flow", by=by, period=period).table for by in ("rep", ()))
    if by_rep is None or whole is None:
        return []
    named = by_rep[by_rep["rep_id"] != UNASSIGNED]
    n = {str(stage): part.groupby("rep_id")["n"].sum() for stage, part in named.groupby("stage")}
    hidden = dict(zip(n, hidden_together(list(n.values())), strict=True))
    known = whole[whole["stage"].isin(list(n))]
    rows = zip(known["stage"].astype(str), known["value"], strict=True)
    return [
        shown_figure("stage_flow", stage, float(value), n[stage] * (not hidden[stage]), share=True)
        for stage, value in rows
    ]


def shown_figure(
    name: str, stage: str | None, value: float, n: pd.Series, share: bool, median: bool = False
) -> dict[str, object]:
    """A row of the others' figures, hidden where `n`, the records of each rep, do not allow it; shares in steps."""
    figure = shown(value, n, in_points if share else in_steps, OTHERS_OF_A_MEDIAN if median else OTHERS)
    return {"metric": name, "stage": stage, "value": figure.value, "reps": figure.reps, "hidden": figure.hidden}
