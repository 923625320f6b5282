"""The network with any activation, by its Taylor coefficients at 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
from nnqft_plugins.models.network.rules import (
    AVERAGES,
    NONLINEAR,
    activation_theory,
    network_theory,
    phi_phi_of,
)
from nnqft_plugins.models.network.saddle import optional

MAX_DEGREE = 14
"""Highest power of h: a point holds no more equal legs."""
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


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
        if activation in NAMED:
            raise InputError(
                f"φ = {activation} has no Taylor series at 0: write expansion='saddle', averages='activation' and"
                " tadpoles='cancelled', or leave these out"
            )
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
    if value is not None and not (isinstance(value, str) and value in NAMED):
        raise UnknownNameError("activation", value, NAMED)
    return value


ACTIVATION: dict[str, Parameter] = {
    "activation": Parameter(None, "name of φ: tanh, erf, sin, gelu, softplus, …", check=check_activation),
    "degree": Parameter(5, "highest power of h kept of a named activation", low=1, integer=True),
    "coefficients": Parameter(None, "φ itself, {power: coefficient}, instead of a name", check=check_coefficients),
}


def _check_degree(name: str, value: Any) -> int:
    degree = whole_number(name, value, 1)
    if degree > MAX_DEGREE:
        raise InputError(f"{name}={short(value)}: wanted at most {MAX_DEGREE}")
    return degree


def check_one(values: Mapping[str, Any]) -> None:
    """Raise InputError if φ is given twice."""
    if values.get("coefficients") is not None and values.get("activation") is not None:
        raise InputError("both activation and coefficients were given; write one of them")


def phi_of(values: Mapping[str, Any]) -> dict[int, float]:
    """φ as {power: coefficient} from the parameters of ACTIVATION; tanh if nothing was given."""
    check_one(values)
    given = values.get("coefficients")
    if given is not None:
        return dict(given)
    if values["degree"] > MAX_DEGREE:
        raise InputError(f"degree={values['degree']}: wanted at most {MAX_DEGREE}")
    return taylor_coefficients(values.get("activation") or "tanh", values["degree"])


def activation_of(values: Mapping[str, Any]) -> Activation:
    """The function whose Taylor series `phi_of` gives: the named one itself, or the polynomial."""
    given = values.get("coefficients")
    if given is not None:
        return Activation.polynomial(polynomial_name(dict(given)), dict(given))
    return NAMED[values.get("activation") or "tanh"]


BARE_DEGREE = 5
"""Highest power of h of a named activation where nobody asks for one."""


def polynomial_name(phi: Mapping[int, float]) -> str:
    """Such as h − 0.333333 h³."""
    text = ""
    for p, c in sorted(phi.items()):
        power = "" if p == 0 else "h" + ("" if p == 1 else str(p).translate(_RAISED))
        factor = f"{abs(c):g}" if not power or abs(c) != 1 else ""
        sign = ("− " if c < 0 else "+ ") if text else ("−" if c < 0 else "")
        text += f" {sign}" * bool(text) or sign
        text += f"{factor} {power}".strip()
    return text or "0"


class Taylor(AbstractModel):
    """Any φ, by name or as φ(h) = Σ c_p h^p: one vertex for each pair of powers, or of derivatives about the saddle."""

    name = "taylor"
    summary = "random network with any activation, by name or by Taylor coefficients"
    parameters = (
        NONLINEAR
        | ACTIVATION
        | {
            "degree": Parameter(
                None,
                "saddle: highest degree of Wiener's chaos, chosen if not given; bare: highest power of h, 5",
                check=optional(_check_degree),
            )
        }
        | AVERAGES
    )

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """Wick-ordered vertices of the activation itself, or all vertices (p, q) of the powers of φφ."""
        check_one(values)
        if values["coefficients"] is None and values["activation"] is None:
            values = {**values, "activation": "tanh"}
        phi, degree = activation_of(values), values["degree"]
        return activation_theory(self.name, start, values, phi, degree, partial(self._by_powers, start))

    def _by_powers(self, start: str, values: Mapping[str, Any]) -> Theory:
        cut = None
        if values["coefficients"] is None:
            cut = values["degree"] or BARE_DEGREE
            values = {**values, "degree": cut}
        phi = phi_of(values)
        if values["coefficients"] is not None and values["degree"] is not None and max(phi) > values["degree"]:
            cut = values["degree"]
            phi = {p: c for p, c in phi.items() if p <= cut}
        polynomial = Activation.polynomial(polynomial_name(phi), phi)
        return network_theory(self.name, start, values, phi_phi_of(phi), polynomial, cut)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named function, whatever `degree` the rules keep; or the polynomial of the coefficients."""
        return activation_of(values)
