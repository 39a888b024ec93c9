"""Conformance: what the process file asks of a deal in each stage, held against what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.book.texts import coded, repeated
from salescoach.metrics.contacts import contacts, deal_activities, knows_contacts
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import joined, need_stages
from salescoach.metrics.groups import group_columns, group_keys, in_order, name_reps, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.lapses import knows_plans, next_steps
from salescoach.metrics.registry import in_period, metric, only
from salescoach.metrics.timeline import QUOTE, days_within, quote_days
from salescoach.metrics.visits import deals_of, passages
from salescoach.process import Period, Stage, fold_name
from salescoach.wording import N_

DEVIATIONS = ("skipped", "enter", "exit", "touch", "stay", "next_step")
VERDICTS = pd.CategoricalDtype(["broken", "kept", "not_yet", "unknown", ""])
ASKS_FOR = "activity:"
PLACE = ["pipeline", "stage", "order"]
CHECKED = ["deal", "rep_id", "pipeline", "stage", "order", "deviation", "rule", "verdict", "decided_on", "days"]

FREE_TEXT = N_("free text: only people can tell")
NO_COLUMN = N_("the data have no such column, or it is empty")
NO_ACTIVITY = N_("the data hold no such activity")
NO_CONTACTS = N_("the data do not say which deals were contacted")
NO_PLANS = N_("the data do not say what is planned next")


def rule_of(rule: str) -> tuple[str, str]:
    """What an `enter` or `exit` rule asks for: ("activity", its type), ("column", its name) or ("text", the rule)."""
    folded = fold_name(rule)
    if folded.replace(" ", "").startswith(ASKS_FOR):
        return "activity", folded.split(":", 1)[1].strip()
    return ("column", rule) if _is_name(rule) else ("text", rule)


def _is_name(rule: str) -> bool:
    """Whether a rule is the name of a column: ours, or one word as the data may have it."""
    return rule in TABLES["deals"].columns or rule.isidentifier()


def unchecked(book: Book) -> pd.DataFrame:
    """What the process file asks for and these data cannot tell: pipeline, stage, deviation, rule ("" where the stage
    sets a limit and no rule), why.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            for deviation, rules in (("enter", stage.enter), ("exit", stage.exit)):
                rows += [(key, stage.key, deviation, r, why) for r in rules if (why := _unknown_rule(book, r))]
            if stage.touch_every_days is not None and not knows_contacts(book):
                rows.append((key, stage.key, "touch", "", NO_CONTACTS))
            if not knows_plans(book):
                rows.append((key, stage.key, "next_step", "", NO_PLANS))
    return pd.DataFrame(rows, columns=["pipeline", "stage", "deviation", "rule", "why"])


def _unknown_rule(book: Book, rule: str) -> str:
    """Why the data cannot tell whether a rule was kept; "" where they can."""
    kind, name = rule_of(rule)
    if kind == "text":
        return FREE_TEXT
    if kind == "activity":
        return "" if len(_done(book, name)) else NO_ACTIVITY
    return "" if book.has("deals", name) else NO_COLUMN


# --- the checks ------------------------------------------------------------------------------------


