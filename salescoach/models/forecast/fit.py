"""The forecast of a period: the methods run over the book's past, combined, and told for today."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.money import single_currency
from salescoach.metrics.registry import as_period
from salescoach.models.fit import Advice
from salescoach.models.forecast.boards import boards
from salescoach.models.forecast.calls import score_calls
from salescoach.models.forecast.combine import LEVELS, Groups, Judged, judge
from salescoach.models.forecast.methods import SEEN, Window, views
from salescoach.models.forecast.past import Floats, Open, Past, Unit
from salescoach.models.forecast.result import Forecast
from salescoach.models.forecast.scores import STEP, scored
from salescoach.models.forecast.today import chance_of, expected_of, open_deals, table_of
from salescoach.process import Period, period_of
from salescoach.process.company_calendar import FiscalYear
from salescoach.wording import N_

LEADS = (30, 90)
QUARTER = pd.Timedelta(days=120)  # at most, of any calendar
ORIGINS = 26  # past days, a week apart, on which a forecast is judged
FEWEST_WINS = 20  # below which nothing is forecast
ENOUGH = 6  # elapsed origins from which the forecast is judged
THIN_ERROR = 0.3  # of the run-rate, where nothing tells how far off it was

TOO_FEW_WINS = N_("only {n} deals have been won so far; a forecast needs at least {least}")
OVER = N_("the period {period} is over; there is nothing left to forecast")
TOO_SHORT = N_(
    "The records tell of {days} days, too few to forecast {lead} days ahead: this is the run-rate, with a wide range."
)
UNJUDGED = N_(
    "There are too few past periods of {lead} days to know how far to trust this forecast: only {n} could be looked "
    "at, and it takes {least}."
)
AS_GOOD = {
    "run_rate": N_(
        "For {lead} days ahead the run-rate is as good: on {n} past days it was off by {naive}, ours by {ours}."
    ),
    "last_period": N_(
        "For {lead} days ahead, repeating the last period is as good: on {n} past days it was off by {naive}, ours by "
        "{ours}."
    ),
    "seasonal": N_(
        "For {lead} days ahead, repeating the same time of the last year or quarter is as good: on {n} past days it "
        "was off by {naive}, ours by {ours}."
    ),
}
BETTER = N_(
    "On {n} past days the forecast for {lead} days ahead was off by {ours}, the run-rate by {naive}, CRM weights by "
    "{crm}."
)
UNDATED = N_(
    "{n} open deals are not dated, so that nothing tells how old they are: they stand in the list without a chance."
)
GUESSED = N_("{n} of {all} open deals have no amount of their own and stand for the typical one.")
NO_STAGES = N_("Past stages of deals are not recorded: chances rest on the age of a deal alone.")


def fit_forecast(
    book: Book,
    period: str | Period | None = None,
    leads: Sequence[int] = LEADS,
    unit: Unit = "amount",
    origins: int = ORIGINS,
) -> Forecast:
    """What will be won in a period, by company, team and rep, with ranges, each open deal's chance, and the back-test.

    The same forecast is made on up to 26 past days, a week apart, each from what was known on that day alone; biases,
    the choice of methods and the width of ranges come from those whose time had passed by then.

    period    one that is not over: what is won in it already counts; nothing: the quarter of the day after as_of
    leads     days ahead that are judged, besides the days to the end of the period
    unit      "amount", or "deals": how many are won
    origins   on how many past days to judge

    See `Forecast` for what it holds. Where the past is shorter than the days ahead (or than four weeks), the table is
    the run-rate with a wide range; with fewer than six judged days the headline says that nobody knows yet.

    Raises Unavailable without amounts, closing or creation days, with several currencies, with fewer than 20 wins, or
    where the period is over.
    """
    past = Past(book, unit)
    if len(past.wins) < FEWEST_WINS:
        raise Unavailable(TOO_FEW_WINS, n=len(past.wins), least=FEWEST_WINS)
    span = period_ahead(book, period)
    judged = judge_past(past, span, leads, origins)
    own, here = judged[0], past.open_at(past.today)
    lead = own.views.window.lead
    thin = past.today - past.stays.first_day < max(SEEN, lead)
    if thin:
        _as_run_rate(own)
    chance = chance_of(own, here)
    expected = expected_of(past, own, here, chance)
    deals = open_deals(past, own, here, chance, expected)
    table = table_of(past, own, won_so_far(past, span), here, expected, span)
    told, n = boards(past, judged, origins), len(scored(own, past.today, origins))
    return Forecast(
        table,
        len(here.deal),
        _warnings(past, here, deals),
        deals=deals,
        **told,
        calls=score_calls(past, own.groups),
        period=span,
        first_day=pd.Timestamp(np.datetime64(past.today, "D")),
        lead=lead,
        origins=n,
        currency="" if unit == "deals" else single_currency(book),
        headline=_headline(told["scoreboard"], lead, n, thin, past),
    )


def period_ahead(book: Book, period: str | Period | None) -> Period:
    """The period asked for, or the fiscal quarter of the day after as_of. Raises Unavailable where it is over."""
    tomorrow = book.as_of_on + pd.Timedelta(days=1)
    if period is None:
        unit: Any = "quarter" if book.process.calendar.fiscal_year == FiscalYear(start_month=1) else "fiscal_quarter"
        label = period_of(pd.Series([tomorrow]), unit, book.process).iloc[0]
        days = pd.Series(pd.date_range(tomorrow - QUARTER, tomorrow + QUARTER))
        same = days[(period_of(days, unit, book.process) == label).to_numpy()]
        return Period(str(label), same.iloc[0].date(), same.iloc[-1].date())
    span = as_period(book, period)
    if pd.Timestamp(span.end_on) < tomorrow:
        raise Unavailable(OVER, period=span.label)
    return span


def groups_of(past: Past) -> Groups:
    """The team of each rep, by the last row of `reps`."""
    team = past.book.people.set_index("rep_id")["team"]
    named = pd.Series(past.reps).map(team).astype("str").fillna(UNASSIGNED)
    codes, names = pd.factorize(named, sort=True)
    return Groups(codes.astype(np.int64), tuple(str(n) for n in names))


def judge_past(past: Past, span: Period, leads: Sequence[int], origins: int) -> list[Judged]:
    """The back-test of the window to the end of the period, and of each other lead; the last origin is today."""
    own = window_of(past, span)
    windows = [own, *(Window(0, lead) for lead in dict.fromkeys(leads) if lead != own.lead)]
    weeks = 2 * origins + -(-max(w.lead for w in windows) // STEP)
    days = past.today - STEP * np.arange(weeks + 1)[::-1]
    days = days[(days >= past.stays.first_day + STEP) | (days == past.today)]
    groups = groups_of(past)
    return [judge(view, groups) for view in views(past, days, windows)]


def window_of(past: Past, span: Period) -> Window:
    """The days of the period that are still to come, seen from today."""
    last = _number(span.end_on) - past.today + 1
    gap = max(0, _number(span.start_on) - past.today) if span.start_on is not None else 0
    return Window(gap, last - gap)


def won_so_far(past: Past, span: Period) -> Floats:
    """What is won in the period already, by rep."""
    first = past.today if span.start_on is None else _number(span.start_on)
    return past.won_between(min(first, past.today), past.today)


def _as_run_rate(own: Judged) -> None:
    """Let the run-rate alone stand for today, and doubt it more than where its past misses are known."""
    own.members[-1] = ("run_rate",)
    for store in (own.mean, own.noise):
        store["combined"][-1] = store["run_rate"][-1]
    for level in LEVELS:
        own.error["combined", level][-1] = THIN_ERROR**2


def _headline(board: pd.DataFrame, lead: int, n: int, thin: bool, past: Past) -> Advice:
    """What must be said first, of the company's sum."""
    if thin:
        return Advice(TOO_SHORT, {"days": past.today - past.stays.first_day, "lead": lead})
    if n < ENOUGH:
        return Advice(UNJUDGED, {"lead": lead, "n": n, "least": ENOUGH})
    rows = board[(board["lead"] == lead) & (board["level"] == "company")].set_index("method")
    wape = rows["wape"].astype("float64").to_dict()
    said: dict[str, Any] = {"lead": lead, "n": n, "ours": f"{wape['combined']:.1%}"}
    as_good = [name for name in AS_GOOD if bool(rows.loc[name, "as_good"])]
    if as_good:
        return Advice(AS_GOOD[as_good[0]], {**said, "naive": f"{wape[as_good[0]]:.1%}"})
    return Advice(BETTER, {**said, "naive": f"{wape['run_rate']:.1%}", "crm": f"{wape['crm']:.1%}"})


def _warnings(past: Past, here: Open, deals: pd.DataFrame) -> tuple[Advice, ...]:
    found = []
    if not past.stays.by_stage:
        found.append(Advice(NO_STAGES))
    if undated := int(deals["chance"].isna().sum()):
        found.append(Advice(UNDATED, {"n": undated}))
    if guessed := int((~here.known).sum()):
        found.append(Advice(GUESSED, {"n": guessed, "all": len(here.deal)}))
    return tuple(found)


def _number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))
