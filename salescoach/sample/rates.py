"""How much dirt to plant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DirtRates:
    """How much of each kind to plant: floats are shares of the rows that qualify, integers are counts."""

    missing_lost_reason: float = 0.25
    blank_amount: float = 0.06
    zero_amount: float = 0.04
    month_end_close: float = 0.05
    stale_expected_close: float = 0.20
    deal_spelling: float = 0.03
    history_spelling: float = 0.03
    retired_name: float = 0.30
    other_date_spelling: float = 0.06
    friday_moves: float = 0.40
    friday_reps: int = 3
    yuan_amounts: int = 25
    without_rep: float = 0.002
    product_mismatch: int = 30
    unknown_account: int = 12
    unmatched_activities: int = 5
    repeated_history_rows: int = 20
    orphan_history_rows: int = 6
    undated_history_rows: int = 2
    repeated_activity_rows: int = 12
    undated_activity_rows: int = 2
    repeated_lead_rows: int = 4
    conflicting_leads: int = 2
    broken_deal_rows: bool = True
    byte_order_mark: bool = True


DEMO_DIRT = DirtRates()
NO_DIRT = DirtRates(
    missing_lost_reason=0,
    blank_amount=0,
    zero_amount=0,
    month_end_close=0,
    stale_expected_close=0,
    deal_spelling=0,
    history_spelling=0,
    retired_name=0,
    other_date_spelling=0,
    friday_moves=0,
    friday_reps=0,
    yuan_amounts=0,
    without_rep=0,
    product_mismatch=0,
    unknown_account=0,
    unmatched_activities=0,
    repeated_history_rows=0,
    orphan_history_rows=0,
    undated_history_rows=0,
    repeated_activity_rows=0,
    undated_activity_rows=0,
    repeated_lead_rows=0,
    conflicting_leads=0,
    broken_deal_rows=False,
    byte_order_mark=False,
)
