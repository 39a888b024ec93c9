"""The pieces about how we sell: the process, the customers it suits, what was left undone; and options in tables."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import UsageError
from salescoach.metrics import METRICS, measure, metric
from salescoach.metrics.lapses import asked_passages
from salescoach.process import process_from_dict, process_to_dict
from salescoach.reports import open_report
from salescoach.reports.blocks import Block

MakeBook = Callable[..., Book]


def text_of(block: Block) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", block.html)).split())


def cells(block: Block) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", block.html, re.S)
    parts = (re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows)
    return [[" ".join(html.unescape(re.sub(r"<[^>]+>", "", c)).split()) for c in row] for row in parts if row]


# --- the process -----------------------------------------------------------------------------------


def test_the_process_is_shown_as_its_file_has_it(make_book: MakeBook) -> None:
    rows = cells(open_report(make_book()).process())
    assert [r[0] for r in rows] == ["Prospecting", "Qualified", "Quote", "Contract"]
    quote = rows[2]
    assert quote[1:4] == ["14", "4", "–"] and quote[4:6] == ["Amount filled in", "quote done"]
    assert quote[6].startswith("Look for quotes never sent")
    assert rows[0][3] == "4 h" and rows[0][5] == "Customer filled in; need confirmed by the customer"


def test_the_process_is_read_in_chinese(make_book: MakeBook) -> None:
    rows = cells(open_report(make_book(), language="zh").process())
    assert rows[2][0] == "报价" and rows[2][4:6] == ["已填写金额", "已完成报价"]


def test_stages_that_expect_nothing_show_dashes(make_book: MakeBook) -> None:
    book = make_book()
    raw: dict[str, Any] = process_to_dict(book.process)
    for stage in raw["pipelines"]["new"]["stages"]:
        for key in ("expect_days", "first_response_hours", "touch_every_days", "enter", "exit", "coach"):
            stage.pop(key, None)
    rows = cells(open_report(replace(book, process=process_from_dict(raw))).process())
    assert all(row[1:] == ["–"] * 5 + [""] for row in rows)


# --- the customers ---------------------------------------------------------------------------------


def test_kinds_of_customers_stand_with_their_ranges(demo: Book) -> None:
    rows = cells(open_report(demo).ideal_customer())
    assert [r[0] for r in rows if r[0]] == ["Segment", "Region", "Industry", "Product"]
    for row in rows:
        assert "(" in row[2] and row[5] in (
            "above expectation",
            "below expectation",
            "no signal",
            "too few to tell",
        )


def test_customers_nobody_can_tell_apart_are_said_to_be_so(make_book: MakeBook) -> None:
    said = text_of(open_report(make_book()).ideal_customer())
    assert said.startswith("Which customers suit us?: unavailable, because neither deals nor accounts tell")


# --- what was left undone --------------------------------------------------------------------------


def test_lapses_are_few_and_open_deals_come_first(demo: Book) -> None:
    report = open_report(demo, period="last 365 days")
    rows = cells(report.lapses())
    assert len(rows) == 5 and {r[5] for r in rows} == {"open"}
    assert {r[0] for r in rows} <= {"Missed quote", "Forgotten follow-up"}
    assert "Next step overdue: unavailable, because" in text_of(report.lapses())


def test_each_missed_quote_is_listed_once(demo: Book) -> None:
    report = open_report(demo, rep="R06", period="last 365 days")
    rows = cells(report.lapses(1000))
    missed = asked_passages(report.book, report.period)
    missed = missed[missed["verdict"].isin(["late", "never"])]
    assert sum(r[0] == "Missed quote" for r in rows) == missed["deal"].nunique()
    order = {"open": 0, "lost": 1, "won": 2}
    states = [order[r[5]] for r in rows]
    assert states == sorted(states)


def test_no_lapse_lies_in_the_future(demo: Book) -> None:
    piece = open_report(demo).lapses(10_000)
    days = pd.to_datetime([r[3].replace("Sept", "Sep") for r in cells(piece)], format="%d %b %Y")
    assert days.max() <= demo.as_of_on


def test_a_book_that_records_nothing_says_so(make_book: MakeBook) -> None:
    said = text_of(open_report(make_book()).lapses())
    assert "Missed quote: unavailable, because no quote is recorded" in said
    assert "Forgotten follow-up: unavailable" in said and "Next step overdue: unavailable" in said


# --- options, periods, groups ----------------------------------------------------------------------


def test_an_option_is_passed_on_and_said(demo: Book) -> None:
    report = open_report(demo)
    block = report.table("win_rate", base="competitive")
    table = measure(demo, "win_rate", "", base="competitive").table
    assert table is not None and cells(block)[0][1] == f"{table['n'].iloc[0]:,}"
    said = text_of(block)
    assert "Here base = competitive. What the won deals are divided by:" in said
    assert "Here" not in text_of(report.table("win_rate"))
    assert cells(report.table("stage_flow", rule="strict")) != cells(report.table("stage_flow"))
    with pytest.raises(UsageError, match="has no option 'bas'"):
        report.chart("win_rate", bas="created")


def test_another_period_than_the_page_is_said(demo: Book) -> None:
    report = open_report(demo, period="last 365 days")
    assert "Period: 2026Q2 (1 Apr 2026" in text_of(report.table("win_rate", period="2026Q2"))
    assert report.chart("win_rate", period="2026Q2").alt.startswith("How many decided deals are won? · 2026Q2 ")  # type: ignore[union-attr]
    assert "Period:" not in text_of(report.table("win_rate")) + text_of(report.table("pipeline"))


def test_the_quarter_is_the_one_in_which_the_period_ends(make_book: MakeBook) -> None:
    book = make_book()
    assert open_report(book).quarter == "2026Q1"
    assert open_report(book, period="2025-11").quarter == "2025Q4"
    assert open_report(book, period="2026").quarter == "2026Q1"  # as of the data
    raw = process_to_dict(book.process)
    raw["calendar"]["fiscal_year"] = {"start_month": 2}
    fiscal = open_report(replace(book, process=process_from_dict(raw)))
    assert fiscal.quarter.startswith("FY")
    assert "Period: " + fiscal.quarter in text_of(fiscal.table("win_rate", period=fiscal.quarter))


def test_every_stock_is_whole_whatever_the_period(demo: Book) -> None:
    stocks = [name for name, m in METRICS.items() if m.stock]
    assert len(stocks) > 3
    for name in stocks:
        everything, quarter = (open_report(demo, period=p).measure(name, ()).table for p in (None, "2026Q2"))
        if everything is not None and quarter is not None:
            assert everything["n"].sum() == quarter["n"].sum(), name


def test_rows_told_apart_by_more_than_groups_have_their_own_names(demo: Book) -> None:
    report = open_report(demo, period="2026Q2")
    for name, by in (("win_curve", "rep"), ("pipeline_bridge", "team"), ("loss_reasons", "stage")):
        drawing = report.chart(name, by=by)
        assert isinstance(drawing, Drawing)
        names = re.findall(r"(?:^|; |\? (?:· \S+ )?)([^;?]+?): ", drawing.alt)
        assert len(names) == len(set(names)) > 5, name


def test_the_stages_of_a_stock_stand_in_their_order(demo: Book) -> None:
    rows = cells(open_report(demo).table("stalled", by="stage"))
    assert [r[0] for r in rows] == ["Prospecting", "Qualified", "Quote", "Contract"]


def test_losses_come_with_the_hint_of_their_stage(demo: Book) -> None:
    report = open_report(demo)
    lost, won = report.table("loss_reasons", by="stage"), report.table("loss_reasons", by="stage", of="won")
    hint = "Qualified: Lost here? Show less, ask more"
    assert hint in text_of(lost) and hint not in text_of(won)
    assert ["Qualified", "(not recorded)"] in [r[:2] for r in cells(lost)]
    assert report.chart("loss_reasons", of="won").alt.startswith("Why are deals won? ")  # type: ignore[union-attr]


def test_money_of_several_currencies_shares_no_axis(make_book: MakeBook) -> None:
    deals = (
        "deal_id,rep_id,stage,created_at,closed_at,amount,currency\n"
        "D1,R1,Won,2026-01-01,2026-02-10,1000.00,CNY\nD2,R1,Won,2026-01-05,2026-02-11,70.00,EUR\n"
    )
    report = open_report(make_book(deals=deals, stage_history=None, leads=None))
    assert "do not share one axis" in text_of(report.chart("sales"))  # type: ignore[arg-type]
    assert [r[0] for r in cells(report.table("sales"))] == ["CNY", "EUR"]


def test_other_targets_than_money_are_drawn_and_tabled(make_book: MakeBook) -> None:
    targets = "rep_id,team,metric,start_on,end_on,value\nR1,North,won,2026-01-01,2026-03-31,4\n"
    report = open_report(make_book(targets=targets))
    rows = cells(report.table("quota_attainment", by="rep", of="won"))
    # Ann won one deal of her four
    assert rows[0][0] == "Ann Reed" and rows[0][1].startswith("25% (") and rows[0][3:6] == ["1", "4", "3"]
    drawing = report.chart("quota_attainment", by="rep", of="won")
    assert isinstance(drawing, Drawing) and drawing.alt.startswith("How many deals were won against the target? ")


def test_a_metric_of_ones_own_is_drawn_under_its_own_question(make_book: MakeBook) -> None:
    @metric(
        "Big deals",
        "Deals there are.",
        basis="day of creation",
        interval="none",
        unit="ratio",
        needs=[("deals", "outcome")],
        rows=lambda book, period: book.deals,
        why="Do we win the large ones too?",
    )
    def big_deals(book: Book, by: Any = (), period: Any = None) -> pd.DataFrame:
        return pd.DataFrame({"part": ["a", "b"], "n": [2, 3], "value": [-0.5, 0.25], "low": [-1.0, 0.0], "high": 0.5})

    try:
        report = open_report(make_book())
        drawing = report.chart("big_deals")
        assert isinstance(drawing, Drawing) and drawing.alt.startswith("Do we win the large ones too? a: ")
        assert [r[0] for r in cells(report.table("big_deals"))] == ["a", "b"]
    finally:
        del METRICS["big_deals"]
