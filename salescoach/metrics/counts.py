"""Count tables: additive tables of whole numbers from which every figure is finished.

They add over reps, periods, files and machines: the table of a team is the sum of its reps' tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

MONEY = ("amount_minor", "n_amount", "amount2")


def count_table(units: pd.DataFrame, keys: Sequence[str], money: str | None = None,
                sums: Mapping[str, pd.Series] | None = None) -> pd.DataFrame:
    """Count the rows of `units` per distinct combination of `keys` (blanks form a group of their own).

    Returns the keys, `n`, each of `sums` (name -> 0/1 or whole-number column) and, with `money` (a column of minor units),
    `amount_minor` (exact), `n_amount` (rows with an amount) and `amount2` (sum of squared major-free amounts, float).
    One int64 key is built from the columns' codes, so the cost is one sort of one column.
    """
    code = np.zeros(len(units), dtype=np.int64)
    levels: list[tuple[str, pd.Index]] = []
    for key in keys:
        codes, values = pd.factorize(units[key], sort=True, use_na_sentinel=False)
        code = code * max(len(values), 1) + codes
        levels.append((key, pd.Index(values)))
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.array([], dtype=np.int64)
    table: dict[str, object] = {}
    rest = ordered[starts]
    for key, values in reversed(levels):
        rest, codes = np.divmod(rest, max(len(values), 1))
        table[key] = values.take(codes)
    frame = pd.DataFrame({key: table[key] for key in keys})
    frame["n"] = np.diff(np.r_[starts, len(ordered)]) if len(starts) else np.array([], dtype=np.int64)
    for name, column in (sums or {}).items():
        frame[name] = _sum(column.to_numpy(np.int64), order, starts)
    if money is not None:
        minor = units[money].fillna(0).to_numpy(np.int64)
        frame["amount_minor"] = _sum(minor, order, starts)
        frame["n_amount"] = _sum(units[money].notna().to_numpy(np.int64), order, starts)
        frame["amount2"] = _sum(minor.astype(np.float64) ** 2, order, starts)
    return frame


def _sum(values: np.ndarray, order: np.ndarray, starts: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.add.reduceat(values[order], starts) if len(starts) else values[:0]


def add_up(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The same counts with fewer keys."""
    numbers = [c for c in table.columns if c not in keys and pd.api.types.is_numeric_dtype(table[c])]
    if not keys:
        return table[numbers].sum().to_frame().T.astype({c: table[c].dtype for c in numbers})
    return table.groupby(list(keys), dropna=False, sort=True, as_index=False)[numbers].sum()
