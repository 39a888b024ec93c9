"""Finished tables become pictures; nothing here filters, divides or sorts."""

from salescoach.charts.coaching import plot_expected, plot_hours, plot_visible_changes
from salescoach.charts.drawing import Drawing, new_axes, style, to_drawing
from salescoach.charts.drivers import plot_drivers
from salescoach.charts.forecast import plot_calibration, plot_fan
from salescoach.charts.incidence import plot_incidence
from salescoach.charts.palette import tone_colour
from salescoach.charts.pareto import plot_pareto
from salescoach.charts.plots import (
    plot_bridge,
    plot_curve,
    plot_funnel,
    plot_intervals,
    plot_pipeline,
    plot_stage_flow,
    plot_targets,
)
from salescoach.charts.rates import plot_rate_funnel
from salescoach.charts.timelines import plot_timelines

__all__ = [
    "Drawing",
    "new_axes",
    "plot_bridge",
    "plot_calibration",
    "plot_curve",
    "plot_drivers",
    "plot_expected",
    "plot_fan",
    "plot_funnel",
    "plot_hours",
    "plot_incidence",
    "plot_intervals",
    "plot_pareto",
    "plot_pipeline",
    "plot_rate_funnel",
    "plot_stage_flow",
    "plot_targets",
    "plot_timelines",
    "plot_visible_changes",
    "style",
    "to_drawing",
    "tone_colour",
]
