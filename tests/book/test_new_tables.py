"""Quotes, revenue, shares, rates and leave: read from files, checked, cut for a rep, replayed to a past day."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book, open_book, open_slice, save_book
from salescoach.sources import load_book

REPS = ["R1", "R2", "R3", "R4"]
FILES = {
    "deals.csv": """deal_id,rep_id,stage,created_at,closed_at,amount,account_id
D1,R1,Won,2026-01-01,2026-02-10,100.00,A1
D2,R1,Quote,2026-01-05,,250.00,A1
D3,R2,Won,2026-01-10,2026-03-01,300.00,A2
D4,R3,Lost,2026-01-10,2026-03-05,70.00,A3
""",
    "reps.csv": """rep_id,name,team,start_on,ramp_days
R1,Ann Reed,North,2026-01-01,90
R2,Bob Stone,North,2020-01-01,
R3,李娜,South,2020-01-01,
R4,Sam Hill,South,2020-01-01,
""",
    "quotes.csv": """quote_id,deal_id,at,rep_id,amount,status
Q1,D1,2026-01-20,R2,100.00,accepted
Q2,D2,2026-03-10,R1,250.00,sent to Bob Stone
Q3,D3,2026-02-10,R2,300.00,accepted
Q4,D9,2026-02-10,R2,300.00,accepted
Q5,D3,2026-02-30,R2,300.00,accepted
""",
    "revenue.csv": """revenue_id,account_id,booked_on,amount,margin,deal_id
I1,A1,2026-02-15,100.00,20.00,D1
I2,A1,2026-03-15,50.00,,D3
I3,A2,2026-03-20,-30.00,,D3
I4,A7,2026-03-20,10.00,,
""",
    "splits.csv": """deal_id,rep_id,share,split_type
D1,R1,60%,revenue
D1,Bob Stone,40%,revenue
D3,R2,0.5,
D3,R1,0.5,
D3,R4,0.2,overlay
""",
    "rates.csv": """currency,start_on,rate,base_currency
EUR,2026-01-01,7.8,CNY
EUR,2026-02-01,8,CNY
USD,2026-02-01,7,CNY
USD,2026-02-01,7.1,CNY
""",
    "leave.csv": """rep_id,start_on,end_on,reason
