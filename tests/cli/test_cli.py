"""The command as people type it: output, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

DEALS = """deal_id,rep_id,stage,created_at,closed_at,amount
D1,Ann,Closed Won,2026-01-05,2026-02-01,100
D2,Ann,Closed Lost,2026-01-06,2026-02-02,50
D3,Bo,Proposal,2026-01-07,,70
"""


def run(*arguments, cwd=None):
    command = [sys.executable, "-c", "from salescoach.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def deals(tmp_path):
    file = tmp_path / "deals.csv"
    file.write_text(DEALS, encoding="utf-8")
    return file


@pytest.fixture
def book(deals, tmp_path):
    done = run("load", deals, "--book", tmp_path / "book")
    assert done.returncode == 0, done.stderr
    return tmp_path / "book"


def test_load_says_what_it_did_and_what_is_next(deals, tmp_path):
    done = run("load", deals, "--book", tmp_path / "book")
    assert "3 deals" in done.stdout
    assert f"salescoach metrics --book {tmp_path / 'book'}" in done.stdout


def test_metrics_json_has_the_promised_shape(book):
    done = run("metrics", "win_rate", "stage_flow", "--book", book, "--by", "rep", "--json")
    found = json.loads(done.stdout)
    assert (found["as_of"], found["currency"]) == ("2026-02-02", "CNY")
    ann, bo = found["metrics"]["win_rate"]["rows"]
    assert (ann["rep_id"], ann["n"], ann["won"], ann["value"]) == ("Ann", 2, 1, 0.5)
    assert (bo["n"], bo["value"], bo["low"]) == (0, None, None), "what cannot be known is null, never 0"
    flow = found["metrics"]["stage_flow"]
    assert (
        not flow["available"]
        and "stage from which a deal was lost is unknown" in flow["because"]
        and flow["rows"] == []
    )


def test_metrics_without_a_name_lists_definitions_and_availability(book):
    done = run("metrics", "--book", book)
    assert "win_rate: Won deals / (won + lost) deals" in done.stdout
    assert "unavailable, because the book has no table `leads`" in done.stdout


def test_rows_lists_as_many_records_as_the_number_counts(book):
    done = run("metrics", "win_rate", "--book", book, "--rep", "Ann", "--rows", "--json")
    assert {r["deal_id"] for r in json.loads(done.stdout)} == {"D1", "D2"}


def test_metrics_to_excel_and_csv(book, tmp_path):
    assert run("metrics", "win_rate", "pipeline", "--book", book, "--xlsx", tmp_path / "m.xlsx").returncode == 0
    assert set(pd.read_excel(tmp_path / "m.xlsx", sheet_name=None)) == {"win_rate", "pipeline"}
    assert run("metrics", "win_rate", "--book", book, "--by", "rep", "--csv", tmp_path / "m.csv").returncode == 0
    assert pd.read_csv(tmp_path / "m.csv")["n"].tolist() == [2, 0]


def test_as_of_goes_back(book):
    done = run("metrics", "win_rate", "--book", book, "--as-of", "2026-02-01", "--by", "", "--json")
    assert json.loads(done.stdout)["metrics"]["win_rate"]["rows"][0]["n"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("metrics", "win_rates", "--book", "BOOK"), 2, "no metric 'win_rates'. Did you mean 'win_rate'"),
        (("metrics", "win_rate", "--book", "BOOK", "--by", "segmnt"), 2, "Cannot split by 'segmnt'"),
        (("metrics", "win_rate", "--book", "BOOK", "--rep", "Anne"), 2, "Did you mean 'Ann'"),
        (("metrics", "--book", "nowhere"), 74, "nowhere is not a book: book.json is missing"),
        (("load", "nowhere.csv", "--book", "B"), 5, "nowhere.csv does not exist"),
        (("batch", "--book", "BOOK", "--out", "o"), 2, "Give --plan P, or --notebook N with --per"),
        (("report", "rep_revue", "--book", "BOOK"), 2, "Did you mean 'rep_review'"),
        (("metric",), 2, "No such command 'metric'"),
        (("report", "rep_review", "--book", "BOOK", "--periode", "2026"), 2, "No such option"),
    ],
)
def test_errors_are_one_message_and_a_code_never_a_traceback(book, tmp_path, arguments, code, message):
    done = run(*[str(book) if a == "BOOK" else a for a in arguments], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_rejected_input_writes_nothing(tmp_path):
    file = tmp_path / "deals.csv"
    file.write_text("deal_id,stage\nD1,Waiting\nD2,Proposal\n", encoding="utf-8")
    done = run("load", file, "--book", tmp_path / "book", "--as-of", "2026-01-01")
    assert done.returncode == 5
    assert "'Waiting' in 1 row" in done.stderr
    assert not (tmp_path / "book").exists()


def test_too_many_quarantined_rows_exit_4_with_the_book_written(tmp_path):
    file = tmp_path / "deals.csv"
    rows = "".join(f"D{i},Proposal,2026-01-{i:02d}\n" for i in range(1, 10)) + "D10,Proposal,2026-02-30\n"
    file.write_text("deal_id,stage,created_at\n" + rows, encoding="utf-8")
    done = run("load", file, "--book", tmp_path / "book")
    assert done.returncode == 4
    assert "1 deals (10.0%) are quarantined" in done.stderr
    assert (tmp_path / "book" / "book.json").exists()
    assert "2026-02-30" in (tmp_path / "book" / "quarantine.csv").read_text(encoding="utf-8")


def test_check_names_place_value_and_reason_and_writes_nothing(tmp_path):
    file = tmp_path / "deals.csv"
    rows = "".join(f"D{i},Proposal,2026-01-01\n" for i in range(100)) + "D100,Proposal,2026-02-30\n"
    file.write_text("deal_id,stage,created_at\n" + rows, encoding="utf-8")
    done = run("check", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "deals.csv, line 102: bad-date: created_at = '2026-02-30'" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["deals.csv"]


@pytest.mark.parametrize("command", ["demo", "check", "load", "metrics", "report", "batch"])
def test_help_shows_an_example(command):
    assert f"Example:\n  salescoach {command}" in run(command, "--help").stdout


def test_report_writes_one_page(tmp_path):
    done = run("report", "funnel", "--book", "demo", "--language", "zh", "--period", "2026", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "funnel.html").read_text(encoding="utf-8").count("<img") == 3
