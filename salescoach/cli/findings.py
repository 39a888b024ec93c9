"""What `check` found, on one screen: what was detected and why, what is usable, and what is missing for the rest."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salescoach.book import Book
    from salescoach.metrics.registry import Measure
    from salescoach.sources import Source

WIDTH = 118
MANY = 8
EXAMPLES = 3
HISTORIES = {
    "log": "a table of stage entries: every move is known",
    "pairs": "a table of stage changes, old and new: every move is known",
    "wide": "one date per stage on the deal: the last entry into each stage is known",
    "snapshots": "the deals of several days: moves are known to the day of a snapshot",
    "current": "none; only where each deal stands now, and its dates",
}
USES = {  # columns that no metric needs by name, and what they are for
    ("deals", "rep_id"): "figures per rep and team",
    ("deals", "amount"): "sums of money",
    ("deals", "created_at"): "ages and months of creation",
    ("deals", "closed_at"): "figures by period",
    ("deals", "expected_close_on"): "open deals whose expected close has passed",
    ("deals", "outcome"): "deals decided by a status",
    ("deals", "lost_reason"): "why deals are lost",
    ("deals", "lost_stage"): "where deals are lost",
    ("deals", "updated_at"): "which of two versions of a deal is the later",
    ("deals", "stage_changed_at"): "how long open deals have been in their stage",
    ("leads", "first_response_at"): "response time",
    ("leads", "converted_at"): "lead conversion",
    ("leads", "rep_id"): "leads per rep",
    ("reps", "team"): "figures per team",
    ("reps", "manager"): "figures per manager",
    ("reps", "name"): "names instead of ids",
    ("targets", "rep_id"): "targets per rep",
    ("stage_history", "rep_id"): "who owned a deal at each stage",
}
SPLITS = ("lead_source", "segment", "region", "product", "deal_type", "currency", "pipeline", "competitor")


@dataclass(frozen=True)
class Settings:
    """How the files were read, as the person gave it: what is repeated in the next command, and why things are so."""

    files: tuple[str, ...]
    options: Mapping[str, Any]
    reps: tuple[str, ...] = ()

    def command(self, name: str, *more: str) -> str:
        """A command on the same files with the same options; of a URL without its query, where a key may stand."""
        from salescoach.sources.place import as_place

        words = ["salescoach", name, *(str(as_place(f)) if "://" in f else f for f in self.files)]
        for option, value in self.options.items():
            words += [f"--{option.replace('_', '-')}", str(value)] if value is not None else []
        for rep in self.reps:
            words += ["--rep", rep]
        return shlex.join([*words, *more])

    @property
    def own_source(self) -> str | None:
        """The source file that lies in a folder given."""
        return next((str(s) for f in self.files if (s := Path(f) / "source.toml").is_file()), None)

    @property
    def is_mapped(self) -> bool:
        """Whether somebody wrote a source or process file for these: then that is to be corrected."""
        named = str(self.options.get("source") or "").endswith(".toml")
        return named or self.own_source is not None or self.options.get("process") is not None

    def draft_command(self) -> str:
        """The command that drafts a source and a process file from the same files."""
        return Settings(self.files, {}).command("init").replace("salescoach init", "salescoach init --from-data", 1)


@dataclass(frozen=True)
class Findings:
    """A book, the source it was read with, and what every metric says of it."""

    book: Book
    source: Source
    found: Mapping[str, Measure]
    settings: Settings

    @property
    def next(self) -> str:
        return self.settings.command("load", "--book", "my-book")

    @property
    def history(self) -> str:
        """How stage history is told here; a preset may name a log that is not among the files."""
        told = str(self.book.origin["history"])
        return "current" if told in ("log", "pairs") and "stage_history" not in self.book.origin["columns"] else told

    @property
    def currency(self) -> dict[str, Any]:
        """The currency of amounts that name none, and who says so."""
        own = self.book.tables["deals"]
        named = own["currency"].value_counts().to_dict() if "currency" in own else {}
        by = "--currency" if self.settings.options.get("currency") else "source" if self.source.currency else "default"
        return {"code": self.book.currency, "declared": by, "deals": {str(k): int(v) for k, v in named.items()}}

    @property
    def timezone(self) -> dict[str, Any]:
        process = self.settings.options.get("process") or self.source.process
        written = {n: t.format.timezone for n, t in self.source.tables.items() if t.format.timezone}
        by = "process file" if process else "default"
        return {"zone": self.book.timezone, "declared": by, "process": process or "standard", "stamps": written}

    @property
    def absent(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Columns that would unlock something and are not there: the headers looked for, and what they unlock."""
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for name, mapped in self.book.origin["columns"].items():
            table = self.source.tables.get(name)
            for ours, theirs in (table.columns if table is not None else {}).items():
                use = unlocked_by(name, ours)
                if ours not in mapped and use and not self.book.has(name, ours):
                    result.setdefault(name, {})[ours] = {"headers": list(theirs), "unlocks": use}
        return result

    def to_dict(self) -> dict[str, Any]:
        """The object printed by `salescoach check --json`."""
        import json

        book = self.book
        preset = self.source.preset
        return {
            "origin": dict(book.origin),
            "preset": None if preset is None else {"label": preset.label, "carries": preset.carries},
            "because": because(self.source, book),
            "history": self.history,
            "as_of": book.as_of_on.date().isoformat(),
            "currency": self.currency,
            "timezone": self.timezone,
            "absent": self.absent,
            "quality": dict(book.quality),
            "quarantine": json.loads(book.quarantine.to_json(orient="records", force_ascii=False)),
            "metrics": {n: {"available": m.available, "because": m.because} for n, m in self.found.items()},
            "next": self.next,
        }


