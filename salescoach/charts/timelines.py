"""Two deals side by side, day by day: where each stood, when it was spoken to, and where the two part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from salescoach.charts.drawing import (
    BLUE,
    INK,
    LINE,
    LONGEST_TEXT,
    LOST,
    SOFT,
    WON,
    display_width,
    in_legend,
    new_axes,
    shortened,
)
from salescoach.charts.palette import stage_colours

LONGEST_NAME = 30
LANE_ROWS = 5  # rows of paper for two lanes
BAR = 0.34
MARKS_AT, TICKS_AT = -0.3, 0.27  # above and below the middle of a lane
IN_A_LEGEND = 4
# how each kind of mark looks: told apart by its shape where there is no colour
MARKS: dict[str, dict[str, Any]] = {
    "contact": {"marker": "|", "s": 60, "color": INK, "lw": 1.0},
    "quote": {"marker": "D", "s": 44, "facecolor": "white", "edgecolor": INK, "lw": 1.5},
    "push": {"marker": ">", "s": 46, "facecolor": LOST, "edgecolor": INK, "lw": 0.8},
    "amount": {"marker": "s", "s": 34, "facecolor": "white", "edgecolor": BLUE, "lw": 1.5},
    "won": {"marker": "*", "s": 150, "facecolor": WON, "edgecolor": INK, "lw": 0.8},
    "lost": {"marker": "X", "s": 80, "facecolor": LOST, "edgecolor": INK, "lw": 0.8},
    "open": {"marker": "o", "s": 60, "facecolor": "white", "edgecolor": INK, "lw": 1.5},
}


def plot_timelines(
    stays: pd.DataFrame,
    marks: pd.DataFrame,
    names: Sequence[str],
    texts: Sequence[str],
    title: str,
    axis: str,
    stages: Sequence[str],
    words: Mapping[str, str],
    split: float | None = None,
    split_label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """One lane per deal: a bar per stay, shaded by stage from light to dark; marks above it, contacts as ticks below.

    stays    lane (0 on top), place (of the stage in `stages`), from_day, to_day
    marks    lane, day, what (a key of `MARKS`)
    names    of the lanes; texts: what stands right of them
    stages   every stage's name in order; words: what each kind of mark is called, for the legend
    split    the day on which the deals part, named by split_label
    """
    used = [what for what in words if (marks["what"] == what).any()]
    handles, texts = len(stages) + len(used), [shortened(text, LONGEST_TEXT) for text in texts]
    if ax is None:
        left, right = (max(map(display_width, part), default=0) for part in (names, texts))
        rows = LANE_ROWS if len(names) > 1 else LANE_ROWS - 2
        ax = new_axes(rows, min(left, LONGEST_NAME), right, legend=-(-handles // IN_A_LEGEND))
    end = max(float(stays["to_day"].max()), float(marks["day"].max()), 1.0)
    shades = stage_colours(len(stages))
    for stay in stays.to_dict("records"):
        width = max(stay["to_day"] - stay["from_day"], end / 200)  # a stay of some hours can still be seen
        ax.barh(stay["lane"], width, BAR, stay["from_day"], color=shades[stay["place"]], edgecolor="white", lw=1)
    drawn: list[Any] = [
        Patch(facecolor=shade, label=in_legend(name)) for shade, name in zip(shades, stages, strict=True)
    ]
    for what in used:
        here = marks[marks["what"] == what]
        lift = TICKS_AT if what == "contact" else MARKS_AT
        drawn.append(
            ax.scatter(here["day"], here["lane"] + lift, **MARKS[what], zorder=4, clip_on=False, label=words[what])
        )
    _frame(ax, names, texts, title, axis, end)
    if split is not None:
        ax.axvline(split, color=SOFT, lw=1.8, ls="--", zorder=3)
        side: dict[str, Any] = (
            {"ha": "right", "xytext": (-5, 0)} if split > end / 2 else {"ha": "left", "xytext": (5, 0)}
        )
        ax.annotate(split_label, (split, 0.5), textcoords="offset points", va="center", fontsize=8.5, **side)
    _legend(ax, drawn)
    return ax


def _frame(ax: Axes, names: Sequence[str], texts: Sequence[str], title: str, axis: str, end: float) -> None:
    ax.set_yticks(np.arange(len(names)), [shortened(name, LONGEST_NAME) for name in names])
    ax.set_ylim(len(names) - 0.45, -0.55)
    ax.set_xlim(0, end * 1.02)
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LINE, lw=0.8)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    for lane, text in enumerate(texts):
        ax.annotate(text, (1, lane), xytext=(7, 0), **beside, ha="left", va="center", fontsize=8.5, color=INK)


def _legend(ax: Axes, handles: Sequence[Any]) -> None:
    figure = ax.get_figure(root=True)
    if figure is not None:
        place: dict[str, Any] = {"bbox_to_anchor": (ax.get_position().x0, 0.0), "bbox_transform": figure.transFigure}
        place |= {"ncols": IN_A_LEGEND, "borderaxespad": 0.2}
        ax.legend(handles=list(handles), loc="lower left", **place, frameon=False, fontsize=8.5)
