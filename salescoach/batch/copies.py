"""A finished run copied to where its readers are: any address that fsspec knows, such as s3://… or file://…"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from salescoach.batch.published import CURRENT, INDEX
from salescoach.errors import StorageError, UsageError

POINTER = "current.json"


def copy_run(out: str | Path, address: str) -> str:
    """Copy OUT/current below `address`: all its files into runs/<run>/, and last, in one write, the index at the top.

    A reader who comes in between sees the last run, whole. Files that are there with the same size are not sent
    again. Returns the address of the index. Raises UsageError where fsspec or the protocol's package is missing, and
    StorageError where the place cannot be written.
    """
    try:
        import fsspec
    except ImportError as error:
        raise UsageError("--copy-to needs the extra: pip install 'salescoach[cloud]'.") from error
    run = (Path(out) / CURRENT).resolve()
    try:
        system, root = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError("{address} cannot be written: {error}", address=address, error=error) from error
    try:
        _send(system, root.rstrip("/"), run)
    except OSError as error:
        raise StorageError(
            "The reports could not be copied to {address}: {error}. They stand in {out}.",
            address=address,
            error=error,
            out=out,
        ) from error
    return f"{address.rstrip('/')}/{INDEX}"


def _send(system: Any, root: str, run: Path) -> None:
    for file in sorted(f for f in run.rglob("*") if f.is_file()):
        place = f"{root}/runs/{run.name}/{file.relative_to(run).as_posix()}"
        if not (system.exists(place) and system.size(place) == file.stat().st_size):
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
            system.pipe_file(place, file.read_bytes())
    system.pipe_file(f"{root}/{POINTER}", json.dumps({"run": run.name}).encode())
    index = (run / INDEX).read_text(encoding="utf-8")
    system.pipe_file(f"{root}/{INDEX}", re.sub(r'href="', f'href="runs/{run.name}/', index).encode("utf-8"))
