"""The deal book: frozen tables, as-of, provenance, slices and storage."""

from salescoach.book.book import OTHER_REP, Book
from salescoach.book.convert import in_currency
from salescoach.book.store import (
    open_book,
    open_head,
    open_slice,
    quarantine_as_loaded,
    quarantine_as_saved,
    save_book,
    write_folder,
)
from salescoach.book.tables import EVIDENCE, OUTCOMES, REFERENCES, TABLES, Table
from salescoach.book.texts import is_in, places_in

__all__ = [
    "EVIDENCE",
    "OTHER_REP",
    "OUTCOMES",
    "REFERENCES",
    "TABLES",
    "Book",
    "Table",
    "in_currency",
    "is_in",
    "open_book",
    "open_head",
    "open_slice",
    "places_in",
    "quarantine_as_loaded",
    "quarantine_as_saved",
    "save_book",
    "write_folder",
]
