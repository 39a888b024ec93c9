"""People's own forecasts against what came: worked out by hand, and recomputed by plain loops."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import counted_rows, forecast_calls, judged_calls, measure

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]
PEOPLE = [
    {"rep_id": "A", "name": "Ann", "team": "North"},
    {"rep_id": "B", "name": "Bob", "team": "North"},
    {"rep_id": "C", "name": "Cem", "team": "South"},
]
WINS = [("D1", "A", "2026-01-10", 100), ("D2", "A", "2026-03-31", 50), ("D3", "B", "2026-02-01", 30)]
WINS += [("D4", "C", "2026-02-02", 20), ("D5", "A", "2026-04-01", 70)]


def deals() -> list[dict[str, Any]]:
    made = {"created_at": "2025-12-01", "stage": "won"}
    return [{"deal_id": d, "rep_id": r, "closed_at": on, "amount": a, **made} for d, r, on, a in WINS]


def call(at: str, amount: float | None, rep: str | None = None, team: str | None = None, **more: Any) -> dict[str, Any]:
    quarter = {"start_on": "2026-01-01", "end_on": "2026-03-31"}
    return {"at": at, "rep_id": rep, "team": team, "called_by": None, "amount": amount, **quarter, **more}


def test_misses_are_summed_whatever_their_sign(book_of: Build) -> None:
    calls = [
        call("2026-01-05", 200, "A"),  # came 150, the April win is not in it: 50 too high, 85 days ahead
        call("2026-01-05", 10, "B"),  # came 30: 20 too low
        call("2026-03-20", 150, "A"),  # 11 days ahead: exact
        call("2026-01-06", 250, team="North"),  # a manager's: came 150 + 30 = 180, 70 too high
        call("2026-01-07", 150),  # for everybody: came 200, 50 too low
    ]
    table = forecast_calls(book_of(deals(), reps=PEOPLE, forecast_calls=calls))
    rows = table.set_index(["called_by", "lead"])
    assert rows.loc[("rep", "60–89"), ["n", "called", "came", "too_high"]].tolist() == [2, 210, 180, 1]
    assert rows.loc[("rep", "60–89"), "value"] == pytest.approx((50 + 20) / 180)
    assert rows.loc[("rep", "60–89"), "bias"] == pytest.approx((50 - 20) / 180)
    assert rows.loc[("rep", "0–29"), ["value", "bias"]].tolist() == [0, 0]
    assert rows.loc[("manager", "60–89"), "value"] == pytest.approx((70 + 50) / 380)
    assert rows.loc[("manager", "60–89"), "bias"] == pytest.approx(20 / 380)
    assert pd.isna(rows.loc[("rep", "0–29"), "low"])  # one call has no interval


def test_a_teams_call_is_the_teams_and_no_reps(book_of: Build) -> None:
    calls = [call("2026-01-05", 200, "A"), call("2026-01-06", 250, team="North"), call("2026-01-07", 150)]
    book = book_of(deals(), reps=PEOPLE, forecast_calls=calls)
    assert forecast_calls(book, "rep").groupby("rep_id")["n"].sum().to_dict() == {"A": 1, "(unassigned)": 2}
    assert forecast_calls(book, "team").groupby("team")["n"].sum().to_dict() == {"North": 2, "(unassigned)": 1}
    assert forecast_calls(book, "quarter")["quarter"].unique().tolist() == ["2026Q1"]


def test_which_calls_count(book_of: Build) -> None:
    calls = [
        call("2026-02-20", 1, "A"),
        call("2026-02-25", 2, "A"),  # the latest of its class
        call("2026-02-25", 3, "A", called_by="Manager "),  # another side's
        call("2026-04-01", 4, "A"),  # after the end
        call("2026-03-31", 5, "A"),  # on the last day
        call("2026-02-25", None, "A"),
        call("2026-05-01", 6, "A", start_on="2026-04-01", end_on="2026-06-30"),
        call("2026-05-01", 7, "A", start_on="2026-04-01", end_on="2026-07-31"),  # not over yet
    ]
    book = book_of(deals(), reps=PEOPLE, forecast_calls=calls, as_of="2026-06-30")
    rows = judged_calls(book)
    assert sorted(rows["amount"]) == [2, 3, 5, 6]
    assert rows.set_index("amount")["called_by"].to_dict() == {2: "rep", 3: "manager", 5: "rep", 6: "rep"}
    assert rows.set_index("amount")["days_ahead"].to_dict() == {2: 34, 3: 34, 5: 0, 6: 60}
    assert rows.set_index("amount")["lead"].to_dict() == {2: "30–59", 3: "30–59", 5: "0–29", 6: "60–89"}
    assert rows.set_index("amount").loc[6, "came_minor"] == 7_000
    assert judged_calls(book, "2026Q1")["amount"].max() == 5


def test_nothing_came_is_no_share_and_nothing_called_is_no_row(book_of: Build) -> None:
    someone = [{"rep_id": "Z", "name": "Zoe", "team": "West"}]
    book = book_of(deals(), reps=[*PEOPLE, *someone], forecast_calls=[call("2026-01-05", 9, "Z")])
    table = forecast_calls(book)
    assert table["n"].tolist() == [1] and table[["value", "bias", "low", "high"]].isna().all().all()
    assert table["came"].tolist() == [0] and forecast_calls(book, period="2027").empty


def test_without_calls_or_with_other_currencies_it_is_unavailable(book_of: Build) -> None:
    book = book_of(deals(), reps=PEOPLE)
    assert measure(book, "forecast_calls").because == "the book has no table `forecast_calls`"
    foreign = book_of(deals(), reps=PEOPLE, forecast_calls=[call("2026-01-05", 9, "A", currency="EUR")])
    with pytest.raises(Unavailable, match=r"several currencies \(CNY, EUR\)"):
        judged_calls(foreign)


# --- an oracle: loops over dictionaries -----------------------------------------------------------


def with_calls(book: Book, seed: int) -> Book:
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(80):
        start = dt.date(2025, 1, 1) + dt.timedelta(days=int(chance.integers(0, 500)))
        end = start + dt.timedelta(days=int(chance.integers(5, 95)))
        said = dt.datetime.combine(start, dt.time(9)) + dt.timedelta(days=int(chance.integers(-60, 100)))
        who = int(chance.integers(0, 4))
        rows.append(
            {
                "at": pd.Timestamp(said).tz_localize(book.timezone).tz_convert("UTC").as_unit("us"),
                "rep_id": f"R{chance.integers(1, 5)}" if who < 2 else None,
                "team": str(chance.choice(["North", "South"])) if who == 2 else None,
                "called_by": chance.choice(np.array(["rep", "manager", "boss", None], dtype=object)),
                "start_on": pd.Timestamp(start).as_unit("us"),
                "end_on": pd.Timestamp(end).as_unit("us"),
                "amount_minor": int(chance.integers(0, 99_999)),
            }
        )
    table = pd.DataFrame(rows).astype(dict.fromkeys(("rep_id", "team", "called_by"), "str"))
    table["amount_minor"] = table["amount_minor"].astype("Int64")
    table["amount"] = table["amount_minor"].astype("float64") / 100
    return replace(book, tables={**book.tables, "forecast_calls": table})


def plainly(book: Book, plain: Plain) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """(called_by, lead) -> calls, sum of |miss|, called, came, in minor units; owners at the close looked up one by
    one."""
    team = {r["rep_id"]: r["team"] for r in plain(book, "reps")}
    moves = sorted((m for m in plain(book, "changes") if m["field"] == "rep_id"), key=lambda m: m["at"])
    wins = []
    for deal in plain(book, "deals"):
        if deal["outcome"] != "won" or deal["amount_minor"] is None or deal["closed_at"] is None:
            continue
        later = [m["old"] for m in moves if m["deal_id"] == deal["deal_id"] and m["at"] >= deal["closed_at"]]
        wins.append((deal["closed_at"].date(), later[0] if later else deal["rep_id"], int(deal["amount_minor"])))
    latest: dict[Any, dict[str, Any]] = {}
    for c in sorted(plain(book, "forecast_calls"), key=lambda c: c["at"]):
        ahead = (c["end_on"].date() - c["at"].date()).days
        if ahead < 0 or c["end_on"].date() > book.as_of_on.date():
            continue
        lead = "0–29" if ahead < 30 else "30–59" if ahead < 60 else "60–89" if ahead < 90 else "90+"
        side = c["called_by"] if c["called_by"] in ("rep", "manager") else "rep" if c["rep_id"] else "manager"
        latest[side, c["rep_id"], c["team"], c["start_on"], c["end_on"], lead] = c
    found: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    for (side, rep, group, start, end, lead), c in latest.items():
        came = 0
        for day, owner, amount in wins:
            mine = owner == rep if rep else team.get(owner) == group if group else True
            came += amount if mine and start.date() <= day <= end.date() else 0
        n, off, called, all_came = found.get((side, lead), (0, 0, 0, 0))
        said = int(c["amount_minor"])
        found[side, lead] = (n + 1, off + abs(said - came), called + said, all_came + came)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(s, marks=pytest.mark.nightly) for s in range(4, 40))])
def test_against_plain_loops(seed: int, generated: Build, plain: Plain) -> None:
    book = with_calls(generated(seed), seed)
    expected = plainly(book, plain)
    table = forecast_calls(book)
    assert sum(n for n, *_ in expected.values()) == len(judged_calls(book)) == table["n"].sum() > 10
    for row in table.to_dict("records"):
        n, off, called, came = expected[row["called_by"], row["lead"]]
        assert (row["n"], round(row["called"] * 100), round(row["came"] * 100)) == (n, called, came)
        assert (row["value"] == pytest.approx(off / came)) if came else np.isnan(row["value"])
        assert (row["bias"] == pytest.approx((called - came) / came)) if came else np.isnan(row["bias"])
    for by in ("rep", "team", "month"):
        parts = forecast_calls(book, by)
        assert parts[["n", "too_high"]].sum().tolist() == table[["n", "too_high"]].sum().tolist()
        assert parts[["called", "came"]].sum().to_numpy() == pytest.approx(table[["called", "came"]].sum().to_numpy())
        assert parts["n"].sum() == len(counted_rows(book, "forecast_calls"))
    known = table.dropna(subset=["low"])
    assert (known["low"] <= known["value"]).all() and (known["value"] <= known["high"]).all()
