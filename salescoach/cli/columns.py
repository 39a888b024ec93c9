"""What the columns of a printed table are called where the reader's language is not that of their names."""

from __future__ import annotations

import pandas as pd

from salescoach.cli.language import language, say
from salescoach.reports.fields import FIELDS, GROUP_LABELS, TEXT_GROUPS
from salescoach.wording import N_

ENDS = {
    "low": N_("{figure}, from"),
    "high": N_("{figure}, to"),
    "then": N_("{figure}, then"),
    "now": N_("{figure}, now"),
}
ALL = N_("(all)")
LABELS = {
    "above_list": N_("Sold above list price"),
    "account_id": N_("Customer id"),
    "activity_type": N_("Kind of activity"),
    "age_days": N_("Days in the stage"),
    "amount": N_("Amount"),
    "amounts": N_("Amounts"),
    "answered": N_("Answered"),
    "as_good": N_("As good"),
    "at": N_("When"),
    "bias": N_("Bias"),
    "broken": N_("Not kept"),
    "cause": N_("Cause"),
    "chance": N_("Chance of a win"),
    "check": N_("Check"),
    "chosen": N_("Chosen"),
    "closed_at": N_("Closed"),
    "closed_on": N_("Closed"),
    "column": N_("Column"),
    "converted": N_("Became a deal"),
    "count": N_("Number"),
    "covered_50": N_("In the 50 % range"),
    "covered_80": N_("In the 80 % range"),
    "created_at": N_("Created"),
    "created_on": N_("Created"),
    "currency": N_("Currency"),
    "days": N_("Days"),
    "deal_id": N_("Deal id"),
    "deal_type": N_("Deal type"),
    "decided": N_("Decided"),
    "deeper": N_("Went on"),
    "defect": N_("Defect"),
    "defects": N_("Defects"),
    "deals": N_("Deals"),
    "deals_told": N_("Deals with a contact"),
    "detail_contacts": N_("Contacts in detail"),
    "difference": N_("Difference"),
    "ended_on": N_("Ended"),
    "entered_on": N_("Entered"),
    "expected": N_("Expected amount"),
    "expected_close_on": N_("Expected close"),
    "fate": N_("How it ended"),
    "field": N_("Field"),
    "fix": N_("What to correct"),
    "forgotten": N_("Forgotten"),
    "high": N_("To"),
    "lead_id": N_("Lead id"),
    "level": N_("Level"),
    "limit_hours": N_("Limit, hours"),
    "line": N_("Line"),
    "list_amount": N_("At list price"),
    "list_price": N_("List price"),
    "lost": N_("Lost"),
    "lost_amount": N_("Lost amount"),
    "lost_no_decision": N_("Lost without a decision"),
    "lost_other": N_("Lost otherwise"),
    "lost_stage": N_("Lost from stage"),
    "lost_to_competitor": N_("Lost to a competitor"),
    "low": N_("From"),
    "lowered": N_("Lowered"),
    "manager_call": N_("The manager's own forecast"),
    "measured": N_("By what was invoiced"),
    "metric": N_("Figure"),
    "missed": N_("Missed"),
    "n": N_("n"),
    "n_open": N_("Open (n)"),
    "n_origins": N_("Past days"),
    "n_timed": N_("Timed (n)"),
    "name": N_("Name"),
    "narrows": N_("Narrows by"),
    "neglected": N_("Neglected"),
    "new": N_("New"),
    "now": N_("Now"),
    "old": N_("Before"),
    "open": N_("Open deals"),
    "outcome": N_("Outcome"),
    "p25": N_("A quarter within"),
    "p75": N_("Three quarters within"),
    "p75_days": N_("Three quarters within (days)"),
    "p90": N_("9 in 10 within"),
    "probability": N_("Probability"),
    "pushed": N_("Pushed"),
    "pushes": N_("Pushes"),
    "quiet_since": N_("Quiet since"),
    "raised": N_("Raised"),
    "rep_call": N_("The rep's own forecast"),
    "rep_id": N_("Rep id"),
    "returning": N_("Returned"),
    "sentence": N_("In words"),
    "silence_limit_days": N_("Silence allowed, days"),
    "similar_n": N_("Similar deals"),
    "similar_won": N_("Similar deals won"),
    "skill": N_("Skill"),
    "slipped": N_("Into another quarter (n)"),
    "stalled": N_("Standing still (n)"),
    "still": N_("Still here"),
    "stuck": N_("Stuck"),
    "table": N_("Table"),
    "target": N_("Target"),
    "then": N_("Then"),
    "to_reach": N_("Chance to reach the target"),
    "updated_at": N_("Changed"),
    "value": N_("Value"),
    "value_by_amount": N_("By amount"),
    "value_by_amount_without_largest": N_("By amount, without the largest deal"),
    "void": N_("Void"),
    "wape": N_("Mean error"),
    "wins": N_("Wins"),
    "within": N_("In time"),
    "without_amount": N_("Without amount"),
    "won": N_("Won"),
    "won_amount": N_("Won amount"),
    "won_reason": N_("Reason won"),
    "zombies": N_("Zombies"),
}


def as_printed(table: pd.DataFrame, metric: str = "") -> pd.DataFrame:
    """A table with its columns named in the reader's language, as on the pages of a metric; unknown ones stay.

    In English, as in every file and in JSON, columns have the names that the code and the documents know.
    """
    if language() == "en":
        return table
    labels = {**LABELS, **GROUP_LABELS}
    named = {column: say(text) for column, text in labels.items()}
    for field in FIELDS.get(metric, ()):
        named[field.column] = say(field.label)
        for bound, end in ((field.low, "low"), (field.high, "high")):
            if bound is not None:
                named[bound] = say(ENDS[end], figure=say(field.label))
    groups = {text: say(text) for text in (ALL, *TEXT_GROUPS)}
    said = {True: say(N_("yes")), False: say(N_("no"))}
    shown = table.copy(deep=False)
    for column in table:
        if table[column].dtype == "str":
            shown[column] = table[column].replace(groups)
        elif table[column].dtype == "bool":
            shown[column] = table[column].map(said)
    return shown.rename(columns={c: named.get(str(c), _ending(str(c), named)) for c in table})


def _ending(column: str, named: dict[str, str]) -> str:
    """An end of an interval, or one of two days, named after its figure; any other column, as it is."""
    figure, _, end = column.rpartition("_")
    for known in (figure, f"{figure}_share"):
        if end in ENDS and known in named:
            return say(ENDS[end], figure=named[known])
    return column
