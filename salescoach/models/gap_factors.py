"""The factors of a won amount, per group: what each most likely is, and draws of what it could be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.models.gap_lines import Factor, Line, Part, Usual
from salescoach.models.gap_parts import GapCounts
from salescoach.models.gap_values import Floats, Ratio, relative, shrink_values
from salescoach.models.rates import shrink_rates

TINY = 1e-3
MONEY_PARTS = ("mix", "products", "size", "price")


def lines_of(
    counts: GapCounts,
    groups: Sequence[str],
    usual: Usual,
    generator: np.random.Generator,
    draws: int,
    shrink: bool = True,
    cycle_over: float | None = None,
) -> list[Line]:
    """The factors of each pipeline for `groups` (values of `who`).

    Rates are like for like: a group's rate is that of its own mix against what is usual for this mix, brought to the
    usual mix; with `shrink` it is drawn towards that of all as far as its number calls for (`shrink_rates`). Deals
    begun are gamma distributed (n + 1/2), sizes and mix gamma with the mean and variance of a ratio of sums.

    cycle_over   days of the period: the deals begun are split into deals in hand and how often these turn over
    """
    pipelines = [str(p) for p in usual.rates["pipeline"].unique()]
    return [
        _Build(counts, groups, usual, generator, draws, shrink, pipeline).line(cycle_over) for pipeline in pipelines
    ]


class _Build:
    """One pipeline's factors in the making: the counts as arrays, groups along the last axis."""

    def __init__(
        self,
        counts: GapCounts,
        groups: Sequence[str],
        usual: Usual,
        generator: np.random.Generator,
        draws: int,
        shrink: bool,
        pipeline: str,
    ) -> None:
        self.counts, self.usual, self.generator = counts, usual, generator
        self.draws, self.shrink, self.pipeline = draws, shrink, pipeline
        self.place = pd.Series(np.arange(len(groups)), index=list(groups))
        steps, wins, begun = (t[t["pipeline"] == pipeline] for t in (counts.steps, counts.wins, counts.begun))
        self.steps = _with_usual(steps, usual.rates, ["pipeline", "stage"])
        self.wins = _with_usual(wins, usual.amounts, ["pipeline"])
        self.begun = self.add(begun, begun["n"])
        self.spread: dict[Part, float] = {}
        self.dwell: dict[str, Factor] = {}

    def add(self, rows: pd.DataFrame, values: Any) -> Floats:
        """Sum per group."""
        place = self.place.reindex(rows["who"]).to_numpy(float)
        known = ~np.isnan(place)
        weights = np.asarray(values, float)[known]
        return np.bincount(place[known].astype(int), weights, len(self.place)).astype(float)

    def line(self, cycle_over: float | None) -> Line:
        stages = self.usual.steps(self.pipeline)
        rates = {stage: self.rate(self.steps[self.steps["stage"] == stage], stage) for stage in stages}
        factors: dict[Part, Factor] = {("volume", self.pipeline, ""): self.volume()}
        n: dict[Part, Floats] = {("volume", self.pipeline, ""): self.begun}
        if cycle_over is not None:
            self.dwell = {stage: self.days(stage) for stage in stages}
            through = {stage: rate[0] for stage, rate in rates.items()}
            factors = in_hand(factors["volume", self.pipeline, ""], through, self.dwell, cycle_over, self.pipeline)
            n = dict.fromkeys(factors, self.begun)
        for stage, (factor, _, count) in rates.items():
            factors["conversion", self.pipeline, stage] = factor
            n["conversion", self.pipeline, stage] = count
        money, won = self.money(stages)
        factors |= {(part, self.pipeline, ""): factor for part, factor in money.items()}
        n |= {(part, self.pipeline, ""): won for part in money}
        return self.closed(factors, n, rates, stages)

    def closed(
        self, factors: dict[Part, Factor], n: dict[Part, Floats], rates: dict[str, Any], stages: Sequence[str]
    ) -> Line:
        """The line with what its product leaves open."""
        scale = self.usual.scale(self.pipeline)
        likely = scale * np.prod([factor.value for factor in factors.values()], axis=0)
        amount, priced = self.add(self.wins, self.wins["amount"]), self.add(self.wins, self.wins["share"])
        money = [f.value for (part, *_), f in factors.items() if part in MONEY_PARTS]
        mean = np.where(priced > 0, amount / np.maximum(priced, 1e-12), scale * np.prod(money, axis=0))
        raw = mean * self.begun * np.prod([rates[stage][1] for stage in stages], axis=0)
        won = mean * self.add(self.wins, self.wins["won"])
        return Line(self.pipeline, factors, n, scale, raw - likely, won - raw, amount - won, self.spread, self.dwell)

    def volume(self) -> Factor:
        return Factor(self.begun, self.generator.gamma(self.begun + 0.5, size=(self.draws, len(self.begun))))

    def rate(self, rows: pd.DataFrame, stage: str) -> tuple[Factor, Floats, Floats]:
        """The like-for-like rate of a stage; the plain one (the like-for-like one where nothing ended); and its n."""
        standard = self.usual.rate(self.pipeline, stage)
        n, went = self.add(rows, rows["n"]), self.add(rows, rows["went"])
        own, own_went = self.add(rows, rows["own"]), self.add(rows, rows["own_went"])
        expected = self.add(rows, rows["own"] * rows["usual"])
        with np.errstate(divide="ignore", invalid="ignore"):
            likely = np.where(expected > 0, own_went / expected * standard, 0.0)
        reached = own * np.clip(likely, 0, 1)
        if not self.shrink:
            value = np.where(own > 0, reached / np.maximum(own, 1), standard)
            draws = self.generator.beta(reached + 0.5, own - reached + 0.5, size=(self.draws, len(own)))
        elif self.usual.spread is not None:
            self.spread["conversion", self.pipeline, stage] = self.usual.spread["conversion", self.pipeline, stage]
            value, draws = self._towards(standard, self.usual.spread["conversion", self.pipeline, stage], reached, own)
        elif own.sum():
            shrunk = shrink_rates(reached, own)
            value, draws = shrunk.mean, shrunk.draw(self.generator, self.draws)
            self.spread["conversion", self.pipeline, stage] = shrunk.spread
        else:
            value, draws = np.full(len(own), standard), np.full((self.draws, len(own)), standard)
        return Factor(value, draws), np.where(n > 0, went / np.maximum(n, 1), value), n

    def _towards(self, mean: float, spread: float, went: Floats, n: Floats) -> tuple[Floats, Floats]:
        """Drawn towards a rate that is given, with the spread that goes with it."""
        mean = min(max(mean, 0.01), 0.99)
        size = max(mean * (1 - mean) / max(spread, 0.005) ** 2 - 1, 2.0)
        a, b = mean * size + went, (1 - mean) * size + n - went
        return a / (a + b), self.generator.beta(a, b, size=(self.draws, len(n)))

    def money(self, stages: Sequence[str]) -> tuple[dict[str, Factor], Floats]:
        """The factors that make a win's worth: kinds of deals, products or sizes, and prices; and the wins behind."""
        wins, prices = self.wins, self.counts.prices
        share, share2, usual = wins["share"], wins["share2"], wins["usual"]
        kinds = self.ratio(wins, share * usual, share, share2 * usual**2, share2 * usual, share2, wins["priced"])
        kinds = kinds.times(self.kinds_of(stages), self.usual.scale(self.pipeline) or 1.0)
        found: dict[str, Factor] = {"mix": self.drawn("mix", kinds)} if self.counts.kinds else {}
        size, name = ("products", "listed") if prices else ("size", "amount")
        crossed = (wins["listed_cross"] if prices else wins["cross"]) * usual
        sizes = self.ratio(
            wins, wins[name], share * usual, wins[f"{name}2"], crossed, share2 * usual**2, wins["priced"]
        )
        found[size] = self.drawn(size, sizes)
        if prices:
            amount, listed, amount2 = wins["amount"], wins["listed"], wins["amount2"]
            over_list = self.ratio(
                wins, amount, listed, amount2, wins["both"], wins["listed2"], wins["priced"], "price"
            )
            found["price"] = self.drawn("price", over_list)
        return found, self.add(wins, wins["priced"])

    def kinds_of(self, stages: Sequence[str]) -> Ratio:
        """What the kinds of deals do to the rates: what is usual for a group's own mix over what is usual for all."""
        nothing = np.zeros(len(self.place))
        found = Ratio(nothing + 1.0, nothing, 1.0)
        for stage in stages:
            rows = self.steps[self.steps["stage"] == stage]
            n, usual = rows["n"], rows["usual"]
            of_mix = self.ratio(rows, n * usual, n, n * usual**2, n * usual, n, n)
            found = found.times(of_mix, self.usual.rate(self.pipeline, stage) or 1.0)
        return found

    def ratio(
        self, rows: pd.DataFrame, y: Any, x: Any, y2: Any, xy: Any, x2: Any, n: Any, part: str = "", stage: str = ""
    ) -> Ratio:
        """Sum of y over sum of x per group; where a group has none, what is usual."""
        standard = self.usual.further.get((part, self.pipeline, stage))
        if standard is None:
            standard = float(np.sum(y) / np.sum(x)) if np.sum(x) > 0 else 1.0
        over, under, over2, cross, under2, count = (self.add(rows, values) for values in (y, x, y2, xy, x2, n))
        return relative(over, under, over2, cross, under2, count, standard)

    def drawn(self, name: str, ratio: Ratio, stage: str = "") -> Factor:
        """A factor of this value and relative variance, drawn towards that of all as far as its variance calls for."""
        part, shape = (name, self.pipeline, stage), (self.draws, len(ratio.value))
        if not (ratio.variance > 0).any():
            return Factor(ratio.value, np.broadcast_to(ratio.value, shape))
        variance, logs = np.where(ratio.variance > 0, ratio.variance, np.inf), np.log(np.maximum(ratio.value, TINY))
        if self.usual.spread is not None:
            standard = self.usual.further.get(part, 1.0)
            width = max(self.usual.spread.get(part, 0.0), TINY) ** 2
            weight = width / (width + variance)
            mean, sd = weight * logs + (1 - weight) * np.log(standard), np.sqrt((1 - weight) * width)
        elif self.shrink and len(logs) > 1:
            mean, sd, self.spread[part] = shrink_values(logs, variance, float(np.log(max(ratio.pooled, TINY))))
        else:
            mean, sd = logs, np.sqrt(ratio.variance)
        return Factor(np.exp(mean), np.exp(mean + sd * self.generator.standard_normal(shape)))

    def days(self, stage: str) -> Factor:
        """Mean days in a stage of the passages that ended or matured in the period."""
        rows = self.steps[self.steps["stage"] == stage]
        days, n, days2 = rows["days"], rows["timed"], rows["days2"]
        return self.drawn("days", self.ratio(rows, days, n, days2, days, n, n, "days", stage), stage)


