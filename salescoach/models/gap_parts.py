"""Counts of what a won amount is made of: deals begun, what each stage let through, and what was won."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.compare import mix_of
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.created import begun_deals
from salescoach.metrics.credit import credited_deals
from salescoach.metrics.flow import MATURE_DAYS, ended_passages, need_stages
from salescoach.metrics.groups import NONE, UNASSIGNED, group_keys, with_groups
from salescoach.metrics.ladder import NO_AGE, ladder_days
from salescoach.metrics.money import minor_scale
from salescoach.metrics.outcomes import decided_deals, need_losses
from salescoach.metrics.visits import deals_of, owner_changes
from salescoach.process import Period

WIN_RATE = "win_rate"  # the one step of a book that does not know its stages
EVERYBODY = "(all)"
TABLES = ("begun", "steps", "wins")
LISTED_ENOUGH = 0.8
WINS = ["won", "priced", "share", "share2", "amount", "amount2", "cross", "listed", "listed2", "listed_cross", "both"]


@dataclass(frozen=True)
class GapCounts:
    """Additive tables of one period. `who` is the rep, team or everybody; `kind` the deal's cell of the deal mix.

    begun    who, rep_id, pipeline: n deals begun (where stages are unknown: decided)
    steps    who, rep_id, pipeline, stage, order, kind: n that ended or matured, went (on), own and own_went (of these,
             without deals that changed hands), timed, days, days2 (in the stage, at most MATURE_DAYS of each)
    wins     who, rep_id, pipeline, kind: won (deals), and over wins with an amount priced, and sums with squares and
             cross products of share (of the deal), amount and listed (list price), in units of the currency
    kinds    the columns that make up `kind`
    stages   whether the stages are known; else there is the one step WIN_RATE
    prices   whether list prices are known
    """

    begun: pd.DataFrame
    steps: pd.DataFrame
    wins: pd.DataFrame
    kinds: tuple[str, ...]
    stages: bool
    prices: bool

    @property
    def named(self) -> GapCounts:
        """The same without what nobody owns."""
        return self._each(lambda table: table[(table["rep_id"] != UNASSIGNED) & (table["who"] != UNASSIGNED)])

    @property
    def whole(self) -> GapCounts:
        """The same with everybody as one."""
        return self._each(lambda table: table.assign(who=EVERYBODY))

    @property
    def people(self) -> pd.Series:
        """How many reps began, carried or won anything, per `who`."""
        seen = pd.concat([t[["who", "rep_id"]] for t in (self.begun, self.steps, self.wins)]).drop_duplicates()
        return seen.groupby("who").size()

    def and_(self, other: GapCounts) -> GapCounts:
        """Both periods together."""
        begun, steps, wins = (pd.concat([getattr(self, t), getattr(other, t)]) for t in TABLES)
        return replace(self, begun=begun, steps=steps, wins=wins, prices=self.prices and other.prices)

    def _each(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> GapCounts:
        return replace(self, begun=change(self.begun), steps=change(self.steps), wins=change(self.wins))


def stages_known(book: Book) -> bool:
    """Whether a won amount can be traced through the stages; else through its win rate only."""
    try:
        need_stages(book)
    except Unavailable:
        return False
    return book.has("deals", "created_at")


def gap_counts(book: Book, by: Sequence[str], period: Period, stages: bool) -> GapCounts:
    """Count what the won amounts of a period are made of. Raises Unavailable without amounts or with mixed currencies.

    Deals begun count for their first owner, passages for the owner at their end, wins for those credited with them.
    """
    if not book.has("deals", "amount_minor") or not book.has("deals", "closed_at"):
        raise Unavailable("won amounts need `amount` and `closed_at` in `deals`")
    if deals_of(book)["currency"].nunique() > 1:
        raise Unavailable(
            "the deals are in several currencies, and sums never cross currencies: convert them with dated rates, or "
            "look at one currency at a time"
        )
    kinds = mix_of(book)
    steps = _passages(book, period) if stages else _decisions(book, period)
    begun = begun_deals(book, period).assign(on=lambda d: d["created_on"]) if stages else steps
    keys = ["who", "rep_id", "pipeline"]
    begun = count_table(_who(book, begun, by), keys)
    steps = _who(book, steps.assign(kind=_kind(steps, kinds)), by)
    days = steps["days"].fillna(0).round().astype("int64")
    sums = {
        "went": steps["went"],
        "own": steps["is_own"],
        "own_went": steps["is_own"] & steps["went"],
        "timed": steps["days"].notna(),
        "days": days,
        "days2": days**2,
    }
    steps = count_table(steps, [*keys, "stage", "order", "kind"], sums=sums)
    wins = _wins(book, period, kinds)
    prices = bool(wins["priced"].any()) and wins.loc[wins["priced"], "has_list"].mean() >= LISTED_ENOUGH
    cells = add_up(_who(book, wins, by)[[*keys, "kind", *WINS]].astype({"priced": "int64"}), [*keys, "kind"])
    return GapCounts(begun, steps, cells, kinds, stages, prices)


def _who(book: Book, rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows with `who`; what nobody owns has the rep UNASSIGNED."""
    rows = with_groups(book, rows, by, "on")
    keys = group_keys(by)
    who = rows[keys[0]] if keys else pd.Series(EVERYBODY, rows.index, dtype="str")
    return rows.assign(who=who, rep_id=rows["rep_id"].fillna(UNASSIGNED))


