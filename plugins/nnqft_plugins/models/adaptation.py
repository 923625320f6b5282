"""The network whose units adapt: a second variable follows each unit and holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nnqft import AbstractModel, Activation, InputError, Parameter, Propagator, Shared, Theory
from nnqft_plugins.models.network.lines import DELTA_LINE, crowded_delay, slow_sources
from nnqft_plugins.models.network.replicas import stationary_shared
from nnqft_plugins.models.network.rules import FIELDS, PARAMETERS
from nnqft_plugins.models.network.saddle import BARE_REMARK, MEAN_FIELD_REMARK, SADDLE, stationary_network
from nnqft_plugins.models.network.structured import (
    STRUCTURE_REMARK,
    Rules,
    chaos_powers,
    one_population,
    with_structure,
)
from nnqft_plugins.models.network.tabulated import stationary_line
from nnqft_plugins.models.network.vertices import WEIGHTS, network_vertices, phi_phi_of
from nnqft_plugins.models.network.wick_ordered import NoExpansionError, stationary_chaos
from nnqft_plugins.models.parameters.checks import (
    ACTIVATION,
    SLOWEST,
    activation_of,
    check_degree,
    check_one,
    one_of_or_none,
    phi_of,
)
from nnqft_plugins.networks.adaptation import (
    Adaptation,
    correlator_amplitudes,
    real_terms,
    response_amplitudes,
    unit_modes,
)
from nnqft_plugins.networks.meanfield.adapting import solve_adapting
from nnqft_plugins.networks.weights import weights_of

BARE_DEGREE = 5
"""Highest power of h of a named activation in the bare expansion, where nobody asks for one."""


class Adapting(AbstractModel):
    """dh_i = (−γ h_i − a_i + Σ_j W_ij φ(h_j) + …) dt + √κ dB_i with da_i = γ_a (β h_i − a_i) dt, averaged over W.

    a is linear and integrated out exactly: the response and the correlator of h are sums of two exponentials, which
    oscillate for 4 γ_a β > (γ − γ_a)². With β = 0 it is the network of model ``taylor``.
    S. P. Muscinelli, W. Gerstner & T. Schwalger, PLoS Comput. Biol. 15, e1007122 (2019).
    """

    name = "adaptation"
    summary = "random network of units with adaptation, two variables each: da = γ_a (β h − a) dt"
    parameters: Mapping[str, Parameter] = {
        **{name: parameter for name, parameter in PARAMETERS.items() if name not in SADDLE},
        "gamma_a": Parameter(0.25, "rate of adaptation γ_a, 1/time", low=SLOWEST),
        "beta": Parameter(0.5, "strength of adaptation β, 1/time; a = β h at rest", low=0.0),
        **ACTIVATION,
        "degree": Parameter(
            None,
            "saddle: highest degree of Wiener's chaos, chosen if not given; bare: highest power of h, 5",
            check=check_degree,
        ),
        "expansion": Parameter(
            None,
            "about mean-field theory (saddle, if stationary) or about 𝔚 = 0 (bare, from rest)",
            check=one_of_or_none("saddle", "bare"),
        ),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """The rules of h alone, with a integrated out; a network that nothing drives is expanded about 𝔚 = 0."""
        check_one(values)
        driven = values["kappa"] or any(weight for _, weight in slow_sources(values))
        expansion = values["expansion"] or ("saddle" if start == "stationary" and driven else "bare")
        if expansion == "saddle" and start == "rest":
            raise InputError("from rest adaptation has its expansion about 𝔚 = 0 alone; write expansion='bare'")
        values = {**values, "expansion": expansion}
        if expansion == "bare":
            return self._bare(start, values)
        try:
            return self._about_saddle(values)
        except NoExpansionError as error:
            return self._network(values, str(error))

    def _network(self, values: Mapping[str, Any], why: str) -> Theory:
        """The network by its parameters alone, for mean-field theory and simulation."""
        return Theory(
            model=self.name,
            start="stationary",
            parameters={n: v for n, v in values.items() if v is not None},
            fields=FIELDS,
            propagators=(_free_line(values, rest=False), _response(values), DELTA_LINE),
            vertices=(),
            no_diagrams=why,
        )

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named function, whatever `degree` the rules keep; or the polynomial of the coefficients."""
        return activation_of(values)

    def _bare(self, start: str, values: Mapping[str, Any]) -> Theory:
        cut = (values["degree"] or BARE_DEGREE) if values["coefficients"] is None else values["degree"]
        instead = "expansion='saddle'" if start == "stationary" else "start='stationary', expansion='saddle'"
        phi = {p: c for p, c in phi_of({**values, "degree": cut}, instead).items() if cut is None or p <= cut}
        unit = unit_of(values)
        weights = weights_of(values)
        gain = (values["sigma_w"] * phi.get(1, 0.0)) ** 2 * unit.largest_gain(values["gamma"])
        gain *= 1.0 if weights is None else weights.reach
        remarks = [BARE_REMARK]
        if gain >= 1:
            remarks.insert(0, f"σ_w² φ'(0)² max|χ|² = {gain:.4g} ≥ 1: the series in σ_w² diverges, order by order")
        rest = start == "rest"
        static = _free_line({**values, "kappa": 0.0}, rest)
        shared = (static,) if any(term.amplitude for term in static.terms) else ()
        # Of coefficients that are all there nothing is cut off.
        kept = None if values["coefficients"] is not None and values["degree"] is None else cut
        phi_phi = phi_phi_of(phi)
        own_lines = _free_line(values, rest), _response(values), DELTA_LINE
        rules: Rules = FIELDS, own_lines, network_vertices(phi_phi, cut=kept is not None)
        fields, lines, vertices = with_structure(weights, rules, phi_phi, phi, kept is not None)
        return Theory(
            model=self.name,
            start=start,
            parameters={n: v for n, v in {**values, "degree": kept}.items() if v is not None},
            fields=fields,
            propagators=lines,
            vertices=vertices,
            remarks=tuple(remarks),
            degree=kept,
            shared=Shared(shared, vertices) if weights is None else None,
        )

    def _about_saddle(self, values: Mapping[str, Any]) -> Theory:
        phi, unit, gamma = activation_of(values), unit_of(values), values["gamma"]
        weights = one_population(weights_of(values))
        curve = solve_adapting(replace(stationary_network(values, phi), adaptation=unit_of(values)), 1e-8)
        chaos = stationary_chaos(phi, values["degree"], curve, gamma, values["kappa"] > 0)
        slowest = min(complex(rate).real for _, modes in unit_modes(gamma, unit) for _, rate in modes)
        gain = values["sigma_w"] ** 2 * chaos.slope * unit.largest_gain(gamma) if values["sigma_w"] else 0.0
        line = stationary_line(curve.C, (), 4 / slowest)
        rules: Rules = FIELDS, (line, _response(values, chaos.sharp), DELTA_LINE), (WEIGHTS, *chaos.vertices)
        if weights is not None:
            rules = with_structure(weights, rules, *chaos_powers(phi, curve.variance, chaos), wick=True)
        return Theory(
            model=self.name,
            start="stationary",
            parameters={n: v for n, v in values.items() if v is not None or (n == "degree" and chaos.chosen)},
            fields=rules[0],
            propagators=rules[1],
            vertices=rules[2],
            remarks=(MEAN_FIELD_REMARK if weights is None else STRUCTURE_REMARK, *chaos.remarks),
            degree=chaos.degree,
            adaptive=chaos.chosen,
            ratio=gain,
            shared=stationary_shared(values, line, rules[2], phi, chaos.top) if weights is None else None,
        )


def unit_of(values: Mapping[str, Any]) -> Adaptation:
    """The adaptation that the parameters say."""
    return Adaptation(values["gamma_a"], values["beta"])


def _free_line(values: Mapping[str, Any], rest: bool) -> Propagator:
    sources = [(rate, weight) for rate, weight in slow_sources(values) if weight]
    found = correlator_amplitudes(values["gamma"], unit_of(values), values["kappa"], sources, rest)
    return Propagator("C", "h", "h", "κ ∫ G(t,u) G(s,u) du + the same of bias and input", real_terms(found))


def _response(values: Mapping[str, Any], crowded: bool = False) -> Propagator:
    """G of one unit; if `crowded`, short delays are sampled more often, for vertices singular there."""
    terms = real_terms(response_amplitudes(values["gamma"], unit_of(values)))
    formula = "θ(t−s) ⟨h(t)⟩ after a kick at s, da = γ_a (β h − a) dt,  θ(0) = 0"
    if not crowded:
        return Propagator("G", "h", "z", formula, terms)
    slowest = min(complex(term.rate).real for term in terms)
    return Propagator("G", "h", "z", formula, terms, params=(("gamma", slowest),), delay=crowded_delay)
