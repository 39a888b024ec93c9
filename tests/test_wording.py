"""Every sentence has a Chinese translation with the same placeholders; numbers as each language writes them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest
from babel.messages.pofile import read_po

from salescoach.errors import StorageError, UsageError
from salescoach.kit import PACKAGE
from salescoach.reports.catalogue import catalogue_text, marked, sentences, update
from salescoach.reports.fields import CHECKS
from salescoach.reports.hints import SENTENCES, in_language
from salescoach.wording import CATALOGUES, LANGUAGES, catalogue, words

EN, ZH = words("en"), words("zh")
NAMES_OF_METHODS = re.compile(
    r"salescoach|Wilson|Kaplan-Meier|Aalen-Johansen|Brookmeyer-Crowley|Excel|PDF|HTML|CNY|EUR|quarantine\.csv|true|false|n\b|h\b"
)


def placeholders(text: str) -> Counter[str]:
    return Counter(name for _, name, _, _ in Formatter().parse(text) if name)


def disagreements(translated: dict[str, str]) -> list[str]:
    return [t for t, said in translated.items() if placeholders(t) != placeholders(said)]


# --- the catalogue is complete ---------------------------------------------------------------------


def test_every_sentence_has_a_translation() -> None:
    missing = [t for t in sentences() if t not in catalogue("zh")]
    assert missing == [], "run `python -m salescoach.reports.catalogue` and translate what is empty"


def test_the_catalogue_has_no_obsolete_sentence() -> None:
    with (CATALOGUES / "zh.po").open("rb") as file:
        found = read_po(file, locale="zh_CN")
    assert sorted(str(m.id) for m in found if m.id) == sentences()
    assert not found.obsolete
    assert found.locale_identifier == "zh_CN" and found.charset == "utf-8"


def test_placeholders_agree() -> None:
    assert disagreements(dict(catalogue("zh"))) == []


@pytest.mark.parametrize("wrong", ["{m} 天", "{n}{n} 天", "天"])
def test_a_mistranslated_placeholder_would_be_found(wrong: str) -> None:
    assert disagreements({"{n} d": wrong}) == ["{n} d"]


def test_what_stands_in_backticks_is_not_translated() -> None:
    quoted = re.compile(r"`[^`]*`")
    for text, said in catalogue("zh").items():
        assert sorted(quoted.findall(text)) == sorted(quoted.findall(said)), text


def test_translations_are_chinese() -> None:
    english = re.compile(r"[A-Za-z]{2,}")
    for text, said in catalogue("zh").items():
        plain = NAMES_OF_METHODS.sub("", re.sub(r"`[^`]*`|\{\w+\}|\[stages\]", "", said))
        assert not english.search(plain), f"{text!r} -> {said!r}"


def test_markdown_keeps_its_form() -> None:
    for text, said in catalogue("zh").items():
        assert text.count("\n") == said.count("\n"), text
        assert re.match(r"#*", text)[0] == re.match(r"#*", said)[0], text  # type: ignore[index]


def test_the_collector_finds_marked_sentences_only() -> None:
    source = 'say("a {n}", n=1)\nself.say("b")\nN_("c")\nprint("d")\nsay(title)\nsay("e" "f")'
    assert sorted(marked(source)) == ["a {n}", "b", "c", "ef"]


def test_the_collector_sees_metrics_tables_and_notebooks() -> None:
    found = set(sentences())
    assert {
        "Win rate",
        "quota attainment",
        "What goes upstairs?",
        "Deals without a rep; shown as (unassigned)",
    } <= found
    assert any(t.startswith("# What goes upstairs?\n\n") for t in found)


def test_the_catalogue_is_written_the_same_each_time() -> None:
    known = {"b {n}": "乙 {n}", "gone": "丙"}
    first = catalogue_text("zh", ["b {n}", "a"], known)
    assert first == catalogue_text("zh", ["a", "b {n}"], dict(reversed(known.items())))
    text = first.decode("utf-8")
    assert text.index('msgid "a"\nmsgstr ""') < text.index('msgid "b {n}"\nmsgstr "乙 {n}"')
    assert "gone" not in text and "Language: zh_CN" in text


def test_an_update_changes_nothing_here(tmp_path: Path) -> None:
    assert update(tmp_path) == {"zh": []}
    assert (tmp_path / "zh.po").read_bytes() == (CATALOGUES / "zh.po").read_bytes()


def test_a_missing_catalogue_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salescoach.wording.CATALOGUES", tmp_path)
    catalogue.cache_clear()
    try:
        with pytest.raises(StorageError, match=r"zh\.po is missing from this installation"):
            catalogue("zh")
    finally:
        catalogue.cache_clear()


def test_an_unknown_language_names_those_we_have() -> None:
    with pytest.raises(UsageError, match=r"There is no language 'de'\. Languages: en, zh"):
        words("de")


# --- reasons, hints and remarks --------------------------------------------------------------------


def texts_of(node: ast.expr) -> list[str]:
    """The sentences an expression may give: names inside an f-string read 7."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(v.value) if isinstance(v, ast.Constant) else "7" for v in node.values)]
    if isinstance(node, ast.BinOp):
        return [a + b for a in texts_of(node.left) for b in texts_of(node.right)]
    if isinstance(node, ast.IfExp):
        return [*texts_of(node.body), *texts_of(node.orelse)]
    return []


