"""Funnel plot and cumulative incidence: they show the table they were given, and name only who is to be named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from salescoach import charts

LINES = ("all: 40%", "95 %", "99.8 %", "a rep")
ENDS = ("won", "still open", "lost", "95 % interval of won")


@pytest.fixture(autouse=True)
def our_style() -> Iterator[None]:
    with charts.style():
        yield


def reps() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pd.DataFrame({"n": [20, 60, 100], "value": [0.5, 0.42, 0.1], "label": ["", "", "Ana Souza"]})
    n = np.linspace(10, 110, 30)
    half = 1 / np.sqrt(n)
    ends = {
        "lower_95": 0.4 - half,
        "upper_95": 0.4 + half,
        "lower_998": 0.4 - 1.6 * half,
        "upper_998": 0.4 + 1.6 * half,
    }
    return table, pd.DataFrame({"n": n, **ends})


def funnel() -> Axes:
    return charts.plot_rate_funnel(*reps(), 0.4, "Who wins more than luck?", "decided deals", LINES)


def texts(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts if t.get_text()]


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    assert found is not None
    return [t.get_text() for t in found.get_texts()]


def test_every_rep_is_a_dot_and_only_the_one_outside_has_a_name() -> None:
    ax = funnel()
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    assert np.asarray(dots.get_offsets()).tolist() == [[20, 0.5], [60, 0.42], [100, 0.1]]
    assert texts(ax) == ["Ana Souza"] and ax.get_title("left") == "Who wins more than luck?"
    assert sorted(legend(ax)) == sorted(LINES)


def test_the_lines_are_those_of_the_table() -> None:
    _, limits = reps()
    drawn = [np.asarray(line.get_ydata()) for line in funnel().lines]
    for column in ("lower_95", "upper_95", "lower_998", "upper_998"):
        assert any(len(y) == len(limits) and (y == limits[column].to_numpy()).all() for y in drawn), column
    assert any(set(y) == {0.4} for y in drawn)


def days() -> pd.DataFrame:
    won = np.array([0.0, 0.2, 0.3])
    return pd.DataFrame(
        {"day": [0, 10, 30], "won": won, "won_low": won * 0.8, "won_high": won * 1.2, "open": [1.0, 0.7, 0.4]}
    )


def test_shares_add_up_to_all_on_every_day() -> None:
    ax = charts.plot_incidence(days(), "How do deals end?", "days", ENDS)
    assert sorted(legend(ax)) == sorted(ENDS)
    assert ax.get_xlim() == (0, 30) and ax.get_ylim() == (0, 1)
    # on day 20 the bands lie one upon the other: won to .2, still open to .9, lost to 1
    lost, still_open, won = (c.get_paths()[0] for c in ax.collections[:3])
    for path, low, high in ((won, 0.0, 0.2), (still_open, 0.2, 0.9), (lost, 0.9, 1.0)):
        assert path.contains_point((20, (low + high) / 2))
        assert not path.contains_point((20, high + 0.03)) and not path.contains_point((20, low - 0.03))


def test_a_chinese_page_has_its_signs() -> None:
    table, limits = reps()
    table["label"] = ["", "", "陈洁"]
    ax = charts.plot_rate_funnel(
        table, limits, 0.4, "谁的赢单多于运气？", "已关闭商机", ("全体", "内线", "外线", "代表")
    )
    drawing = charts.to_drawing(ax, "谁的赢单多于运气？")
    assert drawing.png.startswith(b"\x89PNG") and texts(ax) == ["陈洁"]


def test_the_table_is_left_as_it_was() -> None:
    table, limits = reps()
    before = table.copy(), limits.copy(), days()
    charts.plot_rate_funnel(table, limits, 0.4, "?", "n", LINES)
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(limits, before[1])
    shares = days()
    charts.plot_incidence(shares, "?", "days", ENDS)
    pd.testing.assert_frame_equal(shares, before[2])
