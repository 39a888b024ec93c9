"""Notebooks as stories: their question, their parameters, and their prose in the reader's language."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salescoach.errors import InputError, UsageError, commas, suggestion
from salescoach.kit import kit_path
from salescoach.secrecy import looks_secret
from salescoach.wording import Words

PARAMETERS = "parameters"


@dataclass(frozen=True)
class Story:
    """One notebook: its name, its file, its question (the first heading) and its parameters with their defaults."""

    name: str
    path: Path
    question: str
    parameters: dict[str, Any]

    def check_parameters(self, given: dict[str, Any]) -> None:
        """Raise UsageError for a parameter that the notebook does not have, papermill would only log it, and for one
        that looks like a secret: it would stand in clear text in the notebook.
        """
        for name, value in given.items():
            if looks_secret(name, value):
                raise UsageError(
                    "The parameter {name!r} of {notebook} looks like a secret, and would stand in the report. "
                    'Name the secret in a source file, as {{ env = "NAME" }}, and load a book with it.',
                    name=name,
                    notebook=self.name,
                )
            if name not in self.parameters:
                raise UsageError(
                    "The notebook {notebook} has no parameter {name!r}.{hint} Its parameters: {parameters}.",
                    notebook=self.name,
                    name=name,
                    hint=suggestion(name, self.parameters),
                    parameters=commas(self.parameters),
                )

    def read(self, say: Words, first: str = "") -> Any:
        """The notebook with its prose in the reader's language and without outputs of earlier runs.

        first   code of a cell before all others
        """
        notebook = _read(self.path)
        if first:
            notebook.cells.insert(0, _code_cell(first))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = say(cell.source)
            else:
                cell.outputs, cell.execution_count = [], None
        return notebook

    def write(self, file: Path, say: Words, parameters: dict[str, Any]) -> None:
        """A copy of the notebook's code for one reader, with the parameters given.

        Raises UsageError for a parameter that the notebook does not have.
        """
        import nbformat

        self.check_parameters(parameters)
        notebook = self.read(say)
        cell = next(c for c in notebook.cells if PARAMETERS in c.metadata.get("tags", []))
        notebook.cells = [c for c in notebook.cells if c.cell_type == "code"]
        cell.source = "\n".join(f"{name} = {value!r}" for name, value in {**self.parameters, **parameters}.items())
        notebook.metadata["title"] = say(self.question)
        nbformat.write(notebook, file)


def stories(folder: Path | None = None) -> dict[str, Story]:
    """All notebooks of a folder (default: those that travel with salescoach), by name."""
    files = sorted((folder or kit_path("notebooks")).glob("*.ipynb"))
    return {f.stem: read_story(f) for f in files}


def find_story(name: str) -> Story:
    """A notebook by name, or by the path of a notebook of one's own. Raises UsageError with the nearest name."""
    if name.endswith(".ipynb"):
        return read_story(Path(name))
    known = {f.stem: f for f in kit_path("notebooks").glob("*.ipynb")}
    if name not in known:
        raise UsageError(
            "There is no notebook {name!r}.{hint} Notebooks: {known}.",
            name=name,
            hint=suggestion(name, known),
            known=commas(sorted(known)),
        )
    return read_story(known[name])


def read_story(path: Path) -> Story:
    cells = _cells(path)
    prose = next((_text(c) for c in cells if c["cell_type"] == "markdown"), "")
    question = next((line.lstrip("# ").strip() for line in prose.splitlines() if line.startswith("# ")), path.stem)
    code = (c for c in cells if c["cell_type"] == "code")
    cell = next((c for c in code if PARAMETERS in c.get("metadata", {}).get("tags", [])), None)
    if cell is None:
        raise InputError(
            "{path} has no cell tagged `parameters`. Tag the cell that assigns book, rep, team, period, language.",
            path=path.name,
        )
    return Story(path.stem, path, question, _assignments(_text(cell), path))


def _cells(path: Path) -> list[dict[str, Any]]:
    """The cells as they stand in the file; beside JupyterLab, nbformat takes seconds to import."""
    _check_is_there(path)
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "{path} is no notebook of format 4 ({error}). Save it again in JupyterLab.", path=path.name, error=error
        ) from error
    return cells


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])  # one text, or its lines


def _assignments(source: str, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if not isinstance(target, ast.Name) or not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            raise InputError(
                "{path}: the parameters cell may only assign values, one a line; found `{node}`.",
                path=path.name,
                node=ast.unparse(node),
            )
        found[target.id] = ast.literal_eval(node.value)
    return found


def _code_cell(source: str) -> Any:
    from nbformat.v4 import new_code_cell

    return new_code_cell(source)


def _read(path: Path) -> Any:
    import nbformat

    _check_is_there(path)
    return nbformat.read(path, as_version=4)


def _check_is_there(path: Path) -> None:
    if not path.is_file():
        raise UsageError("{path} does not exist. Give the path of a notebook.", path=path)
