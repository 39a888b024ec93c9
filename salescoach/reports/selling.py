"""How we sell: the pieces of a page about the process, the customers it suits, and what was left undone on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.errors import Unavailable, joined
from salescoach.metrics.ideal import ideal_customer
from salescoach.metrics.lapses import asked_passages, customer_contacts, next_steps
from salescoach.metrics.visits import deals_of
from salescoach.process import Period, Stage
from salescoach.reports.blocks import Block, render, table_block, text_table
from salescoach.reports.fields import GROUP_LABELS, Field, interval
from salescoach.wording import N_, NOTHING, Words

FEW = 5
ACTIVITY = "activity:"
ACTIVITIES = {
    "call": N_("call"),
    "demo": N_("demo"),
    "email": N_("e-mail"),
    "meeting": N_("meeting"),
    "quote": N_("quote"),
}
STATES = {"open": N_("open"), "won": N_("won"), "lost": N_("lost")}
ORDER = {"open": 0, "lost": 1, "won": 2}
TRAIT_LABELS = {"industry": N_("Industry"), "size": N_("Size")}
COLUMN_LABELS = {
    **GROUP_LABELS,
    "account_id": N_("Customer"),
    "amount": N_("Amount"),
    "expected_close_on": N_("Expected close"),
    "name": N_("Name"),
}
_SUITS = (
    interval(N_("Win rate"), "share", "won"),
    Field(N_("Decided (n)"), "n"),
    Field(N_("Expected"), "usual", "share"),
    Field(N_("Signal"), "signal", "signal"),
    Field(N_("Mean deal size"), "mean_amount", "money", "mean_low", "mean_high"),
    Field(N_("Median days"), "median_days", "days", "days_low", "days_high"),
)
_LAPSED = (
    Field(N_("Stage"), "stage", "text"),
    Field(N_("Since"), "on", "date"),
    Field(N_("Days"), "days"),
    Field(N_("Deal is"), "state", "text"),
    Field(N_("Amount"), "amount", "money"),
)


class Selling(ABC):
    """The pieces of a report that are about how deals are found, qualified and kept moving."""

    book: Book
    say: Words
    period: Period

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    @abstractmethod
    def _pipeline(self, pipeline: str) -> str: ...

    # --- the process ------------------------------------------------------------------------------

    def process(self) -> Block:
        """The process itself: its stages in order, what each expects, and what the manager may look for."""
        say, process = self.say, self.book.process
        several = len(process.pipelines) > 1
        rows = [
            [*([self._pipeline(key)] if several else []), *self._step(key, stage)]
            for key, line in process.pipelines.items()
            for stage in line.working
        ]
        labels = [say("Stage"), say("Expected days"), say("A contact every … days"), say("First answer within")]
        labels += [say("To come in"), say("To move on"), say("Hint for coaching")]
        labels = [say("Sales pipeline"), *labels] if several else labels
        note = say("As written in the process file; what stands there is what the numbers below are held against.")
        caption = process.name.in_language(say.language)
        return text_table(say, caption, labels, rows, [several + 1, several + 2, several + 3], [note])

    def _step(self, pipeline: str, stage: Stage) -> list[str]:
        say = self.say
        hours = stage.first_response_hours
        return [
            self._stage(pipeline, stage.key),
            say.number(stage.expect_days),
            say.number(stage.touch_every_days),
            NOTHING if hours is None else say("{n} h", n=say.number(hours)),
            self._rules(stage.enter),
            self._rules(stage.exit),
            "" if stage.coach is None else stage.coach.in_language(say.language),
        ]

    def _rules(self, rules: tuple[str, ...]) -> str:
        return self.say(joined(map(self._rule, rules), "; ")) or NOTHING

    def _rule(self, rule: str) -> str:
        """A rule of the process file as a person says it; free text stays as it is."""
        say = self.say
        if rule.replace(" ", "").startswith(ACTIVITY):
            name = rule.split(":", 1)[1].strip()
            return say("{activity} done", activity=say(ACTIVITIES.get(name, name)))
        if rule in TABLES["deals"].columns or rule in self.book.tables["deals"]:
            return say("{column} filled in", column=say(COLUMN_LABELS.get(rule, rule)))
        return say(rule)

    # --- the customers ----------------------------------------------------------------------------

    def ideal_customer(self) -> Block:
        """Kinds of customers: how many deals we win, how large they are and how long they take, like for like."""
        say = self.say
        caption = say("Which customers suit us?")
        try:
            table = ideal_customer(self.book, self.period)
        except Unavailable as why:
            return self._cannot(caption, why)
        labels = {**GROUP_LABELS, **TRAIT_LABELS}
        names = table["trait"].map({t: say(labels.get(t, t)) for t in table["trait"].unique()})
        table["trait"] = names.mask(names.duplicated(), "")
        notes = [
            say(
                "Expected: the win rate that deals of the same type, source and segment have on average. In brackets: "
                "95 % intervals. Days: of deals begun in the period."
            ),
            say(
                "A signal is named only where chance is unlikely to make it even among many kinds compared "
                "(false-discovery rate 10 %). It goes with the kind of customer; that it is the cause is not said."
            ),
        ]
        return table_block(say, self.book, caption, table, ["trait", "group"], _SUITS, notes)

    # --- what was left undone ---------------------------------------------------------------------

    def lapses(self, most: int = FEW) -> Block:
        """Missed quotes, customers kept waiting, next steps overdue: of open deals first, then of lost ones."""
        say, book = self.say, self.book
        caption = say("What was left undone?")
        parts, notes = [], []
        for title, list_them in _KINDS:
            try:
                parts.append(list_them(book, self.period).assign(lapse=say(title)))
            except Unavailable as why:
                notes.append(self._cannot(say(title), why).text)
        found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)
        if found.empty:
            text = say("No missed quote, forgotten follow-up or overdue next step is found in the data.")
            return render("empty", caption, say(joined([*([text] if parts else []), *notes], " ")))
        deals = deals_of(book).reindex(found["deal"]).set_index(found.index)
        found = found.assign(order=deals["outcome"].map(ORDER), deal_id=deals["deal_id"])
        found = found.sort_values(["order", "on", "deal_id", "lapse"], ascending=[True, False, True, True])
        shown = found.head(most)
        deals = deals.loc[shown.index]
        table = pd.DataFrame(
            {
                "lapse": shown["lapse"],
                "deal": deals["name"].fillna(deals["deal_id"]) if "name" in deals else deals["deal_id"],
                "stage": [self._stage(p, s) for p, s in zip(deals["pipeline"], shown["stage"], strict=True)],
                "on": shown["on"],
                "days": shown["days"],
                "state": [say(STATES[o]) for o in deals["outcome"]],
                "amount": deals["amount"] if "amount" in deals else float("nan"),
                **({"currency": deals["currency"]} if "currency" in deals else {}),
            }
        )
        note = say(
            "{n} of {all} in the period. Since: the day on which the quote was due, on which the customer asked, or "
            "for which the next step was planned.",
            n=say.number(len(shown)),
            all=say.number(len(found)),
        )
        return table_block(say, book, caption, table, ["lapse", "deal"], _LAPSED, [note, *notes])

    def _cannot(self, title: str, why: Unavailable) -> Block:
        say = self.say
        text = say("{metric}: unavailable, because {because}.", metric=title, because=say(why.said))
        return render("empty", text, text)


_COLUMNS = ["deal", "stage", "on", "days"]


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    """One lapse of a kind per deal: the latest."""
    return rows.sort_values(["deal", "on"]).drop_duplicates("deal", keep="last")[_COLUMNS]


def _missed(book: Book, period: Period) -> pd.DataFrame:
    rows = asked_passages(book, period)
    rows = rows[rows["verdict"].isin(["late", "never"])]
    due = rows[["due_on", "ended_on"]].min(axis=1)
    until = rows["done_on"].fillna(rows["closed_on"]).fillna(book.as_of_on)
    return _latest(rows.assign(on=due, days=(until - due).dt.days.clip(lower=0)))


def _forgotten(book: Book, period: Period) -> pd.DataFrame:
    rows = customer_contacts(book, period)
    rows = rows[rows["verdict"] == "forgotten"]
    return _latest(rows.assign(on=rows["asked_on"], days=rows["silent_days"]))


def _overdue(book: Book, period: Period) -> pd.DataFrame:
    """The state of the day of the data, whatever the period."""
    rows = next_steps(book)
    rows = rows[rows["next_step"] == "overdue"]
    days = (book.as_of_on - rows["next_due_on"]).dt.days
    return _latest(rows.assign(deal=rows.index, on=rows["next_due_on"], days=days))


_KINDS: tuple[tuple[str, Callable[[Book, Period], pd.DataFrame]], ...] = (
    (N_("Missed quote"), _missed),
    (N_("Forgotten follow-up"), _forgotten),
    (N_("Next step overdue"), _overdue),
)
