"""Visits: one row per stay of a deal in a stage; and passages: one row per stage a deal reached.

The one place where exit, time and owner of a stay are derived from the stage history. Their texts are categories:
small numbers, of which millions are compared and counted at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.book.cores import side_by_side
from salescoach.book.texts import Places, coded, encoded
from salescoach.errors import LawBroken, Unavailable, commas
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.kept import per_book
from salescoach.metrics.ladder import NO_AGE, ages
from salescoach.metrics.stretches import Columns, stretches
from salescoach.process import NEVER, local_midnights

EXITS = ("advanced", "back", "lost", "won", "void", "handed_off", "still")
FATES = ("deeper", "lost", "void", "open")
VISIT = ["deal", "rep_id", "pipeline", "stage", "order", "entered_at", "exited_at"]
VISIT += ["exit", "age", "late", "timed", "first"]
PASSAGE = ["deal", "pipeline", "stage", "order", "fate", "skipped", "jumped", "entered_on", "ended_on", "age"]
PASSAGE += ["timed", "rep_id"]
CLOSED = -1
Whole = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@per_book
def deals_of(book: Book) -> pd.DataFrame:
    """The deals with their calendar days (created_on, closed_on) and every column that a metric may ask for."""
    deals = book.deals
    for column in ("rep_id", "created_at", "closed_at"):
        if column not in deals:
            kind = "str" if column == "rep_id" else "datetime64[us, UTC]"
            deals[column] = pd.Series(None if kind == "str" else pd.NaT, deals.index, dtype=kind)
    if "amount_minor" not in deals:
        deals["amount_minor"] = pd.Series(pd.NA, deals.index, dtype="Int64")
    deals["currency"] = deals["currency"].fillna(book.currency) if "currency" in deals else book.currency
    deals["created_on"] = book.local_days(deals["created_at"])
    deals["closed_on"] = book.local_days(deals["closed_at"])
    return deals


@per_book
def visits(book: Book) -> pd.DataFrame:
    """One row per stay in a working stage, in the order of deals and time.

    deal        row of the deal in `book.deals`
    rep_id      owner when the stay ended
    pipeline, stage, order
    entered_at, exited_at (null while still there)
    exit        advanced, back, lost, won, void, handed_off, still
    age         ladder code of the time from the stage entry to the exit, or to as_of
    late        ladder code of the age at which this owner took over, NO_AGE for an ordinary entry
    first       the deal's first stay in this stage
    timed       both ends were observed, so the age may be used

    rep_id, pipeline, stage and exit are categories. Raises LawBroken if entries and exits do not add up.
    """
    deal = history_of(book)["deal"].to_numpy()
    deals_of(book), owner_changes(book)  # built once, before the stretches ask for them all at once
    columns = Columns(len(deal) + len(owner_changes(book)))
    for part in side_by_side(lambda rows: _visits_within(book, rows), stretches(len(deal), deal)):
        columns.add(part)
    found: dict[str, Any] = {name: column[: columns.filled[0]] for name, column in columns.columns.items()}
    steps, step, exited = _steps(book), found.pop("step"), found["exited_at"]
    found |= {"rep_id": _coded_owner(book, found["deal"], exited), "exit": coded(found["exit"], EXITS)}
    found |= {"pipeline": coded(steps.line[step], steps.lines), "stage": coded(steps.key[step], steps.keys)}
    found |= {"order": steps.order[step], "exited_at": _instants(exited)}
    found["entered_at"] = _instants(found["entered_at"])
    table = pd.DataFrame({column: found[column] for column in VISIT}, copy=False)
    _check_visits(table, len(step))
    return table


def _visits_within(book: Book, rows: slice) -> dict[str, Any]:
    """The visits of a stretch of the stage history, each column an array, instants in microseconds: as `visits`, and
    step (which of the `Steps`) in place of pipeline, stage and order.
    """
    steps, events = _steps(book), _events(book, rows)
    same, entries = _followed(events.deal), len(steps.order)
    stay = np.flatnonzero(steps.order[events.step] != CLOSED)
    result: dict[str, Any] = {"exit": _exits(steps, events, same)[stay]}
    result["timed"] = (events.observed & (~same | _one_on(events.observed)))[stay]
    exited = np.where(same, _one_on(events.at), NEVER)[stay]
    at, events = events.at, events.take(stay)
    deal, step, handover, entered = events.deal, events.step, events.handover, events.entered
    result["late"] = np.full(len(deal), NO_AGE, dtype=np.int32)
    result["late"][handover] = _ages(book, entered[handover], at[stay[handover]])
    result["first"] = ~handover
    own = np.flatnonzero(~handover)
    result["first"][own] = _first_of_each((deal[own] - _ends(deal)[0]) * entries + step[own])
    until = np.where(exited == NEVER, _microsecond(book.as_of), exited)
    result["age"] = _ages(book, entered, until)
    return result | {"deal": deal, "step": step, "entered_at": entered, "exited_at": exited}


def _exits(steps: Steps, events: Events, same: Flags) -> np.ndarray[Any, np.dtype[np.int8]]:
    """How each stay ended, as a place in `EXITS`, from the event behind it, if that is of the `same` deal."""
    behind = _one_on(events.step)
    order, after = steps.order[events.step], steps.order[behind]
    exits = np.full(len(order), EXITS.index("still"), dtype=np.int8)
    exits[same & (after > order)] = EXITS.index("advanced")
    exits[same & (after >= 0) & (after < order)] = EXITS.index("back")
    for outcome in ("lost", "won", "void"):
        exits[same & (steps.outcome == outcome)[behind]] = EXITS.index(outcome)
    exits[same & _one_on(events.handover)] = EXITS.index("handed_off")
    return exits


def _followed(deal: Places) -> Flags:
    """Which events have another one of the same deal behind them."""
    return np.append(deal[1:] == deal[:-1], np.zeros(min(len(deal), 1), dtype=bool))


def _one_on(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each event the value of the one behind it; the last has that of the first."""
    return np.append(column[1:], column[:1])


