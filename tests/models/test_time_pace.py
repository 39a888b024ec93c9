"""What goes with deciding sooner or later: planted paces, traps, and statsmodels given the same columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.cycle import started_deals
from salescoach.metrics.ladder import ladder_days
from salescoach.models import time_regression
from salescoach.sources.load import load_book

Trial = Callable[[str], Path]
Build = Callable[..., Book]


def paced(build: Build, seed: int, ratio: float, size: int = 400) -> Book:
    """Deals of two segments; those of "large" are decided at `ratio` times the pace. The region means nothing."""
    chance = np.random.default_rng(seed)
    deals = []
    for i in range(size):
        segment = "large" if chance.random() < 0.4 else "small"
        start = pd.Timestamp("2025-01-01") + pd.Timedelta(days=int(chance.integers(0, 360)))
        days = int(np.ceil(chance.exponential(60 / (ratio if segment == "large" else 1.0))))
        end = start + pd.Timedelta(days=days)
        deal = {"deal_id": f"D{i:03}", "created_at": str(start.date()), "segment": segment}
        deal["lead_source"] = str(chance.choice(["web", "fair"]))
        if end <= pd.Timestamp("2026-01-31"):
            deal |= {"outcome": "won" if chance.random() < 0.3 else "lost", "closed_at": str(end.date())}
        deals.append(deal)
    return build(deals, as_of="2026-01-31")


def test_a_planted_pace_is_found_and_a_placebo_is_not(book_of: Build) -> None:
    fit = time_regression(paced(book_of, 1, 2.0))
    table = fit.table.set_index("driver")
    assert table.loc["segment", ["level", "reference", "signal"]].tolist() == ["large", "small", "sooner"]
    assert table.loc["segment", "low"] < 2.0 < table.loc["segment", "high"]
    assert table.loc["lead_source", "signal"] == "none" and fit.warnings == ()


def test_half_the_pace_is_later(book_of: Build) -> None:
    row = time_regression(paced(book_of, 2, 0.5), drivers=["segment"]).table.iloc[0]
    assert row["signal"] == "later" and row["low"] < 0.5 < row["high"]


def test_equal_to_statsmodels_on_the_same_columns(book_of: Build) -> None:
    book = paced(book_of, 3, 1.3)
    deals = started_deals(book)
    large = (deals["segment"] == "large").to_numpy(float)[:, None]
    for until, ended in (
        ("decided", deals["ended"]),
        ("won", deals["ended"] & deals["won"]),
        ("lost", deals["ended"] & ~deals["won"]),
    ):
        fit = time_regression(book, drivers=["segment"], until=until)  # type: ignore[arg-type]
        theirs = PHReg(ladder_days(deals["age"].to_numpy()), large, ended.astype(int), ties="efron").fit()
        row = fit.table.iloc[0]
        assert np.log(row["value"]) == pytest.approx(theirs.params[0], abs=1e-9)
        assert np.log(row["high"] / row["low"]) == pytest.approx(2 * 1.959964 * theirs.bse[0], rel=1e-6)
        assert row["p"] == pytest.approx(theirs.pvalues[0], rel=1e-6)
        assert fit.ends == ended.sum() and fit.n == len(deals)


def test_a_ratio_that_fades_is_told(book_of: Build) -> None:
    # Half of the large deals are decided at once, the rest never: sooner at first, later afterwards.
    chance, deals = np.random.default_rng(4), []
    for i in range(400):
        large = i % 2 == 0
        days = int(chance.integers(1, 10)) if large and chance.random() < 0.5 else int(chance.integers(10, 250))
        days += 300 if large and days >= 10 else 0
        end = pd.Timestamp("2025-01-01") + pd.Timedelta(days=days)
        deal = {"deal_id": f"D{i}", "created_at": "2025-01-01", "segment": "large" if large else "small"}
        deals.append(
            deal | ({"outcome": "lost", "closed_at": str(end.date())} if end <= pd.Timestamp("2025-06-30") else {})
        )
    fit = time_regression(book_of(deals, as_of="2025-06-30"), drivers=["segment"])
    assert any("segment" in str(advice) and "early and late" in str(advice) for advice in fit.warnings)


def test_a_blank_that_only_open_deals_have_is_refused(trial: Trial) -> None:
    # Maven fills in the account at the close: its industry knows whether a deal is still open.
    fit = time_regression(load_book(trial("maven"), source="maven"))
    assert fit.refused is not None and "industry" in set(fit.refused["field"])
    assert "industry" not in set(fit.table["driver"]) and "product" in set(fit.table["driver"])
    assert fit.table["value"].between(0.3, 3).all()


def test_too_few_ends_or_nothing_known(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="too few deals came to an end"):
        time_regression(paced(book_of, 5, 1.0, size=12), drivers=["segment"])
    with pytest.raises(UsageError, match="'segmnt'"):
        time_regression(paced(book_of, 5, 1.0), drivers=["segmnt"])
    with pytest.raises(UsageError, match="until='won_at'"):
        time_regression(paced(book_of, 5, 1.0), until="won_at")  # type: ignore[arg-type]


def false_signals(build: Build, seeds: range) -> float:
    named = [
        (time_regression(paced(build, seed, 1.0), drivers=["segment", "lead_source"]).table["signal"] != "none").any()
        for seed in seeds
    ]
    return float(np.mean(named))


def test_no_pace_no_signal(book_of: Build) -> None:
    assert false_signals(book_of, range(200, 215)) <= 0.27  # four of fifteen; the rate is 10 %


@pytest.mark.nightly
def test_no_pace_no_signal_over_many_seeds(book_of: Build) -> None:
    assert false_signals(book_of, range(1000, 1200)) <= 0.15
