"""Win curve: the share of deals that are won within a number of days, counting those still open."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import count_table
from salescoach.metrics.cycle import followed_deals, started_deals
from salescoach.metrics.flow import need_stages
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.registry import in_period, metric, only
from salescoach.metrics.times import won_within
from salescoach.metrics.visits import history_of
from salescoach.process import Period

WITHIN_DAYS = (30, 90, 180, 365)


def entered_deals(book: Book, period: str | Period | None = None, stage: str | None = None) -> pd.DataFrame:
    """The deals that entered a stage for the first time in the period, followed from there.

    Without a stage: from the first contact. Columns as of `followed_deals`. A deal that skipped the stage, or whose
    entry nobody recorded, is left out. Raises Unavailable where the stages of the lost deals are unknown.
    """
    if stage is None:
        return started_deals(book, period)
    _check_stage(book, stage)
    need_stages(book)
    log = history_of(book)
    first = log[log["stage"] == stage].drop_duplicates("deal")
    seen = first[first["evidence"] == "observed"].set_index("deal")["entered_at"]
    start = seen.reindex(book.deals.index)
    deals = followed_deals(book, start, book.by_day_only("stage_history", "entered_at"))
    return only(deals, in_period(book, period, deals["started_on"]))


def _check_stage(book: Book, stage: str) -> None:
    known = list(dict.fromkeys(s.key for line in book.process.pipelines.values() for s in line.working))
    if stage not in known:
        raise UsageError(
            "stage={stage!r} is unknown.{hint} Stages: {known}.",
            stage=stage,
            hint=suggestion(stage, known),
            known=commas(known),
        )


@metric(
    "Win curve",
    "Share of deals won within 30, 90, 180 and 365 days of the first contact, or of the first entry into a stage. A "
    "loss is the competing end, and a deal still open counts for as long as it has been followed.",
    basis="day of the first contact, or of the first entry into the stage",
    interval="95 % interval of the Aalen-Johansen share, log(-log)",
    unit="share",
    needs=[("deals", "created_at"), ("deals", "closed_at")],
    rows=entered_deals,
    caveat="Void deals are left out: they were no deals. Where no deal has been followed so long, the share is "
    "unknown.",
    why="Of what we begin today, how much will be won, and by when?",
    uses=[("leads", "created_at"), ("activities", "at"), ("stage_history", "entered_at"), ("changes", "at")],
    options={
        "stage": "The stage from whose first entry deals are followed; without one, from the first contact.",
        "within": "The numbers of days, one row each.",
    },
    repeats=("within_days",),
)
def win_curve(
    book: Book,
    by: str | Sequence[str] = (),
    period: str | Period | None = None,
    stage: str | None = None,
    within: tuple[int, ...] = WITHIN_DAYS,
) -> pd.DataFrame:
    """Share of deals won within a number of days (Aalen-Johansen), for deals that started in the period.

    Other than the win rate it needs no decision: deals that nobody closes stay in the denominator as open ones. Deals
    count from the first contact (as in the sales cycle) or, with `stage`, from their first recorded entry into it.
    Credit goes to the owner at the close, or now.

    Returns one row per group and number of days: within_days, n (deals followed, the same in each row), value, low,
    high (95 %, log(-log); null where nobody was followed so long), and how they stood after so many days: won, lost,
    undecided, too_young (open and not followed so long); they add up to n.
    """
    groups = parse_by(by)
    deals = with_groups(book, entered_deals(book, period, stage), groups, "started_on")
    if deals.empty and stage is None:
        raise Unavailable("no deal with a known start lies in the period")
    if deals.empty:
        raise Unavailable("no recorded entry into the stage {stage} lies in the period", stage=stage)
    keys = group_keys(groups)
    days = sorted(set(within))
    counts = count_table(deals, [*keys, "age", "ended"], sums={"won": deals["won"]})
    table = complete(book, count_table(deals, keys), groups).merge(pd.DataFrame({"within_days": days}), how="cross")
    table = table.merge(won_within(counts, keys, days), on=[*keys, "within_days"], how="left", validate="1:1")
    whole = ["won", "lost", "undecided", "too_young"]
    table[whole] = table[whole].fillna(0).astype("int64")
    return table[[*group_columns(groups), "within_days", "n", "value", "low", "high", *whole]]