def _first_of_each(keys: Whole) -> Flags:
    """Which of the keys stand there for the first time."""
    row, rows = np.empty(keys.max(initial=-1) + 1, dtype=np.int32), np.arange(len(keys), dtype=np.int32)
    row[keys[::-1]] = rows[::-1]
    first: Flags = row[keys] == rows
    return first


def _ages(book: Book, start: Whole, end: Whole) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Ladder codes of the ages between instants in microseconds, where both are known."""
    return ages(start, end, book.timezone, book.by_day_only("stage_history", "entered_at"))


@dataclass(frozen=True)
class Steps:
    """Every stage of every pipeline, one after another; a number says which.

    order        place in the pipeline, CLOSED for a stage that ends the deal
    outcome      of a closing stage, else ""
    line, lines  which pipeline, and their names
    key, keys    which stage by its name, and the names
    """

    order: np.ndarray[Any, np.dtype[np.int8]]
    outcome: np.ndarray[Any, np.dtype[np.str_]]
    line: np.ndarray[Any, np.dtype[np.int8]]
    lines: list[str]
    key: np.ndarray[Any, np.dtype[np.int16]]
    keys: list[str]

    def number(self, pipeline: str, stage: str) -> int:
        """Which of the steps a stage of a pipeline is."""
        return int(np.flatnonzero((self.line == self.lines.index(pipeline)) & (self.key == self.keys.index(stage)))[0])


def _steps(book: Book) -> Steps:
    rows = [(p, s.key, i, s.outcome) for p, line in book.process.pipelines.items() for i, s in enumerate(line.stages)]
    lines, keys = sorted({line for line, *_ in rows}), sorted({key for _, key, *_ in rows})
    return Steps(
        np.array([i if outcome is None else CLOSED for *_, i, outcome in rows], dtype=np.int8),
        np.array([o or "" for *_, o in rows]),
        np.array([lines.index(p) for p, *_ in rows], dtype=np.int8),
        lines,
        np.array([keys.index(s) for _, s, *_ in rows], dtype=np.int16),
        keys,
    )


@dataclass(frozen=True)
class Events:
    """Stage entries and handovers in the order of deals and time, each column an array.

    deal, at (microseconds), step (which of the `Steps`), handover
    entered, observed   when the stage was entered, and whether that was observed
    """

    deal: Places
    at: Whole
    step: np.ndarray[Any, np.dtype[np.int16]]
    handover: Flags
    entered: Whole
    observed: Flags

    def take(self, rows: Whole | Flags) -> Events:
        """These of the events."""
        return self.each(lambda column: column[rows])

    def each(self, change: Callable[[Any], Any]) -> Events:
        """Every column changed alike."""
        return Events(**{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def followed_by(self, others: Events) -> Events:
        """These events and the others, one after the other."""
        return Events(
            **{f.name: np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)}
        )


def _events(book: Book, rows: slice) -> Events:
    """A stretch of the history with the changes of owner between its entries: each carries on the stage it found."""
    history, taken = history_of(book).iloc[rows], owner_changes(book)
    deal, at = history["deal"].to_numpy(), _microseconds(history["entered_at"])
    observed = (history["evidence"] == "observed").to_numpy()
    entries = Events(deal, at, _step_of(book, deal, history["stage"]), np.zeros(len(deal), dtype=bool), at, observed)
    if len(taken) and len(deal):
        taken = taken[taken["deal"].between(deal.min(), deal.max())]
    return _with_handovers(entries, taken, _steps(book).order) if len(taken) else entries


def _with_handovers(entries: Events, taken: pd.DataFrame, order: np.ndarray[Any, np.dtype[np.int8]]) -> Events:
    """A handover before the first entry or after the close is none of a stay."""
    nothing = np.zeros(len(taken), dtype=np.int64)
    deal, at = taken["deal"].to_numpy(np.int32), _microseconds(taken["at"])
    events = entries.followed_by(Events(deal, at, nothing.astype(np.int16), nothing == 0, nothing, nothing > 0))
    events = events.take(np.lexsort((events.at, events.deal)))
    entry = np.maximum.accumulate(np.where(events.handover, -1, np.arange(len(events.deal))))
    known = (entry >= 0) & (events.deal[entry] == events.deal)
    told = events.take(entry)
    events = replace(events, step=told.step, entered=told.entered, observed=told.observed)
    return events.take(known & ~(events.handover & (order[events.step] == CLOSED)))


def _step_of(book: Book, deal: Places, stage: pd.Series) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Which step each stage is in the pipeline of its deal. Raises LawBroken for a stage that the process lacks."""
    steps, (begin, end) = _steps(book), _ends(deal)
    of_deal, pipelines = encoded(deals_of(book)["pipeline"].iloc[begin:end])
    of_stage, stages = stage.cat.codes.to_numpy(), stage.cat.categories
    place = {(steps.lines[p], steps.keys[s]): i for i, (p, s) in enumerate(zip(steps.line, steps.key, strict=True))}
    table = np.array([[place.get((p, s), -1) for s in stages] for p in pipelines], dtype=np.int16)
    table = table.reshape(len(pipelines), len(stages))
    found = table[0][of_stage] if len(pipelines) == 1 else table[of_deal[deal - begin], of_stage]
    if (found < 0).any():
        unknown = sorted(stage[found < 0].unique())
        raise LawBroken(
            "the stage history names stages that the process does not have: {unknown}.", unknown=commas(unknown)
        )
    return found


