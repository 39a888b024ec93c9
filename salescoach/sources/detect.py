"""Which preset and which table a file belongs to, from its headers alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from salescoach.book import TABLES
from salescoach.errors import Sentence, SourceError, commas, joined, nearest
from salescoach.sources.layout import Source, TableSource, presets
from salescoach.sources.place import Place, beside, data_files, fits, name_of, title
from salescoach.sources.read import read_header

if TYPE_CHECKING:
    from salescoach.sources.database import Database


IN_MANY_HEADERS = ("id", "name", "date", "time", "on", "at", "no", "number", "code", "type", "")


@dataclass(frozen=True)
class Found:
    """A source with the files each of its tables comes from, or the database, and the files that nothing claims.

    versions   table -> files that hold earlier versions of what another file tells as it is now, and are left out
    """

    source: Source
    files: dict[str, list[Place]]
    ignored: list[str]
    database: Database | None = None
    versions: dict[str, list[str]] = field(default_factory=dict)


def fold_header(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().rstrip("*").split())


def nearest_header(name: str, header: Iterable[str]) -> str | None:
    """The header most like a name, by the words that tell columns apart: `sr_id` is not like `stage_id`.

    >>> nearest_header("stage_id", ["sr_id"]), nearest_header("stage_id", ["Stages"])
    (None, 'Stages')
    """
    own = _telling_words(name)
    return nearest(name, [h for h in header if nearest(own, [_telling_words(h)])])


def _telling_words(header: str) -> str:
    """A header without words such as id and date, which many columns have; where it has no other, as it is."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    words = re.split(r"[\W_]+", fold_header(apart))
    return " ".join(w for w in words if w not in IN_MANY_HEADERS) or " ".join(words)


def match_columns(table: TableSource, header: Sequence[str]) -> dict[str, str]:
    """ours -> theirs, for the columns of ours that the header has."""
    folded = {fold_header(h): h for h in header}
    found: dict[str, str] = {}
    for ours, theirs in table.columns.items():
        hit = next((folded[fold_header(t)] for t in theirs if fold_header(t) in folded), None)
        if hit is not None:
            found[ours] = hit
    return found


def detect(paths: Sequence[Place]) -> Found:
    """The one preset whose signatures fit the files. Raises SourceError where none or several fit."""
    files = data_files(paths)
    headers = {f: read_header(f) for f in files}
    scored: list[tuple[tuple[int, int, int], Found]] = []
    for source in presets().values():
        found = _assign(source, headers)
        if "deals" in found.files:
            matched = sum(len(match_columns(source.tables[t], headers[f])) for t, fs in found.files.items() for f in fs)
            marks = sum(len(source.tables[t].signature) for t in found.files)
            scored.append(((len(found.files), matched, marks), found))
    if not scored:
        raise SourceError(_nothing_fits(headers))
    highest = max(score for score, _ in scored)
    best = [found for score, found in scored if score == highest]
    if len(best) > 1:
        names = " or ".join(f"--source {f.source.preset.name}" for f in best if f.source.preset)
        raise SourceError("{file} fits several presets. Say which: {names}.", file=name_of(files[0]), names=names)
    return _with_our_own(best[0], headers)


def _with_our_own(found: Found, headers: dict[Place, list[str]]) -> Found:
    """The files that no table of the preset claims, where they are written in our own column names.

    No CRM exports teams and targets as we need them: people put a reps.csv and a targets.csv of ours beside its export.
    """
    ours = presets()["generic"]
    unclaimed = {f: h for f, h in headers.items() if name_of(f) in found.ignored}
    more = {t: fs for t, fs in _assign(ours, unclaimed).files.items() if t not in found.files and t != "deals"}
    if not more:
        return found
    source = found.source.model_copy(update={"tables": found.source.tables | {t: ours.tables[t] for t in more}})
    claimed = {name_of(f) for fs in more.values() for f in fs}
    ignored = [f for f in found.ignored if f not in claimed]
    return replace(found, source=source, files=found.files | more, ignored=ignored)


def _assign(source: Source, headers: dict[Place, list[str]]) -> Found:
    """Each file to the table whose signature it bears; a tie goes to the table that knows more of its columns."""
    files: dict[str, list[Place]] = {}
    ignored: list[str] = []
    for file, header in headers.items():
        folded = {fold_header(h) for h in header}
        fits = [
            (len(match_columns(t, header)), fold_header(title(file)).startswith(name), name)
            for name, t in source.tables.items()
            if t.signature and all(folded & {fold_header(s) for s in spellings} for spellings in t.signature)
        ]
        if fits:
            best = max(fits)[2]
            shared = [name for _, _, name in fits if source.tables[name].where and name != best]
            for name in (best, *(shared if source.tables[best].where else ())):
                files.setdefault(name, []).append(file)
        else:
            ignored.append(name_of(file))
    return _without_versions(Found(source, files, ignored), headers)


