"""Yardsticks of coaching: shares that a rep moves, each as one row per record with its day and whether it went well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.flow import ended_passages, timed_passages
from salescoach.metrics.lapses import asked_passages
from salescoach.metrics.leads import answered_leads, response_limit
from salescoach.metrics.outcomes import decided_deals, need_losses
from salescoach.metrics.visits import owner_changes

RESULT = "win_rate"
LEADING = ("response_time", "stage_time", "missed_quotes", "stage_flow")
COLUMNS = ["rep_id", "on", "good"]


@dataclass(frozen=True)
class Yardstick:
    """What is measured; of "stage_flow" in which stage."""

    measure: str
    pipeline: str | None = None
    stage: str | None = None


def yardsticks(book: Book) -> Iterator[tuple[Yardstick, pd.DataFrame]]:
    """Every yardstick that the book knows, the win rate first, with its records (`yardstick_units`)."""
    for measure in (RESULT, *LEADING):
        stages: list[tuple[str | None, str | None]] = [(None, None)]
        if measure == "stage_flow":
            stages = [(key, s.key) for key, line in book.process.pipelines.items() for s in line.working]
        for pipeline, stage in stages:
            yardstick = Yardstick(measure, pipeline, stage)
            try:
                units = yardstick_units(book, yardstick)
            except Unavailable:
                continue
            if len(units):
                yield yardstick, units


def yardstick_units(book: Book, yardstick: Yardstick) -> pd.DataFrame:
    """The records of one yardstick: rep_id, on (the day it counts on), good (whether it went well).

    win_rate        decided deals by the day of the decision; good: won
    response_time   leads older than the process's limit by the day of creation; good: answered within it
    stage_time      stays in stages that say how long they should last, by the day on which that had passed; good: gone
                    by then
    missed_quotes   deals that reached a stage that asks for a quote and whose time for it is over, by the day they
                    reached it; good: it was sent in time
    stage_flow      deals whose passage through the stage ended or matured, by that day; good: went on

    Void deals, deals that changed hands (they are not one person's work), and records without a rep or a day are left
    out. Raises Unavailable where the data cannot tell.
    """
    known = {RESULT: _decisions, "response_time": _answers, "stage_time": _stays, "missed_quotes": _quotes}
    if yardstick.measure == "stage_flow":
        units = _passages(book, yardstick)
    elif yardstick.measure in known:
        units = known[yardstick.measure](book)
    else:
        names = (RESULT, *LEADING)
        raise UsageError(
            "There is no yardstick {measure!r}.{hint}",
            measure=yardstick.measure,
            hint=suggestion(yardstick.measure, names),
        )
    if "deal" in units:
        moved = owner_changes(book)
        units = units[~units["deal"].isin(moved.loc[moved["old"].notna(), "deal"])]
    units = units[units["rep_id"].notna() & units["on"].notna()]
    return units[COLUMNS].astype({"rep_id": "str", "good": "bool"}).reset_index(drop=True)


def _decisions(book: Book) -> pd.DataFrame:
    need_losses(book)
    deals = decided_deals(book)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    return deals.assign(deal=deals.index, on=deals["closed_on"], good=deals["outcome"] == "won")


def _answers(book: Book) -> pd.DataFrame:
    if response_limit(book) is None:
        raise Unavailable("the process sets no limit for the first answer to a lead")
    leads = answered_leads(book)
    return leads[leads["due"]].assign(on=leads["created_on"], good=leads["within"])


def _stays(book: Book) -> pd.DataFrame:
    limits = [
        (key, stage.key, float(stage.expect_days))
        for key, line in book.process.pipelines.items()
        for stage in line.working
        if stage.expect_days is not None
    ]
    if not limits:
        raise Unavailable("no stage of the process says how many days a deal is expected to stay: `expect_days`")
    asked = pd.DataFrame(limits, columns=["pipeline", "stage", "limit"])
    rows = timed_passages(book)
    rows = rows.assign(pipeline=rows["pipeline"].astype("str"), stage=rows["stage"].astype("str"))
    rows = rows.merge(asked, on=["pipeline", "stage"], validate="m:1")
    rows["on"] = rows["entered_on"] + pd.to_timedelta(np.floor(rows["limit"]), unit="D")
    rows["good"] = rows["ended"] & (rows["days"] <= rows["limit"])
    return rows[rows["on"] <= book.as_of_on]


def _quotes(book: Book) -> pd.DataFrame:
    rows = asked_passages(book)
    rows = rows[rows["verdict"].isin(["done", "late", "never"])]
    return rows.assign(on=rows["reached_on"], good=rows["verdict"] == "done")


def _passages(book: Book, yardstick: Yardstick) -> pd.DataFrame:
    rows = ended_passages(book)
    rows = rows[(rows["stage"] == yardstick.stage) & (rows["pipeline"] == yardstick.pipeline)]
    return rows.assign(on=rows["counted_on"], good=rows["went_on"])
