"""Time to the decision and in the stages: Maven's published figures, deals by hand, and the metrics beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import sales_cycle, stage_flow, win_curve
from salescoach.metrics.cycle import started_deals
from salescoach.models import fit_stage_times, fit_time_to_decision
from salescoach.sources.load import load_book

Trial = Callable[[str], Path]
Build = Callable[..., Book]


@pytest.fixture(scope="module")
def maven(trial: Trial) -> Book:
    return load_book(trial("maven"), source="maven")


def test_maven_s_early_deals_are_survivors(maven: Book) -> None:
    fit = fit_time_to_decision(maven)
    # Published with half days: 69.5 without, 60.5 with left truncation; a calendar day here is a whole one.
    assert sales_cycle(maven, "")["value"].iloc[0] + 0.5 == 69.5
    assert fit.median + 0.5 == 60.5 and fit.late == 1185 and fit.n == 8300
    assert any("2017-03-01" in str(advice) and "1185" in str(advice) for advice in fit.warnings)
    assert fit.horizon == 140
    row = fit.at(140)
    assert (round(row["won"], 3), round(row["lost"], 3)) == (0.529, 0.315)
    assert row["won"] + row["lost"] + row["open"] == pytest.approx(1)
    assert (fit.won, fit.lost, fit.open_now) == (4238, 2473, 1589)


@pytest.mark.parametrize(
    ("day", "median", "hindsight"),
    [("2017-06-01", 57.5, 63.5), ("2017-07-01", 56.5, 62.5), ("2017-09-01", 64.5, 74.5), ("2017-10-01", 73.5, 75.5)],
)
def test_the_decided_deals_alone_say_nine_days(maven: Book, day: str, median: float, hindsight: float) -> None:
    begun = pd.Timestamp(day)
    period = f"{(begun - pd.Timedelta(days=90)).date()}..{(begun - pd.Timedelta(days=1)).date()}"
    that_day, later = fit_time_to_decision(maven.at(day), period), fit_time_to_decision(maven, period)
    assert that_day.naive == 9
    assert that_day.median + 0.5 == pytest.approx(median, abs=1)
    assert later.median + 0.5 == hindsight
    assert that_day.late == 0 and that_day.warnings == ()


@pytest.mark.parametrize("day", ["2017-08-01", "2017-11-01"])
def test_a_median_not_reached_is_null(maven: Book, day: str) -> None:
    begun = pd.Timestamp(day)
    period = f"{(begun - pd.Timedelta(days=90)).date()}..{(begun - pd.Timedelta(days=1)).date()}"
    fit = fit_time_to_decision(maven.at(day), period)
    assert np.isnan(fit.median) and fit.naive < 10 and len(fit.table) > 10


# --- the metrics say the same where nobody came late ----------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_shares_and_median_are_those_of_the_metrics(generated: Callable[..., Book], seed: int) -> None:
    book = generated(seed, 150)
    fit = fit_time_to_decision(book)
    assert fit.late == 0 and fit.n == len(started_deals(book))
    cycle = sales_cycle(book, "").iloc[0]
    assert (fit.won, fit.lost + fit.won, fit.open_now) == (cycle["won"], cycle["decided"], cycle["open"])
    known = fit.table["day"].iloc[-1]
    if cycle["value"] <= known:
        assert fit.median == cycle["value"]
    days = tuple(int(d) for d in (5, 20, 60, 120) if d <= known)
    curve = win_curve(book, (), within=days)
    for share, (_, row) in zip(curve["value"], [(d, fit.at(d)) for d in days], strict=True):
        assert row["won"] == pytest.approx(share, abs=1e-12)


def test_the_demo_as_the_metrics(demo: Book) -> None:
    fit = fit_time_to_decision(demo)
    cycle = sales_cycle(demo, "").iloc[0]
    assert (fit.median, fit.median_low, fit.median_high) == (cycle["value"], cycle["low"], cycle["high"])
    row = fit.at(90)
    expected = cycle[["won_within_90", "won_within_90_low", "won_within_90_high"]].tolist()
    assert row[["won", "won_low", "won_high"]].tolist() == pytest.approx(expected, abs=1e-9)


# --- by hand --------------------------------------------------------------------------------------


def twelve(build: Build, **more: str) -> Book:
    """Twelve deals of 1 January: three won after 10 days, three lost after 20, six open at the end of the 40th day."""
    ends = [("won", "2026-01-11")] * 3 + [("lost", "2026-01-21")] * 3 + [(None, None)] * 6
    deals = [
        {
            "deal_id": f"D{i}",
            "created_at": "2026-01-01",
            **({"outcome": kind, "closed_at": on} if kind and on else {}),
            **more,
        }
        for i, (kind, on) in enumerate(ends)
    ]
    return build(deals, as_of="2026-02-10")


def test_twelve_deals(book_of: Build) -> None:
    # day 10: 3 of 12 won; day 20: at risk are 9 only, so the curve stops before it
    fit = fit_time_to_decision(twelve(book_of))
    assert fit.table[["day", "won", "open"]].to_numpy().tolist() == [[0, 0, 1], [10, 0.25, 0.75]]
    assert fit.table["at_risk"].tolist() == [12, 12] and fit.horizon == 10
    assert np.isnan(fit.median) and fit.naive == 15  # the median of 10, 10, 10, 20, 20, 20
    with pytest.raises(Unavailable, match="fewer than ten deals were followed for 50 days"):
        fit.at(50)


def test_nothing_begun_nothing_known(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="no deal with a known start lies in the period"):
        fit_time_to_decision(twelve(book_of), "2025")


def test_a_few_old_deals_are_no_sign_of_missing_decisions(book_of: Build) -> None:
    # Decisions begin 10 days after the first deals simply because deals take 10 days.
    fit = fit_time_to_decision(twelve(book_of))
    assert fit.late == 0 and fit.warnings == ()


# --- stages ---------------------------------------------------------------------------------------


def test_stages_as_the_metric(demo: Book) -> None:
    fit = fit_stage_times(demo)
    flow = stage_flow(demo).set_index("stage")
    table = fit.table.set_index("stage")
    assert table.index.tolist() == flow.index.tolist()
    for column in ("median_days", "median_low", "median_high", "p75_days"):
        assert table[column].tolist() == flow[column].tolist()
    assert (table["went_on"] + table["lost"] + table["waiting"]).to_numpy() == pytest.approx(1.0)
    assert table["n"].sum() == fit.n


def test_a_stage_by_hand(book_of: Build) -> None:
    # Twelve deals enter prospect on 1 January: five go on after 4 days, two are lost after 6, five are still there
    # after 40. By the 8 days that the process expects: 5/12 gone on, 2/12 lost, 5/12 waiting.
    log = {f"A{i}": "prospect 2026-01-01, qualified 2026-01-05" for i in range(5)}
    log |= {f"B{i}": "prospect 2026-01-01, lost 2026-01-07" for i in range(2)}
    log |= {f"C{i}": "prospect 2026-01-01" for i in range(5)}
    book = book_of(log=log, as_of="2026-02-10")
    row = fit_stage_times(book).table.set_index("stage").loc["prospect"]
    assert book.process.pipelines["new"].working[0].expect_days == row["within_days"] == 8
    assert (row["n"], row["still"]) == (12, 5)
    # at risk on day 6 are only seven, so the curve stops after day 4, and no later share is claimed
    assert np.isnan(row["went_on"]) and np.isnan(row["median_days"])
    log |= {f"D{i}": "prospect 2026-01-01" for i in range(8)}
    row = fit_stage_times(book_of(log=log, as_of="2026-02-10")).table.set_index("stage").loc["prospect"]
    assert row[["went_on", "lost", "waiting"]].tolist() == pytest.approx([5 / 20, 2 / 20, 13 / 20])


def test_stages_are_unavailable_where_the_stage_at_loss_is_unknown(maven: Book) -> None:
    with pytest.raises(Unavailable, match="the stage from which a deal was lost is unknown"):
        fit_stage_times(maven)


def test_where_few_are_watched_early_the_curve_begins_later(book_of: Build) -> None:
    # Forty deals of 2025-01-01 of which nothing is recorded before 2026-01-01, then one is won every other day; and
    # three young ones, decided after 5 days: the first year of a deal is seen in three deals only.
    deals = [
        {
            "deal_id": f"A{i}",
            "created_at": "2025-01-01",
            **({"outcome": "won", "closed_at": str(pd.Timestamp("2026-01-01") + pd.Timedelta(days=2 * i))[:10]}),
        }
        for i in range(25)
    ]
    deals += [{"deal_id": f"B{i}", "created_at": "2025-01-01"} for i in range(15)]
    deals += [
        {"deal_id": f"C{i}", "created_at": "2026-01-05", "outcome": "lost", "closed_at": "2026-01-10"} for i in range(3)
    ]
    fit = fit_time_to_decision(book_of(deals, as_of="2026-03-31"))
    assert fit.late == 40 and len(fit.warnings) == 2
    assert fit.table["day"].iloc[0] == 5 and fit.table["won"].iloc[0] == 0
    # the first of the forty is won on day 365: 1 of 40
    assert fit.at(365)["won"] == pytest.approx(1 / 40) and fit.at(365)["at_risk"] == 40
    with pytest.raises(Unavailable):
        fit.at(2)
