"""The stationary correlator at infinite width, by the motion of a particle in a potential.

    (γ² − ∂_τ²) C = κ δ(τ) + σ_w² ⟨φφ⟩_C + S

with a static drive S is Newton's equation C'' = −V'(C), V'(C) = σ_w² f(C; C(0)) + S − γ² C, f = ⟨φφ⟩ at variance C(0)
and covariance C. The particle starts at C(0) with velocity −κ/2 and comes to rest on the top of V, at the plateau C_∞:

    V'(C_∞) = 0 ,     V(C_∞) − V(C(0)) = κ²/8 .

f is a power series with positive coefficients in ρ = C/C(0) (module `gaussian`), so V' is convex, its first zero is
the only top of V, and one unknown remains, C(0). Sompolinsky, Crisanti & Sommers, Phys. Rev. Lett. 61, 259 (1988);
with noise Schuecker, Goedeke & Helias, Phys. Rev. X 8, 041029 (2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize_scalar

from nnqft import InputError
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, slope_square
from nnqft_plugins.networks.meanfield.panels import cancellation
from nnqft_plugins.networks.meanfield.potential import Potential, potential_at
from nnqft_plugins.networks.network import Network

_LARGEST = 1e6
"""Largest C(0) that is looked for, times the scale set by γ."""

_PLACES = 40
_STILL = 1e-6
"""1 − C(∞)/C(0) without noise below which rounding decides whether C decays."""
_AT_EDGE = 1e-4
"""σ_w² ⟨φ'²⟩/γ² − 1 up to which that may happen."""


@dataclass(frozen=True)
class Curve:
    """C(τ) of one solution.

    Attributes
    ----------
    variance, plateau : float
        C(0) and C(∞).
    rate : float
        C(τ) − C(∞) falls as e^{−rate·τ} in the end; 0 for a constant.
    end : float
        From here on it is that exponential to rounding.
    C : callable
        C at an array of lags ≥ 0.
    error : float
        Bound of what solutions of any accuracy share of errors, such as that of a table, relative to C(0).
    """

    variance: float
    plateau: float
    rate: float
    end: float
    C: Callable[[np.ndarray], np.ndarray]
    error: float = 0.0


@dataclass(frozen=True)
class Constant:
    """A C that does not decay."""

    value: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        """The value, in the shape of the lags."""
        return np.full(np.shape(tau), self.value)


def solve_static(network: Network, accuracy: float = 1e-12) -> Curve:
    """The stationary solution under a static drive.

    Of several solutions that with the smallest C(0), which weak coupling leads to. Without noise it is the fixed point
    C = C(0) while that is stable, else the decaying, chaotic one.

    Raises
    ------
    InputError
        If there is no stationary solution.
    """
    hermite_accuracy = max(0.1 * accuracy, 1e-14)
    if network.kappa == 0.0:
        fixed = fixed_point(network)
        beyond = gain(network, fixed) / network.gamma**2 - 1
        if beyond < -1e-13 or beyond <= 0.0 == fixed:
            return Curve(fixed, fixed, 0.0, 0.0, Constant(fixed), cancellation(network.activation.value, fixed))
        if beyond < _AT_EDGE:
            error = 4 * _STILL + 100 * abs(beyond) if network.static else 1.0  # or it decays to 0
            still = Curve(fixed, fixed, 0.0, 0.0, Constant(fixed), error)
            return _beyond_edge(network, hermite_accuracy, accuracy) or still
    potential = potential_at(network, start_variance(network, hermite_accuracy), hermite_accuracy)
    return _roll(network, potential, potential.top(), accuracy)


def _beyond_edge(network: Network, averages: float, accuracy: float) -> Curve | None:
    """The decaying solution without noise; None where rounding hides it."""
    try:
        potential = potential_at(network, start_variance(network, averages), averages)
        top = potential.top()
        return _roll(network, potential, top, accuracy) if top < 1 - _STILL else None
    except (InputError, ValueError):
        return None


