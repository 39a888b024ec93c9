"""What is usual, and the factors of a won amount held against it: the tables that gaps are made of."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from salescoach.models.gap_parts import GapCounts
from salescoach.models.gap_values import Floats

Part = tuple[str, str, str]  # what, pipeline, stage


@dataclass(frozen=True)
class Factor:
    """One factor for each group: `value`, and `draws` of it (one row per draw)."""

    value: Floats
    draws: Floats


@dataclass(frozen=True)
class Line:
    """The factors of one pipeline for each group: won amount = scale × their product, but for `chance` and `timing`.

    factors   part -> factor, in the order of the process
    n         part -> how many records stand behind it, per group
    scale     what a win is usually worth
    chance    what the wins and rates of the period bring beyond the most likely rates
    timing    what was won beyond the deals begun times the rates of the period
    credit    what was credited beyond the wins times their mean amount: shared deals, wins without an amount
    spread    part -> how far the groups' true factors lie apart: of rates the standard deviation, of others that of
              the logarithm
    days      stage -> days in it; only where `cycle_over` asks for them
    """

    pipeline: str
    factors: dict[Part, Factor]
    n: dict[Part, Floats]
    scale: float
    chance: Floats
    timing: Floats
    credit: Floats
    spread: dict[Part, float]
    days: dict[str, Factor]


@dataclass(frozen=True)
class Usual:
    """What is usual for each kind of deal: the standard that like is compared with.

    rates    pipeline, stage, order, kind ("" for all kinds): value, n
    amounts  pipeline, kind: usual amount of a win (at list prices where they are known)
    further  part -> usual price (amount / list price) and days in a stage
    spread   part -> how far the reps' true factors lie apart; only where those of the others are not at hand
    """

    rates: pd.DataFrame
    amounts: pd.DataFrame
    further: dict[Part, float]
    spread: dict[Part, float] | None = None

    def steps(self, pipeline: str) -> list[str]:
        here = self.rates[(self.rates["pipeline"] == pipeline) & (self.rates["kind"] == "")]
        return [str(s) for s in here.sort_values("order")["stage"]]

    def rate(self, pipeline: str, stage: str) -> float:
        here = self.rates
        here = here[(here["pipeline"] == pipeline) & (here["stage"] == stage) & (here["kind"] == "")]
        return float(here["value"].iloc[0])

    def scale(self, pipeline: str) -> float:
        here = self.amounts[(self.amounts["pipeline"] == pipeline) & (self.amounts["kind"] == "")]
        return float(here["value"].iloc[0]) if len(here) else 0.0


def usual_of(counts: GapCounts) -> Usual:
    """What is usual over all of these counts."""
    steps, wins = counts.steps.assign(all_kinds=""), counts.wins.assign(all_kinds="")
    rates, amounts = [], []
    for kind in ("all_kinds", "kind"):
        if kind == "kind" and not counts.kinds:
            continue
        cells = steps.groupby(["pipeline", "stage", "order", kind], as_index=False)[["n", "went"]].sum()
        rates.append(cells.rename(columns={kind: "kind"}).assign(value=cells["went"] / cells["n"]))
        worth = wins.groupby(["pipeline", kind], as_index=False)[["share", "amount", "listed"]].sum()
        worth = worth[worth["share"] > 0].rename(columns={kind: "kind"})
        amounts.append(worth.assign(value=worth["listed" if counts.prices else "amount"] / worth["share"]))
    return Usual(pd.concat(rates, ignore_index=True), pd.concat(amounts, ignore_index=True), _further(counts))


def _further(counts: GapCounts) -> dict[Part, float]:
    wins = counts.wins.groupby("pipeline")[["amount", "listed"]].sum()
    found: dict[Part, float] = {
        ("price", str(pipeline), ""): float(amount / listed)
        for pipeline, amount, listed in wins.itertuples()
        if listed > 0
    }
    steps = counts.steps.groupby(["pipeline", "stage"])[["days", "timed"]].sum()
    return found | {("days", str(p), str(s)): max(float(d / n), 0.5) for (p, s), d, n in steps.itertuples() if n > 0}
