"""Pictures show the table they were given, name their question, and fit on their sheet."""

from __future__ import annotations

import base64
import struct
import warnings
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from salescoach import charts
from salescoach.charts.drawing import display_width, font_families, shortened

QUESTION = "How many decided deals are won?"


@pytest.fixture(autouse=True)
def our_style() -> Iterator[None]:
    with charts.style():
        yield


def intervals(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["Ana", "Bo", "Cy"]
    value = np.linspace(0.2, 0.6, len(names))
    sizes = {"low": value - 0.1, "high": value + 0.2, "n": range(10, 10 + len(names))}
    return pd.DataFrame({"name": names, "value": value, **sizes})


def funnel(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["Quote", "Won"]
    reached = np.arange(40, 40 - len(names), -1)
    texts = [f"n={r}" for r in reached]
    return pd.DataFrame({"name": names, "reached": reached, "open": reached // 4, "text": texts, "colour": "#0072b2"})


def targets(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["2026Q1", "2026Q2"]
    won = np.arange(1, len(names) + 1) * 1e5
    ends = {"low_achieved": won * 0.5, "high_achieved": won * 1.5, "target": won * 1.2, "text": "83% · n=4"}
    return pd.DataFrame({"name": names, "achieved": won, **ends})


def pipeline(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["Quote", "Contract"]
    n = np.arange(5, 5 + len(names))
    shown = {"older_than_typical": n // 2, "text": "n=5 · ¥1,250,000", "colour": "#0072b2"}
    return pd.DataFrame({"name": names, "n": n, **shown})


def bridge(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["Open before", "New", "Lost", "Open at the end"]
    n = len(names)
    start, end = np.r_[0.0, np.arange(1, n)] * 1e5, np.arange(1, n + 1) * 1e5
    directions = np.resize([0, 1, -1], n)
    return pd.DataFrame({"name": names, "from": start, "to": end, "direction": directions, "text": "n=5 · ¥1,250,000"})


def curve(names: list[str] | None = None) -> pd.DataFrame:
    names = names or ["Ana", "Bo"]
    rows = pd.DataFrame({"series": np.repeat(names, 3), "within_days": [30, 90, 365] * len(names), "n": 12})
    value = np.linspace(0.1, 0.3, len(rows))
    return rows.assign(value=value, low=value - 0.05, high=value + 0.05)


PLOTS = {
    "intervals": (partial(charts.plot_intervals, reference=0.3, reference_label="others"), intervals),
    "stage_flow": (
        partial(charts.plot_stage_flow, peers_label="others"),
        lambda names=None: intervals(names).assign(peers=0.5),
    ),
    "funnel": (partial(charts.plot_funnel, open_label="still open there"), funnel),
    "pipeline": (partial(charts.plot_pipeline, late_label="longer than typical"), pipeline),
    "targets": (
        partial(charts.plot_targets, target_label="target", money=lambda amount: f"¥{amount / 1e4:.0f}万"),
        targets,
    ),
    "bridge": (
        partial(charts.plot_bridge, legend=("stands", "comes in", "goes out"), money=lambda amount: f"¥{amount:,.0f}"),
        bridge,
    ),
}


def draw(kind: str, names: list[str] | None = None, question: str = QUESTION) -> Axes:
    plot, table = PLOTS[kind]
    return plot(table(names), "name", question, "what is shown")


def bars(ax: Axes, which: int = 0) -> list[float]:
    """Lengths of the bars of one container, from top to bottom."""
    return [bar.get_width() for bar in sorted(ax.containers[which], key=lambda b: b.get_y())]


def spans(ax: Axes, which: int = 0) -> list[list[float]]:
    """From and to of horizontal lines, from top to bottom."""
    lines = [c for c in ax.collections if isinstance(c, LineCollection)][which]
    return [[float(path.vertices[0][0]), float(path.vertices[1][0])] for path in lines.get_paths()]


# --- what is drawn is what the table says --------------------------------------------------------


def test_intervals_show_value_low_high_and_n() -> None:
    table = intervals()
    ax = charts.plot_intervals(table, "name", QUESTION, "share", reference=0.3, reference_label="others")
    dots = ax.collections[1].get_offsets()
    np.testing.assert_allclose(dots[:, 0], table["value"])
    np.testing.assert_allclose(spans(ax), table[["low", "high"]])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Ana", "Bo", "Cy"]
    assert [t.get_text() for t in ax.texts] == ["n=10", "n=11", "n=12"]
    assert list(ax.lines[0].get_xdata()) == [0.3, 0.3]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["others"]


def test_rows_stand_in_the_order_of_the_table_from_top_to_bottom() -> None:
    ax = draw("intervals", ["Zoe", "Ana"])
    bottom, top = ax.get_ylim()
    assert bottom > top
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Zoe", "Ana"]


def test_a_row_without_a_value_has_no_dot_but_its_n() -> None:
    table = intervals().assign(n=[0, 11, 12])
    table.loc[0, ["value", "low", "high"]] = np.nan
    ax = charts.plot_intervals(table, "name", QUESTION, "share")
    assert np.isfinite(np.ma.filled(ax.collections[1].get_offsets(), np.nan)[:, 0]).sum() == 2
    assert ax.texts[0].get_text() == "n=0"


def test_an_interval_without_an_upper_end_runs_to_the_edge() -> None:
    table = intervals()
    table.loc[1, "high"] = np.nan
    ax = charts.plot_intervals(table, "name", QUESTION, "days", unit="days")
    arrows = [t for t in ax.texts if t.arrow_patch is not None]
    assert [a.xy for a in arrows] == [(ax.get_xlim()[1], 1)]
    assert [a.xyann[0] for a in arrows] == [table["low"][1]]


def test_stage_flow_marks_the_others_and_keeps_to_the_whole() -> None:
    ax = draw("stage_flow")
    diamonds = next(c for c in ax.collections if c.get_label() == "others")
    assert diamonds.get_offsets()[:, 0].tolist() == [0.5, 0.5, 0.5]
    assert ax.get_xlim() == (0, 1)


def test_stage_flow_without_others_has_no_legend() -> None:
    ax = charts.plot_stage_flow(intervals().assign(peers=np.nan), "name", QUESTION, "share", "others")
    assert ax.get_legend() is None


def test_the_funnel_hatches_the_open_part_at_the_end_of_each_bar() -> None:
    table, ax = funnel(), draw("funnel")
    assert bars(ax) == table["reached"].tolist()
    assert bars(ax, 1) == table["open"].tolist()
    assert [b.get_x() for b in ax.containers[1]] == (table["reached"] - table["open"]).tolist()
    assert {b.get_hatch() for b in ax.containers[1]} == {"///"}


def test_the_pipeline_hatches_what_waits_too_long() -> None:
    table, ax = pipeline(), draw("pipeline")
    assert bars(ax) == table["n"].tolist()
    assert bars(ax, 1) == table["older_than_typical"].tolist()


def test_the_pipeline_hatches_nothing_where_nobody_knows_what_waits() -> None:
    table = pipeline().assign(older_than_typical=np.nan)
    ax = charts.plot_pipeline(table, "name", QUESTION, "open deals", "longer than typical")
    assert len(ax.containers) == 1 and ax.get_legend() is None


@pytest.mark.parametrize("kind", ["funnel", "pipeline", "counts"])
def test_where_deals_are_counted_the_axis_has_whole_numbers(kind: str) -> None:
    # Three deals at most: steps of a half would fit.
    few = {"n": [3, 1], "reached": [3, 1], "open": [1, 0], "older_than_typical": [1, 0]}
    if kind == "counts":
        table = intervals(["Web", "Fair"]).assign(value=[2.0, 1.0], low=[1.0, 0.5], high=[2.9, 2.0])
        ax = charts.plot_intervals(table, "name", QUESTION, "count", unit="count")
    else:
        plot, table = PLOTS[kind]
        ax = plot(table().assign(**{c: v for c, v in few.items() if c in table()}), "name", QUESTION, "deals")
    assert [t for t in ax.get_xticks() if t % 1] == []


def test_targets_show_amount_interval_and_target() -> None:
    table, ax = targets(), draw("targets")
    assert bars(ax) == table["achieved"].tolist()
    np.testing.assert_allclose(spans(ax, 0), table[["low_achieved", "high_achieved"]])
    np.testing.assert_allclose([s[0] for s in spans(ax, 1)], table["target"])
    assert ax.xaxis.get_major_formatter()(150_000) == "¥15万"


def test_values_below_zero_stand_left_of_a_line_at_zero() -> None:
    table = intervals().assign(value=[-0.2, 0.1, 0.3], low=[-0.4, -0.1, 0.2], high=[0.0, 0.2, 0.4])
    ax = charts.plot_intervals(table, "name", QUESTION, "share")
    assert ax.get_xlim()[0] < -0.4
    assert [list(line.get_xdata()) for line in ax.lines] == [[0, 0]]
    assert charts.plot_intervals(intervals(), "name", QUESTION, "share").get_xlim()[0] == 0


def test_an_axis_of_amounts_is_written_as_amounts() -> None:
    table = intervals().assign(value=[1e5, 2e5, 3e5], low=1e5, high=4e5)
    ax = charts.plot_intervals(table, "name", QUESTION, "x", unit="money", money=lambda v: f"¥{v / 1e4:.0f}万")
    assert ax.xaxis.get_major_formatter()(150_000) == "¥15万"


@pytest.mark.parametrize(("share", "text"), [(0.1, "10%"), (0.025, "2.5%"), (0.3, "30%"), (1.0, "100%"), (0.0, "0%")])
def test_percents_have_the_decimals_that_they_need(share: float, text: str) -> None:
    ax = charts.plot_intervals(intervals(), "name", QUESTION, "share")
    assert ax.xaxis.get_major_formatter()(share) == text


def test_a_bridge_goes_from_what_stood_to_what_stands() -> None:
    table = bridge().assign(**{"from": [0, 10, 25, 0], "to": [10, 25, 5, 5], "direction": [0, 1, -1, 0]})
    ax = charts.plot_bridge(table, "name", QUESTION, "amount", ("stands", "in", "out"), str)
    found = {
        bar.get_y() + bar.get_height() / 2: (bar.get_x(), bar.get_x() + bar.get_width(), bar.get_hatch())
        for container in ax.containers
        for bar in container
    }
    places = [found[y] for y in sorted(found)]
    assert places == [(0, 10, None), (10, 25, "...."), (25, 5, "///"), (0, 5, None)]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["stands", "in", "out"]


def test_a_curve_shows_each_share_with_its_interval() -> None:
    table = curve()
    ax = charts.plot_curve(table, "within_days", "series", QUESTION, "days")
    for line, name in zip(ax.lines, ["Ana", "Bo"], strict=True):
        np.testing.assert_allclose(line.get_ydata(), table.loc[table["series"] == name, "value"])
    ends = [list(path.vertices[:, 1]) for lines in ax.collections for path in lines.get_paths()]
    np.testing.assert_allclose(ends, table[["low", "high"]])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["30", "90", "365"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["Ana (n=12)", "Bo (n=12)"]
    # told apart without colour
    assert len({(line.get_marker(), line.get_linestyle()) for line in ax.lines}) == 2


def test_a_share_that_is_not_known_has_no_marker() -> None:
    table = curve(["Ana"]).assign(value=[0.1, 0.2, np.nan])
    ax = charts.plot_curve(table, "within_days", "series", QUESTION, "days")
    assert np.isnan(ax.lines[0].get_ydata()[-1])


def test_a_curve_of_five_long_names_stays_on_its_sheet() -> None:
    names = [f"{name} {i}" for i in range(5) for name in SHAPES["long names"][:1]]
    ax = charts.plot_curve(curve(names), "within_days", "series", QUESTION, "days")
    figure = ax.get_figure(root=True)
    charts.to_drawing(ax, "what it shows")
    box = ax.get_legend().get_window_extent(figure.canvas.get_renderer())
    assert box.x1 <= figure.bbox.x1 and box.y0 >= 0
    assert box.y1 <= ax.xaxis.label.get_window_extent(figure.canvas.get_renderer()).y0


@pytest.mark.parametrize("kind", PLOTS)
def test_axes_of_ones_own_are_used(kind: str) -> None:
    own = charts.new_axes(2)
    plot, table = PLOTS[kind]
    assert plot(table(), "name", QUESTION, "x", ax=own) is own


# --- how it looks --------------------------------------------------------------------------------

SHAPES = {
    "one row": ["Ana"],
    "25 reps": [f"Rep number {i}" for i in range(25)],
    "long names": [
        "Maximiliana Featherstonehaugh-Cholmondeley of the North",
        "上海安信文化传媒股份有限公司华东区大客户部",
    ],
    "mathtext": [r"$\frac{$", "_Ann", "100 % & $5", "a_b^c"],
    "Chinese": ["李伟", "欧阳娜娜"],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", PLOTS)
def test_every_text_stands_on_the_sheet_and_none_on_another(kind: str, shape: str) -> None:
    question = "Which stage lets deals through, which holds them back?"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is only a warning
        ax = draw(kind, SHAPES[shape], question)
        charts.to_drawing(ax, "what it shows")
    figure = ax.get_figure(root=True)
    renderer = figure.canvas.get_renderer()
    legend = ax.get_legend()
    texts = [
        ax._left_title,
        ax.xaxis.label,
        *ax.get_yticklabels(),
        *[t for t in ax.get_xticklabels() if 0 <= t.get_position()[0] <= ax.get_xlim()[1]],
        *[t for t in ax.texts if t.get_text()],
        *(legend.get_texts() if legend else []),
    ]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text()]
    assert len(boxes) > len(SHAPES[shape])
    for text, box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, f"{text} leaves the sheet at a side"
        assert box.y0 >= 0 and box.y1 <= figure.bbox.y1, f"{text} leaves the sheet above or below"
    for i, (text, box) in enumerate(boxes):
        for other, place in boxes[i + 1 :]:
            assert not box.overlaps(place), f"{text} stands on {other}"


@pytest.mark.parametrize("kind", PLOTS)
def test_the_title_is_the_question(kind: str) -> None:
    assert draw(kind).get_title(loc="left") == QUESTION


def test_text_is_never_read_as_formula() -> None:
    ax = draw("intervals", [r"$\frac{$", "_Ann", "$x^2$"])
    assert [t.get_text() for t in ax.get_yticklabels()] == [r"$\frac{$", "_Ann", "$x^2$"]
    assert not any(t.get_parse_math() for t in [*ax.get_yticklabels(), *ax.texts, ax._left_title])


def test_colours_are_told_apart_in_black_and_white() -> None:
    from matplotlib.colors import to_rgb

    from salescoach.charts.drawing import BLUE, INK, VOID

    def lightness(colour: str) -> float:
        return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))

    found = sorted(map(lightness, (INK, BLUE, VOID)))
    assert min(np.diff(found)) > 0.15


def test_a_chinese_character_is_as_wide_as_two_letters() -> None:
    assert display_width("李伟 Li") == 7
    assert shortened("李伟李伟", 8) == "李伟李伟"
    assert shortened("李伟李伟李", 8) == "李伟李…"
    assert shortened("Anastasia Romanova", 10) == "Anastasia…"


def test_the_style_is_for_one_drawing_only() -> None:
    import matplotlib

    with matplotlib.rc_context():
        before = dict(matplotlib.rcParams)
        with charts.style():
            assert matplotlib.rcParams["font.family"] == list(font_families())
        assert dict(matplotlib.rcParams) == before


# --- the finished picture ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLOTS)
def test_the_same_table_gives_the_same_bytes(kind: str) -> None:
    names = ["李伟", "Ana"]
    first, second = (charts.to_drawing(draw(kind, names), "alt").png for _ in range(2))
    assert first == second
    assert first != charts.to_drawing(draw(kind, ["Ana", "李伟"]), "alt").png


def test_a_picture_needs_words_in_its_place() -> None:
    with pytest.raises(ValueError, match="alternative text"):
        charts.to_drawing(draw("intervals"), " ")


def test_a_drawing_shows_itself_with_words_and_width() -> None:
    drawing = charts.to_drawing(draw("intervals"), "Ana: 20%")
    data, metadata = drawing._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == drawing.png
    assert data["text/plain"] == "[Ana: 20%]"
    assert metadata == {"image/png": {"alt": "Ana: 20%", "width": drawing.width}}
    pixels = struct.unpack(">II", drawing.png[16:24])
    assert pixels[0] / drawing.width == pytest.approx(1.5, abs=0.01)


def test_a_table_without_rows_draws_an_empty_picture() -> None:
    ax = charts.plot_intervals(intervals().iloc[:0], "name", QUESTION, "share")
    assert len(charts.to_drawing(ax, "nothing").png) > 1000
