"""A value with its interval drawn under its figure: dot, line and bar, on one scale for the whole column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from salescoach.reports.fields import Field

ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
LONGEST_LINE = 2.5  # of the largest value: one wide interval must not squeeze all the others
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Gauge:
    """Places on the scale in percent of its length.

    cut      the interval runs on beyond the scale, or has no end there
    signed   zero lies within the scale
    usual    of others, where that is known
    """

    zero: float
    value: float
    low: float
    high: float
    cut: bool
    signed: bool
    usual: float | None = None


@dataclass(frozen=True)
class Scale:
    """From `start` (0 or below) to `end`."""

    start: float
    end: float

    def gauge(self, value: float, low: float, high: float, usual: float = math.nan) -> Gauge:
        """One row's value and interval; an end that is not known is that of the scale."""
        low, high = (-math.inf if low != low else low), (math.inf if high != high else high)
        cut = low < self.start or high > self.end
        zero, dot, start, end = (self._place(at) for at in (0.0, value, low, high))
        return Gauge(zero, dot, start, end, cut, self.start < 0, None if usual != usual else self._place(usual))

    def _place(self, at: float) -> float:
        inside = min(max(at, self.start), self.end)
        return round(100 * (inside - self.start) / (self.end - self.start), 1)


def scale_of(table: pd.DataFrame, field: Field) -> Scale | None:
    """The scale of a column with an interval; None where nothing can be drawn on one."""
    if not field.low or not field.high or not {field.column, field.low, field.high} <= set(table):
        return None
    one_money = "currency" not in table or table["currency"].nunique() < 2
    if field.kind == "money" and not one_money:
        return None
    value = [v for v in table[field.column].astype("float64") if math.isfinite(v)]
    ends = [v for c in (field.low, field.high) for v in table[c].astype("float64") if math.isfinite(v)]
    if not value or not ends:
        return None
    longest = LONGEST_LINE * max(abs(v) for v in value)
    end = _up_to([*value, *(e for e in ends if e > 0)], longest, field.kind)
    start = -_up_to([-v for v in (*value, *ends) if v < 0], longest, field.kind)
    return Scale(start, end) if end > start else None


def _up_to(values: Iterable[float], longest: float, kind: str) -> float:
    """The round number to which a scale goes: no further than the longest line, if the values are above zero."""
    most = max(values, default=0.0)
    if most <= 0:
        return 0.0
    if kind in ("share", "fine_share") and most <= 1:
        return next(s for s in SHARES if s >= most)
    most = min(most, longest) or most
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in ROUND if step * power >= most * (1 - 1e-9))
