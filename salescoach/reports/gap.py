"""Which step holds us back, and what it is worth: the pieces of a page about gaps in won amounts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, UsageError, commas, joined
from salescoach.metrics import currency_of
from salescoach.models import Bottleneck, GapFit, find_bottleneck, fit_gap, stopped_deals, what_if_table
from salescoach.models.gap import SURE
from salescoach.models.gap_parts import WIN_RATE
from salescoach.models.gap_sides import Against
from salescoach.process import Period
from salescoach.reports.blocks import Block, in_pairs, render, table_block, unavailable
from salescoach.reports.fields import Field, interval
from salescoach.wording import N_, NOTHING, Words, is_known

QUESTION = N_("Where does the gap come from?")
STEP = N_("Which step holds us back?")
WORTH = N_("What would a better step be worth per quarter?")
CLAIMS = N_("What can be said about each rep?")
PARTS = {
    "volume": N_("Deals begun"),
    "in_hand": N_("Deals in hand"),
    "speed": N_("Speed"),
    "conversion": N_("Getting on from {stage}"),
    "mix": N_("Kinds of deals"),
    "products": N_("Products (list price)"),
    "size": N_("Deal size"),
    "price": N_("Price against list"),
    "timing": N_("Timing"),
    "chance": N_("Chance"),
    "credit": N_("Shared or without amount"),
}
DECIDED = N_("Deals decided")
ROUNDING = N_("Rounding")
TIMING_AND_ROUNDING = N_("Timing and rounding")
RATE = N_("Win rate")
REFERENCES: dict[Against, str] = {
    "peers": N_("Average per rep"),
    "last": N_("Period before"),
    "target": N_("Target to date"),
}
AS_MANY = N_("Average of as many reps")
ABOVE_AS_MANY = N_("{who} won {actual}, {gap} above the average of as many reps ({reference}).")
BELOW_AS_MANY = N_("{who} won {actual}, {gap} below the average of as many reps ({reference}).")
ABOVE: dict[Against, str] = {
    "peers": N_("{who} won {actual}, {gap} above the average per rep ({reference})."),
    "last": N_("{who} won {actual}, {gap} above the period before ({reference})."),
    "target": N_("{who} won {actual}, {gap} above the target to date ({reference})."),
}
BELOW: dict[Against, str] = {
    "peers": N_("{who} won {actual}, {gap} below the average per rep ({reference})."),
    "last": N_("{who} won {actual}, {gap} below the period before ({reference})."),
    "target": N_("{who} won {actual}, {gap} below the target to date ({reference})."),
}
SPOKEN = N_("Beyond luck: {parts}.")
UNSPOKEN = N_("No part of it is beyond luck.")
HOLDS_BACK = N_(
    "The step that costs most is {stage}: {own} instead of {usual} go on, which goes with {value} "
    "({low} – {high}; n = {n})."
)
NO_STEP = N_("The data do not single out one step.")
NOT_YET = N_(
    "Nothing to conclude yet about {stages}: from about {needed} ended passages on, a difference of ten points could "
    "be told from luck."
)
ROUNDED = N_(
    "The figures of the others are rounded and stand for at least six reps; what the rounding leaves over is in the "
    "timing."
)
COUNTED = N_(
    "Timing: won from deals begun before, or begun and not ended yet. Chance: what the period brought beyond the most "
    "likely rates and sizes. Both are counted, not estimated, and nothing is concluded from them."
)
FLOWS = N_(
    "Won amount = deals begun × the share that goes on at each stage × amount per win; the parts add up to the gap."
)
DECIDES = N_("Won amount = deals decided × win rate × amount per win; the parts add up to the gap.")
METHOD = N_(
    "Like for like: each rate is held against what is usual for the same kinds of deals, and drawn towards that of all "
    "as far as its number calls for. Kinds, products and sizes are in percent of the usual amount. In brackets: 80 % "
    "range."
)
LOWEST = N_(
    "{stage} lets the fewest deals through: {value} of those that ended ({low}–{high}; n = {n}). One point more would "
    "go with {point} more per quarter ({point_low} – {point_high})."
)
LOWEST_ALONE = N_("{stage} lets the fewest deals through: {value} of those that ended ({low}–{high}; n = {n}).")
MORE = N_("The data do not single out one step: about {n} more ended passages through the two lowest would decide it.")
WORSE = N_("{stage} has become worse: {value} instead of {before} in the period before go on (n = {n}).")
SLOW = N_("Longer than the process expects: {stages}.")
SLOW_STAGE = N_("{stage} (half within {days} days, expected {expected})")
FREE_TIME = N_("A stage at the usual rate: what all reps together reach with the same kinds of deals.")
_PARTS = (
    Field(N_("Own"), "own_text", "text"),
    Field(N_("Compared with"), "usual_text", "text"),
    Field(N_("Part of the gap"), "value", "money", "low", "high"),
    Field(N_("Beyond luck"), "sure", "text"),
    Field(N_("Behind it (n)"), "n"),
)
_STEPS = (
    interval(N_("Went on"), "share"),
    Field(N_("Ended (n)"), "n"),
    Field(N_("The lowest, with probability"), "p_lowest", "ratio"),
    Field(N_("One point more, per quarter"), "point", "money", "point_low", "point_high"),
    Field(N_("Median days"), "days", "days", "days_low", "days_high"),
    Field(N_("Expected days"), "expect_days"),
    Field(N_("Period before"), "before", "share"),
)
_WORTH = (
    Field(N_("Own rate"), "rate", "share"),
    Field(N_("Usual rate"), "usual", "share"),
    Field(N_("Ended (n)"), "n"),
    Field(N_("At the usual rate"), "worth", "money", "low", "high"),
    Field(N_("One point more"), "point", "money", "point_low", "point_high"),
)
_STOPPED = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("In stage since"), "entered_on", "date"),
    Field(N_("Lost on"), "lost_on", "date"),
    Field(N_("Reason lost"), "lost_reason", "text"),
)
_CLAIMS = (
    Field(N_("What"), "what", "text"),
    Field(N_("Own"), "own_text", "text"),
    Field(N_("Average"), "usual_text", "text"),
    Field(N_("Goes with"), "value", "money", "low", "high"),
    Field(N_("Behind it (n)"), "n"),
)


class Gap(ABC):
    """The pieces of a report that explain what was won against what it is held against."""

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
    def _pipeline(self, pipeline: str) -> str: ...

    # --- the gap ------------------------------------------------------------------------------

    def gap(self, against: Against | None = None, speed: bool = False) -> Drawing | Block:
        """The gap as a waterfall: what it is held against, the parts, what was won.

        against   "peers" (of a rep or team the default), "last" (of everybody), "target"
        speed     deals in hand and how fast they turn over, instead of deals begun
        """
        say = self.say
        try:
            fit = self._gap_fit(against, speed)
        except Unavailable as reason:
            return unavailable(say, say(QUESTION), reason)
        money = currency_of(self.book)
        rows = self._waterfall(fit)
        texts = [
            self._short_amount(v) if d == 0 else self._signed_amount(v)
            for v, d in zip(rows["value"], rows["direction"], strict=True)
        ]
        rows["text"] = [f"{text}  " for text in texts]  # signs and capitals are wider than the letters of other charts
        title = say(QUESTION)
        with charts.style():
            axes = charts.plot_bridge(
                rows,
                "name",
                title,
                say("won amount"),
                (say("total"), say("adds"), say("takes away")),
                lambda amount: say.short_money(amount, money),
            )
            told = in_pairs(say, zip(rows["name"], texts, strict=True))
            return charts.to_drawing(axes, f"{title} {told}")

    def _waterfall(self, fit: GapFit) -> pd.DataFrame:
        """The rows of the picture: name, value, direction, from, to."""
        say, total = self.say, fit.totals.iloc[0]
        parts = fit.table[["value"]].assign(
            name=self._part_names(fit.table, fit), direction=np.sign(fit.table["value"])
        )
        parts["direction"] = parts["direction"].replace(0, 1).astype("int64")
        parts["to"] = total["reference"] + parts["value"].cumsum()
        parts["from"] = parts["to"] - parts["value"]
        ends = pd.DataFrame(
            {
                "name": [say(AS_MANY if self.team and fit.against == "peers" else REFERENCES[fit.against]), say("Won")],
                "value": [total["reference"], total["actual"]],
                "direction": 0,
                "from": 0.0,
                "to": [total["reference"], total["actual"]],
            }
        )
        return pd.concat([ends.iloc[:1], parts, ends.iloc[1:]], ignore_index=True)

    def gap_parts(self, against: Against | None = None, speed: bool = False) -> Block:
        """Each part of the gap with both sides, its range, and whether it is beyond luck."""
        say, caption = self.say, self.say("The gap in its parts")
        try:
            fit = self._gap_fit(against, speed)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = fit.table.assign(name=self._part_names(fit.table, fit), **self._both_sides(fit.table))
        table["sure"] = [self._beyond_luck(row) for row in table.to_dict("records")]
        table["part"], table["n"] = table["name"], table["n"].where(table["n"] > 0)
        notes = self._gap_method(fit)
        if fit.table["part"].isin(["timing", "chance"]).any():
            notes.append(say(COUNTED))
        if self._is_rounded(fit):
            notes.append(say(ROUNDED))
        return table_block(say, self.book, caption, table, ["part"], _PARTS, notes)

    def gap_in_words(self, against: Against | None = None, speed: bool = False) -> Block:
        """The gap in two sentences: what was won against what, and the step that costs most."""
        try:
            fit = self._gap_fit(against, speed)
        except Unavailable as reason:
            return unavailable(self.say, self.say(QUESTION), reason)
        text = self.say(joined([self._gap_sentence(fit), self._costliest_step(fit)], " "))
        return render("empty", text, text)

    def _gap_fit(self, against: Against | None, speed: bool) -> GapFit:
        by = "rep" if self.rep else "team" if self.team and against not in ("last", "target") else ""
        return fit_gap(self.book, by, self.period, against or ("peers" if by else "last"), speed)

    def _gap_sentence(self, fit: GapFit) -> str:
        """What was won, against what, and which parts are beyond luck, the largest first."""
        say, total = self.say, fit.totals.iloc[0]
        above = total["gap"] >= 0
        pattern = (ABOVE if above else BELOW)[fit.against]
        if self.team and fit.against == "peers":
            pattern = ABOVE_AS_MANY if above else BELOW_AS_MANY
        head = say(
            pattern,
            who=self.who,
            actual=self._short_amount(total["actual"]),
            gap=self._short_amount(abs(total["gap"])),
            reference=self._short_amount(total["reference"]),
        )
        spoken = fit.table[fit.table["spoken"]]
        spoken = spoken.loc[spoken["value"].abs().sort_values(ascending=False, kind="stable").index]
        if spoken.empty:
            return say(joined([head, say(UNSPOKEN)], " "))
        names = self._part_names(spoken, fit)
        told = [
            say("{part} {amount}", part=n, amount=self._signed_amount(v))
            for n, v in zip(names, spoken["value"], strict=True)
        ]
        return say(joined([head, say(SPOKEN, parts=commas(told))], " "))

    def _costliest_step(self, fit: GapFit) -> str:
        """The step that costs most, where that is beyond luck; else from how many on one could tell."""
        say = self.say
        steps = fit.table[fit.table["part"] == "conversion"]
        costly = steps[steps["p_below"] > SURE].sort_values("value")
        if len(costly):
            row = costly.iloc[0].to_dict()
            return say(
                HOLDS_BACK,
                stage=self._step_name(row),
                own=say.percent(row["own"]),
                usual=say.percent(row["usual"]),
                value=self._signed_amount(row["value"]),
                low=self._signed_amount(row["low"]),
                high=self._signed_amount(row["high"]),
                n=say.number(row["n"]),
            )
        thin = {
            self._step_name(row): fit.needed[row["pipeline"], row["stage"]]
            for row in steps.to_dict("records")
            if row["n"] < fit.needed.get((row["pipeline"], row["stage"]), 0)
        }
        if not thin or fit.against == "last":
            return say(NO_STEP)
        needed = say.number(max(thin.values()))
        return say(joined([say(NO_STEP), say(NOT_YET, stages=commas(thin), needed=needed)], " "))

    # --- the steps ----------------------------------------------------------------------------

    def bottleneck(self) -> Block:
        """Which stage lets the fewest through, what a point is worth, and what changed since the period before."""
        say, caption = self.say, self.say(STEP)
        try:
            fit = find_bottleneck(self.book, self.period)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        if self.rep:  # what a point is worth to one person is drawn towards all, and stands in `what_if`
            fit = replace(fit, table=fit.table.assign(point=np.nan))
        table = fit.table.assign(stage=self._step_names(fit.table))
        fields = [f for f in _STEPS if table[f.column].notna().any()]
        notes = [*self._lowest_stages(fit), *self._worse_stages(fit), *self._slow_stages(fit)]
        notes.append(
            say("In brackets: 80 % range, of days 95 %. Shares are of the deals whose time in the stage ended.")
        )
        return table_block(say, self.book, caption, table, ["stage"], fields, notes)

    def _lowest_stages(self, fit: Bottleneck) -> list[str]:
        """Per pipeline the stage that lets the fewest through, or that the data do not single one out."""
        say = self.say
        found = []
        for pipeline, stage in fit.named.items():
            if stage is None:
                more = fit.more[pipeline]
                found.append(say(NO_STEP) if more is None else say(MORE, n=say.number(more)))
                continue
            rows = fit.table[(fit.table["pipeline"] == pipeline) & (fit.table["stage"] == stage)]
            row = rows.iloc[0].to_dict()
            values: dict[str, str] = {c: say.percent(row[c]) for c in ("value", "low", "high")}
            pattern = LOWEST_ALONE
            if is_known(row["point"]):
                values |= {c: self._short_amount(row[c]) for c in ("point", "point_low", "point_high")}
                pattern = LOWEST
            found.append(say(pattern, stage=self._step_name(row), n=say.number(row["n"]), **values))
        return found

    def _worse_stages(self, fit: Bottleneck) -> list[str]:
        say = self.say
        return [
            say(
                WORSE,
                stage=self._step_name(row),
                value=say.percent(row["value"]),
                before=say.percent(row["before"]),
                n=say.number(row["n"]),
            )
            for row in fit.table[fit.table["p_worse"] > SURE].to_dict("records")
        ]

    def _slow_stages(self, fit: Bottleneck) -> list[str]:
        say = self.say
        slow = [
            say(
                SLOW_STAGE,
                stage=self._step_name(row),
                days=say.number(row["days"]),
                expected=say.number(row["expect_days"]),
            )
            for row in fit.table[fit.table["overdue"]].to_dict("records")
        ]
        return [say(SLOW, stages=commas(slow))] if slow else []

    def stopped_deals(self, stage: str = "", most: int = 10) -> Block:
        """The deals that did not get on from a stage, the largest first: the rows behind its share in `bottleneck`.

        stage   by default the one that lets the fewest through
        """
        say, caption = self.say, self.say("Deals that did not get on")
        try:
            table = find_bottleneck(self.book, self.period).table
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        if stage and not (table["stage"] == stage).any():
            raise UsageError(
                "No deal ended in stage {stage!r}. Stages: {stages}.",
                stage=stage,
                stages=commas(table["stage"].unique()),
            )
        table = table[table["stage"] == stage] if stage else table
        lowest = table.iloc[int(table["value"].to_numpy(dtype=float).argmin())].to_dict()
        rows = stopped_deals(self.book, lowest["pipeline"], lowest["stage"], self.period)
        shown = rows.head(most).assign(lost_on=rows["ended_on"].where(rows["fate"] == "lost"))
        shown["deal"] = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        fields = [f for f in _STOPPED if f.column in shown]
        note = say(
            "{n} of {all} deals whose time in {stage} ended did not get on: they were lost, or have stood there for 90 "
            "days; the largest are shown.",
            n=say.number(len(rows)),
            all=say.number(lowest["n"]),
            stage=self._step_name(lowest),
        )
        return table_block(say, self.book, caption, shown, ["deal"], fields, [note])

    def what_if(self) -> Block:
        """What each stage would be worth per quarter at the usual rate, and one point more of it."""
        say, caption = self.say, self.say(WORTH)
        by = "rep" if self.rep else "team" if self.team else ""
        try:
            table = what_if_table(self.book, by, self.period).table
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table["stage"] = self._step_names(table)
        fields = [f for f in _WORTH if by or f.column not in ("usual", "worth")]
        notes = [say("All else as it is; won amounts, 80 % range in brackets."), *([say(FREE_TIME)] if by else [])]
        return table_block(say, self.book, caption, table, ["stage"], fields, notes)

    # --- for the manager ----------------------------------------------------------------------

    def gap_claims(self) -> Block:
        """What is beyond luck about each rep against the average, in the order of names. For the manager alone."""
        say, caption = self.say, self.say(CLAIMS)
        try:
            fit = fit_gap(self.book, "rep", self.period, "peers")
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = fit.table[fit.table["spoken"]]
        if table.empty:
            text = say("Nothing to conclude yet: no rep differs from the average beyond luck.")
            return render("empty", caption, text)
        table = table.assign(what=self._part_names(table, fit), **self._both_sides(table))
        table = table.sort_values(["rep", "rep_id"], kind="stable", ignore_index=True)
        notes = [
            say(
                "In the order of names. Only parts whose sign is sure with a probability over 90 %; of {all} reps, {n} "
                "have none.",
                all=say.number(len(fit.totals)),
                n=say.number(len(fit.totals) - table["rep_id"].nunique()),
            ),
            *self._gap_method(fit),
        ]
        return table_block(say, self.book, caption, table, ["rep"], _CLAIMS, notes)

    # --- words --------------------------------------------------------------------------------

    def _gap_method(self, fit: GapFit) -> list[str]:
        say = self.say
        return [say(FLOWS if self._knows_stages(fit) else DECIDES), say(METHOD)]

    def _knows_stages(self, fit: GapFit) -> bool:
        return not bool((fit.table["stage"] == WIN_RATE).any())

    def _part_names(self, table: pd.DataFrame, fit: GapFit) -> list[str]:
        names = {**PARTS} if self._knows_stages(fit) else {**PARTS, "volume": DECIDED}
        if self._is_rounded(fit):
            names["timing"] = TIMING_AND_ROUNDING if self._knows_stages(fit) else ROUNDING
        return [self._part_name(row, names) for row in table.to_dict("records")]

    def _is_rounded(self, fit: GapFit) -> bool:
        """Whether what the gap is held against is the rounded figures of the others."""
        return "gap" in self.book.peers and fit.against != "last"

    def _part_name(self, row: Mapping[Any, Any], names: Mapping[str, str]) -> str:
        say, part = self.say, str(row["part"])
        if part == "conversion":
            name = self._step_name(row)
            return name if row["stage"] == WIN_RATE else say(names[part], stage=name)
        return say(names[part])

    def _step_names(self, table: pd.DataFrame) -> list[str]:
        return [self._step_name(row) for row in table.to_dict("records")]

    def _step_name(self, row: Mapping[Any, Any]) -> str:
        """A stage by its label, with its pipeline where there are several; the win rate where stages are not known."""
        pipeline, stage = str(row["pipeline"]), str(row["stage"])
        name = self.say(RATE) if stage == WIN_RATE else self._stage(pipeline, stage)
        return f"{self._pipeline(pipeline)} · {name}" if len(self.book.process.pipelines) > 1 else name

    def _both_sides(self, table: pd.DataFrame) -> dict[str, list[str]]:
        """Both sides of each part in words."""
        return {
            f"{side}_text": [
                self._one_side(str(part), value) for part, value in zip(table["part"], table[side], strict=True)
            ]
            for side in ("own", "usual")
        }

    def _one_side(self, part: str, value: float) -> str:
        say = self.say
        if not is_known(value):
            return NOTHING
        if part in ("volume", "in_hand"):
            return say.number(value, 0 if value >= 10 else 1)
        if part == "speed":
            return say("{n} times", n=say.number(value, 1))
        return say.percent(value, 1 if part == "price" else 0)

    def _beyond_luck(self, row: Mapping[Any, Any]) -> str:
        if not is_known(row["p_below"]):
            return NOTHING
        return self.say("yes") if row["spoken"] else self.say("no")

    def _short_amount(self, amount: float) -> str:
        text = self.say.short_money(round(abs(amount)), currency_of(self.book))
        return f"−{text}" if amount < 0 else text

    def _signed_amount(self, amount: float) -> str:
        return f"+{self._short_amount(amount)}" if amount >= 0 else self._short_amount(amount)
