"""Whether deviations from the process go with losing: seen before the outcome, among deals of the same mix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.compare import FALSE_DISCOVERY, mix_of
from salescoach.metrics.conformance import checks, longest_silences, rule_of, stage_passages
from salescoach.metrics.contacts import knows_contacts
from salescoach.metrics.flow import MATURE_DAYS, need_stages
from salescoach.metrics.kept import per_book
from salescoach.metrics.registry import in_period
from salescoach.metrics.visits import deals_of
from salescoach.models import guard
from salescoach.models.design import RARE
from salescoach.models.fit import Advice, Fit
from salescoach.models.grouped import fit_grouped
from salescoach.models.units import amount_at
from salescoach.process import Period
from salescoach.wording import N_

GRID = 1 / 4  # of a doubling of the amount
PLACE = ["pipeline", "stage", "deviation", "rule"]
TABLE = [*PLACE, "seen", "days", "outcome", "n", "went_on", "deviated", "deviated_went_on", "effect", "low", "high"]
TABLE += ["p", "q", "signal", "missing"]
UNITS = ["deal", "deal_id", *PLACE, "seen", "days", "outcome", "seen_on", "deviated", "went_on"]

NOT_DATED = N_("fields are left out: when they were filled in is not known, and that may have been after the outcome")
SO_FAR = N_("deals that are still open {n} days after they were looked at count as not gone on, and as not won")


@dataclass(frozen=True)
class DeviationFit(Fit):
    """Which deviations go with losing.

    table    see `fit_deviations`
    mix      what deals were compared within: columns of the deals
    """

    mix: tuple[str, ...] = ()


def fit_deviations(book: Book, period: str | Period | None = None) -> DeviationFit:
    """How much less (or more) often deals go on, or are won, after a deviation, everything else equal.

    Each deal is looked at on a day before its outcome, and only deals that were still alive then are compared:
      touch           `days` after the entry (`expect_days` of the stage, where that leaves room for a silence, else
                      twice `touch_every_days`), the deals still in the stage: had there been a silence that was too
                      long? Outcome: went on to a deeper stage.
      skipped, exit,  on the day the deal went on to a deeper working stage: had the stage been passed over, what it
      stay            asks for been left out, had it taken too long? Outcome: won.
    Days of looking (seen_on) lie in the period and at least MATURE_DAYS before the day of the data. What is said of
    `enter`, and of fields, is not asked: when a field was filled in is not known.

    effect is the difference of the shares (by g-computation of a grouped logistic
    regression) between deals with and without the deviation, adjusted for segment, deal type and amount as far as the
    data have them, with its 95 % interval; q is p by Benjamini-Hochberg over all rows. It is an association.

    The table has one row per pipeline, stage, deviation and rule: seen (landmark: after_days, on_leaving), days (of
    touch), outcome (went_on, won), n, went_on, deviated, deviated_went_on (counts), effect, low, high, p, q, signal
    (less, more, none; few: under 20 deals with or without, or too few outcomes), missing (about so many more deals are
    needed; 0: enough). n of the fit counts deals. Raises Unavailable where stages are unknown or no check can be dated.
    """
    units = deviation_units(book, period)
    if units.empty:
        raise Unavailable("no check of the process can be dated before the outcome of a deal in the period")
    mix = _mix(book, units)
    parts = units.groupby(PLACE, sort=False, dropna=False)
    table = pd.DataFrame([_row(key, part, mix) for key, part in parts], columns=TABLE)
    table["q"] = np.nan
    known = table["p"].notna()
    if known.any():
        table.loc[known, "q"] = multipletests(table.loc[known, "p"], method="fdr_bh")[1]
    found = table["q"] <= FALSE_DISCOVERY
    signals = [table["signal"] == "few", found & (table["effect"] < 0), found & (table["effect"] > 0)]
    table["signal"] = pd.Series(np.select(signals, ["few", "less", "more"], "none"), dtype="str")
    warned = [Advice(SO_FAR, {"n": MATURE_DAYS})]
    warned += [Advice(NOT_DATED)] if _asks_for_fields(book) else []
    return DeviationFit(table, units["deal"].nunique(), tuple(warned), mix=tuple(mix))


def deviation_units(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The records behind the rows of `fit_deviations`, as many of each row as its n, with what they are compared by.

    deal, deal_id, pipeline, stage, deviation, rule (null: none), seen, days, outcome, seen_on, deviated, went_on (0/1),
    amount (as of that day), and the deals' segment and deal_type.
    """
    need_stages(book)
    deals = deals_of(book)
    found = [part for make in (_silent, _left) for part in make(book)]
    if not found:
        return pd.DataFrame(columns=UNITS)
    rows = pd.concat(found, ignore_index=True)
    mature = rows["seen_on"] <= book.as_of_on - pd.Timedelta(days=MATURE_DAYS)
    rows = rows[mature & in_period(book, period, rows["seen_on"])].reset_index(drop=True)
    kept = [c for c in ("deal_id", "amount", *mix_of(book)) if c in deals]
    rows = rows.join(deals[kept], on="deal")
    if "amount" in rows:
        noon = rows["seen_on"].dt.tz_localize(book.timezone, ambiguous="NaT", nonexistent="shift_forward")
        amount = amount_at(book, rows.assign(at=noon.dt.tz_convert("UTC")))
        rows["amount"] = amount.where(amount > 0)
    return rows


