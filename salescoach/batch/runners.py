"""Where reports are made: by threads of this process, or by any executor, such as that of a Dask cluster.

Either way each thread or worker hands its task to the template process of its own process (`make`): one code path.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from salescoach.batch.elsewhere import runner
from salescoach.batch.failures import ENDS_ITS_PROCESS, died, ended_by_itself, not_in_time
from salescoach.batch.job import Outcome, Task
from salescoach.secrecy import blackened

Mode = Literal["", "kernel", "spawn"]
START = 120
# collecting garbage while everything is imported takes a quarter of the time that the imports take
TEMPLATE = "import gc; gc.disable(); from salescoach.batch.template import main; main()"
# fmt: off
ALLOWED = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "PYTHONHASHSEED",
    "PYTHONUTF8", "SYSTEMROOT", "TZ", "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME", "MPLCONFIGDIR", "IPYTHONDIR",
    "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "PATHEXT",
)
# fmt: on
SINGLE = {
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # Arrow's memory manager would start a thread at its import
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONUNBUFFERED": "1",
}


class TemplateDied(Exception):
    """The template process ended while it had reports to make."""


def outcomes(
    tasks: Sequence[Task],
    workers: int | None = None,
    executor: Executor | None = None,
    elsewhere: str = "",
    mode: Mode = "",
) -> Generator[Outcome]:
    """Outcomes as they come, one for each task; closing it ends all that it started.

    workers    reports at a time on this machine (default: one per core)
    executor   any concurrent.futures.Executor instead of threads of this process
    elsewhere  NAME or NAME=ADDRESS of a runner, such as dask=tcp://HOST:8786, whose workers reach the tasks' files
               under the same paths
    mode       "kernel": real kernels; "spawn": a fresh process for each report; "": as fast as the machine allows
    """
    if not tasks:
        return
    if elsewhere:
        with runner(elsewhere) as named:
            yield from _collect(named, tasks, mode)
    elif executor is not None:
        yield from _collect(executor, tasks, mode)
    else:
        yield from _local(tasks, max(1, min(workers or os.cpu_count() or 1, len(tasks))), mode)


def _local(tasks: Sequence[Task], count: int, mode: Mode) -> Generator[Outcome]:
    pool = ThreadPoolExecutor(count, thread_name_prefix="salescoach-report")
    stopped = threading.Event()
    try:
        yield from _collect(pool, tasks, mode, stopped)
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()
        pool.shutdown(wait=True)


def _collect(
    executor: Executor, tasks: Sequence[Task], mode: Mode, stopped: threading.Event | None = None
) -> Generator[Outcome]:
    """Outcomes of one executor. Each future is dropped at once: a cluster would make its report again."""
    known = () if stopped is None else (stopped,)  # an event does not travel to a cluster
    waiting: dict[Future[Outcome], Task] = {executor.submit(make, task, mode, *known): task for task in tasks}
    try:
        for future in as_completed(list(waiting)):
            task = waiting.pop(future)
            yield _result(future, task)
            del future
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[Outcome], task: Task) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    return Outcome(task.file, "failed", 0.0, error=blackened(died(error)))


def make(task: Task, mode: Mode = "", stopped: threading.Event | None = None) -> Outcome:
    """Make one report by this process's template; a report whose template died gets one of its own, once.

    stopped   set when the run is being ended: nothing new is started then
    """
    if stopped is not None and stopped.is_set():
        raise TemplateDied("The run was stopped.")
    if mode == "spawn" or not forking_is_safe():
        return _make_apart(task, "kernel" if mode == "kernel" else "")
    try:
        return _template_of_this_process().make(task, mode)
    except TemplateDied:
        if stopped is not None and stopped.is_set():
            raise
    alone = Template()
    try:
        return alone.make(task, mode)
    except TemplateDied:
        return Outcome(task.file, "failed", 0.0, error=ENDS_ITS_PROCESS)
    finally:
        alone.close()


def forking_is_safe() -> bool:
    """On Linux, where a child can be told to end with its parent."""
    return sys.platform == "linux"


# --- the template, seen from outside ---------------------------------------------------------------


class Template:
    """A template process; `make` may be called by several threads at a time."""

    def __init__(self) -> None:
        self._waiting: dict[int, Future[Outcome]] = {}
        self._groups: dict[int, int] = {}
        self._lock = threading.Lock()
        self._number = 0
        self.closed = False
        self.scratch = tempfile.mkdtemp(prefix="salescoach-work-")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", TEMPLATE, str(theirs.fileno()), self.scratch],
                env=allowed_environment(os.environ, self.scratch),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if not os.environ.get("SALESCOACH_TEMPLATE_LOG") else None,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._control = Connection(ours.detach())
        self.threads = self._ready()
        _templates.add(self)
        self._reader = threading.Thread(target=self._read, name="salescoach-template", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _ready(self) -> int:
        try:
            if self._control.poll(START):
                return int(self._control.recv()[1])
        except (EOFError, OSError):
            pass
        self._end()
        raise TemplateDied("The process that makes reports could not be started.")

    def make(self, task: Task, mode: Mode = "") -> Outcome:
        done: Future[Outcome] = Future()
        with self._lock:
            if self.closed:
                raise TemplateDied
            self._number += 1
            number = self._number
            self._waiting[number] = done
            with suppress(OSError):  # the reader sees it too
                self._control.send((number, task, mode))
        return done.result()

    def _read(self) -> None:
        try:
            while True:
                kind, number, *more = self._control.recv()
                if kind == "started":
                    self._groups[number] = more[0]
                    continue
                self._groups.pop(number, None)
                done = self._waiting.pop(number)
                if kind == "ended":
                    done.set_result(more[0])
                else:
                    done.set_exception(TemplateDied("It has more than one thread."))
        except (EOFError, OSError):
            self._end()

    def _end(self) -> None:
        with self._lock:
            self.closed = True
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for group in self._groups.values():  # the children die with the template, but not what they started
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(self.scratch, ignore_errors=True)
        for number in list(self._waiting):
            self._waiting.pop(number).set_exception(TemplateDied("The process that makes reports died."))

    def close(self) -> None:
        """End it with all that it started."""
        _templates.discard(self)
        with suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(5)
        self._control.close()


def allowed_environment(given: Mapping[str, str], scratch: str) -> dict[str, str]:
    """What reports see of the environment: nothing that could be a secret."""
    kept = {name: given[name] for name in ALLOWED if name in given}
    return {**kept, **SINGLE, "TMPDIR": scratch}


_templates: set[Template] = set()
_own: list[Template] = []
_guard = threading.Lock()


def _template_of_this_process() -> Template:
    with _guard:
        if _own and not _own[0].closed:
            return _own[0]
        _own[:] = [Template()]
        return _own[0]


def make_ready() -> None:
    """Start this process's template beside what the caller does before its first report."""
    if forking_is_safe():
        threading.Thread(target=_start_early, name="salescoach-ready", daemon=True).start()


