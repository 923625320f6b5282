"""Expansion about the saddle: lines of the mean-field theory, and vertices without what these lines hold already.

𝔚 fluctuates about 𝔚_0 = σ_w √N ⟨φφ⟩_MF. Its mean goes into S_0 and dresses C; the term −½ 𝔚̃ 𝔚_0 that is left over
takes the average off each φ(h_j) φ(h_j), so that no index slot closes on itself: that is every diagram of width
order 0 but the line itself. See docs/physics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nnqft import Activation, InputError, Parameter, Propagator, finite_number, short
from nnqft_plugins.models.network.averages import PolynomialAverage
from nnqft_plugins.models.network.edges_at_zero import bent_of
from nnqft_plugins.models.network.exponential import briefly, exponential_line
from nnqft_plugins.models.network.lines import correlator_terms, slow_sources
from nnqft_plugins.models.network.rest_averages import ActivationAverage, RestGrid, reach_beyond
from nnqft_plugins.models.network.tabulated import (
    Average,
    largest_variance,
    line_of_square,
    rest_line,
    rest_square,
    stationary_line,
)
from nnqft_plugins.models.parameters.checks import one_of
from nnqft_plugins.networks.meanfield.driven import solve_driven
from nnqft_plugins.networks.meanfield.stationary import Curve, solve_static
from nnqft_plugins.networks.network import Network

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _theta0(name: str, value: Any) -> float:
    number = finite_number(name, value)
    if not 0 <= number <= 1:
        raise InputError(f"{name}={short(value)}: wanted a number from 0 (Itô) to 1, such as {name}=0.5")
    return number


def _horizon(name: str, value: Any) -> float | None:
    if value is None:
        return None
    number = finite_number(name, value)
    if not 0 < number <= 1e9:
        raise InputError(f"{name}={short(value)}: wanted a time > 0, such as {name}=10")
    return number


SADDLE: dict[str, Parameter] = {
    "expansion": Parameter(
        "bare", "about 𝔚 = 0 (bare) or about mean-field theory (saddle)", check=one_of("bare", "saddle")
    ),
    "tadpoles": Parameter(
        "cancelled", "saddle: cancelled by its counterterm, or kept", check=one_of("cancelled", "kept")
    ),
    "theta0": Parameter(0.0, "saddle: θ(0) of closed responses, from 0 (Itô) to 1", check=_theta0),
    "T": Parameter(None, "saddle: horizon of free times, and of the times from rest: 10/γ", check=_horizon),
}
SADDLE_FIRST: dict[str, Parameter] = SADDLE | {
    "expansion": Parameter(
        "saddle", "about mean-field theory (saddle) or about 𝔚 = 0 (bare)", check=SADDLE["expansion"].check
    )
}
"""Of models that are expanded about the saddle unless told otherwise."""

LATEST = 10.0
"""Times from rest are tabulated so far where nobody says how far, in units of 1/γ."""


BARE_REMARK = "bare expansion about 𝔚 = 0, at finite N asymptotic; expansion='saddle' starts from mean-field theory"
_COUNTING = "order n counts the σ_w^(2n) of the vertices, at fixed lines"
MEAN_FIELD_REMARK = f"mean-field lines, their tadpoles cancelled: beyond order 0 every diagram has k ≥ 1; {_COUNTING}"
TADPOLES_REMARK = (
    f"mean-field lines with tadpoles kept: these are counted twice, in the lines and as diagrams; {_COUNTING}"
)


@dataclass(frozen=True)
class Saddle:
    """How to expand: are tadpoles kept, θ(0), and the horizon T, infinite where nothing needs one."""

    kept: bool
    theta0: float
    horizon: float

    @property
    def subtraction(self) -> str:
        """Of the vertices."""
        return "none" if self.kept else "average"


def saddle_of(start: str, values: Mapping[str, Any]) -> Saddle | None:
    """The expansion that the parameters ask for; None if it is the bare one.

    Raises
    ------
    InputError
        If they contradict each other.
    """
    theta0, horizon = values["theta0"], values["T"]
    if values["expansion"] == "bare":
        for name in ("tadpoles", "theta0", "T"):
            if values[name] != SADDLE[name].default:
                given = f"{name}={values[name]!r}"
                raise InputError(f"{given} belongs to expansion='saddle'; write that, too, or leave {name} out")
        return None
    if horizon is None and theta0:
        raise InputError(f"theta0={theta0:g}: closed responses have free times; write how long they run, such as T=10")
    if horizon is None and start == "rest":
        horizon = LATEST / values["gamma"]
    if horizon is not None and not theta0 and start == "stationary":
        raise InputError(f"T={horizon:g}: nothing depends on it with theta0=0 and a stationary start; leave T out")
    return Saddle(values["tadpoles"] == "kept", theta0, math.inf if horizon is None else horizon)


def averages_of(values: Mapping[str, Any]) -> str | None:
    """What averages the vertices hold: None in the bare expansion, which has none.

    Raises
    ------
    InputError
        If the parameters contradict each other.
    """
    given, kept = values["averages"], values["tadpoles"] == "kept"
    if values["expansion"] == "bare":
        if given is not None:
            raise InputError(
                f"averages={given!r} belongs to expansion='saddle'; write that, too, or leave averages out"
            )
        return None
    if given == "activation" and kept:
        raise InputError(
            "averages='activation' has no tadpoles to keep: they are in its vertices; write tadpoles='cancelled'"
        )
    return given or ("polynomial" if kept else "activation")


def mean_field_line(
    start: str, values: Mapping[str, Any], average: PolynomialAverage, activation: Activation | None, horizon: float
) -> Propagator:
    """C_MF: a sum of exponentials where ⟨φφ⟩ is affine in C and the start stationary, else a table.

    Raises
    ------
    InputError
        If the mean-field equation has no solution.
    """
    coupling = values["sigma_w"] ** 2
    if start == "rest":
        return rest_line(average, correlator_terms(start, values), values["gamma"], coupling, horizon)
    if average.affine:
        return exponential_line(values, average)
    if activation is None:
        raise InputError("expansion='saddle': this model has no activation to solve for; write expansion='bare'")
    return curve_line(values, stationary_curve(values, activation))


def curve_line(values: Mapping[str, Any], curve: Curve) -> Propagator:
    """A stationary solution as a line."""
    return stationary_line(curve.C, correlator_terms("stationary", values), 4 / values["gamma"])


def solve_from_rest(
    values: Mapping[str, Any], activation: Activation, horizon: float, enough: Callable[[float], object]
) -> tuple[Propagator, RestGrid]:
    """C_MF(t,s) from rest of any φ, as a line and as numbers on a grid of times.

    Before it takes that time it asks `enough` about a variance that is reached, which raises if averages end below it.

    Raises
    ------
    InputError
        If it runs away before the horizon, or the horizon needs too large a table.
    """
    terms = correlator_terms("rest", values)
    average: Average = ActivationAverage(activation)
    if activation.kinks:
        average = bent_of(activation) or average
    coupling = values["sigma_w"] ** 2
    scale = 2 / values["gamma"]
    rough = largest_variance(average, terms, values["gamma"], coupling, horizon)
    if rough is not None:
        enough(0.8 * rough)
    step, square = rest_square(average, terms, values["gamma"], coupling, horizon, reach_beyond(horizon, scale))
    line = line_of_square(step, square, terms, horizon)
    return line, RestGrid(line, horizon, step * (len(square) - 4), scale)


def stationary_network(values: Mapping[str, Any], activation: Activation) -> Network:
    """The network with the parameters of a model, in its stationary state."""
    return Network(
        gamma=values["gamma"],
        kappa=values["kappa"],
        sigma_w=values["sigma_w"],
        sigma_b=values["sigma_b"],
        inputs=tuple((rate, weight) for rate, weight in slow_sources(values)[1:] if weight > 0.0),
        C_0=0.0,
        N=values["N"],
        stationary=True,
        layered=False,
        activation=activation,
    )


def stationary_curve(values: Mapping[str, Any], activation: Activation) -> Curve:
    """The stationary solution of dynamic mean-field theory.

    Raises
    ------
    InputError
        If there is none.
    """
    network = stationary_network(values, activation)
    try:
        return solve_driven(network) if any(rate > 0.0 for rate, _ in network.sources) else solve_static(network)
    except InputError as error:
        if len(activation.coefficients or ()) > 2:
            raise _runs_away(values, activation.name, len(activation.coefficients or ()) - 1) from None
        raise InputError(f"{error}, or expansion='bare'") from None


def _runs_away(values: Mapping[str, Any], name: str, power: int) -> InputError:
    """What to say of a φ without bounds, whose averages feed on themselves."""
    remedy = "write model 'taylor' with activation='tanh'"
    if values.get("activation") is not None:
        remedy = "leave tadpoles out" if values["tadpoles"] == "kept" else "write averages='activation'"
    return InputError(
        f"expansion='saddle': φ = {name} grows like h{str(power).translate(_RAISED)}: no stationary state at infinite"
        f" width, its variance runs away at sigma_w={values['sigma_w']:g}; {remedy}, a smaller sigma_w,"
        f" {briefly(values)} or expansion='bare'"
    )


def saddle_remarks(saddle: Saddle, gain: float) -> tuple[str, ...]:
    """What a reader of results must know; `gain` is σ_w² ⟨φ'²⟩/γ², about what each order brings at fixed width."""
    remarks = [TADPOLES_REMARK if saddle.kept else MEAN_FIELD_REMARK]
    if saddle.theta0:
        remarks.append(
            f"theta0 = {saddle.theta0:g}: closed responses add terms ∝ T/N that the determinant of the change of"
            " variables, left out here, would cancel"
        )
    if math.isinf(gain):
        remarks.append("φ jumps, so that ⟨φ'²⟩ is infinite: the orders do not converge one by one, order 1 is a guide")
    elif gain >= 1:
        remarks.append(
            f"σ_w² ⟨φ'²⟩/γ² = {gain:.4g} ≥ 1: the orders grow; each is computed, their sum means nothing by itself"
        )
    return tuple(remarks)
