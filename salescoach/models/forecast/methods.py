"""What each method foresaw on each past day, by rep, from what was known on that day alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from salescoach.models.forecast import hazard
from salescoach.models.forecast.features import Traits
from salescoach.models.forecast.past import YEAR, Floats, Open, Past, Whole, by_rep
from salescoach.process import period_of

QUARTER = 91  # days, whole weeks as a YEAR: the same weekdays
SEEN = 28  # days of past that a forecast needs before anything is learnt from its error
ARRIVAL_DAYS = 90
LANDMARK_PSEUDO = 5.0  # deals with which an age's share is drawn to that of its stage
SIZE_WINS = 10.0  # wins with which a rep's amounts are drawn to everybody's
NAIVE = ("last_period", "run_rate", "seasonal", "seasonal_share")
FROM_DEALS = ("hazard", "landmark", "features")


class Window(NamedTuple):
    """The days of a forecast, seen from its origin: `gap` days are passed over, `days` count."""

    gap: int
    days: int

    @property
    def lead(self) -> int:
        return self.gap + self.days


@dataclass(frozen=True)
class Cells:
    """Deals open at each origin by their chance: arrays `[origin, cell]` of chance, n, and won in the window."""

    chance: Floats
    n: Floats
    won: Floats


@dataclass
class Views:
    """What was foreseen from each origin for one window, and what came: arrays `[origin, rep]`.

    mean, noise     per method: the expected amount, and the variance that chance alone gives it
    parts           per method from deals: expected of open deals, and of those not yet there
    size            amount of a win
    arriving        `[origin, state]`: wins in the window that one new deal a day brings
    actual, of_open what was won in the window, and what of it by deals open at the origin
    n, won          `[origin, state, age]`: deals open at the origin, and those of them won in the window
    chances         per method: `[origin, state, age]`
    traits          cells of the chances by traits of deals
    """

    window: Window
    origins: Whole
    since: int
    mean: dict[str, Floats] = field(default_factory=dict)
    noise: dict[str, Floats] = field(default_factory=dict)
    parts: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    chances: dict[str, Floats] = field(default_factory=dict)
    arriving: Floats = field(default_factory=lambda: np.empty(0))
    size: Floats = field(default_factory=lambda: np.empty(0))
    actual: Floats = field(default_factory=lambda: np.empty(0))
    of_open: Floats = field(default_factory=lambda: np.empty(0))
    n: Floats = field(default_factory=lambda: np.empty(0))
    won: Floats = field(default_factory=lambda: np.empty(0))
    traits: Traits | None = None

    def elapsed(self, i: int) -> Whole:
        """The earlier origins whose window had passed at the i-th, and that had a past of their own."""
        passed = self.origins + self.window.lead <= self.origins[i]
        return np.flatnonzero(passed & (self.origins >= self.since + SEEN))

    def cells(self, method: str) -> Cells:
        """Deals by the chance that a method gave them."""
        if method == "features" and self.traits is not None:
            return Cells(*self.traits.cells(len(self.origins)))
        shape = (len(self.origins), -1)
        return Cells(self.chances[method].reshape(shape), self.n.reshape(shape), self.won.reshape(shape))


def views(past: Past, origins: Whole, windows: Sequence[Window]) -> list[Views]:
    """All methods from all origins, the last of which may be today, for each of the windows."""
    counts = past.lexis
    first = min(counts.first_day, int(origins.min()))
    last = max(past.today, int(origins.max()) + max(w.lead for w in windows))
    months = month_of_quarter(past, np.arange(first, last + 1))
    seen = months[counts.first_day - first :][: counts.at_risk.shape[1]]
    rates = hazard.rates_before(counts, origins, seen)
    made = []
    for window in windows:
        ahead = months[origins[:, None] - first + np.arange(window.lead)]
        walked = hazard.walk(rates, counts.ages, ahead, window.gap)
        made.append(_empty(past, origins, window, walked))
    band = np.searchsorted(counts.ages, np.arange(counts.ages[-1] + 1), side="right") - 1
    crm = CrmWeights(past)
    for i, origin in enumerate(map(int, origins)):
        here, arrivals, sizes = past.open_at(origin), Arrivals(past, origin), _sizes(past, origin)
        for view in made:
            view.size[i] = sizes[0]
            _naive(past, view, i, sizes[1])
            _what_came(past, view, i, here)
            _landmark_chances(view, i, band)
            _from_crm(past, view, i, here, crm)
            new = arrivals.of(view.arriving[i])
            chance = _by_cell(view.chances["hazard"][i], here)
            _from_deals(past, view, i, here, "hazard", chance, *new)
            _from_deals(
                past,
                view,
                i,
                here,
                "landmark",
                _by_cell(view.chances["landmark"][i], here),
                *arrivals.as_before(view, i, new),
            )
            if view.traits is not None:
                told = view.traits.tell(i, here, chance, view.elapsed(i), _won_in(past, view, i, here))
                _from_deals(past, view, i, here, "features", told, *new)
    return made


def _empty(past: Past, origins: Whole, window: Window, walked: hazard.Chances) -> Views:
    view, shape = Views(window, origins, past.stays.first_day), (len(origins), len(past.reps))
    view.traits = Traits.of(past)
    sources = [m for m in FROM_DEALS if m != "features" or view.traits is not None]
    names = (*NAIVE, *sources, "crm")
    view.mean, view.noise = ({name: np.zeros(shape) for name in names} for _ in range(2))
    view.parts = {name: (np.zeros(shape), np.zeros(shape)) for name in sources}
    view.size, view.actual, view.of_open = (np.zeros(shape) for _ in range(3))
    view.arriving = walked.arriving
    view.n, view.won = (np.zeros(walked.open.shape) for _ in range(2))
    view.chances = {name: np.zeros(walked.open.shape) for name in ("landmark", "crm", "base_rate")} | {
        "hazard": walked.open
    }
    return view


def month_of_quarter(past: Past, days: Whole) -> Whole:
    """Which month of its quarter each day lies in (0..2), by the fiscal year of the process."""
    labels = period_of(days.astype("datetime64[D]"), "fiscal_month", past.book.process)
    number = labels.cat.categories.to_series().astype("str").str.extract(r"(\d+)$")[0].astype("int64").to_numpy()
    found: Whole = (np.asarray(number, dtype=np.int64)[labels.cat.codes.to_numpy()] - 1) % 3
    return found


# --- without looking at deals -----------------------------------------------------------------


def _naive(past: Past, view: Views, i: int, spread: Floats) -> None:
    origin, (gap, days) = int(view.origins[i]), view.window
    since = past.rate_since(origin)
    history = past.won_between(since, origin)
    rate = history / max(origin - since, 1) * days
    back = season_back(past, origin, view.window)
    first = origin + gap - (back or 0)
    season = rate if back is None else past.won_between(first, first + days)
    whole = history.sum()
    found = {"run_rate": rate, "seasonal": season, "last_period": past.won_between(origin - days, origin)}
    found["seasonal_share"] = season.sum() * history / whole if whole > 0 else season
    for name, mean in found.items():
        view.mean[name][i], view.noise[name][i] = mean, mean * spread


def season_back(past: Past, origin: int, window: Window) -> int | None:
    """How many days back the same window lay: a year where the past holds it, else whole quarters; None: not yet."""
    for back in (YEAR, *(QUARTER * k for k in range(1, 5))):
        if back >= window.lead and origin + window.gap - back >= past.steady_since(origin):
            return back
    return None


def _sizes(past: Past, origin: int) -> tuple[Floats, Floats]:
    """By rep, from the year before: the amount of a win; and the sum of squares over the sum of amounts.

    The latter times a mean is the variance of a compound Poisson sum.
    """
    low, high = np.searchsorted(past.win_day, [origin - YEAR, origin])
    value, rep = past.win_value[low:high], past.win_rep[low:high]
    usual, square = (float(value.mean()), float((value**2).mean())) if value.sum() > 0 else (1.0, 1.0)
    reps = len(past.reps)
    n, sums, squares = by_rep(rep, np.ones(len(rep)), reps), by_rep(rep, value, reps), by_rep(rep, value**2, reps)
    sums = sums + SIZE_WINS * usual
    return sums / (n + SIZE_WINS), (squares + SIZE_WINS * square) / sums


def _from_crm(past: Past, view: Views, i: int, here: Open, crm: CrmWeights) -> None:
    weight = crm.at(int(view.origins[i]))
    view.chances["crm"][i] = weight[:, None]
    view.mean["crm"][i] = by_rep(here.rep, weight[here.state] * here.value, len(past.reps))


class CrmWeights:
    """What a CRM makes of the open list: each deal times the probability of its stage, whenever it may close.

    The probability is the one that the CRM keeps; where it keeps none, the win rate of all deals decided before.
    """

    def __init__(self, past: Past) -> None:
        self.past, self.given = past, np.full(len(past.stays.states), np.nan)
        deals = past.book.tables["deals"]
        if "probability" not in deals:
            return
        now = deals[(deals["outcome"] == "open") & deals["probability"].notna()]
        for i, (pipeline, stage) in enumerate(past.stays.states):
            here = now[(now["pipeline"] == pipeline) & ((now["stage"] == stage) | (not past.stays.by_stage))]
            self.given[i] = here["probability"].mean() if len(here) else np.nan

    def at(self, origin: int) -> Floats:
        """By state."""
        return np.where(np.isnan(self.given), self.past.win_rate(origin), self.given)


# --- from deals -------------------------------------------------------------------------------


def _won_in(past: Past, view: Views, i: int, here: Open) -> Any:
    """Which of the deals were won in the window."""
    first = int(view.origins[i]) + view.window.gap
    on = past.won_on[here.deal]
    return (on >= first) & (on < first + view.window.days)


def _what_came(past: Past, view: Views, i: int, here: Open) -> None:
    first, reps = int(view.origins[i]) + view.window.gap, len(past.reps)
    view.actual[i] = past.won_between(first, first + view.window.days)
    won = _won_in(past, view, i, here)
    rows = here.deal[won]
    view.of_open[i] = by_rep(past.closer[rows], np.nan_to_num(past.amount[rows]), reps)
    shape = view.n.shape[1:]
    cell = here.state * shape[1] + np.minimum(here.age, shape[1] - 1)
    view.n[i] = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    view.won[i] = np.bincount(cell[won], minlength=shape[0] * shape[1]).reshape(shape)


def like_these(view: Views, i: int, band: Whole) -> tuple[Floats, Floats]:
    """Deals by stage and age band on earlier days whose window has passed, and those of them won in it."""
    before = view.elapsed(i)
    starts = np.flatnonzero(np.append(True, band[1:] != band[:-1]))
    return (
        np.add.reduceat(view.n[before].sum(0), starts, axis=1),
        np.add.reduceat(view.won[before].sum(0), starts, axis=1),
    )


def _landmark_chances(view: Views, i: int, band: Whole) -> None:
    """The share won of deals at a stage and age on earlier days; before any window has passed, the pace of deals."""
    n, won = like_these(view, i, band)
    if not n.sum():
        chance, here = view.chances["hazard"][i], view.n[i]
        view.chances["landmark"][i] = chance
        view.chances["base_rate"][i] = (chance * here).sum() / max(here.sum(), 1)
        return
    whole = won.sum() / n.sum()
    stage = (won.sum(1) + LANDMARK_PSEUDO * whole) / (n.sum(1) + LANDMARK_PSEUDO)
    view.chances["landmark"][i] = ((won + LANDMARK_PSEUDO * stage[:, None]) / (n + LANDMARK_PSEUDO))[:, band]
    view.chances["base_rate"][i] = whole


def _by_cell(chances: Floats, here: Open) -> Floats:
    """Each deal's chance by its state and age."""
    found: Floats = chances[here.state, np.minimum(here.age, chances.shape[1] - 1)]
    return found


