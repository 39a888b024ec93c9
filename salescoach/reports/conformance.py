"""Keeping to the process: the pieces of a page about where it is left, and whether that goes with losing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pandas as pd

from salescoach import charts
from salescoach.book import TABLES, Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, commas, joined
from salescoach.metrics import Measure
from salescoach.metrics.conformance import deviating_deals, rule_of, unchecked
from salescoach.metrics.groups import UNASSIGNED, name_reps
from salescoach.models.conformance import DeviationFit, fit_deviations
from salescoach.process import Period
from salescoach.reports.blocks import (
    Block,
    cell,
    on_scale,
    render,
    scale_ends,
    table_block,
    text_table,
    unavailable,
)
from salescoach.reports.fields import DEVIATION_WORDS, Field
from salescoach.reports.gauges import Scale, scale_of
from salescoach.reports.selling import ACTIVITIES, COLUMN_LABELS, STATES
from salescoach.wording import N_, NOTHING, Words, is_known

MOST = 10
FAR_TOO_FEW = 5  # times as many deals as there are
_BROKEN = {
    "skipped": N_("{stage} was passed over"),
    "enter": N_("came into {stage} without: {rule}"),
    "exit": N_("left {stage} without: {rule}"),
    "touch": N_("in {stage} a silence of {days} days"),
    "stay": N_("{days} days in {stage}"),
    "next_step": N_("in {stage} without a next step in time"),
}
# what is told of a deal that was looked at before its outcome
_SEEN = {
    "skipped": N_("deals that had passed over {stage}"),
    "exit": N_("deals that had left {stage} without: {rule}"),
    "touch": N_("deals in {stage} that had waited too long for a contact by day {days}"),
    "stay": N_("deals that had stayed in {stage} longer than expected"),
}
_LESS = {
    "went_on": N_(
        "{what} go on {points} points less often ({low} to {high}) than the others alive on that day, everything else "
        "equal ({deviated} of {n} deals)."
    ),
    "won": N_(
        "{what} are won {points} points less often ({low} to {high}) than the others alive on that day, everything "
        "else equal ({deviated} of {n} deals)."
    ),
}
_MORE = {
    "went_on": N_(
        "{what} go on {points} points more often ({low} to {high}) than the others alive on that day, everything else "
        "equal ({deviated} of {n} deals)."
    ),
    "won": N_(
        "{what} are won {points} points more often ({low} to {high}) than the others alive on that day, everything "
        "else equal ({deviated} of {n} deals)."
    ),
}
_SHARES = {"went_on": N_("went on"), "won": N_("won")}
_LISTED = (
    Field(N_("Deviation"), "said", "text"),
    Field(N_("On"), "decided_on", "date"),
    Field(N_("Deal is"), "outcome", "text"),
    Field(N_("Amount"), "amount", "money"),
)

EFFECT = Field("", "effect", "points", "low", "high")


class Conformance(ABC):
    """The pieces of a report that hold the deals against the process file."""

    book: Book
    say: Words
    period: Period
    rep: str | None

    @abstractmethod
    def measure(self, name: str, by: str = ...) -> Measure: ...

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    @abstractmethod
    def _nothing(self, found: Measure) -> Block: ...

    # --- where we leave the process -----------------------------------------------------------

    def deviations_chart(self) -> Drawing | Block:
        """How often each stage's checks are broken, with intervals."""
        say = self.say
        found = self.measure("conformance", "stage")
        if found.table is None or found.table.empty:
            return self._nothing(found)
        table = found.table[found.table["n"] > 0]
        table = table.assign(label=[self._labelled_check(r) for r in table.to_dict("records")])
        title, axis = say("Where do we leave our own process?"), say("share not kept · 95 % interval")
        with charts.style():
            axes = charts.plot_intervals(table, "label", title, axis)
            parts = [f"{r['label']} {say.percent(r['value'])}" for r in table.to_dict("records")]
            return charts.to_drawing(axes, f"{title} {say(joined(parts, '; '))}")

    def _labelled_check(self, row: dict[Any, Any]) -> str:
        what = self.say(DEVIATION_WORDS[row["deviation"]])
        return self.say("{stage}: {what}", stage=self._stage(row["pipeline"], row["stage"]), what=what)

    def cannot_be_checked(self) -> Block:
        """What the process file asks for and the data cannot tell, with why."""
        say, caption = self.say, self.say("What the data cannot check")
        rows = unchecked(self.book)
        if rows.empty:
            return render("empty", caption, say("Everything that the process file asks for can be told from the data."))
        rows["label"] = [self._stage(p, s) for p, s in zip(rows["pipeline"], rows["stage"], strict=True)]
        alike = rows.groupby(["deviation", "rule", "why"], sort=False)["label"].agg(lambda stages: say(commas(stages)))
        shown = [
            [
                say(DEVIATION_WORDS[r["deviation"]]),
                self._rule_said(r["rule"]) if r["rule"] else NOTHING,
                r["label"],
                say(r["why"]),
            ]
            for r in alike.reset_index().to_dict("records")
        ]
        labels = [say("Check"), say("Asked for"), say("Stage"), say("Because")]
        return text_table(say, caption, labels, shown)

    def deviating_deals(self, most: int = MOST) -> Block:
        """The deals behind the numbers: open ones first, of these the largest; one row per deal and broken check."""
        say, caption = self.say, self.say("Deals that left the process")
        try:
            rows = deviating_deals(self.book, self.period)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        if rows.empty:
            return render("empty", caption, say("Every check of the period that the data can tell was kept."))
        order = rows.assign(_closed=rows["outcome"] != "open")
        by = ["_closed", "amount_minor", "deal_id", "order", "deviation"]
        order = order.sort_values(by, ascending=[True, False, True, True, True], kind="stable")
        shown = name_reps(self.book, rows.loc[order.index].head(most).fillna({"rep_id": UNASSIGNED}))
        shown["said"] = [self._broken(r) for r in shown.to_dict("records")]
        shown["outcome"] = [say(STATES[o]) for o in shown["outcome"]]
        shown["deal"] = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        fields = [f for f in _LISTED if f.column in shown]
        note = say(
            "{n} of {all} broken checks of the period, on {deals} deals; open deals first, the largest of them on top.",
            n=len(shown),
            all=say.number(len(rows)),
            deals=say.number(rows["deal"].nunique()),
        )
        return table_block(say, self.book, caption, shown, [*([] if self.rep else ["rep"]), "deal"], fields, [note])

    def _broken(self, row: dict[Any, Any]) -> str:
        rule = self._rule_said(row["rule"]) if is_known(row["rule"]) else ""
        stage, days = self._stage(row["pipeline"], row["stage"]), self.say.number(row["days"])
        return self.say(_BROKEN[row["deviation"]], stage=stage, rule=rule, days=days)

    def _rule_said(self, rule: str) -> str:
        """What a rule of the process file asks for, as a person says it."""
        say = self.say
        kind, name = rule_of(rule)
        if kind == "activity":
            return say("{activity} done", activity=say(ACTIVITIES.get(name, name)))
        if kind == "column" and (rule in TABLES["deals"].columns or rule in self.book.tables["deals"]):
            return say("{column} filled in", column=say(COLUMN_LABELS.get(rule, rule)))
        return say(rule)

    # --- whether it goes with losing ----------------------------------------------------------

    def deviations_and_losing(self) -> Block:
        """Which deviations go with losing, everything else equal: a sentence for each that does, and all in a table."""
        say, caption = self.say, self.say("Do deviations go with losing?")
        try:
            fit = fit_deviations(self.book, self.period)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        scale = scale_of(fit.table, EFFECT)
        rows = [self._associated(row, scale) for row in fit.table.to_dict("records")]
        labels = [say("Looked at"), say("Deals (n)"), say("With the deviation"), say("Outcome"), say("With it")]
        labels += [say("Without it"), say("Points more or less, like for like"), say("Signal")]
        ends = {6: scale_ends(say, scale, EFFECT.kind)} if scale else None
        return text_table(say, caption, labels, rows, [1, 2, 4, 5, 6], self._associations(fit), ends)

    def _associated(self, row: dict[Any, Any], scale: Scale | None) -> list[object]:
        say = self.say
        others = row["n"] - row["deviated"]
        said = {"less": N_("goes with losing"), "more": N_("goes with winning"), "none": N_("no signal")}
        return [
            self._looked_at(row),
            row["n"],
            row["deviated"],
            say(_SHARES[row["outcome"]]),
            say.percent(row["deviated_went_on"] / row["deviated"]) if row["deviated"] else NOTHING,
            say.percent((row["went_on"] - row["deviated_went_on"]) / others) if others else NOTHING,
            on_scale(cell(say, row, EFFECT, ""), row, EFFECT, scale),
            self._too_few(row) if row["signal"] == "few" else say(said[row["signal"]]),
        ]

    def _too_few(self, row: dict[Any, Any]) -> str:
        say = self.say
        if not row["deviated"]:
            return say("did not occur")
        if row["missing"] > FAR_TOO_FEW * row["n"]:
            return say("far too few to tell")
        return say("nothing to conclude yet: about {n} more deals", n=say.number(row["missing"]))

    def _in_points(self, share: float) -> str:
        return self.say.number(100 * share, 1).replace("-", "−")

    def _looked_at(self, row: dict[Any, Any]) -> str:
        rule = self._rule_said(row["rule"]) if is_known(row["rule"]) else ""
        stage, days = self._stage(row["pipeline"], row["stage"]), self.say.number(row["days"])
        return self.say(_SEEN[row["deviation"]], stage=stage, rule=rule, days=days)

    def _associations(self, fit: DeviationFit) -> list[str]:
        """What the table says in sentences."""
        say, table = self.say, fit.table
        said = [self._association(r) for r in table.to_dict("records") if r["signal"] in _DIRECTIONS]
        judged = int((table["signal"] != "few").sum())
        if not judged:
            said = [say("Nothing to conclude yet: of no deviation enough deals are known to tell.")]
        elif not said:
            said = [
                say(
                    "No usable signal: none of the {n} deviations that could be judged goes with losing or winning "
                    "beyond what chance gives among so many (false-discovery rate 10 %).",
                    n=judged,
                )
            ]
        mix = commas(say(COLUMN_LABELS.get(c, c)) for c in fit.mix)
        like = say("Compared like for like by: {mix}.", mix=mix) if mix else say("The data know no deal mix.")
        return [
            *said,
            like,
            say(
                "Every deal is looked at on a day before its outcome, among those still alive on that day; {n} deals "
                "in all. A difference goes with the deviation; that it is its cause is not said.",
                n=say.number(fit.n),
            ),
            *(say("Keep in mind: {advice}.", advice=say(w.text, **w.values)) for w in fit.warnings),
        ]

    def _association(self, row: dict[Any, Any]) -> str:
        say, sign = self.say, _DIRECTIONS[row["signal"]]
        templates = _LESS if row["signal"] == "less" else _MORE
        ends = sorted(sign * row[c] for c in ("low", "high"))
        what = self._looked_at(row)
        told = {"points": sign * row["effect"], "low": ends[0], "high": ends[1]}
        return say(
            templates[row["outcome"]],
            what=what[:1].upper() + what[1:],
            deviated=say.number(row["deviated"]),
            n=say.number(row["n"]),
            **{name: self._in_points(value) for name, value in told.items()},
        )

    def deviations_and_losing_chart(self) -> Drawing | Block:
        """How much less or more often deals go on, or are won, after each deviation, with intervals."""
        say, caption = self.say, self.say("Do deviations go with losing?")
        try:
            fit = fit_deviations(self.book, self.period)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        table = fit.table[fit.table["effect"].notna()]
        if table.empty:
            text = say("Nothing to conclude yet: of no deviation enough deals are known to tell.")
            return render("empty", caption, text)
        labels = [self._labelled_check(r) for r in table.to_dict("records")]
        points = {"value": table["effect"] * 100, "low": table["low"] * 100, "high": table["high"] * 100}
        drawn = pd.DataFrame({"label": labels, **points, "n": table["n"]})
        axis = say("points, left of 0: goes with losing · 95 % interval")
        with charts.style():
            axes = charts.plot_intervals(drawn, "label", caption, axis, unit="points")
            return charts.to_drawing(axes, self.say(joined([caption, *self._associations(fit)], " ")))


_DIRECTIONS = {"less": -1, "more": 1}
