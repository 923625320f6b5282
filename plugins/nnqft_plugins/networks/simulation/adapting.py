"""Paths of networks whose units adapt: steps of two variables a unit, of two sizes under the same noise.

    d(h, a) = [M (h, a) + (F, 0)] dt + (√κ dB, 0) ,     F = W φ(h) + drive(t)

The schemes are those of `paths`: in "heun" the linear part, M, and the noise are exact, and F is taken along a straight
line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import expm

from nnqft.show.watch import tick
from nnqft_plugins.networks.adaptation import Adaptation
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.paths import drawn, measure


@dataclass(frozen=True, eq=False)
class PairStep:
    """Coefficients of one step of y = (h, a): y ← decay·y + gain·F + bend·(F(end) − F) + spread·ξ.

    decay and spread are (2, 2), gain and bend (2,) arrays.
    """

    length: float
    decay: np.ndarray
    gain: np.ndarray
    bend: np.ndarray
    spread: np.ndarray


@lru_cache(maxsize=4096)
def pair_step(scheme: str, gamma: float, unit: Adaptation, kappa: float, length: float) -> PairStep:
    """The coefficients of a step of that scheme and length."""
    M = unit.matrix(gamma)
    if scheme == "euler":
        first = np.array([1.0, 0.0])
        spread = math.sqrt(kappa * length) * np.outer(first, first)
        return PairStep(length, np.eye(2) + length * M, length * first, np.zeros(2), spread)
    # One exponential holds ∫ e^{Mu} (1, 0) du and ∫ e^{M(length−u)} (u/length) (1, 0) du.
    whole = np.zeros((4, 4))
    whole[:2, :2], whole[0, 2], whole[2, 3] = length * M, length, 1.0
    moved = expm(whole)
    # κ ∫ e^{Mu} (1, 0)(1, 0)ᵀ e^{Mᵀu} du. C. F. Van Loan, IEEE Trans. Autom. Control 23, 395 (1978).
    block = np.zeros((4, 4))
    block[:2, :2], block[2:, 2:], block[0, 2] = -length * M, length * M.T, kappa * length
    paired = expm(block)
    cov = paired[2:, 2:].T @ paired[:2, 2:]
    top = math.sqrt(max(cov[0, 0], 0.0))
    low = cov[1, 0] / top if top else 0.0
    spread = np.array([[top, 0.0], [low, math.sqrt(max(cov[1, 1] - low * low, 0.0))]])
    return PairStep(length, moved[:2, :2], moved[:2, 2], moved[:2, 3], spread)


class PairWalk:
    """(h, a) of a batch of networks under one choice of steps, shape (2, units, N)."""

    def __init__(self, network: Network, W: np.ndarray, y: np.ndarray) -> None:
        self.network, self.W, self.y = network, W, y

    def force(self, h: np.ndarray, drive: np.ndarray) -> np.ndarray:
        """W φ(h) + drive, the force on each unit."""
        return np.matmul(self.W, self.network.activation.value(h)[:, :, None])[:, :, 0] + drive

    def step(self, step: PairStep, noise: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """One step under that noise, the drive going from `before` to `after`."""
        F = self.force(self.y[0], before)
        predicted = _turned(step.decay, self.y) + step.gain[:, None, None] * F + noise
        if step.bend.any():
            predicted += step.bend[:, None, None] * (self.force(predicted[0], after) - F)
        self.y = predicted


def _turned(matrix: np.ndarray, pair: np.ndarray) -> np.ndarray:
    return np.einsum("ij,jun->iun", matrix, pair)


def adapting_batch(batch: NetworkBatch) -> Measured:
    """What paths of a batch of networks of such units, one a unit of work, give."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    unit = network.adaptation
    assert unit is not None
    schedule, W, drive, begin = drawn(batch, rng)
    fine, coarse = (PairWalk(network, W, np.stack([begin, 0.0 * begin])) for _ in range(2))
    records = np.empty((2, len(schedule.moments), *shape))
    now, input_now = 0.0, drive.value()
    with np.errstate(all="ignore"):
        for column, moment in enumerate(schedule.moments):
            tick()
            pairs = max(1, math.ceil((moment - now) / (2 * ensemble.step) - 1e-9)) if moment > now else 0
            for _ in range(pairs):
                how = ensemble.scheme, network.gamma, unit, network.kappa
                half = pair_step(*how, (moment - now) / (2 * pairs))
                first, second = (_turned(half.spread, noise) for noise in rng.standard_normal((2, 2, *shape)))
                middle = drive.advance(half.length)
                end = drive.advance(half.length)
                fine.step(half, first, input_now, middle)
                fine.step(half, second, middle, end)
                if ensemble.refined:
                    carried = _turned(half.decay, first) if ensemble.scheme == "heun" else first
                    coarse.step(pair_step(*how, 2 * half.length), carried + second, input_now, end)
                input_now = end
            records[:, column] = fine.y[0], coarse.y[0] if ensemble.refined else fine.y[0]
            now = moment
    return measure(batch, schedule, W, records, None)
