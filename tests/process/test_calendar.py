"""Working days, counted by hand."""

from __future__ import annotations

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest

from salescoach.process import (
    Calendar,
    HolidaysNotAnnounced,
    Process,
    announced_until,
    as_days,
    is_working_day,
    parse_process,
    working_days,
    working_hours,
)

STAGES = """
[pipelines.new]
label = { en = "New" }
stages = [
  { key = "quote", label = { en = "Quote" } },
  { key = "won", label = { en = "Won" }, outcome = "won" },
  { key = "lost", label = { en = "Lost" }, outcome = "lost" },
]
"""


def process_with(calendar: str = "") -> Process:
    head = f'version = 1\nname = {{ en = "Test" }}\n[calendar]\ntimezone = "Asia/Shanghai"\n{calendar}\n'
    return parse_process(head + STAGES, "test.toml")


PLAIN = process_with()
CHINA = process_with('holidays = "CN"')


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2025-01-26", True),  # a Sunday, worked to make up for the Spring Festival
        ("2025-01-25", False),  # an ordinary Saturday
        ("2025-01-27", True),  # the Monday before the festival
        ("2025-01-28", False),  # New Year's Eve, a Tuesday
        ("2025-02-04", False),  # the last day of the festival, a Tuesday
        ("2025-02-08", True),  # a Saturday, worked
        ("2025-10-11", True),  # a Saturday, worked for the October week
    ],
)
def test_china_works_some_weekends(day: str, works: bool) -> None:
    assert is_working_day(CHINA, date.fromisoformat(day)) == works


def test_spring_festival_by_hand() -> None:
    # 2025-01-24 Fri, 26 Sun (made up), 27 Mon, then off until 4 Feb; 5, 6, 7 and Sat 8 Feb worked: 3 + 4.
    assert working_days(CHINA, date(2025, 1, 24), date(2025, 2, 9)) == 7
    assert working_days(PLAIN, date(2025, 1, 24), date(2025, 2, 9)) == 11


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2026-09-25", "2026-09-25", 0),  # the same Friday
        ("2026-09-25", "2026-09-28", 1),  # Friday to Monday
        ("2026-09-26", "2026-09-28", 0),  # Saturday to Monday
        ("2026-09-21", "2026-09-28", 5),  # a week
        ("2026-09-28", "2026-09-21", -5),  # backwards
        ("2025-12-29", "2026-01-05", 5),  # over the turn of the year
    ],
)
def test_plain_weeks(start: str, end: str, count: int) -> None:
    assert working_days(PLAIN, date.fromisoformat(start), date.fromisoformat(end)) == count


def test_agrees_with_numpy_where_both_apply() -> None:
    rng = np.random.default_rng(7)
    first = np.datetime64("2019-01-01") + rng.integers(0, 2500, 2000)
    last = first + rng.integers(0, 900, 2000)
    assert (working_days(PLAIN, first, last) == np.busday_count(first, last)).all()


def test_shapes_and_missing_dates() -> None:
    starts = pd.Series(pd.to_datetime(["2026-09-21 23:59", None, "2026-09-25 00:00"]), index=[5, 6, 7])
    counts = working_days(PLAIN, starts, date(2026, 9, 28))
    assert counts.shape == (3,)
    assert counts[[0, 2]].tolist() == [5, 1]
    assert np.isnan(counts[1])
    assert is_working_day(PLAIN, starts).tolist() == [True, False, True]
    assert working_days(PLAIN, np.array([], "datetime64[D]"), np.array([], "datetime64[D]")).shape == (0,)
    assert np.isnan(working_days(PLAIN, np.array([pd.NaT, None]), date(2026, 1, 1))).all()
    grid = np.array([["2026-09-25"], ["2026-09-26"]], "datetime64[D]")
    assert working_days(PLAIN, grid, np.array(["2026-09-28", "2026-09-29"], "datetime64[ns]")).tolist() == [
        [1, 2],
        [0, 1],
    ]


def test_input_is_left_as_it_was() -> None:
    starts = pd.Series(pd.to_datetime(["2026-09-21", None]))
    before = starts.copy()
    working_days(PLAIN, starts, starts)
    pd.testing.assert_series_equal(starts, before)


def test_counts_add_up() -> None:
    first, middle, last = date(2024, 12, 30), date(2025, 2, 6), date(2025, 10, 12)
    parts = working_days(CHINA, first, middle) + working_days(CHINA, middle, last)
    assert parts == working_days(CHINA, first, last)


def test_a_december_day_worked_for_new_year() -> None:
    # 2006-12-30 and 31 (Sat, Sun) were worked for the first days of January 2007.
    assert is_working_day(CHINA, date(2006, 12, 30))
    assert working_days(CHINA, date(2006, 12, 25), date(2007, 1, 1)) == 7


