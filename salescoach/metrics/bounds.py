"""Trust bounds: how far each defect of the data could move a figure, and the edits that would narrow it most."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, joined
from salescoach.metrics.money import major
from salescoach.metrics.outcomes import based_deals, decided_deals, knows_losses, only_wins
from salescoach.metrics.registry import as_period, is_everything
from salescoach.metrics.stalled import zombie_deals
from salescoach.metrics.visits import deals_of, history_of
from salescoach.process import Period
from salescoach.wording import N_, Words, words

OFF_BY_DAYS = 3  # a close date that differs from the log by more is a plan, not a date
EDGE_DAYS = 31  # how far from its written date an assumed close may really lie
AHEAD_DAYS = 90
USUAL = 0.9
NO_DEAL = ("duplicate", "superseded", "repeated-header", "summary-row")  # quarantined, and no deal of its own
COLUMNS = ["defect", "metric", "rep_id", "rep", "n", "value", "low", "high", "unit", "sentence"]
EDITS = ["deal_id", "rep_id", "fix", "narrows", "defects"]


@dataclass(frozen=True)
class Doubt:
    """What one defect does to one figure.

    defect     zombies, set-aside, unowned, undated, assumed-close, no-reason, stale-close, no-expected-close, no-amount
    metric     the figure, with its unit: share or money
    rep_id     whose figure it is; None: everybody's
    n          how many records are in doubt
    value      the figure as it stands
    low, high  its range over everything that the records in doubt may turn out to be
    text       the sentence, its assumption included; `values` stand in its places
    edits      one row per record: deal_id, rep_id, narrows (points by which repairing it narrows the range, whatever it
               turns out to be), amount
    """

    defect: str
    metric: str
    unit: str
    n: int
    value: float
    low: float
    high: float
    text: str
    edits: pd.DataFrame
    rep_id: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> float:
        """Points between the ends: of the share, or in per cent of the upper end."""
        span = self.high - self.low
        return 100 * (span if self.unit == "share" else span / self.high if self.high else 0.0)

    def said(self, say: Words, currency: str) -> str:
        """The sentence in the reader's language."""

        def shown(number: float) -> str:
            return say.percent(number, 1) if self.unit == "share" else say.money(number, currency)

        ends = {"value": shown(self.value), "low": shown(self.low), "high": shown(self.high), "n": say.number(self.n)}
        further = {k: say.money(v, currency) if isinstance(v, float) else v for k, v in self.values.items()}
        return say(self.text, **ends, **further)


@dataclass(frozen=True)
class Tally:
    """Decided deals and those in doubt: a share won / (won + lost) and its range.

    won, lost        sure
    maybe_won, maybe_lost   belong here or not
    undecided        belong here and are won or lost
    """

    won: int
    lost: int
    maybe_won: int = 0
    maybe_lost: int = 0
    undecided: int = 0

    @property
    def low(self) -> float:
        """Every maybe lost deal in, every maybe won one out, every undecided one lost."""
        won, lost = self.won, self.lost + self.maybe_lost + self.undecided
        return won / (won + lost) if won + lost else float("nan") if not self.maybe_won else 1.0

    @property
    def high(self) -> float:
        won, lost = self.won + self.maybe_won + self.undecided, self.lost
        return won / (won + lost) if won + lost else float("nan") if not self.maybe_lost else 0.0

    def narrowed(self, **fixed: int) -> float:
        """Points by which the range narrows if these counts change so."""
        then = Tally(**{**self.__dict__, **{k: getattr(self, k) + v for k, v in fixed.items()}})
        width, left = self.high - self.low, then.high - then.low
        return 100 * (width - (left if np.isfinite(left) else 0.0))


# --- every doubt -----------------------------------------------------------------------------------


def doubts(book: Book, period: str | Period | None = None) -> list[Doubt]:
    """Every defect that moves a figure of the period, the widest range first.

    What cannot be judged (no table, several currencies) is left out, as is a defect that nothing has.
    """
    span = as_period(book, period)
    found = [d for make in _MAKERS for d in _able(make, book, span) if d.n]
    return sorted(found, key=lambda d: (-d.width, d.defect, d.rep_id or ""))


