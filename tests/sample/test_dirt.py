"""The dirt in the demo book is of the kinds and counts on record, and of no other."""

import csv
import io
import json
from collections import Counter

import pandas as pd
import pytest

from salescoach.errors import UsageError
from salescoach.sample import Sample, plant_dirt, simulate, write_demo
from salescoach.sample.__main__ import main
from salescoach.sample.rates import NO_DIRT
from salescoach.sample.text import text_table, to_text

REASONS = {
    "duplicate",
    "superseded",
    "conflicting-id",
    "unknown-stage",
    "bad-date",
    "bad-number",
    "field-count",
    "control-char",
    "missing-id",
    "missing-stage",
    "summary-row",
    "repeated-header",
    "closed-before-created",
    "future-stamp",
    "unknown-deal",
}


@pytest.fixture(scope="module")
def sample() -> Sample:
    return simulate()


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    target = tmp_path_factory.mktemp("demo")
    write_demo(target, sample)
    return target


@pytest.fixture(scope="module")
def record(folder):
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))["dirt"]


def lines(folder, table: str) -> list[list[str]]:
    """All lines of a CSV, as wide as they come."""
    text = (folder / f"{table}.csv").read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture(scope="module")
def deals(folder, record) -> pd.DataFrame:
    """The deal rows that are not meant for quarantine, as text."""
    header, *rows = lines(folder, "deals")
    broken = {name for kind in record["kinds"] if kind["reason"] for name in kind["ids"]}
    frame = pd.DataFrame([row for row in rows if len(row) == len(header) and row != header], columns=header)
    # Repeated and superseded rows share their id with a sound one: the first of them stays.
    extra = frame["deal_id"].isin([name for name in broken if name.startswith("D9")]) | (frame["deal_id"] == "")
    return frame[~extra].drop_duplicates("deal_id").set_index("deal_id")


def count(record, kind: str, table: str = "deals") -> int:
    return sum(item["count"] for item in record["kinds"] if (item["kind"], item["table"]) == (kind, table))


def test_every_kind_says_what_to_expect(record):
    assert len({kind["kind"] for kind in record["kinds"]}) >= 20
    for kind in record["kinds"]:
        assert kind["count"] > 0
        assert kind["expect"] in {"accepted", "noted", "quarantined"}
        assert (kind["reason"] in REASONS) == (kind["expect"] == "quarantined")
    assert {kind["reason"] for kind in record["kinds"]} - {None} == REASONS


def test_few_deals_are_quarantined(sample, record):
    # 15 rows of 4,000 deals are .375 %.
    assert record["quarantined_rows"]["deals"] == 15
    assert record["quarantined_rows"]["deals"] / len(sample.tables["deals"]) < 0.004


def test_rows_add_up(sample, folder, record):
    for name, table in sample.tables.items():
        written = len(lines(folder, name)) - 1
        assert written == record["rows_written"][name]
        assert written == len(table) + record["quarantined_rows"].get(name, 0)


def test_without_the_broken_rows_every_deal_is_there_once(sample, deals):
    assert set(deals.index) == set(sample.tables["deals"]["deal_id"])
    assert len(deals) == len(sample.tables["deals"])


def test_broken_deals_have_no_children(sample, record):
    broken = {name for kind in record["kinds"] if kind["reason"] for name in kind["ids"] if name.startswith("D9")}
    for name in ("stage_history", "changes", "activities", "leads"):
        assert not broken & set(sample.tables[name]["deal_id"].dropna())


def test_broken_lines_of_deals(folder, record):
    header, *rows = lines(folder, "deals")
    place = {column: number for number, column in enumerate(header)}
    assert sum(len(row) == len(header) + 1 for row in rows) == count(record, "one-field-too-many") == 1
    assert rows.count(header) == count(record, "header-in-the-middle") == 1
    assert [row[place["name"]] for row in rows if row[0] == "" and row[place["stage"]] == ""] == ["Total"]
    assert rows[-1][place["name"]] == "Total"
    assert sum(row[0] == "" and row[place["stage"]] != "" for row in rows) == count(record, "no-deal-id") == 1
    assert sum(row[0] != "" and row[place["stage"]] == "" for row in rows) == count(record, "no-stage") == 1
    assert sum("\0" in "".join(row) for row in rows) == count(record, "nul-in-a-name") == 1
    assert sum(row[place["stage"]] == "Security review" for row in rows) == 1
    assert sum(row[place["created_at"]].startswith("2025-02-30") for row in rows) == 1
    assert sum(row[place["amount"]] == "12,5,0" for row in rows) == 1
    assert sum(row[place["closed_at"]] > "2026-10" for row in rows if row != header) == 1
    assert sum("" < row[place["closed_at"]] < row[place["created_at"]] < "2027" for row in rows) == 1
    ids = Counter(row[0] for row in rows if row[0] and row != header)
    assert sorted(number for number in ids.values() if number > 1) == [2, 2, 2]
    assert max(Counter(map(tuple, rows)).values()) == 2


