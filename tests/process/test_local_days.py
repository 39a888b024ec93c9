"""The calendar days of many instants at once are those of each by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from salescoach.process import NEVER, day_numbers, local_midnights

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HALF_HOUR = 30 * 60_000_000
# one offset; an hour forward and back; half an hour; put back at one past midnight, so that a day comes twice
ZONES = ["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "America/Sao_Paulo"]


def by_the_book(instant: int, zone: str) -> int:
    local = (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone))
    return (local.date() - EPOCH.date()).days


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("first", ["2006-01-01", "2025-01-01"])
def test_every_half_hour_of_two_years(zone: str, first: str) -> None:
    start = int(np.datetime64(first, "us").astype(np.int64))
    instants = np.concatenate([start + HALF_HOUR * np.arange(17_520) + moved for moved in (0, -1)])
    assert day_numbers(instants, zone).tolist() == [by_the_book(int(i), zone) for i in instants]


def test_instants_long_ago_far_ahead_and_none() -> None:
    written = ["1951-05-01T17:00", "1969-12-31T23:30", "2026-01-01T16:00", "2140-06-01T10:00", "NaT"]
    instants = np.array(written, dtype="datetime64[us]").view(np.int64)
    days = local_midnights(instants, "Asia/Shanghai").astype("datetime64[D]").astype(str).tolist()
    assert days == ["1951-05-02", "1970-01-01", "2026-01-02", "2140-06-01", "NaT"]


@pytest.mark.parametrize("instants", [[], [NEVER], [NEVER, NEVER]])
def test_where_there_is_no_instant_there_is_no_day(instants: list[int]) -> None:
    found = local_midnights(np.array(instants, dtype=np.int64), "Europe/Berlin")
    assert len(found) == len(instants) and np.isnat(found).all()
