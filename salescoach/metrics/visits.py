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
CLOSED = -1


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
    """Stage entries and handovers in the order of deals and time.

    deal, at, pipeline, stage, order (-1 for a closing stage), outcome (of a closing stage), handover, rep_id,
    entered_at, evidence
    """
    deals = deals_of(book)
    history = history_of(book).rename(columns={"entered_at": "at"}).assign(handover=False)
    taken = owner_changes(book)[["deal", "at"]].assign(handover=True)
    events = pd.concat([history, taken], ignore_index=True) if len(taken) else history
    events = events.sort_values(["deal", "at"], kind="stable", ignore_index=True)
    events["entered_at"] = events["at"].where(~events["handover"])
    if len(taken):
        held = ["stage", "entered_at", "evidence"]
        events[held] = events.groupby("deal")[held].ffill()
        events = events[events["stage"].notna()].reset_index(drop=True)
    events["pipeline"] = events["deal"].map(deals["pipeline"])
    steps = [(p, s.key, i, s.outcome) for p, line in book.process.pipelines.items() for i, s in enumerate(line.stages)]
    known = pd.MultiIndex.from_tuples([(p, key) for p, key, _, _ in steps])
    codes = known.get_indexer(pd.MultiIndex.from_frame(events[["pipeline", "stage"]]))
    if (codes < 0).any():
        unknown = sorted(events.loc[codes < 0, "stage"].unique())
        raise LawBroken(f"the stage history names stages that the process does not have: {', '.join(unknown)}.")
    events["order"] = np.array([i if outcome is None else CLOSED for _, _, i, outcome in steps])[codes]
    events["outcome"] = pd.Series([o or "" for *_, o in steps], dtype="str").take(codes).set_axis(events.index)
    events = events[~(events["handover"] & (events["order"] == CLOSED))].reset_index(drop=True)
    events["rep_id"] = owner_at(book, events["deal"], _exit_instants(events))
    return events


def _exit_instants(events: pd.DataFrame) -> pd.Series:
    """When each stay ended; null where it has not."""
    return events["at"].shift(-1).where(events["deal"] == events["deal"].shift(-1))


@per_book
def history_of(book: Book) -> pd.DataFrame:
    """The stage history with deals as rows of `book.deals`: deal, entered_at, stage, evidence. Raises Unavailable."""
    if not book.has("stage_history", "entered_at"):
        raise Unavailable("there is no stage history: the export has no dates at all")
    log = book.table("stage_history")
    return log[["entered_at", "stage", "evidence"]].assign(deal=_row_of(deals_of(book), log["deal_id"]))


def _row_of(deals: pd.DataFrame, deal_id: pd.Series) -> pd.Series:
    """The row of each deal id in `deals`."""
    return deal_id.map(pd.Series(deals.index, index=deals["deal_id"])).astype("int64")


@per_book
def owner_changes(book: Book) -> pd.DataFrame:
    """Recorded changes of owner: deal (its row), at, old (null: nobody)."""
    if not book.has("changes", "at") or "old" not in book.tables["changes"]:
        return pd.DataFrame({"deal": [], "at": [], "old": []})
    deals, changes = deals_of(book), book.table("changes")
    same = (changes["old"] == changes["new"]).fillna(False) if "new" in changes else False
    moved = changes[(changes["field"] == "rep_id") & ~same & changes["deal_id"].isin(deals["deal_id"])]
    moved = moved.sort_values("at", kind="stable")
    return pd.DataFrame({"deal": _row_of(deals, moved["deal_id"]), "at": moved["at"], "old": moved["old"]})


def owner_at(book: Book, deal: pd.Series, at: pd.Series) -> pd.Series:
    """Who owned each deal just before an instant (null: who owns it now).

    Without recorded changes of owner this is the present owner.
    """
    now = deal.map(deals_of(book)["rep_id"])
    moved = owner_changes(book)
    asked = pd.DataFrame({"deal": deal, "at": at, "place": np.arange(len(deal))})
    asked = asked[asked["at"].notna() & asked["deal"].isin(moved["deal"])].sort_values("at", kind="stable")
    if asked.empty:
        return now
    asked["at"] = asked["at"].astype(moved["at"].dtype)
    found = pd.merge_asof(asked, moved.assign(then=True), on="at", by="deal", direction="forward")
    found = found[found["then"].notna()]
    owner = now.to_numpy(object, copy=True)
    owner[found["place"]] = found["old"]
    return pd.Series(owner, deal.index, dtype="str")


def _check_visits(result: pd.DataFrame, events: pd.DataFrame) -> None:
    """Entries into working stages = exits of all kinds, and takeovers = hand-overs."""
    entered = int((events["order"] >= 0).sum())
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
    stays = visits(book)
    deals = deals_of(book)
    own = stays[stays["late"] == NO_AGE]
    working = {key: len(line.working) for key, line in book.process.pipelines.items()}
    reach = own.groupby("deal")["order"].max().reindex(deals.index)
    reach = reach.mask((deals["outcome"] == "won") & reach.notna(), deals["pipeline"].map(working) - 1)
    rows = [
        _stage_passages(book, own, deals[(deals["pipeline"] == key) & (reach >= order)], order, working[key])
        for key, line in book.process.pipelines.items()
        for order in range(len(line.working))
    ]
    result = pd.concat(rows, ignore_index=True)
    stages = {(key, i): s.key for key, line in book.process.pipelines.items() for i, s in enumerate(line.working)}
    names = pd.Series(stages, dtype="str").reindex(pd.MultiIndex.from_frame(result[["pipeline", "order"]]))
    result.insert(2, "stage", names.to_numpy())
    result["rep_id"] = owner_at(book, result["deal"], result.pop("ended_at"))
    return result


def _stage_passages(book: Book, own: pd.DataFrame, deals: pd.DataFrame, order: int, last: int) -> pd.DataFrame:
    """The passages through one stage of the deals that reached it; `last` is the order of won."""
    here = own[own["first"] & (own["order"] == order)].set_index("deal")
    entered = here["entered_at"].reindex(deals.index)
    later = own[(own["order"] > order) & own["deal"].isin(deals.index)]
    from_then_on = ~(later["entered_at"] < entered.reindex(later["deal"]).set_axis(later.index))
    later = later[from_then_on].drop_duplicates("deal").set_index("deal")
    next_at, next_order = later["entered_at"].reindex(deals.index), later["order"].reindex(deals.index)
    won = (deals["outcome"] == "won") & next_at.isna()
    deeper = next_at.notna() | won
    fate = deals["outcome"].mask(deeper, "deeper").mask(deals["outcome"] == "void", "void")
    ended = next_at.where(next_at.notna(), deals["closed_at"]).where(fate != "open")
    until = ended.where(fate != "open", book.as_of)
    by_day = book.by_day_only("stage_history", "entered_at")
    columns = {
        "deal": deals.index,
        "pipeline": deals["pipeline"],
        "order": order,
        "fate": fate,
        "skipped": entered.isna(),
        "jumped": deeper & (next_order.fillna(last) > order + 1),
        "entered_on": book.local_days(entered),
        "ended_on": book.local_days(ended),
        "ended_at": ended,
        "age": ladder_codes(entered, until, book.timezone, by_day),
        "timed": here["timed"].reindex(deals.index, fill_value=False),
    }
    return pd.DataFrame(columns).reset_index(drop=True)
