"""TRUST.md states what the tests hold: what would be missing or too much is found."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_FILE = Path(__file__).parents[1] / ".ci" / "trust.py"
pytestmark = pytest.mark.skipif(not _FILE.is_file(), reason="only in a checkout")
ROWS = [("tests", 5_900, 6_600, "tests notebooks"), ("secrets", 47, 47, "tests/safety/test_secrets.py")]


def as_it_is() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trust_page", _FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def trust(tmp_path: Path) -> ModuleType:
    module = as_it_is()
    module.NIGHTS = tmp_path / "NIGHTLY.md"
    module.NIGHTLY = {"cohorts under attack": r"over ([\d,]+) cohorts"}
    module.NIGHTS.write_text(
        "| date | command | what | result |\n|---|---|---|---|\n"
        "| 2026-11-24 | `pytest a` | attacks over 9,000 cohorts | 8 passed |\n"
        "| 2026-11-30 | `pytest a` | attacks over 10,000 cohorts | 8 passed |\n",
        encoding="utf-8",
    )
    return module


def test_a_page_states_what_was_counted_and_what_the_last_night_did(trust: ModuleType) -> None:
    page = trust.page(ROWS)
    assert "| tests | 5,900 | 6,600 | `pytest tests notebooks` |" in page
    assert "| cohorts under attack | 10,000 | 2026-11-30 | `pytest a` |" in page
    assert trust.problems(ROWS, page) == []


def test_more_tests_than_stated_are_no_problem(trust: ModuleType) -> None:
    more = [(what, here + 1, whole + 3, file) for what, here, whole, file in ROWS]
    assert trust.problems(more, trust.page(ROWS)) == []


@pytest.mark.parametrize(("by_default", "nightly"), [(46, 47), (47, 46)])
def test_fewer_tests_than_stated_are_found(trust: ModuleType, by_default: int, nightly: int) -> None:
    fewer = [ROWS[0], ("secrets", by_default, nightly, ROWS[1][3])]
    [problem] = trust.problems(fewer, trust.page(ROWS))
    assert problem == f"secrets: 47 and 47 are stated, {by_default} and {nightly} are there"


def test_a_row_that_is_left_out_is_found(trust: ModuleType) -> None:
    assert trust.problems(ROWS, trust.page(ROWS[:1])) == ["no row of: secrets (pytest tests/safety/test_secrets.py)"]
    without = trust.page(ROWS).replace("cohorts under attack", "cohorts")
    assert trust.problems(ROWS, without) == ["no row of: cohorts under attack"]


def test_a_night_that_never_was_is_found(trust: ModuleType) -> None:
    trust.NIGHTLY = {"pairs": r"([\d,]+) ordered pairs"}
    with pytest.raises(SystemExit, match="has no row of: pairs"):
        trust.page(ROWS)


def test_every_night_of_the_page_stands_in_the_record() -> None:
    module = as_it_is()
    assert len(module.nights()) == len(module.NIGHTLY)
