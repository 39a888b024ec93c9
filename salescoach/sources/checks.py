"""What a load found: counts, repairs, contradictions, keys that match nothing; and the laws that must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from decimal import Decimal
from typing import Any

import pandas as pd

from salescoach.book import REFERENCES, is_in
from salescoach.book.splits import is_overlay, wrong_sums
from salescoach.book.texts import smallest
from salescoach.errors import ControlTotal, InputError, LawBroken, Sentence, commas, counted, joined
from salescoach.process import Process, fold_name
from salescoach.sources.draft import Draft
from salescoach.sources.parse import minor_digits
from salescoach.wording import N_

EXAMPLES = 5
PEAK = 10  # a day is unusual that has more than this many times the rows of the median day …
PEAK_MOVES, PEAK_CREATED = 0.05, 0.2  # … and more than this share of all
PEAK_ROWS = 20


def money_by_currency(frame: pd.DataFrame, currency: str, column: str = "amount_minor") -> dict[str, int]:
    """Exact sum of a money column per currency, in minor units."""
    if column not in frame:
        return {}
    if "currency" not in frame:
        return {currency: int(frame[column].astype("Int64").sum())} if len(frame) else {}
    sums = frame[column].astype("Int64").fillna(0).groupby(frame["currency"].fillna(currency)).sum()
    return {str(k): int(v) for k, v in sums.items()}


def money_of(deals: Draft, currency: str) -> dict[str, dict[str, int]]:
    """Exact sums of what was read, quarantined, and told elsewhere (earlier snapshots), in minor units."""
    earlier = ~deals.alive & ~deals.rejected
    return {
        "in": money_by_currency(deals.table, currency),
        "quarantined": money_by_currency(deals.table[deals.rejected], currency),
        "other": money_by_currency(deals.table[earlier], currency),
    }


def quality(
    drafts: Mapping[str, Draft],
    tables: Mapping[str, pd.DataFrame],
    money_read: Mapping[str, dict[str, int]],
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
    money = {**money_read, "used": money_by_currency(tables["deals"], currency, "amount_loaded_minor")}
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
                "{name}: {read:,} records read, but {used:,} used + {quarantined:,} quarantined + {blank:,} "
                "blank. This is a fault of salescoach; please report it with this line.",
                name=name,
                read=n["read"],
                used=n["used"],
                quarantined=n["quarantined"],
                blank=n["blank"],
            )
    money = found["money_minor"]
    for currency, total in money["in"].items():
        parts = sum(money[part].get(currency, 0) for part in ("used", "quarantined", "other"))
        if total != parts:
            raise LawBroken(
                "deals: {currency} {total:,} minor units read, but {parts:,} used and quarantined. This is a "
                "fault of salescoach; please report it with this line.",
                currency=currency,
                total=total,
                parts=parts,
            )


def check_totals(draft: Draft, currency: str) -> None:
    """Raise ControlTotal where a table does not hold what its export said it held: a download may have been cut."""
    names = commas(f for f, _, _ in draft.files)
    wanted = draft.source.expect_rows
    records = draft.read - draft.blank
    if wanted is not None and records != wanted:
        raise ControlTotal(
            "{names} holds {records} of {table}, and expect_rows says {wanted:,}. Export it again, or correct "
            "expect_rows.",
            names=names,
            records=counted(records, N_("{n:,} record"), N_("{n:,} records")),
            table=draft.name,
            wanted=wanted,
        )
    for column, total in draft.source.expect_sum.items():
        if column not in draft.table:
            raise ControlTotal(
                "{names}: expect_sum names {column!r}, which {table} does not have. Correct it.",
                names=names,
                column=column,
                table=draft.name,
            )
        if f"{column}_minor" in draft.table:
            minor = Decimal(int(draft.table[f"{column}_minor"].sum()))
            found = minor.scaleb(-int(minor_digits(pd.Series([currency])).iloc[0]))
        else:
            found = Decimal(repr(float(draft.table[column].sum())))
        if found != total:
            raise ControlTotal(
                "{names}: the {column} of all {table} add up to {found:,}, and expect_sum says {total:,}. "
                "Export it again, or correct expect_sum.",
                names=names,
                column=column,
                table=draft.name,
                found=found,
                total=total,
            )


def check_shares(splits: Draft) -> None:
    """Raise InputError where the shares of a deal do not add up to 1: its amount would be credited twice, or lost."""
    used = splits.table[splits.alive]
    wrong = wrong_sums(used)
    if wrong.empty:
        return
    rows = splits.alive & splits.table["deal_id"].isin(wrong.index) & ~is_overlay(splits.table)
    stands: dict[str, list[str]] = {}
    for deal, place in zip(splits.table["deal_id"][rows], splits.stands(rows), strict=True):
        stands.setdefault(str(deal), []).append(place)
    shown = [
        Sentence("{deal} ({total:.4g}: {stands})", deal=deal, total=total, stands=joined(stands[str(deal)], "; "))
        for deal, total in wrong.head(EXAMPLES).items()
    ]
    more = Sentence(", and {n:,} more", n=len(wrong) - EXAMPLES) if len(wrong) > EXAMPLES else ""
    raise InputError(
        "The shares of {deals} do not add up to 1: {shown}{more}. Correct them; a share on top of the deal has the "
        "split_type overlay.",
        deals=counted(len(wrong), N_("{n:,} deal"), N_("{n:,} deals")),
        shown=commas(shown),
        more=more,
    )


def note(check: str, table: str, column: str, rows: Sized, examples: pd.Series | None = None) -> list[dict[str, Any]]:
    """One note with its count and up to five examples, or nothing where nothing was found."""
    count = len(rows)
    if not count:
        return []
    shown = [] if examples is None else smallest(examples, EXAMPLES)
    return [{"check": check, "table": table, "column": column, "count": count, "examples": shown}]


def file_notes(drafts: Mapping[str, Draft]) -> list[dict[str, Any]]:
    """Files whose last line has no end: the last record may be cut."""
    return [n for d in drafts.values() for n in note("no-final-newline", d.name, "", d.cut, pd.Series(d.cut))]


def versions_left_out(found: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Files of every version of what another file tells as it is now."""
    return [n for table, files in found.items() for n in note("versions-left-out", table, "", files, pd.Series(files))]


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
        if child == "stage_history":  # its rows without a deal were set aside
            continue
        if child in tables and parent in tables and column in tables[child] and column in tables[parent]:
            keys = tables[child][column]
            lost = keys[keys.notna() & ~is_in(keys, tables[parent][column])]
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
        if rows.any():
            notes.extend(note(check, "deals", column, ids[rows], ids[rows]))

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


