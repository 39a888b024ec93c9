"""The pieces of a report: what they say, of whom, and when they have nothing to say."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book, save_book
from salescoach.charts import Drawing
from salescoach.errors import StorageError, UsageError
from salescoach.metrics import METRICS
from salescoach.metrics.peers import peer_table
from salescoach.models import rep_rates
from salescoach.reports import Report, open_report
from salescoach.reports.blocks import Block
from salescoach.reports.report import KEY_FIGURES, find_book
from salescoach.sources import load_book
from salescoach.wording import catalogue

MakeBook = Callable[..., Book]
Piece = Block | Drawing
TWO_PIPELINES = """
version = 1
name = { en = "Ours" }
[calendar]
timezone = "Asia/Shanghai"
[pipelines.new]
label = { en = "New business", zh = "新签" }
match = { pipeline = ["new"] }
[[pipelines.new.stages]]
key = "talk"
label = { en = "Talk", zh = "洽谈" }
names = ["Talk"]
[[pipelines.new.stages]]
key = "won"
outcome = "won"
label = { en = "Won", zh = "赢单" }
names = ["Won"]
[[pipelines.new.stages]]
key = "lost"
outcome = "lost"
label = { en = "Lost", zh = "输单" }
names = ["Lost"]
[pipelines.renewal]
label = { en = "Renewal", zh = "续约" }
match = { pipeline = ["renewal"] }
[[pipelines.renewal.stages]]
key = "talk"
label = { en = "Talk", zh = "洽谈" }
names = ["Talk"]
[[pipelines.renewal.stages]]
key = "won"
outcome = "won"
label = { en = "Won", zh = "赢单" }
names = ["Won"]
[[pipelines.renewal.stages]]
key = "lost"
outcome = "lost"
label = { en = "Lost", zh = "输单" }
names = ["Lost"]
"""


def pieces(report: Report, by: str = "") -> Iterator[tuple[str, Piece]]:
    """Every piece a page may be made of."""
    for name in ("heading", "key_figures", "waiting_deals", "peers_note", "input_summary", "set_aside", "remarks"):
        yield name, getattr(report, name)()
    for name in ("unlocks", "availability", "definitions", "provenance"):
        yield name, getattr(report, name)()
    for name in METRICS:
        yield f"table {name}", report.table(name, by=by)
        yield f"chart {name}", report.chart(name, by=by)


def text_of(piece: Piece) -> str:
    """All a reader can read or hear of a piece."""
    return (
        piece.alt
        if isinstance(piece, Drawing)
        else " ".join(html.unescape(re.sub(r"<[^>]+>", " ", piece.html)).split())
    )


def cells(block: Block) -> list[list[str]]:
    """The texts of a table's body."""
    rows = re.findall(r"<tr>(.*?)</tr>", block.html, re.S)
    parts = (re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows)
    return [[" ".join(html.unescape(re.sub(r"<[^>]+>", "", c)).split()) for c in row] for row in parts if row]


def cards(block: Block) -> dict[str, list[str]]:
    """Name of a card -> its value, range and what is said of the others."""
    found = re.findall(r'class="card">(.*?)</div>\s*</div>', block.html + "</div>", re.S)
    texts = [re.findall(r'<div class="\w+">([^<]*)', card) for card in found]
    return {name: rest for name, *rest in texts}


# --- numbers ---------------------------------------------------------------------------------------


def test_key_figures_stand_with_range_and_n(make_book: MakeBook) -> None:
    found = cards(open_report(make_book()).key_figures())
    # decided: D1 won, D3 lost, D4 won, D5 lost
    assert found["Win rate"] == ["50%", "(15%–85%) n = 4"]
    # 1,400 won of 4,000 agreed
    assert found["Quota attainment"][0] == "35%"
    assert found["Open deals"] == ["1", "¥250"]
    # L1 after 30 minutes, L2 after 25 hours: only then fewer than half of them wait
    assert found["Response time"] == ["25 h", "(0.5–25 h) n = 2"]
    for name, (value, spread, *_) in found.items():
        assert value == "–" or name == "Open deals" or "n = " in spread, name


