"""Stacks of layers, new weights in each: h ← (1 − γη) h + √η [W φ(h) + b + √κ ξ].

W is drawn anew in every layer and used once, on the state h of one input. Given h, W φ(h) is exactly a vector of
independent Gaussians of variance σ_w² |φ(h)|²/N, so it is drawn as such: N numbers instead of N².
"""

from __future__ import annotations

import math

import numpy as np

from nnqft.show.watch import tick
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.schedule import Schedule, drift, kernels, moment_averages


def layer_batch(batch: NetworkBatch) -> Measured:
    """Stacks, one a unit; the coarse twin has layers twice as thick, under the same noise."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    schedule = Schedule.of(ensemble)
    fine = coarse = math.sqrt(ensemble.begin) * rng.standard_normal(shape)
    records = np.empty((2, len(schedule.moments), *shape))
    now = 0.0
    with np.errstate(all="ignore"):
        for column, moment in enumerate(schedule.moments):
            tick()
            for length in _thicknesses(ensemble.refined, ensemble.step, moment - now):
                first = rng.standard_normal(shape)
                fine = layer(network, fine, length, first, ensemble.refined)
                if ensemble.refined:
                    second = rng.standard_normal(shape)
                    fine = layer(network, fine, length, second, thin=True)
                    together = (math.exp(-network.gamma * length) * first + second) / math.sqrt(
                        1 + math.exp(-2 * network.gamma * length)
                    )
                    coarse = layer(network, coarse, 2 * length, together, thin=True)
            records[:, column] = fine, coarse if ensemble.refined else fine
            now = moment
    if ensemble.moments:
        kept, K = moment_averages(ensemble, schedule, records)
    else:
        kept, K = kernels(schedule, records)
    values, twins = K.mean(axis=2).swapaxes(1, 2)
    return Measured(
        members=kept.astype(float),
        values=values,
        squares=(K[0] ** 2).mean(axis=1).T,
        coarse=twins,
        controls=np.zeros((*values.shape, 0)),
        discarded=int((~kept).sum()),
        drift=drift(K[0]),
    )


def layer(network: Network, h: np.ndarray, thickness: float, noise: np.ndarray, thin: bool) -> np.ndarray:
    """The state after one more layer, given the standard normal numbers behind weights, bias and noise together.

    Where thin layers are meant, many of them make a step: leak and noise are then exact at constant |φ(h)|².
    """
    phi = network.activation.value(h)
    variance = network.sigma_w**2 * (phi**2).mean(axis=1, keepdims=True) + network.noise
    if not thin:
        return (1 - network.gamma * thickness) * h + np.sqrt(thickness * variance) * noise
    x = network.gamma * thickness
    return math.exp(-x) * h + np.sqrt(-math.expm1(-2 * x) / (2 * network.gamma) * variance) * noise


def _thicknesses(refined: bool, step: float, gap: float) -> list[float]:
    """Layers to the next moment: given ones are all alike, those of the thin limit come in pairs that fit."""
    if gap <= 0.0:
        return []
    if not refined:
        return [step] * round(gap / step)
    pairs = max(1, math.ceil(gap / (2 * step) - 1e-9))
    return [gap / (2 * pairs)] * pairs
