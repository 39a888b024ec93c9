"""From files to a book: find, read, parse, resolve, derive, check; every row is used or quarantined."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.errors import InputError, QuarantineError, StageError, UsageError
from salescoach.kit import kit_path
from salescoach.process import Process, fold_name, read_process
from salescoach.sources import checks
from salescoach.sources.detect import Found, detect, locate
from salescoach.sources.draft import Draft, parse_table, reject_conflicts, reject_structure
from salescoach.sources.history import derive_history
from salescoach.sources.layout import Source, find_source

DEFAULT_CURRENCY = "CNY"
UNKNOWN_STAGE_TOLERATED = 0.005
QUARANTINED_TOLERATED = 0.02
ONE_DAY = pd.Timedelta(days=1)
STAMPS = {"deals": ("created_at", "closed_at", "stage_changed_at"), "stage_history": ("entered_at",), "changes": ("at",),
          "leads": ("created_at", "first_response_at", "converted_at"), "activities": ("at",)}


def load_book(files: str | Path | Sequence[str | Path] = (), source: str | None = None, process: str | Path | None = None,
              as_of: str | None = None, currency: str | None = None, now: pd.Timestamp | None = None) -> Book:
    """Build a book from exports.

    files     CSV, Excel or Parquet files, or folders of them (a folder may hold its own `source.toml`)
    source    name of a preset or path of a source file; detected from the headers if not given
    process   path of a process file; default: the source's, else the standard five stages
    as_of     the day the data speak of; default: the latest stamp that is not in the future of `now`
    currency  of amounts that name none; default: the source's, else CNY
    now       the instant of the load; default: the clock

    Raises InputError (exit code 5) where the input is refused as a whole.
    """
    found = find_files(files, source)
    rules = process_of(found.source, process)
    money = currency or found.source.currency or DEFAULT_CURRENCY
    zone = rules.calendar.timezone
    drafts = {name: Draft(name, found.source.tables[name], paths) for name, paths in found.files.items()}
    precision: dict[str, str] = {}
    notes: list[dict[str, Any]] = []
    for draft in drafts.values():
        reject_structure(draft)
        day_only, remarks = parse_table(draft, zone, money)
        precision |= day_only
        notes += remarks
        reject_conflicts(draft)
    end = _as_of(drafts, as_of or found.source.as_of, zone, now)
    _reject_impossible(drafts, end, precision, zone)
    _resolve_stages(drafts, found.source, rules)
    tables = {name: draft.used for name, draft in drafts.items()}
    tables["deals"], tables["stage_history"] = _finish_deals(tables, found.source, rules)
    if "stage_history" not in drafts and "day" in (precision.get("deals.created_at"), precision.get("deals.closed_at")):
        precision["stage_history.entered_at"] = "day"
    notes += _name_owners(tables) + checks.unmatched_keys(tables)
    notes += checks.deal_notes(tables["deals"], _local(tables["deals"].get("closed_at"), zone), _local_day(end, zone))
    quality = checks.quality(drafts, tables, notes, found.ignored, money)
    quality["tolerated"] = found.source.tolerate.get("quarantined", QUARANTINED_TOLERATED)
    checks.check_laws(quality)
    tables["deals"] = tables["deals"].drop(columns="amount_loaded_minor", errors="ignore")
    quarantine = pd.concat([d.quarantine() for d in drafts.values()], ignore_index=True)
    return Book(tables=tables, process=rules, as_of=end, currency=money, origin=_origin(found, drafts), quality=quality,
                quarantine=quarantine, precision=precision)


def check_tolerance(book: Book) -> None:
    """Raise QuarantineError (exit code 4) if more deals were quarantined than tolerated. The book stays usable."""
    counts, limit = book.quality["rows"]["deals"], book.quality["tolerated"]
    share = counts["quarantined"] / max(counts["used"] + counts["quarantined"], 1)
    if share > limit:
        raise QuarantineError(f"{counts['quarantined']:,} deals ({share:.1%}) are quarantined, more than the tolerated {limit:.1%}. "
                              "quarantine.csv lists each with its line and reason. Correct the export, or set "
                              "`tolerate = { quarantined = … }` in the source file.")


# --- where the data are ----------------------------------------------------------------------------


def find_files(files: str | Path | Sequence[str | Path], source: str | None) -> Found:
    """The source and the files of each table."""
    given = [files] if isinstance(files, str | Path) else list(files)
    paths = [Path(f) for f in given]
    if not paths and source is None:
        raise UsageError("Say what to load: files, a folder, or --source FILE.toml.")
    if source is None:
        own = [p / "source.toml" for p in paths if (p / "source.toml").is_file()]
        if not own:
            return detect(paths)
        source = str(own[0])
    declared, folder = find_source(source)
    return locate(declared, paths, folder)


def process_of(source: Source, process: str | Path | None) -> Process:
    """The process file given, else the one the source names, else the standard one."""
    named = str(process or source.process or "standard")
    path = Path(named)
    return read_process(path if path.suffix == ".toml" else kit_path("templates/process") / f"{named}.toml")


# --- time ------------------------------------------------------------------------------------------


def _as_of(drafts: Mapping[str, Draft], declared: str | dt.date | None, zone: str, now: pd.Timestamp | None) -> pd.Timestamp:
    """The end of the last day the data speak of, as a UTC instant."""
    if declared is not None:
        try:
            return _end_of_day(pd.Timestamp(declared), zone)
        except ValueError as error:
            raise UsageError(f"--as-of {declared!r} is no date. Write it as 2026-09-30.") from error
    limit = (now if now is not None else pd.Timestamp.now(tz="UTC")) + ONE_DAY
    stamps = [d.table[c][d.alive] for n, d in drafts.items() for c in STAMPS.get(n, ()) if c in d.table]
    latest = max((s[s <= limit].max() for s in stamps if len(s) and s.notna().any()), default=pd.NaT)
    if pd.isna(latest):
        raise InputError("No date in the data says when they were exported. Give it with --as-of 2026-09-30.")
    return _end_of_day(latest.tz_convert(zone).tz_localize(None).normalize(), zone)


def _end_of_day(day: pd.Timestamp, zone: str) -> pd.Timestamp:
    return (day.normalize() + ONE_DAY).tz_localize(zone).tz_convert("UTC") - pd.Timedelta("1us")


def _local_day(instant: pd.Timestamp, zone: str) -> pd.Timestamp:
    return instant.tz_convert(zone).tz_localize(None).normalize()


def _local(instants: pd.Series | None, zone: str) -> pd.Series:
    if instants is None:
        return pd.Series(dtype="datetime64[us]")
    return instants.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()


def _reject_impossible(drafts: Mapping[str, Draft], end: pd.Timestamp, precision: Mapping[str, str], zone: str) -> None:
    """Stamps after the data's end, and closes before creation."""
    for name, columns in STAMPS.items():
        for column in columns:
            if name in drafts and column in drafts[name].table:
                late = drafts[name].table[column] > end
                drafts[name].reject(late, column, "future-stamp", f"later than {_local_day(end, zone).date()}, when the data end: correct it")
    deals = drafts["deals"]
    if {"created_at", "closed_at"} <= set(deals.table.columns):
        created, closed = deals.table["created_at"], deals.table["closed_at"]
        if "day" in (precision.get("deals.created_at"), precision.get("deals.closed_at")):
            created, closed = _local(created, zone), _local(closed, zone)
        deals.reject(closed < created, "closed_at", "closed-before-created", "closed before it was created: correct one of the two")


