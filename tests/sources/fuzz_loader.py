"""Throws broken files at the loader: only typed errors may come out, and what is used must obey the laws.

    python tests/sources/fuzz_loader.py --runs 5000            # a plain random mutator of bytes and structure
    python tests/sources/fuzz_loader.py --atheris -runs=100000 # guided by coverage, where atheris is installed
    python tests/sources/fuzz_loader.py --seed 17              # one run again

A run that fails is printed with its seed, and its file is kept in the folder fuzz_loader of the
system's temporary folder.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir, mkdtemp

import laws
import openpyxl
import pandas as pd

from salescoach.book import Book
from salescoach.errors import LawBroken, SalescoachError
from salescoach.sources import load_book

SECONDS = 30.0
KEPT = Path(gettempdir()) / "fuzz_loader"
SCRAPS = [
    *(c.encode() for c in ",;\t\"='\\()-%$¥万，<{["),
    *(
        c.encode()
        for c in ("\n", "\r", "\r\n", "\x00", "\x1a", "\u200b", "\u202e", " " * 40, '""', "sep=;\n", "PK\x03\x04")
    ),
    *(
        c.encode()
        for c in ("1e400", "inf", "nan", "NaT", "None", "#REF!", "Total", "deal_id", "amount", "<html>", "中文")
    ),
    *(c.encode() for c in ("0000-00-00", "9999-12-31", "2025-02-30", "03/04/2025", "45658", "1735689600000", "+99:99")),
    *(c.encode() for c in ("2025-01-01T00:00:00Z", "2025-03-30 02:30", "9" * 40, "-" * 30)),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xd6\xd0"),
]
STAGES = ["Won", "Lost", "Quote", "Prospecting", "赢单"]
COLUMNS = [
    *laws.HEADER,
    "closed_at",
    "currency",
    "outcome",
    "probability",
    "updated_at",
    "pipeline",
    "expected_close_on",
]


def sound_file(chance: random.Random) -> list[list[str]]:
    """A header and up to twelve deals, with some of the columns that a load understands."""
    header = [*laws.HEADER, *chance.sample(COLUMNS[len(laws.HEADER) :], chance.randrange(5))]
    values: dict[str, Callable[[int], str]] = {
        "deal_id": lambda i: f"D{i:03}",
        "rep_id": lambda i: chance.choice(["Ann", "NA", "李娜", ""]),
        "stage": lambda i: chance.choice(STAGES),
        "created_at": lambda i: f"2025-0{chance.randrange(1, 6)}-1{chance.randrange(10)}",
        "amount": lambda i: chance.choice(["", f"{chance.randrange(10**6)}.{chance.randrange(100):02}"]),
        "name": lambda i: chance.choice(["Alpha", '"a, b"', '"two\nlines"', '"say ""hi"""', "中文"]),
        "closed_at": lambda i: chance.choice(["", "2025-06-01"]),
        "currency": lambda i: chance.choice(["CNY", "JPY", "KWD", "EUR", ""]),
        "outcome": lambda i: chance.choice(["won", "lost", "open", "void", ""]),
        "probability": lambda i: chance.choice(["0.5", "50%", "1", ""]),
        "updated_at": lambda i: f"2025-06-{chance.randrange(10, 30)} 10:00",
        "pipeline": lambda i: "",
        "expected_close_on": lambda i: chance.choice(["", "2025-09-01"]),
    }
    return [header, *([values[c](i) for c in header] for i in range(chance.randrange(1, 12)))]


def broken_file(chance: random.Random) -> bytes:
    """A sound file with some of its rows, fields and bytes changed."""
    rows = sound_file(chance)
    for _ in range(chance.randrange(4)):
        change_structure(rows, chance)
    text = "\n".join(
        chance.choice([",", ",", ",", ";"]).join(r) if chance.random() < 0.02 else ",".join(r) for r in rows
    )
    encoding = chance.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "gb18030", "utf-16", "latin-1"])
    content = bytearray((text + "\n").encode(encoding, errors="replace"))
    for _ in range(chance.randrange(5)):
        change_bytes(content, chance)
    return bytes(content)


def broken_workbook(chance: random.Random) -> bytes:
    """A workbook with some bytes of one of its parts changed, or of the archive itself."""
    book = openpyxl.Workbook()
    for row in sound_file(chance):
        values = (float(v) if v.replace(".", "", 1).isdigit() and chance.random() < 0.8 else v for v in row)
        odd = (chance.choice(["=A1+1", "#REF!", True, None, 10**20]) if chance.random() < 0.02 else v for v in values)
        book.active.append(list(odd))
    made = io.BytesIO()
    book.save(made)
    source = zipfile.ZipFile(made)
    parts = {name: bytearray(source.read(name)) for name in source.namelist()}
    for _ in range(chance.randrange(4)):
        change_bytes(parts[chance.choice(list(parts))], chance)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, bytes(part))
    content = bytearray(target.getvalue())
    if chance.random() < 0.2:
        change_bytes(content, chance)
    return bytes(content)


def broken_parquet(chance: random.Random) -> bytes:
    header, *rows = sound_file(chance)
    target = io.BytesIO()
    pd.DataFrame(rows, columns=header).to_parquet(target)
    content = bytearray(target.getvalue())
    for _ in range(chance.randrange(3)):
        change_bytes(content, chance)
    return bytes(content)


