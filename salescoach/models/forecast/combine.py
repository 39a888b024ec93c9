"""What the methods say together: biases put right, and the mean of those that did well before."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from salescoach.models.forecast.methods import Cells, Views
from salescoach.models.forecast.past import Floats, Whole
from salescoach.models.forecast.spread import Spread

LEVELS = ("company", "team", "rep")
FAMILIES = ("run_rate", "seasonal_share", "pipeline")  # what happened of late, in this season, and what lies in hand
PUT_RIGHT = ("hazard", "features")
BASELINES = ("last_period", "run_rate", "seasonal")
WORSE, SURE = 1.02, 2.0  # than the best of these the combination may not be, but by chance (standard errors)
NEAR = 1.15  # of the best mean's error: the widest mean within is taken
FEW, ENOUGH = 3, 6  # elapsed windows from which the combination learns, and another method may stand in for the pace
CLEARLY = 0.99  # of the pace's log-loss
LOOK_BACK = 26  # windows
PRIOR_WINDOWS, PRIOR_ERROR = 3.0, 0.1  # a bias of none, and a model error of 10 %, stand for so many windows
EDGE = 1e-6


@dataclass(frozen=True)
class Groups:
    """Which team each rep is in (codes into `teams`); the levels are sums over it."""

    team: Whole
    teams: tuple[str, ...]

    def sums(self, by_rep: Floats, level: str) -> Floats:
        """`[..., rep]` -> `[..., group]`."""
        if level == "rep":
            return by_rep
        member = np.ones((len(self.team), 1)) if level == "company" else np.eye(len(self.teams))[self.team]
        found: Floats = by_rep @ member
        return found


@dataclass
class Judged:
    """The views with what was learnt from elapsed windows, at each origin from those that had elapsed by then.

    mean, noise   `[origin, rep]` per method, with "pipeline" (the best of those from deals) and "combined"
    open          what of the mean comes from deals open at the origin
    error         per method and level `[origin]`: the model error, squared, relative
    right         per method from deals `[origin, 2]`: what sums of open and of new deals are multiplied with
    source        which method from deals stands in at each origin
    members       the methods combined at each origin
    """

    views: Views
    groups: Groups
    mean: dict[str, Floats]
    noise: dict[str, Floats]
    open: dict[str, Floats] = field(default_factory=dict)
    error: dict[tuple[str, str], Floats] = field(default_factory=dict)
    right: dict[str, Floats] = field(default_factory=dict)
    source: list[str] = field(default_factory=list)
    members: list[tuple[str, ...]] = field(default_factory=list)

    def spread(self, method: str, level: str, rows: Whole | slice = slice(None)) -> Spread:
        """What a method foresaw of the sums at a level, as distributions `[origin, group]`: chance and model error."""
        mean = self.groups.sums(self.mean[method][rows], level)
        noise = self.groups.sums(self.noise[method][rows], level)
        wins = self.groups.sums(self.mean[method][rows] / np.maximum(self.views.size[rows], EDGE), level)
        return Spread(mean, noise + self.error[method, level][rows][:, None] * mean**2, wins)

    def variance(self, method: str, level: str, i: int) -> Floats:
        """Of the sums at a level, seen from one origin."""
        mean = self.groups.sums(self.mean[method][i], level)
        found: Floats = self.groups.sums(self.noise[method][i], level) + self.error[method, level][i] * mean**2
        return found

    def cells(self, method: str) -> Cells:
        """As `Views.cells`; "pipeline" has at each origin those of the method that stands in."""
        if method != "pipeline":
            return self.views.cells(method)
        every = {name: self.views.cells(name) for name in set(self.source)}
        width = max(c.n.shape[1] for c in every.values())
        parts = [[], [], []]  # type: list[list[Floats]]
        for i, name in enumerate(self.source):
            for k, column in enumerate((every[name].chance, every[name].n, every[name].won)):
                parts[k].append(np.append(column[i], np.zeros(width - column.shape[1])))
        return Cells(*(np.stack(p) for p in parts))


def judge(views: Views, groups: Groups) -> Judged:
    """Put biases right, choose among the methods from deals, combine, and learn how far off each method is."""
    found = Judged(views, groups, dict(views.mean), dict(views.noise))
    for name in views.parts:
        found.open[name] = views.parts[name][0]
        if name in PUT_RIGHT:
            _put_right(found, name)
    _choose(found)
    _combine(found)
    found.error = {(name, level): _model_error(found, name, level) for level in LEVELS for name in found.mean}
    return found


def _put_right(found: Judged, name: str) -> None:
    """Scale what was expected of open and of new deals by what came of each in elapsed windows."""
    views, (opened, new) = found.views, found.views.parts[name]
    came = (views.of_open, views.actual - views.of_open)
    factors = np.ones((len(views.origins), 2))
    for i in range(len(views.origins)):
        before = views.elapsed(i)[-LOOK_BACK:]
        for k, part in enumerate((opened, new) if len(before) else ()):
            prior = PRIOR_WINDOWS * part[before].sum(1).mean()
            whole = part[before].sum() + prior
            factors[i, k] = (came[k][before].sum() + prior) / whole if whole > 0 else 1.0
    found.right[name], found.open[name] = factors, opened * factors[:, :1]
    found.mean[name] = found.open[name] + new * factors[:, 1:]
    by = np.divide(found.mean[name], views.mean[name], out=np.ones_like(opened), where=views.mean[name] > 0)
    found.noise[name] = views.noise[name] * by


def log_loss(cells: Cells) -> Floats:
    """Of each origin, summed over its deals."""
    chance = np.clip(cells.chance, EDGE, 1 - EDGE)
    found: Floats = -(cells.won * np.log(chance) + (cells.n - cells.won) * np.log(1 - chance)).sum(1)
    return found


def _choose(found: Judged) -> None:
    """At each origin the pace of deals, unless another method has told deals apart clearly better before."""
    views, names = found.views, list(found.views.parts)
    losses = np.stack([log_loss(views.cells(name)) for name in names])
    for i in range(len(views.origins)):
        before = views.elapsed(i)
        past = losses[:, before].sum(1)
        wins = len(before) >= ENOUGH and past.min() < CLEARLY * past[0]
        found.source.append(names[int(past.argmin())] if wins else names[0])
    for store in (found.mean, found.noise, found.open):
        store["pipeline"] = np.stack([store[name][i] for i, name in enumerate(found.source)])


def _combine(found: Judged) -> None:
    """The mean of as many methods as possible whose past error is within 15 % of the best mean's.

    Errors are those of the company's sum: those of reps are mostly chance, and hide which method is off. Before enough
    windows have elapsed, all three.
    """
    views = found.views
    subsets = [s for k in range(len(FAMILIES), 0, -1) for s in combinations(FAMILIES, k)]
    means = {s: np.mean([found.mean[m] for m in s], axis=0) for s in subsets}
    actual = views.actual.sum(1)
    misses = {s: np.abs(m.sum(1) - actual) for s, m in means.items()}
    own = np.zeros(len(actual))
    for i in range(len(views.origins)):
        before = views.elapsed(i)[-LOOK_BACK:]
        members: tuple[str, ...] = FAMILIES
        if len(before) >= FEW:
            error = {s: float(m[before].sum()) for s, m in misses.items()}
            near = [s for s in subsets if error[s] <= NEAR * min(error.values())]
            members = min(near, key=lambda s: (-len(s), error[s]))
        if len(before) >= ENOUGH:
            members = _unless_worse(found, own[before], before, members)
        own[i] = abs(np.mean([found.mean[m][i].sum() for m in members]) - actual[i])
        found.members.append(members)
    for store in (found.mean, found.noise):
        parts = [np.mean([store[m][i] for m in s], axis=0) for i, s in enumerate(found.members)]
        store["combined"] = np.stack(parts)


def _unless_worse(found: Judged, own: Floats, before: Whole, members: tuple[str, ...]) -> tuple[str, ...]:
    """The best simple method instead, where the combination has clearly been worse so far, beyond 2 % and chance."""
    views = found.views
    actual = views.actual[before].sum(1)
    misses = {m: np.abs(found.mean[m][before].sum(1) - actual) for m in BASELINES}
    best = min(BASELINES, key=lambda m: float(misses[m].sum()))
    behind = own - misses[best]
    apart = max(2.0, (views.origins[before[-1]] - views.origins[before[0]]) / views.window.lead)  # windows side by side
    clear = behind.mean() > SURE * behind.std() / np.sqrt(apart) and own.sum() > WORSE * misses[best].sum()
    return (best,) if clear else members


def _model_error(found: Judged, name: str, level: str) -> Floats:
    """By how much, squared and relative, a method misses beyond chance; from elapsed windows and a prior of 10 %."""
    views = found.views
    mean, noise = (found.groups.sums(store[name], level) for store in (found.mean, found.noise))
    excess = ((mean - found.groups.sums(views.actual, level)) ** 2 - noise).sum(1)
    scale = (mean**2).sum(1)
    result = np.empty(len(views.origins))
    for i in range(len(views.origins)):
        before = views.elapsed(i)[-LOOK_BACK:]
        size = float(scale[before].sum())
        seen = max(float(excess[before].sum()), 0.0) / size if size > 0 else 0.0
        result[i] = (PRIOR_WINDOWS * PRIOR_ERROR**2 + len(before) * seen) / (PRIOR_WINDOWS + len(before))
    return result
