"""`salescoach load` over an earlier book, with corrections, and where a number does not add up; `snapshot`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salescoach.book import open_book
from salescoach.metrics import laws
from salescoach.metrics.registry import measure

HEADER = "deal_id,rep_id,stage,created_at,closed_at,amount\n"
MONDAY = (
    HEADER
    + "D1,Ann,Closed Won,2026-01-05,2026-02-01,100\nD2,Ann,Proposal,2026-01-06,,50\nD3,Bo,Proposal,2026-01-07,,70\n"
)
# D1 as it was; D2 is lost now; D3 is gone; D4 and D5 are new
TUESDAY = HEADER + (
    "D1,Ann,Closed Won,2026-01-05,2026-02-01,100\nD2,Ann,Closed Lost,2026-01-06,2026-02-03,50\n"
    "D4,Bo,Proposal,2026-02-02,,5\nD5,Bo,Proposal,2026-02-02,,6\n"
)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir()}


@pytest.fixture
def deals(tmp_path: Path) -> Path:
    file = tmp_path / "deals.csv"
    file.write_text(MONDAY, encoding="utf-8")
    return file


def test_a_reload_says_what_changed_since_the_book_before(salescoach, deals):
    assert "Since" not in salescoach("load", deals, "--book", "b").out
    deals.write_text(TUESDAY, encoding="utf-8")
    done = salescoach("load", deals, "--book", "b")
    assert done.code == 0, done.err
    assert "Since the book of 2026-02-01: 2 new deals, 1 changed, 1 vanished (D3).\n" in done.out
    assert open_book("b").quality["since"] == {"as_of": "2026-02-01", "new": 2, "changed": 1, "same": 1, "vanished": 1}


def test_a_reload_of_the_same_leaves_the_book_untouched(salescoach, deals, tmp_path):
    salescoach("load", deals, "--book", "b")
    before = state(tmp_path / "b")
    done = salescoach("load", deals, "--book", "b")
    assert done.code == 0
    assert "Nothing changed since the book of 2026-02-01: b is left as it is.\n" in done.out
    assert json.loads(salescoach("load", deals, "--book", "b", "--json").out)["unchanged"] is True
    assert state(tmp_path / "b") == before


def test_the_same_deals_with_another_row_set_aside_are_written(salescoach, deals, tmp_path):
    many = HEADER + "".join(f"D{n},Ann,Proposal,2026-01-05,,1\n" for n in range(100))
    deals.write_text(many, encoding="utf-8")
    salescoach("load", deals, "--book", "b")
    deals.write_text(many + "D100,Ann,Proposal,2026-01-32,,1\n", encoding="utf-8")
    done = salescoach("load", deals, "--book", "b")
    assert "Since the book of 2026-01-05: 0 new deals, 0 changed, 0 vanished.\n" in done.out
    assert "2026-01-32" in (tmp_path / "b" / "quarantine.csv").read_text(encoding="utf-8")


def test_corrections_are_fed_back_in(salescoach, deals, tmp_path):
    deals.write_text(
        MONDAY + "".join(f"E{n},Bo,Proposal,2026-01-07,,1\n" for n in range(60)) + "D9,Bo,Proposal,2026-02-30,,7\n",
        encoding="utf-8",
    )
    assert "1 rows set aside" in salescoach("load", deals, "--book", "b").out
    with (tmp_path / "b" / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0]["value"] = "2026-01-30"
    with (tmp_path / "fixed.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = salescoach("check", deals, "--corrections", "fixed.csv")
    assert "No row was set aside." in done.out
    assert done.out.splitlines()[-1] == f"Next: salescoach load {deals} --corrections fixed.csv --book my-book"
    done = salescoach("load", deals, "--corrections", "fixed.csv", "--book", "b")
    assert done.code == 0
    assert "1 new deals, 0 changed, 0 vanished." in done.out
    done = salescoach("load", deals, "--corrections", "deals.csv", "--book", "b")
    assert done.code == 5 and "deals.csv is no quarantine.csv" in done.err


def test_reps_are_chosen_from_databases_only(salescoach, deals, tmp_path):
    done = salescoach("load", deals, "--rep", "Ann", "--rep", "Bo", "--book", "b")
    assert done.code == 2
    assert "`reps` chooses rows of a database" in done.err
    import sqlite3

    with sqlite3.connect(tmp_path / "crm.db") as base:
        pd.read_csv(deals).to_sql("deals", base, index=False)
    base.close()
    columns = "".join(f'{c} = "{c}"\n' for c in HEADER.strip().split(","))
    source = 'connection = { url = "sqlite:///crm.db" }\n[deals]\n[deals.columns]\n' + columns
    (tmp_path / "db.toml").write_text(source, encoding="utf-8")
    done = salescoach("load", "--source", "db.toml", "--rep", "Bo", "--book", "b")
    assert done.code == 0, done.err
    assert open_book("b").deals["deal_id"].tolist() == ["D3"]
    last = salescoach("check", "--source", "db.toml", "--rep", "Bo").out.splitlines()[-1]
    assert last == "Next: salescoach load --source db.toml --rep Bo --book my-book"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month counted twice, as in tests/metrics/test_laws.py."""

    def changed(book: Any, name: str, by: Any = None, period: Any = None) -> Any:
        found = measure(book, name, by, period)
        if found.table is not None and "month" in by:
            object.__setattr__(found, "table", pd.concat([found.table, found.table.tail(1)]))
        return found

    monkeypatch.setattr(laws, "measure", changed)


