"""Questions for a one-to-one: from a bank of questions, those that belong to what stands on the page."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, NamedTuple
from zlib import crc32

from pydantic import BaseModel, Field, StrictBool, ValidationError, model_validator

from salescoach.coaching.findings import MOVABLE
from salescoach.errors import InputError, Sentence, UsageError, commas, joined, suggestion
from salescoach.kit import kit_path
from salescoach.process.faults import fault_of
from salescoach.process.fields import RuleFaults, Strict, Text, Words

BANKS = "templates/questions"
USUAL = "grow"
TOPICS = (*MOVABLE, "strength", "deal", "quote", "followup", "lead", "promise", "new", "no_deals")
PLACES = ("stage", "deal", "win")
FEWEST, MOST = 4, 6
OF_A_STEP = 2


class Step(Strict):
    """One step of the conversation."""

    key: Annotated[Text, Field(min_length=1)]
    label: Words


class Question(Strict):
    """One question: at which step, and what must stand on the page for it (nothing: it may be asked on any page).

    `always`: it is asked on every page, such as what the manager is to provide.
    """

    step: Text
    when: tuple[Text, ...] = ()
    always: StrictBool = False
    text: Words

    @model_validator(mode="after")
    def _blanks(self) -> Question:
        for language, text in (("en", self.text.en), ("zh", self.text.zh)):
            try:
                parts = [part for part in Formatter().parse(text or "") if part[1] is not None]
            except ValueError:
                raise RuleFaults([(("text", language), _BRACES)]) from None
            for _, name, form, conversion in parts:
                if name not in PLACES:
                    known = commas(f"{{{place}}}" for place in PLACES)
                    fault = Sentence(
                        "there is no blank {{{name}}}.{hint} Blanks: {known}",
                        name=name,
                        hint=suggestion(str(name), PLACES),
                        known=known,
                    )
                    raise RuleFaults([(("text", language), fault)])
                if form or conversion:
                    raise RuleFaults(
                        [
                            (
                                ("text", language),
                                Sentence("write the blank as {{{name}}}, without anything behind", name=name),
                            )
                        ]
                    )
        if self.always and (self.when or self.places("en") or self.places("zh")):
            raise RuleFaults(
                [(("always",), Sentence("a question for every page has no `when` and no blanks; remove one of them"))]
            )
        return self

    def places(self, language: str) -> set[str]:
        """The blanks in it that the page fills in."""
        return {name for _, name, _, _ in Formatter().parse(self.text.in_language(language)) if name}


_BRACES = Sentence("a brace is not closed; { } are for blanks such as {stage}, and {{ is a brace itself")


class Bank(Strict):
    """A bank of questions as it stands in templates/questions/*.toml."""

    version: Literal[1]
    name: Words
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST)]
    questions: tuple[Question, ...]

    @model_validator(mode="after")
    def _known(self) -> Bank:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        steps = [step.key for step in self.steps]
        for twice in sorted({key for key in steps if steps.count(key) > 1}):
            faults.append(
                (("steps",), Sentence("the key {twice!r} is used twice; give each step a key of its own", twice=twice))
            )
        for number, question in enumerate(self.questions):
            if question.step not in steps:
                near = suggestion(question.step, steps)
                known = Sentence("{hint} Steps: {steps}", hint=near, steps=commas(steps))
                faults.append(
                    (
                        ("questions", number, "step"),
                        Sentence("there is no step {step!r}.{known}", step=question.step, known=known),
                    )
                )
            for topic in question.when:
                if topic not in TOPICS:
                    near = suggestion(topic, TOPICS)
                    known = Sentence("{hint} Topics: {topics}", hint=near, topics=commas(TOPICS))
                    faults.append(
                        (
                            ("questions", number, "when"),
                            Sentence("there is no topic {topic!r}.{known}", topic=topic, known=known),
                        )
                    )
        asked = {q.step for q in self.questions if not q.when and not q.places("en") | q.places("zh")}
        for key in steps:
            if key not in asked:
                why = Sentence(
                    "the step {key!r} needs a question without `when` and blanks, for pages on which no other fits",
                    key=key,
                )
                faults.append((("questions",), why))
        always = sum(question.always for question in self.questions)
        if always + len(steps) > MOST:
            why = Sentence(
                "{always} questions for every page and {n} steps are more than the {most} a page has room for",
                always=always,
                n=len(steps),
                most=MOST,
            )
            faults.append((("questions",), Sentence("{why}; remove `always` from some", why=why)))
        if faults:
            raise RuleFaults(faults)
        return self


def read_bank(name: str = USUAL) -> Bank:
    """A bank by the path of a file, or one that travels with salescoach by name.

    Raises UsageError where there is none, and InputError with file, place, value, why and what to do.
    """
    path = Path(name)
    if not path.is_file():
        known = {file.stem: file for file in kit_path(BANKS).glob("*.toml")}
        if name not in known:
            raise UsageError(
                "There is no bank of questions {name!r}.{hint} Banks: {known}; or the path of a .toml file.",
                name=name,
                hint=suggestion(path.stem, known),
                known=commas(sorted(known)),
            )
        path = known[name]
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "{path} is not valid TOML: {error}. Texts stand in double quotes.", path=path.name, error=error
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            "{path}: byte {byte} is not UTF-8. Save the file again with the encoding UTF-8.",
            path=path.name,
            byte=error.start + 1,
        ) from None
    try:
        return Bank.model_validate(raw)
    except ValidationError as error:
        faults = list(dict.fromkeys(fault for detail in error.errors() for fault in _faults(dict(detail), raw)))
        raise InputError(
            joined((Sentence("{file}: {fault}.", file=path.name, fault=f) for f in faults), "\n")
        ) from None


_PARTS: dict[str, type[BaseModel]] = {
    "steps": Step,
    "questions": Question,
    "text": Words,
    "label": Words,
    "name": Words,
}


def _faults(detail: dict[str, Any], raw: Any) -> Iterator[str]:
    """One finding of the schema or of a rule: where, what stands there, why it cannot, what to do."""
    place, cause = detail["loc"], detail.get("ctx", {}).get("error")
    if isinstance(cause, RuleFaults):
        for inner, why in cause.faults:
            yield Sentence("{place}: {fault}", place=_where((*place, *inner), raw), fault=why)
    elif detail["type"] == "extra_forbidden":
        keys = list(_part(place[:-1]).model_fields)
        known = Sentence("{hint} The keys here are {keys}", hint=suggestion(str(place[-1]), keys), keys=commas(keys))
        yield Sentence(
            "{where} = {value}: unknown key.{known}",
            where=_where(place, raw),
            value=_value(detail["input"]),
            known=known,
        )
    elif detail["type"] == "missing":
        yield Sentence("{where} is missing; add it as in grow.toml", where=_where(place, raw))
    else:
        yield Sentence(
            "{where} = {value}: {cause}; write it as in grow.toml",
            where=_where(place, raw),
            value=_value(detail["input"]),
            cause=cause or fault_of(detail),
        )


def _part(place: Sequence[str | int]) -> type[BaseModel]:
    names = [part for part in place if isinstance(part, str)]
    return _PARTS[names[-1]] if names else Bank


def _where(place: Sequence[str | int], raw: Any) -> str:
    """`questions[3] (goal).text.en`: the path, questions counted from 1 and with their step."""
    text, here = "", raw
    for part in place:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(part, int):
            key = here.get("step", here.get("key")) if isinstance(here, dict) else None
            text += f"[{part + 1}]" + (f" ({key})" if isinstance(key, str) else "")
        else:
            text += f".{part}" if text else part
    return text or Sentence("the file")


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


# --- choosing --------------------------------------------------------------------------------------


class _Asked(NamedTuple):
    """A question that may be asked: the place of its step, that of its topic on the page, the topic ("": any page)."""

    step: int
    order: int
    topic: str
    text: str


def choose_questions(
    topics: Mapping[str, Mapping[str, str]],
    bank: str = USUAL,
    language: str = "en",
    most: int = MOST,
    rep: str = "",
    session: int = 0,
) -> list[tuple[str, str]]:
    """(step, question), four to six in the order of the bank's steps: always the same ones for the same page.

    topics          what stands on the page, the most important first: topic -> what its blanks are filled with
    rep, session    whose page, and how many conversations there were: of several questions that fit alike, the next
                    time the next one is asked, and not everybody hears the same

    First those for every page; then one of each step, about the topic that comes first on the page and was not asked
    about yet, else one for any page; then, up to `most` and two of a step, about topics not asked about yet. A question
    whose blanks the page cannot fill in is left out.
    """
    read = read_bank(bank)
    turn = crc32(rep.encode("utf-8", "replace")) + session
    pool = _pool(read, topics, language, turn)
    order = len(topics)
    chosen = [_Asked(_place(read, q.step), order, "", q.text.in_language(language)) for q in read.questions if q.always]
    for step in range(len(read.steps)):
        if len(chosen) < most:
            chosen += _best([entry for entry in pool if entry.step == step], chosen)
    for entry in sorted(pool, key=lambda found: found.order):
        full = sum(other.step == entry.step for other in chosen) >= OF_A_STEP
        new = entry.topic not in {"", *(other.topic for other in chosen)}
        needed = len(chosen) < FEWEST and entry.text not in {other.text for other in chosen}
        if len(chosen) < most and not full and (new or needed):
            chosen.append(entry)
    return [(read.steps[entry.step].label.in_language(language), entry.text) for entry in _in_steps(chosen)]


def _in_steps(chosen: Sequence[_Asked]) -> list[_Asked]:
    """In the order of the steps; within one those about a topic first, and those for every page last."""
    numbered = sorted(enumerate(chosen), key=lambda item: (item[1].step, item[1].order, -item[0]))
    return [entry for _, entry in numbered]


def _best(fitting: Sequence[_Asked], chosen: Sequence[_Asked]) -> list[_Asked]:
    """The one about the first topic not asked about yet, else one for any page; none where only an `always` is left."""
    asked = {entry.topic for entry in chosen} - {""}
    fresh = [entry for entry in fitting if entry.topic not in asked]
    return sorted(fresh, key=lambda entry: entry.order)[:1]


def _place(bank: Bank, step: str) -> int:
    return [other.key for other in bank.steps].index(step)


def _pool(bank: Bank, topics: Mapping[str, Mapping[str, str]], language: str, turn: int) -> list[_Asked]:
    """Every question that may be asked; of those that fit alike, the one whose turn it is first."""
    order = {topic: place for place, topic in enumerate(topics)}
    groups: dict[tuple[int, str], list[_Asked]] = {}
    for question in bank.questions:
        fitting = [topic for topic in question.when if topic in topics]
        if question.always or (question.when and not fitting):
            continue
        topic = min(fitting, key=order.__getitem__) if fitting else ""
        blanks = topics.get(topic, {})
        if question.places(language) <= set(blanks):
            step, text = _place(bank, question.step), question.text.in_language(language).format(**blanks)
            groups.setdefault((step, topic), []).append(_Asked(step, order.get(topic, len(order)), topic, text))
    return [entry for group in groups.values() for entry in (*group[turn % len(group) :], *group[: turn % len(group)])]
