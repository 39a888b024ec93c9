"""Runs: real notebooks in real kernels, on slices."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from salescoach.batch import Order, PlanFile, run_batch
from salescoach.errors import StorageError

PROBE = """import os, pathlib
from salescoach import open_report
report = open_report(book, rep=rep, period=period, language=language)
print(sorted(str(p.relative_to(book)) for p in pathlib.Path(book).rglob("*")))
print(os.getcwd())
report.heading()"""


def write_notebook(path: Path, *cells: str) -> Path:
    parameters = nbformat.v4.new_code_cell(
        'book = "demo"\nrep = ""\nperiod = ""\nlanguage = "en"', metadata={"tags": ["parameters"]}
    )
    code = [nbformat.v4.new_code_cell(c) for c in cells]
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# What is here?"), parameters, *code]), path
    )
    return path


@pytest.fixture(scope="module")
def run(demo_book, tmp_path_factory):
    """One real run: two reps of the demo and a notebook of our own that fails for one of them."""
    folder = tmp_path_factory.mktemp("run")
    own = write_notebook(folder / "picky.ipynb", PROBE, 'assert rep != "R02", "no page for R02"', "report.provenance()")
    plan = PlanFile(
        period="2026",
        reports=(
            Order(notebook="rep_review", per="rep", only=("R01", "R24")),
            Order(notebook=str(own), per="rep", only=("R01", "R02")),
        ),
    )
    seen = []
    run = run_batch(
        demo_book, plan, folder / "out", workers=2, progress=lambda outcome, n, total: seen.append((n, total))
    )
    assert sorted(seen) == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return run


def page(run, name: str) -> str:
    [file] = [o.file for o in run.outcomes if name in o.file]
    return (run.folder / file).read_text(encoding="utf-8")


def test_one_failing_report_does_not_stop_the_others(run):
    assert [(o.status, o.file.endswith("picky.html")) for o in run.outcomes] == [
        ("done", False),
        ("done", False),
        ("done", True),
        ("failed", True),
    ]
    assert run.exit_code == 3
    assert "no page for R02" in run.failed[0].error


def test_a_failed_report_is_not_published_and_the_index_says_so(run):
    assert not (run.folder / run.failed[0].file).exists()
    index = run.index.read_text(encoding="utf-8")
    assert "failed (AssertionError: no page for R02)" in index
    assert index.count("<a href=") == 3


def test_the_manifest_says_what_ran_on_which_data(run, demo_book):
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["book"]["content_hash"] == demo_book.content_hash
    assert (manifest["done"], manifest["failed"]) == (3, 1)
    assert {r["parameters"]["rep"] for r in manifest["reports"]} == {"R01", "R02", "R24"}


def test_a_reps_kernel_sees_its_slice_and_nothing_else(run):
    text = page(run, "ana-souza-e0a64b0b/picky")
    files = re.search(r"\[.*?\]", text).group()
    assert "peers/peers.parquet" in files and "deals.parquet" in files
    assert "Ana Souza" in text
    assert str(Path.cwd()) not in text


def test_a_reps_page_names_no_colleague(run, demo_book):
    text = page(run, "ana-souza-e0a64b0b/rep_review")
    others = demo_book.people[demo_book.people["rep_id"] != "R01"]
    assert [n for n in others["rep"] if n in text] == []
    assert not re.findall(r"\bR(?!01)\d\d\b", text)


def test_the_page_of_a_rep_without_a_deal_says_so(run):
    assert "There is no deal of 郭敏" in page(run, "郭敏")


def test_pages_stand_alone_and_show_no_code(run):
    text = page(run, "ana-souza-e0a64b0b/rep_review")
    assert "open_report(" not in text and "<script" not in text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert len(text) < 1_000_000


def test_peers_are_published_only_as_aggregates(run):
    [file] = (run.folder / "peers").glob("*.parquet")
    table = pd.read_parquet(file)
    assert "rep_id" not in table and "n" not in table
    assert (table.loc[~table["hidden"], "reps"] >= 6).all()


def test_a_worker_that_is_killed_takes_only_its_own_report(demo_book, tmp_path):
    """The first kernel kills its parent, the worker; the pool breaks, and the other report is made all the same."""
    killer = write_notebook(
        tmp_path / "killer.ipynb",
        'import os, signal\nrep == "R01" and os.kill(os.getppid(), signal.SIGKILL)\n"alive"',
    )
    plan = PlanFile(reports=(Order(notebook=str(killer), per="rep", only=("R01", "R02")),))
    run = run_batch(demo_book, plan, tmp_path / "out", workers=2)
    assert [o.status for o in run.outcomes] == ["failed", "done"]
    assert "the worker died" in run.outcomes[0].error


def still_running(group: int, patience: float = 10) -> list[str]:
    """Commands of a process group that are alive after a while."""
    until = time.monotonic() + patience
    while True:
        alive = [
            p for p in psutil.process_iter(["pid", "status", "cmdline"]) if p.info["status"] != psutil.STATUS_ZOMBIE
        ]
        names = [
            " ".join(p.info["cmdline"] or []) for p in alive if psutil.pid_exists(p.pid) and group_of(p.pid) == group
        ]
        if not names or time.monotonic() > until:
            return names
        time.sleep(0.2)


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_ctrl_c_stops_with_130_publishes_nothing_and_leaves_no_process(tmp_path):
    code = "from salescoach.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--workers", "1"]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert child.stderr is not None
    assert "[1/10]" in child.stderr.readline()
    os.killpg(child.pid, signal.SIGINT)
    rest = child.stderr.read()
    assert child.wait(60) == 130
    assert "salescoach: stopped." in rest and "Traceback" not in rest
    assert not (tmp_path / "salescoach-demo" / "current").exists()
    assert still_running(group=child.pid) == []


def test_any_executor_will_do_and_current_moves_on(demo_book, tmp_path):
    plan = PlanFile(period="2026", reports=(Order(notebook="rep_review", per="rep", only=("R03",)),))
    with ThreadPoolExecutor(1) as pool:
        first = run_batch(demo_book, plan, tmp_path, executor=pool)
        before = first.folder.resolve()
        second = run_batch(demo_book, plan, tmp_path, executor=pool)
    assert second.folder.resolve() != before and before.is_dir()
    assert second.exit_code == 0


def test_a_folder_in_the_way_is_named(demo_book, tmp_path):
    (tmp_path / "current").mkdir()
    plan = PlanFile(reports=(Order(notebook="rep_review", per="rep", only=("R24",)),))
    with pytest.raises(StorageError, match="current is in the way"):
        run_batch(demo_book, plan, tmp_path)
