"""The coaching session: one page to pick a person, look, ask what if, agree, and print."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import ipywidgets as widgets

from salescoach.app.commitments import CommitmentsPanel
from salescoach.app.deals import DealsPanel
from salescoach.app.export import ExportPanel
from salescoach.app.quarantine import QuarantinePanel
from salescoach.app.show import as_html, heading, options, put, said, shown, style
from salescoach.app.story import evaluated, show_story
from salescoach.app.what_if import WhatIfPanel
from salescoach.book import Book
from salescoach.coaching.ledger import ledger_of
from salescoach.errors import SalescoachError, Unavailable
from salescoach.models.forecast import Forecast, Target, fit_forecast, targets_of
from salescoach.reports.report import Report, find_book, open_report
from salescoach.wording import LANGUAGES, N_, words

LOADING = N_("Opening the data …")
EVERYBODY = N_("Everybody")
PICK = N_("Choose a person above: the page for the one-to-one stands here.")
TABS = (
    ("page", N_("One page")),
    ("funnel", N_("Funnel & what if")),
    ("deals", N_("Deals")),
    ("win_loss", N_("Win / loss")),
    ("forecast", N_("Forecast")),
    ("commitments", N_("Commitments")),
)
PERIODS = (
    ("last 365 days", N_("Last 365 days")),
    ("last 90 days", N_("Last 90 days")),
    ("", N_("Everything")),
)
NAMES = {"en": "English", "zh": "中文"}


@dataclass(frozen=True)
class Choice:
    """Whom and what the session shows. rep is an id, "" for all of the team; team "" for all teams."""

    team: str = ""
    rep: str = ""
    period: str = "last 365 days"
    language: str = "en"


def session(
    book: str | Path | Book,
    rep: str = "",
    team: str = "",
    period: str = "last 365 days",
    language: str = "en",
    own: bool = False,
    ledger: str | Path | None = None,
) -> Session:
    """A coaching session on a book: show it as the last value of a cell, or use its parts.

    own      a rep's own view: nothing but `rep` can be chosen, and only what is the rep's is opened
    ledger   where commitments are kept: a file or the URL of a database (default: beside the book)

    Its parts: `funnel()`, `deals()`, `story("win_loss")`, `commitments()`, `quarantine()`, each a widget.
    """
    return Session(book, Choice(team, rep, period, language), own, ledger)


class Session:
    """Widgets over one book. What is chosen above is computed when its tab is opened, and kept until something else is
    chosen.
    """

    def __init__(self, book: str | Path | Book, choice: Choice, own: bool, ledger: str | Path | None) -> None:
        self._source, self.choice, self.own = book, choice, own
        beside = None if isinstance(book, Book) else ledger_of(book)
        self._ledger = ledger or beside
        self._book: Book | None = None
        self._forecast: Forecast | None = None
        self._reports: dict[Choice, Report] = {}
        self._built: dict[str, Choice] = {}
        self.placeholder = shown(said(words(choice.language)(LOADING)))
        self.widget = widgets.VBox([widgets.HTML(style()), self.placeholder])
        self.widget.add_class("salescoach-app")

    # --- parts --------------------------------------------------------------------------------

    @property
    def book(self) -> Book:
        """The whole book, or the slice of the rep whose own view this is."""
        if self._book is None:
            whole = find_book(self._source)
            if self.own:
                report = open_report(whole, rep=self.choice.rep, period=self.choice.period)
                whole = report.book
            self._book = whole
        return self._book

    def report(self, choice: Choice | None = None) -> Report:
        """The report behind what is chosen; opened once for each choice."""
        asked = choice or self.choice
        if asked not in self._reports:
            rep, team = asked.rep or None, (asked.team or None) if not asked.rep else None
            self._reports[asked] = open_report(self.book, rep, team, asked.period or None, asked.language)
        return self._reports[asked]

    def funnel(self) -> widgets.Widget:
        """The funnel, the flow through the stages, and what if."""
        report = self.report()
        calls = ('report.chart("funnel")', 'report.chart("stage_flow")', 'report.table("stage_flow")')
        panel, chosen = WhatIfPanel(report), self.choice
        _soon(lambda: panel.aim(self.target()) if self.choice == chosen else None)
        return widgets.VBox([panel.widget, *(shown(evaluated(call, report)) for call in calls)])

    def target(self) -> Target | None:
        """The target of whom is chosen, with the forecast of the quarter; nothing where there is none of them."""
        if self.own:
            return None
        try:
            if self._forecast is None:
                self._forecast = fit_forecast(self.book)
            level = "rep" if self.choice.rep else "team" if self.choice.team else "company"
            return targets_of(self.book, self._forecast, level).get(self.choice.rep or self.choice.team)
        except Unavailable:
            return None

    def deals(self) -> widgets.Widget:
        """Open deals with what speaks for talking about each; click for its timeline."""
        return DealsPanel(self.report()).widget

    def story(self, name: str) -> widgets.Widget:
        """The pieces of a notebook."""
        box = widgets.VBox([])
        show_story(name, self.report(), box)
        return box

    def commitments(self) -> widgets.Widget:
        """What was agreed, the rep's corner, and the new commitment."""
        return CommitmentsPanel(self.report(), self.choice.rep, self._ledger, self.own).widget

    def quarantine(self) -> widgets.Widget:
        """The rows that could not be used, with a place to note the correction."""
        return QuarantinePanel(self.book, words(self.choice.language)).widget

    # --- the whole page -----------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        _soon(self.open)

    def open(self) -> Session:
        """Build the page. In a notebook that happens by itself, after the placeholder is shown."""
        try:
            self.report()
        except SalescoachError as error:
            put(self.placeholder, said(words(self.choice.language)(error.said), "error"))
            return self
        self._lay_out()
        return self

    def _lay_out(self) -> None:
        say = words(self.choice.language)
        self.tabs = widgets.Tab([widgets.VBox([]) for _ in TABS], titles=[say(title) for _, title in TABS])
        self.tabs.observe(lambda _: self._show_tab(), "selected_index")
        self.head = shown("")
        self.tools = widgets.HBox(self._choosers(), layout=widgets.Layout(flex_flow="row wrap"))
        self.tools.add_class("salescoach-tools")
        self.widget.children = (self.widget.children[0], self.tools, self.head, self.tabs)
        self._built.clear()
        self._show_tab()

    def _choosers(self) -> list[widgets.Widget]:
        say = words(self.choice.language)
        quarters = _quarters(self.report())
        periods = [(say(label), key) for key, label in PERIODS] + [(q, q) for q in quarters]
        if self.choice.period not in [key for _, key in periods]:
            periods.append((self.choice.period, self.choice.period))
        self.period = options(periods, self.choice.period, say("Period"))
        self.period.observe(lambda change: self._choose(period=change["new"]), "value")
        self.language = widgets.ToggleButtons(
            options=[(NAMES[key], key) for key in LANGUAGES],
            value=self.choice.language,
            style={"button_width": "80px"},
            tooltips=[NAMES[key] for key in LANGUAGES],
        )
        self.language.observe(lambda change: self._speak(change["new"]), "value")
        export = ExportPanel(self.report, self._source if not self.own else self.book)
        if self.own:
            return [self.period, self.language, export.widget]
        teams = [(say("All teams"), ""), *((t, t) for t in self.book.teams)]
        self.team = options(teams, self.choice.team, say("Team"))
        self.rep = options(self._people(), self.choice.rep, say("Rep"))
        self.team.observe(lambda change: self._choose_team(change["new"]), "value")
        self.rep.observe(lambda change: self._choose(rep=change["new"]), "value")
        return [self.team, self.rep, self.period, self.language, export.widget]

    def _people(self) -> list[tuple[str, str]]:
        people = self.book.people.sort_values("rep")
        if self.choice.team:
            people = people[people["team"] == self.choice.team]
        everybody = words(self.choice.language)(EVERYBODY)
        return [(everybody, ""), *zip(people["rep"], people["rep_id"], strict=True)]

    def _choose_team(self, team: str) -> None:
        self.choice = replace(self.choice, team=team, rep="")
        with self.rep.hold_trait_notifications():
            self.rep.options, self.rep.value = self._people(), ""
        self._show_tab()

    def _choose(self, **changed: str) -> None:
        if replace(self.choice, **changed) != self.choice:
            self.choice = replace(self.choice, **changed)
            self._show_tab()

    def _speak(self, language: str) -> None:
        selected = self.tabs.selected_index
        self.choice = replace(self.choice, language=language)
        self._lay_out()
        self.tabs.selected_index = selected

    def _show_tab(self) -> None:
        """Build what the open tab shows, unless it stands there already."""
        name, _ = TABS[self.tabs.selected_index or 0]
        if self._built.get(name) == self.choice:
            return
        box, asked, say = self.tabs.children[self.tabs.selected_index or 0], self.choice, words(self.choice.language)
        box.children = (shown(said(say("Working on it …"))),)
        try:
            put(self.head, as_html(self.report().heading()))
            self._fill(name, box, lambda: self.choice == asked)
        except SalescoachError as error:
            box.children = (shown(said(say(error.said), "error")),)
        self._built[name] = asked

    def _fill(self, name: str, box: widgets.VBox, going_on: Callable[[], bool]) -> None:
        if name == "page" and not self.choice.rep:
            say = words(self.choice.language)
            figures = shown(as_html(self.report().key_figures()))
            box.children = (shown(said(say(PICK))), shown(heading(say("The key figures"))), figures)
        elif name in ("page", "win_loss", "forecast"):
            show_story({"page": "rep_review"}.get(name, name), self.report(), box, going_on)
        else:
            box.children = (getattr(self, name)(),)


def _soon(do: Callable[[], object]) -> None:
    """After what is on its way to the browser; at once where nothing can wait."""
    try:
        asyncio.get_running_loop().call_soon(do)
    except RuntimeError:
        do()


def _quarters(report: Report) -> list[str]:
    """The four quarters up to the one in which the data end."""
    year, number = int(report.quarter[-6:-2]), int(report.quarter[-1])
    head = report.quarter[:-6]
    found = []
    for _ in range(4):
        found.append(f"{head}{year}Q{number}")
        year, number = (year, number - 1) if number > 1 else (year - 1, 4)
    return found
