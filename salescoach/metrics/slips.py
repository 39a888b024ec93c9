"""Slips: expected closes that were put off."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import Unavailable
from salescoach.metrics.activity import active_deals, not_by_time
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import mean_interval, wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.visits import deals_of
from salescoach.process import Period, period_of

FIELD = "expected_close_on"
SETTLING_DAYS = 7  # the first date is a guess that people correct in the first week


def knows_moves(book: Book) -> bool:
    """Whether changes of the expected close are recorded."""
    return book.has("changes", "old") and bool((book.tables["changes"]["field"] == FIELD).any())


@per_book
def close_moves(book: Book) -> pd.DataFrame:
    """Recorded changes of the expected close from one day to another, while the deal was open.

    deal (row in `book.deals`), at, moved_on, old_on, new_on, days (later: positive), settling (in the first 7 days of
    the deal: not counted), crossed (the two days lie in different fiscal quarters). Raises Unavailable where no such
    change is recorded.
    """
    if not knows_moves(book):
        raise Unavailable("no change of the expected close is recorded: `changes` has no row for `expected_close_on`")
    deals, moves = deals_of(book), book.table("changes")
    moves = moves[moves["field"] == FIELD]
    place = places_in(moves["deal_id"], deals["deal_id"])
    moves = moves.assign(deal=place)[place >= 0].reset_index(drop=True)
    for column in ("old", "new"):
        read = pd.to_datetime(moves[column], format="%Y-%m-%d", errors="coerce") if column in moves else pd.NaT
        moves[f"{column}_on"] = pd.Series(read, moves.index).astype("datetime64[us]")
    closed = deals["closed_at"].where(deals["outcome"] != "open").reindex(moves["deal"]).set_axis(moves.index)
    moves = moves[moves["old_on"].notna() & moves["new_on"].notna() & ~(moves["at"] > closed)]
    moves = moves[moves["old_on"] != moves["new_on"]].reset_index(drop=True)
    moves["moved_on"] = book.local_days(moves["at"])
    created = deals["created_on"].reindex(moves["deal"]).set_axis(moves.index)
    moves["days"] = (moves["new_on"] - moves["old_on"]).dt.days
    moves["settling"] = (moves["moved_on"] - created).dt.days < SETTLING_DAYS
    quarters = [period_of(moves[c], "fiscal_quarter", book.process).astype("str") for c in ("old_on", "new_on")]
    moves["crossed"] = quarters[0] != quarters[1]
    return moves[["deal", "at", "moved_on", "old_on", "new_on", "days", "settling", "crossed"]]


def pushes(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """`close_moves` to a later day in the period, those of a deal's first 7 days left out."""
    moves = close_moves(book)
    return moves[(moves["days"] > 0) & ~moves["settling"] & in_period(book, period, moves["moved_on"])]


def pushed_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """`active_deals` with pushes, pushed_days (sum), slips (pushes into another fiscal quarter) and dated: an expected
    close is or was recorded."""
    deals = active_deals(book, period)
    later = pushes(book, period)
    sums = later.groupby("deal").agg(pushes=("days", "size"), pushed_days=("days", "sum"), slips=("crossed", "sum"))
    deals = deals.join(sums.reindex(deals.index).fillna(0).astype("int64"))
    now = deals[FIELD].notna() if FIELD in deals else pd.Series(False, deals.index)
    return deals.assign(dated=now | deals.index.isin(close_moves(book)["deal"]))


def _dated(book: Book, period: Period) -> pd.DataFrame:
    deals = pushed_deals(book, period)
    return deals[deals["dated"]]


@metric(
    "Pushed deals",
    "Share of the deals with an expected close that were open at some time in the period and whose expected close was "
    "moved to a later day in it. Changes in a deal's first 7 days do not count.",
    basis="the deals open at some time in the period, and the changes made in it",
    interval="95 % Wilson interval of the share; normal interval of the mean",
    unit="share",
    needs=[("deals", "outcome"), ("changes", "at")],
    uses=[("deals", "expected_close_on")],
    by=("rep",),
    rows=_dated,
    caveat="Deals without an expected close are counted apart. A deal that is overdue and was never moved does not "
    "count as pushed.",
    why="How far can we trust the dates that we plan with?",
)
def slips(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of deals whose expected close was put off.

    value = pushed / n, where n are the `active_deals` that have or had an expected close (`pushed_deals`). A slip is a
    push into another fiscal quarter. Credit goes to the deal's owner at the close or the end of the period.

    Returns one row per group: n, pushed, value, low, high (95 % Wilson), pushes, mean_pushes, mean_low, mean_high (per
    deal of the n; normal interval), median_days (of a push; null without one), slipped (deals with a slip),
    slipped_share, slipped_low, slipped_high (95 % Wilson), undated (deals without an expected close).
    """
    groups = parse_by(by)
    not_by_time(groups)
    deals = with_groups(book, pushed_deals(book, period), groups, "seen_on")
    keys = group_keys(groups)
    known = deals["dated"]
    sums = {
        "dated": known,
        "pushed": (deals["pushes"] > 0) & known,
        "slipped": (deals["slips"] > 0) & known,
        "pushes": deals["pushes"],
        "pushes2": deals["pushes"] ** 2,
    }
    table = count_table(deals, keys, sums=sums)
    later = pushes(book, period)[["deal", "days"]].join(deals[keys], on="deal", how="inner")
    if keys:
        medians = later.groupby(keys, as_index=False)["days"].median()
        table = table.merge(medians, on=keys, how="left", validate="1:1")
    else:
        table["days"] = later["days"].median()
    table = complete(book, table.astype({"days": "float64"}), groups).rename(columns={"days": "median_days"})
    table["undated"] = table["n"] - table["dated"]
    table["n"] = table["dated"]
    table["value"], table["low"], table["high"] = wilson(table["pushed"], table["n"])
    mean = mean_interval(table["pushes"], table["pushes2"], table["n"])
    table["mean_pushes"], table["mean_low"], table["mean_high"] = mean
    slipped = wilson(table["slipped"], table["n"])
    table["slipped_share"], table["slipped_low"], table["slipped_high"] = slipped
    shown = ["n", "pushed", "value", "low", "high", "pushes", "mean_pushes", "mean_low", "mean_high", "median_days"]
    shown += ["slipped", "slipped_share", "slipped_low", "slipped_high", "undated"]
    return table[[*group_columns(groups), *shown]]
