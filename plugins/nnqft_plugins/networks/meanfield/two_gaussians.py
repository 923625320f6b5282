"""Averages ⟨f(x) f(y)⟩ over two Gaussian variables, at every correlation ρ from −1 to 1, of any activation.

With ρ = cos θ, z and u independent unit Gaussians, c = cos(θ/2), s = sin(θ/2),

    x = √v (c z + s u) ,   y = √v (c z − s u) ,   ⟨f(x) f(y)⟩ = ⟨f²⟩ − D(θ) ,   D = ½ ⟨[f(x) − f(y)]²⟩ .

The inner integral, over z, is exact between the places where x or y enter another panel of f; the outer is adaptive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnqft import Activation
from nnqft_plugins.networks.meanfield.gaussian import Average, panels_of
from nnqft_plugins.networks.meanfield.panels import NODES, WEIGHTS, Panels, resolve

_TOLERANCE = 1e-12
_MOST_AT_ONCE = 1_000_000
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


def average_of_product(activation: Activation, variances: tuple[float, float], rho: float) -> Average:
    """⟨φ(x) φ(y)⟩ for Gaussian x, y of these variances and correlation coefficient, and a bound of its error.

    The error is relative to √(⟨φ(x)²⟩⟨φ(y)²⟩): inf for both where φ grows too fast.
    """
    one, other = (panels_of(activation.value, v, activation.kinks) for v in variances)
    if not (one.finite and other.finite):
        return Average(math.inf, math.inf)
    size = math.sqrt(math.prod(float((p.weight * p.value**2).sum()) for p in (one, other)))
    plane = Plane(activation, variances, (one, other))
    value, left = plane.average(math.acos(min(max(rho, -1.0), 1.0)), np.multiply)
    # As for one variable: what panels do not resolve of φ itself counts, too.
    return Average(value, size * (1e-12 + left + 10 * (one.error + other.error)))


@dataclass(frozen=True)
class Plane:
    """The plane of z and u, for one pair of variances."""

    activation: Activation
    variances: tuple[float, float]
    panels: tuple[Panels, Panels]

    def average(self, theta: float, combine: Combine, half: bool = False) -> tuple[float, float]:
        """⟨combine(f(x), f(y))⟩, and what was not resolved; `half` if x and y may change places."""
        # Beyond a right angle z and u change their parts, and y its sign: z always enters with the larger factor.
        sign = 1.0 if theta <= math.pi / 2 else -1.0
        c, s = sorted((math.cos(theta / 2), math.sin(theta / 2)), reverse=True)
        reach = max(abs(float(edge)) for panels in self.panels for edge in panels.edges[[0, -1]])
        inner = partial(self._inner, c=c, s=s, sign=sign, reach=reach, combine=combine)
        edges = self._outer_edges(s, sign, reach)
        half = half and sign > 0
        edges = edges[edges >= 0] if half else edges
        _, integral, left = resolve(inner, edges, tolerance=_TOLERANCE, least=1e-7)
        return integral * (2 if half else 1), left

    def _outer_edges(self, s: float, sign: float, reach: float) -> np.ndarray:
        """Of u: about 0, where x = y, and about the places where x and y pass kinks at once."""
        scales = [math.sqrt(max(v, 1e-200)) for v in self.variances]
        kinks = self.activation.kinks
        contacts = [(a / scales[0] - sign * b / scales[1]) / (2 * s) for a in kinks for b in kinks] if s else []
        near = [0.5 * 2.0**n for n in range(-60, 1) if 2.0**n * max(scales) * s > 0.5]
        inside = [0.0, *near, *np.arange(2.5, reach - 1, 2.5), reach]
        edges = np.array([*inside, *(-x for x in inside), *(x for x in contacts if abs(x) < reach)])
        return np.unique(np.round(edges, 13))

    def _inner(self, u: np.ndarray, *, c: float, s: float, sign: float, reach: float, combine: Combine) -> np.ndarray:
        """The integral over z at each u, times the density of u."""
        flat = u.ravel()
        width = 2 * max(len(p.edges) for p in self.panels) * len(NODES)
        parts = np.array_split(flat, max(1, math.ceil(len(flat) * width / _MOST_AT_ONCE)))
        found = np.concatenate([self._over_z(part, c, s, sign, reach, combine) for part in parts])
        return (found * np.exp(-(flat**2) / 2) / (2 * math.pi)).reshape(u.shape)

    def _over_z(self, u: np.ndarray, c: float, s: float, sign: float, reach: float, combine: Combine) -> np.ndarray:
        one, other = self.panels
        shift = s * u[:, None]
        with np.errstate(all="ignore"):
            edges = np.concatenate([(one.edges - shift) / c, (sign * other.edges + shift) / c], axis=1)
        edges = np.sort(np.clip(np.nan_to_num(edges), -reach, reach), axis=1)
        half = np.diff(edges, axis=1)[..., None] / 2
        z = edges[:, :-1, None] + half * (NODES + 1)
        f, (v, w) = self.activation.value, self.variances
        with np.errstate(all="ignore"):
            both = combine(
                f(math.sqrt(v) * (c * z + shift[..., None])), f(sign * math.sqrt(w) * (c * z - shift[..., None]))
            )
            return np.einsum("unk,unk,k->u", both * np.exp(-(z**2) / 2), half * np.ones(len(NODES)), WEIGHTS)
