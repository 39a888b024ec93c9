"""Stage history in one shape, from a log or from the current stage only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.sources import load_book

DEALS = "deal_id,stage,created_at,closed_at,stage_changed_at,lost_stage\n"
LOG = "deal_id,entered_at,stage\n"


def book_of(folder: Path, deals: str, log: str | None = None) -> Book:
    (folder / "deals.csv").write_text(deals)
    if log is not None:
        (folder / "stage_history.csv").write_text(log)
    return load_book(folder, as_of="2025-06-30")


def told(book: Book) -> list[str]:
    """ "day stage evidence" of every entry, in order."""
    history = book.table("stage_history")
    days = book.local_days(history["entered_at"]).dt.strftime("%m-%d")
    return [f"{d} {s} {e}" for d, s, e in zip(days, history["stage"], history["evidence"], strict=True)]


@pytest.mark.parametrize(
    ("deal", "expected"),
    [
        ("A,Won,2025-01-01,2025-01-31,,", ["01-01 prospect assumed", "01-31 won observed"]),
        ("A,Quote,2025-01-01,,2025-01-20,", ["01-01 prospect assumed", "01-20 quote observed"]),
        ("A,Quote,2025-01-01,,,", ["01-01 quote assumed"]),
        ("A,Prospecting,2025-01-01,,,", ["01-01 prospect assumed"]),
        (
            "A,Lost,2025-01-01,2025-01-31,,Quote",
            ["01-01 prospect assumed", "01-01 quote inferred", "01-31 lost observed"],
        ),
        ("A,Lost,2025-01-31,2025-01-31,,", ["01-31 prospect assumed", "01-31 lost observed"]),
        ("A,Won,,2025-01-31,,", ["01-31 won observed"]),
        ("A,Quote,,,,", []),
    ],
)
def test_current_only_invents_nothing_in_between(tmp_path: Path, deal: str, expected: list[str]) -> None:
    assert told(book_of(tmp_path, DEALS + deal + "\n")) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (["01-01 Prospecting", "01-05 Quote", "01-31 Won"], ["prospect", "quote", "won"]),
        (["01-31 Won", "01-01 Prospecting", "01-05 Quote"], ["prospect", "quote", "won"]),
        (["01-01 Prospecting", "01-03 Prospecting", "01-31 Won"], ["prospect", "won"]),
        (["01-01 Quote", "01-05 Prospecting", "01-31 Won"], ["quote", "prospect", "won"]),
        (["01-05 Won", "01-05 Quote", "01-05 Prospecting"], ["prospect", "quote", "won"]),
    ],
    ids=[
        "as logged",
        "any order of rows",
        "repeats are edits",
        "moves back stay",
        "one day: in the order of the process",
    ],
)
def test_a_log_is_taken_as_it_is(tmp_path: Path, log: list[str], expected: list[str]) -> None:
    rows = "".join(f"A,2025-{e.split()[0]},{e.split()[1]}\n" for e in log)
    book = book_of(tmp_path, DEALS + "A,Won,2025-01-01,2025-01-31,,\n", LOG + rows)
    assert book.table("stage_history")["stage"].tolist() == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (
            [("09:00:00", "Prospecting"), ("09:10:00", "Quote"), ("09:10:30", "Prospecting"), ("10:00:00", "Won")],
            ["prospect", "won"],
        ),
        (
            [("09:00:00", "Prospecting"), ("09:10:00", "Quote"), ("09:12:00", "Prospecting"), ("10:00:00", "Won")],
            ["prospect", "quote", "prospect", "won"],
        ),
        (
            [("09:00:00", "Prospecting"), ("09:00:10", "Won"), ("09:00:20", "Prospecting"), ("09:00:30", "Won")],
            ["prospect", "won"],
        ),
    ],
    ids=["slip within a minute", "two minutes are a move", "slip and again"],
)
def test_only_a_bounce_within_a_minute_is_a_correction(
    tmp_path: Path, times: list[tuple[str, str]], expected: list[str]
) -> None:
    log = LOG + "".join(f"A,2025-01-01 {at},{stage}\n" for at, stage in times)
    book = book_of(tmp_path, DEALS + "A,Won,2025-01-01 09:00:00,2025-01-01 10:00:00,,\n", log)
    assert book.table("stage_history")["stage"].tolist() == expected


def test_a_log_that_lags_behind_is_completed_by_one_inferred_entry(tmp_path: Path) -> None:
    book = book_of(tmp_path, DEALS + "A,Won,2025-01-01,2025-01-31,,\n", LOG + "A,2025-01-01,Prospecting\n")
    assert told(book) == ["01-01 prospect observed", "01-31 won inferred"]


def test_a_deal_without_log_is_told_from_what_it_says_now(tmp_path: Path) -> None:
    deals = DEALS + "A,Won,2025-01-01,2025-01-31,,\nB,Won,2025-02-01,2025-02-28,,\n"
    book = book_of(tmp_path, deals, LOG + "A,2025-01-01,Prospecting\nA,2025-01-31,Won\n")
    assert told(book)[2:] == ["02-01 prospect assumed", "02-28 won observed"]


def test_the_logged_close_counts_before_the_given_one(tmp_path: Path) -> None:
    log = LOG + "A,2025-01-01,Prospecting\nA,2025-01-20,Won\n"
    book = book_of(tmp_path, DEALS + "A,Won,2025-01-01,2025-01-31,,\n", log)
    assert str(book.local_days(book.deals["closed_at"]).iloc[0].date()) == "2025-01-20"


def test_a_close_moved_to_the_end_of_the_month_is_noted(tmp_path: Path) -> None:
    log = LOG + "A,2025-01-01,Prospecting\nA,2025-01-20,Won\nB,2025-01-01,Prospecting\nB,2025-01-31,Won\n"
    deals = DEALS + "A,Won,2025-01-01,2025-01-31,,\nB,Won,2025-01-01,2025-01-31,,\n"
    notes = book_of(tmp_path, deals, log).quality["notes"]
    assert [n["examples"] for n in notes if n["check"] == "closed-on-month-end"] == [["A"]]


def test_a_log_row_that_stands_twice_is_quarantined(tmp_path: Path) -> None:
    log = LOG + "A,2025-01-01,Prospecting\nA,2025-01-01,Prospecting\n"
    row = book_of(tmp_path, DEALS + "A,Prospecting,2025-01-01,,,\n", log).quarantine.iloc[0]
    assert (row["file"], row["line"], row["reason"]) == ("stage_history.csv", 3, "duplicate")


def test_log_rows_of_no_used_deal_are_quarantined(tmp_path: Path) -> None:
    log = LOG + "A,2025-01-01,Prospecting\nZ,2025-01-20,Won\n"
    row = book_of(tmp_path, DEALS + "A,Prospecting,2025-01-01,,,\n", log).quarantine.iloc[0]
    assert (row["file"], row["line"], row["reason"], row["value"]) == ("stage_history.csv", 3, "unknown-deal", "Z")


def test_history_current_ignores_a_log_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(
        'history = "current"\n[deals]\nfrom = "deals.csv"\n[deals.columns]\ndeal_id = "deal_id"\nstage = "stage"\n'
        'created_at = "created_at"\n[stage_history]\nfrom = "stage_history.csv"\n[stage_history.columns]\n'
        'deal_id = "deal_id"\nentered_at = "entered_at"\nstage = "stage"\n'
    )
    book = book_of(tmp_path, DEALS + "A,Quote,2025-01-01,,,\n", LOG + "A,2025-01-01,Prospecting\nA,2025-01-09,Quote\n")
    assert told(book) == ["01-01 quote assumed"]


def test_an_open_deal_that_says_it_is_closed_is_noted(tmp_path: Path) -> None:
    book = book_of(tmp_path, DEALS + "A,Quote,2025-01-01,2025-01-31,,\n")
    assert [n["check"] for n in book.quality["notes"]] == ["open-with-close-date", "stale-expected-close"]


def test_derived_history_does_not_change_its_input() -> None:
    from salescoach.kit import kit_path
    from salescoach.process import read_process
    from salescoach.sources.history import derive_history

    process = read_process(kit_path("templates/process") / "standard.toml")
    deals = pd.DataFrame({"deal_id": ["A"], "stage": ["won"], "pipeline": ["new"]}, dtype="str")
    deals["created_at"] = deals["closed_at"] = pd.Timestamp("2025-01-01", tz="UTC").as_unit("us")
    before = deals.copy()
    derive_history(deals, None, process)
    pd.testing.assert_frame_equal(deals, before)


def test_the_close_date_of_an_open_deal_is_a_plan_and_never_dates_the_data(tmp_path: Path) -> None:
    deals = DEALS + "A,Quote,2025-01-01,2031-01-31,,\nB,Won,2025-01-01,2025-02-03,,\n"
    (tmp_path / "deals.csv").write_text(deals)
    book = load_book(tmp_path / "deals.csv", now=pd.Timestamp("2025-07-01", tz="UTC"))
    assert (len(book.quarantine), str(book.as_of_on.date())) == (0, "2025-02-03")
    deal = book.deals.set_index("deal_id").loc["A"]
    assert (deal["outcome"], str(deal["expected_close_on"].date())) == ("open", "2031-01-31")
    assert pd.isna(deal["closed_at"])


def test_a_mapped_expected_close_wins_over_the_close_date_of_an_open_deal(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(
        "deal_id,stage,created_at,closed_at,expected_close_on\nA,Quote,2025-01-01,2025-09-30,2025-08-15\n"
    )
    book = load_book(tmp_path / "deals.csv", as_of="2025-06-30")
    assert str(book.deals.iloc[0]["expected_close_on"].date()) == "2025-08-15"
