"""From files to a book: find, read, parse, resolve, derive, check; every row is used or quarantined."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from babel.numbers import is_currency

from salescoach.book import TABLES, Book
from salescoach.book.held import DEAL, LOG
from salescoach.book.order import order_of
from salescoach.book.replay import outcomes_of
from salescoach.book.texts import as_texts, give_back, rows_at
from salescoach.errors import InputError, LawBroken, QuarantineError, Sentence, UsageError, commas
from salescoach.kit import kit_path
from salescoach.process import Process, parse_day, read_process
from salescoach.sources import checks
from salescoach.sources.cache import Cache
from salescoach.sources.changed import renewed
from salescoach.sources.corrections import corrected, read_corrections
from salescoach.sources.database import Database, Selection
from salescoach.sources.detect import Found, detect, locate
from salescoach.sources.draft import Draft, check_columns, parse_table, read_file, reject_conflicts, reject_structure
from salescoach.sources.hints import sentence_of
from salescoach.sources.history import derive_history, from_snapshots, in_time, last_entries
from salescoach.sources.layout import Source, find_source
from salescoach.sources.place import as_place
from salescoach.sources.read import RawTable
from salescoach.sources.stages import (
    refuse_unknown_stages,
    resolve_deal_stages,
    resolve_log_stages,
    resolve_wide_stages,
)

DEFAULT_CURRENCY = "CNY"
QUARANTINED_TOLERATED = 0.02
ONE_DAY = pd.Timedelta(days=1)
OWNED = (
    *("deals", "leads", "activities", "stage_history", "accounts", "targets", "quotes", "splits", "leave"),
    "forecast_calls",
)
STAMPS = {
    "deals": ("created_at", "closed_at", "stage_changed_at", "snapshot_at"),
    "stage_history": ("entered_at",),
    "changes": ("at",),
    "leads": ("created_at", "first_response_at", "converted_at"),
    "activities": ("at",),
    "quotes": ("at",),
    "forecast_calls": ("at",),
}


def load_book(
    files: str | Path | Sequence[str | Path] = (),
    source: str | None = None,
    process: str | Path | None = None,
    as_of: str | None = None,
    currency: str | None = None,
    now: pd.Timestamp | None = None,
    connection: object | None = None,
    reps: Sequence[str] = (),
    corrections: str | Path | None = None,
    cache: str | Path | None = None,
) -> Book:
    """Build a book from exports, or from a database.

    files     CSV, Excel or Parquet files, folders of them (a folder may hold its own `source.toml`), patterns or URLs
    source    name of a preset or path of a source file; detected from the headers if not given
    process   path of a process file; default: the source's, else the standard five stages
    as_of     the day the data speak of; default: the latest stamp that is not in the future of `now`. Of a database,
              which goes on after that day, the book as it was then: `book.at(as_of)`
    currency  of amounts that name none; default: the source's, else CNY
    now       the instant of the load; default: the clock
    connection  of SQLAlchemy, ADBC or DB-API, or a URL without a password; default: the one the source file names.
                Only mapped columns are read; where the source file names `as_of`, only rows that were there on that day
    reps      from a database, only what these owners (rep_id) have; default: everybody
    corrections  a quarantine.csv in which a person repaired values: its rows take the place of those in the files
    cache     a folder for what was read of a database: the next load with the same source, database and reps asks only
              for deals whose `updated_at` changed and for the logs of these (`salescoach.sources.changed` tells how).
              `origin["read"]` says what was read, a note `vanished-row` which deals the database no longer holds

    Raises InputError (exit code 5) where the input is refused as a whole.
    """
    found = find_files(files, source, connection)
    rules = process_of(found.source, process)
    money = _book_currency(currency or found.source.currency or DEFAULT_CURRENCY)
    zone = rules.calendar.timezone
    load = now if now is not None else pd.Timestamp.now(tz="UTC")
    asked = _declared_end(as_of, zone) if found.database is not None else None
    declared = _declared_end(as_of or found.source.as_of, zone) if asked is None else None
    store = Cache(cache, load) if cache is not None else None
    raws = _read(found, Selection(tuple(reps), declared, timezone=zone), store)
    if corrections is not None:
        repaired = read_corrections(corrections)
        raws = {name: [corrected(raw, name, repaired) for raw in parts] for name, parts in raws.items()}
    drafts = {name: Draft(name, found.source.tables[name], raw, _promised(found)) for name, raw in raws.items()}
    del raws
    _refuse_all_elsewhere(drafts["deals"])
    precision: dict[str, str] = {}
    notes: list[dict[str, Any]] = []
    for draft in drafts.values():
        reject_structure(draft)
        day_only, remarks = parse_table(draft, zone, money)
        precision |= day_only
        notes += remarks
        checks.check_totals(draft, money)
        reject_conflicts(draft)
        give_back()
    if "splits" in drafts:
        checks.check_shares(drafts["splits"])
    unknown = resolve_deal_stages(drafts["deals"], found.source, rules)
    notes += _settle_outcomes(drafts["deals"], rules, precision)
    limit = asked if asked is not None and asked > load + ONE_DAY else declared
    _reject_impossible(drafts, limit, load, precision, zone)
    told = derivation(drafts, found.source)
    wide, unknown_dates = resolve_wide_stages(drafts["deals"], found.source, rules)
    unknown = pd.concat([unknown, resolve_log_stages(drafts, found.source, rules), unknown_dates], ignore_index=True)
    notes += checks.note("unknown-stage-date", "deals", "stage", unknown_dates, unknown_dates["name"])
    refuse_unknown_stages(unknown, drafts["deals"], found.source, rules)
    _refuse_nothing_left(drafts["deals"])
    end = declared if declared is not None else _latest_day(drafts, zone, asked)
    snapshots = in_time(drafts["deals"].used, rules) if told == "snapshots" else None
    if snapshots is not None:
        drafts["deals"].set_aside(_earlier_snapshots(drafts["deals"], rules))
    money_read = checks.money_of(drafts["deals"], money)
    tables = {name: draft.used for name, draft in drafts.items()}
    for draft in drafts.values():
        draft.release()
    give_back()
    _put_deals_in_order(tables, drafts["deals"])
    stages = ("stage", "stage_raw", "from_stage")
    tables = {name: as_texts(table, stages if name == LOG else ()) for name, table in tables.items()}
    if "activities" in tables:
        tables["activities"] = _due_when_planned(tables["activities"], end, zone)
    notes += checks.file_notes(drafts) + checks.versions_left_out(found.versions) + checks.alike_ids(tables)
    if told == "wide":
        tables["stage_history"] = wide[wide["deal_id"].isin(tables["deals"]["deal_id"])]
        notes += checks.against_order(tables["stage_history"], tables["deals"], rules)
    elif told == "current":
        tables.pop("stage_history", None)
    elif snapshots is not None:
        notes += _unfold_snapshots(tables, snapshots, precision, rules)
    tables["deals"], tables["stage_history"], remarks = _finish_deals(tables, rules)
    notes += remarks
    if "stage_history" not in drafts and "day" in (precision.get("deals.created_at"), precision.get("deals.closed_at")):
        precision["stage_history.entered_at"] = "day"
    notes += _name_owners(tables) + checks.unmatched_keys(tables)
    notes += checks.deal_notes(tables["deals"], _local_day(end, zone))
    notes += checks.twin_deals(tables["deals"], zone) + checks.unusual_days(tables, zone)
    if store is not None:
        notes += checks.note("vanished-row", "deals", "deal_id", store.vanished, pd.Series(store.vanished, dtype="str"))
    quality = checks.quality(drafts, tables, money_read, notes, found.ignored, money)
    quality["tolerated"] = found.source.tolerate.get("quarantined", QUARANTINED_TOLERATED)
    checks.check_laws(quality)
    tables["deals"] = tables["deals"].drop(columns="amount_loaded_minor", errors="ignore")
    quarantine = pd.concat([d.quarantine() for d in drafts.values()], ignore_index=True)
    quarantine["rep_id"] = _ids_of_names(quarantine["rep_id"], tables)
    book = Book(
        tables=tables,
        process=rules,
        as_of=end,
        currency=money,
        origin=_origin(found, drafts, told) | ({} if store is None else {"read": dict(store.told)}),
        quality=quality,
        quarantine=quarantine,
        precision=precision,
    )
    book = _as_it_was(book, asked)
    if store is not None:
        store.save()  # only now: what vanished is told once
    return book


@cache
def sample_book() -> Book:
    """The book of the bundled demo data: about 4,000 deals of 24 reps in 4 teams over 24 months, with known truth.

    It is read once in a process.
    """
    return load_book(kit_path("data/demo"))


LISTED = Sentence("`save_book` writes each to quarantine.csv, with its line and reason.")


def check_tolerance(book: Book, listed: str = LISTED) -> None:
    """Raise QuarantineError (exit code 4) if more deals were quarantined than tolerated. The book stays usable.

    listed   sentence that says where the quarantined rows can be read
    """
    if "tolerated" not in book.quality:  # a slice: its rows were judged when the whole book was loaded
        return
    counts, limit = book.quality["rows"]["deals"], book.quality["tolerated"]
    share = counts["quarantined"] / max(counts["used"] + counts["quarantined"], 1)
    if share > limit:
        raise QuarantineError(
            "{quarantined:,} deals ({share:.1%}) are quarantined, more than the tolerated {limit:.1%}. "
            "{listed} Correct the export, or write `tolerate = {{ quarantined = … }}` above the first [table] "
            "of the source file.",
            quarantined=counts["quarantined"],
            share=share,
            limit=limit,
            listed=listed,
        )


# --- where the data are ----------------------------------------------------------------------------


def find_files(files: str | Path | Sequence[str | Path], source: str | None, connection: object | None = None) -> Found:
    """The source, and the files of each table or the database they are in."""
    given = [files] if isinstance(files, str | Path) else list(files)
    paths = [as_place(f) for f in given]
    if connection is not None and source is None:
        source = "generic"
    if not paths and source is None:
        raise UsageError("Say what to load: files, a folder, or --source FILE.toml.")
    if source is None:
        own = [p / "source.toml" for p in paths if isinstance(p, Path) and (p / "source.toml").is_file()]
        if not own:
            return detect(paths)
        source = str(own[0])
    declared, folder = find_source(source)
    if connection is None and declared.connection is None:
        return locate(declared, paths, folder)
    if any(p != folder for p in paths):
        raise UsageError("Give files or a connection, not both: the tables come from one place.")
    return Found(declared, {}, [], Database(declared, connection, folder))


def _read(found: Found, wanted: Selection, store: Cache | None) -> dict[str, list[RawTable]]:
    """The files of each table as text, or what is wanted of the database."""
    tables, promised = found.source.tables, _promised(found)
    if found.database is not None:
        raws, empty = found.database.read(wanted) if store is None else renewed(found.database, wanted, store)
        found.ignored.extend(empty)
        return {n: [check_columns(n, tables[n], raw, promised)] for n, raw in raws.items()}
    if wanted.reps:
        raise UsageError("`reps` chooses rows of a database. Load the files whole, then take `book.for_rep(rep)`.")
    if store is not None:
        raise UsageError("`cache` keeps what was read of a database. Files are read whole: leave it out.")
    return {n: [read_file(n, tables[n], place, promised) for place in places] for n, places in found.files.items()}


def _promised(found: Found) -> bool:
    """Whether the source says what is in these very files, as one's own does, or what may be, as a preset does."""
    return found.source.preset is None


