"""From one forecast to the next: every minor unit is explained, each deal by what happened to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.models.forecast import Forecast, fit_forecast
from salescoach.models.forecast.bridge import LINES, Changes, forecast_changes

Plain = Callable[[Book, str], list[dict[str, Any]]]
TODAY, SINCE, PERIOD = "2026-09-15", "2026-08-01", "2026Q3"


@pytest.fixture(scope="module")
def book(demo: Book) -> Book:
    return demo.at(TODAY)


@pytest.fixture(scope="module")
def now(book: Book) -> Forecast:
    return fit_forecast(book, PERIOD, leads=())


@pytest.fixture(scope="module")
def found(book: Book, now: Forecast) -> Changes:
    return forecast_changes(book, SINCE, now=now)


def closes(found: Changes) -> None:
    """The laws of every bridge."""
    table, deals = found.table, found.deals
    assert table["line"].tolist() == list(LINES)
    assert table["value_minor"].sum() == found.now_minor - found.then_minor
    assert table["value"].sum() == pytest.approx(found.now - found.then, abs=0.02)
    assert (deals["value_minor"] == deals["now_minor"] - deals["then_minor"]).all()
    by_line = deals.groupby("line").agg(n=("deal_id", "size"), value_minor=("value_minor", "sum"))
    lines = table.set_index("line")[["n", "value_minor"]].drop("not_yet_there")
    pd.testing.assert_frame_equal(
        by_line.reindex(lines.index, fill_value=0), lines, check_dtype=False, check_names=False
    )
    assert found.n == deals["deal_id"].nunique()
    values = table.set_index("line")["value_minor"]
    assert values["grown"] >= 0 >= values["shrunk"] and values["created"] >= 0
    assert values["lost"] <= 0 and values["void"] <= 0 and values["won_before"] <= 0


def test_it_closes_to_the_last_minor_unit(found: Changes, now: Forecast, book: Book) -> None:
    closes(found)
    assert found.now == now.of("company")["value"].iloc[0]
    assert found.then == fit_forecast(book.at(SINCE), PERIOD, leads=()).of("company")["value"].iloc[0]
    assert (found.currency, str(found.since.date()) if found.since else "") == ("CNY", SINCE)
    assert (found.table.set_index("line").loc[["won", "lost", "created", "chances"], "n"] > 20).all()


def plainly(book: Book, before: Book, end: str, plain: Plain) -> dict[str, str]:
    """deal_id -> line, by one look at each deal of both books; amounts left aside."""
    last, first = pd.Timestamp(end), pd.Timestamp("2026-07-01")
    earlier = {d["deal_id"]: d for d in plain(before, "deals")}

    def wins(deal: dict[str, Any]) -> bool:
        return deal["outcome"] == "won" and pd.Timestamp(deal["closed_at"]).normalize() >= first

    lines = {}
    for deal in plain(book, "deals"):
        was = earlier.get(deal["deal_id"])
        was_open, was_win = was is not None and was["outcome"] == "open", was is not None and wins(was)
        due = [pd.Timestamp(d["expected_close_on"]) if d and d["expected_close_on"] else pd.NaT for d in (was, deal)]
        if wins(deal):
            line = "" if was_win else "won"
        elif deal["outcome"] != "open":
            line = {"won": "won_before"}.get(deal["outcome"], deal["outcome"]) if was_open or was_win else ""
        elif was is None:
            line = "created"
        elif not was_open:
            line = "reopened"
        elif due[0] <= last < due[1]:
            line = "slipped"
        elif due[1] <= last < due[0]:
            line = "pulled_in"
        else:
            line = "chances"
        if line:
            lines[deal["deal_id"]] = line
    return lines


def test_each_deal_is_in_the_line_of_what_happened_to_it(found: Changes, book: Book, plain: Plain) -> None:
    expected = plainly(book, book.at(SINCE), "2026-09-30", plain)
    rest = found.deals[~found.deals["line"].isin(["grown", "shrunk"])]
    assert dict(zip(rest["deal_id"], rest["line"], strict=True)) == expected
    assert rest["deal_id"].is_unique and len(set(expected.values())) >= 6


def test_what_stands_behind_a_deal_are_the_two_forecasts(found: Changes, now: Forecast, book: Book) -> None:
    then = fit_forecast(book.at(SINCE), PERIOD, leads=()).deals.set_index("deal_id")["expected"]
    today, amounts = now.deals.set_index("deal_id")["expected"], book.deals.set_index("deal_id")["amount"]
    whole = found.deals.groupby("deal_id")["value"].sum()
    lines = found.deals.groupby("deal_id")["line"].first()
    for deal_id, change in whole.items():
        if lines[deal_id] == "won":
            assert change == pytest.approx(amounts[deal_id] - then.get(deal_id, 0), abs=0.02)
        else:
            assert change == pytest.approx(today.get(deal_id, 0) - then.get(deal_id, 0), abs=0.02)


def moved(book: Book, deal_id: str, field: str, old: str, new: str) -> Book:
    """The book in which one deal was changed after SINCE: what it says now is `new`."""
    row = {"deal_id": deal_id, "at": pd.Timestamp("2026-09-01", tz="UTC"), "field": field, "old": old, "new": new}
    changes = book.tables["changes"]
    kept = changes[~((changes["deal_id"] == deal_id) & (changes["field"] == field))]
    added = pd.DataFrame([row]).reindex(columns=changes.columns).astype(changes.dtypes)
    deals = book.tables["deals"].copy()
    here = deals["deal_id"] == deal_id
    if field == "amount":
        deals.loc[here, "amount"], deals.loc[here, "amount_minor"] = float(new), round(float(new) * 100)
    else:
        deals.loc[here, field] = pd.Timestamp(new)
    return replace(book, tables={**book.tables, "deals": deals, "changes": pd.concat([kept, added])})


@pytest.fixture(scope="module")
def steady(found: Changes) -> str:
    """A deal open on both days, of which much is expected."""
    rows = found.deals[(found.deals["line"] == "chances") & found.deals["amount"].gt(0)]
    return str(rows.loc[rows["then_minor"].idxmax(), "deal_id"])


@pytest.mark.parametrize(("now_is", "line", "sign"), [(2.0, "grown", 1), (0.5, "shrunk", -0.5)])
def test_an_amount_adds_what_it_would_at_the_earlier_chance(
    book: Book, steady: str, now_is: float, line: str, sign: float
) -> None:
    amount = 120_000.0
    changed = moved(book, steady, "amount", str(amount), str(amount * now_is))
    found = forecast_changes(changed, SINCE, PERIOD)
    closes(found)
    rows = found.deals[found.deals["deal_id"] == steady].set_index("line")
    assert rows.index.tolist() == [line, "chances"]
    # twice the amount at the same chance: as much again as was expected; half the amount: half of it less
    assert rows.loc[line, "value_minor"] == pytest.approx(sign * rows.loc[line, "then_minor"], abs=1)
    assert rows.loc["chances", "then_minor"] == rows.loc[line, "now_minor"]
    assert (rows["amount_then"] == amount).all() and (rows["amount"] == amount * now_is).all()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [("2026-09-20", "2026-10-02", "slipped"), ("2026-11-02", "2026-09-28", "pulled_in")],
)
def test_a_close_that_crosses_the_end_of_the_period(book: Book, steady: str, old: str, new: str, line: str) -> None:
    found = forecast_changes(moved(book, steady, "expected_close_on", old, new), SINCE, PERIOD)
    closes(found)
    rows = found.deals[found.deals["deal_id"] == steady]
    assert rows["line"].tolist() == [line]
    assert [str(d.date()) for d in rows[["expected_close_on_then", "expected_close_on"]].iloc[0]] == [old, new]


def test_on_the_same_day_nothing_has_changed(book: Book, now: Forecast) -> None:
    found = forecast_changes(book, TODAY, now=now)
    assert found.then_minor == found.now_minor and (found.table["value_minor"] == 0).all()
    assert set(found.deals["line"]) == {"chances"}


def test_deals_won_before_the_period_are_gone_from_its_forecast(demo: Book) -> None:
    found = forecast_changes(demo, "2026-09-20", "2026Q4")
    closes(found)
    assert found.table.set_index("line").loc["won_before", "n"] > 5 and (found.deals["line"] != "won").all()


def test_a_team_has_a_bridge_of_its_own(book: Book) -> None:
    found = forecast_changes(book.for_team("Harbour"), SINCE, PERIOD)
    closes(found)
    assert set(found.deals["team"]) == {"Harbour"}


def test_what_cannot_be_is_said(book: Book) -> None:
    with pytest.raises(UsageError, match="later than the data"):
        forecast_changes(book, "2026-10-01")
    with pytest.raises(UsageError, match="since: '1 August' is no day"):
        forecast_changes(book, "1 August")
    with pytest.raises(Unavailable, match="the period 2026Q1 is over"):
        forecast_changes(book, SINCE, "2026Q1")
    with pytest.raises(Unavailable, match="won"):
        forecast_changes(book, "2024-01-05", PERIOD)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_it_closes_on_any_days(seed: int, demo: Book, planted: Callable[..., Book]) -> None:
    chance = np.random.default_rng(seed)
    whole = demo if seed % 2 else planted(seed, arrivals=4, days=500)
    first = whole.as_of_on - pd.Timedelta(days=int(chance.integers(0, 120)))
    book = whole.at(str(first.date()))
    since = first - pd.Timedelta(days=int(chance.integers(0, 100)))
    start = first + pd.Timedelta(days=int(chance.integers(-60, 60)))
    end = max(start, first) + pd.Timedelta(days=int(chance.integers(5, 100)))
    closes(forecast_changes(book, str(since.date()), f"{start.date()}..{end.date()}"))
