"""Why the CRM's figure is another: deal by deal, and definition by definition."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.metrics import counted_rows, differing_deals, measure, reconciling_definitions

Build = Callable[..., Book]


def deal(deal_id: str, outcome: str, closed: str | None = "2026-05-10", **more: Any) -> dict[str, Any]:
    given = {"deal_id": deal_id, "rep_id": "R1", "outcome": outcome, "created_at": "2026-01-01", "closed_at": closed}
    return {**given, "amount": 10.0, **more}


@pytest.fixture
def book(book_of: Build) -> Book:
    # second quarter: 2 won, 2 lost = 50 %
    deals = [deal("w1", "won"), deal("w2", "won", amount=70.0), deal("l1", "lost"), deal("l2", "lost", amount=20.0)]
    deals += [deal("v", "void"), deal("o", "open", None, created_at="2026-05-01")]
    deals += [deal("late", "won", "2026-07-02", created_at="2026-05-03", expected_close_on="2026-06-20")]
    deals += [deal("planned", "won", "2026-07-02", expected_close_on="2026-06-20"), deal("nodate", "won", None)]
    deals += [deal("foreign", "lost", rep_id="R2"), deal("test", "lost", name="Test deal, do not use")]
    made = book_of(deals, as_of="2026-07-31")
    raw = json.dumps({"Record ID": "bad", "Amount": "ten"})
    out = pd.DataFrame(
        [{"table": "deals", "file": "deals.csv", "line": 9, "reason": "bad-number", "value": "ten", "raw": raw}]
    )
    return replace(made, quarantine=out)


def theirs(*ids: str, **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"deal_id": list(ids), **columns})


def why(found: pd.DataFrame) -> dict[str, str]:
    return dict(zip(found["deal_id"], found["why"], strict=True))


def test_each_deal_that_only_they_count_has_its_reason(book: Book) -> None:
    listed = theirs("w1", "w2", "l1", "l2", "v", "o", "late", "planned", "nodate", "foreign", "bad", "nobody", "test")
    found = differing_deals(book, "win_rate", listed, "2026Q2", within=book.for_rep("R1"))
    assert set(found["where"]) == {"only theirs"}
    assert why(found) == {
        "v": "void here",
        "o": "still open here",
        "late": "decided outside the period, but created in it",
        "planned": "decided outside the period, but its expected close lies in it",
        "nodate": "decided here, but without a close date",
        "foreign": "of another rep or team here",
        "bad": "its row was set aside",
        "nobody": "the data have no such deal",
    }
    assert found.set_index("deal_id").loc["bad", "ours"] == "bad-number"


def test_each_deal_that_only_we_count_has_its_reason(book_of: Build) -> None:
    deals = [deal("edge", "won", "2026-06-30"), deal("test", "lost", name="测试商机"), deal("other", "lost")]
    deals += [deal("moved", "won", expected_close_on="2026-08-01"), deal("same", "lost")]
    found = differing_deals(book_of(deals, as_of="2026-07-31"), "win_rate", theirs("same"), "2026Q2")
    assert set(found["where"]) == {"only ours"}
    assert why(found) == {
        "edge": "decided within a day of the period's ends: a report in another time zone has it elsewhere",
        "test": "looks like a test deal",
        "moved": "its expected close lies outside the period",
        "other": "their report leaves it out",
    }


def test_deals_in_both_lists_are_compared_column_by_column(book: Book) -> None:
    listed = theirs(
        "w1", "w2", "l1", "l2", "foreign", "test",
        outcome=["won", "lost", "lost", "lost", "lost", "lost"],
        amount=[10.0, 70.0, 12.5, 20.004, 10.0, 10.0],
        closed_on=pd.to_datetime(["2026-05-10"] * 3 + ["2026-05-11"] + ["2026-05-10"] * 2),
        rep_id=["R1"] * 6,
    )  # fmt: skip
    found = differing_deals(book, "win_rate", listed, "2026Q2")
    assert sorted(found[["deal_id", "why", "ours", "theirs"]].itertuples(index=False, name=None)) == [
        ("foreign", "other owner", "R2", "R1"),
        ("l1", "other amount", "10.0", "12.5"),
        ("l2", "other close date", "2026-05-10", "2026-05-11"),
        ("w2", "other outcome", "won", "lost"),
    ]


def test_the_differences_turn_our_list_into_theirs(generated: Build) -> None:
    """Ours, without what is only ours and with what is only theirs, is their list: nothing is left unexplained."""
    book = generated(5)
    ours = set(counted_rows(book, "win_rate", "2025Q3")["deal_id"])
    given = set(sorted(ours)[2:]) | set(book.deals["deal_id"].head(9)) | {"X1"}
    found = differing_deals(book, "win_rate", theirs(*sorted(given)), "2025Q3")
    only_ours = set(found.loc[found["where"] == "only ours", "deal_id"])
    only_theirs = set(found.loc[found["where"] == "only theirs", "deal_id"])
    assert (ours - only_ours) | only_theirs == given and only_ours and only_theirs


def test_the_same_list_has_no_difference(book: Book) -> None:
    same = counted_rows(book, "win_rate", "2026Q2")
    listed = theirs(*same["deal_id"], outcome=list(same["outcome"]), amount=list(same["amount"]))
    assert differing_deals(book, "win_rate", listed, "2026Q2").empty


def test_a_metric_that_counts_no_deals_cannot_be_compared_with_a_list(generated: Build) -> None:
    with pytest.raises(UsageError, match="does not count deals"):
        differing_deals(generated(1), "response_time", theirs("a"))


# --- definitions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "definition"),
    [
        (2 / 6, "win_rate"),  # won and lost in the quarter, the one of R2 and the test deal too
        (80 / 130, "win_rate · value_by_amount"),
        (1 / 2, "win_rate, base=created"),  # of the two created in it: one is open, one is won
        (2 / 7, "won / (won + lost + void) · by the day of the decision"),
        (2 / 5, "won / (won + lost) · by the day of the decision · without test deals"),
        (2.0, "win_rate · won"),
    ],
)
def test_a_definition_that_gives_their_figure_stands_first(book: Book, figure: float, definition: str) -> None:
    found = reconciling_definitions(book, "win_rate", figure, "2026Q2")
    assert found["matches"].iloc[0]
    assert definition in found.loc[found["matches"], "definition"].tolist()


def test_every_definition_that_is_ours_can_be_asked_for(book: Book) -> None:
    found = reconciling_definitions(book, "win_rate", 0.5, "2026Q2")
    row = found[found["definition"] == "win_rate, base=created"].iloc[0]
    assert row["command"] == "--option base=created"
    answer = measure(book, "win_rate", "", "2026Q2", base="created").table
    assert answer is not None and answer["value"].iloc[0] == row["value"] == 0.5


def test_what_rounds_to_their_figure_matches(book: Book) -> None:
    # ours is 33.3 %: 33 % and 33.3 % match, 33.4 % does not
    for written, digits, matches in ((0.33, 2, True), (0.333, 3, True), (0.334, 3, False), (0.33, None, False)):
        found = reconciling_definitions(book, "win_rate", written, "2026Q2", digits)
        assert bool(found.loc[found["definition"] == "win_rate", "matches"].iloc[0]) is matches


def test_the_nearest_stands_first_where_nothing_fits(book: Book) -> None:
    found = reconciling_definitions(book, "win_rate", 0.123456, "2026Q2")
    assert not found["matches"].any()
    assert found["distance"].abs().is_monotonic_increasing


def test_stages_are_named_in_their_definitions(demo: Book) -> None:
    table = measure(demo, "stage_flow", "").table
    assert table is not None
    quote = table.set_index("stage").loc["quote"]
    found = reconciling_definitions(demo, "stage_flow", float(quote["value"]))
    assert found["definition"].iloc[0] == "stage_flow, new, quote"


def test_the_rates_are_those_of_a_plain_count(generated: Build) -> None:
    book = generated(8)
    found = reconciling_definitions(book, "win_rate", 0.0).set_index("definition")["value"]
    outcomes = [d["outcome"] for d in book.deals.to_dict("records")]
    won = outcomes.count("won")
    assert found["won / (won + lost + void) · by the day of creation"] == pytest.approx(
        won / sum(o in ("won", "lost", "void") for o in outcomes)
    )
    assert found["won / all deals, void and open ones too · by the day of creation"] == pytest.approx(
        won / len(outcomes)
    )


def test_an_unavailable_metric_has_no_definitions(book: Book) -> None:
    with pytest.raises(UsageError, match="nothing of it can be compared"):
        reconciling_definitions(book, "lead_conversion", 0.4)
