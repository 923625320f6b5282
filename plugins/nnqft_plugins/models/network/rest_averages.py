"""Averages of φ and its derivatives over the mean-field process from rest, as tables of two times.

    ⟨φ^(p)(h(t)) φ^(q)(h(s))⟩/(p! q!)   over earlier time × lag, by cubics

Unlike those of a stationary process they are not symmetric in t and s unless p = q: the variances differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from nnqft import Activation, Propagator
from nnqft_plugins.models.network.derivatives import derivative_factors, smooth_coefficients
from nnqft_plugins.models.network.tabulated import cubic_weights
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.pairs import overlap

Array = Any

_NODES = 72
"""Of a table, along each of its sides."""
_CHEBYSHEV = 48
"""Variances at which the activation is averaged."""


@dataclass(frozen=True)
class ActivationAverage:
    """⟨φ(x) φ(y)⟩ of any φ at covariances c and variances v, w: for v of shape (n, 1) and w of (n,), the same."""

    activation: Activation

    def __call__(self, c: Array, v: Array, w: Array) -> Array:
        """The average on the square grid."""
        variance = np.maximum(w, 0.0)
        b, _ = hermite(self.activation.value, variance, 1e-13, self.activation.kinks)
        size = np.sqrt(np.outer(variance, variance))
        rho = np.divide(c, size, out=np.zeros_like(c), where=size > 0)
        return overlap(b, np.clip(rho, -1.0, 1.0))


@dataclass(frozen=True)
class RestGrid:
    """The pairs of times that averages are tabulated at: earlier time and lag, each at even steps of τ/(τ + scale).

    Attributes
    ----------
    line : Propagator
        C_MF(t,s).
    horizon, latest, scale : float
        The times that matter, those that the line knows, and a few times its correlation time.
    between : Propagator or None
        C between two noise histories, where the two times are of these; None where they are of one.
    """

    line: Propagator
    horizon: float
    latest: float
    scale: float
    between: Propagator | None = None

    @property
    def step(self) -> float:
        """Of the nodes."""
        return self.horizon / (self.horizon + self.scale) / (_NODES - 1)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Later and earlier times of the nodes, (n, n) each.

        Where the later one is beyond what the line knows, both are earlier: only interpolation across the horizon
        looks there.
        """
        u = self.step * np.arange(_NODES)
        early, lag = np.meshgrid(self.scale * u / (1 - u), self.scale * u / (1 - u), indexing="ij")
        lag = np.minimum(lag, self.latest)
        early = np.minimum(early, self.latest - lag)
        return early + lag, early

    @cached_property
    def covariances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C(t,s), C(t,t) and C(s,s) there."""
        late, early = self.pairs
        return (self.between or self.line)(late, early), self.line(late, late), self.line(early, early)

    @cached_property
    def correlations(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """ρ there, and the roots of both variances; 0 at time 0."""
        covariance, *both = self.covariances
        late, early = (np.sqrt(np.maximum(variance, 0.0)) for variance in both)
        size = late * early
        return np.divide(covariance, size, out=np.zeros_like(size), where=size > 0.0), (late, early)

    @property
    def largest(self) -> float:
        """The largest variance."""
        return float(self.covariances[1].max())

    def coefficients(self, activation: Activation, top: int) -> tuple[np.ndarray, np.ndarray]:
        """a_n of φ at the later and the earlier time of each node, (orders, n, n) each.

        In √v each a_n is smooth and even or odd, and interpolated by Chebyshev polynomials.
        """
        _, *both = self.covariances
        largest = math.sqrt(self.largest)
        angle = (np.arange(_CHEBYSHEV) + 0.5) * np.pi / (2 * _CHEBYSHEV)
        nodes = (largest * np.cos(angle)) ** 2
        a = smooth_coefficients(activation.value, nodes, activation.coefficients is not None, activation.kinks)
        n = np.arange(a.shape[1])
        # Nodes are those of 2M points on [−√v, √v]; the half with v > 0 knows the other.
        k = np.arange(2 * _CHEBYSHEV)
        series = 2 / _CHEBYSHEV * np.cos(np.outer(k, angle)) @ a / (1 + (k == 0))[:, None]
        series[(k[:, None] + n) % 2 == 1] = 0.0
        found = []
        for variance in both:
            root = np.sqrt(np.maximum(variance, 0.0)).ravel()
            values = np.cos(np.outer(np.arccos(np.minimum(root / largest, 1.0)), k)) @ series
            padded = np.pad(values.T, ((0, top), (0, 0)))
            found.append(padded.reshape(-1, _NODES, _NODES))
        return found[0], found[1]


def reach_beyond(horizon: float, scale: float) -> float:
    """How far beyond the horizon the nodes lie that interpolation up to it looks at, but no more than matters.

    Two nodes further both in earlier time and in lag; where that is far, C no longer knows of the start or is flat.
    """
    step = horizon / (horizon + scale) / (_NODES - 1)
    return min(2 * step * (scale**2 + (horizon + scale) ** 2) / scale, 2 * scale)


def pair_table(
    grid: RestGrid, coefficients: tuple[np.ndarray, np.ndarray], p: int, q: int
) -> tuple[tuple[str, Any], ...]:
    """Parameters of `pair_kernel` for one p and q."""
    late, early = coefficients
    rho, roots = grid.correlations
    tables = []
    orders = ((late, early, roots), (early, late, roots[::-1]))[: 1 if p == q else 2]
    for first, second, (one, other) in orders:
        with np.errstate(divide="ignore"):
            scales = np.where((one > 0.0) & (other > 0.0), one**-p * other**-q, 0.0)
        table = _average(first, second, rho, p, q) * scales
        # At time 0, where a_n v^{−n/2} is not known, by cubics through the next four: at one lag, where C has no kink.
        table[0] = 4 * table[1] - 6 * table[2] + 4 * table[3] - table[4]
        tables.append(table)
    return (("step", grid.step), ("scale", grid.scale), ("table", np.stack(tables).tobytes()))


def _average(first: np.ndarray, second: np.ndarray, rho: np.ndarray, p: int, q: int) -> np.ndarray:
    """Σ_r ρ^r a_{p+r} a_{q+r} at all nodes."""
    count = len(first) - max(p, q)
    total = np.zeros_like(rho)
    for r, factor in reversed(list(enumerate(derivative_factors(p, q, count).tolist()))):
        total *= rho
        if first[p + r].any() and second[q + r].any():  # those of the other parity are zero
            total += factor * first[p + r] * second[q + r]
    return total


def pair_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """A table over earlier time and lag for t ≥ s, and another for t < s unless they are the same."""
    lag, early, scale = xp.abs(t - s), xp.minimum(t, s), params["scale"]
    flat = xp.asarray(np.frombuffer(params["table"]))
    first_early, weights_early = cubic_weights(early / (early + scale) / params["step"], _NODES, xp)
    first_lag, weights_lag = cubic_weights(lag / (lag + scale) / params["step"], _NODES, xp)
    start = first_early * _NODES + first_lag
    if flat.shape[0] > _NODES**2:
        start = start + xp.asarray(t < s, dtype=int) * _NODES**2
    value: Array = 0.0
    for a in range(4):
        row = start + a * _NODES
        value = value + weights_early[a] * sum(weights_lag[b] * xp.take(flat, row + b) for b in range(4))
    return value
