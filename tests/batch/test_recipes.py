"""The recipes of docs/scheduling.md, run as their schedulers run them."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

DOC = Path(__file__).parents[2] / "docs" / "scheduling.md"
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the recipes are for other systems"),
    pytest.mark.skipif(not DOC.is_file(), reason="no checkout"),
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The recipes' folder: an export, a program by the path they name, and a plan of two small reports."""
    deals = "deal_id,rep_id,stage,created_at,closed_at,amount\n" + "".join(
        f"D{n},R{n % 2},{'Won' if n % 3 else 'Lost'},2026-0{1 + n % 6}-03,2026-0{2 + n % 6}-20,{100 + n}\n"
        for n in range(40)
    )
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "deals.csv").write_text(deals, encoding="utf-8")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    program = tmp_path / "venv" / "bin" / "salescoach"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from salescoach.cli import main; main()" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "weekly").write_text('[[reports]]\nnotebook = "start_here"\nper = "company"\n', encoding="utf-8")
    return tmp_path


def check(place: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert (place / "reports" / "current" / "index.html").is_file()


@pytest.mark.nightly
def test_cron(place: Path) -> None:
    [table], script = blocks("cron"), next(b for b in blocks("sh") if b.startswith("#!"))
    [job] = [line for line in table.splitlines() if line.startswith("15")]
    assert job.split(None, 5)[5] == "cd /srv/salescoach && ./run-weekly"
    file = place / "run-weekly"
    file.write_text(script.replace("/srv/salescoach", str(place)), encoding="utf-8")
    file.chmod(0o700)
    bare = {"HOME": str(place), "LOGNAME": "ops", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    command = job.split(None, 5)[5].replace("/srv/salescoach", str(place))
    check(place, subprocess.run(["/bin/sh", "-c", command], env=bare, capture_output=True, text=True))


@pytest.mark.nightly
def test_systemd(place: Path) -> None:
    service, timer = blocks("ini")
    starts = re.findall(r"ExecStart=(.*)", service)
    assert len(starts) == 2 and "OnCalendar=Mon" in timer
    units = configparser.ConfigParser(strict=False)
    units.read_string(service)
    units.read_string(timer)
    bare = {"HOME": str(place), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    for start in starts:
        words = shlex.split(start.replace("/srv/salescoach", str(place)))
        done = subprocess.run(words, cwd=place, env=bare, capture_output=True, text=True)
    check(place, done)


@pytest.mark.nightly
def test_github_actions(place: Path) -> None:
    [text] = blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["weekly"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands[0].startswith("pip install -c constraints.txt -e .")
    path = f"{place / 'venv' / 'bin'}:{os.environ['PATH']}"
    for command in commands[1:]:
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=place, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
    check(place, done)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")  # to nbconvert, by it
@pytest.mark.parametrize(
    ("plan", "status", "said"), [("weekly", "COMPLETED", ""), ("nowhere", "FAILED", "non-zero exit status 2")]
)
def test_jupyter_scheduler(place: Path, plan: str, status: str, said: str) -> None:
    """A job of its executor: one that fails must not read as completed."""
    orm = pytest.importorskip("jupyter_scheduler.orm")
    from jupyter_scheduler.executors import DefaultExecutionManager

    recipe = next(block for block in blocks("text") if block.startswith("%%sh")).replace("/srv/salescoach", str(place))
    program = place / "venv" / "bin" / "salescoach"
    load = [program, "load", place / "exports", "--book", place / "my-book"]
    assert subprocess.run(load, capture_output=True).returncode == 0
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cell = nbformat.v4.new_code_cell(recipe.replace("--plan weekly", f"--plan {place / plan}"))
    paths = {"input": str(place / "job" / "in.ipynb"), "ipynb": str(place / "job" / "out.ipynb")}
    (place / "job").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), paths["input"])
    url = f"sqlite:///{place / 'jobs.sqlite'}"
    orm.create_tables(url)
    with orm.create_session(url)() as session:
        session.add(
            orm.Job(
                job_id="one", name="weekly", input_filename="in.ipynb", runtime_environment_name="python3",
                output_formats=["ipynb"], parameters={},
            )
        )  # fmt: skip
        session.commit()
    manager = DefaultExecutionManager("one", str(place), url, paths)
    manager.process()
    with orm.create_session(url)() as session:
        job = session.get(orm.Job, "one")
        assert job.status == status and said in (job.status_message or "")
    assert (place / "reports" / "current" / "index.html").is_file() == (status == "COMPLETED")


@pytest.mark.parametrize("name", [None, pytest.param("salescoach", marks=pytest.mark.nightly)])
def test_the_engine_as_airflow_s_operator_and_as_papermill_find_it(tmp_path: Path, name: str | None) -> None:
    """The operator names no engine, and takes the one that stands under None."""
    import papermill
    from papermill.engines import papermill_engines

    from salescoach.batch.engine import InProcessEngine

    source = next(block for block in blocks("python") if "(PapermillOperator)" in block)
    assert "papermill_engines.register(None, InProcessEngine)" in source
    before = papermill_engines.get_engine(None)
    papermill_engines.register(None, InProcessEngine)
    try:
        made = papermill.execute_notebook(
            str(DOC.parents[1] / "notebooks" / "quota.ipynb"),
            str(tmp_path / "quota.ipynb"),
            parameters={"book": "demo", "period": "last 90 days"},
            engine_name=name,
            progress_bar=False,
        )
    finally:
        papermill_engines.register(None, before)
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code" and cell.source.strip())
