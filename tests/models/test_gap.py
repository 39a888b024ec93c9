"""Gaps in won amounts: worked by hand, against plain recomputation, and what must hold of any book."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.kit import kit_path
from salescoach.metrics import pipeline_created, quota_attainment, sales, stage_flow
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.registry import as_period
from salescoach.models import fit_gap, shapley
from salescoach.models.gap import parts_of
from salescoach.models.gap_factors import lines_of
from salescoach.models.gap_lines import usual_of
from salescoach.models.gap_parts import gap_counts, stages_known
from salescoach.models.gap_values import relative, shrink_values
from salescoach.process import read_process

Build = Callable[..., Book]
SEEDS = range(3)


def decided(deal: str, outcome: str, closed: str, amount: float, rep: str = "R1", **more: Any) -> dict[str, Any]:
    return {
        "deal_id": deal,
        "outcome": outcome,
        "stage": outcome,
        "created_at": "2026-01-02",
        "closed_at": closed,
        "amount": amount,
        "rep_id": rep,
        **more,
    }


def two_quarters(**more: Any) -> list[dict[str, Any]]:
    """First quarter: 2 of 4 won at 100 each. Second: 3 of 5 won at 120 each."""
    first = [decided(f"A{i}", "won" if i < 2 else "lost", "2026-02-01", 100.0, **more) for i in range(4)]
    return first + [decided(f"B{i}", "won" if i < 3 else "lost", "2026-05-01", 120.0, **more) for i in range(5)]


def part(fit: Any, name: str) -> pd.Series:
    [row] = fit.table[fit.table["part"] == name].to_dict("records")
    return pd.Series(row)


def test_two_quarters_worked_by_hand(book_of: Build) -> None:
    """200 became 360: 4 deals x .5 x 100 became 5 x .6 x 120.

    Parts by the mean over all orders; of the deals (5 - 4) x [(.5 x 100 + .6 x 120) / 3 + (.5 x 120 + .6 x 100) / 6].
    """
    fit = fit_gap(book_of(two_quarters()), "", "2026Q2", against="last")
    assert (fit.totals[["n", "actual", "reference", "gap"]].to_numpy() == [3, 360, 200, 160]).all()
    deals = (50 + 72) / 3 + (60 + 60) / 6
    rate = 0.1 * ((400 + 600) / 3 + (480 + 500) / 6)
    size = 20 * ((2 + 3) / 3 + (2.4 + 2.5) / 6)
    assert deals + rate + size == pytest.approx(160)
    for name, value in (("volume", deals), ("conversion", rate), ("size", size)):
        assert part(fit, name)["value"] == pytest.approx(value, rel=1e-9), name
    assert list(fit.table["part"]) == ["volume", "conversion", "size"]  # nothing is timing or chance here
    assert part(fit, "conversion")[["own", "usual"]].tolist() == pytest.approx([0.6, 0.5])


def test_list_prices_tell_products_from_prices(book_of: Build) -> None:
    """Second quarter: deals of list price 150 sold for 120; in the first, 100 at list. Products up, prices down."""
    deals = [{**d, "list_price": 150.0 if d["amount"] == 120 else 100.0} for d in two_quarters()]
    fit = fit_gap(book_of(deals), "", "2026Q2", against="last")
    assert part(fit, "products")["value"] > 0 > part(fit, "price")["value"]
    assert part(fit, "price")[["own", "usual"]].tolist() == pytest.approx([0.8, 1.0])
    assert fit.table["value"].sum() == pytest.approx(160, rel=1e-12)


def test_other_kinds_of_deals_are_mix_not_skill(book_of: Build) -> None:
    """R1 has only large deals, of which 1 in 2 is won at 100; R2 only small ones, of which all are won at 10.

    Each wins as usual for that kind: no part of the gap is win rate or size; all of it is mix and volume.
    """
    deals = [decided(f"A{i}", ("won", "lost")[i % 2], "2026-02-01", 100.0, "R1", segment="large") for i in range(20)]
    deals += [decided(f"B{i}", "won", "2026-02-01", 10.0, "R2", segment="small") for i in range(20)]
    deals += [decided("L", "lost", "2026-02-01", 10.0, "R3", segment="small")]
    fit = fit_gap(book_of(deals), "rep", "2026Q1")
    own = fit.table[fit.table["rep_id"] == "R1"].set_index("part")
    assert own.loc["mix", "value"] > 0.9 * (
        fit.totals.set_index("rep_id").loc["R1", "gap"] - own.loc["volume", "value"]
    )
    assert abs(own.loc["conversion", "value"]) < 0.1 * own.loc["mix", "value"]
    assert own.loc["size", "value"] == pytest.approx(0, abs=1e-6)


def test_deals_won_out_of_the_past_are_timing(book_of: Build) -> None:
    """Nothing was begun in the second quarter, one deal of the first was won in it: all of that is timing."""
    deals = [{"deal_id": d, "rep_id": "R1", "amount": 100.0} for d in "ABCD"]
    log = {
        "A": "prospect 2026-01-05, contract 2026-02-01, won 2026-04-20",
        "B": "prospect 2026-01-05, lost 2026-02-01",
        "C": "prospect 2026-01-05, qualified 2026-01-20, quote 2026-02-01, contract 2026-02-10, won 2026-03-01",
        "D": "prospect 2026-04-05, lost 2026-05-01",
    }
    fit = fit_gap(book_of(deals, log), "", "2026Q2", against="last")
    # Q2: 1 begun x rate 0 -> product 0, won 100: timing +100. Q1: 3 begun x 2/3 x 1 x 1 x 1 = 2 expected, 1 won: -100.
    assert part(fit, "timing")["value"] == pytest.approx(100 + 100, rel=1e-9)
    assert fit.totals["gap"].item() == 0 and fit.table["value"].sum() == pytest.approx(0, abs=1e-9)


# --- any book --------------------------------------------------------------------------------------


def close(fit: Any) -> None:
    """Parts add up to the gap of each group, to 1e-9 of what is summed."""
    keys = [c for c in ("rep_id", "team") if c in fit.table]
    groups = fit.table.groupby(keys) if keys else [((), fit.table)]
    totals = fit.totals.set_index(keys)["gap"] if keys else fit.totals["gap"]
    for name, rows in groups:
        gap = totals.loc[name[0] if len(name) == 1 else name] if keys else totals.iloc[0]
        assert abs(rows["value"].sum() - gap) <= 1e-9 * max(rows["value"].abs().sum(), 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("against", ["peers", "last", "target"])
def test_parts_add_up_to_the_gap(generated: Callable[..., Book], seed: int, against: Any) -> None:
    book = generated(seed)
    for by in ("rep", "team", ""):
        for period, speed in (("2025", False), ("2026Q1", True)):
            try:
                fit = fit_gap(book, by, period, against, speed, draws=50)
            except Unavailable:
                continue
            close(fit)
            assert (fit.table["low"] <= fit.table["high"]).sum() == fit.table["low"].notna().sum()


@pytest.mark.parametrize("against", ["peers", "last", "target"])
def test_parts_add_up_on_the_demo_also_in_a_running_quarter(demo: Book, against: Any) -> None:
    for period in ("2026Q3", "2026-07..2026-12"):
        for by in ("rep", "team"):
            close(fit_gap(demo, by, period, against, draws=50))


@pytest.mark.parametrize("seed", SEEDS)
def test_actuals_and_counts_are_those_of_the_metrics(generated: Callable[..., Book], seed: int) -> None:
    book, period = generated(seed), "2025"
    counts = gap_counts(book, ("rep",), as_period(book, period), stages_known(book))
    won = sales(book, "rep", period).set_index("rep_id")["value"].fillna(0)
    found = counts.wins.groupby("who")["amount"].sum()
    np.testing.assert_allclose(found.reindex(won.index).fillna(0), won, rtol=1e-12)
    if not counts.stages:
        return
    begun = pipeline_created(book, "rep", period).set_index("rep_id")["n"]
    assert counts.begun.groupby("who")["n"].sum().reindex(begun.index).fillna(0).tolist() == begun.tolist()
    flow = stage_flow(book, "rep", period).set_index(["rep_id", "pipeline", "stage"])
    flow = flow[flow["n"] > 0].sort_index()
    steps = counts.steps.groupby(["who", "pipeline", "stage"])[["n", "went"]].sum().sort_index()
    assert list(steps.index) == list(flow.index)
    assert (steps.to_numpy() == flow[["n", "deeper"]].to_numpy()).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gap_to_a_target_is_held_against_the_target_to_date(generated: Callable[..., Book], seed: int) -> None:
    book = generated(seed)
    try:
        fit = fit_gap(book, "rep", "2026Q1", "target", draws=10)
    except Unavailable:
        return
    asked = quota_attainment(book, "rep", "2026Q1").set_index("rep_id")["to_date"]
    np.testing.assert_allclose(fit.totals["reference"], asked.reindex(fit.totals["rep_id"]), rtol=1e-12)


def test_the_reference_is_everybodys_mean_per_person(demo: Book) -> None:
    fit = fit_gap(demo, "rep", "2026Q2", draws=10)
    assert fit.totals["reference"].nunique() == 1
    assert fit.totals["gap"].sum() == pytest.approx(0, abs=1e-6 * fit.totals["actual"].sum())
    whole = sales(demo, "", "2026Q2")["value"].item()
    assert fit.totals["actual"].sum() == pytest.approx(whole) or UNASSIGNED in set(sales(demo, "rep")["rep_id"])


def test_parts_are_those_of_the_plain_formula_draw_by_draw(demo: Book) -> None:
    """The fast product against all 2^K mixtures, one rep and draw at a time."""
    counts = gap_counts(demo, ("rep",), as_period(demo, "2026Q2"), True).named
    usual, chance = usual_of(counts), np.random.default_rng(1)
    [own] = lines_of(counts, ["R01", "R02", "R03"], usual, chance, 7)
    [other] = lines_of(counts.whole, ["(all)"], usual, chance, 7, shrink=False)
    parts = parts_of(own, other)
    for group in range(3):
        for draw in range(7):
            mine = [f.draws[draw, group] for f in own.factors.values()]
            theirs = [f.draws[draw, 0] for f in other.factors.values()]
            slow = shapley(lambda *factors: own.scale * np.prod(factors), theirs, mine)
            fast = [drawn[draw, group] for _, drawn in parts.values()]
            np.testing.assert_allclose(fast, np.array(slow), rtol=1e-9, atol=1e-9 * own.scale)


def test_speed_splits_the_deals_begun(demo: Book) -> None:
    plain, split = (fit_gap(demo, "rep", "2026Q2", speed=speed, draws=10) for speed in (False, True))
    begun = plain.table[plain.table["part"] == "volume"].set_index("rep_id")["own"]
    parts = {name: split.table[split.table["part"] == name].set_index("rep_id")["own"] for name in ("in_hand", "speed")}
    np.testing.assert_allclose(parts["in_hand"] * parts["speed"], begun)


def test_the_same_book_gives_the_same_draws_and_is_not_changed(demo: Book) -> None:
    before = demo.content_hash
    first, second = fit_gap(demo, period="2026Q2", draws=100), fit_gap(demo, period="2026Q2", draws=100)
    pd.testing.assert_frame_equal(first.table, second.table)
    assert demo.content_hash == before


def test_only_what_is_sure_is_spoken(demo: Book) -> None:
    table = fit_gap(demo, "rep", "2026Q2", draws=500).table
    sure = (table["p_below"] > 0.9) | (table["p_below"] < 0.1)
    enough = (table["n"] >= 10) | (table["part"] == "volume")
    assert (table["spoken"] == sure & enough).all() and (sure & ~enough).any()
    assert not table.loc[table["part"].isin(["timing", "chance", "credit"]), "spoken"].any()


def test_a_win_without_an_amount_and_a_shared_deal_are_told_apart(book_of: Build) -> None:
    """Q2: of three wins of R1 one has no amount (a mean win of 120 is missing), one is shared with R2 half and half."""
    deals = two_quarters()
    deals[4]["amount"] = None
    deals += [decided(f"C{i}", "lost", day, 10.0, "R2") for i, day in enumerate(["2026-02-01", "2026-05-01"])]
    splits = [{"deal_id": "B1", "rep_id": rep, "share": 0.5} for rep in ("R1", "R2")]
    fit = fit_gap(book_of(deals, splits=splits), "rep", "2026Q2", against="last")
    credit = fit.table[fit.table["part"] == "credit"].set_index("rep_id")["value"]
    assert credit["R1"] == pytest.approx(-120 - 60) and credit["R2"] == pytest.approx(60)
    close(fit)


def test_several_pipelines_each_have_their_stages_and_add_up(book_of: Build, tmp_path: Path) -> None:
    text = (kit_path("templates/process") / "standard.toml").read_text(encoding="utf-8")
    second = text[text.index("[pipelines.new]") :].replace("pipelines.new", "pipelines.renewal")
    (tmp_path / "two.toml").write_text(f"{text}\n{second}", encoding="utf-8")
    deals, log = [], {}
    for i in range(60):
        deal = f"D{i:02}"
        deals.append(
            {"deal_id": deal, "rep_id": f"R{i % 3}", "amount": 100.0 + i, "pipeline": ("new", "renewal")[i % 2]}
        )
        end = "qualified 2026-04-09, quote 2026-04-12, contract 2026-04-20, won 2026-05-02"
        log[deal] = f"prospect 2026-04-02, {end if i % 5 < 2 else 'lost 2026-05-01'}"
    book = book_of(deals, log, process=read_process(tmp_path / "two.toml"))
    fit = fit_gap(book, "rep", "2026Q2", draws=50)
    close(fit)
    steps = fit.table[(fit.table["part"] == "conversion") & (fit.table["rep_id"] == "R0")]
    assert steps.groupby("pipeline").size().to_dict() == {"new": 4, "renewal": 4}
    begun = fit.table[fit.table["part"] == "volume"].set_index("rep_id")["own"]
    assert begun.to_dict() == {"R0": 20, "R1": 20, "R2": 20}


# --- what cannot be known --------------------------------------------------------------------------


def test_it_says_what_is_missing(book_of: Build, demo: Book) -> None:
    with pytest.raises(Unavailable, match="needs a period with a first day"):
        fit_gap(demo, against="last")
    with pytest.raises(Unavailable, match="everybody together has no peers"):
        fit_gap(demo, "", "2026Q2")
    with pytest.raises(Unavailable, match="nothing was begun, decided or won in 2019"):
        fit_gap(demo, "rep", "2019")
    with pytest.raises(UsageError, match=r"against='pears' is unknown. Did you mean 'peers'"):
        fit_gap(demo, against="pears")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="split by rep, by team or not at all"):
        fit_gap(demo, "segment")
    both = [{**deal, "currency": ("CNY", "USD")[place % 2]} for place, deal in enumerate(two_quarters())]
    with pytest.raises(Unavailable, match="several currencies"):
        fit_gap(book_of(both), "", "2026Q2", against="last")
    with pytest.raises(Unavailable, match="won amounts need `amount`"):
        fit_gap(book_of([{**d, "amount": None} for d in two_quarters()]), "", "2026Q2", against="last")


# --- sizes -----------------------------------------------------------------------------------------


def test_a_ratio_and_its_variance_are_those_of_the_rows() -> None:
    """Two groups of wins; Cochran's variance of a ratio, here with the weight of all groups left out (n is large)."""
    chance = np.random.default_rng(3)
    x, y, who = np.ones(4000), chance.lognormal(0, 0.4, 4000), np.repeat([0, 1], 2000)
    sums = [np.bincount(who, v) for v in (y, x, y * y, x * y, x * x, x)]
    found = relative(*sums, 1.0)
    for group in (0, 1):
        rows = y[who == group]
        assert found.value[group] == pytest.approx(rows.mean())
        assert found.variance[group] == pytest.approx(rows.var(ddof=1) / y.mean() ** 2 / 2000, rel=0.05)


def test_what_nobody_knows_is_drawn_to_the_centre_and_what_is_sure_stays() -> None:
    mean, sd, spread = shrink_values(np.array([0.5, -0.5, 0.3]), np.array([1e-9, 1e-9, np.inf]), 0.1)
    assert mean[:2] == pytest.approx([0.5, -0.5], abs=1e-6) and mean[2] == pytest.approx(0.1)
    assert sd[2] > 0.3 > sd[0] and spread > 0.2
