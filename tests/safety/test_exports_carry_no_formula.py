"""What a spreadsheet opens holds texts and numbers: nothing that it runs, whichever name stands in the data."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from salescoach.app.quarantine import QuarantinePanel
from salescoach.book import Book, open_book, save_book
from salescoach.cli import main
from salescoach.cli.export import plain, write_csv, write_xlsx
from salescoach.coaching.ledger import open_ledger
from salescoach.sources import load_book, sample_book
from salescoach.wording import words

_FILE = Path(__file__).with_name("hostile_names.py")
_SPEC = importlib.util.spec_from_file_location("names_of_exports", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(names)
HOSTILE = names.HOSTILE

# a cell that Excel, LibreOffice or Google Sheets may take for a formula: also after blanks and signs nobody sees
LIVE = re.compile(r"[\s\u200b\u2060\ufeff\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r\n]")
NUMBER = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?|-?inf", re.I)
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


# --- what is looked at -----------------------------------------------------------------------------


def is_live(cell: str) -> bool:
    return bool(LIVE.match(cell)) and not NUMBER.fullmatch(cell)


def live_in_csv(text: str) -> list[str]:
    """Cells of a CSV that run, read as it is meant, and as a spreadsheet does that divides at `;` or at tabs."""
    found = [f"control character {c!r}" for c in set(UNSEEN.findall(text))]
    for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")):
        found += [cell for cell in row if is_live(cell)]
    for sign in ";\t":
        lines = text.removeprefix("\ufeff").split("\n")
        found += [cell for line in lines for cell in line.split(sign)[1:] if is_live(cell)]
    return found


def live_in_workbook(file: Path) -> list[str]:
    """Cells of a workbook that are a formula or an error, or texts that would become one where they are copied."""
    found = []
    for sheet in openpyxl.load_workbook(file):
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type in ("f", "e") or (isinstance(cell.value, str) and cell.data_type != "s"):
                    found.append(f"{cell.data_type}: {cell.value!r}")
                elif isinstance(cell.value, str) and is_live(cell.value):
                    found.append(repr(cell.value))
    return found


@pytest.mark.parametrize("name", names.FAMILIES["formula"])
def test_the_net_finds_what_is_written_as_it_stands(name: str, tmp_path: Path) -> None:
    """Each kind of formula, and nothing that is none."""
    runs = name.strip("\ufeff\u200b \t\r\n\x00")[:1] in tuple("=+-@＝＋－＠") and not NUMBER.fullmatch(name)
    assert is_live(name) == (runs or name[0] in "\t\r\n")
    assert not is_live(f"'{name}") and not is_live("Ann Reed") and not is_live("-3.5") and not is_live("")


def test_the_net_finds_a_formula_in_a_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"=1": ["=1+1", "#N/A", "x", "-2"], "n": [1, 2, 3, -4]})
    table.to_excel(tmp_path / "x.xlsx", index=False)
    assert live_in_workbook(tmp_path / "x.xlsx") == ["f: '=1'", "f: '=1+1'", "e: '#N/A'"]
    assert live_in_csv(table.to_csv(index=False)) == ["=1", "=1+1"]
    assert live_in_csv("a,x;=1+1\n") == ["=1+1"] and live_in_csv("a\tb\t@x\n") == ["@x"]
    assert live_in_csv("a\r=1+1,b\n") and live_in_csv("\x1bx\n")


# --- the writers -----------------------------------------------------------------------------------


def a_table() -> pd.DataFrame:
    """Every name as text, as a category, among other things, in the head of a column; and numbers below zero."""
    table = pd.DataFrame({"text": pd.Series(HOSTILE, dtype="str"), "n": range(-5, len(HOSTILE) - 5)})
    table["category"] = table["text"].astype("category")
    table["mixed"] = [name if i % 2 else -1.5 for i, name in enumerate(HOSTILE)]
    return table.assign(**{name: [name, *[None] * (len(HOSTILE) - 1)] for name in names.FAMILIES["formula"][:10]})


def test_csv_and_workbook_run_nothing(tmp_path: Path) -> None:
    written = [
        *write_csv({"names": a_table()}, tmp_path / "names.csv"),
        *write_xlsx({"n": a_table()}, tmp_path / "n.xlsx"),
    ]
    assert live_in_csv(written[0].read_bytes().decode("utf-8-sig")) == []
    assert live_in_workbook(written[1]) == []
    back, sheet = pd.read_csv(written[0], keep_default_na=False), openpyxl.load_workbook(written[1])["n"]
    assert len(back) == len(HOSTILE) == sheet.max_row - 1
    assert back["n"].tolist() == list(range(-5, len(HOSTILE) - 5))  # numbers stay numbers, below zero too
    assert [c.data_type for c in sheet["B"][1:]] == ["n"] * len(HOSTILE)


def test_no_name_is_lost_on_its_way(tmp_path: Path) -> None:
    """But for the apostrophe in front and what cannot be seen, which is spelt out, each name is what it was."""
    write_csv({"names": a_table()}, tmp_path / "names.csv")
    shown = pd.read_csv(tmp_path / "names.csv", keep_default_na=False)["text"]
    for name, text in zip(HOSTILE, shown, strict=True):
        if not UNSEEN.search(name):
            assert re.sub(r"(^|[;\t\n])'", r"\1", text) == re.sub(r"(^|[;\t\n])'", r"\1", name)
        else:
            assert re.sub(r"\W", "", re.sub(r"\\u00..", "", text)) == re.sub(r"\W", "", UNSEEN.sub("", name))


def test_what_is_harmless_stays_as_it_is() -> None:
    table = pd.DataFrame(
        {"rep": ["Ann Reed", "a-b", "x=1", "5 @ 3", "a; b", "two\nlines", "two\n\nparts"], "n": range(7)}
    )
    pd.testing.assert_frame_equal(plain(table), table)


# --- every way out ---------------------------------------------------------------------------------


RISKY = [name for name in HOSTILE if LIVE.match(name) or name[:1] in "#;'"]
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command, which must end well; what it printed."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def call(*given: object) -> str:
        monkeypatch.setattr(sys, "argv", ["salescoach", *map(str, given)])
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved book in which every name is a formula of some kind."""
    book = sample_book()
    deals = book.tables["deals"].head(600)
    texts = ("name", "lead_source", "segment", "region", "product", "won_reason", "lost_reason", "competitor")
    turned = {c: named(deals[c], i) for i, c in enumerate(texts)}
    reps = book.tables["reps"]
    people = reps.assign(**{c: named(reps[c], i) for i, c in enumerate(("name", "team", "manager"))})
    own = {n: t[t["deal_id"].isin(deals["deal_id"])] for n, t in book.tables.items() if "deal_id" in t and n != "deals"}
    tables = {**book.tables, **own, "deals": deals.assign(**turned), "reps": people}
    tables["accounts"] = tables["accounts"].assign(name=named(tables["accounts"]["name"], 3))
    place = tmp_path_factory.mktemp("hostile") / "book"
    save_book(replace(book, tables=tables), place)
    return place


