"""The command as people type it: output, JSON, exit codes."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import chdir, closing, redirect_stderr, redirect_stdout
from unittest.mock import patch

import click
import pandas as pd
import pytest
from click.testing import CliRunner

from salescoach.cli import main
from salescoach.cli.main import cli
from salescoach.cli.tables import under_total
from salescoach.errors import UsageError
from salescoach.sources import check_tolerance

DEALS = """deal_id,rep_id,stage,created_at,closed_at,amount
D1,Ann,Closed Won,2026-01-05,2026-02-01,100
D2,Ann,Closed Lost,2026-01-06,2026-02-02,50
D3,Bo,Proposal,2026-01-07,,70
"""


def run(*arguments, cwd=None):
    """The command in this process, with what it wrote and its exit code."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, signal.getsignal(signal.SIGTERM)
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        chdir(cwd or "."),
        patch.object(sys, "argv", ["salescoach", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


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


def test_the_total_comes_first_and_says_so(book):
    # Ann won 1 of 2, Bo none of none
    lines = run("metrics", "win_rate", "--book", book).stdout.splitlines()
    assert [line.split()[:4] for line in lines[2:6]] == [
        ["rep_id", "rep", "n", "won"],
        ["(all)", "(all)", "2", "1"],
        ["Ann", "Ann", "2", "1"],
        ["Bo", "Bo", "0", "0"],
    ]
    alone = run("metrics", "win_rate", "--book", book, "--by", "").stdout.splitlines()
    assert [line.split()[:2] for line in alone[2:]] == [["n", "won"], ["(all)", "2"]]
    assert "Default: the metric's own groups, most often rep." in " ".join(run("metrics", "--help").stdout.split())


def test_groups_that_a_metric_has_anyway_need_no_total():
    table = pd.DataFrame({"stage": ["quote", "contract"], "n": [3, 2]})
    assert under_total(table, table, ("stage",)) is table


RECORDS = ["deal_id", "stage", "rep_id", "rep", "created_at", "closed_at", "amount", "outcome", "currency", "pipeline"]


def test_rows_show_the_columns_and_the_clock_of_the_reader(tmp_path):
    """23:30 UTC is the next morning in Shanghai; what the book keeps for itself is not shown."""
    file = tmp_path / "deals.csv"
    file.write_text(
        "deal_id,rep_id,stage,created_at,closed_at,amount\n"
        "D1,Ann,Closed Won,2026-01-05T08:00:00Z,2026-01-31T23:30:00Z,9\n",
        encoding="utf-8",
    )
    assert run("load", file, "--book", tmp_path / "book").returncode == 0
    rows = ("metrics", "win_rate", "--book", tmp_path / "book", "--rows")
    [record] = json.loads(run(*rows, "--json").stdout)
    assert list(record) == RECORDS
    assert (record["created_at"], record["closed_at"]) == ("2026-01-05 16:00:00", "2026-02-01 07:30:00")
    assert "2026-02-01 07:30:00" in run(*rows).stdout
    assert run(*rows, "--xlsx", tmp_path / "r.xlsx", "--csv", tmp_path / "r.csv").returncode == 0
    written = pd.read_excel(tmp_path / "r.xlsx")
    assert list(written) == RECORDS == list(pd.read_csv(tmp_path / "r.csv"))
    assert written["closed_at"].tolist() == [pd.Timestamp("2026-02-01 07:30:00")]


def test_what_cannot_be_written_to_a_file_is_named(book, tmp_path):
    done = run("metrics", "win_rate", "lead_conversion", "--book", book, "--xlsx", tmp_path / "m.xlsx")
    assert done.returncode == 0
    assert "Left out lead_conversion: unavailable, because the book has no table `leads`" in done.stderr


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
        (("report", "funnel", "--book", "BOOK", "--out", "/dev/null/x"), 74, "Cannot write to /dev/null/x: Not a dir"),
        (
            ("batch", "--book", "BOOK", "--plan", "weekly", "--out", "/dev/null/x"),
            74,
            "Choose another folder with --out",
        ),
        (("metrics", "lead_conversion", "--book", "BOOK", "--rows"), 2, "unavailable, because the book has no table"),
        (("metrics", "win_rate", "--book", "BOOK", "--xlsx", "no/m.xlsx"), 2, "the folder no does not exist"),
        (("metrics", "win_rate", "--book", "BOOK", "--rows", "--csv", "no/m.csv"), 2, "the folder no does not exist"),
        (("metrics", "win_rate", "--book", "BOOK", "--json", "--csv", "m.csv"), 2, "give one or the other"),
        (("metrics", "win_rate", "pipeline", "--book", "BOOK", "--csv", "m.csv"), 2, "A CSV file holds one table"),
    ],
)
def test_errors_are_one_message_and_a_code_never_a_traceback(book, tmp_path, arguments, code, message):
    done = run(*[str(book) if a == "BOOK" else a for a in arguments], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [("metrics", "--book", "nowhere"), ("check", "nowhere.csv"), ("load", "nowhere.csv", "--book", "b")]
)
@pytest.mark.parametrize("day", ["03/04/2026", "2026-02-30", "20260403", "yesterday"])
def test_a_day_is_written_in_one_way_everywhere_and_refused_before_anything_is_read(command, day):
    with pytest.raises(UsageError, match=f"--as-of: '{day}' is no day. Write it as year-month-day, such as 2026-09-30"):
        cli([*command, "--as-of", day], standalone_mode=False)


@pytest.mark.parametrize("currency", ["dollars", "XX", "usd"])
@pytest.mark.parametrize("command", [("check",), ("load", "--book", "b")])
def test_a_currency_is_one_of_iso_4217(deals, command, currency):
    with pytest.raises(UsageError, match=f"'{currency}' is no currency. Write its three-letter code"):
        cli([*command, str(deals), "--currency", currency], standalone_mode=False)


