"""The way of each deal through the stages, stamp by stamp."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salescoach.sample.arrivals import Deals
from salescoach.sample.clock import (
    DAY,
    Flags,
    Numbers,
    Positions,
    Seconds,
    after,
    at_office,
    days_between,
    iso_date,
    near_festival,
    quarter_end,
    stream,
    weekday,
)
from salescoach.sample.fates import (
    Coaching,
    Fates,
    fates_with_coaching,
    fates_without_coaching,
    leaning,
    take,
)
from salescoach.sample.staff import Staff
from salescoach.sample.truth import ENDINGS, STAGES, Truth

KEYS = (*STAGES, *ENDINGS)
WON, LOST, VOID = (KEYS.index(ending) for ending in ENDINGS)


@dataclass
class Log:
    """Entries into stages, collected as the deals move on."""

    parts: list[pd.DataFrame] = field(default_factory=list)

    def enter(self, deal: Positions, at: Seconds, stage: int | Positions) -> None:
        self.parts.append(pd.DataFrame({"deal": deal, "at": at, "stage": stage}))

    def table(self) -> pd.DataFrame:
        """One row per entry: deal and stage as positions, `at` in local seconds."""
        return pd.concat(self.parts).sort_values(["deal", "at"], kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Paths:
    """All entries of all deals to the end of their way, however late, and what was planted on it."""

    entries: pd.DataFrame
    intercepts: tuple[float, ...]
    coaching: tuple[Coaching, ...]
    zombies: Positions


@dataclass(frozen=True)
class _Entrants:
    """The deals that stand in one stage, as arrays of equal length."""

    deal: Positions
    at: Seconds
    previous_skipped: Flags

    def only(self, chosen: Flags) -> _Entrants:
        return _Entrants(self.deal[chosen], self.at[chosen], self.previous_skipped[chosen])


@dataclass(frozen=True)
class _Stay:
    """The last stay of each deal in one stage, as arrays; `outcome` is for those that end here."""

    stage: int
    deal: Positions
    settled: Seconds
    leaves: Seconds
    outcome: Positions


def walk(deals: Deals, staff: Staff, truth: Truth, first: int, last: int, seed: int) -> Paths:
    """Every deal's way from its first stage to its ending."""
    chance = stream(seed, "paths")
    void = chance.random(len(deals.created)) < truth.void_rate
    zombie = ~void & (chance.random(len(void)) < truth.zombie_rate)
    log, intercepts = Log(), list[float]()
    coaching: tuple[Coaching, ...] = ()
    now = _Entrants(np.arange(len(void)), deals.created, np.zeros(len(void), dtype=bool))
    zombies: list[Positions] = []
    for stage in range(len(STAGES)):
        fates = _fates(stage, now, deals, staff, truth, first, last, seed)
        intercepts.append(fates.intercept)
        coaching = coaching or fates.coaching
        advance = fates.advance & ~(void[now.deal] & (stage == len(STAGES) - 1))
        skipped = advance & (stage > 0) & (chance.random(len(advance)) < truth.skip_rate)
        log.enter(now.deal[~skipped], now.at[~skipped], stage)
        settled = _detour(stage, now, advance, skipped, log, truth, chance)
        leaves = _leave(stage, settled, advance, skipped, truth, chance)
        never_closed = ~advance & zombie[now.deal]
        zombies.append(now.deal[never_closed])
        ending = ~advance | (stage == len(STAGES) - 1)
        outcome = np.where(void[now.deal], VOID, np.where(advance, WON, LOST))
        stay = _Stay(stage, now.deal, settled, leaves, outcome)
        _end(stay, ending & ~never_closed, log, truth, chance)
        now = _Entrants(now.deal, leaves, skipped).only(~ending)
    return Paths(log.table(), tuple(intercepts), coaching, np.sort(np.concatenate(zombies)))


def _fates(
    stage: int, now: _Entrants, deals: Deals, staff: Staff, truth: Truth, first: int, last: int, seed: int
) -> Fates:
    chance = stream(seed, f"fates {STAGES[stage]}")
    entrants = take(deals, now.deal)
    owner = staff.owner(entrants.rep, now.at, now.deal)
    logit = leaning(stage, entrants, owner, now.at, staff, truth)
    share = truth.conversion[stage]
    if STAGES[stage] != "quote" or not truth.coaching_waves or not len(logit):
        return fates_without_coaching(share, logit, truth, chance)
    waves = wave_starts(first, last, truth)
    draws = int(chance.integers(0, 2**32))
    return fates_with_coaching(share, logit, now.at, owner, staff, truth, waves, draws)


