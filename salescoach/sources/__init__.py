"""Files in, a book out: the only place that reads input or sets a row aside."""

from salescoach.sources.detect import detect
from salescoach.sources.layout import Source, find_source, presets, read_source
from salescoach.sources.load import check_tolerance, load_book, sample_book

__all__ = ["Source", "check_tolerance", "detect", "find_source", "load_book", "presets", "read_source", "sample_book"]
