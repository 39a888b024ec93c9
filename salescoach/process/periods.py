"""Periods: spans of local calendar dates, from a text or from the dates themselves."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from salescoach.errors import UsageError, commas, suggestion
from salescoach.process.calendar import Days, as_days, as_stamps
from salescoach.process.fields import as_calendar_date, fold_name
from salescoach.process.fiscal import check_listed, fiscal_span, known_years, month_starts, year_start
from salescoach.process.model import Process

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["week", "month", "quarter", "year", "fiscal_month", "fiscal_quarter", "fiscal_year"]
Span: TypeAlias = tuple[date, date]

UNDATED = "(undated)"
EXAMPLES = (
    "2026Q3",
    "2026-09",
    "2026",
    "2026W05",
    "2026-01..2026-06",
    "2026-01-15..2026-02-03",
    "last 90 days",
    "last 4 weeks",
    "FY2026Q3",
    "FY2026",
)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A span of local calendar dates, both ends included; without a start it reaches back for ever."""

    label: str
    start_on: date | None
    end_on: date

    @property
    def days(self) -> int | None:
        """Calendar days from the first to the last, both counted; None without a start."""
        return None if self.start_on is None else (self.end_on - self.start_on).days + 1

    def contains(self, dates: Any) -> NDArray[np.bool_]:
        """Whether each naive local date or timestamp lies in the period; False for NaT.

        Takes a scalar, array, index or series and returns an array of its shape.
        A stamp at any hour of the last day is inside.
        """
        stamps = as_stamps(dates)
        if stamps.dtype == "datetime64[ns]":
            stamps = stamps.astype("datetime64[us]")  # nanoseconds end before the year 2263
        inside = stamps < np.datetime64(self.end_on, "D") + np.timedelta64(1, "D")
        if self.start_on is not None:
            inside &= stamps >= np.datetime64(self.start_on, "D")
        return np.asarray(inside, dtype=bool)


def parse_day(written: str | date, option: str) -> date:
    """A day written as 2026-09-30. Raises UsageError naming `option` for any other spelling, which could be misread."""
    if isinstance(written, date):
        return written
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", written):
        try:
            return date.fromisoformat(written)
        except ValueError:
            pass
    raise UsageError(
        "{option}: {written!r} is no day. Write it as year-month-day, such as 2026-09-30.",
        option=option,
        written=written,
    )


def parse_period(text: str | None, process: Process, as_of_on: date) -> Period:
    """The period a person wrote; nothing written means everything up to `as_of_on`.

    Calendar periods need no process; `FY…` follows its fiscal year, `last … days` ends on `as_of_on`.

    >>> parse_period("last 90 days", process, date(2026, 9, 30)).start_on  # doctest: +SKIP
    datetime.date(2026, 7, 3)
    """
    as_of = as_calendar_date(as_of_on)
    if as_of is None:
        raise UsageError("A period needs the date up to which the data reaches; give it as a date.")
    wanted = fold_name(text or "")
    try:
        read = _range if ".." in wanted or not wanted else _single
        period = read(wanted, process, as_of)
    except (ValueError, OverflowError):
        period = None  # a month 13, a 30 February, a year 0
    if period is None:
        raise UsageError(
            "{text!r} is not a period. Write one of: {examples}; or leave it empty for everything up to {as_of}.",
            text=text,
            examples=commas(EXAMPLES),
            as_of=as_of,
        )
    if period.start_on is not None and period.start_on > period.end_on:
        raise UsageError(
            "The period {text!r} ends on {end_on}, before it starts on {start_on}. Exchange the two.",
            text=text,
            end_on=period.end_on,
            start_on=period.start_on,
        )
    return period


def previous_period(period: Period, process: Process | None = None) -> Period | None:
    """The period of the same kind just before; None if this one has no start.

    Whole months go back by as many months, everything else by as many days.
    A fiscal year in weeks (52 or 53 of them) needs the process to be counted back.
    """
    if period.start_on is None:
        return None
    label = _label_before(period.label)
    if label is not None and label.startswith("FY") and process is not None:
        return parse_period(label, process, period.end_on)
    end = period.start_on - _DAY
    # The last 28 days may happen to be February, but the 28 days before them are not January.
    months = 0 if period.label.startswith("last") else _whole_months(period.start_on, period.end_on)
    if label is not None and label.startswith("FY") and not months:
        raise UsageError(
            "What comes before {label} depends on the fiscal year; pass the process too.", label=period.label
        )
    if months:
        start = _months_later(period.start_on, -months)
        return Period(label or f"{start:%Y-%m}..{end:%Y-%m}", start, end)
    start = end - (period.end_on - period.start_on)
    return Period(label or f"{start}..{end}", start, end)


