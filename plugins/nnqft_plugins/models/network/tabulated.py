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
from nnqft_plugins.models.network.averages import PolynomialAverage

Array = Any

_NODES = 640
"""Intervals of the stationary table."""
_FAR = 1e6
"""Lags that count as infinite, in units of the table's scale."""


def stationary_line(correlator: Callable[[np.ndarray], np.ndarray], terms: Sequence[Term], scale: float) -> Propagator:
    """C_MF of lags as a propagator; `terms` are those of C_0, `scale` is a few times its correlation time."""

    def smooth(lag: np.ndarray) -> np.ndarray:
        return correlator(lag) - np.sum([term.amplitude * np.exp(-term.rate * lag) for term in terms], axis=0)

    free = tuple((term.amplitude, term.rate, term.early) for term in terms)
    params = (("terms", free), *lag_table(smooth, scale)[1:])
    return Propagator("C", "h", "h", "C_MF(t−s), tabulated", kernel=stationary_kernel, params=params)


def rest_line(
    average: PolynomialAverage, terms: Sequence[Term], gamma: float, coupling: float, horizon: float
) -> Propagator:
    """C_MF(t,s) up to the horizon as a propagator; `coupling` is σ_w²."""
    free = tuple((term.amplitude, term.rate, term.early) for term in terms)
    step, table = rest_table(average, terms, gamma, coupling, horizon)
    params = (("terms", free), ("step", step), ("table", table.tobytes()))
    return Propagator("C", "h", "h", f"C_MF(t,s), tabulated up to T = {horizon:g}", kernel=rest_kernel, params=params)


def stationary_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """C_0 + D, D a cubic spline in u = τ/(τ + scale), which maps all lags to [0, 1)."""
    lag = xp.abs(t - s)
    table = xp.asarray(np.frombuffer(params["table"]).reshape(4, -1))
    last = table.shape[1] - 1
    place = lag / (lag + params["scale"]) * (last + 1)
    node = xp.clip(xp.floor(place), 0, last)
    rest, node = place - node, xp.asarray(node, dtype=int)
    value = xp.take(table[0], node)
    for row in range(1, 4):
        value = value * rest + xp.take(table[row], node)
    return value + _free(lag, 0.0, params["terms"], xp)


def rest_kernel(t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
    """C_0 + D, D by cubics through four by four neighbours on a grid of earlier time × lag."""
    lag, early = xp.abs(t - s), xp.minimum(t, s)
    flat = xp.asarray(np.frombuffer(params["table"]))
    size = math.isqrt(flat.shape[0])
    first_early, weights_early = _cubic_weights(early / params["step"], size, xp)
    first_lag, weights_lag = _cubic_weights(lag / params["step"], size, xp)
    value: Array = 0.0
    for a in range(4):
        row = (first_early + a) * size + first_lag
        value = value + weights_early[a] * sum(weights_lag[b] * xp.take(flat, row + b) for b in range(4))
    return value + _free(lag, early, params["terms"], xp)


def _free(lag: Array, early: Array, terms: Sequence[tuple[float, float, float]], xp: ModuleType) -> Array:
    return sum(amplitude * xp.exp(-rate * lag - memory * early) for amplitude, rate, memory in terms)


def _cubic_weights(place: Array, size: int, xp: ModuleType) -> tuple[Array, list[Array]]:
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


def rest_table(
    average: PolynomialAverage, terms: Sequence[Term], gamma: float, coupling: float, horizon: float
) -> tuple[float, np.ndarray]:
    """Step of the grid and D on earlier time × lag, (n, n), zero where the later time is beyond the horizon.

    Raises
    ------
    InputError
        If the iteration does not settle, or the horizon needs too large a table.
    """
    steps = max(64, math.ceil(20 * gamma * horizon))
    if steps > 600:
        raise InputError(f"T={horizon:g}: from rest the mean-field line is tabulated up to gamma·T = 30; lower T")
    step, size = horizon / steps, steps + 8
    coarse = _iterate(average, terms, gamma, coupling, step, size)
    fine = _iterate(average, terms, gamma, coupling, step / 2, 2 * size - 1)
    if coarse is None or fine is None:
        raise InputError(
            f"expansion='saddle': the mean-field correlator runs away before T={horizon:g}; lower T or sigma_w"
        )
    fine = fine[::2, ::2]
    values = fine + (fine - coarse) / 3  # both err as step²
    early, lag = np.indices((size, size))
    inside = early + lag < size
    return step, np.where(inside, values[np.minimum(early + lag, size - 1), early], 0.0)


def _iterate(
    average: PolynomialAverage, terms: Sequence[Term], gamma: float, coupling: float, step: float, size: int
) -> np.ndarray | None:
    """D(t,s) on a square grid: D = σ_w² ∬ G G ⟨φφ⟩, repeated until it stays; None if it runs away."""
    times = step * np.arange(size)
    lag, early = np.abs(times[:, None] - times), np.minimum(times[:, None], times)
    free = np.sum([x.amplitude * np.exp(-x.rate * lag - x.early * early) for x in terms], axis=0)
    values = np.zeros_like(free)
    for _ in range(400):
        c = free + values
        v = np.diagonal(c)
        with np.errstate(over="ignore", invalid="ignore"):
            source = coupling * average(c, v[:, None], v)
            new = _convolve(_convolve(source, gamma * step, step).T, gamma * step, step).T
        if not np.isfinite(new).all():
            return None
        if np.abs(new - values).max() <= 1e-12 * max(float(np.abs(new + free).max()), 1e-300):
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
