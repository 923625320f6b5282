"""Hermite coefficients at many variances, by polynomials in the logarithm of the variance.

A correlator from rest asks for them at hundreds of variances, again and again while it is solved for. In log √v they
are smooth, and a few nodes an octave of √v serve all of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nnqft_plugins.networks.meanfield.remembering import remembered

Function = Callable[[np.ndarray], np.ndarray]
Coefficients = Callable[[Function, np.ndarray, tuple[float, ...], int], tuple[np.ndarray, np.ndarray]]
"""(variances, orders) b and ⟨f²⟩ at each variance, of a function with those kinks, up to that many orders."""

_NODES = (16, 32, 64)
_RESOLVED = 3e-13
"""Last coefficients of polynomials over the root of ⟨f²⟩."""


def at_many(
    direct: Coefficients, function: Function, variance: np.ndarray, kinks: tuple[float, ...], orders: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `direct` gives, with polynomials between where they are good."""
    b, square = np.empty((len(variance), orders)), np.empty(len(variance))
    root = np.sqrt(np.maximum(variance, 0.0))
    with np.errstate(divide="ignore"):
        octave = np.where(root > 1e-100, np.floor(np.log2(root)), -math.inf)
    for n in np.unique(octave):
        here = octave == n
        table = _octave(_Asked(direct, function, kinks), n, orders) if math.isfinite(n) else None
        if table is None:
            b[here], square[here] = direct(function, variance[here], kinks, orders)
            continue
        x = 2 * (np.log2(root[here]) - n) - 1
        values = np.cos(np.outer(np.arccos(np.clip(x, -1.0, 1.0)), np.arange(len(table)))) @ table
        b[here], square[here] = values[:, :-1], values[:, -1]
    return b, square


class _Asked:
    """What is remembered: all that coefficients depend on but the variance."""

    def __init__(self, direct: Coefficients, function: Function, kinks: tuple[float, ...]) -> None:
        self.direct, self.function, self.kinks = direct, function, kinks


@remembered(48)
def _octave(asked: _Asked, octave: float, orders: int) -> np.ndarray | None:
    """Chebyshev coefficients of b and ⟨f²⟩ over 2^octave ≤ √v < 2^(octave + 1), (nodes, orders + 1); None if rough."""
    for nodes in _NODES:
        angle = (np.arange(nodes) + 0.5) * np.pi / nodes
        root = 2.0 ** (octave + (np.cos(angle) + 1) / 2)
        b, square = asked.direct(asked.function, root**2, asked.kinks, orders)
        size = math.sqrt(float(square.max()))
        if not math.isfinite(size):
            return None
        table = 2 / nodes * np.cos(np.outer(np.arange(nodes), angle)) @ np.column_stack([b, square])
        table[0] /= 2
        rest = np.abs(table[-2:]).max(axis=0)
        if rest[:-1].max() <= _RESOLVED * size and rest[-1] <= _RESOLVED * size**2:
            return table
    return None
