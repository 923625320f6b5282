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
from nnqft_plugins.networks.finite_width.interpolation import between, steps_through, tail_of, to_zero
from nnqft_plugins.networks.finite_width.stationary_grid import GridSize, StationaryGrid
from nnqft_plugins.networks.meanfield.solver import stationary_curve
from nnqft_plugins.networks.network import Network

_STEP = 0.5
"""Coarsest, times the fastest rate of a unit."""
_LADDER = (1.0, 2 / 3, 1 / 2, 2 / 5, 1 / 3, 1 / 4)
"""Steps over the coarsest."""
_FIRST_LENGTH = 12.0
"""Of the lags, times the slowest rate of a unit."""
_MOST_LAGS = 80
"""On the coarsest grid, and where one of half its step is asked for larger lags."""
_MOST_FINE = 110
"""Of lags, on the finest grid."""
_FIRST_DEGREE, _MOST_DEGREE = 6, 18
_SETTLED = 100.0
"""A change of an answer, over the accuracy, below which it is taken to be much the same on all grids."""
_SAME = 0.2
"""Part of it that may not be."""
_FLOOR = 1e-2
"""Of an answer, over its natural scale, to which the accuracy is relative at least."""
_SMALL = 0.5
"""An answer beyond this times the one at N → ∞ is not small."""

