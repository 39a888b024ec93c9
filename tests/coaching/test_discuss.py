"""Deals to discuss and lapses: the rule worked out on a handful of deals, and laws on generated books."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salescoach.coaching.discuss import DEAD, RISKS, WHY, deals_to_discuss, missing_said, why_said
from salescoach.coaching.lapses import lapses, waiting_leads
from salescoach.errors import Unavailable
from salescoach.metrics.lapses import asked_passages, customer_contacts
from salescoach.wording import words

_FILE = Path(__file__).resolve().parents[1] / "metrics" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("books_of_metrics", _FILE)
_BOOKS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BOOKS)
SEEDS = (1, 4)


def three_deals():
    """As of 30 June 2026.

    A  1,000 in prospect: expected close 10 June has passed, and was put off once on 1 June (from 1 to 10 June)
    B  9,000 in prospect: expected close in July, nothing wrong but no account
    C  5,000 in prospect: expected close in March, open for longer than 60 days without contact: a zombie
    """
    return _BOOKS.build(
        deals=[
            {"deal_id": "A", "amount": 1000.0, "rep_id": "R1", "expected_close_on": "2026-06-10", "account_id": "X"},
            {"deal_id": "B", "amount": 9000.0, "rep_id": "R1", "expected_close_on": "2026-07-20", "account_id": None},
            {"deal_id": "C", "amount": 5000.0, "rep_id": "R1", "expected_close_on": "2026-03-01", "account_id": "Y"},
        ],
        log={"A": "prospect 2026-05-01", "B": "prospect 2026-06-20", "C": "prospect 2026-01-01"},
        changes=[
            {"deal_id": "A", "at": "2026-06-01", "field": "expected_close_on", "old": "2026-06-01", "new": "2026-06-10"}
        ],
    )


def test_value_times_risk_times_movable():
    # A: 1 - (1 - .25)(1 - .12) = .34, movable 1: 1,000 × .34 = 340. B: missing alone, .12: 9,000 × .12 = 1,080
    # C: overdue_close alone, .25, a zombie: 5,000 × .25 × .15 = 187.5
    table = deals_to_discuss(three_deals())
    assert table["deal_id"].tolist() == ["B", "A", "C"]
    assert table["score"].tolist() == pytest.approx([1080.0, 340.0, 187.5])
    assert table["why"].tolist() == [("missing",), ("overdue_close", "pushed"), ("overdue_close",)]
    assert table["movable"].tolist() == [1.0, 1.0, DEAD]


def test_only_deals_with_a_sign_of_risk_are_chosen_but_all_are_listed():
    book = _BOOKS.build(
        deals=[{"deal_id": "A", "amount": 10.0, "rep_id": "R1", "expected_close_on": "2026-07-01"}],
        log={"A": "prospect 2026-06-29"},
    )
    assert deals_to_discuss(book).empty
    assert deals_to_discuss(book, None)["deal_id"].tolist() == ["A"]


def test_a_deal_without_an_amount_counts_as_the_median_one_and_shows_none():
    book = _BOOKS.build(
        deals=[
            {"deal_id": d, "amount": a, "rep_id": "R1", "expected_close_on": "2026-06-01"}
            for d, a in (("A", 100.0), ("B", None), ("C", 300.0), ("D", 200.0))
        ],
        log=dict.fromkeys("ABCD", "prospect 2026-05-20"),
    )
    table = deals_to_discuss(book, None).set_index("deal_id")
    assert table.at["B", "worth"] == 200.0 and np.isnan(table.at["B", "amount"])


def test_a_quote_that_the_stage_asks_for_is_missed_until_it_is_sent():
    def book(*activities):
        return _BOOKS.build(
            deals=[{"deal_id": "A", "amount": 1.0, "rep_id": "R1", "account_id": "X"}],
            log={"A": "prospect 2026-06-01, quote 2026-06-20"},
            activities=[
                {"activity_id": f"T{i}", "rep_id": "R1", "at": at, "activity_type": kind, "deal_id": deal}
                for i, (at, kind, deal) in enumerate(activities)
            ],
        )

    other = ("2026-06-02", "quote", None)  # quotes are recorded somewhere
    with_quote = book(("2026-06-25", "quote", "A"), other)
    assert deals_to_discuss(with_quote, None)["missing"].tolist() == [()]
    late = _BOOKS.build(
        deals=[
            {"deal_id": "A", "amount": 1.0, "rep_id": "R1", "account_id": "X"},
            {"deal_id": "B", "amount": 2.0, "rep_id": "R1", "account_id": "X"},
        ],
        log={"A": "prospect 2026-06-01, quote 2026-06-20", "B": "prospect 2026-06-01, quote 2026-06-20"},
        activities=[{"activity_id": "T", "rep_id": "R1", "at": "2026-06-25", "activity_type": "quote", "deal_id": "B"}],
    )
    table = deals_to_discuss(late, None).set_index("deal_id")
    assert table.at["A", "missing"] == ("quote",) and table.at["B", "missing"] == ()
    assert missing_said(table.loc["A"].to_dict(), words("zh")) == "报价"


@pytest.mark.parametrize("seed", SEEDS)
def test_all_open_deals_once_the_highest_score_first(seed):
    book = _BOOKS.busy_book(seed)
    table = deals_to_discuss(book, None)
    is_open = book.deals.loc[book.deals["outcome"] == "open", "deal_id"]
    assert sorted(table["deal_id"]) == sorted(is_open)
    assert table["score"].is_monotonic_decreasing
    assert table["risk"].between(0, 1).all() and table["movable"].between(DEAD, 1).all()
    assert np.allclose(table["score"], table["worth"] * table["risk"] * table["movable"])
    for row in table.to_dict("records"):
        assert row["risk"] == pytest.approx(1 - np.prod([1 - RISKS[key] for key in row["why"]]))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_days_beside_a_deal_are_those_a_plain_look_finds(seed):
    book = _BOOKS.busy_book(seed)
    rows = _BOOKS.plain_rows(book, "activities")
    for deal in deals_to_discuss(book, None).to_dict("records"):
        two_way = [
            r["at"].date()
            for r in rows
            if r["deal_id"] == deal["deal_id"]
            and (r["activity_type"].lower() in ("meeting", "demo") or r["direction"] == "in")
            and r["activity_type"] != "note"
            and r["done"] is not False
            and not (r["done"] is None and r["due_on"] is not None and r["due_on"] > book.as_of_on)
        ]
        shown = deal["last_contact_on"]
        assert (None if pd.isna(shown) else shown.date()) == (max(two_way) if two_way else None)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reasons_are_said_in_words(language):
    book = three_deals()
    said = [why_said(book, row, words(language)) for row in deals_to_discuss(book).to_dict("records")]
    assert [len(phrases) for phrases in said] == [1, 2, 1]
    assert not any("{" in phrase or "nan" in phrase for phrases in said for phrase in phrases)
    assert set(WHY) == set(RISKS)


def test_a_book_without_open_deals_has_nothing_to_discuss():
    book = _BOOKS.build(deals=[{"deal_id": "A", "outcome": "won", "closed_at": "2026-01-01"}])
    assert deals_to_discuss(book).empty and deals_to_discuss(book, None).empty


# --- lapses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_lapses_that_can_be_made_good_come_first_and_none_twice(seed):
    book = _BOOKS.busy_book(seed)
    table, untold = lapses(book, None, most=500)
    assert table["open"].astype(int).is_monotonic_decreasing
    assert not table.duplicated(["kind", "record"]).any()
    few, _ = lapses(book, None, most=5)
    pd.testing.assert_frame_equal(few, table.head(5))
    missed, forgotten = asked_passages(book), customer_contacts(book)
    assert set(table.loc[table["kind"] == "quote", "record"]) == set(
        missed.loc[missed["verdict"].isin(["late", "never"]), "deal_id"]
    )
    assert set(table.loc[table["kind"] == "followup", "record"]) == set(
        forgotten.loc[forgotten["verdict"] == "forgotten", "deal_id"]
    )
    assert not untold


def test_leads_that_were_put_aside_do_not_wait():
    leads = [
        {"lead_id": lead, "created_at": "2026-06-01", "rep_id": "R1", "status": status, "first_response_at": None}
        for lead, status in (("L1", "new"), ("L2", "Disqualified"), ("L3", "无效"), ("L4", "new"))
    ]
    leads[-1]["first_response_at"] = "2026-06-01 01:00"
    book = _BOOKS.build(deals=[{"deal_id": "A"}], leads=leads)
    waiting, aside = waiting_leads(book)
    assert waiting["lead_id"].tolist() == ["L1"] and aside == 2
    table, untold = lapses(book)
    assert table["record"].tolist() == ["L1"] and set(untold) == {"quote", "followup"}


def test_without_leads_the_reason_is_said():
    with pytest.raises(Unavailable, match="leads"):
        waiting_leads(_BOOKS.build(deals=[{"deal_id": "A"}]))
