"""What changed since a past day: the deals that were won, lost, created, moved, put off or came to a standstill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import pandas as pd

from salescoach.book import Book, places_in
from salescoach.errors import Unavailable
from salescoach.metrics.counts import count_table
from salescoach.metrics.groups import UNITS, group_columns, group_keys, in_order, name_reps, parse_by, with_groups
from salescoach.metrics.lapses import next_steps
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.slips import pushes
from salescoach.metrics.stalled import stalled_deals
from salescoach.metrics.visits import deals_of, history_of, owner_at, owner_changes
from salescoach.process import Period, parse_day
from salescoach.wording import N_

CHANGES = {
    "created": N_("Created"),
    "forward": N_("Moved on"),
    "back": N_("Moved back"),
    "won": N_("Won"),
    "lost": N_("Lost"),
    "void": N_("Void"),
    "reopened": N_("Reopened"),
    "taken_over": N_("Taken over"),
    "pushed": N_("Close put off"),
    "stalled": N_("Came to a standstill"),
    "overdue": N_("Next step overdue"),
}
Then = pd.DataFrame
Tell = Callable[[Book, pd.DataFrame, Then, pd.Timestamp], pd.Series]


def changes_since(book: Book, on: str | dt.date) -> pd.DataFrame:
    """One row per deal and change between the end of the day `on` and as_of.

    change      created       not there on that day
                forward, back open on both days, in a later or earlier stage
                won, lost, void   closed so now, and not so then
                reopened      closed then; since then open again, or closed in another way
                taken_over    open on both days, with another owner
                pushed        expected close moved to a later day in between (`pushes`)
                stalled       stands still (`stalled_deals`) and did not yet on that day, by today's limits
                overdue       its next step fell due and is not done (`next_steps`)
    rep_id      who owns the deal, or owned it at the close
    stage_then, expected_then   as they were on that day; null where the deal was not there
    order       place in CHANGES

    and the deal's columns as they are today. Two days are compared: what came and went in between is not seen, but for
    pushed. Open deals then + created + reopened = won + lost + void + open deals now. Changes that the data cannot tell
    (`untold_changes`) have no row. Raises UsageError for a day after as_of.
    """
    day = pd.Timestamp(parse_day(on, "since"))
    before, now = deals_of(book.at(str(day.date()))), deals_of(book)
    then = _then(before, now)
    unknown = untold_changes(book)
    told = [c for c in CHANGES if c not in unknown]
    parts = []
    for name in told:
        here = _TELLS[name](book, now, then, day).fillna(False).astype(bool)
        parts.append(now[here].assign(change=name, order=list(CHANGES).index(name), deal=now.index[here]))
    rows = pd.concat(parts) if parts else now.iloc[:0].assign(change="", order=0, deal=0)
    rows["stage_then"] = then["stage"].reindex(rows["deal"]).set_axis(rows.index)
    rows["expected_then"] = then["expected_close_on"].reindex(rows["deal"]).set_axis(rows.index)
    closed = rows["closed_at"].where(rows["outcome"] != "open")
    rows["rep_id"] = owner_at(book, rows["deal"], closed)
    rows = rows.assign(today=book.as_of_on).astype({"change": "str"})
    return rows.sort_values(["order", "deal_id"], kind="stable", ignore_index=True)


def change_counts(book: Book, on: str | dt.date, by: str | Sequence[str] = "rep") -> pd.DataFrame:
    """How many deals changed, and with what amounts, since the end of the day `on`: `changes_since`, counted.

    Groups: rep, team, manager and columns of deals, as of today. One row per group and change, also where it is 0; a
    group without any change has a row only where it is a rep, team or manager of the book; one set of rows per currency
    if there are several.

    Returns change, n (deals), amount (of the n, in units of the currency; null where none has one), without_amount.
    The n add up to the rows of `changes_since`; changes that the data cannot tell have no row. Raises Unavailable for a
    group of time.
    """
    groups = parse_by(by)
    if any(g in UNITS for g in groups):
        raise Unavailable("the changes since a day are those of one span of time; choose the day instead")
    rows = with_groups(book, changes_since(book, on), groups, "today")
    money = [key for key in money_keys(deals_of(book)) if key not in group_keys(groups)]
    keys = [*group_keys(groups), *money]
    counts = count_table(rows, [*keys, "change"], money="amount_minor")
    table = _every_change(book, counts, keys, groups)
    table = name_reps(book, in_order(table, [*keys, "order"]))
    table["amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["without_amount"] = table["n"] - table["n_amount"]
    return table[[*group_columns(groups), *money, "change", "n", "amount", "without_amount"]]


def untold_changes(book: Book) -> dict[str, Unavailable]:
    """The changes that these data cannot tell, each with the reason."""
    untold = {}
    logged = book.has("stage_history", "entered_at")
    if not (book.has("deals", "created_at") or logged):
        untold["created"] = Unavailable(
            "`{column}` is missing or empty in `{table}`", column="created_at", table="deals"
        )
    if not (book.has("deals", "closed_at") or logged):
        reason = Unavailable("`{column}` is missing or empty in `{table}`", column="closed_at", table="deals")
        untold |= dict.fromkeys(("won", "lost", "void", "reopened"), reason)
    if not _moves_are_logged(book):
        reason = Unavailable("the data say where each deal stands, not when it came there")
        untold |= dict.fromkeys(("forward", "back"), reason)
    if owner_changes(book).empty:
        untold["taken_over"] = Unavailable("no change of owner is recorded: `changes` has no row for `rep_id`")
    for name, ask in (("pushed", pushes), ("overdue", next_steps)):
        try:
            ask(book)
        except Unavailable as reason:
            untold[name] = reason
    if not stalled_deals(book)["judged"].any():
        untold["stalled"] = Unavailable(
            "neither how long deals stand in their stage nor when their customers were last in touch can be told for "
            "any open deal"
        )
    return untold


def _moves_are_logged(book: Book) -> bool:
    """Whether entries into working stages are known: the first stage is often assumed, and of a lost deal many exports
    keep the last one."""
    if not book.has("stage_history", "entered_at"):
        return False
    working = {s.key for line in book.process.pipelines.values() for s in line.working}
    log = history_of(book)
    lost = (deals_of(book)["outcome"] == "lost").to_numpy()[log["deal"]]
    return bool((log["stage"].isin(working) & (log["evidence"] != "assumed") & ~lost).any())


def _then(before: pd.DataFrame, now: pd.DataFrame) -> Then:
    """For each deal of today how it stood on the past day: known, outcome ("" where not known), stage, rep_id,
    expected_close_on."""
    columns = ["outcome", "stage", "rep_id", "expected_close_on"]
    place = places_in(before["deal_id"], now["deal_id"])
    then = before.reindex(columns=columns).set_axis(place).reindex(now.index)
    then["expected_close_on"] = then["expected_close_on"].astype("datetime64[us]")
    then["known"] = now.index.isin(place)
    return then.assign(outcome=then["outcome"].fillna(""))


def _steps(book: Book, now: pd.DataFrame, then: Then) -> pd.Series:
    """How many stages deeper each deal stands that was open on both days; 0 for all others."""
    order = {(k, s.key): i for k, line in book.process.pipelines.items() for i, s in enumerate(line.working)}
    places = pd.Series(order, dtype="float64")
    today, past = (
        places.reindex(pd.MultiIndex.from_arrays([now["pipeline"], stage])).to_numpy()
        for stage in (now["stage"], then["stage"])
    )
    both = (now["outcome"] == "open") & (then["outcome"] == "open")
    return pd.Series(today - past, now.index).where(both, 0.0)


def _became(outcome: str) -> Tell:
    return lambda book, now, then, day: (now["outcome"] == outcome) & (then["outcome"] != outcome)


def _reopened(book: Book, now: pd.DataFrame, then: Then, day: pd.Timestamp) -> pd.Series:
    return then["known"] & (then["outcome"] != "open") & (now["outcome"] != then["outcome"])


def _taken_over(book: Book, now: pd.DataFrame, then: Then, day: pd.Timestamp) -> pd.Series:
    both = (now["outcome"] == "open") & (then["outcome"] == "open")
    same = (now["rep_id"] == then["rep_id"]) | (now["rep_id"].isna() & then["rep_id"].isna())
    return both & ~same.fillna(False).astype(bool)


def _pushed(book: Book, now: pd.DataFrame, then: Then, day: pd.Timestamp) -> pd.Series:
    first = (day + pd.Timedelta(days=1)).date()
    since = Period(f"{first}..{book.as_of_on.date()}", first, book.as_of_on.date())
    moved = pushes(book, since)["deal"] if first <= book.as_of_on.date() else pd.Series(dtype="int64")
    return pd.Series(now.index.isin(moved) & (now["outcome"] != "void"), now.index)


def _stalled(book: Book, now: pd.DataFrame, then: Then, day: pd.Timestamp) -> pd.Series:
    deals, passed = stalled_deals(book), (book.as_of_on - day).days
    already = (deals["age_days"] - passed > deals["limit_days"]) | (
        deals["silent_days"] - passed > deals["silence_limit_days"]
    )
    return (deals["stalled"] & ~already).reindex(now.index)


def _overdue(book: Book, now: pd.DataFrame, then: Then, day: pd.Timestamp) -> pd.Series:
    steps = next_steps(book)
    return ((steps["next_step"] == "overdue") & (steps["next_due_on"] >= day)).reindex(now.index)


_TELLS: dict[str, Tell] = {
    "created": lambda book, now, then, day: ~then["known"],
    "forward": lambda book, now, then, day: _steps(book, now, then) > 0,
    "back": lambda book, now, then, day: _steps(book, now, then) < 0,
    "won": _became("won"),
    "lost": _became("lost"),
    "void": _became("void"),
    "reopened": _reopened,
    "taken_over": _taken_over,
    "pushed": _pushed,
    "stalled": _stalled,
    "overdue": _overdue,
}


def _every_change(book: Book, counts: pd.DataFrame, keys: list[str], groups: Sequence[str]) -> pd.DataFrame:
    """The counts with a row for each change that can be told, of each group; for people, of everybody in the book."""
    unknown = untold_changes(book)
    told = [c for c in CHANGES if c not in unknown]
    lines = pd.DataFrame({"change": told, "order": [list(CHANGES).index(c) for c in told]}).astype({"change": "str"})
    grid = counts[keys].drop_duplicates()
    if len(keys) == 1 and groups and groups[0] in ("rep", "team", "manager"):
        everybody = book.people["rep_id" if groups[0] == "rep" else groups[0]].dropna()
        grid = pd.concat([grid, everybody.rename(keys[0]).to_frame()]).drop_duplicates()
    table = (grid.merge(lines, how="cross") if keys else lines).merge(
        counts, on=[*keys, "change"], how="left", validate="1:1"
    )
    whole = ["n", "amount_minor", "n_amount"]
    table[whole] = table[whole].fillna(0).astype("int64")
    return table
