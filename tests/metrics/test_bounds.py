"""Trust bounds: sharp over everything the records in doubt may be, the value inside, and narrower after the edits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import ten_edits, trust_bounds
from salescoach.metrics.bounds import Tally, assumed_closes, doubts
from salescoach.metrics.stalled import zombie_deals

Build = Callable[..., Book]


def rates(won: int, lost: int, doubtful: Iterable[tuple[tuple[int, int], ...]]) -> list[float]:
    """The win rate under every combination of what each doubtful deal may add to (won, lost)."""
    found = []
    for choice in itertools.product(*doubtful):
        w, n = won + sum(a for a, _ in choice), won + lost + sum(a + b for a, b in choice)
        if n:
            found.append(w / n)
    return found


@pytest.mark.parametrize(
    ("won", "lost", "maybe_won", "maybe_lost", "undecided"),
    [t for t in itertools.product(range(3), range(3), range(3), range(3), range(3)) if sum(t)],
)
def test_a_tally_has_the_ends_of_all_assignments(
    won: int, lost: int, maybe_won: int, maybe_lost: int, undecided: int
) -> None:
    options = [((1, 0), (0, 0))] * maybe_won + [((0, 1), (0, 0))] * maybe_lost + [((1, 0), (0, 1))] * undecided
    all_rates = rates(won, lost, options)
    tally = Tally(won, lost, maybe_won, maybe_lost, undecided)
    assert (tally.low, tally.high) == (pytest.approx(min(all_rates)), pytest.approx(max(all_rates)))


def deal(deal_id: str, outcome: str, **more: Any) -> dict[str, Any]:
    made = {"deal_id": deal_id, "rep_id": "R1", "outcome": outcome, "created_at": "2025-01-01", "amount": 10.0}
    closed = {} if outcome == "open" else {"closed_at": "2026-05-10"}
    return {**made, **closed, **more}


def zombie(deal_id: str, **more: Any) -> dict[str, Any]:
    """Expected 200 days ago, and never touched since it was created."""
    return deal(deal_id, "open", expected_close_on="2025-12-01", **more)


def bound(book: Book, defect: str, period: str | None = None) -> dict[str, Any]:
    table = trust_bounds(book, period)
    return {str(k): v for k, v in table[table["defect"] == defect].iloc[0].items()}


def test_the_win_rate_depending_on_zombies(book_of: Build) -> None:
    # 2 won of 6 decided; 4 zombies: all lost 2 / 10, all won 6 / 10
    deals = [*(deal(f"w{i}", "won") for i in range(2)), *(deal(f"l{i}", "lost") for i in range(4))]
    book = book_of([*deals, *(zombie(f"z{i}") for i in range(4))])
    assert len(zombie_deals(book)) == 4
    found = bound(book, "zombies")
    assert (found["n"], found["value"], found["low"], found["high"]) == (4, pytest.approx(1 / 3), 0.2, 0.6)
    assert found["sentence"] == (
        "The win rate of 33.3% lies between 20.0% and 60.0%, depending on 4 open deals that look dead: all of them "
        "lost, or all of them won."
    )
    every = rates(2, 4, [((1, 0), (0, 1))] * 4)
    assert (found["low"], found["high"]) == (pytest.approx(min(every)), pytest.approx(max(every)))


def test_a_reps_rate_if_the_unowned_deals_were_theirs(book_of: Build) -> None:
    # R1: 1 of 2; one won and two lost deals have no rep: from 1 / 4 to 2 / 3
    deals = [deal("w", "won"), deal("l", "lost"), deal("u1", "won", rep_id=None)]
    deals += [deal("u2", "lost", rep_id=None), deal("u3", "lost", rep_id=None)]
    found = bound(book_of(deals), "unowned")
    assert (found["rep_id"], found["n"], found["value"]) == ("R1", 3, 0.5)
    assert (found["low"], found["high"]) == (0.25, pytest.approx(2 / 3))
    every = rates(1, 1, [((1, 0), (0, 0)), ((0, 1), (0, 0)), ((0, 1), (0, 0))])
    assert (found["low"], found["high"]) == (min(every), pytest.approx(max(every)))


def test_undated_deals_may_belong_to_the_period(book_of: Build) -> None:
    deals = [deal("w", "won"), deal("l", "lost"), deal("u", "lost", closed_at=None)]
    book = book_of(deals)
    found = bound(book, "undated", "2026Q2")
    assert (found["value"], found["low"], found["high"]) == (0.5, pytest.approx(1 / 3), 0.5)
    assert trust_bounds(book)["defect"].tolist().count("undated") == 0  # the whole counts them anyway


def test_close_dates_that_are_plans_may_lie_elsewhere(book_of: Build) -> None:
    # without a log: `m` closed on a month's last day, a week into nothing of the period's end
    deals = [deal("w", "won"), deal("l", "lost"), deal("m", "won", closed_at="2026-06-30")]
    book = book_of(deals, as_of="2026-07-15")
    assert assumed_closes(book)["deal_id"].tolist() == ["m"]
    found = bound(book, "assumed-close", "2026Q2")
    assert (found["value"], found["low"], found["high"]) == (pytest.approx(2 / 3), 0.5, pytest.approx(2 / 3))


def test_a_close_that_the_log_has_otherwise_is_a_guess(book_of: Build) -> None:
    log = {"a": "quote 2026-01-01, won 2026-05-10", "b": "quote 2026-01-01, won 2026-05-10"}
    deals = [{"deal_id": "a", "closed_at": "2026-05-12"}, {"deal_id": "b", "closed_at": "2026-05-20"}]
    assert assumed_closes(book_of(deals, log))["deal_id"].tolist() == ["b"]  # 2 days are none, 10 are


def test_losses_without_a_reason(book_of: Build) -> None:
    deals = [deal("w", "won"), deal("c", "lost", lost_reason="competitor")]
    deals += [deal("p", "lost", lost_reason="price"), deal("q", "lost", lost_reason="price"), deal("u", "lost")]
    table = trust_bounds(book_of(deals))
    rows = table[table["defect"] == "no-reason"].set_index("metric")
    # against competitors 1 of 2, or 1 of 3; price 2 of 3 known, between 2 and 3 of 4
    assert rows.loc["win_rate (base=competitive)", ["value", "low", "high"]].tolist() == [
        0.5,
        pytest.approx(1 / 3),
        0.5,
    ]
    assert rows.loc["lost_reason", ["value", "low", "high"]].tolist() == [pytest.approx(2 / 3), 0.5, 0.75]


def test_money_depending_on_stale_dates_and_missing_amounts(book_of: Build) -> None:
    deals = [deal("next", "open", expected_close_on="2026-08-01", amount=100.0)]
    deals += [deal("stale", "open", expected_close_on="2026-06-01", amount=30.0), deal("none", "open", amount=7.0)]
    deals += [deal("w", "won", amount=100.0), deal("x", "won", amount=None), deal("l", "lost")]
    book = book_of(deals)
    stale, undated = bound(book, "stale-close"), bound(book, "no-expected-close")
    assert (stale["value"], stale["low"], stale["high"]) == (100.0, 100.0, 130.0)
    assert (undated["value"], undated["low"], undated["high"]) == (100.0, 100.0, 107.0)
    missing = bound(book, "no-amount")
    assert (missing["n"], missing["value"], missing["low"]) == (1, 100.0, 100.0)
    assert missing["high"] == 100.0 + np.quantile([100.0, 30.0, 7.0, 100.0, 10.0], 0.9)


def test_amounts_in_several_currencies_have_no_bound(book_of: Build) -> None:
    deals = [deal("w", "won", currency="CNY"), deal("x", "won", amount=None, currency="USD"), deal("l", "lost")]
    table = trust_bounds(book_of(deals))
    assert table[table["unit"] == "money"].empty


@pytest.mark.parametrize("period", [None, "2025Q3", "2026Q2"])
@pytest.mark.parametrize("seed", range(6))
def test_the_value_lies_within_every_bound(seed: int, period: str | None, generated: Build) -> None:
    table = trust_bounds(generated(seed), period)
    assert ((table["low"] <= table["value"] + 1e-9) & (table["value"] <= table["high"] + 1e-9)).all()
    shares = table[table["unit"] == "share"]
    assert shares["low"].between(0, 1).all() and shares["high"].between(0, 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_are_those_of_every_assignment_of_small_books(seed: int, generated: Build) -> None:
    """All 2^k worlds of a random book: zombies won or lost, unowned deals a rep's or not, in plain loops."""
    book = generated(seed, size=24)
    records = book.deals.to_dict("records")
    closed = [d for d in records if d["outcome"] in ("won", "lost")]
    won = sum(d["outcome"] == "won" for d in closed)
    table = trust_bounds(book).set_index(["defect", "metric"])
    dead = len(zombie_deals(book))
    if ("zombies", "win_rate") in table.index and dead <= 12:
        every = rates(won, len(closed) - won, [((1, 0), (0, 1))] * dead)
        found = table.loc[("zombies", "win_rate")]
        found = found.iloc[0] if isinstance(found, pd.DataFrame) else found
        assert (found["low"], found["high"]) == (pytest.approx(min(every)), pytest.approx(max(every)))
    reasons = [d["lost_reason"] for d in closed if d["outcome"] == "lost"] if "lost_reason" in book.deals else []
    assert not reasons or len(reasons) == len(closed) - won


