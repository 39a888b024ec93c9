"""The records a driver fit is made of: decided deals or ended passages, each with what was known at its start."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable
from salescoach.metrics.flow import ended_passages
from salescoach.metrics.outcomes import decided_deals, need_losses
from salescoach.metrics.visits import owner_at, visits
from salescoach.process import Period, period_of
from salescoach.process.periods import parse_period

ANSWERED = "response_hours"
QUARTER_END = "quarter_end"
INDUSTRY = "industry"
OF_ACCOUNTS = (INDUSTRY, "size")


def won_units(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Deals won or lost in the period: the deals' columns as at creation, with deal, counted_on, at and `outcome` 0/1.

    quarter_end says whether the decision came in the last month of a quarter; response_hours how long the deal's lead
    waited for its first answer; industry and size are the account's.
    """
    need_losses(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    if deals.empty:
        raise Unavailable("no deal was won or lost in the period")
    units = deals.assign(deal=deals.index, counted_on=deals["closed_on"], at=deals["created_at"])
    units[QUARTER_END] = _quarter_ends(book, units["counted_on"])
    return _as_at_the_start(book, units.assign(outcome=(deals["outcome"] == "won").astype("int64")))


def stage_units(
    book: Book, stage: str, period: str | Period | None = None, pipeline: str | None = None
) -> pd.DataFrame:
    """Passages through a stage that ended or matured in the period, with the deals' columns as at the entry.

    As `won_units`; `outcome` is 1 for what went on. A passage without an entry of its own counts from its deal's
    creation.
    """
    rows = ended_passages(book, period)
    rows = rows[(rows["stage"] == stage) & ((rows["pipeline"] == pipeline) | (pipeline is None))]
    if rows.empty:
        raise Unavailable("no deal's time in the stage ended in the period")
    stays = visits(book)
    stays = stays[stays["first"] & (stays["stage"] == stage)].drop_duplicates("deal")
    entered = looked_up(rows["deal"], stays.set_index("deal")["entered_at"]).astype("datetime64[us, UTC]")
    units = rows.assign(at=entered.fillna(rows["created_at"]), outcome=rows["went_on"].astype("int64"))
    return _as_at_the_start(book, units)


def _as_at_the_start(book: Book, units: pd.DataFrame) -> pd.DataFrame:
    units = units.reset_index(drop=True)
    units["rep_id"] = owner_at(book, units["deal"], units["at"])
    if "amount" in units:
        amount = amount_at(book, units)
        units["amount"] = amount.where(amount > 0)  # 0 is what a CRM writes where nobody entered one
    if book.has("leads", "first_response_at", "created_at") and book.has("deals", "lead_id"):
        units[ANSWERED] = _response_hours(book, units)
    if book.has("accounts", "account_id") and book.has("deals", "account_id"):
        accounts = book.table("accounts").drop_duplicates("account_id").set_index("account_id")
        for name in OF_ACCOUNTS:
            if name in accounts and name not in units:
                units[name] = units["account_id"].map(accounts[name]).astype("str")
    return units


def amount_at(book: Book, units: pd.DataFrame) -> pd.Series:
    """The amount of each record's deal at its instant `at`, wound back where changes are logged."""
    now = units["amount"].astype("float64")
    if not book.has("changes", "at", "old"):
        return now
    changes = book.table("changes")
    changes = changes[(changes["field"] == "amount") & changes["old"].notna()]
    changes = changes.assign(was=pd.to_numeric(changes["old"], errors="coerce")).dropna(subset=["was", "at"])
    asked = units.loc[units["at"].notna() & units["deal_id"].isin(changes["deal_id"]), ["deal_id", "at"]]
    if asked.empty:
        return now
    asked = asked.assign(place=asked.index, at=asked["at"].astype("datetime64[us, UTC]")).sort_values("at")
    log = changes[["deal_id", "at", "was"]].assign(at=changes["at"].astype("datetime64[us, UTC]")).sort_values("at")
    # the first change after the instant says what stood there before it
    found = pd.merge_asof(asked, log, on="at", by="deal_id", direction="forward", allow_exact_matches=False)
    found = found.dropna(subset="was")
    then = now.to_numpy(copy=True)
    then[found["place"].to_numpy(np.int64)] = found["was"]
    return pd.Series(then, units.index)


def _response_hours(book: Book, units: pd.DataFrame) -> pd.Series:
    """Hours from the lead to its first answer; null where there is no lead, or no answer before the record began."""
    leads = book.table("leads").drop_duplicates("lead_id").set_index("lead_id")
    asked, answered = (looked_up(units["lead_id"], leads[c]).astype("datetime64[us, UTC]") for c in _ANSWER)
    hours = (answered - asked).dt.total_seconds() / 3600
    return hours.where((hours > 0) & (answered <= units["at"]))


_ANSWER = ("created_at", "first_response_at")


def _quarter_ends(book: Book, days: pd.Series) -> pd.Series:
    """ "yes" in the last month of a fiscal quarter, else "no"; null where the day is unknown."""
    labels = period_of(days, "fiscal_quarter", book.process).astype("str")
    known = days.notna()
    ends = {
        label: pd.Timestamp(parse_period(label, book.process, book.as_of_on.date()).end_on)
        for label in labels[known].unique()
    }
    last = labels.where(known).map(ends).astype("datetime64[us]")
    month = (last.dt.year == days.dt.year) & (last.dt.month == days.dt.month)
    in_weeks = ~last.dt.is_month_end & ((last - days).dt.days < 28)
    return pd.Series(np.where(month | in_weeks, "yes", "no"), days.index, dtype="str").where(known)
