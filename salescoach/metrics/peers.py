"""What a rep may know of the others: aggregated, rounded, and only from at least five other people."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.registry import measure
from salescoach.process import Period

OTHERS = 5  # whoever reads the table, at least this many others stand behind a figure
LARGEST_SHARE = 0.5  # no figure is mostly one person's
RATE_STEP = 0.05
DIGITS = 2  # of what makes up a gap
TIME_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # a finer figure of two weeks would give away a newcomer
SHARES = ("win_rate", "lead_conversion")
TIMES = ("sales_cycle", "response_time")
COLUMNS = ["metric", "stage", "value", "reps", "hidden"]


def peer_table(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Company-wide figures that every rep of a run may see: one table for all, so that tables cannot be compared.

    Behind each figure stand at least six reps (five others for each reader), none of whom holds more than half of it.
    Shares are rounded to 5 points, times to steps of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8; counts are left out.

    Returns metric, stage (null except for stage_flow), value (null where hidden), reps (at least so many; 0 where
    hidden), hidden (true where too few).
    """
    rows = [row for name in (*SHARES, *TIMES) for row in _figure(book, name, period)] + _stages(book, period)
    kinds = {"metric": "str", "stage": "str", "value": "float64", "reps": "int64", "hidden": "bool"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)


def _figure(book: Book, name: str, period: str | Period | None) -> list[dict[str, object]]:
    by_rep, whole = (measure(book, name, by=by, period=period).table for by in ("rep", ()))
    if by_rep is None or whole is None:
        return []
    n = by_rep.loc[by_rep["rep_id"] != UNASSIGNED, "n"]
    return [shown_figure(name, None, float(whole["value"].iloc[0]), n, share=name in SHARES)]


def _stages(book: Book, period: str | Period | None) -> list[dict[str, object]]:
    by_rep, whole = (measure(book, "stage_flow", by=by, period=period).table for by in ("rep", ()))
    if by_rep is None or whole is None:
        return []
    n = {stage: part["n"] for stage, part in by_rep[by_rep["rep_id"] != UNASSIGNED].groupby("stage")}
    known = whole[whole["stage"].isin(list(n))]
    return [
        shown_figure("stage_flow", str(stage), float(value), n[stage], share=True)
        for stage, value in zip(known["stage"], known["value"], strict=True)
    ]


def shown_figure(name: str, stage: str | None, value: float, n: pd.Series, share: bool) -> dict[str, object]:
    """A row of the others' figures, hidden where `n`, the records of each rep, do not allow it; shares in steps."""
    n = n[n > 0]
    hidden = len(n) < OTHERS + 1 or bool(n.max() > LARGEST_SHARE * n.sum())
    figure = np.nan if hidden or value != value else _rounded(value, share)
    return {"metric": name, "stage": stage, "value": figure, "reps": 0 if hidden else OTHERS + 1, "hidden": hidden}


def _rounded(value: float, share: bool) -> float:
    if share:
        return round(round(value / RATE_STEP) * RATE_STEP, 2)
    if value <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(f"{min(TIME_STEPS, key=lambda step: abs(np.log(value / power / step))) * power:.2g}")
