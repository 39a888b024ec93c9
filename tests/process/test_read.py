"""Reading the process file: every message says the file, the place, the value, why and what to do."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from salescoach.errors import ProcessError
from salescoach.process import parse_process, process_from_dict, process_to_dict, read_process

STANDARD = Path(__file__).parents[2] / "templates" / "process" / "standard.toml"

GOOD = """version = 1
name = { en = "Small" }
[calendar]
timezone = "Asia/Shanghai"
[pipelines.new]
label = { en = "New" }
[[pipelines.new.stages]]
key = "prospect"
label = { en = "Prospect" }
[[pipelines.new.stages]]
key = "qualified"
label = { en = "Qualified" }
[[pipelines.new.stages]]
key = "quote"
label = { en = "Quote" }
names = ["报价", { name = "Scoping", until = 2025-03-31 }]
expect_days = 14
[[pipelines.new.stages]]
key = "won"
outcome = "won"
label = { en = "Won" }
[[pipelines.new.stages]]
key = "lost"
outcome = "lost"
label = { en = "Lost" }
"""
ZONE = 'timezone = "Asia/Shanghai"'


def refused(text: str) -> str:
    with pytest.raises(ProcessError) as caught:
        parse_process(text, "our.toml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


def test_a_good_file_is_read() -> None:
    process = parse_process(GOOD, "our.toml")
    assert process.pipelines["new"].stage("quote").expect_days == 14
    assert process.calendar.workdays == ("mon", "tue", "wed", "thu", "fri")
    assert process.calendar.fiscal_year.start_month == 1


def test_a_misspelt_key_is_named_with_its_place_value_and_neighbour() -> None:
    assert refused(changed("expect_days = 14", "expected_days = 14")) == (
        "our.toml: pipelines.new.stages[2] (quote).expected_days = 14: unknown key."
        " Did you mean 'expect_days'? The keys here are key, label, names, outcome, expect_days,"
        " first_response_hours, touch_every_days, enter, exit, coach."
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ZONE,
            'timezone = "Asia/Shangai"',
            'calendar.timezone = "Asia/Shangai": is not a known time zone.'
            " Did you mean 'Asia/Shanghai'? Write one such as \"Asia/Shanghai\".",
        ),
        (
            ZONE,
            'timezone = "../etc/passwd"',
            'calendar.timezone = "../etc/passwd": is not a known time zone.',
        ),
        (ZONE, "timezone = 8", "calendar.timezone = 8: must be a text in double quotes, such as timezone = "),
        (ZONE, "", 'calendar.timezone is missing; add timezone = "Asia/Shanghai".'),
        (
            ZONE,
            ZONE + '\nworkdays = ["mon", "tues"]',
            'calendar.workdays = ["mon", "tues"]: has the unknown day'
            " 'tues'. Did you mean 'tue'? The days are mon, tue, wed, thu, fri, sat, sun.",
        ),
        (
            ZONE,
            ZONE + "\nworkdays = []",
            "calendar.workdays = []: must name at least one day and each day once",
        ),
        (
            ZONE,
            ZONE + '\nhours = ["18:00", "09:00"]',
            'calendar.hours = ["18:00", "09:00"]: must be when a working day begins and ends',
        ),
        (
            ZONE,
            ZONE + '\nhours = ["9", "18:00"]',
            'calendar.hours = ["9", "18:00"]: must be when a working day begins and ends',
        ),
        (
            ZONE,
            ZONE + '\nhours = ["09:00"]',
            'calendar.hours = ["09:00"]: must be when a working day begins and ends',
        ),
        (
            ZONE,
            ZONE + '\nhours = ["09:00", "25:00"]',
            'calendar.hours = ["09:00", "25:00"]: must be when a working day begins and ends',
        ),
        (
            ZONE,
            ZONE + '\nhours = ["09:00", "12:00", "13:00"]',
            'calendar.hours = ["09:00", "12:00", "13:00"]: must be when a working day begins and ends',
        ),
        (
            ZONE,
            ZONE + '\nworkdays = "mon"',
            'calendar.workdays = "mon": must be a list in square brackets, such as',
        ),
        (
            ZONE,
            ZONE + '\nworkdays = ["mon", 2]',
            "calendar.workdays[1] = 2: must be a text in double quotes.",
        ),
        (
            ZONE,
            ZONE + '\nholidays = "Chinaland"',
            'calendar.holidays = "Chinaland": is neither a code of the'
            ' `holidays` package nor a CSV file. Write a country ("CN"), a country and its part',
        ),
        (ZONE, ZONE + '\nholidays = "CN-XX"', 'calendar.holidays = "CN-XX": is neither a code'),
        (
            ZONE,
            ZONE + "\ndays_off = [2026-01-02]\ndays_on = [2026-01-02]",
            "2026-01-02 is both a day off and a day on; keep one of the two.",
        ),
        (
            ZONE,
            ZONE + "\ndays_off = [2026-01-02T00:00:00]",
            'calendar.days_off[0] = "2026-01-02 00:00:00":'
            " must be a calendar date; write it as 2025-03-31, without quotes and without a time.",
        ),
        (
            ZONE,
            ZONE + "\nfiscal_year = { start_month = 13 }",
            "calendar.fiscal_year.start_month = 13: must be a month from 1 to 12.",
        ),
        (
            ZONE,
            ZONE + "\nfiscal_year = { start_month = 0 }",
            "start_month = 0: must be a month from 1 to 12.",
        ),
        (
            ZONE,
            ZONE + '\nfiscal_year = { start_month = "4" }',
            'calendar.fiscal_year.start_month = "4": must be a whole number without quotes',
        ),
        (
            ZONE,
            ZONE + '\nfiscal_year = { start_month = 4, label = "begin" }',
            'calendar.fiscal_year.label = "begin": must be "start" or "end".',
        ),
        (
            ZONE,
            ZONE + '\nfiscal_year = { pattern = "445", ends = "last sat of jan" }',
            'calendar.fiscal_year.pattern = "445": must be "4-4-5", "4-5-4" or "5-4-4". Did you mean \'4-4-5\'?',
        ),
        (ZONE, ZONE + '\nfiscal_year = { pattern = "4-4-5" }', "needs either start_month = 1 … 12, or both"),
        (ZONE, ZONE + '\nfiscal_year = { label = "end" }', "needs either start_month = 1 … 12, or both"),
        (
            ZONE,
            ZONE + '\nfiscal_year = { start_month = 1, pattern = "4-4-5", ends = "last sat of jan" }',
            "needs either start_month",
        ),
        (
            ZONE,
            ZONE + '\nfiscal_year = { pattern = "4-4-5", ends = "first sat of jan" }',
            'calendar.fiscal_year.ends = "first sat of jan": must read like "last sat of jan" or',
        ),
        ("version = 1", "version = 2", "version = 2: must be 1."),
        ("version = 1\n", "", "version is missing; add version = 1."),
        (
            '{ en = "Small" }',
            '"Small"',
            'name = "Small": must be a table in braces or under a header of its own, such as name = ',
        ),
        ('{ en = "Small" }', "{}", "name = {}: needs a text in at least one language; write { en = "),
        (
            '{ en = "Small" }',
            '{ en = "Small", cn = "小" }',
            'name.cn = "小": unknown key. The keys here are en, zh.',
        ),
        (
            'key = "quote"',
            'key = "Quote 1"',
            'pipelines.new.stages[2] (Quote 1).key = "Quote 1": must begin with a'
            " letter and use only a-z, 0-9, '_' and '-', such as \"quote\".",
        ),
        ('key = "quote"', "", 'pipelines.new.stages[2].key is missing; add key = "quote".'),
        (
            "expect_days = 14",
            "expect_days = 0",
            "pipelines.new.stages[2] (quote).expect_days = 0: must be greater"
            " than 0; remove the key if nothing is expected.",
        ),
        ("expect_days = 14", 'expect_days = "14"', 'expect_days = "14": must be a number without quotes.'),
        ("expect_days = 14", "expect_days = true", "expect_days = true: must be a number without quotes."),
        (
            "expect_days = 14",
            "touch_every_days = inf",
            "touch_every_days = Infinity: must be a finite number.",
        ),
        ("expect_days = 14", "exit = [3]", "pipelines.new.stages[2] (quote).exit[0] = 3: must be a text"),
        (
            'outcome = "lost"',
            'outcome = "losst"',
            'pipelines.new.stages[4] (lost).outcome = "losst": must be "won", "lost" or "void". Did you mean \'lost\'?',
        ),
        (
            '"报价"',
            '" "',
            'pipelines.new.stages[2] (quote).names[0] ( ).name = " ": is empty; write the text',
        ),
        (
            '"报价"',
            "7",
            "pipelines.new.stages[2] (quote).names[0] = 7: must be a text in double quotes, or { name",
        ),
        (
            '"Scoping", until',
            '"Scoping", untill',
            'pipelines.new.stages[2] (quote).names[1] (Scoping).untill = "2025-03-31": unknown key.'
            " Did you mean 'until'? The keys here are name, since, until, retired.",
        ),
        (
            "until = 2025-03-31",
            'until = "March 2025"',
            'names[1] (Scoping).until = "March 2025": must be a'
            " calendar date; write it as 2025-03-31, without quotes and without a time.",
        ),
        ("until = 2025-03-31", "until = 2025", "until = 2025: must be a calendar date"),
        (
            "until = 2025-03-31",
            "until = 2025-03-31, since = 2025-04-01",
            "since 2025-04-01 is after until 2025-03-31; exchange the two dates.",
        ),
        ("until = 2025-03-31", 'retired = "yes"', 'retired = "yes": must be true or false, without quotes'),
        (
            'label = { en = "New" }',
            'label = { en = "New" }\nmatch = { pipelines = ["a"] }',
            "pipelines.new.match.pipelines = [\"a\"]: unknown key. Did you mean 'pipeline'? The keys here",
        ),
        (
            'label = { en = "New" }',
            'label = { en = "New" }\ntitle = 3',
            "pipelines.new.title = 3: unknown key. The keys here are label, match, stages.",
        ),
        (
            "[pipelines.new]",
            "[pipeline.x]\n[pipelines.new]",
            "pipeline = {\"x\": {}}: unknown key. Did you mean 'pipelines'? The keys here are version, name,",
        ),
    ],
)
def test_faults_are_explained(old: str, new: str, message: str) -> None:
    said = refused(changed(old, new))
    assert "our.toml" in said.splitlines()[0]
    assert message in said


def test_pipeline_keys_are_slugs_and_one_is_needed() -> None:
    assert "pipelines.新签: the key must begin with a letter" in refused(
        GOOD.replace("pipelines.new", 'pipelines."新签"')
    )
    assert "a process needs at least one pipeline; add [pipelines.new]" in refused(
        GOOD[: GOOD.index("[pipelines.new]")] + "[pipelines]\n"
    )


def test_several_faults_are_listed_together() -> None:
    text = changed("expect_days = 14", "expected_days = 14").replace("Asia/Shanghai", "Shanghai/Asia")
    lines = refused(text).splitlines()
    assert lines[0] == "our.toml has 2 faults:"
    assert lines[1].startswith("  - calendar.timezone = ")
    assert lines[2].startswith("  - pipelines.new.stages[2] (quote).expected_days = 14: unknown key.")


def test_broken_toml_names_the_line() -> None:
    message = refused(changed('key = "quote"', "key = quote"))
    assert message.startswith("our.toml, line 14, column 7 is not valid TOML: Invalid value.")
    assert "The line reads: key = quote\n" in message
    assert "Texts stand in double quotes" in message


def test_toml_broken_at_its_end_names_the_last_line() -> None:
    message = refused(GOOD + "names = [")
    assert message.startswith(f"our.toml, line {len(GOOD.splitlines()) + 1} is not valid TOML: ")
    assert "names = [" in message


def test_a_table_written_twice_is_refused() -> None:
    assert "is not valid TOML: Cannot declare" in refused(GOOD + '[calendar]\ntimezone = "UTC"\n')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "standard.toml").write_bytes(GOOD.replace("Small", "流程").encode("gbk"))
    with pytest.raises(ProcessError, match=r"standard\.toml: byte 28 is not UTF-8\. Save the file again"):
        read_process(tmp_path / "standard.toml")
    with pytest.raises(ProcessError, match=r"no process file .*standart\.toml\. Did you mean 'standard\.toml'\?"):
        read_process(tmp_path / "standart.toml")
    with pytest.raises(ProcessError, match=r"zzz\.toml\. `salescoach init` writes one"):
        read_process(tmp_path / "nowhere" / "zzz.toml")
    with pytest.raises(ProcessError, match=r"cannot be read: .*Name a process file"):
        read_process(tmp_path)


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_process(file) == parse_process(GOOD, "our.toml")
    assert parse_process("\ufeff" + GOOD, "our.toml") == read_process(file)


# -- the list of holidays beside the file ------------------------------------------------

LISTED = changed(ZONE, ZONE + '\nholidays = "days.csv"\ndays_off = [2026-12-31]')


def with_days(folder: Path, csv: str) -> Path:
    (folder / "days.csv").write_text(csv, "utf-8")
    (folder / "our.toml").write_text(LISTED, "utf-8")
    return folder / "our.toml"


def test_listed_days_become_part_of_the_process(tmp_path: Path) -> None:
    process = read_process(with_days(tmp_path, "\ufeffdate,kind\n2026-02-17,off\n2026-02-28, On \n2026-12-31,off\n"))
    assert process.calendar.days_off == (date(2026, 12, 31), date(2026, 2, 17))
    assert process.calendar.days_on == (date(2026, 2, 28),)
    (tmp_path / "days.csv").unlink()
    assert process_from_dict(process_to_dict(process)) == process


def test_faults_in_the_listed_days_name_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ProcessError) as caught:
        read_process(with_days(tmp_path, "date,kind\n2026-02-17,off\n17.2.2026,off\n2026-02-18,free\n2026-02-19\n"))
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("days.csv has 3 faults:")
    assert lines[1] == '  - line 3 = "17.2.2026,off": write a day and off or on, such as 2026-02-17,off.'
    assert lines[2].startswith('  - line 4 = "2026-02-18,free": ')
    assert lines[3].startswith('  - line 5 = "2026-02-19,": ')


def test_a_list_without_its_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ProcessError, match=r"no column 'date'\. Nearest: 'Dates'\. Its first line must read: date,kind"
    ):
        read_process(with_days(tmp_path, "Dates,kind\n"))
    with pytest.raises(ProcessError, match="no column 'date'"):
        read_process(with_days(tmp_path, ""))


def test_a_missing_list_and_one_elsewhere_are_refused(tmp_path: Path) -> None:
    file = with_days(tmp_path, "date,kind\n")
    (tmp_path / "days.csv").unlink()
    with pytest.raises(ProcessError, match=r'holidays = "days\.csv": there is no such file beside the process file\.'):
        read_process(file)
    with pytest.raises(ProcessError, match="must be a file beside the process file, without a folder"):
        parse_process(LISTED.replace("days.csv", "../days.csv"), file)
    (tmp_path / "days.csv").write_bytes("节日".encode("gbk"))
    with pytest.raises(ProcessError, match=r"days\.csv cannot be read as UTF-8 text"):
        read_process(file)


# -- round trip --------------------------------------------------------------------------


def test_a_process_survives_json() -> None:
    process = read_process(STANDARD)
    stored = json.loads(json.dumps(process_to_dict(process)))
    assert process_from_dict(stored) == process
    dated = parse_process(GOOD, "our.toml")
    stored = json.loads(json.dumps(process_to_dict(dated)))
    assert stored["pipelines"]["new"]["stages"][2]["names"][1]["until"] == "2025-03-31"
    assert process_from_dict(stored).pipelines["new"].resolve("Scoping", date(2025, 4, 1)) is None


def test_a_spoilt_store_is_refused() -> None:
    stored = process_to_dict(parse_process(GOOD, "our.toml"))
    with pytest.raises(ProcessError, match=r"^the stored process: calendar is missing; add \[calendar\]"):
        process_from_dict({key: value for key, value in stored.items() if key != "calendar"})
