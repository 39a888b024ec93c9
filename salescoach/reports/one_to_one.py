"""What should we talk about with this rep: the pieces of the one page for a one-to-one, and of what stands overleaf."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

import salescoach
from salescoach.coaching.agreed import MANAGER, REP, Agreed, Promise
from salescoach.coaching.discuss import deals_to_discuss, missing_said, why_said
from salescoach.coaching.findings import Findings, coaching_findings, money_of, sentence_of
from salescoach.coaching.follow_up import follow_up
from salescoach.coaching.habits import HABITS
from salescoach.coaching.lapses import lapses
from salescoach.coaching.questions import USUAL, choose_questions
from salescoach.coaching.strengths import deal_to_replicate
from salescoach.errors import Unavailable, joined
from salescoach.metrics import METRICS, Measure, currency_of, restated
from salescoach.metrics.since import CHANGES, change_counts
from salescoach.models import GapFit
from salescoach.models.gap_sides import Against
from salescoach.reports.blocks import Block, environment, render, table_block, text_table
from salescoach.reports.fields import Field
from salescoach.reports.gap import REFERENCES, Gap
from salescoach.reports.twins import Twins
from salescoach.wording import N_, NOTHING, is_known

NAME_LENGTH = 44
DEALS, LAPSES, QUESTIONS = 3, 5, 6
SOUND = 0.005  # share of the rep's rows set aside up to which the data are called sound
LAST_REVIEW_DAYS = 30  # looked back where no conversation is on record
LEVERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "begun": (N_("Deals begun"), ("volume", "in_hand")),
    "rates": (N_("Getting deals on"), ("conversion",)),
    "size": (N_("Size and price"), ("mix", "products", "size", "price")),
    "timing": (N_("Timing and chance"), ("speed", "timing", "chance", "credit")),
}
GRADES = {"strong": N_("strong evidence"), "some": N_("some evidence"), "thin": N_("too little to tell")}
LAPSE_WORDS = {
    "quote": N_("Quote missed"),
    "followup": N_("Follow-up forgotten"),
    "lead": N_("Lead not answered"),
}
SINCE = {
    "quote": N_("{name}: due since {day}"),
    "followup": N_("{name}: the customer asked on {day} and waited {days} days"),
    "lead": N_("{name}: waiting since {day}"),
}
SIDES = {REP: N_("Rep:"), MANAGER: N_("Manager:")}
STATUS = {
    "open": N_("still open"),
    "kept": N_("kept"),
    "not kept": N_("not kept"),
    "dropped": N_("dropped by both"),
}
NEXT_STEPS = {"overdue": N_("overdue since {day}"), "in_future": N_("on {day}"), "without": N_("none")}
TWIN_KINDS = {
    "silences": "silence",
    "forgotten_followups": "silence",
    "missed_quotes": "quote",
    "pushes": "push",
    "time_in_stage": "stage",
}
RESTATED = ("win_rate", "sales")
NOTHING_YET = N_("Nothing to conclude yet: about {n} more closed deals would let one stage be told from luck.")
NOTHING_YET_PLAIN = N_("Nothing to conclude yet: too few deals, leads and contacts are on record.")
_FINDINGS = (
    Field(N_("What"), "sentence", "text"),
    Field(N_("Evidence"), "grade_said", "text"),
    Field(N_("Sign is right with"), "p", "ratio"),
    Field(N_("Goes with about"), "money", "money"),
)
_DISCUSSED = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Days in the stage"), "age_days", "days"),
    Field(N_("Typical, at most"), "typical_days", "days"),
    Field(N_("Pushes"), "pushes", "count"),
    Field(N_("Last two-way contact"), "last_contact_on", "date"),
    Field(N_("Expected close"), "expected_close_on", "date"),
    Field(N_("Why"), "why_said", "text"),
)


def piece(macro: str, text: str, /, **values: Any) -> Block:
    """One macro of one_to_one.html.j2 as a block."""
    module: Any = environment().get_template("one_to_one.html.j2").module
    return Block(str(getattr(module, macro)(**values)).strip(), text)


def short(name: object, most: int = NAME_LENGTH) -> str:
    """A name that fits into a line."""
    text = str(name)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


class OneToOne(Gap, Twins):
    """The pieces of the page for one rep. Without a rep chosen they are about everybody in the book."""

    agreed: Agreed = Agreed()

    @abstractmethod
    def measure(
        self, name: str, by: str | Sequence[str] = (), period: str | None = None, **options: Any
    ) -> Measure: ...

    @property
    @abstractmethod
    def when(self) -> str: ...

    @abstractmethod
    def _nothing_there(self) -> str: ...

    @abstractmethod
    def _pipeline_of(self, stage: str) -> str: ...

    @abstractmethod
    def _trust(self) -> str: ...

    @cached_property
    def _found(self) -> Findings:
        return coaching_findings(self.book, self.period, self.say.language)

    # --- who and what was agreed --------------------------------------------------------------

    def one_heading(self) -> Block:
        """Who, which period, as of which day, how long in the job, and how far the data can be trusted."""
        say = self.say
        person = self.book.people.iloc[0] if self.rep and len(self.book.people) else None
        facts = [say("Period: {period}", period=self.when), say("Data as of {day}", day=say.date(self.book.as_of_on))]
        if person is not None and isinstance(person["team"], str):
            facts.insert(0, say("Team {team}", team=person["team"]))
        if person is not None and is_known(person["start_on"]):
            facts.append(self._tenure(person["start_on"]))
        facts.append(self._trust())
        sound = self._is_sound()
        badge = say("data sound") if sound else say("data with gaps")
        return piece(
            "heading",
            f"[{self.who}]",
            who=self.who,
            facts=facts,
            badge=badge,
            sound=sound,
            warning=self._nothing_there(),
        )

    def _is_sound(self) -> bool:
        out, used = len(self.book.quarantine), sum(self.book.rows(t) for t in self.book.tables)
        return out <= SOUND * max(out + used, 1)

    def _tenure(self, start: pd.Timestamp) -> str:
        say, today = self.say, self.book.as_of_on
        months = (today.year - start.year) * 12 + today.month - start.month - (today.day < start.day)
        if months < 1:
            return say("in the job for {n} days", n=say.number(max((today - start).days, 0)))
        if months < 12:
            return say("in the job for {n} months", n=say.number(months))
        return say("in the job for {years} years {months} months", years=months // 12, months=months % 12)

    def last_commitment(self) -> Block:
        """What the rep and the manager promised last time, and what happened to it."""
        say, title = self.say, self.say("Last time we agreed")
        items = []
        for by, who in SIDES.items():
            promises = self.agreed.latest(by)
            for promise in promises[:1]:
                then = self._what_became(promise, 80)
                if len(promises) > 1:
                    then = say("{then}; {n} more overleaf", then=then, n=len(promises) - 1)
                items.append({"who": say(who), "what": short(promise.what, 110), "then": say("({note})", note=then)})
        lines = (
            []
            if items
            else [say("No commitment is on record yet. What is agreed today is where the next page begins.")]
        )
        told = say(joined((f"{item['who']} {item['what']} {item['then']}" for item in items), "; ")) or lines[0]
        return piece("promises", self.say("{who}: {what}", who=title, what=told), title=title, items=items, lines=lines)

    def commitments(self) -> Block:
        """Everything that was promised, the latest first, with what became of it."""
        say, caption = self.say, self.say("What was promised")
        if not self.agreed.promises:
            text = say("No commitment is on record yet. What is agreed today is where the next page begins.")
            return render("empty", caption, text)
        rows = [
            [say.date(pd.Timestamp(p.on)) if p.on else NOTHING, say(SIDES[p.by]), p.what, self._what_became(p)]
            for p in self.agreed.promises
        ]
        return text_table(say, caption, [say("On"), say("By"), say("What"), say("What became of it")], rows)

    def _what_became(self, promise: Promise, most: int = 1000) -> str:
        """The state of a promise, its measure before and since, and what was said of it."""
        say = self.say
        said = [say(STATUS.get(promise.status, promise.status))]
        if promise.due_on:
            said.append(say("due {day}", day=say.date(pd.Timestamp(promise.due_on))))
        if promise.measure:
            became = follow_up(promise, self.book).said(self.say, currency_of(self.book))
            said.append(say("{measure}: {became}", measure=self._measure_name(promise), became=became.rstrip(".。")))
        if promise.review:
            said.append(short(promise.review, most))
        return say(joined(said, "; "))

    def _measure_name(self, promise: Promise) -> str:
        """What a promise is measured by, with its stage where it is about one."""
        known = {name: metric.title for name, metric in METRICS.items()} | MEASURES
        name = self.say(known.get(promise.measure, promise.measure))
        if promise.measure not in ("stage_flow", "worse", "lowest") or not promise.stage:
            return name
        stage = self._stage(self._pipeline_of(promise.stage), promise.stage)
        return self.say(joined([name, stage], " "))

    def rep_corner(self) -> Block:
        """The rep's own: a win, what to discuss, one blocker; lines to write on where nothing was noted."""
        say = self.say
        brought = self.agreed.sessions[0] if self.agreed.sessions else None
        items = [
            {"label": say(label), "text": short(getattr(brought, name, "") or "", 80)}
            for name, label in (
                ("win", N_("A win:")),
                ("discuss", N_("I want to discuss:")),
                ("blocker", N_("What blocks me:")),
            )
        ]
        title = say("The rep's corner")
        return piece("form", f"[{title}]", title=title, items=items, half=True)

    # --- one number ---------------------------------------------------------------------------

    def one_number(self) -> Block:
        """Pace to target with its range, and the gap to it in four levers that add up to it."""
        title = self.say("Where do we stand?")
        figure, name, spread = self._pace()
        fit, missing = self._any_gap()
        if fit is None:
            return piece(
                "number",
                f"{title} {name} {figure}",
                title=title,
                figure=figure,
                name=name,
                range=spread,
                lines=[],
                caption="",
                levers=[],
                note=missing,
            )
        levers, caption, note = self._levers(fit), self._gap_caption(fit), self._levers_note(fit)
        told = self.say(joined((f"{lever['name']} {lever['amount']}" for lever in levers), "; "))
        return piece(
            "number",
            f"{title} {name} {figure}. {caption} {told}",
            title=title,
            figure=figure,
            name=name,
            range=spread,
            lines=[],
            caption=caption,
            levers=levers,
            note=note,
        )

    def _pace(self) -> tuple[str, str, str]:
        """The figure, what it is, and its range."""
        say, name = self.say, self.say("of the target to date")
        found = self.measure("quota_attainment")
        if found.table is None or found.table.empty or not is_known(found.table["pace"].iloc[0]):
            because = say("no target of won amounts is set for {period}", period=self.when)
            if found.reason is not None:
                because = say(found.reason.said)
            return NOTHING, name, say("unavailable, because {because}", because=because)
        row = found.table.iloc[0]
        share = float(row["target"] / row["to_date"])
        n = say("n = {n}", n=say.number(row["n"]))
        if not is_known(row["low"]):
            return say.percent(row["pace"]), name, n
        ends = [say.percent(row[c] * share) for c in ("low", "high")]
        return say.percent(row["pace"]), name, say("range {low}–{high}, {n}", low=ends[0], high=ends[1], n=n)

    def _any_gap(self) -> tuple[GapFit | None, str]:
        """The gap to the target; where there is none to the others, else to the period before."""
        say, untold = self.say, ""
        if self.book.deals.empty:
            return None, say("There is no deal yet, so there is no gap to explain.")
        for against in ("target", "peers", "last"):
            try:
                return self._gap_fit(against, False), ""  # type: ignore[arg-type]
            except Unavailable as reason:
                because = say(reason.said)
                untold = untold or say("The gap in its parts: unavailable, because {because}.", because=because)
        return None, untold

    def _gap_caption(self, fit: GapFit) -> str:
        say, total = self.say, fit.totals.iloc[0]
        reference: dict[Against, str] = REFERENCES
        return say(
            "Won {actual}; {reference}: {amount}. The difference, like for like:",
            actual=self._short_amount(total["actual"]),
            reference=say(reference[fit.against]),
            amount=self._short_amount(total["reference"]),
        )

    def levers(self, fit: GapFit) -> pd.DataFrame:
        """The parts of a gap in four that add up to it: lever, value, spoken (a part of it is beyond luck)."""
        rows = []
        for key, (_, parts) in LEVERS.items():
            here = fit.table[fit.table["part"].isin(parts)]
            rows.append({"lever": key, "value": float(here["value"].sum()), "spoken": bool(here["spoken"].any())})
        return pd.DataFrame(rows)

    def _levers(self, fit: GapFit) -> list[dict[str, Any]]:
        table, say = self.levers(fit), self.say
        widest = max(float(table["value"].abs().max()), 1e-9)
        shown = []
        for row in table.to_dict("records"):
            width = round(46 * abs(row["value"]) / widest, 1)
            shown.append(
                {
                    "name": say(LEVERS[str(row["lever"])][0]),
                    "amount": self._signed_amount(row["value"]),
                    "sign": "minus" if row["value"] < 0 else "plus",
                    "left": round(48 - width, 1) if row["value"] < 0 else 48,
                    "width": width,
                    "note": say("beyond luck") if row["spoken"] else "",
                }
            )
        return shown

    def _levers_note(self, fit: GapFit) -> str:
        say = self.say
        if fit.table["spoken"].any():
            return ""
        return say("No part of it is beyond luck.")

    # --- one strength, one skill --------------------------------------------------------------

    def one_strength(self) -> Block:
        """What goes better than usual beyond luck, with a deal worth repeating."""
        say, title = self.say, self.say("A strength")
        finding = self._found.strength
        deal = deal_to_replicate(self.book, self.period, finding)
        lines = [] if deal is None else [{"label": say("Worth repeating:"), "text": self._win_said(deal, finding)}]
        return self._finding(title, finding, lines)

    def _win_said(self, deal: Mapping[str, Any], finding: Mapping[str, Any] | None) -> str:
        say = self.say
        name = deal["name"] if is_known(deal.get("name")) else deal["deal_id"]
        told = {"deal": short(name), "day": say.date(deal["closed_on"])}
        text = say("{deal}, won on {day}", **told)
        if is_known(deal.get("amount")):
            text = say(
                "{deal}, {amount}, won on {day}", amount=say.money(deal["amount"], currency_of(self.book)), **told
            )
        if finding is not None and is_known(deal["stage_days"]):
            stage = self._stage(str(finding["pipeline"]), str(finding["stage"]))
            text = say("{deal}; {days} days in {stage}", deal=text, days=say.number(deal["stage_days"]), stage=stage)
        return say("{win}. What did you do there that the next deal needs?", win=text)

    def one_skill(self) -> Block:
        """The stage or habit to work on, by the best evidence, with a lost deal beside the won one most like it."""
        say, title = self.say, self.say("One skill to work on")
        finding = self._found.skill
        lines = []
        if finding is not None and (worth := money_of(self.book, finding, say)):
            lines.append({"label": say("Worth:"), "text": say("The difference {worth} in the period.", worth=worth)})
        twin = self._twin_said(finding)
        if twin:
            lines.append({"label": say("Two deals:"), "text": twin})
        return self._finding(title, finding, lines)

    def _finding(self, title: str, finding: Mapping[str, Any] | None, lines: Sequence[Mapping[str, str]]) -> Block:
        if finding is None:
            sentence, grade = self._nothing_yet(), ""
        else:
            sentence, grade = sentence_of(self.book, finding, self.say), self.say(GRADES[str(finding["grade"])])
        html = {"title": title, "grade": grade, "sentence": sentence, "lines": list(lines)}
        return piece("finding", self.say("{who}: {what}", who=title, what=sentence), **html)

    def _nothing_yet(self) -> str:
        more, untold = self._found.more, self._found.unavailable
        if self._found.table.empty and untold and len(self.book.deals):
            reason = next(iter(untold.values()))
            return self.say("Nothing can be concluded, because {because}.", because=self.say(reason.said))
        return self.say(NOTHING_YET, n=self.say.number(more)) if more else self.say(NOTHING_YET_PLAIN)

    def _twin_said(self, finding: Mapping[str, Any] | None) -> str:
        """The pair of deals that shows the finding best: parted by the same thing, or in the same stage."""
        if finding is None:
            return ""
        try:
            _, pairs, marks = self._pairs("lost")
        except Unavailable:
            return ""
        wanted = TWIN_KINDS.get(str(finding["key"]))
        fits = (marks["kind"] == wanted) if wanted else (marks["stage"] == str(finding["stage"]))
        chosen = marks[fits & (marks["kind"] != "none")]
        if chosen.empty:
            return ""
        pair, mark = pairs.loc[chosen.index[0]].to_dict(), chosen.iloc[0].to_dict()
        return self.say(
            "{lost} (lost) beside {won} (won): {said}",
            lost=short(self._name_of(pair["deal"]), 34),
            won=short(self._name_of(pair["twin"]), 34),
            said=self.said_of(pair, mark),
        )

    # --- deals, lapses, questions -------------------------------------------------------------

    @cached_property
    def _discussed(self) -> pd.DataFrame:
        return deals_to_discuss(self.book, DEALS)

    def deals_to_talk_about(self) -> Block:
        """Two or three open deals by value, risk and what can still be done."""
        say, title = self.say, self.say("Deals to talk about")
        rows = [self._deal_row(row) for row in self._discussed.to_dict("records")]
        labels = [say("Deal"), say("Age / typical"), say("Pushes"), say("Last two-way contact"), say("Next step")]
        labels.append(say("Missing"))
        note = say("Chosen by value × risk × what can still be done.") if rows else self._no_deal()
        told = say(joined((row[0] for row in rows), "; ")) or note
        return piece(
            "deals", self.say("{who}: {what}", who=title, what=told), title=title, labels=labels, rows=rows, note=note
        )

    def _no_deal(self) -> str:
        if (self.book.deals["outcome"] == "open").any() if "outcome" in self.book.deals else len(self.book.deals):
            return self.say("No open deal shows a sign of risk.")
        return self.say("No deal is open.")

    def _deal_row(self, row: Mapping[Any, Any]) -> list[str]:
        say = self.say
        stage = self._stage(str(row["pipeline"]), str(row["stage"]))
        amount = say.money(row["amount"], currency_of(self.book)) if is_known(row["amount"]) else say("no amount")
        age = say("{age} / {typical} days", age=say.number(row["age_days"]), typical=say.number(row["typical_days"]))
        step = say("not recorded")
        if is_known(row["next_step"]):
            step = say(NEXT_STEPS[str(row["next_step"])], day=say.date(row["next_due_on"]))
        if row["expected_close_on"] < self.book.as_of_on:
            step = say("{step}; close was expected {day}", step=step, day=say.date(row["expected_close_on"]))
        return [
            say("{deal}, {stage}, {amount}", deal=short(row["deal"]), stage=stage, amount=amount),
            age,
            say.number(row["pushes"]),
            say.date(row["last_contact_on"]) if is_known(row["last_contact_on"]) else say("none"),
            step,
            missing_said(row, say) or NOTHING,
        ]

    @cached_property
    def _lapses(self) -> tuple[pd.DataFrame, dict[str, Unavailable]]:
        return lapses(self.book, self.period, LAPSES)

    def left_undone(self) -> Block:
        """At most five lapses, those first that can still be made good."""
        say, title = self.say, self.say("Left undone")
        table, untold = self._lapses
        if self.book.deals.empty and table.empty:
            untold = {}  # that nothing is recorded is no defect of the data of somebody who has no deal
        rows = [
            {
                "label": say(LAPSE_WORDS[r["kind"]]),
                "text": self._undone(r),
            }
            for r in table.to_dict("records")
        ]
        notes = (
            [] if rows or len(untold) == len(LAPSE_WORDS) else [say("Nothing was left undone, as far as is recorded.")]
        )
        notes += [
            say("{what}: unavailable, because {because}.", what=say(LAPSE_WORDS[k]), because=say(r.said))
            for k, r in untold.items()
        ]
        note = say(joined(notes, " "))
        told = say(joined((row["text"] for row in rows), "; ")) or note
        return piece(
            "listed", self.say("{who}: {what}", who=title, what=told), title=title, rows=rows, note=note, half=True
        )

    def _undone(self, lapse: dict[Any, Any]) -> str:
        say, day, days = self.say, self.say.date(lapse["since_on"]), self.say.number(lapse["days"])
        text = say(SINCE[lapse["kind"]], name=short(lapse["name"], 38), day=day, days=days)
        return text if lapse["open"] else say("{text} ({note})", text=text, note=say("deal closed"))

    def questions(self, bank: str = USUAL) -> Block:
        """Four to six questions that belong to what stands on the page, in the order of a bank ("grow" or a file)."""
        title = self.say("Questions")
        topics, before = self._topics(), len(self.agreed.sessions)
        asked = choose_questions(topics, bank, self.say.language, QUESTIONS, self.rep or "", before)
        rows = [{"label": self.say("{heading}:", heading=step), "text": text} for step, text in asked]
        told = self.say(joined((text for _, text in asked), "; "))
        return piece(
            "listed", self.say("{who}: {what}", who=title, what=told), title=title, rows=rows, note="", half=True
        )

    def _topics(self) -> dict[str, dict[str, str]]:
        """What stands on the page, the most important first, with what the questions about it need to know."""
        topics: dict[str, dict[str, str]] = {}
        skill, strength = self._found.skill, self._found.strength
        if skill is not None:
            known = is_known(skill["stage"])
            topics[str(skill["key"])] = (
                {"stage": self._stage(str(skill["pipeline"]), str(skill["stage"]))} if known else {}
            )
        if len(self._discussed):
            topics["deal"] = {"deal": short(self._discussed["deal"].iloc[0], 34)}
        deal = deal_to_replicate(self.book, self.period, strength)
        if strength is not None and deal is not None:
            topics["strength"] = {"win": short(deal["name"] if is_known(deal.get("name")) else deal["deal_id"], 34)}
        if self.agreed.promises:
            topics["promise"] = {}
        topics |= {str(kind): {} for kind in self._lapses[0]["kind"]}
        if self.book.deals.empty:
            topics["no_deals"] = {}
        return topics

    # --- what is agreed today -----------------------------------------------------------------

    def new_commitment(self) -> Block:
        """Lines for what is agreed today, with what the manager will provide."""
        say = self.say
        finding = self._found.skill
        measure = ""
        if finding is not None:
            today = say.percent(finding["value"]) if finding["key"] != "volume" else say.number(finding["value"])
            measure = say("{measure}, today {value}", measure=self._skill_name(finding), value=today)
        items = [
            {"label": say("I will (rep):"), "text": ""},
            {"label": say("Seen by:"), "text": measure},
            {"label": say("With these deals:"), "text": ""},
            {"label": say("My manager provides:"), "text": ""},
            {"label": say("We look at it on:"), "text": ""},
        ]
        title = say("What we agree today")
        return piece("form", f"[{title}]", title=title, items=items, half=False)

    def _skill_name(self, finding: Mapping[Any, Any]) -> str:
        name = self.say(MEASURES[str(finding["key"])])
        if not is_known(finding["stage"]) or finding["key"] in HABITS:
            return name
        stage = self._stage(str(finding["pipeline"]), str(finding["stage"]))
        return self.say(joined([name, stage], " "))

    # --- overleaf -----------------------------------------------------------------------------

    def overleaf(self) -> Block:
        """Where the front page ends."""
        text = self.say("Overleaf: everything that stands behind the front page. Nothing here has to be read together.")
        return piece("overleaf", f"[{text}]", text=text)

    def all_findings(self) -> Block:
        """Every finding, with its evidence, in the order of the page."""
        say, caption = self.say, self.say("What was looked at")
        table = self._found.table
        if table.empty:
            return render("empty", self._nothing_yet(), self._nothing_yet())
        table = table.assign(
            part=[self._skill_name(row) for row in table.to_dict("records")],
            grade_said=[say(GRADES[g]) for g in table["grade"]],
            money=table["money"].where(table["money"] > 0),
        )
        notes = [
            say(
                "In the order of evidence × money × how much of it can be changed. Some evidence: the sign is right "
                "with a probability over 90 % and at least 10 records; strong: from 97.5 % and 30 records on. A stage "
                "against its own past needs 97.5 and 99.5 %."
            ),
            say(
                "What a habit goes with is a tenth of the amounts behind it: what a habit is worth is not measured. "
                "“Goes with” is not “is caused by”."
            ),
        ]
        return table_block(say, self.book, caption, table, ["part"], _FINDINGS, notes)

    def all_discussed(self, most: int = 20) -> Block:
        """The open deals in the order in which the front page chose, with the reasons."""
        say, caption = self.say, self.say("Open deals by value × risk × what can still be done")
        table = deals_to_discuss(self.book, None)
        if table.empty:
            return render("empty", caption, say("No deal is open."))
        shown = table.head(most).copy()
        shown["why_said"] = [say(joined(why_said(self.book, row, say), "; ")) for row in shown.to_dict("records")]
        shown["stage"] = [self._stage(p, s) for p, s in zip(shown["pipeline"], shown["stage"], strict=True)]
        fields = [f for f in _DISCUSSED if f.kind == "text" or shown[f.column].notna().any()]
        notes = [say("{n} of {all} open deals.", n=say.number(len(shown)), all=say.number(len(table)))]
        return table_block(say, self.book, caption, shown, ["deal", "stage"], fields, notes)

    def since_last_time(self) -> Block:
        """What is new since the last conversation, what of the past reads otherwise now, and changed definitions."""
        say = self.say
        since = self.agreed.last_on
        on_record = since is not None
        if since is None or since > self.book.as_of_on:
            since = self.book.as_of_on - pd.Timedelta(days=LAST_REVIEW_DAYS)
        caption = say("What changed since {day}", day=say.date(since))
        rows = [*self._new_facts(since), *self._restated(since), [say("Changed definitions"), self._definitions()]]
        notes = (
            [] if on_record else [say("No conversation is on record: the last {n} days are shown.", n=LAST_REVIEW_DAYS)]
        )
        return text_table(say, caption, [say("What"), say("Since then")], rows, (), notes)

    def _new_facts(self, since: pd.Timestamp) -> list[list[str]]:
        say = self.say
        counts = change_counts(self.book, str(since.date()), by="")
        sums = counts.groupby("change")["n"].sum()
        told = [say("{change}: {n}", change=say(CHANGES[c]), n=say.number(sums[c])) for c in CHANGES if sums.get(c, 0)]
        return [[say("New facts"), say(joined(told, "; ")) or say("none")]]

    def _restated(self, since: pd.Timestamp) -> list[list[str]]:
        """Figures of the time before that read otherwise in today's log."""
        say, told, then = self.say, [], self.book.at(str(since.date()))
        for name in RESTATED:
            try:
                table = restated(self.book, name, self.period, then)
            except (Unavailable, ValueError):
                continue
            unit = METRICS[name].unit
            told += [
                say(
                    "{metric}: {then} then, {now} now",
                    metric=say(METRICS[name].title),
                    then=self._as_unit(row["value_then"], unit),
                    now=self._as_unit(row["value_now"], unit),
                )
                for row in table.to_dict("records")
            ]
        return [[say("Restated history"), say(joined(told, "; ")) or say("none of the figures up to then has changed")]]

    def _as_unit(self, value: float, unit: str) -> str:
        return self._short_amount(value) if unit == "money" and is_known(value) else self.say.percent(value)

    def _definitions(self) -> str:
        say, version = self.say, salescoach.__version__
        then = self.agreed.sessions[0].definitions if self.agreed.sessions else ""
        if not then:
            return say("not on record for the last conversation; now salescoach {version}", version=version)
        return say("none") if then == version else say("salescoach {then} then, {now} now", then=then, now=version)

    # --- for the manager alone ----------------------------------------------------------------

    def manager_only(self) -> Block:
        """Says on top of the sheet whom it is for."""
        text = self.say("for the manager only")
        return piece("manager_only", f"[{self.who}: {text}]", who=self.who, text=text)

    def what_it_calls_for(self, most: int = 5) -> Block:
        """What may be worked on, the first on top, with the help each calls for."""
        say, caption = self.say, self.say("What it calls for from you")
        table = self._found.spoken
        table = table[~table["good"]].head(most)
        if table.empty:
            return piece("said", caption, title=caption, lines=[self._nothing_yet()], half=False, note="")
        rows = [[r["sentence"], say(GRADES[r["grade"]]), r["help"]] for r in table.to_dict("records")]
        return text_table(say, caption, [say("What"), say("Evidence"), say("What helps")], rows)

    def what_to_praise(self, most: int = 3) -> Block:
        """What goes better than usual, by the same evidence."""
        say, caption = self.say, self.say("What to praise")
        table = self._found.spoken
        table = table[table["good"]].head(most)
        if table.empty:
            return piece("said", caption, title=caption, lines=[self._nothing_yet()], half=False, note="")
        rows = [[r["sentence"], say(GRADES[r["grade"]])] for r in table.to_dict("records")]
        return text_table(say, caption, [say("What"), say("Evidence")], rows)

    def not_to_conclude(self) -> Block:
        """What looks like something and is not: kept from being said by mistake."""
        say, caption = self.say, self.say("Do not conclude from")
        table = self._found.table
        table = table[(table["grade"] == "thin") & ~table["good"] & (table["p"] > 0.6)].head(5)
        lines = [r["sentence"] for r in table.to_dict("records")] or [say("Nothing of that kind.")]
        note = say("These differ from what is usual by no more than luck may make them.")
        return piece("said", caption, title=caption, lines=lines, half=False, note=note)

    def own_notes(self) -> Block:
        """Lines for what is for the manager alone."""
        say = self.say
        labels = (
            N_("What I want to hear first:"),
            N_("What I will not bring up today:"),
            N_("What I owe:"),
            N_("Afterwards:"),
        )
        title = say("My own notes")
        return piece(
            "form", f"[{title}]", title=title, items=[{"label": say(t), "text": ""} for t in labels], half=False
        )


MEASURES = {
    "stage_flow": N_("Deals going on from"),
    "worse": N_("Deals going on from"),
    "lowest": N_("Deals going on from"),
    "win_rate": N_("Win rate"),
    "volume": N_("Deals begun"),
    "size": N_("Deal size"),
    "products": N_("Products (list price)"),
    "price": N_("Price against list"),
    "response_time": N_("Leads answered in time"),
    "missed_quotes": N_("Missed quotes"),
    "forgotten_followups": N_("Forgotten follow-ups"),
    "overdue_next_steps": N_("Next steps overdue"),
    "silences": N_("Silences over the limit"),
    "time_in_stage": N_("Stays over the expected days"),
    "missing_evidence": N_("Moved on without evidence"),
    "pushes": N_("Deals put off"),
}
