"""Coaching: what was observed against what was expected, which changes could be seen at all, and where the hours go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import BLUE, INK, OTHER, SOFT, VOID
from salescoach.charts.drivers import _points
from salescoach.charts.plots import STEPS, _bars, _hatched, _legend, _percent, _round_steps, _rows

BAND = 0.52


def plot_expected(
    table: pd.DataFrame, label: str, title: str, axis: str, legend: tuple[str, str, str], ax: Axes | None = None
) -> Axes:
    """What was observed as a dot, over the range in which it would lie by chance around what was expected.

    table    columns `label`, observed, expected, expected_low, expected_high (shares), text (right of the row)
    legend   the words for observed, expected, and the range of chance
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y, words = np.arange(len(table)), dict(zip(("observed", "expected", "range"), legend, strict=True))
    low, high = (table[c].to_numpy(float) for c in ("expected_low", "expected_high"))
    ax.barh(y, high - low, left=low, height=BAND, color=VOID, alpha=0.32, lw=0, label=words["range"], zorder=1)
    diamond: dict[str, Any] = {"marker": "D", "s": 40, "facecolor": "white", "edgecolor": SOFT, "lw": 1.8}
    ax.scatter(table["expected"], y, **diamond, label=words["expected"], zorder=2)
    ax.scatter(table["observed"], y, s=46, color=BLUE, edgecolor="white", lw=0.8, label=words["observed"], zorder=3)
    ax.use_sticky_edges = False
    ax.margins(x=0.02)
    _round_steps(ax, whole=False)
    ax.xaxis.set_major_formatter(FuncFormatter(_percent))
    _legend(ax)
    return ax


def plot_visible_changes(
    table: pd.DataFrame, label: str, title: str, axis: str, legend: tuple[str, str, str], ax: Axes | None = None
) -> Axes:
    """Changes with their range around a line at zero, each over the band of those too small to be seen.

    table    columns `label`, change, low, high, smallest (shares; smallest null: nothing could be seen, no band), clear
             (beyond chance), text (right of the row)
    legend   the words for a change beyond chance, one within it, and the band
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y, clear = np.arange(len(table)), table["clear"].to_numpy(bool)
    change, low, high, smallest = (table[c].to_numpy(float) for c in ("change", "low", "high", "smallest"))
    beyond, within, band = legend
    ax.barh(y, 2 * smallest, left=-smallest, height=BAND, color=VOID, alpha=0.32, lw=0, label=band, zorder=1)
    ax.axvline(0, color=INK, lw=1.1, zorder=2)
    for here, face, words in ((clear, BLUE, beyond), (~clear, "white", within)):
        ax.hlines(y[here], low[here], high[here], color=BLUE, lw=2.2, alpha=0.55, zorder=3)
        ax.scatter(change[here], y[here], s=46, facecolor=face, edgecolor=BLUE, lw=1.4, label=words, zorder=4)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=STEPS))
    ax.xaxis.set_major_formatter(FuncFormatter(_points))
    _legend(ax)
    return ax


def plot_hours(
    table: pd.DataFrame, label: str, title: str, axis: str, legend: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """Minutes per person as a bar: the floor that everybody has, and hatched what the evidence adds.

    table    columns `label`, floor_minutes, more_minutes, text (right of the row)
    legend   the words for the floor and for what is added
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    _bars(ax, table["floor_minutes"], BLUE)
    if ax.patches:
        ax.patches[0].set_label(legend[0])
    _hatched(ax, table["more_minutes"], table["floor_minutes"], legend[1], OTHER)
    _round_steps(ax, whole=True)
    _legend(ax)
    return ax
