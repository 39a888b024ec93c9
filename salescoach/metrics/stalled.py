"""Stalled and zombie deals: open deals that no longer move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable
from salescoach.metrics.contacts import contacts, days_since, knows_contacts, knows_sides
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import (
    TYPICAL_NEEDS,
    TYPICAL_SHARE,
    due_in,
    open_deals,
    placed,
    timed_passages,
    typical_days,
)
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by
from salescoach.metrics.kept import per_book
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.registry import metric
from salescoach.metrics.visits import deals_of, history_of
from salescoach.process import Period

OVERDUE_DAYS = 30
QUIET_DAYS = 60
WINS_NEEDED = 10  # "older than any deal ever won" says little beside one win


# --- stalled ---------------------------------------------------------------------------------------


def silence_limit(book: Book) -> float:
    """Days that 80 % of the gaps between two-way contacts of won deals stayed within; null under 20 gaps.

    The gaps run from creation over every two-way contact to the close, of won deals whose contacts all say from which
    side they came.
    """
    if not knows_sides(book):
        return np.nan
    deals, said = deals_of(book), contacts(book)
    won = deals[(deals["outcome"] == "won") & deals["created_at"].notna() & deals["closed_at"].notna()]
    won = won[~won.index.isin(said.loc[~said["known"], "deal"])]
    said = said[said["two_way"] & said["deal"].isin(won.index)]
    said = said[said["at"] <= won["closed_at"].reindex(said["deal"]).set_axis(said.index)]
    stamps = pd.concat(
        [
            said[["deal", "at"]],
            pd.DataFrame({"deal": won.index, "at": won["created_at"]}),
            pd.DataFrame({"deal": won.index, "at": won["closed_at"]}),
        ],
        ignore_index=True,
    ).sort_values(["deal", "at"], kind="stable", ignore_index=True)
    day = book.local_days(stamps["at"])
    gap = (day - day.shift()).dt.days[stamps["deal"] == stamps["deal"].shift()]
    return float(gap.quantile(TYPICAL_SHARE)) if len(gap) >= TYPICAL_NEEDS else np.nan


def _silent_days(book: Book, deals: pd.DataFrame) -> pd.Series:
    """Days since the last two-way contact, else since creation; null where a later contact does not say its side."""
    if not knows_sides(book):
        return pd.Series(np.nan, deals.index)
    said = contacts(book)
    two_way, unknown = (
        said[said[c] == v].groupby("deal")["at"].max() for c, v in (("two_way", True), ("known", False))
    )
    last = two_way.reindex(deals.index).fillna(deals["created_at"])
    hidden = unknown.reindex(deals.index) > last
    return days_since(book, deals.index.to_series(), last.mask(hidden))


def advance_limits(book: Book, deals: pd.DataFrame) -> pd.Series:
    """For each deal, the days within which 80 % of those that went deeper from its stage did so.

    Among deals of its segment, or of all segments where fewer than 20 of its own did; null under 20 of all.
    """
    whole = typical_days(book)
    if whole.empty:
        return pd.Series(np.nan, deals.index)
    limit = pd.Series(whole.reindex(pd.MultiIndex.from_frame(deals[["pipeline", "stage"]])).to_numpy(), deals.index)
    if "segment" not in deals:
        return limit
    gone = timed_passages(book)
    gone = gone[gone["fate"] == "deeper"]
    gone["segment"] = deals_of(book)["segment"].reindex(gone["deal"]).to_numpy()
    grouped = gone[gone["segment"].notna()].groupby(["pipeline", "stage", "segment"])["days"]
    own = grouped.quantile(TYPICAL_SHARE).where(grouped.size() >= TYPICAL_NEEDS)
    at = pd.MultiIndex.from_frame(deals[["pipeline", "stage", "segment"]])
    return pd.Series(own.reindex(at).to_numpy(), deals.index).fillna(limit)


@per_book
def stalled_deals(book: Book) -> pd.DataFrame:
    """Every open deal with what is known of its standstill.

    The columns of `open_deals`, and limit_days (of its age), by_age; silent_days (since the last two-way contact),
    silence_limit_days, by_silence; stalled (either), judged (at least one of the two could be told), and rule: age,
    silence, both, none or unknown.
    """
    deals = open_deals(book)
    deals["limit_days"] = advance_limits(book, deals)
    deals["silent_days"] = _silent_days(book, deals)
    deals["silence_limit_days"] = silence_limit(book)
    deals["by_age"] = deals["age_days"] > deals["limit_days"]
    deals["by_silence"] = deals["silent_days"] > deals["silence_limit_days"]
    deals["stalled"] = deals["by_age"] | deals["by_silence"]
    deals["judged"] = deals[["age_days", "limit_days"]].notna().all(axis=1) | deals[
        ["silent_days", "silence_limit_days"]
    ].notna().all(axis=1)
    rules = [deals["by_age"] & deals["by_silence"], deals["by_age"], deals["by_silence"], deals["judged"]]
    deals["rule"] = pd.Series(np.select(rules, ["both", "age", "silence", "none"], "unknown"), deals.index, dtype="str")
    return deals


def _judged_rows(book: Book, period: Period) -> pd.DataFrame:
    deals = due_in(book, stalled_deals(book), period)
    return deals[deals["judged"]]


@metric(
    "Stalled deals",
    "Share of open deals that have stood in their stage for longer than 80 % of the deals of their segment that went "
    "on from it, or whose customer has kept silent for longer than 80 % of the gaps between two-way contacts of won "
    "deals. Two-way: the customer's own contact, a meeting or a demo.",
    basis="the state of the day of the data; a period or a group of time means the expected close",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome")],
    uses=[("stage_history", "entered_at"), ("activities", "deal_id", "direction"), ("deals", "segment")],
    by=("rep",),
    rows=_judged_rows,
    caveat="Where neither the age in the stage nor the silence is known, the deal is counted apart as unknown.",
    stock=True,
    why="Which open deals need a decision now, because deals that stood so long rarely went on?",
)
def stalled(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of open deals that stand still.

    value = stalled / n, where n are the open deals of which at least one rule can be told. A deal is stalled by age
    where its present stay is longer than `limit_days` (`advance_limits`), by silence where its last two-way contact is
    longer ago than `silence_limit`.

    Returns one row per group: n, stalled, by_age, by_silence (a deal may be in both), unknown (open deals of which
    neither can be told), value, low, high (95 % Wilson), silence_limit_days. Raises Unavailable where nothing can be
    told of any open deal.
    """
    groups = parse_by(by)
    deals = due_in(book, stalled_deals(book), period)
    if len(deals) and not stalled_deals(book)["judged"].any():
        raise Unavailable(
            "neither how long deals stand in their stage nor when their customers were last in touch can be told for "
            "any open deal"
        )
    deals = placed(book, deals, groups)
    sums = {c: deals[c] for c in ("judged", "stalled", "by_age", "by_silence")}
    table = complete(book, count_table(deals, group_keys(groups), sums=sums), groups)
    table["unknown"] = table["n"] - table["judged"]
    table["n"] = table["judged"]
    table["value"], table["low"], table["high"] = wilson(table["stalled"], table["n"])
    table["silence_limit_days"] = silence_limit(book)
    shown = ["n", "stalled", "by_age", "by_silence", "unknown", "value", "low", "high", "silence_limit_days"]
    return table[[*group_columns(groups), *shown]]


