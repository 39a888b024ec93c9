"""How a report ends without its page, in words, and those words again for a reader of another language."""

from __future__ import annotations

from salescoach.errors import Sentence
from salescoach.wording import read_back

ENDS_ITS_PROCESS = Sentence("the worker died: this report ends the process that makes it")


def died(error: BaseException) -> Sentence:
    return Sentence("the worker died: {error}", error=str(error) or type(error).__name__)


def not_in_time(deadline: float) -> Sentence:
    return Sentence("not done within {seconds:g} seconds", seconds=deadline)


def ended_by_itself(code: int) -> Sentence:
    return Sentence("the process ended by itself with code {code} before the notebook's end", code=code)


def ended_by(signal: str) -> Sentence:
    if signal == "SIGKILL":
        return Sentence("the process was ended by {signal}, perhaps for want of memory", signal=signal)
    return Sentence("the process was ended by {signal}", signal=signal)


def failure(kept: str) -> Sentence:
    """The error of an outcome, which is kept in English, as a sentence; the name before it stays as it is."""
    name, colon, said = kept.partition(": ")
    if colon and name.isidentifier():
        return Sentence("{name}: {said}", name=name, said=read_back(said))
    return read_back(kept)
