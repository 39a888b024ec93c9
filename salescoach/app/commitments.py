"""What was agreed and what becomes of it, the corner of the rep, and the new commitment: kept in the ledger."""

from __future__ import annotations

from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from salescoach.app.show import heading, put, said, shown
from salescoach.coaching.agreed import MANAGER, REP
from salescoach.coaching.follow_up import measured
from salescoach.coaching.ledger import STATUSES, open_ledger
from salescoach.errors import SalescoachError, Unavailable
from salescoach.metrics import METRICS
from salescoach.reports.report import Report
from salescoach.wording import N_

WHO = N_("Choose a person first: commitments are between the two of you.")
NONE_OPEN = N_("Nothing is open between the two of you.")
NOWHERE = N_("There is no ledger to write to. Start the session with `--ledger FILE`.")
SAVED = N_("Noted.")
SIDES = {REP: N_("the rep"), MANAGER: N_("the manager")}
STATUS_WORDS = {"kept": N_("kept"), "not kept": N_("not kept"), "dropped": N_("dropped")}
WIDE = widgets.Layout(width="min(640px, 98%)")
LABEL = {"description_width": "150px"}


class CommitmentsPanel:
    """Three parts over one ledger: open commitments to be closed, the rep's corner, and a new commitment.

    Nothing is shown but what `Ledger.agreed_with` gives: no notes of the manager's, nothing of anybody else.
    """

    def __init__(self, report: Report, rep_id: str, where: str | Path | None, own: bool) -> None:
        self.report, self.say, self.rep_id, self.own = report, report.say, rep_id, own
        say = self.say
        if not rep_id or where is None:
            self.widget = shown(said(say(NOWHERE if rep_id else WHO)))
            return
        try:
            self.ledger = open_ledger(where)
        except SalescoachError as error:
            self.widget = shown(said(say(error.said), "error"))
            return
        self.message, self.open = shown(""), widgets.VBox([])
        self.widget = widgets.VBox(
            [
                shown(heading(say("Open commitments"))),
                self.open,
                shown(heading(say("The rep's corner"))),
                self._corner(),
                shown(heading(say("What do we agree on?"))),
                self._new(),
                self.message,
            ]
        )
        self._list()

    # --- what is open -------------------------------------------------------------------------

    def _list(self) -> None:
        table = self.ledger.promises_table()
        mine = table[(table["rep_id"] == self.rep_id) & (table["status"] == "open")]
        rows = [self._row(row) for row in mine.to_dict("records")]
        self.open.children = tuple(rows) or (shown(said(self.say(NONE_OPEN))),)

    def _row(self, row: dict[Any, Any]) -> widgets.VBox:
        say = self.say
        due = say("due {day}", day=say.date(date.fromisoformat(row["due_on"]))) if row["due_on"] else ""
        told = say("{who}: {what}", who=say(SIDES[row["by"]]), what=row["what"])
        facts = " · ".join(t for t in (say.date(date.fromisoformat(row["on"])), due, row["measure"]) if t)
        text = shown(f'<p><b>{escape(told)}</b><br><span class="note">{escape(facts)}</span></p>')
        if self.own and row["by"] == MANAGER:
            return widgets.VBox([text])
        remark = widgets.Text(placeholder=say("What was said of it"), layout=widgets.Layout(width="280px"))
        buttons = []
        for status in STATUSES:
            button = widgets.Button(description=say(STATUS_WORDS[status]), layout=widgets.Layout(width="110px"))
            button.on_click(lambda _, status=status: self.close(row["promise_id"], status, remark.value))
            buttons.append(button)
        return widgets.VBox([text, widgets.HBox([remark, *buttons], layout=widgets.Layout(flex_flow="row wrap"))])

    def close(self, promise_id: str, status: str, remark: str) -> None:
        """Write down what became of a commitment."""
        self._keep(lambda: self.ledger.review(promise_id, status, _today(), remark))

    # --- the rep's corner ---------------------------------------------------------------------

    def _corner(self) -> widgets.VBox:
        say = self.say
        labels = {"win": say("A win"), "discuss": say("I want to discuss"), "blocker": say("One blocker")}
        self.corner = {
            name: widgets.Textarea(description=label, rows=2, layout=WIDE, style=LABEL)
            for name, label in labels.items()
        }
        button = widgets.Button(description=say("Save the corner"), layout=widgets.Layout(width="180px"))
        button.on_click(lambda _: self.save_corner())
        return widgets.VBox([*self.corner.values(), button])

    def save_corner(self) -> None:
        """Note the conversation with what the rep brought to it."""
        texts = {name: field.value.strip() for name, field in self.corner.items()}
        if any(texts.values()):
            self._keep(lambda: self.ledger.add_session(self.rep_id, _today(), **texts))

    # --- the new commitment -------------------------------------------------------------------

    def _new(self) -> widgets.VBox:
        say = self.say
        sides = [(say(SIDES[side]), side) for side in ((REP,) if self.own else (REP, MANAGER))]
        self.by = widgets.Dropdown(options=sides, description=say("Who"), layout=WIDE, style=LABEL)
        self.what = widgets.Textarea(description=say("Will do what"), rows=2, layout=WIDE, style=LABEL)
        measures = [(say("(in words above)"), ""), *sorted((say(m.title), name) for name, m in METRICS.items())]
        self.measure = widgets.Dropdown(options=measures, description=say("Seen by"), layout=WIDE, style=LABEL)
        self.due = widgets.DatePicker(description=say("By when"), layout=WIDE, style=LABEL)
        button = widgets.Button(description=say("Agree"), button_style="primary", layout=widgets.Layout(width="180px"))
        button.on_click(lambda _: self.agree())
        return widgets.VBox([self.by, self.what, self.measure, self.due, button])

    def agree(self) -> None:
        """Write the commitment into the ledger, with the value of its measure now."""
        due = self.due.value.isoformat() if self.due.value else ""
        name = self.measure.value
        kept = self._keep(
            lambda: self.ledger.add_promise(
                self.rep_id, self.by.value, self.what.value, _today(), measure=name, due_on=due, before=self._now(name)
            )
        )
        if kept:
            self.what.value = ""

    def _now(self, name: str) -> float | None:
        """The measure's value as the follow-up will read it; null where there is none."""
        if not name:
            return None
        try:
            return measured(name, "", self.report.book).value
        except Unavailable:
            return None

    def _keep(self, write: Any) -> bool:
        """Write, and say whether that went well."""
        try:
            write()
        except SalescoachError as error:
            put(self.message, said(self.say(error.said), "error"))
            return False
        put(self.message, said(self.say(SAVED)))
        self._list()
        return True


def _today() -> str:
    return date.today().isoformat()
