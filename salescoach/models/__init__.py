"""Fits: what lies behind the counts, with how sure one may be."""

from salescoach.models.fit import Advice, Fit

__all__ = ["Advice", "Fit"]
