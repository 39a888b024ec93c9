"""What every committed notebook must be: a question, its parameters, outputs, provenance, and no logic."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from salescoach.kit import kit_path
from salescoach.reports import stories
from salescoach.wording import words

INTERACTIVE = "coaching_session"  # widgets: nothing of them can be stored
NOTEBOOKS = [f for f in sorted(kit_path("notebooks").glob("*.ipynb")) if f.stem != INTERACTIVE]
SHARED = {"book", "rep", "team", "period", "language", "sessions"}
IMAGE = {"image/png"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def test_the_notebooks_are_there():
    reports = {"funnel", "new_customers", "quota", "team_roster", "team_review"}
    assert {p.stem for p in NOTEBOOKS} >= {"start_here", "rep_review", "process_review", "coaching_impact", *reports}


def test_the_title_is_a_question(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# .+\?$", first.source.splitlines()[0])


def test_the_first_code_cell_is_the_only_parameters_cell_and_its_names_are_known(notebook):
    tagged = [c for c in code_cells(notebook) if "parameters" in c.metadata.get("tags", [])]
    assert tagged == code_cells(notebook)[:1]
    nodes = ast.parse(tagged[0].source).body
    assert all(isinstance(n, ast.AnnAssign) for n in nodes), "parameters are typed"
    assert {n.target.id for n in nodes} <= SHARED and {"book", "language"} <= {n.target.id for n in nodes}
    assert all("#" in line for line in tagged[0].source.splitlines()), "each parameter has a comment"


def test_a_cell_holds_no_logic(notebook):
    for cell in code_cells(notebook):
        tree = ast.parse(cell.source)
        forbidden = (
            ast.FunctionDef,
            ast.Lambda,
            ast.ClassDef,
            ast.If,
            ast.For,
            ast.While,
            ast.ListComp,
            ast.DictComp,
            ast.Try,
        )
        assert not [n for n in ast.walk(tree) if isinstance(n, forbidden)], cell.source
        assert len(cell.source.splitlines()) <= 6
        assert not cell.source.rstrip().endswith(";")


def test_every_cell_that_shows_something_has_its_output_stored(notebook):
    for cell in code_cells(notebook)[1:]:
        assert cell.execution_count is not None, cell.source
        assert len(cell.outputs) == 1 and cell.outputs[0].output_type in ("execute_result", "display_data"), cell.source


def test_nothing_of_one_run_is_stored(notebook):
    assert "papermill" not in notebook.metadata
    for cell in notebook.cells:
        assert not {"papermill", "execution"} & set(cell.metadata)


def test_pictures_carry_an_alternative_text(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if IMAGE & set(output.get("data", {})):
                assert len(output.metadata["image/png"]["alt"]) > 20


def test_provenance_comes_last(notebook):
    assert notebook.cells[-1].source == "report.provenance()"
    assert re.search(r"salescoach \d+\.\d+\.\d+ · data [0-9a-f]{12} · as of ", str(notebook.cells[-1].outputs))


def test_prose_holds_no_number_of_the_data(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\d+ ?%|\d{2,}", cell.source), cell.source


def test_a_story_is_told_in_chinese_too():
    for story in stories().values():
        prose = [c.source for c in story.read(words("zh")).cells if c.cell_type == "markdown"]
        assert all(re.search(r"[\u4e00-\u9fff]", text) for text in prose), story.name


def test_the_wheel_and_the_checkout_find_the_same_notebooks():
    assert kit_path("notebooks") == Path(__file__).resolve().parents[2] / "notebooks"


def test_the_interactive_one_is_a_question_its_parameters_and_one_call():
    notebook = nbformat.read(kit_path("notebooks") / f"{INTERACTIVE}.ipynb", as_version=4)
    assert notebook.cells[0].source.splitlines()[0].endswith("?")
    parameters, call = code_cells(notebook)
    assert parameters.metadata["tags"] == ["parameters"] and call.metadata["tags"] == ["nbval-ignore-output"]
    names = [line.split(":")[0] for line in parameters.source.splitlines()]
    assert {"book", "rep", "team", "period", "language"} < set(names) and all(
        f"{name}" in call.source for name in names
    )
