"""Velocity: what the open deals bring per day at the present pace, with its bridge from the period before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.cycle import first_contact
from salescoach.metrics.estimate import Floats, mean_interval, wilson
from salescoach.metrics.groups import UNITS, complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import minor_scale, money_keys
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period, previous_period

COUNTS = ("n", "decided", "won", "timed", "days", "days2", "amount_minor", "n_amount", "amount2")
FACTORS = ("n", "win_rate", "mean_amount", "cycle_days")
PARTS = ("from_open", "from_win_rate", "from_amount", "from_cycle")


def open_at_end(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals open at the end of the period's last day, as known now, with their owner of then; void ones left out.

    A deal without a creation date, or decided without a close date, cannot be placed and is left out.
    """
    end_on = pd.Timestamp(as_period(book, period).end_on)
    deals = deals_of(book)
    closed_later = deals["outcome"].isin(["won", "lost"]) & (deals["closed_on"] > end_on)
    there = (deals["created_on"] <= end_on) & ((deals["outcome"] == "open") | closed_later)
    deals = deals[there].assign(end_on=end_on)
    midnight = (end_on + pd.Timedelta(days=1)).tz_localize(book.timezone, nonexistent="shift_forward").tz_convert("UTC")
    deals["rep_id"] = owner_at(book, deals.index.to_series(), pd.Series(midnight, deals.index))
    return deals


