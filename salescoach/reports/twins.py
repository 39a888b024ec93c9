"""Lost deals beside the won deals most like them: the pieces of a page about where the two parted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.book.texts import places_in
from salescoach.charts import Drawing
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.peers import OTHERS
from salescoach.metrics.timeline import stays_of, timelines
from salescoach.metrics.twins import KINDS, TOLERANCE_DAYS, Of, first_differences, twins, worth_a_look
from salescoach.metrics.typical_path import OF_THE_OTHERS, typical_path
from salescoach.metrics.typical_path import Of as PathOf
from salescoach.metrics.visits import deals_of
from salescoach.process import Period
from salescoach.reports.blocks import Block, render, row_currencies, table_block, text_table, unavailable
from salescoach.reports.fields import Field, interval
from salescoach.wording import N_, NOTHING, Words, is_known

PAIRS = 5
MARK_WORDS = {
    "contact": N_("contact"),
    "quote": N_("quote sent"),
    "push": N_("expected close put off"),
    "amount": N_("amount changed"),
    "won": N_("deal won"),
    "lost": N_("deal lost"),
    "open": N_("deal open"),
}
_FIRST = {
    "stage": N_("took much longer to get beyond {stage}"),
    "skipped": N_("passed over {stage}"),
    "quote": N_("no quote, or a late one, in {stage}"),
    "silence": N_("a much longer silence"),
    "push": N_("expected close put off more often"),
    "none": N_("no difference beyond the tolerance before the end"),
}
_SPLITS = {
    "stage": N_("day {day}: too long in {stage}"),
    "skipped": N_("day {day}: {stage} passed over"),
    "quote": N_("day {day}: still no quote"),
    "silence": N_("day {day}: nobody spoke to the customer"),
    "push": N_("day {day}: put off"),
    "none": N_("day {day}: no difference up to here"),
}
_ONLY_OPEN = N_("No open deal of {who} has a comparable win: nothing won is near enough.")
_ONLY_LOST = N_("No deal lost in the period has a comparable win: nothing won is near enough.")
_PARTED = (
    Field(N_("Pairs (n)"), "n"),
    Field(N_("Share of all pairs"), "value", "share", "low", "high"),
    Field(N_("Median day"), "day", "number"),
)
_OWN: dict[PathOf, str] = {"won": N_("won"), "lost": N_("lost")}
_PATH = (
    Field(N_("Deals (n)"), "n"),
    interval(N_("Median days"), "days"),
    Field(N_("Contacts per deal"), "contacts", "decimal"),
    Field(N_("Two contacts or more"), "several", "share", "several_low", "several_high"),
    Field(N_("Quote sent here"), "quoted", "share", "quoted_low", "quoted_high"),
)


class Twins(ABC):
    """The pieces of a report that set deals beside the won deals most like them.

    On a rep's page both deals of a pair are the rep's own: the book is the rep's slice.
    """

    book: Book
    say: Words
    period: Period
    rep: str | None

    @property
    @abstractmethod
    def who(self) -> str: ...

    @abstractmethod
    def _stage(self, pipeline: str, stage: str) -> str: ...

    # --- pairs --------------------------------------------------------------------------------

    def twin_deals(self, most: int = PAIRS, of: Of = "lost") -> Block:
        """Deals lost in the period (or open ones) beside the won deal most like each, and where the two first part."""
        say = self.say
        caption = say("Lost deals and the won deals most like them")
        if of == "open":
            caption = say("Open deals and the won deals most like them")
        try:
            found, pairs, marks = self._pairs(of)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        if pairs.empty:
            return render("empty", caption, self._no_pair(found, of))
        parted = int((marks["kind"] != "none").sum())
        pairs, marks = pairs.head(most), marks.head(most)
        money = row_currencies(self.book, pairs)
        rows = [
            [
                self._deal_said(pair["deal"]),
                say.money(self._amount_of(pair["deal"]), currency),
                self._deal_said(pair["twin"]),
                say.money(self._amount_of(pair["twin"]), currency),
                self._otherwise(pair),
                self.said_of(pair, mark, of),
            ]
            for pair, mark, currency in zip(pairs.to_dict("records"), marks.to_dict("records"), money, strict=True)
        ]
        labels = [say("Deal"), say("Amount"), say("Won deal most like it"), say("Amount"), say("Otherwise different")]
        labels.append(say("Where they first part"))
        return text_table(say, caption, labels, rows, [1, 3], self._pair_notes(found, parted, len(pairs)))

    def _pairs(self, of: Of) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """All deals asked about; those with a twin, and where each pair parts: pairs that part before the end first."""
        kept: dict[Of, tuple[pd.DataFrame, ...]] = self.__dict__.setdefault("_pairs_of", {})
        if of not in kept:
            found = twins(self.book, self.period, of)
            pairs = worth_a_look(found, len(found))
            marks = first_differences(self.book, pairs)
            order = (marks["kind"] == "none").sort_values(kind="stable").index
            kept[of] = found, pairs.loc[order], marks.loc[order]
        found, pairs, marks = kept[of]
        return found, pairs, marks

    def _no_pair(self, found: pd.DataFrame, of: Of) -> str:
        say = self.say
        if found.empty:
            return say("No deal was lost in the period.") if of == "lost" else say("No deal is open.")
        return say(_ONLY_LOST) if of == "lost" else say(_ONLY_OPEN, who=self.who)

    def _pair_notes(self, found: pd.DataFrame, parted: int, shown: int) -> list[str]:
        say, with_twin = self.say, int((found["twin"] >= 0).sum())
        own = [say("Both deals of a pair are the rep's own.")] if self.rep else []
        return [
            say(
                "{n} of {all} deals have a comparable win; {parted} of these pairs part before the end. Shown are "
                "{shown}, those that part first, large amounts with a close twin on top.",
                n=say.number(with_twin),
                all=say.number(len(found)),
                parted=say.number(parted),
                shown=shown,
            ),
            *own,
            say(
                "Most like it: same sales pipeline, segment and deal type; then as near as possible in amount, stages "
                "gone through, product and lead source. They part where a stay or a silence is longer than twice the "
                "other's and by {days} days, a quote is {days} days later, a stage is passed over, or the expected "
                "close is put off once more.",
                days=say.number(TOLERANCE_DAYS),
            ),
            say("A pair is a story to talk about, no proof: what goes with losing in many deals stands elsewhere."),
        ]

    def _deal_said(self, row: int) -> str:
        """What a deal is called, with its owner where the page is about more than one person."""
        if self.rep:
            return self._name_of(row)
        people = self.book.people.set_index("rep_id")["rep"]
        owner = people.get(deals_of(self.book)["rep_id"].iloc[row], self.say(UNASSIGNED))
        return self.say("{deal} ({rep})", deal=self._name_of(row), rep=owner)

    def _name_of(self, row: int) -> str:
        deal = deals_of(self.book).iloc[row]
        return str(deal["name"] if is_known(deal.get("name")) else deal["deal_id"])

    def _amount_of(self, row: int) -> Any:
        deals = deals_of(self.book)
        return deals["amount"].iloc[row] if "amount" in deals else None

    def _otherwise(self, pair: dict[Any, Any]) -> str:
        """In what the two were unlike from the beginning."""
        say, said = self.say, []
        if pair["product_differs"] is True:
            said.append(say("product"))
        if pair["lead_source_differs"] is True:
            said.append(say("lead source"))
        if pair["path_apart"]:
            said.append(say("stages gone through"))
        return say(commas(said)) or NOTHING

    # --- sentences ----------------------------------------------------------------------------

    def said_of(self, pair: dict[Any, Any], mark: dict[Any, Any], of: Of = "lost") -> str:
        """The first difference of a pair in one sentence."""
        shared = self._shared_way(pair, mark)
        difference = self._difference_said(pair, mark, of)
        return self.say("{shared}; {difference}.", shared=shared, difference=difference)

    def _shared_way(self, pair: dict[Any, Any], mark: dict[Any, Any]) -> str:
        say = self.say
        if not is_known(mark["shared_stage"]):
            return say("They share no stage")
        stage = self._stage(pair["pipeline"], mark["shared_stage"])
        own, twin = mark["shared_own"], mark["shared_twin"]
        if own == twin == 0:
            return say("Both began in {stage}", stage=stage)
        if own == twin:
            return say("Both entered {stage} after {own} days", stage=stage, own=say.number(own))
        return say(
            "Both entered {stage}, this deal after {own} days, the won one after {twin}",
            stage=stage,
            own=say.number(own),
            twin=say.number(twin),
        )

    def _difference_said(self, pair: dict[Any, Any], mark: dict[Any, Any], of: Of) -> str:
        say = self.say
        stage = self._stage(pair["pipeline"], mark["stage"]) if is_known(mark["stage"]) else ""
        told = {"stage": stage, "day": say.number(mark["day"])}
        told |= {"own": say.number(mark["own"]), "twin": say.number(mark["twins"])}
        if mark["kind"] == "stage":
            return say("this deal did not get beyond {stage} for {own} days, the won one took {twin}", **told)
        if mark["kind"] == "skipped":
            return say("this deal passed over {stage}, in which the won one spent {twin} days", **told)
        if mark["kind"] == "quote" and not is_known(mark["own"]):
            return say("the won deal had its quote on day {twin}, this one never", **told)
        if mark["kind"] == "quote":
            return say("the won deal had its quote on day {twin}, this one only on day {own}", **told)
        if mark["kind"] == "silence":
            return say(
                "for {own} days nobody contacted this customer, in the won deal never longer than {twin}", **told
            )
        if mark["kind"] == "push" and mark["twins"] == 0:
            return say("on day {day} the expected close of this deal was put off, that of the won one never", **told)
        if mark["kind"] == "push":
            return say(
                "on day {day} the expected close of this deal was put off once more than that of the won one ever was "
                "({own} times against {twin})",
                **told,
            )
        if of == "open":
            return say("so far, on day {day}, nothing sets them apart", **told)
        return say("nothing sets them apart until this deal was lost on day {day}", **told)

    # --- pictures -----------------------------------------------------------------------------

    def twin_timeline(self, number: int = 1, of: Of = "lost") -> Drawing | Block:
        """The pair with this place in `twin_deals`, day by day, and where the two part."""
        say = self.say
        caption = say("Where do a deal and the won deal most like it part?")
        try:
            found, pairs, marks = self._pairs(of)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        if len(pairs) < number:
            text = self._no_pair(found, of) if pairs.empty else say("There are only {n} pairs to show.", n=len(pairs))
            return render("empty", caption, text)
        pair, mark = pairs.iloc[number - 1].to_dict(), marks.iloc[number - 1].to_dict()
        return self._pair_drawing(pair, mark, caption, of)

    def deal_timeline(self, deal_id: str) -> Drawing | Block:
        """One deal day by day, beside the won deal most like it where there is one. Raises UsageError if there is none
        of that id.
        """
        say, deals = self.say, deals_of(self.book)
        [row] = places_in(pd.Series([deal_id], dtype="str"), deals["deal_id"])
        if row < 0:
            raise UsageError(
                "There is no deal {deal_id!r} in this book.{hint}",
                deal_id=deal_id,
                hint=suggestion(deal_id, deals["deal_id"]),
            )
        deal = deals.iloc[row]
        caption = say("What happened to {deal}?", deal=self._name_of(row))
        try:
            of: Of = "open" if deal["outcome"] == "open" else "lost"
            _, pairs, marks = self._pairs(of)
            at = np.flatnonzero(pairs["deal"].to_numpy() == row)
            if len(at):
                return self._pair_drawing(pairs.iloc[at[0]].to_dict(), marks.iloc[at[0]].to_dict(), caption, of)
            told = say("Nothing won is near enough to stand beside it.")
            return self._lanes(np.array([row], dtype=np.int64), str(deal["pipeline"]), caption, f"{caption} {told}")
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)

    def _pair_drawing(self, pair: dict[Any, Any], mark: dict[Any, Any], caption: str, of: Of) -> Drawing:
        deals = np.array([pair["deal"], pair["twin"]], dtype=np.int64)
        split = self.say(_SPLITS[mark["kind"]], day=self.say.number(mark["day"]), stage=self._told_stage(pair, mark))
        told = f"{caption} {self.said_of(pair, mark, of)}"
        return self._lanes(deals, pair["pipeline"], caption, told, mark["day"], split)

    def _lanes(
        self,
        deals: np.ndarray[Any, np.dtype[np.int64]],
        pipeline: str,
        caption: str,
        told: str,
        split: float | None = None,
        split_label: str = "",
    ) -> Drawing:
        """A lane for each of these deals (rows of `book.deals`)."""
        say, lanes = self.say, {deal: lane for lane, deal in enumerate(deals)}
        line = self.book.process.pipeline(pipeline)
        stays = stays_of(self.book, deals)
        stays = stays.assign(lane=stays["deal"].map(lanes), place=stays["order"])
        money = row_currencies(self.book, deals_of(self.book).iloc[deals])
        amounts = [say.money(self._amount_of(row), own) for row, own in zip(deals.tolist(), money, strict=True)]
        with charts.style():
            axes = charts.plot_timelines(
                stays,
                self._lane_marks(deals, lanes),
                [self._name_of(row) for row in deals.tolist()],
                amounts,
                caption,
                say("days since the first entry"),
                [self._stage(pipeline, stage.key) for stage in line.working],
                {what: say(word) for what, word in MARK_WORDS.items()},
                split=split,
                split_label=split_label,
            )
            return charts.to_drawing(axes, told)

    def _told_stage(self, pair: dict[Any, Any], mark: dict[Any, Any]) -> str:
        return self._stage(pair["pipeline"], mark["stage"]) if is_known(mark["stage"]) else ""

    def _lane_marks(self, deals: np.ndarray[Any, np.dtype[np.int64]], lanes: dict[int, int]) -> pd.DataFrame:
        """What stands above and below the bars: everything but the entries; each end under its outcome."""
        rows = timelines(self.book, deals)
        rows = rows[rows["what"] != "stage"]
        what = rows["what"].where(rows["what"] != "close", rows["detail"])
        marks = pd.DataFrame({"lane": rows["deal"].map(lanes), "day": rows["day"], "what": what})
        ends = stays_of(self.book, deals).groupby("deal")["to_day"].max()
        waiting = [d for d in deals.tolist() if deals_of(self.book)["outcome"].iloc[d] == "open"]
        still = pd.DataFrame({"lane": [lanes[d] for d in waiting], "day": [ends[d] for d in waiting], "what": "open"})
        return pd.concat([marks, still], ignore_index=True)

    def where_twins_part(self, of: Of = "lost") -> Block:
        """What comes first, over all pairs: how often each difference is the first one, and on which day."""
        say, caption = self.say, self.say("What first sets lost deals apart from the won deals most like them?")
        try:
            found, pairs, marks = self._pairs(of)
        except Unavailable as reason:
            return unavailable(self.say, caption, reason)
        if pairs.empty:
            return render("empty", caption, self._no_pair(found, of))
        marks["pipeline"] = pairs["pipeline"].where(marks["stage"].notna())
        alike = marks.groupby(["kind", "pipeline", "stage"], dropna=False, as_index=False)
        table = alike.agg(n=("day", "size"), day=("day", "median"))
        table["value"], table["low"], table["high"] = wilson(table["n"], len(pairs))
        table["turn"] = table["kind"].map({kind: i for i, kind in enumerate(KINDS)})
        table["last"] = table["kind"] == "none"
        table = table.sort_values(["last", "n", "turn"], ascending=[True, False, True], ignore_index=True)
        table["difference"] = [say(_FIRST[r["kind"]], stage=self._told_stage(r, r)) for r in table.to_dict("records")]
        note = say(
            "{n} of {all} deals have a comparable win; each pair counts once, by what comes first. Two won deals "
            "differ too: a frequent difference is a question, not yet a reason.",
            n=say.number(len(pairs)),
            all=say.number(len(found)),
        )
        return table_block(say, self.book, caption, table, ["difference"], _PARTED, [note])

    # --- the typical path ---------------------------------------------------------------------

    def typical_path(self) -> Block:
        """How won deals went through the stages, beside the lost ones; on a rep's page beside what others' wins do."""
        say, caption = self.say, self.say("The path of won deals")
        parts, reason = [], None
        for of, name in _OWN.items():
            try:
                parts.append(typical_path(self.book, self.period, of).assign(deals=say(name)))
            except Unavailable as why:
                reason = reason or why
        others = self._others_path()
        parts += [others] if len(others) else []
        if not parts:
            return unavailable(say, caption, reason or Unavailable("nothing was decided in the period"))
        table = pd.concat([part.assign(turn=turn) for turn, part in enumerate(parts)], ignore_index=True)
        places = {(k, s.key): i for k, line in self.book.process.pipelines.items() for i, s in enumerate(line.working)}
        at = pd.MultiIndex.from_frame(table[["pipeline", "stage"]])
        table = table.assign(order=pd.Series(places).reindex(at).to_numpy())
        table = table.sort_values(["pipeline", "order", "turn"], kind="stable", ignore_index=True)
        again = table.duplicated(["pipeline", "order"])
        names = [self._stage(p, s) for p, s in zip(table["pipeline"], table["stage"], strict=True)]
        table["stage"] = pd.Series(names, dtype="str").mask(again, "")
        fields = [f for f in _PATH if table[f.column].notna().any()]
        return table_block(
            say, self.book, caption, table, ["stage", "deals"], fields, self._path_notes(len(others) > 0)
        )

    def _path_notes(self, with_others: bool) -> list[str]:
        say = self.say
        notes = [
            say(
                "Days from entering a stage to going on or to the close; contacts and quotes between these days. In "
                "brackets: 95 % intervals. What goes with winning need not be its cause."
            )
        ]
        if with_others:
            notes.append(
                say(
                    "Others: won deals of at least {n} other reps taken together; shares rounded to 5 points, days and "
                    "contacts by up to a sixth.",
                    n=OTHERS,
                )
            )
        elif len(self.book.peers.get("path", ())):
            notes.append(say("others: hidden, fewer than {n}", n=OTHERS))
        return notes

    def _others_path(self) -> pd.DataFrame:
        """The others' typical path, one row per stage; without rows where it may not be shown or there is none."""
        rows = self.book.peers.get("path")
        if rows is None or rows.empty or rows["value"].isna().all():
            return pd.DataFrame()
        wide = rows.pivot(index=["pipeline", "stage"], columns="metric", values="value").reset_index()
        wide = wide.rename(columns=OF_THE_OTHERS).rename_axis(columns=None)
        return wide.assign(n=np.nan, deals=self.say("others, won"))
