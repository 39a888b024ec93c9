"""What stands published in a folder: read it, check it against its hashes, explain one report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from salescoach.batch.durable import LOCK
from salescoach.batch.inputs import file_hash
from salescoach.batch.journal import JOURNAL, Journal
from salescoach.errors import Sentence, StorageError, UsageError, suggestion

CURRENT, RUNS, MANIFEST, INDEX = "current", "runs", "manifest.json", "index.html"


def read_manifest(out: str | Path) -> dict[str, Any] | None:
    """What the newest run below OUT made; None where there is none yet. Raises StorageError if it cannot be read."""
    file = Path(out) / CURRENT / MANIFEST
    if not file.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StorageError("{file} is damaged. Make the reports again with --force.", file=file) from error
    return found


def verify(out: str | Path) -> list[str]:
    """What is not as the newest run left it, one sentence each; an empty list: everything is.

    Raises StorageError where OUT holds no run.
    """
    folder = Path(out) / CURRENT
    manifest = _needed(out)
    entries = Journal(folder / JOURNAL).entries
    sealed = entries[-1].get("sealed", {}) if entries else {}
    if not sealed:
        return [Sentence("{journal} does not end with the seal of its run.", journal=JOURNAL)]
    purged = sum(purge["pages"] for purge in manifest.get("purged", []))
    if purged != sum(entry.get("purged", 0) for entry in entries):
        return [
            Sentence(
                "{manifest} and {journal} do not agree on how many pages were purged.",
                manifest=MANIFEST,
                journal=JOURNAL,
            )
        ]
    expected = {**sealed, **{r["file"]: r["sha256"] for r in manifest["reports"] if r["sha256"]}}
    return list(_differences(folder, expected))


def _differences(folder: Path, expected: dict[str, str]) -> Iterator[str]:
    there = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()} - {JOURNAL, LOCK}
    for name in sorted(expected.keys() - there):
        yield Sentence("{name} is missing.", name=name)
    for name in sorted(there - expected.keys()):
        yield Sentence("{name} was not made by this run.", name=name)
    for name in sorted(expected.keys() & there):
        if file_hash(folder / name) != expected[name]:
            yield Sentence("{name} was changed after the run.", name=name)


def why(out: str | Path, subject: str) -> list[dict[str, Any]]:
    """All that is known of the reports about one rep or team: their lines of the manifest.

    subject   id, name or folder of a rep or team, or "company"
    Raises UsageError where the newest run made nothing for them.
    """
    reports = _needed(out)["reports"]
    asked = subject.casefold()
    found = [r for r in reports if asked in {str(r[k]).casefold() for k in ("subject", "name", "slug", "per", "file")}]
    if not found:
        known = {str(r[k]) for r in reports for k in ("subject", "name") if r[k]}
        raise UsageError(
            "The newest run in {out} made no report for {subject!r}.{hint}",
            out=out,
            subject=subject,
            hint=suggestion(subject, known),
        )
    return found


def _needed(out: str | Path) -> dict[str, Any]:
    manifest = read_manifest(out)
    if manifest is None:
        raise StorageError(
            "{out} holds no run. Make one with: salescoach batch --book BOOK --plan weekly --out {out}", out=out
        )
    return manifest
