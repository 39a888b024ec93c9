"""`salescoach forecast`: a sentence, tables and JSON that say the same, for the company, a team and a rep."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


def asked(salescoach: Run, *words: str) -> dict[str, Any]:
    done = salescoach("forecast", "--book", "demo", "--json", *words)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_json_holds_the_forecast_and_its_scoreboard(salescoach: Run) -> None:
    found = asked(salescoach, "--since", "2026-09-23")
    assert (found["as_of"], found["currency"], found["lead"]) == ("2026-09-30", "CNY", 92)
    assert found["period"] == {"label": "2026Q4", "start_on": "2026-10-01", "end_on": "2026-12-31"}
    company = [r for r in found["table"] if r["level"] == "company"]
    assert len(company) == 1 and company[0]["target"] is None  # of a quarter that no target is set for
    for level in ("team", "rep"):
        parts = sum(r["value"] for r in found["table"] if r["level"] == level)
        assert parts == pytest.approx(company[0]["value"])
    methods = {r["method"] for r in found["scoreboard"] if r["lead"] == 92 and r["level"] == "company"}
    assert {"combined", "crm", "run_rate", "last_period", "seasonal"} <= methods
    assert "as good" in found["headline"] or "was off by" in found["headline"]
    lines = found["changes"]["lines"]
    assert found["changes"]["now"] == pytest.approx(company[0]["value"])
    change = found["changes"]["now"] - found["changes"]["then"]
    assert sum(line["value"] for line in lines) == pytest.approx(change, abs=0.02)


def test_a_teams_and_a_reps_part_is_that_of_the_company(salescoach: Run) -> None:
    team = asked(salescoach, "--team", "Harbour")
    assert {r["team"] for r in team["table"]} == {"Harbour"} == {d["team"] for d in team["deals"]}
    rep = asked(salescoach, "--rep", "Tom Becker")
    assert [r["rep_id"] for r in rep["table"]] == ["R02"] and {d["rep_id"] for d in rep["deals"]} == {"R02"}
    within = next(r for r in team["table"] if r["rep_id"] == "R02")
    assert rep["table"][0] == within
    assert " for a team" in team["headline"] and " for a rep" in rep["headline"]


def test_it_is_printed_for_people(salescoach: Run) -> None:
    said = salescoach("forecast", "--book", "demo", "--since", "2026-09-23").out
    assert said.startswith("All teams will win about ¥") and "(80 % range ¥" in said.splitlines()[0]
    for words in ("92 days ahead, on past days (company)", "Run-rate", "CRM stage weights", "(all)", "Harbour"):
        assert words in said
    assert "Open deals, 10 of 356" in said and "Since 23 Sept 2026 the forecast went from ¥" in said
    assert "Deals not there yet" in said and "Traceback" not in said


def test_it_speaks_chinese(salescoach: Run) -> None:
    said = salescoach("forecast", "--book", "demo", "--rep", "R02", "--language", "zh").out
    assert said.startswith("Tom Becker") and "预计" in said.splitlines()[0] and "天" in said


def test_past_days_have_targets_and_the_chance_to_reach_them(salescoach: Run) -> None:
    found = asked(salescoach, "--as-of", "2026-08-15", "--period", "2026Q3", "--team", "Harbour")
    row = found["table"][0]
    assert row["level"] == "team" and row["won"] > 0 and row["target"] > 0 and 0 <= row["to_reach"] <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--period", "2026Q1"), "unavailable, because the period 2026Q1 is over"),
        (("--rep", "R02", "--team", "Harbour"), "Give --rep or --team, not both."),
        (("--rep", "R02", "--since", "2026-09-01"), "--since is about the whole company"),
        (("--rep", "Nobody"), "There is no rep 'Nobody'"),
        (("--team", "Nobody"), "There is no team 'Nobody'"),
        (("--since", "2026-12-01"), "2026-12-01 is later than the data"),
        (("--since", "yesterday"), "'yesterday' is no day"),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_2(salescoach: Run, words: tuple[str, ...], message: str) -> None:
    done = salescoach("forecast", "--book", "demo", *words)
    assert done.code == 2 and message in done.err and done.out == ""


def test_help_shows_an_example(salescoach: Run) -> None:
    assert "Example:\n  salescoach forecast --book" in salescoach("forecast", "--help").out
