"""Stacks of layers of finite width at any coupling: the kernel has one time.

New weights in every layer are white noise, so a unit is Gaussian with C(t,s) = v(min(t,s)) e^{−γ|t−s|}, given the
kernel q(t) = (1/N) Σ φ(h_j(t))². With f(v) = ⟨φ²⟩_v and λ = 2γ − σ_w² f'(v),

    dδv/dt = −λ δv + σ_w² (own fluctuations of q + T/N) + ½ σ_w² f''(v) δv² ,
    ⟨⟨φ²_t ; φ²_s⟩⟩ = Σ_k a_k(t) a_k(s) ρ_ts^k ,     T_t = ½ ∫ ⟨⟨(φ²)''_t ; φ²_s⟩⟩ R(v_t ; q_s) ds ,

a_k the normalised Hermite coefficients of φ², R the response of v to q. T is what a unit that lives through many thin
layers hears of itself: a large φ² widens what all units get later, when its own φ² is still like it was. Averages of
products with He_2 and He_4 stand for f' and f'': φ may have kinks and jumps. Integrals over depth are sums over
panels between the times that are asked for, at three steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise

import numpy as np

from nnqft import InputError
from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.gaussian import moments_of_square
from nnqft_plugins.networks.meanfield.layers import settled_variance, variance_from_start
from nnqft_plugins.networks.network import Network

Values = tuple[np.ndarray, np.ndarray]

_ORDERS = 40
_STEPS = (8, 16, 32)
"""Of a panel."""
_MEMORY = 36.0
"""Decays after which the beginning is forgotten."""
_LEAST = 1e-9


@dataclass(frozen=True)
class _Depths:
    """A grid of depths, and what the layers at N → ∞ are on it."""

    network: Network
    times: np.ndarray
    weights: np.ndarray
    variance: np.ndarray
    known: dict[float, np.ndarray]
    """Hermite coefficients by variance, shared by all grids."""
    orders: int = _ORDERS
    """Of them that are used."""

    @cached_property
    def _moments(self) -> np.ndarray:
        """(T, orders) a_k of φ² at each depth."""
        phi, keys = self.network.activation, [float(f"{v:.10g}") for v in self._floored.tolist()]
        for v in keys:
            tick("summing over depths")
            if v not in self.known:
                self.known[v] = np.asarray(moments_of_square(phi, v, _ORDERS)[0])
        return np.array([self.known[v][: self.orders + 1] for v in keys])

    @cached_property
    def slope(self) -> np.ndarray:
        """(T,) f'(v)."""
        return math.sqrt(2) * self._moments[:, 2] / (2 * self._floored)

    @cached_property
    def curvature(self) -> np.ndarray:
        """(T,) f''(v)."""
        return math.sqrt(24) * self._moments[:, 4] / (4 * self._floored**2)

    @cached_property
    def _floored(self) -> np.ndarray:
        return np.maximum(self.variance, _LEAST * float(self.variance.max(initial=0.0)) or _LEAST)

    def correlator(self, at: np.ndarray) -> np.ndarray:
        """(M, T) C between depths of the grid, by their numbers, and all."""
        every = np.arange(len(self.times))
        late, early = np.maximum(at[:, None], every), np.minimum(at[:, None], every)
        return self.variance[early] * np.exp(-self.network.gamma * (self.times[late] - self.times[early]))

    @cached_property
    def scatter(self) -> np.ndarray:
        """(T, T) ⟨⟨φ² ; φ²⟩⟩."""
        return self._covariance(self._moments)

    @cached_property
    def bent_scatter(self) -> np.ndarray:
        """(T, T) ⟨⟨(φ²)'' ; φ²⟩⟩, the first at the depth of the row."""
        a, k = self._moments, np.arange(self._moments.shape[1] - 2)
        return self._covariance(a[:, 2:] * np.sqrt((k + 1) * (k + 2)) / self._floored[:, None])

    def _covariance(self, first: np.ndarray) -> np.ndarray:
        """(T, T) of functions with these coefficients, (T, orders), and φ²."""
        size = np.sqrt(self._floored)
        rho = np.clip(self.correlator(np.arange(len(self.times))) / np.outer(size, size), -1.0, 1.0)
        total = np.zeros_like(rho)
        for k in range(first.shape[1] - 1, 0, -1):
            total = (total + np.outer(first[:, k], self._moments[:, k])) * rho
        return total

    @cached_property
    def carried(self) -> np.ndarray:
        """(T, T) weights of a sum over sources of q that makes δv."""
        rate = 2 * self.network.gamma - self.network.sigma_w**2 * self.slope
        # ∫ λ by the trapezoidal rule on each interval
        steps = np.diff(self.times)
        grown = np.concatenate([[0.0], np.cumsum(steps * (rate[1:] + rate[:-1]) / 2)])
        lag = grown[:, None] - grown
        count = np.arange(len(self.times))
        matrix = np.where(count[:, None] >= count, np.exp(-np.where(count[:, None] >= count, lag, 0.0)), 0.0)
        weights = np.where(count[:, None] > count, self.weights, 0.0)
        # The last interval before each depth counts half at its end.
        weights[count[1:], count[1:]] = steps / 2
        return self.network.sigma_w**2 * matrix * weights

    @cached_property
    def variances(self) -> np.ndarray:
        """(T, T) N Cov(v, v)."""
        return self.carried @ self.scatter @ self.carried.T

    @cached_property
    def shift(self) -> np.ndarray:
        """(T,) N δv."""
        own = 0.5 * (self.bent_scatter * self.carried).sum(axis=1)
        return self.carried @ (0.5 * self.curvature * np.diagonal(self.variances) + own)


