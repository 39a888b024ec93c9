"""What may be set of a metric beside its groups and its period: read off its signature, checked, typed."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from salescoach.errors import Sentence, UsageError, commas, suggestion

ALWAYS = ("book", "by", "period")
KINDS = {
    int: Sentence("a whole number"),
    float: Sentence("a number"),
    bool: Sentence("yes or no"),
    str: Sentence("a text"),
}
YES, NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
NOTHING = ("", "none")


@dataclass(frozen=True)
class Option:
    """One option of a metric.

    name      as in `--option name=value`
    default   what holds where it is not given
    kind      int, float, bool or str
    choices   the values it may have; empty: any of its kind
    many      whether it takes several values, separated by commas
    meaning   what it changes, as a sentence
    """

    name: str
    default: Any
    kind: type
    choices: tuple[Any, ...]
    many: bool
    meaning: str

    def read(self, text: str) -> Any:
        """The value a person wrote. Raises UsageError saying what it may be."""
        if self.many:
            return tuple(self._one(part.strip()) for part in text.split(","))
        if self.default is None and text.strip().casefold() in NOTHING:
            return None
        return self._one(text.strip())

    def _one(self, text: str) -> Any:
        try:
            value = _flag(text) if self.kind is bool else self.kind(text)
        except ValueError as error:
            raise UsageError(
                "{name}={text!r} is not {kind}.", name=self.name, text=text, kind=KINDS[self.kind]
            ) from error
        if self.choices and value not in self.choices:
            raise UsageError(
                "{name}={text!r} is unknown.{hint} Choices: {choices}.",
                name=self.name,
                text=text,
                hint=suggestion(text, map(str, self.choices)),
                choices=commas(map(str, self.choices)),
            )
        return value


def _flag(text: str) -> bool:
    if text.casefold() in YES:
        return True
    if text.casefold() in NO:
        return False
    raise ValueError(text)


def options_of(compute: Callable[..., Any], meanings: Mapping[str, str]) -> dict[str, Option]:
    """The options in a function's signature: everything but book, by and period that has a default."""
    given = inspect.signature(compute, eval_str=True).parameters
    return {n: _option(p, meanings.get(n, "")) for n, p in given.items() if n not in ALWAYS and _is_option(p)}


def _is_option(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _option(parameter: inspect.Parameter, meaning: str) -> Option:
    """Its kind is that of the annotation; without one, that of the default."""
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    hint = parameter.annotation
    if hint is inspect.Parameter.empty:
        hint = str if default is None else type(default)
    named = [h for h in _parts(hint) if h is not type(None)]
    many = [h for h in named if isinstance(get_origin(h), type) and issubclass(get_origin(h), Sequence)]
    if many:
        named = [h for h in get_args(many[0]) if h is not Ellipsis]
    choices = tuple(value for h in named if get_origin(h) is Literal for value in get_args(h))
    plain = {type(choices[0])} if choices else {h for h in named if h in KINDS}
    kind = float if plain == {int, float} else plain.pop() if len(plain) == 1 else str
    return Option(parameter.name, default, kind, choices, bool(many), meaning)


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def check_names(metric: str, known: Mapping[str, Option], given: Iterable[str]) -> None:
    """Raise UsageError for an option that the metric does not have, with the nearest name."""
    for name in given:
        if name not in known:
            have = Sentence("Its options: {known}.", known=commas(known)) if known else Sentence("It has none.")
            raise UsageError(
                "{metric} has no option {name!r}.{hint} {have}",
                metric=metric,
                name=name,
                hint=suggestion(name, known),
                have=have,
            )


def accepted(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that a function takes."""
    taken = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
        return dict(given)
    return {name: value for name, value in given.items() if name in taken}
