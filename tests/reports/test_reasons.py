"""The pieces about reasons: one sentence per finding with its n and range, and no word where nothing is known."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.reports import open_report
from salescoach.reports.blocks import Block

MakeBook = Callable[..., Book]


def text_of(block: Block | Drawing) -> str:
    assert isinstance(block, Block)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", block.html)).split())


def edited(book: Book, **columns: pd.Series) -> Book:
    return replace(book, tables={**book.tables, "deals": book.deals.assign(**columns)})


@pytest.fixture(scope="module")
def habitual(demo: Book) -> Book:
    """The demo book in which R03 says “competitor” of three lost deals in four and some deals have a second reason."""
    deals, chance = demo.deals, np.random.default_rng(1)
    reasons = deals["lost_reason"].copy()
    given = reasons.notna()
    reasons[given & (deals["rep_id"] == "R03") & (chance.random(len(deals)) < 0.75)] = "competitor"
    second = given & (chance.random(len(deals)) < 0.2)
    reasons[second] = reasons[second] + ";timing"
    return edited(demo, lost_reason=reasons)


def test_the_chart_says_all_numbers_in_words(demo: Book) -> None:
    drawing = open_report(demo).reasons_chart()
    assert isinstance(drawing, Drawing)
    assert drawing.alt.startswith("Which reasons cost us most? no_budget: 17% (n=475 · ¥34,155,850); no_decision: 15%")
    assert drawing.alt.endswith("(not recorded): 25% (n=735 · ¥49,716,890)")
    by_count = open_report(demo, language="zh").reasons_chart(by="count", of="won")
    assert isinstance(by_count, Drawing) and by_count.alt.startswith("哪些原因带来的成交最多？ product_fit：36%")


def test_the_table_has_money_and_number_and_what_is_in_doubt(demo: Book) -> None:
    text = text_of(open_report(demo).reasons_table())
    assert "price ¥18,496,220 9% 301 10% (9%–12%) 9 138 ¥10,822,220" in text
    assert "(not recorded) ¥49,716,890 25.4% 735 25.0% (22.9%–27.2%) 34 – –" in text
    assert "Contributing" not in text


def test_a_second_reason_gets_its_column(habitual: Book) -> None:
    text = text_of(open_report(habitual).reasons_table())
    assert "Contributing: deals that name the reason beside another one" in text


def test_how_far_to_believe_is_one_sentence_with_its_range(demo: Book) -> None:
    text = text_of(open_report(demo).reasons_believed())
    assert text.startswith("A reason is recorded for 2,205 of 2,940 lost deals (75%; 73%–77%), and 247 of these are in")
    assert "between 67% and 75% of the losses have a reason that one may believe" in text
    assert text.endswith("Also without the deals in doubt “no_budget” is the most frequent one.")
    chinese = text_of(open_report(demo, language="zh").reasons_believed(of="won"))
    assert chinese.startswith("620 个赢单中有 620 个记录了原因（100%")


def test_each_check_is_a_sentence_and_what_cannot_be_checked_is_said(demo: Book) -> None:
    text = text_of(open_report(demo).reason_checks())
    assert "138 of 301 deals with the reason “price” never saw a quote or a lowered amount. 46% (40%–51%)" in text
    assert "“Timing”, but no later step is on record: unavailable, because activities of deals do not say" in text
    assert "No deal has such a reason: “No answer”" in text


def test_the_rows_behind_are_listed_with_reps_for_all_and_without_for_one(habitual: Book) -> None:
    every = text_of(open_report(habitual).doubted_deals(most=3))
    assert "Rep" in every and "3 of" in every and "what speaks against it" in every.lower()
    own = text_of(open_report(habitual, rep="R03").doubted_deals(most=3))
    assert " Rep " not in own and "Priya Nair" not in own
    some = text_of(open_report(habitual).reason_deals("price", across="segment", group="SMB", most=2))
    assert some.startswith("Deals with the reason “price”") and "2 of" in some
    assert text_of(open_report(habitual).reason_deals("no such reason")) == "There is no such deal."


def test_a_usual_answer_is_named_with_the_others(habitual: Book, demo: Book) -> None:
    text = text_of(open_report(habitual).default_choices())
    assert "Priya Nair gives “competitor” for" in text and "the first of all reasons in the alphabet" in text
    assert text_of(open_report(demo).default_choices()).startswith("Nobody gives one reason for most deals")


def test_differences_are_sentences_and_none_is_said_too(habitual: Book, demo: Book) -> None:
    text = text_of(open_report(habitual).reason_deviations("stage", "rep"))
    assert "Rep Priya Nair: of 114 lost deals with a reason 8" in text and "more than the usual" in text
    assert "that one causes the other is not said" in text
    assert "Rep" not in text_of(open_report(habitual).reason_deviations())
    nothing = text_of(open_report(demo).reason_deviations("segment", "rep"))
    assert nothing == (
        "No difference found: in 2,205 deals with a reason nothing goes with the Segment, Rep beyond chance."
    )


def test_thin_data_say_how_much_is_missing(demo: Book) -> None:
    deals = demo.deals
    lost = deals.index[(deals["outcome"] == "lost") & deals["lost_reason"].isin(["price", "timing", "competitor"])]
    few = pd.Series(None, deals.index, dtype="str")
    for segment in ("SMB", "Mid", "Enterprise"):
        for reason in ("price", "timing", "competitor"):
            here = lost[(deals.loc[lost, "segment"] == segment) & (deals.loc[lost, "lost_reason"] == reason)][:4]
            few[here] = reason
    text = text_of(open_report(edited(demo, lost_reason=few)).reason_deviations("segment"))
    assert text.startswith("Nothing to conclude yet: about 9 more closed deals with a reason are needed.")


def test_free_texts_are_shown_by_their_own_sentences(demo: Book) -> None:
    blocks = {
        "price": [
            "Price far too high for {}",
            "Too expensive, price above the budget of {}",
            "{} wanted a lower price",
        ],
        "timing": ["Project of {} postponed to next year", "{} put the project on hold until next year"],
        "silence": ["No reply from {} to our e-mails", "{} never answered calls nor e-mails, no reply"],
    }
    texts = [t for block in blocks.values() for t in block]
    lost = demo.deals["outcome"] == "lost"
    places = np.cumsum(lost) % len(texts)
    noted = pd.Series([texts[p].format(f"customer {i}") for i, p in enumerate(places)], dtype="str").where(
        lost & (np.cumsum(lost) <= 300)
    )
    text = text_of(open_report(edited(demo, loss_notes=noted)).reason_texts())
    assert text.startswith("What do people write about the reason?")
    assert "price" in text and "“" in text and "Grouping parts of the 300 texts anew" in text
    none = text_of(open_report(demo, language="zh").reason_texts())
    assert none == "大家是怎么写原因的：无法得出，因为没有自由填写原因的列：请用 `column` 指定一列。"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("of", ["lost", "won"])
def test_without_reasons_every_piece_says_so(make_book: MakeBook, language: str, of: str) -> None:
    book = make_book()
    bare = book.deals.drop(columns=["lost_reason", "won_reason"], errors="ignore")
    report = open_report(replace(book, tables={**book.tables, "deals": bare}), language=language)
    because = {"en": f"unavailable, because `{of}_reason` is missing", "zh": "无法得出"}[language]
    for piece in ("reasons_chart", "reasons_table", "reasons_believed", "reason_checks", "default_choices"):
        assert because in text_of(getattr(report, piece)(of=of)), piece
    for piece in ("doubted_deals", "reason_deviations"):
        assert because in text_of(getattr(report, piece)(of=of)), piece


def test_currencies_are_never_put_on_one_axis(demo: Book) -> None:
    euro = demo.deals["currency"].mask(demo.deals.index % 2 == 0, "EUR")
    report = open_report(edited(demo, currency=euro))
    assert text_of(report.reasons_chart()).startswith("Amounts in several currencies do not share one axis")
    assert isinstance(report.reasons_chart(by="count"), Drawing)
    assert "CNY" in text_of(report.reasons_table()) and "EUR" in text_of(report.reasons_table())
    assert "2,205 of 2,940" in text_of(report.reasons_believed())
