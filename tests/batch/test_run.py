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
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from salescoach.batch import Order, PlanFile, run_batch, run_report
from salescoach.batch.failures import died, ended_by, ended_by_itself, failure, not_in_time
from salescoach.batch.index import index_page
from salescoach.errors import StorageError
from salescoach.wording import words

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


def test_the_error_of_a_failed_report_is_said_in_the_language_of_the_index(run):
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    for report in manifest["reports"]:
        if report["status"] == "failed":
            report["error"] = "NotFinished: The notebook stopped at code cell 3 of 10."
    chinese, english = index_page(manifest, words("zh")), index_page(manifest, words("en"))
    assert "失败（NotFinished：笔记本停在第 3 个代码单元格（共 10 个）。）" in chinese
    assert "failed (NotFinished: The notebook stopped at code cell 3 of 10.)" in english


@pytest.mark.parametrize(
    ("kept", "chinese"),
    [
        (not_in_time(900.0), "900 秒内未完成"),
        (ended_by("SIGKILL"), "进程被 SIGKILL 终止，可能是内存不足"),
        (ended_by("SIGSEGV"), "进程被 SIGSEGV 终止"),
        (ended_by_itself(3), "进程在笔记本运行完之前自行结束，退出码 3"),
        (died(ValueError("x")), "工作进程已终止：x"),
        ("KeyError: 'deal_id'", "KeyError：'deal_id'"),
    ],
)
def test_how_a_report_ended_is_kept_in_english_and_said_in_chinese(kept, chinese):
    said = failure(str(kept))
    assert (words("en")(said), words("zh")(said)) == (str(kept), chinese)


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
    files = sorted((run.folder / "peers").glob("*.parquet"))
    assert {"path-0.parquet", "peers-0.parquet"} <= {file.name for file in files}
    for table in map(pd.read_parquet, files):
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