def test_rejected_input_writes_nothing(tmp_path):
    file = tmp_path / "deals.csv"
    file.write_text("deal_id,stage\nD1,Waiting\nD2,Proposal\n", encoding="utf-8")
    done = run("load", file, "--book", tmp_path / "book", "--as-of", "2026-01-01")
    assert done.returncode == 5
    assert "'Waiting' in 1 row" in done.stderr
    assert not (tmp_path / "book").exists()


@pytest.fixture
def faulty(tmp_path):
    """1 of 10 deals cannot be used; 2 % are tolerated."""
    file = tmp_path / "faulty.csv"
    rows = "".join(f"D{i},Proposal,2026-01-{i:02d}\n" for i in range(1, 10)) + "D10,Proposal,2026-02-30\n"
    file.write_text("deal_id,stage,created_at\n" + rows, encoding="utf-8")
    return file


def test_too_many_quarantined_rows_exit_4_with_the_book_written_where_there_was_none(faulty, tmp_path):
    for _ in range(2):  # the second time over its equal
        done = run("load", faulty, "--book", tmp_path / "book")
        assert done.returncode == 4
        assert "1 deals (10.0%) are quarantined" in done.stderr
        assert f"The book was written all the same, and {tmp_path / 'book' / 'quarantine.csv'} lists" in done.stderr
        assert "2026-02-30" in (tmp_path / "book" / "quarantine.csv").read_text(encoding="utf-8")


def test_too_many_quarantined_rows_leave_a_good_book_as_it_is(book, faulty):
    before = {f.name: f.read_bytes() for f in book.iterdir()}
    done = run("load", faulty, "--book", book)
    assert done.returncode == 4
    assert f"Nothing was written: {book} holds an earlier book within the limit, and it stays." in done.stderr
    assert "Correct the export, or write `tolerate" in done.stderr
    assert "Next:" not in done.stdout
    assert {f.name: f.read_bytes() for f in book.iterdir()} == before


def test_check_over_tolerance_claims_no_file(faulty, tmp_path):
    done = run("check", faulty, cwd=tmp_path)
    assert done.returncode == 4
    assert "`salescoach load` into a new folder lists each in quarantine.csv" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["faulty.csv"]


def test_a_team_of_a_book_can_be_judged_too(demo_book):
    check_tolerance(demo_book.for_team("Harbour"))


def test_reports_that_nobody_gets_are_named(book, tmp_path):
    plan = tmp_path / "plan.toml"
    orders = '[[reports]]\nnotebook = "{}"\nper = "{}"\n'
    plan.write_text(orders.format("team_review", "team") + orders.format("start_here", "company"), encoding="utf-8")
    done = run("batch", "--book", book, "--plan", plan, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 reports made.\n  No reports per team: the book names no team." in done.stdout


def test_check_names_place_value_and_reason_and_writes_nothing(tmp_path):
    file = tmp_path / "deals.csv"
    rows = "".join(f"D{i},Proposal,2026-01-01\n" for i in range(100)) + "D100,Proposal,2026-02-30\n"
    file.write_text("deal_id,stage,created_at\n" + rows, encoding="utf-8")
    done = run("check", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 bad-date: deals.csv, line 102: created_at = '2026-02-30'" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["deals.csv"]


@pytest.mark.parametrize("command", ["demo", "check", "load", "metrics", "report", "batch"])
def test_help_shows_an_example(command):
    assert f"Example:\n  salescoach {command}" in run(command, "--help").stdout


def test_report_writes_one_page(tmp_path):
    done = run("report", "funnel", "--book", "demo", "--language", "zh", "--period", "2026", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "funnel.html").read_text(encoding="utf-8").count("<img") == 4


def test_a_cache_is_for_databases(tmp_path):
    (tmp_path / "deals.csv").write_text("deal_id,stage,created_at\nA,Won,2025-01-01\n")
    done = run("load", str(tmp_path / "deals.csv"), "--book", str(tmp_path / "book"), "--cache", str(tmp_path / "c"))
    assert done.returncode == 2
    assert "cache" in done.stderr


def test_a_database_is_loaded_from_its_source_file_and_again_from_the_cache(tmp_path):
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE deals (id TEXT, step TEXT, made TEXT, touched TEXT)")
        database.execute("INSERT INTO deals VALUES ('A', 'Quote', '2025-01-01', '2025-01-05 10:00:00')")
    (tmp_path / "crm.toml").write_text(
        'connection = { url = "sqlite:///crm.db" }\n[deals]\nfrom = "deals"\n[deals.columns]\n'
        'deal_id = "id"\nstage = "step"\ncreated_at = "made"\nupdated_at = "touched"\n'
    )
    options = ["--source", str(tmp_path / "crm.toml"), "--book", str(tmp_path / "book"), "--cache", str(tmp_path / "c")]
    assert run("load", *options).returncode == 0
    again = run("load", *options)
    assert again.returncode == 0
    assert "Nothing changed" in again.stdout


def test_the_command_is_a_process_of_its_own(book):
    command = [sys.executable, "-c", "from salescoach.cli import main; main()", "metrics", "win_rate", "--book", book]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["metrics"]["win_rate"]["available"]
    wrong = subprocess.run([*command, "--by", "segmnt"], capture_output=True, text=True, timeout=300)
    assert wrong.returncode == 2 and "Cannot split by 'segmnt'" in wrong.stderr and "Traceback" not in wrong.stderr


def every_command(group=cli, path=()):
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(path):
    said = CliRunner().invoke(cli, [*path, "--help"])
    assert said.exit_code == 0, said.exception
    assert f"Usage: cli {' '.join(path)}" in said.output
