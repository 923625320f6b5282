"""Paths of recurrent networks, a batch at a time, by steps of two sizes under the same noise.

    dh = [−γ h + F(h, t)] dt + √κ dB ,     F = W φ(h) + drive(t)

``"heun"``: the linear part and the noise are exact, F is taken along a straight line from the beginning of the step to
its predicted end (exponential Runge–Kutta, Cox & Matthews, J. Comput. Phys. 176, 430 (2002)); the noise being additive,
means converge as step². ``"euler"``: Euler–Maruyama, means converge as the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnqft.show.watch import tick
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.schedule import Schedule, drift, kernels
from nnqft_plugins.networks.weights import draw_weights

ORDER = {"exact": 1, "heun": 2, "euler": 1, "layers": 1}
"""Power of the step by which the means of each scheme converge."""


@dataclass(frozen=True)
class Step:
    """Coefficients of one step: h ← decay·h + gain·F + bend·(F(end) − F) + spread·ξ, ξ standard normal."""

    length: float
    decay: float
    gain: float
    bend: float
    spread: float


@lru_cache(maxsize=4096)
def step_of(scheme: str, gamma: float, kappa: float, length: float) -> Step:
    """The coefficients of a step of that scheme and length."""
    if scheme == "euler":
        return Step(length, 1 - gamma * length, length, 0.0, math.sqrt(kappa * length))
    x = gamma * length
    gain = -math.expm1(-x) / gamma
    bend = length * (0.5 - x / 6 + x**2 / 24) if x < 1e-4 else (x + math.expm1(-x)) / (gamma * x)
    return Step(length, math.exp(-x), gain, bend, math.sqrt(kappa * -math.expm1(-2 * x) / (2 * gamma)))


class Drive:
    """Bias and input of each unit: static parts, and Ornstein–Uhlenbeck processes, exact at every step."""

    def __init__(self, network: Network, rng: np.random.Generator, shape: tuple[int, int]) -> None:
        self.rng = rng
        self.static = math.sqrt(network.static) * rng.standard_normal(shape)
        self.rates = [rate for rate, _ in network.sources if rate > 0.0]
        self.weights = [weight for rate, weight in network.sources if rate > 0.0]
        self.moving = [math.sqrt(weight) * rng.standard_normal(shape) for weight in self.weights]

    def value(self) -> np.ndarray:
        """The drive of each unit now."""
        return sum(self.moving, self.static)

    def advance(self, length: float) -> np.ndarray:
        """Move on by a time `length`; the drive of each unit then is returned."""
        for n, (rate, weight) in enumerate(zip(self.rates, self.weights, strict=True)):
            kept = math.exp(-rate * length)
            fresh = math.sqrt(weight * -math.expm1(-2 * rate * length))
            self.moving[n] = kept * self.moving[n] + fresh * self.rng.standard_normal(self.static.shape)
        return self.value()


class Walk:
    """States of a batch of networks under one choice of steps."""

    def __init__(self, network: Network, scheme: str, W: np.ndarray, h: np.ndarray) -> None:
        self.network, self.scheme, self.W, self.h = network, scheme, W, h

    def force(self, h: np.ndarray, drive: np.ndarray) -> np.ndarray:
        """W φ(h) + drive, the force on each unit."""
        return np.matmul(self.W, self.network.activation.value(h)[:, :, None])[:, :, 0] + drive

    def step(self, step: Step, noise: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """One step under that noise, the drive going from `before` to `after`."""
        F = self.force(self.h, before)
        predicted = step.decay * self.h + step.gain * F + noise
        if step.bend:
            predicted += step.bend * (self.force(predicted, after) - F)
        self.h = predicted


def path_batch(batch: NetworkBatch) -> Measured:
    """What paths of a batch of networks, one a unit, give: any activation."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    schedule = Schedule.of(ensemble)
    W, rest = draw_weights(rng, network.weights, network.sigma_w, network.N, batch.size)
    W = W + rest
    drive = Drive(network, rng, shape)
    begin = math.sqrt(ensemble.begin) * rng.standard_normal(shape)
    fine, coarse = (Walk(network, ensemble.scheme, W, begin) for _ in range(2))
    free = begin.copy()  # the same unit uncoupled and without drive, whose correlator is known
    records = np.empty((3, len(schedule.moments), *shape))
    now, input_now = 0.0, drive.value()
    with np.errstate(all="ignore"):
        for column, moment in enumerate(schedule.moments):
            pairs = max(1, math.ceil((moment - now) / (2 * ensemble.step) - 1e-9)) if moment > now else 0
            for _ in range(pairs):
                tick()
                half = step_of(ensemble.scheme, network.gamma, network.kappa, (moment - now) / (2 * pairs))
                exact = step_of("heun", network.gamma, network.kappa, half.length)
                first, second = rng.standard_normal((2, *shape))
                middle = drive.advance(half.length)
                end = drive.advance(half.length)
                fine.step(half, half.spread * first, input_now, middle)
                fine.step(half, half.spread * second, middle, end)
                if ensemble.refined:
                    whole = step_of(ensemble.scheme, network.gamma, network.kappa, 2 * half.length)
                    carried = half.decay if ensemble.scheme == "heun" else 1.0
                    coarse.step(whole, half.spread * (carried * first + second), input_now, end)
                free = exact.decay * (exact.decay * free + exact.spread * first) + exact.spread * second
                input_now = end
            records[:, column] = fine.h, coarse.h if ensemble.refined else fine.h, free
            now = moment
    return measure(batch, schedule, W, records, _free_mean(batch, schedule))


def measure(
    batch: NetworkBatch, schedule: Schedule, W: np.ndarray, records: np.ndarray, free_mean: np.ndarray | None
) -> Measured:
    """What the states of two walks give, and of a third one, without weights, whose mean is known; if there is one."""
    network = batch.ensemble.network
    kept, K = kernels(schedule, records, network.units)
    fine, coarse, *free = K.mean(axis=2).swapaxes(1, 2)
    known = [np.broadcast_to(trace[:, None], fine.shape) for trace in _traces(W, network)]
    if free_mean is not None:
        known.insert(0, free[0] - free_mean)
    return Measured(
        members=kept.astype(float),
        values=fine,
        squares=(K[0] ** 2).mean(axis=1).T,
        coarse=coarse,
        controls=np.stack(known, axis=-1),
        discarded=int((~kept).sum()),
        drift=drift(K[0]),
    )


def _traces(W: np.ndarray, network: Network) -> list[np.ndarray]:
    """Traces of each matrix less their averages over the ensemble; none of weights with more structure than η."""
    N, weights = network.N, network.weights
    if weights is not None and (weights.several or weights.low_rank):
        return []
    eta, square = (0.0 if weights is None else weights.eta), network.sigma_w**2
    return [
        np.trace(W, axis1=1, axis2=2) / N,
        (W * W.swapaxes(1, 2)).sum(axis=(1, 2)) / N - square * (1 / N + eta),
        (W**2).sum(axis=(1, 2)) / N - square * (1 + eta / N),
    ]


def _free_mean(batch: NetworkBatch, schedule: Schedule) -> np.ndarray:
    """⟨h(t) h(s)⟩ of the uncoupled unit that starts with the variance of the paths, averaged over the repetitions."""
    gamma, variance = batch.ensemble.network.gamma, batch.ensemble.network.kappa / (2 * batch.ensemble.network.gamma)
    t, s = schedule.moments[schedule.later], schedule.moments[schedule.earlier]
    value = variance * np.exp(-gamma * np.abs(t - s)) + (batch.ensemble.begin - variance) * np.exp(-gamma * (t + s))
    return value.mean(axis=1)
