"""The simulated book is the one its truth describes."""

import ast
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import salescoach.sample
from salescoach.book.tables import TABLES
from salescoach.errors import UsageError
from salescoach.sample import Sample, Truth, simulate

AS_OF = pd.Timestamp("2026-09-30 23:59:59", tz="Asia/Shanghai")
OWN_COLUMNS = {"contacts", "discount_asked", "webinar_topic"}
DEPTH = {"prospect": 0, "qualified": 1, "quote": 2, "contract": 3, "won": 4}


@pytest.fixture(scope="module")
def demo() -> Sample:
    return simulate()


@pytest.fixture(scope="module")
def large() -> Sample:
    # A strong effect of coaching, so that its trace is plain without a model.
    return simulate(n_deals=12_000, seed=3, truth=Truth(coaching_logit=1.5))


def ways(sample: Sample) -> dict[str, list[tuple[pd.Timestamp, str]]]:
    """Each deal's entries in order, void deals left out."""
    void = set(sample.tables["deals"].query("stage == 'void'")["deal_id"])
    history, found = sample.tables["stage_history"], defaultdict(list)
    local = history["entered_at"].dt.tz_convert("Asia/Shanghai")
    for deal, at, stage in zip(history["deal_id"], local, history["stage"], strict=True):
        if deal not in void:
            found[deal].append((at, stage))
    return found


def passages(sample: Sample, stage: str, mature_days: int = 90) -> pd.DataFrame:
    """One row per deal that reached a stage early enough: entered, whether and when it got deeper."""
    depth, rows = DEPTH[stage], []
    for deal, way in ways(sample).items():
        entered = [at for at, name in way if name == stage]
        deeper = [at for at, name in way if DEPTH.get(name, -1) > depth]
        reached = min(entered + deeper, default=None)
        if reached is not None and reached <= AS_OF - pd.Timedelta(days=mature_days):
            days = (min(deeper).date() - min(entered).date()).days if deeper and entered else None
            rows.append((deal, reached, bool(deeper), days))
    return pd.DataFrame(rows, columns=["deal_id", "reached", "advanced", "days"])


def logit_slopes(columns: list[np.ndarray], advanced: np.ndarray) -> np.ndarray:
    """Slopes of a logistic regression by Newton's steps, the intercept left out."""
    design = np.column_stack([np.ones(len(advanced)), *columns]).astype(float)
    slopes = np.zeros(design.shape[1])
    for _ in range(8):
        chance = 1 / (1 + np.exp(-design @ slopes))
        curve = design.T @ (design * (chance * (1 - chance))[:, None])
        slopes += np.linalg.solve(curve, design.T @ (advanced - chance))
    return slopes[1:]


def test_same_arguments_same_tables():
    first, second, other = simulate(300), simulate(300), simulate(300, seed=8)
    assert first.truth == second.truth
    for name, table in first.tables.items():
        assert table.to_csv() == second.tables[name].to_csv()
    assert first.tables["deals"].to_csv() != other.tables["deals"].to_csv()


def test_columns_are_canonical(demo):
    for name, table in demo.tables.items():
        assert set(table) - set(TABLES[name].columns) == (OWN_COLUMNS if name == "deals" else set())
        assert set(TABLES[name].mandatory) <= set(table)


@pytest.mark.parametrize(
    ("stage", "share"), [("prospect", 0.70), ("qualified", 0.50), ("quote", 0.65), ("contract", 0.75)]
)
def test_conversion_is_planted(demo, stage, share):
    found = passages(demo, stage)
    assert found["advanced"].mean() == pytest.approx(share, abs=0.015)
    recorded = demo.truth["realised"]["stages"][stage]
    assert recorded["entered"] == len(found)
    assert recorded["conversion"] == pytest.approx(found["advanced"].mean(), abs=1e-4)


def test_quote_takes_three_days(demo):
    days = passages(demo, "quote")["days"].dropna()
    assert days.mean() == pytest.approx(3.0, abs=0.15)
    assert demo.truth["realised"]["stages"]["quote"]["mean_days"] == pytest.approx(days.mean(), abs=1e-3)


