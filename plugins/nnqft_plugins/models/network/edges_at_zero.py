"""Averages of an activation with one kink or jump, at h = 0, and straight otherwise: elementary at any two variances.

The recursions of `edges` for a = b = 0 and ⟨x²⟩ = v, ⟨y²⟩ = w, ⟨xy⟩ = c, written for an array namespace: they are
factors of vertices from rest, where variances grow from 0 and no table of two times could hold what happens there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nnqft import Activation
from nnqft_plugins.models.network.edges import take_apart
from nnqft_plugins.models.network.tabulated import rest_kernel

Array = Any

_SINGULAR = 1e-13
"""What 1 − ρ² is held above."""


@dataclass(frozen=True)
class Bent:
    """φ(h) = start + slope·h + jump·θ(h) + bend·max(0, h)."""

    start: float
    slope: float
    jump: float
    bend: float

    def __call__(self, c: Array, v: Array, w: Array) -> Array:
        """⟨φ(x) φ(y)⟩ at arrays that broadcast."""
        return self.average(0, 0, c, v, w, np)

    def average(self, p: int, q: int, c: Array, v: Array, w: Array, xp: ModuleType) -> Array:
        """⟨φ^(p)(x) φ^(q)(y)⟩; 0 at the origin of both."""
        tiny = 1e-100
        v, w = xp.maximum(v, tiny), xp.maximum(w, tiny)
        total: Array = 0.0 * c
        for first, m in ((self.jump, -p), (self.bend, 1 - p)):
            for second, n in ((self.jump, -q), (self.bend, 1 - q)):
                if first and second:
                    total = total + first * second * _two(m, n, c, v, w, xp)
        # A straight part with itself and with the edge, by either order of both.
        total = total + {(0, 0): self.start**2 + self.slope**2 * c, (1, 1): self.slope**2}.get((p, q), 0.0)
        if p + q == 1:
            total = total + self.start * self.slope
        total = total + self._mixed(p, q, c, w, xp)
        return total + self._mixed(q, p, c, v, xp)

    def _mixed(self, p: int, q: int, c: Array, w: Array, xp: ModuleType) -> Array:
        """⟨line^(p)(x) edge^(q)(y)⟩."""
        if p == 0:
            return self.start * self._edge(q, w, xp) + self.slope * c * self._edge(q + 1, w, xp)
        return self.slope * self._edge(q, w, xp) if p == 1 else 0.0

    def _edge(self, n: int, w: Array, xp: ModuleType) -> Array:
        """⟨edge^(n)⟩."""
        return self.jump * _one(-n, w, xp) + self.bend * _one(1 - n, w, xp)


def bent_of(activation: Activation) -> Bent | None:
    """The activation in these terms, None if it is something else."""
    parts = take_apart(activation)
    if parts.line is None or any(edge.at for edge in parts.edges):
        return None
    (edge,) = parts.edges
    return Bent(*parts.line, edge.jump, edge.bend)


def bent_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """⟨φ^(p)(h(t)) φ^(q)(h(s))⟩/(p! q!) on the mean-field line whose parameters are ``params["line"]``."""
    line, p, q = dict(params["line"]), params["p"], params["q"]
    c, v, w = rest_kernel(t, s, line, xp), rest_kernel(t, t, line, xp), rest_kernel(s, s, line, xp)
    return Bent(*params["phi"]).average(p, q, c, v, w, xp) / (math.factorial(p) * math.factorial(q))


def _one(m: int, w: Array, xp: ModuleType) -> Array:
    """⟨e_m(y)⟩."""
    if m > 0:
        return xp.sqrt(w / (2 * math.pi))
    if m == 0:
        return 0.5
    return _at_zero(-m - 1) / math.sqrt(2 * math.pi) * w ** (m / 2)


def _two(m: int, n: int, c: Array, v: Array, w: Array, xp: ModuleType) -> Array:
    """⟨e_m(x) e_n(y)⟩."""
    if m > 0:
        return (v * _two(m - 2, n, c, v, w, xp) + c * _two(m - 1, n - 1, c, v, w, xp)) / m
    if n > 0 or (n == 0 and m < 0):
        return _two(n, m, c, w, v, xp)
    if m == n == 0:
        return 0.25 + xp.arcsin(xp.clip(c / xp.sqrt(v * w), -1.0, 1.0)) / (2 * math.pi)
    s = xp.sqrt(v * xp.maximum(1 - c * c / (v * w), _SINGULAR))
    order = -n - 1
    total: Array = 0.0
    for j in range(order + 1):
        k = order - j
        # p^(k)(0) g_(m−j)(0), with the signs of (−∂)^order
        given: Array = 0.5
        if m - j < 0:
            i = j - m - 1
            given = (-1) ** i * _at_zero(i) / math.sqrt(2 * math.pi) / s ** (1 + i)
        density = _at_zero(k) / math.sqrt(2 * math.pi) * w ** (-(k + 1) / 2)
        total = total + math.comb(order, j) * density * (-c / w) ** j * given
    return total


def _at_zero(k: int) -> float:
    """He_k(0)."""
    return 0.0 if k % 2 else float((-1) ** (k // 2) * math.prod(range(1, k, 2)))