def change_structure(rows: list[list[str]], chance: random.Random) -> None:
    row = chance.choice(rows)
    match chance.randrange(9):
        case 0:
            rows.append(list(row))
        case 1:
            del row[chance.randrange(len(row) + 1) :]
        case 2:
            row.insert(chance.randrange(len(row) + 1), "")
        case 3:
            rows.insert(chance.randrange(len(rows)), [])
        case 4:
            chance.shuffle(row)
        case 5 if row:
            row[chance.randrange(len(row))] = chance.choice(SCRAPS).decode("utf-8", errors="replace")
        case 6 if row:
            at = chance.randrange(len(row))
            for other in rows[1:]:
                if at < len(other):
                    other[at] = chance.choice([other[at], chance.choice(SCRAPS).decode("utf-8", errors="replace")])
        case 7:
            rows.append(["Total", *[""] * 4, "1.00"])
        case _:
            rows.append(list(rows[0]))


def change_bytes(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) + 1)
    match chance.randrange(5):
        case 0:
            content[at:at] = chance.choice(SCRAPS)
        case 1:
            del content[at : at + chance.randrange(1, 20)]
        case 2 if content:
            content[min(at, len(content) - 1)] = chance.randrange(256)
        case 3:
            content[at:at] = content[max(0, at - 40) : at]
        case _:
            content[at : at + 1] = chance.choice(SCRAPS)


def check(content: bytes, folder: Path, name: str = "deals.csv") -> str:
    """Load the bytes as a deals file. Returns how it ended; raises where a law broke or another error came out."""
    header = content.decode("utf-8", errors="ignore").partition("\n")[0]
    mapped = [c for c in COLUMNS if c in header or name != "deals.csv"] or laws.HEADER
    source = "tolerate = { unknown_stage = 1.0, quarantined = 1.0 }\n[deals]\n[deals.columns]\n"
    (folder / "my.toml").write_text(source + "".join(f'{c} = ["{c}"]\n' for c in {*mapped, "deal_id", "stage"}))
    (folder / name).write_bytes(content)
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            book = load_book(folder / name, source=str(folder / "my.toml"), as_of="2025-12-31")
    except LawBroken:
        raise
    except SalescoachError as error:
        assert str(error).strip(), "an error without a message"
        return type(error).__name__
    assert time.process_time() - started < SECONDS, "too slow"
    obey_laws(book, content.count(b"\n") + content.count(b"\r") + 1 if name == "deals.csv" else 2**20)
    return "quarantined" if len(book.quarantine) else "used"


def obey_laws(book: Book, lines: int) -> None:
    """What can be judged without knowing what the file meant."""
    rows = book.quality["rows"]["deals"]
    out = book.quarantine
    assert rows["read"] == rows["used"] + rows["quarantined"] + rows["blank"], "rows are lost"
    assert (len(book.deals), len(out)) == (rows["used"], rows["quarantined"]), "the counts are not the rows"
    assert book.deals["deal_id"].is_unique, "an id is used twice"
    assert not book.deals[["deal_id", "stage", "outcome"]].isna().any(axis=None), "a deal without id, stage or outcome"
    assert out["record"].is_unique and out["record"].between(1, rows["read"]).all(), "a record number is wrong"
    assert out["line"].between(1, lines).all(), "a line number is wrong"
    assert (out[["file", "sha256", "reason", "hint", "raw"]] != "").all(axis=None), "a quarantined row says too little"
    if "amount_minor" in book.deals:
        used = book.deals["amount_minor"].fillna(0)
        money = book.quality["money_minor"]
        assert int(used.sum()) == sum(int(v) for v in book.deals["amount_minor"].dropna()), "money overflows"
        assert {c: v for c, v in money["in"].items() if v} == {
            c: total for c in money["in"] if (total := money["used"].get(c, 0) + money["quarantined"].get(c, 0))
        }, "money is lost"


KINDS = {0: (broken_workbook, "deals.xlsx"), 1: (broken_parquet, "deals.parquet")}  # by the last digit of the seed


def run(seed: int, folder: Path) -> str:
    make, name = KINDS.get(seed % 10, (broken_file, "deals.csv"))
    content = make(random.Random(seed))
    try:
        return check(content, folder, name)
    except Exception:
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{seed}_{name}").write_bytes(content)
        print(f"seed {seed} failed: {KEPT / f'{seed}_{name}'}", file=sys.stderr)
        raise


def guided() -> None:
    """The same check under atheris, which finds its own bytes."""
    import atheris  # type: ignore[import-not-found]

    folder = Path(mkdtemp())
    atheris.Setup([a for a in sys.argv if a != "--atheris"], lambda data: check(data, folder))
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.runs)
    ended: Counter[str] = Counter()
    failed = 0
    with TemporaryDirectory() as folder:
        for seed in seeds:
            try:
                ended[run(seed, Path(folder))] += 1
            except Exception as error:
                failed += 1
                print(f"  {type(error).__name__}: {error}"[:300], file=sys.stderr)
                if given.seed is not None:
                    raise
    print(f"{sum(ended.values())} runs: {dict(ended.most_common())}; {failed} failed")
    return min(failed, 1)


if __name__ == "__main__":
    if "--atheris" in sys.argv:
        guided()
    else:
        raise SystemExit(main())