def test_share_of_open_deals(demo):
    deals = demo.tables["deals"]
    assert 0.05 < deals["closed_at"].isna().mean() < 0.10
    assert demo.truth["realised"]["open"] == deals["closed_at"].isna().sum()


@pytest.mark.parametrize(("stage", "place", "who"), [("quote", 0, "weak_rep"), ("qualified", -1, "strong_rep")])
def test_weak_and_strong_rep_stand_out(demo, stage, place, who):
    owner = demo.tables["stage_history"].query("stage == @stage").drop_duplicates("deal_id")
    found = passages(demo, stage).merge(owner[["deal_id", "rep_id"]], on="deal_id")
    shares = found.groupby("rep_id")["advanced"].agg(["mean", "size"])
    ranked = shares[shares["size"] >= 15]["mean"].sort_values()
    assert ranked.index[place] == demo.truth[who]["rep_id"]


def test_response_time_works_in_prospect(large):
    found = (
        passages(large, "prospect")
        .merge(large.tables["deals"], on="deal_id")
        .merge(
            large.tables["leads"][["lead_id", "created_at", "first_response_at"]], on="lead_id", suffixes=("", "_lead")
        )
    )
    hours = (found["first_response_at"] - found["created_at_lead"]).dt.total_seconds() / 3600
    (slope,) = logit_slopes([np.log2(hours)], found["advanced"].to_numpy())
    assert slope == pytest.approx(-0.30, abs=0.05)


def test_drivers_and_placebos_in_contract_and_quote(large):
    deals = large.tables["deals"]
    contract = passages(large, "contract").merge(deals, on="deal_id")
    amount = np.log(contract["amount"])
    competitor, by_amount, discount = logit_slopes(
        [contract["competitor"].notna(), amount, contract["discount_asked"]], contract["advanced"].to_numpy()
    )
    assert competitor == pytest.approx(-0.60, abs=0.25)
    assert by_amount == pytest.approx(-0.25, abs=0.15)
    # Planted as 0; 3.0 is three standard errors of a share between 0 and .35.
    assert abs(discount) < 3.0
    quote = passages(large, "quote").merge(deals, on="deal_id")
    several, security = logit_slopes(
        [quote["contacts"] >= 2, quote["webinar_topic"] == "security"], quote["advanced"].to_numpy()
    )
    assert several == pytest.approx(0.40, abs=0.25)
    assert abs(security) < 0.20


def test_discount_looks_guilty_without_the_amount(large):
    """The trap is armed: alone, the placebo goes with losing."""
    quote = passages(large, "quote").merge(large.tables["deals"], on="deal_id")
    assert np.corrcoef(quote["discount_asked"], np.log(quote["amount"]))[0, 1] > 0.4
    (alone,) = logit_slopes([quote["discount_asked"]], quote["advanced"].to_numpy())
    assert alone < -0.8


def test_coaching_goes_to_the_worst_and_works_for_some(large):
    first_entries = large.tables["stage_history"].query("stage == 'quote'").drop_duplicates("deal_id")
    found = passages(large, "quote", mature_days=30).merge(first_entries[["deal_id", "rep_id"]], on="deal_id")
    found["reached"] = found["reached"].dt.tz_localize(None)
    after, before = {0.0: [], 1.5: []}, []
    for session in large.truth["coaching"]:
        on, own = pd.Timestamp(session["on"]), found["rep_id"] == session["rep_id"]
        quarter = found["reached"].between(on - pd.Timedelta(days=91), on)
        before.append(found[own & quarter]["advanced"].mean() - found[quarter]["advanced"].mean())
        later = found["reached"] >= session["effective_from"]
        after[session["effect_logit"]].append(found[own & later]["advanced"])
    assert np.mean(before) < -0.10
    assert len(after[1.5]) == 8
    assert len(after[0.0]) == 4
    assert pd.concat(after[1.5]).mean() > pd.concat(after[0.0]).mean() + 0.10


def test_ids_are_unique(demo):
    for name, column in [
        ("deals", "deal_id"),
        ("leads", "lead_id"),
        ("activities", "activity_id"),
        ("reps", "rep_id"),
        ("accounts", "account_id"),
        ("accounts", "name"),
    ]:
        assert demo.tables[name][column].is_unique
    assert not demo.tables["stage_history"].duplicated(["deal_id", "entered_at", "stage"]).any()


