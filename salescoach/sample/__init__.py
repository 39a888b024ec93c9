"""Simulated deal books whose truth is known."""

from salescoach.sample.dirt import plant_dirt
from salescoach.sample.rates import DEMO_DIRT, NO_DIRT, DirtRates
from salescoach.sample.simulate import Sample, simulate
from salescoach.sample.truth import DEMO_TRUTH, Truth
from salescoach.sample.write import write_demo

__all__ = [
    "DEMO_DIRT",
    "DEMO_TRUTH",
    "NO_DIRT",
    "DirtRates",
    "Sample",
    "Truth",
    "plant_dirt",
    "simulate",
    "write_demo",
]
