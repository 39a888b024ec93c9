"""A name from the data may be anything: wherever it is written, the page, picture or file has the shape of its twin."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import nbformat
import pandas as pd
import pytest
from bleach._vendor import html5lib  # a parser as browsers have it; it comes with nbconvert
from jinja2 import DictLoader
from matplotlib.figure import Figure
from matplotlib.text import Text

from salescoach import charts
from salescoach.app.show import as_html, heading, said
from salescoach.batch import Order, PlanFile, run_batch, safe_slug
from salescoach.book import Book
from salescoach.cli.command import tell
from salescoach.coaching.ledger import open_ledger
from salescoach.errors import Unavailable
from salescoach.kit import kit_path
from salescoach.process.read import process_from_dict, process_to_dict
from salescoach.reports import overview_html, page_html
from salescoach.reports.blocks import Block, Cell, Column, environment, render, table_block, text_table, unavailable
from salescoach.reports.fields import Field
from salescoach.reports.gauges import Scale
from salescoach.reports.one_to_one import piece
from salescoach.reports.pages import SEARCH, skin
from salescoach.sources import sample_book
from salescoach.wording import words

_FILE = Path(__file__).with_name("hostile_names.py")
_SPEC = importlib.util.spec_from_file_location("names_of_renders", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(names)
HOSTILE, SAMPLE, TWIN = names.HOSTILE, names.SAMPLE, names.TWIN

SAY = words("en")
PNG = b"\x89PNG\r\n\x1a\n"  # as far as a page is concerned
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
HASH = base64.b64encode(hashlib.sha256(SEARCH.encode()).digest()).decode()
POLICIES = {POLICY, f"{POLICY}; script-src 'sha256-{HASH}'"}
PARTS = (
    "html head meta title style body main h1 h2 h3 p ul ol li div span table caption thead tbody tr th td img a "
    "section label input script pre code strong em nav"
)
SAYINGS = "lang charset http-equiv content name class scope href src alt width style type id role"
TAGS, ATTRIBUTES = set(PARTS.split()), set(SAYINGS.split())
TOLD = {"alt", "href", "src"}  # what these say is of the data; whether it may is checked by `wrong`

Tree = list[tuple[Any, ...]]
HIDDEN = "the name is not shown as it is"


# --- what is looked at -----------------------------------------------------------------------------


@lru_cache(maxsize=4)
def parsed(html: str) -> Any:
    """The document or fragment as a browser reads it."""
    read = html5lib.parse if html.lstrip().lower().startswith("<!doctype") else html5lib.parseFragment
    return read(html, treebuilder="etree", namespaceHTMLElements=False)


def tree(html: str) -> Tree:
    """Elements and comments with their depth, their attributes and what those say, where it is not of the data."""

    def below(element: Any, depth: int) -> Iterator[tuple[Any, ...]]:
        given = sorted((k, "" if k in TOLD else v) for k, v in element.attrib.items())
        yield (depth, str(element.tag), *given)
        for child in element:
            yield from below(child, depth + 1)

    return list(below(parsed(html), 0))


def text_of(html: str) -> str:
    """What a reader sees or hears: texts and alternative texts."""
    found = parsed(html)
    shown = ["".join(e.itertext()) for e in (found,)] + [e.get("alt") or "" for e in found.iter()]
    return plain("\n".join(shown))


def plain(text: str) -> str:
    """As HTML reads it: one kind of line break, no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").replace("\ufffd", "").strip()


