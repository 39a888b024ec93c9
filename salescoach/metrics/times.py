"""Medians of times from count tables: Kaplan-Meier per group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.metrics.estimate import Curve, kaplan_meier
from salescoach.metrics.ladder import ladder_days


def curve_of(counts: pd.DataFrame, ended: str = "ended") -> Curve:
    """Kaplan-Meier in days from a count table with `age` (ladder code), `n` and a true/false column `ended`."""
    ages, position = np.unique(counts["age"].to_numpy(), return_inverse=True)
    n = counts["n"].to_numpy(float)
    over = counts[ended].to_numpy(bool)
    events = np.bincount(position[over], n[over], len(ages))
    censored = np.bincount(position[~over], n[~over], len(ages))
    return kaplan_meier(ladder_days(ages), events, censored)


def medians(counts: pd.DataFrame, keys: Sequence[str], per_day: float = 1.0) -> pd.DataFrame:
    """The median with its 95 % interval and further quantiles per group, in days × `per_day`; null: not reached.

    Returns the keys, value, low, high, p25, p75, p90.
    """
    columns = ["value", "low", "high", "p25", "p75", "p90"]
    if not keys:
        return pd.DataFrame([_times_of(counts)], columns=columns) * per_day
    groups = counts.groupby(list(keys), dropna=False, sort=True)
    table = pd.DataFrame([_times_of(part) for _, part in groups], columns=columns, dtype="float64") * per_day
    names = groups.size().index.to_frame(index=False)
    return pd.concat([names.astype(counts[list(keys)].dtypes.to_dict()), table], axis=1)


def _times_of(counts: pd.DataFrame) -> tuple[float, ...]:
    curve = curve_of(counts)
    return (*curve.quantile(0.5), *(curve.quantile(p)[0] for p in (0.25, 0.75, 0.90)))


def beside(table: pd.DataFrame, times: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Counts and times of the same groups in one table."""
    if keys:
        return table.merge(times, on=list(keys), how="left", validate="1:1")
    return pd.concat([table.reset_index(drop=True), times], axis=1)
