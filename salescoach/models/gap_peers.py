"""What a rep's page may know of the others when it explains a gap: aggregated and rounded figures of at least five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.peers import (
    OTHERS,
    RATE_STEP,
    Rounding,
    all_hidden,
    hidden_together,
    in_digits,
    in_points,
    in_steps_of_points,
    shown,
)
from salescoach.metrics.registry import as_period
from salescoach.models.gap_factors import in_hand, lines_of
from salescoach.models.gap_lines import Factor, Line, Part, Usual, usual_of
from salescoach.models.gap_parts import WIN_RATE, GapCounts, gap_counts, stages_known
from salescoach.process import Period

COLUMNS = ["figure", "pipeline", "stage", "kind", "order", "value", "step", "reps", "hidden"]
NEEDED = ("begun", "won_amount", "conversion", "amount", "spread")
SMALLEST = RATE_STEP / 2  # a share that rounds to nothing stands for half a step


def gap_peers(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """What the gap on a rep's page is held against: one table for all, so that tables cannot be compared.

    The rules are those of `peer_table`: behind each figure stand at least six reps, none of whom holds more than half
    of it, or of what is left when two others take out their own part; shares are rounded to 5 points, spreads to a
    point or in steps, everything else to two significant digits; counts are left out. What is needed to explain a gap
    is shown whole or not at all, since the won amount is what the factors multiply to; a kind of deals is hidden with
    another one where the whole would tell it.

    Returns figure, pipeline, stage, kind (of deals; null: all), order (of the stage), value (null where hidden), step
    (the rounding: the true value is within half of it), reps (at least so many; 0 where hidden), hidden. Figures:
    begun (deals per rep), won_amount (per rep), conversion (per stage), days (mean in a stage), amount (of a win; at
    list prices where these are known), price (amount / list price) and spread (how far the reps' true conversions lie
    apart, or the factors that `kind` names). No rows where the won amounts cannot be explained.
    """
    try:
        stages = stages_known(book)
        counts = gap_counts(book, ("rep",), as_period(book, period), stages).named
    except Unavailable:
        return pd.DataFrame(columns=COLUMNS).astype(_DTYPES)
    rows = [*_volumes(counts), *_conversions(counts), *_amounts(counts), *_spreads(counts)]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(_DTYPES)
    return all_hidden(table) if table.loc[_needed(table), "hidden"].any() else table


def _needed(table: pd.DataFrame) -> pd.Series:
    """Which rows no gap can be explained without."""
    return table["kind"].isna() & table["figure"].isin(NEEDED)


_DTYPES = {
    **dict.fromkeys(("figure", "pipeline", "stage", "kind"), "str"),
    "order": "int64",
    "value": "float64",
    "step": "float64",
    "reps": "int64",
    "hidden": "bool",
}


def _row(figure: str, value: float, n: pd.Series, rounding: Rounding = in_digits, **place: Any) -> list[Any]:
    """A figure, rounded; hidden where too few stand behind it. `n`: by rep."""
    told = shown(value, n, rounding)
    least = SMALLEST if rounding is in_points else 0.0
    names = [place.get(c) for c in ("pipeline", "stage", "kind")]
    return [figure, *names, place.get("order", 0), max(told.value, least), *told[1:]]


def _of_kinds(kinds: Mapping[str, tuple[float, pd.Series]], figure: str, rounding: Rounding, **place: Any) -> list[Any]:
    """A figure of each kind of deals beside that of all: {kind: (value, n by rep)}."""
    hidden = hidden_together([n for _, n in kinds.values()])
    return [
        _row(figure, np.nan if gone else value, n, rounding, kind=kind, **place)
        for gone, (kind, (value, n)) in zip(hidden, kinds.items(), strict=True)
    ]


def _volumes(counts: GapCounts) -> list[list[Any]]:
    people = len(counts.people)
    rows = []
    for pipeline, part in counts.begun.groupby("pipeline"):
        n = part.groupby("rep_id")["n"].sum()
        rows.append(_row("begun", n.sum() / people, n, pipeline=str(pipeline)))
    won = counts.wins.groupby("rep_id")[["amount", "won"]].sum()
    held = won["amount"].clip(lower=0)
    return [*rows, _row("won_amount", won["amount"].sum() / max(people, 1), held)]


def _conversions(counts: GapCounts) -> list[list[Any]]:
    rows = []
    for (pipeline, stage, order), part in counts.steps.groupby(["pipeline", "stage", "order"]):
        place: dict[str, Any] = {"pipeline": str(pipeline), "stage": str(stage), "order": int(str(order))}
        by_rep = part.groupby("rep_id")[["n", "went", "timed", "days"]].sum()
        n, went = by_rep["n"], by_rep["went"]
        rows.append(_row("conversion", went.sum() / n.sum(), n, in_points, **place))
        days = by_rep["days"].sum() / by_rep["timed"].sum() if by_rep["timed"].sum() else np.nan
        rows.append(_row("days", days, by_rep["timed"], **place))
        if counts.kinds:
            kinds = {
                str(kind): (cell["went"].sum() / cell["n"].sum(), cell.groupby("rep_id")["n"].sum())
                for kind, cell in part.groupby("kind")
            }
            rows += _of_kinds(kinds, "conversion", in_points, **place)
    return rows


def _amounts(counts: GapCounts) -> list[list[Any]]:
    rows = []
    usual = usual_of(counts).amounts
    for pipeline, wins in counts.wins.groupby("pipeline"):
        place = str(pipeline)
        value = usual[usual["pipeline"] == pipeline].set_index("kind")["value"]
        held = wins.groupby(["kind", "rep_id"])["amount"].sum().clip(lower=0)
        if "" in value:
            rows.append(_row("amount", value[""], held.groupby("rep_id").sum(), pipeline=place))
        kinds = {str(kind): (float(value[kind]), held.xs(kind)) for kind in value.index.drop("", errors="ignore")}
        rows += _of_kinds(kinds, "amount", in_digits, pipeline=place)
        if counts.prices and wins["listed"].sum() > 0:
            n = wins.groupby("rep_id")["listed"].sum()
            rows.append(_row("price", wins["amount"].sum() / wins["listed"].sum(), n, pipeline=place))
    return rows


def _spreads(counts: GapCounts) -> list[list[Any]]:
    """How far the reps' true factors lie apart; behind it stand all who have ended passages or wins."""
    who = sorted(counts.people.index)
    if not who:
        return []
    n = counts.steps.groupby(["pipeline", "rep_id"])["n"].sum()
    lines = lines_of(counts, who, usual_of(counts), np.random.default_rng(0), 1, cycle_over=1.0)
    return [
        _row(
            "spread",
            value,
            n.xs(pipeline),
            in_steps_of_points,
            pipeline=pipeline,
            stage=stage or None,
            kind=None if name == "conversion" else name,
        )
        for line in lines
        for (name, pipeline, stage), value in line.spread.items()
    ]


