"""The pieces of a page about gaps: what they say, what they keep to themselves, and both languages."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import UsageError
from salescoach.models import find_bottleneck, fit_gap, stopped_deals
from salescoach.reports import open_report
from salescoach.reports.report import Report
from salescoach.sources import sample_book

PERIOD = "2026-01..2026-09"
WEAK = "R05"


@pytest.fixture(scope="module")
def book() -> Book:
    return sample_book()


@pytest.fixture(scope="module")
def rep(book: Book) -> Report:
    return open_report(book, rep=WEAK, period=PERIOD)


@pytest.fixture(scope="module")
def whole(book: Book) -> Report:
    return open_report(book, period="2026Q3")


def pieces(report: Report) -> list[object]:
    found = [report.gap(), report.gap_parts(), report.gap_in_words(), report.bottleneck(), report.what_if()]
    return [
        *found,
        report.stopped_deals(),
        report.gap("target"),
        report.gap_parts("last", speed=True),
        report.gap_claims(),
    ]


def words_of(piece: object) -> str:
    return piece.alt if isinstance(piece, Drawing) else html.unescape(re.sub(r"<[^>]+>", " ", piece.html))  # type: ignore[attr-defined]


def test_a_reps_page_names_no_colleague(book: Book, rep: Report) -> None:
    people = book.people
    names = set(people.loc[people["rep_id"] != WEAK, "rep"]) | set(people.loc[people["rep_id"] != WEAK, "rep_id"])
    for piece in pieces(rep):
        text = words_of(piece)
        assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)], text[:200]


def test_only_the_managers_table_names_reps(book: Book) -> None:
    team = open_report(book, team=book.teams[0], period=PERIOD)
    *others, claims = pieces(team)
    names = set(book.people["rep"])
    assert not [name for name in names for piece in others if name in words_of(piece)]
    own = set(team.book.people["rep"])
    told = {name for name in names if name in words_of(claims)}
    assert told and told <= own


def test_the_waterfall_leads_from_what_it_is_held_against_to_what_was_won(whole: Report) -> None:
    fit = fit_gap(whole.book, "", "2026Q3", "last")
    rows = whole._waterfall(fit)
    assert rows["direction"].iloc[[0, -1]].tolist() == [0, 0] and (rows["direction"].iloc[1:-1] != 0).all()
    assert rows["from"].iloc[2:-1].tolist() == pytest.approx(rows["to"].iloc[1:-2].tolist(), rel=1e-12)
    assert rows["to"].iloc[-2] == pytest.approx(fit.totals["actual"].item(), rel=1e-12)
    assert isinstance(whole.gap(), Drawing)


def test_the_sentence_tells_the_parts_that_are_spoken_the_largest_first(whole: Report) -> None:
    fit = fit_gap(whole.book, "", "2026Q3", "last")
    spoken = fit.table[fit.table["spoken"]]
    order = spoken.loc[spoken["value"].abs().sort_values(ascending=False).index]
    names = whole._part_names(order, fit)
    text = whole.gap_in_words().text
    places = [text.index(name) for name in names]
    assert places == sorted(places) and "below the period before" in text
    silent = whole._part_names(fit.table[~fit.table["spoken"]], fit)
    assert not [name for name in silent if name in text.split("Beyond luck")[1].split(".")[0]]


def test_the_bottleneck_of_the_demo_is_named_with_n_range_and_worth(whole: Report) -> None:
    fit = find_bottleneck(whole.book, "2026Q3")
    row = fit.table.set_index("stage").loc["qualified"]
    text = whole.bottleneck().html
    assert fit.named == {"new": "qualified"}
    assert f"Qualified lets the fewest deals through: {row['value']:.0%}" in text and f"n = {row['n']}" in text
    assert "One point more would go with" in text and "cause" not in text


def test_on_thin_data_nothing_is_concluded(book: Book) -> None:
    text = open_report(book, rep=WEAK, period="2026Q3").gap_in_words().text
    assert "The data do not single out one step. Nothing to conclude yet about" in text
    assert re.search(r"from about \d+ ended passages on", text)


def test_it_says_why_there_is_nothing(book: Book) -> None:
    everything = open_report(book)
    assert "unavailable, because a gap to the last period needs a period with a first day" in everything.gap().html
    deals = book.tables["deals"].drop(columns=["amount", "amount_minor"])
    bare = open_report(replace(book, tables={**book.tables, "deals": deals}), period="2026Q3")
    assert "unavailable, because won amounts need" in bare.gap_parts().html
    assert "lets the fewest deals through" in bare.bottleneck().html  # shares need no amounts
    assert "unavailable" in bare.what_if().html


def test_in_chinese_no_english_sentence_is_left(book: Book) -> None:
    for report in (
        open_report(book, rep=WEAK, period=PERIOD, language="zh"),
        open_report(book, period="2026Q3", language="zh"),
    ):
        for piece in pieces(report):
            text = words_of(piece)
            assert not re.search(r"\b(the|of|and|deals|with|reps)\b", text), text[:300]


def test_the_deals_behind_a_stage_are_as_many_as_its_share_says(book: Book) -> None:
    table = find_bottleneck(book, PERIOD).table
    for row in table.to_dict("records"):
        rows = stopped_deals(book, row["pipeline"], row["stage"], PERIOD)
        assert len(rows) == round(row["n"] * (1 - row["value"]))
        assert set(rows["fate"]) <= {"lost", "open"} and rows["deal_id"].is_unique
        assert rows["amount_minor"].dropna().is_monotonic_decreasing
    lowest = table.loc[table["value"].idxmin()]
    said = words_of(open_report(book, period=PERIOD).stopped_deals(most=3))
    assert f"{round(lowest['n'] * (1 - lowest['value'])):,} of {lowest['n']:,} deals whose time in Qualified" in said
    largest = stopped_deals(book, lowest["pipeline"], lowest["stage"], PERIOD)["name"][:3]
    assert all(name in said for name in largest)
    with pytest.raises(UsageError, match=r"No deal ended in stage 'nowhere'\. Stages: prospect, qualified"):
        open_report(book, period=PERIOD).stopped_deals("nowhere")
