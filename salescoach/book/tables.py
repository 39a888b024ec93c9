"""The tables of a deal book: their columns, what each column holds, and which are mandatory.

Column roles
    id       text, compared exactly                    `deal_id`
    text     text, blanks are null                     `lost_reason`
    stage    a stage key of the process                `stage`
    outcome  open, won, lost or void
    instant  a UTC instant; a date-only source is local midnight
    date     a calendar date in the book's time zone (stored as a naive midnight)
    money    exact amount: stored as `<name>_minor` (Int64 minor units) and `<name>` (float)
    number   a float
    share    0..1
    flag     true or false
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """One table of the book.

    columns    column -> role
    on_the_way columns that a source may give and the load uses up, with their roles
    """

    name: str
    columns: dict[str, str]
    mandatory: tuple[str, ...]
    key: tuple[str, ...]
    unlocks: str
    sort: tuple[str, ...] = field(default=())
    on_the_way: dict[str, str] = field(default_factory=dict)

    @property
    def readable(self) -> dict[str, str]:
        """Every column that a source may map, with its role."""
        return {**self.columns, **self.on_the_way}


DEALS = Table(
    "deals",
    {
        "deal_id": "id",
        "stage": "stage",
        "rep_id": "id",
        "created_at": "instant",
        "closed_at": "instant",
        "amount": "money",
        "outcome": "outcome",
        "expected_close_on": "date",
        "currency": "text",
        "pipeline": "text",
        "account_id": "id",
        "lead_id": "id",
        "name": "text",
        "lead_source": "text",
        "deal_type": "text",
        "segment": "text",
        "region": "text",
        "product": "text",
        "list_price": "money",
        "probability": "share",
        "forecast_category": "text",
        "won_reason": "text",
        "lost_reason": "text",
        "competitor": "text",
        "lost_stage": "stage",
        "stage_changed_at": "instant",
        "updated_at": "instant",
    },
    mandatory=("deal_id", "stage"),
    key=("deal_id",),
    unlocks="win rate, sales cycle, pipeline, sales per rep",
    sort=("rep_id", "deal_id"),
    on_the_way={"snapshot_at": "instant"},
)

STAGE_HISTORY = Table(
    "stage_history",
    {"deal_id": "id", "entered_at": "instant", "stage": "stage", "rep_id": "id", "amount": "money"},
    mandatory=("deal_id", "entered_at", "stage"),
    key=("deal_id", "entered_at", "stage"),
    unlocks="funnel, stage conversion and time, bottleneck",
    on_the_way={"from_stage": "stage"},
)

CHANGES = Table(
    "changes",
    {"deal_id": "id", "at": "instant", "field": "text", "old": "text", "new": "text"},
    mandatory=("deal_id", "at", "field"),
    key=("deal_id", "at", "field"),
    unlocks="credit on transfer; owner, amount and expected close on a past day",
    sort=("deal_id", "at", "field"),
)

LEADS = Table(
    "leads",
    {
        "lead_id": "id",
        "created_at": "instant",
        "rep_id": "id",
        "lead_source": "text",
        "first_response_at": "instant",
        "converted_at": "instant",
        "deal_id": "id",
        "account_id": "id",
        "status": "text",
        "segment": "text",
        "region": "text",
    },
    mandatory=("lead_id", "created_at"),
    key=("lead_id",),
    unlocks="lead conversion, response time",
    sort=("rep_id", "lead_id"),
)

ACTIVITIES = Table(
    "activities",
    {
        "activity_id": "id",
        "rep_id": "id",
        "at": "instant",
        "activity_type": "text",
        "deal_id": "id",
        "lead_id": "id",
        "direction": "text",
        "minutes": "number",
        "due_on": "date",
        "done": "flag",
    },
    mandatory=("rep_id", "at", "activity_type"),
    key=("activity_id",),
    unlocks="first contact, first answer to a lead",
    sort=("rep_id", "at", "activity_id"),
)

REPS = Table(
    "reps",
    {
        "rep_id": "id",
        "name": "text",
        "team": "text",
        "manager": "text",
        "role": "text",
        "start_on": "date",
        "end_on": "date",
        "valid_from": "date",
        "valid_to": "date",
        "ramp_days": "number",
        "email": "text",
    },
    mandatory=("rep_id",),
    key=("rep_id", "valid_from"),
    unlocks="names, teams, managers, reps without a deal",
    sort=("rep_id", "valid_from"),
)

TARGETS = Table(
    "targets",
    {
        "rep_id": "id",
        "team": "text",
        "metric": "text",
        "start_on": "date",
        "end_on": "date",
        "value": "number",
        "currency": "text",
    },
    mandatory=("metric", "start_on", "end_on", "value"),
    key=("rep_id", "team", "metric", "start_on", "end_on"),
    unlocks="quota attainment",
    sort=("rep_id", "team", "metric", "start_on"),
)

ACCOUNTS = Table(
    "accounts",
    {
        "account_id": "id",
        "name": "text",
        "industry": "text",
        "size": "text",
        "region": "text",
        "rep_id": "id",
        "created_at": "instant",
    },
    mandatory=("account_id",),
    key=("account_id",),
    unlocks="nothing yet: customers are counted from the deals",
    sort=("account_id",),
)

PRODUCTS = Table(
    "products",
    {"product": "id", "family": "text", "list_price": "money", "currency": "text"},
    mandatory=("product",),
    key=("product",),
    unlocks="nothing yet: no report asks for list prices",
    sort=("product",),
)

QUOTES = Table(
    "quotes",
    {
        "quote_id": "id",
        "deal_id": "id",
        "at": "instant",
        "rep_id": "id",
        "amount": "money",
        "currency": "text",
        "status": "text",
    },
    mandatory=("deal_id", "at"),
    key=("quote_id",),
    unlocks="missed quotes",
    sort=("deal_id", "at", "quote_id"),
)

REVENUE = Table(
    "revenue",
    {
        "revenue_id": "id",
        "account_id": "id",
        "booked_on": "date",
        "amount": "money",
        "margin": "money",
        "currency": "text",
        "deal_id": "id",
    },
    mandatory=("account_id", "booked_on", "amount"),
    key=("revenue_id",),
    unlocks="customer value from what was invoiced",
    sort=("account_id", "booked_on", "revenue_id"),
)

SPLITS = Table(
    "splits",
    {"deal_id": "id", "rep_id": "id", "share": "share", "split_type": "text"},
    mandatory=("deal_id", "rep_id", "share"),
    key=("deal_id", "rep_id", "split_type"),
    unlocks="credit shared between reps",
    sort=("deal_id", "rep_id"),
)

RATES = Table(
    "rates",
    {"currency": "text", "start_on": "date", "rate": "number", "base_currency": "text"},
    mandatory=("currency", "start_on", "rate"),
    key=("currency", "base_currency", "start_on"),
    unlocks="sums over several currencies",
    sort=("currency", "start_on"),
)

LEAVE = Table(
    "leave",
    {"rep_id": "id", "start_on": "date", "end_on": "date", "reason": "text"},
    mandatory=("rep_id", "start_on", "end_on"),
    key=("rep_id", "start_on"),
    unlocks="targets without the days on leave",
    sort=("rep_id", "start_on"),
)

FORECAST_CALLS = Table(
    "forecast_calls",
    {
        "at": "instant",
        "rep_id": "id",
        "team": "text",
        "called_by": "text",
        "start_on": "date",
        "end_on": "date",
        "amount": "money",
        "currency": "text",
    },
    mandatory=("at", "start_on", "end_on", "amount"),
    key=("rep_id", "team", "called_by", "start_on", "end_on", "at"),
    unlocks="the reps' and managers' own forecasts, beside ours",
    sort=("rep_id", "team", "start_on", "at"),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        DEALS,
        STAGE_HISTORY,
        CHANGES,
        LEADS,
        ACTIVITIES,
        REPS,
        TARGETS,
        ACCOUNTS,
        PRODUCTS,
        QUOTES,
        REVENUE,
        SPLITS,
        RATES,
        LEAVE,
        FORECAST_CALLS,
    )
}

OUTCOMES = ("open", "won", "lost", "void")
EVIDENCE = ("observed", "inferred", "assumed")

# child table -> (its column, parent table): keys that do not match are reported, never joined away
REFERENCES: tuple[tuple[str, str, str], ...] = (
    ("stage_history", "deal_id", "deals"),
    ("changes", "deal_id", "deals"),
    ("leads", "deal_id", "deals"),
    ("activities", "deal_id", "deals"),
    ("activities", "lead_id", "leads"),
    ("deals", "lead_id", "leads"),
    ("deals", "rep_id", "reps"),
    ("deals", "account_id", "accounts"),
    ("deals", "product", "products"),
    ("quotes", "deal_id", "deals"),
    ("quotes", "rep_id", "reps"),
    ("splits", "deal_id", "deals"),
    ("splits", "rep_id", "reps"),
    ("revenue", "account_id", "accounts"),
    ("revenue", "deal_id", "deals"),
    ("leave", "rep_id", "reps"),
    ("targets", "rep_id", "reps"),
    ("forecast_calls", "rep_id", "reps"),
)
