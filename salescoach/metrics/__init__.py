"""Metrics: a book in, a table out, always with n and an interval; no plotting, no clock, no files."""

from salescoach.metrics.activity import activity_quality
from salescoach.metrics.as_reported import AsReported, as_reported, restated
from salescoach.metrics.bounds import ten_edits, trust_bounds
from salescoach.metrics.bridge import pipeline_bridge
from salescoach.metrics.calls import forecast_calls, judged_calls
from salescoach.metrics.conformance import checks, conformance, deviating_deals
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.coverage import coverage
from salescoach.metrics.created import pipeline_created
from salescoach.metrics.credibility import (
    default_choices,
    doubted_deals,
    doubted_reasons,
    reason_checks,
    recorded_reasons,
)
from salescoach.metrics.customers import customer_value
from salescoach.metrics.cycle import sales_cycle
from salescoach.metrics.discount import discount
from salescoach.metrics.estimate import (
    Curve,
    Incidence,
    aalen_johansen,
    count_interval,
    kaplan_meier,
    mean_interval,
    ratio_interval,
    sum_interval,
    wilson,
)
from salescoach.metrics.flow import funnel, mean_days_in, pipeline, stage_flow, visit_counts
from salescoach.metrics.lapses import forgotten_followups, missed_quotes, overdue_next_steps
from salescoach.metrics.laws import check_numbers
from salescoach.metrics.leads import lead_conversion, response_time
from salescoach.metrics.leakage import audit as leakage_audit
from salescoach.metrics.leakage import safe_columns
from salescoach.metrics.lexis import lexis_counts
from salescoach.metrics.losses import loss_reasons
from salescoach.metrics.outcomes import decisions, loss_kinds, new_customers, win_rate
from salescoach.metrics.own import count_records, load_own
from salescoach.metrics.quota import currency_of, quota_attainment
from salescoach.metrics.reconcile import definitions as reconciling_definitions
from salescoach.metrics.reconcile import differing_deals
from salescoach.metrics.registry import METRICS, Measure, Metric, counted_rows, find_metric, measure, metric
from salescoach.metrics.sales import sales
from salescoach.metrics.since import change_counts, changes_since
from salescoach.metrics.slips import slips
from salescoach.metrics.stalled import stalled, zombie_deals, zombies
from salescoach.metrics.support import help_list, like_for_like_everywhere, praise_list
from salescoach.metrics.timeline import timeline
from salescoach.metrics.twins import first_differences, twins, worth_a_look
from salescoach.metrics.typical_path import path_of_others, typical_path
from salescoach.metrics.velocity import velocity
from salescoach.metrics.visits import passages, visits
from salescoach.metrics.win_curve import win_curve
from salescoach.metrics.workload import workload

__all__ = [
    "METRICS",
    "AsReported",
    "Curve",
    "Incidence",
    "Measure",
    "Metric",
    "aalen_johansen",
    "activity_quality",
    "add_up",
    "as_reported",
    "change_counts",
    "changes_since",
    "check_numbers",
    "checks",
    "conformance",
    "count_interval",
    "count_records",
    "count_table",
    "counted_rows",
    "coverage",
    "currency_of",
    "customer_value",
    "decisions",
    "default_choices",
    "deviating_deals",
    "differing_deals",
    "discount",
    "doubted_deals",
    "doubted_reasons",
    "find_metric",
    "first_differences",
    "forecast_calls",
    "forgotten_followups",
    "funnel",
    "help_list",
    "judged_calls",
    "kaplan_meier",
    "lead_conversion",
    "leakage_audit",
    "lexis_counts",
    "like_for_like_everywhere",
    "load_own",
    "loss_kinds",
    "loss_reasons",
    "mean_days_in",
    "mean_interval",
    "measure",
    "metric",
    "missed_quotes",
    "new_customers",
    "overdue_next_steps",
    "passages",
    "path_of_others",
    "pipeline",
    "pipeline_bridge",
    "pipeline_created",
    "praise_list",
    "quota_attainment",
    "ratio_interval",
    "reason_checks",
    "reconciling_definitions",
    "recorded_reasons",
    "response_time",
    "restated",
    "safe_columns",
    "sales",
    "sales_cycle",
    "slips",
    "stage_flow",
    "stalled",
    "sum_interval",
    "ten_edits",
    "timeline",
    "trust_bounds",
    "twins",
    "typical_path",
    "velocity",
    "visit_counts",
    "visits",
    "wilson",
    "win_curve",
    "win_rate",
    "workload",
    "worth_a_look",
    "zombie_deals",
    "zombies",
]
