"""Every sentence has a Chinese translation with the same placeholders; numbers as each language writes them."""

from __future__ import annotations

import ast
import pickle
import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest
from babel.messages.pofile import read_po

from salescoach.errors import Sentence, StorageError, UsageError, commas, joined, listed
from salescoach.kit import PACKAGE
from salescoach.reports.catalogue import MARKERS, catalogue_text, errors, marked, sentences, update
from salescoach.reports.fields import CHECKS
from salescoach.sources.hints import SENTENCES, sentence_of
from salescoach.wording import CATALOGUES, LANGUAGES, N_, catalogue, read_back, words

EN, ZH = words("en"), words("zh")
NAMES_OF_METHODS = re.compile(
    r"salescoach|Wilson|Kaplan-Meier|Aalen-Johansen|Brookmeyer-Crowley|Excel|PDF|HTML|CNY|EUR|quarantine\.csv|true|false|\bn\b|\bh\b"
)

# what stays as it is in any language: names in backticks, values, what is typed, settings
CODE = re.compile(
    r"`[^`]*`|\{[^{}]*\}|\[[\w.]+\]|'[^']*'|\"[^\"]*\"|\[FILE…\] \[DIR\]|\bsalescoach \w+|"
    r"\bpip install \S+|SELECT|CRM Status Change Log|Opportunity History|\bnot kept\b|--[a-z-]+ \w+|\bdate,kind\b"
)
ENGLISH = re.compile(r"\b[a-z]+[ ,]+[a-z]{2,}\b|\b(?:the|is|in|not|no|for|its|this|and|or)\b")


def placeholders(text: str) -> Counter[str]:
    return Counter(name for _, name, _, _ in Formatter().parse(text) if name)


def fields(text: str) -> Counter[tuple[str, str | None, str | None]]:
    """Every placeholder with how its value is written: {n:,}, {name!r}."""
    return Counter((name, form, conversion) for _, name, form, conversion in Formatter().parse(text) if name)


def disagreements(translated: dict[str, str]) -> list[str]:
    return [t for t, said in translated.items() if has_places(t) and fields(t) != fields(said)]


def has_places(text: str) -> bool:
    """Whether it is filled in: a text that is only said as it stands may hold any braces."""
    try:
        return any(name and name.isidentifier() for _, name, _, _ in Formatter().parse(text))
    except ValueError:
        return False


# --- the catalogue is complete ---------------------------------------------------------------------


def test_every_sentence_has_a_translation() -> None:
    missing = [t for t in sentences() if t not in catalogue("zh")]
    assert missing == [], "run `python -m salescoach.reports.catalogue` and translate what is empty"


def test_the_catalogue_has_no_obsolete_sentence() -> None:
    with (CATALOGUES / "zh.po").open("rb") as file:
        found = read_po(file, locale="zh_CN")
    assert sorted(N_(str(m.id), m.context or "") for m in found if m.id) == sentences()
    assert not found.obsolete
    assert found.locale_identifier == "zh_CN" and found.charset == "utf-8"


def test_placeholders_agree() -> None:
    assert disagreements(dict(catalogue("zh"))) == []


@pytest.mark.parametrize("wrong", ["{m} 天", "{n}{n} 天", "天", "{n:,} 天", "{n!r} 天"])
def test_a_mistranslated_placeholder_would_be_found(wrong: str) -> None:
    assert disagreements({"{n} d": wrong}) == ["{n} d"]


def test_what_stands_in_backticks_is_not_translated() -> None:
    quoted = re.compile(r"`[^`]*`")
    for text, said in catalogue("zh").items():
        assert sorted(quoted.findall(text)) == sorted(quoted.findall(said)), text


def test_translations_are_chinese() -> None:
    for text, said in catalogue("zh").items():
        plain = NAMES_OF_METHODS.sub("", CODE.sub(" ", said))
        foreign = set(re.findall(r"[A-Za-z]{2,}", plain)) - set(re.findall(r"[A-Za-z]{2,}", text))
        assert not foreign and not ENGLISH.search(plain), f"{text!r} -> {said!r}"


