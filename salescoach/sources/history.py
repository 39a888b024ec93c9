"""Stage history in one shape, whatever the CRM keeps of it.

`log`      the CRM logs each stage entry
`current`  only the current stage is known

Result: deal_id, entered_at, stage, evidence (observed, inferred, assumed), and rep_id, amount where the log has them.
"""

from __future__ import annotations

import pandas as pd

from salescoach.process import Process


def derive_history(deals: pd.DataFrame, log: pd.DataFrame | None, process: Process) -> pd.DataFrame:
    """One row per entry of a deal into a stage, sorted by deal and time.

    deals   deal_id, stage, pipeline, created_at, closed_at (the last three may be missing)
    log     deal_id, entered_at, stage, in the order of the source; None where only the current stage is known
    """
    if log is None:
        return from_current(deals, process)
    logged = from_log(log)
    silent = deals[~deals["deal_id"].isin(logged["deal_id"])]
    return pd.concat([logged, from_current(silent, process), _unlogged_last(deals, logged)], ignore_index=True).sort_values(
        ["deal_id", "entered_at"], kind="stable", ignore_index=True)


def from_log(log: pd.DataFrame) -> pd.DataFrame:
    """The log without consecutive repeats: a row that repeats the stage is an edit of something else."""
    ordered = log.sort_values(["deal_id", "entered_at"], kind="stable")
    same = (ordered["deal_id"] == ordered["deal_id"].shift()) & (ordered["stage"] == ordered["stage"].shift())
    kept = ordered[~same].assign(evidence="observed")
    return without_corrections(kept)


def without_corrections(history: pd.DataFrame) -> pd.DataFrame:
    """A bounce A→B→A within a minute is a slip of the hand: B and the return are left out."""
    deal, stage, at = history["deal_id"], history["stage"], history["entered_at"]
    back = (deal == deal.shift(2)) & (stage == stage.shift(2)) & (at - at.shift(1) < pd.Timedelta("1min"))
    bounced = back | back.shift(-1, fill_value=False)
    return history[~bounced].reset_index(drop=True)


def from_current(deals: pd.DataFrame, process: Process) -> pd.DataFrame:
    """What one row per deal can tell: created, the last stage change, and the close. No rows in between are invented.

    A deal that was decided and whose stage before that is unknown starts in an assumed first stage.
    """
    first = {key: p.working[0].key for key, p in process.pipelines.items()}
    start = deals["pipeline"].map(first)
    outcome_stages = {s.key for p in process.pipelines.values() for s in p.stages if s.outcome}
    decided = deals["stage"].isin(outcome_stages)
    empty = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    created = deals["created_at"] if "created_at" in deals else empty
    changed = deals["stage_changed_at"] if "stage_changed_at" in deals else empty
    closed = deals["closed_at"] if "closed_at" in deals else empty
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
    return pd.DataFrame({"deal_id": deals["deal_id"][rows], "entered_at": at[rows], "stage": stage[rows],
                         "evidence": pd.Series(evidence, deals.index[rows], dtype="str")})


def _unlogged_last(deals: pd.DataFrame, logged: pd.DataFrame) -> pd.DataFrame:
    """A deal's own stage is the truth for now: where the log lags behind it, one inferred row completes the log."""
    last = logged.drop_duplicates("deal_id", keep="last").set_index("deal_id")
    last_stage, last_at = deals["deal_id"].map(last["stage"]), deals["deal_id"].map(last["entered_at"])
    lags = last_stage.notna() & (last_stage != deals["stage"])
    at = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    for column in ("closed_at", "stage_changed_at", "updated_at"):
        if column in deals:
            at = at.where(at.notna(), deals[column].where(deals[column] >= last_at))
    return _rows(deals, at.where(at.notna(), last_at), deals["stage"], "inferred", lags)
