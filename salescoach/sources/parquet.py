"""Parquet files to records: values as the text that a CSV export would hold."""

from __future__ import annotations

import decimal
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from salescoach.errors import FileRejected
from salescoach.sources.records import Records, Texts
from salescoach.sources.workbook import cell_text


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
        raise FileRejected(f"{name} is a damaged Parquet file ({error}). Write it again.") from error
    rows = range(table.num_rows)
    blank = np.ones(table.num_rows, dtype=bool)
    for column in columns:
        blank &= (pd.Series(column, dtype="str") == "").to_numpy()
    filled = np.flatnonzero(~blank).tolist()
    if len(filled) < len(rows):
        columns = [pd.Series(c, dtype="str").take(filled).reset_index(drop=True) for c in columns]
    for key, value in (partitions or {}).items():
        if key not in header:
            header.append(key)
            columns.append([value] * len(filled))
    return Records(header, columns, [i + 2 for i in filled], len(rows) - len(filled), [i + 1 for i in filled])


def parquet_header(name: str, content: bytes, partitions: Mapping[str, str] | None = None) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        header = [str(n) for n in pq.read_schema(io.BytesIO(content)).names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileRejected(f"{name} is a damaged Parquet file ({error}). Write it again.") from error
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
        texts: pd.Series[str] = pc.fill_null(column, "").to_pandas()
        return texts
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):  # 0.1 as it was written, not 0.10000000149011612
        return [value_text(None if v is None else float(str(np.float32(v)))) for v in column.to_pylist()]
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        uniques = column.unique()
        words = [value_text(v) for v in uniques.to_pylist()]
        return [words[i] for i in pc.index_in(column, uniques).to_pylist()]
    return [value_text(v) for v in column.to_pylist()]


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
