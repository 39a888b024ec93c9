"""Quota attainment: what was achieved against what was agreed, matched by dates, not labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.created import begun_deals
from salescoach.metrics.credit import credited_deals
from salescoach.metrics.estimate import count_interval, sum_interval
from salescoach.metrics.groups import (
    PEOPLE,
    UNASSIGNED,
    UNITS,
    complete,
    group_columns,
    group_keys,
    parse_by,
    with_groups,
)
from salescoach.metrics.kept import per_book
from salescoach.metrics.money import known_amount, minor_scale, single_currency
from salescoach.metrics.outcomes import first_wins
from salescoach.metrics.registry import as_period, metric
from salescoach.metrics.targets import Level, by_unit, prorated_targets
from salescoach.process import Period

Of = Literal["won_amount", "won", "new_customers", "pipeline_created"]
AMOUNTS = ("won_amount", "pipeline_created")


def _credited_wins(book: Book, period: Period) -> pd.DataFrame:
    """Won deals of the period, one row for each deal and person, overlays too."""
    deals = credited_deals(book, period)
    return deals[deals["outcome"] == "won"].assign(on=lambda d: d["closed_on"])


def _first_wins(book: Book, period: Period) -> pd.DataFrame:
    wins = first_wins(book, period)
    return wins[~wins["returning"]].assign(share=1.0, overlay=False, on=lambda d: d["closed_on"])


def _created(book: Book, period: Period) -> pd.DataFrame:
    deals = begun_deals(book, period)
    return deals.assign(amount_minor=deals["first_minor"], share=1.0, overlay=False, on=deals["created_on"])


ACHIEVED: dict[str, Callable[[Book, Period], pd.DataFrame]] = {
    "won_amount": _credited_wins,
    "won": _credited_wins,
    "new_customers": _first_wins,
    "pipeline_created": _created,
}


def achieved_rows(
    book: Book, period: str | Period | None = None, of: Of = "won_amount", overlay: bool = False
) -> pd.DataFrame:
    """What counts toward the targets of one kind, from the first day on which any of them counts.

    overlay   the shares on top of deals instead, which count toward no target
    """
    if of not in ACHIEVED:
        choices = get_args(Of)
        raise UsageError(
            "of={of!r} is unknown.{hint} Targets: {choices}.",
            of=of,
            hint=suggestion(of, choices),
            choices=commas(choices),
        )
    targets = prorated_targets(book, period, of)
    if targets.empty:
        raise Unavailable("no target with metric `{metric}` lies in the period", metric=of)
    span = as_period(book, period)
    first = targets["from_on"].min().date()  # what came earlier was never aimed at a target
    aimed = Period(span.label, max(span.start_on or first, first), span.end_on)
    rows = ACHIEVED[of](book, aimed)
    return rows[rows["overlay"].astype(bool) == overlay]


def _level(groups: Sequence[str]) -> Level:
    """Whose targets answer a question by these groups."""
    if "rep" in groups:
        return "rep"
    return "team" if "team" in groups or "manager" in groups else "all"


@metric(
    "Quota attainment",
    "Amount won in the period / target of the period. A target counts by the days it shares with the period and with "
    "the rep's time in the job, days on leave left out; a newcomer's grows day by day until the ramp is over.",
    basis="day of the win",
    interval="95 % interval of the sum: how far chance alone would move it (compound Poisson)",
    unit="ratio",
    needs=[("targets", "value"), ("deals", "amount_minor"), ("deals", "closed_at")],
    by=("rep",),
    rows=achieved_rows,
    caveat="Credit goes to the owner at the close; a shared deal counts with its parts. A period that is still running "
    "is compared with its whole target; the pace compares it with what the target asks for up to today's data.",
    why="Are we on target, and how much is missing?",
    uses=[
        ("splits", "share"),
        ("changes", "at"),
        ("reps", "start_on"),
        ("reps", "end_on"),
        ("reps", "ramp_days"),
        ("leave", "start_on"),
    ],
    options={
        "of": "Which targets: `won_amount`, money won; `won`, deals won; `new_customers`, accounts won for the first "
        "time; `pipeline_created`, amount of the deals created."
    },
)
@per_book
def quota_attainment(
    book: Book, by: str | Sequence[str] = "rep", period: str | Period | None = None, of: Of = "won_amount"
) -> pd.DataFrame:
    """What was achieved against its target.

    value = achieved / target. Groups: rep, team, manager and units of time; targets know no others. What was achieved
    counts from the first day on which any target counts, also where its own rep has none (the target is null then,
    and so is value). A shared deal counts with the parts of those who share it.

    of    the targets' `metric`, and what is held against it: "won_amount"; "won" deals; "new_customers"; amount of
          "pipeline_created", as the metric of that name counts it

    Returns one row per group: n (deals; a shared one once for each person credited), what was achieved under the name
    of `of`, target, value, low, high (null where nothing was achieved), gap (target - achieved), to_date (what the
    target asks for up to as_of) and pace (achieved / to_date). Where shares are on top of deals and the groups hold
    `rep`, also overlay_amount: it is in no other column.

    Raises Unavailable where no target of that kind lies in the period, or where amounts or targets are in several
    currencies.
    """
    groups = parse_by(by)
    foreign = [g for g in groups if g not in (*PEOPLE, *UNITS)]
    if foreign:
        raise Unavailable("targets are not set by {group}, so attainment cannot be split by it", group=foreign[0])
    keys = group_keys(groups)
    rows = achieved_rows(book, period, of)
    if of in AMOUNTS:
        _need_one_currency(book, rows, of)
    targets = by_unit(book, period, of, _level(groups), [g for g in groups if g in UNITS])
    agreed = targets.assign(**{key: targets[key].fillna(UNASSIGNED) for key in keys})
    agreed = add_up(agreed[[*keys, "target", "to_date"]], keys)
    table = _merged(agreed, _counts(book, rows, groups), keys)
    shown = ["n", of, "target", "value", "low", "high", "gap", "to_date", "pace"]
    if of == "won_amount" and "rep" in groups:
        above = achieved_rows(book, period, of, overlay=True)
        if len(above):
            more = _counts(book, above, groups)[[*keys, "amount_minor"]].rename(columns={"amount_minor": "above"})
            table, shown = _merged(table, more, keys), [*shown, "overlay_amount"]
    whole = [c for c in ("n", "amount_minor", "n_amount", "above") if c in table]
    table[whole] = table[whole].fillna(0).astype("int64")
    table = complete(book, table, groups)
    for column in ("target", "to_date"):
        table[column] = table[column].where(table[column] > 0)
    table[of], low, high = _achieved(book, table, of)
    table["value"], table["pace"] = table[of] / table["target"], table[of] / table["to_date"]
    table["low"], table["high"] = low / table["target"], high / table["target"]
    table["gap"] = table["target"] - table[of]
    if "above" in table:
        table["overlay_amount"] = table["above"] / minor_scale(book, table)
    return table[[*group_columns(groups), *shown]]


def _merged(left: pd.DataFrame, right: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    if keys:
        return left.merge(right, on=list(keys), how="outer", validate="1:1")
    return pd.concat([left, right], axis=1)


def _counts(book: Book, rows: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Count table of what was achieved, with the sum of the shares."""
    keys = group_keys(groups)
    units = with_groups(book, rows, groups, "on")
    return _merged(count_table(units, keys, money="amount_minor"), add_up(units[[*keys, "share"]], keys), keys)


