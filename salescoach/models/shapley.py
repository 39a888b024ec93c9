"""Shares of a gap: how much of the difference between two results each of their factors makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def shapley(function: Callable[..., Any], from_factors: Sequence[Any], to_factors: Sequence[Any]) -> list[Floats]:
    """The part that each factor has in function(*to_factors) - function(*from_factors), by Shapley.

    A part is what changing its factor does, averaged over all orders in which the factors could be changed one after
    the other; all 2^K mixtures are evaluated, so the parts add up to the gap exactly (Shapley 1953; Das Gupta 1993,
    "Standardization and Decomposition of Rates"; with a factor of shares and one of rates it is Kitagawa 1955).

    function   of K factors; whatever arrays it gives are taken element by element, so groups and draws go in at once.
               A factor may be a vector that the function adds up over, such as the shares of the kinds of deals
    Returns one array per factor, in their order.

    >>> [float(part) for part in shapley(lambda deals, size: deals * size, (10, 5.0), (20, 7.0))]
    [60.0, 30.0]
    """
    count = len(from_factors)
    parts: list[Any] = [0.0] * count
    for mixture in range(2**count):
        moved = [bool(mixture >> place & 1) for place in range(count)]
        value = function(*(to if m else of for m, of, to in zip(moved, from_factors, to_factors, strict=True)))
        value, size = np.asarray(value, float), sum(moved)
        joins = factorial(size - 1) * factorial(count - size) / factorial(count) if size else 0.0
        stays = factorial(size) * factorial(count - size - 1) / factorial(count) if size < count else 0.0
        for place, is_moved in enumerate(moved):
            parts[place] = parts[place] + (joins if is_moved else -stays) * value
    return [np.asarray(part, float) for part in parts]


def shapley_of_product(from_factors: Floats, to_factors: Floats) -> Floats:
    """`shapley` of a plain product of numbers, at a cost that grows with the factors, not with 2 to their power.

    part_i = (to_i - from_i) · ∫ Π_{j≠i} (from_j + t (to_j - from_j)) dt over t from 0 to 1: averaged over all orders a
    factor finds each set of the others moved with the weight of a beta integral (Owen 1972). The integrand is a
    polynomial of degree K - 1, so K / 2 Gauss-Legendre points give the integral exactly.

    from_factors, to_factors   K along the first axis, groups and draws along the others
    """
    count = len(from_factors)
    change = to_factors - from_factors
    points, weights = np.polynomial.legendre.leggauss((count + 1) // 2)
    parts = np.zeros(np.broadcast_shapes(from_factors.shape, to_factors.shape))
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        there = from_factors + point * change
        before = np.full(there.shape[1:], weight)
        others = np.empty_like(there)
        for place in range(count):
            others[place] = before
            before = before * there[place]
        after = np.ones_like(before)
        for place in reversed(range(count)):
            others[place] *= after
            after = after * there[place]
        parts += others
    parts *= change
    return parts
