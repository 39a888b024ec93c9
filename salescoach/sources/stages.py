"""Stage names of the source become stages of the process; rows with a name it does not know are set aside."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from salescoach.book import places_in
from salescoach.book.texts import Codes, Places, coded, decoded, encoded
from salescoach.errors import Sentence, SourceError, StageError, commas, counted, joined, suggestion
from salescoach.process import Process, fold_name
from salescoach.sources.draft import Draft
from salescoach.sources.history import stage_kind
from salescoach.sources.layout import Source
from salescoach.sources.parse import Place
from salescoach.wording import N_

UNKNOWN_STAGE_TOLERATED = 0.005
UNKNOWN = ["deal_id", "name", "pipeline", "file", "header"]


def resolve_deal_stages(deals: Draft, source: Source, process: Process) -> pd.DataFrame:
    """Pipelines and stages of the deals become the process's keys.

    Returns deal_id, name, pipeline, place of unknown names.
    """
    _resolve_pipelines(deals, source, process)
    mapped = _mapped_names(source, process)
    pipelines = encoded(deals.table["pipeline"])
    unknown = _resolve_column(deals, "stage", pipelines, None, mapped, process)
    if "lost_stage" in deals.table:
        _resolve_column(deals, "lost_stage", pipelines, None, mapped, process)
    return unknown


def resolve_log_stages(drafts: Mapping[str, Draft], source: Source, process: Process) -> pd.DataFrame:
    """The same for the stage history, whose rows follow their deals: those of quarantined deals are set aside too.

    The log gets a column `_row`: which row of the deals each entry belongs to.
    """
    if "stage_history" not in drafts:
        return pd.DataFrame(columns=UNKNOWN, dtype="str")
    deals, log = drafts["deals"], drafts["stage_history"]
    row = _deal_rows(deals, log)
    log.table["_row"] = row
    unknown = pd.Series(row < 0, log.table.index)
    log.reject(unknown, "deal_id", "unknown-deal", "no used deal has this id: it is missing or quarantined")
    codes, keys = encoded(deals.table["pipeline"])
    line = codes[row]
    line[row < 0] = -1
    pipelines = line, keys
    at = log.table["entered_at"].dt.tz_convert(process.calendar.timezone)
    mapped = _mapped_names(source, process)
    if "from_stage" in log.table:
        _resolve_column(log, "from_stage", pipelines, at, mapped, process)
    return _resolve_column(log, "stage", pipelines, at, mapped, process)


def _deal_rows(deals: Draft, log: Draft) -> Codes:
    """The row of each entry's deal among the deals that are still in; -1 where it is not there."""
    alive = np.flatnonzero(deals.alive.to_numpy())
    known, asked = deals.table["deal_id"], log.table["deal_id"]
    if len(alive) == len(known):
        return places_in(asked, known).astype(np.int64, copy=False)
    rows: Codes = np.append(alive, -1)[places_in(asked, known.iloc[alive])]
    return rows


def resolve_wide_stages(deals: Draft, source: Source, process: Process) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The stage dates that stand side by side on the deals, as a log: deal_id, entered_at, stage, evidence (inferred).

    The second value holds deal_id, name, pipeline, place of dates in stages that the process does not know.
    """
    mapped = _mapped_names(source, process)
    known, unknown = [], []
    for header, (name, pipeline_name) in deals.entered.items():
        own = None if pipeline_name is None else _pipeline_key(pipeline_name, source, process)
        for pipeline in process.pipelines:
            rows = deals.alive & (deals.table["pipeline"] == pipeline) & deals.entered_at[header].notna()
            if not rows.any() or (pipeline_name is not None and own != pipeline):
                continue
            stage = _resolve_name(pipeline, name, "", mapped, process)
            dated = pd.DataFrame({"deal_id": deals.table["deal_id"][rows]})
            if stage is None:
                unknown.append(dated.assign(name=name, pipeline=pipeline, **_stands(deals.place(header))))
            else:
                known.append(dated.assign(entered_at=deals.entered_at[header][rows], stage=stage))
    log = pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=["deal_id", "entered_at", "stage"])
    lost = pd.concat(unknown, ignore_index=True) if unknown else pd.DataFrame(columns=UNKNOWN)
    kinds = {"entered_at": "datetime64[us, UTC]", "stage": "str", "evidence": "str"}
    return log.assign(evidence="inferred").astype(kinds), lost.astype("str")


def _stands(place: Place) -> dict[str, str]:
    return {"file": place.file, "header": place.header}


def refuse_unknown_stages(names: pd.DataFrame, deals: Draft, source: Source, process: Process) -> None:
    """Raise StageError where more deals than tolerated stand in stages that the process does not know."""
    share = names["deal_id"].nunique() / max(int(deals.alive.sum()) + names["deal_id"].nunique(), 1)
    if share > source.tolerate.get("unknown_stage", UNKNOWN_STAGE_TOLERATED):
        raise StageError(
            "{place}: {fault}",
            place=Place(names["file"].iloc[0], "", "", names["header"].iloc[0]),
            fault=_unknown_stages(names, share, process),
        )


def _mapped_names(source: Source, process: Process) -> dict[str, str]:
    """The source's own names, folded, and the stage each means."""
    keys = {s.key for p in process.pipelines.values() for s in p.stages}
    for name, key in source.stages.items():
        if key not in keys:
            raise SourceError(
                "{origin}: [stages] maps {name!r} to {key!r}, which is no stage of the process.{hint} Its "
                "stages: {keys}.",
                origin=source.origin,
                name=name,
                key=key,
                hint=suggestion(key, keys),
                keys=commas(sorted(keys)),
            )
    return {fold_name(k): v for k, v in source.stages.items()}


