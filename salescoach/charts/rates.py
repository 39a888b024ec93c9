"""Funnel plot: the rate of each group against its number, between the lines that chance alone seldom crosses."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import BLUE, INK, LINE, SOFT, VOID, new_axes, shortened
from salescoach.charts.plots import LONGEST_LABEL, STEPS, _legend, _percent

ROWS = 9


def plot_rate_funnel(
    table: pd.DataFrame,
    limits: pd.DataFrame,
    rate: float,
    title: str,
    axis: str,
    words: tuple[str, str, str, str],
    ax: Axes | None = None,
) -> Axes:
    """A dot per group between lines of 95 % and 99.8 %, with the rate of all between them.

    table    columns n, value (a share), label (its name, empty where it is not named)
    limits   columns n (ascending), lower_95, upper_95, lower_998, upper_998
    rate     of all
    words    for the rate of all, the inner lines, the outer lines, and a group
    """
    ax = ax if ax is not None else new_axes(ROWS, 4, 2, legend=2)
    whole, inner, outer, group = words
    ax.axhline(rate, color=SOFT, lw=1.8, ls="--", label=whole, zorder=1)
    for name, colour, dashes, text in (("95", BLUE, "-", inner), ("998", INK, ":", outer)):
        ax.plot(limits["n"], limits[f"lower_{name}"], color=colour, ls=dashes, lw=1.3, label=text, zorder=2)
        ax.plot(limits["n"], limits[f"upper_{name}"], color=colour, ls=dashes, lw=1.3, zorder=2)
    ax.fill_between(limits["n"], limits["lower_95"], limits["upper_95"], color=VOID, alpha=0.16, lw=0, zorder=0)
    ax.scatter(table["n"], table["value"], s=38, color=BLUE, edgecolor="white", lw=0.8, zorder=3, label=group)
    for n, value, label in zip(table["n"], table["value"], table["label"], strict=True):
        away = 9 if value >= rate else -10
        place: dict[str, Any] = {"xytext": (0, away), "textcoords": "offset points", "ha": "center", "va": "center"}
        ax.annotate(shortened(label, LONGEST_LABEL), (n, value), **place, fontsize=8.5, color=INK)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=STEPS))
    ax.yaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=STEPS))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    ax.grid(axis="y", color=LINE, lw=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    _legend(ax)
    return ax
