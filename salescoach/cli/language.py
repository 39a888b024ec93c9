"""The language of the command line: chosen once for a command, spoken in its help, its sentences and its errors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from importlib import import_module
from typing import Any, TypeVar

import click

from salescoach.wording import LANGUAGES, N_, paragraphs, words

VARIABLE = "SALESCOACH_LANGUAGE"
LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides, as everywhere
SPEAKING = ("core", "exceptions", "formatting", "parser", "types")  # what of click prints sentences of its own
# a word, or one wide sign, with the punctuation that must stay at it
PIECE = re.compile(r"\s+|[（《“[]*(?:[^\s⺀-￯（《“”，。；：、！？）》]+|[⺀-￯“”])[，。；：、！？）》”…\]]*")
SAID_BY_CLICK = (  # what a person may meet of it, so that the catalogue has it
    N_("."),
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Error: {message}"),
    N_("Try '{command} {option}' for help."),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Missing parameter"),
    N_("Missing command."),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Did you mean {possibility}?"),
    N_("(Did you mean one of: {possibilities}?)"),
    N_("Option {name!r} does not take a value."),
    N_("Option {name!r} requires an argument."),
    N_("Option {name!r} requires {nargs} arguments."),
    N_("Got unexpected extra argument ({args})"),
    N_("Got unexpected extra arguments ({args})"),
    N_("Choose from:\n\t{choices}"),
    N_("{value!r} is not one of {choices}."),
    N_("{value!r} is not {choice}."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("file"),
    N_("directory"),
    N_("path"),
    N_("{name} {filename!r} does not exist."),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is a directory."),
    N_("{name} {filename!r} is not readable."),
    N_("{name} {filename!r} is not writable."),
    N_("env var: {var}"),
    N_("default: {default}"),
    N_("required"),
    N_("Show the version and exit."),
    N_("Show this message and exit."),
)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_chosen: ContextVar[str] = ContextVar("language", default="en")


def say(text: str, /, **values: object) -> str:
    """A text in the language of the command line."""
    return words(_chosen.get())(text, **values)


def language() -> str:
    return _chosen.get()


def choose(wanted: str) -> None:
    """Speak this language from here on. Raises UsageError for one we do not have."""
    words(wanted)
    _chosen.set(wanted)


def choose_from_environment() -> None:
    """SALESCOACH_LANGUAGE, else the locale, else English."""
    _chosen.set("en")
    wanted = os.environ.get(VARIABLE, "").strip().casefold()
    locale = next((value for name in LOCALE if (value := os.environ.get(name))), "")
    choose(wanted or ("zh" if locale.casefold().startswith("zh") else "en"))


def spoken_from_here(_context: click.Context, _option: click.Parameter, wanted: str | None) -> str | None:
    """For an option --language: the rest of the command speaks it, what is wrong with its options too."""
    if wanted is not None:
        choose(wanted)
    return wanted


def spoken(context: click.Context, option: click.Parameter, wanted: str | None) -> str:
    """As `spoken_from_here`; without the option, the language of the command line."""
    return spoken_from_here(context, option, wanted) or language()


def with_full_stop(message: str) -> str:
    """A message of click, which sets some full stops itself."""
    return f"{message[:-1]}{say('.')}" if message.endswith(".") else message


def _said_by_click(text: str) -> str:
    return say(text)


def _counted_by_click(one: str, many: str, n: int) -> str:
    return say(one if n == 1 else many)


# click asks gettext for its words, which knows one language per process, and compiled catalogues only
for _name in SPEAKING:
    _module = import_module(f"click.{_name}")
    for _asked, _answer in (("_", _said_by_click), ("ngettext", _counted_by_click)):
        if hasattr(_module, _asked):
            setattr(_module, _asked, _answer)


# --- help ------------------------------------------------------------------------------------------


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines no wider than a screen, on which a Chinese sign takes two places and may end a line."""
    from rich.cells import cell_len

    lines, line = [], first
    for piece in PIECE.findall(text):
        if cell_len(line + piece.rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            line = rest
        line += piece if line.strip() or not lines else piece.lstrip()
    return [*lines, line.rstrip()]


def padded(text: str, width: int) -> str:
    """The text with blanks up to a width on the screen."""
    from rich.cells import cell_len

    return text + " " * (width - cell_len(text))


class Formatter(click.HelpFormatter):
    """Help that breaks Chinese lines where the screen ends."""

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{say('{heading}:', heading=heading)}\n")

    def write_text(self, text: str) -> None:
        super().write_text("\n\n".join(_fixed(part, self.width - self.current_indent) for part in text.split("\n\n")))

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        known = list(rows)
        first = min(max((len(term) for term, _ in known), default=0), col_max) + col_spacing
        width = max(self.width - first - 2, 10)
        super().write_dl([(term, _fixed(text, width)) for term, text in known], col_max, col_spacing)


def _fixed(text: str, width: int) -> str:
    """Lines that click leaves as they are, behind its sign for that; what is plain ASCII it breaks itself."""
    return text if text.isascii() else "\n".join(["\b", *wrapped(text, width)])


class Context(click.Context):
    formatter_class = Formatter


def _in_words(command: Any, context: click.Context) -> Any:
    """The command as its help shows it: what it says of itself and of its options in the reader's language."""
    shown = copy(command)
    shown.params = [copy(option) for option in command.get_params(context)]
    shown.add_help_option = False  # it is among the options already
    for option in shown.params:
        option.help = say(option.help) if getattr(option, "help", None) else None
    shown.help = say(paragraphs(command.help or ""))
    return shown


def _short(command: click.Command) -> str:
    """The first sentence of its help."""
    text = say(paragraphs(command.help or "")).partition("\n\n")[0]
    return re.split(r"(?<=\.)\s|(?<=。)", text)[0].rstrip(".。")


class SpokenCommand(click.Command):
    """A command whose help is said in the language of the command line."""

    context_class = Context

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super(SpokenCommand, _in_words(self, ctx)).format_help(ctx, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        return _short(self)


class SpokenGroup(click.Group):
    """A group whose help is said in the language of the command line."""

    context_class = Context

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super(SpokenGroup, _in_words(self, ctx)).format_help(ctx, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        return _short(self)


def language_choice(text: str, callback: Any = spoken, **more: Any) -> Callable[[Decorated], Decorated]:
    """An option --language, read before the others: what is wrong with them is said in that language."""
    kind = click.Choice(LANGUAGES)
    return click.option("--language", type=kind, default=None, is_eager=True, callback=callback, help=text, **more)
