"""What changed since a day: five deals worked out by hand, a plain recount, and laws over generated books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.since import CHANGES, change_counts, changes_since, untold_changes
from salescoach.metrics.stalled import stalled_deals

Build = Callable[..., Book]
Rows = Callable[[Book, str], list[dict[str, Any]]]
SPANS = (7, 60, 250)
ORDER = ["prospect", "qualified", "quote", "contract"]


def five(book_of: Build, **more: Any) -> Book:
    """Five deals of two reps, as of 30 June; compared with 23 June."""
    log = {
        "D1": "prospect 2026-06-01, qualified 2026-06-24",  # moved on
        "D2": "prospect 2026-05-01, quote 2026-05-20, qualified 2026-06-30",  # moved back, on the last day
        "D3": "prospect 2026-05-01, won 2026-06-24",
        "D4": "prospect 2026-06-25, lost 2026-06-26",  # created and lost: both
        "D5": "prospect 2026-05-01, qualified 2026-06-23",  # on the day itself: known by its end
    }
    deals = [
        {"deal_id": "D1", "rep_id": "R1", "amount": 100.0},
        {"deal_id": "D2", "rep_id": "R1", "amount": None},
        {"deal_id": "D3", "rep_id": "R2", "amount": 30.0},
        {"deal_id": "D4", "rep_id": "R2", "amount": 4.0},
        {"deal_id": "D5", "rep_id": None, "amount": 5.0},
    ]
    return book_of(deals, log, **more)


def found(book: Book, on: str = "2026-06-23") -> set[tuple[str, str]]:
    rows = changes_since(book, on)
    return set(zip(rows["deal_id"], rows["change"], strict=True))


def days_before(book: Book, days: int) -> date:
    return (book.as_of_on - pd.Timedelta(days=days)).date()


# --- by hand ---------------------------------------------------------------------------------------


def test_five_deals(book_of: Build) -> None:
    expected = {("D1", "forward"), ("D2", "back"), ("D3", "won"), ("D4", "created"), ("D4", "lost")}
    assert found(five(book_of)) == expected


def test_the_list_says_where_a_deal_came_from(book_of: Build) -> None:
    rows = changes_since(five(book_of), "2026-06-23").set_index(["deal_id", "change"])
    assert rows.loc[("D2", "back"), ["stage_then", "stage"]].tolist() == ["quote", "qualified"]
    assert pd.isna(rows.loc[("D4", "lost"), "stage_then"])  # it was not there


def test_the_counts_are_those_of_the_list(book_of: Build) -> None:
    table = change_counts(five(book_of), "2026-06-23").set_index(["rep_id", "change"])
    assert table.loc[("R1", "forward"), ["n", "amount", "without_amount"]].tolist() == [1, 100.0, 0]
    assert table.loc[("R2", "lost"), ["n", "amount"]].tolist() == [1, 4.0]
    assert table.loc[("R2", "back"), "n"] == 0
    # the one amount is not known, and nothing known is not zero
    assert pd.isna(table.loc[("R1", "back"), "amount"]) and table.loc[("R1", "back"), "without_amount"] == 1
    assert table["n"].sum() == 5


def test_everybody_has_a_row_also_who_changed_nothing(book_of: Build) -> None:
    book = five(book_of, reps=[{"rep_id": r, "name": r, "team": "North"} for r in ("R1", "R2", "R3")])
    table = change_counts(book, "2026-06-23")
    assert table.loc[table["rep_id"] == "R3", "n"].tolist() == [0] * table["change"].nunique()
    teams = change_counts(book, "2026-06-23", by="team").set_index(["team", "change"])
    assert teams.loc[("North", "won"), "n"] == 1


def test_a_deal_closed_in_another_way_is_reopened_too(book_of: Build) -> None:
    log = {"D1": "prospect 2026-05-01, lost 2026-06-01, won 2026-06-28", "D2": "prospect 2026-05-01, won 2026-06-01"}
    assert found(book_of(log=log)) == {("D1", "reopened"), ("D1", "won")}


def test_a_win_belongs_to_its_owner_at_the_close(book_of: Build) -> None:
    moved = {"deal_id": "D1", "at": "2026-06-29", "field": "rep_id", "old": "R1", "new": "R2"}
    deals = [{"deal_id": "D1", "rep_id": "R2"}, {"deal_id": "D2", "rep_id": "R2"}]
    log = {"D1": "prospect 2026-05-01, won 2026-06-28", "D2": "prospect 2026-05-01"}
    rows = changes_since(book_of(deals, log, changes=[moved, {**moved, "deal_id": "D2"}]), "2026-06-23")
    assert dict(zip(rows["change"], rows["rep_id"], strict=True)) == {"won": "R1", "taken_over": "R2"}


def test_a_step_that_was_overdue_before_is_not_newly_so(book_of: Build) -> None:
    def step(deal: str, due: str) -> dict[str, Any]:
        at = "2026-06-01"
        return {"deal_id": deal, "rep_id": "R1", "at": at, "activity_type": "call", "due_on": due, "done": False}

    steps = [step("D1", "2026-06-22"), step("D2", "2026-06-23"), step("D3", "2026-06-29"), step("D4", "2026-06-30")]
    log = {f"D{i}": "prospect 2026-06-20" for i in range(1, 5)}
    # D1 was overdue on the 23rd already, D2 was due that day; D4 is due today
    assert found(book_of(log=log, activities=steps)) == {("D2", "overdue"), ("D3", "overdue")}


def test_a_push_counts_from_the_second_week_of_a_deal_on(book_of: Build) -> None:
    def push(deal: str, at: str, old: str, new: str) -> dict[str, Any]:
        return {"deal_id": deal, "at": at, "field": "expected_close_on", "old": old, "new": new}

    log = {"D1": "prospect 2026-05-01", "D2": "prospect 2026-06-22", "D3": "prospect 2026-05-01"}
    deals = [{"deal_id": d, "expected_close_on": "2026-08-01"} for d in log]
    moves = [
        push("D1", "2026-06-24", "2026-07-01", "2026-08-01"),
        push("D2", "2026-06-24", "2026-07-01", "2026-08-01"),
        push("D3", "2026-06-24", "2026-09-01", "2026-08-01"),  # to an earlier day
    ]
    assert found(book_of(deals, log, changes=moves)) == {("D1", "pushed")}


# --- a plain recount -------------------------------------------------------------------------------


def recounted(book: Book, on: date, plain: Rows) -> set[tuple[str, str, str | None]]:
    """Deal, change and owner by loops over the log."""
    end = datetime.combine(on + timedelta(days=1), datetime.min.time())
    today = book.as_of_on.date()
    log, changes = plain(book, "stage_history"), plain(book, "changes")
    activities = plain(book, "activities")
    still = stalled_deals(book).set_index("deal_id").to_dict("index")
    seen = set()
    for deal in plain(book, "deals"):
        key = deal["deal_id"]
        own = [r for r in log if r["deal_id"] == key]
        edits = [r for r in changes if r["deal_id"] == key]
        handed = [r for r in edits if r["field"] == "rep_id" and r["old"] != r["new"]]
        past = [r for r in own if r["entered_at"] < end]
        known = deal["created_at"] < end
        stage_then = past[-1]["stage"] if past else "prospect"
        outcome_then = (stage_then if stage_then in ("won", "lost", "void") else "open") if known else None
        later = [r for r in handed if r["at"] >= end]
        owner_then = later[0]["old"] if later else deal["rep_id"]
        outcome, names = deal["outcome"], set()
        if not known:
            names.add("created")
        if outcome != "open" and outcome != outcome_then:
            names.add(outcome)
        if known and outcome_then != "open" and outcome != outcome_then:
            names.add("reopened")
        if outcome == outcome_then == "open":
            step = ORDER.index(deal["stage"]) - ORDER.index(stage_then)
            names |= {"forward"} if step > 0 else {"back"} if step < 0 else set()
            if owner_then != deal["rep_id"]:
                names.add("taken_over")
        for edit in edits:
            if edit["field"] != "expected_close_on" or not edit["old"] or not edit["new"] or outcome == "void":
                continue
            settling = (edit["at"].date() - deal["created_at"].date()).days < 7
            too_late = outcome != "open" and edit["at"] > deal["closed_at"]
            if edit["new"] > edit["old"] and edit["at"] >= end and not settling and not too_late:
                names.add("pushed")
        if outcome == "open":
            planned = [a["due_on"] for a in activities if a["deal_id"] == key and _is_planned(a, today)]
            planned = [due.date() for due in planned if due]
            if planned and on <= min(planned) < today:
                names.add("overdue")
            state, passed = still[key], (today - on).days
            already = state["age_days"] - passed > state["limit_days"]
            already |= state["silent_days"] - passed > state["silence_limit_days"]
            if state["stalled"] and not already:
                names.add("stalled")
        owner = deal["rep_id"]
        if outcome != "open":
            after = [r for r in handed if r["at"] >= deal["closed_at"]]
            owner = after[0]["old"] if after else owner
        seen |= {(key, name, owner) for name in names}
    return seen


def _is_planned(activity: dict[str, Any], today: date) -> bool:
    done, due = activity["done"], activity["due_on"]
    return (done is not None and not done) or (done is None and due is not None and due.date() > today)


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_recount_finds_the_same(busy: Build, plain: Rows, seed: int) -> None:
    book = busy(seed)
    for days in SPANS:
        on = days_before(book, days)
        rows = changes_since(book, on)
        owners = [owner if isinstance(owner, str) else None for owner in rows["rep_id"]]
        assert set(zip(rows["deal_id"], rows["change"], owners, strict=True)) == recounted(book, on, plain)


def test_the_recount_met_every_change(busy: Build, plain: Rows) -> None:
    books = [busy(seed) for seed in range(6)]
    met = {name for book in books for days in SPANS for _, name, _ in recounted(book, days_before(book, days), plain)}
    assert met == set(CHANGES)


# --- laws ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_what_was_open_and_what_came_is_what_went_and_what_is_open(busy: Build, seed: int) -> None:
    book = busy(seed)
    for days in SPANS:
        on = days_before(book, days)
        n = changes_since(book, on)["change"].value_counts().reindex(list(CHANGES), fill_value=0)
        then, now = ((b.deals["outcome"] == "open").sum() for b in (book.at(str(on)), book))
        assert then + n["created"] + n["reopened"] == n["won"] + n["lost"] + n["void"] + now


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_add_up_to_the_whole(busy: Build, seed: int) -> None:
    book = busy(seed)
    on = days_before(book, 60)
    whole = change_counts(book, on, by="").set_index("change")
    assert whole["n"].sum() == len(changes_since(book, on)) > 0
    for by in ("rep", "team", "lead_source", ("rep", "segment")):
        parts = change_counts(book, on, by=by).groupby("change")[["n", "amount", "without_amount"]].sum()
        pd.testing.assert_frame_equal(parts.loc[whole.index], whole.astype(parts.dtypes), check_like=True)


def test_nothing_has_changed_since_today(busy: Build) -> None:
    book = busy(1)
    assert changes_since(book, book.as_of_on.date()).empty
    assert (change_counts(book, book.as_of_on.date())["n"] == 0).all()


def test_no_deal_has_the_same_change_twice_and_the_book_stays_as_it_was(busy: Build) -> None:
    book = busy(2)
    before = {name: frame.copy() for name, frame in book.tables.items()}
    rows = changes_since(book, days_before(book, 250))
    assert not rows.duplicated(["deal_id", "change"]).any()
    for name, frame in book.tables.items():
        pd.testing.assert_frame_equal(frame, before[name])


# --- what cannot be known --------------------------------------------------------------------------


def test_what_the_data_cannot_tell_has_a_reason_and_no_row(book_of: Build) -> None:
    book = book_of([{"deal_id": "D1", "outcome": "won", "created_at": "2026-06-25", "closed_at": "2026-06-29"}])
    untold = untold_changes(book)
    assert set(untold) == {"forward", "back", "taken_over", "pushed", "stalled", "overdue"}
    assert str(untold["forward"]) == "the data say where each deal stands, not when it came there"
    assert change_counts(book, "2026-06-23", by="")["change"].tolist() == ["created", "won", "lost", "void", "reopened"]
    assert found(book) == {("D1", "created"), ("D1", "won")}


def test_an_assumed_first_stage_is_no_log_of_moves(book_of: Build) -> None:
    book = five(book_of)
    history = book.table("stage_history")
    guessed = history.assign(evidence=history["evidence"].mask(history["stage"] == "prospect", "assumed"))
    assert "forward" not in untold_changes(replace(book, tables={**book.tables, "stage_history": guessed}))
    first = guessed[guessed["stage"].isin(["prospect", "won", "lost"])]
    assert "forward" in untold_changes(replace(book, tables={**book.tables, "stage_history": first}))


def test_a_bare_list_of_deals_tells_nothing(book_of: Build) -> None:
    book = book_of([{"deal_id": "D1"}])
    assert set(untold_changes(book)) == set(CHANGES)
    assert changes_since(book, "2026-06-23").empty and change_counts(book, "2026-06-23").empty


def test_sums_do_not_cross_currencies(book_of: Build) -> None:
    log = {"D1": "prospect 2026-06-25", "D2": "prospect 2026-06-26"}
    deals = [{"deal_id": d, "amount": 1.0, "currency": c} for d, c in (("D1", "CNY"), ("D2", "EUR"))]
    table = change_counts(book_of(deals, log), "2026-06-23", by="")
    created = table[table["change"] == "created"]
    assert dict(zip(created["currency"], created["amount"], strict=True)) == {"CNY": 1.0, "EUR": 1.0}


def test_a_day_to_come_is_refused(book_of: Build) -> None:
    with pytest.raises(UsageError, match="later than the data"):
        changes_since(five(book_of), "2026-07-01")
    with pytest.raises(UsageError, match="2026"):
        changes_since(five(book_of), "last week")


def test_changes_are_not_split_by_time(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="choose the day instead"):
        change_counts(five(book_of), "2026-06-23", by="month")
