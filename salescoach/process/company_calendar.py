"""The company's calendar as frozen models: time zone, working week, holidays, fiscal year."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from salescoach.errors import Sentence, UsageError, commas, suggestion
from salescoach.process.fields import CalendarDate, Strict, Text, fold_name

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_END = re.compile(rf"(last|nearest) ({'|'.join(WEEKDAYS)}) of ({'|'.join(MONTHS)})")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|(24):(00)")
DAY_MINUTES = 24 * 60


def _minutes(text: str) -> int | None:
    """Minutes from midnight to a time of day written as 09:00, or None."""
    found = _TIME.fullmatch(text)
    return None if found is None else int(found[1] or found[3]) * 60 + int(found[2] or found[4])


class FiscalYear(Strict):
    """When the company's year begins: on the first of a month, in whole weeks (52 or 53 of them), or as listed.

    `label` says whether FY2027 is the year that ends or starts in 2027.
    `pattern` spreads the weeks of a quarter over its months; `ends` is the
    last day of the year, "last sat of jan" or "nearest sat of jan" (nearest to the month's end).
    `starts` lists the first days of all fiscal months from the first one of `first_year` on, twelve for each year, and
    then the day after the last.
    """

    start_month: Annotated[int, Field(strict=True, ge=1, le=12)] | None = None
    label: Literal["start", "end"] = "end"
    pattern: Literal["4-4-5", "4-5-4", "5-4-4"] | None = None
    ends: Text | None = None
    first_year: Annotated[int, Field(strict=True, ge=1, le=9998)] | None = None
    starts: tuple[CalendarDate, ...] = ()

    @field_validator("ends")
    @classmethod
    def _ends_on_a_known_day(cls, value: str | None) -> str | None:
        if value is not None and not _YEAR_END.fullmatch(fold_name(value)):
            raise ValueError(Sentence('must read like "last sat of jan" or "nearest sat of jan"'))
        return value

    @model_validator(mode="after")
    def _one_way_to_count(self) -> FiscalYear:
        by_month, by_weeks = self.start_month is not None, bool(self.pattern or self.ends)
        listed = bool(self.starts) or self.first_year is not None
        halves = (self.pattern is None) != (self.ends is None) or bool(self.starts) != (self.first_year is not None)
        if by_month + by_weeks + listed != 1 or halves:
            raise ValueError(
                Sentence(
                    'needs either start_month = 1 … 12, or both pattern = "4-4-5" and ends = "last sat of jan", or '
                    "both first_year = 2026 and starts = [2025-12-29, …]"
                )
            )
        if self.starts and (len(self.starts) % 12 != 1 or len(self.starts) < 13):
            raise ValueError(
                Sentence(
                    "lists {n} days in `starts`: write twelve first days for each year, and then the day after the "
                    "last",
                    n=len(self.starts),
                )
            )
        for before, after in zip(self.starts, self.starts[1:], strict=False):
            if after <= before:
                raise ValueError(
                    Sentence(
                        "lists {after} after {before} in `starts`; the first days stand in order of time",
                        after=after,
                        before=before,
                    )
                )
        return self

    @property
    def year_end(self) -> tuple[str, int, int]:
        """("last" or "nearest", weekday 0 = Monday, month 1..12) of a year counted in weeks."""
        found = _YEAR_END.fullmatch(fold_name(self.ends or ""))
        if found is None:
            raise UsageError("This fiscal year begins with a month and has no `ends`.")
        return found[1], WEEKDAYS.index(found[2]), MONTHS.index(found[3]) + 1


class Calendar(Strict):
    """The company's time zone, working week, holidays and fiscal year.

    `holidays` is a code of the `holidays` package ("CN", "DE-BY"), a CSV beside the
    process file, or missing. `days_off` and `days_on` overrule it; a CSV is read into them,
    so that a stored process needs no second file. `hours` are when a working day begins and
    ends; without them it counts from midnight to midnight.
    """

    timezone: Text
    workdays: tuple[Text, ...] = WEEKDAYS[:5]
    hours: tuple[Text, ...] | None = None
    holidays: Text | None = None
    fiscal_year: FiscalYear = FiscalYear(start_month=1)
    days_off: tuple[CalendarDate, ...] = ()
    days_on: tuple[CalendarDate, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            hint = suggestion(value, zoneinfo.available_timezones())
            raise ValueError(
                Sentence('is not a known time zone.{hint} Write one such as "Asia/Shanghai"', hint=hint)
            ) from None
        return value

    @field_validator("workdays")
    @classmethod
    def _known_workdays(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [day for day in value if day not in WEEKDAYS]
        if unknown:
            raise ValueError(
                Sentence(
                    "has the unknown day {unknown!r}.{hint} The days are {weekdays}",
                    unknown=unknown[0],
                    hint=suggestion(unknown[0], WEEKDAYS),
                    weekdays=commas(WEEKDAYS),
                )
            )
        if not value or len(set(value)) < len(value):
            raise ValueError(Sentence('must name at least one day and each day once, such as ["mon", "tue"]'))
        return value

    @field_validator("hours")
    @classmethod
    def _from_to(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        times = [minutes for minutes in map(_minutes, value) if minutes is not None]
        if len(times) != 2 or len(value) != 2 or times[0] >= times[1]:
            raise ValueError(Sentence('must be when a working day begins and ends, such as ["09:00", "18:00"]'))
        return value

    @property
    def open_minutes(self) -> tuple[int, int]:
        """When a working day begins and ends, in minutes from midnight."""
        first, last = (_minutes(text) or 0 for text in self.hours) if self.hours else (0, DAY_MINUTES)
        return first, last

    @field_validator("holidays")
    @classmethod
    def _known_holidays(cls, value: str | None) -> str | None:
        if value is None or value.casefold().endswith(".csv"):
            return value
        import holidays

        places = holidays.list_supported_countries(include_aliases=True)
        country, _, part = value.partition("-")
        if country not in places or (part and part not in places[country]):
            raise ValueError(
                Sentence(
                    'is neither a code of the `holidays` package nor a CSV file.{hint} Write a country ("CN"), a '
                    'country and its part ("DE-BY"), or "company_days.csv"',
                    hint=suggestion(value, [code for code in places if len(code) == 2]),
                )
            )
        return value

    @model_validator(mode="after")
    def _off_or_on(self) -> Calendar:
        both = sorted(set(self.days_off) & set(self.days_on))
        if both:
            raise ValueError(Sentence("{both} is both a day off and a day on; keep one of the two", both=both[0]))
        return self
