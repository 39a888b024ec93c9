"""Print the one page, or save it as HTML or PDF: the same page that the scheduler makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as widgets

from salescoach.app.show import put, said, shown
from salescoach.book import Book, write_folder
from salescoach.errors import Sentence, StorageError
from salescoach.reports.report import Report
from salescoach.wording import N_

NOTEBOOK = "rep_review"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
DEADLINE = 300
MAKING = N_("Making the page …")
WHO = N_("Choose a person first: the page is about one person.")
NO_BROWSER = N_("For a PDF neither `chromium` nor `chrome` was found here: print the page and choose “Save as PDF”.")
SAVED = N_("The page of {who} is ready:")
MIME = {"html": "text/html", "pdf": "application/pdf"}


class ExportPanel:
    """Three buttons: print what is shown, save the one page as HTML, save it as PDF."""

    def __init__(self, report: Callable[[], Report], book: str | Path | Book) -> None:
        self.report, self.book = report, book
        say = report().say
        look = 'class="jupyter-button widget-button" style="width: 100%"'
        self.print = shown(f'<button {look} onclick="window.print()">{escape(say("Print"))}</button>')
        fitting = widgets.Layout(width="124px", flex="0 0 auto")
        self.html = widgets.Button(description=say("Save as HTML"), layout=fitting)
        self.pdf = widgets.Button(description=say("Save as PDF"), layout=fitting)
        self.html.on_click(lambda _: self.save("html"))
        self.pdf.on_click(lambda _: self.save("pdf"))
        self.print.layout = fitting
        self.message = shown("")
        self.widget = widgets.VBox([widgets.HBox([self.print, self.html, self.pdf]), self.message])

    def save(self, kind: str) -> None:
        """Make the page and offer it as a file."""
        report = self.report()
        say = report.say
        if not report.rep:
            put(self.message, said(say(WHO)))
            return
        if kind == "pdf" and _browser() is None:
            put(self.message, said(say(NO_BROWSER)))
            return
        put(self.message, said(say(MAKING)))
        try:
            with tempfile.TemporaryDirectory(prefix="salescoach-page-") as folder:
                page = one_page(report, self.book, Path(folder))
                file = page if kind == "html" else as_pdf(page)
                put(self.message, self._offered(file, kind))
        except StorageError as error:
            put(self.message, said(say(error.said), "error"))

    def _offered(self, file: Path, kind: str) -> str:
        say, who = self.report().say, self.report().who
        data = b64encode(file.read_bytes()).decode("ascii")
        name = f"{file.stem}.{kind}"
        link = f'<a download="{escape(name)}" href="data:{MIME[kind]};base64,{data}">{escape(name)}</a>'
        return f'<p role="status">{escape(say(SAVED, who=who))} {link}</p>'


def one_page(report: Report, book: str | Path | Book, folder: Path) -> Path:
    """The page of the one-to-one as HTML, made as any other report is. Raises StorageError where it cannot be made."""
    source = str(book)
    if isinstance(book, Book):
        source = str(folder / "book")
        Path(source).mkdir()
        write_folder(book, Path(source))
    rep_id = str(report.book.people["rep_id"].iloc[0])
    command = [sys.executable, "-c", "from salescoach.cli import main; main()", "report", NOTEBOOK, "--book", source]
    command += ["--rep", rep_id, "--language", report.say.language, "--out", str(folder / "out")]
    if report.period.start_on is not None:
        command += ["--period", report.period.label]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JPY_")} | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=DEADLINE, env=environment
    )
    pages = sorted((folder / "out").glob("*.html"))
    if done.returncode or not pages:
        said = done.stderr.strip()
        raise StorageError(said or Sentence("The page could not be made (exit code {code}).", code=done.returncode))
    return pages[0]


def as_pdf(page: Path) -> Path:
    """The page printed by a browser without a window. Raises StorageError where that fails."""
    browser, target = _browser(), page.with_suffix(".pdf")
    if browser is None:
        raise StorageError("No Chromium or Chrome was found. Print the page from a browser instead.")
    with tempfile.TemporaryDirectory(prefix="salescoach-browser-") as profile:
        flags = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses its sandbox to the administrator
        command = [browser, *flags, "--no-pdf-header-footer", f"--print-to-pdf={target}", page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=DEADLINE)
    if done.returncode or not target.is_file():
        raise StorageError(
            "{kind} could not print the page: {stderr}", kind=Path(browser).name, stderr=done.stderr.strip()[-300:]
        )
    return target


def _browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)
