"""Pairs of times from rest: all (t_i, t_j), i ≥ j, of a uniform grid from t = 0 on, and filters between them.

Every equation is one between dense matrices over the pairs. What depends on a pair is the same for its exchange, or
changes its sign; the filters are exact for functions that are linear between grid times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.network import Network

STENCIL = 4
"""Grid times that values between them are interpolated from."""


def _silent(done: int) -> None:
    pass


class PairGrid:
    """The pairs of a grid of n + 1 times.

    Parameters
    ----------
    network
    step
        Between two times.
    n
        Number of steps.
    progress
        Is told how many pairs of pairs are done.

    Attributes
    ----------
    i, j : (P,) arrays
        The later and the earlier time of each pair.
    index : (n + 1, n + 1) array
        Number of each pair, symmetric.
    weight : (P,) array
        Of a sum over ordered pairs, which makes it an integral.
    """

    def __init__(self, network: Network, step: float, n: int, progress: Callable[[int], None] = _silent) -> None:
        self.network, self.step, self.n, self._progress = network, step, n, progress
        self.i, self.j = np.tril_indices(n + 1)
        self.count = len(self.i)
        self.index = np.zeros((n + 1, n + 1), int)
        self.index[self.i, self.j] = self.index[self.j, self.i] = np.arange(self.count)
        self.same = self.i == self.j
        self.first, self.second = self.index[self.i, self.i], self.index[self.j, self.j]
        self._modes = filters.modes_of(network)
        self._lag = np.subtract.outer(np.arange(n + 1), np.arange(n + 1))
        edge = np.full(n + 1, step)
        edge[0] *= 0.5
        self.weight = np.where(self.same, 1.0, 2.0) * edge[self.i] * edge[self.j]

    def progress(self, rows: int = 1) -> None:
        """To be called when so many rows of a matrix between pairs are done."""
        self._progress(rows * self.count)

    @cached_property
    def integral(self) -> np.ndarray:
        """(n + 1, n + 1) W with ∫_0^t G(t − u) f(u) du = Σ W f."""
        weights = filters.weights(self._modes, self.step, self.n + 1)
        matrix = np.where(self._lag >= 0, weights[np.abs(self._lag)], 0.0)
        # The integral begins at 0: without the interval before that.
        matrix[:, 0] = filters.first_weights(self._modes, self.step, self.n + 1)
        return matrix

    def response(self, at_once: float) -> np.ndarray:
        """(n + 1, n + 1) G(t − s), that many times G(0+) at t = s."""
        values = filters.values(self._modes, self.step, self.n + 1, at_once)
        matrix = np.where(self._lag >= 0, values[np.abs(self._lag)], 0.0)
        # Before 0 there is nothing: a sum over times has half of its weight there anyway.
        matrix[0, 0] = values[0] / at_once
        return matrix

    def answered(self, sign: int) -> np.ndarray:
        """(P, P) A: σ_w² ∫∫ G(t,u) G(s,v) q(u,v) of a q that is even (sign 1) or odd (−1) under exchange."""
        direct, mirrored = self._both(self.integral)
        mirrored[:, self.same] *= 0.0 if sign > 0 else 1.0
        return self.network.sigma_w**2 * (direct + sign * mirrored)

    def struck(self, sign: int) -> np.ndarray:
        """(P, P): the same for a q that is a pulse at one pair, or half of it and half of its exchange."""
        direct, mirrored = self._both(self.response(0.5))
        return 0.5 * self.network.sigma_w**2 * (direct + sign * mirrored)

    def _both(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, j = self.i, self.j
        return (
            matrix[np.ix_(i, i)] * matrix[np.ix_(j, j)],
            matrix[np.ix_(i, j)] * matrix[np.ix_(j, i)],
        )

    def between(self, times: np.ndarray, stencil: int = STENCIL) -> np.ndarray:
        """(M, P) weights that interpolate a function of pairs at any (M, 2) times on the grid's span.

        Along the diagonal and away from it, as far as there is room: across it functions have a kink.
        """
        late, early = times.max(axis=1), times.min(axis=1)
        lag = late - early
        rows = np.zeros((len(times), self.count))
        own = {name: self.nodes(each, stencil) for name, each in (("late", late), ("early", early), ("lag", lag))}
        for m in range(len(times)):
            at = {name: np.flatnonzero(each[m]) for name, each in own.items()}
            if at["late"].min() >= at["lag"].max():
                one, two = "late", "lag"
                numbers = self.index[at[one][:, None], at[one][:, None] - at[two]]
            elif at["early"].max() + at["lag"].max() <= self.n:
                one, two = "early", "lag"
                numbers = self.index[at[one][:, None] + at[two], at[one][:, None]]
            else:
                one, two = "late", "early"
                numbers = self.index[at[one][:, None], at[two]]
            weights = np.outer(own[one][m, at[one]], own[two][m, at[two]])
            np.add.at(rows[m], numbers.ravel(), weights.ravel())
        return rows

    def nodes(self, times: np.ndarray, stencil: int = STENCIL) -> np.ndarray:
        """(M, n + 1) Lagrange's weights of the nearest grid times."""
        size = min(stencil, self.n + 1)
        places = times / self.step
        places = np.where(np.abs(places - np.round(places)) < 1e-9, np.round(places), places)
        start = np.clip(np.floor(places).astype(int) - (size - 1) // 2, 0, self.n + 1 - size)
        found = np.zeros((len(times), self.n + 1))
        for m, (place, first) in enumerate(zip(places, start, strict=True)):
            near = first + np.arange(size)
            for k in near:
                others = near[near != k]
                found[m, k] = np.prod((place - others) / (k - others))
        return found
