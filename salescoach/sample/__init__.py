"""Simulated deal books whose truth is known."""

from salescoach.sample.dirt import plant_dirt
from salescoach.sample.simulate import Sample, simulate
from salescoach.sample.truth import Truth
from salescoach.sample.write import write_demo

__all__ = ["Sample", "Truth", "plant_dirt", "simulate", "write_demo"]
