"""Pages about lost deals and their twins, and about keeping to the process."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import UsageError
from salescoach.metrics.twins import twins
from salescoach.reports import open_report
from salescoach.reports.blocks import Block
from salescoach.reports.report import Report

MakeBook = Callable[..., Book]


def text_of(piece: Block | Drawing) -> str:
    assert isinstance(piece, Block)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", piece.html)).split())


def pieces(report: Report) -> list[str]:
    shown = [
        report.twin_deals(),
        report.twin_deals(of="open"),
        report.twin_timeline(1),
        report.where_twins_part(),
        report.typical_path(),
        report.table("conformance", "stage"),
        report.deviations_chart(),
        report.cannot_be_checked(),
        report.deviating_deals(),
        report.deviations_and_losing(),
        report.deviations_and_losing_chart(),
    ]
    return [piece.alt if isinstance(piece, Drawing) else text_of(piece) for piece in shown]


def test_a_reps_page_holds_the_reps_own_deals_and_names_no_colleague(demo: Book) -> None:
    report = open_report(demo, rep="R03", period="2025-01..2026-09")
    texts = " ".join(pieces(report))
    others = demo.people[demo.people["rep_id"] != "R03"]
    assert [name for name in others["rep"] if name in texts] == []
    own = set(demo.deals.loc[demo.deals["rep_id"] == "R03", "deal_id"])
    found = twins(report.book, report.period)
    assert set(found["deal_id"]) | set(found["twin_id"].dropna()) <= own
    assert "Both deals of a pair are the rep's own." in texts
    assert "others, won" in texts and "at least 5 other reps" in texts


def test_the_managers_page_names_whose_deals_they_are(demo: Book) -> None:
    text = text_of(open_report(demo, team="Harbour").twin_deals())
    harbour = demo.people.loc[demo.people["team"] == "Harbour", "rep"]
    assert any(f"({name})" in text for name in harbour)
    assert not any(name in text for name in set(demo.people["rep"]) - set(harbour))


def test_every_piece_speaks_chinese(demo: Book) -> None:
    english, chinese = (pieces(open_report(demo, team="Harbour", language=lan)) for lan in ("en", "zh"))
    for one, other in zip(english, chinese, strict=True):
        assert one != other and re.search("[\u4e00-\u9fff]", other)
        assert not re.search(r"\{\w+\}", one + other)


def test_the_pairs_that_part_come_first_and_the_picture_shows_the_same_pair(demo: Book) -> None:
    report = open_report(demo, period="2026Q2")
    found, pairs, marks = report._pairs("lost")
    assert (marks["kind"] == "none").is_monotonic_increasing and len(pairs) == (found["twin"] >= 0).sum()
    sentence = report.said_of(pairs.iloc[0].to_dict(), marks.iloc[0].to_dict())
    assert sentence in text_of(report.twin_deals(1))
    drawing = report.twin_timeline(1)
    assert isinstance(drawing, Drawing) and drawing.alt.endswith(sentence)
    assert isinstance(report.twin_timeline(10_000), Block)


PAIR = {"pipeline": "new", "deal": 0, "twin": 1}
BOTH = {"shared_stage": "quote", "shared_own": 12.0, "shared_twin": 12.0}


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        (
            {"kind": "quote", "stage": "quote", "day": 21.0, "own": float("nan"), "twins": 14.0},
            "Both entered Quote after 12 days; the won deal had its quote on day 14, this one never.",
        ),
        (
            {"kind": "quote", "stage": "quote", "day": 21.0, "own": 30.0, "twins": 14.0},
            "Both entered Quote after 12 days; the won deal had its quote on day 14, this one only on day 30.",
        ),
        (
            {"kind": "push", "stage": None, "day": 21.0, "own": 2.0, "twins": 1.0},
            "Both entered Quote after 12 days; on day 21 the expected close of this deal was put off once more than "
            "that of the won one ever was (2 times against 1).",
        ),
        (
            {"kind": "none", "stage": None, "day": 21.0, "own": None, "twins": None},
            "Both entered Quote after 12 days; nothing sets them apart until this deal was lost on day 21.",
        ),
    ],
)
def test_where_two_deals_part_is_one_sentence(demo: Book, mark: dict[str, Any], sentence: str) -> None:
    assert open_report(demo).said_of(PAIR, {**mark, **BOTH}) == sentence


def test_deals_without_a_comparable_win_are_said_to_have_none(make_book: MakeBook) -> None:
    deals = """\
deal_id,rep_id,stage,created_at,closed_at,amount
D1,R1,Won,2026-01-01,2026-02-10,1000000.00
D3,R2,Lost,2026-01-10,2026-03-01,3.00
"""
    log = """deal_id,entered_at,stage
D1,2026-01-01,Prospecting
D1,2026-02-10,Won
D3,2026-01-10,Prospecting
D3,2026-03-01,Lost
"""
    report = open_report(make_book(deals=deals, stage_history=log, leads=None))
    assert "nothing won is near enough" in text_of(report.twin_deals())
    assert "nothing won is near enough" in text_of(report.twin_timeline())
    assert "No deal is open." in text_of(report.twin_deals(of="open"))


def test_what_goes_with_losing_is_told_in_points(demo: Book) -> None:
    report = open_report(demo)
    row = {"pipeline": "new", "stage": "quote", "deviation": "exit", "rule": "activity:quote", "days": float("nan")}
    row |= {"effect": -0.123, "low": -0.2, "high": -0.046, "n": 618, "deviated": 67, "signal": "less", "outcome": "won"}
    assert report._association(row) == (
        "Deals that had left Quote without: quote done are won 12.3 points less often (4.6 to 20.0) than the others "
        "alive on that day, everything else equal (67 of 618 deals)."
    )
    assert "No usable signal" in text_of(report.deviations_and_losing())


def test_without_the_others_path_a_rep_sees_the_own_one_alone(demo: Book) -> None:
    hidden = open_report(demo, rep="R03")
    hidden.book = replace(hidden.book, peers={})
    assert "others" not in text_of(hidden.typical_path())


def test_the_metric_is_shown_in_words(demo: Book) -> None:
    text = text_of(open_report(demo, language="zh").table("conformance"))
    assert "停留过久" in text and "stay" not in text
    drawing = open_report(demo).chart("conformance")
    assert isinstance(drawing, Drawing) and "silence too long" in drawing.alt
    assert pd.notna(drawing.width)


def test_one_deal_day_by_day_beside_its_twin_or_alone(demo: Book) -> None:
    report = open_report(demo, rep="R09", period="2025-01..2026-09")
    pairs = twins(report.book, report.period, "open")
    paired = pairs.loc[pairs["twin"] >= 0, "deal_id"].iloc[0]
    drawn = report.deal_timeline(paired)
    assert isinstance(drawn, Drawing) and drawn.alt.startswith("What happened to ")
    assert "Nothing won is near enough" not in drawn.alt and ("Both " in drawn.alt or "They share" in drawn.alt)
    won = report.book.deals.loc[report.book.deals["outcome"] == "won", "deal_id"].iloc[0]
    alone = report.deal_timeline(won)
    assert isinstance(alone, Drawing) and "Nothing won is near enough" in alone.alt
    theirs = demo.deals.loc[demo.deals["rep_id"] == "R01", "deal_id"].iloc[0]
    with pytest.raises(UsageError, match=f"There is no deal '{theirs}' in this book"):
        report.deal_timeline(theirs)
