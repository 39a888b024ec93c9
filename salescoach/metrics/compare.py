"""Like for like: what makes deals alike, and whom to name among many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from salescoach.book import Book

MIX = ("segment", "deal_type")
ENOUGH = 10  # decided deals, under which nobody is compared
FALSE_DISCOVERY = 0.10


def mix_of(book: Book) -> tuple[str, ...]:
    """The columns of the deal mix that the data know."""
    return tuple(c for c in MIX if book.has("deals", c))


def discoveries(p: Sequence[float] | np.ndarray, rate: float) -> np.ndarray:  # type: ignore[type-arg]
    """Which of these p-values are discoveries at a false-discovery rate (Benjamini & Hochberg 1995)."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    passed = p[order] <= rate * np.arange(1, len(p) + 1) / max(len(p), 1)
    found = np.zeros(len(p), bool)
    if passed.any():
        found[order[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return found