def _kind(rows: pd.DataFrame, kinds: Sequence[str]) -> pd.Series:
    """The cell of the deal mix, as one text."""
    kind = pd.Series("", rows.index, dtype="str")
    for column in kinds:
        kind = kind + (" · " if len(kinds) > 1 and column != kinds[0] else "") + rows[column].astype("str").fillna(NONE)
    return kind


def _passages(book: Book, period: Period) -> pd.DataFrame:
    rows = ended_passages(book, period)
    timed = rows["timed"] & (rows["age"] != NO_AGE)
    days = pd.Series(np.minimum(ladder_days(rows["age"].to_numpy()), MATURE_DAYS), rows.index).where(timed)
    days = days.mask(rows["stuck"] & timed, float(MATURE_DAYS))
    return rows.assign(on=rows["counted_on"], went=rows["went_on"], days=days, is_own=_not_handed(book, rows["deal"]))


def _decisions(book: Book, period: Period) -> pd.DataFrame:
    """Won and lost deals as passages of the one step WIN_RATE, with the days since their creation."""
    need_losses(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    days = (deals["closed_on"] - deals["created_on"]).dt.days
    return deals.assign(
        stage=pd.Series(WIN_RATE, deals.index, dtype="str"),
        order=0,
        on=deals["closed_on"],
        went=deals["outcome"] == "won",
        days=days.where(days >= 0),
        is_own=_not_handed(book, deals.index.to_series()),
    )


def _not_handed(book: Book, deal: pd.Series) -> pd.Series:
    """What changed hands is not one person's work: it counts for the amount, not for the rates."""
    moved = owner_changes(book)
    return ~deal.isin(moved.loc[moved["old"].notna(), "deal"])


def _wins(book: Book, period: Period, kinds: Sequence[str]) -> pd.DataFrame:
    """The won deals: as many as their owners won, with the credit for them (which a shared deal gives to several)."""
    closed = decided_deals(book, period)
    closed = closed[closed["outcome"] == "won"]
    counted = pd.DataFrame({c: closed[c] for c in ("rep_id", "pipeline", "closed_on", *kinds)}).assign(won=1)
    credits = credited_deals(book, period)
    credits = credits[(credits["outcome"] == "won") & ~credits["overlay"].astype(bool)]
    scale = minor_scale(book, credits)
    share, amount = credits["share"].astype(float), credits["amount_minor"].astype("float64") / scale
    listed = list_prices(book, credits) * share
    credits = credits.assign(
        won=0, priced=amount.notna(), has_list=listed.notna(), share=share.where(amount.notna()), amount=amount
    )
    credits["listed"] = listed.fillna(amount).where(amount.notna())
    rows = pd.concat([counted, credits[[*counted.columns, "priced", "has_list", "share", "amount", "listed"]]])
    rows[["priced", "has_list"]] = rows[["priced", "has_list"]].fillna(False).astype(bool)
    rows["pipeline"] = rows["pipeline"].fillna(next(iter(book.process.pipelines)))
    squares = {"share2": ("share", "share"), "amount2": ("amount", "amount"), "cross": ("share", "amount")}
    squares |= {"listed2": ("listed", "listed"), "listed_cross": ("share", "listed"), "both": ("listed", "amount")}
    rows = rows.assign(**{name: rows[a] * rows[b] for name, (a, b) in squares.items()}, on=rows["closed_on"])
    return rows.assign(kind=_kind(rows, kinds)).fillna(dict.fromkeys(WINS, 0.0))


def list_prices(book: Book, deals: pd.DataFrame) -> pd.Series:
    """The list price of each deal: its own, else that of its product, in units of the currency; null where unknown."""
    none = pd.Series(np.nan, deals.index)
    own = deals["list_price_minor"].astype("float64") if "list_price_minor" in deals else none
    if book.has("products", "list_price_minor") and "product" in deals:
        products = book.table("products")
        known = products["list_price_minor"].astype("float64").set_axis(_folded(products["product"]))
        own = own.fillna(_folded(deals["product"]).map(known[~known.index.duplicated()]))
    return (own / minor_scale(book, deals)).where(own > 0)


def _folded(names: pd.Series) -> pd.Series:
    """Names of products as they are compared: CRMs write GTX Pro and GTXPro."""
    return names.str.replace(r"\s+", "", regex=True).str.casefold()
