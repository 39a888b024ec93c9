"""What a rep may know of the others: aggregated, rounded, and only from at least five other people."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.cycle import sales_cycle
from salescoach.metrics.flow import stage_flow
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.leads import lead_conversion, response_time
from salescoach.metrics.outcomes import win_rate
from salescoach.process import Period

OTHERS = 5            # whoever reads the table, at least this many others stand behind a figure
LARGEST_SHARE = 0.5   # no figure is mostly one person's
RATE_STEP = 0.05
DIGITS = 2
SHARES = {"win_rate": win_rate, "lead_conversion": lead_conversion}
TIMES = {"sales_cycle": sales_cycle, "response_time": response_time}
COLUMNS = ["metric", "stage", "value", "reps", "hidden"]


def peer_table(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Company-wide figures that may be shown to every rep of a run: one table for all, so that tables cannot be compared.

    A figure stands behind at least six reps (five others for each reader), none of whom holds more than half of it. Shares are
    rounded to 5 points, times to two significant digits; counts are left out.

    Returns metric, stage (null except for stage_flow), value (null where hidden), reps ("6+" …), hidden (true where too few).
    """
    rows = [_figure(book, name, compute, period) for name, compute in {**SHARES, **TIMES}.items()]
    return pd.DataFrame([r for r in rows if r is not None] + _stages(book, period), columns=COLUMNS).astype(
        {"metric": "str", "stage": "str", "value": "float64", "reps": "int64", "hidden": "bool"})


def _figure(book: Book, name: str, compute, period: str | Period | None) -> dict[str, object] | None:  # type: ignore[no-untyped-def]
    try:
        by_rep, whole = compute(book, by="rep", period=period), compute(book, by=(), period=period)
    except (Unavailable, KeyError):
        return None
    n = by_rep.loc[by_rep["rep_id"] != UNASSIGNED, "n"]
    return _shown(name, None, float(whole["value"].iloc[0]), n, share=name in SHARES)


def _stages(book: Book, period: str | Period | None) -> list[dict[str, object]]:
    try:
        by_rep, whole = stage_flow(book, by="rep", period=period), stage_flow(book, period=period)
    except Unavailable:
        return []
    n = by_rep[by_rep["rep_id"] != UNASSIGNED].groupby("stage")["n"]
    return [_shown("stage_flow", row.stage, row.value, n.get_group(row.stage), share=True) for row in whole.itertuples()
            if row.stage in n.groups]


def _shown(name: str, stage: str | None, value: float, n: pd.Series, share: bool) -> dict[str, object]:
    n = n[n > 0]
    hidden = len(n) < OTHERS + 1 or bool(n.max() > LARGEST_SHARE * n.sum())
    figure = np.nan if hidden or value != value else _rounded(value, share)
    return {"metric": name, "stage": stage, "value": figure, "reps": 0 if hidden else OTHERS + 1, "hidden": hidden}


def _rounded(value: float, share: bool) -> float:
    if share:
        return round(round(value / RATE_STEP) * RATE_STEP, 2)
    return 0.0 if value == 0 else float(f"{value:.{DIGITS}g}")
