"""A trial export with leads and quarterly quotas, against plain SQL over its files."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import lead_conversion, measure, quota_attainment, sales_cycle, win_rate
from salescoach.sources import load_book

SOURCE = """
currency = "USD"
[stages]
"Discovery" = "qualified"
[deals]
from = "opportunities.csv"
[deals.columns]
deal_id = "opp_id"
lead_id = "lead_id"
account_id = "account_id"
rep_id = "rep_id"
segment = "segment"
lead_source = "lead_source"
product = "plan"
stage = "stage"
amount = "amount"
created_at = "created_date"
closed_at = "close_date"
[leads]
from = "leads.csv"
[leads.columns]
lead_id = "lead_id"
created_at = "created_at"
lead_source = "lead_source"
status = "status"
segment = "segment"
[reps]
from = "sales_reps.csv"
[reps.columns]
rep_id = "rep_id"
name = "name"
team = "region"
start_on = "hire_date"
[accounts]
from = "accounts.csv"
[accounts.columns]
account_id = "account_id"
name = "company_name"
industry = "industry"
[revenue]
from = "revenue_events.csv"
[revenue.columns]
revenue_id = "event_id"
account_id = "account_id"
booked_on = "event_date"
amount = "amount"
[targets]
from = "quotas.csv"
[targets.columns]
rep_id = "rep_id"
metric = "metric"
start_on = "start_on"
end_on = "end_on"
value = "value"
"""
QUARTERS = [q for year in (2024, 2025, 2026) for q in pd.period_range(f"{year}Q1", f"{year}Q4", freq="Q")]


@pytest.fixture(scope="module")
def folder(trial, tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    """The export with a source file of one's own, and each person's quota written out for each quarter."""
    made = tmp_path_factory.mktemp("gtm")
    for file in trial("gtm_complyflow").glob("*.csv"):
        (made / file.name).symlink_to(file)
    with (made / "sales_reps.csv").open(encoding="utf-8") as stream:
        people = [(row["rep_id"], row["quota_quarterly"]) for row in csv.DictReader(stream)]
    lines = [
        f"{rep},won_amount,{q.start_time.date()},{q.end_time.date()},{quota}" for rep, quota in people for q in QUARTERS
    ]
    (made / "quotas.csv").write_text("\n".join(["rep_id,metric,start_on,end_on,value", *lines, ""]), encoding="utf-8")
    (made / "source.toml").write_text(SOURCE, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def book(folder: Path) -> Book:
    return load_book(folder)


@pytest.fixture(scope="module")
def ask(folder: Path):  # type: ignore[no-untyped-def]
    """SQL over the files as they are."""
    database = duckdb.connect()
    for name in ("opportunities", "leads", "sales_reps", "revenue_events"):
        database.execute(f"create view {name} as select * from read_csv('{folder / name}.csv', header = true)")
    return lambda query: database.execute(query).df()


def test_nothing_is_lost(book: Book) -> None:
    assert {n: len(book.table(n)) for n in ("deals", "leads", "reps", "revenue")} == {
        "deals": 2_784, "leads": 6_500, "reps": 40, "revenue": 964
    }  # fmt: skip
    assert len(book.quarantine) == 0 and book.currency == "USD"


def test_the_win_rate_is_the_published_one(book: Book) -> None:
    row = win_rate(book, "").iloc[0]
    assert (row["won"], row["n"], round(row["value"], 6)) == (787, 2_713, 0.290085)
    assert row["won_amount"] == 1_747_564.66


def test_the_cycle_of_won_deals_is_the_published_one(book: Book) -> None:
    # The published figures run from the creation of the deal; leads are there too, so the cycle starts at the lead.
    without = Book(
        {n: f for n, f in book.tables.items() if n != "leads"}, book.process, book.as_of, book.currency
    )  # fmt: skip
    row = sales_cycle(without, "").iloc[0]
    assert round(row["mean_won"], 2) == 33.41
    won = book.deals[book.deals["outcome"] == "won"]
    assert (book.local_days(won["closed_at"]) - book.local_days(won["created_at"])).dt.days.median() == 24


def test_leads_become_deals_at_the_published_rate(book: Book) -> None:
    row = lead_conversion(book, "", horizon_days=0).iloc[0]
    assert (row["n"], row["converted"], round(row["value"], 4)) == (6_500, 2_784, 0.4283)


@pytest.mark.parametrize("group", ["rep_id", "segment", "lead_source", "plan"])
def test_win_rate_and_amount_by_group(group: str, book: Book, ask) -> None:  # type: ignore[no-untyped-def]
    expected = ask(
        f"""select coalesce({group}, '(none)') as key, count(*) filter (stage like 'Closed%') as n,
            count(*) filter (stage = 'Closed Won') as won,
            coalesce(sum(cast(amount as decimal(18, 2))) filter (stage = 'Closed Won'), 0)::double as amount
            from opportunities group by all having n > 0 order by key"""
    )
    ours = {"rep_id": "rep", "plan": "product"}.get(group, group)
    found = win_rate(book, ours)
    found = found[found["n"] > 0].sort_values("rep_id" if ours == "rep" else ours)
    assert found["rep_id" if ours == "rep" else ours].tolist() == expected["key"].tolist()
    assert found["n"].tolist() == expected["n"].tolist() and found["won"].tolist() == expected["won"].tolist()
    assert found["won_amount"].fillna(0).to_numpy() == pytest.approx(expected["amount"].to_numpy(), abs=1e-9)


def test_attainment_by_person_and_quarter(book: Book, ask) -> None:  # type: ignore[no-untyped-def]
    # A quota counts by the days from the hire on; a deal is won in the quarter of its close date.
    expected = ask(
        """with quarters as (
               select cast(q as date) as first, cast(q + interval 3 month - interval 1 day as date) as last
               from generate_series(timestamp '2024-01-01', timestamp '2026-04-01', interval 3 month) t(q)),
           goals as (
               select rep_id, first, greatest(0, date_diff('day', greatest(first, hire_date::date), last) + 1)
                   / (date_diff('day', first, last) + 1) * quota_quarterly as goal
               from sales_reps, quarters),
           wins as (
               select rep_id, date_trunc('quarter', close_date::date)::date as first,
                   sum(cast(amount as decimal(18, 2)))::double as won
               from opportunities where stage = 'Closed Won' group by all)
           select rep_id, year(first) || 'Q' || quarter(first) as quarter, coalesce(won, 0) as won, goal
           from goals left join wins using (rep_id, first) where goal > 0 order by 1, 2"""
    )
    found = quota_attainment(book, "rep,quarter", "2024..2026-06")  # the data end on 24 June
    found = found[found["target"].notna()].sort_values(["rep_id", "quarter"])
    assert found[["rep_id", "quarter"]].to_numpy().tolist() == expected[["rep_id", "quarter"]].to_numpy().tolist()
    assert found["target"].to_numpy() == pytest.approx(expected["goal"].to_numpy())
    assert found["won_amount"].to_numpy() == pytest.approx(expected["won"].to_numpy())
    assert found["value"].to_numpy() == pytest.approx((expected["won"] / expected["goal"]).to_numpy())


def test_attainment_of_the_whole_is_won_over_all_quotas(book: Book) -> None:
    parts, whole = quota_attainment(book, "rep,quarter"), quota_attainment(book, "").iloc[0]
    assert whole["won_amount"] == pytest.approx(1_747_564.66) == parts["won_amount"].sum()
    assert whole["target"] == pytest.approx(parts["target"].sum())


def test_every_metric_answers_or_says_why(book: Book) -> None:
    from salescoach.metrics import METRICS

    answers = {name: measure(book, name) for name in METRICS}
    assert all(a.available or a.because for a in answers.values())


def test_its_headers_are_recognised_without_a_source_file(trial):
    book = load_book(trial("gtm_complyflow"))
    opportunities = pd.read_csv(trial("gtm_complyflow") / "opportunities.csv", dtype=str)
    deals = book.table("deals").set_index("deal_id")
    raw = opportunities.set_index("opp_id").loc[deals.index]
    assert len(deals) == len(opportunities) and book.quarantine.empty
    for column, theirs in {"rep_id": "rep_id", "account_id": "account_id", "lead_source": "lead_source"}.items():
        assert (deals[column].astype("str").fillna("") == raw[theirs].fillna("")).all()
    assert (deals["amount"].astype(float).round(2) == raw["amount"].astype(float).round(2)).all()
    won = raw["stage"] == "Closed Won"
    assert (deals["outcome"].eq("won") == won).all()
    assert (
        deals.loc[won, "closed_at"].dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m-%d") == raw.loc[won, "close_date"]
    ).all()
