"""A book on disk: `book.json`, one Parquet file per table, `quarantine.csv` and `quality.json`."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from salescoach.book.book import Book
from salescoach.book.held import DEAL, LOG, OF_FEW, Tables
from salescoach.book.tables import TABLES
from salescoach.book.texts import coded, give_back, is_in, places_in, taken
from salescoach.errors import StorageError
from salescoach.process import process_from_dict, process_to_dict

Filters: TypeAlias = list[list[tuple[str, str, Any]]]

SCHEMA_VERSION = 4
PEOPLE = "people.parquet"
ROWS_PER_GROUP = 20_000
OF_DEALS = (LOG, "changes", "quotes", "splits")
OWNER = "_owner"  # as `DEAL`, a column of the files that is none of the table
OF_ACCOUNTS = ("accounts", "revenue")
FROM_OUTSIDE = ("file", "column", "value", "rep_id", "correction")
COUNTED = ("record", "line")
RUN = r"['\t\n]|[\s\u200b\u2060\ufeff]*[=+\-@＝＋－＠]"
FORMULA, GUARDED = re.compile(RUN), re.compile(f"'(?={RUN})")


def save_book(book: Book, folder: str | Path) -> Path:
    """Write the book to `folder`, replacing a book that is there. Returns the folder.

    Deals and their children are sorted by owner, so that one rep's rows are read without the rest.
    A folder that holds something else is refused: StorageError.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()) and not (target / "book.json").exists():
        raise StorageError("{target} exists and is not a book. Choose another folder with --book.", target=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        write_folder(book, fresh)
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def write_folder(book: Book, folder: Path) -> None:
    """Write all files of a book into an existing, empty folder."""
    for name in book.tables:
        _write_table(_as_saved(book, name), name, folder / f"{name}.parquet")
    book.people.to_parquet(folder / PEOPLE, index=False)
    quarantine_as_saved(book.quarantine).to_csv(folder / "quarantine.csv", index=False, lineterminator="\n")
    _write_json(folder / "quality.json", dict(book.quality))
    if book.peers:
        (folder / "peers").mkdir()
        for name, frame in book.peers.items():
            frame.to_parquet(folder / "peers" / f"{name}.parquet", index=False)
    head = {
        "schema_version": SCHEMA_VERSION,
        "as_of": book.as_of.isoformat(),
        "currency": book.currency,
        "timezone": book.timezone,
        "process": process_to_dict(book.process),
        "origin": dict(book.origin),
        "precision": dict(book.precision),
        "tables": sorted(book.tables),
        "content_hash": book.content_hash,
    }
    _write_json(folder / "book.json", {**head, "seal": _seal(folder, head)})


def open_book(folder: str | Path) -> Book:
    """Open a saved book. Raises StorageError if it is missing, of another version, or was altered."""
    path = Path(folder)
    with _reading(path):
        head = _head(path)
        seal = _seal(path, head)
    if seal != head["seal"]:
        raise StorageError(
            "{path} was altered after it was written: its content no longer matches book.json. Build it again "
            "with `salescoach load`.",
            path=path,
        )
    with _reading(path), _thrifty_memory():
        tables = {n: _read_table(path / f"{n}.parquet") for n in head["tables"] if n != LOG}
        log = _read_log(path / f"{LOG}.parquet") if LOG in head["tables"] else None
        book = _book(path, head, Tables(head["tables"], tables, log))
    book.__dict__["content_hash"] = head["content_hash"]
    return book


@contextmanager
def _thrifty_memory() -> Iterator[None]:
    """Arrow takes its memory from the system: what decompressing took, as much again as the book, it gives back, which
    the usual pool keeps.
    """
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
        give_back()
    finally:
        pa.set_memory_pool(usual)


def _seal(folder: Path, head: dict[str, Any]) -> str:
    """Hash of what the numbers come from, as it stands on disk: the tables' files and the settings in book.json."""
    digest = hashlib.sha256()
    settings = {k: head[k] for k in ("as_of", "currency", "process", "precision", "tables", "content_hash")}
    digest.update(json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str).encode())
    for name in head["tables"]:
        with (folder / f"{name}.parquet").open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def open_slice(folder: str | Path, rep: str) -> Book:
    """What `open_book(folder).for_rep(rep)` gives, without reading what others own.

    Whether the book was altered is not seen here: that takes all of it. Raises StorageError, and UsageError for a rep
    whom the book does not know.
    """
    path = Path(folder)
    with _reading(path):
        head = _head(path)
        people = pd.read_parquet(path / PEOPLE)
        empty = _book(path, head, {}, people)
        rep_id = empty.find_rep(rep)
        tables = {n: _rows_of(path / f"{n}.parquet", n, rep_id) for n in head["tables"] if n not in OF_ACCOUNTS}
        deals = tables["deals"]
        accounts = deals["account_id"] if "account_id" in deals else pd.Series(dtype="str")
        for name in (n for n in OF_ACCOUNTS if n in head["tables"]):
            tables[name] = _read_table(path / f"{name}.parquet", _among("account_id", accounts))
        if "splits" in tables:
            _add_shared_deals(path, tables)
        return _with_people(replace(empty, tables=tables), people).for_rep(rep_id)


