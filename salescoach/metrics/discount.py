"""Discount: what was given away against the list price of won deals."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import ratio_interval
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import metric
from salescoach.metrics.times import beside
from salescoach.process import Period


def won_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won in the period; `priced` marks those with both an amount and a list price above 0."""
    deals = decided_deals(book, period)
    won = deals[deals["outcome"] == "won"].copy()
    won["listed"] = (won["list_price_minor"] > 0).fillna(False).astype(bool)
    won["priced"] = won["listed"] & won["amount_minor"].notna()
    return won


def _priced(book: Book, period: Period) -> pd.DataFrame:
    won = won_deals(book, period)
    return won[won["priced"]]


@metric(
    "Discount",
    "1 − amount / list price over the won deals that have both, pooled: all amounts over all list prices.",
    basis="day of the win",
    interval="95 % interval of a ratio of two sums",
    unit="ratio",
    needs=[("deals", "list_price_minor"), ("deals", "amount_minor"), ("deals", "closed_at")],
    by=("rep",),
    rows=_priced,
    caveat="A deal sold above its list price counts with a negative discount. Won deals without a list price are "
    "counted apart. A large deal weighs as much as its list price.",
    why="How much do we give away, where, and against whom?",
    uses=[("deals", "product"), ("deals", "competitor"), ("changes", "at")],
)
def discount(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Discount on the list price of won deals.

    value = 1 - Σ amount / Σ list price, over won deals with an amount and a list price above 0. Credit goes to the
    owner at the close.

    Returns one row per group, and per currency if there are several: n (deals with both), value, low, high (95 %, ratio
    of two sums; null for one deal), list_amount, won_amount, given_away (list_amount - won_amount; units of the
    currency; null where no won deal has both), above_list (of n: sold above the list price), without_list_price (won
    deals with none) and without_amount (won deals with a list price but no amount).
    """
    groups = parse_by(by)
    deals = with_groups(book, won_deals(book, period), groups, "closed_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    priced = deals["priced"]
    amount, listed = (deals[c].where(priced, 0).fillna(0) for c in ("amount_minor", "list_price_minor"))
    sums = {
        "priced": priced,
        "amount": amount,
        "list": listed,
        "above_list": priced & (amount > listed),
        "without_list_price": ~deals["listed"],
        "without_amount": deals["listed"] & ~priced,
    }
    sold, asked = amount.astype("float64"), listed.astype("float64")
    squares = deals[keys].assign(amount2=sold**2, cross=sold * asked, list2=asked**2)
    table = beside(count_table(deals, keys, sums=sums), add_up(squares, keys), keys)
    table = complete(book, table.rename(columns={"n": "wins", "priced": "n"}), groups)
    ratio, low, high = ratio_interval(
        table["amount"], table["list"], table["amount2"], table["cross"], table["list2"], table["n"]
    )
    table["value"], table["low"], table["high"] = 1 - ratio, 1 - high, 1 - low
    table["given"] = table["list"] - table["amount"]
    for column, source in (("list_amount", "list"), ("won_amount", "amount"), ("given_away", "given")):
        table[column] = known_amount(book, table, source, "wins", "n")
    shown = ["n", "value", "low", "high", "list_amount", "won_amount", "given_away"]
    shown += ["above_list", "without_list_price", "without_amount"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]
