"""Typed values of Parquet files and databases become the text that a CSV export holds, many at a time or singly."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salescoach.sources.parquet import column_texts, value_text

STAMPS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
SECONDS = STAMPS.map(lambda t: t.replace(microsecond=0))
DAYS = SECONDS.map(lambda t: dt.datetime(t.year, t.month, t.day))
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "number": (pa.float64(), st.floats() | st.decimals(-(10**9), 10**9, places=2).map(float)),
    "whole number": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()),
    "stamp": (pa.timestamp("us"), STAMPS | SECONDS | DAYS),
    "stamp of UTC": (pa.timestamp("us", "UTC"), (STAMPS | SECONDS | DAYS).map(lambda t: t.replace(tzinfo=dt.UTC))),
    "text": (pa.string(), st.text(st.characters(codec="utf-8"))),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_many_values_read_as_each_of_them(kind: str, data: st.DataObject) -> None:
    arrow_type, values = KINDS[kind]
    given_values = data.draw(st.lists(st.none() | values, max_size=20))
    column = pa.chunked_array([pa.array(given_values[:5], arrow_type), pa.array(given_values[5:], arrow_type)])
    assert list(column_texts(column)) == [value_text(v) for v in column.to_pylist()]
