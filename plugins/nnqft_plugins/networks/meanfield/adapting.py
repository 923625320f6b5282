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

from nnqft import Activation, InputError
from nnqft_plugins.networks.adaptation import Adaptation, correlator_amplitudes
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.pairs import Series
from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.meanfield.rest import driven
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.meanfield.table import Table
from nnqft_plugins.networks.network import Network

_DECAYS = 36.0
"""e^{−36} is rounding."""
_INTERVALS = 2048
"""Of the coarsest grid; each next one has twice as many."""
_FINEST = 1 << 19
_SWEEPS = 400
"""Most times that C is folded on one grid."""
_KEPT = 6
"""Steps that the next one is mixed of."""
_SETTLED = 1e-12
_LOOK = 1e-5
"""How far C settles on a grid that only tells how slowly it decays."""
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
        C, plateau, drift = _settle(network, free, unit_line, end, size, None, _LOOK)
        rate = _decay_rate(network, unit, float(C[0]), plateau)
        if end * rate >= 0.8 * _DECAYS or end * slowest > 100 * _DECAYS:
            break
        end = _DECAYS / max(rate, slowest / 100)
    best = error = None
    settled = max(_SETTLED, 1e-2 * accuracy)
    C, plateau, drift = _settle(network, free, unit_line, end, size, C, settled)
    guess = C
    while True:
        size *= 2
        fine, plateau, drift = _settle(network, free, unit_line, end, size, guess, settled)
        smooth = fine[::2] + (fine[::2] - C) / 3
        if best is not None:
            error = float(np.abs(smooth[::2] - best).max()) + 10 * drift
            if error <= accuracy * abs(smooth[0]) or size >= _FINEST:
                break
        best, C = smooth, fine
        # Half the step has a quarter of the error.
        guess = fine + 0.75 * twice_as_fine(smooth - fine[::2])
    grid = np.linspace(0.0, end, len(smooth))
    rest = CubicSpline(grid, smooth - _sum(free, grid))
    rates = [rate for rate, _ in network.sources if rate > 0]
    decay = min([_decay_rate(network, unit, float(smooth[0]), plateau), *rates])
    error += kernel(network.activation, float(smooth[0]), 1e-11).error * abs(float(smooth[0]))
    plateau = float(smooth[-1]) if abs(plateau) > 1e-12 * smooth[0] else 0.0
    return Curve(float(smooth[0]), plateau, decay, end, _Correlator(free, rest, end), error / abs(float(smooth[0])))


def _exponentials(network: Network, kappa: float, sources: list[tuple[float, float]]) -> Exponentials:
    assert network.adaptation is not None
    found = correlator_amplitudes(network.gamma, network.adaptation, kappa, sources, rest=False)
    return [(amplitude, rate) for (rate, _), amplitude in found.items()]


def _sum(exponentials: Exponentials, lag: np.ndarray) -> np.ndarray:
    return np.sum([np.real(amplitude * np.exp(-rate * lag)) for amplitude, rate in exponentials], axis=0)


def _settle(
    network: Network,
    free: Exponentials,
    line: Exponentials,
    end: float,
    size: int,
    guess: np.ndarray | None,
    settled: float,
) -> tuple[np.ndarray, float, float]:
    """C on a grid of that many intervals, its plateau, and the last change, which is below `settled` of C(0)."""
    assert network.adaptation is not None
    grid = np.linspace(0.0, end, size + 1)
    bare, static = _sum(free, grid), (network.gamma + network.adaptation.strength) ** -2
    still = sum(weight for rate, weight in network.sources if rate == 0.0) * static

    def substituted(state: np.ndarray) -> np.ndarray:
        """C and its plateau, of those."""
        variance = float(state[0])
        average = average_of(network, variance, settled < _LOOK)
        source = network.sigma_w**2 * average(np.clip(state / variance, -1.0, 1.0))
        far = static * float(source[-1])
        return np.append(bare + far + folded(source[:-1] - source[-1], line, float(grid[1])), still + far)

    state = np.append(bare, still)
    if guess is not None:
        on_grid = guess if len(guess) == len(grid) else bare + twice_as_fine(guess - bare[::2])
        state = np.append(on_grid, on_grid[-1])
    mixing = Mixing()
    for _ in range(_SWEEPS):
        with np.errstate(all="ignore"):
            new = substituted(state)
        if not np.isfinite(new).all() or new[0] > _LARGEST * max(bare[0], network.sigma_w**2 * static):
            break
        change = float(np.abs(new - state).max())
        if change <= settled * new[0]:
            return new[:-1], float(new[-1]), change
        state = mixing.next(state, new)
    raise InputError(
        f"no stationary mean-field solution found at sigma_w={network.sigma_w:g} with this adaptation; write a smaller"
        " sigma_w, or start='rest'"
    )


