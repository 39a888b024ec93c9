"""Sixteen wrong answers found in shipping products: each trap is armed on the same data, and ours does not fall in.

Every test first computes the wrong answer the way such products do, and asserts that here it *is* wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import ColumnError
from salescoach.metrics import METRICS, counted_rows, funnel, measure, pipeline, sales_cycle, win_rate
from salescoach.metrics.outcomes import decided_deals
from salescoach.models import coaching_impact, fit_drivers, rep_rates
from salescoach.sources import load_book

Build = Callable[..., Book]


def decided(rep: str | None, won: int = 0, lost: int = 0, opened: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Deals of one rep, created in January and decided on 10 March 2026."""
    outcomes = ["won"] * won + ["lost"] * lost + ["open"] * opened
    return [
        {
            "deal_id": f"{rep}-{i}",
            "rep_id": rep,
            "outcome": outcome,
            "created_at": "2026-01-01",
            "closed_at": None if outcome == "open" else "2026-03-10",
            **more,
        }
        for i, outcome in enumerate(outcomes)
    ]


def total(table: pd.DataFrame) -> pd.Series:
    assert len(table) == 1
    return table.iloc[0]


def load_csv(folder: Path, text: str, **files: str) -> Book:
    """A load of deals.csv and further files."""
    (folder / "deals.csv").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return load_book(folder, as_of="2026-06-30")


def test_1_a_rep_who_never_lost_has_100_percent_with_a_wide_interval(book_of: Build) -> None:
    book = book_of([*decided("R1", won=3), *decided("R2", won=1, lost=1)])
    deals = book.deals[book.deals["rep_id"] == "R1"]
    by_outcome = deals["outcome"].value_counts()
    naive = (
        by_outcome["won"] / by_outcome["lost"] if "lost" in by_outcome else 0.0
    )  # a missing denominator read as zero
    assert naive == 0.0
    row = win_rate(book).set_index("rep_id").loc["R1"]
    assert (row["n"], row["value"], row["high"]) == (3, 1.0, 1.0)
    assert row["low"] == pytest.approx(0.4385, abs=1e-4)  # Wilson: 3 / (3 + 1.96²)


def test_2_a_team_rate_is_pooled_and_never_above_100_percent(book_of: Build) -> None:
    # R1 won 3 of the deals created, R2 none of 1; the mean over reps of won per *created in the period* is 150 %
    people = [{"rep_id": r, "team": "East"} for r in ("R1", "R2")]
    deals = decided("R1", won=3) + decided("R2", lost=1)
    for deal in deals[:2]:
        deal["created_at"] = "2025-12-20"
    book = book_of(deals, reps=people)
    closed = book.deals.groupby("rep_id")["outcome"].apply(lambda o: (o == "won").sum())
    created = book.deals[book.deals["created_at"] >= "2025-12-31"].groupby("rep_id").size()
    assert (closed / created).mean() == 1.5
    row = total(win_rate(book, "team", "2026Q1"))
    assert (row["won"], row["n"], row["value"]) == (3, 4, 0.75)
    for name in (n for n, m in METRICS.items() if m.unit == "share"):
        for by in ("", "team", "rep"):
            table = measure(book, name, by).table
            assert table is None or table["value"].dropna().between(0, 1).all()


def test_3_a_deal_closed_before_its_creation_is_a_listed_error(tmp_path: Path) -> None:
    text = "deal_id,rep_id,stage,created_at,closed_at,amount\n"
    text += "".join(f"D{i},R1,Closed Won,2026-01-01,2026-01-11,5\n" for i in range(99))
    text += "D99,R1,Closed Won,2026-03-01,2026-01-01,5\n"
    raw = pd.read_csv(pd.io.common.StringIO(text), parse_dates=["created_at", "closed_at"])
    days = (raw["closed_at"] - raw["created_at"]).dt.days
    assert days.min() == -59 and days.abs().mean() > 10.4 and days.mean() < 9.4  # both are wrong: 10 days it is
    book = load_csv(tmp_path, text)
    [row] = book.quarantine.to_dict("records")
    assert (row["reason"], row["line"]) == ("closed-before-created", 101)
    cycle = total(sales_cycle(book, ""))
    assert (cycle["n"], cycle["mean_won"]) == (99, 10.0)


