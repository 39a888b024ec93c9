"""Medians of times, and shares won within them, from count tables: survival curves per group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.metrics.estimate import Curve, Incidence, aalen_johansen, kaplan_meier
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


def incidence_of(counts: pd.DataFrame) -> Incidence:
    """The share won by each age in days, losses competing, from a count table with `age`, `ended`, `n` and `won`."""
    ages, position = np.unique(counts["age"].to_numpy(), return_inverse=True)
    n, won = counts["n"].to_numpy(float), counts["won"].to_numpy(float)
    over = counts["ended"].to_numpy(bool)
    wins = np.bincount(position, won, len(ages))
    ends = np.bincount(position[over], n[over], len(ages))
    waiting = np.bincount(position[~over], n[~over], len(ages))
    return aalen_johansen(ladder_days(ages), wins, ends - wins, waiting)


def won_within(counts: pd.DataFrame, keys: Sequence[str], within: Sequence[int]) -> pd.DataFrame:
    """The share won within each number of days per group: Aalen-Johansen, losses competing, open deals censored.

    counts    the keys, `age` (ladder code), `ended`, `n` and `won`

    Returns one row per group and number of days: the keys, within_days, won, lost, undecided, too_young (counts; they
    add up to the deals of the group), value, low, high (null: nobody was followed so long).
    """
    columns = ["within_days", "won", "lost", "undecided", "too_young", "value", "low", "high"]
    whole = dict.fromkeys(columns[:5], "int64")
    if not keys:
        return pd.DataFrame(_within(counts, within), columns=columns).astype(whole)
    names, rows = [], []
    for name, part in counts.groupby(list(keys), dropna=False, sort=True):
        names += [name] * len(within)
        rows += _within(part, within)
    groups = pd.DataFrame(names, columns=list(keys)).astype(counts[list(keys)].dtypes.to_dict())
    return pd.concat([groups, pd.DataFrame(rows, columns=columns).astype(whole)], axis=1)


def _within(counts: pd.DataFrame, within: Sequence[int]) -> list[tuple[float, ...]]:
    curve = incidence_of(counts)
    n = int((curve.events + curve.others + curve.censored).sum())
    rows: list[tuple[float, ...]] = []
    for days in within:
        ended = curve.time <= days
        won, lost = int(curve.events[ended].sum()), int(curve.others[ended].sum())
        known = curve.known(days)
        rows.append((days, won, lost, known - won - lost, n - known, *curve.within(days)))
    return rows


def beside(table: pd.DataFrame, times: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Counts and times of the same groups in one table."""
    if keys:
        return table.merge(times, on=list(keys), how="left", validate="1:1")
    return pd.concat([table.reset_index(drop=True), times], axis=1)
