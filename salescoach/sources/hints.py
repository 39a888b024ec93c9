"""What to do about a row that was set aside: the sources write it in English, a page in the reader's language."""

from __future__ import annotations

import re
from functools import cache
from string import Formatter

from salescoach.errors import Sentence
from salescoach.wording import N_

# {…} is what differs
SENTENCES = (
    N_("Excel could not compute this cell: repair it in the workbook"),
    N_("Excel rounded this id: export it as text"),
    N_("a later version of this record is used"),
    N_("a total is no record: export without totals"),
    N_("an invisible character stands inside the name: remove it"),
    N_("closed before it was created: correct one of the two"),
    N_("declared footer row"),
    N_("every row of {table} needs `{column}`: fill it in"),
    N_("later than {day}, when the data end: correct it"),
    N_("later than {day}, the day after this load: correct it"),
    N_("no pipeline of the process matches: add it to `match` in the process file"),
    N_("no used deal has this id: it is missing or quarantined"),
    N_("not a date between {first} and {last} in this column's spelling: correct it"),
    N_("not a number in this column's spelling: correct it"),
    N_("not an amount in this column's spelling, or with the sign of another currency: correct it"),
    N_("name one: a record has one of these"),
    N_("amounts such as 3.5万 are read where `myriads = true` is declared: declare it, or write whole numbers"),
    N_("several rows have this id and differ: keep the right one, or export a last-modified column"),
    N_("the formula was saved without its result: open the workbook in Excel and save it"),
    N_("the header has {n} columns: name the column, or clear the cells right of it"),
    N_("the header row stands among the data: remove it"),
    N_("the process has no stage of this name: add it to the process file or map it under [stages]"),
    N_(
        "the process has no stage of this name, the nearest is {name}: correct it, add it to the process file or map "
        "it under [stages]"
    ),
    N_("the same record stands earlier: remove it"),
    N_("the same row stands earlier: remove it"),
    N_("a quotation mark opens here and never closes: remove it or close it"),
    N_("a quotation mark stands inside a quoted field: double it or remove it"),
    N_("a stray quotation mark joined several rows into one field: repair the quotes"),
    N_("a control character stands inside a value: remove it"),
    N_("a field is longer than {n} characters: shorten it"),
    N_("write one of {words}"),
    N_("write the three-letter code, such as CNY or EUR"),
    N_("write true or false"),
    N_("{n} fields, the header has {width}: quote a field that holds a {separator}"),
    N_("{n} fields, the header has {width}: remove the {separator} at the end of the row"),
    N_("{n} of {width} fields: the row was cut, or a line end stands inside it"),
)


def sentence_of(text: str) -> Sentence:
    """The sentence that a hint was written from, with its values; the text as it came where we do not know it."""
    for sentence, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return Sentence(sentence, **found.groupdict())
    return Sentence(text)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((s, re.compile(_pattern(s), re.DOTALL)) for s in SENTENCES)


def _pattern(sentence: str) -> str:
    return "".join(
        re.escape(text) + (f"(?P<{name}>.+?)" if name else "") for text, name, _, _ in Formatter().parse(sentence)
    )
