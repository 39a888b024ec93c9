"""What if: drag a stage's conversion or time, and see money and the chance to reach the target follow."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from salescoach.app.show import heading, put, said, shown
from salescoach.errors import Unavailable, joined
from salescoach.metrics import currency_of
from salescoach.models import Factors, factors_of, what_if_together
from salescoach.models.forecast import Target
from salescoach.reports.report import Report
from salescoach.wording import N_, Words

QUESTION = N_("What if a stage let more deals through, or took less time?")
NO_CHANGE = N_("Drag a stage: what it would bring per quarter stands here.")
WORTH = N_("All else as it is, this goes with {value} per quarter ({low} – {high}).")
CHANCE = N_("The chance to reach the target of {period} would go from {now} to {then}.")
EACH: dict[str, Any] = {"layout": widgets.Layout(width="370px"), "style": {"description_width": "70px"}}


class WhatIfPanel:
    """Two sliders per stage and what they are worth.

    `conversions` and `days` are the sliders by stage; moving them computes `what_if_together` of the report's period.
    """

    def __init__(self, report: Report) -> None:
        self.report, self.say = report, report.say
        self.target: Target | None = None
        self.answer = shown(said(self.say(NO_CHANGE)))
        self.conversions: dict[str, widgets.FloatSlider] = {}
        self.days: dict[str, widgets.FloatSlider] = {}
        try:
            self.pipeline, self.factors = _factors(report)
        except Unavailable as reason:
            self.widget = shown(said(self.say("unavailable, because {because}", because=_because(self.say, reason))))
            return
        rows = [self._stage(at, stage) for at, stage in enumerate(self.factors.stages)]
        again = widgets.Button(description=self.say("As it is"), tooltip=self.say("Undo all changes"))
        again.on_click(lambda _: self.reset())
        self.widget = widgets.VBox([shown(heading(self.say(QUESTION), 3)), *rows, again, self.answer])

    def _stage(self, at: int, stage: str) -> widgets.HBox:
        say, factors = self.say, self.factors
        name = self.report.book.process.stage_label(self.pipeline, stage, say.language)
        rate, days = float(factors.rates[at]), float(factors.days[at])
        share = widgets.FloatSlider(
            value=round(100 * rate, 1),
            min=0,
            max=100,
            step=0.1,
            description=say("% get on"),
            readout_format=".1f",
            **EACH,
        )
        time = widgets.FloatSlider(
            value=round(days, 1),
            min=0.1,
            max=round(max(3 * days, 5), 1),
            step=0.1,
            description=say("days"),
            readout_format=".1f",
            **EACH,
        )
        for slider in (share, time):
            slider.observe(lambda _: self.recompute(), "value")
        self.conversions[stage], self.days[stage] = share, time
        label = widgets.HTML(f"<b>{escape(name)}</b>", layout=widgets.Layout(width="140px"))
        return widgets.HBox([label, share, time], layout=widgets.Layout(flex_flow="row wrap", align_items="center"))

    def aim(self, target: Target | None) -> None:
        """Tell the chance to reach a target too, from now on."""
        self.target = target
        if self.conversions:
            self.recompute()

    def changes(self) -> tuple[dict[str, float | str | None], dict[str, float]]:
        """What was moved: the new share by stage, and the new mean days by stage."""
        stages = self.factors.stages
        rates = {s: self.conversions[s].value / 100 for s in stages}
        now = {s: round(100 * float(self.factors.rates[at]), 1) / 100 for at, s in enumerate(stages)}
        then = {s: round(float(self.factors.days[at]), 1) for at, s in enumerate(stages)}
        shares: dict[str, float | str | None] = {s: rate for s, rate in rates.items() if abs(rate - now[s]) > 1e-9}
        return shares, {s: self.days[s].value for s in stages if abs(self.days[s].value - then[s]) > 1e-9}

    def recompute(self) -> None:
        shares, days = self.changes()
        put(self.answer, said(self.words(shares, days)))

    def words(self, shares: dict[str, float | str | None], days: dict[str, float]) -> str:
        """The answer in one sentence, and the chance to reach the target where there is one."""
        if not shares and not days:
            return self.say(NO_CHANGE)
        found = what_if_together(self.factors, shares, days)
        money = currency_of(self.report.book)
        value, low, high = (_signed(self.say, amount, money) for amount in (found.value, found.low, found.high))
        told = self.say(WORTH, value=value, low=low, high=high)
        if self.target is None:
            return told
        now, then = (self.say.percent(self.target.chance(more)) for more in (0.0, found.value))
        chance = self.say(CHANCE, period=self.target.period, now=now, then=then)
        return self.say(joined([told, chance], " "))

    def reset(self) -> None:
        for at, stage in enumerate(self.factors.stages):
            self.conversions[stage].value = round(100 * float(self.factors.rates[at]), 1)
            self.days[stage].value = round(float(self.factors.days[at]), 1)


def _factors(report: Report) -> tuple[str, Factors]:
    """The pipeline with most deals, and what its won amount is made of. Raises Unavailable."""
    by = "rep" if report.rep else "team" if report.team else ""
    found = factors_of(report.book, by, report.period)
    (_, pipeline), factors = max(found.items(), key=lambda item: item[1].deals)
    return pipeline, factors


def _signed(say: Words, amount: float, money: str) -> str:
    sign = "+" if amount > 0 else "−" if amount < 0 else ""
    return f"{sign}{say.short_money(round(abs(amount)), money)}"


def _because(say: Words, reason: Unavailable) -> str:
    return say(reason.said)
