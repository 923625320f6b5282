"""VEGAS: importance sampling on a separable adapted map, stratified.

G. P. Lepage, J. Comput. Phys. 27, 192 (1978) and 439, 110386 (2021), through the `vegas` package. The map is
adapted first and then frozen; nothing seen during adaptation enters the estimate, which is therefore unbiased.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import vegas
from scipy.interpolate import PchipInterpolator

from nnqft import AbstractIntegrator, Estimate, TimeIntegral
from nnqft.threads import one_thread
from nnqft_plugins.integrators.strata import covariance, strata_of, with_fourth_powers

_TRAINING_TIMES = 8
_UNIFORM_SHARE = 0.2
_WORTH_IT = 0.7
"""An adapted map must bring the variance down to this fraction of that of the uniform one to be trusted."""
_WORTH_SMOOTHING = 4.0
"""On a single axis a map without variance in its last strata is better even where all of it is more than without."""
_FINE = 4096
"""Increments of the map of a single axis, where steps between them would carry the variance."""
_BLOCK = 1 << 13
_GRID_VALUES = 1 << 17
"""Pairs of samples, and their values at all times, that are computed at once: what a processor's cache holds."""
_BELOW_ONE = np.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class VegasIntegrator(AbstractIntegrator):
    """The VEGAS algorithm on the unit cube of a TimeIntegral.

    Parameters
    ----------
    iterations, training
        Rounds of adaptation and samples in each.
    increments
        Increments of the map along each axis.
    alpha
        Damping of the adaptation.
    """

    iterations: int = 5
    training: int = 1000
    increments: int = 64
    alpha: float = 0.7

    name = "vegas"
    summary = "Monte Carlo on an adapted map, any integral; error ∝ 1/√samples or better"
    accelerated = "jax"

    def supports(self, integral: TimeIntegral) -> bool | str:
        """True: it takes any integral."""
        return True

    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> np.ndarray | None:
        """The adapted map, as its grid of shape (dim, increments + 1); None where there is nothing to integrate."""
        if integral.dim == 0:
            return None
        # The root mean square over a few times stands for the whole grid.
        rows = np.unique(np.linspace(0, len(integral.times) - 1, _TRAINING_TIMES).astype(int))
        few = replace(integral, times=integral.times[rows])
        rng = np.random.Generator(np.random.Philox(seed))
        grid = vegas.AdaptiveMap([[0.0, 1.0]] * integral.dim, ninc=self.increments)
        for _ in range(self.iterations):
            y = rng.random((self.training, integral.dim))
            values = _mapped(few, grid, y)
            scale = np.abs(values).mean(axis=0)
            squares = (values[:, scale > 0] / scale[scale > 0]) ** 2
            if squares.size:
                grid.add_training_data(y, squares.mean(axis=1))
                grid.adapt(alpha=self.alpha)
        strata = strata_of(self.training, integral.dim)
        return _safest(few, np.array(grid.grid), _stratified(rng, strata, range(math.prod(strata))))

    def sample(
        self, integral: TimeIntegral, state: np.ndarray | None, neval: int, seed: np.random.SeedSequence
    ) -> Estimate:
        """Two samples in each stratum of the frozen map; their differences give the covariance."""
        began = time.process_time()
        if state is None:
            return Estimate.exact(np.array(integral(np.empty((1, 0)))[0]), time.process_time() - began)
        rng = np.random.Generator(np.random.Philox(seed))
        times = len(integral.times)
        strata = strata_of(neval, integral.dim)
        grid, pairs = vegas.AdaptiveMap(list(state)), math.prod(strata)
        total, size, square, fourth, largest = np.zeros((5, times))
        products = np.zeros((times, times))
        # One thread: the bits of a matrix product depend on how many share it.
        with one_thread():
            block = max(1, min(_BLOCK, _GRID_VALUES // times))
            for first in range(0, pairs, block):
                y = _stratified(rng, strata, range(first, min(first + block, pairs)))
                values = _mapped(integral, grid, y)
                half = len(values) // 2
                gap = (values[:half] - values[half:]) / 2
                total += values.sum(axis=0)
                size += np.abs(values).sum(axis=0)
                square += np.einsum("nm,nm->m", values, values)
                products += gap.T @ gap
                fourth, largest = with_fourth_powers(fourth, largest, gap)
        mean = total / (2 * pairs)
        cov = covariance(mean, products, fourth, largest, pairs)
        seconds, size, square = time.process_time() - began, size / (2 * pairs), square / (2 * pairs) ** 2
        return Estimate.of_chunk(2 * pairs, mean, cov, seconds, size, square)


def _safest(integral: TimeIntegral, adapted: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The adapted grid with some uniform density mixed in, or the uniform grid where that is hardly worse.

    Where lines join two trees the best map is no product: adaptation then makes rare large weights, which the
    error of a short run does not see. The mixture bounds each axis's Jacobian by 1/_UNIFORM_SHARE.
    """
    even = np.linspace(0.0, 1.0, adapted.shape[1])
    mixed = np.array([np.interp(even, (1 - _UNIFORM_SHARE) * even + _UNIFORM_SHARE * axis, axis) for axis in adapted])
    uniform = np.tile(even, (len(adapted), 1))
    single = len(adapted) == 1
    others = [_smooth(uniform), _smooth(mixed)] if single else [mixed]
    if len(adapted) == 2 and any(part.shape.far for part in integral.parts):
        others.append(_smooth(uniform))
    best, least = uniform, (_WORTH_SMOOTHING if single else _WORTH_IT) * _variance(integral, uniform, y)
    for grid in others:
        if (variance := _variance(integral, grid, y)) < least:
            best, least = grid, variance
    return best


def _variance(integral: TimeIntegral, grid: np.ndarray, y: np.ndarray) -> float:
    """The relative variance within strata, averaged over times."""
    values = _mapped(integral, vegas.AdaptiveMap(list(grid)), y)
    half = len(values) // 2
    scale = np.abs(values).mean(axis=0)
    return float((((values[:half] - values[half:]) / np.where(scale > 0, scale, 1.0)) ** 2).mean())


def _smooth(grid: np.ndarray) -> np.ndarray:
    """The grid without steps, and with a density that vanishes at both ends of each axis.

    On one axis strata are many and narrow. Where the integrand has a logarithm or a root at an end, or its density a
    step, the variance is that of one or two of them, and two samples in each do not tell it. On two it is the corners'.
    """
    even = np.linspace(0.0, 1.0, _FINE + 1)
    known = np.linspace(0.0, 1.0, grid.shape[1])
    curves = PchipInterpolator(known, grid, axis=1)(even**2 * (3.0 - 2.0 * even))
    return np.maximum.accumulate(np.clip(curves, 0.0, 1.0), axis=1)


def _stratified(rng: np.random.Generator, strata: list[int], chosen: range) -> np.ndarray:
    """Two uniform points in each of the chosen strata: first one of each, then the other. Shape (2·strata, dim)."""
    corners = np.stack(np.unravel_index(np.arange(chosen.start, chosen.stop), strata), axis=1)
    return ((corners + rng.random((2, *corners.shape))) / strata).reshape(-1, len(strata))


def _mapped(integral: TimeIntegral, grid: vegas.AdaptiveMap, y: np.ndarray) -> np.ndarray:
    """Integrand × Jacobian at points y of the map, (n, M)."""
    x, jacobian = np.empty_like(y), np.empty(len(y))
    grid.map(y, x, jacobian)
    np.clip(x, np.finfo(float).tiny, _BELOW_ONE, out=x)
    return integral(x) * jacobian[:, None]