def test_keys_have_their_counterparts(demo):
    deals = set(demo.tables["deals"]["deal_id"])
    for name in ("stage_history", "changes", "activities"):
        assert set(demo.tables[name]["deal_id"]) <= deals
    linked = demo.tables["leads"].dropna(subset="deal_id").set_index("deal_id")["lead_id"]
    stated = demo.tables["deals"].dropna(subset="lead_id").set_index("deal_id")["lead_id"]
    assert linked.sort_index().equals(stated.sort_index())
    assert set(demo.tables["deals"]["account_id"]) <= set(demo.tables["accounts"]["account_id"])


def test_history_tells_the_same_as_the_deals(demo):
    history = demo.tables["stage_history"].groupby("deal_id")
    deals = demo.tables["deals"].set_index("deal_id")
    first, last = history.first(), history.last()
    assert (first["stage"] == "prospect").all()
    assert (first["entered_at"] == deals["created_at"]).all()
    assert (last["stage"] == deals["stage"]).all()
    closed = deals["stage"].isin(["won", "lost", "void"])
    assert (deals["closed_at"].notna() == closed).all()
    assert (last["entered_at"][closed] == deals["closed_at"][closed]).all()
    assert (history["entered_at"].diff().dropna() >= pd.Timedelta(minutes=5)).all()
    assert (last["amount"] == deals["amount"]).all()
    assert (deals["lost_reason"].notna() == (deals["stage"] == "lost")).all()


def test_nothing_outside_the_window(demo):
    begin = pd.Timestamp("2024-10-01", tz="Asia/Shanghai")
    for table in demo.tables.values():
        for column in table.select_dtypes("datetimetz"):
            assert table[column].max() <= AS_OF
            assert table[column].min() >= begin


def test_leads_come_before_their_deals(demo):
    leads = demo.tables["leads"]
    converted = leads.dropna(subset="deal_id")
    created = demo.tables["deals"].set_index("deal_id")["created_at"]
    assert (converted["converted_at"] == converted["deal_id"].map(created)).all()
    assert (converted["created_at"] < converted["first_response_at"]).all()
    assert (converted["first_response_at"] < converted["converted_at"]).all()
    assert demo.tables["deals"]["lead_id"].isna().mean() == pytest.approx(0.15, abs=0.02)
    assert leads["first_response_at"].isna().mean() == pytest.approx(0.08, abs=0.015)
    hours = (leads["first_response_at"] - leads["created_at"]).dt.total_seconds() / 3600
    assert hours.median() == pytest.approx(3.0, abs=0.5)


def test_leaver_hands_over(demo):
    leaver = demo.truth["leaver"]
    end = pd.Timestamp(leaver["end_on"], tz="Asia/Shanghai") + pd.Timedelta(days=1)
    moved = demo.tables["changes"].query("field == 'rep_id'")
    assert len(moved) == leaver["deals_transferred"] > 0
    assert set(moved["old"]) == {leaver["rep_id"]}
    assert set(moved["new"]) == set(leaver["heirs"])
    owner = demo.tables["deals"].set_index("deal_id")["rep_id"]
    assert (moved["deal_id"].map(owner) == moved["new"]).all()
    for name, column in (("stage_history", "entered_at"), ("activities", "at")):
        own = demo.tables[name][demo.tables[name]["rep_id"] == leaver["rep_id"]]
        assert own[column].max() < end
    still_open = demo.tables["deals"]["closed_at"].isna()
    assert leaver["rep_id"] not in set(demo.tables["deals"][still_open]["rep_id"])


def test_late_starter_and_newcomer(demo):
    deals = demo.tables["deals"]
    own = deals[deals["rep_id"] == demo.truth["late_starter"]]
    assert own["created_at"].min() >= pd.Timestamp("2026-01-15", tz="Asia/Shanghai")
    assert demo.truth["newcomer"] in set(demo.tables["reps"]["rep_id"])
    assert demo.truth["newcomer"] not in set(deals["rep_id"]) | set(demo.tables["leads"]["rep_id"])