def _start_early() -> None:
    with suppress(TemplateDied):  # whoever makes a report starts another, and says what is wrong
        _template_of_this_process()


def end_all() -> None:
    """End the templates of this process with their reports, also one that is just starting."""
    with _guard:
        _own.clear()
    for template in list(_templates):
        template.close()


atexit.register(end_all)


# --- a process for each report ---------------------------------------------------------------------


def _make_apart(task: Task, mode: str) -> Outcome:
    """Where forking is not safe: imports are paid for each report anew."""
    with tempfile.TemporaryDirectory(prefix="salescoach-work-") as scratch:
        given, answer = Path(scratch) / "task.json", Path(scratch) / "outcome.json"
        given.write_text(json.dumps(asdict(task)), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", TEMPLATE, "once", str(given), str(answer), mode],
            env=allowed_environment(os.environ, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        error = ""
        try:
            code = process.wait(task.deadline)
            error = ended_by_itself(code)
        except subprocess.TimeoutExpired:
            error = not_in_time(task.deadline)
        finally:
            _kill_tree(process)
        if answer.is_file():
            return Outcome(**json.loads(answer.read_text(encoding="utf-8")))
        return Outcome(task.file, "failed", 0.0, error=error)


def _kill_tree(process: subprocess.Popen[Any]) -> None:
    if sys.platform != "win32":
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
