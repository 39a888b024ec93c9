"""Who needs what from the manager this week: the pieces of a page that are about people, in the order of names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.metrics import Measure
from salescoach.metrics.compare import like_for_like, mix_of
from salescoach.metrics.flow import open_deals
from salescoach.metrics.groups import UNASSIGNED, name_reps, parse_by
from salescoach.process import Period
from salescoach.reports.blocks import Block, render, table_block
from salescoach.reports.fields import SIGNALS, Field, interval
from salescoach.wording import N_, Words

LISTED = 10
_FAIR = (Field(N_("Expected"), "expected", "number"), Field(N_("Signal"), "signal", "text"))
_EXPECTED = {
    ("segment", "deal_type"): N_(
        "Expected: the wins that the team's usual rates give for each rep's own mix of segments and deal types."
    ),
    ("segment",): N_("Expected: the wins that the team's usual rates give for each rep's own mix of segments."),
    ("deal_type",): N_("Expected: the wins that the team's usual rates give for each rep's own mix of deal types."),
    (): N_("Expected: the wins that the team's usual rate gives for each rep's number of decided deals."),
}
_WAITING = (
    Field(N_("Amount"), "amount", "money"),
    Field(N_("Days in the stage"), "age_days", "days"),
    Field(N_("Typical, at most"), "typical_days", "days"),
    Field(N_("Expected close"), "expected_close_on", "date"),
)
_ROSTER: dict[str, tuple[Field, ...]] = {
    "win_rate": (interval(N_("Win rate"), "share"), Field(N_("Decided (n)"), "n"), Field(N_("Won"), "won")),
    "quota_attainment": (interval(N_("Of target"), "ratio"),),
    "response_time": (interval(N_("Response"), "hours"), Field(N_("Unanswered"), "unanswered")),
}


class People(ABC):
    """The pieces of a report that are about its people."""

    book: Book
    say: Words
    period: Period

    @abstractmethod
    def _figure(self, name: str, by: str | Sequence[str] = ()) -> Measure: ...

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
                fair = like_for_like(book, self.period)[["rep_id", "expected", "signal"]]
                table = table.merge(fair, on="rep_id", how="left", validate="1:1")
                table["signal"] = table["signal"].fillna("few").map(lambda s: say(SIGNALS[s]))
                columns += _FAIR
                notes += [
                    say(_EXPECTED[mix_of(book)]),
                    say(
                        "A signal is named only where chance is unlikely to make it even among many people compared "
                        "(false-discovery rate 10 %). Nobody is compared on fewer than ten decided deals."
                    ),
                ]
        return table_block(say, book, say("Each of my people"), table, ["rep"], columns, notes)

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
