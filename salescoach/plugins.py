"""What other installed packages bring: entry points in groups of ours.

    salescoach.sources   name = "package.folder"     a package whose folder holds source files, read like our own
    salescoach.runners   name = "package:function"   address -> a context manager that gives an Executor

A package that cannot be used stops what it was looked up for, and the error names it: what is missing in silence would
be missed much later.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from salescoach.errors import UsageError, commas

SOURCES, RUNNERS = "salescoach.sources", "salescoach.runners"


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. Raises UsageError where two packages bring the same name."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        if entry.name in found:
            raise UsageError(
                "The packages {packages} both bring {name!r} to {group}. Uninstall one of them.",
                packages=commas(sorted((package_of(found[entry.name]), package_of(entry)))),
                name=entry.name,
                group=group,
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def load_plugin(entry: EntryPoint) -> Any:
    """What an entry point stands for. Raises UsageError where it cannot be imported, whatever it raised."""
    try:
        return entry.load()
    except Exception as error:  # a stranger's module may raise anything
        raise unusable(entry, f"{type(error).__name__}: {error}") from error


def unusable(entry: EntryPoint, why: str) -> UsageError:
    package = package_of(entry)
    return UsageError(
        "The package {package} brings {name!r} to {group}, which cannot be used ({why}). Update it, or: "
        "`pip uninstall {package}`",
        package=package,
        name=entry.name,
        group=entry.group,
        why=why,
    )


def package_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module
