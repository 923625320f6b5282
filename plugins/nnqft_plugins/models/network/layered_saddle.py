"""Thin layers about mean-field theory, with averages of the activation itself.

New weights in every layer are white noise, so C(t,s) = v(min(t,s)) e^{−γ|t−s|} with

    dv/dt = −2γ v + κ + σ_b² + σ_w² ⟨φ²⟩_v

for any φ, and of the interaction ½ σ_w² z̃_i² φ(h_j)²/N the average is in the line. What is left is a series in
Wick-ordered powers, whose coefficients do not depend on where it is cut:

    φ(h)² − ⟨φ²⟩ = Σ_{m ≥ 1} a_m :h^m: ,     a_m = ⟨φ² He_m(x/√v)⟩/(m! v^{m/2}) .

They need no derivative of φ, and exist for kinks and steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nnqft import Activation, InputError, Leg, Propagator, Term, Vertex
from nnqft_plugins.models.network.tabulated import lag_table, stationary_kernel
from nnqft_plugins.networks.meanfield.gaussian import moments_of_square
from nnqft_plugins.networks.meanfield.layers import settled_variance, variance_from_start
from nnqft_plugins.networks.network import Network

Array = Any
_NEGLIGIBLE = 1e-12
"""Of a coefficient, over ⟨φ⁴⟩^½: the rounding of what parity or the degree of a polynomial makes zero."""
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Layered:
    """The line and the vertices of one theory, and whether higher vertices exist."""

    line: Propagator
    vertices: tuple[Vertex, ...]
    complete: bool


def layered_saddle(network: Network, degree: int, horizon: float) -> Layered:
    """The expansion with vertices up to :h^degree:.

    Raises
    ------
    InputError
        If v grows beyond all bounds, stationary, or before the horizon.
    """
    if network.stationary:
        return _stationary(network, degree)
    return _from_rest(network, degree, horizon)


def _stationary(network: Network, degree: int) -> Layered:
    v, _ = settled_variance(network)
    line = Propagator("C", "h", "h", f"v e^{{−γ|t−s|}},  v = {v:.6g}", (Term(v, network.gamma),))
    if v == 0.0:  # nothing moves: h = 0 is all there is
        return Layered(line, _NONE, True)
    a = wick_coefficients(network.activation, v, degree)
    vertices = tuple(wick_vertex(m, a[m]) for m in range(1, degree + 1) if a[m])
    return Layered(line, vertices or _NONE, _complete(network.activation, degree))


def _complete(activation: Activation, degree: int) -> bool:
    powers = activation.coefficients
    return powers is not None and 2 * (len(powers) - 1) <= degree


def wick_coefficients(activation: Activation, variance: float, degree: int) -> list[float]:
    """a_0 … a_degree of φ(h)² = Σ a_m :h^m: at a variance of h; those that vanish but for rounding are 0."""
    b, size = moments_of_square(activation, variance, degree)
    return [
        float(b[m]) / math.sqrt(math.factorial(m)) / variance ** (m / 2) if abs(b[m]) > _NEGLIGIBLE * size else 0.0
        for m in range(degree + 1)
    ]


def wick_vertex(m: int, coefficient: float, kernel: Callable[..., Array] | None = None) -> Vertex:
    """½ σ_w² a_m z̃_i² :h_j^m:/N, its coefficient a function of depth if there is a `kernel`."""
    legs = (Leg("z", 0, "i", 2), Leg("h", 0, "j", m))
    return Vertex(
        f":z²h^{m}:", legs, coefficient / 2, (("sigma_w", 2),), width=1, kernel=kernel, subtraction="wick", degree=m
    )


_NONE = (wick_vertex(2, 0.0),)
"""Where φ² does not fluctuate, as for signs: a vertex of strength 0 keeps the index of the units in the rules."""


def _from_rest(network: Network, degree: int, horizon: float) -> Layered:
    last = 1.5 * horizon  # the end of a table disturbs the places next to it
    v = _growth(network, last)
    scale = 4 / network.gamma

    def table(function: Callable[[np.ndarray], np.ndarray]) -> tuple[tuple[str, Any], ...]:
        return lag_table(lambda t: function(np.minimum(t, last)), scale)

    variance = table(v)
    params = (("gamma", network.gamma), *variance)
    formula = "v(min(t,s)) e^{−γ|t−s|},  dv/dt = −2γ v + κ + σ_b² + σ_w² ⟨φ²⟩_v"
    line = Propagator("C", "h", "h", formula, kernel=growing_line, params=params)
    memory: dict[float, np.ndarray] = {}

    def moments(t: np.ndarray) -> np.ndarray:
        """(nodes, degree + 1) of b_m/√m!, each once for all vertices."""
        for at, x in zip(t.tolist(), np.maximum(v(t), _SMALLEST).tolist(), strict=True):
            if at not in memory:
                b, size = moments_of_square(network.activation, x, degree)
                root = np.sqrt([float(math.factorial(m)) for m in range(degree + 1)])
                memory[at] = np.where(np.abs(b) > _NEGLIGIBLE * size, b, 0.0) / root
        return np.array([memory[at] for at in t.tolist()])

    vertices = []
    for m in range(1, degree + 1):
        rows = table(lambda t, m=m: moments(t)[:, m])  # type: ignore[misc]
        if any(row[m] for row in memory.values()):
            vertices.append(wick_vertex(m, 1.0, Grown(m, rows, variance)))
    return Layered(line, tuple(vertices) or _NONE, _complete(network.activation, degree))


def _growth(network: Network, horizon: float) -> Callable[[np.ndarray], np.ndarray]:
    """v(t) up to the horizon, and without one until it has settled."""
    last = horizon
    if math.isinf(horizon):
        try:
            _, depth = settled_variance(network)
        except InputError:
            raise InputError(
                f"from rest at sigma_w={network.sigma_w:g} the variance grows for ever, so its table needs an end;"
                " write for example T=10"
            ) from None
        # Close to a critical point it settles late; what is left then is below 1e-12.
        last = min(30 * max(depth, 1 / network.gamma), 1e4 / network.gamma)
    v = variance_from_start(network, last, 1e-9)
    return lambda t: v(np.minimum(t, last))


def growing_line(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """v(min(t,s)) e^{−γ|t−s|}, v tabulated."""
    early = xp.minimum(t, s)
    return stationary_kernel(early, 0.0, params, xp) * xp.exp(-params["gamma"] * xp.abs(t - s))


@dataclass(frozen=True)
class Grown:
    """a_m at the depth of a vertex: a table of ⟨φ² He_m⟩/m! over v^{m/2}."""

    m: int
    moments: tuple[tuple[str, Any], ...]
    variance: tuple[tuple[str, Any], ...]

    def __call__(self, times: tuple[Array, ...], params: Mapping[str, Any], xp: ModuleType) -> Array:
        """The factor at each time."""
        v = xp.maximum(stationary_kernel(times[0], 0.0, dict(self.variance), xp), 1e-12)
        return stationary_kernel(times[0], 0.0, dict(self.moments), xp) * v ** (-self.m / 2)
