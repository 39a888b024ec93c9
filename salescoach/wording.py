"""Every sentence a person reads, in their language: English in the code, other languages in one catalogue each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path
from string import Formatter
from typing import Any

from salescoach.errors import Sentence, StorageError, UsageError, commas

LANGUAGES = ("en", "zh")
OWN_SYMBOLS = {"CNY": "¥"}  # CLDR writes CN¥ in English, too long for a column of amounts
# what a terminal or a spreadsheet would not show, or take for a command, spelt out; tabs and line breaks stay
VISIBLE = {i: f"\\u{i:04x}" for i in (*range(9), *range(11, 32), *range(127, 160))}
OF = "\x04"  # between what a text is said of and the text, as gettext has it
CATALOGUES = Path(__file__).resolve().parent / "locale"


def N_(text: str, of: str = "") -> str:
    """Mark a text for the catalogue that is translated later, where the language is known.

    of    what it is said of, where one English word has two meanings: N_("Chance", "winning")
    """
    return f"{of}{OF}{text}" if of else text


BETWEEN = {  # what may stand between the parts of a text
    ", ": N_("{first}, {second}"),
    "; ": N_("{first}; {second}"),
    " ": N_("{first} {second}"),
}
ENOUGH = 12  # letters of its own by which a sentence is known again
CHINESE = r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]"


def paragraphs(text: str) -> str:
    """A docstring that people read, as the catalogue has it: each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))


@cache
def catalogue(language: str) -> dict[str, str]:
    """English text -> text in `language`; empty for English. Raises UsageError for a language we do not have."""
    if language not in LANGUAGES:
        raise UsageError(
            "There is no language {language!r}. Languages: {languages}.",
            language=language,
            languages=commas(LANGUAGES),
        )
    if language == "en":
        return {}
    from babel.messages.pofile import read_po

    path = CATALOGUES / f"{language}.po"
    if not path.is_file():
        raise StorageError("{path} is missing from this installation of salescoach. Install it again.", path=path.name)
    with path.open("rb") as file:
        known = [m for m in read_po(file, locale=language) if m.id and m.string]
    return {N_(str(m.id), m.context or ""): str(m.string) for m in known}


@dataclass(frozen=True)
class Words:
    """Says texts, numbers, dates and amounts in one language. `say("{n} deals", n=3)`, `say(error.said)`."""

    language: str

    def __call__(self, text: str, /, **values: object) -> str:
        if isinstance(text, Sentence) and text.by and not values:
            between = self(BETWEEN.get(text.by, text.by), first="", second="")
            return between.join(self._said(part) for part in text.values.values())
        if isinstance(text, Sentence) and not values:
            return self(text.text, **text.values)
        said = catalogue(self.language).get(text) or text.rpartition(OF)[2]
        if not values:
            return said
        known = {name: self._said(value) for name, value in values.items()}
        return (closed_up(said, known) if self.language == "zh" else said).format(**known)

    def _said(self, value: Any) -> Any:
        """A value as it goes into a sentence: one that is a sentence itself in this language."""
        return self(value) if isinstance(value, Sentence) else value

    @property
    def locale(self) -> str:
        return {"en": "en_GB", "zh": "zh_CN"}[self.language]

    def number(self, value: object, digits: int = 0) -> str:
        from babel.numbers import format_decimal

        return _known(value) or format_decimal(value, "#,##0" + ("." + "0" * digits if digits else ""), self.locale)

    def percent(self, share: object, digits: int = 0) -> str:
        from babel.numbers import format_percent

        return _known(share) or format_percent(
            share, "#,##0" + ("." + "0" * digits if digits else "") + "%", self.locale
        )

    def money(self, amount: object, currency: str) -> str:
        from babel.numbers import format_currency, get_currency_symbol

        symbol = OWN_SYMBOLS.get(currency) or get_currency_symbol(currency, self.locale)
        return _known(amount) or format_currency(
            amount, currency, f"{symbol}#,##0;−{symbol}#,##0", self.locale, currency_digits=False
        )

    def short_money(self, amount: float, currency: str) -> str:
        """An amount for an axis: ¥1.5M, ¥150万."""
        from babel.numbers import format_compact_decimal, get_currency_symbol

        symbol = OWN_SYMBOLS.get(currency) or get_currency_symbol(currency, self.locale)
        short: str = format_compact_decimal(amount, format_type="short", locale=self.locale, fraction_digits=1)
        return symbol + short

    def date(self, day: object) -> str:
        from babel.dates import format_date

        return _known(day) or format_date(day, "d MMM y" if self.language == "en" else "y年M月d日", self.locale)


def closed_up(text: str, values: Mapping[str, object]) -> str:
    """A Chinese text without the blanks around places for figures and Latin words, where the value is Chinese too."""
    for name, value in values.items():
        if isinstance(value, str) and f"{{{name}}}" in text:
            if re.match(CHINESE, value):
                text = re.sub(rf"({CHINESE}) \{{{name}\}}", rf"\1{{{name}}}", text)
            if re.search(f"{CHINESE}$", value):
                text = re.sub(rf"\{{{name}\}} ({CHINESE})", rf"{{{name}}}\1", text)
    return text


NOTHING = "–"


def is_known(value: object) -> bool:
    """False for what is null in any of its forms."""
    return value is not None and str(value) not in ("nan", "NaT", "<NA>")


def _known(value: object) -> str:
    """A dash for what is not known, else an empty text."""
    return "" if is_known(value) else NOTHING


class Written(str):
    """A value read back from a text: it stands as it was written, whatever form its place asks for."""

    def __format__(self, form: str) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)


def read_back(text: str) -> Sentence:
    """The sentence that a kept text was said from, the one with the most words of its own; else the text as it is.

    >>> read_back("not done within 900 seconds").values
    {'seconds': 900}
    """
    fits = ((sentence, found) for sentence, pattern in _patterns() if (found := pattern.fullmatch(text)))
    sentence, found = next(fits, (text, None))
    if found is None:
        return Sentence(text)
    return Sentence(sentence, **{name: _part(value) for name, value in found.groupdict().items()})


def _part(value: str) -> str:
    said = read_back(value)
    return said if said.values or value in catalogue("zh") else Written(value)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Every sentence with words enough to be known by, the longest first."""
    known = {text: _literal(text) for text in catalogue("zh") if OF not in text}
    enough = sorted((t for t, literal in known.items() if len(literal) >= ENOUGH), key=lambda t: -len(known[t]))
    return [(text, re.compile(_pattern(text), re.DOTALL)) for text in enough]


def _literal(text: str) -> str:
    return "".join(part for part, *_ in _parts(text))


def _parts(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """Texts and places in turn; a text with any other braces is only said as it stands."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        parts = []
    plain = parts and all(name is None or name.isidentifier() for _, name, *_ in parts)
    return parts if plain else [(text, None, None, None)]


def _pattern(text: str) -> str:
    seen: set[str] = set()
    made = ""
    for part, name, *_ in _parts(text):
        made += re.escape(part)
        if name:
            made += f"(?P={name})" if name in seen else f"(?P<{name}>.*?)"
            seen.add(name)
    return made


def words(language: str) -> Words:
    """Raises UsageError for a language we do not have."""
    catalogue(language)
    return Words(language)
