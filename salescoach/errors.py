"""The tree of errors.

    SalescoachError                exit code 70
    ├── UsageError                 2    a command, parameter or name that does not exist
    ├── InputError                 5    input rejected, nothing written
    │   ├── FileRejected           5    the file is not what its name says
    │   ├── ColumnError            5    a mandatory column is missing or unreadable
    │   ├── StageError             5    too many deals stand in stages the process does not know
    │   ├── ControlTotal           5    the file does not hold what its export said it held
    │   ├── ProcessError           5    the process file is wrong
    │   └── SourceError            5    the source file is wrong or does not fit
    ├── QuarantineError            4    more rows quarantined than tolerated
    ├── Unavailable                -    a metric cannot be computed from these tables
    ├── LawBroken                  70   rows or money do not add up: a fault of ours
    └── StorageError               74   a book or report cannot be read or written
        └── Locked                 11   another run works in this folder

Each message says what was wrong and where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SalescoachError(Exception):
    """Base of everything salescoach raises on purpose."""

    exit_code = 70


class UsageError(SalescoachError):
    exit_code = 2


class InputError(SalescoachError):
    """Input was rejected; nothing was written."""

    exit_code = 5


class FileRejected(InputError):
    pass


class ColumnError(InputError):
    pass


class StageError(InputError):
    pass


class ControlTotal(InputError):
    """A file does not hold what its export said it held."""


class ProcessError(InputError):
    pass


class SourceError(InputError):
    pass


class QuarantineError(SalescoachError):
    exit_code = 4


class Unavailable(SalescoachError):
    """A metric that these tables cannot answer. The message says why.

    `text` with `values` in its {places} is the message, so that a page can say it in another language.
    """

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(text.format(**values) if values else text)
        self.text, self.values = text, values


class LawBroken(SalescoachError):
    """A conservation law failed: rows or money in differ from rows or money out."""

    exit_code = 70


class StorageError(SalescoachError):
    exit_code = 74


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None if nothing is close."""
    folded = {str(k).casefold(): str(k) for k in known}
    close = difflib.get_close_matches(str(name).casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def counted(n: int, what: str) -> str:
    """1 deal, 2 deals."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def listed(names: Iterable[str], most: int = 10) -> str:
    """The names in order, at most `most` of them, then how many there are."""
    known = sorted(names)
    return ", ".join(known) if len(known) <= most else f"{', '.join(known[:most])}, … ({len(known)})"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The sentence "Did you mean …?", or an empty text."""
    found = nearest(name, known)
    return f" Did you mean {found!r}?" if found else ""
