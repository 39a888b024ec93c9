"""Count tables add up; groups are complete, in order, and dated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import add_up, count_table, measure, visit_counts, win_rate
from salescoach.metrics.ladder import NO_AGE, ladder_codes, ladder_days

Build = Callable[..., Book]


def utc(*texts: str | None) -> pd.Series:
    return pd.to_datetime(pd.Series(list(texts)), utc=True, format="ISO8601").astype("datetime64[us, UTC]")


def test_ages_are_minutes_then_hours_then_calendar_days() -> None:
    start = utc(*["2026-01-01T00:00"] * 5)
    end = utc("2026-01-01T00:00", "2026-01-01T01:59", "2026-01-01T05:59", "2026-01-02T23:59", "2026-01-11T00:00")
    days = ladder_days(ladder_codes(start, end, "UTC"))
    assert days.tolist() == pytest.approx([0, 119 / 1440, 5 / 24, 47 / 24, 10])


def test_days_are_calendar_days_in_the_books_time_zone() -> None:
    # 17:00 UTC is 01:00 of the next day in Shanghai: 49 hours later is two calendar days on, not three.
    codes = ladder_codes(utc("2026-01-01T17:00"), utc("2026-01-03T18:00"), "Asia/Shanghai")
    assert ladder_days(codes).tolist() == [2.0]


def test_a_negative_duration_is_no_age_and_never_its_absolute_value() -> None:
    codes = ladder_codes(utc("2026-01-05", "2026-01-05"), utc("2026-01-01", None), "UTC")
    assert codes.tolist() == [NO_AGE, NO_AGE]


def test_count_table_keeps_blanks_as_a_group() -> None:
    units = pd.DataFrame({"team": ["a", None, "a"], "amount": pd.array([1, 2, None], dtype="Int64")})
    table = count_table(units, ["team"], money="amount")
    assert table["n"].tolist() == [2, 1] and table["amount_minor"].tolist() == [1, 2]
    assert table["n_amount"].tolist() == [1, 1] and table["team"].isna().tolist() == [False, True]


def test_count_table_of_nothing() -> None:
    nothing = pd.DataFrame({"team": pd.Series(dtype="str")})
    assert len(count_table(nothing, ["team"])) == 0
    assert count_table(nothing, [])["n"].tolist() == [0]


def test_count_table_with_more_combinations_than_an_integer_holds() -> None:
    size = 3000
    units = pd.DataFrame({f"k{i}": np.arange(size) for i in range(7)})  # 3000 ** 7 > 2 ** 63
    table = count_table(pd.concat([units, units]), list(units.columns))
    assert len(table) == size and (table["n"] == 2).all() and table["k6"].tolist() == list(range(size))


def test_counts_of_reps_sum_to_the_team_and_of_files_to_the_whole(generated: Build) -> None:
    book = generated(3)
    by_rep, by_team = visit_counts(book, ["rep", "team"]), visit_counts(book, ["team"])
    keys = [c for c in by_team if c not in ("n", "amount_minor", "n_amount", "amount2")]
    pd.testing.assert_frame_equal(add_up(by_rep.drop(columns="rep_id"), keys), add_up(by_team, keys))
    assert add_up(by_rep, [])["n"].tolist() == visit_counts(book)["n"].agg(["sum"]).tolist()


def test_files_add_up_to_the_whole(generated: Build) -> None:
    rows = generated(3).deals
    parts = [count_table(rows.iloc[:20], ["rep_id", "outcome"]), count_table(rows.iloc[20:], ["rep_id", "outcome"])]
    whole = count_table(rows, ["rep_id", "outcome"])
    pd.testing.assert_frame_equal(add_up(pd.concat(parts), ["rep_id", "outcome"]), add_up(whole, ["rep_id", "outcome"]))


def test_unassigned_and_undated_come_last_in_any_combination(book_of: Build) -> None:
    deals = [
        {"deal_id": f"{rep}{on}", "rep_id": rep, "outcome": "won", "closed_at": on}
        for rep in (None, "R1", "汉")
        for on in ("2026-02-01", None, "2025-12-31")
    ]
    table = win_rate(book_of(deals), ["rep", "quarter"])
    assert table["rep_id"].tolist() == ["R1"] * 3 + ["汉"] * 3 + ["(unassigned)"] * 3
    assert table["quarter"].tolist() == ["2025Q4", "2026Q1", "(undated)"] * 3


def test_month_keys_carry_the_year(book_of: Build) -> None:
    deals = [{"deal_id": str(year), "outcome": "won", "closed_at": f"{year}-01-15"} for year in (2024, 2025)]
    assert win_rate(book_of(deals), "month")["month"].tolist() == ["2024-01", "2025-01"]


def test_a_rep_counts_in_the_team_of_that_day(book_of: Build) -> None:
    reps = [
        {"rep_id": "R1", "name": "Li", "team": "East", "manager": "M", "valid_from": "2025-01-01"},
        {"rep_id": "R1", "name": "Li", "team": "West", "manager": "M", "valid_from": "2026-01-01"},
    ]
    deals = [
        {"deal_id": "1", "rep_id": "R1", "outcome": "won", "closed_at": "2025-12-31"},
        {"deal_id": "2", "rep_id": "R1", "outcome": "lost", "closed_at": "2026-01-01"},
    ]
    table = win_rate(book_of(deals, reps=reps), "team").set_index("team")
    assert table["n"].to_dict() == {"East": 1, "West": 1} and table.loc["East", "won"] == 1


def test_teams_in_the_deals_themselves_serve_where_there_is_no_list_of_reps(book_of: Build) -> None:
    deals = [{"deal_id": "1", "rep_id": "R1", "team": "East", "outcome": "won", "closed_at": "2026-01-02"}]
    assert win_rate(book_of(deals), "team")["team"].tolist() == ["East"]


def test_an_unknown_group_is_named_with_the_nearest(book_of: Build) -> None:
    book = book_of([{"deal_id": "1", "segment": "SMB", "outcome": "won"}])
    with pytest.raises(UsageError, match="Did you mean 'segment'"):
        measure(book, "win_rate", "segmnt")


def test_groups_may_be_given_in_any_order(generated: Build) -> None:
    one, other = (measure(generated(5), "win_rate", by).table for by in ("team,quarter", "quarter,team"))
    assert one is not None and other is not None
    pd.testing.assert_frame_equal(
        one.sort_values(["team", "quarter"], ignore_index=True),
        other[one.columns].sort_values(["team", "quarter"], ignore_index=True),
    )
