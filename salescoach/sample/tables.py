"""The canonical tables, written out from the arrays of the simulation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from salescoach.sample import names
from salescoach.sample.activity import Contacts
from salescoach.sample.arrivals import SEGMENTS, Accounts, Deals, Leads
from salescoach.sample.clock import DAY, HOUR, NEVER, Positions, dates, instants, stream
from salescoach.sample.revisions import Revisions
from salescoach.sample.staff import Staff, region_of
from salescoach.sample.states import States, stage_keys
from salescoach.sample.truth import STAGES

PROBABILITY = {
    "prospect": 0.10,
    "qualified": 0.25,
    "quote": 0.50,
    "contract": 0.75,
    "won": 1.0,
    "lost": 0.0,
    "void": 0.0,
}
LOST_REASONS = ("price", "no_budget", "competitor", "no_decision", "timing", "product_gap")
LOST_REASON_WEIGHTS = {
    "prospect": (0.5, 3.0, 0.5, 3.0, 2.5, 1.0),
    "qualified": (1.0, 2.0, 0.8, 2.0, 1.5, 2.7),
    "quote": (4.0, 1.2, 1.0, 1.5, 0.8, 1.0),
    "contract": (2.5, 0.5, 1.5, 1.5, 1.5, 0.5),
}
COMPETITOR_WEIGHT = 5.0
WON_REASONS = ("product_fit", "price", "relationship", "service", "speed")
WON_REASON_SHARE = (0.35, 0.20, 0.20, 0.15, 0.10)
UNCONVERTED_DAYS = 30
SOURCES_WITHOUT_LEAD = [names.LEAD_SOURCES.index(name) for name in ("referral", "partner", "cold_call")]


def identifiers(letter: str, count: int, width: int = 5) -> np.ndarray:
    """Ids such as `D00001`, in order."""
    return np.array([f"{letter}{number:0{width}d}" for number in range(1, count + 1)], dtype=object)


def pick(labels: Iterable[object], places: np.ndarray) -> np.ndarray:
    """Labels at these places; None at a place of -1."""
    picked: np.ndarray = np.array([*labels, None], dtype=object)[places]
    return picked


def deals_table(
    deals: Deals,
    leads: Leads,
    accounts: Accounts,
    staff: Staff,
    states: States,
    revisions: Revisions,
    seed: int,
) -> pd.DataFrame:
    """The canonical `deals` table, with three columns of our own: contacts, discount_asked, webinar_topic."""
    chance = stream(seed, "labels")
    count = len(deals.created)
    account_ids = identifiers("A", len(accounts.team), 4)
    own_source = chance.choice(SOURCES_WITHOUT_LEAD, count, p=[0.5, 0.2, 0.3])
    source = np.where(deals.lead >= 0, leads.source[deals.lead], own_source)
    account_names = [names.account_name(int(account)) for account in deals.account]
    product = pick([name for name, *_ in names.PRODUCTS], deals.product)
    stage = stage_keys(states.stage)
    return pd.DataFrame(
        {
            "deal_id": identifiers("D", count),
            "name": [f"{account} – {item}" for account, item in zip(account_names, product, strict=True)],
            "rep_id": pick(staff.rep_id, revisions.owner),
            "stage": stage,
            "created_at": instants(deals.created),
            "closed_at": instants(states.closed),
            "amount": deals.amount,
            "list_price": deals.list_price,
            "currency": "CNY",
            "expected_close_on": dates(revisions.expected_close),
            "probability": [PROBABILITY[key] for key in stage],
            "account_id": account_ids[deals.account],
            "lead_id": pick(identifiers("L", len(leads.created)), deals.lead),
            "lead_source": pick(names.LEAD_SOURCES, source),
            "deal_type": _deal_types(deals, states, stage),
            "segment": pick(SEGMENTS, accounts.segment[deals.account]),
            "region": region_of(staff.team[deals.rep]),
            "product": product,
            "competitor": pick(names.COMPETITORS, deals.competitor),
            "won_reason": _won_reasons(stage, chance),
            "lost_reason": _lost_reasons(stage, deals, states, chance),
            "contacts": deals.contacts,
            "discount_asked": deals.discount_asked,
            "webinar_topic": pick(names.WEBINAR_TOPICS, deals.webinar),
            "updated_at": instants(_last_change(deals, states, revisions)),
        }
    )


def _deal_types(deals: Deals, states: States, stage: list[str]) -> np.ndarray:
    """`expansion` where the account had won a deal before this one was created."""
    closed = pd.Series(np.where(np.array(stage) == "won", states.closed, NEVER))
    first_win = closed.groupby(deals.account).transform("min").to_numpy()
    return np.where(first_win < deals.created, "expansion", "new")


def _won_reasons(stage: list[str], chance: np.random.Generator) -> list[str | None]:
    drawn = chance.choice(WON_REASONS, len(stage), p=WON_REASON_SHARE)
    return [str(reason) if key == "won" else None for key, reason in zip(stage, drawn, strict=True)]


def _lost_reasons(stage: list[str], deals: Deals, states: States, chance: np.random.Generator) -> list[str | None]:
    """Reasons by the stage lost in; a competitor is blamed only where there was one."""
    weights = np.array([LOST_REASON_WEIGHTS[key] for key in STAGES])[states.last_working]
    blame = LOST_REASONS.index("competitor")
    weights[:, blame] *= np.where(deals.competitor >= 0, COMPETITOR_WEIGHT, 0.0)
    running = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    drawn = (running < chance.random((len(stage), 1))).sum(axis=1)
    return [LOST_REASONS[place] if key == "lost" else None for key, place in zip(stage, drawn, strict=True)]


def _last_change(deals: Deals, states: States, revisions: Revisions) -> Positions:
    moved = states.entries.groupby("deal")["at"].max().to_numpy()
    revised = revisions.log.groupby("deal")["at"].max().reindex(range(len(moved)), fill_value=0).to_numpy()
    last_change: Positions = np.maximum(moved, revised)
    return last_change


def history_table(deals: Deals, staff: Staff, states: States, revisions: Revisions) -> pd.DataFrame:
    """The canonical `stage_history` table: one row per entry, with owner and amount at that moment."""
    deal, at = states.entries["deal"].to_numpy(), states.entries["at"].to_numpy()
    before = at < revisions.amount_changed[deal]
    return pd.DataFrame(
        {
            "deal_id": identifiers("D", len(deals.created))[deal],
            "entered_at": instants(at),
            "stage": stage_keys(states.entries["stage"].to_numpy()),
            "rep_id": pick(staff.rep_id, staff.owner(deals.rep[deal], at, deal)),
            "amount": np.where(before, revisions.first_amount[deal], deals.amount[deal]),
        }
    )


def leads_table(leads: Leads, deals: Deals, accounts: Accounts, staff: Staff, last: int) -> pd.DataFrame:
    """The canonical `leads` table."""
    count = len(leads.created)
    has_deal = leads.deal >= 0
    return pd.DataFrame(
        {
            "lead_id": identifiers("L", count),
            "created_at": instants(leads.created),
            "rep_id": pick(staff.rep_id, leads.rep),
            "lead_source": pick(names.LEAD_SOURCES, leads.source),
            "first_response_at": instants(leads.responded),
            "converted_at": instants(np.where(has_deal, deals.created[leads.deal], NEVER)),
            "deal_id": pick(identifiers("D", len(deals.created)), leads.deal),
            "account_id": identifiers("A", len(accounts.team), 4)[leads.account],
            "status": np.where(has_deal, "converted", _status(leads, last)),
            "segment": pick(SEGMENTS, accounts.segment[leads.account]),
            "region": region_of(staff.team[leads.rep]),
        }
    )


def _status(leads: Leads, last: int) -> np.ndarray:
    old = leads.created < last - UNCONVERTED_DAYS * DAY
    return np.where(old, "disqualified", np.where(leads.responded == NEVER, "new", "working"))


def activities_table(contacts: Contacts, deals: Deals, staff: Staff) -> pd.DataFrame:
    """The canonical `activities` table; `minutes` only where something lasts."""
    log = contacts.table
    deal, at = log["deal"].to_numpy(), log["at"].to_numpy()
    return pd.DataFrame(
        {
            "activity_id": identifiers("T", len(log)),
            "rep_id": pick(staff.rep_id, staff.owner(deals.rep[deal], at, deal)),
            "at": instants(at),
            "activity_type": log["activity_type"],
            "deal_id": identifiers("D", len(deals.created))[deal],
            "direction": log["direction"],
            "minutes": log["minutes"],
        }
    )


def accounts_table(accounts: Accounts, deals: Deals, leads: Leads, staff: Staff, first: int) -> pd.DataFrame:
    """The canonical `accounts` table: known an hour before their first lead or deal, owned by its rep."""
    count = len(accounts.team)
    touches = (
        pd.DataFrame(
            {
                "account": np.concatenate([deals.account, leads.account]),
                "at": np.concatenate([deals.created, leads.created]),
                "rep": np.concatenate([deals.rep, leads.rep]),
            }
        )
        .sort_values("at", kind="stable")
        .drop_duplicates("account")
        .set_index("account")
        .reindex(range(count))
    )
    return pd.DataFrame(
        {
            "account_id": identifiers("A", count, 4),
            "name": [names.account_name(number) for number in range(count)],
            "industry": pick(names.INDUSTRIES, accounts.industry),
            "size": pick(SEGMENTS, accounts.segment),
            "region": region_of(accounts.team),
            "rep_id": pick(staff.rep_id, touches["rep"].fillna(-1).astype(int).to_numpy()),
            "created_at": instants(np.asarray(touches["at"].fillna(first + 10 * HOUR), dtype=np.int64) - HOUR),
        }
    )


def products_table() -> pd.DataFrame:
    """The canonical `products` table."""
    return pd.DataFrame(
        [(product, family, price, "CNY") for product, family, price, _ in names.PRODUCTS],
        columns=["product", "family", "list_price", "currency"],
    )
