"""Parquet files to records: values as the text that a CSV export would hold."""

from __future__ import annotations

import decimal
import io
from collections.abc import Sequence
from typing import Any

from salescoach.errors import FileRejected
from salescoach.sources.records import Records
from salescoach.sources.workbook import cell_text


def read_parquet(name: str, content: bytes) -> Records:
    """The rows of a Parquet file, counted from 2 like the rows of a sheet below its header."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRejected(f"{name} is a damaged Parquet file ({error}). Write it again.") from error
    columns: list[Sequence[str]] = [_texts(table.column(i)) for i in range(table.num_columns)]
    header = [str(n) for n in table.column_names]
    rows = range(table.num_rows)
    filled = [i for i in rows if any(c[i] for c in columns)]
    if len(filled) < len(rows):
        columns = [[c[i] for i in filled] for c in columns]
    return Records(header, columns, [i + 2 for i in filled], len(rows) - len(filled))


def parquet_header(name: str, content: bytes) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [str(n) for n in pq.read_schema(io.BytesIO(content)).names]
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRejected(f"{name} is a damaged Parquet file ({error}). Write it again.") from error


def _texts(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return ["" if v is None else v for v in column.to_pylist()]
    return [format(v, "f") if isinstance(v, decimal.Decimal) else cell_text(v) for v in column.to_pylist()]
