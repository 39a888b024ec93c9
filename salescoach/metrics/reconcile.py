"""Reconciliation: why the CRM's own figure is another, deal by deal and definition by definition."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book, is_in
from salescoach.errors import UsageError
from salescoach.metrics.money import major
from salescoach.metrics.outcomes import loss_kinds
from salescoach.metrics.registry import Measure, as_period, counted_rows, find_metric, is_everything, measure
from salescoach.metrics.visits import deals_of
from salescoach.process import Period
from salescoach.wording import N_

TEST_WORDS = r"\b(?:test|testing|dummy|demo deal|sandbox)\b|测试|试用数据"
NOT_FIGURES = ("low", "high", "order")
DEFINITIONS = ["definition", "value", "n", "distance", "matches", "command"]
DIFFERENCES = ["deal_id", "where", "why", "ours", "theirs"]
CENT = 0.005
EDGE_DAYS = 1

BOTH, THEIRS, OURS = N_("both"), N_("only theirs"), N_("only ours")
SET_ASIDE = N_("its row was set aside")
UNKNOWN_DEAL = N_("the data have no such deal")
IS_VOID = N_("void here")
IS_OPEN = N_("still open here")
OTHER_PERIOD = N_("decided outside the period")
OTHER_PERIOD_CREATED = N_("decided outside the period, but created in it")
OTHER_PERIOD_PLANNED = N_("decided outside the period, but its expected close lies in it")
NO_CLOSE = N_("decided here, but without a close date")
OTHER_SCOPE = N_("of another rep or team here")
NOT_COUNTED = N_("not counted by this metric")
TEST_DEAL = N_("looks like a test deal")
AT_THE_EDGE = N_("decided within a day of the period's ends: a report in another time zone has it elsewhere")
PLANNED_ELSEWHERE = N_("its expected close lies outside the period")
LEFT_OUT = N_("their report leaves it out")
OTHER_OUTCOME, OTHER_AMOUNT = N_("other outcome"), N_("other amount")
OTHER_CLOSE, OTHER_OWNER = N_("other close date"), N_("other owner")


# --- deal by deal ----------------------------------------------------------------------------------


def differing_deals(
    book: Book,
    name: str,
    theirs: pd.DataFrame,
    period: str | Period | None = None,
    within: Book | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The deals in which the CRM's report differs from ours, and why.

    theirs   one row per deal of their report: deal_id, and optionally outcome (won, lost, open, void), amount (a number
             in units of the deal's currency), closed_on (a day), rep_id
    within   the slice that the report is about; default: the whole book

    Returns one row per deal and difference: deal_id, where (only theirs, only ours, both), why, ours, theirs (what each
    has). Raises Unavailable where the metric is, and UsageError where it does not count deals.
    """
    scope, span = within or book, as_period(book, period)
    counted = counted_rows(scope, name, span, **options)
    if "deal_id" not in counted or "outcome" not in counted:
        raise UsageError("{name} does not count deals, so it cannot be compared with a list of deals.", name=name)
    ours, theirs = counted.drop_duplicates("deal_id"), theirs.drop_duplicates("deal_id")
    theirs = theirs.assign(deal_id=theirs["deal_id"].astype("str"))
    listed = is_in(theirs["deal_id"], ours["deal_id"])
    parts = [
        _only_theirs(book, scope, theirs[~listed], span),
        _only_ours(ours[~is_in(ours["deal_id"], theirs["deal_id"])], span, book),
        *_both(book, ours, theirs[listed]),
    ]
    made = pd.concat([p[DIFFERENCES] for p in parts if len(p)] or [pd.DataFrame(columns=DIFFERENCES)])
    return made.sort_values(["where", "why", "deal_id"], kind="stable", ignore_index=True)


def _only_theirs(book: Book, scope: Book, theirs: pd.DataFrame, span: Period) -> pd.DataFrame:
    """Why we do not count what they do, by the first reason that holds."""
    deals = deals_of(book).drop_duplicates("deal_id").set_index("deal_id")
    ids = theirs["deal_id"]
    known = deals.reindex(ids).set_axis(theirs.index)
    there = is_in(ids, deals.index)
    in_scope = is_in(ids, deals_of(scope)["deal_id"])
    decided = known["outcome"].isin(["won", "lost"])
    inside = pd.Series(span.contains(known["closed_on"]), theirs.index) | is_everything(book, span)
    outside = decided & known["closed_on"].notna() & ~inside
    why = pd.Series(NOT_COUNTED, theirs.index, dtype="str")
    why = why.mask(outside, OTHER_PERIOD)
    if "expected_close_on" in known:
        why = why.mask(outside & span.contains(known["expected_close_on"]), OTHER_PERIOD_PLANNED)
    why = why.mask(outside & span.contains(known["created_on"]), OTHER_PERIOD_CREATED)
    why = why.mask(decided & known["closed_on"].isna() & ~inside, NO_CLOSE)
    why = why.mask(known["outcome"] == "open", IS_OPEN).mask(known["outcome"] == "void", IS_VOID)
    why = why.mask(there & ~in_scope, OTHER_SCOPE).mask(~there, UNKNOWN_DEAL)
    reasons = _set_aside(book)
    missing = ~there & ids.isin(reasons.index)
    why = why.mask(missing, SET_ASIDE)
    ours = known["closed_on"].dt.strftime("%Y-%m-%d").where(outside).astype("str")
    ours = ours.fillna(known["outcome"].astype("str")).mask(missing, ids.map(reasons))
    stated = theirs["outcome"] if "outcome" in theirs else pd.Series(None, theirs.index, dtype="str")
    return pd.DataFrame({"deal_id": ids, "where": THEIRS, "why": why, "ours": ours, "theirs": stated.astype("str")})