def unlocked_by(table: str, column: str) -> str:
    """What a column is for, in words; empty where nothing asks for it."""
    from salescoach.metrics import METRICS

    metrics = [m.name for m in METRICS.values() if any(n == table and column in rest for n, *rest in m.needs)]
    uses = [*metrics, *([USES[table, column]] if (table, column) in USES else [])]
    uses += [f"splits by {column}"] if table == "deals" and column in SPLITS else []
    return ", ".join(uses)


def because(source: Source, book: Book) -> dict[str, list[str]]:
    """The headers by which each file was taken for a table, by file."""
    from salescoach.sources.detect import fold_header

    signs: dict[str, list[str]] = {}
    carried, own = book.origin["columns"], book.origin.get("own_columns", {})
    for file in book.origin["files"]:
        name = file["table"]
        table = source.tables.get(name)
        there = {fold_header(h): h for h in [*carried[name].values(), *own.get(name, ())]}
        spelled = [
            [there[fold_header(s)] for s in any_of if fold_header(s) in there]
            for any_of in (table.signature if table is not None else ())
        ]
        signs[file["file"]] = list(dict.fromkeys(hits[0] for hits in spelled if hits))
    return signs


# --- the screen ------------------------------------------------------------------------------------


def screen(findings: Findings) -> Iterator[str]:
    """The lines of `salescoach check`."""
    yield from _head(findings)
    yield ""
    yield from _tables(findings)
    yield ""
    yield from quarantine_lines(findings.book)
    yield from note_lines(findings.book)
    yield ""
    yield from _metrics(findings.found)
    yield ""
    yield f"Next: {findings.next}"


def _head(f: Findings) -> Iterator[str]:
    preset, book = f.source.preset, f.book
    named = f.settings.options.get("source")
    if preset is None:
        yield f"Source file {book.origin['source']}, as of {book.as_of_on.date()}."
    else:
        chosen = "named with --source" if named else "detected from the headers"
        yield f"{preset.label.get('en', preset.name)} ({preset.name}), {chosen}; as of {book.as_of_on.date()}."
    for file, headers in ({} if named or preset is None else because(f.source, book)).items():
        if headers:
            yield from _wrapped(f"because {file} has {', '.join(headers)}", 2)
    if preset is not None and preset.carries:
        yield from _wrapped(f"About this layout: {preset.carries}", 2)
    yield f"  Stage history: {HISTORIES[f.history]}."
    yield from _wrapped(f"{_currency_line(f.currency)} {_zone_line(f.timezone)}", 2)


def _currency_line(money: Mapping[str, Any]) -> str:
    code, own = money["code"], money["deals"]
    who = {
        "--currency": "given with --currency",
        "source": "declared by the source",
        "default": "the default, declared nowhere: --currency, or `currency` in the source file",
    }[money["declared"]]
    if not own:
        return f"Currency {code} ({who})."
    return f"Currency of each deal: {', '.join(f'{k} {v:,}' for k, v in own.items())}; else {code} ({who})."


def _zone_line(zone: Mapping[str, Any]) -> str:
    standard = (
        f"of the process {zone['process']}"
        if zone["declared"] != "default"
        else "of the standard process; declared nowhere"
    )
    stamps = ", ".join(f"stamps of {n} are read in {z}" for n, z in zone["stamps"].items())
    return f"Time zone {zone['zone']} ({standard})" + (f"; {stamps}." if stamps else ".")


