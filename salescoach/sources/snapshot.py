"""Today's deals, kept: three months of nightly snapshots tell more than any reconstruction of a stage history."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.errors import StorageError


def append_snapshot(book: Book, store: str | Path) -> Path:
    """Write the book's deals as they stand on its last day to `store`, one Parquet file a day. Returns the file.

    Columns: those of `deals` that the book has, and snapshot_at, the day. `salescoach load STORE` builds a book of all
    snapshots: stage history, changes of owner, amount and expected close, and deals that vanished.
    Raises StorageError where that day is there already with other deals.
    """
    folder = Path(store)
    file = folder / f"deals-{book.as_of_on.date()}.parquet"
    deals = book.deals
    rows = deals[[c for c in TABLES["deals"].columns if c in deals]]
    rows = rows.assign(snapshot_at=book.as_of_on.strftime("%Y-%m-%d"))
    if file.exists():
        if not pd.read_parquet(file).equals(_as_stored(rows)):
            raise StorageError(
                "{file} exists and holds other deals: there is one snapshot a day. Delete it to take this one instead.",
                file=file,
            )
        return file
    folder.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(prefix=".deals-", suffix=".parquet", dir=folder)
    os.close(handle)
    try:
        rows.to_parquet(fresh, index=False)
        Path(fresh).replace(file)
    finally:
        Path(fresh).unlink(missing_ok=True)
    return file


def _as_stored(rows: pd.DataFrame) -> pd.DataFrame:
    memory = io.BytesIO()
    rows.to_parquet(memory, index=False)
    return pd.read_parquet(memory)
