"""Timelines: what happened to a deal, day by day since it was first entered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import UsageError, suggestion
from salescoach.metrics.contacts import contacts, deal_activities
from salescoach.metrics.kept import per_book
from salescoach.metrics.slips import knows_moves, pushes
from salescoach.metrics.visits import deals_of, history_of

QUOTE = "quote"
# of one day the order in which they are told
KINDS = ("stage", "contact", "quote", "push", "amount", "close")
COLUMNS = ["deal", "deal_id", "on", "day", "what", "stage", "detail", "value"]
Rows = np.ndarray[Any, np.dtype[np.int64]]


@per_book
def spans(book: Book) -> pd.DataFrame:
    """From when to when each deal lived, one row per deal in the order of `book.deals`.

    began_on   day of the first entry into a stage; where no entry is known, of the creation
    ended_on   day of the close; of an open deal the day of the data
    days       between the two (null: one of them is unknown, or the close lies before the beginning)
    """
    deals = deals_of(book)
    began = deals["created_on"].copy()
    if book.has("stage_history", "entered_at"):
        entries = history_of(book)
        first = entries[entries["deal"] >= 0].drop_duplicates("deal").set_index("deal")["entered_at"]
        began = book.local_days(first).reindex(deals.index).fillna(began)
    ended = deals["closed_on"].where(deals["outcome"] != "open", book.as_of_on)
    days = (ended - began).dt.days
    return pd.DataFrame({"began_on": began, "ended_on": ended, "days": days.where(days >= 0).astype("float64")})


@per_book
def quote_days(book: Book) -> pd.DataFrame:
    """Every quote of a deal that is recorded, as an activity or in `quotes`: deal, on; in the order of both."""
    done = deal_activities(book)
    done = done[~done["planned"] & (done["activity_type"] == QUOTE)]
    parts = [pd.DataFrame({"deal": done["deal"].astype("int64"), "on": book.local_days(done["at"])})]
    if book.has("quotes", "at"):
        quotes = book.table("quotes")
        quotes = quotes[quotes["at"] <= book.as_of]
        deal = places_in(quotes["deal_id"], deals_of(book)["deal_id"])
        rows = pd.DataFrame({"deal": deal.astype("int64"), "on": book.local_days(quotes["at"])})
        parts.append(rows[deal >= 0])
    # an activity and a row of `quotes` on one day are one quote
    return pd.concat(parts).drop_duplicates().sort_values(["deal", "on"], ignore_index=True)


def knows_quotes(book: Book) -> bool:
    """Whether the data record quotes at all."""
    return len(quote_days(book)) > 0


def timelines(book: Book, deals: Rows) -> pd.DataFrame:
    """What happened to these deals (rows of `book.deals`), from the first entry to the close.

    what      stage (an entry into a working stage), contact, quote, push (the expected close was put off), amount (it
              was changed), close
    on, day   the day, and how many days it was after the deal's first entry
    stage     the stage entered; of a close the closing one
    detail    of a contact its type, of a close the outcome
    value     of a push its days, of an amount the new one

    Contacts before the first entry and after the close are left out; quotes are told once, as quotes. In the order of
    `deals`, then of days. Raises Unavailable where there is no stage history.
    """
    parts = (_entries, _contacts, _quotes, _pushes, _amounts, _closes)
    rows = pd.concat([part(book, deals) for part in parts], ignore_index=True)
    places = pd.Series(np.arange(len(deals)), index=deals)
    life = spans(book).loc[rows["deal"]].set_axis(rows.index)
    rows = rows[(rows["on"] >= life["began_on"]) & (rows["on"] <= life["ended_on"])]
    rows["day"] = (rows["on"] - life["began_on"]).dt.days.reindex(rows.index).astype("int64")
    rows["deal_id"] = deals_of(book)["deal_id"].take(rows["deal"].to_numpy()).to_numpy()
    rows["_order"] = rows["what"].map({kind: i for i, kind in enumerate(KINDS)})
    rows["_deal"] = places.loc[rows["deal"]].to_numpy()
    return rows.sort_values(["_deal", "day", "_order"], kind="stable", ignore_index=True)[COLUMNS]


def timeline(book: Book, deal_id: str) -> pd.DataFrame:
    """What happened to one deal: `timelines` of it. Raises UsageError for a deal that the book does not have."""
    place = places_in(pd.Series([deal_id], dtype="str"), deals_of(book)["deal_id"])
    if place[0] < 0:
        raise UsageError(
            "There is no deal {deal_id!r} in this book.{hint}",
            deal_id=deal_id,
            hint=suggestion(deal_id, deals_of(book)["deal_id"]),
        )
    return timelines(book, place.astype(np.int64))


def stays_of(book: Book, deals: Rows) -> pd.DataFrame:
    """The stays of these deals in their working stages as stretches of days, in the order of `deals` and time.

    deal, deal_id, pipeline, stage, order, from_day, to_day (both counted from the deal's first entry; a stay under way
    ends on the day of the data). A change of owner does not end a stay.
    """
    history, all_deals, life = history_of(book), deals_of(book), spans(book)
    history = history[history["deal"].isin(deals)].reset_index(drop=True).astype({"stage": "str"})
    on, deal = book.local_days(history["entered_at"]), history["deal"]
    next_on = on.shift(-1).where(deal.shift(-1) == deal)
    until = next_on.fillna(life["ended_on"].loc[deal].set_axis(history.index))
    began = life["began_on"].loc[deal].set_axis(history.index)
    pipeline = all_deals["pipeline"].loc[deal].set_axis(history.index)
    order = {(key, s.key): i for key, line in book.process.pipelines.items() for i, s in enumerate(line.working)}
    found = pd.DataFrame(
        {
            "deal": deal,
            "deal_id": all_deals["deal_id"].loc[deal].to_numpy(),
            "pipeline": pipeline,
            "stage": history["stage"],
            "order": pd.Series(order).reindex(pd.MultiIndex.from_arrays([pipeline, history["stage"]])).to_numpy(),
            "from_day": (on - began).dt.days,
            "to_day": (until - began).dt.days,
        }
    )
    found = found[found["order"].notna()].astype({"order": "int64"})
    places = pd.Series(np.arange(len(deals)), index=deals)
    found["_deal"] = places.loc[found["deal"]].to_numpy()
    return found.sort_values("_deal", kind="stable", ignore_index=True).drop(columns="_deal")


def days_within(each: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """The days (deal, on) that lie within a window of their deal, once for each window: one may lie in another.

    windows   deal, order (of a deal's windows each has another one), from, until (both ends belong to it)

    Returns deal, order, on and window, the index of the window.
    """
    parts = [each.iloc[:0][["deal", "on"]].assign(order=0, window=0)]
    for order, part in windows.groupby("order"):
        place = pd.Series(part.index, index=part["deal"]).reindex(each["deal"])
        known = place.notna().to_numpy()
        days, at = each[known], part.loc[place[known]]
        inside = (days["on"].to_numpy() >= at["from"].to_numpy()) & (days["on"].to_numpy() <= at["until"].to_numpy())
        found = days.loc[inside, ["deal", "on"]]
        parts.append(found.assign(order=order, window=at.index[inside]))
    return pd.concat(parts, ignore_index=True)[["deal", "order", "on", "window"]]


# --- the parts -------------------------------------------------------------------------------------


def _part(what: str, deal: pd.Series, on: pd.Series, **more: pd.Series) -> pd.DataFrame:
    """Events of one kind; what they do not have is null."""
    rows = pd.DataFrame({"deal": deal.astype("int64"), "on": on.astype("datetime64[us]"), **more})
    rows = rows.reindex(columns=["deal", "on", "stage", "detail", "value"])
    return rows.astype({"stage": "str", "detail": "str", "value": "float64"}).assign(what=what)


def _none(what: str) -> pd.DataFrame:
    return _part(what, pd.Series(dtype="int64"), pd.Series(dtype="datetime64[us]"))


def _entries(book: Book, deals: Rows) -> pd.DataFrame:
    history = history_of(book)
    working = {s.key for line in book.process.pipelines.values() for s in line.working}
    rows = history[history["deal"].isin(deals) & history["stage"].isin(working)]
    return _part("stage", rows["deal"], book.local_days(rows["entered_at"]), stage=rows["stage"])


def _contacts(book: Book, deals: Rows) -> pd.DataFrame:
    rows = contacts(book)
    rows = rows[rows["deal"].isin(deals) & (rows["activity_type"] != QUOTE)]
    return _part("contact", rows["deal"], book.local_days(rows["at"]), detail=rows["activity_type"])


def _quotes(book: Book, deals: Rows) -> pd.DataFrame:
    rows = quote_days(book)
    rows = rows[rows["deal"].isin(deals)]
    return _part(QUOTE, rows["deal"], rows["on"])


def _pushes(book: Book, deals: Rows) -> pd.DataFrame:
    if not knows_moves(book):
        return _none("push")
    rows = pushes(book)
    rows = rows[rows["deal"].isin(deals)]
    return _part("push", rows["deal"], rows["moved_on"], value=rows["days"])


def _amounts(book: Book, deals: Rows) -> pd.DataFrame:
    if not book.has("changes", "new"):
        return _none("amount")
    rows = book.table("changes")
    rows = rows[rows["field"] == "amount"]
    deal = pd.Series(places_in(rows["deal_id"], deals_of(book)["deal_id"]), rows.index)
    new = pd.to_numeric(rows["new"], errors="coerce")
    known = deal.isin(deals) & new.notna()
    return _part("amount", deal[known], book.local_days(rows["at"])[known], value=new[known])


def _closes(book: Book, deals: Rows) -> pd.DataFrame:
    rows = deals_of(book).loc[deals]
    rows = rows[(rows["outcome"] != "open") & rows["closed_on"].notna()]
    return _part("close", rows.index.to_series(), rows["closed_on"], stage=rows["stage"], detail=rows["outcome"])
