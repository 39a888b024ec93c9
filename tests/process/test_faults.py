"""What pydantic says of a wrong value, in its own words in English and in ours in Chinese."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from salescoach.process.faults import fault_of
from salescoach.wording import words

EN, ZH = words("en"), words("zh")


class Day(StrEnum):
    MON = "mon"
    TUE = "tue"


class Inner(BaseModel):
    x: int = 1


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    must: int
    text: str = Field("", min_length=2, max_length=3)
    code: str = Field("AB", pattern=r"^[A-Z]+$")
    whole: int = Field(1, gt=0, le=9)
    share: float = Field(0.5, ge=0, lt=1, allow_inf_nan=False)
    money: Decimal = Decimal(1)
    yes: bool = True
    names: list[str] = Field([], max_length=1)
    pairs: tuple[int, ...] = Field((), min_length=2)
    map: dict[str, int] = {}
    inner: Inner = Inner()
    day: date = date(2026, 1, 1)
    language: Literal["en", "zh", "de"] = "en"
    one: Literal["a"] = "a"
    weekday: Day = Day.MON
    own: str = ""

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        if value == "no":
            raise ValueError("say yes")
        return value


WRONG: list[dict[str, Any]] = [
    {},
    {"other": 1},
    {"text": 1},
    {"text": "a"},
    {"text": "abcd"},
    {"code": "a"},
    {"whole": "x"},
    {"whole": 1.5},
    {"whole": []},
    {"whole": 0},
    {"whole": 10},
    {"share": "x"},
    {"share": []},
    {"share": float("inf")},
    {"share": -1},
    {"share": 1},
    {"money": "x"},
    {"money": []},
    {"yes": "perhaps"},
    {"yes": []},
    {"names": 1},
    {"names": ["a", "b"]},
    {"pairs": 1},
    {"pairs": [1]},
    {"map": 1},
    {"inner": 1},
    {"day": []},
    {"day": "2026-01-01T01:00:00"},
    {"language": "fr"},
    {"one": "b"},
    {"weekday": "sun"},
    {"own": "no"},
]


@pytest.mark.parametrize("given", WRONG, ids=str)
def test_english_is_pydantics_own_and_chinese_has_no_english(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate({"must": 1, **given} if given else {})
    (detail,) = raised.value.errors()
    said = fault_of(detail)
    assert str(said) == EN(said) == detail["msg"]
    chinese = ZH(said)
    if given != {"own": "no"}:  # what a validator of somebody else says stays as it is
        assert re.search("[一-鿿]", chinese), chinese
        assert not re.search("should|valid|Input", chinese), chinese


def test_choices_are_listed_as_each_language_does() -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate({"must": 1, "language": "fr"})
    said = fault_of(raised.value.errors()[0])
    assert (EN(said), ZH(said)) == ("Input should be 'en', 'zh' or 'de'", "应为 'en'、'zh' 或 'de'")


def test_a_rare_kind_keeps_its_words() -> None:
    assert EN(fault_of({"type": "url_scheme", "msg": "URL scheme should be 'http'"})) == "URL scheme should be 'http'"