def _tables(f: Findings) -> Iterator[str]:
    from salescoach.book import TABLES

    book = f.book
    for name, mapped in ((t, book.origin["columns"][t]) for t in TABLES if t in book.origin["columns"]):
        rows = book.quality["rows"][name]
        counts = f"{rows['used']:,} rows used, {rows['quarantined']:,} set aside"
        yield from _wrapped(f"{name:14} {counts:36} {TABLES[name].unlocks}", 0)
        order = [*TABLES[name].readable, *mapped]
        yield from _wrapped(_mapping(dict(sorted(mapped.items(), key=lambda pair: order.index(pair[0])))), 4)
        own = book.origin.get("own_columns", {}).get(name, [])
        if own:
            yield from _wrapped(f"own names kept: {', '.join(own)}", 4)
        for ours, told in f.absent.get(name, {}).items():
            yield from _wrapped(f"not there: {ours} ({_few(told['headers'])}), for {told['unlocks']}", 4)
    missing = [t for t in TABLES if t not in book.tables or (t == "stage_history" and f.history == "current")]
    wanted = [f"{t} ({TABLES[t].unlocks})" for t in missing if not TABLES[t].unlocks.startswith("nothing yet")]
    if wanted:
        yield from _wrapped(f"Not there: {'; '.join(wanted)}", 0)


def _mapping(mapped: Mapping[str, str]) -> str:
    """Ours <- theirs; where both are the same, once."""
    same = [ours for ours, theirs in mapped.items() if ours == theirs]
    pairs = [f"{ours} <- {theirs}" for ours, theirs in mapped.items() if ours != theirs and theirs != f"{ours} (made)"]
    made = [ours for ours, theirs in mapped.items() if theirs == f"{ours} (made)"]
    parts = [", ".join(pairs)] if pairs else []
    if len(same) > MANY and not pairs:
        parts.append(f"{len(same)} columns under our own names")
    elif same:
        parts.append(f"under our own names: {', '.join(same)}")
    parts += [f"made by the source: {', '.join(made)}"] if made else []
    return "; ".join(parts)


def _few(headers: list[str]) -> str:
    return ", ".join(headers[:EXAMPLES]) + (", …" if len(headers) > EXAMPLES else "")


def quarantine_lines(book: Book) -> Iterator[str]:
    """Each reason with its count and its first row."""
    out = book.quarantine
    if out.empty:
        yield "No row was set aside."
        return
    yield f"{len(out):,} rows set aside:"
    counts = out["reason"].value_counts()
    first = {row["reason"]: row for row in out.drop_duplicates("reason").to_dict("records")}
    for reason in counts.index:
        line = f"  {counts[reason]:>5,} {reason}: {first_of(first[reason])}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def first_of(row: Mapping[Hashable, Any]) -> str:
    """Where a row stands, what is wrong, and what to do."""
    column = row["column"] if isinstance(row["column"], str) else ""
    value = f"{column} = {row['value']!r}: " if column else ""
    return f"{row['file']}, line {row['line']}: {value}{row['hint']}"


def note_lines(book: Book) -> Iterator[str]:
    """What is valid and still looks odd."""
    from salescoach.reports.fields import CHECKS

    if book.quality["notes"] or book.quality["files_ignored"]:
        yield "Used as it is, and worth a look:"
    for note in book.quality["notes"]:
        examples = f" ({', '.join(note['examples'][:EXAMPLES])})" if note.get("examples") else ""
        place = f" [{note['table']}.{note['column']}]" if note["column"] else ""
        yield from _wrapped(f"{note['count']:>5,} {CHECKS.get(note['check'], note['check'])}{place}{examples}", 2)
    for name in book.quality["files_ignored"]:
        yield f"  {name} fits no table and was not read"


def _metrics(found: Mapping[str, Measure]) -> Iterator[str]:
    """Metrics that there are, and the others by the reason why not."""
    there = [n for n, m in found.items() if m.available]
    yield from _wrapped(f"Available: {', '.join(there) or 'nothing'}", 0)
    reasons: dict[str, list[str]] = {}
    for name, m in found.items():
        if m.because is not None:
            reasons.setdefault(m.because, []).append(name)
    for reason, names in reasons.items():
        yield from _wrapped(f"Unavailable: {', '.join(names)}, because {reason}", 0)


def _wrapped(text: str, indent: int) -> list[str]:
    """A line broken at the width of a screen, its rest further in."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 6),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]
