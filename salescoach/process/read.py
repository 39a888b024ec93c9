"""A process file in, a checked process out."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from salescoach.errors import ProcessError, Sentence, commas, joined, nearest, suggestion
from salescoach.process.company_calendar import Calendar, FiscalYear
from salescoach.process.faults import choices_of, fault_of
from salescoach.process.fields import Place, RuleFaults, Words
from salescoach.process.model import Match, Pipeline, Process, Stage, StageName

_PARTS: dict[str, type[BaseModel]] = {
    "calendar": Calendar,
    "fiscal_year": FiscalYear,
    "match": Match,
    "stages": Stage,
    "names": StageName,
    "name": Words,
    "label": Words,
    "coach": Words,
}
_EXAMPLES = {
    "version": "version = 1",
    "name": 'name = { en = "Our process", zh = "我们的流程" }',
    "calendar": Sentence('[calendar] with timezone = "Asia/Shanghai"'),
    "timezone": 'timezone = "Asia/Shanghai"',
    "workdays": 'workdays = ["mon", "tue", "wed", "thu", "fri"]',
    "hours": 'hours = ["09:00", "18:00"]',
    "fiscal_year": "fiscal_year = { start_month = 1 }",
    "pipelines": Sentence('[pipelines.new] with label = { en = "New business" }'),
    "label": 'label = { en = "Quote", zh = "报价" }',
    "coach": 'coach = { en = "Look for missed quotes." }',
    "match": 'match = { pipeline = ["default"] }',
    "pipeline": 'pipeline = ["default"]',
    "stages": Sentence('[[pipelines.new.stages]] with key = "prospect"'),
    "key": 'key = "quote"',
    "names": 'names = ["Proposal", { name = "Demo", retired = true }]',
    "enter": 'enter = ["amount"]',
    "exit": 'exit = ["need confirmed"]',
}
STORED = Sentence("the stored process")
_TYPE_FAULTS = {
    "string_type": Sentence("must be a text in double quotes"),
    "string_too_short": Sentence("is empty; write the text or remove the entry"),
    "float_type": Sentence("must be a number without quotes"),
    "int_type": Sentence("must be a whole number without quotes"),
    "bool_type": Sentence("must be true or false, without quotes"),
    "tuple_type": Sentence("must be a list in square brackets"),
    "model_type": Sentence("must be a table in braces or under a header of its own"),
    "mapping_type": Sentence("must be a table under a header of its own"),
    "finite_number": Sentence("must be a finite number"),
}


def read_process(path: str | Path) -> Process:
    """The process in a TOML file; a CSV of holidays is looked for beside it."""
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ProcessError("There is no process file {file}.{hint}", file=file, hint=_other_file(file)) from None
    except UnicodeDecodeError as error:
        raise ProcessError(
            "{file}: byte {byte} is not UTF-8. Save the file again with the encoding UTF-8.",
            file=file,
            byte=error.start + 1,
        ) from None
    except OSError as error:
        raise ProcessError(
            "{file} cannot be read: {problem}. Name a process file (.toml).", file=file, problem=error.strerror
        ) from None
    return parse_process(text, file)


def parse_process(text: str, origin: str | Path) -> Process:
    """The process in a TOML text; `origin` is the file that messages name."""
    try:
        raw = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ProcessError(_syntax_fault(text, str(error), str(origin))) from None
    return _checked(_with_listed_days(raw, Path(origin)), str(origin))


def process_to_dict(process: Process) -> dict[str, Any]:
    """The process as JSON-able values, complete: holidays from a CSV are inside."""
    return process.model_dump(mode="json", exclude_none=True)


def process_from_dict(values: Mapping[str, Any], origin: str = STORED) -> Process:
    """The process that `process_to_dict` wrote; reads no other file."""
    return _checked(dict(values), origin)


def _checked(raw: dict[str, Any], origin: str) -> Process:
    try:
        return Process.model_validate(raw)
    except ValidationError as error:
        faults = [fault for detail in error.errors() for fault in _explain(dict(detail), raw)]
    raise ProcessError(_listed(origin, list(dict.fromkeys(faults))))


def _listed(origin: str, faults: list[str]) -> str:
    sentences = [fault if fault.endswith("?") else Sentence("{fault}.", fault=fault) for fault in faults]
    if len(sentences) == 1:
        return Sentence("{origin}: {fault}", origin=origin, fault=sentences[0])
    head = Sentence("{origin} has {n} faults:", origin=origin, n=len(sentences))
    return joined([head, *(Sentence("  - {fault}", fault=fault) for fault in sentences)], "\n")


def _other_file(file: Path) -> str:
    folder = file.parent
    known = [other.name for other in folder.glob("*.toml")] if folder.is_dir() else []
    return suggestion(file.name, known) or Sentence(" `salescoach init` writes one to start from.")


def _syntax_fault(text: str, message: str, origin: str) -> str:
    reason = re.sub(r" \(at .*\)$", "", message)
    found = re.search(r"at line (\d+), column (\d+)", message)
    lines = text.splitlines()
    number = int(found[1]) if found else max(len(lines), 1)
    shown = lines[number - 1].strip()[:80] if number <= len(lines) else ""
    column = Sentence(", column {column}", column=found[2]) if found else ""
    return Sentence(
        "{origin}, line {number}{column} is not valid TOML: {reason}. The line reads: {shown}\nTexts stand in "
        "double quotes, lists in [ ], tables in {{ }}; each opened one must be closed.",
        origin=origin,
        number=number,
        column=column,
        reason=reason,
        shown=shown,
    )


def _explain(detail: dict[str, Any], raw: Any) -> Iterator[str]:
    """The sentences for one finding of the schema or of a rule."""
    loc: Place = detail["loc"]
    kind, cause = detail["type"], detail.get("ctx", {}).get("error")
    if isinstance(cause, RuleFaults):
        for place, message in cause.faults:
            yield Sentence("{place}: {fault}", place=_place((*loc, *place), raw), fault=message)
    elif kind == "extra_forbidden":
        yield Sentence(
            "{place} = {value}: unknown key.{hint}",
            place=_place(loc, raw),
            value=_shown(detail["input"]),
            hint=_key_hint(loc),
        )
    elif kind == "missing":
        yield Sentence("{place} is missing; {step}", place=_place(loc, raw), step=_add_hint(loc))
    else:
        fault = cause or _type_fault(detail, loc)
        yield Sentence("{place} = {value}: {fault}", place=_place(loc, raw), value=_shown(detail["input"]), fault=fault)


def _type_fault(detail: dict[str, Any], loc: Place) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "greater_than":
        return Sentence("must be greater than {gt:g}; remove the key if nothing is expected", gt=context["gt"])
    if kind in {"greater_than_equal", "less_than_equal"}:
        return Sentence("must be a month from 1 to 12")
    if kind == "literal_error":
        return _choice_fault(detail)
    key = next((part for part in reversed(loc) if isinstance(part, str)), "")
    example = _EXAMPLES.get(key)
    why = _TYPE_FAULTS.get(kind) or fault_of(detail)
    if not example or isinstance(loc[-1], int):
        return why
    return Sentence("{fault}, such as {example}", fault=why, example=example)


def _choice_fault(detail: dict[str, Any]) -> str:
    expected = str(detail["ctx"]["expected"]).replace("'", '"')
    known = re.findall(r'"([^"]+)"', expected)
    near = suggestion(str(detail["input"]), known)
    return (
        Sentence("must be {known}.{hint}", known=choices_of(expected), hint=near)
        if near
        else Sentence("must be {known}", known=choices_of(expected))
    )


def _key_hint(loc: Place) -> str:
    known = list(_model_at(loc[:-1]).model_fields)
    return Sentence("{hint} The keys here are {known}", hint=suggestion(str(loc[-1]), known), known=commas(known))


def _add_hint(loc: Place) -> str:
    return Sentence("add {example}", example=_EXAMPLES.get(str(loc[-1]), f"{loc[-1]} = …"))


def _model_at(loc: Place) -> type[BaseModel]:
    """Which part of the file a place is in; pipelines have keys of the company's own choice."""
    if not loc:
        return Process
    if loc[0] == "pipelines" and len(loc) == 2:
        return Pipeline
    last = [part for part in loc if isinstance(part, str)][-1]
    return _PARTS[last]


