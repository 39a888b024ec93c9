"""Stage flow, funnel and pipeline: where deals go on, stop and wait."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import mean_interval, wilson
from salescoach.metrics.groups import group_columns, parse_by, with_groups
from salescoach.metrics.ladder import NO_AGE, ladder_codes, ladder_days
from salescoach.metrics.money import major, money_keys
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.times import medians
from salescoach.metrics.visits import deals_of, passages, visits
from salescoach.process import Period

UNKNOWN_TOLERATED = 0.2
TYPICAL_NEEDS = 20
STAGE = ["pipeline", "stage", "order"]
RULES = ("reached", "touched")


def stage_at_close_unknown(book: Book) -> float:
    """Share of lost deals whose stage before the loss is only assumed."""
    lost = book.deals.loc[book.deals["outcome"] == "lost", "deal_id"]
    if "stage_history" not in book.tables or lost.empty:
        return 1.0 if len(lost) else 0.0
    history = book.tables["stage_history"]
    closing = {s.key for p in book.process.pipelines.values() for s in p.stages if s.outcome}
    before = (
        history[~history["stage"].isin(closing)]
        .drop_duplicates("deal_id", keep="last")
        .set_index("deal_id")["evidence"]
    )
    return float((lost.map(before).fillna("assumed") == "assumed").mean())


def need_stages(book: Book) -> None:
    """Raise Unavailable where the stage at loss is unknown for too many deals: it is never assumed."""
    unknown = stage_at_close_unknown(book)
    if unknown > UNKNOWN_TOLERATED:
        raise Unavailable(
            f"the stage from which a deal was lost is unknown for {unknown:.0%} of lost deals: the export has no stage history. "
            "Export the stage history too, or start recording it with `salescoach snapshot`"
        )


def joined(book: Book, rows: pd.DataFrame) -> pd.DataFrame:
    """Passages or visits with their deals' columns, so that they can be split by any of them."""
    deals = deals_of(book)
    return rows.join(deals.drop(columns=[c for c in deals if c in rows]), on="deal")


def ended_passages(book: Book, period: str | Period | None = None, rule: str = "reached") -> pd.DataFrame:
    """Passages that ended in the period, with their deals' columns. `rule="touched"` leaves out stages that were skipped."""
    if rule not in RULES:
        raise UsageError(f"rule={rule!r} is unknown. Rules: {', '.join(RULES)}.")
    need_stages(book)
    span = as_period(book, period)
    rows = passages(book)
    rows = rows[rows["fate"].isin(["deeper", "lost"])]
    inside = span.contains(rows["ended_on"])
    if span.start_on is None:
        inside |= rows["ended_on"].isna().to_numpy()
    rows = rows[inside]
    return joined(book, rows if rule == "reached" else rows[~rows["skipped"]])


@metric(
    "Stage flow",
    "Of the deals whose time in a stage ended: the share that reached a deeper stage (or were won). Days: Kaplan-Meier "
    "median from first entry to the first deeper entry or the loss, in which deals still there count as waiting.",
    basis="day the deal went deeper or was lost",
    interval="95 % Wilson interval of the share; Brookmeyer-Crowley for days",
    unit="share",
    needs=[("stage_history", "entered_at")],
    rows=ended_passages,
    caveat="A skipped stage counts as reached and has no time. Void deals are left out.",
)
def stage_flow(
    book: Book, by: str | Sequence[str] = (), period: str | Period | None = None, rule: str = "reached"
) -> pd.DataFrame:
    """Conversion and time per stage.

    value = deeper / (deeper + lost), of passages that ended in the period. A stage that was passed over counts as reached
    (`rule="touched"`: does not count).

    Returns one row per pipeline, stage (in order) and group: n, deeper, lost, still (deals there at as_of), skipped, back (moves back
    out of the stage), value, low, high (95 % Wilson), median_days, median_low, median_high, p75_days (Kaplan-Meier, all who entered),
    mean_days_advanced (plain mean over the n_timed passages that went deeper).
    """
    groups = parse_by(by)
    keys = [c for c in group_columns(groups) if c != "rep"] + STAGE
    ended = with_groups(book, ended_passages(book, period, rule), groups, "ended_on")
    ended = ended.assign(deeper=ended["fate"] == "deeper", lost=ended["fate"] == "lost")
    counts = count_table(
        ended, keys, sums={"deeper": ended["deeper"], "lost": ended["lost"], "skipped": ended["skipped"]}
    )
    table = counts.merge(_waiting(book, groups, keys, rule), on=keys, how="outer", validate="1:1")
    table = table.merge(_times(book, groups, keys, period), on=keys, how="left", validate="1:1")
    table = table.merge(_moves_back(book, groups, keys, period), on=keys, how="left", validate="1:1")
    for column in ("n", "deeper", "lost", "skipped", "still", "back"):
        table[column] = table[column].fillna(0).astype("int64")
    table["value"], table["low"], table["high"] = wilson(table["deeper"], table["n"])
    table = _named(book, table, groups).sort_values([*group_columns(groups), "pipeline", "order"], ignore_index=True)
    return table[
        [
            *group_columns(groups),
            "pipeline",
            "stage",
            "n",
            "deeper",
            "lost",
            "still",
            "skipped",
            "back",
            "value",
            "low",
            "high",
            "median_days",
            "median_low",
            "median_high",
            "p75_days",
            "mean_days_advanced",
            "n_timed",
        ]
    ]


