"""What a report costs in a batch, in seconds of the processor of all processes, side by side in one run.

    python benchmarks/batch.py                     # 10 reports by each way
    python benchmarks/batch.py --reports 4
    python benchmarks/batch.py memory              # of a report that is being made, its own
    python benchmarks/batch.py reps                # cost per report by reps in the run; --sizes 10 100 1000
    python benchmarks/batch.py deals               # cost per report by deals in the book; --sizes 10000 100000 1000000
    python benchmarks/batch.py workers             # two workers against one by the clock: on cores that are idle

Ways: the commands `papermill` and `jupyter nbconvert` in a loop, also without the module that takes most of their
start; both libraries in one process; our batch; and the floor, the same cells run and drawn in one warm process.
Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from salescoach.batch import Order, PlanFile, run_batch
from salescoach.batch.job import Task
from salescoach.batch.plan import make_jobs
from salescoach.batch.run import Parts
from salescoach.batch.runners import Template, end_all, outcomes
from salescoach.book import Book, write_folder
from salescoach.reports.stories import find_story
from salescoach.sources import sample_book
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


def plain_commands(notebook: Path, given: list[tuple[str, str, Path]], out: Path, slow: bool = True) -> None:
    """The loop that everybody writes; `slow=False`: `rfc3987_syntax`, which jsonschema takes if it can, is away."""
    without = out / "without"
    without.mkdir(exist_ok=True)
    (without / "rfc3987_syntax.py").write_text("raise ImportError\n", encoding="utf-8")
    path = os.pathsep.join([*([] if slow else [str(without)]), os.environ.get("PYTHONPATH", "")])
    for rep, _, place in given:
        target = out / f"plain-{rep}.ipynb"
        papermill = [sys.executable, "-m", "papermill", str(notebook), str(target), "--no-progress-bar"]
        for name, value in {"book": place, "rep": rep, "period": PERIOD}.items():
            papermill += ["-r", name, str(value)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        quiet |= {"check": True, "env": {**os.environ, "PYTHONPATH": path}}
        subprocess.run(papermill, **quiet)
        subprocess.run(
            [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--no-input", str(target)],
            **quiet,
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


def compare_ways(folder: Path, count: int) -> None:
    notebook = written_notebook(folder)
    given, few = slices(folder, count), max(1, count // 3)
    commands = "the commands papermill and jupyter nbconvert"
    ways: dict[str, Callable[[list[tuple[str, str, Path]]], None]] = {
        "salescoach": lambda some: ours(notebook, some, folder),
        "the floor: the same cells in one warm process": lambda some: in_one_process(FLOOR, notebook, some, folder),
        "papermill and nbconvert in one process": lambda some: in_one_process(PLAIN, notebook, some, folder),
        commands: lambda some: plain_commands(notebook, some, folder),
        f"{commands}, without rfc3987_syntax": lambda some: plain_commands(notebook, some, folder, slow=False),
    }
    print(f"| way | {count} reports | {few} reports | one more report | against salescoach | one more, against it |")
    print("|---|---|---|---|---|---|")
    found: dict[str, tuple[float, float]] = {}
    for way, act in ways.items():
        all_of, some_of = cost(lambda act=act: act(given)).cpu, cost(lambda act=act: act(given[:few])).cpu
        found[way] = all_of, (all_of - some_of) / (count - few)
        base = found["salescoach"]
        print(
            f"| {way} | {all_of:.1f} s | {some_of:.1f} s | {found[way][1]:.2f} s | {all_of / base[0]:.2f} | "
            f"{found[way][1] / base[1]:.2f} |",
            flush=True,
        )
    share = 1 - found[f"{commands}, without rfc3987_syntax"][0] / found[commands][0]
    print(f"\nThe import of rfc3987_syntax is {share:.0%} of the commands' cost.")
    print(f"A notebook of one sum: {trivial_overhead(folder):.3f} s of the clock.")


def written_notebook(folder: Path) -> Path:
    notebook = folder / f"{NOTEBOOK}.ipynb"
    nbformat.write(find_story(NOTEBOOK).read(words("en")), notebook)
    return notebook


# --- memory ----------------------------------------------------------------------------------------


def own_megabytes(pid: int) -> float:
    """Memory that no other process shares: what would be free if the process ended."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+)", text, re.M)) / 1000