_STILL = 1e-7
"""Part of C(0) that has to move."""

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
        if 0.0 < self._curve.variance <= self._curve.plateau * (1 + _STILL):
            raise InputError(
                f"without noise and below the edge of chaos (sigma_w={network.sigma_w:g}, kappa={network.kappa:g}) each"
                " network rests at a fixed point, whose order 1/N is not summed; write a small kappa"
            )
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
        k, j = np.abs(t[:, 0] - t[:, 1]), np.abs(t[:, 2] - t[:, 3])
        d = t[:, :2].max(axis=1) - t[:, 2:].max(axis=1)

        def on(grid: StationaryGrid) -> np.ndarray:
            half = grid.linear.period // 2
            steps = np.stack([k, j, np.clip(d, -half * grid.size.step, half * grid.size.step)], axis=1)
            return between(grid.cumulant, steps / grid.size.step, (False, False, True))

        steps = self._steps(np.concatenate([k, j, np.abs(d)]))
        return self._answer(on, np.maximum(k, j), 2 * self._curve.variance**2, steps)

    def spread(self, times: np.ndarray) -> _Answer:
        """N Cov(x̄, ȳ), x̄ = (1/N) Σ_i h_i(t_1) h_i(t_2), ȳ the same of t_3 and t_4; shapes as for `cumulant`."""
        t = np.asarray(times, dtype=float)
        values, errors = self.cumulant(t)
        C = {(i, j): self._curve.C(np.abs(t[:, i] - t[:, j])) for i in (0, 1) for j in (2, 3)}
        return values + C[0, 2] * C[1, 3] + C[0, 3] * C[1, 2], errors

    def two_point(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t) h(s)⟩ of (M, 2) times."""
        lags = _lags(times)
        return self._answer(
            lambda grid: _line(grid, grid.two_point, lags), lags, self._curve.variance, self._steps(lags)
        )

    def response(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t) z̃(s)⟩ of (M, 2) times; 0 for t < s."""
        t = np.asarray(times, dtype=float)
        lags, later = _lags(t), t[:, 0] >= t[:, 1]
        values, errors = self._answer(lambda grid: _line(grid, grid.response, lags), lags, 1.0, self._steps(lags))
        return np.where(later, values, 0.0), np.where(later, errors, 0.0)

    def mean(self, times: np.ndarray) -> _Answer:
        """N δ⟨h(t)⟩ of (M, 1) times, the same at all of them."""
        count = len(times)
        scale = math.sqrt(self._curve.variance)
        return self._answer(lambda grid: np.full(count, grid.mean), np.zeros(count), scale, self._steps(np.zeros(1)))

    # ---- the grids -----------------------------------------------------------------------------------------------

    def _answer(
        self, on: Callable[[StationaryGrid], np.ndarray], reach: np.ndarray, scale: float, steps: list[float]
    ) -> _Answer:
        if not self._curve.variance:  # nothing moves, in no network
            return np.zeros_like(reach), np.zeros_like(reach)
        with one_thread():
            return self._summed(on, reach, scale, steps)

    def _summed(
        self, on: Callable[[StationaryGrid], np.ndarray], reach: np.ndarray, scale: float, ladder: list[float]
    ) -> _Answer:
        least = _FLOOR * scale
        first = GridSize(ladder[0], round(self._length / ladder[0]), self._first_degree)
        needed = np.ceil((reach + 2 / self.network.gamma) / ladder[0])
        raised = [self._raised(on, first, "lags", least, needed)]
        raised.append(self._raised(on, raised[0].settled, "degree", least, 0 * needed))
        base = raised[1].settled
        steps: list[float] = []
        values: list[np.ndarray] = []
        for step in ladder:
            if len(steps) > 2 and base.lags * ladder[0] > _MOST_FINE * step:
                break
            steps.append(step)
            values.append(on(self._grid(_finer(base, step / ladder[0]))))
            value, moved = to_zero(steps, values)
            if len(steps) > 2 and moved.max() < self.accuracy * max(np.abs(value).max(), least):
                break
        for each in raised:
            added, left = self._added(on, base, each)
            value, moved = value + added, moved + left
        self._say(base, steps, np.abs(value).max() / scale)
        return value, moved

    def _say(self, base: GridSize, steps: list[float], relative: float) -> None:
        self._notes.append(
            f"order 1/N summed over all mushrooms, stationary, on grids of steps {steps[0]:.3g} to {steps[-1]:.3g}"
            f" and lags up to {base.lags * base.step:.3g}, extrapolated"
        )
        if relative > _SMALL * self.network.N:
            self._notes.append(f"order 1/N is {relative / self.network.N:.2g} of order 0: not small, do not trust it")

    def _steps(self, times: np.ndarray) -> list[float]:
        """Of the grids: such that these times are on all of them, if there are any."""
        return steps_through(times, self._step) or [self._step * ratio for ratio in _LADDER]

    @property
    def _first_degree(self) -> int:
        return min(_FIRST_DEGREE, self._last_degree)

    @property
    def _last_degree(self) -> int:
        powers = self.network.activation.coefficients
        return _MOST_DEGREE if powers is None else max(2, min(_MOST_DEGREE, 2 * (len(powers) - 1)))

    def _raised(
        self,
        on: Callable[[StationaryGrid], np.ndarray],
        size: GridSize,
        what: str,
        least: float,
        needed: np.ndarray,
    ) -> _Raised:
        """Raise the lags or the degree on the coarsest grid until the answer stands; `needed` of each value."""
        values, sizes = [on(self._grid(size))], [size]
        most = _MOST_LAGS if what == "lags" else self._last_degree
        while getattr(size, what) < most:
            more = min(int(1.5 * size.lags) if what == "lags" else size.degree + 2, most)
            size = replace(size, **{what: more})
            sizes.append(size)
            values.append(on(self._grid(size)))
            wanted = self.accuracy * max(np.abs(values[-1]).max(), least)
            if np.abs(tail_of(values)).max() < 0.3 * wanted and more >= needed.max():
                break
        whole = values[-1] + tail_of(values)
        wanted = self.accuracy * max(np.abs(whole).max(), least)
        settled = 0
        for n, (one, value) in enumerate(zip(sizes, values, strict=True)):
            settled = n if one.lags <= _MOST_FINE / 2 else settled
            if (np.abs(whole - value) * (getattr(one, what) >= needed)).max() <= _SETTLED * wanted:
                break
        return _Raised(sizes[settled], sizes[-1], values[-1] - values[settled], tail_of(values), what)

    def _added(
        self, on: Callable[[StationaryGrid], np.ndarray], base: GridSize, raised: _Raised
    ) -> tuple[np.ndarray, np.ndarray]:
        """What larger lags or a higher degree add, from the coarsest grid and one of half its step; and its error."""
        what = raised.what
        end = getattr(raised.end, what)
        if end <= getattr(base, what):
            return raised.tail, np.abs(raised.tail)
        larger = _finer(replace(base, **{what: end}), 0.5)
        if larger.lags > _MOST_LAGS:
            return raised.added + raised.tail, _SAME * np.abs(raised.added) + np.abs(raised.tail)
        fine = on(self._grid(larger)) - on(self._grid(_finer(base, 0.5)))
        added = fine + (fine - raised.added) / 3
        return added + raised.tail, np.abs(added - fine) + np.abs(raised.tail)

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
    """From where on an answer hardly changes, the last size, what it adds on the coarsest grid, and what is left."""

    settled: GridSize
    end: GridSize
    added: np.ndarray
    tail: np.ndarray
    what: str


def _finer(size: GridSize, ratio: float) -> GridSize:
    return replace(size, step=size.step * ratio, lags=round(size.lags / ratio))


def _lags(times: np.ndarray) -> np.ndarray:
    t = np.asarray(times, dtype=float)
    return np.asarray(np.abs(t[:, 0] - t[:, 1]))


def _line(grid: StationaryGrid, values: np.ndarray, lags: np.ndarray) -> np.ndarray:
    return between(values, lags[:, None] / grid.size.step, (False,))
