"""The mean-field correlator as a line: solved for on a grid, tabulated, and interpolated in array-API style.

    (∂_t + γ)(∂_s + γ) C(t,s) = κ δ(t−s) + σ_b² + σ_u² q(t,s) + σ_w² ⟨φ(h(t)) φ(h(s))⟩_C

H. Sompolinsky, A. Crisanti & H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988); Helias & Dahmen, arXiv:1901.10416.
Only D = C − C_0 is tabulated; C_0, the correlator at σ_w = 0, has the cusp that white noise makes and is known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from nnqft import InputError, Propagator, Term

Array = Any
Average = Callable[[Array, Array, Array], Array]
"""⟨φ(x) φ(y)⟩ at ⟨xy⟩, ⟨x²⟩ and ⟨y²⟩."""

_NODES = 640
"""Intervals of the stationary table."""
_BEYOND = 8
"""Times of a table from rest beyond its horizon: what interpolation near its end reaches to."""
_CLOSE = 1e-8
"""Where a table in the root of a lag begins."""
_FAR = 1e6
"""Lags that count as infinite, in units of the table's scale."""


def stationary_line(correlator: Callable[[np.ndarray], np.ndarray], terms: Sequence[Term], scale: float) -> Propagator:
    """C_MF of lags as a propagator; `terms` are those of C_0, `scale` is a few times its correlation time."""

    def smooth(lag: np.ndarray) -> np.ndarray:
        return correlator(lag) - np.sum([term.amplitude * np.exp(-term.rate * lag) for term in terms], axis=0)

    free = tuple((term.amplitude, term.rate, term.early) for term in terms)
    params = (("terms", free), *lag_table(smooth, scale)[1:])
    return Propagator("C", "h", "h", "C_MF(t−s), tabulated", kernel=stationary_kernel, params=params)


def rest_line(average: Average, terms: Sequence[Term], gamma: float, coupling: float, horizon: float) -> Propagator:
    """C_MF(t,s) up to the horizon as a propagator; `coupling` is σ_w², `average` gives ⟨φφ⟩ at c, v and w."""
    return line_of_square(*rest_square(average, terms, gamma, coupling, horizon), terms, horizon)


def line_of_square(step: float, square: np.ndarray, terms: Sequence[Term], horizon: float) -> Propagator:
    """The propagator that has D on a square grid of times."""
    free = tuple((term.amplitude, term.rate, term.early) for term in terms)
    early, lag = np.indices(square.shape)
    size = len(square)
    table = np.where(early + lag < size, square[np.minimum(early + lag, size - 1), early], 0.0)
    params = (("terms", free), ("step", step), ("table", table.tobytes()))
    return Propagator("C", "h", "h", f"C_MF(t,s), tabulated up to T = {horizon:g}", kernel=rest_kernel, params=params)


def stationary_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """C_0 + D, D a cubic spline in u = τ/(τ + scale), which maps all lags to [0, 1)."""
    lag = xp.abs(t - s)
    return _spline(lag / (lag + params["scale"]), params["table"], xp) + _free(lag, 0.0, params["terms"], xp)


def _spline(u: Array, coefficients: bytes, xp: ModuleType) -> Array:
    """Value at u in [0, 1] of a cubic spline with equal intervals."""
    table = xp.asarray(np.frombuffer(coefficients).reshape(4, -1))
    last = table.shape[1] - 1
    place = u * (last + 1)
    node = xp.clip(xp.floor(place), 0, last)
    rest, node = place - node, xp.asarray(node, dtype=int)
    value = xp.take(table[0], node)
    for row in range(1, 4):
        value = value * rest + xp.take(table[row], node)
    return value


def rest_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """C_0 + D, D by cubics through four by four neighbours on a grid of earlier time × lag."""
    lag, early = xp.abs(t - s), xp.minimum(t, s)
    flat = xp.asarray(np.frombuffer(params["table"]))
    size = math.isqrt(flat.shape[0])
    first_early, weights_early = cubic_weights(early / params["step"], size, xp)
    first_lag, weights_lag = cubic_weights(lag / params["step"], size, xp)
    value: Array = 0.0
    for a in range(4):
        row = (first_early + a) * size + first_lag
        value = value + weights_early[a] * sum(weights_lag[b] * xp.take(flat, row + b) for b in range(4))
    return value + _free(lag, early, params["terms"], xp)


def _free(lag: Array, early: Array, terms: Sequence[tuple[float, float, float]], xp: ModuleType) -> Array:
    return sum(amplitude * xp.exp(-rate * lag - memory * early) for amplitude, rate, memory in terms)


def cubic_weights(place: Array, size: int, xp: ModuleType) -> tuple[Array, list[Array]]:
    """First of four neighbouring nodes, and their Lagrange weights."""
    first = xp.clip(xp.floor(place) - 1, 0, size - 4)
    x = place - first
    weights = [
        -(x - 1) * (x - 2) * (x - 3) / 6,
        x * (x - 2) * (x - 3) / 2,
        -x * (x - 1) * (x - 3) / 2,
        x * (x - 1) * (x - 2) / 6,
    ]
    return xp.asarray(first, dtype=int), weights


