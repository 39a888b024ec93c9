"""A report on one book, team or rep: each method is one piece of a page, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

import salescoach
from salescoach.book import TABLES, Book, open_book
from salescoach.charts import Drawing
from salescoach.coaching.agreed import Agreed, read_agreed
from salescoach.errors import UsageError, commas, listed
from salescoach.metrics import METRICS, Measure, currency_of, find_metric, measure
from salescoach.metrics.groups import NONE
from salescoach.metrics.outcomes import only_wins
from salescoach.metrics.peers import OTHERS, OTHERS_OF_A_MEDIAN, TIMES
from salescoach.metrics.support import coach_hint
from salescoach.process import Period, parse_period, period_of
from salescoach.reports.blocks import Block, cell, in_pairs, render, row_currencies, table_block, text_table, written
from salescoach.reports.conformance import Conformance
from salescoach.reports.drivers import Drivers
from salescoach.reports.fields import CHECKS, DEVIATION_WORDS, TEXT_GROUPS, Field, fields_of
from salescoach.reports.forecast import Forecasts
from salescoach.reports.gauges import Scale, scale_of
from salescoach.reports.impact import Impact
from salescoach.reports.one_to_one import OneToOne
from salescoach.reports.others import tables_of_a_team, tables_of_others
from salescoach.reports.people import LISTED, People
from salescoach.reports.pictures import Painter
from salescoach.reports.rates import Rates
from salescoach.reports.reasons import Reasons
from salescoach.reports.selling import Selling
from salescoach.reports.times import Times
from salescoach.reports.upstairs import Upstairs
from salescoach.sources import sample_book
from salescoach.sources.hints import sentence_of
from salescoach.wording import NOTHING, Words, is_known, words

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
BARE = {"gauge": None, "outcome": ""}


def _last_groups_last(names: pd.Series) -> pd.Series:
    """Sort key: names in their order, (unassigned) after them."""
    return names.where(~names.isin(TEXT_GROUPS), "\U0010ffff" + names)


def _scale_of_card(table: pd.DataFrame, field: Field, usual: float) -> Scale | None:
    """All for a share; for other figures only where that of others stands on it too."""
    scale = scale_of(table, field)
    if scale is None or field.kind == "share":
        return scale and Scale(0.0, 1.0)
    return Scale(scale.start, max(scale.end, usual)) if usual == usual else None


def find_book(book: str | Path | Book) -> Book:
    """A book object, a folder of a saved book, or "demo" for the bundled demo data.

    A folder that is not here is looked for one folder up: Jupyter runs a notebook in the notebook's own folder.
    """
    if isinstance(book, Book):
        return book
    return sample_book() if str(book) == DEMO else open_book(folder_of(book))


def folder_of(book: str | Path) -> Path:
    """The folder of a saved book, here or one folder up."""
    here = Path(book).absolute()
    above = Path.cwd().parent / book
    return above if above.is_dir() and not here.exists() else here


def open_report(
    book: str | Path | Book,
    rep: str | None = None,
    team: str | None = None,
    period: str | None = None,
    language: str = "en",
) -> Report:
    """A report on a whole book, on one team or on one rep.

    book      folder of a saved book, "demo", or a Book
    rep, team id or name; at most one of them; rep="": a page about one rep on which none is chosen yet
    period    "2026Q3", "2026-01..2026-06", "last 90 days"; nothing: everything up to as_of
    language  "en" or "zh"

    Raises UsageError for a rep, team, period or language that does not exist.
    """
    whole = find_book(book)
    agreed = Agreed() if isinstance(book, Book) or not rep else read_agreed(folder_of(book))
    if rep and team:
        raise UsageError("Give a rep or a team, not both.")
    say = words(language)
    span = parse_period(period, whole.process, whole.as_of_on.date())
    if rep:
        whole = replace(whole.for_rep(rep), peers=whole.peers or tables_of_others(whole, span))
    elif team:
        found = whole.peers or tables_of_a_team(whole, str(whole.find_team(team)), span)
        whole = replace(whole.for_team(team), peers=found)
    report = Report(whole, say, span, rep=whole.people["rep"].iloc[0] if rep else rep, team=team)
    report.agreed = agreed
    return report


class Report(Conformance, Drivers, OneToOne, Impact, People, Rates, Reasons, Selling, Times, Upstairs, Forecasts):
    """The pieces of a page. Every method returns one block or drawing and changes nothing."""

    def __init__(self, book: Book, say: Words, period: Period, rep: str | None, team: str | None) -> None:
        self.book, self.say, self.period, self.rep, self.team = book, say, period, rep, team

    # --- head and foot ------------------------------------------------------------------------

    @property
    def who(self) -> str:
        """Whom the report is about."""
        return self.rep or self.team or self.say("All teams")

    @property
    def when(self) -> str:
        return self._when(self.period)

    def _when(self, period: Period) -> str:
        say = self.say
        if period.start_on is None:
            return say("everything up to {day}", day=say.date(period.end_on))
        dates = f"{say.date(period.start_on)} – {say.date(period.end_on)}"
        return dates if period.label.startswith("last ") else say("{text} ({note})", text=period.label, note=dates)

    @property
    def quarter(self) -> str:
        """The quarter in which the report's period ends, as one writes a period; the fiscal one where that differs."""
        year = self.book.process.calendar.fiscal_year
        usual = year.pattern is None and not year.starts and (year.start_month or 1) % 3 == 1
        last = min(self.period.end_on, self.book.as_of_on.date())
        days = pd.Series([pd.Timestamp(last)])
        return str(period_of(days, "quarter" if usual else "fiscal_quarter", self.book.process).iloc[0])

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
        if self.rep == "" and self.team is None:  # a page about a team or everybody names nobody
            return say(
                "No rep is chosen, so the page counts everybody. Set `rep` to an id or a name: {reps}.",
                reps=listed(self.book.people["rep"]),
            )
        if only_wins(self.book):
            return say(
                "No deal of {who} in the data is lost. If the export leaves lost deals out, the win rate says nothing.",
                who=self.who,
            )
        decided = self.measure("win_rate").table
        if decided is not None and not decided["n"].sum():
            return say("No deal of {who} was won or lost in this period: rates stay empty.", who=self.who)
        return ""

    def _trust(self) -> str:
        say, out, used = self.say, self.book.quarantine, self.say.number(len(self.book.deals))
        if out.empty:
            return say("{used} deals used; no row set aside", used=used)
        return say(
            "{used} deals used; {out} rows set aside, {deals} of them deals",
            used=used,
            out=say.number(len(out)),
            deals=say.number((out["table"] == "deals").sum()),
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

    def measure(self, name: str, by: str | Sequence[str] = (), period: str | None = None, **options: Any) -> Measure:
        """One metric in the report's scope and period (or another period), with options of its own.

        A stock, such as the pipeline, is the whole stock whatever the report's period: that would choose by expected
        close and hide the deals that are overdue.
        """
        usual = "" if find_metric(name).stock else self.period
        return measure(self.book, name, by=by, period=usual if period is None else period, **options)

    def table(self, name: str, by: str | Sequence[str] = (), period: str | None = None, **options: Any) -> Block:
        """A metric as a table, with its definition below; or the reason why it is unavailable."""
        found = self.measure(name, by, period, **options)
        if found.table is None or found.table.empty:
            return self._nothing(found)
        table, groups = self._labelled(found.table, list(found.by))
        fields = self._fields(found)
        shown = [g for g in groups if g not in [f.column for f in fields]]
        notes = [*self._other_period(found), self._definition(found), *self._options(found), *self._hints(found)]
        return table_block(self.say, self.book, self.say(found.metric.title), table, shown, fields, notes)

    def chart(
        self, name: str, by: str | Sequence[str] = (), period: str | None = None, **options: Any
    ) -> Drawing | Block:
        """A metric as a picture whose title is the question it answers."""
        found = self.measure(name, by, period, **options)
        if found.table is None or found.table.empty:
            return self._nothing(found)
        table, groups = self._labelled(found.table, list(found.by))
        if found.metric.unit == "money" and "currency" in table and name != "pipeline":
            text = self.say("Amounts in several currencies do not share one axis; the table has them apart.")
            return render("empty", text, text)
        when = found.period.label if self._other_period(found) else ""
        return Painter(self.say, self.book, self.who, self._usual, self._fields(found), when).draw(found, table, groups)

    def _labelled(self, table: pd.DataFrame, groups: list[str]) -> tuple[pd.DataFrame, list[str]]:
        """Stage keys and pipelines by their labels; the columns that tell the rows apart, from left to right."""
        table = table.copy()
        if "rep" in table:
            table = table.sort_values("rep", key=_last_groups_last, kind="stable", ignore_index=True)
        several = len(self.book.process.pipelines) > 1
        if "stage" in table and "pipeline" not in table:
            table = self._in_stage_order(table.assign(pipeline=[self._pipeline_of(s) for s in table["stage"]]))
        if "stage" in table:
            table["stage"] = [self._stage(p, s) for p, s in zip(table["pipeline"], table["stage"], strict=True)]
            if several:
                table["pipeline"] = [self._pipeline(p) for p in table["pipeline"]]
            groups = [*(g for g in groups if g != "stage"), *(["pipeline"] if several else []), "stage"]
        if "deviation" in table:
            table["deviation"] = [self.say(DEVIATION_WORDS.get(d, d)) for d in table["deviation"]]
        if "currency" in table:
            groups = [*groups, "currency"]
        left = [str(c) for c in table.columns[: list(table).index("n")]] if "n" in table else []
        further = [c for c in left if c not in ("rep_id", "pipeline")]
        return table, list(dict.fromkeys([*groups, *further]))

    def _in_stage_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of which the metric knew no order but that of the stages' keys."""
        keys = [k for line in self.book.process.pipelines.values() for k in line.keys]
        places = table["stage"].map({key: keys.index(key) for key in keys})
        return table.loc[places.sort_values(kind="stable", na_position="last").index].reset_index(drop=True)

    def _pipeline_of(self, stage: str) -> str:
        """The first pipeline that has a stage of this key."""
        lines = self.book.process.pipelines.items()
        return next((key for key, line in lines if stage in line.keys), next(iter(self.book.process.pipelines)))

    def _stage(self, pipeline: str, stage: str) -> str:
        """A stage's label; that of no stage as a word for it."""
        known = pipeline in self.book.process.pipelines and stage in self.book.process.pipelines[pipeline].keys
        return self.book.process.stage_label(pipeline, stage, self.say.language) if known else self.say(stage)

    def _pipeline(self, pipeline: str) -> str:
        lines = self.book.process.pipelines
        return lines[pipeline].label.in_language(self.say.language) if pipeline in lines else self.say(pipeline)

    def _fields(self, found: Measure) -> tuple[Field, ...]:
        columns = [] if found.table is None else [str(c) for c in found.table]
        return fields_of(found.metric.name, found.metric.title, found.metric.unit, columns)

    def _definition(self, found: Measure) -> str:
        say = self.say
        definition, basis = say(found.metric.definition), say(found.basis)
        if not any(f.low for f in self._fields(found)):
            return say("{definition} Counted by: {basis}.", definition=definition, basis=basis)
        return say(
            "{definition} Counted by: {basis}. In brackets: {interval}.",
            definition=definition,
            basis=basis,
            interval=say(found.metric.interval),
        )

    def _other_period(self, found: Measure) -> list[str]:
        """The period, where it is not the report's own; a stock has none."""
        if found.metric.stock or found.period == self.period:
            return []
        return [self.say("Period: {period}", period=self._when(found.period))]

    def _hints(self, found: Measure) -> list[str]:
        """What the process file says to the manager about stages in which deals are lost."""
        if found.metric.name != "loss_reasons" or found.options.get("of", "lost") != "lost" or found.table is None:
            return []
        if "stage" not in found.by:
            return []
        places = found.table[["pipeline", "stage"]].drop_duplicates().itertuples(index=False)
        hints = [(p, s, coach_hint(self.book, p, s, self.say.language)) for p, s in places if s != NONE]
        say = self.say
        return [say("{who}: {what}", who=self._stage(p, s), what=hint) for p, s, hint in hints if hint]

    def _options(self, found: Measure) -> list[str]:
        """What was chosen for this table and not for others, and what it changes."""
        say, meanings = self.say, found.metric.meanings
        return [
            say("Here {name} = {value}. {meaning}", name=name, value=value, meaning=say(meanings.get(name, "")))
            for name, value in found.options.items()
        ]

    def _because(self, found: Measure) -> str:
        return "" if found.reason is None else self.say(found.reason.said)

    def _nothing(self, found: Measure) -> Block:
        """Said in place of a table or picture: why there is none."""
        say, title = self.say, self.say(found.metric.title)
        text = (
            say("{metric}: there is nothing to count in the period.", metric=title)
            if found.reason is None
            else say("{metric}: unavailable, because {because}.", metric=title, because=self._because(found))
        )
        return render("empty", text, text)

    # --- people -------------------------------------------------------------------------------

    def _usual(self, metric: str, stage: str | None = None) -> float:
        """What is usual among the others, where that may be shown; else NaN."""
        peers = self.book.peers.get("peers")
        if peers is None:
            return float("nan")
        rows = peers[peers["metric"] == metric]
        rows = rows[rows["stage"].isna()] if stage is None else rows[rows["stage"] == stage]
        return float(rows["value"].iloc[0]) if len(rows) else float("nan")

    def _others(self, metric: str, written: Callable[[float], str]) -> str:
        """What is usual among the others, or that it is hidden; nothing where no page tells it."""
        peers = self.book.peers.get("peers")
        if peers is None or metric not in set(peers["metric"]):
            return ""
        usual = self._usual(metric)
        if usual == usual:
            return self.say("others: about {value}", value=written(usual))
        return self.say("others: hidden, fewer than {n}", n=OTHERS_OF_A_MEDIAN if metric in TIMES else OTHERS)

    def key_figures(self, *names: str) -> Block:
        """At most seven figures, each with its range and n, beside what is usual among the others."""
        items = [item for item in (self._card(name) for name in names or KEY_FIGURES) if item is not None]
        told = in_pairs(self.say, ((item["name"], item["value"]) for item in items))
        return render("cards", f"[{told}]", items)

    def _figure(self, name: str, by: str | Sequence[str] = ()) -> Measure:
        """A metric as one figure per person: numbers of deals go over all currencies, only amounts keep them apart."""
        deals = self.book.tables["deals"]
        if name not in COUNTED or "currency" not in deals:
            return self.measure(name, by)
        plain = {**self.book.tables, "deals": deals.drop(columns="currency")}
        return measure(replace(self.book, tables=plain), name, by=by, period=self.period)

    def _card(self, name: str) -> dict[str, Any] | None:
        say = self.say
        found = self._figure(name)
        if found.table is None or found.table.empty:
            because = say("unavailable, because {because}", because=self._because(found)) if found.reason else ""
            return {"name": say(METRICS[name].title), "value": NOTHING, "range": because, "peers": "", **BARE}
        currency = currency_of(self.book)
        if name == "pipeline":
            amounts = found.table.assign(currency=row_currencies(self.book, found.table))
            sums = amounts.groupby("currency")["value"].sum(min_count=1)
            return {
                "name": say("Open deals"),
                "value": say.number(found.table["n"].sum()),
                "range": " + ".join(written(say, amount, "money", str(c)) for c, amount in sums.items()),
                "peers": "",
                **BARE,
            }
        row = found.table.iloc[0].to_dict()
        kind = found.metric.unit
        field, usual = Field("", "value", kind, "low", "high"), self._usual(name)
        shown, scale = cell(say, row, field, currency), _scale_of_card(found.table.head(1), field, usual)
        bar: dict[str, Any] = dict(BARE)
        if scale and shown.range:
            value, low, high = (float(row[c]) for c in ("value", "low", "high"))
            bar = {"gauge": scale.gauge(value, low, high, usual), "outcome": "won" if name == "win_rate" else ""}
        others = self._others(name, lambda usual: written(say, usual, kind, currency))
        n = say("n = {n}", n=say.number(row["n"]))
        unit = (
            {"days": say("{value} days", value=shown.text)}.get(kind, shown.text) if shown.text != NOTHING else NOTHING
        )
        return {
            "name": say(METRICS[name].title),
            "value": unit,
            "range": f"{shown.range} {n}".strip(),
            "peers": others,
            **bar,
        }

    def peers_note(self) -> Block:
        """What stands behind the figures of the others."""
        say = self.say
        text = say(
            "“Others” are at least {n} other reps taken together, for times {median}; shares are rounded to 5 points, "
            "times by up to a sixth. Where fewer stand behind a figure, or one of them holds most of it, it is hidden.",
            n=OTHERS,
            median=OTHERS_OF_A_MEDIAN,
        )
        return render("empty", text, text)

    # --- trust --------------------------------------------------------------------------------

    def input_summary(self) -> Block:
        """Rows read, used and set aside per table."""
        say = self.say
        counts = sorted(self.book.quality["rows"].items())
        rows = [
            [name, n.get("read", n["used"]), n["used"], n.get("quarantined", 0), n.get("blank", 0)]
            for name, n in counts
        ]
        labels = [say("Table"), say("Rows read"), say("Used"), say("Set aside"), say("Blank")]
        note = say("Rows read = used + set aside + blank: checked at each load, as is the money.")
        if any(n.get("other", 0) for _, n in counts):
            rows = [[*row, n.get("other", 0)] for row, (_, n) in zip(rows, counts, strict=True)]
            labels.append(say("Elsewhere"))
            note = say(
                "Rows read = used + set aside + blank + elsewhere (of another table, or an earlier day of the same "
                "deal): checked at each load, as is the money."
            )
        return text_table(say, say("Every row is used or set aside"), labels, rows, range(1, len(labels)), [note])

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
            rows.append([reason, len(part), where, self._rejected(first), say(sentence_of(first["hint"]))])
        labels = [say("Reason"), say("Rows"), say("First one"), say("Value"), say("What to do")]
        return text_table(
            say,
            caption,
            labels,
            rows[: most * 3],
            [1],
            [say("quarantine.csv in the book's folder lists every one of them.")],
        )

    def _rejected(self, row: pd.Series) -> str:
        """The value for which a row was set aside; empty where it is not about one column."""
        column, value = row["column"], row["value"]
        if not is_known(column) or not column:
            return ""
        if not is_known(value) or not value:
            return self.say("{column} is blank", column=column)
        return f"{column} = {value!r}"

    def remarks(self) -> Block:
        """What was noticed in the data and used as it is."""
        say = self.say
        notes = self.book.quality.get("notes", [])
        if not notes:
            text = say("Nothing else was noticed in the data.")
            return render("empty", text, text)
        rows = [
            [
                say(CHECKS.get(n["check"], n["check"])),
                f"{n['table']}.{n['column']}",
                n["count"],
                say(commas(n.get("examples", [])[:3])),
            ]
            for n in sorted(notes, key=lambda n: (-n["count"], n["check"]))
        ]
        return text_table(
            say, say("Noticed, and used"), [say("What"), say("Where"), say("Rows"), say("Examples")], rows, [2]
        )

    def unlocks(self) -> Block:
        """Which tables the data came with and what each unlocks."""
        say, given = self.say, self.book.quality["rows"]
        rows = [[name, say("yes") if name in given else say("no"), say(t.unlocks)] for name, t in TABLES.items()]
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
