"""Visits: one row per stay of a deal in a stage; and passages: one row per stage a deal reached.

The one place where exit, time and owner of a stay are derived from the stage history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.book.texts import decoded, encoded, repeated
from salescoach.errors import LawBroken, Unavailable
from salescoach.metrics.ladder import NO_AGE, ladder_codes
from salescoach.process import Pipeline

EXITS = ("advanced", "back", "lost", "won", "void", "handed_off", "still")
FATES = ("deeper", "lost", "void", "open")
CLOSED = -1
NEVER = np.iinfo(np.int64).min  # as numpy writes an instant that there is none
Whole = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def per_book(build: Callable[[Book], pd.DataFrame]) -> Callable[[Book], pd.DataFrame]:
    """Build once per book and keep it with the book: books are frozen, so the table cannot go stale."""

    @wraps(build)
    def built(book: Book) -> pd.DataFrame:
        kept: dict[str, pd.DataFrame] = book.__dict__.setdefault("_built", {})
        if build.__name__ not in kept:
            kept[build.__name__] = build(book)
        return kept[build.__name__].copy(deep=False)

    return built


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

    Raises LawBroken if entries and exits do not add up.
    """
    steps, events = _steps(book), _events(book)
    follower = events.shifted()
    same = events.deal == follower.deal
    order, after = steps.order[events.step], steps.order[follower.step]
    exits = np.full(len(order), EXITS.index("still"))
    exits[same & (after > order)] = EXITS.index("advanced")
    exits[same & (after >= 0) & (after < order)] = EXITS.index("back")
    for outcome in ("lost", "won", "void"):
        exits[same & (steps.outcome[follower.step] == outcome)] = EXITS.index(outcome)
    exits[same & follower.handover] = EXITS.index("handed_off")
    timed = events.observed & (~same | follower.observed)
    stay = order >= 0
    deal, step, handover = events.deal[stay], events.step[stay], events.handover[stay]
    entered = _instants(events.entered[stay])
    exited = _instants(np.where(same, follower.at, NEVER)[stay])
    by_day = book.by_day_only("stage_history", "entered_at")
    late = np.full(len(deal), NO_AGE)
    taken_over = _instants(events.at[stay][handover]).set_axis(entered.index[handover])
    late[handover] = ladder_codes(entered[handover], taken_over, book.timezone, by_day)
    first = late == NO_AGE
    first[first] = ~pd.Series(deal[first] * len(steps.order) + step[first]).duplicated().to_numpy()
    result = pd.DataFrame(
        {
            "deal": deal,
            "rep_id": _owner(book, deal, exited).set_axis(entered.index),
            "pipeline": decoded(step, steps.pipeline),
            "stage": decoded(step, steps.stage),
            "order": order[stay],
            "entered_at": entered,
            "exited_at": exited,
            "exit": decoded(exits[stay], EXITS),
            "age": ladder_codes(entered, exited.fillna(book.as_of), book.timezone, by_day),
            "late": late,
            "timed": timed[stay],
            "first": first,
        }
    )
    _check_visits(result, int(stay.sum()))
    return result


@dataclass(frozen=True)
class Steps:
    """Every stage of every pipeline, one after another; a number says which.

    order    place in the pipeline, CLOSED for a stage that ends the deal
    outcome  of a closing stage, else ""
    """

    pipeline: list[str]
    stage: list[str]
    order: Whole
    outcome: np.ndarray[Any, np.dtype[np.str_]]


def _steps(book: Book) -> Steps:
    rows = [(p, s.key, i, s.outcome) for p, line in book.process.pipelines.items() for i, s in enumerate(line.stages)]
    order = np.array([i if outcome is None else CLOSED for _, _, i, outcome in rows], dtype=np.int64)
    return Steps([p for p, *_ in rows], [s for _, s, *_ in rows], order, np.array([o or "" for *_, o in rows]))


@dataclass(frozen=True)
class Events:
    """Stage entries and handovers in the order of deals and time, each column an array.

    deal, at (microseconds), step (which of the `Steps`), handover
    entered, observed   when the stage was entered, and whether that was observed
    """

    deal: Whole
    at: Whole
    step: Whole
    handover: Flags
    entered: Whole
    observed: Flags

    def shifted(self) -> Events:
        """For each event the one behind it; the last has one of no deal."""
        behind = self.each(lambda column: np.append(column[1:], column[:1]))
        behind.deal[-1:] = -1
        return behind

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


