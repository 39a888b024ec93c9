"""A small book written down as CSV files, and pages of it without a kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.reports import page_html
from salescoach.reports.blocks import Block
from salescoach.sources import load_book, sample_book

FILES = {
    "deals.csv": """\
deal_id,rep_id,stage,created_at,closed_at,amount,expected_close_on,account_id,name,lost_reason,lead_source,currency
D1,R1,Won,2026-01-01,2026-02-10,1000.00,2026-02-01,A1,Alpha,,web,CNY
D2,R1,Quote,2026-01-05,,250.00,2026-03-20,A1,Beta,,web,CNY
D3,R2,Lost,2026-01-10,2026-03-01,300.00,2026-03-01,A2,Gamma,price,fair,CNY
D4,R2,Won,2026-02-01,2026-03-15,400.00,2026-03-01,A2,Delta,,fair,CNY
D5,R1,Lost,2026-02-05,2026-03-05,,2026-03-01,A3,Epsilon,timing,web,CNY
""",
    "stage_history.csv": """deal_id,entered_at,stage,rep_id
D1,2026-01-01,Prospecting,R1
D1,2026-01-20,Quote,R1
D1,2026-02-10,Won,R1
D2,2026-01-05,Prospecting,R1
D2,2026-03-05,Quote,R1
D3,2026-01-10,Prospecting,R2
D3,2026-03-01,Lost,R2
D4,2026-02-01,Prospecting,R2
D4,2026-03-15,Won,R2
D5,2026-02-05,Prospecting,R1
D5,2026-03-05,Lost,R1
""",
    "reps.csv": """rep_id,name,team,manager,start_on
R1,Ann Reed,North,Gil Moor,2025-03-01
R2,Bob Stone,North,Gil Moor,
R3,New Face,South,Eva Lund,
""",
    "leads.csv": """lead_id,created_at,rep_id,first_response_at,converted_at,deal_id,status
L1,2025-10-01 08:00:00,R1,2025-10-01 08:30:00,2025-11-01 08:00:00,D1,converted
L2,2025-10-02 08:00:00,R2,2025-10-03 09:00:00,,,new
""",
    "targets.csv": """rep_id,team,metric,start_on,end_on,value
R1,North,won_amount,2026-01-01,2026-03-31,2000
R2,North,won_amount,2026-01-01,2026-03-31,2000
""",
}
MakeBook = Callable[..., Book]


@pytest.fixture
def make_book(tmp_path: Path) -> MakeBook:
    """A book of FILES with some of them replaced; None leaves one out."""

    def make(process: str | None = None, **files: str | None) -> Book:
        folder = tmp_path / "export"
        folder.mkdir()
        for name, text in {**FILES, **{f"{k}.csv": v for k, v in files.items()}}.items():
            if text is not None:
                (folder / name).write_text(text, encoding="utf-8")
        if process is not None:
            (tmp_path / "process.toml").write_text(process, encoding="utf-8")
        return load_book(folder, as_of="2026-03-31", process=None if process is None else tmp_path / "process.toml")

    return make


@pytest.fixture(scope="session")
def demo() -> Book:
    return sample_book()


def code(source: str, *outputs: Any, tags: tuple[str, ...] = ()) -> Any:
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)
    cell.metadata["tags"] = list(tags)
    return cell


def result(piece: Block | Drawing) -> Any:
    """The output a kernel would store for a block or drawing."""
    shown = piece._repr_mimebundle_()
    data, metadata = shown if isinstance(shown, tuple) else (shown, {})
    return nbformat.v4.new_output("execute_result", data=data, metadata=metadata, execution_count=1)


def page(
    *pieces: Block | Drawing, title: str = "A question?", language: str = "en", cells: tuple[Any, ...] = ()
) -> str:
    shown = [code(f"report.piece_{i}()", result(p)) for i, p in enumerate(pieces)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {title}"), *cells, *shown])
    return page_html(notebook, title, language)


@pytest.fixture(name="page")
def page_fixture() -> Callable[..., str]:
    return page


@pytest.fixture(name="code")
def code_fixture() -> Callable[..., Any]:
    return code
