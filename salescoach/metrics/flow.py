"""Stage flow, funnel and pipeline: where deals go on, stop and wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import OUTCOMES, Book, is_in
from salescoach.book.cores import side_by_side
from salescoach.book.texts import coded, encoded
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import add_tables, add_up, count_table
from salescoach.metrics.estimate import mean_interval, wilson
from salescoach.metrics.groups import (
    PEOPLE,
    UNITS,
    group_columns,
    group_keys,
    in_order,
    name_reps,
    parse_by,
    with_groups,
)
from salescoach.metrics.kept import per_book
from salescoach.metrics.ladder import NO_AGE, ladder_codes, ladder_days
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.registry import as_period, in_period, is_everything, metric, only
from salescoach.metrics.stretches import stretches
from salescoach.metrics.times import medians
from salescoach.metrics.visits import deals_of, history_of, passages, visits
from salescoach.process import Period

UNKNOWN_TOLERATED = 0.2
TYPICAL_NEEDS = 20
TYPICAL_SHARE = 0.8
STAGE = ["pipeline", "stage", "order"]
Rule = Literal["reached", "touched", "strict"]
RULES: tuple[Rule, ...] = get_args(Rule)
MATURE_DAYS = 90


@per_book
def stage_at_close_unknown(book: Book) -> float:
    """Share of lost deals (of all deals where none is lost) whose stage before the loss is only assumed."""
    deals = book.deals
    lost = deals.index[deals["outcome"] == "lost"]
    asked = lost if len(lost) else deals.index
    if not book.has("stage_history", "entered_at") or asked.empty:
        return 1.0 if len(asked) else 0.0
    history = history_of(book)
    closing = {s.key for p in book.process.pipelines.values() for s in p.stages if s.outcome}
    closes = np.array([s in closing for s in history["stage"].cat.categories] + [False])  # the last one is null
    guess = np.array([e == "assumed" for e in history["evidence"].cat.categories] + [False])
    working = ~closes[history["stage"].cat.codes]
    assumed = np.ones(len(deals), dtype=bool)
    assumed[history["deal"][working]] = guess[history["evidence"].cat.codes[working]]  # a deal's last entry stays
    return float(assumed[asked].mean())


def need_stages(book: Book) -> None:
    """Raise Unavailable where the stage at loss is unknown for too many deals: it is never assumed."""
    need_known_stages(stage_at_close_unknown(book), bool((book.deals["outcome"] == "lost").any()))


def need_known_stages(unknown: float, some_lost: bool) -> None:
    """Raise Unavailable where this share of the lost deals (of all, where none is lost) is too large."""
    if unknown <= UNKNOWN_TOLERATED:
        return
    if some_lost:
        raise Unavailable(
            "the stage from which a deal was lost is unknown for {share} of lost deals. Export the stage history with "
            "every stage that these deals went through",
            share=f"{unknown:.0%}",
        )
    raise Unavailable(
        "the stages that a deal went through are unknown for {share} of deals. Export the stage history of all of them",
        share=f"{unknown:.0%}",
    )


def joined(book: Book, rows: pd.DataFrame, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Passages or visits with their deals' columns, so that they can be split by any of them.

    groups   the only ones they will be split by, where that is known: the other columns are left out
    """
    deals = deals_of(book)
    if groups is not None and all(g in deals or g in (*PEOPLE, *UNITS) for g in groups):
        deals = deals[[g for g in groups if g in deals]]
    added = deals.drop(columns=[c for c in deals if c in rows]).take(rows["deal"].to_numpy())
    return pd.concat([rows, added.set_axis(rows.index)], axis=1)


def ended_passages(
    book: Book, period: str | Period | None = None, rule: str = "reached", mature_days: int = MATURE_DAYS
) -> pd.DataFrame:
    """Passages that ended or matured in the period, with their deals' columns: fate, counted_on, went_on, stuck.

    stuck       still open `mature_days` after the first entry: it has not gone deeper
    counted_on  the day it went deeper or was lost; where stuck, the day it matured
    went_on     went deeper in the sense of `rule`
    """
    check_rule(rule)
    need_stages(book)
    return joined(book, _ended(book, passages(book), period, rule, mature_days))


