"""How long deals take and how they end: the pieces of a page about time, counting what is still open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, joined
from salescoach.models import TimeToDecision, fit_stage_times, fit_time_to_decision, time_regression
from salescoach.process import Period
from salescoach.reports.blocks import Block, table_block, text_table, unavailable
from salescoach.reports.fields import GROUP_LABELS, Field
from salescoach.wording import N_, Words

ENDS = N_("How do deals end, and after how many days?")
STAGES = N_("How long do deals stay in each stage?")
PACE = N_("What goes with deciding sooner or later?")
HALF = N_("Half of {n} deals are decided within {median} days ({low}–{high}), counting the {open} still open.")
NOT_HALF = N_("Of {n} deals, {open} of them still open, half are not decided yet within the days that can be seen.")
OF_100 = N_(
    "Of 100 deals {won} ({low}–{high}) are won within {days} days, {lost} are lost, {open} are still open and just "
    "hanging."
)
NAIVE = N_(
    "The median of the decided deals alone would be {naive} days: it leaves out everything that is slow and still open."
)
TOO_FEW = N_("nothing to conclude yet: about {more} more deals would do")
NO_SIGNAL = N_(
    "No usable signal: nothing that is known of {n} deals at their creation goes with their pace beyond chance."
)
GOES_WITH = {
    "sooner": N_(
        "{name} goes with deciding sooner: on any day {value} times as many decisions as {reference} ({low}–{high}; "
        "n = {n})."
    ),
    "later": N_(
        "{name} goes with deciding later: on any day {value} times as many decisions as {reference} ({low}–{high}; "
        "n = {n})."
    ),
}
_STAGES = (
    Field(N_("Entered (n)"), "n"),
    Field(N_("Still there"), "still"),
    Field(N_("Median days"), "median_days", "days", "median_low", "median_high"),
    Field(N_("Three quarters within"), "p75_days", "days"),
    Field(N_("Expected days"), "within_days", "days"),
    Field(N_("Gone on by then"), "went_on", "share", "went_on_low", "went_on_high"),
    Field(N_("Lost by then"), "lost", "share"),
    Field(N_("Still waiting"), "waiting", "share"),
)


class Times(ABC):
    """The pieces of a report that are about the time deals take."""

    book: Book
    say: Words
    period: Period
    rep: str | None

    @abstractmethod
    def _labelled(self, table: pd.DataFrame, groups: list[str]) -> tuple[pd.DataFrame, list[str]]: ...

    def ends_chart(self) -> Drawing | Block:
        """Shares of deals won, lost and still open by the days since the first contact."""
        say, question = self.say, self.say(ENDS)
        try:
            fit = self._ends()
        except Unavailable as why:
            return unavailable(self.say, question, why)
        last = fit.table.iloc[[-1]].assign(day=max(fit.horizon, fit.table["day"].iloc[-1]))
        table = pd.concat([fit.table, last], ignore_index=True)
        words = (say("won"), say("still open"), say("lost"), say("95 % interval of won"))
        with charts.style():
            axis = say("days since the first contact · n={n}", n=say.number(fit.n))
            axes = charts.plot_incidence(table, question, axis, words)
            return charts.to_drawing(axes, say(joined([question, *self._ends_words(fit)], " ")))

    def ends_findings(self) -> Block:
        """How long until half are decided, and how a hundred deals end."""
        say, caption = self.say, self.say(ENDS)
        try:
            fit = self._ends()
        except Unavailable as why:
            return unavailable(self.say, caption, why)
        notes = [say(advice.text, **advice.values) for advice in fit.warnings]
        return text_table(say, caption, [say("Finding")], [[text] for text in self._ends_words(fit)], [], notes)

    def _ends(self) -> TimeToDecision:
        fit = fit_time_to_decision(self.book, self.period)
        if len(fit.table) < 2:
            raise Unavailable(TOO_FEW, more=max(10 - fit.n, 1))
        return fit

    def _ends_words(self, fit: TimeToDecision) -> list[str]:
        say, row = self.say, fit.at(fit.horizon)
        known = fit.median == fit.median
        low, high = (say.number(day) if day == day else "…" for day in (fit.median_low, fit.median_high))
        counts = {"n": say.number(fit.n), "open": say.number(fit.open_now)}
        said = [
            say(HALF, median=say.number(fit.median), low=low, high=high, **counts) if known else say(NOT_HALF, **counts)
        ]
        shares = {"won": row["won"], "low": row["won_low"], "high": row["won_high"], "lost": row["lost"]}
        of_100 = {name: say.number(100 * share) for name, share in shares.items()}
        left = say.number(100 - round(100 * row["won"]) - round(100 * row["lost"]))
        said.append(say(OF_100, days=say.number(fit.horizon), open=left, **of_100))
        if fit.naive == fit.naive and known and round(fit.naive) != round(fit.median):
            said.append(say(NAIVE, naive=say.number(fit.naive)))
        return said

    def stage_times(self) -> Block:
        """How long deals stay in each stage, and how many have gone on by the expected days."""
        say, caption = self.say, self.say(STAGES)
        try:
            fit = fit_stage_times(self.book, self.period)
        except Unavailable as why:
            return unavailable(self.say, caption, why)
        table, groups = self._labelled(fit.table, ["stage"])
        note = say(
            "Days: Kaplan-Meier, deals still there counted as waiting. By the days that the process expects (28 where "
            "it names none): gone on, lost or still waiting; the three add up to all. A dash: fewer than ten deals "
            "were followed so long."
        )
        return table_block(say, self.book, caption, table, [g for g in groups if g != "order"], _STAGES, [note])

    def pace_findings(self) -> Block:
        """What goes with deciding sooner or later, everything else equal: one sentence each, or that nothing does."""
        say, caption = self.say, self.say(PACE)
        try:
            fit = time_regression(self.book, self.period)
        except Unavailable as why:
            return unavailable(self.say, caption, why)
        found = fit.table[fit.table["signal"] != "none"].sort_values("q", kind="stable")
        texts = [self._goes_with(row) for row in found.to_dict("records")] or [say(NO_SIGNAL, n=say.number(fit.n))]
        note = say(
            "It goes with the pace; that it is the cause is not said. A signal is named only where chance is unlikely "
            "to make it even among many compared (false-discovery rate 10 %)."
        )
        notes = [note, *(say(advice.text, **self._called(advice.values)) for advice in fit.warnings)]
        return text_table(say, caption, [say("Finding")], [[text] for text in texts], [], notes)

    def _goes_with(self, row: Mapping[Any, Any]) -> str:
        say, label = self.say, self._label(row["driver"])
        ends = {k: say.number(row[k], 2) for k in ("value", "low", "high")}
        return say(
            GOES_WITH[row["signal"]],
            name=f"{label} = {say(row['level'])}",
            reference=say(row["reference"]),
            n=say.number(row["n"]),
            **ends,
        )

    def _label(self, name: str) -> str:
        return self.say(_LABELS.get(name, name))

    def _called(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {k: self._label(str(v)) for k, v in values.items()}


_LABELS = {**GROUP_LABELS, "industry": N_("Industry")}
