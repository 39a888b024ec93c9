"""A source file drafted from an export: what its headers and values tell, marked where it is a guess."""

from __future__ import annotations

import contextlib
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from salescoach.book import TABLES
from salescoach.errors import ColumnError, Sentence, SourceError, commas
from salescoach.process import Process, fold_name, read_process
from salescoach.sources import parse
from salescoach.sources.detect import Found, detect, fold_header, locate, match_columns
from salescoach.sources.layout import ColumnFormat, find_source, presets, read_source
from salescoach.sources.load import process_of
from salescoach.sources.place import Place, as_place, data_files, name_of
from salescoach.sources.propose_formats import Column, Writing, currency_of, guess, writing_of
from salescoach.sources.propose_headers import TableDraft, from_headers, guess_more, outcome_of, text_of
from salescoach.sources.propose_process import Seen, log_told, process_text
from salescoach.sources.propose_text import source_text
from salescoach.sources.reshape import as_rows
from salescoach.sources.toml_text import commented, quoted

ENOUGH_TO_TELL = 3
JUST_BEFORE = pd.Timedelta("1us")


@dataclass(frozen=True)
class Proposal:
    """The texts of `source.toml` and `process.toml`, and what a person has to decide or check.

    Each text is a sentence: said in a language, its comments are in that language.
    """

    source: Sentence
    process: Sentence
    doubts: tuple[str, ...]


def propose(
    files: str | Path | Sequence[str | Path], source: str | None = None, process: str | Path | None = None
) -> Proposal:
    """Draft a source file and a process file from exports, for a person to edit.

    files    as `load_book` takes them
    source   preset to start from; else the one whose headers fit, else a guess from all their spellings
    process  process file to start from; default: the standard one

    Headers are matched exactly after folding, then by likeness, then by what their columns hold; each guess is marked.
    Where the values of a column can be read in two ways, both stand in the file as comments and in `doubts`.
    Raises InputError where no column can be the id or the stage of a deal.
    """
    places = data_files([as_place(f) for f in ([files] if isinstance(files, str | Path) else files)])
    found = _fitting(places, source)
    drafts = _from_preset(found) if found is not None else from_headers(places)
    base = process_of(found.source if found is not None else presets()["generic"], process)
    doubts: list[str] = []
    currency, money = _currency(drafts, found)
    for draft in drafts.values():
        guess_more(draft, base)
        _write_formats(draft, base.calendar.timezone, money)
        doubts += [w.doubt for w in draft.writings.values() if w.doubt]
    names = [name_of(p) for p in places]
    told, remarks = process_text(base, _seen(drafts, base, found), names)
    doubts += [*remarks, *currency.doubts, *_doubtful(drafts)]
    text = source_text(drafts, found, currency.line, places)
    _check(text, told)
    return Proposal(text, told, tuple(doubts))


def _fitting(places: Sequence[Place], source: str | None) -> Found | None:
    """The preset that was named or that fits, with its files."""
    if source is not None:
        declared, folder = find_source(source)
        return locate(declared, places, folder)
    try:
        return detect(places)
    except SourceError:
        return None


def _from_preset(found: Found) -> dict[str, TableDraft]:
    drafts: dict[str, TableDraft] = {}
    for name, places in found.files.items():
        table = found.source.tables[name]
        text = text_of(places, table.format)
        known = table.model_copy(update={"where": {h: v for h, v in table.where.items() if _has(text, h)}})
        rows = as_rows(name, known.model_copy(update={"unpivot": None, "fixed": {}}), text, name_of(places[0]), False)
        drafts[name] = TableDraft(name, places, rows.text, match_columns(table, list(text.columns)), known)
    return drafts


def _has(text: pd.DataFrame, header: str) -> bool:
    return fold_header(header) in {fold_header(str(c)) for c in text.columns}


# --- how things are written ------------------------------------------------------------------------


@dataclass(frozen=True)
class CurrencyDraft:
    line: str
    doubts: tuple[str, ...] = ()


