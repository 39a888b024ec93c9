"""What changed since an earlier forecast of the same period, deal by deal, to the last minor unit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.money import minor_scale
from salescoach.metrics.visits import deals_of
from salescoach.models.fit import Fit
from salescoach.models.forecast.fit import fit_forecast, period_ahead
from salescoach.models.forecast.result import Forecast
from salescoach.process import Period, parse_day
from salescoach.wording import N_

# what happened to a deal since; the first that fits names its line
LINES: dict[str, str] = {
    "won": N_("Won since"),
    "won_before": N_("Won before the period"),
    "lost": N_("Lost since"),
    "void": N_("Void since"),
    "reopened": N_("Reopened"),
    "created": N_("New deals"),
    "slipped": N_("Close put off to after the period"),
    "pulled_in": N_("Close moved forward into the period"),
    "grown": N_("Amount grown"),
    "shrunk": N_("Amount shrunk"),
    "chances": N_("Chances changed"),
    "not_yet_there": N_("Deals not there yet"),
}
SIDES = ("stage", "amount", "chance", "expected_close_on")
DEALS = ["deal_id", "rep_id", "rep", "team", "line", "order", "stage_then", "stage", "amount_then", "amount"]
DEALS += ["chance_then", "chance", "expected_close_on_then", "expected_close_on", "then_minor", "now_minor"]
DEALS += ["value_minor", "value"]


@dataclass(frozen=True, repr=False)
class Changes(Fit):
    """From the forecast of a past day to that of now, for the same period; `n` deals that changed it.

    table   one row per line, in the order of `LINES`, also where no deal stands in it: line, order, n (deals), value
            (what it adds to the forecast), value_minor. Together exactly now_minor - then_minor, and, but for the
            rounding of the two forecasts to minor units, now - then
    deals   one row per deal and line: all that are open or a win of the period in one of the forecasts, without those
            that are the same win in both; by line, the largest change first. deal_id, rep_id, rep, team (of the owner
            now), line, order, stage_then, stage, amount_then, amount, chance_then, chance, expected_close_on_then,
            expected_close_on (_then: null where it was not open then; else null where it is not open now), then_minor,
            now_minor (won in the period, or expected), value_minor, value (the change)
    period  of both forecasts
    since   the day of the earlier one: as things stood at its end
    then, now, then_minor, now_minor   the two forecasts
    """

    deals: pd.DataFrame = field(default_factory=pd.DataFrame)
    period: Period | None = None
    since: pd.Timestamp | None = None
    then: float = 0.0
    now: float = 0.0
    then_minor: int = 0
    now_minor: int = 0
    currency: str = ""


def forecast_changes(
    book: Book, since: str | dt.date, period: str | Period | None = None, now: Forecast | None = None
) -> Changes:
    """Why the forecast of a period is no longer what it was at the end of the day `since`, deal by deal.

    Both forecasts are made in the same way, the earlier one from what was known then. Every deal is in one line only,
    but for those whose amount changed: what the amount makes of the change is in grown or shrunk, the rest in chances.

    won            won in the period since, also deals that came and were won in between: what the win brings beyond
                   what was expected of it
    won_before     won since, but before the period begins: what was expected of it is gone
    lost, void     closed so since: what was expected of it is gone
    reopened       closed then, open now; or a win of the period that was taken back
    created        open now, not there then
    slipped        expected close moved from the period (or before it) to after it
    pulled_in      expected close moved from after the period into it (or before it)
    grown, shrunk  amount changed, chance as it was; never below, never above zero
    chances        the rest of the open deals: stage, age and what such deals came to since, amounts that became known
    not_yet_there  no deals: what comes from deals that are not there yet, and what rounding to minor units leaves

    Chances rest on stage and age, not on the date that people enter: slipped and pulled_in hold all that changed of
    their deals, and may be above or below zero.

    now   the forecast of today, where it has been made already (of the same book and period)

    Raises Unavailable where either forecast cannot be made, UsageError for a day after as_of.
    """
    day = parse_day(since, "since")
    before = book.at(str(day))
    span = period_ahead(book, period if now is None else now.period)
    after = fit_forecast(book, span, leads=()) if now is None else now
    earlier = fit_forecast(before, span, leads=())
    scale = float(minor_scale(book, pd.DataFrame(index=[0])).iloc[0])
    then, today = (float(f.of("company")["value"].iloc[0]) for f in (earlier, after))
    then_minor, now_minor = round(then * scale), round(today * scale)
    deals = _deals(book, _side(before, earlier, span, scale), _side(book, after, span, scale), span)
    deals["value"] = deals["value_minor"] / scale
    table = _lines(deals, now_minor - then_minor)
    table["value"] = table["value_minor"] / scale
    return Changes(
        table[["line", "order", "n", "value", "value_minor"]],
        deals["deal_id"].nunique(),
        after.warnings,
        deals=deals[DEALS],
        period=span,
        since=pd.Timestamp(day),
        then=then,
        now=today,
        then_minor=then_minor,
        now_minor=now_minor,
        currency=after.currency,
    )


def _side(book: Book, forecast: Forecast, span: Period, scale: float) -> pd.DataFrame:
    """How each deal stood on the day of a forecast: outcome, won_in (the period), counted, minor (what it adds to the
    forecast), and SIDES."""
    deals = deals_of(book)
    place = places_in(deals["deal_id"], forecast.deals["deal_id"])
    listed = forecast.deals.take(np.maximum(place, 0)) if len(forecast.deals) else forecast.deals.reindex(deals.index)
    open_ = place >= 0
    won_in = (deals["outcome"] == "won") & deals["closed_on"].le(book.as_of_on) & _begun(span, deals["closed_on"])
    expected = np.where(open_, listed["expected"].to_numpy(float), 0.0)
    minor = np.where(won_in, deals["amount_minor"].fillna(0).to_numpy(np.int64), np.rint(expected * scale))
    expected_on = deals.get("expected_close_on", pd.NaT)
    return pd.DataFrame(
        {
            "deal_id": deals["deal_id"],
            "outcome": deals["outcome"],
            "open": open_,
            "won_in": won_in,
            "counted": open_ | won_in,
            "minor": minor.astype(np.int64),
            "amount_minor": deals["amount_minor"],
            "stage": deals["stage"].where(open_),
            "amount": pd.Series(listed["amount"].to_numpy(float), deals.index).where(open_),
            "chance": pd.Series(listed["chance"].to_numpy(float), deals.index).where(open_),
            "expected_close_on": pd.Series(expected_on, deals.index, dtype="datetime64[us]").where(open_),
        }
    )


def _begun(span: Period, days: pd.Series) -> pd.Series:
    """Whether the period had begun on each day. Of one without a first day nothing is won beforehand."""
    return days >= pd.Timestamp(span.start_on) if span.start_on is not None else pd.Series(False, days.index)


def _deals(book: Book, then: pd.DataFrame, now: pd.DataFrame, span: Period) -> pd.DataFrame:
    """Each deal that is in either forecast and not the same win in both, with its line."""
    place = places_in(now["deal_id"], then["deal_id"])
    there = pd.Series(place >= 0, now.index)
    then = (then.take(np.maximum(place, 0)).set_axis(now.index) if len(then) else then.reindex(now.index)).where(there)
    for flag in ("open", "won_in", "counted"):
        then[flag] = then[flag].eq(True)
    then["minor"] = then["minor"].fillna(0).astype("int64")
    line = _line(then, now, there, pd.Timestamp(span.end_on))
    same = then["won_in"] & now["won_in"] & (then["minor"] == now["minor"])
    people, owner = book.people.set_index("rep_id"), deals_of(book)["rep_id"].fillna(UNASSIGNED)
    table = pd.DataFrame({"deal_id": now["deal_id"], "rep_id": owner, "line": line})
    table["rep"] = owner.map(people["rep"]).astype("str").fillna(owner)
    table["team"] = owner.map(people["team"]).astype("str").fillna(UNASSIGNED)
    for column in SIDES:
        table[f"{column}_then"], table[column] = then[column].astype(now[column].dtype), now[column]
    table = table.assign(then_minor=then["minor"], now_minor=now["minor"])
    table = table[(then["counted"] | now["counted"]) & ~same]
    table = _apart(table, _grown(then, now).reindex(table.index))
    table["order"] = table["line"].map({name: i for i, name in enumerate(LINES)})
    table["value_minor"] = table["now_minor"] - table["then_minor"]
    table["size"] = table["value_minor"].abs()
    return table.sort_values(["order", "size", "deal_id"], ascending=[True, False, True], ignore_index=True)


def _line(then: pd.DataFrame, now: pd.DataFrame, there: pd.Series, end: pd.Timestamp) -> pd.Series:
    """What happened to each deal since; the first of `LINES` that fits, without regard to amounts."""
    gone, both = ~now["counted"], then["open"] & now["open"]
    fits = {
        "won": now["won_in"] & ~then["won_in"],
        "won_before": gone & (now["outcome"] == "won"),
        "lost": gone & (now["outcome"] == "lost"),
        "void": gone & (now["outcome"] == "void"),
        "reopened": now["open"] & there & ~then["open"],
        "created": now["open"] & ~there,
        "slipped": both & (then["expected_close_on"] <= end) & (now["expected_close_on"] > end),
        "pulled_in": both & (then["expected_close_on"] > end) & (now["expected_close_on"] <= end),
    }
    words = np.select([f.to_numpy(bool) for f in fits.values()], list(fits), "chances")
    return pd.Series(words, now.index, dtype="str")


def _grown(then: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """By how much a deal that stands in both forecasts would have changed by its amount alone; null: amount as it was,
    or not known on both days."""
    was, is_ = (side["amount_minor"].astype("float64") for side in (then, now))
    grown: pd.Series = np.rint(then["minor"] * (is_ / was.where(was > 0) - 1))
    return grown.where((was != is_) & (is_ > 0) & then["counted"] & now["counted"])


def _apart(table: pd.DataFrame, grown: pd.Series) -> pd.DataFrame:
    """The deals whose amount changed in two rows: what the amount makes of it, and the rest."""
    split = (table["line"] == "chances") & grown.notna()
    by_amount, rest = table[split], table[split]
    between = by_amount["then_minor"] + grown[split].astype("int64")
    down = np.signbit(grown[split])  # also where nothing was expected, so that nothing is taken away
    by_amount = by_amount.assign(line=np.where(down, "shrunk", "grown"), now_minor=between).astype({"line": "str"})
    rest = rest.assign(then_minor=between)
    rest = rest[rest["stage"].notna() | (rest["now_minor"] != rest["then_minor"])]  # of wins nothing is left
    return pd.concat([table[~split], by_amount, rest])


def _lines(deals: pd.DataFrame, change_minor: int) -> pd.DataFrame:
    """The deals summed by line; what they leave of the whole change is that of deals not there yet."""
    table = pd.DataFrame({"line": list(LINES), "order": range(len(LINES))}).astype({"line": "str"})
    table["n"] = np.bincount(deals["order"], minlength=len(LINES))
    sums = np.zeros(len(LINES), dtype=np.int64)
    np.add.at(sums, deals["order"].to_numpy(np.int64), deals["value_minor"].to_numpy(np.int64))
    sums[-1] = change_minor - sums.sum()
    return table.assign(value_minor=sums)
