"""Each metric on books of a few deals, the answer worked out in the comment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import LawBroken, Unavailable, UsageError
from salescoach.metrics import (
    METRICS,
    counted_rows,
    funnel,
    lead_conversion,
    measure,
    new_customers,
    pipeline,
    quota_attainment,
    response_time,
    sales_cycle,
    stage_flow,
    visits,
    win_rate,
)
from salescoach.metrics.visits import passages

Build = Callable[..., Book]
PEOPLE = [
    {"rep_id": "R1", "name": "Li", "team": "East", "manager": "M"},
    {"rep_id": "R2", "name": "Ana", "team": "East", "manager": "M"},
]


def decided(*parts: tuple[str | None, str, int]) -> list[dict[str, Any]]:
    """(rep, outcome, how many) -> deals closed in March 2026."""
    return [
        {
            "deal_id": f"{rep}-{outcome}-{i}",
            "rep_id": rep,
            "outcome": outcome,
            "created_at": "2026-01-01",
            "closed_at": None if outcome == "open" else "2026-03-10",
        }
        for rep, outcome, n in parts
        for i in range(n)
    ]


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


# --- win rate -------------------------------------------------------------------------------------


def test_win_rate_of_five_deals(book_of: Build) -> None:
    # 2 won, 1 lost; an open and a void deal count on neither side: 2 / 3
    row = only(win_rate(book_of(decided(("R1", "won", 2), ("R1", "lost", 1), ("R1", "open", 1), ("R1", "void", 1)))))
    assert (row["n"], row["won"], row["lost"], row["void"]) == (3, 2, 1, 1)
    assert row["value"] == pytest.approx(2 / 3)


def test_wrong_answer_1_a_rep_who_never_lost_has_100_percent_and_a_wide_interval(book_of: Build) -> None:
    # Wilson for 3 of 3: low = 3 / (3 + 3.8415) = .4385
    row = only(win_rate(book_of(decided(("R1", "won", 3)))))
    assert (row["value"], row["n"], row["high"]) == (1.0, 3, 1.0) and row["low"] == pytest.approx(0.4385, abs=1e-4)


def test_an_export_of_won_deals_only_has_no_win_rate_but_one_reps_slice_may_have_100_percent(book_of: Build) -> None:
    book = book_of(decided(("R1", "won", 10)))
    answer = measure(book, "win_rate")
    assert not answer.available and str(answer.because).startswith("not one deal in the data is lost")
    with pytest.raises(Unavailable, match="won deals only"):
        counted_rows(book, "win_rate")
    whole = book_of(decided(("R1", "won", 10), ("R2", "lost", 1)))
    table = measure(whole.for_rep("R1"), "win_rate", "").table
    assert table is not None and only(table)["value"] == 1.0


def test_wrong_answer_2_the_team_rate_is_pooled_and_no_mean_of_rates(book_of: Build) -> None:
    # R1 1 of 1, R2 1 of 9: pooled 2 / 10, while the mean of the rates would be 56 %
    book = book_of(decided(("R1", "won", 1), ("R2", "won", 1), ("R2", "lost", 8)), reps=PEOPLE)
    assert only(win_rate(book, "team"))["value"] == pytest.approx(0.2)


def test_wrong_answer_8_win_rate_is_not_won_over_created(book_of: Build) -> None:
    # 1 won, 1 lost, 8 still open: 1 / 2
    assert only(win_rate(book_of(decided(("R1", "won", 1), ("R1", "lost", 1), ("R1", "open", 8)))))["value"] == 0.5


def test_wrong_answer_9_amount_and_count_have_the_same_date(book_of: Build) -> None:
    deals = [
        {
            "deal_id": "1",
            "rep_id": "R1",
            "outcome": "won",
            "created_at": "2025-12-01",
            "closed_at": "2026-01-20",
            "amount": 70.0,
        }
    ]
    row = only(win_rate(book_of(deals), "month"))
    assert (row["month"], row["won"], row["won_amount"]) == ("2026-01", 1, 70.0)
    assert METRICS["win_rate"].basis == "day of the decision"


def test_deals_without_rep_or_close_date_keep_a_row(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "rep_id": None, "outcome": "won"},
        {"deal_id": "2", "rep_id": "R1", "outcome": "lost", "closed_at": "2026-03-01"},
    ]
    book = book_of(deals)
    assert win_rate(book)["rep"].tolist() == ["R1", "(unassigned)"]
    assert win_rate(book, "quarter")["quarter"].tolist() == ["2026Q1", "(undated)"]
    assert win_rate(book, "", "2026")["n"].tolist() == [1]  # what has no date lies in no period


def test_reps_without_deals_appear_with_null_not_zero(book_of: Build) -> None:
    table = win_rate(book_of(decided(("R1", "won", 1)), reps=PEOPLE)).set_index("rep_id")
    assert table.loc["R2", "n"] == 0 and pd.isna(table.loc["R2", "value"])
    row = next(
        r
        for r in measure(book_of(decided(("R1", "won", 1)), reps=PEOPLE), "win_rate").to_dict()["rows"]
        if r["rep_id"] == "R2"
    )
    assert row["value"] is None and row["low"] is None


def test_currencies_are_never_added_up(book_of: Build) -> None:
    deals = [
        {"deal_id": c, "outcome": "won", "closed_at": "2026-03-01", "amount": 10.0, "currency": c}
        for c in ("CNY", "USD")
    ]
    table = win_rate(book_of(deals), "")
    assert table["currency"].tolist() == ["CNY", "USD"] and table["won_amount"].tolist() == [10.0, 10.0]
    assert win_rate(book_of(deals), "currency")["won"].tolist() == [1, 1]


def test_yen_have_no_minor_unit(book_of: Build) -> None:
    book = book_of([{"deal_id": "1", "outcome": "won", "closed_at": "2026-03-01", "amount": 1.0, "currency": "JPY"}])
    assert only(win_rate(book, ""))["won_amount"] == 100.0  # 100 minor units of which one is one yen


def test_amounts_that_nobody_entered_are_null(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "rep_id": "R1", "outcome": "won", "closed_at": "2026-03-01", "amount": None},
        {"deal_id": "2", "rep_id": "R2", "outcome": "won", "closed_at": "2026-03-01", "amount": 5.0},
    ]
    table = win_rate(book_of(deals)).set_index("rep_id")
    assert pd.isna(table.loc["R1", "won_amount"]) and table.loc["R2", "won_amount"] == 5.0
    assert table.loc["R2", "lost_amount"] == 0.0  # lost nothing, so the amount lost is known


def test_the_owner_at_the_close_is_credited(book_of: Build) -> None:
    deals = [{"deal_id": "1", "rep_id": "R2", "outcome": "won", "created_at": "2026-01-01", "closed_at": "2026-03-10"}]
    changes = [{"deal_id": "1", "at": "2026-04-01", "field": "rep_id", "old": "R1", "new": "R2"}]
    table = win_rate(book_of(deals, changes=changes)).set_index("rep_id")
    assert table.loc["R1", "won"] == 1 and table.loc["R2", "won"] == 0


def test_an_empty_period_is_null(book_of: Build) -> None:
    row = measure(book_of(decided(("R1", "won", 1))), "win_rate", "", "1999").to_dict()["rows"][0]
    assert row["n"] == 0 and row["value"] is None and row["high"] is None


# --- visits, stage flow, funnel -------------------------------------------------------------------


def test_the_kinds_of_exit_of_a_deal_with_everything(book_of: Build) -> None:
    log = {
        "1": "prospect 2026-01-01, qualified 2026-01-05, prospect 2026-01-07, quote 2026-01-08, lost 2026-01-20, "
        "quote 2026-02-01, won 2026-02-05",
        "2": "prospect 2026-01-01",
        "3": "prospect 2026-01-01, void 2026-01-02",
    }
    assert visits(book_of(log=log))["exit"].tolist() == ["advanced", "back", "advanced", "lost", "won", "still", "void"]


def test_a_handed_over_deal_leaves_one_owner_and_comes_to_the_next(book_of: Build) -> None:
    # R1 holds the stage 4 days and hands it over; R2 takes over at day 4 and advances at day 9: the age runs on.
    changes = [{"deal_id": "1", "at": "2026-01-05", "field": "rep_id", "old": "R1", "new": "R2"}]
    book = book_of(
        [{"deal_id": "1", "rep_id": "R2"}], {"1": "prospect 2026-01-01, qualified 2026-01-10"}, changes=changes
    )
    table = visits(book)
    assert table[["rep_id", "exit"]].to_numpy().tolist() == [["R1", "handed_off"], ["R2", "advanced"], ["R2", "still"]]
    assert (table["late"] >= 0).tolist() == [False, True, False] and table["first"].tolist() == [True, False, True]
    credit = passages(book)
    assert credit.loc[credit["stage"] == "prospect", "rep_id"].tolist() == ["R2"]  # the owner at the exit


def test_a_stage_that_the_process_does_not_have_is_never_guessed(book_of: Build) -> None:
    book = book_of(log={"1": "prospect 2026-01-01, dreaming 2026-01-02"})
    with pytest.raises(LawBroken, match="dreaming"):
        visits(book)


def test_stage_flow_of_five_deals(book_of: Build) -> None:
    # In quote: 1 and 2 went on, 3 was lost, 4 has stood there for 150 days, 5 is new: 2 / (2 + 1 + 1)
    log = {
        "1": "quote 2026-01-01, contract 2026-01-03, won 2026-01-09",
        "2": "quote 2026-01-01, contract 2026-01-07",
        "3": "quote 2026-01-01, lost 2026-01-20",
        "4": "quote 2026-01-31",
        "5": "quote 2026-06-20",
    }
    row = stage_flow(book_of(log=log)).set_index("stage").loc["quote"]
    assert row[["n", "deeper", "lost", "stuck", "still"]].tolist() == [4, 2, 1, 1, 2]
    assert row["value"] == 0.5 and row["mean_days_advanced"] == 4.0  # (2 + 6) / 2


def test_a_skipped_stage_counts_as_reached_touched_or_strict(book_of: Build) -> None:
    # 1 goes step by step, 2 jumps from prospect to quote, 3 is lost in prospect.
    log = {
        "1": "prospect 2026-01-01, qualified 2026-01-05, quote 2026-01-09",
        "2": "prospect 2026-01-01, quote 2026-01-05",
        "3": "prospect 2026-01-01, lost 2026-01-05",
    }
    book = book_of(log=log)
    rates = {rule: stage_flow(book, rule=rule).set_index("stage") for rule in ("reached", "touched", "strict")}
    assert rates["reached"].loc["qualified", ["n", "deeper", "skipped"]].tolist() == [2, 2, 1]
    assert rates["touched"].loc["qualified", ["n", "deeper", "skipped"]].tolist() == [1, 1, 0]
    assert rates["reached"].loc["prospect", "value"] == pytest.approx(2 / 3)
    assert rates["strict"].loc["prospect", ["n", "deeper", "lost"]].tolist() == [3, 1, 1]
    with pytest.raises(UsageError, match="Did you mean 'strict'"):
        stage_flow(book, rule="strickt")


def test_a_deal_that_moved_back_went_deeper_once(book_of: Build) -> None:
    # qualified: deeper on the first way to quote; one move back out of quote; from first to first deeper entry 4 days
    log = {"1": "qualified 2026-01-01, quote 2026-01-05, qualified 2026-01-08, quote 2026-01-20, lost 2026-01-25"}
    table = stage_flow(book_of(log=log)).set_index("stage")
    assert table.loc["qualified", ["n", "deeper", "back"]].tolist() == [1, 1, 0]
    assert table.loc["quote", ["n", "lost", "back"]].tolist() == [1, 1, 1]
    assert table.loc["qualified", "mean_days_advanced"] == 4.0


def test_a_reopened_deal_has_its_last_outcome(book_of: Build) -> None:
    log = {"1": "quote 2026-01-01, lost 2026-01-10, quote 2026-02-01, contract 2026-02-05, won 2026-02-10"}
    row = stage_flow(book_of(log=log)).set_index("stage").loc["quote"]
    assert row[["n", "deeper", "lost"]].tolist() == [1, 1, 0]


def test_void_deals_count_in_no_stage(book_of: Build) -> None:
    log = {
        "1": "prospect 2026-01-01, qualified 2026-01-02, void 2026-01-03",
        "2": "prospect 2026-01-01, lost 2026-01-04",
    }
    assert stage_flow(book_of(log=log))["n"].tolist() == [1]


def test_visits_of_no_length_are_visits(book_of: Build) -> None:
    log = {"1": "prospect 2026-01-01T09:00, qualified 2026-01-01T09:00, won 2026-01-01T09:00"}
    assert visits(book_of(log=log))[["exit", "age"]].to_numpy().tolist() == [["advanced", 0], ["won", 0]]


def test_a_loss_without_a_date_has_no_time(book_of: Build) -> None:
    deals = [{"deal_id": "1", "stage": "lost", "closed_at": None}]
    table = stage_flow(book_of(deals, log={"1": "prospect 2026-01-01"}))
    assert table["lost"].tolist() == [1] and table["median_days"].isna().all()


def test_wrong_answer_5_the_funnel_counts_deals_by_the_furthest_stage(book_of: Build) -> None:
    # Of 4: all in prospect, 3 reached qualified (2 back and forth once), 2 quote (one by a skip), 0 contract, 0 won.
    log = {
        "1": "prospect 2026-01-01, qualified 2026-01-02, prospect 2026-01-03, qualified 2026-01-04, lost 2026-01-05",
        "2": "prospect 2026-01-01, quote 2026-01-05",
        "3": "prospect 2026-01-01, lost 2026-01-05",
        "4": "prospect 2026-01-01, qualified 2026-01-05, quote 2026-01-06, lost 2026-01-07",
    }
    table = funnel(book_of(log=log))
    assert table["stage"].tolist() == ["prospect", "qualified", "quote", "contract", "won"]
    assert table["reached"].tolist() == [4, 3, 2, 0, 0] and set(table["n"]) == {4}
    assert table["open"].tolist() == [0, 0, 1, 0, 0] and table["value"].le(1).all()


def test_funnel_of_deals_without_rep(book_of: Build) -> None:
    book = book_of(
        [{"deal_id": "1", "rep_id": None}, {"deal_id": "2", "rep_id": "R1"}],
        {"1": "prospect 2026-01-01, won 2026-01-02", "2": "prospect 2026-01-01, lost 2026-01-02"},
    )
    table = funnel(book, "rep")
    assert (
        table["rep"].tolist() == ["R1"] * 5 + ["(unassigned)"] * 5
        and table["reached"].tolist() == [1, 0, 0, 0, 0] + [1] * 5
    )


def test_stages_are_unavailable_where_they_are_only_assumed(book_of: Build) -> None:
    book = book_of(log={"1": "prospect 2026-01-01, lost 2026-01-05"})
    history = book.table("stage_history")
    history["evidence"] = pd.Series(["assumed", "observed"], dtype="str")
    answer = measure(Book({**book.tables, "stage_history": history}, book.process, book.as_of, "CNY"), "stage_flow")
    assert not answer.available and "unknown for 100% of lost deals" in str(answer.because)
    assert "Export the stage history with every stage" in str(answer.because)


def test_a_history_that_is_there_is_not_said_to_be_missing(book_of: Build) -> None:
    # Without a lost deal all deals are asked: 2 of 3 have no observed stage.
    book = book_of(log={"1": "prospect 2026-01-01", "2": "prospect 2026-01-02", "3": "quote 2026-01-03"})
    history = book.table("stage_history").assign(evidence=pd.Series(["observed", "assumed", "assumed"], dtype="str"))
    because = measure(replace(book, tables={**book.tables, "stage_history": history}), "funnel").because
    assert because == (
        "the stages that a deal went through are unknown for 67% of deals. Export the stage history of all of them"
    )


def test_where_there_is_no_row_the_day_or_the_people_are_the_reason(book_of: Build) -> None:
    people = [{"rep_id": "R1", "name": "Ann"}, {"rep_id": "R2", "name": "Bob"}]
    book = book_of(log={"1": "prospect 2026-01-01, lost 2026-01-05"}, reps=people)
    for name in ("win_rate", "funnel", "pipeline", "sales_cycle"):
        assert measure(book.at("2020-01-01"), name).because == "up to 2020-01-01 there is no row in `deals`"
        because = measure(book.for_rep("R2"), name).because
        assert because == "up to 2026-06-30 there is no row in `deals` of the chosen people"


# --- pipeline -------------------------------------------------------------------------------------


def test_pipeline_counts_deals_without_amount_apart(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "amount": 100.0},
        {"deal_id": "2", "amount": None},
        {"deal_id": "3", "stage": "quote", "amount": None},
    ]
    table = pipeline(
        book_of(deals, {"1": "prospect 2026-06-20", "2": "prospect 2026-06-10", "3": "quote 2026-06-01"})
    ).set_index("stage")
    assert table.loc["prospect", ["n", "value", "without_amount"]].tolist() == [2, 100.0, 1]
    assert table.loc["prospect", "median_age_days"] == 15.0  # 10 and 20 days
    assert pd.isna(table.loc["quote", "value"])


def test_the_age_in_the_stage_is_null_where_nobody_recorded_the_entry(book_of: Build) -> None:
    # 20 of 20 quotes went on after 5 days: typical. Of the open ones, 1 stands in quote since 29 days, 2 only has its
    # creation, 3 has the day of its last change.
    done = {f"W{i}": "quote 2026-01-01, contract 2026-01-06, won 2026-01-08" for i in range(20)}
    deals = [
        {"deal_id": "2", "stage": "quote", "created_at": "2026-01-01"},
        {"deal_id": "3", "stage": "contract", "created_at": "2026-01-01", "stage_changed_at": "2026-06-20"},
    ]
    book = book_of(deals, {**done, "1": "quote 2026-06-01", "2": "quote 2026-01-01"})
    history = book.table("stage_history")
    history["evidence"] = history["evidence"].mask(history["deal_id"] == "2", "assumed")
    table = pipeline(replace(book, tables={**book.tables, "stage_history": history})).set_index("stage")
    assert table.loc["quote", ["n", "median_age_days", "typical_days", "older_than_typical"]].tolist() == [2, 29, 5, 1]
    assert table.loc["contract", "median_age_days"] == 10.0
    assumed = replace(book, tables={**book.tables, "stage_history": history.assign(evidence="assumed")})
    row = measure(assumed, "pipeline").to_dict()["rows"][0]
    assert (row["stage"], row["n"]) == ("quote", 2)
    assert row["median_age_days"] is row["typical_days"] is row["older_than_typical"] is None


def test_pipeline_by_quarter_is_that_of_the_expected_close(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "expected_close_on": "2026-08-01", "amount": 1.0},
        {"deal_id": "2", "expected_close_on": None, "amount": 2.0},
    ]
    table = pipeline(book_of(deals), "quarter")
    assert table["quarter"].tolist() == ["2026Q3", "(undated)"]
    assert pipeline(book_of(deals), "", "2026Q3")["n"].tolist() == [1]


def test_wrong_answer_6_lost_deals_add_nothing_to_the_pipeline(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "amount": 7.0},
        {"deal_id": "2", "outcome": "lost", "amount": 900.0, "closed_at": "2026-02-01"},
    ]
    assert pipeline(book_of(deals))["value"].tolist() == [7.0]


def test_nothing_open_is_unavailable_not_zero(book_of: Build) -> None:
    answer = measure(book_of(decided(("R1", "won", 1))), "pipeline")
    assert not answer.available and answer.because == "no deal is open"


# --- sales cycle ----------------------------------------------------------------------------------


def test_wrong_answer_16_the_cycle_counts_open_deals(book_of: Build) -> None:
    # Decided after 10, 20, 30 days; three open since 100 days. Closed only: mean 20. Kaplan-Meier: after 30 days just
    # half are decided (S = 1/2, not below), so the median is not reached.
    deals = [
        {
            "deal_id": str(n),
            "rep_id": "R1",
            "outcome": "won",
            "created_at": "2026-01-01",
            "closed_at": f"2026-01-{n + 1}",
        }
        for n in (10, 20, 30)
    ]
    deals += [{"deal_id": f"open {i}", "rep_id": "R1", "created_at": "2026-03-22"} for i in range(3)]
    row = only(sales_cycle(book_of(deals), ""))
    assert (row["mean_won"], row["n"], row["open"]) == (20.0, 6, 3) and pd.isna(row["value"]) and row["p25"] == 20.0


def test_the_cycle_starts_with_the_lead_or_the_first_activity(book_of: Build) -> None:
    deals = [
        {
            "deal_id": "1",
            "rep_id": "R1",
            "outcome": "won",
            "created_at": "2026-01-11",
            "closed_at": "2026-01-31",
            "lead_id": "L",
        }
    ]
    leads = [{"lead_id": "L", "created_at": "2026-01-06"}]
    calls = [{"activity_id": "T", "rep_id": "R1", "at": "2026-01-01", "activity_type": "call", "deal_id": "1"}]
    assert only(sales_cycle(book_of(deals), ""))["value"] == 20
    assert only(sales_cycle(book_of(deals, leads=leads), ""))["value"] == 25
    assert only(sales_cycle(book_of(deals, leads=leads, activities=calls), ""))["value"] == 30


def test_wrong_answer_3_a_deal_closed_before_it_began_is_left_out(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "outcome": "won", "created_at": "2026-02-01", "closed_at": "2026-01-01"},
        {"deal_id": "2", "outcome": "won", "created_at": "2026-01-01", "closed_at": "2026-01-11"},
    ]
    row = only(sales_cycle(book_of(deals), ""))
    assert (row["n"], row["mean_won"], row["value"]) == (1, 10.0, 10.0)


def test_reps_without_deals_have_no_cycle_not_one_of_zero_days(book_of: Build) -> None:
    table = sales_cycle(book_of(decided(("R1", "won", 1)), reps=PEOPLE)).set_index("rep_id")
    assert table.loc["R2", ["n", "won"]].tolist() == [0, 0]
    assert table.loc["R2", ["value", "low", "high", "p25", "mean_won"]].isna().all()


# --- leads ----------------------------------------------------------------------------------------


def lead(key: str, created: str, **more: Any) -> dict[str, Any]:
    return {"lead_id": key, "rep_id": "R1", "created_at": created, **more}


def test_lead_conversion_of_five_leads(book_of: Build) -> None:
    # 4 leads of 90 days and more: one converted in time, one too late, two never. The fifth is too young.
    leads = [
        lead("1", "2026-01-01", converted_at="2026-02-01"),
        lead("2", "2026-01-01", converted_at="2026-05-01"),
        lead("3", "2026-01-01"),
        lead("4", "2026-04-01"),
        lead("5", "2026-06-01", converted_at="2026-06-02"),
    ]
    row = only(lead_conversion(book_of(leads=leads)))
    assert (row["n"], row["converted"], row["immature"], row["value"]) == (4, 1, 1, 0.25)


def test_leads_find_their_deals_from_either_side(book_of: Build) -> None:
    deals = [{"deal_id": "1", "created_at": "2026-01-10"}, {"deal_id": "2", "created_at": "2026-01-10", "lead_id": "B"}]
    leads = [lead("A", "2026-01-01", deal_id="1"), lead("B", "2026-01-01"), lead("C", "2026-01-01")]
    assert only(lead_conversion(book_of(deals, leads=leads), ""))["converted"] == 2


def test_conversion_is_unavailable_where_nothing_links_leads_to_deals(book_of: Build) -> None:
    answer = measure(book_of([{"deal_id": "1"}], leads=[lead("1", "2026-01-01")]), "lead_conversion")
    assert not answer.available and "nothing links leads to deals" in str(answer.because)


def test_a_rep_whose_leads_never_converted_has_zero_percent(book_of: Build) -> None:
    leads = [
        lead("1", "2026-01-01"),
        {"lead_id": "2", "rep_id": "R2", "created_at": "2026-01-01", "converted_at": "2026-01-05"},
    ]
    table = lead_conversion(book_of(leads=leads)).set_index("rep_id")
    assert table.loc["R1", "value"] == 0.0 and table.loc["R1", "high"] > 0.7


def test_response_time_counts_the_unanswered_as_waiting(book_of: Build) -> None:
    # Answered after 1, 2 and 6 hours; two never: after 6 hours 3 of 5 are answered: median 6. Within 4 h: 2 of 5.
    leads = [lead(str(h), "2026-06-01T08:00", first_response_at=f"2026-06-01T{8 + h:02}:00") for h in (1, 2, 6)]
    leads += [lead(key, "2026-06-01T08:00") for key in ("x", "y")]
    row = only(response_time(book_of(leads=leads)))
    assert (row["n"], row["answered"], row["unanswered"], row["value"]) == (5, 3, 2, 6.0)
    assert (row["limit_hours"], row["within_share"]) == (4.0, 0.4)


def test_an_answer_before_the_question_is_left_out(book_of: Build) -> None:
    leads = [
        lead("1", "2026-06-02", first_response_at="2026-06-01"),
        lead("2", "2026-06-02T08:00", first_response_at="2026-06-02T09:00"),
    ]
    assert only(response_time(book_of(leads=leads)))["n"] == 1


def test_the_first_outbound_activity_answers_where_the_lead_does_not_say(book_of: Build) -> None:
    calls = [
        {"activity_id": str(i), "rep_id": "R1", "at": at, "activity_type": "call", "lead_id": "1", "direction": way}
        for i, (at, way) in enumerate(
            [("2026-06-01T09:00", "in"), ("2026-06-01T11:00", "out"), ("2026-06-01T12:00", "out")]
        )
    ]
    row = only(response_time(book_of(leads=[lead("1", "2026-06-01T08:00")], activities=calls)))
    assert row["value"] == 3.0


# --- new customers --------------------------------------------------------------------------------


def test_a_customer_is_new_once_and_returns_after_24_months(book_of: Build) -> None:
    # A: first win 2023-01, again 2023-06 (a customer), again 2026-01 (31 months on: returning). B: first win 2026-02.
    wins = [("A", "2023-01-10", 5.0), ("A", "2023-06-10", 6.0), ("A", "2026-01-10", 7.0), ("B", "2026-02-10", 8.0)]
    deals = [{"deal_id": on, "account_id": a, "outcome": "won", "closed_at": on, "amount": x} for a, on, x in wins]
    table = new_customers(book_of(deals), "year").set_index("year")
    assert table["n"].to_dict() == {"2023": 1, "2026": 1} and table["returning"].to_dict() == {"2023": 0, "2026": 1}
    assert table["first_amount"].to_dict() == {"2023": 5.0, "2026": 8.0}
    assert len(counted_rows(book_of(deals), "new_customers")) == 2


def test_the_default_group_is_left_out_where_the_book_has_no_such_column(book_of: Build) -> None:
    book = book_of([{"deal_id": "1", "account_id": "A", "outcome": "won", "closed_at": "2026-01-05"}])
    assert measure(book, "new_customers").by == ()
    answer = measure(book, "new_customers", "lead_source")
    assert answer.because == "what is counted here has no `lead_source` to split by"
    with pytest.raises(UsageError, match="lead_sauce"):
        measure(book, "new_customers", "lead_sauce")


# --- quota ----------------------------------------------------------------------------------------


def target(rep: str | None, start: str, end: str, value: float, **more: Any) -> dict[str, Any]:
    return {"rep_id": rep, "metric": "won_amount", "start_on": start, "end_on": end, "value": value, **more}


def win(key: str, rep: str | None, on: str, amount: float | None) -> dict[str, Any]:
    return {"deal_id": key, "rep_id": rep, "outcome": "won", "closed_at": on, "amount": amount}


def test_quota_by_dates_not_labels(book_of: Build) -> None:
    # A target of 900 for 1 January to 31 March (90 days); February has 28: 900 * 28 / 90 = 280. Won 140: one half.
    book = book_of(
        [win("1", "R1", "2026-02-10", 140.0), win("2", "R1", "2026-03-10", 999.0)],
        targets=[target("R1", "2026-01-01", "2026-03-31", 900.0)],
    )
    row = only(quota_attainment(book, "rep", "2026-02"))
    assert (row["target"], row["won_amount"], row["value"], row["n"]) == pytest.approx((280.0, 140.0, 0.5, 1))


def test_targets_of_a_joiner_and_a_leaver_count_by_their_days(book_of: Build) -> None:
    # January has 31 days. R1 joins on the 17th (15 days), R2 leaves on the 10th (10 days).
    people = [
        {**PEOPLE[0], "start_on": "2026-01-17", "end_on": None},
        {**PEOPLE[1], "start_on": "2020-01-01", "end_on": "2026-01-10"},
    ]
    book = book_of(
        [win("1", "R1", "2026-01-20", 15.0)],
        reps=people,
        targets=[target(rep, "2026-01-01", "2026-01-31", 31.0) for rep in ("R1", "R2")],
    )
    table = quota_attainment(book, "rep").set_index("rep_id")
    assert table["target"].to_dict() == pytest.approx({"R1": 15.0, "R2": 10.0}) and table.loc[
        "R1", "value"
    ] == pytest.approx(1.0)
    assert table.loc["R2", ["won_amount", "value"]].tolist() == [0.0, 0.0] and pd.isna(table.loc["R2", "high"])


def test_a_teams_own_target_replaces_the_sum_of_its_reps(book_of: Build) -> None:
    targets = [
        target("R1", "2026-01-01", "2026-03-31", 40.0),
        target("R2", "2026-01-01", "2026-03-31", 60.0),
        target(None, "2026-01-01", "2026-03-31", 80.0, team="East"),
        target("R1", "2026-04-01", "2026-06-30", 50.0),
    ]
    book = book_of([win("1", "R1", "2026-02-01", 40.0)], reps=PEOPLE, targets=targets)
    table = quota_attainment(book, "team,quarter").set_index("quarter")
    assert table["target"].to_dict() == {"2026Q1": 80.0, "2026Q2": 50.0}  # no team target in the second quarter
    assert only(quota_attainment(book, "team", "2026Q1"))["value"] == 0.5
    assert quota_attainment(book, "rep", "2026Q1")["target"].tolist() == [40.0, 60.0]


def test_wins_of_nobody_have_no_target_and_no_attainment(book_of: Build) -> None:
    book = book_of(
        [win("1", None, "2026-02-01", 9.0), win("2", "R1", "2026-02-01", 5.0)],
        targets=[target("R1", "2026-01-01", "2026-03-31", 10.0)],
    )
    row = measure(book, "quota_attainment", "rep").to_dict()["rows"][-1]
    assert (row["rep"], row["won_amount"], row["target"], row["value"]) == ("(unassigned)", 9.0, None, None)


def test_quota_does_not_mix_currencies(book_of: Build) -> None:
    wins = [{**win("1", "R1", "2026-02-01", 9.0), "currency": "USD"}]
    answer = measure(
        book_of(wins, targets=[target("R1", "2026-01-01", "2026-03-31", 10.0, currency="CNY")]), "quota_attainment"
    )
    assert not answer.available and "CNY, USD" in str(answer.because)


def test_quota_by_a_group_that_targets_do_not_know(book_of: Build) -> None:
    book = book_of([win("1", "R1", "2026-02-01", 9.0)], targets=[target("R1", "2026-01-01", "2026-03-31", 10.0)])
    answer = measure(book, "quota_attainment", "product")
    assert answer.because == "targets are not set by product, so attainment cannot be split by it"


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_says_why_it_is_unavailable(name: str, book_of: Build) -> None:
    answer = measure(book_of([]), name)
    assert not answer.available and answer.because and answer.to_dict()["rows"] == []


def test_an_unknown_metric_is_named_with_the_nearest(book_of: Build) -> None:
    with pytest.raises(UsageError, match="Did you mean 'win_rate'"):
        measure(book_of([]), "winrate")


def test_rows_of_an_unavailable_metric_say_why(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="no table `leads`"):
        counted_rows(book_of([]), "response_time")


def test_stages_can_be_split_by_what_came_of_the_deals(book_of: Build) -> None:
    log = {"1": "prospect 2026-01-01, won 2026-01-05", "2": "prospect 2026-01-01, lost 2026-01-04"}
    table = measure(book_of(log=log), "stage_flow", by="outcome").table
    assert table is not None
    first = table[table["stage"] == "prospect"].set_index("outcome")
    assert first["deeper"].to_dict() == {"lost": 0, "won": 1}
