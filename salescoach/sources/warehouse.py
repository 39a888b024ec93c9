"""A book whose tables stay where they are: in the files of a saved book, or in the company's own database."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from salescoach.book import Book, open_head
from salescoach.errors import StorageError, UsageError, commas, listed
from salescoach.sources.database import Database, Engine, escaped, said
from salescoach.sources.layout import Connection, Source

MEMORY_LIMIT = "2GB"
KINDS = {"text": pa.large_string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
TEXTS = ("character", "varchar", "text", "bpchar", "name")
DIALECTS = ("postgresql", "default")  # DuckDB has none of its own in SQLAlchemy
MANDATORY = {
    "deals": ("deal_id", "pipeline", "outcome"),
    "stage_history": ("deal_id", "entered_at", "stage", "evidence", "place"),
    "changes": ("deal_id", "at", "field", "place"),
}


@dataclass(frozen=True, repr=False)
class Warehouse:
    """Where SQL is answered, and what a book says beside its tables.

    head      a book of which only the process, the day, the currency, the precision and the people are asked
    schema    where the tables stand
    columns   table -> column -> whether it holds text
    """

    head: Book
    schema: str
    columns: Mapping[str, Mapping[str, bool]]
    engine: Engine

    def __repr__(self) -> str:
        return f"Warehouse({listed(self.columns)}; as of {self.head.as_of_on.date()})"

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there with these columns."""
        return table in self.columns and set(columns) <= set(self.columns[table])

    def fetch(self, query: str, kinds: Mapping[str, str]) -> pd.DataFrame:
        """The answer to a query, its columns by name as `text`, `whole`, `number` or `flag`.

        Raises InputError with the words of the database.
        """
        return _answer(self.engine, query, kinds)


@contextmanager
def open_files(
    folder: str | Path, memory_limit: str = MEMORY_LIMIT, threads: int | None = None, spill: str | Path | None = None
) -> Iterator[Warehouse]:
    """The files of a saved book, read by DuckDB (extra `sql`) within a limit of memory.

    memory_limit   what DuckDB may hold at once, such as "2GB"; what needs more goes to files
    threads        default: one per core
    spill          where those files are written, and removed in the end; default: the system's temporary folder

    Raises StorageError where the folder is no book, UsageError for a limit that cannot be read.
    """
    head = open_head(folder)
    rows = Path(tempfile.mkdtemp(prefix="salescoach-", dir=spill))
    settings = {
        "memory_limit": memory_limit,
        "threads": threads or os.cpu_count() or 1,
        "temp_directory": str(rows),
        "preserve_insertion_order": False,
        "python_enable_replacements": False,
    }
    try:
        with _duckdb(settings) as connection:
            connection.execute("SET enable_progress_bar = false")  # it would be printed among a program's answers
            for file in _files(Path(folder)):
                connection.execute(_view(file))
            with in_database(head, connection, schema="main") as found:
                yield found
    finally:
        shutil.rmtree(rows, ignore_errors=True)


@contextmanager
def in_database(head: Book, connection: str | Connection | object, schema: str = "public") -> Iterator[Warehouse]:
    """The tables of a book in a schema of a PostgreSQL database, by a connection or its address.

    The tables have the names and columns of a saved book (`salescoach.book.TABLES`): stages are keys of the process,
    instants are `timestamptz`, amounts whole minor units (`bigint`). `stage_history` and `changes` have one column
    more, `place`: of two rows of one deal the later one has the larger number, which tells what came first within
    one instant. Of `head` only what stands beside the tables is asked: see `open_head`.

    Raises UsageError where a table or column is missing, and for any other kind of database.
    """
    with Database(Source(origin="warehouse", tables={}), connection).open() as engine:
        if engine.dialect.name not in DIALECTS:
            raise UsageError(
                "Counting in place needs DuckDB or PostgreSQL; this is {dialect}.", dialect=engine.dialect.name
            )
        columns = _columns(engine, schema)
        _check_columns(columns, schema)
        yield Warehouse(head, schema, columns, engine)


@contextmanager
def _duckdb(settings: Mapping[str, Any]) -> Iterator[Any]:
    try:
        import duckdb
    except ImportError:
        raise UsageError(
            'Tables are counted by DuckDB, which is not installed: pip install "salescoach[sql]"'
        ) from None
    try:
        connection = duckdb.connect(config=dict(settings))
    except duckdb.Error as error:
        raise UsageError(
            "DuckDB does not take memory_limit={memory_limit!r}: {error}",
            memory_limit=settings["memory_limit"],
            error=error,
        ) from error
    try:
        yield connection
    finally:
        connection.close()


def _files(folder: Path) -> list[Path]:
    names = json.loads((folder / "book.json").read_text(encoding="utf-8"))["tables"]
    missing = [n for n in names if not (folder / f"{n}.parquet").is_file()]
    if missing:
        raise StorageError(
            "{folder} is no whole book: {missing} missing. Build it again.", folder=folder, missing=commas(missing)
        )
    return [folder / f"{n}.parquet" for n in names]


def _view(file: Path) -> str:
    """A saved table keeps the order of its rows: their place in the file is the place in the history."""
    path = str(file).replace("'", "''")
    return f'CREATE VIEW "{file.stem}" AS SELECT *, file_row_number AS place FROM read_parquet(' + f"'{path}')"


def _columns(engine: Engine, schema: str) -> dict[str, dict[str, bool]]:
    quoted = schema.replace("'", "''")
    found = _answer(
        engine,
        "SELECT CAST(table_name AS VARCHAR), CAST(column_name AS VARCHAR), CAST(data_type AS VARCHAR) "
        f"FROM information_schema.columns WHERE table_schema = '{quoted}' ORDER BY table_name, ordinal_position",
        {"table": "text", "column": "text", "kind": "text"},
    )
    columns: dict[str, dict[str, bool]] = {}
    for table, column, kind in found.itertuples(index=False):
        columns.setdefault(table, {})[column] = kind.lower().startswith(TEXTS)
    return columns


def _check_columns(columns: Mapping[str, Mapping[str, bool]], schema: str) -> None:
    if "deals" not in columns:
        raise UsageError(
            "The schema {schema!r} has no table `deals`. Tables: {columns}.",
            schema=schema,
            columns=listed(columns),
        )
    for table, needed in MANDATORY.items():
        missing = [c for c in needed if table in columns and c not in columns[table]]
        if missing:
            raise UsageError(
                "{schema}.{table} has no column {missing}. Its columns: {columns}.",
                schema=schema,
                table=table,
                missing=commas(f"`{c}`" for c in missing),
                columns=commas(columns[table]),
            )


def _answer(engine: Engine, query: str, kinds: Mapping[str, str]) -> pd.DataFrame:
    import sqlalchemy as sa

    columns = said(lambda: engine.columns(sa.text(escaped(query))), "warehouse", engine.address)
    typed = {n: _column(c, KINDS[k]) for (n, k), c in zip(kinds.items(), columns, strict=True)}
    return pd.DataFrame(typed)


def _column(values: Any, kind: pa.DataType) -> pd.Series[Any]:
    found = values.cast(kind) if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values, kind)])
    if pa.types.is_large_string(kind):
        return pd.Series(pd.array(found, dtype="str"))
    return pd.Series(found.to_numpy())