class Arrivals:
    """Deals that began in the days before an origin: what as many new ones a day would bring."""

    def __init__(self, past: Past, origin: int) -> None:
        day, deal, state = past.begun
        since = max(origin - ARRIVAL_DAYS, past.stays.first_day)
        low, high = np.searchsorted(day, [since, origin])
        rows, self.state = deal[low:high], state[low:high]
        self.rep, self.reps = past.owners(rows, origin), len(past.reps)
        self.value, _ = past.values(rows, origin)
        self.days = max(origin - since, 1)

    def of(self, wins: Floats) -> tuple[Floats, Floats]:
        """Mean and variance by rep, where one deal a day brings so many `wins` by the state it begins in."""
        weight = wins[self.state] / self.days
        return by_rep(self.rep, weight * self.value, self.reps), by_rep(self.rep, weight * self.value**2, self.reps)

    def as_before(self, view: Views, i: int, walked: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """What new deals brought in elapsed windows, shared among reps by the deals they begin; else as `walked`."""
        before, value = view.elapsed(i), by_rep(self.rep, self.value, self.reps)
        if not len(before) or value.sum() <= 0:
            return walked
        part = (view.actual - view.of_open)[before].sum(1).mean() / value.sum()
        return part * value, part * by_rep(self.rep, self.value**2, self.reps)


def _from_deals(
    past: Past, view: Views, i: int, here: Open, name: str, chance: Floats, new: Floats, new_noise: Floats
) -> None:
    reps = len(past.reps)
    expected = by_rep(here.rep, chance * here.value, reps)
    view.parts[name][0][i], view.parts[name][1][i] = expected, new
    view.mean[name][i] = expected + new
    view.noise[name][i] = by_rep(here.rep, chance * (1 - chance) * here.value**2, reps) + new_noise
