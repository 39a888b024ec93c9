"""What happened to a measure: by hand, against a published figure, and against a plain recount."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from runpy import run_path

import pytest

from salescoach.book import Book
from salescoach.coaching import follow_up as module
from salescoach.coaching.agreed import Promise
from salescoach.coaching.follow_up import Reading, follow_up, follow_ups, measured
from salescoach.coaching.habits import HABITS
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import METRICS, wilson
from salescoach.wording import words

BOOKS = run_path(str(Path(__file__).resolve().parents[1] / "metrics" / "conftest.py"))
DAY = date(2026, 1, 1)
EN, ZH = words("en"), words("zh")
WIN_RATE = Promise("rep", "qualify harder", measure="win_rate", on="2026-03-31")


def decided(month: str, won: int, lost: int) -> list[dict[str, object]]:
    """Deals of R1 that were created and decided in a month."""
    outcomes = ["won"] * won + ["lost"] * lost
    return [
        {"deal_id": f"{month}-{i}", "rep_id": "R1", "outcome": outcome, "amount": 100.0,
         "created_at": f"{month}-02", "closed_at": f"{month}-{10 + i % 18}"}
        for i, outcome in enumerate(outcomes)
    ]  # fmt: skip


def book_with(*deals: list[dict[str, object]], **tables: list[dict[str, object]]) -> Book:
    return BOOKS["build"]([deal for part in deals for deal in part], as_of="2026-06-30", **tables)


def reading(k: int, n: int) -> Reading:
    value, low, high = (float(end) for end in wilson(k, n))
    return Reading(n, value, low, high, DAY, DAY)


def test_by_hand() -> None:
    """5 of 20 up to 31 March, 15 of 20 since: 91 days have passed, so 91 before are looked at.

    Wilson (.1119, .4687) and (.5313, .8881). .5 - √(.2187² + .2187²) = .1907; .5 + √(.1381² + .1381²) = .6954.
    """
    book = book_with(decided("2025-06", 20, 0), decided("2026-02", 5, 15), decided("2026-05", 15, 5))
    found = follow_up(WIN_RATE, book)
    assert found.then is not None and found.now is not None and found.change is not None
    assert (found.then.n, found.then.value, found.now.n, found.now.value) == (20, 0.25, 20, 0.75)
    assert (found.then.start_on, found.then.end_on) == (date(2025, 12, 31), date(2026, 3, 31))
    assert (found.now.start_on, found.now.end_on) == (date(2026, 4, 1), date(2026, 6, 30))
    assert found.change == pytest.approx((0.5, 0.1907, 0.6954), abs=5e-5)
    assert (found.verdict, found.unit, found.available) == ("better", "share", True)
    assert found.said(EN) == (
        "25% of 20 before, 75% of 20 since. "
        "Better by 19 points to 70 points; after a poor period a better one often follows by itself."
    )


def test_the_range_of_a_change_is_newcombes() -> None:
    """Newcombe 1998, method 10: 56/70 against 48/80 gives .2 (.0524, .3339)."""
    assert module._change(reading(48, 80), reading(56, 70)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("measure", "then", "now", "verdict"),
    [
        ("win_rate", (5, 20), (15, 20), "better"),
        ("win_rate", (15, 20), (5, 20), "worse"),
        ("win_rate", (5, 20), (8, 20), "not told"),
        ("win_rate", (0, 9), (20, 20), "thin"),
        ("win_rate", (0, 20), (9, 9), "thin"),
        ("missed_quotes", (5, 20), (15, 20), "worse"),
        ("missed_quotes", (15, 20), (5, 20), "better"),
        ("response_time", (5, 20), (15, 20), "better"),
        ("zombies", (15, 20), (5, 20), "better"),
        ("discount", (5, 20), (15, 20), "higher"),
        ("discount", (15, 20), (5, 20), "lower"),
    ],
)
def test_what_is_said_of_a_change(measure: str, then: tuple[int, int], now: tuple[int, int], verdict: str) -> None:
    before, since = reading(*then), reading(*now)
    assert module._verdict(measure, before, since, module._change(before, since)) == verdict
    assert EN(module.VERDICTS[verdict], low="1", high="2") and ZH(module.VERDICTS[verdict], low="1", high="2")


def test_every_measure_with_a_direction_is_a_figure_of_ours() -> None:
    assert {*module.HIGHER, *module.LOWER} <= {*METRICS, *HABITS}
    assert not set(module.HIGHER) & set(module.LOWER)
    assert all(HABITS[name].good == (name in module.HIGHER) for name in HABITS if name in module.HIGHER + module.LOWER)


@pytest.mark.parametrize(
    ("promise", "reason"),
    [
        (replace(WIN_RATE, measure=""), "no measure was agreed"),
        (replace(WIN_RATE, measure="a smile"), "`a smile` is no figure of ours: look at it together"),
        (replace(WIN_RATE, on="2026-06-30"), "the data end on 2026-06-30: no day has passed since"),
        (replace(WIN_RATE, on="2027-01-01"), "the data end on 2026-06-30: no day has passed since"),
        (replace(WIN_RATE, on="2025-12-31"), "up to 2025-12-31 there is no row in `deals`"),
        (replace(WIN_RATE, on="2026-06-01"), "nothing is on record from 2026-06-02 to 2026-06-30"),
        (replace(WIN_RATE, measure="response_time"), "nothing is on record from 2026-04-01 to 2026-06-30"),
        (replace(WIN_RATE, measure="discount"), "`list_price` is missing or empty in `deals`"),
    ],
)
def test_what_cannot_be_known_is_said(promise: Promise, reason: str) -> None:
    found = follow_up(promise, book_with(decided("2026-02", 5, 15), decided("2026-05", 15, 5)))
    assert str(found.reason) == reason and not found.available and found.verdict == "" and found.then is None
    assert found.said(EN).endswith(f"unavailable, because {reason}" + ("." if found.now else ""))
    assert "无法得出，因为" in found.said(ZH)


def test_what_is_so_since_is_said_without_a_before() -> None:
    found = follow_up(
        replace(WIN_RATE, on="2026-02-05"), book_with(decided("2025-01", 1, 1), decided("2026-05", 15, 5))
    )
    reason = "nothing is on record from 2025-09-14 to 2026-02-05"
    assert found.said(EN) == f"75% since (n = 20); before: unavailable, because {reason}."


def test_a_day_that_is_none() -> None:
    with pytest.raises(UsageError, match="on: '31 March' is no day"):
        follow_up(replace(WIN_RATE, on="31 March"), book_with(decided("2026-02", 5, 15)))


def test_a_stage_is_the_promises_own(demo_book: Book) -> None:
    slice_ = demo_book.for_rep("R01")
    promise = Promise("rep", "answer the need", measure="stage_flow", stage="quote", on="2026-03-31")
    found = follow_up(promise, slice_)
    assert found.available and found.unit == "share"
    assert follow_up(replace(promise, measure="worse"), slice_) == replace(
        found, promise=replace(promise, measure="worse")
    )
    several = follow_up(replace(promise, stage=""), slice_)
    assert str(several.reason) == "`stage_flow` has several figures: name the stage that is meant"


def test_the_state_of_a_day_is_compared_with_the_state_of_that_day() -> None:
    """On 31 March all 24 open deals were past their date and silent for 60 days; in May 12 of them were lost, and the
    12 that are left are so still: 24 of 24, then 12 of 12. No days before or since are counted.
    """
    rows = [{"deal_id": f"D{i}", "rep_id": "R1", "expected_close_on": "2026-01-10"} for i in range(24)]
    log = {f"D{i}": "prospect 2026-01-05" + (", lost 2026-05-05" if i < 12 else "") for i in range(24)}
    calls = [
        {"activity_id": f"A{i}", "deal_id": f"D{i}", "rep_id": "R1", "at": "2026-01-06", "activity_type": "call",
         "direction": "in"}
        for i in range(24)
    ]  # fmt: skip
    book = BOOKS["build"](rows, log, activities=calls)
    found = follow_up(replace(WIN_RATE, measure="zombies"), book)
    assert found.then is not None and found.now is not None
    assert (found.then.n, found.then.value, found.then.end_on) == (24, 1.0, date(2026, 3, 31))
    assert (found.now.n, found.now.value, found.now.end_on) == (12, 1.0, date(2026, 6, 30))
    assert found.then.start_on is None and found.verdict == "not told"


def test_later_facts_do_not_change_what_was_before() -> None:
    """A deal that was won in February and lost after all in May still counts as won before."""
    turned = [{"deal_id": f"T{i}", "rep_id": "R1"} for i in range(12)]
    log = {f"T{i}": "prospect 2026-01-05, won 2026-02-05, quote 2026-05-01, lost 2026-05-09" for i in range(12)}
    other = {"deal_id": "X", "rep_id": "R1", "outcome": "lost", "closed_at": "2025-05-09", "created_at": "2025-05-01"}
    found = follow_up(WIN_RATE, BOOKS["build"]([*turned, other], {**log, "X": "prospect 2025-05-01, lost 2025-05-09"}))
    assert found.then is not None and found.now is not None
    assert (found.then.n, found.then.value, found.now.n, found.now.value) == (12, 1.0, 12, 0.0)
    assert found.verdict == "worse"


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_recount(seed: int) -> None:
    """Win rate before and since, counted deal by deal from the rows."""
    book = BOOKS["random_book"](seed)
    for rep in ("R1", "R2"):
        found = follow_up(replace(WIN_RATE, on="2025-12-31"), book.for_rep(rep))
        assert found.now is not None, found.reason
        rows = [d for d in BOOKS["plain_rows"](book.for_rep(rep), "deals") if d["closed_at"] and d["rep_id"] == rep]
        since = [d for d in rows if d["closed_at"].date() > date(2025, 12, 31) and d["outcome"] in ("won", "lost")]
        assert found.now.n == len(since)
        assert found.now.value == pytest.approx(sum(d["outcome"] == "won" for d in since) / len(since))


@pytest.mark.nightly
def test_every_figure_can_be_followed_or_says_why_not(demo_book: Book) -> None:
    """Never a number without its range, never an error: each metric and habit, on the demo data."""
    slice_ = demo_book.for_rep("R02")
    promises = [Promise("rep", "x", measure=name, stage="quote", on="2026-03-31") for name in (*METRICS, *HABITS)]
    table = follow_ups(promises, slice_, EN)
    told = table[table["verdict"] != ""]
    assert len(told) >= 15 and (told["low"] <= told["change"]).all() and (told["change"] <= told["high"]).all()
    assert told[["n_then", "then", "n_now", "now"]].notna().all().all()
    silent = table[table["verdict"] == ""]
    assert silent["said"].str.contains("unavailable, because ").all() and silent["then"].isna().all()


def test_no_promise_gives_an_empty_table(demo_book: Book) -> None:
    assert follow_ups([], demo_book.for_rep("R02"), EN).columns.tolist() == module.COLUMNS


def test_what_is_noted_when_it_is_promised_is_what_is_read_as_before(demo_book: Book) -> None:
    """30 days after a promise the 90 days before it are looked at: the same figures as were noted on its day."""
    slice_ = demo_book.for_rep("R02").at("2026-08-30")
    noted = {}
    for name in ("win_rate", "missed_quotes", "stalled", "lowest"):
        then = slice_.at("2026-07-31")
        noted[name] = measured(name, "quote", then)
        promise = Promise("rep", "x", measure=name, stage="quote", on="2026-07-31")
        assert follow_up(promise, slice_).then == noted[name]
    assert noted["win_rate"].start_on == date(2026, 5, 3) and noted["stalled"].start_on is None
    with pytest.raises(Unavailable, match="is no figure of ours"):
        measured("a smile", "", slice_)