def wrong(html: str) -> list[str]:
    """What has no place on a page of ours: another element or attribute, a script not pinned, a way out."""
    found = []
    for element in parsed(html).iter():
        tag = str(element.tag)
        if not isinstance(element.tag, str) or tag.startswith("<"):
            found.append(f"no element: {tag[:20]}")
            continue
        if tag not in TAGS and tag not in ("DOCUMENT_FRAGMENT", "DOCUMENT_ROOT"):
            found.append(f"element {tag}")
        found += [f"attribute {k} of {tag}" for k in element.attrib if k not in ATTRIBUTES]
        if tag == "script" and (element.text != SEARCH or HASH not in html):
            found.append("a script that is not pinned")
        if tag == "style" and element.text != skin():
            found.append("another stylesheet")
        if tag == "meta" and element.get("http-equiv") and element.get("content") not in POLICIES:
            found.append("another policy")
        if not (element.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,"):
            found.append("a source from elsewhere")
        link = urlsplit(element.get("href") or "")
        if link.scheme or link.netloc or (element.get("href") or "").startswith(("/", "\\")) or ".." in link.path:
            found.append(f"a link out: {element.get('href')}")
    if "<!doctype" in html[:20].lower() and f'content="{POLICY}' not in html:
        found.append("no policy")
    return found


# --- the places where a name may stand -------------------------------------------------------------


def output(data: dict[str, Any], **metadata: Any) -> Any:
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata)


def page(*outputs: Any, title: str = "A question?") -> str:
    prose = nbformat.v4.new_markdown_cell("# A question?")
    cells = [prose, nbformat.v4.new_code_cell("x", outputs=list(outputs))]
    return page_html(nbformat.v4.new_notebook(cells=cells), title, "en")


def piece_on_page(shown: Block | charts.Drawing) -> Any:
    made = shown._repr_mimebundle_()
    data, metadata = made if isinstance(made, tuple) else (made, {})
    return output(data, **metadata)


def a_cell(name: str) -> str:
    table = pd.DataFrame({"product": [name, TWIN], "n": [3, 4], "value": [0.2, 0.3], "text": [name, TWIN]})
    fields = [Field("n", "n", "count"), Field("Share", "value", "share"), Field("Text", "text", "text")]
    ranged = render("table", "", "", [Column("a", True, (name, name))], [[Cell(name, name)]], [], name)
    return table_block(SAY, _book(), "What?", table, ["product"], fields).html + ranged.html


@cache
def _book() -> Book:
    return sample_book()


def a_header(name: str) -> str:
    return text_table(SAY, "What?", [name, "n", name], [["x", 1, "y"]], [1]).html


def a_caption(name: str) -> str:
    return text_table(SAY, name, ["a"], [["x"]], notes=[name, f"{name}: 3"]).html


def a_card(name: str) -> str:
    """Cards, the heading of a page, an empty piece and the line of purpose."""
    card = {"name": name, "value": name, "range": name, "peers": name, "gauge": Scale(0, 1).gauge(0.5, 0.2, 0.7)}
    card["outcome"] = "won"
    head = render("heading", "", name, [name, name], name)
    shown = [render("cards", "", [card]), head, render("purpose", "", [name])]
    return "".join(b.html for b in shown)


def a_sheet(name: str) -> str:
    """Every piece of the page for a one-to-one."""
    lever = {"name": name, "amount": name, "sign": "plus", "left": 1, "width": 2, "note": name}
    both: dict[str, Any] = {"title": name, "note": name}
    shown = [
        piece("heading", "", who=name, facts=[name], badge=name, sound=True, warning=name),
        piece("said", "", lines=[name], half=True, **both),
        piece("promises", "", title=name, items=[{"who": name, "what": name, "then": name}], lines=[name]),
        piece("form", "", title=name, items=[{"label": name, "text": name}], half=False),
        piece("number", "", figure=name, name=name, range=name, lines=[], caption=name, levers=[lever], **both),
        piece("finding", "", title=name, grade=name, sentence=name, lines=[{"label": name, "text": name}]),
        piece("deals", "", labels=[name], rows=[[name]], **both),
        piece("listed", "", rows=[{"label": name, "text": name}], half=True, **both),
        piece("overleaf", "", text=name),
        piece("manager_only", "", who=name, text=name),
    ]
    return "".join(b.html for b in shown)


def a_title(name: str) -> str:
    return page(title=name)


def an_alternative_text(name: str) -> str:
    return page(piece_on_page(charts.Drawing(PNG, name, 640)))


def an_error(name: str) -> str:
    trace = nbformat.v4.new_output("error", ename=name, evalue=name, traceback=[name])
    missing = unavailable(SAY, name, Unavailable("there is no {what}", what=name))
    return page(trace, piece_on_page(missing))


