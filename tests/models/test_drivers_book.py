"""Drivers of a book: what was known at the start, what is refused, what is said of a later period."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.kit import kit_path
from salescoach.models import (
    calibrate,
    driver_rows,
    fit_activities,
    fit_drivers,
    fit_grouped,
    fit_stages,
    landmark_units,
    stage_units,
    won_units,
)
from salescoach.models.calibrate import auc_with_error
from salescoach.models.guard import auc, refused_by_name
from salescoach.process import read_process
from salescoach.sources import load_book, sample_book

ZONE = "Asia/Shanghai"


@cache
def demo() -> Book:
    return sample_book()


def instants(values: Any) -> pd.Series:
    return (
        pd.Series(pd.to_datetime(pd.Series(values), format="ISO8601"))
        .dt.tz_localize(ZONE)
        .dt.tz_convert("UTC")
        .astype("datetime64[us, UTC]")
    )


def a_book(deals: pd.DataFrame, **tables: pd.DataFrame) -> Book:
    """A book of decided deals, without a history where none is given."""
    deals = deals.assign(
        pipeline="new", created_at=instants(deals["created_at"]), closed_at=instants(deals["closed_at"])
    )
    deals["stage"] = deals["outcome"]
    texts = [c for c in deals if deals[c].dtype == object]
    deals = deals.astype(dict.fromkeys(texts, "str"))
    process = read_process(kit_path("templates/process") / "standard.toml")
    end = pd.Timestamp("2026-07-01").tz_localize(ZONE).tz_convert("UTC") - pd.Timedelta("1us")
    return Book({"deals": deals, **tables}, process, end, "CNY")


def many_deals(seed: int, size: int, shares: Mapping[str, float]) -> pd.DataFrame:
    """Deals over two years whose chance of being won hangs on their industry alone."""
    chance = np.random.default_rng(seed)
    segment = chance.choice(list(shares), size)
    closed = pd.Timestamp("2024-07-10") + pd.to_timedelta(np.sort(chance.integers(0, 700, size)), unit="D")
    won = chance.random(size) < np.array([shares[s] for s in segment])
    return pd.DataFrame(
        {
            "deal_id": [f"D{i:05}" for i in range(size)],
            "rep_id": [f"R{i % 4}" for i in range(size)],
            "outcome": np.where(won, "won", "lost"),
            "created_at": closed - pd.Timedelta(days=30),
            "closed_at": closed,
            "segment": segment,
            "deal_type": chance.choice(["new", "renewal"], size),
        }
    )


# --- what was known at the start -------------------------------------------------------------------


def five_deals() -> Book:
    """D1 150 then 400 from 5 Mar on; D2 always 100; D3 80, 90 from 2 Mar on, 70 from 9 Mar on; D4 0; D5 blank."""
    deals = pd.DataFrame(
        {
            "deal_id": ["D1", "D2", "D3", "D4", "D5"],
            "rep_id": "R1",
            "outcome": ["won", "lost", "won", "lost", "won"],
            "created_at": "2026-03-01 09:00",
            "closed_at": ["2026-03-31", "2026-04-10", "2026-03-12", "2026-05-01", "2026-06-30"],
            "amount": [400.0, 100.0, 70.0, 0.0, None],
            "lead_id": ["L1", "L2", "L3", None, "L9"],
        }
    )
    changes = pd.DataFrame(
        {
            "deal_id": ["D1", "D3", "D3"],
            "at": instants(["2026-03-05", "2026-03-02", "2026-03-09"]),
            "field": "amount",
            "old": ["150", "80", "90"],
            "new": ["400", "90", "70"],
        }
    ).astype(dict.fromkeys(("deal_id", "field", "old", "new"), "str"))
    leads = pd.DataFrame(
        {
            "lead_id": ["L1", "L2", "L3"],
            "rep_id": "R1",
            "created_at": instants(["2026-02-28 09:00"] * 3),
            "first_response_at": instants(["2026-02-28 11:00", "2026-03-02 09:00", None]),
        }
    ).astype({"lead_id": "str", "rep_id": "str"})
    kinds = ["call", "call", "email", "Call", "call", "demo"]
    activities = pd.DataFrame(
        {
            "activity_id": [f"T{i}" for i in range(6)],
            "rep_id": "R1",
            "deal_id": ["D1", "D1", "D1", "D2", "D3", "D2"],
            "at": instants(
                ["2026-03-02", "2026-03-15 09:00", "2026-03-15 09:01", "2026-03-04", "2026-03-04", "2026-02-20"]
            ),
            "activity_type": kinds,
        }
    ).astype(dict.fromkeys(("activity_id", "rep_id", "deal_id", "activity_type"), "str"))
    return a_book(deals, changes=changes, leads=leads, activities=activities)


def test_amounts_are_those_of_the_day_of_creation() -> None:
    units = won_units(five_deals()).set_index("deal_id")
    assert units["amount"].fillna(-1).to_dict() == {
        "D1": 150,
        "D2": 100,
        "D3": 80,
        "D4": -1,
        "D5": -1,
    }  # 0: nobody entered one


def test_a_response_counts_only_where_it_came_before() -> None:
    units = won_units(five_deals()).set_index("deal_id")
    # L1 answered after two hours; L2 only a day after the deal began; L3 never; D4 has no lead; L9 is unknown
    assert units["response_hours"].fillna(-1).to_dict() == {"D1": 2, "D2": -1, "D3": -1, "D4": -1, "D5": -1}


def test_quarter_ends_are_the_last_months() -> None:
    units = won_units(five_deals()).set_index("deal_id")
    assert units["quarter_end"].to_dict() == {"D1": "yes", "D2": "no", "D3": "yes", "D4": "no", "D5": "yes"}


def test_activities_count_up_to_the_landmark_and_only_of_deals_still_open() -> None:
    units = landmark_units(five_deals(), days=14).set_index("deal_id")  # the landmark is 15 March, 09:00
    assert sorted(units.index) == ["D1", "D2", "D4", "D5"]  # D3 was closed on 12 March
    assert units["done_call"].to_dict() == {"D1": 2, "D2": 1, "D4": 0, "D5": 0}
    assert "done_email" not in units and "done_demo" not in units  # a minute late; before the deal began


def test_amounts_at_the_entry_into_a_stage_are_those_of_a_plain_loop() -> None:
    book = demo()
    units = stage_units(book, "contract")
    log = book.table("changes").query("field == 'amount'").sort_values("at", kind="stable")
    by_deal: dict[str, list[tuple[pd.Timestamp, str]]] = {}
    for row in log.to_dict("records"):
        by_deal.setdefault(row["deal_id"], []).append((row["at"], row["old"]))
    now = book.deals.set_index("deal_id")["amount"]
    changed = 0
    for row in units.to_dict("records"):
        later = [old for at, old in by_deal.get(row["deal_id"], []) if at > row["at"]]
        want = float(later[0]) if later else now[row["deal_id"]]
        changed += bool(later)
        assert row["amount"] == want or (not want > 0 and np.isnan(row["amount"])), row["deal_id"]
    assert changed > 10


# --- the rows behind a number ----------------------------------------------------------------------


@pytest.mark.parametrize("stage", [None, "quote"])
def test_the_rows_behind_each_row_of_the_table_are_as_many_as_its_n(stage: str | None) -> None:
    fit = fit_drivers(demo(), stage=stage)
    listed = 0
    for row in fit.table.iloc[::3].to_dict("records"):
        if row["level"] != "(all others)":
            rows = driver_rows(demo(), row["driver"], row["level"], stage=stage)
            assert (len(rows), rows["outcome"].sum()) == (row["n"], row["won"]), row
            listed += 1
    assert listed > 8
    factors = fit.table[fit.table["step"] == ""].groupby("driver")["n"].sum()
    assert (factors == fit.n).all()


# --- what is refused -------------------------------------------------------------------------------


def test_what_is_written_at_the_close_is_refused_even_when_asked_for() -> None:
    fit = fit_drivers(
        demo(), drivers=["segment", "lost_reason", "probability", "updated_at", "closed_at", "created_at"]
    )
    assert set(fit.table["driver"]) == {"segment"}
    assert set(fit.refused["field"]) == {"lost_reason", "probability", "updated_at", "closed_at", "created_at"}
    with pytest.raises(Unavailable, match="none of the columns"):
        fit_drivers(demo(), drivers=["won_reason"])
    with pytest.raises(UsageError, match="no column 'segmnt'"):
        fit_drivers(demo(), drivers=["segmnt"])


@pytest.mark.parametrize(
    "name",
    [
        *("Ratio Days Qualified To Total Days", "Total Days Identified Through Closing", "Sales Stage Change Count"),
        *("ElapsedDaysInSalesStage", "close_reason", "last_activity_at", "Won Reason", "n_calls".replace("n_", "")),
        *("meetings", "输单原因", "更新时间", "电话数"),
    ],
)
def test_names_that_speak_of_the_end_are_refused(name: str) -> None:
    assert refused_by_name(name)


@pytest.mark.parametrize(
    "name", ["segment", "Region", "lead_source", "contacts", "Closet size", "行业", "Days To First Call"]
)
def test_names_that_do_not_are_not(name: str) -> None:
    assert refused_by_name(name) is None


def test_people_are_no_drivers_unless_asked_for() -> None:
    fit = fit_drivers(demo())
    assert not set(fit.table["driver"]) & {"rep", "rep_id", "team", "manager", "region"}
    assert fit.refused.set_index("field").loc["region", "why"].startswith("it follows from who sells")
    asked = fit_drivers(demo(), drivers=["rep", "quarter_end"])
    assert len(asked.table[asked.table["driver"] == "rep"]) > 20


def test_what_nothing_clears_is_used_with_a_warning() -> None:
    book = a_book(many_deals(0, 600, {"SMB": 0.4, "Mid": 0.4}))
    fit = fit_drivers(book)
    assert "segment" in set(fit.table["driver"])
    assert "edited after the close" in str(fit.warnings[0]) and "segment" in str(fit.warnings[0])


def test_stage_fits_need_a_history() -> None:
    book = a_book(many_deals(0, 600, {"SMB": 0.4, "Mid": 0.4}))
    for ask in (lambda: fit_drivers(book, stage="quote"), lambda: fit_stages(book)):
        with pytest.raises(Unavailable, match="stage"):
            ask()
    with pytest.raises(UsageError, match=r"no stage 'qoute'.*quote"):
        fit_drivers(book, stage="qoute")
    with pytest.raises(UsageError, match="at most 3"):
        fit_drivers(book, interactions=[("segment", "deal_type")] * 4)


def test_stages_share_one_false_discovery_rate() -> None:
    fits = fit_stages(demo())
    assert [stage for _, stage in fits] == ["prospect", "qualified", "quote", "contract"]
    p = np.concatenate([f.table.drop_duplicates("driver")["p"] for f in fits.values()])
    smallest = min(f.table["q"].min() for f in fits.values())
    steps = np.sort(p) * len(p) / np.arange(1, len(p) + 1)
    assert smallest == pytest.approx(steps.min())
    alone = fit_drivers(demo(), stage="quote")
    pd.testing.assert_series_equal(alone.table["p"], fits["new", "quote"].table["p"])


# --- a later period --------------------------------------------------------------------------------


def test_no_usable_signal_where_a_true_difference_is_too_small_to_use() -> None:
    """An industry that matters at an area of about .54: significant, and of no use."""
    shares = {"SMB": 0.45, "Mid": 0.53}
    fit = fit_drivers(a_book(many_deals(1, 6000, shares)), drivers=["segment", "deal_type"])
    assert fit.table.set_index("driver").loc["segment", "p"].iloc[0] < 1e-6
    assert fit.calibration is not None and 0.51 < fit.calibration.auc < 0.55
    assert not fit.usable


def test_no_usable_signal_in_noise_and_a_usable_one_in_a_strong_driver() -> None:
    noise = fit_drivers(a_book(many_deals(2, 3000, {"SMB": 0.5, "Mid": 0.5})), drivers=["segment", "deal_type"])
    strong = fit_drivers(a_book(many_deals(2, 3000, {"SMB": 0.3, "Mid": 0.6})), drivers=["segment", "deal_type"])
    assert not noise.usable and strong.usable
    assert strong.calibration is not None and strong.calibration.slope_low < 1 < strong.calibration.slope_high
    row = strong.table[strong.table["reference"] != ""].iloc[0]
    assert row["driver"] == "segment" and row["low"] < (0.3 if row["level"] == "Mid" else -0.3) < row["high"]


def test_the_later_period_is_told_by_the_earlier_one() -> None:
    book = a_book(many_deals(3, 1000, {"SMB": 0.3, "Mid": 0.6}))
    tried = fit_drivers(book, drivers=["segment"]).calibration
    deals = book.deals.assign(day=lambda d: d["closed_at"].dt.tz_convert(ZONE).dt.tz_localize(None))
    early, late = deals[deals["day"] < tried.split_on], deals[deals["day"] >= tried.split_on]
    assert (tried.n_fit, tried.n) == (len(early), len(late)) and 0.6 < tried.n_fit / 1000 <= 0.7
    shares = early.assign(won=early["outcome"] == "won").groupby("segment")["won"].mean()
    told, came = late["segment"].map(shares).to_numpy(), (late["outcome"] == "won").to_numpy(float)
    pairs = [(a > b) + (a == b) / 2 for a in told[came == 1] for b in told[came == 0]]
    assert tried.auc == pytest.approx(np.mean(pairs))
    x = np.column_stack([np.ones(len(told)), np.log(told / (1 - told))])
    plain = sm.GLM(came, x, family=sm.families.Binomial()).fit()
    assert (tried.intercept, tried.slope) == pytest.approx(tuple(plain.params), abs=1e-6)
    assert tried.slope_high - tried.slope_low == pytest.approx(2 * 1.959964 * plain.bse[1], rel=1e-5)
    usual = (early["outcome"] == "won").mean()
    assert tried.skill == pytest.approx(1 - np.mean((told - came) ** 2) / np.mean((usual - came) ** 2))
    assert tried.bands["n"].sum() == len(late) and tried.bands["won"].sum() == came.sum()


def test_the_error_of_the_area_under_the_curve_is_de_longs() -> None:
    """By the definition: the share of the other side that each record beats, and the spread of these shares."""
    chance = np.random.default_rng(0)
    told, came = chance.integers(0, 6, 80) / 5, (chance.random(80) < 0.4).astype(float)
    yes, no = told[came == 1], told[came == 0]
    beaten = [np.mean([(a > b) + (a == b) / 2 for b in no]) for a in yes]
    beating = [np.mean([(a > b) + (a == b) / 2 for a in yes]) for b in no]
    se = (np.var(beaten, ddof=1) / len(yes) + np.var(beating, ddof=1) / len(no)) ** 0.5
    assert auc_with_error(told, came) == pytest.approx((np.mean(beaten), se))
    assert auc(told, np.ones(80), came) == pytest.approx(np.mean(beaten))


def test_a_later_period_too_small_to_judge_by_says_nothing() -> None:
    day = pd.Timestamp("2026-01-01")
    assert calibrate(np.full(50, 0.4), np.r_[np.ones(19), np.zeros(31)], 0.4, day, 100) is None
    found = calibrate(np.full(50, 0.4), np.r_[np.ones(20), np.zeros(30)], 0.4, day, 100)
    assert found is not None and found.auc == 0.5 and np.isnan(found.slope) and found.skill == pytest.approx(0)


def test_activities_are_held_against_deals_in_the_same_stage() -> None:
    fit = fit_activities(demo())
    assert set(fit.table["driver"]) <= {"done_call", "done_email", "done_demo", "done_meeting", "done_quote"}
    assert {"stage_then", "segment"} <= set(fit.coefficients["driver"])
    with pytest.raises(Unavailable, match="activities"):
        fit_activities(a_book(many_deals(0, 200, {"SMB": 0.4, "Mid": 0.4})))


# --- a stranger's data -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial() -> Any:
    def folder(name: str) -> Path:
        found = Path(__file__).resolve().parents[2].parent / "shared" / "data" / name
        if not found.exists():
            pytest.skip(f"the trial data {name!r} are not in ../shared/data")
        return found

    return folder


def test_maven_has_one_driver_the_quarter_s_end(trial: Any) -> None:
    book = load_book(trial("maven"))
    for drivers in (["rep"], ["manager"], ["product"], ["industry"]):
        fit = fit_drivers(book, drivers=drivers)
        assert not fit.usable and (fit.table["signal"].isin(["none", "few", "reference"])).all(), drivers
    fit = fit_drivers(book)
    clear = fit.table[fit.table["signal"].isin(["more", "less"])]
    assert clear["driver"].tolist() == ["quarter_end"] and fit.usable
    # .8065 against .5226, as published
    row = clear.iloc[0]
    assert (round(row["won"] / row["n"], 4), row["effect"]) == (0.8065, pytest.approx(0.8065 - 0.5226, abs=0.01))
    assert {"amount", "stage", "closed_at", "outcome"} <= set(fit.refused["field"])
    # only open deals lack an account: being filled in tells that a deal was decided
    assert "account_id" not in set(fit.table["driver"])


@pytest.fixture(scope="module")
def winloss(trial: Any) -> pd.DataFrame:
    """IBM's opportunities without exact duplicates; the level "None" is a value."""
    (file,) = trial("ibm_winloss").glob("*.csv.gz")
    table = pd.read_csv(file, keep_default_na=False, na_values=[]).drop_duplicates()
    return table.assign(outcome=(table["Opportunity Result"] == "Won").astype(int))