def wave_starts(first: int, last: int, truth: Truth) -> list[int]:
    """Local seconds of the quarters at whose start reps are coached, from month ten on."""
    start = pd.Timestamp(iso_date(first))
    quarters = [start + pd.DateOffset(months=9 + 3 * wave) for wave in range(truth.coaching_waves)]
    stamps = [int(quarter.timestamp()) for quarter in quarters]
    return [stamp for stamp in stamps if stamp <= last - 90 * DAY]


def _detour(
    stage: int,
    now: _Entrants,
    advance: Flags,
    skipped: Flags,
    log: Log,
    truth: Truth,
    chance: np.random.Generator,
) -> Seconds:
    """Takes some deals back a stage and forth again; returns when each deal stands in its stage for good."""
    if stage == 0:
        return now.at
    may = ~skipped & ~now.previous_skipped
    rate = truth.back_rate
    if STAGES[stage] == "quote" and truth.quote_mean_days is not None:
        # A way back would add its days to the planted mean, so only quotes that fail take it.
        may &= ~advance
        rate = min(rate / (1 - truth.conversion[stage]), 1.0)
    goes = may & (chance.random(len(may)) < rate)
    size = (2, int(goes.sum()))
    days, luck = chance.lognormal(0.0, truth.dwell_sigma, size), chance.random(size)
    back = after(now.at[goes], days[0] * truth.median_days[stage] / 2, luck[0])
    again = after(back, days[1] * truth.median_days[stage - 1], luck[1])
    log.enter(now.deal[goes], back, stage - 1)
    log.enter(now.deal[goes], again, stage)
    settled = now.at.copy()
    settled[goes] = again
    return settled


def _leave(
    stage: int, settled: Seconds, advance: Flags, skipped: Flags, truth: Truth, chance: np.random.Generator
) -> Seconds:
    """When each deal leaves its stage; a stage nobody recorded takes no time."""
    spread = chance.lognormal(0.0, truth.dwell_sigma, len(settled))
    spread = spread * np.where(advance, 1.0, truth.lost_stretch)
    spread = spread * np.where(near_festival(settled), truth.festival_stretch, 1.0)
    luck = chance.random(len(settled))
    median = truth.median_days[stage]
    if STAGES[stage] == "quote" and truth.quote_mean_days is not None and (advance & ~skipped).any():
        timed = advance & ~skipped
        median = _median_for_mean(truth.quote_mean_days, settled[timed], spread[timed], luck[timed])
    leaves = after(settled, median * spread, luck)
    if STAGES[stage] == "contract":
        leaves = _pull_to_quarter_end(settled, leaves, advance, truth, chance)
    return np.where(skipped, settled, leaves)


def _median_for_mean(mean_days: float, entered: Seconds, spread: Numbers, luck: Numbers) -> float:
    """The median at which stays last `mean_days` on average, weekends and office hours included."""
    median = mean_days
    for _ in range(12):
        median *= mean_days / float(days_between(entered, after(entered, median * spread, luck)).mean())
    return median


def _pull_to_quarter_end(
    settled: Seconds, leaves: Seconds, advance: Flags, truth: Truth, chance: np.random.Generator
) -> Seconds:
    """Moves some wins from around a quarter's end into its last three workdays."""
    this_end = quarter_end(leaves)
    previous_end = quarter_end(leaves - 7 * DAY)
    end = np.where(previous_end < leaves - DAY, previous_end, this_end)
    near = (np.abs(end - leaves) <= 12 * DAY) & advance
    near &= chance.random(len(leaves)) < truth.quarter_end_pull
    # A quarter that ends on a weekend closes on its Friday.
    friday = end - np.maximum(weekday(end) - 4, 0) * DAY
    day = friday - chance.integers(0, 3, len(leaves)) * DAY
    pulled = at_office(day - np.where(weekday(day) >= 5, 2, 0) * DAY, chance.random(len(leaves)))
    return np.where(near & (pulled > settled + 600), pulled, leaves)


def _end(stay: _Stay, ending: Flags, log: Log, truth: Truth, chance: np.random.Generator) -> None:
    """Logs the endings, some of them after a loss that was taken back."""
    count = len(stay.deal)
    # A deal that was never recorded in its last stage cannot be reopened there.
    recorded = (stay.settled < stay.leaves) & (stay.outcome != VOID)
    reopened = ending & recorded & (chance.random(count) < truth.reopen_rate)
    again = after(stay.leaves, chance.uniform(5, 40, count), chance.random(count))
    days = chance.lognormal(np.log(truth.median_days[stay.stage]), truth.dwell_sigma, count)
    final = np.where(reopened, after(again, days, chance.random(count)), stay.leaves)
    log.enter(stay.deal[reopened], stay.leaves[reopened], LOST)
    log.enter(stay.deal[reopened], again[reopened], stay.stage)
    log.enter(stay.deal[ending], final[ending], stay.outcome[ending])
