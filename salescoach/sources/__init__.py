"""Files in, a book out: the only place that reads input or sets a row aside."""

from salescoach.sources.detect import detect
from salescoach.sources.layout import Source, find_source, presets, read_source
from salescoach.sources.load import check_tolerance, load_book, sample_book
from salescoach.sources.reload import since
from salescoach.sources.snapshot import append_snapshot

__all__ = [
    "Source",
    "append_snapshot",
    "check_tolerance",
    "detect",
    "find_source",
    "load_book",
    "presets",
    "read_source",
    "sample_book",
    "since",
]
