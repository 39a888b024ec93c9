"""Stage history in one shape, whatever the CRM keeps of it.

`log`        the CRM logs each stage entry
`pairs`      the CRM logs old and new stage of each change
`wide`       one date per stage stands on the deal: the last entry into it
`snapshots`  the deals as they stood on several days
`current`    only the current stage is known

Result: the row of the deal, entered_at, stage, evidence (observed, inferred, assumed), and rep_id, amount where the
log has them. Stages and evidence are categories: few texts, of which millions are compared and moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import EVIDENCE, places_in
from salescoach.book.texts import Codes, encoded, repeated, rows_at
from salescoach.process import Process

CORRECTION = pd.Timedelta("1min")
TRACKED = ("rep_id", "amount", "expected_close_on", "probability", "forecast_category")


def derive_history(deals: pd.DataFrame, log: pd.DataFrame | None, process: Process) -> pd.DataFrame:
    """One row per entry of a deal into a stage, in the order of the deals and in time. `_row` is the row of the deal.

    deals   deal_id, stage, pipeline, created_at, closed_at (the last three may be missing)
    log     deal_id or _row, entered_at, stage, in the order of the source (and evidence, observed where it is not said;
            from_stage, the stage left); None where only the current stage is known
    """
    deals = deals.assign(_row=np.arange(len(deals)))
    if log is None:
        parts = [from_current(deals, process)]
    else:
        log = log if "_row" in log else log.assign(_row=places_in(log["deal_id"], deals["deal_id"]))
        log = log.drop(columns="deal_id", errors="ignore")
        logged = from_log(from_pairs(log, deals, process) if "from_stage" in log else log, deals, process)
        silent = np.ones(len(deals), dtype=bool)
        silent[logged["_row"]] = False
        parts = [logged, from_current(deals[silent], process), _unlogged_last(deals, logged)]
    history = _one_below_the_other([part.drop(columns="deal_id", errors="ignore") for part in parts], process)
    order, _ = _in_time(history["_row"].to_numpy(), history["entered_at"])
    return history if order is None else rows_at(history, order)


def stage_kind(process: Process) -> pd.CategoricalDtype:
    """Categories for every stage of the process."""
    keys = sorted({s.key for p in process.pipelines.values() for s in p.stages})
    return pd.CategoricalDtype(pd.Series(keys, dtype="str"))


EVIDENCE_KIND = pd.CategoricalDtype(pd.Series(EVIDENCE, dtype="str"))


def in_categories(history: pd.DataFrame, process: Process) -> pd.DataFrame:
    """The same, with stages and evidence as categories."""
    kinds = {"stage": stage_kind(process), "from_stage": stage_kind(process), "evidence": EVIDENCE_KIND}
    return history.astype({name: kind for name, kind in kinds.items() if name in history})


def _one_below_the_other(parts: list[pd.DataFrame], process: Process) -> pd.DataFrame:
    """All rows of the parts, of which the first has every column."""
    parts = [in_categories(part, process) for part in parts if len(part)] or [in_categories(parts[0], process)]
    first = parts[0]
    if len(parts) == 1:
        return first.reset_index(drop=True)
    kinds = first.dtypes.to_dict()
    return pd.concat([first, *(p.reindex(columns=first.columns).astype(kinds) for p in parts[1:])], ignore_index=True)


Order = np.ndarray[Any, np.dtype[np.intp]]


def _in_time(number: Codes, at: pd.Series) -> tuple[Order | None, Codes]:
    """The stable order by deal and instant, None where the rows are so ordered; and one number for both."""
    instants: Codes = at.to_numpy("datetime64[us]").view(np.int64).copy()
    instants -= instants.min(initial=0)
    for unit in (1_000_000, 60, 24 * 60):
        instants = in_whole(instants, unit)
    span = int(instants.max(initial=0)) + 1
    if span * (int(number.max(initial=0)) + 1) >= 2**63:
        _, instants = np.unique(instants, return_inverse=True)
        span = int(instants.max(initial=0)) + 1
    key = number * span
    key += instants
    if _sorted(key):
        return None, key
    order = _grouped(number)
    return (order if _sorted(key[order]) else np.argsort(key, kind="stable")), key


def in_whole(numbers: Codes, unit: int) -> Codes:
    """The numbers in a larger unit, where each is a whole multiple of it."""
    larger: Codes = numbers // unit
    return larger if bool((larger * unit == numbers).all()) else numbers


def _sorted(key: Codes) -> bool:
    return bool((key[1:] >= key[:-1]).all())


def _grouped(number: Codes) -> Order:
    """The stable order by deal alone, as most logs need it: their entries stand in time."""
    low = np.argsort((number & 0xFFFF).astype(np.uint16), kind="stable")
    return low[np.argsort((number >> 16).astype(np.uint16)[low], kind="stable")]


def from_pairs(log: pd.DataFrame, deals: pd.DataFrame, process: Process) -> pd.DataFrame:
    """The log with the stage that each deal left first, entered when the deal was created (inferred)."""
    first = log.sort_values("entered_at", kind="stable").drop_duplicates("_row")
    created = deals["created_at"] if "created_at" in deals else pd.Series(pd.NaT, deals.index)
    at = created.take(first["_row"].to_numpy()).set_axis(first.index)  # every entry is of a deal
    rows = first["from_stage"].notna() & at.notna() & ~(at > first["entered_at"])
    start = pd.DataFrame({"entered_at": at, "stage": first["from_stage"], "_row": first["_row"]})[rows]
    marked = [_marked(log.drop(columns="from_stage"), "observed"), _marked(start, "inferred")]
    told = _one_below_the_other(marked, process)
    before = len(told) - len(start)
    return told.iloc[[*range(before, len(told)), *range(before)]].reset_index(drop=True)


def from_snapshots(snapshots: pd.DataFrame, process: Process) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stage entries and changes told by the deals of several days.

    snapshots   as deals, with snapshot_at; in time
    Returns the log (deal_id, entered_at, stage, evidence) and the changes (deal_id, at, field, old, new). A change is
    known to the day of the snapshot that first shows it; what was before the first snapshot is told as `current` does.
    """
    rows = snapshots.reset_index(drop=True)
    later = rows["deal_id"] == rows["deal_id"].shift()
    moved = later & (rows["stage"] != rows["stage"].shift())
    seen = rows[~later]
    first = from_current(seen, process)
    shown = first["deal_id"].map(seen.set_index("deal_id")["stage"]) == first["stage"]
    first["evidence"] = first["evidence"].mask(shown & (first["evidence"] == "assumed"), "inferred")
    log = pd.concat(
        [first, _rows(rows, rows["snapshot_at"], rows["stage"], "observed", moved)],
        ignore_index=True,
    )
    parts = []
    for field in TRACKED:
        if field in rows:
            old, new = _as_text(rows[field].shift()), _as_text(rows[field])
            changed = later & (old.fillna("") != new.fillna(""))
            change = {"deal_id": rows["deal_id"], "at": rows["snapshot_at"], "old": old, "new": new}
            parts.append(pd.DataFrame(change)[changed].assign(field=field))
    columns = ["deal_id", "at", "field", "old", "new"]
    changes = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    return log, changes.astype({"field": "str"})