def test_n_stands_beside_every_rate_of_a_table(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    for name in ("win_rate", "lead_conversion", "sales_cycle", "stage_flow", "response_time", "quota_attainment"):
        block = report.table(name, by="" if name == "stage_flow" else "rep")
        assert "(n)</th>" in block.html, name
        values = {row[1] for row in cells(block)} - {"–"}
        assert values and all("(" in v for v in values), name


def test_a_chart_says_all_its_values_in_words(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    table = report.measure("win_rate", by="rep").table
    alt = report.chart("win_rate", by="rep").alt
    assert alt.startswith("How many decided deals are won? ")
    for row in table.itertuples():
        assert f"{row.rep}: {row.value:.0%} (n={row.n})" in alt


def test_every_chart_asks_a_question(demo: Book) -> None:
    report, drawn = open_report(demo, period="2026Q2"), 0
    for name in METRICS:
        piece = report.chart(name)
        if isinstance(piece, Drawing):
            assert re.match(r"^[A-Z][^?]+\? .+: ", piece.alt), name
            drawn += 1
    # all but the next steps, which the demo does not plan
    assert drawn == len(METRICS) - 2


def test_the_pipeline_is_the_whole_stock_whatever_the_period(demo: Book) -> None:
    everything, quarter = open_report(demo), open_report(demo, period="2026Q3")
    whole = everything.measure("pipeline").table["n"].sum()
    assert whole == (demo.deals["outcome"] == "open").sum()
    assert quarter.measure("pipeline").table["n"].sum() == whole
    assert cards(quarter.key_figures())["Open deals"] == cards(everything.key_figures())["Open deals"]
    # asked for, the period counts by expected close
    assert quarter.measure("pipeline", period="2026Q3").table["n"].sum() < whole


def test_the_period_is_said_once_in_either_language(make_book: MakeBook) -> None:
    book = make_book()
    assert "2026Q1 (1 Jan 2026 – 31 Mar 2026)" in text_of(open_report(book, period="2026Q1").heading())
    assert "everything up to 31 Mar 2026" in text_of(open_report(book).heading())
    chinese = text_of(open_report(book, period="last 90 days", language="zh").heading())
    assert "期间：2026年1月1日 – 2026年3月31日" in chinese and "last" not in chinese


def test_definitions_are_those_of_the_metrics(make_book: MakeBook) -> None:
    rows = cells(open_report(make_book()).definitions("win_rate", "funnel"))
    assert [r[0] for r in rows] == ["Win rate", "Funnel"]
    assert rows[0][1] == METRICS["win_rate"].definition


def test_without_names_the_key_figures_are_defined(make_book: MakeBook) -> None:
    assert len(cells(open_report(make_book()).definitions())) == len(KEY_FIGURES)


def test_the_roster_is_in_the_order_of_names(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    rows = cells(report.roster())
    names = [r[0] for r in rows]
    assert names == sorted(names) == sorted(report.book.people["rep"])
    assert {r[5] for r in rows} <= {"above expectation", "below expectation", "no signal", "too few to tell"}


def test_the_roster_compares_nobody_on_a_handful_of_deals(make_book: MakeBook) -> None:
    text = text_of(open_report(make_book(), team="North").roster())
    assert "Win rates like for like: unavailable, because fewer than 3 reps have 10 decided deals of their own." in text
    assert "Signal" not in text


def test_the_roster_says_by_what_it_is_like_for_like(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    text = text_of(report.roster())
    assert "Like for like: held against what each rep's own mix of deals lets expect, by " in text
    fair = rep_rates(report.book, report.period).table
    assert text.count("no signal") == (fair["signal"] == "none").sum() > 0


def test_deals_that_wait_come_with_what_is_typical(demo: Book) -> None:
    report = open_report(demo)
    rows = cells(report.waiting_deals(5))
    assert len(rows) == 5
    for row in rows:
        assert float(row[3].replace(",", "")) > float(row[4].replace(",", ""))
    amounts = [int(re.sub(r"\D", "", r[2])) for r in rows]
    assert amounts == sorted(amounts, reverse=True)


def test_deals_that_wait_name_their_rep_where_asked(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    block, named = report.waiting_deals(), report.waiting_deals(by="rep")
    assert [r[1:] for r in cells(named)] == cells(block)
    assert {r[0] for r in cells(named)} <= set(report.book.people["rep"])
    assert '<th scope="col">Rep</th>' in named.html


def test_what_waits_is_unknown_where_nobody_recorded_the_entry_into_the_stage(make_book: MakeBook) -> None:
    report = open_report(make_book(stage_history=None))
    assert text_of(report.waiting_deals()).startswith("When open deals entered their stage is not in the data")
    assert cells(report.table("pipeline"))[0][4:] == ["–", "–", "–"]
    assert report.chart("pipeline").alt.startswith("Where do open deals stand? Quote: 1")


# --- trust -----------------------------------------------------------------------------------------


def test_rows_read_are_rows_used_and_set_aside(demo: Book) -> None:
    rows = {r[0]: [int(c.replace(",", "")) for c in r[1:]] for r in cells(open_report(demo).input_summary())}
    assert set(rows) == set(demo.tables)
    assert all(read == used + out + blank for read, used, out, blank in rows.values())


def test_rows_set_aside_are_named_with_place_and_cure(demo: Book) -> None:
    rows = cells(open_report(demo).set_aside())
    assert sum(int(r[1]) for r in rows) == len(demo.quarantine)
    assert all(re.match(r"\w+\.csv, line \d+", r[2]) and r[4] for r in rows)
    chinese = cells(open_report(demo, language="zh").set_aside())
    assert all(re.search(r"[\u4e00-\u9fff]", r[4]) for r in chinese)


def test_rows_set_aside_are_counted_apart_from_deals_set_aside(demo: Book) -> None:
    deals = demo.quality["rows"]["deals"]["quarantined"]
    assert 0 < deals < len(demo.quarantine)
    said = f"4,000 deals used; {len(demo.quarantine)} rows set aside, {deals} of them deals"
    assert said in text_of(open_report(demo).heading())


def test_a_blank_for_which_a_row_was_set_aside_is_called_blank(demo: Book, tmp_path: Path) -> None:
    opened = find_book(save_book(demo, tmp_path / "book"))
    for book in (demo, opened):
        values = {r[0]: r[3] for r in cells(open_report(book).set_aside())}
        assert values["missing-id"] == "deal_id is blank" and values["field-count"] == ""
        assert not any("nan" in v for v in values.values())


def test_nothing_noticed_is_said(make_book: MakeBook) -> None:
    book = make_book()
    clean = replace(book, quality={**book.quality, "notes": []})
    assert text_of(open_report(clean).remarks()) == "Nothing else was noticed in the data."


def test_nothing_set_aside_is_said(make_book: MakeBook) -> None:
    report = open_report(make_book())
    assert "No row had to be set aside." in text_of(report.set_aside())
    assert "5 deals used; no row set aside" in text_of(report.heading())


def test_provenance_names_version_and_data(make_book: MakeBook) -> None:
    import salescoach

    report = open_report(make_book())
    said = text_of(report.provenance())
    assert salescoach.__version__ in said and report.book.content_hash[:12] in said and "31 Mar 2026" in said


# --- what is not there -----------------------------------------------------------------------------


def test_a_metric_without_its_table_says_why(make_book: MakeBook) -> None:
    report = open_report(make_book(leads=None, targets=None))
    assert text_of(report.table("lead_conversion")) == (
        "Lead conversion: unavailable, because the book has no table `leads`."
    )
    assert text_of(report.chart("quota_attainment")) == (
        "Quota attainment: unavailable, because the book has no table `targets`."
    )
    assert cards(report.key_figures())["Response time"] == ["–", "unavailable, because the book has no table `leads`"]
    rows = {r[0]: r[1] for r in cells(report.availability())}
    assert rows["Win rate"] == "yes"
    assert rows["Lead conversion"] == "no, because the book has no table `leads`"
    chinese = open_report(report.book, language="zh")
    assert text_of(chinese.table("lead_conversion")) == "线索转化率：无法得出，因为数据簿中没有 `leads` 表。"


def test_a_group_that_the_data_do_not_have_is_no_error(make_book: MakeBook) -> None:
    report = open_report(make_book())
    said = "Win rate: unavailable, because what is counted here has no `product` to split by."
    assert text_of(report.table("win_rate", by="product")) == said == text_of(report.chart("win_rate", by="product"))
    with pytest.raises(UsageError, match="no column of that name"):
        report.table("win_rate", by="colour")


def test_a_period_without_anything_is_no_empty_table(make_book: MakeBook) -> None:
    report = open_report(make_book(), period="2025Q1")
    said = "Win rate: there is nothing to count in the period."
    assert text_of(report.table("win_rate", by="quarter")) == said == text_of(report.chart("win_rate", by="quarter"))


def test_wins_without_a_loss_are_called_into_question(make_book: MakeBook) -> None:
    won = "".join(f"D{i},R1,Won,2026-01-01,2026-02-10,10.00\n" for i in range(10))
    deals = "deal_id,rep_id,stage,created_at,closed_at,amount\n" + won
    book = make_book(deals=deals, stage_history=None, leads=None)
    for who in ({}, {"team": "North"}, {"rep": "R1"}):
        report = open_report(book, **who)
        assert f"No deal of {report.who} in the data is lost." in text_of(report.heading())
    assert "won deals only cannot give a win rate" in cards(open_report(book).key_figures())["Win rate"][1]
    rows = cells(open_report(book).roster())
    assert [len(r) for r in rows] == [2, 2, 2]  # of three people: name and attainment, nothing about win rates


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_book_of_deals_only_has_every_piece(make_book: MakeBook, language: str) -> None:
    book = make_book(leads=None, targets=None, reps=None, stage_history=None)
    for by in ("", "rep"):
        for name, piece in pieces(open_report(book, language=language), by):
            assert text_of(piece), name
    rows = {r[0]: r[1] for r in cells(open_report(book, language=language).unlocks())}
    assert [k for k, v in rows.items() if v in ("yes", "是")] == ["deals"]
    assert text_of(open_report(book, language=language).roster())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_rep_without_any_deal_has_a_page(make_book: MakeBook, language: str) -> None:
    report = open_report(make_book(), rep="R3", language=language)
    assert report.who == "New Face"
    said = text_of(report.heading())
    assert ("There is no deal of New Face" if language == "en" else "数据中没有New Face的商机") in said
    for name, piece in pieces(report):
        assert text_of(piece), name
        assert "nan" not in text_of(piece).lower().split(), name
    assert all(value[0] in ("–", "0") for value in cards(report.key_figures()).values())


def test_a_rep_without_a_decision_in_the_period_is_told(make_book: MakeBook) -> None:
    report = open_report(make_book(), rep="R1", period="2026-01")
    assert "No deal of Ann Reed was won or lost in this period" in text_of(report.heading())
    assert "was won or lost" not in text_of(open_report(report.book, rep="R1").heading())


def test_no_peers_are_shown_among_few(make_book: MakeBook) -> None:
    report = open_report(make_book(), rep="R1")
    told = {c[2] for c in cards(report.key_figures()).values() if len(c) > 2}
    assert told == {"others: hidden, fewer than 5", "others: hidden, fewer than 8"}
    assert "others" not in report.chart("stage_flow").alt


def others_of(book: Book, reps: list[str]) -> list[list[str]]:
    """The cards of R06 that speak of others, in a company of these reps only."""
    tables = dict(book.tables)
    for name in ("deals", "leads", "activities", "reps"):
        tables[name] = tables[name][tables[name]["rep_id"].isin(reps)]
    for name in ("stage_history", "changes"):
        tables[name] = tables[name][tables[name]["deal_id"].isin(tables["deals"]["deal_id"])]
    report = open_report(replace(book, tables=tables), rep="R06")
    return [c for c in cards(report.key_figures()).values() if len(c) > 2]


def test_peers_are_hidden_under_six_reps(demo: Book) -> None:
    six = ["R01", "R02", "R03", "R04", "R05", "R06"]
    assert any(c[2].startswith("others: about ") for c in others_of(demo, six))
    assert {c[2].rstrip("58") for c in others_of(demo, six[1:])} == {"others: hidden, fewer than "}


# --- several currencies and pipelines --------------------------------------------------------------

EURO = """\
deal_id,rep_id,stage,created_at,closed_at,amount,currency,name,account_id
D1,R1,Won,2026-01-01,2026-02-10,1000.00,CNY,Alpha,A1
D2,R1,Won,2026-01-05,2026-02-11,70.00,EUR,Beta,A2
D3,R1,Lost,2026-01-05,2026-02-12,90.00,EUR,Gamma,A3
D4,R2,Quote,2026-01-05,,40.00,EUR,Delta,A4
D5,R2,Quote,2026-01-06,,300.00,CNY,Epsilon,A5
"""


def test_amounts_of_several_currencies_are_never_added(make_book: MakeBook) -> None:
    report = open_report(make_book(deals=EURO, stage_history=None, leads=None))
    found = cards(report.key_figures())
    assert found["Open deals"] == ["2", "¥300 + €40"]
    assert found["Win rate"][0] == "67%" and found["Win rate"][1].endswith("n = 3")  # a rate has no currency
    assert "several currencies" in found["Quota attainment"][1]
    rows = cells(report.table("win_rate", by="team"))
    assert {(r[0], r[1], r[-1]) for r in rows if r[0] == "North"} == {
        ("North", "CNY", "¥1,000"),
        ("North", "EUR", "€70"),
    }


def test_everybody_stands_once_in_a_roster_of_several_currencies(make_book: MakeBook) -> None:
    report = open_report(make_book(deals=EURO, stage_history=None), team="North")
    rows = cells(report.roster())
    assert [r[0] for r in rows] == ["Ann Reed", "Bob Stone"]
    assert rows[0][1].startswith("67% (") and rows[0][2:4] == ["3", "2"]


def test_every_piece_of_several_currencies_is_drawn(make_book: MakeBook) -> None:
    report = open_report(make_book(deals=EURO, stage_history=None))
    for name, piece in pieces(report, by="rep"):
        assert text_of(piece), name
    assert "€40" in str(cells(report.table("pipeline")))


def test_pipelines_are_told_apart_by_their_labels(make_book: MakeBook) -> None:
    deals = (
        "deal_id,rep_id,stage,created_at,closed_at,amount,pipeline\n"
        "D1,R1,Talk,2026-01-01,,100,new\nD2,R1,Talk,2026-01-01,,50,renewal\nD3,R1,Won,2026-01-01,2026-01-09,50,renewal\n"
    )
    history = (
        "deal_id,entered_at,stage\nD1,2026-01-01,Talk\nD2,2026-01-01,Talk\nD3,2026-01-01,Talk\nD3,2026-01-09,Won\n"
    )
    book = make_book(TWO_PIPELINES, deals=deals, stage_history=history)
    report = open_report(book)
    assert [r[:3] for r in cells(report.table("pipeline"))] == [["New business", "Talk", "1"], ["Renewal", "Talk", "1"]]
    assert "Renewal · Talk: 1 (n=1)" in report.chart("pipeline").alt
    assert [r[:2] for r in cells(open_report(book, language="zh").table("pipeline"))] == [
        ["新签", "洽谈"],
        ["续约", "洽谈"],
    ]
    for name, piece in pieces(report):
        assert text_of(piece), name


# --- whose data ------------------------------------------------------------------------------------


def test_a_rep_report_never_names_a_colleague(demo: Book) -> None:
    book = replace(demo, peers={"peers": peer_table(demo)})
    people = book.people
    for rep_id in people.loc[people["team"] == "Harbour", "rep_id"][:2]:
        report = open_report(book, rep=rep_id)
        others = people[people["rep_id"] != rep_id]
        forbidden = {*others["rep_id"], *others["rep"]}
        said = " ".join(text_of(p) for _, p in pieces(report)) + text_of(report.table("win_rate", by="rep"))
        words = set(re.findall(r"\w+", said))
        assert not {n for n in forbidden if n in said and (n in words or " " in n)}, rep_id
        assert str(people.set_index("rep_id")["rep"][rep_id]) in said


def test_the_search_for_colleagues_would_find_one(demo: Book) -> None:
    said = text_of(open_report(demo, team="Harbour").table("win_rate", by="rep"))
    assert "Ana Souza" in said and "Daniel Novak" in said


def test_a_team_report_holds_the_team_only(demo: Book) -> None:
    report = open_report(demo, team="Harbour")
    assert set(report.book.people["team"]) == {"Harbour"}


# --- language --------------------------------------------------------------------------------------


def test_a_chinese_page_has_no_english_sentence(demo: Book) -> None:
    said = " ".join(
        text_of(p)
        for r in (open_report(demo, language="zh"), open_report(demo, rep="R06", language="zh"))
        for _, p in pieces(r)
    )
    said += text_of(open_report(demo, team="Harbour", language="zh").roster())
    plain = " ".join(said.split())
    sentences = [t for t in catalogue("zh") if len(t) > 24 and "{" not in t]
    assert [t for t in sentences if t in plain] == []
    assert len(re.findall(r"[\u4e00-\u9fff]", plain)) > 2000


def test_an_english_page_has_no_chinese_sentence(demo: Book) -> None:
    said = " ".join(text_of(p) for _, p in pieces(open_report(demo, language="en")))
    assert [t for t in catalogue("zh").values() if len(t) > 8 and "{" not in t and t in said] == []


# --- what does not exist ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"rep": "Ann Red"}, "There is no rep 'Ann Red' in this book. Did you mean 'Ann Reed'?"),
        ({"rep": "Zoe"}, "There is no rep 'Zoe' in this book. Reps: Ann Reed, Bob Stone, New Face."),
        ({"team": "Nort"}, "There is no team 'Nort' in this book. Did you mean 'North'? Teams: North, South."),
        ({"period": "2026Q5"}, "'2026Q5' is not a period"),
        ({"language": "de"}, "There is no language 'de'. Languages: en, zh."),
        ({"rep": "R1", "team": "North"}, "Give a rep or a team, not both."),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(make_book: MakeBook, asked: dict[str, Any], answer: str) -> None:
    with pytest.raises(UsageError, match=re.escape(answer)):
        open_report(make_book(), **asked)


def test_a_rep_page_without_a_rep_says_who_may_be_chosen(make_book: MakeBook) -> None:
    said = (
        "No rep is chosen, so the page counts everybody. Set `rep` to an id or a name: Ann Reed, Bob Stone, New Face."
    )
    book = make_book()
    assert said in text_of(open_report(book, rep="").heading())
    assert "No rep is chosen" not in text_of(open_report(book).heading())


def test_a_book_is_found_from_the_notebooks_folder(
    make_book: MakeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = make_book()
    save_book(book, tmp_path / "my-book")
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(folder)
        assert find_book("my-book").content_hash == book.content_hash
    with pytest.raises(StorageError, match=re.escape(f"{tmp_path}/notebooks/your-book is not a book")):
        find_book("your-book")


def test_an_unknown_metric_or_group_names_the_nearest(make_book: MakeBook) -> None:
    report = open_report(make_book())
    with pytest.raises(UsageError, match="Did you mean 'win_rate'"):
        report.table("win_rat")
    with pytest.raises(UsageError, match="Did you mean 'lead_source'"):
        report.chart("win_rate", by="leadsource")


def test_a_report_changes_nothing_in_the_book(make_book: MakeBook) -> None:
    book = make_book()
    before = {name: table.copy() for name, table in book.tables.items()}
    list(pieces(open_report(book, rep="R1")))
    for name, table in book.tables.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_rows_that_are_told_by_later_snapshots_stand_in_a_column_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(
        "deal_id,stage,created_at,snapshot_at\nA,Quote,2025-01-01,2025-01-05\nA,Contract,2025-01-01,2025-01-06\n"
    )
    book = save_book(load_book(tmp_path / "deals.csv"), tmp_path / "book")
    piece = open_report(str(book)).input_summary()
    assert cells(piece) == [["deals", "2", "1", "0", "0", "1"]]
    assert "Elsewhere" in piece.html
