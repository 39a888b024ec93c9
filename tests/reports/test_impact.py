"""Pages on coaching: what is said, what is not said, and to whom."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from salescoach.charts import Drawing
from salescoach.coaching.sessions import read_sessions
from salescoach.models import coaching_impact
from salescoach.reports import impact
from salescoach.reports.blocks import Block
from salescoach.reports.report import open_report

PIECES = ("impact", "impact_choice", "impact_chart", "impact_people", "impact_measures_chart", "impact_measures")


def text_of(piece: Block | Drawing) -> str:
    return piece.alt if isinstance(piece, Drawing) else re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", piece.html))


@pytest.fixture(scope="module")
def page(demo_book):
    return open_report(demo_book)


def test_the_answer_names_no_effect_it_cannot_see(page, demo_book) -> None:
    said = text_of(page.impact("demo"))
    row = coaching_impact(demo_book, read_sessions("demo")).table.iloc[0]
    assert f"12 reps won {100 * row['observed']:.1f}% of {row['n']:,} decided deals" in said
    assert f"we could only have seen rises above {100 * row['smallest']:.1f} points" in said
    assert "Second opinion" in said and "beyond" not in said
    assert not re.search(r"\b(caused?|because of the coaching|effect of the coaching|proves?)\b", said)


@pytest.mark.parametrize(("verdict", "second", "agrees"), [("better", 0.05, True), ("better", -0.05, False)])
def test_a_change_that_can_be_seen_goes_with_coaching(demo_book, monkeypatch, verdict, second, agrees) -> None:
    fit = coaching_impact(demo_book, read_sessions("demo"))
    seen = fit.table.assign(verdict=verdict, change=0.08, low=0.03, high=0.13, p=0.004, second=second)
    monkeypatch.setattr(impact, "coaching_impact", lambda *_: replace(fit, table=seen))
    page = open_report(demo_book)
    said = text_of(page.impact("demo"))
    assert "More than chance and trend explain goes with the coaching" in said
    assert "+8.0 points (range +3.0 to +13.0)" in said and "so large a change comes 0.4% of the time" in said
    assert ("The two do not agree" in said) != agrees
    assert "better, beyond chance" in text_of(page.impact_measures("demo"))


def test_where_nothing_could_be_seen_it_says_so(demo_book, monkeypatch) -> None:
    fit = coaching_impact(demo_book, read_sessions("demo"))
    blind = fit.table.assign(verdict="unknowable", smallest=[0.31, *[float("nan")] * (len(fit.table) - 1)])
    monkeypatch.setattr(impact, "coaching_impact", lambda *_: replace(fit, table=blind))
    said = text_of(open_report(demo_book).impact("demo"))
    assert "cannot be known from so few: we could only have seen rises above 31.0 points" in said
    assert "cannot be known from so few: no rise at all could have been seen" in said


def test_the_trap_is_named(page) -> None:
    said = text_of(page.impact_choice("demo"))
    assert "A bad stretch passes by itself" in said and "must not be read as an effect" in said
    assert "without any coaching" in said


def test_people_stand_in_the_order_of_names(page) -> None:
    said = text_of(page.impact_people("demo"))
    names = ["Ana Souza", "Chen Jie", "Julia Weber", "Li Wei", "Priya Nair", "Sofia Rossi", "Tom Becker"]
    assert [said.index(name) for name in names] == sorted(said.index(name) for name in names)
    assert "quote" not in text_of(page.impact_people("demo", "win_rate")).lower()


def test_one_persons_page_tells_nothing_of_it(demo_book) -> None:
    own = open_report(demo_book, rep="R14")
    for name in PIECES:
        said = text_of(getattr(own, name)("demo"))
        assert "unavailable, because" in said and "Ana Souza" not in said
    for piece in (own.hours_chart(), own.hours_table(), own.impact_groups("demo", "stage")):
        assert "unavailable, because" in text_of(piece)


def test_few_deals_say_that_it_cannot_be_known(demo_book) -> None:
    said = text_of(open_report(demo_book, period="2026Q2").impact("demo"))
    assert re.search(r"cannot be known from so few|unavailable, because|within chance", said)
    assert "goes with the coaching" not in said


def test_no_sessions_no_judgement(page) -> None:
    nothing = pd.DataFrame({"rep_id": pd.Series(dtype="str"), "on": pd.Series(dtype="datetime64[us]")})
    for name in PIECES:
        assert "unavailable, because no coaching session" in text_of(getattr(page, name)(nothing))


def test_a_log_may_hold_names(page) -> None:
    sessions = read_sessions("demo")
    names = page.book.people.set_index("rep_id")["rep"]
    named = sessions.assign(rep_id=sessions["rep_id"].map(names).astype("str"))
    assert page.impact(named).html == page.impact("demo").html


def test_groups_of_sessions(page) -> None:
    sessions = read_sessions("demo").assign(skill=["need" if i % 2 else "price" for i in range(12)])
    said = text_of(page.impact_groups(sessions, "skill"))
    assert "need" in said and "price" in said and "Winning deals" in said


def test_the_hours_are_explained_and_nobody_is_ranked(demo_book) -> None:
    team = demo_book.teams[0]
    page = open_report(demo_book, team=team, period="last 365 days")
    said = text_of(page.hours_table(5))
    people = page.book.people["rep"]
    assert all(name in said.replace("&#39;", "'") for name in people)
    assert not re.search(r"\b(worst|best rep|rank|bottom|top|weakest)\b", said)
    assert "not who is good" in said and "5.0 h" in said
    minutes = [int(m) for m in re.findall(r"(\d+) min\b", text_of(page.hours_chart(5)))]
    assert sum(minutes) == 300 and len(minutes) == len(people)


def test_in_chinese(demo_book) -> None:
    page = open_report(demo_book, language="zh")
    for piece in PIECES:
        said = text_of(getattr(page, piece)("demo"))
        assert re.search(r"[\u4e00-\u9fff]", said)
        assert not re.search(r"\b(coached|coaching|chance|points|session|range)\b", said)
