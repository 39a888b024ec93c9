"""One page is one safe file: nothing fetched, nothing run, no code, every text of the data escaped."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

from salescoach.book import Book
from salescoach.errors import InputError
from salescoach.reports import find_story, open_report, overview_html, page_html, stories
from salescoach.reports.pages import stylesheet

MakeBook = Callable[..., Book]
Page = Callable[..., str]
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><h1>Out</h1>",
    "Smith & Sons &amp; Co",
    "\u202egnitekraM\u202c",
    "'; DROP TABLE deals; --",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --><style>*{display:none}</style>",
    "$\\frac{$ **bold** `code`",
]


class Skeleton(HTMLParser):
    """The elements of a page with their attributes, without texts and without what attributes say."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def book_with(make_book: MakeBook, name: str) -> Book:
    """A book in which everything that has a name has this one."""
    said = quoted(name)
    deals = "deal_id,rep_id,stage,created_at,closed_at,amount,expected_close_on,account_id,name,lost_reason,product\n"
    deals += f"D0,R1,Quote,2025-06-01,,50,2026-04-01,A1,{said},,{said}\n"
    history = "deal_id,entered_at,stage\nD0,2025-06-01,Quote\n"
    for i in range(1, 25):  # enough that went on to say what is typical, so that D0 is listed by its name
        deals += f"D{i},R1,Won,2026-01-01,2026-01-05,10,2026-02-01,A1,{said},,{said}\n"
        history += f"D{i},2026-01-01,Quote\nD{i},2026-01-02,Contract\nD{i},2026-01-05,Won\n"
    deals += f"D90,R2,Lost,2026-01-01,2026-02-30,10,2026-02-01,A1,{said},{said},{said}\n"
    deals += f"D91,R2,Lost,2026-01-01,2026-02-20,10,2026-02-01,A1,{said},{said},{said}\n"
    reps = f"rep_id,name,team,manager\nR1,{said},{said},{said}\nR2,Bob Stone,{said},{said}\n"
    return make_book(deals=deals, stage_history=history, reps=reps)


def key_page(book: Book, page: Page, name: str, language: str = "en") -> str:
    """Every piece that shows names, on one page that bears the name as its title."""
    team, rep = (open_report(book, **{who: name}, language=language) for who in ("team", "rep"))
    pieces = [team.heading(), team.roster(), team.waiting_deals(), team.set_aside(), team.remarks(), rep.heading()]
    pieces += [team.table("win_rate", by=by) for by in ("rep", "team", "manager", "product", "lost_reason")]
    pieces += [team.chart("win_rate", by="rep"), team.chart("pipeline", by="rep"), team.key_figures()]
    return page(*pieces, title="A question?", cells=()) + page_html(nbformat.v4.new_notebook(), name, language)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_the_data_never_become_elements(make_book: MakeBook, page: Page, tmp_path: Path, name: str) -> None:
    made = key_page(book_with(make_book, name), page, name)
    shutil.rmtree(tmp_path / "export")
    twin = "Ann" if name < "Bob Stone" else "Zoe"  # in the same place in the order of names
    benign = key_page(book_with(make_book, twin), page, twin)
    assert Skeleton(made).found == Skeleton(benign).found
    assert name not in made if set(name) & set("<&") else name in html.unescape(made)
    assert html.unescape(made).count(name) >= 8  # shown, not swallowed: tables, headings, alternative texts, title


def test_the_twin_test_would_find_an_element() -> None:
    assert Skeleton("<td>Ann</td>").found != Skeleton("<td><b>Ann</b></td>").found
    assert Skeleton('<img alt="Ann">').found != Skeleton('<img alt="" onerror="Ann">').found


@pytest.fixture
def whole(make_book: MakeBook, page: Page) -> str:
    report = open_report(make_book(), team="North", language="zh")
    return page(report.heading(), report.key_figures(), report.chart("funnel"), report.table("funnel"), language="zh")


def test_a_page_runs_and_fetches_nothing(whole: str) -> None:
    assert not re.search(r"<script|<iframe|<object|<embed|<link|<form|javascript:|\son\w+\s*=", whole, re.I)
    assert not re.search(r"https?:|//\w+\.\w+|@import|url\(", whole)
    assert f'content="{POLICY}"' in whole
    assert [s for s in re.findall(r'src="([^"]{0,30})', whole) if not s.startswith("data:image/png;base64,")] == []


def test_a_page_has_language_title_and_size(whole: str) -> None:
    assert whole.lstrip().startswith("<!DOCTYPE html>")
    assert '<html lang="zh">' in whole
    assert "<title>A question?</title>" in whole
    assert whole.count("<h1") == 1
    assert len(whole.encode("utf-8")) < 1_000_000


def test_every_picture_has_words_and_width(whole: str) -> None:
    pictures = re.findall(r"<img [^>]*>", whole)
    assert len(pictures) == 1
    assert all(re.search(r'alt="商机能走多远？ .+：\d', p) and re.search(r'width="\d+"', p) for p in pictures)


