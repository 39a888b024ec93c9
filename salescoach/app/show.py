"""Finished pieces of a page as widgets: escaped HTML, pictures with their alternative text, one look."""

from __future__ import annotations

import base64
import re
from functools import cache
from html import escape
from typing import Any

import ipywidgets as widgets

from salescoach.charts import Drawing
from salescoach.kit import kit_path
from salescoach.reports.blocks import Block
from salescoach.reports.pages import stylesheet

SCOPE = "salescoach"


def as_html(piece: Block | Drawing) -> str:
    """One piece of a report as HTML; every text in it is escaped already, that of a picture is here."""
    if isinstance(piece, Drawing):
        data = base64.b64encode(piece.png).decode("ascii")
        return f'<img src="data:image/png;base64,{data}" alt="{escape(piece.alt)}" width="{piece.width}">'
    return piece.html


def shown(html: str, *more: str) -> widgets.HTML:
    """HTML in the look of our pages."""
    widget = widgets.HTML(_framed(html), layout=widgets.Layout(width="100%", overflow="visible"))
    for name in more:
        widget.add_class(name)
    return widget


def put(widget: widgets.HTML, html: str) -> None:
    """Other content for what `shown` made."""
    widget.value = _framed(html)


def said(text: str, kind: str = "empty") -> str:
    """A sentence in a frame; kind is empty or error."""
    return f'<div class="{kind}" role="status">{escape(text)}</div>'


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def _framed(html: str) -> str:
    return f'<div class="{SCOPE}">{html}</div>'


@cache
def style() -> str:
    """The stylesheet of our pages, holding only inside what `shown` makes, and the little that the app adds."""
    css = re.sub(r"@page\s*\{[^}]*\}", "", stylesheet())
    css = re.sub(r"(^|[\s}])(:root|html|body)(?=\s*\{)", r"\1&", css)
    added = (kit_path("templates/app") / "app.css").read_text(encoding="utf-8")
    return f"<style>.{SCOPE} {{ {css} & {{ max-width: none; padding: 0; margin: 0; }} }}\n{added}</style>"


def options(pairs: list[tuple[str, Any]], value: Any, label: str) -> widgets.Dropdown:
    """A list to choose from, with its label."""
    layout = widgets.Layout(width="auto")
    return widgets.Dropdown(options=pairs, value=value, description=label, layout=layout)
