"""Several populations at infinite width: their stationary correlators, by repeated substitution.

    (γ² − ∂_τ²) C_a = κ δ(τ) + σ_w² Σ_b f_b g_ab² ⟨φφ⟩_b + S(τ)

Means J_ab of the weights drop out where ⟨φ⟩ = 0. The source is folded with the line of a unit along a uniform grid;
two grids and Richardson's extrapolation take out the error, which is quadratic in the step.
J. Aljadeff, M. Stern & T. Sharpee, Phys. Rev. Lett. 114, 088101 (2015); Kadmon & Sompolinsky (see `networks.weights`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from nnqft import InputError
from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.adapting import Mixing, average_of, folded, twice_as_fine
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.weights import Weights

_DECAYS = 36.0
"""e^{−36} is rounding."""
_SWEEPS = 2000
_FINEST = 1 << 15
_LARGEST = 1e6


@dataclass(frozen=True, eq=False)
class _Correlator:
    """What a unit has of its own noise, and the rest by a spline; constant beyond its end."""

    gamma: float
    kappa: float
    rest: CubicSpline
    end: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        lag = np.abs(np.asarray(tau, float))
        own = self.kappa / (2 * self.gamma) * np.exp(-self.gamma * lag)
        return own + self.rest(np.minimum(lag, self.end))


def solve_populations(network: Network, accuracy: float) -> list[Curve]:
    """The stationary solution of each population that weak coupling leads to.

    Raises
    ------
    InputError
        If there is none, or means of the weights make units fire one way.
    """
    weights = network.weights
    assert weights is not None
    if not network.kappa and not network.sources:
        raise InputError("mean-field theory of several populations needs noise, bias or input; write kappa=1.0")
    rates = [rate for rate, _ in network.sources if rate > 0.0]
    slowest = min([network.gamma, *rates])
    size, end = 1024, _DECAYS / slowest
    for _ in range(4):  # a first look tells how slowly the solution decays; then the grid is laid
        guess = _settle(network, weights, end, size, None, 1e-7)
        slow = min([_decay_rate(network, weights, guess), *rates])
        if end * slow >= 0.8 * _DECAYS:
            break
        end = _DECAYS / slow
        size = min(_FINEST // 4, 1 << math.ceil(math.log2(12 * network.gamma * end)))
    _check_means(network, weights, guess[:, 0])
    settled = max(1e-13, 1e-2 * accuracy)
    coarse, best, error = _settle(network, weights, end, size, guess, settled), None, math.inf
    while True:
        size *= 2
        fine = _settle(network, weights, end, size, _finer(coarse), settled)
        smooth = fine[:, :-1:2] + (fine[:, :-1:2] - coarse[:, :-1]) / 3
        if best is not None:
            error = float(np.abs(smooth[:, ::2] - best).max() / smooth[:, 0].max())
            if error <= accuracy or 2 * size > _FINEST:
                break
        best, coarse = smooth, fine
    grid = np.linspace(0.0, end, smooth.shape[1])
    own = network.kappa / (2 * network.gamma) * np.exp(-network.gamma * grid)
    curves = []
    for C in smooth:
        line = _Correlator(network.gamma, network.kappa, CubicSpline(grid, C - own), end)
        plateau = float(C[-1]) if abs(C[-1]) > 1e-12 * C[0] else 0.0
        still = C[0] - C[-1] <= 1e-9 * C[0]
        curves.append(Curve(float(C[0]), plateau, 0.0 if still else slow, 0.0 if still else end, line, error))
    return curves


def _finer(state: np.ndarray) -> np.ndarray:
    return np.array([np.append(twice_as_fine(row[:-1]), row[-1]) for row in state])


def _settle(
    network: Network, weights: Weights, end: float, size: int, guess: np.ndarray | None, settled: float
) -> np.ndarray:
    """(P, size + 2): C of each population on a grid, and its plateau."""
    gamma, coupling = network.gamma, network.sigma_w**2 * weights.feeds
    grid = np.linspace(0.0, end, size + 1)
    line = [(1 / (2 * gamma) + 0j, gamma + 0j)]
    drive = sum((weight * np.exp(-rate * grid) for rate, weight in network.sources if rate > 0.0), 0.0 * grid)
    bare = network.kappa / (2 * gamma) * np.exp(-gamma * grid) + folded(drive, line, float(grid[1]))
    still = network.static / gamma**2

    def substituted(state: np.ndarray) -> np.ndarray:
        phi_phi = np.array([average_of(network, row[0])(np.clip(row / row[0], -1.0, 1.0)) for row in state])
        source = coupling @ phi_phi
        far = source[:, -1] / gamma**2
        moving = [folded(row[:-1] - row[-1], line, float(grid[1])) for row in source]
        return np.column_stack([bare + still + far[:, None] + np.array(moving), still + far])

    if guess is not None and guess.shape[1] == size + 2:
        state = guess
    else:
        # Without noise a constant stays one, even where it is unstable: so C begins with something that decays.
        begin = bare + still + (0.0 if network.kappa else float(coupling.max()) * np.exp(-gamma * grid) / gamma**2)
        state = np.tile(np.append(begin, still), (len(weights.fractions), 1))
    mixing, largest = Mixing(len(state)), _LARGEST * (bare[0] + still + float(coupling.max()) / gamma**2)
    for _ in range(_SWEEPS):
        tick("solving at infinite width")
        with np.errstate(all="ignore"):
            new = substituted(state)
        if not np.isfinite(new).all() or new.max() > largest:
            break
        if float(np.abs(new - state).max()) <= settled * new[:, 0].max():
            return new
        state = mixing.next(state.ravel(), new.ravel()).reshape(new.shape)
    raise InputError(
        f"no stationary mean-field solution of these populations found at sigma_w={network.sigma_w:g}; write a smaller"
        " sigma_w or gains"
    )


def _decay_rate(network: Network, weights: Weights, state: np.ndarray) -> float:
    """At which C − C(∞) falls in the end: of the equation linear about the plateaus."""
    slopes = []
    for row in state:
        average = kernel(network.activation, float(row[0]), 1e-11)
        slopes.append(float(average.slope(np.array([np.clip(row[-1] / row[0], -1, 1)]))[0]) / row[0])
    stiffness = network.gamma**2 * np.eye(len(slopes)) - network.sigma_w**2 * weights.feeds * np.array(slopes)
    rate = float(np.sqrt(np.linalg.eigvals(stiffness) + 0j).real.min())
    return max(rate, 1e-3 * network.gamma)


def check_odd(network: Network, variances: np.ndarray) -> np.ndarray:
    """⟨φ'⟩ of each population, where means of the weights leave alone a mean field that has none: with φ odd.

    Raises
    ------
    InputError
        If there are means of the weights, and φ has one.
    """
    weights, phi = network.weights, network.activation
    assert weights is not None
    b, _ = hermite(phi.value, variances, 1e-13, phi.kinks)
    size = np.sqrt((b**2).sum(axis=1)).max()
    if np.any(weights.means) and np.abs(b[:, 0]).max() > 1e-10 * size:
        raise InputError(
            f"means with φ = {phi.name}, whose average is not 0: mean-field theory of firing populations is not solved"
            " here; write an odd φ, or nnqft simulate"
        )
    return np.asarray(b[:, 1] / np.sqrt(variances)) if b.shape[1] > 1 else np.zeros(len(b))


def _check_means(network: Network, weights: Weights, variances: np.ndarray) -> None:
    """Means of the weights must have no loop that feeds itself."""
    if not np.any(weights.means):
        return
    loop = np.array(weights.means) * np.array(weights.fractions) * check_odd(network, variances)
    fastest = float(np.linalg.eigvals(loop).real.max())
    if fastest >= network.gamma:
        raise InputError(
            f"means: the state with mean 0 is unstable, J f ⟨φ'⟩ has an eigenvalue with real part {fastest:.4g} ≥"
            f" gamma = {network.gamma:g}; write smaller means, or nnqft simulate"
        )
