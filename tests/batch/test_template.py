"""What can happen to a report, and that nothing but this report suffers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from salescoach.batch import runners
from salescoach.batch.job import Task
from salescoach.batch.runners import Template, TemplateDied, allowed_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reports are forked on Linux only")


@pytest.fixture(scope="module")
def template():
    template = Template()
    yield template
    template.close()
    assert not psutil.pid_exists(template.pid)
    assert not Path(template.scratch).exists()


def task_of(folder: Path, *cells: str, **more) -> Task:
    """A report of a notebook of these cells."""
    parameters = nbformat.v4.new_code_cell('book = ""', metadata={"tags": ["parameters"]})
    code = [nbformat.v4.new_code_cell(c) for c in cells]
    file = folder / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, *code]), file)
    return Task("page", str(file), "t", "en", "", {}, str(folder / "out" / "page.html"), **{"deadline": 30.0, **more})


FAULTS = {
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "group killed": ("import os, signal; os.killpg(0, signal.SIGKILL)", "SIGKILL"),
    "terminated": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
    "interrupted": ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", "KeyboardInterrupt"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "aborted": ("import os; os.abort()", "SIGABRT"),
    "left": ("import os; os._exit(0)", "code 0 before the notebook's end"),
    "left with a code": ("import os; os._exit(7)", "code 7 before the notebook's end"),
    "sys.exit(0)": ("import sys; sys.exit(0)", "stopped at code cell 4 of 5"),
    "exit()": ("exit()", "stopped at code cell 4 of 5"),
    "no memory": ("x = bytearray(10**12)", "MemoryError"),
    "error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "syntax": ("1 +", "SyntaxError"),
    "disk full": (
        "import os, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        "open('big', 'wb').write(bytes(5000))",
        "File too large",
    ),
    "thread that never ends": ("import threading; threading.Thread(target=__import__('time').sleep, args=(99,)).start()", ""),  # noqa: E501
    "closed descriptors": ("import os; os.closerange(3, 40)", ""),
    "no stdout": ("import sys; sys.stdout = None", ""),
    "folder gone": ("import os, shutil; shutil.rmtree(os.getcwd())", ""),
}  # fmt: skip


def test_the_template_leaves_out_the_slowest_part_of_jupyterlab(template, tmp_path):
    cell = "import sys, jsonschema; assert sys.modules['rfc3987_syntax'] is None and 'lark' not in sys.modules"
    outcome = template.make(task_of(tmp_path, cell))
    assert (outcome.status, outcome.error) == ("done", "")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_takes_one_report(template, tmp_path, kind):
    cell, error = FAULTS[kind]
    outcome = template.make(task_of(tmp_path, "1", cell, "2"))
    if not error:
        assert outcome.status in ("done", "failed")
    else:
        assert outcome.status == "failed"
        assert error in outcome.error
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
    after = template.make(task_of(tmp_path, "1"))
    assert after.status == "done", after.error
    assert template.threads == 1
    assert psutil.Process(template.pid).children(recursive=True) == []
    assert list(Path(template.scratch).iterdir()) == []


DEAF = "import signal\nfor n in set(signal.Signals) - {9, 19}:\n    try: signal.signal(n, signal.SIG_IGN)\n    except Exception: pass\n"  # noqa: E501


@pytest.mark.parametrize(
    "cell",
    ["import time; time.sleep(99)", "while True: pass", f"{DEAF}while True: pass", "sum(range(10**12))"],
    ids=["asleep", "busy", "deaf", "one long call"],
)
def test_a_report_ends_at_its_deadline(template, tmp_path, cell):
    started = time.monotonic()
    outcome = template.make(task_of(tmp_path, cell, deadline=0.7))
    assert outcome.error == "not done within 0.7 seconds"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("apart", [False, True], ids=["same group", "session of its own"])
def test_what_a_report_leaves_behind_ends_with_it(template, tmp_path, apart):
    mark = tmp_path / "pid"
    cell = (
        "import subprocess, pathlib\n"
        f"p = subprocess.Popen(['sleep', '99'], start_new_session={apart})\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(p.pid));"
    )
    assert template.make(task_of(tmp_path, cell)).status == "done"
    pid = int(mark.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_reports_share_nothing(template, tmp_path):
    first = "import os, builtins, numpy as np, pandas as pd, random\n"
    dirty = first + "os.environ['MARK'] = '1'; builtins.mark = 1; pd.set_option('display.max_rows', 3); os.chdir('/');"
    assert template.make(task_of(tmp_path, dirty)).status == "done"
    clean = first + (
        "assert 'MARK' not in os.environ and not hasattr(builtins, 'mark')\n"
        "assert pd.get_option('display.max_rows') == 60 and os.getcwd() != '/'\n"
        "print(np.random.random(), random.random());"
    )
    pages = set()
    for _ in range(2):
        outcome = template.make(task_of(tmp_path, clean))
        assert outcome.status == "done", outcome.error
        pages.add(outcome.sha256)
    assert len(pages) == 2, "both drew the same random numbers"


def test_no_secret_of_the_environment_reaches_a_report(tmp_path, monkeypatch):
    for name in ("CRM_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "SALESCOACH_LEDGER"):
        monkeypatch.setenv(name, "canary-7f3a")
    assert "canary-7f3a" not in allowed_environment(os.environ, "/tmp").values()
    template = Template()
    try:
        cell = "import os, pathlib\ntext = str(dict(os.environ)) + pathlib.Path('/proc/self/environ').read_text()\n"
        outcome = template.make(task_of(tmp_path, cell + "assert 'canary' not in text"))
        assert outcome.status == "done", outcome.error
        os.kill(template.pid, signal.SIGKILL)
        with pytest.raises(TemplateDied):
            template.make(task_of(tmp_path, "1"))
    finally:
        template.close()


def test_reports_end_with_their_template(tmp_path):
    template = Template()
    mark = tmp_path / "pid"
    cell = f"import os, pathlib, time\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\ntime.sleep(99)"
    caught = []

    def ask():
        try:
            template.make(task_of(tmp_path, cell))
        except TemplateDied as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(template.pid, signal.SIGKILL)
    asking.join(10)
    template.close()
    assert len(caught) == 1
    pid, until = int(mark.read_text()), time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not Path(template.scratch).exists()


def test_a_template_that_is_just_starting_is_ended_with_the_others():
    """The last test here, as it ends every template of this process."""
    runners.make_ready()
    time.sleep(0.2)  # long enough to begin, too short to be done
    runners.end_all()
    mine = psutil.Process().children(recursive=True)
    assert [p for p in mine if "salescoach.batch.template" in p.cmdline() and p.status() != psutil.STATUS_ZOMBIE] == []
