"""Velocity and the bridge that splits its change exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import METRICS, counted_rows, measure, velocity

Build = Callable[..., Book]
PARTS = ["from_open", "from_win_rate", "from_amount", "from_cycle"]


def deal(name: str, outcome: str, begun: str, closed: str | None = None, amount: float | None = None) -> dict[str, Any]:
    row = {"deal_id": name, "rep_id": "R1", "outcome": outcome, "created_at": begun, "closed_at": closed}
    return {**row, "amount": amount, "deal_type": "new"}


# January: 1 won (100, 10 days) and 1 lost (20 days); 3 open at its end. February: 2 won (100 and 300, 20 days each),
# 1 lost (20 days), 1 void; 2 open at its end.
DEALS = [
    deal("1", "won", "2026-01-01", "2026-01-11", 100.0),
    deal("2", "lost", "2026-01-01", "2026-01-21", 900.0),
    deal("3", "won", "2026-01-20", "2026-02-09", 100.0),
    deal("4", "won", "2026-01-30", "2026-02-19", 300.0),
    deal("5", "lost", "2026-01-25", "2026-02-14"),
    deal("6", "void", "2026-01-25", "2026-02-14", 700.0),
    deal("7", "open", "2026-02-01"),
    deal("8", "won", "2026-02-28", "2026-03-05", 1.0),
]


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


def test_velocity_of_two_months(book_of: Build) -> None:
    # February: 2 open (7, 8) × 2/3 × 200 / 20 days = 13.33 a day; January: 3 open × 1/2 × 100 / 15 days = 10 a day
    row = only(velocity(book_of(DEALS), "", "2026-02"))
    assert (row["n"], row["win_rate"], row["mean_amount"], row["cycle_days"]) == (2, 2 / 3, 200.0, 20.0)
    assert row["value"] == pytest.approx(40 / 3) and row["value_before"] == pytest.approx(10.0)
    assert (row["n_before"], row["win_rate_before"], row["cycle_days_before"]) == (3, 0.5, 15.0)
    # Each part is the logarithmic mean (3.33 / ln 1.333 = 11.587) times the logarithm of its factor's ratio.
    weight = (10 / 3) / math.log(4 / 3)
    expected = [weight * math.log(r) for r in (2 / 3, 4 / 3, 2.0, 15 / 20)]
    assert [row[p] for p in PARTS] == pytest.approx(expected)
    assert sum(row[p] for p in PARTS) == pytest.approx(row["change"], rel=1e-13) == pytest.approx(10 / 3)


def test_the_interval_adds_up_relative_variances(book_of: Build) -> None:
    # Three factors on the logarithm: Wilson's for 2 of 3 (.2077 to .9385); sizes 100 and 300: standard error 100 of a
    # mean of 200; days all 20: no spread.
    row = only(velocity(book_of(DEALS), "", "2026-02"))
    width = math.exp(math.hypot(math.log(0.93851 / 0.20766) / 2, 1.959964 * 100 / 200))
    assert (row["low"], row["high"]) == pytest.approx((40 / 3 / width, 40 / 3 * width), rel=1e-4)


def test_nothing_changed_on_balance(book_of: Build) -> None:
    # Twice as many open, half the size: the parts cancel, and are the velocity times ± ln 2.
    january = [deal("1", "won", "2026-01-01", "2026-01-11", 100.0), deal("2", "open", "2026-01-20")]
    february = [deal("3", "won", "2026-02-01", "2026-02-11", 50.0), deal("4", "open", "2026-02-20")]
    row = only(velocity(book_of([*january, *february, deal("5", "lost", "2025-01-01", "2025-01-02")]), "", "2026-02"))
    assert row["change"] == 0.0 and row["value"] == 10.0
    assert [row[p] for p in PARTS] == pytest.approx([10 * math.log(2), 0.0, -10 * math.log(2), 0.0])


def test_the_parts_add_up_for_any_book(generated: Build) -> None:
    bridged = 0
    for seed in range(12):
        book = generated(seed, size=200)
        for by in ("", "team", "lead_source", "rep"):
            table = velocity(book, by, "2025Q4")
            known = table[PARTS].notna().all(axis=1)
            bridged += int(known.sum())
            gap = (table[PARTS].sum(axis=1) - table["change"])[known].abs()
            assert (gap <= 1e-12 * table.loc[known, ["value", "value_before"]].max(axis=1)).all()
            assert table.loc[~known, PARTS].isna().all(axis=None)  # the whole bridge or none
    assert bridged > 50


def test_a_group_that_lacks_a_factor_has_none(book_of: Build) -> None:
    deals = [*DEALS, deal("9", "open", "2026-01-01")]
    deals[-1]["rep_id"] = "R2"
    table = velocity(book_of(deals), "rep", "2026-02").set_index("rep_id")
    assert table.loc["R2", "n"] == 1
    assert table.loc["R2", ["value", "low", "win_rate", "mean_amount", "change", *PARTS]].isna().all()


@pytest.mark.parametrize(
    ("period", "because"),
    [
        (None, "name one with a first day"),
        ("2026-05", "not one deal was decided in 2026-05"),
        ("2026-01", "not one deal was decided in 2025-12"),
        ("2026-04", "not one deal with an amount was won in 2026-04"),
    ],
)
def test_a_missing_factor_makes_it_unavailable(period: str | None, because: str, book_of: Build) -> None:
    book = book_of([*DEALS, deal("9", "lost", "2026-04-01", "2026-04-09")])
    assert because in str(measure(book, "velocity", "", period).because)


def test_deals_closed_on_the_day_they_began_have_no_pace(book_of: Build) -> None:
    same_day = [deal("1", "won", "2026-01-05", "2026-01-05", 9.0), deal("2", "won", "2026-02-05", "2026-02-05", 9.0)]
    book = book_of([*same_day, deal("3", "lost", "2025-01-01", "2025-01-02")])
    assert "has a known time" in str(measure(book, "velocity", "", "2026-02").because)


def test_it_is_not_split_by_time(book_of: Build) -> None:
    assert "cannot be split by time" in str(measure(book_of(DEALS), "velocity", "month", "2026-02").because)


def test_it_is_never_to_be_ranked() -> None:
    assert "never rank by it" in METRICS["velocity"].caveat


def test_types_of_deals_and_currencies_stand_apart(book_of: Build) -> None:
    deals = [{**d, "currency": "USD" if d["deal_id"] in "18" else "CNY"} for d in DEALS]
    table = velocity(book_of(deals), "deal_type", "2026-02")
    assert table[["deal_type", "currency", "n"]].to_numpy().tolist() == [["new", "CNY", 1], ["new", "USD", 1]]
    blank = velocity(book_of([{**d, "deal_type": None} for d in DEALS]), "deal_type", "2026-02")
    assert blank["deal_type"].tolist() == ["(none)"]


def test_velocity_equals_the_slow_way(generated: Build) -> None:
    first, last = pd.Timestamp("2025-10-01").date(), pd.Timestamp("2025-12-31").date()
    for seed in range(8):
        book = generated(seed, size=200)
        starts = {d["deal_id"]: [d["created_at"]] for d in book.deals.to_dict("records")}
        for name, column in (("activities", "at"), ("leads", "created_at")):
            for row in book.table(name).to_dict("records"):
                if isinstance(row["deal_id"], str):
                    starts[row["deal_id"]].append(row[column])
        groups: dict[str, dict[str, list[Any]]] = {}
        for row in book.deals.to_dict("records"):
            source = row["lead_source"] if isinstance(row["lead_source"], str) else "(none)"
            own = groups.setdefault(source, {"open": [], "decided": [], "amounts": [], "days": []})
            begun, closed = (
                None if pd.isna(t) else t.tz_convert(book.timezone).date()
                for t in (row["created_at"], row["closed_at"])
            )
            if row["outcome"] == "void":
                continue
            if begun <= last and (closed is None or row["outcome"] == "open" or closed > last):
                own["open"].append(row)
            if row["outcome"] in ("won", "lost") and first <= closed <= last:
                own["decided"].append(row["outcome"] == "won")
                days = (closed - min(starts[row["deal_id"]]).tz_convert(book.timezone).date()).days
                own["days"] += [days] if days >= 0 else []
                own["amounts"] += [row["amount"]] if row["outcome"] == "won" and row["amount"] == row["amount"] else []
        table = velocity(book, "lead_source", "2025Q4")
        assert table["n"].sum() == sum(len(g["open"]) for g in groups.values())
        assert len(counted_rows(book, "velocity", "2025Q4")) == table["n"].sum()
        for row in table.to_dict("records"):
            own = groups[row["lead_source"]]
            assert row["n"] == len(own["open"])
            if own["amounts"] and any(own["days"]):
                value = row["n"] * mean(own["decided"]) * mean(own["amounts"]) / mean(own["days"])
                assert row["value"] == pytest.approx(value) and (
                    row["low"] <= row["value"] <= row["high"] or np.isnan(row["low"])
                )
            else:
                assert np.isnan(row["value"])