def in_hand(
    volume: Factor, rates: dict[str, Factor], days: dict[str, Factor], period_days: float, pipeline: str
) -> dict[Part, Factor]:
    """Deals begun = deals in hand at a time × how often these turn over in the period (Little 1961).

    A deal is in hand for the mean days of each stage (at most 90 of each) times the share that reaches it.
    """
    reach: tuple[Any, Any] = (1.0, 1.0)
    cycle: tuple[Any, Any] = (0.0, 0.0)
    for stage, rate in rates.items():
        cycle = cycle[0] + reach[0] * days[stage].value, cycle[1] + reach[1] * days[stage].draws
        reach = reach[0] * rate.value, reach[1] * rate.draws
    turns = Factor(period_days / cycle[0], period_days / cycle[1])
    return {
        ("in_hand", pipeline, ""): Factor(volume.value / turns.value, volume.draws / turns.draws),
        ("speed", pipeline, ""): turns,
    }


def _with_usual(rows: pd.DataFrame, usual: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows with what is usual for their kind; where that is not known, with what is usual for all."""
    known = usual.set_index([*keys, "kind"])["value"]
    own = known.reindex(pd.MultiIndex.from_frame(rows[[*keys, "kind"]])).to_numpy(float)
    whole = known.reindex(pd.MultiIndex.from_frame(rows[keys].assign(kind=""))).to_numpy(float)
    return rows.assign(usual=np.where(np.isnan(own), whole, own))
