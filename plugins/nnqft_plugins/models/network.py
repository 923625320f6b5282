"""What every random recurrent network shares: its fields, its lines, and how an activation makes vertices.

    dh_i = [−γ h_i + Σ_j W_ij φ(h_j) + Σ_k U_ik φ(x_k) + b_i] dt + √κ dB_i,   i = 1…N

averaged over W_ij ~ N(0, σ_w²/N), U_ik ~ N(0, σ_u²/N_x), b_i ~ N(0, σ_b²). Grosvenor & Jefferson, arXiv:2109.13247.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nnqft import Field, InputError, Leg, Parameter, Propagator, Term, Theory, Vertex, finite_number, short

HALF = Fraction(1, 2)


def input_correlation(name: str, value: Any) -> float | tuple[tuple[float, float], ...]:
    """The input's correlation q(t1,t2): a number, or rates and weights of Σ weight·e^{−rate·|t1−t2|}.

    Returns the number, or (rate, weight) pairs sorted by rate.
    """
    if not isinstance(value, Mapping | tuple | list):
        pairs = [(0.0, finite_number(name, value))]
    else:
        given = value.items() if isinstance(value, Mapping) else value
        try:
            pairs = sorted((finite_number(f"{name} rate", r), finite_number(f"{name} weight", w)) for r, w in given)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{name}={short(value)}: wanted rates and weights, write {name}={{0.5: 1.0}}") from None
    if any(not 0 <= number <= 1e9 for pair in pairs for number in pair):
        raise InputError(f"{name}={short(value)}: wanted numbers from 0 to 1e9")
    return tuple(pairs) if isinstance(value, Mapping | tuple | list) else pairs[0][1]


SLOWEST = 1e-9
"""Smallest leak rate: a network that never forgets has no stationary state."""

PARAMETERS: dict[str, Parameter] = {
    "gamma": Parameter(1.0, "leak rate γ, 1/time", low=SLOWEST),
    "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
    "sigma_w": Parameter(1.0, "recurrent weights σ_w, 1/time", low=0.0),
    "sigma_b": Parameter(0.0, "bias σ_b, 1/time", low=0.0),
    "sigma_u": Parameter(0.0, "input weights σ_u, 1/time", low=0.0),
    "q": Parameter(0.0, "input correlation q, a number or {rate: weight}", check=input_correlation),
    "N": Parameter(1, "width", low=1, high=1e15, integer=True),
}

FIELDS = (
    Field("h", "h_i(t)", "hidden state"),
    Field("z", "z̃_i(t)", "response field", response=True),
    Field("W", "𝔚(t1,t2)", "σ_w N^(-1/2) Σ_j φ(h_j(t1)) φ(h_j(t2))", bilocal=True),
    Field("W~", "𝔚̃(t1,t2)", "its conjugate", bilocal=True),
)


def phi_phi_of(phi: Mapping[int, Fraction | float]) -> dict[tuple[int, int], Fraction | float]:
    """φ(h1) φ(h2) for φ(h) = Σ phi[p] h^p, over pairs p ≤ q."""
    return {(p, q): phi[p] * phi[q] for p in sorted(phi) for q in sorted(phi) if p <= q}


def network_theory(
    model: str, start: str, values: Mapping[str, Any], phi_phi: Mapping[tuple[int, int], Fraction | float]
) -> Theory:
    """Rules of a network whose φ(h(t1)) φ(h(t2)) expands into Σ phi_phi[p, q] h(t1)^p h(t2)^q over p ≤ q.

    A pair with p < q stands for both (p, q) and (q, p), each with the coefficient given.
    """
    sigma_w = (("sigma_w", 1),)
    weights = Vertex("W z z", (Leg("W", (0, 1)), Leg("z", 0, "i"), Leg("z", 1, "i")), HALF, sigma_w, HALF, HALF)
    activations = [
        Vertex(
            f"({p},{q})",
            (Leg("W~", (0, 1)), *(Leg("h", n, "j", power) for n, power in enumerate((p, q)) if power)),
            (HALF if p == q else 1) * coefficient,
            sigma_w,
            HALF,
            HALF,
        )
        for (p, q), coefficient in phi_phi.items()
        if q > 0
    ]
    if (0, 0) in phi_phi:
        # φ(0)² has no field left to carry the index j: its sum cancels the 1/N.
        legs = (Leg("z", 0, "i"), Leg("z", 1, "i"))
        activations.append(Vertex("(0,0)", legs, HALF * phi_phi[0, 0], (("sigma_w", 2),)))
    return Theory(
        model=model,
        start=start,
        parameters=dict(values),
        fields=FIELDS,
        propagators=_propagators(start, values),
        vertices=(weights, *activations),
        remarks=_remarks(start, values, float(phi_phi.get((1, 1), 0))),
    )


def _propagators(start: str, values: Mapping[str, Any]) -> tuple[Propagator, ...]:
    gamma, kappa = values["gamma"], values["kappa"]
    static = [(0.0, values["sigma_b"] ** 2)]
    q = values["q"] if isinstance(values["q"], tuple) else [(0.0, values["q"])]
    driven = [(rate, values["sigma_u"] ** 2 * weight) for rate, weight in q]
    terms = [Term(kappa / (2 * gamma), gamma), Term(-kappa / (2 * gamma), gamma, 2 * gamma)]
    for rate, weight in static + driven:
        terms += _driven_terms(gamma, rate, weight)
    if start == "stationary":
        terms = [term for term in terms if not term.early]
        formula = "(κ/2γ) e^{−γ|t−s|}" + " + σ_b²/γ²" * (values["sigma_b"] > 0)
    else:
        formula = "(κ/2γ) (e^{−γ|t−s|} − e^{−γ(t+s)})"
        formula += " + σ_b² (1−e^{−γt})(1−e^{−γs})/γ²" * (values["sigma_b"] > 0)
    formula += " + σ_u² ∬ G G q" * (values["sigma_u"] > 0)
    return (
        Propagator("C", "h", "h", formula, _combine(terms)),
        Propagator("G", "h", "z", "θ(t−s) e^{−γ(t−s)},  θ(0) = 0", (Term(1.0, gamma),)),
        Propagator("G_w", "W", "W~", "δ(t1−t3) δ(t2−t4) + δ(t1−t4) δ(t2−t3)", delta=True),
    )


_NODES = (-3, -2, -1, 1, 2, 3)
_SPACING = 0.01


def _driven_terms(gamma: float, rate: float, weight: float) -> list[Term]:
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


def _combine(terms: list[Term]) -> tuple[Term, ...]:
    """Terms of equal rates added; those that vanish left out, but one always kept."""
    sums: dict[tuple[float, float], float] = {}
    for term in terms:
        sums[term.rate, term.early] = sums.get((term.rate, term.early), 0.0) + term.amplitude
    combined = tuple(Term(a, rate, early) for (rate, early), a in sums.items() if a != 0.0)
    return combined or (Term(0.0, 0.0),)


def _remarks(start: str, values: Mapping[str, Any], gain: float) -> tuple[str, ...]:
    """`gain` is φ'(0)²."""
    coupling, limit = values["sigma_w"] ** 2 * gain, values["gamma"] ** 2
    if coupling < limit:
        return ()
    name = "σ_w²" if gain == 1 else "σ_w² φ'(0)²"
    where = "" if start == "stationary" else " as t → ∞"
    return (
        f"{name} = {coupling:g} ≥ γ² = {limit:g}: the series in σ_w² diverges{where};"
        " each order is computed, their sum means nothing by itself",
    )
