"""Working days: which days the company works, counted between dates."""

from __future__ import annotations

import warnings
from datetime import date
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from salescoach.process.company_calendar import WEEKDAYS, Calendar
from salescoach.process.model import Process

Days: TypeAlias = NDArray[np.datetime64]


class HolidaysNotAnnounced(UserWarning):
    """Days were counted in years whose holidays nobody has announced yet."""


def as_days(dates: Any) -> Days:
    """Naive local dates or timestamps as datetime64[D], in the shape in which they came.

    Takes a scalar, list, array, index or series; None and NaT become NaT.
    A stamp that carries a time zone is refused: turn it into local time first.
    """
    return as_stamps(dates).astype("datetime64[D]")


def as_stamps(dates: Any) -> NDArray[np.datetime64]:
    """As `as_days`, of any unit: to compare stamps costs a tenth of turning them into days."""
    if getattr(getattr(dates, "dtype", None), "tz", None) is not None:
        raise TypeError("Days are counted on local dates; convert the stamps to naive local time first.")
    values = np.asarray(dates)
    if values.dtype.kind != "M":
        values = _days_of_objects(values)
    return values


def _days_of_objects(values: NDArray[Any]) -> Days:
    import pandas as pd

    if values.dtype.kind != "O" and values.size:
        raise TypeError(f"Expected dates, got values of type {values.dtype}.")
    if any(isinstance(value, str) for value in values.flat):
        raise TypeError("Expected dates, got texts; parse them first.")
    stamps = pd.to_datetime(pd.Series(values.ravel(), dtype=object))
    if stamps.dt.tz is not None:
        raise TypeError("Days are counted on local dates; convert the stamps to naive local time first.")
    return stamps.to_numpy().reshape(values.shape)


def is_working_day(process: Process, dates: Any) -> NDArray[np.bool_]:
    """Whether each local date is a working day; False for NaT. Same shape as `dates`."""
    days = as_days(dates)
    if _nothing_dated(days):
        return np.zeros(days.shape, dtype=bool)
    first, before = _counts(process.calendar, days)
    known = ~np.isnat(days)
    position = np.where(known, (days - first).astype(np.int64), 0)
    works: NDArray[np.bool_] = known & (before[position + 1] > before[position])
    return works


def working_days(process: Process, start: Any, end: Any) -> NDArray[np.float64]:
    """Working days from `start` up to, but not including, `end`: 0 on the same day.

    Local dates of any shapes that broadcast; NaN where either is NaT, negative where
    `end` comes first. Asked on a Friday and answered on Monday is 1 working day;
    asked on Saturday and answered on Monday is 0.
    """
    starts, ends = np.broadcast_arrays(as_days(start), as_days(end))
    both = np.stack([starts, ends])
    if _nothing_dated(both):
        return np.full(starts.shape, np.nan)
    first, before = _counts(process.calendar, both)
    known = ~np.isnat(both)
    counts = before[np.where(known, (both - first).astype(np.int64), 0)]
    return np.where(known.all(axis=0), (counts[1] - counts[0]).astype(np.float64), np.nan)


def working_hours(process: Process, start: Any, end: Any) -> NDArray[np.float64]:
    """Hours of working time from `start` to `end`: the calendar's `hours` of its working days.

    Naive local stamps (numpy datetime64) of any shapes that broadcast; NaN where either is NaT, negative where `end`
    comes first. Without `hours` in the calendar a working day counts from midnight to midnight. With 09:00 to
    18:00, asked on Friday at 17:00 and answered on Monday at 10:00 is 2 hours.
    """
    both = np.stack(np.broadcast_arrays(*(np.asarray(t, dtype="datetime64[us]") for t in (start, end))))
    if _nothing_dated(both):
        return np.full(both.shape[1:], np.nan)
    known = ~np.isnat(both)
    days = both.astype("datetime64[D]")
    first, before = _counts(process.calendar, days)
    place = np.where(known, (days - first).astype(np.int64), 0)
    opens, closes = process.calendar.open_minutes
    minutes = np.where(known, (both - days).astype(np.int64), 0) / 60e6
    today = (before[place + 1] - before[place]) * np.clip(minutes - opens, 0, closes - opens)
    hours = (before[place] * (closes - opens) + today) / 60
    return np.where(known.all(axis=0), hours[1] - hours[0], np.nan)