def measure_memory(folder: Path, count: int) -> None:
    """The most that each report holds for itself, looked at every 20 ms."""
    notebook, given = written_notebook(folder), slices(folder, count)
    maker = threading.Thread(target=ours, args=(notebook, given, folder))
    maker.start()
    most: dict[int, float] = {}
    while maker.is_alive():
        for pid in report_processes():
            with suppress(OSError):  # it has just ended
                most[pid] = max(most.get(pid, 0.0), own_megabytes(pid))
        time.sleep(0.02)
    assert len(most) == count, "every report was looked at"
    print("| reports | own memory at its most: median | largest |\n|---|---|---|")
    print(f"| {count} | {pd.Series(most).median():.0f} MB | {max(most.values()):.0f} MB |")


def report_processes() -> list[int]:
    """The children of our children: a template has no others than the reports."""
    templates = _children(os.getpid())
    return [pid for template in templates for pid in _children(template)]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in thread.read_text(encoding="ascii").split()]
    return found


# --- growth ----------------------------------------------------------------------------------------


def multiplied(book: Book, times: int, people: int) -> Book:
    """The book and copies of it with other deals; each copy's people are others too, or the copy's of so many before.

    people   how many copies have people of their own
    """
    tables = {}
    for name, frame in book.tables.items():
        of_people = name in ("reps", "targets", "leave", "forecast_calls")
        ids = [c for c in frame if str(c).endswith("_id") and c != "product_id"]
        parts = [frame]
        for copy in range(1, times if ids else 1):
            if of_people and copy >= people:
                continue
            marks = {c: f"~{copy % people if c == 'rep_id' else copy}" for c in ids}
            part = frame.assign(**{c: frame[c] + mark for c, mark in marks.items()})
            parts.append(part.assign(name=part["name"] + marks["rep_id"]) if name == "reps" else part)
        tables[name] = pd.concat(parts, ignore_index=True)
    return replace(book, tables=tables)


def plan_of(notebook: str, reps: list[str]) -> PlanFile:
    return PlanFile(reports=(Order(notebook=notebook, per="rep", only=tuple(reps), period=PERIOD),))


@dataclass(frozen=True)
class RunCost:
    """Seconds of the processor: here, where the book is cut and published, and in the processes of the reports."""

    here: float
    there: float


def run_cost(book: Book, notebook: str, reps: list[str], out: Path) -> RunCost:
    def used() -> list[float]:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return [u.ru_utime + u.ru_stime for u in both]

    before = used()
    run = run_batch(book, plan_of(notebook, reps), out, workers=1)
    assert run.exit_code == 0, run.failed
    return RunCost(*(after - then for after, then in zip(used(), before, strict=True)))


def one_more(book: Book, notebook: str, reps: list[str], few: int, out: Path) -> tuple[RunCost, RunCost]:
    """What one more report costs, and what the run costs without any."""
    all_of, some_of = (run_cost(book, notebook, reps[:n], out / str(n)) for n in (len(reps), few))
    more = [(a - s) / (len(reps) - few) for a, s in ((all_of.here, some_of.here), (all_of.there, some_of.there))]
    rest = [s - few * m for s, m in zip((some_of.here, some_of.there), more, strict=True)]
    return RunCost(*more), RunCost(*rest)


def cutting(book: Book, notebook: str, reps: list[str], out: Path) -> float:
    """Seconds of the processor to cut a report's part out of the book and to write it, of so many reports."""
    started = time.process_time()
    parts = Parts(book, make_jobs(book, plan_of(notebook, reps)))
    for number, rep in enumerate(reps):
        place = out / str(number)
        place.mkdir(parents=True)
        write_folder(parts.for_rep(rep), place)
    return (time.process_time() - started) / len(reps)


