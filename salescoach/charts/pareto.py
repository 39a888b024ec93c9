"""The Pareto chart: which few things make up most of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from salescoach.charts.drawing import BLUE, INK, LOST, VOID
from salescoach.charts.plots import BAR, _legend, _percent, _rows


def plot_pareto(
    table: pd.DataFrame,
    label: str,
    title: str,
    axis: str,
    legend: tuple[str, str, str],
    ax: Axes | None = None,
) -> Axes:
    """Shares of the whole as bars from top to bottom, with the line of what the rows down to each make up together.

    table    columns `label`, share, doubted (the part of the share that is in doubt; 0: none), recorded (false: the
             share of what nobody recorded, which is hatched), cumulative, text (what to write at the right)
    axis     says what the bars are shares of and what the line is
    legend   the words for a bar, its doubted part, and the bar of what is not recorded
    """
    ax = _rows(ax, table[label], table["text"].tolist(), title, axis, legend=True)
    y, share, doubted = np.arange(len(table)), table["share"].to_numpy(float), table["doubted"].to_numpy(float)
    known = table["recorded"].to_numpy(bool)
    looks: tuple[tuple[Any, Any, Any, dict[str, Any]], ...] = (
        (known, share, 0.0, {"color": BLUE}),
        (known & (doubted > 0), doubted, share - doubted, {"color": LOST, "hatch": "///", "edgecolor": "white"}),
        (~known, share, 0.0, {"color": VOID, "hatch": "xxx", "edgecolor": "white"}),
    )
    for (here, length, start, look), words in zip(looks, legend, strict=True):
        if here.any():
            left = np.broadcast_to(start, len(table))[here]
            ax.barh(y[here], length[here], left=left, height=BAR, label=words, lw=0, **look)
    ax.plot(table["cumulative"], y, color=INK, marker="o", ms=5, lw=1.2, ls="--", clip_on=False)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(FuncFormatter(_percent))
    _legend(ax)
    return ax
