"""Every sentence a person reads, in their language: English in the code, other languages in one catalogue each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import Any

from salescoach.errors import Sentence, StorageError, UsageError, commas

LANGUAGES = ("en", "zh")
OWN_SYMBOLS = {"CNY": "¥"}  # CLDR writes CN¥ in English, too long for a column of amounts
# what a terminal or a spreadsheet would not show, or take for a command, spelt out; tabs and line breaks stay
VISIBLE = {i: f"\\u{i:04x}" for i in (*range(9), *range(11, 32), *range(127, 160))}
CATALOGUES = Path(__file__).resolve().parent / "locale"


def N_(text: str) -> str:
    """Mark a text for the catalogue that is translated later, where the language is known."""
    return text


BETWEEN = (N_(", "), N_("; "))  # what may stand between the parts of a list, so that the catalogue has it


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
        return {str(m.id): str(m.string) for m in read_po(file, locale=language) if m.id and m.string}


@dataclass(frozen=True)
class Words:
    """Says texts, numbers, dates and amounts in one language. `say("{n} deals", n=3)`, `say(error.said)`."""

    language: str

    def __call__(self, text: str, /, **values: object) -> str:
        if isinstance(text, Sentence) and text.by and not values:
            return self(text.by).join(self._said(part) for part in text.values.values())
        if isinstance(text, Sentence) and not values:
            return self(text.text, **text.values)
        said = catalogue(self.language).get(text, text)
        if not values:
            return said
        return said.format(**{name: self._said(value) for name, value in values.items()})

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


NOTHING = "–"


def is_known(value: object) -> bool:
    """False for what is null in any of its forms."""
    return value is not None and str(value) not in ("nan", "NaT", "<NA>")


def _known(value: object) -> str:
    """A dash for what is not known, else an empty text."""
    return "" if is_known(value) else NOTHING


def words(language: str) -> Words:
    """Raises UsageError for a language we do not have."""
    catalogue(language)
    return Words(language)
