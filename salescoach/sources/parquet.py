"""Parquet files to records: values as the text that a CSV export would hold."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book.texts import all_filled
from salescoach.book.texts import column as text_column
from salescoach.errors import FileRejected
from salescoach.sources.records import Records, Texts
from salescoach.sources.workbook import cell_text

SMALLEST, LARGEST = 1e-3, 1e9  # numbers between them are written alike by everybody
A_DAY = 86_400
FIRST_SECOND = (dt.date(1000, 1, 1) - dt.date(1970, 1, 1)).days * A_DAY  # years of four digits begin here
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def read_parquet(name: str, content: bytes, partitions: Mapping[str, str] | None = None) -> Records:
    """The rows of a Parquet file, counted from 2 like the rows of a sheet below its header.

    partitions   columns that the file has by the folder it lies in, and the one value of each
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
        columns: list[Texts] = [column_texts(table.column(i)) for i in range(table.num_columns)]
        header = [str(n) for n in table.column_names]
    except (pa.ArrowException, OSError) as error:
        raise FileRejected(
            "{name} is a damaged Parquet file ({error}). Write it again.", name=name, error=error
        ) from error
    rows, blank = table.num_rows, 0
    lines: Sequence[int] = range(2, rows + 2)
    numbers: Sequence[int] = range(1, rows + 1)
    if columns and not any(all_filled(pd.Series(c, dtype="str")) for c in columns):
        empty = np.ones(rows, dtype=bool)
        for column in columns:
            empty &= (pd.Series(column, dtype="str") == "").to_numpy()
        filled = np.flatnonzero(~empty)
        blank = rows - len(filled)
        if blank:
            columns = [pd.Series(c, dtype="str").take(filled).reset_index(drop=True) for c in columns]
            lines, numbers = (filled + 2).tolist(), (filled + 1).tolist()
    for key, value in (partitions or {}).items():
        if key not in header:
            header.append(key)
            columns.append([value] * len(lines))
    return Records(header, columns, lines, blank, numbers)


def parquet_header(name: str, content: bytes, partitions: Mapping[str, str] | None = None) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        header = [str(n) for n in pq.read_schema(io.BytesIO(content)).names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileRejected(
            "{name} is a damaged Parquet file ({error}). Write it again.", name=name, error=error
        ) from error
    return [*header, *(k for k in partitions or {} if k not in header)]


def column_texts(column: Any) -> Texts:
    """A column of an Arrow table as text: decimals digit by digit, stamps with their zone, null as ""."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column.validate(full=True)  # that it is UTF-8
        return _filled(column)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        return _filled(pc.cast(column, pa.large_string()))
    if pa.types.is_float64(kind):
        return _mostly(column, *_plain_floats(column))
    if pa.types.is_timestamp(kind) and kind.tz in (None, "UTC"):
        return _mostly(column, *_plain_stamps(column))
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):  # 0.1 as it was written, not 0.10000000149011612
        return [value_text(None if v is None else float(str(np.float32(v)))) for v in column.to_pylist()]
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        uniques = column.unique()
        words = [value_text(v) for v in uniques.to_pylist()]
        return [words[i] for i in pc.index_in(column, uniques).to_pylist()]
    return [value_text(v) for v in column.to_pylist()]


def _filled(texts: Any) -> Texts:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.fill_null(pc.cast(texts, pa.large_string()), "")
    return text_column(filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled)


def _mostly(column: Any, usual: Any, texts: Any) -> Texts:
    """The texts where a value is usual or null; any other value on its own, as `value_text` writes it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.invert(pc.fill_null(usual, True))
    if not pc.any(odd).as_py():
        return _filled(texts)
    written = pa.array([value_text(v) for v in pc.filter(column, odd).to_pylist()], pa.large_string())
    return _filled(pc.replace_with_mask(pa.array(_filled(texts), pa.large_string()), odd.combine_chunks(), written))


def _plain_floats(column: Any) -> tuple[Any, Any]:
    """Which numbers need no exponent, and these as text: 5 and 1234.5, never 5.0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = pc.abs(column)
    usual = pc.or_(pc.equal(column, 0), pc.and_(pc.greater_equal(size, SMALLEST), pc.less(size, LARGEST)))
    kept = pc.if_else(usual, column, None)
    whole = pc.cast(pc.trunc(kept), pa.int64())
    integral = pc.equal(kept, pc.trunc(kept))
    return usual, pc.if_else(integral, pc.cast(whole, pa.large_string()), pc.cast(kept, pa.large_string()))


def _plain_stamps(column: Any) -> tuple[Any, Any]:
    """Which stamps are whole seconds of four-digit years, and these as text; a midnight without a zone is a day."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts, a_second = pc.cast(column, pa.int64()), PER_SECOND[column.type.unit]
    seconds = pc.divide(pc.if_else(pc.greater_equal(counts, 0), counts, pc.subtract(counts, a_second - 1)), a_second)
    whole = pc.equal(pc.multiply(seconds, a_second), counts)
    usual = pc.and_(whole, pc.greater_equal(seconds, FIRST_SECOND))
    stamps = pc.if_else(usual, seconds, None)
    texts = pc.cast(pc.cast(stamps, pa.timestamp("s")), pa.large_string())
    if column.type.tz is not None:
        offset, nothing = (pa.scalar(text, pa.large_string()) for text in ("+00:00", ""))
        return usual, pc.binary_join_element_wise(texts, offset, nothing)
    midnight = pc.equal(pc.multiply(pc.divide(stamps, A_DAY), A_DAY), stamps)
    if not pc.any(midnight).as_py():
        return usual, texts
    return usual, pc.if_else(midnight, pc.utf8_slice_codeunits(texts, 0, 10), texts)


def value_text(value: object) -> str:
    """One value of a database or Parquet file as the text a CSV export would hold."""
    if isinstance(value, decimal.Decimal):
        return "" if value.is_nan() else format(value, "f")
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content.hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=value_text)
    return cell_text(value)
