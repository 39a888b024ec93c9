"""Win rate and new customers: what came of the deals that were decided."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import count_interval, mean_interval, wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount, minor_scale, money_keys
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period

AMOUNTS_KNOWN = 0.8
WINS_WITHOUT_LOSS = 10  # at even odds one export in a thousand has so many by chance
RETURNING_AFTER = pd.DateOffset(months=24)


def decided_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won, lost or void whose close lies in the period, credited to the owner at the close.

    Without a period also those with no known close.
    """
    deals = deals_of(book)
    deals = deals[(deals["outcome"] != "open") & in_period(book, period, deals["closed_on"])].copy()
    deals["rep_id"] = owner_at(book, deals.index.to_series(), deals["closed_at"])
    return deals


def decisions(book: Book, by: Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Count table of decided deals: the groups, outcome, currency, n, amount_minor, n_amount, amount2."""
    deals = with_groups(book, decided_deals(book, period), by, "closed_on")
    return count_table(deals, [*group_keys(by), "outcome", "currency"], money="amount_minor")


def only_wins(book: Book) -> bool:
    """Whether so many deals are won, and none lost, that the lost ones were more likely not exported."""
    outcomes = book.deals["outcome"]
    return bool((outcomes == "won").sum() >= WINS_WITHOUT_LOSS and not (outcomes == "lost").any())


def need_losses(book: Book) -> None:
    """Raise Unavailable where the export has wins only. The deals of one rep or team may well be such by themselves."""
    if only_wins(book) and not book.origin.get("slice"):
        raise Unavailable(
            "not one deal in the data is lost: an export of won deals only cannot give a win rate. Export the lost "
            "deals too"
        )


def _counted(book: Book, period: Period) -> pd.DataFrame:
    need_losses(book)
    deals = decided_deals(book, period)
    return deals[deals["outcome"].isin(["won", "lost"])]


@metric(
    "Win rate",
    "Won deals / (won + lost) deals. Open and void deals count on neither side.",
    basis="day of the decision",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome")],
    by=("rep",),
    rows=_counted,
    caveat="Deals that nobody closes never enter it. Void deals are shown beside it. Where none is lost, ask whether "
    "the export leaves lost deals out.",
)
def win_rate(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of decided deals that were won.

    value = won / (won + lost), by the day of the decision. Open and void deals count on neither side. Credit goes to
    the owner at the close. Raises Unavailable where the export has won deals only.

    Returns one row per group: n, won, lost, void, value, low, high (95 % Wilson), and with amounts won_amount,
    lost_amount (null where none of the deals has one) and value_by_amount (null unless 80 % of the won and of the lost
    deals have one); in units of the currency, with one row per currency if there are several.
    """
    need_losses(book)
    groups = parse_by(by)
    deals = with_groups(book, decided_deals(book, period), groups, "closed_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    sums = {}
    for outcome in ("won", "lost", "void"):
        is_so = deals["outcome"] == outcome
        sums[outcome] = is_so
        sums[f"{outcome}_minor"] = deals["amount_minor"].where(is_so, 0).fillna(0)
        sums[f"{outcome}_known"] = deals["amount_minor"].notna() & is_so
    table = complete(book, count_table(deals, keys, sums=sums), groups)
    table["n"] = table["won"] + table["lost"]
    table["value"], table["low"], table["high"] = wilson(table["won"], table["n"])
    shown = ["n", "won", "lost", "void", "value", "low", "high"]
    if book.has("deals", "amount_minor"):
        table["won_amount"] = known_amount(book, table, "won_minor", "won", "won_known")
        table["lost_amount"] = known_amount(book, table, "lost_minor", "lost", "lost_known")
        both = (table["won_minor"] + table["lost_minor"]).astype("float64")
        known = (table["won_known"] >= AMOUNTS_KNOWN * table["won"]) & (
            table["lost_known"] >= AMOUNTS_KNOWN * table["lost"]
        )
        table["value_by_amount"] = table["won_minor"] / both.where(known & (both > 0))
        shown += ["won_amount", "lost_amount", "value_by_amount"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]


def first_wins(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The won deals that were an account's first ever, decided in the period.

    `returning` marks a win after 24 months without one.
    """
    deals = decided_deals(book)
    won = deals[(deals["outcome"] == "won") & deals["account_id"].notna() & deals["closed_on"].notna()]
    won = won.sort_values(["account_id", "closed_at", "deal_id"])
    before = won.groupby("account_id")["closed_on"].shift()
    won["returning"] = (before + RETURNING_AFTER) < won["closed_on"]
    kept = won[before.isna() | won["returning"]]
    return kept[in_period(book, period, kept["closed_on"])].sort_index()


def _new_rows(book: Book, period: Period) -> pd.DataFrame:
    wins = first_wins(book, period)
    return wins[~wins["returning"]]


@metric(
    "New customers",
    "Accounts whose first won deal ever was decided in the period. Accounts that return after 24 months are counted "
    "apart.",
    basis="day of the first win",
    interval="95 % interval of the count (how far chance alone would move it)",
    unit="count",
    needs=[("deals", "account_id"), ("deals", "closed_at")],
    by=("lead_source",),
    rows=_new_rows,
    caveat="An account that bought before the data begin counts as new at its first win in the data.",
)
def new_customers(
    book: Book, by: str | Sequence[str] = "lead_source", period: str | Period | None = None
) -> pd.DataFrame:
    """Accounts that bought for the first time.

    An account is new on the day of its first won deal ever; a win more than 24 months after the last one is
    `returning`. Won deals without an account or without a close date cannot be placed and are left out.

    Returns one row per group: n, value (= n), low, high (Byar's Poisson interval), returning, first_amount (sum of the
    first deals; null where none has an amount), mean_first_amount with mean_low and mean_high (units of the currency).
    """
    groups = parse_by(by)
    wins = with_groups(book, first_wins(book, period), groups, "closed_on")
    new = ~wins["returning"]
    wins["first_minor"] = wins["amount_minor"].where(new)
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(wins)]))
    counts = count_table(wins, keys, money="first_minor", sums={"new": new, "returning": wins["returning"]})
    table = complete(book, counts.drop(columns="n").rename(columns={"new": "n"}), groups)
    table["value"] = table["n"].astype("float64")
    table["low"], table["high"] = count_interval(table["n"])
    table["first_amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    scale = minor_scale(book, table)
    squares = table["amount2"].fillna(0) / scale**2
    mean, low, high = mean_interval(table["amount_minor"] / scale, squares, table["n_amount"])
    table["mean_first_amount"], table["mean_low"], table["mean_high"] = mean, low, high
    shown = ["n", "value", "low", "high", "returning", "first_amount", "mean_first_amount", "mean_low", "mean_high"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(wins), *shown]))]
