"""Visits: one row per stay of a deal in a stage; and passages: one row per stage a deal reached.

The one place where exit, time and owner of a stay are derived from the stage history.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import LawBroken, Unavailable
from salescoach.metrics.ladder import NO_AGE, ladder_codes

EXITS = ("advanced", "back", "lost", "won", "void", "handed_off", "still")
FATES = ("deeper", "lost", "void", "open")


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
    """The deals with calendar days beside the instants (created_on, closed_on), and every column a metric may ask for."""
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
    events = _events(book)
    same = events["deal"] == events["deal"].shift(-1)
    follower = events.shift(-1)
    stay = events["order"] >= 0
    exit_ = pd.Series("still", events.index, dtype="str")
    exit_ = exit_.mask(same & (follower["order"] > events["order"]), "advanced")
    exit_ = exit_.mask(same & (follower["order"] >= 0) & (follower["order"] < events["order"]), "back")
    for outcome in ("lost", "won", "void"):
        exit_ = exit_.mask(same & (follower["outcome"] == outcome), outcome)
    exit_ = exit_.mask(same & follower["handover"].eq(True), "handed_off")
    end = follower["at"].where(same)
    by_day = book.by_day_only("stage_history", "entered_at")
    last = end.fillna(book.as_of)
    timed = (events["evidence"] == "observed") & (~same | (follower["evidence"] == "observed"))
    result = pd.DataFrame(
        {
            "deal": events["deal"],
            "rep_id": events["rep_id"],
            "pipeline": events["pipeline"],
            "stage": events["stage"],
            "order": events["order"],
            "entered_at": events["entered_at"],
            "exited_at": end,
            "exit": exit_,
            "age": ladder_codes(events["entered_at"], last, book.timezone, by_day),
            "late": np.where(
                events["handover"], ladder_codes(events["entered_at"], events["at"], book.timezone, by_day), NO_AGE
            ),
            "timed": timed,
        }
    )[stay]
    ordinary = result["late"] == NO_AGE
    result["first"] = ordinary & ~result[ordinary].duplicated(["deal", "stage"]).reindex(result.index, fill_value=True)
    result = result.reset_index(drop=True)
    _check_visits(result, events)
    return result


def _events(book: Book) -> pd.DataFrame:
    """Stage entries and handovers in one order: deal, at, pipeline, stage, order, outcome, handover, rep_id, entered_at, evidence."""
    if not book.has("stage_history", "entered_at"):
        raise Unavailable("there is no stage history: the export has no dates at all")
    deals = deals_of(book)
    position = pd.Series(deals.index, index=deals["deal_id"])
    history = book.table("stage_history")
    history = pd.DataFrame(
        {
            "deal": history["deal_id"].map(position),
            "at": history["entered_at"],
            "stage": history["stage"],
            "evidence": history["evidence"],
            "handover": False,
        }
    )
    taken = _handovers(book, position)
    events = pd.concat([history, taken], ignore_index=True) if len(taken) else history
    events = events.sort_values(["deal", "at"], kind="stable", ignore_index=True)
    events["deal"] = events["deal"].astype("int64")
    events["entered_at"] = events["at"].where(~events["handover"])
    if len(taken):
        for column in ("stage", "entered_at", "evidence"):
            events[column] = events.groupby("deal")[column].ffill()
        events = events[events["stage"].notna()].reset_index(drop=True)
    events["pipeline"] = events["deal"].map(deals["pipeline"])
    rules = {
        (p, s.key): (i if s.outcome is None else -1, s.outcome or "")
        for p, line in book.process.pipelines.items()
        for i, s in enumerate(line.stages)
    }
    codes = pd.MultiIndex.from_tuples(rules.keys()).get_indexer(pd.MultiIndex.from_frame(events[["pipeline", "stage"]]))
    events["order"] = np.array([o for o, _ in rules.values()])[codes]
    events["outcome"] = pd.Series([o for _, o in rules.values()], dtype="str").take(codes).set_axis(events.index)
    events = events[~(events["handover"] & (events["order"] < 0))].reset_index(drop=True)
    events["rep_id"] = owner_at(book, events["deal"], _exit_instants(events))
    return events


def _exit_instants(events: pd.DataFrame) -> pd.Series:
    """When each stay ended; null where it has not."""
    return events["at"].shift(-1).where(events["deal"] == events["deal"].shift(-1))


def _handovers(book: Book, position: pd.Series) -> pd.DataFrame:
    """Changes of owner of known deals: deal, at, handover."""
    if not book.has("changes", "at"):
        return pd.DataFrame()
    changes = book.table("changes")
    moved = changes[(changes["field"] == "rep_id") & changes["deal_id"].isin(position.index)]
    return pd.DataFrame({"deal": moved["deal_id"].map(position), "at": moved["at"], "handover": True})


def owner_at(book: Book, deal: pd.Series, at: pd.Series) -> pd.Series:
    """Who owned each deal just before an instant (null: who owns it now).

    Without recorded changes of owner this is the present owner.
    """
    deals = deals_of(book)
    now = deal.map(deals["rep_id"])
    if not book.has("changes", "old"):
        return now
    changes = book.table("changes")
    position = pd.Series(deals.index, index=deals["deal_id"])
    moved = changes[(changes["field"] == "rep_id") & changes["deal_id"].isin(position.index)].sort_values("at")
    if moved.empty:
        return now
    moved = pd.DataFrame(
        {"deal": moved["deal_id"].map(position).astype("int64"), "at": moved["at"], "old": moved["old"]}
    )
    asked = pd.DataFrame({"deal": deal.astype("int64"), "at": at.astype(moved["at"].dtype)})
    asked = asked[asked["at"].notna() & asked["deal"].isin(moved["deal"])].sort_values("at", kind="stable")
    if asked.empty:
        return now
    before = pd.merge_asof(asked.reset_index(), moved, on="at", by="deal", direction="forward").set_index("index")[
        "old"
    ]
    return before.reindex(now.index).fillna(now).astype("str")


def _check_visits(result: pd.DataFrame, events: pd.DataFrame) -> None:
    """Entries into working stages = exits of all kinds, and takeovers = hand-overs."""
    entered = int((events["order"] >= 0).sum())
    kinds = result["exit"].value_counts()
    late, handed = int((result["late"] != NO_AGE).sum()), int(kinds.get("handed_off", 0))
    if entered != int(kinds.sum()) or late != handed or not set(kinds.index) <= set(EXITS):
        raise LawBroken(
            f"{entered:,} stage entries, but {dict(kinds)} exits and {late:,} takeovers. "
            "This is a fault of salescoach; please report it with this line."
        )


@per_book
def passages(book: Book) -> pd.DataFrame:
    """One row per deal and working stage it reached; a stage passed over counts as reached and has no time.

    deal, pipeline, stage, order
    rep_id        owner when the passage ended
    fate          deeper (a later stage or won), lost, void, open
    skipped       reached a deeper stage without a stay in this one
    entered_on    day of the first entry (null where skipped)
    ended_on      day of the first deeper entry, or of the close (null while open)
    age           ladder code from first entry to the end, or to as_of; NO_AGE where skipped
    timed         both ends were observed
    """
    stays = visits(book)
    deals = deals_of(book)
    own = stays[stays["late"] == NO_AGE]
    first = own[own["first"]]
    deepest = own.groupby("deal")["order"].max()
    won = deals["outcome"] == "won"
    length = deals["pipeline"].map({k: len(p.working) for k, p in book.process.pipelines.items()})
    reach = pd.Series(deals.index.map(deepest), deals.index).astype("float64")
    reach = reach.mask(won & reach.notna(), length - 1)
    rows = [
        _stage_passages(book, deals, own, first, reach, key, order, stage.key)
        for key, line in book.process.pipelines.items()
        for order, stage in enumerate(line.working)
    ]
    result = pd.concat(rows, ignore_index=True)
    result["rep_id"] = owner_at(book, result["deal"], result.pop("ended_at"))
    return result


def _stage_passages(
    book: Book,
    deals: pd.DataFrame,
    own: pd.DataFrame,
    first: pd.DataFrame,
    reach: pd.Series,
    pipeline: str,
    order: int,
    stage: str,
) -> pd.DataFrame:
    """The passages of one stage."""
    there = deals.index[(deals["pipeline"] == pipeline) & (reach >= order)]
    entry = first[(first["order"] == order) & (first["pipeline"] == pipeline)].set_index("deal")
    entered = entry["entered_at"].reindex(there)
    later = own[own["order"] > order]
    later = later[~(later["entered_at"] < later["deal"].map(entered))]
    deeper = later.groupby("deal")["entered_at"].min().reindex(there)
    outcome, closed = deals["outcome"].loc[there], deals["closed_at"].loc[there]
    won = (outcome == "won") & deeper.isna()
    deeper_at = deeper.where(~won, closed)
    fate = pd.Series("open", there, dtype="str").mask(outcome == "lost", "lost").mask(outcome == "void", "void")
    fate = fate.mask(deeper.notna() | won, "deeper")
    ended = deeper_at.where(fate == "deeper", closed.where(fate.isin(["lost", "void"])))
    by_day = book.by_day_only("stage_history", "entered_at")
    timed = entry["timed"].reindex(there, fill_value=False)
    return pd.DataFrame(
        {
            "deal": there,
            "pipeline": pipeline,
            "stage": stage,
            "order": order,
            "fate": fate.to_numpy(),
            "skipped": entered.isna().to_numpy(),
            "entered_on": book.local_days(entered).to_numpy(),
            "ended_on": book.local_days(ended).to_numpy(),
            "ended_at": ended.to_numpy(),
            "age": ladder_codes(entered, ended.fillna(book.as_of), book.timezone, by_day),
            "timed": timed.to_numpy(),
        }
    ).assign(ended_at=lambda frame: pd.to_datetime(frame["ended_at"], utc=True).astype("datetime64[us, UTC]"))