# --- stages ----------------------------------------------------------------------------------------


def _resolve_stages(drafts: Mapping[str, Draft], source: Source, process: Process) -> None:
    """Stage names become the process's keys. Too many unknown names refuse the input: StageError."""
    deals = drafts["deals"]
    _resolve_pipelines(deals, process)
    mapped = {fold_name(k): v for k, v in source.stages.items()}
    unknown = [_resolve_column(deals, "stage", deals.table["pipeline"], None, mapped, process)]
    if "lost_stage" in deals.table:
        _resolve_column(deals, "lost_stage", deals.table["pipeline"], None, mapped, process)
    if "stage_history" in drafts:
        log = drafts["stage_history"]
        known = deals.table[deals.alive].drop_duplicates("deal_id").set_index("deal_id")["pipeline"]
        pipeline = log.table["deal_id"].map(known)
        log.reject(pipeline.isna(), "deal_id", "unknown-deal", "no used deal has this id: it is missing or quarantined")
        unknown.append(_resolve_column(log, "stage", pipeline, log.table["entered_at"].dt.tz_convert(process.calendar.timezone), mapped, process))
    names = pd.concat(unknown, ignore_index=True)
    share = names["deal_id"].nunique() / max(int(deals.alive.sum()) + names["deal_id"].nunique(), 1)
    if share > source.tolerate.get("unknown_stage", UNKNOWN_STAGE_TOLERATED):
        raise StageError(_unknown_stages(names, share, process))


def _resolve_pipelines(deals: Draft, process: Process) -> None:
    raw = deals.table["pipeline"] if "pipeline" in deals.table else pd.Series(None, deals.table.index, dtype="str")
    keys = {None if pd.isna(v) else v: process.pipeline_of(None if pd.isna(v) else v) for v in raw.unique()}
    resolved = raw.map({k: v for k, v in keys.items() if k is not None}).where(raw.notna(), keys.get(None)).astype("str")
    deals.table["pipeline"] = resolved
    deals.reject(resolved.isna(), "pipeline", "unknown-pipeline", "no pipeline of the process matches: add it to `match` in the process file")


