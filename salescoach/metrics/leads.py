"""Lead conversion and response time: what becomes of enquiries, and how soon they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.contacts import is_planned, side_of
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.ladder import FIRST_HOUR, MINUTES, NO_AGE, Codes, day_code, ladder_codes
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.times import beside, medians
from salescoach.process import Period, working_hours

Clock = Literal["elapsed", "working"]

HORIZON_DAYS = 90
INSTANT = "datetime64[us, UTC]"
HOURS_PER_DAY = 24.0
ROUNDING = 1e-6  # of a minute: a sum of hours may fall just short of it


def arrivals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The leads created in the period: created_on, converted_on (its deal's where it does not say), responded_at."""
    leads = book.table("leads")
    for column, kind in (("rep_id", "str"), ("converted_at", INSTANT), ("first_response_at", INSTANT)):
        if column not in leads:
            leads[column] = pd.Series(None if kind == "str" else pd.NaT, leads.index, dtype=kind)
    leads["created_on"] = book.local_days(leads["created_at"])
    leads["converted_on"] = book.local_days(_converted(book, leads))
    leads["responded_at"] = _first_response(book, leads)
    return leads[in_period(book, period, leads["created_on"])]


def _converted(book: Book, leads: pd.DataFrame) -> pd.Series:
    """The lead's own stamp, else the creation of its first deal."""
    converted, deals = leads["converted_at"], book.deals
    if "created_at" not in deals:
        return converted
    if "deal_id" in leads:
        converted = converted.fillna(looked_up(leads["deal_id"], deals.set_index("deal_id")["created_at"]))
    if "lead_id" in deals:
        converted = converted.fillna(looked_up(leads["lead_id"], deals.groupby("lead_id")["created_at"].min()))
    return converted


def _first_response(book: Book, leads: pd.DataFrame) -> pd.Series:
    """The lead's own stamp, else the first outbound activity after its creation."""
    given = leads["first_response_at"]
    if not book.has("activities", "lead_id", "direction"):
        return given
    out = book.table("activities")
    out = out[out["lead_id"].notna() & (side_of(out["direction"]) == "out") & ~is_planned(out, book.as_of_on)]
    asked = looked_up(out["lead_id"], leads.set_index("lead_id")["created_at"])
    return given.fillna(looked_up(leads["lead_id"], out[out["at"] >= asked].groupby("lead_id")["at"].min()))


def mature_leads(book: Book, period: str | Period | None = None, horizon_days: int = HORIZON_DAYS) -> pd.DataFrame:
    """Leads of the period that are at least `horizon_days` old; `converted` within that time."""
    leads = arrivals(book, period)
    horizon = pd.Timedelta(days=horizon_days)
    leads["mature"] = leads["created_on"] + horizon <= book.as_of_on
    leads["converted"] = leads["mature"] & (leads["converted_on"] <= leads["created_on"] + horizon)
    return leads


def _mature_only(book: Book, period: Period, horizon_days: int = HORIZON_DAYS) -> pd.DataFrame:
    leads = mature_leads(book, period, horizon_days)
    return leads[leads["mature"]]


@metric(
    "Lead conversion",
    "Leads with a deal within 90 days / leads that are at least 90 days old.",
    basis="day the lead was created",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("leads", "created_at")],
    by=("rep",),
    rows=_mature_only,
    caveat="Leads younger than 90 days are counted apart: they still have time.",
    why="How many enquiries become a deal, and from which sources?",
    uses=[("leads", "converted_at"), ("leads", "deal_id"), ("deals", "lead_id")],
    options={"horizon_days": "Within how many days a lead must have become a deal; younger leads are not counted."},
)
def lead_conversion(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, horizon_days: int = HORIZON_DAYS
) -> pd.DataFrame:
    """Share of leads that became a deal within `horizon_days`.

    converted / n, where n are the leads created in the period that are at least `horizon_days` old.

    Returns one row per group: n, converted, immature, value, low, high (95 % Wilson).
    """
    groups = parse_by(by)
    if not (book.has("leads", "converted_at") or book.has("leads", "deal_id") or book.has("deals", "lead_id")):
        raise Unavailable(
            "nothing links leads to deals: neither `converted_at` nor `deal_id` in `leads`, nor `lead_id` in `deals`"
        )
    leads = with_groups(book, mature_leads(book, period, horizon_days), groups, "created_on")
    counts = count_table(leads, group_keys(groups), sums={"mature": leads["mature"], "converted": leads["converted"]})
    table = complete(book, counts.rename(columns={"n": "all", "mature": "n"}), groups)
    table["immature"] = table["all"] - table["n"]
    table["value"], table["low"], table["high"] = wilson(table["converted"], table["n"])
    return table[[*group_columns(groups), "n", "converted", "immature", "value", "low", "high"]]


def response_limit(book: Book) -> float | None:
    """Hours within which the process wants a new lead answered: the first stage that says so."""
    hours = (s.first_response_hours for p in book.process.pipelines.values() for s in p.working)
    return next((float(h) for h in hours if h is not None), None)


