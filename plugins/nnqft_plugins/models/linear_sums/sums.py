"""Sums of all orders of the linear network: C and R at orders N⁰ (cacti), 1/N (mushrooms) and 1/N², in closed form.

Two chains of a and b responses carry m_ab = (1/N)⟨tr W^a (Wᵀ)^b⟩. With x and y for one step along either chain,

    Σ_ab m_ab x^a y^b = 1/(1 − σ²xy) + (1/N) (1 − σ²xy)^{−2} [ σ²x²/(1 − σ²x²) + σ²y²/(1 − σ²y²) ] + O(1/N²) ,

a ladder of cacti, and one maximally crossed chain between two ladders (docs/physics.md, infinite sums); the part of
order 1/N² is in second_order.py. On a frequency x = 1/(γ − iω) and y is its complex conjugate; in time x^a stands for
τ^a/a!.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, hyp1f1, xlogy

from nnqft import InputError
from nnqft_plugins.models.linear_sums import second_order

EPS = float(np.finfo(float).eps)
MAX_WIDTH = 2
_LADDERS = 100.0
"""The same of the variance of gradients, whose sum is double."""
MAX_SPAN = 500.0
"""Largest σ_w × time from rest: the chains that matter are as long."""


class Power(NamedTuple):
    """amplitude · τ^power · e^{−rate·τ} for τ ≥ 0."""

    amplitude: float
    power: int
    rate: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        """The value at times τ ≥ 0, of their shape."""
        return self.amplitude * tau**self.power * np.exp(-self.rate * tau)


def response(width: int, gamma: float, sigma: float, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R(τ) at order N^{−width}, bare of it, with its rounding bound: e^{−γτ}, e^{−γτ} (cosh στ − 1), and order 1/N².

    The trace of W^{2n} has the part 1/N for every n > 0, that of the maximally crossed pairing.
    """
    lag = np.maximum(tau, 0.0)
    if width == 2:
        values = second_order.response(gamma, sigma, lag)
        return values, EPS * (64 + 2 * (gamma + sigma) * lag) * values
    # e^{−γτ} (cosh στ − 1), without a difference of large numbers.
    crossed = 0.5 * np.exp(-(gamma - sigma) * lag) * np.expm1(-sigma * lag) ** 2
    values = np.where(tau > 0, crossed if width else np.exp(-gamma * lag), 0.0)
    return values, EPS * (8 + 2 * (gamma + sigma) * lag) * values


def gradient(width: int, gamma: float, sigma: float, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1/N) E Σ_ij J_ij(τ)² at order N^{−width}, bare of it, of J = e^{(W−γ)τ}, with its rounding bound; 0 for τ < 0.

    e^{−2γτ} Σ_ab m_ab (στ)^{a+b}/(a! b!), which is e^{−2γτ} I_0(2στ) for N → ∞.

    Raises
    ------
    InputError
        If σ_w τ is so large that the sum is too long.
    """
    lag = np.maximum(tau, 0.0)
    reach = sigma * float(lag.max())
    if reach > MAX_SPAN:
        raise InputError(f"times: lags reach σ_w τ = {reach:g}, wanted at most {MAX_SPAN:g}; write shorter lags")
    chains = _chains(lag, gamma, sigma, math.ceil(reach + 12 * math.sqrt(reach) + 40))
    values = np.where(tau >= 0, _contract(width, chains, chains), 0.0)
    return values, EPS * (64 + 4 * (gamma + sigma) * lag) * np.abs(values)


def gradient_variance(width: int, gamma: float, sigma: float, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance of Σ_j J_ij(τ)² over networks and units i at order N^{−width}, bare of it, with a bound.

    Nothing at order 0, and at order 1, with x = στ,

        2 e^{−4γτ} Σ_{(m,n) ≠ 0} [ Σ_k x^{m+n+2k}/((m+k)! (n+k)!) ]² ,

    ladders of m and n responses between two copies that differ in the change only (docs/physics.md, infinite sums).

    Raises
    ------
    InputError
        At higher orders, and if σ_w τ is so large that the sum is too long.
    """
    if width > 1:
        raise InputError(f"width_order={width}: gradient_variance is summed for width_order=0 or 1")
    lag = np.maximum(tau, 0.0)
    reach = sigma * float(lag.max())
    if width == 0:
        return np.zeros(len(lag)), np.zeros(len(lag))
    if reach > _LADDERS:
        raise InputError(f"times: lags reach σ_w τ = {reach:g}, wanted at most {_LADDERS:g}; write shorter lags")
    chains = _chains(lag, gamma, sigma, math.ceil(reach + 12 * math.sqrt(reach) + 40))
    size = chains.shape[1]
    values = np.zeros(len(lag))
    for apart in range(size):  # n − m
        products = chains[:, : size - apart] * chains[:, apart:]
        ladders = np.cumsum(products[:, ::-1], axis=1)[:, ::-1] ** 2
        values += (2.0 if apart else 1.0) * ladders[:, (0 if apart else 1) :].sum(axis=1)
    values = np.where(tau >= 0, 2 * values, 0.0)
    return values, EPS * (64 + 8 * (gamma + sigma) * lag) * values


