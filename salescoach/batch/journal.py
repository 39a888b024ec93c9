"""What a run has made so far, one line per report, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from salescoach.batch.durable import append_line, write_file

JOURNAL = "journal.jsonl"


class Journal:
    """Lines {key, file, sha256, bytes, seconds, …, chain}; each chain is the hash of its line and the chain before.

    A last line that is torn, and whatever a wrong chain follows, does not count and is overwritten.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.entries: list[dict[str, Any]] = []
        self._length, self._chain = 0, ""
        for line in file.read_bytes().splitlines(keepends=True) if file.is_file() else []:
            entry = self._sound(line)
            if entry is None:
                break
            self.entries.append(entry)
            self._length, self._chain = self._length + len(line), entry["chain"]

    def _sound(self, line: bytes) -> dict[str, Any] | None:
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            return None
        return entry if entry.get("chain") == _chained(entry, self._chain)["chain"] else None

    def add(self, content: dict[str, Any]) -> None:
        """Write one line; when this returns, it is on the disk."""
        entry = _chained(content, self._chain)
        self._length = append_line(self.file, _line(entry), self._length)
        self.entries.append(entry)
        self._chain = entry["chain"]

    def rewrite(self, contents: Iterable[dict[str, Any]]) -> None:
        """These lines instead of all that stand there, in one step, in a chain of their own."""
        entries: list[dict[str, Any]] = []
        for content in contents:
            entries.append(_chained(content, entries[-1]["chain"] if entries else ""))
        lines = b"".join(_line(entry) for entry in entries)
        write_file(self.file, lines)
        self.entries, self._length = entries, len(lines)
        self._chain = entries[-1]["chain"] if entries else ""

    def made(self) -> dict[str, dict[str, Any]]:
        """The last line of each report, by the key of its inputs."""
        return {entry["key"]: entry for entry in self.entries if "key" in entry}


def _chained(content: dict[str, Any], before: str) -> dict[str, Any]:
    """The content with the hash of itself and of the chain before, whatever chain it had."""
    plain = {name: value for name, value in content.items() if name != "chain"}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True)
    return {**plain, "chain": hashlib.sha256((before + text).encode()).hexdigest()}


def _line(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n").encode()
