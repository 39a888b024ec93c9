"""Coverage: is enough under way to reach the target, by this company's own record?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import Unavailable, commas
from salescoach.metrics.bridge import as_it_stood
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import PEOPLE, complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.quota import quota_attainment
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.slips import knows_moves
from salescoach.metrics.visits import deals_of
from salescoach.process import Period, previous_period

PAST_PERIODS = 8


def due_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals open at as_of whose expected close lies in the period; seen_on is that day."""
    span = as_period(book, period)
    if not book.has("deals", "expected_close_on"):
        raise Unavailable("`expected_close_on` is missing or empty in `deals`, so no deal is due in any period")
    deals = deals_of(book)
    deals = deals[(deals["outcome"] == "open") & span.contains(deals["expected_close_on"])]
    return deals.assign(seen_on=book.as_of_on)


def past_points(book: Book, period: Period) -> Iterator[tuple[Period, pd.Timestamp]]:
    """Up to 8 periods of the same kind before this one, each with the day on which the same share of it had passed.

    Latest first; only those that ended before as_of and whose day lies after the first creation of a deal.
    """
    if period.start_on is None or period.days is None:
        return
    first = deals_of(book)["created_on"].min()
    passed = ((book.as_of_on.date() - period.start_on).days + 1) / period.days
    before: Period | None = period
    for _ in range(PAST_PERIODS):
        before = previous_period(before, book.process) if before is not None else None
        if before is None or before.start_on is None or before.days is None:
            return
        days = min(max(round(passed * before.days), 0), before.days)
        point = pd.Timestamp(before.start_on + timedelta(days=days - 1))
        if point <= first or pd.Timestamp(before.end_on) >= book.as_of_on:
            return
        yield before, point


def past_due_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals that were open and due at the same point of past periods (`past_points`): the columns of the deals as
    they stood then, seen_on (that day), of_period (its label) and won_in_time (won by the period's last day)."""
    now = deals_of(book)
    parts = []
    for span, point in past_points(book, as_period(book, period)):
        rows = due_deals(as_it_stood(book, point), span)
        came = now.take(places_in(rows["deal_id"], now["deal_id"])).set_axis(rows.index)
        in_time = (came["outcome"] == "won") & (came["closed_on"] <= pd.Timestamp(span.end_on))
        parts.append(rows.assign(seen_on=point, of_period=span.label, won_in_time=in_time))
    if parts:
        return pd.concat(parts, ignore_index=True)
    return due_deals(book, period).iloc[:0].assign(of_period="", won_in_time=False)


def _need_period(book: Book, period: str | Period | None) -> Period:
    span = as_period(book, period)
    if span.start_on is None:
        raise Unavailable("coverage needs a period with a first day, such as 2026Q3")
    return span


def _due_rows(book: Book, period: Period) -> pd.DataFrame:
    return due_deals(book, _need_period(book, period))


@metric(
    "Coverage",
    "Open amount due in the period / (target - won so far). Beside it the coverage that is required: 1 / the share of "
    "deals open and due at the same point of up to 8 past periods that were won by the period's end.",
    basis="expected close of open deals in the period, as of the day of the data",
    interval="none for the coverage; that required has the 95 % Wilson interval of the share won",
    unit="ratio",
    needs=[("targets", "value"), ("deals", "amount_minor"), ("deals", "closed_at"), ("deals", "expected_close_on")],
    uses=[("changes", "old"), ("stage_history", "entered_at")],
    by=(),
    rows=_due_rows,
    spans=True,
    caveat="Wins that were not due then, or not yet created, come on top; they are not part of the share won. The "
    "required coverage is unknown where changes of the expected close are not recorded.",
    why="Is enough under way to reach the target, measured by what we won from as much before?",
)
def coverage(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Open amount due against what is still missing to the target.

    value = due_amount / remaining, with remaining = target - won_amount (as `quota_attainment` has them); null where
    the target is unknown or reached. required = past_n / past_won over the deals of `past_due_deals`; its interval is
    the inverse of the Wilson interval of past_won / past_n. Groups: rep, team, manager.

    Returns one row per group: n (open deals due), due_amount, won_amount, target, remaining, value, low, high (null),
    past_n, past_won, past_periods, required, required_low, required_high (null without a deal then; without a win
    required and required_high are null), past_by_amount (share won by amount), without_amount (of the n).
    """
    groups = parse_by(by)
    foreign = [g for g in groups if g not in PEOPLE]
    if foreign:
        raise Unavailable("targets are not set by {group}, so coverage cannot be split by it", group=foreign[0])
    span = _need_period(book, period)
    keys = group_keys(groups)
    aims = quota_attainment(book, groups, span)[[*keys, "won_amount", "target"]]
    due = with_groups(book, due_deals(book, span), groups, "seen_on")
    _need_one_currency(book, due, span)
    table = _beside(count_table(due, keys, money="amount_minor"), _record(book, span, groups), keys)
    table = _beside(table, aims, keys)
    counts = ["n", "amount_minor", "n_amount", "past_n", "past_won", "past_minor", "past_won_minor"]
    table[counts] = table[counts].fillna(0).astype("int64")
    table = complete(book, table, groups)
    table["due_amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["without_amount"] = table["n"] - table["n_amount"]
    table["remaining"] = table["target"] - table["won_amount"]
    table["value"] = table["due_amount"] / table["remaining"].where(table["remaining"] > 0)
    table["low"] = table["high"] = np.nan
    share, low, high = (pd.Series(part) for part in wilson(table["past_won"], table["past_n"]))
    table["required"], table["required_low"] = 1 / share.where(share > 0), 1 / high
    table["required_high"] = 1 / low.where(share > 0)
    table["past_by_amount"] = table["past_won_minor"] / table["past_minor"].where(table["past_minor"] > 0)
    table["past_periods"] = sum(1 for _ in past_points(book, span)) if knows_moves(book) else 0
    shown = ["n", "due_amount", "won_amount", "target", "remaining", "value", "low", "high", "past_n", "past_won"]
    shown += ["past_periods", "required", "required_low", "required_high", "past_by_amount", "without_amount"]
    return table[[*group_columns(groups), *shown]]


def _need_one_currency(book: Book, due: pd.DataFrame, span: Period) -> None:
    decided = decided_deals(book, span)
    named = {*due["currency"], *decided.loc[decided["outcome"] == "won", "currency"]}
    if len(named) > 1:
        raise Unavailable(
            "open and won deals of the period are in several currencies ({names}), and sums never cross currencies",
            names=commas(sorted(named)),
        )


def _record(book: Book, span: Period, groups: Sequence[str]) -> pd.DataFrame:
    """What became of the deals that were due at this point of past periods, per group; empty where nobody knows what
    was due then."""
    rows = past_due_deals(book, span) if knows_moves(book) else due_deals(book, span).iloc[:0].assign(won_in_time=False)
    rows = with_groups(book, rows, groups, "seen_on")
    won: pd.Series = rows["won_in_time"].astype("bool")
    minor: pd.Series = rows["amount_minor"].fillna(0).astype("int64")
    sums: dict[str, pd.Series] = {"past_won": won, "past_minor": minor, "past_won_minor": minor.where(won, 0)}
    return count_table(rows, group_keys(groups), sums=sums).rename(columns={"n": "past_n"})


def _beside(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    if keys:
        return left.merge(right, on=keys, how="outer", validate="1:1")
    return pd.concat([left.reset_index(drop=True), right.reset_index(drop=True)], axis=1)
