"""Workload: who carries more than anybody can keep in touch with."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.compare import FALSE_DISCOVERY, discoveries
from salescoach.metrics.contacts import NO_CONTACT, folded, is_planned, knows_contacts
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import due_in
from salescoach.metrics.groups import PEOPLE, UNASSIGNED, complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.lapses import knows_plans, next_steps
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.registry import metric
from salescoach.metrics.stalled import stalled_deals, watched_deals
from salescoach.process import Period

WEEKS = 8
DAYS = 7
SUSTAINED = 0.9
WEEKS_NEEDED = 12  # under so many weeks nobody knows what somebody can sustain
DEALS_NEEDED = 10


def _touch_every(book: Book, deals: pd.DataFrame) -> pd.Series:
    """The `touch_every_days` of the stage of each deal; null where the process says nothing."""
    limits = {(k, s.key): s.touch_every_days for k, line in book.process.pipelines.items() for s in line.working}
    places = pd.MultiIndex.from_frame(deals[["pipeline", "stage"]])
    known = pd.Series(limits, index=pd.MultiIndex.from_tuples(limits), dtype="float64")
    return pd.Series(known.reindex(places).to_numpy(), deals.index)


@per_book
def carried_deals(book: Book) -> pd.DataFrame:
    """Every open deal with what it asks of its owner: the columns of `stalled_deals`, and zombie (`watched_deals`),
    touches (a week, as the process asks for in its stage; 0 for a zombie: it needs a decision, not a call),
    quiet_days (since the last contact), neglected (quiet for longer than the process allows; null where contacts or
    the limit are not known) and without_step (no next step is planned; null where plans are not recorded)."""
    deals, watched = stalled_deals(book), watched_deals(book)
    deals["zombie"] = watched["zombie"]
    deals["quiet_days"] = watched["quiet_days"] if knows_contacts(book) else np.nan
    limit = _touch_every(book, deals)
    deals["touches"] = (DAYS / limit).fillna(0).where(~deals["zombie"], 0.0)
    told = limit.notna() & deals["quiet_days"].notna() & ~deals["zombie"]
    deals["neglected"] = (deals["quiet_days"] > limit).astype("boolean").where(told)
    deals["without_step"] = pd.Series(pd.NA, deals.index, dtype="boolean")
    if knows_plans(book):
        deals["without_step"] = (next_steps(book)["next_step"] == "without").astype("boolean")
    return deals


@per_book
def weekly_contacts(book: Book) -> pd.DataFrame:
    """Contacts per person and week: rep_id, weeks_ago (0: the 7 days up to as_of), n.

    Every whole week since a person's first contact has its row, also with n = 0. Notes, tasks and what is still planned
    are no contacts.
    """
    rows = book.table("activities")
    rows = rows[~is_planned(rows, book.as_of_on) & (rows["at"] <= book.as_of) & rows["rep_id"].notna()]
    rows = rows[~folded(rows["activity_type"]).isin(NO_CONTACT)]
    ago = (book.as_of_on - book.local_days(rows["at"])).dt.days // DAYS
    counts = count_table(pd.DataFrame({"rep_id": rows["rep_id"], "weeks_ago": ago}), ["rep_id", "weeks_ago"])
    first = counts.groupby("rep_id", as_index=False)["weeks_ago"].max()
    # the first week may have begun before the person did
    first["weeks"] = first["weeks_ago"].clip(lower=1)
    grid = first.loc[first.index.repeat(first["weeks"]), ["rep_id"]]
    grid["weeks_ago"] = grid.groupby("rep_id").cumcount()
    table: pd.DataFrame = grid.merge(counts, on=["rep_id", "weeks_ago"], how="left", validate="1:1")
    table["n"] = table["n"].fillna(0).astype("int64")
    return table


def _carried(book: Book, period: Period) -> pd.DataFrame:
    return due_in(book, carried_deals(book), period)


@metric(
    "Workload",
    "Touches a week that the process asks for in a person's open deals / the person's own contacts per week in the "
    "last 8 weeks. A deal asks for 7 / `touch_every_days` of its stage; a zombie asks for none.",
    basis="the state of the day of the data; a period means the expected close",
    interval="none for the ratio; 95 % Wilson intervals of the shares",
    unit="ratio",
    needs=[("deals", "outcome")],
    uses=[("activities", "deal_id"), ("activities", "due_on", "done"), ("stage_history", "entered_at")],
    by=("rep",),
    rows=_carried,
    stock=True,
    caveat="Too much: more is asked for than the person reached in nine weeks out of ten, and clearly more of the open "
    "deals wait for a touch than among all. Contacts that were not recorded make the load look larger.",
    why="Who carries more deals than one person can keep in touch with?",
)
def workload(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """What open deals ask of their owners against what these do.

    value = asked_per_week / contacts_per_week. Groups: rep, team, manager. Contacts are those of the people of the
    group, for any deal.

    signal (by rep alone, else null): "too much" where asked_per_week exceeds sustained_per_week (the 90th percentile of
    the person's weekly contacts ever, from 12 weeks on) and the share of neglected deals is above that of all deals
    (one-sided z, Benjamini-Hochberg at 10 % over all reps); "few" where a person has under 12 weeks of contacts or
    under 10 open deals with a limit; else "none".

    Returns one row per group: n (open deals), value, low, high (null), amount (of the n), asked_per_week,
    contacts_per_week, sustained_per_week, deals_told (of the n, those whose silence and limit are known, zombies left
    out), neglected, neglected_share, stalled, stalled_share (of those that can be judged), zombies,
    without_next_step (null where plans are not recorded), signal. One row per currency if there are several, for the
    amounts; what a person does is repeated in each.
    """
    groups = parse_by(by)
    foreign = [g for g in groups if g not in PEOPLE]
    if foreign:
        raise Unavailable("people carry deals, so the load cannot be split by {group}", group=foreign[0])
    deals = with_groups(book, due_in(book, carried_deals(book), period), groups, "today")
    keys = group_keys(groups)
    money = money_keys(deals)
    table = complete(book, _counted(deals, [*keys, *money]), groups).fillna({"asked_per_week": 0.0})
    table = _with_contacts(book, table, groups)
    table["amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["value"] = table["asked_per_week"] / table["contacts_per_week"].where(table["contacts_per_week"] > 0)
    table["low"] = table["high"] = np.nan
    for name, of in (("neglected", "deals_told"), ("stalled", "judged")):
        table[f"{name}_share"], table[f"{name}_low"], table[f"{name}_high"] = wilson(table[name], table[of])
    if not knows_plans(book):
        table["without_next_step"] = np.nan
    table["signal"] = _signals(table) if groups == ("rep",) and not money else pd.Series(None, table.index, dtype="str")
    shown = ["n", "value", "low", "high", "amount", "asked_per_week", "contacts_per_week", "sustained_per_week"]
    shown += ["deals_told", "neglected", "neglected_share", "neglected_low", "neglected_high"]
    shown += ["stalled", "stalled_share", "stalled_low", "stalled_high", "zombies", "without_next_step", "signal"]
    return table[list(dict.fromkeys([*group_columns(groups), *money, *shown]))]


def _counted(deals: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    sums = {
        "judged": deals["judged"],
        "stalled": deals["stalled"],
        "zombies": deals["zombie"],
        "deals_told": deals["neglected"].notna(),
        "neglected": deals["neglected"].fillna(False).astype("bool"),
        "without_next_step": deals["without_step"].fillna(False).astype("bool"),
    }
    table = count_table(deals, keys, money="amount_minor", sums=sums)
    if not keys:
        return table.assign(asked_per_week=deals["touches"].sum())
    asked = deals.groupby(keys)["touches"].sum().rename("asked_per_week").reset_index()
    return table.merge(asked, on=keys, how="left", validate="1:1")


def _with_contacts(book: Book, table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """The table with contacts_per_week of the last 8 weeks and sustained_per_week; null without activities."""
    if "activities" not in book.tables or book.tables["activities"].empty:
        return table.assign(contacts_per_week=np.nan, sustained_per_week=np.nan, weeks=0)
    keys = group_keys(groups)
    weeks = with_groups(book, weekly_contacts(book).assign(today=book.as_of_on), groups, "today")
    weeks = weeks.groupby([*keys, "weeks_ago"])["n"].sum().reset_index()
    recent = weeks[weeks["weeks_ago"] < WEEKS]
    if not keys:
        return table.assign(
            contacts_per_week=recent["n"].mean(), sustained_per_week=weeks["n"].quantile(SUSTAINED), weeks=len(weeks)
        )
    every, last = weeks.groupby(keys)["n"], recent.groupby(keys)["n"]
    found = pd.DataFrame(
        {"contacts_per_week": last.mean(), "sustained_per_week": every.quantile(SUSTAINED), "weeks": every.size()}
    )
    table = table.merge(found.reset_index(), on=keys, how="left", validate="m:1")
    return table.assign(weeks=table["weeks"].fillna(0).astype("int64"))


def _signals(table: pd.DataFrame) -> pd.Series:
    """Who carries too much, for a table by rep."""
    total = table["deals_told"].sum()
    usual = table["neglected"].sum() / total if total else np.nan
    spread = np.sqrt(table["deals_told"] * usual * (1 - usual))
    excess = (table["neglected"] - table["deals_told"] * usual).astype("float64")
    z = (excess - 0.5) / spread.where(spread > 0)
    enough = (table["weeks"] >= WEEKS_NEEDED) & (table["deals_told"] >= DEALS_NEEDED)
    judged = enough & z.notna() & (table["rep_id"] != UNASSIGNED)
    named = pd.Series(False, table.index)
    named[judged] = discoveries(upper_tail(z[judged].to_numpy()), FALSE_DISCOVERY)
    too_much = named & (table["asked_per_week"] > table["sustained_per_week"])
    return pd.Series(np.select([~judged, too_much], ["few", "too much"], "none"), table.index, dtype="str")


def upper_tail(z: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """How likely a standard normal value is above each z."""
    return [0.5 * erfc(value / sqrt(2)) for value in z]
