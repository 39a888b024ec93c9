"""The leakage audit: what was edited after the close, what knows the outcome, and what a model may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import leakage_audit, safe_columns

Build = Callable[..., Book]


def deals(**columns: Callable[[int, str], Any]) -> list[dict[str, Any]]:
    """25 won, 25 lost and 25 open deals; closed on 10 March 2026."""
    made = []
    for outcome in ("won", "lost", "open"):
        for i in range(25):
            deal = {
                "deal_id": f"{outcome}{i}",
                "rep_id": "R1",
                "outcome": outcome,
                "created_at": "2026-01-01",
                "closed_at": None if outcome == "open" else "2026-03-10",
                "amount": 10.0,
            }
            made.append({**deal, **{name: value(i, outcome) for name, value in columns.items()}})
    return made


def row(book: Book, field: str) -> pd.Series:
    return leakage_audit(book).set_index("field").loc[field]


def edits(*rows: tuple[str, str, str, str | None, str | None]) -> list[dict[str, Any]]:
    return [dict(zip(("deal_id", "at", "field", "old", "new"), r, strict=True)) for r in rows]


def test_amounts_edited_after_the_close_are_counted_with_their_direction(book_of: Build) -> None:
    changes = edits(
        ("won0", "2026-03-09", "amount", "5", "10"),  # before the close: no leak
        ("won1", "2026-03-11", "amount", "8", "9"),
        ("won1", "2026-03-12", "amount", "9", "10"),  # the same deal again
        ("lost0", "2026-04-01", "amount", "12", "10"),
        ("lost1", "2026-04-01", "amount", "10", "10"),  # nothing changed
        ("open0", "2026-04-01", "amount", "1", "10"),  # not decided
    )
    found = row(book_of(deals(), changes=changes), "amount")
    # 2 of 50 decided deals, 3 edits, won1 ended with more and lost0 with less
    assert found[["deals", "edited_after_close", "edits", "raised", "lowered"]].tolist() == [50, 2, 3, 1, 1]
    assert found["share"] == 0.04 and found["low"] < 0.04 < found["high"]
    assert found["verdict"] == "as of"


def test_an_edit_of_the_same_minute_is_the_close_itself(book_of: Build) -> None:
    changes = edits(
        ("won0", "2026-03-10T00:00:40", "amount", "5", "10"), ("won1", "2026-03-10T00:02", "amount", "5", "10")
    )
    assert row(book_of(deals(), changes=changes), "amount")["edited_after_close"] == 1


def test_what_is_written_at_the_close_stays_out(book_of: Build) -> None:
    book = book_of(
        deals(
            lost_reason=lambda i, o: "price" if o == "lost" else None,
            won_reason=lambda i, o: "fit" if o == "won" else None,
            probability=lambda i, o: {"won": 1.0, "lost": 0.0}.get(o, 0.5),
        )
    )
    audit = leakage_audit(book).set_index("field")["verdict"]
    for field in ("lost_reason", "won_reason", "probability", "outcome", "stage", "closed_at"):
        assert audit[field] == "keep out"
        assert field not in safe_columns(book, doubtful=True)


def test_a_column_of_ones_own_that_is_filled_in_by_outcome_is_found(book_of: Build) -> None:
    book = book_of(
        deals(
            invoice=lambda i, o: "I1" if o == "won" else None,
            checked_out=lambda i, o: None if o == "open" else "yes",
            campaign=lambda i, o: "spring" if i % 2 else None,
        )
    )
    audit = leakage_audit(book).set_index("field")
    assert audit.loc["invoice", "verdict"] == audit.loc["checked_out", "verdict"] == "keep out"
    assert audit.loc["campaign", "verdict"] == "cannot tell: no change log"


def test_without_a_log_only_the_last_change_can_clear_a_column(book_of: Build) -> None:
    calm = book_of(deals(segment=lambda i, o: "SMB", updated_at=lambda i, o: "2026-03-10"))
    late = book_of(deals(segment=lambda i, o: "SMB", updated_at=lambda i, o: "2026-03-10" if i else "2026-05-01"))
    often = book_of(deals(segment=lambda i, o: "SMB", updated_at=lambda i, o: "2026-05-01"))
    assert row(calm, "(any)")["edited_after_close"] == 0
    assert row(late, "(any)")["edited_after_close"] == 2 and row(often, "(any)")["edited_after_close"] == 50
    # 0 of 50 leaves room for 7 %: too few deals to clear a column
    assert row(calm, "segment")["verdict"] == "cannot tell: no change log"
    assert row(often, "segment")["verdict"] == "cannot tell: no change log"
    assert "segment" in safe_columns(often, doubtful=True) and "segment" not in safe_columns(often)


def test_many_calm_deals_clear_a_column(demo: Book) -> None:
    assert row(demo, "segment")["verdict"] == "ok" and row(demo, "(any)")["edited_after_close"] == 0
    safe = safe_columns(demo)
    assert {"segment", "amount", "rep_id", "contacts"} <= set(safe)
    assert not {"lost_reason", "won_reason", "probability", "outcome", "closed_at", "updated_at"} & set(safe)


def test_a_logged_column_that_is_edited_after_the_close_stays_out(book_of: Build) -> None:
    changes = edits(*((f"won{i}", "2026-04-01", "segment", "SMB", "Mid") for i in range(20)))
    book = book_of(deals(segment=lambda i, o: "Mid"), changes=changes)
    found = row(book, "segment")
    assert (found["edited_after_close"], found["verdict"]) == (20, "keep out")
    assert pd.isna(found["raised"])


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_those_of_a_plain_loop(seed: int, generated: Build) -> None:
    book = generated(seed)
    audit = leakage_audit(book).set_index("field")
    closed = {d["deal_id"]: d["closed_at"] for d in book.deals.to_dict("records") if d["outcome"] in ("won", "lost")}
    late: dict[str, set[str]] = {}
    for change in book.table("changes").to_dict("records"):
        at = closed.get(change["deal_id"])
        if at is not None and change["at"] > at + pd.Timedelta("1min") and change.get("old") != change.get("new"):
            late.setdefault(change["field"], set()).add(change["deal_id"])
    assert audit["deals"].eq(len(closed)).all()
    for field in book.table("changes")["field"].unique():
        assert audit.loc[field, "edited_after_close"] == len(late.get(field, ())), field