def measure_growth(folder: Path, books: dict[int, Book], what: str, notebook: str, everybody: bool) -> None:
    """Cost per report in books of several sizes; a report's own slice is as large in each."""
    print(
        f"| {what} | reports | one more: cut and published | one more: made | together | the run itself | cut alone |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for size, book in books.items():
        names = list(book.people["rep_id"])
        reps = names[:size] if everybody else [r for r in names if "~" not in r][:16]
        more, rest = one_more(book, notebook, reps, max(1, len(reps) // 4), folder / f"{what}-{size}-{everybody}")
        cut = cutting(book, notebook, names[:48], folder / f"{what}-{size}-{everybody}-cut")
        print(
            f"| {size:,} | {len(reps):,} | {more.here:.3f} s | {more.there:.2f} s | {more.here + more.there:.2f} s | "
            f"{rest.here + rest.there:.1f} s | {cut:.3f} s |",
            flush=True,
        )


def measure_reps(folder: Path, sizes: list[int]) -> None:
    """The page of a one-to-one for some of so many people; and a page of one sum for each of them."""
    book = sample_book()
    books = {n: multiplied(book, -(-n // len(book.people)), -(-n // len(book.people))) for n in sizes}
    measure_growth(folder, books, "reps", NOTEBOOK, everybody=False)
    print()
    measure_growth(folder, books, "reps, one sum each", str(trivial_notebook(folder)), everybody=True)


def measure_deals(folder: Path, sizes: list[int]) -> None:
    book = sample_book()
    for size in sizes:  # one at a time: the largest fills the memory
        times = max(1, size // len(book.deals))
        grown = {size: multiplied(book, times, min(times, 40))}
        measure_growth(folder, grown, "deals", NOTEBOOK, everybody=False)


def trivial_notebook(folder: Path) -> Path:
    cell = nbformat.v4.new_code_cell(
        'book = ""\nrep = ""\nperiod = ""\nlanguage = ""', metadata={"tags": ["parameters"]}
    )
    title = nbformat.v4.new_markdown_cell("# What is one and one?")
    notebook = nbformat.v4.new_notebook(cells=[title, cell, nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(notebook, folder / "one_sum.ipynb")
    return folder / "one_sum.ipynb"


# --- workers ---------------------------------------------------------------------------------------


def measure_workers(folder: Path, count: int) -> None:
    """Reports by one worker and by two, from a template that is already there, by the clock."""
    notebook, given = written_notebook(folder), slices(folder, count)
    busy = os.getloadavg()[0]
    tasks = [
        Task(rep, str(notebook), name, "en", str(place), {"rep": rep, "period": PERIOD}, str(folder / f"{rep}.html"))
        for rep, name, place in given
    ]
    template = Template()
    seconds: dict[int, list[float]] = {}
    assert template.make(tasks[0]).status == "done"
    for workers in (1, 2, 1, 2):
        started = time.monotonic()
        with ThreadPoolExecutor(workers) as pool:
            assert all(outcome.status == "done" for outcome in pool.map(template.make, tasks))
        seconds.setdefault(workers, []).append(time.monotonic() - started)
    template.close()
    one, two = (min(seconds[w]) for w in (1, 2))
    print("| reports | one worker | two workers | times as fast | load before |\n|---|---|---|---|---|")
    print(f"| {count} | {one:.1f} s | {two:.1f} s | {one / two:.2f} | {busy:.1f} on {os.cpu_count()} cores |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", default="ways", choices=["ways", "memory", "reps", "deals", "workers"])
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+")
    asked = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.what == "ways":
            compare_ways(folder, asked.reports)
        elif asked.what == "memory":
            measure_memory(folder, asked.reports)
        elif asked.what == "workers":
            measure_workers(folder, asked.reports)
        elif asked.what == "reps":
            measure_reps(folder, asked.sizes or [10, 100, 1000])
        else:
            measure_deals(folder, asked.sizes or [10_000, 100_000, 1_000_000])
        end_all()


if __name__ == "__main__":
    main()
