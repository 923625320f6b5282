"""What every random recurrent network shares: its fields, its lines, and how an activation makes vertices.

    dh_i = [−γ h_i + Σ_j W_ij φ(h_j) + Σ_k U_ik φ(x_k) + b_i] dt + √κ dB_i,   i = 1…N

averaged over W_ij ~ N(0, σ_w²/N), U_ik ~ N(0, σ_u²/N_x), b_i ~ N(0, σ_b²). Grosvenor & Jefferson, arXiv:2109.13247.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from nnqft import Activation, Field, Parameter, Propagator, Shared, Theory
from nnqft_plugins.models.network.averages import polynomial_average
from nnqft_plugins.models.network.lines import DELTA_LINE, correlator_line, response_line, shared_lines
from nnqft_plugins.models.network.populations import population_rules
from nnqft_plugins.models.network.replicas import rest_shared, stationary_shared
from nnqft_plugins.models.network.rest_averages import ActivationAverage
from nnqft_plugins.models.network.saddle import (
    BARE_REMARK,
    SADDLE,
    SADDLE_FIRST,
    Saddle,
    averages_of,
    curve_line,
    mean_field_line,
    saddle_of,
    saddle_remarks,
    solve_from_rest,
    stationary_curve,
)
from nnqft_plugins.models.network.structured import (
    STRUCTURE_REMARK,
    Expanded,
    Rules,
    bare_remarks,
    chaos_powers,
    one_population,
    powers_of,
    with_structure,
)
from nnqft_plugins.models.network.vertices import WEIGHTS, network_vertices
from nnqft_plugins.models.network.wick_ordered import (
    Chaos,
    NoExpansionError,
    NothingMovesError,
    check_degree_at,
    check_edges_from_rest,
    rest_chaos,
    stationary_chaos,
)
from nnqft_plugins.models.parameters.checks import SLOWEST, input_correlation, one_of_or_none
from nnqft_plugins.models.parameters.structure import STRUCTURE
from nnqft_plugins.networks.weights import weights_of

PARAMETERS: dict[str, Parameter] = {
    "gamma": Parameter(1.0, "leak rate γ, 1/time", low=SLOWEST),
    "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
    "sigma_w": Parameter(0.5, "recurrent weights σ_w, 1/time", low=0.0),
    "sigma_b": Parameter(0.0, "bias σ_b, 1/time", low=0.0),
    "sigma_u": Parameter(0.0, "input weights σ_u, 1/time", low=0.0),
    "q": Parameter(0.0, "input correlation q, a number or {rate: weight}", check=input_correlation),
    "N": Parameter(100, "width", low=1, high=1e15, integer=True),
    **STRUCTURE,
    **SADDLE,
}

NONLINEAR: dict[str, Parameter] = PARAMETERS | SADDLE_FIRST
"""Of networks with a nonlinear φ, which are expanded about the saddle unless told otherwise."""

AVERAGES: dict[str, Parameter] = {
    "averages": Parameter(
        None,
        "saddle: Gaussian averages of the activation itself (unless tadpoles are kept), or of φ's polynomial",
        check=one_of_or_none("polynomial", "activation"),
    )
}

FIELDS = (
    Field("h", "h_i(t)", "hidden state"),
    Field("z", "z̃_i(t)", "response field", response=True),
    Field("W", "𝔚(t1,t2)", "σ_w N^(-1/2) Σ_j φ(h_j(t1)) φ(h_j(t2))", bilocal=True),
    Field("W~", "𝔚̃(t1,t2)", "its conjugate", bilocal=True),
)


def network_theory(
    model: str,
    start: str,
    values: Mapping[str, Any],
    phi_phi: Mapping[tuple[int, int], Fraction | float],
    activation: Activation | None = None,
    degree: int | None = None,
) -> Theory:
    """Rules of a network whose φ(h(t1)) φ(h(t2)) expands into Σ phi_phi[p, q] h(t1)^p h(t2)^q over p ≤ q.

    A pair with p < q stands for both (p, q) and (q, p), each with the coefficient given. `activation` is the polynomial
    φ itself: an expansion about mean-field theory solves for its correlator. `degree` is the power where the true φ was
    cut off, None if it was not.
    """
    saddle, weights = saddle_of(start, values), weights_of(values)
    linear = all(p <= 1 and q <= 1 for p, q in phi_phi)
    phi = powers_of(phi_phi, activation)
    if saddle is None:
        own = {n: v for n, v in values.items() if n not in SADDLE and n != "averages" and v is not None}
        remarks = bare_remarks(start, values, float(phi_phi.get((1, 1), 0)), weights)
        own_lines = correlator_line(start, values), response_line(values["gamma"]), DELTA_LINE
        rules: Rules = FIELDS, own_lines, network_vertices(phi_phi, cut=degree is not None)
        fields, lines, vertices = with_structure(weights, rules, phi_phi, phi, degree is not None)
        return Theory(
            model=model,
            start=start,
            parameters=own if linear and model == "linear" else own | {"expansion": "bare"},
            fields=fields,
            propagators=lines,
            vertices=vertices,
            remarks=remarks if linear else (*remarks, BARE_REMARK),
            degree=degree,
            shared=Shared(shared_lines(start, values), vertices) if weights is None else None,
        )
    one_population(weights)
    average = polynomial_average(phi_phi)
    line = mean_field_line(start, values, average, activation, saddle.horizon)
    gain = values["sigma_w"] ** 2 * average.slope(float(line(0.0, 0.0))) if start == "stationary" else 0.0
    vertices = network_vertices(phi_phi, saddle.subtraction, degree is not None)
    shared: Callable[[], Shared] | None = None
    if weights is None and start == "rest":
        shared = rest_shared(values, average, line, saddle.horizon, vertices)
    elif weights is None:
        shared = stationary_shared(values, line, vertices)
    chaos = Chaos(vertices[1:], degree, False)
    rules = _saddle_rules(values, saddle, line, chaos, (phi_phi, phi, degree is not None))
    return _saddle_theory(model, start, values, saddle, rules, chaos, gain, shared)


def activation_theory(
    model: str,
    start: str,
    values: Mapping[str, Any],
    activation: Activation,
    degree: int | None,
    by_powers: Callable[[Mapping[str, Any]], Theory],
) -> Theory:
    """Rules of a network with φ itself about the saddle, or what `by_powers` makes of its powers if these are wanted.

    A network that nothing drives is at its saddle where the bare expansion starts: then that is it.
    """
    averages = averages_of(values)
    if averages != "activation":
        return by_powers({**values, "averages": averages})
    try:
        return wick_theory(model, start, values, activation, degree)
    except NoExpansionError as error:
        if values["averages"] is not None or activation.kinks or not isinstance(error, NothingMovesError):
            return _no_diagrams(model, start, values, str(error))
        theory = by_powers({**values, "expansion": "bare", "T": None})
        still = "nothing drives this network: mean-field theory is h = 0, where both expansions are one"
        return replace(theory, remarks=(*theory.remarks, still))


def _no_diagrams(model: str, start: str, values: Mapping[str, Any], why: str) -> Theory:
    """The network by its parameters alone."""
    return Theory(
        model=model,
        start=start,
        parameters={n: value for n, value in values.items() if value is not None},
        fields=FIELDS,
        propagators=(correlator_line(start, values), response_line(values["gamma"]), DELTA_LINE),
        vertices=(),
        no_diagrams=why,
    )


def wick_theory(
    model: str, start: str, values: Mapping[str, Any], activation: Activation, degree: int | None = None
) -> Theory:
    """Rules of a network about mean-field theory, φφ in Wick-ordered powers with averages of φ itself.

    `degree` is the highest p + q of a vertex; None keeps all of a polynomial, and of another φ as many as may matter,
    of which a computation then chooses.
    """
    saddle = saddle_of(start, values)
    assert saddle is not None
    values = {**values, "averages": "activation"}
    weights, rules = weights_of(values), None
    if weights is not None and start == "rest":
        raise NoExpansionError(
            "expansion='saddle' from rest: structured weights have vertices about 𝔚 = 0 alone; write expansion='bare'"
        )
    powers: Expanded | None = None
    shared: Callable[[], Shared] | None = None
    if start == "rest":
        check_edges_from_rest(activation)
        noisy = values["kappa"] > 0
        enough = partial(check_degree_at, activation, degree, noisy)
        line, grid = solve_from_rest(values, activation, saddle.horizon, enough)
        chaos = rest_chaos(activation, degree, grid, noisy)
        own = activation, grid, degree
        average = ActivationAverage(activation)
        shared = rest_shared(values, average, line, saddle.horizon, (WEIGHTS, *chaos.vertices), own)
    elif weights is not None and weights.several:
        rules, chaos, gain = population_rules(values, FIELDS, WEIGHTS, weights, saddle.theta0, activation, degree)
    else:
        curve = stationary_curve(values, activation)
        line = curve_line(values, curve)
        chaos = stationary_chaos(activation, degree, curve, values["gamma"], values["kappa"] > 0)
        if weights is None:
            shared = stationary_shared(values, line, (WEIGHTS, *chaos.vertices), activation, chaos.top)
        else:
            powers = chaos_powers(activation, curve.variance, chaos)
    said = f"expansion='saddle': Gaussian averages of φ = {activation.name} itself"
    if chaos.degree is not None:
        how = "as far as they matter, at most" if chaos.chosen else "up"
        said += f", vertices :h^p h^q: {how} to p + q = {chaos.degree}"
    chaos = replace(chaos, remarks=(said, *chaos.remarks))
    if rules is None:
        gain = values["sigma_w"] ** 2 * chaos.slope if values["sigma_w"] else 0.0
        rules = _saddle_rules(values, saddle, line, chaos, powers)
    return _saddle_theory(model, start, values, saddle, rules, chaos, gain, shared)


def _saddle_rules(
    values: Mapping[str, Any], saddle: Saddle, line: Propagator, chaos: Chaos, powers: Expanded | None
) -> Rules:
    """The rules of one population, with what structure adds in these powers of h."""
    lines = (line, response_line(values["gamma"], saddle.theta0, chaos.sharp), DELTA_LINE)
    rules: Rules = FIELDS, lines, (WEIGHTS, *chaos.vertices)
    if powers is None:
        return rules
    wick = any(vertex.subtraction == "wick" for vertex in chaos.vertices)
    return with_structure(weights_of(values), rules, *powers, wick)


def _saddle_theory(
    model: str,
    start: str,
    values: Mapping[str, Any],
    saddle: Saddle,
    rules: Rules,
    chaos: Chaos,
    gain: float,
    shared: Callable[[], Shared] | None,
) -> Theory:
    """The theory with these rules; `gain` is σ_w² ⟨φ'²⟩."""
    if start == "rest":
        values = {**values, "T": saddle.horizon}
    weights = weights_of(values)
    remarks = saddle_remarks(saddle, gain / values["gamma"] ** 2)
    return Theory(
        model=model,
        start=start,
        # A degree that is still open stays among them: whoever chooses one writes it there.
        parameters={n: value for n, value in values.items() if value is not None or (n == "degree" and chaos.chosen)},
        fields=rules[0],
        propagators=rules[1],
        vertices=rules[2],
        remarks=(
            *(remarks if weights is None or weights.several else (STRUCTURE_REMARK, *remarks[1:])),
            *chaos.remarks,
        ),
        theta0=saddle.theta0,
        horizon=saddle.horizon,
        degree=chaos.degree,
        adaptive=chaos.chosen,
        ratio=gain / values["gamma"] ** 2,
        shared=shared,
    )
