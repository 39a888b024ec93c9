"""What the documentation shows of the kit is what the kit is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

from salescoach.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.fixture(scope="module")
def docs():
    spec = importlib.util.spec_from_file_location("docs_of_the_kit", ROOT / ".ci" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", ["en", "zh"])
def test_glossary_and_gallery_are_those_of_the_kit(docs, language):
    folder = docs.DOCS if language == "en" else docs.DOCS / "zh"
    assert (folder / "glossary.md").read_text(encoding="utf-8") == docs.glossary(language), "python .ci/docs.py --text"
    assert (folder / "gallery.md").read_text(encoding="utf-8") == docs.gallery(language), "python .ci/docs.py --text"


def test_every_metric_is_in_the_glossary(docs):
    named = set(re.findall(r"^`(\w+)`$", (docs.DOCS / "glossary.md").read_text(encoding="utf-8"), re.M))
    assert named == set(METRICS)


def test_every_picture_shows_what_its_notebook_shows_now(docs):
    names = {(p, lang) for p in docs.stories() for lang in ("en", "zh") if p.stem != docs.INTERACTIVE}
    assert {docs.picture_name(p.stem, lang) for p, lang in names} == {f.name for f in docs.PICTURES.glob("*.png")}
    for path, language in names:
        file = docs.PICTURES / docs.picture_name(path.stem, language)
        with Image.open(file) as image:
            assert image.info["Source"] == docs.shown(path), f"{file.name} is old: python .ci/docs.py"
        assert file.stat().st_size <= 200_000


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_within_the_project_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [t for t in targets if "://" not in t and not t.startswith("mailto:") and not (page.parent / t).exists()]
    assert not dead