def test_the_older_version_is_older(folder, record):
    (kind,) = [kind for kind in record["kinds"] if kind["reason"] == "superseded"]
    header, *rows = lines(folder, "deals")
    versions = [row[header.index("updated_at")] for row in rows if row[0] == kind["ids"][0]]
    # The sound row stands first, the older one at the end of the file.
    assert len(versions) == 2
    assert versions[0] > versions[1]


def test_conflicting_rows_were_updated_together(folder):
    header, *rows = lines(folder, "deals")
    first, second = [row for row in rows if row[0] == "D90001"]
    assert [column for column, a, b in zip(header, first, second, strict=True) if a != b] == ["amount"]


@pytest.mark.parametrize(("table", "column"), [("stage_history", "entered_at"), ("activities", "at")])
def test_repeats_and_dates_of_child_tables(folder, record, table, column):
    header, *rows = lines(folder, table)
    repeats = sum(number - 1 for number in Counter(map(tuple, rows)).values())
    assert repeats == count(record, "repeated-row", table)
    stamps = [row[header.index(column)] for row in rows]
    impossible = [stamp for stamp in stamps if stamp.startswith(("2026-02-30", "0000-00-00"))]
    assert len(impossible) == count(record, "impossible-date", table) == 2


def test_leads_repeat_or_contradict_themselves(folder, record):
    rows = lines(folder, "leads")[1:]
    repeats = sum(number - 1 for number in Counter(map(tuple, rows)).values())
    assert repeats == count(record, "repeated-row", "leads") == 4
    by_id = Counter(row[0] for row in {tuple(row) for row in rows})
    assert sum(number for number in by_id.values() if number > 1) == count(record, "same-id-other-content", "leads")


def test_unmatched_keys(sample, folder, deals, record):
    known = set(sample.tables["deals"]["deal_id"])
    header, *rows = lines(folder, "stage_history")
    assert sum(row[0] not in known for row in rows) == count(record, "history-of-unknown-deal", "stage_history")
    header, *rows = lines(folder, "activities")
    unmatched = sum(row[header.index("deal_id")] not in known for row in rows)
    assert unmatched == count(record, "unmatched-activity", "activities") == 5
    products = set(sample.tables["products"]["product"])
    assert (~deals["product"].isin(products)).sum() == count(record, "unmatched-product") == 30
    accounts = set(sample.tables["accounts"]["account_id"])
    assert (~deals["account_id"].isin(accounts)).sum() == count(record, "unmatched-account") == 12
    assert (deals["rep_id"] == "").sum() == count(record, "deal-without-rep") == 8


def test_what_people_leave_out(sample, deals, record):
    clean = sample.tables["deals"].set_index("deal_id").loc[deals.index]
    lost, is_open = clean["stage"] == "lost", clean["closed_at"].isna()
    missing = (lost & (deals["lost_reason"] == "")).sum()
    assert missing == count(record, "missing-lost-reason")
    assert missing / lost.sum() == pytest.approx(0.25, abs=0.001)
    assert (deals["amount"] == "").sum() == count(record, "blank-amount-open") == round(0.06 * is_open.sum())
    assert (deals["amount"] == "0").sum() == count(record, "zero-amount-lost") == round(0.04 * lost.sum())
    assert deals["amount"].str.startswith("¥").sum() == count(record, "amount-with-sign") == 25


def test_amounts_are_only_spelled_otherwise(sample, deals):
    clean = sample.tables["deals"].set_index("deal_id").loc[deals.index, "amount"]
    read = deals["amount"].str.replace(r"[¥,]|\.00$", "", regex=True)
    kept = ~read.isin(["", "0"])
    assert (read[kept].astype(int) == clean[kept]).all()


def test_expected_closes(sample, deals, record):
    spelled = deals["expected_close_on"]
    assert spelled.str.fullmatch(r"\d{4}/\d\d/\d\d 10:00").sum() == count(record, "date-with-slashes")
    assert spelled.str.fullmatch(r"\d{4}年\d{1,2}月\d{1,2}日").sum() == count(record, "date-in-chinese")
    parts = spelled.str.extract(r"(\d{4})\D(\d{1,2})\D(\d{1,2})").astype(int)
    day = pd.to_datetime(parts.set_axis(["year", "month", "day"], axis=1))
    overdue = (deals["closed_at"] == "") & (day < "2026-09-30")
    assert overdue.sum() == count(record, "stale-expected-close")


