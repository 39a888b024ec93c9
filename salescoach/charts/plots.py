"""One function per picture: a finished table in, axes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from salescoach.charts.drawing import BLUE, GREEN, INK, ORANGE, display_width, new_axes, shortened

LONGEST_LABEL = 32  # the table beside the picture has the whole name
BAR = 0.66


def plot_intervals(
    table: pd.DataFrame,
    label: str,
    title: str,
    axis: str,
    reference: float | None = None,
    reference_label: str = "",
    unit: str = "share",
    ax: Axes | None = None,
) -> Axes:
    """A dot with its interval per row, n at the right, in the order of the table.

    table       columns `label`, value, low, high, n; rows without a value show their n only, and an interval without
                an upper end runs into an arrow at the edge
    reference   a vertical line (peers, target), named by `reference_label`
    unit        of the values: a share has an axis in percent, a count one of whole numbers
    """
    named = reference is not None and reference == reference
    ax = _rows(ax, table[label], [f"n={n:,}" for n in table["n"]], title, axis, legend=named)
    y, value = np.arange(len(table)), table["value"].to_numpy(float)
    low, high = table["low"].to_numpy(float), table["high"].to_numpy(float)
    if named:
        ax.axvline(float(reference or 0), color=ORANGE, lw=1.8, ls="--", zorder=1, label=reference_label)
    ax.hlines(y, low, high, color=BLUE, lw=2.6, alpha=0.55, zorder=2)
    seaborn.scatterplot(x=value, y=y, color=BLUE, s=46, ax=ax, zorder=3, legend=False)
    _round_steps(ax, whole=unit == "count")
    if unit == "share":
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlim(0, ax.get_xlim()[1])
    _open_ended(ax, y, low, high)
    _legend(ax)
    return ax


def plot_funnel(
    table: pd.DataFrame, label: str, title: str, axis: str, open_label: str, ax: Axes | None = None
) -> Axes:
    """Bars of deals that reached each stage, the part still open there hatched.

    table   columns `label`, reached, open, text (what to write at the bar's end), in the order of the stages
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    _bars(ax, table["reached"], BLUE)
    _hatched(ax, table["open"], table["reached"] - table["open"], open_label)
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
        look: dict[str, Any] = {"marker": "D", "s": 46, "facecolor": "white", "edgecolor": ORANGE, "lw": 1.8}
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
    """Won amount as a bar with its interval, the target as a tick across.

    table   columns `label`, won_amount, low_amount, high_amount, target, text
    money   number -> text for the axis
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y = np.arange(len(table))
    _bars(ax, table["won_amount"], GREEN)
    ax.hlines(y, table["low_amount"], table["high_amount"], color=INK, lw=1.2)
    outlined = [patheffects.withStroke(linewidth=6, foreground="white")]
    ax.vlines(table["target"], y - 0.4, y + 0.4, color=INK, lw=3.4, path_effects=outlined, label=target_label)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlim(0, ax.get_xlim()[1])
    _legend(ax)
    return ax


def plot_pipeline(
    table: pd.DataFrame, label: str, title: str, axis: str, late_label: str, ax: Axes | None = None
) -> Axes:
    """Open deals per stage; those that wait longer than typical hatched.

    table   columns `label`, n, older_than_typical (null: nobody knows), text
    """
    judged = bool(table["older_than_typical"].notna().any())
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=judged)
    _bars(ax, table["n"], BLUE)
    if judged:
        _hatched(ax, table["older_than_typical"], 0, late_label)
    _round_steps(ax, whole=True)
    _legend(ax)
    return ax


def _sheet(names: pd.Series, texts: Sequence[str], legend: bool) -> Axes:
    longest = max((display_width(str(n)) for n in names), default=4)
    widest = max((display_width(t) for t in texts), default=4)
    return new_axes(len(names), min(longest, LONGEST_LABEL), 0.86 * widest, legend)


def _rows(ax: Axes | None, names: pd.Series, texts: Sequence[str], title: str, axis: str, legend: bool) -> Axes:
    """One row per name from top to bottom, its text right of the drawing area."""
    ax = ax if ax is not None else _sheet(names, texts, legend)
    y = np.arange(len(names))
    ax.set_yticks(y, [shortened(str(n), LONGEST_LABEL) for n in names])
    ax.set_ylim(max(len(names), 1) - 0.45, -0.55)
    ax.set_ylabel("")
    ax.set_xlabel(axis, fontsize=9, loc="left")
    ax.set_title(title)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color="#e4e7eb", lw=0.8)
    ax.set_axisbelow(True)
    for at, text in zip(y, texts, strict=True):
        beside: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (7, 0),
            "textcoords": "offset points",
        }
        ax.annotate(text, (1, at), **beside, ha="left", va="center", fontsize=8.5, color=INK)
    return ax


def _bars(ax: Axes, lengths: pd.Series, colour: str) -> None:
    y = np.arange(len(lengths))
    seaborn.barplot(x=lengths.to_numpy(float), y=y, orient="h", color=colour, errorbar=None, ax=ax, width=BAR)
    ax.set_yticks(y, [t.get_text() for t in ax.get_yticklabels()])


def _hatched(ax: Axes, lengths: pd.Series, left: pd.Series | int, label: str) -> None:
    y = np.arange(len(lengths))
    look: dict[str, Any] = {"color": ORANGE, "hatch": "///", "edgecolor": "white", "lw": 0}
    ax.barh(y, lengths, left=left, height=BAR, label=label, **look)


def _round_steps(ax: Axes, whole: bool) -> None:
    """Ticks at round numbers; at whole ones where things are counted."""
    ax.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=[1, 2, 2.5, 5, 10], integer=whole))


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
        ax.legend(handles, labels, loc="lower left", **place, ncols=3, frameon=False, fontsize=8.5, borderaxespad=0.2)
