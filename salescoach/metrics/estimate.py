"""Intervals and survival curves as exact functions of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Z95 = 1.959963984540054
TIE = 1e-12  # sums of shares are compared with this slack


def wilson(k: Any, n: Any, z: float = Z95) -> tuple[Floats, Floats, Floats]:
    """Share k/n with its Wilson interval (Wilson 1927; Newcombe 1998). Null where n is 0.

    centre = (k + z²/2) / (n + z²);  half = z √(k (n−k) / n + z²/4) / (n + z²)
    """
    k, n = np.asarray(k, float), np.asarray(n, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = k / n
        centre = (k + z * z / 2) / (n + z * z)
        half = z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
        low, high = np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)
    none = n == 0
    return tuple(np.where(none, np.nan, part) for part in (share, low, high))  # type: ignore[return-value]


def count_interval(n: Any, z: float = Z95) -> tuple[Floats, Floats]:
    """How far a count would vary by chance: Byar's approximation to the Poisson interval (Breslow & Day 1987)."""
    n = np.asarray(n, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(n > 0, n * (1 - 1 / (9 * n) - z / (3 * np.sqrt(n))) ** 3, 0.0)
    up = n + 1
    return low, up * (1 - 1 / (9 * up) + z / (3 * np.sqrt(up))) ** 3


def sum_interval(total: Any, squares: Any, z: float = Z95) -> tuple[Floats, Floats]:
    """How far a sum over randomly arriving deals would vary by chance: compound Poisson, variance = Σ amount².

    It is the limit of a bootstrap over deals with Poisson weights, so no draws are needed. The interval ends at 0,
    except where the sum itself is negative (refunds).
    """
    total, squares = np.asarray(total, float), np.asarray(squares, float)
    half = z * np.sqrt(squares)
    return _not_below_zero(total, total - half), total + half


def _not_below_zero(value: Floats, low: Floats) -> Floats:
    """A lower limit that ends at 0 where the value itself does."""
    return np.where(value < 0, low, np.maximum(low, 0.0))


def mean_interval(total: Any, squares: Any, n: Any, z: float = Z95) -> tuple[Floats, Floats, Floats]:
    """Mean with its normal interval, from n, Σx and Σx². Null where n is 0; no interval where n is 1.

    Times and amounts are averaged here, so the interval ends at 0, except where the mean itself is negative.
    """
    total, squares, n = (np.asarray(v, float) for v in (total, squares, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        half = z * np.sqrt(np.maximum(squares / n - mean * mean, 0) / (n - 1))
    half = np.where(n > 1, half, np.nan)
    return np.where(n > 0, mean, np.nan), _not_below_zero(mean, mean - half), mean + half


def ratio_interval(
    over: Any, under: Any, over2: Any, cross: Any, under2: Any, n: Any, z: float = Z95
) -> tuple[Floats, Floats, Floats]:
    """A ratio of two sums Σy / Σx with its interval, from Σy, Σx, Σy², Σxy, Σx² over n units.

    variance = n / (n - 1) · Σ (y - ratio · x)² / (Σx)², by linearisation (Cochran 1977, Sampling Techniques, §6.4).
    Null where Σx is 0; no interval where n is 1.
    """
    over, under, over2, cross, under2, n = (np.asarray(v, float) for v in (over, under, over2, cross, under2, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(under != 0, over / under, np.nan)
        spread = np.maximum(over2 - 2 * ratio * cross + ratio * ratio * under2, 0)
        half = z * np.sqrt(spread * n / (n - 1)) / np.abs(under)
    half = np.where(n > 1, half, np.nan)
    return ratio, ratio - half, ratio + half


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier curve at its event times.

    time, survival, se    se by Greenwood
    at_risk, events       counts at each event time
    n                     subjects that entered
    """

    time: Floats
    survival: Floats
    se: Floats
    at_risk: Floats
    events: Floats
    n: int

    def quantile(self, p: float) -> tuple[float, float, float]:
        """Time by which the share p has ended, with its 95 % interval (Brookmeyer-Crowley, log-log). NaN = not reached.

        The limits are event times. Where n is large and times are coarse, the curve may pass the whole band in one
        step: then the interval is narrower than that step, and both limits are the time itself.
        """
        beyond = np.flatnonzero(self.survival < 1 - p - TIE)
        value = float(self.time[beyond[0]]) if len(beyond) else np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(self.survival)
            distance = (np.log(-log) - np.log(-np.log(1 - p))) * -(self.survival * log) / self.se
        inside = np.flatnonzero(np.abs(distance) <= Z95)
        if not len(inside):
            one_step = len(beyond) > 0 and bool(np.isfinite(distance[beyond[0]]))
            return (value, value, value) if one_step else (value, np.nan, np.nan)
        open_end = inside[-1] == len(self.time) - 1
        return value, float(self.time[inside[0]]), np.nan if open_end else float(self.time[inside[-1] + 1])

    def at(self, time: float) -> tuple[float, float]:
        """Survival and its standard error at one time."""
        index = int(np.searchsorted(self.time, time, side="right")) - 1
        return (1.0, 0.0) if index < 0 else (float(self.survival[index]), float(self.se[index]))


def kaplan_meier(time: Any, events: Any, censored: Any, late_time: Any = (), late: Any = ()) -> Curve:
    """Kaplan-Meier from counts by time; entries at time 0, except `late` ones that came under observation at
    `late_time`.

    time, events, censored    distinct times with how many ended and how many were last seen there
    An event precedes a censoring at the same time. A late entrant is at risk after its entry time.
    """
    time, events, censored = np.asarray(time, float), np.asarray(events, float), np.asarray(censored, float)
    order = np.argsort(time)
    time, events, censored = time[order], events[order], censored[order]
    late_time, late = np.asarray(late_time, float), np.asarray(late, float)
    leaving = events + censored
    total = leaving.sum()
    gone_before = np.cumsum(leaving) - leaving
    not_yet = (late[None, :] * (late_time[None, :] >= time[:, None])).sum(axis=1) if len(late) else 0.0
    at_risk = total - gone_before - not_yet
    seen = (events > 0) & (at_risk > 0)
    time, events, at_risk = time[seen], events[seen], at_risk[seen]
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        se = np.where(survival > 0, survival * np.sqrt(greenwood), np.nan)
    return Curve(time, survival, se, at_risk, events, int(total))


@dataclass(frozen=True)
class Incidence:
    """An Aalen-Johansen curve: the share that has come to one of two ends by each time, the other end competing.

    time                        every time at which anybody ended or was last seen, ascending
    events, others, censored    how many came to the end in question, came to the other, were last seen, at each time
    share, survival             share that came to the end in question, and that came to none, right after each time
    """

    time: Floats
    events: Floats
    others: Floats
    censored: Floats
    share: Floats
    survival: Floats

    def within(self, time: float) -> tuple[float, float, float]:
        """The share by one time, with its 95 % interval.

        Null where nobody was followed that long, unless all came to an end before. Interval: log(-log) of the share
        (Choudhury 2002, Statistics in Medicine 21) with the variance of `_variance`; a share of exactly 0 or 1 has
        none, so it takes Wilson's for those whose state at that time is known.
        """
        if not len(self.time) or (time > self.time[-1] and self.survival[-1] > TIE):
            return np.nan, np.nan, np.nan
        last = int(np.searchsorted(self.time, time, side="right"))
        value = float(self.share[last - 1]) if last else 0.0
        if TIE < value < 1 - TIE:
            log = np.log(value)
            power = np.exp(Z95 * np.sqrt(self._variance(last)) / (value * -log))
            return value, float(value**power), float(value ** (1 / power))
        known = self.known(time)
        _, low, high = wilson(round(value) * known, known)
        return value, float(low), float(high)

    def known(self, time: float) -> int:
        """How many had ended by then or were followed at least so long."""
        return int((self.events + self.others + self.censored).sum() - self.censored[self.time < time].sum())

    def _variance(self, last: int) -> float:
        """Of the share after the first `last` times (Dinse & Larson 1986; Marubini & Valsecchi 1995, ch. 10).

        Without censored units it is share · (1 - share) / n.
        """
        leaving = self.events + self.others + self.censored
        at_risk = (leaving.sum() - np.cumsum(leaving) + leaving)[:last]
        won, ended = self.events[:last] / at_risk, (self.events + self.others)[:last] / at_risk
        before = np.r_[1.0, self.survival[: last - 1]]
        after = self.survival[:last]
        still = self.share[last - 1] - self.share[:last]
        # The share to come of those that remain; where nobody remains, nothing is to come.
        to_come = np.divide(still, after, out=np.zeros(last), where=after > TIE)
        spread = won * (1 - won) + to_come**2 * ended * (1 - ended) - 2 * to_come * won * (1 - ended)
        return float((before**2 / at_risk * np.maximum(spread, 0)).sum())


def aalen_johansen(time: Any, events: Any, others: Any, censored: Any) -> Incidence:
    """The share that comes to an end in question, with another end competing, from counts by distinct times.

    share(t) = Σ survival before each time · events / at risk (Aalen & Johansen 1978). An end precedes a censoring at
    the same time.
    """
    time, events, others, censored = (np.asarray(v, float) for v in (time, events, others, censored))
    order = np.argsort(time)
    time, events, others, censored = time[order], events[order], others[order], censored[order]
    seen = events + others + censored > 0
    time, events, others, censored = time[seen], events[seen], others[seen], censored[seen]
    leaving = events + others + censored
    at_risk = leaving.sum() - np.cumsum(leaving) + leaving
    survival = np.cumprod(1 - (events + others) / at_risk)
    share = np.cumsum(np.r_[1.0, survival[:-1]] * events / at_risk) if len(time) else time
    return Incidence(time, events, others, censored, share, survival)
