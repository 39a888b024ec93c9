"""As reported then beside now: what moved, and the deals that moved it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics import as_reported, measure

Build = Callable[..., Book]
LOG = {
    "kept": "quote 2026-01-01, won 2026-02-01",
    "lost": "quote 2026-01-01, lost 2026-02-01",
    "again": "quote 2026-01-01, won 2026-03-01, quote 2026-04-10, lost 2026-05-01",
}


@pytest.fixture
def book(book_of: Build) -> Book:
    return book_of([{"deal_id": d, "rep_id": "R1", "amount": 10.0} for d in LOG], LOG)


def test_a_reopened_deal_moves_the_quarter_that_it_had_closed_in(book: Book) -> None:
    # then 2 won of 3 in the first quarter; `again` was reopened in April and lost in May: now 1 of 2
    found = as_reported(book, "win_rate", "2026Q1", "2026-03-31", by="")
    [row] = found.table.to_dict("records")
    assert (row["value_then"], row["value_now"], row["n_then"], row["n_now"]) == (pytest.approx(2 / 3), 0.5, 3, 2)
    assert row["difference"] == pytest.approx(-1 / 6)
    [cause] = found.causes.to_dict("records")
    assert (cause["deal_id"], cause["cause"], cause["then"], cause["now"]) == ("again", "reopened", "won", "lost")


def test_what_stayed_the_same_is_not_listed(book: Book) -> None:
    found = as_reported(book, "win_rate", "2026Q1", "2026-02-15", by="")
    assert found.table.empty and found.causes.empty  # up to 15 February nothing has changed since


def test_the_period_ends_with_the_day_so_that_time_alone_makes_no_difference(book: Book) -> None:
    # without the cut, the win of March would be "new since"
    found = as_reported(book, "win_rate", "2026", "2026-02-15", by="")
    assert found.table.empty
    assert measure(book.at("2026-02-15"), "win_rate", "", "2026").to_dict()["rows"][0]["n"] == 2


def test_owner_and_amount_of_then_are_those_of_a_book_saved_then(book_of: Build, book: Book) -> None:
    deals = book.deals.assign(rep_id="R2", amount_minor=9900, amount=99.0)
    deals["amount_minor"] = deals["amount_minor"].astype("Int64")
    now = replace(book, tables={**book.tables, "deals": deals})
    found = as_reported(now, "win_rate", "2026-01..2026-02", book.at("2026-02-15"))
    rows = found.table.set_index("rep_id")
    assert rows.loc["R1", ["n_then", "n_now"]].tolist() == [2, 0]
    assert rows.loc["R2", ["n_then", "n_now"]].tolist() == [0, 2]
    assert sorted(found.causes["cause"].unique()) == ["other amount", "other owner"]
    kept = found.causes[(found.causes["deal_id"] == "kept") & (found.causes["cause"] == "other amount")].iloc[0]
    assert (kept["then"], kept["now"]) == ("10.0", "99.0")


def test_against_a_saved_book_late_entries_and_deletions_show(book_of: Build) -> None:
    then = book_of(
        [{"deal_id": d, "rep_id": "R1"} for d in "abc"],
        {
            "a": "quote 2026-01-01, won 2026-02-01",
            "b": "quote 2026-01-01",
            "c": "quote 2026-01-01, lost 2026-02-03",
        },
        as_of="2026-03-31",
    )
    now = book_of(
        [{"deal_id": d, "rep_id": "R1"} for d in "abdv"],
        {
            "a": "quote 2026-01-01, won 2026-02-01, void 2026-06-01",
            "b": "quote 2026-01-01, lost 2026-03-20",  # typed in later, with an earlier date
            "d": "quote 2026-01-01, won 2026-03-02",  # was not there
            "v": "quote 2026-01-01, won 2026-05-02",
        },
    )
    found = as_reported(now, "win_rate", "2026Q1", then, by="")
    assert found.causes.set_index("deal_id")["cause"].to_dict() == {
        "a": "made void",
        "b": "closed afterwards, with an earlier date",
        "c": "deleted",
        "d": "entered afterwards",
    }
    assert found.table.empty  # 1 of 2 then and now, of other deals: the list says what the figure hides


def test_the_causes_account_for_every_difference_in_n(demo: Book) -> None:
    for name in ("win_rate", "stage_flow", "lead_conversion", "sales_cycle"):
        found = as_reported(demo, name, "2026Q1", "2026-03-31", by="")
        moved = found.table["n_now"].sum() - found.table["n_then"].sum()
        come = found.causes["cause"].isin(["counted since", "entered afterwards"])
        gone = found.causes["cause"].isin(["no longer counted", "deleted", "made void"])
        assert len(found.causes) >= abs(moved), name
        if name == "lead_conversion":
            assert come.sum() - gone.sum() == moved > 0


def test_a_stock_can_only_be_compared_with_a_saved_book(book: Book) -> None:
    with pytest.raises(Unavailable, match="book saved then"):
        as_reported(book, "pipeline", None, "2026-03-31")
    saved = replace(book.at("2026-01-15"))
    assert as_reported(book, "pipeline", None, saved).table.empty


def test_a_later_book_is_no_past(book: Book) -> None:
    with pytest.raises(UsageError, match="exchange the two"):
        as_reported(book.at("2026-02-01"), "win_rate", None, book)


def test_an_unavailable_metric_says_so(book: Book) -> None:
    with pytest.raises(Unavailable, match="no table `leads`"):
        as_reported(book, "lead_conversion", None, "2026-03-31")
