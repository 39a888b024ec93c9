"""Pipeline created: what new deals were begun, with the amounts they began with."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book, places_in
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import sum_interval
from salescoach.metrics.flow import created_deals
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.money import known_amount, minor_scale, money_keys
from salescoach.metrics.registry import metric
from salescoach.metrics.visits import owner_changes
from salescoach.process import Period

CREATION, TODAY = "creation", "today"


def begun_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals created in the period, void ones left out: first_minor, amounts.

    first_minor    the amount at the end of the day of creation where the book records amounts over time, else today's
    amounts        "creation" or "today": which of the two

    Credit goes to the owner at the end of the day of creation; without recorded changes, to the present one.
    """
    deals = created_deals(book, period)
    owners = owner_changes(book)
    deals["rep_id"] = _before_first(book, deals, owners, "old", deals["rep_id"])
    logged = _amount_changes(book, deals)
    if logged is not None:
        return deals.assign(
            first_minor=_before_first(book, deals, logged, "minor", deals["amount_minor"]), amounts=CREATION
        )
    if book.has("stage_history", "amount_minor"):
        entries = book.table("stage_history").drop_duplicates("deal_id")
        at = places_in(deals["deal_id"], entries["deal_id"])
        first = entries["amount_minor"].take(at.clip(0)).set_axis(deals.index).where(at >= 0)
        return deals.assign(first_minor=first, amounts=CREATION)
    return deals.assign(first_minor=deals["amount_minor"], amounts=TODAY)


def _amount_changes(book: Book, deals: pd.DataFrame) -> pd.DataFrame | None:
    """Recorded changes of amounts: deal, at, minor (before it; null where unreadable). None where none is recorded."""
    if not book.has("changes", "old"):
        return None
    changes = book.table("changes")
    changes = changes[changes["field"] == "amount"]
    if changes.empty:
        return None
    places = places_in(changes["deal_id"], deals["deal_id"])
    changes = changes[places >= 0]
    rows = deals.index[places[places >= 0]]
    before = pd.to_numeric(changes["old"], errors="coerce") * minor_scale(book, deals.loc[rows]).to_numpy()
    return pd.DataFrame({"deal": rows, "at": changes["at"], "minor": before.round().astype("Int64")})


def _before_first(book: Book, deals: pd.DataFrame, changes: pd.DataFrame, column: str, now: pd.Series) -> pd.Series:
    """What stood before the first change after the day of creation: an edit on that day belongs to the creation."""
    if changes.empty:
        return now
    changes = changes[changes["deal"].isin(deals.index)].sort_values("at", kind="stable")
    created = deals["created_on"].reindex(changes["deal"]).set_axis(changes.index)
    later = changes[book.local_days(changes["at"]) > created].drop_duplicates("deal").set_index("deal")
    return now.where(~now.index.isin(later.index), later[column].reindex(now.index)).astype(now.dtype)


@metric(
    "Pipeline created",
    "Deals created in the period and their amounts: as of the day of creation where the book records amounts over "
    "time, else as of today. Void deals are left out.",
    basis="day of creation",
    interval="95 % interval of the sum: how far chance alone would move it (compound Poisson)",
    unit="money",
    needs=[("deals", "created_at")],
    by=("lead_source",),
    rows=begun_deals,
    caveat="Deals without an amount are counted apart and add nothing to the money. What is created is no promise: "
    "read it beside the win curve.",
    why="Do we begin enough new business, and where does it come from?",
    uses=[("deals", "amount_minor"), ("changes", "at"), ("stage_history", "amount_minor"), ("deals", "lead_source")],
)
def pipeline_created(
    book: Book, by: str | Sequence[str] = "lead_source", period: str | Period | None = None
) -> pd.DataFrame:
    """Deals created in the period and what they were worth then.

    Credit goes to the owner at the end of the day of creation, where changes of owner are recorded.

    Returns one row per group, and per currency if there are several: n (deals), value (amount, in units of the
    currency; null where no deal has one), low, high (95 %), without_amount, amounts ("creation": as of the day of
    creation; "today": as of now, since no earlier amount is recorded), amount_now.
    """
    groups = parse_by(by)
    found = begun_deals(book, period)
    amounts = found["amounts"].iloc[0] if len(found) else TODAY
    deals = with_groups(book, found, groups, "created_on")
    keys = list(dict.fromkeys([*group_keys(groups), *money_keys(deals)]))
    now = {"now_minor": deals["amount_minor"].fillna(0), "now_known": deals["amount_minor"].notna()}
    table = complete(book, count_table(deals, keys, money="first_minor", sums=now), groups)
    scale, seen = minor_scale(book, table), table["n_amount"] > 0
    table["value"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    low, high = sum_interval(table["amount_minor"] / scale, table["amount2"].fillna(0) / scale**2)
    table["low"], table["high"] = pd.Series(low, table.index).where(seen), pd.Series(high, table.index).where(seen)
    table["without_amount"] = table["n"] - table["n_amount"]
    table["amounts"] = amounts
    table["amount_now"] = known_amount(book, table, "now_minor", "n", "now_known")
    shown = ["n", "value", "low", "high", "without_amount", "amounts", "amount_now"]
    return table[list(dict.fromkeys([*group_columns(groups), *money_keys(deals), *shown]))]
