"""The coaching session in a real browser, in Voilà and in JupyterLab, driven as a person would."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
NEEDED = ("playwright", "voila", "jupyterlab", "ipywidgets")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or bool(MISSING), reason=f"needs Chromium and {', '.join(MISSING or NEEDED)}"
)
WAIT = 90_000
EARLY = "reading 'create_view'"  # Voilà tries to draw before a model has come, and draws it again when it is there
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Running:
    """`salescoach app` as a process of its own, with its address."""

    def __init__(self, book: Path, *words: str) -> None:
        command = [sys.executable, "-c", "from salescoach.cli import main; main()", "app", "--book", str(book)]
        self.process = subprocess.Popen(
            [*command, "--no-browser", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # may be ignored in ours
        )
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if found := re.search(r"Open (http://127\.0\.0\.1:\d+/\S*token=\S+)", line):
                self.url = found.group(1)
                return
        raise AssertionError(said)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def voila(saved: Path) -> Iterator[Running]:
    running = Running(saved, "--front", "voila")
    yield running
    assert running.stop() == 130


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.foreign, opened.errors = [], []
    opened.on("request", lambda r: opened.foreign.append(r.url) if _is_foreign(r.url) else None)
    opened.on("pageerror", lambda error: EARLY in str(error) or opened.errors.append(str(error)))
    yield opened
    opened.close()


def _is_foreign(url: str) -> bool:
    return not url.startswith(("data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:"))


def keep(page: Any, name: str) -> None:
    """A picture to look at, where a folder is named for it."""
    if folder := os.environ.get("SALESCOACH_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def enter(page: Any, running: Running) -> None:
    page.goto(running.url)
    page.get_by_role("tab", name=re.compile("One page|一页纸")).wait_for(timeout=WAIT)
    page.get_by_text(re.compile("Quota attainment|目标完成")).first.wait_for(timeout=WAIT)


def choose(page: Any, rep: str) -> None:
    page.get_by_label(re.compile("^(Rep|销售代表)$")).select_option(label=rep)
    page.locator(".who", has_text=rep).first.wait_for(timeout=WAIT)


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_a_manager_picks_a_person_and_asks_what_if(page: Any, voila: Running, demo: Any) -> None:
    from salescoach.models import what_if_together
    from salescoach.reports import open_report

    enter(page, voila)
    keep(page, "voila-start")
    choose(page, "Chen Jie 陈洁")
    page.get_by_text("What should we talk about with this rep?").wait_for(timeout=WAIT)
    keep(page, "voila-page")
    tab(page, "Funnel & what if")
    slider = page.get_by_role("slider").first
    slider.wait_for(timeout=WAIT)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    told = page.get_by_text(re.compile(r"this goes with .* per quarter")).first
    told.wait_for(timeout=WAIT)
    now = float(slider.get_attribute("aria-valuenow"))
    keep(page, "voila-what-if")

    from salescoach.app.what_if import WhatIfPanel

    panel = WhatIfPanel(open_report(demo, rep="R09", period="last 365 days"))
    stage = panel.factors.stages[0]
    panel.conversions[stage].value = now
    expected = what_if_together(panel.factors, *panel.changes())
    assert panel.words(*panel.changes()) in told.inner_text() and expected.value > 0
    assert page.foreign == [] and page.errors == []


@pytest.mark.nightly
def test_chinese_at_a_click(page: Any, voila: Running) -> None:
    enter(page, voila)
    page.get_by_role("button", name="中文").click()
    page.get_by_role("tab", name="一页纸").wait_for(timeout=WAIT)
    choose(page, "Chen Jie 陈洁")
    tab(page, "漏斗与假设")
    page.get_by_text("如果某个阶段推进更多商机").wait_for(timeout=WAIT)
    keep(page, "voila-zh")
    assert page.foreign == [] and page.errors == []


@pytest.mark.nightly
def test_a_deal_is_found_and_told(page: Any, voila: Running) -> None:
    enter(page, voila)
    choose(page, "Chen Jie 陈洁")
    tab(page, "Deals")
    page.get_by_role("button", name="Amount", exact=True).click()
    first = page.locator(".salescoach-deal").first
    first.wait_for(timeout=WAIT)
    name = first.inner_text()
    page.get_by_placeholder("Filter by deal, stage or reason").fill(name[:12])
    page.get_by_text(re.compile("open deals, sorted by: Amount")).wait_for(timeout=WAIT)
    page.locator(".salescoach-deal").first.click()
    picture = page.locator("img[alt^='What happened to']")
    picture.wait_for(timeout=WAIT)
    keep(page, "voila-deals")
    assert name.rstrip("…")[:12] in picture.get_attribute("alt")
    assert page.foreign == [] and page.errors == []


def test_a_commitment_is_written_and_found_again_after_a_reload(page: Any, voila: Running) -> None:
    enter(page, voila)
    choose(page, "Daniel Novak")
    tab(page, "Commitments")
    field = page.get_by_label("Will do what")
    field.wait_for(timeout=WAIT)
    field.fill("send every quote within two days")
    page.get_by_label("Seen by").select_option(label="Win rate")
    page.get_by_role("button", name="Agree").click()
    page.get_by_text("the rep: send every quote within two days").wait_for(timeout=WAIT)
    keep(page, "voila-commitments")
    enter(page, voila)
    choose(page, "Daniel Novak")
    tab(page, "Commitments")
    page.get_by_text("the rep: send every quote within two days").wait_for(timeout=WAIT)
    page.get_by_role("button", name="kept", exact=True).click()
    page.get_by_text("Nothing is open between the two of you.").wait_for(timeout=WAIT)
    assert page.errors == []


@pytest.mark.nightly
def test_every_control_can_be_reached_by_the_keyboard(page: Any, voila: Running) -> None:
    enter(page, voila)
    choose(page, "Chen Jie 陈洁")
    tab(page, "Funnel & what if")
    page.get_by_role("slider").first.wait_for(timeout=WAIT)
    page.get_by_label("Team").focus()
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + '|' + (document.activeElement.role || '')"))
    assert any(r.startswith("SELECT") for r in reached) and any(r.startswith("BUTTON") for r in reached)
    assert any("slider" in r for r in reached)


@pytest.mark.nightly
def test_two_sessions_do_not_see_each_other(page: Any, browser: Any, voila: Running) -> None:
    other = browser.new_page()
    enter(page, voila)
    enter(other, voila)
    choose(page, "Chen Jie 陈洁")
    choose(other, "Daniel Novak")
    assert page.locator(".who").first.inner_text() == "Chen Jie 陈洁"
    assert other.locator(".who").first.inner_text() == "Daniel Novak"
    other.close()


def test_nobody_enters_without_the_token(page: Any, voila: Running) -> None:
    page.goto(voila.url.split("?")[0])
    page.wait_for_load_state()
    assert page.get_by_role("tab").count() == 0 and "Quota attainment" not in page.content()


@pytest.mark.nightly
def test_a_narrow_screen_needs_no_scrolling_to_the_side(page: Any, voila: Running) -> None:
    page.set_viewport_size({"width": 820, "height": 1180})
    enter(page, voila)
    keep(page, "voila-tablet")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


@pytest.mark.nightly
def test_a_rep_s_own_view_in_the_browser(page: Any, saved: Path, demo: Any) -> None:
    running = Running(saved, "--front", "voila", "--rep", "R06")
    try:
        page.goto(running.url)
        page.locator(".who", has_text="Daniel Novak").first.wait_for(timeout=WAIT)
        page.get_by_text("What should we talk about with this rep?").wait_for(timeout=WAIT)
        said = page.content()
        others = demo.people[demo.people["rep_id"] != "R06"]
        assert [name for name in others["rep"] if name in said] == []
        assert page.get_by_label("Rep", exact=True).count() == 0
        keep(page, "voila-own")
    finally:
        assert running.stop() == 130


@pytest.mark.nightly
def test_jupyterlab_shows_the_same(page: Any, saved: Path) -> None:
    running = Running(saved, "--front", "lab")
    try:
        page.goto(running.url)
        page.locator(".jp-Notebook").wait_for(timeout=WAIT)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=WAIT)
        page.locator(".jp-Notebook").click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.get_by_role("tab", name="Funnel & what if").wait_for(timeout=WAIT)
        page.get_by_label("Rep", exact=True).select_option(label="Chen Jie 陈洁")
        page.locator(".who", has_text="Chen Jie 陈洁").first.wait_for(timeout=WAIT)
        keep(page, "lab")
        assert page.foreign == []
    finally:
        assert running.stop() == 130


def test_ctrl_c_leaves_no_process_and_no_folder(saved: Path, tmp_path: Path) -> None:
    import psutil

    before = {p.pid for p in psutil.process_iter()}
    running = Running(saved, "--front", "voila")
    started = psutil.Process(running.process.pid).children(recursive=True)
    assert started
    folders = [Path(p.cwd()) for p in started]
    assert running.stop() == 130
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(p.is_running() and p.pid not in before for p in started):
        time.sleep(0.1)
    assert not [p for p in started if p.is_running()]
    assert not [f for f in folders if f.name.startswith("salescoach-app-") and f.exists()]


@pytest.mark.nightly
def test_the_one_page_is_saved_as_html_and_pdf(page: Any, voila: Running, tmp_path: Path) -> None:
    enter(page, voila)
    choose(page, "Daniel Novak")
    for button, ending, begins in (("Save as HTML", ".html", b"<!DOCTYPE html>"), ("Save as PDF", ".pdf", b"%PDF-")):
        page.get_by_role("button", name=button).click()
        link = page.locator(f"a[download$='{ending}']")
        link.wait_for(timeout=WAIT)
        with page.expect_download() as waiting:
            link.click()
        file = tmp_path / f"page{ending}"
        waiting.value.save_as(file)
        assert file.read_bytes().lower().startswith(begins.lower())
    assert "Daniel Novak" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.errors == []
