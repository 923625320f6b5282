"""How small changes grow at infinite width: E Σ_j J_ij(t,s)² of J_ij = ∂h_i(t)/∂h_j(s).

With D(t,t') = E Σ_j J_ij(t,s) J_ij(t',s) of one network under one noise, and G the response of a unit,

    D(t,t') = G(t−s) G(t'−s) + ∬ G(t−u) G(t'−u') σ_w² ⟨φ'(h(u)) φ'(h(u'))⟩ D(u,u') du du' ,

whose solution at equal times is what is wanted; it grows as e^{2λ(t−s)} with the largest Lyapunov exponent λ. The
averages are those of mean-field theory. Solved on a square of times by iteration, on two grids that are extrapolated.
H. Sompolinsky, A. Crisanti, H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988).
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from nnqft import InputError, Theory
from nnqft.show.watch import tick
from nnqft.threads import one_thread
from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.kinds import has_slopes, homogeneous
from nnqft_plugins.networks.meanfield.rest import driven
from nnqft_plugins.networks.meanfield.solution import MeanField
from nnqft_plugins.networks.meanfield.solver import solve
from nnqft_plugins.networks.meanfield.stationary import gain
from nnqft_plugins.networks.weights import refuse_structure

_MOST, _FEWEST = 1024, 64
"""Steps of the finest grid, and of the coarsest."""
_ACCURACY = 1e-5
"""Relative error at which no finer grid is made."""


def mean_square_gradient(theory: Theory, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E Σ_j J_ij(t,s)² at pairs of times (M, 2), 1 at t = s and 0 before, with an estimate of the numerical error.

    Raises
    ------
    InputError
        If there is no mean-field theory of the model, or φ jumps, so that small changes grow without bound.
    """
    refuse_structure(theory.parameters, "the gradient", "leave it out, or write nnqft simulate")
    after = times[:, 0] - times[:, 1]
    values, errors = np.where(after == 0.0, 1.0, 0.0), np.zeros(len(times))
    horizon = float(times.max())
    solution = solve(theory) if theory.stationary or horizon <= 0 else solve(theory, horizon=horizon)
    network = solution.network
    if not has_slopes(network.activation):
        raise InputError(f"gradient: φ = {network.activation.name} jumps, and small changes grow without bound")
    if not after.max() > 0.0:
        return values, errors
    if network.layered:
        values[after > 0] = [_layers(solution, t, s) for t, s in times[after > 0]]
        return values, 1e-8 * values
    starts = [0.0] if theory.stationary else np.unique(times[after > 0, 1]).tolist()
    with one_thread():
        for start in starts:
            rows = (after > 0) if theory.stationary else (after > 0) & (times[:, 1] == start)
            values[rows], errors[rows] = _grown(solution, start, after[rows])
    # What ⟨φ'φ'⟩ owes to the error of C; twice as far along, it counts twice as much.
    slack = solution.error / max(abs(solution.variance), 1e-300)
    return values, errors + np.where(after > 0, slack * values * (1 + network.sigma_w * np.maximum(after, 0.0)), 0.0)


def _layers(solution: MeanField, t: float, s: float) -> float:
    """With new weights in each layer only equal depths matter: d ln D/dt = σ_w² ⟨φ'²⟩ − 2γ."""
    network = solution.network
    if solution.curve is not None:
        return float(np.exp((gain(network, solution.variance) - 2 * network.gamma) * (t - s)))
    grown, _ = quad(lambda u: gain(network, float(solution.correlator(u, u))), s, t, epsrel=1e-9)
    return float(np.exp(grown - 2 * network.gamma * (t - s)))


def _grown(solution: MeanField, start: float, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D at equal times `after` a start, with its error."""
    steps, reach = _FEWEST, float(after.max())
    raw = [_diagonal(solution, start, reach, n) for n in (steps // 2, steps)]
    best = None
    while True:
        at = [CubicSpline(np.linspace(0.0, reach, len(each)), np.log(each))(after) for each in raw[-2:]]
        found = at[1] + (at[1] - at[0]) / 3  # the error is quadratic in the step
        error = np.inf if best is None else np.abs(found - best)
        if np.max(error) < _ACCURACY or 2 * steps > _MOST:
            return np.exp(found), np.exp(found) * np.maximum(error, 1e-12)
        best, steps = found, 2 * steps
        raw.append(_diagonal(solution, start, reach, steps))


def _diagonal(solution: MeanField, start: float, reach: float, steps: int) -> np.ndarray:
    """(steps + 1,) D at equal times on a grid."""
    network = solution.network
    t = np.linspace(0.0, reach, steps + 1)
    modes = filters.modes_of(network)
    G = filters.values(modes, t[1], len(t), 1.0)
    weight = network.sigma_w**2 * _slopes(solution, start + t)
    bare = np.outer(G, G)
    D, change = bare, np.inf
    for _ in range(20 * steps):
        tick("response at infinite width")
        with np.errstate(all="ignore"):
            half = np.sum([(residue * driven(weight * D, rate, t[1])).real for residue, rate in modes], axis=0)
            new = bare + np.sum([(residue * driven(half.T, rate, t[1])).real for residue, rate in modes], axis=0)
            change, D = np.abs(np.diagonal(new - D) / np.diagonal(new)).max(), new
        if not np.isfinite(D).all():
            break
        if change < 1e-11:
            return np.diagonal(D)
    raise InputError(f"gradient: grows beyond all bounds within {reach:g}; write shorter lags")


def _slopes(solution: MeanField, t: np.ndarray) -> np.ndarray:
    """(T, T) ⟨φ'φ'⟩ between equally spaced times."""
    phi = solution.network.activation
    if solution.curve is not None:
        variance = solution.variance
        rho = np.clip(solution.correlator(t - t[0]) / variance, -1.0, 1.0)
        line = kernel(phi, variance).slope(rho) / variance
        return line[np.abs(np.subtract.outer(np.arange(len(t)), np.arange(len(t))))]
    C = solution.correlator(t[:, None], t[None, :])
    variance = np.maximum(np.diagonal(C), 1e-12 * float(np.diagonal(C).max()))
    size = np.sqrt(np.outer(variance, variance))
    rho = np.clip(C / size, -1.0, 1.0)
    degree = homogeneous(phi.value, phi.kinks)
    if degree is not None:
        return size ** (degree - 1) * kernel(phi, 1.0).slope(rho)
    b, _ = hermite(phi.value, variance, 1e-10, phi.kinks)
    b = b[:, 1:] * np.sqrt(np.arange(1, b.shape[1]))
    total = np.zeros_like(rho)
    power = np.ones_like(rho)
    for n in range(b.shape[1]):
        total += np.outer(b[:, n], b[:, n]) * power
        power *= rho
    return total / size
