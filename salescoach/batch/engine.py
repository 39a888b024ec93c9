"""The papermill engine `salescoach`: runs a notebook's cells in this very process, without kernel and sockets."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from ipykernel.ipkernel import IPythonKernel
from ipykernel.jsonutil import json_clean
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from nbformat.v4 import new_output
from papermill.engines import Engine
from traitlets import Type
from traitlets.config import Config

from salescoach.errors import SalescoachError

OUTPUT_LIMIT = 50_000_000
INLINE = "module://matplotlib_inline.backend_inline"


class OutputTooLarge(SalescoachError):
    """A cell printed or showed more than a page can hold."""


class CellTooSlow(SalescoachError):
    """A cell did not end within its time."""


class Sheet:
    """The outputs of the cell that is running, as a notebook keeps them."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.outputs: list[Any] = []
        self.shown: dict[str, list[Any]] = {}
        self.clear_before_next = False

    def turn_to(self, cell: Any) -> None:
        cell.outputs = self.outputs = []
        self.clear_before_next = False

    @property
    def full(self) -> bool:
        return self.size > self.limit

    def _count(self, size: int) -> None:
        self.size += size
        if self.full:
            raise OutputTooLarge("The notebook shows more than {limit} MB.", limit=self.limit // 1000000)

    def _add(self, output: Any) -> None:
        if self.clear_before_next:
            self.clear()
        self.outputs.append(output)

    def write(self, stream: str, text: str) -> None:
        if not text:
            return
        self._count(len(text))
        last = self.outputs[-1] if self.outputs and not self.clear_before_next else None
        if last is not None and last.output_type == "stream" and last.name == stream:
            last.text += text
        else:
            self._add(new_output("stream", name=stream, text=text))

    def show(self, kind: str, data: dict[str, Any], metadata: dict[str, Any], name: str = "", **more: Any) -> None:
        """A result or a display; `name` is the display id under which it can be shown anew."""
        data, metadata = _plain(data), _plain(metadata)
        self._count(sum(len(str(v)) for v in data.values()))
        output = new_output(kind, data=data, metadata=metadata, **more)
        self._add(output)
        if name:
            self.shown.setdefault(name, []).append(output)

    def show_anew(self, name: str, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        for output in self.shown.get(name, []):
            output.data, output.metadata = _plain(data), _plain(metadata)

    def clear(self, wait: bool = False) -> None:
        self.clear_before_next = wait
        if not wait:
            self.outputs.clear()

    def fail(self, name: str, value: str, traceback: list[str]) -> None:
        self._add(new_output("error", ename=name, evalue=value, traceback=traceback))


def _plain(bundle: dict[str, Any]) -> dict[str, Any]:
    """As it would arrive from a kernel: pictures in base64, nothing that JSON does not know."""
    coded = {n: b64encode(v).decode("ascii") if isinstance(v, bytes) else v for n, v in bundle.items()}
    return dict(json_clean(coded))  # type: ignore[no-untyped-call]


class _Stream:
    """sys.stdout or sys.stderr of the cells."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, sheet: Sheet, name: str, descriptor: int) -> None:
        self._sheet, self.name, self._descriptor = sheet, name, descriptor

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._sheet.write(self.name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor


class _Hook(DisplayHook):  # type: ignore[misc]
    sheet: ClassVar[Sheet]

    def start_displayhook(self) -> None:
        pass

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        self.sheet.show("execute_result", format_dict, md_dict or {}, execution_count=self.prompt_count)

    def finish_displayhook(self) -> None:
        pass


class _Publisher(DisplayPublisher):  # type: ignore[misc]
    sheet: ClassVar[Sheet]

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        name = (transient or {}).get("display_id", "")
        if update:
            self.sheet.show_anew(name, data, metadata or {})
        else:
            self.sheet.show("display_data", data, metadata or {}, name)

    def clear_output(self, wait: bool = False) -> None:
        self.sheet.clear(wait)


class ZMQReportShell(ZMQInteractiveShell):  # type: ignore[misc]
    """IPython as in a kernel; libraries look for "ZMQ" in the name of its class to know a notebook."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    sheet: ClassVar[Sheet]

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        self.sheet.fail(etype.__name__, str(evalue), stb)

    def ask_exit(self) -> None:
        raise SystemExit

    def enable_gui(self, gui: Any = None) -> None:
        """There is no event loop of windows."""


def open_shell(sheet: Sheet) -> ZMQReportShell:
    """The shell of a notebook. There is one in a process."""
    for part in (_Hook, _Publisher, ZMQReportShell):
        part.sheet = sheet
    ZMQReportShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    shell: ZMQReportShell = ZMQReportShell.instance(config=config, user_ns={})
    return shell


class InProcessEngine(Engine):  # type: ignore[misc]
    """`papermill --engine salescoach`, or `execute_notebook(..., engine_name="salescoach")`."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        execution_timeout: float | None = None,
        output_limit: int = OUTPUT_LIMIT,
        **_: Any,
    ) -> None:
        sheet = Sheet(output_limit)
        _draw_into_the_notebook()
        shell = open_shell(sheet)
        streams = sys.stdout, sys.stderr, sys.displayhook, sys.modules["__main__"]
        try:
            asyncio.run(_run_cells(shell, nb_man, sheet, execution_timeout))
        finally:
            sys.stdout, sys.stderr, sys.displayhook, sys.modules["__main__"] = streams
            ZMQReportShell.clear_instance()
        nb_man.nb.metadata["language_info"] = dict(IPythonKernel.language_info)


def _draw_into_the_notebook() -> None:
    """The backend finds the shell when it is imported, at the first figure: it must not have been imported before."""
    os.environ.setdefault("MPLBACKEND", INLINE)
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].rcParams["backend"] = INLINE


async def _run_cells(shell: ZMQReportShell, manager: Any, sheet: Sheet, deadline: float | None) -> None:
    """One cell after the other, up to the first that fails."""
    for index, cell in enumerate(manager.nb.cells):
        manager.cell_start(cell, index)
        try:
            passed = await _run_cell(shell, cell, sheet, deadline)
            if not passed:
                manager.cell_exception(cell, cell_index=index)
                break
        finally:
            manager.cell_complete(cell, cell_index=index)


async def _run_cell(shell: ZMQReportShell, cell: Any, sheet: Sheet, deadline: float | None) -> bool:
    tags = cell.metadata.get("tags", [])
    if cell.cell_type != "code" or not cell.source.strip() or "skip-execution" in tags:
        return True
    sheet.turn_to(cell)
    with _captured(sheet), _alarm(deadline):
        cell.execution_count = shell.execution_count
        result = await _executed(shell, cell.source)
    if sheet.full:
        text = f"The notebook shows more than {sheet.limit // 1_000_000} MB."
        sheet.fail("OutputTooLarge", text, [f"OutputTooLarge: {text}"])
        return False
    return bool(result.success or "raises-exception" in tags)


async def _executed(shell: ZMQReportShell, source: str) -> Any:
    """As a kernel does it: a cell finds a running loop, and may await."""
    try:
        transformed, trouble = shell.transform_cell(source), None
    except Exception:
        transformed, trouble = source, sys.exc_info()
    if shell.should_run_async(source, transformed_cell=transformed, preprocessing_exc_tuple=trouble):
        return await shell.run_cell_async(
            source, store_history=True, transformed_cell=transformed, preprocessing_exc_tuple=trouble
        )
    return shell.run_cell(source, store_history=True)  # type: ignore[no-untyped-call]


@contextmanager
def _captured(sheet: Sheet) -> Iterator[None]:
    """What is written to descriptors 1 and 2, by C code or another program, stands below the cell's own output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = _Stream(sheet, "stdout", 1), _Stream(sheet, "stderr", 2)
        try:
            yield
        finally:
            _flush_c()
            for descriptor, number in zip(kept, (1, 2), strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
            if not sheet.full:
                _add_raw(sheet, "stdout", out)
                _add_raw(sheet, "stderr", err)


def _add_raw(sheet: Sheet, name: str, file: Any) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > sheet.limit:
        sheet.size += size
    elif size:
        file.seek(0)
        sheet.write(name, file.read().decode("utf-8", "replace"))


def _flush_c() -> None:
    ctypes.CDLL(None).fflush(None) if sys.platform != "win32" else None


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """A cell that takes too long fails; code that hears no signal is left to the deadline of the whole report."""
    if not seconds or sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise CellTooSlow("A cell took longer than {seconds:g} seconds.", seconds=seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
