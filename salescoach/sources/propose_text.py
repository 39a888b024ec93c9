"""The text of a drafted source file: each line with an example, each guess marked."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

from salescoach.book import TABLES
from salescoach.errors import Sentence, commas, joined
from salescoach.sources import parse
from salescoach.sources.detect import Found
from salescoach.sources.layout import ColumnFormat
from salescoach.sources.place import Place, name_of, title
from salescoach.sources.propose_formats import DECIDED, Writing, guess
from salescoach.sources.propose_headers import TableDraft
from salescoach.sources.toml_text import commented, inline, quoted, quoted_list, remark

EXAMPLES = 3


def source_text(
    drafts: Mapping[str, TableDraft], found: Found | None, currency: str, places: Sequence[Place]
) -> Sentence:
    """The text of a source file."""
    files = [name_of(p) for p in places]
    preset = found.source.preset if found is not None else None
    start = Sentence(", starting from the preset {preset}", preset=preset.name) if preset is not None else ""
    lines = [
        Sentence(
            "# Drafted by `salescoach init --from-data` from {files}{start}.",
            files=commas(map(remark, files)),
            start=start,
        ),
        Sentence(
            "# It is yours: edit it. What is marked `{guess}` was guessed. Left our name, right your header, then a\n"
            "# value of yours. A line that begins with # does nothing until the # is taken away.",
            guess=DECIDED,
        ),
        "",
        'process = "process.toml"',
        currency,
    ]
    if found is not None:
        declared = found.source
        lines += [f"as_of = {declared.as_of}"] if declared.as_of is not None else []
        lines += [f"history = {quoted(declared.history)}"] if declared.history is not None else []
        shares = ", ".join(f"{k} = {v:g}" for k, v in declared.tolerate.items())
        lines += [f"tolerate = {{ {shares} }}"] if shares else []
        lines += [f"pipelines = {inline(declared.pipelines)}"] if declared.pipelines else []
    for draft in drafts.values():
        lines += ["", *_table_lines(draft, places)]
    read = {p for d in drafts.values() for p in d.places}
    unread = [name_of(p) for p in places if p not in read]
    lines += (
        ["", *(Sentence("# {file} fits no table and is not read.", file=remark(n)) for n in unread)] if unread else []
    )
    return joined([*lines, ""], "\n")


def _table_lines(draft: TableDraft, every: Sequence[Place]) -> list[str]:
    name, known = draft.name, draft.known
    pattern = _pattern(draft.places, every)
    lines = [f"[{name}]", f"from = {quoted(pattern)}"]
    if known is not None:
        lines += [f"fixed = {inline(known.fixed)}"] if known.fixed else []
        lines += [f"entered = {quoted_list(known.entered)}"] if known.entered else []
        if known.where:
            pairs = ", ".join(f"{quoted(h)} = {quoted_list(v)}" for h, v in known.where.items())
            lines.append(f"where = {{ {pairs} }}")
        if known.unpivot is not None:
            year, months = quoted(known.unpivot.year), quoted_list(known.unpivot.months)
            lines.append(f"unpivot = {{ year = {year}, months = {months} }}")
    lines.append(f"[{name}.columns]")
    lines += [_column_line(draft, ours) for ours in draft.columns]
    lines += _unmapped(draft)
    return lines + _value_lines(draft) + _format_lines(draft)


def _column_line(draft: TableDraft, ours: str) -> str:
    header = draft.columns[ours]
    example = _examples(draft, header, 1)
    told = Sentence("{guess}; {example}", guess=DECIDED, example=example) if ours in draft.guesses else example
    line = commented(f"{ours} = {quoted(header)}", told)
    writing = draft.writings.get(ours, Writing())
    readable = writing.readable or ours in TABLES[draft.name].mandatory
    return line if readable else Sentence("# {line}: cannot be read as {role}", line=line, role=_role(draft, ours))


def _role(draft: TableDraft, ours: str) -> str:
    return TABLES[draft.name].readable[ours]


def _examples(draft: TableDraft, header: str, most: int) -> str:
    values = parse.blank_to_null(draft.text[header]).dropna().drop_duplicates().head(most)
    return commas(map(remark, values)) or Sentence("(empty)")


def _unmapped(draft: TableDraft) -> list[str]:
    mapped = set(draft.columns.values()) | set(draft.known.where if draft.known is not None else ())
    rest = [str(h) for h in draft.text.columns if h not in mapped and not _is_dated(draft, str(h))]
    if not rest:
        return []
    return [Sentence("# Kept under their own names:"), *(_kept(draft, h) for h in rest)]


def _kept(draft: TableDraft, header: str) -> str:
    return Sentence("#   {header}: {examples}", header=remark(header), examples=_examples(draft, header, EXAMPLES))


def _is_dated(draft: TableDraft, header: str) -> bool:
    return draft.known is not None and draft.known.stage_entered(header) is not None


def _value_lines(draft: TableDraft) -> list[str]:
    """Words of the source that mean ours, by column."""
    blocks = {} if draft.known is None else {k: v for k, v in draft.known.values.items() if k in draft.columns}
    lines: list[str] = []
    for ours, words in blocks.items():
        lines += [f"[{draft.name}.values.{ours}]", *(f"{quoted(k)} = {quoted(v)}" for k, v in words.items())]
    if draft.outcomes and "outcome" not in blocks:
        lines.append(f"[{draft.name}.values.outcome]")
        lines += [commented(f"{quoted(k)} = {quoted(v)}", DECIDED) for k, v in draft.outcomes.items()]
    return lines


def _format_lines(draft: TableDraft) -> list[str]:
    """What the preset declares of how things are written, then what the values show or leave open."""
    whole = draft.format.model_dump(exclude_defaults=True, exclude={"columns"})
    lines = [_setting(k, v) for k, v in whole.items()]
    why = guess(Sentence("lines above the header"))
    lines += [commented(f"skip = {draft.skip}", why)] if draft.skip else []
    lines = [f"[{draft.name}.format]", *lines] if lines else []
    for ours in draft.columns:
        declared = draft.format.columns.get(ours, ColumnFormat()).model_dump(exclude_none=True)
        writing = draft.writings.get(ours, Writing())
        nulls = [*declared.pop("null", draft.format.null if writing.nulls else ()), *writing.nulls]
        own = [_setting(k, v) for k, v in declared.items()]
        told = guess(Sentence("words that mean nothing")) if writing.nulls else ""
        own += [commented(f"null = {quoted_list(nulls)}", told)] if nulls else []
        own += writing.lines if writing.readable else []
        lines += [f"[{draft.name}.format.{ours}]", *own] if own else []
    return lines


def _setting(key: str, value: object) -> str:
    if isinstance(value, tuple | list):
        return f"{key} = {quoted_list(str(v) for v in value)}"
    if isinstance(value, bool):
        return f"{key} = {str(value).lower()}"
    return f"{key} = {value}" if isinstance(value, int) else f"{key} = {quoted(str(value))}"


def _pattern(places: Sequence[Place], every: Sequence[Place]) -> str:
    """The name of the file, with its digits open where next month's file will have others."""
    parts = {n.partition("/")[0] for n in map(name_of, places) if "/" in n}
    if parts:
        top = next(iter(parts))
        return f"{title(places[0]) if '=' in top else top}/"
    names = [p.name for p in places]
    others = [p.name for p in every if p not in places]
    opened = {re.sub(r"\d+([-_. ]?\d+)*", "*", glob.escape(n)) for n in names}
    exact = {glob.escape(n) for n in names}
    for patterns in (opened, exact):
        if len(patterns) == 1 and not any(fnmatch(n, *patterns) for n in others):
            return patterns.pop()
    start = _shared(names)
    end = _shared([n[len(start) :][::-1] for n in names])[::-1]
    return f"{glob.escape(start)}*{glob.escape(end)}"


def _shared(names: Sequence[str]) -> str:
    """What all names begin with."""
    alike = [len(set(letters)) == 1 for letters in zip(*names, strict=False)]
    return names[0][: alike.index(False) if False in alike else len(alike)]