@metric(
    "Velocity",
    "Open deals at the end of the period × win rate × mean won amount / mean days from first contact to the decision: "
    "amount per day. The change from the period before is split into these four factors, to the last cent.",
    basis="state at the end of the period; decisions by their day",
    interval="95 % interval from those of win rate, mean amount and days (delta method on the logarithm)",
    unit="money",
    needs=[("deals", "amount_minor"), ("deals", "created_at"), ("deals", "closed_at")],
    rows=open_at_end,
    spans=True,
    caveat="A product of four numbers: never rank by it, read its bridge. A deal that nobody closes raises it. The "
    "days are those of decided deals only.",
    why="Are we getting faster or slower, and which of number, win rate, size and time is it?",
    uses=[("leads", "created_at"), ("activities", "at"), ("changes", "at")],
)
def velocity(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Amount per day that the open deals bring at the pace of the period, with the bridge from the period before.

    value = n × win_rate × mean_amount / cycle_days: n deals open at the end of the period; win_rate of the deals
    decided in it; mean_amount of those won; cycle_days, the mean from first contact to the decision over won and lost
    deals. (In a steady state n / cycle_days is the number of decisions per day: Little 1961.) Void deals count nowhere.

    The bridge splits value - value_before into from_open, from_win_rate, from_amount and from_cycle by the logarithmic
    mean: part = L(value, value_before) · ln(factor / factor before), L(a, b) = (a - b) / ln(a / b); the parts add up to
    the change exactly (Ang 2005, Energy Policy 33: LMDI I).

    Returns one row per group, and per currency if there are several: n, value, low, high (per day, in units of the
    currency), win_rate, mean_amount, cycle_days, change, the four parts, and value_before and each factor of the period
    before as …_before. A value is null where one of its factors is unknown, the bridge where one of either period is
    unknown or 0.

    Raises Unavailable for a period without a first day, for groups of time, and where the whole lacks a factor in the
    period or in the one before, which is as long.
    """
    groups = parse_by(by)
    span = as_period(book, period)
    before = previous_period(span, book.process)
    if before is None:
        raise Unavailable("velocity compares a period with the one before: name one with a first day, such as 2026Q3")
    if any(g in UNITS for g in groups):
        raise Unavailable("velocity compares two periods, so it cannot be split by time")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals_of(book))]))
    now, then = _counts(book, groups, keys, span), _counts(book, groups, keys, before)
    _need_factors(now, span)
    _need_factors(then, before)
    both = _side_by_side(now, then, keys)
    table = complete(book, both, groups)
    for suffix in ("", "_before"):
        _add_factors(book, table, suffix)
    table["low"], table["high"] = _interval(book, table)
    table["change"] = table["value"] - table["value_before"]
    table[list(PARTS)] = _bridge(table)
    shown = ["n", "value", "low", "high", *FACTORS[1:], "change", *PARTS, "value_before"]
    shown += [f"{factor}_before" for factor in FACTORS]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals_of(book)), *shown]))]


def _counts(book: Book, groups: Sequence[str], keys: Sequence[str], period: Period) -> pd.DataFrame:
    """Count table of one period: the keys and COUNTS."""
    open_then = with_groups(book, open_at_end(book, period), groups, "end_on")
    decided = decided_deals(book, period)
    decided = decided[decided["outcome"].isin(["won", "lost"])]
    start = book.local_days(first_contact(book)).reindex(decided.index)
    days = (decided["closed_on"] - start).dt.days
    known, won = days >= 0, decided["outcome"] == "won"
    decided = with_groups(book, decided.assign(won_minor=decided["amount_minor"].where(won)), groups, "closed_on")
    days = days.where(known, 0)
    sums: dict[str, pd.Series] = {"won": won, "timed": known, "days": days, "days2": days**2}
    parts = count_table(decided, keys, money="won_minor", sums=sums).rename(columns={"n": "decided"})
    found = pd.concat([count_table(open_then, keys), parts], ignore_index=True)
    found = found.fillna(dict.fromkeys(COUNTS, 0)).astype({c: "int64" for c in COUNTS if c != "amount2"})
    return add_up(found, keys)


def _need_factors(counts: pd.DataFrame, period: Period) -> None:
    """Raise Unavailable where a factor of the whole is unknown in a period."""
    total = counts[list(COUNTS)].sum()
    label = period.label
    if not total["decided"]:
        raise Unavailable("not one deal was decided in {period}, so its velocity is unknown", period=label)
    if not total["n_amount"]:
        raise Unavailable("not one deal with an amount was won in {period}, so its velocity is unknown", period=label)
    if not total["days"]:
        raise Unavailable("not one deal decided in {period} has a known time, so its velocity is unknown", period=label)


def _side_by_side(now: pd.DataFrame, then: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    then = then.rename(columns={c: f"{c}_before" for c in COUNTS})
    both = now.merge(then, on=list(keys), how="outer", validate="1:1") if keys else pd.concat([now, then], axis=1)
    numbers = [c for c in both if c not in keys]
    return both.fillna(dict.fromkeys(numbers, 0)).astype(
        {c: "int64" for c in numbers if not str(c).startswith("amount2")}
    )


def _add_factors(book: Book, table: pd.DataFrame, suffix: str) -> None:
    """Set win_rate, mean_amount, cycle_days and value of one period; null where unknown."""
    counts = {c: table[f"{c}{suffix}"].astype("float64") for c in COUNTS}
    rate = counts["won"] / counts["decided"].where(counts["decided"] > 0)
    amount = counts["amount_minor"] / minor_scale(book, table) / counts["n_amount"].where(counts["n_amount"] > 0)
    days = counts["days"] / counts["timed"].where(counts["timed"] > 0)
    table[f"win_rate{suffix}"], table[f"mean_amount{suffix}"], table[f"cycle_days{suffix}"] = rate, amount, days
    table[f"value{suffix}"] = counts["n"] * rate * amount / days.where(days > 0)


def _interval(book: Book, table: pd.DataFrame) -> tuple[Floats, Floats]:
    """On the logarithm, so that relative variances add up; the number of open deals is counted, not estimated."""
    scale = minor_scale(book, table)
    _, low, high = wilson(table["won"], table["decided"])
    sizes = mean_interval(table["amount_minor"] / scale, table["amount2"].fillna(0) / scale**2, table["n_amount"])
    times = mean_interval(table["days"], table["days2"], table["timed"])
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (np.log(high / low) / 2) ** 2
        for mean, _, top in (sizes, times):
            spread = spread + ((top - mean) / mean) ** 2
        width = np.exp(np.sqrt(spread))
    value = table["value"].to_numpy(float)
    ends = value / width, value * width
    return np.minimum(*ends), np.maximum(*ends)


def _bridge(table: pd.DataFrame) -> pd.DataFrame:
    """The parts of the change; null where a factor of either period is unknown or not above 0."""
    parts = pd.DataFrame(index=table.index)
    for factor, part in zip(FACTORS, PARTS, strict=True):
        now, then = table[factor].astype("float64"), table[f"{factor}_before"].astype("float64")
        # A longer cycle slows down, so its ratio is turned round.
        up, down = (then, now) if factor == "cycle_days" else (now, then)
        parts[part] = np.log(up.where(up > 0) / down.where(down > 0))
    whole = parts.sum(axis=1, skipna=False)
    # The logarithmic mean is value_before · (e^whole - 1) / whole; where nothing changed on balance, value_before.
    mean = table["value_before"] * (np.expm1(whole) / whole.where(whole != 0)).where(whole != 0, 1.0)
    bridge: pd.DataFrame = parts.mul(mean, axis=0)
    return bridge