def _ends(deal: Places) -> tuple[int, int]:
    """From the first of these rows of deals to behind the last."""
    return (int(deal.min()), int(deal.max()) + 1) if len(deal) else (0, 0)


def _microseconds(instants: pd.Series) -> Whole:
    return instants.to_numpy("datetime64[us]").view(np.int64)


def _microsecond(instant: pd.Timestamp) -> int:
    return int(instant.tz_convert("UTC").tz_localize(None).to_datetime64().astype("datetime64[us]").astype(np.int64))


def _instants(microseconds: Whole) -> pd.Series:
    """The same memory, read as instants."""
    return pd.Series(microseconds, copy=False).astype("datetime64[us, UTC]")


@per_book
def history_of(book: Book) -> pd.DataFrame:
    """The stage history with deals as rows of `book.deals`: deal, entered_at, and as categories stage and evidence.

    Raises Unavailable.
    """
    if not book.has("stage_history", "entered_at"):
        raise Unavailable("there is no stage history: the export has no dates at all")
    return book.log[["_deal", "entered_at", "stage", "evidence"]].rename(columns={"_deal": "deal"})


@per_book
def owner_changes(book: Book) -> pd.DataFrame:
    """Recorded changes of owner: deal (its row), at, old (null: nobody)."""
    if not book.has("changes", "at") or "old" not in book.tables["changes"]:
        return pd.DataFrame({"deal": [], "at": [], "old": []})
    deals, changes = deals_of(book), book.table("changes")
    same = (changes["old"] == changes["new"]).fillna(False) if "new" in changes else False
    moved = changes[(changes["field"] == "rep_id") & ~same & changes["deal_id"].isin(deals["deal_id"])]
    moved = moved.sort_values("at", kind="stable")
    deal = places_in(moved["deal_id"], deals["deal_id"]).astype(np.int32)
    return pd.DataFrame({"deal": deal, "at": moved["at"], "old": moved["old"]})


