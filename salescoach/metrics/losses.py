"""Reasons: why deals were lost or won, in which stage, and how long they had been there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import need_stages
from salescoach.metrics.groups import NONE, group_columns, group_keys, in_order, name_reps, parse_by, with_groups
from salescoach.metrics.ladder import NO_AGE, ladder_days
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import metric
from salescoach.metrics.visits import passages
from salescoach.process import Period

Of = Literal["lost", "won"]
NOT_RECORDED = "(not recorded)"
PLACE = ["pipeline", "stage", "order"]
# what stands between the choices of one field, as CRMs export it
BETWEEN_CHOICES = re.compile(r"[;；|｜]")
BETWEEN_CHINESE_CHOICES = re.compile(r"[;；|｜、]")
SENTENCE = re.compile(r"[.!?](\s|$)|[。！？]")
CLAUSE = re.compile(r"[,，]")
LONGEST_CHOICE = 40  # of a list, in Latin letters; a Chinese character counts for two
JOINED = "; "


def split_reasons(texts: pd.Series) -> pd.DataFrame:
    """Several reasons in one field: primary, the first one; contributing, the others (`JOINED`; null: none).

    Choices are parted by ; ； | ｜ and, where no comma stands in the field, by 、. A field with a sentence in it, or
    with a part longer than the choices of a list are, is one reason as it stands: nothing is guessed. A comma parts
    nothing.
    """
    codes, known = pd.factorize(texts)
    choices = [_choices(str(text)) for text in known]
    made = pd.DataFrame(
        {
            "primary": pd.Series([c[0] for c in choices], dtype="str"),
            "contributing": pd.Series([JOINED.join(c[1:]) or None for c in choices], dtype="str"),
        }
    )
    return made.reindex(codes).set_axis(texts.index)


def _choices(text: str) -> list[str]:
    mark = BETWEEN_CHOICES if CLAUSE.search(text) else BETWEEN_CHINESE_CHOICES
    parts = list(dict.fromkeys(part.strip() for part in mark.split(text) if part.strip()))
    if not parts or SENTENCE.search(text) or any(_width(part) > LONGEST_CHOICE for part in parts):
        return [text]
    return parts


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def reasoned_deals(
    book: Book, period: str | Period | None = None, of: Of = "lost", stages: bool = True
) -> pd.DataFrame:
    """The deals lost (or won) in the period, with the reason as recorded, `NOT_RECORDED` where there is none.

    reason        the primary one: of several in `lost_reason` (or `won_reason`) the first (`split_reasons`)
    contributing  the others, and those in a column `lost_contributing` (`won_contributing`) that the source may name;
                  parted by `JOINED`, without the primary one; null: none
    stages   with the deepest stage that each had reached (stage, order; `NONE` where no entry is known) and days, from
             the first entry into it to the close (null: one of the two was not observed)

    Raises Unavailable where no reason is recorded at all, and for stages where those of lost deals are unknown.
    """
    if of not in get_args(Of):
        choices = get_args(Of)
        raise UsageError(
            "of={of!r} is unknown.{hint} Outcomes: {choices}.",
            of=of,
            hint=suggestion(of, choices),
            choices=commas(choices),
        )
    column = f"{of}_reason"
    if not book.has("deals", column):
        raise Unavailable("`{column}` is missing or empty in `{table}`", column=column, table="deals")
    if stages:
        need_stages(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"] == of].drop(columns="stage")
    split = split_reasons(deals[column].astype("str"))
    deals["reason"] = split["primary"].fillna(NOT_RECORDED)
    deals["contributing"] = split["contributing"]
    further = f"{of}_contributing"
    if further in deals:
        deals["contributing"] = _both(deals["reason"], split["contributing"], deals[further].astype("str"))
    return _with_last_stage(book, deals) if stages else deals


def _both(primary: pd.Series, some: pd.Series, more: pd.Series) -> pd.Series:
    """The contributing reasons of two columns together, each once and none that is the primary one."""
    fields = pd.DataFrame({"primary": primary, "some": some.fillna(""), "more": more.fillna("")})
    place = fields.groupby(list(fields), sort=False).ngroup()
    found: list[str | None] = []
    for reason, first, second in fields.drop_duplicates().itertuples(index=False):
        parts = [*first.split(JOINED), *(_choices(second) if second else [])]
        found.append(JOINED.join(dict.fromkeys(p for p in parts if p and p != reason)) or None)
    return pd.Series(found, dtype="str").reindex(place).set_axis(primary.index)


def contributing_reasons(deals: pd.DataFrame) -> pd.DataFrame:
    """`reasoned_deals` once for each contributing reason of theirs, which is then their `reason`."""
    named = deals[deals["contributing"].notna()]
    return named.assign(reason=named["contributing"].str.split(JOINED)).explode("reason").astype({"reason": "str"})


def _with_last_stage(book: Book, deals: pd.DataFrame) -> pd.DataFrame:
    rows = passages(book)
    rows = rows[rows["deal"].isin(deals.index)].sort_values(["deal", "order"], kind="stable")
    # of a stage that was passed over nobody knows how long it took; the last one with a stay says where the deal stood
    last = rows[~rows["skipped"]].drop_duplicates("deal", keep="last").set_index("deal").reindex(deals.index)
    known = last["age"].notna() & last["timed"].eq(True) & (last["age"] != NO_AGE)
    days = pd.Series(float("nan"), deals.index)
    days[known] = ladder_days(last.loc[known, "age"].to_numpy("int64"))
    order = last["order"].fillna(10**6).astype("int64")
    return deals.assign(stage=last["stage"].astype("str").fillna(NONE), order=order, days=days)


def _rows(book: Book, period: Period, of: Of = "lost") -> pd.DataFrame:
    return reasoned_deals(book, period, of, stages=False)


@metric(
    "Reasons of lost and won deals",
    "Deals lost (or won) for a reason / all deals lost (or won), in each stage: the deepest that the deal had reached. "
    "A deal without a reason counts as not recorded.",
    basis="day of the decision",
    interval="95 % Wilson interval of the share",
    unit="share",
    needs=[("deals", "outcome"), ("deals", "closed_at")],
    uses=[
        ("deals", "lost_reason"),
        ("deals", "won_reason"),
        ("deals", "amount_minor"),
        ("stage_history", "entered_at"),
        ("changes", "at"),
    ],
    by=("stage",),
    rows=_rows,
    caveat="A reason is what the rep chose from a list, often long afterwards; the share not recorded says how much of "
    "it to believe.",
    why="For which reasons do we lose deals, in which stage, and how late?",
    options={"of": "Which deals: `lost`, those that were lost; `won`, those that were won."},
)
def loss_reasons(
    book: Book, by: str | Sequence[str] = "stage", period: str | Period | None = None, of: Of = "lost"
) -> pd.DataFrame:
    """Shares of the reasons for which deals were lost or won.

    value = n / deals, where `deals` are all deals of that outcome in the same group (and stage), the ones without a
    reason among them. The reason is the primary one (`reasoned_deals`). by="stage" is the deepest stage in which the
    deal had stood before the decision. Void deals count nowhere; credit goes to the owner at the close.

    Returns one row per group and reason, the most frequent first and (not recorded) last: reason, n, deals, value, low,
    high (95 % Wilson), amount (units of the currency; null where none is known), without_amount and, by stage,
    median_days (plain median of the days from the first entry into the stage to the decision; null: unknown) and
    n_timed (of how many). Where deals have several reasons also contributing (deals that name the reason beside another
    one; they are not in n). With amounts in several currencies one row for each of them.

    Raises Unavailable where no reason is recorded at all, and by stage where too many lost deals' stages are unknown.
    """
    groups = parse_by(by)
    staged = "stage" in groups
    deals = with_groups(book, reasoned_deals(book, period, of, staged), groups, "closed_on")
    front = [*(g for g in groups if g != "stage"), *(PLACE if staged else [])]
    keys = list(dict.fromkeys([*group_keys(front), *money_keys(deals)]))
    table = count_table(deals, [*keys, "reason"], money="amount_minor")
    several = bool(deals["contributing"].notna().any())
    table = _beside_all(_with_contributing(table, deals, keys) if several else table, keys)
    table["value"], table["low"], table["high"] = wilson(table["n"], table["deals"])
    if staged:
        table = table.merge(_times(deals, [*keys, "reason"]), on=[*keys, "reason"], how="left", validate="1:1")
        table["n_timed"] = table["n_timed"].fillna(0).astype("int64")
    table["amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["without_amount"] = table["n"] - table["n_amount"]
    table = _most_frequent_first(name_reps(book, in_order(table, [*_ordered(keys), "reason"])), _ordered(keys))
    shown = [c for c in group_columns(front) if c != "order"]
    shown += [*money_keys(deals), "reason", "n", "deals", "value", "low", "high", "amount", "without_amount"]
    shown += [*(["contributing"] if several else []), *(["median_days", "n_timed"] if staged else [])]
    return table[list(dict.fromkeys(shown))]


def _with_contributing(table: pd.DataFrame, deals: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The counts with `contributing`; a reason that is nobody's primary one has a row with n = 0."""
    further = count_table(contributing_reasons(deals), [*keys, "reason"]).rename(columns={"n": "contributing"})
    whole = {c: table[c].dtype for c in table if c not in (*keys, "reason")}
    table = table.merge(further, on=[*keys, "reason"], how="outer", validate="1:1")
    return table.fillna(dict.fromkeys([*whole, "contributing"], 0)).astype({**whole, "contributing": "int64"})


def _ordered(keys: Sequence[str]) -> list[str]:
    """Stages in the order of the process, not of their names."""
    return [k for k in keys if k != "stage"]


def _beside_all(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The counts with `deals`, those of all reasons of the group."""
    if not keys:
        return table.assign(deals=int(table["n"].sum()))
    whole = add_up(table[[*keys, "n"]], keys).rename(columns={"n": "deals"})
    return table.merge(whole, on=keys, how="left", validate="m:1")


def _times(deals: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    times = deals.groupby(keys, as_index=False, dropna=False)["days"].agg(["median", "count"])
    return times.rename(columns={"median": "median_days", "count": "n_timed"})


def _most_frequent_first(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Within each group, which stand in order already; reasons as frequent as each other by name."""
    place = table.groupby(keys, sort=False, dropna=False).ngroup() if keys else pd.Series(0, table.index)
    last = table["reason"] == NOT_RECORDED
    order = pd.DataFrame({"place": place, "last": last, "n": -table["n"]})
    return table.loc[order.sort_values(["place", "last", "n"], kind="stable").index].reset_index(drop=True)
