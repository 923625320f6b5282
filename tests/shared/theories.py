"""Small theories that the tests are made of, each from the few numbers that define it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import factorial
from typing import Any

import nnqft
from nnqft import Field, Leg, Propagator, Term, Theory, Vertex
from nnqft.host import default_host
from nnqft_plugins.models.network.rules import PARAMETERS, network_theory

H, Z, PHI = Leg("h", 0, "i"), Leg("z", 0, "i"), Leg("phi")
"""External legs; all that carry an index carry the same one."""
TWO_POINT = (H, H)


def bare_theory(model: str | nnqft.AbstractModel, **parameters: Any) -> Theory:
    """A model with N = 1 and σ_w = 1 about 𝔚 = 0, unless told otherwise: its contributions are bare coefficients."""
    plugin = default_host().get("model", model) if isinstance(model, str) else model
    plain = {"N": 1, "sigma_w": 1.0, "expansion": "bare"}
    return nnqft.theory(
        model, **{name: value for name, value in plain.items() if name in plugin.parameters} | parameters
    )


def network(
    phi_phi: Mapping[tuple[int, int], Fraction | float],
    *,
    start: str = "stationary",
    local: Mapping[int, Fraction | float] | None = None,
    **values: Any,
) -> Theory:
    """A random network with φ(h1) φ(h2) = Σ phi_phi[p, q] h1^p h2^q, bare; all parameters are 1 but for the inputs.

    `local` adds terms Σ_i local[p] ∫ z̃_i h_i^p to −S: a drift that is not linear.
    """
    plain = {"N": 1, "sigma_w": 1.0, "expansion": "bare"}
    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | plain | values
    theory = network_theory("network", start, values, phi_phi)
    extra = tuple(
        Vertex(f"z h^{p}", (Z, Leg("h", 0, "i", p)) if p else (Z,), c) for p, c in (local or {}).items()
    )  # fmt: skip
    return replace(theory, vertices=theory.vertices + extra)


def linear(**values: Any) -> Theory:
    """The network with φ(h) = h."""
    return network({(1, 1): Fraction(1)}, **values)


def langevin(drift: Mapping[int, Fraction | float], *, noise: float = 2.0) -> Theory:
    """dh = −(h + Σ drift[p] h^p) dt + sqrt(noise) dB: one site, no index, no disorder."""
    return Theory(
        model="langevin",
        start="stationary",
        parameters={},
        fields=(Field("h", "h(t)"), Field("z", "z̃(t)", response=True)),
        propagators=(
            Propagator("C", "h", "h", terms=(Term(noise / 2, 1.0),)),
            Propagator("G", "h", "z", terms=(Term(1.0, 1.0),)),
        ),
        vertices=tuple(
            Vertex(f"z h^{p}", (Leg("z"), Leg("h", power=p)) if p else (Leg("z"),), -c) for p, c in drift.items()
        ),
    )


def scalar(action: Mapping[int, Fraction | int]) -> Theory:
    """exp(−φ²/2 − Σ action[p] φ^p / p!) without time: one line, equal to 1, and no response field."""
    return Theory(
        model="scalar",
        start="stationary",
        parameters={},
        fields=(Field("phi", "φ"),),
        propagators=(Propagator("C", "phi", "phi", terms=(Term(1.0, 0.0),)),),
        vertices=tuple(
            Vertex(f"phi^{p}", (Leg("phi", power=p),), Fraction(-g, factorial(p))) for p, g in action.items()
        ),
    )


def layered(square: Mapping[int, Fraction]) -> Theory:
    """Weights drawn anew at every time: local vertices ½ z̃_i² Σ_j square[p] h_j^p / N."""
    legs = {p: (Leg("z", 0, "i", 2), Leg("h", 0, "j", p)) for p in square}
    return replace(linear(), vertices=tuple(Vertex(f"z^2 h^{p}", legs[p], c / 2, width=1) for p, c in square.items()))


def with_kernel() -> Theory:
    """The linear network with a factor that tells the two times of its vertex apart."""
    (vertex,) = linear().interactions
    return replace(linear(), vertices=(replace(vertex, kernel=lambda times, params, xp: xp.exp(times[0])),))