class LayerEngine:
    """Kernels and order 1/N of a stack of layers.

    Parameters
    ----------
    network
    times
        All depths that will be asked for.

    Raises
    ------
    InputError
        If the variance grows beyond all bounds, or its fluctuations do not decay.
    """

    def __init__(self, network: Network, times: np.ndarray) -> None:
        self.network = network
        asked = np.unique(times) if np.size(times) else np.zeros(1)
        if network.stationary:
            v, depth = settled_variance(network)
            if not math.isfinite(depth):
                raise InputError(
                    f"sigma_w={network.sigma_w:g}: this stack is at its edge, where fluctuations of the kernel do not"
                    " decay; write a smaller sigma_w or start='rest'"
                )
            reach = max(depth, 1 / network.gamma)
            back = [0.0, *(0.25 * 2.0**n for n in range(24) if 0.25 * 2.0**n < _MEMORY), _MEMORY]
            self._edges = np.unique(np.concatenate([asked[0] - reach * np.array(back), _between(asked, reach)]))
            self._variance: Callable[[np.ndarray], np.ndarray] = partial(_constant, v)
        else:
            end = max(float(asked[-1]), 1e-3 / network.gamma)
            self._variance = variance_from_start(network, end, 1e-9)
            self._edges = np.unique(np.concatenate([[0.0], _between(np.unique([0.0, *asked]), 1 / network.gamma)]))
        self._grids: dict[int, _Depths] = {}
        self._known: dict[float, np.ndarray] = {}
        steps = ", ".join(map(str, _STEPS))
        self.notes: tuple[str, ...] = (f"1/N of layers: sums over depth with {steps} steps a panel, extrapolated",)

    def correlator(self, times: np.ndarray) -> Values:
        """C at N → ∞ at (M, 2) depths."""
        lag = np.abs(times[:, 0] - times[:, 1])
        found = np.exp(-self.network.gamma * lag) * self._variance(times.min(axis=1))
        return found, 1e-9 * np.abs(found)

    def cumulant(self, times: np.ndarray) -> Values:
        """N⟨⟨h_i(t1) h_i(t2); h_j(t3) h_j(t4)⟩⟩, i ≠ j, at (M, 4) depths."""
        return self._extrapolated(lambda grid: _cumulant(grid, times))

    def spread(self, times: np.ndarray) -> Values:
        """N Cov of (1/N) Σ h(t1) h(t2) and (1/N) Σ h(t3) h(t4), at (M, 4) depths."""
        value, error = self.cumulant(times)
        pairs = {(k, n): self.correlator(times[:, [k, n]])[0] for k in (0, 1) for n in (2, 3)}
        return value + pairs[0, 2] * pairs[1, 3] + pairs[0, 3] * pairs[1, 2], error

    def two_point(self, times: np.ndarray) -> Values:
        """N δ⟨h(t) h(s)⟩ at (M, 2) depths."""
        lag = np.abs(times[:, 0] - times[:, 1])
        value, error = self._extrapolated(lambda grid: grid.shift[_numbers(grid, times.min(axis=1))])
        return value * np.exp(-self.network.gamma * lag), error

    def response(self, times: np.ndarray) -> Values:
        """Nothing: new weights in every layer."""
        return np.zeros(len(times)), np.zeros(len(times))

    def mean(self, times: np.ndarray) -> Values:
        """Nothing: new weights in every layer."""
        return np.zeros(len(times)), np.zeros(len(times))

    def _extrapolated(self, taken: Callable[[_Depths], np.ndarray]) -> Values:
        """Romberg's extrapolation of three grids, and what it and the second half of the Hermite series changed."""
        one, two, three = (taken(self._grid(steps)) for steps in _STEPS)
        tail = np.abs(one - taken(replace(self._grid(_STEPS[0]), orders=_ORDERS // 2)))
        coarse, fine = two + (two - one) / 3, three + (three - two) / 3
        best = fine + (fine - coarse) / 15
        return best, np.abs(best - fine) + tail + 1e-8 * np.abs(best)

    def _grid(self, steps: int) -> _Depths:
        if steps not in self._grids:
            inner = [np.linspace(a, b, steps + 1)[:-1] for a, b in pairwise(self._edges)]
            times = np.concatenate([*inner, self._edges[-1:]])
            gaps = np.diff(times)
            weights = np.concatenate([gaps, [0.0]]) / 2 + np.concatenate([[0.0], gaps]) / 2
            self._grids[steps] = _Depths(self.network, times, weights, self._variance(times), self._known)
        return self._grids[steps]


def linear_slope(network: Network) -> float | None:
    """c of a stationary stack with φ(h) = c h, whose kernel's variance is known for every N; None for any other."""
    powers = network.activation.coefficients
    known = network.layered and network.stationary and powers is not None and len(powers) == 2 and powers[0] == 0.0
    return powers[1] if known and powers is not None else None


def linear_spread(network: Network, slope: float, width: int) -> float:
    """The order N^{−width} ≥ 1 of Var S, S = (1/N) Σ h², bare of it.

    Var S = (E S)² [(1 + 2/N)/(1 − 2g/(Nλ)) − 1] with g = σ_w² c², λ = 2γ − g.
    """
    coupling = (network.sigma_w * slope) ** 2
    rate = 2 * network.gamma - coupling
    x = 2 * coupling / rate
    return (network.noise / rate) ** 2 * (x + 2) * x ** (width - 1)


def _constant(value: float, t: np.ndarray) -> np.ndarray:
    return np.full(np.shape(t), value)


def _between(asked: np.ndarray, longest: float) -> np.ndarray:
    """These depths and as many between them that no two are further apart than that."""
    parts = [np.array([asked[0]])]
    for a, b in pairwise(asked):
        parts.append(np.linspace(a, b, max(1, math.ceil((b - a) / longest)) + 1)[1:])
    return np.concatenate(parts)


def _numbers(grid: _Depths, times: np.ndarray) -> np.ndarray:
    """Where these times are on the grid, which holds them all."""
    return np.array([int(np.abs(grid.times - t).argmin()) for t in times])


def _cumulant(grid: _Depths, times: np.ndarray) -> np.ndarray:
    gamma = grid.network.gamma
    at = [_numbers(grid, times[:, k]) for k in range(4)]
    total = np.zeros(len(times))
    first = [np.minimum(at[k], at[k + 1]) for k in (0, 2)]
    fallen = [np.exp(-gamma * np.abs(times[:, k] - times[:, k + 1])) for k in (0, 2)]
    for n, other in ((0, 2), (1, 0)):
        # ⟨⟨φ²_u ; h h⟩⟩ = ⟨(φ²)''⟩ C C, and ⟨(φ²)''⟩ = 2 f'
        source = 2 * grid.slope * grid.correlator(at[other]) * grid.correlator(at[other + 1])
        total += fallen[n] * (grid.carried[first[n]] * source).sum(axis=1)
    return total + fallen[0] * fallen[1] * grid.variances[first[0], first[1]]
