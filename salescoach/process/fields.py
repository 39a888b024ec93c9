"""What the models of the process file are made of: texts, dates, names and the rules for each."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from salescoach.errors import Sentence

Place = tuple[str | int, ...]

_SLUG = re.compile(r"[a-z][a-z0-9_-]*")


class RuleFaults(ValueError):
    """Every broken rule of one part of the file, each with its place inside that part."""

    def __init__(self, faults: list[tuple[Place, str]]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


def fold_name(text: str) -> str:
    """The form in which names are compared: NFKC, case folded, one blank between words.

    >>> fold_name("  CLOSED  won"), fold_name("方案／报价")
    ('closed won', '方案/报价')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Case folding can undo the composed form ("ǰ"), so it is normalised once more.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def as_calendar_date(moment: date | None) -> date | None:
    """The calendar date of a date or naive local timestamp; None for none and for NaT."""
    if moment is None or moment != moment:  # NaT is the one timestamp that differs from itself
        return None
    return moment.date() if isinstance(moment, datetime) else moment


def only_a_date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(Sentence("must be a calendar date; write it as 2025-03-31, without quotes and without a time"))


def named(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict) and not isinstance(value, BaseModel):
        raise ValueError(Sentence('must be a text in double quotes, or { name = "Demo", retired = true }'))
    return value


def real_text(value: str) -> str:
    if not value.strip():
        raise ValueError(Sentence("is empty; write the text or remove the entry"))
    return value


def slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise ValueError(Sentence("must begin with a letter and use only a-z, 0-9, '_' and '-', such as \"quote\""))
    return value


Text = Annotated[str, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
CalendarDate = Annotated[date, BeforeValidator(only_a_date)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(Strict):
    """One text in English, Chinese or both."""

    en: Text | None = None
    zh: Text | None = None

    @model_validator(mode="after")
    def _has_words(self) -> Words:
        if not (self.en or "").strip() and not (self.zh or "").strip():
            raise ValueError(Sentence('needs a text in at least one language; write { en = "…", zh = "…" }'))
        return self

    def in_language(self, language: str) -> str:
        """The text in `language` ("en", "zh", "zh_CN" …), or in the other one where it is missing."""
        first, second = (self.zh, self.en) if language.casefold().startswith("zh") else (self.en, self.zh)
        return first or second or ""
