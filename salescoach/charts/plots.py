"""One function per picture: a finished table in, axes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import (
    BLUE,
    INK,
    LINE,
    LONGEST_TEXT,
    LOST,
    OPEN,
    OTHER,
    SOFT,
    VOID,
    WON,
    display_width,
    in_legend,
    new_axes,
    shortened,
)

LONGEST_LABEL = 32  # the table beside the picture has the whole name
BAR = 0.66
STEPS = (1, 2, 2.5, 5, 10)
CURVE_ROWS = 7
IN_A_LEGEND = 20
LEGEND_COLUMNS = 3
# one look per line of a curve: told apart by marker and dashes where there is no colour
CURVES: tuple[tuple[str, str, Any], ...] = (
    (BLUE, "o", "-"),
    (OTHER, "s", "--"),
    (SOFT, "D", "-."),
    (INK, "^", ":"),
    (VOID, "v", (0, (5, 1, 1, 1, 1, 1))),
)


def plot_intervals(
    table: pd.DataFrame,
    label: str,
    title: str,
    axis: str,
    reference: float | None = None,
    reference_label: str = "",
    unit: str = "share",
    ax: Axes | None = None,
    money: Callable[[float], str] | None = None,
) -> Axes:
    """A dot with its interval per row, n at the right, in the order of the table.

    table       columns `label`, value, low, high, n; rows without a value show their n only, and an interval without
                an upper end runs into an arrow at the edge; values below zero are left of a line at zero
    reference   a vertical line (peers, target), named by `reference_label`
    unit        of the values: a share has an axis in percent, a count one of whole numbers, money one of amounts
    money       number -> text for an axis of amounts
    """
    named = reference is not None and reference == reference
    ax = _rows(ax, table[label], [f"n={n:,}" for n in table["n"]], title, axis, legend=named)
    y, value = np.arange(len(table)), table["value"].to_numpy(float)
    low, high = table["low"].to_numpy(float), table["high"].to_numpy(float)
    if named:
        ax.axvline(float(reference or 0), color=SOFT, lw=1.8, ls="--", zorder=1, label=reference_label)
    ax.hlines(y, low, high, color=BLUE, lw=2.6, alpha=0.55, zorder=2)
    seaborn.scatterplot(x=value, y=y, color=BLUE, s=46, ax=ax, zorder=3, legend=False)
    _round_steps(ax, whole=unit == "count")
    if unit == "share":
        ax.xaxis.set_major_formatter(FuncFormatter(_percent))
    if unit == "money" and money is not None:
        _amounts(ax, money)
    _from_zero(ax, [value, low, high])
    _open_ended(ax, y, low, high)
    _legend(ax)
    return ax


def plot_funnel(
    table: pd.DataFrame, label: str, title: str, axis: str, open_label: str, ax: Axes | None = None
) -> Axes:
    """Bars of deals that reached each stage, the part still open there hatched.

    table   columns `label`, reached, open, text (what to write at the bar's end), colour; in the order of the stages
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    _bars(ax, table["reached"], table["colour"])
    _hatched(ax, table["open"], table["reached"] - table["open"], open_label, OPEN)
    _round_steps(ax, whole=True)
    _legend(ax)
    return ax


def plot_stage_flow(
    table: pd.DataFrame, label: str, title: str, axis: str, peers_label: str = "", ax: Axes | None = None
) -> Axes:
    """Conversion of each stage with its interval; a diamond marks what is usual among peers.

    table   columns `label`, value, low, high, n, and optional `peers`
    """
    compared = "peers" in table and bool(table["peers"].notna().any())
    ax = ax if ax is not None else _sheet(table[label], [f"n={n:,}" for n in table["n"]], legend=compared)
    ax = plot_intervals(table, label, title, axis, ax=ax)
    ax.set_xlim(0, 1)
    if compared:
        look: dict[str, Any] = {"marker": "D", "s": 46, "facecolor": "white", "edgecolor": SOFT, "lw": 1.8}
        ax.scatter(table["peers"], np.arange(len(table)), **look, zorder=4, clip_on=False, label=peers_label)
        _legend(ax)
    return ax


def plot_targets(
    table: pd.DataFrame,
    label: str,
    title: str,
    axis: str,
    target_label: str,
    money: Callable[[float], str],
    ax: Axes | None = None,
) -> Axes:
    """What was achieved as a bar with its interval, the target as a tick across.

    table   columns `label`, achieved, low_achieved, high_achieved, target, text
    money   number -> text for the axis
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y = np.arange(len(table))
    _bars(ax, table["achieved"], WON)
    ax.hlines(y, table["low_achieved"], table["high_achieved"], color=INK, lw=1.2)
    outlined = [patheffects.withStroke(linewidth=6, foreground="white")]
    ax.vlines(table["target"], y - 0.4, y + 0.4, color=INK, lw=3.4, path_effects=outlined, label=target_label)
    _amounts(ax, money)
    ax.set_xlim(0, ax.get_xlim()[1])
    _legend(ax)
    return ax


def plot_pipeline(
    table: pd.DataFrame, label: str, title: str, axis: str, late_label: str, ax: Axes | None = None
) -> Axes:
    """Open deals per stage; those that wait longer than typical hatched.

    table   columns `label`, n, older_than_typical (null: nobody knows), text, colour
    """
    judged = bool(table["older_than_typical"].notna().any())
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=judged)
    _bars(ax, table["n"], table["colour"])
    if judged:
        _hatched(ax, table["older_than_typical"], 0, late_label, LOST)
    _round_steps(ax, whole=True)
    _legend(ax)
    return ax


def plot_bridge(
    table: pd.DataFrame,
    label: str,
    title: str,
    axis: str,
    legend: tuple[str, str, str],
    money: Callable[[float], str],
    ax: Axes | None = None,
) -> Axes:
    """A waterfall from top to bottom: what stands as full bars, what comes in and goes out as hatched ones between.

    table    columns `label`, from, to, direction (0 stands, 1 comes in, -1 goes out), text
    legend   the words for what stands, what comes in and what goes out
    money    number -> text for the axis
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y, start, end = np.arange(len(table)), table["from"].to_numpy(float), table["to"].to_numpy(float)
    looks: dict[int, dict[str, Any]] = {
        0: {"color": BLUE},
        1: {"color": WON, "hatch": "....", "edgecolor": "white"},
        -1: {"color": LOST, "hatch": "///", "edgecolor": "white"},
    }
    for (direction, look), words in zip(looks.items(), legend, strict=True):
        here = table["direction"].to_numpy() == direction
        ax.barh(y[here], (end - start)[here], left=start[here], height=BAR, label=words, lw=0, **look)
    stands = table["direction"].to_numpy() == 0
    joined = ~(stands[:-1] & stands[1:])  # where one bridge ends and the next one begins, nothing leads over
    ax.vlines(end[:-1][joined], y[:-1][joined], y[1:][joined], color=INK, lw=0.9, ls=":")
    _amounts(ax, money)
    _from_zero(ax, [start, end])
    _legend(ax)
    return ax


def plot_curve(
    table: pd.DataFrame,
    at: str,
    series: str,
    title: str,
    axis: str,
    ax: Axes | None = None,
) -> Axes:
    """Shares over a number of days: per line a marker with its interval at each of them, n in the legend.

    table   columns `series` (at most five different ones), `at` (days), value, low, high, n; a share that is not known
            has no marker
    """
    names = list(dict.fromkeys(table[series]))
    ax = ax if ax is not None else new_axes(CURVE_ROWS, 4, 2, legend=-(-len(names) // LEGEND_COLUMNS))
    places = {days: place for place, days in enumerate(sorted(set(table[at])))}
    for i, (name, look) in enumerate(zip(names, CURVES, strict=False)):
        rows = table[table[series] == name]
        colour, marker, dashes = look
        x = rows[at].map(places).to_numpy(float) + 0.09 * (i - (len(names) - 1) / 2)
        ax.vlines(x, rows["low"], rows["high"], color=colour, lw=2.2, alpha=0.55)
        words = in_legend(f"{shortened(str(name), IN_A_LEGEND)} (n={rows['n'].max():,})")
        ax.plot(x, rows["value"].to_numpy(float), color=colour, marker=marker, ls=dashes, lw=1.2, ms=6, label=words)
    ax.set_xticks(list(places.values()), [f"{days:,}" for days in places])
    ax.set_xlim(-0.4, len(places) - 0.6)
    ax.set_ylim(0, max(ax.get_ylim()[1], 0.05))
    ax.yaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=STEPS))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    ax.grid(axis="y", color=LINE, lw=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_ylabel("")
    ax.set_title(title)
    _legend(ax)
    return ax


def _sheet(names: pd.Series, texts: Sequence[str], legend: bool) -> Axes:
    longest = max((display_width(str(n)) for n in names), default=4)
    widest = max((display_width(t) for t in texts), default=4)
    return new_axes(len(names), min(longest, LONGEST_LABEL), 0.86 * widest, legend)


def _rows(ax: Axes | None, names: pd.Series, texts: Sequence[str], title: str, axis: str, legend: bool) -> Axes:
    """One row per name from top to bottom, its text right of the drawing area."""
    texts = [shortened(text, LONGEST_TEXT) for text in texts]
    ax = ax if ax is not None else _sheet(names, texts, legend)
    y = np.arange(len(names))
    ax.set_yticks(y, [shortened(str(n), LONGEST_LABEL) for n in names])
    ax.set_ylim(max(len(names), 1) - 0.45, -0.55)
    ax.set_ylabel("")
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LINE, lw=0.8)
    ax.set_axisbelow(True)
    for at, text in zip(y, texts, strict=True):
        beside: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (7, 0),
            "textcoords": "offset points",
        }
        ax.annotate(text, (1, at), **beside, ha="left", va="center", fontsize=8.5, color=INK)
    return ax


