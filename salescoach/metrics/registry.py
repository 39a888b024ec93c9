"""Every metric with its definition, and one way to ask for it: a table, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.groups import PEOPLE, parse_by
from salescoach.process import Period, parse_period

Compute = Callable[..., pd.DataFrame]


@dataclass(frozen=True)
class Metric:
    """A metric and what a reader must know of it.

    name        identifier, from the command line to the chart
    title       what it is called
    why         the question of the sales floor that it answers
    definition  formula in words: what is counted over what
    basis       the date by which a unit belongs to a period
    interval    what kind of interval `low` and `high` are
    caveat      what to keep in mind
    unit        of `value`: share, days, hours, money, count or ratio
    needs       (table, column…) that must hold values
    by          default groups
    compute     (book, by, period, **options) -> table
    rows        (book, period, **options) -> the records that are counted
    """

    name: str
    title: str
    definition: str
    basis: str
    interval: str
    caveat: str
    unit: str
    needs: tuple[tuple[str, ...], ...]
    by: tuple[str, ...]
    compute: Compute
    rows: Compute
    why: str = ""

    def missing(self, book: Book) -> Unavailable | None:
        """Why the book cannot answer, or None."""
        for table, *columns in self.needs:
            if table not in book.tables:
                return Unavailable("the book has no table `{table}`", table=table)
            if book.tables[table].empty:
                return _nothing_in(book, table)
            for column in columns:
                if not book.has(table, column):
                    return Unavailable("`{column}` is missing or empty in `{table}`", column=column, table=table)
        return None


def _nothing_in(book: Book, table: str) -> Unavailable:
    """Why a table that the export has holds no row: a slice may be of people, of a past day, or both."""
    day = book.as_of_on.date()
    if book.origin.get("slice"):
        return Unavailable("up to {day} there is no row in `{table}` of the chosen people", table=table, day=day)
    return Unavailable("up to {day} there is no row in `{table}`", table=table, day=day)


METRICS: dict[str, Metric] = {}


@dataclass(frozen=True)
class Measure:
    """The answer of one metric: `table`; None where unavailable, then `reason` says why."""

    metric: Metric
    by: tuple[str, ...]
    period: Period
    table: pd.DataFrame | None
    reason: Unavailable | None = None

    @property
    def available(self) -> bool:
        return self.table is not None

    @property
    def because(self) -> str | None:
        """The reason in English."""
        return None if self.reason is None else str(self.reason)

    def to_dict(self) -> dict[str, Any]:
        """The object printed by `salescoach metrics --json`; what cannot be known is null, never 0."""
        rows = (
            []
            if self.table is None
            else [{k: _plain(v) for k, v in row.items()} for row in self.table.to_dict("records")]
        )
        return {
            "definition": self.metric.definition,
            "basis": self.metric.basis,
            "unit": self.metric.unit,
            "by": list(self.by),
            "period": self.period.label,
            "available": self.available,
            "because": self.because,
            "rows": rows,
        }


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def metric(
    title: str,
    definition: str,
    *,
    basis: str,
    interval: str,
    unit: str,
    needs: Sequence[tuple[str, ...]],
    rows: Compute,
    by: Sequence[str] = (),
    caveat: str = "",
    why: str = "",
) -> Callable[[Compute], Compute]:
    """Register a function (book, by, period) -> table as a metric under its own name."""

    def register(compute: Compute) -> Compute:
        name = compute.__name__
        METRICS[name] = Metric(
            name, title, definition, basis, interval, caveat, unit, tuple(needs), tuple(by), compute, rows, why
        )
        return compute

    return register


def find_metric(name: str) -> Metric:
    """Raises UsageError with the nearest name."""
    if name not in METRICS:
        raise UsageError(
            f"There is no metric {name!r}.{suggestion(name, METRICS)} Metrics: {', '.join(sorted(METRICS))}."
        )
    return METRICS[name]


def measure(
    book: Book, name: str, by: str | Sequence[str] | None = None, period: str | Period | None = None, **options: Any
) -> Measure:
    """Compute one metric. A metric that these tables cannot answer is *unavailable, because …*, never a guess."""
    found = find_metric(name)
    groups = parse_by(by) if by is not None else tuple(g for g in found.by if g in PEOPLE or book.has("deals", g))
    span = as_period(book, period)
    reason = found.missing(book)
    if reason is None:
        try:
            return Measure(found, groups, span, found.compute(book, by=groups, period=span, **options))
        except Unavailable as unavailable:
            reason = unavailable
    return Measure(found, groups, span, None, reason)


def counted_rows(book: Book, name: str, period: str | Period | None = None, **options: Any) -> pd.DataFrame:
    """The records a metric counts: as many rows as the sum of its `n`. Raises Unavailable."""
    found = find_metric(name)
    reason = found.missing(book)
    if reason is not None:
        raise reason
    return found.rows(book, period=as_period(book, period), **options)


def as_period(book: Book, period: str | Period | None) -> Period:
    """A period as people write it ("2026Q3"), or one already read. Nothing: everything up to as_of."""
    return period if isinstance(period, Period) else parse_period(period, book.process, book.as_of_on.date())


def is_everything(book: Book, period: Period) -> bool:
    """Whether the period leaves nothing of the book out."""
    return period.start_on is None and period.end_on >= book.as_of_on.date()


def in_period(book: Book, period: str | Period | None, days: pd.Series) -> pd.Series:
    """Whether each day lies in the period. What has no date belongs to no period but to the whole."""
    span = as_period(book, period)
    inside = pd.Series(span.contains(days), days.index)
    return inside | days.isna() if is_everything(book, span) else inside
