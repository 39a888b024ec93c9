"""Stage history in one shape, whatever the CRM keeps of it.

`log`        the CRM logs each stage entry
`pairs`      the CRM logs old and new stage of each change
`wide`       one date per stage stands on the deal: the last entry into it
`snapshots`  the deals as they stood on several days
`current`    only the current stage is known

Result: deal_id, entered_at, stage, evidence (observed, inferred, assumed), and rep_id, amount where the log has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book import places_in
from salescoach.book.replay import of_deals
from salescoach.process import Process

CORRECTION = pd.Timedelta("1min")
TRACKED = ("rep_id", "amount", "expected_close_on", "probability", "forecast_category")


def derive_history(deals: pd.DataFrame, log: pd.DataFrame | None, process: Process) -> pd.DataFrame:
    """One row per entry of a deal into a stage, sorted by deal and time.

    deals   deal_id, stage, pipeline, created_at, closed_at (the last three may be missing)
    log     deal_id, entered_at, stage, in the order of the source (and evidence, observed where it is not said;
            and from_stage, the stage left); None where only the current stage is known
    """
    deals = deals.assign(_deal=_ranks(deals["deal_id"]))
    if log is None:
        parts = [from_current(deals, process)]
    else:
        logged = from_log(from_pairs(log, deals) if "from_stage" in log else log, deals, process)
        silent = ~np.isin(deals["_deal"], logged["_deal"].unique())
        parts = [logged, from_current(deals[silent], process), _unlogged_last(deals, logged)]
    history = pd.concat(parts, ignore_index=True)
    order = np.lexsort((history["entered_at"].astype("int64"), history["_deal"]))
    return history.drop(columns="_deal").take(order).reset_index(drop=True)


def _ranks(ids: pd.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Each deal's place in the order of ids: numbers sort and compare much faster than texts."""
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[pc.sort_indices(pa.array(ids, type=pa.string())).to_numpy()] = np.arange(len(ids))
    return ranks


def from_pairs(log: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """The log with the stage that each deal left first, entered when the deal was created (inferred)."""
    first = log.sort_values("entered_at", kind="stable").drop_duplicates("deal_id")
    known = deals.set_index("deal_id")
    created = known["created_at"] if "created_at" in known else pd.Series(pd.NaT, known.index)
    at = first["deal_id"].map(created)
    rows = first["from_stage"].notna() & at.notna() & ~(at > first["entered_at"])
    start = pd.DataFrame({"deal_id": first["deal_id"], "entered_at": at, "stage": first["from_stage"]})[rows]
    marked = [
        part.assign(evidence=pd.Series(word, part.index, dtype="str"))
        for part, word in ((start, "inferred"), (log.drop(columns="from_stage"), "observed"))
    ]
    return pd.concat(marked, ignore_index=True)


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

    deals   as in `derive_history`, with _deal, the rank of each
    Entries of one instant are taken in the order of the process, whatever the order of the file. The result has _deal.
    """
    row = places_in(log["deal_id"], deals["deal_id"])
    number = deals["_deal"].to_numpy()[row]
    position = _positions(log["stage"], deals["pipeline"], row, process)
    at = log["entered_at"].astype("int64").to_numpy()
    order = np.lexsort((position, at, number))
    key = np.stack([number, at, position])[:, order]
    tied = np.zeros(len(order) + 1, dtype=bool)
    tied[1:-1] = (key[:, 1:] == key[:, :-1]).all(axis=0)
    tied = tied[1:] | tied[:-1]
    if tied.any():
        order[tied] = _by_content(log.iloc[order[tied]], key[:, tied], order[tied])
    stage, _ = pd.factorize(log["stage"])
    number, stage = number[order], stage[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (number[1:] != number[:-1]) | (stage[1:] != stage[:-1])
    kept = log.take(order[new]).reset_index(drop=True)
    if "evidence" not in kept:
        kept["evidence"] = pd.Series("observed", kept.index, dtype="str")
    return without_corrections(kept.assign(_deal=number[new]))


def _positions(
    stage: pd.Series, pipeline: pd.Series, row: np.ndarray[Any, np.dtype[np.intp]], process: Process
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The place of each entry's stage in the pipeline of its deal."""
    stages, names = pd.factorize(stage)
    pipelines, keys = pd.factorize(pipeline)
    places = np.full((len(keys), len(names)), -1, dtype=np.int64)
    for k, key in enumerate(keys):
        order = {s.key: i for i, s in enumerate(process.pipelines[key].stages)}
        places[k] = [order.get(name, -1) for name in names]
    found: np.ndarray[Any, np.dtype[np.int64]] = places[pipelines[row], stages]
    return found


def _by_content(
    rows: pd.DataFrame, key: np.ndarray[Any, np.dtype[np.int64]], order: np.ndarray[Any, np.dtype[np.intp]]
) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The order of rows that tie in deal, instant and stage, by all their other columns."""
    keys = {f"_{i}": part for i, part in enumerate(key)}
    rest = sorted(rows.columns)
    ordered = rows.assign(**keys, _row=order).sort_values([*keys, *rest], kind="stable")["_row"]
    return ordered.to_numpy()


def without_corrections(history: pd.DataFrame) -> pd.DataFrame:
    """A bounce A→B→A within a minute is a slip of the hand: B and the return are left out."""
    deal, stage, at = history["_deal"], history["stage"], history["entered_at"]
    back = (deal == deal.shift(2)) & (at - at.shift(1) < CORRECTION)
    if not back.any():
        return history
    slips: set[Any] = set()
    for _, entries in history[deal.isin(deal[back & (stage == stage.shift(2))])].groupby("_deal", sort=False):
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
    if "_deal" in deals:
        columns["_deal"] = deals["_deal"]
    told = pd.DataFrame({name: values[rows] for name, values in columns.items()})
    return told.assign(evidence=pd.Series(evidence, told.index, dtype="str"))


def last_entries(history: pd.DataFrame) -> pd.DataFrame:
    """The last entry of each deal, by deal_id; `history` is sorted by deal and time."""
    deal = history["_deal"] if "_deal" in history else history["deal_id"]
    return history[(deal != deal.shift(-1)).to_numpy()].set_index("deal_id")


def _unlogged_last(deals: pd.DataFrame, logged: pd.DataFrame) -> pd.DataFrame:
    """A deal's own stage is the truth for now: where the log lags behind it, one inferred row completes the log.

    Where a status closes deals no log of stages has a row for it: then the stamp of the close is an observed one.
    """
    last = last_entries(logged)
    last_stage, last_at = of_deals(deals, last["stage"]), of_deals(deals, last["entered_at"])
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
