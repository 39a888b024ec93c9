"""Sales cycle: how long it takes from first contact to a decision, counting the deals still open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import mean_interval
from salescoach.metrics.groups import complete, group_columns, parse_by, with_groups
from salescoach.metrics.ladder import NO_AGE, ladder_codes
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.times import medians
from salescoach.metrics.visits import deals_of
from salescoach.process import Period


def first_contact(book: Book) -> pd.Series:
    """The first contact of each deal: its lead's creation or its first activity, whichever was first, else its own creation."""
    deals = deals_of(book)
    start = deals["created_at"]
    for earlier in (_lead_created(book, deals), _first_activity(book, deals)):
        start = start.where(~(earlier < start), earlier)
    return start


def _lead_created(book: Book, deals: pd.DataFrame) -> pd.Series:
    nothing = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    if "leads" not in book.tables:
        return nothing
    leads = book.tables["leads"]
    created = nothing
    if "lead_id" in deals:
        created = deals["lead_id"].map(leads.drop_duplicates("lead_id").set_index("lead_id")["created_at"])
    if "deal_id" in leads:
        by_deal = leads.dropna(subset=["deal_id"]).groupby("deal_id")["created_at"].min()
        created = created.where(created.notna(), deals["deal_id"].map(by_deal))
    return created


def _first_activity(book: Book, deals: pd.DataFrame) -> pd.Series:
    if not book.has("activities", "deal_id"):
        return pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    first = book.tables["activities"].groupby("deal_id")["at"].min()
    return deals["deal_id"].map(first)


def started_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Deals with a known start in the period (void ones left out): started_on, ended, won, age, days."""
    deals = deals_of(book)
    deals["start"] = first_contact(book)
    deals["started_on"] = book.local_days(deals["start"])
    span = as_period(book, period)
    known = (
        deals["start"].notna()
        & (deals["outcome"] != "void")
        & ~(deals["outcome"].isin(["won", "lost"]) & deals["closed_at"].isna())
    )
    deals = deals[known & span.contains(deals["started_on"])].copy()
    end = deals["closed_at"].fillna(book.as_of)
    by_day = book.by_day_only("deals", "created_at") or book.by_day_only("deals", "closed_at")
    deals["age"] = ladder_codes(deals["start"], end, book.timezone, by_day)
    deals["days"] = (book.local_days(end) - deals["started_on"]).dt.days
    deals["ended"] = deals["outcome"].isin(["won", "lost"])
    deals["won"] = deals["outcome"] == "won"
    return deals[deals["age"] != NO_AGE]


@metric(
    "Sales cycle",
    "Days from first contact (the lead or the first activity, else the deal's creation) to a decision: the median by "
    "Kaplan-Meier, in which open deals count as not decided yet. Beside it the plain mean over won deals.",
    basis="day of the first contact",
    interval="95 % Brookmeyer-Crowley interval of the median",
    unit="days",
    needs=[("deals", "created_at"), ("deals", "closed_at")],
    by=("rep",),
    rows=started_deals,
    caveat="The plain mean over won deals leaves out everything that is slow and still open.",
)
def sales_cycle(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Days from first contact to a decision, for deals that started in the period.

    value: Kaplan-Meier median to any decision, open deals censored at as_of (null: half are not decided yet).
    mean_won: plain mean over won deals, in calendar days.

    Returns one row per group: n (deals), decided, won, open, value, low, high (95 % Brookmeyer-Crowley, log-log), p25, p75, p90,
    mean_won, mean_won_low, mean_won_high (days).
    """
    groups = parse_by(by)
    deals = with_groups(book, started_deals(book, period), groups, "started_on")
    if deals.empty:
        raise Unavailable("no deal with a known start lies in the period")
    keys = [c for c in group_columns(groups) if c != "rep"]
    days = deals["days"].where(deals["won"], 0)
    counts = count_table(
        deals, [*keys, "age", "ended"], sums={"won": deals["won"], "won_days": days, "won_days2": days**2}
    )
    table = add_up(counts, keys).drop(columns=[c for c in ("age", "ended") if c not in keys], errors="ignore")
    decided = add_up(counts[counts["ended"]], keys)
    table = _merge(table, decided[[*keys, "n"]].rename(columns={"n": "decided"}), keys)
    table = _merge(table, medians(counts, keys), keys)
    table = complete(book, table, groups)
    table["decided"] = table["decided"].fillna(0).astype("int64")
    table["open"] = table["n"] - table["decided"]
    table["mean_won"], table["mean_won_low"], table["mean_won_high"] = mean_interval(
        table["won_days"], table["won_days2"], table["won"]
    )
    shown = [
        "n",
        "decided",
        "won",
        "open",
        "value",
        "low",
        "high",
        "p25",
        "p75",
        "p90",
        "mean_won",
        "mean_won_low",
        "mean_won_high",
    ]
    return table[[*group_columns(groups), *shown]]


def _merge(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    if keys:
        return left.merge(right, on=keys, how="left", validate="1:1")
    if right.empty:
        right = pd.DataFrame(np.nan, index=[0], columns=right.columns)
    return pd.concat([left.reset_index(drop=True), right.reset_index(drop=True)], axis=1)
