"""The stationary network at order 1/N, for any coupling: answers at any times, with errors.

Every answer is computed on grids (module `stationary_grid`) of several steps and extrapolated to none.
The length of the lags and the degree of the Hermite series are raised on the coarsest of them until the answer stands;
what they add there is added to the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nnqft import InputError
from nnqft.show.watch import tick
from nnqft.threads import one_thread
from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.interpolation import between, to_zero
from nnqft_plugins.networks.finite_width.stationary_grid import GridSize, StationaryGrid
from nnqft_plugins.networks.meanfield.solver import stationary_curve
from nnqft_plugins.networks.network import Network

_STEP = 0.5
"""Coarsest, times the fastest rate of a unit."""
_LADDER = (1.0, 2 / 3, 1 / 2, 2 / 5, 1 / 3, 1 / 4)
"""Steps over the coarsest."""
_FIRST_LENGTH = 12.0
"""Of the lags, times the slowest rate of a unit."""
_MOST_LAGS = 120
_FIRST_DEGREE, _MOST_DEGREE = 6, 18
_SETTLED = 3.0
"""A change of an answer, over the accuracy, below which it is taken to be the same on all grids."""
_SAME = 0.15
"""Part of such a change that may not be."""
_SMALL = 0.5
"""An answer beyond this times the one at N → ∞ is not small."""

_Answer = tuple[np.ndarray, np.ndarray]


class StationaryEngine:
    """Fluctuations of kernels and all mushrooms of one stationary network.

    Parameters
    ----------
    network
        Recurrent, with one W for all times.
    accuracy
        Error wanted, relative to the largest value of an answer.

    Attributes
    ----------
    notes : tuple of str
        The method, the grids that were taken, and what limits the answer; grows with the questions.

    Raises
    ------
    InputError
        If there is no stationary solution at N → ∞, if its kernels are unstable, or for a stack of layers.
    """

    def __init__(self, network: Network, accuracy: float = 1e-5) -> None:
        if network.layered:
            raise InputError("this network is a stack of layers; wanted a recurrent one")
        self.network, self.accuracy = network, accuracy
        with one_thread():
            self._curve = stationary_curve(network, 1e-10)
        rates = [rate for _, rate in filters.modes_of(network)]
        self._step = _STEP / max(abs(rate) for rate in rates)
        self._length = _FIRST_LENGTH / min(np.real(rate) for rate in rates)
        self._grids: dict[GridSize, StationaryGrid] = {}
        self._notes: list[str] = []
        self._checked = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done and what limits it."""
        return tuple(dict.fromkeys(self._notes))

    def cumulant(self, times: np.ndarray) -> _Answer:
        """N ⟨⟨h_i(t_1) h_i(t_2) ; h_j(t_3) h_j(t_4)⟩⟩, i ≠ j, and its error.

        Parameters
        ----------
        times : (M, 4) array

        Returns
        -------
        values, errors : (M,) arrays
        """
        t = np.asarray(times, dtype=float)
        k, l = np.abs(t[:, 0] - t[:, 1]), np.abs(t[:, 2] - t[:, 3])
        d = t[:, :2].max(axis=1) - t[:, 2:].max(axis=1)

        def on(grid: StationaryGrid) -> np.ndarray:
            half = grid.linear.period // 2
            steps = np.stack([k, l, np.clip(d, -half * grid.size.step, half * grid.size.step)], axis=1)
            return between(grid.cumulant, steps / grid.size.step, (False, False, True))

        return self._answer(on, max(k.max(), l.max()), 2 * self._curve.variance**2)

    def spread(self, times: np.ndarray) -> _Answer:
        """N Cov(x̄, ȳ), x̄ = (1/N) Σ_i h_i(t_1) h_i(t_2), ȳ the same of t_3 and t_4; shapes as for `cumulant`."""
        t = np.asarray(times, dtype=float)
        values, errors = self.cumulant(t)
        C = {(i, j): self._curve.C(np.abs(t[:, i] - t[:, j])) for i in (0, 1) for j in (2, 3)}
        return values + C[0, 2] * C[1, 3] + C[0, 3] * C[1, 2], errors

    def two_point(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t) h(s)⟩ of (M, 2) times."""
        lags = _lags(times)
        return self._answer(lambda grid: _line(grid, grid.two_point, lags), lags.max(), self._curve.variance)

    def response(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t) z̃(s)⟩ of (M, 2) times; 0 for t < s."""
        t = np.asarray(times, dtype=float)
        lags, later = _lags(t), t[:, 0] >= t[:, 1]
        values, errors = self._answer(lambda grid: _line(grid, grid.response, lags), lags.max(), 1.0)
        return np.where(later, values, 0.0), np.where(later, errors, 0.0)

    def mean(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t)⟩ of (M, 1) times, the same at all of them."""
        count = len(times)
        scale = math.sqrt(self._curve.variance)
        return self._answer(lambda grid: np.full(count, grid.mean), 0.0, scale)

    # ---- the grids -----------------------------------------------------------------------------------------------

    def _answer(self, on: Callable[[StationaryGrid], np.ndarray], longest: float, scale: float) -> _Answer:
        at_least = math.ceil((longest + 2 / self.network.gamma) / self._step)
        first = GridSize(self._step, max(round(self._length / self._step), at_least), self._first_degree)
        length = self._raised(on, first, "lags", scale)
        degree = self._raised(on, length.settled, "degree", scale)
        base = degree.settled
        steps, values = [], []
        value, moved = np.zeros(0), np.zeros(0)
        for ratio in _LADDER:
            step = self._step * ratio
            steps.append(step)
            values.append(on(self._grid(replace(base, step=step, lags=round(base.lags / ratio)))))
            value, moved = to_zero(steps, values)
            if len(steps) > 2 and moved.max() < self.accuracy * max(np.abs(value).max(), 1e-300):
                break
        self._notes.append(
            f"1/N summed on grids of steps {steps[0]:.3g} … {steps[-1]:.3g}, lags up to {base.lags * self._step:.3g}"
        )
        total = value + length.added + degree.added
        if np.abs(total).max() > _SMALL * scale * self.network.N:
            self._notes.append(
                f"order 1/N is {np.abs(total).max() / self.network.N / scale:.2g} of the value at N → ∞: not small"
            )
        unsure = _SAME * (np.abs(length.added) + np.abs(degree.added))
        return total, moved + length.left + degree.left + unsure

    @property
    def _first_degree(self) -> int:
        return min(_FIRST_DEGREE, self._last_degree)

    @property
    def _last_degree(self) -> int:
        powers = self.network.activation.coefficients
        return _MOST_DEGREE if powers is None else max(2, min(_MOST_DEGREE, 2 * (len(powers) - 1)))

    def _raised(
        self, on: Callable[[StationaryGrid], np.ndarray], size: GridSize, what: str, scale: float
    ) -> _Raised:
        """Raise the lags or the degree on the coarsest grid until the answer stands."""
        here, settled, added = on(self._grid(size)), None, np.zeros(0)
        left = np.zeros_like(here)
        added = np.zeros_like(here)
        while True:
            more = min(int(1.5 * size.lags), _MOST_LAGS) if what == "lags" else min(size.degree + 2, self._last_degree)
            if more <= getattr(size, what):
                return _Raised(settled or size, added, left)
            larger = replace(size, **{what: more})
            there = on(self._grid(larger))
            left = np.abs(there - here)
            largest = max(np.abs(there).max(), 1e-300)
            if settled is None and left.max() < _SETTLED * self.accuracy * largest:
                settled = size
            if settled is not None:
                added = added + there - here
            size, here = larger, there
            if left.max() < 0.3 * self.accuracy * largest:
                return _Raised(settled or size, added, left)

    def _grid(self, size: GridSize) -> StationaryGrid:
        if size not in self._grids:
            tick("summing order 1/N")
            grid = StationaryGrid(self.network, self._curve.C, self._curve.plateau, size)
            if not self._checked:
                grid.linear.check_stable()
                self._checked = True
            self._grids[size] = grid
        return self._grids[size]


@dataclass(frozen=True)
class _Raised:
    """The size from which on an answer hardly changes, what larger ones add to it, and what the last one did."""

    settled: GridSize
    added: np.ndarray
    left: np.ndarray


def _lags(times: np.ndarray) -> np.ndarray:
    t = np.asarray(times, dtype=float)
    return np.asarray(np.abs(t[:, 0] - t[:, 1]))


def _line(grid: StationaryGrid, values: np.ndarray, lags: np.ndarray) -> np.ndarray:
    return between(values, lags[:, None] / grid.size.step, (False,))