IBM = ["Route To Market", "Competitor Type", "Revenue From Client Past Two Years"]
IBM += ["Total Days Identified Through Qualified", "Sales Stage Change Count"]


def test_the_published_coefficients_of_ibm(winloss: pd.DataFrame) -> None:
    numbers = dict.fromkeys(IBM[2:], "one")
    references = {"Route To Market": "Fields Sales", "Competitor Type": "Known"}
    fit = fit_grouped(winloss, "outcome", IBM, steps=numbers, references=references, scale="one")
    found = fit.coefficients.set_index(["driver", "level"])["coefficient"].round(4)
    want = {"Reseller": 0.8572, "Telecoverage": -1.0376, "Telesales": 0.0843, "Other": -0.0477}
    assert found.loc["Route To Market"].to_dict() == want
    assert found.loc["Competitor Type"].to_dict() == {"None": 0.4394, "Unknown": -0.0778}
    assert [float(found.loc[name, ""]) for name in IBM[2:]] == [0.6369, -0.1034, 0.4366]
    # numbers count from their middle: at zero stands the published intercept
    middles = {d.name: d.centre for d in fit.design.drivers if hasattr(d, "centre")}
    params = fit.coefficients.set_index("driver")["coefficient"]
    assert params[""] - sum(params[name] * middle for name, middle in middles.items()) == pytest.approx(
        -1.9896, abs=5e-5
    )
    assert fit.n == 77_970 and fit.cells < 12_000


