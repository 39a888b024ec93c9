"""Who has just come is in no figure of the others, so that nobody can be told by what they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics.peers import OTHERS, deals_outside, newcomers, peer_table, settled, shown_figure
from salescoach.reports.others import beside_a_team, tables_of_others

NEWCOMER, PERIOD = "R21", "2026Q2"


def with_changed_deals(book: Book, rep: str) -> Book:
    """The same book, in which one rep's deals are worth ten times as much and all lost ones are won."""
    deals = book.deals
    own = deals["rep_id"] == rep
    deals["amount_minor"] = deals["amount_minor"].where(~own, deals["amount_minor"] * 10)
    deals["outcome"] = deals["outcome"].where(~own | (deals["outcome"] != "lost"), "won")
    return replace(book, tables={**book.tables, "deals": deals})


def without_them(book: Book, rep: str) -> Book:
    return book.without_reps({rep})


@pytest.mark.parametrize("changed", [with_changed_deals, pytest.param(without_them, marks=pytest.mark.nightly)])
def test_what_a_newcomer_does_moves_no_figure_of_the_others(
    demo_book: Book, changed: Callable[[Book, str], Book]
) -> None:
    assert newcomers(demo_book, PERIOD) == {NEWCOMER}
    before, after = (tables_of_others(book, PERIOD) for book in (demo_book, changed(demo_book, NEWCOMER)))
    for name in before:
        pd.testing.assert_frame_equal(before[name], after[name])
        assert not before[name].empty


def test_what_somebody_settled_does_is_in_the_figures(demo_book: Book) -> None:
    before, after = (peer_table(book, PERIOD) for book in (demo_book, with_changed_deals(demo_book, "R06")))
    assert not before.equals(after)


def test_the_people_behind_a_figure_stay_all_through_a_period(demo_book: Book) -> None:
    """However the weeks go on, nobody joins before the period is over; two periods later they are in."""
    deals = demo_book.deals
    first = deals.loc[deals["rep_id"] == NEWCOMER, "created_at"].min()
    came = [day for day in ("2026-05-11", "2026-06-01", "2026-06-29") if pd.Timestamp(day, tz="UTC") > first]
    assert came and all(NEWCOMER in newcomers(demo_book.at(day), PERIOD) for day in came)
    assert NEWCOMER not in newcomers(demo_book, "2026Q4")


@pytest.mark.parametrize("on", ["2026-07-20", "2026-08-10", "2026-09-30"])
def test_in_a_period_that_moves_on_nobody_joins_all_at_once(demo_book: Book, on: str) -> None:
    """Thirty days, moved on each week: what R21 began in the first sixty never counts, also when they are settled."""
    deals = demo_book.deals
    own = deals["rep_id"] == NEWCOMER
    counts_from = deals.loc[own, "created_at"].min() + pd.Timedelta(days=60)
    early = own & (deals["created_at"] < counts_from - pd.Timedelta(days=1))
    assert early.sum() > 5 and (own & ~early).sum() > 5
    deals["amount_minor"] = deals["amount_minor"].where(~early, deals["amount_minor"] * 10)
    deals["outcome"] = deals["outcome"].where(~early | (deals["outcome"] != "lost"), "won")
    changed = replace(demo_book, tables={**demo_book.tables, "deals": deals})
    assert not demo_book.deals.equals(changed.deals)
    if on > "2026-08":
        assert NEWCOMER not in newcomers(demo_book.at(on), "last 30 days")
        assert NEWCOMER in set(settled(demo_book.at(on), "last 30 days").deals["rep_id"])
    before, after = (settled(book.at(on), "last 30 days") for book in (demo_book, changed))
    for name in before.tables:
        pd.testing.assert_frame_equal(before.table(name), after.table(name))


def first_deals(book: Book, days: dict[str, str]) -> Book:
    """The book with one deal per rep, created on a day in the book's own time."""
    deals = book.deals.head(len(days)).reset_index(drop=True)
    deals["rep_id"] = list(days)
    created = pd.to_datetime(pd.Series(list(days.values()))).dt.tz_localize(book.timezone).dt.tz_convert("UTC")
    deals["created_at"] = created.astype(deals["created_at"].dtype)
    return replace(book, tables={"deals": deals})


def test_who_is_a_newcomer(demo_book: Book) -> None:
    """The third quarter begins on 1 July; the 92 days before it on 31 March. The book begins on 1 October 2025."""
    days = {"first": "2025-10-01", "late": "2026-03-30", "new": "2026-03-31", "newer": "2026-08-01"}
    book = first_deals(demo_book, days)
    assert newcomers(book, "2026Q3") == {"new", "newer"}
    assert newcomers(book, "2026Q4") == {"newer"}
    assert newcomers(book, "2027Q1") == set()


def test_in_a_young_book_everybody_of_its_first_quarter_was_there_before_it(demo_book: Book) -> None:
    """92 days from 1 June end on 31 August."""
    book = first_deals(demo_book, {"a": "2026-06-01", "b": "2026-08-31", "c": "2026-09-01"})
    assert newcomers(book, "2026Q3") == {"c"}


def test_a_median_needs_eight_others() -> None:
    for people, median, hidden in ((8, True, True), (9, True, False), (5, False, True), (6, False, False)):
        row = shown_figure("m", None, 30.0, pd.Series(np.full(people, 5.0)), share=False, median=median)
        assert row["hidden"] == hidden and row["reps"] == (0 if hidden else people)


def test_a_team_that_is_nearly_everybody_is_shown_nothing_of_the_rest(demo_book: Any) -> None:
    """With their own figures at hand they would know those of the few others."""
    people = demo_book.people
    reps = demo_book.table("reps").assign(team="All but four")
    reps.loc[reps["rep_id"].isin(people["rep_id"].head(4)), "team"] = "Four"
    book = replace(demo_book, tables={**demo_book.tables, "reps": reps})
    assert len(deals_outside(book, "All but four", "2026Q3")) == 4 < OTHERS
    tables = tables_of_others(book, "2026Q3")
    shown = beside_a_team(tables, book, "All but four", "2026Q3")
    for name, table in shown.items():
        assert table["hidden"].all() and table["value"].isna().all() and (table["reps"] == 0).all(), name
        assert list(table.dtypes) == list(tables[name].dtypes) and len(table) == len(tables[name])
    assert not beside_a_team(tables, book, "Four", "2026Q3")["peers"]["hidden"].all()


def test_a_team_is_shown_nothing_where_most_of_the_rest_is_one_person(demo_book: Any) -> None:
    people, deals = demo_book.people, demo_book.deals
    rest = list(people["rep_id"].head(6))
    reps = demo_book.table("reps").assign(team="All but six")
    reps.loc[reps["rep_id"].isin(rest), "team"] = "Six"
    of_five = deals["rep_id"].isin(rest[1:])
    deals["rep_id"] = deals["rep_id"].where(~of_five | (np.arange(len(deals)) % 3 == 0), rest[0])
    book = replace(demo_book, tables={**demo_book.tables, "reps": reps, "deals": deals})
    held = deals_outside(book, "All but six", "2026Q3")
    assert len(held) == 6 and held.max() > held.sum() / 2
    shown = beside_a_team(tables_of_others(book, "2026Q3"), book, "All but six", "2026Q3")
    assert shown["peers"]["hidden"].all() and shown["gap"]["hidden"].all()
