"""The parts of the SELECTs that count: from stage entries and changes of owner to visits and passages.

The reference is `visits.py`, which does the same in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from salescoach.book import TABLES
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.groups import NONE, PEOPLE, UNASSIGNED, UNITS, group_keys
from salescoach.metrics.ladder import FIRST_DAY_CODE, FIRST_HOUR, MINUTES, NO_AGE, day_code
from salescoach.metrics.registry import as_period, is_everything
from salescoach.process import UNDATED, Period, period_of
from salescoach.sources.warehouse import Warehouse

CTE = tuple[str, str]  # the name of a common table expression and its SELECT
CLOSING = {"won": -1, "lost": -2, "void": -3}  # in place of the depth of a stage that ends the deal
DEEPEST = 62  # one bit per working stage tells where a deal has been
PACKED = 64  # place * 64 + depth: the smallest is the first, and says how deep it is
MINUTE, HOUR = 60_000_000, 3_600_000_000  # microseconds
KEYS = {"age": "whole", "late": "whole", "order": "whole", "first": "flag", "ended": "flag"}  # the others are text


@dataclass(frozen=True)
class Query:
    """One SELECT, and what its columns hold: `keys` by which it counts, and `counts`; name -> kind."""

    text: str
    keys: dict[str, str]
    counts: dict[str, str]

    def answer(self, warehouse: Warehouse) -> pd.DataFrame:
        """The count table, sorted by its keys."""
        table = warehouse.fetch(self.text, {**self.keys, **self.counts})
        return table.sort_values(list(self.keys), kind="stable", ignore_index=True)


def literal(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Words:
    """Parts of a SELECT over one warehouse, for units split by these groups."""

    warehouse: Warehouse
    groups: Sequence[str]

    # --- names and values ---------------------------------------------------------------------

    def table(self, name: str) -> str:
        return f"{quoted(self.warehouse.schema)}.{quoted(name)}"

    @property
    def history(self) -> str:
        if not self.warehouse.has("stage_history"):
            raise Unavailable("there is no stage history: the export has no dates at all")
        return self.table("stage_history")

    @property
    def today(self) -> str:
        return f"DATE '{self.warehouse.head.as_of_on.date()}'"

    @property
    def now(self) -> str:
        return f"TIMESTAMPTZ '{self.warehouse.head.as_of.isoformat()}'"

    def day(self, instant: str) -> str:
        """The calendar day of an instant in the book's time zone."""
        return f"CAST({instant} AT TIME ZONE {literal(self.warehouse.head.timezone)} AS DATE)"

    def inside(self, day: str, period: str | Period | None) -> str:
        """Whether a day lies in the period; what has no date belongs to no period but to the whole."""
        head = self.warehouse.head
        span = as_period(head, period)
        reaches = f"{day} <= DATE '{span.end_on}'"
        if is_everything(head, span):
            return f"({reaches} OR {day} IS NULL)"
        return reaches if span.start_on is None else f"{day} BETWEEN DATE '{span.start_on}' AND DATE '{span.end_on}'"

    def ladder(self, lasted: str, days: str) -> str:
        """The ladder code of a time in microseconds and in calendar days: as `ladder.ladder_codes`."""
        late = f"{FIRST_DAY_CODE - 2} + {days}"
        if self.warehouse.head.by_day_only("stage_history", "entered_at"):
            return f"""CAST(CASE WHEN {days} IS NULL OR {days} < 0 THEN {NO_AGE} WHEN {days} = 0 THEN 0
    WHEN {days} = 1 THEN {day_code(1)} ELSE {late} END AS BIGINT)"""
        return f"""CAST(CASE WHEN {lasted} IS NULL OR {lasted} < 0 THEN {NO_AGE}
    WHEN {lasted} < {MINUTES * MINUTE} THEN ({lasted} - MOD({lasted}, {MINUTE})) / {MINUTE}
    WHEN {lasted} < {48 * HOUR} THEN {MINUTES - FIRST_HOUR} + ({lasted} - MOD({lasted}, {HOUR})) / {HOUR}
    ELSE GREATEST({late}, {FIRST_DAY_CODE}) END AS BIGINT)"""

    def lasted(self, start: str, end: str) -> str:
        """Microseconds from one instant to another."""
        return f"{_microseconds(end)} - {_microseconds(start)}"

    def days(self, start: str, end: str) -> str:
        """Calendar days from one instant to another."""
        return f"CAST({self.day(end)} - {self.day(start)} AS BIGINT)"

    # --- deals and their owners ---------------------------------------------------------------

    @property
    def has_handovers(self) -> bool:
        return self.warehouse.has("changes", "old")

    @property
    def owner(self) -> str:
        """Who owned the deal `d` at the instant that `handed_over` was asked for."""
        return "CASE WHEN o.deal_id IS NULL THEN d.rep_id ELSE o.old END" if self.has_handovers else "d.rep_id"

    def handed_over(self, instant: str) -> str:
        """Joins the first change of owner of the deal `d` from an instant on."""
        if not self.has_handovers:
            return ""
        return f"""LEFT JOIN taken o
  ON o.deal_id = d.deal_id AND {instant} <= o.taken_at AND (o.since IS NULL OR {instant} > o.since)"""

    def deals(self) -> list[CTE]:
        """deal: one row per deal; taken: recorded changes of owner, each with the one before."""
        has = self.warehouse.has
        optional = {"rep_id": "VARCHAR", "closed_at": "TIMESTAMPTZ", "amount_minor": "BIGINT"}
        columns = [c if has("deals", c) else f"CAST(NULL AS {kind}) AS {c}" for c, kind in optional.items()]
        ours = literal(self.warehouse.head.currency)
        columns.append(f"COALESCE(currency, {ours}) AS currency" if has("deals", "currency") else f"{ours} AS currency")
        columns += [f"{quoted(theirs)} AS {name}" for theirs, name in self._deal_columns.items()]
        found = [("deal", f"SELECT deal_id, pipeline, outcome, {', '.join(columns)}\nFROM {self.table('deals')}")]
        if self.has_handovers:
            same = "AND NOT COALESCE(old = new, FALSE)" if has("changes", "new") else ""
            text = f"""SELECT deal_id, "at" AS taken_at, place, old,
  LAG("at") OVER (PARTITION BY deal_id ORDER BY "at", place) AS since
FROM {self.table("changes")} WHERE field = 'rep_id' {same}"""
            found.append(("taken", text))
        return found

    @cached_property
    def _deal_columns(self) -> dict[str, str]:
        """The groups that are columns of `deals` of their own: theirs -> ours."""
        known = ("pipeline", "outcome", "currency", *PEOPLE, *UNITS)
        asked = [g for g in self.groups if g not in known and self.warehouse.has("deals", g)]
        asked += [p for p in ("team", "manager") if p in self.groups and self._own_people(p)]
        return {name: f"group_{i}" for i, name in enumerate(asked)}

    def _own_people(self, name: str) -> bool:
        """Whether deals name their team or manager themselves, as `reps` does not."""
        return not self.warehouse.has("reps", name) and self.warehouse.has("deals", name)

    # --- visits and passages ------------------------------------------------------------------

    @cached_property
    def steps(self) -> str:
        """Every stage of every pipeline as a row: pipeline, stage, depth, bit, width."""
        rows = []
        for key, line in self.warehouse.head.process.pipelines.items():
            width = len(line.working)
            if width > DEEPEST:
                raise Unavailable("the pipeline {name} has more than {most} working stages", name=key, most=DEEPEST)
            for place, stage in enumerate(line.stages):
                depth = CLOSING[stage.outcome] if stage.outcome else place
                bit = 0 if stage.outcome else 1 << place
                rows.append(f"({literal(key)}, {literal(stage.key)}, {depth}, CAST({bit} AS BIGINT), {width})")
        return "VALUES " + ",\n  ".join(rows)

    @property
    def closing(self) -> set[str]:
        return {s.key for line in self.warehouse.head.process.pipelines.values() for s in line.stages if s.outcome}

    @property
    def depths(self) -> range:
        """The depths below which there may be a deeper stage."""
        return range(max(len(line.working) for line in self.warehouse.head.process.pipelines.values()) - 1)

    def visits(self) -> list[CTE]:
        """visit: one row per stay of a deal in a stage, with its deal's columns and the owner at its end."""
        closing = " ".join(f"WHEN m.next_depth = {depth} THEN '{outcome}'" for outcome, depth in CLOSING.items())
        visit = f"""SELECT t.*, t.way_out AS "exit", {self.ladder("t.stayed", "t.stayed_days")} AS age,
  CASE WHEN t.handover THEN {self.ladder("t.taken_after", "t.taken_days")} ELSE {NO_AGE} END AS late
FROM (
  SELECT d.*, {self.owner} AS owner, s.stage, s.depth AS "order", m.handover, {self.day("m.next_at")} AS exited_on,
    NOT m.handover AND (COALESCE(m.been, 0) & m.bit) = 0 AS "first",
    CASE WHEN m.next_at IS NULL THEN 'still' WHEN m.next_handover THEN 'handed_off' {closing}
      WHEN m.next_depth > m.depth THEN 'advanced' WHEN m.next_depth < m.depth THEN 'back' ELSE 'still' END AS way_out,
    {self.lasted("m.entered_at", f"COALESCE(m.next_at, {self.now})")} AS stayed,
    {self.days("m.entered_at", f"COALESCE(m.next_at, {self.now})")} AS stayed_days,
    {self.lasted("m.entered_at", "m.happened_at")} AS taken_after,
    {self.days("m.entered_at", "m.happened_at")} AS taken_days
  FROM move m JOIN deal d ON d.deal_id = m.deal_id LEFT JOIN step s ON s.pipeline = d.pipeline AND s.depth = m.depth
  {self.handed_over("m.next_at")}
  WHERE m.depth >= 0 OR m.depth IS NULL
) t"""
        return [*self.moves(), ("visit", visit)]

    def moves(self, further: Sequence[str] = ()) -> list[CTE]:
        """move: stage entries and handovers, each with the one behind it; been: the bits of the stages before it."""
        move = f"""SELECT *, LEAD(happened_at) OVER run AS next_at, LEAD(depth) OVER run AS next_depth,
  LEAD(handover) OVER run AS next_handover, LEAD(observed) OVER run AS next_observed,
  BIT_OR(bit) OVER (PARTITION BY deal_id ORDER BY happened_at, handover, place
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS been{"".join(f", {f}" for f in further)}
FROM happening
WINDOW run AS (PARTITION BY deal_id ORDER BY happened_at, handover, place)"""
        if further:
            ahead = "PARTITION BY deal_id ORDER BY happened_at RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"
            move += f",\n  ahead AS ({ahead})"
        return [
            ("step (pipeline, stage, depth, bit, width)", self.steps),
            *self.deals(),
            *self.happenings(),
            ("move", move),
        ]

    def happenings(self) -> list[CTE]:
        """happening: the history with the changes of owner between; each of these carries on the stage it found."""
        several = len(self.warehouse.head.process.pipelines) > 1
        of_deal = f"JOIN {self.table('deals')} d ON d.deal_id = h.deal_id" if several else ""
        same = " AND s.pipeline = d.pipeline" if several else ""
        entry = f"""SELECT h.deal_id, h.entered_at, h.place, s.depth, s.bit, h.evidence = 'observed' AS observed
FROM {self.history} h {of_deal} LEFT JOIN step s ON s.stage = h.stage{same}"""
        happening = """SELECT deal_id, entered_at AS happened_at, FALSE AS handover, place, depth, bit, observed,
  entered_at
FROM entry"""
        if not self.has_handovers:
            return [("entry", entry), ("happening", happening)]
        found = """SELECT t.deal_id, t.taken_at, t.place, MAX(e.place) AS entry
FROM taken t JOIN entry e ON e.deal_id = t.deal_id AND e.entered_at <= t.taken_at
GROUP BY t.deal_id, t.taken_at, t.place"""
        happening += """
UNION ALL
SELECT t.deal_id, t.taken_at, TRUE, t.place, e.depth, e.bit, e.observed, e.entered_at
FROM taken_in t JOIN entry e ON e.deal_id = t.deal_id AND e.place = t.entry"""
        return [("entry", entry), ("taken_in", found), ("happening", happening)]

    def passages(self, mature_days: int) -> list[CTE]:
        """judged: one row per deal and working stage it reached, with what came of it."""
        ahead = ["MAX(CASE WHEN NOT handover THEN depth END) OVER ahead AS reach", "BIT_OR(bit) OVER ahead AS stages"]
        for depth in self.depths:
            deeper = f"CASE WHEN depth > {depth} AND NOT handover THEN"
            ahead.append(f"MIN({deeper} happened_at END) OVER ahead AS deeper_at_{depth}")
            ahead.append(f"MIN({deeper} place * {PACKED} + depth END) OVER ahead AS deeper_{depth}")
        at = " ".join(f"WHEN {k} THEN m.deeper_at_{k}" for k in self.depths)
        to = " ".join(f"WHEN {k} THEN m.deeper_{k}" for k in self.depths)
        first = "(s.depth = m.depth AND (COALESCE(m.been, 0) & s.bit) = 0)"
        passage = f"""SELECT d.*, s.stage, s.depth AS "order", s.width,
  NOT {first} AS skipped, CASE WHEN {first} THEN m.happened_at END AS entered_at,
  {first} AND m.observed AND (m.next_at IS NULL OR m.next_observed) AS timed,
  {f"CASE s.depth {at} END" if at else self._nothing("TIMESTAMPTZ")} AS deeper_at,
  {f"MOD(CASE s.depth {to} END, {PACKED})" if to else self._nothing("BIGINT")} AS deeper_to
FROM move m JOIN deal d ON d.deal_id = m.deal_id JOIN step s ON s.pipeline = d.pipeline AND s.depth >= 0 AND ({first}
  OR COALESCE(m.been, 0) = 0 AND (m.stages & s.bit) = 0
    AND s.depth <= CASE d.outcome WHEN 'won' THEN s.width - 1 ELSE m.reach END)
WHERE m.depth >= 0 AND NOT m.handover"""
        fated = """SELECT p.*, CASE p.outcome WHEN 'void' THEN 'void' WHEN 'won' THEN 'deeper'
    ELSE CASE WHEN p.deeper_at IS NULL THEN p.outcome ELSE 'deeper' END END AS fate,
  (p.deeper_at IS NOT NULL OR p.outcome = 'won') AND COALESCE(p.deeper_to, p.width) > p."order" + 1 AS jumped
FROM passage p"""
        until = f"""SELECT d.*,
  CASE d.fate WHEN 'open' THEN {self.now} ELSE COALESCE(d.deeper_at, d.closed_at) END AS until_at
FROM fated d"""
        timed = f"""SELECT d.*, {self.owner} AS owner, {self.day("d.entered_at")} AS entered_on,
  CASE d.fate WHEN 'open' THEN NULL ELSE {self.day("d.until_at")} END AS ended_on,
  {self.lasted("d.entered_at", "d.until_at")} AS stayed, {self.days("d.entered_at", "d.until_at")} AS stayed_days
FROM until d {self.handed_over("CASE d.fate WHEN 'open' THEN NULL ELSE d.until_at END")}"""
        aged = f"""SELECT t.*, {self.ladder("t.stayed", "t.stayed_days")} AS lasted,
  t.fate = 'open' AND COALESCE(t.entered_on + {mature_days} <= {self.today}, FALSE) AS stuck
FROM timed t"""
        judged = f"""SELECT a.*, CASE WHEN a.stuck THEN a.entered_on + {mature_days} ELSE a.ended_on END AS counted_on
FROM aged a"""
        parts = [("passage", passage), ("fated", fated), ("until", until), ("timed", timed), ("aged", aged)]
        return [*self.moves(ahead), *parts, ("judged", judged)]

    def _nothing(self, kind: str) -> str:
        return f"CAST(NULL AS {kind})"

    # --- counting -----------------------------------------------------------------------------

    def counted(self, ctes: Sequence[CTE], keys: Sequence[str], counts: Mapping[str, tuple[str, str]]) -> Query:
        """The rows of the last CTE, `unit`, counted by the groups and keys. It has `owner` and `on_day`."""
        split = {g: self._group(g) for g in self.groups if g not in keys}
        people = [g for g in split if g in ("team", "manager") and self.warehouse.has("reps", g)]
        joins = "".join(self._people_join(p) for p in people)
        ctes = [*ctes, *(cte for p in people for cte in self._people(p))]
        named = {("rep_id" if g == "rep" else g): text for g, text in split.items()}
        named |= {k: f"u.{quoted(k)}" for k in keys}
        order = list(dict.fromkeys([*group_keys(self.groups), *keys]))
        columns = [f"{named[k]} AS {quoted(k)}" for k in order]
        columns += ["COUNT(*) AS n", *(f"{text} AS {name}" for name, (_, text) in counts.items())]
        text = "WITH " + ",\n".join(f"{name} AS (\n{body}\n)" for name, body in ctes)
        text += f"\nSELECT {', '.join(columns)}\nFROM unit u{joins}"
        text += f"\nGROUP BY {', '.join(str(i + 1) for i in range(len(order)))}"
        kinds = {name: kind for name, (kind, _) in counts.items()}
        return Query(text, {k: KEYS.get(k, "text") for k in order}, {"n": "whole", **kinds})

    def _group(self, name: str) -> str:
        """A group as a column, with a name for what has none. Raises as `groups.with_groups`."""
        if name in UNITS:
            return self._labels(name)
        if name == "rep":
            return f"COALESCE(u.owner, {literal(UNASSIGNED)})"
        if name in ("team", "manager"):
            if self.warehouse.has("reps", name):
                return f"COALESCE(then_{name}.label, last_{name}.label, {literal(UNASSIGNED)})"
            own = f"u.{self._deal_columns[name]}, " if name in self._deal_columns else ""
            return f"COALESCE({own}{literal(UNASSIGNED)})"
        if name in ("pipeline", "outcome", "currency"):
            return f"u.{name}"
        texts = [c for c, is_text in self.warehouse.columns["deals"].items() if is_text]
        if name in texts:
            return f"COALESCE(u.{self._deal_columns[name]}, {literal(NONE)})"
        if any(name in table.columns for table in TABLES.values()) or self.warehouse.has("deals", name):
            raise Unavailable("what is counted here has no `{column}` to split by", column=name)
        known = [*PEOPLE, *UNITS, *texts]
        raise UsageError(
            "Cannot split by {name!r}: no column of that name.{hint} Groups: {known}.",
            name=name,
            hint=suggestion(name, known),
            known=commas(dict.fromkeys(known)),
        )

    def _labels(self, unit: Any) -> str:
        """The label of the period a day lies in, by the first day of each."""
        days = pd.Series(pd.date_range(*self._span, freq="D"))
        labels = period_of(days, unit, self.warehouse.head.process).astype("str")
        first = ~labels.duplicated()
        starts = list(zip(days[first].dt.date, labels[first], strict=True))
        cases = " ".join(f"WHEN u.on_day >= DATE '{day}' THEN {literal(label)}" for day, label in reversed(starts))
        return f"CASE WHEN u.on_day IS NULL THEN {literal(UNDATED)} {cases} END"

    @property
    def _span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The first and the last day on which anything happened."""
        stamps = {"deals": ("closed_at",), "stage_history": ("entered_at",), "changes": ("at",)}
        asked = [(t, c) for t, columns in stamps.items() for c in columns if self.warehouse.has(t, c)]
        bounds = " UNION ALL ".join(
            f"SELECT {f}({self.day(quoted(c))}) AS d FROM {self.table(t)}" for t, c in asked for f in ("MIN", "MAX")
        )
        text = f"SELECT CAST(MIN(d) AS VARCHAR) AS low, CAST(MAX(d) AS VARCHAR) AS high FROM ({bounds}) b"
        found = self.warehouse.fetch(text, {"low": "text", "high": "text"}).iloc[0]
        today = self.warehouse.head.as_of_on
        low, high = (today if pd.isna(d) else pd.Timestamp(d) for d in (found["low"], found["high"]))
        return min(low, today), max(high, today)

    def _people(self, name: str) -> list[CTE]:
        """Team or manager of each rep: the last known one and, where people changed, the one of each time."""
        reps, dated = self.table("reps"), self.warehouse.has("reps", "valid_from")
        since = "valid_from" if dated else "CAST(NULL AS DATE)"
        last = f"""SELECT rep_id, label FROM (
  SELECT rep_id, {name} AS label, ROW_NUMBER() OVER (PARTITION BY rep_id ORDER BY {since} DESC NULLS FIRST) AS back
  FROM {reps}
) r WHERE back = 1"""
        then = f"""SELECT rep_id, label, since, LEAD(since) OVER (PARTITION BY rep_id ORDER BY since) AS until
FROM (
  SELECT rep_id, {name} AS label, COALESCE(CAST({since} AS DATE), DATE '1900-01-01') AS since FROM {reps}
) r"""
        return [(f"last_{name}", last), (f"then_{name}", then)]

    def _people_join(self, name: str) -> str:
        return f"""
LEFT JOIN last_{name} ON last_{name}.rep_id = u.owner
LEFT JOIN then_{name} ON then_{name}.rep_id = u.owner AND u.on_day >= then_{name}.since
  AND (then_{name}.until IS NULL OR u.on_day < then_{name}.until)"""


def _microseconds(instant: str) -> str:
    return f"CAST(EXTRACT(EPOCH FROM {instant}) * 1000000 AS BIGINT)"
