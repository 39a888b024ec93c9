"""What `check` found, on one screen: what was detected and why, what is usable, and what is missing for the rest."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salescoach.cli.language import language, padded, say, wrapped
from salescoach.errors import Sentence, commas, joined
from salescoach.wording import N_

if TYPE_CHECKING:
    from salescoach.book import Book
    from salescoach.metrics.registry import Measure
    from salescoach.sources import Source

WIDTH = 118
MANY = 8
EXAMPLES = 3
HISTORIES = {
    "log": N_("a table of stage entries: every move is known"),
    "pairs": N_("a table of stage changes, old and new: every move is known"),
    "wide": N_("one date per stage on the deal: the last entry into each stage is known"),
    "snapshots": N_("the deals of several days: moves are known to the day of a snapshot"),
    "current": N_("none; only where each deal stands now, and its dates"),
}
USES = {  # columns that no metric needs by name, and what they are for
    ("deals", "rep_id"): N_("figures per rep and team"),
    ("deals", "amount"): N_("sums of money"),
    ("deals", "created_at"): N_("ages and months of creation"),
    ("deals", "closed_at"): N_("figures by period"),
    ("deals", "expected_close_on"): N_("open deals whose expected close has passed"),
    ("deals", "outcome"): N_("deals decided by a status"),
    ("deals", "lost_reason"): N_("why deals are lost"),
    ("deals", "lost_stage"): N_("where deals are lost"),
    ("deals", "updated_at"): N_("which of two versions of a deal is the later"),
    ("deals", "stage_changed_at"): N_("how long open deals have been in their stage"),
    ("leads", "first_response_at"): N_("response time"),
    ("leads", "converted_at"): N_("lead conversion"),
    ("leads", "rep_id"): N_("leads per rep"),
    ("reps", "team"): N_("figures per team"),
    ("reps", "manager"): N_("figures per manager"),
    ("reps", "name"): N_("names instead of ids"),
    ("targets", "rep_id"): N_("targets per rep"),
    ("stage_history", "rep_id"): N_("who owned a deal at each stage"),
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


def unlocked_by(table: str, column: str) -> Sentence:
    """What a column is for, in words; empty where nothing asks for it."""
    from salescoach.metrics import METRICS

    metrics = [m.name for m in METRICS.values() if any(n == table and column in rest for n, *rest in m.needs)]
    uses: list[str] = [*metrics, *([Sentence(USES[table, column])] if (table, column) in USES else [])]
    uses += [Sentence("splits by {column}", column=column)] if table == "deals" and column in SPLITS else []
    return commas(uses)


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
    yield say("Next: {command}", command=findings.next)


def _head(f: Findings) -> Iterator[str]:
    preset, book = f.source.preset, f.book
    named = f.settings.options.get("source")
    if preset is None:
        yield say("Source file {file}, as of {day}.", file=book.origin["source"], day=book.as_of_on.date())
    else:
        chosen = Sentence("named with --source") if named else Sentence("detected from the headers")
        yield say(
            "{label} ({preset}), {chosen}; as of {day}.",
            label=preset.label.get(language(), preset.label.get("en", preset.name)),
            preset=preset.name,
            chosen=chosen,
            day=book.as_of_on.date(),
        )
    for file, headers in ({} if named or preset is None else because(f.source, book)).items():
        if headers:
            yield from _wrapped(say("because {file} has {headers}", file=file, headers=commas(headers)), 2)
    if preset is not None and preset.carries:
        yield from _wrapped(say("About this layout: {text}", text=say(preset.carries)), 2)
    yield from _wrapped(say("Stage history: {text}.", text=Sentence(HISTORIES[f.history])), 2)
    money, zone = _currency_line(f.currency), _zone_line(f.timezone)
    yield from _wrapped(say("{first} {second}", first=money, second=zone), 2)


def _currency_line(money: Mapping[str, Any]) -> str:
    code, own = money["code"], money["deals"]
    who = {
        "--currency": Sentence("given with --currency"),
        "source": Sentence("declared by the source"),
        "default": Sentence("the default, declared nowhere: --currency, or `currency` in the source file"),
    }[money["declared"]]
    if not own:
        return say("Currency {code} ({who}).", code=code, who=who)
    counts = commas(f"{k} {v:,}" for k, v in own.items())
    return say("Currency of each deal: {counts}; else {code} ({who}).", counts=counts, code=code, who=who)


def _zone_line(zone: Mapping[str, Any]) -> str:
    standard = (
        Sentence("of the process {process}", process=zone["process"])
        if zone["declared"] != "default"
        else Sentence("of the standard process; declared nowhere")
    )
    stamps = commas(
        Sentence("stamps of {table} are read in {zone}", table=n, zone=z) for n, z in zone["stamps"].items()
    )
    if not stamps:
        return say("Time zone {zone} ({standard}).", zone=zone["zone"], standard=standard)
    return say("Time zone {zone} ({standard}); {stamps}.", zone=zone["zone"], standard=standard, stamps=stamps)


def _tables(f: Findings) -> Iterator[str]:
    from salescoach.book import TABLES

    book = f.book
    for name, mapped in ((t, book.origin["columns"][t]) for t in TABLES if t in book.origin["columns"]):
        rows = book.quality["rows"][name]
        counts = say("{used:,} rows used, {out:,} set aside", used=rows["used"], out=rows["quarantined"])
        yield from _wrapped(f"{name:14} {padded(counts, 36)} {say(TABLES[name].unlocks)}", 0)
        order = [*TABLES[name].readable, *mapped]
        yield from _wrapped(_mapping(dict(sorted(mapped.items(), key=lambda pair: order.index(pair[0])))), 4)
        own = book.origin.get("own_columns", {}).get(name, [])
        if own:
            yield from _wrapped(say("own names kept: {columns}", columns=commas(own)), 4)
        for ours, told in f.absent.get(name, {}).items():
            headers, unlocks = _few(told["headers"]), told["unlocks"]
            text = say("not there: {column} ({headers}), for {unlocks}", column=ours, headers=headers, unlocks=unlocks)
            yield from _wrapped(text, 4)
    missing = [t for t in TABLES if t not in book.tables or (t == "stage_history" and f.history == "current")]
    wanted = [
        Sentence("{table} ({unlocks})", table=t, unlocks=Sentence(TABLES[t].unlocks))
        for t in missing
        if not TABLES[t].unlocks.startswith("nothing yet")
    ]
    if wanted:
        yield from _wrapped(say("Not there: {tables}", tables=joined(wanted, "; ")), 0)


def _mapping(mapped: Mapping[str, str]) -> str:
    """Ours <- theirs; where both are the same, once."""
    same = [ours for ours, theirs in mapped.items() if ours == theirs]
    pairs = [f"{ours} <- {theirs}" for ours, theirs in mapped.items() if ours != theirs and theirs != f"{ours} (made)"]
    made = [ours for ours, theirs in mapped.items() if theirs == f"{ours} (made)"]
    parts: list[str] = [commas(pairs)] if pairs else []
    if len(same) > MANY and not pairs:
        parts.append(say("{n} columns under our own names", n=len(same)))
    elif same:
        parts.append(say("under our own names: {columns}", columns=commas(same)))
    parts += [say("made by the source: {columns}", columns=commas(made))] if made else []
    return say(joined(parts, "; "))


def _few(headers: list[str]) -> Sentence:
    return commas([*headers[:EXAMPLES], *(["…"] if len(headers) > EXAMPLES else [])])


def quarantine_lines(book: Book) -> Iterator[str]:
    """Each reason with its count and its first row."""
    from rich.cells import cell_len, set_cell_size

    out = book.quarantine
    if out.empty:
        yield say("No row was set aside.")
        return
    yield say("{n:,} rows set aside:", n=len(out))
    counts = out["reason"].value_counts()
    first = {row["reason"]: row for row in out.drop_duplicates("reason").to_dict("records")}
    for reason in counts.index:
        line = f"  {counts[reason]:>5,} {reason}: {first_of(first[reason])}"
        yield line if cell_len(line) <= WIDTH else f"{set_cell_size(line, WIDTH - 1)}…"


def first_of(row: Mapping[Hashable, Any]) -> str:
    """Where a row stands, what is wrong, and what to do."""
    from salescoach.sources.hints import sentence_of

    hint = sentence_of(str(row["hint"]))
    if not isinstance(row["column"], str) or not row["column"]:
        return say("{file}, line {line}: {hint}", file=row["file"], line=row["line"], hint=hint)
    place = say("{file}, line {line}", file=row["file"], line=row["line"])
    return say(
        "{place}: {column} = {value!r}: {hint}", place=place, column=row["column"], value=row["value"], hint=hint
    )


def note_lines(book: Book) -> Iterator[str]:
    """What is valid and still looks odd."""
    from salescoach.reports.fields import CHECKS

    if book.quality["notes"] or book.quality["files_ignored"]:
        yield say("Used as it is, and worth a look:")
    for note in book.quality["notes"]:
        examples = commas(note["examples"][:EXAMPLES]) if note.get("examples") else ""
        place = f" [{note['table']}.{note['column']}]" if note["column"] else ""
        told = say(CHECKS.get(note["check"], note["check"]))
        seen = say("{text} ({note})", text=f"{told}{place}", note=examples) if examples else f"{told}{place}"
        yield from _wrapped(f"{note['count']:>5,} {seen}", 2)
    for name in book.quality["files_ignored"]:
        yield say("  {file} fits no table and was not read", file=name)


def _metrics(found: Mapping[str, Measure]) -> Iterator[str]:
    """Metrics that there are, and the others by the reason why not."""
    there = [n for n, m in found.items() if m.available]
    yield from _wrapped(say("Available: {metrics}", metrics=commas(there) or Sentence("nothing")), 0)
    reasons: dict[str, list[str]] = {}
    for name, m in found.items():
        if m.reason is not None:
            reasons.setdefault(say(m.reason.said), []).append(name)
    for reason, names in reasons.items():
        text = say("Unavailable: {metrics}, because {because}", metrics=commas(names), because=reason)
        yield from _wrapped(text, 0)


def _wrapped(text: str, indent: int) -> list[str]:
    """A line broken at the width of a screen, its rest further in."""
    return wrapped(text, WIDTH, " " * indent, " " * (indent + 6))
