"""Printed tables: in Chinese their columns are named in Chinese, in English as in files."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from salescoach.cli.columns import as_printed
from salescoach.cli.forecast import AMOUNTS, DEALS, SCORES
from salescoach.cli.language import choose, language
from salescoach.metrics import METRICS, measure
from salescoach.sources import sample_book


@pytest.fixture
def chinese() -> Iterator[None]:
    before = language()
    choose("zh")
    yield
    choose(before)


def test_in_english_a_table_is_printed_as_it_is() -> None:
    table = pd.DataFrame({"rep": ["(all)"], "value": [0.5]})
    assert as_printed(table, "win_rate") is table


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("name", METRICS)
def test_every_column_of_a_metric_has_a_chinese_name(name: str) -> None:
    found = measure(sample_book(), name, by="rep")
    if found.table is None:
        pytest.skip(str(found.because))
    shown = as_printed(found.table, name)
    assert shown.shape == found.table.shape
    assert [c for c in shown if c.isascii()] == []


@pytest.mark.usefixtures("chinese")
def test_the_columns_of_a_forecast_have_chinese_names() -> None:
    columns = list(dict.fromkeys([*AMOUNTS, *SCORES, *DEALS]))
    assert [c for c in as_printed(pd.DataFrame(columns=columns)) if c.isascii()] == []


@pytest.mark.usefixtures("chinese")
def test_ends_and_days_are_named_after_their_figure_and_groups_are_said() -> None:
    table = pd.DataFrame({"rep": ["(all)", "Ann"], "value": [0.5, 0.4], "low": [0.4, 0.3], "value_then": [0.3, 0.2]})
    table["chosen"] = [True, False]
    shown = as_printed(table.astype({"rep": "str"}), "win_rate")
    assert list(shown) == ["销售代表", "赢单率", "赢单率下限", "赢单率，当时", "采用"]
    assert shown["销售代表"].tolist() == ["（合计）", "Ann"]
    assert shown["采用"].tolist() == ["是", "否"]
    assert list(as_printed(pd.DataFrame(columns=["budget_code"]))) == ["budget_code"]  # of the company's own
