"""Quota attainment: what was won against what was agreed, matched by dates, not labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import sum_interval
from salescoach.metrics.groups import (
    PEOPLE,
    UNASSIGNED,
    UNITS,
    complete,
    group_columns,
    group_keys,
    parse_by,
    with_groups,
)
from salescoach.metrics.money import known_amount, minor_scale, single_currency
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import as_period, metric
from salescoach.process import Period

KIND = "won_amount"


def prorated_targets(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Targets of won amount that overlap the period: rep_id, team, manager, from_on, end_on, target (its share by
    days).

    A target counts by the days it shares with the period and with the rep's time in the job. Without a period it counts
    up to as_of.
    """
    targets = book.table("targets")
    targets = targets[targets["metric"].str.casefold() == KIND].copy()
    for column in ("rep_id", "team"):
        if column not in targets:
            targets[column] = pd.Series(None, targets.index, dtype="str")
    people = book.people.set_index("rep_id")
    span = as_period(book, period)
    hired, left = (pd.to_datetime(targets["rep_id"].map(people[c])) for c in ("start_on", "end_on"))
    start, end = targets["start_on"], targets["end_on"]
    first, last = pd.Timestamp(span.start_on or date.min), pd.Timestamp(span.end_on)
    start = start.mask(hired > start, hired)
    start = start.mask(start < first, first)
    end = end.mask(left < end, left)
    end = end.mask(end > last, last)
    shared = ((end - start).dt.days + 1).clip(lower=0)
    targets["target"] = targets["value"] * shared / ((targets["end_on"] - targets["start_on"]).dt.days + 1)
    targets["from_on"] = start
    of_rep = targets["rep_id"].map(people["team"]).astype("str")
    targets["for_team"] = targets["rep_id"].isna() & targets["team"].notna()
    targets["team"] = targets["team"].fillna(of_rep)
    targets["manager"] = targets["rep_id"].map(people["manager"]).astype("str")
    targets["manager"] = targets["manager"].fillna(targets["team"].map(_manager_of_team(book)).astype("str"))
    return targets[targets["target"] > 0]


def _manager_of_team(book: Book) -> pd.Series:
    people = book.people.dropna(subset=["team", "manager"])
    return people.drop_duplicates("team", keep="last").set_index("team")["manager"]


def covered_period(book: Book, period: str | Period | None, targets: pd.DataFrame) -> Period:
    """The period, from the first day on which any target counts: earlier wins were never aimed at one."""
    span = as_period(book, period)
    first = targets["from_on"].min().date()
    return Period(span.label, max(span.start_on or first, first), span.end_on)


def won_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won in the period, from the first day on which any target counts."""
    targets = prorated_targets(book, period)
    if targets.empty:
        raise Unavailable("no target with metric `{metric}` lies in the period", metric=KIND)
    deals = decided_deals(book, covered_period(book, period, targets))
    return deals[deals["outcome"] == "won"]


def _chosen(targets: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """For reps their own targets; for teams and the whole the teams' own, where there is none the sum of the reps'."""
    if "rep" in groups:
        return targets[targets["rep_id"].notna()]
    keys = ["team", *(g for g in groups if g in UNITS)]
    own = pd.MultiIndex.from_frame(targets.loc[targets["for_team"], keys])
    return targets[targets["for_team"] | ~pd.MultiIndex.from_frame(targets[keys]).isin(own)]


@metric(
    "Quota attainment",
    "Amount won in the period / target of the period. A target counts by the days it shares with the period and with "
    "the rep's time in the job.",
    basis="day of the win",
    interval="95 % interval of the sum: how far chance alone would move it (compound Poisson)",
    unit="ratio",
    needs=[("targets", "value"), ("deals", "amount_minor"), ("deals", "closed_at")],
    by=("rep",),
    rows=won_deals,
    caveat="Credit goes to the owner at the close. A period that is still running is compared with its whole target.",
)
def quota_attainment(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Won amount against target.

    value = won_amount / target. Groups: rep, team, manager and units of time; targets know no others. A win counts from
    the first day on which any target counts, also where its own rep has none (the target is null then, and so is
    value).

    Returns one row per group: n (won deals), won_amount, target, value, low, high (null without a win), gap (target -
    won_amount, in the currency).
    """
    groups = parse_by(by)
    foreign = [g for g in groups if g not in (*PEOPLE, *UNITS)]
    if foreign:
        raise Unavailable("targets are not set by {group}, so attainment cannot be split by it", group=foreign[0])
    keys = group_keys(groups)
    won = won_deals(book, period)
    _need_one_currency(book, won)
    targets = _chosen(_by_unit(book, period, [g for g in groups if g in UNITS]), groups)
    agreed = targets.assign(**{key: targets[key].fillna(UNASSIGNED) for key in keys}).rename(columns={"target": "goal"})
    agreed = add_up(agreed[[*keys, "goal"]], keys)
    counts = count_table(with_groups(book, won, groups, "closed_on"), keys, money="amount_minor")
    table = agreed.merge(counts, on=keys, how="outer", validate="1:1") if keys else pd.concat([agreed, counts], axis=1)
    whole = ["n", "amount_minor", "n_amount"]
    table[whole] = table[whole].fillna(0).astype("int64")
    table = complete(book, table, groups)
    table["target"] = table["goal"].where(table["goal"] > 0)
    table["won_amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    low, high = sum_interval(table["won_amount"], table["amount2"].fillna(0) / minor_scale(book, table) ** 2)
    seen = table["n_amount"] > 0
    table["value"] = table["won_amount"] / table["target"]
    table["low"], table["high"] = (low / table["target"]).where(seen), (high / table["target"]).where(seen)
    table["gap"] = table["target"] - table["won_amount"]
    return table[[*group_columns(groups), "n", "won_amount", "target", "value", "low", "high", "gap"]]


def _need_one_currency(book: Book, won: pd.DataFrame) -> None:
    """Raise Unavailable where wins, or wins and targets, are in several currencies."""
    if won["currency"].nunique() > 1:
        raise Unavailable("the won deals are in several currencies, and sums never cross currencies")
    targets = book.table("targets")
    aimed = set(targets["currency"].dropna()) if "currency" in targets else set()
    if len(aimed | set(won["currency"])) > 1 and aimed:
        named = ", ".join(sorted(aimed | set(won["currency"])))
        raise Unavailable(
            "targets and won deals are in several currencies ({names}), and sums never cross currencies", names=named
        )


def _by_unit(book: Book, period: str | Period | None, units: Sequence[str]) -> pd.DataFrame:
    """Prorated targets; with units of time, each target's share in each of the units' periods."""
    whole = prorated_targets(book, period)
    if not units or whole.empty:
        return whole
    last = min(whole["end_on"].max(), pd.Timestamp(as_period(book, period).end_on))
    days = pd.DataFrame({"day": pd.date_range(whole["from_on"].min(), last)})
    labels = with_groups(book, days, units, "day")
    parts = []
    for label, span in labels.groupby(list(units), sort=True)["day"]:
        cut = Period(str(label), span.min().date(), span.max().date())
        names = label if isinstance(label, tuple) else (label,)
        named: dict[str, Any] = dict(zip(units, names, strict=True))
        parts.append(prorated_targets(book, cut).assign(**named))
    return pd.concat(parts, ignore_index=True)


def currency_of(book: Book) -> str:
    """The currency that sums of this book are printed in."""
    return single_currency(book)
