"""Which step holds everybody back: the stage that lets the fewest through, and what one point more would bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import stage_flow
from salescoach.metrics.flow import ended_passages
from salescoach.metrics.registry import as_period
from salescoach.models.fit import Fit
from salescoach.models.gap import DRAWS, RANGE, SEED, SURE, SURELY
from salescoach.models.gap_sides import before_, until
from salescoach.models.gap_values import Floats
from salescoach.models.what_if import factors_of, what_if
from salescoach.process import Period

TOO_MANY = 10  # times as many deals again: more are not worth waiting for


@dataclass(frozen=True)
class Bottleneck(Fit):
    """Which stage lets the fewest through, per pipeline.

    table   one row per pipeline and stage, in order: pipeline, stage, n (passages that ended or matured), value, low,
            high (share that went on, 80 %), p_lowest (probability that it is the lowest of its pipeline), point,
            point_low, point_high (won amount per quarter that one more point would bring, 80 %; null without amounts),
            days, days_low, days_high (median, 95 %), expect_days (of the process file), overdue (longer than expected,
            beyond chance), before (share in the period before; null where there is none) and p_worse (probability that
            it has become worse)
    named   pipeline -> its bottleneck; None where the data do not single one out with a probability over .9
    more    pipeline -> about how many more ended passages through each of the two lowest stages would, at the rates
            seen, decide between them; None where nothing has to be decided, or ten times as many would not do
    """

    named: Mapping[str, str | None] = field(default_factory=dict)
    more: Mapping[str, int | None] = field(default_factory=dict)


def find_bottleneck(book: Book, period: str | Period | None = None, draws: int = DRAWS, seed: int = SEED) -> Bottleneck:
    """The stage with the lowest conversion by exits (`stage_flow`), where that is more than chance.

    One more point of conversion multiplies the won amount by (c + .01) / c, so it brings most where c is lowest: the
    stage that lets the fewest through is also the one where a point is worth most. Probabilities from draws of beta
    distributions (went on + 1/2, not + 1/2). Raises Unavailable where the stages are not known, or nothing ended.
    """
    span = until(as_period(book, period), book)
    now = stage_flow(book, period=span)
    now = now[now["n"] > 0].reset_index(drop=True)
    if now.empty:
        raise Unavailable("no deal went on, was lost or stood still in {period}", period=span.label)
    generator = np.random.default_rng(seed)
    drawn = _beta(generator, now["deeper"], now["n"], draws)
    table = now[["pipeline", "stage", "n", "value"]].copy()
    table["low"], table["high"] = np.quantile(drawn, RANGE, axis=0)
    for _, rows in table.groupby("pipeline").groups.items():
        lowest = drawn[:, rows].argmin(axis=1)
        table.loc[rows, "p_lowest"] = np.bincount(lowest, minlength=len(rows)) / draws
    table[["point", "point_low", "point_high"]] = _points(book, span, table)
    table[["days", "days_low", "days_high"]] = now[["median_days", "median_low", "median_high"]]
    stages = {(p, s.key): s for p, line in book.process.pipelines.items() for s in line.working}
    places = list(zip(table["pipeline"], table["stage"], strict=True))
    table["expect_days"] = np.array([stages[place].expect_days for place in places], dtype=float)
    table["overdue"] = (table["days_low"] > table["expect_days"]).astype(bool)
    table[["before", "p_worse"]] = _change(book, as_period(book, period), table, drawn, generator)
    return Bottleneck(table, int(table["n"].sum()), named=_named(table), more=_more(table))


def stopped_deals(book: Book, pipeline: str, stage: str, period: str | Period | None = None) -> pd.DataFrame:
    """The deals behind a stage's share in `find_bottleneck` that did not get on, the largest amount first.

    Returns the columns of `ended_passages`: fate is lost, or open where stuck. As many rows as n - went on.
    """
    rows = ended_passages(book, until(as_period(book, period), book))
    rows = rows[(rows["pipeline"] == pipeline) & (rows["stage"] == stage) & ~rows["went_on"]]
    return rows.sort_values(["amount_minor", "deal_id"], ascending=[False, True], ignore_index=True)


def _beta(generator: np.random.Generator, went: pd.Series, n: pd.Series, draws: int) -> Floats:
    reached, all_of = went.to_numpy(float), n.to_numpy(float)
    return generator.beta(reached + 0.5, all_of - reached + 0.5, (draws, len(all_of)))


def _points(book: Book, span: Period, table: pd.DataFrame) -> pd.DataFrame:
    """What one more point of each stage would bring per quarter; null where won amounts are not known."""
    found = pd.DataFrame(np.nan, table.index, ["point", "point_low", "point_high"])
    try:
        factors = {pipeline: f for (_, pipeline), f in factors_of(book, "", span).items()}
    except Unavailable:
        return found
    for row, (pipeline, stage) in enumerate(zip(table["pipeline"], table["stage"], strict=True)):
        if pipeline in factors and factors[pipeline].amount and stage in factors[pipeline].stages:
            more = what_if(factors[pipeline], stage, "point")
            found.loc[row] = [more.value, more.low, more.high]
    return found


def _change(
    book: Book, asked: Period, table: pd.DataFrame, drawn: Floats, generator: np.random.Generator
) -> pd.DataFrame:
    """The shares of the period before, and how likely each has become lower since."""
    found = pd.DataFrame(np.nan, table.index, ["before", "p_worse"])
    try:
        then = stage_flow(book, period=before_(asked, book)).set_index(["pipeline", "stage"])
    except Unavailable:
        return found
    there = then.reindex(pd.MultiIndex.from_frame(table[["pipeline", "stage"]]))
    seen = (there["n"] > 0).to_numpy()
    found.loc[seen, "before"] = there.loc[seen, "value"].to_numpy()
    earlier = _beta(generator, there.loc[seen, "deeper"], there.loc[seen, "n"], len(drawn))
    found.loc[seen, "p_worse"] = (drawn[:, seen] < earlier).mean(axis=0)
    return found


def _named(table: pd.DataFrame) -> dict[str, str | None]:
    named: dict[str, str | None] = {}
    for pipeline, rows in table.groupby("pipeline"):
        first = rows.sort_values("p_lowest").iloc[-1]
        named[str(pipeline)] = str(first["stage"]) if len(rows) > 1 and first["p_lowest"] > SURE else None
    return named


def _more(table: pd.DataFrame) -> dict[str, int | None]:
    """Passages still to come through the two lowest stages until their order would be sure at the rates seen."""
    found: dict[str, int | None] = {}
    for pipeline, rows in table.groupby("pipeline"):
        found[str(pipeline)] = None
        if len(rows) < 2 or rows["p_lowest"].max() > SURE:
            continue
        two: list[dict[str, Any]] = rows.nsmallest(2, "value").to_dict("records")  # type: ignore[assignment]
        error = sum((row["value"] * (1 - row["value"]) + 0.25 / row["n"]) / row["n"] for row in two)
        apart = two[1]["value"] - two[0]["value"]
        times = SURELY**2 * error / apart**2 if apart > 0 else np.inf
        if times <= 1 + TOO_MANY:
            found[str(pipeline)] = max(round((times - 1) * min(row["n"] for row in two)), 1)
    return found
