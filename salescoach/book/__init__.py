"""The deal book: frozen tables, as-of, provenance, slices and storage."""

from salescoach.book.book import OTHER_REP, Book
from salescoach.book.store import open_book, quarantine_as_loaded, save_book, write_folder
from salescoach.book.tables import EVIDENCE, OUTCOMES, REFERENCES, TABLES, Table

__all__ = [
    "EVIDENCE",
    "OTHER_REP",
    "OUTCOMES",
    "REFERENCES",
    "TABLES",
    "Book",
    "Table",
    "open_book",
    "quarantine_as_loaded",
    "save_book",
    "write_folder",
]
