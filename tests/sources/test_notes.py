"""Notes on what is valid and looks suspicious: twins, days of bulk updates, days of a migration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.sources import sample_book

HEADER = "deal_id,rep_id,stage,created_at,closed_at,amount,account_id,name\n"


def found(book: Book, check: str) -> list[dict[str, Any]]:
    return [n for n in book.quality["notes"] if n["check"] == check]


def test_one_deal_under_two_ids_is_noted_and_kept(load: Callable[..., Book]) -> None:
    rows = (
        "D1,Ann,Quote,2025-01-01,,100,A1,Alpha\n"
        "D2,Ann,Quote,2025-01-01,,100.00,A1,ALPHA\n"  # the same but for the id and the spelling
        "D3,Bob,Quote,2025-01-01,,100,A1,Alpha\n"  # another owner
        "D4,Ann,Quote,2025-01-02,,100,A1,Alpha\n"  # another day
        "D5,Ann,Quote,2025-01-01,,101,A1,Alpha\n"  # another amount
        "D6,Ann,Quote,2025-01-01,,100,A2,Alpha\n"  # another account
        "D7,Ann,Quote,2025-01-01,,,A1,Alpha\nD8,Ann,Quote,2025-01-01,,,A1,Alpha\n"  # no amount tells nothing
    )
    book = load(HEADER + rows)
    assert found(book, "twin-deals") == [
        {"check": "twin-deals", "table": "deals", "column": "deal_id", "count": 2, "examples": ["D1", "D2"]}
    ]
    assert len(book.deals) == 8


def spread(n: int, closed: Callable[[int], str], created: Callable[[int], str]) -> str:
    return HEADER + "".join(f"D{i},Ann,Lost,{created(i)},{closed(i)},1,A{i},N{i}\n" for i in range(n))


def days(month: int) -> Callable[[int], str]:
    return lambda i: f"2025-{month:02d}-{i % 28 + 1:02d}"


@pytest.mark.parametrize(("bulk", "noted"), [(40, 1), (15, 0)])
def test_a_day_with_more_than_ten_times_the_usual_closes_is_noted(
    load: Callable[..., Book], bulk: int, noted: int
) -> None:
    # 84 closes over 28 days are 3 a day: 40 more on one are 41 > 30 and 33 %; 15 more are 16 < 30
    text = spread(84 + bulk, lambda i: days(4)(i) if i < 84 else "2025-05-05", days(2))
    notes = found(load(text), "bulk-update-day")
    assert len(notes) == noted
    if noted:
        assert (notes[0]["count"], notes[0]["examples"]) == (40, ["2025-05-05"])


def test_a_day_on_which_many_deals_were_created_is_noted(load: Callable[..., Book]) -> None:
    # 30 of 114 deals on one day: 26 % of all, and ten times the usual 3
    text = spread(115, days(4), lambda i: days(2)(i) if i < 84 else "2025-03-03")
    assert [(n["count"], n["examples"]) for n in found(load(text), "migration-day")] == [(31, ["2025-03-03"])]
    assert found(load(spread(84, days(4), days(2))), "migration-day") == []


def test_all_deals_created_on_one_day_are_a_migration_where_there_are_many(load: Callable[..., Book]) -> None:
    assert len(found(load(spread(20, days(4), lambda i: "2025-01-01")), "migration-day")) == 1
    assert found(load(spread(19, days(4), lambda i: "2025-01-01")), "migration-day") == []


def test_the_demo_has_none_of_these() -> None:
    book = sample_book()
    assert [n for c in ("twin-deals", "bulk-update-day", "migration-day") for n in found(book, c)] == []
