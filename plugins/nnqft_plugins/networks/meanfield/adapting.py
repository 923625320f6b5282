"""The stationary correlator at infinite width of units with adaptation, by repeated substitution.

    C = C_free + σ_w² K * ⟨φφ⟩_C ,     K(τ) = ∫ G(u) G(u + τ) du

with the response G of a unit, a sum of two exponentials (`networks.adaptation`). Without adaptation C obeys Newton's
equation (`stationary`), and with it does not. K is a sum of exponentials of |τ|, and folding with one of these is a
recursion along a uniform grid, exact for a source that is straight between its points; two grids and Richardson's
extrapolation take out the error, which is quadratic in the step.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from nnqft import InputError
from nnqft_plugins.networks.adaptation import Adaptation, correlator_amplitudes
from nnqft_plugins.networks.meanfield.kernel import Series, kernel
from nnqft_plugins.networks.meanfield.rest import driven
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.network import Network

_DECAYS = 36.0
"""e^{−36} is rounding."""
_INTERVALS = 2048
"""Of the coarsest grid; each next one has twice as many."""
_FINEST = 1 << 17
_SWEEPS = 4000
_AVERAGES = 60
"""Most times that C is folded, and variances at which a slow ⟨φφ⟩ is looked for, on one grid."""
_SETTLED = 1e-12
_ANGLES = 769
_LARGEST = 1e6
"""Largest C(0) that is looked for, times that of uncoupled units."""

Exponentials = list[tuple[complex, complex]]
"""(amplitude, rate) of each."""


@dataclass(frozen=True)
class _Correlator:
    """C_free as exponentials, and the rest by a spline; constant beyond its end."""

    free: Exponentials
    rest: CubicSpline
    end: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        lag = np.abs(np.asarray(tau, float))
        return _sum(self.free, lag) + self.rest(np.minimum(lag, self.end))


def solve_adapting(network: Network, accuracy: float) -> Curve:
    """The stationary solution that weak coupling leads to, its error below `accuracy` of C(0) where the grid allows.

    Raises
    ------
    InputError
        If there is none, or nothing drives the network.
    """
    unit = network.adaptation
    assert unit is not None
    if not network.kappa and not network.sources:
        raise InputError("mean-field theory of units with adaptation needs noise, bias or input; write kappa=1.0")
    free = _exponentials(network, network.kappa, list(network.sources))
    unit_line = _exponentials(network, 1.0, [])
    slowest = min(complex(rate).real for _, rate in unit_line + free if complex(rate).real > 0)
    fastest = max(abs(rate) for _, rate in unit_line)
    # A first look tells how slowly the solution decays; then the grid is laid.
    end = _DECAYS / slowest
    for _ in range(3):
        if 24 * fastest * end > _FINEST:
            raise InputError(
                f"no mean-field solution where rates are as far apart as {fastest:.3g} and {slowest:.3g}; choose gamma,"
                " gamma_a and beta closer to each other"
            )
        size = max(_INTERVALS, 1 << math.ceil(math.log2(6 * fastest * end)))
        C, plateau, drift = _settle(network, free, unit_line, end, size, None)
        rate = _decay_rate(network, unit, float(C[0]), plateau)
        if end * rate >= 0.8 * _DECAYS or end * slowest > 100 * _DECAYS:
            break
        end = _DECAYS / max(rate, slowest / 100)
    best = error = None
    while True:
        size *= 2
        fine, plateau, drift = _settle(network, free, unit_line, end, size, C)
        smooth = fine[::2] + (fine[::2] - C) / 3
        if best is not None:
            error = float(np.abs(smooth[::2] - best).max()) + drift
            if error <= accuracy * abs(smooth[0]) or size >= _FINEST:
                break
        best, C = smooth, fine
    grid = np.linspace(0.0, end, len(smooth))
    rest = CubicSpline(grid, smooth - _sum(free, grid))
    rates = [rate for rate, _ in network.sources if rate > 0]
    decay = min([_decay_rate(network, unit, float(smooth[0]), plateau), *rates])
    plateau = float(smooth[-1]) if abs(plateau) > 1e-12 * smooth[0] else 0.0
    return Curve(float(smooth[0]), plateau, decay, end, _Correlator(free, rest, end), error / abs(float(smooth[0])))


def _exponentials(network: Network, kappa: float, sources: list[tuple[float, float]]) -> Exponentials:
    assert network.adaptation is not None
    found = correlator_amplitudes(network.gamma, network.adaptation, kappa, sources, rest=False)
    return [(amplitude, rate) for (rate, _), amplitude in found.items()]


def _sum(exponentials: Exponentials, lag: np.ndarray) -> np.ndarray:
    return np.sum([np.real(amplitude * np.exp(-rate * lag)) for amplitude, rate in exponentials], axis=0)


def _settle(
    network: Network, free: Exponentials, line: Exponentials, end: float, size: int, guess: np.ndarray | None
) -> tuple[np.ndarray, float, float]:
    """C on a grid of that many intervals, its plateau, and the last change."""
    assert network.adaptation is not None
    grid = np.linspace(0.0, end, size + 1)
    bare, static = _sum(free, grid), (network.gamma + network.adaptation.strength) ** -2
    still = sum(weight for rate, weight in network.sources if rate == 0.0) * static
    C, plateau = bare, still
    if guess is not None:
        C, plateau = np.interp(grid, grid[:: size // (len(guess) - 1)], guess), float(guess[-1])
    variance, averages = 0.0, 0
    for _ in range(_SWEEPS):
        with np.errstate(all="ignore"):
            if variance == 0.0:
                variance = float(C[0])
                average, slow = _average(network, variance)
                averages += slow
            source = network.sigma_w**2 * average(np.clip(np.append(C, plateau) / variance, -1.0, 1.0))
            far = still + static * float(source[-1])
            new = bare + static * float(source[-1]) + _folded(source[:-1] - source[-1], line, float(grid[1]))
        if not np.isfinite(new).all() or new[0] > _LARGEST * bare[0] or averages > _AVERAGES:
            break
        change = max(float(np.abs(new - C).max()), abs(far - plateau))
        C, plateau = new, far
        # The average at another variance takes long: only when C has come as near to its own as this one lets it.
        off = abs(float(C[0]) - variance)
        if max(change, off) <= _SETTLED * C[0]:
            return C, plateau, max(change, off)
        if change <= max(0.1 * off, _SETTLED * C[0]):
            variance = 0.0
    raise InputError(
        f"no stationary mean-field solution found at sigma_w={network.sigma_w:g} with this adaptation; write a smaller"
        " sigma_w, or start='rest'"
    )


def _average(network: Network, variance: float) -> tuple[Callable[[np.ndarray], np.ndarray], bool]:
    """⟨φφ⟩ of ρ = C/C(0), and whether it takes long, of steep functions and kinks: by a spline in arccos ρ then."""
    average = kernel(network.activation, variance, 1e-11)
    if isinstance(average, Series):
        return average, False
    # Dense at both ends, where a steep function bends most.
    angle = np.pi * np.sin(np.linspace(0.0, np.pi / 2, _ANGLES)) ** 2
    spline = CubicSpline(angle, average(np.cos(angle)))
    return (lambda rho: np.asarray(spline(np.arccos(rho)))), True


def _folded(source: np.ndarray, line: Exponentials, step: float) -> np.ndarray:
    """∫ K(τ − u) source(u) du over all u, for an even source that vanishes beyond the grid."""
    total = np.zeros(len(source))
    lag = step * np.arange(len(source))
    for amplitude, rate in line:
        later = driven(source[::-1], rate, step)[::-1]  # ∫_τ^∞ e^{−rate(u−τ)} source(u) du
        earlier = driven(source, rate, step) + later[0] * np.exp(-rate * lag)
        total += np.real(amplitude * (later + earlier))
    return total


def _decay_rate(network: Network, unit: Adaptation, variance: float, plateau: float) -> float:
    """At which C − C(∞) falls in the end: the slowest s with 1 = σ_w² ⟨φ'⟩² χ(s) χ(−s) about the plateau."""
    slope = float(kernel(network.activation, variance).slope(np.array([np.clip(plateau / variance, -1, 1)]))[0])
    g, p, q = network.sigma_w**2 * slope / variance, network.gamma + unit.rate, unit.rate
    if unit.strength == 0.0:
        return float(abs(cmath.sqrt(network.gamma**2 - g).real))
    product = unit.rate * (network.gamma + unit.strength)
    # (s² − p s + d)(s² + p s + d) = g (q² − s²)·(−1) with x = s²: x² − (p² − 2 d − g) x + d² − g q² = 0
    half = (p * p - 2 * product - g) / 2
    root = cmath.sqrt(half * half - (product**2 - g * q * q))
    return min(abs(cmath.sqrt(x).real) for x in (half + root, half - root))
