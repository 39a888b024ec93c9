"""Deals followed one by one to competing ends: the shares won, lost and still open by each day, with late entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salescoach.metrics.estimate import TIE, Z95, Curve, kaplan_meier
from salescoach.models.rates import Floats, Whole

OPEN, WON, LOST = 0, 1, 2
FEWEST_AT_RISK = 10  # with fewer one deal moves the curve by a tenth


@dataclass(frozen=True)
class Shares:
    """Aalen-Johansen shares right after each time at which a deal was won or lost.

    time, at_risk      days; deals under observation just before
    won, lost          share that has come to this end; still open: 1 - won - lost
    won_se, lost_se    standard errors by the delta method
    """

    time: Floats
    at_risk: Floats
    won: Floats
    lost: Floats
    won_se: Floats
    lost_se: Floats

    def table(self) -> pd.DataFrame:
        """day (from 0 on), at_risk, won, won_low, won_high, lost, lost_low, lost_high (95 %, log(-log)), open."""
        won, lost = (_with_interval(v, se) for v, se in ((self.won, self.won_se), (self.lost, self.lost_se)))
        columns = {"day": self.time, "at_risk": self.at_risk}
        columns |= {f"won{end}": part for end, part in zip(("", "_low", "_high"), won, strict=True)}
        columns |= {f"lost{end}": part for end, part in zip(("", "_low", "_high"), lost, strict=True)}
        found = pd.DataFrame(columns).assign(open=np.clip(1 - self.won - self.lost, 0, 1))
        first = dict.fromkeys(found, 0.0) | {"open": 1.0, "at_risk": float(self.at_risk[0]) if len(self.time) else 0.0}
        if len(self.time) and self.time[0] <= 0:
            return found
        return pd.concat([pd.DataFrame([first]), found], ignore_index=True)


def competing(time: Any, end: Any, entry: Any = None) -> Shares:
    """The shares won and lost by each time, from deals one by one.

    time     days from the start to the end, or to when it was last seen
    end      OPEN, WON or LOST
    entry    days from the start to when it came under observation; nothing, or 0: from the start

    share(t) = Σ survival before each time · ends / at risk (Aalen & Johansen 1978); at risk are deals with entry < t ≤
    time (or followed from the start). Deals that ended before they came under observation count nowhere. Without late
    entries it equals `metrics.estimate.aalen_johansen`.
    """
    time, end = np.asarray(time, float), np.asarray(end)
    entry = np.zeros(len(time)) if entry is None else np.asarray(entry, float)
    seen = (entry <= 0) | (entry < time)
    time, end, entry = time[seen], end[seen], entry[seen]
    times = np.unique(time[end != OPEN])
    leaving, late = np.sort(time), np.sort(entry[entry > 0])
    gone, not_yet = np.searchsorted(leaving, times), len(late) - np.searchsorted(late, times)
    at_risk = np.asarray(len(time) - gone - not_yet, float)
    won, lost = (_counted(times, time[end == kind]) for kind in (WON, LOST))
    ended = (won + lost) / at_risk
    before = np.r_[1.0, np.cumprod(1 - ended)[:-1]] if len(times) else times
    shares = [np.cumsum(before * part / at_risk) for part in (won, lost)]
    errors = [
        _error(share, part / at_risk, ended, before, at_risk) for share, part in zip(shares, (won, lost), strict=True)
    ]
    return Shares(times, at_risk, *shares, *errors)


def _counted(times: Floats, values: Floats) -> Floats:
    return np.bincount(np.searchsorted(times, values), minlength=len(times)).astype(float)


def _error(share: Floats, own: Floats, ended: Floats, before: Floats, at_risk: Floats) -> Floats:
    """Standard error of the share at each time (Dinse & Larson 1986; Marubini & Valsecchi 1995, ch. 10).

    variance(t) = Σ before² / at risk · (own (1 - own) + c² ended (1 - ended) - 2 c own (1 - ended)), where c is what is
    still to come until t of those that remain. The sum is one of powers of share(t), so one pass serves all times.
    """
    remain = ended < 1 - TIE
    square = np.divide(ended, 1 - ended, out=np.zeros_like(ended), where=remain) / at_risk
    cross = np.where(remain, before * own / at_risk, 0.0)
    own_part = before**2 * own * (1 - own) / at_risk
    constant = np.cumsum(own_part + square * share**2 + 2 * cross * share)
    linear = np.cumsum(square * share + cross)
    return np.sqrt(np.maximum(np.cumsum(square) * share**2 - 2 * linear * share + constant, 0.0))


def _with_interval(share: Floats, se: Floats) -> tuple[Floats, Floats, Floats]:
    """The share with its interval on the log(-log) scale (Choudhury 2002), which stays between 0 and 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.exp(Z95 * se / (share * -np.log(share)))
        low, high = share**power, share ** (1 / power)
    inside = (share > TIE) & (share < 1 - TIE)
    return share, np.where(inside, low, share), np.where(inside, high, share)


def survival(time: Any, ended: Any, entry: Any = None, since: float = 0.0) -> Curve:
    """Kaplan-Meier from deals one by one, late entries included: `metrics.estimate.kaplan_meier` of their counts.

    since    from this time on only: the curve of those that had not ended by then
    """
    time, ended = np.asarray(time, float), np.asarray(ended, bool)
    entry = np.zeros(len(time)) if entry is None else np.asarray(entry, float)
    entry = np.maximum(entry, since)
    seen = (entry <= 0) | (entry < time)
    time, ended, entry = time[seen], ended[seen], entry[seen]
    times, place = np.unique(time, return_inverse=True)
    late, n = np.unique(entry[entry > 0], return_counts=True)
    events = np.bincount(place, ended, len(times))
    return kaplan_meier(times, events, np.bincount(place, ~ended, len(times)), late, n)


def followed(at_risk: Floats) -> slice:
    """The stretch of times with at least ten deals under observation, from the first such time on."""
    enough = np.asarray(at_risk) >= FEWEST_AT_RISK
    if not enough.any():
        return slice(0, 0)
    start = int(np.argmax(enough))
    thin = np.flatnonzero(~enough[start:])
    return slice(start, start + int(thin[0]) if len(thin) else len(enough))


def ends_of(ended: Any, won: Any) -> Whole:
    """WON, LOST or OPEN of each deal."""
    codes: Whole = np.where(~np.asarray(ended, bool), OPEN, np.where(np.asarray(won, bool), WON, LOST)).astype(np.int64)
    return codes
