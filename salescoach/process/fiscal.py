"""The first days of fiscal years, quarters and months."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from itertools import accumulate

from salescoach.errors import Sentence, UsageError
from salescoach.process.company_calendar import FiscalYear

_WEEKS = {"4-4-5": (4, 4, 5), "4-5-4": (4, 5, 4), "5-4-4": (5, 4, 4)}


def year_start(fiscal: FiscalYear, year: int) -> date:
    """The first day of the fiscal year labelled `year`.

    >>> year_start(FiscalYear(start_month=4, label="end"), 2027)
    datetime.date(2026, 4, 1)

    Raises UsageError for a year that a listed calendar does not hold.
    """
    if fiscal.starts:
        return fiscal.starts[_place(fiscal, year, years_beyond=1)]
    if fiscal.start_month is None:
        return _year_end(fiscal, _ending_year(fiscal, year) - 1) + timedelta(days=1)
    back = int(fiscal.label == "end" and fiscal.start_month > 1)
    return date(year - back, fiscal.start_month, 1)


def month_starts(fiscal: FiscalYear, year: int) -> list[date]:
    """The first days of the twelve fiscal months; a 53rd week belongs to the twelfth."""
    if fiscal.starts:
        place = _place(fiscal, year)
        return list(fiscal.starts[place : place + 12])
    first = year_start(fiscal, year)
    if fiscal.pattern is None:
        months = range(first.month - 1, first.month + 11)
        return [date(first.year + month // 12, month % 12 + 1, 1) for month in months]
    weeks = accumulate((0, *_WEEKS[fiscal.pattern] * 4))
    return [first + timedelta(weeks=count) for count in weeks][:12]


def fiscal_span(
    fiscal: FiscalYear, year: int, quarter: int | None = None, month: int | None = None
) -> tuple[date, date]:
    """First and last day of a fiscal year, or of one of its quarters (1..4) or months (1..12)."""
    starts = [*month_starts(fiscal, year), year_start(fiscal, year + 1)]
    if quarter is not None:
        first, after = 3 * quarter - 3, 3 * quarter
    elif month is not None:
        first, after = month - 1, month
    else:
        first, after = 0, 12
    return starts[first], starts[after] - timedelta(days=1)


def known_years(fiscal: FiscalYear) -> range | None:
    """The years that a listed calendar holds; None where years follow a rule."""
    if fiscal.first_year is None:
        return None
    return range(fiscal.first_year, fiscal.first_year + len(fiscal.starts) // 12)


def check_listed(fiscal: FiscalYear, first: date, last: date) -> None:
    """Raise UsageError where a listed calendar does not hold these days."""
    if fiscal.starts and not (fiscal.starts[0] <= first and last < fiscal.starts[-1]):
        outside = first if first < fiscal.starts[0] else last
        raise UsageError(
            "{outside} lies outside the fiscal years listed in the process file. {known}",
            outside=outside,
            known=_listed(fiscal),
        )


def _place(fiscal: FiscalYear, year: int, years_beyond: int = 0) -> int:
    place = 12 * (year - (fiscal.first_year or 0))
    if not 0 <= place < len(fiscal.starts) - 1 + years_beyond:
        raise UsageError(
            "FY{year:04d} is not among the fiscal years listed in the process file. {known}",
            year=year,
            known=_listed(fiscal),
        )
    return place


def _listed(fiscal: FiscalYear) -> str:
    end = fiscal.starts[-1] - timedelta(days=1)
    return Sentence(
        "They go from {first} to {end}: add first days to `starts` under fiscal_year.",
        first=fiscal.starts[0],
        end=end,
    )


def _ending_year(fiscal: FiscalYear, year: int) -> int:
    # A year that ends in December starts in the same calendar year, so both labels agree.
    _, _, month = fiscal.year_end
    return year + int(fiscal.label == "start" and month < 12)


def _year_end(fiscal: FiscalYear, year: int) -> date:
    """The day that closes the fiscal year whose last month lies in `year`."""
    which, weekday, month = fiscal.year_end
    month_end = date(year, month, calendar.monthrange(year, month)[1])
    back = (month_end.weekday() - weekday) % 7
    if which == "nearest" and back > 3:
        back -= 7  # the weekday just after the month's end is the nearer one
    return month_end - timedelta(days=back)