def open_head(folder: str | Path) -> Book:
    """A saved book without its tables: its process, day, currency and people, for tables that are read elsewhere.

    Whether the book was altered is not seen here. Raises StorageError.
    """
    path = Path(folder)
    with _reading(path):
        return _book(path, _head(path), {}, pd.read_parquet(path / PEOPLE))


def _rows_of(file: Path, table: str, rep_id: str) -> pd.DataFrame:
    """The rows of one owner: whole groups of rows that others own are not read."""
    with pq.ParquetFile(file) as stored:
        columns = stored.schema_arrow.names
        owners = [c for c in (OWNER, "rep_id") if c in columns and table != "reps"]
        if len(owners) == 0 or table == "splits":  # a share of a colleague's deal is the rep's too
            return _read_table(file, [[(owner, "==", rep_id)] for owner in owners] or None)
        groups = _groups_with(stored.metadata, columns.index(owners[0]), rep_id)
        rows = stored.read_row_groups(groups)
    own = pc.fill_null(pc.equal(rows[owners[0]], rep_id), False)
    rows = rows.drop_columns([c for c in (OWNER, DEAL) if c in columns])
    frame: pd.DataFrame = (rows if pc.all(own).as_py() else rows.filter(own)).to_pandas()
    return frame


def _groups_with(metadata: pq.FileMetaData, column: int, value: str) -> list[int]:
    """The groups of rows in which a text may stand, by the first and last text that each group says it holds."""
    found = []
    for group in range(metadata.num_row_groups):
        told = metadata.row_group(group).column(column).statistics
        if told is None or not told.has_min_max or told.min <= value <= told.max:
            found.append(group)
    return found


def _add_shared_deals(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    """The deals of others that the rep has a share of, with all their shares: the slice keeps only the rep's part."""
    deals, splits = tables["deals"], tables["splits"]
    of_others = splits["deal_id"][~is_in(splits["deal_id"], deals["deal_id"])]
    if of_others.empty:
        return
    wanted = _among("deal_id", of_others)
    tables["deals"] = pd.concat([deals, _read_table(path / "deals.parquet", wanted)], ignore_index=True)
    own = splits[is_in(splits["deal_id"], deals["deal_id"])]
    tables["splits"] = pd.concat([own, _read_table(path / "splits.parquet", wanted)], ignore_index=True)


def _among(column: str, values: pd.Series) -> Filters:
    return [[(column, "in", list(values.dropna().unique()) or [""])]]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not (path / "book.json").is_file():
        raise StorageError(
            "{path} is not a book: book.json is missing. Build one with `salescoach load FILE… --book DIR`, or "
            "use --book demo.",
            path=path,
        )
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            "{path} cannot be read as a book ({error}). Build it again with `salescoach load`.", path=path, error=error
        ) from error


