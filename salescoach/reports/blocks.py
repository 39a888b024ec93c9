"""The pieces of a page: each knows how to show itself in a notebook and on the page, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from salescoach.book import Book
from salescoach.errors import Unavailable, joined
from salescoach.kit import kit_path
from salescoach.metrics import currency_of
from salescoach.reports.fields import GROUP_LABELS, TEXT_GROUPS, WORDS, Field
from salescoach.reports.gauges import Gauge, Scale, scale_of
from salescoach.wording import N_, NOTHING, Words, is_known

PRECISE_FROM = 400  # from this n on a share is written with one decimal


@dataclass(frozen=True)
class Block:
    """One piece of a page: HTML for the page, a line of text where there is none."""

    html: str
    text: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: a text, its range, both drawn, and the colour beside it.

    tone   an outcome, or the place of a stage in percent of the way from the first to the last
    """

    text: str
    range: str = ""
    gauge: Gauge | None = None
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """A column's head: its label, the ends of the scale on which its cells are drawn, the outcome that it counts."""

    label: str
    number: bool = True
    ends: tuple[str, ...] = ()
    outcome: str = ""
    word: bool = False


KEY = N_(
    "Under a figure: the dot is the figure, the line its range, the bar the way from zero. All rows of a column share "
    "the scale that stands at its head; a broken line goes on beyond it."
)


