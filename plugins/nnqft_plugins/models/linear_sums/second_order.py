"""The linear network at order 1/N², summed: what is left of a 1/N² expansion after the mushrooms.

With z = σ²xy and w standing for σ²x² and σ²y² in turn, the N^{−2} part of Σ_ab (1/N)⟨tr W^a (Wᵀ)^b⟩ x^a y^b is

    2z²(1+z−z²)/((1−z)⁵(1+z))
      + Σ_w [ w(1+w)/((1−z)²(1−w)³) − (1−3z) w/((1−z)³(1−w)²) + z(3z²+z−1) w/((1−z)⁴(1+z)(1−w)) ] .

Found from the numbers of pairings, and equal to all of them up to a + b = 16 as benchmarks/resummed.py counts them;
unlike the orders N⁰ and N^{−1} it is not derived. Its poles come to lie close together for small σ, so residues are
taken with as many digits as that costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mpmath as mp
import numpy as np

from nnqft.threads import digits

Poly = list[Any]
"""Coefficients of 1, s, s², … as mpmath numbers."""


def moments(size: int) -> np.ndarray:
    """(size, size): the N^{−2} part of (1/N)⟨tr W^a (Wᵀ)^b⟩ at σ_w = 1."""
    index = np.arange(size)
    # 1/((1−z)⁴(1+z)): an alternating sum of the numbers of 1/(1−z)⁴.
    fourth = (index + 1) * (index + 2) * (index + 3) / 6
    ladder = np.zeros(size)
    for n in range(size):
        ladder[n] = fourth[n] - (ladder[n - 1] if n else 0.0)
    shifted = [np.concatenate([np.zeros(j), ladder[: size - j]])[:size] for j in range(5)]
    # On the diagonal one more factor 1/(1−z).
    diagonal = np.cumsum(2 * shifted[2] + 2 * shifted[3] - 2 * shifted[4])
    distance = np.abs(index[:, None] - index)
    m, b = distance // 2, np.minimum(index[:, None], index)
    powers = [m * m - m, -m * m + 3 * m - 1, -m * m + m + 1, m * m - 3 * m + 3]
    values = sum(power * column[b] for power, column in zip(powers, shifted[:4], strict=True))
    return np.where(distance % 2 == 1, 0.0, np.where(distance == 0, diagonal[b], values))


def response(gamma: float, sigma: float, lag: np.ndarray) -> np.ndarray:
    """e^{−γτ} (w² cosh w − w sinh w)/4 with w = σ_w τ, as the trace of W^{2n} has n(n−1)/N²; its series for w < 1."""
    w = sigma * lag
    slow, fast = np.exp(-(gamma - sigma) * lag), np.exp(-(gamma + sigma) * lag)
    closed = w * ((w - 1) * slow + (w + 1) * fast) / 8
    # Σ n(n−1) w^{2n}/(2n)!, n from 2
    n = np.arange(2, 14)
    factorials = np.array([float(mp.factorial(2 * k)) for k in n])
    series = np.exp(-gamma * lag) * ((n * (n - 1) / factorials) * np.minimum(w, 1.0)[:, None] ** (2 * n)).sum(axis=1)
    return np.where(w < 1, series, closed)


def stationary_two_point(
    gamma: float, sigma: float, kappa: float, driven: Sequence[tuple[float, float]], tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """C(τ) at order N^{−2}, bare of it, for the arguments of `linear_sums.stationary_two_point`, and its bound."""
    if sigma == 0.0:
        return np.zeros_like(tau), np.zeros_like(tau)
    # Residues at poles a distance σ or σ² apart cancel to something of order σ⁴; those near the edge grow like m^{−9}.
    lost = 32 * max(0.0, -math.log10(sigma / gamma)) - 16 * math.log10(1 - sigma / gamma)
    with digits(40 + int(lost)):
        terms = _terms(mp.mpf(gamma), mp.mpf(sigma))
        values = np.empty(len(tau))
        for n, lag in enumerate(map(mp.mpf, tau.tolist())):
            total = mp.mpf(0)
            for amplitude, power, rate in terms:
                total += kappa * amplitude * lag**power * mp.exp(-rate * lag) if kappa else 0
                for slow, weight in driven:
                    total += weight * amplitude * _folded(power, rate, mp.mpf(slow), lag) if weight else 0
            values[n] = float(total)
    return values, 4 * np.finfo(float).eps * np.abs(values)


def _folded(power: int, decay: Any, rate: Any, lag: Any) -> Any:
    """∫ |τ−u|^power e^{−decay|τ−u|} e^{−rate|u|} du over all u, for τ ≥ 0."""
    both = decay + rate
    ahead = mp.exp(-decay * lag) * sum(
        mp.binomial(power, j) * lag ** (power - j) * mp.factorial(j) / both ** (j + 1) for j in range(power + 1)
    )
    beyond = mp.exp(-rate * lag) * mp.factorial(power) / both ** (power + 1)
    between = lag ** (power + 1) * mp.exp(-rate * lag) * mp.hyp1f1(power + 1, power + 2, -(decay - rate) * lag)
    return ahead + beyond + between / (power + 1)


def _terms(gamma: Any, sigma: Any) -> list[tuple[Any, int, Any]]:
    """C(τ) of unit white noise as (amplitude, power, rate): minus the residues of e^{−sτ} K(s) at Re s > 0, ω = −is."""
    g = sigma**2
    a, b = [gamma, -1], [gamma, 1]  # x = 1/(γ−s), y = 1/(γ+s)
    p = _times(a, b)
    up, down = _plus(p, [g]), _plus(p, [-g])  # 1 ± z, over P = (γ−s)(γ+s)
    pieces: list[tuple[Poly, Poly]] = [
        # 2z²(1+z−z²)/((1−z)⁵(1+z)), times xy = 1/P
        (
            _times([2 * g**2], p, _plus(_times(p, p), _times([g], p), [-(g**2)])),
            _times(_power(down, 5), up),
        )
    ]
    for side in (a, b):
        square = _times(side, side)
        less = _plus(square, [-g])
        pieces += [
            (_times([g], p, square, _plus(square, [g])), _times(_power(down, 2), _power(less, 3))),
            (_times([-g], p, square, _plus(p, [-3 * g])), _times(_power(down, 3), _power(less, 2))),
            (
                _times([g**2], p, _plus([3 * g**2], _times([g], p), _times([-1], _power(p, 2)))),
                _times(_power(down, 4), up, less),
            ),
        ]
    poles = {
        mp.sqrt(gamma**2 - g): 5,
        mp.sqrt(gamma**2 + g): 1,
        gamma - sigma: 3,
        gamma + sigma: 3,
    }
    terms = []
    for pole, order in poles.items():
        laurent = [mp.mpf(0)] * order
        for above, below in pieces:
            laurent = [x + y for x, y in zip(laurent, _laurent(above, below, pole, order), strict=True)]
        # Res of e^{−sτ} Σ_j c_j (s−s0)^{−1−j}: c_j (−τ)^j/j! e^{−s0 τ}
        terms += [(-c * (-1) ** j / mp.factorial(j), j, pole) for j, c in enumerate(laurent) if c]
    return terms


def _laurent(above: Poly, below: Poly, pole: Any, order: int) -> list[Any]:
    """Coefficients of (s−pole)^{−1}, …, (s−pole)^{−order} of above/below."""
    top, bottom = _shifted(above, pole), _shifted(below, pole)
    size = max(abs(c) for c in bottom)
    zeros = 0
    while abs(bottom[zeros]) < size * mp.mpf(10) ** (-mp.mp.dps // 2) and zeros < order:
        zeros += 1
    quotient: list[Any] = []
    for n in range(zeros):
        known = sum(quotient[i] * bottom[zeros + n - i] for i in range(n) if zeros + n - i < len(bottom))
        quotient.append(((top[n] if n < len(top) else 0) - known) / bottom[zeros])
    return [quotient[zeros - 1 - j] if j < zeros else mp.mpf(0) for j in range(order)]


def _shifted(poly: Poly, at: Any) -> Poly:
    """The Taylor coefficients of a polynomial at a point."""
    coefficients = list(poly)
    for start in range(len(coefficients) - 1):
        for n in range(len(coefficients) - 2, start - 1, -1):
            coefficients[n] += at * coefficients[n + 1]
    return coefficients


def _plus(*polys: Poly) -> Poly:
    size = max(map(len, polys))
    return [sum((p[n] for p in polys if n < len(p)), mp.mpf(0)) for n in range(size)]


def _times(*polys: Poly) -> Poly:
    product: Poly = [mp.mpf(1)]
    for poly in polys:
        longer = [mp.mpf(0)] * (len(product) + len(poly) - 1)
        for i, x in enumerate(product):
            for j, y in enumerate(poly):
                longer[i + j] += x * y
        product = longer
    return product


def _power(poly: Poly, n: int) -> Poly:
    return _times(*[poly] * n)