# --- zombies ---------------------------------------------------------------------------------------


def last_sign(book: Book) -> tuple[pd.Series, str]:
    """The last sign of life of each deal (UTC), and what it is: "contact", or "movement" without activities of deals.

    A contact is any done call, email, meeting, demo or the like in either direction, else the creation. A movement is
    the latest of creation, stage entry, recorded change and the CRM's `updated_at`.
    """
    deals = deals_of(book)
    if knows_contacts(book):
        return contacts(book).groupby("deal")["at"].max().reindex(deals.index).fillna(deals["created_at"]), "contact"
    signs = [deals[c] for c in ("created_at", "updated_at", "stage_changed_at") if c in deals]
    if book.has("stage_history", "entered_at"):
        signs.append(history_of(book).groupby("deal")["entered_at"].max().reindex(deals.index))
    if book.has("changes", "at"):
        latest = book.table("changes").groupby("deal_id")["at"].max()
        signs.append(looked_up(deals["deal_id"], latest))
    return pd.concat([s.astype("datetime64[us, UTC]") for s in signs], axis=1).max(axis=1), "movement"


def longest_win(book: Book) -> float:
    """Calendar days from creation to close of the won deal that took longest; null under 10 wins with both dates."""
    deals = deals_of(book)
    won = deals[deals["outcome"] == "won"]
    days = (won["closed_on"] - won["created_on"]).dt.days.dropna()
    return float(days.max()) if len(days) >= WINS_NEEDED else np.nan


