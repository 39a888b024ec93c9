"""Who needs what from the manager this week: the pieces of a page that are about people, in the order of names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.charts.palette import OUTCOMES
from salescoach.coaching.lapses import waiting_leads
from salescoach.errors import Unavailable, commas, joined
from salescoach.metrics import Measure, currency_of, measure
from salescoach.metrics.flow import open_deals
from salescoach.metrics.groups import NONE, UNASSIGNED, name_reps, parse_by
from salescoach.metrics.lapses import asked_passages, customer_contacts, next_steps
from salescoach.metrics.leads import response_limit
from salescoach.metrics.since import CHANGES, change_counts, changes_since, untold_changes
from salescoach.metrics.support import NOBODY_TO_HELP, NOBODY_TO_PRAISE, help_list, praise_list
from salescoach.metrics.visits import deals_of
from salescoach.process import Period
from salescoach.reports.blocks import Block, Cell, Column, render, table_block, written
from salescoach.reports.fields import GROUP_LABELS, SIGNALS, TEXT_GROUPS, Field, decided, interval
from salescoach.reports.rates import WIN_RATES, Rates
from salescoach.reports.selling import STATES
from salescoach.wording import N_, Words, is_known

LISTED = 10
_FAIR = (Field(N_("Expected"), "expected", "number"), Field(N_("Signal"), "signal", "text"))
_WAITING = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Days in the stage"), "age_days", "days"),
    Field(N_("Typical, at most"), "typical_days", "days"),
    Field(N_("Expected close"), "expected_close_on", "date"),
)
_ROSTER: dict[str, tuple[Field, ...]] = {
    "win_rate": (interval(N_("Win rate"), "share", "won"), Field(N_("Decided (n)"), "n"), decided(N_("Won"), "won")),
    "quota_attainment": (interval(N_("Of target"), "ratio"),),
    "response_time": (interval(N_("Response"), "hours"), Field(N_("Unanswered"), "unanswered")),
}

_LOAD: dict[str, tuple[Field, ...]] = {
    "sales": (Field(N_("Won deals (n)"), "n"), Field(N_("Won amount"), "value", "money")),
    "quota_attainment": (Field(N_("Of target to date"), "pace", "ratio"),),
    "workload": (
        Field(N_("Open deals (n)"), "n"),
        Field(N_("Open amount"), "amount", "money"),
        Field(N_("Touches asked per week"), "asked_per_week", "decimal"),
        Field(N_("Own contacts per week"), "contacts_per_week", "decimal"),
        Field(N_("Load"), "signal", "signal"),
    ),
}
_RARE = ("void", "reopened", "taken_over", "back")  # a column only where there is one
_WITH_AMOUNT = ("won", "lost")
_COMPARED = {
    "win_rate": N_("Winning deals"),
    "stage_flow": N_("Getting deals on from: {stage}"),
    "response_time": N_("Answering leads in time"),
}
_PRAISE = (
    Field(N_("What"), "what", "text"),
    Field(N_("Reached"), "reached", "number"),
    Field(N_("Of (n)"), "n"),
    Field(N_("Share"), "value", "share"),
    Field(N_("Usual for the same mix"), "usual", "share"),
)
_HELP = (*_PRAISE, Field(N_("Most frequent reason lost"), "because", "text"), Field(N_("What helps"), "coach", "text"))
_TOO_MUCH = (
    Field(N_("Open deals (n)"), "n"),
    Field(N_("Touches asked per week"), "asked_per_week", "decimal"),
    Field(N_("Sustained per week"), "sustained_per_week", "decimal"),
    Field(N_("Waiting for a touch"), "neglected_share", "share", "neglected_low", "neglected_high"),
    Field(N_("Standing still"), "stalled_share", "share", "stalled_low", "stalled_high"),
)
_STEPS = (Field(N_("Amount"), "amount", "money"), Field(N_("Next step"), "step", "text"))
_QUOTES = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Quote missed on"), "missed_on", "date"),
    Field(N_("Quote sent on"), "done_on", "date"),
    Field(N_("Deal is"), "outcome", "text"),
)
_SILENCES = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Customer's contact"), "asked_on", "date"),
    Field(N_("Days of silence"), "silent_days"),
    Field(N_("Allowed"), "limit_days"),
    Field(N_("Deal is"), "outcome", "text"),
)
_LEADS = (
    Field(N_("Lead"), "lead_id", "text"),
    Field(N_("Lead source"), "lead_source", "text"),
    Field(N_("Created on"), "created_on", "date"),
    Field(N_("Waiting for"), "hours", "hours"),
)


class People(Rates):
    """The pieces of a report that are about its people."""

    book: Book
    say: Words
    period: Period

    @abstractmethod
    def _figure(self, name: str, by: str | Sequence[str] = ()) -> Measure: ...

    @abstractmethod
    def _because(self, found: Measure) -> str: ...

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    @abstractmethod
    def _labelled(self, table: pd.DataFrame, groups: list[str]) -> tuple[pd.DataFrame, list[str]]: ...

    def roster(self) -> Block:
        """Everybody of the team in the order of names: results like for like, and what waits for them."""
        say, book = self.say, self.book
        table = book.people.sort_values("rep")[["rep_id", "rep"]].reset_index(drop=True)
        columns: list[Field] = []
        notes = [say("In the order of names, not of results.")]
        for name, fields in _ROSTER.items():
            found = self._figure(name, by="rep")
            if found.table is None:
                continue
            part = found.table.drop(columns="rep").add_prefix(f"{name}_")
            table = table.merge(part, left_on="rep_id", right_on=f"{name}_rep_id", how="left", validate="1:1")
            columns += [f.of(name) for f in fields]
            if name == "win_rate":
                try:
                    fit = self._rates
                except Unavailable as reason:
                    notes.append(self._missing(say(WIN_RATES), say(reason.said)))
                    continue
                table = table.merge(fit.table[["rep_id", "expected", "signal"]], on="rep_id", how="left")
                table["signal"] = table["signal"].fillna("few").map(lambda s: say(SIGNALS[s]))
                columns += _FAIR
                notes += self._rate_notes(fit)
        return table_block(say, book, say("Each of my people"), table, ["rep"], columns, notes)

    def load(self) -> Block:
        """Everybody in the order of names: what was sold, how that stands to the target, and what each one carries."""
        say, book = self.say, self.book
        table = book.people.sort_values("rep")[["rep_id", "rep"]].reset_index(drop=True)
        several = deals_of(book)["currency"].nunique() > 1
        plain = _without_currencies(book) if several else book
        columns: list[Field] = []
        notes: list[str] = []
        for name, fields in _LOAD.items():
            found = measure(plain, name, by="rep", period="" if name == "workload" else self.period)
            if several and name == "quota_attainment":
                found = measure(book, name, by="rep", period=self.period)
            if found.table is None:
                notes.append(self._missing(say(found.metric.title), self._because(found)))
                continue
            part = found.table.drop(columns="rep").add_prefix(f"{name}_")
            table = table.merge(part, left_on="rep_id", right_on=f"{name}_rep_id", how="left", validate="1:1")
            known = [f for f in fields if not (found.table[f.column].isna() | (found.table[f.column] == "few")).all()]
            columns += [f.of(name) for f in known if not (several and f.kind == "money")]
            if name == "workload" and fields[-1] in known:
                notes.append(
                    say(
                        "Touches asked: what the process asks for in somebody's open deals; own contacts: the mean of "
                        "the last 8 weeks. Load: “too much” only where more is asked for than somebody reached in nine "
                        "weeks out of ten and clearly more deals wait than among all."
                    )
                )
        if several:
            notes.append(say("Amounts are in several currencies and are left out here: sums never cross currencies."))
        return table_block(say, book, say("Sales, target and load"), table, ["rep"], columns, notes)

    # --- this week ----------------------------------------------------------------------------

    def changes(self, days: int = 7) -> Block:
        """How many deals of each person changed in the last days, and how; the sum of all below."""
        say, book = self.say, self.book
        since = self._day_before(days)
        counts = change_counts(book, since, by="rep")
        caption = say("What changed since {day}", day=say.date(since))
        untold = untold_changes(book)
        notes = [
            say(
                "The state at the end of {day} beside that of {today}: what came and went in between is not seen. A "
                "deal may stand in several columns; in brackets: amounts.",
                day=say.date(since),
                today=say.date(book.as_of_on),
            ),
            *(
                self._missing(commas(say(CHANGES[c]) for c in names), say(reason.said))
                for reason, names in _by_reason(untold)
            ),
        ]
        if counts.empty:
            return render("empty", caption, say(joined([say("{heading}:", heading=caption), *notes[1:]], " ")))
        if not counts["n"].sum():
            text = say("Nothing changed since {day}.", day=say.date(since))
            return render("empty", caption, say(joined([text, *notes[1:]], " ")))
        happened = set(counts.loc[counts["n"] > 0, "change"])
        shown = [c for c in CHANGES if c not in untold and (c not in _RARE or c in happened)]
        heads = [Column(say(CHANGES[c]), outcome=c if c in OUTCOMES else "") for c in shown]
        columns = [Column(say(GROUP_LABELS["rep"]), False), *heads]
        names = book.people.sort_values("rep")[["rep_id", "rep"]].itertuples(index=False)
        keys = dict([*names, *([(UNASSIGNED, say(UNASSIGNED))] if (counts["rep_id"] == UNASSIGNED).any() else [])])
        rows = [[Cell(name), *self._changed(counts[counts["rep_id"] == key], shown)] for key, name in keys.items()]
        rows.append([Cell(say("All")), *self._changed(change_counts(book, since, by=""), shown)])
        return render("table", f"[{caption}]", caption, columns, rows, notes)

    def _day_before(self, days: int) -> pd.Timestamp:
        return self.book.as_of_on - pd.Timedelta(days=days)

    def _changed(self, counts: pd.DataFrame, shown: Sequence[str]) -> list[Cell]:
        """The cells of one person: how many deals, and for what closed the amount."""
        cells = []
        for name in shown:
            rows = counts[counts["change"] == name]
            amounts = rows[rows["n"] > rows["without_amount"]] if name in _WITH_AMOUNT else rows.iloc[:0]
            money = amounts["currency"] if "currency" in amounts else [currency_of(self.book)] * len(amounts)
            sums = [written(self.say, a, "money", c) for a, c in zip(amounts["amount"], money, strict=True)]
            cells.append(Cell(self.say.number(rows["n"].sum()), f"({' + '.join(sums)})" if sums else ""))
        return cells

    def changed_deals(self, days: int = 7, most: int = LISTED) -> Block:
        """The largest deals that changed in the last days, with what happened to them."""
        say, since = self.say, self._day_before(days)
        rows = changes_since(self.book, since)
        further = rows.loc[rows["change"] != "created", "deal_id"]
        rows = rows[rows["deal_id"].isin(further)].reset_index(drop=True)
        caption = say("The deals behind it")
        if rows.empty:
            text = say("Nothing but new deals since {day}.", day=say.date(since))
            return render("empty", caption, text)
        rows["what"] = [self._what(row) for row in rows.to_dict("records")]
        deals = rows.drop_duplicates("deal_id").drop(columns="what")
        what = rows.groupby("deal_id")["what"].agg(lambda texts: say(joined(texts, "; ")))
        deals = deals.merge(what.reset_index(), on="deal_id", validate="1:1")
        notes = [self._most(len(deals), most), say("New deals without any other change are left out.")]
        fields = (Field(N_("Amount"), "amount", "money"), Field(N_("What changed"), "what", "text"))
        return self._deal_list(caption, _largest(deals, most), fields, notes)

    def _what(self, row: Mapping[Any, Any]) -> str:
        """One change in words, with where the deal came from."""
        say, change = self.say, str(row["change"])
        said = say(CHANGES[change])
        if change in ("forward", "back"):
            pipeline = str(row["pipeline"])
            before, after = (self._stage(pipeline, str(row[c])) for c in ("stage_then", "stage"))
            return say("{change}: {before} → {after}", change=said, before=before, after=after)
        if change == "pushed" and is_known(row["expected_then"]) and is_known(row.get("expected_close_on")):
            before, after = say.date(row["expected_then"]), say.date(row["expected_close_on"])
            return say("{change}: {before} → {after}", change=said, before=before, after=after)
        return said

    # --- who needs what -----------------------------------------------------------------------

    def needs_help(self, most: int = LISTED) -> Block:
        """Who does clearly worse than the others like for like, with the evidence and what the stage calls for."""
        say, caption = self.say, self.say("Who needs help")
        try:
            found = help_list(self.book, self.period, self.say.language)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        if found.empty:
            return render("empty", caption, say(NOBODY_TO_HELP))
        found["because"] = [
            say("{reason} ({n} of {all})", reason=r["reason"], n=say.number(r["reason_n"]), all=say.number(r["losses"]))
            if is_known(r["reason"])
            else ""
            for r in found.to_dict("records")
        ]
        found["coach"] = found["coach"].fillna("")
        fields = [f for f in _HELP if f.kind != "text" or f.column == "what" or (found[f.column] != "").any()]
        return self._evidence(caption, found, fields, most)

    def deserves_praise(self, most: int = LISTED) -> Block:
        """Who does clearly better than the others like for like, with the evidence."""
        caption = self.say("Praise where it is earned")
        try:
            found = praise_list(self.book, self.period)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        if found.empty:
            return render("empty", caption, self.say(NOBODY_TO_PRAISE))
        return self._evidence(caption, found, _PRAISE, most)

    def _evidence(self, caption: str, found: pd.DataFrame, fields: Sequence[Field], most: int) -> Block:
        """The strongest evidence, in the order of names."""
        say, total = self.say, len(found)
        found = found.head(most).sort_values(["rep", "measure"], kind="stable", ignore_index=True)
        found["what"] = [
            say(_COMPARED[r["measure"]], stage=self._stage(r["pipeline"], r["stage"]))
            if r["measure"] == "stage_flow"
            else say(_COMPARED[r["measure"]])
            for r in found.to_dict("records")
        ]
        notes = [
            say(
                "In the order of names. Usual: what the others reach with the same mix of deals or leads; what changed "
                "hands is left out. Somebody is named only where chance is unlikely to make the difference even among "
                "many comparisons (false-discovery rate 10 %)."
            )
        ]
        if total > most:
            notes.append(say("{n} of {all}: those with the strongest evidence.", n=most, all=say.number(total)))
        return table_block(say, self.book, caption, found, ["rep"], fields, notes)

    def carries_too_much(self) -> Block:
        """Who is asked for more than anybody sustains, while their deals wait."""
        say, caption = self.say, self.say("Who carries too much")
        found = measure(_without_currencies(self.book), "workload", by="rep", period="")
        if found.table is None:
            return render("empty", caption, self._missing(caption, self._because(found)))
        table = found.table[found.table["rep_id"] != UNASSIGNED]
        loaded, judged = table[table["signal"] == "too much"], table[table["signal"] != "few"]
        counted = {"n": say.number(len(judged)), "all": say.number(len(table))}
        if judged.empty:
            return render(
                "empty",
                caption,
                say(
                    "Who carries too much cannot be told: nobody has 12 weeks of contacts and 10 open deals on record."
                ),
            )
        if loaded.empty:
            text = say("Nobody clearly carries too much; of {n} of {all} people enough is known to tell.", **counted)
            return render("empty", caption, text)
        note = say("Of {n} of {all} people enough is known to tell. In the order of names.", **counted)
        return table_block(say, self.book, caption, loaded.sort_values("rep"), ["rep"], _TOO_MUCH, [note])

    def deals_without_next_step(self, most: int = LISTED) -> Block:
        """Open deals with nothing planned, or whose next step is overdue, the largest ones, by person."""
        say, caption = self.say, self.say("Open deals without a next step")
        try:
            deals = next_steps(self.book)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        rows = deals[deals["next_step"].isin(["without", "overdue"])]
        if rows.empty:
            return render("empty", caption, say("Nobody has an open deal without a next step."))
        rows = _largest(rows, most)
        rows["step"] = [
            say("none") if r["next_step"] == "without" else say("overdue since {day}", day=say.date(r["next_due_on"]))
            for r in rows.to_dict("records")
        ]
        note = say(
            "Of {all} open deals {n} have no next step, and that of {overdue} is overdue.",
            all=say.number(len(deals)),
            n=say.number((deals["next_step"] == "without").sum()),
            overdue=say.number((deals["next_step"] == "overdue").sum()),
        )
        return self._deal_list(caption, rows, _STEPS, [note])

    def missed_quotes(self, most: int = LISTED) -> Block:
        """Deals that did not get their quote in time, the largest ones, by person."""
        say, caption = self.say, self.say("Missed quotes")
        try:
            rows = asked_passages(self.book, self.period)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        due = rows[rows["verdict"].isin(["done", "late", "never"])]
        missed = due[due["verdict"] != "done"]
        # a deal that went on without a quote missed it on that day, whatever time it had left
        left = missed["ended_on"].where(missed["verdict"] == "never")
        missed = missed.assign(missed_on=pd.concat([missed["due_on"], left], axis=1).min(axis=1))
        if missed.empty:
            text = say("Nobody missed a quote: {n} deals were due one in the period.", n=say.number(len(due)))
            return render("empty", caption, text)
        note = say(
            "{n} of {all} deals that were due a quote in the period got none in time; open ones are chosen first.",
            n=say.number(len(missed)),
            all=say.number(len(due)),
        )
        return self._deal_list(caption, self._with_outcome(missed, most), _QUOTES, [note])

    def forgotten_followups(self, most: int = LISTED) -> Block:
        """Deals whose customer waited for an answer longer than the process allows, the largest ones, by person."""
        say, caption = self.say, self.say("Forgotten follow-ups")
        try:
            rows = customer_contacts(self.book, self.period)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        known = rows[rows["verdict"].isin(["kept", "forgotten"])]
        forgotten = known[known["verdict"] == "forgotten"]
        if forgotten.empty:
            text = say(
                "Nobody left a customer without an answer: {n} contacts in the period.", n=say.number(len(known))
            )
            return render("empty", caption, text)
        longest = forgotten.sort_values("silent_days", ascending=False, kind="stable").drop_duplicates("deal_id")
        note = say(
            "{n} of {all} contacts of customers in the period were left without an answer for too long; of each deal "
            "the longest silence, open deals chosen first.",
            n=say.number(len(forgotten)),
            all=say.number(len(known)),
        )
        shown = self._with_outcome(longest, most)
        still = (shown["deal_id"].map(longest.set_index("deal_id")["outcome"]) == "open") & shown["answered_on"].isna()
        shown["outcome"] = shown["outcome"].mask(still, say("open, not answered"))
        return self._deal_list(caption, shown, _SILENCES, [note])

    def unanswered_leads(self, most: int = LISTED) -> Block:
        """Leads past the limit that nobody has answered, the newest ones, by person."""
        say, caption = self.say, self.say("Unanswered leads")
        try:
            waiting, aside = waiting_leads(self.book, self.period)
        except Unavailable as reason:
            return self._unavailable(caption, reason)
        limit = response_limit(self.book)
        notes = [say("{n} more were put aside without an answer.", n=say.number(aside))] if aside else []
        if waiting.empty:
            text = say("Nobody has a lead of the period that waits for its first answer.")
            return render("empty", caption, say(joined([text, *notes], " ")))
        said = say("{n} leads of the period wait for their first answer.", n=say.number(len(waiting)))
        if limit is not None:
            said = say(
                "{n} leads of the period wait for their first answer for longer than {hours} hours, the limit of the "
                "process.",
                n=say.number(len(waiting)),
                hours=say.number(limit),
            )
        if len(waiting) > most:
            said = say(joined([said, say("Here the {n} newest, in the order of names.", n=most)], " "))
        newest = waiting.sort_values("created_at", ascending=False, kind="stable").head(most)
        newest = _by_name(name_reps(self.book, newest.fillna({"rep_id": UNASSIGNED})), "created_at")
        fields = [f for f in _LEADS if f.column in newest]
        newest = newest.fillna({"lead_source": NONE})
        return table_block(say, self.book, caption, newest, ["rep"], fields, [said, *notes])

    def _with_outcome(self, rows: pd.DataFrame, most: int) -> pd.DataFrame:
        """The largest of these deals, open ones first, with their outcome in words."""
        is_open = rows["outcome"] == "open"
        first = _largest(rows[is_open], most)
        chosen = pd.concat([first, _largest(rows[~is_open], most - len(first))])
        return chosen.assign(outcome=[self.say(STATES[o]) for o in chosen["outcome"]])

    def _deal_list(self, caption: str, rows: pd.DataFrame, fields: Sequence[Field], notes: Sequence[str]) -> Block:
        """Deals by person in the order of names, of each person the largest first."""
        shown = name_reps(self.book, rows.fillna({"rep_id": UNASSIGNED}))
        shown, _ = self._labelled(_by_name(shown, "amount_minor"), [])
        shown["deal"] = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        if "amount" not in shown:
            fields = [f for f in fields if f.column != "amount"]
        return table_block(self.say, self.book, caption, shown, ["rep", "deal", "stage"], fields, notes)

    def _most(self, total: int, most: int) -> str:
        say = self.say
        if total <= most:
            return say("In the order of names.")
        return say("The {n} largest of {all} deals, in the order of names.", n=most, all=say.number(total))

    def _unavailable(self, caption: str, reason: Unavailable) -> Block:
        return render("empty", caption, self._missing(caption, self.say(reason.said)))

    def _missing(self, what: str, because: str) -> str:
        return self.say("{metric}: unavailable, because {because}.", metric=what, because=because)

    # --- what waits ---------------------------------------------------------------------------

    def waiting_deals(self, most: int = LISTED, by: str = "") -> Block:
        """Open deals that wait longer than typical for their stage, the largest first; by="rep" says whose they are."""
        say, book = self.say, self.book
        deals = open_deals(book)
        late = deals[deals["age_days"] > deals["typical_days"]].sort_values(
            ["amount_minor", "deal_id"], ascending=[False, True]
        )
        caption = say("Open deals that wait longer than is typical")
        if late.empty:
            return render("empty", caption, self._nobody_waits(deals))
        shown, _ = self._labelled(late.head(most).fillna({"rep_id": UNASSIGNED}), [])
        shown = name_reps(book, shown)
        shown["deal"] = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        note = say(
            "{n} of {all} open deals; typical: the time within which 8 of 10 deals that went on did so.",
            n=say.number(len(late)),
            all=say.number(len(deals)),
        )
        return table_block(say, book, caption, shown, [*parse_by(by), "deal", "stage"], _WAITING, [note])

    def _nobody_waits(self, deals: pd.DataFrame) -> str:
        if len(deals) and deals["age_days"].isna().all():
            return self.say(
                "When open deals entered their stage is not in the data, so which wait too long cannot be known."
            )
        return self.say(
            "No open deal waits longer than is typical for its stage, or too few deals went on to say what is typical."
        )


def _without_currencies(book: Book) -> Book:
    """The book for counts of deals, which go over all currencies; its sums mean nothing where there are several."""
    deals = book.tables["deals"]
    return replace(book, tables={**book.tables, "deals": deals.drop(columns="currency", errors="ignore")})


def _by_reason(untold: Mapping[str, Unavailable]) -> list[tuple[Unavailable, list[str]]]:
    """What cannot be told, gathered by why."""
    gathered: dict[str, tuple[Unavailable, list[str]]] = {}
    for name in CHANGES:
        if name in untold:
            gathered.setdefault(str(untold[name]), (untold[name], []))[1].append(name)
    return list(gathered.values())


def _largest(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    return rows.sort_values(["amount_minor", "deal_id"], ascending=[False, True], kind="stable").head(most).copy()


def _by_name(rows: pd.DataFrame, then: str) -> pd.DataFrame:
    """In the order of names, (unassigned) last, within a person from the largest or newest on."""
    last = np.where(rows["rep"].isin(TEXT_GROUPS), 1, 0)
    order = rows.assign(_last=last).sort_values(["_last", "rep", then], ascending=[True, True, False], kind="stable")
    return order.drop(columns="_last").reset_index(drop=True)
