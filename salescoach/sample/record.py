"""The record of what was planted in a sample, and of what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from salescoach.sample.activity import Contacts
from salescoach.sample.clock import DAY, iso_date
from salescoach.sample.fates import coaching_record
from salescoach.sample.paths import Paths
from salescoach.sample.revisions import Revisions
from salescoach.sample.staff import Staff
from salescoach.sample.states import States
from salescoach.sample.tables import identifiers
from salescoach.sample.truth import LAST_DAY, STAGES, ZONE, Truth

MATURE_DAYS = 90

DRIVERS = {
    "response_logit": ("prospect", "leads.first_response_at - leads.created_at", "per doubling of the time"),
    "contacts_logit": ("quote", "contacts", "two or more against one"),
    "competitor_logit": ("contract", "competitor", "present against absent"),
    "amount_logit": ("quote, contract", "amount", "per unit of its logarithm; confounds discount_asked"),
}
PLACEBOS = {
    "discount_asked": "grows with the amount, has no effect of its own",
    "calls": "grow with the life of a deal, have no effect",
    "webinar_topic": "four levels, no effect",
}


def truth_record(
    truth: Truth,
    staff: Staff,
    paths: Paths,
    states: States,
    revisions: Revisions,
    contacts: Contacts,
    first: int,
    last: int,
    seed: int,
) -> dict[str, Any]:
    """Everything planted, and the realised margins, ready for JSON."""
    return {
        "first_day": iso_date(first),
        "as_of": LAST_DAY,
        "timezone": ZONE,
        "currency": "CNY",
        "seed": seed,
        "parameters": asdict(truth),
        "intercepts": dict(zip(STAGES, (round(value, 4) for value in paths.intercepts), strict=True)),
        "realised": {"mature_days": MATURE_DAYS, "stages": realised_stages(states.entries, last)}
        | _outcomes(states, len(staff.rep_id)),
        "bottleneck": STAGES[int(np.argmin(truth.conversion))],
        "drivers": [
            {"field": field, "stage": stage, "effect_logit": getattr(truth, name), "unit": unit}
            for name, (stage, field, unit) in DRIVERS.items()
        ],
        "placebos": PLACEBOS,
        "reps": _reps(staff),
        "weak_rep": _special(staff, staff.weak, truth.weak_stage, truth.weak_logit),
        "strong_rep": _special(staff, staff.strong, truth.strong_stage, truth.strong_logit),
        "coaching": coaching_record(paths.coaching, staff, truth),
        "leaver": _leaver(staff, revisions),
        "late_starter": None if staff.late is None else staff.rep_id[staff.late],
        "newcomer": None if staff.newcomer is None else staff.rep_id[staff.newcomer],
        "zombies": _deal_ids(states, paths.zombies),
        "deals_without_quote": _deal_ids(states, contacts.deals_without_quote),
        "forgotten": [
            {"deal_id": _deal_ids(states, [email.deal])[0], "on": iso_date(email.at)} for email in contacts.forgotten
        ],
    }


def realised_stages(entries: pd.DataFrame, last: int) -> dict[str, dict[str, float]]:
    """Margins of the deals that entered each stage `MATURE_DAYS` or more before the end; void deals left out.

    `conversion` is the share that got deeper, `mean_days` the calendar days from
    first entry to first deeper entry, `median_days` their median.
    """
    stage_of = entries["stage"]
    void = entries.loc[stage_of == len(STAGES) + 2, "deal"]
    kept = entries[~entries["deal"].isin(void)]
    # A loss is no deeper stage; a win is the deepest.
    depth = kept["stage"].where(kept["stage"] <= len(STAGES), -1)
    return {name: _margin(kept, depth, stage, last) for stage, name in enumerate(STAGES)}


def _margin(entries: pd.DataFrame, depth: pd.Series, stage: int, last: int) -> dict[str, float]:
    deeper = entries[depth > stage].groupby("deal")["at"].min()
    entered = entries[depth == stage].groupby("deal")["at"].min()
    # A stage nobody recorded was passed, in no time, when the deal got deeper.
    reached = pd.concat([entered, deeper[~deeper.index.isin(entered.index)]])
    mature = reached[reached <= last - MATURE_DAYS * DAY]
    timed = entered[entered.index.isin(deeper.index) & entered.index.isin(mature.index)]
    days = deeper.reindex(timed.index) // DAY - timed // DAY
    return {
        "entered": len(mature),
        "advanced": int(mature.index.isin(deeper.index).sum()),
        "conversion": round(float(mature.index.isin(deeper.index).mean()), 4) if len(mature) else 0.0,
        "timed": len(days),
        "mean_days": round(float(days.mean()), 3) if len(days) else 0.0,
        "median_days": float(days.median()) if len(days) else 0.0,
    }


def _outcomes(states: States, n_reps: int) -> dict[str, int]:
    names = ("won", "lost", "void")
    counts = {name: int((states.stage == len(STAGES) + place).sum()) for place, name in enumerate(names)}
    return counts | {"open": int((states.stage < len(STAGES)).sum()), "reps": n_reps}


def _deal_ids(states: States, positions: Any) -> list[str]:
    return [str(deal) for deal in identifiers("D", len(states.stage))[np.asarray(positions, dtype=int)]]


def _reps(staff: Staff) -> list[dict[str, Any]]:
    return [
        {"rep_id": rep_id, "skill_logit": dict(zip(STAGES, (round(float(s), 4) for s in skill), strict=True))}
        for rep_id, skill in zip(staff.rep_id, staff.skill, strict=True)
    ]


def _special(staff: Staff, rep: int, stage: str, logit: float) -> dict[str, Any] | None:
    return {"rep_id": staff.rep_id[rep], "stage": stage, "skill_logit": logit} if logit else None


def _leaver(staff: Staff, revisions: Revisions) -> dict[str, Any] | None:
    if staff.leaver is None:
        return None
    return {
        "rep_id": staff.rep_id[staff.leaver],
        "end_on": iso_date(int(staff.end[staff.leaver])),
        "heirs": [staff.rep_id[heir] for heir in staff.heirs()],
        "deals_transferred": int((revisions.log["field"] == "rep_id").sum()),
    }
