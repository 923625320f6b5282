"""The continuation of a series of terms: what follows them, by the ratio of the last ones and how it grows.

The rule is steps 1 to 3 of docs/truncation.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nnqft.integrals.estimate import Estimate

CLOSEST = 0.25
"""1 − ratio is taken to be no less: beyond a ratio of 3/4 a geometric continuation promises too much."""
MOST = 8.0
"""Of terms that grow no more than this many are added up, unless the next is larger still."""
FASTEST = 20.0
"""Ratios grow by no more than this at a time, as for vertices of eight legs: the longest vertices are the weakest."""
STEEPEST = 4.0
"""A ratio is at most this many times what the one before leads to expect, else the term between was an accident."""
DAMPED = 2 / 3
"""A term much below what was expected counts as this much of the geometric mean of both."""


@dataclass(frozen=True)
class Term:
    """One term over the times: its value, and its size with the error; (M,) each."""

    value: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, part: Estimate) -> Term:
        """A value below its rounding bound is a zero that did not quite cancel."""
        value = np.where(np.abs(part.mean) > part.rounding, part.mean, 0.0)
        return cls(value, np.abs(value) + part.sdev)

    def __add__(self, other: Term) -> Term:
        # The parts are sampled independently of each other; adding their errors linearly errs on the safe side.
        value = self.value + other.value
        return Term(value, np.abs(value) + self.error + other.error)

    @property
    def error(self) -> np.ndarray:
        """(M,) standard deviations."""
        return self.size - np.abs(self.value)


@dataclass(frozen=True)
class Growth:
    """How the ratio of neighbouring terms grows with the order."""

    legs: int
    N: float
    odd: bool = False

    def factor(self, n: int, stride: int) -> float:
        """Ratio from order n on over the ratio that led to order n.

        Contractions of n vertices of p legs, (pn + 1)!!/n!, count for theories without index; the diagrams of one
        width order grow as (n + 1)/n, and those of the next ones come with 1/N.
        """
        plain = (n + stride) / n
        before, here, after = (_pairings(self.legs, m) for m in (max(n - stride, 0), n, n + stride))
        pairings = min(math.exp(min(after - 2 * here + before, 99.0)), FASTEST)
        return plain + max(0.0, pairings - plain) / self.N


def _pairings(legs: int, n: int) -> float:
    """Logarithm of (legs·n + 1)!!/n! up to a power of 2 that is linear in n."""
    return math.lgamma(legs * n / 2 + 1.5) - math.lgamma(n + 1) + legs * n / 2 * math.log(2)


def following(terms: Mapping[int, Term], order: int, growth: Growth, gap: int, expected: float = 0.0) -> np.ndarray:
    """(M,) size of all that follows these terms, by order; orders without diagrams are not among them.

    `expected` is a ratio of neighbouring terms that is known from elsewhere, for where a single term tells of none.
    """
    orders = sorted(terms)
    known = [terms[n] for n in orders]
    if order - orders[-1] >= gap:
        return 0 * known[-1].size
    if len(known) == 1:
        return alone(known[0].size) * max(1.0, float(geometric(np.array(expected * growth.factor(1, 1)))))
    strides = [b - a for a, b in pairwise(orders)]
    sizes = _without_accidents([term.size for term in known], orders, strides, growth)
    ratio = ratio_of(sizes[-1], sizes[-2]) * growth.factor(orders[-1], strides[-1])
    if len(sizes) > 2:
        ratio = np.maximum(ratio, 2 * ratio_of(sizes[-1], sizes[-2]) - ratio_of(sizes[-2], sizes[-3]))
    gain = np.where(_alternates(known), ratio / (1 + ratio), geometric(ratio))
    last = np.maximum(sizes[-1], sizes[-2]) if growth.odd else sizes[-1]
    # Where the term before vanishes there is no ratio, and as much as the last term may follow.
    return np.where(sizes[-2] > 0, gain, 1.0) * last


def alone(size: np.ndarray) -> np.ndarray:
    """What is left out where a single term is known: as much, and more at times at which it is small beside others."""
    return np.sqrt(size * size.max())


def geometric(ratio: np.ndarray) -> np.ndarray:
    """ratio + ratio² + …; where terms fall slowly or grow, four of the next one, but not more than MOST of the last."""
    return np.maximum(np.minimum(ratio / np.maximum(1 - ratio, CLOSEST), MOST), ratio)


def _without_accidents(
    sizes: list[np.ndarray], orders: list[int], strides: list[int], growth: Growth
) -> list[np.ndarray]:
    """The sizes, each no smaller than its neighbours make believable: a term may cross zero where we look."""
    found = sizes[:2]
    for before, stride, n, size in zip(strides, strides[1:], orders[1:], sizes[2:], strict=False):
        expected = found[-1] * np.minimum(1.0, ratio_of(found[-1], found[-2])) ** (stride / before)
        steady = np.maximum(size, np.where(found[-2] > 0, expected, 0.0))
        factor = growth.factor(n, stride)
        found.append(np.maximum(steady, DAMPED * np.sqrt(size * expected * factor)))
        # The other way round: a ratio is not much larger than the ratio before lets expect.
        found[-2] = np.maximum(found[-2], np.sqrt(found[-3] * found[-1] / (STEEPEST * factor)))
    return found


def ratio_of(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """one/two, and 0 where two is."""
    return np.divide(one, two, out=np.zeros_like(one), where=two > 0)


def _alternates(known: list[Term]) -> np.ndarray:
    """(M,) do the last terms change sign each time, beyond their errors?"""
    clear = np.all([np.abs(term.value) > term.error for term in known[-3:]], axis=0)
    return clear & np.all([a.value * b.value < 0 for a, b in pairwise(known[-3:])], axis=0)
