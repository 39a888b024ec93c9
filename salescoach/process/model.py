"""The sales process as frozen models that refuse what they do not know."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from itertools import combinations
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from salescoach.errors import Sentence, UsageError, commas, suggestion
from salescoach.process.company_calendar import Calendar
from salescoach.process.fields import (
    CalendarDate,
    Place,
    Positive,
    RuleFaults,
    Strict,
    Text,
    Words,
    as_calendar_date,
    fold_name,
    named,
    real_text,
    slug,
)

Outcome = Literal["open", "won", "lost", "void"]


class StageName(Strict):
    """One name the CRM gives or gave a stage; `since` and `until` are included."""

    name: Annotated[Text, Field(min_length=1)]
    since: CalendarDate | None = None
    until: CalendarDate | None = None
    retired: StrictBool = False

    _not_blank = field_validator("name")(real_text)

    @model_validator(mode="after")
    def _in_order(self) -> StageName:
        if self.since and self.until and self.since > self.until:
            raise ValueError(
                Sentence(
                    "since {since} is after until {until}; exchange the two dates", since=self.since, until=self.until
                )
            )
        return self


class Meaning(NamedTuple):
    """What a name stands for, and from when to when (both included; None is without limit)."""

    stage: str
    since: date | None
    until: date | None

    def holds_on(self, on: date) -> bool:
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)

    def overlaps(self, other: Meaning) -> bool:
        starts = max(self.since or date.min, other.since or date.min)
        return starts <= min(self.until or date.max, other.until or date.max)


class Stage(Strict):
    """One step of the process; `outcome` marks the steps in which a deal is over."""

    key: Annotated[Text, Field(min_length=1)]
    label: Words
    names: tuple[Annotated[StageName, BeforeValidator(named)], ...] = ()
    outcome: Literal["won", "lost", "void"] | None = None
    expect_days: Positive | None = None
    first_response_hours: Positive | None = None
    touch_every_days: Positive | None = None
    enter: tuple[Text, ...] = ()
    exit: tuple[Text, ...] = ()
    coach: Words | None = None

    _slug_key = field_validator("key")(slug)

    def meanings(self) -> Iterator[tuple[str, Meaning]]:
        """Every folded name of this stage with the time for which it holds; the key holds always."""
        yield fold_name(self.key), Meaning(self.key, None, None)
        for entry in self.names:
            # History keeps retired names for ever, whatever dates stand beside them.
            since, until = (None, None) if entry.retired else (entry.since, entry.until)
            yield fold_name(entry.name), Meaning(self.key, since, until)


class Match(Strict):
    """Which pipelines of the source belong to this one."""

    pipeline: tuple[Text, ...]


class Pipeline(Strict):
    """Ordered stages: the working ones first, then exactly one won, some lost and perhaps one void."""

    label: Words
    match: Match | None = None
    stages: tuple[Stage, ...]

    @model_validator(mode="after")
    def _rules(self) -> Pipeline:
        messages = [*self._order_faults(), *self._key_faults(), *self._name_faults()]
        if messages:
            raise RuleFaults([(("stages",), message) for message in messages])
        return self

    def _order_faults(self) -> Iterator[str]:
        if len([s for s in self.stages if s.outcome == "won"]) != 1 or not self.lost:
            yield (
                Sentence(
                    "a pipeline needs exactly one won stage and at least one lost stage; "
                    'mark them with outcome = "won" and outcome = "lost"'
                )
            )
        if len([s for s in self.stages if s.outcome == "void"]) > 1:
            yield Sentence("a pipeline has at most one void stage; put all its names into one")
        if not self.working:
            yield Sentence("a pipeline needs at least one working stage, that is one without `outcome`")
        ended = [stage.outcome is not None for stage in self.stages]
        if ended != sorted(ended):
            yield Sentence("outcome stages come after all working stages; move them to the end of the file")

    def _key_faults(self) -> Iterator[str]:
        for key in sorted({key for key in self.keys if self.keys.count(key) > 1}):
            yield Sentence("the key {key!r} is used by several stages; give each stage a key of its own", key=key)

    def _name_faults(self) -> Iterator[str]:
        for name, meanings in self.name_index.items():
            for one, other in combinations(meanings, 2):
                if one.stage != other.stage and one.overlaps(other):
                    yield (
                        Sentence(
                            "the name {name!r} maps to both {stage!r} and {stage_2!r}; remove it from one of "
                            "them, or give it since and until dates that do not overlap",
                            name=self._as_written(name),
                            stage=one.stage,
                            stage_2=other.stage,
                        )
                    )
                    break

    def _as_written(self, folded: str) -> str:
        written = [entry.name for stage in self.stages for entry in stage.names]
        return next((name for name in written if fold_name(name) == folded), folded)

    @cached_property
    def name_index(self) -> dict[str, tuple[Meaning, ...]]:
        """Folded name -> what it means, in the order of the process."""
        index: dict[str, tuple[Meaning, ...]] = {}
        for stage in self.stages:
            for name, meaning in stage.meanings():
                index[name] = (*index.get(name, ()), meaning)
        return index

    @property
    def working(self) -> tuple[Stage, ...]:
        """The stages in which a deal is open, in order."""
        return tuple(stage for stage in self.stages if stage.outcome is None)

    @property
    def won(self) -> Stage:
        return next(stage for stage in self.stages if stage.outcome == "won")

    @property
    def lost(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.outcome == "lost")

    @property
    def void(self) -> Stage | None:
        """The stage for what never was a deal, if the process has one."""
        return next((stage for stage in self.stages if stage.outcome == "void"), None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all stages, in order."""
        return tuple(stage.key for stage in self.stages)

    def order(self, key: str) -> int:
        """The position of a stage, 0 for the first."""
        if key not in self.keys:
            raise UsageError(
                "The process has no stage {key!r}.{hint} Its stages are {keys}.",
                key=key,
                hint=suggestion(key, self.keys),
                keys=commas(self.keys),
            )
        return self.keys.index(key)

    def stage(self, key: str) -> Stage:
        return self.stages[self.order(key)]

    def meanings(self, name: str) -> tuple[Meaning, ...]:
        """All that a name ever meant; for resolving many rows at once."""
        return self.name_index.get(fold_name(name), ())

    def resolve(self, name: str, on: date | None = None) -> str | None:
        """The key of the stage called `name` on that local date, or None.

        Keys and retired names always resolve. Without a date, the name counts as
        long as it ever held; of several meanings the one that began last is taken.
        """
        day = as_calendar_date(on)
        holding = [m for m in self.meanings(name) if day is None or m.holds_on(day)]
        return max(holding, key=lambda m: m.since or date.min).stage if holding else None