def test_no_code_and_no_parameters_are_shown(page: Page, code: Any) -> None:
    output = nbformat.v4.new_output("execute_result", data={"text/plain": "'secret'"}, execution_count=1)
    cells = (
        code('book = "/srv/private"', output, tags=("parameters",)),
        code('book = "/srv/private"', output, tags=("injected-parameters",)),
        code("shown = 1", nbformat.v4.new_output("stream", name="stdout", text="<b>42</b> deals")),
        code("warn()", nbformat.v4.new_output("stream", name="stderr", text="warning of a library")),
    )
    made = page(cells=cells)
    for hidden in ("/srv/private", "secret", "shown = 1", "warn()", "warning of a library", "In [", "Out["):
        assert hidden not in made, hidden
    assert "&lt;b&gt;42&lt;/b&gt; deals" in made


def test_an_error_says_what_is_wrong_without_a_traceback(page: Page, code: Any) -> None:
    trace = ["Traceback (most recent call last)", 'File "/srv/x.py", line 3', "\x1b[31mUsageError\x1b[0m"]
    error = nbformat.v4.new_output("error", ename="UsageError", evalue="There is no rep '<b>'.", traceback=trace)
    made = page(cells=(code("open_report(rep='<b>')", error),))
    assert """<div class="error">There is no rep '&lt;b&gt;'.</div>""" in made
    assert "Traceback" not in made and "/srv/x.py" not in made and "\x1b" not in made


@pytest.mark.parametrize(
    "kind", ["application/javascript", "image/svg+xml", "text/latex", "application/vnd.jupyter.widget-view+json"]
)
def test_what_could_run_is_left_out(page: Page, code: Any, kind: str) -> None:
    data = {kind: {"model_id": "x"} if kind.endswith("json") else "<svg onload=alert(1)>", "text/plain": "plain"}
    output = nbformat.v4.new_output("display_data", data=data)
    made = page(cells=(code("x", output),))
    assert "onload" not in made and "model_id" not in made


def test_a_page_leaves_the_notebook_as_it_was() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Why?")])
    before = nbformat.writes(notebook)
    page_html(notebook, "Why?", "en")
    assert nbformat.writes(notebook) == before


def test_the_same_notebook_gives_the_same_page(make_book: MakeBook, page: Page) -> None:
    book = make_book()
    first, second = (page(open_report(book).chart("funnel"), open_report(book).table("funnel")) for _ in range(2))
    assert first == second


# --- the index of a run ----------------------------------------------------------------------------


def test_the_index_escapes_and_marks_failures() -> None:
    name = HOSTILE[1]
    links = [{"text": name, "href": "reps/a%20b.html"}, {"text": "failed", "href": ""}]
    section = {"title": name, "note": name, "who": "Rep", "report": "Open", "rows": [{"name": name, "links": links}]}
    made = overview_html(name, "en", [name], [section], [name])
    assert name not in made and html.unescape(made).count(name) == 8
    assert made.count("<a ") == 1 and 'href="reps/a%20b.html"' in made
    assert '<span class="warn">failed</span>' in made
    assert POLICY in made and not re.search(r"<script|https?:", made)


# --- stories ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(stories()))
def test_a_story_reads_in_chinese_without_old_outputs(name: str) -> None:
    from salescoach.wording import words

    story = find_story(name)
    english, chinese = (story.read(words(language)).cells for language in ("en", "zh"))
    for before, after in zip(english, chinese, strict=True):
        if before.cell_type == "markdown":
            assert re.search(r"[\u4e00-\u9fff]", after.source), before.source
            assert not re.search(r"\d", re.sub(r"^#+ \d\.", "", before.source)) or "Report" in before.source, (
                before.source
            )
        else:
            assert before.source == after.source and after.outputs == []


def test_what_a_chart_and_its_table_both_lack_is_said_once(make_book: MakeBook, page: Page) -> None:
    report = open_report(make_book(leads=None))
    missing = (report.chart("response_time"), report.table("response_time"))
    said = "Response time: unavailable, because"
    assert page(*missing).count(said) == 1
    assert page(missing[0], report.peers_note(), missing[1]).count(said) == 2


def test_a_page_is_dark_on_a_dark_screen_only():
    skin = overview_html("t", "en", [], [], [])
    assert "@media screen and (prefers-color-scheme: dark)" in skin
    assert "prefers-color-scheme" not in stylesheet(), "within JupyterLab or Voilà their own theme decides"
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", part)) for part in skin.split("prefers-color-scheme", 1))
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for ink in ("ink", "soft", "blue", "won", "lost"):
            assert contrast(colours[ink], colours["paper"]) >= 4.5, f"{ink} is hard to read"


def contrast(one, other):
    """WCAG 2.2: (lighter + .05) / (darker + .05) of the relative luminances."""

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"worksheets": []}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path, text):
    (tmp_path / "mine.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.ipynb is no notebook of format 4"):
        find_story(str(tmp_path / "mine.ipynb"))