def _achieved(book: Book, table: pd.DataFrame, of: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """The amount or number achieved, with its interval; of a number Poisson, in proportion where deals are shared."""
    if of in AMOUNTS:
        value, seen = known_amount(book, table, "amount_minor", "n", "n_amount"), table["n_amount"] > 0
        low, high = sum_interval(value, table["amount2"].fillna(0) / minor_scale(book, table) ** 2)
    else:
        value, seen = table["share"].fillna(0.0), table["n"] > 0
        low, high = (end * value / table["n"].where(seen) for end in count_interval(table["n"]))
    return value, pd.Series(low, table.index).where(seen), pd.Series(high, table.index).where(seen)


def _need_one_currency(book: Book, rows: pd.DataFrame, of: str) -> None:
    """Raise Unavailable where amounts, or amounts and targets, are in several currencies."""
    if rows["currency"].nunique() > 1:
        raise Unavailable(
            "the deals are in several currencies, and sums never cross currencies: convert them with dated rates, or "
            "look at one currency at a time"
        )
    targets = book.table("targets")
    targets = targets[targets["metric"].str.strip().str.casefold() == of]
    aimed = set(targets["currency"].dropna()) if "currency" in targets else set()
    if len(aimed | set(rows["currency"])) > 1 and aimed:
        named = commas(sorted(aimed | set(rows["currency"])))
        raise Unavailable(
            "targets and deals are in several currencies ({names}), and sums never cross currencies", names=named
        )


def currency_of(book: Book) -> str:
    """The currency that sums of this book are printed in."""
    return single_currency(book)
