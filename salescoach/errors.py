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

Each message says what was wrong and where, and what to do next. It is raised where no language is known, so a message
is a `Sentence`: English, with its values kept apart, for whoever prints it to say in the reader's language.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Sentence(str):
    """A text in English that knows of what it was made: `text` with `values` in its {places}.

    >>> said = Sentence("{n} deals", n=3)
    >>> said, said.text, said.values
    ('3 deals', '{n} deals', {'n': 3})

    A value may be a sentence itself; an error is its message. Without values the text is taken as it is, braces too.
    `by` is what stands between the values of one that `joined` made.
    """

    text: str
    values: dict[str, object]
    by: str = ""

    def __new__(cls, text: str, /, **values: object) -> Sentence:
        if isinstance(text, Sentence) and not values:
            return text
        kept = {name: _kept(value) for name, value in values.items()}
        made = super().__new__(cls, text.format(**kept) if kept else text)
        made.text, made.values = text, kept
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        return (self.text,), self.values


def _kept(value: object) -> object:
    """A value as it is kept: of an exception its words, so that no traceback lives on and errors can be pickled."""
    if isinstance(value, BaseException):
        return message_of(value)
    said = value if isinstance(value, str) else str(value)  # a thing may say of itself where it stands
    return said if isinstance(said, Sentence) else value


def joined(parts: Iterable[str], by: str) -> Sentence:
    """Sentences one after the other, as one; "; " and ", " between them are said as each language writes them."""
    known = {f"part_{i}": part for i, part in enumerate(parts)}
    said = Sentence(by.join(f"{{{name}}}" for name in known), **known)
    said.by = by
    return said


def commas(names: Iterable[object]) -> Sentence:
    """The names with commas between them, as each language writes them.

    >>> commas(["deals", "leads"])
    'deals, leads'
    """
    return joined((name if isinstance(name, str) else str(name) for name in names), ", ")


class SalescoachError(Exception):
    """Base of everything salescoach raises on purpose: `text` with `values` in its {places} is the message."""

    exit_code = 70

    def __init__(self, text: str, /, **values: object) -> None:
        self.said = Sentence(text, **values)
        super().__init__(self.said)


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
    """A metric that these tables cannot answer. The message says why."""


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


def listed(names: Iterable[str], most: int = 10) -> str:
    """The names in order, at most `most` of them, then how many there are; of no names the word "none"."""
    known = sorted(names)
    if not known:
        return Sentence("none")
    if len(known) <= most:
        return commas(known)
    return Sentence("{names}, … ({n})", names=commas(known[:most]), n=len(known))


def counted(n: int, one: str, many: str) -> Sentence:
    """The sentence for one thing, or that for several, with {n} in it."""
    return Sentence(one if n == 1 else many, n=n)


def either(names: Iterable[str]) -> Sentence:
    """'a', or 'a' or 'b'."""
    first, *others = map(repr, names)
    said = Sentence(first)
    for name in others:
        said = Sentence("{said} or {name}", said=said, name=name)
    return said


def message_of(error: BaseException) -> Sentence:
    """What an error says, as a sentence that can be said in the reader's language if it was raised with one."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Sentence) else Sentence(str(error))


def suggestion(name: str, known: Iterable[str]) -> Sentence:
    """The sentence "Did you mean …?", or an empty text."""
    found = nearest(name, known)
    return Sentence(" Did you mean {found!r}?", found=found) if found else Sentence("")
