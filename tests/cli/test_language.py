"""The command line in Chinese: how its language is chosen, its help, its errors, and what stays English."""

from __future__ import annotations

import json
import re

import click
import pytest
from rich.cells import cell_len

from salescoach.cli.language import LOCALE, VARIABLE, choose, padded, wrapped
from salescoach.cli.main import cli

CHINESE = re.compile("[一-鿿]")
ENGLISH = re.compile(r"\b[a-z]+,? [a-z]{2,} [a-z]{2,}\b")


@pytest.fixture(autouse=True)
def no_language_from_outside(monkeypatch: pytest.MonkeyPatch):
    for name in (VARIABLE, *LOCALE):
        monkeypatch.delenv(name, raising=False)
    yield
    choose("en")


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        inner = (*path, name)
        found += commands(command, inner) if isinstance(command, click.Group) else [inner]
    return found


# --- which language --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "words", "chinese"),
    [
        ({}, [], False),
        ({"LANG": "zh_CN.UTF-8"}, [], True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, [], False),  # the first that is set decides
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_GB"}, [], True),
        ({"LANG": "zh_CN", VARIABLE: "en"}, [], False),
        ({VARIABLE: "zh"}, [], True),
        ({VARIABLE: "zh"}, ["--language", "en"], False),
        ({VARIABLE: "en"}, ["--language", "zh"], True),
    ],
)
def test_option_before_variable_before_locale(salescoach, monkeypatch, environment, words, chinese) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = salescoach(*words, "metrics", "win_rat", "--book", "demo")
    assert (done.code, bool(CHINESE.search(done.err))) == (2, chinese)


def test_a_language_we_do_not_have_is_an_error_in_the_variable_too(salescoach, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "de")
    done = salescoach("check", "x.csv")
    assert (done.code, done.err) == (2, "salescoach: There is no language 'de'. Languages: en, zh.\n")


def test_a_command_with_a_language_of_its_own_speaks_it(salescoach) -> None:
    done = salescoach("report", "rep_reviw", "--book", "demo", "--language", "zh")
    assert (done.code, bool(CHINESE.search(done.err))) == (2, True)


def test_one_language_does_not_stay_for_the_next_command(salescoach) -> None:
    assert CHINESE.search(salescoach("--language", "zh", "check", "--help").out)
    assert not CHINESE.search(salescoach("check", "--help").out)


# --- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself_in_chinese(salescoach, path: tuple[str, ...]) -> None:
    done = salescoach("--language", "zh", *path, "--help")
    assert (done.code, done.err) == (0, "")
    told = done.out.split("示例：")[0]
    assert told.startswith("用法：") and "\n选项：\n" in told
    plain = re.sub(r"'[^']*'|\[[^\]]*\]|last 90 days|\bnot kept\b", "", told.partition("\n")[2])
    assert not ENGLISH.search(plain), ENGLISH.findall(plain)
    options = re.split(r"\n  (?=-)", told.split("\n选项：\n")[1].split("\n命令：\n")[0])
    assert [o for o in options if not CHINESE.search(o)] == []
    assert max(cell_len(line) for line in told.splitlines()) <= 80


def test_help_names_the_same_options_in_both_languages(salescoach) -> None:
    for path in commands():
        shown = [salescoach("--language", lang, *path, "--help").out for lang in ("en", "zh")]
        shown = [re.split(r"^(?:Options|选项)[:：]", text, maxsplit=1, flags=re.MULTILINE)[-1] for text in shown]
        assert len({tuple(re.findall(r"^  (-[^ ]+)", text, re.MULTILINE)) for text in shown}) == 1, path


# --- what goes wrong -------------------------------------------------------------------------------

WRONG = [
    ("metrics", "win_rat", "--book", "demo"),
    ("metrics", "--boo"),
    ("metrics",),
    ("metricx",),
    ("check", "absent.csv"),
    ("check",),
    ("load", "absent.csv", "--book", "b"),
    ("batch", "--book", "demo", "--keep", "0", "--out", "x"),
    ("batch", "--book", "demo", "--out", "x"),
    ("verify", "nowhere"),
    ("log", "list"),
    ("forecast", "--book", "nowhere"),
    ("reconcile", "win_rate", "--book", "demo", "--figure", "a lot"),
    ("metrics", "win_rate", "--book", "demo", "--as-of", "yesterday"),
    ("init", "--source", "maven"),
    ("trust", "--book", "demo", "--csv", "no/such/folder.csv"),
]


