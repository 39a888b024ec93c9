"""What a report costs in a batch, in seconds of the processor of all processes, side by side in one run.

    python benchmarks/batch.py                     # 10 reports by each way
    python benchmarks/batch.py --reports 4

Ways: the commands `papermill` and `jupyter nbconvert` in a loop; both libraries in one process; our batch; and the
floor, the same cells run and drawn in one warm process. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from salescoach.batch.job import Task
from salescoach.batch.runners import Template, end_all, outcomes
from salescoach.reports.stories import find_story
from salescoach.wording import words

PERIOD = "last 365 days"
NOTEBOOK = "rep_review"
PLAIN = """import sys, json, papermill, nbformat
from nbconvert import HTMLExporter
exporter = HTMLExporter(exclude_input=True)
for rep, target in json.loads(sys.argv[2]):
    given = {"rep": rep, "period": PERIOD}
    papermill.execute_notebook(sys.argv[1], target + ".ipynb", parameters=given, progress_bar=False)
    open(target + ".html", "w").write(exporter.from_notebook_node(nbformat.read(target + ".ipynb", 4))[0])
""".replace("PERIOD", repr(PERIOD))
FLOOR = """import sys, json, nbformat
cells = [c.source for c in nbformat.read(sys.argv[1], 4).cells if c.cell_type == "code"]
for rep, target in json.loads(sys.argv[2]):
    names = {"__name__": "__main__"}
    for number, source in enumerate(cells):
        *lines, last = [ast for ast in __import__("ast").parse(source).body] or [None]
        if last is None:
            continue
        import ast
        exec(compile(ast.Module(lines, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            for kind in ("_repr_html_", "_repr_png_", "_repr_mimebundle_"):
                hasattr(shown, kind) and getattr(shown, kind)()
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
        number or names.update(book=target, rep=rep, period=PERIOD)
""".replace("PERIOD", repr(PERIOD))


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor, of this process and its ended children, and of the clock."""

    cpu: float
    wall: float


def cost(act: Callable[[], Any]) -> Cost:
    before, started = os.times(), time.monotonic()
    act()
    after = os.times()
    return Cost(sum(after[:4]) - sum(before[:4]), time.monotonic() - started)


def slices(folder: Path, count: int) -> list[tuple[str, str, Path]]:
    """Rep, title and folder of the slice, as a batch makes them."""
    from salescoach.book import write_folder
    from salescoach.process import parse_period
    from salescoach.reports.others import tables_of_others
    from salescoach.sources import sample_book

    book = sample_book()
    peers = tables_of_others(book, parse_period(PERIOD, book.process, book.as_of_on.date()))
    found = []
    for rep in list(dict.fromkeys(book.people["rep_id"]))[:count]:
        place = folder / f"slice-{rep}"
        place.mkdir()
        part = book.for_rep(rep)
        object.__setattr__(part, "peers", peers)
        write_folder(part, place)
        found.append((rep, rep, place))
    return found


def plain_commands(notebook: Path, given: list[tuple[str, str, Path]], out: Path) -> None:
    for rep, _, place in given:
        target = out / f"plain-{rep}.ipynb"
        papermill = [sys.executable, "-m", "papermill", str(notebook), str(target), "--no-progress-bar"]
        for name, value in {"book": place, "rep": rep, "period": PERIOD}.items():
            papermill += ["-r", name, str(value)]
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(papermill, **quiet)  # type: ignore[call-overload]
        subprocess.run(
            [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--no-input", str(target)],
            **quiet,  # type: ignore[call-overload]
        )


def in_one_process(code: str, notebook: Path, given: list[tuple[str, str, Path]], out: Path) -> None:
    import json

    pairs = json.dumps([(rep, str(place)) for rep, _, place in given])
    code = code.replace('{"rep": rep,', '{"book": target, "rep": rep,')
    subprocess.run(
        [sys.executable, "-c", code, str(notebook), pairs], check=True, cwd=out, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def ours(notebook: Path, given: list[tuple[str, str, Path]], out: Path, workers: int = 1) -> None:
    tasks = [
        Task(rep, str(notebook), name, "en", str(place), {"rep": rep, "period": PERIOD}, str(out / f"{rep}.html"))
        for rep, name, place in given
    ]
    failed = [o for o in outcomes(tasks, workers=workers) if o.status != "done"]
    assert not failed, failed


def trivial_overhead(folder: Path) -> float:
    """Seconds of the clock from asking a warm template for a notebook of one sum to its page."""
    notebook = folder / "trivial.ipynb"
    cell = nbformat.v4.new_code_cell('book = ""', metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("1 + 1")]), notebook)
    template = Template()
    times = []
    for number in range(9):
        started = time.monotonic()
        task = Task(f"t{number}", str(notebook), "t", "en", "", {}, str(folder / f"t{number}.html"))
        assert template.make(task).status == "done"
        times.append(time.monotonic() - started)
    template.close()
    return sorted(times)[len(times) // 2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=10)
    count = parser.parse_args().reports
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook = folder / f"{NOTEBOOK}.ipynb"
        nbformat.write(find_story(NOTEBOOK).read(words("en")), notebook)
        given, few = slices(folder, count), max(1, count // 3)
        ways: dict[str, Callable[[list[tuple[str, str, Path]]], None]] = {
            "salescoach": lambda some: ours(notebook, some, folder),
            "the floor: the same cells in one warm process": lambda some: in_one_process(FLOOR, notebook, some, folder),
            "papermill and nbconvert in one process": lambda some: in_one_process(PLAIN, notebook, some, folder),
            "the commands papermill and jupyter nbconvert": lambda some: plain_commands(notebook, some, folder),
        }
        print(
            f"| way | {count} reports | {few} reports | one more report | against salescoach | one more, against it |"
        )
        print("|---|---|---|---|---|---|")
        base: tuple[float, float] | None = None
        for way, act in ways.items():
            all_of, some_of = cost(lambda act=act: act(given)).cpu, cost(lambda act=act: act(given[:few])).cpu
            more = (all_of - some_of) / (count - few)
            base = base or (all_of, more)
            print(
                f"| {way} | {all_of:.1f} s | {some_of:.1f} s | {more:.2f} s | {all_of / base[0]:.2f} | "
                f"{more / base[1]:.2f} |",
                flush=True,
            )
        print(f"\nA notebook of one sum: {trivial_overhead(folder):.3f} s of the clock.")
        end_all()


if __name__ == "__main__":
    main()
