"""The calendar days in a time zone of many instants at once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = np.ndarray[Any, np.dtype[np.int64]]
NEVER = np.iinfo(np.int64).min  # as numpy writes an instant that there is none
DAY = 86_400_000_000  # microseconds
FIRST, LAST = np.datetime64("1970-01-01", "D"), np.datetime64("2100-01-01", "D")
KNOWN = int((LAST - FIRST).astype(np.int64))  # so many days from the epoch on have their offset in a table


def day_numbers(instants: Whole, timezone: str) -> Whole:
    """The calendar days in `timezone`, counted from the epoch, of instants in microseconds (UTC); any for `NEVER`.

    Where the clock is not put forward or back between the first and the last of them, one offset serves all; else each
    day has its own, and only on the day of such a change every instant is looked at by itself.
    """
    low, high = _ends(instants)
    offsets, turning = _offsets(timezone)
    first, last = low // DAY, high // DAY
    days: Whole
    known = first >= 0 and last < KNOWN
    if known and not turning[first : last + 1].any():
        days = (instants + offsets[first]) // DAY
        return days
    day = np.clip(instants // DAY, 0, KNOWN - 1)
    days = (instants + offsets[day]) // DAY
    single = turning[day] if known else turning[day] | (instants < 0) | (instants >= KNOWN * DAY)
    single &= instants != NEVER
    days[single] = _one_by_one(instants[single], timezone) // DAY
    return days


def local_midnights(instants: Whole, timezone: str) -> NDArray[np.datetime64]:
    """The days of instants as naive midnights; NaT for `NEVER`."""
    days = day_numbers(instants, timezone) * DAY
    days[instants == NEVER] = NEVER
    return days.view("datetime64[us]")


def _ends(instants: Whole) -> tuple[int, int]:
    """The first and the last instant that there is; two of the epoch where there is none."""
    if not len(instants):
        return 0, 0
    low, high = int(instants.min()), int(instants.max())
    if low == NEVER != high:
        low = int(instants.min(where=instants != NEVER, initial=high))
    return (0, 0) if high == NEVER else (low, high)


@cache
def _offsets(timezone: str) -> tuple[Whole, NDArray[np.bool_]]:
    """Local time less UTC at the start of each known day (UTC), and whether it changes within the day.

    No time zone has ever changed its clock twice on one day.
    """
    starts = np.arange(KNOWN + 1, dtype=np.int64) * DAY
    offsets = _one_by_one(starts, timezone) - starts
    return offsets[:-1], offsets[1:] != offsets[:-1]


def _one_by_one(instants: Whole, timezone: str) -> Whole:
    """Local time of instants, both in microseconds."""
    import pandas as pd

    stamps = pd.Series(instants.view("datetime64[us]"), copy=False).dt.tz_localize("UTC").dt.tz_convert(timezone)
    local: Whole = stamps.dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)
    return local
