"""What a metric says of itself: why it is asked, its definition, its data, its options, and whether a book has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from salescoach.errors import Sentence, commas, joined
from salescoach.wording import N_, Words

if TYPE_CHECKING:
    from salescoach.metrics import Measure, Metric
    from salescoach.metrics.options import Option

LABELS = {
    "why": N_("Why"),
    "definition": N_("Definition"),
    "data": N_("Data used"),
    "optional": N_("Used where there"),
    "basis": N_("Counted by"),
    "interval": N_("Interval"),
    "caveat": N_("Keep in mind"),
    "by": N_("Groups"),
    "options": N_("Options"),
    "availability": N_("In this book"),
}


def explanation(metric: Metric, options: Mapping[str, Any], found: Measure | None, say: Words) -> dict[str, Any]:
    """Everything that `--explain` says, in the reader's language; with --json as it is.

    found    what a book answers; without one nothing is said of its being available
    """
    return {
        "title": say(metric.title),
        "why": say(metric.why),
        "definition": say(metric.definition),
        "data": say(_columns(metric.needs)),
        "optional": say(_columns([u for u in metric.uses if u not in metric.needs])),
        "basis": say(metric.basis_with(options)),
        "interval": say(metric.interval),
        "caveat": say(metric.caveat) if metric.caveat else "",
        "by": say(commas(metric.by)),
        "options": {name: _option(option, say) for name, option in metric.options.items()},
        "availability": "" if found is None else availability(found, say),
    }


def availability(found: Measure, say: Words) -> str:
    if found.reason is None:
        return say("available")
    return say("unavailable, because {because}", because=say(found.reason.said))


def lines(metric: Metric, told: dict[str, Any], say: Words) -> Iterator[str]:
    """The explanation as it is printed."""
    yield say("{name}: {definition}", name=metric.name, definition=told["title"])
    for key, label in LABELS.items():
        content = told[key]
        if key == "options":
            for name, text in content.items():
                yield say("  {label}: --option {name}=…  {text}", label=say(label), name=name, text=text)
        elif content:
            yield say("  {label}: {text}", label=say(label), text=content)


def _columns(tables: Sequence[tuple[str, ...]]) -> Sentence:
    """deals (outcome, closed_at); leads."""
    columns: dict[str, list[str]] = {}
    for table, *named in tables:
        columns.setdefault(table, []).extend(c.removesuffix("_minor") for c in named)
    told = [Sentence("{text} ({note})", text=t, note=commas(dict.fromkeys(c))) if c else t for t, c in columns.items()]
    return joined(told, "; ")


def _option(option: Option, say: Words) -> str:
    """What an option changes, its choices and what holds without it."""
    default = ",".join(map(str, option.default)) if option.many and option.default else option.default
    told = [say(option.meaning)] if option.meaning else []
    if option.choices:
        told.append(say("Choices: {choices}.", choices=commas(map(str, option.choices))))
    told.append(say("Default: {value}.", value=say("none") if default is None else default))
    return reduce(lambda first, second: say("{first} {second}", first=first, second=second), told)