def named(values: pd.Series, start: int) -> pd.Series:
    """Another name for each value, the same for the same."""
    codes, _ = pd.factorize(values)
    return pd.Series(
        [RISKY[(c + 7 * start) % len(RISKY)] if c >= 0 else None for c in codes], values.index, dtype="str"
    )


WAYS = [
    ("metrics", "win_rate", "sales_cycle", "--by", "product"),
    ("metrics", "loss_reasons"),
    ("metrics", "win_rate", "--by", "rep,lead_source"),
    ("metrics", "sales", "--by", "team"),
    ("metrics", "win_rate", "--rows"),
    ("metrics", "quota_attainment"),
    ("metrics", "win_rate", "--by", "segment", "--reported", "2026-06-30"),
    ("trust", "--period", "2026Q2"),
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_no_way_out_carries_a_formula(way: tuple[str, ...], folder: Path, run: Run, tmp_path: Path) -> None:
    run(*way, "--book", folder, "--csv", tmp_path / "out", "--xlsx", tmp_path / "out.xlsx")
    files = list((tmp_path / "out").glob("*.csv"))
    assert files and [cell for f in files for cell in live_in_csv(f.read_bytes().decode("utf-8-sig"))] == []
    assert live_in_workbook(tmp_path / "out.xlsx") == []


def test_the_names_are_there(folder: Path, run: Run, tmp_path: Path) -> None:
    """The files above would be harmless if nobody's name stood in them."""
    run("metrics", "win_rate", "--rows", "--book", folder, "--csv", tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8-sig")
    assert sum(f"'{name}" in text for name in RISKY) >= 10


# --- rows set aside --------------------------------------------------------------------------------


def rejected(folder: Path) -> Book:
    """A row set aside for each name: as its date, and with the name as the id of its rep."""
    table = pd.DataFrame({"deal_id": [f"D{i}" for i in range(len(RISKY))], "stage": "Won"})
    table = table.assign(rep_id=RISKY, created_at=RISKY, closed_at="2026-01-05", name=RISKY)
    good = pd.DataFrame({"deal_id": [f"G{i}" for i in range(400)], "stage": "Won", "rep_id": "R1"})
    good = good.assign(created_at="2026-01-01", closed_at="2026-01-05", name="Ann Reed")
    folder.mkdir()
    pd.concat([table, good]).to_csv(folder / "deals.csv", index=False, quoting=csv.QUOTE_ALL)
    return load_book(folder, as_of="2026-03-31")


def test_the_list_of_rows_set_aside_carries_no_formula(tmp_path: Path) -> None:
    book = rejected(tmp_path / "export")
    assert len(book.quarantine) >= len(RISKY) - 5
    save_book(book, tmp_path / "book")
    text = (tmp_path / "book" / "quarantine.csv").read_bytes().decode("utf-8")
    assert [c for row in csv.reader(io.StringIO(text, newline="")) for c in row if is_live(c)] == []
    assert not UNSEEN.search(text.replace("\n", ""))
    pd.testing.assert_frame_equal(open_book(tmp_path / "book").quarantine, book.quarantine)


def test_corrections_saved_in_the_app_carry_no_formula(tmp_path: Path) -> None:
    book = rejected(tmp_path / "export")
    panel = QuarantinePanel(book, words("en"))
    for place, name in enumerate(RISKY[:20]):
        panel.note(place, name)
    link = re.search(r'href="data:text/csv;base64,([^"]+)"', panel.saved.value)
    assert link is not None
    rows = list(csv.reader(io.StringIO(base64.b64decode(link[1]).decode("utf-8-sig"), newline="")))
    assert len(rows) == len(panel.corrections) + 1 >= 10
    assert [c for row in rows for c in row if is_live(c)] == []


# --- the ledger ------------------------------------------------------------------------------------


def test_what_the_ledger_gives_is_json(tmp_path: Path, run: Run) -> None:
    """JSON is no spreadsheet's: every text comes back as it was, and steers no terminal on its way."""
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    written = HOSTILE[::6]
    for name in written:
        ledger.add_note("R01", name, "2026-08-01", "boss")
    said = run("log", "export", "--ledger", tmp_path / "ledger.sqlite", "--rep", "R01")
    assert not UNSEEN.search(said)
    kept: Any = json.loads(said)
    texts = re.findall(r'"said": ("(?:[^"\\]|\\.)*")', json.dumps(kept))
    assert sorted(json.loads(t) for t in texts) == sorted(written)
