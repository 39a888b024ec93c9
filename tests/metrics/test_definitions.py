"""Every metric says why it is asked, what it counts, on which data, and what each of its options changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from salescoach.book import TABLES, Book
from salescoach.errors import UsageError
from salescoach.metrics import METRICS, counted_rows, find_metric, measure
from salescoach.metrics.options import options_of


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_is_documented(name: str) -> None:
    metric = METRICS[name]
    assert metric.why.endswith("?"), "the question of the sales floor that it answers"
    assert metric.definition.endswith(".") and metric.basis and metric.interval and metric.title
    assert set(metric.meanings) == set(metric.options), "each option, and nothing else, is explained"
    assert all(text.endswith(".") for text in metric.meanings.values())


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_data_it_names_are_data_of_a_book(name: str) -> None:
    metric = METRICS[name]
    assert metric.needs
    for table, *columns in (*metric.needs, *metric.uses):
        assert table in TABLES, table
        known = {
            *TABLES[table].columns,
            *(f"{c}_minor" for c, role in TABLES[table].columns.items() if role == "money"),
        }
        assert set(columns) <= known, (table, columns)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_choice_of_an_option_is_accepted(name: str, demo: Book) -> None:
    for option in METRICS[name].options.values():
        assert option.default is not None or option.kind is not bool
        for choice in option.choices:
            assert option.read(str(choice)) == choice
            assert measure(demo, name, "", "2026Q2", **{option.name: choice}) is not None


def test_an_option_that_does_not_exist_is_refused_with_the_nearest(demo: Book) -> None:
    with pytest.raises(UsageError, match=r"win_rate has no option 'bas'. Did you mean 'base'\? Its options: base"):
        measure(demo, "win_rate", bas="created")
    with pytest.raises(UsageError, match=r"funnel has no option 'rule'. It has none"):
        counted_rows(demo, "funnel", rule="strict")


def example(
    book: Book,
    by: str = "",
    period: str | None = None,
    days: int = 90,
    share: float = 0.5,
    rule: Literal["a", "b"] = "a",
    strict: bool = False,
    limit: int | None = None,
    horizons: tuple[int, ...] = (30, 90),
    names: Sequence[str] = (),
    plain=7,  # type: ignore[no-untyped-def]
) -> None: ...


OPTIONS = options_of(example, {"days": "How many."})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("days", "30", 30),
        ("share", "0.25", 0.25),
        ("rule", "b", "b"),
        ("strict", "yes", True),
        ("strict", "off", False),
        ("limit", "7", 7),
        ("limit", "none", None),
        ("horizons", "30, 180", (30, 180)),
        ("names", "x,y", ("x", "y")),
        ("plain", "8", 8),
    ],
)
def test_a_written_option_has_its_type(name: str, text: str, value: object) -> None:
    read = OPTIONS[name].read(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("days", "many", r"days='many' is not a whole number"),
        ("days", "1.5", r"days='1.5' is not a whole number"),
        ("share", "half", r"share='half' is not a number"),
        ("rule", "c", r"rule='c' is unknown.* Choices: a, b"),
        ("strict", "perhaps", r"strict='perhaps' is not yes or no"),
        ("horizons", "30,x", r"horizons='x' is not a whole number"),
    ],
)
def test_a_wrong_value_is_refused_with_what_it_may_be(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OPTIONS[name].read(text)


def test_options_are_everything_but_book_groups_and_period() -> None:
    assert list(OPTIONS) == ["days", "share", "rule", "strict", "limit", "horizons", "names", "plain"]
    assert OPTIONS["days"].meaning == "How many." and OPTIONS["rule"].choices == ("a", "b")


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'win_rate'"):
        find_metric("win_rates")
