"""Committed notebooks as plain Python and back: who reviews or edits them with jupytext loses nothing."""

from __future__ import annotations

import nbformat
import pytest

from salescoach.kit import kit_path
from salescoach.reports.stories import read_story

jupytext = pytest.importorskip("jupytext")
NOTEBOOKS = sorted(kit_path("notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_a_notebook_comes_back_from_plain_python(file, tmp_path):
    before = nbformat.read(file, as_version=4)
    text = jupytext.writes(before, fmt="py:percent")
    after = jupytext.reads(text, fmt="py:percent")
    shown = [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in before.cells]
    assert [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in after.cells] == shown
    again = tmp_path / file.name
    nbformat.write(after, again)
    stored, returned = read_story(file), read_story(again)
    assert (returned.question, returned.parameters) == (stored.question, stored.parameters)