def period_of(dates: Any, unit: Unit, process: Process) -> pd.Series[Any]:
    """The label of the period each naive local date lies in; NaT becomes "(undated)".

    `unit` is week (ISO), month, quarter, year, fiscal_month, fiscal_quarter or
    fiscal_year. Returns an ordered categorical series in the order of time with
    "(undated)" last; a series keeps its index. Only labels that occur are categories.

    >>> period_of(np.array(["2026-09-30"], "datetime64[D]"), "quarter", process).tolist()  # doctest: +SKIP
    ['2026Q3']
    """
    import pandas as pd

    if unit not in get_args(Unit):
        units = get_args(Unit)
        raise UsageError(
            "{unit!r} is not a unit of time.{hint} Use {units}.",
            unit=unit,
            hint=suggestion(unit, units),
            units=commas(units),
        )
    days = as_days(dates).ravel()
    starts, labels = _grid(days, unit, process)
    codes = np.searchsorted(starts, days, side="right") - 1
    codes[np.isnat(days)] = len(labels)
    used, codes = np.unique(codes, return_inverse=True)
    categories = [[*labels, UNDATED][code] for code in used]
    values = pd.Categorical.from_codes(codes.astype(np.int64), categories=pd.Index(categories, dtype=str), ordered=True)
    return pd.Series(values, index=dates.index if isinstance(dates, pd.Series) else None)


def _grid(days: Days, unit: Unit, process: Process) -> tuple[Days, list[str]]:
    """First days and labels of every period of that unit around the dates."""
    dated = days[~np.isnat(days)]
    if not dated.size:
        return np.array([], dtype="datetime64[D]"), []
    # One year more on each side: fiscal and ISO years do not begin on 1 January.
    first, last = dated.min().astype(date).year - 1, dated.max().astype(date).year + 1
    years = range(max(first, 1), min(last, 9998) + 1)
    listed = known_years(process.calendar.fiscal_year) if unit.startswith("fiscal") else None
    if listed is not None:
        check_listed(process.calendar.fiscal_year, dated.min().astype(date), dated.max().astype(date))
        years = range(max(first - 1, listed.start), min(last + 2, listed.stop))
    cells = [cell for year in years for cell in _CELLS[unit](year, process)]
    return np.array([start for start, _ in cells], dtype="datetime64[D]"), [label for _, label in cells]


Cells: TypeAlias = Iterator[tuple[date, str]]


