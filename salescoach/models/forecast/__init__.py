"""The forecast: methods, their past, and what they say together."""

from salescoach.models.forecast.fit import fit_forecast, period_ahead
from salescoach.models.forecast.goal import Target, targets_of
from salescoach.models.forecast.peers import forecast_of_rep, forecast_peers
from salescoach.models.forecast.result import LEVELS, METHODS, Forecast, amount_at, chance_to_reach

__all__ = [
    "LEVELS",
    "METHODS",
    "Forecast",
    "Target",
    "amount_at",
    "chance_to_reach",
    "fit_forecast",
    "forecast_of_rep",
    "forecast_peers",
    "period_ahead",
    "targets_of",
]