def test_3_the_metric_leaves_out_what_slipped_into_a_book(book_of: Build) -> None:
    deals = decided("R1", won=3)
    deals[0]["created_at"] = "2026-05-01"  # closed on 10 March
    book = book_of(deals)
    assert total(sales_cycle(book, ""))["n"] == 2
    assert (counted_rows(book, "sales_cycle")["days"] >= 0).all()


def test_4_a_probability_in_per_cent_is_refused_and_never_multiplied(tmp_path: Path) -> None:
    text = "deal_id,rep_id,stage,created_at,amount,probability\nD1,R1,Proposal,2026-01-01,1000,60\n"
    naive = 1000 * 60
    assert naive > 1000  # an expected amount of sixty times the deal
    with pytest.raises(ColumnError, match="'60' is above 1, so this may be a percentage"):
        load_csv(tmp_path, text)
    read = load_csv(tmp_path, text.replace(",60\n", ",60%\n"))
    assert read.deals["probability"].tolist() == [0.6]


def test_5_a_funnel_counts_deals_and_never_log_rows(book_of: Build) -> None:
    # twelve moves back and forth between two stages are thirteen log rows of one deal
    to_and_fro = ", ".join(
        f"{stage} 2026-01-{day:02}" for day, stage in zip(range(2, 15), ["quote", "qualified"] * 7, strict=False)
    )
    log = {
        "1": f"qualified 2026-01-01, {to_and_fro}, lost 2026-02-01",
        "2": "prospect 2026-01-01, lost 2026-01-05",
        "3": "qualified 2026-01-01",
    }
    book = book_of(log=log)
    history = book.table("stage_history")
    rows = history["stage"].value_counts()
    assert rows["quote"] / rows["prospect"] == 7.0  # "700 % conversion", and two of three deals miss the first stage
    table = funnel(book, "").set_index("stage")
    assert table["reached"].tolist() == [3, 2, 1, 0, 0] and set(table["n"]) == {3}
    assert (table["reached"].diff().dropna() <= 0).all() and table["value"].le(1).all()


def test_6_lost_deals_add_nothing_to_what_is_open(book_of: Build) -> None:
    # what stands in the pipeline is what a forecast starts from
    log = {"1": "quote 2026-01-01", "2": "quote 2026-01-01, lost 2026-02-01", "3": "quote 2026-01-01, won 2026-02-01"}
    deals = [{"deal_id": d, "amount": a} for d, a in (("1", 100.0), ("2", 900.0), ("3", 50.0))]
    book = book_of(deals, log)
    naive = book.deals.loc[book.deals["outcome"] != "won", "amount"].sum()
    assert naive == 1000.0  # "not won yet" takes the lost deal in at its full value
    table = pipeline(book, "")
    assert table["value"].sum() == 100.0 and table["n"].sum() == 1
    assert set(counted_rows(book, "pipeline")["deal_id"]) == {"1"}


def test_7_losses_are_dated_by_their_close_and_unknown_reasons_are_not_dropped(book_of: Build) -> None:
    deals = decided("R1", lost=4)
    for deal, reason in zip(deals, ("price", "price", "timing", None), strict=True):
        deal["lost_reason"] = reason
    deals[2]["created_at"] = "2025-10-01"  # decided in the quarter, but not created in it
    book = book_of([*deals, *decided("R2", won=1, lost_reason=None)])
    frame = book.deals
    created = frame[(frame["created_at"] >= "2025-12-31") & frame["lost_reason"].notna()]
    assert created["lost_reason"].value_counts(normalize=True).to_dict() == {"price": 1.0}  # wrong twice
    table = measure(book, "win_rate", "lost_reason", "2026Q1").table
    assert table is not None
    lost = table.set_index("lost_reason")["lost"]
    assert lost.to_dict() == {"price": 2, "timing": 1, "(none)": 1} and lost.sum() == 4


