"""Marks that belong to one rep alone must not be found in what another rep is handed, in whatever encoding."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import json
import urllib.parse
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.batch import Order, PlanFile, run, run_batch
from salescoach.book import Book
from salescoach.reports import stories
from salescoach.sources import load_book

_FILE = Path(__file__).with_name("scanner.py")
_SPEC = importlib.util.spec_from_file_location("scanner_of_canaries", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
scanner = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scanner)

NOT_PER_REP = ("start_here", "team_roster", "team_review", "process_review", "coaching_session", "manager_sheet")


# --- the scanner finds what is hidden ----------------------------------------------------------------

TOKEN = "Qv7Zeta-Kanarie"
NUMBER = "918273645"


def picture(text: str) -> bytes:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    out = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(out, format="png", metadata={"Description": text})
    return out.getvalue()


def packed(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", f"<t>{text}</t>")
    return out.getvalue()


def parquet(text: str) -> bytes:
    out = io.BytesIO()
    pd.DataFrame({"rep": pd.Categorical(["me"], categories=["me", text])}).to_parquet(out)
    return out.getvalue()


LEAKS: dict[str, tuple[bytes, str]] = {
    "plain": (TOKEN.encode(), TOKEN),
    "widget state in a notebook": (json.dumps({"metadata": {"widgets": {"options": [TOKEN]}}}).encode(), TOKEN),
    "JSON escapes": ("".join(f"\\u{ord(c):04x}" for c in TOKEN).encode(), TOKEN),
    "HTML entities": ("".join(f"&#{ord(c)};" for c in TOKEN).encode(), TOKEN),
    "HTML hex entities": ("".join(f"&#x{ord(c):x};" for c in TOKEN).encode(), TOKEN),
    "address": (urllib.parse.quote("a b " + TOKEN).encode(), TOKEN),
    "base64 in a page": (b'<img src="data:;base64,' + base64.b64encode(b"deals of " + TOKEN.encode()) + b'">', TOKEN),
    "gzip": (gzip.compress(TOKEN.encode()), TOKEN),
    "gzip in base64": (base64.b64encode(gzip.compress(TOKEN.encode())), TOKEN),
    "a sheet of Excel": (packed(TOKEN), TOKEN),
    "category of a parquet file": (parquet(TOKEN), TOKEN),
    "words of a picture": (picture(TOKEN), TOKEN),
    "picture in a page": (b"data:image/png;base64," + base64.b64encode(picture(TOKEN)), TOKEN),
    "UTF-16": (TOKEN.encode("utf-16"), TOKEN),
    "number with commas": (b"<td>918,273,645</td>", NUMBER),
    "number with thin spaces": ("<td>918\u202f273\u202f645</td>".encode(), NUMBER),
}


@pytest.mark.parametrize("where", LEAKS)
def test_a_planted_leak_is_found(where: str) -> None:
    content, token = LEAKS[where]
    assert scanner.hits(content, "page.html", [token]) == {token}


def test_a_name_of_a_file_is_read_too_and_nothing_is_found_in_nothing() -> None:
    assert scanner.hits(b"", f"reps/{TOKEN}.html", [TOKEN]) == {TOKEN}
    assert scanner.hits(b"<html>our own</html>", "page.html", [TOKEN, NUMBER]) == set()


# --- a book in which everything has a mark -----------------------------------------------------------


def marked(reps: int, folder: Path) -> tuple[Book, dict[str, list[str]]]:
    """A book with so many reps, and the marks of each: in names, accounts, deals, products, notes, reasons, amounts."""
    rng = np.random.default_rng(7)
    deals, history, people, activities, marks = [], [], [], [], {}
    stages = ["Prospecting", "Qualified", "Quote", "Contract"]
    for n in range(reps):
        word = "".join(chr(int(c)) for c in rng.integers(0x61, 0x7B, 9))
        mark = {k: f"{k}Kx{word}" for k in ("rep", "mail", "account", "deal", "name", "reason", "note", "contact")}
        amounts = rng.integers(100_000_001, 999_999_999, 12)
        marks[f"{mark['rep']}"] = [*mark.values(), *(str(a) for a in amounts)]
        people.append({"rep_id": mark["rep"], "name": f"{mark['name']} Li", "team": f"Team {n % 5}", "manager": "Boss"})
        for i in range(12):
            start = pd.Timestamp("2026-01-05") + pd.Timedelta(days=int(rng.integers(0, 150)))
            far, deal = int(rng.integers(1, 5)), f"{mark['deal']}{i}"
            done = i % 4 != 3
            days = np.cumsum(rng.integers(2, 14, far))
            for k in range(far):
                at = start + pd.Timedelta(days=int(days[k - 1]) if k else 0)
                history.append({"deal_id": deal, "entered_at": f"{at:%Y-%m-%d}", "stage": stages[k]})
            outcome = ("Won" if rng.random() < 0.5 else "Lost") if done else ""
            end = start + pd.Timedelta(days=int(days[-1]) + 1)
            if done:
                history.append({"deal_id": deal, "entered_at": f"{end:%Y-%m-%d}", "stage": outcome})
            deals.append(
                {
                    "deal_id": deal,
                    "rep_id": mark["rep"],
                    "stage": outcome or stages[far - 1],
                    "created_at": f"{start:%Y-%m-%d}",
                    "closed_at": f"{end:%Y-%m-%d}" if done else "",
                    "expected_close_on": "2026-10-31",
                    "amount": int(amounts[i]),
                    "account_id": f"{mark['account']}{i}",
                    "name": f"{mark['name']} deal {i}",
                    "lost_reason": mark["reason"] if outcome == "Lost" else "",
                }
            )
            activities.append(
                {
                    "activity_id": f"{mark['note']}{i}",
                    "deal_id": deal,
                    "rep_id": mark["rep"],
                    "occurred_at": f"{start:%Y-%m-%d}",
                    "activity_type": "email",
                    "direction": "outbound",
                }
            )
    tables = {"deals": deals, "stage_history": history, "reps": people, "activities": activities}
    folder.mkdir()
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return load_book(folder, as_of="2026-09-30"), marks


def pairs_without_a_mark(
    pages: dict[str, Path], slices: dict[str, Path], peers: Path, marks: dict[str, list[str]]
) -> int:
    """How many ordered pairs of reps there are of whom nothing of the one is in what the other was handed."""
    owners = {signs_of(mark): owner for owner, own in marks.items() for mark in own}
    assert scanner.scan(peers, owners) == {}
    pairs = 0
    for rep, folder in pages.items():
        for place in (folder, slices[rep]):
            whose = {owners[sign] for seen in scanner.scan(place, owners).values() for sign in seen}
            assert whose == {rep}, (place, whose)
        pairs += len(pages) - 1
    return pairs


def signs_of(mark: str) -> str:
    """The part of a mark that is one rep's alone: the drawn word, in all of their marks, or an amount."""
    return mark.partition("Kx")[2] or mark


