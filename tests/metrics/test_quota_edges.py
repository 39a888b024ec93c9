"""Targets by days: ramp, leave, whose target counts, other kinds of target, and a period that is still running."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import counted_rows, measure, quota_attainment
from salescoach.metrics.targets import prorated_targets
from salescoach.sources import load_book

Build = Callable[..., Book]


def goal(rep: str | None, start: str, end: str, value: float, **more: Any) -> dict[str, Any]:
    return {"rep_id": rep, "metric": "won_amount", "start_on": start, "end_on": end, "value": value, **more}


def win(key: str, rep: str | None, on: str, amount: float | None, **more: Any) -> dict[str, Any]:
    return {"deal_id": key, "rep_id": rep, "outcome": "won", "closed_at": on, "amount": amount, **more}


def person(rep: str, **more: Any) -> dict[str, Any]:
    return {"rep_id": rep, "name": f"Name {rep}", "team": "East", "manager": "M", **more}


def only(table: pd.DataFrame) -> pd.Series:
    assert len(table) == 1
    return table.iloc[0]


def test_a_newcomers_target_grows_day_by_day(book_of: Build) -> None:
    # 31.00 for January, 1.00 a day. R1 starts on the 22nd with a ramp of four days: 1/4 + 2/4 + 3/4 + 1 = 2.5 for the
    # 22nd to 25th, then six whole days to the 31st: 8.5.
    book = book_of(
        [win("1", "R1", "2026-01-25", 4.25)],
        reps=[person("R1", start_on="2026-01-22", ramp_days=4)],
        targets=[goal("R1", "2026-01-01", "2026-01-31", 31.0)],
    )
    row = only(quota_attainment(book, "rep", "2026-01"))
    assert (row["target"], row["value"]) == pytest.approx((8.5, 0.5))
    # 24 to 27 January: 3/4 + 1 + 1 + 1
    assert only(quota_attainment(book, "rep", "2026-01-24..2026-01-27"))["target"] == pytest.approx(3.75)


def test_a_ramp_without_a_first_day_is_no_ramp(book_of: Build) -> None:
    book = book_of(
        [win("1", "R1", "2026-01-25", 1.0)],
        reps=[person("R1", ramp_days=90)],
        targets=[goal("R1", "2026-01-01", "2026-01-31", 31.0)],
    )
    assert only(quota_attainment(book, "rep", "2026-01"))["target"] == pytest.approx(31.0)


def test_days_on_leave_have_no_target(book_of: Build) -> None:
    # Leave 5 to 10 and, overlapping, 8 to 12 January: 8 days of 31. And 30 January to 3 February: 2 days in January.
    book = book_of(
        [win("1", "R1", "2026-01-25", 10.5)],
        reps=[person("R1")],
        leave=[
            {"rep_id": "R1", "start_on": a, "end_on": b, "reason": "parental leave"}
            for a, b in (("2026-01-05", "2026-01-10"), ("2026-01-08", "2026-01-12"), ("2026-01-30", "2026-02-03"))
        ],
        targets=[goal("R1", "2026-01-01", "2026-01-31", 31.0)],
    )
    row = only(quota_attainment(book, "rep", "2026-01"))
    assert (row["target"], row["value"]) == pytest.approx((21.0, 0.5))


def test_somebody_on_leave_all_the_time_has_no_target_and_no_attainment(book_of: Build) -> None:
    book = book_of(
        [win("1", "R2", "2026-01-25", 10.0)],
        reps=[person("R1"), person("R2")],
        leave=[{"rep_id": "R1", "start_on": "2025-12-01", "end_on": "2026-02-01"}],
        targets=[goal(r, "2026-01-01", "2026-01-31", 31.0) for r in ("R1", "R2")],
    )
    rows = measure(book, "quota_attainment", "rep", "2026-01").to_dict()["rows"]
    assert [(r["target"], r["value"], r["pace"]) for r in rows] == [
        (None, None, None),
        (31.0, pytest.approx(10 / 31), pytest.approx(10 / 31)),
    ]


def test_a_running_period_has_a_pace(book_of: Build) -> None:
    # The data end on 15 February 2026; the quarter has 90 days, 46 of them have passed: 90.00 asks for 46.00 by then.
    book = book_of(
        [win("1", "R1", "2026-02-01", 23.0)],
        as_of="2026-02-15",
        targets=[goal("R1", "2026-01-01", "2026-03-31", 90.0)],
    )
    row = only(quota_attainment(book, "rep", "2026Q1"))
    found = row[["target", "value", "to_date", "pace"]].tolist()
    assert found == pytest.approx([90.0, 23 / 90, 46.0, 0.5])
    past = only(quota_attainment(book, "rep", "2026-01-01..2026-02-15"))
    assert (past["target"], past["to_date"]) == pytest.approx((46.0, 46.0))


def test_targets_change_in_the_middle_of_a_month(book_of: Build) -> None:
    # 1 to 10 January 1.00 a day, 11 to 31 January 2.00 a day; 8 to 13 January: 3 * 1 + 3 * 2 = 9.
    book = book_of(
        [win("1", "R1", "2026-01-09", 9.0)],
        targets=[goal("R1", "2026-01-01", "2026-01-10", 10.0), goal("R1", "2026-01-11", "2026-01-31", 42.0)],
    )
    row = only(quota_attainment(book, "rep", "2026-01-08..2026-01-13"))
    assert (row["target"], row["value"]) == pytest.approx((9.0, 1.0))


def test_a_target_for_everybody_replaces_the_sum_only_for_the_whole_and_only_on_its_days(book_of: Build) -> None:
    # January for everybody 100.00; reps 31.00 each for January and 28.00 each for February.
    targets = [goal(None, "2026-01-01", "2026-01-31", 100.0)]
    targets += [goal(r, "2026-01-01", "2026-01-31", 31.0) for r in ("R1", "R2")]
    targets += [goal(r, "2026-02-01", "2026-02-28", 28.0) for r in ("R1", "R2")]
    book = book_of([win("1", "R1", "2026-01-09", 9.0)], reps=[person("R1"), person("R2")], targets=targets)
    assert only(quota_attainment(book, "", "2026-01"))["target"] == pytest.approx(100.0)
    assert only(quota_attainment(book, "team", "2026-01"))["target"] == pytest.approx(62.0)
    assert only(quota_attainment(book, ""))["target"] == pytest.approx(156.0)
    assert quota_attainment(book, "month")["target"].tolist() == pytest.approx([100.0, 56.0])


def test_a_team_target_of_one_quarter_leaves_the_reps_targets_of_the_next(book_of: Build) -> None:
    targets = [goal("R1", "2026-01-01", "2026-03-31", 40.0), goal("R1", "2026-04-01", "2026-06-30", 50.0)]
    targets += [goal(None, "2026-01-01", "2026-03-31", 80.0, team="East")]
    book = book_of([win("1", "R1", "2026-01-09", 9.0)], reps=[person("R1")], targets=targets)
    assert only(quota_attainment(book, "team"))["target"] == pytest.approx(130.0)
    assert quota_attainment(book, "team,quarter")["target"].tolist() == pytest.approx([80.0, 50.0])


# --- other kinds of target ------------------------------------------------------------------------


@pytest.fixture
def kinds(book_of: Build) -> Book:
    deals = [
        win("1", "R1", "2026-01-10", 10.0, account_id="A", created_at="2025-12-01"),
        win("2", "R1", "2026-01-20", 20.0, account_id="A", created_at="2026-01-05"),
        win("3", "R2", "2026-01-30", 30.0, account_id="B", created_at="2026-01-06"),
        {"deal_id": "4", "rep_id": "R2", "created_at": "2026-01-07", "amount": 40.0, "stage": "quote"},
        {"deal_id": "5", "rep_id": "R2", "created_at": "2026-01-07", "amount": 99.0, "outcome": "void"},
    ]
    made = [goal(r, "2026-01-01", "2026-01-31", 4.0) for r in ("R1", "R2")]
    named = [{**t, "metric": kind} for t in made for kind in ("won", " New_Customers", "pipeline_created")]
    return book_of(deals, targets=named)


@pytest.mark.parametrize(
    ("of", "achieved", "n"),
    [
        ("won", {"R1": 2.0, "R2": 1.0}, 3),
        ("new_customers", {"R1": 1.0, "R2": 1.0}, 2),  # R1's second win is of the same account
        ("pipeline_created", {"R1": 20.0, "R2": 70.0}, 3),  # deal 1 is older, deal 5 void
    ],
)
def test_other_targets(kinds: Book, of: Any, achieved: dict[str, float], n: int) -> None:
    table = quota_attainment(kinds, "rep", "2026-01", of=of).set_index("rep_id")
    assert table[of].to_dict() == achieved
    assert table["value"].to_dict() == pytest.approx({rep: v / 4 for rep, v in achieved.items()})
    assert (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()
    assert table["n"].sum() == n == len(counted_rows(kinds, "quota_attainment", "2026-01", of=of))


def test_a_kind_without_targets_says_so(kinds: Book) -> None:
    with pytest.raises(Unavailable, match="no target with metric `won_amount` lies in the period"):
        quota_attainment(kinds, "rep", "2026-01")


def test_an_unknown_kind_is_named_with_the_nearest(kinds: Book) -> None:
    wrong: Any = "won_ammount"
    with pytest.raises(UsageError, match="Did you mean 'won_amount'"):
        quota_attainment(kinds, of=wrong)


def test_numbers_are_no_money_and_know_no_currency(book_of: Build) -> None:
    deals = [win("1", "R1", "2026-01-10", 1.0, currency="EUR"), win("2", "R1", "2026-01-10", 1.0, currency="CNY")]
    book = book_of(deals, targets=[{**goal("R1", "2026-01-01", "2026-01-31", 4.0), "metric": "won"}])
    assert only(quota_attainment(book, "rep", of="won"))["value"] == 0.5


# --- a wide table ---------------------------------------------------------------------------------

WIDE = """
[deals]
from = "deals.csv"
[deals.columns]
deal_id = "deal_id"
rep_id = "rep_id"
stage = "stage"
closed_at = "closed_at"
amount = "amount"
[targets]
from = "wide.csv"
[targets.columns]
rep_id = "rep"
[targets.fixed]
metric = "won_amount"
[targets.unpivot]
year = "year"
months = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]
"""


def test_targets_by_month_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(WIDE, encoding="utf-8")
    (tmp_path / "deals.csv").write_text("deal_id,rep_id,stage,closed_at,amount\nD1,R1,Won,2026-02-10,56\n")
    months = ",".join(map(str, range(1, 13)))
    (tmp_path / "wide.csv").write_text(f"rep,year,{months}\nR1,2026,31,28,,10,,,,,,,,\n")
    book = load_book(tmp_path, as_of="2026-04-30")
    table = quota_attainment(book, "quarter")
    assert table["target"].tolist() == [59.0, 10.0] and table["value"].tolist() == pytest.approx([56 / 59, 0.0])


# --- a slow second way ----------------------------------------------------------------------------


def awkward(book: Book, seed: int) -> Book:
    """The book with ramps, leave, and targets of people, teams and everybody that overlap in odd ways."""
    chance = np.random.default_rng(seed)
    people = book.table("reps").assign(ramp_days=lambda r: chance.choice([np.nan, 0.0, 30.0, 91.5], len(r)))

    def span(longest: int) -> tuple[pd.Timestamp, pd.Timestamp]:
        start = pd.Timestamp("2025-01-01") + pd.Timedelta(days=int(chance.integers(0, 500)))
        return start, start + pd.Timedelta(days=int(chance.integers(0, longest)))

    leave = []
    for rep in chance.choice(["R1", "R2", "R3", "R4"], 12):
        leave.append((str(rep), *span(60)))
    targets = []
    for rep, team in [
        *((r, None) for r in ("R1", "R2", "R3", "R4") * 2),
        (None, "North"),
        (None, "South"),
        (None, None),
    ]:
        targets.append((rep, team, "won_amount", *span(300), float(chance.integers(1, 999))))
    frames = {
        "leave": pd.DataFrame(leave, columns=["rep_id", "start_on", "end_on"]),
        "targets": pd.DataFrame(targets, columns=["rep_id", "team", "metric", "start_on", "end_on", "value"]),
    }
    for name, frame in frames.items():
        texts = {c: "str" for c in ("rep_id", "team", "metric") if c in frame}
        frames[name] = frame.astype({**texts, "start_on": "datetime64[us]", "end_on": "datetime64[us]"})
    return replace(book, tables={**book.tables, "reps": people, **frames})


def day_by_day(book: Book, by: str, first: date, last: date) -> dict[str, float]:
    """Targets added up one day at a time."""
    people = {r["rep_id"]: r for r in book.table("reps").to_dict("records")}
    leave = book.table("leave").to_dict("records")
    targets = book.table("targets").to_dict("records")
    for target in targets:
        for column in ("rep_id", "team"):
            target[column] = None if pd.isna(target[column]) else target[column]
    sums: dict[str, float] = defaultdict(float)
    for n in range((last - first).days + 1):
        on = pd.Timestamp(first + timedelta(days=n))
        live = [t for t in targets if t["start_on"] <= on <= t["end_on"]]
        team_set = {t["team"] for t in live if t["rep_id"] is None}
        for target in live:
            rep, team, weight = target["rep_id"], target["team"], 1.0
            if rep is not None:
                row = people[rep]
                team = row["team"]
                if on < row["start_on"] or on > row["end_on"]:
                    continue
                if any(x["rep_id"] == rep and x["start_on"] <= on <= x["end_on"] for x in leave):
                    continue
                if row["ramp_days"] > 0:
                    weight = min(1.0, ((on - row["start_on"]).days + 1) / row["ramp_days"])
            if by == "rep_id" and rep is None:
                continue
            if by == "team" and (team is None or (rep is not None and team in team_set)):
                continue
            if by == "" and ((None in team_set and team is not None) or (rep is not None and team in team_set)):
                continue
            key = {"rep_id": rep, "team": team, "": ""}[by]
            sums[key] += weight * target["value"] / ((target["end_on"] - target["start_on"]).days + 1)
    return {key: value for key, value in sums.items() if value > 0}


@pytest.mark.parametrize("seed", range(12))
def test_targets_equal_those_added_up_day_by_day(seed: int, generated: Build) -> None:
    book = awkward(generated(seed), seed)
    periods = {"2025": (date(2025, 1, 1), date(2025, 12, 31)), "2025Q4": (date(2025, 10, 1), date(2025, 12, 31))}
    for period, (first, last) in periods.items():
        for by, level in (("rep_id", "rep"), ("team", "team"), ("", "all")):
            found = prorated_targets(book, period, "won_amount", level)
            sums = {"": found["target"].sum()} if not by else found.groupby(by)["target"].sum().to_dict()
            assert {k: v for k, v in sums.items() if v > 0} == pytest.approx(day_by_day(book, by, first, last))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(2, 6))])
def test_the_targets_of_the_months_add_up_to_those_of_the_whole(seed: int, generated: Build) -> None:
    book = awkward(generated(seed), seed)
    for by in ("rep", "team", ""):
        groups = [by] if by else []
        whole = quota_attainment(book, groups)
        parts = quota_attainment(book, [*groups, "month"])
        for column in ("n", "won_amount", "target", "to_date"):
            assert parts[column].sum() == pytest.approx(whole[column].sum()), (by, column)
