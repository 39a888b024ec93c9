"""Coaching charts: every mark stands where its number is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from salescoach import charts
from salescoach.charts.drawing import BLUE, SOFT


@pytest.fixture(autouse=True)
def our_style() -> Iterator[None]:
    with charts.style():
        yield


def bars(axes) -> list[tuple[float, float]]:
    return [(p.get_x(), p.get_width()) for p in axes.patches if isinstance(p, Rectangle)]


def dots(axes, edge: str | None = None) -> list[list[float]]:
    found = [c for c in axes.collections if isinstance(c, PathCollection)]
    return [
        o
        for c in found
        if edge is None or to_hex(c.get_edgecolor()[0]) == edge.lower()
        for o in c.get_offsets().tolist()
    ]


def test_observed_over_the_range_of_what_was_expected() -> None:
    table = pd.DataFrame(
        [("Ana", 0.5, 0.4, 0.2, 0.6, "n=20"), ("李伟", 0.3, 0.45, 0.35, 0.55, "n=60")],
        columns=["rep", "observed", "expected", "expected_low", "expected_high", "text"],
    )
    axes = charts.plot_expected(table, "rep", "What came?", "win rate", ("observed", "expected", "chance"))
    assert bars(axes) == [pytest.approx((0.2, 0.4)), pytest.approx((0.35, 0.2))]
    assert dots(axes, SOFT) == [[0.4, 0.0], [0.45, 1.0]]
    assert [0.5, 0.0] in dots(axes) and [0.3, 1.0] in dots(axes)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Ana", "李伟"]
    assert {t.get_text() for t in axes.get_legend().get_texts()} == {"observed", "expected", "chance"}
    left, right = axes.get_xlim()
    assert left < 0.2 and right > 0.6
    assert charts.to_drawing(axes, "a chart").png.startswith(b"\x89PNG")


def test_changes_over_the_band_of_what_is_too_small() -> None:
    table = pd.DataFrame(
        [
            ("Winning", 0.08, 0.03, 0.13, 0.06, True, "n=900"),
            ("Quotes", 0.02, -0.05, 0.09, np.nan, False, "n=30"),
        ],
        columns=["what", "change", "low", "high", "smallest", "clear", "text"],
    )
    axes = charts.plot_visible_changes(table, "what", "Seen?", "points", ("beyond", "within", "too small"))
    assert bars(axes)[0] == pytest.approx((-0.06, 0.12))
    assert np.isnan(bars(axes)[1][1])  # nothing could be seen: no band
    filled, hollow = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert (to_hex(filled.get_facecolor()[0]), filled.get_offsets().tolist()) == (BLUE.lower(), [[0.08, 0.0]])
    assert (to_hex(hollow.get_facecolor()[0]), hollow.get_offsets().tolist()) == ("#ffffff", [[0.02, 1.0]])
    ends = [line.tolist() for c in axes.collections if not isinstance(c, PathCollection) for line in c.get_segments()]
    assert [[0.03, 0.0], [0.13, 0.0]] in ends and [[-0.05, 1.0], [0.09, 1.0]] in ends


def test_minutes_stand_on_the_floor() -> None:
    table = pd.DataFrame(
        [("Ana", 15, 70, "85 min"), ("Ben", 15, 0, "15 min")], columns=["rep", "floor_minutes", "more_minutes", "text"]
    )
    axes = charts.plot_hours(table, "rep", "Where?", "minutes", ("floor", "more"))
    assert sorted(bars(axes)) == [(0.0, 15.0), (0.0, 15.0), (15.0, 0.0), (15.0, 70.0)]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["floor", "more"]