@pytest.mark.parametrize(
    "words",
    [
        ("load", "deals.csv", "--book", "new"),
        ("snapshot", "deals.csv", "--store", "new"),
        ("report", "funnel", "--book", "demo", "--out", "new"),
        ("batch", "--book", "demo", "--plan", "weekly", "--out", "new"),
        ("demo", "--out", "new"),
    ],
)
def test_nothing_is_published_where_a_number_does_not_add_up(salescoach, deals, tmp_path, broken, words):
    done = salescoach(*words)
    assert done.code == 70
    assert "in all and" in done.err and "Nothing was published." in done.err
    assert not (tmp_path / "new").exists()


# --- snapshots -------------------------------------------------------------------------------------


def test_a_snapshot_of_each_day_builds_a_history(salescoach, deals, tmp_path):
    done = salescoach("snapshot", deals, "--store", "store", "--as-of", "2026-02-01")
    assert done.code == 0, done.err
    assert done.out == (
        "Wrote store/deals-2026-02-01.parquet: 3 deals of 2026-02-01.\n"
        "store holds 1 day, 2026-02-01. Next: salescoach load store --currency CNY --book my-book\n"
    )
    deals.write_text(TUESDAY, encoding="utf-8")
    done = salescoach("snapshot", deals, "--store", "store", "--as-of", "2026-02-03")
    assert "store holds 2 days, 2026-02-01 to 2026-02-03." in done.out
    done = salescoach("load", "store", "--currency", "CNY", "--book", "b")
    assert done.code == 0, done.err
    history = open_book("b").table("stage_history")
    assert history.loc[history["deal_id"] == "D2", "stage"].tolist()[-1] == "lost"
    assert {n["check"]: n["examples"] for n in open_book("b").quality["notes"]}["vanished-deal"] == ["D3"]


def test_the_day_is_today_where_the_company_is(salescoach, deals):
    days = [str(pd.Timestamp.now(tz="Asia/Shanghai").date())]
    found = json.loads(salescoach("snapshot", deals, "--store", "store", "--json").out)
    days.append(str(pd.Timestamp.now(tz="Asia/Shanghai").date()))
    assert found["days"][0] in days and found["deals"] == 3 and found["new"] is True


def test_one_snapshot_a_day(salescoach, deals):
    words = ("snapshot", deals, "--store", "store", "--as-of", "2026-02-03")
    assert salescoach(*words).code == 0
    assert salescoach(*words).out.startswith("Already there, with the same deals: store/deals-2026-02-03.parquet")
    deals.write_text(TUESDAY, encoding="utf-8")
    done = salescoach(*words)
    assert done.code == 74 and "holds other deals: there is one snapshot a day" in done.err


def test_a_snapshot_over_the_tolerance_is_refused(salescoach, deals, tmp_path):
    deals.write_text(MONDAY + "D9,Bo,Proposal,2026-02-30,,7\n", encoding="utf-8")
    done = salescoach("snapshot", deals, "--store", "store", "--as-of", "2026-02-03")
    assert done.code == 4
    assert "Nothing was written. `salescoach check` says why." in done.err
    assert not (tmp_path / "store").exists()
