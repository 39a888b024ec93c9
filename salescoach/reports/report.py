"""A report on one book, team or rep: each method is one piece of a page, in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import salescoach
from salescoach import charts
from salescoach.book import TABLES, Book, open_book
from salescoach.charts import Drawing
from salescoach.errors import UsageError
from salescoach.metrics import METRICS, Measure, currency_of, measure
from salescoach.metrics.compare import like_for_like
from salescoach.metrics.flow import open_deals, typical_days
from salescoach.metrics.peers import OTHERS, peer_table
from salescoach.process import Period, parse_period
from salescoach.reports.blocks import Block, Cell, Column, cell, render, table_block, text_table, written
from salescoach.reports.fields import CHECKS, FIELDS, SIGNALS, TEXT_GROUPS, Field, interval
from salescoach.reports.hints import in_language
from salescoach.sources import sample_book
from salescoach.wording import N_, NOTHING, Words, words

COUNTED = ("win_rate", "new_customers")  # a figure of these is a number of deals, not of money
KEY_FIGURES = (
    "quota_attainment",
    "win_rate",
    "sales_cycle",
    "response_time",
    "lead_conversion",
    "new_customers",
    "pipeline",
)
DEMO = "demo"
LISTED = 10
_EXPECTED = N_("Expected")
_SIGNAL = N_("Signal")
_ROSTER: dict[str, tuple[Field, ...]] = {
    "win_rate": (interval(N_("Win rate"), "share"), Field(N_("Decided (n)"), "n"), Field(N_("Won"), "won")),
    "quota_attainment": (interval(N_("Of target"), "ratio"),),
    "response_time": (interval(N_("Response"), "hours"), Field(N_("Unanswered"), "unanswered")),
}


def _last_groups_last(names: pd.Series) -> pd.Series:
    """Sort key: names in their order, (unassigned) after them."""
    return names.where(~names.isin(TEXT_GROUPS), "\U0010ffff" + names)


def find_book(book: str | Path | Book) -> Book:
    """A book object, a folder of a saved book, or "demo" for the bundled demo data."""
    if isinstance(book, Book):
        return book
    return sample_book() if str(book) == DEMO else open_book(book)


def open_report(
    book: str | Path | Book,
    rep: str | None = None,
    team: str | None = None,
    period: str | None = None,
    language: str = "en",
) -> Report:
    """A report on a whole book, on one team or on one rep.

    book      folder of a saved book, "demo", or a Book
    rep, team id or name; at most one of them
    period    "2026Q3", "2026-01..2026-06", "last 90 days"; nothing: everything up to as_of
    language  "en" or "zh"

    Raises UsageError for a rep, team, period or language that does not exist.
    """
    whole = find_book(book)
    if rep and team:
        raise UsageError("Give a rep or a team, not both.")
    say = words(language)
    span = parse_period(period, whole.process, whole.as_of_on.date())
    peers = whole.peers.get("peers")
    if rep:
        peers = peer_table(whole, span) if peers is None else peers
        whole = whole.for_rep(rep)
    elif team:
        whole = whole.for_team(team)
    return Report(whole, say, span, rep=whole.people["rep"].iloc[0] if rep else None, team=team, peers=peers)


class Report:
    """The pieces of a page. Every method returns one block or drawing and changes nothing."""

    def __init__(
        self, book: Book, say: Words, period: Period, rep: str | None, team: str | None, peers: pd.DataFrame | None
    ) -> None:
        self.book, self.say, self.period, self.rep, self.team = book, say, period, rep, team
        self._peers = peers

    # --- head and foot ------------------------------------------------------------------------

    @property
    def who(self) -> str:
        """Whom the report is about."""
        return self.rep or self.team or self.say("All teams")

    @property
    def when(self) -> str:
        say = self.say
        if self.period.start_on is None:
            return say("everything up to {day}", day=say.date(self.period.end_on))
        dates = f"{say.date(self.period.start_on)} – {say.date(self.period.end_on)}"
        return dates if self.period.label.startswith("last ") else f"{self.period.label} ({dates})"

    def heading(self) -> Block:
        """Who, when, as of which day, and how much of the data could be used."""
        say = self.say
        facts = [
            say("Period: {period}", period=self.when),
            say("Data as of {day}", day=say.date(self.book.as_of_on)),
            self._trust(),
        ]
        person = self.book.people.iloc[0] if self.rep else None
        if person is not None and isinstance(person["team"], str):
            facts.insert(0, say("Team {team}", team=person["team"]))
        if person is not None and pd.notna(person["start_on"]):
            facts.append(say("In the job since {day}", day=say.date(person["start_on"])))
        return render("heading", f"[{self.who}]", self.who, facts, self._nothing_there())

    def _nothing_there(self) -> str:
        """Said on top of a page that has nothing to count."""
        say = self.say
        if self.book.deals.empty:
            return say(
                "There is no deal of {who} in the data. What stands below can only say so; talk about the first deals "
                "instead.",
                who=self.who,
            )
        decided = self.measure("win_rate").table
        if decided is not None and not decided["n"].sum():
            return say("No deal of {who} was won or lost in this period: rates stay empty.", who=self.who)
        return ""

    def _trust(self) -> str:
        rows = self.book.quality.get("rows", {}).get("deals", {})
        used, out = rows.get("used", len(self.book.deals)), rows.get("quarantined", len(self.book.quarantine))
        return self.say(
            "{used} deals used, {out} rows set aside",
            used=self.say.number(used),
            out=self.say.number(out if "quarantined" in rows else len(self.book.quarantine)),
        )

    def provenance(self) -> Block:
        """Version, data hash, as-of, rows lost; and what the page is for."""
        say = self.say
        lines = [
            say("Numbers are prompts for a conversation, not a verdict: n and range stand beside each of them."),
            say(
                "salescoach {version} · data {hash} · as of {day} · {out} rows set aside",
                version=salescoach.__version__,
                hash=self.book.content_hash[:12],
                day=say.date(self.book.as_of_on),
                out=say.number(len(self.book.quarantine)),
            ),
        ]
        return render("purpose", f"[{lines[-1]}]", lines)

    # --- metrics ------------------------------------------------------------------------------

    def measure(self, name: str, by: str | Sequence[str] = (), period: str | None = None) -> Measure:
        """One metric in the report's scope and period (or another period).

        The pipeline is the whole stock whatever the report's period: that would choose by expected close and hide the
        deals that are overdue.
        """
        usual = "" if name == "pipeline" else self.period
        return measure(self.book, name, by=by, period=usual if period is None else period)

    def table(self, name: str, by: str | Sequence[str] = (), period: str | None = None) -> Block:
        """A metric as a table, with its definition below; or the reason why it is unavailable."""
        found = self.measure(name, by, period)
        caption = self.say(found.metric.title)
        if found.table is None:
            return self._unavailable(found)
        table, groups = self._labelled(found.table, list(found.by))
        return table_block(self.say, self.book, caption, table, groups, FIELDS[name], [self._definition(found)])

    def chart(self, name: str, by: str | Sequence[str] = (), period: str | None = None) -> Drawing | Block:
        """A metric as a picture whose title is the question it answers."""
        found = self.measure(name, by, period)
        if found.table is None:
            return self._unavailable(found)
        table, groups = self._labelled(found.table, list(found.by))
        draw = {
            "funnel": self._draw_funnel,
            "stage_flow": self._draw_stage_flow,
            "pipeline": self._draw_pipeline,
            "quota_attainment": self._draw_targets,
        }.get(name, self._draw_intervals)
        with charts.style():
            return draw(found, table, groups)

    def _labelled(self, table: pd.DataFrame, groups: list[str]) -> tuple[pd.DataFrame, list[str]]:
        """Stage keys and pipelines by their labels; the columns that tell the rows apart."""
        table = table.copy()
        if "rep" in table:
            table = table.sort_values("rep", key=_last_groups_last, kind="stable", ignore_index=True)
        process, language = self.book.process, self.say.language
        if "stage" in table:
            table["stage"] = [
                process.stage_label(p, s, language) for p, s in zip(table["pipeline"], table["stage"], strict=True)
            ]
            if len(process.pipelines) > 1:
                table["pipeline"] = [process.pipelines[p].label.in_language(language) for p in table["pipeline"]]
                groups = [*groups, "pipeline"]
            groups = [*groups, "stage"]
        if "currency" in table:
            groups = [*groups, "currency"]
        return table, groups

    def _definition(self, found: Measure) -> str:
        say = self.say
        definition, basis = say(found.metric.definition), say(found.metric.basis)
        if not any(f.low for f in FIELDS[found.metric.name]):
            return say("{definition} Counted by: {basis}.", definition=definition, basis=basis)
        return say(
            "{definition} Counted by: {basis}. In brackets: {interval}.",
            definition=definition,
            basis=basis,
            interval=say(found.metric.interval),
        )

    def _because(self, found: Measure) -> str:
        return "" if found.reason is None else self.say(found.reason.text, **found.reason.values)

    def _unavailable(self, found: Measure) -> Block:
        text = self.say(
            "{metric}: unavailable, because {because}.",
            metric=self.say(found.metric.title),
            because=self._because(found),
        )
        return render("empty", text, text)

    # --- pictures -----------------------------------------------------------------------------

    def _names(self, table: pd.DataFrame, groups: Sequence[str]) -> pd.Series:
        if not groups:
            return pd.Series(self.who, table.index)
        shown = [table[g].map(lambda v: written(self.say, v, "text", "")) for g in groups]
        return pd.Series([" · ".join(parts) for parts in zip(*shown, strict=True)], table.index)

    def _currencies(self, table: pd.DataFrame) -> list[str]:
        """The currency of each row's amounts."""
        return table["currency"].tolist() if "currency" in table else [currency_of(self.book)] * len(table)

    def _draw_intervals(self, found: Measure, table: pd.DataFrame, groups: list[str]) -> Drawing:
        say, unit = self.say, found.metric.unit
        table = table.assign(name=self._names(table, groups))
        questions = {
            "win_rate": say("How many decided deals are won?"),
            "sales_cycle": say("How many days until a deal is decided?"),
            "response_time": say("How many hours until a lead is answered?"),
            "lead_conversion": say("How many leads become a deal?"),
            "new_customers": say("How many customers are new?"),
        }
        scales = {"share": say("share"), "days": say("days"), "hours": say("hours (h)"), "count": say("count")}
        title = questions[found.metric.name]
        usual = self._usual(found.metric.name) if not groups else np.nan
        axis = f"{scales[unit]} · {say(found.metric.interval)}"
        axes = charts.plot_intervals(table, "name", title, axis, usual, say("others"), percent=unit == "share")
        return charts.to_drawing(axes, self._alt(title, table, unit))

    def _alt(self, title: str, table: pd.DataFrame, unit: str) -> str:
        kind = unit if unit in ("share", "ratio", "days", "hours") else "count"
        currency = currency_of(self.book)
        rows = [
            f"{r['name']}: {written(self.say, r['value'], kind, currency, r['n'])} (n={r['n']})"
            for r in table.to_dict("records")
        ]
        return f"{title} " + "; ".join(rows)

    def _draw_funnel(self, found: Measure, table: pd.DataFrame, groups: list[str]) -> Drawing:
        say = self.say
        table = table.assign(name=self._names(table, groups))
        table["text"] = [
            f"n={say.number(r)} · {say.percent(v)}" for r, v in zip(table["reached"], table["value"], strict=True)
        ]
        title = say("How far do deals get?")
        axes = charts.plot_funnel(table, "name", title, say("deals that reached the stage"), say("still open there"))
        return charts.to_drawing(axes, self._alt(title, table.assign(n=table["reached"]), "share"))

    def _draw_stage_flow(self, found: Measure, table: pd.DataFrame, groups: list[str]) -> Drawing:
        say = self.say
        table = table.assign(name=self._names(table, groups))
        assert found.table is not None
        table["peers"] = [self._usual("stage_flow", s) for s in found.table["stage"]]
        title = say("Which stage lets deals through, which holds them back?")
        axes = charts.plot_stage_flow(table, "name", title, say("share that went on · 95 % interval"), say("others"))
        return charts.to_drawing(axes, self._alt(title, table, "share"))

    def _draw_pipeline(self, found: Measure, table: pd.DataFrame, groups: list[str]) -> Drawing:
        say = self.say
        table = table.assign(name=self._names(table, groups))
        table["text"] = [
            f"n={say.number(n)} · {written(say, v, 'money', money)}"
            for n, v, money in zip(table["n"], table["value"], self._currencies(table), strict=True)
        ]
        title = say("Where do open deals stand, and which wait too long?")
        axes = charts.plot_pipeline(table, "name", title, say("open deals"), say("longer in the stage than typical"))
        return charts.to_drawing(axes, self._alt(title, table.assign(value=table["n"]), "count"))

    def _draw_targets(self, found: Measure, table: pd.DataFrame, groups: list[str]) -> Drawing:
        say, currency = self.say, currency_of(self.book)
        table = table.assign(name=self._names(table, groups))
        for side in ("low", "high"):
            table[f"{side}_amount"] = table[side] * table["target"]
        table["text"] = [
            f"{written(say, v, 'ratio', currency)} · n={say.number(n)}"
            for v, n in zip(table["value"], table["n"], strict=True)
        ]
        title = say("What was won against the target?")
        axes = charts.plot_targets(
            table,
            "name",
            title,
            say("won amount · 95 % interval"),
            say("target"),
            lambda amount: say.short_money(amount, currency),
        )
        return charts.to_drawing(axes, self._alt(title, table, "ratio"))

    # --- people -------------------------------------------------------------------------------

    def _usual(self, metric: str, stage: str | None = None) -> float:
        """What is usual among the others, where that may be shown; else NaN."""
        if self._peers is None:
            return float("nan")
        rows = self._peers[self._peers["metric"] == metric]
        rows = rows[rows["stage"].isna()] if stage is None else rows[rows["stage"] == stage]
        return float(rows["value"].iloc[0]) if len(rows) else float("nan")

    def key_figures(self) -> Block:
        """At most seven figures, each with its range and n, beside what is usual among the others."""
        items = [item for item in (self._card(name) for name in KEY_FIGURES) if item is not None]
        return render("cards", "[" + "; ".join(f"{i['name']}: {i['value']}" for i in items) + "]", items)

    def _figure(self, name: str, by: str | Sequence[str] = ()) -> Measure:
        """A metric as one figure per person: numbers of deals go over all currencies, only amounts keep them apart."""
        deals = self.book.tables["deals"]
        if name not in COUNTED or "currency" not in deals:
            return self.measure(name, by)
        plain = {**self.book.tables, "deals": deals.drop(columns="currency")}
        return measure(replace(self.book, tables=plain), name, by=by, period=self.period)

    def _card(self, name: str) -> dict[str, str] | None:
        say = self.say
        found = self._figure(name)
        if found.table is None or found.table.empty:
            because = say("unavailable, because {because}", because=self._because(found)) if found.reason else ""
            return {"name": say(METRICS[name].title), "value": NOTHING, "range": because, "peers": ""}
        currency = currency_of(self.book)
        if name == "pipeline":
            amounts = found.table.assign(currency=self._currencies(found.table))
            sums = amounts.groupby("currency")["value"].sum(min_count=1)
            return {
                "name": say("Open deals"),
                "value": say.number(found.table["n"].sum()),
                "range": " + ".join(written(say, amount, "money", str(c)) for c, amount in sums.items()),
                "peers": "",
            }
        row = found.table.iloc[0].to_dict()
        kind = found.metric.unit
        shown = cell(say, row, Field("", "value", kind, "low", "high"), currency)
        usual = self._usual(name)
        others = say("others: about {value}", value=written(say, usual, kind, currency)) if usual == usual else ""
        n = say("n = {n}", n=say.number(row["n"]))
        unit = (
            {"days": say("{value} days", value=shown.text)}.get(kind, shown.text) if shown.text != NOTHING else NOTHING
        )
        return {"name": say(METRICS[name].title), "value": unit, "range": f"{shown.range} {n}".strip(), "peers": others}

    def roster(self) -> Block:
        """Everybody of the team in the order of names: results like for like, and what waits for them."""
        say, book = self.say, self.book
        people = book.people.sort_values("rep")[["rep_id", "rep"]]
        table = people.reset_index(drop=True)
        columns: list[Field] = []
        for name, fields in _ROSTER.items():
            found = self._figure(name, by="rep")
            if found.table is not None:
                part = found.table.rename(columns={f.column: f"{name}_{f.column}" for f in fields}).rename(
                    columns={c: f"{name}_{c}" for f in fields for c in (f.low, f.high) if c}
                )
                wanted = [str(c) for c in part if str(c).startswith(f"{name}_")]
                table = table.merge(part[["rep_id", *wanted]], on="rep_id", how="left", validate="1:1")
                columns += [
                    Field(
                        f.label,
                        f"{name}_{f.column}",
                        f.kind,
                        f.low and f"{name}_{f.low}",
                        f.high and f"{name}_{f.high}",
                    )
                    for f in fields
                ]
            if name == "win_rate":
                columns += [Field(_EXPECTED, "expected", "number"), Field(_SIGNAL, "signal", "text")]
        fair = like_for_like(book, self.period)
        table = table.merge(fair[["rep_id", "expected", "signal"]], on="rep_id", how="left", validate="1:1")
        table["signal"] = table["signal"].fillna("few").map(lambda s: say(SIGNALS[s]))
        notes = [
            say(
                "In the order of names, not of results. Expected: the wins that the team's usual rates give for each "
                "rep's own mix of segments and deal types. A signal is named only if it survives a control for many "
                "comparisons (false-discovery rate 10 %)."
            ),
            say("Nobody is compared on fewer than ten decided deals."),
        ]
        return table_block(say, book, say("Each of my people"), table, ["rep"], columns, notes)

    def waiting_deals(self, most: int = LISTED) -> Block:
        """Open deals that wait longer than typical for their stage, the largest first."""
        say, book = self.say, self.book
        deals = open_deals(book)
        typical = typical_days(book)
        at = pd.MultiIndex.from_frame(deals[["pipeline", "stage"]])
        deals["typical_days"] = typical.reindex(at).to_numpy() if len(typical) else np.nan
        late = deals[deals["age_days"] > deals["typical_days"]].sort_values(
            ["amount_minor", "deal_id"], ascending=[False, True]
        )
        caption = say("Open deals that wait longer than is typical")
        if late.empty:
            return render(
                "empty",
                caption,
                say(
                    "No open deal waits longer than is typical for its stage, or too few deals went on to say what is "
                    "typical."
                ),
            )
        shown, _ = self._labelled(late.head(most), [])
        names = shown["name"].fillna(shown["deal_id"]) if "name" in shown else shown["deal_id"]
        currency = currency_of(book)
        rows = [
            [
                Cell(str(name)),
                Cell(r["stage"]),
                Cell(written(say, r.get("amount"), "money", str(r["currency"] or currency))),
                Cell(written(say, r["age_days"], "days", currency)),
                Cell(written(say, r["typical_days"], "days", currency)),
                Cell(written(say, r.get("expected_close_on"), "date", currency)),
            ]
            for name, r in zip(names, shown.to_dict("records"), strict=True)
        ]
        columns = [
            Column(say("Deal"), False),
            Column(say("Stage"), False),
            Column(say("Amount")),
            Column(say("Days in the stage")),
            Column(say("Typical, at most")),
            Column(say("Expected close")),
        ]
        note = say(
            "{n} of {all} open deals; typical: the time within which 8 of 10 deals that went on did so.",
            n=say.number(len(late)),
            all=say.number(len(deals)),
        )
        return render("table", f"[{caption}]", caption, columns, rows, [note])

    def peers_note(self) -> Block:
        """What stands behind the figures of the others."""
        say = self.say
        text = say(
            "“Others” are at least {n} other reps taken together; shares are rounded to 5 points, times to two digits. "
            "Where fewer stand behind a figure it is not shown.",
            n=OTHERS,
        )
        return render("empty", text, text)

    # --- trust --------------------------------------------------------------------------------

    def input_summary(self) -> Block:
        """Rows read, used and set aside per table."""
        say = self.say
        rows = [
            [name, n.get("read", n["used"]), n["used"], n.get("quarantined", 0), n.get("blank", 0)]
            for name, n in sorted(self.book.quality["rows"].items())
        ]
        labels = [say("Table"), say("Rows read"), say("Used"), say("Set aside"), say("Blank")]
        return text_table(
            say,
            say("Every row is used or set aside"),
            labels,
            rows,
            range(1, 5),
            [say("Rows read = used + set aside + blank: checked at each load, as is the money.")],
        )

    def set_aside(self, most: int = LISTED) -> Block:
        """The rows that could not be used: reason, how many, and one example each."""
        say = self.say
        out = self.book.quarantine
        caption = say("Rows set aside")
        if out.empty:
            return render("empty", caption, say("No row had to be set aside."))
        rows = []
        for reason, part in out.groupby("reason", sort=True):
            first = part.sort_values(["table", "file", "line"]).iloc[0]
            where = say("{file}, line {line}", file=first["file"], line=first["line"])
            value = "" if pd.isna(first["column"]) or not first["column"] else f"{first['column']} = {first['value']!r}"
            rows.append([reason, len(part), where, value, in_language(say, first["hint"])])
        labels = [say("Reason"), say("Rows"), say("First one"), say("Value"), say("What to do")]
        return text_table(
            say,
            caption,
            labels,
            rows[: most * 3],
            [1],
            [say("quarantine.csv in the book's folder lists every one of them.")],
        )

    def remarks(self) -> Block:
        """What was noticed in the data and used as it is."""
        say = self.say
        notes = self.book.quality.get("notes", [])
        rows = [
            [
                say(CHECKS.get(n["check"], n["check"])),
                f"{n['table']}.{n['column']}",
                n["count"],
                ", ".join(n.get("examples", [])[:3]),
            ]
            for n in sorted(notes, key=lambda n: (-n["count"], n["check"]))
        ]
        return text_table(
            say, say("Noticed, and used"), [say("What"), say("Where"), say("Rows"), say("Examples")], rows, [2]
        )

    def unlocks(self) -> Block:
        """Which tables the book has and what each unlocks."""
        say = self.say
        rows = [
            [name, say("yes") if name in self.book.tables else say("no"), say(t.unlocks)] for name, t in TABLES.items()
        ]
        return text_table(say, say("What each table unlocks"), [say("Table"), say("There?"), say("Unlocks")], rows)

    def availability(self) -> Block:
        """Every metric: its definition, and whether this book can answer it."""
        say = self.say
        rows = []
        for name in METRICS:
            found = self.measure(name)
            state = say("yes") if found.available else say("no, because {because}", because=self._because(found))
            rows.append([say(found.metric.title), state, say(found.metric.definition)])
        return text_table(say, say("What can be known"), [say("Metric"), say("Available?"), say("Definition")], rows)

    def definitions(self, *names: str) -> Block:
        """Definitions and caveats of the metrics on the page."""
        say = self.say
        rows = [
            [say(METRICS[n].title), say(METRICS[n].definition), say(METRICS[n].caveat)] for n in names or KEY_FIGURES
        ]
        return text_table(
            say, say("What the numbers mean"), [say("Metric"), say("Definition"), say("Keep in mind")], rows
        )
