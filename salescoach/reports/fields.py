"""How each column of a result is called and written on a page."""

from __future__ import annotations

from dataclasses import dataclass

from salescoach.wording import N_

TEXT_GROUPS = (N_("(unassigned)"), N_("(undated)"), N_("(none)"), N_("(other)"))


@dataclass(frozen=True)
class Field:
    """A column of a page's table: its label, its column, how it is written, and the columns of its interval."""

    label: str
    column: str
    kind: str = "count"
    low: str | None = None
    high: str | None = None

    def of(self, metric: str) -> Field:
        """The same field where the columns of several metrics stand side by side, each under its metric's name."""
        low, high = (None if end is None else f"{metric}_{end}" for end in (self.low, self.high))
        return Field(self.label, f"{metric}_{self.column}", self.kind, low, high)


def interval(label: str, kind: str) -> Field:
    return Field(label, "value", kind, "low", "high")


GROUP_LABELS = {
    "rep": N_("Rep"),
    "deal": N_("Deal"),
    "team": N_("Team"),
    "manager": N_("Manager"),
    "stage": N_("Stage"),
    "pipeline": N_("Sales pipeline"),
    "lead_source": N_("Lead source"),
    "product": N_("Product"),
    "segment": N_("Segment"),
    "region": N_("Region"),
    "deal_type": N_("Deal type"),
    "currency": N_("Currency"),
    "week": N_("Week"),
    "month": N_("Month"),
    "quarter": N_("Quarter"),
    "year": N_("Year"),
    "fiscal_quarter": N_("Fiscal quarter"),
    "fiscal_year": N_("Fiscal year"),
    "lost_reason": N_("Reason lost"),
    "competitor": N_("Competitor"),
}

FIELDS: dict[str, tuple[Field, ...]] = {
    "win_rate": (
        interval(N_("Win rate"), "share"),
        Field(N_("Decided (n)"), "n"),
        Field(N_("Won"), "won"),
        Field(N_("Lost"), "lost"),
        Field(N_("Void"), "void"),
        Field(N_("Won amount"), "won_amount", "money"),
    ),
    "lead_conversion": (
        interval(N_("Lead conversion"), "share"),
        Field(N_("Leads (n)"), "n"),
        Field(N_("Became a deal"), "converted"),
        Field(N_("Too young"), "immature"),
    ),
    "sales_cycle": (
        interval(N_("Median days"), "days"),
        Field(N_("Deals (n)"), "n"),
        Field(N_("Decided"), "decided"),
        Field(N_("Still open"), "open"),
        Field(N_("Mean days, won only"), "mean_won", "days", "mean_won_low", "mean_won_high"),
    ),
    "stage_flow": (
        interval(N_("Went on"), "share"),
        Field(N_("Ended (n)"), "n"),
        Field(N_("Lost here"), "lost"),
        Field(N_("Still here"), "still"),
        Field(N_("Moved back"), "back"),
        Field(N_("Median days"), "median_days", "days", "median_low", "median_high"),
        Field(N_("Mean days of those that went on"), "mean_days_advanced", "days"),
    ),
    "funnel": (
        Field(N_("Reached"), "reached"),
        interval(N_("Of all deals"), "share"),
        Field(N_("Of the stage before"), "step", "share"),
        Field(N_("Still open here"), "open"),
        Field(N_("Amount"), "amount", "money"),
    ),
    "new_customers": (
        Field(N_("New customers (n)"), "n", "count", "low", "high"),
        Field(N_("Returned"), "returning"),
        Field(N_("First deals"), "first_amount", "money"),
        Field(N_("Mean first deal"), "mean_first_amount", "money", "mean_low", "mean_high"),
    ),
    "quota_attainment": (
        interval(N_("Attainment"), "ratio"),
        Field(N_("Won deals (n)"), "n"),
        Field(N_("Won amount"), "won_amount", "money"),
        Field(N_("Target"), "target", "money"),
        Field(N_("Gap (− above target)"), "gap", "money"),
    ),
    "response_time": (
        interval(N_("Median"), "hours"),
        Field(N_("Leads (n)"), "n"),
        Field(N_("Unanswered"), "unanswered"),
        Field(N_("Within the limit"), "within_share", "share", "within_low", "within_high"),
        Field(N_("9 in 10 within"), "p90", "hours"),
    ),
    "pipeline": (
        Field(N_("Open deals (n)"), "n"),
        Field(N_("Amount"), "value", "money"),
        Field(N_("Without amount"), "without_amount"),
        Field(N_("Median age"), "median_age_days", "days"),
        Field(N_("Typical"), "typical_days", "days"),
        Field(N_("Older than typical"), "older_than_typical"),
    ),
}

SIGNALS = {
    "above": N_("above expectation"),
    "below": N_("below expectation"),
    "none": N_("no signal"),
    "few": N_("too few to tell"),
}

CHECKS = {
    "twin-deals": N_("Deals that look like one under several ids: same owner, customer, amount and day"),
    "bulk-update-day": N_("Stage changes and closes on a day with unusually many; probably a bulk update"),
    "migration-day": N_("Deals created on a day with unusually many; probably the day of an import"),
    "unmatched-key": N_("Key that the other table does not know; the rows are used"),
    "owner-by-name": N_("Owner written by name instead of id; resolved"),
    "no-rep": N_("Deals without a rep; shown as (unassigned)"),
    "no-created-date": N_("Deals without a creation date; left out of times"),
    "decided-without-close-date": N_("Decided deals without a close date; shown as (undated)"),
    "vanished-deal": N_("Deals that the latest snapshot no longer holds; they stand as they were last seen"),
    "stage-dates-against-order": N_("Deals whose stage dates run against the process; only the last entry is known"),
    "unknown-stage-date": N_("Dates in stages that the process does not know; left out"),
    "vanished-since": N_("Deals of the book before that the data no longer hold"),
    "vanished-row": N_("Rows that the database no longer holds"),
    "closed-on-month-end": N_("Deals closed on the last day of a month"),
    "open-without-amount": N_("Open deals without an amount"),
    "negative-amount": N_("Deals with a negative amount; counted as they are"),
    "won-without-amount": N_("Won deals without an amount"),
    "amount-zero-at-loss": N_("Lost deals with amount 0; taken as unknown"),
    "lost-without-reason": N_("Lost deals without a reason"),
    "stale-expected-close": N_("Open deals whose expected close has passed"),
    "alike-ids": N_("Owners whose ids differ only in case or blanks; left as two people"),
    "no-final-newline": N_("The file's last line has no end; its last record may be cut"),
    "open-with-close-date": N_("Open deals with a close date; counted as open, the date as expected close"),
    "outcome-contradicts-stage": N_("Deals whose outcome does not fit their stage; the outcome counts"),
    "amount-rounded": N_("Amounts finer than the currency's smallest unit; rounded"),
}