def test_own_days_overrule_holidays_and_weekends() -> None:
    own = process_with('holidays = "CN"\ndays_off = [2025-01-26]\ndays_on = [2025-01-28, 2025-03-01]')
    assert not is_working_day(own, date(2025, 1, 26))
    assert is_working_day(own, date(2025, 1, 28))
    assert is_working_day(own, date(2025, 3, 1))


def test_a_part_of_a_country_and_another_week() -> None:
    bavaria, berlin = process_with('holidays = "DE-BY"'), process_with('holidays = "DE"')
    assert not is_working_day(bavaria, date(2026, 1, 6))  # Epiphany, a Tuesday
    assert is_working_day(berlin, date(2026, 1, 6))
    gulf = process_with('workdays = ["sun", "mon", "tue", "wed", "thu"]')
    assert is_working_day(gulf, np.array(["2026-09-27", "2026-09-25"], "datetime64[D]")).tolist() == [
        True,
        False,
    ]


def test_years_not_announced_are_warned_about() -> None:
    known = announced_until(CHINA.calendar)
    assert known is not None and known >= 2026
    with pytest.warns(HolidaysNotAnnounced) as caught:
        working_days(CHINA, date(2026, 1, 1), date(known + 1, 1, 4))
    message = str(caught[0].message)
    assert f"The holidays of 'CN' are known up to {known}, but days were counted in {known + 1}." in message
    assert "Update the `holidays` package, or list the days in a CSV of date,kind" in message
    assert caught[0].filename == __file__


def test_announced_years_and_holidays_by_rule_are_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        working_days(CHINA, date(2025, 1, 1), date(2026, 12, 31))
        working_days(PLAIN, date(2025, 1, 1), date(2060, 1, 1))
        working_days(process_with('holidays = "DE"'), date(2025, 1, 1), date(2035, 1, 1))


def test_a_list_of_days_ends_with_its_last_year() -> None:
    listed = Calendar(timezone="UTC", holidays="days.csv", days_off=(date(2026, 2, 17),))
    process = PLAIN.model_copy(update={"calendar": listed})
    assert not is_working_day(process, date(2026, 2, 17))
    with pytest.warns(HolidaysNotAnnounced, match=r"'days\.csv' are known up to 2026"):
        assert is_working_day(process, date(2027, 2, 17))


def test_stamps_with_a_zone_and_other_things_are_refused() -> None:
    zoned = pd.Series(pd.to_datetime(["2026-09-21"]).tz_localize("UTC"))
    with pytest.raises(TypeError, match="convert the stamps to naive local time first"):
        as_days(zoned)
    with pytest.raises(TypeError, match="convert the stamps to naive local time first"):
        as_days(zoned.astype(object))
    with pytest.raises(TypeError, match="got texts; parse them first"):
        as_days(pd.Series(["2026-09-21"]))
    with pytest.raises(TypeError, match="Expected dates, got values of type int64"):
        as_days(np.array([1, 2]))


def test_days_before_1970_are_whole() -> None:
    assert as_days(np.array(["1969-12-31T23:00"], "datetime64[s]"))[0] == np.datetime64("1969-12-31")


# --- hours of work ---------------------------------------------------------------------------------

OFFICE = process_with('holidays = "CN"\nhours = ["09:00", "18:00"]')


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-06-05 17:00", "2026-06-08 10:00", 2.0),  # Friday evening to Monday morning
        ("2026-06-05 07:00", "2026-06-05 23:00", 9.0),  # a whole day
        ("2026-06-06 10:00", "2026-06-07 10:00", 0.0),  # a weekend
        ("2026-02-14 12:00", "2026-02-24 10:00", 7.0),  # a Saturday worked for Spring Festival, then the festival
        ("2026-06-08 10:00", "2026-06-05 17:00", -2.0),  # the wrong way round
    ],
)
def test_hours_of_work_between_two_instants(start: str, end: str, hours: float) -> None:
    assert working_hours(OFFICE, np.datetime64(start), np.datetime64(end)) == hours


def test_without_hours_a_working_day_has_24() -> None:
    assert working_hours(CHINA, np.datetime64("2026-06-05 17:00"), np.datetime64("2026-06-08 10:00")) == 17
    whole = (
        np.array(["2026-06-01", "2026-02-10"], "datetime64[D]"),
        np.array(["2026-06-09", "2026-03-01"], "datetime64[D]"),
    )
    assert (working_hours(CHINA, *whole) == 24 * working_days(CHINA, *whole)).all()


def test_hours_of_missing_instants_are_missing() -> None:
    start = np.array(["2026-06-05 17:00", "NaT"], "datetime64[us]")
    assert np.isnan(working_hours(OFFICE, start, np.datetime64("2026-06-08 10:00"))).tolist() == [False, True]
    assert np.isnan(working_hours(OFFICE, np.array(["NaT"], "datetime64[us]"), np.datetime64("NaT", "us"))).all()
