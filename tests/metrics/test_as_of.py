"""Any metric at any past day: the replayed book gives what files cut by hand on that day give."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.kit import kit_path
from salescoach.metrics import METRICS, measure
from salescoach.sources import load_book

Build = Callable[..., Book]
Record = dict[str, Any]
CLOSED = ("won", "lost", "void")
BLANK_WHEN_MOVED = ("probability", "forecast_category", "won_reason", "lost_reason", "lost_stage")
ZONE = "Asia/Shanghai"


def end_of(day: str) -> pd.Timestamp:
    return (pd.Timestamp(day) + pd.Timedelta(days=1)).tz_localize(ZONE).tz_convert("UTC") - pd.Timedelta("1us")


def differences(one: Book, other: Book, periods: tuple[str | None, ...]) -> Iterator[str]:
    """Every metric in which two books differ."""
    for name in sorted(METRICS):
        for by in (None, "team,month"):
            for period in periods:
                a, b = (measure(book, name, by, period).to_dict() for book in (one, other))
                if not same(a, b):
                    yield f"{name} by {by} in {period}: {first_difference(a, b)}"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    rows = [(a, b) for a, b in zip(one["rows"], other["rows"], strict=False) if not same(a, b)]
    return f"{rows[0][0]} against {rows[0][1]}" if rows else f"{one['because']!r} against {other['because']!r}"


# --- books of a few tables, cut record by record -----------------------------------------------------


def cut(book: Book, end: pd.Timestamp) -> Book:
    """What was known then, in plain loops over records."""
    changes = [c for c in records(book, "changes") if known(c["at"])]
    log = [h for h in records(book, "stage_history") if h["entered_at"] <= end]
    deals = []
    for deal in records(book, "deals"):
        if known(deal["created_at"]) and deal["created_at"] > end:
            continue
        seen = [h for h in log if h["deal_id"] == deal["deal_id"]]
        stage = seen[-1]["stage"] if seen else "prospect"
        later = known(deal["closed_at"]) and deal["closed_at"] > end
        if stage != deal["stage"] or later:
            deal["stage"], deal["outcome"] = stage, stage if stage in CLOSED else "open"
            deal["closed_at"] = seen[-1]["entered_at"] if stage in CLOSED else None
        for field in ("rep_id", "expected_close_on", "amount"):
            after = [c for c in changes if c["deal_id"] == deal["deal_id"] and c["field"] == field and c["at"] > end]
            if after and field == "rep_id":
                deal[field] = min(after, key=lambda c: c["at"])["old"]
        deals.append(deal)
    there = {d["deal_id"] for d in deals}
    leads = [lead for lead in records(book, "leads") if lead["created_at"] <= end]
    for lead in leads:
        if known(lead["first_response_at"]) and lead["first_response_at"] > end:
            lead["first_response_at"] = None
    rows = {
        "deals": deals,
        "stage_history": [h for h in log if h["deal_id"] in there],
        "changes": [c for c in changes if c["at"] <= end and c["deal_id"] in there],
        "leads": leads,
        "activities": [a for a in records(book, "activities") if a["at"] <= end],
    }
    tables = {name: as_table(rows[name], book.tables[name]) for name in rows}
    return Book({**book.tables, **tables}, book.process, end, book.currency)


def records(book: Book, table: str) -> list[Record]:
    return [{str(k): v for k, v in r.items()} for r in book.table(table).to_dict("records")]


def known(value: object) -> bool:
    return value is not None and not pd.isna(value)  # type: ignore[call-overload]


def as_table(rows: list[Record], like: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=like.columns)
    return frame.astype(like.dtypes.to_dict())


@pytest.mark.parametrize(
    ("seed", "day"),
    [
        (11, "2025-10-02"),
        pytest.param(12, "2025-04-11", marks=pytest.mark.nightly),
        pytest.param(12, "2026-03-31", marks=pytest.mark.nightly),
        pytest.param(13, "2026-06-29", marks=pytest.mark.nightly),
    ],
)
def test_a_replayed_book_gives_what_tables_cut_by_hand_give(seed: int, day: str, generated: Build) -> None:
    book = generated(seed)
    assert list(differences(book.at(day), cut(book, end_of(day)), (None, "2025-02..2025-10"))) == []


def test_a_replay_that_only_looked_at_the_present_would_be_found(generated: Build) -> None:
    """The trap: filtering today's deals by their dates keeps outcomes and owners that came later."""
    book, end = generated(11), end_of("2025-10-02")
    deals = book.deals
    naive = Book({"deals": deals[deals["created_at"] <= end]}, book.process, end, book.currency)
    for name in ("win_rate", "pipeline"):
        assert not same(measure(naive, name).to_dict(), measure(cut(book, end), name).to_dict())


