"""Plants dirt of known kind and count in a sample, as exports have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from salescoach.sample.broken import (
    plant_broken_deals,
    plant_broken_lines,
    plant_child_rows,
    plant_lead_rows,
    plant_repeated_rows,
)
from salescoach.sample.clock import Positions, stream
from salescoach.sample.mess import Mess
from salescoach.sample.rates import DEMO_DIRT, DirtRates
from salescoach.sample.simulate import Sample
from salescoach.sample.text import CRM_STAGES, TextTable, text_table, to_text

KEPT_STAGES = tuple(CRM_STAGES[stage] for stage in ("quote", "won", "lost", "void"))
STAMP = "%Y-%m-%d %H:%M:%S"
SPELLINGS = {
    # spelling -> the CRM's usual name
    "Prospecting  ": "Prospecting",
    "QUALIFICATION": "Qualification",
    "合格": "Qualification",
    "方案/报价": "Proposal",
    "方案／报价": "Proposal",
    "Ｐｒｏｐｏｓａｌ": "Proposal",
    " negotiation": "Negotiation",
    "合同": "Negotiation",
    "CLOSED WON": "Closed Won",
    "赢单": "Closed Won",
    "closed  lost": "Closed Lost",
    "输单": "Closed Lost",
}
RETIRED_NAME, RETIRED_BEFORE = "Demo", "2025-04-01"
MISSPELT_PRODUCT = {"CloudDesk Pro": "CloudDeskPro"}


def plant_dirt(
    sample: Sample, seed: int = 7, rates: DirtRates = DEMO_DIRT
) -> tuple[dict[str, TextTable], dict[str, Any]]:
    """Text tables ready for CSV, and the record of every kind of dirt in them.

    The record lists each kind with `table`, `count`, `expect` (accepted, noted or
    quarantined), the `reason` code of a quarantine, and `ids` where that helps.
    The same sample, seed and rates give the same text.
    """
    tables = {name: to_text(table) for name, table in sample.tables.items()}
    mess = Mess(tables, stream(seed, "dirt"))
    as_of = str(sample.truth["as_of"])
    _friday_moves(mess, rates, as_of)
    _stage_names(mess, rates)
    _deal_fields(mess, rates, as_of)
    _spellings_of_values(mess, rates)
    _keys(mess, rates)
    plant_repeated_rows(mess, rates)
    plant_child_rows(mess, rates)
    plant_lead_rows(mess, rates)
    if rates.broken_deal_rows:
        plant_broken_deals(mess)
    finished = {name: text_table(table) for name, table in mess.tables.items()}
    if rates.broken_deal_rows:
        finished["deals"] = plant_broken_lines(finished["deals"], mess)
    if rates.byte_order_mark:
        finished["deals"] = replace(finished["deals"], byte_order_mark=True)
        mess.note("byte-order-mark", "deals", 1, "accepted")
    return finished, _record(mess, finished)


def _record(mess: Mess, finished: dict[str, TextTable]) -> dict[str, Any]:
    quarantined: dict[str, dict[str, int]] = {}
    for kind in mess.kinds:
        if kind["expect"] == "quarantined":
            reasons = quarantined.setdefault(kind["table"], {})
            reasons[kind["reason"]] = reasons.get(kind["reason"], 0) + kind["count"]
    return {
        "rows_written": {name: len(table.rows) for name, table in finished.items()},
        "quarantined": quarantined,
        "quarantined_rows": {table: sum(reasons.values()) for table, reasons in quarantined.items()},
        "kinds": mess.kinds,
    }


def _friday_moves(mess: Mess, rates: DirtRates, as_of: str) -> None:
    """Some reps enter their week's moves on Friday evening.

    Opening and closing moves keep their stamps, and so do those into and out of
    quote, where a mean of days is planted.
    """
    history = mess.tables["stage_history"]
    entered = pd.to_datetime(history["entered_at"])
    goes_on = history["deal_id"] == history["deal_id"].shift(-1)
    next_entry = entered.shift(-1).where(goes_on, pd.Timestamp(as_of) + pd.Timedelta(days=1))
    friday = entered.dt.normalize() + pd.to_timedelta(4 - entered.dt.day_of_week, unit="D")
    minutes = pd.Series(mess.chance.integers(17 * 60 + 30, 18 * 60 + 30, len(history)))
    moved = friday + pd.to_timedelta(minutes, unit="min")
    busy = sorted(history["rep_id"].value_counts().index[: rates.friday_reps])
    middle = (history["deal_id"] == history["deal_id"].shift(1)) & ~history["stage"].isin(KEPT_STAGES)
    middle &= history["stage"].shift(1) != CRM_STAGES["quote"]
    late_enough = (moved > entered) & (moved < next_entry - pd.Timedelta(minutes=10))
    rows = mess.choose(middle & late_enough & history["rep_id"].isin(busy), rates.friday_moves)
    mess.put("stage_history", rows, "entered_at", _spelled(moved.iloc[rows], STAMP))
    mess.note("friday-evening-moves", "stage_history", len(rows), "noted", ids=busy)


def _stage_names(mess: Mess, rates: DirtRates) -> None:
    """Other spellings of known stages, and one name that went out of use."""
    history = mess.tables["stage_history"]
    early = (history["stage"] == "Qualification") & (history["entered_at"] < RETIRED_BEFORE)
    rows = mess.choose(early, rates.retired_name)
    mess.put("stage_history", rows, "stage", RETIRED_NAME)
    mess.note("retired-stage-name", "stage_history", len(rows), "accepted", ids=[RETIRED_NAME])
    for table, share in (("deals", rates.deal_spelling), ("stage_history", rates.history_spelling)):
        usual_names = mess.tables[table]["stage"].copy()
        for usual in sorted(set(SPELLINGS.values())):
            _spell(mess, table, mess.choose(usual_names == usual, share), usual)


def _spell(mess: Mess, table: str, rows: Positions, usual: str) -> None:
    """Gives the chosen rows the other spellings of their stage in turn."""
    spellings = [spelling for spelling, name in SPELLINGS.items() if name == usual]
    for place, spelling in enumerate(spellings):
        here = rows[place :: len(spellings)]
        mess.put(table, here, "stage", spelling)
        mess.note("stage-spelling", table, len(here), "accepted", ids=[spelling])


def _deal_fields(mess: Mess, rates: DirtRates, as_of: str) -> None:
    """What people leave out or leave stale."""
    deals = mess.tables["deals"]
    lost, is_open = deals["lost_reason"] != "", deals["closed_at"] == ""
    rows = mess.choose(lost, rates.missing_lost_reason)
    mess.put("deals", rows, "lost_reason", "")
    mess.note("missing-lost-reason", "deals", len(rows), "accepted")
    rows = mess.choose(is_open, rates.blank_amount, alone=True)
    mess.note("blank-amount-open", "deals", len(rows), "noted", ids=mess.put("deals", rows, "amount", ""))
    rows = mess.choose(lost, rates.zero_amount, alone=True)
    mess.note("zero-amount-lost", "deals", len(rows), "noted", ids=mess.put("deals", rows, "amount", "0"))
    _month_end_closes(mess, rates, as_of)
    _stale_closes(mess, rates, is_open, as_of)


def _month_end_closes(mess: Mess, rates: DirtRates, as_of: str) -> None:
    """Close dates set to the end of the month: later than the stage history says."""
    deals = mess.tables["deals"]
    closed_at = pd.to_datetime(deals["closed_at"].replace("", None))
    month_end = (closed_at + pd.offsets.MonthEnd(0)).dt.normalize()
    earlier = (closed_at.dt.normalize() < month_end) & (month_end <= pd.Timestamp(as_of))
    rows = mess.choose(earlier, _share(rates.month_end_close * closed_at.notna().sum(), earlier))
    ids = mess.put("deals", rows, "closed_at", _spelled(month_end.iloc[rows], "%Y-%m-%d 18:00:00"))
    mess.note("close-at-month-end", "deals", len(rows), "noted", ids=ids)


def _stale_closes(mess: Mess, rates: DirtRates, is_open: pd.Series, as_of: str) -> None:
    """Expected closes in the past on open deals; counted with those that went stale by themselves."""
    deals = mess.tables["deals"]
    fresh = is_open & (deals["expected_close_on"] >= as_of) & (deals["created_at"] < _days_before(as_of, 45))
    rows = mess.choose(fresh, _share(rates.stale_expected_close * is_open.sum(), fresh))
    days = pd.Series(mess.chance.integers(5, 40, len(rows)))
    stale = pd.Timestamp(as_of) - pd.to_timedelta(days, unit="D")
    mess.put("deals", rows, "expected_close_on", _spelled(stale, "%Y-%m-%d"))
    overdue = is_open & (deals["expected_close_on"] < as_of)
    ids = deals.loc[overdue, "deal_id"]
    mess.note("stale-expected-close", "deals", len(ids), "noted", ids=ids)


def _spellings_of_values(mess: Mess, rates: DirtRates) -> None:
    """Dates and amounts spelled in more than one way in one column."""
    deals = mess.tables["deals"]
    rows = mess.choose(deals["expected_close_on"] != "", rates.other_date_spelling * 2)
    expected = pd.to_datetime(deals["expected_close_on"])
    slashes, characters = rows[::2], rows[1::2]
    mess.put("deals", slashes, "expected_close_on", _spelled(expected.iloc[slashes], "%Y/%m/%d 10:00"))
    spelled = [f"{day.year}年{day.month}月{day.day}日" for day in expected.iloc[characters]]
    mess.put("deals", characters, "expected_close_on", spelled)
    mess.note("date-with-slashes", "deals", len(slashes), "accepted")
    mess.note("date-in-chinese", "deals", len(characters), "accepted")
    whole = deals["amount"].str.len() > 3
    rows = mess.choose(whole, rates.yuan_amounts, alone=True)
    yuan = [f"¥{int(amount):,}.00" for amount in deals["amount"].iloc[rows]]
    ids = mess.put("deals", rows, "amount", yuan)
    mess.note("amount-with-sign", "deals", len(rows), "accepted", ids=ids)


def _keys(mess: Mess, rates: DirtRates) -> None:
    """Keys without a counterpart: reported, never joined away."""
    everyone = mess.any_row("deals")
    rows = mess.choose(everyone, rates.without_rep)
    mess.note("deal-without-rep", "deals", len(rows), "accepted", ids=mess.put("deals", rows, "rep_id", ""))
    for product, misspelt in MISSPELT_PRODUCT.items():
        rows = mess.choose(mess.tables["deals"]["product"] == product, rates.product_mismatch)
        ids = mess.put("deals", rows, "product", misspelt)
        mess.note("unmatched-product", "deals", len(rows), "noted", ids=ids)
    rows = mess.choose(everyone, rates.unknown_account)
    ids = mess.put("deals", rows, "account_id", [f"A9{row % 1000:03d}" for row in rows])
    mess.note("unmatched-account", "deals", len(rows), "noted", ids=ids)
    is_call = mess.tables["activities"]["activity_type"] == "call"
    rows = mess.choose(is_call, rates.unmatched_activities)
    ids = mess.put("activities", rows, "deal_id", [f"D99{row % 1000:03d}" for row in rows])
    mess.note("unmatched-activity", "activities", len(rows), "noted", ids=ids)


def _share(wanted: float, rows: pd.Series) -> float:
    """The share of the marked rows that makes `wanted` of them, and never all."""
    return min(float(wanted) / max(int(rows.sum()), 1), 0.99)


def _days_before(day: str, days: int) -> str:
    return str((pd.Timestamp(day) - pd.Timedelta(days=days)).date())


def _spelled(stamps: pd.Series, form: str) -> list[str]:
    return [str(text) for text in stamps.dt.strftime(form)]
