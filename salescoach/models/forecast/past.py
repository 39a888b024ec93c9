"""The book on any of its past days: what was open, whose it was, what it was worth and what had been won."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.book.texts import encoded
from salescoach.errors import Unavailable
from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.lexis import Lexis, Stays, lexis, stays
from salescoach.metrics.money import major
from salescoach.metrics.visits import deals_of, owner_at, owner_changes
from salescoach.models.gap_parts import list_prices

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]
Unit = Literal["amount", "deals"]
NEVER = np.iinfo(np.int64).max
YEAR = 364  # days, whole weeks
KEPT = 0.5  # of the open deals so many must have an amount, or it is not written before the close
TYPICAL_DAYS = 180  # the wins whose mean stands for an amount that is not known
MOST = 0.75  # of the wins
LEAST_DAYS = 28  # behind a usual month
FEWEST_WINS = 5  # of a product, below which its wins say little of its amount


@dataclass(frozen=True)
class Open:
    """The deals open at the start of a day, each column an array: row in `book.deals`, state, age, rep, value.

    known   whether the value is the deal's own, not the typical one
    """

    deal: Whole
    state: Whole
    age: Whole
    rep: Whole
    value: Floats
    known: np.ndarray[Any, np.dtype[np.bool_]]


class Past:
    """A book whose past days can be looked up at little cost. Days are numbers since the epoch.

    Raises Unavailable without amounts, without closing days, with several currencies, or where nothing was won.
    """

    def __init__(self, book: Book, unit: Unit = "amount", by_stage: bool | None = None) -> None:
        """`by_stage`: as in `stays`, where the company's book has decided it; then a rep may have won nothing yet."""
        _check(book, unit, by_stage is None)
        self.book, self.unit = book, unit
        self.stays: Stays = stays(book, by_stage)
        self.today = self.stays.last_day + 1  # the first day that is not known
        deals = deals_of(book)
        owner, names = encoded(deals["rep_id"])
        won = (deals["outcome"] == "won").to_numpy()
        at_close, named = encoded(owner_at(book, deals.index.to_series(), deals["closed_at"]))
        before = owner_changes(book)["old"].dropna().astype("str").unique()
        self.reps = [*sorted({*names, *named, *before}), UNASSIGNED]
        place = {name: i for i, name in enumerate(self.reps)}
        nobody = len(self.reps) - 1
        self.owner = np.array([*(place[n] for n in names), nobody])[owner]
        closer = np.array([*(place[n] for n in named), nobody])[at_close]
        closed = deals["closed_on"].to_numpy("datetime64[D]").view(np.int64)
        dated = deals["closed_on"].notna().to_numpy()
        self.won_on = np.where(won & dated, closed, NEVER)
        self.closer = closer
        self.amount = np.ones(len(deals)) if unit == "deals" else major(book, deals, "amount_minor").to_numpy(float)
        rows = np.flatnonzero(self.won_on < self.today)
        rows = rows[np.argsort(self.won_on[rows], kind="stable")]
        self.wins = rows
        self.win_day, self.win_rep = self.won_on[rows], closer[rows]
        self.win_value = np.nan_to_num(self.amount[rows])
        self._owners = _Earlier(owner_changes(book)["deal"], _local(book, owner_changes(book)["at"]))
        self._old_owner = np.array([place.get(n, nobody) for n in owner_changes(book)["old"]], dtype=np.int64)
        self._amounts, self._old_amount = self._amount_changes(deals)
        self._list = list_prices(book, deals).to_numpy(float)
        product, kinds = encoded(deals["product"] if "product" in deals else pd.Series(None, deals.index, dtype="str"))
        self.products = len(kinds)
        self._product = np.where(product < 0, self.products, product.astype(np.int64))
        outcome_open = (deals["outcome"] == "open").to_numpy()
        kept = self.amount[outcome_open] > 0
        self.kept_open = bool(len(kept) and kept.mean() >= KEPT) or unit == "deals"
        self.decided_on = np.where(deals["outcome"].isin(["won", "lost"]).to_numpy() & dated, closed, NEVER)

    @cached_property
    def lexis(self) -> Lexis:
        return lexis(self.stays)

    def _amount_changes(self, deals: pd.DataFrame) -> tuple[_Earlier, Floats]:
        book = self.book
        if not book.has("changes", "at") or "old" not in book.tables["changes"]:
            return _Earlier(pd.Series([], dtype="int64"), np.empty(0, dtype=np.int64)), np.empty(0)
        changes = book.table("changes")
        changes = changes[changes["field"] == "amount"].sort_values("at", kind="stable")
        deal = places_in(changes["deal_id"], deals["deal_id"])
        changes, deal = changes[deal >= 0], deal[deal >= 0]
        old = pd.to_numeric(changes["old"], errors="coerce").to_numpy(float)
        return _Earlier(pd.Series(deal), _local(book, changes["at"])), old

    # --- what was known -----------------------------------------------------------------------

    def open_at(self, day: int) -> Open:
        """The deals open at the start of a day, as they stood then."""
        s = self.stays
        rows = np.flatnonzero((s.entered < day) & (s.exited >= day))
        deal = s.deal[rows]
        value, known = self.values(deal, day)
        return Open(deal, s.state[rows], day - s.entered[rows], self.owners(deal, day), value, known)

    def owners(self, deal: Whole, day: int) -> Whole:
        """Whose the deals were at the start of a day."""
        rep = self.owner[deal].copy()
        found, place = self._owners.first_from(deal, day)
        rep[found] = self._old_owner[place]
        return rep

    def values(self, deal: Whole, day: int) -> tuple[Floats, Any]:
        """What deals were worth as far as a day's start tells, and which of them by their own amount."""
        if self.unit == "deals":
            return np.ones(len(deal)), np.ones(len(deal), dtype=bool)
        listed = self._list[deal] * self.realised(day)
        value = np.where(listed > 0, listed, self.typical(day)[self._product[deal]])
        if not self.kept_open:
            return value, listed > 0
        own = self.amount[deal].copy()
        found, place = self._amounts.first_from(deal, day)
        own[found] = self._old_amount[place]
        return np.where(own > 0, own, value), own > 0

    def typical(self, day: int) -> Floats:
        """The mean amount of a win in the days before, by product; the last one stands for those rarely won."""
        low, high = np.searchsorted(self.win_day, [day - TYPICAL_DAYS, day])
        rows = slice(low, high) if high > low else slice(0, high)
        value, product = self.win_value[rows], self._product[self.wins[rows]]
        whole = float(value.mean()) if len(value) else 0.0
        n, sums = np.bincount(product, minlength=self.products + 1), np.bincount(product, value, self.products + 1)
        found: Floats = np.where(n >= FEWEST_WINS, sums / np.maximum(n, 1), whole)
        found[-1] = whole
        return found

    def realised(self, day: int) -> float:
        """Won amounts over their list prices in the days before."""
        low, high = np.searchsorted(self.win_day, [day - TYPICAL_DAYS, day])
        listed = self._list[self.wins[low:high]]
        there = listed > 0
        return float(self.win_value[low:high][there].sum() / listed[there].sum()) if there.any() else 1.0

    def won_between(self, first: int, last: int) -> Floats:
        """Won amounts by rep from a day to the day before another."""
        low, high = np.searchsorted(self.win_day, [first, last])
        return by_rep(self.win_rep[low:high], self.win_value[low:high], len(self.reps))

    def steady_since(self, day: int) -> int:
        """From when on wins came as steadily as they would: the first deals had the time that most wins take.

        A record that begins with no deal under way has fewer wins at first; they say nothing of a usual month.
        """
        known = self.cycle[: np.searchsorted(self.win_day, day)]
        known = known[known >= 0]
        most = int(np.quantile(known, MOST)) if len(known) else 0
        return max(self.stays.first_day, min(int(self.begun[0][0]) + most, day - LEAST_DAYS))

    def rate_since(self, day: int) -> int:
        """The first day behind the run-rate: of the last year."""
        return max(self.steady_since(day), day - YEAR)

    @cached_property
    def cycle(self) -> Whole:
        """Days from the beginning to the win, in the order of the wins; -1 where the beginning is not known."""
        day, deal, _ = self.begun
        began = np.full(len(self.won_on), NEVER)
        began[deal] = day
        known = began[self.wins] != NEVER
        return np.where(known, self.win_day - np.where(known, began[self.wins], 0), -1)

    def win_rate(self, day: int) -> float:
        """Of the deals decided before a day, the share won."""
        decided = self.decided_on < day
        n = int(decided.sum())
        return float((decided & (self.won_on < day)).sum() / n) if n else 0.5

    @cached_property
    def begun(self) -> tuple[Whole, Whole, Whole]:
        """First stays in the order of their day: day, deal, state."""
        s = self.stays
        first = np.flatnonzero(np.append(True, s.deal[1:] != s.deal[:-1]))
        first = first[np.argsort(s.entered[first], kind="stable")]
        return s.entered[first], s.deal[first], s.state[first]


