"""The states of an exact integral: upper sets of its causal order, as bit masks of internal points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nnqft import TimeIntegral


@dataclass(frozen=True, eq=False)
class Ideals:
    """Sets of internal points, each after all sets it can grow from.

    Attributes
    ----------
    points : int
    inside : (P, S) bool
        Whether a point is in a set.
    grown : tuple of (source, target)
        For each point the sets without it and the sets with it added, where both are in the table.
    """

    points: int
    inside: np.ndarray
    grown: tuple[tuple[np.ndarray, np.ndarray], ...]


def _table(points: int, masks: list[int]) -> Ideals:
    """The table of sets that the masks stand for; they come sorted by size."""
    number_of = {mask: n for n, mask in enumerate(masks)}
    inside = np.array([[bool(mask >> p & 1) for mask in masks] for p in range(points)], dtype=bool)
    grown = []
    for p in range(points):
        pairs = [(n, number_of[m | 1 << p]) for n, m in enumerate(masks) if not m >> p & 1 and m | 1 << p in number_of]
        grown.append((np.array([a for a, _ in pairs], int), np.array([b for _, b in pairs], int)))
    return Ideals(points, inside.reshape(points, len(masks)), tuple(grown))


@cache
def all_subsets(points: int) -> Ideals:
    """All 2^P subsets; whether one may grow is then left to each integral."""
    return _table(points, sorted(range(1 << points), key=lambda mask: (mask.bit_count(), mask)))


def count_upper_sets(integral: TimeIntegral) -> int:
    """How many upper sets the response forest has: Π over roots of f, f(v) = 1 + Π over children of f.

    An upper bound where points have further response lines, which only forbid some of them.
    """
    externals = integral.times.shape[1]
    below = [1] * integral.dim
    total = 1
    for n in range(integral.dim - 1, -1, -1):
        sets, parent = 1 + below[n], integral.branches[n].parent
        if parent >= externals:
            below[parent - externals] *= sets
        else:
            total *= sets
    return total


def upper_sets(integral: TimeIntegral, limit: int) -> Ideals | None:
    """Only the sets that hold with each point its parents; None if there are more than `limit`."""
    externals = integral.times.shape[1]
    needs = [0] * integral.dim
    for n, branch in enumerate(integral.branches):
        if branch.parent >= externals:
            needs[n] |= 1 << branch.parent - externals
    for line in integral.lines:
        if line.response and line.start >= externals and line.end >= externals:
            needs[line.start - externals] |= 1 << line.end - externals
    masks, layer = [0], {0}
    for _ in range(integral.dim):
        layer = {m | 1 << p for m in layer for p in range(integral.dim) if not m >> p & 1 and m & needs[p] == needs[p]}
        if len(masks) + len(layer) > limit:
            return None
        masks += sorted(layer)
    return _table(integral.dim, masks)
