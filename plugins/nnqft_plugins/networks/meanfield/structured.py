"""Mean-field theory of networks whose weights have structure: which of it is known, and by what.

Low-rank weights act through κ_r = (1/N) Σ_j n_j φ(h_j), which is Cov(m, n) ⟨φ'⟩ κ_r/γ at infinite width. Where
Cov(m, n) ⟨φ'⟩ < γ it vanishes, and nothing is left of them; beyond, κ_r m_i adds a static source to each unit, as
strong as makes Cov(m, n) ⟨φ'⟩ = γ. F. Mastrogiuseppe & S. Ostojic, Neuron 99, 609 (2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from nnqft import InputError
from nnqft_plugins.networks.meanfield.elliptic import rest_elliptic, solve_elliptic
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.populations import solve_populations
from nnqft_plugins.networks.meanfield.rest import TimeGrid
from nnqft_plugins.networks.meanfield.rest_populations import rest_populations
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.network import Network


def linear_gain(network: Network) -> float | None:
    """c of φ(h) = c h; None for any other."""
    c = network.activation.coefficients
    return c[1] if c is not None and len(c) > 1 and not any(x for p, x in enumerate(c) if p != 1) else None


def check_known(network: Network) -> None:
    """Raise InputError if mean-field theory of such weights is not known, or not solved here."""
    weights = network.weights
    if weights is None:
        return
    if network.adaptation is not None:
        raise InputError(
            "mean-field theory of structured weights and units with adaptation is not known; write beta=0.0"
        )
    if weights.eta and linear_gain(network) is None:
        raise InputError(
            f"eta={weights.eta:g}: a unit hears itself, η σ_w² ∫ R_φ φ, and for φ = {network.activation.name} is not"
            " Gaussian: there is no closed mean-field theory; write nnqft compute for its diagrams of width order 0, or"
            " nnqft simulate"
        )
    if weights.eta and weights.several:
        raise InputError("eta and fractions: mean-field theory knows one of them; leave the other out")


def normalised(network: Network) -> Network:
    """With φ = c h made into φ = h."""
    gain = linear_gain(network)
    return network if gain is None else network.with_gain(gain)


def structured_curves(network: Network, accuracy: float) -> list[Curve]:
    """The stationary correlator of each population, of networks that `check_known` let pass with η or populations."""
    weights = network.weights
    assert weights is not None
    if weights.eta:
        return [solve_elliptic(normalised(network), accuracy)]
    return solve_populations(network, accuracy)


def average_slope(network: Network, variance: float) -> float:
    """⟨φ'⟩ at one variance of h."""
    v, phi = max(variance, 1e-12), network.activation
    b, _ = hermite(phi.value, np.array([v]), 1e-13, phi.kinks)
    return float(b[0, 1]) / v**0.5 if b.shape[1] > 1 else 0.0


def outlying_exponent(network: Network, variance: float) -> float:
    """Growth rate of κ_r where it vanishes, of the fastest low-rank component."""
    assert network.weights is not None
    return max(overlap for *_, overlap in network.weights.low_rank) * average_slope(network, variance) - network.gamma


def structured_grid(network: Network, horizon: float, accuracy: float) -> TimeGrid:
    """C(t,s) from rest of the population that is looked at, with η or of several populations."""
    weights = network.weights
    assert weights is not None
    if weights.eta:
        return rest_elliptic(normalised(network), horizon)
    return rest_populations(network, horizon, accuracy)[weights.observed]


def with_latent_source(network: Network, solved: Callable[[Network], Curve]) -> Network:
    """The network, with the static source that its low-rank weights are at infinite width.

    Raises
    ------
    InputError
        If several components are active at once, or the source grows without bound.
    """
    weights = network.weights
    assert weights is not None

    def slope(source: float) -> float:
        inputs = (*network.inputs, (0.0, source)) if source else network.inputs
        return average_slope(network, solved(replace(network, inputs=inputs)).variance)

    quiet = slope(0.0)
    strongest = max(overlap * quiet for *_, overlap in weights.low_rank)
    active = [overlap for *_, overlap in weights.low_rank if overlap * quiet > network.gamma * (1 + 1e-12)]
    if strongest <= network.gamma * (1 + 1e-12):
        return network
    if len(active) > 1:
        raise InputError("low_rank: several components are active at once; mean-field theory here knows one")
    wanted, high = network.gamma / active[0], network.gamma**2
    while slope(high) > wanted:
        high *= 4
        if high > 1e8 * network.gamma**2:
            raise InputError(
                f"low_rank: overlap {active[0]:g} beyond gamma drives units of φ = {network.activation.name} beyond all"
                " bounds; write a smaller overlap"
            )
    source = brentq(lambda s: slope(s) - wanted, 0.0, high, xtol=1e-14 * high, rtol=1e-13)
    return replace(network, inputs=(*network.inputs, (0.0, source)))
