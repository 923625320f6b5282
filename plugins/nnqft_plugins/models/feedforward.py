"""Deep networks: weights drawn anew in every layer.

    h_{l+1} = (1 − γη) h_l + √η [W_l φ(h_l) + b_l + √κ ξ_l],   W_l,ij ~ N(0, σ_w²/N),   t = η l, η → 0

becomes dh_i = −γ h_i dt + (σ_w/√N) Σ_j dW_ij φ(h_j) + σ_b db_i + √κ dB_i with white dW, db, dB. Averaged over
them the interaction is local in time, (σ_w²/2N) ∫ z̃_i² φ(h_j)²: two response legs on one point, and corrections
that grow as depth over width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nnqft import AbstractModel, Activation, Field, InputError, Leg, Parameter, Propagator, Shared, Term, Theory, Vertex
from nnqft_plugins.models.network.layered_replicas import bare_layers, saddle_layers
from nnqft_plugins.models.network.layered_saddle import layered_saddle
from nnqft_plugins.models.network.saddle import MEAN_FIELD_REMARK, SADDLE
from nnqft_plugins.models.parameters.activations import LINEAR
from nnqft_plugins.models.parameters.checks import (
    ACTIVATION,
    MAX_DEGREE,
    SLOWEST,
    activation_of,
    check_degree,
    one_of_or_none,
    phi_of,
)
from nnqft_plugins.networks.meanfield.layers import settled_variance
from nnqft_plugins.networks.network import Network

FEEDFORWARD: dict[str, Parameter] = {
    "gamma": Parameter(1.0, "leak rate γ, 1/time", low=SLOWEST),
    "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
    "sigma_w": Parameter(0.5, "weights σ_w, 1/√time", low=0.0),
    "sigma_b": Parameter(0.0, "bias σ_b of each layer, 1/√time", low=0.0),
    "C_0": Parameter(0.0, "variance of h at the first layer (from rest)", low=0.0),
    "N": Parameter(100, "width", low=1, high=1e15, integer=True),
}
BARE_DEGREE = 3
"""Of a named activation in the bare expansion, if none is given."""


class Feedforward(AbstractModel):
    """A stack of layers as a stochastic process in depth; φ(h) = h unless an activation is given."""

    name = "feedforward"
    summary = "deep network, new weights in every layer: local interaction (σ_w²/2N) z̃_i² φ_j²"
    parameters = (
        FEEDFORWARD
        | ACTIVATION
        | {
            "degree": Parameter(
                None,
                "where the activation is cut: its power of h (bare, 3 if not given), or the Wick power of φ²"
                " (saddle, chosen by the program)",
                check=check_degree,
            ),
            "expansion": Parameter(
                None,
                "about mean-field theory (saddle, for any nonlinear φ) or about no weights (bare, for φ = h)",
                check=one_of_or_none("bare", "saddle"),
            ),
            "averages": Parameter(
                None,
                "saddle: Gaussian averages of the activation itself (activation), or of its polynomial",
                check=one_of_or_none("polynomial", "activation"),
            ),
            "T": Parameter(
                None, "saddle from rest: the last depth, where the variance grows for ever", check=SADDLE["T"].check
            ),
        }
    )

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One local vertex for each power of h in φ², or each Wick-ordered power of the activation itself."""
        phi = _polynomial(values)
        linear = phi is not None and set(phi) <= {1}
        expansion = values["expansion"] or ("bare" if linear else "saddle")
        averages = values["averages"] or ("polynomial" if linear or expansion == "bare" else "activation")
        if averages == "activation" and expansion == "bare":
            raise InputError("averages='activation' belongs to expansion='saddle'; write that, too, or leave it out")
        if values["T"] is not None and (start != "rest" or averages != "activation"):
            raise InputError("T belongs to start='rest' and averages='activation'; leave it out")
        degree = values["degree"]
        if averages == "activation":
            return self._of_averages(start, {**values, "expansion": expansion, "averages": averages})
        values = {**values, "degree": degree or BARE_DEGREE}
        phi, cut = _polynomial(values) or phi_of(values), _polynomial(values) is None
        square: dict[int, float] = {}
        for p, a in phi.items():
            for q, b in phi.items():
                square[p + q] = square.get(p + q, 0.0) + a * b
        saddle = expansion == "saddle"
        line = _mean_field_line(start, values, phi, square) if saddle else _free_line(start, values)
        return Theory(
            model=self.name,
            start=start,
            parameters=_written(values, expansion, averages),
            fields=FIELDS,
            propagators=(line, _response(values)),
            vertices=tuple(
                _vertex(power, coefficient, "average" if saddle else "none", cut)
                for power, coefficient in sorted(square.items())
                if power or not saddle
            ),
            remarks=(MEAN_FIELD_REMARK,) if saddle else _remarks(start, values, phi),
            # φ² of a φ that is cut at h^d is whole to about that power; all powers beyond are incomplete.
            degree=2 * values["degree"] if cut else None,
            shared=self._shared(start, values, phi, line if saddle else None, cut),
        )

    def _shared(
        self, start: str, values: Mapping[str, Any], phi: Mapping[int, float], saddle: Propagator | None, cut: bool
    ) -> Shared | Callable[[], Shared]:
        """What two noise histories have in common, about no weights or about the saddle with this line."""
        if saddle is not None:
            polynomial = Activation.polynomial("Σ c_p h^p", dict(phi))
            return saddle_layers(values, saddle, polynomial, 0, phi)
        line = _free_line(start, {**values, "kappa": 0.0})
        return bare_layers((line,) if any(term.amplitude for term in line.terms) else (), phi, cut=cut)

    def _of_averages(self, start: str, values: Mapping[str, Any]) -> Theory:
        """About mean-field theory, φ² in Wick-ordered powers."""
        degree = MAX_DEGREE if values["degree"] is None else values["degree"]
        horizon = math.inf if values["T"] is None else values["T"]
        found = layered_saddle(_network(start, values, self.activation(values)), degree, horizon)
        return Theory(
            model=self.name,
            start=start,
            parameters=_written(values, "saddle", "activation"),
            fields=FIELDS,
            propagators=(found.line, _response(values)),
            vertices=found.vertices,
            remarks=(MEAN_FIELD_REMARK,),
            horizon=horizon,
            degree=None if found.complete else degree,
            adaptive=not found.complete and values["degree"] is None,
            shared=saddle_layers(values, found.line, self.activation(values), degree, None),
        )

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named or given function or the polynomial; φ(h) = h if none is given."""
        return LINEAR if _is_linear(values) else activation_of(values)


FIELDS = Field("h", "h_i(t)", "state at depth t"), Field("z", "z̃_i(t)", "response field", response=True)


def _response(values: Mapping[str, Any]) -> Propagator:
    return Propagator("G", "h", "z", "θ(t−s) e^{−γ(t−s)},  θ(0) = 0", (Term(1.0, values["gamma"]),))


def _written(values: Mapping[str, Any], expansion: str, averages: str) -> dict[str, Any]:
    """Parameters as a result shows them: what was chosen, but nothing that could not have been chosen otherwise."""
    chosen = {**values, "expansion": expansion, "averages": averages}
    linear = _is_linear(values) or set(dict(values["coefficients"] or {})) == {1}
    if expansion == "bare":
        del chosen["averages"]
        if linear:
            del chosen["expansion"]
    elif linear and averages == "polynomial":
        del chosen["averages"]
    return {name: value for name, value in chosen.items() if (name, value) not in (("T", None), ("degree", None))}


def _polynomial(values: Mapping[str, Any]) -> dict[int, float] | None:
    """φ as {power: coefficient} where that is what was given, φ = h if nothing was; None for an activation."""
    if values["activation"] is not None and values["coefficients"] is not None:
        raise InputError("both activation and coefficients were given; write one of them")
    if _is_linear(values):
        return {1: 1.0}
    return None if values["coefficients"] is None else dict(values["coefficients"])


def _is_linear(values: Mapping[str, Any]) -> bool:
    return values["activation"] is None and values["coefficients"] is None


def _free_line(start: str, values: Mapping[str, Any]) -> Propagator:
    gamma = values["gamma"]
    variance = (values["kappa"] + values["sigma_b"] ** 2) / (2 * gamma)
    terms: tuple[Term, ...] = (Term(variance, gamma),)
    formula = "((κ+σ_b²)/2γ) e^{−γ|t−s|}"
    if start == "rest":
        terms += (Term(values["C_0"] - variance, gamma, 2 * gamma),)
        formula += " + (C_0 − (κ+σ_b²)/2γ) e^{−γ(t+s)}"
    return Propagator("C", "h", "h", formula, terms)


def _mean_field_line(
    start: str, values: Mapping[str, Any], phi: Mapping[int, float], square: Mapping[int, float]
) -> Propagator:
    """v(min(t,s)) e^{−γ|t−s|} with dv/dt = −2γ v + κ + σ_b² + σ_w² ⟨φ²⟩_v: new weights are white noise.

    Raises
    ------
    InputError
        If v grows beyond all bounds, or from rest is no sum of exponentials.
    """
    gamma, noise, coupling = values["gamma"], values["kappa"] + values["sigma_b"] ** 2, values["sigma_w"] ** 2
    affine = all(power in (0, 2) for power in square if power % 2 == 0)
    if affine:
        decay = 2 * gamma - coupling * square.get(2, 0.0)
        if decay <= 0:
            raise InputError(
                f"expansion='saddle': the variance of the mean-field line grows for σ_w² φ'(0)² ≥ 2γ = {2 * gamma:g};"
                " write a smaller sigma_w"
            )
        variance = (noise + coupling * square.get(0, 0.0)) / decay
    elif start == "stationary":
        variance = settled_variance(_network(start, values, Activation.polynomial("Σ c_p h^p", dict(phi))))[0]
    else:
        raise InputError(
            "averages='polynomial' from rest is for φ(h) = h; write averages='activation', start='stationary' or"
            " expansion='bare'"
        )
    terms: tuple[Term, ...] = (Term(variance, gamma),)
    formula = f"v e^{{−γ|t−s|}},  v = {variance:.6g}"
    if start == "rest":
        terms += (Term(values["C_0"] - variance, gamma, decay),)
        formula = f"[v + (C_0 − v) e^{{−(2γ−σ_w²) min(t,s)}}] e^{{−γ|t−s|}},  v = {variance:.6g}"
    return Propagator("C", "h", "h", formula, terms)


def _network(start: str, values: Mapping[str, Any], activation: Activation) -> Network:
    return Network(
        gamma=values["gamma"],
        kappa=values["kappa"],
        sigma_w=values["sigma_w"],
        sigma_b=values["sigma_b"],
        inputs=(),
        C_0=values["C_0"],
        N=values["N"],
        stationary=start == "stationary",
        layered=True,
        activation=activation,
    )


def _vertex(power: int, coefficient: float, subtraction: str, cut: bool) -> Vertex:
    """½ σ_w² z̃_i² h_j^power/N; without h the sum over j cancels the 1/N."""
    legs = (Leg("z", 0, "i", 2), *([Leg("h", 0, "j", power)] if power else []))
    return Vertex(
        f"z²h^{power}", legs, coefficient / 2, (("sigma_w", 2),), width=1 if power else 0,
        subtraction=subtraction, degree=power if cut else 0,
    )  # fmt: skip


def _remarks(start: str, values: Mapping[str, Any], phi: Mapping[int, float]) -> tuple[str, ...]:
    gain = values["sigma_w"] ** 2 * phi.get(1, 0.0) ** 2
    if gain < 2 * values["gamma"]:
        return ()
    where = "" if start == "stationary" else " as t → ∞"
    return (f"σ_w² φ'(0)² = {gain:g} ≥ 2γ = {2 * values['gamma']:g}: the series in σ_w² diverges{where}",)
