"""Write what the documentation shows of the kit itself, in two languages: glossary of metrics, gallery of notebooks.

python .ci/docs.py             # writes glossary.md and gallery.md in docs/ and docs/zh/, and pictures (Chromium)
python .ci/docs.py --text      # the pages without the pictures
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from salescoach.batch import run_report
from salescoach.cli.explain import explanation, lines
from salescoach.kit import kit_path
from salescoach.metrics import METRICS
from salescoach.reports import find_book
from salescoach.reports.pages import page_html
from salescoach.reports.stories import read_story
from salescoach.wording import words

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = DOCS / "pictures"
INTERACTIVE = "coaching_session"  # widgets: a page of its own shows them
HEADS = {
    "en": {
        "glossary": "# Glossary of metrics",
        "about": "Every metric with the question it answers, what it counts, and what to keep in mind.\n"
        "`salescoach metrics NAME --book my-book --explain` says the same, and whether your data can answer it.",
        "ratios": "A word on the two ratios: the handbook this kit follows prints them upside down\n"
        "(成交率 as opportunities / orders, 转化率 as customers / opportunities).\n"
        "Here win rate is won / decided, and conversion is leads with a deal / leads.",
        "gallery": "# Gallery of notebooks",
        "shown": "The notebooks on the demo data. `jupyter lab notebooks/` opens them;\n"
        "`salescoach report NAME --book my-book` makes the page.",
        "page": "Page of the notebook {name}",
        "alone": "Its widgets cannot be shown on a page: `salescoach app --book demo` opens it.",
    },
    "zh": {
        "glossary": "# 指标词汇表",
        "about": "每个指标回答什么问题、统计什么、需要注意什么。\n"
        "`salescoach metrics NAME --book my-book --explain --language zh` 给出同样的说明，并说明您的数据能否回答。",
        "ratios": "关于两个比率：本工具所依据的手册把它们写反了(成交率 = 商机数/订单数，转化率 = 客户数/商机数)。\n"
        "这里成交率 = 赢单/(赢单+输单)，转化率 = 有商机的线索/全部线索。",
        "gallery": "# 报告一览",
        "shown": "以下是演示数据上的各份报告。`jupyter lab notebooks/` 打开它们；\n"
        "`salescoach report NAME --book my-book --language zh` 生成页面。",
        "page": "{name} 的页面",
        "alone": "页面上的控件无法在此展示：用 `salescoach app --book demo` 打开。",
    },
}


def stories() -> list[Path]:
    return sorted(kit_path("notebooks").glob("*.ipynb"))


def glossary(language: str) -> str:
    """All metrics in the order of their names."""
    say, head = words(language), HEADS[language]
    parts = [head["glossary"], head["about"], head["ratios"]]
    for name in sorted(METRICS):
        told = explanation(METRICS[name], {}, None, say)
        title, *rest = lines(METRICS[name], told, say)
        parts += [f"## {title.partition(': ')[2]}", f"`{name}`", "\n".join(f"- {_as_text(line)}" for line in rest)]
    return "\n\n".join(parts) + "\n"


def _as_text(line: str) -> str:
    """Plain words, so that nothing in them is taken for markup."""
    return line.strip().replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("$", "\\$")


def gallery(language: str) -> str:
    """All notebooks with their question and a picture of their page."""
    say, head = words(language), HEADS[language]
    parts = [head["gallery"], head["shown"]]
    for path in stories():
        parts += [f"## {say(read_story(path).question)}", f"`{path.stem}`"]
        if path.stem == INTERACTIVE:
            parts.append(head["alone"])
        else:
            up = "" if language == "en" else "../"
            parts.append(f"![{head['page'].format(name=path.stem)}]({up}pictures/{picture_name(path.stem, language)})")
    return "\n\n".join(parts) + "\n"


def picture_name(notebook: str, language: str) -> str:
    """The one page is pictured in both languages, the others in English."""
    return f"{notebook}_zh.png" if (notebook, language) == ("rep_review", "zh") else f"{notebook}.png"


def shown(path: Path) -> str:
    """A hash of what a notebook shows."""
    cells = nbformat.read(path, as_version=4).cells
    seen = [c.source if c.cell_type == "markdown" else [o.get("data") for o in c.outputs] for c in cells]
    return hashlib.sha256(json.dumps(seen, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def picture(html: str, out: Path, source: str, width: int = 900, height: int = 1250) -> None:
    """The upper part of a page, small; the hash of what it shows stands in the file."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "page.png"
        page.write_text(html, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        where = [f"--user-data-dir={folder}/profile", f"--window-size={width},{height}", f"--screenshot={shot}"]
        subprocess.run([browser, *flags, *where, page.as_uri()], check=True, capture_output=True, timeout=60)
        known = PngInfo()
        known.add_text("Source", source)
        with Image.open(shot) as whole:
            small = whole.convert("RGB").resize((width * 3 // 4, height * 3 // 4), Image.Resampling.LANCZOS)
            small.quantize(200, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                out, optimize=True, pnginfo=known
            )


def pictures() -> None:
    for path in stories():
        if path.stem != INTERACTIVE:
            notebook = nbformat.read(path, as_version=4)
            html = page_html(notebook, read_story(path).question, "en")
            picture(html, PICTURES / picture_name(path.stem, "en"), shown(path))
    with tempfile.TemporaryDirectory() as folder:
        page, _ = run_report(find_book("demo"), "rep_review", folder, rep="R03", period="last 365 days", language="zh")
        html = page.read_text(encoding="utf-8")
    source = shown(kit_path("notebooks") / "rep_review.ipynb")
    picture(html, PICTURES / picture_name("rep_review", "zh"), source)


def write() -> None:
    for language, folder in (("en", DOCS), ("zh", DOCS / "zh")):
        (folder / "glossary.md").write_text(glossary(language), encoding="utf-8")
        (folder / "gallery.md").write_text(gallery(language), encoding="utf-8")


if __name__ == "__main__":
    write()
    if "--text" not in sys.argv[1:]:
        pictures()