def _able(make: Any, book: Book, span: Period) -> list[Doubt]:
    try:
        return list(make(book, span))
    except Unavailable:
        return []


def trust_bounds(book: Book, period: str | Period | None = None, language: str = "en") -> pd.DataFrame:
    """The range that each defect leaves to the figure it moves.

    Returns one row per defect and figure, the widest range first: defect, metric, rep_id and rep (null: everybody's),
    n (records in doubt), value (as it stands), low, high (its range), unit (share, or money in the book's currency),
    sentence (with the assumption). Every range holds over all that the records in doubt may turn out to be, each by
    itself; the value lies within it.
    """
    say, currency = words(language), book.currency
    names = book.people.set_index("rep_id")["rep"]
    rows = [
        (d.defect, d.metric, d.rep_id, names.get(d.rep_id), d.n, d.value, d.low, d.high, d.unit, d.said(say, currency))
        for d in doubts(book, period)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def ten_edits(book: Book, period: str | Period | None = None, most: int = 10, language: str = "en") -> pd.DataFrame:
    """The deals whose repair narrows the ranges most.

    Returns at most `most` rows: deal_id, rep_id, fix (what to enter), narrows (points of the widest range it is in),
    defects. A row that is not a deal yet is named by its file and line.
    """
    say = words(language)
    parts = [d.edits.assign(defect=d.defect, fix=say(FIXES[d.defect])) for d in doubts(book, period)]
    if not parts:
        return pd.DataFrame(columns=EDITS)
    edits = pd.concat(parts, ignore_index=True).sort_values(
        ["narrows", "amount", "deal_id"], ascending=[False, False, True], kind="stable"
    )
    grouped = edits.drop_duplicates(["deal_id", "defect"]).groupby("deal_id", sort=False)
    made = grouped.agg(
        rep_id=("rep_id", "first"),
        fix=("fix", lambda fixes: say(joined(fixes, "; "))),
        narrows=("narrows", "first"),
        defects=("defect", ", ".join),
    )
    return made.head(most).reset_index()[EDITS]


FIXES = {
    "zombies": N_("Close it, or plan the next step and a new expected close"),
    "set-aside": N_("Correct the row in quarantine.csv"),
    "unowned": N_("Enter whose deal it was"),
    "undated": N_("Enter when it was decided"),
    "assumed-close": N_("Check when it was really decided"),
    "no-reason": N_("Enter why it was lost"),
    "stale-close": N_("Enter a new expected close, or close it"),
    "no-expected-close": N_("Enter an expected close"),
    "no-amount": N_("Enter the amount"),
}


# --- the win rate ----------------------------------------------------------------------------------


def _decided(book: Book, span: Period) -> pd.DataFrame:
    if only_wins(book):
        raise Unavailable("not one deal in the data is lost")
    deals = decided_deals(book, span)
    return deals[deals["outcome"].isin(["won", "lost"])]


def _tally(deals: pd.DataFrame, **doubtful: int) -> Tally:
    won = int((deals["outcome"] == "won").sum())
    return Tally(won, len(deals) - won, **doubtful)


def _share(
    defect: str, tally: Tally, n: int, text: str, edits: pd.DataFrame, value: float, **more: Any
) -> Iterator[Doubt]:
    """A doubt about a share; nothing where there is no share to doubt."""
    if n and np.isfinite(value):
        yield Doubt(
            defect, more.pop("metric", "win_rate"), "share", n, value, tally.low, tally.high, text, edits, **more
        )


def _value(deals: pd.DataFrame) -> float:
    return float((deals["outcome"] == "won").mean()) if len(deals) else float("nan")


def _edits(deals: pd.DataFrame, narrows: pd.Series | float) -> pd.DataFrame:
    amount = deals["amount_minor"].astype("Float64").fillna(0).astype("float64")
    return pd.DataFrame(
        {"deal_id": deals["deal_id"], "rep_id": deals["rep_id"], "narrows": narrows, "amount": amount}
    ).reset_index(drop=True)


def _in_or_out(tally: Tally, deals: pd.DataFrame) -> pd.Series:
    """Points that each of these maybe won or maybe lost deals is worth, once it is known to belong here or not."""
    worth = {}
    for outcome, sure in (("won", "won"), ("lost", "lost")):
        if (deals["outcome"] == outcome).any():
            maybe = f"maybe_{outcome}"
            worth[outcome] = min(tally.narrowed(**{maybe: -1}), tally.narrowed(**{maybe: -1, sure: 1}))
    return deals["outcome"].map(worth).astype("float64")


def _maybe(deals: pd.DataFrame) -> dict[str, int]:
    won = int((deals["outcome"] == "won").sum())
    return {"maybe_won": won, "maybe_lost": len(deals) - won}


def _of_zombies(book: Book, span: Period) -> Iterator[Doubt]:
    deals, dead = _decided(book, span), zombie_deals(book)
    tally = _tally(deals, undecided=len(dead))
    edits = _edits(
        dead, min(tally.narrowed(undecided=-1, lost=1), tally.narrowed(undecided=-1, won=1)) if len(dead) else 0.0
    )
    text = N_(
        "The win rate of {value} lies between {low} and {high}, depending on {n} open deals that look dead: all of "
        "them lost, or all of them won."
    )
    yield from _share("zombies", tally, len(dead), text, edits, _value(deals))


def _of_quarantine(book: Book, span: Period) -> Iterator[Doubt]:
    out = book.quarantine
    if out.empty:
        return
    out = out[(out["table"] == "deals") & ~out["reason"].isin(NO_DEAL)]
    out = out[~((out["reason"] == "conflicting-id") & out.duplicated(["reason", "value"]))]
    deals = _decided(book, span)
    tally = _tally(deals, undecided=len(out))
    narrows = min(tally.narrowed(undecided=-1, lost=1), tally.narrowed(undecided=-1, won=1)) if len(out) else 0.0
    where = out["file"].astype("str") + ", line " + out["line"].astype("str")
    owner = out["rep_id"] if "rep_id" in out else pd.Series(None, out.index, dtype="str")
    edits = pd.DataFrame({"deal_id": where, "rep_id": owner, "narrows": narrows, "amount": 0.0})
    text = N_(
        "The win rate of {value} lies between {low} and {high}, depending on {n} deals whose rows were set aside: all "
        "of them lost in the period, or all of them won."
    )
    yield from _share("set-aside", tally, len(out), text, edits.reset_index(drop=True), _value(deals))


def _of_unowned(book: Book, span: Period) -> Iterator[Doubt]:
    deals = _decided(book, span)
    nobody = deals[deals["rep_id"].isna()]
    text = N_(
        "The win rate of {rep}, {value}, lies between {low} and {high}, depending on {n} decided deals without a rep: "
        "each of them theirs, or not."
    )
    names = book.people.set_index("rep_id")["rep"]
    for rep_id, own in deals[deals["rep_id"].notna()].groupby("rep_id", sort=True):
        tally = _tally(own, **_maybe(nobody))
        edits = _edits(nobody, _in_or_out(tally, nobody))
        values = {"rep": names.get(rep_id, rep_id)}
        yield from _share("unowned", tally, len(nobody), text, edits, _value(own), rep_id=str(rep_id), values=values)


def _of_undated(book: Book, span: Period) -> Iterator[Doubt]:
    if is_everything(book, span):
        return
    deals, everything = _decided(book, span), _decided(book, as_period(book, None))
    undated = everything[everything["closed_on"].isna()]
    tally = _tally(deals, **_maybe(undated))
    text = N_(
        "The win rate of {value} lies between {low} and {high}, depending on {n} decided deals without a close date: "
        "each of them decided in the period, or not."
    )
    edits = _edits(undated, _in_or_out(tally, undated))
    yield from _share("undated", tally, len(undated), text, edits, _value(deals))


def assumed_closes(book: Book) -> pd.DataFrame:
    """Decided deals whose close date is a guess.

    Where the log has the close: the two differ by more than 3 days, or the entry itself is not observed. Where it has
    not: the close stands on the last day of a month, as plans do.
    """
    deals = decided_deals(book)
    deals = deals[deals["closed_on"].notna() & deals["outcome"].isin(["won", "lost"])]
    logged = _logged_closes(book).reindex(deals.index)
    off = (deals["closed_on"] - logged["on"]).abs().dt.days > OFF_BY_DAYS
    unseen = logged["evidence"].notna() & (logged["evidence"] != "observed")
    planned = logged["on"].isna() & deals["closed_on"].dt.is_month_end
    guessed: pd.DataFrame = deals[(off | unseen | planned).to_numpy(bool)]
    return guessed


def _logged_closes(book: Book) -> pd.DataFrame:
    """The last entry into a closing stage per deal: on, evidence."""
    if not book.has("stage_history", "entered_at"):
        return pd.DataFrame({"on": pd.Series(dtype="datetime64[us]"), "evidence": pd.Series(dtype="str")})
    closing = {s.key for p in book.process.pipelines.values() for s in p.stages if s.outcome}
    log = history_of(book)
    last = log[log["stage"].isin(closing)].drop_duplicates("deal", keep="last").set_index("deal")
    return pd.DataFrame({"on": book.local_days(last["entered_at"]), "evidence": last["evidence"]})


def _of_assumed(book: Book, span: Period) -> Iterator[Doubt]:
    if is_everything(book, span):
        return
    guessed, deals = assumed_closes(book), _decided(book, span)
    guessed = guessed[_near_an_edge(guessed["closed_on"], span)]
    sure = deals[~deals.index.isin(guessed.index)]
    tally = _tally(sure, **_maybe(guessed))
    text = N_(
        "The win rate of {value} lies between {low} and {high}, depending on {n} deals whose close date is a guess "
        "(the log says another day, or it is a month's last day) within 31 days of the period's ends: each of them "
        "decided in the period, or not."
    )
    edits = _edits(guessed, _in_or_out(tally, guessed))
    yield from _share("assumed-close", tally, len(guessed), text, edits, _value(deals))


def _near_an_edge(days: pd.Series, span: Period) -> pd.Series:
    """Whether the real date, at most a month away, may lie on the other side of the period's start or end."""
    near = (days - pd.Timestamp(span.end_on)).abs().dt.days <= EDGE_DAYS
    if span.start_on is not None:
        near |= (days - pd.Timestamp(span.start_on)).abs().dt.days <= EDGE_DAYS
    return near


# --- reasons of losses -----------------------------------------------------------------------------


def _of_reasons(book: Book, span: Period) -> Iterator[Doubt]:
    if not knows_losses(book) or not book.has("deals", "lost_reason"):
        return
    deals = based_deals(book, span, "competitive")
    lost = deals[deals["outcome"] == "lost"]
    counted = deals[deals["counted"]]
    unknown = lost[lost["lost_reason"].isna() & ~lost["counted"]]
    tally = _tally(counted, maybe_lost=len(unknown))
    text = N_(
        "The win rate against competitors, {value}, lies between {low} and {high}, depending on {n} lost deals without "
        "a reason: each of them lost to a competitor, or not."
    )
    edits = _edits(unknown, _in_or_out(tally, unknown))
    metric = "win_rate (base=competitive)"
    yield from _share("no-reason", tally, len(unknown), text, edits, _value(counted), metric=metric)
    yield from _of_the_main_reason(lost)


def _of_the_main_reason(lost: pd.DataFrame) -> Iterator[Doubt]:
    """The share of the most frequent reason, as known, and what it may be if all unknown ones are, or are not, it."""
    reasons = lost["lost_reason"].value_counts()
    unknown = lost[lost["lost_reason"].isna()]
    if reasons.empty or unknown.empty:
        return
    first, total = int(reasons.iloc[0]), len(lost)
    text = N_(
        "The share of losses for the most frequent reason ({reason}), {value} of those with a reason, lies between "
        "{low} and {high} of all, depending on {n} lost deals without one: each of them lost for it, or not."
    )
    value, low, high = first / (total - len(unknown)), first / total, (first + len(unknown)) / total
    edits = _edits(unknown, 100 / total)
    values = {"reason": str(reasons.index[0])}
    yield Doubt("no-reason", "lost_reason", "share", len(unknown), value, low, high, text, edits, values=values)


# --- money -----------------------------------------------------------------------------------------


def _amounts(book: Book, deals: pd.DataFrame) -> pd.Series:
    """Amounts in units of the one currency. Raises Unavailable where there are several."""
    if deals_of(book)["currency"].nunique() > 1:
        raise Unavailable("the deals are in several currencies, and sums never cross currencies")
    return major(book, deals, "amount_minor")


def ahead(book: Book, span: Period) -> Period:
    """The period that open deals are expected in: the one asked for, or the 90 days after the data where it is over."""
    if not is_everything(book, span) and span.end_on > book.as_of_on.date():
        return span
    first = book.as_of_on.date() + dt.timedelta(days=1)
    last = first + dt.timedelta(days=AHEAD_DAYS - 1)
    return Period(f"{first}..{last}", first, last)


def _of_expected_closes(book: Book, span: Period) -> Iterator[Doubt]:
    if not book.has("deals", "expected_close_on"):
        return
    deals = deals_of(book)
    deals = deals[deals["outcome"] == "open"].copy()
    deals["value"] = _amounts(book, deals)
    coming = ahead(book, span)
    due = pd.Series(coming.contains(deals["expected_close_on"]), deals.index)
    total = float(deals.loc[due, "value"].sum())
    for defect, doubtful, text in (
        (
            "stale-close",
            deals["expected_close_on"] < book.as_of_on,
            N_(
                "The open amount expected to close in {period}, {value}, lies between {low} and {high}, depending on "
                "{n} open deals whose expected close has passed: each of them closes in that time, or not."
            ),
        ),
        (
            "no-expected-close",
            deals["expected_close_on"].isna(),
            N_(
                "The open amount expected to close in {period}, {value}, lies between {low} and {high}, depending on "
                "{n} open deals without an expected close: each of them closes in that time, or not."
            ),
        ),
    ):
        amounts = deals.loc[doubtful, "value"].fillna(0.0)
        low = float(deals.loc[due & ~doubtful, "value"].sum())
        high = low + float(amounts.clip(lower=0).sum())
        low += float(amounts.clip(upper=0).sum())
        edits = _edits(deals[doubtful], 100 * amounts.abs() / high if high else 0.0)
        values = {"period": coming.label}
        n = int(doubtful.sum())
        yield Doubt(defect, "pipeline", "money", n, total, low, high, text, edits, values=values)


def _of_amounts(book: Book, span: Period) -> Iterator[Doubt]:
    if not book.has("deals", "amount_minor"):
        return
    won = decided_deals(book, span)
    won = won[won["outcome"] == "won"]
    unknown = won[won["amount_minor"].isna()]
    value = float(_amounts(book, won).sum())
    everything = _amounts(book, deals_of(book)).dropna()
    usual = max(float(everything.quantile(USUAL)), 0.0)
    text = N_(
        "The won amount of {value} lies between {low} and {high}, depending on {n} won deals without an amount: each "
        "of them between nothing and {most}, which 9 in 10 deals stay within."
    )
    high = value + usual * len(unknown)
    edits = _edits(unknown, 100 * usual / high if high else 0.0)
    yield Doubt(
        "no-amount", "won_amount", "money", len(unknown), value, value, high, text, edits, values={"most": usual}
    )


_MAKERS = (
    _of_zombies,
    _of_quarantine,
    _of_unowned,
    _of_undated,
    _of_assumed,
    _of_reasons,
    _of_expected_closes,
    _of_amounts,
)