def test_closes_at_month_end_are_later_than_the_history(sample, deals, record):
    clean = sample.tables["deals"].set_index("deal_id").loc[deals.index, "closed_at"]
    text = clean.dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m-%d %H:%M:%S").fillna("")
    moved = deals["closed_at"] != text
    assert moved.sum() == count(record, "close-at-month-end")
    assert moved.sum() / (text != "").sum() == pytest.approx(0.05, abs=0.001)
    assert (deals["closed_at"][moved] > text[moved]).all()
    assert pd.to_datetime(deals["closed_at"][moved]).dt.is_month_end.all()


@pytest.mark.parametrize("table", ["deals", "stage_history"])
def test_stage_spellings(folder, record, table):
    header, *rows = lines(folder, table)
    rows = {tuple(row) for row in rows if not row[0].startswith("D9") and row != header}
    names = Counter(row[header.index("stage")] for row in rows)
    dirty = [kind for kind in record["kinds"] if kind["table"] == table and "stage" in kind["kind"]]
    for kind in dirty:
        if kind["expect"] == "accepted":
            assert names[kind["ids"][0]] >= kind["count"]
    usual = {"Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost", "无效", ""}
    assert set(names) - usual == {kind["ids"][0] for kind in dirty if kind["expect"] == "accepted"}
    if table == "stage_history":
        entered = [row[header.index("entered_at")] for row in rows if row[header.index("stage")] == "Demo"]
        assert max(entered) < "2025-04-01"
        assert count(record, "retired-stage-name", table) > 100


def test_friday_moves(sample, folder, record):
    clean = text_table(to_text(sample.tables["stage_history"])).rows
    stamps = {(row[0], row[1]) for row in clean}
    header, *rows = lines(folder, "stage_history")
    moved = {tuple(row[:2]) for row in rows if not row[0].startswith("D98") and "-02-30" not in row[1]} - stamps
    (kind,) = [kind for kind in record["kinds"] if kind["kind"] == "friday-evening-moves"]
    assert len(moved) == kind["count"] > 100
    assert len(kind["ids"]) == 3
    when = pd.to_datetime(pd.Series([at for _, at in moved]))
    assert (when.dt.day_of_week == 4).all()
    assert when.dt.hour.isin([17, 18]).all()
    # The order of each deal's moves is kept.
    frame = pd.DataFrame(rows, columns=header).drop_duplicates()
    frame = frame[~frame["entered_at"].str.contains("-02-30")]
    assert frame.groupby("deal_id")["entered_at"].apply(lambda stamps: stamps.is_monotonic_increasing).all()


def test_files(folder):
    for file in folder.iterdir():
        content = file.read_bytes()
        assert len(content) < 1_900_000
        assert b"\r" not in content
        assert content.startswith(b"\xef\xbb\xbf") == (file.name == "deals.csv")
        content.decode("utf-8")


def test_dictionary_has_every_column(folder):
    described = {tuple(row[:2]) for row in lines(folder, "dictionary")[1:]}
    tables = [file.stem for file in folder.glob("*.csv") if file.stem != "dictionary"]
    assert described == {(name, column) for name in tables for column in lines(folder, name)[0]}
    assert all(all(row) for row in lines(folder, "dictionary"))


def test_same_bytes_again(sample, folder, tmp_path):
    write_demo(tmp_path, sample)
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_another_seed_other_dirt(sample):
    first, second = (plant_dirt(sample, seed)[0]["deals"].rows for seed in (7, 8))
    assert first != second


def test_no_dirt(sample):
    before = {name: table.copy() for name, table in sample.tables.items()}
    tables, record = plant_dirt(sample, rates=NO_DIRT)
    assert {kind["kind"] for kind in record["kinds"]} == {"stale-expected-close"}
    for name, table in sample.tables.items():
        pd.testing.assert_frame_equal(table, before[name])
        assert tables[name] == text_table(to_text(table))


def test_too_small_for_broken_rows():
    with pytest.raises(UsageError, match="Simulate 300 deals"):
        plant_dirt(simulate(20, n_reps=6, n_teams=2))


def test_command(tmp_path, capsys, folder):
    assert main([str(tmp_path / "demo")]) == 0
    assert "deals 4,015" in capsys.readouterr().out
    assert (tmp_path / "demo" / "deals.csv").read_bytes() == (folder / "deals.csv").read_bytes()
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
