"""A deal to replicate: the win that shows a strength."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.lapses import asked_passages
from salescoach.metrics.leads import answered_leads
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.visits import passages
from salescoach.process import Period
from salescoach.wording import is_known


def deal_to_replicate(
    book: Book, period: str | Period | None = None, finding: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The largest deal won in the period that shows the strength: of a stage one that stayed in it, of answers in time
    one whose lead had one, of quotes one that had its quote in time. Where none does, or no strength is given, the
    largest win; of equal ones the first by id. None: nothing was won.

    Returns the deal's columns and stage_days (how long it stayed in the strength's stage; null: unknown).
    """
    won = decided_deals(book, period)
    won = won[won["outcome"] == "won"]
    if won.empty:
        return None
    showing = won[won.index.isin(_showing(book, period, finding))] if finding else won
    chosen = won if showing.empty else showing
    size = chosen["amount_minor"].astype("float64").fillna(-1)
    row = chosen.assign(_size=size).sort_values(["_size", "deal_id"], ascending=[False, True], kind="stable").iloc[[0]]
    found = {str(k): v for k, v in row.drop(columns="_size").iloc[0].to_dict().items()}
    return {**found, "stage_days": _days(book, row.index[0], finding)}


def _showing(book: Book, period: str | Period | None, finding: Mapping[str, Any]) -> pd.Series:
    try:
        if finding["key"] == "response_time":
            leads = answered_leads(book, period)
            ids = leads.loc[leads["within"].astype(bool), "deal_id"] if "deal_id" in leads else pd.Series(dtype="str")
            deals = book.deals
            return pd.Series(deals.index[deals["deal_id"].isin(ids.dropna())])
        if finding["key"] == "missed_quotes":
            rows = asked_passages(book, period)
            return rows.loc[rows["verdict"] == "done", "deal"]
    except Unavailable:
        return pd.Series(dtype="int64")
    if is_known(finding["stage"]):
        return _stays(book, finding)["deal"]
    return pd.Series(dtype="int64")


def _stays(book: Book, finding: Mapping[str, Any]) -> pd.DataFrame:
    gone = passages(book)
    here = (gone["pipeline"] == finding["pipeline"]) & (gone["stage"] == finding["stage"]) & ~gone["skipped"]
    found: pd.DataFrame = gone[here]
    return found


def _days(book: Book, deal: Any, finding: Mapping[str, Any] | None) -> float:
    """How long the deal stayed in the stage of a strength."""
    if finding is None or finding["key"] != "stage_flow":
        return float("nan")
    stay = _stays(book, finding)
    stay = stay[stay["deal"] == deal]
    return float((stay["ended_on"] - stay["entered_on"]).dt.days.iloc[0]) if len(stay) else float("nan")