def a_printed_line(name: str) -> str:
    """What a cell printed, and a result that has text only."""
    return page(nbformat.v4.new_output("stream", name="stdout", text=name), output({"text/plain": name}))


def a_markdown_text(name: str) -> str:
    """What could be more than text is left out; the text beside it stays."""
    more = {"text/markdown": name, "text/latex": name, "image/svg+xml": name, "application/javascript": name}
    return page(*(output({kind: name}) for kind in more), output(more), output({"text/plain": name}))


def an_index(name: str) -> str:
    slug = safe_slug(name, name)
    links = [{"text": name, "href": quote(f"reps/{slug}/rep_review.html")}, {"text": name, "href": ""}]
    section = {"title": name, "note": name, "who": name, "report": name, "rows": [{"name": name, "links": links}]}
    return overview_html(name, "en", [name], [section], [name], search=name)


def a_widget(name: str) -> str:
    """The same on the pages of the app."""
    pieces = as_html(charts.Drawing(PNG, name, 640)), as_html(render("empty", "", name))
    return said(name, "error") + heading(name) + "".join(pieces)


SINKS: dict[str, Callable[[str], str]] = {
    "title": a_title,
    "cell": a_cell,
    "header": a_header,
    "caption": a_caption,
    "card": a_card,
    "one-to-one": a_sheet,
    "alternative text": an_alternative_text,
    "error": an_error,
    "printed line": a_printed_line,
    "markdown": a_markdown_text,
    "index": an_index,
    "app": a_widget,
}


@cache
def of_twin(sink: str) -> Tree:
    made = SINKS[sink](TWIN)
    assert wrong(made) == [] and TWIN in text_of(made)
    return tree(made)


def differs(sink: str, name: str, made: str = "") -> list[str]:
    """What a name does to the place where it stands; nothing, if all is well. `made` stands for what is there."""
    made = made or SINKS[sink](name)
    found = wrong(made)
    if tree(made) != of_twin(sink):
        found.append("another shape")
    if plain(name) not in text_of(made):
        found.append(HIDDEN)
    return found


def faults(sink: str, wanted: list[str]) -> dict[str, list[str]]:
    return {name: found for name in wanted if (found := differs(sink, name))}


def test_there_are_three_hundred_names_of_every_kind() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 300
    assert len(names.FAMILIES) >= 20 and all(len(set(family)) >= 4 for family in names.FAMILIES.values())


@pytest.mark.parametrize("sink", SINKS)
def test_a_name_is_text_wherever_it_stands(sink: str) -> None:
    assert faults(sink, SAMPLE) == {}


@pytest.mark.nightly
@pytest.mark.parametrize("sink", SINKS)
def test_every_name_is_text_wherever_it_stands(sink: str) -> None:
    assert faults(sink, HOSTILE) == {}


# --- the net holds ---------------------------------------------------------------------------------


LEAKS = (
    '"></title><img src=x onerror=alert(1)>',
    '" onerror="alert(1)"></title><script>alert(1)</script>',
    '"></title><!-- ',
)


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("sink", SINKS)
def test_a_name_that_is_not_escaped_is_found(sink: str, name: str) -> None:
    """Each place once more, with the name put in as it is."""
    made = SINKS[sink](TWIN).replace(TWIN, name)
    assert set(differs(sink, name, made)) - {HIDDEN}
    assert differs(sink, name) == []


def macros() -> list[tuple[str, str]]:
    """Each {{ value }} of our templates of pieces: (file, the expression)."""
    found = []
    for file in ("blocks.html.j2", "one_to_one.html.j2"):
        source = (kit_path("templates/report") / file).read_text(encoding="utf-8")
        found += [(file, value) for value in dict.fromkeys(re.findall(r"\{\{ ([a-z.]+) \}\}", source))]
    return found


DRAWN = {f"drawn.{place}" for place in ("zero", "value", "low", "high", "usual")}
NUMBERS = {"lever.left", "lever.width", "lever.sign", "tone", "outcome"} | DRAWN