@cache
def environment() -> Environment:
    """Jinja with autoescaping always on."""
    return Environment(
        loader=FileSystemLoader(kit_path("templates/report")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(macro: str, text: str, *args: Any) -> Block:
    """One macro of blocks.html.j2 as a block."""
    module: Any = environment().get_template("blocks.html.j2").module
    return Block(str(getattr(module, macro)(*args)).strip(), text)


def unavailable(say: Words, title: str, reason: Unavailable) -> Block:
    """Said in place of a piece: why there is none."""
    because = say(reason.said)
    text = say("{metric}: unavailable, because {because}.", metric=title.rstrip("?？"), because=because)
    return render("empty", text, text)


def written(say: Words, value: object, kind: str, currency: str, n: object = None) -> str:
    """A value as a person reads it; a dash for what is not known."""
    if isinstance(value, str) and kind == "text":
        return say(value) if value in TEXT_GROUPS else value
    if isinstance(value, str) and kind in WORDS:
        return say(WORDS[kind].get(value, value))
    if not is_known(value):
        return NOTHING
    if kind == "fine_share":
        return say.percent(value, 1)
    if kind in ("share", "ratio"):
        exact = kind == "share" and isinstance(n, int | float) and n >= PRECISE_FROM
        return say.percent(value, 1 if exact else 0)
    if kind == "money":
        return say.money(value, currency)
    if kind == "points":
        sign = "" if not round(1000 * float(str(value))) else "−" if float(str(value)) < 0 else "+"
        return sign + say.number(100 * abs(float(str(value))), 1)
    if kind in ("days", "decimal"):
        return say.number(value, 0 if float(str(value)) >= 10 else 1)
    if kind == "hours":
        unit = _unit(float(str(value)))
        return unit.written(say, unit.number(say, float(str(value))))
    if kind == "date":
        return say.date(value)
    return say.number(value) if kind in ("count", "number") else str(value)


@dataclass(frozen=True)
class _Unit:
    """A unit of time as people say it: minutes, hours or days."""

    sign: str
    per_hour: float
    round_from: float

    def number(self, say: Words, hours: float) -> str:
        amount = hours * self.per_hour
        return say.number(amount, 0 if amount >= self.round_from else 1)

    def written(self, say: Words, number: str) -> str:
        return say(self.sign, n=number)


MINUTES, HOURS, DAYS = _Unit(N_("{n} min"), 60, 0), _Unit(N_("{n} h"), 1, 10), _Unit(N_("{n} d"), 1 / 24, 10)


def _unit(hours: float) -> _Unit:
    return MINUTES if hours < 1 else HOURS if hours < 48 else DAYS


def cell(say: Words, row: Any, field: Field, currency: str) -> Cell:
    """A value with its interval in brackets, where it has one."""
    n, value = row.get("n"), row.get(field.column)
    text = written(say, value, field.kind, currency, n)
    if field.low is None or field.high is None or text == NOTHING:
        return Cell(text)
    ends = [row.get(c) for c in (field.low, field.high)]
    if all(end != end or end is None for end in ends):
        return Cell(text)
    if field.kind == "hours":
        unit = _unit(float(str(value)))
        low, high = (unit.number(say, e) if e == e else "…" for e in ends)
        return Cell(text, say("({note})", note=unit.written(say, f"{low}–{high}")))
    shown = [written(say, e, field.kind, currency, n) if e == e else "" for e in ends]
    if field.kind == "points":
        return Cell(text, say("({low} to {high})", low=shown[0] or "…", high=shown[1] or "…"))
    return Cell(text, _range(shown))


def _range(ends: Sequence[str]) -> str:
    """(3–5), (from 3 on) as (3–…): where the data give no upper end."""
    low, high = (end or "…" for end in ends)
    return f"({low} – {high})" if low.startswith("−") else f"({low}–{high})"


def row_currencies(book: Book, table: pd.DataFrame) -> list[str]:
    """The currency of each row's amounts."""
    return table["currency"].tolist() if "currency" in table else [currency_of(book)] * len(table)


def table_block(
    say: Words,
    book: Book,
    caption: str,
    table: pd.DataFrame,
    groups: Sequence[str],
    fields: Sequence[Field],
    notes: Sequence[str] = (),
) -> Block:
    """A result as a table: its groups as text at the left, then the fields."""
    scales = {f: scale for f in fields if (scale := scale_of(table, f))}
    tones, money = stage_tones(book, say.language), row_currencies(book, table)
    columns = [Column(say(GROUP_LABELS.get(g, g)), False) for g in groups] + [
        _head(say, f, scales.get(f), money) for f in fields
    ]
    rows = []
    for row, currency in zip(table.to_dict("records"), money, strict=True):
        left = [_group(written(say, row[g], "text", currency), g, tones) for g in groups]
        rows.append(left + [_drawn(cell(say, row, f, currency), row, f, scales.get(f), tones) for f in fields])
    return render("table", f"[{caption}]", caption, columns, rows, list(notes), say(KEY) if scales else "")


def _head(say: Words, field: Field, scale: Scale | None, money: Sequence[str]) -> Column:
    ends = scale_ends(say, scale, field.kind, money[0]) if scale else ()
    words = field.kind in WORDS or field.column in WORDS
    return Column(say(field.label), field.kind != "text" and not words, ends, field.outcome, words)


def in_pairs(say: Words, pairs: Iterable[tuple[str, str]]) -> str:
    """What a picture shows, for those who do not see it: Demo: 3; Quote: 5."""
    return say(joined((say("{who}: {what}", who=name, what=text) for name, text in pairs), "; "))


def scale_ends(say: Words, scale: Scale, kind: str, currency: str = "") -> tuple[str, ...]:
    """Both ends of a scale, as short as they can be."""
    return tuple(_end(say, at, kind, currency) for at in (scale.start, scale.end))


def _end(say: Words, at: float, kind: str, currency: str) -> str:
    if not at:
        return "0"
    if kind == "money":
        return ("−" if at < 0 else "") + say.short_money(abs(at), currency)
    whole = kind in ("share", "fine_share", "ratio")
    return say.percent(at, 0 if at >= 0.02 else 1) if whole else written(say, at, kind, currency)


def _group(text: str, group: str, tones: Mapping[str, str]) -> Cell:
    return Cell(text, tone=tones.get(text, "") if group == "stage" else "")


def _drawn(shown: Cell, row: Any, field: Field, scale: Scale | None, tones: Mapping[str, str]) -> Cell:
    """The cell with what is drawn under its figure, or with the colour of its stage."""
    if field.column == "stage":
        return replace(shown, tone=tones.get(shown.text, ""))
    return on_scale(shown, row, field, scale)


def on_scale(shown: Cell, row: Any, field: Field, scale: Scale | None) -> Cell:
    """The cell with its value and interval drawn, where it has both."""
    if scale is None or not shown.range:
        return shown
    value, low, high = (float(row[c]) for c in (field.column, str(field.low), str(field.high)))
    return replace(shown, gauge=scale.gauge(value, low, high))


def stage_tones(book: Book, language: str) -> dict[str, str]:
    """By a stage's label its outcome, or its place among the working stages in percent."""
    tones: dict[str, str] = {}
    for pipeline in book.process.pipelines.values():
        working = max(len(pipeline.working) - 1, 1)
        for i, stage in enumerate(pipeline.stages):
            tones.setdefault(stage.label.in_language(language), stage.outcome or f"{round(100 * i / working)}%")
    return tones


def text_table(
    say: Words,
    caption: str,
    labels: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Sequence[int] = (),
    notes: Sequence[str] = (),
    ends: Mapping[int, tuple[str, ...]] | None = None,
) -> Block:
    """A table of finished texts, cells and whole numbers.

    numbers   the positions of number columns
    ends      by position: of the scale on which the column's cells are drawn
    """
    scales = ends or {}
    columns = [Column(label, i in numbers, scales.get(i, ())) for i, label in enumerate(labels)]
    cells = [
        [
            v if isinstance(v, Cell) else Cell(say.number(v) if i in numbers and not isinstance(v, str) else str(v))
            for i, v in enumerate(row)
        ]
        for row in rows
    ]
    return render("table", f"[{caption}]", caption, columns, cells, list(notes), say(KEY) if scales else "")