def owner_at(book: Book, deal: pd.Series, at: pd.Series) -> pd.Series:
    """Who owned each deal just before an instant (null: who owns it now).

    Without recorded changes of owner this is the present owner.
    """
    owner = deals_of(book)["rep_id"].take(deal.to_numpy()).set_axis(deal.index)
    then, found = _owned_by(book, deal.to_numpy(np.int32), at)
    if not len(then):
        return owner
    names = owner.to_numpy(object, copy=True)
    names[then] = found
    return pd.Series(names, deal.index, dtype="str")


def _owned_by(book: Book, deal: Places, at: pd.Series) -> tuple[Whole, pd.Series]:
    """Where somebody else than today owned the deal just before the instant, and who; null: nobody."""
    moved = owner_changes(book)
    asked = pd.DataFrame({"deal": deal, "at": at.to_numpy(), "place": np.arange(len(deal))}) if len(moved) else moved
    asked = asked[asked["at"].notna() & asked["deal"].isin(moved["deal"])].sort_values("at", kind="stable")
    if asked.empty:
        return np.empty(0, dtype=np.int64), pd.Series(dtype="str")
    asked["at"] = asked["at"].astype(moved["at"].dtype)
    found = pd.merge_asof(asked, moved.assign(then=True), on="at", by="deal", direction="forward")
    found = found[found["then"].notna()]
    return found["place"].to_numpy(), found["old"]


def _coded_owner(book: Book, deal: Places, at: Whole) -> pd.Series:
    """As `owner_at`, in categories, with one for nobody among them."""
    now, names = encoded(deals_of(book)["rep_id"])
    then, found = _owned_by(book, deal, _instants(at))
    words = sorted({UNASSIGNED, *names, *found.dropna()})
    place = {name: i for i, name in enumerate(words)}
    small = np.min_scalar_type(-len(words) - 1)
    codes = np.array([*(place[name] for name in names), -1], dtype=small)[now][deal]
    codes[then] = [place.get(name, -1) for name in found]
    return coded(codes, words)


def _check_visits(result: pd.DataFrame, entered: int) -> None:
    """Entries into working stages = exits of all kinds, and takeovers = hand-overs."""
    exits = result["exit"].cat.codes.to_numpy()
    kinds = {kind: int((exits == place).sum()) for place, kind in enumerate(EXITS)}
    late = int((result["late"] != NO_AGE).sum())
    open_ended = np.array_equal(exits == EXITS.index("still"), result["exited_at"].isna().to_numpy())
    if entered != sum(kinds.values()) or late != kinds["handed_off"] or not open_ended:
        raise LawBroken(
            "{entered:,} stage entries, but {kinds} exits and {late:,} takeovers. This is a fault of "
            "salescoach; please report it with this line.",
            entered=entered,
            kinds=kinds,
            late=late,
        )


