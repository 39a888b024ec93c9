"""Rows that cannot be used: where they stand, what is wrong, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import pandas as pd

from salescoach.wording import VISIBLE

COLUMNS = ["table", "file", "record", "line", "column", "value", "reason", "hint", "rep_id", "raw", "sha256"]
COUNTED = ("record", "line")


class Rejects:
    """Collects the rejected rows of one file. A row is rejected once, for the first fault found.

    A row's number counts the records below the header, blank and rejected ones too; its line is the first of the
    physical lines (CSV) or the row (Excel, Parquet) that it stands in.
    """

    def __init__(self, table: str, file: str, sha256: str = "") -> None:
        self.table = table
        self.file = file
        self.sha256 = sha256
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lines(self) -> list[int]:
        return [row["line"] for row in self._rows]

    @property
    def records(self) -> list[tuple[int, str]]:
        """Line and raw fields (JSON) of each rejected record."""
        return [(row["line"], row["raw"]) for row in self._rows]

    @property
    def raw_by_record(self) -> dict[int, str]:
        """Record number -> raw fields (JSON)."""
        return {row["record"]: row["raw"] for row in self._rows}

    def without(self, numbers: set[int]) -> Rejects:
        """The same, but for the records of these numbers."""
        rest = Rejects(self.table, self.file, self.sha256)
        rest._rows = [row for row in self._rows if row["record"] not in numbers]
        return rest

    def add_record(
        self,
        number: int,
        line: int,
        reason: str,
        hint: str,
        header: Sequence[str],
        record: Sequence[str],
        column: str = "",
        value: str = "",
    ) -> None:
        """Reject a record that is no row: its fields are kept as they came."""
        raw: dict[str, Any] = dict(zip(header, record, strict=False))
        extra = list(record[len(header) :])
        raw = {**raw, "(further fields)": extra} if extra else raw
        self._add(number, line, column, value, reason, hint, raw, None)

    def add(
        self,
        frame: pd.DataFrame,
        numbers: Iterable[int],
        lines: Iterable[int],
        column: str,
        values: Iterable[str],
        reason: str,
        hint: str,
        rep: pd.Series[str] | None = None,
    ) -> None:
        """Reject rows of a text frame, naming the column and the value that is at fault."""
        records = frame.to_dict("records")
        owners = rep.tolist() if rep is not None else [None] * len(records)
        for record, number, line, value, owner in zip(records, numbers, lines, values, owners, strict=True):
            raw = {str(k): v for k, v in record.items() if v != ""}
            self._add(int(number), int(line), column, value, reason, hint, raw, owner)

    def _add(
        self,
        number: int,
        line: int,
        column: str,
        value: str,
        reason: str,
        hint: str,
        raw: dict[str, Any],
        rep: str | None,
    ) -> None:
        self._rows.append(
            {
                "table": self.table,
                "file": self.file,
                "record": number,
                "line": line,
                "column": column,
                "value": value.translate(VISIBLE),
                "reason": reason,
                "hint": hint.translate(VISIBLE),
                "rep_id": rep.translate(VISIBLE) if rep else None,
                "raw": json.dumps(raw, ensure_ascii=False),
                "sha256": self.sha256,
            }
        )

    def frame(self) -> pd.DataFrame:
        """One row for each rejected row, in the order of the lines."""
        kinds = {c: "Int64" if c in COUNTED else "str" for c in COLUMNS}
        frame = pd.DataFrame(self._rows, columns=COLUMNS).astype(kinds)
        return frame.sort_values("line", kind="stable", ignore_index=True)


@cache
def _no_row() -> pd.DataFrame:
    return Rejects("", "").frame()


def empty_quarantine() -> pd.DataFrame:
    return _no_row().copy()
