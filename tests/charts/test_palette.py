"""One palette: every text can be read, every outcome told apart, stages darken in order, charts and pages agree."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from salescoach.charts import drawing, palette, tone_colour
from salescoach.charts.palette import COLOURS, OUTCOMES, stage_colours
from salescoach.errors import UsageError
from salescoach.kit import kit_path
from salescoach.reports.pages import skin, stylesheet

MODES = ("light", "dark")
DRAWN = ("tone", "place", "zero", "value", "low", "high", "usual")  # set where something is drawn in a cell
TEXTS = ("ink", "soft", "blue", "won", "lost")
MARKS = (*TEXTS, "other", "open", "void", "first_stage", "last_stage")
# Machado, Oliveira & Fernandes 2009, severity 1
SEEN = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    parts = np.array(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    low, high = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE 1976 under D65; 2.3 is a difference that is just seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt((to_xyz @ np.clip(light, 0, 1)) / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("mode", MODES)
def test_texts_and_marks_stand_out_from_their_ground(mode: str) -> None:
    colours = palette.palette(mode)
    texts = {(text, ground): contrast(colours[text], colours[ground]) for text in TEXTS for ground in ("paper", "fill")}
    marks = {mark: contrast(colours[mark], colours["paper"]) for mark in MARKS}
    assert min(texts.values()) >= 4.5, texts
    assert min(marks.values()) >= 3, marks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("eye", SEEN)
def test_outcomes_are_told_apart_with_any_colour_vision(mode: str, eye: str) -> None:
    seen = {name: lab(np.array(SEEN[eye]) @ linear(palette.palette(mode)[name])) for name in ("won", "lost", "open")}
    near = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    assert min(near.values()) > 15, near


def test_the_test_of_colour_vision_finds_red_and_green() -> None:
    green, red = (lab(np.array(SEEN["deuteranopia"]) @ linear(c)) for c in ("#6a8f3a", "#b3743a"))
    assert np.linalg.norm(green - red) < 15


@pytest.mark.parametrize("mode", MODES)
def test_stages_go_one_way_from_the_paper(mode: str) -> None:
    paper = palette.palette(mode)["paper"]
    steps = [contrast(palette.stage_colour(place, mode), paper) for place in np.linspace(0, 1, 7)]
    assert steps == sorted(steps) and steps[-1] > 2 * steps[0]


def test_charts_and_pages_take_their_colours_from_one_file() -> None:
    light, dark = (dict(re.findall(r"--(\w+): (#\w+);", part)) for part in skin().split("prefers-color-scheme", 1))
    assert light == palette.palette("light") and dark == palette.palette("dark")
    assert {getattr(drawing, n.upper()) for n in ("ink", "soft", "line", "blue", *OUTCOMES)} <= set(light.values())
    assert set(re.findall(r"var\(--(\w+)[,)]", skin())) <= {*COLOURS, *DRAWN}


def test_no_chart_and_no_stylesheet_has_a_colour_of_its_own() -> None:
    folder = Path(drawing.__file__).parent
    files = [f for f in folder.glob("*.py") if f.name != "palette.py"]
    files += [kit_path("templates/report") / name for name in ("style.css", "dark.css")]
    own = {f.name: re.findall(r"#[0-9a-fA-F]{3,8}\b", f.read_text(encoding="utf-8")) for f in files}
    assert len(own) > 8 and not any(own.values()), own


def test_a_cell_and_a_bar_of_a_stage_have_the_same_colour() -> None:
    """The stylesheet mixes in sRGB, as `color-mix` is asked to; so do the charts."""
    first, last = (np.array(to_rgb(palette.palette()[f"{end}_stage"])) for end in ("first", "last"))
    assert "color-mix(in srgb, var(--last_stage) var(--place, 0%), var(--first_stage))" in stylesheet()
    assert tone_colour("25%") == to_hex(0.25 * last + 0.75 * first)
    assert tone_colour("won") == palette.palette()["won"]
    assert stage_colours(2) == [palette.palette()["first_stage"], palette.palette()["last_stage"]]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('ink = "red"', "ink = 'red' in [light] is no colour. Write it as #rrggbb."),
        ('tint = "#123456"', "tint is unknown in [light]. It takes exactly: ink, "),
        ("", "soft is missing in [light]"),
    ],
)
def test_a_faulty_palette_says_what_is_wrong(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [f'{name} = "#123456"' for name in COLOURS if line and not line.startswith(f"{name} ")]
    file = tmp_path / "palette.toml"
    file.write_text("\n".join(["[light]", *(kept or ['ink = "#123456"']), line]), encoding="utf-8")
    monkeypatch.setattr(palette, "kit_path", lambda _: file)
    palette.palette.cache_clear()
    try:
        with pytest.raises(UsageError, match=re.escape(told)):
            palette.palette()
    finally:
        palette.palette.cache_clear()
