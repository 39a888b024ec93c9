"""Writes a sample to a folder: one CSV per table, the log of coaching, its dictionary, and the truth."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from salescoach.sample.dictionary import DICTIONARY
from salescoach.sample.dirt import plant_dirt
from salescoach.sample.rates import DEMO_DIRT, DirtRates
from salescoach.sample.simulate import Sample, simulate
from salescoach.sample.text import TextTable


def write_demo(
    folder: str | Path, sample: Sample | None = None, seed: int = 7, rates: DirtRates = DEMO_DIRT
) -> dict[str, Any]:
    """Writes a book with its dirt and returns the record of it; the same arguments give the same bytes.

    Without a sample, the bundled demo book is simulated. Times are local
    (Asia/Shanghai), text is UTF-8, lines end with LF.
    """
    sample = simulate(seed=seed) if sample is None else sample
    tables, dirt = plant_dirt(sample, seed, rates)
    record = {**sample.truth, "dirt": dirt}
    tables = {**tables, "coaching": coaching_log(sample.truth)}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        (target / f"{name}.csv").write_bytes(csv_bytes(table))
    (target / "dictionary.csv").write_bytes(csv_bytes(dictionary_table(tables)))
    text = json.dumps(record, ensure_ascii=False, indent=1)
    (target / "truth.json").write_bytes((text + "\n").encode())
    return record


def csv_bytes(table: TextTable) -> bytes:
    """The bytes of a CSV: comma, quotes only where needed, LF."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return lines.getvalue().encode("utf-8-sig" if table.byte_order_mark else "utf-8")


def coaching_log(truth: dict[str, Any]) -> TextTable:
    """The sessions as the managers know them: whom, when and on which stage, without what came of them."""
    header = ["rep_id", "on", "stage"]
    rows = [[session[column] for column in header] for session in truth["coaching"]]
    return TextTable(header, sorted(rows, key=lambda row: (row[1], row[0])))


def dictionary_table(tables: dict[str, TextTable]) -> TextTable:
    """One row per column of each table: table, column, description, unit."""
    rows = [
        [name, column, *DICTIONARY[column if (name, column) not in DICTIONARY else (name, column)]]
        for name, table in tables.items()
        for column in table.header
    ]
    return TextTable(["table", "column", "description", "unit"], rows)
