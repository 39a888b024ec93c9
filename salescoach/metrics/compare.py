"""Like for like: is a rep's win rate more than luck and deal mix?"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.outcomes import decided_deals
from salescoach.process import Period

MIX = ("segment", "deal_type")
ENOUGH = 10
FALSE_DISCOVERY = 0.10


def mix_of(book: Book) -> tuple[str, ...]:
    """The columns of the deal mix that the data know."""
    return tuple(c for c in MIX if book.has("deals", c))


def like_for_like(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Each rep's wins beside the wins expected from the rep's own mix of deals.

    Expected: every decided deal counts with the win rate of its cell (`mix_of` the book) over all reps of the book.
    z = (won - expected) / sqrt(Σ p (1 - p)); names are given by Benjamini-Hochberg at a false-discovery rate of 10 %.

    Returns rep_id, n, won, expected, z, p, signal: above, below, none, or few (under 10 decided deals).
    """
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"].isin(["won", "lost"])].copy()
    deals["rep_id"] = deals["rep_id"].fillna(UNASSIGNED)
    deals["is_won"] = (deals["outcome"] == "won").astype("float64")
    cells = list(mix_of(book))
    whole = pd.Series(deals["is_won"].mean(), deals.index)
    usual = deals.groupby(cells, dropna=False)["is_won"].transform("mean") if cells else whole
    deals["expected"], deals["spread"] = usual, usual * (1 - usual)
    sums = {
        "n": ("is_won", "size"),
        "won": ("is_won", "sum"),
        "expected": ("expected", "sum"),
        "spread": ("spread", "sum"),
    }
    table = deals.groupby("rep_id", as_index=False).agg(**sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["z"] = (table["won"] - table["expected"]) / np.sqrt(table["spread"])
    table["p"] = [erfc(abs(z) / sqrt(2)) if np.isfinite(z) else np.nan for z in table["z"]]
    judged = (table["n"] >= ENOUGH) & table["p"].notna() & (table["rep_id"] != UNASSIGNED)
    named = pd.Series(False, table.index)
    named[judged] = discoveries(table.loc[judged, "p"].to_numpy(), FALSE_DISCOVERY)
    table["signal"] = np.where(~judged, "few", np.where(named, np.where(table["z"] > 0, "above", "below"), "none"))
    return table.drop(columns="spread")


def discoveries(p: Sequence[float] | np.ndarray, rate: float) -> np.ndarray:  # type: ignore[type-arg]
    """Which of these p-values are discoveries at a false-discovery rate (Benjamini & Hochberg 1995)."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    passed = p[order] <= rate * np.arange(1, len(p) + 1) / max(len(p), 1)
    found = np.zeros(len(p), bool)
    if passed.any():
        found[order[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return found
