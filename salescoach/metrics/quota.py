"""Quota attainment: what was won against what was agreed, matched by dates, not labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.counts import add_up
from salescoach.metrics.estimate import sum_interval
from salescoach.metrics.groups import PEOPLE, UNASSIGNED, UNITS, complete, group_columns, parse_by, with_groups
from salescoach.metrics.money import major, minor_scale, single_currency
from salescoach.metrics.outcomes import decided_deals, decisions
from salescoach.metrics.registry import as_period, metric
from salescoach.process import Period

KIND = "won_amount"


def prorated_targets(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Targets of won amount that overlap the period: rep_id, team, manager, start_on, end_on, target (its share by days).

    A target counts by the days it shares with the period, the data (up to as_of) and the rep's time in the job.
    """
    targets = book.table("targets")
    targets = targets[targets["metric"].str.casefold() == KIND].copy()
    for column in ("rep_id", "team"):
        if column not in targets:
            targets[column] = pd.Series(None, targets.index, dtype="str")
    people = book.people.set_index("rep_id")
    span = as_period(book, period)
    start = (
        targets["start_on"] if span.start_on is None else targets["start_on"].clip(lower=pd.Timestamp(span.start_on))
    )
    end = targets["end_on"].clip(upper=pd.Timestamp(span.end_on))
    joined, left = (targets["rep_id"].map(people[c]) for c in ("start_on", "end_on"))
    start = start.where(~(joined > start), joined)
    end = end.where(~(left < end), left)
    shared = ((end - start).dt.days + 1).clip(lower=0)
    targets["target"] = targets["value"] * shared / ((targets["end_on"] - targets["start_on"]).dt.days + 1)
    targets["from_on"] = start
    of_rep = targets["rep_id"].map(people["team"])
    targets["for_team"] = targets["rep_id"].isna() & targets["team"].notna()
    targets["team"] = targets["team"].fillna(of_rep)
    targets["manager"] = targets["rep_id"].map(people["manager"]).fillna(targets["team"].map(_manager_of_team(book)))
    return targets[targets["target"] > 0]


def _manager_of_team(book: Book) -> pd.Series:
    people = book.people.dropna(subset=["team", "manager"])
    return people.drop_duplicates("team", keep="last").set_index("team")["manager"]


def won_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won in the period."""
    deals = decided_deals(book, period)
    return deals[deals["outcome"] == "won"]


def _chosen(targets: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Reps' own targets for reps; for teams and the whole their own where they have one, else the sum of their reps'."""
    if "rep" in groups:
        return targets[targets["rep_id"].notna()]
    with_own = targets.loc[targets["for_team"], "team"]
    return targets[targets["for_team"] | ~targets["team"].isin(with_own)]


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

    value = won_amount / target. Groups: rep, team, manager and units of time; targets know no others.

    Returns one row per group: n (won deals), won_amount, target, value, low, high, gap (target - won_amount, in the currency).
    """
    groups = parse_by(by)
    foreign = [g for g in groups if g not in (*PEOPLE, *UNITS)]
    if foreign:
        raise Unavailable(f"targets are not set by {foreign[0]}, so attainment cannot be split by it")
    if decided_deals(book, period)["currency"].nunique() > 1:
        raise Unavailable("the won deals are in several currencies, and sums never cross currencies")
    units = [g for g in groups if g in UNITS]
    targets = _chosen(_by_unit(book, period, units), groups)
    if targets.empty:
        raise Unavailable(f"no target with metric `{KIND}` lies in the period")
    keys = [c for c in group_columns(groups) if c != "rep"]
    agreed = add_up(targets.assign(**{k: targets[k].fillna(UNASSIGNED) for k in keys})[[*keys, "target"]], keys)
    scoped = as_period(book, period)
    covered = Period(
        scoped.label,
        max(scoped.start_on or targets["from_on"].min().date(), targets["from_on"].min().date()),
        scoped.end_on,
    )
    won = decisions(book, groups, covered)
    won = add_up(won[won["outcome"] == "won"], keys)
    if keys:
        table = agreed.merge(won, on=keys, how="outer", validate="1:1")
    else:
        table = pd.concat([agreed, won.reset_index(drop=True)], axis=1)
    for column in ("n", "amount_minor", "amount2"):
        table[column] = table[column].fillna(0)
    table = table.astype({"n": "int64"})
    scale = minor_scale(book, table)
    table["won_amount"] = major(book, table, "amount_minor")
    low, high = sum_interval(table["won_amount"], table["amount2"] / scale**2)
    goal = table["target"].where(table["target"] > 0)
    table["value"], table["low"], table["high"] = table["won_amount"] / goal, low / goal, high / goal
    table["gap"] = goal - table["won_amount"]
    table["target"] = goal
    table = complete(book, table, groups)
    added = table["target"].eq(0)
    table.loc[added, ["target", "value", "low", "high", "gap"]] = np.nan
    return table[[*group_columns(groups), "n", "won_amount", "target", "value", "low", "high", "gap"]]


def _by_unit(book: Book, period: str | Period | None, units: Sequence[str]) -> pd.DataFrame:
    """Prorated targets; with a unit of time, each target's share in each of the unit's periods."""
    if not units:
        return prorated_targets(book, period)
    from salescoach.process import period_of

    whole = prorated_targets(book, period)
    if whole.empty:
        return whole
    days = pd.Series(pd.date_range(whole["from_on"].min(), min(whole["end_on"].max(), book.as_of_on)))
    labels = pd.DataFrame({u: period_of(days, u, book.process).astype("str") for u in units}).assign(day=days)
    parts = []
    for label, span in labels.groupby(list(units), sort=True):
        cut = Period(str(label[0]), span["day"].min().date(), span["day"].max().date())
        parts.append(prorated_targets(book, cut).assign(**dict(zip(units, label, strict=True))))
    return pd.concat(parts, ignore_index=True)


def currency_of(book: Book) -> str:
    """The currency that sums of this book are printed in."""
    return single_currency(book)
