"""Cumulative incidence: how many of a hundred deals are won, lost and still open as the days go by."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import INK, LOST, OPEN, WON, new_axes
from salescoach.charts.plots import STEPS, _legend, _percent

ROWS = 8


def plot_incidence(
    table: pd.DataFrame, title: str, axis: str, words: tuple[str, str, str, str], ax: Axes | None = None
) -> Axes:
    """Shares that add up to all deals on every day: won from below, lost from above, still open between them.

    table   columns day (ascending), won, won_low, won_high, open; each row holds until the next one
    words   for won, still open, lost, and the interval of won
    """
    ax = ax if ax is not None else new_axes(ROWS, 4, 2, legend=2)
    won, still_open, lost, interval = words
    day, top = table["day"], table["won"] + table["open"]
    ax.fill_between(day, top, 1, step="post", color=LOST, alpha=0.8, hatch="///", edgecolor="white", lw=0, label=lost)
    ax.fill_between(day, table["won"], top, step="post", color=OPEN, alpha=0.3, lw=0, label=still_open)
    ax.fill_between(day, 0, table["won"], step="post", color=WON, lw=0, label=won)
    ax.step(day, table["won_low"], where="post", color=INK, lw=1, ls="--", label=interval)
    ax.step(day, table["won_high"], where="post", color=INK, lw=1, ls="--")
    ax.step(day, table["won"], where="post", color=INK, lw=1.6)
    ax.set_xlim(day.iloc[0], day.iloc[-1])
    ax.set_ylim(0, 1)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=STEPS))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    _legend(ax)
    return ax
