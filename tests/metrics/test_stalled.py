"""Stalled and zombie deals: worked by hand, and against plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import measure, stalled, zombie_deals, zombies
from salescoach.metrics.stalled import silence_limit, stalled_deals, watched_deals

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def went_on(n: int, days: int, segment: str | None = None) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """n deals that left the first stage after so many days and are lost now."""
    deals = [{"deal_id": f"{segment}{i}", "segment": segment, "rep_id": "R1"} for i in range(n)]
    step = f"2026-01-{1 + days:02}"
    return deals, {d["deal_id"]: f"prospect 2026-01-01, qualified {step}, lost 2026-02-20" for d in deals}


def test_a_deal_is_stalled_by_the_time_its_own_segment_takes(book_of: Build) -> None:
    # SMB deals went on after 5 days, Mid deals after 20. As of 30 June: open since 19 June = 11 days.
    # 11 > 5: the SMB deal is stalled; 11 < 20: the Mid deal is not.
    quick, log = went_on(20, 5, "SMB")
    slow, more = went_on(20, 20, "Mid")
    waiting = [{"deal_id": "A", "segment": "SMB", "rep_id": "R1"}, {"deal_id": "B", "segment": "Mid", "rep_id": "R1"}]
    log |= more | {"A": "prospect 2026-06-19", "B": "prospect 2026-06-19"}
    table = stalled(book_of([*quick, *slow, *waiting], log), "")
    assert table[["n", "stalled", "by_age", "by_silence", "unknown"]].to_numpy().tolist() == [[2, 1, 1, 0, 0]]
    assert table["value"][0] == 0.5


def test_a_small_segment_is_held_against_all_deals_of_the_stage(book_of: Build) -> None:
    # 19 Mid deals are too few; of the 39 deals in all the 80th percentile is 20 days.
    quick, log = went_on(20, 5, "SMB")
    slow, more = went_on(19, 20, "Mid")
    log |= more | {"B": "prospect 2026-06-19"}
    rows = stalled_deals(book_of([*quick, *slow, {"deal_id": "B", "segment": "Mid"}], log))
    assert rows["limit_days"].tolist() == [20] and rows["rule"].tolist() == ["none"]


def test_without_history_and_contacts_nothing_can_be_told(book_of: Build) -> None:
    book = book_of([{"deal_id": "A", "created_at": "2026-01-01"}])
    with pytest.raises(Unavailable, match="neither how long deals stand"):
        stalled(book, "")
    assert measure(book, "stalled").because


def contact(deal: str, at: str, side: str | None = "in", kind: str = "email") -> dict[str, Any]:
    return {
        "rep_id": "R1",
        "at": at,
        "activity_type": kind,
        "deal_id": deal,
        "direction": side,
        "activity_id": deal + at,
    }


def silent_book(book_of: Build, *more: dict[str, Any]) -> Book:
    """21 won deals with one contact from the customer after 4 of their 10 days: gaps of 4 and of 6 days."""
    won = {f"W{i}": "prospect 2026-01-01, won 2026-01-11" for i in range(21)}
    said = [contact(deal, "2026-01-05") for deal in won]
    return book_of([{"deal_id": "A"}], {**won, "A": "prospect 2026-06-01"}, activities=[*said, *more])


def test_silence_is_measured_by_the_gaps_of_won_deals(book_of: Build) -> None:
    # half the 42 gaps are 4 days and half are 6, so 80 % stay within 6; A's customer last called 7 days ago
    book = silent_book(book_of, contact("A", "2026-06-23"), contact("A", "2026-06-29", "out"))
    assert silence_limit(book) == 6
    row = stalled_deals(book).iloc[0]
    assert (row["silent_days"], row["by_silence"], row["by_age"], row["rule"]) == (7, True, True, "both")
    on_time = silent_book(book_of, contact("A", "2026-06-24"))
    assert stalled_deals(on_time)["silent_days"].tolist() == [6] and not stalled_deals(on_time)["by_silence"].any()


def test_a_meeting_ends_the_silence_whoever_called_for_it(book_of: Build) -> None:
    book = silent_book(book_of, contact("A", "2026-06-29", "out", "Meeting"))
    assert stalled_deals(book)["silent_days"].tolist() == [1]


def test_where_the_side_is_not_recorded_the_silence_is_not_known(book_of: Build) -> None:
    book = silent_book(book_of, contact("A", "2026-06-10"), contact("A", "2026-06-28", None))
    assert stalled_deals(book)["silent_days"].isna().all()
    # a note is no contact, and what is not done yet is none either
    note = silent_book(book_of, contact("A", "2026-06-10"), contact("A", "2026-06-28", None, "note"))
    assert stalled_deals(note)["silent_days"].tolist() == [20]


# --- zombies ---------------------------------------------------------------------------------------


def wins(n: int, days: int) -> dict[str, str]:
    return {f"W{i}": f"prospect 2026-01-01, won 2026-01-{1 + days:02}" for i in range(n)}


def test_overdue_and_quiet_makes_a_zombie_and_each_alone_does_not(book_of: Build) -> None:
    # as of 30 June: expected close 30 May = 31 days ago; contact 30 April = 61 days ago; 1 May = 60 days ago
    deals = [
        {"deal_id": k, "expected_close_on": due, "created_at": "2026-04-01", "amount": 100.0}
        for k, due in (("A", "2026-05-30"), ("B", "2026-05-31"), ("C", "2026-05-30"), ("D", None))
    ]
    said = [contact(k, at) for k, at in (("A", "2026-04-30"), ("B", "2026-04-30"), ("C", "2026-05-01"))]
    book = book_of(deals, activities=said)
    assert zombie_deals(book)["deal_id"].tolist() == ["A"]
    row = zombies(book, "").iloc[0]
    # D has no expected close, but a contact can be told from its creation: 90 days; overdue can not be told
    assert (row["n"], row["zombies"], row["unknown"]) == (3, 1, 1)
    assert (row["amount"], row["open_amount"], row["without_amount"]) == (100, 300, 0)
    assert row["quiet_since"] == "contact"


def test_older_than_any_win_makes_a_zombie_from_ten_wins_on(book_of: Build) -> None:
    waiting = {"A": "prospect 2026-06-10", "B": "prospect 2026-06-11"}  # 20 and 19 days old
    ten = book_of([], {**wins(10, 19), **waiting})
    assert zombie_deals(ten)["deal_id"].tolist() == ["A"] and zombie_deals(ten)["outlived"].tolist() == [True]
    nine = book_of([], {**wins(9, 19), **waiting})
    assert zombie_deals(nine).empty
    # nobody knows how long wins take, but both moved within 60 days: not overdue and quiet
    assert zombies(nine, "")[["n", "zombies", "unknown"]].to_numpy().tolist() == [[2, 0, 0]]


def test_without_dates_nothing_can_be_told_of_zombies(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="neither an expected close nor a creation date"):
        zombies(book_of([{"deal_id": "A"}]), "")


def test_without_activities_the_last_movement_stands_in_for_the_contact(book_of: Build) -> None:
    deals = [
        {"deal_id": k, "expected_close_on": "2026-03-01", "updated_at": at}
        for k, at in (("A", "2026-04-01"), ("B", "2026-06-01"))
    ]
    log = {"A": "prospect 2026-01-01", "B": "prospect 2026-01-01"}
    book = book_of(deals, log)
    rows = watched_deals(book).set_index("deal_id")
    assert rows["quiet_days"].tolist() == [90, 29] and rows["quiet_since"].tolist() == ["movement"] * 2
    assert zombie_deals(book)["deal_id"].tolist() == ["A"]


def test_the_planted_zombies_of_the_demo_are_found(demo: Book) -> None:
    import json

    from salescoach.kit import kit_path

    planted = set(json.loads((kit_path("data/demo") / "truth.json").read_text(encoding="utf-8"))["zombies"])
    found = set(zombie_deals(demo)["deal_id"])
    still_open = planted & set(demo.deals.loc[demo.deals["outcome"] == "open", "deal_id"])
    assert found <= planted and len(found) >= 0.75 * len(still_open)


# --- oracle ----------------------------------------------------------------------------------------


def quantile(values: list[float], share: float) -> float:
    """Linear between neighbours."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


