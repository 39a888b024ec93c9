"""`batch`, `verify` and `why` from the command line, and the copy of a run for readers elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from salescoach.batch import copy_run
from salescoach.errors import StorageError, UsageError

Run = Callable[..., Any]


def small_notebook(folder: Path, text: str = "1 + 1") -> Path:
    parameters = nbformat.v4.new_code_cell(
        'book = "demo"\nrep = ""\nperiod = ""\nlanguage = "en"', metadata={"tags": ["parameters"]}
    )
    file = folder / "small.ipynb"
    title = nbformat.v4.new_markdown_cell("# How much is it?")
    nbformat.write(nbformat.v4.new_notebook(cells=[title, parameters, nbformat.v4.new_code_cell(text)]), file)
    return file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run in which the report of one of 24 people fails."""
    folder = tmp_path_factory.mktemp("made")
    notebook = small_notebook(folder, 'assert rep != "R02", "nothing for R02"\nrep')
    words = ["batch", "--book", "demo", "--notebook", str(notebook), "--per", "rep", "--out", str(folder / "out")]
    command = [sys.executable, "-c", "from salescoach.cli import main; main()", *words, "--json"]
    return folder / "out", subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_summary_for_programs_is_one_line(made: Any) -> None:
    _, done = made
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 3 and (said["reports"], said["done"], said["made_now"]) == (24, 23, 24)
    [(file, error)] = said["failed"].items()
    assert "small.html" in file and error == "AssertionError: nothing for R02"
    assert re.search(r"\[24/24\] .* per minute · 0 s left · 1 failed", done.stderr)


def test_the_next_run_makes_only_what_is_missing(made: Any, salescoach: Run) -> None:
    out, _ = made
    words = ("batch", "--book", "demo", "--notebook", out.parent / "small.ipynb", "--per", "rep", "--out", out)
    done = salescoach(*words, "--json")
    said = json.loads(done.out.strip().splitlines()[-1])
    assert done.code == 3 and (said["done"], said["made_now"]) == (23, 1)


def test_why_explains_a_report(made: Any, salescoach: Run) -> None:
    out, _ = made
    failed = salescoach("why", out, "R02")
    assert failed.code == 0 and "failed" in failed.out and "AssertionError: nothing for R02" in failed.out
    [report] = json.loads(salescoach("why", out, "Ana Souza", "--json").out)
    assert report["subject"] == "R01" and report["status"] == "done" and len(report["sha256"]) == 64
    unknown = salescoach("why", out, "Ana Sousa")
    assert unknown.code == 2 and "Ana Souza" in unknown.err


def test_verify_finds_what_was_changed(made: Any, salescoach: Run) -> None:
    out, _ = made
    whole = salescoach("verify", out)
    assert whole.code == 0 and whole.out.startswith("23 reports are as the run of ")
    page = next((out / "current" / "reps").rglob("small.html"))
    before = page.read_bytes()
    page.write_bytes(before.replace(b"R01", b"R99") + b" ")
    changed = salescoach("verify", out)
    assert changed.code == 70 and "was changed after the run" in changed.err
    page.write_bytes(before)
    assert salescoach("verify", out).code == 0
    nothing = salescoach("verify", out.parent)
    assert nothing.code == 74 and "holds no run" in nothing.err


def test_the_index_of_many_has_a_search_and_that_script_alone(made: Any) -> None:
    out, _ = made
    html = (out / "current" / "index.html").read_text(encoding="utf-8")
    assert html.count("<script>") == 1 and 'type="search"' in html
    assert re.search(r"default-src 'none';.* script-src 'sha256-[A-Za-z0-9+/=]{44}'", html)


def test_the_copy_is_the_run_and_its_index_comes_last(made: Any, tmp_path: Path) -> None:
    out, _ = made
    address = copy_run(out, f"file://{tmp_path}/shared")
    assert address == f"file://{tmp_path}/shared/index.html"
    there = tmp_path / "shared"
    run = json.loads((there / "current.json").read_text())["run"]
    original = (out / "current").resolve()
    assert run == original.name
    files = {f.relative_to(original): f.read_bytes() for f in original.rglob("*") if f.is_file()}
    copied = {f.relative_to(there / "runs" / run): f.read_bytes() for f in (there / "runs").rglob("*") if f.is_file()}
    assert files == copied
    links = re.findall(r'href="([^"]+)"', (there / "index.html").read_text(encoding="utf-8"))
    from urllib.parse import unquote

    assert links and all((there / unquote(link)).is_file() for link in links)


def test_an_object_store_will_do(made: Any) -> None:
    import fsspec

    out, _ = made
    assert copy_run(out, "memory://bucket/reports") == "memory://bucket/reports/index.html"
    store = fsspec.filesystem("memory")
    assert store.exists("/bucket/reports/index.html") and store.exists("/bucket/reports/current.json")


def test_a_place_that_cannot_be_written_is_named(made: Any, tmp_path: Path) -> None:
    out, _ = made
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"could not be copied to file://.*They stand in"):
        copy_run(out, f"file://{tmp_path}/file/below")
    with pytest.raises(UsageError, match="cannot be written"):
        copy_run(out, "nosuch://bucket")
