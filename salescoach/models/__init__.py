"""Fits: what lies behind the counts, with how sure one may be."""

from salescoach.models.bottleneck import Bottleneck, find_bottleneck, stopped_deals
from salescoach.models.calibrate import Calibration, calibrate
from salescoach.models.coaching_impact import CoachingImpact, coaching_impact
from salescoach.models.coaching_power import smallest_visible
from salescoach.models.conformance import DeviationFit, fit_deviations
from salescoach.models.drivers import driver_rows, fit_drivers, fit_stages
from salescoach.models.fit import Advice, Fit
from salescoach.models.free_text import Grouping, TextGroups, fit_free_text, free_text_columns, group_texts
from salescoach.models.gap import GapFit, fit_gap
from salescoach.models.gap_peers import gap_peers
from salescoach.models.grouped import DriverFit, fit_grouped
from salescoach.models.incidence import Shares, competing, survival
from salescoach.models.landmark import fit_activities, landmark_units
from salescoach.models.limits import count_limits, funnel_limits, overdispersion, share_limit
from salescoach.models.mix import against_mix
from salescoach.models.pace import PaceFit, log_rank, proportional_hazards, time_regression
from salescoach.models.rates import Shrunk, shrink_rates
from salescoach.models.reasons import Pareto, ReasonDifferences, fit_pareto, fit_reason_differences
from salescoach.models.rep_rates import RepRates, rated_deals, rep_rates
from salescoach.models.shapley import shapley, shapley_of_product
from salescoach.models.time import TimeToDecision, fit_stage_times, fit_time_to_decision
from salescoach.models.units import stage_units, won_units
from salescoach.models.what_if import Factors, WhatIf, factors_of, what_if, what_if_table, what_if_together

__all__ = [
    "Advice",
    "Bottleneck",
    "Calibration",
    "CoachingImpact",
    "DeviationFit",
    "DriverFit",
    "Factors",
    "Fit",
    "GapFit",
    "Grouping",
    "PaceFit",
    "Pareto",
    "ReasonDifferences",
    "RepRates",
    "Shares",
    "Shrunk",
    "TextGroups",
    "TimeToDecision",
    "WhatIf",
    "against_mix",
    "calibrate",
    "coaching_impact",
    "competing",
    "count_limits",
    "driver_rows",
    "factors_of",
    "find_bottleneck",
    "fit_activities",
    "fit_deviations",
    "fit_drivers",
    "fit_free_text",
    "fit_gap",
    "fit_grouped",
    "fit_pareto",
    "fit_reason_differences",
    "fit_stage_times",
    "fit_stages",
    "fit_time_to_decision",
    "free_text_columns",
    "funnel_limits",
    "gap_peers",
    "group_texts",
    "landmark_units",
    "log_rank",
    "overdispersion",
    "proportional_hazards",
    "rated_deals",
    "rep_rates",
    "shapley",
    "shapley_of_product",
    "share_limit",
    "shrink_rates",
    "smallest_visible",
    "stage_units",
    "stopped_deals",
    "survival",
    "time_regression",
    "what_if",
    "what_if_table",
    "what_if_together",
    "won_units",
]
