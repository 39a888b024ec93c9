"""People's own forecasts against what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, commas
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.credit import credited_deals
from salescoach.metrics.estimate import ratio_interval
from salescoach.metrics.groups import group_columns, group_keys, in_order, name_reps, parse_by, with_groups
from salescoach.metrics.money import minor_scale
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.visits import deals_of
from salescoach.process import Period

LEADS = {"0–29": 0, "30–59": 30, "60–89": 60, "90+": 90}  # days from the call to the end of its period, from … on
CALLERS = ("rep", "manager")
REACH = 2**20  # more days than there are
SPAN = ["start_on", "end_on"]
WHO = ["called_by", "set_for", "rep_id", "team"]


def judged_calls(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The calls of `forecast_calls` whose own period is over and ends in `period`, each with what came.

    The columns of the table and: called_by ("rep" or "manager"; where the table does not say, a rep's own number is
    the rep's call, any other one the manager's), set_for ("rep", "team" or "all"), called_on, days_ahead (from the call
    to the end of its period), lead (a class of these: a key of `LEADS`), came_minor (won in the call's period, credited
    as in `quota_attainment`), miss_minor (call - came), ended_on.

    Of several calls by the same side for the same person or team and period the latest in each class counts. Calls
    after the end of their period are none. Raises Unavailable where calls or deals are in several currencies.
    """
    calls = book.table("forecast_calls")
    for column in ("rep_id", "team", "called_by", "currency"):
        if column not in calls:
            calls[column] = pd.Series(None, calls.index, dtype="str")
    _need_one_currency(book, calls)
    own = calls["rep_id"].notna()
    levels = np.select([own, calls["team"].notna()], ["rep", "team"], "all")
    calls["set_for"] = pd.Series(levels, calls.index, dtype="str")
    calls["team"] = calls["team"].where(~own)
    said = calls["called_by"].str.strip().str.casefold()
    usual = pd.Series(np.where(own, "rep", "manager"), calls.index, dtype="str")
    calls["called_by"] = said.where(said.isin(CALLERS), usual)
    calls["called_on"] = book.local_days(calls["at"])
    calls["days_ahead"] = (calls["end_on"] - calls["called_on"]).dt.days
    calls["ended_on"] = calls["end_on"]
    known = calls["amount_minor"].notna() & (calls["days_ahead"] >= 0) & (calls["start_on"] <= calls["end_on"])
    over = calls["end_on"] <= book.as_of_on
    calls = calls[known & over & in_period(book, period, calls["end_on"])]
    place = np.searchsorted(list(LEADS.values()), calls["days_ahead"], side="right") - 1
    calls["lead"] = pd.Series(np.array(list(LEADS))[place], calls.index, dtype="str")
    calls = calls.sort_values("at", kind="stable").drop_duplicates([*WHO, *SPAN, "lead"], keep="last")
    calls = calls.reset_index(drop=True)
    calls["came_minor"] = _came(book, calls)
    calls["miss_minor"] = calls["amount_minor"].astype("int64") - calls["came_minor"]
    return calls


def _need_one_currency(book: Book, calls: pd.DataFrame) -> None:
    deals = deals_of(book)
    named = {*deals.loc[deals["outcome"] == "won", "currency"].dropna(), *calls["currency"].dropna()}
    if len(named) > 1:
        raise Unavailable(
            "calls and won deals are in several currencies ({names}), and sums never cross currencies",
            names=commas(sorted(named)),
        )


