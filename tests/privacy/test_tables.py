"""Every table of the others, row by row: hidden where it must be, rounded where it is shown, and of nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics.peers import FIGURES, all_hidden, hidden_together
from salescoach.reports import open_report
from salescoach.reports.others import Tables, tables_of_others

PERIOD = "2026Q3"
NAMES = ("peers", "path", "gap", "habits", pytest.param("forecast", marks=pytest.mark.nightly))
each = pytest.mark.parametrize("name", NAMES)
SHARES = {"win_rate", "lead_conversion", "stage_flow", "path_several", "path_quoted", "conversion", "wape", "held"}
TIMES = {"sales_cycle", "response_time", "path_days", "path_contacts"}
OF_THE_METHOD = {"weight", "history", "lead", "origins"}
STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


@pytest.fixture(scope="module")
def tables(demo_book: Book) -> Tables:
    return tables_of_others(demo_book, PERIOD)


def with_people(book: Book, n: int) -> Book:
    return book.without_reps(set(book.people["rep_id"].iloc[n:]))


def with_one_who_has_most(book: Book) -> Book:
    """Two in three deals, leads and activities are one person's."""
    tables = dict(book.tables)
    for name in ("deals", "leads", "activities"):
        rows = tables[name].copy()
        rows["rep_id"] = rows["rep_id"].where(np.arange(len(rows)) % 3 == 0, "R01")
        tables[name] = rows
    return replace(book, tables=tables)


@each
def test_with_five_people_nothing_is_shown(demo_book: Book, name: str) -> None:
    table = tables_of_others(with_people(demo_book, 5), PERIOD)[name]
    assert len(table) and table["hidden"].all() and table["value"].isna().all() and (table["reps"] == 0).all()


@each
def test_beside_one_who_has_most_nothing_is_shown(demo_book: Book, name: str) -> None:
    table = tables_of_others(with_one_who_has_most(demo_book), PERIOD)[name]
    assert len(table) and table["hidden"].mean() > 0.9, table[~table["hidden"]]


def figure_of(row: pd.Series) -> str:
    return str(next(row[c] for c in ("metric", "figure", "habit") if c in row))


def coarse(figure: str, value: float) -> bool:
    """Shares lie on 5 points, times on their steps, chances on points below a tenth; all else has two digits."""
    points = round(100 * value, 9)
    if figure in OF_THE_METHOD:
        return True
    if figure in SHARES:
        return points % 5 == 0 or points == 2.5  # which stands for next to nothing
    if figure == "chance":
        return points % (1 if value < 0.1 else 5) == 0
    if figure in TIMES:
        return bool(value == 0 or any(np.isclose(value / 10 ** np.floor(np.log10(value)), s) for s in STEPS))
    return bool(value == 0 or np.isclose(float(f"{value:.2g}"), value, rtol=1e-9))


@each
def test_what_is_shown_is_coarse(tables: Tables, name: str) -> None:
    shown = tables[name][~tables[name]["hidden"]]
    assert len(shown)
    for _, row in shown.iterrows():
        assert coarse("win_rate" if name == "habits" else figure_of(row), row["value"]), row


@pytest.mark.parametrize(("figure", "value"), [("win_rate", 0.31), ("sales_cycle", 31.0), ("amount", 12_345.0)])
def test_a_finer_figure_would_be_seen(figure: str, value: float) -> None:
    assert not coarse(figure, value)


@each
def test_no_table_names_or_counts_anybody(demo_book: Book, tables: Tables, name: str) -> None:
    table = tables[name]
    people = demo_book.people
    known = {*people["rep_id"], *people["rep"], *people["team"].dropna(), *demo_book.deals["deal_id"]}
    assert not known & {str(v) for c in table.select_dtypes("str") for v in table[c].dropna()}
    assert not {"n", "won", "rep_id", "rep", "team", "low", "high", "rank", "min", "max"} & set(table.columns)
    assert set(table.loc[~table["hidden"], "reps"]) <= {6, 9}
    assert all_hidden(table)[[c for c in FIGURES if c in table]].isna().all(axis=None)


@each
def test_the_same_for_every_reader(demo_book: Book, tables: Tables, name: str) -> None:
    """Made anew it is the same table: no noise that a second look would take away."""
    pd.testing.assert_frame_equal(tables[name], tables_of_others(demo_book, PERIOD)[name])


def test_a_gap_is_shown_whole_or_not_at_all(demo_book: Book) -> None:
    """Won amount = begun x conversions x amount: one that is missing would follow from the others."""
    deals = demo_book.deals
    few = deals["rep_id"].isin(list(demo_book.people["rep_id"].iloc[:3]))
    won = deals["outcome"] == "won"
    deals["outcome"] = deals["outcome"].where(~won | few, "lost")  # three people win, all begin and convert
    table: Any = tables_of_others(replace(demo_book, tables={**demo_book.tables, "deals": deals}), PERIOD)["gap"]
    assert len(table) and table["hidden"].all()


def test_kinds_that_are_hidden_are_so_with_another(tables: Tables) -> None:
    gap = tables["gap"]
    gap = gap[gap["kind"].notna() & (gap["figure"] != "spread")]
    hidden = [kinds["hidden"].sum() for _, kinds in gap.groupby(["figure", "stage"], dropna=False)]
    assert max(hidden) > 1 and 1 not in hidden


def test_nothing_is_hidden_where_all_may_be_shown() -> None:
    parts = [pd.Series(5.0, index=[f"R{k}" for k in range(n)]) for n in (6, 7, 8)]
    assert hidden_together(parts) == [False] * 3 and hidden_together([]) == []


@pytest.mark.parametrize(
    ("language", "five", "eight"),
    [
        ("en", "others: hidden, fewer than 5", "others: hidden, fewer than 8"),
        ("zh", "其他人：不足 5 人，不显示", "其他人：不足 8 人，不显示"),
    ],
)
def test_a_page_says_what_is_hidden(demo_book: Book, language: str, five: str, eight: str) -> None:
    few = with_people(demo_book, 5)
    page = open_report(few, rep=few.people["rep_id"].iloc[0], period=PERIOD, language=language).key_figures().html
    assert five in page and eight in page