def _set_aside(book: Book) -> pd.Series:
    """Deal id -> the reason for which its row was set aside."""
    out = book.quarantine
    if out.empty:
        return pd.Series(dtype="str")
    out = out[out["table"] == "deals"]
    found: dict[str, str] = {}
    for raw, reason in zip(out["raw"], out["reason"], strict=True):
        for value in _values(raw):
            found.setdefault(value, str(reason))
    return pd.Series(found, dtype="str")


def _values(raw: object) -> Iterator[str]:
    """The fields of a quarantined row: its id is one of them, under whatever header."""
    try:
        fields = json.loads(str(raw))
    except ValueError:
        return
    yield from (str(v).strip() for v in (fields.values() if isinstance(fields, dict) else fields) if v)


def _only_ours(ours: pd.DataFrame, span: Period, book: Book) -> pd.DataFrame:
    """Why they may not count what we do."""
    why = pd.Series(LEFT_OUT, ours.index, dtype="str")
    if not is_everything(book, span):
        if "expected_close_on" in ours:
            planned = ours["expected_close_on"].notna() & ~pd.Series(
                span.contains(ours["expected_close_on"]), ours.index
            )
            why = why.mask(planned, PLANNED_ELSEWHERE)
        edges = [pd.Timestamp(d) for d in (span.start_on, span.end_on) if d is not None]
        near = [(ours["closed_on"] - edge).abs().dt.days < EDGE_DAYS for edge in edges]
        why = why.mask(pd.concat(near, axis=1).any(axis=1), AT_THE_EDGE)
    if "name" in ours:
        why = why.mask(ours["name"].str.contains(TEST_WORDS, case=False, regex=True).fillna(False), TEST_DEAL)
    shown = ours["closed_on"].dt.strftime("%Y-%m-%d").astype("str").fillna(ours["outcome"].astype("str"))
    return pd.DataFrame({"deal_id": ours["deal_id"], "where": OURS, "why": why, "ours": shown, "theirs": None})


