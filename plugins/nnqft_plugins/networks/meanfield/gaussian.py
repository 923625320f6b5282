"""Averages over one Gaussian variable, of any activation at any variance: ⟨f⟩, ⟨f²⟩, Hermite coefficients.

With f(√c z) = Σ_r b_r(c) He_r(z)/√r! and x, y Gaussian of variances c, c' and covariance ρ√(cc') (Mehler),

    ⟨f(x) f(y)⟩ = Σ_r b_r(c) b_r(c') ρ^r .

The trapezoidal rule converges geometrically for an analytic f and is tried first, on two grids that must agree: shifted
against each other by no simple fraction of their spacing, they see different things of whatever they do not resolve.
Kinks, steps and steep places go to panels (module `panels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

import numpy as np

from nnqft import Activation, InputError
from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.kinds import has_slopes, homogeneous, wave
from nnqft_plugins.networks.meanfield.octaves import at_many
from nnqft_plugins.networks.meanfield.panels import SMALLEST, Panels, gaussian_panels, narrowest, why_unresolved
from nnqft_plugins.networks.meanfield.remembering import remembered

Function = Callable[[np.ndarray], np.ndarray]

_RANGE = 14.0
"""Where a unit Gaussian times a power 28 is below rounding."""
_NODES = (225, 449, 897, 1793)
"""Each has the nodes of the one before."""
_DEGREE = 14
"""Of polynomials whose squares are negligible beyond the range."""
_SHIFT = 0.381966
_AGREE = 3e-13
_MOST_ORDERS = 2048
_GRID = 64
"""More variances than that are of a grid of times, on which series of few orders do."""
_UNRESOLVED = 1e-7
"""`Panels.error` of a function that is not followed at all."""


class Average(NamedTuple):
    """A value and a bound of its numerical error."""

    value: float
    error: float


@cache
def _basis(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z, and (nodes, orders) weights w with b_r = Σ_z f(√c z) w[z, r]."""
    z = np.linspace(-_RANGE, _RANGE, nodes)
    spacing = z[1] - z[0]
    orders = min(_MOST_ORDERS, int(1 / spacing**2))  # the local wave number √r of He_r must be resolved
    weight = np.full(nodes, spacing / np.sqrt(2 * np.pi))
    return z, _functions(z, orders) * (np.exp(-(z**2) / 4) * weight)[:, None]


def _functions(z: np.ndarray, orders: int) -> np.ndarray:
    """He_r(z)/√r! e^{−z²/4}, (nodes, orders)."""
    functions = np.zeros((max(orders, 2), len(z)))
    functions[0] = np.exp(-(z**2) / 4)
    functions[1] = z * functions[0]
    for r in range(1, orders - 1):
        functions[r + 1] = (z * functions[r] - np.sqrt(r) * functions[r - 1]) / np.sqrt(r + 1)
    return functions[:orders].T


def hermite(
    function: Function,
    variance: np.ndarray,
    accuracy: float = 1e-13,
    kinks: Iterable[float] = (),
    most: int = _MOST_ORDERS,
) -> tuple[np.ndarray, float]:
    """Coefficients b_r of f(√c z) for each variance c, shape (len(variance), orders).

    The order is raised until what is left of Σ b_r² = ⟨f²⟩ is below `accuracy`, or no more can be had; what is left
    goes into the last coefficient, so that ⟨f(x)²⟩ is exact. Trailing zeros are cut. On panels there are `most` orders.

    Returns
    -------
    b, left
        The largest part of ⟨f²⟩ that was left over, relative. Without kinks it is below `accuracy` for all but steep f.
    """
    c = np.atleast_1d(np.asarray(variance, dtype=float))
    kinks = tuple(kinks)
    left, b, square = np.inf, np.zeros((len(c), 1)), np.zeros(len(c))
    for nodes in () if kinks else _NODES[: 2 if len(c) > _GRID else None]:
        if not _fine_enough(2 * _RANGE / (nodes - 1), c, function):
            continue
        z, weights = _basis(nodes)
        with np.errstate(all="ignore"):
            values = function(np.sqrt(c)[:, None] * z)
            b = values @ weights
            square = values**2 @ weights[:, 0]
            size = (b**2).sum(axis=1)
            left = np.max(np.abs(square - size) / np.maximum(square, 1e-300)) if square.any() else 0.0
        if not np.isfinite(b).all() or left < accuracy:
            break
    if not left < accuracy:
        b, square = _on_panels(function, c, kinks, most)
        with np.errstate(all="ignore"):
            left = np.max(np.abs(square - (b**2).sum(axis=1)) / np.maximum(square, 1e-300)) if square.any() else 0.0
    with np.errstate(all="ignore"):
        needed = np.flatnonzero((b**2 > 1e-4 * accuracy * square[:, None]).any(axis=0))
        b = b[:, : needed[-1] + 1 if needed.size else 1].copy()
        b[np.abs(b) < 1e-15 * np.sqrt(square)[:, None]] = 0.0  # those of the other parity
        rest = np.maximum(square - (b**2).sum(axis=1), 0.0)
        b[:, -1] = np.copysign(np.sqrt(b[:, -1] ** 2 + rest), b[:, -1])
    return b, float(left) if np.isfinite(left) else np.inf