def _silent(book: Book) -> Iterator[pd.DataFrame]:
    """Deals still in their stage some days after the entry: had they waited too long for a contact by then?"""
    if not knows_contacts(book):
        return
    rows = stage_passages(book)
    rows = rows[~rows["skipped"] & rows["timed"]]
    since = book.local_days(book.table("activities")["at"]).min()
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            limit = stage.touch_every_days
            if limit is None:
                continue
            room = stage.expect_days is not None and stage.expect_days > limit
            days = int(stage.expect_days if room and stage.expect_days is not None else 2 * limit)
            here = rows[(rows["pipeline"] == key) & (rows["stage"] == stage.key) & (rows["entered_on"] >= since)]
            seen_on = here["entered_on"] + pd.Timedelta(days=days)
            there = (here["fate"] == "open") | (here["ended_on"] > seen_on)
            here = here[there & (seen_on <= book.as_of_on)].reset_index(drop=True)
            seen_on = here["entered_on"] + pd.Timedelta(days=days)
            silent = longest_silences(book, here.assign(limit=np.floor(float(limit))), seen_on)
            deviated, went_on = silent["first_on"].notna(), here["fate"] == "deeper"
            yield _seen(here, "touch", deviated, went_on, seen_on, outcome="went_on", days=days)


def _left(book: Book) -> Iterator[pd.DataFrame]:
    """Deals on the day they went deeper: had the stage been passed over, left too late, or without what it asks for?"""
    gone = stage_passages(book)
    reach = gone[~gone["skipped"]].groupby("deal")["order"].max()
    # a deal that went on to nothing but the win had its outcome on that day
    later = gone["order"] < reach.reindex(gone["deal"]).to_numpy()
    gone = gone[later & (gone["fate"] == "deeper") & gone["ended_on"].notna()]
    told = _dated_checks(book)
    rows = told.merge(gone[["deal", "order", "ended_on"]], on=["deal", "order"])
    won = pd.Series((deals_of(book)["outcome"] == "won").to_numpy()[rows["deal"]], rows.index)
    for (_, rule), part in rows.groupby(["deviation", "rule"], sort=False, dropna=False):
        broken = part["verdict"] == "broken"
        name = str(part["deviation"].iloc[0])
        yield _seen(part, name, broken, won[part.index], part["ended_on"], outcome="won", rule=rule)


@per_book
def _dated_checks(book: Book) -> pd.DataFrame:
    """The checks that were decided when the deal left the stage, and of which the day is known."""
    rows = checks(book)
    rows = rows[rows["deviation"].isin(["skipped", "exit", "stay"]) & rows["verdict"].isin(["broken", "kept"])]
    asks = {rule: rule_of(rule)[0] == "activity" for rule in rows["rule"].dropna().unique()}
    return rows[rows["rule"].isna() | rows["rule"].map(asks).eq(True)]


def _asks_for_fields(book: Book) -> bool:
    stages = [stage for line in book.process.pipelines.values() for stage in line.working]
    return any(rule_of(rule)[0] == "column" for stage in stages for rule in (*stage.enter, *stage.exit))


def _seen(
    rows: pd.DataFrame,
    deviation: str,
    deviated: pd.Series,
    went_on: pd.Series,
    seen_on: pd.Series,
    outcome: str,
    rule: Any = None,
    days: float = np.nan,
) -> pd.DataFrame:
    found = rows[["deal", "pipeline", "stage"]].assign(deviation=deviation)
    found["rule"] = pd.Series(rule if isinstance(rule, str) else None, rows.index, dtype="str")
    found["seen"] = "after_days" if outcome == "went_on" else "on_leaving"
    found["days"], found["outcome"], found["seen_on"] = days, outcome, seen_on
    return found.assign(deviated=deviated.to_numpy(bool), went_on=went_on.to_numpy(np.int64))


# --- the fit ---------------------------------------------------------------------------------------


def _mix(book: Book, units: pd.DataFrame) -> list[str]:
    """The columns within which deals are compared: those that the data know, and that do not know the outcome."""
    refused, _ = guard.judge_columns(book)
    several = deals_of(book)["currency"].nunique() > 1
    wanted = [*mix_of(book), *([] if several else ["amount"])]
    return [c for c in wanted if c in units and c not in refused and bool(units[c].notna().any())]


def _row(key: Any, part: pd.DataFrame, mix: Sequence[str]) -> dict[str, Any]:
    deviated = part["deviated"]
    row: dict[str, Any] = dict(zip(PLACE, key, strict=True))
    row |= {c: part[c].iloc[0] for c in ("seen", "days", "outcome")}
    row |= {"n": len(part), "went_on": int(part["went_on"].sum()), "deviated": int(deviated.sum())}
    row |= {"deviated_went_on": int(part.loc[deviated, "went_on"].sum()), "signal": "none", "missing": 0}
    row |= dict.fromkeys(("effect", "low", "high", "p", "q"), np.nan)
    rarer = min(row["deviated"], row["n"] - row["deviated"])
    if rarer < RARE:
        return row | {"signal": "few", "missing": _more(RARE, rarer, row["n"])}
    try:
        fit = fit_grouped(part, "went_on", ["deviated", *mix], references={"deviated": "no"}, grid=GRID)
    except Unavailable:
        outcomes = min(row["went_on"], row["n"] - row["went_on"])
        return row | {"signal": "few", "missing": _more(RARE, outcomes, row["n"])}
    found = fit.table[(fit.table["driver"] == "deviated") & (fit.table["level"] == "yes")]
    if found.empty or fit.missing:
        return row | {"signal": "few", "missing": fit.missing}
    return row | {c: float(found[c].iloc[0]) for c in ("effect", "low", "high", "p")}


def _more(wanted: int, have: int, n: int) -> int:
    """About how many more records until there are as many as wanted of what `have` of `n` are."""
    return ceil((wanted - have) * n / max(have, 1))
