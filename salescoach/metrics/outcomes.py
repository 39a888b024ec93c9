"""Win rate and new customers: what came of the deals that were decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import count_interval, mean_interval, wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.kept import per_book
from salescoach.metrics.money import known_amount, minor_scale, money_keys
from salescoach.metrics.registry import in_period, metric, only
from salescoach.metrics.visits import deals_of, owner_at
from salescoach.process import Period
from salescoach.process.fields import fold_name

Base = Literal["decided", "competitive", "created"]
AMOUNTS_KNOWN = 0.8
WINS_WITHOUT_LOSS = 10  # at even odds one export in a thousand has so many by chance
RETURNING_AFTER = pd.DateOffset(months=24)

# Words of CRMs and spreadsheets, compared as whole words without case; Chinese ones anywhere in the text.
NO_DECISION = (
    *("no decision", "no action", "do nothing", "did nothing", "status quo", "stalled", "on hold", "postponed"),
    *("timing", "not now", "canceled", "cancelled", "no need", "no longer needed", "no budget", "lost budget"),
    *("lost funding", "no funding", "no response", "non responsive", "unresponsive", "went dark", "went silent"),
    *("未决策", "没有决策", "无决策", "不做决定", "未做决定", "没有决定", "无决定", "搁置", "暂缓", "推迟", "延期"),
    *("取消", "无预算", "没有预算", "没预算", "预算冻结", "无回应", "无回复", "未回复", "没有回复", "失联", "联系不上"),
    *("维持现状", "时机", "无需求", "没有需求", "不需要"),
)
TO_A_COMPETITOR = (
    *("competitor", "competitors", "competition", "outsold", "out sold"),
    *("竞争对手", "竞品", "竞对", "友商", "对手", "同行"),
)
NO_COMPETITOR = ("none", "no", "no competitor", "no competition", "无", "没有", "无竞争对手", "没有竞争对手")


def decided_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won, lost or void whose close lies in the period, credited to the owner at the close.

    Without a period also those with no known close.
    """
    deals = _ever_decided(book)
    return only(deals, in_period(book, period, deals["closed_on"]))


@per_book
def _ever_decided(book: Book) -> pd.DataFrame:
    deals = deals_of(book)
    deals = only(deals, deals["outcome"] != "open")
    deals["rep_id"] = owner_at(book, deals.index.to_series(), deals["closed_at"])
    return deals


