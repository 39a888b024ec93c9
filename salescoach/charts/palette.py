"""The palette that charts, tables and pages share: read from the one file in which a company may change it."""

from __future__ import annotations

import re
import tomllib
from functools import cache

from matplotlib.colors import to_hex, to_rgb

from salescoach.errors import UsageError, commas
from salescoach.kit import kit_path
from salescoach.wording import N_

FILE = "templates/report/palette.toml"
OUTCOMES = ("won", "lost", "open", "void")
GROUNDS = ("ink", "soft", "line", "fill", "paper", "warning")
COLOURS = (*GROUNDS, "blue", "other", *OUTCOMES, "first_stage", "last_stage")  # what charts and stylesheet ask for


@cache
def palette(mode: str = "light") -> dict[str, str]:
    """Colour by name, for "light" or "dark".

    Raises UsageError for a name that is missing or unknown and for what is no colour.
    """
    given = tomllib.loads(kit_path(FILE).read_text(encoding="utf-8")).get(mode, {})
    for name in (*COLOURS, *given):
        if name not in given or name not in COLOURS:
            wrong = N_("{file}: {name} is unknown in [{mode}]. It takes exactly: {known}.")
            if name in COLOURS:
                wrong = N_("{file}: {name} is missing in [{mode}]. It takes exactly: {known}.")
            raise UsageError(wrong, file=FILE, name=name, mode=mode, known=commas(COLOURS))
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", str(given[name])):
            raise UsageError(
                "{file}: {name} = {value!r} in [{mode}] is no colour. Write it as #rrggbb.",
                file=FILE,
                name=name,
                value=given[name],
                mode=mode,
            )
    return dict(given)


def stage_colour(place: float, mode: str = "light") -> str:
    """The colour of a stage; `place` goes from 0, the first, to 1, the last before the outcome."""
    first, last = (to_rgb(palette(mode)[end]) for end in ("first_stage", "last_stage"))
    return str(to_hex([a + (b - a) * place for a, b in zip(first, last, strict=True)]))


def tone_colour(tone: str) -> str:
    """The colour of an outcome, or of a stage by its place ("25%"), as a cell of a table has it beside its text."""
    return stage_colour(float(tone[:-1]) / 100) if tone.endswith("%") else palette().get(tone, palette()["blue"])


def stage_colours(count: int) -> list[str]:
    """One colour for each of so many stages, in their order."""
    return [stage_colour(i / max(count - 1, 1)) for i in range(count)]
