"""What the ranges and claims are worth, on teams whose true rates are known (30 reps, 45 deals, 3 stages)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from salescoach.models.gap import RANGE, SURE, parts_of
from salescoach.models.gap_lines import Factor, Line, Part
from salescoach.models.rates import shrink_rates

REPS, DEALS, STAGES = 30, 45, 3
BASE, SPREAD = 0.6, 0.06


@dataclass(frozen=True)
class Score:
    """Sums over simulated teams: squared errors, parts within their range, claims and those of the right sign."""

    parts: int
    raw: float
    shrunk: float
    within: int
    claims: int
    right: int
    raw_right: int
    raw_below: int

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


def line(value: np.ndarray, draws: np.ndarray) -> Line:
    """Stages along the first axis of both, reps along the last."""
    parts: list[Part] = [("conversion", "new", str(stage)) for stage in range(STAGES)]
    factors = {part: Factor(value[i], draws[i]) for i, part in enumerate(parts)}
    none = np.zeros(value.shape[1])
    return Line("new", factors, {}, 1.0, none, none, none, {}, {})


def team(seed: int, draws: int = 400) -> Score:
    chance = np.random.default_rng(seed)
    true = np.clip(chance.normal(BASE, SPREAD, (STAGES, REPS)), 0.05, 0.95)
    n = np.full(REPS, DEALS)
    value, drawn, raw, pooled = [], [], [], []
    for stage in range(STAGES):
        went = chance.binomial(n, true[stage])
        shrunk = shrink_rates(went, np.maximum(n, 0))
        value.append(shrunk.mean)
        drawn.append(shrunk.draw(chance, draws))
        raw.append(went / np.maximum(n, 1))
        pooled.append(chance.beta(went.sum() + 0.5, n.sum() - went.sum() + 0.5, (draws, 1)))
        n = went
    middle = true.mean(axis=1, keepdims=True)
    usual = line(np.array([p.mean(axis=0) for p in pooled]) + np.zeros((STAGES, REPS)), np.array(pooled))
    flat = np.zeros((STAGES, 1, REPS))
    truth = np.array([v for v, _ in parts_of(line(true, flat), line(middle + 0 * true, flat)).values()])
    found = parts_of(line(np.array(value), np.array(drawn)), usual)
    naive = parts_of(line(np.array(raw), flat), line(np.mean(raw, axis=1, keepdims=True) + 0 * true, flat))
    parts = np.array([v for v, _ in found.values()])
    spread = np.array([d for _, d in found.values()])
    low, high = np.quantile(spread, RANGE, axis=1)
    below = (spread < 0).mean(axis=1)
    claim = (below > SURE) | (below < 1 - SURE)
    plain = np.array([v for v, _ in naive.values()])
    return Score(
        truth.size,
        float(((plain - truth) ** 2).sum()),
        float(((parts - truth) ** 2).sum()),
        int(((low <= truth) & (truth <= high)).sum()),
        int(claim.sum()),
        int((claim & ((below > SURE) == (truth < 0))).sum()),
        int(((plain < 0) & (truth < 0)).sum()),
        int((plain < 0).sum()),
    )


def judged(runs: int) -> Score:
    total = sum((team(seed) for seed in range(1, runs)), team(0))
    print(
        f"{runs} teams: error of a part raw {100 * (total.raw / total.parts) ** 0.5:.2f} points, shrunk "
        f"{100 * (total.shrunk / total.parts) ** 0.5:.2f}; 80 % range holds {total.within / total.parts:.3f}; "
        f"{total.claims} claims of {total.parts}, {total.right / max(total.claims, 1):.3f} true; "
        f"raw negatives {total.raw_right / total.raw_below:.3f} true"
    )
    return total


def check(score: Score) -> None:
    assert (score.shrunk / score.raw) ** 0.5 <= 0.6  # a drop of the error by more than 40 %
    assert 0.76 <= score.within / score.parts <= 0.95
    assert score.right >= 0.85 * score.claims > 0
    assert score.raw_right / score.raw_below < 0.75  # the trap is armed: who trusts raw rates is often wrong


def test_ranges_hold_and_claims_are_true() -> None:
    check(judged(25))


@pytest.mark.nightly
def test_ranges_hold_and_claims_are_true_in_full() -> None:
    check(judged(300))
