"""Imports go one way: a layer knows only the layers above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import salescoach

PACKAGE = Path(salescoach.__file__).parent

# from the ground up; `kit` (where files are) and `wording` (texts) serve every layer
LAYERS = [
    "errors",
    "kit",
    "plugins",
    "wording",
    "secrecy",
    "process",
    "book",
    "sources",
    "sample",
    "metrics",
    "models",
    "coaching",
    "charts",
    "reports",
    "batch",
    "papermill_engine",
    "app",
    "cli",
    "__main__",
]
ONLY_IN = {
    "matplotlib": {"charts"},
    "seaborn": {"charts"},
    "statsmodels": {"models"},
    "papermill": {"batch"},
    "jupyter_client": {"batch"},
    "nbformat": {"reports", "batch"},
    "nbconvert": {"reports", "batch"},
    "click": {"cli"},
    "rich": {"cli"},
    "openpyxl": {"sources", "cli"},
}


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[str, int]]:
    """Every module a file imports, wherever in the file, with the line."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(a.name, node.lineno) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file.name}:{node.lineno} imports relatively"
            found += [(f"{node.module}.{a.name}", node.lineno) for a in node.names]
    return found


FILES = sorted(f for f in PACKAGE.rglob("*.py") if "_kit" not in f.parts and f != PACKAGE / "__init__.py")


def wrong_arrows(layer: str, imported: list[tuple[str, int]]) -> list[str]:
    wrong = []
    for name, line in imported:
        parts = name.split(".")
        if parts[0] != "salescoach" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert parts[1] in LAYERS, f"{name} is in no layer: add it to DESIGN and to this list"
        if LAYERS.index(parts[1]) > LAYERS.index(layer):
            wrong.append(f"line {line}: {layer} imports {name}")
    return wrong


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_layer_imports_only_the_layers_above_it(file):
    assert wrong_arrows(layer_of(file), imports(file)) == []


def test_a_wrong_arrow_would_be_found():
    assert wrong_arrows("metrics", [("salescoach.charts.plots", 3)]) == [
        "line 3: metrics imports salescoach.charts.plots"
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(file):
    strays = [
        (n, line) for n, line in imports(file) if layer_of(file) not in ONLY_IN.get(n.split(".")[0], {layer_of(file)})
    ]
    assert strays == []
