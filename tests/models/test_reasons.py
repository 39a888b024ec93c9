"""Reasons weighed: the Pareto's numbers, honest intervals, and differences named only where chance is unlikely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import doubted_reasons, loss_reasons, measure
from salescoach.metrics.losses import NOT_RECORDED
from salescoach.models import fit_pareto, fit_reason_differences
from salescoach.models.reasons import EXPECTED, MOST_REASONS, OTHER, goodman
from salescoach.sources import load_book

Build = Callable[..., Book]


def lost(key: str, reason: str | None, **more: Any) -> dict[str, Any]:
    dates = {"created_at": "2026-01-05", "closed_at": "2026-03-10 10:00"}
    return {"deal_id": key, "rep_id": "R1", "stage": "lost", "lost_reason": reason, **dates, **more}


FIVE = [
    lost("1", "price", amount=100.0),
    lost("2", "price", amount=50.0, competitor="Rival"),
    lost("3", "competitor", amount=500.0),
    lost("4", None, amount=50.0),
    lost("5", "timing", closed_at="2026-03-11 10:00"),  # four on one morning are no batch
]


# --- the Pareto ------------------------------------------------------------------------------------


def test_the_heaviest_reason_stands_first_and_what_is_not_recorded_last(book_of: Build) -> None:
    found = fit_pareto(book_of(FIVE))
    table = found.table
    assert found.n == 5 and found.by == "amount"
    # 700 in all: competitor 500, price 150, timing unknown, not recorded 50
    assert table["reason"].tolist() == ["competitor", "price", "timing", NOT_RECORDED]
    np.testing.assert_allclose(table["share"], [500 / 700, 150 / 700, 0, 50 / 700])
    np.testing.assert_allclose(table["cumulative"], [500 / 700, 650 / 700, 650 / 700, 1])
    assert table["without_amount"].tolist() == [0, 0, 1, 0] and np.isnan(table["amount"].tolist()[2])
    # the one deal lost to a competitor names none
    assert table["doubted"].tolist() == [1, 0, 0, pd.NA]
    assert table["sure_n"].tolist()[:3] == [0, 2, 1] and table["sure_amount"].tolist()[1] == 150.0


def test_by_count_the_most_frequent_stands_first(book_of: Build) -> None:
    table = fit_pareto(book_of(FIVE), by="count").table
    assert table["reason"].tolist() == ["price", "competitor", "timing", NOT_RECORDED]
    np.testing.assert_allclose(table["share"], [0.4, 0.2, 0.2, 0.2])
    np.testing.assert_allclose(table["share"], table["value"])


def test_without_amounts_deals_are_counted(book_of: Build) -> None:
    found = fit_pareto(book_of([{k: v for k, v in d.items() if k != "amount"} for d in FIVE]))
    assert found.by == "count" and found.table["amount"].isna().all()


def test_the_intervals_are_goodmans(book_of: Build) -> None:
    table = fit_pareto(book_of(FIVE), by="count").table
    # Goodman 1965: (A + 2n ± sqrt(A (A + 4 n (N - n) / N))) / (2 (N + A)), A the upper 5 % / k point of chi² with 1 df
    a, n = chi2.ppf(1 - 0.05 / 4, 1), 5
    for k, low, high in table[["n", "low", "high"]].to_numpy():
        half = sqrt(a * (a + 4 * k * (n - k) / n))
        assert [low, high] == [pytest.approx((a + 2 * k + s * half) / (2 * (n + a))) for s in (-1, 1)]


def test_goodmans_intervals_hold_together() -> None:
    chance, truth = np.random.default_rng(2), np.array([0.4, 0.3, 0.2, 0.1])
    draws = chance.multinomial(150, truth, 400)
    held = [bool(((low <= truth) & (truth <= high)).all()) for _, low, high in map(goodman, draws)]
    assert np.mean(held) >= 0.93


def test_where_no_check_can_be_made_nothing_is_said_of_doubt(book_of: Build) -> None:
    book = replace(book_of([lost("1", "price")]), precision={"deals.closed_at": "day"})
    found = fit_pareto(book)
    assert found.untold is not None and found.table["doubted"].isna().all() and found.table["sure_n"].isna().all()


def test_many_reasons_are_taken_together_and_free_words_warned_of(book_of: Build) -> None:
    rows = [lost(str(i), f"reason {i:02}", amount=float(100 - i)) for i in range(20)] + [lost("x", None)]
    found = fit_pareto(book_of(rows))
    assert found.table["reason"].tolist() == [*(f"reason {i:02}" for i in range(MOST_REASONS)), OTHER, NOT_RECORDED]
    assert found.table["n"].sum() == 21 and found.table["amount"].sum() == sum(100 - i for i in range(20))
    assert "20 different reasons stand in 20 deals" in str(found.warnings[0])
    listed = fit_pareto(book_of([lost(str(i), f"reason {i % 14}") for i in range(140)]))
    assert listed.warnings == ()


def test_currencies_are_kept_apart(book_of: Build) -> None:
    rows = [{**d, "currency": "EUR" if d["deal_id"] in "13" else "CNY"} for d in FIVE]
    found = fit_pareto(book_of(rows))
    assert found.currencies == ["CNY", "EUR"]
    assert found.table.groupby("currency")["cumulative"].max().tolist() == [1.0, 1.0]
    assert found.table.groupby("currency")["n"].sum().tolist() == [3, 2]


def test_wins_are_weighed_in_the_same_way(book_of: Build) -> None:
    rows = [{**d, "stage": "won", "won_reason": d["lost_reason"], "lost_reason": None} for d in FIVE]
    pd.testing.assert_frame_equal(
        fit_pareto(book_of(rows), of="won").table.drop(columns=["doubted", "sure_n", "sure_amount"]),
        fit_pareto(book_of(FIVE)).table.drop(columns=["doubted", "sure_n", "sure_amount"]),
    )


def test_what_cannot_be_asked_says_so(book_of: Build) -> None:
    with pytest.raises(UsageError, match=r"by='amounts' is unknown. Did you mean 'amount'\? Choices: amount, count"):
        fit_pareto(book_of(FIVE), by="amounts")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="`won_reason` is missing or empty in `deals`"):
        fit_pareto(book_of(FIVE), of="won")
    with pytest.raises(Unavailable, match="no deal of that outcome was decided in the period"):
        fit_pareto(book_of(FIVE), "1999")


@pytest.mark.parametrize("seed", range(4))
def test_the_paretos_numbers_are_those_of_the_metrics(seed: int, busy: Callable[..., Book]) -> None:
    book, chance = busy(seed), np.random.default_rng(seed)
    reasons = pd.Series(chance.choice(["price", "no answer;price", "competitor", None], len(book.deals)), dtype="str")
    book = replace(book, tables={**book.tables, "deals": book.deals.assign(lost_reason=reasons)})
    table = fit_pareto(book).table.set_index("reason")
    whole = loss_reasons(book, by="").set_index("reason")
    doubted = doubted_reasons(book, by="reason").set_index("reason")
    for column in ("n", "deals", "amount", "without_amount", "contributing"):
        assert table[column].to_dict() == pytest.approx(whole[column].to_dict(), nan_ok=True)
    assert table["doubted"].dropna().to_dict() == doubted.loc[doubted["n"] > 0, "doubted"].to_dict()
    assert ((table["sure_n"] + table["doubted"]).dropna() == table["n"].drop(NOT_RECORDED)).all()
    assert table["cumulative"].is_monotonic_increasing and table["cumulative"].iloc[-1] == pytest.approx(1)


# --- differences -----------------------------------------------------------------------------------


def segmented(counts: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    cells = [cell for cell, n in counts.items() for _ in range(n)]
    return [lost(str(i), reason, segment=segment, rep_id=f"R{i % 3}") for i, (segment, reason) in enumerate(cells)]


PLANTED = {("SMB", "price"): 40, ("SMB", "timing"): 20, ("Mid", "price"): 20, ("Mid", "timing"): 40}


def test_a_real_difference_is_named_with_its_numbers(book_of: Build) -> None:
    found = fit_reason_differences(book_of(segmented(PLANTED)), "segment,rep")
    table = found.table[found.table["across"] == "segment"].set_index(["group", "reason"])
    cell = table.loc[("SMB", "price")]
    assert cell[["n", "of", "value", "usual", "expected"]].tolist() == [40, 60, 2 / 3, 0.5, 30.0]
    # (40 - 30) / sqrt(30 · (1 - 60/120) · (1 - 60/120))
    assert cell["residual"] == pytest.approx(10 / sqrt(30 * 0.5 * 0.5))
    assert table["signal"].to_dict() == {
        ("SMB", "price"): "above",
        ("SMB", "timing"): "below",
        ("Mid", "price"): "below",
        ("Mid", "timing"): "above",
    }
    assert set(found.named["across"]) == {"segment"} and found.n == 120
    test = found.tests.set_index("across").loc["segment"]
    expected = chi2_contingency([[40, 20], [20, 40]], correction=False)
    assert [test["statistic"], test["p"]] == [pytest.approx(expected.statistic), pytest.approx(expected.pvalue)]
    assert [test["df"], test["judged"], test["groups"], test["reasons"]] == [1, 4, 2, 2]


def test_what_is_not_recorded_or_in_no_group_is_left_out(book_of: Build) -> None:
    rows = segmented(PLANTED)
    rows += [lost("a", None, segment="SMB"), lost("b", "price", segment=None)]
    found = fit_reason_differences(book_of(rows), "segment")
    assert found.table["n"].sum() == 120 and NOT_RECORDED not in set(found.table["reason"])


def test_rare_reasons_and_groups_are_taken_together(book_of: Build) -> None:
    rows = segmented({**PLANTED, ("Big", "price"): 3, ("Tiny", "timing"): 4, ("SMB", "legal"): 5, ("SMB", "tax"): 6})
    found = fit_reason_differences(book_of(rows), "segment")
    assert set(found.table["group"]) == {"SMB", "Mid", OTHER} and OTHER in set(found.table["reason"])
    assert found.table["n"].sum() == len(rows)
    assert "there are 4 of them" in str(found.warnings[0])
    few = found.table[found.table["signal"] == "few"]
    assert (few["expected"] < EXPECTED).all() and len(few)


def test_groupings_that_cannot_be_compared_say_why(book_of: Build) -> None:
    found = fit_reason_differences(book_of(segmented(PLANTED)), ("segment", "stage", "competitor"))
    assert set(found.untold) == {"stage", "competitor"}
    assert "the stage from which a deal was lost is unknown" in str(found.untold["stage"])
    with pytest.raises(Unavailable, match="fewer than two groups, or fewer than two reasons, have 10 deals each"):
        fit_reason_differences(book_of(FIVE), "rep")


def test_too_few_deals_say_how_many_more_are_needed(book_of: Build) -> None:
    cells = {(s, r): 4 for s in ("SMB", "Mid", "Big") for r in ("price", "timing", "legal")}
    found = fit_reason_differences(book_of(segmented(cells)), "segment")
    # 36 deals in 9 cells, 4 expected in each: 5 are with 45
    assert found.missing == 9 and found.named.empty and set(found.table["signal"]) == {"few"}


def shuffled(book_of: Build, seed: int, planted: bool = False, n: int = 600, reps: int = 12) -> Book:
    """Lost deals whose reason goes with nothing, or with the competitor alone."""
    chance = np.random.default_rng(seed)
    reasons = ["price", "timing", "features", "no budget", "trust"]
    rows = []
    for i in range(n):
        rival = str(chance.choice(["A", "B", "C"]))
        shares = [0.5, 0.2, 0.1, 0.1, 0.1] if planted and rival == "A" else [0.3, 0.25, 0.2, 0.15, 0.1]
        segment = str(chance.choice(["SMB", "Mid", "Big"]))
        reason = str(chance.choice(reasons, p=shares))
        rows.append(lost(str(i), reason, competitor=rival, segment=segment, rep_id=f"R{chance.integers(0, reps)}"))
    return book_of(rows)


ALL = ("competitor", "segment", "rep")


def test_where_nothing_differs_nothing_is_named(book_of: Build) -> None:
    named = [not fit_reason_differences(shuffled(book_of, seed), ALL).named.empty for seed in range(30)]
    assert sum(named) <= 6  # 10 % of 30 books, and the chance of it


def test_what_differs_is_named_and_opens_no_door_for_others(book_of: Build) -> None:
    found = [fit_reason_differences(shuffled(book_of, seed, planted=True), ALL).named for seed in range(20)]
    right = [((f["across"] == "competitor") & (f["group"] == "A") & (f["reason"] == "price")).any() for f in found]
    assert sum(right) >= 19
    assert np.mean([(f["across"] != "competitor").mean() for f in found if len(f)]) <= 0.10


@pytest.mark.nightly
def test_false_names_stay_rare_over_many_books(book_of: Build) -> None:
    nothing = [not fit_reason_differences(shuffled(book_of, s), ALL).named.empty for s in range(300)]
    assert np.mean(nothing) <= 0.10 + 2.5 * sqrt(0.1 * 0.9 / 300)
    planted = [fit_reason_differences(shuffled(book_of, s, planted=True), ALL).named for s in range(300)]
    wrong = [f["across"].ne("competitor").mean() if len(f) else 0.0 for f in planted]
    assert np.mean(wrong) <= 0.10


def test_the_guard_twin_names_too_many(book_of: Build) -> None:
    """Without care for many comparisons nearly every book would name somebody."""
    naive = 0
    for seed in range(15):
        table = fit_reason_differences(shuffled(book_of, seed), ALL).table
        naive += bool((table.loc[table["expected"] >= EXPECTED, "p"] < 0.05).any())
    assert naive >= 13


# --- real and demo data ----------------------------------------------------------------------------


def test_the_demos_reasons(demo: Book) -> None:
    found = fit_pareto(demo)
    counted = Counter(demo.deals.loc[demo.deals["outcome"] == "lost", "lost_reason"].fillna(NOT_RECORDED))
    assert found.table.set_index("reason")["n"].to_dict() == counted
    links = fit_reason_differences(demo, ("stage", "competitor", "segment", "rep"))
    # the generator ties the reason to the stage, and to nothing else
    assert set(links.named["across"]) == {"stage"}
    quote = links.named[(links.named["group"] == "quote") & (links.named["reason"] == "price")]
    assert quote["signal"].tolist() == ["above"]


def test_trial_data_without_reasons_say_so(trial: Callable[[str], Path]) -> None:
    book = load_book(trial("maven"))
    assert measure(book, "loss_reasons", by="").because == "`lost_reason` is missing or empty in `deals`"
    for of in ("lost", "won"):
        with pytest.raises(Unavailable, match="_reason` is missing or empty in `deals`"):
            fit_pareto(book, of=of)  # type: ignore[arg-type]
