"""What was changed on a deal besides its stage: expected close, amount, owner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.sample.arrivals import Deals
from salescoach.sample.clock import (
    DAY,
    HOUR,
    NEVER,
    Positions,
    Seconds,
    at_office,
    instants,
    iso_date,
    stream,
    to_workday,
)
from salescoach.sample.staff import Staff
from salescoach.sample.states import States
from salescoach.sample.truth import STAGES

PUSHES = 3
MEDIAN_DAYS_TO_CLOSE = 38


@dataclass(frozen=True)
class Revisions:
    """`log` has one row per change (`deal`, `at`, `field`, `old`, `new`); the arrays one entry per deal."""

    log: pd.DataFrame
    owner: Positions
    expected_close: Seconds
    first_amount: Positions
    amount_changed: Seconds


def revise(deals: Deals, staff: Staff, states: States, last: int, seed: int) -> Revisions:
    """All changes up to the last second of the book."""
    chance = stream(seed, "revisions")
    pushes, expected = _pushes(deals, states, last, chance)
    amounts, first_amount, changed = _amounts(deals, states, chance)
    transfers, owner = _transfers(deals, staff, states)
    log = pd.concat([pushes, amounts, transfers], ignore_index=True)
    log = log.sort_values(["deal", "at", "field"], kind="stable", ignore_index=True)
    return Revisions(log, owner, expected, first_amount, changed)


def changes_table(revisions: Revisions, deal_id: np.ndarray) -> pd.DataFrame:
    """The canonical `changes` table."""
    log = revisions.log
    return pd.DataFrame(
        {
            "deal_id": deal_id[log["deal"].to_numpy()],
            "at": instants(log["at"].to_numpy()),
            "field": log["field"],
            "old": log["old"],
            "new": log["new"],
        }
    )


def _log(deal: Positions, at: Seconds, field: str, old: list[str], new: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"deal": deal, "at": at, "field": field, "old": old, "new": new})


def _pushes(deals: Deals, states: States, last: int, chance: np.random.Generator) -> tuple[pd.DataFrame, Seconds]:
    """Expected closes put off, each time about when they were due."""
    n_deals = len(deals.created)
    end = np.minimum(states.closed, last)
    days = chance.lognormal(np.log(MEDIAN_DAYS_TO_CLOSE), 0.45, n_deals).astype(np.int64)
    expected = to_workday((deals.created // DAY + days) * DAY)
    parts = []
    for _ in range(PUSHES):
        at = at_office(to_workday(expected - chance.integers(0, 4, n_deals) * DAY), chance.random(n_deals))
        later = to_workday(expected + chance.integers(10, 45, n_deals) * DAY)
        pushed = np.flatnonzero((at > deals.created + DAY) & (at < end) & (chance.random(n_deals) < 0.75))
        old, new = ([iso_date(int(day)) for day in days[pushed]] for days in (expected, later))
        parts.append(_log(pushed, at[pushed], "expected_close_on", old, new))
        expected[pushed] = later[pushed]
    return pd.concat(parts), expected


def _amounts(deals: Deals, states: States, chance: np.random.Generator) -> tuple[pd.DataFrame, Positions, Seconds]:
    """Amounts settled on entering quote, for a quarter of the deals that get there."""
    quoted = states.entries[states.entries["stage"] == STAGES.index("quote")].drop_duplicates("deal")
    quoted = quoted[chance.random(len(quoted)) < 0.25]
    deal, at = quoted["deal"].to_numpy(), quoted["at"].to_numpy()
    first_amount, changed = deals.amount.copy(), np.full(len(deals.amount), -NEVER)
    guess = deals.amount[deal] * chance.uniform(0.75, 1.35, len(deal))
    first_amount[deal] = guess.astype(np.int64) // 100 * 100 + 100
    changed[deal] = at
    old, new = ([str(amount) for amount in amounts[deal]] for amounts in (first_amount, deals.amount))
    return _log(deal, at, "amount", old, new), first_amount, changed


def _transfers(deals: Deals, staff: Staff, states: States) -> tuple[pd.DataFrame, Positions]:
    """The leaver's open deals, handed over on the morning after; and every deal's present owner."""
    everyone = np.arange(len(deals.rep))
    owner = staff.owner(deals.rep, np.minimum(states.closed, NEVER - 1), everyone)
    deal = np.flatnonzero(owner != deals.rep)
    if staff.leaver is None:
        return _log(deal, deal, "rep_id", [], []), owner
    at = staff.end[staff.leaver] + 1 + 8 * HOUR + np.arange(len(deal)) * 20
    old, new = ([staff.rep_id[rep] for rep in reps[deal]] for reps in (deals.rep, owner))
    return _log(deal, at, "rep_id", old, new), owner
