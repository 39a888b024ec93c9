"""How often a reason is recorded, and which recorded ones the deal's own data speak against."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import (
    counted_rows,
    default_choices,
    doubted_deals,
    doubted_reasons,
    measure,
    reason_checks,
    recorded_reasons,
)
from salescoach.metrics.credibility import CHECKS, at_least, checked_deals
from salescoach.metrics.losses import NOT_RECORDED, loss_reasons, split_reasons

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def lost(key: str, reason: str | None, rep: str = "R1", at: str = "2026-03-10 10:00", **more: Any) -> dict[str, Any]:
    return {
        "deal_id": key,
        "rep_id": rep,
        "stage": "lost",
        "created_at": "2026-01-05",
        "closed_at": at,
        "lost_reason": reason,
        **more,
    }


def did(kind: str, deal: str, at: str, side: str | None = "out", **more: Any) -> dict[str, Any]:
    key = f"{deal} {kind} {at}"
    return {
        "activity_id": key,
        "rep_id": "R1",
        "at": at,
        "activity_type": kind,
        "deal_id": deal,
        "direction": side,
    } | more


def verdicts(book: Book, check: str, of: str = "lost") -> dict[str, bool]:
    rows, _ = checked_deals(book, of=of)  # type: ignore[arg-type]
    rows = rows[rows["check"] == check]
    return dict(zip(rows["deal_id"], rows["doubted"].tolist(), strict=True))


# --- several reasons in one field ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "primary", "contributing"),
    [
        ("Price", "Price", None),
        ("Price;Timing; Missing feature", "Price", "Timing; Missing feature"),
        ("价格、时机", "价格", "时机"),
        ("价格；竞争对手", "价格", "竞争对手"),
        ("Price|Price|Timing", "Price", "Timing"),
        (";Price;", "Price", None),
        ("Competitor, incumbent;Price", "Competitor, incumbent", "Price"),
        ("Too expensive, no budget", "Too expensive, no budget", None),
        ("客户嫌贵、周期长，最后没有签", "客户嫌贵、周期长，最后没有签", None),
        ("They liked us; but they had no money. Sad.", "They liked us; but they had no money. Sad.", None),
        ("we went there twice; and still they never told us what it had been about", None, None),
        ("预算不足。对手便宜；", "预算不足。对手便宜；", None),
        (";", ";", None),
    ],
)
def test_several_choices_of_one_field_are_parted_and_sentences_are_not(
    text: str, primary: str | None, contributing: str | None
) -> None:
    found = split_reasons(pd.Series([text, None], dtype="str"))
    assert found.loc[0, "primary"] == (primary or text)
    assert found["contributing"].tolist()[0] == contributing or (contributing is None and pd.isna(found.iloc[0, 1]))
    assert found.loc[1].isna().all()


def test_contributing_reasons_are_counted_beside_the_primary_ones(book_of: Build) -> None:
    rows = [
        lost("1", "price;timing", lost_contributing="timing;features"),
        lost("2", "timing"),
        lost("3", "price"),
        lost("4", None, lost_contributing="timing"),
    ]
    table = loss_reasons(book_of(rows), by="")
    # Primary: price 2, timing 1, none 1. Beside another one: timing in 1 and 4, features in 1 alone, each once.
    assert table[["reason", "n", "deals", "contributing"]].to_numpy().tolist() == [
        ["price", 2, 4, 0],
        ["timing", 1, 4, 2],
        ["features", 0, 4, 1],
        [NOT_RECORDED, 1, 4, 0],
    ]
    assert "contributing" not in loss_reasons(book_of(rows[1:3]), by="")


def test_a_reason_that_only_contributes_has_no_days_in_its_stage(book_of: Build) -> None:
    book = book_of(
        [{"deal_id": "1", "lost_reason": "price;timing"}],
        {"1": "prospect 2026-01-01, quote 2026-01-05, lost 2026-01-15"},
    )
    table = loss_reasons(book)
    assert table[["reason", "n", "contributing", "n_timed"]].to_numpy().tolist() == [
        ["price", 1, 0, 1],
        ["timing", 0, 1, 0],
    ]
    assert np.isnan(table["median_days"].tolist()[1])


# --- fill rate -------------------------------------------------------------------------------------


def test_the_share_recorded_is_that_of_all_lost_deals(book_of: Build) -> None:
    rows = [lost("1", "price"), lost("2", None, amount=40.0), lost("3", None, "R2"), lost("4", "x", "R2", "2026-04-01")]
    rows += [{"deal_id": "5", "stage": "void", "closed_at": "2026-03-01"}, {"deal_id": "6", "stage": "won"}]
    table = recorded_reasons(book_of(rows), by="rep")
    # R1: 1 of 2; R2: 1 of 2; void and won deals count nowhere
    assert table[["rep_id", "n", "recorded", "value"]].to_numpy().tolist() == [["R1", 2, 1, 0.5], ["R2", 2, 1, 0.5]]
    assert table["amount_without"].tolist()[0] == 40.0 and np.isnan(table["amount_without"].tolist()[1])
    assert recorded_reasons(book_of(rows), by="month")["recorded"].tolist() == [1, 1]
    assert measure(book_of(rows), "recorded_reasons", of="won").because == (
        "`won_reason` is missing or empty in `deals`"
    )


# --- one check after the other ---------------------------------------------------------------------


def test_price_needs_a_quote_or_a_lowered_amount(book_of: Build) -> None:
    rows = [lost(k, "Price too high") for k in "1234"] + [lost("5", "太贵了", at="2026-01-10"), lost("6", "timing")]
    quotes = [
        {"quote_id": "a", "deal_id": "1", "at": "2026-02-01"},  # before the close
        {"quote_id": "b", "deal_id": "2", "at": "2026-03-20"},  # after it
    ]
    changes = [
        {"deal_id": "3", "at": "2026-02-01", "field": "amount", "old": "100", "new": "80"},
        {"deal_id": "4", "at": "2026-02-01", "field": "amount", "old": "80", "new": "100"},
    ]
    book = book_of(rows, quotes=quotes, changes=changes)
    # 5 was closed before the first quote on record, 6 says nothing of a price: neither is checked
    assert verdicts(book, "price_without_quote") == {"1": False, "2": True, "3": False, "4": True}
    table = reason_checks(book).set_index("check")
    assert table.loc["price_without_quote", ["n", "doubted", "value"]].tolist() == [4, 2, 0.5]


def test_product_needs_a_demo_or_a_meeting(book_of: Build) -> None:
    rows = [lost("1", "product_gap"), lost("2", "缺少功能"), lost("3", "Missing feature")]
    acts = [did("demo", "1", "2026-02-01"), did("call", "2", "2026-01-20"), did("meeting", "3", "2026-03-11")]
    assert verdicts(book_of(rows, activities=acts), "product_without_demo") == {"1": False, "2": True, "3": True}


def test_no_answer_is_doubted_where_the_seller_fell_silent(book_of: Build) -> None:
    rows = [lost(k, "no_response") for k in "12345"] + [lost("6", "客户失联"), lost("7", "price")]
    acts = [
        *(did("email", "1", "2026-02-01"), did("email", "1", "2026-02-09")),  # we wrote twice: no doubt
        *(did("email", "2", "2026-02-01"), did("email", "2", "2026-02-09", "in")),  # the customer spoke last
        *(did("email", "3", "2026-02-09", "in"), did("email", "3", "2026-02-11", None)),  # nobody knows who wrote last
        did("meeting", "5", "2026-02-09", "in"),  # both sides met: no doubt; 4 has no contact at all
        *(did("email", "6", "2026-01-20", "in"), did("email", "6", "2026-03-01")),  # answered after 40 days
        did("call", "7", "2026-01-08"),
    ]
    found = verdicts(book_of(rows, activities=acts), "answer_owed")
    log = dict.fromkeys("1234567", "prospect 2026-01-05, lost 2026-03-10")
    staged = verdicts(book_of([{**r} for r in rows], log, activities=acts), "answer_owed")
    assert staged == {"1": False, "2": True, "4": True, "5": False, "6": True}
    assert found == staged | {"6": False}  # where the stage is unknown, so is how long the customer may wait


def test_a_competitor_must_be_named(book_of: Build) -> None:
    names = {"1": "Rival", "2": None, "3": "None", "4": "无"}
    rows = [lost(k, "competitor", competitor=name) for k, name in names.items()]
    assert verdicts(book_of(rows), "competitor_unnamed") == {"1": False, "2": True, "3": True, "4": True}


def test_timing_needs_a_later_step(book_of: Build) -> None:
    rows = [lost(k, "timing", account_id=f"A{k}") for k in "1234"]
    rows.append({"deal_id": "9", "stage": "prospect", "created_at": "2026-05-01", "account_id": "A3"})
    acts = [
        did("task", "1", "2026-03-01", due_on="2026-06-01", done=False),
        did("call", "2", "2026-03-01", due_on="2026-03-02", done=True),
        did("call", "4", "2026-04-02", due_on=None, done=True),
    ]
    book = book_of(rows, activities=acts)
    # 1: planned for June; 2: nothing later; 3: a new deal in May; 4: called again in April
    assert verdicts(book, "timing_without_next_step") == {"1": False, "2": True, "3": False, "4": False}


def test_five_deals_closed_within_minutes_are_a_batch(book_of: Build) -> None:
    times = ["10:00", "10:04", "10:09", "10:14", "10:19", "10:25"]
    rows = [lost(str(i), "price", at=f"2026-03-10 {t}") for i, t in enumerate(times)]
    rows += [lost(f"b{i}", "price", "R2", f"2026-03-10 {t}") for i, t in enumerate(times[:4])]
    found = verdicts(book_of(rows), "closed_in_batch")
    # R1 closed five with at most five minutes between them and one six minutes later; R2 only four
    assert [k for k, doubted in found.items() if doubted] == ["0", "1", "2", "3", "4"]
    won = {"deal_id": "w", "rep_id": "R2", "stage": "won", "closed_at": "2026-03-10 10:19", "created_at": "2026-01-01"}
    with_win = verdicts(book_of([*rows, won]), "closed_in_batch")
    assert [k for k, doubted in with_win.items() if doubted] == ["0", "1", "2", "3", "4", "b0", "b1", "b2", "b3"]


def test_closes_without_a_time_cannot_be_a_batch(book_of: Build) -> None:
    book = replace(book_of([lost(str(i), "price") for i in range(5)]), precision={"deals.closed_at": "day"})
    assert "closed_in_batch" in checked_deals(book)[1]


def habits(book_of: Build, own: int = 12) -> Book:
    """R1 gives "bad fit" for `own` of 14 deals; R2 to R4 each for 2 of 14."""
    rows = []
    for rep, usual in (("R1", own), ("R2", 2), ("R3", 2), ("R4", 2)):
        for i in range(14):
            reason = "bad fit" if i < usual else ("price" if i % 2 else "timing")
            rows.append(lost(f"{rep} {i}", reason, rep, f"2026-03-{i + 1:02} 10:00"))
    return book_of(rows)


def test_a_usual_answer_far_above_the_others_is_named(book_of: Build) -> None:
    table = default_choices(habits(book_of))
    assert table[["rep_id", "reason", "n", "recorded", "first"]].to_numpy().tolist() == [
        ["R1", "bad fit", 12, 14, True]
    ]
    assert table["others"].tolist() == [6 / 42]
    # of 56 deals 18 are "bad fit": 12 or more of them in 14 drawn ones
    exact = sum(comb(18, k) * comb(38, 14 - k) for k in range(12, 15)) / comb(56, 14)
    assert table["p"].tolist() == [pytest.approx(exact)]
    found = verdicts(habits(book_of), "default_choice")
    assert sum(found.values()) == 12 and len(found) == 56
    assert default_choices(habits(book_of, own=5)).empty


def test_one_rep_alone_cannot_be_compared(book_of: Build) -> None:
    with pytest.raises(Unavailable, match="fewer than two reps have 10 recorded reasons"):
        default_choices(book_of([lost(str(i), "price") for i in range(12)]))


def test_fishers_test_is_that_of_the_books() -> None:
    from scipy.stats import hypergeom

    for k, drawn, marked, everything in ((3, 10, 12, 60), (0, 5, 5, 30), (10, 10, 40, 100), (70, 90, 400, 2000)):
        assert at_least(k, drawn, marked, everything) == pytest.approx(hypergeom.sf(k - 1, everything, marked, drawn))


def test_no_usual_answer_is_named_among_reps_who_do_the_same(book_of: Build) -> None:
    chance, named = np.random.default_rng(5), 0
    for _ in range(40):
        reasons = chance.choice(["a", "b", "c"], 240, p=[0.45, 0.3, 0.25])
        rows = [lost(str(i), str(r), f"R{i % 12}") for i, r in enumerate(reasons)]
        named += not default_choices(book_of(rows)).empty
    assert named <= 4  # 10 % of 40 books


def test_wins_are_checked_in_the_same_way(book_of: Build) -> None:
    rows = [{**lost(k, None), "stage": "won", "won_reason": "price"} for k in "12"] + [lost("3", "price")]
    book = book_of(rows, quotes=[{"quote_id": "a", "deal_id": "1", "at": "2026-02-01"}])
    assert verdicts(book, "price_without_quote", "won") == {"1": False, "2": True}
    assert set(reason_checks(book, of="won")["check"]) <= {n for n, c in CHECKS.items() if "won" in c.of}


# --- together --------------------------------------------------------------------------------------


def test_a_deal_doubted_twice_counts_once(book_of: Build) -> None:
    times = [f"2026-03-10 10:0{i}" for i in range(5)]
    rows = [lost(str(i), "price", at=t, amount=10.0) for i, t in enumerate(times)] + [lost("9", None, amount=7.0)]
    book = book_of(rows, quotes=[{"quote_id": "a", "deal_id": "9", "at": "2026-02-01"}])
    assert Counter(doubted_deals(book)["check"]) == {"price_without_quote": 5, "closed_in_batch": 5}
    table = doubted_reasons(book, by="reason")
    assert table[["reason", "n", "doubted", "doubted_amount"]].to_numpy().tolist() == [["price", 5, 5, 50.0]]
    assert len(counted_rows(book, "doubted_reasons")) == 5


def test_what_cannot_be_checked_says_why(book_of: Build) -> None:
    day_only = replace(book_of([lost("1", "price")]), precision={"deals.closed_at": "day"})
    _, untold = checked_deals(day_only)
    assert set(untold) == set(CHECKS)
    assert "no quote is recorded" in str(untold["price_without_quote"])
    assert "competitor" in str(untold["competitor_unnamed"]) and "no table `activities`" in str(untold["answer_owed"])
    assert not measure(day_only, "doubted_reasons").available
    assert reason_checks(day_only).empty


def oracle(book: Book, plain: Plain) -> dict[str, dict[str, bool]]:
    """check -> deal -> doubted, by loops, for lost deals."""
    deals = {d["deal_id"]: d for d in plain(book, "deals")}
    acts = defaultdict(list)
    for a in plain(book, "activities"):
        kind, due, done = a["activity_type"].lower(), a.get("due_on"), a.get("done")
        planned = done is False or (done is None and due is not None and due > book.as_of_on)
        if a["deal_id"] and kind not in ("note", "task"):
            acts[a["deal_id"]].append((a["at"], kind, planned))
    quotes = defaultdict(list)
    for q in plain(book, "quotes"):
        quotes[q["deal_id"]].append(q["at"].date())
    for key, rows in acts.items():
        quotes[key] += [at.date() for at, kind, planned in rows if kind == "quote" and not planned]
    starts = [a["at"].date() for a in plain(book, "activities")] + [q["at"].date() for q in plain(book, "quotes")]
    contacts = [at for rows in acts.values() for at, _, planned in rows if not planned]
    lowered = defaultdict(list)
    for c in plain(book, "changes"):
        if c["field"] == "amount" and c["old"] and c["new"] and float(c["new"]) < float(c["old"]):
            lowered[c["deal_id"]].append(c["at"])
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    for key, deal in deals.items():
        reason, end = deal["lost_reason"], deal["closed_at"]
        if deal["outcome"] != "lost" or reason is None:
            continue
        if reason == "price" and end.date() >= min(starts):
            quoted = any(on <= end.date() for on in quotes[key])
            found["price_without_quote"][key] = not quoted and not any(at <= end for at in lowered[key])
        if reason == "product_gap" and end >= min(contacts):
            shown = any(kind in ("meeting", "demo") and not p and at <= end for at, kind, p in acts[key])
            found["product_without_demo"][key] = not shown
        if reason == "competitor":
            found["competitor_unnamed"][key] = deal["competitor"] is None
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_checks_are_those_of_a_plain_loop(
    seed: int, busy: Callable[..., Book], plain: Callable[[Book, str], list[dict[str, Any]]]
) -> None:
    book, chance = busy(seed, 150), np.random.default_rng(seed)
    given = {
        "lost_reason": pd.Series(chance.choice(["price", "product_gap", "competitor", None], 150), dtype="str"),
        "competitor": pd.Series(chance.choice(["Rival", None], 150), dtype="str"),
    }
    book = replace(book, tables={**book.tables, "deals": book.deals.assign(**given)})
    rows, _ = checked_deals(book)
    for check, expected in oracle(book, plain).items():
        here = rows[rows["check"] == check]
        assert dict(zip(here["deal_id"], here["doubted"].tolist(), strict=True)) == expected, check


@pytest.mark.parametrize("of", ["lost", "won"])
@pytest.mark.parametrize("seed", range(3))
def test_parts_add_up_to_the_whole(seed: int, of: str, busy: Callable[..., Book]) -> None:
    book, chance = busy(seed), np.random.default_rng(seed)
    reasons = pd.Series(chance.choice(["price", "timing;price", "no answer", None], len(book.deals)), dtype="str")
    book = replace(book, tables={**book.tables, "deals": book.deals.assign(lost_reason=reasons, won_reason=reasons)})
    for metric, parts in ((recorded_reasons, ["n", "recorded"]), (doubted_reasons, ["n", "doubted"])):
        whole = metric(book, by="", of=of)[parts].sum().tolist()  # type: ignore[arg-type]
        for by in ("rep", "team", "month", "segment,quarter"):
            assert metric(book, by=by, of=of)[parts].sum().tolist() == whole  # type: ignore[arg-type]
    table = doubted_reasons(book, by="reason", of=of)  # type: ignore[arg-type]
    assert (table["doubted"] <= table["n"]).all()
    assert len(doubted_deals(book, of=of)["deal_id"].unique()) == table["doubted"].sum()  # type: ignore[arg-type]
    assert not table["n"].eq(0).any()


def test_inputs_are_not_changed(book_of: Build) -> None:
    book = habits(book_of)
    before = book.deals.copy(deep=True)
    reason_checks(book), doubted_reasons(book), recorded_reasons(book)
    pd.testing.assert_frame_equal(book.deals, before)
