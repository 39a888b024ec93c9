"""The Pareto chart shows the table it was given: bars, the part in doubt, what nobody recorded, and the line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from salescoach import charts

LEGEND = ("recorded", "in doubt", "(not recorded)")


@pytest.fixture(autouse=True)
def our_style() -> Iterator[None]:
    with charts.style():
        yield


def table(doubted: tuple[float, ...] = (0.1, 0.0, 0.0)) -> pd.DataFrame:
    share = np.array([0.5, 0.2, 0.3])
    return pd.DataFrame(
        {
            "name": ["no_budget", "价格", "(not recorded)"],
            "share": share,
            "doubted": doubted,
            "recorded": [True, True, False],
            "cumulative": share.cumsum(),
            "text": ["n=50 · ¥5", "n=20 · ¥2", "n=30 · ¥3"],
        }
    )


def draw(rows: pd.DataFrame) -> Axes:
    return charts.plot_pareto(rows, "name", "Which reasons cost us most?", "share of the lost amount", LEGEND)


def bars(ax: Axes) -> list[list[tuple[float, float, float]]]:
    """Per set of bars: row, left end, length."""
    sets = [c for c in ax.containers if isinstance(c, BarContainer)]
    return [[(b.get_y() + b.get_height() / 2, b.get_x(), b.get_width()) for b in c] for c in sets]


def test_bars_and_line_are_those_of_the_table() -> None:
    ax = draw(table())
    recorded, doubted, blank = bars(ax)
    np.testing.assert_allclose(recorded, [(0, 0, 0.5), (1, 0, 0.2)], atol=1e-12)
    np.testing.assert_allclose(doubted, [(0, 0.4, 0.1)])  # the last tenth of the first bar
    np.testing.assert_allclose(blank, [(2, 0, 0.3)])
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0.5, 0.7, 1.0])
    assert list(line.get_ydata()) == [0, 1, 2] and ax.get_xlim() == (0, 1)
    assert [t.get_text() for t in ax.texts] == ["n=50 · ¥5", "n=20 · ¥2", "n=30 · ¥3"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["no_budget", "价格", "(not recorded)"]


def test_what_is_not_recorded_and_what_is_in_doubt_are_told_apart_without_colour() -> None:
    ax = draw(table())
    looks = [c.patches[0].get_hatch() for c in ax.containers if isinstance(c, BarContainer)]
    assert len({look or "" for look in looks}) == 3


def test_the_legend_names_only_what_is_there() -> None:
    assert [t.get_text() for t in draw(table()).get_legend().get_texts()] == list(LEGEND)
    plain = table((0.0, 0.0, 0.0)).head(2)
    assert [t.get_text() for t in draw(plain).get_legend().get_texts()] == ["recorded"]


def test_the_picture_is_made_without_a_warning_and_the_table_stays_as_it_was() -> None:
    rows = table()
    before = rows.copy(deep=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = charts.to_drawing(draw(rows), "Which reasons cost us most?")
    assert drawing.png.startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(rows, before)
