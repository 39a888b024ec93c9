"""Metrics: a book in, a table out, always with n and an interval; no plotting, no clock, no files."""

from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.cycle import sales_cycle
from salescoach.metrics.estimate import Curve, count_interval, kaplan_meier, mean_interval, sum_interval, wilson
from salescoach.metrics.flow import funnel, mean_days_in, pipeline, stage_flow, visit_counts
from salescoach.metrics.laws import check_numbers
from salescoach.metrics.leads import lead_conversion, response_time
from salescoach.metrics.outcomes import decisions, new_customers, win_rate
from salescoach.metrics.quota import currency_of, quota_attainment
from salescoach.metrics.registry import METRICS, Measure, Metric, counted_rows, find_metric, measure
from salescoach.metrics.visits import passages, visits

__all__ = [
    "METRICS",
    "Curve",
    "Measure",
    "Metric",
    "add_up",
    "check_numbers",
    "count_interval",
    "count_table",
    "counted_rows",
    "currency_of",
    "decisions",
    "find_metric",
    "funnel",
    "kaplan_meier",
    "lead_conversion",
    "mean_days_in",
    "mean_interval",
    "measure",
    "new_customers",
    "passages",
    "pipeline",
    "quota_attainment",
    "response_time",
    "sales_cycle",
    "stage_flow",
    "sum_interval",
    "visit_counts",
    "visits",
    "wilson",
    "win_rate",
]