def _head(path: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads((path / "book.json").read_text(encoding="utf-8"))
    if head.get("schema_version") != SCHEMA_VERSION:
        raise StorageError(
            "{path} was written with book format {version}, this salescoach reads {ours}. Build the book "
            "again with `salescoach load`.",
            path=path,
            version=head.get("schema_version"),
            ours=SCHEMA_VERSION,
        )
    return head


def _book(
    path: Path, head: dict[str, Any], tables: Mapping[str, pd.DataFrame], people: pd.DataFrame | None = None
) -> Book:
    """The book of these tables; with `people`, everybody it knows, where the tables hold only a part."""
    book = Book(
        tables=tables,
        process=process_from_dict(head["process"]),
        as_of=pd.Timestamp(head["as_of"]),
        currency=head["currency"],
        origin=head["origin"],
        precision=head["precision"],
        quality=json.loads((path / "quality.json").read_text(encoding="utf-8")),
        quarantine=_read_quarantine(path / "quarantine.csv"),
        peers=_read_peers(path / "peers"),
    )
    return book if people is None else _with_people(book, people)


def _with_people(book: Book, people: pd.DataFrame) -> Book:
    book.__dict__["people"] = people
    return book


def _as_saved(book: Book, name: str) -> pd.DataFrame:
    """A table with what its rows are found by: of children of deals the owner in front of whom they are sorted, of the
    stage history the row of the deal."""
    frame, deals = book.table(name), book.deals
    if name not in OF_DEALS:
        return frame
    deal = book.log[DEAL].to_numpy() if name == LOG else places_in(frame["deal_id"], deals["deal_id"])
    if name == LOG:
        frame[DEAL] = deal
    if "rep_id" not in deals:
        return frame
    owner = taken(deals["rep_id"], np.maximum(deal, 0)) if len(deals) else pd.Series(None, frame.index, dtype="str")
    return frame.assign(**{OWNER: owner.set_axis(frame.index).where(deal >= 0)}).sort_values(OWNER, kind="stable")


def _write_table(frame: pd.DataFrame, name: str, file: Path) -> None:
    """One Parquet file, whose groups of rows begin and end with an owner wherever they can."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    owner = next((c for c in (OWNER, *TABLES[name].sort[:1]) if c in frame and c in (OWNER, "rep_id")), None)
    with pq.ParquetWriter(file, table.schema) as writer:
        start = 0
        for rows in _sizes_of_groups(frame[owner]) if owner else _even(len(frame)):
            writer.write_table(table.slice(start, rows))
            start += rows


def _sizes_of_groups(owner: pd.Series) -> list[int]:
    """As many owners in a group as fit into it; the rows of one who has more, in groups of their own."""
    sizes: list[int] = []
    room = 0
    for rows in owner.groupby(owner, sort=False, dropna=False).size():
        if rows <= room:
            sizes[-1] += int(rows)
            room -= int(rows)
        else:
            sizes += _even(int(rows))
            room = ROWS_PER_GROUP - int(rows)
    return sizes


def _even(rows: int) -> list[int]:
    """Groups of about the same size."""
    groups = -(-rows // ROWS_PER_GROUP)
    return [rows * (i + 1) // groups - rows * i // groups for i in range(groups)]


def _read_table(file: Path, filters: Filters | None = None) -> pd.DataFrame:
    """The table as it was saved, without the columns by which its rows are found."""
    columns = [name for name in pq.read_schema(file).names if name not in (OWNER, DEAL)]
    return pd.read_parquet(file, columns=columns, filters=filters)


def _read_log(file: Path) -> pd.DataFrame:
    """The stage history as numbers (`Book.log`). The texts of its deals' ids are not read: `deals` has them."""
    names = [DEAL if name == "deal_id" else name for name in pq.read_schema(file).names if name not in (OWNER, DEAL)]
    table = pq.read_table(file, columns=names, read_dictionary=list(OF_FEW))
    few = [name for name in OF_FEW if name in names]
    log: pd.DataFrame = table.drop_columns(few).to_pandas()
    for name in few:
        found = table.column(name).combine_chunks()
        log[name] = coded(pc.fill_null(found.indices, -1).to_numpy(), found.dictionary.to_pylist())
    log = log[names]
    if not (log[DEAL] < 0).any():
        return log
    ids = pd.read_parquet(file, columns=["deal_id"])["deal_id"]
    return log.assign(deal_id=ids.where(log[DEAL] < 0))


def quarantine_as_saved(quarantine: pd.DataFrame) -> pd.DataFrame:
    """For a CSV that people open: a value that a spreadsheet would run as a formula gets an apostrophe in front."""
    shown = quarantine.copy()
    for column in (c for c in FROM_OUTSIDE if c in shown):
        shown[column] = _each(shown[column], lambda text: f"'{text}" if FORMULA.match(text) else text)
    return shown


def _read_quarantine(file: Path) -> pd.DataFrame:
    with file.open(encoding="utf-8") as text:
        head, first = text.readline().strip(), text.readline()
    if not first:
        kinds = {c: "Int64" if c in COUNTED else "str" for c in head.split(",") if c}
        return pd.DataFrame({c: pd.Series(dtype=kind) for c, kind in kinds.items()})
    return quarantine_as_loaded(pd.read_csv(file, dtype="str", keep_default_na=False, na_values=[""]))


def quarantine_as_loaded(frame: pd.DataFrame) -> pd.DataFrame:
    """The text of a quarantine.csv as it was in the book: numbers, and no apostrophes before values."""
    frame = frame.copy()
    for column in (c for c in FROM_OUTSIDE if c in frame):
        frame[column] = _each(
            frame[column], lambda text: text[1:] if text[:1] == "'" and FORMULA.match(text[1:]) else text
        )
    for column in (c for c in COUNTED if c in frame):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("Int64")
    return frame


def _each(texts: pd.Series, change: Callable[[str], str]) -> pd.Series:
    """Every text changed; null stays null. In Python: Arrow's patterns know neither all signs nor a look ahead."""
    return pd.Series([change(v) if isinstance(v, str) else None for v in texts], texts.index, dtype="str")


def _read_peers(folder: Path) -> dict[str, pd.DataFrame]:
    return {f.stem: pd.read_parquet(f) for f in sorted(folder.glob("*.parquet"))} if folder.is_dir() else {}


def _write_json(file: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, default=str)
    file.write_text(text + "\n", encoding="utf-8")


def _swap(fresh: Path, target: Path) -> None:
    """Put the finished folder in place; the old one stays until the new one is complete."""
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        target.replace(old / "book")
        fresh.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        fresh.replace(target)
