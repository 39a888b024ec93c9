"""Ages on one ladder: minutes below two hours, hours below two days, then calendar days.

One small integer per age, so that a count table stays small and a response in minutes is still told from one in hours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.process import NEVER, day_numbers

Codes = np.ndarray[Any, np.dtype[np.int64]]
Days = np.ndarray[Any, np.dtype[np.float64]]
MINUTES = 120  # codes 0..119 are minutes
FIRST_HOUR = 2  # codes 120..165 are the hours 2..47
FIRST_DAY_CODE = 166  # code 166 is two days
NO_AGE = -1
MINUTE = 60_000_000  # microseconds


def ladder_codes(start: pd.Series, end: pd.Series, timezone: str, by_day_only: bool = False) -> Codes:
    """Codes of the ages from `start` to `end` (UTC instants); NO_AGE where either is missing or `end` is the earlier.

    Days are differences of calendar days in `timezone`. With `by_day_only` the stamps have no time of day.
    A negative age is an error in the data, so it is no age at all.
    """
    return ages(_microseconds(start), _microseconds(end), timezone, by_day_only).astype(np.int64)


def ages(start: Codes, end: Codes, timezone: str, by_day_only: bool = False) -> np.ndarray[Any, np.dtype[np.int32]]:
    """As `ladder_codes`, of instants in microseconds since the epoch (UTC), `NEVER` where there is none."""
    days = day_numbers(end, timezone) - day_numbers(start, timezone)
    span = end - start
    if by_day_only:
        codes = np.where(days == 0, 0, np.where(days == 1, day_code(1), FIRST_DAY_CODE - 2 + days))
        codes[days < 0] = NO_AGE
    else:
        codes = FIRST_DAY_CODE - 2 + np.maximum(days, 2)
        short = np.flatnonzero(span < 48 * 60 * MINUTE)
        minutes = span[short] // MINUTE
        hours = minutes // 60
        codes[short] = np.where(
            minutes < 0, NO_AGE, np.where(hours < FIRST_HOUR, minutes, MINUTES - FIRST_HOUR + hours)
        )
    codes[(start == NEVER) | (end == NEVER)] = NO_AGE
    return codes.astype(np.int32)


def day_code(days: int) -> int:
    """The code of a whole number of days."""
    return 0 if days == 0 else MINUTES - FIRST_HOUR + 24 if days == 1 else FIRST_DAY_CODE - 2 + days


def ladder_days(codes: Codes) -> Days:
    """Ages in days."""
    codes = np.asarray(codes)
    hours = (codes - MINUTES + FIRST_HOUR) / 24.0
    return np.where(
        codes < MINUTES, codes / 1440.0, np.where(codes < FIRST_DAY_CODE, hours, codes - FIRST_DAY_CODE + 2.0)
    )


def _microseconds(instants: pd.Series) -> Codes:
    """Since the epoch; `NEVER` where there is none."""
    return instants.to_numpy("datetime64[us]").view(np.int64)
