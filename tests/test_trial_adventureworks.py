"""Trial quotas with odd first days, against plain SQL: a target counts by its days, not by the label of its quarter."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest

from salescoach.book import Book
from salescoach.metrics import quota_attainment
from salescoach.sources import load_book

BY_YEAR = {2011: 14_263_000, 2012: 30_172_000, 2013: 40_920_000, 2014: 10_359_000}
SOURCE = """
currency = "USD"
as_of = 2014-12-31
[deals]
from = "deals.csv"
[deals.columns]
deal_id = "deal_id"
rep_id = "rep_id"
stage = "stage"
closed_at = "closed_at"
amount = "amount"
[targets]
from = "quotas.csv"
[targets.columns]
rep_id = "BusinessEntityID"
start_on = "QuotaDate"
end_on = "Until"
value = "SalesQuota"
[targets.fixed]
metric = "won_amount"
"""


@pytest.fixture(scope="module")
def quotas(trial) -> Path:  # type: ignore[no-untyped-def]
    return trial("adventureworks_quota") / "SalesPersonQuotaHistory.csv"


@pytest.fixture(scope="module")
def rows(quotas: Path) -> list[tuple[str, str, int]]:
    """Person, first day and quota: the file has no header."""
    with quotas.open(encoding="utf-8-sig", newline="") as stream:
        return [(r[1], r[2][:10], int(r[3])) for r in csv.reader(stream, delimiter="\t")]


@pytest.fixture(scope="module")
def book(rows: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory) -> Book:
    """Each quota runs until the person's next one; the last for 90 days. Each person wins 1,000 a year."""
    folder = tmp_path_factory.mktemp("adventureworks")
    sql = """
        select person as BusinessEntityID, first as QuotaDate, quota as SalesQuota,
            coalesce(lead(first) over (partition by person order by first), first + 90) - 1 as Until from rows"""
    database = duckdb.connect()
    database.execute("create table rows(person varchar, first date, quota bigint)")
    database.executemany("insert into rows values (?, ?, ?)", rows)
    database.execute(f"copy ({sql}) to '{folder / 'quotas.csv'}' (header)")
    wins = [f"{p}-{y},{p},Won,{y}-12-30,1000" for p in sorted({r[0] for r in rows}) for y in BY_YEAR]
    (folder / "deals.csv").write_text("\n".join(["deal_id,rep_id,stage,closed_at,amount", *wins, ""]), encoding="utf-8")
    (folder / "source.toml").write_text(SOURCE, encoding="utf-8")
    return load_book(folder)


@pytest.fixture(scope="module")
def ask(book: Book):  # type: ignore[no-untyped-def]
    targets = book.table("targets")[["rep_id", "start_on", "end_on", "value"]]
    database = duckdb.connect()
    database.register("targets", targets)
    return lambda query: database.execute(query).df()


def test_every_quota_is_there(book: Book) -> None:
    targets = book.table("targets")
    assert (len(targets), targets["rep_id"].nunique(), targets["value"].sum()) == (163, 17, 95_714_000)
    assert targets.groupby(targets["start_on"].dt.year)["value"].sum().to_dict() == BY_YEAR


def test_the_whole_is_the_sum_of_all_quotas(book: Book) -> None:
    row = quota_attainment(book, "").iloc[0]
    assert (row["target"], row["won_amount"]) == (pytest.approx(95_714_000), 68_000.0)
    assert row["value"] == pytest.approx(68_000 / 95_714_000)


def test_each_person_has_the_sum_of_the_own_quotas(book: Book, rows: list[tuple[str, str, int]]) -> None:
    table = quota_attainment(book, "rep").set_index("rep_id")
    expected = {p: sum(q for other, _, q in rows if other == p) for p, _, _ in rows}
    assert table["target"].to_dict() == pytest.approx(expected)
    assert table["value"].to_dict() == pytest.approx({p: 4_000 / q for p, q in expected.items()})


@pytest.mark.parametrize("unit", ["year", "quarter", "month"])
def test_quotas_fall_to_periods_by_their_days(unit: str, book: Book, ask) -> None:  # type: ignore[no-untyped-def]
    form = {"year": "strftime(day, '%Y')", "quarter": "year(day) || 'Q' || quarter(day)"}
    expected = ask(
        f"""with days as (
                select rep_id, unnest(generate_series(start_on, end_on, interval 1 day)) as day,
                    value / (date_diff('day', start_on, end_on) + 1) as part from targets)
            select rep_id, {form.get(unit, "strftime(day, '%Y-%m')")} as unit, sum(part) as goal
            from days group by all order by all"""
    )
    found = quota_attainment(book, ["rep", unit])
    found = found[found["target"].notna()].sort_values(["rep_id", unit])
    assert found[["rep_id", unit]].to_numpy().tolist() == expected[["rep_id", "unit"]].to_numpy().tolist()
    assert found["target"].to_numpy() == pytest.approx(expected["goal"].to_numpy())


def test_a_year_of_days_is_not_a_year_of_labels(book: Book) -> None:
    # The quotas that begin on 1 December 2011 run into 2012, so by days 2011 asks for less than its labels say.
    table = quota_attainment(book, "year").set_index("year")
    assert table.loc["2011", "target"] < BY_YEAR[2011]
    assert table["target"].sum() == pytest.approx(95_714_000)