def process_of(source: Source, process: str | Path | None) -> Process:
    """The process file given, else the one the source names, else the standard one."""
    named = str(process or source.process or "standard")
    of_the_kit = kit_path("templates/process") / f"{named}.toml"
    return read_process(of_the_kit if of_the_kit.is_file() else Path(named))


def _book_currency(code: str) -> str:
    if not is_currency(code):
        raise UsageError(
            "{code!r} is no currency. Write its three-letter code (ISO 4217), such as CNY, EUR or USD.", code=code
        )
    return code


# --- time ------------------------------------------------------------------------------------------


def _declared_end(declared: str | dt.date | None, zone: str) -> pd.Timestamp | None:
    """The end of the declared day, as a UTC instant."""
    return None if declared is None else _end_of_day(pd.Timestamp(parse_day(declared, "--as-of")), zone)


def _latest_day(drafts: Mapping[str, Draft], zone: str, asked: pd.Timestamp | None) -> pd.Timestamp:
    """The end of the last day that a used row speaks of, or of the day asked for if that is later, as a UTC instant."""
    stamps = [d.table[c][d.alive & ~_planned(d)] for n, d in drafts.items() for c in STAMPS.get(n, ()) if c in d.table]
    latest = max((s.max() for s in stamps if s.notna().any()), default=None)
    if asked is not None and (latest is None or latest <= asked):
        return asked
    if latest is None:
        raise InputError("No date in the data says when they were exported. Give it with --as-of 2026-09-30.")
    return _end_of_day(_local_day(latest, zone), zone)


