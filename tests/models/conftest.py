"""The books of the metrics' tests: small ones, written down in a few lines, and generated ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FILE = Path(__file__).resolve().parents[1] / "metrics" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("books_of_metrics", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
_BOOKS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BOOKS)

book_of, generated, busy = _BOOKS.book_of, _BOOKS.generated, _BOOKS.busy
plain, process, demo, trial = _BOOKS.plain, _BOOKS.process, _BOOKS.demo, _BOOKS.trial