def _resolve_column(draft: Draft, column: str, pipeline: pd.Series, at: pd.Series | None, mapped: Mapping[str, str],
                    process: Process) -> pd.DataFrame:
    """Resolve one stage column in place; rows with an unknown name are quarantined and returned: deal_id, name, pipeline."""
    names = draft.table[column]
    months = at.dt.strftime("%Y-%m-%d") if at is not None and _has_dated_names(process) else pd.Series("", names.index)
    todo = pd.DataFrame({"pipeline": pipeline, "name": names, "day": months})[draft.alive & names.notna() & pipeline.notna()]
    unique = todo.drop_duplicates()
    unique = unique.assign(key=[_resolve_name(*row, mapped, process) for row in unique.itertuples(index=False)])
    keys = todo.merge(unique, on=["pipeline", "name", "day"], how="left", validate="m:1").set_axis(todo.index)["key"]
    if column == "stage":
        draft.table["stage_raw"] = names
    draft.table[column] = keys.reindex(names.index).astype("str")
    lost = todo.index[keys.isna().to_numpy()]
    bad = pd.Series(names.index.isin(lost), names.index)
    draft.reject(bad, column, "unknown-stage", "the process has no stage of this name: add it to the process file or map it under [stages]")
    return pd.DataFrame({"deal_id": draft.table["deal_id"][lost], "name": names[lost], "pipeline": pipeline[lost]})


def _has_dated_names(process: Process) -> bool:
    names = (n for p in process.pipelines.values() for s in p.stages for n in s.names)
    return any(getattr(n, "since", None) or getattr(n, "until", None) for n in names)


def _resolve_name(pipeline: str, name: str, day: str, mapped: Mapping[str, str], process: Process) -> str | None:
    rules = process.pipelines[pipeline]
    on = dt.date.fromisoformat(day) if day else None
    return rules.resolve(mapped.get(fold_name(name), name), on)


def _unknown_stages(names: pd.DataFrame, share: float, process: Process) -> str:
    counts = names.groupby(["pipeline", "name"]).size().sort_values(ascending=False)
    lines = [f"  {name!r} in {n:,} rows. Ready to paste into the process file: {process.paste_line(name, pipeline)}"
             for (pipeline, name), n in counts.items()]
    return (f"{names['deal_id'].nunique():,} deals ({share:.1%}) stand in stages that the process does not know:\n" + "\n".join(lines) +
            "\nAdd the names to the process file (--process), or map them under [stages] in the source file (--source).")


# --- deals and their history -----------------------------------------------------------------------


def _finish_deals(tables: Mapping[str, pd.DataFrame], source: Source, process: Process) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcome, close and amount of each deal, and the stage history in its one shape."""
    deals = tables["deals"].copy()
    log = tables.get("stage_history") if source.history != "current" else None
    history = derive_history(deals, log, process)
    outcome_of = {(k, s.key): s.outcome or "open" for k, p in process.pipelines.items() for s in p.stages}
    by_stage = pd.Series([outcome_of[pair] for pair in zip(deals["pipeline"], deals["stage"], strict=True)], deals.index, dtype="str")
    deals["outcome"] = deals["outcome"].fillna(by_stage) if "outcome" in deals else by_stage
    if log is not None or "closed_at" in deals:
        _take_close_from_log(deals, history)
    if "amount_minor" in deals:
        deals["amount_loaded_minor"] = deals["amount_minor"]
        nothing = (deals["outcome"] == "lost") & (deals["amount_minor"] == 0).fillna(False)
        deals["amount_minor"] = deals["amount_minor"].mask(nothing)
        deals["amount"] = deals["amount"].mask(nothing)
    return deals, history


def _take_close_from_log(deals: pd.DataFrame, history: pd.DataFrame) -> None:
    """The real close is the log's entry into the closed stage; the CRM's close date only where there is none."""
    last = history.drop_duplicates("deal_id", keep="last").set_index("deal_id")
    closed = deals["outcome"] != "open"
    observed = deals["deal_id"].map(last["evidence"]) == "observed"
    logged = deals["deal_id"].map(last["entered_at"]).where(observed & (deals["deal_id"].map(last["stage"]) == deals["stage"]))
    given = deals["closed_at"] if "closed_at" in deals else pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    deals["closed_at"] = logged.where(logged.notna(), given).where(closed)


def _name_owners(tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Owners written by name become their rep_id, where exactly one person has that name."""
    if "reps" not in tables or "name" not in tables["reps"]:
        return []
    people = tables["reps"].drop_duplicates("rep_id")
    single = people[~people["name"].duplicated(keep=False) & people["name"].notna()]
    ids = single.set_index("name")["rep_id"]
    notes: list[dict[str, Any]] = []
    for name in ("deals", "leads", "activities", "stage_history"):
        if name in tables and "rep_id" in tables[name]:
            owner = tables[name]["rep_id"]
            by_name = owner.notna() & ~owner.isin(people["rep_id"]) & owner.isin(ids.index)
            notes += checks.note("owner-by-name", name, "rep_id", owner[by_name], owner[by_name])
            tables[name] = tables[name].assign(rep_id=owner.mask(by_name, owner.map(ids)))
    return notes


def _origin(found: Found, drafts: Mapping[str, Draft]) -> dict[str, Any]:
    preset = found.source.preset.name if found.source.preset else found.source.origin
    files = [{"table": n, "file": f, "sha256": h, "encoding": e} for n, d in drafts.items() for f, h, e in d.files]
    carried = {n: sorted(d.headers) for n, d in drafts.items()}
    return {"source": preset, "files": files, "columns": carried, "missing_tables": sorted(set(TABLES) - set(drafts))}
