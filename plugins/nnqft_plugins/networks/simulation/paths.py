"""Paths of recurrent networks, a batch at a time, by steps of two sizes under the same noise.

    dh = [−γ h + F(h, t)] dt + √κ dB ,     F = W φ(h) + drive(t)

``"heun"``: the linear part and the noise are exact, F is taken along a straight line from the beginning of the step to
its predicted end (exponential Runge–Kutta, Cox & Matthews, J. Comput. Phys. 176, 430 (2002)); the noise being additive,
means converge as step². ``"euler"``: Euler–Maruyama, means converge as the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnqft import Activation
from nnqft.show.watch import tick
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch
from nnqft_plugins.networks.simulation.schedule import Schedule, drift, kernels, moment_averages
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
    """States of a batch of networks under one choice of steps, and how they depend on earlier ones.

    Attributes
    ----------
    h : (U, N) array
    tangents : dict of (U, N, P) arrays
        Changes of h to first order in changes made at one moment or another; each step takes them on by its own
        derivative, exactly.
    """

    def __init__(self, network: Network, W: np.ndarray, h: np.ndarray) -> None:
        self.network, self.W, self.h = network, W, h
        self.tangents: dict[int, np.ndarray] = {}

    def force(self, h: np.ndarray, drive: np.ndarray) -> np.ndarray:
        """W φ(h) + drive, the force on each unit."""
        return np.matmul(self.W, self.network.activation.value(h)[:, :, None])[:, :, 0] + drive

    def step(self, step: Step, noise: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """One step under that noise, the drive going from `before` to `after`."""
        F = self.force(self.h, before)
        predicted = step.decay * self.h + step.gain * F + noise
        if self.tangents:
            self._take_along(step, predicted)
        if step.bend:
            predicted += step.bend * (self.force(predicted, after) - F)
        self.h = predicted

    def _take_along(self, step: Step, predicted: np.ndarray) -> None:
        slope = slope_of(self.network.activation)
        now = slope(self.h)[:, :, None]
        then = slope(predicted)[:, :, None] if step.bend else now
        for begun, change in self.tangents.items():
            forced = np.matmul(self.W, now * change)
            ahead = step.decay * change + step.gain * forced
            bent = step.bend * (np.matmul(self.W, then * ahead) - forced) if step.bend else 0.0
            self.tangents[begun] = ahead + bent


def slope_of(activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """φ', or where that is not given a quotient of differences."""
    if activation.slope is not None:
        return activation.slope
    value = activation.value

    def quotient(h: np.ndarray) -> np.ndarray:
        gap = 6e-6 * (1 + np.abs(h))  # the cube root of the rounding
        return (value(h + gap) - value(h - gap)) / (2 * gap)

    return quotient


class Free:
    """The same unit uncoupled and without drive, whose correlator is known."""

    def __init__(self, network: Network, h: np.ndarray) -> None:
        self.network, self.h = network, h.copy()

    def step(self, length: float, first: np.ndarray, second: np.ndarray) -> None:
        """Two steps of that length, exactly."""
        exact = step_of("heun", self.network.gamma, self.network.kappa, length)
        self.h = exact.decay * (exact.decay * self.h + exact.spread * first) + exact.spread * second


def follow(
    ensemble: Ensemble, schedule: Schedule, drive: Drive, fine: Walk, coarse: Walk, free: Free | None = None
) -> Iterator[int]:
    """Take walks along, under the same noise, from moment to moment of a schedule; its position comes at each."""
    network, shape = ensemble.network, fine.h.shape
    now, input_now = 0.0, drive.value()
    for column, moment in enumerate(schedule.moments):
        pairs = max(1, math.ceil((moment - now) / (2 * ensemble.step) - 1e-9)) if moment > now else 0
        for _ in range(pairs):
            tick()
            half = step_of(ensemble.scheme, network.gamma, network.kappa, (moment - now) / (2 * pairs))
            first, second = drive.rng.standard_normal((2, *shape))
            middle = drive.advance(half.length)
            end = drive.advance(half.length)
            fine.step(half, half.spread * first, input_now, middle)
            fine.step(half, half.spread * second, middle, end)
            if ensemble.refined:
                whole = step_of(ensemble.scheme, network.gamma, network.kappa, 2 * half.length)
                carried = half.decay if ensemble.scheme == "heun" else 1.0
                coarse.step(whole, half.spread * (carried * first + second), input_now, end)
            if free is not None:
                free.step(half.length, first, second)
            input_now = end
        now = moment
        yield column