def _as_it_was(book: Book, asked: pd.Timestamp | None) -> Book:
    """The book of the day asked for, where the data go on after it."""
    if asked is None or asked >= book.as_of:
        return book
    then = book.at(str(_local_day(asked, book.timezone).date()))
    if then.deals.empty:
        raise InputError(
            "No deal was there on {as_of_on}. Give a later day with --as-of.", as_of_on=then.as_of_on.date()
        )
    return then


def _end_of_day(day: pd.Timestamp, zone: str) -> pd.Timestamp:
    return (day.normalize() + ONE_DAY).tz_localize(zone).tz_convert("UTC") - pd.Timedelta("1us")


def _local_day(instant: pd.Timestamp, zone: str) -> pd.Timestamp:
    return instant.tz_convert(zone).tz_localize(None).normalize()


def _local(instants: pd.Series, zone: str) -> pd.Series:
    days: pd.Series = instants.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return days


def _reject_impossible(
    drafts: Mapping[str, Draft],
    declared: pd.Timestamp | None,
    load: pd.Timestamp,
    precision: Mapping[str, str],
    zone: str,
) -> None:
    """Stamps after the data's end (or, where none is declared, after the load), and closes before creation."""
    limit = declared if declared is not None else load + ONE_DAY
    what = "when the data end" if declared is not None else "the day after this load"
    hint = f"later than {_local_day(limit, zone).date()}, {what}: correct it"
    for name, columns in STAMPS.items():
        for column in columns:
            if name in drafts and column in drafts[name].table:
                late = (drafts[name].table[column] > limit) & ~_planned(drafts[name])
                drafts[name].reject(late, column, "future-stamp", hint)
    deals = drafts["deals"]
    if {"created_at", "closed_at"} <= set(deals.table.columns):
        created, closed = deals.table["created_at"], deals.table["closed_at"]
        if "day" in (precision.get("deals.created_at"), precision.get("deals.closed_at")):
            created, closed = _local(created, zone), _local(closed, zone)
        hint = "closed before it was created: correct one of the two"
        deals.reject(closed < created, "closed_at", "closed-before-created", hint)


