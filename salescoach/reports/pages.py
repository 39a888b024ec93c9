"""From an executed notebook to one self-contained, safe HTML file; and the index of a run."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any

from salescoach.charts.palette import palette
from salescoach.kit import kit_path
from salescoach.reports.blocks import environment
from salescoach.secrecy import blackened


def page_html(notebook: Any, title: str, language: str) -> str:
    """One HTML file: no code, no scripts, nothing fetched from anywhere; what looks like a secret is blackened."""
    page = {"title": title, "language": language, "css": skin()}
    html, _ = _exporter().from_notebook_node(_without_repeats(notebook), resources={"salescoach": page})
    return _with_contents(str(html))


def _with_contents(html: str) -> str:
    """With links to its sections before the first of them; not on a short page, nor on a sheet for a one-to-one."""
    sections = SECTION.findall(html)
    if len(sections) < FEWEST_SECTIONS or SHEET in html:
        return html
    links = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in sections)
    return html.replace("<h2", f'<nav class="contents">{links}</nav>\n<h2', 1)


def _without_repeats(notebook: Any) -> Any:
    """Without the cells that show again what the one before has just shown: a chart and a table may both be missing."""
    shorter, before = copy(notebook), None
    shorter.cells = []
    for cell in notebook.cells:
        shown = [output.get("data") for output in cell.get("outputs", [])]
        if not shown or shown != before:
            shorter.cells.append(_blackened(cell))
        before = shown
    return shorter


def _blackened(cell: Any) -> Any:
    """The cell without secrets in what it shows: a connection or an answer of a server may have been printed."""
    if not cell.get("outputs"):
        return cell
    safe = copy(cell)
    safe.outputs = [copy(output) for output in cell.outputs]
    for output in safe.outputs:
        if "text" in output:
            output["text"] = blackened(output["text"])
        if "data" in output:
            output["data"] = {kind: _text(kind, value) for kind, value in output["data"].items()}
    return safe


def _text(kind: str, value: Any) -> Any:
    return blackened(value) if isinstance(value, str) and not kind.startswith("image/png") else value


@cache
def stylesheet() -> str:
    """The look of what is shown, also where it stands within a page of somebody else's."""
    return _colours("light") + (kit_path("templates/report") / "style.css").read_text(encoding="utf-8")


def _colours(mode: str) -> str:
    """The palette of the charts as variables of the stylesheet."""
    return ":root { " + " ".join(f"--{name}: {colour};" for name, colour in palette(mode).items()) + " }\n"


@cache
def skin() -> str:
    """The look of a page of our own, with that for dark screens."""
    dark = (kit_path("templates/report") / "dark.css").read_text(encoding="utf-8")
    return f"{stylesheet()}@media screen and (prefers-color-scheme: dark) {{ {_colours('dark')} }}\n{dark}"


@cache
def _exporter() -> Any:
    from nbconvert.exporters import HTMLExporter

    places = [str(kit_path("templates"))]
    return HTMLExporter(template_name="report", extra_template_basedirs=places, optimistic_validation=True)


SECTION = re.compile(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', re.S)
FEWEST_SECTIONS = 4
SHEET = '<section class="sheet head">'

SEARCH = """const field = document.querySelector("input");
field.addEventListener("input", () => {
  const asked = field.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("tbody tr"))
    row.hidden = !row.textContent.toLowerCase().includes(asked);
});"""


def overview_html(
    title: str,
    language: str,
    facts: Sequence[str],
    sections: Sequence[Mapping[str, Any]],
    purpose: Sequence[str],
    search: str = "",
) -> str:
    """The index page.

    A section: title, note, who, report, rows of {name, links of {text, href}}; a link without href is a failure.
    With words for `search` it has a field that narrows the rows; its few lines of script are the only ones that the
    page allows, by their hash.
    """
    script = SEARCH if search else ""
    allowed = b64encode(hashlib.sha256(script.encode()).digest()).decode() if script else ""
    return (
        environment()
        .get_template("overview.html.j2")
        .render(
            title=title,
            language=language,
            css=skin(),
            facts=facts,
            sections=sections,
            purpose=purpose,
            search=search,
            script=script,
            allowed=allowed,
        )
    )
