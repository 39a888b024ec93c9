"""Sales cycle: how long it takes from first contact to a decision, counting the deals still open."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import mean_interval
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.ladder import NO_AGE, ladder_codes
from salescoach.metrics.registry import in_period, metric, only
from salescoach.metrics.times import beside, medians, won_within
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period

WITHIN_DAYS = (90, 180, 365)


def first_contact(book: Book) -> pd.Series:
    """The first contact of each deal: its lead, its first activity or its own creation, whichever was first."""
    deals = deals_of(book)
    starts = [deals["created_at"], *_lead_created(book, deals), *_first_activity(book, deals)]
    return pd.concat(starts, axis=1).min(axis=1) if len(starts) > 1 else starts[0]


def _lead_created(book: Book, deals: pd.DataFrame) -> list[pd.Series]:
    if "leads" not in book.tables:
        return []
    leads = book.tables["leads"]
    found = []
    if "lead_id" in deals:
        found.append(looked_up(deals["lead_id"], leads.set_index("lead_id")["created_at"]))
    if "deal_id" in leads:
        found.append(looked_up(deals["deal_id"], leads.groupby("deal_id")["created_at"].min()))
    return found


def _first_activity(book: Book, deals: pd.DataFrame) -> list[pd.Series]:
    if not book.has("activities", "deal_id"):
        return []
    return [deals["deal_id"].map(book.tables["activities"].groupby("deal_id")["at"].min())]


def started_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Deals whose first contact lies in the period, followed from there: the columns of `followed_deals`."""
    deals = _ever_started(book)
    return only(deals, in_period(book, period, deals["started_on"]))


@per_book
def _ever_started(book: Book) -> pd.DataFrame:
    return followed_deals(book, first_contact(book), book.by_day_only("deals", "created_at"))


def followed_deals(book: Book, start: pd.Series, by_day_only: bool) -> pd.DataFrame:
    """Deals that ever started (void ones left out), from the start to the decision: started_on, ended, won, age, days.

    start    the instant from which each deal is followed; by_day_only: without a time of day

    Left out too: deals without a start, decided ones without a close date, and those that closed before they began.
    Open deals are followed to as_of. Credit goes to the owner at the close, or now.
    """
    deals = deals_of(book)
    deals["started_on"] = book.local_days(start)
    deals["ended"] = deals["outcome"].isin(["won", "lost"])
    deals["won"] = deals["outcome"] == "won"
    end = deals["closed_at"].where(deals["ended"], book.as_of)
    by_day = by_day_only or book.by_day_only("deals", "closed_at")
    deals["age"] = ladder_codes(start, end, book.timezone, by_day)
    deals["days"] = (book.local_days(end) - deals["started_on"]).dt.days
    deals["rep_id"] = owner_at(book, deals.index.to_series(), deals["closed_at"])
    counted = (deals["outcome"] != "void") & (deals["age"] != NO_AGE)
    return only(deals, counted)


@metric(
    "Sales cycle",
    "Days from first contact (the lead or the first activity, else the deal's creation) to a decision: the median by "
    "Kaplan-Meier, in which open deals count as not decided yet. Beside it the share won within 90, 180 and "
    "365 days, with losses as the competing end, and the plain mean over won deals.",
    basis="day of the first contact",
    interval="95 % Brookmeyer-Crowley interval of the median; Aalen-Johansen, log(-log), for the shares won",
    unit="days",
    needs=[("deals", "created_at"), ("deals", "closed_at")],
    by=("rep",),
    rows=started_deals,
    caveat="The plain mean over won deals leaves out everything that is slow and still open.",
    why="How long does a customer take to decide, so that we know what must be begun today for next quarter?",
    uses=[("leads", "created_at"), ("activities", "at"), ("changes", "at")],
)
def sales_cycle(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Days from first contact to a decision, for deals that started in the period.

    value: Kaplan-Meier median to any decision, open deals censored at as_of (null: half are not decided yet).
    mean_won: plain mean over won deals, in calendar days.

    won_within_90, _180, _365: share won within so many days (Aalen-Johansen: a loss is the competing end, open deals
    are censored; null: nobody was followed so long).

    Returns one row per group: n (deals), decided, won, open, value, low, high (95 % Brookmeyer-Crowley, log-log), p25,
    p75, p90, mean_won, mean_won_low, mean_won_high (days), and each won_within_… with …_low and …_high.
    """
    groups = parse_by(by)
    deals = with_groups(book, started_deals(book, period), groups, "started_on")
    if deals.empty:
        raise Unavailable("no deal with a known start lies in the period")
    keys = group_keys(groups)
    days = deals["days"].where(deals["won"], 0)
    sums = {"decided": deals["ended"], "won": deals["won"], "won_days": days, "won_days2": days**2}
    counts = count_table(deals, [*keys, "age", "ended"], sums=sums)
    table = add_up(counts.drop(columns=["age", "ended"]), keys)
    table = beside(table, medians(counts, keys), keys)
    table = beside(table, _won_within(counts, keys), keys)
    table = complete(book, table, groups)
    table["open"] = table["n"] - table["decided"]
    mean, low, high = mean_interval(table["won_days"], table["won_days2"], table["won"])
    table["mean_won"], table["mean_won_low"], table["mean_won_high"] = mean, low, high
    shown = ["n", "decided", "won", "open", "value", "low", "high", "p25", "p75", "p90"]
    shown += ["mean_won", "mean_won_low", "mean_won_high"]
    return table[[*group_columns(groups), *shown, *(c for c in table if str(c).startswith("won_within_"))]]


def _won_within(counts: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row per group: the share won within each number of days, with its interval."""
    long = won_within(counts, keys, WITHIN_DAYS)
    parts = []
    for days in WITHIN_DAYS:
        at = long[long["within_days"] == days].reset_index(drop=True)
        name = f"won_within_{days}"
        parts.append(at.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"}))
    found = pd.concat(parts, axis=1)
    wide = found.loc[:, ~found.columns.duplicated()]
    return wide[[*keys, *(c for c in wide if str(c).startswith("won_within_"))]]