def _put_deals_in_order(tables: dict[str, pd.DataFrame], draft: Draft) -> None:
    """The deals as the book will hold them; `_row` of the history follows them."""
    if len(tables["deals"]) != int(draft.alive.sum()):
        raise LawBroken(
            "{alive:,} deals are used, but {n:,} are in the book.", alive=int(draft.alive.sum()), n=len(tables["deals"])
        )
    order = order_of(tables["deals"], "deals")
    place = np.cumsum(draft.alive.to_numpy()) - 1  # of a row of the draft among those used
    if order is not None:
        tables["deals"] = rows_at(tables["deals"], order)
        moved = np.empty_like(order)
        moved[order] = np.arange(len(order))
        place = moved[place]
    if "stage_history" in tables:
        tables["stage_history"]["_row"] = place[tables["stage_history"]["_row"].to_numpy()]
    give_back()


def _planned(draft: Draft) -> pd.Series:
    """Activities that are still to be done: when they are planned for says nothing of the day of the data."""
    if draft.name != "activities" or "done" not in draft.table:
        return pd.Series(False, draft.table.index)
    return (draft.table["done"] == False).fillna(False).astype(bool)  # noqa: E712


def _due_when_planned(activities: pd.DataFrame, end: pd.Timestamp, zone: str) -> pd.DataFrame:
    """A plan that names no due date is due on the day it is planned for."""
    ahead = activities["at"] > end
    if not ahead.any():
        return activities
    days = _local(activities["at"].where(ahead), zone)
    return activities.assign(due_on=activities["due_on"].fillna(days) if "due_on" in activities else days)


