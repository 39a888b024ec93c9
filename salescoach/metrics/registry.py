"""Every metric with its definition, and one way to ask for it: a table, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.groups import PEOPLE, UNITS, parse_by
from salescoach.metrics.options import Option, accepted, check_names, options_of
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
    uses        (table, column…) that are used where they are there
    meanings    what each option of `compute` changes
    repeats     key columns in each of whose values the same records are counted again (each stage of a funnel)
    stock       it describes the state of the day of the data, not what happened in a period
    spans       it is about a period with a first day, and unavailable without one
    bases       (option, value) -> the basis, where that value of the option changes it
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
    why: str
    uses: tuple[tuple[str, ...], ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    repeats: tuple[str, ...] = ()
    stock: bool = False
    spans: bool = False
    bases: Mapping[tuple[str, Any], str] = field(default_factory=dict)

    def basis_with(self, options: Mapping[str, Any]) -> str:
        """The date by which a unit belongs to a period with these options."""
        return next((self.bases[pair] for pair in options.items() if pair in self.bases), self.basis)

    @cached_property
    def options(self) -> dict[str, Option]:
        """What may be set beside the groups and the period."""
        return options_of(self.compute, self.meanings)

    def counted(self, table: pd.DataFrame) -> int:
        """How many records a table of this metric counts, each once: as many as `counted_rows` lists.

        The columns left of `n` say what a row is about. Where those in `repeats` count the same records again, one row
        of each is taken.
        """
        if not self.repeats:
            return int(table["n"].sum())
        about = [c for c in table.columns[: table.columns.get_loc("n")] if c not in self.repeats]
        once = table.drop_duplicates(about) if about else table.head(1)
        return int(once["n"].sum())

    def missing(self, book: Book) -> Unavailable | None:
        """Why the book cannot answer, or None."""
        for table, *columns in self.needs:
            if table not in book.tables:
                return Unavailable("the book has no table `{table}`", table=table)
            if not book.rows(table):
                return _nothing_in(book, table)
            for column in columns:
                if not book.has(table, column):
                    named = column.removesuffix("_minor")  # as the source has it, not as the book keeps it
                    return Unavailable("`{column}` is missing or empty in `{table}`", column=named, table=table)
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
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def basis(self) -> str:
        """The date by which a unit belongs to a period, as the options have it."""
        return self.metric.basis_with(self.options)

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
            "basis": self.basis,
            "unit": self.metric.unit,
            "by": list(self.by),
            "period": self.period.label,
            "options": {name: _plain(value) for name, value in self.options.items()},
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
    why: str,
    caveat: str = "",
    uses: Sequence[tuple[str, ...]] = (),
    options: Mapping[str, str] | None = None,
    repeats: Sequence[str] = (),
    stock: bool = False,
    spans: bool = False,
    bases: Mapping[tuple[str, Any], str] | None = None,
) -> Callable[[Compute], Compute]:
    """Register a function (book, by, period, **options) -> table as a metric under its own name.

    The arguments are those of `Metric`; `options` says of each option of the function what it changes. Raises
    UsageError where the name is taken.
    """

    def register(compute: Compute) -> Compute:
        name = compute.__name__
        if name in METRICS:
            raise UsageError("There is a metric {name!r} already. Give yours another name.", name=name)
        METRICS[name] = Metric(
            name,
            title,
            definition,
            basis,
            interval,
            caveat,
            unit,
            tuple(needs),
            tuple(by),
            compute,
            rows,
            why,
            tuple(uses),
            dict(options or {}),
            tuple(repeats),
            stock,
            spans,
            dict(bases or {}),
        )
        return compute

    return register


def find_metric(name: str) -> Metric:
    """Raises UsageError with the nearest name."""
    if name not in METRICS:
        raise UsageError(
            "There is no metric {name!r}.{hint} Metrics: {metrics}.",
            name=name,
            hint=suggestion(name, METRICS),
            metrics=commas(sorted(METRICS)),
        )
    return METRICS[name]


def measure(
    book: Book, name: str, by: str | Sequence[str] | None = None, period: str | Period | None = None, **options: Any
) -> Measure:
    """Compute one metric. A metric that these tables cannot answer is *unavailable, because …*, never a guess.

    Raises UsageError for a metric, group or option that does not exist.
    """
    found = find_metric(name)
    check_names(name, found.options, options)
    groups = (
        parse_by(by) if by is not None else tuple(g for g in found.by if g in (*PEOPLE, *UNITS) or book.has("deals", g))
    )
    span = as_period(book, period)
    reason = found.missing(book)
    if reason is None:
        try:
            table = found.compute(book, by=groups, period=span, **options)
            return Measure(found, groups, span, table, options=options)
        except Unavailable as unavailable:
            reason = unavailable
    return Measure(found, groups, span, None, reason, options)


def counted_rows(book: Book, name: str, period: str | Period | None = None, **options: Any) -> pd.DataFrame:
    """The records a metric counts: as many rows as its table counts (`Metric.counted`). Raises Unavailable.

    Options that change the figure but not what is counted are of no matter here.
    """
    found = find_metric(name)
    check_names(name, found.options, options)
    reason = found.missing(book)
    if reason is not None:
        raise reason
    return found.rows(book, period=as_period(book, period), **accepted(found.rows, options))


def as_period(book: Book, period: str | Period | None) -> Period:
    """A period as people write it ("2026Q3"), or one already read. Nothing: everything up to as_of."""
    return period if isinstance(period, Period) else parse_period(period, book.process, book.as_of_on.date())


def is_everything(book: Book, period: Period) -> bool:
    """Whether the period leaves nothing of the book out."""
    return period.start_on is None and period.end_on >= book.as_of_on.date()


def in_period(book: Book, period: str | Period | None, days: pd.Series) -> pd.Series:
    """Whether each day lies in the period. What has no date belongs to no period but to the whole."""
    span = as_period(book, period)
    if is_everything(book, span) and not days.max() > pd.Timestamp(span.end_on):
        return pd.Series(True, days.index)
    inside = pd.Series(span.contains(days), days.index)
    return inside | days.isna() if is_everything(book, span) else inside


def only(rows: pd.DataFrame, kept: pd.Series) -> pd.DataFrame:
    """The rows that are kept; where that is all of them, nothing is copied."""
    return rows.copy(deep=False) if bool(kept.all()) else rows[kept]
