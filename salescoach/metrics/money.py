"""Exact sums in minor units become amounts; currencies are never added up."""

from __future__ import annotations

import pandas as pd

from salescoach.book import Book


def money_keys(counts: pd.DataFrame) -> list[str]:
    """`currency` as one more group where there is more than one, so that no sum crosses currencies."""
    return ["currency"] if "currency" in counts and counts["currency"].nunique() > 1 else []


def minor_scale(book: Book, table: pd.DataFrame) -> pd.Series:
    """10 to the power of each row's currency's decimal places; the book's currency where a row names none."""
    if "currency" not in table:
        return pd.Series(_minor_units(single_currency(book)), table.index)
    named = table["currency"].fillna(book.currency)
    return named.map({c: _minor_units(c) for c in named.unique()}).astype("float64")


def _minor_units(currency: str) -> float:
    from babel.numbers import get_currency_precision

    return float(10 ** get_currency_precision(currency))


def single_currency(book: Book) -> str:
    """The one currency of the deals, or the book's."""
    deals = book.tables["deals"]
    named = list(deals["currency"].dropna().unique()) if "currency" in deals else []
    return str(named[0]) if len(named) == 1 else book.currency


def major(book: Book, table: pd.DataFrame, column: str) -> pd.Series:
    """A column of minor units in units of its currency."""
    return table[column].astype("float64") / minor_scale(book, table)


def known_amount(book: Book, table: pd.DataFrame, column: str, n: str, n_amount: str) -> pd.Series:
    """Like `major`, but null where there are units and none of them has an amount: nothing known is not zero."""
    return major(book, table, column).where((table[n] == 0) | (table[n_amount] > 0))
