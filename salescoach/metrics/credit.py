"""Who is credited with what was decided: the owner at the close, or those who share the deal."""

from __future__ import annotations

import pandas as pd

from salescoach.book import OTHER_REP, Book, is_in, places_in
from salescoach.book.splits import is_overlay, parts_of, whole_shares, wrong_sums
from salescoach.errors import Unavailable, listed
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.registry import in_period
from salescoach.process import Period


def credited_deals(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The deals won, lost or void in the period, one row for each deal and person credited.

    The columns of the deals, with `rep_id` the person credited, `share` of the deal (1 for the owner at the close where
    nothing is shared), `amount_minor` that person's part of the amount and `overlay`. The parts of a deal add up to
    its amount to the last cent. Overlays come on top of a deal: they belong on the person's own page, never in a total.

    In the slice of a rep or team: the credits of its people only, also those for deals that others own.
    Raises Unavailable where the shares of a deal do not add up to 1 (± 0.01).
    """
    deals = decided_deals(book, period)
    splits = _splits(book)
    if splits is None:
        return deals.reset_index(drop=True).assign(share=1.0, overlay=False)
    at = places_in(splits["deal_id"], deals["deal_id"])
    here, shares = deals.take(at[at >= 0]), splits[at >= 0]
    shared = here.assign(
        rep_id=shares["rep_id"].to_numpy(),
        share=whole_shares(shares).to_numpy(),
        amount_minor=parts_of(here["amount_minor"].set_axis(shares.index), shares).array,
        overlay=is_overlay(shares).to_numpy(),
    )
    whole = deals[~is_in(deals["deal_id"], shares["deal_id"][~is_overlay(shares)])].assign(share=1.0, overlay=False)
    credits = pd.concat([whole, shared, _of_others_deals(book, splits, deals, period)], ignore_index=True)
    return credits[credits["rep_id"].ne(OTHER_REP).fillna(True) & (credits["share"] > 0)].reset_index(drop=True)


def _splits(book: Book) -> pd.DataFrame | None:
    """The shares of deals, as many as name a person. Raises Unavailable where those of a deal do not add up."""
    if not book.has("splits", "share"):
        return None
    splits = book.table("splits")
    whole = splits[is_in(splits["deal_id"], book.deals["deal_id"])]
    wrong = wrong_sums(whole)
    if len(wrong):
        raise Unavailable("the shares of these deals do not add up to 1: {deals}", deals=listed(list(wrong.index)))
    return splits


def _of_others_deals(
    book: Book, splits: pd.DataFrame, deals: pd.DataFrame, period: str | Period | None
) -> pd.DataFrame:
    """In a slice, the shares of deals that others own."""
    if "deal_outcome" not in splits or not book.origin.get("slice"):
        return deals.iloc[:0].assign(share=1.0, overlay=False)
    rows = splits[splits["deal_outcome"].notna() & (splits["deal_outcome"] != "open")]
    blank = deals.iloc[:0].reindex(pd.RangeIndex(len(rows)))
    closed = rows["deal_closed_at"] if "deal_closed_at" in rows else pd.Series(pd.NaT, rows.index)
    closed = closed.astype(deals["closed_at"].dtype)
    money = rows["deal_currency"].fillna(book.currency) if "deal_currency" in rows else book.currency
    found = blank.set_axis(rows.index).assign(
        deal_id=rows["deal_id"],
        rep_id=rows["rep_id"],
        outcome=rows["deal_outcome"],
        closed_at=closed,
        closed_on=book.local_days(closed),
        currency=money,
        amount_minor=rows["credit_minor"].astype("Int64") if "credit_minor" in rows else deals["amount_minor"].iloc[:0],
        share=rows["credit_share"],
        overlay=is_overlay(rows),
    )
    return found[in_period(book, period, found["closed_on"])].astype({"amount_minor": "Int64"})
