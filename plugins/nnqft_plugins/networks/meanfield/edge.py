"""The edge of chaos at infinite width: where the largest Lyapunov exponent becomes positive."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

from nnqft import Activation, InputError, Parameter, Theory, finite_number, short
from nnqft.checks import one_line_keywords
from nnqft.threads import one_thread
from nnqft_plugins.networks.meanfield.driven import solve_driven
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, slope_square
from nnqft_plugins.networks.meanfield.kinds import has_slopes, jumps
from nnqft_plugins.networks.meanfield.layers import equivalent, fixed_layers
from nnqft_plugins.networks.meanfield.lyapunov import largest_exponent
from nnqft_plugins.networks.meanfield.stationary import Curve, fixed_point, gain, solve_static, start_variance
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
        loses its stability, σ_w² ⟨φ'²⟩ max_ω|χ(ω)|² = 1 with the response χ of a unit, 1/γ at ω = 0 without
        adaptation. Layers: χ_1 = 1.
    sigma_b : (M,) array
        The theory's own if not given.
    layer
        Depth of a layer of a stack: 1 is the perceptron h_{l+1} = W φ(h_l) + b, at γ = 1. Without it, thin ones.

    Returns
    -------
    (M,) array
        nan where there is no edge, with a warning that says why: C grows beyond all bounds before it, chaos never sets
        in, or φ jumps, so that any σ_w is chaotic.

    Notes
    -----
    H. Sompolinsky, A. Crisanti, H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988); B. Poole et al., arXiv:1606.05340;
    S. S. Schoenholz et al., arXiv:1611.01232; with adaptation S. P. Muscinelli, W. Gerstner, T. Schwalger, PLoS Comput.
    Biol. 15, e1007122 (2019).
    """
    network = network_of(theory, activation)
    if network.adaptation is not None and (network.kappa or _moving(network)):
        raise InputError(
            f"model {theory.model!r}: the edge of chaos of units with adaptation is known without noise and moving"
            " input alone, where a fixed point loses its stability; write kappa=0.0, or take 'taylor'"
        )
    thickness = layer_depth(network, layer)
    values = [network.sigma_b] if sigma_b is None else axis("sigma_b", sigma_b)
    with one_thread():
        found = [edge_at(replace(network, sigma_b=float(value)), thickness) for value in values]
    for line in none_found(values, found):
        warnings.warn(line, stacklevel=3)
    return np.array([edge.sigma_w for edge in found])


@dataclass(frozen=True)
class Edge:
    """Where the edge of chaos is: a σ_w, or nan and the reason why there is none."""

    sigma_w: float
    reason: str = ""


def none_found(values: Sequence[float], edges: Sequence[Edge]) -> list[str]:
    """For each reason why there is no edge a line that says where."""
    where: dict[str, list[float]] = {}
    for bias, edge in zip(values, edges, strict=True):
        if edge.reason:
            where.setdefault(edge.reason, []).append(bias)
    return [f"no edge of chaos at σ_b={short([*map(float, biases)])[1:-1]}: {why}" for why, biases in where.items()]


def edge_at(network: Network, thickness: float) -> Edge:
    """The edge of a network, whatever its own σ_w."""
    if jumps(network.activation):
        return Edge(math.nan, f"φ = {network.activation.name} jumps, so that any σ_w > 0 is chaotic")
    if not has_slopes(network.activation):
        return Edge(math.nan, f"⟨φ'²⟩ of φ = {network.activation.name} is infinite, so that any σ_w > 0 is chaotic")
    if network.layered:
        twin = equivalent(replace(network, sigma_w=1.0), thickness)
        edge = _edge_at_rest(twin)
        return replace(edge, sigma_w=edge.sigma_w / twin.sigma_w)
    if network.kappa == 0.0 and not _moving(network):
        return _edge_at_rest(network)
    return _edge_of_motion(network)


