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

import pandas as pd

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
    if log is None:
        return from_current(deals, process)
    if "from_stage" in log:
        log = from_pairs(log, deals)
    logged = from_log(log, deals, process)
    silent = deals[~deals["deal_id"].isin(logged["deal_id"])]
    return pd.concat(
        [logged, from_current(silent, process), _unlogged_last(deals, logged)], ignore_index=True
    ).sort_values(["deal_id", "entered_at"], kind="stable", ignore_index=True)


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

    snapshots   as deals, with snapshot_at; one row per deal and day
    Returns the log (deal_id, entered_at, stage, evidence) and the changes (deal_id, at, field, old, new). A change is
    known to the day of the snapshot that first shows it; what was before the first snapshot is told as `current` does.
    """
    rows = snapshots.sort_values(["deal_id", "snapshot_at"], kind="stable", ignore_index=True)
    later = rows["deal_id"] == rows["deal_id"].shift()
    moved = later & (rows["stage"] != rows["stage"].shift())
    log = pd.concat(
        [from_current(rows[~later], process), _rows(rows, rows["snapshot_at"], rows["stage"], "observed", moved)],
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
    position = {(k, s.key): i for k, p in process.pipelines.items() for i, s in enumerate(p.stages)}
    pipeline = log["deal_id"].map(deals.set_index("deal_id")["pipeline"])
    pairs = zip(pipeline, log["stage"], strict=True)
    ordered = log.assign(_position=[position[pair] for pair in pairs])
    keys = ["deal_id", "entered_at", "_position"]
    rest = [c for c in sorted(log.columns) if c not in keys]
    ordered = ordered.sort_values([*keys, *rest], kind="stable").drop(columns="_position")
    same = (ordered["deal_id"] == ordered["deal_id"].shift()) & (ordered["stage"] == ordered["stage"].shift())
    evidence = ordered["evidence"] if "evidence" in ordered else pd.Series("observed", ordered.index, dtype="str")
    return without_corrections(ordered.assign(evidence=evidence)[~same])


def without_corrections(history: pd.DataFrame) -> pd.DataFrame:
    """A bounce A→B→A within a minute is a slip of the hand: B and the return are left out."""
    deal, stage, at = history["deal_id"], history["stage"], history["entered_at"]
    back = (deal == deal.shift(2)) & (stage == stage.shift(2)) & (at - at.shift(1) < CORRECTION)
    slips: set[Any] = set()
    for _, entries in history[deal.isin(deal[back])].groupby("deal_id", sort=False):
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
    parts = [
        _rows(deals, created, start, "assumed", (decided | known_change) & created.notna()),
        _rows(deals, changed, deals["stage"], "observed", known_change),
        _rows(deals, created, deals["stage"], "assumed", ~decided & ~known_change & created.notna()),
        _rows(deals, closed, deals["stage"], "observed", decided & closed.notna()),
    ]
    if "lost_stage" in deals:
        before = decided & deals["lost_stage"].notna() & (deals["lost_stage"] != start) & created.notna()
        parts.insert(1, _rows(deals, created, deals["lost_stage"], "inferred", before))
    return pd.concat(parts, ignore_index=True).sort_values(["deal_id", "entered_at"], kind="stable", ignore_index=True)


def _rows(deals: pd.DataFrame, at: pd.Series, stage: pd.Series, evidence: str, rows: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "deal_id": deals["deal_id"][rows],
            "entered_at": at[rows],
            "stage": stage[rows],
            "evidence": pd.Series(evidence, deals.index[rows], dtype="str"),
        }
    )


def _unlogged_last(deals: pd.DataFrame, logged: pd.DataFrame) -> pd.DataFrame:
    """A deal's own stage is the truth for now: where the log lags behind it, one inferred row completes the log."""
    last = logged.drop_duplicates("deal_id", keep="last").set_index("deal_id")
    last_stage, last_at = of_deals(deals, last["stage"]), of_deals(deals, last["entered_at"])
    lags = last_stage.notna() & (last_stage != deals["stage"])
    at = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    for column in ("closed_at", "stage_changed_at", "updated_at"):
        if column in deals:
            at = at.where(at.notna(), deals[column].where(deals[column] >= last_at))
    return _rows(deals, at.where(at.notna(), last_at), deals["stage"], "inferred", lags)
