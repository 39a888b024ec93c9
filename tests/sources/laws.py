"""The laws of a load, judged from the rows that went in: what they are, and how rows become a file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from salescoach.book import Book
from salescoach.sources import load_book

HEADER = ["deal_id", "rep_id", "stage", "created_at", "amount", "name"]
SOURCE = (
    "tolerate = { unknown_stage = 1.0, quarantined = 1.0 }\n[deals]\n[deals.columns]\n"
    + "".join(f'{c} = "{c}"\n' for c in HEADER)
    + '[deals.format]\ndecimal = "."\ndate = "%Y-%m-%d"\n'
)
Row = list[str]


def csv_text(rows: list[Row], separator: str = ",", end: str = "\n") -> str:
    target = io.StringIO()
    csv.writer(target, delimiter=separator, lineterminator=end).writerows([HEADER, *rows])
    return target.getvalue()


def load_files(files: Mapping[str, bytes], source: str = SOURCE) -> Book:
    """The book of these files, as of the middle of 2025."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "my.toml").write_text(source, encoding="utf-8")
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        paths = [Path(folder) / name for name in files]
        return load_book(paths, source=str(Path(folder) / "my.toml"), as_of="2025-06-30")


def load(rows: list[Row]) -> Book:
    return load_files({"deals.csv": csv_text(rows).encode()})


def cents(text: str) -> int | None:
    """Minor units, or nothing where the text is no plain number."""
    return int(Decimal(text) * 100) if text.replace(".", "", 1).isdigit() else None


def first_lines(rows: list[Row]) -> list[int]:
    """The physical line of each row in `csv_text`: the header is line 1, and fields may hold line breaks."""
    lines, at = [], 2
    for row in rows:
        lines.append(at)
        at += 1 + sum(value.count("\n") for value in row)
    return lines


def broken_laws(rows: list[Row], book: Book) -> list[str]:
    """The names of the laws that this load of `csv_text(rows)` broke.

    rows    every record is used once or set aside once
    ids     the ids are the same, letter by letter, as often as they came
    money   each cent that can be read is used or set aside
    parts   reps, months and stages, each with those of none, add up to the whole
    values  what is used is what stood in its row: owner, day, amount
    places  what is set aside names its own line, its own number and its own fields
    """
    deals, out = book.deals, book.quarantine
    aside = [json.loads(raw) for raw in out["raw"]]
    minor = deals["amount_minor"] if "amount_minor" in deals else pd.Series(pd.NA, deals.index, dtype="Int64")
    kept = minor.fillna(0)
    paid = sum(cents(r[4]) or 0 for r in rows if len(r) > 4)
    set_aside = sum(cents(a.get("amount", "")) or 0 for a in aside)
    by_id = {r[0]: r for r in rows if len(r) == len(HEADER)}
    days = book.local_days(deals["created_at"]).dt.strftime("%Y-%m-%d").fillna("")
    owners = deals["rep_id"].fillna("")
    used = zip(deals["deal_id"], owners, days, minor, strict=True)
    read = [(d, o, day, None if pd.isna(m) else int(m)) for d, o, day, m in used]
    keys = (deals["rep_id"], days.str[:7], deals["stage"])
    lines = first_lines(rows)
    laws = {
        "rows": len(rows) == len(deals) + len(out),
        "ids": Counter(r[0] for r in rows) == Counter(deals["deal_id"]) + Counter(a.get("deal_id", "") for a in aside),
        "money": paid == int(kept.sum()) + set_aside,
        "parts": all(int(kept.groupby(k, dropna=False).sum().sum()) == int(kept.sum()) for k in keys),
        "values": all(d in by_id and (o, day, m) == _meant(by_id[d]) for d, o, day, m in read),
        "places": all(
            0 < number <= len(rows) and line == lines[number - 1] and _fields(rows[number - 1]) == _values(raw)
            for number, line, raw in zip(out["record"], out["line"], aside, strict=True)
        ),
    }
    return [name for name, holds in laws.items() if not holds]


def _meant(row: Row) -> tuple[str, str, int | None]:
    """Owner, day and amount of a row; an amount of nought on a lost deal means that none was entered."""
    minor = cents(row[4])
    return row[1].strip(), row[3], None if row[2] == "Lost" and minor == 0 else minor


def _fields(row: Row) -> list[str]:
    return [v for v in row if v != ""]


def _values(raw: dict[str, object]) -> list[object]:
    further = raw.pop("(further fields)", [])
    return [v for v in [*raw.values(), *(further if isinstance(further, list) else [])] if v != ""]
