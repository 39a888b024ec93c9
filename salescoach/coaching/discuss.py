"""Deals to discuss: the open deals in which most is at risk and something can still be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, commas
from salescoach.metrics.conformance import rule_of
from salescoach.metrics.contacts import contacts, deal_activities, knows_contacts, knows_sides
from salescoach.metrics.lapses import QUOTE, next_steps
from salescoach.metrics.slips import close_moves
from salescoach.metrics.stalled import stalled_deals, watched_deals
from salescoach.metrics.timeline import quote_days
from salescoach.metrics.visits import deals_of
from salescoach.wording import N_, Words

# How much each sign adds to the risk that a deal is not won; signs combine as 1 - Π (1 - risk). A judgement, not a fit:
# it orders a list of deals and stands in no figure.
RISKS = {
    "silent": 0.35,
    "old": 0.30,
    "pushed_often": 0.30,
    "overdue_close": 0.25,
    "overdue_step": 0.20,
    "no_step": 0.15,
    "pushed": 0.12,
    "missing": 0.12,
}
DEAD, FAR_OFF, NEAR_DAYS = 0.15, 0.6, 90  # movable: a zombie hardly; a close further off than a quarter can wait
OFTEN = 2
WHY = {
    "silent": N_("no two-way contact for {silent_days} days, usual at most {silence_limit_days}"),
    "old": N_("{age_days} days in {stage}, 8 of 10 that went on took at most {typical_days}"),
    "pushed_often": N_("expected close put off {pushes} times"),
    "overdue_close": N_("expected close passed on {expected_close_on}"),
    "overdue_step": N_("next step overdue since {next_due_on}"),
    "no_step": N_("no next step planned"),
    "pushed": N_("expected close put off once"),
    "missing": N_("missing: {missing}"),
}
NAMES = {
    "account_id": N_("account"),
    "amount": N_("amount"),
    "expected_close_on": N_("expected close"),
    "lead_source": N_("lead source"),
    "quote": N_("quote"),
    "demo": N_("demo"),
}
COLUMNS = ["deal_id", "deal", "rep_id", "pipeline", "stage", "amount", "worth", "age_days", "typical_days", "pushes"]
COLUMNS += ["last_contact_on", "silent_days", "next_step", "next_due_on", "expected_close_on", "missing", "why"]
COLUMNS += ["risk", "movable", "score"]


def deals_to_discuss(book: Book, most: int | None = 3) -> pd.DataFrame:
    """The open deals of a slice, team or book by value × risk × still movable, the highest first.

    most   how many, and then only those with a sign of risk; None: all open deals

    Value is the amount, else the list price, else the median of the book's open deals (`worth`). Risk combines the
    signs of RISKS: age in the stage over `limit_days` (`stalled_deals`), silence over `silence_limit_days`, pushes, an
    expected close that has passed, the next step, evidence that the process asks for. Movable: 1; less where the
    expected close is over 90 days off, and little where the deal is a zombie (`watched_deals`).

    Returns deal_id, deal (its name), rep_id, pipeline, stage, amount (null: none), worth, age_days and typical_days (of
    the stay in the stage; null: unknown), pushes (null: not recorded), last_contact_on (two-way, else any; null: none),
    silent_days, next_step ("overdue", "in_future", "without"; null: not recorded), next_due_on, expected_close_on,
    missing (tuple of rules), why (tuple of keys of WHY, the heaviest first), risk, movable, score.
    """
    deals = stalled_deals(book)
    if deals.empty:
        return pd.DataFrame({c: pd.Series(dtype="object") for c in COLUMNS})
    table = pd.DataFrame(index=deals.index)
    for column in ("deal_id", "rep_id", "pipeline", "stage", "age_days", "silent_days", "silence_limit_days"):
        table[column] = deals[column]
    table["typical_days"] = deals["limit_days"]
    table["deal"] = deals["name"].fillna(deals["deal_id"]) if "name" in deals else deals["deal_id"]
    table["amount"] = _column(deals, "amount")
    table["worth"] = _worth(deals)
    table["expected_close_on"] = _column(deals, "expected_close_on", pd.NaT).astype("datetime64[us]")
    table["pushes"] = _pushes(book, deals)
    table["last_contact_on"] = _last_contact(book, deals)
    table["next_step"], table["next_due_on"] = _steps(book, deals)
    table["missing"] = _missing(book, deals)
    signs = _signs(book, table, deals)
    risks = pd.DataFrame({name: np.where(here, risk, 0.0) for (name, risk), here in _each(signs)}, index=deals.index)
    table["risk"] = 1 - (1 - risks).prod(axis=1)
    names = np.array(list(RISKS), dtype=object)
    table["why"] = pd.Series([tuple(names[row > 0]) for row in risks.to_numpy()], deals.index, dtype="object")
    table["movable"] = _movable(book, table)
    table["score"] = table["worth"] * table["risk"] * table["movable"]
    table = table.sort_values(["score", "deal_id"], ascending=[False, True], kind="stable")[COLUMNS]
    if most is None:
        return table.reset_index(drop=True)
    return table[table["risk"] > 0].head(most).reset_index(drop=True)


def _each(signs: Mapping[str, pd.Series]) -> Iterator[tuple[tuple[str, float], pd.Series]]:
    return ((item, signs[item[0]]) for item in RISKS.items())


def _column(deals: pd.DataFrame, name: str, blank: Any = np.nan) -> pd.Series:
    return deals[name] if name in deals else pd.Series(blank, deals.index)


def _worth(deals: pd.DataFrame) -> pd.Series:
    amount = _column(deals, "amount").astype("float64").where(lambda a: a > 0)
    amount = amount.fillna(_column(deals, "list_price").astype("float64"))
    usual = amount.median()
    return amount.fillna(usual if usual == usual else 1.0)


def _pushes(book: Book, deals: pd.DataFrame) -> pd.Series:
    try:
        moves = close_moves(book)
    except Unavailable:
        return pd.Series(np.nan, deals.index)
    later = moves[(moves["days"] > 0) & ~moves["settling"]]
    return later.groupby("deal").size().reindex(deals.index).fillna(0).astype("float64")


def _last_contact(book: Book, deals: pd.DataFrame) -> pd.Series:
    """The day of the last two-way contact; where sides are not recorded, of the last contact."""
    if not knows_contacts(book):
        return pd.Series(pd.NaT, deals.index, dtype="datetime64[us]")
    said = contacts(book)
    said = said[said["two_way"]] if knows_sides(book) else said
    return book.local_days(said.groupby("deal")["at"].max().reindex(deals.index))


def _steps(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    try:
        steps = next_steps(book)
    except Unavailable:
        return pd.Series(None, deals.index, dtype="str"), pd.Series(pd.NaT, deals.index, dtype="datetime64[us]")
    return steps["next_step"].reindex(deals.index), steps["next_due_on"].reindex(deals.index)


def _missing(book: Book, deals: pd.DataFrame) -> pd.Series:
    """What the process asks for at the deal's stage, so far as the data can tell, and is not there."""
    rows = deals_of(book).loc[deals.index]
    found: list[list[str]] = [[] for _ in range(len(rows))]
    for key, line in book.process.pipelines.items():
        asked: list[str] = []
        for stage in line.working:
            asked += [rule for rule in stage.enter if rule not in asked]
            here = np.flatnonzero((rows["pipeline"] == key) & (rows["stage"] == stage.key))
            for rule in [*asked, *(r for r in stage.exit if r not in asked)]:
                lacking = _lacking(book, rows.iloc[here], rule)
                for place in here[lacking]:
                    found[place].append(rule_of(rule)[1])
            asked += [rule for rule in stage.exit if rule not in asked]
    return pd.Series([tuple(rules) for rules in found], deals.index, dtype="object")


