"""Customer value: what accounts have brought so far, by when they were won."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import mean_interval, wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount, minor_scale, money_keys
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.times import beside
from salescoach.process import Period

Measured = Literal["margin", "revenue", "won"]
DAYS_PER_MONTH = 365.2425 / 12


def best_measure(book: Book) -> Measured:
    """What the book tells of an account's worth: margin where every booking has one, else revenue, else won deals."""
    if not book.has("revenue", "amount_minor"):
        return "won"
    margin = book.has("revenue", "margin_minor") and book.tables["revenue"]["margin_minor"].notna().all()
    return "margin" if margin else "revenue"


def customers(book: Book, period: str | Period | None = None, of: Measured | None = None) -> pd.DataFrame:
    """The accounts acquired in the period, one row each (and per currency): acquired_on, amount_minor (to date, null
    where none is known), wins, measured, and the columns of their first won deal.

    An account is acquired on the day of its first booking, or of its first won deal where there are no bookings. Won
    deals without an account are left out. Credit goes to the owner of the first won deal at its close.
    Raises Unavailable where the chosen measure is not recorded.
    """
    if of is not None and of not in get_args(Measured):
        choices = get_args(Measured)
        raise UsageError(
            "of={of!r} is unknown.{hint} Measures: {choices}.",
            of=of,
            hint=suggestion(of, choices),
            choices=commas(choices),
        )
    measured = of or best_measure(book)
    deals = decided_deals(book)
    won = deals[(deals["outcome"] == "won") & deals["account_id"].notna()] if "account_id" in deals else deals.iloc[:0]
    income = _won_income(won) if measured == "won" else _booked_income(book, measured)
    accounts = _to_date(income).assign(measured=measured)
    order = won[["closed_at", "deal_id", "account_id"]].sort_values(["closed_at", "deal_id"])
    first = won.loc[order.drop_duplicates("account_id").index]
    first = first.drop(columns=[c for c in first if c in accounts and c != "account_id"])
    counts = count_table(won, ["account_id"]).rename(columns={"n": "wins"})
    accounts = accounts.merge(counts, on="account_id", how="left", validate="m:1")
    accounts = accounts.merge(first, on="account_id", how="left", validate="m:1")
    return accounts[in_period(book, period, accounts["acquired_on"])]


def _won_income(won: pd.DataFrame) -> pd.DataFrame:
    return won[["account_id", "currency", "amount_minor"]].assign(on=won["closed_on"])


def _booked_income(book: Book, measured: Measured) -> pd.DataFrame:
    """Bookings up to as_of, of revenue or margin."""
    if not book.has("revenue", "amount_minor"):
        raise Unavailable("the book has no table `{table}`", table="revenue")
    booked = book.table("revenue")
    booked = booked[~(booked["booked_on"] > book.as_of_on)]
    column = "margin_minor" if measured == "margin" else "amount_minor"
    blank = int(booked[column].isna().sum()) if column in booked else len(booked)
    if measured == "margin" and blank:
        raise Unavailable("{n} of {rows} bookings have no margin", n=blank, rows=len(booked))
    currency = booked["currency"].fillna(book.currency) if "currency" in booked else book.currency
    named = booked[["account_id"]].assign(currency=currency, amount_minor=booked[column], on=booked["booked_on"])
    return named[named["account_id"].notna()].astype({"currency": "str"})


def _to_date(income: pd.DataFrame) -> pd.DataFrame:
    """One row per account and currency: acquired_on (in any currency), amount_minor."""
    acquired = income.groupby("account_id")[["on"]].min().reset_index().rename(columns={"on": "acquired_on"})
    sums = count_table(income, ["account_id", "currency"], money="amount_minor")
    sums["amount_minor"] = sums["amount_minor"].astype("Int64").where(sums["n_amount"] > 0)
    return sums[["account_id", "currency", "amount_minor"]].merge(acquired, on="account_id", validate="m:1")


@metric(
    "Customer value",
    "Observed revenue per account to date: all that the accounts of a cohort have brought since their first order / "
    "number of these accounts. Margin where every booking has one, else booked revenue, else the amounts of won deals.",
    basis="day of the account's first booking or first win",
    interval="95 % interval of the mean over accounts",
    unit="money",
    needs=[("deals", "account_id"), ("deals", "closed_at")],
    by=("quarter",),
    rows=customers,
    caveat="Observed, not a lifetime value: nothing is extrapolated. Younger cohorts have had less time; compare the "
    "months observed. An account that bought before the data begin counts from its first order in the data.",
    why="What is a customer worth to us so far, and which ones come back?",
    uses=[("revenue", "amount_minor"), ("revenue", "margin_minor"), ("deals", "amount_minor"), ("changes", "at")],
    options={
        "of": "What is added up: margin, revenue or the amounts of won deals; without it, the first that is known."
    },
)
def customer_value(
    book: Book, by: str | Sequence[str] = "quarter", period: str | Period | None = None, of: Measured | None = None
) -> pd.DataFrame:
    """Observed revenue per account to date, by the cohort in which the account was acquired.

    value = total / accounts with a known amount. The sum runs from the first booking (or win) to as_of; nothing is
    extrapolated. Groups other than time are those of the account's first won deal.

    Returns one row per group, and per currency if there are several (an account then counts in each of its currencies):
    n (accounts), value, low, high (95 % interval of the mean over accounts, in units of the currency), total (null
    where no account has a known amount), without_amount, measured (margin, revenue or won), months_observed (median
    since the first order), repeat (accounts with a second won deal), repeat_share, repeat_low, repeat_high (of the
    accounts with a won deal; 95 % Wilson).
    """
    groups = parse_by(by)
    found = customers(book, period, of)
    measured = of or best_measure(book)
    accounts = with_groups(book, found, groups, "acquired_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(accounts)]))
    sums = {"buyers": accounts["wins"].notna(), "repeat": accounts["wins"] > 1}
    counts = count_table(accounts, keys, money="amount_minor", sums=sums)
    table = complete(book, beside(counts, _months(book, accounts, keys), keys), groups)
    scale = minor_scale(book, table)
    squares = table["amount2"].fillna(0) / scale**2
    table["value"], table["low"], table["high"] = mean_interval(
        table["amount_minor"] / scale, squares, table["n_amount"]
    )
    table["total"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["without_amount"] = table["n"] - table["n_amount"]
    table["measured"] = measured
    table["repeat_share"], table["repeat_low"], table["repeat_high"] = wilson(table["repeat"], table["buyers"])
    shown = ["n", "value", "low", "high", "total", "without_amount", "measured", "months_observed"]
    shown += ["repeat", "repeat_share", "repeat_low", "repeat_high"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(accounts), *shown]))]


def _months(book: Book, accounts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    months = (book.as_of_on - accounts["acquired_on"]).dt.days / DAYS_PER_MONTH
    if not keys:
        return pd.DataFrame({"months_observed": [months.median()]})
    return accounts[keys].assign(months_observed=months).groupby(keys)[["months_observed"]].median().reset_index()