@per_book
def passages(book: Book) -> pd.DataFrame:
    """One row per deal and working stage it reached, stage after stage; one that was passed over has no time.

    deal, pipeline, stage, order
    rep_id        owner when the passage ended (the present one while it is open)
    fate          deeper (a later stage or won), lost, open; void: the deal is void and counts nowhere
    skipped       reached a deeper stage without a stay in this one
    jumped        went deeper, but not to the very next stage
    entered_on    day of the first entry (null where skipped)
    ended_on      day of the first deeper entry, or of the close (null while open)
    age           ladder code from first entry to the end, or to as_of; NO_AGE where skipped or where the end is unknown
    timed         both ends were observed

    rep_id, pipeline, stage and fate are categories.
    """
    rows, steps = visits(book)[["deal", "order", "entered_at", "late", "first", "timed"]], _steps(book)
    deal, reach = rows["deal"].to_numpy(), _reach(book)
    sizes = [int(_passing(book, reach, key, place).sum()) for key, place in _places(book)]
    columns = Columns(sum(sizes), np.cumsum([0, *sizes[:-1]]))
    for parts in side_by_side(lambda some: _passages_within(book, rows.iloc[some], reach), stretches(len(deal), deal)):
        for place, part in enumerate(parts):
            columns.add(part, place)
    found: dict[str, Any] = columns.columns
    step, ended = found.pop("step"), found.pop("ended")
    found |= {"pipeline": coded(steps.line[step], steps.lines), "stage": coded(steps.key[step], steps.keys)}
    found |= {"order": steps.order[step], "fate": coded(found["fate"], FATES)}
    found["rep_id"] = _coded_owner(book, found["deal"], ended)
    return pd.DataFrame({column: found[column] for column in PASSAGE}, copy=False)


def _places(book: Book) -> list[tuple[str, int]]:
    """Every working stage: its pipeline and its place there."""
    return [(key, place) for key, line in book.process.pipelines.items() for place in range(len(line.working))]


def _reach(book: Book) -> np.ndarray[Any, np.dtype[np.int8]]:
    """The place of the furthest stage that each deal reached, the last one where it is won; -1 for none."""
    rows, deals = visits(book), deals_of(book)
    furthest = np.full(len(deals), -1, dtype=np.int8)
    np.maximum.at(furthest, rows["deal"].to_numpy(), rows["order"].to_numpy())
    won = (_fate_of_deals(deals) == FATES.index("deeper")) & (furthest >= 0)
    for key, line in book.process.pipelines.items():
        furthest[won & (deals["pipeline"] == key).to_numpy()] = len(line.working) - 1
    return furthest


def _passing(book: Book, reach: np.ndarray[Any, np.dtype[np.int8]], key: str, place: int, begin: int = 0) -> Flags:
    """Which of the deals from `begin` on, whose `reach` is given, reached a place of a pipeline."""
    pipelines = deals_of(book)["pipeline"].iloc[begin : begin + len(reach)]
    return (pipelines == key).to_numpy() & (reach >= place)


def _passages_within(book: Book, rows: pd.DataFrame, reach: np.ndarray[Any, np.dtype[np.int8]]) -> list[dict[str, Any]]:
    """The passages of the deals of some visits: of each of the `_places`, each column an array.

    As `passages`, but for step (which of the `Steps`) in place of pipeline, stage and order, fate (a place in `FATES`)
    and ended (when, in microseconds).
    """
    return [
        {
            "deal": reached.deal,
            "step": reached.step,
            "fate": reached.fate,
            "skipped": reached.entered == NEVER,
            "jumped": reached.jumped,
            "entered_on": local_midnights(reached.entered, book.timezone),
            "ended_on": local_midnights(reached.ended, book.timezone),
            "age": _ages(book, reached.entered, _known_end(book, reached)),
            "timed": reached.timed,
            "ended": reached.ended,
        }
        for reached in _reached(book, rows, reach)
    ]


