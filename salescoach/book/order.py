"""The one order in which a table's rows stand, so that the order of the input never matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book.tables import TABLES
from salescoach.book.texts import Codes, Places, arrow, encoded, is_of_few, numbered, places_of_runs, rows_at


def in_order(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows in the table's canonical order, so that the order of the input never matters."""
    order = order_of(frame, name)
    return frame.reset_index(drop=True) if order is None else rows_at(frame, order)


def order_of(frame: pd.DataFrame, name: str) -> Codes | None:
    """The places of the rows in the table's canonical order; None where they stand in it."""
    table = TABLES.get(name)
    if table is None:
        return None
    keys = [c for c in dict.fromkeys((*table.sort, *table.key)) if c in frame]
    columns = [_comparable(frame[k]) for k in keys]
    if _rises(columns):
        return None
    ranks = [_ranks(column) for column in columns]
    order = _order_by(ranks)
    if _ties(ranks, order):
        order = _order_by([*ranks, *(_ranks(_comparable(frame[c])) for c in sorted(frame.columns) if c not in keys)])
    return None if bool((order[1:] > order[:-1]).all()) else order


def _order_by(ranks: Sequence[pa.Array]) -> Codes:
    """The stable order of rows by these columns; null stands last."""
    named = {str(i): rank for i, rank in enumerate(ranks)}
    order: Codes = pc.sort_indices(pa.table(named), sort_keys=[(i, "ascending") for i in named]).to_numpy()
    return order.astype(np.int64)


def _ties(ranks: Sequence[pa.Array], order: Codes) -> bool:
    """Whether any two rows are equal in all these columns; null equals null."""
    alike = pa.repeat(True, max(len(order) - 1, 0))
    for rank in (r.take(pa.array(order)) for r in ranks):
        before, after = rank[:-1], rank[1:]
        if pa.types.is_null(rank.type):  # nothing in the column: all alike
            continue
        both_null = pc.and_(pc.is_null(before), pc.is_null(after))
        alike = pc.and_(alike, pc.or_(both_null, pc.fill_null(pc.equal(before, after), False)))
    return bool(pc.any(alike).as_py())


def in_deal_order(log: pd.DataFrame, deals: pd.DataFrame) -> tuple[pd.DataFrame, Places]:
    """A log in the order of its deals and in time, and the row of each entry's deal; entries without one stand last.

    Entries of one instant stay in the order given: it says what came first.
    """
    rows = places_of_runs(log["deal_id"], deals["deal_id"])
    at = log["entered_at"].astype("int64").to_numpy()
    place = np.where(rows < 0, np.int32(len(deals)), rows)
    if ((place[1:] > place[:-1]) | ((place[1:] == place[:-1]) & (at[1:] >= at[:-1]))).all():
        return log.reset_index(drop=True), rows
    order = np.lexsort((at, place))
    return rows_at(log, order), rows[order]


def _comparable(column: pd.Series) -> pa.Array:
    if is_of_few(column):
        codes, words = encoded(column)
        ranks = np.argsort(pc.sort_indices(arrow(words)).to_numpy()).astype(np.int32)
        return pa.array(np.append(ranks, 0)[codes], mask=codes < 0)
    return arrow(column) if column.dtype == "str" else pa.array(column, from_pandas=True)


def _ranks(column: pa.Array) -> pa.Array:
    """Numbers in the order of the column's texts: they sort much faster. Null stays null."""
    if not pa.types.is_large_string(column.type):
        return column
    counted = numbered(column)
    if counted is not None:
        return pa.array(counted[0][0])
    found = column.dictionary_encode()
    ranks = np.empty(len(found.dictionary), dtype=np.int32)
    ranks[pc.sort_indices(found.dictionary).to_numpy()] = np.arange(len(ranks), dtype=np.int32)
    return pa.array(ranks).take(found.indices)


def _rises(columns: Sequence[pa.Array]) -> bool:
    """Whether each row stands behind the one before by these columns: told by a look at each pair of neighbours."""
    if any(c.null_count for c in columns) or not len(columns[0]):
        return False
    alike = pa.repeat(True, len(columns[0]) - 1)  # in all columns looked at so far
    for column in columns:
        before, after = column[:-1], column[1:]
        if pc.any(pc.and_(alike, pc.greater(before, after))).as_py():
            return False
        alike = pc.and_(alike, pc.equal(before, after))
    return not pc.any(alike).as_py()
