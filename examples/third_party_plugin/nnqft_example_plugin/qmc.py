"""Quasi-Monte Carlo: a scrambled Sobol sequence on an adapted map, shifted at random many times for the error.

A. B. Owen, J. Complexity 14, 466 (1998); the sequence is that of `scipy.stats.qmc.Sobol`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.stats.qmc import Sobol

from nnqft import AbstractIntegrator, Estimate, TimeIntegral

_BITS = 30


@dataclass(frozen=True)
class QmcIntegrator(AbstractIntegrator):
    """The mean over a scrambled Sobol sequence, repeated with random digital shifts.

    Every shift makes each point uniform, so each repetition is an unbiased estimate, and their scatter gives the
    error and the covariance over the times. An estimate takes the largest power of two points a repetition that
    `neval` allows, and at least one. Each axis is stretched first where the integrand is large, as skew integrands
    need far more repetitions for an honest error.

    Parameters
    ----------
    repetitions
        At least 2; with few of them the error is itself uncertain.
    rounds, training, bins
        How the map is learnt: rounds, evaluations in each, and intervals along each axis.
    """

    repetitions: int = 64
    rounds: int = 3
    training: int = 2048
    bins: int = 16

    name = "qmc"
    summary = "scrambled Sobol points on an adapted map, any integral; error ∝ 1/√samples or better"

    def supports(self, integral: TimeIntegral) -> bool | str:
        """As many dimensions as there are Sobol sequences."""
        return integral.dim <= Sobol.MAXDIM or f"{integral.dim} dimensions, wanted at most {Sobol.MAXDIM}"

    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> np.ndarray | None:
        """Edges of intervals that weigh about the same, (dim, bins + 1); None where there is nothing to integrate."""
        if integral.dim == 0:
            return None
        rng = np.random.Generator(np.random.Philox(seed))
        edges = np.tile(np.linspace(0.0, 1.0, self.bins + 1), (integral.dim, 1))
        for _ in range(self.rounds):
            y = self._points(integral.dim, self.training, rng)
            values = _stretched(integral, edges, y)
            scale = np.abs(values).mean(axis=0)
            squares = ((values / np.where(scale > 0, scale, 1.0)) ** 2).mean(axis=1)
            edges = np.array([_refined(axis, column, squares) for axis, column in zip(edges, y.T, strict=True)])
        return edges

    def sample(
        self, integral: TimeIntegral, state: np.ndarray | None, neval: int, seed: np.random.SeedSequence
    ) -> Estimate:
        """The mean of the repetitions, and the covariance of that mean."""
        began = time.process_time()
        if state is None:
            return Estimate.exact(np.array(integral(np.empty((1, 0)))[0]), time.process_time() - began)
        y = self._points(integral.dim, neval, np.random.Generator(np.random.Philox(seed)))
        values = _stretched(integral, state, y).reshape(self.repetitions, -1, len(integral.times)).mean(axis=1)
        mean = values.mean(axis=0)
        gap = values - mean
        # Not a matrix product: its bits would depend on the number of threads.
        cov = np.einsum("ri,rj->ij", gap, gap) / (self.repetitions * (self.repetitions - 1))
        return Estimate.of_chunk(len(y), mean, cov, time.process_time() - began)

    def _points(self, dim: int, most: int, rng: np.random.Generator) -> np.ndarray:
        """At most `most` points in the open cube, those of each repetition together."""
        each = max(1, most // self.repetitions)
        sequence = Sobol(dim, bits=_BITS, rng=rng).random_base2(each.bit_length() - 1)
        shifts = rng.integers(1 << _BITS, size=(self.repetitions, 1, dim))
        digits = (sequence * (1 << _BITS)).astype(np.int64) ^ shifts
        # The digits start at 0; half a step keeps the points off the faces of the cube.
        return (digits.reshape(-1, dim) + 0.5) / (1 << _BITS)


def _stretched(integral: TimeIntegral, edges: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integrand × Jacobian, (n, M), where equal steps of y along an axis cross equally many intervals."""
    bins = edges.shape[1] - 1
    place = (y * bins).astype(np.int64)
    axis = np.arange(y.shape[1])
    width = np.diff(edges)[axis, place]
    u = edges[axis, place] + (y * bins - place) * width
    return integral(u) * (bins * width).prod(axis=1)[:, None]


def _refined(edges: np.ndarray, y: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The edges of one axis moved so that each interval has the same root mean square, a tenth of it kept as it was."""
    bins = len(edges) - 1
    place = (y * bins).astype(np.int64)
    size = np.sqrt(np.bincount(place, squares, bins) / np.maximum(np.bincount(place, minlength=bins), 1))
    size += 0.1 * size.mean() + np.finfo(float).tiny
    below = np.concatenate([[0.0], size.cumsum()]) / size.sum()
    return np.interp(np.linspace(0.0, 1.0, bins + 1), below, edges)