def _bars(ax: Axes, lengths: pd.Series, colour: str | pd.Series) -> None:
    colours = colour if isinstance(colour, str) else colour.tolist()
    ax.barh(np.arange(len(lengths)), lengths.to_numpy(float), height=BAR, color=colours, lw=0)


def _hatched(ax: Axes, lengths: pd.Series, left: pd.Series | int, label: str, colour: str) -> None:
    y = np.arange(len(lengths))
    look: dict[str, Any] = {"color": colour, "hatch": "///", "edgecolor": "white", "lw": 0}
    ax.barh(y, lengths, left=left, height=BAR, label=label, **look)


def _round_steps(ax: Axes, whole: bool) -> None:
    """Ticks at round numbers; at whole ones where things are counted."""
    ax.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=STEPS, integer=whole))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _percent(share: float, _: object = None) -> str:
    """As many decimals as the ticks need: 20 %, 2.5 %."""
    return f"{100 * share:.3g}%"


def _amounts(ax: Axes, money: Callable[[float], str]) -> None:
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
    ax.xaxis.set_major_locator(MaxNLocator(6))


def _from_zero(ax: Axes, values: Sequence[np.ndarray[Any, Any]]) -> None:
    """The axis begins at zero; where something is below, left of a line at zero."""
    known = np.concatenate([v[~np.isnan(v)] for v in values])
    if (known < 0).any():
        ax.axvline(0, color=INK, lw=1.1, zorder=1)
    else:
        ax.set_xlim(0, ax.get_xlim()[1])


def _open_ended(ax: Axes, y: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> None:
    """An arrow to the edge where the data give no upper end."""
    edge = ax.get_xlim()[1]
    for at in y[~np.isnan(low) & np.isnan(high)]:
        arrow = {"arrowstyle": "->", "color": BLUE, "alpha": 0.55, "lw": 2.6, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (edge, at), xytext=(low[at], at), arrowprops=arrow, zorder=2)


def _legend(ax: Axes) -> None:
    """Below the axis at the left, where nothing is drawn."""
    handles, labels = ax.get_legend_handles_labels()
    figure = ax.get_figure(root=True)
    if handles and figure is not None:
        place: dict[str, Any] = {"bbox_to_anchor": (ax.get_position().x0, 0.0), "bbox_transform": figure.transFigure}
        place |= {"ncols": LEGEND_COLUMNS, "borderaxespad": 0.2}
        ax.legend(handles, labels, loc="lower left", **place, frameon=False, fontsize=8.5)