def test_8_won_over_created_is_a_variant_that_says_so(book_of: Build) -> None:
    book = book_of([*decided("R1", won=1, lost=1, opened=8)])
    naive = (book.deals["outcome"] == "won").mean()
    assert naive == 0.1
    assert total(win_rate(book, ""))["value"] == 0.5
    created = measure(book, "win_rate", "", base="created")
    assert created.table is not None and total(created.table)["value"] == 0.1
    assert created.to_dict()["options"] == {"base": "created"}


def test_9_amounts_and_counts_have_one_date_basis_and_it_is_printed(book_of: Build) -> None:
    deals = [
        {"deal_id": "1", "rep_id": "R1", "outcome": "won", "created_at": "2025-12-01", "closed_at": "2026-01-20"},
        {"deal_id": "2", "rep_id": "R1", "outcome": "won", "created_at": "2026-01-05", "closed_at": "2026-02-20"},
        {"deal_id": "3", "rep_id": "R1", "outcome": "lost", "created_at": "2026-01-05", "closed_at": "2026-02-20"},
    ]
    book = book_of([{**d, "amount": a} for d, a in zip(deals, (70.0, 20.0, 5.0), strict=True)])
    frame = book.deals[book.deals["outcome"] == "won"]
    won_by_close = frame.groupby(frame["closed_at"].dt.strftime("%Y-%m")).size()
    amount_by_creation = frame.groupby(frame["created_at"].dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m"))[
        "amount"
    ].sum()
    assert won_by_close["2026-01"] == 1 and amount_by_creation["2026-01"] == 20.0  # one deal, another deal's money
    answer = measure(book, "win_rate", "month")
    assert answer.table is not None
    table = answer.table.set_index("month")
    assert table.loc["2026-01", ["won", "won_amount"]].tolist() == [1, 70.0]
    assert answer.to_dict()["basis"] == "day of the decision"
    assert all(m.basis for m in METRICS.values())


def test_10_keys_carry_the_year_the_currency_and_the_share(book_of: Build) -> None:
    deals = [
        {"deal_id": str(y), "rep_id": "R1", "outcome": "won", "created_at": f"{y}-01-02", "closed_at": f"{y}-01-20"}
        for y in (2024, 2025)
    ]
    deals = [{**d, "amount": 10.0, "currency": c} for d, c in zip(deals, ("CNY", "USD"), strict=True)]
    book = book_of([*deals, *decided("R1", lost=1)])
    assert book.deals.groupby(book.deals["closed_at"].dt.month)["outcome"].size().loc[1] == 2  # two Januaries in one
    table = measure(book, "win_rate", "month").table
    assert table is not None
    assert table.loc[table["won"] > 0, "month"].tolist() == ["2024-01", "2025-01"]
    amounts = measure(book, "win_rate", "").table
    assert amounts is not None and sorted(amounts.loc[amounts["won"] > 0, "currency"]) == ["CNY", "USD"]
    assert 20.0 not in amounts["won_amount"].tolist()  # 10 yuan and 10 dollars are not 20 of anything


def test_10_a_deal_with_two_assignees_is_one_deal(book_of: Build) -> None:
    shares = [{"deal_id": "R1-0", "rep_id": r, "share": 0.5, "split_type": "revenue"} for r in ("R1", "R2")]
    book = book_of([*decided("R1", won=1, amount=100.0), *decided("R2", lost=1, amount=1.0)], splits=shares)
    joined = book.deals.merge(book.table("splits"), on="deal_id", how="left")
    assert joined.loc[joined["outcome"] == "won", "amount"].sum() == 200.0  # counted once per assignee
    assert win_rate(book)["won_amount"].sum() == 100.0
    sold = measure(book, "sales").table
    assert sold is not None and sold["value"].sum() == 100.0