@pytest.mark.parametrize("left", ["请给出 a day", "文件 is missing", "见 the folder {folder} does not exist"])
def test_english_that_was_left_would_be_found(left: str) -> None:
    assert ENGLISH.search(CODE.sub(" ", left)), left


def test_markdown_keeps_its_form() -> None:
    for text, said in catalogue("zh").items():
        assert text.count("\n") == said.count("\n"), text
        assert re.match(r"#*", text)[0] == re.match(r"#*", said)[0], text  # type: ignore[index]


def test_the_collector_finds_marked_sentences_only() -> None:
    source = 'say("a {n}", n=1)\nself.say("b")\nN_("c")\nprint("d")\nsay(title)\nsay("e" "f")'
    assert sorted(marked(source)) == ["a {n}", "b", "c", "ef"]


def test_the_collector_finds_errors_help_and_docstrings_of_commands() -> None:
    source = (
        'class Odd(UsageError): pass\n\nraise Odd("a {n}", n=1)\nraise ValueError("b")\ntell("c")\nSentence("d")\n'
        '@click.command()\n@click.option("--x", help="e")\ndef f():\n    """g\n    h.\n\n    i.\n    """\n'
    )
    ours = errors([source, "class UsageError(SalescoachError): pass"])
    assert ours == {"SalescoachError", "UsageError", "Odd"}
    assert sorted(marked(source, ours)) == ["a {n}", "c", "d", "e", "g h.\n\ni."]


def test_no_message_is_put_together_where_the_catalogue_cannot_follow() -> None:
    """An f-string or a sum in an error, a sentence or a line of output is translated by nobody."""
    files = {file: file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py"))}
    ours = errors(list(files.values())) | MARKERS
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file, source in files.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and node.args
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in ours
        and any(isinstance(part, ast.JoinedStr) and has_words(part) for part in ast.walk(node.args[0]))
    ]
    assert found == []


def has_words(text: ast.JoinedStr) -> bool:
    return any(isinstance(v, ast.Constant) and re.search("[A-Za-z]{2,}", str(v.value)) for v in text.values)


def test_commands_print_in_one_place() -> None:
    """What goes around `tell` is in no catalogue; `put` prints what is said already."""
    echoes = [
        file.name
        for file in sorted((PACKAGE / "cli").glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("click.echo", "print")
    ]
    assert echoes == ["command.py"]


def test_a_sentence_is_said_with_its_sentences() -> None:
    inner = Sentence(" Did you mean {found!r}?", found="win_rate")
    error = UsageError(
        "There is no metric {name!r}.{hint} Metrics: {metrics}.", name="w", hint=inner, metrics="win_rate"
    )
    assert str(error) == "There is no metric 'w'. Did you mean 'win_rate'? Metrics: win_rate."
    assert ZH(error.said) == "没有指标 'w'。您是否指 'win_rate'？现有指标：win_rate。"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), ZH(again.said)) == (UsageError, str(error), ZH(error.said))


def test_an_error_in_an_error_is_said_too() -> None:
    error = StorageError("{fault}.", fault=ValueError(Sentence("must be a finite number")))
    assert (str(error), ZH(error.said)) == ("must be a finite number.", "须为有限的数。")


# --- lists, blanks, words of two meanings ----------------------------------------------------------

IN_CODE = {  # SQL, TOML and data, and what is said in English alone
    "metrics/bounds.py",
    "metrics/reconcile.py",
    "metrics/sql.py",
    "metrics/sql_text.py",
    "process/fields.py",
    "sources/parse.py",
    "sources/propose_process.py",
    "sources/propose_text.py",
    "sources/toml_text.py",
}


