"""The edge of chaos at infinite width: where the largest Lyapunov exponent becomes positive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

from nnqft import Activation, InputError, Theory, finite_number, short
from nnqft.checks import one_line_keywords
from nnqft.threads import one_thread
from nnqft_plugins.networks.meanfield.driven import solve_driven
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, jumps, slope_square
from nnqft_plugins.networks.meanfield.layers import equivalent, fixed_layers
from nnqft_plugins.networks.meanfield.lyapunov import largest_exponent
from nnqft_plugins.networks.meanfield.stationary import fixed_point, solve_static
from nnqft_plugins.networks.network import Network, network_of

_LARGEST = 200.0
"""σ_w/γ beyond which no edge is looked for."""


@one_line_keywords
def edge_of_chaos(
    theory: Theory, sigma_b: Any = None, *, layer: float | None = None, activation: Activation | None = None
) -> np.ndarray:
    """The σ_w at which the largest Lyapunov exponent becomes positive, for each σ_b.

    Parameters
    ----------
    theory
        σ_w and N play no part. A recurrent network with noise or a moving input: λ = 0. One without: the fixed point
        loses its stability, σ_w² ⟨φ'²⟩ = γ². Layers: χ_1 = 1.
    sigma_b : (M,) array
        The theory's own if not given.
    layer
        Depth of a layer of a stack: 1 is the perceptron h_{l+1} = W φ(h_l) + b, at γ = 1. Without it, thin ones.

    Returns
    -------
    (M,) array
        nan where there is no edge: C grows beyond all bounds before it, chaos never sets in, or φ jumps, so
        that any σ_w is chaotic.

    Notes
    -----
    H. Sompolinsky, A. Crisanti, H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988); B. Poole et al., arXiv:1606.05340;
    S. S. Schoenholz et al., arXiv:1611.01232.
    """
    network = network_of(theory, activation)
    thickness = layer_depth(network, layer)
    values = [network.sigma_b] if sigma_b is None else axis("sigma_b", sigma_b)
    with one_thread():
        return np.array([edge_at(replace(network, sigma_b=float(value)), thickness) for value in values])


def edge_at(network: Network, thickness: float) -> float:
    """The critical σ_w of a network, whatever its own; nan where there is none."""
    if jumps(network.activation):
        return math.nan
    if network.layered:
        twin = equivalent(replace(network, sigma_w=1.0), thickness)
        return _edge_at_rest(twin) / twin.sigma_w
    if network.kappa == 0.0 and not _moving(network):
        return _edge_at_rest(network)
    return _edge_of_motion(network)


def _edge_at_rest(network: Network) -> float:
    """Where a fixed point loses its stability: on the curve with the variance q as its parameter,

    σ_w² = γ²/⟨φ'²⟩_q ,     S = γ² q − σ_w² ⟨φ²⟩_q .
    """
    phi, gamma = network.activation, network.gamma

    def missing(q: float) -> float:
        at = np.array(q)
        with np.errstate(all="ignore"):
            ratio = average_of_square(phi.value, at, phi.kinks) / slope_square(phi, q)
        return network.static / gamma**2 - q + float(ratio)

    low, high = 0.0, 1e-8
    if missing(0.0) > 0.0:
        while not missing(high) <= 0.0:
            low, high = high, 1.3 * high
            if high > _LARGEST**2:
                return math.nan
        low = brentq(missing, low, high, xtol=1e-16, rtol=1e-14)
    slope = slope_square(phi, low)
    sigma_w = gamma / math.sqrt(slope) if slope > 0.0 else math.nan
    # The curve also has points that no network comes to from a small variance.
    if not math.isfinite(sigma_w):
        return math.nan
    attained = _fixed(replace(network, sigma_w=sigma_w * (1 - 1e-9)))
    return sigma_w if abs(attained - low) < 1e-3 * (1 + low) else math.nan


def _fixed(network: Network) -> float:
    try:
        return fixed_point(network)
    except InputError:
        return math.inf


def _edge_of_motion(network: Network) -> float:
    """Where λ of a moving network becomes positive."""

    def growth(sigma_w: float) -> float:
        try:
            return exponent(replace(network, sigma_w=sigma_w))[0]
        except InputError:
            return math.nan

    low, below = 0.1 * network.gamma, math.nan
    while low < _LARGEST * network.gamma:
        high = 1.3 * low
        above = growth(high)
        if math.isnan(above):
            return math.nan
        if below < 0.0 <= above:
            return float(brentq(growth, low, high, xtol=1e-10, rtol=1e-10))
        low, below = high, above
    return math.nan


def _moving(network: Network) -> bool:
    return any(rate > 0.0 for rate, _ in network.sources)


def exponent(network: Network, thickness: float = 0.0, accuracy: float = 1e-8) -> tuple[float, float, float]:
    """λ, C(0) and C(∞) of a stationary network; for layers those of one input, and λ per unit of depth.

    Raises
    ------
    InputError
        If there is no stationary state.
    """
    if network.layered:
        fixed = fixed_layers(network, thickness)
        log_chi = math.log(fixed.chi) if fixed.chi > 0.0 else -math.inf
        return log_chi / (2 * (thickness or 1.0)), fixed.variance, 0.0
    curve = (solve_driven if _moving(network) else solve_static)(network, accuracy)
    return largest_exponent(network, curve, accuracy)[0], curve.variance, curve.plateau


def axis(name: str, values: Any) -> list[float]:
    """Increasing numbers ≥ 0 of one side of the grid.

    Raises
    ------
    InputError
        If they are something else.
    """
    given: Sequence[Any] = [values] if isinstance(values, int | float) else list(_items(name, values))
    numbers = [finite_number(name, value) for value in given]
    if not numbers or min(numbers) < 0.0 or any(b <= a for a, b in pairwise(numbers)):
        raise InputError(f"{name}={short(values)}: wanted increasing numbers ≥ 0, write for example {name}=[0.5, 1.0]")
    return numbers


def _items(name: str, values: Any) -> Iterator[Any]:
    try:
        yield from np.asarray(values).tolist()
    except TypeError:
        raise InputError(f"{name}={short(values)}: wanted numbers, write for example {name}=[0.5, 1.0]") from None


def layer_depth(network: Network, layer: Any) -> float:
    """The depth of a layer that was asked for; 0, for thin ones, if none was.

    Raises
    ------
    InputError
        If the network has no layers, or one of that depth would overshoot.
    """
    if layer is None:
        return 0.0
    if not network.layered:
        raise InputError("layer is for model 'feedforward'; leave it out")
    depth = finite_number("layer", layer)
    if not 0.0 < depth < 2 / network.gamma:
        raise InputError(f"layer={short(layer)}: wanted a depth between 0 and 2/γ={2 / network.gamma:g}")
    return depth
