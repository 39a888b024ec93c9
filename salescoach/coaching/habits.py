"""Habits: how often a rep keeps to what the process asks for, and how often the others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import conformance, forgotten_followups, missed_quotes, overdue_next_steps, slips
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.leads import answered_leads, response_limit
from salescoach.metrics.peers import RATE_STEP, in_steps_of_points, shown_figure
from salescoach.process import Period

COLUMNS = ["habit", "value", "spread", "reps", "hidden"]
Counts = Callable[[Book, str | Period | None], pd.DataFrame]


def _answered(book: Book, period: str | Period | None) -> pd.DataFrame:
    if response_limit(book) is None:
        raise Unavailable("the process sets no limit for the first answer to a lead")
    if not book.has("leads", "created_at"):
        raise Unavailable("the book has no table `{table}`", table="leads")
    leads = answered_leads(book, period)
    due = leads[leads["due"] & leads["rep_id"].notna()]
    counts = due.groupby("rep_id")["within"].agg(n="size", hits="sum").reset_index()
    return counts.astype({"n": "int64", "hits": "int64"})


def _missed(book: Book, period: str | Period | None) -> pd.DataFrame:
    return missed_quotes(book, "rep", period).rename(columns={"missed": "hits"})


def _forgotten(book: Book, period: str | Period | None) -> pd.DataFrame:
    return forgotten_followups(book, "rep", period).rename(columns={"forgotten": "hits"})


def _overdue(book: Book, period: str | Period | None) -> pd.DataFrame:
    return overdue_next_steps(book, "rep", None).rename(columns={"overdue": "hits"})


def _pushed(book: Book, period: str | Period | None) -> pd.DataFrame:
    return slips(book, "rep", period).rename(columns={"pushed": "hits"})


@dataclass(frozen=True)
class Habit:
    """A share of records of which the process says what it should be.

    good     whether much of it is good: answers in time are, missed quotes are not
    of       what is counted: "deals", "leads" or "stays" (of deals in a stage)
    counts   (book, period) -> rep_id, n, hits; or the deviation that `conformance` counts
    """

    good: bool
    of: str
    counts: Counts | str


HABITS: dict[str, Habit] = {
    "response_time": Habit(True, "leads", _answered),
    "missed_quotes": Habit(False, "deals", _missed),
    "forgotten_followups": Habit(False, "deals", _forgotten),
    "overdue_next_steps": Habit(False, "deals", _overdue),
    "silences": Habit(False, "stays", "touch"),
    "time_in_stage": Habit(False, "stays", "stay"),
    "missing_evidence": Habit(False, "stays", "exit"),
    "pushes": Habit(False, "deals", _pushed),
}


def habits(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Each habit of each rep: habit, rep_id, n, hits, value (hits / n), low, high (95 % Wilson).

    Habits that the data cannot tell, and of which nothing is on record, have no row.
    """
    columns = ["habit", "rep_id", "n", "hits"]
    parts = [counts.assign(habit=name)[columns] for name, counts in _counted(book, period)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    table[["n", "hits"]] = table[["n", "hits"]].astype("int64")
    table["value"], table["low"], table["high"] = wilson(table["hits"], table["n"])
    return table


def _counted(book: Book, period: str | Period | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each habit that the data can tell, with rep_id, n and hits of the people who have any record of it."""
    kept: pd.DataFrame | None = None
    for name, habit in HABITS.items():
        try:
            if isinstance(habit.counts, str):
                kept = conformance(book, "rep", period) if kept is None else kept
                counts = kept[kept["deviation"] == habit.counts].rename(columns={"broken": "hits"})
            else:
                counts = habit.counts(book, period)
        except Unavailable:
            continue
        yield name, counts[(counts["rep_id"] != UNASSIGNED) & (counts["n"] > 0)]


def habits_of_others(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """What is usual, for the pages of reps: one table for all of them, under the rules of `peer_table`.

    Returns habit, value (share over everybody, rounded to 5 points; null where hidden), spread (standard deviation of
    the reps' true shares, `true_spread`, in points or steps of them; null where hidden), reps (at least so many; 0
    where hidden), hidden.
    """
    rows = []
    for name, counts in _counted(book, period):
        n, hits = counts.set_index("rep_id")["n"].astype(float), counts.set_index("rep_id")["hits"].astype(float)
        whole = float(hits.sum() / n.sum()) if n.sum() else np.nan
        figure = shown_figure(name, None, whole, n, share=True)
        apart = in_steps_of_points(true_spread(n.to_numpy(), hits.to_numpy()))[0]
        spread = np.nan if figure["hidden"] else apart
        rows.append([name, figure["value"], spread, figure["reps"], figure["hidden"]])
    kinds = {"habit": "str", "value": "float64", "spread": "float64", "reps": "int64", "hidden": "bool"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)


def true_spread(n: np.ndarray, hits: np.ndarray) -> float:  # type: ignore[type-arg]
    """How far the true shares of several people lie apart, beyond what chance does to shares of `n` records.

    Standard deviation by moments (DerSimonian & Laird 1986): Q = Σ n (p - P)² / (P (1 - P)); variance =
    P (1 - P) (Q - (k - 1)) / (N - Σ n² / N), at least 0.
    """
    total = n.sum()
    usual = hits.sum() / total if total else 0.0
    if len(n) < 2 or not 0 < usual < 1:
        return 0.0
    alone = usual * (1 - usual)
    apart = float((n * (hits / n - usual) ** 2).sum() / alone) - (len(n) - 1)
    return sqrt(max(0.0, alone * apart / (total - (n**2).sum() / total)))


def more_than_usual(n: float, hits: float, usual: float, spread: float) -> tuple[float, float]:
    """The most likely share of one of the people, and the probability that it lies above what is usual.

    The difference is normal around 0 with the people's spread before anything is counted; the counts, and what was
    rounded away of the usual share (evenly over a step), say how far to trust what was counted.
    """
    noise = max(usual * (1 - usual), 0.01) / n + RATE_STEP**2 / 12
    weight = spread**2 / (spread**2 + noise)
    apart = weight * (hits / n - usual)
    if apart == 0:
        return usual, 0.5
    return usual + apart, 0.5 * (1 + erf(apart / sqrt(2 * weight * noise)))
