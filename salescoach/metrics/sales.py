"""Sales: what was won, how many deals, and of what size."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.credit import credited_deals
from salescoach.metrics.estimate import ratio_interval, sum_interval
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount, minor_scale, money_keys
from salescoach.metrics.registry import metric
from salescoach.metrics.times import beside
from salescoach.process import Period


def credited_wins(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The won deals of the period, one row per deal and person credited; what is credited on top is left out."""
    deals = credited_deals(book, period)
    return deals[(deals["outcome"] == "won") & ~deals["overlay"].astype(bool)]


@metric(
    "Sales",
    "Amount of the deals won in the period, with their number and mean size.",
    basis="day of the win",
    interval="95 % interval of the sum: how far chance alone would move it (compound Poisson)",
    unit="money",
    needs=[("deals", "amount_minor"), ("deals", "closed_at")],
    by=("rep",),
    rows=credited_wins,
    caveat="Credit goes to the owner at the close; a shared deal counts with its parts. Won deals without an amount "
    "are counted apart and add nothing to the money.",
    why="Who sold how much, in how many deals, and how large are they?",
    uses=[("splits", "share"), ("changes", "at"), ("reps", "team"), ("deals", "deal_type")],
)
def sales(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Won amount, number of wins and mean deal size.

    mean_amount = won amount / wins, over the wins that have an amount; a shared deal counts with its share in both, so
    that the mean is that of whole deals.

    Returns one row per group, and per currency if there are several: n (won deals; a shared one once for each person
    credited), wins (a shared one with its share: they add up to the deals), value (won amount, in units of the
    currency; null where no win has one), low, high, without_amount, mean_amount, mean_low, mean_high (95 % interval of
    the ratio).
    """
    groups = parse_by(by)
    deals = with_groups(book, credited_wins(book, period), groups, "closed_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    table = beside(count_table(deals, keys, money="amount_minor"), add_up(_shares(deals, keys), keys), keys)
    table = complete(book, table, groups)
    numbers = ["wins", "share", "share2", "cross"]
    table[numbers] = table[numbers].fillna(0.0)
    scale, seen = minor_scale(book, table), table["n_amount"] > 0
    squares = table["amount2"].fillna(0) / scale**2
    table["value"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    low, high = sum_interval(table["amount_minor"] / scale, squares)
    table["low"], table["high"] = pd.Series(low, table.index).where(seen), pd.Series(high, table.index).where(seen)
    table["without_amount"] = table["n"] - table["n_amount"]
    table["mean_amount"], table["mean_low"], table["mean_high"] = ratio_interval(
        table["amount_minor"] / scale,
        table["share"],
        squares,
        table["cross"] / scale,
        table["share2"],
        table["n_amount"],
    )
    table["mean_low"] = table["mean_low"].clip(lower=0.0).where(table["mean_amount"] >= 0, table["mean_low"])
    shown = ["n", "wins", "value", "low", "high", "without_amount", "mean_amount", "mean_low", "mean_high"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]


def _shares(deals: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """What is summed beside the amounts: shares of all wins, and of those with an amount."""
    known = deals["share"].where(deals["amount_minor"].notna(), 0.0)
    amount = deals["amount_minor"].astype("float64").fillna(0.0)
    return deals[list(keys)].assign(wins=deals["share"], share=known, share2=known**2, cross=known * amount)
