"""On paper no row, picture or heading of a page is torn apart; printed by a real browser, as a manager would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from salescoach.kit import kit_path
from salescoach.reports.pages import page_html

BROWSER = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
pypdf = pytest.importorskip("pypdf")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser to print with")
NAMES = sorted(path.stem for path in kit_path("notebooks").glob("*.ipynb") if path.stem != "coaching_session")
HARD = ("process_review", "team_roster")  # the widest tables, and the longest
A4 = (595, 842)
MARK = re.compile(r"-[rh]\d+-")


def tagged(html: str) -> str:
    """The page with a tiny mark at both ends of every cell, and of every heading and what follows it."""
    rows = iter(range(10**6))
    heads = iter(range(10**6))

    def mark(kind: str, number: int) -> str:
        return f'<span style="font-size:1px;line-height:0"> -{kind}{number}- </span>'

    def row(found: re.Match[str]) -> str:
        here = mark("r", next(rows))
        return re.sub(r"(<td[^>]*>)(.*?)(</td>)", lambda c: f"{c[1]}{here}{c[2]}{here}{c[3]}", found[0], flags=re.S)

    def head(found: re.Match[str]) -> str:
        here = mark("h", next(heads))
        return f"{found[1]}{here}{found[2]}{here}"

    html = re.sub(r"<tr>(?:(?!</tr>).)*</tr>", row, html, flags=re.S)
    first_row = r"[^<]*</caption>\s*<thead>(?:(?!</thead>).)*</thead>\s*<tbody>\s*<tr><td[^>]*>"
    html = re.sub(rf"(<table[^>]*><caption>)({first_row})", head, html, flags=re.S)
    table = rf'<div class="wide"><table[^>]*><caption>(?:(?!</caption>).)*{first_row}'
    return re.sub(rf"(<h2[^>]*>)((?:(?!</h2>).)*</h2>\s*(?:<p>|{table}))", head, html, flags=re.S)


def sheets(html: str, folder: Path) -> list[str]:
    """The text of each sheet; `printed.pdf` stays in the folder."""
    file, pdf = folder / "page.html", folder / "printed.pdf"
    file.write_text(html, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
    subprocess.run([str(BROWSER), *flags, file.as_uri()], check=True, capture_output=True, timeout=120)
    return [sheet.extract_text() for sheet in pypdf.PdfReader(pdf).pages]


def torn(texts: list[str]) -> dict[str, list[int]]:
    """Marks that stand on more than one sheet."""
    places: dict[str, set[int]] = {}
    for number, text in enumerate(texts):
        for mark in MARK.findall(text):
            places.setdefault(mark, set()).add(number)
    return {mark: sorted(found) for mark, found in places.items() if len(found) > 1}


def scale(pdf: Path) -> float:
    """Points per CSS pixel: 0.75, and less where a browser shrinks a page because something on it is too wide."""
    found: list[float] = []
    pypdf.PdfReader(pdf).pages[0].extract_text(visitor_text=lambda text, cm, *_: found.append(cm[0]) if text else None)
    return min(found)


def pictures(pdf: Path) -> int:
    """How often a picture is placed on a sheet: twice where it is torn."""
    return sum(len(page.images) for page in pypdf.PdfReader(pdf).pages)


def check(name: str, folder: Path) -> None:
    notebook = nbformat.read(kit_path("notebooks") / f"{name}.ipynb", as_version=4)
    html = tagged(page_html(notebook, name, "en"))
    texts = sheets(html, folder)
    marks = set(MARK.findall(html))
    assert set(MARK.findall(" ".join(texts))) == marks
    assert torn(texts) == {}
    assert scale(folder / "printed.pdf") == pytest.approx(0.75)
    assert pictures(folder / "printed.pdf") == html.count("<img ")
    box = pypdf.PdfReader(folder / "printed.pdf").pages[0].mediabox
    assert [round(float(side)) for side in (box.width, box.height)] == pytest.approx(A4, abs=1)


@pytest.mark.parametrize("name", HARD)
def test_no_row_heading_or_picture_is_torn_on_paper(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [n for n in NAMES if n not in HARD])
def test_no_page_is_torn_on_paper(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_a_torn_row_would_be_found(tmp_path: Path) -> None:
    """The same with cells that may break, higher than what is left of a sheet."""
    long = "<br>".join(f"line {i}" for i in range(40))
    row = f"<tr><td>a</td><td>{long}</td></tr>"
    page = "<style>{}</style><table><caption>x</caption><thead><tr><th>a</th></tr></thead>\n<tbody>\n{}</tbody></table>"
    assert torn(sheets(tagged(page.format("", row * 4)), tmp_path))
    assert not torn(sheets(tagged(page.format("tr { break-inside: avoid; }", row * 4)), tmp_path))


def test_a_table_that_is_too_wide_would_be_found(tmp_path: Path) -> None:
    wide = "".join(f"<td style='min-width:300px'>{i}</td>" for i in range(6))
    sheets(tagged(f"<table><tbody><tr>{wide}</tr></tbody></table>"), tmp_path)
    assert scale(tmp_path / "printed.pdf") < 0.6