def test_ibm_s_cells_spread_by_more_than_chance(winloss: pd.DataFrame) -> None:
    fit = fit_grouped(winloss, "outcome", ["Region", "Route To Market", "Deal Size Category"], steps={})
    assert fit.cells == 236 and fit.scale > 3


def test_a_level_is_held_against_the_reference_not_against_itself_beside_its_siblings(winloss: pd.DataFrame) -> None:
    """statsmodels' margins switch one dummy on and leave its siblings on: another number, the wrong one."""
    references = {"Route To Market": "Fields Sales", "Competitor Type": "Known"}
    fit = fit_grouped(winloss, "outcome", IBM, steps=dict.fromkeys(IBM[2:], "one"), references=references, scale="one")
    effect = fit.table.set_index("level").loc["Telecoverage", "effect"]
    x = pd.get_dummies(winloss[IBM[:2]]).astype(float).drop(columns=[f"{k}_{v}" for k, v in references.items()])
    x = sm.add_constant(x.join(winloss[IBM[2:]].astype(float)))
    plain = sm.Logit(winloss["outcome"], x).fit(disp=0)
    routes = [c for c in x if c.startswith("Route")]
    base = x.assign(**dict.fromkeys(routes, 0.0))
    one = base.assign(**{"Route To Market_Telecoverage": 1.0})
    assert effect == pytest.approx((plain.predict(one) - plain.predict(base)).mean(), abs=1e-6)
    trap = plain.get_margeff(dummy=True).margeff[list(x.columns[1:]).index("Route To Market_Telecoverage")]
    assert trap < effect - 0.015  # eleven points instead of nine


def test_ibm_s_late_columns_are_refused_by_their_names(winloss: pd.DataFrame) -> None:
    late = ["Elapsed Days In Sales Stage", "Sales Stage Change Count", "Total Days Identified Through Closing"]
    late += [c for c in winloss if c.startswith("Ratio")]
    assert len(late) == 6 and all(refused_by_name(c) for c in late)
