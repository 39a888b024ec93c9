"""From a metric's table to its picture: the question as title, the words beside it, the same in an alternative text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.metrics import Measure, currency_of
from salescoach.reports.blocks import in_pairs, row_currencies, stage_tones, written
from salescoach.reports.fields import Field
from salescoach.wording import N_, Words

QUESTIONS = {
    "win_rate": N_("How many decided deals are won?"),
    "sales_cycle": N_("How many days until a deal is decided?"),
    "response_time": N_("How many hours until a lead is answered?"),
    "lead_conversion": N_("How many leads become a deal?"),
    "new_customers": N_("How many customers are new?"),
    "stalled": N_("How many open deals stand still?"),
    "zombies": N_("How much of the pipeline is probably dead?"),
    "missed_quotes": N_("How many customers wait in vain for a quote?"),
    "forgotten_followups": N_("How many customers' contacts are forgotten?"),
    "overdue_next_steps": N_("How many open deals have an overdue next step?"),
    "activity_quality": N_("How many conversations does a deal get?"),
    "slips": N_("How many deals are pushed to a later day?"),
    "coverage": N_("Is enough under way to reach the target?"),
    "workload": N_("Who carries more than one person can keep in touch with?"),
    "sales": N_("How much was sold?"),
    "discount": N_("How much do we give away?"),
    "customer_value": N_("What has a customer brought so far?"),
    "pipeline_created": N_("How much new business was begun?"),
    "velocity": N_("How much do the open deals bring per day?"),
    "loss_reasons": N_("Why are deals lost?"),
    "conformance": N_("Where do we leave our own process?"),
}
WON_BECAUSE = N_("Why are deals won?")
SCALES = {
    "share": N_("share"),
    "fine_share": N_("share"),
    "ratio": N_("ratio"),
    "days": N_("days"),
    "hours": N_("hours (h)"),
    "count": N_("count"),
    "money": N_("amount"),
}
# what is held against a target: the question, the axis, how it is written
TARGETS = {
    "won_amount": (N_("What was won against the target?"), N_("won amount · 95 % interval"), "money"),
    "won": (N_("How many deals were won against the target?"), N_("deals won · 95 % interval"), "number"),
    "new_customers": (
        N_("How many new customers were won against the target?"),
        N_("new customers · 95 % interval"),
        "number",
    ),
    "pipeline_created": (
        N_("How much was begun against the target?"),
        N_("pipeline created · 95 % interval"),
        "money",
    ),
}
IN_PERCENT = ("share", "fine_share", "ratio")
MOST_CURVES = 5
DIRECTIONS = {"start": 0, "end": 0, "decreased": -1, "moved_out": -1, "pushed": -1, "lost": -1, "won": -1}


@dataclass(frozen=True)
class Painter:
    """Draws any metric.

    who     named where a picture has one row for everybody
    usual   (metric, stage) -> what is usual among the others, NaN where that may not be shown
    fields  how the metric's columns are written
    when    the period, where it is not that of the page
    """

    say: Words
    book: Book
    who: str
    usual: Callable[[str, str | None], float]
    fields: Sequence[Field]
    when: str = ""

    def draw(self, found: Measure, table: pd.DataFrame, groups: Sequence[str]) -> Drawing:
        """The picture of an available metric; `table` has its labels, `groups` tell the rows apart."""
        draw = {
            "funnel": self._funnel,
            "stage_flow": self._stage_flow,
            "pipeline": self._pipeline,
            "quota_attainment": self._targets,
            "pipeline_bridge": self._bridge,
            "win_curve": self._curve,
        }.get(found.metric.name, self._intervals)
        with charts.style():
            return draw(found, table.assign(name=self._names(table, groups)))

    def _names(self, table: pd.DataFrame, groups: Sequence[str]) -> pd.Series:
        if not groups:
            return pd.Series(self.who, table.index)
        shown = [self._key(table[g]) for g in groups]
        return pd.Series([" · ".join(parts) for parts in zip(*shown, strict=True)], table.index)

    def _key(self, values: pd.Series) -> pd.Series:
        """A column that tells rows apart, as the table beside the picture writes it."""
        kind = next((f.kind for f in self.fields if f.column == values.name), "text")
        return values.map(lambda v: written(self.say, v, kind, ""))

    def _kind(self, found: Measure) -> str:
        """How `value` is written: a ratio may be a share of something, or times something."""
        return next((f.kind for f in self.fields if f.column == "value"), found.metric.unit)

    def _alt(self, title: str, table: pd.DataFrame, kind: str) -> str:
        say, rows = self.say, zip(table.to_dict("records"), row_currencies(self.book, table), strict=True)
        texts = [
            (r["name"], say("{text} ({note})", text=written(say, r["value"], kind, money, r["n"]), note=f"n={r['n']}"))
            for r, money in rows
        ]
        return f"{title} {in_pairs(say, texts)}"

    def _title(self, found: Measure) -> str:
        """The chart's own question; for a metric of a company's own the one it was registered with, else its name."""
        if found.options.get("of") == "won" and found.metric.name == "loss_reasons":
            return self._asked(WON_BECAUSE)
        return self._asked(QUESTIONS.get(found.metric.name, found.metric.why or found.metric.title))

    def _asked(self, question: str) -> str:
        """A question in the reader's language, with the period where that is not the page's."""
        return f"{self.say(question)} · {self.when}" if self.when else self.say(question)

    def _intervals(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say, unit, kind = self.say, found.metric.unit, self._kind(found)
        title, currency = self._title(found), currency_of(self.book)
        alone = len(table) == 1 and not found.by
        usual = self.usual(found.metric.name, None) if alone else np.nan
        scale = say(SCALES[kind if kind in SCALES else unit]) if unit in SCALES else say(found.metric.title)
        axes = charts.plot_intervals(
            table,
            "name",
            title,
            f"{scale} · {say(found.metric.interval)}",
            usual,
            say("others"),
            "share" if kind in IN_PERCENT else unit,
            money=lambda amount: say.short_money(amount, currency),
        )
        return charts.to_drawing(axes, self._alt(title, table, kind))

    def _curve(self, found: Measure, table: pd.DataFrame) -> Drawing:
        """Shares over days, a line per group; many groups as rows, where lines would hide each other."""
        keys = [c for c in table.columns[: table.columns.get_loc("n")] if c not in ("within_days", "rep_id")]
        series = self._names(table, keys)
        title = self._asked(N_("How many deals are won by when?"))
        if series.nunique() > MOST_CURVES:
            return self._intervals(found, table)
        axis = self.say("days since the first contact · share won by then · 95 % interval")
        if found.options.get("stage"):
            axis = self.say("days since the first entry into the stage · share won by then · 95 % interval")
        axes = charts.plot_curve(table.assign(series=series), "within_days", "series", title, axis)
        return charts.to_drawing(axes, self._alt(title, table, "share"))

    def _bridge(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say, currency = self.say, currency_of(self.book)
        table["direction"] = table["line"].map(DIRECTIONS).fillna(1).astype("int64")
        stands = table["direction"] == 0
        keys = [c for c in table.columns[: table.columns.get_loc("n")] if c not in ("line", "rep_id")]
        moved = table["value"].fillna(0).where(table["line"] != "end", 0)
        after = moved.groupby([table[k] for k in keys]).cumsum() if keys else moved.cumsum()
        table["to"] = after
        table["from"] = (after - moved).where(~stands, 0)
        table["text"] = [
            f"n={say.number(n)} · {written(say, v, 'money', currency)}"
            for n, v in zip(table["n"], table["value"], strict=True)
        ]
        title = self._asked(N_("Where did the pipeline of the period go?"))
        axes = charts.plot_bridge(
            table,
            "name",
            title,
            say("open amount due in the period"),
            (say("stands"), say("comes in"), say("goes out")),
            lambda amount: say.short_money(amount, currency),
        )
        return charts.to_drawing(axes, self._alt(title, table, "money"))

    def _funnel(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        table["text"] = [
            f"n={say.number(r)} · {say.percent(v)}" for r, v in zip(table["reached"], table["value"], strict=True)
        ]
        table["colour"] = self._colours(table)
        title = self._asked(N_("How far do deals get?"))
        axes = charts.plot_funnel(table, "name", title, say("deals that reached the stage"), say("still open there"))
        return charts.to_drawing(axes, self._alt(title, table.assign(n=table["reached"]), "share"))

    def _colours(self, table: pd.DataFrame) -> list[str]:
        """Of the rows' stages, as in the tables."""
        tones = stage_tones(self.book, self.say.language)
        return [charts.tone_colour(tones.get(stage, "")) for stage in table["stage"]]

    def _stage_flow(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        assert found.table is not None
        table["peers"] = [self.usual("stage_flow", s) for s in found.table["stage"]]
        title = self._asked(N_("Which stage lets deals through, which holds them back?"))
        axes = charts.plot_stage_flow(table, "name", title, say("share that went on · 95 % interval"), say("others"))
        return charts.to_drawing(axes, self._alt(title, table, "share"))

    def _pipeline(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        table["text"] = [
            f"n={say.number(n)} · {written(say, v, 'money', money)}"
            for n, v, money in zip(table["n"], table["value"], row_currencies(self.book, table), strict=True)
        ]
        table["colour"] = self._colours(table)
        title = self._asked(N_("Where do open deals stand?"))
        if table["older_than_typical"].notna().any():
            title = self._asked(N_("Where do open deals stand, and which wait too long?"))
        axes = charts.plot_pipeline(table, "name", title, say("open deals"), say("longer in the stage than typical"))
        return charts.to_drawing(axes, self._alt(title, table.assign(value=table["n"]), "count"))

    def _targets(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say, currency = self.say, currency_of(self.book)
        of = str(found.options.get("of", "won_amount"))
        title, axis, kind = TARGETS[of]
        table["achieved"] = table[of]
        for side in ("low", "high"):
            table[f"{side}_achieved"] = table[side] * table["target"]
        table["text"] = [
            f"{written(say, v, 'ratio', currency)} · n={say.number(n)}"
            for v, n in zip(table["value"], table["n"], strict=True)
        ]

        def number(value: float) -> str:
            return say.short_money(value, currency) if kind == "money" else say.number(value)

        axes = charts.plot_targets(table, "name", self._asked(title), say(axis), say("target"), number)
        return charts.to_drawing(axes, self._alt(self._asked(title), table, "ratio"))
