"""What a reload brought: deals that are new, that changed, and that vanished since the book before."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd

from salescoach.book import Book
from salescoach.sources import checks


def since(before: Book, fresh: Book) -> Book:
    """The fresh book, with what became of the deals of the book before in `quality["since"]` and its notes.

    `since` holds as_of (of the book before) and the counts new, changed, same and vanished. A vanished deal is one that
    was used before and is neither used nor quarantined now.
    """
    old, now = _fingerprints(before), _fingerprints(fresh)
    both = old.index.intersection(now.index)
    changed = int((old[both] != now[both]).sum())
    gone = pd.Series(old.index.difference(now.index).difference(_quarantined_ids(fresh)), dtype="str")
    counts = {
        "as_of": before.as_of_on.date().isoformat(),
        "new": len(now.index.difference(old.index)),
        "changed": changed,
        "same": len(both) - changed,
        "vanished": len(gone),
    }
    notes = [*fresh.quality["notes"], *checks.note("vanished-since", "deals", "deal_id", gone, gone)]
    return replace(fresh, quality={**fresh.quality, "since": counts, "notes": notes})


def _fingerprints(book: Book) -> pd.Series:
    """One number per deal, by deal_id, that changes with any of its own columns."""
    deals = book.tables["deals"]
    told = deals.drop(columns=[c for c in deals if str(c).endswith("_minor")]).astype("str")
    hashed = pd.util.hash_pandas_object(told[sorted(told.columns)], index=False)
    return pd.Series(hashed.to_numpy(), index=pd.Index(deals["deal_id"]))


def _quarantined_ids(book: Book) -> list[str]:
    """The deal ids in quarantined rows of deals."""
    if book.quarantine.empty:
        return []
    header = book.origin["columns"]["deals"]["deal_id"]
    rows = book.quarantine[book.quarantine["table"] == "deals"]["raw"]
    return [str(json.loads(raw).get(header, "")).strip() for raw in rows]
