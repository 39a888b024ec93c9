"""Wide dates, old and new stages, snapshots, filters, words and months side by side: each read by hand-made files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import ColumnError, SourceError, StageError
from salescoach.sources import load_book

HEAD = (
    '[deals]\n[deals.columns]\ndeal_id = "id"\nstage = "stage"\ncreated_at = "created"\n'
    'closed_at = ["closed", "closed on"]\n'
)


def book_of(folder: Path, source: str, as_of: str | None = "2025-06-30", **files: str) -> Book:
    (folder / "my.toml").write_text(source, encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return load_book([folder / f"{n}.csv" for n in files], source=str(folder / "my.toml"), as_of=as_of)


def told(book: Book, deal: str = "1") -> list[str]:
    rows = book.table("stage_history")
    rows = rows[rows["deal_id"] == deal]
    days = rows["entered_at"].dt.tz_convert("Asia/Shanghai").dt.strftime("%m-%d")
    return [f"{d} {s} {e}" for d, s, e in zip(days, rows["stage"], rows["evidence"], strict=True)]


# --- wide ------------------------------------------------------------------------------------------

WIDE = HEAD.replace(
    "[deals.columns]",
    "entered = ['Date entered \"{stage} ({pipeline})\"', 'Date entered \"{stage}\"']\n[deals.columns]",
)
WIDE_HEADER = 'id,stage,created,closed,"Date entered ""Qualified""","Date entered ""Quote (Default)"""\n'


def test_dates_that_stand_side_by_side_become_a_log(tmp_path: Path) -> None:
    deals = WIDE_HEADER + "1,Won,2025-01-01,2025-03-01,2025-01-10,2025-02-01\n"
    book = book_of(tmp_path, WIDE, deals=deals)
    assert told(book) == ["01-10 qualified inferred", "02-01 quote inferred", "03-01 won inferred"]
    assert book.origin["history"] == "wide"
    assert [c for c in book.deals if "entered" in c] == []


def test_a_deal_without_dates_is_told_by_its_current_stage(tmp_path: Path) -> None:
    deals = WIDE_HEADER + "1,Quote,2025-01-01,,,\n2,Quote,2025-01-01,,,2025-02-01\n"
    assert told(book_of(tmp_path, WIDE, deals=deals)) == ["01-01 quote assumed"]


def test_stage_dates_against_the_order_are_noted(tmp_path: Path) -> None:
    deals = WIDE_HEADER + "1,Qualified,2025-01-01,,2025-03-10,2025-02-01\n"
    notes = book_of(tmp_path, WIDE, deals=deals).quality["notes"]
    assert [n["examples"] for n in notes if n["check"] == "stage-dates-against-order"] == [["1"]]


def test_a_bad_stage_date_quarantines_its_deal(tmp_path: Path) -> None:
    deals = WIDE_HEADER + "1,Quote,2025-01-01,,soon,2025-02-01\n" + "2,Quote,2025-01-01,,2025-01-09,2025-02-01\n"
    row = book_of(tmp_path, WIDE, deals=deals).quarantine.iloc[0]
    assert (row["column"], row["value"], row["reason"]) == ('Date entered "Qualified"', "soon", "bad-date")


def test_dates_in_a_stage_that_nobody_knows_are_refused_with_its_name(tmp_path: Path) -> None:
    deals = 'id,stage,created,closed,"Date entered ""Séance"""\n1,Quote,2025-01-01,,2025-02-01\n'
    with pytest.raises(StageError, match="'Séance' in 1 row"):
        book_of(tmp_path, WIDE, deals=deals)


# --- old and new stage -----------------------------------------------------------------------------

PAIRS = HEAD + (
    '[stage_history]\n[stage_history.where]\nfield = ["stage_id"]\n[stage_history.columns]\n'
    'deal_id = "deal"\nentered_at = "at"\nfrom_stage = "old"\nstage = "new"\n'
)


def with_files(source: str) -> str:
    return source.replace("[deals]\n", '[deals]\nfrom = "deals.csv"\n').replace(
        "[stage_history]\n", '[stage_history]\nfrom = "log.csv"\n'
    )