def test_the_ten_edits_narrow_the_range_by_what_they_say(book_of: Build) -> None:
    deals = [*(deal(f"w{i}", "won") for i in range(5)), *(deal(f"l{i}", "lost") for i in range(15))]
    book = book_of([*deals, *(zombie(f"z{i:02}", amount=1.0 + i) for i in range(14))])
    edits = ten_edits(book)
    assert len(edits) == 10 and edits["fix"].str.contains("Close it").all()
    before = bound(book, "zombies")
    for outcome in ("lost", "won"):  # whatever they turn out to be
        chosen = set(edits["deal_id"])
        fixed = [deal(d["deal_id"], outcome) if d["deal_id"] in chosen else d for d in map(dict, zombies_of(book))]
        after = bound(book_of([*deals, *fixed]), "zombies")
        assert after["n"] == 4
        assert after["high"] - after["low"] < before["high"] - before["low"]
    # each is worth 1 / (20 + 14) of the win rate
    worth = next(d for d in doubts(book) if d.defect == "zombies").edits["narrows"]
    assert worth.tolist() == pytest.approx([100 / 34] * 14)


def zombies_of(book: Book) -> list[dict[str, Any]]:
    return [zombie(d, amount=a) for d, a in zombie_deals(book)[["deal_id", "amount"]].itertuples(index=False)]


def test_edits_come_in_the_order_of_what_they_are_worth(demo: Book) -> None:
    edits = ten_edits(demo, "2026Q3")
    assert len(edits) == 10 and edits["narrows"].is_monotonic_decreasing and edits["deal_id"].is_unique
    assert (edits["narrows"] > 0).all()


def test_sentences_are_said_in_chinese(demo: Book) -> None:
    chinese = trust_bounds(demo, language="zh")["sentence"]
    assert chinese.str.contains("[\u4e00-\u9fff]").all() and not chinese.str.contains("depending").any()


def test_a_faultless_book_has_no_doubts(book_of: Build) -> None:
    book = book_of([deal("w", "won"), deal("l", "lost", lost_reason="price", competitor="X")])
    assert trust_bounds(book).empty and ten_edits(book).empty
