"""What a load read of a database, kept in a folder so that the next load asks only for what changed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salescoach.errors import StorageError

KIND, VERSION = "salescoach cache", 1
STATE = "state.json"
KEPT = ("deals", "stage_history", "changes")  # the other tables say nothing of when a row changed: read whole each time


class Cache:
    """A folder with deals and their logs as text: one Parquet file per table, and state.json.

    state.json holds the version, the fingerprint of what was asked for (a hash; neither address nor credential), the
    latest `updated_at` that was seen, and the hash of each file. It is written last: a load that dies half-way, or two
    at once, leave files that do not fit it, and the next load reads everything.

    now       the instant of the load
    told      table -> how it was read
    vanished  ids of deals that the cache holds and the database no longer does
    problem   why the cache cannot be used; "" where it can
    seen      the latest `updated_at` of the load before; `newest` that of this load, if it is not in the future
    """

    def __init__(self, folder: str | Path, now: pd.Timestamp) -> None:
        self.folder, self.now = Path(folder), now
        self.told: dict[str, str] = {}
        self.vanished: list[str] = []
        self.problem = ""
        self.seen: pd.Timestamp | None = None
        self.newest: pd.Timestamp | None = None
        self._fingerprint = ""
        self._kept: dict[str, pd.DataFrame] = {}
        self._fresh: dict[str, pd.DataFrame] = {}

    def open(self, fingerprint: str) -> None:
        """Read what is kept of this very source, database and choice of reps.

        Raises StorageError where the folder is no cache, or another person's.
        """
        self._fingerprint = fingerprint
        state = self._state()
        if not state:
            self.problem = "there was no cache"
        elif state.get("version") != VERSION:
            self.problem = "the cache is of another version"
        elif state.get("fingerprint") != fingerprint:
            self.problem = "the cache is of another source, database or choice of reps"
        else:
            try:
                self.seen = pd.Timestamp(str(state["seen"])).tz_convert("UTC")
                if pd.isna(self.seen):
                    raise ValueError("seen")
                self._kept = {n: self._read(n, digest) for n, digest in state["tables"].items() if n in KEPT}
            except (OSError, KeyError, TypeError, ValueError, AttributeError, pa.ArrowException):
                self.problem = "the cache is damaged"

    def rows(self, table: str, columns: Sequence[str]) -> pd.DataFrame | None:
        """What is kept of a table, or None where that has not exactly these columns."""
        kept = self._kept.get(table)
        return kept if kept is not None and list(kept.columns) == list(columns) else None

    def keep(self, table: str, rows: pd.DataFrame, told: str) -> None:
        """Have these rows in the cache once it is saved."""
        self._fresh[table], self.told[table] = rows, told

    def save(self) -> None:
        """Put the rows of this load in the place of those before; nothing is kept where no `updated_at` was seen."""
        if self.newest is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            head: dict[str, Any] = {"kind": KIND, "version": VERSION}
            if not (self.folder / STATE).exists():
                self._write(STATE, json.dumps(head).encode())  # from here on the folder is known as a cache
            tables = {name: self._write(f"{name}.parquet", _parquet(rows)) for name, rows in self._fresh.items()}
            head |= {"fingerprint": self._fingerprint, "seen": self.newest.isoformat(), "tables": tables}
            self._write(STATE, json.dumps(head, indent=1).encode())
            for name in set(KEPT) - set(tables):
                (self.folder / f"{name}.parquet").unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                "The cache {folder} cannot be written ({problem}). Make room, name another folder, or load "
                "without a cache.",
                folder=self.folder,
                problem=error.strerror,
            ) from error

    def _state(self) -> dict[str, Any]:
        """state.json, or nothing where there is no cache yet."""
        try:
            if not self.folder.exists():
                return {}
            if hasattr(os, "getuid") and self.folder.stat().st_uid != os.getuid():
                raise StorageError(
                    "The cache {folder} belongs to another user, who could change your numbers. Name a folder "
                    "of your own.",
                    folder=self.folder,
                )
            others = [f.name for f in self.folder.iterdir() if not f.name.startswith(f".{STATE}-")]
            if not others:
                return {}
            state = json.loads((self.folder / STATE).read_text(encoding="utf-8")) if STATE in others else None
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or "state.json is damaged"
            raise StorageError(
                "The cache {folder} cannot be read ({problem}). Delete it, or name another folder.",
                folder=self.folder,
                problem=problem,
            ) from error
        if not isinstance(state, dict) or state.get("kind") != KIND:
            raise StorageError(
                "{folder} is not empty and is no cache of salescoach. Name another folder; it will be made.",
                folder=self.folder,
            )
        return state

    def _read(self, table: str, digest: str) -> pd.DataFrame:
        content = (self.folder / f"{table}.parquet").read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(table)
        read = pq.read_table(io.BytesIO(content))
        return pd.DataFrame({c: pd.Series(read.column(c).to_pylist(), dtype="str") for c in read.column_names})

    def _write(self, name: str, content: bytes) -> str:
        """The old file or the new one, never half of one, and for nobody else to read. Returns its hash."""
        handle, fresh = tempfile.mkstemp(prefix=f".{name}-", dir=self.folder)  # made with 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).replace(self.folder / name)
        finally:
            Path(fresh).unlink(missing_ok=True)
        return hashlib.sha256(content).hexdigest()


def _parquet(rows: pd.DataFrame) -> bytes:
    memory = io.BytesIO()
    pq.write_table(pa.table({str(c): pa.array(rows[c], type=pa.string()) for c in rows}), memory)
    return memory.getvalue()
