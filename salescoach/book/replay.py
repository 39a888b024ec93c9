"""The tables of a book as they stood at an earlier instant."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import numpy as np
import pandas as pd

from salescoach.book.splits import known_at
from salescoach.book.tables import OUTCOMES
from salescoach.book.texts import decoded, encoded, is_in, places_in
from salescoach.process import Process

INSTANT_OF = {
    **{"stage_history": "entered_at", "changes": "at", "leads": "created_at", "activities": "at", "quotes": "at"},
    "forecast_calls": "at",
}
OF_THE_PRESENT = ("probability", "forecast_category", "won_reason", "lost_reason", "lost_stage", "stage_raw")


def replay(tables: Mapping[str, pd.DataFrame], process: Process, end: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The tables with only what was known at `end`."""
    then = dict(tables)
    for name, column in INSTANT_OF.items():
        if name in then and column in then[name]:
            then[name] = then[name][~(then[name][column] > end)]
    if "leads" in then:
        then["leads"] = _leads_at(then["leads"], end)
    then["deals"] = _deals_at(tables, process, end)
    for name in ("stage_history", "changes", "quotes"):
        if name in then:
            then[name] = then[name][is_in(then[name]["deal_id"], then["deals"]["deal_id"])]
    if "splits" in then:
        then["splits"] = known_at(then["splits"], then["deals"], end)
    if "revenue" in then:
        today = end.tz_convert(process.calendar.timezone).tz_localize(None)
        then["revenue"] = then["revenue"][~(then["revenue"]["booked_on"] > today)]
    return then


def _leads_at(leads: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    leads = leads.copy()
    later = leads["converted_at"] > end if "converted_at" in leads else pd.Series(False, leads.index)
    for column in ("first_response_at", "converted_at"):
        if column in leads:
            leads[column] = leads[column].mask(leads[column] > end)
    for column in ("deal_id", "status"):
        if column in leads:
            leads[column] = leads[column].mask(later)
    return leads


def _deals_at(tables: Mapping[str, pd.DataFrame], process: Process, end: pd.Timestamp) -> pd.DataFrame:
    deals = tables["deals"]
    created = deals["created_at"] if "created_at" in deals else _never(deals)
    closed = deals["closed_at"] if "closed_at" in deals else _never(deals)
    history = tables.get("stage_history")
    if history is None:
        begun = created.fillna(closed)
        stage = deals["stage"].mask(closed > end)
        entered = closed
    else:
        entries = history.drop_duplicates("deal_id").set_index("deal_id")["entered_at"]
        last = history[~(history["entered_at"] > end)].drop_duplicates("deal_id", keep="last").set_index("deal_id")
        begun = created.fillna(of_deals(deals, entries))
        stage = of_deals(deals, last["stage"])
        stage = stage.mask(~is_in(deals["deal_id"], entries.index), deals["stage"].mask(closed > end))
        entered = of_deals(deals, last["entered_at"])
    first = deals["pipeline"].map({k: p.working[0].key for k, p in process.pipelines.items()})
    stage = stage.fillna(first).astype("str")
    moved = (stage != deals["stage"]) | (closed > end)
    outcome = deals["outcome"].where(~moved, outcomes_of(deals["pipeline"], stage, process))
    then = deals.assign(stage=stage, outcome=outcome)
    if "closed_at" in then:
        then["closed_at"] = closed.where(~moved, entered).where(outcome != "open").astype(closed.dtype)
    for column in OF_THE_PRESENT:
        if column in then:
            then[column] = then[column].mask(moved)
    for column in ("stage_changed_at", "updated_at"):
        if column in then:
            then[column] = then[column].mask(then[column] > end)
    return _wound_back(then, tables.get("changes"), end)[~(begun > end)]


def of_deals(deals: pd.DataFrame, by_id: pd.Series) -> pd.Series:
    """For each deal, the value that `by_id` holds for it; null where it holds none."""
    if by_id.empty:
        return by_id.reindex(deals["deal_id"]).set_axis(deals.index)
    places = places_in(deals["deal_id"], by_id.index)
    return by_id.take(np.maximum(places, 0)).set_axis(deals.index).where(places >= 0)


def outcomes_of(pipeline: pd.Series, stage: pd.Series, process: Process) -> pd.Series:
    """The outcome that each deal's stage means in its pipeline."""
    (lines, keys), (places, stages) = encoded(pipeline), encoded(stage)
    means = np.full((len(keys) + 1, len(stages) + 1), -1)  # the last ones stand for null
    for line, rules in enumerate(process.pipelines.get(key) for key in keys):
        own = {s.key: OUTCOMES.index(s.outcome or "open") for s in rules.stages} if rules else {}
        means[line, :-1] = [own.get(name, -1) for name in stages]
    return decoded(means[lines, places], OUTCOMES, stage.index)


def _never(deals: pd.DataFrame) -> pd.Series:
    return pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")


def _wound_back(deals: pd.DataFrame, changes: pd.DataFrame | None, end: pd.Timestamp) -> pd.DataFrame:
    """Owner, amount and expected close as they were before the first change after `end`."""
    if changes is None or "old" not in changes:
        return deals
    later = changes[changes["at"] > end].drop_duplicates(["deal_id", "field"], keep="first")
    for field in ("rep_id", "amount", "expected_close_on"):
        old = later[later["field"] == field].set_index("deal_id")["old"]
        if old.empty or field not in deals:
            continue
        rows = is_in(deals["deal_id"], old.index)
        before = of_deals(deals, old)[rows]
        if field == "amount":
            deals = _with_amounts(deals, before)
        elif field == "expected_close_on":
            days = pd.to_datetime(before, format="%Y-%m-%d", errors="coerce").astype(deals[field].dtype)
            deals = deals.assign(expected_close_on=deals[field].where(~rows, days))
        else:
            deals = deals.assign(rep_id=deals[field].where(~rows, before))
    return deals


def _with_amounts(deals: pd.DataFrame, before: pd.Series) -> pd.DataFrame:
    """An amount that cannot be read is unknown then, not the one of today."""
    scale = (deals["amount_minor"] / deals["amount"]).round()
    usual = scale.mode()
    steps = scale.fillna(usual.iloc[0] if len(usual) else 100).astype("int64")[before.index]
    old = pd.Series(pd.array([_minor(*pair) for pair in zip(before, steps, strict=True)], dtype="Int64"), before.index)
    minor, amount = deals["amount_minor"].copy(), deals["amount"].copy()
    minor[old.index] = old
    amount[old.index] = old.astype("Float64").to_numpy("float64", na_value=float("nan")) / steps
    return deals.assign(amount_minor=minor, amount=amount)


def _minor(value: object, step: int) -> int | None:
    try:
        return int((Decimal(str(value)) * step).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        return None
