"""Five deals, and ways to write them into a file and load them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.sources import load_book

HEADER = ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "name"]
# won 100 + 400 = 500, lost 200, open 300 + 500 = 800; together 1,500
ROWS = [
    ["D1", "Ann", "Won", "2025-01-01", "2025-01-11", "100.00", "Alpha"],
    ["D2", "Ann", "Lost", "2025-01-02", "2025-01-12", "200.00", "Beta"],
    ["D3", "Bob", "Quote", "2025-01-03", "", "300.00", "Gamma"],
    ["D4", "Bob", "Won", "2025-01-04", "2025-01-14", "400.00", "Delta"],
    ["D5", "Cy", "Contract", "2025-01-05", "", "500.00", "Epsilon"],
]


def as_csv(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(r) + end for r in [header, *rows])


@pytest.fixture
def rows() -> list[list[str]]:
    return [list(r) for r in ROWS]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Book]:
    """Write one deals file (text, bytes or rows) and, if given, a source file beside it; load them as of 2025-06-30."""

    def write_and_load(content: object, name: str = "deals.csv", source: str | None = None, **options: str) -> Book:
        file = tmp_path / name
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif isinstance(content, pd.DataFrame) and name.endswith(".parquet"):
            content.to_parquet(file)
        elif isinstance(content, pd.DataFrame):
            content.to_excel(file, index=False)
        else:
            text = content if isinstance(content, str) else as_csv(content)  # type: ignore[arg-type]
            file.write_bytes(text.encode())
        if source is not None:
            (tmp_path / "my.toml").write_text(source, encoding="utf-8")
            options["source"] = str(tmp_path / "my.toml")
        return load_book(file, **{"as_of": "2025-06-30", **options})

    return write_and_load


@pytest.fixture
def source_with() -> Callable[[str], str]:
    """A source file that maps every column of the five deals to itself, followed by the given lines."""
    columns = "\n".join(f'{c} = "{c}"' for c in HEADER)
    return lambda lines: f"[deals]\n[deals.columns]\n{columns}\n{lines}\n"
