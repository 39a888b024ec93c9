"""Pipeline bridge: how the open amount due in a period came from its first day to its last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from salescoach.book import Book, is_in, places_in
from salescoach.errors import LawBroken, Unavailable
from salescoach.metrics.counts import count_table
from salescoach.metrics.groups import UNITS, group_columns, group_keys, in_order, name_reps, parse_by, with_groups
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period
from salescoach.wording import N_

LINES = {
    "start": N_("Open on the day before"),
    "new": N_("New"),
    "moved_in": N_("Moved in"),
    "increased": N_("Amount increased"),
    "decreased": N_("Amount decreased"),
    "moved_out": N_("Moved out"),
    "pushed": N_("Pushed to later"),
    "lost": N_("Lost"),
    "won": N_("Won"),
    "end": N_("Open at the end"),
}
DAY = pd.Timedelta(days=1)


def bridged_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """One row per deal and line of the bridge in which it stands: the deal's columns as of the last day, line, order
    (of the line) and amount_minor, signed as it enters the sum (null: the amount is not known).

    A deal belongs to its owner of the last day, or at the close. See `pipeline_bridge` for the lines.
    """
    span = as_period(book, period)
    if span.start_on is None:
        raise Unavailable("a bridge needs a period with a first day, such as 2026Q3")
    start = pd.Timestamp(span.start_on)
    if start > book.as_of_on:
        raise Unavailable("the period begins after the day of the data")
    if not book.has("deals", "expected_close_on"):
        raise Unavailable("`expected_close_on` is missing or empty in `deals`, so no deal is due in any period")
    last = min(pd.Timestamp(span.end_on), book.as_of_on)
    after = book if last == book.as_of_on else book.at(str(last.date()))
    before = as_it_stood(book, start - DAY)
    deals = deals_of(after)
    # what was closed for good before the period is in no line
    deals = deals[is_in(deals["deal_id"], not_closed_by(book, start - DAY)["deal_id"])].copy()
    deals["rep_id"] = owner_at(after, deals.index.to_series(), deals["closed_at"])
    deals["seen_on"] = last
    then = _then(book, before, deals)
    amounts = _at_loss(book, deals, deals["amount_minor"])
    lines = _lines(deals, then, amounts, span)
    parts = [deals.assign(amount_minor=signed)[here] for here, signed in lines.values()]
    parts = [part.assign(line=name, order=i) for i, (name, part) in enumerate(zip(lines, parts, strict=True))]
    rows = pd.concat(parts, ignore_index=True)
    rows["line"] = rows["line"].astype("str")
    return rows


def as_it_stood(book: Book, day: pd.Timestamp) -> Book:
    """The book of a past day with only its deals and their logs, those closed for good by then left out.

    It takes a fraction of the time of `Book.at` and tells as much of what was open on that day.
    """
    deals = not_closed_by(book, day)
    logs = {name: book.tables[name] for name in ("stage_history", "changes") if name in book.tables}
    kept = {name: log[is_in(log["deal_id"], deals["deal_id"])] for name, log in logs.items()}
    return replace(book, tables={"deals": deals, **kept}).at(str(day.date()))


def not_closed_by(book: Book, day: pd.Timestamp) -> pd.DataFrame:
    """The deals but for those whose last close lies on or before a day."""
    deals = deals_of(book)
    end = (day + DAY).tz_localize(book.timezone).tz_convert("UTC")
    return deals[~((deals["outcome"] != "open") & (deals["closed_at"] < end))]


def _then(book: Book, before: Book, deals: pd.DataFrame) -> pd.DataFrame:
    """For each of the deals how it stood on the day before: known, outcome, expected_close_on, amount_minor."""
    earlier = deals_of(before)
    place = places_in(deals["deal_id"], earlier["deal_id"])
    columns = ["outcome", "expected_close_on", "amount_minor"]
    if not len(earlier):
        found = earlier[columns].reindex(deals.index)
    else:
        found = earlier[columns].take(np.maximum(place, 0)).set_axis(deals.index)
    known = pd.Series(place >= 0, deals.index)
    found = found.where(known).assign(known=known)
    found["outcome"] = found["outcome"].fillna("")
    return found.assign(amount_minor=_at_loss(book, deals, found["amount_minor"]))


def _at_loss(book: Book, deals: pd.DataFrame, minor: pd.Series) -> pd.Series:
    """Amounts; where the CRM cleared it at the loss, the last one in the stage history."""
    minor = minor.astype("Int64")
    if not book.has("stage_history", "amount_minor"):
        return minor
    log = book.table("stage_history")
    log = log[log["amount_minor"].notna() & (log["amount_minor"] > 0)].drop_duplicates("deal_id", keep="last")
    place = places_in(deals["deal_id"], log["deal_id"])
    now = deals_of(book)
    lost = set(now.loc[(now["outcome"] == "lost") & now["amount_minor"].isna(), "deal_id"])
    cleared = minor.isna() & pd.Series(place >= 0, deals.index) & deals["deal_id"].isin(lost)
    if not cleared.any():
        return minor
    logged = log["amount_minor"].take(np.maximum(place, 0)).set_axis(deals.index).astype("Int64")
    return minor.mask(cleared, logged)


def _lines(
    deals: pd.DataFrame, then: pd.DataFrame, now: pd.Series, span: Period
) -> dict[str, tuple[pd.Series, pd.Series]]:
    """For each line which deals stand in it, and with what signed amount."""
    due_then = pd.Series(span.contains(then["expected_close_on"]), deals.index)
    due_now = pd.Series(span.contains(deals["expected_close_on"]), deals.index)
    at_start = (then["outcome"] == "open") & due_then
    at_end = (deals["outcome"] == "open") & due_now
    won = (deals["outcome"] == "won") & (then["outcome"] != "won")
    lost = (deals["outcome"] == "lost") & (then["outcome"] != "lost") & (at_start | due_now)
    later = deals["expected_close_on"] > pd.Timestamp(span.end_on)
    pushed = at_start & (deals["outcome"] == "open") & later
    before = then["amount_minor"]
    # what a deal stood at when it left: a loss takes the amount away that was there
    leaves_with = now.where(won & now.notna(), before.where(at_start, now)).where(~at_end, now)
    change = leaves_with.fillna(0) - before.fillna(0)
    stays = at_start & (at_end | won)
    entered = ~at_start & (at_end | won | lost)
    return {
        "start": (at_start, before),
        "new": (entered & ~then["known"], leaves_with),
        "moved_in": (entered & then["known"], leaves_with),
        "increased": (stays & (change > 0), change),
        "decreased": (stays & (change < 0), change),
        "moved_out": (at_start & ~at_end & ~won & ~lost & ~pushed, -before),
        "pushed": (pushed, -before),
        "lost": (lost, -leaves_with),
        "won": (won, -leaves_with),
        "end": (at_end, now),
    }


@metric(
    "Pipeline bridge",
    "Open amount due in the period: what it was on the day before the period, plus new deals, deals moved in and "
    "amounts increased, minus amounts decreased, deals moved out, pushed to later, lost and won, is what it is at the "
    "end.",
    basis="expected close in the period, as it stood on the two days that are compared",
    interval="none: a stock is counted, not estimated",
    unit="money",
    needs=[("deals", "outcome"), ("deals", "created_at"), ("deals", "amount_minor")],
    uses=[("deals", "expected_close_on"), ("changes", "old"), ("stage_history", "entered_at")],
    rows=bridged_deals,
    spans=True,
    caveat="Two days are compared: what came in and went out again in between is not seen. Where changes of amount or "
    "expected close are not recorded, today's stand for those of the first day.",
    why="Why is what we expected in this period no longer what it was?",
)
def pipeline_bridge(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Open amount due in a period, from the day before it to its last day or as_of.

    start + new + moved_in + increased + decreased + moved_out + pushed + lost + won = end, to the last minor unit; what
    goes out is negative.

    start, end        open on that day, expected close in the period
    new               created in the period, then open at the end or won (whatever its date), or lost while due
    moved_in          the same of deals that were there before, but not open and due in the period
    increased, decreased   of the deals that stayed or were won
    moved_out         no longer due: moved to an earlier day, date removed, or void
    pushed            expected close moved to after the period
    lost              with the amount it had at the start (where the CRM cleared it at the loss, the last one logged)
    won               all wins of the period with the amount at the close

    A deal counts for its owner at the close or on the last day, so that each person's bridge closes too.

    Returns one row per group and line: line, n (deals), value (amount), low, high (null), without_amount. One bridge
    per currency if there are several. Raises LawBroken if a bridge does not close, Unavailable without a first day, or
    for a group of time.
    """
    groups = parse_by(by)
    if any(g in UNITS for g in groups):
        raise Unavailable("a bridge spans one period, so it is not split by time; choose the period instead")
    rows = with_groups(book, bridged_deals(book, period), groups, "seen_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(rows)]))
    counts = count_table(rows, [*keys, "line", "order"], money="amount_minor")
    table = _every_line(counts, keys)
    _check_closes(table, keys)
    table = name_reps(book, in_order(table, [*keys, "order"]))
    table["value"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["low"] = table["high"] = np.nan
    table["without_amount"] = table["n"] - table["n_amount"]
    front = [*group_columns(groups), *money_keys(rows), "line"]
    return table[list(dict.fromkeys([*front, "n", "value", "low", "high", "without_amount"]))]


def _every_line(counts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The counts with a row for each line of each group, also where no deal stands in it."""
    lines = pd.DataFrame({"line": list(LINES), "order": range(len(LINES))}).astype({"line": "str"})
    grid = counts[keys].drop_duplicates().merge(lines, how="cross") if keys else lines
    table = grid.merge(counts.drop(columns="order"), on=[*keys, "line"], how="left", validate="1:1")
    whole = ["n", "amount_minor", "n_amount"]
    table[whole] = table[whole].fillna(0).astype("int64")
    return table


def _check_closes(table: pd.DataFrame, keys: list[str]) -> None:
    signed = table["amount_minor"].where(table["line"] != "end", -table["amount_minor"])
    off = signed.groupby([table[k] for k in keys]).sum() if keys else pd.Series([signed.sum()])
    if (off != 0).any():
        raise LawBroken(
            "The pipeline bridge does not close: {off} minor units are left over. This is a fault of "
            "salescoach; please report it with this line.",
            off=int(off.abs().max()),
        )