def _place(loc: Place, raw: Any) -> str:
    """`pipelines.new.stages[2] (quote).expect_days`: the path, with the key of a numbered stage."""
    text, here = "", raw
    for part in loc:
        here = _inside(here, part)
        if isinstance(part, int):
            text += f"[{part}]" + _key_of(here)
        else:
            text += f".{part}" if text else part
    return text or Sentence("the file")


def _inside(here: Any, part: str | int) -> Any:
    try:
        return here[part]
    except (KeyError, IndexError, TypeError):
        return None


def _key_of(here: Any) -> str:
    key = here.get("key", here.get("name")) if isinstance(here, dict) else here
    return f" ({key})" if isinstance(key, str) and key else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _with_listed_days(raw: dict[str, Any], origin: Path) -> dict[str, Any]:
    """The raw file with the days of its holiday CSV, if it names one, added to its calendar."""
    calendar = raw.get("calendar")
    name = calendar.get("holidays") if isinstance(calendar, dict) else None
    if not isinstance(calendar, dict) or not isinstance(name, str) or not name.casefold().endswith(".csv"):
        return raw
    off, on = _read_days(origin, name)
    extra = {
        "days_off": _joined(calendar.get("days_off", []), off),
        "days_on": _joined(calendar.get("days_on", []), on),
    }
    return {**raw, "calendar": {**calendar, **extra}}


