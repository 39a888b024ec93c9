"""What must hold for any book."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import METRICS, counted_rows, kaplan_meier, measure, wilson
from salescoach.metrics.visits import passages, visits

Build = Callable[..., Book]
GROUPS = (None, "rep", "manager", "quarter", "lead_source", "team,fiscal_year")
PERIODS = (None, "2025Q3", "1999")
ADDED_UP = {
    "conformance": ["n", "broken", "not_yet", "unknown"],
    "win_rate": ["n", "won", "lost", "void"],
    "new_customers": ["n", "returning"],
    "sales_cycle": ["n", "decided", "won", "open"],
    "lead_conversion": ["n", "converted", "immature"],
    "response_time": ["n", "answered", "unanswered"],
    "stage_flow": ["n", "deeper", "lost", "stuck", "skipped"],
    "funnel": ["n", "reached", "open"],
    "pipeline": ["n", "without_amount", "older_than_typical"],
    "quota_attainment": ["n"],
    "win_curve": ["n", "won", "lost", "undecided", "too_young"],
    "sales": ["n", "without_amount"],
    "discount": ["n", "above_list", "without_list_price", "without_amount"],
    "customer_value": ["n", "repeat"],
    "pipeline_created": ["n", "without_amount"],
    "velocity": ["n"],
    "stalled": ["n", "stalled", "by_age", "by_silence", "unknown"],
    "zombies": ["n", "zombies", "overdue", "outlived", "unknown", "without_amount"],
    "missed_quotes": ["n", "missed", "late", "never", "passed_over", "not_yet", "unknown"],
    "forgotten_followups": ["n", "forgotten", "waiting", "unknown"],
    "overdue_next_steps": ["n", "overdue", "in_future", "without_next_step"],
    "activity_quality": ["n", "without_contact", "n_open", "detail_contacts"],
    "slips": ["n", "pushed", "pushes", "slipped", "undated"],
    "pipeline_bridge": ["n", "without_amount"],
    "coverage": ["n", "past_n", "past_won", "without_amount"],
    "workload": ["n", "deals_told", "neglected", "stalled", "zombies"],
}


@pytest.fixture(scope="session", params=[0, *(pytest.param(i, marks=pytest.mark.nightly) for i in (1, 2))])
def book(request: pytest.FixtureRequest, generated: Build) -> Book:
    return generated(100 + request.param)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_parts_add_up_to_the_whole_and_shares_stay_within_0_and_1(name: str, book: Book) -> None:
    wholes = {period: measure(book, name, "", period) for period in PERIODS}
    for by, period in product(GROUPS, PERIODS):
        answer, whole = measure(book, name, by, period), wholes[period]
        if answer.table is None or whole.table is None:
            assert answer.because
            continue
        for column in ADDED_UP[name]:
            assert answer.table[column].sum() == whole.table[column].sum(), (by, period, column)
        if METRICS[name].unit == "share":
            for column in ("value", "low", "high"):
                assert answer.table[column].dropna().between(0, 1).all()
        if name != "pipeline":
            low, value, high = (answer.table[c] for c in ("low", "value", "high"))
            assert not ((low > value + 1e-9) | (high < value - 1e-9)).any(), (by, period)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_nothing_unknown_is_a_number(name: str, book: Book) -> None:
    for by, period in product(GROUPS, PERIODS):
        content = measure(book, name, by, period).to_dict()
        json.dumps(content, allow_nan=False)
        for row in content["rows"]:
            if row["n"] == 0 and METRICS[name].unit in ("share", "days", "hours"):
                assert row["value"] is None and row["low"] is None and row["high"] is None


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_book_stays_as_it_is_and_the_order_of_rows_does_not_matter(name: str, generated: Build) -> None:
    book = generated(7)
    before = {table: frame.copy(deep=True) for table, frame in book.tables.items()}
    fresh = replace(book)
    expected = measure(fresh, name, "team,quarter").to_dict()
    for table, frame in before.items():
        pd.testing.assert_frame_equal(frame, fresh.tables[table])
    deals = book.table("deals").sample(frac=1, random_state=1)
    assert measure(replace(book, tables={**book.tables, "deals": deals}), name, "team,quarter").to_dict() == expected


def test_groups_keep_their_rows_in_any_order(book: Book) -> None:
    for name in sorted(METRICS):
        one, other = measure(book, name, "team,quarter").table, measure(book, name, "quarter,team").table
        if one is None or other is None:
            continue
        keys = [c for c in ("team", "quarter", "pipeline", "stage", "within_days") if c in one]
        pd.testing.assert_frame_equal(
            one.sort_values(keys, ignore_index=True), other[one.columns].sort_values(keys, ignore_index=True)
        )


def test_every_entry_is_left_once_or_not_yet(book: Book) -> None:
    stays = visits(book)
    assert (stays["exited_at"].isna() == (stays["exit"] == "still")).all()
    assert (stays["exit"] == "handed_off").sum() == (stays["late"] >= 0).sum()
    history = book.table("stage_history")
    working = (~history["stage"].isin(["won", "lost", "void"])).sum()
    assert (stays["late"] < 0).sum() == working


def test_a_deal_passes_each_stage_up_to_its_furthest_once(book: Book) -> None:
    gone = passages(book)
    assert not gone.duplicated(["deal", "order"]).any()
    by_deal = gone.groupby("deal")["order"]
    assert (by_deal.size() == by_deal.max() + 1).all()


def test_the_funnel_never_rises(book: Book) -> None:
    table = measure(book, "funnel", "rep").table
    assert table is not None
    assert (table.groupby("rep_id")["reached"].diff().dropna() <= 0).all()


def test_a_slice_has_the_figures_of_its_rep(generated: Build) -> None:
    book = generated(9, size=120)
    for name in ("win_rate", "lead_conversion", "response_time", "pipeline"):
        whole = measure(book, name, "rep").table
        part = measure(book.for_rep("R4"), name, "rep").table
        assert whole is not None and part is not None
        if name != "win_rate":  # closed deals stay with the owner at the close, who is "(other)" in a slice
            assert whole.loc[whole["rep_id"] == "R4", "n"].sum() == part.loc[part["rep_id"] == "R4", "n"].sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_contains_its_share_and_narrows_with_n(k: int, more: int) -> None:
    n = k + more
    value, low, high = (float(part) for part in wilson(k, n))
    if n:
        assert 0 <= low <= value <= high <= 1
        _, low2, high2 = wilson(k * 4, n * 4)
        assert high2 - low2 < high - low


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 5), st.integers(0, 5)),
        min_size=1,
        max_size=15,
        unique_by=lambda t: t[0],
    )
)
def test_a_survival_curve_falls_from_1_towards_0(units: list[tuple[int, int, int]]) -> None:
    curve = kaplan_meier(*zip(*units, strict=True))
    assert (np.diff(curve.survival) < 0).all() and ((curve.survival >= -1e-12) & (curve.survival < 1)).all()


def test_every_metric_says_what_it_is() -> None:
    for name, found in METRICS.items():
        assert found.name == name and found.definition.endswith(".") and found.basis and found.interval and found.unit
        assert found.compute.__doc__ and "Returns one row per" in found.compute.__doc__


def test_a_metric_without_its_tables_says_which(generated: Build) -> None:
    book = generated(1)
    poor = replace(book, tables={"deals": book.table("deals")})
    reasons = {name: measure(poor, name).because for name in METRICS}
    assert reasons["stage_flow"] == "the book has no table `stage_history`"
    assert reasons["quota_attainment"] == "the book has no table `targets`"
    assert reasons["win_rate"] is None and reasons["pipeline"] is None
    with pytest.raises(Unavailable, match="stage_history"):
        counted_rows(poor, "funnel")
