"""What deals were lost to, and the win rate on its other bases and by amount."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import counted_rows, loss_kinds, measure, new_customers, win_rate

Build = Callable[..., Book]
REASONS = [None, "no_budget", "Lost to competitor", "price", "客户搁置项目"]


def deal(name: str, outcome: str, amount: float | None = None, **more: Any) -> dict[str, Any]:
    closed = None if outcome == "open" else "2026-03-10"
    return {"deal_id": name, "rep_id": "R1", "outcome": outcome, "amount": amount, "closed_at": closed, **more}


def rich(book: Book, seed: int) -> Book:
    """The book with competitors, reasons and types of deals, many of them blank."""
    chance = np.random.default_rng(seed)
    deals = book.deals
    drawn = {
        "competitor": chance.choice(np.array([None, "Bluepeak", "None"], dtype=object), len(deals), p=[0.6, 0.3, 0.1]),
        "lost_reason": chance.choice(np.array(REASONS, dtype=object), len(deals)),
        "deal_type": chance.choice(np.array([None, "new", "renewal", "expansion"], dtype=object), len(deals)),
    }
    made = {name: pd.Series(values, deals.index).astype("str") for name, values in drawn.items()}
    return replace(book, tables={**book.tables, "deals": deals.assign(**made)})


def only(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    return {str(k): v for k, v in table.iloc[0].items()}


# --- what a deal was lost to ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "competitor", "kind"),
    [
        ("no_decision", None, "no_decision"),
        ("No Decision / Non-Responsive", None, "no_decision"),
        ("No Budget / Lost Funding", "Bluepeak", "no_decision"),  # nobody bought: not lost to the one who was there
        ("Cancelled", None, "no_decision"),
        ("客户没有预算", None, "no_decision"),
        ("项目取消", "云帆", "no_decision"),
        ("no decision, competitor stayed", None, "no_decision"),  # a purchase that nobody made is lost to nobody
        ("Lost to Competitor", None, "competitor"),
        ("Out-Sold", None, "competitor"),
        ("输给竞争对手", None, "competitor"),
        ("price", "Bluepeak", "competitor"),
        (None, "Bluepeak", "competitor"),
        ("price", "None", "other"),
        ("price", None, "other"),
        ("价格", "无", "other"),
        ("piano decisions", None, "other"),  # whole words only
        (None, None, "other"),
    ],
)
def test_what_a_lost_deal_was_lost_to(reason: str | None, competitor: str | None, kind: str, book_of: Build) -> None:
    book = book_of([deal("1", "lost", lost_reason=reason, competitor=competitor), deal("2", "won", competitor="X")])
    found = loss_kinds(book.deals)
    assert found.iloc[0] == kind and pd.isna(found.iloc[1])  # a won deal is lost to nobody


def test_without_reason_and_competitor_a_loss_is_other(book_of: Build) -> None:
    assert loss_kinds(book_of([deal("1", "lost")]).deals).tolist() == ["other"]


# --- bases ----------------------------------------------------------------------------------------

FIVE = [
    deal("1", "won", 10.0, created_at="2026-01-05"),
    deal("2", "lost", 60.0, created_at="2026-01-06", competitor="Bluepeak"),
    deal("3", "lost", 20.0, created_at="2026-01-07", lost_reason="no decision"),
    deal("4", "lost", 5.0, created_at="2026-01-08", lost_reason="price"),
    deal("5", "open", 5.0, created_at="2026-01-09"),
    deal("6", "void", 500.0, created_at="2026-01-09"),
]


def test_the_three_bases_of_five_deals(book_of: Build) -> None:
    # decided 1 / 4; against competitors 1 / (1 + 1); of those created, the open one included, 1 / 5; void never counts
    book = book_of(FIVE)
    rows = {base: only(win_rate(book, "", base=base)) for base in ("decided", "competitive", "created")}
    assert [(r["n"], r["value"]) for r in rows.values()] == [(4, 0.25), (2, 0.5), (5, 0.2)]
    for row in rows.values():
        lost_to = ("lost_to_competitor", "lost_no_decision", "lost_other")
        assert [row[c] for c in lost_to] == [1, 1, 1] and row["lost"] == 3 and row["void"] == 1
    # by amount: 10 / 95, 10 / 70, 10 / 100
    assert [r["value_by_amount"] for r in rows.values()] == pytest.approx([10 / 95, 10 / 70, 10 / 100])


def test_without_the_largest_deal(book_of: Build) -> None:
    # Without the lost 60: 10 / 35. Against competitors 10 / 10. Of those created 10 / 40.
    book = book_of(FIVE)
    found = [only(win_rate(book, "", base=b))["value_by_amount_without_largest"] for b in ("decided", "competitive")]
    assert found == pytest.approx([10 / 35, 1.0])
    assert only(win_rate(book, "", base="created"))["value_by_amount_without_largest"] == pytest.approx(10 / 40)


def test_a_large_win_is_told_by_the_rate_without_it(book_of: Build) -> None:
    # 900 of 1,000 won; without the one deal of 900 nothing of 100.
    row = only(win_rate(book_of([deal("1", "won", 900.0), deal("2", "lost", 60.0), deal("3", "lost", 40.0)]), ""))
    assert (row["value_by_amount"], row["value_by_amount_without_largest"]) == (0.9, 0.0)


def test_the_only_deal_leaves_nothing_behind(book_of: Build) -> None:
    row = only(win_rate(book_of([deal("1", "won", 900.0)]), ""))
    assert row["value_by_amount"] == 1.0 and np.isnan(row["value_by_amount_without_largest"])


def test_created_goes_by_the_day_of_creation(book_of: Build) -> None:
    table = win_rate(book_of(FIVE), "month", "2026-01", base="created")
    assert table["month"].tolist() == ["2026-01"] and table["n"].tolist() == [5]
    assert only(win_rate(book_of(FIVE), "", "2026-03", base="created"))["n"] == 0


def test_competitive_is_unavailable_where_nothing_says_what_deals_were_lost_to(book_of: Build) -> None:
    book = book_of([deal("1", "won"), deal("2", "lost")])
    answer = measure(book, "win_rate", "", base="competitive")
    assert answer.because == "neither `competitor` nor `lost_reason` says what a deal was lost to"
    assert "lost_to_competitor" not in win_rate(book, "")


def test_an_unknown_base_is_named_with_the_nearest(book_of: Build) -> None:
    with pytest.raises(UsageError, match="Did you mean 'competitive'"):
        measure(book_of(FIVE), "win_rate", base="competetive")


def test_rows_follow_the_base(book_of: Build) -> None:
    book = book_of(FIVE)
    listed = {b: set(counted_rows(book, "win_rate", base=b)["deal_id"]) for b in ("decided", "competitive", "created")}
    assert listed == {"decided": set("1234"), "competitive": set("12"), "created": set("12345")}


def test_types_of_deals_stand_apart_and_blanks_are_none(book_of: Build) -> None:
    deals = [
        deal("1", "won", account_id="A", deal_type="new"),
        deal("2", "lost", account_id="A", deal_type="renewal"),
        deal("3", "won", account_id="B", deal_type=None),
    ]
    book = book_of(deals)
    assert win_rate(book, "deal_type")[["deal_type", "n", "won"]].to_numpy().tolist() == [
        ["new", 1, 1],
        ["renewal", 1, 0],
        ["(none)", 1, 1],
    ]
    assert new_customers(book, "deal_type")[["deal_type", "n"]].to_numpy().tolist() == [["new", 1], ["(none)", 1]]


# --- against loops over rows ----------------------------------------------------------------------


def slow_kind(row: dict[str, Any]) -> str:
    if row["lost_reason"] in ("no_budget", "客户搁置项目"):
        return "no_decision"
    beaten = row["lost_reason"] == "Lost to competitor" or row["competitor"] == "Bluepeak"
    return "competitor" if beaten else "other"


def slow(book: Book, base: str, by: str) -> dict[str, dict[str, float]]:
    """The same by a loop over deals."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in book.deals.to_dict("records"):
        row = {k: None if v is pd.NA or v is pd.NaT or v != v else v for k, v in row.items()}
        on = row["created_at"] if base == "created" else row["closed_at"]
        if row["outcome"] == "open" and base != "created":
            continue
        day = on.tz_convert(book.timezone)
        groups[f"{day.year}Q{day.quarter}" if by == "quarter" else row[by] or "(none)"].append(row)
    table = {}
    for name, rows in groups.items():
        lost = [r for r in rows if r["outcome"] == "lost"]
        counted = [r for r in rows if r["outcome"] == "won"]
        counted += [r for r in lost if base != "competitive" or slow_kind(r) == "competitor"]
        counted += [r for r in rows if r["outcome"] == "open"]
        sized = sorted(
            (r for r in counted if r["amount_minor"] is not None), key=lambda r: (-r["amount_minor"], r["deal_id"])
        )
        won = [r for r in counted if r["outcome"] == "won"]
        known = all(
            sum(r["amount_minor"] is not None for r in part) >= 0.8 * len(part)
            for part in (won, [r for r in counted if r["outcome"] != "won"])
        )
        table[name] = {
            "n": len(counted),
            "value": len(won) / len(counted) if counted else np.nan,
            "lost_to_competitor": sum(slow_kind(r) == "competitor" for r in lost),
            "lost_no_decision": sum(slow_kind(r) == "no_decision" for r in lost),
            "value_by_amount": share_of(sized) if known else np.nan,
            "value_by_amount_without_largest": share_of(sized[1:]) if known else np.nan,
        }
    return table


def share_of(rows: list[dict[str, Any]]) -> float:
    whole = sum(r["amount_minor"] for r in rows)
    return sum(r["amount_minor"] for r in rows if r["outcome"] == "won") / whole if whole else np.nan


@pytest.mark.parametrize("by", ["deal_type", "quarter", "lead_source"])
@pytest.mark.parametrize("base", ["decided", "competitive", "created"])
def test_every_base_equals_the_slow_way(base: str, by: str, generated: Build) -> None:
    for seed in range(6):
        book = rich(generated(seed), seed)
        answer = measure(book, "win_rate", by, base=base).table
        assert answer is not None
        expected = slow(book, base, by)
        assert set(answer[by]) == set(expected)
        for row in answer.to_dict("records"):
            for column, value in expected[row[by]].items():
                assert row[column] == pytest.approx(value, nan_ok=True), (seed, row[by], column)
        assert len(counted_rows(book, "win_rate", base=base)) == answer["n"].sum()