@dataclass(frozen=True)
class Peers:
    """The table of `gap_peers` as what a rep is held against.

    table    its rows that may be shown
    usual    rates and amounts of all kinds of deals
    actual   what a rep won on average
    stages   whether the stages are known
    """

    table: pd.DataFrame
    usual: Usual
    actual: float
    stages: bool

    def lines(
        self,
        pipelines: Sequence[str],
        counts: GapCounts,
        generator: np.random.Generator,
        draws: int,
        cycle_over: float | None = None,
    ) -> list[Line]:
        """The others' factors; each draw lies within what was rounded away. `counts`: those of the rep.

        The others' timing is not published: it is what their won amount and their factors leave between them.
        """
        lines = [self._line(pipeline, counts, generator, draws, cycle_over) for pipeline in pipelines]
        likely = sum(line.scale * np.prod([f.value for f in line.factors.values()], axis=0) for line in lines)
        return [replace(lines[0], timing=self.actual - likely), *lines[1:]]

    def factor(self, generator: np.random.Generator, draws: int, figure: str, pipeline: str, stage: str = "") -> Factor:
        """One figure of the others, drawn within what was rounded away. Raises Unavailable where it is hidden."""
        here = self.table[(self.table["figure"] == figure) & (self.table["pipeline"] == pipeline)]
        here = here[here["kind"].isna() & (here["stage"].fillna("") == stage)]
        if here.empty:
            raise _too_few()
        value, step = here[["value", "step"]].iloc[0]
        off = generator.uniform(-0.5, 0.5, (draws, 1)) * step
        return Factor(np.full(1, value), np.maximum(value + off, 1e-9))

    def _line(
        self, pipeline: str, counts: GapCounts, generator: np.random.Generator, draws: int, cycle_over: float | None
    ) -> Line:
        def factor(figure: str, stage: str = "") -> Factor:
            return self.factor(generator, draws, figure, pipeline, stage)

        one = Factor(np.ones(1), np.ones((draws, 1)))
        factors: dict[Part, Factor] = {("volume", pipeline, ""): factor("begun")}
        rates = {stage: factor("conversion", stage) for stage in self.usual.steps(pipeline)}
        days: dict[str, Factor] = {}
        if cycle_over is not None:
            days = {stage: factor("days", stage) for stage in rates}
            factors = in_hand(factors["volume", pipeline, ""], rates, days, cycle_over, pipeline)
        factors |= {("conversion", pipeline, stage): rate for stage, rate in rates.items()}
        if counts.kinds:
            factors["mix", pipeline, ""] = one
        factors["products" if counts.prices else "size", pipeline, ""] = one
        if counts.prices:
            factors["price", pipeline, ""] = factor("price")
        none = np.zeros(1)
        return Line(
            pipeline, factors, dict.fromkeys(factors, none), self.usual.scale(pipeline), none, none, none, {}, days
        )


def _too_few() -> Unavailable:
    return Unavailable("fewer than {n} other reps stand behind the figures of the others", n=OTHERS)


def peers_of(table: pd.DataFrame) -> Peers:
    """Read the table of `gap_peers`. Raises Unavailable where a figure that is needed may not be shown."""
    needed = table[_needed(table)]
    if needed.empty or needed["hidden"].any():
        raise _too_few()
    known = table[~table["hidden"]]
    rates = known[known["figure"] == "conversion"]
    rates = rates[["pipeline", "stage", "order", "kind", "value"]].assign(kind=rates["kind"].fillna(""))
    amounts = known[known["figure"] == "amount"]
    amounts = amounts[["pipeline", "kind", "value"]].assign(kind=amounts["kind"].fillna(""))
    spread = known[known["figure"] == "spread"].fillna({"kind": "conversion", "stage": ""})
    spreads = _by_part(spread["kind"], spread)
    further = known[known["figure"].isin(["price", "days"])].fillna({"stage": ""})
    actual = float(known.loc[known["figure"] == "won_amount", "value"].iloc[0])
    stages = not bool((rates["stage"] == WIN_RATE).all())
    return Peers(known, Usual(rates, amounts, _by_part(further["figure"], further), spreads), actual, stages)


def _by_part(names: pd.Series, rows: pd.DataFrame) -> dict[Part, float]:
    parts = zip(names, rows["pipeline"], rows["stage"], rows["value"], strict=True)
    return {(str(name), str(pipeline), str(stage)): float(value) for name, pipeline, stage, value in parts}