def _both(book: Book, ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Deals in both lists that are not the same in both."""
    known = ours.set_index("deal_id").reindex(theirs["deal_id"]).reset_index()
    known["money"] = major(book, known, "amount_minor").to_numpy()
    theirs = theirs.reset_index(drop=True)
    for column, own, why in (
        ("outcome", "outcome", OTHER_OUTCOME),
        ("amount", "money", OTHER_AMOUNT),
        ("closed_on", "closed_on", OTHER_CLOSE),
        ("rep_id", "rep_id", OTHER_OWNER),
    ):
        if column not in theirs:
            continue
        mine, said = known[own], theirs[column]
        if column == "amount":
            differs = ~((mine.fillna(0) - said.fillna(0)).abs() <= CENT)
        else:
            differs = ~(mine == said).fillna(False).astype(bool) & ~(mine.isna() & said.isna())
        rows = {"deal_id": known["deal_id"], "where": BOTH, "why": why, "ours": _text(mine), "theirs": _text(said)}
        yield pd.DataFrame(rows)[differs.to_numpy(bool)]


def _text(values: pd.Series) -> pd.Series:
    shown: pd.Series = values.dt.strftime("%Y-%m-%d") if values.dtype.kind == "M" else values.astype("str")
    return shown.where(values.notna()).astype("str")


# --- definition by definition ----------------------------------------------------------------------


def definitions(
    book: Book,
    name: str,
    figure: float,
    period: str | Period | None = None,
    digits: int | None = None,
    within: Book | None = None,
) -> pd.DataFrame:
    """Our figures under every definition we know, the nearest to theirs first.

    figure   what the CRM says, a share as 0.42
    digits   decimals that it was written with: what rounds to it matches; default: it must be the same

    Returns definition, value, n, distance (value - figure), matches, command (the options with which `salescoach
    metrics` gives it; empty where it is no variant of ours, only theirs). Plain definitions stand before elaborate ones
    at the same distance. For the win rate beside our own bases: other dates, void and open deals counted, amounts for
    counts, without test deals. Raises UsageError where nothing of it is available.
    """
    scope, span = within or book, as_period(book, period)
    rows = [*_own_variants(scope, name, span)]
    if name == "win_rate":
        rows += _foreign_win_rates(scope, span)
    if not rows:
        raise UsageError("{name} is not available in this book, so nothing of it can be compared.", name=name)
    table = pd.DataFrame(rows, columns=["definition", "value", "n", "command"])
    table = table[np.isfinite(table["value"].astype("float64"))].drop_duplicates(["definition"])
    table["distance"] = table["value"] - figure
    slack = 1e-9 if digits is None else 0.5 * 10.0**-digits + 1e-9
    table["matches"] = table["distance"].abs() <= slack
    table["far"] = table["distance"].abs().where(~table["matches"], 0.0)
    return table.sort_values("far", kind="stable")[DEFINITIONS].reset_index(drop=True)


def _own_variants(book: Book, name: str, span: Period) -> Iterator[tuple[str, float, int, str]]:
    """Every figure in the metric's total, under every combination of its options with choices."""
    choices = {o.name: o.choices for o in find_metric(name).options.values() if o.choices}
    usual = {o.name: o.default for o in find_metric(name).options.values() if o.choices}
    for values in itertools.product(*choices.values()):
        given = dict(zip(choices, values, strict=True))
        try:
            answer = measure(book, name, by=(), period=span, **given)
        except UsageError:
            continue
        if answer.table is None:
            continue
        set_ = {k: v for k, v in given.items() if v != usual[k]}
        yield from _figures(answer, set_)


def _figures(answer: Measure, given: Mapping[str, Any]) -> Iterator[tuple[str, float, int, str]]:
    """Each number of each row of a total; a row says by the columns left of `n` what it is about."""
    table = answer.table
    assert table is not None
    command = " ".join(f"--option {k}={v}" for k, v in given.items())
    place = list(table.columns).index("n")
    about, figures = table.columns[:place], [c for c in table.columns[place:] if _is_figure(c, table[c])]
    for row in table.to_dict("records"):
        told = ", ".join([answer.metric.name, *(f"{k}={v}" for k, v in given.items()), *(str(row[c]) for c in about)])
        for column in figures:
            if pd.notna(row[column]):
                what = told if column == "value" else TOGETHER.join((told, str(column)))
                yield what, float(row[column]), int(row["n"]), command


def _is_figure(name: str, column: pd.Series) -> bool:
    ends = name in NOT_FIGURES or name.endswith(("_low", "_high"))
    return not ends and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


# the date by which they may count, and what they may divide by
DATES = {"closed_on": N_("by the day of the decision"), "created_on": N_("by the day of creation")}
PLANNED = {"expected_close_on": N_("by the expected close")}
AGAINST, BY_AMOUNT = N_("won / (won + lost to a competitor)"), N_("by amount")
TOGETHER = " · "  # between the parts of a definition
UNDER = {
    N_("won / (won + lost)"): ("won", "lost"),
    N_("won / (won + lost + void)"): ("won", "lost", "void"),
    N_("won / (won + lost + open)"): ("won", "lost", "open"),
    N_("won / all deals, void and open ones too"): ("won", "lost", "open", "void"),
}
OURS_ALREADY = (("closed_on", ("won", "lost")), ("created_on", ("won", "lost", "open")))  # bases of our own
WITHOUT_TESTS = N_("without test deals")


def _foreign_win_rates(book: Book, span: Period) -> Iterator[tuple[str, float, int, str]]:
    """Win rates as other systems define them: date × denominator × counts or amounts × with or without test deals."""
    deals = deals_of(book)
    tests = _tests(deals)
    for subset, note in ((deals, ""), *(((deals[~tests], WITHOUT_TESTS),) if tests.any() else ())):
        for date, by in _dates(book).items():
            kept = subset[_in(book, span, subset[date])]
            for words, outcomes in UNDER.items():
                undecided = date == "closed_on" and "open" in outcomes  # open deals have no such day
                if not undecided and (note or (date, outcomes) not in OURS_ALREADY):
                    told = TOGETHER.join(t for t in (words, by, note) if t)
                    yield from _rates(kept[kept["outcome"].isin(outcomes)], told)
            if note or date != "closed_on":
                yield from _rates(_competitive(kept), TOGETHER.join(t for t in (AGAINST, by, note) if t))


def _dates(book: Book) -> dict[str, str]:
    return {**DATES, **(PLANNED if book.has("deals", "expected_close_on") else {})}


def _in(book: Book, span: Period, days: pd.Series) -> pd.Series:
    inside = pd.Series(span.contains(days), days.index)
    return inside | days.isna() if is_everything(book, span) else inside


def _tests(deals: pd.DataFrame) -> pd.Series:
    if "name" not in deals:
        return pd.Series(False, deals.index)
    return deals["name"].str.contains(TEST_WORDS, case=False, regex=True).fillna(False).astype(bool)


def _competitive(deals: pd.DataFrame) -> pd.DataFrame:
    return deals[(deals["outcome"] == "won") | (loss_kinds(deals) == "competitor")]


def _rates(under: pd.DataFrame, told: str) -> Iterator[tuple[str, float, int, str]]:
    """The rate by count and, in one currency, by amount."""
    won = under["outcome"] == "won"
    if len(under):
        yield told, float(won.mean()), len(under), ""
    amounts = under["amount_minor"].fillna(0).astype("float64")
    if amounts.sum() > 0 and under["currency"].nunique() == 1:
        yield TOGETHER.join((told, BY_AMOUNT)), float(amounts[won].sum() / amounts.sum()), len(under), ""
