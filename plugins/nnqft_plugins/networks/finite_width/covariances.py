"""Covariances ⟨⟨g ; g'⟩⟩ of several functions of one pair of times with several of many other pairs, at once.

They are sums over products of powers of the correlations between the two pairs (module `pairs`), which are the same for
all functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from nnqft_plugins.networks.finite_width.pairs import Crossing, power_table

_RATIO = 0.9
"""At most so much is taken to be left of a degree in the next one."""


@dataclass(frozen=True)
class _Products:
    """All products of degree s: m of the first pair, m' (`to`) of the other, k of uu, and their factors."""

    m: np.ndarray
    to: np.ndarray
    k: np.ndarray
    factors: np.ndarray


@cache
def _products(s: int) -> _Products:
    entries = [
        (to, m, k) for to in range(s + 1) for m in range(s + 1) for k in range(max(0, to - s + m), min(m, to) + 1)
    ]
    to, m, k = np.array(entries).T
    fact = np.array([float(math.factorial(n)) for n in range(s + 1)])
    roots = np.sqrt(fact[m] * fact[s - m] * fact[to] * fact[s - to])
    return _Products(m, to, k, roots / (fact[k] * fact[m - k] * fact[to - k] * fact[s - m - to + k]))


def covariances(
    left: Mapping[str, np.ndarray],
    right: Mapping[str, np.ndarray],
    wanted: Sequence[tuple[str, str]],
    crossing: Crossing,
    degree: int,
    whole: bool = False,
) -> dict[tuple[str, str], np.ndarray]:
    """⟨⟨g ; g'⟩⟩ of one pair with P' others, with what higher degrees are likely to add.

    Parameters
    ----------
    left
        Name → (degree + 1, degree + 1) coefficients of a function of the one pair.
    right
        Name → (P', degree + 1, degree + 1) coefficients of a function of the others.
    wanted
        Which with which.
    crossing
        Of (P',) entries.
    degree
        The highest that is summed.
    whole
        There are no higher ones.

    Returns
    -------
    dict
        A (P',) array for each that is wanted.
    """
    powers = [power_table(x, degree) for x in (crossing.uu, crossing.uw, crossing.wu, crossing.ww)]
    terms: dict[tuple[str, str], list[np.ndarray]] = {each: [] for each in wanted}
    for s in range(1, degree + 1):
        row = np.arange(s + 1)
        own = {name: g[row, s - row] for name, g in left.items()}
        others = {name: g[:, row, s - row] for name, g in right.items()}
        for name, term in _of_degree(s, own, others, wanted, powers).items():
            terms[name].append(term)
    return {each: np.sum(parts, axis=0) if whole else with_tail(parts) for each, parts in terms.items()}


def _of_degree(
    s: int,
    left: Mapping[str, np.ndarray],
    right: Mapping[str, np.ndarray],
    wanted: Sequence[tuple[str, str]],
    powers: list[np.ndarray],
) -> dict[tuple[str, str], np.ndarray]:
    """The terms of degree s."""
    uu, uw, wu, ww = powers
    found = {each: np.zeros(uu.shape[1]) for each in wanted}
    active = [each for each in wanted if left[each[0]].any() and right[each[1]].any()]
    if not active:
        return found
    every = _products(s)
    one = np.any([left[a] != 0.0 for a, _ in active], axis=0)
    two = np.any([(right[b] != 0.0).any(axis=0) for _, b in active], axis=0)
    kept = np.flatnonzero(one[every.m] & two[every.to])
    m, to, k, factors = (each[kept] for each in (every.m, every.to, every.k, every.factors))
    products = uu[k] * uw[m - k]
    products *= wu[to - k]
    products *= ww[s - m - to + k]
    names = list(dict.fromkeys(a for a, _ in active))
    weights = np.array([left[name][m] * factors for name in names])
    places = np.flatnonzero(two)
    bounds = np.searchsorted(to, [*places, s + 1])
    for n, place in enumerate(places):
        part = slice(bounds[n], bounds[n + 1])
        inner = dict(zip(names, weights[:, part] @ products[part], strict=True))
        for a, b in active:
            found[a, b] += right[b][:, place] * inner[a]
    return found


def with_tail(terms: list[np.ndarray]) -> np.ndarray:
    """The sum of all terms with what would follow, two degrees at a time: one parity may be missing."""
    total = np.sum(terms, axis=0)
    if len(terms) < 4:
        return total
    last, before = terms[-1] + terms[-2], terms[-3] + terms[-4]
    ratio = np.divide(last, before, out=np.zeros_like(last), where=np.abs(before) > 1e-300)
    ratio = np.clip(ratio, 0.0, _RATIO)
    return total + last * ratio / (1 - ratio)
