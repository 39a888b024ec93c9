"""Calls, emails, meetings, demos and quotes, in the course of a deal's stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.sample.clock import (
    DAY,
    Numbers,
    Positions,
    Seconds,
    after,
    at_office,
    stream,
    to_workday,
)
from salescoach.sample.truth import STAGES, Truth

BUSY_DAYS = 60
SILENT_DAYS = 16
PER_DAY = {"call": 0.065, "email": 0.035, "inbound": 0.028, "meeting": 0.018}
DEMO_RATE = 0.6
MEDIAN_MINUTES = {"call": 12, "meeting": 55, "demo": 45}


@dataclass(frozen=True)
class Forgotten:
    """A customer's email (local second) that was left unanswered, and its deal (position)."""

    deal: int
    at: int


@dataclass(frozen=True)
class Contacts:
    """Activities (`deal` as position, `at` in local seconds), and what was left undone among them."""

    table: pd.DataFrame
    deals_without_quote: Positions
    forgotten: list[Forgotten]


def act(stays: pd.DataFrame, truth: Truth, last: int, seed: int) -> Contacts:
    """Activities of all stays (`deal`, `stage`, `at`, `until`, one row each) up to the last second.

    Their number grows with the length of a stay and has no effect on its end.
    """
    chance = stream(seed, "activities")
    demos, quotes, without_quote = _milestones(stays, truth, chance)
    parts = [*(_by_chance(stays, kind, chance) for kind in PER_DAY), demos, quotes]
    everything = pd.concat(parts, ignore_index=True)
    closes = stays.groupby("deal")["until"].max()
    everything, forgotten = _forget(everything, stays, len(closes), truth, chance)
    everything = everything[everything["at"] <= np.minimum(everything["deal"].map(closes), last)]
    order = ["at", "deal", "activity_type", "direction"]
    everything = everything.sort_values(order, kind="stable", ignore_index=True)
    everything["minutes"] = _minutes(everything["activity_type"], chance)
    return Contacts(everything, without_quote, forgotten)


def _rows(deal: Positions, at: Seconds, kind: str, direction: str) -> pd.DataFrame:
    return pd.DataFrame({"deal": deal, "at": at, "activity_type": kind, "direction": direction})


def _by_chance(stays: pd.DataFrame, kind: str, chance: np.random.Generator) -> pd.DataFrame:
    """A Poisson stream over each stay; every email that comes in is answered within two days."""
    start, until = stays["at"].to_numpy(), stays["until"].to_numpy()
    busy = np.minimum(until - start, BUSY_DAYS * DAY)
    which = np.repeat(np.arange(len(stays)), chance.poisson(PER_DAY[kind] * busy / DAY))
    raw = start[which] + (chance.random(len(which)) * busy[which]).astype(np.int64)
    at = np.maximum(at_office(to_workday(raw), chance.random(len(which))), start[which] + 300)
    inside = at < until[which]
    deal, at = stays["deal"].to_numpy()[which[inside]], at[inside]
    if kind != "inbound":
        return _rows(deal, at, kind, "out")
    answered = after(at, chance.random(len(at)) * 1.5, chance.random(len(at)))
    return pd.concat([_rows(deal, at, "email", "in"), _rows(deal, answered, "email", "out")])


def _milestones(
    stays: pd.DataFrame, truth: Truth, chance: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, Positions]:
    """Demos of qualified deals, quotes of quoted deals, and the deals whose quote was missed."""
    qualified = stays[(stays["stage"] == STAGES.index("qualified"))]
    qualified = qualified[chance.random(len(qualified)) < DEMO_RATE]
    quoted = stays[stays["stage"] == STAGES.index("quote")]
    candidates = np.unique(quoted["deal"].to_numpy())
    missed = candidates[chance.random(len(candidates)) < truth.missed_quote_rate]
    kept = quoted[~quoted["deal"].isin(missed)]
    return _early(qualified, "demo", 0.6, chance), _early(kept, "quote", 0.4, chance), missed


def _early(stays: pd.DataFrame, kind: str, part: float, chance: np.random.Generator) -> pd.DataFrame:
    """One activity in the first part of each stay, on a workday where the stay has one."""
    start, until = stays["at"].to_numpy(), stays["until"].to_numpy()
    span = np.minimum(until - start, 20 * DAY)
    raw = start + (chance.random(len(stays)) * span * part).astype(np.int64)
    office = at_office(to_workday(raw), chance.random(len(stays)))
    at = np.where((office > start) & (office < until), office, start + 300)
    return _rows(stays["deal"].to_numpy(), at, kind, "out")


def _forget(
    activities: pd.DataFrame, stays: pd.DataFrame, n_deals: int, truth: Truth, chance: np.random.Generator
) -> tuple[pd.DataFrame, list[Forgotten]]:
    """Plants customers' emails after which the seller kept silent for over two weeks."""
    # Stays in quote are left alone: their quotes are counted.
    is_long = (stays["until"] - stays["at"] >= 24 * DAY) & (stays["stage"] != STAGES.index("quote"))
    long = stays[is_long].drop_duplicates("deal")
    wanted = min(round(truth.forgotten_share * n_deals), len(long))
    chosen = np.sort(chance.choice(len(long), wanted, replace=False))
    deal, start, until = (long[column].to_numpy()[chosen] for column in ("deal", "at", "until"))
    room = np.minimum(until - start, BUSY_DAYS * DAY) - (SILENT_DAYS + 3) * DAY
    raw = start + DAY + (chance.random(wanted) * room).astype(np.int64)
    at = at_office(to_workday(raw), chance.random(wanted))
    began = activities["deal"].map(dict(zip(deal.tolist(), at.tolist(), strict=True)))
    # Nothing comes in shortly before either, or its answer would fall into the silence.
    from_customer = activities["direction"] == "in"
    silent = activities["at"] > began - np.where(from_customer, 6, 0) * DAY
    silent &= activities["at"] <= began + SILENT_DAYS * DAY
    kept = activities[~silent]
    record = [Forgotten(int(deal[row]), int(at[row])) for row in range(wanted)]
    return pd.concat([kept, _rows(deal, at, "email", "in")], ignore_index=True), record


def _minutes(kinds: pd.Series, chance: np.random.Generator) -> Numbers:
    median = kinds.map(MEDIAN_MINUTES).to_numpy(dtype=float)
    return np.maximum(np.round(median * chance.lognormal(0.0, 0.4, len(kinds))), 1.0)
