"""What was agreed with one rep: the part of the ledger that the rep's own page may show, as a file beside a slice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from salescoach.errors import StorageError

FILE = "agreed.json"
REP, MANAGER = "rep", "manager"


@dataclass(frozen=True)
class Promise:
    """One commitment. `by` is "rep" or "manager"; days are ISO dates, "" where there is none.

    measure   what it is to be seen by: the name of a metric or habit, or free text
    before    the measure when it was promised (null: not noted)
    status    "open", "kept", "not kept" or "dropped", as the two agreed at a review
    review    what was said of it then
    """

    by: str
    what: str
    measure: str = ""
    stage: str = ""
    deals: tuple[str, ...] = ()
    on: str = ""
    due_on: str = ""
    before: float | None = None
    status: str = "open"
    review: str = ""


@dataclass(frozen=True)
class Session:
    """One conversation: its day, and what the rep brought to it."""

    on: str
    win: str = ""
    discuss: str = ""
    blocker: str = ""
    definitions: str = ""  # a hash of the process file and the kit's version then


@dataclass(frozen=True)
class Agreed:
    """The commitments and sessions of one rep, the latest first. Notes for the manager alone are never in it."""

    promises: tuple[Promise, ...] = ()
    sessions: tuple[Session, ...] = ()

    @property
    def last_on(self) -> pd.Timestamp | None:
        """The day of the last conversation."""
        days = [session.on for session in self.sessions] or [promise.on for promise in self.promises if promise.on]
        return pd.Timestamp(max(days)) if days else None

    def latest(self, by: str) -> list[Promise]:
        """What that side promised on the day of its latest promise."""
        own = [promise for promise in self.promises if promise.by == by]
        return [promise for promise in own if promise.on == max(p.on for p in own)]


def write_agreed(agreed: Agreed, folder: str | Path) -> Path:
    """Put what was agreed beside a slice of a book."""
    file = Path(folder) / FILE
    file.write_text(json.dumps(asdict(agreed), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return file


def read_agreed(folder: str | Path) -> Agreed:
    """What was agreed as it stands beside a book; nothing where there is no such file."""
    file = Path(folder) / FILE
    if not file.is_file():
        return Agreed()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        promises = tuple(
            Promise(**{**_known(Promise, p), "deals": tuple(p.get("deals", ()))}) for p in content["promises"]
        )
        return Agreed(promises, tuple(Session(**_known(Session, s)) for s in content["sessions"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            "{file} cannot be read: {error}. Run the batch again.", file=file.name, error=error
        ) from error


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in content.items() if name in names}