def twice_as_fine(values: np.ndarray) -> np.ndarray:
    """On a grid of half the step, by cubics."""
    at = np.arange(len(values), dtype=float)
    return CubicSpline(at, values)(np.linspace(0.0, at[-1], 2 * len(values) - 1))


class Mixing:
    """Anderson's acceleration of x → g(x): of the last few steps that combination which changes least.

    x holds one correlator, or several of one length side by side.

    D. G. Anderson, J. ACM 12, 547 (1965); H. F. Walker & P. Ni, SIAM J. Numer. Anal. 49, 1715 (2011).
    """

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []

    def next(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Where to go from x, whose image is g."""
        size = float(np.abs(g - x).max())
        if self._kept and size > 2 * float(np.abs(self._kept[-1][1]).max()):
            self._kept.clear()  # a step too far: from here as if nothing had been before
        self._kept.append((g, g - x))
        del self._kept[:-_KEPT]
        if len(self._kept) < 3:
            return g
        images, steps = (np.diff([row[n] for row in self._kept], axis=0) for n in (0, 1))
        share, *_ = np.linalg.lstsq(steps.T, g - x, rcond=1e-10)
        mixed = g - share @ images
        # Each of several correlators is largest at lag 0, where it begins.
        rows, first = mixed.reshape(self._count, -1), g.reshape(self._count, -1)[:, :1]
        near = (rows[:, :1] > 0.1 * first) & (rows[:, :1] < 10 * first)
        return mixed if near.all() and (np.abs(rows) <= rows[:, :1]).all() else g


def average_of(network: Network, variance: float, closely: bool = True) -> Callable[[np.ndarray], np.ndarray]:
    """⟨φφ⟩ of ρ = C/C(0); of steep functions and kinks by a spline in arccos ρ.

    A table takes long, and substitution asks at ever new variances that hardly differ: the values are polynomials in
    log C(0) between those of a few tables, good to 1e-6 at first and to 1e-12 `closely`.
    """
    count, spacing = (8, 1 / 32) if closely else (6, 1 / 8)
    place = math.log(variance) / spacing
    nodes = math.floor(place) + np.arange(count) - count // 2 + 1
    middle = _at_angles(network.activation, float(nodes[count // 2]), spacing)
    found = [] if middle is None else [_at_angles(network.activation, float(n), spacing) for n in nodes]
    tables = [values for values in found if values is not None]
    if len(tables) == count:
        shares = [np.prod([(place - m) / (n - m) for m in nodes if m != n]) for n in nodes]
        values = np.array(shares) @ np.array(tables)
    else:
        average = kernel(network.activation, variance, 1e-11)
        if isinstance(average, Series):
            return average
        values = average(np.cos(_angles()))
    spline = CubicSpline(_angles(), values)
    return lambda rho: np.asarray(spline(np.arccos(rho)))


def _angles() -> np.ndarray:
    """Dense at both ends, where a steep function bends most."""
    return np.asarray(np.pi * np.sin(np.linspace(0.0, np.pi / 2, _ANGLES)) ** 2)


@remembered(64)
def _at_angles(activation: Activation, place: float, spacing: float) -> np.ndarray | None:
    """⟨φφ⟩ at these angles and variance e^(place·spacing); None if there is no need of a table."""
    average = kernel(activation, math.exp(place * spacing), 1e-11)
    return average(np.cos(_angles())) if isinstance(average, Table) else None


def folded(source: np.ndarray, line: Exponentials, step: float) -> np.ndarray:
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
