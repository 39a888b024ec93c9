"""Forecasts beside what came: a fan over past days, and chances against the share that was won."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import BLUE, INK, LINE, VOID, new_axes
from salescoach.charts.plots import _legend, _percent

ROWS = 8


def plot_fan(
    past: pd.DataFrame,
    ahead: pd.DataFrame,
    title: str,
    axis: str,
    words: tuple[str, str, str, str],
    money: Callable[[float], str],
    ax: Axes | None = None,
) -> Axes:
    """What was forecast on past days with its ranges, what came, and the forecast of now at the end.

    past    columns last_day (of the window), value, low, high, low_50, high_50, actual; in the order of days
    ahead   one row: last_day, value, low, high, low_50, high_50
    words   for what came, the forecast, its 50 % and its 80 % range
    money   number -> text for the axis
    """
    ax = ax if ax is not None else new_axes(ROWS, 6, 2, legend=2)
    came, told, inner, outer = words
    days = past["last_day"]
    ax.fill_between(days, past["low"], past["high"], color=BLUE, alpha=0.14, lw=0, label=outer)
    ax.fill_between(days, past["low_50"], past["high_50"], color=BLUE, alpha=0.24, lw=0, label=inner)
    ax.plot(days, past["value"], color=BLUE, lw=1.6, label=told)
    ax.plot(days, past["actual"], color=INK, lw=1.4, ls="--", marker="o", ms=3, label=came)
    now = ahead.iloc[0]
    ax.vlines(now["last_day"], now["low"], now["high"], color=BLUE, lw=3, alpha=0.35)
    ax.vlines(now["last_day"], now["low_50"], now["high_50"], color=BLUE, lw=6, alpha=0.5)
    ax.scatter([now["last_day"]], [now["value"]], s=52, color=BLUE, edgecolor=INK, zorder=4)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda amount, _: money(amount)))
    locator = AutoDateLocator(maxticks=8)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, formats=["%Y", "%Y-%m", "%m-%d", "%H:%M", "", ""]))
    _frame(ax, title, axis)
    return ax


def plot_calibration(
    table: pd.DataFrame, title: str, axis: str, words: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """The share that was won against the chance that was given; on the diagonal both are the same.

    table   columns expected (mean chance), value (share won), low, high (its range)
    words   for the diagonal and for a tenth of the deals
    """
    ax = ax if ax is not None else new_axes(ROWS, 5, 2, legend=1)
    same, tenth = words
    ax.plot([0, 1], [0, 1], color=VOID, lw=1.4, ls="--", label=same)
    ax.vlines(table["expected"], table["low"], table["high"], color=BLUE, lw=2, alpha=0.5)
    ax.scatter(table["expected"], table["value"], s=36, color=BLUE, edgecolor="white", lw=0.8, zorder=3, label=tenth)
    most = min(1.0, 1.08 * float(max(table["high"].max(), table["expected"].max(), 0.05)))
    ax.set_xlim(0, most)
    ax.set_ylim(0, most)
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_locator(MaxNLocator(6, min_n_ticks=2))
        side.set_major_formatter(FuncFormatter(_percent))
    _frame(ax, title, axis)
    return ax


def _frame(ax: Axes, title: str, axis: str) -> None:
    look: dict[str, Any] = {"color": LINE, "lw": 0.8}
    ax.grid(axis="y", **look)
    ax.set_axisbelow(True)
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    _legend(ax)
