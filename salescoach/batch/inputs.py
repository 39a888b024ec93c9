"""From what a report is made, as one key: the same key means the same page, so nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import salescoach
from salescoach.batch.plan import Job
from salescoach.book import Book
from salescoach.coaching.ledger import open_ledger
from salescoach.kit import kit_path

DRAWN_WITH = ("pandas", "numpy", "scipy", "statsmodels", "matplotlib", "seaborn", "papermill", "jinja2")


def keys_of(book: Book, jobs: Sequence[Job], own: str | Path | None, ledger: str | Path | None) -> list[str]:
    """A key for each job: data, notebook, program, parameters, metrics of one's own, and what was agreed."""
    common = {
        "book": book.content_hash,
        "origin": dict(book.origin),
        "quarantined": len(book.quarantine),
        "program": program_hash(),
        "own": file_hash(Path(own)) if own else "",
    }
    notebooks = {path: file_hash(Path(path)) for path in {job.path for job in jobs}}
    opened = open_ledger(ledger) if ledger is not None and any(job.per == "rep" for job in jobs) else None
    return [
        hash_of(
            {
                **common,
                "notebook": notebooks[job.path],
                "job": {name: value for name, value in job.to_dict().items() if name != "path"},
                "agreed": repr(opened.agreed_with(job.subject)) if opened is not None and job.per == "rep" else "",
            }
        )
        for job in jobs
    ]


def hash_of(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def program_hash() -> str:
    """Of our code, templates and translations, and of the versions of what draws and computes."""
    package = Path(salescoach.__file__).parent
    files = [
        *package.rglob("*.py"),
        *package.rglob("*.po"),
        *(f for f in kit_path("templates").rglob("*") if f.is_file()),
    ]
    return hash_of([[_version(name) for name in DRAWN_WITH], sorted({file_hash(file) for file in files})])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