def checks(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Every check of every deal and stage that was decided in the period, with those that are not decided yet.

    deviation  skipped    the deal passed the stage over (decided when it went deeper)
               enter      it came in without what `enter` asks for (rule)
               exit       it went on without what `exit` asks for (rule); a deal lost from the stage owes nothing
               touch      nobody contacted the customer for longer than `touch_every_days` while it stood there
               stay       it stood there for longer than `expect_days`
               next_step  it is open, and nothing is planned or what is planned is overdue
    verdict    broken, kept, not_yet (it may still be kept) or unknown (the data begin too late, or a date is missing)
    decided_on the day on which it was broken, or on which it could not be any more; of not_yet the day of the data
    days       of stay and touch: how long the stay, and the longest silence, lasted; else null

    A column counts as filled in where it holds a value today: when that was written is not known. Void deals owe
    nothing. deal is a row of `book.deals`; rep_id the owner when the deal left the stage; order the stage's place.
    Raises Unavailable where the stages of lost deals are unknown.
    """
    parts = [only(part, in_period(book, period, part["decided_on"])) for part in _parts(book)]
    return pd.concat(parts, ignore_index=True)[CHECKED]


def _parts(book: Book) -> Iterator[pd.DataFrame]:
    """The checks of one deviation after the other."""
    need_stages(book)
    for check in (_skipped, _entries, _exits, _touches, _stays, _next_steps):
        found = list(check(book))
        if found:
            part = found[0] if len(found) == 1 else pd.concat(found, ignore_index=True)
            yield only(part, part["verdict"] != "").reset_index(drop=True)


@per_book
def stage_passages(book: Book) -> pd.DataFrame:
    """The passages that owe anything: without those of void deals."""
    rows = passages(book)
    return only(rows, rows["fate"] != "void").reset_index(drop=True)


def _checked(
    rows: pd.DataFrame,
    deviation: str,
    verdict: pd.Series,
    decided_on: pd.Series,
    rule: str | None = None,
    days: pd.Series | None = None,
) -> pd.DataFrame:
    """The table of one check; a verdict of "" is none."""
    table = rows[["deal", "rep_id", "pipeline", "stage", "order"]].copy()
    kinds = sorted(DEVIATIONS)  # as categories they sort as texts do
    table["deviation"] = coded(np.full(len(rows), kinds.index(deviation), dtype=np.int8), kinds, rows.index)
    table["rule"] = repeated(rule, rows.index)
    table["verdict"], table["decided_on"] = verdict, decided_on
    table["days"] = np.nan if days is None else days.astype("float64")
    return table


def _verdict(rows: pd.DataFrame, **cases: pd.Series) -> pd.Series:
    """The name of the first case that holds, "" where none does; a category, for there is one per passage."""
    codes = np.full(len(rows), VERDICTS.categories.get_loc(""), "int8")
    for case in reversed(cases):
        codes[cases[case].to_numpy(dtype=bool)] = VERDICTS.categories.get_loc(case)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=VERDICTS), rows.index)


def _skipped(book: Book) -> Iterator[pd.DataFrame]:
    rows = stage_passages(book)
    rows = rows[rows["fate"] == "deeper"]
    yield _checked(rows, "skipped", _verdict(rows, broken=rows["skipped"], kept=~rows["skipped"]), rows["ended_on"])


def _asking(book: Book, rules_of: Callable[[Stage], tuple[str, ...]]) -> Iterator[tuple[pd.DataFrame, str]]:
    """The passages with a stay in each stage that sets a rule which the data can tell, and the rule."""
    rows = stage_passages(book)
    rows = rows[~rows["skipped"]]
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            here = rows[(rows["pipeline"] == key) & (rows["stage"] == stage.key)]
            yield from ((here, rule) for rule in dict.fromkeys(rules_of(stage)) if not _unknown_rule(book, rule))


def _entries(book: Book) -> Iterator[pd.DataFrame]:
    for rows, rule in _asking(book, lambda stage: stage.enter):
        there, unknown = _there(book, rows, rule, rows["entered_on"])
        verdict = _verdict(rows, kept=there, unknown=unknown, broken=~there)
        yield _checked(rows, "enter", verdict, rows["entered_on"], rule)


def _exits(book: Book) -> Iterator[pd.DataFrame]:
    for rows, rule in _asking(book, lambda stage: stage.exit):
        there, unknown = _there(book, rows, rule, rows["ended_on"])
        is_open, went_on = rows["fate"] == "open", rows["fate"] == "deeper"
        verdict = _verdict(
            rows, not_yet=is_open, kept=went_on & there, unknown=went_on & unknown, broken=went_on & ~there
        )
        yield _checked(rows, "exit", verdict, rows["ended_on"].mask(is_open, book.as_of_on), rule)


def _there(book: Book, rows: pd.DataFrame, rule: str, by_on: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Whether what a rule asks for was there on a day, and where the data cannot tell."""
    kind, name = rule_of(rule)
    if kind == "column":
        filled = deals_of(book)[name].notna().to_numpy()[rows["deal"]]
        return pd.Series(filled, rows.index), pd.Series(False, rows.index)
    done = _done(book, name)
    first = done.drop_duplicates("deal").set_index("deal")["on"].reindex(rows["deal"]).set_axis(rows.index)
    began = _recorded_since(book, name)
    return first <= by_on, by_on.isna() | (by_on < began)


def _done(book: Book, activity: str) -> pd.DataFrame:
    """The days on which an activity of a deal was done: deal, on; in the order of both."""
    if activity == QUOTE:
        return quote_days(book)
    rows = deal_activities(book)
    rows = rows[~rows["planned"] & (rows["activity_type"] == activity)]
    days = pd.DataFrame({"deal": rows["deal"].astype("int64"), "on": book.local_days(rows["at"])})
    return days.sort_values(["deal", "on"], kind="stable", ignore_index=True)


def _recorded_since(book: Book, activity: str) -> pd.Timestamp:
    """The day from which the data record such activities at all."""
    first = pd.Timestamp(_done(book, activity)["on"].min())
    if not knows_contacts(book):
        return first
    return min(first, pd.Timestamp(book.local_days(book.table("activities")["at"]).min()))


def _limits(book: Book, rows: pd.DataFrame, of: Callable[[Stage], float | None]) -> pd.Series:
    """What each passage's stage allows, in whole days; null where it sets nothing."""
    limits = {(k, s.key): of(s) for k, line in book.process.pipelines.items() for s in line.working}
    known = pd.Series(limits, index=pd.MultiIndex.from_tuples(limits), dtype="float64")
    found = known.reindex(pd.MultiIndex.from_frame(rows[["pipeline", "stage"]])).to_numpy()
    return pd.Series(np.floor(found), rows.index)


def _lasting(book: Book, limit_of: Callable[[Stage], float | None]) -> pd.DataFrame:
    """The passages with a stay in stages that set a limit, with limit, until (its end, or the day of the data) and
    stay_days.
    """
    rows = stage_passages(book)
    rows = rows[~rows["skipped"]].copy()
    rows["limit"] = _limits(book, rows, limit_of)
    rows = rows[rows["limit"].notna()].reset_index(drop=True)
    rows["until"] = rows["ended_on"].mask(rows["fate"] == "open", book.as_of_on)
    rows["stay_days"] = (rows["until"] - rows["entered_on"]).dt.days
    return rows


def _stays(book: Book) -> Iterator[pd.DataFrame]:
    rows = _lasting(book, lambda stage: stage.expect_days)
    unknown = rows["stay_days"].isna() | (rows["stay_days"] < 0) | ~rows["timed"]
    over, is_open = rows["stay_days"] > rows["limit"], rows["fate"] == "open"
    verdict = _verdict(rows, unknown=unknown, broken=over, not_yet=is_open, kept=~over)
    broken_on = rows["entered_on"] + pd.to_timedelta(rows["limit"] + 1, unit="D")
    decided_on = rows["until"].mask(over & ~unknown, broken_on)
    yield _checked(rows, "stay", verdict, decided_on, days=rows["stay_days"])


def _touches(book: Book) -> Iterator[pd.DataFrame]:
    if not knows_contacts(book):
        return
    rows = _lasting(book, lambda stage: stage.touch_every_days)
    silent = longest_silences(book, rows, rows["until"])
    since = book.local_days(book.table("activities")["at"]).min()
    unknown = rows["stay_days"].isna() | (rows["stay_days"] < 0) | (rows["entered_on"] < since)
    over, is_open = silent["first_on"].notna(), rows["fate"] == "open"
    verdict = _verdict(rows, unknown=unknown, broken=over, not_yet=is_open, kept=~over)
    yield _checked(rows, "touch", verdict, rows["until"].mask(over & ~unknown, silent["first_on"]), days=silent["days"])


def longest_silences(book: Book, rows: pd.DataFrame, until: pd.Series) -> pd.DataFrame:
    """The longest stretch without a contact from the entry of each passage to `until`, in calendar days.

    rows   passages with a stay and `limit` (days), numbered from 0 on

    Returns, in their order: days, first_on (the day on which a silence first was longer than the limit; null: none).
    """
    said = contacts(book)
    on = book.local_days(said["at"])
    each = pd.DataFrame({"deal": said["deal"].to_numpy(), "on": on.to_numpy()})
    each = each[each["deal"].isin(rows["deal"])].drop_duplicates()
    windows = rows[["deal", "order"]].assign(**{"from": rows["entered_on"], "until": until})
    windows = windows[windows["from"] <= windows["until"]]
    inside = days_within(each, windows)
    edges = pd.concat(
        [
            pd.DataFrame({"place": windows.index, "on": windows["from"]}),
            pd.DataFrame({"place": inside["window"], "on": inside["on"]}),
            pd.DataFrame({"place": windows.index, "on": windows["until"]}),
        ]
    ).sort_values(["place", "on"], kind="stable", ignore_index=True)
    gap = (edges["on"].shift(-1) - edges["on"]).dt.days.where(edges["place"] == edges["place"].shift(-1))
    limit = rows["limit"].reindex(edges["place"]).to_numpy()
    late = gap.to_numpy() > limit
    first = edges[late].assign(day=edges["on"] + pd.to_timedelta(limit + 1, unit="D")).drop_duplicates("place")
    found = pd.DataFrame({"days": gap.groupby(edges["place"]).max().reindex(rows.index)})
    return found.assign(first_on=first.set_index("place")["day"].reindex(rows.index))


def _next_steps(book: Book) -> Iterator[pd.DataFrame]:
    if not knows_plans(book):
        return
    rows = next_steps(book).rename_axis("deal").reset_index()
    kept = rows["next_step"] == "in_future"
    yield _checked(rows, "next_step", _verdict(rows, kept=kept, broken=~kept), rows["today"])


# --- the metric ------------------------------------------------------------------------------------


def deviating_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The checks that were broken in the period, with their deals' columns."""
    rows = checks(book, period)
    return joined(book, rows[rows["verdict"] == "broken"].reset_index(drop=True))


def _decided_checks(book: Book, period: Period) -> pd.DataFrame:
    rows = checks(book, period)
    return joined(book, rows[rows["verdict"].isin(["broken", "kept"])].reset_index(drop=True))


@metric(
    "Deviations from the process",
    "Of the checks that the process file sets for each deal and stage and that can be told from the data: the share "
    "not kept. Checked are stages passed over, what must be there to come in and to move on, the longest silence "
    "allowed, the days expected in a stage, and the next step of open deals.",
    basis="day on which the check was broken, or could not be broken any more",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("stage_history", "entered_at")],
    uses=[("activities", "deal_id"), ("activities", "due_on", "done"), ("quotes", "at"), ("changes", "at")],
    rows=_decided_checks,
    caveat="What was done and not recorded counts as not done. Whether a field was filled in is known as of today, not "
    "as of the day on which it was due. Free text in the process file cannot be checked.",
    why="Where do we leave our own process?",
)
def conformance(book: Book, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Share of checks that were broken.

    value = broken / n, where n = broken + kept are the decided checks (`checks`). Groups may be, beside those of deals,
    `stage` and `rule`. Credit goes to the owner when the deal left the stage.

    Returns one row per group (by="stage" with its pipeline) and deviation (skipped, enter, exit, touch, stay,
    next_step): deviation, n, broken, value, low, high (95 % Wilson), deals (with a broken check), not_yet, unknown.
    """
    groups = parse_by(by)
    front = [*(g for g in groups if g != "stage"), *(PLACE if "stage" in groups else [])]
    keys = group_keys(front)
    parts = (only(part, in_period(book, period, part["decided_on"])) for part in _parts(book))
    counted = (with_groups(book, joined(book, part, groups), groups, "decided_on") for part in parts)
    table = pd.concat([_counts(rows, keys) for rows in counted], ignore_index=True)
    table["n"] = table["broken"] + table["kept"]
    table["value"], table["low"], table["high"] = wilson(table["broken"], table["n"])
    table["turn"] = table["deviation"].map({deviation: i for i, deviation in enumerate(DEVIATIONS)})
    table = name_reps(book, in_order(table, [*(k for k in keys if k != "stage"), "turn"]))
    shown = ["deviation", "n", "broken", "value", "low", "high", "deals", "not_yet", "unknown"]
    return table[[*(c for c in group_columns(front) if c != "order"), *shown]]


def _counts(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    broken = rows["verdict"] == "broken"
    first = broken & ~rows[broken].duplicated(["deal", *keys]).reindex(rows.index, fill_value=False)
    sums = {name: rows["verdict"] == name for name in ("broken", "kept", "not_yet", "unknown")}
    return count_table(rows, [*keys, "deviation"], sums={**sums, "deals": first})