def test_the_first_stage_left_was_entered_at_creation(tmp_path: Path) -> None:
    log = "deal,at,field,old,new\n1,2025-01-20,stage_id,Qualified,Quote\n1,2025-01-21,value,1,2\n"
    log += "1,2025-02-01,stage_id,Quote,Contract\n"
    book = book_of(tmp_path, with_files(PAIRS), deals="id,stage,created\n1,Contract,2025-01-01\n", log=log)
    assert told(book) == ["01-01 qualified inferred", "01-20 quote observed", "02-01 contract observed"]
    assert book.quality["rows"]["stage_history"] == {"read": 3, "used": 2, "quarantined": 0, "blank": 0, "other": 1}
    assert "from_stage" not in book.table("stage_history")


def test_a_filter_on_a_header_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="has no column 'field', which the source names for stage_history"):
        book_of(
            tmp_path,
            with_files(PAIRS),
            deals="id,stage,created\n1,Quote,2025-01-01\n",
            log="deal,at,old,new\n1,2025-01-20,Qualified,Quote\n",
        )


# --- snapshots -------------------------------------------------------------------------------------

SNAPSHOTS = HEAD.replace(
    'closed_at = ["closed", "closed on"]', 'rep_id = "owner"\namount = "amount"\nsnapshot_at = "day"'
)
DAYS = (
    "id,stage,created,owner,amount,day\n"
    "1,Qualified,2025-01-01,Ann,100,2025-01-05\n2,Quote,2025-01-02,Bob,50,2025-01-05\n"
    "1,Quote,2025-01-01,Ann,100,2025-01-06\n2,Quote,2025-01-02,Bob,50,2025-01-06\n"
    "1,Quote,2025-01-01,Bob,120.5,2025-01-07\n"
)


def test_snapshots_become_one_deal_each_with_history_and_changes(tmp_path: Path) -> None:
    book = book_of(tmp_path, SNAPSHOTS, as_of=None, deals=DAYS)
    assert list(book.deals["deal_id"]) == ["1", "2"]
    assert told(book) == ["01-01 qualified inferred", "01-06 quote observed"]
    changes = book.table("changes")[["deal_id", "field", "old", "new"]].to_numpy().tolist()
    assert changes == [["1", "amount", "100", "120.5"], ["1", "rep_id", "Ann", "Bob"]]
    assert str(book.as_of_on.date()) == "2025-01-07"
    assert book.quality["rows"]["deals"] == {"read": 5, "used": 2, "quarantined": 0, "blank": 0, "other": 3}
    assert book.quality["money_minor"]["in"] == {"CNY": 42050}


def test_a_deal_that_the_latest_snapshot_lacks_is_noted(tmp_path: Path) -> None:
    notes = book_of(tmp_path, SNAPSHOTS, as_of=None, deals=DAYS).quality["notes"]
    assert [n["examples"] for n in notes if n["check"] == "vanished-deal"] == [["2"]]


def test_two_versions_of_one_deal_on_one_day_are_a_conflict(tmp_path: Path) -> None:
    again = DAYS + "2,Quote,2025-01-02,Bob,51,2025-01-06\n"
    assert list(book_of(tmp_path, SNAPSHOTS, as_of=None, deals=again).quarantine["reason"]) == ["conflicting-id"] * 2


def test_two_stages_of_one_deal_on_one_day_follow_the_process(tmp_path: Path) -> None:
    again = DAYS + "2,Contract,2025-01-02,Bob,50,2025-01-06\n"
    book = book_of(tmp_path, SNAPSHOTS, as_of=None, deals=again)
    assert told(book, "2") == ["01-02 quote inferred", "01-06 contract observed"]


# --- words, fixed values, arrays, pipelines, zones -------------------------------------------------


def test_a_deal_decided_by_its_status_goes_to_the_stage_of_its_outcome(tmp_path: Path) -> None:
    source = HEAD + 'outcome = "status"\n[deals.values.outcome]\n"1" = "won"\n"2" = "lost"\n"0" = ""\n'
    deals = "id,stage,created,closed,status\n1,Quote,2025-01-01,2025-02-01,2\n2,Quote,2025-01-01,2025-02-01,1\n"
    book = book_of(tmp_path, source, deals=deals + "3,Quote,2025-01-01,,0\n")
    got = book.deals[["stage", "outcome", "lost_stage", "stage_raw"]].astype(object).where(lambda t: t.notna(), None)
    assert got.to_numpy().tolist() == [
        ["lost", "lost", "quote", "Quote"],
        ["won", "won", None, "Quote"],
        ["quote", "open", None, "Quote"],
    ]
    assert told(book) == ["01-01 prospect assumed", "01-01 quote inferred", "02-01 lost observed"]
    assert book.quality["notes"] == []


