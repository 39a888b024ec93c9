"""Source files, presets and detection: what is accepted, and what each refusal says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from salescoach.book import Book
from salescoach.errors import (
    ColumnError,
    ControlTotal,
    FileRejected,
    InputError,
    QuarantineError,
    SourceError,
    StageError,
    UsageError,
)
from salescoach.sources import check_tolerance, detect, find_source, load_book, presets, read_source
from salescoach.sources.detect import nearest_header

LoadBook = Callable[..., Book]
MINIMAL = '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "my.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SourceError) as raised:
        read_source(written(folder, text))
    assert raised.value.exit_code == 5
    return str(raised.value)


# --- source files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[deals\n", ["my.toml is not valid TOML", "double quotes"]),
        ('[reps]\n[reps.columns]\nrep_id = "x"\n', ["my.toml has no [deals] block", "mandatory"]),
        (
            MINIMAL + "[delas]\n",
            ["my.toml: [delas] is neither a table nor a setting", "Did you mean 'deals'?", "Tables: deals"],
        ),
        ("curency = 'EUR'\n" + MINIMAL, ["[curency]", "Did you mean 'currency'?"]),
        ('[deals]\n[deals.columns]\ndeal_id = "id"\n', ["my.toml: [deals.columns]", "`stage`", 'add `stage = "…"`']),
        (MINIMAL + 'closed_a = "x"\n', ["my.toml: [deals.columns] has 'closed_a'", "Did you mean 'closed_at'?"]),
        (
            MINIMAL + '[deals.format]\ndecimals = ","\n',
            ["my.toml: deals.format.decimals", "no key", "Did you mean 'decimal'?"],
        ),
        (MINIMAL + '[deals.format]\ndecimal = ";"\n', ["my.toml: deals.format.decimal", "';'"]),
        (MINIMAL + "[deals.format]\nskip = -1\n", ["deals.format.skip", "(found -1)"]),
        ('currency = "yuan"\n' + MINIMAL, ["my.toml: currency", "'yuan'"]),
        ('history = "guess"\n' + MINIMAL, ["my.toml: history", "'guess'"]),
        ('deals = "deals.csv"\n', ["my.toml: write [deals] and [deals.columns] as blocks"]),
    ],
)
def test_a_wrong_source_file_says_which_key_and_what_to_write(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refusal(tmp_path, text)
    assert [p for p in parts if p not in message] == [], message


def test_a_source_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.toml cannot be read \(No such file or directory\)\. Check --source"):
        read_source(tmp_path / "gone.toml")


def test_a_source_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes("# 来源".encode("gb18030"))
    with pytest.raises(SourceError, match=r"my\.toml is not UTF-8 text .* Save it as UTF-8"):
        read_source(tmp_path / "my.toml")


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"no source 'mavne'\. Did you mean 'maven'\? Presets: .*; or give a \.toml file"
    ):
        find_source("mavne")


def test_every_preset_carries_a_name_in_both_languages() -> None:
    assert {n: sorted(s.preset.label) for n, s in presets().items() if s.preset} == {n: ["en", "zh"] for n in presets()}


def test_the_format_example_of_the_template(load: LoadBook) -> None:
    # 1.234,50 with a decimal comma is 1234.50; in units of 10,000 that is 12,345,000.00 = 1,234,500,000 minor units
    source = (
        MINIMAL + 'amount = ["Amount", "Total Amount"]\ncreated_at = "made"\nrep_id = "owner"\n[deals.format]\n'
        'date = "%d/%m/%Y"\ndecimal = ","\nnull = ["Select", "-"]\n[deals.format.amount]\nunit = 10000\n'
    )
    text = "id;step;Total Amount;made;owner\n1;Won;1.234,50;03/04/2025;Select\n"
    deal = load(text, source=source).deals.iloc[0]
    assert (deal["amount_minor"], str(deal["created_at"])) == (1_234_500_000, "2025-04-02 16:00:00+00:00")


def test_a_null_word_is_nothing(load: LoadBook) -> None:
    source = MINIMAL + 'rep_id = "owner"\n[deals.format]\nnull = ["Select"]\n'
    assert load("id,step,owner\n1,Won,Select\n", source=source).deals["rep_id"].isna().all()


def test_from_is_looked_up_beside_the_source_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for n in (1, 2):
        (tmp_path / "out" / f"part{n}.csv").write_text(f"id,step\nD{n},Won\n")
    source = written(tmp_path, MINIMAL.replace("[deals]\n", '[deals]\nfrom = "out/part*.csv"\n'))
    book = load_book(source=str(source), as_of="2025-06-30")
    assert book.deals["deal_id"].tolist() == ["D1", "D2"]


def test_from_that_fits_no_file_is_named(tmp_path: Path) -> None:
    source = written(tmp_path, MINIMAL.replace("[deals]\n", '[deals]\nfrom = "deals*.csv"\n'))
    with pytest.raises(
        SourceError,
        match=r"my\.toml: no file fits \[deals\] from = 'deals\*\.csv' in .*Correct `from`, or give the file",
    ):
        load_book(source=str(source))


def test_parts_of_one_table_must_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("deal_id,stage\n1,Won\n")
    (tmp_path / "b.csv").write_text("deal_id,stage,colour\n2,Won,red\n")
    with pytest.raises(
        SourceError, match=r"b\.csv and a\.csv both hold deals and differ in columns: colour\. Load exports of one kind"
    ):
        load_book([tmp_path / "a.csv", tmp_path / "b.csv"], as_of="2025-06-30")


# --- detection -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("deal_id,stage", "generic"),
        ("Deal_ID,STAGE,amount", "generic"),
        ("opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value", "maven"),
    ],
)
def test_presets_are_told_by_their_headers(tmp_path: Path, header: str, name: str) -> None:
    file = tmp_path / "export.csv"
    file.write_text(header + "\n")
    preset = detect([file]).source.preset
    assert preset is not None and preset.name == name


def test_headers_that_fit_no_preset_are_listed_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("Deal ID,Phase,Worth\n1,Won,3\n")
    with pytest.raises(SourceError) as raised:
        detect([file])
    parts = [
        "export.csv: its columns (Deal ID, Phase, Worth) fit no preset",
        "Nearest for `deal_id`: 'Deal ID'",
        "--source",
    ]
    assert [p for p in parts if p not in str(raised.value)] == []


def test_two_presets_that_fit_equally_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generic = presets()["generic"]
    assert generic.preset is not None
    twin = generic.model_copy(update={"preset": generic.preset.model_copy(update={"name": "twin"})})
    monkeypatch.setattr(sys.modules[detect.__module__], "presets", lambda: {"generic": generic, "twin": twin})
    file = tmp_path / "export.csv"
    file.write_text("deal_id,stage\n1,Won\n")
    with pytest.raises(
        SourceError, match=r"export\.csv fits several presets\. Say which: --source generic or --source twin"
    ):
        detect([file])


def test_files_that_nothing_claims_are_listed(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("deal_id,stage\n1,Won\n")
    (tmp_path / "colours.csv").write_text("colour\nred\n")
    assert load_book(tmp_path, as_of="2025-06-30").quality["files_ignored"] == ["colours.csv"]


def test_an_old_workbook_in_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deals.xls").write_bytes(b"\xd0\xcf\x11\xe0" * 9)
    with pytest.raises(FileRejected, match=r"deals\.xls is a binary file, not text\. Export it as CSV or \.xlsx"):
        load_book(tmp_path)


def test_a_folder_without_data_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No data files in .*Give CSV, Excel or Parquet files"):
        load_book(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match=r"gone\.csv does not exist\. Check the path"):
        load_book(tmp_path / "gone.csv")


def test_nothing_to_load_says_how_to_say_it() -> None:
    with pytest.raises(UsageError, match=r"Say what to load: files, a folder, or --source FILE\.toml"):
        load_book()


def test_the_header_of_a_long_utf16_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_bytes(("deal_id\tstage\n" + "李娜\tWon\n" * 30_000).encode("utf-16"))
    assert detect([file]).files["deals"] == [file]


# --- stages, tolerance, time -----------------------------------------------------------------------


def many(unknown: int, known: int) -> str:
    deals = [f"U{i},Pilot" for i in range(unknown)] + [f"K{i},Won" for i in range(known)]
    return "deal_id,stage\n" + "\n".join(deals) + "\n"


def test_unknown_stages_above_the_tolerance_refuse_with_counts_and_a_line_to_paste(load: LoadBook) -> None:
    # 2 of 200 deals = 1.0 %, tolerated 0.5 %
    with pytest.raises(StageError) as raised:
        load(many(2, 198))
    parts = [
        "deals.csv, column 'stage': 2 deals (1.0%)",
        "'Pilot' in 2 rows",
        "Ready to paste into the process file: ",
        "Pilot",
    ]
    assert [p for p in parts if p not in str(raised.value)] == []


def test_unknown_stages_below_the_tolerance_are_quarantined(load: LoadBook) -> None:
    # 1 of 200 deals = 0.5 %, as tolerated
    book = load(many(1, 199))
    assert (book.quality["reasons"], len(book.deals)) == ({"unknown-stage": 1}, 199)


def test_a_stage_mapped_in_the_source_is_known(load: LoadBook) -> None:
    source = '[stages]\nPilot = "quote"\n[deals]\n[deals.columns]\ndeal_id = "deal_id"\nstage = "stage"\n'
    assert load(many(1, 0), source=source).deals["stage"].tolist() == ["quote"]


def test_too_many_quarantined_deals_say_share_limit_and_what_to_do(load: LoadBook) -> None:
    # 1 of 5 deals = 20 %, tolerated 2 %
    book = load("deal_id,stage\nA,Won\nB,Won\nC,Won\nD,Won\n,Won\n")
    with pytest.raises(
        QuarantineError, match=r"1 deals \(20\.0%\) are quarantined, more than the tolerated 2\.0%.*quarantine\.csv"
    ) as raised:
        check_tolerance(book)
    assert raised.value.exit_code == 4


def test_as_of_is_the_last_day_of_a_used_row(load: LoadBook) -> None:
    # the later stamp belongs to a row that is set aside
    text = "deal_id,stage,created_at\nA,Won,2025-01-01\nB,Won,2025-02-01\n,Won,2025-03-01\n"
    assert load(text, as_of=None).as_of_on.strftime("%Y-%m-%d") == "2025-02-01"


def test_data_without_a_date_ask_for_as_of(load: LoadBook) -> None:
    with pytest.raises(
        InputError, match=r"No date in the data says when they were exported\. Give it with --as-of 2026-09-30"
    ):
        load("deal_id,stage\nA,Won\n", as_of=None)


def test_an_as_of_that_is_no_date_is_named(load: LoadBook) -> None:
    with pytest.raises(UsageError, match=r"--as-of: 'soon' is no day\. Write it as year-month-day, such as 2026-09-30"):
        load("deal_id,stage\nA,Won\n", as_of="soon")


# --- columns of the source's own -------------------------------------------------------------------


def test_an_unmapped_column_does_not_pass_for_one_of_ours(load: LoadBook) -> None:
    source = '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\n'
    book = load("id,step,outcome,stage\n1,Quote,won,x\n", source=source)
    deal = book.deals.iloc[0]
    assert (deal["outcome"], deal["outcome (source)"], deal["stage (source)"]) == ("open", "won", "x")


def test_a_bad_row_does_not_change_what_kind_of_column_it_is(load: LoadBook) -> None:
    # `floor` is numeric in the rows that are used; the row with "top" is set aside for its date
    book = load("deal_id,stage,created_at,floor\nA,Won,2025-01-01,3\nB,Won,2025-02-30,top\n")
    assert book.deals["floor"].tolist() == [3.0]


def test_a_misspelt_header_in_a_source_file_of_ones_own_is_refused(load: LoadBook) -> None:
    source = '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\namount = "Amout"\n'
    with pytest.raises(ColumnError, match=r"looked for 'Amout'\)\. Nearest: 'Amount'\. Write `amount = \"Amount\"`"):
        load("id,step,Amount\n1,Quote,5\n", source=source)


def test_a_list_of_headers_may_be_absent(load: LoadBook) -> None:
    source = '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\namount = ["Worth", "Value"]\n'
    assert len(load("id,step,Amount\n1,Quote,5\n", source=source).deals) == 1


def test_stages_mapped_to_a_stage_that_is_none_are_named(load: LoadBook) -> None:
    source = '[stages]\nPhase2 = "quotes"\n[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\n'
    with pytest.raises(SourceError, match=r"maps 'Phase2' to 'quotes'.* Did you mean 'quote'\?"):
        load("id,step\n1,Phase2\n", source=source)


def test_a_currency_that_is_none_is_refused(load: LoadBook) -> None:
    with pytest.raises(UsageError, match="'dollars' is no currency"):
        load("deal_id,stage\nA,Won\n", currency="dollars")


def test_amounts_in_ten_thousands_are_read_where_declared(load: LoadBook) -> None:
    source = (
        '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "step"\namount = "v"\n'
        "[deals.format.amount]\nmyriads = true\n"
    )
    book = load("id,step,v\n1,Won,3.5万\n2,Won,1.2亿元\n3,Won,¥7\n", source=source)
    assert list(book.deals["amount"]) == [35000.0, 120000000.0, 7.0]


def test_a_negative_amount_is_noted(load: LoadBook) -> None:
    book = load("deal_id,stage,amount,created_at,closed_at\nA,Won,-5,2025-01-01,2025-02-01\n")
    assert "negative-amount" in [n["check"] for n in book.quality["notes"]]


# --- control totals --------------------------------------------------------------------------------

TOTALS = (
    "[deals]\nexpect_rows = 2\nexpect_sum = { amount = 30.5 }\n"
    '[deals.columns]\ndeal_id = "id"\nstage = "step"\namount = "v"\n'
)


def test_control_totals_that_hold_are_silent(load: LoadBook) -> None:
    assert len(load("id,step,v\n1,Won,10\n2,Won,20.5\n", source=TOTALS).deals) == 2


def test_a_file_cut_at_the_end_of_a_record_breaks_its_control_total(load: LoadBook) -> None:
    with pytest.raises(ControlTotal, match=r"deals\.csv holds 1 record of deals, and expect_rows says 2"):
        load("id,step,v\n1,Won,10\n", source=TOTALS)


def test_a_file_cut_inside_the_last_amount_breaks_its_control_total(load: LoadBook) -> None:
    with pytest.raises(ControlTotal, match=r"the amount of all deals add up to 12\.00, and expect_sum says 30\.5"):
        load("id,step,v\n1,Won,10\n2,Won,2", source=TOTALS)


@pytest.mark.parametrize(
    ("name", "header", "nearest"),
    [
        ("stage_id", ["mql_id", "seller_id", "sr_id"], None),  # they share no word but id
        ("stage_id", ["sr_id", "Stages"], "Stages"),
        ("closed_at", ["Close Date", "won_date"], "Close Date"),
        ("Owner", ["OwnerId"], "OwnerId"),
        ("id", ["Id"], "Id"),
        ("商机阶段", ["商机名称", "阶段"], "阶段"),
    ],
)
def test_a_header_is_near_only_by_a_word_of_its_own(name: str, header: list[str], nearest: str | None) -> None:
    assert nearest_header(name, header) == nearest
