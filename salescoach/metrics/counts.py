"""Count tables: additive tables of whole numbers from which every figure is finished.

They add over reps, periods, files and machines: the table of a team is the sum of its reps' tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Numbers = np.ndarray[Any, np.dtype[Any]]
MONEY = ("amount_minor", "n_amount", "amount2")
LARGEST = 2**62
NEAR = 2**16  # whole numbers so near to each other count as they are
DENSE = 2**20  # so many possible cells and more, where the rows are many too, have a place each


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
    One int64 key is built from the columns' codes; where it has few values, rows are counted without a sort.
    """
    keys = list(dict.fromkeys(keys))
    code, size = np.zeros(len(units), dtype=np.int64), 1
    for key in keys:
        codes, different = _places(units[key])
        if size * different > LARGEST:
            present, code = np.unique(code, return_inverse=True)
            size = len(present)
        code = code * different + codes
        size *= different
    cells = _cells_of_few(code, size) if size <= DENSE + 2 * len(code) else _cells_of_many(code)
    frame = _plain(units[keys].iloc[cells.first]).reset_index(drop=True) if keys else pd.DataFrame(index=[0])
    frame["n"] = cells.count(None, len(frame))
    for name, column in (sums or {}).items():
        if column.dtype == np.bool_:
            frame[name] = cells.count(column.to_numpy(), len(frame))
        else:
            frame[name] = cells.total(column.to_numpy(np.int64), len(frame))
    if money is not None:
        minor = units[money].fillna(0).to_numpy(np.int64)
        frame["amount_minor"] = cells.total(minor, len(frame))
        frame["n_amount"] = cells.count(units[money].notna().to_numpy(), len(frame))
        frame["amount2"] = cells.total(minor.astype(np.float64) ** 2, len(frame))
    return frame


def _places(column: pd.Series) -> tuple[Numbers, int]:
    """The place of each value among the different ones in their order, nulls last; and how many places there are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        places = np.empty(len(column.dtype.categories) + 1, dtype=np.int64)
        places[np.argsort(column.dtype.categories.to_numpy(), kind="stable")] = np.arange(len(places) - 1)
        places[-1] = len(places) - 1
        return places[column.cat.codes.to_numpy()], len(places)
    if column.dtype == np.bool_:
        return column.to_numpy().astype(np.int64), 2
    if column.dtype.kind == "i" and isinstance(column.dtype, np.dtype) and len(column):
        least, most = int(column.min()), int(column.max())
        if most - least < NEAR:
            return column.to_numpy().astype(np.int64) - least, most - least + 1
    codes, values = pd.factorize(column, sort=True, use_na_sentinel=False)
    return codes, max(len(values), 1)


@dataclass(frozen=True)
class Cells:
    """Which rows are counted together: `first`, one row of each cell; `cell` of each row, or their order and starts."""

    first: Numbers
    cell: Numbers | None
    order: Numbers
    starts: Numbers

    def count(self, marked: np.ndarray[Any, np.dtype[np.bool_]] | None, cells: int) -> Numbers:
        """How many rows each cell has, all or the marked ones."""
        if self.cell is not None:
            return np.bincount(self.cell if marked is None else self.cell[marked], minlength=cells)
        rows = len(self.order)
        return self.total(np.ones(rows, dtype=np.int64) if marked is None else marked.astype(np.int64), cells)

    def total(self, values: Numbers, cells: int) -> Numbers:
        """The exact sum of the values in each cell."""
        found = np.zeros(cells, dtype=values.dtype)
        if self.cell is not None:
            np.add.at(found, self.cell, values)
        elif len(self.starts):
            found = np.add.reduceat(values[self.order], self.starts)
        return found


def _cells_of_few(code: Numbers, size: int) -> Cells:
    """Each possible code has its place: two passes over the rows and no sort."""
    row = np.full(size, -1, dtype=np.int64)
    row[code[::-1]] = np.arange(len(code) - 1, -1, -1)  # of a cell's rows the first one stays
    present = np.flatnonzero(row >= 0)
    first = row[present]
    row[present] = np.arange(len(present))
    nothing = np.empty(0, dtype=np.int64)
    return Cells(first, row[code], nothing, nothing)


def _cells_of_many(code: Numbers) -> Cells:
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return Cells(order[starts], None, order, starts)


def _plain(keys: pd.DataFrame) -> pd.DataFrame:
    """Categories as texts and small numbers as whole ones again: a count table is merged with others."""
    texts = [
        c for c, kind in keys.dtypes.items() if isinstance(kind, pd.CategoricalDtype) and kind.categories.dtype == "str"
    ]
    small = [
        c for c, kind in keys.dtypes.items() if isinstance(kind, np.dtype) and kind.kind == "i" and kind.itemsize < 8
    ]
    return keys.astype({**dict.fromkeys(texts, "str"), **dict.fromkeys(small, "int64")})


def add_up(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The same counts with fewer keys."""
    numbers = [c for c in table.columns if c not in keys and pd.api.types.is_numeric_dtype(table[c])]
    if not keys:
        return table[numbers].sum().to_frame().T.astype({c: table[c].dtype for c in numbers})
    return table.groupby(list(keys), dropna=False, sort=True, as_index=False)[numbers].sum()


def add_tables(tables: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """The count table of several parts together."""
    return tables[0] if len(tables) == 1 else add_up(pd.concat(tables, ignore_index=True), keys)
