"""Activities by a landmark: only what was done by a fixed day counts, and only deals still open on it are asked."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.groups import NONE
from salescoach.metrics.visits import visits
from salescoach.models.drivers import GRID, choose_drivers, on_a_later_period
from salescoach.models.grouped import DriverFit, fit_grouped
from salescoach.models.units import won_units
from salescoach.process import Period

LANDMARK_DAYS = 14
MIX = ("amount", "segment", "deal_type", "lead_source")  # held equal beside the activities
STAGE_THEN = "stage_then"
DONE = "done_"  # the count of a kind of activity by the landmark is called so


def landmark_units(book: Book, period: str | Period | None = None, days: int = LANDMARK_DAYS) -> pd.DataFrame:
    """Decided deals that were still open `days` after their creation, with what had been done by then.

    As `won_units`, and per kind of activity `done_<kind>`, how often it was done from creation to the landmark, both
    ends included, and stage_then, the stage in which the deal stood there. A deal closed by the landmark is left out:
    who closes early has no time for more. Raises Unavailable where the book has no dated activities of deals.
    """
    if not book.has("activities", "at", "deal_id"):
        raise Unavailable("the book has no dated activities of deals")
    units = won_units(book, period)
    units = units[units["created_at"].notna() & units["closed_at"].notna()]
    landmark = units["created_at"] + pd.Timedelta(days=days)
    units = units[units["closed_at"] > landmark].assign(landmark=landmark).reset_index(drop=True)
    if units.empty:
        raise Unavailable("no deal was still open {days} days after its creation", days=days)
    units[STAGE_THEN] = _stage_then(book, units)
    return units.join(_done(book, units))


def _done(book: Book, units: pd.DataFrame) -> pd.DataFrame:
    """How often each kind of activity was done by the landmark; 0 where it was not."""
    spans = units[["deal_id", "created_at", "landmark"]].assign(place=units.index)
    log = book.table("activities")
    if "done" in log:
        log = log[log["done"].fillna(True).astype(bool)]  # a planned activity is none
    kinds = log["activity_type"].astype("str").str.casefold() if "activity_type" in log else "activity"
    log = log[["deal_id", "at"]].assign(kind=kinds).dropna(subset=["deal_id", "at", "kind"])
    log = log.merge(spans, on="deal_id")
    log = log[(log["at"] >= log["created_at"]) & (log["at"] <= log["landmark"])]
    counts = log.groupby(["place", "kind"]).size().unstack(fill_value=0).reindex(units.index, fill_value=0)
    return counts.rename(columns=lambda kind: f"{DONE}{kind}").rename_axis(None, axis=1).astype("int64")


def _stage_then(book: Book, units: pd.DataFrame) -> pd.Series:
    """The working stage a deal stood in at its landmark; "(none)" where nothing is known of it."""
    if not book.has("stage_history", "entered_at"):
        return pd.Series(NONE, units.index, dtype="str")
    stays = visits(book)[["deal", "entered_at", "stage"]].dropna().sort_values("entered_at", kind="stable")
    asked = units[["deal", "landmark"]].assign(place=units.index).sort_values("landmark", kind="stable")
    asked = asked.astype({"deal": stays["deal"].dtype, "landmark": stays["entered_at"].dtype})
    found = pd.merge_asof(asked, stays, left_on="landmark", right_on="entered_at", by="deal")
    return found.set_index("place")["stage"].reindex(units.index).astype("str").fillna(NONE)


def fit_activities(book: Book, period: str | Period | None = None, days: int = LANDMARK_DAYS) -> DriverFit:
    """What was done in a deal's first `days` days, and whether the deal was won: beside equal deals in an equal stage.

    The table has only the activities (`done_<kind>`); amount, segment, type, source and the stage at the landmark are
    held equal. Columns as in `fit_grouped`. Raises Unavailable as `landmark_units` and `fit_grouped` do.
    """
    units = landmark_units(book, period, days)
    done = [str(c) for c in units if str(c).startswith(DONE) and units[c].nunique() > 1]
    if not done:
        raise Unavailable("nothing was done in the first {days} days of the deals decided in the period", days=days)
    mix = [c for c in MIX if c in units and units[c].notna().any()]
    held = choose_drivers(book, units, mix)[0] if mix else []
    chosen = [*done, *held, STAGE_THEN]
    fit = fit_grouped(units, "outcome", chosen, grid=GRID)
    tried = on_a_later_period(units, [c for c in chosen if c in set(fit.table["driver"])])
    table = fit.table[fit.table["driver"].isin(done)].reset_index(drop=True)
    return replace(fit, table=table, calibration=tried)
