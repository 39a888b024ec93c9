"""Missed quotes, forgotten follow-ups and overdue next steps: worked by hand, and against plain loops."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.kit import kit_path
from salescoach.metrics import forgotten_followups, measure, missed_quotes, overdue_next_steps
from salescoach.metrics.lapses import asked_passages, customer_contacts, next_steps, waits

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def did(deal: str, at: str, kind: str = "quote", side: str | None = "out", **more: Any) -> dict[str, Any]:
    known = {"rep_id": "R1", "at": at, "activity_type": kind, "deal_id": deal, "direction": side}
    return {"activity_id": f"{deal}{at}{kind}", **known, **more}


# --- quotes ----------------------------------------------------------------------------------------


def test_quotes_in_time_late_never_and_not_yet(book_of: Build) -> None:
    # the stage expects 14 days: reached on 1 June, due on 15 June; as of 30 June
    log = {
        "A": "quote 2026-06-01, contract 2026-06-20",  # quoted on the 15th: in time
        "B": "quote 2026-06-01, contract 2026-06-20",  # quoted on the 16th: late
        "C": "quote 2026-06-01",  # never, and the time is over
        "D": "quote 2026-06-17",  # due on 1 July: not yet
        "E": "quote 2026-06-20, lost 2026-06-22",  # lost without a quote: never
        "F": "qualified 2026-06-01, contract 2026-06-25",  # passed the stage over: never
        "G": "quote 2026-06-01, void 2026-06-05",  # void: counts nowhere
        "H": "qualified 2026-06-01",  # has not got there
    }
    said = [did("A", "2026-06-15"), did("B", "2026-06-16"), did("H", "2026-05-01", "call")]
    book = book_of([], log, activities=said)
    row = missed_quotes(book, "").iloc[0]
    assert row[["n", "missed", "late", "never", "passed_over", "not_yet", "unknown"]].tolist() == [5, 4, 1, 3, 1, 1, 0]
    assert row["value"] == 0.8
    verdicts = asked_passages(book).set_index("deal_id")["verdict"].to_dict()
    assert verdicts == {"A": "done", "B": "late", "C": "never", "D": "not_yet", "E": "never", "F": "never"}


def test_a_row_in_quotes_is_a_quote_too_and_one_sent_before_counts(book_of: Build) -> None:
    log = {"A": "qualified 2026-05-01, quote 2026-06-01", "B": "quote 2026-06-01"}
    book = book_of([], log, quotes=[{"quote_id": "Q", "deal_id": "A", "at": "2026-05-20"}])
    assert asked_passages(book).set_index("deal_id")["verdict"].to_dict() == {"A": "done", "B": "never"}


def test_what_is_planned_is_not_done(book_of: Build) -> None:
    log = {"A": "quote 2026-06-01", "B": "quote 2026-06-01"}
    said = [did("A", "2026-06-02", due_on="2026-06-10", done=False), did("B", "2026-06-02", done=True)]
    assert asked_passages(book_of([], log, activities=said))["verdict"].tolist() == ["never", "done"]


def test_what_was_due_before_the_records_begin_is_unknown(book_of: Build) -> None:
    log = {"A": "quote 2026-01-01, lost 2026-01-09", "B": "quote 2026-06-01"}
    book = book_of([], log, activities=[did("B", "2026-06-02")])
    assert asked_passages(book).set_index("deal_id")["verdict"].to_dict() == {"A": "unknown", "B": "done"}


def test_without_any_quote_in_the_data_nobody_can_tell(book_of: Build) -> None:
    book = book_of([], {"A": "quote 2026-06-01"}, activities=[did("A", "2026-06-02", "call")])
    with pytest.raises(Unavailable, match="no quote is recorded"):
        missed_quotes(book, "")
    with pytest.raises(Unavailable, match="no stage of the process asks for golf"):
        missed_quotes(book, "", activity="golf")


def test_any_rule_of_the_process_can_be_asked_for(book_of: Build) -> None:
    log = {"A": "qualified 2026-06-01, quote 2026-06-05", "B": "qualified 2026-06-01, quote 2026-06-05"}
    book = book_of([], log, activities=[did("A", "2026-06-03", "Demo")])
    assert measure(book, "missed_quotes", "", activity="demo").table["value"].tolist() == [0.5]  # type: ignore[index]


def planted(name: str) -> Any:
    return json.loads((kit_path("data/demo") / "truth.json").read_text(encoding="utf-8"))[name]


def test_the_deals_without_a_quote_in_the_demo_are_found(demo: Book) -> None:
    rows = asked_passages(demo)
    void = set(demo.deals.loc[demo.deals["outcome"] == "void", "deal_id"])
    never = set(rows.loc[(rows["verdict"] == "never") & ~rows["skipped"], "deal_id"])
    still = set(rows.loc[rows["verdict"] == "not_yet", "deal_id"])
    expected = set(planted("deals_without_quote")) & set(demo.deals["deal_id"])
    assert never <= expected and expected - never <= void | still


# --- follow-ups ------------------------------------------------------------------------------------


def test_silence_after_a_customers_contact(book_of: Build) -> None:
    # prospect allows 5 days of silence
    log = {
        "A": "prospect 2026-06-01",  # asked on the 2nd, answered on the 7th: 5 days, kept
        "B": "prospect 2026-06-01",  # asked on the 2nd and 4th, answered on the 8th: 6 days from the first, forgotten
        "C": "prospect 2026-06-01",  # asked on the 26th, no answer: 4 days so far, waiting
        "D": "prospect 2026-06-01, lost 2026-06-07",  # asked on the 3rd, closed after 4 days: kept
        "E": "prospect 2026-06-01",  # asked on the 2nd, a call of unknown side on the 3rd, silence since: unknown
        "F": "prospect 2026-06-01, void 2026-06-20",  # void: counts nowhere
    }
    said = [
        did("A", "2026-06-02", "email", "in"),
        did("A", "2026-06-07", "call"),
        did("B", "2026-06-02", "email", "in"),
        did("B", "2026-06-04", "email", "in"),
        did("B", "2026-06-08", "meeting", None),
        did("C", "2026-06-26", "email", "Inbound"),
        did("D", "2026-06-03", "call", "in"),
        did("D", "2026-06-20", "call", "in"),
        did("E", "2026-06-02", "call", "in"),
        did("E", "2026-06-03", "call", None),
        did("F", "2026-06-02", "call", "in"),
    ]
    book = book_of([], log, activities=said)
    rows = waits(book).join(book.deals["deal_id"], on="deal")
    assert rows.set_index("deal_id")[["silent_days", "verdict"]].to_numpy().tolist() == [
        [5, "kept"],
        [6, "forgotten"],
        [4, "waiting"],
        [4, "kept"],
        [28, "unknown"],
    ]
    row = forgotten_followups(book, "").iloc[0]
    assert row[["n", "forgotten", "deals", "waiting", "unknown", "longest_days"]].tolist() == [3, 1, 1, 1, 1, 6]
    assert row["value"] == pytest.approx(1 / 3)


def test_the_limit_is_that_of_the_stage_at_the_time(book_of: Build) -> None:
    # 6 days of silence: forgotten in prospect (5), kept in qualified (7)
    log = {"A": "prospect 2026-05-01, qualified 2026-06-01"}
    said = [did("A", at, "email", side) for at, side in (("2026-05-02", "in"), ("2026-05-08", "out"))]
    said += [did("A", at, "email", side) for at, side in (("2026-06-02", "in"), ("2026-06-08", "out"))]
    rows = waits(book_of([], log, activities=said))
    assert rows["limit_days"].tolist() == [5, 7] and rows["verdict"].tolist() == ["forgotten", "kept"]


def test_without_directions_nobody_can_tell_who_kept_silent(book_of: Build) -> None:
    book = book_of([], {"A": "prospect 2026-06-01"}, activities=[did("A", "2026-06-02", "call", None)])
    assert "nobody knows who kept silent" in str(measure(book, "forgotten_followups").because)
    bare = book_of([], {"A": "prospect 2026-06-01"})
    with pytest.raises(Unavailable, match="no table `activities`"):
        customer_contacts(bare)


def test_the_planted_silences_of_the_demo_are_found(demo: Book) -> None:
    rows = waits(demo).join(demo.deals[["deal_id", "outcome"]], on="deal")
    forgotten = rows[rows["verdict"] == "forgotten"]
    found = set(zip(forgotten["deal_id"], forgotten["asked_on"].dt.strftime("%Y-%m-%d"), strict=True))
    expected = {(f["deal_id"], f["on"]) for f in planted("forgotten")}
    assert len(expected & found) >= 0.97 * len(expected) and len(found - expected) <= 0.03 * len(found)


# --- next steps ------------------------------------------------------------------------------------


def test_next_steps(book_of: Build) -> None:
    log = dict.fromkeys("ABCD", "prospect 2026-06-01")
    said = [
        did("A", "2026-06-02", "call", due_on="2026-06-29", done=False),  # yesterday: overdue
        did("A", "2026-06-02", "mail", due_on="2026-07-05", done=False),
        did("B", "2026-06-02", "call", due_on="2026-06-30", done=False),  # today: in time
        did("C", "2026-06-02", "call", due_on="2026-06-10", done=True),  # done: nothing is planned
    ]
    book = book_of([], log, activities=said)
    assert next_steps(book)["next_step"].tolist() == ["overdue", "in_future", "without", "without"]
    row = overdue_next_steps(book, "").iloc[0]
    assert row[["n", "overdue", "in_future", "without_next_step"]].tolist() == [4, 1, 1, 2]
    assert (row["value"], row["without_share"]) == (0.25, 0.5)


def test_without_plans_no_next_step_is_not_said_to_be_missing(demo: Book) -> None:
    assert "due_on" in str(measure(demo, "overdue_next_steps").because)
    with pytest.raises(Unavailable, match="do not say when they are due"):
        next_steps(demo)


# --- oracle ----------------------------------------------------------------------------------------

ORDER = ["prospect", "qualified", "quote", "contract"]
EXPECT, TOUCH = {"quote": 14}, {"prospect": 5, "qualified": 7, "quote": 4, "contract": 3}


def entries_of(book: Book, plain: Plain) -> dict[str, list[tuple[str, datetime]]]:
    found: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for row in plain(book, "stage_history"):
        found[row["deal_id"]].append((row["stage"], row["entered_at"]))
    return found


def is_waiting(activity: dict[str, Any], today: date) -> bool:
    due = activity["due_on"]
    return activity["done"] is False or (activity["done"] is None and due is not None and due.date() > today)


@pytest.mark.parametrize("seed", range(6))
def test_quotes_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today, entries = book.as_of_on.date(), entries_of(book, plain)
    quoted: dict[str, list[date]] = defaultdict(list)
    for a in plain(book, "activities"):
        if a["deal_id"] and a["activity_type"] == "quote" and not is_waiting(a, today):
            quoted[a["deal_id"]].append(a["at"].date())
    for q in plain(book, "quotes"):
        quoted[q["deal_id"]].append(q["at"].date())
    began = min(min(a["at"] for a in plain(book, "activities")), min(q["at"] for q in plain(book, "quotes"))).date()
    counts: Counter[str] = Counter()
    for d in plain(book, "deals"):
        steps = [(ORDER.index(s), at) for s, at in entries[d["deal_id"]] if s in ORDER]
        if d["outcome"] == "void" or not steps:
            continue
        if max(o for o, _ in steps) < 2 and d["outcome"] != "won":
            continue
        own = [at for o, at in steps if o == 2]
        deeper = [at for o, at in steps if o > 2 and (not own or at >= own[0])]
        left = min(deeper) if deeper else (d["closed_at"] if d["outcome"] != "open" else None)
        if own:
            reached = own[0].date()
        elif deeper or d["outcome"] == "won":
            assert left is not None
            reached = left.date()
        else:
            counts["unknown"] += 1
            continue
        due, first = reached + timedelta(days=14), min(quoted[d["deal_id"]], default=None)
        ends = [day for day in (due, left.date() if left else None) if day]
        if first is None and min(ends) < began:
            counts["unknown"] += 1
        elif first is not None:
            counts["done" if first <= due else "late"] += 1
        else:
            counts["never" if left or due < today else "not_yet"] += 1
    assert Counter(asked_passages(book)["verdict"]) == counts


@pytest.mark.parametrize("seed", range(6))
def test_follow_ups_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today, entries = book.as_of_on.date(), entries_of(book, plain)
    said: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for a in plain(book, "activities"):
        kind, side = a["activity_type"].lower(), (a["direction"] or "?").lower()
        if a["deal_id"] and kind != "note" and not is_waiting(a, today):
            who = "us" if kind in ("meeting", "demo") or side.startswith("out") else "them" if side == "in" else "?"
            said[a["deal_id"]].append((a["at"], who))
    found: Counter[tuple[str, date, int, str]] = Counter()
    for d in plain(book, "deals"):
        end = d["closed_at"] if d["outcome"] != "open" else None
        if d["outcome"] == "void":
            continue
        mine = sorted((c for c in said[d["deal_id"]] if not (end and c[0] > end)), key=lambda c: c[0])
        asked: datetime | None = None
        vague = False
        for at, who in [*mine, (None, "end")]:
            if who == "them" and asked is None:
                asked, vague = at, False
            elif who == "?" and asked is not None and at is not None and at > asked:
                vague = True
            elif who in ("us", "end") and asked is not None:
                until = at or end
                silent = ((until.date() if until else today) - asked.date()).days
                stood = [s for s, entered in entries[d["deal_id"]] if entered <= asked and s in ORDER]
                limit = TOUCH[stood[-1]] if stood else None
                if limit is None or (silent > limit and vague):
                    verdict = "unknown"
                else:
                    verdict = "forgotten" if silent > limit else "kept" if until else "waiting"
                found[(d["deal_id"], asked.date(), silent, verdict)] += 1
                asked = None
    rows = waits(book).join(book.deals["deal_id"], on="deal")
    days = [day.date() for day in rows["asked_on"]]
    ours = Counter(zip(rows["deal_id"], days, rows["silent_days"].astype(int), rows["verdict"], strict=True))
    assert ours == found


@pytest.mark.parametrize("seed", range(3))
def test_next_steps_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today = book.as_of_on.date()
    planned: dict[str, list[date]] = defaultdict(list)
    for a in plain(book, "activities"):
        if a["deal_id"] and is_waiting(a, today):
            planned[a["deal_id"]].append(a["due_on"].date())
    expected = {}
    for d in plain(book, "deals"):
        if d["outcome"] == "open":
            due = planned[d["deal_id"]]
            expected[d["deal_id"]] = "without" if not due else "overdue" if min(due) < today else "in_future"
    assert next_steps(book).set_index("deal_id")["next_step"].to_dict() == expected