def _events(book: Book) -> Events:
    """The history with the changes of owner between its entries: each carries on the stage that it found."""
    history, taken = history_of(book), owner_changes(book)
    deal, at = history["deal"].to_numpy(), _microseconds(history["entered_at"])
    observed = (history["evidence"] == "observed").to_numpy()
    entries = Events(deal, at, _step_of(book, deal, history["stage"]), np.zeros(len(deal), dtype=bool), at, observed)
    return _with_handovers(entries, taken, _steps(book).order) if len(taken) else entries


def _with_handovers(entries: Events, taken: pd.DataFrame, order: Whole) -> Events:
    """A handover before the first entry or after the close is none of a stay."""
    nothing = np.zeros(len(taken), dtype=np.int64)
    deal, at = taken["deal"].to_numpy(np.int64), _microseconds(taken["at"])
    events = entries.followed_by(Events(deal, at, nothing, nothing == 0, nothing, nothing > 0))
    events = events.take(np.lexsort((events.at, events.deal)))
    entry = np.maximum.accumulate(np.where(events.handover, -1, np.arange(len(events.deal))))
    known = (entry >= 0) & (events.deal[entry] == events.deal)
    told = events.take(entry)
    events = replace(events, step=told.step, entered=told.entered, observed=told.observed)
    return events.take(known & ~(events.handover & (order[events.step] == CLOSED)))


def _step_of(book: Book, deal: Whole, stage: pd.Series) -> Whole:
    """Which step each stage is in the pipeline of its deal. Raises LawBroken for a stage that the process lacks."""
    steps = _steps(book)
    of_deal, pipelines = encoded(deals_of(book)["pipeline"])
    of_stage, stages = encoded(stage)
    place = {pair: i for i, pair in enumerate(zip(steps.pipeline, steps.stage, strict=True))}
    table = np.array([[place.get((p, s), -1) for s in stages] for p in pipelines], dtype=np.int64)
    found: Whole = table.reshape(len(pipelines), len(stages))[of_deal[deal], of_stage]
    if (found < 0).any():
        unknown = sorted(stage[found < 0].unique())
        raise LawBroken(f"the stage history names stages that the process does not have: {', '.join(unknown)}.")
    return found


def _microseconds(instants: pd.Series) -> Whole:
    return instants.to_numpy("datetime64[us]").view(np.int64)


def _instants(microseconds: Whole) -> pd.Series:
    return pd.Series(microseconds.view("datetime64[us]")).dt.tz_localize("UTC")


@per_book
def history_of(book: Book) -> pd.DataFrame:
    """The stage history with deals as rows of `book.deals`: deal, entered_at, stage, evidence. Raises Unavailable."""
    if not book.has("stage_history", "entered_at"):
        raise Unavailable("there is no stage history: the export has no dates at all")
    return book.table("stage_history")[["entered_at", "stage", "evidence"]].assign(deal=book.rows_of_deals)


@per_book
def owner_changes(book: Book) -> pd.DataFrame:
    """Recorded changes of owner: deal (its row), at, old (null: nobody)."""
    if not book.has("changes", "at") or "old" not in book.tables["changes"]:
        return pd.DataFrame({"deal": [], "at": [], "old": []})
    deals, changes = deals_of(book), book.table("changes")
    same = (changes["old"] == changes["new"]).fillna(False) if "new" in changes else False
    moved = changes[(changes["field"] == "rep_id") & ~same & changes["deal_id"].isin(deals["deal_id"])]
    moved = moved.sort_values("at", kind="stable")
    return pd.DataFrame({"deal": places_in(moved["deal_id"], deals["deal_id"]), "at": moved["at"], "old": moved["old"]})


def owner_at(book: Book, deal: pd.Series, at: pd.Series) -> pd.Series:
    """Who owned each deal just before an instant (null: who owns it now).

    Without recorded changes of owner this is the present owner.
    """
    return _owner(book, deal.to_numpy(np.int64), at).set_axis(deal.index)


def _owner(book: Book, deal: Whole, at: pd.Series) -> pd.Series:
    now = deals_of(book)["rep_id"].take(deal).reset_index(drop=True)
    moved = owner_changes(book)
    asked = pd.DataFrame({"deal": deal, "at": at.to_numpy(), "place": np.arange(len(deal))}) if len(moved) else moved
    asked = asked[asked["at"].notna() & asked["deal"].isin(moved["deal"])].sort_values("at", kind="stable")
    if asked.empty:
        return now
    asked["at"] = asked["at"].astype(moved["at"].dtype)
    found = pd.merge_asof(asked, moved.assign(then=True), on="at", by="deal", direction="forward")
    found = found[found["then"].notna()]
    owner = now.to_numpy(object, copy=True)
    owner[found["place"]] = found["old"]
    return pd.Series(owner, dtype="str")


