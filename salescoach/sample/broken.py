"""Plants rows that a load has to quarantine; each is wrong in one way only.

Every broken row is an extra row with no children: a load that quarantines
exactly these has the sample in its hands again.
"""

from __future__ import annotations

from salescoach.errors import UsageError
from salescoach.sample.mess import Mess
from salescoach.sample.rates import DirtRates
from salescoach.sample.text import TextTable

TOO_LONG_ID = "D90020"

DEFECTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    # kind, reason code, what is changed in a sound row; the first two share one id
    ("same-id-other-content", "conflicting-id", {"amount": "11000"}),
    ("same-id-other-content", "conflicting-id", {"amount": "12000"}),
    ("stage-nobody-knows", "unknown-stage", {"stage": "Security review"}),
    ("impossible-date", "bad-date", {"created_at": "2025-02-30 10:00:00"}),
    ("number-nobody-can-read", "bad-number", {"amount": "12,5,0"}),
    ("nul-in-a-name", "control-char", {"name": "Broken\x00 name"}),
    ("no-deal-id", "missing-id", {"deal_id": ""}),
    ("no-stage", "missing-stage", {"stage": ""}),
    ("closed-before-created", "closed-before-created", {"created_at": "2026-06-15 10:00:00"}),
    ("closed-in-the-future", "future-stamp", {"closed_at": "2099-12-31 10:00:00"}),
)


def plant_repeated_rows(mess: Mess, rates: DirtRates) -> None:
    """Rows exported twice, exactly."""
    counts = {
        "deals": int(rates.broken_deal_rows),
        "stage_history": rates.repeated_history_rows,
        "activities": rates.repeated_activity_rows,
        "leads": rates.repeated_lead_rows,
    }
    for table, count in counts.items():
        rows = mess.choose(mess.any_row(table), count)
        ids = mess.tables[table].iloc[rows, 0]
        mess.repeat(table, rows)
        mess.note("repeated-row", table, len(rows), "quarantined", "duplicate", ids)


def plant_child_rows(mess: Mess, rates: DirtRates) -> None:
    """Entries of deals that do not exist, and rows with dates that do not."""
    columns = [str(column) for column in mess.tables["stage_history"]]
    ghosts = [f"D98{number:03d}" for number in range(1, rates.orphan_history_rows + 1)]
    entries = [(ghost, "2025-11-03 10:00:00", "Proposal", "R01", "12000") for ghost in ghosts]
    mess.append("stage_history", [dict(zip(columns, entry, strict=True)) for entry in entries])
    mess.note("history-of-unknown-deal", "stage_history", len(ghosts), "quarantined", "unknown-deal", ghosts)
    _undated(mess, "stage_history", "entered_at", "2026-02-30 10:00:00", rates.undated_history_rows)
    _undated(mess, "activities", "at", "0000-00-00 00:00:00", rates.undated_activity_rows)


def _undated(mess: Mess, table: str, column: str, stamp: str, count: int) -> None:
    """Copies of real rows with an impossible date, so that only the date is wrong with them."""
    copies = mess.copies(table, mess.choose(mess.any_row(table), count))
    for number, row in enumerate(copies, start=1):
        row[column] = stamp
        if "activity_id" in row:
            row["activity_id"] = f"T9{number:04d}"
    mess.append(table, copies)
    ids = [next(iter(row.values())) for row in copies]
    mess.note("impossible-date", table, len(copies), "quarantined", "bad-date", ids)


def plant_lead_rows(mess: Mess, rates: DirtRates) -> None:
    """Leads exported twice with different sources: nothing says which is right, so neither can be used."""
    alone = mess.tables["leads"]["status"] == "disqualified"
    rows: list[dict[str, str]] = []
    twins = mess.copies("leads", mess.choose(alone, rates.conflicting_leads))
    for number, lead in enumerate(twins, start=1):
        lead["lead_id"] = f"L9{number:04d}"
        rows += [lead | {"lead_source": source} for source in ("website", "partner")]
    mess.append("leads", rows)
    ids = [row["lead_id"] for row in rows]
    mess.note("same-id-other-content", "leads", len(rows), "quarantined", "conflicting-id", ids)


def plant_broken_deals(mess: Mess) -> None:
    """One deal row for each way of being wrong, made from a sound row under an id of its own."""
    *models, renewed = _models(mess)
    # The two rows of a conflict share id and model, and were updated in the same second.
    sources = [models[0], *models]
    rows = []
    pairs = zip(DEFECTS, sources, strict=True)
    for number, ((kind, reason, change), model) in enumerate(pairs):
        row = model | {"deal_id": f"D9{max(number, 1):04d}", "lead_id": ""} | change
        rows.append(row)
        mess.note(kind, "deals", 1, "quarantined", reason, [row["deal_id"]] if row["deal_id"] else [])
    older = {"stage": "Proposal", "closed_at": "", "lost_reason": "", "probability": "0.5"}
    rows.append(renewed | older | {"updated_at": renewed["created_at"]})
    mess.note("older-version-of-a-deal", "deals", 1, "quarantined", "superseded", [renewed["deal_id"]])
    mess.append("deals", rows)


def _models(mess: Mess) -> list[dict[str, str]]:
    """Sound rows of deals lost in the middle of the book: as many as there are defects."""
    deals = mess.tables["deals"]
    sound = deals["amount"].str.fullmatch(r"\d{4,}") & (deals["stage"] == "Closed Lost")
    sound &= deals["closed_at"].between("2025-06-01", "2026-05-31")
    sound &= (deals["rep_id"] != "") & (deals["lost_reason"] != "") & ~deals["deal_id"].duplicated(keep=False)
    models = mess.copies("deals", mess.choose(sound, len(DEFECTS)))
    if len(models) < len(DEFECTS):
        raise UsageError(
            "This sample has too few lost deals for broken deal rows. Simulate 300 deals and twelve months "
            "or more, or plant no broken rows with DirtRates(broken_deal_rows=False)."
        )
    return models


def plant_broken_lines(deals: TextTable, mess: Mess) -> TextTable:
    """Lines that are not rows of this table at all: one field too many, a second header, a footer."""
    lines = [list(row) for row in deals.rows]
    stage, lead = deals.header.index("stage"), deals.header.index("lead_id")
    too_long = [*next(row for row in lines if row[stage] == "Closed Lost"), "one more"]
    too_long[0], too_long[lead] = TOO_LONG_ID, ""
    total = {"name": "Total", "amount": "999999999"}
    lines.insert(len(lines) // 3, too_long)
    lines.insert(len(lines) // 2, list(deals.header))
    lines.append([total.get(column, "") for column in deals.header])
    mess.note("one-field-too-many", "deals", 1, "quarantined", "field-count", [TOO_LONG_ID])
    mess.note("header-in-the-middle", "deals", 1, "quarantined", "repeated-header")
    mess.note("footer-with-total", "deals", 1, "quarantined", "summary-row")
    return TextTable(deals.header, lines)
