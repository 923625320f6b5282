"""Correlation functions of simulated units as polynomials of moments, each averaged over units and networks.

A moment is the average of a product of states, ⟨h_i(t) h_i(s) h_j(u) …⟩ over different units i, j, …; a cumulant is a
sum of products of moments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import permutations

import numpy as np

from nnqft import InputError
from nnqft_plugins.networks.partitions import partitions

Moment = tuple[tuple[float, int], ...]
"""(time, unit) of each factor, units numbered from 0."""
MOST_LEGS = 6
"""Factors of a moment; with more, its tails are too heavy to average."""


@dataclass(frozen=True)
class Polynomials:
    """Numbers that are polynomials of moments.

    Attributes
    ----------
    moments : tuple of Moment
    terms : tuple of tuples of (coefficient, positions)
        For each number its terms: a coefficient times the product of the moments at these positions.
    """

    moments: tuple[Moment, ...]
    terms: tuple[tuple[tuple[float, tuple[int, ...]], ...], ...]

    def numbers(self, mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers and the (numbers, moments) slopes at averages with that covariance, whose bias is taken off.

        A product of averages is too large by their covariance, as a variance over few networks is too small.
        """
        values, slopes = np.zeros(len(self.terms)), np.zeros((len(self.terms), len(mean)))
        for row, terms in enumerate(self.terms):
            for coefficient, places in terms:
                values[row] += coefficient * math.prod(mean[list(places)])
                for n, place in enumerate(places):
                    others = [p for m, p in enumerate(places) if m != n]
                    slopes[row, place] += coefficient * math.prod(mean[others])
                    for m in range(n):
                        rest = [p for k, p in enumerate(places) if k not in (n, m)]
                        values[row] -= coefficient * cov[place, places[m]] * math.prod(mean[rest])
        return values, slopes


def polynomials(rows: Sequence[tuple[Moment, bool]], stationary: bool) -> Polynomials:
    """The numbers for rows of legs, each with whether its cumulant is wanted or its moment."""
    places: dict[Moment, int] = {}
    all_terms = []
    for legs, connected in rows:
        terms: dict[tuple[int, ...], float] = {}
        for blocks in partitions(tuple(range(len(legs)))) if connected else [(tuple(range(len(legs))),)]:
            sign = (-1) ** (len(blocks) - 1) * math.factorial(len(blocks) - 1)
            factors = [canonical(tuple(legs[n] for n in block), stationary) for block in blocks]
            key = tuple(sorted(places.setdefault(factor, len(places)) for factor in factors))
            terms[key] = terms.get(key, 0.0) + sign
        all_terms.append(tuple((coefficient, key) for key, coefficient in terms.items()))
    return Polynomials(tuple(places), tuple(all_terms))


def canonical(legs: Moment, stationary: bool) -> Moment:
    """The same moment whichever way it was written: legs in order, units renumbered, the first time 0 if that is so."""
    first = min(t for t, _ in legs) if stationary else 0.0
    units = sorted({unit for _, unit in legs})
    renamed = (dict(zip(units, order, strict=True)) for order in permutations(range(len(units))))
    return min(tuple(sorted((t - first, names[unit]) for t, unit in legs)) for names in renamed)


def check_legs(legs: Moment, width: int) -> None:
    """Refuse more legs than can be averaged, and more different units than there are."""
    units = len({unit for _, unit in legs})
    if len(legs) > MOST_LEGS:
        raise InputError(f"{len(legs)} legs: wanted at most {MOST_LEGS} in a simulation, as cumulant of four times")
    if units > width:
        raise InputError(f"{units} different units: these networks have N={width}; write a larger N")


def merged(moment: Moment) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Sums over different units as sums over any: for each a coefficient, and the new unit of each old one."""
    units = len({unit for _, unit in moment})
    for blocks in partitions(tuple(range(units))):
        sign = math.prod((-1) ** (len(block) - 1) * math.factorial(len(block) - 1) for block in blocks)
        yield float(sign), tuple(next(n for n, block in enumerate(blocks) if unit in block) for unit in range(units))


def choices(moment: Moment, width: int) -> int:
    """In how many ways different units of a network of that width can be taken."""
    return math.perm(width, len({unit for _, unit in moment}))


def averaged(moment: Moment, factors: Sequence[np.ndarray]) -> np.ndarray:
    """The average over different units of products of states, each (…, N) in the order of the moment: (…)."""
    width = factors[0].shape[-1]
    units = sorted({unit for _, unit in moment})
    products = [_product([f for f, (_, unit) in zip(factors, moment, strict=True) if unit == u]) for u in units]
    total = np.zeros(factors[0].shape[:-1])
    for sign, names in merged(moment):
        alike = [[p for p, name in zip(products, names, strict=True) if name == new] for new in set(names)]
        total += sign * _product([_product(each).sum(axis=-1) for each in alike])
    return total / choices(moment, width)


def _product(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return reduce(np.multiply, arrays)


def wick(moment: Moment, covariance: dict[tuple[float, float], np.ndarray]) -> np.ndarray:
    """The average of a moment over Gaussian networks, of which covariance[t, s] is (U, N, N): (U,)."""
    some = next(iter(covariance.values()))
    total = np.zeros(len(some))
    for sign, names in merged(moment):
        for pairs in pairings(tuple(range(len(moment)))):
            matrices, subscripts = [], []
            for n, m in pairs:
                (t, one), (s, other) = moment[n], moment[m]
                matrices.append(covariance[t, s])
                subscripts.append("u" + "".join("abcdef"[names[unit]] for unit in (one, other)))
            total += sign * np.einsum(",".join(subscripts) + "->u", *matrices, optimize=len(matrices) > 2)
    return total / choices(moment, some.shape[-1])


@cache
def pairings(items: tuple[int, ...]) -> list[list[tuple[int, int]]]:
    """All ways to join items in pairs; none if their number is odd."""
    if not items:
        return [[]]
    first, *others = items
    return [
        [(first, partner), *rest] for partner in others for rest in pairings(tuple(x for x in others if x != partner))
    ]
