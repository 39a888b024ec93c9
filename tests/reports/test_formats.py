"""Values as a person reads them."""

from __future__ import annotations

import pandas as pd
import pytest

from salescoach.reports.blocks import cell, written
from salescoach.reports.fields import Field
from salescoach.wording import words

EN, ZH = words("en"), words("zh")


@pytest.mark.parametrize(
    ("value", "kind", "n", "english", "chinese"),
    [
        (0.1725, "share", 399, "17%", "17%"),
        (0.1725, "share", 400, "17.2%", "17.2%"),  # one decimal only where n carries it
        (1.994, "ratio", 4000, "199%", "199%"),
        (0, "share", 12, "0%", "0%"),
        (9.96, "days", 5, "10.0", "10.0"),
        (10.4, "days", 5, "10", "10"),
        (0.5, "hours", 5, "30 min", "30 分钟"),
        (1, "hours", 5, "1.0 h", "1.0 小时"),
        (9.94, "hours", 5, "9.9 h", "9.9 小时"),
        (10, "hours", 5, "10 h", "10 小时"),
        (48, "hours", 5, "2.0 d", "2.0 天"),
        (240, "hours", 5, "10 d", "10 天"),
        (1234567, "money", 5, "¥1,234,567", "¥1,234,567"),
        (-1234.4, "money", 5, "−¥1,234", "−¥1,234"),
        (0, "money", 5, "¥0", "¥0"),
        (4015, "count", 5, "4,015", "4,015"),
        (pd.Timestamp("2026-11-23"), "date", None, "23 Nov 2026", "2026年11月23日"),
        ("(unassigned)", "text", None, "(unassigned)", "（未分配）"),
        ("Ann", "text", None, "Ann", "Ann"),
    ],
)
def test_a_value_in_both_languages(value: object, kind: str, n: object, english: str, chinese: str) -> None:
    assert written(EN, value, kind, "CNY", n) == english
    assert written(ZH, value, kind, "CNY", n) == chinese


@pytest.mark.parametrize("kind", ["share", "ratio", "days", "hours", "money", "count", "number", "date", "text"])
@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT], ids=str)
def test_what_is_not_known_is_a_dash(nothing: object, kind: str) -> None:
    assert written(EN, nothing, kind, "CNY") == "–"


def shown(kind: str, value: float, low: float, high: float, currency: str = "CNY") -> str:
    found = cell(EN, {"v": value, "l": low, "h": high, "n": 50}, Field("", "v", kind, "l", "h"), currency)
    return f"{found.text} {found.range}".strip()


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "value", "low", "high", "expected"),
    [
        ("share", 0.5, 0.366, 0.634, "50% (37%–63%)"),
        ("days", 35, 31, 46, "35 (31–46)"),
        ("hours", 0.9, 0.5, 1.4, "54 min (30–84 min)"),  # one unit in one cell
        ("hours", 60, 30, 72, "2.5 d (1.2–3.0 d)"),
        ("hours", 3, 2, NAN, "3.0 h (2.0–… h)"),
        ("days", 35, 31, NAN, "35 (31–…)"),  # no upper end is said, not left out
        ("money", 100, -50, 250, "¥100 (−¥50 – ¥250)"),
        ("count", 16, 9, 26, "16 (9–26)"),
        ("share", 0.5, NAN, NAN, "50%"),
        ("share", NAN, NAN, NAN, "–"),
    ],
)
def test_a_value_with_its_interval(kind: str, value: float, low: float, high: float, expected: str) -> None:
    assert shown(kind, value, low, high) == expected


def test_amounts_carry_the_sign_of_their_own_currency() -> None:
    assert shown("money", 100, NAN, NAN, "EUR") == "€100"
    assert shown("money", 100, NAN, NAN, "JPY") != shown("money", 100, NAN, NAN, "CNY")
