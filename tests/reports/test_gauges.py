"""A figure drawn in its cell lies where the figure says, on the scale of its column, beside the figure as text."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from salescoach.reports.blocks import KEY, stage_tones, table_block
from salescoach.reports.fields import Field, interval
from salescoach.reports.gauges import Gauge, Scale, scale_of
from salescoach.wording import words

SAY = words("en")
RATE = interval("Win rate", "share", "won")


def table(value, low, high, **more):
    return pd.DataFrame({"rep": [f"R{i}" for i in range(len(value))], "value": value, "low": low, "high": high, **more})


def drawn(html: str) -> list[tuple[float, ...]]:
    """zero, value, low, high of each gauge in the rows."""
    rows = html[html.index("<tbody>") : html.index("</tbody>")]
    found = re.findall(r'--zero:([\d.]+);--value:([\d.]+);--low:([\d.]+);--high:([\d.]+)"', rows)
    return [tuple(map(float, places)) for places in found]


def test_shares_lie_on_the_next_round_scale_and_keep_their_text(demo):
    shown = table_block(SAY, demo, "Rates", table([0.1, 0.25], [0.05, 0.15], [0.2, 0.38], n=[40, 40]), ["rep"], [RATE])
    # 38 % is the most, so the scale goes to 40 %: 10 % lies at a quarter of it, its range from an eighth to a half
    assert drawn(shown.html) == [(0, 25, 12.5, 50), (0, 62.5, 37.5, 95)]
    assert '<span class="ends"><span>0</span> <span>40%</span></span>' in shown.html
    assert '<span class="amount">10%</span> <span class="range">(5%–20%)</span>' in shown.html
    assert shown.html.count(SAY(KEY)) == 1


def test_what_is_below_zero_lies_left_of_zero():
    scale = scale_of(table([-2.0, 4.0], [-5.0, 1.0], [1.0, 5.0]), interval("Change", "number"))
    assert scale == Scale(-5, 5)
    assert scale.gauge(-2, -5, 1) == Gauge(50, 30, 0, 60, cut=False, signed=True)


def test_one_wide_interval_does_not_squeeze_the_others():
    scale = scale_of(table([1.0, 1.1], [0.9, 0.0], [1.2, 40.0]), interval("Attainment", "ratio"))
    assert scale == Scale(0, 3)  # 2.5 × 1.1, rounded up
    assert scale.gauge(1.1, 0.0, 40.0).cut and scale.gauge(1.1, 0.0, 40.0).high == 100
    assert not scale.gauge(1.0, 0.9, 1.2).cut


def test_an_end_that_nobody_knows_runs_to_the_edge():
    scale = Scale(0, 20)
    assert scale.gauge(10, 5, math.nan) == Gauge(0, 50, 25, 100, cut=True, signed=False)


@pytest.mark.parametrize(
    "rows",
    [
        table([math.nan], [math.nan], [math.nan]),
        table([0.0], [0.0], [0.0]),
        table([], [], []),
        table([1.0, 2.0], [0.5, 1.0], [2.0, 3.0], currency=["CNY", "EUR"]),
        pd.DataFrame({"value": [1.0]}),
    ],
)
def test_nothing_is_drawn_where_there_is_no_scale(rows):
    assert scale_of(rows, interval("Amount", "money")) is None


def test_a_figure_without_its_interval_is_a_text_alone(demo):
    shown = table_block(SAY, demo, "x", table([0.2, math.nan], [0.1, math.nan], [0.3, math.nan]), ["rep"], [RATE])
    assert len(drawn(shown.html)) == 1 and ">–<" in shown.html


def test_points_have_their_sign_and_a_line_at_zero(demo):
    effect = Field("Points", "value", "points", "low", "high")
    shown = table_block(SAY, demo, "x", table([-0.024, 0.05], [-0.06, 0.01], [0.01, 0.09]), ["rep"], [effect])
    assert '<span class="amount">−2.4</span> <span class="range">(−6.0 to +1.0)</span>' in shown.html
    assert shown.html.count('<span class="zero"></span>') == 2


@pytest.mark.parametrize("language", ["en", "zh"])
def test_stages_and_outcomes_bear_their_colours(demo, language):
    tones = stage_tones(demo, language)
    assert list(tones.values()) == ["0%", "33%", "67%", "100%", "won", "lost", "void"][: len(tones)]
    names = list(tones)
    rows = pd.DataFrame({"stage": [names[0], names[4]], "won": [3, 4]})
    html = table_block(words(language), demo, "x", rows, ["stage"], [Field("Won", "won", outcome="won")]).html
    assert f'<span class="swatch " style="--place:0%"></span>{names[0]}' in html
    assert f'<span class="swatch won"></span>{names[4]}' in html
    assert '<span class="swatch won"></span>' in html[: html.index("<tbody>")]
