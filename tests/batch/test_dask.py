"""Reports on a cluster: a scheduler and two worker processes, of which one is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from salescoach.batch.job import Task
from salescoach.batch.runners import outcomes
from salescoach.errors import InputError

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers."""
    info = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker"]
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(info)]
    scheduler = subprocess.Popen([*start, *common, "--port", "0"], **quiet)
    workers = [
        subprocess.Popen([*worker, *common, "--nthreads", "1", "--no-nanny"], **quiet)
        for _ in range(2)
    ]  # fmt: skip
    until = time.monotonic() + 30
    while not info.exists() and time.monotonic() < until:
        time.sleep(0.1)
    import json

    time.sleep(0.3)
    yield json.loads(info.read_text())["address"], workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def tasks_of(folder: Path, count: int) -> list[Task]:
    parameters = nbformat.v4.new_code_cell('book = ""\nn = 0', metadata={"tags": ["parameters"]})
    cell = nbformat.v4.new_code_cell("import time; time.sleep(0.3); assert n != 2, 'no page for two'; print(n)")
    file = folder / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, cell]), file)
    return [
        Task(f"p{n}", str(file), "t", "en", "", {"n": n}, str(folder / "out" / f"p{n}.html"), deadline=60.0)
        for n in range(count)
    ]


def test_a_worker_that_is_killed_costs_no_report(cluster, tmp_path):
    address, workers = cluster
    found = []
    for outcome in outcomes(tasks_of(tmp_path, 10), elsewhere=f"dask={address}"):
        found.append(outcome)
        if len(found) == 2:
            below = psutil.Process(workers[0].pid).children(recursive=True)
            workers[0].send_signal(signal.SIGKILL)
    assert sorted(o.file for o in found) == [f"p{n}" for n in range(10)]
    assert [o.file for o in found if o.status != "done"] == ["p2"]
    assert "no page for two" in next(o for o in found if o.file == "p2").error
    assert len(list((tmp_path / "out").glob("*.html"))) == 9
    psutil.wait_procs(below, timeout=10)
    assert [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_an_address_where_nobody_answers_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("salescoach.batch.elsewhere.CONNECT", 0.5)
    with pytest.raises(InputError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9"):
        list(outcomes(tasks_of(tmp_path, 1), elsewhere="dask=tcp://127.0.0.1:9"))
