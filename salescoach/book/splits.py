"""Deals whose credit is shared: who gets which part of the amount, to the last cent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salescoach.book.texts import is_in, places_in

OTHER_REP = "(other)"
OVERLAY = "overlay"
SUM_TOLERANCE = 0.01
UNITS = 10**9  # shares are counted in these, so that the parts of an amount are exact
CREDIT = ("credit_share", "credit_minor")
OF_THE_DEAL = ("outcome", "closed_at", "currency")  # what a person with a share of somebody's deal may see of it


def is_overlay(splits: pd.DataFrame) -> pd.Series:
    """Which shares are on top of the deal: for a person's own page, never for totals."""
    if "split_type" not in splits:
        return pd.Series(False, splits.index)
    return splits["split_type"].str.strip().str.casefold().eq(OVERLAY).fillna(False).astype(bool)


def wrong_sums(splits: pd.DataFrame) -> pd.Series:
    """The sum of the shares of each deal where it is not 1 (± 0.01), overlays left out: by deal_id."""
    sums: pd.Series = splits[~is_overlay(splits)].groupby("deal_id")["share"].sum()
    return sums[(sums - 1).abs() > SUM_TOLERANCE + 1e-9]


def whole_shares(splits: pd.DataFrame) -> pd.Series:
    """Each row's share, with those of a deal adding up to 1 exactly: three times 0.3333 is three thirds."""
    over = is_overlay(splits)
    sums = splits["share"].mask(over, 0.0).groupby(splits["deal_id"]).transform("sum")
    return splits["share"].where(over | (sums == 0), splits["share"] / sums)


def parts_of(amount_minor: pd.Series, splits: pd.DataFrame) -> pd.Series:
    """Each row's part of its deal's amount, in minor units.

    amount_minor   of the deal of each row of `splits`; null makes the part null
    splits         deal_id, share, and `place` where the order of a deal's rows is not the one they stand in

    The parts of a deal add up to its amount exactly: each gets its share rounded down, and the cents left over go to
    the largest remainders, the earlier row first (Hamilton's method). An overlay is its own share, rounded
    half to even.
    """
    known = amount_minor.notna().to_numpy()
    amount = amount_minor.fillna(0).to_numpy(np.int64)
    weight = np.rint(splits["share"].to_numpy(np.float64) * UNITS).astype(np.int64)
    over = is_overlay(splits).to_numpy()
    deal, _ = pd.factorize(splits["deal_id"])
    group = np.where(over, deal.max(initial=0) + 1 + np.arange(len(deal)), deal)
    place = splits["place"].to_numpy() if "place" in splits else np.arange(len(splits))
    whole = np.where(over, UNITS, _summed(np.where(over, 0, weight), group))
    whole = np.maximum(whole, 1)
    times, rest = np.divmod(amount, whole)
    part = times * weight + rest * weight // whole
    remainder = rest * weight % whole
    left = np.where(over, 0, amount - _summed(part, group))
    order = np.lexsort((place, -remainder, group))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = pd.Series(group[order]).groupby(group[order]).cumcount()
    up = 2 * remainder > whole
    up |= (2 * remainder == whole) & (part % 2 == 1)
    part += np.where(over, up, rank < left)
    return pd.Series(pd.array(part, dtype="Int64"), splits.index).where(known)


def _summed(values: np.ndarray[Any, np.dtype[np.int64]], group: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    return pd.Series(values).groupby(group).transform("sum").to_numpy(np.int64)


def in_slice(splits: pd.DataFrame, deals: pd.DataFrame, own: pd.DataFrame, rep_ids: set[str]) -> pd.DataFrame:
    """The shares of these people's own deals, and their own shares of others' deals.

    splits, deals  of the whole book
    own            the deals that the slice holds

    Everybody else reads "(other)". `place` keeps the order of a deal's shares. A share of a deal that the slice does
    not hold comes with what makes it a credit: `deal_outcome`, `deal_closed_at`, `deal_currency`, and
    `credit_share` and `credit_minor`, the person's part of the deal and its amount.
    """
    rows = splits.copy()
    if "place" not in rows:
        rows["place"] = splits.groupby("deal_id").cumcount().to_numpy()
    held, mine = is_in(rows["deal_id"], own["deal_id"]), is_in(rows["rep_id"], rep_ids)
    at = places_in(rows["deal_id"], deals["deal_id"])
    foreign = mine & ~held & (at >= 0)
    if foreign.any():
        of_deal = deals.take(np.maximum(at, 0)).set_axis(rows.index)
        found = {f"deal_{c}": of_deal[c] for c in OF_THE_DEAL if c in deals} | {"credit_share": whole_shares(rows)}
        if "amount_minor" in deals:
            found["credit_minor"] = parts_of(of_deal["amount_minor"], rows)
        for column, values in found.items():  # a team's slice, cut again for a rep, has some already
            rows[column] = values.where(foreign, rows[column]) if column in rows else values.where(foreign)
    rows["rep_id"] = rows["rep_id"].where(mine, OTHER_REP)
    rows = rows[held | mine]
    if "credit_share" in rows and not bool(rows["credit_share"].notna().any()):
        return rows.drop(columns=[*(f"deal_{c}" for c in OF_THE_DEAL), *CREDIT], errors="ignore")
    return rows


def known_at(splits: pd.DataFrame, deals: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """The shares of the deals that were there at `end`; of a slice also those of others' deals closed by then."""
    there = is_in(splits["deal_id"], deals["deal_id"])
    return splits[there | (splits["deal_closed_at"] <= end) if "deal_closed_at" in splits else there]
