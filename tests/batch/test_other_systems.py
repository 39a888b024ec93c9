"""Where there is no fork, no process group, no link, and names have other rules: emulated as far as one system can."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nbformat
import pytest

from salescoach.batch import runners, safe_slug
from salescoach.batch.durable import point_to
from salescoach.batch.job import Task
from salescoach.errors import StorageError

# A module that Python imports at its start: what only Unix has is then not there, in this process and those it starts.
WITHOUT_UNIX = """
import os, sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("fork", "forkpty", "killpg", "setpgid"):
    if hasattr(os, name):
        delattr(os, name)
"""
PRINTS = "import os; assert not hasattr(os, 'fork'); print('made')"
RESERVED = ("CON", "nul", "Aux", "PRN", "COM1", "lpt9", "con.txt", "NUL.")


def task_of(folder: Path, cell: str) -> Task:
    parameters = nbformat.v4.new_code_cell('book = ""', metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(cell)]), folder / "n.ipynb")
    return Task("page", str(folder / "n.ipynb"), "t", "en", "", {}, str(folder / "page.html"), deadline=120.0)


def test_a_report_is_made_where_nothing_can_be_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_UNIX, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setattr(runners, "forking_is_safe", lambda: False)
    outcome = runners.make(task_of(tmp_path, PRINTS))
    assert (outcome.status, outcome.error) == ("done", "")
    assert "made" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_that_windows_keeps_for_itself_is_no_file_name(name: str) -> None:
    slug = safe_slug(name, name)
    kept = ("con", "nul", "aux", "prn", "com1", "lpt9")
    assert slug.split(".")[0].casefold() not in kept
    assert not slug.endswith((".", " "))


def test_names_that_differ_in_case_alone_give_files_that_differ_in_more() -> None:
    pairs = [("Li Wei", "LI WEI"), ("straße", "STRASSE"), ("R1", "r1"), ("Ａnn", "Ann")]
    for one, other in pairs:
        assert safe_slug(one, one).casefold() != safe_slug(other, other).casefold()


def test_the_longest_path_below_an_out_folder_leaves_room_on_windows() -> None:
    page = f"runs/20260930-120000-00000000/managers/{safe_slug('x' * 300, 'x')}/manager_sheet.html"
    hidden = len(".~00000000")  # a page is written under a hidden name first
    assert len(page) + hidden < 160  # of 260, so --out may have a hundred characters


@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL])
def test_where_links_are_forbidden_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "symlink", forbidden)
    (tmp_path / "runs").mkdir()
    with pytest.raises(StorageError, match=r"current cannot be made a link .*complete in .*developer mode"):
        point_to(tmp_path / "current", tmp_path / "runs")
