"""The demo's planted truths, and the published figures of the trial data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.kit import kit_path
from salescoach.metrics import METRICS, mean_days_in, measure, new_customers, sales_cycle, stage_flow, win_rate
from salescoach.sources.load import load_book

Trial = Callable[[str], Path]


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((kit_path("data/demo") / "truth.json").read_text(encoding="utf-8"))
    return found


def test_the_bottleneck_of_the_demo_is_found(demo: Book, truth: dict[str, Any]) -> None:
    flow = stage_flow(demo).set_index("stage")
    assert flow["value"].idxmin() == truth["bottleneck"] == "qualified"
    rest = flow.drop(index="qualified")
    assert flow.loc["qualified", "high"] < rest["low"].min()


def test_the_planted_conversions_lie_within_their_intervals(demo: Book, truth: dict[str, Any]) -> None:
    flow = stage_flow(demo).set_index("stage")
    planted = dict(zip(("prospect", "qualified", "quote", "contract"), truth["parameters"]["conversion"], strict=True))
    for stage, share in planted.items():
        for true in (share, truth["realised"]["stages"][stage]["conversion"]):
            assert flow.loc[stage, "low"] <= true <= flow.loc[stage, "high"], stage


def test_quote_to_contract_takes_three_days_and_65_percent_get_through(demo: Book) -> None:
    mean, low, high = mean_days_in(demo, "quote")
    assert low <= 3.0 <= high and mean == pytest.approx(3.0, abs=0.1)
    assert stage_flow(demo).set_index("stage").loc["quote", "value"] == pytest.approx(0.65, abs=0.02)


def test_the_demos_intervals_are_known_also_where_time_is_coarse(demo: Book) -> None:
    flow = stage_flow(demo)
    assert flow[["median_days", "median_low", "median_high"]].notna().all(axis=None)


# --- Maven: 8,800 deals, one row per deal ---------------------------------------------------------


@pytest.fixture(scope="module")
def maven(trial: Trial) -> Book:
    return load_book(trial("maven"), source="maven")


@pytest.fixture(scope="module")
def published(trial: Trial) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trial("maven") / "truth.json").read_text(encoding="utf-8"))
    return found


def test_maven_totals(maven: Book, published: dict[str, Any]) -> None:
    row = win_rate(maven, "").iloc[0]
    assert (row["won"], row["lost"]) == (published["won"], published["lost"]) == (4238, 2473)
    assert row["value"] == pytest.approx(published["win_rate"], abs=1e-15) and round(row["value"], 6) == 0.631501
    assert row["won_amount"] == published["won_value"] == 10_005_534


def test_maven_won_cycle(maven: Book, published: dict[str, Any]) -> None:
    row = sales_cycle(maven, "").iloc[0]
    assert (
        row["mean_won"] == pytest.approx(published["won_cycle_mean"], abs=1e-9) and round(row["mean_won"], 2) == 51.78
    )


def test_maven_every_rep(maven: Book, published: dict[str, Any]) -> None:
    rates, cycles = (metric(maven).set_index("rep") for metric in (win_rate, sales_cycle))
    opened = maven.deals.query("outcome == 'open'").groupby("rep_id").size()
    assert len(published["by_rep"]) == 30
    for rep, want in published["by_rep"].items():
        row = rates.loc[rep]
        assert (row["n"], row["won"], row["won_amount"]) == (want["closed"], want["won"], want["revenue"])
        assert round(row["value"], 6) == want["win_rate"]
        assert round(cycles.loc[rep, "mean_won"], 4) == pytest.approx(want["avg_won_cycle_days"], abs=1e-4)
        assert opened.get(row["rep_id"], 0) == want["open"]


def test_maven_every_quarter(maven: Book) -> None:
    table = win_rate(maven, "quarter")
    assert table["won_amount"].tolist() == [1_134_672, 3_086_111, 2_982_255, 2_802_496]
    assert len(win_rate(maven, "rep,quarter")) == 120


def test_maven_reps_without_deals_still_appear(maven: Book, published: dict[str, Any]) -> None:
    table = win_rate(maven)
    assert len(table) == 35
    idle = table[~table["rep"].isin(published["by_rep"])]
    assert len(idle) == 5 and (idle["n"] == 0).all() and idle["value"].isna().all()


def test_maven_stage_conversion_is_unavailable_with_the_reason(maven: Book) -> None:
    for name in ("stage_flow", "funnel"):
        answer = measure(maven, name)
        assert not answer.available and "unknown for 100% of lost deals" in str(answer.because)
        assert not measure(maven.for_rep("Darcel Schlecht"), name).available


def test_maven_survival_of_the_engaged(maven: Book) -> None:
    # Half-day shifts apart, the published Kaplan-Meier median from engaged to closed is 69.5 days.
    assert sales_cycle(maven, "").iloc[0]["value"] == pytest.approx(69.5, abs=1)


def test_maven_with_american_dates_gives_the_same_figures(maven: Book, trial: Trial) -> None:
    folder = trial("maven")
    others = [folder / f"{name}.csv" for name in ("accounts", "products", "sales_teams")]
    american = load_book([trial("maven_mdy") / "sales_pipeline.csv", *others], source="maven")
    for name in METRICS:
        for by in ("", "rep", "team,quarter", "product"):
            assert measure(american, name, by).to_dict() == measure(maven, name, by).to_dict(), (name, by)


def test_new_customers_of_the_demo_are_accounts(demo: Book) -> None:
    won = demo.deals.query("outcome == 'won'")
    table = new_customers(demo, "")
    assert table["n"].iloc[0] == won["account_id"].nunique()
