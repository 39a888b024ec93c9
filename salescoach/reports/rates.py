"""Who wins more than luck and the mix of deals explain: the pieces of a page about the reps' win rates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, commas, joined
from salescoach.metrics import win_rate
from salescoach.metrics.compare import ENOUGH
from salescoach.metrics.peers import RATE_STEP
from salescoach.metrics.support import SPREAD as VARIATION
from salescoach.models import RepRates, funnel_limits, rep_rates
from salescoach.process import Period
from salescoach.reports.blocks import Block, render, table_block, text_table, unavailable
from salescoach.reports.fields import GROUP_LABELS, Field, decided, interval
from salescoach.wording import N_, Words

WIN_RATES = N_("Win rates like for like")
IN_THE_FUNNEL = N_("Who wins more, or less, than luck explains?")
OWN_FUNNEL = N_("Is my win rate more than luck?")
OTHERS_HIDDEN = N_("what is usual among the others may not be shown: fewer than five others stand behind it")
NAMES_OTHERS = N_("it would name other reps; the manager's page has it")
VERDICTS = {
    "above": N_(
        "{rep} won {value} of {n} deals; with the team's spread and the mix of these deals the rate is most likely "
        "{shrunk} ({low}–{high}), the team's is {team}: this is more than luck explains."
    ),
    "below": N_(
        "{rep} won {value} of {n} deals; with the team's spread and the mix of these deals the rate is most likely "
        "{shrunk} ({low}–{high}), the team's is {team}: this is less than luck explains."
    ),
    "none": N_(
        "{rep} won {value} of {n} deals; with the team's spread and the mix of these deals the rate is most likely "
        "{shrunk} ({low}–{high}), the team's is {team}: this is within luck."
    ),
    "few": N_("{rep} won {won} of {n} deals: nothing to conclude yet; about {more} more closed deals would do."),
}
ALIKE = N_(
    "No usable signal: nobody of {reps} reps with {n} decided deals stands out. Their win rates go from {lowest} to "
    "{highest}, and luck and the mix of their deals are enough to make them so different."
)
SPREAD = N_(
    "Luck and mix aside, the win rates of the reps most likely differ by {spread} points (standard deviation; between "
    "{low} and {high})."
)
REST = N_("The win rates of the other {n} reps are within luck, or rest on too few deals to tell.")
OWN = {
    "above": N_(
        "{rep} won {value} of {n} decided deals; among the others about {usual} is usual. With so many deals luck "
        "alone gives {low} to {high}: this is more than luck explains."
    ),
    "below": N_(
        "{rep} won {value} of {n} decided deals; among the others about {usual} is usual. With so many deals luck "
        "alone gives {low} to {high}: this is less than luck explains."
    ),
    "none": N_(
        "{rep} won {value} of {n} decided deals; among the others about {usual} is usual. With so many deals luck "
        "alone gives {low} to {high}: this is within luck."
    ),
}
MIXED_BY = {
    "quarter_end": N_("decision in the last month of a quarter"),
    "industry": N_("Industry"),
}
_TABLE = (
    Field(N_("Decided (n)"), "n"),
    decided(N_("Won"), "won"),
    interval(N_("Win rate"), "share", "won"),
    Field(N_("Expected wins"), "expected", "number"),
    Field(N_("Won / expected"), "ratio", "ratio"),
    Field(N_("Most likely rate"), "shrunk", "share", "shrunk_low", "shrunk_high", "won"),
    Field(N_("Signal"), "signal", "signal"),
)


class Rates(ABC):
    """The pieces of a report that are about the reps' win rates."""

    book: Book
    say: Words
    period: Period
    rep: str | None

    @abstractmethod
    def _usual(self, metric: str, stage: str | None = None) -> float: ...

    @cached_property
    def _rates(self) -> RepRates:
        """Raises Unavailable."""
        return rep_rates(self.book, self.period)

    # --- everybody: for the manager and the analyst -----------------------------------------------

    def rate_funnel(self) -> Drawing | Block:
        """Each rep's like-for-like win rate against the number of deals, between the lines of luck.

        Only who is outside of them and a discovery among all is named. On a rep's page only that rep's own point.
        """
        if self.rep:
            return self._own_funnel()
        say, question = self.say, self.say(IN_THE_FUNNEL)
        try:
            fit = self._rates
        except Unavailable as why:
            return unavailable(self.say, question, why)
        named = fit.table["signal"].isin(["above", "below"])
        table = fit.table.assign(value=fit.table["like_for_like"], label=fit.table["rep"].where(named, ""))
        with charts.style():
            axes = charts.plot_rate_funnel(
                table,
                fit.limits(_counts(table["n"])),
                fit.rate,
                question,
                say("decided deals (n) · win rate, like for like"),
                (
                    say("all: {rate}", rate=say.percent(fit.rate)),
                    say("95 %: outside it by luck one in 20"),
                    say("99.8 %: one in 500"),
                    say("a rep"),
                ),
            )
            return charts.to_drawing(axes, say(joined([question, *self._findings(fit)], " ")))

    def rate_findings(self, everybody: bool = False) -> Block:
        """One sentence for each rep who stands out, then what holds for the rest; or one for everybody."""
        say, caption = self.say, self.say(WIN_RATES)
        if self.rep:
            return self._own_finding()
        try:
            fit = self._rates
        except Unavailable as why:
            return unavailable(self.say, caption, why)
        found = [self._verdict(row, fit) for row in fit.table.to_dict("records")] if everybody else self._findings(fit)
        return text_table(say, caption, [say("Finding")], [[text] for text in found], [], self._rate_notes(fit))

    def rate_table(self) -> Block:
        """Every rep in the order of names: what was won, what the rep's own mix lets expect, and the likely rate."""
        say, caption = self.say, self.say(WIN_RATES)
        if self.rep:
            return unavailable(self.say, caption, Unavailable(NAMES_OTHERS))
        try:
            fit = self._rates
        except Unavailable as why:
            return unavailable(self.say, caption, why)
        notes = [say("In the order of names, not of results."), *self._rate_notes(fit)]
        return table_block(say, self.book, caption, fit.table, ["rep"], _TABLE, notes)

    def _findings(self, fit: RepRates) -> list[str]:
        say, table = self.say, fit.table
        named = table[table["signal"].isin(["above", "below"])].sort_values("q", kind="stable")
        enough = table[table["signal"] != "few"]
        found = [self._verdict(row, fit) for row in named.to_dict("records")]
        if named.empty:
            shares = {"lowest": say.percent(enough["value"].min()), "highest": say.percent(enough["value"].max())}
            found = [say(ALIKE, reps=say.number(len(table)), n=say.number(fit.n), **shares)]
        elif len(table) > len(named):
            found.append(say(REST, n=say.number(len(table) - len(named))))
        ends = {k: say.number(100 * v, 1) for k, v in _spread(fit).items()}
        return [*found, say(SPREAD, **ends)]

    def _verdict(self, row: Mapping[Any, Any], fit: RepRates) -> str:
        """One rep in one sentence."""
        say, variation = self.say, fit.rate * (1 - fit.rate)
        enough = max(ENOUGH, np.ceil(VARIATION / variation)) if variation else ENOUGH
        return say(
            VERDICTS[row["signal"]],
            rep=row["rep"],
            n=say.number(row["n"]),
            won=say.number(row["won"]),
            more=say.number(max(enough - row["n"], 1)),
            value=say.percent(row["value"]),
            shrunk=say.percent(row["shrunk"]),
            low=say.percent(row["shrunk_low"]),
            high=say.percent(row["shrunk_high"]),
            team=say.percent(fit.rate),
        )

    def _rate_notes(self, fit: RepRates) -> list[str]:
        say = self.say
        names = [say(MIXED_BY.get(name, GROUP_LABELS.get(name, name))) for name in fit.mix]
        mix = (
            say(
                "Like for like: held against what each rep's own mix of deals lets expect, by {names}.",
                names=commas(names),
            )
            if names
            else say("Nothing is known of the deals by which they could be compared like for like.")
        )
        rule = say(
            "A signal is named only where chance is unlikely to make it even among many people compared "
            "(false-discovery rate 10 %). Nobody is compared on fewer than ten decided deals."
        )
        return [mix, rule, *(say(advice.text, **advice.values) for advice in fit.warnings)]

    # --- one's own page ---------------------------------------------------------------------------

    def _own_funnel(self) -> Drawing | Block:
        say, question = self.say, self.say(OWN_FUNNEL)
        try:
            row, usual = self._own_rate()
        except Unavailable as why:
            return unavailable(self.say, question, why)
        table = pd.DataFrame([{"n": row["n"], "value": row["value"], "label": self.rep}])
        limits = _around(_counts(pd.Series([ENOUGH, row["n"]])), usual)
        words = (
            say("usual among the others: about {rate}", rate=say.percent(usual)),
            say("95 %: outside it by luck one in 20"),
            say("99.8 %: one in 500"),
            say("own win rate"),
        )
        with charts.style():
            axis = say("decided deals (n) · win rate")
            axes = charts.plot_rate_funnel(table, limits, usual, question, axis, words)
            return charts.to_drawing(axes, f"{question} {self._own_words(row, usual)}")

    def _own_finding(self) -> Block:
        try:
            row, usual = self._own_rate()
        except Unavailable as why:
            return unavailable(self.say, self.say("Win rate"), why)
        text = self._own_words(row, usual)
        return render("empty", text, text)

    def _own_rate(self) -> tuple[Mapping[Any, Any], float]:
        """The rep's own win rate and what is usual among the others. Raises Unavailable."""
        row = win_rate(self.book, "", self.period).iloc[0].to_dict()
        usual = self._usual("win_rate")
        if usual != usual:
            raise Unavailable(OTHERS_HIDDEN)
        if row["n"] < ENOUGH:
            raise Unavailable(
                "only {n} deals are decided: nothing to conclude yet, about {more} more closed deals would do",
                n=row["n"],
                more=ENOUGH - row["n"],
            )
        return row, usual

    def _own_words(self, row: Mapping[Any, Any], usual: float) -> str:
        """Judged by the outer limits: everybody reads such a page; by the inner ones one in twenty would stand out."""
        say, limits = self.say, _around(np.array([float(row["n"])]), usual)
        low, high = float(limits["lower_998"].iloc[0]), float(limits["upper_998"].iloc[0])
        verdict = "above" if row["value"] > high else "below" if row["value"] < low else "none"
        shown = {"value": row["value"], "usual": usual, "low": low, "high": high}
        return say(OWN[verdict], rep=self.rep, n=say.number(row["n"]), **{k: say.percent(v) for k, v in shown.items()})


def _around(n: np.ndarray[Any, np.dtype[np.float64]], usual: float) -> pd.DataFrame:
    """The lines of luck around a usual rate that is rounded: from those of its lowest to those of its highest value."""
    least, most = max(usual - RATE_STEP / 2, 0.0), min(usual + RATE_STEP / 2, 1.0)
    above = funnel_limits(n, most)
    return funnel_limits(n, least).assign(upper_95=above["upper_95"], upper_998=above["upper_998"])


def _counts(n: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers of deals at which the lines are drawn: around those of the reps, closer together where they bend."""
    return np.unique(np.round(np.geomspace(max(float(n.min()) * 0.6, 4.0), float(n.max()) * 1.06 + 4, 160)))


def _spread(fit: RepRates) -> dict[str, float]:
    return {"spread": fit.spread, "low": fit.spread_low, "high": fit.spread_high}