@pytest.mark.parametrize(("file", "value"), [m for m in macros() if m[1] not in NUMBERS])
def test_a_value_marked_safe_in_a_template_is_found(file: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = kit_path("templates/report")
    sources = {f.name: f.read_text(encoding="utf-8") for f in folder.glob("*.j2")}
    sources[file] = sources[file].replace(f"{{{{ {value} }}}}", f"{{{{ {value} | safe }}}}")
    leaky = environment().overlay(loader=DictLoader(sources), cache_size=0)
    monkeypatch.setattr("salescoach.reports.blocks.environment", lambda: leaky)
    monkeypatch.setattr("salescoach.reports.one_to_one.environment", lambda: leaky)
    name = "<b onclick=alert(1)>Ann</b>"
    places = ("one-to-one",) if file.startswith("one") else ("cell", "header", "caption", "card", "app")
    found = [sink for sink in places if set(differs(sink, name)) - {HIDDEN}]
    assert found, f"{file}: {value} reaches no place that is tested"


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<p onclick=x>",
        "<img src='https://evil.example/x.png'>",
        "<a href='javascript:x'>y</a>",
        "<a href='//evil.example'>y</a>",
        "<a href='../../x'>y</a>",
        "<svg></svg>",
        "<style>@import 'x'</style>",
        "<meta http-equiv=refresh content='0;url=https://evil.example'>",
        "<form><button formaction=x>",
        "<link rel=stylesheet href=x>",
        "<!-- x -->",
        "<!doctype html><title>x</title>",
    ],
)
def test_what_has_no_place_on_a_page_is_found(html: str) -> None:
    assert wrong(html)


# --- pictures --------------------------------------------------------------------------------------


def a_tick(name: str) -> Figure:
    table = pd.DataFrame({"name": [name, "b"], "value": [0.2, 0.3], "low": [0.1, 0.2], "high": [0.3, 0.4], "n": [5, 6]})
    return _drawn(lambda: charts.plot_intervals(table, "name", "Q?", "share", 0.25, "others"))


def a_chart_title(name: str) -> Figure:
    table = pd.DataFrame({"name": ["a"], "reached": [3], "open": [1], "text": [name], "colour": ["#0072b2"]})
    return _drawn(lambda: charts.plot_funnel(table, "name", name, "deals", "open"))


def a_legend(name: str) -> Figure:
    shares = {"value": [0.1, 0.2], "low": [0.0, 0.1], "high": [0.2, 0.3], "n": [4, 5]}
    table = pd.DataFrame({"series": [name, name], "within_days": [30, 60], **shares})
    return _drawn(lambda: charts.plot_curve(table, "within_days", "series", "Q?", "days"))


def lanes(name: str) -> Figure:
    stays = pd.DataFrame({"lane": [0], "place": [0], "from_day": [0.0], "to_day": [9.0]})
    marks = pd.DataFrame({"lane": [0], "day": [9.0], "what": ["won"]})
    told = {"won": name}
    return _drawn(lambda: charts.plot_timelines(stays, marks, [name], [name], name, "days", [name], told))


STEERING = ("Cc", "Cf", "Zl", "Zp")
PICTURES = {"tick": a_tick, "chart title": a_chart_title, "legend": a_legend, "lanes": lanes}


def _drawn(plot: Callable[[], Any]) -> Figure:
    """The figure after it was drawn; a sign that no font has is a box, and may be, any other warning is a fault."""
    with charts.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r"Glyph \d+ \((?!\\x|[\x00-\x1f]).*missing from font")
        axes = plot()
        assert charts.to_drawing(axes, "x").png.startswith(b"\x89PNG")
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def shape(figure: Figure) -> list[str]:
    """The artists of a figure and how many entries its legend has."""
    axes = figure.axes[0]
    legend = axes.get_legend()
    entries = [] if legend is None else legend.get_texts()
    ticks = [t for t in axes.get_yticklabels() if t.get_text()]
    return [*(type(a).__name__ for a in axes.get_children()), f"{len(entries)} entries", f"{len(ticks)} names"]


