"""Checks of parameters, and parameters, that several models share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nnqft import Activation, InputError, Parameter, UnknownNameError, finite_number, short, whole_number
from nnqft_plugins.models.parameters.activations import (
    ALIASES,
    NAMED,
    NOT_HERE,
    SADDLE_OF_ACTIVATION,
    taylor_coefficients,
)
from nnqft_plugins.models.parameters.given import GivenFunction, check_function, given_activation

SLOWEST = 1e-9
"""Smallest leak rate: a network that never forgets has no stationary state."""

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
MAX_DEGREE = 14
"""Highest power of h: a point holds no more equal legs."""


def one_of(*known: str) -> Callable[[str, Any], str]:
    """Check of a parameter whose values are these words."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise UnknownNameError(name, value, known)
        return value

    return check


def one_of_or_none(*known: str) -> Callable[[str, Any], str | None]:
    """The same where None stands for a choice of the program's."""
    check = one_of(*known)
    return lambda name, value: None if value is None else check(name, value)


def check_degree(name: str, value: Any) -> int | None:
    """A whole number from 1 to 14, or None for a choice of the program's."""
    if value is None:
        return None
    degree = whole_number(name, value, 1)
    if degree > MAX_DEGREE:
        raise InputError(f"{name}={degree}: wanted at most {MAX_DEGREE}")
    return degree


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


def coefficients_such_as(example: str) -> Callable[[str, Any], tuple[tuple[int, float], ...] | None]:
    """Check of a parameter that is a polynomial, whose messages say to write this one."""

    def check(name: str, value: Any) -> tuple[tuple[int, float], ...] | None:
        """(power, coefficient) pairs from a mapping or one of numpy's polynomials; None stays None."""
        if value is None:
            return None
        write = f"write {name}={example}"
        try:
            given = [(p, c) for p, c in _pairs(value)]
        except (TypeError, ValueError):
            raise InputError(f"{name}={short(value)}: wanted powers and coefficients, {write}") from None
        checked = tuple(sorted((_power(name, p, write), finite_number(f"{name}[{p}]", c)) for p, c in given))
        if not checked or checked[-1][0] > MAX_DEGREE:
            raise InputError(f"{name}={short(value)}: wanted powers from 0 to {MAX_DEGREE}, {write}")
        if len({p for p, _ in checked}) < len(checked):
            raise InputError(f"{name}={short(value)}: a power is given twice; write each once")
        if any(abs(c) > 1e9 for _, c in checked):
            raise InputError(f"{name}={short(value)}: wanted coefficients up to 1e9 in size")
        return tuple((p, c) for p, c in checked if c)

    return check


check_coefficients = coefficients_such_as("{1: 1.0, 3: -0.3}")
"""The same for an activation, which bends down."""


def _pairs(value: Any) -> Iterable[Any]:
    """(power, coefficient) pairs of a mapping, of a series of numpy's (in whatever basis), or those given."""
    if isinstance(value, np.poly1d):
        return enumerate(value.coeffs[::-1].tolist())
    if type(value).__module__.startswith("numpy.polynomial."):  # their common class is private
        return enumerate(value.convert(kind=np.polynomial.Polynomial).coef.tolist())
    return value.items() if isinstance(value, Mapping) else value


def _power(name: str, power: object, write: str) -> int:
    try:
        return whole_number("power", power, 0)
    except InputError:
        raise InputError(f"{name} has the power {short(power)}, wanted a whole number ≥ 0; {write}") from None


def check_activation(name: str, value: Any) -> str | None:
    """A known name, a function of arrays as its text "module:qualname", or None."""
    if value is None or isinstance(value, GivenFunction):
        return value
    if callable(value) and not isinstance(value, type):
        return check_function(name, value)
    if isinstance(value, str) and ":" in value:
        raise InputError(
            f"{name}={short(value)} is a function that a file can only name, and nothing is imported for it; write"
            f" {name}= with the function itself"
        )
    if not isinstance(value, str):
        wanted = f"wanted a function of arrays or a name, write for example {name}='tanh'"
        raise InputError(f"{name}={short(value)}: {wanted}")
    known = ALIASES.get(value, value)
    if known not in NAMED:
        instead = NOT_HERE.get(value.lower().replace("_", ""))
        if instead is not None:
            raise InputError(f"{name}={value!r} has no name here; write {instead}")
        raise UnknownNameError(name, value, NAMED)
    return known


ACTIVATION: dict[str, Parameter] = {
    "activation": Parameter(
        None, f"φ: a function of arrays, or one of {', '.join([*NAMED, *ALIASES])}", check=check_activation
    ),
    "degree": Parameter(5, "highest power of h kept of a named activation", low=1, integer=True),
    "coefficients": Parameter(None, "φ itself, {power: coefficient}, instead of a name", check=check_coefficients),
}


def check_one(values: Mapping[str, Any]) -> None:
    """Raise InputError if φ is given twice."""
    if values.get("coefficients") is not None and values.get("activation") is not None:
        raise InputError("both activation and coefficients were given; write one of them")


def phi_of(values: Mapping[str, Any], instead: str = SADDLE_OF_ACTIVATION) -> dict[int, float]:
    """φ as {power: coefficient} from the parameters of ACTIVATION; tanh if nothing was given.

    `instead` is what to write for an activation without a Taylor series.
    """
    check_one(values)
    given = values.get("coefficients")
    if given is not None:
        return dict(given)
    if values["degree"] > MAX_DEGREE:
        raise InputError(f"degree={values['degree']}: wanted at most {MAX_DEGREE}")
    return taylor_coefficients(values.get("activation") or "tanh", values["degree"], instead)


def activation_of(values: Mapping[str, Any]) -> Activation:
    """The function whose Taylor series `phi_of` gives: the named or given one itself, or the polynomial."""
    given, name = values.get("coefficients"), values.get("activation")
    if given is not None:
        return Activation.polynomial(polynomial_name(dict(given)), dict(given))
    return given_activation(name) if isinstance(name, GivenFunction) else NAMED[name or "tanh"]


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
