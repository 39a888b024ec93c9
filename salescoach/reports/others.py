"""What a page may know of the others: every aggregated table of a run, made once from the whole book."""

from __future__ import annotations

import pandas as pd

from salescoach.book import Book
from salescoach.metrics.peers import peer_table
from salescoach.metrics.typical_path import path_of_others
from salescoach.models import gap_peers
from salescoach.process import Period


def tables_of_others(book: Book, period: str | Period | None = None) -> dict[str, pd.DataFrame]:
    """The tables about everybody that each rep of a run may see, by name: the same ones for all of them.

    peers   usual figures (`peer_table`)
    path    the typical path of won deals (`path_of_others`)
    gap     what a gap in won amounts is held against (`gap_peers`)
    """
    return {"peers": peer_table(book, period), "path": path_of_others(book, period), "gap": gap_peers(book, period)}
