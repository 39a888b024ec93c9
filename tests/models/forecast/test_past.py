"""The book on a past day: as `Book.at` has it, and nothing of what came later is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.groups import UNASSIGNED
from salescoach.models.forecast.methods import Window, views
from salescoach.models.forecast.past import Past

Build = Callable[..., Book]


def number(day: str) -> int:
    return int(np.datetime64(day, "D").astype(int))


@pytest.mark.parametrize("day", ["2025-07-01", "2026-02-10", "2026-08-31"])
def test_open_deals_of_a_past_day_are_those_of_the_book_of_that_day(demo: Book, day: str) -> None:
    past = Past(demo)
    here = past.open_at(number(day) + 1)  # at the start of the next day
    ours = pd.DataFrame({"rep": np.array(past.reps)[here.rep], "value": here.value, "known": here.known})
    ours.index = demo.deals["deal_id"].to_numpy()[here.deal]
    ours["stage"] = [past.stays.states[s][1] for s in here.state]
    then = demo.at(day).deals.set_index("deal_id")
    then = then[then["outcome"] == "open"]
    assert set(ours.index) == set(then.index) and len(ours) > 50
    then = then.loc[ours.index]
    assert (ours["rep"] == then["rep_id"].fillna(UNASSIGNED)).all()
    assert (ours["stage"] == then["stage"]).all()
    known = then["amount"].notna() & (then["amount"] > 0)
    assert (ours.loc[known, "value"] == then.loc[known, "amount"]).all() and (ours["known"] | ~known).all()


def test_nothing_of_what_came_later_is_seen(demo: Book) -> None:
    """The same forecast from the book of that day, and from the whole book looking back."""
    day = number("2026-04-01")
    origins, window = np.arange(day - 7 * 40, day + 1, 7), Window(0, 30)
    looking_back = views(Past(demo), origins, [window])[0]
    that_day = views(Past(demo.at("2026-03-31")), origins, [window])[0]
    reps = {name: i for i, name in enumerate(Past(demo).reps)}
    order = [reps[name] for name in Past(demo.at("2026-03-31")).reps]
    others = [i for i in range(len(reps)) if i not in order]
    for name in ("run_rate", "last_period", "seasonal", "seasonal_share", "landmark", "hazard"):
        ours, theirs = looking_back.mean[name][-1], that_day.mean[name][-1]
        assert ours[order] == pytest.approx(theirs, rel=1e-9), name
        assert ours[others].sum() == pytest.approx(0, abs=1e-6)
        assert theirs.sum() > 0


def test_values_by_hand(book_of: Build) -> None:
    deals: list[dict[str, Any]] = [
        {
            "deal_id": f"W{i}",
            "outcome": "won",
            "created_at": "2026-01-01",
            "closed_at": f"2026-01-{10 + i}",
            "amount": 100,
        }
        for i in range(4)
    ]
    deals += [{"deal_id": "O1", "created_at": "2026-01-05", "amount": 300}]
    deals += [{"deal_id": "O2", "created_at": "2026-01-06", "amount": 80}]
    deals += [{"deal_id": "O3", "created_at": "2026-01-07"}]
    changes = [{"deal_id": "O1", "at": "2026-02-01", "field": "amount", "old": "250", "new": "300"}]
    past = Past(book_of(deals, changes=changes))
    here = past.open_at(number("2026-01-20"))
    # O1 was 250 before the change of February; O3 has no amount and stands for the mean win
    assert dict(zip(past.book.deals["deal_id"].to_numpy()[here.deal], here.value, strict=True)) == {
        "O1": 250.0,
        "O2": 80.0,
        "O3": 100.0,
    }
    assert here.known.tolist() == [True, True, False]
    assert past.won_between(number("2026-01-11"), number("2026-01-13")).sum() == 200
    assert past.open_at(number("2026-01-11")).deal.size == 6  # W0 closed on the 10th


@pytest.mark.parametrize(
    ("deals", "reason"),
    [
        ([{"deal_id": "D", "created_at": "2026-01-01", "amount": 5}], "closed_at"),
        ([{"deal_id": "D", "outcome": "won", "closed_at": "2026-01-01", "amount": 5}], "created_at"),
        ([{"deal_id": "D", "outcome": "won", "created_at": "2026-01-01", "closed_at": "2026-01-02"}], "no `amount`"),
        (
            [{"deal_id": "D", "outcome": "lost", "created_at": "2026-01-01", "closed_at": "2026-01-02", "amount": 5}],
            "no deal has been won",
        ),
        (
            [
                {"deal_id": d, "outcome": "won", "created_at": "2026-01-01", "closed_at": "2026-01-02", "amount": 5}
                | {"currency": c}
                for d, c in (("A", "EUR"), ("B", "USD"))
            ],
            "several currencies",
        ),
    ],
)
def test_what_cannot_be_forecast_says_why(book_of: Build, deals: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(Unavailable, match=reason):
        Past(book_of(deals))
