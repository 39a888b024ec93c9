"""Where the notebooks, templates and demo data are, in a checkout or installed from a wheel."""

from __future__ import annotations

from pathlib import Path

from salescoach.errors import StorageError

PACKAGE = Path(__file__).resolve().parent


def kit_path(name: str) -> Path:
    """The folder or file `name` ("notebooks", "templates/report", "data/demo") that travels with salescoach.

    Raises StorageError if the installation is incomplete.
    """
    for root in (PACKAGE / "_kit", PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise StorageError("{name!r} is missing from this installation of salescoach. Install it again.", name=name)
