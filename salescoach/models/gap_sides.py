"""The two sides of a gap: what was won, and what it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics import quota_attainment
from salescoach.metrics.groups import group_keys
from salescoach.metrics.kept import per_book
from salescoach.models.gap_factors import lines_of
from salescoach.models.gap_lines import Factor, Line, Usual, usual_of
from salescoach.models.gap_parts import EVERYBODY, GapCounts, gap_counts, stages_known
from salescoach.models.gap_peers import Peers, peers_of
from salescoach.models.gap_values import Floats
from salescoach.process import Period, previous_period

Against = Literal["peers", "last", "target"]
COUNTED = ("volume", "in_hand")


@dataclass(frozen=True)
class Side:
    """One side of a comparison for the groups: the lines, and what was really won."""

    lines: list[Line]
    actual: Floats


class Sides:
    """Both sides of a comparison in the making."""

    def __init__(self, book: Book, groups: Sequence[str], span: Period, speed: bool, draws: int, seed: int) -> None:
        self.book, self.groups, self.speed, self.draws = book, groups, speed, draws
        self.peers, self.hidden = _peers(book)
        self.stages = stages_known(book) if self.peers is None else self.peers.stages
        self.asked, self.span = span, until(span, book)
        self.seed, self.generator = seed, np.random.default_rng(seed)

    def held_against(self, against: Against) -> tuple[Side, Side, list[str]]:
        if against == "last" or (against == "target" and not self.groups):
            own, other, who = self.with_last(before_(self.asked, self.book))
        else:
            rounded = self.groups and self.peers is not None
            own, other, who = _beside_rounded(*self._asked()) if rounded else self.with_peers()
        return self.with_target(own, other, who) if against == "target" else (own, other, who)

    def _asked(self) -> tuple[Book, tuple[str, ...], Period, bool, int, int]:
        return self.book, tuple(self.groups), self.asked, self.speed, self.draws, self.seed

    def counts(self, span: Period) -> GapCounts:
        found = gap_counts(self.book, self.groups, span, self.stages)
        return found.named if self.groups else found

    def lines(self, counts: GapCounts, who: Sequence[str], usual: Usual, shrink: bool = True) -> list[Line]:
        over = period_days(self.span, self.book) if self.speed else None
        return lines_of(counts, who, usual, self.generator, self.draws, shrink and bool(self.groups), over)

    def with_last(self, before: Period) -> tuple[Side, Side, list[str]]:
        now, then = self.counts(self.span), self.counts(before)
        who = sorted(set(now.begun["who"]) & set(then.begun["who"]))
        if not who:
            raise Unavailable(
                "nothing was begun in {period} or in {before}", period=self.span.label, before=before.label
            )
        usual = usual_of(now.and_(then))
        sides = [Side(self.lines(c, who, usual), _actual(c, who)) for c in (now, then)]
        return sides[0], sides[1], who

    def with_peers(self) -> tuple[Side, Side, list[str]]:
        if not self.groups:
            raise Unavailable("everybody together has no peers; compare with the last period or the target")
        counts = self.counts(self.span)
        heads = counts.people
        who = sorted(heads.index)
        if not who:
            raise Unavailable("nothing was begun, decided or won in {period}", period=self.span.label)
        if self.hidden is not None:
            raise self.hidden
        if self.peers is not None:
            usual = self.peers.usual
            own = Side(self.lines(counts, who, usual), _actual(counts, who))
            over = period_days(self.span, self.book) if self.speed else None
            lines = self.peers.lines([line.pipeline for line in own.lines], counts, self.generator, self.draws, over)
            return own, _per_head(Side(lines, np.full(1, self.peers.actual)), heads.reindex(who).to_numpy(float)), who
        if len(who) == 1:
            raise Unavailable("there is nobody else in the data to compare with")
        usual = usual_of(counts)
        own = Side(self.lines(counts, who, usual), _actual(counts, who))
        whole = counts.whole
        everybody = Side(self.lines(whole, [EVERYBODY], usual, shrink=False), _actual(whole, [EVERYBODY]))
        share = heads.reindex(who).to_numpy(float) / heads.sum()
        return own, _per_head(everybody, share), who

    def with_target(self, own: Side, other: Side, who: list[str]) -> tuple[Side, Side, list[str]]:
        """The other side with as many deals begun as the target asks for."""
        table = quota_attainment(self.book, self.groups, self.span)
        target = (table.set_index(group_keys(self.groups)[0]) if self.groups else table)["to_date"]
        asked = np.asarray(target.reindex(who) if self.groups else target, dtype=float)
        likely = sum(line.scale * _product(line, lambda f: f.value) for line in other.lines) + 0 * asked
        known = np.flatnonzero((asked > 0) & (likely > 0))
        if not len(known):
            raise Unavailable("no target of won amounts is set for {period}", period=self.span.label)
        drawn = sum(line.scale * _product(line, lambda f: f.draws) for line in other.lines)
        with np.errstate(divide="ignore", invalid="ignore"):
            lines = [_scaled(line, asked / likely, asked / drawn, keep=False) for line in other.lines]
        sides = Side(own.lines, own.actual), Side(lines, asked)
        return _only(sides[0], known), _only(sides[1], known), [who[i] for i in known]


@per_book
def _beside_rounded(
    book: Book, groups: Sequence[str], asked: Period, speed: bool, draws: int, seed: int
) -> tuple[Side, Side, list[str]]:
    """A slice beside the rounded figures of the run: the same draws, whether peers or a target are asked about."""
    return Sides(book, groups, asked, speed, draws, seed).with_peers()


def _peers(book: Book) -> tuple[Peers | None, Unavailable | None]:
    """The figures of the others where the book is a slice; or why they are not shown."""
    if "gap" not in book.peers:
        return None, None
    try:
        return peers_of(book.peers["gap"]), None
    except Unavailable as reason:
        return None, reason


def period_days(span: Period, book: Book) -> float:
    """Days of a period; of one without a first day, from the first deal on."""
    start = span.start_on or book.local_days(book.deals["created_at"]).min().date()
    return float((min(span.end_on, book.as_of_on.date()) - start).days + 1)


def until(span: Period, book: Book) -> Period:
    """A running period up to the day of the data."""
    return Period(span.label, span.start_on, min(span.end_on, book.as_of_on.date()))


def before_(span: Period, book: Book) -> Period:
    """The period before; of a running one only as many days."""
    found = previous_period(span, book.process)
    if found is None or span.start_on is None or found.start_on is None:
        raise Unavailable("a gap to the last period needs a period with a first day, such as 2026Q3")
    running = span.end_on > book.as_of_on.date()
    days = book.as_of_on.date() - span.start_on
    return Period(found.label, found.start_on, min(found.end_on, found.start_on + days)) if running else found


def _actual(counts: GapCounts, who: Sequence[str]) -> Floats:
    return counts.wins.groupby("who")["amount"].sum().reindex(list(who)).fillna(0.0).to_numpy(float)


def _per_head(side: Side, share: Floats) -> Side:
    """One side for several groups, each with its share of what is counted."""
    return Side([_scaled(line, share, share) for line in side.lines], side.actual * share)


def _scaled(line: Line, value: Floats, draws: Floats, keep: bool = True) -> Line:
    """A line with other numbers of deals; `keep`: with as much less or more of what the product leaves open."""
    factors = dict(line.factors)
    for part in factors:
        if part[0] in COUNTED:
            factors[part] = Factor(factors[part].value * value, factors[part].draws * draws)
    left = value if keep else np.zeros_like(value)
    return replace(
        line, factors=factors, chance=line.chance * left, timing=line.timing * left, credit=line.credit * left
    )


def _only(side: Side, places: Any) -> Side:
    """Some of the groups."""

    def cut(values: Floats) -> Floats:
        return values[..., places] if values.shape[-1] > 1 else values

    lines = [
        replace(
            line,
            factors={part: Factor(cut(f.value), cut(f.draws)) for part, f in line.factors.items()},
            n={part: cut(n) for part, n in line.n.items()},
            timing=cut(line.timing),
            chance=cut(line.chance),
            credit=cut(line.credit),
        )
        for line in side.lines
    ]
    return Side(lines, cut(side.actual))


def _product(line: Line, of: Any) -> Floats:
    found = 1.0
    for factor in line.factors.values():
        found = found * of(factor)
    return np.asarray(found)
