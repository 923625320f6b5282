"""The stationary correlator at infinite width under an input that changes in time: a boundary value problem.

    C'' = γ² C − σ_w² f(C; C(0)) − S(τ) ,     C'(0) = −κ/2 ,     C'(∞) = 0

with C(0), on which f depends, as a parameter. S changes with τ, so no energy is conserved (compare `stationary`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.integrate import solve_bvp

from nnqft import InputError
from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.stationary import Curve, solve_static
from nnqft_plugins.networks.network import Network

_DECAYED = 36.0
"""e^{−36} is rounding."""


def solve_driven(network: Network, accuracy: float = 1e-9) -> Curve:
    """The stationary solution, followed from uncoupled units up to σ_w, or from a static input to the moving one.

    Raises
    ------
    InputError
        If it is lost on both ways: then there is none, or not one that these lead to.
    """
    slowest = min(rate for rate, _ in network.sources if rate > 0.0)
    for way in (_from_uncoupled, _from_static):
        for parts in (1, 4, 16):
            mesh, y, variance, steps = way(network, parts)
            solution = None
            for part, step in enumerate(steps, start=1):
                solution = _solve(step, mesh, y, variance, accuracy if part == parts else 1e-4)
                if not solution.success:
                    break
                mesh, y, variance = solution.x, solution.y, float(solution.p[0])
            if solution is not None and solution.success:
                plateau = float(y[0, -1])
                plateau = plateau if plateau > 1e-13 * variance else 0.0
                return Curve(variance, plateau, slowest, float(mesh[-1]), _Table(solution.sol, float(mesh[-1])))
    raise InputError(
        f"no stationary mean-field solution found at σ_w={network.sigma_w:g} with this input; write a smaller sigma_w,"
        " or start='rest'"
    )


_Way = tuple[np.ndarray, np.ndarray, float, list[Network]]
"""Mesh, C and C' on it, C(0), and the networks on the way."""


def _from_uncoupled(network: Network, parts: int) -> _Way:
    slowest = min(rate for rate, _ in network.sources if rate > 0.0)
    mesh = _mesh(network, _DECAYED * max(1 / slowest, 4 / network.gamma))
    C = _free(network, mesh)
    steps = [replace(network, sigma_w=network.sigma_w * part / parts) for part in range(1, parts + 1)]
    return mesh, np.stack([C, np.gradient(C, mesh)]), float(C[0]), steps


def _from_static(network: Network, parts: int) -> _Way:
    """All input static at first; then a growing part of it moves."""
    total = sum(weight for _, weight in network.inputs)
    try:
        curve = solve_static(replace(network, inputs=((0.0, total),)), 1e-8)
    except InputError:
        return *_from_uncoupled(network, parts)[:3], []
    slowest = min(rate for rate, _ in network.sources if rate > 0.0)
    mesh = _mesh(network, max(_DECAYED * max(1 / slowest, 4 / network.gamma), curve.end))
    C = curve.C(mesh)
    steps = [
        replace(
            network,
            inputs=(
                *((rate, weight * part / parts) for rate, weight in network.inputs),
                (0.0, total * (1 - part / parts)),
            ),
        )
        for part in range(1, parts + 1)
    ]
    return mesh, np.stack([C, np.gradient(C, mesh)]), curve.variance, steps


def _mesh(network: Network, end: float) -> np.ndarray:
    return np.concatenate([[0.0], np.geomspace(0.01 / network.gamma, end, 120)])


class _Table:
    """The solution as a function of lags of either sign, constant beyond its end."""

    def __init__(self, solution, end: float) -> None:  # type: ignore[no-untyped-def]
        self.solution, self.end = solution, end

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        return self.solution(np.minimum(np.abs(tau), self.end))[0]


def _free(network: Network, tau: np.ndarray) -> np.ndarray:
    """C of uncoupled units."""
    gamma = network.gamma
    total = network.kappa / (2 * gamma) * np.exp(-gamma * tau)
    for rate, weight in network.sources:
        nu = rate if abs(rate - gamma) > 1e-6 * gamma else gamma * (1 + 1e-6)
        total += weight * (np.exp(-nu * tau) - nu / gamma * np.exp(-gamma * tau)) / (gamma**2 - nu**2)
    return total


def _solve(network: Network, mesh: np.ndarray, y: np.ndarray, variance: float, accuracy: float):  # type: ignore[no-untyped-def]
    def slope(tau: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        tick("solving at infinite width")
        variance = max(float(p[0]), 1e-12)
        phi_phi = kernel(network.activation, variance, 1e-2 * accuracy)(np.clip(y[0] / variance, -1.0, 1.0))
        drive = sum(weight * np.exp(-rate * tau) for rate, weight in network.sources)
        return np.stack([y[1], network.gamma**2 * y[0] - network.sigma_w**2 * phi_phi - drive])

    def boundary(at_0: np.ndarray, at_end: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.array([at_0[0] - p[0], at_0[1] + network.kappa / 2, at_end[1]])

    return solve_bvp(slope, boundary, mesh, y, p=[variance], tol=accuracy, bc_tol=accuracy, max_nodes=20_000)
