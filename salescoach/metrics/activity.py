"""Activity quality: what customers get per deal, never how busy somebody was in a day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.contacts import contacts, knows_sides
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import mean_interval, wilson
from salescoach.metrics.groups import UNITS, complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.lapses import knows_plans, next_steps
from salescoach.metrics.registry import as_period, in_period, metric
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period

COUNTED = ("two_way", "meeting", "demo", "contact")


def active_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals that were open at some time in the period, void ones left out.

    rep_id is the owner at the close or, where that came later or not at all, at the end of the period; seen_on is that
    day. A deal without a creation date counts as created before; a decided one without a close date counts only where
    the period has no beginning.
    """
    span = as_period(book, period)
    deals = deals_of(book)
    end = min(pd.Timestamp(span.end_on), book.as_of_on)
    inside = (deals["outcome"] != "void") & ~(deals["created_on"] > end)
    if span.start_on is not None:
        inside &= (deals["outcome"] == "open") | (deals["closed_on"] >= pd.Timestamp(span.start_on))
    deals = deals[inside].copy()
    closed = deals["closed_at"].where(deals["outcome"] != "open")
    until = (end + pd.Timedelta(days=1)).tz_localize(book.timezone).tz_convert("UTC")
    last = closed.where(closed < until, until if end < book.as_of_on else pd.NaT)
    deals["rep_id"] = owner_at(book, deals.index.to_series(), last.astype("datetime64[us, UTC]"))
    closed_on = deals["closed_on"].where(deals["outcome"] != "open")
    return deals.assign(seen_on=closed_on.where(closed_on < end, end))


def not_by_time(groups: Sequence[str]) -> None:
    """Raise Unavailable for a group of time: a deal is open in many of them."""
    named = [g for g in groups if g in UNITS]
    if named:
        raise Unavailable(
            "a deal is open in more than one {unit}, so it cannot be placed in one; choose a period instead",
            unit=named[0],
        )


def contacted_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """`active_deals` with what their customers got in the period: contact, two_way, meeting and demo (counts)."""
    deals = active_deals(book, period)
    said = _said(book, deals, period)
    counts = said.assign(contact=True).groupby("deal")[list(COUNTED)].sum()
    found = counts.reindex(deals.index).fillna(0).astype("int64")
    return deals.join(found)


def _said(book: Book, deals: pd.DataFrame, period: str | Period | None) -> pd.DataFrame:
    """The contacts of these deals in the period; gap_days since the deal's contact before (null for its first)."""
    said = contacts(book)
    on = book.local_days(said["at"])
    before = on.groupby(said["deal"]).shift()
    said["gap_days"] = (on - before).dt.days
    return said[said["deal"].isin(deals.index) & in_period(book, period, on)]


def _with_gaps(
    book: Book, deals: pd.DataFrame, table: pd.DataFrame, period: str | Period | None, keys: Sequence[str]
) -> pd.DataFrame:
    """The table with the median gap of each group's deals."""
    said = _said(book, deals, period)
    gaps = said[["deal", "gap_days"]].join(deals[list(keys)], on="deal")
    if not keys:
        return table.assign(median_gap_days=gaps["gap_days"].median())
    found = gaps.groupby(list(keys))["gap_days"].median().rename("median_gap_days").reset_index()
    return table.merge(found, on=list(keys), how="left", validate="1:1")


@metric(
    "Activity quality",
    "Two-way contacts per active deal: the customer's own contacts, meetings and demos in the period / deals that were "
    "open at some time in it.",
    basis="the deals open at some time in the period, and their contacts in it",
    interval="95 % interval of the mean over deals",
    unit="ratio",
    needs=[("deals", "outcome"), ("activities", "deal_id")],
    uses=[("activities", "direction"), ("activities", "due_on", "done"), ("changes", "at")],
    by=("rep",),
    rows=contacted_deals,
    caveat="What is not recorded counts as not done. How many contacts somebody has in a day says nothing of their "
    "worth and is no target.",
    why="Do our customers get conversations, or only messages?",
)
def activity_quality(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Two-way contacts, meetings and demos per active deal.

    value = two-way contacts / n, where n are the `active_deals`. A contact counts for its deal, whoever made it; credit
    goes to the deal's owner at the close or the end of the period. Not by units of time: a deal is open in many.

    Returns one row per group: n, value, low, high (95 % interval of the mean; null where no contact says its side),
    meetings and demos (per active deal), without_contact (active deals with no contact at all in the period),
    median_gap_days (between a deal's contacts), n_open (of the n, open at as_of), next_step_share, next_step_low,
    next_step_high (of those, the share with a next step set; null where plans are not recorded), and
    detail_contacts (the plain count, for a collapsed detail only).
    """
    groups = parse_by(by)
    not_by_time(groups)
    deals = with_groups(book, contacted_deals(book, period), groups, "seen_on")
    keys = group_keys(groups)
    sums = {c: deals[c] for c in COUNTED}
    sums["two_way2"] = deals["two_way"] ** 2
    sums["without_contact"] = deals["contact"] == 0
    sums["n_open"] = deals["outcome"] == "open"
    planned = knows_plans(book)
    if planned:
        steps = next_steps(book)
        sums["is_set"] = deals.index.to_series().isin(steps.index[steps["next_step"] != "without"])
    table = _with_gaps(book, deals, count_table(deals, keys, sums=sums), period, keys)
    table = complete(book, table, groups)
    known = table["n"] if knows_sides(book) else table["n"] * 0
    table["value"], table["low"], table["high"] = mean_interval(table["two_way"], table["two_way2"], known)
    active = table["n"].where(table["n"] > 0)
    table["meetings"], table["demos"] = table["meeting"] / active, table["demo"] / active
    share = wilson(table["is_set"], table["n_open"]) if planned else (np.nan, np.nan, np.nan)
    table["next_step_share"], table["next_step_low"], table["next_step_high"] = share
    table = table.rename(columns={"contact": "detail_contacts"})
    shown = ["n", "value", "low", "high", "meetings", "demos", "without_contact", "median_gap_days", "n_open"]
    shown += ["next_step_share", "next_step_low", "next_step_high", "detail_contacts"]
    return table[[*group_columns(groups), *shown]]