# --- the demo, its files cut line by line ------------------------------------------------------------


def lines_of(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        return list(reader.fieldnames or []), [dict(row) for row in reader]


def write(file: Path, header: list[str], rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def tidy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's files without the deals in whose log a date cannot be read."""
    folder = tmp_path_factory.mktemp("tidy") / "demo"
    shutil.copytree(kit_path("data/demo"), folder)
    _, log = lines_of(folder / "stage_history.csv")
    unread = {h["deal_id"] for h in log if pd.isna(pd.to_datetime(h["entered_at"], errors="coerce"))}
    assert unread
    for file in (folder / "stage_history.csv", folder / "deals.csv"):
        lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        file.write_text("".join(text for text in lines if text.split(",")[0] not in unread), encoding="utf-8")
    return folder


def cut_files(day: str, folder: Path, source: Path, whole: Book) -> None:
    """The files as they would have been exported on the evening of `day`; all times are local texts."""
    last = f"{day} 23:59:59"
    used, stage_of = set(whole.deals["deal_id"]), whole.process.pipelines["new"].resolve
    for name in ("reps.csv", "targets.csv", "accounts.csv", "products.csv", "source.toml"):
        shutil.copy(source / name, folder / name)
    header, log = lines_of(source / "stage_history.csv")
    log = sorted((h for h in log if h["deal_id"] in used), key=lambda h: h["entered_at"])
    stood = {h["deal_id"]: h for h in log if h["entered_at"] <= last}  # the last one stays
    went_on = {h["deal_id"] for h in log if h["entered_at"] > last}
    log = [h for h in log if h["entered_at"] <= last]
    changes_header, changes = lines_of(source / "changes.csv")
    changes.sort(key=lambda c: c["at"])
    before: dict[tuple[str, str], str] = {}
    for change in changes:
        if change["at"] > last:
            before.setdefault((change["deal_id"], change["field"]), change["old"])
    deals_header, deals = lines_of(source / "deals.csv")
    newest = {d["deal_id"]: d for d in sorted(deals, key=lambda d: d["updated_at"])}  # of two rows the later version
    kept = []
    for deal in newest.values():
        key = deal["deal_id"]
        if key not in used or deal["created_at"] > last:
            continue
        then = stood[key]
        deal["closed_at"] = then["entered_at"] if stage_of(then["stage"]) in CLOSED else ""
        if key in went_on:
            if deal["amount"] == "0":
                deal["amount"] = ""  # emptied when it was lost: nobody knows what it was
            deal.update(stage=then["stage"], **dict.fromkeys(BLANK_WHEN_MOVED, ""))
        for field in ("rep_id", "amount", "expected_close_on"):
            deal[field] = before.get((key, field), deal[field])
        if deal["updated_at"] > last:
            deal["updated_at"] = ""
        kept.append(deal)
    there = {d["deal_id"] for d in kept}
    write(folder / "deals.csv", deals_header, kept)
    write(folder / "stage_history.csv", header, [h for h in log if h["deal_id"] in there])
    early = [c for c in changes if c["at"] <= last and c["deal_id"] in there]
    write(folder / "changes.csv", changes_header, early)
    write(folder / "leads.csv", *cut_leads(source, last, set(whole.table("leads")["lead_id"])))
    header, activities = lines_of(source / "activities.csv")
    write(folder / "activities.csv", header, [a for a in activities if a["at"] <= last])


def cut_leads(source: Path, last: str, used: set[str]) -> tuple[list[str], list[dict[str, str]]]:
    header, leads = lines_of(source / "leads.csv")
    leads = [lead for lead in leads if lead["lead_id"] in used and lead["created_at"] <= last]
    for lead in leads:
        if lead["first_response_at"] > last:
            lead["first_response_at"] = ""
        if lead["converted_at"] > last:
            lead.update(converted_at="", deal_id="", status="")
    return header, leads


@pytest.mark.parametrize("day", [pytest.param("2025-07-15", marks=pytest.mark.nightly), "2026-03-31"])
@pytest.mark.nightly
def test_the_replayed_demo_gives_what_its_files_cut_by_hand_give(day: str, tidy: Path, tmp_path: Path) -> None:
    whole = load_book(tidy)
    cut_files(day, tmp_path, tidy, whole)
    loaded, replayed = load_book(tmp_path, as_of=day), whole.at(day)
    assert len(loaded.deals) == len(replayed.deals) > 500 and loaded.as_of == replayed.as_of
    assert list(differences(replayed, loaded, ("2025Q2",))) == []
