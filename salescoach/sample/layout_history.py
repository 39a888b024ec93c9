"""A clean stage history told in the ways that CRMs tell it: pairs, edited logs, snapshots."""

from __future__ import annotations

import pandas as pd

SNAPSHOT_HOUR = pd.Timedelta(hours=23)


def as_pairs(history: pd.DataFrame, with_first: bool) -> pd.DataFrame:
    """Old and new stage of each move; the first entry is no move, unless the CRM writes it without an old stage."""
    same = history["deal_id"] == history["deal_id"].shift()
    pairs = history.assign(from_stage=history["stage"].shift().where(same))
    return pairs if with_first else pairs[same].reset_index(drop=True)


def with_edits(history: pd.DataFrame) -> pd.DataFrame:
    """A log that repeats its row at an edit of the amount, a few hours after each third entry."""
    edits = history.iloc[::3].copy()
    following = history["entered_at"].shift(-1).iloc[::3]
    until = following.where(history["deal_id"].shift(-1).iloc[::3] == edits["deal_id"])
    edits["entered_at"] = edits["entered_at"] + (until - edits["entered_at"]) / 2
    edits = edits[edits["entered_at"].notna()].assign(entered_at=lambda e: e["entered_at"].dt.floor("s"))
    return pd.concat([history, edits], ignore_index=True).sort_values(["deal_id", "entered_at"], kind="stable")


def as_changes(deals: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The deals after each change of their stage."""
    moves = history[["deal_id", "entered_at", "stage"]].rename(columns={"entered_at": "snapshot_at"})
    return moves.merge(deals.drop(columns="stage"), on="deal_id", validate="m:1")


def as_snapshots(deals: pd.DataFrame, history: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """The deals as they stood late on every day: stage, owner, amount and close as of then."""
    zone = "Asia/Shanghai"
    first, last = history["entered_at"].min(), history["entered_at"].max()
    days = pd.date_range(first.tz_convert(zone).normalize(), last.tz_convert(zone).normalize()) + SNAPSHOT_HOUR
    grid = deals.drop(columns="stage").merge(pd.DataFrame({"snapshot_at": days.tz_convert("UTC")}), how="cross")
    grid["snapshot_at"] = grid["snapshot_at"].astype(history["entered_at"].dtype)
    grid = grid[grid["snapshot_at"] >= grid["created_at"]].sort_values("snapshot_at", kind="stable")
    stages = history[["deal_id", "entered_at", "stage"]].sort_values("entered_at", kind="stable")
    grid = pd.merge_asof(grid, stages, left_on="snapshot_at", right_on="entered_at", by="deal_id")
    for field in ("rep_id", "amount", "expected_close_on"):
        grid[field] = _then(grid, changes, field)
    later = grid["closed_at"] > grid["snapshot_at"]
    grid["closed_at"] = grid["closed_at"].mask(later)
    return grid.drop(columns=["entered_at", "outcome", "lost_stage", "stage_changed_at", "updated_at"])


def _then(grid: pd.DataFrame, changes: pd.DataFrame, field: str) -> pd.Series:
    """The value of a field as it was before the first change that came later."""
    later = changes[changes["field"] == field][["deal_id", "at", "old"]].sort_values("at", kind="stable")
    found = pd.merge_asof(
        grid[["deal_id", "snapshot_at"]], later, left_on="snapshot_at", right_on="at", by="deal_id", direction="forward"
    )
    old = pd.Series(found["old"].to_numpy(), grid.index)
    if field == "expected_close_on":
        old = pd.to_datetime(old)
    return grid[field].where(old.isna(), old)
