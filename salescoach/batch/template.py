"""The template process: everything imported and ready once, then one forked child for each report.

It runs no cell itself. It has one thread when it forks (else it says so, and nothing is forked); each child leads a
process group of its own, which is killed whole when the report ends, whichever way. It ends with the process that
started it, and its children end with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from salescoach.batch.durable import remove_halves
from salescoach.batch.failures import ended_by, ended_by_itself, not_in_time
from salescoach.batch.job import Outcome, Task, engine_options
from salescoach.secrecy import blackened

NOT_FOR_REPORTS = ("app", "cli", "_kit", "sources", "locale")
LIBRARIES = (
    "IPython.core.completerlib",
    "matplotlib.backends.backend_agg",
    "nbconvert.exporters",
    "papermill",
    "pandas.io.formats.style",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "salescoach.batch.engine",
    "salescoach.batch.kernel",
)
FILE_LIMIT = 200_000_000
RESULT_LIMIT = 60_000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass
class Child:
    """A report that is being made."""

    number: int
    task: Task
    scratch: str
    result: int
    started: float

    @property
    def ends(self) -> float:
        return self.started + self.task.deadline


def main() -> None:
    """`FD SCRATCH`: serve until the end; or `once TASK OUTCOME MODE`: one task, made here."""
    if sys.argv[1] == "once":
        _once(*sys.argv[2:])
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    Server(Connection(int(sys.argv[1])), sys.argv[2]).serve()


def prepare() -> None:
    """Import what reports use, draw and render once, and see to it that children share the memory.

    Nothing is collected before: a child that finds garbage frees it, and with it no longer shares the page.
    """
    _import_all()
    _show_tables_as_in_a_notebook()
    _rehearse()
    gc.freeze()


def _import_all() -> None:
    """All that reports use, without the slowest part of what JupyterLab brings along.

    jsonschema builds three dozen parsers for international web addresses when it finds this library, and no notebook
    holds one: without it the imports take half the time.
    """
    import salescoach

    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    for name in LIBRARIES:
        importlib.import_module(name)
    for part in pkgutil.walk_packages(salescoach.__path__, "salescoach.", onerror=lambda _: None):
        if part.name.split(".")[1] not in NOT_FOR_REPORTS and not part.name.endswith("__main__"):
            with suppress(ImportError):
                importlib.import_module(part.name)


def _show_tables_as_in_a_notebook() -> None:
    """pandas looks for a notebook when it is imported, else it fits columns to a terminal."""
    import pandas as pd

    pd.set_option("display.max_columns", 20)


def _rehearse() -> None:
    """Fonts, templates and translations are read at their first use."""
    import papermill
    from nbformat.v4 import new_code_cell, new_notebook

    from salescoach.charts.drawing import new_axes, style, to_drawing
    from salescoach.kit import kit_path
    from salescoach.process import read_process
    from salescoach.reports import page_html
    from salescoach.reports.blocks import environment
    from salescoach.wording import words

    for pieces in ("blocks", "one_to_one"):
        environment().get_template(f"{pieces}.html.j2")
    read_process(kit_path("templates/process/standard.toml"))
    words("en"), words("zh")
    with style():
        axes = new_axes()
        axes.plot([0, 1], [0, 1], label="老师")
        axes.legend()
        to_drawing(axes, "rehearsal")
    cell = new_code_cell("1 + 1", metadata={"tags": ["parameters"]})
    page_html(new_notebook(cells=[cell]), "rehearsal", "en")
    papermill.execute_notebook(
        new_notebook(cells=[cell]),
        None,
        **engine_options(""),
        kernel_name="python3",
        language="python",
        progress_bar=False,
    )


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


class Server:
    """Forks a child per request and says when and how it ended."""

    def __init__(self, control: Connection, scratch: str) -> None:
        self.control, self.scratch = control, scratch
        self.children: dict[int, Child] = {}
        self.pid = os.getpid()

    def serve(self) -> None:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake, waker = socket.socketpair()
        for end in (wake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        self.control.send(("ready", threads()))
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(self._patience())}
                if wake in ready:
                    wake.recv(4096)
                if self.control in ready:
                    self._hear()
                self._kill_late()
                self._reap()

    def _patience(self) -> float | None:
        """Seconds until the next deadline."""
        if not self.children:
            return None
        return max(0.0, min(c.ends for c in self.children.values()) - time.monotonic())

    def _hear(self) -> None:
        try:
            number, task, mode = self.control.recv()
        except (EOFError, OSError):
            self.end()
        if threads() != 1:
            self.control.send(("threads", number))
            return
        self._fork(number, task, mode)

    def _fork(self, number: int, task: Task, mode: str) -> None:
        scratch = tempfile.mkdtemp(prefix="report-", dir=self.scratch)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                _report(self, task, mode, scratch, write)
            finally:
                os._exit(70)
        os.close(write)
        os.set_blocking(read, False)
        with suppress(OSError):
            os.setpgid(pid, pid)
        self.children[pid] = Child(number, task, scratch, read, time.monotonic())
        self.control.send(("started", number, pid))

    def _kill_late(self) -> None:
        now = time.monotonic()
        for pid, child in self.children.items():
            if now >= child.ends:
                _kill_group(pid)

    def _reap(self) -> None:
        while _own_children():
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self.children:
                _kill_group(pid)  # before its number is free for others
            status = os.waitpid(pid, 0)[1]
            if pid in self.children:
                self._tell(pid, status)

    def _tell(self, pid: int, status: int) -> None:
        child = self.children.pop(pid)
        seconds = time.monotonic() - child.started
        try:
            text = os.read(child.result, RESULT_LIMIT)
        except BlockingIOError:
            text = b""
        os.close(child.result)
        self._end_strays()
        shutil.rmtree(child.scratch, ignore_errors=True)
        outcome = _outcome(child.task, os.waitstatus_to_exitcode(status), text, seconds)
        if outcome.status != "done":
            remove_halves(Path(child.task.target).parent, Path(child.task.target).name)
        self.control.send(("ended", child.number, outcome))

    def _end_strays(self) -> None:
        """Programs that a report left behind in a session of their own come back to this process as its children."""
        while strays := [pid for pid in _own_children() if pid not in self.children]:
            for pid in strays:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def end(self) -> None:
        for pid in self.children:
            _kill_group(pid)
        self._end_strays()
        shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(0)


def _own_children() -> list[int]:
    return [int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()]


def _kill_group(pid: int) -> None:
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _outcome(task: Task, code: int, text: bytes, seconds: float) -> Outcome:
    """How the child says that it went; where it could not say anything, how it ended."""
    if code == 0 and text:
        return Outcome(**json.loads(text))
    if seconds >= task.deadline:
        error = not_in_time(task.deadline)
    elif code < 0:
        error = ended_by(signal.Signals(-code).name)
    else:
        error = ended_by_itself(code)
    return Outcome(task.file, "failed", round(seconds, 2), error=error)


# --- in the child ----------------------------------------------------------------------------------


def _report(server: Server, task: Task, mode: str, scratch: str, result: int) -> None:
    os.setpgid(0, 0)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server.pid:  # it ended before the line above
        os._exit(70)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keep = {0, 1, 2, result}
    server.children.clear()
    for descriptor in [int(d.name) for d in Path("/proc/self/fd").iterdir()]:
        if descriptor not in keep:
            with suppress(OSError):
                os.close(descriptor)
    _settle(task, scratch)
    outcome = _made(task, mode)
    os.write(result, json.dumps(outcome.to_dict()).encode())
    os._exit(0)


def _settle(task: Task, scratch: str) -> None:
    """Limits, a folder of its own, random numbers of its own, and its own garbage collected."""
    import resource  # not there on Windows, where nothing is forked

    gc.enable()
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    os.chdir(scratch)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, most))
    limit = _address_space(resource.getpagesize()) + task.megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    import numpy as np

    random.seed()
    np.random.seed()


def _address_space(page: int) -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * page


def _made(task: Task, mode: str) -> Outcome:
    from salescoach.batch.job import run_task

    started = time.monotonic()
    try:
        return run_task(task, mode)
    except BaseException as error:
        text = blackened(f"{type(error).__name__}: {error}")[:500]
        return Outcome(task.file, "failed", round(time.monotonic() - started, 2), error=text)


def _once(given: str, answer: str, mode: str) -> None:
    """One task in a process of its own, where forking is not safe."""
    from salescoach.batch.job import run_task

    gc.enable()
    task = Task(**json.loads(Path(given).read_text(encoding="utf-8")))
    tempfile.tempdir = str(Path(answer).parent)
    Path(answer).write_text(json.dumps(run_task(task, mode).to_dict()), encoding="utf-8")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
