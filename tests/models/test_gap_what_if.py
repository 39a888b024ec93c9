"""What a better step would be worth: the formula by hand, its limits, and its agreement with the gap."""

from __future__ import annotations

import numpy as np
import pytest

from salescoach.book import Book
from salescoach.errors import UsageError
from salescoach.models import Factors, factors_of, what_if, what_if_table


def chain() -> Factors:
    """40 deals per quarter x .5 x .4 x 1,000 = 8,000; 10 and 20 days: a deal begun is in hand for 10 + .5 x 20 = 20."""
    rates, days, usual = np.array([0.5, 0.4]), np.array([10.0, 20.0]), np.array([0.5, 0.5])
    drawn = {name: np.repeat(v[:, None], 9, axis=1) for name, v in (("rates", rates), ("days", days), ("usual", usual))}
    drawn |= {"deals": np.full(9, 40.0), "amount": np.full(9, 1000.0)}
    return Factors(("quote", "contract"), 40.0, rates, days, 1000.0, usual, (40, 20), drawn)


def test_conversions_worked_by_hand() -> None:
    # .4 -> .5 at contract: 40 x .5 x .1 x 1,000 = 2,000; one point: 200
    # .5 -> .6 at quote: 40 x .1 x .4 x 1,000 = 1,600
    for answer in (what_if(chain(), "contract", 0.5), what_if(chain(), "contract", "usual")):
        assert (answer.value, answer.low, answer.high, answer.p_above) == pytest.approx((2000, 2000, 2000, 1))
    assert what_if(chain(), "contract", "point").value == pytest.approx(200)
    assert what_if(chain(), "quote", 0.6).value == pytest.approx(1600)
    assert what_if(chain(), "quote", "usual").value == pytest.approx(0)


def test_days_worked_by_hand() -> None:
    # contract 20 -> 12 days: cycle 20 -> 16, as many deals in hand turn over 1.25 times as often: 8,000 -> 10,000
    assert what_if(chain(), "contract", days=12).value == pytest.approx(2000)
    # and with .5 instead of .4 in contract 10,000 -> 12,500
    assert what_if(chain(), "contract", 0.5, 12).value == pytest.approx(4500)


def test_what_cannot_be_asked() -> None:
    with pytest.raises(UsageError, match=r"There is no stage 'quoted'. Did you mean 'quote'"):
        what_if(chain(), "quoted", 0.5)
    for wrong in (1.5, "best"):
        with pytest.raises(UsageError, match="neither a share from 0 to 1"):
            what_if(chain(), "quote", wrong)


def test_factors_multiply_to_what_the_rates_bring(demo: Book) -> None:
    """Per quarter: deals begun in three quarters / 3, and rates, days and amounts of each stage in a sensible place."""
    [factors] = factors_of(demo, "", "2026-01..2026-09").values()
    begun = demo.local_days(demo.deals["created_at"]).between("2026-01-01", "2026-09-30") & (
        demo.deals["outcome"] != "void"
    )
    assert factors.deals == pytest.approx(begun.sum() / 273 * 91.3125, rel=1e-9)
    won = demo.deals[(demo.deals["outcome"] == "won") & (demo.local_days(demo.deals["closed_at"]) >= "2026-01-01")]
    assert factors.amount == pytest.approx(won["amount"].mean(), rel=0.25)  # the mix of kinds is brought to the usual
    assert ((factors.days > 1) & (factors.days < 60)).all()
    assert factors.draws["rates"].shape == (4, 2000)


def test_the_table_asks_each_stage(demo: Book) -> None:
    table = what_if_table(demo, "rep", "2026-01..2026-09").table
    assert len(table) == 4 * table["rep_id"].nunique()
    assert ((table["low"] <= table["high"]) & (table["point_low"] <= table["point_high"])).all()
    below = table["rate"] < table["usual"]
    assert (table.loc[below, "worth"] > 0).all() and (table.loc[~below, "worth"] <= 0).all()
    everybody = what_if_table(demo, "", "2026-01..2026-09").table
    assert everybody["worth"].isna().all()
    # a point is worth most where the fewest get through
    assert everybody["point"].idxmax() == everybody["rate"].idxmin()
