"""Count tables by SQL are those of a book in memory: from DuckDB over its files, and from a real PostgreSQL."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from salescoach.book import Book, open_head, save_book
from salescoach.errors import InputError, LawBroken, StorageError, Unavailable, UsageError
from salescoach.metrics import METRICS, decisions, sql, visit_counts
from salescoach.metrics.flow import FlowCounts, flow_counts
from salescoach.metrics.groups import parse_by
from salescoach.metrics.registry import as_period
from salescoach.metrics.sql_text import quoted
from salescoach.process import process_from_dict, process_to_dict
from salescoach.sources import load_book
from salescoach.sources.warehouse import Warehouse, in_database, open_files

ROOT = Path(__file__).resolve().parents[2]
duckdb = pytest.importorskip("duckdb")
postgres = run_path(str(ROOT / "tests" / "sources" / "test_database.py"))["postgres"]  # the fixture

Opened = Callable[[Book], AbstractContextManager[Warehouse]]
COUNTS = ("n", "amount_minor", "n_amount", "amount2", "deeper", "lost", "stuck", "skipped", "still", "back", "n_timed")
SPLITS = ["", "rep,lead_source", "pipeline,stage", "team,quarter", "manager,week", "fiscal_month"]
KINDS = {"str": "text", "Int64": "bigint", "int64": "bigint", "float64": "double precision", "bool": "boolean"}


# --- two ways in -----------------------------------------------------------------------------------


def write_tables(book: Book, connection: Any, schema: str) -> None:
    """Copy a book's tables into a schema, with the column `place` where the order of rows tells something."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        for name in ("deals", "stage_history", "changes", "reps"):
            if name not in book.tables:
                continue
            frame = book.table(name)
            if name in ("stage_history", "changes"):
                frame["place"] = np.arange(len(frame))
            columns = {
                c: KINDS.get(str(t), "timestamptz" if "UTC" in str(t) else "timestamp") for c, t in frame.dtypes.items()
            }
            names = {c: quoted(str(c)) for c in columns}
            cursor.execute(f"CREATE TABLE {schema}.{name} ({', '.join(f'{names[c]} {k}' for c, k in columns.items())})")
            text = io.StringIO()
            shuffled = frame.sample(frac=1, random_state=1)  # a database keeps no order
            shuffled.to_csv(text, index=False, header=False, na_rep="\\N")
            with cursor.copy(f"COPY {schema}.{name} FROM STDIN WITH (FORMAT csv, NULL '\\N')") as copy:
                copy.write(text.getvalue())
    connection.commit()


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Opens a book's tables where SQL is answered: its saved files, or a schema of a real PostgreSQL."""
    if request.param == "duckdb":

        @contextmanager
        def in_files(book: Book) -> Iterator[Warehouse]:
            folder = tmp_path_factory.mktemp("saved") / "book"
            save_book(book, folder)
            with open_files(folder, threads=2) as found:
                yield found

        yield in_files
        return
    host = request.getfixturevalue("postgres")
    connection = pytest.importorskip("psycopg").connect(f"postgresql://ann@{host}")

    @contextmanager
    def in_tables(book: Book) -> Iterator[Warehouse]:
        write_tables(book, connection, "crm")
        head = replace(book, tables={})
        head.__dict__["people"] = book.people
        with in_database(head, connection, schema="crm") as found:
            yield found

    yield in_tables
    connection.close()


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same columns and rows; whole numbers exactly, sums of squares of floats to twelve places."""
    keys = [c for c in expected if c not in COUNTS]
    order = [t.sort_values(keys, ignore_index=True) if keys else t for t in (found, expected)]
    assert_frame_equal(order[0], order[1], rtol=1e-12)


def assert_all_same(warehouse: Warehouse, book: Book, by: str, period: str | None = None, **options: Any) -> None:
    groups = parse_by(by)
    assert_same(sql.visit_counts(warehouse, by), visit_counts(book, groups))
    assert_same(sql.decisions(warehouse, by, period), decisions(book, groups, period))
    found, expected = (
        sql.flow_counts(warehouse, groups, period, **options),
        flow_counts(book, groups, as_period(book, period), **options),
    )
    for name in FlowCounts.__annotations__:
        assert_same(getattr(found, name), getattr(expected, name))


# --- awkward books ---------------------------------------------------------------------------------


def awkward(book: Book, seed: int, **process: Any) -> Book:
    """Ties between entries and handovers, entries that nobody saw, a second pipeline, people who change teams."""
    chance = np.random.default_rng(seed)
    tables = dict(book.tables)
    log, deals = book.table("stage_history"), book.deals
    some = log.iloc[np.sort(chance.integers(0, len(log), 25))]
    taken = pd.DataFrame({"deal_id": some["deal_id"], "at": some["entered_at"], "field": "rep_id"})
    taken["old"] = pd.Series(chance.choice(["R1", "R2", "R7"], len(taken)), taken.index, dtype="str").mask(
        chance.random(len(taken)) < 0.2
    )
    taken["new"] = pd.Series(chance.choice(["R1", "R3"], len(taken)), taken.index, dtype="str")
    log["evidence"] = log["evidence"].mask(chance.random(len(log)) < 0.15, "inferred")
    tables["stage_history"] = log
    tables["changes"] = pd.concat([tables["changes"], taken.astype({"field": "str"})], ignore_index=True)
    deals["pipeline"] = pd.Series(chance.choice(["new", "renewal"], len(deals)), dtype="str")
    deals['50 % "off"'] = pd.Series(chance.choice(["it's :so", "折扣", "%s"], len(deals)), dtype="str").mask(
        chance.random(len(deals)) < 0.2
    )
    tables["deals"] = deals
    reps = book.table("reps")
    later = reps.iloc[[0, 0, 1, 2]].assign(team=["West", None, "North", "East"])
    both = pd.concat([reps, later], ignore_index=True)
    both["valid_from"] = pd.to_datetime(
        [None if i == 2 else "2024-01-01" for i in range(len(reps))]
        + ["2025-08-15", "2026-01-01", "2025-11-11", "2025-10-10"]
    ).astype("datetime64[us]")
    tables["reps"] = both
    return replace(book, tables=tables, process=two_pipelines(book, **process), precision={})


def two_pipelines(book: Book, timezone: str = "Asia/Shanghai") -> Any:
    """The process with a second pipeline, in which the same working stages stand the other way round."""
    content = process_to_dict(book.process)
    first = content["pipelines"]["new"]
    working, closing = (
        [s for s in first["stages"] if not s.get("outcome")],
        [s for s in first["stages"] if s.get("outcome")],
    )
    content["pipelines"] = {
        "new": {**first, "match": {"pipeline": ["new"]}},
        "renewal": {**first, "stages": [*working[::-1], *closing], "match": {"pipeline": ["renewal"]}},
    }
    content["calendar"]["timezone"] = timezone
    return process_from_dict(content)


@cache
def variants(seed: int, generated: Callable[..., Book]) -> dict[str, Book]:
    """The generated book, and what it becomes with every kind of trouble that SQL could see otherwise."""
    plain = generated(seed)
    deals = plain.deals.drop(columns=["rep_id", "amount", "amount_minor"])
    people = plain.table("reps")[["rep_id", "name"]]
    bare = {"deals": deals, "stage_history": plain.table("stage_history"), "reps": people}
    return {
        "plain": plain,
        "awkward": awkward(plain, seed),
        "New York": awkward(plain, seed + 50, timezone="America/New_York"),
        "by the day": replace(plain, precision={"stage_history.entered_at": "day"}),
        "nobody": replace(plain, tables=bare),
    }


@pytest.mark.parametrize("kind", ["plain", "awkward", "New York", "by the day", "nobody"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_every_table_equals_the_one_of_the_book_in_memory(
    opened: Opened, generated: Callable[..., Book], seed: int, kind: str
) -> None:
    book = variants(seed, generated)[kind]
    with opened(book) as warehouse:
        for by in SPLITS if seed == 1 else ["team,month"]:
            assert_all_same(warehouse, book, by)
        assert_all_same(warehouse, book, "rep", "2025Q4", rule="touched", mature_days=30)
        assert_all_same(warehouse, book, "team", "2025-01..2026-02", rule="strict", mature_days=200)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["plain", "awkward", "New York", "by the day", "nobody"])
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_books(opened: Opened, generated: Callable[..., Book], seed: int, kind: str) -> None:
    book = variants(seed, generated)[kind]
    with opened(book) as warehouse:
        for by in SPLITS:
            assert_all_same(warehouse, book, by)


def test_the_demo_book(opened: Opened, demo: Book) -> None:
    with opened(demo) as warehouse:
        assert_all_same(warehouse, demo, "team,lead_source", "2026")
        for by, period in (("rep", None), ("team,quarter", "2026")):
            flow = METRICS["stage_flow"].compute(demo, by=by, period=as_period(demo, period))
            assert_frame_equal(sql.stage_flow(warehouse, by, period), flow, rtol=1e-12)


def test_a_generated_book_of_many_deals(opened: Opened, tmp_path: Path) -> None:
    run_path(str(ROOT / "benchmarks" / "run.py"))["write_deals"](tmp_path / "files", 20_000, 5)
    book = load_book(tmp_path / "files" / "history", source="generic", as_of="2026-06-19")
    with opened(book) as warehouse:
        assert_all_same(warehouse, book, "rep")


# --- worked out by hand ----------------------------------------------------------------------------


def test_five_deals(opened: Opened, book_of: Callable[..., Book]) -> None:
    """Of five deals in `prospect` two went on after 4 and 10 days, one was lost, one is there, one is void."""
    book = book_of(
        [{"deal_id": "D1", "amount": 100.0, "rep_id": "R1"}, {"deal_id": "D2", "amount": 50.5, "rep_id": "R1"}],
        {
            "D1": "prospect 2026-01-01, qualified 2026-01-05, won 2026-01-20",
            "D2": "prospect 2026-01-01, qualified 2026-01-11",
            "D3": "prospect 2026-02-01, lost 2026-02-03",
            "D4": "prospect 2026-06-29",
            "D5": "prospect 2026-02-01, void 2026-02-03",
        },
    )
    with opened(book) as warehouse:
        found = sql.visit_counts(warehouse)
        rows = {(r.stage, r.exit, r.age): (r.n, r.amount_minor, r.n_amount, r.amount2) for r in found.itertuples()}
        # ages of days are coded 164 + days; D1 has 10,000 minor units and D2 5,050
        assert rows[("prospect", "advanced", 168)] == (1, 10_000, 1, 1e8)
        assert rows[("prospect", "advanced", 174)] == (1, 5_050, 1, 5_050.0**2)
        assert rows[("prospect", "lost", 166)] == (1, 0, 0, 0.0)
        assert rows[("qualified", "won", 179)] == (1, 10_000, 1, 1e8)
        flow = sql.stage_flow(warehouse).set_index("stage")
        assert flow.loc["prospect", ["n", "deeper", "lost", "stuck", "still"]].tolist() == [3, 2, 1, 0, 1]
        assert flow.loc["qualified", ["n", "deeper", "stuck", "still"]].tolist() == [
            2,
            1,
            1,
            1,
        ]  # D2 waits since January
        decided = sql.decisions(warehouse, "rep").set_index(["rep_id", "outcome"])["n"].to_dict()
        assert decided == {("R1", "won"): 1, ("(unassigned)", "lost"): 1, ("(unassigned)", "void"): 1}


def test_two_days_around_the_end_of_summer_time_are_two_days(opened: Opened, book_of: Callable[..., Book]) -> None:
    """In New York, 48 hours and a quarter from 2 November 0:30 on end on the 3rd at 23:45: coded as two days, 166."""
    book = book_of(log={"D1": "prospect 2025-11-02T12:30, qualified 2025-11-04T12:45"})  # in Shanghai
    book = replace(book, process=two_pipelines(book, timezone="America/New_York"))
    with opened(book) as warehouse:
        found = sql.visit_counts(warehouse).set_index("exit")["age"]
        assert found["advanced"] == 166 == visit_counts(book).set_index("exit")["age"]["advanced"]


def test_names_from_outside_are_quoted(opened: Opened, generated: Callable[..., Book]) -> None:
    book, column = variants(1, generated)["awkward"], '50 % "off"'
    with opened(book) as warehouse:
        assert_all_same(warehouse, book, column)
        assert set(sql.decisions(warehouse, column)[column]) == {"it's :so", "折扣", "%s", "(none)"}
        with pytest.raises(UsageError, match="Cannot split by '\"; DROP TABLE deals; --'"):
            sql.decisions(warehouse, '"; DROP TABLE deals; --')


# --- what cannot be known --------------------------------------------------------------------------


def test_groups_that_are_no_text_of_a_deal(opened: Opened, generated: Callable[..., Book]) -> None:
    with opened(generated(1)) as warehouse:
        with pytest.raises(UsageError, match=r"Cannot split by 'lead_sorce'.* Did you mean 'lead_source'"):
            sql.visit_counts(warehouse, "lead_sorce")
        for column in ("created_at", "activity_type"):  # an instant; a column of another table
            with pytest.raises(Unavailable, match=f"has no `{column}` to split by"):
                sql.decisions(warehouse, column)
        with pytest.raises(UsageError, match=r"rule='touch' is unknown.* Did you mean 'touched'"):
            sql.stage_flow(warehouse, rule="touch")


def test_stages_that_nobody_recorded(opened: Opened, generated: Callable[..., Book]) -> None:
    book = generated(1)
    log = book.table("stage_history").assign(evidence=lambda t: t["evidence"].mask(t["stage"] != "lost", "assumed"))
    blind = replace(book, tables={**book.tables, "stage_history": log})
    with opened(blind) as warehouse, pytest.raises(Unavailable, match="unknown for 100% of lost deals"):
        sql.stage_flow(warehouse)
    with opened(replace(book, tables={n: t for n, t in book.tables.items() if n != "stage_history"})) as warehouse:
        for count in (sql.visit_counts, sql.stage_flow):
            with pytest.raises(Unavailable, match="there is no stage history"):
                count(warehouse)
        assert_same(sql.decisions(warehouse, "rep"), decisions(book, ["rep"]))


def test_stages_that_the_process_lacks_are_not_dropped(opened: Opened, generated: Callable[..., Book]) -> None:
    book = generated(1)
    log = book.table("stage_history")
    log["stage"] = log["stage"].mask(log.index == 3, "pilot")
    with opened(replace(book, tables={**book.tables, "stage_history": log})) as warehouse:
        for count in (sql.visit_counts, sql.stage_flow):
            with pytest.raises(LawBroken, match="names stages that the process does not have, 1 times"):
                count(warehouse)


# --- DuckDB: memory ------------------------------------------------------------------------------


def saved(book: Book, folder: Path) -> Path:
    return save_book(book, folder / "book")


def setting(warehouse: Warehouse, name: str) -> str:
    return str(warehouse.fetch(f"SELECT CAST(current_setting('{name}') AS VARCHAR)", {"it": "text"})["it"][0])


def test_memory_is_limited_and_what_was_spilled_is_removed(tmp_path: Path, generated: Callable[..., Book]) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    with open_files(saved(generated(1), tmp_path), memory_limit="300MB", threads=1, spill=spill) as warehouse:
        assert setting(warehouse, "memory_limit") == "286.1 MiB"  # 300,000,000 / 1,048,576
        assert setting(warehouse, "threads") == "1"
        inside = Path(setting(warehouse, "temp_directory"))
        assert inside.parent == spill and inside.is_dir()
    assert list(spill.iterdir()) == []


def test_a_limit_that_is_none(tmp_path: Path, generated: Callable[..., Book]) -> None:
    with pytest.raises(UsageError, match="memory_limit='plenty'"):
        open_files(saved(generated(1), tmp_path), memory_limit="plenty").__enter__()


def test_too_little_memory_is_said(tmp_path: Path, demo: Book) -> None:
    with (
        pytest.raises(InputError, match="warehouse: the database answers OutOfMemory"),
        open_files(saved(demo, tmp_path), memory_limit="1MB", threads=1) as warehouse,
    ):
        sql.visit_counts(warehouse, "rep")


def test_a_folder_that_is_no_book(tmp_path: Path, generated: Callable[..., Book]) -> None:
    with pytest.raises(StorageError, match="is not a book"):
        open_files(tmp_path).__enter__()
    folder = saved(generated(1), tmp_path)
    (folder / "stage_history.parquet").unlink()
    with pytest.raises(StorageError, match="stage_history"):
        open_files(folder).__enter__()


def test_the_head_of_a_book_has_everything_but_its_tables(tmp_path: Path, generated: Callable[..., Book]) -> None:
    book = generated(1)
    head = open_head(saved(book, tmp_path))
    assert not head.tables
    assert (head.as_of, head.currency, head.process) == (book.as_of, book.currency, book.process)
    assert_frame_equal(head.people, book.people)


# --- PostgreSQL: every way in --------------------------------------------------------------------


@pytest.fixture
def crm(postgres: str, generated: Callable[..., Book]) -> tuple[str, Book]:
    """The address of a database with the tables of a book, and the book."""
    book = variants(2, generated)["awkward"]
    with pytest.importorskip("psycopg").connect(f"postgresql://ann@{postgres}") as connection:
        write_tables(book, connection, "crm")
    return postgres, book


@pytest.mark.parametrize("way", ["adbc url", "psycopg url", "adbc", "engine"])
def test_every_way_into_postgresql(way: str, crm: tuple[str, Book]) -> None:
    import sqlalchemy as sa

    host, book = crm
    with ExitStack() as stack:
        if way.endswith("url"):
            connection: Any = f"postgresql{'+psycopg' if 'psycopg' in way else ''}://ann@{host}"
        elif way == "adbc":
            adbc = pytest.importorskip("adbc_driver_postgresql.dbapi")
            connection = stack.enter_context(adbc.connect(f"postgresql://ann@{host}"))
        else:
            connection = sa.create_engine(f"postgresql+psycopg://ann@{host}", poolclass=sa.NullPool)
        warehouse = stack.enter_context(in_database(replace(book, tables={}), connection, schema="crm"))
        for by in ("team", '50 % "off"'):
            assert_same(sql.visit_counts(warehouse, by), visit_counts(book, parse_by(by)))
            assert_same(sql.decisions(warehouse, by), decisions(book, parse_by(by)))


def test_a_schema_that_lacks_something(crm: tuple[str, Book]) -> None:
    host, book = crm
    with pytest.importorskip("psycopg").connect(f"postgresql://ann@{host}") as connection:
        with pytest.raises(UsageError, match="'sales' has no table `deals`"):
            in_database(book, connection, schema="sales").__enter__()
        connection.execute("ALTER TABLE crm.stage_history DROP COLUMN place")
        with pytest.raises(UsageError, match=r"crm\.stage_history has no column `place`\. Its columns: deal_id"):
            in_database(book, connection, schema="crm").__enter__()


def test_there_is_no_third_dialect(generated: Callable[..., Book]) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(UsageError, match=r"DuckDB or PostgreSQL.* sqlite"):
        in_database(generated(1), connection).__enter__()
    connection.close()


# --- one text --------------------------------------------------------------------------------------


def test_each_table_is_one_select(opened: Opened, generated: Callable[..., Book]) -> None:
    with opened(generated(1)) as warehouse:
        for query in (
            sql.visit_query(warehouse, "rep"),
            sql.decision_query(warehouse, "rep"),
            sql.stay_query(warehouse, ["rep"]),
            sql.passage_query(warehouse, ["rep"]),
        ):
            assert query.text.startswith("WITH ") and ";" not in query.text
            assert re.findall(r"\nGROUP BY [\d, ]+$", query.text)


def test_both_databases_are_asked_the_same(postgres: str, tmp_path: Path, generated: Callable[..., Book]) -> None:
    book = variants(1, generated)["awkward"]
    with pytest.importorskip("psycopg").connect(f"postgresql://ann@{postgres}") as connection, ExitStack() as stack:
        write_tables(book, connection, "main")  # DuckDB's name of the schema
        there = stack.enter_context(in_database(book, connection, schema="main"))
        here = stack.enter_context(open_files(saved(book, tmp_path)))
        for query in (sql.visit_query, sql.decision_query):
            assert query(here, "team,month") == query(there, "team,month")
        for query in (sql.stay_query, sql.passage_query):
            assert query(here, ["team", "month"], "2026") == query(there, ["team", "month"], "2026")
