"""What the pages say of rates and times: sentences with n and range, nobody's name where it does not belong."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.reports import Report, open_report
from salescoach.reports.blocks import Block

PIECES = ("rate_funnel", "rate_findings", "rate_table", "ends_chart", "ends_findings", "stage_times", "pace_findings")


def said(piece: Block | Drawing) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", piece.html)) if isinstance(piece, Block) else piece.alt


@pytest.fixture(scope="module")
def whole(demo: Book) -> Report:
    return open_report(demo)


@pytest.fixture(scope="module")
def own(demo: Book) -> Report:
    return open_report(demo, rep="R10")


@pytest.fixture(scope="module")
def chinese(demo: Book, own: Report) -> list[Report]:
    return [open_report(demo, language="zh"), open_report(own.book, rep="R10", language="zh")]


def test_who_stands_out_is_one_sentence_with_n_and_range(whole: Report) -> None:
    text = said(whole.rate_findings())
    assert re.search(r"Emma Lind won 26% of 138 deals; .* most likely 23% \(\d+%–\d+%\), the team's is 17%", text)
    assert "The win rates of the other 22 reps are within luck" in text
    assert "9 decided deals that changed hands are left out" in text


def test_only_who_stands_out_is_named_in_the_picture(whole: Report, demo: Book) -> None:
    drawing = whole.rate_funnel()
    assert isinstance(drawing, Drawing)
    assert "Emma Lind" in drawing.alt
    assert not any(name in drawing.alt for name in demo.people["rep"] if name != "Emma Lind")


def test_everybody_has_a_sentence_where_asked_for(whole: Report, demo: Book) -> None:
    text = said(whole.rate_findings(everybody=True))
    assert all(
        name in text or name == "徐丽" for name in demo.people["rep"] if name in said(whole.rate_table()).split()
    )
    assert text.count("this is within luck.") >= 15


def test_a_rep_s_page_names_nobody_else(own: Report, demo: Book) -> None:
    text = " ".join(said(getattr(own, piece)()) for piece in PIECES)
    others = [name for name in demo.people["rep"] if name != "Emma Lind"]
    assert "Emma Lind won 26% of 138 decided deals; among the others about 15% is usual." in text
    assert not any(name in text for name in others)
    assert "it would name other reps" in said(own.rate_table())


def test_the_picture_of_a_rep_s_page_agrees_with_its_sentence(own: Report) -> None:
    drawing = own.rate_funnel()
    assert isinstance(drawing, Drawing) and said(own.rate_findings()).strip() in drawing.alt


def test_half_are_decided_and_a_hundred_end(whole: Report) -> None:
    text = said(whole.ends_findings())
    assert re.search(r"Half of 3,916 deals are decided within 35 days \(34–35\), counting the 356 still open\.", text)
    found = re.search(
        r"Of 100 deals (\d+) \(\d+–\d+\) are won within (\d+) days, (\d+) are lost, (\d+) are still", text
    )
    assert found is not None
    won, _, lost, still_open = map(int, found.groups())
    assert won + lost + still_open == 100


def test_stages_have_their_days(whole: Report) -> None:
    text = said(whole.stage_times())
    assert "Prospecting" in text and "the three add up to all" in text


def test_nothing_that_goes_with_the_pace_is_said_to_be_nothing(whole: Report) -> None:
    text = said(whole.pace_findings())
    assert "No usable signal: nothing that is known of 3,916 deals" in text and "cause is not said" in text


def test_thin_books_say_why_not(make_book: Callable[..., Book]) -> None:
    book = make_book()
    page = open_report(book)
    assert "fewer than 3 reps have 10 decided deals of their own" in said(page.rate_funnel())
    assert "fewer than 3 reps" in said(page.rate_table()) and "fewer than 3 reps" in said(page.rate_findings())
    assert "nothing to conclude yet: about 5 more deals would do" in said(page.ends_chart())
    assert "unavailable" in said(page.pace_findings())
    few = open_report(book, rep="R1")
    assert "may not be shown" in said(few.rate_funnel()) and "may not be shown" in said(few.rate_findings())


@pytest.mark.parametrize("piece", PIECES)
def test_chinese_pages_are_chinese(chinese: list[Report], piece: str) -> None:
    for page in chinese:
        text = said(getattr(page, piece)())
        english = re.sub(r"Kaplan-Meier|[A-Z][A-Za-z']+( [A-Z][A-Za-z']+)*|\bn\b|R\d+", "", text)
        assert not re.search(r"[a-z]{4,} [a-z]{2,} [a-z]{2,}", english), english
        assert re.search(r"[\u4e00-\u9fff]{4,}", text)
