"""Deals at risk by day and age: who stood where on every past day, counted once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import encoded
from salescoach.errors import Unavailable
from salescoach.metrics.kept import per_book
from salescoach.metrics.visits import deals_of, history_of, visits
from salescoach.process import NEVER, day_numbers

Whole = np.ndarray[Any, np.dtype[np.int64]]
ENDINGS = ("won", "lost", "void")
STILL = -1
ALL_STAGES = "(all)"
# days in a stage, finer where deals move faster; the last one is without end
AGES = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 26, 33, 41, 50, 60, 71, 83, 96, 110, 125, 141, 181, 241, 366)
STRAY = 10  # ends with dates far from all others decide nothing
TRACKED = 0.5  # of the later entries into stages so many must have been observed, or the stages tell nothing


@dataclass(frozen=True)
class Stays:
    """Every stay of a deal in a state, in the order of deals and time, each column an array.

    deal             row of the deal in `book.deals`
    state            place in `states`
    entered, exited  days since the epoch; of a stay that lasts, the day after as_of
    to               place of the next state in `states`; behind these stand the `ENDINGS`; STILL while it lasts
    states           (pipeline, stage); one per pipeline, named ALL_STAGES, where stages are not recorded
    first_day        the first day on which ends were recorded: what was there before is seen only if it lasted
    last_day         the day of as_of
    """

    deal: Whole
    state: Whole
    entered: Whole
    exited: Whole
    to: Whole
    states: tuple[tuple[str, str], ...]
    first_day: int
    last_day: int

    @property
    def by_stage(self) -> bool:
        return all(stage != ALL_STAGES for _, stage in self.states)


def stages_recorded(book: Book) -> bool:
    """Whether the history tells when deals moved: later entries into working stages, most of them observed.

    A history that only repeats when a deal was created and closed says nothing of a past day: which stage an open deal
    is in now would then tell that it stayed open.
    """
    if not book.has("stage_history", "entered_at"):
        return False
    history = history_of(book)
    stages = {s.key for line in book.process.pipelines.values() for s in line.working}
    later = history["deal"].duplicated().to_numpy() & history["stage"].isin(stages).to_numpy()
    seen = (history["evidence"] != "assumed").to_numpy()[later]
    return bool(len(seen) and seen.mean() >= TRACKED)


def stays(book: Book, by_stage: bool | None = None) -> Stays:
    """The stays of all deals, by whole days: in stages where moves are recorded, else in the pipeline as such.

    by_stage   whether to go by stages, where something else than these deals decides it

    Left out: deals whose beginning is not dated, those closed on an unknown day, and those closed before they began.
    Raises Unavailable where no deal is left.
    """
    found = _of_stages(book) if (stages_recorded(book) if by_stage is None else by_stage) else _of_deals(book)
    if not len(found.deal):
        raise Unavailable("no deal has both a day on which it began and, if closed, a day on which it was")
    return found


def _of_deals(book: Book) -> Stays:
    deals = deals_of(book)
    line, lines = encoded(deals["pipeline"])
    outcome = deals["outcome"].astype("str")
    to = len(lines) + pd.Index(ENDINGS).get_indexer(pd.Index(outcome))
    to[(outcome == "open").to_numpy()] = STILL
    last = _day(book.as_of_on)
    entered, exited = _days(deals["created_on"]), _days(deals["closed_on"])
    exited = np.where(to == STILL, last + 1, exited)
    known = (entered != NEVER) & (exited != NEVER) & (exited >= entered) & (line >= 0)
    rows = np.flatnonzero(known)
    states = tuple((str(name), ALL_STAGES) for name in lines)
    return _made(rows, line[rows].astype(np.int64), entered[rows], exited[rows], to[rows], states, last)


def _of_stages(book: Book) -> Stays:
    rows = visits(book)
    rows = rows[(rows["exit"] != "handed_off").to_numpy()]  # the stay goes on with its next owner
    keys = [(p, s.key) for p, line in book.process.pipelines.items() for s in line.working]
    place = {key: i for i, key in enumerate(keys)}
    lines, names = rows["pipeline"].cat, rows["stage"].cat
    table = np.array([[place.get((p, s), -1) for s in names.categories] for p in lines.categories], dtype=np.int64)
    state = table[lines.codes, names.codes]
    deal = rows["deal"].to_numpy(np.int64)
    same = np.append(deal[1:] == deal[:-1], np.zeros(min(len(deal), 1), dtype=bool))
    last = _day(book.as_of_on)
    entered, exited = (
        day_numbers(rows[c].to_numpy("datetime64[us]").view(np.int64), book.timezone)
        for c in ("entered_at", "exited_at")
    )
    exited = np.where(rows["exited_at"].isna(), last + 1, exited)
    codes = pd.Index(ENDINGS).get_indexer(pd.Index(rows["exit"].astype("str")))
    to = np.where(codes >= 0, len(keys) + codes, np.where(same, np.append(state[1:], state[:1]), STILL))
    to[(rows["exit"] == "still").to_numpy()] = STILL
    kept = (exited >= entered) & (exited <= last + 1)
    return _made(deal[kept], state[kept], entered[kept], exited[kept], to[kept], tuple(keys), last)


def _made(
    deal: Whole, state: Whole, entered: Whole, exited: Whole, to: Whole, states: tuple[tuple[str, str], ...], last: int
) -> Stays:
    ended = np.sort(exited[to >= len(states)])
    first = int(ended[min(STRAY, len(ended) // 10)]) if len(ended) else last + 1
    return Stays(deal, state, entered, exited, to, states, first, last)


@dataclass(frozen=True)
class Lexis:
    """Deal-days at risk and what ended them, by state, day and age: `[state, day, age]`.

    days     the first day, and how many there are
    ages     lower ends of the ages in days; the last is open
    at_risk  deals in a state on a day, the day of the entry and that of the exit included
    exits    `[state, to, day, age]`: how many left on that day, and where to (states, then `ENDINGS`)
    entries  `[state, day]`: first stays of deals that began on that day
    """

    first_day: int
    ages: tuple[int, ...]
    at_risk: Whole
    exits: Whole
    entries: Whole

    def ages_of(self, days: Whole) -> Whole:
        """The lower ends of the age bands that ages in days lie in."""
        ends: Whole = np.array(self.ages, dtype=np.int64)
        return ends[np.searchsorted(ends, days, side="right") - 1]


def lexis(found: Stays, ages: Sequence[int] = AGES) -> Lexis:
    """Count who was at risk on every day from `first_day` to as_of, in one pass over the stays.

    At risk on day d at age a are those at risk on day d - 1 at age a - 1 who did not leave then, and at age 0 those
    who entered: a running sum along each diagonal of (day of entry, age), whatever the number of deals.
    """
    days, spans = found.last_day - found.first_day + 1, tuple(ages)
    states, targets = len(found.states), len(found.states) + len(ENDINGS)
    at_risk = np.zeros((states, max(days, 0), len(spans)), dtype=np.int64)
    exits = np.zeros((states, targets, max(days, 0), len(spans)), dtype=np.int64)
    entries = np.zeros((states, max(days, 0)), dtype=np.int64)
    begins = np.append(True, found.deal[1:] != found.deal[:-1])
    for state in range(states if days > 0 else 0):
        here = found.state == state
        at_risk[state] = _at_risk(found, here, days, spans)
        new = here & begins & (found.entered >= found.first_day)
        entries[state] = np.bincount(found.entered[new] - found.first_day, minlength=days)
    left = (
        (found.to != STILL) & (found.exited >= found.first_day) if days > 0 else np.zeros(len(found.deal), dtype=bool)
    )
    age = np.searchsorted(spans, (found.exited - found.entered)[left], side="right") - 1
    key = (found.state[left] * targets + found.to[left]) * days + found.exited[left] - found.first_day
    exits += np.bincount(key * len(spans) + age, minlength=exits.size).reshape(exits.shape)
    return Lexis(found.first_day, spans, at_risk, exits, entries)


def _at_risk(found: Stays, here: Any, days: int, ages: tuple[int, ...]) -> Whole:
    """Of one state: deals at risk by day and age."""
    entered, left = found.entered[here], found.exited[here]
    ended = left <= found.last_day
    reach = min(ages[-1], found.last_day - int(entered.min(initial=found.last_day)) + 1)
    start = found.first_day - reach  # who entered earlier is older than the last age on every day that counts
    span = found.last_day - start + 1
    young = np.flatnonzero(entered >= start)
    began = np.bincount(entered[young] - start, minlength=span)
    age = (left - entered)[young]
    short = young[ended[young] & (age < reach)]
    gone = np.bincount(
        (entered[short] - start) * max(reach, 1) + (left - entered)[short], minlength=span * max(reach, 1)
    )
    gone = gone.reshape(span, max(reach, 1))
    remaining = began[:, None] - np.cumsum(gone, axis=1) + gone  # [day of entry, age]
    day, old = np.arange(days)[:, None] + reach, np.arange(reach)[None, :]
    by_day = remaining[day - old, old] if reach else np.zeros((days, 0), dtype=np.int64)
    result = np.zeros((days, len(ages)), dtype=np.int64)
    edges = [a for a in ages if a < reach]
    if edges:
        result[:, : len(edges)] = np.add.reduceat(by_day, edges, axis=1)
    result[:, np.searchsorted(ages, reach, side="right") - 1] += _all(found, entered, left, days) - by_day.sum(axis=1)
    return result


def _all(found: Stays, entered: Whole, left: Whole, days: int) -> Whole:
    """Of one state: deals at risk by day, whatever their age."""
    came = np.bincount(np.maximum(entered - found.first_day, 0), minlength=days)
    before = int((left < found.first_day).sum())
    came[0] -= before
    later = left[(left >= found.first_day) & (left < found.last_day)]
    came -= np.append(0, np.bincount(later - found.first_day, minlength=days)[: days - 1])
    total: Whole = np.cumsum(came)
    return total


@per_book
def lexis_counts(book: Book) -> pd.DataFrame:
    """Deal-days at risk and exits of every week, stage and age: what a hazard rate is made of.

    Returns one row per pipeline, stage, week (its Monday), age_from, age_to (days in the stage, null: without end) with
    n (deal-days at risk), entered (deals that began there), won, lost, void and moved (to another stage). Rows without
    deal-days are left out. Counts add over weeks, stages and books. Raises Unavailable as `stays`.
    """
    found = stays(book)
    counts, states = lexis(found), len(found.states)
    days = np.arange(counts.at_risk.shape[1]) + counts.first_day
    week = (days + 3) // 7  # day 0 was a Thursday
    starts = np.flatnonzero(np.append(True, week[1:] != week[:-1])) if len(days) else np.empty(0, dtype=np.int64)
    risk = np.add.reduceat(counts.at_risk, starts, axis=1)
    ends = np.add.reduceat(counts.exits, starts, axis=2)
    state, at, age = np.nonzero(risk)
    lines, stages = zip(*found.states, strict=True)
    upper = [*counts.ages[1:], np.nan]
    table: dict[str, Any] = {
        "pipeline": pd.Series(lines, dtype="str").iloc[state].to_numpy(),
        "stage": pd.Series(stages, dtype="str").iloc[state].to_numpy(),
        "week": (week[starts][at] * 7 - 3).astype("datetime64[D]").astype("datetime64[us]"),
        "age_from": np.array(counts.ages)[age],
        "age_to": np.array(upper)[age] - 1,
        "n": risk[state, at, age],
        "entered": np.where(age == 0, np.add.reduceat(counts.entries, starts, axis=1)[state, at], 0),
    }
    table |= {name: ends[state, states + i, at, age] for i, name in enumerate(ENDINGS)}
    table["moved"] = ends[:, :states].sum(axis=1)[state, at, age]
    kinds = {"pipeline": "str", "stage": "str"}
    return pd.DataFrame(table).astype(kinds)


def _days(instants: pd.Series) -> Whole:
    """Naive days as numbers since the epoch; NEVER where there is none."""
    stamps = instants.to_numpy("datetime64[D]").view(np.int64)
    found: Whole = np.where(np.isnat(instants.to_numpy("datetime64[D]")), NEVER, stamps)
    return found


def _day(day: pd.Timestamp) -> int:
    return int(day.to_datetime64().astype("datetime64[D]").astype(np.int64))