def notebooks_per_rep() -> tuple[str, ...]:
    return tuple(n for n, s in stories().items() if "rep" in s.parameters and n not in NOT_PER_REP)


@pytest.mark.parametrize(
    ("reps", "notebooks"),
    [(8, ("rep_review",)), pytest.param(50, None, marks=pytest.mark.nightly)],
    ids=["one page of each of 8", "every notebook of each of 50"],
)
def test_nothing_of_the_others_is_handed_out(
    reps: int, notebooks: tuple[str, ...] | None, tmp_path: Path, monkeypatch: Any
) -> None:
    book, marks = marked(reps, tmp_path / "export")
    assert len(book.people) == reps and len(book.quarantine) == 0, book.quarantine["reason"].tolist()
    slices: dict[str, Path] = {}
    real: Callable[..., Path] = run._slice

    def kept(whole: Book, job: Any, *rest: Any) -> Path:
        place = real(whole, job, *rest)
        copy = tmp_path / "slices" / job.subject
        if job.subject not in slices:
            slices[job.subject] = copy
            import shutil

            shutil.copytree(place, copy)
        return place

    monkeypatch.setattr(run, "_slice", kept)
    chosen = notebooks or notebooks_per_rep()
    plan = PlanFile(period="2026", reports=tuple(Order(notebook=n, per="rep") for n in chosen))
    made = run_batch(book, plan, tmp_path / "out")
    assert made.failed == ()
    folders = {job.subject: made.folder / job.folder for job in made.jobs}
    assert pairs_without_a_mark(folders, slices, made.folder / "peers", marks) == reps * (reps - 1)
    page = next((made.folder / "reps").rglob("rep_review.html"))
    assert scanner.hits(page.read_bytes(), "", chain.from_iterable(marks.values()))  # one's own marks stand there


def test_what_others_do_does_not_change_a_slice(demo_book: Any, tmp_path: Path) -> None:
    """Other names and amounts of everybody else: the slice is the same, byte by byte."""
    from salescoach.book import write_folder

    deals = demo_book.deals
    others = deals["rep_id"] != "R05"
    changed = deals.assign(
        amount_minor=deals["amount_minor"].where(~others, deals["amount_minor"] * 3),
        name=deals["name"].where(~others, "X" + deals["name"].astype("str")) if "name" in deals else deals["rep_id"],
    )
    people = demo_book.people
    names = people["rep"].where(people["rep_id"] == "R05", "Somebody Else")
    reps = demo_book.tables["reps"].assign(name=names.to_numpy()) if "reps" in demo_book.tables else None
    tables = {**demo_book.tables, "deals": changed if "name" in deals else changed.drop(columns="name")}
    if reps is not None:
        tables["reps"] = reps
    for name, book in (("before", demo_book), ("after", replace(demo_book, tables=tables))):
        (tmp_path / name).mkdir()
        write_folder(book.for_rep("R05"), tmp_path / name)
    before, after = (
        {f.relative_to(tmp_path / n): f.read_bytes() for f in (tmp_path / n).rglob("*") if f.is_file()}
        for n in ("before", "after")
    )
    assert before == after