def check_rule(rule: str) -> None:
    """Raise UsageError for a rule that there is not."""
    if rule not in RULES:
        raise UsageError(
            "rule={rule!r} is unknown.{hint} Rules: {rules}.",
            rule=rule,
            hint=suggestion(rule, RULES),
            rules=commas(RULES),
        )


def _ended(
    book: Book,
    rows: pd.DataFrame,
    period: str | Period | None,
    rule: str,
    mature_days: int,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    matured_on = rows["entered_on"] + pd.Timedelta(days=mature_days)
    rows["stuck"] = (rows["fate"] == "open") & (matured_on <= book.as_of_on)
    rows["counted_on"] = rows["ended_on"].mask(rows["stuck"], matured_on)
    rows["went_on"] = rows["fate"] == "deeper"
    if rule == "strict":
        rows["went_on"] &= ~rows["jumped"]
    counted = rows["stuck"] | rows["fate"].isin(["deeper", "lost"])
    counted &= in_period(book, period, rows["counted_on"])
    if rule != "reached":
        counted &= ~rows["skipped"]
    return rows.loc[counted] if columns is None else rows.loc[counted, list(columns)]


@metric(
    "Stage flow",
    "Of the deals whose time in a stage ended, or has lasted 90 days: the share that reached a deeper stage (or were "
    "won). Days: Kaplan-Meier median from first entry to the first deeper entry or the loss, in which deals still "
    "there count as waiting.",
    basis="day the deal went deeper or was lost, or had stood there for 90 days",
    interval="95 % Wilson interval of the share; Brookmeyer-Crowley for days",
    unit="share",
    needs=[("deals", "outcome"), ("stage_history", "entered_at")],
    rows=ended_passages,
    caveat="A skipped stage counts as reached and has no time. Void deals are left out. Deals that go on quickly are "
    "counted earlier than those that are lost slowly, so a growing book looks up to one or two points too good.",
    why="At which step do deals stop, and how long do they wait there?",
    uses=[("changes", "at"), ("reps", "team")],
    options={
        "rule": "Which deals count in a stage: `reached`, also those that passed it over; `touched`, only those with a "
        "stay in it; `strict`, as `touched`, and only a move to the very next stage counts as going on.",
        "mature_days": "After how many days in a stage an open deal counts as not gone on.",
    },
)
@per_book
def stage_flow(
    book: Book,
    by: str | Sequence[str] = (),
    period: str | Period | None = None,
    rule: Rule = "reached",
    mature_days: int = MATURE_DAYS,
) -> pd.DataFrame:
    """Conversion and time per stage.

    value = deeper / n, where n = deeper + lost + stuck are the deals whose passage through the stage ended in the
    period, or that matured in it: they have stood there for `mature_days` and are still there. Void deals count
    nowhere.

    rule    "reached": a stage that was passed over counts as reached (the default)
            "touched": only deals with a stay in the stage count
            "strict": as touched, and only a move to the very next stage counts as deeper (n - deeper - lost - stuck
            deals jumped over it)

    Returns one row per pipeline, stage (in order) and group: n, deeper, lost, stuck, still (deals there at as_of),
    skipped, back (moves back out of the stage in the period), value, low, high (95 % Wilson), and for the deals that
    entered in the period median_days, median_low, median_high, p75_days (Kaplan-Meier, any end) and mean_days_advanced
    (plain mean over the n_timed passages that went deeper). A group of time is that of the row's own date.
    """
    groups = parse_by(by)
    return finished_flow(book, flow_counts(book, groups, period, rule, mature_days), groups)


@dataclass(frozen=True)
class FlowCounts:
    """The count tables of a stage flow, each by its groups, pipeline, stage and order. They add over books and reps.

    ended   passages that ended or matured in the period: n, deeper, lost, stuck, skipped
    still   deals there at as_of: still
    back    moves back out of the stage in the period: back
    times   passages entered in the period by age (ladder code) and whether they ended: n, n_timed (went deeper)
    """

    ended: pd.DataFrame
    still: pd.DataFrame
    back: pd.DataFrame
    times: pd.DataFrame


def flow_counts(
    book: Book,
    groups: Sequence[str] = (),
    period: str | Period | None = None,
    rule: str = "reached",
    mature_days: int = MATURE_DAYS,
) -> FlowCounts:
    """The count tables that `finished_flow` makes a stage flow of."""
    check_rule(rule)
    need_stages(book)
    keys, rows = _flow_keys(groups), passages(book)

    def counted(some: slice) -> tuple[pd.DataFrame, pd.DataFrame]:
        part = rows.iloc[some]
        ended = _ended_counts(book, part, groups, keys, period, rule, mature_days)
        return ended, _time_counts(book, part, groups, keys, period)

    ended, times = zip(*side_by_side(counted, stretches(len(rows))), strict=True)
    return FlowCounts(
        add_tables(ended, keys),
        _waiting(book, groups, keys),
        _moves_back(book, groups, keys, period),
        add_tables(times, [*keys, "age", "ended"]),
    )


def _ended_counts(
    book: Book,
    rows: pd.DataFrame,
    groups: Sequence[str],
    keys: list[str],
    period: str | Period | None,
    rule: str,
    mature_days: int,
) -> pd.DataFrame:
    """Of these passages those that ended or matured in the period."""
    counted = ["deal", "rep_id", *STAGE, "counted_on", "fate", "went_on", "stuck", "skipped"]
    ended = joined(book, _ended(book, rows, period, rule, mature_days, counted), groups)
    ended = with_groups(book, ended, groups, "counted_on")
    lost = ended["fate"] == "lost"
    sums = {"deeper": ended["went_on"], "lost": lost, "stuck": ended["stuck"], "skipped": ended["skipped"]}
    return count_table(ended, keys, sums=sums)


def finished_flow(book: Book, counts: FlowCounts, groups: Sequence[str]) -> pd.DataFrame:
    """The stage flow of these counts, whoever made them; of the book only the names of people are used."""
    keys = _flow_keys(groups)
    table = counts.ended.merge(counts.still, on=keys, how="outer", validate="1:1")
    table = table.merge(counts.back, on=keys, how="left", validate="1:1")
    table = table.merge(_times(counts.times, keys), on=keys, how="left", validate="1:1")
    whole = ["n", "deeper", "lost", "stuck", "skipped", "still", "back"]
    table[whole] = table[whole].fillna(0).astype("int64")
    table["value"], table["low"], table["high"] = wilson(table["deeper"], table["n"])
    table = name_reps(book, in_order(table, [*group_keys(groups), "pipeline", "order"]))
    shown = ["n", "deeper", "lost", "stuck", "still", "skipped", "back", "value", "low", "high"]
    times = ["median_days", "median_low", "median_high", "p75_days", "mean_days_advanced", "n_timed"]
    return table[[*_front(groups, ()), *shown, *times]]


def _flow_keys(groups: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*group_keys(groups), *STAGE]))


