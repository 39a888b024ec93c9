"""What will close, how sure that is, and how right such forecasts were before: the pieces of a page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, joined
from salescoach.models.forecast import METHODS, Forecast, Target, fit_forecast, forecast_of_rep, targets_of
from salescoach.models.forecast.bridge import LINES, Changes
from salescoach.models.forecast.bridge import forecast_changes as changes_since
from salescoach.models.forecast.share import forecast_of_team
from salescoach.process import Period
from salescoach.reports.blocks import Block, in_pairs, render, table_block, unavailable
from salescoach.reports.fields import Field
from salescoach.reports.others import forecast_span
from salescoach.wording import N_, NOTHING, Words, is_known

TITLE = N_("What will be won?")
BEFORE = N_("What was forecast, and what came?")
SCORES = N_("How far off was each method on past days?")
CHANCES = N_("Did the chances come true?")
DEALS = N_("Which deals carry the forecast?")
CALLS = N_("How right were our own calls?")
CHANGED = N_("What changed the forecast in the last four weeks?")
DIFFERENCE = N_("{then} at the end of {day}, {now} now; the lines are the whole difference.")
SINCE_DAYS = 28
CATEGORIES = N_("Commit, best case, pipeline")
SENTENCE = N_(
    "{who} will win about {value} in {period} (80 % range {low} – {high}): {won} is won already, {open} is expected "
    "from {n} open deals, {new} from deals that are not there yet."
)
REACH = N_("The chance to reach the target of {target} is {chance}.")
MISSING = N_("For an even chance about {missing} more must come.")
NO_TARGET = N_("No target is set for {period}.")
NONE_OPEN = N_("No deal is open.")
ALIKE = N_("{won} of {n} deals like this were won within {days} days")
ALIKE_HIDDEN = N_("the chance comes from the deals of all reps")
UNDATED = N_("how old it is is not known")
METHOD = N_(
    "A deal's chance: how often deals at this stage and about this age were won within as many days. The total adds "
    "these up, adds deals that are not there yet, and is corrected by how such forecasts came out before."
)
OWN_PAGE = N_("the back-test is that of all reps together and stands on the manager's page")
_PARTS = (
    Field(N_("Forecast"), "value", "money", "low", "high"),
    Field(N_("Won already"), "won", "money"),
    Field(N_("From open deals"), "open", "money"),
    Field(N_("From new deals"), "new", "money"),
    Field(N_("Open deals (n)"), "n"),
    Field(N_("Target"), "target", "money"),
    Field(N_("Chance to reach it"), "chance", "ratio"),
    Field(N_("Rep's call"), "rep_call", "money"),
    Field(N_("Manager's call"), "manager_call", "money"),
)
_SCORES = (
    Field(N_("Off by"), "wape", "ratio"),
    Field(N_("Too high (+) or low (−)"), "bias", "ratio"),
    Field(N_("Better than the run-rate by"), "gain", "ratio", "gain_low", "gain_high"),
    Field(N_("50 % range held"), "covered_50", "ratio"),
    Field(N_("80 % range held"), "covered_80", "ratio"),
    Field(N_("Past days (n)"), "n_origins"),
    Field(N_("In use"), "use", "text"),
)
_DEALS = (
    Field(N_("Stage"), "stage", "text"),
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Chance", "winning"), "chance", "share", "low", "high"),
    Field(N_("Expected"), "expected", "money"),
    Field(N_("Why"), "why", "text"),
)
_CALLS = (
    Field(N_("Calls (n)"), "n"),
    Field(N_("Off by"), "wape", "ratio"),
    Field(N_("Too high (+) or low (−)"), "bias", "ratio"),
)
_CHANGES = (
    Field(N_("Adds"), "value", "money"),
    Field(N_("Deals (n)"), "n"),
)
_CATEGORIES = (
    Field(N_("Open deals (n)"), "n"),
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Expected"), "expected", "money"),
)
SIDES = {"rep": N_("Rep"), "manager": N_("Manager")}
NO_CATEGORY = N_("(no category)")
LISTED = 12


class Forecasts(ABC):
    """The pieces of a report about what will be won.

    On a rep's page the forecast is made from the rep's own deals and the rounded figures of all
    (`peers["forecast"]`); the others' deals are not opened.
    """

    book: Book
    say: Words
    period: Period
    rep: str | None
    team: str | None

    @property
    @abstractmethod
    def who(self) -> str: ...

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    @abstractmethod
    def _short_amount(self, amount: float) -> str: ...

    @cached_property
    def _ahead(self) -> Forecast:
        """Raises Unavailable."""
        span = forecast_span(self.book, self.period)
        if self.team:
            return forecast_of_team(self.book.peers)
        if not self.rep:
            return fit_forecast(self.book, span)
        if "forecast" not in self.book.peers:
            raise Unavailable("the figures of all reps are not at hand. Make this page with `salescoach batch`")
        return forecast_of_rep(self.book, self.book.peers["forecast"], span)

    @property
    def _forecast_level(self) -> str:
        return "rep" if self.rep else "team" if self.team else "company"

    def _own_row(self) -> pd.Series:
        return self._ahead.of(self._forecast_level).iloc[0]

    @property
    def ahead(self) -> str:
        """The period that is forecast, as one writes it."""
        return forecast_span(self.book, self.period).label

    # --- in words -----------------------------------------------------------------------------

    def forecast_in_words(self) -> Block:
        """The forecast of the period in one sentence with its range, and how far such forecasts were off."""
        say = self.say
        try:
            fit, row = self._ahead, self._own_row()
        except Unavailable as reason:
            return unavailable(say, say(TITLE), reason)
        amounts = {c: self._short_amount(row[c]) for c in ("value", "low", "high", "won", "open", "new")}
        told = say(SENTENCE, who=self.who, period=self._ahead_label, n=say.number(row["n"]), **amounts)
        headline = [] if fit.headline is None else [say(fit.headline.text, **fit.headline.values)]
        text = say(joined([told, *headline], " "))
        return render("empty", text, text)

    @property
    def _ahead_label(self) -> str:
        span = self._ahead.period
        return NOTHING if span is None else span.label

    def target_in_words(self) -> Block:
        """The chance to reach the target of the period, and what is missing for an even one."""
        say, caption = self.say, self.say("Chance to reach it")
        try:
            found = self._aim()
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        if found is None:
            text = say(NO_TARGET, period=self._ahead_label)
            return render("empty", text, text)
        text = say(REACH, target=self._short_amount(found.amount), chance=say.percent(found.chance()))
        if found.missing:
            text = say(joined([text, say(MISSING, missing=self._short_amount(found.missing))], " "))
        return render("empty", text, text)

    def _aim(self) -> Target | None:
        """Raises Unavailable."""
        return next(iter(targets_of(self.book, self._ahead, self._forecast_level).values()), None)

    # --- tables -------------------------------------------------------------------------------

    def forecast_table(self, by: str = "") -> Block:
        """The forecast of each team (of the company) or each rep (of a team), in parts that add up, beside the target.

        by   "team" or "rep"; upstairs teams alone are shown
        """
        say, caption = self.say, self.say(TITLE)
        level = by or ("rep" if self.rep or self.team else "team")
        try:
            rows = self._ahead.of(level)
            known = targets_of(self.book, self._ahead, level)
            aims = [known.get(name) for name in rows["rep_id" if level == "rep" else "team"]]
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = rows.assign(
            target=[np.nan if aim is None else aim.amount for aim in aims],
            chance=[np.nan if aim is None else aim.chance() for aim in aims],
        )
        table = table.sort_values(level, kind="stable", ignore_index=True)
        fields = [f for f in _PARTS if table[f.column].notna().any()]
        notes = [say(METHOD), *(say(w.text, **w.values) for w in self._ahead.warnings)]
        return table_block(say, self.book, caption, table, [level], fields, notes)

    def forecast_scores(self) -> Block:
        """How far each method was off on past days, as many days ahead: ours beside the CRM's and the simple ones."""
        say, caption = self.say, self.say(SCORES)
        try:
            fit = self._ahead
            self._not_own()
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = fit.scoreboard[(fit.scoreboard["lead"] == fit.lead) & (fit.scoreboard["level"] == self._forecast_level)]
        if table.empty:
            return unavailable(say, caption, Unavailable("the past is too short to try a forecast on it"))
        marks = [say("yes") if chosen else say("as good") if good else "" for chosen, good in self._marks(table)]
        table = table.assign(use=marks, method=[say(METHODS[name]) for name in table["method"]])
        note = say(
            "Off by: the sum of all misses over the sum of what came, {days} days ahead. In brackets: 90 % ranges.",
            days=say.number(fit.lead),
        )
        return table_block(say, self.book, caption, table, ["method"], _SCORES, [note])

    def _marks(self, table: pd.DataFrame) -> list[tuple[bool, bool]]:
        return list(zip(table["chosen"].astype(bool), table["as_good"].astype(bool), strict=True))

    def _not_own(self) -> None:
        """Raises Unavailable on a rep's page."""
        if self.rep:
            raise Unavailable(OWN_PAGE)

    def forecast_calls(self) -> Block:
        """The reps' and managers' own calls beside what came, and beside ours of the same day."""
        say, caption = self.say, self.say(CALLS)
        try:
            calls = self._ahead.calls
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        if calls.empty:
            return unavailable(say, caption, Unavailable("the book has no table `{table}`", table="forecast_calls"))
        words = {"call": say("their call"), **{name: say(METHODS[name]) for name in ("combined", "run_rate")}}
        table = calls.assign(
            called_by=[say(SIDES[side]) for side in calls["called_by"]], method=calls["method"].map(words)
        )
        return table_block(say, self.book, caption, table, ["called_by", "method"], _CALLS)

    def forecast_categories(self) -> Block:
        """Open deals by the category that the CRM gives them: their amounts, and what is expected of them."""
        say, caption = self.say, self.say(CATEGORIES)
        try:
            deals = self._ahead.deals
            if not self.book.has("deals", "forecast_category"):
                raise Unavailable("`{column}` is missing in `deals`", column="forecast_category")
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        known = self.book.deals.set_index("deal_id")["forecast_category"]
        category = deals["deal_id"].map(known).astype("object")
        deals = deals.assign(category=category.where(category.notna(), say(NO_CATEGORY)), n=1)
        table = deals.groupby("category", as_index=False)[["n", "amount", "expected"]].sum()
        return table_block(say, self.book, caption, table, ["category"], _CATEGORIES)

    def forecast_deals(self, most: int = LISTED) -> Block:
        """The open deals from which most is expected, each with its chance and the sentence why."""
        say, caption = self.say, self.say(DEALS)
        try:
            fit = self._ahead
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        if fit.deals.empty:
            return render("empty", caption, say(NONE_OPEN))
        names = self.book.deals.set_index("deal_id")
        shown = fit.deals.head(most)
        name = shown["deal_id"].map(names["name"]) if "name" in names else shown["deal_id"]
        table = shown.assign(
            deal=name.fillna(shown["deal_id"]),
            stage=[self._stage(p, s) for p, s in zip(shown["pipeline"], shown["stage"], strict=True)],
            why=[self._why(row) for row in shown.to_dict("records")],
        )
        note = say("{n} of {all} open deals, those from which most is expected.", n=len(shown), all=len(fit.deals))
        return table_block(say, self.book, caption, table, ["deal"], _DEALS, [note])

    def _why(self, row: dict[object, object]) -> str:
        say = self.say
        if not is_known(row["chance"]):
            return say(UNDATED)
        if not is_known(row["similar_n"]):
            return say(ALIKE_HIDDEN)
        won, n = say.number(row["similar_won"]), say.number(row["similar_n"])
        return say(ALIKE, won=won, n=n, days=say.number(self._ahead.lead))

    # --- what changed -------------------------------------------------------------------------

    def forecast_changes(self) -> Block:
        """Why the forecast is no longer what it was four weeks ago, in lines that add up to the whole change."""
        say, caption = self.say, self.say(CHANGED)
        try:
            found = self._changes
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = found.table[(found.table["n"] > 0) | (found.table["value_minor"] != 0)]
        table = table.assign(change=[say(LINES[line]) for line in table["line"]])
        then, now = (say.money(amount, found.currency) for amount in (found.then, found.now))
        day = NOTHING if found.since is None else say.date(found.since)
        note = say(DIFFERENCE, then=then, day=day, now=now)
        return table_block(say, self.book, caption, table, ["change"], _CHANGES, [note])

    def changes_chart(self) -> Drawing | Block:
        """The same as a waterfall."""
        say, caption = self.say, self.say(CHANGED)
        try:
            found = self._changes
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        lines = found.table[found.table["value_minor"] != 0]
        ends = found.then + lines["value"].cumsum()
        rows = pd.DataFrame(
            {
                "name": [say("Then"), *(say(LINES[line]) for line in lines["line"]), say("Now")],
                "from": [0.0, *(ends - lines["value"]), 0.0],
                "to": [found.then, *ends, found.now],
                "direction": [0, *np.where(lines["value"] > 0, 1, -1), 0],
                "text": [f"{self._short_amount(v)}  " for v in (found.then, *lines["value"], found.now)],
            }
        )
        words = (say("stands"), say("comes in"), say("goes out"))
        with charts.style():
            axes = charts.plot_bridge(rows, "name", caption, say("forecast"), words, self._short_amount)
            told = in_pairs(say, zip(rows["name"], rows["text"].str.strip(), strict=True))
            return charts.to_drawing(axes, f"{caption} {told}")

    @cached_property
    def _changes(self) -> Changes:
        """Raises Unavailable."""
        self._not_own()
        if self.team:
            raise Unavailable("what changed is told of the company as a whole")
        since = (self.book.as_of_on - pd.Timedelta(days=SINCE_DAYS)).date()
        return changes_since(self.book, since, now=self._ahead)

    # --- pictures -----------------------------------------------------------------------------

    def forecast_chart(self) -> Drawing | Block:
        """What was forecast on past days with its ranges, what came, and the forecast of now."""
        say, title = self.say, self.say(BEFORE)
        try:
            self._not_own()
            fit, row = self._ahead, self._own_row()
        except Unavailable as reason:
            return unavailable(say, title, reason)
        past = fit.past
        here = (past["lead"] == fit.lead) & (past["level"] == self._forecast_level) & (past["method"] == "combined")
        past = past[here].sort_values("last_day", kind="stable")
        if len(past) < 2:
            return unavailable(say, title, Unavailable("the past is too short to try a forecast on it"))
        words = (say("what came"), say("forecast"), say("50 % range"), say("80 % range"))
        axis = say("last of {days} days ahead · dot: now", days=say.number(fit.lead))
        with charts.style():
            axes = charts.plot_fan(past, row.to_frame().T, title, axis, words, self._short_amount)
            held = float(((past["actual"] >= past["low"]) & (past["actual"] <= past["high"])).mean())
            told = say("The 80 % range held {share} of the time.", share=say.percent(held))
            return charts.to_drawing(axes, f"{title} {told}")

    def chances_chart(self) -> Drawing | Block:
        """The chances that were given to deals on past days, in tenths, against the share that was won."""
        say, title = self.say, self.say(CHANCES)
        try:
            self._not_own()
            fit = self._ahead
        except Unavailable as reason:
            return unavailable(say, title, reason)
        table = fit.calibration[fit.calibration["lead"] == fit.lead]
        if table.empty:
            return unavailable(say, title, Unavailable("the past is too short to try a forecast on it"))
        axis = say("chance given · up: share won within {days} days, with its 95 % range", days=say.number(fit.lead))
        words = (say("exactly right"), say("a tenth of the deals"))
        with charts.style():
            axes = charts.plot_calibration(table, title, axis, words)
            pairs = zip(table["expected"], table["value"], strict=True)
            told = in_pairs(say, ((say.percent(chance), say.percent(share)) for chance, share in pairs))
            return charts.to_drawing(axes, f"{title} {told}")
