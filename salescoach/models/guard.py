"""What may not be a driver: columns that know the outcome, columns that are no traits, and those that repeat others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.metrics.estimate import Floats
from salescoach.metrics.groups import NONE
from salescoach.metrics.leakage import CANNOT_TELL, KEEP_OUT
from salescoach.metrics.leakage import audit as leakage_audit
from salescoach.models.design import RARE, as_text, is_number
from salescoach.wording import N_

BY_CHANCE = 1e-6  # a value after which all deals ended alike, less likely than this, is no chance
TOO_GOOD = 0.95  # area under the curve of one driver alone
ALIKE = 0.95  # correlation of two numbers that say the same
TOO_MANY = 60
GAPS = 0.1  # share of records without a number that may all have ended alike: dirt, not a trait
COVERED = 0.5  # share of the deals whose level must be frequent enough to be compared
# ids, dates, texts and the sheets' own columns: no traits of a deal
NO_TRAITS = ("currency", "deal_id", "name", "pipeline", "account_id", "lead_id", "created_at", "closed_on")
PEOPLE = ("rep_id", "rep", "team", "manager")

_LATE = (
    *("close", "closed", "closing", "outcome", "result", "won", "lost", "win", "loss", "stage", "stages"),
    *("probability", "forecast", "reason", "reasons", "updated", "modified", "last", "elapsed", "ratio", "final"),
    *("total days", "days total", "cycle", "duration", "changes", "change count", "paid", "invoice"),
    *("关闭", "结果", "赢", "输", "阶段", "概率", "原因", "更新", "修改", "最后", "最近", "总天数", "时长", "占比"),
)
_GROWS = (
    *("calls", "emails", "meetings", "activities", "touches", "visits", "contacts made", "follow ups", "followups"),
    *("电话数", "邮件数", "拜访数", "跟进次数", "活动数"),
)

LATE = N_("its name says that it is written at the close, or grows until then")
GROWS = N_("it grows as long as the deal is open: count it up to a fixed day after the start instead")
GIVES_AWAY = N_("knowing it is knowing the outcome: whoever has one of its values always ended alike")
TELLS_ALONE = N_("on its own it tells the outcomes apart almost perfectly, which no cause does")
ALL_ALIKE = N_("all deals have the same value, or almost all")
MANY_VALUES = N_("it has too many different values to compare deals by it")
NOT_THERE = N_("the data have no such column, or it is empty")
FOLLOWS_REP = N_("it follows from who sells: people are compared with each other elsewhere")
REPEATS = N_("it says the same as another driver")
SEVERAL_CURRENCIES = N_("amounts in several currencies cannot be compared")
NOT_A_TRAIT = N_("it is a name, an id or a date, not a trait of the deal")


def refused_by_name(name: str) -> str | None:
    """Why a column of this name is no driver; None where nothing speaks against the name."""
    folded = " ".join(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).replace("_", " ").casefold().split())
    if _said(folded, _GROWS):
        return GROWS
    return LATE if _said(folded, _LATE) else None


def _said(folded: str, words: Sequence[str]) -> bool:
    """Whether one of the words is in the name: Latin ones as whole words."""
    return any(re.search(rf"\b{w}\b", folded) if w.isascii() else w in folded for w in words)


def judge_columns(book: Book) -> tuple[dict[str, str], list[str]]:
    """The deals' columns that may not be used, with why; and those of which nothing says when they were written."""
    table, deals = leakage_audit(book), book.tables["deals"]
    refused = dict(table.loc[table["verdict"] == KEEP_OUT, ["field", "why"]].itertuples(index=False))
    for name in table.loc[table["verdict"] != KEEP_OUT, "field"]:
        dated = name in deals and pd.api.types.is_datetime64_any_dtype(deals[name])
        why = None if dated or name in NO_TRAITS else refused_by_name(name)
        if why is not None:
            refused[name] = why
    doubtful = table.loc[table["verdict"] == CANNOT_TELL, "field"]
    return refused, [name for name in doubtful if name not in refused]


def refused_by_values(values: pd.Series, n: Floats, won: Floats) -> str | None:
    """Why a column with these values is no driver; None where they allow it.

    values, n, won   per record or cell: the value, records, and how many of them were won or went on
    """
    return _refused_number(values, n, won) if is_number(values) else _refused_levels(values, n, won)


def _refused_number(values: pd.Series, n: Floats, won: Floats) -> str | None:
    gap = values.isna().to_numpy()
    if gap.all():
        return NOT_THERE
    if pure_gaps(values, n, won) and n[gap].sum() > GAPS * n.sum():
        return GIVES_AWAY
    area = auc(values.to_numpy(float, na_value=np.nan)[~gap], n[~gap], won[~gap])
    return TELLS_ALONE if max(area, 1 - area) >= TOO_GOOD else None


