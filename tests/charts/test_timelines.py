"""Two deals day by day: what is drawn, and where."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from salescoach import charts
from salescoach.charts.timelines import MARKS, plot_timelines

STAGES = ["寻找客户", "Quote"]
WORDS = {"contact": "contact", "quote": "quote sent", "won": "won", "lost": "lost", "push": "put off"}


def drawn(split: float | None = 12.0) -> Axes:
    stays = pd.DataFrame({"lane": [0, 0, 1], "place": [0, 1, 0], "from_day": [0, 5, 0], "to_day": [5, 30, 10]})
    marks = pd.DataFrame({"lane": [0, 0, 1, 0], "day": [3, 6, 10, 30], "what": ["contact", "quote", "won", "lost"]})
    with charts.style():
        return plot_timelines(
            stays,
            marks,
            ["上海正大 – CloudDesk", "B"],
            ["¥5", "¥7"],
            "Where?",
            "days",
            STAGES,
            WORDS,
            split,
            "day 12: late",
        )


def test_a_bar_per_stay_in_the_shade_of_its_stage() -> None:
    axes = drawn()
    bars = [(b.get_x(), b.get_width(), round(b.get_y() + b.get_height() / 2)) for b in axes.patches]
    assert bars == [(0, 5, 0), (5, 25, 0), (0, 10, 1)]
    shades = [to_hex(b.get_facecolor()) for b in axes.patches]
    assert shades[0] == shades[2] != shades[1]
    light = [sum(b.get_facecolor()[:3]) for b in axes.patches]
    assert light[0] > light[1] + 0.5  # told apart without colour too


def test_marks_stand_in_their_lane_contacts_below_and_the_rest_above() -> None:
    axes = drawn()
    places = {c.get_label(): c.get_offsets().tolist() for c in axes.collections}
    assert places["contact"][0][0] == 3 and 0 < places["contact"][0][1] < 0.5
    assert places["quote sent"][0][0] == 6 and -0.5 < places["quote sent"][0][1] < 0
    assert places["won"][0][0] == 10 and 0.5 < places["won"][0][1] < 1
    assert "put off" not in places


def test_the_day_on_which_they_part_is_marked_and_named() -> None:
    axes = drawn()
    [line] = axes.get_lines()
    assert list(line.get_xdata()) == [12, 12]
    assert "day 12: late" in [t.get_text() for t in axes.texts]
    assert not drawn(split=None).get_lines()


def test_the_legend_names_every_stage_and_the_marks_that_are_there() -> None:
    legend = drawn().get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == [*STAGES, "contact", "quote sent", "won", "lost"]


def test_chinese_names_have_glyphs(recwarn: pytest.WarningsRecorder) -> None:
    with charts.style():
        drawing = charts.to_drawing(drawn(), "two deals")
    assert drawing.png.startswith(b"\x89PNG") and not [w for w in recwarn if "Glyph" in str(w.message)]


def test_every_mark_has_a_shape_of_its_own() -> None:
    shapes = [look["marker"] for look in MARKS.values()]
    assert len(set(shapes)) == len(shapes)
