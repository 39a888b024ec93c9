"""Where the hours go: every minute is given, everybody has a floor, and the rest follows evidence and money."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from salescoach.coaching import hours as module
from salescoach.coaching.hours import coaching_hours
from salescoach.errors import Unavailable, UsageError
from salescoach.models import Fit


def stages(*rows: tuple[str, str, int, float, float]) -> pd.DataFrame:
    """(rep_id, stage, n, worth, p_above) as `what_if_table` gives them."""
    table = pd.DataFrame(rows, columns=["rep_id", "stage", "n", "worth", "p_above"])
    return table.assign(pipeline="new", rate=0.4, usual=0.5, low=table["worth"] - 1, high=table["worth"] + 1)


@pytest.fixture
def team(demo_book, monkeypatch):
    """The first team of the demo data, with whatever is said of its stages."""
    book = demo_book.for_team(demo_book.teams[0])

    def say(*rows):
        monkeypatch.setattr(module, "what_if_table", lambda *_: Fit(stages(*rows), 1))
        return book

    return say


def minutes(table: pd.DataFrame) -> dict[str, int]:
    return dict(zip(table["rep_id"], table["minutes"], strict=True))


def test_by_hand(team) -> None:
    """Six reps, 300 minutes, a floor of 15: 210 are left.

    R01: 30,000 × (2 × 0.95 - 1) = 27,000; R02: 10,000 × (2 × 0.80 - 1) = 6,000 (its other stage: 8,000 × 0.2 = 1,600);
    R03 has 9 records, R04 only p = 0.6, R05 a stage above the usual rate: no weight. 42 steps of five minutes:
    42 × 27 / 33 = 34.4 and 42 × 6 / 33 = 7.6, so 34 and 8 steps: 170 and 40 minutes more.
    """
    book = team(
        ("R01", "quote", 50, 30000.0, 0.95),
        ("R02", "quote", 50, 10000.0, 0.80),
        ("R02", "contract", 50, 8000.0, 0.60001),
        ("R03", "quote", 9, 90000.0, 0.99),
        ("R04", "quote", 50, 5000.0, 0.60),
        ("R05", "quote", 50, -5000.0, 0.10),
    )
    found = coaching_hours(book, 5)
    assert minutes(found) == {"R01": 185, "R02": 55, "R03": 15, "R04": 15, "R05": 15, "R06": 15}
    because = dict(zip(found["rep_id"], found["because"], strict=True))
    assert because == {"R01": "gain", "R02": "likely", "R03": "thin", "R04": "none", "R05": "none", "R06": "thin"}
    assert found.set_index("rep_id").loc["R02", "stage"] == "quote"
    assert found["rep"].tolist() == sorted(found["rep"])
    assert found.loc[found["because"] == "none", ["stage", "worth"]].isna().all(axis=None)


def test_without_any_evidence_all_get_the_same(team) -> None:
    found = coaching_hours(team(("R01", "quote", 50, -1.0, 0.2)), 5)
    assert set(found["minutes"]) == {50}


@pytest.mark.parametrize("given", [0.1, 0.5, 1, 4.99, 5, 5.01, 7.3, 40])
def test_the_minutes_add_up_and_nobody_is_left_out(demo_book, given: float) -> None:
    for team_name in demo_book.teams[:2]:
        found = coaching_hours(demo_book.for_team(team_name), given)
        assert found["minutes"].sum() == round(given * 60)
        assert (found["minutes"] >= found["floor_minutes"]).all()
        assert found["floor_minutes"].iloc[0] == min(15, round(given * 60) // (2 * len(found)))


def test_more_evidence_gets_no_less(team) -> None:
    chance = np.random.default_rng(3)
    for _ in range(50):
        worth = chance.integers(0, 90000, 6).astype(float)
        sure = chance.uniform(0.5, 1.0, 6)
        rows = [(f"R0{i + 1}", "quote", 50, worth[i], sure[i]) for i in range(6)]
        found = coaching_hours(team(*rows), 5)
        order = found.sort_values(["weight", "minutes"])
        assert order["minutes"].is_monotonic_increasing
        assert found["minutes"].sum() == 300


def test_the_weak_rep_of_the_demo_gets_more_than_an_equal_share(demo_book) -> None:
    team_of = demo_book.people.set_index("rep_id").loc["R05", "team"]
    found = coaching_hours(demo_book.for_team(team_of), 5).set_index("rep_id")
    assert found.loc["R05", "because"] == "gain" and found.loc["R05", "stage"] == "quote"
    assert found.loc["R05", "minutes"] > 300 / len(found)


def test_who_has_left_gets_nothing_and_who_is_new_has_the_floor(demo_book) -> None:
    found = coaching_hours(demo_book, 20).set_index("rep_id")
    assert "R17" not in found.index and "R24" in found.index  # left in March; began in September, without a deal yet
    assert found.loc["R24", "because"] == "thin" and found.loc["R24", "minutes"] == found.loc["R24", "floor_minutes"]


def test_wrong_asks_are_refused(demo_book) -> None:
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="is nothing to share"):
            coaching_hours(demo_book, wrong)
    with pytest.raises(UsageError, match="is below 0"):
        coaching_hours(demo_book, 5, floor_minutes=-5)
    people = demo_book.table("reps")
    gone = people.assign(end_on=pd.Timestamp("2025-01-01"))
    with pytest.raises(Unavailable, match="nobody is there whom the hours could go to"):
        coaching_hours(replace(demo_book, tables={**demo_book.tables, "reps": gone}), 5)