def _refuse_nothing_left(deals: Draft) -> None:
    if deals.alive.any():
        return
    rows = deals.quarantine()
    first = rows.iloc[0]
    counts = rows["reason"].value_counts().items()
    reasons = commas(Sentence("{reason} in {n:,}", reason=reason, n=n) for reason, n in counts)
    value: str = ""
    if first["column"]:
        value = Sentence(", column {column!r}, value {value!r}", column=first["column"], value=first["value"])
    raise InputError(
        "None of the {n:,} deals can be used: {reasons}. The first: {file}, line {line}{value}: {reason}, {hint}.",
        n=len(rows),
        reasons=reasons,
        file=first["file"],
        line=first["line"],
        value=value,
        reason=first["reason"],
        hint=sentence_of(first["hint"]),
    )


def _refuse_all_elsewhere(deals: Draft) -> None:
    """Where every row belongs elsewhere, by what the source says of them."""
    if len(deals.table) or not deals.other:
        return
    files = commas(f for f, _, _ in deals.files)
    only = commas(f"{header} = {' | '.join(repr(v) for v in values)}" for header, values in deals.source.where.items())
    raise InputError(
        "{files}: none of the {n:,} rows is a deal in use. This layout takes rows only where {only}. Export the deals "
        "that are in use, or change `where` under [deals] in a source file of your own (--source).",
        files=files,
        n=deals.other,
        only=only,
    )


def _settle_outcomes(deals: Draft, process: Process, precision: dict[str, str]) -> list[dict[str, Any]]:
    """The outcome of each deal: the source's own, else its stage's. The close date of an open deal is only a plan.

    A CRM that decides a deal by a status leaves it in the stage it was decided in: the deal goes to the stage of its
    outcome, and the one it was lost from is kept. Where no expected close is mapped, the plan of an open deal is kept
    as that; it never dates the data and is never in the future.
    """
    table = deals.table
    by_stage = outcomes_of(table["pipeline"], table["stage"], process)
    table["outcome"] = table["outcome"].fillna(by_stage) if "outcome" in table else by_stage
    notes = checks.contradictions(table[deals.alive], by_stage[deals.alive])
    _close_by_status(table, by_stage, process)
    planned = (table["outcome"] == "open") & (table["closed_at"].notna() if "closed_at" in table else False)
    if planned.any():
        if "expected_close_on" not in table:
            table["expected_close_on"] = _local(table["closed_at"].where(planned), process.calendar.timezone)
            precision["deals.expected_close_on"] = "day"
        table["closed_at"] = table["closed_at"].mask(planned)
    return notes


def _close_by_status(table: pd.DataFrame, by_stage: pd.Series, process: Process) -> None:
    decided = (by_stage == "open") & table["outcome"].isin(["won", "lost", "void"])
    if not decided.any():
        return
    lost = decided & (table["outcome"] == "lost")
    if lost.any():
        known = table["lost_stage"] if "lost_stage" in table else pd.Series(None, table.index, dtype="str")
        table["lost_stage"] = known.where(known.notna() | ~lost, table["stage"])
    for pipeline, rules in process.pipelines.items():
        closing: dict[str, str] = {}
        for stage in rules.stages:
            if stage.outcome:
                closing.setdefault(stage.outcome, stage.key)
        moved = decided & (table["pipeline"] == pipeline) & table["outcome"].isin(closing)
        table["stage"] = table["stage"].mask(moved, table["outcome"].map(closing))
    table["closed_by_status"] = decided


# --- deals and their history -----------------------------------------------------------------------


def derivation(drafts: Mapping[str, Draft], source: Source) -> str:
    """How the stage history is told: as the source declares, else by what is there."""
    if source.history is not None:
        return source.history
    if "stage_history" in drafts:
        return "pairs" if "from_stage" in drafts["stage_history"].headers else "log"
    if "snapshot_at" in drafts["deals"].headers:
        return "snapshots"
    return "wide" if drafts["deals"].entered else "current"


def _earlier_snapshots(deals: Draft, process: Process) -> pd.Series:
    """Rows of a deal that a later snapshot of it follows."""
    rows = in_time(deals.table[deals.alive], process)
    last = rows.drop_duplicates("deal_id", keep="last").index
    return deals.alive & ~deals.table.index.isin(last)


