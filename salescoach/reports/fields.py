"""How each column of a result is called and written on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from salescoach.metrics.bridge import LINES
from salescoach.wording import N_

TEXT_GROUPS = (N_("(unassigned)"), N_("(undated)"), N_("(none)"), N_("(other)"), N_("(not recorded)"))


@dataclass(frozen=True)
class Field:
    """A column of a page's table: its label, its column, how it is written, and the columns of its interval.

    outcome   won, lost, open or void, whose colour it bears
    """

    label: str
    column: str
    kind: str = "count"
    low: str | None = None
    high: str | None = None
    outcome: str = ""

    def of(self, metric: str) -> Field:
        """The same field where the columns of several metrics stand side by side, each under its metric's name."""
        low, high = (None if end is None else f"{metric}_{end}" for end in (self.low, self.high))
        return Field(self.label, f"{metric}_{self.column}", self.kind, low, high, self.outcome)


def interval(label: str, kind: str, outcome: str = "") -> Field:
    return Field(label, "value", kind, "low", "high", outcome)


def decided(label: str, outcome: str) -> Field:
    """The number of those that came to an end, or to none, in the column of that name."""
    return Field(label, outcome, outcome=outcome)


STANDARD_RULES = (  # of the standard process, in its own words
    N_("need confirmed by the customer"),
    N_("decision maker and budget known"),
    N_("signed contract"),
)
GROUP_LABELS = {
    "change": N_("change"),
    "method": N_("Method"),
    "called_by": N_("Called by"),
    "category": N_("Category"),
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
    "reason": N_("Reason"),
    "trait": N_("Trait"),
    "group": N_("Group"),
    "lapse": N_("What"),
    "part": N_("Part"),
    "difference": N_("First difference"),
    "deviation": N_("Deviation"),
    "deals": N_("Which deals"),
    "texts": N_("Typical words"),
    "lead": N_("Days before the end"),
}
ACHIEVED = {  # what is held against a target: its label, and how it is written
    "won": (N_("Deals won"), "number"),
    "new_customers": (N_("New customers"), "number"),
    "pipeline_created": (N_("Pipeline created"), "money"),
}