def test_an_error_of_click_ends_as_each_language_does(salescoach) -> None:
    assert salescoach("batch", "--out", "x").err.endswith("Error: Missing option '--book'.\n")
    assert salescoach("--language", "zh", "batch", "--out", "x").err.endswith("错误：缺少选项 '--book'。\n")


def test_names_are_listed_as_each_language_does(salescoach) -> None:
    words = ("metrics", "win_rate", "--book", "demo", "--option", "base=x")
    assert "decided, competitive, created" in salescoach(*words).err
    assert "decided、competitive、created" in salescoach("--language", "zh", *words).err


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_an_error_has_the_same_exit_code_and_no_english_in_chinese(salescoach, words) -> None:
    english, chinese = salescoach(*words), salescoach("--language", "zh", *words)
    assert english.code == chinese.code != 0
    assert not CHINESE.search(english.err) and CHINESE.search(chinese.err)
    plain = re.sub(r"`[^`]*`|'[^']*'|\[[^\]]*\]|last \d+ (?:days|weeks)", "", chinese.err)
    assert not ENGLISH.search(plain), plain


# --- what is printed -------------------------------------------------------------------------------

REPORT = """deal_id,rep_id,stage,created_at,closed_at,amount
D1,Ann,Won,2025-01-01,2025-01-11,100.00
D2,Ann,Lost,2025-01-02,2025-01-12,200.00
D2,Ann,Lost,2025-01-02,2025-01-12,200.00
D3,Bob,Quote,2025-01-03,,300.00
"""


@pytest.fixture
def export(tmp_path):
    file = tmp_path / "deals.csv"
    file.write_text(REPORT, encoding="utf-8")
    return file


def test_check_says_in_chinese_what_was_found_and_what_to_do(salescoach, export) -> None:
    out = salescoach("--language", "zh", "check", export, "--source", "generic").out
    assert "由 --source 指定；截至 2025-01-12。" in out
    assert "    1 duplicate: deals.csv，第 4 行：deal_id = 'D2'：相同的行已在前面出现：请删除" in out
    assert "不可用：" in out and "下一步：salescoach check".replace("check", "load") in out
    assert not re.search(r"\b(?:because|rows|set aside|Not there|Available)\b", out)


def test_json_is_the_same_in_both_languages(salescoach, export) -> None:
    said = [json.loads(salescoach("--language", lang, "check", export, "--json").out) for lang in ("en", "zh")]
    assert said[0] == said[1] and "zh" not in json.dumps(said[1]["next"])
    shown = [
        salescoach("metrics", "win_rate", "--book", "demo", "--explain", "--json", "--language", lang).out
        for lang in ("en", "zh")
    ]
    assert shown[0] == shown[1]


def test_load_and_its_book_in_chinese(salescoach, export) -> None:
    out = salescoach("--language", "zh", "load", export, "--source", "generic", "--book", "b").out
    assert "隔离 1 行；截至 2025-01-12。" in out and "数据簿：b。下一步：salescoach metrics --book b" in out
    again = salescoach("--language", "zh", "load", export, "--source", "generic", "--book", "b").out
    assert "自 2025-01-12 的数据簿以来没有变化：b 保持原样。" in again


# --- lines on a screen -----------------------------------------------------------------------------


def test_chinese_lines_end_where_the_screen_ends_and_none_begins_with_a_comma() -> None:
    text = "说明文件里有什么、哪些被隔离及原因、还缺什么，才能得到更多。See `check --help` for more（或者不看）。" * 3
    lines = wrapped(text, 30, "  ", "    ")
    assert max(cell_len(line) for line in lines) <= 30 + 2  # a closing sign stays at its word
    assert "".join(line.strip() for line in lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.strip()[0] in "，。、）" for line in lines)


def test_english_lines_break_between_words() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("    1 two", 20, "  ", "    ") == ["      1 two"]


def test_padding_counts_a_chinese_sign_twice() -> None:
    assert [padded("表", 4), padded("ab", 4), padded("abcde", 4)] == ["表  ", "ab  ", "abcde"]