@pytest.mark.parametrize("seed", range(6))
def test_against_loops(busy: Build, plain: Plain, seed: int) -> None:
    book = busy(seed, 150)
    today, deals = book.as_of_on.date(), plain(book, "deals")
    said: dict[str, list[tuple[Any, bool, bool]]] = {}
    for a in plain(book, "activities"):
        kind, side = a["activity_type"].lower(), (a["direction"] or "").lower()
        waiting = a["done"] is False or (a["done"] is None and a["due_on"] and a["due_on"].date() > today)
        if a["deal_id"] and kind != "note" and not waiting:
            together = kind in ("meeting", "demo")
            known = together or side != ""
            said.setdefault(a["deal_id"], []).append((a["at"], together or side == "in", known))
    gaps: list[int] = []
    for d in deals:
        mine = said.get(d["deal_id"], [])
        if d["outcome"] == "won" and d["closed_at"] and all(known for *_, known in mine):
            marks = sorted(
                [d["created_at"], d["closed_at"], *(at for at, two, _ in mine if two and at <= d["closed_at"])]
            )
            gaps += [(b.date() - a.date()).days for a, b in itertools.pairwise(marks)]
    limit = quantile([float(g) for g in gaps], 0.8) if len(gaps) >= 20 else np.nan
    assert silence_limit(book) == pytest.approx(limit, nan_ok=True)
    rows = stalled_deals(book).set_index("deal_id")
    watched = watched_deals(book).set_index("deal_id")
    spans = [
        (d["closed_at"].date() - d["created_at"].date()).days for d in deals if d["outcome"] == "won" and d["closed_at"]
    ]
    assert set(rows.index) == {d["deal_id"] for d in deals if d["outcome"] == "open"}
    for d in deals:
        if d["outcome"] != "open":
            continue
        mine = said.get(d["deal_id"], [])
        two_way = max((at for at, two, _ in mine if two), default=d["created_at"])
        hidden = any(not known and at > two_way for at, _, known in mine)
        silent = np.nan if hidden else (today - two_way.date()).days
        assert rows.loc[d["deal_id"], "silent_days"] == pytest.approx(silent, nan_ok=True)
        assert rows.loc[d["deal_id"], "by_silence"] == (silent > limit)
        quiet = (today - max((at for at, *_ in mine), default=d["created_at"]).date()).days
        late = d["expected_close_on"] is not None and (today - d["expected_close_on"].date()).days > 30
        old = len(spans) >= 10 and (today - d["created_at"].date()).days > max(spans)
        assert watched.loc[d["deal_id"], "zombie"] == ((late and quiet > 60) or old)


def test_an_earlier_day_knows_nothing_of_later_contacts(busy: Build) -> None:
    book = busy(2, 150)
    then = book.at("2025-12-31")
    assert (stalled_deals(then)["silent_days"].dropna() >= 0).all()
    cut = book.table("activities")
    same = replace(then, tables={**then.tables, "activities": cut[cut["at"] <= then.as_of]})
    assert zombies(same, "team").to_dict() == zombies(then, "team").to_dict()
