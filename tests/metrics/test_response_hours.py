"""Response time in working time: worked by hand on China's calendar, and against a walk minute by minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import counted_rows, measure, response_time
from salescoach.metrics.leads import answered_leads
from salescoach.process import Process, is_working_day, process_from_dict, process_to_dict

Build = Callable[..., Book]
Plain = Callable[[Book, str], list[dict[str, Any]]]


def with_hours(process: Process, *hours: str) -> Process:
    values = process_to_dict(process)
    values["calendar"]["hours"] = list(hours)
    return process_from_dict(values)


def lead(key: str, asked: str, answered: str | None = None) -> dict[str, Any]:
    return {"lead_id": key, "created_at": asked, "first_response_at": answered, "rep_id": "R1"}


def test_nights_weekends_and_holidays_do_not_count(book_of: Build, process: Process) -> None:
    leads = [
        lead("friday", "2026-06-05 17:00", "2026-06-08 10:00"),  # 1 h on Friday, 1 h on Monday
        lead("night", "2026-06-04 20:00", "2026-06-05 08:00"),  # between two working days
        lead("saturday", "2026-06-06 12:00", "2026-06-06 13:00"),  # not a working day
        # Spring Festival: off from 15 to 23 February 2026; Saturday 14 February is worked to make up for it
        lead("festival", "2026-02-14 17:00", "2026-02-24 09:30"),  # 1 h on that Saturday, half an hour on Tuesday
    ]
    book = book_of([{"deal_id": "D"}], leads=leads, process=with_hours(process, "09:00", "18:00"))
    rows = answered_leads(book, clock="working").set_index("lead_id")["hours"]
    assert rows.to_dict() == {"friday": 2.0, "night": 0.0, "saturday": 0.0, "festival": 1.5}
    elapsed = answered_leads(book).set_index("lead_id")["hours"]
    assert elapsed["friday"] == 65 and elapsed["saturday"] == 1


def test_without_hours_a_working_day_has_24(book_of: Build) -> None:
    leads = [lead("friday", "2026-06-05 17:00", "2026-06-08 10:00")]  # 7 h of Friday, 10 h of Monday
    book = book_of([{"deal_id": "D"}], leads=leads)
    assert answered_leads(book, clock="working")["hours"].tolist() == [17.0]


def test_the_median_and_the_limit_follow_the_same_clock(book_of: Build, process: Process) -> None:
    # asked on Friday at 16:00, answered on Monday at 11:00: 67 h by the clock, 4 h of work: within the limit of 4
    leads = [lead(str(i), "2026-06-05 16:00", "2026-06-08 11:00") for i in range(5)]
    book = book_of([{"deal_id": "D"}], leads=leads, process=with_hours(process, "09:00", "18:00"))
    clock, work = response_time(book, ""), response_time(book, "", clock="working")
    assert (work["value"][0], work["within_share"][0]) == (4, 1)
    assert (clock["value"][0], clock["within_share"][0]) == (72, 0), "beyond two days the clock counts in days"


def test_a_lead_of_last_night_is_not_late_yet(book_of: Build, process: Process) -> None:
    # the company works from 9 to 12: asked on Monday evening, by the end of Tuesday 3 working hours have passed
    leads = [lead("A", "2026-06-29 17:00"), lead("B", "2026-01-05 10:00", "2026-01-05 10:30")]
    book = book_of([{"deal_id": "D"}], leads=leads, process=with_hours(process, "09:00", "12:00"))
    assert answered_leads(book, clock="working")[["hours", "due"]].to_numpy().tolist() == [[3.0, False], [0.5, True]]
    assert answered_leads(book)["due"].tolist() == [True, True]


def test_the_rows_are_as_many_as_the_number(demo: Book) -> None:
    found = measure(demo, "response_time", "", "2026Q2", clock="working")
    assert found.table is not None
    assert found.table["n"].sum() == len(counted_rows(demo, "response_time", "2026Q2", clock="working"))
    with pytest.raises(UsageError, match="Did you mean 'working'"):
        response_time(demo, "", clock="workin")  # type: ignore[arg-type]


def test_the_clock_is_an_option_that_a_person_can_set(demo: Book) -> None:
    from salescoach.metrics import METRICS

    option = METRICS["response_time"].options["clock"]
    assert option.read("working") == "working" and option.choices == ("elapsed", "working")


@pytest.mark.parametrize("seed", range(3))
def test_against_a_walk_through_the_minutes(generated: Build, plain: Plain, seed: int) -> None:
    book = generated(seed)
    book = replace(book, process=with_hours(book.process, "08:30", "17:15"))
    ours = answered_leads(book, clock="working").set_index("lead_id")["hours"]
    works = cache(lambda day: bool(is_working_day(book.process, day)))
    checked = 0
    for row in plain(book, "leads"):
        asked, answered = row["created_at"], row["first_response_at"]
        if answered is None:
            continue
        minutes, now = 0, asked
        while now < answered:
            if works(now.date()) and (8, 30) <= (now.hour, now.minute) < (17, 15):
                minutes += 1
            now += timedelta(minutes=1)
        assert ours[row["lead_id"]] == pytest.approx(minutes / 60)
        checked += 1
    assert checked > 20
