"""Collects every sentence of the kit into the catalogues: `python -m salescoach.reports.catalogue`."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from salescoach.book import TABLES
from salescoach.kit import PACKAGE, kit_path
from salescoach.metrics import METRICS
from salescoach.reports.stories import read_story
from salescoach.sources import presets
from salescoach.wording import CATALOGUES, LANGUAGES, N_, OF, catalogue, paragraphs, words

MARKERS = {"say", "tell", "N_", "Sentence"}  # and every error of ours
SPEAKING = {"command", "group"}  # a function so decorated is a command, and its docstring is read
VERSION_LINES = (b'"Generated-By', b'"Report-Msgid-Bugs-To')  # what changes with Babel, and what we do not have
UNDATED = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # a catalogue changes when its sentences do, not when it is written


def sentences() -> list[str]:
    """Every sentence that the kit may say, sorted."""
    tables, layouts = (t.unlocks for t in TABLES.values()), (s.preset.carries for s in presets().values() if s.preset)
    found = {*_code_sentences(), *_metric_sentences(), *tables, *layouts, *_notebook_sentences()}
    return sorted(found - {""})


def _code_sentences() -> Iterator[str]:
    sources = [file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py"))]
    ours = errors(sources)
    for source in sources:
        yield from marked(source, ours)


def errors(sources: Sequence[str]) -> set[str]:
    """The names of all errors of ours, whose first argument is a sentence."""
    classes = [n for s in sources for n in ast.walk(ast.parse(s)) if isinstance(n, ast.ClassDef)]
    found = {"SalescoachError"}
    while more := {c.name for c in classes if {_name(b) for b in c.bases} & found} - found:
        found |= more
    return found


def marked(source: str, ours: Collection[str] = ()) -> Iterator[str]:
    """The literal first arguments of say("…"), self.say("…"), N_("…"), … and our errors; what commands say in help."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            told = node.args[:1] if _name(node.func) in MARKERS or _name(node.func) in ours else []
            told = [*told, *(k.value for k in node.keywords if k.arg == "help")]
            of = [str(a.value) for a in node.args[1:] if _name(node.func) == "N_" and isinstance(a, ast.Constant)]
            yield from (N_(t.value, *of) for t in told if isinstance(t, ast.Constant) and isinstance(t.value, str))
        elif isinstance(node, ast.FunctionDef) and any(_is_command(d) for d in node.decorator_list):
            yield paragraphs(ast.get_docstring(node) or "")


def _is_command(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and _name(decorator.func) in SPEAKING


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _metric_sentences() -> Iterator[str]:
    for metric in METRICS.values():
        yield from (metric.title, metric.why, metric.definition, metric.basis, metric.interval, metric.caveat)
        yield from (*metric.bases.values(), *metric.meanings.values())


def _notebook_sentences() -> Iterator[str]:
    for file in sorted(kit_path("notebooks").glob("*.ipynb")):
        story = read_story(file)
        yield story.question
        yield from (c.source for c in story.read(words("en")).cells if c.cell_type == "markdown")


def catalogue_text(language: str, texts: Iterable[str], known: Mapping[str, str]) -> bytes:
    """A catalogue file: every text with what is known of it, in order; obsolete ones left out."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    made = Catalog(words(language).locale, project="salescoach", charset="utf-8", fuzzy=False, creation_date=UNDATED)
    made.header_comment = (
        "# Sentences of salescoach. New ones are added empty by `python -m salescoach.reports.catalogue`."
    )
    made.revision_date, made.last_translator, made.language_team = UNDATED, "salescoach", words(language).locale
    made.copyright_holder, made.version = "salescoach", "1"
    for text in texts:
        of, _, plain = text.rpartition(OF)
        made.add(plain, known.get(text, ""), context=of or None)
    buffer = BytesIO()
    write_po(buffer, made, width=110, sort_output=True, no_location=True)
    lines = buffer.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(VERSION_LINES))


def update(folder: Path = CATALOGUES) -> dict[str, list[str]]:
    """Write the catalogue of every language but English. Returns what is still untranslated in each."""
    texts = sentences()
    missing: dict[str, list[str]] = {}
    for language in LANGUAGES[1:]:
        known = catalogue(language)
        (folder / f"{language}.po").write_bytes(catalogue_text(language, texts, known))
        missing[language] = [t for t in texts if t not in known]
    return missing


def main() -> None:
    for language, texts in update().items():
        print(f"{language}: {len(texts)} sentences without a translation")


if __name__ == "__main__":
    main()
