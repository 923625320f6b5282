"""The largest Lyapunov exponent at infinite width.

The distance of two copies of a network that differ a little at first, with the same weights and the same noise, obeys
((∂_t+γ)(∂_s+γ) − σ_w² ⟨φ'φ'⟩(t−s)) d(t,s) = 0. With d = e^{λ(t+s)} ψ(t−s) this is a Schrödinger equation,

    [ −∂_τ² + γ² − σ_w² ⟨φ'φ'⟩_C(τ) ] ψ = E ψ ,     λ = −γ + √(γ² − E_0) ,

and chaos, λ > 0, is a ground state E_0 < 0. Sompolinsky, Crisanti & Sommers, Phys. Rev. Lett. 61, 259 (1988);
Schuecker, Goedeke & Helias, Phys. Rev. X 8, 041029 (2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import legendre
from scipy.linalg import eigh
from scipy.optimize import brentq

from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.kinds import has_slopes
from nnqft_plugins.networks.meanfield.stationary import Curve, gain
from nnqft_plugins.networks.network import Network

_ROUNDED = 1e4
"""C(0) beyond which rounding of C(τ) is looked at: φ saturates over 1 − ρ ~ 1/C(0)."""
_AT_EDGE = 1e-4
_ULPS = 4e-16
"""Rounding of ρ."""


def largest_exponent(network: Network, curve: Curve, accuracy: float = 1e-10) -> tuple[float, float]:
    """λ of a recurrent network with that C(τ), and an estimate of its numerical error; inf where ⟨φ'²⟩ is.

    Both are nan where rounding of C(τ)/C(0) decides: where φ saturates and C(0) is some 10¹⁴ or more.
    """
    gamma = network.gamma
    if not has_slopes(network.activation):
        return (math.inf, 0.0) if network.sigma_w else (-gamma, 0.0)
    if curve.end == 0.0:
        value = _exponent(gamma, gamma**2 - gain(network, curve.variance))
        return value, 1e-13 * gamma + (abs(value) if curve.error else 0.0)  # at the edge C may decay a little
    potential = _potential(network, curve)
    # The potential is flat beyond the place where C has almost reached its plateau. It may vary fast at first, on the
    # scale of 1/γ or, of a steep φ, far below it, and much more slowly later: each element is as long as all before it.
    length = 0.6 * curve.end
    doublings = max(0, math.ceil(math.log2(length / _first_scale(potential, length, gamma))))
    ends = np.concatenate([[0.0], length * 0.5 ** np.arange(doublings, -1, -1)])
    value = error = math.inf
    for nodes in (8, 12, 18, 27, 40):
        before, value = value, _exponent(gamma, ground_state(potential, ends, nodes))
        error = abs(value - before)
        if error < accuracy * gamma:
            break
    else:
        error *= 2  # what converges slowly is farther off than its last step
    # λ lies between what the deepest and the flat part of the potential alone would give; at the edge it is no better.
    sides = [_exponent(gamma, float(energy)) for energy in potential(np.array([0.0, math.inf]))]
    if (width := abs(sides[0] - sides[1])) < _AT_EDGE * gamma and abs(value) < 10 * width:
        error += width
    if curve.variance > _ROUNDED:
        few = 12
        apart = [_exponent(gamma, ground_state(_potential(network, curve, less), ends, few)) for less in (0.0, _ULPS)]
        error += abs(apart[1] - apart[0])
        if not error < 1e-2 * (gamma + value):
            return math.nan, math.nan
    return value, error


def _first_scale(potential: Callable[[np.ndarray], np.ndarray], length: float, gamma: float) -> float:
    """2/γ, or where the potential has risen by a tenth of its depth, if that is earlier."""
    tau = length * 0.5 ** np.arange(60.0)
    depth = potential(np.append(tau, [0.0, math.inf]))
    risen = tau[depth[:-2] - depth[-2] > 0.1 * abs(depth[-1] - depth[-2])]
    return min(2 / gamma, float(risen.min(initial=math.inf)))


def _exponent(gamma: float, energy: float) -> float:
    return -gamma + math.sqrt(max(gamma**2 - energy, 0.0))


def _potential(network: Network, curve: Curve, less: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """γ² − σ_w² ⟨φ'φ'⟩ as a function of τ; inf stands for the plateau. `less` is taken from each ρ = C/C(0)."""
    average = kernel(network.activation, curve.variance)

    def value(tau: np.ndarray) -> np.ndarray:
        tick("Lyapunov exponent")
        C = np.where(np.isinf(tau), curve.plateau, curve.C(np.where(np.isinf(tau), 0.0, tau)))
        slopes = average.slope(np.clip(C / curve.variance - less, -1.0, 1.0))
        return network.gamma**2 - network.sigma_w**2 * slopes / curve.variance

    return value


def ground_state(potential: Callable[[np.ndarray], np.ndarray], ends: np.ndarray, nodes: int) -> float:
    """Lowest energy of −∂² + potential(|τ|) on the whole line, the potential being flat beyond the last of `ends`.

    The lowest state is even. Between neighbours of `ends`, the first of which is 0, it is expanded in polynomials;
    beyond them it falls as e^{−ατ} with α² = potential(∞) − E, a boundary term that depends on E itself.
    """
    x, mass, stiffness = _lobatto(nodes)
    size = (len(ends) - 1) * (nodes - 1) + 1
    weight, tau, matrix = np.zeros(size), np.zeros(size), np.zeros((size, size))
    for n, length in enumerate(np.diff(ends)):
        here = slice(n * (nodes - 1), n * (nodes - 1) + nodes)
        weight[here] += mass * length / 2
        tau[here] = ends[n] + (x + 1) * length / 2
        matrix[here, here] += stiffness * 2 / length
    root = np.sqrt(weight)
    values = potential(tau)
    matrix = matrix / np.outer(root, root) + np.diag(values)
    flat = float(potential(np.array([math.inf]))[0])

    # The tail adds α/weight to the last diagonal element. With the energies and eigenvectors without it, the lowest
    # energy is a zero of one function of E (secular equation of a change of rank one), between the first two.
    energies, vectors = eigh(matrix)
    if energies[0] >= flat - 1e-12 * float(np.abs(values).max()):
        return flat  # no bound state: the continuum begins here
    last = vectors[-1] ** 2 / weight[-1]

    def secular(energy: float) -> float:
        return 1 + math.sqrt(max(flat - energy, 0.0)) * float((last / (energies - energy)).sum())

    low, high = float(energies[0]), min(float(energies[1]), flat)
    edge = 1e-15 * max(1.0, abs(low))
    if secular(high - edge) < 0.0 or secular(low + edge) > 0.0:
        return low  # the tail carries nothing
    return float(brentq(secular, low + edge, high - edge, xtol=1e-16, rtol=1e-14))


@cache
def _lobatto(nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss–Lobatto nodes and weights on [−1, 1], and ∫ l_i' l_j' of the polynomials through them."""
    order = nodes - 1
    polynomial = np.zeros(order + 1)
    polynomial[-1] = 1.0
    x = np.concatenate([[-1.0], np.sort(legendre.legroots(legendre.legder(polynomial))), [1.0]])
    at = legendre.legval(x, polynomial)
    weights = 2 / (order * (order + 1) * at**2)
    gaps = x[:, None] - x
    np.fill_diagonal(gaps, 1.0)
    derivative = at[:, None] / at / gaps
    np.fill_diagonal(derivative, 0.0)
    np.fill_diagonal(derivative, -derivative.sum(axis=1))
    return x, weights, derivative.T @ (weights[:, None] * derivative)
