"""A linear random network with power-law memory: lines that are functions, and how to sample a delay from one.

    h_i(t) = ∫ ds G(t,s) [Σ_j W_ij h_j(s) + √κ ξ_i(s)],   G(t,s) = θ(t−s) (1 + γ(t−s)/a)^{−a−1}

with W_ij ~ N(0, σ_w²/N) and white noise ξ; a → ∞ is the exponential e^{−γ(t−s)}.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
from scipy.special import hyp2f1

from nnqft import AbstractModel, Field, Leg, Parameter, Propagator, Theory, Vertex

Array = Any
_REACH = np.log(1e9)
"""The table of the correlator ends at γ|t−s|/a = 10⁹; beyond, its last value is a power law's prefactor."""
_DEGREE = 64


def response(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """(1 + γ(t−s)/a)^{−a−1}; the engine calls it at t ≥ s only and puts the θ."""
    return (1.0 + params["gamma"] / params["a"] * (t - s)) ** (-params["a"] - 1.0)


def delay(u: Array, room: Array, params: Mapping[str, Any], xp: ModuleType) -> tuple[Array, Array]:
    """A delay from the density γ (1 + γΔ/a)^{−a−1} cut off at `room`, by inverting its integral; and that density."""
    gamma, a = params["gamma"], params["a"]
    # 1 − (1 + γ room/a)^{−a}, without cancellation; the least number is for a point with no room at all.
    inside = 1e-300 - xp.expm1(-a * xp.log1p(gamma / a * room))
    sampled = a / gamma * xp.expm1(-xp.log1p(-u * inside) / a)
    return sampled, gamma * response(sampled, 0.0, params, xp) / inside


def correlator(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """κ ∫ du G(t,u) G(s,u), from u = −∞ or from rest at u = 0.

    With K(τ) the stationary one and v = 1 + γ min(t,s)/a, the noise before the start takes away
    v^{−2a−1} K(τ/v) of it: the integral over u < 0 is the whole one in longer units of time.
    """
    lag = xp.abs(t - s)
    full = _stationary(lag, params, xp)
    if params["stationary"]:
        return full
    v = 1.0 + params["gamma"] / params["a"] * xp.minimum(t, s)
    return full - v ** (-2.0 * params["a"] - 1.0) * _stationary(lag / v, params, xp)


def _stationary(lag: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """K(τ) = (1+x)^{−n} F(log(1+x)), x = γτ/a, n = a + 1, F a Chebyshev series summed by Clenshaw's recurrence."""
    log = xp.log1p(params["gamma"] / params["a"] * lag)
    y = xp.clip(log / _REACH, 0.0, 1.0) * 2.0 - 1.0
    first, *others = params["table"]
    one = two = 0.0 * y
    for coefficient in reversed(others):
        one, two = coefficient + 2.0 * y * one - two, one
    return (first + y * one - two) * xp.exp(-(params["a"] + 1.0) * log)


def chebyshev_table(gamma: float, kappa: float, a: float) -> tuple[float, ...]:
    """The series of F: substituting y = 1/(1 + γv/a) in κ ∫ dv G(τ+v) G(v) gives, with n = a + 1,

    F = κ a/(γ (2n−1)) · 2F1(n, 1; 2n; x/(1+x)), analytic for |Im log(1+x)| < 2π, so that the series falls
    geometrically.
    """
    n = a + 1.0

    def prefactor(y: np.ndarray) -> np.ndarray:
        return kappa * a / (gamma * (2 * n - 1)) * hyp2f1(n, 1.0, 2 * n, -np.expm1(-_REACH * (y + 1) / 2))

    return tuple(np.polynomial.chebyshev.chebinterpolate(prefactor, _DEGREE).tolist())


class PowerLaw(AbstractModel):
    """Two function-valued lines and the linear network's vertex."""

    name = "power_law"
    summary = "linear random network with response (1 + γτ/a)^{−a−1}"
    parameters = {
        "gamma": Parameter(1.0, "rate γ at which the response begins to fall, 1/time", low=0.0, open_low=True),
        "a": Parameter(2.0, "the response falls as time^{−a−1}", low=1.0, high=50.0),
        "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
        "sigma_w": Parameter(0.5, "weights σ_w, 1/time", low=0.0),
        "N": Parameter(1, "width", low=1, integer=True),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """Lines by functions; their parameters, the table among them, travel with the line."""
        gamma, a, kappa = values["gamma"], values["a"], values["kappa"]
        memory = (("gamma", gamma), ("a", a))
        table = (*memory, ("stationary", start == "stationary"), ("table", chebyshev_table(gamma, kappa, a)))
        legs = (Leg("z", 0, "i"), Leg("z", 1, "i"), Leg("h", 0, "j"), Leg("h", 1, "j"))
        return Theory(
            model=self.name,
            start=start,
            parameters=dict(values),
            fields=(Field("h", "h_i(t)", "hidden state"), Field("z", "z̃_i(t)", "response field", response=True)),
            propagators=(
                Propagator("C", "h", "h", "κ ∫ du G(t,u) G(s,u)", kernel=correlator, params=table),
                Propagator("G", "h", "z", "θ(t−s) (1 + γ(t−s)/a)^{−a−1}", kernel=response, params=memory, delay=delay),
            ),
            vertices=(Vertex("W", legs, Fraction(1, 2), (("sigma_w", 2),), width=1),),
        )