def drawn(batch: NetworkBatch, rng: np.random.Generator) -> tuple[Schedule, np.ndarray, Drive, np.ndarray]:
    """When a batch is looked at, and its weights, its drive and its states at first, drawn in this order."""
    ensemble, network = batch.ensemble, batch.ensemble.network
    W, rest = draw_weights(rng, network.weights, network.sigma_w, network.N, batch.size)
    drive = Drive(network, rng, (batch.size, network.N))
    return Schedule.of(ensemble), W + rest, drive, math.sqrt(ensemble.begin) * rng.standard_normal(drive.static.shape)


def path_batch(batch: NetworkBatch) -> Measured:
    """What paths of a batch of networks, one a unit, give: any activation."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    schedule, W, drive, begin = drawn(batch, rng)
    fine, coarse = (Walk(network, W, begin) for _ in range(2))
    free = Free(network, begin)
    records = np.empty((3, len(schedule.moments), *shape))
    with np.errstate(all="ignore"):
        for column in follow(ensemble, schedule, drive, fine, coarse, free):
            records[:, column] = fine.h, coarse.h if ensemble.refined else fine.h, free.h
    return measure(batch, schedule, W, records, None if ensemble.moments else _free_mean(batch, schedule))


def measure(
    batch: NetworkBatch, schedule: Schedule, W: np.ndarray, records: np.ndarray, free_mean: np.ndarray | None
) -> Measured:
    """What the states of two walks give, and of a third one, without weights, whose mean is known; if there is one."""
    network = batch.ensemble.network
    if batch.ensemble.moments:
        kept, K = moment_averages(batch.ensemble, schedule, records)
    else:
        kept, K = kernels(schedule, records, network.units)
    fine, coarse, *free = K.mean(axis=2).swapaxes(1, 2)
    known = [np.broadcast_to(trace[:, None], fine.shape) for trace in traces_of(network, W)]
    if free_mean is not None and free:
        known.insert(0, free[0] - free_mean)
    return Measured(
        members=kept.astype(float),
        values=fine,
        squares=(K[0] ** 2).mean(axis=1).T,
        coarse=coarse,
        controls=controls_of(known, fine.shape),
        discarded=int((~kept).sum()),
        drift=drift(K[0]),
    )


def controls_of(known: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """(*shape, controls) of what has a known average; there may be none."""
    return np.stack(known, axis=-1) if known else np.zeros((*shape, 0))


def traces_of(network: Network, W: np.ndarray) -> tuple[np.ndarray, ...]:
    """Traces of weights minus their averages over the ensemble, as controls; none of more structure than η."""
    N, weights = network.N, network.weights
    if weights is not None and (weights.several or weights.low_rank):
        return ()
    eta, square = (0.0 if weights is None else weights.eta), network.sigma_w**2
    return (
        np.trace(W, axis1=1, axis2=2) / N,
        (W * W.swapaxes(1, 2)).sum(axis=(1, 2)) / N - square * (1 / N + eta),
        (W**2).sum(axis=(1, 2)) / N - square * (1 + eta / N),
    )


def _free_mean(batch: NetworkBatch, schedule: Schedule) -> np.ndarray:
    """⟨h(t) h(s)⟩ of the uncoupled unit that starts with the variance of the paths, averaged over the repetitions."""
    gamma, variance = batch.ensemble.network.gamma, batch.ensemble.network.kappa / (2 * batch.ensemble.network.gamma)
    t, s = schedule.moments[np.stack(schedule.places, axis=1)]
    value = variance * np.exp(-gamma * np.abs(t - s)) + (batch.ensemble.begin - variance) * np.exp(-gamma * (t + s))
    return value.mean(axis=1)
