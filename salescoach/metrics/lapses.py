"""Lapses: quotes that were missed, customers who waited in vain, next steps that are overdue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import Unavailable
from salescoach.metrics.contacts import contacts, deal_activities, knows_sides
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import due_in, joined, open_deals, placed
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.ladder import NO_AGE
from salescoach.metrics.registry import in_period, metric
from salescoach.metrics.visits import deals_of, owner_at, passages, visits
from salescoach.process import Period, fold_name

QUOTE = "quote"
ASKS_FOR = "activity:"
FAR_OFF = pd.Timestamp("2200-01-01")


# --- missed quotes ---------------------------------------------------------------------------------


def _stages_asking_for(book: Book, activity: str) -> Iterator[tuple[str, str, float]]:
    """(pipeline, stage, expect_days or null) of the stages that want it done before a deal leaves them."""
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            rules = [fold_name(rule) for rule in stage.exit]
            if f"{ASKS_FOR}{activity}" in [rule.replace(f"{ASKS_FOR} ", ASKS_FOR) for rule in rules]:
                yield key, stage.key, np.nan if stage.expect_days is None else float(stage.expect_days)


def recorded_events(book: Book, activity: str) -> tuple[pd.DataFrame, pd.Timestamp]:
    """The days on which it was done (deal, on; in order), and the day from which the data record it at all."""
    parts, since = [], []
    done = deal_activities(book)
    done = done[~done["planned"] & (done["activity_type"] == activity)]
    if len(done):
        parts.append(pd.DataFrame({"deal": done["deal"], "on": book.local_days(done["at"])}))
        since.append(book.local_days(book.table("activities")["at"]).min())
    if activity == QUOTE and book.has("quotes", "at"):
        quotes = book.table("quotes")
        quotes = quotes[quotes["at"] <= book.as_of]
        deal = places_in(quotes["deal_id"], deals_of(book)["deal_id"])
        on = book.local_days(quotes["at"])
        parts.append(pd.DataFrame({"deal": deal, "on": on})[deal >= 0])
        since.append(on.min())
    if not parts or not any(len(part) for part in parts):
        raise Unavailable(
            "no {activity} is recorded in the data, neither as an activity of a deal nor in a table of its own, so "
            "nobody can tell which were missed",
            activity=activity,
        )
    events = pd.concat(parts, ignore_index=True)
    return events.sort_values(["deal", "on"], ignore_index=True), min(since)


def asked_passages(book: Book, period: str | Period | None = None, activity: str = QUOTE) -> pd.DataFrame:
    """Deals that reached, in the period, a stage that asks for the activity: one row per deal and stage, with

    reached_on  first entry; where the stage was passed over, the day a deeper one was reached
    due_on      reached_on + the stage's `expect_days` (null: the stage names none)
    done_on     the first time it was done (null: not so far)
    verdict     done (by due_on), late (afterwards, and after the deal had left the stage or not), never (the deal left
                the stage or the day has passed without it), not_yet (there is still time), unknown (it was due before
                the data record such activities, or nobody knows when the stage was reached)
    """
    wanted = fold_name(activity)
    asking = pd.DataFrame(list(_stages_asking_for(book, wanted)), columns=["pipeline", "stage", "limit_days"])
    if asking.empty:
        raise Unavailable(
            'no stage of the process asks for {activity}: none has `exit = ["activity:{activity}"]`', activity=wanted
        )
    events, recorded_since = recorded_events(book, wanted)
    rows = passages(book).merge(asking.astype({"limit_days": "float64"}), on=["pipeline", "stage"], validate="m:1")
    rows = rows[rows["fate"] != "void"]
    rows["reached_on"] = rows["entered_on"].fillna(rows["ended_on"].where(rows["fate"] == "deeper"))
    rows = rows[in_period(book, period, rows["reached_on"])].reset_index(drop=True)
    rows["due_on"] = rows["reached_on"] + pd.to_timedelta(np.floor(rows["limit_days"]), unit="D")
    rows["done_on"] = rows["deal"].map(events.drop_duplicates("deal").set_index("deal")["on"])
    rows["verdict"] = _verdicts(book, rows, recorded_since)
    return joined(book, rows)


def _verdicts(book: Book, rows: pd.DataFrame, recorded_since: pd.Timestamp) -> pd.Series:
    in_time = rows["done_on"] <= rows["due_on"].fillna(FAR_OFF)
    # where the stage names no limit, leaving it is the limit
    in_time &= rows["due_on"].notna() | ~(rows["done_on"] > rows["ended_on"])
    over = (rows["fate"] != "open") | (rows["due_on"] < book.as_of_on)
    before = rows[["due_on", "ended_on"]].min(axis=1) < recorded_since
    unknown = rows["reached_on"].isna() | (before & rows["done_on"].isna())
    choices = [unknown, in_time, rows["done_on"].notna(), over]
    return pd.Series(np.select(choices, ["unknown", "done", "late", "never"], "not_yet"), rows.index, dtype="str")


def _decided_passages(book: Book, period: Period, activity: str = QUOTE) -> pd.DataFrame:
    rows = asked_passages(book, period, activity)
    return rows[rows["verdict"].isin(["done", "late", "never"])]


@metric(
    "Missed quotes",
    "Of the deals that reached the quote stage or a deeper one: the share without a quote within the days that the "
    "process expects a deal to stay there. A deal that left the stage without a quote counts as missed; one that still "
    "has time does not count yet.",
    basis="day the deal reached the stage",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("stage_history", "entered_at")],
    uses=[("activities", "deal_id"), ("quotes", "at")],
    by=("rep",),
    rows=_decided_passages,
    caveat="A quote that was sent and not recorded counts as missed. The limit is `expect_days` of the stage whose "
    "exit rule in the process file is `activity:quote`.",
    why="Which customers never got the quote that they were waiting for?",
    options={"activity": "What the process asks for before a deal leaves a stage, such as quote or demo."},
)
def missed_quotes(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, activity: str = QUOTE
) -> pd.DataFrame:
    """Share of deals without the quote that their stage asks for.

    value = missed / n, with missed = late + never; n = done in time + late + never (`asked_passages`). Void deals count
    nowhere; credit goes to the owner when the deal left the stage. `activity` names another thing that some stage asks
    for with exit = ["activity:…"]; each such stage is counted by itself.

    Returns one row per group: n, missed, late, never, passed_over (of the missed, those that skipped the stage),
    not_yet, unknown, value, low, high (95 % Wilson). Raises Unavailable where no stage asks for it or the data hold no
    such activity at all.
    """
    groups = parse_by(by)
    rows = with_groups(book, asked_passages(book, period, activity), groups, "reached_on")
    sums = {v: rows["verdict"] == v for v in ("done", "late", "never", "not_yet", "unknown")}
    sums["passed_over"] = rows["skipped"] & rows["verdict"].isin(["late", "never"])
    table = complete(book, count_table(rows, group_keys(groups), sums=sums), groups)
    table["missed"] = table["late"] + table["never"]
    table["n"] = table["done"] + table["missed"]
    table["value"], table["low"], table["high"] = wilson(table["missed"], table["n"])
    shown = ["n", "missed", "late", "never", "passed_over", "not_yet", "unknown", "value", "low", "high"]
    return table[[*group_columns(groups), *shown]]


# --- forgotten follow-ups --------------------------------------------------------------------------


def _touch_limits(book: Book) -> pd.Series:
    """(pipeline, stage) -> the longest silence before a deal counts as forgotten; only where the process says."""
    limits = {
        (key, stage.key): float(stage.touch_every_days)
        for key, line in book.process.pipelines.items()
        for stage in line.working
        if stage.touch_every_days is not None
    }
    if not limits:
        raise Unavailable(
            "no stage of the process says after how long a silence a deal is forgotten: `touch_every_days`"
        )
    return pd.Series(limits, index=pd.MultiIndex.from_tuples(limits))


def _stage_then(book: Book, deal: pd.Series, at: pd.Series) -> pd.Series:
    """The stage that each deal stood in at an instant; without a stage history that of open deals now."""
    deals = deals_of(book)
    if not book.has("stage_history", "entered_at"):
        return deals["stage"].where(deals["outcome"] == "open").reindex(deal).set_axis(deal.index)
    stays = visits(book)
    stays = stays.loc[stays["late"] == NO_AGE, ["deal", "entered_at", "stage"]].sort_values("entered_at", kind="stable")
    asked = pd.DataFrame({"deal": deal, "entered_at": at, "row": np.arange(len(deal))})
    asked = asked.astype(stays[["deal", "entered_at"]].dtypes.to_dict())
    found = pd.merge_asof(asked.sort_values("entered_at", kind="stable"), stays, on="entered_at", by="deal")
    return found.sort_values("row")["stage"].set_axis(deal.index)


@per_book
def waits(book: Book) -> pd.DataFrame:
    """How long each customer waited after a contact of theirs; several in a row before an answer are one.

    deal, at, asked_on  the customer's (first) contact, while the deal was open
    rep_id              the deal's owner then
    stage               where the deal stood then
    answered_on         the seller's next contact (out, a meeting or a demo); null: none so far
    silent_days         calendar days to the answer, else to the close, else to as_of
    limit_days          the stage's `touch_every_days`
    verdict             kept, forgotten (silent for longer), waiting (no answer, still within the limit), unknown (a
                        contact in between does not say its side, or the stage sets no limit)
    """
    limits = _touch_limits(book)
    deals, said = deals_of(book), contacts(book)
    closed = deals["closed_at"].where(deals["outcome"] != "open").reindex(said["deal"]).set_axis(said.index)
    said = said[~(said["at"] > closed) & (deals["outcome"].reindex(said["deal"]) != "void").to_numpy()]
    both = said["meeting"] | said["demo"]
    seller = both | said["side"].eq("out").fillna(False)
    # contacts of one stretch stand between the same two contacts of sellers
    said = said.assign(stretch=seller.astype("int64").cumsum())
    asks = said[~seller & said["side"].eq("in").fillna(False)]
    asks = asks.drop_duplicates(["deal", "stretch"]).drop(columns="rep_id")
    at = pd.MultiIndex.from_frame(asks[["deal", "stretch"]])
    answers = said.assign(stretch=said["stretch"] - 1)[seller].set_index(["deal", "stretch"])["at"]
    asks["answer"] = answers.reindex(at).set_axis(asks.index)
    vague = said[~said["known"]].groupby(["deal", "stretch"])["at"].max()
    hidden = vague.reindex(at).set_axis(asks.index) > asks["at"]
    asks = asks[["deal", "at"]].assign(answer=asks["answer"], hidden=hidden).reset_index(drop=True)
    asks["asked_on"], asks["answered_on"] = book.local_days(asks["at"]), book.local_days(asks["answer"])
    closed_on = deals["closed_on"].where(deals["outcome"] != "open").reindex(asks["deal"]).set_axis(asks.index)
    ended_on = asks["answered_on"].fillna(closed_on)
    asks["silent_days"] = (ended_on.fillna(book.as_of_on) - asks["asked_on"]).dt.days
    asks["rep_id"] = owner_at(book, asks["deal"], asks["at"])
    asks["stage"] = _stage_then(book, asks["deal"], asks["at"])
    pipeline = deals["pipeline"].reindex(asks["deal"]).to_numpy()
    asks["limit_days"] = limits.reindex(pd.MultiIndex.from_arrays([pipeline, asks["stage"]])).to_numpy()
    forgotten = asks["silent_days"] > asks["limit_days"]
    choices = [asks["limit_days"].isna() | (forgotten & asks["hidden"]), forgotten, ended_on.notna()]
    names = ["unknown", "forgotten", "kept"]
    asks["verdict"] = pd.Series(np.select(choices, names, "waiting"), asks.index, dtype="str")
    return asks.drop(columns=["answer", "hidden"])


def customer_contacts(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """`waits` that began in the period, with their deals' columns. Raises Unavailable where sides are not recorded."""
    if not knows_sides(book):
        raise Unavailable(
            "activities do not say which side they came from: `direction` is missing, so nobody knows who kept silent"
        )
    rows = waits(book)
    return joined(book, rows[in_period(book, period, rows["asked_on"])])


