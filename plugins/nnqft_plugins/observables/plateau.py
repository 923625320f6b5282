"""What the derived observables of a stationary C(τ) share: its slowest rate, its plateau, its noise."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nnqft import InputError, Propagator, Theory

_DECAYS = 400.0
"""Times the slowest decay of a line after which nothing but constants is left, of any order or of all together."""


def check_stationary(theory: Theory, observable: str) -> None:
    """InputError unless the process is stationary and has times."""
    if theory.timeless or not theory.stationary:
        raise InputError(f"observable {observable!r} needs a stationary process in time, write start='stationary'")


def slowest_rate(theory: Theory) -> float:
    """Smallest decay rate of the theory's lines, 1/time."""
    rates = [rate for line in theory.propagators for term in line.terms if (rate := complex(term.rate).real) > 0]
    return min(rates, default=float(theory.parameters.get("gamma", 1.0)))


def plateau_lag(theory: Theory) -> float | None:
    """A lag at which C(τ) has come down to its plateau at every order; None if symmetry makes the plateau zero.

    Without lines that stay constant, C(τ → ∞) is what a unit has in common with itself far apart, such as the square
    of its mean, and that is zero where every vertex has an even number of legs at each of its times.
    """
    legs = [Counter(leg.point for leg in vertex.legs for _ in range(leg.power)) for vertex in theory.interactions]
    odd = any(count % 2 for points in legs for count in points.values())
    lines = _correlators(theory)
    constant = any(line.kernel is not None or any(t.rate == 0 and t.amplitude for t in line.terms) for line in lines)
    memory = any(t.rate == 0 for vertex in theory.interactions for m in vertex.memory for t in m.terms)
    return _DECAYS / slowest_rate(theory) if odd or constant or memory else None


def noise_strength(theory: Theory) -> float:
    """κ from the slope of the free correlator, C'(0+) = −κ/2, which no interaction changes.

    Raises
    ------
    InputError
        If an interaction brings noise of its own: two response legs at one time.
    """
    for vertex in theory.interactions:
        heads = [leg.point for leg in vertex.legs for _ in range(leg.power) if theory.field_named[leg.field].response]
        if len(set(heads)) < len(heads):
            raise InputError(
                f"model {theory.model!r}: interactions add to the white noise, so the slope of C(τ) at 0 is not κ/2;"
                " no short-time correlation length"
            )
    slope = sum(_slope(line) for line in _correlators(theory))
    return -2.0 * slope


def _correlators(theory: Theory) -> list[Propagator]:
    response = {name for name, field in theory.field_named.items() if field.response}
    return [line for line in theory.propagators if not line.delta and not {line.left, line.right} & response]


def _slope(line: Propagator) -> float:
    """Derivative of a stationary line at τ = 0+."""
    if line.kernel is None:
        return -sum((complex(term.amplitude) * term.rate).real for term in line.terms)
    # Richardson's extrapolation of one-sided differences.
    value = [float(np.asarray(line(step, 0.0))) for step in (0.0, 1e-4, 2e-4)]
    return (4 * value[1] - 3 * value[0] - value[2]) / 2e-4
