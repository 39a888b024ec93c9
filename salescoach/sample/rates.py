"""How much dirt to plant."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class DirtRates:
    """How much of each kind to plant: shares are 0..1 of the rows that qualify, the rest are counts."""

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
NO_DIRT = DirtRates(**{rate.name: type(rate.default)(0) for rate in fields(DirtRates)})
