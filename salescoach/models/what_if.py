"""What a better step would be worth: won amounts per quarter as one formula, quick enough to play with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, suggestion
from salescoach.metrics.groups import group_columns, group_keys, name_reps, parse_by
from salescoach.metrics.registry import as_period
from salescoach.models.fit import Fit
from salescoach.models.gap import DRAWS, RANGE, SEED
from salescoach.models.gap_factors import MONEY_PARTS, lines_of
from salescoach.models.gap_lines import Factor, Line, usual_of
from salescoach.models.gap_parts import GapCounts, gap_counts, stages_known
from salescoach.models.gap_peers import peers_of
from salescoach.models.gap_sides import period_days, until
from salescoach.models.gap_values import Floats
from salescoach.process import Period

QUARTER_DAYS = 365.25 / 4
POINT = 0.01


@dataclass(frozen=True)
class Factors:
    """What somebody's won amount per quarter is made of, in one pipeline.

    stages   in their order
    deals    deals begun per quarter
    rates    per stage: the share that it lets through, like for like
    days     per stage: mean days in it
    amount   per win
    usual    per stage: the share that it lets through for all reps together
    n        per stage: passages behind it
    draws    of all of these: deals, amount (one of each draw), rates, days, usual (stage by draw)
    """

    stages: tuple[str, ...]
    deals: float
    rates: Floats
    days: Floats
    amount: float
    usual: Floats
    n: tuple[int, ...]
    draws: dict[str, Floats] = field(repr=False)


@dataclass(frozen=True)
class WhatIf:
    """What a change would bring per quarter, with its 80 % range and the probability that it brings anything."""

    value: float
    low: float
    high: float
    p_above: float


def what_if(factors: Factors, stage: str, conversion: float | str | None = None, days: float | None = None) -> WhatIf:
    """What it would bring per quarter if one stage let more through, or took fewer days, as in `what_if_together`."""
    return what_if_together(factors, {stage: conversion}, {} if days is None else {stage: days})


def what_if_together(
    factors: Factors,
    conversions: Mapping[str, float | str | None] | None = None,
    days: Mapping[str, float] | None = None,
) -> WhatIf:
    """What several changes would bring per quarter together; all else as it is.

    conversions  stage -> its new share, "usual" (that of all reps together), "point" (one point more than now) or None
    days         stage -> its new mean days. As many deals in hand as now then turn over more often: deals begun rise by
                 cycle / new cycle, where cycle = Σ days × share that reaches the stage. It holds where time, not
                 demand, limits the number of deals

    The won amount is a product (deals × rates × amount), so the answer is one formula over the draws and needs no fit.
    """
    asked, slower = conversions or {}, days or {}
    for stage in (*asked, *slower):
        if stage not in factors.stages:
            raise UsageError("There is no stage {stage!r}.{hint}", stage=stage, hint=suggestion(stage, factors.stages))
    drawn = factors.draws
    new = _changed(factors.stages, asked, factors.rates, factors.usual)
    drawn_new = _changed(factors.stages, asked, drawn["rates"], drawn["usual"])
    likely = factors.deals * factors.amount * _gain(factors.stages, factors.rates, factors.days, new, slower)
    change = drawn["deals"] * drawn["amount"] * _gain(factors.stages, drawn["rates"], drawn["days"], drawn_new, slower)
    low, high = np.quantile(change, RANGE)
    return WhatIf(float(likely), float(low), float(high), float((change > 0).mean()))


def _changed(
    stages: Sequence[str], conversions: Mapping[str, float | str | None], rates: Floats, usual: Floats
) -> Floats:
    """The rates of the stages after the changes."""
    new = rates.copy()
    for stage, conversion in conversions.items():
        at = stages.index(stage)
        new[at] = _new_rate(conversion, at, rates, usual)
    return new


def _new_rate(conversion: float | str | None, at: int, rates: Floats, usual: Floats) -> Floats:
    if conversion is None or conversion == "point":
        return np.asarray(rates[at] + (POINT if conversion else 0.0))
    if conversion == "usual":
        return np.asarray(usual[at])
    if isinstance(conversion, str) or not 0 <= conversion <= 1:
        raise UsageError(
            "conversion={conversion!r} is neither a share from 0 to 1, nor 'usual', nor 'point'.", conversion=conversion
        )
    return np.full_like(rates[at], conversion)


def _gain(stages: Sequence[str], rates: Floats, days: Floats, new: Floats, new_days: Mapping[str, float]) -> Floats:
    """Wins gained per deal that is begun now."""
    faster: Floats | float = 1.0
    if new_days:
        reach = np.cumprod(np.concatenate([np.ones_like(rates[:1]), rates[:-1]]), axis=0)
        changed = days.copy()
        for stage, value in new_days.items():
            changed[stages.index(stage)] = value
        faster = (reach * days).sum(axis=0) / (reach * changed).sum(axis=0)
    return np.asarray(np.prod(new, axis=0) * faster - np.prod(rates, axis=0))


def factors_of(
    book: Book,
    by: str | Sequence[str] = (),
    period: str | Period | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[tuple[str, str], Factors]:
    """The factors of each rep, of each team, or ("") of everybody, by (id, team or "(all)", and pipeline).

    They are those of `fit_gap`: rates like for like and, of reps and teams, drawn towards that of all. In a rep's slice
    the usual rates are the rounded ones of the run. Raises Unavailable where won amounts are not known.
    """
    groups, span = parse_by(by), until(as_period(book, period), book)
    generator = np.random.default_rng(seed)
    peers = peers_of(book.peers["gap"]) if groups and "gap" in book.peers else None
    counts = gap_counts(book, groups, span, stages_known(book) if peers is None else peers.stages)
    counts = counts.named if groups else counts
    who = sorted(counts.people.index)
    if not who:
        raise Unavailable("nothing was begun, decided or won in {period}", period=span.label)
    over = period_days(span, book)
    usual = usual_of(counts) if peers is None else peers.usual
    found: dict[tuple[str, str], Factors] = {}
    for line in lines_of(counts, who, usual, generator, draws, bool(groups), over):
        stages = usual.steps(line.pipeline)
        if peers is None:
            standard = [_pooled(counts, line.pipeline, stage, generator, draws) for stage in stages]
        else:
            standard = [peers.factor(generator, draws, "conversion", line.pipeline, stage) for stage in stages]
        for place, name in enumerate(who):
            found[name, line.pipeline] = _factors(line, stages, standard, place, QUARTER_DAYS / over)
    return found


def _pooled(counts: GapCounts, pipeline: str, stage: str, generator: np.random.Generator, draws: int) -> Factor:
    """The share that a stage lets through for all together."""
    rows = counts.steps[(counts.steps["pipeline"] == pipeline) & (counts.steps["stage"] == stage)]
    n, went = rows["n"].sum(), rows["went"].sum()
    return Factor(np.full(1, went / n), generator.beta(went + 0.5, n - went + 0.5, (draws, 1)))


def _factors(line: Line, stages: list[str], standard: list[Factor], place: int, per_quarter: float) -> Factors:
    def one(factor: Factor) -> tuple[float, Floats]:
        return float(factor.value[place]), factor.draws[:, place]

    def product(parts: Sequence[Factor]) -> tuple[float, Floats]:
        return float(np.prod([f.value[place] for f in parts])), np.prod([f.draws[:, place] for f in parts], axis=0)

    rates = [one(line.factors["conversion", line.pipeline, stage]) for stage in stages]
    days = [one(line.days[stage]) for stage in stages]
    deals = product([line.factors[part, line.pipeline, ""] for part in ("in_hand", "speed")])
    amount = product([f for (part, *_), f in line.factors.items() if part in MONEY_PARTS])
    draws = {
        "deals": deals[1] * per_quarter,
        "amount": amount[1] * line.scale,
        "rates": np.stack([drawn for _, drawn in rates]),
        "days": np.stack([drawn for _, drawn in days]),
        "usual": np.stack([factor.draws[:, 0] for factor in standard]),
    }
    return Factors(
        tuple(stages),
        deals[0] * per_quarter,
        np.array([value for value, _ in rates]),
        np.array([value for value, _ in days]),
        amount[0] * line.scale,
        np.array([float(factor.value[0]) for factor in standard]),
        tuple(int(line.n["conversion", line.pipeline, stage][place]) for stage in stages),
        draws,
    )


def what_if_table(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> Fit:
    """What each stage would be worth per quarter if it let as many through as it does for all reps together.

    table: the group's columns, pipeline, stage, n, rate, usual, worth with low, high (80 %) and p_above (probability
    that it is above 0: that the stage is below what is usual), and what one more point would be worth: point,
    point_low, point_high. For everybody (by="") rate and usual are the same, so worth is null.
    """
    groups = parse_by(by)
    rows = []
    for (name, pipeline), factors in factors_of(book, by, period).items():
        for at, stage in enumerate(factors.stages):
            row = {**dict.fromkeys(group_keys(groups), name), "pipeline": pipeline, "stage": stage, "n": factors.n[at]}
            row |= {"rate": factors.rates[at], "usual": factors.usual[at]}
            worth, point = what_if(factors, stage, "usual"), what_if(factors, stage, "point")
            row |= {"worth": worth.value, "low": worth.low, "high": worth.high, "p_above": worth.p_above}
            rows.append(row | {"point": point.value, "point_low": point.low, "point_high": point.high})
    table = name_reps(book, pd.DataFrame(rows))
    if not groups:
        table[["worth", "low", "high", "p_above"]] = np.nan
    numbers = ["n", "rate", "usual", "worth", "low", "high", "p_above", "point", "point_low", "point_high"]
    return Fit(table[[*group_columns(groups), "pipeline", "stage", *numbers]], int(table["n"].sum()))
