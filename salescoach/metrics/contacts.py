"""Contacts: when a deal's customer was spoken to, and from which side."""

from __future__ import annotations

import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import Unavailable
from salescoach.metrics.kept import per_book
from salescoach.metrics.visits import deals_of
from salescoach.process import fold_name

# work about a deal, not with its customer
NO_CONTACT = ("note", "task", "reminder", "备注", "任务")
# both sides take part in these, whoever called for them
MEETINGS = ("meeting", "visit", "会议", "拜访", "面谈")
DEMOS = ("demo", "presentation", "演示")
SIDES = {"in": "in", "inbound": "in", "incoming": "in", "out": "out", "outbound": "out", "outgoing": "out"}


def folded(texts: pd.Series) -> pd.Series:
    """Texts as names are compared: full width, upper case and blanks make no difference."""
    names = {text: fold_name(text) for text in texts.dropna().unique()}
    return texts.map(names).astype("str")


def side_of(direction: pd.Series) -> pd.Series:
    """Whose contact it was: "in" (the customer's), "out" (the seller's), null: not recorded."""
    return folded(direction).map(SIDES).astype("str")


def is_planned(activities: pd.DataFrame, today: pd.Timestamp) -> pd.Series:
    """Activities that are still to be done: not marked as done, or due after today where nothing is marked."""
    due = activities["due_on"] if "due_on" in activities else pd.Series(pd.NaT, activities.index)
    done = activities["done"].astype("boolean") if "done" in activities else pd.Series(pd.NA, activities.index)
    return done.eq(False).fillna(False).astype(bool) | (done.isna() & (due > today))


@per_book
def deal_activities(book: Book) -> pd.DataFrame:
    """The activities of deals, in the order of deals and time.

    deal           row of the deal in `book.deals`
    rep_id, at, due_on
    activity_type  folded
    side           in, out, or null where it is not recorded
    planned        still to be done

    Empty where no activity names a deal.
    """
    columns = ["deal", "rep_id", "at", "due_on", "activity_type", "side", "planned"]
    if not book.has("activities", "deal_id"):
        return pd.DataFrame({c: pd.Series(dtype="bool" if c == "planned" else "str") for c in columns}).astype(
            {"deal": "int64", "at": "datetime64[us, UTC]", "due_on": "datetime64[us]"}
        )
    rows = book.table("activities")
    place = places_in(rows["deal_id"], deals_of(book)["deal_id"])
    rows = rows.assign(deal=place)[place >= 0]
    rows["activity_type"] = folded(rows["activity_type"])
    blank = pd.Series(None, rows.index, dtype="str")
    rows["side"] = side_of(rows["direction"]) if "direction" in rows else blank
    if "due_on" not in rows:
        rows["due_on"] = pd.Series(pd.NaT, rows.index, dtype="datetime64[us]")
    rows["planned"] = is_planned(rows, book.as_of_on)
    return rows.sort_values(["deal", "at"], kind="stable")[columns].reset_index(drop=True)


@per_book
def contacts(book: Book) -> pd.DataFrame:
    """What was said to or by the customers of deals: `deal_activities` that took place and are no notes or tasks.

    Adds two_way (the customer took part: the contact came from the customer, or was a meeting or demo), meeting, demo,
    and known (its side is recorded, or both took part).
    """
    rows = deal_activities(book)
    rows = rows[~rows["planned"] & ~rows["activity_type"].isin(NO_CONTACT)].drop(columns=["planned", "due_on"])
    rows["meeting"] = rows["activity_type"].isin(MEETINGS)
    rows["demo"] = rows["activity_type"].isin(DEMOS)
    together = rows["meeting"] | rows["demo"]
    rows["two_way"] = together | rows["side"].eq("in").fillna(False)
    rows["known"] = together | rows["side"].notna()
    return rows.reset_index(drop=True)


def knows_contacts(book: Book) -> bool:
    """Whether activities name deals at all: without them nobody knows when a customer was last spoken to."""
    return book.has("activities", "deal_id")


def knows_sides(book: Book) -> bool:
    """Whether activities say which side a contact came from."""
    return book.has("activities", "deal_id", "direction")


def need_sides(book: Book) -> None:
    """Raise Unavailable where activities do not say which side a contact came from."""
    if "activities" not in book.tables:
        raise Unavailable("the book has no table `{table}`", table="activities")
    if not knows_sides(book):
        raise Unavailable(
            "activities do not say which side they came from: `direction` is missing, so nobody knows who kept silent"
        )


def days_since(book: Book, deal: pd.Series, since: pd.Series) -> pd.Series:
    """Calendar days from an instant per deal row (null: unknown) to as_of, for the given deal rows."""
    days: pd.Series = (book.as_of_on - book.local_days(since.reindex(deal).set_axis(deal.index))).dt.days
    return days.astype("float64")
