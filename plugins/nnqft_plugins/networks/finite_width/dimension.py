"""D/N of any network: from two histories, and of layers in closed form."""

from __future__ import annotations

import numpy as np

from nnqft import InputError
from nnqft_plugins.networks.finite_width.replicas import FADED, Scatter, two_histories
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.layers import settled_variance
from nnqft_plugins.networks.network import Network


def dimension_of_layers(network: Network) -> Scatter:
    """D/N of thin layers at equal times.

    Raises
    ------
    InputError
        If they have a bias, which both histories hear, or no stationary state.
    """
    if not network.stationary:
        raise InputError("two histories are known in a stationary state; write start='stationary', or a whole order")
    v, _ = settled_variance(network)
    found, wrong = hermite(network.activation.value, np.array([v]), 1e-13, network.activation.kinks)
    a = found[0] ** 2
    if network.sigma_b or a[0] > FADED * a.sum():
        raise InputError(
            "biases, or averages of φ, are new in each layer and heard by both histories: what is theirs alone is not"
            " known; write sigma_b=0 and an odd φ, or a whole order"
        )
    gamma, strength = network.gamma, network.sigma_w**2
    gain = strength * a[1] / v
    rate = 2 * gamma - gain
    if rate <= 0.0:
        raise InputError(f"what two histories share grows with depth at σ_w={network.sigma_w:g}; write a smaller one")
    n = np.arange(1, len(a))
    heard = strength**2 * np.sum(np.outer(a[1:], a[1:]) / (rate * (rate + np.add.outer(n, n) * gamma)))
    psi = 2 * gain * v**2 / (rate + 2 * gamma) + float(heard)
    return Scatter(psi, (1e-11 + 2 * float(wrong)) * abs(psi)).dimension(v)


def dimensions(network: Network) -> dict[str, Scatter]:
    """D/N by the names that the observable ``dimension`` has for them: at equal times, and at frequency 0.

    Raises
    ------
    InputError
        If the theory of two histories does not reach this network.
    """
    if network.layered:
        return {"equal_time": dimension_of_layers(network)}
    histories = two_histories(network)
    return {"equal_time": histories.dimension(), "zero_frequency": histories.dimension_at(0.0)}
