"""The coaching session without a browser: what is chosen, what is built, what is never shown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipywidgets", reason="the session needs ipywidgets: pip install 'salescoach[app]'")

import ipywidgets as widgets

from salescoach.app import Session, session
from salescoach.app.commitments import CommitmentsPanel
from salescoach.app.deals import DealsPanel
from salescoach.app.quarantine import QuarantinePanel
from salescoach.app.what_if import WhatIfPanel
from salescoach.book import Book
from salescoach.coaching.ledger import open_ledger
from salescoach.metrics import win_rate
from salescoach.models import factors_of, what_if, what_if_together
from salescoach.models.forecast import chance_to_reach, fit_forecast, targets_of
from salescoach.reports import open_report
from salescoach.wording import words

YEAR = "last 365 days"


def below(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)


def text_of(widget: widgets.Widget) -> str:
    """All a reader can read in it."""
    found = []
    for part in below(widget):
        for name in ("value", "description", "placeholder", "tooltip"):
            text = getattr(part, name, None)
            if isinstance(text, str):
                found.append(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.S))
        found += [str(label) for label, _ in getattr(part, "_options_full", ())]
        found += [str(title) for title in getattr(part, "titles", ())]
    return " ".join(html.unescape(" ".join(found)).replace("\u200b", "").split())


@pytest.fixture
def opened(saved: Path) -> Session:
    return session(saved).open()


def test_first_there_is_a_placeholder_then_the_page(saved: Path) -> None:
    page = session(saved)
    assert "Opening the data" in text_of(page.widget)
    page.open()
    said = text_of(page.widget)
    assert "Opening the data" not in said
    assert "Choose a person above" in said and "Win rate" in said


def test_a_person_is_chosen_and_their_page_appears(opened: Session) -> None:
    opened.rep.value = "R09"
    said = text_of(opened.tabs.children[0])
    assert "Chen Jie" in text_of(opened.head)
    assert "Choose a person" not in said and len(opened.tabs.children[0].children) > 5


def test_a_team_narrows_the_people(opened: Session) -> None:
    everybody = len(opened.rep.options)
    opened.team.value = "Harbour"
    assert 1 < len(opened.rep.options) < everybody and opened.rep.value == ""
    assert "Harbour" in text_of(opened.head)


def test_only_what_is_looked_at_is_computed_and_only_once(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    fill = Session._fill
    monkeypatch.setattr(Session, "_fill", lambda self, name, *rest: (built.append(name), fill(self, name, *rest))[1])
    for tab in (1, 0, 1, 0):
        opened.tabs.selected_index = tab
    assert built == ["funnel"]
    opened.period.value = "last 90 days"
    opened.tabs.selected_index = 1
    assert built == ["funnel", "page", "funnel"]


def test_chinese_at_a_click(opened: Session) -> None:
    opened.rep.value = "R09"
    opened.language.value = "zh"
    said = text_of(opened.widget)
    assert "销售代表" in said or "代表" in said
    for english in ("One page", "Save as PDF", "Everybody", "Last 365 days", "Key figures"):
        assert english not in said, english
    opened.tabs.selected_index = 1
    assert "如果" in text_of(opened.tabs.children[1])


def test_what_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    page = session(tmp_path / "nowhere").open()
    assert "nowhere" in text_of(page.widget) and "is not a book" in text_of(page.widget)


# --- one's own view --------------------------------------------------------------------------------


def test_a_reps_own_view_holds_nothing_of_the_others(saved: Path, demo: Book) -> None:
    own = session(saved, rep="R06", own=True).open()
    assert set(own.book.people["rep_id"]) == {"R06"}
    assert not hasattr(own, "rep") and not hasattr(own, "team")
    said = text_of(own.widget)
    for tab in range(len(own.tabs.children)):
        own.tabs.selected_index = tab
        said += text_of(own.tabs.children[tab])
    others = demo.people[demo.people["rep_id"] != "R06"]
    assert "Daniel Novak" in said
    assert [name for name in others["rep"] if name in said] == []
    assert [i for i in others["rep_id"] if re.search(rf"\b{i}\b", said)] == []


def test_the_search_for_others_would_find_them(opened: Session) -> None:
    assert "Daniel Novak" in text_of(opened.widget) and "Ana Souza" in text_of(opened.widget)


# --- what if ---------------------------------------------------------------------------------------


def test_a_dragged_stage_says_what_the_package_says(demo: Book) -> None:
    report = open_report(demo, period=YEAR)
    panel = WhatIfPanel(report)
    assert "Drag a stage" in text_of(panel.answer)
    panel.conversions["qualified"].value += 5
    factors = panel.factors
    expected = what_if(factors, "qualified", panel.conversions["qualified"].value / 100)
    money = report.say.short_money(round(expected.value), "CNY")
    assert expected.value > 0 and f"+{money} per quarter" in text_of(panel.answer)
    panel.days["quote"].value = panel.days["quote"].value / 2
    both = what_if_together(factors, *panel.changes())
    assert both.value > expected.value
    assert f"+{report.say.short_money(round(both.value), 'CNY')} per quarter" in text_of(panel.answer)
    panel.reset()
    assert panel.changes() == ({}, {}) and "Drag a stage" in text_of(panel.answer)


def test_changes_together_are_the_product_of_what_they_change(demo: Book) -> None:
    factors = next(iter(factors_of(demo, "", YEAR).values()))
    whole = factors.deals * factors.amount * factors.rates.prod()
    changed = what_if_together(factors, {"qualified": 0.6, "quote": 0.7})
    new = whole / (factors.rates[1] * factors.rates[2]) * 0.6 * 0.7
    assert changed.value == pytest.approx(new - whole, rel=1e-9)
    assert what_if_together(factors).value == 0
    alone = what_if(factors, "quote", 0.7)
    assert what_if_together(factors, {"quote": 0.7}).value == alone.value


def test_without_stages_what_if_says_why(book_of_deals: Book) -> None:
    said = text_of(WhatIfPanel(open_report(book_of_deals)).widget)
    assert "unavailable, because" in said


@pytest.fixture
def book_of_deals(tmp_path: Path) -> Book:
    from salescoach.sources import load_book

    file = tmp_path / "deals.csv"
    file.write_text("deal_id,stage,created_at\nD1,Proposal,2026-01-05\n", encoding="utf-8")
    return load_book(file)


def test_the_chance_to_reach_the_target_follows(demo: Book) -> None:
    then = demo.at("2026-08-15")
    forecast = fit_forecast(then, "2026Q3", leads=(30,), origins=8)
    target = targets_of(then, forecast, "team")["Harbour"]
    assert target.period == "2026Q3"
    row = forecast.of("team", "Harbour").iloc[0]
    assert target.chance() == pytest.approx(chance_to_reach(row, target.amount))
    assert target.chance(-1e9) <= target.chance() <= target.chance(5e6) and target.chance(1e9) > 0.99
    panel = WhatIfPanel(open_report(then, team="Harbour", period=YEAR))
    panel.aim(target)
    assert "chance" not in text_of(panel.answer)
    panel.conversions["qualified"].value += 10
    assert re.search(r"target of 2026Q3 would go from \d+% to \d+%", text_of(panel.answer))
    assert targets_of(then, fit_forecast(then, "2026Q4", leads=(30,), origins=8), "team") == {}


# --- rows set aside --------------------------------------------------------------------------------


def test_a_correction_is_noted_beside_its_row(demo: Book) -> None:
    panel = QuarantinePanel(demo, words("en"))
    fields: list[Any] = [w for w in below(panel.list) if isinstance(w, widgets.Text)]
    fields[0].value = "2026-03-01"
    table = panel.corrections
    assert table["correction"].tolist() == ["2026-03-01"]
    assert table["sha256"].iloc[0] == demo.quarantine["sha256"].iloc[table.index[0]]
    assert "1 corrections noted" in text_of(panel.saved) and "corrections.csv" in panel.saved.value
    fields[0].value = " "
    assert panel.corrections.empty and text_of(panel.saved) == ""


# --- commitments -----------------------------------------------------------------------------------


def test_what_to_do_about_a_row_is_said_in_the_readers_language(demo: Book) -> None:
    def told(language: str) -> str:
        panel = QuarantinePanel(demo, words(language))
        panel.reason.value = "future-stamp"
        return str(panel.list.children[0].children[0].value)

    assert "later than 2026-09-30, when the data end: correct it" in told("en")
    assert "晚于数据截止日 2026-09-30：请更正" in told("zh") and "later" not in told("zh")


def test_a_commitment_lands_in_the_ledger_and_is_found_again(saved: Path, tmp_path: Path) -> None:
    place = tmp_path / "l.sqlite"
    panel = CommitmentsPanel(open_report(saved, rep="R06", period=YEAR), "R06", place, own=False)
    assert "Nothing is open" in text_of(panel.open)
    panel.what.value, panel.measure.value, panel.due.value = "quotes in two days", "win_rate", date(2026, 12, 1)
    panel.agree()
    assert "the rep: quotes in two days" in text_of(panel.open) and panel.what.value == ""
    row = open_ledger(place).promises_table().iloc[0]
    assert (row["measure"], row["due_on"], row["status"]) == ("win_rate", "2026-12-01", "open")
    assert row["before"] == pytest.approx(win_rate(panel.report.book, "", "last 90 days")["value"][0])
    again = CommitmentsPanel(open_report(saved, rep="R06", language="zh"), "R06", place, own=False)
    assert "销售代表：quotes in two days" in text_of(again.open)
    again.close(row["promise_id"], "kept", "every one")
    assert open_ledger(place).promises_table()["review"].tolist() == ["every one"]
    assert "没有未完成的约定" in text_of(again.open)


def test_the_corner_is_a_session_and_an_empty_one_is_none(saved: Path, tmp_path: Path) -> None:
    panel = CommitmentsPanel(open_report(saved, rep="R06"), "R06", tmp_path / "l.sqlite", own=True)
    panel.save_corner()
    assert panel.ledger.sessions_table().empty
    panel.corner["win"].value = "closed Hazel"
    panel.save_corner()
    assert panel.ledger.sessions_table()["win"].tolist() == ["closed Hazel"]
    panel.agree()
    assert "says what will be done" in text_of(panel.message)


def test_nothing_of_others_or_of_notes_is_in_the_panel(saved: Path, tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l.sqlite")
    ledger.add_promise("R01", "rep", "hers alone", "2026-09-01")
    ledger.add_note("R06", "only for the manager", "2026-09-01")
    panel = CommitmentsPanel(open_report(saved, rep="R06"), "R06", tmp_path / "l.sqlite", own=True)
    said = text_of(panel.widget)
    assert "hers alone" not in said and "only for the manager" not in said


# --- deals -----------------------------------------------------------------------------------------


def test_deals_are_sorted_filtered_and_told(demo: Book) -> None:
    panel = DealsPanel(open_report(demo, team="Harbour", period=YEAR))
    assert len(panel.rows) == 25 and "25 of" in text_of(panel.count)
    panel.sort("amount")
    amounts = panel.found()["amount"].dropna()
    assert amounts.is_monotonic_decreasing and next(iter(panel.rows)) == panel.found()["deal_id"].iloc[0]
    panel.sort("amount")
    assert panel.found()["amount"].dropna().is_monotonic_increasing
    panel.filter.value = "Quote"
    assert set(panel.found()["stage"]) == {"quote"} or panel.found()["told"].str.contains("quote", case=False).any()
    panel.filter.value = "no such deal anywhere"
    assert not panel.rows and "No open deal matches" in text_of(panel.count)
    panel.filter.value = ""
    first = next(iter(panel.rows))
    panel.rows[first].click()
    assert '<img src="data:image/png' in panel.story.value and "What happened to" in panel.story.value
