"""Deals to discuss: every open deal with what speaks for talking about it, sorted and filtered; click for its story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from salescoach.app.show import as_html, put, said, shown
from salescoach.coaching.discuss import deals_to_discuss, why_said
from salescoach.errors import SalescoachError, Unavailable, joined
from salescoach.reports.blocks import row_currencies
from salescoach.reports.report import Report
from salescoach.wording import N_, NOTHING

MOST = 25
EMPTY = N_("No open deal matches. Clear the filter, or choose somebody else.")
HINT = N_("Click a deal to see what happened to it, beside the won deal most like it.")
SHOWN = N_("{n} of {all} open deals, {how}.")


@dataclass(frozen=True)
class Column:
    """A column of the list: its label, the column it sorts by, which way at first, and its width."""

    label: str
    by: str
    ascending: bool
    width: str


COLUMNS = (
    Column(N_("Deal"), "deal", True, "290px"),
    Column(N_("Stage"), "order", True, "120px"),
    Column(N_("Amount"), "amount", False, "120px"),
    Column(N_("Days in the stage"), "age_days", False, "130px"),
    Column(N_("Typical, at most"), "typical_days", False, "120px"),
    Column(N_("Why here"), "rank", True, "340px"),
)


class DealsPanel:
    """The list, its filter, its order, and the story of the deal that was clicked.

    `order` is the column by which it is sorted, `rows` the buttons of the deals by deal_id.
    """

    def __init__(self, report: Report) -> None:
        self.report, self.say = report, report.say
        self.order, self.ascending = "rank", True
        self.rows: dict[str, widgets.Button] = {}
        self.story = shown(said(self.say(HINT)))
        try:
            self.deals = self._told(deals_to_discuss(report.book, None))
        except Unavailable as reason:
            self.widget = shown(said(self.say("unavailable, because {because}", because=_because(report, reason))))
            return
        self.filter = widgets.Text(
            placeholder=self.say("Filter by deal, stage or reason"), description=self.say("Find")
        )
        self.filter.observe(lambda _: self._list(), "value")
        self.count, self.list = shown(""), widgets.VBox([])
        self.widget = widgets.VBox([self.filter, self.count, self._head(), self.list, self.story])
        self._list()

    def _told(self, deals: pd.DataFrame) -> pd.DataFrame:
        """With what a reader sees and what the list is sorted by."""
        process, say = self.report.book.process, self.say
        places = {(key, s.key): i for key, line in process.pipelines.items() for i, s in enumerate(line.stages)}
        at = list(zip(deals["pipeline"], deals["stage"], strict=True))
        rows = deals.to_dict("records")
        return deals.assign(
            order=[places.get(place, len(places)) for place in at],
            stage_label=[process.stage_label(pipeline, stage, say.language) for pipeline, stage in at],
            told=[say(joined(why_said(self.report.book, row, say), "; ")) for row in rows],
            rank=range(len(deals)),
        )

    def _head(self) -> widgets.HBox:
        buttons = []
        for column in COLUMNS:
            button = widgets.Button(
                description=self.say(column.label),
                tooltip=self.say("Sort by this column"),
                layout=widgets.Layout(width=column.width),
            )
            button.on_click(lambda _, column=column: self.sort(column.by))
            buttons.append(button)
        head = widgets.HBox(buttons)
        head.add_class("salescoach-sort")
        return head

    def sort(self, by: str) -> None:
        """Sort by a column; by the same one again: the other way round."""
        column = next(c for c in COLUMNS if c.by == by)
        self.ascending = not self.ascending if by == self.order else column.ascending
        self.order = by
        self._list()

    def found(self) -> pd.DataFrame:
        """The deals that the filter leaves, in the order chosen."""
        text = self.filter.value.strip().casefold()
        deals = self.deals
        if text:
            everything = deals["deal"] + " " + deals["stage_label"] + " " + deals["told"] + " " + deals["deal_id"]
            deals = deals[everything.str.casefold().str.contains(text, regex=False)]
        found: pd.DataFrame = deals.sort_values([self.order, "rank"], ascending=[self.ascending, True], kind="stable")
        return found

    def _list(self) -> None:
        say, found = self.say, self.found()
        money = row_currencies(self.report.book, found)
        rows = list(zip(found.head(MOST).to_dict("records"), money, strict=False))
        self.rows = {}
        self.list.children = tuple(self._row(deal, own) for deal, own in rows)
        label = next(c.label for c in COLUMNS if c.by == self.order)
        how = say("sorted by: {column}", column=say(label))
        text = say(SHOWN, n=len(rows), all=say.number(len(self.deals)), how=how)
        put(self.count, f'<p class="note">{escape(text)}</p>' if rows else said(say(EMPTY)))

    def _row(self, deal: Mapping[Any, Any], money: str) -> widgets.HBox:
        say = self.say
        button = widgets.Button(
            description=str(deal["deal"]),
            tooltip=say("What happened to {deal}?", deal=deal["deal"]),
            layout=widgets.Layout(width=COLUMNS[0].width),
        )
        button.add_class("salescoach-deal")
        button.on_click(lambda _: self.tell(str(deal["deal_id"])))
        self.rows[str(deal["deal_id"])] = button
        texts = (
            str(deal["stage_label"]),
            say.money(deal["amount"], money),
            say.number(deal["age_days"]),
            say.number(deal["typical_days"]),
            str(deal["told"]) or NOTHING,
        )
        row = widgets.HBox([button, *_cells(texts)])
        row.add_class("salescoach-row")
        return row

    def tell(self, deal_id: str) -> None:
        """Show what happened to one deal."""
        put(self.story, said(self.say("Working on it …")))
        try:
            put(self.story, as_html(self.report.deal_timeline(deal_id)))
        except SalescoachError as error:
            put(self.story, said(self.say(error.said), "error"))


def _cells(texts: Sequence[str]) -> list[widgets.HTML]:
    widths = [column.width for column in COLUMNS[1:]]
    return [
        widgets.HTML(f"<span>{escape(text)}</span>", layout=widgets.Layout(width=width))
        for text, width in zip(texts, widths, strict=True)
    ]


def _because(report: Report, reason: Unavailable) -> str:
    return report.say(reason.said)
