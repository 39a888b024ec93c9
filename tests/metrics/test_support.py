"""Whom to praise and help: planted reps are found, and among equals hardly anybody is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import erfc, sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.kit import kit_path
from salescoach.metrics import help_list, praise_list, stage_flow, win_rate
from salescoach.metrics.compare import discoveries
from salescoach.metrics.support import coach_hint, like_for_like_everywhere

Build = Callable[..., Book]
REPS = [f"R{i:02}" for i in range(12)]
STEPS = ("prospect", "qualified", "quote", "contract")


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((kit_path("data/demo") / "truth.json").read_text(encoding="utf-8"))
    return found


def test_the_planted_weak_rep_is_found_where_it_was_planted(demo: Book, truth: dict[str, Any]) -> None:
    weak = truth["weak_rep"]
    rows = help_list(demo)
    there = rows[(rows["rep_id"] == weak["rep_id"]) & (rows["stage"] == weak["stage"])]
    assert len(there) == 1 and there["z"].item() < -3
    assert there["value"].item() < there["usual"].item() - 0.2
    assert there["coach"].item().startswith("Look for quotes never sent")
    assert there["losses"].item() > 20 and there["reason_n"].item() <= there["losses"].item()
    assert help_list(demo, language="zh")["coach"].str.contains("查找漏发的报价").any()


def test_the_planted_strong_rep_is_found(demo: Book, truth: dict[str, Any]) -> None:
    strong = truth["strong_rep"]
    rows = praise_list(demo)
    assert ((rows["rep_id"] == strong["rep_id"]) & (rows["stage"] == strong["stage"])).any()
    assert not (rows["rep_id"] == truth["weak_rep"]["rep_id"]).any()


def test_who_left_is_on_no_list(demo: Book, truth: dict[str, Any]) -> None:
    for table in (help_list(demo), praise_list(demo)):
        assert truth["leaver"]["rep_id"] not in set(table["rep_id"])


def test_help_with_answers_names_the_stage_that_sets_their_limit(demo: Book) -> None:
    rows = help_list(demo)
    hints = rows.loc[rows["measure"] == "response_time", "coach"]
    assert len(hints) and set(hints) == {coach_hint(demo, "new", "prospect")}


def test_expected_adds_up_to_what_was_reached(demo: Book) -> None:
    table = like_for_like_everywhere(demo)
    sums = table.groupby(["measure", "stage"], dropna=False)[["reached", "expected", "n"]].sum()
    assert np.allclose(sums["reached"], sums["expected"])
    handed = demo.table("changes")
    moved = set(handed.loc[handed["field"] == "rep_id", "deal_id"])
    decided = demo.deals[demo.deals["outcome"].isin(["won", "lost"]) & ~demo.deals["deal_id"].isin(moved)]
    assert sums.loc["win_rate", "n"].sum() == len(decided) - decided["rep_id"].isna().sum()
    assert win_rate(demo, "")["n"][0] > len(decided) and len(stage_flow(demo)) == 4


def equals(build: Build, seed: int, weak: float = 0.0, deals_each: int = 60) -> Book:
    """Twelve reps of one skill; the first gets `weak` taken off the chance to leave the quote stage."""
    chance = np.random.default_rng(seed)
    deals, log, leads = [], {}, []
    start = pd.Timestamp("2026-01-01")
    for r, rep in enumerate(REPS):
        for i in range(deals_each):
            key, at = f"{rep}-{i}", start + pd.Timedelta(hours=int(chance.integers(0, 1500)))
            deals.append({"deal_id": key, "rep_id": rep, "segment": str(chance.choice(["SMB", "Mid"]))})
            steps = []
            for stage, share in zip((*STEPS, "won"), (0.8, 0.65, 0.7, 0.75, 0.0), strict=True):
                steps.append(f"{stage} {at.isoformat()}")
                at += pd.Timedelta(hours=int(chance.integers(5, 200)))
                if stage == "won":
                    break
                if chance.random() > share - (weak if r == 0 and stage == "quote" else 0.0):
                    steps.append(f"lost {at.isoformat()}")
                    break
            log[key] = ", ".join(steps)
            asked = start + pd.Timedelta(hours=int(chance.integers(0, 1500)))
            answered = asked + pd.Timedelta(hours=float(chance.lognormal(1.4, 1.0)))
            leads.append(
                {
                    "lead_id": key,
                    "rep_id": rep,
                    "created_at": asked.isoformat(),
                    "first_response_at": answered.isoformat(),
                }
            )
    return build(deals, log, leads=leads)


def test_among_identical_reps_flags_are_no_more_than_the_nominal_rate(book_of: Build) -> None:
    """Nothing is there to be found, so every flag is false: a book has one in at most a tenth of the cases."""
    books = [like_for_like_everywhere(equals(book_of, seed)) for seed in range(20)]
    flagged = sum(bool(table["signal"].isin(["above", "below"]).any()) for table in books)
    assert flagged <= 0.1 * len(books)
    judged = pd.concat(books)
    judged = judged[judged["signal"] != "few"]
    assert len(judged) > 1000, "the test must judge, not look away"
    # the guard: without correction for the many comparisons nearly every book would have a name
    assert sum(bool((table["p"] < 0.05).any()) for table in books) >= 0.7 * len(books)


def test_one_weak_rep_among_equals_is_found(book_of: Build) -> None:
    rows = [help_list(equals(book_of, seed, weak=0.45)) for seed in range(5)]
    hits = [bool(((r["rep_id"] == "R00") & (r["stage"] == "quote")).any()) for r in rows]
    others = sum(len(r[r["rep_id"] != "R00"]) for r in rows)
    assert sum(hits) >= 4 and others <= 2


def test_with_too_few_people_nobody_is_compared(demo: Book) -> None:
    with pytest.raises(Unavailable, match="fewer than 3 reps"):
        help_list(demo.for_rep("R05"))


def test_where_nothing_is_found_the_lists_are_empty_and_whole(book_of: Build) -> None:
    book = equals(book_of, 3)
    table = help_list(book)
    assert table.empty and {"coach", "losses", "reason"} <= set(table.columns) and praise_list(book).empty


def test_against_loops(demo: Book) -> None:
    """The win rates' part once more, in loops."""
    changes = demo.table("changes")
    moved = set(changes.loc[changes["field"] == "rep_id", "deal_id"])
    deals = [d for d in demo.deals.to_dict("records") if d["outcome"] in ("won", "lost") and d["deal_id"] not in moved]
    deals = [d for d in deals if isinstance(d["rep_id"], str)]
    cells: dict[tuple[str, str], list[int]] = {}
    for d in deals:
        cells.setdefault((d["segment"], d["deal_type"]), []).append(d["outcome"] == "won")
    table = like_for_like_everywhere(demo)
    ours = table[table["measure"] == "win_rate"].set_index("rep_id")
    for rep in ours.index:
        usual = [np.mean(cells[d["segment"], d["deal_type"]]) for d in deals if d["rep_id"] == rep]
        won = sum(d["outcome"] == "won" for d in deals if d["rep_id"] == rep)
        off = won - sum(usual)
        z = np.sign(off) * max(abs(off) - 0.5, 0) / sqrt(sum(p * (1 - p) for p in usual))
        assert ours.loc[rep, "z"] == pytest.approx(z) and ours.loc[rep, "p"] == pytest.approx(erfc(abs(z) / sqrt(2)))
    judged = table[table["signal"] != "few"]
    named = discoveries(judged["p"].to_numpy(), 0.1)
    assert (judged["signal"].isin(["above", "below"]).to_numpy() == named).all()