def lag_table(function: Callable[[np.ndarray], np.ndarray], scale: float) -> tuple[tuple[str, Any], ...]:
    """Parameters of `stationary_kernel` for any function of lags ≥ 0 that tends to a constant over a few `scale`."""
    u = np.linspace(0.0, 1.0, _NODES + 1)
    inner = np.where(u < 1, u, 0.0)
    values = function(np.where(u < 1, scale * inner / (1 - inner), _FAR * scale))
    spline = CubicSpline(u * _NODES, values)
    return (("terms", ()), ("scale", scale), ("table", np.ascontiguousarray(spline.c).tobytes()))


def root_table(function: Callable[[np.ndarray], np.ndarray], scale: float) -> tuple[tuple[str, Any], ...]:
    """Parameters of `root_kernel` for a function that may rise like τ^{−1/2} towards τ = 0, a series in √τ."""
    x = np.linspace(0.0, 1.0, _NODES + 1)
    inner = x[1:-1] ** 2
    lags = np.append(scale * inner / (1 - inner), _FAR * scale)
    values = np.append(0.0, x[1:] * function(lags))
    values[0] = 4 * values[1] - 6 * values[2] + 4 * values[3] - values[4]
    spline = CubicSpline(x * _NODES, values)
    return (("scale", scale), ("table", np.ascontiguousarray(spline.c).tobytes()))


def root_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """A cubic spline in x = [τ/(τ + scale)]^{1/2}, divided by x."""
    lag = xp.abs(t - s)
    x = xp.clip(xp.sqrt(lag / (lag + params["scale"])), _CLOSE, 1.0)
    return _spline(x, params["table"], xp) / x


def rest_square(
    average: Average,
    terms: Sequence[Term],
    gamma: float,
    coupling: float,
    horizon: float,
    beyond: float = 0.0,
    own: Propagator | None = None,
) -> tuple[float, np.ndarray]:
    """Step of the grid and D(t,s) on it, (n, n), a little further than `beyond` the horizon.

    C is its own variance, or between two noise histories that of `own`.

    Raises
    ------
    InputError
        If the iteration does not settle, or the horizon needs too large a table.
    """
    steps = max(64, math.ceil(20 * gamma * horizon))
    if steps > 600:
        raise InputError(f"T={horizon:g}: from rest the mean-field line is tabulated up to gamma·T = 30; lower T")
    step = horizon / steps
    size = steps + _BEYOND + math.ceil(beyond / step)
    coarse = _iterate(average, terms, gamma, coupling, step, size, own)
    fine = _iterate(average, terms, gamma, coupling, step / 2, 2 * size - 1, own)
    if coarse is None or fine is None:
        raise InputError(
            f"expansion='saddle': the mean-field correlator runs away before T={horizon:g}; lower T or sigma_w"
        )
    fine = fine[::2, ::2]
    return step, fine + (fine - coarse) / 3  # both err as step²


def largest_variance(
    average: Average, terms: Sequence[Term], gamma: float, coupling: float, horizon: float
) -> float | None:
    """C(t,t) at its largest up to the horizon, within a few per cent; None if it runs away."""
    steps = max(32, math.ceil(4 * gamma * horizon))
    step, size = horizon / steps, steps + 1
    D = _iterate(average, terms, gamma, coupling, step, size, settled=1e-3)
    return None if D is None else float(np.diagonal(D + _free_square(terms, step, size)).max())


def _free_square(terms: Sequence[Term], step: float, size: int) -> np.ndarray:
    times = step * np.arange(size)
    lag, early = np.abs(times[:, None] - times), np.minimum(times[:, None], times)
    return np.asarray(np.sum([x.amplitude * np.exp(-x.rate * lag - x.early * early) for x in terms], axis=0))


def _iterate(
    average: Average,
    terms: Sequence[Term],
    gamma: float,
    coupling: float,
    step: float,
    size: int,
    own: Propagator | None = None,
    settled: float = 1e-12,
) -> np.ndarray | None:
    """D(t,s) on a square grid: D = σ_w² ∬ G G ⟨φφ⟩, repeated until it stays; None if it runs away."""
    free, times = _free_square(terms, step, size), step * np.arange(size)
    values = np.zeros_like(free)
    for _ in range(400):
        c = free + values
        v = np.diagonal(c) if own is None else own(times, times)
        with np.errstate(over="ignore", invalid="ignore"):
            source = coupling * average(c, v[:, None], v)
            new = _convolve(_convolve(source, gamma * step, step).T, gamma * step, step).T
        if not np.isfinite(new).all():
            return None
        if np.abs(new - values).max() <= settled * max(float(np.abs(new + free).max()), 1e-300):
            return new
        values = new
    return None


def _convolve(source: np.ndarray, x: float, step: float) -> np.ndarray:
    """∫_0^t e^{−γ(t−u)} source(u) du along the first axis, the source linear between grid points; x = γ·step."""
    decay = math.exp(-x)
    later = (1 - (1 - decay) / x) / x if x > 1e-3 else 0.5 - x / 6 + x * x / 24
    earlier = (1 - decay) / x - later if x > 1e-3 else 0.5 - x / 3 + x * x / 8
    pulse = np.zeros_like(source)
    pulse[1:] = step * (later * source[1:] + earlier * source[:-1])
    from scipy.signal import lfilter  # slow to import, and needed only from rest

    return np.asarray(lfilter([1.0], [1.0, -decay], pulse, axis=0))