def _check_visits(result: pd.DataFrame, entered: int) -> None:
    """Entries into working stages = exits of all kinds, and takeovers = hand-overs."""
    kinds = result["exit"].value_counts()
    late, handed = int((result["late"] != NO_AGE).sum()), int(kinds.get("handed_off", 0))
    open_ended = bool(((result["exit"] == "still") == result["exited_at"].isna()).all())
    if entered != int(kinds.sum()) or late != handed or not open_ended or not set(kinds.index) <= set(EXITS):
        raise LawBroken(
            f"{entered:,} stage entries, but {dict(kinds)} exits and {late:,} takeovers. "
            "This is a fault of salescoach; please report it with this line."
        )


@per_book
def passages(book: Book) -> pd.DataFrame:
    """One row per deal and working stage it reached; a stage passed over counts as reached and has no time.

    deal, pipeline, stage, order
    rep_id        owner when the passage ended (the present one while it is open)
    fate          deeper (a later stage or won), lost, open; void: the deal is void and counts nowhere
    skipped       reached a deeper stage without a stay in this one
    jumped        went deeper, but not to the very next stage
    entered_on    day of the first entry (null where skipped)
    ended_on      day of the first deeper entry, or of the close (null while open)
    age           ladder code from first entry to the end, or to as_of; NO_AGE where skipped or where the end is unknown
    timed         both ends were observed
    """
    stays, deals = visits(book), deals_of(book)
    own = stays[stays["late"] == NO_AGE]
    deal, order = own["deal"].to_numpy(), own["order"].to_numpy()
    working = {key: len(line.working) for key, line in book.process.pipelines.items()}
    last = deals["pipeline"].map(working).to_numpy(np.int64) - 1
    reach = np.full(len(deals), -1)
    np.maximum.at(reach, deal, order)
    reach = np.where((deals["outcome"] == "won").to_numpy() & (reach >= 0), last, reach)
    rows = [
        _stage_passages(
            book, own, np.flatnonzero((deals["pipeline"] == key).to_numpy() & (reach >= place)), place, line
        )
        for key, line in book.process.pipelines.items()
        for place in range(len(line.working))
    ]
    result = pd.concat(rows, ignore_index=True)
    result["rep_id"] = owner_at(book, result["deal"], result.pop("ended_at"))
    return result


def _stage_passages(book: Book, own: pd.DataFrame, deals: Whole, place: int, line: Pipeline) -> pd.DataFrame:
    """The passages of these deals through one stage, the `place`-th of its pipeline, which all of them reached."""
    deal, order, entered_at = own["deal"].to_numpy(), own["order"].to_numpy(), _microseconds(own["entered_at"])
    every = deals_of(book)
    entered, timed = np.full(len(every), NEVER), np.zeros(len(every), dtype=bool)
    here = own["first"].to_numpy() & (order == place)
    entered[deal[here]], timed[deal[here]] = entered_at[here], own["timed"].to_numpy()[here]
    later = np.flatnonzero((order > place) & (entered_at >= entered[deal]))[::-1]
    next_at, next_order = np.full(len(every), NEVER), np.full(len(every), len(line.working))
    next_at[deal[later]], next_order[deal[later]] = entered_at[later], order[later]  # of several, the first stays
    entered, timed, next_at, next_order = entered[deals], timed[deals], next_at[deals], next_order[deals]
    outcome = every["outcome"].take(deals).reset_index(drop=True)
    deeper = (next_at != NEVER) | (outcome == "won").to_numpy()
    fate = outcome.mask(deeper, "deeper").mask(outcome == "void", "void")
    closed = _microseconds(every["closed_at"].take(deals))
    ended = np.where((fate == "open").to_numpy(), NEVER, np.where(next_at != NEVER, next_at, closed))
    start, end = _instants(entered), _instants(ended)
    by_day = book.by_day_only("stage_history", "entered_at")
    columns = {
        "deal": deals,
        "pipeline": every["pipeline"].take(deals).reset_index(drop=True),
        "stage": repeated(line.working[place].key, outcome.index),
        "order": place,
        "fate": fate,
        "skipped": entered == NEVER,
        "jumped": deeper & (next_order > place + 1),
        "entered_on": book.local_days(start),
        "ended_on": book.local_days(end),
        "ended_at": end,
        "age": ladder_codes(start, end.mask(fate == "open", book.as_of), book.timezone, by_day),
        "timed": timed,
    }
    return pd.DataFrame(columns)