def test_missed_quotes_are_the_planted_ones(demo):
    stood = set(demo.tables["stage_history"].query("stage == 'quote'")["deal_id"])
    sent = set(demo.tables["activities"].query("activity_type == 'quote'")["deal_id"])
    assert sorted(stood - sent) == demo.truth["deals_without_quote"]
    assert len(stood - sent) / len(stood) == pytest.approx(0.10, abs=0.03)


def test_forgotten_customers_are_the_planted_ones(demo):
    deals = demo.tables["deals"].set_index("deal_id")
    ends = deals["closed_at"].fillna(AS_OF.tz_convert("UTC"))
    forgotten = set()
    waiting: dict[str, pd.Timestamp] = {}
    for row in demo.tables["activities"].sort_values("at", kind="stable").itertuples():
        if row.direction == "in":
            waiting.setdefault(row.deal_id, row.at)
        elif row.at - waiting.pop(row.deal_id, row.at) > pd.Timedelta(days=14):
            forgotten.add(row.deal_id)
    forgotten |= {deal for deal, at in waiting.items() if ends[deal] - at > pd.Timedelta(days=14)}
    assert forgotten == {item["deal_id"] for item in demo.truth["forgotten"]}
    assert len(forgotten) >= 100


def test_team_targets_are_sums_and_attainable(demo):
    targets = demo.tables["targets"]
    teams, reps = targets[targets["rep_id"].isna()], targets[targets["rep_id"].notna()]
    sums = reps.groupby(["team", "start_on"])["value"].sum()
    assert teams.set_index(["team", "start_on"])["value"].to_dict() == sums.to_dict()
    won = demo.tables["deals"].query("stage == 'won'")["amount"].sum()
    assert 0.85 < won / teams["value"].sum() < 1.10


def test_another_truth_another_bottleneck():
    truth = Truth(conversion=(0.80, 0.70, 0.40, 0.60), weak_logit=0.0, coaching_waves=0)
    sample = simulate(n_deals=1500, n_reps=10, n_teams=2, truth=truth)
    shares = {stage: passages(sample, stage)["advanced"].mean() for stage in ("prospect", "qualified", "quote")}
    assert shares["quote"] == pytest.approx(0.40, abs=0.03)
    assert min(shares, key=shares.get) == sample.truth["bottleneck"] == "quote"
    assert sample.truth["weak_rep"] is None
    assert sample.truth["coaching"] == []
    assert sample.truth["leaver"] is None


def test_shares_can_be_left_to_luck():
    exact = simulate(600, truth=Truth(coaching_waves=0))
    lucky = simulate(600, truth=Truth(coaching_waves=0, exact_shares=False))
    assert exact.tables["stage_history"].to_csv() != lucky.tables["stage_history"].to_csv()
    advanced = passages(exact, "prospect", mature_days=0)["advanced"]
    assert advanced.mean() == pytest.approx(0.70, abs=0.03)


@pytest.mark.parametrize(("n_deals", "n_reps", "n_teams", "months"), [(1, 5, 1, 3), (40, 13, 5, 6), (900, 40, 6, 36)])
def test_other_sizes(n_deals, n_reps, n_teams, months):
    sample = simulate(n_deals, n_reps, n_teams, months)
    assert len(sample.tables["deals"]) == n_deals
    assert len(sample.tables["reps"]) == n_reps
    assert sample.tables["reps"]["team"].nunique() == n_teams
    assert len(sample.tables["targets"].query("rep_id.isna()")) == n_teams * months // 3


def test_impossible_samples_are_refused():
    with pytest.raises(UsageError, match=r"at least one deal.*n_reps=2"):
        simulate(10, n_reps=2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        Truth(conversion=(0.7, 1.0, 0.6, 0.7))
    with pytest.raises(UsageError, match="Unknown stage 'demo'"):
        Truth(weak_stage="demo")


def test_the_sample_knows_nothing_of_the_rest_of_the_house():
    allowed = {"salescoach.errors", "salescoach.sample"}
    files = set(Path(salescoach.sample.__file__).parent.glob("*.py"))
    for file in (f for f in files if f.name != "layouts.py"):  # which writes in the layouts of the source files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("salescoach"):
                assert ".".join(str(node.module).split(".")[:2]) in allowed
    assert salescoach.sample.__all__ == sorted(salescoach.sample.__all__)
