"""What a rep may know of the others: aggregated, rounded, and only from at least five other people."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.registry import as_period, measure
from salescoach.process import Period

OTHERS = 5  # whoever reads the table, at least this many others stand behind a figure
OTHERS_OF_A_MEDIAN = 8  # a median of few people is nearly one person's own
QUARTER = timedelta(days=92)
LARGEST_SHARE = 0.5  # no figure is mostly one person's
RATE_STEP = 0.05
DIGITS = 2  # of what makes up a gap
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
    deals = book.deals
    if not {"rep_id", "created_at"} <= set(deals) or deals["created_at"].isna().all():
        return set()
    first = book.local_days(deals.groupby("rep_id")["created_at"].min().dropna())
    span = as_period(book, period)
    start = span.start_on or _quarter_of(book.as_of_on.date())
    before = start - (timedelta(days=span.days) if span.days else QUARTER)
    known_by = max(pd.Timestamp(before), first.min() + QUARTER)
    return set(first.index[first >= known_by])


def _quarter_of(day: date) -> date:
    return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


def settled(book: Book, period: str | Period | None = None) -> Book:
    """The book without what newcomers own: all that a table of the others is made from."""
    return book.without_reps(newcomers(book, period))


def others_of_team(book: Book, team: str, period: str | Period | None = None) -> int:
    """How many settled people with deals are not of the team."""
    owners = set(book.deals["rep_id"].dropna()) if "rep_id" in book.deals else set()
    people = book.people
    return len(owners - newcomers(book, period) - set(people.loc[people["team"] == team, "rep_id"]))


def all_hidden(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows of a table of the others, with no figure."""
    blank = {name: np.nan for name in FIGURES if name in table}
    return table.assign(**blank, reps=0, hidden=True).astype(dict(table.dtypes))


def peer_table(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Company-wide figures that every rep of a run may see: one table for all, so that tables cannot be compared.

    Behind each figure stand at least six reps (five others for each reader), behind a median nine, none of whom holds
    more than half of it. Shares are rounded to 5 points, times to steps of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8; counts
    are left out. The book is to be that without newcomers (`settled`).

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
    n = {stage: part["n"] for stage, part in by_rep[by_rep["rep_id"] != UNASSIGNED].groupby("stage")}
    known = whole[whole["stage"].isin(list(n))]
    return [
        shown_figure("stage_flow", str(stage), float(value), n[stage], share=True)
        for stage, value in zip(known["stage"], known["value"], strict=True)
    ]


def shown_figure(
    name: str, stage: str | None, value: float, n: pd.Series, share: bool, median: bool = False
) -> dict[str, object]:
    """A row of the others' figures, hidden where `n`, the records of each rep, do not allow it; shares in steps."""
    n = n[n > 0]
    others = OTHERS_OF_A_MEDIAN if median else OTHERS
    hidden = len(n) < others + 1 or bool(n.max() > LARGEST_SHARE * n.sum())
    figure = np.nan if hidden or value != value else _rounded(value, share)
    return {"metric": name, "stage": stage, "value": figure, "reps": 0 if hidden else others + 1, "hidden": hidden}


def _rounded(value: float, share: bool) -> float:
    if share:
        return round(round(value / RATE_STEP) * RATE_STEP, 2)
    if value <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(f"{min(TIME_STEPS, key=lambda step: abs(np.log(value / power / step))) * power:.2g}")