def answered_leads(book: Book, period: str | Period | None = None, clock: Clock = "elapsed") -> pd.DataFrame:
    """Leads of the period with the time to their answer: hours, age (ladder code), ended, within, due.

    Where there is no answer, `hours` and `age` are those of the waiting so far. A lead answered before it was created
    is an error in the data and left out. clock="working": only the company's working time counts.
    """
    if book.by_day_only("leads", "created_at") or book.by_day_only("leads", "first_response_at"):
        raise Unavailable("the source gives days without a time of day, so a response time in hours cannot be known")
    if not (book.has("leads", "first_response_at") or book.has("activities", "lead_id", "direction")):
        raise Unavailable(
            "no lead has a first response: `first_response_at` is missing, and no outbound activity names a lead"
        )
    leads = arrivals(book, period)
    answer = leads["responded_at"]
    leads["ended"] = answer.notna()
    leads["age"], leads["hours"] = _waited(book, leads["created_at"], answer.fillna(book.as_of), clock)
    limit = response_limit(book) or 0.0
    until_now = pd.Series(book.as_of, leads.index)
    leads["due"] = _waited(book, leads["created_at"], until_now, clock)[1] > limit
    leads["within"] = leads["due"] & leads["ended"] & (leads["hours"] <= limit)
    return leads[leads["age"] != NO_AGE]


def _waited(book: Book, start: pd.Series, end: pd.Series, clock: Clock) -> tuple[Codes, pd.Series]:
    """The time from `start` to `end` as ladder codes and in hours."""
    if clock not in get_args(Clock):
        raise UsageError(
            "clock={clock!r} is unknown.{hint} Clocks: {known}.",
            clock=clock,
            hint=suggestion(clock, get_args(Clock)),
            known=commas(get_args(Clock)),
        )
    elapsed = (end - start).dt.total_seconds() / 3600
    codes = ladder_codes(start, end, book.timezone)
    if clock == "elapsed":
        return codes, elapsed
    local = [t.dt.tz_convert(book.timezone).dt.tz_localize(None).to_numpy("datetime64[us]") for t in (start, end)]
    hours = working_hours(book.process, *local)
    minutes = np.floor(np.nan_to_num(hours) * 60 + ROUNDING).astype(np.int64)
    by_hour = np.where(minutes < 48 * 60, MINUTES - FIRST_HOUR + minutes // 60, day_code(2) - 2 + minutes // 1440)
    return np.where(codes == NO_AGE, NO_AGE, np.where(minutes < MINUTES, minutes, by_hour)), pd.Series(
        hours, start.index
    )


@metric(
    "Response time",
    "Hours from a lead's creation to the first answer by a person: the median by Kaplan-Meier, in which unanswered "
    "leads count as still waiting. Beside it the share answered within the process's limit.",
    basis="day the lead was created",
    interval="95 % Brookmeyer-Crowley interval of the median",
    unit="hours",
    needs=[("leads", "created_at")],
    by=("rep",),
    rows=answered_leads,
    caveat="By the clock nights and weekends count, as they do for the customer; with `clock=working` only the "
    "company's working time does. Changes of a lead's owner are not recorded: the one in the data is taken as the "
    "first.",
    why="How soon does somebody answer who asks us for something?",
    uses=[("leads", "first_response_at"), ("activities", "direction")],
    options={
        "clock": "elapsed: nights and weekends count; working: only the hours of working days count, as the calendar "
        "of the process file has them."
    },
)
def response_time(
    book: Book,
    by: str | Sequence[str] = "rep",
    period: str | Period | None = None,
    clock: Clock = "elapsed",
) -> pd.DataFrame:
    """Hours to the first answer.

    value: Kaplan-Meier median, unanswered leads censored at as_of. Credit goes to the lead's owner: changes of it are
    not recorded, so the present one stands for the first.

    clock   "elapsed": every hour counts (the default)
            "working": the hours of the calendar's working days count; where it has no `hours`, a working day has 24.
            Beyond 48 hours, times are known to 24 working hours. The limit is held against the same clock.

    Returns one row per group: n, answered, unanswered, value, low, high (hours; 95 % Brookmeyer-Crowley), p90 (hours),
    limit_hours, within_share, within_low, within_high (of the leads older than the limit; 95 % Wilson).
    """
    groups = parse_by(by)
    leads = with_groups(book, answered_leads(book, period, clock), groups, "created_on")
    if leads.empty:
        raise Unavailable("no lead was created in the period")
    keys = group_keys(groups)
    sums = {"answered": leads["ended"], "within": leads["within"], "due": leads["due"]}
    counts = count_table(leads, [*keys, "age", "ended"], sums=sums)
    table = add_up(counts.drop(columns=["age", "ended"]), keys)
    table = beside(table, medians(counts, keys, per_day=HOURS_PER_DAY), keys)
    table = complete(book, table, groups)
    table["unanswered"] = table["n"] - table["answered"]
    limit = response_limit(book)
    table["limit_hours"] = np.nan if limit is None else limit
    due = table["due"] if limit is not None else table["due"] * 0
    table["within_share"], table["within_low"], table["within_high"] = wilson(table["within"], due)
    shown = ["n", "answered", "unanswered", "value", "low", "high", "p90", "limit_hours"]
    return table[[*group_columns(groups), *shown, "within_share", "within_low", "within_high"]]
