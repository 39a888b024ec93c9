"""The pipeline bridge: worked by hand, closing to the cent, and against plain loops over two books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import LawBroken, Unavailable
from salescoach.metrics import counted_rows, measure, pipeline_bridge, win_rate
from salescoach.metrics.bridge import LINES, _check_closes

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def by_line(table: pd.DataFrame) -> dict[str, tuple[int, float]]:
    return {r["line"]: (r["n"], r["value"]) for r in table.to_dict("records") if r["n"]}


def changed(deal: str, at: str, field: str, old: str, new: str) -> dict[str, Any]:
    return {"deal_id": deal, "at": at, "field": field, "old": old, "new": new}


def test_every_line_once(book_of: Build) -> None:
    # period 2026Q2; what each deal was on 31 March and is on 30 June
    deals = [
        {"deal_id": "stays", "expected_close_on": "2026-05-01", "amount": 10.0},  # 10 -> 10
        {"deal_id": "grows", "expected_close_on": "2026-05-01", "amount": 25.0},  # 20 -> 25
        {"deal_id": "shrinks", "expected_close_on": "2026-05-01", "amount": 22.0},  # 30 -> 22
        {"deal_id": "pushed", "expected_close_on": "2026-08-01", "amount": 40.0},  # due in May then
        {"deal_id": "pulled", "expected_close_on": "2026-03-01", "amount": 50.0},  # due in May then: moved out
        {"deal_id": "void", "expected_close_on": "2026-05-01", "amount": 60.0, "stage": "void"},
        {"deal_id": "lost", "expected_close_on": "2026-05-01", "amount": 70.0, "stage": "lost"},
        {"deal_id": "won", "expected_close_on": "2026-05-01", "amount": 90.0, "stage": "won"},  # 80 -> 90, won
        {"deal_id": "came in", "expected_close_on": "2026-06-01", "amount": 100.0},  # due in August then
        {"deal_id": "new", "expected_close_on": "2026-06-01", "amount": 110.0},
        {"deal_id": "new won", "expected_close_on": "2026-09-01", "amount": 120.0, "stage": "won"},
        {"deal_id": "elsewhere", "expected_close_on": "2026-09-01", "amount": 130.0},
        {"deal_id": "no amount", "expected_close_on": "2026-05-01"},
    ]
    log = {d["deal_id"]: "prospect 2026-01-01" for d in deals} | {"new": "prospect 2026-04-01"}
    log |= {k: f"prospect 2026-01-01, {k} 2026-05-05" for k in ("won", "lost", "void")}
    log["new won"] = "prospect 2026-04-02, won 2026-05-05"
    changes = [
        changed("grows", "2026-04-05", "amount", "20", "25"),
        changed("shrinks", "2026-04-05", "amount", "30", "22"),
        changed("won", "2026-04-05", "amount", "80", "90"),
        changed("pushed", "2026-04-05", "expected_close_on", "2026-05-01", "2026-08-01"),
        changed("pulled", "2026-04-05", "expected_close_on", "2026-05-01", "2026-03-01"),
        changed("came in", "2026-04-05", "expected_close_on", "2026-08-01", "2026-06-01"),
    ]
    book = book_of(deals, log, changes=changes)
    found = by_line(pipeline_bridge(book, "", "2026Q2"))
    assert found == {
        "start": (9, 360),  # 10 + 20 + 30 + 40 + 50 + 60 + 70 + 80 + nothing known
        "new": (2, 230),
        "moved_in": (1, 100),
        "increased": (2, 15),
        "decreased": (1, -8),
        "moved_out": (2, -110),
        "pushed": (1, -40),
        "lost": (1, -70),
        "won": (2, -210),
        "end": (6, 267),  # 10 + 25 + 22 + 100 + 110 + nothing known
    }
    assert 360 + 230 + 100 + 15 - 8 - 110 - 40 - 70 - 210 == 267
    assert len(counted_rows(book, "pipeline_bridge", "2026Q2")) == pipeline_bridge(book, "", "2026Q2")["n"].sum()


def test_an_amount_that_the_crm_cleared_at_the_loss_leaves_with_what_it_was(book_of: Build) -> None:
    book = book_of(
        [{"deal_id": "A", "expected_close_on": "2026-05-01", "amount": None}],
        {"A": "prospect 2026-01-01, lost 2026-05-05"},
    )
    history = book.table("stage_history").assign(amount_minor=pd.array([7000, None], dtype="Int64"))
    book = Book(
        tables={**book.tables, "stage_history": history}, process=book.process, as_of=book.as_of, currency="CNY"
    )
    assert by_line(pipeline_bridge(book, "", "2026Q2")) == {"start": (1, 70), "lost": (1, -70)}


def test_a_running_period_ends_with_the_data_and_a_future_one_is_unavailable(book_of: Build) -> None:
    book = book_of(
        [{"deal_id": "A", "expected_close_on": "2026-09-01", "amount": 5.0}],
        {"A": "prospect 2026-01-01"},
        as_of="2026-07-15",
    )
    assert by_line(pipeline_bridge(book, "", "2026Q3")) == {"start": (1, 5), "end": (1, 5)}
    for period, why in (("2026Q4", "begins after"), (None, "needs a period")):
        assert why in str(measure(book, "pipeline_bridge", "", period).because)
    with pytest.raises(Unavailable, match="spans one period"):
        pipeline_bridge(book, "month", "2026Q3")


def test_currencies_have_bridges_of_their_own(book_of: Build) -> None:
    deals = [{"deal_id": c, "expected_close_on": "2026-05-01", "amount": 5.0, "currency": c} for c in ("CNY", "EUR")]
    table = pipeline_bridge(book_of(deals, {"CNY": "prospect 2026-01-01", "EUR": "prospect 2026-05-01"}), "", "2026Q2")
    assert by_line(table[table["currency"] == "EUR"]) == {"new": (1, 5), "end": (1, 5)}
    assert by_line(table[table["currency"] == "CNY"]) == {"start": (1, 5), "end": (1, 5)}


def test_the_wins_are_those_of_the_win_rate(demo: Book) -> None:
    for period in ("2025Q2", "2026Q1", "2026-02-10..2026-03-20"):
        lines = by_line(pipeline_bridge(demo, "", period))
        won = win_rate(demo, "", period).iloc[0]
        assert lines["won"] == (won["won"], pytest.approx(-won["won_amount"]))


def test_a_bridge_that_does_not_close_is_never_shown() -> None:
    table = pd.DataFrame({"line": list(LINES), "amount_minor": [0] * 9 + [1]})
    with pytest.raises(LawBroken, match="1 minor units are left over"):
        _check_closes(table, [])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("period", ["2025Q3", "2026-02", "2026Q2"])
def test_against_loops(busy: Build, plain: Plain, seed: int, period: str) -> None:
    book = busy(seed, 150)
    spans = {
        "2025Q3": (date(2025, 7, 1), date(2025, 9, 30), "2025-06-30"),
        "2026-02": (date(2026, 2, 1), date(2026, 2, 28), "2026-01-31"),
        "2026Q2": (date(2026, 4, 1), date(2026, 6, 30), "2026-03-31"),
    }
    first, last, eve = spans[period]
    before = {d["deal_id"]: d for d in plain(book.at(eve), "deals")}
    after_book = book.at(str(last))
    due = lambda d: d["expected_close_on"] is not None and first <= d["expected_close_on"].date() <= last  # noqa: E731
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for d in plain(after_book, "deals"):
        was = before.get(d["deal_id"])
        a, b = ((x["amount_minor"] or 0) if x else 0 for x in (was, d))
        there = was is not None and was["outcome"] == "open" and due(was)
        won = d["outcome"] == "won" and (was is None or was["outcome"] != "won")
        lost = d["outcome"] == "lost" and (was is None or was["outcome"] != "lost")
        team = d["segment"] or "(none)"
        if there:
            assert was is not None
            lines[team, "start"].append(a)
            worth = b if d["amount_minor"] is not None else a
            stays = d["outcome"] == "open" and due(d)
            if stays or won:
                value = b if stays else worth
                if value != a:
                    lines[team, "increased" if value > a else "decreased"].append(value - a)
                lines[team, "end" if stays else "won"].append(value if stays else -value)
            elif lost:
                lines[team, "lost"].append(-a)
            elif d["outcome"] == "open" and d["expected_close_on"] and d["expected_close_on"].date() > last:
                lines[team, "pushed"].append(-a)
            else:
                lines[team, "moved_out"].append(-a)
        elif (d["outcome"] == "open" and due(d)) or won or (lost and due(d)):
            lines[team, "new" if was is None else "moved_in"].append(b)
            lines[team, "end" if d["outcome"] == "open" else d["outcome"]].append(b if d["outcome"] == "open" else -b)
    table = pipeline_bridge(book, "segment", period)
    ours = {(r["segment"], r["line"]): (r["n"], r["value"]) for r in table.to_dict("records") if r["n"]}
    assert {k: n for k, (n, _) in ours.items()} == {k: len(v) for k, v in lines.items()}
    for key, (_, value) in ours.items():
        assert (0.0 if value != value else value) == pytest.approx(sum(lines[key]) / 100), key
    for segment, part in table.groupby("segment"):
        assert part.loc[part["line"] != "end", "value"].sum() == pytest.approx(
            part.loc[part["line"] == "end", "value"].fillna(0).sum()
        ), segment