FIELDS: dict[str, tuple[Field, ...]] = {
    "win_rate": (
        interval(N_("Win rate"), "share", "won"),
        Field(N_("Decided (n)"), "n"),
        decided(N_("Won"), "won"),
        decided(N_("Lost"), "lost"),
        decided(N_("Void"), "void"),
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
        decided(N_("Still open"), "open"),
        Field(N_("Mean days, won only"), "mean_won", "days", "mean_won_low", "mean_won_high"),
        Field(N_("Won within 90 days"), "won_within_90", "share", "won_within_90_low", "won_within_90_high", "won"),
        Field(N_("Within 180 days"), "won_within_180", "share", "won_within_180_low", "won_within_180_high", "won"),
        Field(N_("Within 365 days"), "won_within_365", "share", "won_within_365_low", "won_within_365_high", "won"),
    ),
    "loss_reasons": (
        Field(N_("Deals (n)"), "n"),
        interval(N_("Share"), "share"),
        Field(N_("Amount"), "amount", "money"),
        Field(N_("Without amount"), "without_amount"),
        Field(N_("Contributing"), "contributing"),
        Field(N_("Median days in the stage"), "median_days", "days"),
    ),
    "recorded_reasons": (
        interval(N_("Reason recorded"), "share"),
        Field(N_("Deals (n)"), "n"),
        Field(N_("With a reason"), "recorded"),
        Field(N_("Amount without a reason"), "amount_without", "money"),
    ),
    "doubted_reasons": (
        interval(N_("In doubt"), "share"),
        Field(N_("Deals with a reason (n)"), "n"),
        Field(N_("In doubt (n)"), "doubted"),
        Field(N_("Amount in doubt"), "doubted_amount", "money"),
    ),
    "conformance": (
        interval(N_("Not kept"), "share"),
        Field(N_("Checks (n)"), "n"),
        Field(N_("Not kept (n)"), "broken"),
        Field(N_("Deals"), "deals"),
        Field(N_("Not decided yet"), "not_yet"),
        Field(N_("Unknown"), "unknown"),
    ),
    "stage_flow": (
        interval(N_("Went on"), "share"),
        Field(N_("Ended (n)"), "n"),
        decided(N_("Lost here"), "lost"),
        Field(N_("Still here"), "still"),
        Field(N_("Passed over"), "skipped"),
        Field(N_("Moved back"), "back"),
        Field(N_("Median days"), "median_days", "days", "median_low", "median_high"),
        Field(N_("Mean days of those that went on"), "mean_days_advanced", "days"),
    ),
    "funnel": (
        Field(N_("Reached"), "reached"),
        interval(N_("Of all deals"), "share"),
        Field(N_("Of the stage before"), "step", "share"),
        decided(N_("Still open here"), "open"),
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
        Field(N_("Target to date"), "to_date", "money"),
        Field(N_("Of target to date"), "pace", "ratio"),
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
    "win_curve": (
        Field(N_("Within days"), "within_days"),
        interval(N_("Won by then"), "share", "won"),
        Field(N_("Deals (n)"), "n"),
        decided(N_("Won"), "won"),
        decided(N_("Lost"), "lost"),
        Field(N_("Still open then"), "undecided"),
        Field(N_("Too young"), "too_young"),
    ),
    "sales": (
        interval(N_("Won amount"), "money"),
        Field(N_("Won deals (n)"), "n"),
        Field(N_("Without amount"), "without_amount"),
        Field(N_("Mean deal size"), "mean_amount", "money", "mean_low", "mean_high"),
    ),
    "discount": (
        interval(N_("Discount"), "fine_share"),
        Field(N_("Won deals with a list price (n)"), "n"),
        Field(N_("Given away"), "given_away", "money"),
        Field(N_("Sold above list price"), "above_list"),
        Field(N_("Without list price"), "without_list_price"),
    ),
    "customer_value": (
        interval(N_("Observed per customer"), "money"),
        Field(N_("Customers (n)"), "n"),
        Field(N_("In all"), "total", "money"),
        Field(N_("Months observed"), "months_observed", "number"),
        Field(N_("Bought again"), "repeat"),
        Field(N_("Of all that bought"), "repeat_share", "share", "repeat_low", "repeat_high"),
    ),
    "pipeline_created": (
        Field(N_("New deals (n)"), "n"),
        interval(N_("Amount"), "money"),
        Field(N_("Without amount"), "without_amount"),
        Field(N_("Amount today"), "amount_now", "money"),
    ),
    "velocity": (
        interval(N_("Amount per day"), "money"),
        Field(N_("Before"), "value_before", "money"),
        Field(N_("Change"), "change", "money"),
        Field(N_("From the number of open deals"), "from_open", "money"),
        Field(N_("From the win rate"), "from_win_rate", "money"),
        Field(N_("From the deal size"), "from_amount", "money"),
        Field(N_("From the time taken"), "from_cycle", "money"),
        Field(N_("Open deals (n)"), "n"),
    ),
    "stalled": (
        interval(N_("Standing still"), "share"),
        Field(N_("Open deals (n)"), "n"),
        Field(N_("By age in the stage"), "by_age"),
        Field(N_("By silence"), "by_silence"),
        Field(N_("Cannot tell"), "unknown"),
    ),
    "zombies": (
        interval(N_("Zombie deals"), "share"),
        Field(N_("Open deals (n)"), "n"),
        Field(N_("Zombies"), "zombies"),
        Field(N_("Overdue and quiet"), "overdue"),
        Field(N_("Older than any win"), "outlived"),
        Field(N_("Amount of zombies"), "amount", "money"),
        Field(N_("Open amount"), "open_amount", "money"),
        Field(N_("Cannot tell"), "unknown"),
    ),
    "missed_quotes": (
        interval(N_("Missed"), "share"),
        Field(N_("Deals due (n)"), "n"),
        Field(N_("Too late"), "late"),
        Field(N_("Never"), "never"),
        Field(N_("Stage passed over"), "passed_over"),
        Field(N_("Still in time"), "not_yet"),
        Field(N_("Cannot tell"), "unknown"),
    ),
    "forgotten_followups": (
        interval(N_("Forgotten"), "share"),
        Field(N_("Customers' contacts (n)"), "n"),
        Field(N_("Deals with one"), "deals"),
        Field(N_("Still in time"), "waiting"),
        Field(N_("Cannot tell"), "unknown"),
        Field(N_("Longest silence"), "longest_days", "days"),
    ),
    "overdue_next_steps": (
        interval(N_("Next step overdue"), "share"),
        Field(N_("Open deals (n)"), "n"),
        Field(N_("In future"), "in_future"),
        Field(N_("No next step"), "without_share", "share", "without_low", "without_high"),
    ),
    "activity_quality": (
        Field(N_("Two-way contacts per deal"), "value", "decimal", "low", "high"),
        Field(N_("Active deals (n)"), "n"),
        Field(N_("Meetings per deal"), "meetings", "decimal"),
        Field(N_("Demos per deal"), "demos", "decimal"),
        Field(N_("Without any contact"), "without_contact"),
        Field(N_("Median gap"), "median_gap_days", "days"),
        Field(N_("Next step set"), "next_step_share", "share", "next_step_low", "next_step_high"),
    ),
    "slips": (
        interval(N_("Pushed"), "share"),
        Field(N_("Deals with a date (n)"), "n"),
        Field(N_("Pushes per deal"), "mean_pushes", "decimal", "mean_low", "mean_high"),
        Field(N_("Median push"), "median_days", "days"),
        Field(N_("Into another quarter"), "slipped_share", "share", "slipped_low", "slipped_high"),
        Field(N_("Without a date"), "undated"),
    ),
    "pipeline_bridge": (
        Field(N_("Line"), "line", "line"),
        Field(N_("Amount"), "value", "money"),
        Field(N_("Deals (n)"), "n"),
        Field(N_("Without amount"), "without_amount"),
    ),
    "forecast_calls": (
        interval(N_("Off by"), "ratio"),
        Field(N_("Too high (+) or low (−)"), "bias", "ratio"),
        Field(N_("Calls (n)"), "n"),
        Field(N_("Above what came"), "too_high"),
        Field(N_("Forecast"), "called", "money"),
        Field(N_("Won"), "came", "money"),
    ),
    "coverage": (
        Field(N_("Coverage"), "value", "decimal"),
        Field(N_("Required"), "required", "decimal", "required_low", "required_high"),
        Field(N_("Open deals due (n)"), "n"),
        Field(N_("Open amount due"), "due_amount", "money"),
        Field(N_("Missing to the target"), "remaining", "money"),
        Field(N_("Due then, in past periods"), "past_n"),
        Field(N_("Of these won"), "past_won"),
    ),
    "workload": (
        Field(N_("Asked for / done"), "value", "decimal"),
        Field(N_("Open deals (n)"), "n"),
        Field(N_("Open amount"), "amount", "money"),
        Field(N_("Touches asked per week"), "asked_per_week", "decimal"),
        Field(N_("Own contacts per week"), "contacts_per_week", "decimal"),
        Field(N_("Sustained per week"), "sustained_per_week", "decimal"),
        Field(N_("Waiting for a touch"), "neglected_share", "share", "neglected_low", "neglected_high"),
        Field(N_("Standing still"), "stalled_share", "share", "stalled_low", "stalled_high"),
        Field(N_("No next step"), "without_next_step"),
        Field(N_("Signal"), "signal", "signal"),
    ),
}

SELDOM = ("contributing",)  # columns of a metric that most data do not have
KINDS = ("share", "ratio", "days", "hours", "money")  # units that are written in their own way
ENDINGS = {"_share": "share", "_days": "days", "_hours": "hours", "_amount": "money", "_on": "date"}


def fields_of(name: str, title: str, unit: str, columns: Sequence[str]) -> tuple[Field, ...]:
    """How a metric's columns are shown: as written above; for one of a company's own by their names and its unit.

    columns   those of its table, groups included: what stands left of `n` is a group
    """
    if name in FIELDS:
        known = tuple(f for f in FIELDS[name] if f.column not in SELDOM or f.column in columns)
        return _with_achieved(known, columns) if name == "quota_attainment" else known
    left = list(columns).index("n")
    further = [c for c in columns[left + 1 :] if c not in ("value", "low", "high")]
    value = interval(title, unit if unit in KINDS else "number")
    return (value, Field("n", "n"), *(Field(c.replace("_", " "), c, _kind(c)) for c in further))


def _with_achieved(fields: Sequence[Field], columns: Sequence[str]) -> tuple[Field, ...]:
    """The fields of an attainment, where something else than money won is held against the target."""
    of = next((c for c in ACHIEVED if c in columns), None)
    if of is None:
        return tuple(fields)
    label, kind = ACHIEVED[of]
    swapped = [Field(label, of, kind) if f.column == "won_amount" else f for f in fields]
    return tuple(Field(f.label, f.column, kind, f.low, f.high) if f.kind == "money" else f for f in swapped)


def _kind(column: str) -> str:
    return next((kind for ending, kind in ENDINGS.items() if column.endswith(ending)), "number")


SIGNALS = {
    "above": N_("above expectation"),
    "below": N_("below expectation"),
    "none": N_("no signal"),
    "few": N_("too few to tell"),
    "too much": N_("too much"),
}

DEVIATION_WORDS = {
    "skipped": N_("passed over"),
    "enter": N_("no entry evidence"),
    "exit": N_("no exit evidence"),
    "touch": N_("silence too long"),
    "stay": N_("stay too long"),
    "next_step": N_("no next step"),
}

# words that stand for themselves in a result, by the kind of their column
WORDS = {"signal": SIGNALS, "line": LINES}

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
    "versions-left-out": N_("Files of earlier versions, left out: another file tells the same records as they are now"),
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
