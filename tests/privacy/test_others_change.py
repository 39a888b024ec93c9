"""Whatever the others are called and do: with the figures of the others as they were, a rep's pages stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.batch import Order, PlanFile, run, run_batch
from salescoach.book import Book
from salescoach.reports.others import Tables, tables_of_others

REP, PERIOD = "R05", "2026Q3"
NOTEBOOKS = ("rep_review", "manager_sheet", "forecast", "win_loss", "bottlenecks")


def with_other_peers(book: Book, seed: int) -> Book:
    """Everybody but one under another name, with other amounts, outcomes, days and texts; some of their deals gone."""
    rng = np.random.default_rng(seed)
    deals = book.deals
    kept = (deals["rep_id"] == REP) | (rng.random(len(deals)) < 0.8)
    deals = deals[kept].reset_index(drop=True)
    theirs = (deals["rep_id"] != REP).to_numpy()
    factor = rng.lognormal(0, 1, len(deals))
    deals["amount_minor"] = deals["amount_minor"].where(~theirs, (deals["amount_minor"] * factor).round())
    deals["amount_minor"] = deals["amount_minor"].astype(book.deals["amount_minor"].dtype)
    swapped = deals["outcome"].map({"won": "lost", "lost": "won"}).fillna(deals["outcome"])
    deals["outcome"] = deals["outcome"].where(~(theirs & (rng.random(len(deals)) < 0.5)), swapped)
    later = deals["created_at"] - pd.to_timedelta(rng.integers(0, 30, len(deals)), unit="D")
    deals["created_at"] = deals["created_at"].where(~theirs, later)
    if "name" in deals:
        deals["name"] = deals["name"].where(~theirs, f"Other {seed} " + deals["name"].astype("str"))
    people = book.table("reps")
    named = people["name"].where(people["rep_id"] == REP, f"Somebody {seed} " + people["rep_id"].astype("str"))
    tables = {**book.tables, "deals": deals, "reps": people.assign(name=named)}
    for name in ("stage_history", "changes", "activities"):
        rows = tables[name]
        tables[name] = rows[rows["deal_id"].isin(deals["deal_id"]) | rows["deal_id"].isna()].reset_index(drop=True)
    return replace(book, tables=tables)


@pytest.mark.parametrize(
    ("seeds", "notebooks"),
    [(range(1), ("rep_review", "win_loss")), pytest.param(range(1, 11), NOTEBOOKS, marks=pytest.mark.nightly)],
    ids=["two pages", "every page of ten data sets"],
)
def test_a_reps_pages_are_the_same_whoever_the_others_are(
    demo_book: Book, seeds: range, notebooks: tuple[str, ...], tmp_path: Path, monkeypatch: Any
) -> None:
    """Pictures too, since they are in the page; the run is another one, and so are its manifest and keys."""
    tables = tables_of_others(demo_book, PERIOD)
    pinned = Tables({name: lambda name=name: tables[name] for name in tables})
    monkeypatch.setattr(run, "tables_of_others", lambda *_: pinned)
    plan = PlanFile(period=PERIOD, reports=tuple(Order(notebook=n, per="rep", only=(REP,)) for n in notebooks))
    pages: dict[str, bytes] = {}
    for name, book in [("own", demo_book), *((str(s), with_other_peers(demo_book, s)) for s in seeds)]:
        assert name == "own" or book.content_hash != demo_book.content_hash
        made = run_batch(book, plan, tmp_path / name)
        assert made.failed == () and made.made == len(notebooks)
        found = {job.file: (made.folder / job.file).read_bytes() for job in made.jobs}
        pages = pages or found
        assert found == pages, name
    assert any(b"data:image/" in page for page in pages.values())
