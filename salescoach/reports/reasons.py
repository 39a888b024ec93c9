"""Why we win and lose: the pieces of a report about reasons, what they cost and how far to believe them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, commas, joined
from salescoach.metrics.credibility import CHECKS, checked_deals, default_choices, doubted_deals, reason_checks
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import name_reps, parse_by
from salescoach.metrics.losses import NOT_RECORDED, Of, reasoned_deals
from salescoach.models.fit import Advice
from salescoach.models.free_text import REST, fit_free_text
from salescoach.models.reasons import ACROSS, By, Pareto, fit_pareto, fit_reason_differences
from salescoach.process import Period
from salescoach.reports.blocks import (
    Block,
    in_pairs,
    render,
    row_currencies,
    table_block,
    text_table,
    unavailable,
    written,
)
from salescoach.reports.fields import GROUP_LABELS, Field, interval
from salescoach.wording import N_, Words

LISTED = 10
LONGEST_TEXT = 160
COSTLY = {"lost": N_("Which reasons cost us most?"), "won": N_("Which reasons bring us most?")}
OF_AMOUNT = {
    "lost": N_("share of the lost amount · line: together with those above"),
    "won": N_("share of the won amount · line: together with those above"),
}
OF_DEALS = {
    "lost": N_("share of the lost deals · line: together with those above"),
    "won": N_("share of the won deals · line: together with those above"),
}
BELIEVED = {
    "lost": N_(
        "A reason is recorded for {recorded} of {n} lost deals ({share}; {low}–{high}), and {doubted} of these are in "
        "doubt: between {least} and {most} of the losses have a reason that one may believe."
    ),
    "won": N_(
        "A reason is recorded for {recorded} of {n} won deals ({share}; {low}–{high}), and {doubted} of these are in "
        "doubt: between {least} and {most} of the wins have a reason that one may believe."
    ),
}
MORE = {
    "lost": N_(
        "{across} {group}: of {of} lost deals with a reason {value} name “{reason}” ({low}–{high}), more than the "
        "usual {usual}."
    ),
    "won": N_(
        "{across} {group}: of {of} won deals with a reason {value} name “{reason}” ({low}–{high}), more than the "
        "usual {usual}."
    ),
}
LESS = {
    "lost": N_(
        "{across} {group}: of {of} lost deals with a reason {value} name “{reason}” ({low}–{high}), fewer than the "
        "usual {usual}."
    ),
    "won": N_(
        "{across} {group}: of {of} won deals with a reason {value} name “{reason}” ({low}–{high}), fewer than the "
        "usual {usual}."
    ),
}
_PARETO = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Of the amount"), "amount_share", "share"),
    Field(N_("Deals (n)"), "n"),
    interval(N_("Of the deals"), "share"),
    Field(N_("Without amount"), "without_amount"),
    Field(N_("Contributing"), "contributing"),
    Field(N_("In doubt (n)"), "doubted"),
    Field(N_("Amount not in doubt"), "sure_amount", "money"),
)
_BEHIND = (
    Field(N_("Reason"), "reason", "text"),
    Field(N_("Closed on"), "closed_on", "date"),
    Field(N_("Amount"), "amount", "money"),
)
_DOUBTED = (_BEHIND[0], Field(N_("What speaks against it"), "because", "text"), *_BEHIND[1:])
_TEXTS = (
    Field(N_("Deals (n)"), "n"),
    interval(N_("Share"), "share"),
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Without amount"), "without_amount"),
    Field(N_("In their own words"), "sentences", "text"),
)


class Reasons(ABC):
    """The pieces of a report that are about the reasons of lost and won deals."""

    book: Book
    say: Words
    period: Period
    rep: str | None

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    # --- what costs most --------------------------------------------------------------------------

    def reasons_chart(self, of: Of = "lost", by: By = "amount") -> Drawing | Block:
        """The reasons by the money, or the deals, behind them, with what the first ones make up together."""
        say, question = self.say, self.say(COSTLY[of])
        try:
            found = fit_pareto(self.book, self.period, of, by)
        except Unavailable as why:
            return unavailable(say, question, why)
        if found.by == "amount" and found.currencies:
            text = say("Amounts in several currencies do not share one axis; the table has them apart.")
            return render("empty", text, text)
        if found.currencies:
            found = fit_pareto(self._one_currency(), self.period, of, by)
        table = found.table.assign(name=self._reasons(found.table), recorded=found.table["reason"] != NOT_RECORDED)
        table["doubted"] = self._doubted_share(found)
        table["text"] = self._weights(table)
        labels = (OF_AMOUNT if found.by == "amount" else OF_DEALS)[of]
        words = (say("recorded"), say("in doubt"), say("(not recorded)"))
        with charts.style():
            axes = charts.plot_pareto(table, "name", question, say(labels), words)
            shares = (
                say("{text} ({note})", text=say.percent(s), note=t) for s, t in table[["share", "text"]].to_numpy()
            )
            return charts.to_drawing(axes, f"{question} {in_pairs(say, zip(table['name'], shares, strict=True))}")

    def _one_currency(self) -> Book:
        """The book with its currencies forgotten, for counts of deals."""
        plain = self.book.tables["deals"].drop(columns="currency")
        return replace(self.book, tables={**self.book.tables, "deals": plain})

    def _doubted_share(self, found: Pareto) -> pd.Series:
        table = found.table
        if found.by == "count":
            part = table["doubted"].astype("Float64") / table["deals"]
        else:
            known = table["amount"].fillna(0)
            part = (known - table["sure_amount"].fillna(0)).mask(table["sure_n"].isna()) / known.sum()
        return part.astype("float64").fillna(0.0)

    def _weights(self, table: pd.DataFrame) -> list[str]:
        say, money = self.say, row_currencies(self.book, table)
        amounts = [written(say, a, "money", c) for a, c in zip(table["amount"], money, strict=True)]
        return [f"n={say.number(n)} · {a}" for n, a in zip(table["n"], amounts, strict=True)]

    def _reasons(self, table: pd.DataFrame) -> list[str]:
        return [written(self.say, r, "text", "") for r in table["reason"]]

    def reasons_table(self, of: Of = "lost") -> Block:
        """The reasons with money and number of deals side by side, the ones not recorded at the end."""
        say, question = self.say, self.say(COSTLY[of])
        try:
            found = fit_pareto(self.book, self.period, of)
        except Unavailable as why:
            return unavailable(say, question, why)
        table = found.table.copy()
        whole = table.groupby(table["currency"] if found.currencies else lambda _: 0)["amount"].transform("sum")
        table["amount_share"] = table["amount"] / whole.where(whole > 0)
        seldom = {
            "contributing": bool((table["contributing"] > 0).any()),
            "doubted": found.untold is None,
            "sure_amount": found.untold is None and bool((table["doubted"] > 0).any()),
        }
        fields = [f for f in _PARETO if seldom.get(f.column, True)]
        notes = [
            say(
                "Shares of amounts are of the amounts that are known. In brackets: 95 % ranges that hold for all "
                "reasons together."
            )
        ]
        if seldom["contributing"]:
            notes.append(say("Contributing: deals that name the reason beside another one, which comes first."))
        notes += self._advice(found.warnings)
        groups = [*(["currency"] if found.currencies else []), "reason"]
        return table_block(say, self.book, question, table, groups, fields, notes)

    def _advice(self, warnings: Sequence[Advice]) -> list[str]:
        say = self.say
        return [
            say(w.text, **{k: say.number(v) if isinstance(v, int) else v for k, v in w.values.items()})
            for w in warnings
        ]

    # --- how far to believe them ------------------------------------------------------------------

    def reasons_believed(self, of: Of = "lost") -> Block:
        """How much of the reasons is recorded and not in doubt, and whether the first one stays first without doubt."""
        say, title = self.say, self.say("How far are the reasons to be believed?")
        try:
            found = fit_pareto(self._one_currency() if self._several() else self.book, self.period, of, "count")
        except Unavailable as why:
            return unavailable(say, title, why)
        table = found.table[found.table["reason"] != NOT_RECORDED]
        n, recorded = found.n, int(table["n"].sum())
        share, low, high = (say.percent(v) for v in wilson(recorded, n))
        if found.untold is not None:
            return unavailable(say, title, found.untold)
        doubted = int(table["doubted"].sum())
        text = say(
            BELIEVED[of],
            recorded=say.number(recorded),
            n=say.number(n),
            share=share,
            low=low,
            high=high,
            doubted=say.number(doubted),
            least=say.percent((recorded - doubted) / n),
            most=share,
        )
        return render("empty", text, say(joined([text, *self._first(table)], " ")))

    def _several(self) -> bool:
        deals = self.book.tables["deals"]
        return "currency" in deals and deals["currency"].nunique() > 1

    def _first(self, table: pd.DataFrame) -> list[str]:
        """Whether the most frequent reason stays that without the deals in doubt."""
        say = self.say
        named = table.assign(name=self._reasons(table), kept=table["sure_n"].astype("int64"))
        if not len(named) or not (named["kept"] > 0).any():
            return []
        first = named.sort_values(["n", "name"], ascending=[False, True]).iloc[0]["name"]
        then = named.sort_values(["kept", "name"], ascending=[False, True]).iloc[0]["name"]
        if first == then:
            return [say("Also without the deals in doubt “{reason}” is the most frequent one.", reason=first)]
        return [
            say(
                "Without the deals in doubt “{then}” would be the most frequent one in place of “{first}”.",
                then=then,
                first=first,
            )
        ]

    def reason_checks(self, of: Of = "lost") -> Block:
        """What in the deals' own data speaks against their reasons: one sentence per check, with its range."""
        say, caption = self.say, self.say("What speaks against the recorded reasons?")
        try:
            table = reason_checks(self.book, self.period, of)
            _, untold = checked_deals(self.book, self.period, of)
        except Unavailable as why:
            return unavailable(say, caption, why)
        rows = [
            [say(CHECKS[r["check"]].said, doubted=say.number(r["doubted"]), n=say.number(r["n"])), *self._ranged(r)]
            for r in table.to_dict("records")
            if r["n"]
        ]
        notes = [
            say(
                "In doubt is not wrong: a quote, a meeting or an answer that nobody recorded speaks against a reason "
                "as well. In brackets: 95 % intervals."
            )
        ]
        unasked = [say(CHECKS[r["check"]].title) for r in table.to_dict("records") if not r["n"]]
        if unasked:
            notes.append(say("No deal has such a reason: {checks}.", checks=joined(unasked, "; ")))
        notes += [unavailable(say, say(CHECKS[name].title), why).text for name, why in untold.items()]
        if not rows:
            return render("empty", caption, say(joined(notes[1:], " ")) or say("No reason is recorded."))
        return text_table(say, caption, [say("Finding"), say("Share")], rows, [], notes)

    def _ranged(self, row: Mapping[Any, Any]) -> list[str]:
        say = self.say
        return [f"{say.percent(row['value'])} ({say.percent(row['low'])}–{say.percent(row['high'])})"]

    def default_choices(self, of: Of = "lost") -> Block:
        """Reps who give one reason for most of their deals where the others rarely do; for the manager only."""
        say, caption = self.say, self.say("Who always gives the same reason?")
        try:
            table = default_choices(self.book, self.period, of)
        except Unavailable as why:
            return unavailable(say, caption, why)
        if table.empty:
            text = say("Nobody gives one reason for most deals where the others rarely do.")
            return render("empty", caption, text)
        rows = []
        for r in table.to_dict("records"):
            text = say(
                "{rep} gives “{reason}” for {n} of {recorded} deals ({low}–{high}), the others for {others}.",
                rep=r["rep"],
                reason=r["reason"],
                n=say.number(r["n"]),
                recorded=say.number(r["recorded"]),
                low=say.percent(r["low"]),
                high=say.percent(r["high"]),
                others=say.percent(r["others"]),
            )
            first = say("It is the first of all reasons in the alphabet: perhaps just the top of the list.")
            rows.append([say(joined([text, first], " ")) if r["first"] else text])
        note = say(
            "Named only where chance is unlikely to make it (Fisher's exact test, false-discovery rate 10 %). It may "
            "also be true: ask about two or three of the deals."
        )
        return text_table(say, caption, [say("Finding")], rows, [], [note])

    def doubted_deals(self, of: Of = "lost", most: int = LISTED) -> Block:
        """The largest deals whose reason is in doubt, each with what speaks against it; not for pages upstairs."""
        say, caption = self.say, self.say("Deals whose reason is in doubt")
        try:
            deals = doubted_deals(self.book, self.period, of)
        except Unavailable as why:
            return unavailable(say, caption, why)
        if deals.empty:
            return render("empty", caption, say("No recorded reason is in doubt."))
        deals["because"] = [say(CHECKS[c].title) for c in deals["check"]]
        because = deals.groupby("deal_id")["because"].agg(lambda texts: say(joined(texts, "; ")))
        deals = deals.drop_duplicates("deal_id").drop(columns="because")
        deals["because"] = deals["deal_id"].map(because)
        return self._behind(caption, deals, _DOUBTED, most)

    def reason_deals(
        self,
        reason: str,
        across: str | None = None,
        group: str | None = None,
        of: Of = "lost",
        most: int = LISTED,
    ) -> Block:
        """The deals behind a reason, all or those of one group (`across="segment", group="SMB"`), the largest first."""
        say = self.say
        caption = say("Deals with the reason “{reason}”", reason=reason)
        try:
            deals = reasoned_deals(self.book, self.period, of, stages=across == "stage")
        except Unavailable as why:
            return unavailable(say, caption, why)
        deals = deals[deals["reason"] == reason]
        if across is not None and group is not None:
            key = "rep_id" if across == "rep" else across
            deals = deals[deals[key] == group]
        if deals.empty:
            return render("empty", caption, say("There is no such deal."))
        return self._behind(caption, deals, _BEHIND, most)

    def _behind(self, caption: str, deals: pd.DataFrame, fields: Sequence[Field], most: int) -> Block:
        say = self.say
        largest = deals.assign(known=deals["amount_minor"].fillna(-1).astype("int64"))
        shown = largest.sort_values(["known", "deal_id"], ascending=[False, True]).head(most)
        shown["deal"] = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        groups = ["deal"]
        if self.rep is None:
            shown = name_reps(self.book, shown.drop(columns="rep", errors="ignore"))
            groups = ["deal", "rep"]
        note = say("{n} of {all} deals, the largest first.", n=say.number(len(shown)), all=say.number(len(deals)))
        if "amount" not in shown:
            fields = [f for f in fields if f.column != "amount"]
        return table_block(say, self.book, caption, shown, groups, fields, [note])

    # --- with what they go ------------------------------------------------------------------------

    def reason_deviations(self, *across: str, of: Of = "lost", most: int = LISTED) -> Block:
        """Reasons that are given more or less often in one stage, segment, … than usual; only what chance is unlikely
        to make. Default: stage, competitor and segment; "rep" only on pages that may name people."""
        say, caption = self.say, self.say("With what do the reasons go?")
        asked = across or ACROSS
        try:
            found = fit_reason_differences(self.book, asked, self.period, of)
        except Unavailable as why:
            return unavailable(say, caption, why)
        compared = say(commas(say(GROUP_LABELS.get(a, a)) for a in found.tests["across"]))
        notes = [unavailable(say, say(GROUP_LABELS.get(a, a)), why).text for a, why in found.untold.items()]
        notes += self._advice(found.warnings)
        if found.missing:
            text = say(
                "Nothing to conclude yet: about {n} more closed deals with a reason are needed.",
                n=say.number(found.missing),
            )
            return render("empty", caption, say(joined([text, *notes], " ")))
        if found.named.empty:
            text = say(
                "No difference found: in {n} deals with a reason nothing goes with the {groups} beyond chance.",
                n=say.number(found.n),
                groups=compared,
            )
            return render("empty", caption, say(joined([text, *notes], " ")))
        rows = [[self._deviation(r, of), r["n"]] for r in found.named.head(most).to_dict("records")]
        notes = [
            say(
                "{n} of {all} differences, the surest first in turn; compared: {groups}. Named only where chance is "
                "unlikely to make them (false-discovery rate 10 %). They go with each other; that one causes the "
                "other is not said.",
                n=say.number(len(rows)),
                all=say.number(len(found.named)),
                groups=compared,
            ),
            *notes,
        ]
        return text_table(say, caption, [say("Finding"), say("Deals")], rows, [1], notes)

    def _deviation(self, row: Mapping[Any, Any], of: Of) -> str:
        say = self.say
        return say(
            (MORE if row["signal"] == "above" else LESS)[of],
            across=say(GROUP_LABELS.get(str(row["across"]), str(row["across"]))),
            group=self._group(str(row["across"]), str(row["group"])),
            reason=written(say, row["reason"], "text", ""),
            of=say.number(row["of"]),
            **{c: say.percent(row[c]) for c in ("value", "low", "high", "usual")},
        )

    def _group(self, across: str, group: str) -> str:
        if parse_by(across) != ("stage",):
            return written(self.say, group, "text", "")
        lines = self.book.process.pipelines
        return self._stage(next((p for p, line in lines.items() if group in line.keys), next(iter(lines))), group)

    # --- in their own words -----------------------------------------------------------------------

    def reason_texts(self, column: str | None = None, of: Of = "lost") -> Block:
        """Reasons that were written in free words, in groups: their typical words, how many, and three sentences."""
        say, caption = self.say, self.say("What do people write about the reason?")
        try:
            found = fit_free_text(self.book, column, self.period, of)
        except Unavailable as why:
            return unavailable(say, caption, why)
        assert found.sentences is not None
        quoted = {
            group: " ".join(f"“{_short(text)}”" for text in part["text"])
            for group, part in found.sentences.groupby("group")
        }
        table = found.table.assign(sentences=found.table["group"].map(quoted).astype("str").fillna(""))
        rest = say("(in no group)")
        table["texts"] = [rest if g == REST else w for g, w in zip(table["group"], table["words"], strict=True)]
        notes = [
            say(
                "Words and sentences are the most typical ones of each group. Grouping parts of the {n} texts anew "
                "gives the same groups to {agreement} (100 %: always).",
                n=say.number(found.n),
                agreement=say.percent(found.stability),
            ),
            *self._advice(found.warnings),
        ]
        groups = [*(["currency"] if "currency" in table else []), "texts"]
        return table_block(say, self.book, caption, table, groups, _TEXTS, notes)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST_TEXT else flat[: LONGEST_TEXT - 1].rstrip() + "…"
