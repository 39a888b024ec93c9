"""The sheet of paper: size, fonts, colours; and the finished picture with its alternative text."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito: told apart with any colour vision, and by their lightness in black and white
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#9aa5b1", "#1f2933"
WIDTH = 7.2
DPI = 144
CJK_FAMILIES = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei")


@dataclass(frozen=True)
class Drawing:
    """A finished picture: PNG bytes, the alternative text read aloud in its place, its width on the page in CSS pixels."""

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
    own = {"font.family": list(font_families()), "axes.unicode_minus": False, "text.parse_math": False, "axes.spines.top": False,
           "axes.spines.right": False, "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
           "ytick.color": INK, "axes.titlelocation": "left", "axes.titleweight": "normal", "axes.titlesize": 12.5, "axes.titlepad": 10}
    with rc_context({**look, **own}):
        yield


def new_axes(rows: int = 6, longest_label: int = 12, height: float | None = None) -> Axes:
    """Axes on a sheet whose margins are fixed beforehand, so that one drawing suffices.

    rows            horizontal rows to be shown; they set the height
    longest_label   display width of the longest label at the left, in Latin letters
    """
    tall = height or 1.25 + 0.34 * max(rows, 3)
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI)
    FigureCanvasAgg(figure)
    left = min(0.09 + 0.0105 * longest_label, 0.40)
    return figure.add_axes((left, 0.62 / tall, 0.96 - left, 1 - 1.07 / tall))


def display_width(text: str) -> int:
    """Latin letters a text is as wide as: a Chinese character counts for two."""
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


def to_drawing(axes: Axes, alt: str) -> Drawing:
    """Draw once. `alt` says in words what the picture shows."""
    if not alt.strip():
        raise ValueError("a chart needs an alternative text")
    figure = axes.get_figure(root=True)
    assert figure is not None
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Drawing(buffer.getvalue(), alt, round(WIDTH * 96))