def _edge_at_rest(network: Network) -> Edge:
    """Where a fixed point loses its stability: on the curve with the variance q as its parameter,

    σ_w² = γ²/⟨φ'²⟩_q ,     S = γ² q − σ_w² ⟨φ²⟩_q .

    Units with adaptation rest as if γ were γ + β, and lose their stability to the frequency that they answer most.
    """
    phi, gamma, critical = network.activation, network.gamma, network.gamma**2
    if network.adaptation is not None:
        critical = 1 / network.adaptation.largest_gain(gamma)
        gamma += network.adaptation.strength
        network = replace(network, gamma=gamma, adaptation=None)

    def missing(q: float) -> float:
        at = np.array(q)
        with np.errstate(all="ignore"):
            ratio = average_of_square(phi.value, at, phi.kinks) / slope_square(phi, q)
        return network.static / gamma**2 - q + critical / gamma**2 * float(ratio)

    low, high = 0.0, 1e-8
    if missing(0.0) > 0.0:
        while not missing(high) <= 0.0:
            low, high = high, 1.3 * high
            if high > _LARGEST**2:
                return Edge(math.nan, f"no fixed point of variance up to {_LARGEST**2:g} loses its stability")
        low = brentq(missing, low, high, xtol=1e-16, rtol=1e-14)
    slope = slope_square(phi, low)
    if not 0.0 < slope < math.inf:
        return Edge(math.nan, f"⟨φ'²⟩ = {slope:g} at the fixed point, so that no σ_w is critical")
    sigma_w = math.sqrt(critical / slope)
    # The curve also has points that no network comes to from a small variance.
    attained = _fixed(replace(network, sigma_w=sigma_w * (1 - 1e-9)))
    if abs(attained - low) < 1e-3 * (1 + low):
        return Edge(sigma_w)
    if math.isinf(attained):
        return Edge(math.nan, f"C(0) grows beyond all bounds before it, at some σ_w ≤ {sigma_w:.6g}")
    return Edge(
        math.nan,
        f"the fixed point that loses its stability (variance {low:.4g}, at σ_w={sigma_w:.6g}) is not the one that a"
        f" network comes to ({attained:.4g})",
    )


def _fixed(network: Network) -> float:
    try:
        return fixed_point(network)
    except InputError:
        return math.inf


def _edge_of_motion(network: Network) -> Edge:
    """Where λ of a moving network becomes positive."""
    refusal, calm = "", False

    def growth(sigma_w: float) -> float:
        nonlocal refusal, calm
        try:
            # ⟨φ'φ'⟩ is largest at τ = 0; where even that is too little, no correlator has to be followed.
            if not _moving(network):
                most = gain(trial := replace(network, sigma_w=sigma_w), start_variance(trial))
                calm = most <= network.gamma**2 / 4
                if most <= network.gamma**2:
                    return -network.gamma + math.sqrt(most)
            return exponent(replace(network, sigma_w=sigma_w))[0]
        except InputError as error:
            refusal = str(error).partition(";")[0]
            return math.nan

    low, below = 0.1 * network.gamma, math.nan
    while low < _LARGEST * network.gamma:
        high = (1.7 if calm else 1.3) * low
        above = growth(high)
        if math.isnan(above):
            return Edge(math.nan, f"λ < 0 up to σ_w={low:.4g}, and beyond {refusal}")
        if below < 0.0 <= above:
            return Edge(float(brentq(growth, low, high, xtol=1e-10, rtol=1e-10)))
        low, below = high, above
    return Edge(math.nan, f"λ < 0 at every σ_w up to {_LARGEST * network.gamma:g}")


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
    curve = _solved(network, accuracy)
    return largest_exponent(network, curve, accuracy)[0], curve.variance, curve.plateau


def _solved(network: Network, accuracy: float) -> Curve:
    return (solve_driven if _moving(network) else solve_static)(network, accuracy)


def axis(name: str, values: Any) -> list[float]:
    """Increasing numbers ≥ 0 of one side of the grid.

    Raises
    ------
    InputError
        If they are something else.
    """
    given: Sequence[Any] = [values] if isinstance(values, int | float) else list(_items(name, values))
    numbers = [finite_number(name, value) for value in given]
    if numbers and max(numbers) > Parameter.high:
        raise InputError(f"{name}={short(values)}: wanted numbers ≤ {Parameter.high:g}; choose another unit of time")
    if not numbers or min(numbers) < 0.0 or any(b <= a for a, b in pairwise(numbers)):
        raise InputError(f"{name}={short(values)}: wanted increasing numbers ≥ 0, write for example {name}=[0.5, 1.0]")
    return numbers


def _items(name: str, values: Any) -> Iterator[Any]:
    try:
        yield from np.asarray(values).tolist()
    except (TypeError, ValueError):
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