def texts_of(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text)]


def picture_faults(sink: str, wanted: list[str]) -> dict[str, str]:
    twin, found = shape(PICTURES[sink](TWIN)), {}
    for name in wanted:
        try:
            figure = PICTURES[sink](name)
        except Exception as error:
            found[name] = repr(error)[:200]
            continue
        if shape(figure) != twin:
            found[name] = "another shape"
        elif any(unicodedata.category(c) in STEERING for text in texts_of(figure) for c in text):
            found[name] = "drawn with controls"
        elif name.isprintable() and name.isascii() and name.strip() and name[:18] not in "\n".join(texts_of(figure)):
            found[name] = "not shown as it is"
    return found


@pytest.mark.parametrize("sink", PICTURES)
def test_a_name_cannot_break_a_picture(sink: str) -> None:
    more = ["$\\frac{$", "_Ann", "\x1b[31mred", "a\nb", "An\x00n"]
    assert picture_faults(sink, SAMPLE[::8] + more) == {}


@pytest.mark.nightly
@pytest.mark.parametrize("sink", PICTURES)
def test_no_name_can_break_a_picture(sink: str) -> None:
    assert picture_faults(sink, HOSTILE) == {}


def test_mathtext_and_a_lost_entry_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("salescoach.charts.plots.in_legend", lambda text: text)
        assert picture_faults("legend", ["_Ann"]) == {"_Ann": "another shape"}
    with monkeypatch.context() as patch:
        patch.setattr("salescoach.charts.drawing.printable", lambda text: text)
        assert picture_faults("tick", ["An\x1bn", "a\nb"]).keys() == {"An\x1bn", "a\nb"}
    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.text.Text.get_parse_math", lambda _: True)
        patch.setattr("matplotlib.text.Text._preprocess_math", lambda _, text: (text, True))
        assert picture_faults("chart title", ["$\\frac{$"])


# --- file names and the terminal -------------------------------------------------------------------


RESERVED = {"con", "nul", "aux", "prn", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


def test_every_name_gives_a_harmless_file_name_of_its_own(tmp_path: Path) -> None:
    made = {name: safe_slug(name, name) for name in HOSTILE}
    assert len({slug.casefold() for slug in made.values()}) == len(HOSTILE)
    for name, slug in made.items():
        assert re.fullmatch(r"[\w-]+-[0-9a-f]{8}", slug) and slug.isprintable(), name
        assert len(f"{slug}.html".encode()) < 200 and not slug.startswith("-") and slug.casefold() not in RESERVED
        place = (tmp_path / slug / "rep_review.html").resolve()
        assert place.is_relative_to(tmp_path) and place.parent.parent == tmp_path
        place.parent.mkdir()
        assert urlsplit(quote(f"reps/{slug}/rep_review.html")).path.startswith("reps/")


def test_a_terminal_is_not_commanded(capsys: pytest.CaptureFixture[str]) -> None:
    for name in HOSTILE:
        tell(name)
        tell(name, err=True)
        said = capsys.readouterr()
        for text in said:
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), name
        assert said.out == said.err and (name not in SAMPLE or said.out.strip() or not name.strip())


def test_nothing_is_printed_another_way() -> None:
    """Every line of the command goes through `tell`."""
    folder = Path(tell.__code__.co_filename).parent
    found = {f.name: f.read_text(encoding="utf-8").count("click.echo(") for f in folder.glob("*.py")}
    assert {name: n for name, n in found.items() if n} == {"command.py": 1}


# --- whole pages of a batch ------------------------------------------------------------------------


OURS = ("currency", "deal_type", "pipeline", "stage", "outcome", "status", "field", "old", "new", "metric", "evidence")
IDS = ("deal_id", "rep_id", "account_id", "lead_id", "activity_id", "activity_type", "direction", "role")
LABELLED = {"label", "coach"}
REPORTS: tuple[tuple[str, Any], ...] = (
    ("rep_review", "rep"),
    ("manager_sheet", "rep"),
    ("team_roster", "team"),
    ("team_review", "team"),
    ("forecast", "team"),
    ("win_loss", "team"),
    ("bottlenecks", "team"),
    ("funnel", "company"),
    ("new_customers", "company"),
)


