"""What reps and managers said themselves, beside what the methods said on the same day for the same period."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.models.forecast.combine import Groups, Judged, judge
from salescoach.models.forecast.methods import SEEN, Window, views
from salescoach.models.forecast.past import Past
from salescoach.models.forecast.scores import STEP
from salescoach.process import Period

CALLS = ["called_by", "level", "method", "n", "wape", "bias"]
KINDS = {**dict.fromkeys(CALLS[:3], "str"), "n": "int64", "wape": "float64", "bias": "float64"}
CALLERS = ("rep", "manager")
MOST = 12  # lengths of time between a call and its period that are looked at, the latest first


def calls_of(past: Past) -> pd.DataFrame:
    """The calls with called_by, level, group (place of the rep or team at its level), day, first, last (numbers)."""
    book = past.book
    if past.unit != "amount" or not book.has("forecast_calls", "amount"):
        return pd.DataFrame(columns=["called_by", "level", "name", "amount", "day", "first", "last"])
    calls = book.table("forecast_calls")
    for column in ("rep_id", "team", "called_by"):
        if column not in calls:
            calls[column] = pd.Series(None, calls.index, dtype="str")
    own = calls["rep_id"].notna()
    calls["level"] = np.select([own, calls["team"].notna()], ["rep", "team"], "company")
    calls["name"] = calls["rep_id"].where(own, calls["team"]).fillna("")
    said = calls["called_by"].str.strip().str.casefold()
    calls["called_by"] = said.mask(
        ~said.isin(CALLERS), pd.Series(np.where(own, "rep", "manager"), calls.index, dtype="str")
    )
    calls["day"] = book.local_days(calls["at"]).to_numpy("datetime64[D]").view(np.int64)
    for name, column in (("first", "start_on"), ("last", "end_on")):
        calls[name] = calls[column].to_numpy("datetime64[D]").astype(np.int64)
    return calls[calls["amount"].notna() & (calls["day"] < calls["last"])].sort_values("at", kind="stable")


def with_calls(past: Past, table: pd.DataFrame, span: Period) -> pd.DataFrame:
    """The forecast's table with `rep_call` and `manager_call`: the latest calls of exactly this period."""
    calls = calls_of(past)
    names = table["rep_id"].where(table["level"] == "rep", table["team"]).where(table["level"] != "company", "")
    if len(calls):
        first = pd.Timestamp(span.start_on) if span.start_on is not None else None
        calls = calls[(calls["start_on"] == first) & (calls["end_on"] == pd.Timestamp(span.end_on))]
    for caller in CALLERS:
        own = calls[calls["called_by"] == caller].drop_duplicates(["level", "name"], keep="last")
        found = dict(zip(zip(own["level"], own["name"], strict=True), own["amount"], strict=True))
        keys = zip(table["level"], names, strict=True)
        table[f"{caller}_call"] = pd.Series([found.get(k, np.nan) for k in keys], table.index, dtype="float64")
    return table


def score_calls(past: Past, groups: Groups) -> pd.DataFrame:
    """Calls whose period is over, beside the combination and the run-rate of the day after the call.

    Returns one row per called_by, level and method (call, combined, run_rate): n (calls), wape, bias. All three count
    what had been won in the period by then. The latest call of each day counts.
    """
    calls = calls_of(past)
    calls = calls[(calls["last"] < past.today) & (calls["day"] + 1 >= past.stays.first_day + SEEN)]
    calls = calls.drop_duplicates(["called_by", "level", "name", "day", "first", "last"], keep="last")
    calls = calls.assign(gap=(calls["first"] - calls["day"] - 1).clip(lower=0), to=calls["last"] - calls["day"])
    shapes = calls.sort_values("day")[["gap", "to"]].drop_duplicates(keep="last").tail(MOST)
    parts: list[dict[str, Any]] = []
    for gap, to in shapes.itertuples(index=False):
        here = calls[(calls["gap"] == gap) & (calls["to"] == to)]
        parts += _beside(past, groups, here, Window(int(gap), int(to - gap)))
    if not parts:
        return pd.DataFrame(columns=CALLS).astype(KINDS)
    rows = pd.DataFrame(parts)
    long = rows.melt(["called_by", "level", "actual"], ["call", "combined", "run_rate"], "method")
    long = long.assign(off=(long["value"] - long["actual"]).abs(), bias=long["value"] - long["actual"], n=1)
    sums = long.groupby(["called_by", "level", "method"], as_index=False)[["n", "off", "bias", "actual"]].sum()
    whole = sums["actual"].where(sums["actual"] > 0)
    return sums.assign(wape=sums["off"] / whole, bias=sums["bias"] / whole)[CALLS].astype(KINDS)


def _beside(past: Past, groups: Groups, calls: pd.DataFrame, window: Window) -> list[dict[str, Any]]:
    """Calls made as many days before their period, each with what was said and what came."""
    asked = calls["day"].to_numpy() + 1
    weekly = np.arange(past.today, past.stays.first_day + STEP, -STEP)[: 2 * len(asked) + 60]
    origins = np.unique(np.concatenate([weekly, asked]))
    found = judge(views(past, origins, [window])[0], groups)
    at = np.searchsorted(origins, asked)
    rows = []
    for call, i in zip(calls.to_dict("records"), at, strict=True):
        place = _place(past, groups, str(call["level"]), str(call["name"]))
        if place is None:
            continue
        won = groups.sums(past.won_between(min(call["first"], call["day"] + 1), call["day"] + 1), str(call["level"]))
        rows.append(
            {
                "called_by": call["called_by"],
                "level": call["level"],
                "call": float(call["amount"]),
                "actual": won[place] + groups.sums(found.views.actual[i], call["level"])[place],
                **{m: won[place] + _mean(found, m, call["level"], i)[place] for m in ("combined", "run_rate")},
            }
        )
    return rows


def _mean(found: Judged, method: str, level: str, i: int) -> Any:
    return found.groups.sums(found.mean[method][i], level)


def _place(past: Past, groups: Groups, level: str, name: str) -> int | None:
    names = {"rep": past.reps, "team": list(groups.teams), "company": [""]}[level]
    return names.index(name) if name in names else None
