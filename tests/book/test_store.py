"""A book on disk: reopened it is the same, altered it is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book, open_book, open_slice, save_book
from salescoach.errors import StorageError, UsageError
from salescoach.sources import sample_book


def test_a_reopened_book_has_the_same_hash(book: Book, tmp_path: Path) -> None:
    assert open_book(save_book(book, tmp_path / "kept")).content_hash == book.content_hash


def test_a_reopened_book_has_the_same_tables(book: Book, tmp_path: Path) -> None:
    again = open_book(save_book(book, tmp_path / "kept"))
    for name, frame in book.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], frame)


def test_a_reopened_book_has_the_same_quarantine(book: Book, tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(open_book(save_book(book, tmp_path / "kept")).quarantine, book.quarantine)


def test_a_reopened_book_has_the_same_settings(book: Book, tmp_path: Path) -> None:
    again = open_book(save_book(book, tmp_path / "kept"))
    kept = [(b.as_of, b.currency, b.process, b.precision, b.quality, b.origin) for b in (book, again)]
    assert kept[0] == kept[1]


def test_the_same_book_gives_the_same_bytes(book: Book, tmp_path: Path) -> None:
    folders = [save_book(book, tmp_path / n) for n in ("one", "two")]
    files = [{f.name: f.read_bytes() for f in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]


def test_saving_again_replaces_the_book(book: Book, tmp_path: Path) -> None:
    save_book(book, tmp_path / "kept")
    save_book(book.for_team("South"), tmp_path / "kept")
    assert len(open_book(tmp_path / "kept").deals) == 2


def test_saving_leaves_nothing_else_behind(book: Book, tmp_path: Path) -> None:
    for _ in range(2):
        save_book(book, tmp_path / "into" / "kept")
    assert [p.name for p in (tmp_path / "into").iterdir()] == ["kept"]


def test_a_folder_with_other_files_is_not_overwritten(book: Book, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    with pytest.raises(StorageError, match=r"letters exists and is not a book\. Choose another folder with --book"):
        save_book(book, tmp_path / "letters")


def test_a_folder_that_is_no_book_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"is not a book: book\.json is missing\. Build one with `salescoach load"
    ) as raised:
        open_book(tmp_path)
    assert raised.value.exit_code == 74


def change_a_stage(folder: Path) -> None:
    frame = pd.read_parquet(folder / "deals.parquet")
    frame.assign(stage="won").to_parquet(folder / "deals.parquet", index=False)


def drop_a_row(folder: Path) -> None:
    pd.read_parquet(folder / "stage_history.parquet").iloc[1:].to_parquet(folder / "stage_history.parquet", index=False)


def change_as_of(folder: Path) -> None:
    head = json.loads((folder / "book.json").read_text())
    (folder / "book.json").write_text(json.dumps({**head, "as_of": "2030-01-01T00:00:00+00:00"}))


def cut_a_table(folder: Path) -> None:
    content = (folder / "deals.parquet").read_bytes()
    (folder / "deals.parquet").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("alter", [change_a_stage, drop_a_row, change_as_of, cut_a_table], ids=lambda f: f.__name__)
def test_an_altered_book_is_noticed(book: Book, tmp_path: Path, alter: Callable[[Path], None]) -> None:
    alter(save_book(book, tmp_path / "kept"))
    with pytest.raises(
        StorageError, match=r"kept was altered after it was written.*Build it again with `salescoach load`"
    ):
        open_book(tmp_path / "kept")


def remove_a_table(folder: Path) -> None:
    (folder / "deals.parquet").unlink()


def cut_the_head(folder: Path) -> None:
    (folder / "book.json").write_text('{"schema_version": 1')


def list_for_a_head(folder: Path) -> None:
    (folder / "book.json").write_text("[]")


@pytest.mark.parametrize("damage", [remove_a_table, cut_the_head, list_for_a_head], ids=lambda f: f.__name__)
def test_a_damaged_book_is_refused(book: Book, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(save_book(book, tmp_path / "kept"))
    with pytest.raises(StorageError, match=r"kept cannot be read as a book .*Build it again with `salescoach load`"):
        open_book(tmp_path / "kept")


def test_a_book_of_another_format_says_so(book: Book, tmp_path: Path) -> None:
    save_book(book, tmp_path / "kept")
    head = json.loads((tmp_path / "kept" / "book.json").read_text())
    (tmp_path / "kept" / "book.json").write_text(json.dumps({**head, "schema_version": 99}))
    with pytest.raises(
        StorageError, match=r"written with book format 99, this salescoach reads 4\. Build the book again"
    ):
        open_book(tmp_path / "kept")


RISKY = ["=HYPERLINK(1)", "+1", "-1", "@x", "'=1", "a,b", 'say "x"', "two\nlines", "", "NA"]


@pytest.mark.parametrize("value", RISKY)
def test_a_quarantined_value_comes_back_as_it_was(book: Book, tmp_path: Path, value: str) -> None:
    risky = book.quarantine.assign(value=pd.Series([value or None] * 2, dtype="str"))
    again = open_book(save_book(replace(book, quarantine=risky), tmp_path / "kept"))
    pd.testing.assert_frame_equal(again.quarantine, risky)


def test_no_quarantined_value_begins_like_a_formula(book: Book, tmp_path: Path) -> None:
    risky = book.quarantine.assign(value="=HYPERLINK(1)")
    text = (save_book(replace(book, quarantine=risky), tmp_path / "kept") / "quarantine.csv").read_text()
    assert (text.count(",'=HYPERLINK(1)"), text.count(",=HYPERLINK(1)")) == (2, 0)


def test_a_slice_read_from_disk_is_the_slice_of_the_whole(tmp_path: Path) -> None:
    book = sample_book()
    folder = save_book(book, tmp_path / "book")
    whole = open_book(folder)
    for rep in book.people["rep_id"]:
        part, wanted = open_slice(folder, rep), whole.for_rep(rep)
        assert part.content_hash == wanted.content_hash
        assert part.quarantine.equals(wanted.quarantine)
        assert part.people.equals(wanted.people)
        assert dict(part.quality) == dict(wanted.quality)


def test_a_slice_of_nobody_is_refused(tmp_path: Path) -> None:
    folder = save_book(sample_book(), tmp_path / "book")
    with pytest.raises(UsageError, match="There is no rep 'Nobody' in this book"):
        open_slice(folder, "Nobody")
