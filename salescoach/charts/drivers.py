"""A forest plot: what goes with winning, in points, driver by driver."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salescoach.charts.drawing import BLUE, INK, LINE, SOFT, VOID
from salescoach.charts.plots import STEPS, _legend, _rows

HEAD, REFERENCE, CLEAR, UNCLEAR = "head", "reference", "clear", "unclear"


def plot_drivers(
    table: pd.DataFrame, label: str, title: str, axis: str, legend: tuple[str, str, str], ax: Axes | None = None
) -> Axes:
    """Effects with their intervals left and right of a line at zero, grouped under the name of their driver.

    table    columns `label`, effect, low, high (shares), text (right of the row) and kind: "head" (a driver's name),
             "reference" (a hollow mark at zero), "clear" (more than chance) or "unclear", in the order to be shown
    legend   the words for clear, unclear and reference
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y, kind = np.arange(len(table)), table["kind"].to_numpy()
    effect, low, high = (table[c].to_numpy(float) for c in ("effect", "low", "high"))
    ax.axvline(0, color=INK, lw=1.1, zorder=1)
    looks = {CLEAR: (BLUE, "o", BLUE), UNCLEAR: (VOID, "o", VOID), REFERENCE: (INK, "D", "white")}
    for (name, (colour, marker, face)), words in zip(looks.items(), legend, strict=True):
        here = kind == name
        ax.hlines(y[here], low[here], high[here], color=colour, lw=2.6, alpha=0.55, zorder=2)
        ax.scatter(effect[here], y[here], s=40, marker=marker, facecolor=face, edgecolor=colour, zorder=3, label=words)
    for tick, name in zip(ax.get_yticklabels(), kind, strict=True):
        tick.set_color(INK if name == HEAD else SOFT)
        tick.set_fontsize(9.5 if name == HEAD else 8.5)
    ax.hlines(y[kind == HEAD] - 0.5, *ax.get_xlim(), color=LINE, lw=0.8, zorder=0)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2, steps=STEPS))
    ax.xaxis.set_major_formatter(FuncFormatter(_points))
    _legend(ax)
    return ax


def _points(share: float, _: object = None) -> str:
    """+5, −2.5: points, with their sign."""
    return f"{100 * share:+.3g}".replace("-", "−") if round(100 * share, 9) else "0"
