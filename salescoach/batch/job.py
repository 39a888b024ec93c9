"""One report: run the notebook on its slice, check that it ran to its end, write the page."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from salescoach.batch.durable import write_file
from salescoach.errors import SalescoachError
from salescoach.reports import page_html
from salescoach.reports.stories import read_story
from salescoach.secrecy import blackened
from salescoach.wording import words

CELL_DEADLINE = 300
REPORT_DEADLINE = 900.0
MEMORY = 4_000
ENGINE = "salescoach"
OWN = "from salescoach.metrics import load_own\n\nload_own({!r});"


@dataclass(frozen=True)
class Task:
    """What a worker needs for one report: nothing but its slice of the book, the notebook, and where the page goes.

    own        the Python file with metrics of the company's own, where there is one
    deadline   seconds after which the report is ended
    megabytes  memory that the report may take
    """

    file: str
    notebook: str
    title: str
    language: str
    book: str
    parameters: dict[str, Any]
    target: str
    own: str = ""
    deadline: float = REPORT_DEADLINE
    megabytes: int = MEMORY


@dataclass(frozen=True)
class Outcome:
    """How one report went: `status` is done or failed; an error is a value, never an exception."""

    file: str
    status: str
    seconds: float
    sha256: str = ""
    bytes: int = 0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class NotFinished(SalescoachError):
    """The notebook stopped before its last cell."""


def run_task(task: Task, mode: str = "kernel") -> Outcome:
    """Make one report: its cells in a kernel of their own, or with mode "" in this process, which then is used up.

    Whatever goes wrong in it comes back as a failed outcome.
    """
    started = time.monotonic()
    try:
        notebook = execute(task, mode)
        html = page_html(notebook, task.title, task.language)
        content = html.encode("utf-8")
        write_file(Path(task.target), content)
    except Exception as error:
        return Outcome(task.file, "failed", round(time.monotonic() - started, 2), error=explain(error))
    return Outcome(
        task.file, "done", round(time.monotonic() - started, 2), hashlib.sha256(content).hexdigest(), len(content)
    )


def execute(task: Task, mode: str = "kernel") -> Any:
    """Run the notebook through papermill in a private folder; it sees only the slice."""
    import papermill

    story = read_story(Path(task.notebook))
    parameters = {**task.parameters, "book": task.book}
    story.check_parameters(parameters)
    with tempfile.TemporaryDirectory(prefix="salescoach-") as folder:
        notebook = papermill.execute_notebook(
            story.read(words(task.language), first=OWN.format(task.own) if task.own else ""),
            str(Path(folder) / "out.ipynb") if mode == "kernel" else None,
            parameters=parameters,
            kernel_name="python3",
            language="python",
            cwd=folder,
            progress_bar=False,
            request_save_on_cell_execute=False,
            execution_timeout=CELL_DEADLINE,
            **engine_options(mode),
        )
    _check_finished(notebook)
    return notebook


def engine_options(mode: str) -> dict[str, Any]:
    """What papermill needs to know to run the cells in this process, or in a real kernel."""
    if mode == "kernel":
        from salescoach.batch.kernel import PrivateKernelManager

        return {"kernel_manager_class": PrivateKernelManager, "shutdown_kernel": "immediate"}
    from papermill.engines import papermill_engines

    from salescoach.batch.engine import InProcessEngine

    papermill_engines.register(ENGINE, InProcessEngine)  # an installation of before has no entry point for it
    return {"engine_name": ENGINE}


def _check_finished(notebook: Any) -> None:
    """A cell that never ran means that the page is half a page, whatever the kernel said of itself."""
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    for number, cell in enumerate(code, start=1):
        if cell.execution_count is None or any(o.output_type == "error" for o in cell.outputs):
            raise NotFinished("The notebook stopped at code cell {number} of {n}.", number=number, n=len(code))


def explain(error: Exception) -> str:
    """One line for the index: what the notebook raised, without the traceback."""
    name, value = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    text = blackened(" ".join(f"{name}: {value}".split()))
    return text if len(text) <= 500 else text[:499] + "…"
