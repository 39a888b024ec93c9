"""The sheet of paper: size, fonts, colours; and the finished picture with its alternative text."""

from __future__ import annotations

import base64
import importlib.util
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from salescoach.charts.palette import OUTCOMES, palette

_COLOURS = palette()
BLUE, OTHER, INK, SOFT, LINE = (_COLOURS[name] for name in ("blue", "other", "ink", "soft", "line"))
WON, LOST, OPEN, VOID = (_COLOURS[name] for name in OUTCOMES)
WIDTH = 8.4
DPI = 144
ROW = 0.34
FEWEST_ROWS = 2
EDGE = 0.012
HAIR_SPACE = "\u200a"
LONGEST_TEXT = 48  # beside a row: more would leave no room to draw
LETTER = 0.078  # inches that a letter of a label takes, generously
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
)


@dataclass(frozen=True)
class Drawing:
    """A finished picture: PNG bytes, the alternative text read aloud in its place, its width in CSS pixels."""

    png: bytes
    alt: str
    width: int

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"image/png": base64.b64encode(self.png).decode("ascii"), "text/plain": f"[{self.alt}]"}
        return data, {"image/png": {"alt": self.alt, "width": self.width}}


@cache
def font_families() -> tuple[str, ...]:
    """DejaVu Sans, then a family with Chinese glyphs: the system's, else the one that is installed with salescoach."""
    known = set(font_manager.get_font_names())
    system = [f for f in CJK_FAMILIES if f in known]
    return ("DejaVu Sans", system[0] if system else _installed_font())


def _installed_font() -> str:
    """Register Noto Sans SC from the package that carries it, without importing that package."""
    spec = importlib.util.find_spec("zhplot")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for file in sorted((Path(folder) / "fonts").glob("*.ttf")):
            font_manager.fontManager.addfont(str(file))
            return font_manager.FontProperties(fname=str(file)).get_name()
    return "DejaVu Sans"


@contextmanager
def style() -> Iterator[None]:
    """Our look, for the time of one drawing; nothing global is changed."""
    import seaborn

    look = {**seaborn.axes_style("white"), **seaborn.plotting_context("notebook", font_scale=0.85)}
    own = {
        "font.family": list(font_families()),
        "axes.unicode_minus": False,
        "text.parse_math": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": VOID,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titlelocation": "left",
        "axes.titleweight": "normal",
        "axes.titlesize": 12.5,
        "axes.titlepad": 10,
    }
    with rc_context({**look, **own}):
        yield


def new_axes(rows: int = 6, left: float = 12, right: float = 8, legend: int = 0) -> Axes:
    """Axes on a sheet whose margins are fixed beforehand, so that one drawing suffices.

    rows          horizontal rows to be shown; they set the height
    left, right   display width of the longest text left and right of the rows, in Latin letters
    legend        how many lines are kept free for a legend below the axis
    """
    above, below = 0.46, 0.60 + 0.24 * legend
    tall = above + below + ROW * max(rows, FEWEST_ROWS) + 0.1
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI)
    FigureCanvasAgg(figure)
    start, end = EDGE + (LETTER * left + 0.09) / WIDTH, 1 - EDGE - (LETTER * right + 0.06) / WIDTH
    axes = figure.add_axes((start, below / tall, end - start, 1 - (above + below) / tall))
    axes.set_title("", x=(EDGE - start) / (end - start))  # from the sheet's edge: a long question has its whole width
    return axes


def display_width(text: str) -> int:
    """Latin letters a text is as wide as: a Chinese character counts for two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def printable(text: str) -> str:
    """The text on one line: a blank for each line break and control character, nothing for what turns its direction."""
    kinds = {c: unicodedata.category(c) for c in set(text)}
    return text.translate({ord(c): "" if k == "Cf" else " " for c, k in kinds.items() if k in ("Cc", "Cf", "Zl", "Zp")})


def in_legend(text: str) -> str:
    """The text as the label of a legend's entry: matplotlib leaves out those that begin with an underscore."""
    return f"{HAIR_SPACE}{text}" if text.startswith("_") else text


def shortened(text: str, most: int) -> str:
    """The text as it can be drawn, cut with an ellipsis where it is wider than `most` Latin letters."""
    text = printable(text)
    if display_width(text) <= most:
        return text
    kept = ""
    for character in text:
        if display_width(kept + character) >= most:
            break
        kept += character
    return kept.rstrip() + "…"


def to_drawing(axes: Axes, alt: str) -> Drawing:
    """Draw once. `alt` says in words what the picture shows."""
    if not alt.strip():
        raise ValueError("a chart needs an alternative text")
    figure = axes.get_figure(root=True)
    assert figure is not None
    _clean(axes)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Drawing(buffer.getvalue(), alt, round(WIDTH * 96))


def _clean(axes: Axes) -> None:
    """Every text on the sheet as it can be drawn; the names at ticks, written anew by each drawing, come clean."""
    for part in axes.get_children():
        if not isinstance(part, Axis):
            for text in part.findobj(Text):
                text.set_text(printable(text.get_text()))
