"""Functions of two Gaussian variables by their Hermite coefficients, and covariances between two such functions.

x_1, x_2 of unit variance and correlation ρ are turned into independent u, w,

    x_1 = α u + β w ,   x_2 = α u − β w ,   α² = (1+ρ)/2 ,   β² = (1−ρ)/2 ,

and g(x_1, x_2) = Σ_mn g_mn He_m(u) He_n(w)/√(m! n!). Of two pairs whose (u, w) and (u', w') have the 2×2 matrix X of
correlations, the covariance is a sum over the degree s = m + n,

    ⟨⟨g ; g'⟩⟩ = Σ_{s ≥ 1} g_s · Sym^s(X) · g'_s ,

Sym^s(X) the matrix that X makes of the Hermite functions of degree s. Its norm is ≤ 1, and Σ g_mn² = ⟨g²⟩: the sum
converges for all functions that have a variance, however close the two pairs are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

_SPAN = 13.0
_NODES = 261
_MOST_NODES = 2001
_ROWS = 16
_CLOSE = 1e-7
"""β below which both variables are one."""
_NOTHING = 1e-14


@cache
def _basis(degree: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z, and (degree + 1, nodes) weights of the average with He_n(z)/√n!."""
    z = np.linspace(-_SPAN, _SPAN, count)
    waves = np.zeros((degree + 2, len(z)))
    waves[0] = np.exp(-(z**2) / 4)
    waves[1] = z * waves[0]
    for n in range(1, degree + 1):
        waves[n + 1] = (z * waves[n] - math.sqrt(n) * waves[n - 1]) / math.sqrt(n + 1)
    return z, waves[: degree + 1] * waves[0] * (z[1] - z[0]) / math.sqrt(2 * math.pi)


def coefficients(
    first: Function,
    second: Function,
    sizes: tuple[np.ndarray, np.ndarray],
    rho: np.ndarray,
    degree: int,
    finest: float = math.inf,
) -> np.ndarray:
    """g_mn of first(size_1 x_1)·second(size_2 x_2) for each of P pairs, shape (P, degree + 1, degree + 1).

    Both functions are smooth, and `finest` is the distance in h that has to be resolved; for kinks see `kinked`.
    """
    largest = max(float(np.max(size, initial=0.0)) for size in sizes)
    count = min(max(_NODES, 2 * int(_SPAN * largest / finest) + 1), _MOST_NODES)
    z, weights = _basis(degree, count)
    alpha = np.sqrt(np.maximum(1 + rho, 0) / 2)[:, None, None] * z[:, None]
    beta = np.sqrt(np.maximum(1 - rho, 0) / 2)[:, None, None] * z
    found = np.empty((len(rho), degree + 1, degree + 1))
    for start in range(0, len(rho), _ROWS):
        rows = slice(start, start + _ROWS)
        one = first(sizes[0][rows, None, None] * (alpha[rows] + beta[rows]))
        two = second(sizes[1][rows, None, None] * (alpha[rows] - beta[rows]))
        found[rows] = weights @ (one * two) @ weights.T
    found[np.abs(found) < _NOTHING * np.abs(found).max(initial=0.0)] = 0.0
    return found


def lowered(g: np.ndarray, size: np.ndarray, rho: np.ndarray, which: int) -> np.ndarray:
    """Coefficients of ∂g/∂h_1 (`which` = 0) or ∂g/∂h_2 (1), h = size·x: of one degree less. Not for ρ = ±1."""
    roots = np.sqrt(np.arange(1, g.shape[1]))
    by_u = g[:, 1:, :-1] * roots[:, None] / np.sqrt(2 * (1 + rho))[:, None, None]
    by_w = g[:, :-1, 1:] * roots / np.sqrt(2 * (1 - rho))[:, None, None]
    return (by_u + (by_w if which == 0 else -by_w)) / size[:, None, None]


@dataclass(frozen=True)
class Crossing:
    """The entries of X for all combinations of pairs: (u, u'), (u, w'), (w, u'), (w, w')."""

    uu: np.ndarray
    uw: np.ndarray
    wu: np.ndarray
    ww: np.ndarray

    @classmethod
    def of(cls, rho: np.ndarray, rho_other: np.ndarray, between: tuple[np.ndarray, ...]) -> Crossing:
        """From ρ of the pairs 12 and 34 and the correlations 13, 14, 23, 24, all broadcasting against each other."""
        r13, r14, r23, r24 = between
        u, w = (_inverse(np.sqrt(2 * np.maximum(1 + sign * rho, 0))) for sign in (1, -1))
        u_other, w_other = (_inverse(np.sqrt(2 * np.maximum(1 + sign * rho_other, 0))) for sign in (1, -1))
        return cls(
            (r13 + r14 + r23 + r24) * (u * u_other),
            (r13 - r14 + r23 - r24) * (u * w_other),
            (r13 + r14 - r23 - r24) * (w * u_other),
            (r13 - r14 - r23 + r24) * (w * w_other),
        )


