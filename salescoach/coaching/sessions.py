"""Coaching sessions from a file or the ledger: whom, when, and about which stage."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from salescoach.coaching.ledger import open_ledger
from salescoach.errors import InputError, UsageError, commas, suggestion
from salescoach.kit import kit_path

COLUMNS = ("rep_id", "on", "stage")
DEMO = "demo"


def read_sessions(place: str | Path) -> pd.DataFrame:
    """Coaching sessions, in the order in which they are written down.

    place   a CSV (UTF-8) with the columns rep_id (id or name), on (2026-07-01) and, if you like, stage (its key in the
            process file); a coaching ledger (file, URL or env:NAME); or "demo" for the log of the bundled demo data

    Returns rep_id, on, stage (null: about none). Raises UsageError where there is no such file, and InputError with the
    line where a column or a day is missing or cannot be read.
    """
    path = kit_path("data/demo") / "coaching.csv" if str(place) == DEMO else Path(place)
    address = "://" in str(place) or str(place).startswith("env:")
    if not address and not path.is_file():
        raise UsageError(
            "{path} does not exist. Give a coaching ledger, or a CSV with {columns}.",
            path=path,
            columns=commas(COLUMNS),
        )
    if address or path.suffix.lower() != ".csv":
        return open_ledger(place).sessions_table()[list(COLUMNS)]
    return _read_csv(path)


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for column in COLUMNS[:2]:
            if column not in (names := reader.fieldnames or ()):
                raise InputError(
                    "{path} has no column {column!r}.{hint}",
                    path=path.name,
                    column=column,
                    hint=suggestion(column, names),
                )
        rows = [_session(path.name, reader.line_num, row) for row in reader]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"rep_id": "str", "on": "datetime64[us]", "stage": "str"})


def _session(name: str, line: int, row: dict[str, str | None]) -> dict[str, object]:
    rep, on, stage = ((row.get(column) or "").strip() for column in COLUMNS)
    if not rep:
        raise InputError(
            "{name}, line {line}: rep_id is blank. Write the id or the name of who was coached.", name=name, line=line
        )
    try:
        day = pd.Timestamp.fromisoformat(on).normalize()
    except ValueError:
        raise InputError(
            "{name}, line {line}: {on!r} is not a day. Write it as 2026-07-01.", name=name, line=line, on=on
        ) from None
    return {"rep_id": rep, "on": day, "stage": stage or None}