@lru_cache(maxsize=16)
def announced_until(calendar: Calendar) -> int | None:
    """The last year whose holidays are known, or None where they need no announcement.

    Countries that move working days to weekends decide so year by year; elsewhere the
    holidays follow rules.
    """
    if calendar.holidays is None:
        return None
    if _is_file(calendar):
        return max((day.year for day in (*calendar.days_off, *calendar.days_on)), default=None)
    years = _package_days(calendar.holidays, 2020, 2020)
    special: dict[Any, Any] = getattr(years, "special_public_holidays", {})
    moved = [year for year, entries in special.items() if isinstance(year, int) and _moves_days(entries)]
    return max(moved, default=None)


def _moves_days(entries: Any) -> bool:
    # (month, day, month, day): off on the first date, because the second is worked instead.
    rows = entries if entries and isinstance(entries[0], tuple) else (entries,)
    return any(len(row) >= 4 and all(isinstance(part, int) for part in row) for row in rows)


def _nothing_dated(days: Days) -> bool:
    return bool(np.isnat(days).all())


def _counts(calendar: Calendar, days: Days) -> tuple[np.datetime64, NDArray[np.int64]]:
    """The first day of a table that covers `days`, and the table: working days before each day."""
    dated = days[~np.isnat(days)]
    first_year, last_year = dated.min().astype(date).year, dated.max().astype(date).year
    _warn_beyond(calendar, last_year)
    return np.datetime64(f"{first_year:04d}-01-01", "D"), _table(calendar, first_year, last_year)


def _warn_beyond(calendar: Calendar, last_year: int) -> None:
    known = announced_until(calendar)
    if known is not None and last_year > known:
        warnings.warn(
            f"The holidays of {calendar.holidays!r} are known up to {known}, but days were counted"
            f" in {last_year}. Working days after that may be off by the days"
            " that are moved or still to be announced."
            " Update the `holidays` package, or list the days in a CSV of date,kind and name it under"
            " `holidays` in the process file.",
            HolidaysNotAnnounced,
            stacklevel=4,
        )


@lru_cache(maxsize=16)
def _table(calendar: Calendar, first_year: int, last_year: int) -> NDArray[np.int64]:
    """Working days before each day, from 1 January of the first year to the day after the last."""
    first = np.datetime64(f"{first_year:04d}-01-01", "D")
    days = np.arange(first, np.datetime64(f"{last_year + 1:04d}-01-01", "D"))
    # 1970-01-01 was a Thursday, the fourth day of the week.
    weekday = (days.astype(np.int64) + 3) % 7
    works = np.isin(weekday, [WEEKDAYS.index(day) for day in calendar.workdays])
    off, on = _exceptions(calendar, first_year, last_year)
    for dates, working in ((off, False), (on, True), (calendar.days_off, False), (calendar.days_on, True)):
        works[np.isin(days, np.array(sorted(dates), dtype="datetime64[D]"))] = working
    before = np.concatenate([[0], np.cumsum(works, dtype=np.int64)])
    before.setflags(write=False)
    return before


def _exceptions(calendar: Calendar, first_year: int, last_year: int) -> tuple[set[date], set[date]]:
    """Holidays, and weekend days that are worked to make up for them."""
    if calendar.holidays is None or _is_file(calendar):
        return set(), set()
    # A New Year's bridge day is made up for in the December before, so one more year is read.
    found = _package_days(calendar.holidays, first_year, last_year + 1)
    return set(found), set(getattr(found, "weekend_workdays", ()))


def _package_days(code: str, first_year: int, last_year: int) -> Any:
    import holidays

    country, _, part = code.partition("-")
    return holidays.country_holidays(country, subdiv=part or None, years=range(first_year, last_year + 1))


def _is_file(calendar: Calendar) -> bool:
    return (calendar.holidays or "").casefold().endswith(".csv")
