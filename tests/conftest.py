"""Shared by all tests: the demo book once per worker, and where the trial data may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# two test processes that each let linear algebra wait actively on all cores take twice as long as they need
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
TRIAL = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def demo_book():
    from salescoach.sources import sample_book

    return sample_book()


@pytest.fixture(scope="session")
def trial():
    """A folder of the third-party trial data; tests that need one skip where it is absent."""

    def folder(name: str) -> Path:
        path = TRIAL / name
        if not path.is_dir():
            pytest.skip(f"trial data {name} is not beside the project")
        return path

    return folder