def in_time(snapshots: pd.DataFrame, process: Process) -> pd.DataFrame:
    """The snapshots of each deal in time; of several on one day or instant, in the order of the process."""
    place = {(k, s.key): i for k, p in process.pipelines.items() for i, s in enumerate(p.stages)}
    at = [place[pair] for pair in zip(snapshots["pipeline"], snapshots["stage"], strict=True)]
    keys = ["deal_id", "snapshot_at", "_place"]
    return snapshots.assign(_place=at).sort_values(keys, kind="stable").drop(columns="_place")


def _as_text(values: pd.Series) -> pd.Series:
    """Days as 2026-09-30, numbers with as many digits as they need."""
    if pd.api.types.is_datetime64_any_dtype(values):
        days: pd.Series = values.dt.strftime("%Y-%m-%d").astype("str")
        return days
    if pd.api.types.is_numeric_dtype(values):
        return values.map(lambda v: None if pd.isna(v) else f"{v:.15g}").astype("str")
    return values.astype("str")


def from_log(log: pd.DataFrame, deals: pd.DataFrame, process: Process) -> pd.DataFrame:
    """The log without consecutive repeats: a row that repeats the stage is an edit of something else.

    Entries of one instant are taken in the order of the process, whatever the order of the file.
    """
    log = in_categories(log, process)
    row, stage = log["_row"].to_numpy(), log["stage"].cat.codes.to_numpy()
    order, key = _in_time(row, log["entered_at"])
    order = np.arange(len(log)) if order is None else order
    tied = np.zeros(len(order) + 1, dtype=bool)
    tied[1:-1] = key[order[1:]] == key[order[:-1]]
    tied = tied[1:] | tied[:-1]
    if tied.any():
        some = order[tied]
        position = _positions(stage[some], log["stage"].cat.categories, deals["pipeline"].take(row[some]), process)
        order[tied] = _by_content(log.take(some), key[some], position, some)
    row, stage = row[order], stage[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (row[1:] != row[:-1]) | (stage[1:] != stage[:-1])
    order = order[new]
    del row, stage, key, tied, new  # each as large as a column
    kept = log.reset_index(drop=True) if _untouched(order, len(log)) else rows_at(log, order)
    return without_corrections(kept if "evidence" in kept else _marked(kept, "observed"))


def _untouched(order: Order, rows: int) -> bool:
    return len(order) == rows and bool((order[1:] > order[:-1]).all())


def _marked(rows: pd.DataFrame, evidence: str) -> pd.DataFrame:
    """The rows, all of one evidence."""
    code = np.full(len(rows), EVIDENCE.index(evidence), dtype=np.int8)
    return rows.assign(evidence=pd.Categorical.from_codes(code, dtype=EVIDENCE_KIND))


def _positions(stage: np.ndarray[Any, Any], names: pd.Index, pipeline: pd.Series, process: Process) -> Codes:
    """The place of each entry's stage in the pipeline of its deal."""
    pipelines, keys = encoded(pipeline)
    places = np.full((len(keys), len(names)), -1, dtype=np.int64)
    for k, key in enumerate(keys):
        order = {s.key: i for i, s in enumerate(process.pipelines[key].stages)}
        places[k] = [order.get(name, -1) for name in names]
    found: Codes = places[pipelines, stage]
    return found


def _by_content(rows: pd.DataFrame, key: Codes, position: Codes, order: Order) -> Order:
    """The order of rows that tie in deal and instant: by stage, then by all their other columns."""
    rest = sorted(c for c in rows.columns if c != "_row")
    texts = {c: "str" for c in rest if isinstance(rows[c].dtype, pd.CategoricalDtype)}
    keyed = rows.astype(texts).assign(_key=key, _position=position, _order=order)
    ordered = keyed.sort_values(["_key", "_position", *rest], kind="stable")["_order"]
    return ordered.to_numpy()


def without_corrections(history: pd.DataFrame) -> pd.DataFrame:
    """A bounce A→B→A within a minute is a slip of the hand: B and the return are left out."""
    deal, at = history["_row"].to_numpy(), history["entered_at"].astype("int64").to_numpy()
    back = np.zeros(len(history), dtype=bool)
    back[2:] = (deal[2:] == deal[:-2]) & (at[2:] - at[1:-1] < CORRECTION.value // 1000)
    if not back.any():
        return history
    stage = history["stage"]
    back &= (stage == stage.shift(2)).to_numpy()
    slips: set[Any] = set()
    for _, entries in history[history["_row"].isin(deal[back])].groupby("_row", sort=False):
        stack: list[Any] = []
        for row in entries.itertuples():
            if len(stack) > 1 and stack[-2].stage == row.stage and row.entered_at - stack[-1].entered_at < CORRECTION:
                slips |= {stack.pop().Index, row.Index}
            else:
                stack.append(row)
    return history[~history.index.isin(slips)].reset_index(drop=True)


def from_current(deals: pd.DataFrame, process: Process) -> pd.DataFrame:
    """What one row per deal can tell: created, the last stage change, and the close. No rows in between are invented.

    A deal that was decided and whose stage before that is unknown starts in an assumed first stage.
    """
    first = {key: p.working[0].key for key, p in process.pipelines.items()}
    start = deals["pipeline"].map(first)
    outcome_stages = {s.key for p in process.pipelines.values() for s in p.stages if s.outcome}
    decided = deals["stage"].isin(outcome_stages)
    empty = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    created = deals.get("created_at", empty)
    changed = deals.get("stage_changed_at", empty)
    closed = deals.get("closed_at", empty)
    known_change = ~decided & changed.notna() & (deals["stage"] != start)
    begun = (decided | known_change) & created.notna()
    from_start = begun & decided & (deals["lost_stage"] == start if "lost_stage" in deals else False)
    parts = [
        _rows(deals, created, start, "inferred", from_start),
        _rows(deals, created, start, "assumed", begun & ~from_start),
        _rows(deals, changed, deals["stage"], "observed", known_change),
        _rows(deals, created, deals["stage"], "assumed", ~decided & ~known_change & created.notna()),
        _rows(deals, closed, deals["stage"], "observed", decided & closed.notna()),
    ]
    if "lost_stage" in deals:
        before = decided & deals["lost_stage"].notna() & (deals["lost_stage"] != start) & created.notna()
        parts.insert(2, _rows(deals, created, deals["lost_stage"], "inferred", before))
    return pd.concat(parts, ignore_index=True).sort_values(["deal_id", "entered_at"], kind="stable", ignore_index=True)


def _rows(deals: pd.DataFrame, at: pd.Series, stage: pd.Series, evidence: str, rows: pd.Series) -> pd.DataFrame:
    columns = {"deal_id": deals["deal_id"], "entered_at": at, "stage": stage}
    if "_row" in deals:
        columns["_row"] = deals["_row"]
    told = pd.DataFrame({name: values[rows] for name, values in columns.items()})
    return told.assign(evidence=repeated(evidence, told.index))


def last_entries(deals: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The last entry of each deal: stage (a text), entered_at, evidence, row for row like the deals; else null.

    history   as `derive_history` gives it
    """
    row = history["_row"].to_numpy()
    last = np.full(len(deals), -1, dtype=np.int64)
    ends = np.append(np.flatnonzero(row[1:] != row[:-1]), len(row) - 1) if len(row) else np.array([], dtype=np.int64)
    last[row[ends]] = ends
    told = history[["stage", "entered_at", "evidence"]]
    if not len(told):
        return told.reindex(deals.index).astype({"stage": "str"})
    found = told.take(np.maximum(last, 0)).set_axis(deals.index).astype({"stage": "str"})
    return found if (last >= 0).all() else found.apply(lambda values: values.where(last >= 0))


def _unlogged_last(deals: pd.DataFrame, logged: pd.DataFrame) -> pd.DataFrame:
    """A deal's own stage is the truth for now: where the log lags behind it, one inferred row completes the log.

    Where a status closes deals no log of stages has a row for it: then the stamp of the close is an observed one.
    """
    last = last_entries(deals, logged)
    last_stage, last_at = last["stage"], last["entered_at"]
    lags = last_stage.notna() & (last_stage != deals["stage"])
    at = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    for column in ("closed_at", "stage_changed_at", "updated_at"):
        if column in deals:
            at = at.where(at.notna(), deals[column].where(deals[column] >= last_at))
    rows = _rows(deals, at.where(at.notna(), last_at), deals["stage"], "inferred", lags)
    if "closed_by_status" in deals:
        stamped = deals["closed_by_status"] & (at == deals["closed_at"] if "closed_at" in deals else False)
        rows["evidence"] = rows["evidence"].mask(stamped[lags], "observed")
    return rows
