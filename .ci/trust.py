"""Write TRUST.md from the tests themselves: what is tried, how often, and the command that tries it again.

python .ci/trust.py            # writes TRUST.md
python .ci/trust.py --check    # fails where TRUST.md states more than the tests hold, or leaves a row out
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE, NIGHTS = ROOT / "TRUST.md", ROOT / "tests" / "NIGHTLY.md"
COLLECT = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", "-o"]
EVERYTHING = "addopts=--import-mode=importlib --strict-markers --nbval --nbval-current-env"
Tests = Counter[tuple[str, str]]
NIGHTLY = {  # what the nightly tier did, and its figure in the row of tests/NIGHTLY.md that tells of it
    "points at which a batch was killed or its disk failed, nothing lost, half or mixed": r"= ([\d,]+) points: 0 lost",
    "kills of the ledger while it writes, nothing acknowledged lost": r"(SQLite \d+ and PostgreSQL \d+) kills",
    "mutations × seeds of an export, none read wrongly in silence": r"(110 mutations × 55 seeds)",
    "broken files read under the laws of rows, money, ids and places": r"([\d,]+) broken CSV, Excel and Parquet files",
    "ordered pairs of reps, no mark of one in what the other is handed": r"([\d,]+) ordered pairs: 0 hits",
    "cohorts under each attack on the others' figures": r"over ([\d,]+) cohorts",
    "data sets of the others, a rep's pages the same to the last byte": r"otherwise, (\w+) data sets",
    "hostile names rendered, the same trees as harmless ones": r"([\d,]+ pages' pieces and [\d,]+ pictures), 0 diff",
}


class Collector:
    """A plugin of pytest that counts what it finds: by default, and with the nightly tier."""

    def __init__(self) -> None:
        self.default, self.everything = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    def pytest_collection_finish(self, session: Any) -> None:
        for item in session.items:
            file, _, name = item.nodeid.partition("::")
            key = (file, name.partition("[")[0])
            self.everything[key] += 1
            self.default[key] += item.get_closest_marker("nightly") is None


def collected() -> tuple[Tests, Tests]:
    """How many tests each function of each file becomes."""
    found, said = Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(
            [*COLLECT, EVERYTHING, f"--rootdir={ROOT}", str(ROOT / "tests"), str(ROOT / "notebooks")], [found]
        )
    if code:
        sys.exit(f"The tests cannot be collected.\n{said.getvalue()[-3000:]}")
    return found.default, found.everything


def expecting_errors() -> set[tuple[str, str]]:
    """Test functions in which something must be refused."""
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.unparse(node)
                if "pytest.raises" in text or re.search(r"\.(?:code|returncode|exit_code) == [1-9]", text):
                    found.add((file.relative_to(ROOT).as_posix(), node.name))
    return found


def of(tests: Tests, file: str, name: str = "") -> int:
    return sum(n for (where, what), n in tests.items() if where.startswith(file) and what.startswith(name))


def rows() -> list[tuple[str, int, int, str]]:
    """What, how often by default, how often with the nightly tier, and the file that tries it."""
    default, everything = collected()
    errors = expecting_errors()
    both = [default, everything]

    def row(what: str, file: str, name: str = "") -> tuple[str, int, int, str]:
        here, all_of_it = (of(tests, file, name) for tests in both)
        return what, here, all_of_it, file

    refused = [sum(n for key, n in tests.items() if key in errors) for tests in both]
    return [
        ("tests", default.total(), everything.total(), "tests notebooks"),
        ("… that assert an error", refused[0], refused[1], "tests"),
        row("files that must be refused or set aside in these very words", "tests/sources/test_catalogue.py"),
        row("kinds of damage to an export, none read wrongly in silence", "tests/sources/test_mutations.py"),
        row("conservation of rows, money and ids", "tests/sources/test_laws.py"),
        row("faults of a report, each of which takes this report only", "tests/batch/test_template.py"),
        row("interrupted and resumed runs (points: tests/NIGHTLY.md)", "tests/batch/test_faults.py"),
        row("the ledger, killed while it writes", "tests/coaching/test_ledger"),
        row("planted leaks that the scanner must find", "tests/privacy/test_canaries.py", "test_a_planted_leak"),
        row("a rep's pages, whoever the others are", "tests/privacy/test_others_change.py"),
        row("newcomers in no figure of the others", "tests/privacy/test_newcomers.py"),
        row("tables of the others, row by row", "tests/privacy/test_tables.py"),
        row("a person's pages found, and purged from every run", "tests/batch/test_rights.py"),
        row("attacks on the others' figures", "tests/privacy/test_attacks.py"),
        row("secrets, by shape and by place", "tests/safety/test_secrets.py"),
        row("pages of hostile names equal to those of harmless ones", "tests/reports/test_pages.py"),
        row("hostile names by place (renders: tests/NIGHTLY.md)", "tests/safety/test_hostile_renders.py"),
        row("ways out to CSV and Excel, none with a live formula", "tests/safety/test_exports_carry_no_formula.py"),
        row("letters to a real mail server, its certificate known or not", "tests/batch/test_mail.py"),
    ]


def nights() -> list[tuple[str, str, str, str]]:
    """What, how often, on which day and by which command, from the last row of tests/NIGHTLY.md that tells it."""
    told = [line.strip("| ").split(" | ") for line in NIGHTS.read_text(encoding="utf-8").splitlines() if "| 20" in line]
    found = []
    for what, figure in NIGHTLY.items():
        rows = [(row, seen) for row in told if (seen := re.search(figure, " | ".join(row)))]
        if not rows:
            sys.exit(f"tests/NIGHTLY.md has no row of: {what} ({figure}). Run it and add one.")
        row, seen = rows[-1]
        found.append((what, seen[1], row[0], row[1]))
    return found


def page(counted: list[tuple[str, int, int, str]]) -> str:
    lines = [
        "# What is tried before you trust it",
        "",
        f"Counted on {dt.date.today().isoformat()} from the tests themselves by `python .ci/trust.py`. The default",
        "tier runs with every change.",
        "",
        "| what | by default | with nightly | again with |",
        "|---|---:|---:|---|",
    ]
    lines += [f"| {what} | {here:,} | {whole:,} | `pytest {file}` |" for what, here, whole, file in counted]
    lines += [
        "",
        "The nightly tier is run by hand before a release; its results stand in [tests/NIGHTLY.md](tests/NIGHTLY.md).",
        "",
        "| what it did | how often | on | by |",
        "|---|---:|---|---|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in nights())]) + "\n"


def problems(counted: list[tuple[str, int, int, str]], stated: str) -> list[str]:
    """Where the page states more than the tests hold, or leaves something out."""
    found = []
    for what, here, whole, file in counted:
        row = re.search(
            rf"^\| {re.escape(what)} \| ([\d,]+) \| ([\d,]+) \| `pytest {re.escape(file)}` \|$", stated, re.M
        )
        if row is None:
            found.append(f"no row of: {what} (pytest {file})")
        elif any(held < int(n.replace(",", "")) for held, n in zip((here, whole), row.groups(), strict=True)):
            found.append(f"{what}: {row[1]} and {row[2]} are stated, {here:,} and {whole:,} are there")
    return found + [f"no row of: {row[0]}" for row in nights() if f"| {' | '.join(row)} |" not in stated]


def main() -> None:
    counted = rows()
    if "--check" not in sys.argv:
        PAGE.write_text(page(counted), encoding="utf-8")
        return
    if found := problems(counted, PAGE.read_text(encoding="utf-8")):
        sys.exit("TRUST.md is not what the tests hold:\n" + "\n".join(found) + "\nWrite it again: python .ci/trust.py")


if __name__ == "__main__":
    main()
