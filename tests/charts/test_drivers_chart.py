"""The forest plot shows each effect where it is, its interval around it, and the reference at zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from salescoach import charts
from salescoach.charts.drawing import BLUE, VOID

LEGEND = ("more than chance", "within chance", "reference")


@pytest.fixture(autouse=True)
def our_style() -> Iterator[None]:
    with charts.style():
        yield


def forest() -> pd.DataFrame:
    nan = float("nan")
    return pd.DataFrame(
        [
            ("Segment", "head", nan, nan, nan, ""),
            ("SMB", "reference", 0.0, nan, nan, "n=1,200"),
            ("Mid", "clear", -0.086, -0.109, -0.064, "n=400"),
            ("Amount", "head", nan, nan, nan, ""),
            ("twice as much", "unclear", 0.012, -0.02, 0.044, "n=1,600"),
        ],
        columns=["name", "kind", "effect", "low", "high", "text"],
    )


def drawn(table: pd.DataFrame) -> Any:
    return charts.plot_drivers(table, "name", "What goes with winning?", "points", LEGEND)


def test_every_row_stands_where_its_numbers_are() -> None:
    axes = drawn(forest())
    dots = {
        to_hex(c.get_edgecolor()[0]): c.get_offsets().tolist()
        for c in axes.collections
        if isinstance(c, PathCollection)
    }
    assert dots[BLUE.lower()] == [[-0.086, 2.0]] and dots[VOID.lower()] == [[0.012, 4.0]]
    assert [0.0, 1.0] in [point for points in dots.values() for point in points]
    lines = [s.tolist() for c in axes.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    assert [[-0.109, 2.0], [-0.064, 2.0]] in lines and [[-0.02, 4.0], [0.044, 4.0]] in lines


def test_the_rows_keep_their_order_and_their_words() -> None:
    axes = drawn(forest())
    assert [t.get_text() for t in axes.get_yticklabels()] == forest()["name"].tolist()
    assert [t.get_text() for t in axes.texts] == forest()["text"].tolist()
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list(LEGEND)
    assert axes.get_title(loc="left") == "What goes with winning?"


def test_the_axis_counts_points_with_their_sign_around_a_line_at_zero() -> None:
    axes = drawn(forest())
    axes.get_figure().canvas.draw()
    ticks = [t.get_text() for t in axes.get_xticklabels()]
    assert "0" in ticks and all(t[0] in "+−0" for t in ticks if t)
    assert any(np.allclose(line.get_xdata(), 0) for line in axes.lines)


def test_the_table_is_not_changed_and_the_picture_has_words() -> None:
    table = forest()
    drawing = charts.to_drawing(drawn(table), "Mid: −8.6 points")
    pd.testing.assert_frame_equal(table, forest())
    assert drawing.png.startswith(b"\x89PNG") and drawing.alt == "Mid: −8.6 points"
