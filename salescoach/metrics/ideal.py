"""Ideal customer: which kinds of customers are won more often, pay more and decide sooner, like for like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, commas
from salescoach.metrics.compare import ENOUGH, FALSE_DISCOVERY, discoveries
from salescoach.metrics.cycle import sales_cycle
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import NONE, in_order
from salescoach.metrics.outcomes import decided_deals, need_losses
from salescoach.metrics.sales import sales
from salescoach.metrics.support import SPREAD, two_sided
from salescoach.process import Period

TRAITS = ("segment", "region", "industry", "size", "product")
OF_ACCOUNTS = ("region", "industry", "size")
MIX = ("deal_type", "lead_source", "segment")
MOST_GROUPS = 20  # a trait of more groups is a name or a number, not a kind of customer
COLUMNS = ["trait", "group", "n", "won", "value", "low", "high", "expected", "usual", "z", "p", "signal"]
FURTHER = ["mean_amount", "mean_low", "mean_high", "median_days", "days_low", "days_high"]


def ideal_customer(book: Book, period: str | Period | None = None, traits: Sequence[str] = TRAITS) -> pd.DataFrame:
    """Each kind of customer: its win rate beside the one expected like for like, the size of its deals, their time.

    Traits are columns of deals, or of accounts where deals do not have them; an account's size stands in for a segment
    where there is none. Expected: every decided deal counts with
    the win rate of all deals of its cell; a cell is deal type, lead source and segment, without the trait itself.
    z = (|won - expected| - ½, at least 0, with its sign) / sqrt(V), V the hypergeometric variance summed over cells
    (Mantel & Haenszel 1959). Discoveries are by Benjamini-Hochberg over all traits and groups at a false-discovery
    rate of 10 %.

    Returns one row per trait and group: trait, group, n (won + lost), won, value, low, high (95 % Wilson), expected
    (wins), usual (expected / n), z, p, signal (above, below, none; few: under 10 deals, or too little variation);
    mean_amount with mean_low and mean_high (of won deals; null where amounts are in several currencies), median_days
    with days_low and days_high (sales cycle of the deals begun in the period).

    Raises Unavailable where the data know no trait, or hold won deals only.
    """
    need_losses(book)
    book = _with_traits(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    known = [t for t in traits if t in deals and 1 < deals[t].nunique() <= MOST_GROUPS]
    if "segment" in known and "size" in known:
        known.remove("size")  # says the same again
    if not known:
        raise Unavailable(
            "neither deals nor accounts tell kinds of customers apart: {columns} are missing or the same everywhere",
            columns=commas(traits),
        )
    table = pd.concat([_compared(deals, trait) for trait in known], ignore_index=True)
    judged = (table["n"] >= ENOUGH) & (table["spread"] >= SPREAD)
    found = np.zeros(len(table), bool)
    found[judged.to_numpy()] = discoveries(table.loc[judged, "p"].to_numpy(float), FALSE_DISCOVERY)
    names = np.select([~judged, found & (table["z"] > 0), found], ["few", "above", "below"], "none")
    table["signal"] = pd.Series(names, table.index, dtype="str")
    further = pd.concat([_further(book, trait, period) for trait in known], ignore_index=True)
    return table[COLUMNS].merge(further, on=["trait", "group"], how="left", validate="1:1")


def _with_traits(book: Book) -> Book:
    """The book with the traits of accounts as columns of deals, where these do not have them."""
    absent = [c for c in OF_ACCOUNTS if not book.has("deals", c) and book.has("accounts", c)]
    if not absent or not book.has("deals", "account_id"):
        return book
    accounts = book.table("accounts").drop_duplicates("account_id").set_index("account_id")
    given = {c: book.deals["account_id"].map(accounts[c]).astype("str") for c in absent}
    return replace(book, tables={**book.tables, "deals": book.deals.assign(**given)})


def _compared(deals: pd.DataFrame, trait: str) -> pd.DataFrame:
    """Per group of one trait: n, won, value, low, high, expected, spread, z, p."""
    cells = [c for c in MIX if c in deals and c != trait]
    units = pd.DataFrame({c: deals[c].astype("str").fillna(NONE) for c in dict.fromkeys([trait, *cells])})
    units["n"], units["won"] = 1, (deals["outcome"] == "won").astype("int64")
    parts = units.groupby([trait, *cells], as_index=False).sum()
    whole = parts.groupby(cells)[["n", "won"]].transform("sum") if cells else _whole(parts)
    rate = whole["won"] / whole["n"]
    parts["expected"] = parts["n"] * rate
    others = (whole["n"] - parts["n"]) / (whole["n"] - 1).where(whole["n"] > 1)
    parts["spread"] = (parts["n"] * rate * (1 - rate) * others).fillna(0)
    table = parts.groupby(trait, as_index=False)[["n", "won", "expected", "spread"]].sum()
    table = in_order(table.rename(columns={trait: "group"}).assign(trait=trait), ["group"])
    table["value"], table["low"], table["high"] = wilson(table["won"], table["n"])
    off = table["won"] - table["expected"]
    size = (off.abs() - 0.5).clip(lower=0) * np.sign(off)
    table["usual"] = table["expected"] / table["n"]
    table["z"] = (size / np.sqrt(table["spread"].where(table["spread"] > 0))).astype("float64")
    table["p"] = two_sided(table["z"].to_numpy())
    return table


def _whole(parts: pd.DataFrame) -> pd.DataFrame:
    return parts[["n", "won"]].assign(n=parts["n"].sum(), won=parts["won"].sum())


def _further(book: Book, trait: str, period: str | Period | None) -> pd.DataFrame:
    """Size of the won deals and days to a decision of each group."""
    table = pd.DataFrame({"group": pd.Series(dtype="str")})
    try:
        sizes = sales(book, trait, period)
        if "currency" not in sizes:
            table = sizes.rename(columns={trait: "group"})[["group", "mean_amount", "mean_low", "mean_high"]]
    except Unavailable:
        pass
    try:
        times = sales_cycle(book, trait, period)
        times = times.rename(columns={trait: "group", "value": "median_days", "low": "days_low", "high": "days_high"})
        table = table.merge(times[["group", "median_days", "days_low", "days_high"]], on="group", how="outer")
    except Unavailable:
        pass
    return table.reindex(columns=["group", *FURTHER]).assign(trait=trait)