def _lacking(book: Book, deals: pd.DataFrame, rule: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the deals lack what a rule asks for; none where only people can tell."""
    kind, name = rule_of(rule)
    if kind == "column" and book.has("deals", name):
        return deals[name].isna().to_numpy(dtype=bool)
    if kind == "activity":
        done = quote_days(book)["deal"] if name == QUOTE else _done(book, name)
        if len(done):
            return ~deals.index.isin(done)
    return np.zeros(len(deals), dtype=bool)


def _done(book: Book, activity: str) -> pd.Series:
    rows = deal_activities(book)
    return rows.loc[~rows["planned"] & (rows["activity_type"] == activity), "deal"]


def _signs(book: Book, table: pd.DataFrame, deals: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "silent": deals["by_silence"],
        "old": deals["by_age"],
        "pushed_often": table["pushes"] >= OFTEN,
        "overdue_close": table["expected_close_on"] < book.as_of_on,
        "overdue_step": table["next_step"] == "overdue",
        "no_step": table["next_step"] == "without",
        "pushed": table["pushes"] == 1,
        "missing": table["missing"].map(len) > 0,
    }


def _movable(book: Book, table: pd.DataFrame) -> pd.Series:
    far = (table["expected_close_on"] - book.as_of_on).dt.days > NEAR_DAYS
    dead = watched_deals(book)["zombie"].reindex(table.index).fillna(False).astype(bool)
    return pd.Series(np.select([dead, far], [DEAD, FAR_OFF], 1.0), table.index)


def why_said(book: Book, row: Mapping[Any, Any], say: Words) -> list[str]:
    """Why a deal is to be discussed, one phrase per sign, the heaviest first."""
    told: dict[str, str] = {c: say.number(row[c]) for c in ("silent_days", "age_days", "typical_days", "pushes")}
    told |= {c: say.date(row[c]) for c in ("expected_close_on", "next_due_on")}
    told["silence_limit_days"] = say.number(stalled_deals(book)["silence_limit_days"].iloc[0])
    told["stage"] = book.process.stage_label(str(row["pipeline"]), str(row["stage"]), say.language)
    told["missing"] = missing_said(row, say)
    return [say(WHY[key], **told) for key in row["why"]]


def missing_said(row: Mapping[Any, Any], say: Words) -> str:
    """What the process asks for and is not there, in words; empty where nothing is missing."""
    return say(commas(say(NAMES.get(name, name)) for name in row["missing"]))