R1,2026-02-01,2026-02-10,parental leave
R3,2026-01-01,2026-01-05,illness
""",
}
NAMES = {"R1": "Ann Reed", "R2": "Bob Stone", "R3": "李娜", "R4": "Sam Hill"}
NEW = ("quotes", "revenue", "splits", "rates", "leave")


@pytest.fixture
def book(tmp_path: Path) -> Book:
    folder = tmp_path / "export"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_book(folder, as_of="2026-03-31")


def test_each_table_is_recognised_by_its_headers(book: Book) -> None:
    assert {n: len(book.table(n)) for n in NEW} == {"quotes": 4, "revenue": 4, "splits": 5, "rates": 2, "leave": 2}
    assert book.quality["files_ignored"] == []
    assert book.table("revenue")["margin_minor"].tolist()[:1] == [2000]
    assert book.table("reps")["ramp_days"].dropna().tolist() == [90.0]
    assert sorted(book.table("splits")["share"]) == [0.2, 0.4, 0.5, 0.5, 0.6]


def test_bad_rows_are_set_aside_with_their_line(book: Book) -> None:
    rows = book.quarantine[["table", "line", "column", "reason"]]
    assert sorted(rows.itertuples(index=False, name=None)) == [
        ("quotes", 6, "at", "bad-date"),
        ("rates", 4, "currency", "conflicting-id"),
        ("rates", 5, "currency", "conflicting-id"),
    ]


def test_keys_that_match_nothing_are_reported_and_nothing_is_dropped(book: Book) -> None:
    notes = {(n["table"], n["column"]): n["examples"] for n in book.quality["notes"] if n["check"] == "unmatched-key"}
    assert notes == {("quotes", "deal_id"): ["D9"]}  # there is no table of accounts to look up A7 in


def test_a_share_written_with_a_name_is_that_of_the_person(book: Book) -> None:
    assert set(book.table("splits")["rep_id"]) == {"R1", "R2", "R4"}


# --- slices ---------------------------------------------------------------------------------------


def words_of(book: Book) -> str:
    frames = [*book.tables.values(), book.quarantine, book.people]
    return " ".join([*(f.to_csv() for f in frames), str(book.quality), str(book.origin), repr(book)])


@pytest.mark.parametrize("rep", REPS)
def test_a_slice_names_no_colleague(book: Book, rep: str) -> None:
    words = words_of(book.for_rep(rep))
    others = {w for r, n in NAMES.items() if r != rep for w in (r, n)}
    assert {w for w in others if re.search(rf"(?<!\w){w}(?!\w)", words)} == set()


@pytest.mark.parametrize("rep", REPS)
def test_the_files_of_a_saved_slice_name_no_colleague(book: Book, tmp_path: Path, rep: str) -> None:
    folder = save_book(book.for_rep(rep), tmp_path / "slice")
    content = b" ".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())
    assert {n for r, n in NAMES.items() if r != rep and n.encode() in content} == set()


@pytest.mark.parametrize("rep", REPS)
def test_a_slice_read_from_disk_is_the_same(book: Book, tmp_path: Path, rep: str) -> None:
    assert open_slice(save_book(book, tmp_path / "book"), rep).content_hash == book.for_rep(rep).content_hash


def test_a_saved_book_with_all_tables_is_the_same(book: Book, tmp_path: Path) -> None:
    again = open_book(save_book(book, tmp_path / "book"))
    for name in NEW:
        pd.testing.assert_frame_equal(again.table(name), book.table(name))


def test_what_a_slice_holds(book: Book) -> None:
    own = book.for_rep("R1")
    assert own.table("quotes")[["quote_id", "rep_id", "status"]].to_numpy().tolist() == [
        ["Q1", "(other)", "accepted"],
        ["Q2", "R1", "sent to (other)"],
    ]
    revenue = own.table("revenue")  # of the account, but a colleague's deal is not named
    assert revenue["revenue_id"].tolist() == ["I1", "I2"] and revenue["deal_id"].fillna("").tolist() == ["D1", ""]
    splits = own.table("splits")
    assert splits[["deal_id", "rep_id", "share"]].to_numpy().tolist() == [
        ["D1", "(other)", 0.4],
        ["D1", "R1", 0.6],
        ["D3", "R1", 0.5],
    ]
    assert len(own.table("leave")) == 1 and len(own.table("rates")) == 2


def test_of_a_colleagues_deal_only_the_own_share_is_there(book: Book) -> None:
    own = book.for_rep("R4")
    assert own.deals.empty and "D3" not in words_of(book.for_rep("R3"))
    row = own.table("splits").iloc[0]
    assert (row["deal_id"], row["deal_outcome"], row["credit_minor"]) == ("D3", "won", 6_000)


def test_a_slice_of_a_slice_is_the_slice(book: Book) -> None:
    within = book.for_team("North").for_rep("R1")
    pd.testing.assert_frame_equal(within.table("splits"), book.for_rep("R1").table("splits"), check_like=True)


@pytest.mark.parametrize("together", [REPS, REPS[:2], REPS[2:], [REPS[0], REPS[3]]])
def test_a_slice_cut_out_of_that_of_several_people_is_the_slice(book: Book, together: list[str]) -> None:
    """Ids and names of all who are outside of it are hidden as well."""
    several = book.for_reps(set(together))
    for rep in together:
        cut, whole = several.for_rep(rep), book.for_rep(rep)
        assert cut.content_hash == whole.content_hash and words_of(cut) == words_of(whole)
        pd.testing.assert_frame_equal(cut.quarantine, whole.quarantine)


def test_a_team_holds_the_shares_of_its_people(book: Book) -> None:
    north = book.for_team("North").table("splits")
    assert north[["deal_id", "rep_id"]].to_numpy().tolist() == [
        ["D1", "R1"],
        ["D1", "R2"],
        ["D3", "(other)"],
        ["D3", "R1"],
        ["D3", "R2"],
    ]


# --- a past day -----------------------------------------------------------------------------------


def test_what_came_later_was_not_there(book: Book) -> None:
    then = book.at("2026-02-20")
    assert then.table("quotes")["quote_id"].tolist() == ["Q1", "Q3"]
    assert then.table("revenue")["revenue_id"].tolist() == ["I1"]
    assert len(then.table("splits")) == 5 and len(then.table("rates")) == 2 and len(then.table("leave")) == 2


def test_on_the_day_itself_it_was(book: Book) -> None:
    assert book.at("2026-03-10").table("quotes")["quote_id"].tolist() == ["Q1", "Q2", "Q3"]
    assert book.at("2026-03-15").table("revenue")["revenue_id"].tolist() == ["I1", "I2"]


def test_shares_of_deals_that_were_not_there_are_not(book: Book) -> None:
    assert set(book.at("2026-01-05").table("splits")["deal_id"]) == {"D1"}
    own = book.for_rep("R1")  # D3 closed on 1 March: before, a share of it says nothing
    assert own.at("2026-02-28").table("splits")["deal_id"].tolist() == ["D1", "D1"]
    assert own.at("2026-03-01").table("splits")["deal_id"].tolist() == ["D1", "D1", "D3"]


# --- everyday headers -----------------------------------------------------------------------------

ENGLISH = {
    "deals.csv": "Deal ID,Owner,Stage,Created,Closed,Amount\nD1,Ann,Won,2026-01-01,2026-02-10,100\n",
    "quotes.csv": "Quote ID,Deal ID,Quote Date,Quote Amount\nQ1,D1,2026-01-20,100\n",
    "splits.csv": "Deal ID,Sales Rep,Split %\nD1,Ann,50%\nD1,Bob,50%\n",
    "invoices.csv": "Invoice No.,Customer,Invoice Date,Amount\nI1,Acme,2026-02-20,100\n",
}
CHINESE = {
    "deals.csv": "商机编号,负责人,商机阶段,创建日期,成交日期,商机金额\nD1,王芳,赢单,2026-01-01,2026-02-10,100\n",
    "quotes.csv": "报价单号,商机编号,报价日期,报价金额\nQ1,D1,2026-01-20,100\n",
    "splits.csv": "商机编号,业务员,分成比例,分成类型\nD1,王芳,50%,\nD1,李娜,50%,\nD1,张伟,10%,叠加\n",
    "revenue.csv": "发票号,客户名称,开票日期,开票金额\nI1,华信,2026-02-20,100\n",
}


@pytest.mark.parametrize(("files", "preset", "shares"), [(ENGLISH, "generic_en", 2), (CHINESE, "generic_zh", 3)])
def test_everyday_headers_are_understood(files: dict[str, str], preset: str, shares: int, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    book = load_book(tmp_path)
    assert book.origin["source"] == preset and book.quality["files_ignored"] == []
    assert (len(book.table("quotes")), len(book.table("splits")), len(book.table("revenue"))) == (1, shares, 1)
    assert book.table("revenue")["amount_minor"].tolist() == [10_000]
