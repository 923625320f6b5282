"""φφ about the saddle in Wick-ordered powers, for the activation itself instead of its Taylor series:

    φ(h1) φ(h2) = Σ_pq ⟨φ^(p)(h1) φ^(q)(h2)⟩_MF :h1^p h2^q: / (p! q!)

The averages hold every contraction within the vertex, so no line joins two of its h, and the term p = q = 0 is the one
that the counterterm cancels. With a = ⟨φ He_n⟩/√n! at variance v and ρ = C(τ)/v (Mehler's formula, f^(p) shifting the
coefficients by p),

    ⟨φ^(p) φ^(q)⟩/(p! q!) = v^{−(p+q)/2} Σ_r ρ^r a_{p+r} a_{q+r} [(p+r choose r) (q+r choose r)/(p! q!)]^{1/2} .
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
from scipy.special import gammaln

from nnqft import Activation, InputError, Leg, Memory, Vertex
from nnqft_plugins.models.network.tabulated import lag_table, stationary_kernel
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.stationary import Curve

HALF = Fraction(1, 2)
Function = Callable[[np.ndarray], np.ndarray]

_ACCURACY = 1e-6
"""Of the averages, relative to the largest of each; what the Hermite series leaves out grows with p and q."""
_POLYNOMIAL = 16
"""Up to so many coefficients the series is taken to end by itself."""
_NEGLIGIBLE = 1e-12


def wick_vertices(activation: Activation, degree: int, curve: Curve, gamma: float) -> tuple[Vertex, ...]:
    """The vertices 𝔚̃ :h^p h^q: for p ≤ q, p + q ≤ degree, without the 𝔚 z̃ z̃ that they hang on.

    All of one p + q together are what φφ has of that degree of Wiener's chaos: an orthogonal decomposition, so that
    cutting it off there is a projection. A cut in p and q each would break terms apart that cancel as t1 → t2.

    Raises
    ------
    InputError
        If φ is too rough for derivatives of that degree to be averaged.
    """
    vertices = []
    for total in range(1, degree + 1):
        for p in range(total // 2 + 1):
            q = total - p
            average = derivative_average(activation, p, q, curve.variance)
            if average is None:
                continue
            params = lag_table(partial(_at_lags, average, curve.C), 4 / gamma)
            memory = Memory(0, 1, kernel=stationary_kernel, params=params, formula=_formula(p, q))
            vertices.append(
                Vertex(
                    f":{p},{q}:",
                    (Leg("W~", (0, 1)), *(Leg("h", n, "j", power) for n, power in enumerate((p, q)) if power)),
                    HALF if p == q else 1,
                    (("sigma_w", 1),),
                    HALF,
                    HALF,
                    memory=(memory,),
                    subtraction="wick",
                )
            )
    return tuple(vertices)


def _at_lags(average: Function, correlator: Function, lag: np.ndarray) -> np.ndarray:
    return average(correlator(lag))


def derivative_average(activation: Activation, p: int, q: int, variance: float) -> Function | None:
    """⟨φ^(p)(x) φ^(q)(y)⟩/(p! q!) as a function of ⟨xy⟩, ⟨x²⟩ = ⟨y²⟩ = variance; None if it vanishes."""
    if variance <= 0:
        raise InputError(
            "averages='activation': the mean-field variance is 0; write kappa > 0, or averages='polynomial'"
        )
    a = hermite(activation.value, np.array([variance]), 1e-15)[0][0]
    if len(a) > _POLYNOMIAL:
        a = a[:-1]  # it holds the rest of ⟨φ²⟩, which the factors below would blow up
    count = len(a) - q
    if count <= 0:
        return None
    r = np.arange(count)
    logs = gammaln(p + r + 1) + gammaln(q + r + 1) - 2 * gammaln(r + 1)
    logs -= 2 * (math.lgamma(p + 1) + math.lgamma(q + 1)) + (p + q) * math.log(variance)
    coefficients = a[p : p + count] * a[q:] * np.exp(logs / 2)
    largest = float(np.abs(coefficients).max(initial=0.0))
    if largest * variance ** ((p + q) / 2) < _NEGLIGIBLE:
        return None
    if count > 8 and np.abs(coefficients[-2:]).max() > _ACCURACY * largest:
        raise InputError(
            f"averages='activation': ⟨φ^({p}) φ^({q})⟩ of {activation.name} at variance {variance:.3g} cannot be had to"
            f" {_ACCURACY:g}; lower degree or sigma_w"
        )

    def average(covariance: np.ndarray) -> np.ndarray:
        return np.polynomial.polynomial.polyval(covariance / variance, coefficients)

    return average


def _formula(p: int, q: int) -> str:
    below = math.factorial(p) * math.factorial(q)
    return f"⟨φ{_primes(p)} φ{_primes(q)}⟩" + (f"/{below}" if below > 1 else "")


def _primes(n: int) -> str:
    return "'" * n if n <= 3 else f"^({n})"
