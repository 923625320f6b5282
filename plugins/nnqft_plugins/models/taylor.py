"""The network with any activation, by its Taylor coefficients at 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nnqft import (
    AbstractModel,
    Activation,
    InputError,
    Parameter,
    Theory,
    UnknownNameError,
    finite_number,
    short,
    whole_number,
)
from nnqft_plugins.models.network.activations import NAMED
from nnqft_plugins.models.network.rules import PARAMETERS, network_theory, phi_phi_of, wick_theory
from nnqft_plugins.models.network.saddle import one_of

MAX_DEGREE = 14
"""Highest power of h: a point holds no more equal legs."""


def _activations() -> dict[str, Callable[[Any], Any]]:
    """Activations by name, as functions of mpmath numbers."""
    import mpmath as mp

    return {
        "tanh": mp.tanh,
        "erf": mp.erf,
        "sin": mp.sin,
        "arctan": mp.atan,
        "softplus": lambda x: mp.log(1 + mp.exp(x)),
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "gelu": lambda x: x * (1 + mp.erf(x / mp.sqrt(2))) / 2,
        "swish": lambda x: x / (1 + mp.exp(-x)),
        "exp": mp.exp,
    }


def taylor_coefficients(activation: str, degree: int) -> dict[int, float]:
    """Non-zero c_p of φ(h) = Σ c_p h^p up to p = degree, by mpmath to full double precision."""
    import mpmath as mp

    known = _activations()
    if activation not in known:
        raise UnknownNameError("activation", activation, known)
    with mp.workdps(60):
        series = mp.taylor(known[activation], 0, degree)
        return {p: float(c) for p, c in enumerate(series) if abs(c) > mp.mpf(10) ** -25}


def check_coefficients(name: str, value: Any) -> tuple[tuple[int, float], ...] | None:
    """(power, coefficient) pairs from a mapping; None stays None."""
    if value is None:
        return None
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        given = [(p, c) for p, c in pairs]
    except (TypeError, ValueError):
        raise InputError(
            f"{name}={short(value)}: wanted powers and coefficients, write {name}={{1: 1.0, 3: -0.3}}"
        ) from None
    checked = tuple(
        sorted((whole_number(f"power of {name}", p, 0), finite_number(f"{name}[{p}]", c)) for p, c in given)
    )
    if not checked or checked[-1][0] > MAX_DEGREE:
        raise InputError(
            f"{name}={short(value)}: wanted powers from 0 to {MAX_DEGREE}, write {name}={{1: 1.0, 3: -0.3}}"
        )
    if len({p for p, _ in checked}) < len(checked):
        raise InputError(f"{name}={short(value)}: a power is given twice; write each once")
    if any(abs(c) > 1e9 for _, c in checked):
        raise InputError(f"{name}={short(value)}: wanted coefficients up to 1e9 in size")
    return tuple((p, c) for p, c in checked if c)


def check_activation(name: str, value: Any) -> str | None:
    """A known name, or None."""
    if value is not None and not (isinstance(value, str) and value in _activations()):
        raise UnknownNameError("activation", value, _activations())
    return value


ACTIVATION: dict[str, Parameter] = {
    "activation": Parameter(None, "name of φ: tanh, erf, sin, gelu, softplus, …", check=check_activation),
    "degree": Parameter(5, "highest power of h kept of a named activation", low=1, integer=True),
    "coefficients": Parameter(None, "φ itself, {power: coefficient}, instead of a name", check=check_coefficients),
}


def phi_of(values: Mapping[str, Any]) -> dict[int, float]:
    """φ as {power: coefficient} from the parameters of ACTIVATION; tanh if nothing was given."""
    if values["coefficients"] is not None and values["activation"] is not None:
        raise InputError("both activation and coefficients were given; write one of them")
    if values["coefficients"] is not None:
        return dict(values["coefficients"])
    if values["degree"] > MAX_DEGREE:
        raise InputError(f"degree={values['degree']}: wanted at most {MAX_DEGREE}")
    return taylor_coefficients(values["activation"] or "tanh", values["degree"])


def activation_of(values: Mapping[str, Any]) -> Activation:
    """The function whose Taylor series `phi_of` gives: the named one itself, or the polynomial."""
    if values["coefficients"] is not None:
        return Activation.polynomial("Σ c_p h^p", dict(values["coefficients"]))
    return NAMED[values["activation"] or "tanh"]


AVERAGES: dict[str, Parameter] = {
    "averages": Parameter(
        "polynomial",
        "saddle: Gaussian averages of φ's polynomial, or of the activation itself",
        check=one_of("polynomial", "activation"),
    )
}


def _check_averages(start: str, values: Mapping[str, Any]) -> None:
    """Averages of the activation itself need the lines and vertices that go with them."""
    asked = "averages='activation'"
    if values["expansion"] != "saddle":
        raise InputError(f"{asked} belongs to expansion='saddle'; write that, too, or leave averages out")
    if values["tadpoles"] == "kept":
        raise InputError(f"{asked} has no tadpoles to keep: they are in its vertices; write tadpoles='cancelled'")
    if start != "stationary":
        raise InputError(f"{asked} is for a stationary start; from rest write averages='polynomial'")
    if values["degree"] > MAX_DEGREE:
        raise InputError(f"degree={values['degree']}: wanted at most {MAX_DEGREE}")


class Taylor(AbstractModel):
    """φ(h) = Σ c_p h^p: one vertex for each pair of powers; even powers and a constant make tadpoles."""

    name = "taylor"
    summary = "random network with any activation, by name and degree or by Taylor coefficients"
    parameters = PARAMETERS | ACTIVATION | AVERAGES

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """All vertices (p, q) of φφ, or Wick-ordered ones of the activation itself."""
        if values["averages"] == "activation":
            _check_averages(start, values)
            degree = 2 * max(phi_of(values)) if values["coefficients"] is not None else values["degree"]
            return wick_theory(self.name, values, activation_of(values), degree)
        values = {name: value for name, value in values.items() if name != "averages"}
        phi = phi_of(values)
        polynomial = Activation.polynomial("Σ c_p h^p", phi)
        return network_theory(self.name, start, values, phi_phi_of(phi), polynomial)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named function, whatever `degree` the rules keep; or the polynomial of the coefficients."""
        return activation_of(values)
