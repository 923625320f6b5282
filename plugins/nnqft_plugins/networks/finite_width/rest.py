"""Networks of finite width from rest, at any coupling: kernels and order 1/N on a few grids of times, extrapolated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nnqft import InputError
from nnqft.show.watch import OutOfTime, tick
from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.rest_averages import PairAverages
from nnqft_plugins.networks.finite_width.rest_fluctuations import RestFluctuations
from nnqft_plugins.networks.finite_width.rest_grid import STENCIL, PairGrid
from nnqft_plugins.networks.meanfield.kinds import jumps
from nnqft_plugins.networks.meanfield.rest import TimeGrid, solve_rest
from nnqft_plugins.networks.network import Network

Values = tuple[np.ndarray, np.ndarray]
Taken = Callable[["OneGrid"], np.ndarray]

_SOLVED, _BENT, _BROKEN = 1e-6, 1e-5, 1e-4
"""Relative accuracy of the correlator at N → ∞; of a φ with kinks; with jumps."""
_PARTS = (2, 3, 4)
"""Steps of the grids, each in units of a fourth of those of the finest."""
_FEWEST, _MOST = 4, 12
"""Fourths of the steps of the finest grid."""
_COARSEST = 0.5
"""Longest step, in units of the fastest decay."""
_DEGREES = (6, 10, 14)
"""Of the Hermite series: of the grids, and of a coarse one that tells what is missing."""
_UNSURE = 0.3
"""Part of what a coarse grid says of higher degrees that other grids may have otherwise."""
_SAFE = 3.0
"""The error is so many times what the last grid changed of the extrapolation."""


@dataclass(frozen=True)
class OneGrid:
    """What one grid gives at any times of its span."""

    fluctuations: RestFluctuations
    solution: TimeGrid
    stencil: int = STENCIL

    def cumulant(self, times: np.ndarray) -> np.ndarray:
        """(M,) N⟨⟨h_i h_i; h_j h_j⟩⟩ at (M, 4) times."""
        f, grid = self.fluctuations, self.fluctuations.grid
        one, two = (grid.between(times[:, k : k + 2], self.stencil) @ f.carried for k in (0, 2))
        scatter = [f.scatter_with(*(self.correlators(times[:, k + n]) for n in (0, 1))) for k in (0, 2)]
        return (one * scatter[1]).sum(1) + (two * scatter[0]).sum(1) + ((one @ f.of.scatter) * two).sum(1)

    def two_point(self, times: np.ndarray) -> np.ndarray:
        """(M,) N δ⟨h h⟩ at (M, 2) times."""
        return self.fluctuations.grid.between(times, self.stencil) @ self.fluctuations.two_point

    def response(self, times: np.ndarray) -> np.ndarray:
        """(M,) N δR at (M, 2) times."""
        grid = self.fluctuations.grid
        found = grid.between(times, self.stencil) @ self.fluctuations.response[grid.i, grid.j]
        return np.where(times[:, 0] > times[:, 1], found, 0.0)

    def mean(self, times: np.ndarray) -> np.ndarray:
        """(M,) N δ⟨h⟩ at (M, 1) times."""
        return self.fluctuations.grid.nodes(times[:, 0], self.stencil) @ self.fluctuations.mean

    def correlators(self, times: np.ndarray) -> np.ndarray:
        """(M, n + 1) C at N → ∞ between these times and those of the grid."""
        own = self.fluctuations.grid
        return self.solution.correlator(own.network, times[:, None], own.step * np.arange(own.n + 1)[None])


class RestEngine:
    """Kernels and order 1/N of one network from rest, for times up to a horizon.

    Parameters
    ----------
    network
        Its N plays no part: everything is bare of 1/N.
    times
        All times that will be asked for.
    rough
        The size of the answers is enough.

    Raises
    ------
    InputError
        If there are times that are too late, φ has no slope, or C grows beyond all bounds.
    """

    def __init__(self, network: Network, times: np.ndarray, rough: bool = False) -> None:
        _check(network)
        self.network, self._rough = network, rough
        rate = max(abs(rate) for _, rate in filters.modes_of(network))
        self._horizon = max(float(np.max(times, initial=0.0)), 0.1 / rate)
        latest = 4 * _MOST * _COARSEST / rate
        if self._horizon > latest:
            raise InputError(
                f"times={self._horizon:g}: from rest the sum reaches to t = {latest:g}; late times are stationary,"
                " write start='stationary'"
            )
        self._solution = solve_rest(network, self._horizon, accuracy_of(network))
        self._fourths = min(max(math.ceil(self._horizon * rate), _FEWEST), _MOST)
        self._grids: dict[tuple[int, int], OneGrid] = {}
        self._moved = bool(np.abs(self._solution.C).max() > 0.0)
        self._expected, self._done = 0, 0
        self.notes: tuple[str, ...] = ()

    def correlator(self, times: np.ndarray) -> Values:
        """C at N → ∞ at (M, 2) times."""
        found = self._solution.correlator(self.network, times[:, 0], times[:, 1])
        return found, np.full(len(times), self._solution.error)

    def cumulant(self, times: np.ndarray) -> Values:
        """N⟨⟨h_i(t1) h_i(t2); h_j(t3) h_j(t4)⟩⟩, i ≠ j, at (M, 4) times."""
        return self._extrapolated(lambda grid: grid.cumulant(times), len(times))

    def spread(self, times: np.ndarray) -> Values:
        """N Cov of (1/N) Σ h(t1) h(t2) and (1/N) Σ h(t3) h(t4), at (M, 4) times."""
        value, error = self.cumulant(times)
        pairs = {(k, n): self.correlator(times[:, [k, n]])[0] for k in (0, 1) for n in (2, 3)}
        return value + pairs[0, 2] * pairs[1, 3] + pairs[0, 3] * pairs[1, 2], error

    def two_point(self, times: np.ndarray) -> Values:
        """N δ⟨h(t) h(s)⟩ at (M, 2) times."""
        return self._extrapolated(lambda grid: grid.two_point(times), len(times))

    def response(self, times: np.ndarray) -> Values:
        """N δR(t, s) at (M, 2) times."""
        return self._extrapolated(lambda grid: grid.response(times), len(times))

    def mean(self, times: np.ndarray) -> Values:
        """N δ⟨h(t)⟩ at (M, 1) times."""
        return self._extrapolated(lambda grid: grid.mean(times), len(times))

    def _extrapolated(self, taken: Taken, count: int) -> Values:
        """The limit of ever smaller steps, of a polynomial in step² through the grids, and its error."""
        if not self._moved:
            return np.zeros(count), np.zeros(count)
        self._plan()
        degree, missing, unsure = self._beyond(taken, count)
        parts = _PARTS[:2] if self._rough else _PARTS
        found: list[np.ndarray] = []
        for part in parts:
            try:
                found.append(taken(self._grid(part * self._fourths, degree)))
            except OutOfTime:
                if len(found) < 2:
                    raise
                break
        used = parts[: len(found)]
        best = _limit(found, used)
        before = _limit(found[1:], used[1:]) if len(found) > 2 else found[-1]
        self._say(used, degree)
        finest = self._grid(used[-1] * self._fourths, degree)
        interpolated = np.abs(taken(replace(finest, stencil=STENCIL - 1)) - found[-1])
        solved = 4 * self._solution.error / self._scale * np.abs(best).max(initial=0.0)
        return best + missing, _SAFE * np.abs(best - before) + interpolated + unsure + solved

    @property
    def _scale(self) -> float:
        return float(np.abs(self._solution.C).max())

    def _beyond(self, taken: Taken, count: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The degree of the grids, what higher degrees add as a coarse grid has it, and how sure that is."""
        powers = self.network.activation.coefficients
        nothing = np.zeros(count)
        if powers is not None and 2 * (len(powers) - 1) <= _DEGREES[0]:
            return max(2 * (len(powers) - 1), 2), nothing, nothing
        if self._rough:
            return _DEGREES[0], nothing, nothing
        low, middle, high = (taken(self._grid(2 * _FEWEST, degree)) for degree in _DEGREES)
        missing = high - low
        return _DEGREES[0], missing, np.abs(high - middle) + _UNSURE * np.abs(missing)

    def _grid(self, steps: int, degree: int) -> OneGrid:
        key = steps, degree
        if key not in self._grids:
            step = self._horizon / steps
            times = step * np.arange(steps + 1)
            C = self._solution.correlator(self.network, times[:, None], times)
            grid = PairGrid(self.network, step, steps, self._tell)
            self._grids[key] = OneGrid(RestFluctuations(grid, PairAverages(grid, C, degree)), self._solution)
        return self._grids[key]

    def _plan(self) -> None:
        steps = [part * self._fourths for part in _PARTS]
        sizes = [(n + 1) * (n + 2) // 2 for n in steps]
        self._expected, self._done = 2 * sum(size**2 for size in sizes), 0

    def _tell(self, done: int) -> None:
        self._done += done
        tick("summing from rest", self._done, self._expected, "pairs of pairs")

    def _say(self, parts: tuple[int, ...], degree: int) -> None:
        steps = ", ".join(f"{self._horizon / (part * self._fourths):.3g}" for part in parts)
        short = "" if len(parts) == len(_PARTS) or self._rough else ", no finer one in the time there was"
        self.notes = (f"1/N from rest: grids of steps {steps} extrapolated, Hermite degree {degree}{short}",)


def accuracy_of(network: Network) -> float:
    """The relative accuracy of the correlator at N → ∞ from rest that can be had in a second or two."""
    if not network.activation.kinks:
        return _SOLVED
    return _BROKEN if jumps(network.activation) else _BENT


def _check(network: Network) -> None:
    if network.layered:
        raise InputError("a stack of layers has sums of its own")
    if network.activation.slope is None:
        raise InputError(
            f"order='resummed': φ = {network.activation.name} has no slope; write"
            " activation=nnqft.Activation(name, value, slope)"
        )


def _limit(found: list[np.ndarray], parts: tuple[int, ...]) -> np.ndarray:
    """At step 0, of the polynomial in step² through the values of grids with so many parts."""
    squares = [1 / part**2 for part in parts]
    total = np.zeros_like(found[0])
    for n, value in enumerate(found):
        total = total + value * math.prod(x / (x - squares[n]) for m, x in enumerate(squares) if m != n)
    return total