def _joined(written: Any, listed: list[date]) -> Any:
    # A wrong `written` is left as it stands: the schema explains it better.
    if not isinstance(written, list):
        return written
    return [*written, *(day for day in listed if day not in written)]


def _read_days(origin: Path, name: str) -> tuple[list[date], list[date]]:
    if Path(name).name != name or "\\" in name:
        raise ProcessError(
            "{origin}: calendar.holidays = {name}: must be a file beside the process file, without a folder.",
            origin=origin,
            name=_shown(name),
        )
    file = origin.parent / name
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ProcessError(
            "{origin}: calendar.holidays = {name}: there is no such file beside the process file. Put a CSV "
            'with the columns date,kind (off or on) there, or write a country code such as "CN".',
            origin=origin,
            name=_shown(name),
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise ProcessError(
            "{file} cannot be read as UTF-8 text: {error}. Save it again as UTF-8.", file=file, error=error
        ) from None
    return _days_in(text, file)


def _days_in(text: str, file: Path) -> tuple[list[date], list[date]]:
    rows = csv.DictReader(io.StringIO(text))
    missing = [column for column in ("date", "kind") if column not in (rows.fieldnames or ())]
    if missing:
        near = nearest(missing[0], rows.fieldnames or ())
        hint = Sentence(" Nearest: {near!r}.", near=near) if near else ""
        raise ProcessError(
            "{file} has no column {missing!r}.{hint} Its first line must read: date,kind",
            file=file,
            missing=missing[0],
            hint=hint,
        )
    days: dict[str, list[date]] = {"off": [], "on": []}
    faults: list[str] = []
    for row in rows:
        day, kind = row["date"] or "", row["kind"] or ""
        try:
            days[kind.strip().casefold()].append(date.fromisoformat(day.strip()))
        except (KeyError, ValueError):
            why = Sentence("write a day and off or on, such as 2026-02-17,off")
            faults.append(
                Sentence('line {line} = "{row}": {fault}', line=rows.line_num, row=f"{day},{kind}", fault=why)
            )
    if faults:
        raise ProcessError(_listed(str(file), faults))
    return days["off"], days["on"]
