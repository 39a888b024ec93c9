"""Periods: their first and last days, worked out by hand."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from salescoach.errors import ProcessError, UsageError
from salescoach.process import (
    Period,
    Process,
    fiscal_span,
    parse_period,
    parse_process,
    period_of,
    previous_period,
    process_from_dict,
    process_to_dict,
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


def process_with(fiscal_year: str) -> Process:
    calendar = f'[calendar]\ntimezone = "Asia/Shanghai"\nfiscal_year = {{ {fiscal_year} }}\n'
    return parse_process('version = 1\nname = { en = "Test" }\n' + calendar + STAGES, "test.toml")


AS_OF = date(2026, 9, 30)
PLAIN = process_with("start_month = 1")
APRIL = process_with('start_month = 4, label = "end"')
APRIL_START = process_with('start_month = 4, label = "start"')
RETAIL = process_with('pattern = "4-4-5", ends = "last sat of jan"')
NEAREST = process_with('pattern = "4-5-4", ends = "nearest sat of jan", label = "start"')
CHIPS = process_with('pattern = "5-4-4", ends = "last sat of dec"')


@pytest.mark.parametrize(
    ("text", "label", "start", "end", "days"),
    [
        ("2026Q3", "2026Q3", "2026-07-01", "2026-09-30", 92),
        (" ２０２６q3 ", "2026Q3", "2026-07-01", "2026-09-30", 92),
        ("2026-Q3", "2026Q3", "2026-07-01", "2026-09-30", 92),
        ("2026-09", "2026-09", "2026-09-01", "2026-09-30", 30),
        ("2024-02", "2024-02", "2024-02-01", "2024-02-29", 29),
        ("2026", "2026", "2026-01-01", "2026-12-31", 365),
        ("2026-01-15", "2026-01-15", "2026-01-15", "2026-01-15", 1),
        ("2026W01", "2026W01", "2025-12-29", "2026-01-04", 7),
        ("2026-W53", "2026W53", "2026-12-28", "2027-01-03", 7),
        ("2026-01..2026-06", "2026-01..2026-06", "2026-01-01", "2026-06-30", 181),
        ("2026-01-15 .. 2026-02-03", "2026-01-15..2026-02-03", "2026-01-15", "2026-02-03", 20),
        ("2025Q4..2026Q1", "2025Q4..2026Q1", "2025-10-01", "2026-03-31", 182),
        ("2026-09-01..", "2026-09-01..2026-09-30", "2026-09-01", "2026-09-30", 30),
        ("last 90 days", "last 90 days", "2026-07-03", "2026-09-30", 90),
        ("Last 1 day", "last 1 day", "2026-09-30", "2026-09-30", 1),
        ("last 4 weeks", "last 4 weeks", "2026-09-03", "2026-09-30", 28),
        ("FY2026", "FY2026", "2026-01-01", "2026-12-31", 365),
        ("fy2026 q3", "FY2026Q3", "2026-07-01", "2026-09-30", 92),
        ("FY2026M02", "FY2026M02", "2026-02-01", "2026-02-28", 28),
    ],
)
def test_periods_are_read(text: str, label: str, start: str, end: str, days: int) -> None:
    period = parse_period(text, PLAIN, AS_OF)
    assert period == Period(label, date.fromisoformat(start), date.fromisoformat(end))
    assert period.days == days


def test_every_label_can_be_read_again() -> None:
    for text in (
        "2026Q3",
        "2026W05",
        "last 90 days",
        "FY2026Q3",
        "FY2026M02",
        "2026-01..2026-06",
        "..2026-02",
        "",
    ):
        period = parse_period(text, PLAIN, AS_OF)
        assert parse_period(period.label, PLAIN, AS_OF) == period


@pytest.mark.parametrize("text", ["", "  ", None, ".."])
def test_nothing_written_is_everything_up_to_as_of(text: str | None) -> None:
    period = parse_period(text, PLAIN, AS_OF)
    assert (period.start_on, period.end_on, period.days) == (None, AS_OF, None)
    assert period.contains(np.array(["1970-01-01", "2026-09-30", "2026-10-01"], "datetime64[D]")).tolist() == [
        True,
        True,
        False,
    ]


def test_as_of_may_be_a_stamp() -> None:
    assert parse_period("last 2 days", PLAIN, datetime(2026, 9, 30, 15)).start_on == date(2026, 9, 29)
    with pytest.raises(UsageError, match="needs the date up to which the data reaches"):
        parse_period("2026", PLAIN, pd.NaT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["2026Q5", "2026-13", "2026-02-30", "2027W53", "0000", "FY0000", "FY2026Q0", "FY2026M13", "last 0 days",
     "last days",
     "last 99999999999 days", "soon", "2026..soon", "soon..2026", "2026..2026..2026", "26Q3", "FY9999"],
)  # fmt: skip
def test_unknown_periods_are_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_period(text, APRIL_START, AS_OF)
    message = str(caught.value)
    assert message.startswith(f"{text!r} is not a period. Write one of: 2026Q3, 2026-09, 2026, ")
    assert "last 90 days" in message and "FY2026Q3" in message
    assert message.endswith("or leave it empty for everything up to 2026-09-30.")


@pytest.mark.parametrize("text", ["2026-06..2026-01", "2026-10..", "2026-02-03..2026-02-02"])
def test_periods_that_run_backwards_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"ends on .*, before it starts on .*\. Exchange the two\."):
        parse_period(text, PLAIN, AS_OF)


def test_both_ends_are_inside() -> None:
    stamps = pd.Series(
        pd.to_datetime(
            ["2026-06-30 23:59:59", "2026-07-01", "2026-09-30 23:59:59", "2026-10-01", None], format="ISO8601"
        )
    )
    period = parse_period("2026Q3", PLAIN, AS_OF)
    assert period.contains(stamps).tolist() == [False, True, True, False, False]
    assert period.contains(date(2026, 9, 30))
    assert not period.contains(None)
    with pytest.raises(TypeError, match="naive local time"):
        period.contains(stamps.dt.tz_localize("UTC"))


# -- fiscal years ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "text", "start", "end"),
    [
        (APRIL, "FY2027Q1", "2026-04-01", "2026-06-30"),  # labelled by the year in which it ends
        (APRIL, "FY2027Q4", "2027-01-01", "2027-03-31"),
        (APRIL, "FY2027", "2026-04-01", "2027-03-31"),
        (APRIL, "FY2027M12", "2027-03-01", "2027-03-31"),
        (APRIL_START, "FY2026Q1", "2026-04-01", "2026-06-30"),
        (APRIL_START, "FY2026", "2026-04-01", "2027-03-31"),
        # January 2026 ends on a Saturday, the 31st; the year before ended on Saturday 25 January 2025:
        # 371 days, so 53 weeks, and the last quarter has 14.
        (RETAIL, "FY2026", "2025-01-26", "2026-01-31"),
        (RETAIL, "FY2026Q1", "2025-01-26", "2025-04-26"),
        (RETAIL, "FY2026Q4", "2025-10-26", "2026-01-31"),
        (RETAIL, "FY2026M03", "2025-03-23", "2025-04-26"),  # 4 + 4 weeks later, five weeks
        (RETAIL, "FY2026M12", "2025-12-21", "2026-01-31"),  # five weeks and the 53rd
        # The American retail calendar: 2023 had 53 weeks and ended on 3 February 2024.
        (NEAREST, "FY2023", "2023-01-29", "2024-02-03"),
        (NEAREST, "FY2024", "2024-02-04", "2025-02-01"),
        (NEAREST, "FY2024M02", "2024-03-03", "2024-04-06"),
        # A year that ends in December carries one number whichever way it is labelled.
        (CHIPS, "FY2026", "2025-12-28", "2026-12-26"),
        (CHIPS, "FY2026M01", "2025-12-28", "2026-01-31"),
    ],
)
def test_fiscal_periods(process: Process, text: str, start: str, end: str) -> None:
    period = parse_period(text, process, AS_OF)
    assert (str(period.start_on), str(period.end_on)) == (start, end)


def test_a_december_year_has_one_label() -> None:
    by_start = process_with('pattern = "5-4-4", ends = "last sat of dec", label = "start"')
    assert parse_period("FY2026", by_start, AS_OF) == parse_period("FY2026", CHIPS, AS_OF)


@pytest.mark.parametrize("process", [PLAIN, APRIL, APRIL_START, RETAIL, NEAREST, CHIPS])
def test_fiscal_years_join_without_gap_and_quarters_fill_them(process: Process) -> None:
    fiscal = process.calendar.fiscal_year
    for year in range(2015, 2035):
        start, end = fiscal_span(fiscal, year)
        assert fiscal_span(fiscal, year + 1)[0] == end + timedelta(days=1)
        days = (end - start).days + 1
        assert days in ((365, 366) if fiscal.start_month else (364, 371))
        for part, count in (("quarter", 4), ("month", 12)):
            spans = [fiscal_span(fiscal, year, **{part: number}) for number in range(1, count + 1)]
            assert (spans[0][0], spans[-1][1]) == (start, end)
            assert sum((last - first).days + 1 for first, last in spans) == days


def test_agrees_with_pandas() -> None:
    # offset by offset: pandas knows the same 52/53-week quarters
    offset = pd.offsets.FY5253Quarter(startingMonth=1, weekday=5, variation="last", qtr_with_extra_week=4)
    ends = pd.date_range("2015-02-01", "2030-12-31", freq=offset).date.tolist()
    ours = [fiscal_span(RETAIL.calendar.fiscal_year, y, quarter=q)[1] for y in range(2015, 2033) for q in (1, 2, 3, 4)]
    assert len(ends) > 50
    assert ends == [end for end in ours if ends[0] <= end <= ends[-1]]
    days = pd.Series(pd.date_range("2024-01-01", "2027-12-31"))
    quarters = days.dt.to_period("Q-MAR").astype(str)
    assert period_of(days, "fiscal_quarter", APRIL).astype(str).tolist() == [f"FY{quarter}" for quarter in quarters]


@pytest.mark.parametrize("pattern", ["4-4-5", "4-5-4", "5-4-4"])
@pytest.mark.parametrize(("which", "variation"), [("last", "last"), ("nearest", "nearest")])
@pytest.mark.parametrize(("day", "weekday"), [("sat", 5), ("fri", 4), ("sun", 6)])
@pytest.mark.parametrize(("month", "number"), [("jan", 1), ("jun", 6), ("dec", 12)])
def test_years_in_weeks_agree_with_pandas(
    month: str, number: int, day: str, weekday: int, which: str, variation: str, pattern: str
) -> None:
    offset = pd.offsets.FY5253Quarter(startingMonth=number, weekday=weekday, variation=variation, qtr_with_extra_week=4)
    ends = pd.date_range("2010-01-01", "2035-12-31", freq=offset).date.tolist()
    fiscal = process_with(f'pattern = "{pattern}", ends = "{which} {day} of {month}"').calendar.fiscal_year
    ours = [fiscal_span(fiscal, y, quarter=q)[1] for y in range(2009, 2038) for q in (1, 2, 3, 4)]
    assert len(ends) > 100
    assert ends == [end for end in ours if ends[0] <= end <= ends[-1]]
    long = [y for y in range(2010, 2036) if (fiscal_span(fiscal, y)[1] - fiscal_span(fiscal, y)[0]).days + 1 == 371]
    assert 4 <= len(long) <= 6  # a 53rd week every five or six years
    for year in long:
        start, end = fiscal_span(fiscal, year, month=12)
        assert (end - start).days + 1 == 7 * (int(pattern[-1]) + 1)


# Two years that no rule gives: months of odd lengths, the first year from Monday 29 December 2025.
LISTED_STARTS = [
    "2025-12-29", "2026-02-02", "2026-03-02", "2026-03-30", "2026-05-04", "2026-06-01", "2026-06-29", "2026-08-03",
    "2026-08-31", "2026-09-28", "2026-11-02", "2026-11-30", "2027-01-04", "2027-02-01", "2027-03-01", "2027-04-05",
    "2027-05-03", "2027-05-31", "2027-07-05", "2027-08-02", "2027-08-30", "2027-10-04", "2027-11-01", "2027-11-29",
    "2028-01-03",
]  # fmt: skip
LISTED = process_with(f"first_year = 2026, starts = [{', '.join(LISTED_STARTS)}]")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("FY2026", "2025-12-29", "2027-01-03"),
        ("FY2026Q1", "2025-12-29", "2026-03-29"),
        ("FY2026Q4", "2026-09-28", "2027-01-03"),
        ("FY2026M02", "2026-02-02", "2026-03-01"),
        ("FY2027M12", "2027-11-29", "2028-01-02"),
        ("FY2027", "2027-01-04", "2028-01-02"),
    ],
)
def test_listed_periods(text: str, start: str, end: str) -> None:
    period = parse_period(text, LISTED, AS_OF)
    assert (str(period.start_on), str(period.end_on)) == (start, end)


@pytest.mark.parametrize("unit", ["fiscal_month", "fiscal_quarter", "fiscal_year"])
def test_every_date_lies_in_the_listed_period_it_is_labelled_with(unit: str) -> None:
    days = np.arange("2025-12-29", "2028-01-03", dtype="datetime64[D]")
    labels = period_of(days, unit, LISTED)  # type: ignore[arg-type]
    assert len(labels.cat.categories) == {"fiscal_month": 24, "fiscal_quarter": 8, "fiscal_year": 2}[unit]
    for label in labels.cat.categories:
        inside = parse_period(label, LISTED, AS_OF).contains(days)
        assert (inside == (labels == label).to_numpy()).all()


def test_what_is_not_listed_is_refused_and_never_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        parse_period("FY2028", LISTED, AS_OF)
    assert str(caught.value) == (
        "FY2028 is not among the fiscal years listed in the process file. They go from 2025-12-29 to 2028-01-02: add "
        "first days to `starts` under fiscal_year."
    )
    with pytest.raises(UsageError, match="FY2025 is not among the fiscal years"):
        previous_period(parse_period("FY2026", LISTED, AS_OF), LISTED)
    for day in (date(2025, 12, 28), date(2028, 1, 3)):
        with pytest.raises(UsageError, match=f"{day} lies outside the fiscal years listed"):
            period_of([date(2026, 1, 1), day], "fiscal_quarter", LISTED)
    assert period_of([date(2020, 1, 1)], "quarter", LISTED).tolist() == ["2020Q1"]


@pytest.mark.parametrize(
    ("fiscal_year", "says"),
    [
        ("first_year = 2026", "needs either start_month"),
        ("first_year = 2026, starts = [2026-01-01], start_month = 1", "needs either start_month"),
        ("first_year = 2026, starts = [2026-01-01, 2027-01-01]", "lists 2 days in `starts`"),
        (
            f"first_year = 2026, starts = [{', '.join([*LISTED_STARTS[:11], '2026-11-02', '2027-01-04'])}]",
            "lists 2026-11-02 after 2026-11-02 in `starts`",
        ),
    ],
)
def test_faults_in_listed_periods(fiscal_year: str, says: str) -> None:
    with pytest.raises(ProcessError, match=says):
        process_with(fiscal_year)


def test_listed_periods_survive_json() -> None:
    assert process_from_dict(json.loads(json.dumps(process_to_dict(LISTED)))) == LISTED


# -- labels of dates ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "labels"),
    [
        ("week", ["2025W01", "2026W40", "2026W14"]),
        ("month", ["2024-12", "2026-09", "2026-04"]),
        ("quarter", ["2024Q4", "2026Q3", "2026Q2"]),
        ("year", ["2024", "2026", "2026"]),
        ("fiscal_month", ["FY2025M09", "FY2027M06", "FY2027M01"]),
        ("fiscal_quarter", ["FY2025Q3", "FY2027Q2", "FY2027Q1"]),
        ("fiscal_year", ["FY2025", "FY2027", "FY2027"]),
    ],
)
def test_dates_get_the_label_of_their_period(unit: str, labels: list[str]) -> None:
    stamps = pd.Series(
        pd.to_datetime(["2024-12-31 12:00", "2026-09-30 23:59", "2026-04-01", None], format="ISO8601"),
        index=[4, 3, 2, 1],
    )
    found = period_of(stamps, unit, APRIL)  # type: ignore[arg-type]
    assert found.tolist() == [*labels, "(undated)"]
    assert found.index.tolist() == [4, 3, 2, 1]
    assert found.cat.ordered
    assert found.cat.categories.tolist() == [*sorted(set(labels)), "(undated)"]
    for stamp, label in zip(stamps[:3], labels, strict=True):
        assert parse_period(label, APRIL, AS_OF).contains(stamp)


@pytest.mark.parametrize("process", [PLAIN, APRIL, APRIL_START, RETAIL, NEAREST, CHIPS])
@pytest.mark.parametrize("unit", ["week", "fiscal_month", "fiscal_quarter", "fiscal_year"])
def test_every_date_lies_in_the_period_it_is_labelled_with(process: Process, unit: str) -> None:
    days = np.arange("2022-12-25", "2027-02-08", 3, dtype="datetime64[D]")
    labels = period_of(days, unit, process)  # type: ignore[arg-type]
    for label in labels.cat.categories:
        inside = parse_period(label, process, AS_OF).contains(days)
        assert (inside == (labels == label).to_numpy()).all()


def test_no_dates_at_all() -> None:
    assert period_of(np.array([], "datetime64[D]"), "month", PLAIN).tolist() == []
    assert period_of([None, None], "month", PLAIN).tolist() == ["(undated)", "(undated)"]


def test_an_unknown_unit_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'months' is not a unit of time\. Did you mean 'month'\? Use week, month, "):
        period_of([date(2026, 1, 1)], "months", PLAIN)  # type: ignore[arg-type]


# -- the period before -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label", "start", "end"),
    [
        ("2026Q3", "2026Q2", "2026-04-01", "2026-06-30"),
        ("2026Q1", "2025Q4", "2025-10-01", "2025-12-31"),
        ("2026-01", "2025-12", "2025-12-01", "2025-12-31"),
        ("2024-03", "2024-02", "2024-02-01", "2024-02-29"),
        ("2026", "2025", "2025-01-01", "2025-12-31"),
        ("2026W01", "2025W52", "2025-12-22", "2025-12-28"),
        ("2026-01..2026-06", "2025-07..2025-12", "2025-07-01", "2025-12-31"),
        ("2026-01-15..2026-02-03", "2025-12-26..2026-01-14", "2025-12-26", "2026-01-14"),
        ("last 90 days", "2026-04-04..2026-07-02", "2026-04-04", "2026-07-02"),
        (
            "last 30 days",
            "2026-08-02..2026-08-31",
            "2026-08-02",
            "2026-08-31",
        ),  # September as days, not as a month
        ("FY2027Q1", "FY2026Q4", "2026-01-01", "2026-03-31"),
        ("FY2027", "FY2026", "2025-04-01", "2026-03-31"),
        ("FY2027M01", "FY2026M12", "2026-03-01", "2026-03-31"),
    ],
)
def test_the_period_before(text: str, label: str, start: str, end: str) -> None:
    wanted = Period(label, date.fromisoformat(start), date.fromisoformat(end))
    period = parse_period(text, APRIL, AS_OF)
    assert previous_period(period) == wanted
    assert previous_period(period, APRIL) == wanted


def test_nothing_comes_before_everything() -> None:
    assert previous_period(parse_period("", PLAIN, AS_OF)) is None


def test_weeks_of_a_fiscal_year_need_the_process() -> None:
    period = parse_period("FY2027Q1", RETAIL, AS_OF)
    before = previous_period(period, RETAIL)
    assert before == parse_period("FY2026Q4", RETAIL, AS_OF)
    assert before is not None and before.days == 14 * 7
    with pytest.raises(UsageError, match="What comes before FY2027Q1 depends on the fiscal year; pass the process"):
        previous_period(period)