def kernels_in(folder: Path) -> list[str]:
    """Commands of the processes whose temporary folder is `folder`: kernels have a process group of their own."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def start_and_wait(tmp_path: Path, *arguments: object) -> subprocess.Popen[str]:
    """A command on a notebook that never ends, running; process group and temporary folder are its own."""
    mark, private = tmp_path / "running", tmp_path / "private"
    private.mkdir()
    cell = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(999)"
    notebook = write_notebook(tmp_path / "endless.ipynb", cell)
    command = [notebook if a == "ENDLESS" else a for a in arguments]
    child = subprocess.Popen(
        [sys.executable, "-c", "from salescoach.cli import main; main()", *map(str, command)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(private)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until = time.monotonic() + 100
    while not mark.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return child


def stopped(child: subprocess.Popen[str], private: Path) -> tuple[int, str]:
    """Exit code and messages of the command, which leaves no process, no kernel and no temporary file."""
    rest = child.communicate(timeout=20)[1]
    assert still_running(group=child.pid) == []
    assert kernels_in(private) == []
    assert [p.name for p in private.iterdir()] == []
    assert "salescoach: stopped." in rest and "Traceback" not in rest
    return child.returncode, rest


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
@pytest.mark.parametrize(
    ("number", "send", "code"),
    [
        pytest.param(signal.SIGINT, os.killpg, 130, marks=pytest.mark.nightly),
        (signal.SIGTERM, os.kill, 143),
        pytest.param(signal.SIGTERM, os.killpg, 143, marks=pytest.mark.nightly),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGTERM to all"],
)
def test_a_stopped_run_ends_soon_publishes_nothing_and_leaves_nothing(tmp_path, number, send, code):
    child = start_and_wait(
        tmp_path, "batch", "--book", "demo", "--notebook", "ENDLESS", "--per", "rep", "--workers", 2, "--out", "out"
    )
    send(child.pid, number)
    returned, rest = stopped(child, tmp_path / "private")
    assert returned == code
    assert "Nothing is published of a run that is stopped" in rest
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name != ".lock"] == ["runs"]
    assert all(p.name.startswith(".") for p in (tmp_path / "out" / "runs").iterdir())
    assert list((tmp_path / "out").rglob("*.html")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_a_stopped_report_leaves_nothing(tmp_path):
    child = start_and_wait(tmp_path, "report", "ENDLESS", "--book", "demo", "--out", "out")
    child.terminate()
    assert stopped(child, tmp_path / "private")[0] == 143
    assert list((tmp_path / "out").iterdir()) == []


def test_any_executor_will_do_and_current_moves_on(demo_book, tmp_path):
    plan = PlanFile(period="2026", reports=(Order(notebook="rep_review", per="rep", only=("R03",)),))
    with ThreadPoolExecutor(1) as pool:
        first = run_batch(demo_book, plan, tmp_path, executor=pool)
        before = first.folder.resolve()
        assert run_batch(demo_book, plan, tmp_path, executor=pool).made == 0
        assert first.folder.resolve() == before
        second = run_batch(demo_book, plan, tmp_path, executor=pool, force=True)
    assert second.folder.resolve() != before and before.is_dir()
    assert second.exit_code == 0


def test_a_folder_in_the_way_is_named_before_anything_runs(demo_book, tmp_path):
    (tmp_path / "current").mkdir()
    plan = PlanFile(reports=(Order(notebook="rep_review", per="rep", only=("R24",)),))
    with pytest.raises(StorageError, match="current is in the way"):
        run_batch(demo_book, plan, tmp_path, progress=lambda *_: pytest.fail("a report was made"))
    assert [p.name for p in tmp_path.iterdir()] == ["current"]


@pytest.mark.nightly
def test_a_run_that_breaks_off_leaves_the_last_one_as_it_was(demo_book, tmp_path):
    plan = PlanFile(reports=(Order(notebook="start_here", per="company"),))
    last = run_batch(demo_book, plan, tmp_path).folder.resolve()

    def break_off(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(demo_book, plan, tmp_path, progress=break_off, force=True)
    published = [p for p in (tmp_path / "runs").iterdir() if not p.name.startswith(".")]
    assert published == [(tmp_path / "current").resolve()] == [last]


def test_readers_whom_the_book_does_not_name_are_named_in_run_manifest_and_index(demo_book, tmp_path):
    tables = {n: t.drop(columns="team", errors="ignore") for n, t in demo_book.tables.items()}
    plan = PlanFile(
        language="zh",
        reports=(Order(notebook="start_here", per="company"), Order(notebook="team_review", per="team")),
    )
    run = run_batch(replace(demo_book, tables=tables), plan, tmp_path)
    assert run.gaps == ("No reports per team: the book names no team.",)
    assert json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))["gaps"] == list(run.gaps)
    assert "没有按团队的报告：数据中没有团队。" in run.index.read_text(encoding="utf-8")


def test_what_was_agreed_stands_on_the_reps_own_page_and_notes_do_not(demo_book, tmp_path):
    from salescoach.coaching.ledger import open_ledger

    ledger = open_ledger(tmp_path / "l.sqlite")
    ledger.add_promise("R06", "rep", "send quotes within two days", "2026-09-01")
    ledger.add_note("R06", "thinks of leaving", "2026-09-01")
    ledger.add_promise("R01", "rep", "something of hers", "2026-09-01")
    path, outcome = run_report(demo_book, "rep_review", tmp_path, rep="R06", ledger=tmp_path / "l.sqlite")
    assert outcome.status == "done", outcome.error
    page = path.read_text(encoding="utf-8")
    assert "send quotes within two days" in page
    assert "leaving" not in page and "something of hers" not in page


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_ctrl_c_twice_ends_at_once_and_the_next_run_goes_on(tmp_path):
    """The first of two reports is ready when somebody presses Ctrl-C, impatiently; it is not made again."""
    first = "import os, pathlib, time\npathlib.Path(r'{mark}').touch()\ntime.sleep(0 if rep == 'R01' else 999)"
    notebook = write_notebook(tmp_path / "slow.ipynb", first.format(mark=tmp_path / "running"))
    plan = tmp_path / "plan.toml"
    plan.write_text(f'[[reports]]\nnotebook = "{notebook}"\nper = "rep"\nonly = ["R01", "R02"]\n')
    command = ("batch", "--book", "demo", "--plan", plan, "--workers", 1, "--out", "out")
    private = tmp_path / "private"
    child = start_and_wait(tmp_path, *command)
    until = time.monotonic() + 60
    while time.monotonic() < until and not list((tmp_path / "out" / "runs").glob(".*/journal.jsonl")):
        time.sleep(0.1)
    for _ in range(2):
        os.killpg(child.pid, signal.SIGINT)
        time.sleep(0.2)
    child.communicate(timeout=20)
    assert child.returncode in (130, -signal.SIGINT)
    assert still_running(group=child.pid) == [] and kernels_in(private) == []
    patient = write_notebook(tmp_path / "other.ipynb", "rep")
    assert patient.is_file() and not (tmp_path / "out" / "current").exists()
    [journal] = (tmp_path / "out" / "runs").glob(".*/journal.jsonl")
    assert len(journal.read_text().splitlines()) == 1
