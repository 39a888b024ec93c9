"""Small books, written down in a few lines, and generated ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import TABLES, Book
from salescoach.kit import kit_path
from salescoach.process import Process, read_process
from salescoach.sources.load import load_book

ZONE = "Asia/Shanghai"
DTYPES = {
    "instant": "datetime64[us, UTC]",
    "date": "datetime64[us]",
    "number": "float64",
    "share": "float64",
    "flag": "bool",
}
STAGES = ("prospect", "qualified", "quote", "contract")
Rows = Sequence[Mapping[str, Any]]


def _instants(values: pd.Series) -> pd.Series:
    local = pd.to_datetime(values, format="ISO8601")
    return local.dt.tz_localize(ZONE).dt.tz_convert("UTC").astype("datetime64[us, UTC]")


def _table(name: str, rows: Rows) -> pd.DataFrame:
    """Rows as the table that `load_book` would give: same column types."""
    known = TABLES[name].columns
    columns = list(dict.fromkeys([*TABLES[name].mandatory, *(c for row in rows for c in row)]))
    frame = pd.DataFrame({c: [row.get(c) for row in rows] for c in columns})
    typed: dict[str, pd.Series] = {}
    for column in columns:
        role = known.get(column, "text")
        if role == "instant":
            typed[column] = _instants(frame[column])
        elif role == "money":
            typed[column] = frame[column].astype("float64")
            typed[f"{column}_minor"] = (typed[column] * 100).round().astype("Int64")
        else:
            typed[column] = frame[column].astype(DTYPES.get(role, "str"))
    return pd.DataFrame(typed)


def _log(deals: list[dict[str, Any]], log: Mapping[str, str]) -> list[dict[str, Any]]:
    """History rows from "prospect 2026-01-01, won 2026-01-20"; fills in what the deals do not say."""
    rows: list[dict[str, Any]] = []
    by_id = {deal["deal_id"]: deal for deal in deals}
    for deal_id, text in log.items():
        steps = [step.split() for step in text.split(",")]
        rows += [{"deal_id": deal_id, "stage": stage, "entered_at": at} for stage, at in steps]
        deal, (stage, at) = by_id.setdefault(deal_id, {"deal_id": deal_id}), steps[-1]
        deal.setdefault("stage", stage)
        deal.setdefault("created_at", steps[0][1])
        if stage in ("won", "lost", "void"):
            deal.setdefault("closed_at", at)
    deals[:] = by_id.values()
    return rows


def build(
    deals: Rows = (),
    log: Mapping[str, str] | None = None,
    as_of: str = "2026-06-30",
    process: Process | None = None,
    currency: str = "CNY",
    **tables: Rows,
) -> Book:
    """A book from rows in local time; `log` maps a deal to its stages with their days."""
    rows = [dict(deal) for deal in deals]
    history = _log(rows, log) if log is not None else None
    for deal in rows:
        deal.setdefault("stage", deal.get("outcome") if deal.get("outcome") in ("won", "lost", "void") else "prospect")
        deal.setdefault("outcome", deal["stage"] if deal["stage"] in ("won", "lost", "void") else "open")
        deal.setdefault("pipeline", "new")
    made = {"deals": _table("deals", rows), **{name: _table(name, content) for name, content in tables.items()}}
    if history is not None:
        made["stage_history"] = _table("stage_history", history).assign(evidence="observed")
        made["stage_history"]["evidence"] = made["stage_history"]["evidence"].astype("str")
    end = (pd.Timestamp(as_of) + pd.Timedelta(days=1)).tz_localize(ZONE).tz_convert("UTC") - pd.Timedelta("1us")
    return Book(tables=made, process=process or standard(), as_of=end, currency=currency)


def standard() -> Process:
    return read_process(kit_path("templates/process") / "standard.toml")


@cache
def random_book(seed: int, size: int = 60) -> Book:
    """A seeded book full of the awkward: skips, moves back, reopenings, handovers, blanks, ties, void deals."""
    chance = np.random.default_rng(seed)
    reps = [f"R{i}" for i in range(1, 5)]
    start, end = pd.Timestamp("2025-01-01"), pd.Timestamp("2026-06-30 23:00")
    deals, log, changes, leads, activities = [], {}, [], [], []
    for i in range(size):
        key = f"D{i:03}"
        at = start + pd.Timedelta(hours=int(chance.integers(0, 24 * 540)))
        owner = reps[chance.integers(0, 4)] if chance.random() > 0.1 else None
        deal: dict[str, Any] = {
            "deal_id": key,
            "rep_id": owner,
            "amount": _maybe(chance, float(chance.integers(1, 999))),
            "account_id": _maybe(chance, f"A{chance.integers(0, 12)}"),
            "lead_source": _maybe(chance, str(chance.choice(["web", "fair", "partner"]))),
            "expected_close_on": _maybe(chance, str((at + pd.Timedelta(days=60)).date())),
        }
        steps, stage = [("prospect", at)], 0
        ending = chance.choice(["won", "lost", "lost", "void", "open"])
        for _ in range(int(chance.integers(0, 7))):
            options = [s for s in (stage - 1, stage + 1, stage + 1, stage + 2) if 0 <= s < 4 and s != stage]
            stage = int(chance.choice(options))
            at += pd.Timedelta(minutes=int(chance.choice([0, 3, 90, 2000, 20000, 90000])))
            steps.append((STAGES[stage], at))
            if chance.random() < 0.05:
                at += pd.Timedelta(days=2)
                steps.append(("lost", at))
                at += pd.Timedelta(days=9)
                steps.append((STAGES[stage], at))
        if ending != "open":
            at += pd.Timedelta(minutes=int(chance.choice([0, 50, 3000, 40000])))
            steps.append((str(ending), at))
        steps = [step for step in steps if step[1] <= end]
        log[key] = ", ".join(f"{s} {t.isoformat()}" for s, t in steps)
        if owner and chance.random() < 0.2:
            moved = steps[0][1] + pd.Timedelta(days=int(chance.integers(0, 60)), hours=1)
            if moved <= end:
                old = str(chance.choice([r for r in reps if r != owner]))
                changes.append({"deal_id": key, "at": moved.isoformat(), "field": "rep_id", "old": old, "new": owner})
        deals.append(deal)
    for i in range(size):
        at = start + pd.Timedelta(minutes=int(chance.integers(0, 60 * 24 * 545)))
        answered = at + pd.Timedelta(minutes=int(chance.choice([1, 40, 130, 600, 5000])))
        linked = f"D{i:03}" if chance.random() < 0.4 else None
        leads.append(
            {
                "lead_id": f"L{i:03}",
                "created_at": at.isoformat(),
                "rep_id": _maybe(chance, reps[chance.integers(0, 4)]),
                "lead_source": _maybe(chance, str(chance.choice(["web", "fair"]))),
                "deal_id": linked,
                "first_response_at": answered.isoformat() if chance.random() < 0.8 and answered <= end else None,
            }
        )
        if linked:
            when = start + pd.Timedelta(hours=int(chance.integers(0, 24 * 540)))
            activities.append(
                {
                    "activity_id": f"T{i}",
                    "rep_id": "R1",
                    "at": when.isoformat(),
                    "activity_type": "call",
                    "deal_id": linked,
                }
            )
    targets = [
        {
            "rep_id": rep,
            "metric": "won_amount",
            "start_on": f"2025-{3 * q + 1:02}-01",
            "end_on": str((pd.Timestamp(f"2025-{3 * q + 1:02}-01") + pd.offsets.QuarterEnd(0)).date()),
            "value": 1000.0 + 100 * q,
        }
        for rep in reps[:3]
        for q in range(4)
    ]
    people = [
        {
            "rep_id": rep,
            "name": f"Name {rep}",
            "team": "North" if n < 2 else "South",
            "manager": "M" if n < 3 else None,
            "start_on": "2024-01-01" if n else "2025-02-10",
            "end_on": None if n != 2 else "2025-11-15",
        }
        for n, rep in enumerate([*reps, "R9"])
    ]
    return build(
        deals,
        log,
        changes=changes or [{"deal_id": "D000", "at": "2025-01-01", "field": "amount"}],
        leads=leads,
        activities=activities
        or [{"activity_id": "T", "rep_id": "R1", "at": "2025-01-01", "activity_type": "call", "deal_id": None}],
        reps=people,
        targets=targets,
    )


@cache
def busy_book(seed: int, size: int = 60) -> Book:
    """`random_book` with segments, contacts of both sides, plans, quotes, and expected closes and amounts that move."""
    plain, chance = random_book(seed, size), np.random.default_rng(seed + 9000)
    deals = plain.deals.assign(segment=chance.choice(["SMB", "Mid"], size=len(plain.deals)))
    deals["segment"] = deals["segment"].astype("str").mask(chance.random(len(deals)) < 0.1)
    activities, quotes = _contacts_of(deals, plain, chance)
    changes = [
        {"deal_id": r["deal_id"], "at": r["at"], "field": r["field"], "old": r["old"], "new": r.get("new")}
        for r in plain.table("changes").assign(at=_written(plain, "changes")).to_dict("records")
    ]
    changes += _moves_of(deals, plain, chance)
    tables = {**plain.tables, "deals": deals, "changes": _table("changes", changes), "quotes": _table("quotes", quotes)}
    tables["activities"] = _table("activities", activities)
    done = [row["done"] for row in activities]
    tables["activities"]["done"] = pd.Series(done, dtype="boolean")
    return replace(plain, tables=tables)


def _written(book: Book, table: str) -> list[str]:
    local = book.table(table)["at"].dt.tz_convert(book.timezone).dt.tz_localize(None)
    return [at.isoformat() for at in local]


def _lives(deals: pd.DataFrame, book: Book) -> list[tuple[dict[str, Any], pd.Timestamp, pd.Timestamp]]:
    """Each deal with the local time at which it began and was last seen open."""
    end = book.as_of.tz_convert(book.timezone).tz_localize(None)
    found = []
    for row in deals.to_dict("records"):
        begun = row["created_at"].tz_convert(book.timezone).tz_localize(None)
        closed = row["closed_at"]
        last = end if closed is None or pd.isna(closed) else closed.tz_convert(book.timezone).tz_localize(None)
        found.append((row, begun, max(begun, last)))
    return found


def _contacts_of(deals: pd.DataFrame, book: Book, chance: np.random.Generator) -> tuple[list[Any], list[Any]]:
    activities: list[dict[str, Any]] = []
    quotes: list[dict[str, Any]] = []
    for row, begun, last in _lives(deals, book):
        for _ in range(int(chance.integers(0, 9))):
            at = begun + (last - begun) * float(chance.random() * 1.05 - 0.02)
            kind = str(chance.choice(["call", "email", "meeting", "demo", "quote", "note", "Call"]))
            due = str((at + pd.Timedelta(days=int(chance.integers(0, 90)))).date()) if chance.random() < 0.2 else None
            activities.append(
                {
                    "activity_id": f"B{len(activities)}",
                    "rep_id": row["rep_id"] if isinstance(row["rep_id"], str) else "R2",
                    "at": min(at, pd.Timestamp("2026-06-30 20:00")).isoformat(),
                    "activity_type": kind,
                    "deal_id": row["deal_id"] if chance.random() < 0.95 else None,
                    "direction": chance.choice(
                        np.array(["in", "out", "Outbound", None], dtype=object), p=[0.4, 0.3, 0.2, 0.1]
                    ),
                    "due_on": due,
                    "done": chance.choice(np.array([True, False, None], dtype=object)) if due else None,
                }
            )
        if chance.random() < 0.2:
            quotes.append({"quote_id": f"Q{len(quotes)}", "deal_id": row["deal_id"], "at": begun.isoformat()})
    return activities, quotes


def _moves_of(deals: pd.DataFrame, book: Book, chance: np.random.Generator) -> list[dict[str, Any]]:
    """Changes of the expected close and of the amount that end in what the deals say now."""
    rows: list[dict[str, Any]] = []
    for row, begun, last in _lives(deals, book):
        now = row["expected_close_on"]
        times = sorted(begun + (last - begun) * float(chance.random()) for _ in range(int(chance.integers(0, 4))))
        days = [now + pd.Timedelta(days=int(chance.integers(-80, 60))) if pd.notna(now) else None for _ in times] + [
            now
        ]
        for at, old, new in zip(times, days, days[1:], strict=False):
            texts = [str(day.date()) if day is not None and pd.notna(day) else None for day in (old, new)]
            move = {"deal_id": row["deal_id"], "at": at.isoformat(), "field": "expected_close_on"}
            rows.append({**move, "old": texts[0], "new": texts[1]})
        if pd.notna(row["amount"]) and chance.random() < 0.3:
            at = begun + (last - begun) * float(chance.random())
            change = {"deal_id": row["deal_id"], "at": at.isoformat(), "field": "amount"}
            rows.append({**change, "old": str(int(chance.integers(1, 999))), "new": str(int(row["amount"]))})
    return rows


def plain_rows(book: Book, name: str) -> list[dict[str, Any]]:
    """A table as dictionaries; instants become local naive datetimes, blanks None."""
    rows = []
    for record in book.tables[name].to_dict("records") if name in book.tables else []:
        row: dict[str, Any] = {}
        for column, value in record.items():
            if value is None or value is pd.NaT or value is pd.NA or value != value:
                row[column] = None
            elif isinstance(value, pd.Timestamp):
                stamp = value.tz_convert(book.timezone).tz_localize(None) if value.tz is not None else value
                row[column] = stamp.to_pydatetime(warn=False)
            else:
                row[column] = value
        rows.append(row)
    return rows


def _maybe(chance: np.random.Generator, value: Any) -> Any:
    return value if chance.random() > 0.15 else None


@pytest.fixture(scope="session")
def book_of() -> Callable[..., Book]:
    return build


@pytest.fixture(scope="session")
def process() -> Process:
    return standard()


@pytest.fixture(scope="session")
def generated() -> Callable[..., Book]:
    return random_book


@pytest.fixture(scope="session")
def busy() -> Callable[..., Book]:
    return busy_book


@pytest.fixture(scope="session")
def plain() -> Callable[[Book, str], list[dict[str, Any]]]:
    return plain_rows


@pytest.fixture(scope="session")
def demo() -> Book:
    return load_book(kit_path("data/demo"))


@pytest.fixture(scope="session")
def trial() -> Callable[[str], Path]:
    """A folder of the shared trial data, or a skip that says what is missing."""

    def folder(name: str) -> Path:
        found = Path(__file__).resolve().parents[2].parent / "shared" / "data" / name
        if not found.exists():
            pytest.skip(f"the trial data {name!r} are not in ../shared/data")
        return found

    return folder