def test_11_what_is_missing_and_what_is_too_much_are_told_apart(book_of: Build) -> None:
    """The accuracy of a forecast is signed, and told by how early it was made."""
    off = (pd.Series([80.0, 120.0]) - 100).abs() / 100
    assert (1 - off).tolist() == [0.8, 0.8]  # unsigned: the same figure for too little and too much
    quarter = {"start_on": "2026-01-01", "end_on": "2026-03-31"}
    targets = [{"rep_id": r, "metric": "won_amount", "value": 100.0, **quarter} for r in ("R1", "R2")]
    calls = [  # what came: 80 and 120
        {"rep_id": r, "at": at, "amount": 100.0, "called_by": r, **quarter}
        for r, at in (("R1", "2026-01-10"), ("R2", "2026-03-20"))
    ]
    deals = [*decided("R1", won=1, amount=80.0), *decided("R2", won=1, amount=120.0)]
    book = book_of(deals, targets=targets, forecast_calls=calls)
    table = measure(book, "quota_attainment", "rep", "2026Q1").table
    assert table is not None
    assert table["value"].tolist() == [0.8, 1.2] and table["gap"].tolist() == [20.0, -20.0]
    said = measure(book, "forecast_calls", "rep", "2026Q1").table
    assert said is not None
    signed = said.set_index("rep_id")
    assert signed["bias"].to_dict() == pytest.approx({"R1": 20 / 80, "R2": -20 / 120})
    assert signed["lead"].to_dict() == {"R1": "60–89", "R2": "0–29"}  # never averaged over how early


def test_12_identical_reps_are_not_ranked(book_of: Build) -> None:
    """Twelve reps with one true rate: a ranking names a best and a worst each time; ours names hardly ever anybody."""
    chance, runs, named, spread = np.random.default_rng(12), 50, 0, 0
    for _ in range(runs):
        wins = chance.binomial(40, 0.3, 12)
        spread += int(wins.max() - wins.min() >= 6)  # at least 15 points between the "best" and the "worst"
        table = rep_rates(
            book_of([d for i, w in enumerate(wins) for d in decided(f"R{i:02}", int(w), 40 - int(w))])
        ).table
        named += bool(table["signal"].isin(["above", "below"]).any())
    assert spread / runs > 0.9  # the trap: the ranking always has something to tell
    assert named / runs <= 0.10 + 2 * np.sqrt(0.1 * 0.9 / runs)  # all are false here: the false-discovery rate of 10 %


def test_12_a_rep_who_is_another_is_named(book_of: Build) -> None:
    deals = [d for i in range(11) for d in decided(f"R{i:02}", 12, 28)] + decided("R11", 32, 8)
    signal = rep_rates(book_of(deals)).table.set_index("rep_id")["signal"]
    assert signal["R11"] == "above"


def test_13_a_column_without_a_signal_does_not_split_the_win_rate(demo: Book) -> None:
    """A placebo separates won from lost as badly as chance, and its levels' intervals all hold the overall rate."""
    deals = decided_deals(demo)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    won = deals["outcome"] == "won"
    rate = won.groupby(deals["webinar_topic"]).transform("mean")
    assert rate.nunique() >= 3 and rate.max() > rate.min()  # the trap: some topic always looks best
    best = deals.loc[rate.idxmax(), "webinar_topic"]
    assert 0.5 < _auc(rate, won) < 0.56 and best  # … at an AUC that says nothing
    table = measure(demo, "win_rate", "webinar_topic").table
    whole = measure(demo, "win_rate", "").table
    assert table is not None and whole is not None
    overall = float(whole["value"].iloc[0])
    assert ((table["low"] <= overall) & (overall <= table["high"])).all()
    fit = fit_drivers(demo, drivers=["webinar_topic"])
    assert not fit.usable


def _auc(score: pd.Series, won: pd.Series) -> float:
    """Mann-Whitney: how often a won deal scores above a lost one, ties counted half."""
    ranks = score.rank()
    wins, losses = int(won.sum()), int((~won).sum())
    return float((ranks[won].sum() - wins * (wins + 1) / 2) / (wins * losses))


