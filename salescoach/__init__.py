"""salescoach: from a CRM export to one honest page per one-to-one.

The names below are loaded when they are first used, so that `import salescoach` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Book": "book",
    "open_book": "book",
    "save_book": "book",
    "METRICS": "metrics",
    "counted_rows": "metrics",
    "funnel": "metrics",
    "lead_conversion": "metrics",
    "measure": "metrics",
    "new_customers": "metrics",
    "pipeline": "metrics",
    "quota_attainment": "metrics",
    "response_time": "metrics",
    "sales_cycle": "metrics",
    "stage_flow": "metrics",
    "visits": "metrics",
    "win_rate": "metrics",
    "SalescoachError": "errors",
    "Unavailable": "errors",
    "load_book": "sources",
    "open_report": "reports",
    "read_process": "process",
    "run_batch": "batch",
    "sample_book": "sources",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'salescoach' has no attribute {name!r}")
    return getattr(importlib.import_module(f"salescoach.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from salescoach.batch import run_batch as run_batch
    from salescoach.book import Book as Book
    from salescoach.book import open_book as open_book
    from salescoach.book import save_book as save_book
    from salescoach.errors import SalescoachError as SalescoachError
    from salescoach.errors import Unavailable as Unavailable
    from salescoach.metrics import METRICS as METRICS
    from salescoach.metrics import counted_rows as counted_rows
    from salescoach.metrics import funnel as funnel
    from salescoach.metrics import lead_conversion as lead_conversion
    from salescoach.metrics import measure as measure
    from salescoach.metrics import new_customers as new_customers
    from salescoach.metrics import pipeline as pipeline
    from salescoach.metrics import quota_attainment as quota_attainment
    from salescoach.metrics import response_time as response_time
    from salescoach.metrics import sales_cycle as sales_cycle
    from salescoach.metrics import stage_flow as stage_flow
    from salescoach.metrics import visits as visits
    from salescoach.metrics import win_rate as win_rate
    from salescoach.process import read_process as read_process
    from salescoach.reports import open_report as open_report
    from salescoach.sources import load_book as load_book
    from salescoach.sources import sample_book as sample_book
