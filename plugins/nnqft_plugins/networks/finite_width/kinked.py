"""Hermite coefficients of functions of two Gaussian variables that have kinks or jumps (see module `pairs`).

At given u the product φ(α u + β w) φ(α u − β w) is smooth in w between the places where one factor has a kink. These
places cross, and leave the Gaussian's range, at known u. Gauss-Legendre between all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

_RANGE = 10.0
_OUTER, _INNER = 24, 48
"""Nodes between two places, along u and along w."""
_WIDEST = 3.0
"""Of a panel along u."""
_CLOSE = 1e-7


def kinked_coefficients(
    first: Function,
    second: Function,
    sizes: tuple[np.ndarray, np.ndarray],
    rho: np.ndarray,
    degree: int,
    kinks: tuple[float, ...],
) -> np.ndarray:
    """g_mn of first(size_1 x_1)·second(size_2 x_2), both with these kinks, (P, degree + 1, degree + 1)."""
    found = np.zeros((len(rho), degree + 1, degree + 1))
    places = np.array(kinks)
    for n, r in enumerate(rho):
        one, two = places / sizes[0][n], places / sizes[1][n]
        alpha, beta = math.sqrt(max(1 + r, 0.0) / 2), math.sqrt(max(1 - r, 0.0) / 2)
        if beta < _CLOSE:
            u, weights = _nodes(np.concatenate([one, two]))
            values = first(sizes[0][n] * u) * second(sizes[1][n] * u)
            found[n, :, 0] = _waves(u, degree) @ (weights * values)
            continue
        reach = beta * _RANGE
        far = np.concatenate([one - reach, one + reach, two - reach, two + reach])
        u, weights = _nodes(np.concatenate([(one[:, None] + two).ravel() / 2, far]) / alpha)
        edges = np.concatenate([(one - alpha * u[:, None]) / beta, (alpha * u[:, None] - two) / beta], axis=1)
        ends = np.full((len(u), 1), _RANGE)
        edges = np.sort(np.concatenate([-ends, np.clip(edges, -_RANGE, _RANGE), ends], axis=1), axis=1)
        nodes, shares = np.polynomial.legendre.leggauss(_INNER)
        half = np.diff(edges)[:, :, None] / 2
        w = edges[:, :-1, None] + half * (nodes + 1)
        shift = alpha * u[:, None, None]
        values = first(sizes[0][n] * (shift + beta * w)) * second(sizes[1][n] * (shift - beta * w)) * half * shares
        inner = np.einsum("nuij,uij->un", _waves(w, degree), values, optimize=True)
        found[n] = (_waves(u, degree) * weights) @ inner
    return found


def _nodes(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes over the range of a Gaussian, none across any of these places, and their weights."""
    count = math.ceil(2 * _RANGE / _WIDEST)
    edges = np.unique(np.concatenate([np.linspace(-_RANGE, _RANGE, count + 1), np.clip(places, -_RANGE, _RANGE)]))
    nodes, shares = np.polynomial.legendre.leggauss(_OUTER)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (nodes + 1)).ravel(), (half * shares).ravel()


def _waves(z: np.ndarray, degree: int) -> np.ndarray:
    """(degree + 1, …) He_n(z)/√n! times the density of z."""
    found = np.empty((degree + 1, *z.shape))
    found[0] = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    if degree:
        found[1] = z * found[0]
    for n in range(1, degree):
        found[n + 1] = (z * found[n] - math.sqrt(n) * found[n - 1]) / math.sqrt(n + 1)
    return found
