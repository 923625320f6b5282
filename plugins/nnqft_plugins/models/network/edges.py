"""Kinks and jumps of an activation, split off from what is smooth, and their Gaussian averages in closed form.

    φ(h) = Σ_k [ jump_k e_0(h − a_k) + bend_k e_1(h − a_k) ] + rest(h) ,   e_1 = max(0, ·), e_0 = θ, e_−1 = δ, e_−2 = δ'

and so on: a derivative lowers the number of an edge by one. With x, y of variance v and covariance c = ρ v, the density
p of y and s² = v (1 − ρ²), for n < 0 and m ≤ 0 (conditioning on y, x is N(ρ y, s²)),

    ⟨e_m(x−a) e_n(y−b)⟩ = (−∂_b)^{−n−1} [ p(b) g_m(b) ] ,   z = (ρb − a)/s ,
    g_0 = Φ(z) ,   g_{−1−j} = (−1)^j He_j(z) Φ'(z)/s^{1+j} ,

and m ⟨e_m e_n⟩ = −a ⟨e_{m−1} e_n⟩ + v ⟨e_{m−2} e_n⟩ + c ⟨e_{m−1} e_{n−1}⟩ (Stein) for m > 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from scipy.special import ndtr

from nnqft import Activation

_STEP = 1e-3
"""From which values at either side of an edge its jump and bend are read off; exact where φ is quadratic there."""
_SMALL = 1e-9
_CHECKED = np.linspace(-8.03, 8.01, 97)
"""Where a rest is checked to be a straight line."""


@dataclass(frozen=True)
class Edge:
    """A place `at` where φ jumps by `jump` and its slope by `bend`."""

    at: float
    jump: float
    bend: float


@dataclass(frozen=True)
class TakenApart:
    """An activation as edges and a rest.

    Attributes
    ----------
    edges : tuple of Edge
    rest : callable
        φ without its edges, as a function of arrays.
    line : (float, float) or None
        Value at 0 and slope of a rest that is a straight line.
    """

    edges: tuple[Edge, ...]
    rest: Callable[[np.ndarray], np.ndarray]
    line: tuple[float, float] | None

    @property
    def jumps(self) -> bool:
        """Is φ itself discontinuous somewhere?"""
        return any(edge.jump for edge in self.edges)


def take_apart(activation: Activation) -> TakenApart:
    """The edges of φ at the kinks that it declares, and what is left."""
    phi = activation.value
    edges = []
    for at in getattr(activation, "kinks", ()):
        above, below = (_one_sided(phi, float(at), side * _STEP) for side in (1, -1))
        jump, bend = above[0] - below[0], above[1] - below[1]
        scale = 1 + abs(above[0]) + abs(above[1])
        edge = Edge(float(at), *(0.0 if abs(x) < _SMALL * scale else x for x in (jump, bend)))
        if edge.jump or edge.bend:
            edges.append(edge)

    if not edges:
        return TakenApart((), phi, None)

    def rest(h: np.ndarray) -> np.ndarray:
        steps = sum((e.jump * (h > e.at) + e.bend * np.maximum(h - e.at, 0.0) for e in edges), np.zeros_like(h))
        return phi(h) - steps

    values = rest(_CHECKED)
    slope, start = np.polyfit(_CHECKED, values, 1)
    straight = np.abs(values - start - slope * _CHECKED).max() < _SMALL * (1 + np.abs(values).max())
    return TakenApart(tuple(edges), rest, (float(start), float(slope)) if straight else None)


def _one_sided(phi: Callable[[np.ndarray], np.ndarray], at: float, step: float) -> tuple[float, float]:
    """Value and slope of φ as h → at from the side of the step."""
    f1, f2, f3 = phi(at + step * np.array([1.0, 2.0, 3.0])).tolist()
    return 3 * f1 - 3 * f2 + f3, (-5 * f1 + 8 * f2 - 3 * f3) / (2 * step)


def edge_coefficients(edges: tuple[Edge, ...], variance: float, count: int) -> np.ndarray:
    """⟨φ He_n⟩/√n! of the edges alone for n < count.

    That is ⟨φ^(n)⟩ v^{n/2}/√n!, and ⟨e_{−1−j}(x − a)⟩ = He_j(z) p(a)/v^{j/2} with z = a/√v.
    """
    total = np.zeros(count)
    for edge in edges:
        z = edge.at / math.sqrt(variance)
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        polynomials = _normalised(z, count)
        above = float(ndtr(-z))
        jump, bend = np.empty(count), np.empty(count)
        jump[0], bend[0] = above, density - z * above
        n = np.arange(1, count)
        jump[1:] = density * polynomials[: count - 1] / np.sqrt(n)
        bend[1:2] = above
        bend[2:] = density * polynomials[: count - 2] / np.sqrt(n[1:] * (n[1:] - 1.0))
        total += edge.jump * jump + edge.bend * math.sqrt(variance) * bend
    return total


def _normalised(z: float, count: int) -> np.ndarray:
    """He_n(z)/√n! for n < count."""
    values = [1.0, z]
    for n in range(1, count):
        values.append((z * values[n] - math.sqrt(n) * values[n - 1]) / math.sqrt(n + 1))
    return np.array(values[:count])


def average_of_two(edges: tuple[Edge, ...], p: int, q: int, covariance: np.ndarray, variance: float) -> np.ndarray:
    """⟨φ^(p)(x) φ^(q)(y)⟩ of the edges alone, at covariances below the variance."""
    c = np.asarray(covariance, dtype=float)
    total = np.zeros_like(c)
    for one in edges:
        for two in edges:
            for first, m in ((one.jump, -p), (one.bend, 1 - p)):
                for second, n in ((two.jump, -q), (two.bend, 1 - q)):
                    if first and second:
                        total += first * second * _two_averages(m, one.at, n, two.at, c, variance)
    return total


def _two_averages(m: int, a: float, n: int, b: float, c: np.ndarray, v: float) -> np.ndarray:
    """⟨e_m(x−a) e_n(y−b)⟩ as in the head of this module."""
    if m > 0:
        lower = -a * _two_averages(m - 1, a, n, b, c, v) + v * _two_averages(m - 2, a, n, b, c, v)
        return (lower + c * _two_averages(m - 1, a, n - 1, b, c, v)) / m
    if n > 0 or (n == 0 and m < 0):
        return _two_averages(n, b, m, a, c, v)
    if m == n == 0:
        return _quadrant(a, b, c, v)
    rho = c / v
    s = np.sqrt(np.maximum(v * (1 - rho) * (1 + rho), 1e-300))
    z = (rho * b - a) / s
    order = -n - 1
    total = np.zeros_like(c)
    for j in range(order + 1):
        # (−∂)^k p = He_k p / v^{k/2}, and ∂_b of g brings ρ.
        k = order - j
        size = math.sqrt(v)
        density = float(hermeval(b / size, [0.0] * k + [1.0])) * math.exp(-b * b / (2 * v))
        density /= math.sqrt(2 * math.pi * v) * size**k
        total += math.comb(order, j) * density * (-rho) ** j * _given(m - j, z, s)
    return total


def _given(m: int, z: np.ndarray, s: np.ndarray) -> np.ndarray:
    """g_m for m ≤ 0: the average of e_m(x − a) at given y."""
    if m == 0:
        return ndtr(z)
    j = -m - 1
    return (-1) ** j * hermeval(z, [0.0] * j + [1.0]) * np.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * s ** (1 + j))


def _quadrant(a: float, b: float, c: np.ndarray, v: float) -> np.ndarray:
    """P(x > a, y > b): Plackett's integral over ρ, in the angle whose sine is ρ."""
    angle = np.arcsin(np.clip(c / v, -1.0, 1.0))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    theta = angle[..., None] * (1 + nodes) / 2
    cosine = np.maximum(np.cos(theta) ** 2, 1e-300)
    exponent = (a * a + b * b - 2 * a * b * np.sin(theta)) / (2 * v * cosine)
    apart = float(ndtr(-a / math.sqrt(v)) * ndtr(-b / math.sqrt(v)))
    return apart + angle / (4 * math.pi) * (np.exp(-exponent) @ weights)
