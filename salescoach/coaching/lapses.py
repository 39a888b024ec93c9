"""Lapses: what was left undone and can still be made good comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.contacts import folded
from salescoach.metrics.lapses import asked_passages, customer_contacts
from salescoach.metrics.leads import answered_leads
from salescoach.process import Period

# leads that nobody is meant to answer any more
PUT_ASIDE = (
    "disqualified",
    "unqualified",
    "rejected",
    "invalid",
    "closed",
    "spam",
    "duplicate",
    "无效",
    "已关闭",
    "不合格",
    "作废",
)
COLUMNS = ["kind", "record", "name", "amount", "since_on", "days", "open"]


def waiting_leads(book: Book, period: str | Period | None = None) -> tuple[pd.DataFrame, int]:
    """The leads of the period past the limit that nobody has answered; and how many more were put aside unanswered."""
    if book.tables.get("leads", pd.DataFrame()).empty:
        raise Unavailable("the book has no table `{table}`", table="leads")
    leads = answered_leads(book, period)
    rows = leads[~leads["ended"] & leads["due"] & leads["converted_on"].isna()]
    aside = folded(rows["status"]).isin(PUT_ASIDE) if "status" in rows else pd.Series(False, rows.index)
    return rows[~aside], int(aside.sum())


def lapses(
    book: Book, period: str | Period | None = None, most: int = 5
) -> tuple[pd.DataFrame, dict[str, Unavailable]]:
    """Missed quotes, forgotten follow-ups and unanswered leads of the period: those that still wait first.

    Of each kind in turn the largest, then the one that waits longest, so that no kind hides another.

    Returns kind ("quote", "followup", "lead"), record (deal or lead id), name, amount (null: none), since_on (from
    which day on it is late), days (to the answer, the close or as_of), open (whether it can still be made good); and of
    the kinds that the data cannot tell the reasons.
    """
    parts, untold = [], {}
    for kind, ask in (("quote", _quotes), ("followup", _followups), ("lead", _leads)):
        try:
            parts.append(_turns(ask(book, period).assign(kind=kind)))
        except Unavailable as reason:
            untold[kind] = reason
    found = [part for part in parts if len(part)]
    if not found:
        return pd.DataFrame(columns=COLUMNS), untold
    table = pd.concat(found, ignore_index=True)
    table["_kind"] = table["kind"].map({"quote": 0, "followup": 1, "lead": 2})
    table = table.sort_values(["open", "turn", "_kind"], ascending=[False, True, True], kind="stable")
    return table[COLUMNS].head(most).reset_index(drop=True), untold


def _turns(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.sort_values(["open", "amount", "days", "record"], ascending=[False, False, False, True], kind="stable")
    rows = rows.drop_duplicates("record")
    return rows.assign(turn=np.arange(len(rows)))


def _deals(rows: pd.DataFrame) -> pd.DataFrame:
    name = rows["name"].fillna(rows["deal_id"]) if "name" in rows else rows["deal_id"]
    amount = rows["amount"] if "amount" in rows else pd.Series(np.nan, rows.index)
    return pd.DataFrame({"record": rows["deal_id"], "name": name, "amount": amount}, index=rows.index).astype(
        {"amount": "float64"}
    )


def _since(book: Book, rows: pd.DataFrame, since: pd.Series, until: pd.Series) -> pd.DataFrame:
    days = (until.fillna(book.as_of_on) - since).dt.days
    return _deals(rows).assign(since_on=since, days=days.astype("float64"))


def _quotes(book: Book, period: Any) -> pd.DataFrame:
    rows = asked_passages(book, period)
    rows = rows[rows["verdict"].isin(["late", "never"])]
    left = rows["ended_on"].where(rows["verdict"] == "never")
    since = pd.concat([rows["due_on"], left], axis=1).min(axis=1)
    still = (rows["outcome"] == "open") & rows["done_on"].isna()
    closed = rows["closed_on"].where(rows["outcome"] != "open")
    return _since(book, rows, since, rows["done_on"].fillna(closed)).assign(open=still)


def _followups(book: Book, period: Any) -> pd.DataFrame:
    rows = customer_contacts(book, period)
    rows = rows[rows["verdict"] == "forgotten"]
    still = (rows["outcome"] == "open") & rows["answered_on"].isna()
    return _deals(rows).assign(since_on=rows["asked_on"], days=rows["silent_days"].astype("float64"), open=still)


def _leads(book: Book, period: Any) -> pd.DataFrame:
    rows, _ = waiting_leads(book, period)
    days = (book.as_of_on - rows["created_on"]).dt.days.astype("float64")
    return pd.DataFrame(
        {"record": rows["lead_id"], "name": rows["lead_id"], "amount": np.nan, "since_on": rows["created_on"]},
        index=rows.index,
    ).assign(days=days, open=True)
