"""Count tables: additive tables of whole numbers from which every figure is finished.

They add over reps, periods, files and machines: the table of a team is the sum of its reps' tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

Numbers = np.ndarray[Any, np.dtype[Any]]
MONEY = ("amount_minor", "n_amount", "amount2")
LARGEST = 2**62


def count_table(
    units: pd.DataFrame,
    keys: Sequence[str],
    money: str | None = None,
    sums: Mapping[str, pd.Series] | None = None,
) -> pd.DataFrame:
    """Count the rows of `units` per distinct combination of `keys` (blanks form a group of their own).

    Returns the keys, `n`, each of `sums` (name -> 0/1 or whole-number column) and, with `money` (a column of minor
    units), `amount_minor` (exact), `n_amount` (rows with an amount) and `amount2` (sum of their squares, float).
    Without keys the table is one row, also where there is nothing to count.
    One int64 key is built from the columns' codes, so the cost is one sort of one column.
    """
    keys = list(dict.fromkeys(keys))
    code, size = np.zeros(len(units), dtype=np.int64), 1
    for key in keys:
        codes, values = pd.factorize(units[key], sort=True, use_na_sentinel=False)
        if size * max(len(values), 1) > LARGEST:
            present, code = np.unique(code, return_inverse=True)
            size = len(present)
        code = code * max(len(values), 1) + codes
        size *= max(len(values), 1)
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.array([], dtype=np.int64)
    frame = units[keys].iloc[order[starts]].reset_index(drop=True) if keys else pd.DataFrame(index=[0])
    frame["n"] = np.diff(np.r_[starts, len(ordered)]) if len(starts) else np.zeros(len(frame), dtype=np.int64)
    for name, column in (sums or {}).items():
        frame[name] = _sum(column.to_numpy(np.int64), order, starts, len(frame))
    if money is not None:
        minor = units[money].fillna(0).to_numpy(np.int64)
        frame["amount_minor"] = _sum(minor, order, starts, len(frame))
        frame["n_amount"] = _sum(units[money].notna().to_numpy(np.int64), order, starts, len(frame))
        frame["amount2"] = _sum(minor.astype(np.float64) ** 2, order, starts, len(frame))
    return frame


def _sum(values: Numbers, order: Numbers, starts: Numbers, rows: int) -> Numbers:
    return np.add.reduceat(values[order], starts) if len(starts) else np.zeros(rows, dtype=values.dtype)


def add_up(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The same counts with fewer keys."""
    numbers = [c for c in table.columns if c not in keys and pd.api.types.is_numeric_dtype(table[c])]
    if not keys:
        return table[numbers].sum().to_frame().T.astype({c: table[c].dtype for c in numbers})
    return table.groupby(list(keys), dropna=False, sort=True, as_index=False)[numbers].sum()