def _named(book: Book, table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Display names beside rep ids."""
    if "rep" in groups:
        names = book.people.set_index("rep_id")["rep"]
        table = table.assign(rep=table["rep_id"].map(names).fillna(table["rep_id"]))
    return table


def _waiting(book: Book, groups: Sequence[str], keys: list[str], rule: str) -> pd.DataFrame:
    """Deals that stand in each stage at as_of."""
    rows = joined(book, visits(book))
    rows = rows[(rows["exit"] == "still") & (rows["outcome"] == "open")]
    rows = with_groups(book, rows.assign(still_on=book.as_of_on), groups, "still_on")
    return count_table(rows, keys).rename(columns={"n": "still"})


def _times(book: Book, groups: Sequence[str], keys: list[str], period: str | Period | None) -> pd.DataFrame:
    """Medians over all passages that entered in the period (open ones censored), and the mean of those that went deeper."""
    span = as_period(book, period)
    rows = joined(book, passages(book))
    rows = rows[rows["timed"] & (rows["age"] != NO_AGE) & (rows["fate"] != "void") & span.contains(rows["entered_on"])]
    rows = with_groups(book, rows, groups, "entered_on").assign(ended=lambda r: r["fate"] != "open")
    counts = count_table(rows, [*keys, "age", "ended", "fate"])
    found = medians(counts, keys).rename(
        columns={"value": "median_days", "low": "median_low", "high": "median_high", "p75": "p75_days"}
    )
    gone = counts[counts["fate"] == "deeper"]
    gone = gone.assign(days=ladder_days(gone["age"].to_numpy()) * gone["n"])
    mean = gone.groupby(keys, dropna=False, as_index=False)[["days", "n"]].sum()
    mean["mean_days_advanced"] = mean["days"] / mean["n"]
    mean = mean.rename(columns={"n": "n_timed"}).drop(columns="days")
    return found.drop(columns=["p25", "p90"]).merge(mean, on=keys, how="left", validate="1:1")


def _moves_back(book: Book, groups: Sequence[str], keys: list[str], period: str | Period | None) -> pd.DataFrame:
    span = as_period(book, period)
    rows = visits(book)
    rows = rows[rows["exit"] == "back"]
    rows = joined(book, rows).assign(exited_on=book.local_days(rows["exited_at"]))
    rows = rows[span.contains(rows["exited_on"])]
    return count_table(with_groups(book, rows, groups, "exited_on"), keys).rename(columns={"n": "back"})


def visit_counts(book: Book, by: Sequence[str] = ()) -> pd.DataFrame:
    """Count table of visits: groups, pipeline, stage, exit, age (ladder code), late, first, n, amount_minor, n_amount, amount2."""
    rows = joined(book, visits(book)).assign(exited_on=lambda r: book.local_days(r["exited_at"]))
    rows = with_groups(book, rows, by, "exited_on")
    keys = [c for c in group_columns(by) if c != "rep"]
    return count_table(rows, [*keys, "pipeline", "stage", "exit", "age", "late", "first"], money="amount_minor")


# --- funnel ----------------------------------------------------------------------------------------


def created_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals created in the period, void ones left out."""
    deals = deals_of(book)
    span = as_period(book, period)
    inside = span.contains(deals["created_on"])
    if span.start_on is None:
        inside |= deals["created_on"].isna().to_numpy()
    return deals[inside & (deals["outcome"] != "void").to_numpy()]


@metric(
    "Funnel",
    "Of the deals created in the period: the share that has reached each stage so far, by the furthest stage of each deal.",
    basis="day of creation",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("stage_history", "entered_at")],
    rows=created_deals,
    caveat="Open deals may still go further: a young cohort looks worse than it will be.",
)
def funnel(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Deals by furthest stage reached, with a last row for won deals; it never rises from one stage to the next.

    Returns one row per pipeline, stage (in order, then the won stage) and group: n (deals of the cohort), reached, value (reached / n),
    low, high (95 % Wilson), step (share of those that reached the stage before), open (still under way, furthest here), amount (of the
    deals that reached it), without_amount.
    """
    need_stages(book)
    groups = parse_by(by)
    deals = with_groups(book, created_deals(book, period), groups, "created_on")
    if deals.empty:
        raise Unavailable("no deal was created in the period")
    keys = [c for c in group_columns(groups) if c != "rep"] + ["pipeline"]
    rows = _reached(book, deals)
    counts = count_table(
        rows, [*keys, "stage", "order", "currency"], money="amount_minor", sums={"open": rows["resting"]}
    )
    keys += money_keys(counts)
    table = add_up(counts.rename(columns={"n": "reached"}), [*keys, "stage", "order"])
    size = add_up(count_table(deals, [*dict.fromkeys([*keys, "currency"])]), keys)
    table = table.merge(size[[*keys, "n"]], on=keys, how="left", validate="m:1")
    table["value"], table["low"], table["high"] = wilson(table["reached"], table["n"])
    table = _named(book, table, groups).sort_values([*keys, "order"], ignore_index=True)
    before = table.groupby(keys, dropna=False)["reached"].shift()
    table["step"] = table["reached"] / before.where(before > 0)
    table["amount"] = major(book, table, "amount_minor")
    table["without_amount"] = table["reached"] - table["n_amount"]
    return table[
        [
            *group_columns(groups),
            *money_keys(counts),
            "pipeline",
            "stage",
            "n",
            "reached",
            "value",
            "low",
            "high",
            "step",
            "open",
            "amount",
            "without_amount",
        ]
    ]


def _reached(book: Book, deals: pd.DataFrame) -> pd.DataFrame:
    """One row per deal and stage reached, the won stage included; `resting` marks the furthest stage of an open deal."""
    gone = passages(book)[["deal", "stage", "order"]]
    gone = gone[gone["deal"].isin(deals.index)]
    closing = {k: (p.won.key, len(p.working)) for k, p in book.process.pipelines.items()}
    won = deals[deals["outcome"] == "won"]
    last = pd.DataFrame(
        {
            "deal": won.index,
            "stage": won["pipeline"].map({k: v[0] for k, v in closing.items()}).to_numpy(),
            "order": won["pipeline"].map({k: v[1] for k, v in closing.items()}).to_numpy(),
        }
    )
    rows = pd.concat([gone, last], ignore_index=True)
    furthest = rows.groupby("deal")["order"].transform("max")
    rows = rows.join(deals.drop(columns="stage"), on="deal")
    rows["resting"] = (rows["order"] == furthest) & (rows["outcome"] == "open")
    return rows


# --- pipeline --------------------------------------------------------------------------------------


def open_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Deals open at as_of with the age of their stay: age (ladder code), age_days. A period selects by expected close."""
    deals = deals_of(book)
    deals = deals[deals["outcome"] == "open"].copy()
    span = as_period(book, period)
    if span.start_on is not None:
        if "expected_close_on" not in deals:
            raise Unavailable("`expected_close_on` is missing in `deals`, so open deals cannot be placed in a period")
        deals = deals[span.contains(deals["expected_close_on"])]
    since = deals["created_at"]
    if book.has("stage_history", "entered_at"):
        here = visits(book)
        entered = here[here["exit"] == "still"].drop_duplicates("deal", keep="last").set_index("deal")["entered_at"]
        since = pd.Series(deals.index.map(entered), deals.index).astype(since.dtype).fillna(since)
    age = ladder_codes(
        since, pd.Series(book.as_of, deals.index), book.timezone, book.by_day_only("stage_history", "entered_at")
    )
    deals["age_days"] = np.where(age == NO_AGE, np.nan, ladder_days(age))
    order = {(k, s.key): i for k, p in book.process.pipelines.items() for i, s in enumerate(p.stages)}
    deals["order"] = [order[pair] for pair in zip(deals["pipeline"], deals["stage"], strict=True)]
    return deals


def typical_days(book: Book, share: float = 0.8) -> pd.Series:
    """Per (pipeline, stage): the time within which `share` of the passages that went deeper did so. Null under 20 passages."""
    if not book.has("stage_history", "entered_at"):
        return pd.Series(dtype="float64")
    gone = passages(book)
    gone = gone[(gone["fate"] == "deeper") & gone["timed"] & (gone["age"] != NO_AGE)]
    days = pd.Series(ladder_days(gone["age"].to_numpy()), gone.index)
    grouped = days.groupby([gone["pipeline"], gone["stage"]])
    return grouped.quantile(share).where(grouped.size() >= TYPICAL_NEEDS)


@metric(
    "Pipeline",
    "Open deals as of the day of the data, by the stage they stand in, with their amounts and the age of their stay.",
    basis="stock at as_of (a period selects by expected close)",
    interval="none: a stock is counted, not estimated",
    unit="money",
    needs=[("deals", "outcome")],
    rows=open_deals,
    caveat="Deals without an amount are counted apart and add nothing to the money.",
)
def pipeline(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Open deals by stage.

    Returns one row per pipeline, stage and group: n, value (= amount of the deals that have one; null if none has), low, high (null),
    without_amount, median_age_days (age of the present stay), typical_days (time within which 80 % of those that went deeper did so),
    older_than_typical.
    """
    groups = parse_by(by)
    deals = open_deals(book, period).assign(today=book.as_of_on)
    if deals.empty:
        raise Unavailable(
            "no deal is open" + (" with an expected close in the period" if as_period(book, period).start_on else "")
        )
    deals = with_groups(book, deals, groups, "today")
    typical = typical_days(book)
    at = pd.MultiIndex.from_frame(deals[["pipeline", "stage"]])
    deals["typical_days"] = typical.reindex(at).to_numpy() if len(typical) else np.nan
    older = deals["age_days"] > deals["typical_days"]
    keys = [c for c in group_columns(groups) if c != "rep"]
    counts = count_table(deals, [*keys, *STAGE, "currency"], money="amount_minor", sums={"older_than_typical": older})
    keys += money_keys(counts) + STAGE
    table = add_up(counts, keys)
    ages = deals.groupby(keys, dropna=False)[["age_days", "typical_days"]].median().reset_index()
    table = table.merge(ages.rename(columns={"age_days": "median_age_days"}), on=keys, how="left", validate="1:1")
    table = _named(book, table, groups)
    table["value"] = major(book, table, "amount_minor").where(table["n_amount"] > 0)
    table["low"] = table["high"] = np.nan
    table["without_amount"] = table["n"] - table["n_amount"]
    table = table.sort_values([*group_columns(groups), *money_keys(counts), "pipeline", "order"], ignore_index=True)
    return table[
        [
            *group_columns(groups),
            *money_keys(counts),
            "pipeline",
            "stage",
            "n",
            "value",
            "low",
            "high",
            "without_amount",
            "median_age_days",
            "typical_days",
            "older_than_typical",
        ]
    ]


def mean_days_in(book: Book, stage: str) -> tuple[float, float, float]:
    """Plain mean of the days from entering a stage to the first deeper entry, with its 95 % interval."""
    gone = passages(book)
    gone = gone[(gone["stage"] == stage) & (gone["fate"] == "deeper") & gone["timed"] & (gone["age"] != NO_AGE)]
    days = ladder_days(gone["age"].to_numpy())
    mean, low, high = mean_interval(days.sum(), (days**2).sum(), len(days))
    return float(mean), float(low), float(high)
