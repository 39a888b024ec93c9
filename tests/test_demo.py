"""The bundled demo data: what was planted is found, what is dirty is listed, and nothing of it is guessed."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from salescoach.kit import kit_path
from salescoach.metrics import mean_days_in, stage_flow, win_rate
from salescoach.models import rep_rates
from salescoach.sample import simulate, write_demo
from salescoach.sample.rates import NO_DIRT
from salescoach.sources import load_book


@pytest.fixture(scope="module")
def truth():
    return json.loads((kit_path("data/demo") / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def clean_book(tmp_path_factory):
    """The same world without the dirt."""
    folder = tmp_path_factory.mktemp("clean")
    write_demo(folder, sample=simulate(seed=7), rates=NO_DIRT)
    return load_book(folder, source=str(kit_path("data/demo") / "source.toml"))


def test_the_committed_files_are_what_the_generator_writes(tmp_path):
    write_demo(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        assert file.read_bytes() == (kit_path("data/demo") / file.name).read_bytes(), file.name


def test_every_row_is_used_or_set_aside_and_exactly_the_planted_ones(demo_book, truth):
    planted = Counter()
    for kind in truth["dirt"]["kinds"]:
        if kind["expect"] == "quarantined":
            planted[kind["table"], kind["reason"]] += kind["count"]
    found = Counter(zip(demo_book.quarantine["table"], demo_book.quarantine["reason"], strict=True))
    assert found == planted


def test_about_twenty_kinds_of_dirt_and_no_refusal(truth):
    assert len({k["kind"] for k in truth["dirt"]["kinds"]}) >= 20


NOTED = {
    "blank-amount-open": "open-without-amount",
    "zero-amount-lost": "amount-zero-at-loss",
    "deal-without-rep": "no-rep",
    "stale-expected-close": "stale-expected-close",
    "missing-lost-reason": "lost-without-reason",
    "close-at-month-end": "closed-on-month-end",
}


@pytest.mark.parametrize("kind", NOTED)
def test_what_was_noticed_is_what_was_planted(demo_book, truth, kind):
    planted = sum(k["count"] for k in truth["dirt"]["kinds"] if k["kind"] == kind)
    assert sum(n["count"] for n in demo_book.quality["notes"] if n["check"] == NOTED[kind]) == planted


def test_a_product_key_that_does_not_match_is_reported_and_loses_nothing(demo_book):
    [note] = [n for n in demo_book.quality["notes"] if n["check"] == "unmatched-key" and n["column"] == "product"]
    assert (note["count"], note["examples"]) == (30, ["CloudDeskPro"])
    assert len(demo_book.deals) == 4000


def test_the_dirt_changes_no_count(demo_book, clean_book):
    dirty, clean = win_rate(demo_book, by=()), win_rate(clean_book, by=())
    assert dirty[["n", "won", "lost", "void"]].equals(clean[["n", "won", "lost", "void"]])
    assert stage_flow(demo_book)[["stage", "n", "deeper", "lost"]].equals(
        stage_flow(clean_book)[["stage", "n", "deeper", "lost"]]
    )


def test_stage_flow_finds_the_planted_conversions_and_the_bottleneck(demo_book):
    # planted: .70, .50, .65, .75
    flow = stage_flow(demo_book).set_index("stage")
    for stage, planted in {"prospect": 0.70, "qualified": 0.50, "quote": 0.65, "contract": 0.75}.items():
        assert flow.low[stage] <= planted <= flow.high[stage], stage
    assert flow.value.idxmin() == "qualified"


def test_a_quote_takes_three_days_on_average(demo_book):
    mean, low, high = mean_days_in(demo_book, "quote")
    assert low <= 3.0 <= high
    assert mean == pytest.approx(3.0, abs=0.15)


def test_stage_flow_shows_the_weak_rep_at_the_quote_and_the_strong_one_at_qualified(demo_book, truth):
    by_rep = stage_flow(demo_book, by="rep")
    for key, worst in (("weak_rep", True), ("strong_rep", False)):
        rep, stage = truth[key]["rep_id"], truth[key]["stage"]
        at = by_rep[(by_rep["stage"] == stage) & (by_rep["n"] >= 20) & (by_rep["rep_id"] != "(unassigned)")].set_index(
            "rep_id"
        )["value"]
        assert (at.idxmin() if worst else at.idxmax()) == rep


def test_twelve_equal_reps_are_not_ranked():
    """Guard twin: where nothing was planted nobody is named, though a naive ranking always has a last."""
    from salescoach.sample import Truth

    nothing = Truth(weak_logit=0.0, strong_logit=0.0, skill_sd=0.0, coaching_waves=0, exact_shares=False)
    named = 0
    for seed in range(3):
        sample = simulate(n_deals=1500, n_reps=12, seed=seed, truth=nothing)
        book = _book_of(sample)
        named += int(rep_rates(book).table["signal"].isin(["above", "below"]).any())
        rates = win_rate(book)
        rates = rates[rates["n"] >= 20]
        assert rates["value"].max() - rates["value"].min() > 0.05, "the naive ranking does find a best and a worst"
    assert named <= 1


def _book_of(sample):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_demo(folder, sample=sample, rates=NO_DIRT)
        return load_book(folder, source="generic", as_of=sample.truth["as_of"])