def _came(book: Book, calls: pd.DataFrame) -> pd.Series:
    """What was won in the period of each call by those whom it is about, in minor units."""
    wins = credited_deals(book)
    wins = wins[
        (wins["outcome"] == "won") & wins["closed_on"].notna() & wins["amount_minor"].notna() & ~wins["overlay"]
    ]
    wins = with_groups(book, wins, ("team",), "closed_on")
    everybody = pd.Series("all", wins.index, dtype="str")
    who, names = pd.factorize(pd.concat(["rep " + wins["rep_id"], "team " + wins["team"], everybody]))
    key = who * REACH + np.tile(_day(wins["closed_on"]), 3)
    order = np.argsort(key, kind="stable")
    sums = np.append(0, np.tile(wins["amount_minor"].to_numpy(np.int64), 3)[order].cumsum())
    named = ("rep " + calls["rep_id"]).fillna("team " + calls["team"]).fillna("all")
    place = pd.Index(names).get_indexer(named) * REACH
    first = np.searchsorted(key[order], place + _day(calls["start_on"]), side="left")
    last = np.searchsorted(key[order], place + _day(calls["end_on"]), side="right")
    return pd.Series(np.where(place >= 0, sums[last] - sums[first], 0), calls.index, dtype="int64")


def _day(days: pd.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers: np.ndarray[Any, np.dtype[np.int64]] = days.to_numpy("datetime64[D]").astype(np.int64)
    return numbers


@metric(
    "Own forecasts",
    "Sum of the misses of reps' and managers' own forecasts, whatever their sign, / what came. A call is judged when "
    "its period is over, by what was won in it; apart by who called and how many days before the end of the period.",
    basis="the last day of the period that was forecast",
    interval="95 % interval of a ratio of sums, over people and periods",
    unit="ratio",
    needs=[("forecast_calls", "amount_minor"), ("deals", "closed_at"), ("deals", "amount_minor")],
    uses=[("splits", "share"), ("changes", "at")],
    by=(),
    rows=judged_calls,
    caveat="Of several calls of the same class of days ahead the latest counts. A miss late in the period is smaller "
    "because more is won already: compare within a class. Wins without an amount add nothing to what came.",
    why="How far can we trust what people say they will bring, and on which side do they err?",
)
def forecast_calls(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """How far people's own forecasts were off, from `judged_calls`.

    value = sum of |call - came| / sum of came; bias = sum of (call - came) / sum of came (above 0: too high). A team's
    call belongs to the team and to no rep; one for everybody to neither. What one side says of the same person and
    period in several classes is one unit of the interval.

    Returns one row per group, called_by (rep, manager) and lead (days ahead: "0–29", "30–59", "60–89", "90+"): n
    (calls), value, low, high (null where nothing came), bias, called, came (amounts), too_high (calls above what came).
    """
    groups = parse_by(by)
    calls = judged_calls(book, period)
    rows = with_groups(book, calls, groups, "ended_on")
    if "team" in groups:
        rows["team"] = calls["team"].fillna(rows["team"])
    rows["unit"] = calls.groupby([*WHO, *SPAN], dropna=False).ngroup()
    keys = list(dict.fromkeys([*group_keys(groups), "called_by", "lead"]))
    sums: dict[str, pd.Series] = {"off": rows["miss_minor"].abs(), "too_high": rows["miss_minor"] > 0}
    sums |= {"called_minor": rows["amount_minor"], "came_minor": rows["came_minor"]}
    cells = count_table(rows, [*keys, "unit"], sums=sums).drop(columns="unit")
    off, came = cells["off"].astype("float64"), cells["came_minor"].astype("float64")
    cells = cells.assign(units=1, off2=off**2, cross=off * came, came2=came**2)
    table = name_reps(book, in_order(add_up(cells, keys), keys))
    squares = table["off2"], table["cross"], table["came2"]
    found = ratio_interval(table["off"], table["came_minor"], *squares, table["units"])
    table["value"], table["low"], table["high"] = found
    table["low"] = table["low"].clip(lower=0)
    table["bias"] = (table["called_minor"] - table["came_minor"]) / table["came_minor"].where(table["came_minor"] > 0)
    for amount in ("called", "came"):
        table[amount] = table[f"{amount}_minor"] / minor_scale(book, table)
    shown = ["called_by", "lead", "n", "value", "low", "high", "bias", "called", "came", "too_high"]
    return table[list(dict.fromkeys([*group_columns(groups), *shown]))]