def twin_deals(deals: pd.DataFrame, zone: str) -> list[dict[str, Any]]:
    """Deals of one owner, amount, day of creation and account or name under several ids: probably one deal."""
    named = [c for c in ("account_id", "name") if c in deals]
    if not named or not {"rep_id", "created_at", "amount_minor"} <= set(deals.columns):
        return []
    known = deals["rep_id"].notna() & deals["created_at"].notna() & (deals["amount_minor"] > 0).fillna(False)
    known &= deals[named].notna().any(axis=1)
    keys = ["rep_id", "amount_minor", *named, *(c for c in ("currency", "product", "deal_type") if c in deals)]
    told = deals.loc[known, keys].assign(_on=_days(deals.loc[known, "created_at"], zone))
    if "name" in told:
        told["name"] = told["name"].map(fold_name, na_action="ignore")
    twins = deals.loc[told.index[told.duplicated(keep=False)], "deal_id"]
    return note("twin-deals", "deals", "deal_id", twins, twins)


def unusual_days(tables: Mapping[str, pd.DataFrame], zone: str) -> list[dict[str, Any]]:
    """Days on which somebody, or a program, wrote many deals at once: what happened then is dated wrongly."""
    deals, log = tables["deals"], tables["stage_history"]
    moves = log.loc[log["evidence"] == "observed", "entered_at"]
    table, column = "stage_history", "entered_at"
    if moves.empty and "closed_at" in deals:
        table, column, moves = "deals", "closed_at", deals["closed_at"]
    found = _peak_days("bulk-update-day", table, column, _days(moves, zone), PEAK_MOVES)
    if "created_at" in deals:
        found += _peak_days("migration-day", "deals", "created_at", _days(deals["created_at"], zone), PEAK_CREATED)
    return found


def _peak_days(check: str, table: str, column: str, days: pd.Series, share: float) -> list[dict[str, Any]]:
    counts = days.dropna().value_counts()
    usual = [counts.drop(day).median() if len(counts) > 1 else 0 for day in counts.index[:EXAMPLES]]
    most = counts.head(EXAMPLES)
    high = most[(most > PEAK * pd.Series(usual, most.index)) & (most > share * counts.sum()) & (most >= PEAK_ROWS)]
    rows = days[days.isin(high.index)]
    return note(check, table, column, rows, rows.dt.strftime("%Y-%m-%d"))


def _days(instants: pd.Series, zone: str) -> pd.Series:
    days: pd.Series = instants.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return days
