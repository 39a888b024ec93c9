"""What a run has made so far, one line per report, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from salescoach.batch.durable import append_line

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
        content = {name: value for name, value in entry.items() if name != "chain"}
        return entry if entry.get("chain") == self._next(content) else None

    def _next(self, content: dict[str, Any]) -> str:
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256((self._chain + text).encode()).hexdigest()

    def add(self, content: dict[str, Any]) -> None:
        """Write one line; when this returns, it is on the disk."""
        chain = self._next(content)
        line = json.dumps({**content, "chain": chain}, ensure_ascii=False, sort_keys=True) + "\n"
        self._length = append_line(self.file, line.encode(), self._length)
        self.entries.append({**content, "chain": chain})
        self._chain = chain

    def made(self) -> dict[str, dict[str, Any]]:
        """The last line of each report, by the key of its inputs."""
        return {entry["key"]: entry for entry in self.entries if "key" in entry}
