"""The lines of a random network without recurrent weights, as sums of exponentials.

C is the covariance of dh = (−γ h + static) dt + √κ dB, where the static and slow sources are Gaussian with
covariance σ_b² + σ_u² q(t1,t2); G is its response.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from nnqft import Propagator, Term

DELTA_LINE = Propagator("G_w", "W", "W~", "δ(t1−t3) δ(t2−t4) + δ(t1−t4) δ(t2−t3)", delta=True)


def response_line(gamma: float, theta0: float = 0.0, crowded: bool = False) -> Propagator:
    """G, the response of a leak; if `crowded`, short delays are sampled more often, for vertices singular there."""
    formula = f"θ(t−s) e^{{−γ(t−s)}},  θ(0) = {theta0:g}"
    if crowded:
        return Propagator("G", "h", "z", formula, (Term(1.0, gamma),), params=(("gamma", gamma),), delay=crowded_delay)
    return Propagator("G", "h", "z", formula, (Term(1.0, gamma),))


def crowded_delay(u: Any, room: Any, params: Mapping[str, Any], xp: ModuleType) -> tuple[Any, Any]:
    """A delay Δ of density γ e^{−γΔ} / (2 [1 − e^{−γΔ}]^{1/2}), up to `room`: it makes up for a factor Δ^{−1/2}."""
    gamma = params["gamma"]
    reach = xp.sqrt(-xp.expm1(-gamma * room))
    square = (u * reach) ** 2
    return -xp.log1p(-square) / gamma, gamma * (1 - square) / (2 * u * reach**2)


def correlator_line(start: str, values: Mapping[str, Any]) -> Propagator:
    """C of the parameters of a network."""
    bias, weights = values["sigma_b"] > 0, values["sigma_u"] > 0
    if start == "stationary":
        formula = "(κ/2γ) e^{−γ|t−s|}" + " + σ_b²/γ²" * bias
    else:
        formula = "(κ/2γ) (e^{−γ|t−s|} − e^{−γ(t+s)})" + " + σ_b² (1−e^{−γt})(1−e^{−γs})/γ²" * bias
    formula += " + σ_u² ∬ G G q" * weights
    return Propagator("C", "h", "h", formula, correlator_terms(start, values))


def shared_lines(start: str, values: Mapping[str, Any]) -> tuple[Propagator, ...]:
    """C between two noise histories: what bias and input, which both hear, leave of it; none where there are none."""
    line = correlator_line(start, {**values, "kappa": 0.0})
    return (line,) if any(term.amplitude for term in line.terms) else ()


def correlator_terms(
    start: str, values: Mapping[str, Any], gamma: float | None = None, static: float = 0.0
) -> tuple[Term, ...]:
    """The terms of C; with another leak rate than the parameters' own, or more of a static source, if wanted."""
    gamma, kappa = values["gamma"] if gamma is None else gamma, values["kappa"]
    terms = [Term(kappa / (2 * gamma), gamma), Term(-kappa / (2 * gamma), gamma, 2 * gamma)]
    for rate, weight in [*slow_sources(values), (0.0, static)]:
        terms += driven_terms(gamma, rate, weight)
    if start == "stationary":
        terms = [term for term in terms if not term.early]
    return combine(terms)


def slow_sources(values: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(rate, weight) of the Gaussian drive Σ weight·e^{−rate·|t−s|}: bias first, then input."""
    q = values["q"] if isinstance(values["q"], tuple) else [(0.0, values["q"])]
    return [(0.0, values["sigma_b"] ** 2), *((rate, values["sigma_u"] ** 2 * weight) for rate, weight in q)]


_NODES = (-3, -2, -1, 1, 2, 3)
_SPACING = 0.01


def driven_terms(gamma: float, rate: float, weight: float) -> list[Term]:
    """weight × ∬ G(t,u) G(s,v) e^{−rate·|u−v|} from time 0, as a sum of exponentials.

    Close to γ, where two of them merge and their amplitudes cancel, the integral is interpolated in the rate
    between six rates around γ: good to about 1e-11.
    """
    if weight == 0.0:
        return []
    offset = (rate / gamma - 1) / _SPACING
    if abs(offset) > 1:
        return _distinct_terms(gamma, rate, weight)
    terms = []
    for node in _NODES:
        share = math.prod((offset - other) / (node - other) for other in _NODES if other != node)
        terms += _distinct_terms(gamma, gamma * (1 + node * _SPACING), share * weight)
    return terms


def _distinct_terms(gamma: float, rate: float, weight: float) -> list[Term]:
    both = weight / ((gamma - rate) * (gamma + rate))
    return [
        Term(both, rate),
        Term(-both * rate / gamma, gamma),
        Term(-both, rate, gamma + rate),
        Term(-both, gamma, gamma + rate),
        Term(weight / (gamma * (gamma - rate)), gamma, 2 * gamma),
    ]


def combine(terms: list[Term]) -> tuple[Term, ...]:
    """Terms of equal rates added; those that vanish left out, but one always kept."""
    sums: dict[tuple[complex, complex], complex] = {}
    for term in terms:
        sums[term.rate, term.early] = sums.get((term.rate, term.early), 0.0) + term.amplitude
    combined = tuple(Term(a, rate, early) for (rate, early), a in sums.items() if a != 0.0)
    return combined or (Term(0.0, 0.0),)