def _known_end(book: Book, reached: Reached) -> Whole:
    """Until when each passage is known to have lasted."""
    return np.where(reached.fate == FATES.index("open"), _microsecond(book.as_of), reached.ended)


@dataclass(frozen=True)
class Reached:
    """The stages that deals reached, each column an array: instants in microseconds, the fate as a place in `FATES`."""

    deal: Places
    step: np.ndarray[Any, np.dtype[np.int16]]
    fate: np.ndarray[Any, np.dtype[np.int8]]
    jumped: Flags
    entered: Whole
    ended: Whole
    timed: Flags


@dataclass(frozen=True)
class Stays:
    """The stays that began with a stage entry, in the order of deals and time, each column an array."""

    deal: Places
    order: np.ndarray[Any, np.dtype[np.int8]]
    entered: Whole
    first: Flags
    timed: Flags


def _reached(book: Book, rows: pd.DataFrame, reach: np.ndarray[Any, np.dtype[np.int8]]) -> list[Reached]:
    """Every stage of each of these visits' deals up to the furthest it reached, by the `_places`."""
    own = (rows["late"] == NO_AGE).to_numpy()
    deal, order, first, timed = (rows[c].to_numpy()[own] for c in ("deal", "order", "first", "timed"))
    begin, end = _ends(deal)
    deals, steps = deals_of(book)[["outcome", "closed_at"]].iloc[begin:end], _steps(book)
    stays = Stays(deal - begin, order, _microseconds(rows["entered_at"])[own], first, timed)
    fate, parts = _fate_of_deals(deals), []
    for key, place in _places(book):
        working = book.process.pipelines[key].working
        passed = np.flatnonzero(_passing(book, reach[begin:end], key, place, begin))
        part = _passed(deals, fate, stays, passed, place, len(working))
        step = np.full(len(passed), steps.number(key, working[place].key), dtype=np.int16)
        parts.append(replace(part, deal=part.deal + np.int32(begin), step=step))
    return parts


def _fate_of_deals(deals: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int8]]:
    """How a passage ends that no deeper one follows: a place in `FATES`; won counts as deeper."""
    codes, outcomes = encoded(deals["outcome"])
    places = [FATES.index("deeper" if o == "won" else o) for o in outcomes]
    return np.array([*places, FATES.index("open")], dtype=np.int8)[codes]


def _passed(
    deals: pd.DataFrame, fate: np.ndarray[Any, np.dtype[np.int8]], stays: Stays, passed: Whole, place: int, last: int
) -> Reached:
    """The passages of these deals through the `place`-th of the `last` stages of their pipeline, which all reached."""
    entered, timed = np.full(len(deals), NEVER), np.zeros(len(deals), dtype=bool)
    here = stays.first & (stays.order == place)
    entered[stays.deal[here]], timed[stays.deal[here]] = stays.entered[here], stays.timed[here]
    later = np.flatnonzero(stays.order > place)
    later = later[stays.entered[later] >= entered[stays.deal[later]]][::-1]
    next_at, next_order = np.full(len(deals), NEVER), np.full(len(deals), last, dtype=np.int8)
    next_at[stays.deal[later]], next_order[stays.deal[later]] = (
        stays.entered[later],
        stays.order[later],
    )  # the first stays
    entered, timed, next_at, fate = entered[passed], timed[passed], next_at[passed], fate[passed].copy()
    gone, deeper = next_at != NEVER, FATES.index("deeper")
    fate[gone & (fate != FATES.index("void"))] = deeper
    ended = np.where(gone, next_at, _microseconds(deals["closed_at"])[passed])
    ended[fate == FATES.index("open")] = NEVER
    jumped = (gone | (fate == deeper)) & (next_order[passed] > place + 1)
    return Reached(passed.astype(np.int32), np.empty(0, dtype=np.int16), fate, jumped, entered, ended, timed)
