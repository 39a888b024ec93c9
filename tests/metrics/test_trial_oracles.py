"""Trial data against plain SQL: the metrics of one file, recomputed straight from that file by another engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import new_customers, pipeline, sales, sales_cycle, win_rate
from salescoach.sources.load import load_book

Ask = Callable[[str], pd.DataFrame]
BY = {
    "": "''",
    "rep": "sales_agent",
    "team": "regional_office",
    "manager": "manager",
    "quarter": "year({day}) || 'Q' || quarter({day})",
    "product": "product",
    "rep,quarter": "sales_agent || ' ' || year({day}) || 'Q' || quarter({day})",
}


@pytest.fixture(scope="module")
def book(trial: Callable[[str], Path]) -> Book:
    return load_book(trial("maven"))


@pytest.fixture(scope="module")
def ask(trial: Callable[[str], Path]) -> Ask:
    folder = trial("maven")
    database = duckdb.connect()
    database.execute(
        f"""create view deals as select * from read_csv('{folder}/sales_pipeline.csv', header = true) as d
            left join read_csv('{folder}/sales_teams.csv', header = true) as t using (sales_agent)"""
    )
    return lambda query: database.execute(query).df()


def compare(found: pd.DataFrame, by: str, expected: pd.DataFrame, columns: dict[str, str]) -> None:
    """Our table and that of SQL, row by row; rows of ours without a record are of people without a deal."""
    found = found[found["n"] > 0]
    keys = found[[k for k in by.split(",") if k]].astype("str").agg(" ".join, axis=1) if by else [""]
    ours = found.assign(key=keys).set_index("key")
    theirs = expected.set_index("key")
    assert sorted(ours.index) == sorted(theirs.index)
    for mine, other in columns.items():
        pair = pd.concat([ours[mine].astype("float64"), theirs[other].astype("float64")], axis=1).to_numpy()
        assert pair[:, 0] == pytest.approx(pair[:, 1], rel=1e-12, abs=1e-9, nan_ok=True), mine


@pytest.mark.parametrize("by", BY)
def test_win_rate_is_that_of_sql(by: str, book: Book, ask: Ask) -> None:
    expected = ask(
        f"""select {BY[by].format(day="close_date")} as key, count(*) as n,
                count(*) filter (deal_stage = 'Won') as won, won / n as rate,
                coalesce(sum(close_value) filter (deal_stage = 'Won'), 0) as amount
            from deals where deal_stage in ('Won', 'Lost') group by all"""
    )
    compare(win_rate(book, by), by, expected, {"n": "n", "won": "won", "value": "rate", "won_amount": "amount"})


@pytest.mark.parametrize("by", BY)
def test_sales_are_those_of_sql(by: str, book: Book, ask: Ask) -> None:
    expected = ask(
        f"""select {BY[by].format(day="close_date")} as key, count(*) as n, sum(close_value) as amount,
                avg(close_value) as mean
            from deals where deal_stage = 'Won' group by all"""
    )
    compare(sales(book, by), by, expected, {"n": "n", "wins": "n", "value": "amount", "mean_amount": "mean"})


@pytest.mark.parametrize("by", BY)
def test_the_sales_cycle_is_that_of_sql(by: str, book: Book, ask: Ask) -> None:
    # Kaplan-Meier in SQL: at each time, those that ended of those followed so long; the median is where half are left.
    expected = ask(
        f"""with followed as (
                select {BY[by].format(day="engage_date")} as key, deal_stage = 'Won' as won,
                    deal_stage in ('Won', 'Lost') as ended,
                    date_diff('day', engage_date, coalesce(close_date, date '{book.as_of_on.date()}')) as days
                from deals where engage_date is not null),
            times as (
                select key, days, count(*) filter (ended) as ends, count(*) as leaving from followed group by all),
            risk as (
                select *, sum(leaving) over (partition by key order by days desc) as at_risk from times),
            curve as (
                select key, days, exp(sum(ln(greatest(1 - ends / at_risk, 1e-300)))
                    over (partition by key order by days)) as alive, ends from risk)
            select key, count(*) as n, count(*) filter (ended) as decided, count(*) filter (won) as won,
                avg(days) filter (won) as mean_won,
                (select min(c.days) from curve c where c.key = f.key and alive < 0.5 - 1e-12 and ends > 0) as median
            from followed f group by key"""
    )
    columns = {"n": "n", "decided": "decided", "won": "won", "mean_won": "mean_won", "value": "median"}
    compare(sales_cycle(book, by), by, expected, columns)


def test_open_deals_are_those_of_sql(book: Book, ask: Ask) -> None:
    expected = ask(
        """select sales_agent as key, count(*) as n from deals
           where deal_stage not in ('Won', 'Lost') group by all"""
    )
    found = pipeline(book, "rep").groupby("rep", as_index=False)["n"].sum()
    compare(found, "rep", expected, {"n": "n"})


def test_new_customers_are_those_of_sql(book: Book, ask: Ask) -> None:
    expected = ask(
        """with first as (select account, min(close_date) as day from deals where deal_stage = 'Won' group by all)
           select year(day) || 'Q' || quarter(day) as key, count(*) as n from first group by all"""
    )
    compare(new_customers(book, "quarter"), "quarter", expected, {"n": "n", "value": "n"})


def test_the_published_figures_of_reps_and_quarters(book: Book, trial: Callable[[str], Path]) -> None:
    truth = json.loads((trial("maven") / "truth.json").read_text(encoding="utf-8"))
    found = win_rate(book, "rep").set_index("rep")
    assert len(truth["by_rep"]) == 30
    for name, figures in truth["by_rep"].items():
        row = found.loc[name]
        assert (row["n"], row["won"], row["won_amount"]) == (figures["closed"], figures["won"], figures["revenue"])
        assert round(row["value"], 6) == figures["win_rate"]
    assert sales(book, "quarter")["value"].tolist() == [1_134_672.0, 3_086_111.0, 2_982_255.0, 2_802_496.0]
