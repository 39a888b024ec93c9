"""Write TRUST.md from the tests themselves: what is tried, how often, and the command that tries it again.

python .ci/trust.py            # writes TRUST.md
python .ci/trust.py --check    # fails where the counts of TRUST.md are not those of the tests
"""

from __future__ import annotations

import ast
import datetime as dt
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "TRUST.md"
COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
EVERYTHING = "addopts=--import-mode=importlib --strict-markers"
DAY = re.compile(r"Counted on \d{4}-\d\d-\d\d")


def collected(*more: str) -> Counter[tuple[str, str]]:
    """How many tests each function of each file becomes."""
    said = subprocess.run([*COLLECT, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^((?:tests|notebooks)/[^:\s]+)::(.+)$", said, re.M)
    return Counter((file, name.partition("[")[0]) for file, name in found)


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


def of(tests: Counter[tuple[str, str]], file: str, name: str = "") -> int:
    return sum(n for (where, what), n in tests.items() if where.startswith(file) and what.startswith(name))


def rows() -> list[tuple[str, int, int, str]]:
    """What, how often by default, how often with the nightly tier, and the file that tries it."""
    default, everything = collected(), collected("-o", EVERYTHING)
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
        row("attacks on the others' figures", "tests/privacy/test_attacks.py"),
        row("secrets, by shape and by place", "tests/safety/test_secrets.py"),
        row("pages of hostile names equal to those of harmless ones", "tests/reports/test_pages.py"),
        row("hostile names by place (renders: tests/NIGHTLY.md)", "tests/safety/test_hostile_renders.py"),
        row("ways out to CSV and Excel, none with a live formula", "tests/safety/test_exports_carry_no_formula.py"),
        row("letters to a real mail server, each with its reader's page only", "tests/batch/test_mail.py"),
    ]


def page() -> str:
    lines = [
        "# What is tried before you trust it",
        "",
        f"Counted on {dt.date.today().isoformat()} from the tests themselves by `python .ci/trust.py`. The default",
        "tier runs with every change; the nightly tier is run by hand before a release, and its results stand in",
        "[tests/NIGHTLY.md](tests/NIGHTLY.md) with date and command.",
        "",
        "| what | by default | with nightly | again with |",
        "|---|---:|---:|---|",
    ]
    lines += [f"| {what} | {here:,} | {whole:,} | `pytest {file}` |" for what, here, whole, file in rows()]
    return "\n".join(lines) + "\n"


def main() -> None:
    made = page()
    if "--check" in sys.argv:
        if DAY.sub("", PAGE.read_text(encoding="utf-8")) != DAY.sub("", made):
            sys.exit("TRUST.md is not what the tests say. Write it again: python .ci/trust.py")
        return
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