def _waiting(book: Book, groups: Sequence[str], keys: list[str]) -> pd.DataFrame:
    """Deals that stand in each stage at as_of."""
    rows = visits(book)
    rows = joined(book, _of_deals(book, rows[rows["exit"] == "still"], {"open"}), groups)
    rows = with_groups(book, rows.assign(still_on=book.as_of_on), groups, "still_on")
    return count_table(rows, keys).rename(columns={"n": "still"})


def timed_passages(book: Book) -> pd.DataFrame:
    """Passages whose time is known, void deals left out: days, ended."""
    rows = passages(book)
    rows = rows[_is_timed(rows)]
    return rows.assign(days=ladder_days(rows["age"].to_numpy()), ended=rows["fate"] != "open")


def _is_timed(rows: pd.DataFrame) -> pd.Series:
    return rows["timed"] & (rows["age"] != NO_AGE) & (rows["fate"] != "void")


def _time_counts(
    book: Book, rows: pd.DataFrame, groups: Sequence[str], keys: list[str], period: str | Period | None
) -> pd.DataFrame:
    """Of these passages those that entered in the period, by age and whether they ended."""
    counted = _is_timed(rows) & in_period(book, period, rows["entered_on"])
    rows = rows.loc[counted, ["deal", "rep_id", *STAGE, "entered_on", "age", "fate"]]
    rows = with_groups(book, joined(book, rows, groups), groups, "entered_on")
    rows["ended"] = rows["fate"] != "open"
    return count_table(rows, [*keys, "age", "ended"], sums={"n_timed": rows["fate"] == "deeper"})


