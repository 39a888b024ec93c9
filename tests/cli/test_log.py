"""The coaching ledger as people type it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from salescoach.book import save_book
from salescoach.sources import sample_book

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def demo_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "book"
    save_book(sample_book(), folder)
    return folder


@pytest.fixture
def book(demo_book: Path, tmp_path: Path) -> Path:
    link = tmp_path / "book"
    link.symlink_to(demo_book)
    return link


def test_from_a_commitment_to_what_became_of_it(salescoach: Run, book: Path) -> None:
    words = ("--book", book, "--rep", "Daniel Novak", "--on", "2026-10-01")
    added = salescoach(
        "log", "add", *words, "--what", "quotes in two days", "--measure", "win_rate", "--due", "2026-11-01"
    )
    assert added.code == 0 and "win_rate now 0." in added.out, added.err
    entry = added.out.split()[2].rstrip(",.")
    assert salescoach("log", "add", *words, "--by", "manager", "--what", "join two demos").code == 0
    listed = salescoach("log", "list", "--book", book, "--rep", "Daniel Novak").out
    assert "R06  by rep: quotes in two days (open, due 2026-11-01)" in listed and "by manager: join two demos" in listed
    assert salescoach("log", "close", entry, "--book", book, "--status", "not kept", "--said", "two late").code == 0
    assert "quotes" not in salescoach("log", "list", "--book", book).out
    everything = json.loads(salescoach("log", "list", "--book", book, "--all", "--json").out)
    assert [c["status"] for c in everything["commitments"]] == ["not kept", "open"]
    assert everything["commitments"][0]["before"] > 0
    assert salescoach("log", "verify", "--book", book).out == "3 entries, all as they were written.\n"


def test_disputes_notes_and_sessions(salescoach: Run, book: Path) -> None:
    said = salescoach("log", "dispute", "--book", book, "--rep", "R06", "win rate 2026Q3", "two are not mine")
    entry = said.out.split()[-1].rstrip(".")
    assert "disputes win rate 2026Q3: two are not mine" in salescoach("log", "list", "--book", book).out
    assert salescoach("log", "answer", entry, "now 34 %", "--book", book).code == 0
    assert salescoach("log", "list", "--book", book).out == "Nothing is open.\n"
    assert salescoach("log", "note", "--book", book, "--rep", "R06", "wants to lead").code == 0
    assert salescoach("log", "session", "--book", book, "--rep", "R06", "--win", "Hazel").code == 0
    exported = json.loads(salescoach("log", "export", "--book", book, "--rep", "R06").out)
    assert {e["thing"] for e in exported["entries"]} == {"dispute", "answer", "note", "session"}
    assert salescoach("log", "purge", "--book", book, "--rep", "R06", "--yes").out == "4 entries emptied.\n"
    assert json.loads(salescoach("log", "export", "--book", book, "--rep", "R06").out)["entries"] == []


def test_sessions_kept_elsewhere_are_imported(salescoach: Run, tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    file.write_text("rep_id,on,stage\nR01,2026-05-04,quote\nR02,2026-05-05,\n", encoding="utf-8")
    assert salescoach("log", "import", file, "--ledger", "l.sqlite").out == "2 conversations added.\n"
    assert salescoach("log", "verify", "--ledger", "l.sqlite").out.startswith("2 entries")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rep_id,when\nR1,2026-05-04\n", "line 1: no column 'when' is known"),
        ("rep_id\nR1\n", "line 1: the column `on` is missing"),
        ("rep_id,on\nR1,4.5.2026\n", "sessions.csv, line 2, column on: '4.5.2026' is no day"),
        ("rep_id,on\nR1,2026-05-04\n,2026-05-05\n", "line 3, column rep_id: it is empty"),
        ("rep_id,on,minutes\nR1,2026-05-04,half\n", "column minutes: 'half' is no whole number"),
    ],
)
def test_a_file_that_cannot_be_used_adds_nothing(salescoach: Run, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "sessions.csv"
    file.write_text(text, encoding="utf-8")
    refused = salescoach("log", "import", file, "--ledger", "l.sqlite")
    assert refused.code == 5 and message in refused.err
    assert salescoach("log", "list", "--all", "--ledger", "l.sqlite").out == "Nothing is on record.\n"


def test_wrong_words_are_one_line(salescoach: Run, book: Path) -> None:
    assert "Say which ledger" in salescoach("log", "list").err
    nobody = salescoach("log", "note", "--book", book, "--rep", "Daniel Novac", "x")
    assert nobody.code == 2 and "Daniel Novak" in nobody.err
    wrong = salescoach("log", "close", "abc", "--book", book)
    assert wrong.code == 2 and "There is no commitment 'abc'" in wrong.err


def test_an_altered_ledger_is_found(salescoach: Run, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    salescoach("log", "note", "--ledger", "l.sqlite", "--rep", "R1", "as it was")
    with closing(sqlite3.connect(tmp_path / "l.sqlite")) as connection, connection:
        connection.execute("UPDATE entries SET content = '{}'")
    found = salescoach("log", "verify", "--ledger", "l.sqlite")
    assert found.code == 5 and "entry 1 was changed" in found.err


def test_everything_about_a_person_is_handed_out_and_purged(salescoach: Run, book: Path, tmp_path: Path) -> None:
    from salescoach.batch import Order, PlanFile, run_batch, verify
    from salescoach.book import open_book

    plan = PlanFile(reports=(Order(notebook=str(tiny(tmp_path)), per="rep", only=("R06", "R07")),))
    out = tmp_path / "reports"
    assert run_batch(open_book(book), plan, out, workers=1).failed == ()
    words = ("--book", book, "--rep", "Daniel Novak", "--reports", out)
    salescoach("log", "note", "--book", book, "--rep", "R06", "wants to lead")
    packed, folder = tmp_path / "R06.zip", tmp_path / "R06"
    assert "files about R06" in salescoach("log", "export", *words, "--to", packed).out
    assert salescoach("log", "export", *words, "--to", folder, "--language", "zh").code == 0
    with zipfile.ZipFile(packed) as archive:
        names = sorted(archive.namelist())
        deals = pd.read_csv(io.BytesIO(archive.read("book/deals.csv")))
        about = archive.read("about.txt").decode("utf-8-sig")
    assert names == sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
    assert set(deals["rep_id"]) == {"R06"} and "wants to lead" in (folder / "ledger.csv").read_text("utf-8-sig")
    assert [n.split("/")[0] + "/" + n.split("/")[-1] for n in names if "pages" in n] == ["pages/tiny.html"]
    assert "nobody is ranked or scored" in about and "没有人因此被排名" in (folder / "about.txt").read_text("utf-8-sig")
    for f in [packed, folder, *folder.rglob("*")]:
        assert f.stat().st_mode & 0o777 == (0o700 if f.is_dir() else 0o600), f
    refused = salescoach("log", "export", *words, "--to", folder)
    assert refused.code == 2 and "is there already" in refused.err
    assert "Say where to" in salescoach("log", "export", *words).err

    said = salescoach("log", "purge", *words, "--yes").out
    assert said == "1 pages about R06 purged, and 0 that named them.\n1 entries emptied.\n"
    assert verify(out) == [] and "1 pages were purged on" in salescoach("verify", out).out
    assert "The ledger holds nothing about them." in salescoach("log", "purge", *words, "--yes").out


def tiny(folder: Path) -> Path:
    parameters = 'book = "demo"\nrep = ""\nperiod = ""\nlanguage = "en"'
    cells = [
        nbformat.v4.new_markdown_cell("# Who is it?"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(rep)"),
    ]
    file = folder / "tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    return file