def gain(network: Network, variance: float) -> float:
    """σ_w² ⟨φ'(h)²⟩ at that variance of h."""
    return network.sigma_w**2 * slope_square(network.activation, variance)


def fixed_point(network: Network) -> float:
    """The q with γ² q = σ_w² ⟨φ²⟩_q + S that a small variance grows to: h of a network that does not move.

    Raises
    ------
    InputError
        If there is none.
    """
    phi = network.activation

    def excess(q: float) -> float:
        square = float(average_of_square(phi.value, np.array(q), phi.kinks))
        return network.sigma_w**2 * square + network.static - network.gamma**2 * q

    start = network.static / network.gamma**2
    if excess(start) <= 0.0 and gain(network, start) <= network.gamma**2 * (1 + 1e-13):
        return start
    above, places, values = 1e-9, [start, start], [math.inf, math.inf]
    while start + above < _LARGEST * max(1.0, network.sigma_w**2 / network.gamma**2):
        high = start + above
        value = excess(high)
        low = places[-1]
        if value > 0.0 and values[-2] > values[-1] < value:
            turn = _lowest(excess, places[-2], high)  # two solutions may lie between two steps
            value, low, high = (excess(turn), places[-2], turn) if excess(turn) <= 0.0 else (value, low, high)
        if value <= 0.0:
            return float(brentq(excess, low, high, xtol=1e-15, rtol=1e-14))
        places, values, above = [places[-1], high], [values[-1], value], 1.3 * above
    raise _none(network)


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is lowest between two places."""
    found = minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": 1e-6 * (high - low)})
    return float(found.x)


def start_variance(network: Network, accuracy: float = 1e-12) -> float:
    """The smallest C(0) where V(C_∞) − V(C(0)) rises through κ²/8."""
    wanted = network.kappa**2 / 8

    def excess(variance: float, rough: bool = False) -> float:
        potential = potential_at(network, variance, accuracy, rough)
        if not potential.finite:  # φ grows too fast for an average at this variance
            return -math.inf
        return potential.height(potential.top()) - wanted

    # All of f is positive: no C(0) is below that of the free theory.
    free = network.kappa / (2 * network.gamma) + network.static / network.gamma**2
    trial = free * (1 - 1e-9) if free else 1e-9
    growth = 1.1 if free else 1.5
    places, values = [trial, trial], [math.inf, math.inf]
    while trial < _LARGEST * max(1.0, free, network.sigma_w**2 / network.gamma**2):
        value = excess(trial, rough=True)
        last, upper = places[-1], trial
        if value < 0.0 > values[-1] and values[-2] < values[-1] > value > -math.inf:
            turn = _lowest(lambda v: -excess(v, rough=True), places[-2], trial)
            if excess(turn, rough=True) >= 0.0:  # two solutions between two steps
                last, upper = places[-2], turn
        if values[-1] < 0.0 and (value >= 0.0 or upper < trial):
            found = _sharpened(excess, last, upper)
            if math.isnan(found):
                break
            return found
        if value == -math.inf:
            break
        # Far above the free theory only what saturates has a solution, and has it once.
        places, values = [places[-1], trial], [values[-1], value]
        trial *= growth if trial < 10 * free else max(growth, 1.3)
    raise _none(network)


def _sharpened(excess: Callable[..., float], low: float, high: float) -> float:
    """The zero between two places, of a function that costs much, by one that is almost the same and costs little."""
    first = float(brentq(partial(excess, rough=True), low, high, xtol=1e-300, rtol=1e-14))
    middle = excess(first)
    if middle == excess(first, rough=True):  # the series is all there is
        return first
    step = -2 * middle / (excess(high, rough=True) - excess(low, rough=True)) * (high - low) or 1e-9 * first
    for _ in range(12):
        second = first + step
        if second <= 0.0:
            break
        value = excess(second)
        if middle * value <= 0.0:
            return float(brentq(excess, min(first, second), max(first, second), xtol=1e-300, rtol=1e-13))
        first, middle, step = second, value, 2 * step
    # So poor a guide it may be for what falls off far out: look everywhere around.
    places = np.geomspace(1e-3 * low, 1e3 * high, _PLACES).tolist()
    before = excess(places[0])
    for last, trial in pairwise(places):
        if before < 0.0 <= (value := excess(trial)):
            return float(brentq(excess, last, trial, xtol=1e-300, rtol=1e-13))
        before = value
    return math.nan


def _none(network: Network) -> InputError:
    return InputError(
        f"no stationary state at infinite width: σ_w={network.sigma_w:g}, γ={network.gamma:g} and"
        f" φ = {network.activation.name} drive C(0) beyond all bounds; write a smaller sigma_w, or"
        " start='rest' and a short T"
    )


def _roll(network: Network, potential: Potential, rho_end: float, accuracy: float) -> Curve:
    """Follow the particle from C(0) to the top, each part of the way in a variable in which it is stable."""
    kinetic = potential.over_square(rho_end)  # dρ/dτ = −√(2E)/C(0), and E is in units of C

    def speed(y: float) -> float:
        """−d ln(ρ − ρ_∞)/dτ, which tends to the rate of the tail."""
        return math.sqrt(max(2 * kinetic(math.exp(y)), 0.0)) / potential.variance

    options: dict[str, Any] = {
        "method": "DOP853",
        "dense_output": True,
        "rtol": max(0.1 * accuracy, potential.accuracy, 1e-12),
        "atol": max(1e-14, 1e-3 * potential.accuracy),
    }
    rate = speed(-math.inf)
    if not rate > 0.0:  # C decays no more: the edge of what is stationary, to rounding
        raise _none(network)
    span = 1 - rho_end
    first = None
    turn, y_start = 0.0, math.log(span)
    if potential(1.0) > 0.0:
        # Around its start the particle moves slowly and turns: there Newton's equation is the better one.
        first, turn, y_start = _around_the_start(network, potential, rho_end, options)
    stop = math.log(1e-14)
    length = (y_start - stop) / rate
    limit = turn + 4 * length + 40 / rate

    def arrived(_: float, y: np.ndarray) -> float:
        return float(y[0]) - stop

    arrived.terminal = True  # type: ignore[attr-defined]
    tail = solve_ivp(lambda _, y: [-speed(y[0])], (turn, limit), [y_start], events=arrived, **options)
    course = tail.sol
    assert course is not None
    end = float(tail.t[-1])
    y_end = float(tail.y[0, -1])

    def C(tau: np.ndarray) -> np.ndarray:
        lag = np.abs(np.asarray(tau, dtype=float)).ravel()
        y = np.where(lag < end, course(np.clip(lag, turn, end))[0], y_end - rate * (lag - end))
        rho = rho_end + np.exp(y)
        if first is not None:
            rho = np.where(lag < turn, first.sol(np.clip(lag, 0.0, turn))[0], rho)
        return (potential.variance * rho).reshape(np.shape(tau))

    return Curve(potential.variance, potential.variance * rho_end, rate, end, C, 3 * potential.error)


def _around_the_start(network: Network, potential: Potential, rho_end: float, options: dict[str, Any]):  # type: ignore[no-untyped-def]
    """Newton's equation from τ = 0 until V' = 0, where the particle is fastest."""

    def fastest(_: float, state: np.ndarray) -> float:
        return potential(state[0])

    fastest.terminal = True  # type: ignore[attr-defined]

    def motion(_: float, state: np.ndarray) -> list[float]:
        return [state[1], -potential(state[0]) / potential.variance]

    begin = [1.0, -network.kappa / 2 / potential.variance]
    first = solve_ivp(motion, (0.0, 1e6 / network.gamma), begin, events=fastest, **options)
    return first, float(first.t[-1]), math.log(first.y[0, -1] - rho_end)
