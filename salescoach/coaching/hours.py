"""Where a manager's coaching hours go: a floor for everybody, the rest by what is to be gained, and how surely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.compare import ENOUGH
from salescoach.models import what_if_table
from salescoach.process import Period

HOURS = 5.0
FLOOR_MINUTES = 15  # a talk that deserves the name
STEP_MINUTES = 5
SURE = 0.9  # from here on a difference is spoken of as beyond luck
UNSURE = 0.6  # up to here it is hardly more than an even chance, and counts nothing
COLUMNS = ["rep_id", "rep", "minutes", "floor_minutes", "because", "pipeline", "stage", "n", "rate", "usual"]
COLUMNS += ["worth", "low", "high", "p_above", "weight"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]


def coaching_hours(
    book: Book, hours: float = HOURS, period: str | Period | None = None, floor_minutes: int = FLOOR_MINUTES
) -> pd.DataFrame:
    """How a manager's hours are shared among the reps who are there, each with the one stage that speaks most for it.

    Everybody gets the floor; where that would take more than half of the hours, half of them in equal shares. The rest
    is shared by the weight of the rep's best stage: weight = worth × (2 p_above - 1). worth is what the stage would
    bring per quarter at the usual rate, all else as it is (`what_if_table`: headroom times money, like for like and
    drawn towards that of all); p_above how sure it is that the rate is below the usual one at all: up to 60 % counts
    nothing, and so do fewer than ten passages. Where nothing has any weight the rest is shared equally. In steps of
    five minutes, by largest remainders; the minutes add up to the hours given, to the minute.

    Returns one row per rep in the order of names: rep_id, rep, minutes, floor_minutes, because ("gain": beyond luck;
    "likely": not yet beyond luck; "thin": too few records; "none": no stage below the usual rate), pipeline, stage, n,
    rate, usual, worth with low, high (80 %), p_above and weight of that stage (null for "none"; for "thin" the stage
    with most records).

    Raises Unavailable where nobody is there, or no stage's worth can be known; UsageError for hours not above 0.
    """
    total = round(hours * 60) if np.isfinite(hours) else 0
    if total <= 0:
        raise UsageError("hours={hours!r} is nothing to share: give a number above 0.", hours=hours)
    if floor_minutes < 0:
        raise UsageError("floor_minutes={floor_minutes!r} is below 0.", floor_minutes=floor_minutes)
    people = _there(book)
    if people.empty:
        raise Unavailable("nobody is there whom the hours could go to")
    table = people.merge(_best_stages(book, period), on="rep_id", how="left", validate="1:1")
    table["because"] = table["because"].fillna("thin")
    table["weight"] = table["weight"].fillna(0.0)
    floor = min(floor_minutes, total // (2 * len(table)))
    table["floor_minutes"] = floor
    table["minutes"] = floor + _shared(total - floor * len(table), table["weight"].to_numpy(float))
    return table[COLUMNS]


def _there(book: Book) -> pd.DataFrame:
    """The people who have not left, in the order of names."""
    people = book.people
    left = people["end_on"].notna() & (pd.to_datetime(people["end_on"]) < book.as_of_on)
    found = people.loc[~left, ["rep_id", "rep"]].drop_duplicates("rep_id")
    return found.sort_values(["rep", "rep_id"], kind="stable", ignore_index=True)


def _best_stages(book: Book, period: str | Period | None) -> pd.DataFrame:
    """Per rep the stage of most weight; where none has any, the one with most records."""
    table = what_if_table(book, "rep", period).table
    table = table[np.isfinite(table["worth"].astype("float64"))]
    sure = (2 * table["p_above"] - 1).clip(lower=0)
    told = (table["n"] >= ENOUGH) & (table["p_above"] > UNSURE)
    table["weight"] = (table["worth"].clip(lower=0) * sure).where(told, 0.0)
    best = table.sort_values(["weight", "n"], ascending=False, kind="stable").drop_duplicates("rep_id")
    best["because"] = np.select(
        [best["n"] < ENOUGH, best["weight"] <= 0, best["p_above"] >= SURE], ["thin", "none", "gain"], "likely"
    )
    best["because"] = best["because"].astype("str")
    shown = ["pipeline", "stage", "n", "rate", "usual", "worth", "low", "high", "p_above"]
    best[shown] = best[shown].where(best["because"] != "none")
    return best[["rep_id", "because", *shown, "weight"]]


def _shared(minutes: int, weight: Floats) -> Whole:
    """Whole minutes by weight that add up: steps of five by largest remainder, what is no full step to the heaviest."""
    weight = weight if weight.sum() > 0 else np.ones(len(weight))
    steps, rest = divmod(minutes, STEP_MINUTES)
    share = steps * weight / weight.sum()
    given: Whole = np.floor(share + 1e-9).astype(np.int64)
    most = np.argsort(-(share - given), kind="stable")[: steps - given.sum()]
    given[most] += 1
    given *= STEP_MINUTES
    given[int(np.argmax(weight))] += rest
    return given
