"""Deals held against the process file: each check by hand, and by plain loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import counted_rows, measure
from salescoach.metrics.conformance import checks, conformance, deviating_deals, rule_of, unchecked

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]
# the standard process: expect_days 8, 10, 14, 10; touch_every_days 5, 7, 4, 3; exit of quote: activity:quote
ORDER = ["prospect", "qualified", "quote", "contract"]
EXPECT = {"prospect": 8, "qualified": 10, "quote": 14, "contract": 10}
TOUCH = {"prospect": 5, "qualified": 7, "quote": 4, "contract": 3}


def did(deal: str, *days: str, kind: str = "call", **more: Any) -> list[dict[str, Any]]:
    row = {"rep_id": "R1", "activity_type": kind, "deal_id": deal, **more}
    return [{"activity_id": f"{deal}{kind}{day}", "at": day, **row} for day in days]


def verdicts(book: Book, deviation: str, rule: str | None = None) -> dict[tuple[str, str], str]:
    rows = checks(book)
    rows = rows[(rows["deviation"] == deviation) & (rows["rule"].isna() if rule is None else rows["rule"] == rule)]
    deals = book.deals["deal_id"].take(rows["deal"].to_numpy())
    return dict(zip(zip(deals, rows["stage"], strict=True), rows["verdict"], strict=True))


def test_a_stage_passed_over_is_broken_when_the_deal_went_deeper(book_of: Build) -> None:
    ways = {
        "A": "prospect 2026-01-01, quote 2026-01-05, lost 2026-01-09",  # passed qualified over
        "B": "prospect 2026-01-01, lost 2026-01-05",  # went nowhere: nothing to be passed over
        "C": "prospect 2026-01-01, void 2026-01-05",
    }
    book = book_of([], ways)
    assert verdicts(book, "skipped") == {("A", "prospect"): "kept", ("A", "qualified"): "broken"}
    rows = checks(book)
    assert rows.loc[rows["verdict"] == "broken", "decided_on"].iloc[0] == pd.Timestamp("2026-01-05")


def test_what_a_stage_asks_for_before_a_deal_leaves_it(book_of: Build) -> None:
    way = "prospect 2026-01-01, qualified 2026-01-02, quote 2026-01-05, contract 2026-01-12"
    ways = {
        "A": way,  # quote on the 12th, the day it left: kept
        "B": way,  # quote on the 13th: broken
        "C": "prospect 2026-01-01, qualified 2026-01-02, quote 2026-01-05, lost 2026-01-12",  # lost: owes nothing
        "D": "prospect 2026-01-01, qualified 2026-01-02, quote 2026-01-05",  # still there
        "E": "prospect 2025-01-01, qualified 2025-01-02, quote 2025-01-05, contract 2025-01-12",  # before any record
        "F": "prospect 2026-01-01, qualified 2026-01-02, contract 2026-01-12",  # passed over: another check
    }
    sent = [*did("A", "2026-01-12", kind="quote"), *did("B", "2026-01-13", kind="Quote")]
    book = book_of([], ways, activities=sent)
    places = {"A": "kept", "B": "broken", "D": "not_yet", "E": "unknown"}
    assert verdicts(book, "exit", "activity:quote") == {(k, "quote"): v for k, v in places.items()}


def test_a_column_must_be_filled_in_to_come_in(book_of: Build) -> None:
    ways = dict.fromkeys("AB", "prospect 2026-01-01, quote 2026-01-05")
    book = book_of([{"deal_id": "A", "amount": 5.0}, {"deal_id": "B"}], ways)
    assert verdicts(book, "enter", "amount") == {("A", "quote"): "kept", ("B", "quote"): "broken"}
    # of expected_close_on, of which the data hold nothing, nobody says that it is missing
    assert "expected_close_on" not in set(checks(book)["rule"].dropna())
    told = unchecked(book).set_index(["stage", "rule"])["why"]
    assert told["contract", "expected_close_on"] == "the data have no such column, or it is empty"
    assert told["contract", "signed contract"] == "free text: only people can tell"
    assert told["quote", "activity:quote"] == "the data hold no such activity"


@pytest.mark.parametrize(
    ("rule", "meaning"),
    [
        ("activity:demo", ("activity", "demo")),
        ("Activity: Demo", ("activity", "demo")),
        ("amount", ("column", "amount")),
        ("budget_known", ("column", "budget_known")),
        ("signed contract", ("text", "signed contract")),
        ("需求已确认。", ("text", "需求已确认。")),
    ],
)
def test_what_a_rule_asks_for(rule: str, meaning: tuple[str, str]) -> None:
    assert rule_of(rule) == meaning


def test_a_stay_beyond_the_days_expected(book_of: Build) -> None:
    ways = {
        "A": "prospect 2026-01-01, quote 2026-01-09",  # 8 days: kept; quote lasts to the day of the data: broken
        "B": "prospect 2026-01-01, lost 2026-01-10",  # 9 days
        "C": "prospect 2026-06-22",  # 8 days so far
        "D": "prospect 2026-06-21",  # 9 days so far
    }
    book = book_of([], ways)
    expected = {("A", "prospect"): "kept", ("A", "quote"): "broken", ("B", "prospect"): "broken"}
    assert verdicts(book, "stay") == {**expected, ("C", "prospect"): "not_yet", ("D", "prospect"): "broken"}
    rows = checks(book, "2026-01")  # broken on the 10th and, in quote, on the 24th (9th + 14 + 1)
    rows = rows[(rows["deviation"] == "stay") & (rows["verdict"] == "broken")]
    assert [str(d.date()) for d in rows["decided_on"].sort_values()] == ["2026-01-10", "2026-01-24"]


def test_a_silence_longer_than_the_stage_allows(book_of: Build) -> None:
    # prospect allows 5 days without a contact
    ways = {
        "A": "prospect 2026-01-01, lost 2026-01-12",  # contacts on the 6th and 11th: 5, 5 and 1 days
        "B": "prospect 2026-01-01, lost 2026-01-12",  # on the 7th: 6 days, too long from the 7th on
        "C": "prospect 2026-06-26",  # 4 days so far
        "D": "prospect 2025-12-01, lost 2026-01-12",  # began before contacts were recorded
        "E": "prospect 2026-01-01, quote 2026-01-20, lost 2026-01-21",  # contacted only after it had gone on
    }
    said = [*did("A", "2026-01-01", "2026-01-06", "2026-01-11"), *did("B", "2026-01-07"), *did("E", "2026-01-21")]
    book = book_of([], ways, activities=said)
    found = verdicts(book, "touch")
    states = {"A": "kept", "B": "broken", "C": "not_yet", "D": "unknown", "E": "broken"}
    assert {k: v for k, v in found.items() if k[1] == "prospect"} == {(k, "prospect"): v for k, v in states.items()}
    assert found["E", "quote"] == "kept"
    rows = checks(book).set_index("deal").query("deviation == 'touch' and stage == 'prospect'")
    assert str(rows.loc[1, "decided_on"].date()) == "2026-01-07" and rows.loc[1, "days"] == 6


def test_open_deals_without_a_next_step(book_of: Build) -> None:
    ways = {**dict.fromkeys("ABC", "prospect 2026-06-01"), "D": "prospect 2026-06-01, lost 2026-06-05"}
    said = [
        *did("A", "2026-06-02", due_on="2026-07-05", done=False),
        *did("B", "2026-06-02", due_on="2026-06-10", done=False),
        *did("C", "2026-06-02", due_on="2026-06-10", done=True),
    ]
    book = book_of([], ways, activities=said)
    states = {"A": "kept", "B": "broken", "C": "broken"}
    assert verdicts(book, "next_step") == {(k, "prospect"): v for k, v in states.items()}


def test_the_shares_by_deviation(book_of: Build) -> None:
    ways = {
        "A": "prospect 2026-01-01, quote 2026-01-05, lost 2026-01-09",
        "B": "prospect 2026-01-01, qualified 2026-01-20, lost 2026-01-21",
    }
    table = conformance(book_of([], ways)).set_index("deviation")
    # skipped: prospect twice kept, qualified once passed over; stays: 4, 4, 19 and 1 days
    assert table.loc["skipped", ["n", "broken", "deals"]].tolist() == [3, 1, 1]
    assert table.loc["stay", ["n", "broken", "deals"]].tolist() == [4, 1, 1]
    assert table.loc["skipped", "value"] == pytest.approx(1 / 3)
    assert table.loc["skipped", "low"] == pytest.approx(0.0615, abs=1e-4)  # Wilson 1 of 3


def test_every_broken_check_can_be_listed(demo: Book) -> None:
    table = measure(demo, "conformance", "rep,stage", "2026Q2").table
    assert table is not None
    rows = deviating_deals(demo, "2026Q2")
    assert len(rows) == table["broken"].sum()
    by_rep = rows.groupby("rep_id").size()
    assert by_rep.equals(table.groupby("rep_id")["broken"].sum().loc[by_rep.index])
    assert len(counted_rows(demo, "conformance", "2026Q2")) == table["n"].sum()


def test_stages_stand_in_the_order_of_the_process(demo: Book) -> None:
    table = conformance(demo, "stage")
    assert table["stage"].drop_duplicates().tolist() == ORDER


def test_what_is_planted_in_the_demo_is_found(demo: Book) -> None:
    """Stages that nobody recorded: 8 % of those passed, and 10 % of the deals in quote without a quote."""
    table = conformance(demo, "stage").set_index(["stage", "deviation"])
    for stage in ("qualified", "quote", "contract"):
        assert table.loc[(stage, "skipped"), "value"] == pytest.approx(0.08, abs=0.02)
    assert table.loc[("quote", "exit"), "value"] == pytest.approx(0.10, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_the_checks_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today = book.as_of_on.date()
    entries: dict[str, list[tuple[str, Any]]] = {}
    for row in plain(book, "stage_history"):
        entries.setdefault(row["deal_id"], []).append((row["stage"], row["entered_at"]))
    said: dict[str, list[tuple[date, str]]] = {}
    for a in plain(book, "activities"):
        kind, due = a["activity_type"].lower(), a["due_on"]
        waits = a["done"] is False or (a["done"] is None and due is not None and due.date() > today)
        if a["deal_id"] and not waits:
            said.setdefault(a["deal_id"], []).append((a["at"].date(), kind))
    quotes = {q["deal_id"]: q["at"].date() for q in plain(book, "quotes")}
    since = min(a["at"].date() for a in plain(book, "activities"))
    quoted_since = min([since, *quotes.values()])
    expected: Counter[tuple[str, str, str, str]] = Counter()
    for d in plain(book, "deals"):
        key, is_open = d["deal_id"], d["outcome"] == "open"
        steps = [(ORDER.index(s), at) for s, at in entries[key] if s in ORDER]
        if d["outcome"] == "void" or not steps:
            continue
        first = {o: min(t for p, t in steps if p == o) for o, _ in steps}
        reach = 3 if d["outcome"] == "won" else max(first)
        for place in range(reach + 1):
            own = first.get(place)
            deeper = [t for o, t in steps if o > place and (own is None or t >= own)]
            went = bool(deeper) or d["outcome"] == "won"
            left = min(deeper) if deeper else d["closed_at"] if not is_open else None
            stage = ORDER[place]
            if went:
                expected[key, stage, "skipped", "broken" if own is None else "kept"] += 1
            if own is None:
                continue
            end = today if left is None or (is_open and not went) else left.date()
            stay = (end - own.date()).days
            over = stay > EXPECT[stage]
            still = is_open and not went
            bad = stay < 0 or (left is not None and left < own)
            verdict = "unknown" if bad else "broken" if over else "not_yet" if still else "kept"
            expected[key, stage, "stay", verdict] += 1
            days = sorted({on for on, kind in said.get(key, []) if kind != "note" and own.date() <= on <= end})
            edges = [own.date(), *days, end]
            gaps = [(b - a).days for a, b in pairwise(edges)]
            if stay < 0 or own.date() < since:
                verdict = "unknown"
            else:
                verdict = "broken" if max(gaps) > TOUCH[stage] else "not_yet" if still else "kept"
            expected[key, stage, "touch", verdict] += 1
            if stage == "quote":
                sent = [on for on, kind in said.get(key, []) if kind == "quote"]
                sent += [quotes[key]] if key in quotes else []
                if still:
                    expected[key, stage, "exit", "not_yet"] += 1
                elif went:
                    in_time = bool(sent) and min(sent) <= end
                    early = "unknown" if end < quoted_since else "broken"
                    expected[key, stage, "exit", "kept" if in_time else early] += 1
    rows = checks(book)
    rows = rows[rows["deviation"].isin(["skipped", "stay", "touch"]) | (rows["rule"] == "activity:quote")]
    ids = book.deals["deal_id"].take(rows["deal"].to_numpy())
    assert Counter(zip(ids, rows["stage"], rows["deviation"], rows["verdict"], strict=True)) == expected


def test_a_stage_without_limits_is_not_checked_for_them(book_of: Build, process: Any) -> None:
    line = process.pipelines["new"]
    bare = [
        s.model_copy(update={"expect_days": None, "touch_every_days": None, "exit": (), "enter": ()})
        for s in line.stages
    ]
    plain_line = line.model_copy(update={"stages": tuple(bare)})
    loose = process.model_copy(update={"pipelines": {"new": plain_line}})
    book = replace(
        book_of([], {"A": "prospect 2026-01-01, lost 2026-06-12"}, activities=did("A", "2026-01-02")), process=loose
    )
    assert checks(book).empty and unchecked(book)["deviation"].unique().tolist() == ["next_step"]
    assert conformance(book)["n"].sum() == 0
