"""Credibility: how often a reason is recorded at all, and which recorded ones the deal's own data speak against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np
import pandas as pd

from salescoach.book import Book, places_in
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable
from salescoach.metrics.compare import discoveries
from salescoach.metrics.contacts import contacts, deal_activities, need_sides
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.groups import complete, group_columns, group_keys, name_reps, parse_by, with_groups
from salescoach.metrics.lapses import QUOTE, knows_plans, recorded_events, waits
from salescoach.metrics.losses import NOT_RECORDED, Of, reasoned_deals
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.outcomes import NO_COMPETITOR, TO_A_COMPETITOR, decided_deals, plain_words, says
from salescoach.metrics.registry import metric
from salescoach.metrics.visits import deals_of
from salescoach.process import Period
from salescoach.wording import N_

IN_A_BATCH = 5
BATCH_GAP = pd.Timedelta(minutes=5)
ENOUGH = 10
USUAL_ANSWER = 0.5  # of a rep's recorded reasons
FAR_ABOVE = 2.0  # times the others' share
FALSE_DISCOVERY = 0.10

# Words of CRMs and spreadsheets, compared as whole words without case; Chinese ones anywhere in the text.
PRICE = ("price", "prices", "pricing", "expensive", "cost", "costs", "价格", "报价", "太贵", "偏贵", "价高")
PRODUCT = ("product", "feature", "features", "function", "functions", "functionality", "产品", "功能")
NO_ANSWER = (
    *("no response", "no answer", "no reply", "non responsive", "unresponsive", "went dark", "went silent"),
    *("无回应", "无回复", "未回复", "没有回复", "不回复", "失联", "联系不上"),
)
TIMING = (
    *("timing", "postponed", "on hold", "not now", "delayed", "later", "next year"),
    *("时机", "推迟", "延期", "搁置", "暂缓", "明年"),
)


@dataclass(frozen=True)
class Check:
    """One way in which a deal's own data may speak against its recorded reason.

    title   the reason, and what speaks against it
    said    the finding as a sentence with {doubted} and {n}
    words   what the reason must say for the check to be about it; empty: about any reason
    of      the outcomes it is about
    find    (book, the deals in question) -> checked, doubted (true/false per deal); raises Unavailable
    """

    title: str
    said: str
    words: tuple[str, ...]
    of: tuple[Of, ...]
    find: Callable[[Book, pd.DataFrame], tuple[pd.Series, pd.Series]]


# --- contradictions --------------------------------------------------------------------------------


def _until(book: Book, deals: pd.DataFrame) -> pd.Series:
    """When each deal was closed; as_of where that is not known."""
    return deals["closed_at"].fillna(book.as_of)


def _happened(events: pd.DataFrame, deals: pd.DataFrame, until: pd.Series) -> pd.Series:
    """Whether any of the events (deal, at) belongs to each deal and lies before its close."""
    before = events[events["at"] <= until.reindex(events["deal"]).set_axis(events.index)]
    return pd.Series(deals.index.isin(before["deal"]), deals.index)


def _price_without_quote(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    quotes, since = recorded_events(book, QUOTE)
    closed_on = book.local_days(_until(book, deals))
    quoted = _happened(quotes.rename(columns={"on": "at"}), deals, closed_on)
    given = _happened(_lowered_amounts(book), deals, _until(book, deals))
    return closed_on >= since, ~quoted & ~given


def _lowered_amounts(book: Book) -> pd.DataFrame:
    """The changes of a deal's amount to a lower one: deal, at."""
    if not book.has("changes", "old", "new"):
        return pd.DataFrame({"deal": pd.Series(dtype="int64"), "at": pd.Series(dtype="datetime64[us, UTC]")})
    changes = book.table("changes")
    changes = changes[changes["field"] == "amount"]
    old, new = (pd.to_numeric(changes[c], errors="coerce") for c in ("old", "new"))
    changes = changes[(new < old) & (new > 0)]
    place = places_in(changes["deal_id"], deals_of(book)["deal_id"])
    return changes.assign(deal=place).loc[place >= 0, ["deal", "at"]]


