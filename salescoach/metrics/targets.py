"""Targets by days: what of each target falls to a period, for the days on which its person was there to meet it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.metrics.groups import with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.registry import as_period
from salescoach.process import Period

LEVELS = ("rep", "team", "all")
TINY = 1e-9  # of a target: what is left where its days are taken off one by one
EVER = pd.Timestamp("0001-01-01").as_unit("us")
ONE_DAY = pd.Timedelta(days=1)


Level = Literal["rep", "team", "all"]
DAY = "datetime64[us]"
NO_DAYS = pd.DataFrame({"row": [], "start_on": [], "end_on": []}).astype(
    {"row": "int64", "start_on": DAY, "end_on": DAY}
)


@per_book
def prorated_targets(book: Book, period: str | Period | None, kind: str, level: Level = "all") -> pd.DataFrame:
    """The targets of one kind that overlap the period, matched by their dates.

    kind    the `metric` of the targets, such as won_amount
    level   "rep": people's own targets; "team": on days on which a team has a target of its own, that in place of its
            people's; "all": on days on which one is set for everybody (it names neither), that in place of all others

    A target is spread evenly over its days. Of these count the days in the period on which its person was in the job
    (`reps.start_on`, `end_on`) and not on leave; in the first `reps.ramp_days` days in the job the k-th day counts
    k / ramp_days of a day. Without a period targets count up to as_of.

    Returns the columns of the targets with rep_id, team, manager, from_on (the first day that counts), target, and
    to_date (what of it falls to the days up to as_of).
    """
    targets = _of_level(_with_people(book, book.table("targets")), kind, level)
    return _in_span(book, targets, _Presence(book, targets), as_period(book, period))


def _in_span(book: Book, targets: pd.DataFrame, there: _Presence, span: Period) -> pd.DataFrame:
    """What of each target falls to a period, with from_on, target and to_date."""
    first_day = EVER if span.start_on is None else pd.Timestamp(span.start_on)
    last_day = pd.Timestamp(span.end_on)
    targets = targets[(targets["end_on"] >= first_day) & (targets["start_on"] <= last_day)].copy()
    start, end = targets["start_on"], targets["end_on"]
    first, last = _later(start, first_day), _earlier(end, last_day)
    days = (end - start).dt.days + 1
    targets["from_on"] = _later(first, there.hired.loc[first.index])
    targets["target"] = targets["value"] * there.days(first, last) / days
    targets["to_date"] = targets["value"] * there.days(first, _earlier(last, book.as_of_on)) / days
    return targets[targets["target"] > TINY].reset_index(drop=True)


def _later(days: pd.Series, other: Any) -> pd.Series:
    return days.mask(other > days, other)


def _earlier(days: pd.Series, other: Any) -> pd.Series:
    return days.mask(other < days, other)


def by_unit(book: Book, period: str | Period | None, kind: str, level: Level, units: Sequence[str]) -> pd.DataFrame:
    """Prorated targets; with units of time, each target's part of each of the units' periods."""
    whole = prorated_targets(book, period, kind, level)
    if not units or whole.empty:
        return whole
    targets = _of_level(_with_people(book, book.table("targets")), kind, level)
    there = _Presence(book, targets)
    last = min(whole["end_on"].max(), pd.Timestamp(as_period(book, period).end_on))
    days = pd.DataFrame({"day": pd.date_range(whole["from_on"].min(), last)})
    labels = with_groups(book, days, units, "day")
    parts = []
    for label, span in labels.groupby(list(units), sort=True)["day"]:
        cut = Period(str(label), span.min().date(), span.max().date())
        names = label if isinstance(label, tuple) else (label,)
        named: dict[str, Any] = dict(zip(units, names, strict=True))
        parts.append(_in_span(book, targets, there, cut).assign(**named))
    return pd.concat(parts, ignore_index=True)


def _with_people(book: Book, targets: pd.DataFrame) -> pd.DataFrame:
    """With whom each is for (`set_for`), and the team and manager of its person, or the manager of its team."""
    for column in ("rep_id", "team"):
        if column not in targets:
            targets[column] = pd.Series(None, targets.index, dtype="str")
    people = book.people.set_index("rep_id")
    own = targets["rep_id"].notna()
    targets["set_for"] = np.select([own, targets["team"].notna()], ["rep", "team"], "all")
    targets["team"] = targets["team"].fillna(targets["rep_id"].map(people["team"]).astype("str"))
    manager = targets["rep_id"].map(people["manager"]).astype("str")
    targets["manager"] = manager.fillna(targets["team"].map(_manager_of_team(book)).astype("str"))
    return targets


def _manager_of_team(book: Book) -> pd.Series:
    people = book.people.dropna(subset=["team", "manager"])
    return people.drop_duplicates("team", keep="last").set_index("team")["manager"]


def _of_level(targets: pd.DataFrame, kind: str, level: Level) -> pd.DataFrame:
    named = targets["metric"].str.strip().str.casefold() == kind
    levels = LEVELS[: LEVELS.index(level) + 1]
    return targets[named & targets["set_for"].isin(levels)].reset_index(drop=True)


class _Presence:
    """On which days each target counts: its person is in the job and not on leave, and no wider target replaces it."""

    def __init__(self, book: Book, targets: pd.DataFrame) -> None:
        rep_id, people = targets["rep_id"], book.people.set_index("rep_id")
        self.hired, self.left = (pd.to_datetime(looked_up(rep_id, people[c])) for c in ("start_on", "end_on"))
        self.ramp = _ramp_days(book, rep_id).where(self.hired.notna())
        self.off = _apart(pd.concat([_on_leave(book, targets), *_replaced(targets)], ignore_index=True))

    def days(self, first: pd.Series, last: pd.Series) -> pd.Series:
        """How many days from the first to the last count, for each target."""
        off = self.off[self.off["row"].isin(first.index)]
        rows = off["row"].astype("int64")
        begun = _later(first.loc[rows], off["start_on"].to_numpy())
        over = _earlier(last.loc[rows], off["end_on"].to_numpy())
        away = self._counted(begun, over).groupby(level=0).sum()
        return self._counted(first, last) - away.reindex(first.index, fill_value=0.0)

    def _counted(self, first: pd.Series, last: pd.Series) -> pd.Series:
        hired, left, ramp = (c.loc[first.index] for c in (self.hired, self.left, self.ramp))
        first, last = _later(first, hired), _earlier(last, left)
        since = hired.fillna(EVER)
        counted = _ramped(last, since, ramp) - _ramped(first - ONE_DAY, since, ramp)
        return counted.where(first <= last, 0.0)


def _ramped(on: pd.Series, since: pd.Series, ramp: pd.Series) -> pd.Series:
    """The days from `since` to `on`, both counted, of which the k-th is k / ramp of a day until it is a whole one."""
    days = ((on - since).dt.days + 1).astype("float64").clip(lower=0)
    rising = np.minimum(days, np.floor(ramp))
    return days.where(~(ramp > 0), days - rising + rising * (rising + 1) / (2 * ramp))


def _ramp_days(book: Book, rep_id: pd.Series) -> pd.Series:
    if not book.has("reps", "ramp_days"):
        return pd.Series(np.nan, rep_id.index)
    reps = book.tables["reps"].drop_duplicates("rep_id", keep="last").set_index("rep_id")
    return rep_id.map(reps["ramp_days"]).astype("float64")


def _on_leave(book: Book, targets: pd.DataFrame) -> pd.DataFrame:
    """The days on which the person of a target was on leave: row (of the target), start_on, end_on."""
    if not book.has("leave", "start_on"):
        return NO_DAYS
    rows = pd.DataFrame({"rep_id": targets["rep_id"], "row": targets.index}).dropna()
    return rows.merge(book.table("leave"), on="rep_id")[["row", "start_on", "end_on"]]


def _replaced(targets: pd.DataFrame) -> list[pd.DataFrame]:
    """The days on which the target of a team, or of everybody, stands in place of a narrower one."""
    rows = targets.assign(row=targets.index)
    of_rep, of_team, of_all = (rows[rows["set_for"] == level] for level in LEVELS)
    spans = ["start_on", "end_on"]
    by_team = of_rep[["row", "team"]].dropna().merge(of_team[["team", *spans]], on="team")
    by_all = pd.concat([of_rep, of_team])[["row"]].merge(of_all[spans], how="cross")
    return [part[["row", *spans]] for part in (by_team, by_all)]


def _apart(spans: pd.DataFrame) -> pd.DataFrame:
    """The same days of each row in spans that do not overlap."""
    spans = spans.sort_values(["row", "start_on"], kind="stable", ignore_index=True)
    if spans.empty:
        return NO_DAYS
    until = spans.groupby("row")["end_on"].cummax().groupby(spans["row"]).shift()
    start = spans["start_on"].mask(until >= spans["start_on"], until + ONE_DAY)
    return spans.assign(start_on=start)[start <= spans["end_on"]]