@per_book
def watched_deals(book: Book) -> pd.DataFrame:
    """Every open deal with what is known of its being a zombie.

    The columns of `open_deals`, and overdue_days (since the expected close; negative before it), quiet_days and
    quiet_since (`last_sign`), open_days (since creation), longest_win_days; overdue (over 30 days past its expected
    close and quiet for over 60), outlived (open for longer than any won deal took), zombie (either), judged (at
    least one of the two could be told).
    """
    deals = open_deals(book)
    expected = deals["expected_close_on"] if "expected_close_on" in deals else pd.Series(pd.NaT, deals.index)
    deals["overdue_days"] = (book.as_of_on - expected.astype("datetime64[us]")).dt.days
    sign, kind = last_sign(book)
    deals["quiet_days"] = days_since(book, deals.index.to_series(), sign)
    deals["quiet_since"] = pd.Series(kind, deals.index, dtype="str")
    deals["open_days"] = (book.as_of_on - deals["created_on"]).dt.days
    deals["longest_win_days"] = longest_win(book)
    late, quiet = deals["overdue_days"] > OVERDUE_DAYS, deals["quiet_days"] > QUIET_DAYS
    deals["overdue"] = late & quiet
    deals["outlived"] = deals["open_days"] > deals["longest_win_days"]
    deals["zombie"] = deals["overdue"] | deals["outlived"]
    on_time = deals["overdue_days"].notna() & ~late
    lively = deals["quiet_days"].notna() & ~quiet
    deals["judged"] = (
        on_time
        | lively
        | deals[["overdue_days", "quiet_days"]].notna().all(axis=1)
        | deals[["open_days", "longest_win_days"]].notna().all(axis=1)
    )
    return deals


def zombie_deals(book: Book) -> pd.DataFrame:
    """The open deals that are zombies, with the reasons: the columns of `watched_deals`.

    They move the *bounds* of other figures and are never dropped from any.
    """
    deals = watched_deals(book)
    return deals[deals["zombie"]]


def _watched_rows(book: Book, period: Period) -> pd.DataFrame:
    deals = due_in(book, watched_deals(book), period)
    return deals[deals["judged"]]


@metric(
    "Zombie deals",
    "Share of open deals whose expected close passed over 30 days ago and that had no contact for over 60 days, or "
    "that are open for longer than any deal ever won took.",
    basis="the state of the day of the data; a period or a group of time means the expected close",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome")],
    uses=[("deals", "expected_close_on"), ("deals", "created_at"), ("activities", "deal_id"), ("deals", "updated_at")],
    by=("rep",),
    rows=_watched_rows,
    caveat="Where activities name no deals, the last recorded movement of the deal stands in for the last contact. "
    "Zombies stay in every figure; they give its range.",
    stock=True,
    why="How much of the pipeline is probably dead, and how far does that move other figures?",
)
def zombies(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of open deals that are probably dead.

    value = zombies / n, where n are the open deals of which at least one rule can be told (`watched_deals`). The age
    of a deal is compared with the longest win only where at least 10 deals were won.

    Returns one row per group: n, zombies, overdue, outlived (a deal may be in both), unknown, value, low, high (95 %
    Wilson), amount (of the zombies, in units of the currency; null where none of them has one), open_amount (of the n),
    without_amount (zombies), quiet_since ("contact" or "movement"). One row per currency if there are several.
    """
    groups = parse_by(by)
    deals = placed(book, due_in(book, watched_deals(book), period), groups)
    if len(deals) and not watched_deals(book)["judged"].any():
        raise Unavailable("open deals have neither an expected close nor a creation date to compare with won deals")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    minor = deals["amount_minor"]
    sums = {c: deals[c] for c in ("judged", "zombie", "overdue", "outlived")}
    sums["zombie_minor"] = minor.where(deals["zombie"], 0).fillna(0)
    sums["zombie_known"] = minor.notna() & deals["zombie"]
    sums["open_minor"] = minor.where(deals["judged"], 0).fillna(0)
    sums["open_known"] = minor.notna() & deals["judged"]
    table = complete(book, count_table(deals, keys, sums=sums).rename(columns={"zombie": "zombies"}), groups)
    table["unknown"] = table["n"] - table["judged"]
    table["n"] = table["judged"]
    table["value"], table["low"], table["high"] = wilson(table["zombies"], table["n"])
    table["amount"] = known_amount(book, table, "zombie_minor", "zombies", "zombie_known")
    table["open_amount"] = known_amount(book, table, "open_minor", "n", "open_known")
    table["without_amount"] = table["zombies"] - table["zombie_known"]
    table["quiet_since"] = last_sign(book)[1]
    shown = ["n", "zombies", "overdue", "outlived", "unknown", "value", "low", "high"]
    shown += ["amount", "open_amount", "without_amount", "quiet_since"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]
