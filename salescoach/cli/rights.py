"""Everything that is kept about a person, as files that they can read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from salescoach.cli.command import open_any
from salescoach.cli.export import plain
from salescoach.errors import UsageError
from salescoach.wording import N_, words

if TYPE_CHECKING:
    from salescoach.coaching.ledger import Ledger

ABOUT = N_(
    "What is kept about {rep}, put together on {day} from the book, the coaching ledger and the published pages. It is "
    "kept to prepare one-to-one conversations; nobody is ranked or scored by it."
)
LEDGER = N_("`ledger.csv`: what was agreed, said and disputed, with the manager's notes; one row per entry.")
BOOK = N_("`book/`: the deals and other records that are yours, data as of {day}. Colleagues are named `(other)`.")
PAGES = N_("`pages/`: every page about you, yours and the manager's, by run. Open them in any browser.")


def kept_about(rep_id: str, ledger: Ledger, book: str | None, reports: str | None, language: str) -> dict[str, bytes]:
    """{name: content} of the files: about.txt, ledger.csv, book/TABLE.csv, pages/RUN/…"""
    say, found = words(language), ledger.export(rep_id)
    told = [say(ABOUT, rep=rep_id, day=say.date(pd.Timestamp(found["exported_at"]))), say(LEDGER)]
    files = {"ledger.csv": _csv(pd.DataFrame(found["entries"]))}
    if book is not None:
        own = open_any(book).for_rep(rep_id)
        files |= {f"book/{name}.csv": _csv(table) for name, table in own.tables.items()}
        told.append(say(BOOK, day=say.date(own.as_of_on)))
    if reports is not None:
        from salescoach.batch import own_pages

        files |= {f"pages/{name}": page.read_bytes() for name, page in own_pages(reports, rep_id).items()}
        told.append(say(PAGES))
    return {"about.txt": "\n\n".join([*told, ""]).encode("utf-8-sig"), **files}


def write_all(files: Mapping[str, bytes], place: Path) -> None:
    """As a new folder, or as one file where the name ends in .zip; for its owner's eyes only."""
    from salescoach.batch.durable import write_file

    if place.exists():
        raise UsageError("{place} is there already. Name a folder or a file that is not.", place=place)
    if place.suffix.lower() != ".zip":
        for name, content in files.items():
            write_file(place / name, content)
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    write_file(place, packed.getvalue())


def _csv(table: pd.DataFrame) -> bytes:
    return plain(table).to_csv(index=False, lineterminator="\n").encode("utf-8-sig")