def _without_versions(found: Found, headers: dict[Place, list[str]]) -> Found:
    """The files of now alone, where others hold every version of the same records."""
    files, left_out = dict(found.files), dict[str, list[Place]]()
    for name, places in found.files.items():
        marks = {fold_header(h) for h in found.source.tables[name].versions}
        now = [f for f in places if not marks or not marks <= {fold_header(h) for h in headers[f]}]
        if now and len(now) < len(places):
            files[name], left_out[name] = now, [f for f in places if f not in now]
    read = {f for places in files.values() for f in places}
    unread = {n: [name_of(f) for f in fs if f not in read] for n, fs in left_out.items()}
    return replace(found, files=files, versions={n: fs for n, fs in unread.items() if fs})


def _nothing_fits(headers: dict[Place, list[str]]) -> str:
    known: dict[str, set[str]] = {}
    for source in presets().values():
        for ours, theirs in source.tables["deals"].columns.items():
            known.setdefault(ours, set()).update(theirs)
    names = {fold_header(name) for spellings in known.values() for name in spellings}
    file, header = max(headers.items(), key=lambda item: len({fold_header(h) for h in item[1]} & names))
    near = {ours: _nearest_of(header, known[ours]) for ours in TABLES["deals"].mandatory}
    hits = joined((Sentence("for `{ours}`: {hit!r}", ours=o, hit=h) for o, h in near.items() if h), "; ")
    near_by = Sentence(" Nearest {hits}.", hits=hits) if hits else ""
    return Sentence(
        "{file}: its columns ({header}) fit no preset.{hint} Write a source file that maps them and "
        "give it with --source; `salescoach init --from-data {file}` drafts one.",
        file=name_of(file),
        header=commas([*header[:12], *(["…"] if len(header) > 12 else [])]),
        hint=near_by,
    )


def _nearest_of(header: Sequence[str], wanted: Iterable[str]) -> str | None:
    """The header that is most like one of the names wanted: the same name first, else a similar one."""
    names = sorted(wanted)
    folded = {fold_header(h): h for h in header}
    same = next((folded[fold_header(n)] for n in names if fold_header(n) in folded), None)
    return same or next((hit for n in names if (hit := nearest_header(n, header)) is not None), None)


def locate(source: Source, paths: Sequence[Place], folder: Path | None) -> Found:
    """The files of a declared source: `from` patterns looked up among the files given, else beside the source file."""
    named = {n: t.from_ for n, t in source.tables.items() if t.from_}
    if not named:
        files = data_files(paths or [folder or Path()])
        if len(source.tables) == 1 and paths and not any(p.is_dir() for p in paths):
            return Found(source, {"deals": files}, [])
        found = _assign(source, {f: _declared_header(source, f) for f in files})
        if "deals" not in found.files and len(files) == 1:
            found = Found(source, {"deals": files}, [])
    elif paths:
        files = data_files(paths)
        hits = {n: [f for f in files if fits(f, p)] for n, p in named.items()}
        claimed = {f for fs in hits.values() for f in fs}
        found = Found(source, hits, [name_of(f) for f in files if f not in claimed])
    else:
        found = Found(source, {n: beside(folder or Path(), p) for n, p in named.items()}, [])
    for name, hits_of in found.files.items():
        if not hits_of:
            seen = commas(p.name for p in paths) or str(folder or Path())
            raise SourceError(
                "{origin}: no file fits [{name}] from = {named!r} in {seen}. Correct `from`, or give the file.",
                origin=source.origin,
                name=name,
                named=named[name],
                seen=seen,
            )
    if "deals" not in found.files:
        raise SourceError(
            "{origin}: none of {paths} holds the deals. Its headers must have the columns named under [deals.columns].",
            origin=source.origin,
            paths=commas(p.name for p in paths),
        )
    return found


def _declared_header(source: Source, file: Place) -> list[str]:
    """The header, in a file written as the source says its deals are."""
    written = source.tables["deals"].format
    return read_header(file, written.skip, written.sheet, written.delimiter, written.encoding)
