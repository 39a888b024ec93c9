"""What a load found: counts, repairs, contradictions, keys that match nothing; and the laws that must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

import pandas as pd

from salescoach.book import REFERENCES
from salescoach.errors import LawBroken
from salescoach.process import Process, fold_name
from salescoach.sources.draft import Draft

EXAMPLES = 5


def money_by_currency(frame: pd.DataFrame, currency: str, column: str = "amount_minor") -> dict[str, int]:
    """Exact sum of a money column per currency, in minor units."""
    if column not in frame:
        return {}
    money = frame["currency"].fillna(currency) if "currency" in frame else pd.Series(currency, frame.index)
    sums = frame[column].astype("Int64").fillna(0).groupby(money).sum()
    return {str(k): int(v) for k, v in sums.items()}


def quality(
    drafts: Mapping[str, Draft],
    tables: Mapping[str, pd.DataFrame],
    notes: list[dict[str, Any]],
    ignored: list[str],
    currency: str,
) -> dict[str, Any]:
    """Rows read, used, quarantined and blank per table; money in and out of the deals; notes; reasons with counts."""
    rows = {
        n: {
            "read": d.read,
            "used": int(d.alive.sum()),
            "quarantined": d.quarantined,
            "blank": d.blank,
            "other": d.other,
        }
        for n, d in drafts.items()
    }
    deals = drafts["deals"]
    out = deals.table[deals.rejected]
    earlier = deals.table[~deals.alive & ~deals.rejected]
    money = {
        "in": money_by_currency(deals.table, currency),
        "used": money_by_currency(tables["deals"], currency, "amount_loaded_minor"),
        "quarantined": money_by_currency(out, currency),
        "other": money_by_currency(earlier, currency),
    }
    reasons = pd.concat([d.quarantine() for d in drafts.values()])["reason"].value_counts()
    return {
        "rows": rows,
        "money_minor": money,
        "reasons": {str(k): int(v) for k, v in sorted(reasons.items())},
        "notes": notes,
        "files_ignored": ignored,
    }


def check_laws(found: Mapping[str, Any]) -> None:
    """Rows in = used + quarantined + blank + other; money in = used + quarantined + other. Raises LawBroken."""
    for name, n in found["rows"].items():
        if n["read"] != n["used"] + n["quarantined"] + n["blank"] + n["other"]:
            raise LawBroken(
                f"{name}: {n['read']:,} records read, but {n['used']:,} used + {n['quarantined']:,} quarantined + "
                f"{n['blank']:,} blank. This is a fault of salescoach; please report it with this line."
            )
    money = found["money_minor"]
    for currency, total in money["in"].items():
        parts = sum(money[part].get(currency, 0) for part in ("used", "quarantined", "other"))
        if total != parts:
            raise LawBroken(
                f"deals: {currency} {total:,} minor units read, but {parts:,} used and quarantined. "
                "This is a fault of salescoach; please report it with this line."
            )


def note(check: str, table: str, column: str, rows: Sized, examples: pd.Series | None = None) -> list[dict[str, Any]]:
    """One note with its count and up to five examples, or nothing where nothing was found."""
    count = len(rows)
    if not count:
        return []
    shown = [] if examples is None else [str(v) for v in examples.drop_duplicates().sort_values().head(EXAMPLES)]
    return [{"check": check, "table": table, "column": column, "count": count, "examples": shown}]


def file_notes(drafts: Mapping[str, Draft]) -> list[dict[str, Any]]:
    """Files whose last line has no end: the last record may be cut."""
    return [n for d in drafts.values() for n in note("no-final-newline", d.name, "", d.cut, pd.Series(d.cut))]


def alike_ids(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Owners that differ only in case, blanks or the composition of letters: probably one person, and left as two."""
    notes: list[dict[str, Any]] = []
    for name in ("deals", "leads", "activities"):
        if name in tables and "rep_id" in tables[name]:
            owners = pd.Series(tables[name]["rep_id"].dropna().unique(), dtype="str")
            alike = owners[owners.map(fold_name).duplicated(keep=False)]
            notes += note("alike-ids", name, "rep_id", alike, alike)
    return notes


def contradictions(deals: pd.DataFrame, by_stage: pd.Series) -> list[dict[str, Any]]:
    """Where a deal's outcome or close does not fit its stage; the outcome that the source gives counts."""
    ids = deals["deal_id"]
    against = ids[(deals["outcome"] != by_stage) & (by_stage != "open")]
    notes = note("outcome-contradicts-stage", "deals", "outcome", against, against)
    if "closed_at" in deals:
        early = ids[(deals["outcome"] == "open") & deals["closed_at"].notna()]
        notes += note("open-with-close-date", "deals", "closed_at", early, early)
    return notes


def against_order(log: pd.DataFrame, deals: pd.DataFrame, process: Process) -> list[dict[str, Any]]:
    """Deals whose stage dates run against the order of the process: they went back, and only the last entry is kept."""
    pipeline = log["deal_id"].map(deals.set_index("deal_id")["pipeline"])
    order = {(key, s.key): i for key, p in process.pipelines.items() for i, s in enumerate(p.stages)}
    steps = log.assign(_step=[order[pair] for pair in zip(pipeline, log["stage"], strict=True)])
    steps = steps.sort_values(["deal_id", "entered_at", "_step"], kind="stable")
    back = (steps["deal_id"] == steps["deal_id"].shift()) & (steps["_step"] < steps["_step"].shift())
    ids = steps["deal_id"][back].drop_duplicates()
    return note("stage-dates-against-order", "deals", "stage", ids, ids)


def unmatched_keys(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Keys of one table that another does not know: reported, and nothing is dropped for it."""
    notes: list[dict[str, Any]] = []
    for child, column, parent in REFERENCES:
        if child in tables and parent in tables and column in tables[child] and column in tables[parent]:
            keys = tables[child][column]
            known = pd.Index(tables[parent][column].unique()).get_indexer(keys) >= 0
            lost = keys[keys.notna() & ~known]
            notes += note("unmatched-key", child, column, lost, lost)
    return notes


def deal_notes(deals: pd.DataFrame, as_of_on: pd.Timestamp) -> list[dict[str, Any]]:
    """Things a reader of the numbers should know about the deals."""
    outcome = deals["outcome"]
    ids = deals["deal_id"]
    notes: list[dict[str, Any]] = []
    decided = outcome.isin(["won", "lost"])
    open_ = outcome == "open"

    def add(check: str, column: str, rows: pd.Series) -> None:
        notes.extend(note(check, "deals", column, deals[rows], ids[rows]))

    if "rep_id" in deals:
        add("no-rep", "rep_id", deals["rep_id"].isna())
    if "created_at" in deals:
        add("no-created-date", "created_at", deals["created_at"].isna())
    if "closed_at" in deals:
        add("decided-without-close-date", "closed_at", decided & deals["closed_at"].isna())
    if "amount" in deals:
        add("open-without-amount", "amount", open_ & deals["amount"].isna())
        add("negative-amount", "amount", deals["amount"] < 0)
        add("won-without-amount", "amount", (outcome == "won") & ~(deals["amount"] > 0))
        add("amount-zero-at-loss", "amount", (outcome == "lost") & (deals["amount_loaded_minor"] == 0).fillna(False))
    if "lost_reason" in deals:
        add("lost-without-reason", "lost_reason", (outcome == "lost") & deals["lost_reason"].isna())
    if "expected_close_on" in deals:
        add("stale-expected-close", "expected_close_on", open_ & (deals["expected_close_on"] < as_of_on))
    return notes
