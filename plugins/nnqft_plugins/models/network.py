"""What every random recurrent network shares: its fields, its lines, and how an activation makes vertices.

    dh_i = [−γ h_i + Σ_j W_ij φ(h_j) + Σ_k U_ik φ(x_k) + b_i] dt + √κ dB_i,   i = 1…N

averaged over W_ij ~ N(0, σ_w²/N), U_ik ~ N(0, σ_u²/N_x), b_i ~ N(0, σ_b²). Grosvenor & Jefferson, arXiv:2109.13247.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nnqft import Activation, Field, Leg, Parameter, Propagator, Theory, Vertex
from nnqft_plugins.meanfield.gaussian import slope_square
from nnqft_plugins.models.averages import polynomial_average
from nnqft_plugins.models.lines import DELTA_LINE, correlator_line, correlator_terms, response_line
from nnqft_plugins.models.parameters import SLOWEST, input_correlation
from nnqft_plugins.models.saddle import (
    SADDLE,
    Saddle,
    mean_field_line,
    saddle_of,
    saddle_remarks,
    stationary_curve,
)
from nnqft_plugins.models.tabulated import stationary_line
from nnqft_plugins.models.wick_ordered import wick_vertices

HALF = Fraction(1, 2)


PARAMETERS: dict[str, Parameter] = {
    "gamma": Parameter(1.0, "leak rate γ, 1/time", low=SLOWEST),
    "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
    "sigma_w": Parameter(1.0, "recurrent weights σ_w, 1/time", low=0.0),
    "sigma_b": Parameter(0.0, "bias σ_b, 1/time", low=0.0),
    "sigma_u": Parameter(0.0, "input weights σ_u, 1/time", low=0.0),
    "q": Parameter(0.0, "input correlation q, a number or {rate: weight}", check=input_correlation),
    "N": Parameter(1, "width", low=1, high=1e15, integer=True),
    **SADDLE,
}

FIELDS = (
    Field("h", "h_i(t)", "hidden state"),
    Field("z", "z̃_i(t)", "response field", response=True),
    Field("W", "𝔚(t1,t2)", "σ_w N^(-1/2) Σ_j φ(h_j(t1)) φ(h_j(t2))", bilocal=True),
    Field("W~", "𝔚̃(t1,t2)", "its conjugate", bilocal=True),
)

WEIGHTS = Vertex("W z z", (Leg("W", (0, 1)), Leg("z", 0, "i"), Leg("z", 1, "i")), HALF, (("sigma_w", 1),), HALF, HALF)


def phi_phi_of(phi: Mapping[int, Fraction | float]) -> dict[tuple[int, int], Fraction | float]:
    """φ(h1) φ(h2) for φ(h) = Σ phi[p] h^p, over pairs p ≤ q."""
    return {(p, q): phi[p] * phi[q] for p in sorted(phi) for q in sorted(phi) if p <= q}


def network_theory(
    model: str,
    start: str,
    values: Mapping[str, Any],
    phi_phi: Mapping[tuple[int, int], Fraction | float],
    activation: Activation | None = None,
) -> Theory:
    """Rules of a network whose φ(h(t1)) φ(h(t2)) expands into Σ phi_phi[p, q] h(t1)^p h(t2)^q over p ≤ q.

    A pair with p < q stands for both (p, q) and (q, p), each with the coefficient given. `activation` is the polynomial
    φ itself: an expansion about mean-field theory solves for its correlator.
    """
    saddle = saddle_of(start, values)
    if saddle is None:
        return Theory(
            model=model,
            start=start,
            parameters={name: value for name, value in values.items() if name not in SADDLE},
            fields=FIELDS,
            propagators=(correlator_line(start, values), response_line(values["gamma"]), DELTA_LINE),
            vertices=network_vertices(phi_phi),
            remarks=_remarks(start, values, float(phi_phi.get((1, 1), 0))),
        )
    average = polynomial_average(phi_phi)
    line = mean_field_line(start, values, average, activation, saddle.horizon)
    gain = values["sigma_w"] ** 2 * average.slope(float(line(0.0, 0.0))) if start == "stationary" else 0.0
    return _saddle_theory(model, start, values, saddle, line, network_vertices(phi_phi, saddle.subtraction), gain)


def wick_theory(model: str, values: Mapping[str, Any], activation: Activation, degree: int) -> Theory:
    """Rules of a stationary network about mean-field theory, φφ in Wick-ordered powers up to `degree`."""
    saddle = saddle_of("stationary", values)
    assert saddle is not None
    curve = stationary_curve(values, activation)
    line = stationary_line(curve.C, correlator_terms("stationary", values), 4 / values["gamma"])
    vertices = (WEIGHTS, *wick_vertices(activation, degree, curve, values["gamma"]))
    gain = values["sigma_w"] ** 2 * slope_square(activation, curve.variance)
    return _saddle_theory(model, "stationary", values, saddle, line, vertices, gain)


def _saddle_theory(
    model: str,
    start: str,
    values: Mapping[str, Any],
    saddle: Saddle,
    line: Propagator,
    vertices: tuple[Vertex, ...],
    gain: float,
) -> Theory:
    """The theory with these mean-field lines and vertices; `gain` is σ_w² ⟨φ'²⟩."""
    return Theory(
        model=model,
        start=start,
        parameters={name: value for name, value in values.items() if (name, value) != ("T", None)},
        fields=FIELDS,
        propagators=(line, response_line(values["gamma"], saddle.theta0), DELTA_LINE),
        vertices=vertices,
        remarks=saddle_remarks(saddle, gain / values["gamma"] ** 2),
        theta0=saddle.theta0,
        horizon=saddle.horizon,
    )


def network_vertices(
    phi_phi: Mapping[tuple[int, int], Fraction | float], subtraction: str = "none"
) -> tuple[Vertex, ...]:
    """𝔚 z̃ z̃ and one 𝔚̃ h^p h^q for each pair, of which the average is subtracted if wanted."""
    activations = [
        Vertex(
            f"({p},{q})",
            (Leg("W~", (0, 1)), *(Leg("h", n, "j", power) for n, power in enumerate((p, q)) if power)),
            (HALF if p == q else 1) * coefficient,
            (("sigma_w", 1),),
            HALF,
            HALF,
            subtraction=subtraction,
        )
        for (p, q), coefficient in phi_phi.items()
        if q > 0
    ]
    if (0, 0) in phi_phi and subtraction == "none":
        # φ(0)² has no field left to carry the index j: its sum cancels the 1/N. It is nothing but its average.
        legs = (Leg("z", 0, "i"), Leg("z", 1, "i"))
        activations.append(Vertex("(0,0)", legs, HALF * phi_phi[0, 0], (("sigma_w", 2),)))
    return (WEIGHTS, *activations)


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
