"""The one page for a one-to-one: what must stand on it, what must not, and that its front is one sheet of paper."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest

from salescoach.coaching.agreed import Agreed, Promise, Session, read_agreed, write_agreed
from salescoach.errors import StorageError, Unavailable
from salescoach.metrics import stage_flow
from salescoach.reports import open_report
from salescoach.reports.others import tables_of_others
from salescoach.reports.stories import find_story
from salescoach.sources import sample_book

_FILE = Path(__file__).resolve().parents[1] / "metrics" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("books_of_metrics", _FILE)
BOOKS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(BOOKS)
PERIOD = "last 365 days"
FRONT = ("one_heading", "last_commitment", "rep_corner", "one_number", "one_strength", "one_skill")
FRONT += ("deals_to_talk_about", "left_undone", "questions", "new_commitment")
OVER = ("overleaf", "commitments", "since_last_time", "all_findings", "all_discussed")
SHEET = ("manager_only", "what_to_praise", "what_it_calls_for", "not_to_conclude", "own_notes")
STRONG, WEAK, NEW, NONE_YET = "R06", "R03", "R21", "R24"
AGREED = Agreed(
    promises=(
        Promise("rep", "Ask who decides before the quote", "stage_flow", "quote", on="2026-07-01", before=0.45),
        Promise("manager", "Sit in on two calls", on="2026-07-01", due_on="2026-08-31", status="kept", review="Done."),
        Promise("rep", "An older promise", on="2026-01-10"),
    ),
    sessions=(Session("2026-07-01", "Won Cedar", "Pricing", "No demo licence", definitions="0.0.1"),),
)

LONG = (
    "Ask who decides and who signs before the quote goes out, in every deal above ¥50K, and write it down the same day"
)
MUCH = Agreed(
    promises=tuple(
        Promise(by, LONG, "stage_flow", "quote", on="2026-07-01", due_on="2026-09-30", status="not kept", review=LONG)
        for by in ("rep", "rep", "manager", "manager")
    ),
    sessions=(Session("2026-07-01", LONG, LONG, LONG),),
)


@pytest.fixture(scope="module")
def report_of():
    book = sample_book()
    others = tables_of_others(book, PERIOD)
    kept = {}

    def report(rep, language="en", agreed=None):
        if (rep, language, agreed) not in kept:
            made = open_report(replace(book, peers=others), rep=rep, period=PERIOD, language=language)
            made.agreed = agreed or Agreed()
            kept[rep, language, agreed] = made
        return kept[rep, language, agreed]

    return report


def front(report) -> str:
    return "".join(getattr(report, name)().html for name in FRONT)


# --- the order and the limits of the front page ----------------------------------------------------


def test_the_notebook_tells_the_front_in_its_order():
    import nbformat

    cells = nbformat.read(find_story("rep_review").path, as_version=4).cells
    called = [m for c in cells if c.cell_type == "code" for m in re.findall(r"report\.(\w+)\(", c.source)]
    assert tuple(called[: len(FRONT)]) == FRONT
    assert called[len(FRONT)] == "overleaf" and called[-1] == "provenance"
    assert set(OVER) <= set(called)


@pytest.mark.parametrize("rep", [STRONG, WEAK, NEW, NONE_YET])
def test_at_most_seven_numbers_three_deals_five_lapses_and_four_to_six_questions(report_of, rep):
    report = report_of(rep)
    html = front(report)
    assert html.count('class="figure"') + html.count("num figure") + 2 <= 7  # and one of the strength, one of the skill
    assert html.count('class="deal"') <= 3
    assert report.left_undone().html.count("<li>") <= 5
    assert 4 <= report.questions().html.count("<li>") <= 6


@pytest.mark.parametrize("rep", [STRONG, WEAK])
def test_no_colleague_no_ranking_and_no_count_of_calls(report_of, rep):
    html = front(report_of(rep)) + "".join(getattr(report_of(rep), name)().html for name in OVER)
    others = sample_book().people
    assert [n for n in others.loc[others["rep_id"] != rep, "rep"] if n in html] == []
    assert not re.search(r"\brank|\bbest rep|\bcalls per|commission|salary|bonus", html, re.I)


def test_names_of_deals_are_escaped():
    book = sample_book().for_rep(WEAK)
    deals = book.deals
    deals["name"] = "<script>alert(1)</script>"
    report = open_report(replace(book, tables={**book.tables, "deals": deals}), rep=WEAK, period=PERIOD)
    assert "<script" not in front(report) and "&lt;script" in front(report)


# --- one number ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rep", [STRONG, WEAK, NEW])
@pytest.mark.parametrize("against", ["target", "peers", "last"])
def test_the_four_levers_add_up_to_the_gap(report_of, rep, against):
    report = report_of(rep)
    try:
        fit = report._gap_fit(against, False)
    except Unavailable:
        assert against == "last"
        return
    levers = report.levers(fit)
    assert levers["lever"].tolist() == ["begun", "rates", "size", "timing"]
    total = fit.totals.iloc[0]
    assert levers["value"].sum() == pytest.approx(total["gap"], rel=1e-9, abs=1e-6)


def test_every_part_of_a_gap_has_its_lever(report_of):
    from salescoach.models.gap import LEFT, ORDER
    from salescoach.reports.one_to_one import LEVERS

    parts = [part for _, names in LEVERS.values() for part in names]
    assert sorted(parts) == sorted({*ORDER, *LEFT})


def test_the_pace_stands_with_its_range(report_of):
    row = report_of(WEAK).measure("quota_attainment").table.iloc[0]
    text = report_of(WEAK).one_number().html
    assert f"{row['pace']:.0%}" in text and f"range {row['low']:.0%}–{row['high']:.0%}, n = {row['n']:.0f}" in text


def test_without_targets_the_pace_says_why_and_the_gap_is_held_against_the_others(report_of):
    book = replace(sample_book(), peers=tables_of_others(sample_book(), PERIOD))
    tables = {name: table for name, table in book.tables.items() if name != "targets"}
    text = open_report(replace(book, tables=tables), rep=WEAK, period=PERIOD).one_number().html
    assert "unavailable, because" in text and "Average per rep" in text and text.count("num figure") == 4


def test_without_stages_and_peers_the_page_still_stands(make_book):
    book = make_book(**{"stage_history": None, "targets": None, "leads": None})
    report = open_report(book, rep="R1")
    html = front(report) + "".join(getattr(report, name)().html for name in (*OVER, *SHEET))
    assert "unavailable, because" in html and "nan" not in re.sub(r"<[^>]*>", " ", html)


@pytest.mark.parametrize("missing", ["stage_history", "activities", "changes", "amount", "created_at", "name"])
def test_whatever_is_missing_the_page_stands(missing):
    book = BOOKS.busy_book(1)
    tables = {name: table for name, table in book.tables.items() if name != missing}
    gone = [column for column in (missing, f"{missing}_minor") if column in tables["deals"]]
    tables["deals"] = tables["deals"].drop(columns=gone)
    report = open_report(replace(book, tables=tables), rep="R2", period="last 365 days")
    for name in (*FRONT, *OVER, *SHEET):
        text = re.sub(r"<[^>]*>", " ", getattr(report, name)().html)
        assert not re.search(r"\bnan\b|NaT|<NA>|None\b|\{", text), name


# --- strength, skill, deals ------------------------------------------------------------------------


def test_the_strength_comes_with_a_deal_to_repeat_and_thin_data_stay_silent(report_of):
    assert "strong evidence" in report_of(STRONG).one_strength().html
    assert "Worth repeating:" in report_of(STRONG).one_strength().html
    assert "Nothing to conclude yet: about 25 more closed deals" in report_of(STRONG).one_skill().html
    new = report_of(NEW)
    assert "Nothing to conclude yet" in new.one_skill().html and "evidence</span>" not in new.one_skill().html


def test_the_skill_names_its_stage_its_range_and_two_deals(report_of):
    html = report_of(WEAK).one_skill().html
    assert "Quote" in html and "range 38%–67%, n = 42" in html
    assert "(lost) beside" in html and "goes with about" in html and "cause" not in html


def test_each_deal_stands_with_what_there_is_to_know(report_of):
    html = report_of(WEAK).deals_to_talk_about().html
    for label in ("Age / typical", "Pushes", "Last two-way contact", "Next step", "Missing"):
        assert label in html
    assert html.count('class="deal"') == 3


def test_of_somebody_without_deals_the_page_is_lines_to_write_on(report_of):
    html = front(report_of(NONE_YET))
    assert "There is no deal of 郭敏" in html and "No deal is open." in html
    assert html.count('class="line"') == 8 and "unavailable, because no quote" not in html


# --- what was agreed -------------------------------------------------------------------------------


def test_last_time_stands_by_rep_and_by_manager_with_its_measure_then_and_now(report_of):
    html = report_of(WEAK, agreed=AGREED).last_commitment().html
    assert "Ask who decides before the quote" in html and "Sit in on two calls" in html
    then, now = report_of(WEAK).book.at("2026-07-01"), report_of(WEAK).book
    for book, days in ((then, "2026-04-02..2026-07-01"), (now, "2026-07-02..2026-09-30")):
        [row] = [r for r in stage_flow(book, (), days).to_dict("records") if r["stage"] == "quote"]
        assert f"{row['value']:.0%} of {row['n']}" in html
    assert "Deals going on from Quote:" in html
    assert "kept; due 31 Aug 2026; Done." in html
    assert "An older promise" not in html
    assert "An older promise" in report_of(WEAK, agreed=AGREED).commitments().html


def test_the_reps_corner_holds_what_the_rep_brought(report_of):
    html = report_of(WEAK, agreed=AGREED).rep_corner().html
    assert all(text in html for text in ("Won Cedar", "Pricing", "No demo licence"))
    assert report_of(WEAK).rep_corner().html.count('<span class="line"></span>') == 3


def test_what_changed_since_the_last_conversation(report_of):
    html = report_of(WEAK, agreed=AGREED).since_last_time().html
    assert "What changed since 1 Jul 2026" in html and "salescoach 0.0.1 then" in html
    assert "Created" in html and "Restated history" in html
    assert "No conversation is on record" in report_of(WEAK).since_last_time().html


def test_what_was_agreed_travels_beside_a_slice(tmp_path):
    from salescoach.book.store import write_folder

    book = sample_book().for_rep(WEAK)
    write_folder(book, tmp_path)
    assert read_agreed(tmp_path) == Agreed()
    write_agreed(AGREED, tmp_path)
    assert read_agreed(tmp_path) == AGREED
    assert open_report(tmp_path, rep=WEAK, period=PERIOD).agreed == AGREED
    (tmp_path / "agreed.json").write_text("{", encoding="utf-8")
    with pytest.raises(StorageError, match=r"agreed\.json cannot be read"):
        read_agreed(tmp_path)


# --- for the manager alone -------------------------------------------------------------------------


def test_the_managers_sheet_says_for_whom_it_is_and_what_helps(report_of):
    report = report_of(WEAK)
    assert "for the manager only" in report.manager_only().html
    assert "Look for quotes never sent" in report.what_it_calls_for().html
    assert "Nothing to conclude yet" in report_of(STRONG).what_it_calls_for().html
    assert "no more than luck" in report.not_to_conclude().html


# a comma, colon or bracket of English beside a Chinese sign; a blank behind a Chinese full stop
HALF_WIDTH = re.compile("[\u4e00-\u9fff] ?[,;:(]|[,;:)] ?[\u4e00-\u9fff]|[。；，] ")


@pytest.mark.parametrize("rep", [WEAK, NONE_YET])
def test_in_chinese_every_piece_is_chinese(report_of, rep):
    report = report_of(rep, "zh")
    for name in (*FRONT, *OVER, *SHEET):
        text = re.sub(r"<[^>]*>", "", getattr(report, name)().html)
        assert re.search("[\u4e00-\u9fff]", text), name
        assert not re.search(r"\b(the|deals|usual|range)\b", text), (name, text)
        assert not HALF_WIDTH.search(text), (name, text)


# --- one sheet -------------------------------------------------------------------------------------


def as_in_an_office(language: str) -> bool:
    """Whether the browser has letters like those of Windows and macOS, by whose width a page is made."""
    if shutil.which("fc-match") is None:
        return True
    latin = subprocess.run(["fc-match", "-f", "%{family}", "Arial"], capture_output=True, text=True).stdout
    chinese = subprocess.run(["fc-list", ":lang=zh-cn", "family"], capture_output=True, text=True).stdout
    return bool(re.search("Arial|Liberation|Arimo|Helvetica", latin)) and (language != "zh" or bool(chinese.strip()))


def printed(page, code_cells, folder: Path, language: str) -> list[str]:
    """The text of each printed page, without blanks."""
    pypdf = pytest.importorskip("pypdf")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser to print with")
    if not as_in_an_office(language):
        pytest.skip("no letters as wide as Arial's, or no Chinese ones: here a page is longer than in an office")
    file, pdf = folder / "page.html", folder / "page.pdf"
    file.write_text(page(*code_cells, title="What should we talk about with this rep?", language=language), "utf-8")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments += [f"--user-data-dir={folder / 'profile'}", "--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
    subprocess.run([browser, *arguments, file.as_uri()], check=True, capture_output=True, timeout=120)
    # some fonts write 日 as the radical ⽇
    return ["".join(normalize("NFKC", sheet.extract_text()).split()) for sheet in pypdf.PdfReader(pdf).pages]


def fits(report, page, folder: Path, language: str) -> bool:
    pieces = [getattr(report, name)() for name in (*FRONT, *OVER)]
    sheets = printed(page, pieces, folder, language)
    last, over = (
        "".join(normalize("NFKC", report.say(text)).split()) for text in ("We look at it on:", "What was looked at")
    )
    return last in sheets[0] and over not in sheets[0] and len(sheets) >= 2


@pytest.mark.parametrize(("rep", "language"), [(WEAK, "en"), (STRONG, "zh")])
def test_the_front_is_one_sheet_of_a4(report_of, page, tmp_path, rep, language):
    assert fits(report_of(rep, language, MUCH), page, tmp_path, language)


@pytest.mark.nightly
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_front_of_everybody_is_one_sheet_of_a4(report_of, page, tmp_path, language):
    for rep in sample_book().people["rep_id"]:
        folder = tmp_path / rep
        folder.mkdir()
        assert fits(report_of(rep, language, MUCH), page, folder, language), rep
