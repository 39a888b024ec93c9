"""One function per picture: a finished table in, axes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from salescoach.charts.drawing import BLUE, GREEN, INK, ORANGE, display_width, new_axes


def _axes(ax: Axes | None, labels: Sequence[str], rows: int | None = None) -> Axes:
    return ax if ax is not None else new_axes(rows or len(labels), max((display_width(t) for t in labels), default=4))


def plot_intervals(table: pd.DataFrame, label: str, title: str, axis: str, reference: float | None = None,
                   reference_label: str = "", percent: bool = True, ax: Axes | None = None) -> Axes:
    """A dot with its interval per row, n at the right, in the order of the table.

    table       columns `label`, value, low, high, n; rows without a value show their n only
    reference   a vertical line (peers, target), named by `reference_label`
    """
    names = table[label].astype(str).tolist()
    ax = _axes(ax, names)
    y = np.arange(len(table))
    if reference is not None and reference == reference:
        ax.axvline(reference, color=ORANGE, lw=1.6, ls="--", zorder=1)
        ax.annotate(reference_label, (reference, 1), xycoords=("data", "axes fraction"), xytext=(4, -2), textcoords="offset points",
                    color=INK, fontsize=8, va="top")
    ax.hlines(y, table["low"], table["high"], color=BLUE, lw=2.4, alpha=0.55, zorder=2)
    seaborn.scatterplot(x=table["value"].to_numpy(float), y=y, color=BLUE, s=46, ax=ax, zorder=3, legend=False)
    _rows(ax, y, names, title, axis)
    if percent:
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _at_right(ax, y, [f"n={n:,}" for n in table["n"]])
    return ax


def plot_funnel(table: pd.DataFrame, label: str, title: str, axis: str, ax: Axes | None = None) -> Axes:
    """Bars of deals that reached each stage, the part still open there in another colour.

    table   columns `label`, reached, open, text (what to write at the bar's end), in the order of the stages
    """
    names = table[label].astype(str).tolist()
    ax = _axes(ax, names)
    y = np.arange(len(table))
    seaborn.barplot(x=table["reached"].to_numpy(float), y=y, orient="h", color=BLUE, errorbar=None, ax=ax, width=0.68)
    ax.barh(y, table["open"], left=table["reached"] - table["open"], height=0.68, color=ORANGE, hatch="///", edgecolor="white", lw=0)
    _rows(ax, y, names, title, axis)
    _at_right(ax, y, table["text"].tolist())
    return ax


def plot_stage_flow(table: pd.DataFrame, label: str, title: str, axis: str, peers_label: str = "", ax: Axes | None = None) -> Axes:
    """Conversion of each stage with its interval; a diamond marks what is usual among peers.

    table   columns `label`, value, low, high, n, and optional `peers`
    """
    ax = plot_intervals(table, label, title, axis, ax=ax)
    if "peers" in table and table["peers"].notna().any():
        y = np.arange(len(table))
        ax.scatter(table["peers"], y, marker="D", s=44, facecolor="white", edgecolor=ORANGE, lw=1.8, zorder=4, label=peers_label)
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, -0.14), frameon=False, fontsize=8, borderpad=0)
    ax.set_xlim(0, 1)
    return ax


def plot_targets(table: pd.DataFrame, label: str, title: str, axis: str, money: Any, ax: Axes | None = None) -> Axes:
    """Won amount as a bar with its interval, the target as a tick.

    table   columns `label`, won_amount, low_amount, high_amount, target, text
    money   number -> text for the axis
    """
    names = table[label].astype(str).tolist()
    ax = _axes(ax, names)
    y = np.arange(len(table))
    seaborn.barplot(x=table["won_amount"].to_numpy(float), y=y, orient="h", color=GREEN, errorbar=None, ax=ax, width=0.6)
    ax.hlines(y, table["low_amount"], table["high_amount"], color=INK, lw=1.2)
    ax.vlines(table["target"], y - 0.38, y + 0.38, color=ORANGE, lw=3)
    _rows(ax, y, names, title, axis)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    _at_right(ax, y, table["text"].tolist())
    return ax


def plot_pipeline(table: pd.DataFrame, label: str, title: str, axis: str, ax: Axes | None = None) -> Axes:
    """Open deals per stage; those that wait longer than typical in another colour.

    table   columns `label`, n, older_than_typical, text
    """
    names = table[label].astype(str).tolist()
    ax = _axes(ax, names)
    y = np.arange(len(table))
    seaborn.barplot(x=table["n"].to_numpy(float), y=y, orient="h", color=BLUE, errorbar=None, ax=ax, width=0.68)
    ax.barh(y, table["older_than_typical"], height=0.68, color=ORANGE, hatch="///", edgecolor="white", lw=0)
    _rows(ax, y, names, title, axis)
    _at_right(ax, y, table["text"].tolist())
    return ax


def plot_ages(table: pd.DataFrame, label: str, title: str, axis: str, ax: Axes | None = None) -> Axes:
    """Median days with their interval per row.

    table   columns `label`, value, low, high, n (days)
    """
    ax = plot_intervals(table, label, title, axis, percent=False, ax=ax)
    ax.set_xlim(left=0)
    return ax


def _rows(ax: Axes, y: np.ndarray[Any, Any], names: list[str], title: str, axis: str) -> None:
    ax.set_yticks(y, names)
    ax.set_ylim(len(names) - 0.45, -0.55)
    ax.set_ylabel("")
    ax.set_xlabel(axis, fontsize=9)
    ax.set_title(title, x=0, ha="left")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color="#e4e7eb", lw=0.8)
    ax.set_axisbelow(True)


def _at_right(ax: Axes, y: np.ndarray[Any, Any], texts: list[str]) -> None:
    """Texts right of the drawing area of each row, which makes room for them inside the axes."""
    low, high = ax.get_xlim()
    widest = max((display_width(t) for t in texts), default=0)
    ax.set_xlim(low, high + (high - low) * 0.013 * widest)
    for at, text in zip(y, texts, strict=True):
        ax.annotate(text, (1, at), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8, color=INK)