def test_14_the_bottom_quartile_improves_by_itself_and_nobody_is_credited(book_of: Build) -> None:
    """No coaching, one true rate: the worst of one half-year do better in the next, and yet nobody's own figures say
    that they have changed, or that they are better than their peers."""
    chance, runs, gains, named, apart, verdicts = np.random.default_rng(14), 20, [], 0, 0, []
    for _ in range(runs):
        first, second = chance.binomial(30, 0.3, 24), chance.binomial(30, 0.3, 24)
        worst = np.argsort(first)[:6]
        gains.append((second[worst].mean() - first[worst].mean()) / 30)
        coached = [f"R{i:02}" for i in worst]
        halves = [
            [d for i, w in enumerate(wins) for d in decided(f"R{i:02}", int(w), 30 - int(w), **days)]
            for wins, days in (
                (first, {"created_at": "2025-06-01", "closed_at": "2025-09-10"}),
                (second, {"created_at": "2026-01-01", "closed_at": "2026-03-10"}),
            )
        ]
        then, now = (book_of(half) for half in halves)
        named += int((rep_rates(now).table.set_index("rep_id").loc[coached, "signal"] == "above").sum())
        both = win_rate(then).merge(win_rate(now), on="rep_id", suffixes=("_then", "_now")).set_index("rep_id")
        apart += int((both.loc[coached, "low_now"] > both.loc[coached, "high_then"]).sum())
        halves[1] = [{**d, "deal_id": f"{d['deal_id']}-2"} for d in halves[1]]
        sessions = pd.DataFrame({"rep_id": coached, "on": pd.Timestamp("2025-12-20")})
        impact = coaching_impact(book_of([d for half in halves for d in half]), sessions).table
        verdicts.append(impact["verdict"].iloc[0])
    assert np.mean(gains) > 0.08  # regression to the mean: 8 points and more, and nobody did anything
    assert named / (6 * runs) < 0.05
    assert apart / (6 * runs) < 0.05  # their intervals before and after do overlap
    assert verdicts.count("better") / runs <= 0.05  # held against their own history and the others: no credit …
    assert verdicts.count("none") > runs / 3  # … although a true effect could have been seen in many of the runs


def test_15_a_misspelt_key_is_reported_and_loses_no_revenue(tmp_path: Path) -> None:
    text = "deal_id,rep_id,stage,created_at,closed_at,amount,product\n"
    text += "D1,R1,Closed Won,2026-01-01,2026-02-01,65,CRM Pro\nD2,R1,Closed Won,2026-01-01,2026-02-01,35,CRMPro\n"
    text += "D3,R1,Closed Lost,2026-01-01,2026-02-01,1,CRM Pro\n"
    products = "product,family,list_price\nCRM Pro,CRM,70\n"
    raw = pd.read_csv(pd.io.common.StringIO(text)).merge(pd.read_csv(pd.io.common.StringIO(products)), on="product")
    assert raw.loc[raw["stage"] == "Closed Won", "amount"].sum() == 65  # the inner join loses 35 % of the revenue
    book = load_csv(tmp_path, text, products=products)
    assert total(win_rate(book, ""))["won_amount"] == 100.0
    [note] = [n for n in book.quality["notes"] if n["check"] == "unmatched-key"]
    assert (note["table"], note["column"], note["examples"]) == ("deals", "product", ["CRMPro"])
    by_product = win_rate(book, "product").set_index("product")["won_amount"]
    assert by_product.to_dict() == {"CRM Pro": 65.0, "CRMPro": 35.0}


def test_16_the_cycle_counts_what_is_still_open(book_of: Build) -> None:
    # quick deals are closed, slow ones are still open: the mean over closed ones says 10 days, half are not done at 100
    quick = [dict(d, closed_at="2026-01-11") for d in decided("R1", won=4)]
    slow = [dict(d, deal_id=f"open-{i}") for i, d in enumerate(decided("R1", opened=6))]
    lost = [dict(d, closed_at="2026-01-21", deal_id="lost") for d in decided("R1", lost=1)]
    book = book_of([*quick, *slow, *lost], as_of="2026-04-11")
    closed = book.deals[book.deals["outcome"] == "won"]
    assert (closed["closed_at"] - closed["created_at"]).dt.days.mean() == 10.0
    row = total(sales_cycle(book, ""))
    assert (row["n"], row["decided"], row["open"]) == (11, 5, 6)
    assert np.isnan(row["value"])  # 5 of 11 in 20 days and none since: the median lies beyond the 100 days of the data
    assert row["mean_won"] == 10.0  # beside it, and called so


def test_all_sixteen_are_here() -> None:
    numbers = {int(name.split("_")[1]) for name in globals() if name.startswith("test_") and name[5].isdigit()}
    assert numbers == set(range(1, 17))