def _product_without_demo(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    said = contacts(book)
    shown = said[said["meeting"] | said["demo"]]
    if shown.empty:
        raise Unavailable("neither a demo nor a meeting of a deal is recorded in `activities`")
    until = _until(book, deals)
    return until >= said["at"].min(), ~_happened(shown, deals, until)


def _answer_owed(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The customer spoke last, was kept waiting before the last contact, or was never spoken to at all."""
    need_sides(book)
    said, until = contacts(book), _until(book, deals)
    since = said["at"].min()
    said = said[said["at"] <= until.reindex(said["deal"]).set_axis(said.index)]
    last = said.drop_duplicates("deal", keep="last").set_index("deal").reindex(deals.index)
    spoken = said[said["meeting"] | said["demo"] | said["side"].eq("out").fillna(False)]
    customer_last = last["side"].eq("in").fillna(False) & ~last["meeting"].eq(True) & ~last["demo"].eq(True)
    never = pd.Series(~deals.index.isin(spoken["deal"]), deals.index)
    owed = customer_last | never | _kept_waiting(book, deals)
    return (until >= since) & ~last["known"].eq(False), owed


def _kept_waiting(book: Book, deals: pd.DataFrame) -> pd.Series:
    """Whether the customer's last question was left open for longer than the process allows."""
    try:
        asked = waits(book)
    except Unavailable:  # the process sets no limit
        return pd.Series(False, deals.index)
    last = asked.drop_duplicates("deal", keep="last").set_index("deal")["verdict"]
    return last.reindex(deals.index).eq("forgotten").fillna(False)


def _competitor_unnamed(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    if not book.has("deals", "competitor"):
        raise Unavailable("`{column}` is missing or empty in `{table}`", column="competitor", table="deals")
    unnamed = deals["competitor"].isna() | plain_words(deals["competitor"]).isin(NO_COMPETITOR)
    return pd.Series(True, deals.index), unnamed


def _timing_without_next_step(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Nothing planned or done after the close, and no later deal of the same account."""
    if not knows_plans(book):
        raise Unavailable(
            "activities of deals do not say when they are due and whether they are done: `due_on`, `done`"
        )
    until = _until(book, deals)
    steps = deal_activities(book)
    steps = steps[steps["deal"].isin(deals.index)]
    closed_on = book.local_days(until).reindex(steps["deal"]).to_numpy()
    later = (steps["due_on"] > closed_on) | (book.local_days(steps["at"]) > closed_on)
    again = pd.Series(False, deals.index)
    if "account_id" in deals:
        newest = deals_of(book).groupby("account_id")["created_at"].max()
        again = looked_up(deals["account_id"], newest) > until
    return pd.Series(True, deals.index), ~pd.Series(deals.index.isin(steps.loc[later, "deal"]), deals.index) & ~again


# --- habits ----------------------------------------------------------------------------------------


def _closed_in_batch(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Closed by the same person in a row of five and more with at most five minutes between neighbours."""
    if book.by_day_only("deals", "closed_at"):
        raise Unavailable(
            "the data know the day of a close and not its time, so nobody can tell what was closed at once"
        )
    closed = decided_deals(book)  # whatever came of them
    known = closed[closed["closed_at"].notna() & closed["rep_id"].notna()]
    known = known.sort_values(["rep_id", "closed_at"], kind="stable")
    apart = (known["rep_id"] != known["rep_id"].shift()) | (known["closed_at"].diff() > BATCH_GAP)
    row = apart.cumsum()
    batch = row.map(row.value_counts()) >= IN_A_BATCH
    checked = pd.Series(deals.index.isin(known.index), deals.index)
    return checked, batch.reindex(deals.index, fill_value=False)


def _default_choice(book: Book, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    table = _choices_of(deals)
    judged = deals["rep_id"].isin(table["rep_id"])
    named = pd.MultiIndex.from_frame(table.loc[table["signal"] == "default", ["rep_id", "reason"]])
    mine = pd.MultiIndex.from_frame(deals[["rep_id", "reason"]])
    return judged, pd.Series(mine.isin(named), deals.index)


def _choices_of(deals: pd.DataFrame) -> pd.DataFrame:
    """Each judged rep's reasons with p and signal; see `default_choices`."""
    known = deals[deals["rep_id"].notna()]
    table = count_table(known, ["rep_id", "reason"])
    table["recorded"] = table.groupby("rep_id")["n"].transform("sum")
    chosen, everything = table.groupby("reason")["n"].transform("sum"), len(known)
    table["value"], table["low"], table["high"] = wilson(table["n"], table["recorded"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table["others"] = (chosen - table["n"]) / (everything - table["recorded"]).replace(0, np.nan)
    judged = table["recorded"] >= ENOUGH
    if table.loc[judged, "rep_id"].nunique() < 2:
        raise Unavailable("fewer than two reps have {n} recorded reasons each to be compared", n=ENOUGH)
    usual = judged & (table["value"] >= USUAL_ANSWER) & (table["value"] >= FAR_ABOVE * table["others"])
    # choices that are no usual answer stand among the tests with p = 1: they were looked at as well
    table["p"] = 1.0
    table.loc[usual, "p"] = [
        at_least(int(k), int(m), int(c), everything)
        for k, m, c in zip(table.loc[usual, "n"], table.loc[usual, "recorded"], chosen[usual], strict=True)
    ]
    usual = usual[judged]
    table = table[judged].reset_index(drop=True)
    found = discoveries(table["p"].to_numpy(float), FALSE_DISCOVERY) & usual.to_numpy()
    table["signal"] = pd.Series(np.where(found, "default", "none"), table.index, dtype="str")
    return table


def at_least(k: int, drawn: int, marked: int, everything: int) -> float:
    """How likely at least k of `drawn` are marked ones, where `marked` of `everything` are: Fisher's exact test."""

    def ways(of: int, some: int) -> float:
        return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)

    whole = ways(everything, drawn)
    most = min(drawn, marked)
    terms = (ways(marked, i) + ways(everything - marked, drawn - i) - whole for i in range(k, most + 1))
    return min(sum(exp(t) for t in terms), 1.0)


def default_choices(book: Book, period: str | Period | None = None, of: Of = "lost") -> pd.DataFrame:
    """Reps who give one reason for most of their deals where the others rarely do.

    A usual answer is a reason in at least half of a rep's recorded ones and at least twice the others' share; named are
    those that Fisher's one-sided exact test finds at a false-discovery rate of 10 % (Benjamini-Hochberg, over every rep
    with ten recorded reasons and every reason of theirs).

    Returns rep_id, rep, reason, n (deals with it), recorded (of the rep), value, low, high (95 % Wilson), others (their
    share of it), p, first (the reason is the first of all in alphabetical order, as in a list that nobody read).
    Raises Unavailable where fewer than two reps can be compared.
    """
    deals = _recorded(reasoned_deals(book, period, of, stages=False))
    table = _choices_of(deals)
    table["first"] = table["reason"] == min(deals["reason"], key=str.casefold)
    table = name_reps(book, table[table["signal"] == "default"].drop(columns="signal"))
    shown = ["rep_id", "rep", "reason", "n", "recorded", "value", "low", "high", "others", "p", "first"]
    return table.sort_values(["p", "rep"], kind="stable", ignore_index=True)[shown]


# --- all checks together ---------------------------------------------------------------------------

BOTH: tuple[Of, ...] = ("lost", "won")
LOST: tuple[Of, ...] = ("lost",)
CHECKS: dict[str, Check] = {
    "price_without_quote": Check(
        N_("“Price”, but neither a quote nor a lowered amount is on record"),
        N_("{doubted} of {n} deals with the reason “price” never saw a quote or a lowered amount."),
        PRICE,
        BOTH,
        _price_without_quote,
    ),
    "product_without_demo": Check(
        N_("“Product”, but neither a demo nor a meeting is on record"),
        N_("{doubted} of {n} deals with the reason “product” never saw a demo or a meeting."),
        PRODUCT,
        BOTH,
        _product_without_demo,
    ),
    "answer_owed": Check(
        N_("“No answer”, but it was the seller who fell silent first"),
        N_("In {doubted} of {n} deals with the reason “no answer” it was the seller who fell silent first."),
        NO_ANSWER,
        LOST,
        _answer_owed,
    ),
    "competitor_unnamed": Check(
        N_("“Competitor”, but none is named"),
        N_("{doubted} of {n} deals with the reason “competitor” name none."),
        TO_A_COMPETITOR,
        BOTH,
        _competitor_unnamed,
    ),
    "timing_without_next_step": Check(
        N_("“Timing”, but no later step is on record"),
        N_("{doubted} of {n} deals with the reason “timing” have no later step on record."),
        TIMING,
        LOST,
        _timing_without_next_step,
    ),
    "closed_in_batch": Check(
        N_("Closed in one go with at least four others"),
        N_("{doubted} of {n} reasons were recorded in one go: at least five deals closed within minutes."),
        (),
        BOTH,
        _closed_in_batch,
    ),
    "default_choice": Check(
        N_("The same answer as in most deals of this rep, and rare among the others"),
        N_("{doubted} of {n} reasons are the usual answer of a rep who gives it far more often than the others."),
        (),
        BOTH,
        _default_choice,
    ),
}


def _recorded(deals: pd.DataFrame) -> pd.DataFrame:
    return deals[deals["reason"] != NOT_RECORDED]


def checked_deals(
    book: Book, period: str | Period | None = None, of: Of = "lost"
) -> tuple[pd.DataFrame, dict[str, Unavailable]]:
    """One row per deal and check that could be made of its reason: `reasoned_deals`, check, doubted; and the checks
    that these data cannot make, each with the reason.

    A check is made where the reason is of its kind and the data record what it looks for at the time of the close.
    What speaks against a reason is what is on record; what was done and not recorded speaks against it too.
    """
    deals = _recorded(reasoned_deals(book, period, of, stages=False))
    said = plain_words(deals["reason"])
    parts, untold = [], {}
    for name, check in CHECKS.items():
        if of not in check.of:
            continue
        about = deals[says(said, check.words)] if check.words else deals
        try:
            checked, doubted = check.find(book, about)
        except Unavailable as reason:
            untold[name] = reason
            continue
        rows = about.assign(check=name, doubted=doubted.astype(bool))[checked.astype(bool)]
        parts.append(rows.assign(deal=rows.index))
    table = pd.concat(parts, ignore_index=True) if parts else deals.iloc[:0].assign(check="", doubted=False, deal=0)
    return table.astype({"check": "str", "doubted": "bool"}), untold


def reason_checks(book: Book, period: str | Period | None = None, of: Of = "lost") -> pd.DataFrame:
    """How many recorded reasons each check speaks against.

    Returns one row per check that could be made, in the order of `CHECKS`: check, n (deals checked), doubted, value
    (doubted / n; null where no deal has such a reason), low, high (95 % Wilson). Checks that these data cannot make
    have no row; a deal may stand in several.
    """
    rows, untold = checked_deals(book, period, of)
    made = [name for name, check in CHECKS.items() if of in check.of and name not in untold]
    counts = count_table(rows, ["check"], sums={"doubted": rows["doubted"]}).set_index("check")
    table = counts.reindex(made, fill_value=0).rename_axis("check").reset_index().astype({"check": "str"})
    table["value"], table["low"], table["high"] = wilson(table["doubted"], table["n"])
    return table


def doubted_deals(book: Book, period: str | Period | None = None, of: Of = "lost") -> pd.DataFrame:
    """The deals whose recorded reason is doubted, one row per deal and check (`checked_deals`)."""
    rows, _ = checked_deals(book, period, of)
    return rows[rows["doubted"]].drop(columns="doubted").reset_index(drop=True)


def weighed_deals(book: Book, period: str | Period | None = None, of: Of = "lost") -> pd.DataFrame:
    """`reasoned_deals` with a recorded reason, and doubted: whether any check speaks against it.

    Raises Unavailable where no check can be made.
    """
    rows, untold = checked_deals(book, period, of)
    if len(untold) == sum(of in check.of for check in CHECKS.values()):
        raise next(iter(untold.values()))
    deals = _recorded(reasoned_deals(book, period, of, stages=False))
    return deals.assign(doubted=deals.index.isin(rows.loc[rows["doubted"], "deal"]))


# --- metrics ---------------------------------------------------------------------------------------


def _decided(book: Book, period: Period, of: Of = "lost") -> pd.DataFrame:
    return reasoned_deals(book, period, of, stages=False)


OF_MEANING = "Which deals: `lost`, those that were lost; `won`, those that were won."
USES: list[tuple[str, ...]] = [("deals", "lost_reason"), ("deals", "won_reason"), ("changes", "at")]


@metric(
    "Reasons recorded",
    "Deals lost (or won) with a reason / all deals lost (or won).",
    basis="day of the decision",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("deals", "closed_at")],
    uses=[*USES, ("deals", "amount_minor")],
    by=("rep",),
    rows=_decided,
    caveat="A reason that is recorded is not yet a true one: a field that must be filled in gets filled in.",
    why="Of how many lost deals do we know why at all?",
    options={"of": OF_MEANING},
)
def recorded_reasons(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, of: Of = "lost"
) -> pd.DataFrame:
    """Share of the deals lost (or won) for which a reason is recorded.

    value = recorded / n; n are all deals of that outcome decided in the period. Void deals count nowhere; credit goes
    to the owner at the close.

    Returns one row per group, and per currency if there are several: n, recorded, value, low, high (95 % Wilson),
    amount_without (units of the currency: of the deals without a reason; null where none of them has an amount). Raises
    Unavailable where no reason is recorded at all.
    """
    groups = parse_by(by)
    deals = with_groups(book, reasoned_deals(book, period, of, stages=False), groups, "closed_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    known = deals["reason"] != NOT_RECORDED
    deals["blank_minor"] = deals["amount_minor"].mask(known)
    table = count_table(deals, keys, money="blank_minor", sums={"recorded": known})
    table = complete(book, table, groups)
    table["value"], table["low"], table["high"] = wilson(table["recorded"], table["n"])
    table["blank"] = table["n"] - table["recorded"]
    table["amount_without"] = known_amount(book, table, "amount_minor", "blank", "n_amount")
    shown = ["n", "recorded", "value", "low", "high", "amount_without"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]


def _weighed(book: Book, period: Period, of: Of = "lost") -> pd.DataFrame:
    return weighed_deals(book, period, of)


@metric(
    "Reasons in doubt",
    "Recorded reasons that the deal's own data speak against / all recorded reasons of deals lost (or won): a price "
    "without a quote or a lowered amount, a product without a demo or a meeting, no answer where the seller fell "
    "silent first, a competitor that nobody named, timing without a later step, at least five deals closed within "
    "minutes, or an answer that one rep gives for most deals and the others rarely.",
    basis="day of the decision",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("deals", "closed_at")],
    uses=[
        *USES,
        ("deals", "amount_minor"),
        ("deals", "competitor"),
        ("activities", "deal_id"),
        ("activities", "direction"),
        ("activities", "due_on", "done"),
        ("quotes", "at"),
    ],
    by=("rep",),
    rows=_weighed,
    caveat="In doubt is not wrong: what was done and not recorded speaks against a reason as well. Checks that the "
    "data cannot make are left out, so the share is a lower end.",
    why="How much of the recorded reasons is to be believed?",
    options={"of": OF_MEANING},
)
def doubted_reasons(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, of: Of = "lost"
) -> pd.DataFrame:
    """Share of the recorded reasons that the deal's own data speak against.

    value = doubted / n; n are the deals of that outcome with a recorded reason; a deal that several checks speak
    against counts once (`CHECKS`). by="reason" is possible too.

    Returns one row per group, and per currency if there are several: n, doubted, value, low, high (95 % Wilson),
    doubted_amount (units of the currency; null where none of the doubted has an amount). Raises Unavailable where no
    reason is recorded or no check can be made.
    """
    groups = parse_by(by)
    deals = with_groups(book, weighed_deals(book, period, of), groups, "closed_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    deals["doubted_minor"] = deals["amount_minor"].where(deals["doubted"])
    table = count_table(deals, keys, money="doubted_minor", sums={"doubted": deals["doubted"]})
    table = complete(book, table, groups)
    table["value"], table["low"], table["high"] = wilson(table["doubted"], table["n"])
    table["doubted_amount"] = known_amount(book, table, "amount_minor", "doubted", "n_amount")
    shown = ["n", "doubted", "value", "low", "high", "doubted_amount"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]
