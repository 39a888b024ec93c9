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
from salescoach.reports.blocks import row_currencies, written
from salescoach.wording import Words


@dataclass(frozen=True)
class Painter:
    """Draws any metric.

    who     named where a picture has one row for everybody
    usual   (metric, stage) -> what is usual among the others, NaN where that may not be shown
    """

    say: Words
    book: Book
    who: str
    usual: Callable[[str, str | None], float]

    def draw(self, found: Measure, table: pd.DataFrame, groups: Sequence[str]) -> Drawing:
        """The picture of an available metric; `table` has its labels, `groups` tell the rows apart."""
        draw = {
            "funnel": self._funnel,
            "stage_flow": self._stage_flow,
            "pipeline": self._pipeline,
            "quota_attainment": self._targets,
        }.get(found.metric.name, self._intervals)
        with charts.style():
            return draw(found, table.assign(name=self._names(table, groups)))

    def _names(self, table: pd.DataFrame, groups: Sequence[str]) -> pd.Series:
        if not groups:
            return pd.Series(self.who, table.index)
        shown = [table[g].map(lambda v: written(self.say, v, "text", "")) for g in groups]
        return pd.Series([" · ".join(parts) for parts in zip(*shown, strict=True)], table.index)

    def _alt(self, title: str, table: pd.DataFrame, unit: str) -> str:
        kind = unit if unit in ("share", "ratio", "days", "hours") else "count"
        currency = currency_of(self.book)
        rows = [
            f"{r['name']}: {written(self.say, r['value'], kind, currency, r['n'])} (n={r['n']})"
            for r in table.to_dict("records")
        ]
        return f"{title} " + "; ".join(rows)

    def _intervals(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say, unit = self.say, found.metric.unit
        questions = {
            "win_rate": say("How many decided deals are won?"),
            "sales_cycle": say("How many days until a deal is decided?"),
            "response_time": say("How many hours until a lead is answered?"),
            "lead_conversion": say("How many leads become a deal?"),
            "new_customers": say("How many customers are new?"),
        }
        scales = {"share": say("share"), "days": say("days"), "hours": say("hours (h)"), "count": say("count")}
        title = questions[found.metric.name]
        alone = len(table) == 1 and not found.by
        usual = self.usual(found.metric.name, None) if alone else np.nan
        axis = f"{scales[unit]} · {say(found.metric.interval)}"
        axes = charts.plot_intervals(table, "name", title, axis, usual, say("others"), unit)
        return charts.to_drawing(axes, self._alt(title, table, unit))

    def _funnel(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        table["text"] = [
            f"n={say.number(r)} · {say.percent(v)}" for r, v in zip(table["reached"], table["value"], strict=True)
        ]
        title = say("How far do deals get?")
        axes = charts.plot_funnel(table, "name", title, say("deals that reached the stage"), say("still open there"))
        return charts.to_drawing(axes, self._alt(title, table.assign(n=table["reached"]), "share"))

    def _stage_flow(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        assert found.table is not None
        table["peers"] = [self.usual("stage_flow", s) for s in found.table["stage"]]
        title = say("Which stage lets deals through, which holds them back?")
        axes = charts.plot_stage_flow(table, "name", title, say("share that went on · 95 % interval"), say("others"))
        return charts.to_drawing(axes, self._alt(title, table, "share"))

    def _pipeline(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say = self.say
        table["text"] = [
            f"n={say.number(n)} · {written(say, v, 'money', money)}"
            for n, v, money in zip(table["n"], table["value"], row_currencies(self.book, table), strict=True)
        ]
        title = say("Where do open deals stand?")
        if table["older_than_typical"].notna().any():
            title = say("Where do open deals stand, and which wait too long?")
        axes = charts.plot_pipeline(table, "name", title, say("open deals"), say("longer in the stage than typical"))
        return charts.to_drawing(axes, self._alt(title, table.assign(value=table["n"]), "count"))

    def _targets(self, found: Measure, table: pd.DataFrame) -> Drawing:
        say, currency = self.say, currency_of(self.book)
        for side in ("low", "high"):
            table[f"{side}_amount"] = table[side] * table["target"]
        table["text"] = [
            f"{written(say, v, 'ratio', currency)} · n={say.number(n)}"
            for v, n in zip(table["value"], table["n"], strict=True)
        ]
        title = say("What was won against the target?")
        axes = charts.plot_targets(
            table,
            "name",
            title,
            say("won amount · 95 % interval"),
            say("target"),
            lambda amount: say.short_money(amount, currency),
        )
        return charts.to_drawing(axes, self._alt(title, table, "ratio"))
