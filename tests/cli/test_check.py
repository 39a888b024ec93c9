"""`salescoach check`: one screen that says what was detected and why, what is usable, and what to type next."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

REPORT = (
    "Opportunity ID,Opportunity Name,Opportunity Owner,Stage,Created Date,Close Date,Amount,Custom Flag\n"
    "006A,Deal A,Ann,Prospecting,2025-03-14,2025-06-15,1000,x\n"
    "006B,Deal B,Bo,Closed Won,2025-03-15,2025-05-01,2000,y\n"
    "006C,Deal C,Bo,Closed Lost,2025-02-30,2025-05-02,3000,\n"
    "006D,Deal D,Bo,Closed Lost,2025-02-31,2025-05-02,3000,\n"
)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "report.csv"
    lines = [f"006{n},Deal {n},Ann,Prospecting,2025-04-{n % 28 + 1:02d},2025-07-01,10,z\n" for n in range(100, 250)]
    file.write_text(REPORT + "".join(lines), encoding="utf-8")
    return file


def test_the_screen_says_what_was_detected_and_why(salescoach, report):
    lines = salescoach("check", report).out.splitlines()
    assert lines[0] == "Salesforce report (salesforce_report), detected from the headers; as of 2025-05-01."
    assert lines[1] == "  because report.csv has Opportunity Name, Stage, Opportunity Owner"
    assert lines[2].startswith("  About this layout: Without an Opportunity History report beside it, only")
    assert "  Stage history: none; only where each deal stands now, and its dates." in lines


def test_the_screen_says_what_is_mapped_kept_and_missing(salescoach, report):
    out = " ".join(salescoach("check", report).out.split())
    assert "deal_id <- Opportunity ID, stage <- Stage, rep_id <- Opportunity Owner" in out
    assert "own names kept: Custom Flag" in out
    assert "not there: account_id (Account Name, 客户名), for new_customers" in out
    assert "not there: lead_source (Lead Source, 潜在客户来源), for splits by lead_source" in out
    assert "Not there: stage_history (funnel, stage conversion and time, bottleneck)" in out
    assert "targets (quota attainment)" in out


def test_each_reason_stands_once_with_its_count_and_first_row(salescoach, report):
    out = salescoach("check", report).out
    assert "2 rows set aside:\n      2 bad-date: report.csv, line 4: Created Date = '2025-02-30': not a date" in out
    assert out.count("bad-date") == 1


def test_what_is_valid_and_odd_is_said_in_a_sentence(salescoach, report):
    # on 2025-05-01 the close dates of the open deals, 1 July, are still to come: as of 2025-08-01 they have passed
    out = salescoach("check", report, "--as-of", "2025-08-01").out
    assert "Used as it is, and worth a look:\n" in out
    assert (
        "    151 Open deals whose expected close has passed [deals.expected_close_on] (006100, 006101, 006102)" in out
    )


def test_defaults_that_nobody_declared_are_named(salescoach, report):
    out = " ".join(salescoach("check", report).out.split())
    assert "Currency CNY (the default, declared nowhere: --currency, or `currency` in the source file)." in out
    assert "Time zone Asia/Shanghai (of the standard process; declared nowhere)." in out
    out = " ".join(salescoach("check", report, "--currency", "EUR", "--process", "standard").out.split())
    assert "Currency EUR (given with --currency). Time zone Asia/Shanghai (of the process standard)." in out


def test_unavailable_metrics_are_grouped_by_their_reason(salescoach, report):
    out = " ".join(salescoach("check", report).out.split())
    there = set(re.search(r"Available: ([a-z_, ]+) Unavailable", out)[1].split(", "))
    assert {"sales_cycle", "pipeline", "win_rate", "sales", "win_curve"} <= there
    assert "Unavailable: lead_conversion, response_time, because the book has no table `leads`" in out
    assert "Unavailable: new_customers, customer_value, because `account_id` is missing or empty in `deals`" in out


@pytest.mark.parametrize(
    "more",
    [[], ["--currency", "EUR", "--as-of", "2025-08-01"], ["--source", "salesforce_report", "--process", "standard"]],
)
def test_the_last_line_is_the_next_command_with_the_same_options(salescoach, report, more):
    done = salescoach("check", report, *more)
    assert done.code == 0, done.err
    last = done.out.splitlines()[-1]
    assert last.startswith(f"Next: salescoach load {report} ") and last.endswith(" --book my-book")
    words = shlex.split(last.removeprefix("Next: salescoach "))
    assert set(more) <= set(words)
    assert salescoach(*words).code == 0


def test_the_screen_is_short(salescoach, report, trial):
    assert len(salescoach("check", report).out.splitlines()) < 55
    assert len(salescoach("check", trial("maven")).out.splitlines()) < 55


def test_json_keeps_all_of_it(salescoach, report):
    found = json.loads(salescoach("check", report, "--json").out)
    assert found["preset"]["label"]["en"] == "Salesforce report"
    assert found["because"] == {"report.csv": ["Opportunity Name", "Stage", "Opportunity Owner"]}
    assert (found["currency"]["code"], found["currency"]["declared"]) == ("CNY", "default")
    assert found["timezone"] == {"zone": "Asia/Shanghai", "declared": "default", "process": "standard", "stamps": {}}
    assert found["absent"]["deals"]["account_id"] == {
        "headers": ["Account Name", "客户名"],
        "unlocks": "new_customers, customer_value",
    }
    assert found["history"] == "current", "the second report, of stage changes, is not there"
    assert found["origin"]["own_columns"] == {"deals": ["Custom Flag"]}
    assert len(found["quarantine"]) == 2
    assert found["metrics"]["win_rate"] == {"available": True, "because": None}
    assert found["next"].startswith("salescoach load ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Oppty;Phase\n1;Talk\n2;Won\n", "fit no preset"),
        ("deal_id,stage,created_at\nD1,Talk,2025-01-01\n", "in stages that the process does not know"),
        ("deal_id,stage,created_at\nD1,Won,03/04/2025\n", "ambiguous-date"),
    ],
)
@pytest.mark.parametrize("command", [("check",), ("load", "--book", "b"), ("snapshot", "--store", "s")])
def test_refused_input_names_the_way_out(salescoach, tmp_path, content, message, command):
    (tmp_path / "my export.csv").write_text(content, encoding="utf-8")
    done = salescoach(*command, "my export.csv")
    assert done.code == 5
    assert message in done.err
    last = done.err.splitlines()[-1]
    assert last == ("Next, for a source and a process file to edit: salescoach init --from-data 'my export.csv'")
    assert salescoach(*shlex.split(last.partition("salescoach ")[2])).code == 0


def test_where_somebody_wrote_a_source_file_that_is_to_be_corrected(salescoach, tmp_path):
    (tmp_path / "deals.csv").write_text("id,stage\n1,Talk\n", encoding="utf-8")
    (tmp_path / "my.toml").write_text('[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "stage"\n', encoding="utf-8")
    done = salescoach("check", "deals.csv", "--source", "my.toml", "--as-of", "2025-01-01")
    assert done.code == 5 and "init --from-data" not in done.err
    done = salescoach("check", "nowhere.csv")
    assert done.code == 5 and "init --from-data" not in done.err


def test_patterns_and_urls_are_passed_on_as_text(salescoach, report):
    done = salescoach("check", "rep*.csv")
    assert done.code == 0 and "154 rows" not in done.out and "152 rows used, 2 set aside" in done.out
    done = salescoach("check", f"file://{report}")
    assert done.code == 0, done.err
    done = salescoach("check", "https://nobody:secret@example.invalid/deals.csv")
    assert done.code == 2 and "secret" not in done.err


def test_what_a_terminal_would_obey_is_shown_as_text(salescoach, tmp_path):
    (tmp_path / "deals.csv").write_text("deal_id,stage,created_at,\x1b[31mred\nD1,Won,2025-01-01,x\n", encoding="utf-8")
    done = salescoach("check", "deals.csv")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out and "\\u001b[31mred" in done.out


def test_help_lists_the_presets(salescoach):
    out = " ".join(salescoach("check", "--help").out.split())
    assert "Example: salescoach check exports/ --source maven" in out
    assert "Presets: bitrix24, dynamics," in out
