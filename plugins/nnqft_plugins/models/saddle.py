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

from nnqft import InputError, Parameter, Propagator, UnknownNameError, finite_number, short
from nnqft_plugins.models.averages import PolynomialAverage
from nnqft_plugins.models.lines import correlator_terms
from nnqft_plugins.models.tabulated import tabulated_line


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise UnknownNameError(name, value, known)
        return value

    return check


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
        "bare", "about 𝔚 = 0 (bare) or about mean-field theory (saddle)", check=_one_of("bare", "saddle")
    ),
    "tadpoles": Parameter(
        "cancelled", "saddle: cancelled by its counterterm, or kept", check=_one_of("cancelled", "kept")
    ),
    "theta0": Parameter(0.0, "saddle: θ(0) of closed responses, from 0 (Itô) to 1", check=_theta0),
    "T": Parameter(None, "saddle: horizon of free times, and of the times from rest", check=_horizon),
}


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
        raise InputError("expansion='saddle' from rest needs the latest time of its table; write for example T=10")
    if horizon is not None and not theta0 and start == "stationary":
        raise InputError(f"T={horizon:g}: nothing depends on it with theta0=0 and a stationary start; leave T out")
    return Saddle(values["tadpoles"] == "kept", theta0, math.inf if horizon is None else horizon)


def mean_field_line(start: str, values: Mapping[str, Any], average: PolynomialAverage, horizon: float) -> Propagator:
    """C_MF: a sum of exponentials where φφ has an affine average and the start is stationary, else a table.

    Raises
    ------
    InputError
        If the mean-field equation has no solution.
    """
    coupling = values["sigma_w"] ** 2
    if start == "stationary" and average.affine:
        constants = {powers[0]: x for powers, x in average.terms}
        slope, constant = constants.get(1, 0.0), constants.get(0, 0.0)
        stiffness = values["gamma"] ** 2 - coupling * slope
        if stiffness <= 0:
            name = "sigma_w" if slope == 1 else "sigma_w·φ'(0)"
            raise InputError(
                f"expansion='saddle': the linear mean-field line needs {name} < gamma, came"
                f" {math.sqrt(coupling * slope):g} and {values['gamma']:g}; write a smaller sigma_w or start='rest'"
            )
        rate = math.sqrt(stiffness)
        length = "ξ_0" if slope else "γ^(−1)"
        formula = f"(κ/2) {length} e^(−|t−s|/{length})"
        formula += f" + (σ_b² + σ_w² φ(0)²) {length}²" if constant else f" + σ_b² {length}²" * (values["sigma_b"] > 0)
        formula += " + σ_u² terms" * (values["sigma_u"] > 0)
        formula += f",  ξ_0 = (γ² − σ_w²{_squared_slope(slope)})^(−1/2) = {1 / rate:.6g}" * bool(slope)
        return Propagator("C", "h", "h", formula, correlator_terms(start, values, rate, coupling * constant))
    return tabulated_line(start, average, correlator_terms(start, values), values["gamma"], coupling, horizon)


def _squared_slope(slope: float) -> str:
    return "" if slope == 1 else " φ'(0)²"


def saddle_remarks(saddle: Saddle) -> tuple[str, ...]:
    """What a reader of results must know."""
    if saddle.kept:
        lines = "mean-field lines with tadpoles kept: these are counted twice, in the lines and as diagrams"
    else:
        lines = "mean-field lines, their tadpoles cancelled: beyond order 0 every diagram has k ≥ 1"
    remarks = [f"{lines}; order n counts the σ_w^(2n) of the vertices, at fixed lines"]
    if saddle.theta0:
        remarks.append(
            f"theta0 = {saddle.theta0:g}: closed responses add terms ∝ T/N that the determinant of the change of"
            " variables, left out here, would cancel"
        )
    return tuple(remarks)
