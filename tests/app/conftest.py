"""Books for the coaching session, on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from salescoach.book import Book, save_book
from salescoach.sources import sample_book


@pytest.fixture(scope="session")
def demo() -> Book:
    return sample_book()


@pytest.fixture(scope="session")
def saved(demo: Book, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session") / "book"
    save_book(demo, folder)
    return folder