def _decided_contacts(book: Book, period: Period) -> pd.DataFrame:
    rows = customer_contacts(book, period)
    return rows[rows["verdict"].isin(["kept", "forgotten"])]


@metric(
    "Forgotten follow-ups",
    "Of the customers' contacts in open deals: the share after which the seller kept silent for longer than the "
    "process allows in that stage. Several contacts in a row count as one.",
    basis="day of the customer's contact",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("activities", "deal_id")],
    uses=[("activities", "direction"), ("stage_history", "entered_at"), ("changes", "at")],
    by=("rep",),
    rows=_decided_contacts,
    caveat="An answer that was given and not recorded counts as silence. Contacts that do not say which side they came "
    "from are not taken as an answer; where one lies in between, the case is counted apart as unknown.",
    why="Which customers called and were left without an answer?",
)
def forgotten_followups(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None
) -> pd.DataFrame:
    """Share of customers' contacts that were forgotten.

    value = forgotten / n, where n are the contacts whose verdict is known (`waits`): kept or forgotten. Silence runs
    in calendar days to the seller's next contact, else to the close, else to as_of; it is forgotten where it is longer
    than `touch_every_days` of the stage in which the deal stood. Credit goes to the owner at that time.

    Returns one row per group: n, forgotten, deals (with a forgotten contact), waiting (still within the limit),
    unknown, value, low, high (95 % Wilson), longest_days (longest silence of the n).
    """
    groups = parse_by(by)
    rows = with_groups(book, customer_contacts(book, period), groups, "asked_on")
    keys = group_keys(groups)
    forgotten = rows["verdict"] == "forgotten"
    first = forgotten & ~rows[forgotten].duplicated(["deal", *keys]).reindex(rows.index, fill_value=False)
    sums = {v: rows["verdict"] == v for v in ("kept", "forgotten", "waiting", "unknown")}
    table = count_table(rows, keys, sums={**sums, "deals": first})
    known = rows[rows["verdict"].isin(["kept", "forgotten"])]
    if keys:
        longest = known.groupby(keys, as_index=False)["silent_days"].max()
        table = table.merge(longest, on=keys, how="left", validate="1:1")
    else:
        table["silent_days"] = known["silent_days"].max()
    table = complete(book, table.astype({"silent_days": "float64"}), groups).rename(
        columns={"silent_days": "longest_days"}
    )
    table["n"] = table["kept"] + table["forgotten"]
    table["value"], table["low"], table["high"] = wilson(table["forgotten"], table["n"])
    shown = ["n", "forgotten", "deals", "waiting", "unknown", "value", "low", "high", "longest_days"]
    return table[[*group_columns(groups), *shown]]


