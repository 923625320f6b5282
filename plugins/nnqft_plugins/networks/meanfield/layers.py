"""Deep networks at infinite width: the variance map, the correlation map, and their depth scales.

    h_{l+1} = (1−γη) h_l + √η [W_l φ(h_l) + b_l + √κ ξ_l]
    q ← (1−γη)² q + η [σ_w² ⟨φ²⟩_q + σ_b² + κ]
    c ← (1−γη)² c + η [σ_w² ⟨φφ⟩_c + σ_b² + κ]      the covariance of two inputs to the same network and noise

γ = η = 1 and κ = 0 is the perceptron of Poole et al., arXiv:1606.05340, and Schoenholz et al., arXiv:1611.01232, with
χ_1 = σ_w² ⟨φ'²⟩; η → 0 is the model `feedforward`, where a layer is dt. All formulas hold for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from nnqft import InputError
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, moment
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.panels import cancellation
from nnqft_plugins.networks.meanfield.stationary import Curve, fixed_point, gain
from nnqft_plugins.networks.network import Network

_LARGEST = 1e12
"""C beyond which it counts as unbounded, times the scale that bounded functions have."""


@dataclass(frozen=True)
class Layers:
    """The fixed point of a stack of layers.

    Attributes
    ----------
    variance : float
        q*, the variance of h deep in the stack.
    overlap : float
        c*, the correlation coefficient that two inputs end with.
    chi : float
        χ_1, by which the squared distance of two close inputs changes in a layer; in a unit of depth, if η → 0.
    variance_depth, overlap_depth : float
        ξ_q and ξ_c, over which q and c approach their fixed points as e^{−depth/ξ}; inf at criticality.
    """

    variance: float
    overlap: float
    chi: float
    variance_depth: float
    overlap_depth: float

    @property
    def ordered(self) -> bool:
        """Close inputs come closer."""
        return self.chi < 1.0


def equivalent(network: Network, thickness: float) -> Network:
    """The recurrent network at rest, of leak 1, that has the same fixed-point equation and the same edge of chaos."""
    gamma = network.gamma
    memory = 2 * gamma - gamma**2 * thickness
    if not memory > 0.0:
        raise InputError(f"thickness={thickness:g}: wanted a number below 2/γ={2 / gamma:g}")
    static = (network.sigma_b**2 + network.kappa) / memory
    return replace(
        network,
        gamma=1.0,
        kappa=0.0,
        sigma_w=network.sigma_w / math.sqrt(memory),
        sigma_b=math.sqrt(static),
        inputs=(),
        layered=False,
    )


def fixed_layers(network: Network, thickness: float) -> Layers:
    """The fixed point that weak coupling leads to.

    Parameters
    ----------
    thickness
        η, the depth of one layer; 0 for the limit of many thin ones.

    Raises
    ------
    InputError
        If q grows beyond all bounds, or a layer is too thick.
    """
    twin = equivalent(network, thickness)
    q = _fixed_variance(network, twin)
    memory = 2 * network.gamma - network.gamma**2 * thickness
    overlap, slope = _overlap(twin, q)
    return Layers(
        variance=q,
        overlap=overlap,
        chi=_per_layer(memory * (gain(twin, q) - 1), thickness),
        variance_depth=_depth(memory * (_variance_slope(twin, q) - 1), thickness),
        overlap_depth=_depth(memory * (slope - 1), thickness),
    )


def settled_variance(network: Network) -> tuple[float, float]:
    """q* of thin layers, and the depth ξ_q over which q approaches it.

    Raises
    ------
    InputError
        If q grows beyond all bounds.
    """
    twin = equivalent(network, 0.0)
    q = _fixed_variance(network, twin)
    return q, _depth(2 * network.gamma * (_variance_slope(twin, q) - 1), 0.0)


def _fixed_variance(network: Network, twin: Network) -> float:
    try:
        return fixed_point(twin)
    except InputError:  # which speaks of the twin's σ_w
        raise InputError(
            f"no stationary state at infinite width: σ_w={network.sigma_w:g}, γ={network.gamma:g} and"
            f" φ = {network.activation.name} drive the variance of the layers beyond all bounds; write a smaller"
            " sigma_w, or start='rest' and a short T"
        ) from None


def _per_layer(growth: float, thickness: float) -> float:
    if thickness:
        return 1 + growth * thickness
    return math.exp(growth) if growth < 700 else math.inf


def _depth(growth: float, thickness: float) -> float:
    """Depth over which something shrinks by e, if it changes by `growth` times itself in a unit of depth."""
    factor = abs(1 + growth * thickness)
    rate = -math.log(factor) / thickness if thickness and factor else -growth
    if thickness and not factor:
        return 0.0
    return 1 / rate if rate > 1e-12 else math.inf


def _variance_slope(twin: Network, q: float) -> float:
    """σ_w² d⟨φ²⟩/dq."""
    if q == 0.0:
        return gain(twin, q)
    # By Stein's identity d⟨φ²⟩/dq = ⟨φ² (z²−1)⟩/2q, which needs no derivative of φ.
    return twin.sigma_w**2 * math.sqrt(2) * moment(twin.activation, q, 2, 2).value / (2 * q)


def _overlap(twin: Network, q: float) -> tuple[float, float]:
    """The stable correlation coefficient c*/q*, and the slope of its map there."""
    if q == 0.0:
        return 1.0, gain(twin, q)
    if (at_one := gain(twin, q)) <= 1.0:
        return 1.0, at_one
    average = kernel(twin.activation, q)

    def excess(rho: float) -> float:
        return (twin.sigma_w**2 * float(average(np.array(rho))) + twin.static) / q - rho

    def slope(rho: float) -> float:
        return twin.sigma_w**2 * float(average.slope(np.array(rho))) / q

    # The map is convex with a slope above 1 at its fixed point ρ = 1: it has one more, below that, and stable.
    lowest = brentq(lambda rho: slope(rho) - 1, 0.0, 1.0 - 1e-15) if slope(0.0) < 1 < slope(1.0 - 1e-15) else 0.0
    rho = brentq(excess, 0.0, lowest, xtol=1e-15) if excess(0.0) > 0 > excess(lowest) else 0.0
    return float(rho), slope(rho)


def layered_curve(network: Network) -> Curve:
    """C(τ) deep in a stack of thin layers."""
    q = _fixed_variance(network, equivalent(network, 0.0))
    gamma = network.gamma
    return Curve(q, 0.0, gamma, 36 / gamma, _Decay(q, gamma), cancellation(network.activation.value, q))


def layered_exponent(network: Network, variance: float) -> float:
    """λ of the distance of two close inputs to thin layers, d ~ e^{λ·depth}."""
    return network.gamma * (gain(equivalent(network, 0.0), variance) - 1)


@dataclass(frozen=True)
class _Decay:
    value: float
    rate: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        return self.value * np.exp(-self.rate * np.abs(tau))


def variance_from_start(network: Network, horizon: float, rtol: float) -> Callable[[np.ndarray], np.ndarray]:
    """C(t,t) of thin layers from C_0 on, as a function of t in [0, horizon].

    Raises
    ------
    InputError
        If it grows beyond all bounds before the horizon.
    """

    def slope(_: float, q: np.ndarray) -> np.ndarray:
        phi = average_of_square(network.activation.value, np.maximum(q, 0.0), network.activation.kinks)
        return -2 * network.gamma * q + network.noise + network.sigma_w**2 * phi

    most = _LARGEST * max(1.0, network.sigma_w**2 / network.gamma)

    def away(_: float, q: np.ndarray) -> float:
        return float(q[0]) - most

    away.terminal = True  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):  # steps that overflow are tried again with half the length
        found = solve_ivp(
            slope, (0.0, horizon), [network.C_0], method="DOP853", rtol=max(0.01 * rtol, 1e-12), atol=1e-14,
            dense_output=True, events=away,
        )  # fmt: skip
    if not found.success or not np.isfinite(found.y).all() or found.y.max() >= 0.99 * most:
        raise InputError(f"C grows beyond all bounds before depth {horizon:g}; write a smaller horizon")
    spline = found.sol
    assert spline is not None

    def variance(t: np.ndarray) -> np.ndarray:
        return spline(np.ravel(t))[0].reshape(np.shape(t))

    return variance