def _unfold_snapshots(
    tables: dict[str, pd.DataFrame], snapshots: pd.DataFrame, precision: dict[str, str], process: Process
) -> list[dict[str, Any]]:
    """Stage history and changes from the snapshots, and notes of deals that later ones no longer hold."""
    tables["stage_history"], changes = from_snapshots(snapshots, process)
    if "changes" not in tables:
        tables["changes"] = changes
    if precision.get("deals.snapshot_at") == "day":
        precision |= {"stage_history.entered_at": "day", "changes.at": "day"}
    deals = tables["deals"]
    gone = deals[deals["snapshot_at"] < deals["snapshot_at"].max()]
    tables["deals"] = deals.drop(columns="snapshot_at")
    return checks.note("vanished-deal", "deals", "deal_id", gone, gone["deal_id"])


def _finish_deals(
    tables: dict[str, pd.DataFrame], process: Process
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Outcome, close and amount of each deal, the stage history as a book's `log`, and notes of contradictions."""
    deals = tables["deals"].copy()
    logged = "stage_history" in tables
    history = derive_history(deals, tables.pop("stage_history", None), process)
    deals = deals.drop(columns="closed_by_status", errors="ignore")
    notes: list[dict[str, Any]] = []
    if logged or "closed_at" in deals:
        notes = _take_close_from_log(deals, last_entries(deals, history), process.calendar.timezone)
    entries = history.drop(columns="_row")
    entries.insert(0, DEAL, history["_row"].astype(np.int32))
    if "amount_minor" in deals:
        deals["amount_loaded_minor"] = deals["amount_minor"]
        nothing = (deals["outcome"] == "lost") & (deals["amount_minor"] == 0).fillna(False)
        deals["amount_minor"] = deals["amount_minor"].mask(nothing)
        deals["amount"] = deals["amount"].mask(nothing)
    return deals, entries, notes


def _take_close_from_log(deals: pd.DataFrame, last: pd.DataFrame, zone: str) -> list[dict[str, Any]]:
    """The real close is the log's entry into the closed stage; the CRM's close date only where there is none.

    last    the last entry of each deal
    Returns a note of the deals whose close date was put on the end of a month, against the log.
    """
    closed = deals["outcome"] != "open"
    observed = (last["evidence"] == "observed") & (last["stage"] == deals["stage"])
    logged = last["entered_at"].where(observed & closed)
    given = deals["closed_at"] if "closed_at" in deals else pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    deals["closed_at"] = logged.where(logged.notna(), given).where(closed)
    given_on, logged_on = _local(given, zone), _local(logged, zone)
    moved = given_on.dt.is_month_end & logged_on.notna() & (given_on != logged_on)
    return checks.note("closed-on-month-end", "deals", "closed_at", deals[moved], deals["deal_id"][moved])


def _name_owners(tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Owners written by name become their rep_id, where exactly one person has that name."""
    notes: list[dict[str, Any]] = []
    for name in OWNED:
        if name in tables and "rep_id" in tables[name]:
            owner = tables[name]["rep_id"]
            ids = _ids_of_names(owner, tables)
            named = owner[owner.notna() & (owner != ids)]
            notes += checks.note("owner-by-name", name, "rep_id", named, named)
            tables[name] = tables[name].assign(rep_id=ids)
    return notes


def _ids_of_names(owner: pd.Series, tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Each owner's rep_id where `owner` is the name of exactly one person and nobody's id."""
    if "reps" not in tables or "name" not in tables["reps"]:
        return owner
    people = tables["reps"].drop_duplicates("rep_id")
    single = people[~people["name"].duplicated(keep=False) & people["name"].notna()]
    ids = single.set_index("name")["rep_id"]
    by_name = owner.notna() & ~owner.isin(people["rep_id"]) & owner.isin(ids.index)
    return owner.mask(by_name, owner.map(ids)) if by_name.any() else owner


def _origin(found: Found, drafts: Mapping[str, Draft], told: str) -> dict[str, Any]:
    preset = found.source.preset.name if found.source.preset else found.source.origin
    files = [{"table": n, "file": f, "sha256": h, "encoding": e} for n, d in drafts.items() for f, h, e in d.files]
    carried = {n: dict(sorted(d.headers.items())) for n, d in drafts.items()}
    return {
        "source": preset,
        "history": told,
        "files": files,
        "columns": carried,
        "own_columns": {n: sorted(d.extras) for n, d in drafts.items() if d.extras},
        "missing_tables": sorted(set(TABLES) - set(drafts)),
    }
