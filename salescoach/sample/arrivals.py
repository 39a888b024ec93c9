"""What arrives: accounts, deals with all that is known of them at the start, and the leads before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salescoach.sample import names
from salescoach.sample.clock import (
    DAY,
    HOUR,
    NEVER,
    OFFICE_HOURS,
    OFFICE_OPENS,
    Flags,
    Numbers,
    Positions,
    Seconds,
    at_office,
    month_of_year,
    near_festival,
    stream,
    to_workday,
    weekday,
)
from salescoach.sample.staff import Staff, pick_reps
from salescoach.sample.truth import Truth

SEGMENTS = ("SMB", "Mid", "Enterprise")
SEGMENT_SHARE = (0.55, 0.33, 0.12)
SEGMENT_MEDIAN_CNY = (18_000, 60_000, 220_000)
MONTH_FACTOR = np.array([0.90, 0.80, 1.15, 1.05, 1.0, 1.05, 0.95, 0.95, 1.10, 0.95, 1.05, 1.05])
WEEKDAY_FACTOR = np.array([1.15, 1.10, 1.05, 1.0, 0.85, 0.0, 0.0])


@dataclass(frozen=True)
class Accounts:
    """Arrays with one entry per account."""

    segment: Positions
    team: Positions
    industry: Positions


@dataclass(frozen=True)
class Deals:
    """Arrays with one entry per deal, in the order of creation; `lead` is -1 where none came before."""

    created: Seconds
    rep: Positions
    account: Positions
    product: Positions
    amount: Positions
    list_price: Positions
    discount_asked: Numbers
    contacts: Positions
    competitor: Positions
    webinar: Positions
    lead: Positions
    response_doublings: Numbers


@dataclass(frozen=True)
class Leads:
    """Arrays with one entry per lead, in the order of creation; `deal` is -1 where none came of it."""

    created: Seconds
    responded: Seconds
    rep: Positions
    account: Positions
    source: Positions
    deal: Positions


def open_accounts(n_accounts: int, n_teams: int, seed: int) -> Accounts:
    """Accounts spread over the teams."""
    chance = stream(seed, "accounts")
    return Accounts(
        segment=chance.choice(3, n_accounts, p=SEGMENT_SHARE),
        team=chance.permutation(np.arange(n_accounts) % n_teams),
        industry=chance.integers(0, len(names.INDUSTRIES), n_accounts),
    )


def moments(count: int, first: int, last: int, truth: Truth, chance: np.random.Generator) -> Seconds:
    """Sorted office stamps with growth, the seasons and the week in them."""
    midnights = np.arange(first // DAY, last // DAY + 1) * DAY
    weight = np.linspace(1.0, truth.growth, len(midnights))
    weight = weight * MONTH_FACTOR[month_of_year(midnights)] * WEEKDAY_FACTOR[weekday(midnights)]
    weight = np.where(near_festival(midnights), weight * 0.75, weight)
    days = chance.choice(midnights, count, p=weight / weight.sum())
    return np.sort(at_office(days, chance.random(count)))


def arrive(
    n_deals: int, first: int, last: int, staff: Staff, accounts: Accounts, truth: Truth, seed: int
) -> tuple[Deals, Leads]:
    """All deals and leads created between two local seconds."""
    chance = stream(seed, "deals")
    created = moments(n_deals, first, last, truth, chance)
    rep = pick_reps(staff, created, chance)
    account = _pick_accounts(staff.team[rep], accounts, chance)
    segment = accounts.segment[account]
    log_amount = np.log(np.array(SEGMENT_MEDIAN_CNY))[segment] + 0.6 * chance.standard_normal(n_deals)
    amount = np.maximum(np.exp(log_amount).astype(np.int64) // 10 * 10, 500)
    leads, lead, doublings = _leads(created, rep, account, first, last, staff, accounts, truth, seed)
    asked = _discount_asked(log_amount, chance)
    several = chance.random(n_deals) < np.array([0.42, 0.58, 0.72])[segment]
    deals = Deals(
        created=created,
        rep=rep,
        account=account,
        amount=amount,
        lead=lead,
        response_doublings=doublings,
        product=chance.choice(len(names.PRODUCTS), n_deals, p=[share for *_, share in names.PRODUCTS]),
        list_price=(amount / (1 - asked * 0.6 * chance.random(n_deals))).astype(np.int64) // 10 * 10,
        discount_asked=asked,
        contacts=np.where(several, 2 + chance.poisson(0.8, n_deals), 1),
        competitor=np.where(chance.random(n_deals) < 0.45, chance.integers(0, 3, n_deals), -1),
        webinar=chance.integers(0, len(names.WEBINAR_TOPICS), n_deals),
    )
    return deals, leads


def _discount_asked(log_amount: Numbers, chance: np.random.Generator) -> Numbers:
    # A placebo in disguise: large deals ask for more, and large deals are harder.
    centred = log_amount - log_amount.mean()
    asked = 0.10 + 0.04 * centred + 0.05 * chance.standard_normal(len(centred))
    rounded: Numbers = np.round(np.clip(asked, 0, 0.35), 2)
    return rounded


def _pick_accounts(team: Positions, accounts: Accounts, chance: np.random.Generator) -> Positions:
    chosen = np.zeros(len(team), dtype=np.int64)
    for number in np.unique(team):
        pool = np.flatnonzero(accounts.team == number)
        appeal = chance.lognormal(0.0, 0.8, len(pool))
        here = team == number
        chosen[here] = chance.choice(pool, int(here.sum()), p=appeal / appeal.sum())
    return chosen


def _leads(
    created: Seconds,
    rep: Positions,
    account: Positions,
    first: int,
    last: int,
    staff: Staff,
    accounts: Accounts,
    truth: Truth,
    seed: int,
) -> tuple[Leads, Positions, Numbers]:
    """The leads, each deal's lead (-1 for none), and each deal's response time in doublings of its mean."""
    chance = stream(seed, "leads")
    n_deals = len(created)
    wait = chance.lognormal(np.log(4 * DAY), 0.8, n_deals).astype(np.int64) + HOUR
    asked = at_office(to_workday(created - wait), chance.random(n_deals))
    asked = np.where(asked > created - HOUR, created - wait - HOUR, asked)
    has_lead = (chance.random(n_deals) >= truth.leadless_rate) & (asked >= first + OFFICE_OPENS)
    answered = np.minimum(_respond(asked, rep, staff, truth, chance), created - 600)

    others = max(round(truth.leads_per_deal * n_deals) - int(has_lead.sum()), 0)
    other_asked = moments(others, first, last, truth, chance)
    other_rep = pick_reps(staff, other_asked, chance)
    other_answered = _respond(other_asked, other_rep, staff, truth, chance)
    # All unanswered leads are among those that came to nothing, so they are more frequent there.
    silent = chance.random(others) < truth.unanswered_rate * (others + has_lead.sum()) / max(others, 1)
    other_answered = np.where(silent | (other_answered > last), NEVER, other_answered)

    with_lead = np.flatnonzero(has_lead)
    all_asked = np.concatenate([asked[with_lead], other_asked])
    order = np.argsort(all_asked, kind="stable")
    deal = np.concatenate([with_lead, np.full(others, -1)])[order]
    leads = Leads(
        created=all_asked[order],
        responded=np.concatenate([answered[with_lead], other_answered])[order],
        rep=np.concatenate([rep[with_lead], other_rep])[order],
        account=np.concatenate([account[with_lead], _pick_accounts(staff.team[other_rep], accounts, chance)])[order],
        source=chance.choice(len(names.LEAD_SOURCES), len(order), p=[0.42, 0.16, 0.14, 0.18, 0.10]),
        deal=deal,
    )
    lead = np.full(n_deals, -1, dtype=np.int64)
    lead[deal[deal >= 0]] = np.flatnonzero(deal >= 0)
    return leads, lead, _doublings(answered - asked, has_lead)


def _respond(asked: Seconds, rep: Positions, staff: Staff, truth: Truth, chance: np.random.Generator) -> Seconds:
    """First responses: lognormal by rep, put off to the next morning where they would fall in the night."""
    hours = truth.response_median_hours * staff.slowness[rep] * chance.lognormal(0.0, 1.1, len(asked))
    raw = asked + (hours * HOUR).astype(np.int64) + 60
    closing = raw // DAY * DAY + OFFICE_OPENS + OFFICE_HOURS + HOUR
    opening = (raw // DAY + (raw > closing)) * DAY + OFFICE_OPENS
    morning = opening + chance.integers(0, 2 * HOUR, len(asked))
    late = (raw > closing) | (raw < opening)
    return to_workday(np.where(late, morning, raw))


def _doublings(waited: Seconds, known: Flags) -> Numbers:
    doublings = np.log2(np.maximum(waited, 60) / HOUR)
    return np.where(known, doublings - doublings[known].mean(), 0.0) if known.any() else np.zeros(len(waited))
