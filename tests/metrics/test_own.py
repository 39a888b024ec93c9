"""Metrics of a company's own: registered, measured, shown and refused as ours are."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import salescoach.metrics.own as own
from salescoach.book import Book
from salescoach.errors import InputError, Unavailable, UsageError
from salescoach.metrics import METRICS, counted_rows, load_own, measure
from salescoach.reports import open_report

Build = Callable[..., Book]
EXAMPLE = textwrap.dedent(str(own.__doc__).split("my_metrics.py:\n")[1].split("\nThen: ")[0])


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    file = tmp_path / "my_metrics.py"
    file.write_text(EXAMPLE, encoding="utf-8")
    return file


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.py"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


HEAD = """
    from salescoach.metrics import metric

    def rows(book, period=None):
        return book.deals

    @metric("T", "D.", why="W?", basis="b", interval="i", unit="count", needs=[("deals", "outcome")], rows=rows)
"""


def test_the_example_of_the_documentation_runs(example: Path, demo: Book) -> None:
    assert load_own(example) == ("big_win_count",)
    answer = measure(demo, "big_win_count", "team", "2026Q2")
    assert answer.table is not None and answer.by == ("team",)
    deals = demo.deals
    days = demo.local_days(deals["closed_at"])
    big = (deals["outcome"] == "won") & (deals["amount"] >= 100_000) & (days >= "2026-04-01") & (days <= "2026-06-30")
    assert answer.table["n"].sum() == big.sum() == len(counted_rows(demo, "big_win_count", "2026Q2")) > 0
    assert answer.to_dict()["definition"] == "Won deals of 100,000 or more."


def test_what_it_needs_is_asked_of_the_book(example: Path, book_of: Build) -> None:
    load_own(example)
    book = book_of([{"deal_id": "1", "outcome": "won"}])
    assert measure(book, "big_win_count").because == "`amount` is missing or empty in `deals`"
    with pytest.raises(Unavailable):
        counted_rows(book, "big_win_count")


def test_it_is_shown_in_a_report(example: Path, demo: Book) -> None:
    load_own(example)
    html = open_report(demo, period="2026Q2").table("big_win_count", by="team").html
    assert "Big wins" in html and "Harbour" in html and "Won deals of 100,000 or more." in html


def test_the_same_file_again_takes_its_own_place(example: Path, demo: Book) -> None:
    load_own(example)
    example.write_text(EXAMPLE.replace("100_000", "1_000_000_000"), encoding="utf-8")
    assert load_own(example) == ("big_win_count",)
    assert measure(demo, "big_win_count", "").to_dict()["rows"][0]["n"] == 0


def test_a_name_that_is_taken_is_refused_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "    def win_rate(book, by='', period=None):\n        return None\n")
    ours = METRICS["win_rate"]
    with pytest.raises(InputError, match=r"mine.py, line 7: There is a metric 'win_rate' already. Give yours another"):
        load_own(file)
    assert METRICS["win_rate"] is ours


def test_two_files_may_not_share_a_name(example: Path, tmp_path: Path) -> None:
    load_own(example)
    other = tmp_path / "other.py"
    other.write_text(EXAMPLE, encoding="utf-8")
    with pytest.raises(InputError, match="There is a metric 'big_win_count' already"):
        load_own(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = = 2\n", r"mine.py, line 2: invalid syntax"),
        (
            "import nothing_of_that_name\n",
            r"mine.py, line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        ("a = 1\nb = a / 0\n", r"mine.py, line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_fails_names_its_line_and_registers_nothing(tmp_path: Path, text: str, message: str) -> None:
    before = dict(METRICS)
    with pytest.raises(InputError, match=message):
        load_own(written(tmp_path, text))
    assert before == METRICS


def test_a_file_without_a_metric_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="registers no metric"):
        load_own(written(tmp_path, "x = 1\n"))
    with pytest.raises(UsageError, match="There is no file"):
        load_own(tmp_path / "absent.py")


def test_a_metric_that_fails_names_file_and_line(tmp_path: Path, demo: Book) -> None:
    load_own(written(tmp_path, HEAD + "    def mine(book, by='', period=None):\n        return book.deals['nope']\n"))
    with pytest.raises(InputError, match=r"mine.py, line 9: KeyError: 'nope'"):
        measure(demo, "mine")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("42", "mine gives int, and a metric gives a DataFrame"),
        ("book.deals.head(0)", "the table of mine has no column `n`"),
    ],
)
def test_a_metric_that_gives_something_else_is_told_what_is_missing(
    tmp_path: Path, demo: Book, result: str, message: str
) -> None:
    load_own(written(tmp_path, HEAD + f"    def mine(book, by='', period=None):\n        return {result}\n"))
    with pytest.raises(InputError, match=message):
        measure(demo, "mine")


def test_its_options_are_read_and_checked_as_ours_are(tmp_path: Path, demo: Book) -> None:
    body = """
    def mine(book, by='', period=None, least: int = 1):
        return book.deals[['deal_id']].head(1).assign(n=least, value=1.0, low=1.0, high=1.0)
    """
    load_own(written(tmp_path, HEAD.rstrip() + body))
    assert METRICS["mine"].options["least"].read("5") == 5
    assert measure(demo, "mine", "", least=5).to_dict()["rows"][0]["n"] == 5
    with pytest.raises(UsageError, match=r"mine has no option 'lest'\. Did you mean 'least'"):
        measure(demo, "mine", "", lest=5)
