"""Exact sums in minor units become amounts; currencies are never added up."""

from __future__ import annotations

import pandas as pd

from salescoach.book import Book


def money_keys(counts: pd.DataFrame) -> list[str]:
    """`currency` as one more group where there is more than one, so that no sum crosses currencies."""
    return ["currency"] if "currency" in counts and counts["currency"].nunique() > 1 else []


def minor_scale(book: Book, table: pd.DataFrame) -> pd.Series:
    """10 to the power of each row's currency's decimal places."""
    from babel.numbers import get_currency_precision

    if "currency" not in table:
        return pd.Series(10.0 ** get_currency_precision(single_currency(book)), table.index)
    places = {c: 10.0 ** get_currency_precision(c if len(str(c)) == 3 else book.currency) for c in table["currency"].unique()}
    return table["currency"].map(places).astype("float64")


def single_currency(book: Book) -> str:
    """The one currency of the deals, or the book's."""
    deals = book.tables["deals"]
    named = deals["currency"].dropna().unique() if "currency" in deals else []
    return str(named[0]) if len(named) == 1 else book.currency


def major(book: Book, table: pd.DataFrame, column: str) -> pd.Series:
    """A column of minor units in units of its currency."""
    return table[column].astype("float64") / minor_scale(book, table)
