"""Where a gap in won amounts comes from: how much of it is deals, stages, sizes, and what is luck or timing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import UsageError, suggestion
from salescoach.metrics.compare import ENOUGH
from salescoach.metrics.groups import group_columns, group_keys, name_reps, parse_by
from salescoach.metrics.kept import per_book
from salescoach.metrics.registry import as_period
from salescoach.models.fit import Fit
from salescoach.models.gap_lines import Line, Part
from salescoach.models.gap_sides import COUNTED, Against, Side, Sides
from salescoach.models.gap_values import Floats
from salescoach.models.shapley import shapley_of_product
from salescoach.process import Period

BY: tuple[tuple[str, ...], ...] = (("rep",), ("team",), ())
DRAWS = 2000
SEED = 20240607
SURE = 0.9  # a part is spoken of only above this probability of its sign
SURELY = 1.2815515655446004  # standard errors off, so that the sign is sure
TOLD = 0.10
RANGE = (0.1, 0.9)
AT_ONCE = 100  # groups decomposed at a time, so that the draws fit into memory
LEFT = ("timing", "chance", "credit")
VALUES = ["own", "usual", "value", "low", "high", "p_below"]


@dataclass(frozen=True)
class GapFit(Fit):
    """A gap in its parts.

    table    one row per group and part: the group's columns, part, pipeline, stage, n (records behind it), own and
             usual (the factor on both sides), value (its part of the gap, in units of the currency), low, high (80 %),
             p_below (probability that the part is below 0), spoken (p_below under .1 or over .9, and at least ten
             records; of the number of deals no matter how few)
    totals   one row per group: the group's columns, n (deals won), actual (won amount), reference, gap; the parts of a
             group add up to its gap
    against  "peers", "last" or "target"
    needed   (pipeline, stage) -> passages from which on a difference of ten points could be told from luck
    """

    totals: pd.DataFrame = None  # type: ignore[assignment]
    against: Against = "peers"
    needed: Mapping[tuple[str, str], int] = field(default_factory=dict)


@per_book
def fit_gap(
    book: Book,
    by: str | Sequence[str] = "rep",
    period: str | Period | None = None,
    against: Against = "peers",
    speed: bool = False,
    draws: int = DRAWS,
    seed: int = SEED,
) -> GapFit:
    """The gap between what was won in a period and what it is held against, in parts that add up to it.

    Per pipeline: won amount = deals begun × the rates of its stages × amount per win. A stage's rate is that of the
    passages that ended or matured in the period (`stage_flow`), like for like and drawn towards that of all
    (`lines_of`). The amount per win is that of the kinds of deals (`mix`, which also holds what the kinds do to the
    rates), times `size` within a kind; where list prices are known, times `products` (list prices within a kind) and
    `price` (amount / list price). Where the stages are not known: deals decided × win rate × amount per win.

    A product of one period's flows is not that period's won amount: deals begun before are won in it. The difference is
    the part `timing`. What the period's own rates brought beyond the most likely ones is `chance`; `credit` is credit
    given and received for shared deals and wins without an amount. These three are counted: they have no range.

    by        "rep", "team" (per head), or "" for everybody
    against   "peers": everybody's mean per person, with the same mix of deals
              "last": the period before, of equal length (of a running period: up to the same day)
              "target": won_amount targets up to as_of (`quota_attainment`), asked of the deals begun at rates and sizes
              that are usual (of everybody: those of the period before)
    speed     split the deals begun into `in_hand` (at a time) and `speed` (how often these turn over in the period)

    Parts by Shapley (`shapley_of_product`); ranges and probabilities from draws of all factors with a fixed seed.
    In a rep's slice peers are the rounded figures of the run; what rounding leaves open widens the ranges.

    Raises Unavailable where the won amounts, a period before, a target or peers are not known.
    """
    groups = parse_by(by)
    if groups not in BY:
        raise UsageError("A gap is split by rep, by team or not at all; got {by!r}.", by=by)
    if against not in get_args(Against):
        raise UsageError(
            "against={against!r} is unknown.{hint}", against=against, hint=suggestion(against, get_args(Against))
        )
    sides = Sides(book, groups, as_period(book, period), speed, draws, seed)
    own, other, who = sides.held_against(against)
    return _fit(book, groups, who, own, other, against)


# --- the parts -------------------------------------------------------------------------------------


def parts_of(own: Line, other: Line, places: Any = slice(None)) -> dict[Part, tuple[Floats, Floats]]:
    """Each factor's part in the difference of two lines, for some of the groups: the most likely one, and draws."""
    values, draws = [], []
    for side in (own, other):
        factors = list(side.factors.values())
        values.append(np.stack([np.broadcast_to(f.value, own.chance.shape)[places] for f in factors]))
        wide = (len(factors[0].draws), *own.chance.shape)
        draws.append(np.stack([np.broadcast_to(f.draws, wide)[:, places] for f in factors]))
    value = own.scale * shapley_of_product(values[1], values[0])
    drawn = own.scale * shapley_of_product(draws[1], draws[0])
    return {part: (value[i], drawn[i]) for i, part in enumerate(own.factors)}


