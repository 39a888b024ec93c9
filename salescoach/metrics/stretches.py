"""Long tables in stretches: worked on side by side by all cores, and each so short that it stays near them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from salescoach.book.texts import Places

Whole = np.ndarray[Any, np.dtype[np.int64]]
ROWS = 2**19  # of a stretch: few enough to share out, and so many that what a stretch costs at all is little


def stretches(rows: int, deal: Places | None = None) -> list[slice]:
    """So many rows in stretches of about `ROWS`; none of them cuts a deal in two, if `deal` tells whose each row is.

    The rows of a deal stand together. There is one stretch at least, of no rows where there are none.
    """
    ends = np.arange(ROWS, rows, ROWS)
    if deal is not None and len(ends):
        starts = np.append(np.flatnonzero(deal[1:] != deal[:-1]) + 1, rows)
        ends = np.unique(starts[np.searchsorted(starts, ends)])
    edges = [0, *(int(end) for end in ends if end < rows), rows]
    return [slice(start, end) for start, end in pairwise(edges)]


class Columns:
    """Columns of at most so many rows that parts are written into one behind the other, without a second copy.

    starts   the row at which each of several places begins, at which parts may be added
    filled   the row up to which each place is filled
    """

    def __init__(self, rows: int, starts: Sequence[int] | Whole = (0,)) -> None:
        self.rows, self.filled = rows, [int(start) for start in starts]
        self.columns: dict[str, np.ndarray[Any, Any]] = {}

    def add(self, part: Mapping[str, np.ndarray[Any, Any]], place: int = 0) -> None:
        """Add the rows of a part to a place: the same columns each time."""
        start = self.filled[place]
        for name, values in part.items():
            if name not in self.columns:
                self.columns[name] = np.empty(self.rows, dtype=values.dtype)
            self.filled[place] = start + len(values)
            self.columns[name][start : self.filled[place]] = values
