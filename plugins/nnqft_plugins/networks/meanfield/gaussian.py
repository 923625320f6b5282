"""Gaussian averages ⟨f(x) f(y)⟩ by Hermite expansion.

With f(√c z) = Σ_r b_r(c) He_r(z)/√r! and x, y Gaussian of variances c, c' and covariance ρ√(cc') (Mehler),

    ⟨f(x) f(y)⟩ = Σ_r b_r(c) b_r(c') ρ^r .

The b_r are integrals over one variable. The trapezoidal rule converges geometrically for an analytic f, however close
its poles; for a polynomial it is exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

_RANGE = 14.0
"""Where a unit Gaussian times a power 28 is below rounding."""
_NODES = (225, 449, 897, 1793)
"""Each has the nodes of the one before."""


@cache
def _basis(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z, and (nodes, orders) weights w with b_r = Σ_z f(√c z) w[z, r]."""
    z = np.linspace(-_RANGE, _RANGE, nodes)
    spacing = z[1] - z[0]
    orders = min(2048, int(1 / spacing**2))  # the local wave number √r of He_r must be resolved
    functions = np.zeros((orders, nodes))
    functions[0] = np.exp(-(z**2) / 4)
    functions[1] = z * functions[0]
    for r in range(1, orders - 1):
        functions[r + 1] = (z * functions[r] - np.sqrt(r) * functions[r - 1]) / np.sqrt(r + 1)
    return z, (functions * functions[0]).T * spacing / np.sqrt(2 * np.pi)


def hermite(
    function: Callable[[np.ndarray], np.ndarray], variance: np.ndarray, accuracy: float = 1e-13
) -> tuple[np.ndarray, float]:
    """Coefficients b_r of f(√c z) for each variance c, shape (len(variance), orders).

    The order is raised until what is left of Σ b_r² = ⟨f²⟩ is below `accuracy`, or no more can be had; what is left
    goes into the last coefficient, so that ⟨f(x)²⟩ is exact. Trailing zeros are cut.

    Returns
    -------
    b, left
        The largest part of ⟨f²⟩ that was left over, relative.
    """
    c = np.atleast_1d(np.asarray(variance, dtype=float))
    for nodes in _NODES:
        z, weights = _basis(nodes)
        with np.errstate(all="ignore"):
            values = function(np.sqrt(c)[:, None] * z)
            b = values @ weights
            square = values**2 @ weights[:, 0]
            size = (b**2).sum(axis=1)
            left = np.max(np.abs(square - size) / np.maximum(square, 1e-300)) if square.any() else 0.0
        if not np.isfinite(b).all() or left < accuracy:
            break
    with np.errstate(all="ignore"):
        needed = np.flatnonzero((b**2 > 1e-4 * accuracy * square[:, None]).any(axis=0))
        b = b[:, : needed[-1] + 1 if needed.size else 1].copy()
        b[np.abs(b) < 1e-15 * np.sqrt(square)[:, None]] = 0.0  # those of the other parity
        rest = np.maximum(square - (b**2).sum(axis=1), 0.0)
        b[:, -1] = np.copysign(np.sqrt(b[:, -1] ** 2 + rest), b[:, -1])
    return b, float(left) if np.isfinite(left) else np.inf


def overlap(b: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """⟨f(x_t) f(x_s)⟩ for all pairs from b of shape (T, orders) and the correlation coefficients ρ of shape (T, T)."""
    total = np.zeros_like(rho)
    for r in range(b.shape[1] - 1, -1, -1):
        total = total * rho + np.outer(b[:, r], b[:, r])
    return total


def gauss() -> tuple[np.ndarray, np.ndarray]:
    """Nodes z and weights w: ⟨f(z)⟩ = Σ w f(z) for a unit Gaussian."""
    z, weights = _basis(_NODES[2])
    return z, weights[:, 0]


def average_of_square(function: Callable[[np.ndarray], np.ndarray], variance: np.ndarray) -> np.ndarray:
    """⟨f(x)²⟩ for each variance, of its shape."""
    c = np.asarray(variance, dtype=float)
    z, weights = gauss()
    with np.errstate(all="ignore"):
        return function(np.sqrt(c)[..., None] * z) ** 2 @ weights
