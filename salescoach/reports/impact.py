"""Did coaching help, and where do the hours go: the pieces of a page for the manager alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from salescoach import charts
from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.coaching.hours import HOURS, coaching_hours
from salescoach.coaching.sessions import read_sessions
from salescoach.errors import Unavailable, joined
from salescoach.metrics.leading import RESULT
from salescoach.models.coaching_impact import CoachingImpact, coaching_impact
from salescoach.process import Period
from salescoach.reports.blocks import Block, in_pairs, render, table_block, text_table, unavailable
from salescoach.reports.fields import Field
from salescoach.wording import N_, NOTHING, Words, is_known

Sessions = str | Path | pd.DataFrame
PLACE = ["measure", "pipeline", "stage"]
HELPED = N_("Did coaching help?")
EXPECTED = N_("What was expected of each of the coached, and what came?")
VISIBLE = N_("Which changes could be seen at all?")
CHOSEN = N_("Would it have become better anyway?")
WHERE = N_("Where do my hours go?")
NOT_FOR_REPS = N_("whether coaching helped is asked of all the coached together, on the manager's page")
HOURS_ARE_THE_MANAGERS = N_("how the hours are shared stands on the manager's page alone")
FACT = N_(
    "Since their coaching {reps} reps won {observed} of {n} decided deals; from their own history and the trend of the "
    "others {expected} was to be expected: {change} points (range {low} to {high})."
)
FACT_OF_STAGE = N_(
    "Of the deals of {reps} coached reps {observed} went on from {stage} since (n = {n}); from their own history and "
    "the trend of the others {expected} was to be expected: {change} points (range {low} to {high})."
)
VERDICTS = {
    "better": N_(
        "More than chance and trend explain goes with the coaching: drawn by lot, so large a change comes {p} of the "
        "time."
    ),
    "worse": N_(
        "Less than chance and trend explain goes with the coaching: drawn by lot, so large a change comes {p} of the "
        "time."
    ),
    "none": N_("That is within chance: with so many deals we could only have seen rises above {smallest} points."),
    "unknowable": N_(
        "Whether it helped cannot be known from so few: we could only have seen rises above {smallest} points, and "
        "coaching hardly ever brings that much."
    ),
}
NOT_VISIBLE = N_("Whether it helped cannot be known from so few: no rise at all could have been seen.")
SECOND = N_(
    "Second opinion, raw shares without the {days} days before the session: {change} points (range {low} to {high})."
)
DISAGREES = N_("The two do not agree, so the question stays open.")
WERE_WORST = N_(
    "{what}: the coached had been behind in the {days} days before their session, with {before} (n = {n}) against "
    "{others} of the others. A bad stretch passes by itself, so before and after ({before} → {after}) must not be read "
    "as an effect."
)
EARLIER = N_("In the year up to these days they had {earlier}.")
WORST = N_("Those not coached who did worst then went from {before} to {after} without any coaching.")
WERE_NOT = N_(
    "{what}: the coached were not behind in the {days} days before their session ({before} against {others} of the "
    "others, n = {n})."
)
METHOD = N_(
    "Expected: each rep's own year before the session, drawn towards that of all as far as its number calls for, plus "
    "what the not yet coached did better in the same months. Deals that changed hands are left out; the first {days} "
    "days after a session do not count, nor what comes more than a year later."
)
SMALLEST = N_(
    "Smallest visible rise: what so many records would show four times out of five (5 % level). A change is named only "
    "where its range leaves out zero and a lot drawn among the same reps gives one so large less than one time in "
    "twenty; where many yardsticks are read side by side, at a false-discovery rate of 10 %."
)
MANY = N_("Where there are more records, a change shows sooner: these move before the win rate does.")
NAMES = N_("In the order of names. One person's numbers are small: a dot inside its grey range is chance.")
YARDSTICKS = {
    RESULT: N_("Winning deals"),
    "response_time": N_("Answering leads in time"),
    "stage_time": N_("Leaving stages in time"),
    "missed_quotes": N_("Sending quotes in time"),
    "stage_flow": N_("Getting deals on from: {stage}"),
}
SEEN = {
    "better": N_("better, beyond chance"),
    "worse": N_("worse, beyond chance"),
    "none": N_("within chance"),
    "unknowable": N_("cannot be known"),
}
BECAUSE = {
    "gain": N_(
        "{stage} lets {rate} of the deals through, {usual} are usual for the same kinds of deals (n = {n}): beyond "
        "luck, and the usual rate would go with {worth} more per quarter ({low} – {high})."
    ),
    "likely": N_(
        "{stage} lets {rate} through, {usual} are usual (n = {n}): not beyond luck yet, {p} sure; the usual rate would "
        "go with {worth} more per quarter ({low} – {high})."
    ),
    "thin": N_("Nothing to conclude yet: too few deals have ended their stages. The time is for getting to know them."),
    "none": N_("No stage lets fewer through than is usual: the time is for what the rep brings up."),
}
SHARING = N_(
    "Everybody has {floor} minutes. The rest goes by what the rep's one best stage would bring at the usual rate, "
    "times how sure it is that the rate is below it (hardly more than an even chance counts nothing). In the order of "
    "names; the minutes add up to {hours} h. It says where help would go furthest, not who is good."
)
_CHANGES = (
    Field(N_("What"), "what", "text"),
    Field(N_("Reps", "count"), "reps"),
    Field(N_("Records (n)"), "n"),
    Field(N_("Observed"), "observed", "fine_share"),
    Field(N_("To be expected"), "expected", "fine_share"),
    Field(N_("Change, points"), "change", "points", "low", "high"),
    Field(N_("Smallest visible rise"), "smallest_text", "text"),
    Field(N_("By lot"), "p", "ratio"),
    Field(N_("Finding"), "finding", "text"),
)
_PEOPLE = (
    Field(N_("First session"), "on", "date"),
    Field(N_("Records since (n)"), "n"),
    Field(N_("Observed"), "observed", "share"),
    Field(N_("To be expected"), "expected", "share", "expected_low", "expected_high"),
    Field(N_("Change, points"), "change", "points", "low", "high"),
    Field(N_("Smallest visible rise"), "smallest_text", "text"),
)


class Impact(ABC):
    """The pieces of a report about what coaching did, and where it goes next."""

    book: Book
    say: Words
    period: Period
    rep: str | None

    @abstractmethod
    def _step_name(self, row: Mapping[Any, Any]) -> str: ...

    @abstractmethod
    def _short_amount(self, amount: float) -> str: ...

    # --- did coaching help ------------------------------------------------------------------------

    def impact(self, sessions: Sessions) -> Block:
        """The answer in words: of the win rate, and of the stages that the sessions were about.

        sessions   a table with rep_id, on and, if known, stage; a CSV of it; a coaching ledger; or "demo"
        """
        say, caption = self.say, self.say(HELPED)
        try:
            fit = self._impact(sessions)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        rows = fit.table[(fit.table["measure"] == RESULT) | fit.table["aimed"]]
        told = [self._impact_told(row, fit) for row in rows.to_dict("records")]
        notes = [say(METHOD, days=fit.windows.settle), *(say(a.text, **a.values) for a in fit.warnings)]
        return text_table(say, caption, [say("Finding")], [[text] for text in told], [], notes)

    def impact_chart(self, sessions: Sessions, measure: str = "") -> Drawing | Block:
        """What was observed of each of the coached, over the range of chance around what was expected.

        measure   "win_rate", or a stage; nothing: the stage that the sessions were about, else the win rate
        """
        say, title = self.say, self.say(EXPECTED)
        try:
            people, what = self._impact_people_of(self._impact(sessions), measure)
        except Unavailable as reason:
            return unavailable(say, title, reason)
        people["text"] = [f"n={n:,}" for n in people["n"]]
        words = (say("observed"), say("to be expected"), say("range of chance (95 %)"))
        told = in_pairs(
            say,
            (
                (r["rep"], f"{say.percent(r['observed'])} / {say.percent(r['expected'])}")
                for r in people.to_dict("records")
            ),
        )
        with charts.style():
            axes = charts.plot_expected(people, "rep", title, what, words)
            return charts.to_drawing(axes, say("{title} {what}. {told}", title=title, what=what, told=told))

    def impact_people(self, sessions: Sessions, measure: str = "") -> Block:
        """The same as a table. For the manager alone."""
        say, caption = self.say, self.say(EXPECTED)
        try:
            people, what = self._impact_people_of(self._impact(sessions), measure)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        return table_block(say, self.book, f"{caption} {what}", people, ["rep"], _PEOPLE, [say(NAMES), say(SMALLEST)])

    def impact_measures_chart(self, sessions: Sessions) -> Drawing | Block:
        """The change by every yardstick, over the band of changes too small to be seen."""
        say, title = self.say, self.say(VISIBLE)
        try:
            table = self._impact_changes(self._impact(sessions).table)
        except Unavailable as reason:
            return unavailable(say, title, reason)
        table["clear"] = table["verdict"].isin(["better", "worse"])
        table["text"] = [f"n={n:,}" for n in table["n"]]
        words = (say("beyond chance"), say("within chance"), say("too small to be seen with so many records"))
        told = in_pairs(
            say,
            (
                (r["what"], say("{change}, {finding}", change=r["change_text"], finding=r["finding"]))
                for r in table.to_dict("records")
            ),
        )
        with charts.style():
            axes = charts.plot_visible_changes(table, "what", title, say("observed − expected, points"), words)
            return charts.to_drawing(axes, f"{title} {told}")

    def impact_measures(self, sessions: Sessions) -> Block:
        """Every yardstick: the win rate, and what moves before it because there is more of it."""
        say, caption = self.say, self.say(VISIBLE)
        try:
            table = self._impact_changes(self._impact(sessions).table)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        notes = [say(MANY), say(SMALLEST)]
        return table_block(say, self.book, caption, table.drop(columns=PLACE), [], _CHANGES, notes)

    def impact_groups(self, sessions: Sessions, by: str) -> Block:
        """The change of the coached in groups: by a column of the sessions, such as a skill."""
        say, caption = self.say, self.say(HELPED)
        try:
            groups = self._impact(sessions, by).groups
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        table = self._impact_changes(groups).drop(columns=PLACE)
        return table_block(say, self.book, caption, table, ["group"], _CHANGES, [say(SMALLEST)])

    def impact_choice(self, sessions: Sessions) -> Block:
        """Whether the coached were chosen in a bad stretch, and what came of others who did as badly then."""
        say, caption = self.say, self.say(CHOSEN)
        try:
            fit = self._impact(sessions)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        spoken = fit.table.loc[(fit.table["measure"] == RESULT) | fit.table["aimed"], PLACE]
        rows = fit.choice.merge(spoken.astype("str"), on=PLACE) if len(fit.choice) else fit.choice
        found = [self._choice_told(row, fit) for row in rows.to_dict("records")]
        if not found:
            text = say("Nothing to conclude yet: too little is known of the time before the sessions.")
            return render("empty", caption, text)
        return text_table(say, caption, [say("Finding")], [[text] for text in found])

    def _impact(self, sessions: Sessions, by: str | None = None) -> CoachingImpact:
        """Raises Unavailable on one person's page: what others did is none of it."""
        if self.rep:
            raise Unavailable(NOT_FOR_REPS)
        if isinstance(sessions, pd.DataFrame):
            return self._impact_of(sessions, by)
        if (sessions, by) not in self._impacts:
            self._impacts[sessions, by] = self._impact_of(read_sessions(sessions), by)
        return self._impacts[sessions, by]

    @cached_property
    def _impacts(self) -> dict[tuple[str | Path, str | None], CoachingImpact]:
        """The fits of sessions that stand in a file, so that each is made once for the page."""
        return {}

    def _impact_of(self, table: pd.DataFrame, by: str | None) -> CoachingImpact:
        """Reps may be written down by name."""
        ids = self.book.people.drop_duplicates("rep", keep=False).set_index("rep")["rep_id"]
        named = ~table["rep_id"].isin(self.book.people["rep_id"])
        table = table.assign(rep_id=table["rep_id"].mask(named, table["rep_id"].map(ids).astype("str")))
        return coaching_impact(self.book, table, self.period, by)

    def _impact_told(self, row: Mapping[Any, Any], fit: CoachingImpact) -> str:
        """One yardstick in sentences: the change, whether it could be seen, and the second opinion."""
        say = self.say
        what = FACT_OF_STAGE if row["measure"] == "stage_flow" else FACT
        numbers = {"reps": say.number(row["reps"]), "n": say.number(row["n"])}
        shares = {name: say.percent(row[name], 1) for name in ("observed", "expected")}
        stage = {"stage": self._step_name(row)} if what is FACT_OF_STAGE else {}
        said = [say(what, **numbers, **shares, **stage, **self._all_in_points(row, "change", "low", "high"))]
        if row["verdict"] == "unknowable" and not is_known(row["smallest"]):
            said.append(say(NOT_VISIBLE))
        else:
            least = say.number(100 * row["smallest"], 1) if is_known(row["smallest"]) else NOTHING
            said.append(say(VERDICTS[row["verdict"]], p=say.percent(row["p"], 1), smallest=least))
        if is_known(row["second"]):
            ends = {"change": "second", "low": "second_low", "high": "second_high"}
            other = {name: self._points_text(row[column]) for name, column in ends.items()}
            said.append(say(SECOND, days=fit.windows.selection, **other))
            if row["verdict"] in ("better", "worse") and row["second"] * row["change"] <= 0:
                said.append(say(DISAGREES))
        return say(joined(said, " "))

    def _choice_told(self, row: Mapping[Any, Any], fit: CoachingImpact) -> str:
        say = self.say
        shares = {c: say.percent(row[c]) for c in ("earlier", "before", "after", "worst_before", "worst_after")}
        values: dict[str, Any] = {"what": self._yardstick(row), "days": fit.windows.selection}
        values |= {"n": say.number(row["n"]), "others": say.percent(row["others_before"])}
        if not row["were_worst"]:
            return say(WERE_NOT, before=shares["before"], **values)
        said = [say(WERE_WORST, before=shares["before"], after=shares["after"], **values)]
        if is_known(row["earlier"]):
            said.append(say(EARLIER, earlier=shares["earlier"]))
        if is_known(row["worst_before"]) and is_known(row["worst_after"]):
            said.append(say(WORST, before=shares["worst_before"], after=shares["worst_after"]))
        return say(joined(said, " "))

    def _impact_people_of(self, fit: CoachingImpact, measure: str) -> tuple[pd.DataFrame, str]:
        """The coached by one yardstick, and what it is called. Raises Unavailable."""
        table = fit.table
        aimed = (
            table[table["aimed"]] if not measure else table[(table["measure"] == measure) | (table["stage"] == measure)]
        )
        rows = aimed if len(aimed) or measure else table[table["measure"] == RESULT]
        if rows.empty:
            raise Unavailable("none of the coached can be judged by it")
        place = rows.iloc[0].to_dict()
        people = fit.people
        of_it = people["measure"] == place["measure"]
        if place["measure"] == "stage_flow":
            of_it &= (people["pipeline"] == place["pipeline"]) & (people["stage"] == place["stage"])
        return self._with_points(people[of_it].drop(columns=PLACE)), self._yardstick(place)

    def _impact_changes(self, table: pd.DataFrame) -> pd.DataFrame:
        found = self._with_points(table)
        found["what"] = [self._yardstick(row) for row in table.to_dict("records")]
        found["finding"] = [self.say(SEEN[verdict]) for verdict in table["verdict"]]
        return found

    def _with_points(self, table: pd.DataFrame) -> pd.DataFrame:
        """Changes as texts in points, with their range."""
        texts = [self._all_in_points(row, "change", "low", "high") for row in table.to_dict("records")]
        change = [self.say("{change} ({low} to {high})", **text) for text in texts]
        least = [self.say.number(100 * v, 1) if is_known(v) else NOTHING for v in table["smallest"]]
        return table.assign(change_text=change, smallest_text=least).reset_index(drop=True)

    def _yardstick(self, row: Mapping[Any, Any]) -> str:
        text = YARDSTICKS[row["measure"]]
        if row["measure"] != "stage_flow":
            return self.say(text)
        return self.say(text, stage=self._step_name(row))

    def _all_in_points(self, row: Mapping[Any, Any], *columns: str) -> dict[str, str]:
        return {column: self._points_text(row[column]) for column in columns}

    def _points_text(self, share: float) -> str:
        """+5.0, −2.5: points, with their sign."""
        if not is_known(share):
            return NOTHING
        text = self.say.number(abs(100 * share), 1)
        return text if text == self.say.number(0, 1) else f"{'+' if share > 0 else '−'}{text}"

    # --- where the hours go -----------------------------------------------------------------------

    def hours_chart(self, hours: float = HOURS) -> Drawing | Block:
        """How many minutes of the manager's hours go to whom, in the order of names."""
        say, title = self.say, self.say(WHERE)
        try:
            table = self._hours_shared(hours)
        except Unavailable as reason:
            return unavailable(say, title, reason)
        table["more_minutes"] = table["minutes"] - table["floor_minutes"]
        table["text"] = [say("{n} min", n=say.number(n)) for n in table["minutes"]]
        told = in_pairs(say, zip(table["rep"], table["text"], strict=True))
        words = (say("everybody's floor"), say("by what there is to gain, and how sure that is"))
        with charts.style():
            axes = charts.plot_hours(table, "rep", title, say("minutes"), words)
            return charts.to_drawing(axes, f"{title} {told}")

    def hours_table(self, hours: float = HOURS) -> Block:
        """The same with a sentence per rep that says why. For the manager alone."""
        say, caption = self.say, self.say(WHERE)
        try:
            table = self._hours_shared(hours)
        except Unavailable as reason:
            return unavailable(say, caption, reason)
        rows = [[r["rep"], r["minutes"], self._why_so_long(r)] for r in table.to_dict("records")]
        note = say(SHARING, floor=say.number(table["floor_minutes"].iloc[0]), hours=say.number(hours, 1))
        return text_table(say, caption, [say("Rep"), say("Minutes"), say("Why")], rows, [1], [note])

    def _hours_shared(self, hours: float) -> pd.DataFrame:
        if self.rep:
            raise Unavailable(HOURS_ARE_THE_MANAGERS)
        return coaching_hours(self.book, hours, self.period)

    def _why_so_long(self, row: Mapping[Any, Any]) -> str:
        say = self.say
        if row["because"] not in ("gain", "likely"):
            return say(BECAUSE[row["because"]])
        shares = {column: say.percent(row[column]) for column in ("rate", "usual")}
        money = {column: self._short_amount(row[column]) for column in ("worth", "low", "high")}
        return say(
            BECAUSE[row["because"]],
            stage=self._step_name(row),
            n=say.number(row["n"]),
            p=say.percent(row["p_above"]),
            **shares,
            **money,
        )