def by_rep(rep: Whole, value: Floats, reps: int) -> Floats:
    """Sums of a value by rep."""
    found: Floats = np.bincount(rep, value, reps).astype(np.float64)
    return found


class _Earlier:
    """Changes by deal and day, of which the first from a day on tells how things stood before it."""

    def __init__(self, deal: pd.Series, day: Whole) -> None:
        deals = deal.to_numpy(np.int64)
        self.base = int(day.min()) if len(day) else 0
        self.span = int(day.max()) - self.base + 2 if len(day) else 1
        key = deals * self.span + day - self.base
        self.order = np.argsort(key, kind="stable")
        self.key = key[self.order]

    def first_from(self, deal: Whole, day: int) -> tuple[Whole, Whole]:
        """Which of the deals change on that day or later, and the place of their first change."""
        if not len(self.key):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        since = min(max(day - self.base, 0), self.span - 1)
        at = np.searchsorted(self.key, deal * self.span + since)
        there = np.flatnonzero(at < len(self.key))
        same = there[self.key[at[there]] // self.span == deal[there]]
        return same, self.order[at[same]]


def _local(book: Book, instants: pd.Series) -> Whole:
    if not len(instants):
        return np.empty(0, dtype=np.int64)
    days: Whole = book.local_days(instants).to_numpy("datetime64[D]").view(np.int64)
    return days


def _check(book: Book, unit: Unit, wins: bool) -> None:
    if not book.has("deals", "closed_at"):
        raise Unavailable("a forecast needs `closed_at` in `deals`: without it nothing tells when deals were won")
    if not book.has("deals", "created_at") and not book.has("stage_history", "entered_at"):
        raise Unavailable(
            "a forecast needs `created_at` in `deals`: without it nothing tells what was open on a past day"
        )
    if unit == "amount" and not book.has("deals", "amount_minor"):
        raise Unavailable("the deals have no `amount`. Forecast how many deals are won instead")
    if unit == "amount" and deals_of(book)["currency"].nunique() > 1:
        raise Unavailable(
            "the deals are in several currencies, and sums never cross currencies: convert them with dated rates, or "
            "look at one currency at a time"
        )
    if wins and not bool((deals_of(book)["outcome"] == "won").any()):
        raise Unavailable("no deal has been won yet")