# --- next steps ------------------------------------------------------------------------------------


def knows_plans(book: Book) -> bool:
    """Whether activities say when they are due and whether they are done: without both nobody knows the next step."""
    return book.has("activities", "deal_id", "due_on", "done")


@per_book
def next_steps(book: Book) -> pd.DataFrame:
    """Every open deal with its next step: the columns of `open_deals`, next_due_on (of the earliest planned activity)
    and next_step: overdue, in_future, or without (nothing is planned).

    A step that is due today is not overdue; one without a due date counts as in the future. Raises Unavailable where
    plans are not recorded.
    """
    if not knows_plans(book):
        raise Unavailable(
            "activities of deals do not say when they are due and whether they are done: `due_on`, `done`"
        )
    deals = open_deals(book)
    planned = deal_activities(book)
    planned = planned[planned["planned"]]
    deals["next_due_on"] = planned.groupby("deal")["due_on"].min().reindex(deals.index)
    is_set = deals.index.isin(planned["deal"])
    overdue = deals["next_due_on"] < book.as_of_on
    names = np.select([overdue, is_set], ["overdue", "in_future"], "without")
    return deals.assign(next_step=pd.Series(names, deals.index, dtype="str"))


def _stepping(book: Book, period: Period) -> pd.DataFrame:
    return due_in(book, next_steps(book), period)


