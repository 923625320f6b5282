"""The response of a unit as a filter of functions that are known on a uniform grid of times.

Weights are exact for a function that is linear between grid points, G = Σ residue·e^{−rate·t}.
"""

from __future__ import annotations

import numpy as np

from nnqft_plugins.networks.adaptation import response_amplitudes
from nnqft_plugins.networks.network import Network


def modes_of(network: Network) -> list[tuple[complex, complex]]:
    """(residue, rate) of each exponential of G."""
    if network.adaptation is None:
        return [(1.0, network.gamma)]
    return [(residue, rate) for (rate, _), residue in response_amplitudes(network.gamma, network.adaptation).items()]


def weights(modes: list[tuple[complex, complex]], step: float, count: int) -> np.ndarray:
    """(count,) w with ∫ G(u) f(t − u) du = Σ_n w_n f(t − n·step)."""
    total = np.zeros(count)
    for residue, rate in modes:
        x = rate * step
        decay = np.exp(-x)
        if abs(x) < 1e-2:
            late = 0.5 - x / 6 + x**2 / 24 - x**3 / 120
            early = 0.5 - x / 3 + x**2 / 8 - x**3 / 30
        else:
            late = (1 - (1 - decay) / x) / x
            early = ((1 - decay) / x - decay) / x
        powers = np.exp(-x * np.arange(count))
        each = (late + early * np.exp(x)) * powers
        each[0] = late
        total += (residue * step * each).real
    return total


def values(modes: list[tuple[complex, complex]], step: float, count: int, start: float) -> np.ndarray:
    """(count,) G(n·step), with `start` times G(0+) at n = 0."""
    lags = step * np.arange(count)
    total = np.sum([(residue * np.exp(-rate * lags)).real for residue, rate in modes], axis=0)
    total[0] *= start
    return np.asarray(total)


def first_weights(modes: list[tuple[complex, complex]], step: float, count: int) -> np.ndarray:
    """(count,) weights of the value where an integral begins, for ends 0, 1, … steps later."""
    total = np.zeros(count)
    for residue, rate in modes:
        x = rate * step
        decay = np.exp(-x)
        early = 0.5 - x / 3 + x**2 / 8 - x**3 / 30 if abs(x) < 1e-2 else ((1 - decay) / x - decay) / x
        each = early * np.exp(-x * (np.arange(count) - 1))
        each[0] = 0.0
        total += (residue * step * each).real
    return total
