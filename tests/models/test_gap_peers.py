"""What a rep may know of the others: rounded, from enough of them, and enough to explain a gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import stage_flow
from salescoach.models import factors_of, fit_gap, gap_peers, what_if

PERIOD = "2026-01..2026-09"


@pytest.fixture(scope="module")
def table(demo: Book) -> pd.DataFrame:
    return gap_peers(demo, PERIOD)


@pytest.fixture(scope="module")
def slice_(demo: Book, table: pd.DataFrame) -> Book:
    return replace(demo.for_rep("R01"), peers={"gap": table})


def test_figures_are_rounded_and_no_rep_or_count_is_in_them(demo: Book, table: pd.DataFrame) -> None:
    assert list(table) == ["figure", "pipeline", "stage", "kind", "order", "value", "step", "reps", "hidden"]
    texts = set(table.select_dtypes("str").stack())
    assert not texts & (set(demo.people["rep_id"]) | set(demo.people["rep"]))
    shares = table[(table["figure"] == "conversion") & ~table["hidden"]]["value"]
    assert np.allclose(shares / 0.05, np.round(shares / 0.05))
    others = table[(table["figure"] != "conversion") & ~table["hidden"]]["value"]
    assert all(float(f"{value:.2g}") == pytest.approx(value, rel=1e-9) for value in others)
    assert (table.loc[~table["hidden"], "reps"] == 6).all() and (table.loc[table["hidden"], "reps"] == 0).all()
    assert table.loc[table["hidden"], "value"].isna().all()


def test_the_true_figure_is_within_half_a_step(demo: Book, table: pd.DataFrame) -> None:
    whole = stage_flow(demo, period=PERIOD).set_index("stage")["value"]
    rows = table[(table["figure"] == "conversion") & table["kind"].isna()].set_index("stage")
    assert (rows["value"] - whole).abs().max() <= 0.025 + 0.005  # nobody's deals are not among the reps'


def test_few_reps_or_one_who_holds_most_hide_the_figures(demo: Book) -> None:
    small = demo.for_team(demo.teams[0])
    few = small.people["rep_id"].iloc[:5]
    tables = {n: t[t["rep_id"].isin(few)] if n in ("deals", "reps") else t for n, t in small.tables.items()}
    log = tables["stage_history"]
    tables["stage_history"] = log[log["deal_id"].isin(tables["deals"]["deal_id"])]
    tables.pop("splits", None)
    hidden = gap_peers(replace(small, tables=tables), PERIOD)
    assert len(hidden) and hidden["hidden"].all()
    alone = replace(demo.for_rep("R01"), peers={"gap": hidden})
    with pytest.raises(Unavailable, match="fewer than 5 other reps"):
        fit_gap(alone, "rep", PERIOD)
    assert len(fit_gap(alone, "rep", PERIOD, "last").table)  # one's own past needs no others
    with pytest.raises(Unavailable, match="nobody else in the data"):
        fit_gap(demo.for_rep("R01"), "rep", PERIOD)


def test_where_nothing_can_be_explained_the_table_is_empty(demo: Book) -> None:
    deals = demo.tables["deals"].drop(columns=["amount", "amount_minor"])
    assert gap_peers(replace(demo, tables={**demo.tables, "deals": deals}), PERIOD).empty


@pytest.mark.parametrize("against", ["peers", "last", "target"])
def test_a_slice_explains_its_gap_and_the_parts_add_up(slice_: Book, against: str) -> None:
    fit = fit_gap(slice_, "rep", PERIOD, against)  # type: ignore[arg-type]
    assert set(fit.table["rep_id"]) == {"R01"}
    gap = fit.totals["gap"].item()
    assert fit.table["value"].sum() == pytest.approx(gap, abs=1e-9 * fit.table["value"].abs().sum())


def test_a_slice_says_about_the_same_as_the_whole_book(demo: Book, slice_: Book) -> None:
    """What rounding takes away widens the ranges: they still overlap with the exact ones."""
    exact = fit_gap(demo, "rep", PERIOD).table
    exact = exact[exact["rep_id"] == "R01"].set_index(["part", "stage"])
    own = fit_gap(slice_, "rep", PERIOD).table.set_index(["part", "stage"])
    assert list(own.index) == list(exact.index)
    ranged = exact["low"].notna()
    overlap = (own["low"] <= exact["high"]) & (exact["low"] <= own["high"])
    assert overlap[ranged].all()
    stages = own.index.get_level_values("part") == "conversion"
    assert (own.loc[stages, "own"] - exact.loc[stages, "own"]).abs().max() < 0.05


def test_a_slice_can_ask_what_if(slice_: Book) -> None:
    [factors] = factors_of(slice_, "rep", PERIOD).values()
    assert np.allclose(factors.usual / 0.05, np.round(factors.usual / 0.05))
    answer = what_if(factors, "quote", "usual")
    assert (answer.value > 0) == bool(factors.usual[2] > factors.rates[2])