def _currency(drafts: Mapping[str, TableDraft], found: Found | None) -> tuple[CurrencyDraft, str]:
    """The line on the currency, and the currency with which amounts are read."""
    deals = drafts["deals"]
    if found is not None and found.source.currency is not None:
        return CurrencyDraft(f"currency = {quoted(found.source.currency)}"), found.source.currency
    if "amount" in deals.columns:
        told = currency_of(parse.blank_to_null(deals.text[deals.columns["amount"]]), deals.columns["amount"])
        if told is not None:
            code, why, several = told
            doubt = (
                Sentence(
                    "The currency: {code} is taken because {why}; other currencies share that sign.", code=code, why=why
                )
                if several
                else ""
            )
            return CurrencyDraft(commented(f"currency = {quoted(code)}", guess(why)), (doubt,) if doubt else ()), code
    if "currency" in deals.columns:
        return CurrencyDraft(commented('# currency = "CNY"', Sentence("of amounts whose row names none"))), "CNY"
    doubt = Sentence(
        'The currency: nothing in the data says it, and CNY is taken. Write `currency = "…"` on top of the source.'
    )
    line = commented('# currency = "CNY"', Sentence("nothing in the data says it; this is what is taken"))
    return CurrencyDraft(line, (doubt,)), "CNY"


def _write_formats(draft: TableDraft, zone: str, currency: str) -> None:
    """What must be declared of each column; a column that cannot be read is left for a person."""
    roles = TABLES[draft.name].readable
    money = pd.Series(currency, draft.text.index)
    if "currency" in draft.columns:
        codes = draft.values("currency").str.upper().replace(parse.CURRENCY_NAMES)
        money = codes.where(codes.isin(set(parse.SIGNS) | _real_codes(codes)), currency)
    for ours, header in draft.columns.items():
        place = parse.Place(name_of(draft.places[0]), draft.name, ours, header)
        column = Column(place, roles.get(ours, "text"), draft.values(ours), zone, money)
        draft.writings[ours] = writing_of(column, draft.format.for_column(ours))


def _real_codes(codes: pd.Series) -> set[str]:
    from babel.numbers import is_currency

    return {c for c in codes.dropna().unique() if is_currency(c)}


# --- stages ----------------------------------------------------------------------------------------


def _seen(drafts: Mapping[str, TableDraft], base: Process, found: Found | None) -> dict[str, Seen]:
    """What the data tell of the stages, by pipeline of the base."""
    deals = drafts["deals"]
    first = next(iter(base.pipelines))
    stage = deals.values("stage")
    if "pipeline" in deals.columns:
        declared = {fold_name(k): v for k, v in found.source.pipelines.items()} if found is not None else {}
        own = deals.values("pipeline").map(
            lambda v: declared.get(fold_name(v), base.pipeline_of(v)), na_action="ignore"
        )
        pipeline = own.where(own.isin(list(base.pipelines)), first)
    else:
        pipeline = pd.Series(first, deals.text.index)
    ids = deals.values("deal_id")
    of_deal = dict(zip(ids, pipeline, strict=True))
    log = _log(drafts, base.calendar.timezone)
    result: dict[str, Seen] = {}
    for key in base.pipelines:
        here = pipeline == key
        seen = result[key] = Seen({str(n): int(c) for n, c in _in_order(stage[here].dropna())})
        if "lost_stage" in deals.columns:
            seen.names = {**dict.fromkeys(deals.values("lost_stage")[here].dropna().unique(), 0), **seen.names}
        told = log[log["deal_id"].map(of_deal) == key]
        for name in [*told["raw"].drop_duplicates(), *_dated_names(deals).values()]:
            seen.names.setdefault(str(name), 0)
        dated = told[told["at"].notna()]
        if len(dated):
            seen.before, seen.medians = log_told(dated)
        seen.probability = _probability(deals, here)
        seen.ended = _ended(deals, here)
        _only_spelled_otherwise(seen)
    return result


def _in_order(names: pd.Series) -> list[tuple[str, int]]:
    counts = names.value_counts()
    return [(n, counts[n]) for n in names.drop_duplicates()]


def _only_spelled_otherwise(seen: Seen) -> None:
    """Names that are equal after folding are one name."""
    merged: dict[str, tuple[str, int]] = {}
    for name, n in seen.names.items():
        first, before = merged.get(fold_name(name), (name, 0))
        merged[fold_name(name)] = (first, before + n)
    seen.names = dict(merged.values())


def _dated_names(deals: TableDraft) -> dict[str, str]:
    """Headers of a wide stage history and the stage names in them."""
    if deals.known is None:
        return {}
    own = set(deals.columns.values())
    found = {str(h): deals.known.stage_entered(str(h)) for h in deals.text.columns if h not in own}
    return {header: names[0] for header, names in found.items() if names is not None}


