"""A book in one currency: every amount at the dated rate of its own day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book.book import Book
from salescoach.book.tables import TABLES
from salescoach.book.texts import places_in
from salescoach.errors import Unavailable, UsageError, commas

OF_DEALS = ("stage_history", "changes")  # their amounts are those of a deal
DAY_OF = {"quotes": "at", "revenue": "booked_on", "targets": "start_on", "forecast_calls": "at"}
TARGETS_IN_MONEY = ("won_amount", "pipeline_created")


def in_currency(book: Book, currency: str) -> Book:
    """The book with all money in one currency, converted with its table `rates`.

    A rate says what one unit of `currency` costs in `base_currency` (where that is missing: the book's currency) from
    `start_on` on, until the next one. Where there is no rate between two currencies, the opposite one is used, or two
    over a third currency.

    A closed deal is converted at the rate of the day of its close, any other at that of as_of, together with its list
    price, its stage history and its changes; a quote and revenue at the rate of their own day; a target of money at
    that of its first day; list prices at that of as_of. An amount that names no currency is in the book's.
    Each amount is rounded once, half to even, to the smallest unit; sums are made afterwards, so parts still add up.

    Take a past day (`book.at`) before you convert, and a slice (`book.for_rep`) after it.
    Raises Unavailable naming currency and day where a rate is missing, UsageError for a currency that does not exist.
    """
    _check_code(currency)
    rates = _Rates(book, currency)
    tables = dict(book.tables)
    deals = tables["deals"]
    own = _currency_of(deals, book)
    factors = rates.factors(own, _deal_days(book))
    tables["deals"] = _converted(deals, "deals", own, factors, currency)
    for name in (n for n in OF_DEALS if n in tables):
        at = places_in(tables[name]["deal_id"], deals["deal_id"])
        index = tables[name].index
        named = pd.Series(own.to_numpy()[at], index).where(at >= 0, currency)
        tables[name] = _converted(tables[name], name, named, pd.Series(factors.to_numpy()[at], index), currency)
    for name in (n for n in (*DAY_OF, "products") if n in tables):
        frame = tables[name]
        named, days = _currency_of(frame, book), _days_of(frame, name, book)
        if name == "targets":
            money = frame["metric"].str.strip().str.casefold().isin(TARGETS_IN_MONEY)
            named = named.where(money, currency)
        tables[name] = _converted(frame, name, named, rates.factors(named, days), currency)
    rates.check()
    origin = {**book.origin, "converted_to": currency}
    return replace(book, tables=tables, currency=currency, origin=origin)


def _check_code(currency: str) -> None:
    from babel.numbers import is_currency

    if not is_currency(currency):
        raise UsageError(
            "{currency!r} is no currency. Write its three-letter code (ISO 4217), such as CNY or EUR.",
            currency=currency,
        )


@cache
def _scale(currency: str) -> int:
    """How many of the smallest unit are one of the currency."""
    from babel.numbers import get_currency_precision

    return int(10 ** get_currency_precision(currency))


def _currency_of(frame: pd.DataFrame, book: Book) -> pd.Series:
    return frame["currency"].fillna(book.currency) if "currency" in frame else pd.Series(book.currency, frame.index)


def _deal_days(book: Book) -> pd.Series:
    deals = book.tables["deals"]
    closed = deals["closed_at"] if "closed_at" in deals else pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    return book.local_days(closed).where(deals["outcome"] != "open").fillna(book.as_of_on)


def _days_of(frame: pd.DataFrame, name: str, book: Book) -> pd.Series:
    """The day at whose rate each row is converted."""
    if name not in DAY_OF:
        return pd.Series(book.as_of_on, frame.index)
    days = frame[DAY_OF[name]]
    return book.local_days(days) if TABLES[name].columns[DAY_OF[name]] == "instant" else days


class _Rates:
    """The dated rates of a book, and which were asked for and are missing."""

    def __init__(self, book: Book, target: str) -> None:
        self.target = target
        self.there = book.has("rates", "rate")
        self.known: dict[tuple[str, str], tuple[list[pd.Timestamp], list[Fraction]]] = {}
        self.missing: dict[str, list[pd.Timestamp]] = {}
        self.found: dict[tuple[str, pd.Timestamp], Fraction] = {}
        if self.there:
            self._read(book)
        self.codes = sorted({code for pair in self.known for code in pair})

    def _read(self, book: Book) -> None:
        rows = book.table("rates").sort_values("start_on", kind="stable")
        base = rows["base_currency"].fillna(book.currency) if "base_currency" in rows else book.currency
        for row in rows.assign(base=base).to_dict("records"):
            if not row["rate"] > 0:
                raise Unavailable(
                    "the rate of {currency} from {day} on is not above 0",
                    currency=row["currency"],
                    day=row["start_on"].date(),
                )
            days, values = self.known.setdefault((row["currency"], row["base"]), ([], []))
            days.append(row["start_on"])
            values.append(Fraction(repr(float(row["rate"]))))

    def factors(self, named: pd.Series, days: pd.Series) -> pd.Series:
        """What each row's amount in minor units is multiplied with, as an exact fraction."""
        pairs = pd.MultiIndex.from_arrays([named, days])
        codes, distinct = pairs.factorize()
        values = np.array([self._factor(code, day) for code, day in distinct], dtype=object)
        return pd.Series(values[codes] if len(values) else [], named.index, dtype="object")

    def _factor(self, code: str, day: pd.Timestamp) -> Fraction:
        if code == self.target:
            return Fraction(1)
        if (code, day) not in self.found:
            rate = self._between(code, day)
            if rate is None:
                self.missing.setdefault(code, []).append(day)
                rate = Fraction(1)
            self.found[code, day] = rate * Fraction(_scale(self.target), _scale(code))
        return self.found[code, day]

    def _between(self, code: str, day: pd.Timestamp) -> Fraction | None:
        direct = self._one_step(code, self.target, day)
        if direct is not None:
            return direct
        for over in self.codes:
            first, second = self._one_step(code, over, day), self._one_step(over, self.target, day)
            if first is not None and second is not None:
                return first * second
        return None

    def _one_step(self, code: str, other: str, day: pd.Timestamp) -> Fraction | None:
        there, back = self._latest(code, other, day), self._latest(other, code, day)
        return there if there is not None else None if back is None else 1 / back

    def _latest(self, code: str, base: str, day: pd.Timestamp) -> Fraction | None:
        days, values = self.known.get((code, base), ([], []))
        place = bisect_right(days, day)
        return values[place - 1] if place else None

    def check(self) -> None:
        """Raise Unavailable where a rate was missing."""
        if not self.missing:
            return
        code = min(self.missing)
        day = min(self.missing[code]).date()
        if not self.there:
            raise Unavailable(
                "amounts in {currency} cannot be turned into {target}: the book has no table `rates`",
                currency=commas(sorted(self.missing)),
                target=self.target,
            )
        raise Unavailable(
            "there is no rate from {currency} to {target} for {day}: add one to `rates` with a `start_on` of that day "
            "or before",
            currency=code,
            target=self.target,
            day=day,
        )


def _converted(frame: pd.DataFrame, name: str, named: pd.Series, factors: pd.Series, target: str) -> pd.DataFrame:
    """The table with its money multiplied and its currency named."""
    roles = TABLES[name].columns
    other = (named != target).to_numpy()
    if "currency" in frame or ("currency" in roles and other.any()):
        frame = frame.assign(currency=pd.Series(target, frame.index, dtype="str"))
    if not other.any():
        return frame
    result = frame.copy()
    for column in (c for c, role in roles.items() if role == "money" and f"{c}_minor" in frame):
        minor = frame[f"{column}_minor"].copy()
        rows = other & minor.notna().to_numpy()
        minor[rows] = _rounded(minor[rows].to_numpy(object), factors[rows].to_numpy(object))
        result[f"{column}_minor"] = minor
        result[column] = minor.astype("Float64").to_numpy("float64", na_value=np.nan) / _scale(target)
    if name == "targets":
        values = frame["value"].to_numpy(object)
        scale = np.array([_scale(c) for c in named], dtype=object)
        exact = [
            float(Fraction(repr(v)) * f * s / _scale(target)) for v, f, s in zip(values, factors, scale, strict=True)
        ]
        result["value"] = frame["value"].where(~other, pd.Series(exact, frame.index))
    if name == "changes":
        amounts = other & (frame["field"] == "amount").to_numpy()
        for column in (c for c in ("old", "new") if c in frame):
            changed = zip(frame[column][amounts], factors[amounts], named[amounts], strict=True)
            texts = pd.Series([_text(a, f, c, target) for a, f, c in changed], frame.index[amounts], dtype="str")
            result[column] = frame[column].mask(amounts, texts.reindex(frame.index))
    return result


def _rounded(minor: Any, factors: Iterable[Fraction]) -> list[int]:
    """Minor units of the other currency, half to even."""
    return [round(int(m) * f) for m, f in zip(minor, factors, strict=True)]


def _text(amount: object, factor: Fraction, named: str, target: str) -> str | None:
    """A former amount, as written in a change, in the other currency; what is no number stays as it is."""
    if not isinstance(amount, str):
        return None
    try:
        minor = round(Fraction(amount) * _scale(named) * factor)
    except (ValueError, ZeroDivisionError):
        return amount
    digits = len(str(_scale(target))) - 1
    return f"{minor / _scale(target):.{digits}f}"