class Process(Strict):
    """A company's sales process: its calendar and its pipelines, by key."""

    version: Literal[1]
    name: Words
    calendar: Calendar
    pipelines: Mapping[str, Pipeline]

    @model_validator(mode="after")
    def _rules(self) -> Process:
        faults = [*self._key_faults(), *self._match_faults()]
        if faults:
            raise RuleFaults(faults)
        return self

    def _key_faults(self) -> Iterator[tuple[Place, str]]:
        if not self.pipelines:
            yield ("pipelines",), Sentence("a process needs at least one pipeline; add [pipelines.new]")
        for key in self.pipelines:
            try:
                slug(key)
            except ValueError as error:
                yield ("pipelines", key), Sentence("the key {fault}", fault=error)

    def _match_faults(self) -> Iterator[tuple[Place, str]]:
        seen: dict[str, str] = {}
        for key in self.pipelines:
            for raw in self._raw_names(key):
                first = seen.setdefault(fold_name(raw), key)
                if first != key:
                    yield (
                        ("pipelines", key, "match"),
                        Sentence(
                            "the pipelines {first!r} and {key!r} both match {raw!r}; name it in one of them only",
                            first=first,
                            key=key,
                            raw=raw,
                        ),
                    )

    def _raw_names(self, key: str) -> tuple[str, ...]:
        match = self.pipelines[key].match
        return (key, *(match.pipeline if match else ()))

    def pipeline(self, key: str) -> Pipeline:
        """The pipeline of that key."""
        if key not in self.pipelines:
            raise UsageError(
                "The process has no pipeline {key!r}.{hint} Its pipelines are {pipelines}.",
                key=key,
                hint=suggestion(key, self.pipelines),
                pipelines=commas(self.pipelines),
            )
        return self.pipelines[key]

    def pipeline_of(self, raw_pipeline: str | None) -> str | None:
        """The key of the pipeline that a source's own pipeline name belongs to, or None.

        A single pipeline without `match` takes everything; a key always matches itself.
        """
        if len(self.pipelines) == 1:
            only = next(iter(self.pipelines))
            if self.pipelines[only].match is None:
                return only
        if raw_pipeline is None:
            return None
        wanted = fold_name(raw_pipeline)
        return next((k for k in self.pipelines if wanted in map(fold_name, self._raw_names(k))), None)

    def stage_label(self, pipeline_key: str, stage_key: str, language: str) -> str:
        """What a person reads for a stage, in "en" or "zh"."""
        return self.pipeline(pipeline_key).stage(stage_key).label.in_language(language)

    def outcome_of(self, pipeline_key: str, stage_key: str) -> Outcome:
        """ "open" for a working stage, else "won", "lost" or "void"."""
        return self.pipeline(pipeline_key).stage(stage_key).outcome or "open"

    def known_names(self, pipeline: str) -> tuple[str, ...]:
        """Every name of that pipeline's stages as written in the file, without the keys."""
        return tuple(entry.name for stage in self.pipeline(pipeline).stages for entry in stage.names)

    def nearest_name(self, unknown_name: str, pipeline: str) -> str | None:
        """The name of a stage that is most like an unknown one, or None."""
        near = _nearest(unknown_name, self.pipeline(pipeline))
        return near[0] if near else None

    def paste_line(self, unknown_name: str, pipeline: str) -> str:
        """The line to paste into the process file so that an unknown name finds its stage.

        The comment behind it names the likeliest stage, or all of them when none is near.
        """
        stages = self.pipeline(pipeline)
        near = _nearest(unknown_name, stages)
        key = near[1] if near else None
        if key is not None and not stages.stage(key).names:
            line = f"names = [{_toml_text(unknown_name)}]"
            below = f'key = "{key}"'
            return Sentence(
                "{line}   # paste below {key} in [pipelines.{pipeline}]", line=line, key=below, pipeline=pipeline
            )
        target = f'key = "{key}"' if key else Sentence("the stage it belongs to ({stages})", stages=commas(stages.keys))
        return Sentence(
            "{name},   # paste on a line of its own, right after `names = [` of {stage} in [pipelines.{pipeline}]",
            name=_toml_text(unknown_name),
            stage=target,
            pipeline=pipeline,
        )


def _nearest(unknown_name: str, pipeline: Pipeline) -> tuple[str, str] | None:
    """The known name that is most like this one, or that it holds or is held by; and the key of its stage."""
    wanted = fold_name(unknown_name)
    owners = {fold_name(text): (text, stage.key) for stage in pipeline.stages for text in _texts_of(stage)}
    close = difflib.get_close_matches(wanted, list(owners), n=3, cutoff=0.6)
    sure = (c for c in close if c in wanted or wanted in c or difflib.SequenceMatcher(None, wanted, c).ratio() >= 0.75)
    return next((owners[c] for c in sure), None)


def _texts_of(stage: Stage) -> list[str]:
    labels = [text for text in (stage.label.en, stage.label.zh) if text]
    return [stage.key, *labels, *(entry.name for entry in stage.names)]


def _toml_text(text: str) -> str:
    # JSON and TOML strings escape alike, but for DEL and the two halves of a broken character.
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007F")
