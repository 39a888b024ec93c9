"""Findings about a rep: the arithmetic of habits, what luck may claim, and silence on thin data."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from math import erf, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.coaching.findings import MOVABLE, SENTENCES, VERY_SURE, coaching_findings, money_of
from salescoach.coaching.habits import HABITS, habits, habits_of_others, more_than_usual, true_spread
from salescoach.coaching.strengths import deal_to_replicate
from salescoach.reports.others import tables_of_others
from salescoach.sources import sample_book
from salescoach.wording import words

_FILE = Path(__file__).resolve().parents[1] / "metrics" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("books_of_metrics", _FILE)
_BOOKS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BOOKS)
PERIOD = "last 365 days"


@pytest.fixture(scope="module")
def others() -> dict[str, pd.DataFrame]:
    return tables_of_others(sample_book(), PERIOD)


@pytest.fixture(scope="module")
def slice_of(others):
    return lambda rep: replace(sample_book().for_rep(rep), peers=others)


@pytest.fixture(scope="module")
def found_of(slice_of):
    kept = {}

    def found(rep, language="en"):
        if (rep, language) not in kept:
            kept[rep, language] = coaching_findings(slice_of(rep), PERIOD, language)
        return kept[rep, language]

    return found


# --- the arithmetic --------------------------------------------------------------------------------


def test_a_share_is_drawn_towards_what_is_usual():
    # noise = .5 × .5 / 100 + .05² / 12 = .00270833; weight = .1² / (.1² + noise) = .786885
    # likely = .5 - .786885 × .1 = .421311; sd = √(.786885 × .00270833) = .0461644; z = -.078689 / .0461644 = -1.70453
    likely, above = more_than_usual(100, 40, 0.5, 0.1)
    assert likely == pytest.approx(0.421311, abs=1e-6)
    assert above == pytest.approx(0.5 * (1 + erf(-1.70453 / sqrt(2))), abs=1e-5)


def test_where_people_do_not_differ_nothing_is_said():
    assert more_than_usual(1000, 900, 0.5, 0.0) == (0.5, 0.5)


def test_the_spread_is_what_chance_does_not_explain():
    # P = .5, Q = 2 × 100 × .1² / .25 = 8, one degree of freedom; variance = .25 × (8 - 1) / (200 - 20000 / 200) = .0175
    assert true_spread(np.array([100.0, 100.0]), np.array([40.0, 60.0])) == pytest.approx(sqrt(0.0175))
    assert true_spread(np.array([100.0, 100.0]), np.array([50.0, 50.0])) == 0.0
    assert true_spread(np.array([5.0]), np.array([2.0])) == 0.0


@pytest.mark.parametrize("spread", [0.0, 0.08])
def test_claims_about_habits_are_mostly_true_and_rare_without_differences(spread):
    """30 reps with 60 records each: without differences hardly anybody is named; with them nine in ten claims hold."""
    chance = np.random.default_rng(7)
    claims, right = 0, 0
    for _ in range(40):
        truth = np.clip(chance.normal(0.4, spread, 30), 0.05, 0.95)
        n = np.full(30, 60.0)
        hits = chance.binomial(60, truth).astype(float)
        usual = round(round(hits.sum() / n.sum() / 0.05) * 0.05, 2)
        found = round(true_spread(n, hits), 2)
        for share, own in zip(truth, hits, strict=True):
            _, above = more_than_usual(60, own, usual, found)
            if max(above, 1 - above) > 0.9:
                claims += 1
                right += (share > hits.sum() / n.sum()) == (above > 0.5)
    if spread:
        assert claims > 200 and right / claims > 0.9
    else:
        assert claims <= 0.02 * 40 * 30


# --- habits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 5])
def test_answers_in_time_are_those_a_plain_count_finds(seed):
    book = _BOOKS.random_book(seed)
    limit = 4 * 3600
    counted: dict[str, list[int]] = {}
    for lead in book.table("leads").to_dict("records"):
        waited = (lead["first_response_at"] - lead["created_at"]).total_seconds()
        so_far = (book.as_of - lead["created_at"]).total_seconds()
        if isinstance(lead["rep_id"], str) and so_far > limit:
            n, hits = counted.get(lead["rep_id"], [0, 0])
            counted[lead["rep_id"]] = [n + 1, hits + int(waited <= limit)]
    table = habits(book)
    own = table[table["habit"] == "response_time"].set_index("rep_id")
    assert {rep: [int(r["n"]), int(r["hits"])] for rep, r in own.iterrows()} == counted


@pytest.mark.parametrize("seed", [2, 3])
def test_every_share_lies_in_its_interval_and_counts_whole_records(seed):
    table = habits(_BOOKS.busy_book(seed))
    assert set(table["habit"]) <= set(HABITS) and len(set(table["habit"])) >= 5
    assert (table["n"] > 0).all() and (table["hits"] <= table["n"]).all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_what_is_usual_is_shown_only_from_six_reps_on():
    few = habits_of_others(_BOOKS.busy_book(1))  # four reps
    assert len(few) and few["hidden"].all() and few["value"].isna().all() and few["spread"].isna().all()
    many = habits_of_others(sample_book(), PERIOD)
    assert not many["hidden"].any() and (many["reps"] == 6).all()
    assert not {"rep_id", "n", "hits"} & set(many.columns)
    assert np.allclose(many["value"] * 20, (many["value"] * 20).round())  # five points


# --- findings --------------------------------------------------------------------------------------


def test_the_strong_rep_of_the_demo_is_praised_for_the_stage_that_was_planted(found_of):
    found = found_of("R06")
    assert (found.strength["key"], found.strength["stage"]) == ("stage_flow", "qualified")
    assert found.strength["grade"] == "strong" and found.strength["value"] > found.strength["usual"]
    assert found.skill is None and found.more > 0


def test_ranked_by_evidence_money_and_movability_with_thin_ones_last_and_silent(found_of):
    found = found_of("R03")
    table = found.table
    order = {"thin": 1}
    assert table["grade"].map(lambda g: order.get(g, 0)).is_monotonic_increasing
    for _, part in table.groupby(table["grade"] == "thin"):
        assert part["score"].is_monotonic_decreasing
    weak = table[~table["good"] & table["money"].notna()]
    expected = (2 * weak["p"] - 1) * weak["money"] * weak["key"].map(MOVABLE)
    assert np.allclose(weak["score"], expected)
    spoken = table[table["grade"] != "thin"]
    assert (spoken["p"] > 0.9).all() and (spoken["n"] >= 10).all()
    strong = table[table["grade"] == "strong"]
    assert (strong["p"] >= VERY_SURE).all() and (strong["n"] >= 30).all()
    assert found.skill == table[(table["grade"] != "thin") & ~table["good"]].iloc[0].to_dict()


def test_the_same_book_gives_the_same_findings_and_stays_as_it_was(slice_of, found_of):
    book = slice_of("R03")
    before = book.content_hash
    first, second = coaching_findings(book, PERIOD), found_of("R03")
    pd.testing.assert_frame_equal(first.table, second.table)
    assert book.content_hash == before


def test_of_somebody_new_the_number_of_deals_says_nothing(found_of):
    assert "volume" not in set(found_of("R21").table["key"])  # in the job since January
    assert "volume" in set(found_of("R03").table["key"])


def test_without_a_deal_there_is_no_finding(slice_of):
    found = coaching_findings(slice_of("R24"), PERIOD)
    assert found.table.empty and found.skill is None and found.strength is None
    assert "gap" in found.unavailable


def test_findings_are_about_one_rep():
    found = coaching_findings(sample_book(), PERIOD)
    assert found.table.empty and "one rep" in str(found.unavailable["gap"])


def test_without_figures_of_others_a_stage_is_held_against_itself_alone(slice_of):
    book: Book = replace(slice_of("R03"), peers={})
    keys = set(coaching_findings(book, PERIOD).table["key"])
    assert keys <= {"worse", "lowest"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_finding_is_one_sentence_with_its_n(found_of, language):
    table = found_of("R03", language).table
    assert table["sentence"].str.contains("n = ").all() and not table["sentence"].str.contains(r"[{}]|nan").any()
    assert (table["help"] != "").all() and table["rows"].notna().all()
    if language == "zh":
        assert table["sentence"].str.contains("[\u4e00-\u9fff]").all()
    else:
        assert not table["sentence"].str.contains("because|cause").any()


def test_every_key_has_a_sentence_help_and_rows():
    from salescoach.coaching.findings import HELP, ROWS
    from salescoach.metrics import METRICS

    assert set(SENTENCES) == set(HELP) == set(ROWS) == set(MOVABLE)
    assert set(ROWS.values()) <= set(METRICS)


def test_the_process_files_hint_stands_in_the_help(found_of):
    row = found_of("R03").skill
    assert row["stage"] == "quote" and row["help"].startswith("Look for quotes never sent")


def test_money_is_written_to_two_digits(slice_of):
    book = slice_of("R03")
    assert money_of(book, {"money": 123456.0}, words("en")) == "goes with about ¥120K"
    assert money_of(book, {"money": float("nan")}, words("en")) == ""


# --- a deal to replicate ---------------------------------------------------------------------------


def test_the_deal_to_replicate_is_the_largest_win_that_went_through_the_stage():
    book = _BOOKS.build(
        deals=[{"deal_id": d, "amount": a, "rep_id": "R1"} for d, a in (("A", 100.0), ("B", 900.0), ("C", 500.0))],
        log={
            "A": "prospect 2026-01-01, quote 2026-01-05, won 2026-01-20",
            "B": "prospect 2026-01-01, contract 2026-01-05, won 2026-01-20",  # passed the quote over
            "C": "prospect 2026-01-01, quote 2026-02-01, contract 2026-02-04, won 2026-02-20",
        },
    )
    stage = {"key": "stage_flow", "pipeline": "new", "stage": "quote"}
    found = deal_to_replicate(book, None, stage)
    assert (found["deal_id"], found["stage_days"]) == ("C", 3.0)
    assert deal_to_replicate(book)["deal_id"] == "B"
    assert deal_to_replicate(book, "2025") is None
