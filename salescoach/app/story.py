"""A notebook shown piece by piece inside the app: the same cells as in the report, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as widgets

from salescoach.app.show import as_html, put, said, shown
from salescoach.errors import SalescoachError
from salescoach.reports.report import Report
from salescoach.reports.stories import PARAMETERS, find_story
from salescoach.wording import N_, Words

WORKING = N_("Working on it: {done} of {all} …")
FAILED = N_("This piece could not be made: {error}")
CALL = "report."
HEADING = "report.heading()"  # the app shows it above all tabs


def pieces_of(name: str, say: Words) -> list[tuple[str, str]]:
    """The cells of a notebook after its parameters: ("prose", HTML) or ("call", code)."""
    found: list[tuple[str, str]] = []
    for cell in find_story(name).read(say).cells:
        if cell.cell_type == "markdown":
            found.append(("prose", prose_html(cell.source)))
        elif PARAMETERS not in cell.metadata.get("tags", []):
            line = cell.source.strip().splitlines()[-1]
            if line.startswith(CALL) and line != HEADING:
                found.append(("call", line))
    return found


def prose_html(text: str) -> str:
    """Our own prose: headings and paragraphs, nothing else."""
    parts = []
    for block in text.split("\n\n"):
        marks = len(block) - len(block.lstrip("#"))
        plain = escape(block.lstrip("#").strip())
        parts.append(f"<h{marks}>{plain}</h{marks}>" if marks else f"<p>{plain}</p>")
    return "".join(parts)


def show_story(name: str, report: Report, into: widgets.VBox, going_on: Callable[[], bool] = lambda: True) -> None:
    """Fill a box with the pieces of a notebook, one after the other, with a line that says how far it is.

    going_on   asked before each piece: False where the reader has chosen something else meanwhile
    """
    say, cells = report.say, pieces_of(name, report.say)
    calls = sum(kind == "call" for kind, _ in cells)
    progress, done = shown(""), 0
    made: list[widgets.Widget] = []
    for kind, content in cells:
        if not going_on():
            return
        if kind == "call":
            put(progress, said(say(WORKING, done=done, all=calls)))
            into.children = (*made, progress)
            content, done = evaluated(content, report), done + 1
        made.append(shown(content))
    into.children = tuple(made)


def evaluated(call: str, report: Report) -> str:
    """The HTML of one piece; an error of ours is a sentence in its place."""
    try:
        return as_html(eval(call, {"__builtins__": {}}, {"report": report}))
    except SalescoachError as error:
        return said(report.say(FAILED, error=error.said), "error")
