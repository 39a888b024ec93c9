"""Stamps of the simulated world: whole local seconds, on workdays, in office hours."""

from __future__ import annotations

import zlib
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salescoach.sample.truth import LAST_DAY, ZONE

Seconds: TypeAlias = NDArray[np.int64]
"""Local seconds since 1970-01-01 00:00, as if the zone had no offset."""

Numbers: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Positions: TypeAlias = NDArray[np.int64]

DAY = 86_400
HOUR = 3_600
OFFICE_OPENS = 9 * HOUR
OFFICE_HOURS = 9 * HOUR + HOUR // 2
NEVER = np.iinfo(np.int64).max

SPRING_FESTIVALS = ("2024-02-10", "2025-01-29", "2026-02-17", "2023-01-22", "2022-02-01", "2021-02-12")


def stream(seed: int, part: str) -> np.random.Generator:
    """A generator of its own for each part, so that a change in one part leaves the others as they were."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(part.encode())]))


def local_seconds(date: str) -> int:
    """Local seconds at midnight of an ISO date."""
    return int(np.datetime64(date, "s").astype(np.int64))


def window(months: int) -> tuple[int, int]:
    """First and last local second of a book of `months` months that ends on the last day of the sample."""
    end = pd.Timestamp(LAST_DAY) + pd.Timedelta(days=1)
    start = end - pd.DateOffset(months=months)
    return local_seconds(str(start.date())), local_seconds(str(end.date())) - 1


def iso_date(seconds: int) -> str:
    """The ISO date of a local second."""
    return str(np.datetime64(seconds // DAY, "D"))


def instants(seconds: Seconds) -> pd.Series:
    """UTC instants of local seconds; `NEVER` becomes a blank."""
    local = pd.Series(pd.to_datetime(np.where(seconds == NEVER, 0, seconds), unit="s"))
    return local.dt.as_unit("us").dt.tz_localize(ZONE).dt.tz_convert("UTC").mask(pd.Series(seconds == NEVER))


def dates(seconds: Seconds) -> pd.Series:
    """Calendar dates (naive midnights) of local seconds; `NEVER` becomes a blank."""
    days = pd.Series(pd.to_datetime(np.where(seconds == NEVER, 0, seconds // DAY * DAY), unit="s"))
    return days.dt.as_unit("us").mask(pd.Series(seconds == NEVER))


def weekday(seconds: Seconds) -> Positions:
    """Day of the week, Monday is 0."""
    # 1970-01-01 was a Thursday
    day: Positions = (seconds // DAY + 3) % 7
    return day


def to_workday(seconds: Seconds) -> Seconds:
    """The same time of day, moved from a weekend to the next Monday."""
    day = weekday(seconds)
    moved: Seconds = seconds + np.where(day >= 5, 7 - day, 0) * DAY
    return moved


def at_office(midnight: Seconds, luck: Numbers) -> Seconds:
    """An office time on the given day; `luck` in 0..1 picks it."""
    return midnight // DAY * DAY + OFFICE_OPENS + (luck * OFFICE_HOURS).astype(np.int64)


def after(entered: Seconds, days: Numbers, luck: Numbers) -> Seconds:
    """Stamps about `days` later, on a workday in office hours, never less than ten minutes later."""
    midnight = to_workday(entered + (days * DAY).astype(np.int64)) // DAY * DAY
    same_day = entered + 600 + (luck * 2 * HOUR).astype(np.int64)
    return np.where(midnight <= entered, same_day, at_office(midnight, luck))


def days_between(first: Seconds, last: Seconds) -> Positions:
    """Calendar days from one stamp to another."""
    return last // DAY - first // DAY


def near_festival(seconds: Seconds) -> Flags:
    """Whether a stamp lies within two weeks of Spring Festival."""
    near = np.zeros(len(seconds), dtype=bool)
    for date in SPRING_FESTIVALS:
        near |= np.abs(seconds // DAY - local_seconds(date) // DAY) <= 14
    return near


def quarter_end(seconds: Seconds) -> Seconds:
    """Midnight of the last day of the calendar quarter that holds each stamp."""
    months = (seconds // DAY).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    next_quarter = ((months // 3 + 1) * 3).astype("datetime64[M]").astype("datetime64[D]")
    return (next_quarter.astype(np.int64) - 1) * DAY


def month_of_year(seconds: Seconds) -> Positions:
    """Calendar month, January is 0."""
    return (seconds // DAY).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