def _refused_levels(values: pd.Series, n: Floats, won: Floats) -> str | None:
    codes, known = pd.factorize(as_text(values))
    sizes, wins = counted(codes, n), counted(codes, won)
    if len(known) == 1 and known[0] == NONE:
        return NOT_THERE
    if n.sum() - sizes.max() < RARE:
        return ALL_ALIKE
    if len(sizes) > TOO_MANY and sizes[sizes >= RARE].sum() < COVERED * n.sum():
        return MANY_VALUES
    if _pure(sizes, wins):
        return GIVES_AWAY
    area = auc((wins / np.maximum(sizes, 1))[codes], n, won) if len(sizes) <= TOO_MANY else 0.5
    return TELLS_ALONE if area >= TOO_GOOD else None


def pure_gaps(values: pd.Series, n: Floats, won: Floats) -> bool:
    """Whether the records without a value all ended alike, beyond chance."""
    gap = values.isna().to_numpy(int)
    return bool(gap.any()) and _pure(counted(gap, n), counted(gap, won))


def counted(codes: Any, weights: Floats) -> Floats:
    """The sum of the weights of each code."""
    return np.bincount(codes, weights).astype(np.float64)


def _pure(sizes: Floats, wins: Floats) -> bool:
    """Whether all deals of one value ended alike although that is next to impossible by chance."""
    share = wins.sum() / sizes.sum()
    if share in (0.0, 1.0):
        return False
    all_won, all_lost = wins == sizes, wins == 0
    with np.errstate(divide="ignore"):
        chance = np.where(all_won, sizes * np.log(share), np.where(all_lost, sizes * np.log(1 - share), 0.0))
    return bool((chance[sizes > 0] < np.log(BY_CHANCE)).any())


def auc(score: Floats, n: Floats, won: Floats) -> float:
    """Share of (won, lost) pairs in which the won deal has the higher score; ties count half."""
    order = np.argsort(score, kind="stable")
    _, place = np.unique(score[order], return_inverse=True)
    wins, losses = np.bincount(place, won[order]), np.bincount(place, (n - won)[order])
    total = wins.sum() * losses.sum()
    below = np.cumsum(losses) - losses
    return float((wins * (below + losses / 2)).sum() / total) if total else float("nan")


def repeated(cells: pd.DataFrame, names: Sequence[str], n: Floats) -> dict[str, str]:
    """Drivers that say the same as one before them, by name: numbers that move together, levels that go together."""
    found: dict[str, str] = {}
    kept: list[str] = []
    for name in names:
        likes = [other for other in kept if is_number(cells[other]) == is_number(cells[name])]
        if any(_alike(cells[name], cells[other], n) for other in likes):
            found[name] = REPEATS
        else:
            kept.append(name)
    return found


def _alike(one: pd.Series, two: pd.Series, n: Floats) -> bool:
    """Rank correlation of numbers; Cramér's V of levels. Null where nothing varies."""
    if is_number(one):
        both = (one.notna() & two.notna()).to_numpy()
        a, b = (_ranks(v.to_numpy(float, na_value=np.nan)[both], n[both]) for v in (one, two))
        together, spread = n[both] @ (a * b), (n[both] @ a**2) * (n[both] @ b**2)
        return bool(abs(together) >= ALIKE * np.sqrt(spread) > 0)
    (code, first), (other, second) = (pd.factorize(as_text(v)) for v in (one, two))
    if min(len(first), len(second)) < 2 or max(len(first), len(second)) > TOO_MANY:
        return False
    seen = np.bincount(code * len(second) + other, n, len(first) * len(second)).reshape(len(first), len(second))
    usual = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / n.sum()
    v2 = ((seen - usual) ** 2 / usual).sum() / (n.sum() * (min(seen.shape) - 1))
    return bool(np.sqrt(v2) >= ALIKE)


def _ranks(values: Floats, n: Floats) -> Floats:
    """How far the middle place of each value among the records is from the middle of all."""
    _, place = np.unique(values, return_inverse=True)
    sizes = counted(place, n)
    middle: Floats = np.cumsum(sizes) - sizes / 2 - n.sum() / 2
    return middle[place]


def follows_people(units: pd.DataFrame, name: str) -> bool:
    """Whether nearly every rep has one level of it only."""
    if is_number(units[name]) or units["rep_id"].nunique() < 2:
        return False
    pairs = pd.DataFrame({"rep": units["rep_id"].fillna(NONE), "level": as_text(units[name])})
    sizes = pairs.value_counts()
    return bool(sizes.groupby(level=0).max().sum() >= ALIKE * len(units))