def _inverse(x: np.ndarray) -> np.ndarray:
    return np.where(x > _CLOSE, 1 / np.maximum(x, _CLOSE), 0.0)


def covariance(g: np.ndarray, other: np.ndarray, crossing: Crossing, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """⟨⟨g ; g'⟩⟩ for all combinations of pairs, and an estimate of what the degrees that are left out add to it.

    Parameters
    ----------
    g, other
        (P, n, n) and (P', n, n) coefficients.
    crossing
        Of entries that broadcast to (P, P', …).
    degree
        The highest that is summed.

    Returns
    -------
    total, left : (P, P', …) arrays
        The sum with its tail, taken to go on as its last terms do; and the tail.
    """
    entries = (crossing.uu, crossing.uw, crossing.wu, crossing.ww)
    shape = np.broadcast_shapes(*(x.shape for x in entries), (len(g), len(other)) + (1,) * (crossing.uu.ndim - 2))
    total, left = np.empty(shape), np.empty(shape)
    spread = [np.broadcast_to(x, shape) for x in entries]
    columns = other.reshape(other.shape + (1,) * (len(shape) - 2))
    for row in range(shape[0]):
        by_degree = _by_degree(g[row], columns, [x[row] for x in spread], degree)
        total[row], left[row] = _with_tail(by_degree)
    return total, left


def _by_degree(g: np.ndarray, other: np.ndarray, entries: list[np.ndarray], degree: int) -> list[np.ndarray]:
    """The terms of degree 1, 2, … of one pair with all others."""
    powers = [[np.ones(1), x] for x in entries]
    for each in powers:
        for _ in range(degree - 1):
            each.append(each[-1] * each[1])
    uu, uw, wu, ww = powers
    weights = _weights(degree)
    largest = np.abs(other).max(axis=tuple(a for a in range(other.ndim) if a not in (1, 2)))
    terms = []
    for s in range(1, degree + 1):
        term = np.zeros(entries[0].shape)
        for to in range(s + 1):
            if largest[to, s - to] == 0.0:
                continue
            inner: np.ndarray | float = 0.0
            for m in range(s + 1):
                if g[m, s - m] == 0.0:
                    continue
                for k in range(max(0, to - s + m), min(m, to) + 1):
                    weight = g[m, s - m] * weights[s, m, to, k]
                    inner = inner + weight * (uu[k] * uw[m - k]) * (wu[to - k] * ww[s - m - to + k])
            term += other[:, to, s - to] * inner
        terms.append(term)
    return terms


@cache
def _weights(degree: int) -> dict[tuple[int, int, int, int], float]:
    """Of uu^k uw^{m−k} wu^{m'−k} ww^{n−m'+k} in the entry (m, m') of Sym^s, s = m + n."""
    fact = [math.factorial(n) for n in range(degree + 1)]
    return {
        (s, m, to, k): math.sqrt(fact[m] * fact[s - m] * fact[to] * fact[s - to])
        / (fact[k] * fact[m - k] * fact[to - k] * fact[s - m - to + k])
        for s in range(1, degree + 1)
        for m in range(s + 1)
        for to in range(s + 1)
        for k in range(max(0, to - s + m), min(m, to) + 1)
    }


def _with_tail(terms: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The sum of all terms with what would follow, two degrees at a time: one parity may be missing."""
    total = np.sum(terms, axis=0)
    if len(terms) < 4:
        return total, np.abs(terms[-1])
    last, before = terms[-1] + terms[-2], terms[-3] + terms[-4]
    ratio = np.divide(last, before, out=np.zeros_like(last), where=np.abs(before) > 1e-300)
    ratio = np.clip(ratio, 0.0, 0.9)
    tail = last * ratio / (1 - ratio)
    return total + tail, np.abs(tail)


def power_table(x: np.ndarray, degree: int) -> np.ndarray:
    """(degree + 1, …) powers of x."""
    found = np.empty((degree + 1, *x.shape))
    found[0] = 1.0
    for n in range(1, degree + 1):
        np.multiply(found[n - 1], x, out=found[n])
    return found
