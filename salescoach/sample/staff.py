"""The reps of the simulated book: who is where, from when to when, and how good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.sample import names
from salescoach.sample.clock import (
    DAY,
    NEVER,
    Flags,
    Numbers,
    Positions,
    Seconds,
    dates,
    local_seconds,
    stream,
)
from salescoach.sample.truth import STAGES, Truth

LEAVES_ON, STARTS_LATE_ON, NEW_ON = "2026-03-31", "2026-01-15", "2026-09-14"
TURNOVER_FROM_REPS = 12


@dataclass(frozen=True)
class Staff:
    """Arrays with one entry per rep; `skill` has one row per rep and one column per stage, in logit."""

    rep_id: list[str]
    name: list[str]
    team: Positions
    start: Seconds
    end: Seconds
    skill: Numbers
    weight: Numbers
    slowness: Numbers
    weak: int
    strong: int
    leaver: int | None
    late: int | None
    newcomer: int | None

    def plain(self) -> Flags:
        """Reps with no special part, among whom the coached are chosen."""
        special = [self.weak, self.strong, self.leaver, self.late, self.newcomer]
        plain = np.ones(len(self.rep_id), dtype=bool)
        plain[[rep for rep in special if rep is not None]] = False
        return plain

    def heirs(self) -> Positions:
        """The two colleagues who take over the leaver's open deals."""
        same_team = (self.team == self.team[self.leaver]) & self.plain()
        return np.flatnonzero(same_team)[:2]

    def owner(self, rep: Positions, at: Seconds, deal: Positions) -> Positions:
        """Who owns each deal at a stamp: its first rep, or the heir once that rep has left."""
        if self.leaver is None:
            return rep
        left = (rep == self.leaver) & (at > self.end[self.leaver])
        heirs = self.heirs()
        return np.where(left, heirs[deal % len(heirs)], rep)


def hire(n_reps: int, n_teams: int, truth: Truth, seed: int) -> Staff:
    """A staff in teams of equal size, with the parts that the truth gives to single reps."""
    chance = stream(seed, "staff")
    weak, strong = n_reps // 5, n_reps * 2 // 5
    turnover = truth.turnover and n_reps >= TURNOVER_FROM_REPS
    start = local_seconds("2021-03-01") + chance.integers(0, 1200, n_reps) * DAY
    end = np.full(n_reps, NEVER, dtype=np.int64)
    weight = chance.lognormal(0.0, 0.12, n_reps)
    leaver = late = newcomer = None
    if turnover:
        leaver, late, newcomer = n_reps * 2 // 3, n_reps * 5 // 6, n_reps - 1
        end[leaver] = local_seconds(LEAVES_ON) + DAY - 1
        start[late], start[newcomer] = local_seconds(STARTS_LATE_ON), local_seconds(NEW_ON)
        # The new rep is still in training: no deal, no lead.
        weight[newcomer] = 0.0
    return Staff(
        rep_id=[f"R{number:02d}" for number in range(1, n_reps + 1)],
        name=[names.cycle(names.REPS, number, "Rep") for number in range(n_reps)],
        team=np.arange(n_reps) * n_teams // n_reps,
        start=start,
        end=end,
        weight=weight,
        skill=_skills(n_reps, weak, strong, truth, chance),
        slowness=chance.lognormal(0.0, 0.35, n_reps),
        weak=weak,
        strong=strong,
        leaver=leaver,
        late=late,
        newcomer=newcomer,
    )


def _skills(n_reps: int, weak: int, strong: int, truth: Truth, chance: np.random.Generator) -> Numbers:
    # Clipped, so that luck of the draw never rivals the planted weak and strong rep.
    drawn = np.clip(chance.standard_normal((n_reps, len(STAGES))), -2, 2)
    skill: Numbers = (drawn - drawn.mean(axis=0)) * truth.skill_sd
    if truth.weak_logit:
        skill[weak] = 0.0
        skill[weak, STAGES.index(truth.weak_stage)] = truth.weak_logit
    if truth.strong_logit:
        skill[strong] = 0.0
        skill[strong, STAGES.index(truth.strong_stage)] = truth.strong_logit
    return skill


def pick_reps(staff: Staff, created: Seconds, chance: np.random.Generator) -> Positions:
    """A rep for each stamp, by weight, among those who are there and will be for two weeks more."""
    there = (staff.start[None, :] <= created[:, None]) & (created[:, None] < staff.end[None, :] - 14 * DAY)
    with np.errstate(divide="ignore"):
        appeal = np.log(staff.weight)[None, :] + chance.gumbel(size=there.shape)
    chosen: Positions = np.where(there, appeal, -np.inf).argmax(axis=1)
    return chosen


def reps_table(staff: Staff) -> pd.DataFrame:
    """The canonical `reps` table: one row per rep."""
    return pd.DataFrame(
        {
            "rep_id": staff.rep_id,
            "name": staff.name,
            "team": [names.cycle(names.TEAMS, team, "Team") for team in staff.team],
            "manager": [names.cycle(names.MANAGERS, team, "Manager") for team in staff.team],
            "role": "account executive",
            "start_on": dates(staff.start),
            "end_on": dates(staff.end),
        }
    )


def region_of(team: Positions) -> list[str]:
    """The region of each team."""
    return [names.cycle(names.REGIONS, number, "Region") for number in team]