def _log(drafts: Mapping[str, TableDraft], zone: str) -> pd.DataFrame:
    """Entries into stages: deal_id, at (null where it cannot be read yet), raw name, folded name."""
    parts = [*_logged(drafts["stage_history"], zone)] if "stage_history" in drafts else []
    parts += _dated(drafts["deals"], zone)
    if not parts:
        return pd.DataFrame(columns=["deal_id", "at", "raw", "name"])
    log = pd.concat(parts, ignore_index=True)
    log = log[log["raw"].notna() & log["deal_id"].notna()]
    return log.assign(name=log["raw"].map(fold_name))


def _logged(draft: TableDraft, zone: str) -> Iterator[pd.DataFrame]:
    """The rows of a log; the stage that was left stands just before the one that was entered."""
    at = _instants(draft, draft.values("entered_at"), "entered_at", zone)
    for ours, instants in (("from_stage", at - JUST_BEFORE), ("stage", at)):
        if ours in draft.columns:
            yield pd.DataFrame({"deal_id": draft.values("deal_id"), "at": instants, "raw": draft.values(ours)})


def _dated(deals: TableDraft, zone: str) -> Iterator[pd.DataFrame]:
    """The dates that stand side by side on the deals."""
    for header, name in _dated_names(deals).items():
        at = _instants(deals, parse.blank_to_null(deals.text[header]), "entered_at", zone)
        rows = pd.DataFrame({"deal_id": deals.values("deal_id"), "at": at, "raw": name})
        yield rows[at.notna()]


def _instants(draft: TableDraft, text: pd.Series, ours: str, zone: str) -> pd.Series:
    """Instants as the drafted file will have them read; null where a person has to say first how they are written."""
    place = parse.Place(name_of(draft.places[0]), draft.name, ours, ours)
    with contextlib.suppress(ColumnError):
        return parse.parse_instants(text, place, _as_drafted(draft, ours), zone).values
    return pd.Series(pd.NaT, text.index, dtype="datetime64[us, UTC]")


def _as_drafted(draft: TableDraft, ours: str) -> ColumnFormat:
    """The format of a column as the drafted file will have it."""
    writing = draft.writings.get(ours, Writing())
    content = tomllib.loads("\n".join(writing.lines))
    return draft.format.for_column(ours).model_copy(update=ColumnFormat(**content).model_dump(exclude_none=True))


def _probability(deals: TableDraft, here: pd.Series) -> dict[str, float]:
    if "probability" not in deals.columns:
        return {}
    values = pd.to_numeric(deals.values("probability").str.rstrip("%％ "), errors="coerce")
    medians = values[here].groupby(deals.values("stage")[here].map(fold_name, na_action="ignore")).median().dropna()
    return {str(k): float(v) for k, v in medians.items()}


def _ended(deals: TableDraft, here: pd.Series) -> dict[str, str]:
    """Stages in which every deal has ended the same way, by the status column."""
    if "outcome" not in deals.columns:
        return {}
    outcome = deals.values("outcome").map(outcome_of, na_action="ignore")
    frame = pd.DataFrame({"name": deals.values("stage").map(fold_name, na_action="ignore"), "outcome": outcome})[here]
    by_name = frame.dropna(subset=["name"]).groupby("name")["outcome"]
    table = by_name.agg(["nunique", "first", "size", "count"])
    same = table[(table["nunique"] == 1) & (table["size"] == table["count"]) & (table["size"] >= ENOUGH_TO_TELL)]
    return {str(k): str(v) for k, v in same["first"].items() if v in ("won", "lost", "void")}


# --- the text --------------------------------------------------------------------------------------


def _doubtful(drafts: Mapping[str, TableDraft]) -> list[str]:
    found: list[str] = []
    for draft in drafts.values():
        guessed = [f"{o} <- {draft.columns[o]!r}" for o in draft.columns if o in draft.guesses]
        if guessed:
            found.append(Sentence("Guessed columns of {table}: {guessed}.", table=draft.name, guessed=commas(guessed)))
    if (
        "stage_history" not in drafts
        and not _dated_names(drafts["deals"])
        and "snapshot_at" not in drafts["deals"].columns
    ):
        found.append(
            Sentence("The way deals took: there is no stage history, so the order and days of the stages are not told.")
        )
    return found


def _check(source: str, process: str) -> None:
    """Read both back: what is drafted is valid, or the fault is ours and raised here."""
    with tempfile.TemporaryDirectory(prefix="salescoach-draft-") as folder:
        for name, text in (("process.toml", process), ("source.toml", source)):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        read_process(Path(folder) / "process.toml")
        read_source(Path(folder) / "source.toml")