def _weeks(year: int, process: Process) -> Cells:
    start, after = date.fromisocalendar(year, 1, 1), date.fromisocalendar(year + 1, 1, 1)
    for week in range((after - start).days // 7):
        yield start + timedelta(weeks=week), f"{year:04d}W{week + 1:02d}"


def _months(year: int, process: Process) -> Cells:
    for month in range(1, 13):
        yield date(year, month, 1), f"{year:04d}-{month:02d}"


def _quarters(year: int, process: Process) -> Cells:
    for quarter in range(1, 5):
        yield date(year, 3 * quarter - 2, 1), f"{year:04d}Q{quarter}"


def _years(year: int, process: Process) -> Cells:
    yield date(year, 1, 1), f"{year:04d}"


def _fiscal_months(year: int, process: Process) -> Cells:
    for number, start in enumerate(month_starts(process.calendar.fiscal_year, year), start=1):
        yield start, f"FY{year:04d}M{number:02d}"


def _fiscal_quarters(year: int, process: Process) -> Cells:
    for number, start in enumerate(month_starts(process.calendar.fiscal_year, year)[::3], start=1):
        yield start, f"FY{year:04d}Q{number}"


def _fiscal_years(year: int, process: Process) -> Cells:
    yield year_start(process.calendar.fiscal_year, year), f"FY{year:04d}"


_CELLS: dict[str, Callable[[int, Process], Cells]] = {
    "week": _weeks,
    "month": _months,
    "quarter": _quarters,
    "year": _years,
    "fiscal_month": _fiscal_months,
    "fiscal_quarter": _fiscal_quarters,
    "fiscal_year": _fiscal_years,
}


def _range(wanted: str, process: Process, as_of: date) -> Period | None:
    """`A..B`; an open start reaches back for ever, an open end goes up to `as_of`."""
    before, _, after = (part.strip() for part in wanted.partition(".."))
    start = _single(before, process, as_of) if before else None
    end = _single(after, process, as_of) if after else Period(str(as_of), as_of, as_of)
    if (before and start is None) or end is None:
        return None
    if start is None:
        return Period(f"..{end.label}", None, end.end_on)
    return Period(f"{start.label}..{end.label}", start.start_on, end.end_on)


def _single(wanted: str, process: Process, as_of: date) -> Period | None:
    last = re.fullmatch(r"last (\d+) (day|week)s?", wanted)
    if last:
        count = int(last[1]) * (7 if last[2] == "week" else 1)
        start = as_of - timedelta(days=count - 1)
        return Period(wanted, start, as_of) if count else None
    for pattern, label, span in _FORMS:
        found = re.fullmatch(pattern, wanted)
        if found:
            numbers = [int(group) for group in found.groups()]
            return Period(label.format(*numbers), *span(process, *numbers))
    return None


def _year_span(process: Process, year: int) -> Span:
    return date(year, 1, 1), date(year, 12, 31)


def _quarter_span(process: Process, year: int, quarter: int) -> Span:
    return date(year, 3 * quarter - 2, 1), _month_end(date(year, 3 * quarter, 1))


def _month_span(process: Process, year: int, month: int) -> Span:
    return date(year, month, 1), _month_end(date(year, month, 1))


def _week_span(process: Process, year: int, week: int) -> Span:
    return date.fromisocalendar(year, week, 1), date.fromisocalendar(year, week, 7)


def _day_span(process: Process, year: int, month: int, day: int) -> Span:
    return date(year, month, day), date(year, month, day)


def _fiscal_year_span(process: Process, year: int) -> Span:
    return fiscal_span(process.calendar.fiscal_year, year)


def _fiscal_quarter_span(process: Process, year: int, quarter: int) -> Span:
    return fiscal_span(process.calendar.fiscal_year, year, quarter=quarter)


def _fiscal_month_span(process: Process, year: int, month: int) -> Span:
    return fiscal_span(process.calendar.fiscal_year, year, month=month)


_FORMS: tuple[tuple[str, str, Callable[..., Span]], ...] = (
    (r"(\d{4})", "{:04d}", _year_span),
    (r"(\d{4})[- ]?q([1-4])", "{:04d}Q{}", _quarter_span),
    (r"(\d{4})-(\d{2})", "{:04d}-{:02d}", _month_span),
    (r"(\d{4})-?w(\d{2})", "{:04d}W{:02d}", _week_span),
    (r"(\d{4})-(\d{2})-(\d{2})", "{:04d}-{:02d}-{:02d}", _day_span),
    (r"fy ?(\d{4})", "FY{:04d}", _fiscal_year_span),
    (r"fy ?(\d{4})[- ]?q([1-4])", "FY{:04d}Q{}", _fiscal_quarter_span),
    (r"fy ?(\d{4})[- ]?m(0[1-9]|1[0-2])", "FY{:04d}M{:02d}", _fiscal_month_span),
)


def _month_end(first: date) -> date:
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])


def _months_later(first: date, months: int) -> date:
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _whole_months(start: date, end: date) -> int:
    """How many whole calendar months the span is, 0 if it is not made of whole months."""
    if start.day != 1 or _month_end(end.replace(day=1)) != end:
        return 0
    return (end.year - start.year) * 12 + end.month - start.month + 1


_STEPS = (
    (r"((?:FY)?)(\d{4})()", "{}{:04d}", 0),
    (r"((?:FY)?)(\d{4})Q(\d)", "{}{:04d}Q{}", 4),
    (r"(FY)(\d{4})M(\d\d)", "{}{:04d}M{:02d}", 12),
    (r"()(\d{4})-(\d\d)", "{}{:04d}-{:02d}", 12),
)


def _label_before(label: str) -> str | None:
    """`2026Q1` -> `2025Q4`; None for weeks, ranges and "last …", which are named by their dates."""
    for pattern, form, per_year in _STEPS:
        found = re.fullmatch(pattern, label)
        if not found:
            continue
        year, number = int(found[2]), int(found[3] or 1) - 1
        if not per_year:
            return form.format(found[1], year - 1)
        year, number = (year, number) if number else (year - 1, per_year)
        return form.format(found[1], year, number)
    return _week_before(label)


def _week_before(label: str) -> str | None:
    found = re.fullmatch(r"(\d{4})W(\d\d)", label)
    if not found:
        return None
    monday = date.fromisocalendar(int(found[1]), int(found[2]), 1) - timedelta(weeks=1)
    year, week, _ = monday.isocalendar()
    return f"{year:04d}W{week:02d}"
