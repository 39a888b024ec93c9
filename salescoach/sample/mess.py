"""The text tables while dirt is planted in them, with the record of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salescoach.sample.clock import Flags, Positions


@dataclass
class Mess:
    """Tables of text (each with its id in the first column), and the kinds of dirt planted so far."""

    tables: dict[str, pd.DataFrame]
    chance: np.random.Generator
    kinds: list[dict[str, Any]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)

    def note(
        self,
        kind: str,
        table: str,
        count: int,
        expect: str,
        reason: str | None = None,
        ids: Iterable[str] = (),
    ) -> None:
        """Adds a kind to the record; a kind that was not planted is left out."""
        if count:
            self.kinds.append(
                {
                    "kind": kind,
                    "table": table,
                    "count": int(count),
                    "expect": expect,
                    "reason": reason,
                    "ids": sorted(set(ids)),
                }
            )

    def choose(self, marked_rows: pd.Series | Flags, amount: float, *, alone: bool = False) -> Positions:
        """Positions of some of the marked rows: a share of them below 1, a count from 1 on.

        With `alone`, only rows that no other call with `alone` has chosen.
        """
        marked = np.flatnonzero(np.asarray(marked_rows, dtype=bool))
        wanted = round(amount * len(marked)) if amount < 1 else int(amount)
        if alone:
            marked = marked[~np.isin(marked, list(self.taken))]
        chosen = np.sort(self.chance.choice(marked, min(wanted, len(marked)), replace=False))
        if alone:
            self.taken.update(chosen.tolist())
        return chosen

    def any_row(self, table: str) -> Flags:
        """Marks every row."""
        return np.ones(len(self.tables[table]), dtype=bool)

    def put(self, table: str, rows: Positions, column: str, value: str | Sequence[str]) -> list[str]:
        """Writes one value, or one for each row, into the chosen rows; returns their ids."""
        frame = self.tables[table]
        cells = frame[column].to_numpy(dtype=object, copy=True)
        cells[rows] = value if isinstance(value, str) else list(value)
        frame[column] = pd.Series(cells, dtype=object)
        return [str(identifier) for identifier in frame.iloc[rows, 0]]

    def repeat(self, table: str, rows: Positions) -> None:
        """Repeats the chosen rows exactly, each directly after itself."""
        frame = self.tables[table]
        order = np.sort(np.concatenate([np.arange(len(frame)), rows]))
        self.tables[table] = frame.iloc[order].reset_index(drop=True)

    def copies(self, table: str, rows: Positions) -> list[dict[str, str]]:
        """The chosen rows, each as a dict of its own."""
        frame = self.tables[table]
        cells = frame.iloc[rows].to_numpy(dtype=object).tolist()
        return [dict(zip(frame.columns, row, strict=True)) for row in cells]

    def append(self, table: str, rows: list[dict[str, str]]) -> None:
        """Adds rows at the end."""
        extra = pd.DataFrame(rows, columns=self.tables[table].columns, dtype=object)
        self.tables[table] = pd.concat([self.tables[table], extra], ignore_index=True)