def _pipeline_key(name: str | None, source: Source, process: Process) -> str | None:
    mapped = {fold_name(k): v for k, v in source.pipelines.items()}
    return process.pipeline_of(name if name is None else mapped.get(fold_name(name), name))


def _resolve_pipelines(deals: Draft, source: Source, process: Process) -> None:
    for name, key in source.pipelines.items():
        if key not in process.pipelines:
            raise SourceError(
                "{origin}: [pipelines] maps {name!r} to {key!r}, which is no pipeline of the process.{hint} "
                "Its pipelines: {pipelines}.",
                origin=source.origin,
                name=name,
                key=key,
                hint=suggestion(key, process.pipelines),
                pipelines=commas(process.pipelines),
            )
    if "pipeline" in deals.table:
        names, words = encoded(deals.table["pipeline"])
    else:
        names, words = np.full(len(deals.table), -1), pd.Series([], dtype="str")
    meant, keys = encoded([_pipeline_key(name, source, process) for name in (*words, None)])
    resolved = decoded(meant[names], keys, deals.table.index)  # the last one is meant where none is named
    deals.table["pipeline"] = resolved
    deals.reject(
        resolved.isna(),
        "pipeline",
        "unknown-pipeline",
        "no pipeline of the process matches: add it to `match` in the process file",
    )


def _resolve_column(
    draft: Draft,
    column: str,
    pipelines: tuple[Places, pd.Series],
    at: pd.Series | None,
    mapped: Mapping[str, str],
    process: Process,
) -> pd.DataFrame:
    """Resolve one stage column in place: each name once, for each pipeline and, where names are dated, each day.

    pipelines   a code for each row, and the keys that the codes stand for
    at          of a log, when each stage was entered; its stages become categories
    Returns deal_id, name, pipeline, place of rows it does not know.
    """
    names, (codes, keys) = draft.table[column], pipelines
    of_name, words = encoded(names)
    days = pd.Series([""], dtype="str")
    asked = codes * np.int64(len(words))
    asked += of_name
    if at is not None and _has_dated_names(process):
        of_day, dates = pd.factorize(at.dt.normalize())
        days = pd.Series(dates.strftime("%Y-%m-%d"), dtype="str")
        asked *= len(days)
        asked += of_day
    todo = draft.alive.to_numpy() & (codes >= 0) & (of_name >= 0)
    asked[~todo] = -1
    which, different = pd.factorize(asked)
    del asked
    found = [
        None
        if a < 0
        else _resolve_name(
            keys[a // len(days) // len(words)], words[a // len(days) % len(words)], days[a % len(days)], mapped, process
        )
        for a in different.tolist()
    ]
    meant, stages = encoded(found)
    stage = meant[which]
    if column == "stage":
        draft.table["stage_raw"] = names if at is None else coded(of_name, words, names.index)
    if at is None:
        draft.table[column] = decoded(stage, stages, names.index)
    else:
        draft.table[column] = coded(stage, stages, names.index).cat.set_categories(stage_kind(process).categories)
    lost = names.index[todo & (stage < 0)]
    columns = {
        "deal_id": draft.table["deal_id"][lost],
        "name": names[lost].astype("str"),
        "pipeline": decoded(codes[lost], keys, lost),
    }
    unknown = pd.DataFrame(columns).assign(**_stands(draft.place(column)))
    for (key, name), rows in unknown.groupby(["pipeline", "name"], sort=False):
        bad = pd.Series(names.index.isin(rows.index), names.index)
        draft.reject(bad, column, "unknown-stage", _hint(process.nearest_name(str(name), str(key))))
    return unknown


def _hint(near: str | None) -> str:
    if near is None:
        return "the process has no stage of this name: add it to the process file or map it under [stages]"
    return (
        f"the process has no stage of this name, the nearest is {near}: correct it, add it to the process file or map "
        "it under [stages]"
    )


def _has_dated_names(process: Process) -> bool:
    names = (n for p in process.pipelines.values() for s in p.stages for n in s.names)
    return any(getattr(n, "since", None) or getattr(n, "until", None) for n in names)


def _resolve_name(pipeline: str, name: str, day: str, mapped: Mapping[str, str], process: Process) -> str | None:
    rules = process.pipelines[pipeline]
    on = dt.date.fromisoformat(day) if day else None
    return rules.resolve(mapped.get(fold_name(name), name), on)


def _unknown_stages(names: pd.DataFrame, share: float, process: Process) -> str:
    counts = Counter(zip(names["pipeline"], names["name"], strict=True)).most_common()
    lines = [
        Sentence(
            "  {name!r} in {rows}. Ready to paste into the process file: {line}",
            name=name,
            rows=counted(n, N_("{n:,} row"), N_("{n:,} rows")),
            line=process.paste_line(name, pipeline),
        )
        for (pipeline, name), n in counts
    ]
    return Sentence(
        "{deals} ({share:.1%}) in stages that the process does not know:\n{lines}\nAdd the names to the process "
        "file (--process), or map them under [stages] in the source file (--source).",
        deals=counted(names["deal_id"].nunique(), N_("{n:,} deal"), N_("{n:,} deals")),
        share=share,
        lines=joined(lines, "\n"),
    )
