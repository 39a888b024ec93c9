"""Answers that are made once for a book and kept with it: books are frozen, so none can go stale."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from inspect import signature
from typing import Concatenate, ParamSpec, TypeVar

import pandas as pd

from salescoach.book import Book

MOST = 32  # answers of one function to different questions about one book; the oldest goes
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def per_book(build: Callable[Concatenate[Book, Asked], Answer]) -> Callable[Concatenate[Book, Asked], Answer]:
    """Build once per book and question, and keep it with the book.

    What is kept must be small beside the book: a page asks many times for the same few tables.
    """
    name, parameters = f"{build.__module__}.{build.__qualname__}", signature(build)

    @wraps(build)
    def built(book: Book, *given: Asked.args, **named: Asked.kwargs) -> Answer:
        kept: dict[Hashable, Answer] = book.__dict__.setdefault("_built", {}).setdefault(name, {})
        question: tuple[Hashable, ...] = ()
        if given or named:
            asked = parameters.bind(book, *given, **named)
            asked.apply_defaults()
            question = tuple(tuple(v) if isinstance(v, list) else v for v in asked.args[1:])
        if question not in kept:
            found = build(book, *given, **named)
            while len(kept) >= MOST:
                kept.pop(next(iter(kept)), None)
            kept[question] = found
        return _own(kept[question])

    return built  # type: ignore[return-value]


def _own(answer: Answer) -> Answer:
    """The answer with copy-on-write views of its tables, so that nobody changes what others get."""
    if isinstance(answer, pd.DataFrame | pd.Series):
        return answer.copy(deep=False)  # type: ignore[return-value]
    if is_dataclass(answer) and not isinstance(answer, type):
        values = {f.name: getattr(answer, f.name) for f in fields(answer)}
        return replace(answer, **{n: _own(v) for n, v in values.items() if isinstance(v, pd.DataFrame | pd.Series)})
    return answer
