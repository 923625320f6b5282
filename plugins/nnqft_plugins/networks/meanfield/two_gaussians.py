"""How much f of one Gaussian variable differs from f of another, at every correlation ρ ≥ 0, for any activation.

With ρ = cos θ, c = cos(θ/2), s = sin(θ/2), w and δ independent Gaussians of variances c² and s²,

    x = √v (w + δ) ,   y = √v (w − δ) ,   ⟨f(x) f(y)⟩ = ⟨f²⟩ − D(θ) ,   D = ½ ⟨[f(x) − f(y)]²⟩ .

So f is needed once, for all θ: the average over w is tabulated over δ and over 1/c², and D is one integral over δ.
It is exact between the places where x or y enter another panel of f, and panels of δ double in width from 0 on.
For ρ < 0 serve the even and the odd part of f, which are kept apart: ⟨f(x) f(−y)⟩ = ⟨f_e f_e⟩ − ⟨f_o f_o⟩.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.polynomial import chebyshev

from nnqft import Activation
from nnqft_plugins.networks.meanfield.panels import NODES, ORDER, TO_LEGENDRE, WEIGHTS, Panels

MOST_PANELS = 500
"""Of f, beyond which a table takes minutes."""
_OCTAVES = 44
"""Panels of δ begin at 2^−44 of the reach."""
_CONTACTS = 200
_RESOLVED = 1e-11
"""Last coefficients on a panel of δ, over the largest value there."""
_HALVINGS = 6
_FINE = 1e-6
"""δ below which nothing is halved: differences of f are rounding there, and J is a power of δ."""
_AT_ONCE = 400_000
_SHARES = 18
"""Values of 1/c²; e^{−w²/2c²} is a polynomial of that degree in it to rounding."""


class Differences:
    """D of the even and of the odd part of φ at one variance.

    Attributes
    ----------
    variance : float
    error : float
        What panels of δ do not resolve, relative to the largest D.
    """

    def __init__(self, activation: Activation, variance: float, panels: Panels) -> None:
        self.variance = variance
        self._value, self._scale = activation.value, math.sqrt(variance)
        self._panel_edges = np.unique(np.round(np.abs(np.append(panels.edges, 0.0)), 15))
        self._reach = float(self._panel_edges[-1])
        x = np.cos((np.arange(_SHARES) + 0.5) * np.pi / _SHARES)
        self._shares = 1.5 + x / 2
        to_series = 2 / _SHARES * chebyshev.chebvander(x, _SHARES - 1)
        to_series[:, 0] /= 2
        self._delta, self._weight, values, self.error = self._resolved(self._first_edges(activation.kinks))
        self._series = values @ to_series  # (δ, 2, shares)

    def __call__(self, theta: np.ndarray, part: int | None = None) -> np.ndarray:
        """D at each 0 < θ ≤ π/2; with `part` that of the even part, 0, or the odd one, 1, alone."""
        flat = np.ravel(theta)
        pieces = np.array_split(flat, max(1, math.ceil(len(flat) * len(self._delta) / _AT_ONCE)))
        series = self._series.sum(axis=1) if part is None else self._series[:, part]
        return np.concatenate([self._at(piece, series) for piece in pieces]).reshape(np.shape(theta))

    def _at(self, theta: np.ndarray, series: np.ndarray) -> np.ndarray:
        s, share = np.sin(theta / 2), 1 / np.cos(theta / 2) ** 2
        powers = chebyshev.chebvander(2 * share - 3, _SHARES - 1)
        with np.errstate(under="ignore"):
            density = (
                np.exp(-((self._delta / s[:, None]) ** 2) / 2) * self._weight / (s[:, None] * math.sqrt(math.pi / 2))
            )
        return ((density @ series) * powers).sum(axis=1)

    def _first_edges(self, kinks: tuple[float, ...]) -> np.ndarray:
        """Of δ: ever wider, and where x and y pass two kinks at once."""
        octaves = self._reach * 2.0 ** np.arange(-_OCTAVES, 1)
        both = {abs(k) for k in kinks}
        contacts = {abs(a + sign * b) / (2 * self._scale) for a, b in product(both, both) for sign in (1, -1)}
        inside = [x for x in contacts if 0 < x < self._reach]
        return np.unique([0.0, *octaves, *(inside if len(inside) <= _CONTACTS else ())])

    def _resolved(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Nodes and weights of δ, J at these, and what is left: panels are halved where J is no polynomial."""
        left, right = edges[:-1], edges[1:]
        found, error, largest = [], 0.0, 0.0
        for halving in range(_HALVINGS + 1):
            half = (right - left)[:, None] / 2
            delta = left[:, None] + half * (NODES + 1)
            J = self._averaged(delta.ravel()).reshape(len(left), ORDER, 2, _SHARES)
            ends = J[..., [0, -1]]
            rest = np.abs(np.einsum("pnxq,nk->pkxq", ends, TO_LEGENDRE[:, -2:])).max(axis=(1, 2, 3))
            size = np.abs(ends).max(axis=(1, 2, 3))
            rough = (rest > _RESOLVED * size) & (left > _FINE)
            split = rough & (halving < _HALVINGS)
            largest = max(largest, float(size.max(initial=0.0)))
            if (given_up := rough & ~split).any():
                error = max(error, float((rest * half[:, 0] / (left + 1e-300))[given_up].max()))
            keep = ~split
            found.append((delta[keep].ravel(), (half * WEIGHTS)[keep].ravel(), J[keep].reshape(-1, 2, _SHARES)))
            if not split.any():
                break
            middle = (left[split] + right[split]) / 2
            left, right = np.concatenate([left[split], middle]), np.concatenate([middle, right[split]])
        delta, weight, J = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return delta, weight, J, error / largest if largest else 0.0

    def _averaged(self, delta: np.ndarray) -> np.ndarray:
        """J(δ, 1/c²), the average over w at each δ: (δ, 2, shares)."""
        width = 3 * len(self._panel_edges) * ORDER
        parts = np.array_split(delta, max(1, math.ceil(len(delta) * width / _AT_ONCE)))
        return np.concatenate([self._over_w(part[:, None]) for part in parts])

    def _over_w(self, delta: np.ndarray) -> np.ndarray:
        e = self._panel_edges
        edges = np.sort(np.clip(np.concatenate([e - delta, delta - e, e + delta], axis=1), 0.0, self._reach), axis=1)
        half = np.diff(edges, axis=1)
        used = np.flatnonzero(half.any(axis=0))
        half = half[:, used, None] / 2
        w = edges[:, used, None] + half * (NODES + 1)
        shift = delta[:, :, None]
        x, y = self._scale * (w + shift), self._scale * (w - shift)
        with np.errstate(all="ignore"):
            one, other = self._value(x) - self._value(y), self._value(-x) - self._value(-y)
            even, odd = ((one + sign * other) ** 2 / 4 * (half * WEIGHTS) for sign in (1, -1))
            found = np.empty((len(delta), 2, _SHARES))
            for n, share in enumerate(self._shares):
                density = np.exp(-share / 2 * w**2)
                for part, values in enumerate((even, odd)):
                    found[:, part, n] = np.einsum("dwn,dwn->d", values, density) * math.sqrt(share / (2 * math.pi))
        return found
