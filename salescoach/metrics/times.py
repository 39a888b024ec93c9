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
    """One row per group: value, low, high (median with its 95 % interval), p25, p75, p90; in days × `per_day`. Null: not reached."""
    groups = counts.groupby(list(keys), dropna=False, sort=True) if keys else [((), counts)]
    rows = []
    for key, part in groups:
        curve = curve_of(part)
        median, low, high = curve.quantile(0.5)
        others = {f"p{p}": curve.quantile(p / 100)[0] * per_day for p in (25, 75, 90)}
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "value": median * per_day,
                "low": low * per_day,
                "high": high * per_day,
                **others,
            }
        )
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "p25", "p75", "p90"])