def book_named(named: Callable[[int], str]) -> Book:
    """The demo in which every text that is no id and no word of ours is another, in the process too."""
    book = sample_book()
    known: dict[object, object] = {}

    def other(text: object) -> object:
        return known.setdefault(text, named(len(known))) if isinstance(text, str) else text

    tables = {}
    for name, table in book.tables.items():
        texts = [c for c in table if table[c].dtype == "str" and c not in (*OURS, *IDS)]
        tables[name] = table.assign(**{c: table[c].map(other).astype("str") for c in texts})
    content = process_to_dict(book.process)
    for pipeline in content["pipelines"].values():
        for stage in pipeline["stages"]:
            for part in LABELLED & stage.keys():
                stage[part] = {language: other(text) for language, text in stage[part].items()}
    return replace(book, tables=tables, process=process_from_dict(content))


def noted(file: Path, named: Callable[[int], str]) -> Path:
    """A ledger in which everything that may be written freely is hostile."""
    ledger = open_ledger(file)
    for i, by in enumerate(("rep", "manager")):
        ledger.add_promise("R01", by, named(20 + i), "2026-08-01", named(22), named(23), due_on="2026-09-01")
    ledger.add_session("R01", "2026-08-01", named(24), "quote", 30, named(25), named(26), named(27))
    ledger.dispute("R01", named(28), named(29), "2026-08-02", named(30))
    return file


def pages_of(folder: Path, named: Callable[[int], str]) -> dict[str, str]:
    """Every HTML file of a batch."""
    book = book_named(named)
    team = str(book.people.set_index("rep_id")["team"]["R01"])
    only = {"rep": ("R01",), "team": (team,), "company": ()}
    orders = tuple(Order(notebook=notebook, per=per, only=only[per]) for notebook, per in REPORTS)
    ledger = noted(folder / "ledger.sqlite", named)
    run = run_batch(book, PlanFile(period="2026Q3", reports=orders), folder / "out", ledger=ledger)
    assert not run.failed, [o.error for o in run.failed]
    found = {f.name: f.read_text(encoding="utf-8") for f in (folder / "out" / "current").rglob("*.html")}
    assert len(found) == len(orders) + 1
    return found


def parts_of(html: str) -> set[tuple[str, ...]]:
    """Each kind of element there is with its attributes, and the page's order from the root to it."""

    def below(element: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        here = (*above, f"{element.tag} {' '.join(sorted(element.attrib))}")
        yield here
        for child in element:
            yield from below(child, here)

    return set(below(parsed(html), ()))


def breaks_out(number: int) -> str:
    return f"{LEAKS[number % len(LEAKS)]} {number}"


def any_name(number: int) -> str:
    """Every hostile name in turn; a number keeps two of them apart once all were used."""
    turn, place = divmod(number, len(HOSTILE))
    return f"{HOSTILE[place]}{turn or ''}"


def test_another_element_in_a_page_is_found() -> None:
    assert parts_of("<p>a<b>b</b></p>") - parts_of("<p>a</p><p>b</p>") == {("DOCUMENT_FRAGMENT ", "p ", "b ")}
    assert parts_of('<img alt="" onerror="x">') - parts_of('<img alt="x">')


@pytest.mark.nightly
@pytest.mark.parametrize("named", [breaks_out, any_name])
def test_whole_pages_of_a_batch_stay_what_they_are(named: Callable[[int], str], tmp_path: Path) -> None:
    made = pages_of(tmp_path, named)
    assert {file: found for file, html in made.items() if (found := wrong(html))} == {}
    assert any("onerror" in text_of(html) for html in made.values())  # they are there, as text
    (tmp_path / "twin").mkdir()
    twins = pages_of(tmp_path / "twin", lambda number: f"Ann {number}")
    more = {file: parts_of(html) - parts_of(twins[file]) for file, html in made.items()}
    assert {file: sorted(found)[:3] for file, found in more.items() if found} == {}