@metric(
    "Next steps",
    "Share of open deals whose planned next step is overdue: due before the day of the data and not done. Beside it "
    "the open deals with no next step at all.",
    basis="the state of the day of the data; a period or a group of time means the expected close",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("activities", "deal_id", "due_on", "done")],
    by=("rep",),
    rows=_stepping,
    stock=True,
    caveat="Only what is planned in the CRM is known. Whether a step is done is known as of now, also in a book of a "
    "past day.",
    why="Which deals does nobody know the next date of?",
)
def overdue_next_steps(book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None) -> pd.DataFrame:
    """Share of open deals whose next step is overdue.

    value = overdue / n over all open deals (`next_steps`).

    Returns one row per group: n, overdue, in_future, without_next_step, value, low, high (95 % Wilson), without_share,
    without_low, without_high (95 % Wilson).
    """
    groups = parse_by(by)
    deals = placed(book, due_in(book, next_steps(book), period), groups)
    sums = {name: deals["next_step"] == name for name in ("overdue", "in_future", "without")}
    table = count_table(deals, group_keys(groups), sums=sums).rename(columns={"without": "without_next_step"})
    table = complete(book, table, groups)
    table["value"], table["low"], table["high"] = wilson(table["overdue"], table["n"])
    table["without_share"], table["without_low"], table["without_high"] = wilson(table["without_next_step"], table["n"])
    shown = ["n", "overdue", "in_future", "without_next_step", "value", "low", "high"]
    return table[[*group_columns(groups), *shown, "without_share", "without_low", "without_high"]]
