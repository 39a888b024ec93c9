"""Win rate and new customers: what came of the deals that were decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import count_interval, mean_interval, wilson
from salescoach.metrics.groups import complete, group_columns, parse_by, with_groups
from salescoach.metrics.money import major, money_keys
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.visits import deals_of
from salescoach.process import Period

AMOUNTS_KNOWN = 0.8
RETURNING_AFTER = pd.DateOffset(months=24)


def decided_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won, lost or void whose close lies in the period. Without a period also those with no known close."""
    deals = deals_of(book)
    deals = deals[deals["outcome"] != "open"]
    span = as_period(book, period)
    inside = span.contains(deals["closed_on"])
    if span.start_on is None:
        inside |= deals["closed_on"].isna().to_numpy()
    return deals[inside]


def decisions(book: Book, by: Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Count table of decided deals: the groups, outcome, currency, n, amount_minor, n_amount, amount2."""
    deals = with_groups(book, decided_deals(book, period), by, "closed_on")
    return count_table(
        deals, [*(c for c in group_columns(by) if c != "rep"), "outcome", "currency"], money="amount_minor"
    )


def _counted(book: Book, period: Period) -> pd.DataFrame:
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
    caveat="Deals that nobody closes never enter it. Void deals are shown beside it.",
)
def win_rate(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of decided deals that were won.

    won / (won + lost), by the day of the decision. Open and void deals count on neither side.

    Returns one row per group: n, won, lost, void, value, low, high (95 % Wilson), and with amounts won_amount, lost_amount,
    value_by_amount (null unless 80 % of the won and of the lost deals have an amount); in units of the currency, with one row per
    currency if there are several.
    """
    groups = parse_by(by)
    counts = decisions(book, groups, period)
    keys = [c for c in group_columns(groups) if c != "rep"] + money_keys(counts)
    table = _wide(counts, keys)
    table = table if not keys else table.sort_values(keys, ignore_index=True)
    table = complete(book, table, groups)
    table["n"] = table["won"] + table["lost"]
    table["value"], table["low"], table["high"] = wilson(table["won"], table["n"])
    front = [*group_columns(groups), *money_keys(counts), "n", "won", "lost", "void", "value", "low", "high"]
    if book.has("deals", "amount_minor"):
        table["won_amount"] = major(book, table, "won_minor")
        table["lost_amount"] = major(book, table, "lost_minor")
        both = (table["won_minor"] + table["lost_minor"]).astype("float64")
        known = (table["won_known"] >= AMOUNTS_KNOWN * table["won"]) & (
            table["lost_known"] >= AMOUNTS_KNOWN * table["lost"]
        )
        table["value_by_amount"] = table["won_minor"] / both.where(known & (both > 0))
        front += ["won_amount", "lost_amount", "value_by_amount"]
    return table[front]


def _wide(counts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """won, lost, void and their amounts side by side."""
    parts = []
    for outcome in ("won", "lost", "void"):
        rows = add_up(counts[counts["outcome"] == outcome], keys)
        names = {"n": outcome, "amount_minor": f"{outcome}_minor", "n_amount": f"{outcome}_known"}
        parts.append(rows[[*keys, *names]].rename(columns=names))
    if not keys:
        return pd.concat([p.reset_index(drop=True) for p in parts], axis=1).fillna(0).astype("int64")
    table = parts[0]
    for part in parts[1:]:
        table = table.merge(part, on=keys, how="outer", validate="1:1")
    numbers = [c for c in table if c not in keys]
    return table.assign(**{c: table[c].fillna(0).astype("int64") for c in numbers})


def first_wins(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The won deals that were an account's first ever, decided in the period; `returning` marks a win after 24 months without."""
    deals = deals_of(book)
    won = deals[(deals["outcome"] == "won") & deals["account_id"].notna() & deals["closed_on"].notna()]
    won = won.sort_values(["account_id", "closed_at", "deal_id"])
    before = won.groupby("account_id")["closed_on"].shift()
    won["returning"] = (before + RETURNING_AFTER) < won["closed_on"]
    kept = won[before.isna() | won["returning"]]
    return kept[as_period(book, period).contains(kept["closed_on"])].sort_index()


def _new_rows(book: Book, period: Period) -> pd.DataFrame:
    wins = first_wins(book, period)
    return wins[~wins["returning"]]


@metric(
    "New customers",
    "Accounts whose first won deal ever was decided in the period. Accounts that return after 24 months are counted apart.",
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

    An account is new on the day of its first won deal ever; a win more than 24 months after the last one is `returning`.

    Returns one row per group: n, value (= n), low, high (Byar's Poisson interval), returning, first_amount (sum of the first
    deals), mean_first_amount with mean_low and mean_high (units of the currency).
    """
    groups = tuple(g for g in parse_by(by) if g != "lead_source" or book.has("deals", "lead_source"))
    wins = with_groups(book, first_wins(book, period), groups, "closed_on")
    fresh = (~wins["returning"]).astype("int64")
    wins["fresh_minor"] = wins["amount_minor"].where(fresh == 1)
    keys = [c for c in group_columns(groups) if c != "rep"]
    counts = count_table(
        wins, [*keys, "currency"], money="fresh_minor", sums={"fresh": fresh, "returning": wins["returning"]}
    )
    keys += money_keys(counts)
    table = complete(book, add_up(counts, keys).drop(columns="n").rename(columns={"fresh": "n"}), groups)
    table["value"] = table["n"].astype("float64")
    table["low"], table["high"] = count_interval(table["n"])
    table["first_amount"] = major(book, table, "amount_minor")
    scale = np.where(
        table["amount_minor"] != 0,
        table["first_amount"] / table["amount_minor"].where(table["amount_minor"] != 0, 1),
        0.01,
    )
    mean, low, high = mean_interval(table["amount_minor"], table["amount2"], table["n_amount"])
    table["mean_first_amount"], table["mean_low"], table["mean_high"] = mean * scale, low * scale, high * scale
    return table[
        [
            *group_columns(groups),
            *money_keys(counts),
            "n",
            "value",
            "low",
            "high",
            "returning",
            "first_amount",
            "mean_first_amount",
            "mean_low",
            "mean_high",
        ]
    ]
