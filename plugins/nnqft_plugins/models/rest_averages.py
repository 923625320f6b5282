"""Averages of φ and its derivatives over the mean-field process from rest, as tables of two times.

    ⟨φ^(p)(h(t)) φ^(q)(h(s))⟩/(p! q!)   over earlier time × lag, by cubics as the mean-field line itself (`tabulated`)

Unlike those of a stationary process they are not symmetric in t and s unless p = q: the variances differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nnqft import Activation
from nnqft_plugins.meanfield.gaussian import hermite, overlap
from nnqft_plugins.models.derivatives import derivative_factors, smooth_coefficients
from nnqft_plugins.models.tabulated import cubic_weights

Array = Any

_SPARSE = 2
"""Every second time of the line's grid: C has a step in its second derivative only where t = s, and none in the lag."""
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class ActivationAverage:
    """⟨φ(x) φ(y)⟩ of any φ at covariances c and variances v, w: for v of shape (n, 1) and w of (n,), the same."""

    activation: Activation

    def __call__(self, c: Array, v: Array, w: Array) -> Array:
        """The average on the square grid."""
        variance = np.maximum(w, 0.0)
        b, _ = hermite(self.activation.value, variance, 1e-13)
        size = np.sqrt(np.outer(variance, variance))
        rho = np.divide(c, size, out=np.zeros_like(c), where=size > 0)
        return overlap(b, np.clip(rho, -1.0, 1.0))


@dataclass(frozen=True)
class RestGrid:
    """C(t,s) of the mean-field line on a square grid of times.

    Attributes
    ----------
    step : float
    C : (n, n) array
    """

    step: float
    C: np.ndarray

    @property
    def largest(self) -> float:
        """The largest variance."""
        return float(np.diagonal(self.C).max())

    @property
    def sparse(self) -> np.ndarray:
        """C at the times that vertices are tabulated at."""
        return self.C[::_SPARSE, ::_SPARSE]

    def coefficients(self, activation: Activation, top: int) -> np.ndarray:
        """a_n of φ at each of these times but the first, where h = 0."""
        a = smooth_coefficients(activation.value, np.diagonal(self.sparse)[1:])
        return np.concatenate([a, np.zeros((len(a), top))], axis=1)


def pair_table(grid: RestGrid, a: np.ndarray, p: int, q: int) -> tuple[tuple[str, Any], ...] | None:
    """Parameters of `pair_kernel` for one p and q; None if the average vanishes."""
    C = grid.sparse[1:, 1:]
    root = np.sqrt(np.diagonal(C))
    rho = np.clip(C / np.outer(root, root), -1.0, 1.0)
    count = a.shape[1] - max(p, q)
    factors = derivative_factors(p, q, count)
    first, second = a[:, p : p + count] / root[:, None] ** p, a[:, q : q + count] / root[:, None] ** q
    largest = (np.abs(first) * np.abs(second) * factors).max(axis=1) * root ** (p + q)
    if largest.max() < _NEGLIGIBLE:
        return None
    values = np.zeros_like(rho)
    for r in range(count - 1, -1, -1):
        values = values * rho + factors[r] * np.outer(first[:, r], second[:, r])
    full = np.pad(values, ((1, 0), (1, 0)))
    for _ in range(2):  # at time 0, where the coefficients are 0/0, by cubics through the next four
        full[0] = 4 * full[1] - 6 * full[2] + 4 * full[3] - full[4]
        full = full.T
    size = len(full)
    early, lag = np.indices((size, size))
    late = np.minimum(early + lag, size - 1)
    tables = np.stack([full[late, early], full[early, late]])[: 1 if p == q else 2]
    return (
        ("step", grid.step * _SPARSE),
        ("table", np.where(early + lag < size, tables, 0.0).tobytes()),
        ("size", size),
    )


def pair_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """A table over earlier time × lag for t ≥ s, and another for t < s unless they are the same."""
    lag, early, size = xp.abs(t - s), xp.minimum(t, s), params["size"]
    flat = xp.asarray(np.frombuffer(params["table"]))
    first_early, weights_early = cubic_weights(early / params["step"], size, xp)
    first_lag, weights_lag = cubic_weights(lag / params["step"], size, xp)
    start = first_early * size + first_lag
    if flat.shape[0] > size * size:
        start = start + xp.asarray(t < s, dtype=int) * (size * size)
    value: Array = 0.0
    for a in range(4):
        row = start + a * size
        value = value + weights_early[a] * sum(weights_lag[b] * xp.take(flat, row + b) for b in range(4))
    return value
