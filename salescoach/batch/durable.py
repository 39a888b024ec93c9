"""Writes that survive a crash: under its name stands the old file or the whole new one, and it is on the disk.

A file is written under a hidden name, synced, renamed, and its folder is synced; all is readable by its owner only.
This is the one place in which a run writes.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from salescoach.errors import StorageError

LOCK = ".lock"
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EINVAL)  # EINVAL is what Windows says without its developer mode
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Locked(StorageError):
    """Another run works in this folder."""

    exit_code = 11


def write_file(target: Path, content: bytes) -> None:
    """The old file or the new one, never half of one. Folders that are missing are made."""
    make_folder(target.parent)
    half = _hidden(target)
    descriptor = os.open(half, _NEW, 0o600)
    try:
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(half, target)  # noqa: PTH105 - every durable step goes through os
        sync_folder(target.parent)
    except OSError:
        with suppress(OSError):
            os.unlink(half)  # noqa: PTH108
        raise


def as_json(content: Mapping[str, Any]) -> bytes:
    """As it stands in a run's files."""
    return (json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n").encode("utf-8")


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    write_file(file, as_json(content))


def take_over(source: Path, target: Path) -> None:
    """The same file under a second name; where the file system knows no links, a copy."""
    make_folder(target.parent)
    half = _hidden(target)
    try:
        os.link(source, half)
    except OSError:
        write_file(target, source.read_bytes())
        return
    os.replace(half, target)  # noqa: PTH105
    with suppress(OSError):
        os.unlink(half)  # noqa: PTH108 - two names of one file: replacing does nothing then
    sync_folder(target.parent)


def append_line(file: Path, line: bytes, length: int) -> int:
    """Add a line behind the first `length` bytes, whatever half a line stands there. Returns the new length."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        os.ftruncate(descriptor, length)
        os.lseek(descriptor, length, os.SEEK_SET)
        _write_all(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not length:
        sync_folder(file.parent)
    return length + len(line)


def make_folder(folder: Path) -> None:
    """The folder with those above it; what is new is for its owner only."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)  # noqa: PTH102
    sync_folder(folder.parent)


def publish(unfinished: Path, finished: Path, link: Path) -> None:
    """Give a finished run its name, and let the link point to it, in one step for whoever reads there."""
    os.rename(unfinished, finished)  # noqa: PTH104
    sync_folder(finished.parent)
    point_to(link, finished)


def point_to(link: Path, folder: Path) -> None:
    """Raises StorageError where the folder's file system, or Windows, allows no links."""
    fresh = _hidden(link)
    try:
        os.symlink(folder.relative_to(link.parent), fresh, target_is_directory=True)  # noqa: PTH211
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise StorageError(
            "{link} cannot be made a link to the newest run ({problem}), which is complete in {folder}. Choose an "
            "--out where links are allowed; on Windows, turn on its developer mode.",
            link=link,
            problem=error.strerror,
            folder=folder,
        ) from error
    if sys.platform == "win32" and link.is_symlink():
        os.rmdir(link)  # noqa: PTH106  # Windows replaces no link to a folder
    os.replace(fresh, link)  # noqa: PTH105
    sync_folder(link.parent)


def sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_halves(folder: Path, name: str = "") -> None:
    """What was being written when its writer was killed: of the file `name`, or of every file below the folder."""
    for half in folder.glob(f".{name}~*") if name else folder.rglob(".*~*"):
        half.unlink(missing_ok=True)


def remove_file(file: Path) -> None:
    """Gone for good, under this name, when this returns."""
    with suppress(FileNotFoundError):
        os.unlink(file)  # noqa: PTH108
        sync_folder(file.parent)


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else makes a run in this folder meanwhile; the lock ends with the process, whichever way it ends.

    Raises Locked where another run works there.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            raise Locked(
                "Another run is working in {folder}. Wait until it has ended, or choose another --out.", folder=folder
            ) from error
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}~{secrets.token_hex(4)}")


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
