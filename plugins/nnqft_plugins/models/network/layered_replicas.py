"""What two noise histories of one stack of layers share: new weights in every layer, which both of them meet.

Averaged over those of one depth the interaction is ½ σ_w² z̃_i^a z̃_i^b φ(h_j^a) φ(h_j^b)/N, at one time. Biases are
drawn in each layer, too, and with C_0 the input; noise is each history's own:

    C^ab(t,s) = c(min(t,s)) e^{−γ|t−s|} ,     dc/dt = −2γ c + σ_b² + σ_w² ⟨φ(h^a) φ(h^b)⟩ .
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from nnqft import Activation, InputError, Leg, Propagator, Shared, Vertex
from nnqft_plugins.models.network.derivatives import DerivativeAverages
from nnqft_plugins.models.network.replicas import average_at, pairs_of
from nnqft_plugins.networks.meanfield.kernel import kernel

_ROUNDS = 100_000
_ACCURACY = 1e-13


def layered_vertex(p: int, q: int, coefficient: float, subtraction: str, degree: int) -> Vertex:
    """σ_w² z̃_i^a z̃_i^b (h_j^a)^p (h_j^b)^q/N for one order of the two histories, half of it for p = q."""
    legs = [Leg("z", 0, "i", replica="a"), Leg("z", 0, "i", replica="b")]
    legs += [Leg("h", 0, "j", power, replica) for power, replica in ((p, "a"), (q, "b")) if power]
    half = 0.5 if p == q else 1.0
    return Vertex(
        f"z²h^{p}h^{q}", tuple(legs), half * coefficient, (("sigma_w", 2),), width=1 if q else 0,
        subtraction=subtraction, degree=degree,
    )  # fmt: skip


def bare_layers(
    lines: tuple[Propagator, ...], phi: Mapping[int, float], subtraction: str = "none", cut: bool = False
) -> Shared:
    """Of φ(h) = Σ phi[p] h^p, with the correlator between two histories that `lines` may hold."""
    vertices = tuple(
        layered_vertex(p, q, phi[p] * phi[q], subtraction, p + q if cut else 0)
        for p in sorted(phi)
        for q in sorted(phi)
        if p <= q and (q or subtraction == "none")
    )
    return Shared(lines, vertices)


def saddle_layers(
    values: Mapping[str, Any], line: Propagator, activation: Activation, degree: int, phi: Mapping[int, float] | None
) -> Callable[[], Shared]:
    """About a stationary saddle, to be made when it is needed; `phi` are the powers that the vertices hold, if any."""
    return partial(_about_saddle, dict(values), line, activation, degree, phi)


def _about_saddle(
    values: Mapping[str, Any], line: Propagator, activation: Activation, degree: int, phi: Mapping[int, float] | None
) -> Shared:
    if line.kernel is not None or any(term.early for term in line.terms):
        raise InputError("replicas of layers from rest are known without weights alone; write expansion='bare'")
    variance = float(line(0.0, 0.0))
    covariance = _settled(values, activation, variance)
    terms = tuple(type(term)(term.amplitude * covariance / variance, term.rate) for term in line.terms)
    lines = (Propagator("C", "h", "h", "c e^{−γ|t−s|}", terms),) if covariance else ()
    if phi is not None:
        return bare_layers(lines, phi, "average")
    averages = DerivativeAverages(activation, variance)
    found = [(p, q, average_at(averages, p, q, covariance)) for p, q in pairs_of(degree)]
    return Shared(lines, tuple(layered_vertex(p, q, value, "wick", p + q) for p, q, value in found if value))


def _settled(values: Mapping[str, Any], activation: Activation, variance: float) -> float:
    """c: the smallest fixed point, which iterates from below reach, as ⟨φφ⟩ rises with c."""
    if not variance:
        return 0.0
    average = kernel(activation, variance, 1e-12)
    c = bias = values["sigma_b"] ** 2 / (2 * values["gamma"])
    for _ in range(_ROUNDS):
        new = bias + values["sigma_w"] ** 2 / (2 * values["gamma"]) * float(average(np.array(c / variance)))
        if abs(new - c) <= _ACCURACY * variance:
            return 0.0 if new <= _ACCURACY * variance else new
        c = new
    raise InputError("replicas: what two histories share settles too slowly; this is the edge of chaos of the layers")
