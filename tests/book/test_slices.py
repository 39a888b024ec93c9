"""A rep's slice shows no colleague; the slices of all reps are the whole."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book, open_book, save_book
from salescoach.kit import kit_path
from salescoach.sources import load_book

REPS = ["R1", "R2", "R3", "R4", "R5"]
NAMES = {"R1": "Ann Reed", "R2": "Bob Stone", "R3": "李娜", "R4": "Sam Hill", "R5": "Sam Hill"}


def words_of(book: Book) -> str:
    """Everything a slice could print: tables, quarantine, people, provenance."""
    frames = [*book.tables.values(), book.quarantine, book.people]
    return " ".join([*(f.to_csv() for f in frames), str(book.quality), str(book.origin), repr(book)])


def strangers(rep: str) -> set[str]:
    return {w for r, n in NAMES.items() if r != rep for w in (r, n)} - {NAMES[rep]}


@pytest.mark.parametrize("rep", REPS)
def test_a_slice_names_no_colleague(book: Book, rep: str) -> None:
    words = words_of(book.for_rep(rep))
    assert {w for w in strangers(rep) if re.search(rf"(?<!\w){w}(?!\w)", words)} == set()


@pytest.mark.parametrize("rep", REPS)
def test_the_bytes_of_a_saved_slice_name_no_colleague(book: Book, tmp_path: Path, rep: str) -> None:
    folder = save_book(book.for_rep(rep), tmp_path / "slice")
    content = b" ".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())
    named = {w for w in strangers(rep) if w in NAMES.values() and w.encode() in content}
    assert named == set()


def test_a_longer_word_that_holds_an_id_is_left_alone(book: Book) -> None:
    assert book.for_rep("R4").deals["name"].tolist() == ["Epsilon for R12 and (other)"]


def test_a_colleague_in_a_text_reads_other(book: Book) -> None:
    assert book.for_rep("R1").deals["name"].tolist() == ["Alpha", "Beta with (other)"]


def test_a_former_owner_reads_other(book: Book) -> None:
    assert book.for_rep("R1").table("stage_history")["rep_id"].tolist()[:2] == ["(other)", "R1"]


def test_a_former_owner_in_a_change_reads_other(book: Book) -> None:
    changes = book.for_rep("R1").table("changes")
    assert changes.loc[changes["field"] == "rep_id", ["old", "new"]].values.tolist() == [["(other)", "R1"]]


def test_the_own_manager_stays(book: Book) -> None:
    assert book.for_rep("R1").table("reps")["manager"].tolist() == ["Gil Moor"]


def test_a_slice_keeps_only_the_own_quarantined_rows(book: Book) -> None:
    own = book.for_rep("R1").quarantine
    assert (own["rep_id"].tolist(), "Bob Stone" in own["raw"].iloc[0]) == (["R1"], False)


def test_a_slice_of_a_rep_without_deals_is_empty_and_not_an_error(book: Book) -> None:
    assert {n: len(f) for n, f in book.for_rep("R5").tables.items() if len(f)} == {"reps": 1}


def test_slicing_does_not_change_the_book(book: Book) -> None:
    before = words_of(book)
    book.for_rep("R1")
    assert words_of(book) == before


def test_the_slices_of_all_reps_hold_every_deal_once(book: Book) -> None:
    parts = pd.concat([book.for_rep(r).deals for r in REPS])
    columns = ["deal_id", "stage", "amount_minor", "closed_at"]
    pd.testing.assert_frame_equal(
        parts.sort_values("deal_id")[columns].reset_index(drop=True),
        book.deals.sort_values("deal_id")[columns].reset_index(drop=True),
    )


def test_a_team_holds_the_deals_and_targets_of_its_people(book: Book) -> None:
    north = book.for_team("North")
    # R1 has D1 and D2, R2 has D3; one target of R1, one of the team
    assert (sorted(north.deals["deal_id"]), north.table("targets")["value"].tolist()) == (
        ["D1", "D2", "D3"],
        [1000.0, 5000.0],
    )


def test_a_slice_is_stored_and_opened_like_a_book(book: Book, tmp_path: Path) -> None:
    own = book.for_rep("R1")
    assert open_book(save_book(own, tmp_path / "slice")).content_hash == own.content_hash


def test_no_slice_of_the_demo_names_a_colleague() -> None:
    demo = load_book(kit_path("data/demo"))
    people = demo.people
    for rep in ("R01", "R13", "R24"):
        words = words_of(demo.for_rep(rep))
        others = people[people["rep_id"] != rep]
        shown = set(people[people["rep_id"] == rep][["rep", "manager"]].iloc[0])
        assert {w for w in [*others["rep_id"], *others["rep"]] if w in words} - shown == set()


def test_the_slices_of_the_demo_add_up_to_the_whole() -> None:
    demo = load_book(kit_path("data/demo"))
    parts = pd.concat([demo.for_rep(r).deals for r in demo.people["rep_id"]])
    without = demo.deals[demo.deals["rep_id"].isna()]
    both = len(parts) + len(without), parts["amount_minor"].sum() + without["amount_minor"].sum()
    assert both == (len(demo.deals), demo.deals["amount_minor"].sum())