def test_a_list_reads_as_each_language_writes_it() -> None:
    said = Sentence("Presets: {names}.", names=commas(["maven", "generic"]))
    assert (str(said), EN(said), ZH(said)) == ("Presets: maven, generic.",) * 2 + ("预设：maven、generic。",)
    clauses = joined([Sentence("{n} d", n=3), "x"], "; ")
    assert (str(clauses), EN(clauses), ZH(clauses)) == ("3 d; x", "3 d; x", "3 天；x")
    again = pickle.loads(pickle.dumps(said))
    assert (str(again), ZH(again)) == (str(said), ZH(said))
    assert ZH(commas([])) == EN(commas([])) == ""


def test_a_long_list_ends_with_how_many_there_are() -> None:
    said = listed((f"R{n:02}" for n in range(12)), most=2)
    assert (EN(said), ZH(said)) == ("R00, R01, … (12)", "R00、R01……（共 12 个）")
    assert (EN(listed([])), ZH(listed([]))) == ("none", "无")


def test_a_name_with_braces_stays_in_a_list() -> None:
    assert ZH(commas(["{a}", "b, c"])) == "{a}、b, c"


def test_no_list_for_a_reader_is_joined_as_english_alone_writes_it() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "join"
        if isinstance(node.value, ast.Constant) and node.value.value in (", ", "; ")
    }
    assert {f for f in found if not f.startswith("sample/")} <= IN_CODE


def test_sentences_in_a_row_have_no_blank_between_them_in_chinese() -> None:
    said = joined([Sentence("{n} d", n=1), Sentence("{n} d", n=2)], " ")
    assert (EN(said), ZH(said)) == ("1 d 2 d", "1 天2 天")


def test_a_chinese_value_stands_in_chinese_without_blanks() -> None:
    text = "{name}: waiting since {day}"
    assert ZH(text, name="L1", day="2026年9月2日") == "L1：自 2026年9月2日起等待"
    assert ZH(text, name="L1", day="2026-09-02") == "L1：自 2026-09-02 起等待"
    assert EN(text, name="张伟", day="2026年9月2日") == "张伟: waiting since 2026年9月2日"


def test_an_english_word_of_two_meanings_has_two_translations() -> None:
    assert [EN(N_("Chance", "winning")), EN("Chance")] == ["Chance", "Chance"]
    assert [ZH(N_("Chance", "winning")), ZH("Chance")] == ["赢单可能性", "偶然"]
    assert sorted(marked('N_("Reps", "count")\nN_("Reps")')) == ["Reps", "count\x04Reps"]


def test_a_kept_text_is_known_again() -> None:
    error = UsageError("There is no metric {name!r}.{hint} Metrics: {metrics}.", name="w", hint="", metrics="win_rate")
    said = read_back(str(error))
    assert (EN(said), ZH(said)) == (str(error), ZH(error.said))
    counted = Sentence("{read:,} records read, but {kept:,} kept", read=12345, kept=2)
    assert ZH(read_back(str(counted))) == ZH(counted) == "读入 12,345 条记录，而保留了 2 条"
    assert ZH(read_back("'deal_id' and some more words")) == "'deal_id' and some more words"


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
    assert [t for t in sorted(found - built) if ZH(sentence_of(t)) == t] == [], "add it to sources/hints.py"


def test_what_to_do_about_a_row_is_said_in_chinese() -> None:
    from salescoach.sources import sample_book

    hints = sample_book().quarantine["hint"].unique()
    assert len(hints) > 10
    assert [t for t in hints if ZH(sentence_of(t)) == t] == []


def test_what_differs_in_a_hint_is_kept() -> None:
    text = "26 fields, the header has 25: quote a field that holds a ','"
    assert ZH(sentence_of(text)) == "26 个字段，而表头有 25 个：含有 ',' 的字段请加引号"
    assert EN(sentence_of(text)) == text
    assert ZH(sentence_of("something nobody wrote down")) == "something nobody wrote down"


def test_no_sentence_reads_as_another() -> None:
    for sentence in SENTENCES:
        example = sentence.format_map(dict.fromkeys(placeholders(sentence), "7"))
        assert EN(sentence_of(example)) == example
        assert ZH(sentence_of(example)) == ZH(sentence, **dict.fromkeys(placeholders(sentence), "7")), sentence


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
