"""What goes with winning: the pieces of a page about drivers, and about whether they may be believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, commas, joined
from salescoach.metrics.groups import NONE
from salescoach.models import DriverFit, driver_rows, fit_activities, fit_drivers, fit_stages
from salescoach.models.design import OTHER
from salescoach.process import Period
from salescoach.reports.blocks import Block, Cell, cell, on_scale, render, scale_ends, table_block, text_table
from salescoach.reports.fields import GROUP_LABELS, TEXT_GROUPS, Field, interval
from salescoach.reports.gauges import scale_of
from salescoach.wording import N_, Words, is_known

MOST_DRIVERS = 6
LISTED = 20
ACTIVITIES = "activities"  # in place of a stage: what was done in a deal's first days
DRIVER_LABELS = {
    **GROUP_LABELS,
    "amount": N_("Amount"),
    "list_price": N_("List price"),
    "contacts": N_("Contacts known"),
    "discount_asked": N_("Discount asked for"),
    "industry": N_("Industry"),
    "size": N_("Size"),
    "response_hours": N_("Hours until the lead's answer"),
    "quarter_end": N_("Decided in a quarter-end month"),
    "done_call": N_("Calls"),
    "done_demo": N_("Demos"),
    "done_email": N_("E-mails"),
    "done_meeting": N_("Meetings"),
    "done_quote": N_("Quotes"),
}
LEVELS = (*TEXT_GROUPS, OTHER, N_("yes"), N_("no"))
SIGNALS = {
    "more": N_("more"),
    "less": N_("fewer"),
    "none": N_("within chance"),
    "few": N_("too few deals"),
    "reference": N_("reference"),
}
COMPARED = {
    "": N_("deals with “{driver}: {level}” instead of “{reference}”"),
    "doubling": N_("twice as much of “{driver}”"),
    "one": N_("one more of “{driver}”"),
    "quartiles": N_("“{driver}” at {level} instead of {reference}"),
}
SAID = {
    ("more", False): N_(
        "Everything else equal, {what}: {points} points more deals are won ({low} to {high}; n = {n})."
    ),
    ("less", False): N_(
        "Everything else equal, {what}: {points} points fewer deals are won ({low} to {high}; n = {n})."
    ),
    ("more", True): N_(
        "Everything else equal, {what}: {points} points more deals go on from this stage ({low} to {high}; n = {n})."
    ),
    ("less", True): N_(
        "Everything else equal, {what}: {points} points fewer deals go on from this stage ({low} to {high}; n = {n})."
    ),
}
STATES = {0: N_("lost"), 1: N_("won")}
WENT = {0: N_("did not go on"), 1: N_("went on")}


class Drivers(ABC):
    """The pieces of a report that say what goes with winning, or with going on from a stage.

    stage   a stage's key; "" for whole deals; "activities" for what was done in a deal's first days. Fits by stage
            are the better evidence: a trait may help in one stage and harm in another.
    """

    book: Book
    say: Words
    period: Period

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    @abstractmethod
    def _pipeline(self, pipeline: str) -> str: ...

    @abstractmethod
    def _pipeline_of(self, stage: str) -> str: ...

    # --- the answers --------------------------------------------------------------------------

    def driver_findings(self, stage: str = "") -> Block:
        """One sentence for each trait that goes with winning, or that there is no usable signal, or too little data."""
        say, caption = self.say, self._asked(stage)
        try:
            fit = self._fitted(stage)
        except Unavailable as why:
            return self._no_drivers(caption, why)
        lines = self._lines(fit, stage)
        if len(lines) == 1 and not _spoken(fit):
            return render("empty", f"{caption} {lines[0]}", f"{caption} {lines[0]}")
        return text_table(say, caption, [say("Finding")], [[line] for line in lines], [], self._cautions(fit))

    def stage_drivers(self) -> Block:
        """For each stage what goes with going on from it, in sentences."""
        say, caption = self.say, self.say("What goes with going on, stage by stage?")
        try:
            fits = self._by_stage()
        except Unavailable as why:
            return self._no_drivers(caption, why)
        several = len(self.book.process.pipelines) > 1
        rows = []
        for (pipeline, stage), fit in fits.items():
            name = self._stage(pipeline, stage)
            name = say("{who}: {what}", who=self._pipeline(pipeline), what=name) if several else name
            rows += [
                [name if i == 0 else "", line, say.number(fit.n) if i == 0 else ""]
                for i, line in enumerate(self._lines(fit, stage))
            ]
        notes = [
            say(
                "Each driver as it was known when the deal entered the stage. A driver is named only where chance is "
                "unlikely to make it even among all those looked at in all stages (false-discovery rate 10 %); it goes "
                "with going on, that it is the cause is not said."
            )
        ]
        return text_table(say, caption, [say("Stage"), say("Finding"), say("Ended (n)")], rows, [2], notes)

    def driver_table(self, stage: str = "") -> Block:
        """Every driver with all its levels: points against the reference, their range, n and signal."""
        say, caption = self.say, self._asked(stage)
        try:
            fit = self._fitted(stage)
        except Unavailable as why:
            return self._no_drivers(caption, why)
        field = Field("", "effect", "points", "low", "high")
        scale = scale_of(fit.table, field)
        rows: list[list[object]] = []
        before = ""
        for row in _records(fit.table):
            name = self._driver(row["driver"])
            points = Cell("0") if row["signal"] == "reference" else cell(say, row, field, "")
            rows.append(
                [
                    "" if name == before else name,
                    self._level_in_table(row),
                    on_scale(points, row, field, scale),
                    say.number(row["n"]),
                    say.percent(row["won"] / row["n"]),
                    say(SIGNALS[row["signal"]]),
                ]
            )
            before = name
        labels = [say("Driver"), say("Deals with"), say("Points more or less"), say("Deals (n)")]
        labels += [say("Went on") if self._is_stage(stage) else say("Won"), say("Signal")]
        notes = [
            say(
                "Points: the mean difference if all deals had the one instead of the reference, everything else in the "
                "table equal; in brackets 95 % intervals. The share beside it is the plain one of these deals."
            ),
            *self._cautions(fit),
        ]
        ends = {2: scale_ends(say, scale, "points")} if scale else None
        return text_table(say, caption, labels, rows, [2, 3, 4], notes, ends)

    def driver_chart(self, stage: str = "") -> Drawing | Block:
        """The drivers as a forest plot: the six with the strongest evidence, strongest first."""
        say, title = self.say, self._asked(stage)
        try:
            fit = self._fitted(stage)
        except Unavailable as why:
            return self._no_drivers(title, why)
        shown = fit.table.drop_duplicates("driver").sort_values("p", kind="stable")["driver"].head(MOST_DRIVERS)
        parts = [fit.table[fit.table["driver"] == name] for name in shown]
        rows = [row for part in parts for row in self._chart_rows(part)]
        axis = say("points more or fewer deals won, against the reference · 95 % interval")
        if self._is_stage(stage):
            axis = say("points more or fewer deals that went on, against the reference · 95 % interval")
        legend = (say("more than chance"), say("within chance"), say("reference"))
        with charts.style():
            axes = charts.plot_drivers(pd.DataFrame(rows), "name", title, axis, legend)
            return charts.to_drawing(axes, f"{title} {say(joined((r['alt'] for r in rows if r['alt']), '; '))}")

    def driver_check(self, stage: str = "") -> Block:
        """How the same fit on an earlier period told a later one."""
        say, caption = self.say, self.say("May the drivers be believed? Told beforehand, and what came of it")
        try:
            fit = self._fitted(stage)
        except Unavailable as why:
            return self._no_drivers(caption, why)
        tried = fit.calibration
        if tried is None:
            text = say("There are too few decided deals to try the drivers on a later period.")
            told = say("{who}: {what}", who=caption, what=text)
            return render("empty", told, told)
        came = N_("Went on") if self._is_stage(stage) else N_("Won")
        fields = (Field(N_("Told"), "predicted", "share"), interval(came, "share"), Field(N_("Deals (n)"), "n"))
        return table_block(say, self.book, caption, tried.bands, [], fields, [self._coin(fit), self._boldness(fit)])

    def refused_columns(self, stage: str = "") -> Block:
        """The columns that may be no drivers, by the reason why."""
        say, caption = self.say, self.say("Columns that were not used as drivers")
        try:
            refused = self._fitted(stage).refused
        except Unavailable as why:
            return self._no_drivers(caption, why)
        if refused.empty:
            return render("empty", caption, say("Every column could be used."))
        rows = [
            [say(commas(self._driver(name) for name in part["field"])), say(str(why))]
            for why, part in refused.groupby("why", sort=False)
        ]
        return text_table(say, caption, [say("Columns"), say("Why")], rows)

    def driver_deals(self, driver: str, level: str = "", stage: str = "", most: int = LISTED) -> Block:
        """The deals behind one row of the table, the latest ones, with what became of them."""
        say = self.say
        pipeline = self._pipeline_of(stage) if stage else None
        rows = driver_rows(self.book, driver, level, self.period, stage or None, pipeline)
        caption = say("Deals with “{driver}: {level}”", driver=self._driver(driver), level=self._level(level))
        if not level:
            caption = say("Deals whose “{driver}” is known", driver=self._driver(driver))
        if rows.empty:
            text = say("There is no such deal in the period.")
            told = say("{who}: {what}", who=caption, what=text)
            return render("empty", told, told)
        shown = rows.sort_values(["counted_on", "deal_id"], ascending=[False, True], kind="stable").head(most)
        states = WENT if stage else STATES
        texts = [
            [
                r["name"] if isinstance(r.get("name"), str) else r["deal_id"],
                self._value(r[driver]),
                say(states[r["outcome"]]),
                say.date(r["counted_on"]),
            ]
            for r in _records(shown)
        ]
        note = say("The {n} latest of {all} deals.", n=say.number(len(shown)), all=say.number(len(rows)))
        return text_table(
            say, caption, [say("Deal"), self._driver(driver), say("Outcome"), say("On")], texts, [], [note]
        )

    # --- fits ---------------------------------------------------------------------------------

    def _fitted(self, stage: str) -> DriverFit:
        """The fit for a stage, for whole deals or for first activities, made once."""
        made: dict[str, DriverFit] = vars(self).setdefault("_driver_fits", {})
        if self._is_stage(stage):
            fits = self._by_stage()
            place = (self._pipeline_of(stage), stage)
            return fits[place] if place in fits else fit_drivers(self.book, self.period, stage=stage)
        if stage not in made:
            fit = fit_activities if stage == ACTIVITIES else fit_drivers
            made[stage] = fit(self.book, self.period)
        return made[stage]

    def _by_stage(self) -> dict[tuple[str, str], DriverFit]:
        made = vars(self)
        if "_stage_fits" not in made:
            made["_stage_fits"] = fit_stages(self.book, self.period)
        found: dict[tuple[str, str], DriverFit] = made["_stage_fits"]
        return found

    @staticmethod
    def _is_stage(stage: str) -> bool:
        return stage not in ("", ACTIVITIES)

    # --- words --------------------------------------------------------------------------------

    def _asked(self, stage: str) -> str:
        say = self.say
        if stage == ACTIVITIES:
            return say("What done in the first 14 days goes with winning?")
        if not stage:
            return say("What goes with winning?")
        return say("What goes with going on from “{stage}”?", stage=self._stage(self._pipeline_of(stage), stage))

    def _lines(self, fit: DriverFit, stage: str) -> list[str]:
        """The findings; where there are none, why."""
        say = self.say
        if fit.missing:
            return [
                say(
                    "Nothing to conclude yet: about {n} more closed deals are needed to tell the drivers from chance.",
                    n=say.number(fit.missing),
                )
            ]
        if fit.calibration is None:
            return [say("Nothing to conclude yet: too few deals were decided to try the drivers on a later period.")]
        if not fit.usable:
            return [say(joined([say("No usable signal."), self._coin(fit)], " "))]
        found = [self._sentence(row, stage) for row in _records(_clear(fit))]
        return found or [say("No single driver stands out from chance; together they tell the deals apart a little.")]

    def _sentence(self, row: dict[str, Any], stage: str) -> str:
        say, less = self.say, row["signal"] == "less"
        ends = sorted(abs(row[end]) for end in ("low", "high"))
        what = say(
            COMPARED[row["step"]],
            driver=self._driver(row["driver"]),
            level=self._level(row["level"]),
            reference=self._level(row["reference"]),
        )
        return say(
            SAID["less" if less else "more", self._is_stage(stage)],
            what=what,
            points=say.number(100 * abs(row["effect"]), 1),
            low=say.number(100 * ends[0], 1),
            high=say.number(100 * ends[1], 1),
            n=say.number(row["n"]),
        )

    def _coin(self, fit: DriverFit) -> str:
        say, tried = self.say, fit.calibration
        if tried is None:
            return ""
        return say(
            "Tried on the {n} deals from {day} on, after a fit on the {n_fit} before: of a good and a bad ending the "
            "drivers gave the good one the higher chance {auc} of the time ({range}; a coin: 50 %).",
            n=say.number(tried.n),
            day=say.date(tried.split_on),
            n_fit=say.number(tried.n_fit),
            auc=say.percent(tried.auc),
            range=self._shares(tried.auc_low, tried.auc_high),
        )

    def _boldness(self, fit: DriverFit) -> str:
        """Whether the chances told were too far apart, too close together, or about right."""
        say, tried = self.say, fit.calibration
        if tried is None or tried.slope != tried.slope:
            return ""
        ends = {
            "slope": say.number(tried.slope, 2),
            "low": say.number(tried.slope_low, 2),
            "high": say.number(tried.slope_high, 2),
        }
        if tried.slope_high < 1:
            return say("The chances it told were too far apart (slope {slope}, {low} to {high}; 1 is right).", **ends)
        if tried.slope_low > 1:
            return say(
                "The chances it told were too close together (slope {slope}, {low} to {high}; 1 is right).", **ends
            )
        return say("The chances it told were about as far apart as what came (slope {slope}, {low} to {high}).", **ends)

    def _cautions(self, fit: DriverFit) -> list[str]:
        """What the fit warns of, in the reader's language and with the drivers' labels."""
        found = []
        for advice in fit.warnings:
            values = dict(advice.values)
            if "names" in values:
                values["names"] = commas(self._driver(name) for name in str(values["names"]).split(", "))
            text = self.say(advice.text, **values)
            found.append(self.say("{sentence}.", sentence=f"{text[:1].upper()}{text[1:]}"))
        return found

    def _shares(self, low: float, high: float) -> str:
        return f"{self.say.percent(low)}–{self.say.percent(high)}"

    def _driver(self, name: str) -> str:
        return self.say(DRIVER_LABELS.get(name, name))

    def _level(self, level: str) -> str:
        """A level as the data have it; our own words in the reader's language; stages by their labels."""
        if level in LEVELS:
            return self.say(level)
        lines = self.book.process.pipelines.items()
        stages = [key for key, line in lines if level in line.keys]
        return self._stage(stages[0], level) if stages else level

    def _value(self, value: object) -> str:
        """What a deal has of a driver: a level, or a number with no more digits than it needs."""
        if not is_known(value):
            return self.say(NONE)
        return f"{value:,.4g}" if isinstance(value, float) else self._level(str(value))

    def _level_in_table(self, row: dict[str, Any]) -> str:
        if row["step"]:
            return self._step_said(row)
        return self._level(row["level"])

    def _step_said(self, row: dict[str, Any]) -> str:
        say = self.say
        if row["step"] == "doubling":
            return say("twice as much")
        if row["step"] == "one":
            return say("one more")
        return say("{level} instead of {reference}", level=row["level"], reference=row["reference"])

    def _points(self, row: dict[str, Any]) -> str:
        """+2.4 (−1.0 to +5.8)."""
        if row["signal"] == "reference":
            return "0"
        if row["effect"] != row["effect"]:
            return "–"
        effect, low, high = (self._signed(row[c]) for c in ("effect", "low", "high"))
        return f"{effect} {self.say('({low} to {high})', low=low, high=high)}"

    def _signed(self, share: float) -> str:
        text = self.say.number(100 * abs(share), 1)
        return f"{'−' if share < 0 else '+'}{text}"

    def _chart_rows(self, part: pd.DataFrame) -> list[dict[str, Any]]:
        """The rows of one driver: its name, then its levels or its step. Levels too rare are left out."""
        name = self._driver(part["driver"].iloc[0])
        blank = {"effect": float("nan"), "low": float("nan"), "high": float("nan")}
        rows = [{"name": name, "text": "", "kind": "head", "alt": "", **blank}]
        for row in _records(part[part["signal"] != "few"]):
            kind = {"reference": "reference", "none": "unclear"}.get(row["signal"], "clear")
            level, own = self._level_in_table(row), {c: row[c] for c in blank}
            alt = self.say("{name}, {level}: {points}", name=name, level=level, points=self._points(row))
            rows.append({"name": level, "text": f"n={self.say.number(row['n'])}", "kind": kind, "alt": alt, **own})
        return rows

    def _no_drivers(self, caption: str, why: Unavailable) -> Block:
        say = self.say
        because = say(why.said)
        text = say("{metric}: unavailable, because {because}.", metric=caption.rstrip("?？"), because=because)
        return render("empty", text, text)


def _clear(fit: DriverFit) -> pd.DataFrame:
    """The rows that are more than chance, the largest effects first."""
    rows = fit.table[fit.table["signal"].isin(["more", "less"])]
    return rows.loc[rows["effect"].abs().sort_values(ascending=False, kind="stable").index]


def _spoken(fit: DriverFit) -> bool:
    return fit.usable and len(_clear(fit)) > 0


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