def test_stamps_of_another_zone_are_taken_over_and_days_are_not_shifted(tmp_path: Path) -> None:
    source = HEAD + '[deals.format]\ntimezone = "UTC"\n'
    book = book_of(tmp_path, source, deals="id,stage,created,closed\n1,Won,2025-01-01 20:00:00,2025-02-01\n")
    deal = book.deals.iloc[0]
    assert str(deal["created_at"].tz_convert("Asia/Shanghai")) == "2025-01-02 04:00:00+08:00"
    assert str(deal["closed_at"].tz_convert("Asia/Shanghai")) == "2025-02-01 00:00:00+08:00"


def test_a_zone_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"this is no time zone.*'Peking'"):
        book_of(tmp_path, HEAD + '[deals.format]\ntimezone = "Peking"\n', deals="id,stage,created\n1,Won,2025-01-01\n")


def test_an_epoch_counts_from_utc(tmp_path: Path) -> None:
    source = HEAD + '[deals.format.created_at]\ndate = "unix_ms"\n'
    book = book_of(tmp_path, source, deals="id,stage,created\n1,Quote,1735732800000\n")
    assert str(book.deals["created_at"].iloc[0]) == "2025-01-01 12:00:00+00:00"


def test_a_list_of_one_person_is_that_person_and_a_list_of_two_is_quarantined(tmp_path: Path) -> None:
    source = HEAD + 'rep_id = "owner"\n[deals.format.rep_id]\narray = true\n'
    deals = 'id,stage,created,owner\n1,Quote,2025-01-01,"[""Ann""]"\n2,Quote,2025-01-01,"[""Ann"", ""Bob""]"\n'
    book = book_of(tmp_path, source, deals=deals + "3,Quote,2025-01-01,[]\n")
    assert book.deals["rep_id"].fillna("").tolist() == ["Ann", ""]
    assert book.quarantine[["line", "reason"]].to_numpy().tolist() == [[3, "several-values"]]


def test_pipelines_of_the_source_are_mapped(tmp_path: Path) -> None:
    source = '[pipelines]\nSales = "old"\n' + HEAD + 'pipeline = "pipe"\n'
    with pytest.raises(SourceError, match="maps 'Sales' to 'old', which is no pipeline of the process"):
        book_of(tmp_path, source, deals="id,stage,created,pipe\n1,Quote,2025-01-01,Sales\n")


# --- months side by side ---------------------------------------------------------------------------


def test_months_that_stand_side_by_side_become_targets(tmp_path: Path) -> None:
    months = [f"{m}月" for m in range(1, 13)]
    source = with_files(HEAD) + (
        '[targets]\nfrom = "targets.csv"\n[targets.fixed]\nmetric = "won_amount"\n[targets.columns]\nrep_id = "who"\n'
        f'[targets.unpivot]\nyear = "year"\nmonths = {months!r}\n'
    )
    cells = "Ann,2024," + ",".join(["", "200", *[""] * 9, "1200"]) + "\n"
    book = book_of(
        tmp_path,
        source,
        deals="id,stage,created\n1,Quote,2025-01-01\n",
        targets="who,year," + ",".join(months) + "\n" + cells,
    )
    rows = book.table("targets").astype({"start_on": "str", "end_on": "str"})
    assert rows[["rep_id", "metric", "start_on", "end_on", "value"]].to_numpy().tolist() == [
        ["Ann", "won_amount", "2024-02-01", "2024-02-29", 200.0],
        ["Ann", "won_amount", "2024-12-01", "2024-12-31", 1200.0],
    ]


def test_a_table_of_ours_beside_a_foreign_export_is_taken(tmp_path: Path) -> None:
    (tmp_path / "sales_pipeline.csv").write_text(
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "A1,Ann,P,C,Won,2017-01-01,2017-02-01,100\n"
    )
    (tmp_path / "targets.csv").write_text(
        "rep_id,metric,start_on,end_on,value\nAnn,won_amount,2017-01-01,2017-03-31,9\n"
    )
    book = load_book(tmp_path)
    assert (book.origin["source"], len(book.table("targets"))) == ("maven", 1)


def test_snapshots_are_dated_to_the_day(tmp_path: Path) -> None:
    book = book_of(tmp_path, SNAPSHOTS, as_of=None, deals=DAYS)
    assert book.precision["stage_history.entered_at"] == "day"
    assert isinstance(book.as_of, pd.Timestamp)