def test_every_reason_of_a_metric_is_a_literal_that_the_collector_sees() -> None:
    built = [
        f"{file.name}:{node.lineno}"
        for file in (PACKAGE / "metrics").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Unavailable"
        and not isinstance(node.args[0], ast.Constant)
    ]
    assert built == []
    assert {"no deal is open", "the book has no table `{table}`"} <= set(sentences())


def hints() -> set[str]:
    """Every text in the sources that may say what to do about a row; those with a name are taken by their name."""
    found: list[ast.expr] = []
    for file in (PACKAGE / "sources").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in ("reject", "add_record", "add", "Parsed"):
                found += node.args
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                target = node.targets[0].id
                found += [node.value] if target in ("hint", "damaged", "unseen", "NOT_A_DATE", "NOT_A_NUMBER") else []
                found += node.value.values if target == "HINTS" and isinstance(node.value, ast.Dict) else []
    return {t for e in found for t in texts_of(e) if " " in t}


def test_every_hint_in_the_sources_is_known() -> None:
    found = hints()
    assert len(found) > 25
    # two hints are built of others: "later than <day>, <what>: …" and "<not a number>, and without the sign of …"
    built = {"later than 7, 7: correct it", "7, and without the sign of another currency", "7 7"}
    assert [t for t in sorted(found - built) if in_language(ZH, t) == t] == [], "add it to reports/hints.py"


def test_what_to_do_about_a_row_is_said_in_chinese() -> None:
    from salescoach.sources import sample_book

    hints = sample_book().quarantine["hint"].unique()
    assert len(hints) > 10
    assert [t for t in hints if in_language(ZH, t) == t] == []


def test_what_differs_in_a_hint_is_kept() -> None:
    text = "26 fields, the header has 25: quote a field that holds a ','"
    assert in_language(ZH, text) == "26 个字段，而表头有 25 个：含有 ',' 的字段请加引号"
    assert in_language(EN, text) == text
    assert in_language(ZH, "something nobody wrote down") == "something nobody wrote down"


def test_no_sentence_reads_as_another() -> None:
    for sentence in SENTENCES:
        example = sentence.format_map(dict.fromkeys(placeholders(sentence), "7"))
        assert in_language(EN, example) == example
        assert in_language(ZH, example) == ZH(sentence, **dict.fromkeys(placeholders(sentence), "7")), sentence


def test_every_remark_about_data_has_its_sentence() -> None:
    codes = set()
    for file in (PACKAGE / "sources").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if name in ("note", "add") and isinstance(node, ast.Call) and node.args:
                codes |= {t for t in texts_of(node.args[0]) if "-" in t}
    assert len(codes) > 10
    assert codes - set(CHECKS) == set()


# --- numbers, dates, amounts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "english", "chinese"),
    [
        (lambda w: w.number(12345.678, 1), "12,345.7", "12,345.7"),
        (lambda w: w.number(-3), "-3", "-3"),
        (lambda w: w.percent(0.1725), "17%", "17%"),
        (lambda w: w.percent(0.1725, 1), "17.2%", "17.2%"),
        (lambda w: w.money(1234567.4, "CNY"), "¥1,234,567", "¥1,234,567"),
        (lambda w: w.money(-1200, "CNY"), "−¥1,200", "−¥1,200"),
        (lambda w: w.money(1200, "EUR"), "€1,200", "€1,200"),
        (lambda w: w.short_money(1_500_000, "CNY"), "¥1.5M", "¥150万"),
        (lambda w: w.date(pd.Timestamp("2026-09-30")), "30 Sept 2026", "2026年9月30日"),
    ],
)
def test_numbers_as_each_language_writes_them(said, english: str, chinese: str) -> None:
    assert (said(EN), said(ZH)) == (english, chinese)


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_a_dash_and_not_zero(language: str, nothing: object) -> None:
    say = words(language)
    assert {say.number(nothing), say.percent(nothing), say.money(nothing, "CNY"), say.date(nothing)} == {"–"}


def test_texts_without_values_may_hold_braces() -> None:
    assert EN("a {b}") == "a {b}"
    assert ZH("{n} d", n=3) == "3 天"