def _times(counts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Medians over the passages (open ones censored); the mean of those that went deeper."""
    found = medians(counts, keys)
    names = {"value": "median_days", "low": "median_low", "high": "median_high", "p75": "p75_days"}
    days = ladder_days(counts["age"].to_numpy()) * counts["n_timed"]
    mean = add_up(counts.assign(days=days)[[*keys, "n_timed", "days"]], keys)
    mean["mean_days_advanced"] = mean.pop("days") / mean["n_timed"].where(mean["n_timed"] > 0)
    mean["n_timed"] = mean["n_timed"].where(mean["n_timed"] > 0)
    found = found.rename(columns=names).drop(columns=["p25", "p90"])
    return found.merge(mean, on=keys, how="left", validate="1:1")


def _of_deals(book: Book, rows: pd.DataFrame, outcomes: set[str]) -> pd.DataFrame:
    """The passages or visits of deals with one of these outcomes."""
    wanted = is_in(deals_of(book)["outcome"], outcomes).to_numpy()
    found: pd.DataFrame = rows[wanted[rows["deal"].to_numpy()]]
    return found


def _moves_back(book: Book, groups: Sequence[str], keys: list[str], period: str | Period | None) -> pd.DataFrame:
    rows = visits(book)
    rows = joined(book, _of_deals(book, rows[rows["exit"] == "back"], {*OUTCOMES} - {"void"}), groups)
    rows["exited_on"] = book.local_days(rows["exited_at"])
    rows = rows[in_period(book, period, rows["exited_on"])]
    return count_table(with_groups(book, rows, groups, "exited_on"), keys).rename(columns={"n": "back"})


def visit_counts(book: Book, by: Sequence[str] = ()) -> pd.DataFrame:
    """Count table of visits.

    Returns the groups, pipeline, stage, exit, age and late (ladder codes), first, n, amount_minor, n_amount, amount2.
    """
    rows = joined(book, visits(book)).assign(exited_on=lambda r: book.local_days(r["exited_at"]))
    rows = with_groups(book, rows, by, "exited_on")
    keys = [*group_keys(by), "pipeline", "stage", "exit", "age", "late", "first"]
    return count_table(rows, keys, money="amount_minor")


# --- funnel ----------------------------------------------------------------------------------------


def created_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals created in the period, void ones left out."""
    deals = deals_of(book)
    return only(deals, in_period(book, period, deals["created_on"]) & (deals["outcome"] != "void"))


@metric(
    "Funnel",
    "Of the deals created in the period: the share that has reached each stage so far, by the furthest stage of each "
    "deal.",
    basis="day of creation",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("stage_history", "entered_at")],
    rows=created_deals,
    caveat="Open deals may still go further: deals created lately look worse than they will.",
    why="How far do the deals get that we begin with?",
    uses=[("deals", "amount_minor"), ("changes", "at")],
    repeats=("stage",),
)
def funnel(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Deals by furthest stage reached, with a last row for won deals; it never rises from one stage to the next.

    value = reached / n. Credit goes to the present owner, since the cohort is one of deals, not of stays.

    Returns one row per pipeline, stage (in order, then the won stage; a stage that nobody reached has its row) and
    group: n (deals of the cohort, the same in each stage), reached, value, low, high (95 % Wilson), step (share of
    those that reached the stage before), open (still under way, furthest here), amount (of the deals that reached it;
    null where none of them has one), without_amount.
    """
    need_stages(book)
    groups = parse_by(by)
    deals = with_groups(book, created_deals(book, period), groups, "created_on")
    if deals.empty:
        raise Unavailable("no deal was created in the period")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals), "pipeline"]))
    rows = _reached(book, deals, [*keys, "amount_minor"])
    found = count_table(rows, [*keys, "stage", "order"], money="amount_minor", sums={"open": rows["resting"]})
    table = count_table(deals, keys).merge(_ladder(book), on="pipeline")
    table = table.merge(
        found.rename(columns={"n": "reached"}), on=[*keys, "stage", "order"], how="left", validate="1:1"
    )
    counts = ["reached", "open", "amount_minor", "n_amount"]
    table[counts] = table[counts].fillna(0).astype("int64")
    table["value"], table["low"], table["high"] = wilson(table["reached"], table["n"])
    table = name_reps(book, in_order(table, [*keys, "order"]))
    before = table.groupby(keys)["reached"].shift()
    table["step"] = table["reached"] / before.where(before > 0)
    table["amount"] = known_amount(book, table, "amount_minor", "reached", "n_amount")
    table["without_amount"] = table["reached"] - table["n_amount"]
    shown = ["n", "reached", "value", "low", "high", "step", "open", "amount", "without_amount"]
    return table[[*_front(groups, money_keys(deals)), *shown]]


def _front(groups: Sequence[str], money: Sequence[str]) -> list[str]:
    """The columns that say what a row is about."""
    return list(dict.fromkeys([*group_columns(groups), *money, "pipeline", "stage"]))


def _ladder(book: Book) -> pd.DataFrame:
    """Every working stage and the won stage, in order: pipeline, stage, order."""
    steps = [
        (key, s.key, order) for key, p in book.process.pipelines.items() for order, s in enumerate([*p.working, p.won])
    ]
    return pd.DataFrame(steps, columns=STAGE)


def _reached(book: Book, deals: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row per deal and stage reached, won included, with these columns of the deals.

    `resting` marks the furthest stage of an open deal.
    """
    gone, among = passages(book), np.zeros(len(book.deals), dtype=bool)
    among[deals.index] = True
    gone = only(gone[["deal", "stage", "order"]], pd.Series(among[gone["deal"].to_numpy()], gone.index))
    furthest = np.full(len(among), -1, dtype=np.int64)
    furthest[gone["deal"].to_numpy()] = gone["order"].to_numpy()  # a deal's last passage is through its furthest stage
    open_deals = np.zeros(len(among), dtype=bool)
    open_deals[deals.index[deals["outcome"] == "open"]] = True
    at = gone["deal"].to_numpy()
    gone["resting"] = open_deals[at] & (furthest[at] == gone["order"])
    won = deals[deals["outcome"] == "won"]
    top = _ladder(book).drop_duplicates("pipeline", keep="last")
    last = pd.DataFrame({"deal": won.index, "pipeline": won["pipeline"]}).merge(top, on="pipeline")
    last = last.assign(resting=False).drop(columns="pipeline").astype({"stage": gone["stage"].dtype})
    rows = pd.concat([gone, last], ignore_index=True)
    place = np.zeros(len(among), dtype=np.int64)
    place[deals.index] = np.arange(len(deals))
    texts = [c for c in columns if deals[c].dtype == "str"]
    few = {c: coded(*encoded(deals[c]), deals.index) for c in texts}  # moved as numbers: there are many rows
    added = deals[list(columns)].assign(**few).take(place[rows["deal"].to_numpy()])
    found: pd.DataFrame = pd.concat([rows, added.set_axis(rows.index)], axis=1)
    return found


# --- pipeline --------------------------------------------------------------------------------------


def open_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Deals open at as_of with the age of their stay: age_days, typical_days, order (of the stage), today.

    age_days is null where nobody recorded when the deal entered its stage: its creation says nothing of that.
    A period selects by expected close; a deal without one lies in no period.
    """
    return due_in(book, _all_open(book), period)


@per_book
def _all_open(book: Book) -> pd.DataFrame:
    deals = deals_of(book)
    deals = deals[deals["outcome"] == "open"]
    by_day = book.by_day_only("stage_history", "entered_at")
    age = ladder_codes(_in_stage_since(book, deals), pd.Series(book.as_of, deals.index), book.timezone, by_day)
    deals["age_days"] = np.where(age == NO_AGE, np.nan, ladder_days(age))
    typical = typical_days(book)
    at = pd.MultiIndex.from_frame(deals[["pipeline", "stage"]])
    deals["typical_days"] = typical.reindex(at).to_numpy() if len(typical) else np.nan
    order = {(key, s.key): i for key, p in book.process.pipelines.items() for i, s in enumerate(p.stages)}
    return deals.assign(order=pd.Series(order).reindex(at).to_numpy(), today=book.as_of_on)


def due_in(book: Book, deals: pd.DataFrame, period: str | Period | None) -> pd.DataFrame:
    """The open deals whose expected close lies in the period; where it leaves nothing out, all of them."""
    span = as_period(book, period)
    if is_everything(book, span):
        return deals
    if "expected_close_on" not in deals:
        raise Unavailable("`expected_close_on` is missing in `deals`, so open deals cannot be placed in a period")
    return deals[span.contains(deals["expected_close_on"])]


def placed(book: Book, deals: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Open deals with their groups: of time by the expected close, of people as of today."""
    if "expected_close_on" not in deals and any(g in UNITS for g in groups):
        raise Unavailable("`expected_close_on` is missing in `deals`, so open deals cannot be placed in time")
    return with_groups(book, deals, groups, "expected_close_on", people_on="today")


def _in_stage_since(book: Book, deals: pd.DataFrame) -> pd.Series:
    """When each open deal entered its stage, as observed in the history or noted with the deal; null: unknown."""
    since = pd.Series(pd.NaT, deals.index, dtype="datetime64[us, UTC]")
    if book.has("stage_history", "entered_at"):
        here = visits(book)
        here = here[(here["exit"] == "still") & here["timed"]].drop_duplicates("deal", keep="last")
        since = here.set_index("deal")["entered_at"].reindex(deals.index)
    return since.fillna(deals["stage_changed_at"]) if "stage_changed_at" in deals else since


@per_book
def typical_days(book: Book) -> pd.Series:
    """Per (pipeline, stage): the time within which 80 % of the passages that went deeper did so.

    Null under 20 passages.
    """
    if not book.has("stage_history", "entered_at"):
        return pd.Series(dtype="float64")
    gone = timed_passages(book)
    grouped = gone[gone["fate"] == "deeper"].groupby(["pipeline", "stage"])["days"]
    return grouped.quantile(TYPICAL_SHARE).where(grouped.size() >= TYPICAL_NEEDS)


@metric(
    "Pipeline",
    "Open deals as of the day of the data, by the stage they stand in, with their amounts and the age of their stay.",
    basis="the state of the day of the data; a period or a group of time means the expected close",
    interval="none: a stock is counted, not estimated",
    unit="money",
    needs=[("deals", "outcome")],
    rows=open_deals,
    caveat="Deals without an amount are counted apart and add nothing to the money.",
    why="What is under way, where does it stand, and what has stood there too long?",
    uses=[("deals", "amount_minor"), ("deals", "expected_close_on"), ("stage_history", "entered_at")],
    stock=True,
)
def pipeline(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Open deals by stage.

    Returns one row per pipeline, stage and group: n, value (= amount of the deals that have one; null if none has),
    low, high (null), without_amount, median_age_days (age of the present stay), typical_days (time within which 80 %
    of those that went deeper did so), older_than_typical (null where not one deal's age and typical time are known).
    """
    groups = parse_by(by)
    deals = open_deals(book, period)
    if deals.empty:
        everything = is_everything(book, as_period(book, period))
        if everything:
            raise Unavailable("no deal is open")
        raise Unavailable("no deal is open with an expected close in the period")
    deals = placed(book, deals, groups)
    older = deals["age_days"] > deals["typical_days"]
    judged = deals[["age_days", "typical_days"]].notna().all(axis=1)
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals), *STAGE]))
    table = count_table(deals, keys, money="amount_minor", sums={"older_than_typical": older, "judged": judged})
    table["older_than_typical"] = table["older_than_typical"].where(table["judged"] > 0)
    ages = deals.groupby(keys)[["age_days", "typical_days"]].median().reset_index()
    table = table.merge(ages.rename(columns={"age_days": "median_age_days"}), on=keys, how="left", validate="1:1")
    table = name_reps(book, in_order(table, [*group_keys(groups), *money_keys(deals), "pipeline", "order"]))
    table["value"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["low"] = table["high"] = np.nan
    table["without_amount"] = table["n"] - table["n_amount"]
    shown = ["n", "value", "low", "high", "without_amount", "median_age_days", "typical_days", "older_than_typical"]
    return table[[*_front(groups, money_keys(deals)), *shown]]


def mean_days_in(book: Book, stage: str) -> tuple[float, float, float]:
    """Plain mean of the days from entering a stage to the first deeper entry, with its 95 % interval."""
    gone = timed_passages(book)
    days = gone.loc[(gone["stage"] == stage) & (gone["fate"] == "deeper"), "days"]
    mean, low, high = mean_interval(days.sum(), (days**2).sum(), len(days))
    return float(mean), float(low), float(high)
