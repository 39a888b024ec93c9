"""At-risk counts: worked out by hand, and equal to a loop over every day."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.lexis import AGES, ALL_STAGES, Lexis, Stays, lexis, lexis_counts, stages_recorded, stays
from salescoach.sources.load import load_book

Build = Callable[..., Book]


def day_by_day(found: Stays, ages: tuple[int, ...] = AGES) -> tuple[Any, Any]:
    """The slow way: every day anew, who is there and who leaves."""
    states, days = len(found.states), found.last_day - found.first_day + 1
    at_risk = np.zeros((states, days, len(ages)), dtype=int)
    exits = np.zeros((states, states + 3, days, len(ages)), dtype=int)
    for d in range(days):
        day = found.first_day + d
        here = (found.entered <= day) & (found.exited >= day)
        gone = here & (found.exited == day) & (found.to >= 0)
        ends = np.array([sum(low <= age for low in ages) - 1 for age in range(day - found.entered.min() + 1)])
        np.add.at(at_risk, (found.state[here], d, ends[day - found.entered[here]]), 1)
        np.add.at(exits, (found.state[gone], found.to[gone], d, ends[day - found.entered[gone]]), 1)
    return at_risk, exits


def assert_same(counts: Lexis, found: Stays, ages: tuple[int, ...] = AGES) -> None:
    at_risk, exits = day_by_day(found, ages)
    assert np.array_equal(counts.at_risk, at_risk)
    assert np.array_equal(counts.exits, exits)


def test_three_deals_by_hand(book_of: Build) -> None:
    book = book_of(
        log={
            "D1": "prospect 2026-01-01, qualified 2026-01-03, won 2026-01-04",
            "D2": "prospect 2026-01-02, lost 2026-01-02",
            "D3": "prospect 2026-01-04",
        },
        as_of="2026-01-05",
    )
    counts = lexis(stays(book), ages=(0, 1, 2))
    # the first end is D2's, on 2 January, so days run from there to the 5th
    # prospect: 2nd D1 (age 1) and D2 (0); 3rd D1 (2), who leaves; 4th D3 (0); 5th D3 (1)
    assert counts.at_risk[0].tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    # qualified: D1 on the 3rd (age 0) and on the 4th (1), when it is won
    assert counts.at_risk[1].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    won, lost = 4, 5  # behind the four working stages
    assert counts.exits[0, lost, 0, 0] == 1 and counts.exits[0, 1, 1, 2] == 1 and counts.exits[1, won, 2, 1] == 1
    assert counts.exits.sum() == 3
    assert counts.entries[0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ages", [AGES, (0,), (0, 3, 10)])
def test_one_pass_equals_a_loop_over_days(generated: Any, seed: int, ages: tuple[int, ...]) -> None:
    found = stays(generated(seed))
    assert found.by_stage
    assert_same(lexis(found, ages), found, ages)


def test_it_equals_the_loop_on_published_deals(trial: Callable[[str], Path]) -> None:
    book = load_book(trial("maven"), source="maven")
    found = stays(book)
    assert found.states == (("new", ALL_STAGES),) and len(found.deal) == 8_300  # 500 are not dated
    assert_same(lexis(found), found)


def test_the_table_holds_all_deal_days_and_adds_up(generated: Any) -> None:
    book = generated(3)
    counts, table = lexis(stays(book)), lexis_counts(book)
    assert table["n"].sum() == counts.at_risk.sum()
    assert table["entered"].sum() == counts.entries.sum()
    assert table[["won", "lost", "void", "moved"]].sum().sum() == counts.exits.sum()
    assert (table["n"] > 0).all() and (table["week"].dt.day_of_week == 0).all()


def test_stages_that_were_only_assumed_tell_nothing(book_of: Build) -> None:
    """An open deal stands in `qualified`, a closed one was `prospect`: that tells who stayed open, not who moved."""
    book = book_of(log={"D1": "prospect 2026-01-01, won 2026-01-20", "D2": "qualified 2026-01-05"})
    assert not stages_recorded(book)
    assert [stage for _, stage in stays(book).states] == [ALL_STAGES]
    moved = book_of(log={"D1": "prospect 2026-01-01, qualified 2026-01-10, won 2026-01-20"})
    assert stages_recorded(moved)


def test_without_any_dated_deal_it_is_unavailable(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="no deal has both"):
        stays(book_of([{"deal_id": "D1"}]))


def test_input_is_not_changed(generated: Any) -> None:
    book = generated(1)
    before = {name: table.copy() for name, table in book.tables.items()}
    lexis_counts(book)
    for name, table in before.items():
        pd.testing.assert_frame_equal(book.tables[name], table)