def stationary_kernel(width: int, gamma: float, sigma: float) -> list[Power]:
    """C(τ), τ ≥ 0, of unit white noise (κ = 1) at order N^{−width}, bare of 1/N; needs σ < γ.

    The inverse Fourier transforms of 1/(ω² + m²), m² = γ² − σ², and of
    2σ² (ω²+γ²) (m²−ω²) / [(ω²+m²)² (ω²+(γ−σ)²) (ω²+(γ+σ)²)].
    """
    slow, fast = gamma - sigma, gamma + sigma
    m = math.sqrt(slow * fast)
    if width == 0:
        return [Power(0.5 / m, 0, m)]
    return [
        Power((2 * gamma - sigma) / (8 * slow**2), 0, slow),
        Power((2 * gamma + sigma) / (8 * fast**2), 0, fast),
        Power(-(gamma**2) / (2 * m**3), 0, m),
        Power(-((sigma / m) ** 2) / 4, 1, m),
    ]


def stationary_two_point(
    width: int, gamma: float, sigma: float, kappa: float, driven: Sequence[tuple[float, float]], tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """C(τ) for white noise κ and a drive of correlation Σ weight·e^{−rate·|τ|}, and its rounding bound.

    Parameters
    ----------
    driven : (rate, weight) pairs; a bias is (0, σ_b²).
    tau : (M,) lags ≥ 0.
    """
    if width == 2:
        return second_order.stationary_two_point(gamma, sigma, kappa, driven, tau)
    values, size = np.zeros_like(tau), np.zeros_like(tau)
    for term in stationary_kernel(width, gamma, sigma):
        parts = [kappa * term(tau)] + [weight * _folded(term, rate, tau) for rate, weight in driven if weight]
        values += sum(parts)
        size += np.abs(parts).sum(axis=0) * (1 + term.rate * tau)
    # γ − σ and the square of m lose the digits that γ and σ share.
    return values, EPS * 16 * (1 + gamma / (gamma - sigma)) * size


def _folded(term: Power, rate: float, tau: np.ndarray) -> np.ndarray:
    """∫ term(|τ − u|) e^{−rate·|u|} du over all u; nothing is lost where the two rates meet."""
    amplitude, power, decay = term
    both = decay + rate
    ahead = np.exp(-decay * tau) * sum(  # u < 0: term(τ + v) e^{−rate·v}
        math.comb(power, j) * tau ** (power - j) * math.factorial(j) / both ** (j + 1) for j in range(power + 1)
    )
    beyond = np.exp(-rate * tau) * math.factorial(power) / both ** (power + 1)  # u > τ
    # 0 < u < τ: τ^{p+1} ∫_0^1 w^p e^{−x w} dw, taken from the end where the exponent is not positive.
    x = (decay - rate) * tau
    low = hyp1f1(power + 1, power + 2, -np.abs(x)) / (power + 1) * np.exp(-rate * tau)
    high = hyp1f1(1, power + 2, -np.abs(x)) / (power + 1) * np.exp(-decay * tau)
    between = tau ** (power + 1) * np.where(x >= 0, low, high)
    return amplitude * (ahead + beyond + between)


def rest_two_point(
    width: int, gamma: float, sigma: float, kappa: float, static: float, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """C(t, s) from h = 0 at time 0, for white noise κ and a static drive of variance `static`, with a bound.

    κ ∫_0^min du Σ_ab p_a(t−u) m_ab p_b(s−u) + static · Σ_ab P_a(t) m_ab P_b(s), where p_a(v) = e^{−γv} (σv)^a/a!
    and P_a is its integral from 0: positive terms throughout, for any σ. Gauss–Legendre on short panels, where the
    integrand is entire; the bound is the difference of two numbers of nodes, with the rounding.

    Parameters
    ----------
    times : (M, 2) pairs, each ≥ 0.
    """
    values, bounds = np.zeros(len(times)), np.zeros(len(times))
    for n, (t, s) in enumerate(times.tolist()):
        coarse, fine = (_from_rest(width, gamma, sigma, kappa, static, t, s, nodes) for nodes in (12, 20))
        values[n] = fine
        bounds[n] = abs(fine - coarse) + EPS * (64 + 4 * (gamma + sigma) * (t + s)) * abs(fine)
    return values, bounds


def _from_rest(
    width: int, gamma: float, sigma: float, kappa: float, static: float, t: float, s: float, nodes: int
) -> float:
    reach = sigma * max(t, s)
    longest = math.ceil(reach + 12 * math.sqrt(reach) + 40)
    total = 0.0
    if kappa:
        u, weight = _panels(min(t, s), gamma + sigma, nodes)
        one, two = _chains(t - u, gamma, sigma, longest), _chains(s - u, gamma, sigma, longest)
        total += kappa * float(weight @ _contract(width, one, two))
    if static:
        ends = []
        for end in (t, s):
            u, weight = _panels(end, gamma + sigma, nodes)
            ends.append(weight @ _chains(u, gamma, sigma, longest))
        total += static * float(_contract(width, ends[0][None], ends[1][None])[0])
    return total


def _panels(length: float, rate: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights on [0, length], in panels of about 1/rate."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    count = max(1, math.ceil(length * rate))
    width = length / count
    points = width * (np.arange(count)[:, None] + (x + 1) / 2)
    return points.ravel(), np.tile(w * width / 2, count)


def _chains(v: np.ndarray, gamma: float, sigma: float, longest: int) -> np.ndarray:
    """(n, longest): e^{−γv} (σv)^a/a!, the chains of a responses."""
    a = np.arange(longest)
    steps = np.maximum(sigma * v, 0.0)[:, None]
    return np.exp(xlogy(a, steps) - gammaln(a + 1) - gamma * v[:, None])


def _contract(width: int, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(n,): Σ_ab one_a m_ab two_b at order N^{−width}, σ = 1."""
    if width == 0:
        return np.einsum("na,na->n", one, two)
    return np.einsum("na,na->n", one @ moments(width, one.shape[1]), two)


def moments(width: int, size: int) -> np.ndarray:
    """(size, size): the N^{−width} part of (1/N)⟨tr W^a (Wᵀ)^b⟩ at σ_w = 1."""
    if width == 2:
        return second_order.moments(size)
    a = np.arange(size)
    if width == 0:
        return np.eye(size)
    none = (a[:, None] == a) | ((a[:, None] + a) % 2 == 1)
    return np.where(none, 0.0, np.minimum(a[:, None], a) + 1.0)
