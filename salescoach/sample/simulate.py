"""A simulated deal book: clean typed tables, and the truth they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from salescoach.errors import UsageError
from salescoach.sample import tables
from salescoach.sample.activity import act
from salescoach.sample.arrivals import arrive, open_accounts
from salescoach.sample.clock import window
from salescoach.sample.paths import walk
from salescoach.sample.record import truth_record
from salescoach.sample.revisions import changes_table, revise
from salescoach.sample.staff import hire, reps_table
from salescoach.sample.states import final_states
from salescoach.sample.targets import targets_table
from salescoach.sample.truth import DEMO_TRUTH, Truth

FEWEST_REPS = 5
ACCOUNTS_PER_DEAL = 0.45


@dataclass(frozen=True)
class Sample:
    """Clean tables by name (instants in UTC, dates naive), and what was planted, ready for JSON."""

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def simulate(
    n_deals: int = 4000,
    n_reps: int = 24,
    n_teams: int = 4,
    months: int = 24,
    seed: int = 7,
    truth: Truth = DEMO_TRUTH,
) -> Sample:
    """A book of `months` calendar months up to 2026-09-30, in CNY and Shanghai time.

    The same arguments give the same tables to the last byte.

    >>> len(simulate(n_deals=50, n_reps=6, n_teams=2).tables["deals"])
    50
    """
    _check(n_deals, n_reps, n_teams, months)
    first, last = window(months)
    staff = hire(n_reps, n_teams, truth, seed)
    accounts = open_accounts(max(round(ACCOUNTS_PER_DEAL * n_deals), n_teams), n_teams, seed)
    deals, leads = arrive(n_deals, first, last, staff, accounts, truth, seed)
    paths = walk(deals, staff, truth, first, last, seed)
    states = final_states(paths, last)
    revisions = revise(deals, staff, states, last, seed)
    contacts = act(states.stays, truth, last, seed)
    deals_table = tables.deals_table(deals, leads, accounts, staff, states, revisions, seed)
    return Sample(
        tables={
            "deals": deals_table,
            "stage_history": tables.history_table(deals, staff, states, revisions),
            "changes": changes_table(revisions, deals_table["deal_id"].to_numpy()),
            "leads": tables.leads_table(leads, deals, accounts, staff, last),
            "activities": tables.activities_table(contacts, deals, staff),
            "reps": reps_table(staff),
            "targets": targets_table(deals_table, staff, first, months, seed),
            "accounts": tables.accounts_table(accounts, deals, leads, staff, first),
            "products": tables.products_table(),
        },
        truth=truth_record(truth, staff, paths, states, revisions, contacts, first, last, seed),
    )


def _check(n_deals: int, n_reps: int, n_teams: int, months: int) -> None:
    if n_teams < 1 or n_reps < max(n_teams, FEWEST_REPS) or n_deals < 1 or months < 3 or months % 3:
        raise UsageError(
            "A sample needs at least one deal, one team, {fewest_reps} reps, no fewer reps than teams, and "
            "whole quarters; got n_deals={n_deals}, n_reps={n_reps}, n_teams={n_teams}, months={months}.",
            fewest_reps=FEWEST_REPS,
            n_deals=n_deals,
            n_reps=n_reps,
            n_teams=n_teams,
            months=months,
        )