def _on_panels(function: Function, c: np.ndarray, kinks: tuple[float, ...], most: int) -> tuple[np.ndarray, np.ndarray]:
    """b and ⟨f²⟩, with as many orders as the panels resolve."""
    degree = homogeneous(function, kinks)
    if degree is not None:  # b of one variance is that of all
        b, square = _many_orders(function, np.ones(1), kinks, most)
        return c[:, None] ** (degree / 2) * b, c**degree * square
    if len(c) <= 8:
        return _many_orders(function, c, kinks, most)
    return at_many(_many_orders, function, c, kinks, most // 4)


def _many_orders(
    function: Function, c: np.ndarray, kinks: tuple[float, ...], orders: int
) -> tuple[np.ndarray, np.ndarray]:
    """(len(c), orders) b, by one recursion over the nodes of all variances, and ⟨f²⟩."""
    found = [panels_of(function, float(variance), kinks) for variance in c]
    if not all(panels.finite for panels in found):
        return np.full((len(c), orders), np.inf), np.full(len(c), np.inf)
    squares = np.array([_square(panels) for panels in found])
    # 16 nodes a panel resolve products with waves of a wave number √r up to about 6 a panel.
    fine = [_halved(panels, function, float(v), orders) for panels, v in zip(found, c, strict=True)]
    z = np.concatenate([panels.z.ravel() for panels in fine])
    weighted = np.concatenate([(panels.value * panels.weight).ravel() for panels in fine])
    first = np.concatenate([[0], np.cumsum([panels.z.size for panels in fine])[:-1]])
    b = np.empty((len(c), orders))
    # He_r/√r! times f and the weights: each column is the sum of it over the nodes of a variance.
    before, now = np.zeros_like(z), weighted
    for r in range(orders):
        b[:, r] = np.add.reduceat(now, first)
        before, now = now, (z * now - math.sqrt(r) * before) / math.sqrt(r + 1)
    return b, squares


def _halved(panels: Panels, function: Function, variance: float, orders: int) -> Panels:
    width = 6 / np.sqrt(orders)
    edges = [panels.edges[:1]]
    for start, end in zip(panels.edges[:-1], panels.edges[1:], strict=True):
        edges.append(np.linspace(start, end, int(np.ceil((end - start) / width)) + 1)[1:])
    return panels.on(np.concatenate(edges), function, _scale(variance))


def _scale(variance: float) -> float:
    return max(math.sqrt(variance), SMALLEST)


def panels_of(function: Function, variance: float, kinks: Iterable[float] = ()) -> Panels:
    """f(√v z) on panels fine enough for all its moments."""
    tick("solving at infinite width")
    return gaussian_panels(function, _scale(variance), kinks)


def low_orders(panels: Panels, orders: int) -> np.ndarray:
    """The first b_r; those of the other parity are exactly zero."""
    z = panels.z.ravel()
    with np.errstate(all="ignore"):
        b = (panels.weight * panels.value).ravel() @ (_functions(z, orders) * np.exp(z**2 / 4)[:, None])
        b[np.abs(b) < 1e-15 * math.sqrt(_square(panels))] = 0.0
    return np.asarray(b)


def _square(panels: Panels) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # beyond all bounds is inf, which the caller judges
        return float((panels.weight * panels.value**2).sum())


def _fine_enough(spacing: float, variance: np.ndarray, function: Function) -> bool:
    """Can no feature of unit size in h hide between the nodes, nor a steeper one? Polynomials have none."""
    if 0 < len(getattr(function, "coefficients", ())) <= _DEGREE:
        return True
    step = spacing * float(np.sqrt(variance.max(initial=0.0)))
    return step <= 1 and step <= _steepest(function)


@remembered(64)
def _steepest(function: Function) -> float:
    """The narrowest panel that f needs."""
    return narrowest(function)


@cache
def _grids() -> tuple[np.ndarray, np.ndarray]:
    """Nodes of two shifted grids, (2 n,), and the weights of each, (2 n, 2)."""
    z = np.linspace(-_RANGE, _RANGE, _NODES[1])
    spacing = z[1] - z[0]
    both = np.concatenate([z, z + _SHIFT * spacing])
    weights = np.zeros((len(both), 2))
    weights[: len(z), 0] = weights[len(z) :, 1] = spacing / np.sqrt(2 * np.pi)
    return both, weights * np.exp(-(both**2) / 2)[:, None]


def average_of_square(function: Function, variance: np.ndarray, kinks: Iterable[float] = ()) -> np.ndarray:
    """⟨f(x)²⟩ for each variance, of its shape; inf where there is none.

    Raises
    ------
    InputError
        If f has more waves there than can be followed.
    """
    tick("solving at infinite width")
    c = np.asarray(variance, dtype=float)
    if (sign := wave(function)) is not None:
        return -np.expm1(-2 * c) / 2 if sign < 0 else (1 + np.exp(-2 * c)) / 2
    kinks = tuple(kinks)
    flat = c.ravel()
    found, good = np.zeros(flat.shape), np.zeros(flat.shape, dtype=bool)
    if not kinks and _fine_enough(2 * _RANGE / (_NODES[1] - 1), flat, function):
        z, weights = _grids()
        with np.errstate(all="ignore"):
            both = function(np.sqrt(flat)[:, None] * z) ** 2 @ weights
            found = (both[:, 0] + both[:, 1]) / 2
            good = np.abs(both[:, 0] - both[:, 1]) <= _AGREE * found
    for n in np.flatnonzero(~good):
        panels = panels_of(function, float(flat[n]), kinks)
        found[n] = _square(panels) if panels.finite else np.inf
        if panels.finite and panels.error > _UNRESOLVED:
            raise InputError(f"{why_unresolved(function, float(flat[n]))} at variance {flat[n]:.3g}")
    return found.reshape(c.shape)


def moment(activation: Activation, variance: float, order: int = 0, power: int = 1) -> Average:
    """⟨φ(x)^power He_order(x/√v)⟩/√order!, a Hermite coefficient of φ or of a power of it.

    Parameters
    ----------
    variance
        v, of x.

    Returns
    -------
    Average
        With a bound of its error; inf if φ grows too fast for it.
    """
    panels = panels_of(activation.value, variance, activation.kinks)
    if not panels.finite:
        return Average(np.inf, np.inf)
    z = panels.z.ravel()
    with np.errstate(all="ignore"):
        waves = _functions(z, order + 2)[:, order] * np.exp(z**2 / 4)
        values = (panels.weight * panels.value**power).ravel()
        total = float(values @ waves)
        size = float(np.abs(values) @ np.abs(waves))
    if not np.isfinite(size):
        return Average(np.inf, np.inf)
    # What panels do not resolve is relative to the largest f e^{−z²/4}, whose share of the average may be small.
    return Average(total, size * (1e-13 + 10 * power * panels.error))


def moments_of_square(activation: Activation, variance: float, degree: int) -> tuple[np.ndarray, float]:
    """⟨φ(x)² He_m(x/√v)⟩/√m! for m = 0 … degree, and ⟨φ⁴⟩^½, to which their rounding is relative.

    Raises
    ------
    InputError
        If φ grows too fast for it.
    """
    panels = panels_of(activation.value, variance, activation.kinks)
    z = panels.z.ravel()
    with np.errstate(all="ignore"):
        square = (panels.weight * panels.value**2).ravel()
        moments = square @ (_functions(z, degree + 2)[:, : degree + 1] * np.exp(z**2 / 4)[:, None])
        size = float(np.sqrt((panels.weight * panels.value**4).sum()))
    if not (panels.finite and np.isfinite(moments).all() and np.isfinite(size)):
        raise InputError(
            f"φ = {activation.name} grows too fast for averages at variance {variance:.3g}; write a smaller sigma_w"
        )
    return moments, size


def slope_square(activation: Activation, variance: float) -> float:
    """⟨φ'(x)²⟩ at one variance; inf for a φ that jumps, or as steep as a square root.

    Without a slope of its own φ is differentiated on its panels.
    """
    if not has_slopes(activation):
        return np.inf
    if (sign := wave(activation.value)) is not None:
        return (1 - sign * math.exp(-2 * variance)) / 2
    if activation.slope is not None:
        return float(average_of_square(activation.slope, np.array(variance), activation.kinks))
    v = max(variance, 1e-8)
    panels = panels_of(activation.value, v, activation.kinks)
    return float((panels.weight * panels.slopes(_scale(v)) ** 2).sum()) if panels.finite else np.inf
