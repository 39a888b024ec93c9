"""Finished tables become pictures; nothing here filters, divides or sorts."""

from salescoach.charts.drawing import Drawing, new_axes, style, to_drawing
from salescoach.charts.plots import (
    plot_bridge,
    plot_curve,
    plot_funnel,
    plot_intervals,
    plot_pipeline,
    plot_stage_flow,
    plot_targets,
)

__all__ = [
    "Drawing",
    "new_axes",
    "plot_bridge",
    "plot_curve",
    "plot_funnel",
    "plot_intervals",
    "plot_pipeline",
    "plot_stage_flow",
    "plot_targets",
    "style",
    "to_drawing",
]