def _fit(book: Book, groups: Sequence[str], who: list[str], own: Side, other: Side, against: Against) -> GapFit:
    keys = group_keys(groups)
    names = pd.DataFrame({key: pd.Series(who, dtype="str") for key in keys})
    blocks = [_block(own, other, slice(at, at + AT_ONCE)) for at in range(0, len(who), AT_ONCE)]
    whole = {part: {c: np.concatenate([b[part][c] for b in blocks]) for c in [*VALUES, "n"]} for part in blocks[0]}
    rows = []
    for order, ((what, pipeline, stage), columns) in enumerate(whole.items()):
        if what in LEFT and not np.abs(columns["value"]).max() > 1e-9 * max(np.abs(own.actual).max(), 1.0):
            continue
        place = {"part": what, "pipeline": pipeline or None, "stage": stage or None, "order": order}
        rows.append(names.assign(group=np.arange(len(who)), **place, **columns))
    table = pd.concat(rows, ignore_index=True).sort_values(["group", "order"], ignore_index=True)
    table["n"] = table["n"].round().astype("int64")
    table[["part", "pipeline", "stage"]] = table[["part", "pipeline", "stage"]].astype("str")
    sure = (table["p_below"] > SURE) | (table["p_below"] < 1 - SURE)
    table["spoken"] = sure & ((table["n"] >= ENOUGH) | table["part"].isin(COUNTED))
    wins = np.rint(sum(line.n[part] for line in own.lines for part in line.n if part[0] in ("products", "size")))
    totals = names.assign(n=wins.astype("int64"), actual=own.actual, reference=other.actual + 0 * own.actual)
    totals["gap"] = totals["actual"] - totals["reference"]
    front = group_columns(groups)
    shown = [*front, "part", "pipeline", "stage", "n", *VALUES, "spoken"]
    return GapFit(
        name_reps(book, table)[shown],
        int(wins.sum()),
        totals=name_reps(book, totals)[[*front, "n", "actual", "reference", "gap"]],
        against=against,
        needed=_needed(own),
    )


def _needed(own: Side) -> dict[tuple[str, str], int]:
    """From how many passages on a rate TOLD off what is usual would be spoken of.

    With the team's spread worth `weight` passages, n of them move the rate by n / (n + weight) of the difference, with
    a standard error of √(p (1 - p) / (n + weight)); solved for n.
    """
    found = {}
    for line in own.lines:
        for (what, pipeline, stage), factor in line.factors.items():
            if what == "conversion":
                rate = float(np.clip(factor.value.mean(), 0.05, 0.95))
                alone = rate * (1 - rate) * (SURELY / TOLD) ** 2
                spread = line.spread.get((what, pipeline, stage), 1.0)
                weight = max(rate * (1 - rate) / spread**2 - 1, 0.0)
                found[pipeline, stage] = ceil((alone + sqrt(alone**2 + 4 * alone * weight)) / 2)
    return found


def _block(own: Side, other: Side, places: slice) -> dict[Part, dict[str, Floats]]:
    """The columns of each part for some of the groups; what is not of one stage is added over the pipelines."""
    alone = len(own.lines) == 1
    found: dict[Part, dict[str, Any]] = {}
    for mine, theirs in zip(own.lines, other.lines, strict=True):
        for part, (value, draws) in parts_of(mine, theirs, places).items():
            sides = [np.broadcast_to(s.factors[part].value, mine.chance.shape)[places] for s in (mine, theirs)]
            key = part if part[0] == "conversion" else (part[0], "", "")
            counted = part[0] in COUNTED or key == part or alone
            sides = sides if counted else [np.full_like(value, np.nan)] * 2
            new = {"value": value, "draws": draws, "own": sides[0], "usual": sides[1], "n": mine.n[part][places]}
            found[key] = {c: found[key][c] + new[c] for c in new} if key in found else new
    ordered = sorted(found, key=lambda part: ORDER.index(part[0]))
    result: dict[Part, dict[str, Floats]] = {}
    for key in ordered:
        columns = found[key]
        drawn = columns.pop("draws")
        low, high = np.quantile(drawn, RANGE, axis=0)
        result[key] = {**columns, "low": low, "high": high, "p_below": (drawn < 0).mean(axis=0)}
    for name in LEFT:
        value = sum(
            getattr(m, name)[places] - _wide(getattr(t, name), m)[places]
            for m, t in zip(own.lines, other.lines, strict=True)
        )
        unknown = np.full_like(value, np.nan)
        result[name, "", ""] = {"value": value, **dict.fromkeys(("own", "usual", "low", "high", "p_below"), unknown)}
        result[name, "", ""]["n"] = np.zeros_like(value)
    return result


def _wide(values: Floats, line: Line) -> Floats:
    return np.broadcast_to(values, line.chance.shape)


ORDER = ("volume", "in_hand", "speed", "conversion", "mix", "products", "size", "price")
