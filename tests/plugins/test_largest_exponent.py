"""The largest Lyapunov exponent of tanh without noise, by an oracle of its own: averages, C(τ) and the lowest state.

With γ = 1, κ = 0 and s(ρ) = ⟨φ'φ'⟩ the theory is four integrals (Price's theorem: d⟨φφ⟩/dρ = q s):

    σ_w² ∫_0^1 (1 − ρ) s dρ = ½ ,   ρ̇² = 2 ∫_ρ^1 (σ_w² ⟨φφ⟩/q − r) dr ,   τ = ∫ dρ/|ρ̇| ,   ψ'' = (1 − σ_w² s − E) ψ .

All of them by Gauss's rule on panels of θ = arccos ρ that are graded towards both ends.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.optimize import brentq

import nnqft
from nnqft_plugins.networks.meanfield import solve

NODES, WEIGHTS = legendre.leggauss(20)
SERIES = np.linalg.inv(legendre.legvander(NODES, 19))
UP_TO = np.stack([legendre.legval(NODES, legendre.legint(row, lbnd=-1)) for row in SERIES.T], axis=1)
"""Values at the nodes → integrals from −1 to the nodes."""
OCTAVES = math.pi / 2 * 2.0 ** -np.arange(1.0, 18.0)
EDGES = np.unique([0.0, *OCTAVES, *(math.pi / 2 - OCTAVES), math.pi / 2])
HALF = np.diff(EDGES)[:, None] / 2
THETA = EDGES[:-1, None] + HALF * (NODES + 1)


def slopes(q: float) -> np.ndarray:
    """⟨φ'(x) φ'(y)⟩ at THETA, by trapezoids over the sum and the difference of x and y, where sech² is not small."""
    found = np.empty_like(THETA)
    for place, theta in np.ndenumerate(THETA):
        (w, one), (d, two) = (axis(math.sqrt(q) * part) for part in (math.cos(theta / 2), math.sin(theta / 2)))
        found[place] = one @ (np.cosh(w[:, None] + d) * np.cosh(w[:, None] - d)) ** -2.0 @ two
    return found


def axis(deviation: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0.0, min(9.0 * deviation, 9.5), 50)
    weight = np.exp(-((x / deviation) ** 2) / 2) * 2 * x[1] / (math.sqrt(2 * math.pi) * deviation)
    weight[0] /= 2
    return x, weight


def total(values: np.ndarray) -> float:
    return float((HALF * values @ WEIGHTS[:, None]).sum())


def from_start(values: np.ndarray) -> np.ndarray:
    """Integrals from θ = 0."""
    before = np.cumsum(np.concatenate([[0.0], (HALF * values @ WEIGHTS[:, None])[:, 0]]))[:-1]
    return before[:, None] + HALF * (values @ UP_TO.T)


def miss(potential: np.ndarray, speed: np.ndarray, energy: float) -> float:
    """ψ' + αψ where the potential is flat, of the even solution; `speed` is dτ/dθ.

    At the nodes of a panel ψ = ψ_0 + G χ and χ = χ_0 + F ψ with χ = ψ'.
    """
    half = HALF[: len(speed)]
    G = UP_TO * (half * speed)[:, None, :]
    F = UP_TO * (half * speed * (potential - energy))[:, None, :]
    starts = np.stack([np.ones_like(speed), G.sum(axis=2)], axis=2)  # of ψ_0 = 1 and of χ_0 = 1
    psi = np.linalg.solve(np.eye(len(NODES)) - G @ F, starts)
    state = np.array([1.0, 0.0])
    for n in range(len(speed)):
        weight = WEIGHTS * HALF[n] * speed[n]
        chi = F[n] @ psi[n] + [0.0, 1.0]
        state = (np.eye(2) + np.stack([weight @ chi, (weight * (potential[n] - energy)) @ psi[n]])) @ state
        state /= np.abs(state).max()
    return float(state[1] + math.sqrt(potential[-1, -1] - energy) * state[0])


def exponent(sigma_w: float, near: float) -> tuple[float, float]:
    """C(0), by a zero close to `near`, and λ."""
    rho, sine = np.cos(THETA), np.sin(THETA)

    def excess(q: float) -> float:
        return sigma_w**2 * total((1 - rho) * slopes(q) * sine) - 0.5

    q = brentq(excess, near * (1 - 1e-5), near * (1 + 1e-5), xtol=1e-13 * near)
    s = slopes(q)
    # ⟨φφ⟩ = ⟨φ²⟩ − q ∫_ρ^1 s dr, and ⟨φφ⟩ = 0 at ρ = 0
    rising = from_start(s * sine)
    phi_phi = q * (total(s * sine) - rising)
    square = 2 * from_start((sigma_w**2 * phi_phi / q - rho) * sine)
    speed, potential = sine[:-1] / np.sqrt(square[:-1]), 1 - sigma_w**2 * s[:-1]  # on the last panel τ goes to infinity
    energy = brentq(lambda e: miss(potential, speed, e), *bracket(potential, speed), xtol=1e-14)
    return q, -1 + math.sqrt(1 - energy)


def bracket(potential: np.ndarray, speed: np.ndarray) -> tuple[float, float]:
    """The lowest energy is the first at which what is missed changes its sign."""
    energies = np.linspace(potential[0, 0], min(0.2, potential[-1, -1] - 1e-3), 60)
    values = [miss(potential, speed, energy) for energy in energies]
    n = next(n for n, value in enumerate(values) if value < 0)
    return energies[n - 1], energies[n]


@pytest.mark.parametrize("sigma_w", [1.5, 20.0, 100.0, 1000.0])
def test_lambda_of_tanh_without_noise(sigma_w):
    solution = solve(nnqft.theory("taylor", activation="tanh", kappa=0.0, sigma_w=sigma_w))
    q, wanted = exponent(sigma_w, solution.variance)
    print(sigma_w, q, solution.variance, solution.error, wanted, solution.lyapunov, solution.lyapunov_error)
    assert abs(solution.variance - q) <= solution.error
    assert abs(solution.lyapunov - wanted) <= solution.lyapunov_error + 1e-9 * wanted
    assert solution.lyapunov_error < 1e-6 * wanted
