"""The tables as a book holds them: in order, and the stage history as numbers until somebody asks for its texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from salescoach.book.order import in_deal_order, in_order, order_of
from salescoach.book.texts import Places, coded, decoded, encoded, rows_at, taken

LOG = "stage_history"
DEAL = "_deal"
OF_FEW = ("stage", "evidence", "stage_raw")  # columns of the log with few different texts


class Tables(Mapping[str, pd.DataFrame]):
    """The tables of a book by name, each in its canonical order. Nothing in it changes.

    The stage history is by far the longest of them, and most questions need only its numbers: these are the `log`.
    Its table is written out from them when it is first asked for.
    """

    def __init__(self, names: Iterable[str], tables: Mapping[str, pd.DataFrame], log: pd.DataFrame | None) -> None:
        """`tables` in their order; where the stage history is not among them, its `log`, as the property gives it."""
        self._names, self._tables, self._log = list(names), dict(tables), log
        self._deal = np.empty(0, dtype=np.int32)  # of each row of the stage history among `tables`

    @classmethod
    def ordered(cls, tables: Mapping[str, pd.DataFrame]) -> Tables:
        """Tables in whatever order their rows stand; the stage history may already be its `log`."""
        if isinstance(tables, Tables):
            return tables
        log, ordered = tables.get(LOG), {name: frame for name, frame in tables.items() if name != LOG}
        if log is not None and DEAL in log:
            ordered["deals"], log = _deals_in_order(ordered["deals"], log)
        held = cls(tables, {name: in_order(frame, name) for name, frame in ordered.items()}, log)
        if log is not None and DEAL not in log:
            held._tables[LOG], held._deal = in_deal_order(log, held["deals"])
            held._log = None
        return held

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name == LOG and name not in self._tables and self._log is not None:
            self._tables[name] = written_out(self._log, self["deals"])
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @property
    def log(self) -> pd.DataFrame:
        """The stage history as numbers: `_deal` (row of the deal in `deals`; -1 for none) in place of `deal_id`, stages
        and evidence as categories, the other columns as they are. Raises KeyError where there is none.

        An entry without a deal has its `deal_id` beside it.
        """
        if self._log is None:
            self._log = as_numbers(self._tables[LOG], self._deal)
        return self._log

    def rows(self, name: str) -> int:
        """How many rows a table has."""
        return len(self._rows(name))

    def holds(self, name: str, column: str) -> bool:
        """Whether a table is there with at least one value in a column."""
        if name not in self._names:
            return False
        frame = self._rows(name)
        if DEAL in frame and column == "deal_id":
            return len(frame) > 0
        return column in frame and bool(frame[column].notna().any())

    def _rows(self, name: str) -> pd.DataFrame:
        """A table, or its numbers if it was not written out."""
        written: pd.DataFrame | None = self._tables.get(name)
        return self.log if written is None else written

    def entries_of(self, marked: pd.Series) -> pd.DataFrame:
        """The stage history of the marked ones of all deals."""
        own = np.append(marked.to_numpy(bool), False)  # -1, an entry without a deal, is of none
        if LOG in self._tables and self._log is None:
            return self._tables[LOG][own[self._deal]]
        rows = self.log[own[self.log[DEAL].to_numpy()]].reset_index(drop=True)
        return written_out(rows, self["deals"])


def _deals_in_order(deals: pd.DataFrame, log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The deals in their canonical order, and the log, which stands in the order of the deals given, in that of these.

    Each entry of the log is of a deal.
    """
    order = order_of(deals, "deals")
    if order is None:
        return deals.reset_index(drop=True), log
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    log = log.assign(**{DEAL: place[log[DEAL].to_numpy()]})
    return rows_at(deals, order), log.sort_values(DEAL, kind="stable", ignore_index=True)


def as_numbers(table: pd.DataFrame, deal: Places) -> pd.DataFrame:
    """The `log` of a stage history, each entry of which is of the deal in that row; -1 for none."""
    columns: dict[str, pd.Series] = {}
    for name in map(str, table):
        if name == "deal_id":
            columns[DEAL] = pd.Series(deal, table.index, copy=False)
            if (deal < 0).any():
                columns["deal_id"] = table["deal_id"].where(deal < 0)
        else:
            columns[name] = coded(*encoded(table[name]), table.index) if name in OF_FEW else table[name]
    return pd.DataFrame(columns, copy=False)


def written_out(log: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """The stage history that a `log` stands for, with texts."""
    columns: dict[str, pd.Series] = {}
    for name in log.columns.drop("deal_id", errors="ignore"):
        if name == DEAL:
            columns["deal_id"] = _ids(log, deals["deal_id"])
        elif name in OF_FEW:
            codes, words = np.asarray(log[name].cat.codes, dtype=np.int64), log[name].cat.categories
            columns[name] = decoded(codes, words, log.index)
        else:
            columns[name] = log[name]
    return pd.DataFrame(columns, copy=False)


def _ids(log: pd.DataFrame, deal_id: pd.Series) -> pd.Series:
    deal = log[DEAL].to_numpy()
    if "deal_id" not in log:
        return taken(deal_id, deal).set_axis(log.index)
    known = taken(deal_id, np.maximum(deal, 0)) if len(deal_id) else log["deal_id"]
    return known.set_axis(log.index).where(deal >= 0, log["deal_id"])
