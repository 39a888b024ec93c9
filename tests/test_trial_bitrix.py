"""Twelve trial deals in which every row is a trap: each documented defect of our tables is found and said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import StageError
from salescoach.metrics import measure, win_rate
from salescoach.metrics.visits import passages
from salescoach.sources import load_book

SOURCE = """
currency = "RUB"
as_of = 2026-06-24
tolerate = { quarantined = 0.5, unknown_stage = 0.5 }
[stages]
NEW = "prospect"
QUALIFICATION = "qualified"
CALCULATION = "quote"
PROPOSAL = "quote"
CONTRACT = "contract"
PRODUCTION = "contract"
SHIPPED = "contract"
[deals]
from = "deals.csv"
[deals.columns]
deal_id = "deal_id"
name = "title"
created_at = "created_at"
updated_at = "updated_at"
stage = "stage_id"
rep_id = "manager_id"
account_id = "company_id"
lead_source = "source"
amount = "expected_amount"
currency = "currency"
closed_at = "closed_at"
lost_reason = "lost_reason"
expected_close_on = "custom_deadline"
[deals.format]
timezone = "Asia/Yekaterinburg"
[deals.format.created_at]
date = ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %H:%M"]
[deals.values.lead_source]
"avito" = "avito"
"Авито" = "avito"
"website" = "website"
[stage_history]
from = "stage_history.csv"
[stage_history.columns]
deal_id = "deal_id"
from_stage = "old_stage_id"
stage = "new_stage_id"
entered_at = "changed_at"
[activities]
from = "activities.csv"
[activities.columns]
activity_id = "activity_id"
deal_id = "deal_id"
activity_type = "activity_type"
direction = "direction"
rep_id = "responsible_user_id"
at = "deadline_at"
done = "completed"
[reps]
from = "users.csv"
[reps.columns]
rep_id = "user_id"
name = "name"
[accounts]
from = "companies.csv"
[accounts.columns]
account_id = "company_id"
name = "name"
[products]
from = "products.csv"
[products.columns]
product = "sku"
family = "category"
"""


def loaded(trial, folder: Path, text: str) -> Book:  # type: ignore[no-untyped-def]
    (folder / "source.toml").write_text(text, encoding="utf-8")
    for file in trial("bitrix_tiny").glob("*.csv"):
        (folder / file.name).symlink_to(file)
    return load_book(folder)


@pytest.fixture(scope="module")
def book(trial, tmp_path_factory) -> Book:  # type: ignore[no-untyped-def]
    return loaded(trial, tmp_path_factory.mktemp("bitrix"), SOURCE)


@pytest.fixture(scope="module")
def deals(book: Book) -> pd.DataFrame:
    return book.deals.set_index("deal_id")


def quarantined(book: Book, table: str) -> list[tuple[int, str, str]]:
    rows = book.quarantine[book.quarantine["table"] == table]
    return list(rows[["line", "value", "reason"]].itertuples(index=False, name=None))


def noted(book: Book, check: str) -> list[tuple[str, str, int, list[str]]]:
    return [(n["table"], n["column"], n["count"], n["examples"]) for n in book.quality["notes"] if n["check"] == check]


def test_of_one_deal_written_twice_the_later_version_is_used(book: Book, deals: pd.DataFrame) -> None:
    assert (9, "D1008", "superseded") in quarantined(book, "deals")
    assert deals.loc["D1008", ["amount", "name"]].tolist() == [69_000.0, "Дубль сделки измененный"]


def test_an_event_logged_twice_counts_once_and_one_of_an_unknown_deal_not_at_all(book: Book) -> None:
    assert quarantined(book, "stage_history") == [(6, "D1003", "duplicate"), (7, "D1012", "unknown-deal")]


def test_an_article_number_given_twice_is_not_guessed(book: Book) -> None:
    assert quarantined(book, "products") == [(2, "PNL-100", "conflicting-id"), (7, "PNL-100", "conflicting-id")]


def test_a_call_to_an_unknown_deal_is_reported_and_kept(book: Book) -> None:
    assert noted(book, "unmatched-key") == [("activities", "deal_id", 1, ["D9999"])]
    assert len(book.table("activities")) == 4


def test_an_unknown_stage_is_set_aside_with_its_line_or_refused(  # type: ignore[no-untyped-def]
    book: Book, trial, tmp_path: Path
) -> None:
    assert (13, "WAIT_CLIENT", "unknown-stage") in quarantined(book, "deals")
    with pytest.raises(StageError, match="'WAIT_CLIENT' in 1 row"):
        loaded(trial, tmp_path, SOURCE.replace(", unknown_stage = 0.5", ""))


def test_a_deal_without_a_rep_stands_under_nobody_once_its_stage_is_mapped(  # type: ignore[no-untyped-def]
    trial, tmp_path: Path
) -> None:
    mapped = loaded(trial, tmp_path, SOURCE.replace("[stages]", '[stages]\nWAIT_CLIENT = "quote"'))
    table = measure(mapped, "pipeline", "rep").table
    assert table is not None
    assert table.loc[table["rep_id"] == "(unassigned)", "value"].sum() == 54_000.0
    assert noted(mapped, "no-rep") == [("deals", "rep_id", 1, ["D1011"])]


def test_spellings_of_a_source_are_one_source(deals: pd.DataFrame) -> None:
    assert deals["lead_source"].value_counts().to_dict() == {
        "avito": 4, "website": 2, "yandex_direct": 2, "phone": 1, "referral": 1
    }  # fmt: skip


def test_a_second_spelling_of_dates_in_one_column_is_read(  # type: ignore[no-untyped-def]
    deals: pd.DataFrame, trial, tmp_path: Path
) -> None:
    meant = pd.Timestamp("2026-06-14 09:20", tz="Asia/Yekaterinburg")
    assert deals.loc["D1010", "created_at"] == meant
    # 14.06. can only be read in one way, so it need not be declared either.
    silent = SOURCE.replace('[deals.format.created_at]\ndate = ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %H:%M"]\n', "")
    undeclared = loaded(trial, tmp_path, silent).deals.set_index("deal_id")
    assert undeclared.loc["D1010", "created_at"] == meant


def test_a_negative_amount_is_reported(book: Book) -> None:
    assert noted(book, "negative-amount") == [("deals", "amount", 1, ["D1007"])]


def test_a_blank_currency_is_that_of_the_book(book: Book, deals: pd.DataFrame) -> None:
    assert pd.isna(deals.loc["D1010", "currency"]) and book.currency == "RUB"
    table = measure(book, "pipeline", ()).table
    # 150,000 + 84,000 + 92,000 + 35,000 - 12,000 + 69,000 + 174,000: one currency, so one sum
    assert table is not None and "currency" not in table and table["value"].sum() == 592_000.0


def test_a_deal_without_a_company_stays(deals: pd.DataFrame) -> None:
    assert pd.isna(deals.loc["D1006", "account_id"])


def test_a_won_deal_without_a_date_is_counted_and_undated(book: Book) -> None:
    assert noted(book, "decided-without-close-date") == [("deals", "closed_at", 1, ["D1009"])]
    table = win_rate(book, "month").set_index("month")
    assert table["won"].to_dict() == {"2026-06": 1, "(undated)": 1}
    assert win_rate(book, "", "2026-06")["won"].tolist() == [1]


def test_a_deal_that_skips_stages_has_no_time_in_them(book: Book) -> None:
    rows = passages(book)
    rows = rows[rows["deal"] == book.deals.index[book.deals["deal_id"] == "D1001"][0]].set_index("stage")
    assert rows["skipped"].to_dict() == {"prospect": False, "qualified": False, "quote": True, "contract": False}


def test_deals_past_their_date_are_reported(book: Book) -> None:
    assert noted(book, "stale-expected-close") == [
        ("deals", "expected_close_on", 4, ["D1001", "D1002", "D1005", "D1008"])
    ]


def test_every_record_of_the_deals_is_used_or_set_aside(book: Book) -> None:
    rows = book.quality["rows"]["deals"]
    assert (rows["read"], rows["used"], rows["quarantined"]) == (12, 10, 2)
