"""Cells run in this process show what a cold kernel shows."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import papermill
import pytest

from salescoach.batch.engine import OUTPUT_LIMIT
from salescoach.batch.job import engine_options
from salescoach.reports.stories import stories
from salescoach.wording import words

RUN_HERE = """import json, sys, nbformat, papermill
from salescoach.batch.job import engine_options
from salescoach.batch.template import prepare
sys.argv[3] == "here" and prepare()
book = nbformat.read(sys.argv[1], as_version=4)
try:
    papermill.execute_notebook(book, sys.argv[2], kernel_name="python3", language="python", progress_bar=False,
        request_save_on_cell_execute=False, **(engine_options("") if sys.argv[3] == "here" else {}))
except papermill.exceptions.PapermillExecutionError:
    pass
"""


def notebook_of(*cells: str):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])


def executed(notebook, folder: Path, where: str):
    source, target = folder / "in.ipynb", folder / f"{where}.ipynb"
    nbformat.write(notebook, source)
    subprocess.run([sys.executable, "-c", RUN_HERE, source, target, where], check=True, cwd=folder, timeout=300)
    return nbformat.read(target, as_version=4)


def shown(notebook):
    """Outputs; text that a kernel sends in pieces is put together."""
    cells = []
    for cell in [c for c in notebook.cells if c.cell_type == "code"]:
        outputs = []
        for output in cell.get("outputs", []):
            if (
                outputs
                and output.output_type == outputs[-1].output_type == "stream"
                and output.name == outputs[-1].name
            ):
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        cells.append((cell.get("execution_count"), outputs))
    return cells


def here(*cells: str, **options):
    """Run in a forked child of the test: a shell leaves marks in its process."""
    import json

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            warnings.simplefilter("ignore")
            try:
                done = papermill.execute_notebook(
                    notebook_of(*cells), None, kernel_name="python3", language="python", progress_bar=False,
                    **engine_options(""), **options,
                )  # fmt: skip
                text = json.dumps([c.outputs for c in done.cells if c.cell_type == "code"])
            except Exception as error:
                text = json.dumps(f"{type(error).__name__}: {error}")
            os.write(write, text.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answer = json.load(file)
    os.waitpid(pid, 0)
    return answer


EVERYTHING = (
    "print('one'); print('two')",
    "import sys; print('three', file=sys.stderr)",
    "import pandas as pd; pd.DataFrame({f'c{i}': range(3) for i in range(30)})",
    "print(pd.DataFrame({f'c{i}': range(3) for i in range(30)})); pd.get_option('display.max_columns')",
    "from IPython.display import display, HTML, clear_output, Image; h = display(HTML('<b>a</b>'), display_id='x')",
    "h.update(HTML('<i>b</i>')); display(1, 'two'); None",
    "print('gone'); clear_output(); print('kept')",
    "print('gone'); clear_output(wait=True); print('kept')",
    "import matplotlib.pyplot as plt; plt.plot([1, 2, 3]); plt.title('t')",
    "_ = 5; x = 1; x",
    "import asyncio; await asyncio.sleep(0); asyncio.get_running_loop().is_running()",
    "!echo shell",
    "%%capture caught\nprint('caught')",
    "caught.stdout; __name__, In[1], Out[10], len(sys.modules['__main__'].__dict__) > 10",
    "class Both:\n    __repr__ = lambda s: 'b'\n    _repr_png_ = lambda s: b'\\x89PNG'\nBoth()",
    "",
    "1 / 0",
    "print('never')",
)


def test_outputs_are_those_of_a_cold_kernel(tmp_path):
    notebook = notebook_of(*EVERYTHING)
    cold, warm = (shown(executed(notebook, tmp_path, where)) for where in ("cold", "here"))
    assert len(cold) == len(warm)
    for number, (theirs, ours) in enumerate(zip(cold, warm, strict=True)):
        if theirs[1] and theirs[1][-1].output_type == "error":
            theirs[1][-1].traceback = ours[1][-1].traceback = []  # it names the temporary file of the process
        assert ours == theirs, EVERYTHING[number]


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(stories()))
def test_every_notebook_of_ours_shows_the_same(name, tmp_path):
    notebook = stories()[name].read(words("en"))
    cold, warm = (shown(executed(notebook, tmp_path, where)) for where in ("cold", "here"))
    assert warm == cold
    assert sum(len(outputs) for _, outputs in cold) >= 1


@pytest.mark.nightly
def test_our_one_to_one_page_shows_the_same(tmp_path):
    test_every_notebook_of_ours_shows_the_same("rep_review", tmp_path)


@pytest.mark.parametrize("cell", ["import sys; sys.exit(0)", "exit()", "quit()", "raise SystemExit"])
def test_leaving_is_no_success(cell):
    """papermill takes SystemExit(0) for the end of the work; our check of the cells does not."""
    first, last = here(cell, "print('never')")
    assert first[0]["ename"] == "SystemExit" and last == []


def test_what_other_programs_write_stands_in_the_page():
    [[out, err]] = here("import os; os.write(1, b'to one'); os.write(2, b'to two');")
    assert (out["name"], out["text"], err["name"], err["text"]) == ("stdout", "to one", "stderr", "to two")


def test_a_flood_of_output_fails():
    answer = here("while True: print('x' * 10_000)", output_limit=100_000)
    assert "OutputTooLarge" in answer
    answer = here("import os\nfor _ in range(30): os.write(1, b'x' * 10_000)", output_limit=100_000)
    assert "OutputTooLarge" in answer
    answer = here("try:\n    while True: print('x' * 10_000)\nexcept Exception: pass", output_limit=100_000)
    assert "OutputTooLarge" in answer
    assert OUTPUT_LIMIT == 50_000_000


def test_a_slow_cell_fails():
    assert "CellTooSlow" in here("import time; time.sleep(60)", execution_timeout=0.3)
    assert "CellTooSlow" in here("while True: pass", execution_timeout=0.3)


def test_nobody_answers_a_question():
    assert "Error" in here("input('name?')")


@pytest.mark.parametrize("first", ["papermill", "salescoach.batch.engine"])
def test_whichever_is_imported_first_and_papermill_alone_stays_light(first: str) -> None:
    code = (
        f"import {first}, sys\n"
        "loaded = 'salescoach.batch' in sys.modules\n"
        "import papermill, salescoach.batch.engine\n"
        "from papermill.engines import papermill_engines\n"
        "found = papermill_engines.get_engine('salescoach')\n"
        "assert found.execute_managed_notebook.__func__ is "
        "salescoach.batch.engine.InProcessEngine.execute_managed_notebook.__func__\n"
        "print(loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(first != "papermill")