def decisions(book: Book, by: Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """Count table of decided deals: the groups, outcome, currency, n, amount_minor, n_amount, amount2."""
    deals = with_groups(book, decided_deals(book, period), by, "closed_on")
    return count_table(deals, [*group_keys(by), "outcome", "currency"], money="amount_minor")


def loss_kinds(deals: pd.DataFrame) -> pd.Series:
    """What each lost deal was lost to: `competitor`, `no_decision` or `other`; null where the deal is not lost.

    The reason decides first: words for a purchase that nobody made (no decision, no budget, postponed, no answer), then
    words for a competitor. Else a deal with a competitor's name in it is lost to that competitor. Whatever else, also
    where nothing is recorded, is `other`.
    """
    kind = pd.Series("other", deals.index, dtype="str")
    if "competitor" in deals:
        named = deals["competitor"].notna() & ~plain_words(deals["competitor"]).isin(NO_COMPETITOR)
        kind = kind.mask(named, "competitor")
    if "lost_reason" in deals:
        reason = plain_words(deals["lost_reason"])
        kind = kind.mask(says(reason, TO_A_COMPETITOR), "competitor").mask(says(reason, NO_DECISION), "no_decision")
    return kind.where(deals["outcome"] == "lost")


def plain_words(texts: pd.Series) -> pd.Series:
    """Texts as they are compared: without case, every kind of separator one blank."""
    codes, known = pd.factorize(texts)
    folded = pd.Series([" ".join(re.split(r"[\W_]+", fold_name(str(t)))).strip() for t in known], dtype="str")
    return folded.reindex(codes).set_axis(texts.index)


def says(folded: pd.Series, words: Sequence[str]) -> pd.Series:
    pattern = "|".join(rf"\b{word}\b" if word.isascii() else word for word in words)
    return folded.str.contains(pattern, regex=True).fillna(False).astype(bool)


def only_wins(book: Book) -> bool:
    """Whether so many deals are won, and none lost, that the lost ones were more likely not exported."""
    outcomes = book.deals["outcome"]
    return bool((outcomes == "won").sum() >= WINS_WITHOUT_LOSS and not (outcomes == "lost").any())


def need_losses(book: Book) -> None:
    """Raise Unavailable where the export has wins only. The deals of one rep or team may well be such by themselves."""
    if only_wins(book) and not book.origin.get("slice"):
        raise Unavailable(
            "not one deal in the data is lost: an export of won deals only cannot give a win rate. Export the lost "
            "deals too"
        )


def based_deals(book: Book, period: str | Period | None = None, base: Base = "decided") -> pd.DataFrame:
    """The deals a win rate is about, void ones among them: counted (in its denominator), lost_to, on (its date).

    base    "decided": counted are won and lost deals, by the day of the decision
            "competitive": of these the won ones and those lost to a competitor
            "created": all but the void deals created in the period, decided or not

    Raises Unavailable where the export has won deals only, or where nothing says what deals were lost to.
    """
    if base not in get_args(Base):
        choices = get_args(Base)
        raise UsageError(
            "base={base!r} is unknown.{hint} Bases: {choices}.",
            base=base,
            hint=suggestion(base, choices),
            choices=commas(choices),
        )
    need_losses(book)
    if base == "created":
        deals = deals_of(book)
        deals = deals[in_period(book, period, deals["created_on"])].copy()
        deals["rep_id"] = owner_at(book, deals.index.to_series(), deals["closed_at"])
        return deals.assign(lost_to=loss_kinds(deals), on=deals["created_on"], counted=deals["outcome"] != "void")
    deals = decided_deals(book, period)
    deals = deals.assign(lost_to=loss_kinds(deals), on=deals["closed_on"])
    if base == "decided":
        return deals.assign(counted=deals["outcome"].isin(["won", "lost"]))
    if not knows_losses(book):
        raise Unavailable("neither `competitor` nor `lost_reason` says what a deal was lost to")
    return deals.assign(counted=(deals["outcome"] == "won") | (deals["lost_to"] == "competitor"))


def knows_losses(book: Book) -> bool:
    """Whether anything says what deals were lost to."""
    return book.has("deals", "competitor") or book.has("deals", "lost_reason")


def _counted(book: Book, period: Period, base: Base = "decided") -> pd.DataFrame:
    deals = based_deals(book, period, base)
    return deals[deals["counted"]]


@metric(
    "Win rate",
    "Won deals / (won + lost) deals. Open and void deals count on neither side.",
    basis="day of the decision",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome")],
    by=("rep",),
    rows=_counted,
    caveat="Deals that nobody closes never enter it. Void deals are shown beside it. Where none is lost, ask whether "
    "the export leaves lost deals out.",
    why="How many of the deals that come to a decision do we win, and whose are they?",
    uses=[
        ("deals", "amount_minor"),
        ("deals", "closed_at"),
        ("deals", "competitor"),
        ("deals", "lost_reason"),
        ("changes", "at"),
        ("reps", "team"),
    ],
    options={
        "base": "What the won deals are divided by: `decided`, won and lost deals; `competitive`, won deals and those "
        "lost to a competitor; `created`, all deals created in the period by the day of creation, also those still "
        "open."
    },
    bases={("base", "created"): "day of creation"},
)
@per_book
def win_rate(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, base: Base = "decided"
) -> pd.DataFrame:
    """Share of decided deals that were won.

    value = won / n; n = won + lost by the day of the decision. Open and void deals count on neither side. Credit goes
    to the owner at the close. Other bases, only when asked for: "competitive", n = won + lost to a competitor;
    "created", n = deals created in the period, open ones included, by the day of creation (it grows with time).

    Returns one row per group: n, won, lost, void, value, low, high (95 % Wilson); where a competitor or a reason is
    recorded lost_to_competitor, lost_no_decision, lost_other (they add up to lost); and with amounts won_amount,
    lost_amount (null where none of the deals has one), value_by_amount (won amount over that of all n deals; null
    unless 80 % of the won and of the other deals have one) and value_by_amount_without_largest (the same without the
    one largest deal of the group); in units of the currency, with one row per currency if there are several.

    Raises Unavailable where the export has won deals only, and for "competitive" where nothing says what deals were
    lost to.
    """
    groups = parse_by(by)
    deals = with_groups(book, based_deals(book, period, base), groups, "on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    won, known = deals["outcome"] == "won", deals["amount_minor"].notna()
    missed, largest = deals["counted"] & ~won, _largest(deals, keys)
    sums: dict[str, pd.Series] = {"counted": deals["counted"]}
    for name, is_so in (("won", won), ("lost", deals["outcome"] == "lost"), ("missed", missed)):
        sums[name], sums[f"{name}_known"] = is_so, known & is_so
        sums[f"{name}_minor"] = deals["amount_minor"].where(is_so, 0).fillna(0)
    sums["void"] = deals["outcome"] == "void"
    sums["largest"] = deals["amount_minor"].where(largest, 0)
    sums["largest_won"] = deals["amount_minor"].where(largest & won, 0)
    for kind, name in LOST_TO.items():
        sums[name] = deals["lost_to"] == kind
    table = complete(
        book, count_table(deals, keys, sums=sums).drop(columns="n").rename(columns={"counted": "n"}), groups
    )
    table["value"], table["low"], table["high"] = wilson(table["won"], table["n"])
    shown = ["n", "won", "lost", "void", "value", "low", "high", *(LOST_TO.values() if knows_losses(book) else ())]
    if book.has("deals", "amount_minor"):
        table["won_amount"] = known_amount(book, table, "won_minor", "won", "won_known")
        table["lost_amount"] = known_amount(book, table, "lost_minor", "lost", "lost_known")
        rates = _by_amount(table)
        table[list(rates.columns)] = rates
        shown += ["won_amount", "lost_amount", *rates]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]


LOST_TO = {"competitor": "lost_to_competitor", "no_decision": "lost_no_decision", "other": "lost_other"}


def _largest(deals: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """Marks the one largest counted deal of each group: of several the first by id; none where no amount is known."""
    sized = deals.loc[deals["counted"] & deals["amount_minor"].notna(), [*keys, "amount_minor", "deal_id"]]
    sized["amount_minor"] = sized["amount_minor"].astype("int64")
    most = (
        sized.groupby(list(keys), dropna=False)["amount_minor"].transform("max")
        if keys
        else sized["amount_minor"].max()
    )
    first = sized[sized["amount_minor"] == most].sort_values("deal_id", kind="stable")
    first = first.drop_duplicates(list(keys)) if keys else first.head(1)
    return pd.Series(deals.index.isin(first.index), deals.index)


def _by_amount(table: pd.DataFrame) -> pd.DataFrame:
    """Won amount over the amount of all counted deals, with and without the largest of them."""
    both = (table["won_minor"] + table["missed_minor"]).astype("float64")
    known = (table["won_known"] >= AMOUNTS_KNOWN * table["won"]) & (
        table["missed_known"] >= AMOUNTS_KNOWN * table["missed"]
    )
    rest = both - table["largest"]
    return pd.DataFrame(
        {
            "value_by_amount": table["won_minor"] / both.where(known & (both > 0)),
            "value_by_amount_without_largest": (table["won_minor"] - table["largest_won"])
            / rest.where(known & (rest > 0)),
        }
    )


def first_wins(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The won deals that were an account's first ever, decided in the period.

    `returning` marks a win after 24 months without one.
    """
    deals = decided_deals(book)
    won = deals[(deals["outcome"] == "won") & deals["account_id"].notna() & deals["closed_on"].notna()]
    wins = won[["account_id", "closed_at", "deal_id", "closed_on"]].sort_values(["account_id", "closed_at", "deal_id"])
    before = wins.groupby("account_id")["closed_on"].shift()
    wins["returning"] = (before + RETURNING_AFTER) < wins["closed_on"]
    wins = wins[(before.isna() | wins["returning"]) & in_period(book, period, wins["closed_on"])].sort_index()
    return won.loc[wins.index].assign(returning=wins["returning"])


def _new_rows(book: Book, period: Period) -> pd.DataFrame:
    wins = first_wins(book, period)
    return wins[~wins["returning"]]


@metric(
    "New customers",
    "Accounts whose first won deal ever was decided in the period. Accounts that return after 24 months are counted "
    "apart.",
    basis="day of the first win",
    interval="95 % interval of the count (how far chance alone would move it)",
    unit="count",
    needs=[("deals", "account_id"), ("deals", "closed_at")],
    by=("lead_source",),
    rows=_new_rows,
    caveat="An account that bought before the data begin counts as new at its first win in the data.",
    why="Who is new, where do they come from, and what is their first order worth?",
    uses=[("deals", "amount_minor"), ("deals", "lead_source")],
)
def new_customers(
    book: Book, by: str | Sequence[str] = "lead_source", period: str | Period | None = None
) -> pd.DataFrame:
    """Accounts that bought for the first time.

    An account is new on the day of its first won deal ever; a win more than 24 months after the last one is
    `returning`. Won deals without an account or without a close date cannot be placed and are left out.

    Returns one row per group: n, value (= n), low, high (Byar's Poisson interval), returning, first_amount (sum of the
    first deals; null where none has an amount), mean_first_amount with mean_low and mean_high (units of the currency).
    """
    groups = parse_by(by)
    wins = with_groups(book, first_wins(book, period), groups, "closed_on")
    new = ~wins["returning"]
    wins["first_minor"] = wins["amount_minor"].where(new)
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(wins)]))
    counts = count_table(wins, keys, money="first_minor", sums={"new": new, "returning": wins["returning"]})
    table = complete(book, counts.drop(columns="n").rename(columns={"new": "n"}), groups)
    table["value"] = table["n"].astype("float64")
    table["low"], table["high"] = count_interval(table["n"])
    table["first_amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    scale = minor_scale(book, table)
    squares = table["amount2"].fillna(0) / scale**2
    mean, low, high = mean_interval(table["amount_minor"] / scale, squares, table["n_amount"])
    table["mean_first_amount"], table["mean_low"], table["mean_high"] = mean, low, high
    shown = ["n", "value", "low", "high", "returning", "first_amount", "mean_first_amount", "mean_low", "mean_high"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(wins), *shown]))]
