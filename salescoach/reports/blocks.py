"""The pieces of a page: each knows how to show itself in a notebook and on the page, with every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.kit import kit_path
from salescoach.metrics import currency_of
from salescoach.reports.fields import GROUP_LABELS, TEXT_GROUPS, WORDS, Field
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
    text: str
    range: str = ""


@dataclass(frozen=True)
class Column:
    label: str
    number: bool = True


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
        return Cell(text, f"({unit.written(say, f'{low}–{high}')})")
    return Cell(text, _range([written(say, e, field.kind, currency, n) if e == e else "" for e in ends]))


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
    columns = [Column(say(GROUP_LABELS.get(g, g)), False) for g in groups] + [
        Column(say(f.label), f.kind not in ("text", *WORDS)) for f in fields
    ]
    rows = []
    for row, money in zip(table.to_dict("records"), row_currencies(book, table), strict=True):
        rows.append(
            [Cell(written(say, row[g], "text", money)) for g in groups] + [cell(say, row, f, money) for f in fields]
        )
    return render("table", f"[{caption}]", caption, columns, rows, list(notes))


def text_table(
    say: Words,
    caption: str,
    labels: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Sequence[int] = (),
    notes: Sequence[str] = (),
) -> Block:
    """A table of finished texts and whole numbers; `numbers` are the positions of number columns."""
    columns = [Column(label, i in numbers) for i, label in enumerate(labels)]
    cells = [
        [Cell(say.number(v) if i in numbers and not isinstance(v, str) else str(v)) for i, v in enumerate(row)]
        for row in rows
    ]
    return render("table", f"[{caption}]", caption, columns, cells, list(notes))
